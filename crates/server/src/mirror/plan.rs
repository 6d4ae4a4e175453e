//! What a feed answers to one request: who asks on which terms, from where to where.

use std::time::Duration;

use guantong_core::admin::Identity;
use guantong_core::replicate::{
    Asked, Claim, Feed, Mark, Numbering, Position, Receiver, Redump, Role, Standing, Start, Told,
    Verdict,
};
use guantong_proto::HandleRef;
use guantong_proto::message::{Message, Request, ResponseCode, TxnPosition};
use guantong_proto::wire::Writer;
use guantong_store::{Entry, Snapshot, StoreError};
use tokio::time::{Instant, sleep_until};

use super::state::POSITION;
use crate::node::Node;
use crate::shutdown::Stop;

/// Most changes in one answer: a mirror that is far behind says in between how far it has come.
const CHANGES_MAX: u64 = 50_000;
/// Most records in one answer, for the same reason.
const RECORDS_MAX: u64 = 50_000;
/// Longest time that a request for changes waits for news.
const WAIT_MAX: Duration = Duration::from_secs(60);

const SEVERAL_QUEUES: &str = "this node has one queue of transactions, ask for that";

//----------- Plan -----------------------------------------------------------

/// A stream to be sent.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) what: What,
    pub(super) feed: Feed,
    pub(super) snapshot: Snapshot,
    pub(super) told: Option<Told>,
}

/// What is sent.
#[derive(Debug)]
pub(super) enum What {
    /// The changes behind one up to another.
    Changes { after: u64, last: u64 },
    /// That everything has to be asked for.
    Redump(Redump),
    /// The records behind a key, then the homed prefixes.
    Dump { after: Option<Vec<u8>>, cut_at: u64 },
}

/// A request that gets an error instead of a stream.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: ResponseCode,
    pub(super) text: String,
}

impl Plan {
    /// The body of the answer in front of the stream.
    pub(super) fn body(&self) -> Vec<u8> {
        Writer::to_vec(|w| {
            if !matches!(self.what, What::Dump { .. }) {
                // Bit 0: the connection is kept, so that the next request needs no proof.
                w.u8(self.told.is_some().into());
            }
            if let Some(told) = &self.told {
                told.write(w);
            }
        })
    }
}

/// Plans the answer to a request by `identity`, who may have it. Waits for news as long as the
/// request allows.
pub(super) async fn plan(
    node: &Node,
    identity: &Identity,
    message: &Message<'_>,
    stop: &Stop,
) -> Result<Plan, Refusal> {
    let decoded = Asked::decode(message.header.op, message.envelope.version, message.body);
    let (request, asked) = decoded.map_err(|error| Refusal {
        code: ResponseCode::PROTOCOL_ERROR,
        text: error.to_string(),
    })?;
    let wanted = Wanted::of(&request)?;
    let is_of_ours = asked
        .as_ref()
        .is_none_or(|asked| asked.log == Some(node.mirroring.own));
    let has = wanted.position.filter(|_| is_of_ours).map(|(last, _)| last);
    node.mirroring.mirrors.heard(identity, has, asked.is_some());
    let mut gives_way = false;
    if let Some(asked) = &asked {
        gives_way = hear(node, identity, asked).await?;
        // In the middle of a dump a mirror asks on behalf of changes of which it may not have the
        // records yet: only one that asks for changes has everything before them.
        if wanted.position.is_some() {
            // At once: somebody waits for it, while the answer may wait for news.
            blocking(|| confirm(node, identity, asked))?;
        }
        wait(node, asked, stop).await;
    }
    blocking(|| {
        let snapshot = node.store.snapshot()?;
        settle(node, identity, &wanted, asked.as_ref(), snapshot, gives_way)
    })
}

