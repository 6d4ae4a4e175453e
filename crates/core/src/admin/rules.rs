//! What the operator has settled about administration: who may do what on this node as a whole.

use guantong_proto::CaseRule;
use guantong_proto::message::ResponseCode;

use super::authenticate::Identity;

//----------- Rules ----------------------------------------------------------

/// Identities with rights on the node, by configuration. Rights on records are in the records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Who may follow this node as a mirror.
    pub replication_admins: Vec<Identity>,
}

impl Rules {
    /// Whether `identity` may have every record, restricted ones included, as a stream.
    pub fn replication(&self, identity: &Identity, rule: CaseRule) -> Result<(), Denied> {
        match self
            .replication_admins
            .iter()
            .any(|admin| admin.is(identity, rule))
        {
            true => Ok(()),
            false => Err(Denied::NotConfigured {
                identity: identity.clone(),
                setting: "administration.replication_admins",
            }),
        }
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
}

impl Denied {
    /// The response code that says the same to a peer (end of 6.2).
    pub fn code(&self) -> ResponseCode {
        match self {
            Self::NotConfigured { .. } => ResponseCode::INVALID_ADMIN,
        }
    }
}
