//! The end of a walk: what is kept of it, and who hears of it.

use std::sync::Arc;

use guantong_proto::data::Target;
use guantong_proto::{CaseRule, Handle, is_of_type};

use super::answer::{Answer, Freshness, Outcome, ResolveError};
use super::cache::{Entry, EntryKind, Lookup};

use super::limits::{ALIASES_MAX, STALE_PAUSE_MS};
use super::question::{Question, TraceWanted};
use super::resolver::{Resolver, Step, Timer};
use super::share::{cached_hop, outcome_of};
use super::time::{Now, Tick};
use super::trace::{Hop, Trace, Why};
use super::walk::{Found, Kind, Tag, Waiter, Walk, WalkId};
use crate::delegation::SERVICE_TYPES;

impl Resolver {
    /// Ends a walk: keeps what was found, tells those who wait, and lets go of everything else.
    pub(super) fn conclude(&mut self, mut walk: Box<Walk>, mut found: Found, now: Now) {
        let is_record = matches!(found.outcome, Outcome::Record(_));
        if let Some(parent) = walk.hint.take()
            && !is_record
            && walk.deadline > now.tick
        {
            // A hint saves a way; it decides nothing.
            self.hints.remove(walk.question.certified, &parent);
            walk.avoids_hints = true;
            self.begin_again(&mut walk, now);
            return self.put_back(walk);
        }
        self.abandon_exchanges(&mut walk, now);
        self.report_roots(&walk, &found, now);
        self.keep(&walk, &mut found, now);
        found.hops = Arc::new(std::mem::take(&mut walk.hops));
        found.namespace = found.namespace.or(walk.namespace.take());
        self.forget(&walk);
        for waiter in std::mem::take(&mut walk.waiters) {
            self.deliver(&walk, waiter, found.clone(), now);
        }
        let left = self.leave_walks(&mut walk);
        self.abort_unwanted(left);
    }

    /// Takes a walk off all lists.
    fn forget(&mut self, walk: &Walk) {
        self.by_key.remove(&walk.key);
        if let Some(due) = walk.timer {
            self.timers.remove(&(due, Timer::Walk(walk.id)));
        }
        if let Some(family) = self.families.get_mut(&walk.family) {
            family.walks -= 1;
            if family.walks == 0 {
                self.families.remove(&walk.family);
            }
        }
    }

    //--- Keeping

    /// Keeps what was found; turns a failure into the expired entry, if there is one.
    fn keep(&mut self, walk: &Walk, found: &mut Found, now: Now) {
        if !matches!(walk.kind, Kind::Plain | Kind::SecondLook) {
            return;
        }
        // What a primary site said at a second look is kept as the plain answer (5.2, step 5).
        let question = match walk.kind {
            Kind::SecondLook => &Question {
                authoritative: false,
                ..walk.question.clone()
            },
            _ => &walk.question,
        };
        if !question.is_cacheable() {
            return;
        }
        let mut lookup = Lookup::of(question);
        let absent = |kind| {
            let life_secs = self.cache.settings().negative_ttl_secs;
            Arc::new(Entry::new(kind, &[0; 4], life_secs, now))
        };
        let entry = match &found.outcome {
            Outcome::Record(entry) => entry.clone(),
            Outcome::NotFound => absent(EntryKind::NotFound),
            Outcome::ValuesNotFound => absent(EntryKind::ValuesNotFound),
            Outcome::Failed(error) => {
                let error = error.clone();
                return self.keep_failure(walk, found, &error, now);
            }
        };
        self.failures.remove(&walk.key);
        if entry.life_secs() == 0 || entry.kind() != EntryKind::Record {
            // What was known before is not so any more.
            self.cache.remove(&mut lookup);
        }
        if found.freshness == Freshness::Fresh && all_public(&entry) {
            self.cache.insert(&mut lookup, &entry);
        }
    }

    fn keep_failure(
        &mut self,
        walk: &Walk,
        found: &mut Found,
        error: &Arc<ResolveError>,
        now: Now,
    ) {
        // A bound that another question ran into says nothing about this record.
        let is_others = walk.family != walk.id && is_limit(&found.outcome);
        if !is_own_fault(error) && !is_others {
            self.failures
                .insert(walk.key.clone(), error.clone(), now.tick);
        }
        if !lets_stale_answer(error) {
            return;
        }
        let stale = self.cache.expired(&mut Lookup::of(&walk.question), now);
        if let Some(entry) = stale {
            *found = self.stale_found(&walk.question, entry, now);
        }
    }

    /// An entry past its time as a result; it is answered without asking anybody for a while.
    fn stale_found(&mut self, question: &Question, entry: Arc<Entry>, now: Now) -> Found {
        entry.pause_until(now.tick + STALE_PAUSE_MS);
        let freshness = match entry.left_ms(now.tick) > 0 {
            true => Freshness::Cached,
            false => Freshness::Stale,
        };
        Found {
            age_secs: entry.age_secs(now.tick),
            ..Found::new(outcome_of(question, entry), freshness)
        }
    }

