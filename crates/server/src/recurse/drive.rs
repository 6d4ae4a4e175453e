//! The resolver's thread: takes questions, moves octets and time, gives answers.
//!
//! One loop on a runtime of its own. After every event the resolver is asked for everything it has:
//! what to send, whom to answer, which streams nobody waits for, when to be called again.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use guantong_core::resolve::{
    Event, Figures, Question, Random, Resolver, Ticket, TraceWanted, Transmit, Transport,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::courier::{Clock, Job, Reply, Setup, busy};
use super::judge::{Judge, Tally, Turn};
use super::keep::Keeper;
use super::socket::Sockets;
use super::stream::{Done, Streams};

/// Questions that are begun before the network is looked at again.
const JOBS_AT_ONCE: usize = 64;
/// Time between two rounds of upkeep: one socket replaced, idle streams closed, files written.
const UPKEEP: Duration = Duration::from_secs(10);
/// The longest sleep, where the resolver waits for nothing.
const SLEEP_MAX: Duration = Duration::from_secs(3_600);

/// The resolver with everything impure around it.
pub(super) struct Driver {
    resolver: Resolver,
    clock: Clock,
    jobs: mpsc::Receiver<Job>,
    sockets: Sockets,
    streams: Streams,
    /// Those who wait. As many as the resolver takes: whoever it refuses is answered at once.
    waiting: HashMap<Ticket, Reply>,
    waiting_max: usize,
    judge: Judge,
    figures: Arc<Mutex<Figures>>,
    keeper: Keeper,
}

/// Why the loop woke.
enum Wake {
    Job(Option<Job>),
    Datagrams,
    Stream(Done),
    Judge(Turn),
    Time,
    Upkeep,
}

impl Driver {
    /// Binds the sockets. Called inside the runtime that runs it.
    pub(super) fn new(
        setup: Setup,
        jobs: mpsc::Receiver<Job>,
        figures: Arc<Mutex<Figures>>,
        tally: Arc<Tally>,
    ) -> io::Result<Self> {
        let sockets = Sockets::bind(setup.settings.sockets)?;
        let keeper = Keeper::open(&setup);
        let waiting_max = setup.settings.pending_max;
        let timeout = Duration::from_millis(setup.settings.timeout_ms);
        let judge = Judge::new(setup.verify.clone(), setup.clock, timeout, tally);
        let resolver = Resolver::new(setup.settings, setup.roots, setup.cache, random()?);
        Ok(Self {
            resolver,
            clock: setup.clock,
            jobs,
            sockets,
            streams: Streams::new(),
            waiting: HashMap::new(),
            waiting_max,
            judge,
            figures,
            keeper,
        })
    }

