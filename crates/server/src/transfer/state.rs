//! The state file of an import: where to continue after it was interrupted.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use guantong_api::control::OnConflict;
use serde::{Deserialize, Serialize};

use super::TransferError;
use super::lines::Mark;
use super::results::Tally;

/// What is appended to a file's name for the state of its import.
pub const STATE_SUFFIX: &str = ".state";
/// Version of the state file.
const VERSION: u32 = 1;

//----------- State ----------------------------------------------------------

/// Everything up to `mark` is durable: in the store, and in the result file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Version of this form.
    version: u32,
    /// How far the input was consumed, and the digest of that part.
    pub mark: Mark,
    /// What was done with records that were there already.
    pub on_conflict: OnConflict,
    /// Octets of the result file.
    pub results_octets: u64,
    /// Number of the last change that is accounted for; later ones of an import may be ours.
    pub last_change: u64,
    /// How many lines came to what.
    pub tally: Tally,
}

impl State {
    /// An import that has not begun, on a store whose last change is `last_change`.
    pub(super) fn new(on_conflict: OnConflict, last_change: u64) -> Self {
        Self {
            version: VERSION,
            mark: Mark::default(),
            on_conflict,
            results_octets: 0,
            last_change,
            tally: Tally::default(),
        }
    }

    /// Reads a state file; `None` if there is none.
    pub fn load(path: &Path) -> Result<Option<Self>, TransferError> {
        let text = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(TransferError::file(path))?,
        };
        let unfit = |what: String| TransferError::Unfit {
            path: path.to_owned(),
            what,
        };
        let state: Self = serde_json::from_slice(&text).map_err(|error| {
            unfit(format!(
                "is not the state of an import ({error}): start over without resuming"
            ))
        })?;
        match state.version {
            VERSION => Ok(Some(state)),
            other => Err(unfit(format!(
                "has version {other}, this software knows {VERSION}: start over without resuming"
            ))),
        }
    }

    /// Replaces the state file, atomically and durably.
    pub(super) fn save(&self, path: &Path) -> Result<(), TransferError> {
        let mut next = path.as_os_str().to_owned();
        next.push(".next");
        let next = Path::new(&next);
        let save = || {
            let mut file = File::create(next)?;
            serde_json::to_writer(&mut file, self)?;
            file.write_all(b"\n")?;
            file.sync_data()?;
            fs::rename(next, path)
        };
        save().map_err(TransferError::file(path))
    }
}
