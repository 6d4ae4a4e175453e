//! What became of each line: the result file and the counts.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use guantong_api::control::Outcome;
use serde::{Deserialize, Serialize};

use super::TransferError;

//----------- Tally ----------------------------------------------------------

/// How many lines came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Records that were not there before.
    pub created: u64,
    /// Records that took the place of others.
    pub replaced: u64,
    /// Records that were there already, value by value.
    pub unchanged: u64,
    /// Records that were left out because others were there.
    pub skipped: u64,
    /// Lines that were not imported.
    pub refused: u64,
}

impl Tally {
    /// Lines in all, without blank ones.
    pub fn total(&self) -> u64 {
        self.created + self.replaced + self.unchanged + self.skipped + self.refused
    }

    pub(super) fn count(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Created => self.created += 1,
            Outcome::Replaced | Outcome::Deleted => self.replaced += 1,
            Outcome::Unchanged => self.unchanged += 1,
            Outcome::Skipped => self.skipped += 1,
            Outcome::Refused(_) => self.refused += 1,
        }
    }
}

//----------- Results --------------------------------------------------------

/// One line of the result file.
#[derive(Debug, Serialize)]
struct ResultLine<'a> {
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    handle: Option<&'a str>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// Writes the result file: one JSON line for each line of the input that is not blank.
#[derive(Debug)]
pub(super) struct Results {
    path: PathBuf,
    file: BufWriter<File>,
    octets: u64,
}

impl Results {
    /// Opens `path` and keeps the first `octets` of it.
    pub(super) fn open(path: &Path, octets: u64) -> Result<Self, TransferError> {
        let open = || {
            let mut options = OpenOptions::new();
            let mut file = options
                .create(true)
                .write(true)
                .truncate(false)
                .open(path)?;
            if file.metadata()?.len() < octets {
                return Err(io::Error::other(
                    "has lost lines since the import stopped: start over without resuming",
                ));
            }
            file.set_len(octets)?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        };
        Ok(Self {
            path: path.to_owned(),
            file: BufWriter::new(open().map_err(TransferError::file(path))?),
            octets,
        })
    }

    /// Writes the fate of one line.
    pub(super) fn write(
        &mut self,
        line: u64,
        column: Option<usize>,
        handle: Option<&str>,
        outcome: &Outcome,
    ) -> Result<(), TransferError> {
        let (outcome, reason) = match outcome {
            Outcome::Created => ("created", None),
            Outcome::Replaced => ("replaced", None),
            Outcome::Unchanged => ("unchanged", None),
            Outcome::Skipped => ("skipped", None),
            Outcome::Deleted => ("deleted", None),
            Outcome::Refused(reason) => ("refused", Some(reason.as_str())),
        };
        let line = ResultLine {
            line,
            column,
            handle,
            outcome,
            reason,
        };
        let mut write = || {
            let mut text = serde_json::to_vec(&line)?;
            text.push(b'\n');
            self.octets += text.len() as u64;
            self.file.write_all(&text)
        };
        write().map_err(TransferError::file(&self.path))
    }

    /// Makes durable what was written; returns its octets.
    pub(super) fn sync(&mut self) -> Result<u64, TransferError> {
        let mut sync = || {
            self.file.flush()?;
            self.file.get_ref().sync_data()
        };
        sync().map_err(TransferError::file(&self.path))?;
        Ok(self.octets)
    }
}