    /// Runs until told to stop.
    pub(super) async fn run(mut self) {
        let mut upkeep = interval(UPKEEP);
        upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.settle();
            let alarm = self.alarm();
            let (clock, resolver) = (self.clock, &mut self.resolver);
            let take = |local, peer, datagram: &[u8]| {
                resolver.on_datagram(local, peer, datagram, clock.now());
            };
            let wake = tokio::select! {
                job = self.jobs.recv() => Wake::Job(job),
                () = self.sockets.receive(take) => Wake::Datagrams,
                done = self.streams.next() => Wake::Stream(done),
                turn = self.judge.next() => Wake::Judge(turn),
                () = sleep_until(alarm) => Wake::Time,
                _ = upkeep.tick() => Wake::Upkeep,
            };
            match wake {
                Wake::Job(job) => {
                    if !self.work(job) {
                        break;
                    }
                }
                Wake::Stream((exchange, result)) => {
                    let result = result.as_ref().map(Vec::as_slice);
                    let now = self.clock.now();
                    self.resolver
                        .on_stream(exchange, result.map_err(Clone::clone), now);
                }
                Wake::Judge(turn) => self.take_turn(turn),
                Wake::Upkeep => self.upkeep(),
                Wake::Datagrams | Wake::Time => {}
            }
            self.ring();
        }
        let waiting = self.waiting.drain().map(|(_, reply)| reply);
        for reply in waiting.chain(self.judge.drain()) {
            reply(busy());
        }
        self.keeper.save_cache(self.clock.now()).await;
    }

    /// Begins what is waiting to be begun; `false` if it is time to end.
    fn work(&mut self, first: Option<Job>) -> bool {
        let mut next = first;
        for turn in 1..=JOBS_AT_ONCE {
            match next {
                Some(Job::Ask {
                    question,
                    trace,
                    judged,
                    reply,
                }) => self.take_on(question, trace, judged, reply),
                Some(Job::Refresh(question)) => self.resolver.refresh(question, self.clock.now()),
                // Nobody is left who could ask.
                Some(Job::Stop) | None => return false,
            }
            if turn == JOBS_AT_ONCE {
                break;
            }
            next = match self.jobs.try_recv() {
                Ok(job) => Some(job),
                Err(_) => break,
            };
        }
        true
    }

    /// Begins a question of those who ask, for whom there is room or not.
    fn take_on(&mut self, question: Question, trace: TraceWanted, judged: bool, reply: Reply) {
        if self.waiting.len().max(self.judge.len()) >= self.waiting_max {
            return reply(busy());
        }
        match judged {
            true => self.judge.begin(question, trace, reply),
            false => self.begin(question, trace, reply),
        }
    }

    fn take_turn(&mut self, turn: Turn) {
        match turn {
            Turn::Wants((question, trace, sender)) => {
                let reply = move |answer| {
                    // Whoever has run out of time needs no answer.
                    let _ = sender.send(answer);
                };
                self.begin(question, trace, Box::new(reply));
            }
            Turn::Ended(question, answer) => {
                for reply in self.judge.take(&question) {
                    reply(answer.clone());
                }
            }
        }
    }

    fn begin(&mut self, question: Question, trace: TraceWanted, reply: Reply) {
        let ticket = self.resolver.start(question, trace, self.clock.now());
        self.waiting.insert(ticket, reply);
    }

    /// When the resolver is to be called again.
    fn alarm(&self) -> Instant {
        let latest = Instant::now() + SLEEP_MAX;
        match self.resolver.poll_timeout() {
            Some(tick) => Instant::from_std(self.clock.instant(tick)).min(latest),
            None => latest,
        }
    }

    /// Calls the resolver if its time has come, whatever else has happened.
    fn ring(&mut self) {
        let now = self.clock.now();
        if self
            .resolver
            .poll_timeout()
            .is_some_and(|due| due <= now.tick)
        {
            self.resolver.on_timeout(now);
        }
    }

    /// Does everything that the resolver wants done.
    fn settle(&mut self) {
        while let Some(transmit) = self.resolver.poll_transmit(self.clock.now()) {
            self.send(transmit);
        }
        while let Some(exchange) = self.resolver.poll_abandoned() {
            self.streams.abandon(exchange);
        }
        while let Some((ticket, answer)) = self.resolver.poll_answer() {
            if let Some(reply) = self.waiting.remove(&ticket) {
                reply(answer);
            }
        }
        while let Some(event) = self.resolver.poll_event() {
            self.note(&event);
        }
        let mut figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
        *figures = self.resolver.figures();
    }

    fn send(&mut self, transmit: Transmit) {
        match transmit.transport {
            Transport::Udp { local } => {
                self.sockets
                    .send(local, transmit.route.address, &transmit.packet);
            }
            _ => {
                let left_ms = transmit.deadline.since(self.clock.now().tick);
                self.streams
                    .begin(transmit, Duration::from_millis(left_ms.max(1)));
            }
        }
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::RootsChanged => self.keeper.save_roots(self.resolver.roots()),
            Event::RootsRefused(why) => {
                tracing::warn!(
                    why,
                    "the root record was not renewed; the old one stays in force"
                );
            }
            _ => {}
        }
    }

    fn upkeep(&mut self) {
        self.sockets.replace_one();
        self.streams.sweep();
        self.keeper.save_cache_if_due(self.clock.now());
    }
}

/// Random octets of the system.
fn random() -> io::Result<Random> {
    // Shows now rather than in the middle of a question that there are none.
    getrandom::fill(&mut [0]).map_err(io::Error::other)?;
    Ok(Box::new(|octets| {
        getrandom::fill(octets)
            .expect("the system's source of random octets works once it has worked at start");
    }))
}
