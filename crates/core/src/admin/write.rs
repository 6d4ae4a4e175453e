//! What an errand has written. The shell hands it to the store and tells the errand what came of
//! it.

use guantong_proto::Handle;

use super::authenticate::Identity;

//----------- Write ----------------------------------------------------------

/// One change of the store, decided on what was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Write a record whole.
    Put {
        /// The handle, in the spelling to be kept.
        handle: Handle,
        /// The values in wire form.
        values: Vec<u8>,
        /// What must be there.
        expect: Expected,
    },
    /// Delete a record.
    Delete {
        /// The handle.
        handle: Handle,
        /// What must be there.
        expect: Expected,
    },
    /// Accept responsibility for a prefix.
    Home {
        /// The prefix handle.
        prefix: Handle,
    },
    /// Give it up.
    Unhome {
        /// The prefix handle.
        prefix: Handle,
    },
}

impl Write {
    /// What it does to the record.
    pub(super) fn effect(&self) -> Effect {
        match self {
            Self::Put {
                expect: Expected::Absent,
                ..
            } => Effect::Created,
            Self::Put { .. } | Self::Home { .. } | Self::Unhome { .. } => Effect::Changed,
            Self::Delete { .. } => Effect::Deleted,
        }
    }
}

/// What a change does to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// There was none.
    Created,
    /// Its values are changed, or would be if they were not so already.
    Changed,
    /// It is gone.
    Deleted,
}

/// What must be there for a write to happen: what the decision was based on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// No record.
    Absent,
    /// The record of this version.
    Version(u64),
}

//----------- Order ----------------------------------------------------------

/// A write and who has it done; `None` is anybody, where the node or the value is open to all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// What is to be written.
    pub write: Write,
    /// On whose behalf.
    pub by: Option<Identity>,
}

/// What came of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is on the medium.
    Done,
    /// Something else is there than was expected; the errand decides anew.
    Conflict,
    /// The store has too much to do.
    Busy,
    /// This node takes no changes now, for this reason.
    NotAdmitted(String),
    /// It is on the medium, but for this reason it is not certain that it lasts.
    Unconfirmed(String),
    /// The store does not take such a record, for this reason.
    Unfit(String),
    /// The store failed; the log says why.
    Failed,
}
