//! What an operator can ask about mirrors, on the control socket.

use std::sync::{Arc, Weak};

use guantong_api::control::{Lag, MirrorStatus, Promotion, Reason, Refusal};
use guantong_core::replicate::Role;
use guantong_store::{Admission, Origin, Store, StoreError};

use super::promote::{Promote, PromoteError};
use super::state::{self, ReadError};
use crate::control::Mirrors;
use crate::node::Node;

//----------- Of a running node ----------------------------------------------

/// Answers for a node, as long as there is one.
pub(crate) struct OfNode(pub(crate) Weak<Node>);

impl OfNode {
    fn node(&self) -> Result<Arc<Node>, Refusal> {
        self.0.upgrade().ok_or_else(|| Refusal {
            reason: Reason::Busy,
            message: "the node stops".to_owned(),
        })
    }
}

impl Mirrors for OfNode {
    fn status(&self) -> Result<MirrorStatus, Refusal> {
        let node = self.node()?;
        let mirroring = &node.mirroring;
        let standing = mirroring.standing();
        let figures = mirroring.figures();
        let follows = standing.role != Role::Primary;
        Ok(MirrorStatus {
            role: standing.role.name().to_owned(),
            epoch: standing.epoch,
            primary: mirroring.primary(&node.config()),
            is_complete: figures.is_complete || !follows,
            last: follows.then_some(figures.last),
            lag: follows.then(|| Lag {
                changes: figures.lag_changes(),
                seconds: figures.lag().map(|lag| lag.as_secs()),
            }),
            mirrors: u64::try_from(mirroring.feeds()).unwrap_or(u64::MAX),
            takes_changes: mirroring.takes_changes().is_ok(),
            why_not: mirroring.takes_changes().err(),
            unaware: standing.unaware.map(|old| old.address),
        })
    }

    fn promote(&self, promote: Promote) -> Result<Promotion, Refusal> {
        let node = self.node()?;
        let promoted = node.promote(promote).map_err(|error| Refusal {
            reason: match error {
                PromoteError::Save(_) | PromoteError::Read(_) => Reason::Store,
                PromoteError::Stopping => Reason::Busy,
                _ => Reason::Conflict,
            },
            message: error.to_string(),
        })?;
        Ok(Promotion {
            epoch: promoted.epoch,
            how: promoted.how,
        })
    }
}

//----------- Of a store without its node ------------------------------------

/// Keeps a command that has opened the store itself from changing what only replication or a lease
/// may change.
pub(crate) fn guard(store: &Store) -> Result<(), StoreError> {
    let why = match state::saved(store) {
        Ok(None) => return Ok(()),
        Ok(Some(standing)) if standing.is_primary() && !standing.granted => return Ok(()),
        Ok(Some(standing)) if standing.is_primary() => {
            "it takes changes only while its standby is in touch, so the node must run; start it"
                .to_owned()
        }
        Ok(Some(_)) => "it is a mirror; make changes at its primary".to_owned(),
        Err(ReadError::Store(error)) => return Err(error),
        Err(error) => error.to_string(),
    };
    store.set_admission(Arc::new(Closed(why.into())));
    Ok(())
}

struct Closed(Arc<str>);

impl Admission for Closed {
    fn admits(&self, _origin: &Origin) -> Result<(), Arc<str>> {
        Err(self.0.clone())
    }
}
