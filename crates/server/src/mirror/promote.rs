//! Taking over: a mirror becomes primary, and the primary before it learns of that.

use std::time::Duration;

use guantong_core::replicate::{Claim, Position, Role, Standing};
use guantong_store::{Note, WriteError};
use tokio::sync::oneshot;

use super::follow::{FollowError, Job};
use super::gate::boot_ms;
use super::link::Peer;
use super::state::POSITION;
use crate::node::Node;
use crate::publish;

/// Time to take what the old primary has and we have not, once it gives way.
const HAND_OVER_TIME: Duration = Duration::from_secs(60);
/// Time in which a primary that can be reached answers that it gives way.
const ASK_TIME: Duration = Duration::from_secs(15);

//----------- Promote --------------------------------------------------------

/// The operator's wish that this node becomes primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promote {
    /// Only if the old primary takes no changes any more, and everything is here.
    Safely,
    /// Although the old primary may still take changes, or has some that are not here.
    ByForce,
}

/// A wish on its way to the job, and where the outcome goes.
pub(super) struct Wish {
    promote: Promote,
    reply: oneshot::Sender<Result<Promoted, PromoteError>>,
}

impl Node {
    /// Makes this node the primary. May take as long as a lease, and is called from a thread that
    /// runs no tasks.
    pub fn promote(&self, promote: Promote) -> Result<Promoted, PromoteError> {
        let (reply, outcome) = oneshot::channel();
        let wish = Wish { promote, reply };
        self.mirroring.wish(wish);
        outcome
            .blocking_recv()
            .unwrap_or(Err(PromoteError::Stopping))
    }
}

/// A node has become primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promoted {
    /// The new epoch.
    pub epoch: u64,
    /// How it came about, for people.
    pub how: String,
}

/// Why a node has not become primary.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PromoteError {
    /// It is primary.
    #[error("this node is the primary already, of epoch {epoch}")]
    Already {
        /// The epoch.
        epoch: u64,
    },
    /// It has not everything.
    #[error(
        "this mirror has not received everything yet, so records would be missing; wait for \
         `guantong mirror status` to say that it is complete"
    )]
    Incomplete,
    /// The other one may still take changes.
    #[error(
        "the primary cannot be reached ({why}), and it has promised this node no lease, so it may \
         still take changes; stop it for certain, then use --force"
    )]
    NoLease {
        /// Why it cannot be reached.
        why: String,
    },
    /// The primary has given way, and some of what it has is not here.
    #[error(
        "the primary has given way, but not all of its changes could be fetched ({why}); try \
         again, or do without them and use --force: it exports them when it is back"
    )]
    Partly {
        /// Why not.
        why: String,
    },
    /// Another node is primary.
    #[error("{address} is the primary now, of epoch {epoch}; this node will follow it")]
    Other {
        /// Where it is.
        address: String,
        /// Its epoch.
        epoch: u64,
    },
    /// The node stops.
    #[error("the node stops, or another command to promote it is being carried out; ask again")]
    Stopping,
    /// It could not be saved.
    #[error("it could not be saved that this node is the primary: {0}")]
    Save(#[from] WriteError),
    /// What is saved could not be read.
    #[error("{0}")]
    Read(String),
}

//----------- Giving way -----------------------------------------------------

/// Takes no changes any more, and saves what this node is instead. On return, every change that was
/// being taken is in the log, and no other will come but by replication.
pub(super) async fn give_way(node: &Node, new: Standing) -> Result<(), WriteError> {
    let mirroring = &node.mirroring;
    let _alone = mirroring.alone().await;
    mirroring.gate.close();
    let store = node.store.clone();
    // A thread that panicked has written nothing more either.
    let _ = tokio::task::spawn_blocking(move || store.settle()).await;
    let was_primary = mirroring.standing().is_primary();
    let mut notes = Vec::new();
    if was_primary {
        // A position in the log of an earlier primary means nothing any more.
        notes.push(Note {
            name: POSITION.to_owned(),
            octets: Position::Nothing.encode(),
        });
    }
    let saved = node.set_standing(new, notes).await;
    if saved.is_err() {
        // Nothing was promised yet, so it goes on as before.
        mirroring.gate.reopen();
    }
    saved
}

//----------- Taking over ----------------------------------------------------

/// How the old primary took it.
enum HandOver {
    /// It takes no changes any more, and everything it has is here.
    Whole,
    /// It takes no changes any more; some of what it has could not be fetched.
    Partly(FollowError),
}

impl Job {
    /// Carries out the operator's wish.
    pub(super) async fn promote(&mut self, wish: Wish) {
        let outcome = self.try_promote(wish.promote == Promote::ByForce).await;
        match &outcome {
            Ok(Promoted { epoch, how }) => {
                tracing::warn!(epoch, how, "this node is the primary now");
            }
            Err(error) => tracing::warn!(%error, "this node was not promoted"),
        }
        // Whoever asked may be gone.
        let _ = wish.reply.send(outcome);
    }

