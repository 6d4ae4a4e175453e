//! What the operator has settled about administration: who may do what on this node as a whole.

use guantong_proto::message::ResponseCode;
use guantong_proto::{CaseRule, Handle};

use super::authenticate::Identity;

//----------- Rules ----------------------------------------------------------

/// Identities with rights on the node, by configuration. Rights on records are in the records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Who may home and unhome prefixes and list what is homed.
    pub server_admins: Vec<Identity>,
    /// Whether they may do everything else, too, whatever the records say.
    pub server_admin_full_access: bool,
    /// Who may follow this node as a mirror.
    pub replication_admins: Vec<Identity>,
    /// Whether anybody may change anything, for test nodes that nobody else can reach. Streams of
    /// everything, and values that are not public, still need an identity.
    pub anonymous_admin_full_access: bool,
    /// What the deletion of a record by a client comes to.
    pub on_delete: OnDelete,
}

/// What the deletion of a record by a client comes to, unless the client insists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum OnDelete {
    /// The record is removed, and the name may be given again.
    #[default]
    Remove,
    /// The record is withdrawn, and keeps its name.
    Withdraw,
}

impl Rules {
    /// Whether `identity` may have every record, restricted ones included, as a stream.
    pub fn replication(&self, identity: &Identity, rule: CaseRule) -> Result<(), Denied> {
        allow(
            &self.replication_admins,
            identity,
            rule,
            "administration.replication_admins",
        )
    }

    /// Whether `identity` may say what this node is responsible for.
    pub fn server(&self, identity: &Identity, rule: CaseRule) -> Result<(), Denied> {
        allow(
            &self.server_admins,
            identity,
            rule,
            "administration.server_admins",
        )
    }

    /// Whether `identity` may do everything with every record.
    pub fn may_everything(&self, identity: &Identity, rule: CaseRule) -> bool {
        self.server_admin_full_access && self.server(identity, rule).is_ok()
    }
}

fn allow(
    list: &[Identity],
    identity: &Identity,
    rule: CaseRule,
    setting: &'static str,
) -> Result<(), Denied> {
    match list.iter().any(|admin| admin.is(identity, rule)) {
        true => Ok(()),
        false => Err(Denied::NotConfigured {
            identity: identity.clone(),
            setting,
        }),
    }
}

//----------- Denied ---------------------------------------------------------

/// Why an identity that is proven may not do what it asks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// The right is given by configuration, and was not.
    #[error("{identity} is not among {setting} of this node")]
    NotConfigured {
        /// Who asks.
        identity: Identity,
        /// The setting that gives the right.
        setting: &'static str,
    },
    /// No administrator of the record has all of the permissions and is this identity.
    #[error("{identity} has not the permission to {needed} by an HS_ADMIN value of {record}")]
    NoPermission {
        /// Who asks.
        identity: Identity,
        /// The permissions needed, by their names.
        needed: String,
        /// The record whose administrators count.
        record: Handle,
    },
    /// Nobody but these decides who has a role.
    #[error(
        "{identity} does not decide who is in {group}: the key of {prefix}, the role administrators \
         and whoever has every permission by an HS_ADMIN value of {prefix} do; have one of them do \
         it, or run `guantong identity roles` on the machine of the node"
    )]
    NotOverRoles {
        /// Who asks.
        identity: Identity,
        /// The group of the role.
        group: Handle,
        /// The record that puts the role in force.
        prefix: Handle,
    },
    /// The record whose administrators count does not exist.
    #[error("there is no record of {record}, which would say who may do this")]
    NoRecord {
        /// The record whose administrators count.
        record: Handle,
    },
}

impl Denied {
    /// The response code that says the same to a peer (end of 6.2).
    pub fn code(&self) -> ResponseCode {
        match self {
            Self::NotConfigured { .. }
            | Self::NoPermission { .. }
            | Self::NotOverRoles { .. }
            | Self::NoRecord { .. } => ResponseCode::INVALID_ADMIN,
        }
    }
}
