//! The resolver: what it is given, and what it gives back.

#![expect(
    clippy::needless_pass_by_value,
    reason = "questions are kept once they are walked"
)]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use super::answer::{Answer, Freshness, Outcome, ResolveError};
use super::cache::{Cache, EntryKind, Lookup};
use super::figures::Figures;
use super::question::{Question, Ticket, TraceWanted};
use super::roots::Roots;
use super::settings::Settings;
use super::time::{Now, Tick};
use super::transmit::{ExchangeId, StreamFault, Transmit};

/// Fills a buffer with random octets.
pub type Random = Box<dyn FnMut(&mut [u8]) + Send>;

//----------- Resolver -------------------------------------------------------

/// A resolver: single-threaded, without sockets, clock or randomness of its own.
pub struct Resolver {
    settings: Settings,
    roots: Roots,
    cache: Arc<Cache>,
    random: Random,
    answers: VecDeque<(Ticket, Answer)>,
    next_ticket: u64,
    figures: Figures,
}

/// Something that the shell may want to save or log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The root record was replaced: save [`Roots::to_root_info`].
    RootsChanged,
    /// A new root record was not taken, or could not be fetched, for this reason.
    RootsRefused(String),
}

impl Resolver {
    /// A resolver that begins at `roots`.
    pub fn new(settings: Settings, roots: Roots, cache: Arc<Cache>, random: Random) -> Self {
        Self {
            settings,
            roots,
            cache,
            random,
            answers: VecDeque::new(),
            next_ticket: 0,
            figures: Figures::default(),
        }
    }

    /// Asks. The answer comes by [`Resolver::poll_answer`], at once if it is cached.
    pub fn start(&mut self, question: Question, trace: TraceWanted, now: Now) -> Ticket {
        let _ = trace;
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.figures.questions += 1;
        let hit = self.cache.get(&mut Lookup::of(&question), now);
        let (outcome, freshness, age_secs) = match hit {
            Some(hit) => {
                let outcome = match hit.entry.kind() {
                    EntryKind::NotFound => Outcome::NotFound,
                    EntryKind::ValuesNotFound => Outcome::ValuesNotFound,
                    EntryKind::Record => Outcome::Record(hit.entry),
                };
                (outcome, hit.freshness, hit.age_secs)
            }
            None => (
                Outcome::Failed(Arc::new(ResolveError::TooBusy)),
                Freshness::Fresh,
                0,
            ),
        };
        let answer = Answer {
            outcome,
            freshness,
            age_secs,
            aliases: Vec::new(),
            namespace: None,
            trace: None,
        };
        self.answers.push_back((ticket, answer));
        ticket
    }

    /// Asks again what the cache has, so that it has it anew before its time is over. Nobody is
    /// answered.
    pub fn refresh(&mut self, question: Question, now: Now) {
        let _ = (question, now);
    }

    /// Forgets a question. Others who asked the same are still answered.
    pub fn cancel(&mut self, ticket: Ticket) {
        self.answers.retain(|(waiting, _)| *waiting != ticket);
    }

    /// Takes a datagram that arrived at socket number `local`.
    pub fn on_datagram(&mut self, local: u16, peer: SocketAddr, datagram: &[u8], now: Now) {
        let _ = (local, peer, datagram, now);
    }

    /// Takes the whole reply packet of a stream, or its failure.
    pub fn on_stream(
        &mut self,
        exchange: ExchangeId,
        result: Result<&[u8], StreamFault>,
        now: Now,
    ) {
        let _ = (exchange, result, now);
    }

    /// Lets time pass: to be called when [`Resolver::poll_timeout`] is reached.
    pub fn on_timeout(&mut self, now: Now) {
        let _ = now;
    }

    /// The next request to send.
    pub fn poll_transmit(&mut self, now: Now) -> Option<Transmit> {
        let _ = now;
        None
    }

    /// The next answer.
    pub fn poll_answer(&mut self) -> Option<(Ticket, Answer)> {
        self.answers.pop_front()
    }

    /// The next exchange by stream whose reply nobody waits for any more.
    pub fn poll_abandoned(&mut self) -> Option<ExchangeId> {
        None
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }

    /// When [`Resolver::on_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Option<Tick> {
        None
    }

    /// The roots in use.
    pub fn roots(&self) -> &Roots {
        &self.roots
    }

    /// The settings in use.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Counters and gauges.
    pub fn figures(&self) -> Figures {
        self.figures
    }
}
