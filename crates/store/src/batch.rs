//! What a caller asks to be written: changes, their expectations, and batches of them.

use std::fmt;

use guantong_proto::Handle;

use crate::trail::{Right, Trail};

//----------- Batch ----------------------------------------------------------

/// Changes that are committed together or not at all, in their order.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The changes, at most [`BATCH_CHANGES_MAX`](crate::limits::BATCH_CHANGES_MAX).
    pub changes: Vec<Change>,
    /// When they were asked for, in milliseconds since 1970; goes into the change log.
    pub at_ms: u64,
    /// Who asked; goes into the change log.
    pub origin: Origin,
    /// From where and by which right; goes into the change log.
    pub trail: Trail,
}

//----------- Submission -----------------------------------------------------

/// A batch on its way to the writer, for [`Store::try_submit_all`](crate::Store::try_submit_all).
#[derive(Clone, Debug)]
pub struct Submission {
    /// The batch.
    pub batch: Batch,
    /// By which right each of its changes is made, in place of the one in its trail; or nothing.
    pub rights: Vec<Right>,
    /// By what the recipient knows it.
    pub mark: usize,
}

//----------- Change ---------------------------------------------------------

/// One change.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Change {
    /// Write a record whole, in place of what was there.
    Put {
        /// The handle, in the spelling to be kept.
        handle: Handle,
        /// The values in wire form: i32 count, then the values back to back.
        values: Vec<u8>,
        /// What must be there for the change to happen.
        expect: Expect,
    },
    /// Delete a record. Deleting an absent one is a conflict, unless `expect` is
    /// [`Expect::Anything`]: then nothing happens and nothing is logged.
    Delete {
        /// The handle.
        handle: Handle,
        /// What must be there for the change to happen.
        expect: Expect,
    },
    /// Accept responsibility for a prefix. Repeating it does nothing.
    Home {
        /// The prefix handle, `0.NA/…`.
        prefix: Handle,
    },
    /// Give up responsibility for a prefix. Repeating it does nothing. Records stay.
    Unhome {
        /// The prefix handle, `0.NA/…`.
        prefix: Handle,
    },
}

//----------- Expect ---------------------------------------------------------

/// What must be there for a change to happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expect {
    /// Nothing in particular.
    #[default]
    Anything,
    /// No record.
    Absent,
    /// A record.
    Present,
    /// A record of this version: nobody has changed it since it was read.
    Version(u64),
}

impl Expect {
    /// Whether a record of version `found`, or none, satisfies the expectation.
    pub fn holds(self, found: Option<u64>) -> bool {
        match self {
            Self::Anything => true,
            Self::Absent => found.is_none(),
            Self::Present => found.is_some(),
            Self::Version(version) => found == Some(version),
        }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anything => f.write_str("may be anything"),
            Self::Absent => f.write_str("was expected not to exist"),
            Self::Present => f.write_str("was expected to exist"),
            Self::Version(version) => write!(f, "was expected to have version {version}"),
        }
    }
}

//----------- Origin ---------------------------------------------------------

/// Who asked for a change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// The node itself.
    Node,
    /// An operator, through the command line or the console.
    Operator,
    /// A bulk import.
    Import,
    /// An administrator who authenticated over a protocol.
    Administrator {
        /// Handle of the key.
        handle: Handle,
        /// Index of the key.
        index: i32,
    },
    /// Replication from another site.
    Replication,
    /// Somebody who proved nothing: the node, or the value, was open to all.
    Anybody,
}

//----------- Committed ------------------------------------------------------

/// The numbers that a committed batch got in the change log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Number of the batch's first change.
    pub first: u64,
    /// Number of its last change; below `first` if nothing had to be done.
    pub last: u64,
}