/// Reads the store.
fn blocking<T>(read: impl FnOnce() -> Result<T, StoreError>) -> Result<T, Refusal> {
    tokio::task::block_in_place(read).map_err(|error| {
        tracing::error!(%error, "the store failed to read for a mirror");
        Refusal {
            code: ResponseCode::ERROR,
            text: "the store could not be read; the node's log says why".to_owned(),
        }
    })
}

/// What a request asks for.
struct Wanted<'a> {
    receiver: Receiver,
    /// For changes: number and date of the last one.
    position: Option<(u64, u64)>,
    /// For everything: the record behind which it is to go on.
    resume: Option<&'a [u8]>,
}

impl<'a> Wanted<'a> {
    fn of(request: &Request<'a>) -> Result<Self, Refusal> {
        let (parameters, position, resume) = match request {
            Request::RetrieveTxn {
                position:
                    TxnPosition::Single {
                        last_txn,
                        last_query_ms,
                    },
                hash_option,
                servers,
                server,
            } => {
                let position = (last_txn.cast_unsigned(), last_query_ms.cast_unsigned());
                ((hash_option, servers, server), Some(position), None)
            }
            Request::Dump {
                hash_option,
                servers,
                server,
                resume,
            } => {
                let point = resume.map(|(point, _)| point);
                ((hash_option, servers, server), None, point)
            }
            // As servers without a daemon for several primaries answer.
            _ => {
                return Err(Refusal {
                    code: ResponseCode::ERROR,
                    text: SEVERAL_QUEUES.to_owned(),
                });
            }
        };
        let (option, servers, server) = parameters;
        let receiver = Receiver::new(*option, *servers, *server);
        Ok(Self {
            receiver: receiver.map_err(|error| Refusal {
                code: ResponseCode::PROTOCOL_ERROR,
                text: error.to_string(),
            })?,
            position,
            resume,
        })
    }
}

/// Finds out where the stream begins and ends.
fn settle(
    node: &Node,
    identity: &Identity,
    wanted: &Wanted<'_>,
    asked: Option<&Asked>,
    snapshot: Snapshot,
    gives_way: bool,
) -> Result<Plan, StoreError> {
    let end = snapshot.last_change();
    let dumped = (asked.map_or(0, |asked| asked.last), 0);
    let start = find(node, wanted.position.unwrap_or(dumped), asked, &snapshot)?;
    let what = match (wanted.position, start) {
        (Some(_), Start::Redump(why)) => What::Redump(why),
        (Some(_), Start::After(after)) => {
            let last = end.min(after.saturating_add(CHANGES_MAX));
            What::Changes { after, last }
        }
        (None, start) => {
            // What a mirror has of an earlier dump counts only if it can go on from before it.
            let may_resume = asked.is_some() && matches!(start, Start::After(_));
            let after = wanted.resume.filter(|_| may_resume).and_then(|point| {
                let handle = HandleRef::from_wire(point).ok()?;
                Some(handle.key(snapshot.case_rule()).as_bytes().to_vec())
            });
            let cut_at = asked.map_or(0, |_| RECORDS_MAX);
            What::Dump { after, cut_at }
        }
    };
    let told = match asked {
        Some(asked) => Some(tell(node, identity, asked, &what, &snapshot, gives_way)?),
        None => None,
    };
    let numbering = match asked {
        Some(_) => Numbering::Dense,
        None => Numbering::Sparse,
    };
    Ok(Plan {
        what,
        feed: Feed::new(wanted.receiver, numbering),
        snapshot,
        told,
    })
}

fn find(
    node: &Node,
    position: (u64, u64),
    asked: Option<&Asked>,
    snapshot: &Snapshot,
) -> Result<Start, StoreError> {
    let end = snapshot.last_change();
    let mut failed = None;
    let start = Start::find(
        node.mirroring.own,
        end,
        position,
        asked,
        |number| match snapshot.change(number) {
            Ok(entry) => entry.map(|entry| (mark_of(&entry), entry.at_ms)),
            Err(error) => {
                failed = Some(error);
                None
            }
        },
    );
    failed.map_or(Ok(start), Err)
}

