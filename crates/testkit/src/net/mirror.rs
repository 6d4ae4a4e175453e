//! The mirror's side of replication: the shell around `core::replicate::Follower`.
//!
//! What a mirror has is written portion by portion; the next request leaves when all of it is
//! durable, so what it confirms survives a crash.

use guantong_core::replicate::{
    Backoff, Channel, Claim, Fault, Follower, Lease, LogId, Patience, Portion, Reaction, Role,
    Standing, Told, Verdict,
};
use guantong_proto::message::OpCode;
use guantong_proto::stream::StreamDecoder;
use guantong_proto::wire::{Reader, Writer};

use super::feed::{Poll, Served};
use super::gate::Pending;
use super::node::{Kind, Member, NodeId, node_at};
use super::store::{RULE, Step};
use super::stream::{ConnectionId, Purpose};
use super::{Net, Sabotage, Wake};

/// How long a primary may wait for news before it answers.
const WAIT_MS: u32 = 1_500;
/// How long a disk takes at most for one commit.
const SYNC_MS: u64 = 12;
/// How long it takes at most when it is busy.
const SYNC_BUSY_MS: u64 = 300;
/// Longest notice.
const NOTICE_LEN_MAX: usize = 64 * 1_024;

//----------- Running --------------------------------------------------------

/// What the process of a member knows; lost when it dies.
pub(super) struct Running {
    /// As primary: until when changes may be taken.
    pub(super) lease: Lease,
    /// As primary: requests that wait for news.
    pub(super) polls: Vec<Poll>,
    /// As primary: writes that are not done yet.
    pub(super) pending: Vec<Pending>,
    /// As primary: the last of its own changes that its standby has.
    pub(super) confirmed: u64,
    /// As standby: when the primary has certainly stopped.
    pub(super) patience: Patience,
    /// As mirror.
    follow: Option<Follow>,
    /// The request by which it wants to become primary.
    pub(super) claim: Option<Claim>,
    /// What the primary said when it gave way: its log, and its last change.
    pub(super) gave_way: Option<(LogId, u64)>,
    /// The octets of the answer of the primary of before.
    pub(super) telling: Option<(ConnectionId, Vec<u8>)>,
}

/// Following a primary.
struct Follow {
    follower: Follower,
    backoff: Backoff,
    incoming: Option<Incoming>,
    /// The commit that must be durable before the next request.
    needs: u64,
}

/// A reply that is coming.
struct Incoming {
    connection: ConnectionId,
    buffer: Vec<u8>,
    decoder: Option<StreamDecoder>,
}

/// What came of the octets so far.
#[derive(Default)]
struct Progress {
    told: Option<Told>,
    portions: Vec<Portion>,
    is_over: bool,
}

impl Running {
    pub(super) fn new() -> Self {
        Self {
            lease: Lease::new(0, 0),
            polls: Vec::new(),
            pending: Vec::new(),
            confirmed: 0,
            patience: Patience::new(0, 0),
            follow: None,
            claim: None,
            gave_way: None,
            telling: None,
        }
    }
}

impl Running {
    /// Gives up the reply that is coming, and returns its stream.
    pub(super) fn stop_reply(&mut self) -> Option<ConnectionId> {
        let incoming = self.follow.as_mut()?.incoming.take()?;
        Some(incoming.connection)
    }

    /// Follows anew from a position.
    pub(super) fn follow_anew(&mut self, follower: Follower) {
        if let Some(follow) = &mut self.follow {
            follow.follower = follower;
            follow.incoming = None;
        }
    }
}

impl Follow {
    /// Reads what has come.
    fn read(&mut self, own_last: u64) -> (Progress, Result<(), Fault>) {
        let mut progress = Progress::default();
        let result = self.read_into(own_last, &mut progress);
        (progress, result)
    }

