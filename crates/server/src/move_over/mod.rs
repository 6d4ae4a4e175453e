//! Moving over (迁移): what an enterprise node of another product holds, as records of ours.
//!
//! ```text
//!   old node ──peer──► answers ──http::v1::moved──► records ──spool──► DIR/records.jsonl
//!      HTTP, as one of its applications                   └─ told ──► DIR/report.jsonl
//! ```
//!
//! Reading and writing are two steps: [`read`] makes a folder with records as JSON Lines, which
//! [`import`](crate::transfer::import) writes. What is in the folder is not asked for again, so
//! that reading goes on where it was interrupted; and the folder can be looked through before
//! anything is written.

mod peer;
mod read;
mod spool;

use std::io;
use std::path::PathBuf;

pub use peer::{Old, PeerError};
pub use read::{Reading, Step, read};
pub use spool::{RECORDS_FILE, REPORT_FILE, RESULTS_FILE, Row, Tally};

/// Why reading ended early. What was read so far stays in the folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MoveError {
    /// The old node does not answer any more, or does not let the application in.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// A file of the folder cannot be read or written.
    #[error("{path}: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },
    /// There is more than one folder holds.
    #[error("there are more than {limit} records: read some categories at a time (--category)")]
    TooMany {
        /// How many it holds.
        limit: usize,
    },
}
