//! The job of a mirror: follows its primary, takes over when told to, tells the one before.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use guantong_core::replicate::{
    Ask, Backoff, Channel, Claim, Fault, Follower, LogId, Patience, Position, Receiver, Role,
    Standing, Told, Verdict,
};
use guantong_proto::crypto::VerifyingKey;
use guantong_proto::data::{PublicKey, Site};
use guantong_proto::stream::{StreamDecoder, StreamKind};
use guantong_proto::wire::{Reader, Writer};
use guantong_store::{Note, StoreError, WriteError};

use super::apply::{Applier, ApplyError};
use super::gate::boot_ms;
use super::link::{Answer, Credentials, Link, LinkError, Peer, shown_key};
use super::state::{PINNED, ReadError};
use super::{diverged, pin, promote};
use crate::config::Acknowledge;
use crate::key::{KeyError, ServerKey};
use crate::node::Node;
use crate::shutdown::Stop;

/// How often it is looked whether changes wait too long for a mirror.
const EXPIRY_PARTS: u32 = 5;

//----------- run ------------------------------------------------------------

/// Follows, takes over and tells, whatever the node is, until told to stop.
pub async fn run(node: Arc<Node>, stop: Stop) {
    let Some(mut commands) = node.mirroring.take_commands() else {
        return;
    };
    if node.config().mirror.acknowledge == Acknowledge::Mirror {
        node.store.want_confirmation(true);
        tokio::spawn(expire(node.clone(), stop.clone()));
    }
    let lease_ms = node.mirroring.standing().lease_ms;
    let mut job = Job {
        node,
        backoff: Backoff::default(),
        patience: Patience::new(lease_ms, boot_ms()),
        counts_for: None,
        told_faults: false,
    };
    loop {
        tokio::select! {
            biased;
            () = stop.told() => return,
            Some(command) = commands.recv() => job.promote(command).await,
            () = job.step() => {}
        }
    }
}

/// Gives up on changes that wait too long for a mirror.
async fn expire(node: Arc<Node>, stop: Stop) {
    let limit = node.config().mirror.acknowledge_timeout.as_duration();
    let mut seen: VecDeque<(Instant, u64)> = VecDeque::new();
    let why: Arc<str> = "no mirror has confirmed in time that it has it".into();
    loop {
        tokio::select! {
            () = tokio::time::sleep(limit / EXPIRY_PARTS) => {}
            () = stop.told() => break,
        }
        seen.push_back((Instant::now(), node.store.last_change()));
        while let Some(&(at, last)) = seen.front()
            && at.elapsed() >= limit
        {
            node.store.give_up_confirmation(last, &why);
            seen.pop_front();
        }
    }
    // Nobody who waits shall hold up the stop.
    node.store.want_confirmation(false);
    node.store
        .give_up_confirmation(u64::MAX, &"the node stops".into());
}

//----------- Job ------------------------------------------------------------

/// The job and what it remembers from one connection to the next.
pub(super) struct Job {
    pub(super) node: Arc<Node>,
    backoff: Backoff,
    pub(super) patience: Patience,
    /// Whose leases the patience is about: the epoch, and the primary if it was not configured.
    counts_for: Option<(u64, Option<LogId>)>,
    /// Whether the current trouble has been logged.
    told_faults: bool,
}

/// A connection that follows.
pub(super) struct Session {
    follower: Follower,
    applier: Applier,
    link: Link,
    key: PublicKey,
}