    /// When those who wait for a question get an expired entry; `None` if there is none.
    pub(super) fn stale_at(&self, question: &Question, kind: &Kind, now: Now) -> Option<Tick> {
        if *kind != Kind::Plain || !question.is_cacheable() {
            return None;
        }
        self.cache.expired(&mut Lookup::of(question), now)?;
        Some(now.tick + self.settings.stale_wait_ms)
    }

    /// Gives those who wait an expired entry; the walk goes on, for the next who asks.
    pub(super) fn deliver_stale(&mut self, walk: &mut Walk, now: Now) {
        walk.stale_at = None;
        let entry = self.cache.expired(&mut Lookup::of(&walk.question), now);
        let Some(entry) = entry else {
            return;
        };
        walk.is_background = true;
        let hop = cached_hop(&walk.question, &entry, Why::Stale, now);
        let mut found = self.stale_found(&walk.question, entry, now);
        let mut hops = walk.hops.clone();
        hops.push(now.tick, hop);
        found.hops = Arc::new(hops);
        for waiter in std::mem::take(&mut walk.waiters) {
            self.deliver(walk, waiter, found.clone(), now);
        }
    }

    //--- Telling

    /// Tells one who waits.
    fn deliver(&mut self, walk: &Walk, waiter: Waiter, found: Found, now: Now) {
        let (id, tag) = match waiter {
            Waiter::Asker { ticket, .. } => {
                self.tickets.remove(&ticket);
                return self.deliver_to_asker(&walk.question, &waiter, found, now);
            }
            Waiter::Walk { id, tag } => (id, tag),
        };
        let Some(parent) = self.walks.get_mut(&id) else {
            return;
        };
        parent.waits_on.retain(|waited| *waited != walk.id);
        let is_foreign = parent.family != walk.family;
        if is_foreign && is_limit(&found.outcome) {
            // Somebody else's budget or time was used up, not this one's.
            let (question, kind) = (walk.question.clone(), walk.kind.clone());
            self.work_on(id, now, |resolver, parent| {
                resolver.ask(parent, tag, question, kind, now);
                Step::Wait
            });
            return;
        }
        parent.inbox.push_back((tag, found));
        self.ready.push_back(id);
    }

    /// Makes an answer for an asker.
    pub(super) fn deliver_to_asker(
        &mut self,
        question: &Question,
        waiter: &Waiter,
        found: Found,
        now: Now,
    ) {
        let Waiter::Asker {
            ticket,
            trace,
            started,
        } = *waiter
        else {
            return;
        };
        match (&found.outcome, found.freshness) {
            (Outcome::Failed(_), _) => self.figures.failed += 1,
            (_, Freshness::Stale) => self.figures.stale += 1,
            _ => {}
        }
        let namespace = found.namespace.clone();
        let namespace = namespace.or_else(|| self.known_namespace(question, now));
        let trace = (trace == TraceWanted::Yes).then(|| trace_of(&found, started, now));
        let answer = Answer {
            outcome: found.outcome,
            freshness: found.freshness,
            age_secs: found.age_secs,
            aliases: found.aliases,
            namespace,
            trace,
        };
        self.answers.push_back((ticket, answer));
    }

    /// The namespace of a handle, if its prefix record is in the cache.
    fn known_namespace(&self, question: &Question, now: Now) -> Option<Box<[u8]>> {
        if question.name().is_global() {
            return None;
        }
        let prefix = Question {
            certified: question.certified,
            ..Question::new(question.name().prefix_handle()).with_types(&SERVICE_TYPES)
        };
        let hit = self.cache.get(&mut Lookup::of(&prefix), now)?;
        let values = hit.entry.values().iter();
        let namespaces = values.filter(|value| is_of_type(value.kind, b"HS_NAMESPACE"));
        let first = namespaces.min_by_key(|value| value.index)?;
        Some(first.data.into())
    }

    //--- Letting go

    /// Takes a walk off the lists of those it waits for, and returns these.
    pub(super) fn leave_walks(&mut self, walk: &mut Walk) -> Vec<WalkId> {
        let left = std::mem::take(&mut walk.waits_on);
        for id in &left {
            if let Some(other) = self.walks.get_mut(id) {
                other
                    .waiters
                    .retain(|w| !matches!(w, Waiter::Walk { id, .. } if *id == walk.id));
            }
        }
        left
    }