    fn read_into(&mut self, own_last: u64, progress: &mut Progress) -> Result<(), Fault> {
        let Some(incoming) = &mut self.incoming else {
            return Ok(());
        };
        if incoming.decoder.is_none() {
            let Some(notice) = take_notice(&mut incoming.buffer)? else {
                return Ok(());
            };
            progress.told = Told::read(&notice)?;
            let Some(kind) = self.follower.answered(&notice, own_last)? else {
                progress.is_over = true;
                return Ok(());
            };
            self.follower.comes(Channel::Protected, None);
            incoming.decoder = Some(StreamDecoder::new(kind));
        }
        let Some(decoder) = &mut incoming.decoder else {
            return Ok(());
        };
        let mut at = 0;
        while let Some((block, len)) = decoder.next(&incoming.buffer[at..])? {
            at += len;
            self.follower.block(&block)?;
            progress
                .portions
                .extend(std::iter::from_fn(|| self.follower.next_portion()));
        }
        incoming.buffer.drain(..at);
        progress.is_over = decoder.is_done();
        Ok(())
    }
}

/// The notice at the beginning of a reply, once it is whole.
pub(super) fn take_notice(buffer: &mut Vec<u8>) -> Result<Option<Vec<u8>>, Fault> {
    let mut r = Reader::new(buffer);
    let Ok(len) = r.u32("length of the notice") else {
        return Ok(None);
    };
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    if len > NOTICE_LEN_MAX {
        return Err(Fault::Block { block: "a notice" });
    }
    if buffer.len() < 4 + len {
        return Ok(None);
    }
    let notice = buffer[4..4 + len].to_vec();
    buffer.drain(..4 + len);
    Ok(Some(notice))
}

/// A request as it travels here: the operation, then the body.
pub(super) fn frame_request((op, body): (OpCode, Vec<u8>)) -> Vec<u8> {
    Writer::to_vec(|w| {
        w.i32(op.0);
        w.raw(&body);
    })
}

/// The node at the address of a claim.
pub(super) fn node_of(claim: &Claim) -> Option<NodeId> {
    let address: std::net::SocketAddr = claim.address.parse().ok()?;
    node_at(address.ip())
}

impl Net {
    pub(super) fn member(&self, id: NodeId) -> Option<&Member> {
        match &self.nodes[id].kind {
            Kind::Member(member) => Some(member),
            _ => None,
        }
    }

    pub(super) fn member_mut(&mut self, id: NodeId) -> Option<&mut Member> {
        match &mut self.nodes[id].kind {
            Kind::Member(member) => Some(member),
            _ => None,
        }
    }

    /// Starts the process of a member.
    pub(super) fn start_member(&mut self, id: NodeId) {
        let run = self.random.next_u64();
        let portion = self.plan.portion;
        let local_ms = self.nodes[id].clock.local_ms(self.now);
        let Some(group) = self.member(id).map(|member| member.group) else {
            return;
        };
        let lease_ms = self.groups[group].manner.lease_ms();
        let Some(member) = self.member_mut(id) else {
            return;
        };
        let (standing, position) = (&member.store.seen.standing, &member.store.seen.position);
        let follower = Follower::new(member.store.id, RULE, position.clone(), standing.epoch);
        member.running = Running {
            lease: Lease::new(lease_ms, run),
            patience: Patience::new(standing.lease_ms, local_ms),
            follow: Some(Follow {
                follower: follower.in_portions_of(portion),
                backoff: Backoff::default(),
                incoming: None,
                needs: 0,
            }),
            ..Running::new()
        };
        self.observe(id);
        self.wake(id, self.now + 1, Wake::Follow);
        self.wake(id, self.now + 1, Wake::Tell);
    }

    /// The process of a member dies.
    pub(super) fn crash_member(&mut self, id: NodeId) {
        if let Some(member) = self.member_mut(id) {
            member.store.crash();
            member.running = Running::new();
        }
        self.observe(id);
    }

    /// Commits, and lets the disk work.
    pub(super) fn commit(&mut self, id: NodeId, steps: Vec<Step>) -> u64 {
        let Some(member) = self.member_mut(id) else {
            return 0;
        };
        let commit = member.store.commit(steps);
        self.observe(id);
        let longest = match self.random.chance(20) {
            true => SYNC_BUSY_MS,
            false => SYNC_MS,
        };
        let at = self.now + 1 + self.random.below(longest);
        self.wake(id, at, Wake::Synced(commit));
        commit
    }

    pub(super) fn on_synced(&mut self, id: NodeId, commit: u64) {
        let Some(member) = self.member_mut(id) else {
            return;
        };
        let led_before = member.leads();
        member.store.sync(commit);
        if member.leads() && !led_before {
            self.on_promoted(id);
        }
        self.settle_pending(id);
        self.look_at_polls(id);
        self.follow(id);
    }