impl Job {
    /// The next piece of work; may be dropped at any await.
    async fn step(&mut self) {
        let node = self.node.clone();
        let mut changes = node.mirroring.changes();
        let standing = node.mirroring.standing();
        self.count_anew(&standing);
        let outcome = tokio::select! {
            outcome = self.work(&standing) => outcome,
            _ = changes.changed() => return,
        };
        match outcome {
            Ok(()) => self.backoff.succeeded(),
            Err(error) => {
                self.complain(&error);
                let [random] = node.random::<1>().map(u64::from);
                let wait = Duration::from_millis(self.backoff.failed(random * 0x0101_0101));
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    _ = changes.changed() => {}
                }
            }
        }
    }

    /// What an earlier primary said of leases says nothing about a new one: that one may take
    /// changes although the lease of the earlier one has long run out.
    pub(super) fn count_anew(&mut self, standing: &Standing) {
        let leader = standing.leader.as_ref().map(|leader| leader.leader);
        let primary = Some((standing.epoch, leader));
        if primary != self.counts_for {
            self.counts_for = primary;
            self.patience = Patience::new(standing.lease_ms, boot_ms());
        }
    }

    fn complain(&mut self, error: &FollowError) {
        self.node.mirroring.figure(|figures| {
            figures.faults += 1;
            figures.is_cut = true;
        });
        if self.told_faults {
            tracing::debug!(%error, "the primary cannot be followed");
        } else {
            tracing::warn!(%error, "the primary cannot be followed; it is tried again");
        }
        self.told_faults = true;
    }

    async fn work(&mut self, standing: &Standing) -> Result<(), FollowError> {
        match (standing.role, &standing.unaware) {
            (Role::Primary, Some(old)) => self.tell(standing, old).await,
            (Role::Primary, None) => std::future::pending().await,
            (Role::Mirror | Role::Fenced, _) => match self.peer(standing).await? {
                Some(peer) => self.follow(&peer).await,
                None => std::future::pending().await,
            },
        }
    }

    /// Whom to follow; `None` if nobody is named.
    pub(super) async fn peer(&self, standing: &Standing) -> Result<Option<Peer>, FollowError> {
        if let Some(leader) = &standing.leader {
            return Ok(Some(Peer {
                address: leader.address.clone(),
                key: PublicKey::decode(&leader.key).map_err(Fault::from)?,
            }));
        }
        let Some(address) = self.node.config().mirror.of.clone() else {
            return Ok(None);
        };
        let key = match self.node.config().mirror.key.clone() {
            Some(path) => pin::read_key(&path).map_err(FollowError::Key)?,
            None => self.kept_key(&address).await?,
        };
        Ok(Some(Peer { address, key }))
    }

    /// The key that was shown at the first contact with the address.
    async fn kept_key(&self, address: &str) -> Result<PublicKey, FollowError> {
        if let Some(octets) = self.node.store.note(PINNED)? {
            let mut r = Reader::new(&octets);
            let kept = r.text("address").map_err(Fault::from)? == address;
            if kept {
                let key = r.bytes("key").map_err(Fault::from)?;
                return Ok(PublicKey::decode(key).map_err(Fault::from)?);
            }
        }
        let key = shown_key(address).await?;
        let octets = Writer::to_vec(|w| {
            w.bytes(address.as_bytes());
            w.bytes(&key.encode());
        });
        let note = Note {
            name: PINNED.to_owned(),
            octets,
        };
        let _alone = self.node.mirroring.alone().await;
        let standing = self.node.mirroring.standing();
        self.node.note_standing(standing, vec![note]).await?;
        tracing::info!(
            address,
            "the key of the primary is kept from its first contact"
        );
        Ok(key)
    }

    fn credentials(&self) -> Result<Credentials, FollowError> {
        let config = self.node.config();
        let identity = config.mirror.identity.clone();
        Ok(Credentials {
            identity: identity.ok_or(FollowError::NoIdentity)?,
            key: ServerKey::load(&config.mirror.identity_key)?,
        })
    }

    fn follower(&self) -> Result<Follower, FollowError> {
        let node = &self.node;
        let standing = node.mirroring.standing();
        let position = node.mirroring.position(&node.store)?;
        let is_new = position == Position::Nothing && standing.role == Role::Mirror;
        if is_new && node.store.stats()?.records > 0 {
            return Err(FollowError::NotEmpty);
        }
        let (own, rule) = (node.mirroring.own, node.store.case_rule());
        let follower = Follower::new(own, rule, position, standing.epoch);
        Ok(follower.of_share(self.share()))
    }

    /// What this server holds, if it is one of several of its site.
    fn share(&self) -> Receiver {
        let (site, config) = (self.node.site(), self.node.config());
        let Ok(site) = Site::decode(site.record()) else {
            return Receiver::ALL;
        };
        let mut servers = site.servers.iter();
        let position = servers.position(|server| server.id == config.site.server_id);
        let count = i32::try_from(site.servers.len()).unwrap_or(1);
        let position = position.and_then(|position| i32::try_from(position).ok());
        let share = Receiver::new(site.hash_option.to_wire(), count, position.unwrap_or(0));
        share.unwrap_or(Receiver::ALL)
    }

    //--- Following

    /// Follows until something fails.
    async fn follow(&mut self, peer: &Peer) -> Result<(), FollowError> {
        let mut session: Option<Session> = None;
        // What was learnt of a primary that closes the connection after each answer.
        let mut known: Option<Follower> = None;
        loop {
            let (mut current, answer) = match session.take() {
                Some(mut current) => {
                    let answer = self.ask(&mut current).await?;
                    (current, answer)
                }
                None => self.connect(peer, None, known.take()).await?,
            };
            let told = Told::read(&answer.behind).map_err(Fault::from)?;
            if let Some(told) = &told
                && !self.heed(told).await?
            {
                return Ok(());
            }
            let Some(kind) = self.answered(&mut current, &answer)? else {
                known = Some(current.follower);
                continue;
            };
            current
                .receive(&self.node, kind, answer.is_inside_tls)
                .await?;
            self.arrived(&current, told.as_ref()).await?;
            match told {
                Some(_) => session = Some(current),
                // Others close the connection, and do not wait for news.
                None => {
                    known = Some(current.follower);
                    let pause = self.node.config().mirror.poll_interval.as_duration();
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    async fn connect(
        &mut self,
        peer: &Peer,
        claim: Option<&Claim>,
        known: Option<Follower>,
    ) -> Result<(Session, Answer), FollowError> {
        let follower = known.map_or_else(|| self.follower(), Ok)?;
        let credentials = self.credentials()?;
        let (op, body) = follower.request(0, claim);
        let (link, answer) = Link::open(peer, &credentials, op, &body).await?;
        let session = Session {
            follower,
            applier: Applier::new(self.node.store.clone(), peer.address.clone()),
            link,
            key: peer.key.clone(),
        };
        Ok((session, answer))
    }

    async fn ask(&mut self, session: &mut Session) -> Result<Answer, FollowError> {
        let wait = self.node.config().mirror.poll_interval;
        let wait_ms = u32::try_from(wait.0).unwrap_or(u32::MAX);
        let (op, body) = session.follower.request(wait_ms, None);
        if session.follower.token().is_some() {
            self.patience.returning(boot_ms());
        }
        Ok(session.link.ask(op, &body, wait.as_duration()).await?)
    }

    fn answered(
        &self,
        session: &mut Session,
        answer: &Answer,
    ) -> Result<Option<StreamKind>, FollowError> {
        let last = self.node.store.last_change();
        let kind = session.follower.answered(&answer.behind, last)?;
        let channel = match session.link.is_protected() {
            true => Channel::Protected,
            false => Channel::Clear,
        };
        let key = VerifyingKey::new(&session.key).ok();
        session.follower.comes(channel, key);
        Ok(kind)
    }

    /// Takes what the primary says of itself and of others. Whether it is to be followed.
    async fn heed(&mut self, told: &Told) -> Result<bool, FollowError> {
        let node = self.node.clone();
        let standing = node.mirroring.standing();
        // Whoever says so of itself is followed where it was found, which need not be the address
        // that it publishes.
        let is_itself = |leader: &Claim| leader.leader == told.log && told.role == Role::Primary;
        if let Some(leader) = told.leader.as_ref().filter(|leader| !is_itself(leader))
            && let Verdict::Follow(new) = standing.judge(leader, node.mirroring.own)
        {
            let _alone = node.mirroring.alone().await;
            node.set_standing(new, Vec::new()).await?;
            return Ok(false);
        }
        self.patience.told(told.lease_ms, boot_ms());
        if told.lease_ms != standing.lease_ms || told.epoch > standing.epoch {
            // Saved before the token is returned: after a restart this node must wait as long as
            // the primary counts on.
            let _alone = node.mirroring.alone().await;
            let standing = Standing {
                epoch: told.epoch.max(standing.epoch),
                lease_ms: told.lease_ms,
                ..standing.clone()
            };
            node.note_standing(standing, Vec::new()).await?;
        }
        if standing.role == Role::Fenced {
            if told.role != Role::Primary {
                return Err(FollowError::NotYet);
            }
            self.export_diverged(told.had).await?;
        }
        Ok(true)
    }

    /// Keeps what only this node has, before it becomes like its new primary.
    async fn export_diverged(&self, had: Option<u64>) -> Result<(), FollowError> {
        let node = self.node.clone();
        if node.mirroring.position(&node.store)? != Position::Nothing {
            return Ok(());
        }
        let exporting = tokio::task::spawn_blocking(move || diverged::export(&node, had));
        match exporting.await {
            Ok(exported) => exported.map_err(FollowError::Export),
            Err(_) => Err(FollowError::Export("it was interrupted".to_owned())),
        }
    }

    /// Everything of an answer is durable.
    async fn arrived(&mut self, session: &Session, told: Option<&Told>) -> Result<(), FollowError> {
        self.backoff.succeeded();
        if std::mem::take(&mut self.told_faults) {
            tracing::info!("the primary is followed again");
        }
        let mirroring = &self.node.mirroring;
        let position = session.follower.position();
        let last = position.followed().map_or(0, |followed| followed.last);
        if position.is_complete() && !mirroring.figures().is_complete {
            tracing::info!(
                last,
                "everything of the primary is here; changes are followed"
            );
        }
        mirroring.figure(|figures| {
            figures.last = last;
            figures.end = told.map_or(last, |told| told.end);
            figures.is_complete = position.is_complete();
            figures.is_cut = false;
            if position.followed().is_some() && figures.last >= figures.end {
                figures.level = Some(Instant::now());
            }
        });
        let standing = mirroring.standing();
        if standing.role == Role::Fenced && position.followed().is_some() {
            let _alone = mirroring.alone().await;
            self.node
                .note_standing(standing.rejoined(), Vec::new())
                .await?;
            tracing::info!("this node holds what its primary holds; it is a mirror now");
        }
        Ok(())
    }

    //--- Taking over

    /// Makes a claim at the primary. What it has and we have not follows on the connection.
    pub(super) async fn claim_from(
        &mut self,
        peer: &Peer,
        claim: &Claim,
    ) -> Result<(Session, Answer, Told), FollowError> {
        let (session, answer) = self.connect(peer, Some(claim), None).await?;
        let told = Told::read(&answer.behind).map_err(Fault::from)?;
        let told = told.ok_or(FollowError::Stranger)?;
        if told.gives_way {
            return Ok((session, answer, told));
        }
        match told.leader {
            Some(leader) => {
                let standing = self.node.mirroring.standing();
                let verdict = standing.judge(&leader, self.node.mirroring.own);
                if let Verdict::Follow(new) = verdict {
                    promote::give_way(&self.node, new).await?;
                }
                Err(FollowError::Other(Box::new(leader)))
            }
            None => Err(FollowError::Stranger),
        }
    }

    /// Takes what the primary that gives way has and we have not.
    pub(super) async fn fetch_rest(
        &mut self,
        (session, answer, told): &mut (Session, Answer, Told),
        claim: &Claim,
    ) -> Result<(), FollowError> {
        if told.role == Role::Mirror {
            // It has nothing of its own.
            return Ok(());
        }
        let end = told.end;
        loop {
            if session.follower.ask() == Ask::Dump {
                // A whole copy would overwrite what is here; that is not what was asked for.
                return Err(FollowError::TooFar);
            }
            if let Some(kind) = self.answered(session, answer)? {
                session
                    .receive(&self.node, kind, answer.is_inside_tls)
                    .await?;
            }
            let followed = session.follower.position().followed();
            if followed.is_some_and(|followed| followed.last >= end) {
                return Ok(());
            }
            let (op, body) = session.follower.request(0, Some(claim));
            *answer = session.link.ask(op, &body, Duration::ZERO).await?;
        }
    }

    /// Tells the primary before this one that it is not primary any more.
    async fn tell(&mut self, standing: &Standing, old: &Claim) -> Result<(), FollowError> {
        let peer = Peer {
            address: old.address.clone(),
            key: PublicKey::decode(&old.key).map_err(Fault::from)?,
        };
        let claim = self.node.claim(standing.epoch);
        self.claim_from(&peer, &claim).await?;
        let _alone = self.node.mirroring.alone().await;
        let standing = self.node.mirroring.standing().acknowledged();
        self.node.set_standing(standing, Vec::new()).await?;
        tracing::info!(old = old.address, "the old primary has given way");
        Ok(())
    }
}

//----------- Session --------------------------------------------------------

impl Session {
    /// Reads a stream to its end and writes what it brings. On return everything is durable.
    async fn receive(
        &mut self,
        node: &Node,
        kind: StreamKind,
        is_inside_tls: bool,
    ) -> Result<(), FollowError> {
        let mut decoder = match is_inside_tls {
            true => StreamDecoder::inside_tls(kind),
            false => StreamDecoder::new(kind),
        };
        let mut buf = Vec::new();
        while !decoder.is_done() {
            self.link.read(&mut buf).await?;
            let mut at = 0;
            while let Some((block, len)) = decoder.next(&buf[at..]).map_err(Fault::from)? {
                at += len;
                self.follower.block(&block)?;
                while let Some(portion) = self.follower.next_portion() {
                    let last = portion.position.followed().map(|followed| followed.last);
                    if self.applier.apply(portion).await? {
                        refresh(node);
                    }
                    if let Some(last) = last {
                        node.mirroring.figure(|figures| figures.last = last);
                    }
                }
            }
            buf.drain(..at);
        }
        Ok(self.applier.flush().await?)
    }
}

fn refresh(node: &Node) {
    if let Err(error) = node.refresh_site() {
        tracing::error!(%error, "the change of homed prefixes could not be put in force");
    }
}

//----------- FollowError ----------------------------------------------------

/// Why a primary cannot be followed, or told, at the moment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum FollowError {
    /// The connection.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// What came over it.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The store.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is saved could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Something could not be saved.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The key of the primary cannot be read.
    #[error("mirror.key: {0}")]
    Key(String),
    /// The key of this node's identity cannot be read.
    #[error(transparent)]
    OwnKey(#[from] KeyError),
    /// There is nothing to prove oneself by.
    #[error("`mirror.identity` is not set, so this node cannot prove to its primary who it is")]
    NoIdentity,
    /// The store has records of its own.
    #[error(
        "the store holds records that did not come from the primary, and following would delete \
         them; start a mirror with an empty store"
    )]
    NotEmpty,
    /// Nobody to ask.
    #[error("no primary is known")]
    NoPrimary,
    /// It took too long.
    #[error("it took too long")]
    Slow,
    /// Another node is primary.
    #[error("{} is the primary of epoch {}", .0.address, .0.epoch)]
    Other(Box<Claim>),
    /// The other one does not know of epochs.
    #[error("it does not give way")]
    Stranger,
    /// The changes that are missing cannot be had one by one.
    #[error("this node has not followed it so far")]
    TooFar,
    /// The new primary is not one yet.
    #[error("the new primary has not taken over yet")]
    NotYet,
    /// What only this node has could not be kept.
    #[error("the changes that only this node has could not be exported: {0}")]
    Export(String),
}
