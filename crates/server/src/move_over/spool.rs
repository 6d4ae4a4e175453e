//! The folder into which is read: records, and what is told of them.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use guantong_core::template::{Template, template_of};
use guantong_proto::json::{Record, RecordForm, ValueForm};
use guantong_proto::wire::Writer;
use guantong_proto::{CaseRule, Handle, Value, Values};
use serde::{Deserialize, Serialize};

use super::MoveError;

/// The records, one a line.
pub const RECORDS_FILE: &str = "records.jsonl";
/// What is told of them, one a line.
pub const REPORT_FILE: &str = "report.jsonl";
/// What became of each when it was written.
pub const RESULTS_FILE: &str = "results.jsonl";
/// Most records of one folder: their handles are held in memory, up to 255 octets each.
pub(super) const RECORDS_MAX: usize = 5_000_000;

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    /// Records in the folder.
    pub records: usize,
    /// Of them, those that were there already.
    pub known: usize,
    /// What is not moved.
    pub not_moved: usize,
    /// What is moved, and should be looked at.
    pub noted: usize,
}

/// What is told of something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// What it is about: a handle, or a category.
    pub handle: String,
    /// Whether it is moved.
    pub outcome: Outcome,
    /// Why not, or what should be known.
    pub why: String,
}

/// Whether something is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// It is not.
    NotMoved,
    /// It is, and something should be known.
    Noted,
    /// It is about many, and counted anew each time.
    Counted,
}

impl Row {
    /// Whether it is moved.
    pub fn is_moved(&self) -> bool {
        self.outcome != Outcome::NotMoved
    }
}

/// The folder, open.
pub(super) struct Spool {
    folder: PathBuf,
    rule: CaseRule,
    records: BufWriter<File>,
    report: BufWriter<File>,
    known: HashSet<Vec<u8>>,
    pub(super) tally: Tally,
}

impl Spool {
    /// Makes the folder, or opens it: what is not moved is tried again, so it is forgotten.
    pub(super) fn open(folder: &Path, rule: CaseRule) -> Result<Self, MoveError> {
        fs::create_dir_all(folder).map_err(failed(folder))?;
        let path = folder.join(RECORDS_FILE);
        let (known, whole) = known_in(&path, rule).map_err(failed(&path))?;
        let records = open(&path, true).map_err(failed(&path))?;
        // The line that was being written when it was interrupted.
        records.set_len(whole).map_err(failed(&path))?;
        let path = folder.join(REPORT_FILE);
        let kept = kept_in(&path).map_err(failed(&path))?;
        let report = open(&path, false).map_err(failed(&path))?;
        let mut spool = Self {
            folder: folder.to_owned(),
            rule,
            records: BufWriter::new(records),
            report: BufWriter::new(report),
            tally: Tally {
                records: known.len(),
                known: known.len(),
                ..Tally::default()
            },
            known,
        };
        for row in kept {
            spool.tell(&row)?;
        }
        Ok(spool)
    }

    /// Whether a record is there already.
    pub(super) fn has(&self, handle: &Handle) -> bool {
        self.known.contains(handle.key(self.rule).as_bytes())
    }

    /// Adds a record, with what should be known of it.
    pub(super) fn add(
        &mut self,
        handle: &Handle,
        values: &[Value],
        notes: &[String],
    ) -> Result<(), MoveError> {
        if self.known.len() >= RECORDS_MAX {
            return Err(MoveError::TooMany { limit: RECORDS_MAX });
        }
        for note in notes {
            self.tell(&Row {
                handle: handle.to_string(),
                outcome: Outcome::Noted,
                why: note.clone(),
            })?;
        }
        let form = RecordForm {
            response_code: None,
            handle: Some(handle.as_str()),
            values: values.iter().map(ValueForm::from).collect(),
        };
        let path = self.folder.join(RECORDS_FILE);
        line(&mut self.records, &form).map_err(failed(&path))?;
        self.known.insert(handle.key(self.rule).as_bytes().to_vec());
        self.tally.records += 1;
        Ok(())
    }

    /// Tells something.
    pub(super) fn tell(&mut self, row: &Row) -> Result<(), MoveError> {
        match row.outcome {
            Outcome::NotMoved => self.tally.not_moved += 1,
            Outcome::Noted | Outcome::Counted => self.tally.noted += 1,
        }
        let path = self.folder.join(REPORT_FILE);
        line(&mut self.report, row).map_err(failed(&path))
    }

    /// Everything that was added is in the files. Notes first: no record is there without its own.
    pub(super) fn flush(&mut self) -> Result<(), MoveError> {
        let path = self.folder.join(REPORT_FILE);
        self.report.flush().map_err(failed(&path))?;
        let path = self.folder.join(RECORDS_FILE);
        self.records.flush().map_err(failed(&path))
    }