    /// Ends the walks among `ids` that nobody wants any more, and those that only they wanted.
    pub(super) fn abort_unwanted(&mut self, mut ids: Vec<WalkId>) {
        while let Some(id) = ids.pop() {
            let is_unwanted = self.walks.get(&id).is_some_and(|walk| !walk.is_wanted());
            if !is_unwanted {
                continue;
            }
            let Some(mut walk) = self.walks.remove(&id) else {
                continue;
            };
            // Nothing is to be learnt from how long it took.
            let now = Now {
                tick: walk.started,
                secs: 0,
            };
            self.abandon_exchanges(&mut walk, now);
            self.forget(&walk);
            ids.extend(self.leave_walks(&mut walk));
        }
    }

    //--- Aliases

    pub(super) fn ask_alias(&mut self, walk: &mut Walk, handle: &Handle, now: Now) {
        let mut question = Question {
            handle: handle.borrow().expanded(),
            follow_aliases: false,
            ..walk.question.clone()
        };
        if question.is_selective() {
            question.types.push(b"HS_ALIAS".as_slice().into());
        }
        self.ask(walk, Tag::Alias, question, Kind::Plain, now);
    }

    /// Takes one link of a chain of aliases: the end, or the way to the next.
    pub(super) fn on_alias(&mut self, walk: &mut Walk, mut found: Found, now: Now) -> Step {
        let Kind::Aliases(chain) = &mut walk.kind else {
            return Step::Wait;
        };
        let target = match &found.outcome {
            Outcome::Record(entry) => alias_in(&walk.question, entry),
            _ => None,
        };
        let first = || walk.question.handle.clone();
        let next = match target {
            None => {
                found.aliases = std::mem::take(chain);
                found.namespace = found.namespace.or(walk.namespace.take());
                return Step::Done(found);
            }
            Some(None) => {
                let handle = chain.last().cloned().unwrap_or_else(first);
                return Step::Done(Found::failed(ResolveError::BadAlias { handle }));
            }
            Some(Some(next)) => next,
        };
        let key = next.key(CaseRule::Sensitive);
        let is_known = |handle: &Handle| handle.key(CaseRule::Sensitive) == key;
        if chain.iter().any(is_known) || is_known(&walk.question.handle) {
            let error = ResolveError::AliasLoop {
                handle: first(),
                at: next,
            };
            return Step::Done(Found::failed(error));
        }
        if chain.len() >= ALIASES_MAX {
            let error = ResolveError::TooManyAliases { handle: first() };
            return Step::Done(Found::failed(error));
        }
        chain.push(next.clone());
        self.ask_alias(walk, &next, now);
        Step::Wait
    }
}

/// The alias in an answer: `Some(None)` if it is damaged; `None` if there is none, or if it is what
/// was asked for.
fn alias_in(question: &Question, entry: &Entry) -> Option<Option<Handle>> {
    let values = entry.values();
    let alias = values
        .iter()
        .find(|value| is_of_type(value.kind, b"HS_ALIAS"))?;
    if question.is_selective() && question.selects(alias.index, alias.kind) {
        return None;
    }
    let target = Target::decode(alias.data).ok();
    Some(target.map(|target| target.handle().clone()))
}

/// Restricted values come back to an administrator only, but a server could be wrong.
fn all_public(entry: &Entry) -> bool {
    entry.values().iter().all(|value| value.is_public())
}

/// Whether this node was at its limits, which says nothing about the question.
fn is_own_fault(error: &ResolveError) -> bool {
    matches!(
        error,
        ResolveError::TooBusy | ResolveError::RecursionTooDeep(_) | ResolveError::TooDeep { .. }
    )
}

/// Whether a bound of the question was reached, which would not have stopped another question.
fn is_limit(outcome: &Outcome) -> bool {
    let Outcome::Failed(error) = outcome else {
        return false;
    };
    matches!(
        **error,
        ResolveError::TimedOut { .. }
            | ResolveError::TooManyExchanges { .. }
            | ResolveError::TooDeep { .. }
            | ResolveError::Loop { .. }
    )
}

/// Whether the failure is one of servers or of the network, so that what was known is still the
/// best there is.
fn lets_stale_answer(error: &ResolveError) -> bool {
    match error {
        ResolveError::Unreachable { .. }
        | ResolveError::TimedOut { .. }
        | ResolveError::Unverified { .. }
        | ResolveError::TooManyExchanges { .. }
        | ResolveError::NotResponsible { .. }
        | ResolveError::TooBusy => true,
        ResolveError::Refused { code, .. } => code.0 < 100,
        _ => false,
    }
}

fn trace_of(found: &Found, started: Tick, now: Now) -> Trace {
    let hops = found.hops.all.iter().map(|(began, hop)| Hop {
        started_ms: began.since(started),
        ..hop.clone()
    });
    Trace {
        hops: hops.collect(),
        left_out: found.hops.left_out,
        elapsed_ms: now.tick.since(started),
    }
}
