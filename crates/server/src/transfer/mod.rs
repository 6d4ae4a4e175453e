//! Moving many records: import and export of JSON Lines, resumable.
//!
//! ```text
//!   import: lines ──► parse ──► batches ──► Importer ──► outcomes ──► result file, state file
//!           └─ one thread ──────────────┘   └─ the caller's thread ──────────────────────┘
//!   export: Control ──► records in order ──► FILE.part ──► FILE
//! ```
//!
//! Lines that come in random order can be sorted by name first (`sort`).
//!
//! A line is a record in the Handle JSON form, `{"handle":…,"values":[…]}`. Memory is bounded by
//! the batches that are under way. An import that was killed continues behind the last line whose
//! fate is known: the state file says which line that is, and the node's change log says which of
//! the lines behind it had been written already (`replay`).

mod export;
mod import;
pub mod lines;
mod parse;
mod replay;
mod results;
mod sort;
mod state;

pub use export::{ExportFile, export};
pub use import::{Happening, ImportJob, import};
pub use results::Tally;
pub use state::{STATE_SUFFIX, State};

use std::io;
use std::path::PathBuf;

use crate::control::Fault;

//----------- TransferError --------------------------------------------------

/// Why an import or an export ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The node refused or went away.
    #[error(transparent)]
    Node(#[from] Fault),
    /// The input cannot be read.
    #[error("the input cannot be read: {0}")]
    Input(#[source] io::Error),
    /// The input cannot be read, or what is sorted not be kept meanwhile.
    #[error(
        "the lines cannot be sorted with the help of files in {folder}, which need room for about a third of the input: {cause}"
    )]
    Sort {
        /// Where the files are.
        folder: PathBuf,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },
    /// The output cannot be written.
    #[error("the output cannot be written: {0}")]
    Output(#[source] io::Error),
    /// A file of ours cannot be read or written.
    #[error("{path}: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },
    /// A file of ours does not hold what it should.
    #[error("{path} {what}")]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        what: String,
    },
    /// An import that sorts is to be resumable.
    #[error(
        "an import that sorts cannot be resumed: import without sorting, or without a state file"
    )]
    SortedState,
    /// The part of the input that was imported is not what it was.
    #[error(
        "the first {lines} lines of the input are not those that were imported: give the same input, or start over without resuming"
    )]
    InputChanged {
        /// How many lines were imported.
        lines: u64,
    },
}

impl TransferError {
    fn file(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::File { path, cause }
    }
}

#[cfg(test)]
mod tests;