/// What a mirror has said to have is confirmed, if it is the one that counts and speaks of our log.
fn confirm(node: &Node, identity: &Identity, asked: &Asked) -> Result<(), StoreError> {
    let counts = node.config().mirror.standby.is_none() || is_standby(node, identity);
    if !counts || asked.log != Some(node.mirroring.own) || node.store.unconfirmed() == 0 {
        return Ok(());
    }
    let snapshot = node.store.snapshot()?;
    if let Start::After(last) = find(node, (asked.last, 0), Some(asked), &snapshot)? {
        node.store.confirm(last);
    }
    Ok(())
}

fn is_standby(node: &Node, identity: &Identity) -> bool {
    let config = node.config();
    let standby = config.mirror.standby.as_ref();
    standby.is_some_and(|standby| standby.is(identity, config.case_rule))
}

pub(super) fn mark_of(entry: &Entry) -> Mark {
    let handle = entry.handle.borrow();
    Mark::of_change(entry.number, entry.action as u8, entry.at_ms, handle)
}

fn mark_at(snapshot: &Snapshot, number: u64) -> Result<Option<Mark>, StoreError> {
    Ok(snapshot.change(number)?.map(|entry| mark_of(&entry)))
}

/// The notice behind the answer.
fn tell(
    node: &Node,
    identity: &Identity,
    asked: &Asked,
    what: &What,
    snapshot: &Snapshot,
    gives_way: bool,
) -> Result<Told, StoreError> {
    let end = snapshot.last_change();
    let last = match what {
        What::Changes { last, .. } => *last,
        What::Redump(_) | What::Dump { .. } => end,
    };
    let mirroring = &node.mirroring;
    let standing = mirroring.standing();
    let is_standby = is_standby(node, identity) && standing.is_primary();
    Ok(Told {
        log: mirroring.own,
        epoch: standing.epoch,
        role: standing.role,
        case_rule: snapshot.case_rule(),
        last,
        mark: mark_at(snapshot, last)?,
        end,
        end_mark: mark_at(snapshot, end)?,
        token: is_standby.then(|| mirroring.gate.token()).flatten(),
        lease_ms: match is_standby {
            true => mirroring.gate.lease_ms(),
            false => 0,
        },
        cut_at: match what {
            What::Dump { cut_at, .. } => *cut_at,
            _ => 0,
        },
        resumed: matches!(what, What::Dump { after: Some(_), .. }),
        had: had(node, asked)?,
        gives_way,
        leader: leader(node, &standing),
    })
}

/// Who is primary, as far as this node knows; itself, if it has been promoted.
fn leader(node: &Node, standing: &Standing) -> Option<Claim> {
    match standing.role {
        Role::Primary => (standing.serial_raise() > 0).then(|| node.claim(standing.epoch)),
        Role::Mirror | Role::Fenced => standing.leader.clone(),
    }
}

/// How far this node had come in the log of whoever asks now.
fn had(node: &Node, asked: &Asked) -> Result<Option<u64>, StoreError> {
    let position = node.store.note(POSITION)?;
    // One that is damaged is found when this node follows again.
    let position = position.and_then(|octets| Position::decode(&octets).ok());
    let followed = position.as_ref().and_then(Position::followed);
    let followed = followed.filter(|followed| followed.log == Some(asked.mirror));
    Ok(followed.map(|followed| followed.last))
}

//----------- Hearing --------------------------------------------------------