    //--- Following

    /// Asks the primary, unless something is under way.
    pub(super) fn follow(&mut self, id: NodeId) {
        let local_ms = self.nodes[id].clock.local_ms(self.now);
        self.promote_if_patience_is_over(id, local_ms);
        let Some(target) = self.target_of(id) else {
            return;
        };
        let sabotage = self.sabotage;
        let Some(member) = self.member_mut(id) else {
            return;
        };
        let running = &mut member.running;
        let Some(follow) = running.follow.as_mut() else {
            return;
        };
        let is_durable =
            follow.needs <= member.store.synced() || sabotage == Some(Sabotage::ConfirmedTooEarly);
        if follow.incoming.is_some() || !is_durable {
            return;
        }
        let claim = running.claim.as_ref();
        let wait_ms = match claim {
            Some(_) => 0,
            None => WAIT_MS,
        };
        let request = frame_request(follow.follower.request(wait_ms, claim));
        if claim.is_none() && follow.follower.token().is_some() {
            running.patience.returning(local_ms);
        }
        let connection = self.open_stream(id, target, Purpose::Follow, request);
        if let Some(follow) = self.following(id) {
            follow.incoming = Some(Incoming {
                connection,
                buffer: Vec::new(),
                decoder: None,
            });
        }
    }

    fn following(&mut self, id: NodeId) -> Option<&mut Follow> {
        self.member_mut(id)?.running.follow.as_mut()
    }

    /// Whom a member follows; `None` if nobody.
    fn target_of(&self, id: NodeId) -> Option<NodeId> {
        let member = self.member(id)?;
        let standing = &member.store.seen.standing;
        if standing.is_primary() {
            return None;
        }
        let configured = self.groups[member.group].members[0];
        let target = standing.leader.as_ref().and_then(node_of);
        Some(target.unwrap_or(configured)).filter(|target| *target != id)
    }

    pub(super) fn on_followed_piece(&mut self, id: NodeId, stream: ConnectionId, piece: &[u8]) {
        let Some(member) = self.member_mut(id) else {
            return;
        };
        let own_last = member.store.seen.last();
        let Some(follow) = member.running.follow.as_mut() else {
            return;
        };
        match &mut follow.incoming {
            Some(incoming) if incoming.connection == stream => {
                incoming.buffer.extend_from_slice(piece);
            }
            _ => return,
        }
        let role = member.store.seen.standing.role;
        let (progress, result) = follow.read(own_last);
        if let Some(told) = &progress.told {
            self.hear(id, told);
            let is_blind = self.sabotage == Some(Sabotage::ClaimantFollowed);
            let is_primary = told.role == Role::Primary || told.gives_way;
            if role == Role::Fenced && !is_primary && !is_blind {
                // The claimant is not primary yet: it may not even have what this node has.
                self.close_stream(stream);
                return self.on_follow_broken(id, stream);
            }
        }
        for portion in progress.portions {
            let Some(member) = self.member(id) else {
                return;
            };
            let (work, position) = (portion.work, portion.position);
            let steps = member.store.steps_of(work, position, portion.at_ms);
            let commit = self.commit(id, steps);
            if let Some(follow) = self.following(id) {
                follow.needs = commit;
            }
        }
        match result {
            Err(fault) => self.on_fault(id, stream, &fault),
            Ok(()) if progress.is_over => self.on_stream_over(id, stream),
            Ok(()) => {}
        }
    }

    fn on_fault(&mut self, id: NodeId, stream: ConnectionId, fault: &Fault) {
        self.say(format_args!("{id} cannot go on following: {fault}"));
        self.close_stream(stream);
        if let Some(follow) = self.following(id)
            && fault.reaction() == Reaction::Redump
        {
            follow.follower.redump();
        }
        self.on_follow_broken(id, stream);
    }

    pub(super) fn on_follow_broken(&mut self, id: NodeId, stream: ConnectionId) {
        let random = self.random.next_u64();
        let Some(follow) = self.following(id) else {
            return;
        };
        match &follow.incoming {
            Some(incoming) if incoming.connection == stream => follow.incoming = None,
            _ => return,
        }
        let wait = follow.backoff.failed(random);
        self.wake(id, self.now + wait, Wake::Follow);
    }

