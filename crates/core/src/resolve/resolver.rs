//! The resolver: what it is given, what it gives back, and the loop between.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use guantong_proto::frame::{Joined, Reassembly};
use guantong_proto::limits::{ENVELOPE_LEN, RECURSION_MAX};
use guantong_proto::message::Envelope;
use guantong_proto::wire::Reader;

use super::answer::{Answer, ResolveError};
use super::cache::Cache;
use super::exchange::Exchange;
use super::failure::Failures;
use super::figures::Figures;
use super::hint::Hints;
use super::peer::Peers;
use super::place::Reach;
use super::question::{Question, Ticket, TraceWanted};
use super::roots::Roots;
use super::settings::Settings;
use super::time::{Now, Tick};
use super::trace::{HopResult, Mismatch};
use super::transmit::{ExchangeId, StreamFault, Transmit, Transport};
use super::walk::{Found, Kind, Waiter, Walk, WalkId, WalkKey};

/// Fills a buffer with random octets.
pub type Random = Box<dyn FnMut(&mut [u8]) + Send>;

//----------- Resolver -------------------------------------------------------

/// A resolver: single-threaded, without sockets, clock or randomness of its own.
///
/// After each call the shell polls answers, transmits, abandoned exchanges and events until there
/// are no more, and sets its timer to [`Resolver::poll_timeout`].
pub struct Resolver {
    pub(super) settings: Settings,
    pub(super) roots: Roots,
    /// Which addresses records may send us to.
    pub(super) reach: Reach,
    pub(super) cache: Arc<Cache>,
    random: Random,
    pub(super) walks: HashMap<WalkId, Box<Walk>>,
    pub(super) by_key: HashMap<WalkKey, WalkId>,
    pub(super) families: HashMap<WalkId, Family>,
    pub(super) exchanges: HashMap<ExchangeId, Exchange>,
    pub(super) by_request: HashMap<i32, ExchangeId>,
    pub(super) tickets: HashMap<Ticket, WalkId>,
    pub(super) timers: BTreeSet<(Tick, Timer)>,
    /// Walks that have something to do.
    pub(super) ready: VecDeque<WalkId>,
    pub(super) transmits: VecDeque<Transmit>,
    pub(super) answers: VecDeque<(Ticket, Answer)>,
    pub(super) abandoned: VecDeque<ExchangeId>,
    pub(super) events: VecDeque<Event>,
    reassembly: Reassembly<(u16, SocketAddr)>,
    pub(super) peers: Peers,
    pub(super) hints: Hints,
    pub(super) failures: Failures,
    pub(super) figures: Figures,
    last_id: u64,
    /// When the root record is to be fetched again; `None` until the first question.
    pub(super) root_due: Option<Tick>,
    /// When that was last tried.
    pub(super) root_tried: Option<Tick>,
}

/// What one question and its sub-questions have used up.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Family {
    pub(super) exchanges: u32,
    pub(super) walks: usize,
}

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    Exchange(ExchangeId),
    Walk(WalkId),
}

