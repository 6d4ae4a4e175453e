//! Sharing: who asks something that is known, or that somebody else asks already, waits with them.

use std::collections::BTreeSet;
use std::sync::Arc;

use guantong_proto::message::ResponseCode;

use super::answer::{Freshness, Outcome, ResolveError};
use super::cache::{Entry, EntryKind, Hit, Lookup};
use super::limits::DEPTH_MAX;
use super::question::Question;
use super::resolver::Resolver;
use super::time::{Now, Tick};
use super::trace::{Hop, HopResult, Why};
use super::walk::{Found, Hops, Kind, Tag, Waiter, Walk, WalkId, walk_key};

impl Resolver {
    /// What the cache, or the memory of failures, has for a question.
    pub(super) fn known(&mut self, question: &Question, kind: &Kind, now: Now) -> Option<Found> {
        if *kind != Kind::Plain || !question.is_cacheable() {
            return None;
        }
        let hit = self.cache.get(&mut Lookup::of(question), now);
        if let Some(hit) = hit {
            self.figures.cached += 1;
            if hit.wants_refresh && !self.is_full() {
                self.begin_refresh(question.clone(), now);
            }
            return Some(Found::of_hit(question, hit, now));
        }
        let error = self.failures.get(&walk_key(question, kind), now.tick)?;
        Some(Found::failed_as(error))
    }

    /// Asks for a record that a walk needs: of the cache, of a walk under way, or of a new one.
    pub(super) fn ask(
        &mut self,
        walk: &mut Walk,
        tag: Tag,
        question: Question,
        kind: Kind,
        now: Now,
    ) {
        let known = self.known(&question, &kind, now);
        let found = match known {
            Some(found) => Err(found),
            None => self.ask_walk(walk, tag.clone(), question, kind, now),
        };
        match found {
            Ok(id) => walk.waits_on.push(id),
            Err(found) => {
                walk.inbox.push_back((tag, found));
                self.ready.push_back(walk.id);
            }
        }
    }

    fn ask_walk(
        &mut self,
        walk: &Walk,
        tag: Tag,
        question: Question,
        kind: Kind,
        now: Now,
    ) -> Result<WalkId, Found> {
        let waiter = Waiter::Walk { id: walk.id, tag };
        let handle = question.handle.clone();
        let key = walk_key(&question, &kind);
        if let Some(&id) = self.by_key.get(&key) {
            if id == walk.id || self.waits_for(id, walk.id) {
                self.figures.loops += 1;
                return Err(Found::failed(ResolveError::Loop { handle }));
            }
            if let Some(other) = self.walks.get_mut(&id) {
                self.figures.coalesced += 1;
                other.waiters.push(waiter);
                return Ok(id);
            }
        }
        if walk.depth >= DEPTH_MAX {
            return Err(Found::failed(ResolveError::TooDeep { handle }));
        }
        // Sub-questions have a reserve of their own, so that what was taken on can be finished.
        if self.walks.len() >= self.settings.pending_max.saturating_mul(2) {
            return Err(Found::failed(ResolveError::TooBusy));
        }
        let is_service = matches!(
            waiter,
            Waiter::Walk {
                tag: Tag::Service { .. },
                ..
            }
        );
        let place = Origin {
            is_service: is_service || walk.is_service,
            family: walk.family,
            depth: walk.depth + 1,
            deadline: walk.deadline,
        };
        Ok(self.begin_walk(question, kind, Some(waiter), Some(place), now))
    }

    /// Whether `from` waits for `target`, over any number of walks.
    fn waits_for(&self, from: WalkId, target: WalkId) -> bool {
        let mut seen = BTreeSet::new();
        let mut waiting = vec![from];
        while let Some(id) = waiting.pop() {
            if id == target {
                return true;
            }
            if let Some(walk) = self.walks.get(&id)
                && seen.insert(id)
            {
                waiting.extend(&walk.waits_on);
            }
        }
        false
    }

    /// Joins the walk for an asker's question, or begins one.
    pub(super) fn join_or_begin(
        &mut self,
        question: Question,
        kind: Kind,
        waiter: &Waiter,
        now: Now,
    ) {
        let key = walk_key(&question, &kind);
        let under_way = self.by_key.get(&key).copied();
        let is_full = self.is_full();
        let id = match under_way.and_then(|id| self.walks.get_mut(&id)) {
            Some(walk) if self.tickets.len() < self.settings.pending_max => {
                self.figures.coalesced += 1;
                walk.waiters.push(waiter.clone());
                walk.id
            }
            _ if is_full => {
                self.figures.refused += 1;
                let found = Found::failed(ResolveError::TooBusy);
                return self.deliver_to_asker(&question, waiter, found, now);
            }
            _ => self.begin_walk(question, kind, Some(waiter.clone()), None, now),
        };
        if let Waiter::Asker { ticket, .. } = waiter {
            self.tickets.insert(*ticket, id);
        }
    }