/// Takes what a mirror says of itself and of others. Whether a claim in it holds here.
async fn hear(node: &Node, identity: &Identity, asked: &Asked) -> Result<bool, Refusal> {
    let mirroring = &node.mirroring;
    let standing = mirroring.standing();
    if is_standby(node, identity) {
        if standing.is_primary() {
            lease(node, asked, &standing).await?;
        }
    } else if standing.is_primary() && standing.granted && is_request(asked) {
        // The standby, cut off, may take over by itself when its lease has run out. Two nodes would
        // then be primary of the same epoch.
        return Err(Refusal {
            code: ResponseCode::SERVER_READ_ONLY,
            text: "only the standby may take over while it holds a lease; promote the standby, \
                   or this mirror with --force"
                .to_owned(),
        });
    }
    let verdict = match &asked.claim {
        Some(claim) => standing.judge(claim, mirroring.own),
        // Somebody was promoted, and this one has heard of it and not by whom.
        None if asked.epoch > standing.epoch && standing.is_primary() => {
            Verdict::Follow(Standing {
                role: Role::Fenced,
                epoch: asked.epoch,
                leader: None,
                unaware: None,
                lease_ms: 0,
                granted: false,
            })
        }
        None => return Ok(false),
    };
    match verdict {
        Verdict::Known => Ok(!standing.is_primary()),
        Verdict::Outdated => Ok(false),
        Verdict::Follow(new) => give_way(node, identity, new).await.map(|()| true),
    }
}

/// Whether the claim asks this node to give way. A node that has become primary tells of it with
/// the epoch that it has.
fn is_request(asked: &Asked) -> bool {
    let claim = asked.claim.as_ref();
    claim.is_some_and(|claim| claim.epoch > asked.epoch)
}

/// Goes on with the lease that the standby holds up, or begins with one.
async fn lease(node: &Node, asked: &Asked, standing: &Standing) -> Result<(), Refusal> {
    let gate = &node.mirroring.gate;
    let knows = asked.token.is_some_and(|token| gate.renew(&token));
    let granted = match (gate.lease_ms(), asked.claim.is_some()) {
        (0, _) if knows => false,
        (1.., false) => true,
        _ => return Ok(()),
    };
    if granted != standing.granted {
        // Saved first: after a restart this node must not take changes as if nobody knew.
        let _alone = node.mirroring.alone().await;
        let standing = Standing {
            granted,
            ..node.mirroring.standing()
        };
        let saved = node.note_standing(standing, Vec::new()).await;
        saved.map_err(|error| Refusal {
            code: ResponseCode::ERROR,
            text: error.to_string(),
        })?;
    }
    match granted {
        true => gate.arm(),
        false => gate.disarm(),
    }
    Ok(())
}

/// Takes no changes any more, and saves that.
async fn give_way(node: &Node, identity: &Identity, new: Standing) -> Result<(), Refusal> {
    tracing::warn!(
        by = %identity,
        epoch = new.epoch,
        primary = new.leader.as_ref().map(|leader| &leader.address),
        "another node takes over; this one takes no changes any more"
    );
    super::promote::give_way(node, new).await.map_err(|error| {
        tracing::error!(%error, "the take-over could not be saved");
        Refusal {
            code: ResponseCode::ERROR,
            text: "this node could not save that it gives way; its log says why".to_owned(),
        }
    })
}

/// Waits until there is something behind the position of the request, at most as long as it allows.
async fn wait(node: &Node, asked: &Asked, stop: &Stop) {
    let mirroring = &node.mirroring;
    if asked.log != Some(mirroring.own) || asked.claim.is_some() {
        return;
    }
    let mut wait = Duration::from_millis(asked.wait_ms.into()).min(WAIT_MAX);
    let lease = Duration::from_millis(mirroring.gate.lease_ms());
    if !lease.is_zero() {
        // Silence must not look like absence.
        wait = wait.min(lease / 4);
    }
    let due = Instant::now() + wait;
    let (mut news, mut changes) = (mirroring.news(), mirroring.changes());
    let arrived = news.wait_for(|last| *last > asked.last);
    tokio::select! {
        _ = arrived => {}
        _ = changes.changed() => {}
        () = sleep_until(due) => {}
        () = stop.told() => {}
    }
}