/// What a walk does next.
pub(super) enum Step {
    /// It waits for a reply, a sub-question or time.
    Wait,
    /// It is over.
    Done(Found),
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
            reach: Reach::of(&roots),
            roots,
            cache,
            random,
            walks: HashMap::new(),
            by_key: HashMap::new(),
            families: HashMap::new(),
            exchanges: HashMap::new(),
            by_request: HashMap::new(),
            tickets: HashMap::new(),
            timers: BTreeSet::new(),
            ready: VecDeque::new(),
            transmits: VecDeque::new(),
            answers: VecDeque::new(),
            abandoned: VecDeque::new(),
            events: VecDeque::new(),
            reassembly: Reassembly::new(),
            peers: Peers::new(),
            hints: Hints::new(),
            failures: Failures::new(),
            figures: Figures::default(),
            last_id: 0,
            root_due: None,
            root_tried: None,
        }
    }

    /// Asks. The answer comes by [`Resolver::poll_answer`], at once if it is cached.
    pub fn start(&mut self, question: Question, trace: TraceWanted, now: Now) -> Ticket {
        let ticket = Ticket(self.next_id());
        self.figures.questions += 1;
        self.plan_root_refresh(now);
        let question = Question {
            handle: question.handle.borrow().expanded(),
            ..question
        };
        let waiter = Waiter::Asker {
            ticket,
            trace,
            started: now.tick,
        };
        let kind = match question.follow_aliases {
            true => Kind::Aliases(Vec::new()),
            false => Kind::Plain,
        };
        if question.recursion_count > RECURSION_MAX {
            let error = ResolveError::RecursionTooDeep(question.recursion_count);
            self.deliver_to_asker(&question, &waiter, Found::failed(error), now);
        } else if let Some(found) = self.known(&question, &kind, now) {
            self.deliver_to_asker(&question, &waiter, found, now);
        } else {
            self.join_or_begin(question, kind, &waiter, now);
        }
        self.run(now);
        ticket
    }

    /// Asks again what the cache has, so that it has it anew before its time is over. Nobody is
    /// answered.
    pub fn refresh(&mut self, question: Question, now: Now) {
        let question = Question {
            handle: question.handle.borrow().expanded(),
            follow_aliases: false,
            ..question
        };
        if question.is_cacheable() && !self.is_full() {
            self.begin_refresh(question, now);
            self.run(now);
        }
    }

    /// Forgets a question. Others who asked the same are still answered.
    pub fn cancel(&mut self, ticket: Ticket) {
        self.answers.retain(|(waiting, _)| *waiting != ticket);
        let Some(id) = self.tickets.remove(&ticket) else {
            return;
        };
        let Some(walk) = self.walks.get_mut(&id) else {
            return;
        };
        walk.waiters
            .retain(|waiter| !matches!(waiter, Waiter::Asker { ticket: t, .. } if *t == ticket));
        self.abort_unwanted(vec![id]);
    }

    /// Takes a datagram that arrived at socket number `local`. What is not the reply to a request
    /// that went out there is dropped and counted.
    pub fn on_datagram(&mut self, local: u16, peer: SocketAddr, datagram: &[u8], now: Now) {
        let Some(id) = self.exchange_of(local, peer, datagram) else {
            self.figures.dropped_unknown += 1;
            return;
        };
        // Only what can belong to a request takes room here.
        let joined = self
            .reassembly
            .on_datagram((local, peer), datagram, now.tick.0);
        match joined {
            Ok(Joined::Whole(packet)) => self.on_packet(id, &packet, now),
            Ok(Joined::Incomplete | Joined::Refused) => {
                if let Some(exchange) = self.exchanges.get_mut(&id) {
                    exchange.is_partial = true;
                }
            }
            Err(error) => self.drop_reply(id, Mismatch::Malformed(error.to_string())),
        }
        self.run(now);
    }

    /// Takes the whole reply packet of a stream, or its failure. A datagram that could not be sent
    /// is reported here too.
    pub fn on_stream(
        &mut self,
        exchange: ExchangeId,
        result: Result<&[u8], StreamFault>,
        now: Now,
    ) {
        match result {
            Ok(packet) => self.on_packet(exchange, packet, now),
            Err(fault) => self.end_exchange(exchange, &HopResult::Stream(fault), now),
        }
        self.run(now);
    }

    /// Lets time pass: to be called when [`Resolver::poll_timeout`] is reached.
    pub fn on_timeout(&mut self, now: Now) {
        while let Some(&(due, timer)) = self.timers.first() {
            if due > now.tick {
                break;
            }
            self.timers.pop_first();
            match timer {
                Timer::Exchange(id) => self.on_exchange_due(id, now),
                Timer::Walk(id) => {
                    if let Some(walk) = self.walks.get_mut(&id) {
                        walk.timer = None;
                    }
                    self.work_on(id, now, |resolver, walk| resolver.on_walk_due(walk, now));
                }
            }
            self.run(now);
        }
        self.reassembly.expire(now.tick.0);
        self.refresh_roots_if_due(now);
        self.run(now);
    }

    /// The next request to send.
    pub fn poll_transmit(&mut self, now: Now) -> Option<Transmit> {
        loop {
            let transmit = self.transmits.pop_front()?;
            // What was given up before it was sent stays here.
            if self.exchanges.contains_key(&transmit.exchange) && transmit.deadline > now.tick {
                return Some(transmit);
            }
        }
    }

    /// The next answer.
    pub fn poll_answer(&mut self) -> Option<(Ticket, Answer)> {
        self.answers.pop_front()
    }

    /// The next exchange by stream whose reply nobody waits for any more.
    pub fn poll_abandoned(&mut self) -> Option<ExchangeId> {
        self.abandoned.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Resolver::on_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Option<Tick> {
        let timer = self.timers.first().map(|(due, _)| *due);
        [timer, self.root_due].into_iter().flatten().min()
    }

    /// The roots in use.
    pub fn roots(&self) -> &Roots {
        &self.roots
    }

    /// The cache in use.
    pub fn cache(&self) -> &Arc<Cache> {
        &self.cache
    }

    /// The settings in use.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Counters and gauges.
    pub fn figures(&self) -> Figures {
        Figures {
            walks: self.walks.len(),
            in_flight: self.exchanges.len(),
            ..self.figures
        }
    }

    //--- The loop

    /// Lets every walk that has something to do, do it.
    pub(super) fn run(&mut self, now: Now) {
        while let Some(id) = self.ready.pop_front() {
            self.work_on(id, now, |resolver, walk| resolver.advance(walk, now));
        }
    }

    /// Takes a walk out, works on it, and puts it back unless it is over.
    pub(super) fn work_on(
        &mut self,
        id: WalkId,
        now: Now,
        work: impl FnOnce(&mut Self, &mut Walk) -> Step,
    ) {
        let Some(mut walk) = self.walks.remove(&id) else {
            return;
        };
        match work(self, &mut walk) {
            Step::Wait => self.put_back(walk),
            Step::Done(found) => self.conclude(walk, found, now),
        }
    }

    pub(super) fn put_back(&mut self, mut walk: Box<Walk>) {
        let due = walk.next_timer();
        if walk.timer != Some(due) {
            if let Some(old) = walk.timer.replace(due) {
                self.timers.remove(&(old, Timer::Walk(walk.id)));
            }
            self.timers.insert((due, Timer::Walk(walk.id)));
        }
        self.walks.insert(walk.id, walk);
    }

    /// Whether no more questions are taken.
    pub(super) fn is_full(&self) -> bool {
        self.walks.len().max(self.tickets.len()) >= self.settings.pending_max
    }

    //--- Replies

    /// The exchange to which a datagram can belong.
    fn exchange_of(&self, local: u16, peer: SocketAddr, datagram: &[u8]) -> Option<ExchangeId> {
        let envelope = Envelope::decode(&mut Reader::new(datagram.get(..ENVELOPE_LEN)?)).ok()?;
        let id = self.by_request.get(&envelope.request_id)?;
        let exchange = self.exchanges.get(id)?;
        exchange.is_from(local, peer).then_some(*id)
    }

    /// Takes a whole packet for an exchange.
    fn on_packet(&mut self, id: ExchangeId, packet: &[u8], now: Now) {
        let Some(exchange) = self.exchanges.get(&id) else {
            self.figures.dropped_unknown += 1;
            return;
        };
        let walk = exchange.walk;
        match exchange.check(packet, now) {
            Ok(reply) => {
                let Some(exchange) = self.take_exchange(id) else {
                    return;
                };
                self.work_on(walk, now, |resolver, walk| {
                    resolver.on_reply(walk, &exchange, &reply, packet.len(), now)
                });
            }
            Err(mismatch) if matches!(exchange.transport, Transport::Udp { .. }) => {
                // Whoever forged it cannot end the wait for the true reply.
                self.drop_reply(id, mismatch);
            }
            Err(mismatch) => {
                self.figures.dropped_mismatched += 1;
                self.end_exchange(id, &HopResult::Unsound(mismatch), now);
            }
        }
    }

    fn drop_reply(&mut self, id: ExchangeId, mismatch: Mismatch) {
        self.figures.dropped_mismatched += 1;
        if let Some(exchange) = self.exchanges.get_mut(&id) {
            exchange.drop_reply(mismatch);
        }
    }

    /// Takes an exchange off all lists.
    pub(super) fn take_exchange(&mut self, id: ExchangeId) -> Option<Exchange> {
        let exchange = self.exchanges.remove(&id)?;
        self.by_request.remove(&exchange.request_id);
        self.timers.remove(&(exchange.due, Timer::Exchange(id)));
        Some(exchange)
    }

    //--- Numbers

    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// A random number below `end`; 0 if `end` is 0.
    pub(super) fn random_below(&mut self, end: u64) -> u64 {
        let mut octets = [0; 8];
        (self.random)(&mut octets);
        u64::from_be_bytes(octets).checked_rem(end).unwrap_or(0)
    }

    /// A random request id of 31 bits that is not in use. Positive, because 0xFFFFFFFF stands in
    /// replies to what could not be read (1.6).
    pub(super) fn request_id(&mut self) -> i32 {
        let mut octets = [0; 4];
        (self.random)(&mut octets);
        let mut id = i32::from_be_bytes(octets) & i32::MAX;
        // Ends, because far fewer exchanges than ids are under way.
        while id == 0 || self.by_request.contains_key(&id) {
            id = id.wrapping_add(1) & i32::MAX;
        }
        id
    }
}