    /// A stream has ended well.
    fn on_stream_over(&mut self, id: NodeId, stream: ConnectionId) {
        self.close_stream(stream);
        let served = self.served.remove(&stream);
        let Some(follow) = self.following(id) else {
            return;
        };
        follow.incoming = None;
        follow.backoff.succeeded();
        if let Some(served) = served {
            self.compare(id, &served);
        }
        self.rejoin_if_equal(id);
        self.promote_if_given_way(id);
        self.look_at_polls(id);
        self.wake(id, self.now + 1, Wake::Follow);
    }

    /// Takes what the other node says of itself.
    fn hear(&mut self, id: NodeId, told: &Told) {
        let local_ms = self.nodes[id].clock.local_ms(self.now);
        if let Some(leader) = &told.leader {
            self.hear_claim(id, leader);
        }
        let Some(member) = self.member_mut(id) else {
            return;
        };
        if told.gives_way && member.running.claim.is_some() {
            member.running.gave_way = Some((told.log, told.end));
            return;
        }
        let standing = &member.store.seen.standing;
        if told.role != Role::Primary || standing.is_primary() || told.epoch < standing.epoch {
            return;
        }
        // Saved before the token is returned: what the lease is must survive a crash.
        let heard = Standing {
            epoch: told.epoch.max(standing.epoch),
            lease_ms: told.lease_ms,
            ..standing.clone()
        };
        member.running.patience.told(told.lease_ms, local_ms);
        if heard != *standing {
            let commit = self.commit(id, vec![Step::Standing(heard)]);
            if let Some(follow) = self.following(id) {
                follow.needs = commit;
            }
        }
    }

    /// Takes the claim of another node; whether it holds here.
    pub(super) fn hear_claim(&mut self, id: NodeId, claim: &Claim) -> Option<u64> {
        let member = self.member(id)?;
        let standing = &member.store.seen.standing;
        match standing.judge(claim, member.store.id) {
            Verdict::Known => (!standing.is_primary()).then(|| member.store.committed()),
            Verdict::Outdated => None,
            Verdict::Follow(follow) => {
                let (from, to) = (standing.role.name(), follow.role.name());
                let epoch = follow.epoch;
                self.say(format_args!(
                    "{id} hears that {} is primary in epoch {epoch}: from {from} to {to}",
                    claim.address
                ));
                let commit = self.commit(id, vec![Step::Standing(follow)]);
                self.begin_patience(id);
                self.wake(id, self.now + 1, Wake::Follow);
                Some(commit)
            }
        }
    }

    /// Forgets what an earlier primary said of leases: the new one may take changes without any.
    pub(super) fn begin_patience(&mut self, id: NodeId) {
        let local_ms = self.nodes[id].clock.local_ms(self.now);
        if let Some(member) = self.member_mut(id) {
            let lease_ms = member.store.seen.standing.lease_ms;
            member.running.patience = Patience::new(lease_ms, local_ms);
        }
    }

    /// A fenced node that holds what its primary holds is a mirror again.
    fn rejoin_if_equal(&mut self, id: NodeId) {
        let Some(member) = self.member(id) else {
            return;
        };
        let (standing, position) = (&member.store.seen.standing, &member.store.seen.position);
        let leader = standing.leader.as_ref().map(|leader| leader.leader);
        let followed = position.followed().and_then(|following| following.log);
        if standing.role == Role::Fenced && followed.is_some() && followed == leader {
            let rejoined = standing.rejoined();
            self.say(format_args!("{id} is a mirror again"));
            self.commit(id, vec![Step::Standing(rejoined)]);
        }
    }

    /// After a whole stream a mirror holds what its primary held when it answered.
    fn compare(&mut self, id: NodeId, served: &Served) {
        let Some(member) = self.member(id) else {
            return;
        };
        let content = &member.store.seen;
        let is_whole = content.position.followed().is_some_and(|following| {
            following.log == Some(served.log) && following.last == served.end
        });
        if !is_whole {
            return;
        }
        let is_equal = content.digest() == served.digest;
        self.counts.equal += 1;
        self.counts.dumps += u64::from(served.is_dump);
        if !is_equal && !served.is_resumed {
            self.violated(format_args!(
                "{id} has followed up to {} and is not equal",
                served.end
            ));
        }
    }
}
