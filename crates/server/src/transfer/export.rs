//! Export: records in order, as JSON Lines.
//!
//! Records come from one snapshot, so an export is the state of one moment however long it takes.
//! A resumed export goes on behind the last whole line that was written; the lines in front of it
//! are of the moment of the first run, the lines behind it of the moment of the second.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use guantong_api::control::{Ask, Body, Reply};

use super::TransferError;
use super::parse::LINE_LEN_MAX;
use crate::control::{Control, Fault, Gone, NewRecord};

//----------- export ---------------------------------------------------------

/// Writes all records of `prefix` behind the handle `after` to `output`; returns their number.
/// `tell` learns how many have been written.
pub fn export(
    control: &mut dyn Control,
    prefix: Option<String>,
    after: Option<String>,
    output: &mut dyn Write,
    tell: &mut dyn FnMut(u64),
) -> Result<u64, TransferError> {
    let mut written = 0;
    let mut failed = None;
    let reply = control.ask(Ask::Export { prefix, after }, &mut |body| {
        let Body::Records(records) = body else {
            return Ok(());
        };
        for record in &records {
            let line = output.write_all(record.get().as_bytes());
            if let Err(error) = line.and_then(|()| output.write_all(b"\n")) {
                failed = Some(error);
                return Err(Gone);
            }
        }
        written += records.len() as u64;
        tell(written);
        Ok(())
    });
    match (failed, reply) {
        (Some(error), _) => Err(TransferError::Output(error)),
        (None, Ok(Reply::Exported { records })) => {
            output.flush().map_err(TransferError::Output)?;
            Ok(records)
        }
        (None, Ok(_)) => Err(Fault::Strange.into()),
        (None, Err(fault)) => Err(fault.into()),
    }
}

//----------- ExportFile -----------------------------------------------------

/// A file that gets its name only when it is whole: until then it is `FILE.part`.
#[derive(Debug)]
pub struct ExportFile {
    path: PathBuf,
    part: PathBuf,
    file: BufWriter<File>,
}

impl ExportFile {
    /// Begins the file `path`.
    pub fn create(path: &Path) -> Result<Self, TransferError> {
        let part = part_of(path);
        let open = || {
            let file = open_private(&part)?;
            file.set_len(0)?;
            Ok(file)
        };
        let file = open().map_err(TransferError::file(&part))?;
        Ok(Self::new(path, part, file))
    }

    /// Continues the file `path`; also returns the last handle in it, `None` if there is none yet.
    pub fn resume(path: &Path) -> Result<(Self, Option<String>), TransferError> {
        let part = part_of(path);
        let open = || {
            let mut file = open_private(&part)?;
            let (end, line) = last_line(&mut file)?;
            file.set_len(end)?;
            file.seek(SeekFrom::End(0))?;
            Ok((file, line))
        };
        let (file, line) = open().map_err(TransferError::file(&part))?;
        let handle = match line.is_empty() {
            true => None,
            false => {
                let record = NewRecord::parse(&line).map_err(|error| TransferError::Unfit {
                    path: part.clone(),
                    what: format!(
                        "does not end in a record ({error}): start over without resuming"
                    ),
                })?;
                Some(record.handle().as_str().to_owned())
            }
        };
        Ok((Self::new(path, part, file), handle))
    }

    fn new(path: &Path, part: PathBuf, file: File) -> Self {
        Self {
            path: path.to_owned(),
            part,
            file: BufWriter::with_capacity(256 * 1024, file),
        }
    }

    /// Gives the file its name, when everything in it is durable.
    pub fn finish(mut self) -> Result<(), TransferError> {
        let mut finish = || {
            self.file.flush()?;
            self.file.get_ref().sync_all()?;
            fs::rename(&self.part, &self.path)?;
            let folder = self.path.parent().filter(|f| !f.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
        };
        finish().map_err(TransferError::file(&self.path))
    }
}

impl Write for ExportFile {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.file.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Opens a file, new or not, that only its owner can read: records may hold secret keys.
fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).read(true).write(true).truncate(false);
    let file = options.mode(0o600).open(path)?;
    // One that is there already may have been made by somebody less careful.
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

fn part_of(path: &Path) -> PathBuf {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    part.into()
}

/// The end of the last whole line, and its text; 0 and nothing if there is none.
fn last_line(file: &mut File) -> io::Result<(u64, Vec<u8>)> {
    let len = file.metadata()?.len();
    // Two lines of the largest size hold one whole line, wherever they are cut.
    let start = len.saturating_sub(2 * (LINE_LEN_MAX as u64 + 1));
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let is_end = |octet: &u8| *octet == b'\n';
    let Some(end) = tail.iter().rposition(is_end) else {
        return Ok((0, Vec::new()));
    };
    let from = tail[..end].iter().rposition(is_end).map_or(0, |at| at + 1);
    Ok((start + end as u64 + 1, tail[from..end].to_vec()))
}