    async fn try_promote(&mut self, force: bool) -> Result<Promoted, PromoteError> {
        let store = self.node.store.clone();
        // What the follower has handed over shall count.
        let _ = tokio::task::spawn_blocking(move || store.settle()).await;
        let node = self.node.clone();
        let standing = node.mirroring.standing();
        self.count_anew(&standing);
        if standing.is_primary() && !force {
            return Err(PromoteError::Already {
                epoch: standing.epoch,
            });
        }
        let read = |error: super::state::ReadError| PromoteError::Read(error.to_string());
        let position = node.mirroring.position(&node.store).map_err(read)?;
        if !standing.is_primary() && !position.is_complete() && !force {
            return Err(PromoteError::Incomplete);
        }
        let claim = node.claim(standing.epoch + 1);
        let peer = match standing.role {
            // A primary that forces a new epoch frees itself of its standby.
            Role::Primary => None,
            Role::Mirror | Role::Fenced => self.peer(&standing).await.ok().flatten(),
        };
        let asked = match &peer {
            Some(peer) => self.hand_over(peer, &claim).await,
            None => Err(FollowError::NoPrimary),
        };
        let (how, gave_way) = match asked {
            Ok(HandOver::Whole) => ("the old primary has handed over".to_owned(), true),
            Ok(HandOver::Partly(error)) if !force => {
                let why = error.to_string();
                return Err(PromoteError::Partly { why });
            }
            Ok(HandOver::Partly(error)) => (
                format!(
                    "the old primary has given way, but not all of its changes could be fetched \
                     ({error}); it will export them when it is back"
                ),
                true,
            ),
            Err(FollowError::Other(other)) => {
                return Err(PromoteError::Other {
                    address: other.address,
                    epoch: other.epoch,
                });
            }
            Err(error) => (self.without_consent(force, &error).await?, false),
        };
        let before = peer.map(|peer| Claim {
            epoch: standing.epoch,
            leader: log_of(&position),
            address: peer.address,
            key: peer.key.encode(),
        });
        let epoch = self.become_primary(&standing, before, gave_way).await?;
        Ok(Promoted { epoch, how })
    }

    /// Saves that this node is the primary, and publishes it.
    async fn become_primary(
        &self,
        standing: &Standing,
        before: Option<Claim>,
        gave_way: bool,
    ) -> Result<u64, PromoteError> {
        let node = self.node.clone();
        let old_key = before.as_ref().map(|old| old.key.clone());
        let _alone = node.mirroring.alone().await;
        // Standings may only have changed meanwhile if a higher claim came in.
        let now = node.mirroring.standing();
        if now.epoch > standing.epoch + u64::from(gave_way) {
            let address = now.leader.map_or_else(String::new, |leader| leader.address);
            return Err(PromoteError::Other {
                address,
                epoch: now.epoch,
            });
        }
        let promoted = standing.promoted(before.filter(|_| !gave_way));
        let epoch = promoted.epoch;
        node.set_standing(promoted, Vec::new()).await?;
        let published = node.clone();
        let publishing =
            tokio::task::spawn_blocking(move || publish::take_over(&published, old_key.as_deref()));
        if let Ok(Err(error)) = publishing.await {
            tracing::error!(%error, "the prefix records could not be put right");
        }
        Ok(epoch)
    }

    /// What becomes of a take-over that the old primary does not agree to.
    async fn without_consent(
        &self,
        force: bool,
        error: &FollowError,
    ) -> Result<String, PromoteError> {
        if force {
            return Ok(format!(
                "by force, without a word of the old primary ({error}); changes that it alone has \
                 are not here"
            ));
        }
        let Some(over_at) = self.patience.over_at_ms() else {
            return Err(PromoteError::NoLease {
                why: error.to_string(),
            });
        };
        while boot_ms() < over_at {
            let left = Duration::from_millis(over_at.saturating_sub(boot_ms()).max(1));
            tokio::time::sleep(left).await;
        }
        Ok(format!(
            "the old primary cannot be reached ({error}), and its lease has run out"
        ))
    }

    /// Asks the primary to give way, and takes what is not here yet.
    async fn hand_over(&mut self, peer: &Peer, claim: &Claim) -> Result<HandOver, FollowError> {
        let asking = tokio::time::timeout(ASK_TIME, self.claim_from(peer, claim)).await;
        let mut session = asking.unwrap_or(Err(FollowError::Slow))?;
        let fetching = tokio::time::timeout(HAND_OVER_TIME, self.fetch_rest(&mut session, claim));
        Ok(match fetching.await.unwrap_or(Err(FollowError::Slow)) {
            Ok(()) => HandOver::Whole,
            Err(error) => HandOver::Partly(error),
        })
    }
}

fn log_of(position: &Position) -> guantong_core::replicate::LogId {
    let log = match position {
        Position::Nothing => None,
        Position::Dumping(dumping) => dumping.then.log,
        Position::Following(following) => following.log,
    };
    log.unwrap_or(guantong_core::replicate::LogId([0; 16]))
}