    /// Begins a walk without a waiter, unless the same is under way.
    pub(super) fn begin_refresh(&mut self, question: Question, now: Now) {
        let question = match self.cache.has_whole(&Lookup::of(&question)) {
            // What answers the question is the whole record, so that is what must be fresh.
            true => Question {
                indexes: Vec::new(),
                types: Vec::new(),
                ..question
            },
            false => question,
        };
        let key = walk_key(&question, &Kind::Plain);
        if !self.by_key.contains_key(&key) {
            self.figures.refreshes += 1;
            self.begin_walk(question, Kind::Plain, None, None, now);
        }
    }

    pub(super) fn begin_walk(
        &mut self,
        question: Question,
        kind: Kind,
        waiter: Option<Waiter>,
        origin: Option<Origin>,
        now: Now,
    ) -> WalkId {
        let id = WalkId(self.next_id());
        let key = walk_key(&question, &kind);
        let origin = origin.unwrap_or(Origin {
            family: id,
            is_service: false,
            depth: 0,
            deadline: now.tick + self.settings.timeout_ms,
        });
        let stale_at = self.stale_at(&question, &kind, now);
        let family = self.families.entry(origin.family);
        family.or_default().walks += 1;
        let walk = Walk {
            id,
            key: key.clone(),
            kind,
            question,
            family: origin.family,
            depth: origin.depth,
            is_service: origin.is_service,
            is_background: waiter.is_none(),
            waiters: waiter.into_iter().collect(),
            started: now.tick,
            deadline: origin.deadline,
            stale_at,
            timer: None,
            has_begun: false,
            finding: None,
            asking: None,
            root_record: None,
            waits_on: Vec::new(),
            inbox: Default::default(),
            hops: Hops::default(),
            tried: Vec::new(),
            referrals: 0,
            has_left: false,
            referred: Default::default(),
            hint: None,
            avoids_hints: false,
            has_refreshed_roots: false,
            namespace: None,
        };
        self.by_key.insert(key, id);
        self.put_back(Box::new(walk));
        self.ready.push_back(id);
        id
    }

    /// Drops everything that a walk has found, so that it begins anew.
    pub(super) fn begin_again(&mut self, walk: &mut Walk, now: Now) {
        self.abandon_exchanges(walk, now);
        let left = self.leave_walks(walk);
        self.abort_unwanted(left);
        walk.finding = None;
        walk.asking = None;
        walk.inbox.clear();
        walk.tried.clear();
        walk.referred.clear();
        walk.referrals = 0;
        walk.has_left = false;
        walk.hint = None;
        walk.has_begun = false;
        self.ready.push_back(walk.id);
    }
}

/// Where a sub-question comes from.
pub(super) struct Origin {
    pub(super) family: WalkId,
    pub(super) is_service: bool,
    pub(super) depth: u8,
    pub(super) deadline: Tick,
}

//----------- Found from the cache -------------------------------------------

impl Found {
    /// What a hit of the cache says about a question.
    pub(super) fn of_hit(question: &Question, hit: Hit, now: Now) -> Self {
        let mut hops = Hops::default();
        let why = match hit.freshness {
            Freshness::Stale => Why::Stale,
            _ => Why::Cached,
        };
        hops.push(now.tick, cached_hop(question, &hit.entry, why, now));
        Self {
            age_secs: hit.age_secs,
            hops: Arc::new(hops),
            ..Self::new(outcome_of(question, hit.entry), hit.freshness)
        }
    }

    pub(super) fn failed_as(error: Arc<ResolveError>) -> Self {
        Self::new(Outcome::Failed(error), Freshness::Fresh)
    }
}

/// What an entry says about a question that may select less than the entry holds.
pub(super) fn outcome_of(question: &Question, entry: Arc<Entry>) -> Outcome {
    match entry.kind() {
        EntryKind::NotFound => Outcome::NotFound,
        EntryKind::ValuesNotFound => Outcome::ValuesNotFound,
        EntryKind::Record => {
            let mut selected = entry.select(&question.indexes, &question.types);
            match question.is_selective() && selected.next().is_none() {
                true => Outcome::ValuesNotFound,
                false => {
                    drop(selected);
                    Outcome::Record(entry)
                }
            }
        }
    }
}

pub(super) fn cached_hop(question: &Question, entry: &Entry, why: Why, now: Now) -> Hop {
    let code = match entry.kind() {
        EntryKind::Record => ResponseCode::SUCCESS,
        EntryKind::ValuesNotFound => ResponseCode::VALUES_NOT_FOUND,
        EntryKind::NotFound => ResponseCode::HANDLE_NOT_FOUND,
    };
    let left_secs = entry.left_ms(now.tick).max(0) / 1_000;
    Hop {
        handle: question.handle.clone(),
        types: question.types.clone(),
        server: None,
        why,
        started_ms: 0,
        elapsed_ms: 0,
        retries: 0,
        result: HopResult::Code(code, "".into()),
        serial: None,
        ttl_secs: u32::try_from(left_secs).ok(),
        authoritative: false,
        verified: question.certified,
        reply_len: entry.wire().len(),
        values: entry.values().len(),
        behind_secs: 0,
        dropped: 0,
        dropped_because: None,
    }
}
