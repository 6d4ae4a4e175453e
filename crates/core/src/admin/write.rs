//! What an errand has written. The shell hands it to the store and tells the errand what came of
//! it.

use std::sync::Arc;

use guantong_proto::data::AdminPermissions;
use guantong_proto::{Handle, Reference};

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

/// A write, and on whose behalf and by which right it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// What is to be written.
    pub write: Write,
    /// Why it may be. Orders that are given together for one reason share it.
    pub warrant: Arc<Warrant>,
}

/// Who has something written, and what lets him.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warrant {
    /// Who has proven to be whom; `None` is anybody, where the node or the value is open to all.
    pub by: Option<Identity>,
    /// What lets him.
    pub right: Right,
}

/// What lets somebody make a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Right {
    /// The setting `administration.anonymous_admin_full_access`: anybody may everything.
    OpenNode,
    /// Every value that is touched may be written by anybody.
    OpenValues,
    /// The setting `administration.server_admins`.
    ServerAdmin,
    /// The setting `administration.server_admin_full_access`, and the one above.
    FullAccess,
    /// HS_ADMIN values: mostly one; two where a record may be written over since it could be
    /// deleted and created again. Or GT_GRANT values, one for each field that is written.
    Administrator(Vec<Used>),
}

/// What was used of an HS_ADMIN or GT_GRANT value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// The record that has the value.
    pub record: Handle,
    /// Its index.
    pub index: i32,
    /// The permissions that the change needs, which are not all that the value gives.
    pub permissions: AdminPermissions,
    /// The groups that lead from the value to the identity, outermost first; none if the value
    /// names the identity itself.
    pub through: Vec<Reference>,
}

impl Right {
    /// Both rights, where a change needs two. Those by a setting are enough for all.
    #[must_use]
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Administrator(first), Self::Administrator(second)) => {
                Self::Administrator([first, second].concat())
            }
            (right, _) => right,
        }
    }
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
