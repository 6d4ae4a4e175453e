//! What a node answers about names that live elsewhere: from the cache at once, else when the
//! resolver has found them.
//!
//! A packet that has to wait is kept as it came and answered from its beginning once there is an
//! answer, so nothing of an inquiry outlives the call that made it.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use guantong_core::authority::{
    self, Answered, Elsewhere, Found, Moment, Outcome, Query, Recursion, Selection, outcome_of,
    outcome_of_hit,
};
use guantong_core::resolve::{
    Answer, Cache, Freshness, Hit, Lookup, Outcome as Resolved, Question, Reach, TraceWanted,
};
use guantong_proto::data::{STATE_TYPE, State, StateData};
use guantong_store::StoreError;

use super::courier::{Clock, Courier, Setup};
use super::keys::Keys;
use super::{keep, roots};
use crate::config::{Config, Root};
use crate::errand::Rest;
use crate::node::{Node, StartError, Via, Wait, view};

//----------- Source ---------------------------------------------------------

/// An outcome and where it comes from.
#[derive(Clone, Debug)]
pub struct Sourced {
    /// The outcome.
    pub outcome: Outcome,
    /// Where it comes from.
    pub source: Source,
    /// Whether values were asked for that are here and that the caller may not read.
    pub withheld: bool,
}

impl Sourced {
    fn new(outcome: Outcome, source: Source) -> Self {
        Self {
            outcome,
            source,
            withheld: false,
        }
    }
}

/// Where an answer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Our own store, or a decision of our own.
    Ours,
    /// Another server, asked just now.
    Network,
    /// The cache.
    Cache {
        /// Seconds since a server said so.
        age_secs: u32,
        /// Seconds until its time is over, if that is known.
        left_secs: Option<u32>,
    },
    /// The cache, past its time, because nobody who could renew it answers.
    Stale {
        /// Seconds since a server said so.
        age_secs: u32,
        /// Seconds since its time was over, if that is known.
        overdue_secs: Option<u32>,
    },
}

impl Source {
    fn new(freshness: Freshness, age_secs: u32, life_secs: Option<u32>) -> Self {
        match freshness {
            Freshness::Fresh => Self::Network,
            Freshness::Cached => Self::Cache {
                age_secs,
                left_secs: life_secs.map(|life| life.saturating_sub(age_secs)),
            },
            Freshness::Stale => Self::Stale {
                age_secs,
                overdue_secs: life_secs.map(|life| age_secs.saturating_sub(life)),
            },
        }
    }

    fn of_hit(hit: &Hit) -> Self {
        Self::new(hit.freshness, hit.age_secs, Some(hit.entry.life_secs()))
    }

    fn of_answer(answer: &Answer) -> Self {
        let life_secs = match &answer.outcome {
            Resolved::Record(entry) => Some(entry.life_secs()),
            _ => None,
        };
        Self::new(answer.freshness, answer.age_secs, life_secs)
    }
}

//----------- Beginning ------------------------------------------------------

impl Node {
    /// Starts the resolver, if the settings say where resolution begins. For whom it resolves is
    /// asked with each request.
    pub(crate) fn begin_recursion(&self) -> Result<(), StartError> {
        let config = self.config();
        let recurse = &config.recurse;
        let Some(root) = &recurse.root else {
            return Ok(());
        };
        let root_info = config.run_folder().join(keep::ROOT_INFO);
        let roots = newest_roots(root, &config)?;
        let reach = Reach::of(&roots);
        let setup = Setup {
            settings: recurse.settings(),
            roots,
            cache: Arc::new(Cache::new(recurse.cache_settings())),
            clock: Clock::start(),
            root_info: Some(root_info),
            cache_file: recurse.cache_file.clone(),
            verify: crate::trust::rule(&config)?.map(Arc::new),
        };
        let courier = Courier::start(setup).map_err(|source| StartError::System {
            what: "sockets and a thread for recursion",
            source,
        })?;
        let verify = recurse.verify.as_str();
        tracing::info!(allow = ?recurse.allow, ?root, verify, "the node resolves names of others");
        self.set_key_source(Keys::new(courier.clone(), reach));
        self.set_courier(courier);
        Ok(())
    }

    /// What `peer` may have done for it.
    pub(crate) fn recursion_for(&self, peer: IpAddr) -> Recursion {
        match self.courier().is_some() && self.config().recurse.allows(peer) {
            true => Recursion::Granted,
            false => Recursion::Denied,
        }
    }
}

/// The root record that was kept last, unless the operator's file is newer.
fn newest_roots(root: &Root, config: &Config) -> Result<guantong_core::resolve::Roots, StartError> {
    let kept = config.run_folder().join(keep::ROOT_INFO);
    let changed = |path: &std::path::Path| std::fs::metadata(path)?.modified();
    if let Root::File(file) = root
        && let (Ok(kept_at), Ok(given_at)) = (changed(&kept), changed(file))
        && kept_at > given_at
    {
        match roots::load(&Root::File(kept)) {
            Ok(roots) => return Ok(roots),
            Err(error) => tracing::warn!(%error, "the kept root record is passed over"),
        }
    }
    Ok(roots::load(root)?)
}

//----------- Packets --------------------------------------------------------

impl Node {
    /// Answers from the cache, or gives back the question for the resolver.
    pub(crate) fn answer_elsewhere(
        &self,
        elsewhere: Elsewhere<'_>,
        lookup: &mut Lookup,
        moment: &Moment<'_>,
        out: &mut Vec<u8>,
    ) -> Option<Question> {
        let hit = self.cached(elsewhere.query(), lookup);
        let Some(hit) = hit else {
            return elsewhere.query().question();
        };
        let (outcome, age) = outcome_of_hit(&hit);
        let outcome = &outcome;
        elsewhere.answer(Found { outcome, age }, moment, out);
        None
    }

