//! The state of one question on its way: what it waits for, and who waits for it.
//!
//! A *walk* finds the sites that serve a name ([`Finding`]) and asks their servers ([`Asking`]);
//! both can go on at once, since one known site is enough to begin. Records on the way, such as
//! prefix records and service handles, are questions of their own with walks of their own, so that
//! everybody who needs one shares it.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use guantong_proto::{Handle, Key};

use super::answer::{Freshness, Outcome, ResolveError, Tried};
use super::cache::{Entry, Lookup};
use super::limits::HOPS_MAX;
use super::place::{KnownSite, Place};
use super::question::{Question, Ticket, TraceWanted};
use super::time::Tick;
use super::trace::{Hop, Why};
use super::transmit::ExchangeId;
use crate::delegation::Scope;

//----------- Walk -----------------------------------------------------------

/// A question on its way.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) id: WalkId,
    pub(super) key: WalkKey,
    pub(super) kind: Kind,
    /// The question; its handle has a slash.
    pub(super) question: Question,
    /// The question that this one was begun for, whose budget it uses.
    pub(super) family: WalkId,
    /// Sub-questions above it.
    pub(super) depth: u8,
    /// It is asked for the sake of another question, and its requests count one server more.
    pub(super) is_service: bool,
    pub(super) waiters: Vec<Waiter>,
    /// It goes on although nobody waits.
    pub(super) is_background: bool,
    pub(super) started: Tick,
    pub(super) deadline: Tick,
    /// When those who wait get an expired entry.
    pub(super) stale_at: Option<Tick>,
    /// The timer that is set for it.
    pub(super) timer: Option<Tick>,
    /// Whether its first step was taken.
    pub(super) has_begun: bool,
    pub(super) finding: Option<Finding>,
    pub(super) asking: Option<Asking>,
    /// The fetched root record, while its service handles are looked up.
    pub(super) root_record: Option<Arc<Entry>>,
    /// Walks that this one waits for.
    pub(super) waits_on: Vec<WalkId>,
    /// Their results, until they are looked at.
    pub(super) inbox: VecDeque<(Tag, Found)>,
    pub(super) hops: Hops,
    /// Servers asked in vain.
    pub(super) tried: Vec<Tried>,
    pub(super) referrals: u8,
    /// A service referral (302) was followed, so where it is asked now says nothing about the
    /// siblings of the name.
    pub(super) has_left: bool,
    /// Servers that referred us on; they are not asked again.
    pub(super) referred: BTreeSet<SocketAddr>,
    /// The parent whose remembered referral it began at.
    pub(super) hint: Option<Key>,
    /// It may not begin at a remembered referral.
    pub(super) avoids_hints: bool,
    /// It was sent back to the root once (300).
    pub(super) has_refreshed_roots: bool,
    pub(super) namespace: Option<Box<[u8]>>,
}

/// Number of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct WalkId(pub(super) u64);

/// Equal questions have equal keys.
pub(super) type WalkKey = Box<[u8]>;

/// What a walk is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An answer, kept by the cache if the question allows.
    Plain,
    /// The prefix record from a primary site, because a mirror said nothing useful (5.2, step 5).
    /// It is kept as the plain answer.
    SecondLook,
    /// Follows aliases; each link is a question of its own.
    Aliases(Vec<Handle>),
    /// The root record, to replace the one in use.
    Roots,
}

impl Kind {
    fn code(&self) -> u8 {
        match self {
            Self::Plain => 0,
            Self::SecondLook => 1,
            Self::Aliases(_) => 2,
            Self::Roots => 3,
        }
    }
}

/// The key of a question: what is asked, how, and how far it has come. The recursion count is part
/// of it, so that recursive nodes that point at each other do not wait for each other.
pub(super) fn walk_key(question: &Question, kind: &Kind) -> WalkKey {
    let flags = [
        question.authoritative,
        question.public_only,
        question.do_not_refer,
        question.follow_aliases,
    ];
    let bits = (0..).zip(flags).map(|(bit, flag)| u8::from(flag) << bit);
    let mut key = vec![kind.code(), bits.sum(), question.recursion_count];
    key.extend_from_slice(Lookup::of(question).key());
    key.into()
}

/// Who waits for a walk.
#[derive(Clone, Debug)]
pub(super) enum Waiter {
    /// An asker.
    Asker {
        ticket: Ticket,
        trace: TraceWanted,
        started: Tick,
    },
    /// A walk that needs this record.
    Walk { id: WalkId, tag: Tag },
}

/// What a sub-question was for.
#[derive(Clone, Debug)]
pub(super) enum Tag {
    /// Service information of a prefix, or of a service handle at this depth of the chain.
    Service {
        handle: Handle,
        scope: Scope,
        depth: u8,
    },
    /// The next link of a chain of aliases.
    Alias,
    /// A fresh root record.
    Roots,
}