    /// How many identifiers of each template have no value of a field: nothing says whether there
    /// is none or the application may not see it.
    pub(super) fn count(&mut self, templates: &[Template]) -> Result<Vec<Row>, MoveError> {
        self.flush()?;
        let path = self.folder.join(RECORDS_FILE);
        let mut counts: HashMap<Vec<u8>, (u64, HashMap<i32, u64>)> = HashMap::new();
        let lines = File::open(&path).map_err(failed(&path))?;
        for text in BufReader::new(lines).lines() {
            let text = text.map_err(failed(&path))?;
            let Ok(record) = Record::parse(text.as_bytes()) else {
                continue;
            };
            let wire = Writer::to_vec(|w| Values::encode(&record.values, w));
            let by = Values::from_wire(&wire).ok().and_then(template_of);
            let Some(by) = by else { continue };
            let key = by.key(self.rule).as_bytes().to_vec();
            let (total, fields) = counts.entry(key).or_default();
            *total += 1;
            for value in record.values {
                *fields.entry(value.index).or_default() += 1;
            }
        }
        let mut rows = Vec::new();
        for template in templates {
            let key = template.handle().key(self.rule).as_bytes().to_vec();
            let Some((total, found)) = counts.get(&key) else {
                continue;
            };
            let fields = template.definition().fields.iter();
            for field in fields.filter(|field| field.takes_values()) {
                let lacking = total - found.get(&field.index).unwrap_or(&0).min(total);
                if lacking > 0 {
                    rows.push(Row {
                        handle: template.handle().to_string(),
                        outcome: Outcome::Counted,
                        why: format!(
                            "{}: {lacking} of {total} identifiers show the application no value",
                            field.name
                        ),
                    });
                }
            }
        }
        Ok(rows)
    }
}

//----------- Files ----------------------------------------------------------

fn failed(path: &Path) -> impl FnOnce(io::Error) -> MoveError {
    let path = path.to_owned();
    move |cause| MoveError::File { path, cause }
}

fn open(path: &Path, append: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true);
    match append {
        true => options.append(true),
        false => options.write(true).truncate(true),
    };
    options.open(path)
}

fn line(out: &mut impl Write, form: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, form)?;
    out.write_all(b"\n")
}

/// The handles of whole lines, and how long those are together.
fn known_in(path: &Path, rule: CaseRule) -> io::Result<(HashSet<Vec<u8>>, u64)> {
    #[derive(Deserialize)]
    struct Named {
        handle: String,
    }
    let (mut known, mut whole) = (HashSet::new(), 0);
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((known, 0)),
        file => file?,
    };
    let mut lines = BufReader::new(file);
    let mut text = Vec::new();
    while lines.read_until(b'\n', &mut text)? > 0 {
        let named = serde_json::from_slice::<Named>(&text).ok();
        let handle = named.and_then(|named| Handle::parse(&named.handle).ok());
        let Some(handle) = handle.filter(|_| text.ends_with(b"\n")) else {
            break;
        };
        known.insert(handle.key(rule).as_bytes().to_vec());
        whole += text.len() as u64;
        text.clear();
    }
    Ok((known, whole))
}

/// What is told of records that are there.
fn kept_in(path: &Path) -> io::Result<Vec<Row>> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text?,
    };
    let lines = text.split(|octet| *octet == b'\n');
    let rows = lines.filter_map(|line| serde_json::from_slice::<Row>(line).ok());
    Ok(rows.filter(|row| row.outcome == Outcome::Noted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle(text: &str) -> Handle {
        Handle::parse(text).unwrap()
    }

    #[test]
    fn folder_is_gone_on_with_behind_its_last_whole_line() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Spool::open(folder.path(), CaseRule::Insensitive).unwrap();
        let values = [Value::new(1, "URL", "x")];
        let mut spool = open();
        spool
            .add(&handle("88.1/a"), &values, &["look".to_owned()])
            .unwrap();
        spool.add(&handle("88.1/b"), &values, &[]).unwrap();
        spool
            .tell(&Row {
                handle: "88.1/c".to_owned(),
                outcome: Outcome::NotMoved,
                why: "no".to_owned(),
            })
            .unwrap();
        spool.flush().unwrap();
        drop(spool);
        let records = folder.path().join(RECORDS_FILE);
        let text = fs::read_to_string(&records).unwrap();
        fs::write(&records, &text[..text.len() - 3]).unwrap();
        let mut again = open();
        assert!(again.has(&handle("88.1/A")) && !again.has(&handle("88.1/b")));
        assert_eq!((again.tally.records, again.tally.known), (1, 1));
        // What was not moved is tried again.
        assert_eq!((again.tally.noted, again.tally.not_moved), (1, 0));
        again.add(&handle("88.1/b"), &values, &[]).unwrap();
        again.flush().unwrap();
        assert_eq!(fs::read_to_string(&records).unwrap(), text);
    }

    #[test]
    fn garbage_in_the_folder_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(RECORDS_FILE), [0xFF; 300]).unwrap();
        fs::write(folder.path().join(REPORT_FILE), "{\"handle\":7}\n[").unwrap();
        let spool = Spool::open(folder.path(), CaseRule::Insensitive).unwrap();
        assert_eq!(spool.tally, Tally::default());
    }
}