    /// What the cache has for a query. An entry that wants to be renewed is.
    fn cached(&self, query: &Query<'_>, lookup: &mut Lookup) -> Option<Hit> {
        let courier = self.courier()?;
        if !query.is_cacheable() || !query.look_up(lookup) {
            return None;
        }
        let hit = courier.cached(lookup)?;
        self.metrics.cache_hit();
        if hit.wants_refresh {
            self.refresh(courier, query.question());
        }
        Some(hit)
    }

    /// Has an answer of the cache renewed that wants to be, if that is wished.
    pub(crate) fn refresh(&self, courier: &Courier, question: Option<Question>) {
        if self.config().recurse.prefetch
            && let Some(question) = question
        {
            courier.refresh(question);
        }
    }

    /// Answers a packet again, now that the resolver has an answer for it.
    pub(crate) fn answer_found(&self, packet: &[u8], via: Via, answer: &Answer, out: &mut Vec<u8>) {
        let start = out.len();
        let mut key = Vec::new();
        let mut moment = Moment {
            now_secs: self.now_secs(),
            challenge: &mut |demand| self.challenge(demand, via),
            recursion: Recursion::Granted,
        };
        let (outcome, age) = outcome_of(answer);
        let outcome = &outcome;
        let site = self.site();
        let answered = catch_unwind(AssertUnwindSafe(|| {
            let fetch = |key: &[u8]| self.store.get(key);
            let answered =
                authority::answer(&site, packet, &mut moment, &mut key, out, fetch, view);
            if let Ok(Answered::Elsewhere(elsewhere)) = answered {
                elsewhere.answer(Found { outcome, age }, &moment, out);
                return Ok(());
            }
            // Meanwhile the name has become ours.
            answered.map(drop)
        }));
        self.note_answer(via, start, answered, out);
    }

    /// Answers one whole packet, waiting for whatever it takes. Instead of a reply, a stream may be
    /// what was asked for.
    pub async fn answer_in_time(&self, packet: &[u8], via: Via, out: &mut Vec<u8>) -> Rest {
        match self.answer(packet, via, out) {
            None => Rest::None,
            Some(Wait::Errand) => self.run_errand(packet, via, None, out).await,
            Some(Wait::Resolver(question)) => {
                let answer = self.ask(question).await;
                self.answer_found(packet, via, &answer, out);
                Rest::None
            }
        }
    }

    async fn ask(&self, question: Question) -> Answer {
        match self.courier() {
            Some(courier) => courier.resolve(question, TraceWanted::No).await,
            None => super::courier::busy(),
        }
    }
}

//----------- Queries --------------------------------------------------------

impl Node {
    /// Resolves a typed query of `peer`: from the store, from the cache, or from the network if
    /// that is open to the peer.
    ///
    /// Where others say that there is no such record, they are asked once more whether it is
    /// withdrawn: their code is the same.
    pub async fn resolve(&self, query: &Query<'_>, peer: IpAddr) -> Result<Sourced, StoreError> {
        let sourced = self.resolve_once(query, peer).await?;
        if sourced.source == Source::Ours || sourced.outcome != Outcome::NotFound {
            return Ok(sourced);
        }
        let types = [STATE_TYPE.to_owned()];
        let of_state = Query {
            selection: Selection::Listed {
                indexes: &[],
                types: &types,
            },
            ..*query
        };
        let state = self.resolve_once(&of_state, peer).await?;
        let Outcome::Record(values) = state.outcome else {
            return Ok(sourced);
        };
        let data = values.first().map(|value| StateData::decode(&value.data));
        Ok(match data {
            Some(Ok(data)) if data.state() == State::Withdrawn => {
                Sourced::new(Outcome::Withdrawn(data.into()), state.source)
            }
            _ => sourced,
        })
    }

    async fn resolve_once(&self, query: &Query<'_>, peer: IpAddr) -> Result<Sourced, StoreError> {
        let query = Query {
            recursion: self.recursion_for(peer),
            ..*query
        };
        let site = self.site();
        let fetch = |key: &[u8]| self.store.get(key);
        let ours = authority::resolve_with(&site, query, fetch, view, |outcome, _| Sourced {
            withheld: outcome.withholds(),
            ..Sourced::new(outcome.into_owned(), Source::Ours)
        });
        if let Some(ours) = ours.inspect_err(|error| self.on_store_error(error))? {
            return Ok(ours);
        }
        if let Some(hit) = self.cached(&query, &mut Lookup::default()) {
            let source = Source::of_hit(&hit);
            let (outcome, age) = outcome_of_hit(&hit);
            return Ok(sourced(&query, &outcome, age, source));
        }
        let Some(question) = query.question() else {
            return Ok(Sourced::new(Outcome::NotFound, Source::Ours));
        };
        let answer = self.ask(question).await;
        let source = Source::of_answer(&answer);
        let (outcome, age) = outcome_of(&answer);
        Ok(sourced(&query, &outcome, age, source))
    }
}

fn sourced(
    query: &Query<'_>,
    outcome: &Outcome<&[u8]>,
    age: authority::Age,
    source: Source,
) -> Sourced {
    let outcome = Found { outcome, age }.select(query.selection).into_owned();
    Sourced::new(outcome, source)
}