impl Walk {
    /// Whether anybody still wants its result.
    pub(super) fn is_wanted(&self) -> bool {
        self.is_background || !self.waiters.is_empty()
    }

    /// The count that its requests carry.
    pub(super) fn recursion_count(&self) -> u8 {
        self.question.recursion_count.saturating_add(self.referrals)
    }

    /// When it wants to be woken.
    pub(super) fn next_timer(&self) -> Tick {
        let hedge_at = self.asking.as_ref().and_then(|asking| asking.hedge_at);
        let times = [self.stale_at, hedge_at].into_iter().flatten();
        times.fold(self.deadline, Ord::min)
    }
}

//----------- Finding --------------------------------------------------------

/// Looking for the sites that serve a name.
#[derive(Debug)]
pub(super) struct Finding {
    /// The prefix handle or service handle where it begins, for people.
    pub(super) origin: Handle,
    /// Service handles that were asked for.
    pub(super) seen: BTreeSet<Key>,
    /// Sub-questions that are not answered yet.
    pub(super) outstanding: usize,
    /// Sites that were found.
    pub(super) sites: Vec<KnownSite>,
    /// What the record where it begins said, if it named nobody.
    pub(super) origin_outcome: Option<Outcome>,
    /// The first failure of a sub-question.
    pub(super) failure: Option<Arc<ResolveError>>,
    /// The record where it begins was answered, if only to say that it does not exist.
    pub(super) has_origin: bool,
    /// Whether another look at a primary site may help.
    pub(super) may_look_again: bool,
    /// Smallest time that the service information may be kept, in seconds.
    pub(super) life_secs: u32,
    /// The parent under which the sites are remembered when they are known.
    pub(super) hint_for: Option<Handle>,
    /// Why the first sites are asked.
    pub(super) why: Option<Why>,
}

impl Finding {
    pub(super) fn new(origin: Handle) -> Self {
        Self {
            origin,
            seen: BTreeSet::new(),
            outstanding: 0,
            sites: Vec::new(),
            origin_outcome: None,
            failure: None,
            has_origin: false,
            may_look_again: false,
            life_secs: u32::MAX,
            hint_for: None,
            why: None,
        }
    }

    /// Adds a site unless it is known.
    pub(super) fn add(&mut self, site: KnownSite) {
        if !self.sites.iter().any(|known| known.site == site.site) {
            self.sites.push(site);
        }
    }
}

//----------- Asking ---------------------------------------------------------

/// Asking the servers of known sites.
#[derive(Debug, Default)]
pub(super) struct Asking {
    /// Sites whose servers are, or were, among the candidates.
    pub(super) sites: Vec<KnownSite>,
    /// Places not asked yet, best first.
    pub(super) candidates: VecDeque<Place>,
    pub(super) in_flight: Vec<ExchangeId>,
    /// When a second server is asked.
    pub(super) hedge_at: Option<Tick>,
    /// Servers that were silent by UDP.
    pub(super) silent: u32,
}

//----------- Found ----------------------------------------------------------

/// The result of a walk, or of a look into the cache.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) outcome: Outcome,
    pub(super) freshness: Freshness,
    pub(super) age_secs: u32,
    /// A primary site said so.
    pub(super) is_authoritative: bool,
    /// How it was found.
    pub(super) hops: Arc<Hops>,
    pub(super) aliases: Vec<Handle>,
    pub(super) namespace: Option<Box<[u8]>>,
}

impl Found {
    pub(super) fn new(outcome: Outcome, freshness: Freshness) -> Self {
        Self {
            outcome,
            freshness,
            age_secs: 0,
            is_authoritative: false,
            hops: Arc::default(),
            aliases: Vec::new(),
            namespace: None,
        }
    }

    pub(super) fn failed(error: ResolveError) -> Self {
        Self::new(Outcome::Failed(Arc::new(error)), Freshness::Fresh)
    }
}

/// Hops with the moments at which they began; bounded.
#[derive(Clone, Debug, Default)]
pub(super) struct Hops {
    pub(super) all: Vec<(Tick, Hop)>,
    pub(super) left_out: u32,
}

impl Hops {
    pub(super) fn push(&mut self, began: Tick, hop: Hop) {
        match self.all.len() < HOPS_MAX {
            true => self.all.push((began, hop)),
            false => self.left_out = self.left_out.saturating_add(1),
        }
    }

    pub(super) fn extend(&mut self, others: &Self) {
        for (began, hop) in &others.all {
            self.push(*began, hop.clone());
        }
        self.left_out = self.left_out.saturating_add(others.left_out);
    }
}
