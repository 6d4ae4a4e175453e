//! A network in one thread: dozens of nodes, the links between them, and everything that can go
//! wrong, from one number, the seed.
//!
//! ```text
//!             ┌──────────── queue of events, in virtual time ────────────┐
//!             ▼                                                          │
//!  recursive nodes ── datagrams, streams ── links ── members of groups ──┘
//!  core::resolve      proto::frame          faults   core::authority, core::replicate
//!             │                                                          │
//!             └──────────────► truth: what was shown, when, by whom ◄────┘
//! ```
//!
//! The decisions are those of the shipped code, unchanged; sockets, clocks, disks and randomness
//! are models. What must hold is checked at every answer, at every change, and at the end. How it
//! is built, and what it does not model, is told in `docs/internals/simulation.md`.

mod check;
mod clock;
mod feed;
mod gate;
mod group;
mod hostile;
mod link;
mod log;
mod mirror;
mod node;
mod operate;
mod plan;
mod promote;
mod recursive;
mod reply;
mod store;
mod stream;
mod truth;
mod workload;
mod world;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::Random;

use check::Violations;
use feed::Served;
use gate::Writes;
use group::{Group, Zone};
use link::Links;
use log::Log;
use node::{IncompleteOf, Node, NodeId};
use operate::Move;
use plan::Plan;
use stream::{ConnectionId, Connections, StreamEvent};
use truth::Truth;
use workload::Happening;
use world::World;

pub use check::{Counts, Report};
pub use log::Verbosity;
pub use plan::Temper;

/// Events of a run at most: more mean that something goes in a circle.
const EVENTS_MAX: u64 = 3_000_000;

//----------- Net ------------------------------------------------------------

/// A simulated network.
pub struct Net {
    plan: Plan,
    sabotage: Option<Sabotage>,
    random: Random,
    /// Milliseconds since the beginning.
    now: u64,
    queue: BTreeMap<(u64, u64), Event>,
    events: u64,
    is_over: bool,
    log: Log,
    links: Links,
    nodes: Vec<Node>,
    groups: Vec<Group>,
    zones: Vec<Zone>,
    incomplete: IncompleteOf,
    connections: Connections,
    truth: Truth,
    writes: Writes,
    served: BTreeMap<ConnectionId, Served>,
    moving: Option<Move>,
    violations: Violations,
    counts: Counts,
}

/// A mistake that is built in on purpose, to see that it is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// A primary takes changes although its lease has run out.
    LeaseIgnored,
    /// A standby is promoted before the lease of its primary has run out.
    Impatience,
    /// A mirror confirms what it has not written yet.
    ConfirmedTooEarly,
    /// A mirror that was promoted remembers how far it had followed the primary before.
    PositionKept,
    /// A primary with a lease gives way to a mirror that is not its standby, and nobody tells the
    /// standby.
    AnyMirrorTakesOver,
    /// A fenced node follows whoever claims to be primary, before that one is.
    ClaimantFollowed,
    /// Recursive nodes keep everything for a minute, whatever its TTL says.
    CacheTooLong,
    /// Everything that a reply has is believed.
    ForgeriesBelieved,
}

/// Something that happens at a moment.
#[derive(Debug)]
enum Event {
    /// A datagram arrives.
    Datagram {
        from: SocketAddr,
        to: SocketAddr,
        datagram: Vec<u8>,
    },
    /// Something happens to a stream.
    Stream(StreamEvent),
    /// What a process has asked to be woken for; void if it was started anew since.
    Wake { node: NodeId, run: u32, why: Wake },
    /// Something from outside: a question, a write, a fault.
    Outside(Happening),
}

/// What a process wants to be woken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wake {
    /// The timer of a resolver.
    Resolver,
    /// The disk has done all commits up to this one.
    Synced(u64),
    /// It is time to ask the primary.
    Follow,
    /// A request that waits for news has waited long enough.
    Polls,
    /// It is time to tell a primary of before that it is not any more.
    Tell,
    /// A hostile server goes on with a reply.
    Drip(u64),
}

impl Net {
    /// The network of a seed.
    pub fn new(seed: u64, verbosity: Verbosity) -> Self {
        Self::with(seed, None, verbosity)
    }

    /// The network of a seed with a mistake in it.
    pub fn sabotaged(seed: u64, sabotage: Sabotage, verbosity: Verbosity) -> Self {
        Self::with(seed, Some(sabotage), verbosity)
    }

    fn with(seed: u64, sabotage: Option<Sabotage>, verbosity: Verbosity) -> Self {
        let mut random = Random::new(seed);
        let plan = Plan::of(&mut random);
        let world = World::new(&plan, &mut random);
        let links = Links::new(plan.weather, random.next_u64());
        let mut net = Self {
            plan,
            sabotage,
            random,
            now: 0,
            queue: BTreeMap::new(),
            events: 0,
            is_over: false,
            log: Log::new(verbosity),
            links,
            nodes: world.nodes,
            groups: world.groups,
            zones: world.zones,
            incomplete: IncompleteOf::new(),
            connections: Connections::default(),
            truth: Truth::default(),
            writes: Writes::default(),
            served: BTreeMap::new(),
            moving: None,
            violations: Violations::default(),
            counts: Counts::default(),
        };
        let plan = format!("{:?}", net.plan);
        net.log.say(0, format_args!("seed {seed}: {plan}"));
        let names = net.nodes.iter().enumerate();
        let names: Vec<String> = names.map(|(id, n)| format!("{id} {}", n.name)).collect();
        net.say(format_args!("nodes: {}", names.join(", ")));
        net.begin();
        net
    }

    /// Lets everything happen, and says what came of it.
    pub fn run(mut self) -> Report {
        while !self.is_over
            && let Some(((at, _), event)) = self.queue.pop_first()
        {
            self.now = at;
            self.events += 1;
            if self.events > EVENTS_MAX {
                self.violated(format_args!("more than {EVENTS_MAX} events: a livelock"));
                break;
            }
            self.happen(event);
        }
        self.report()
    }

    /// Whether two runs of this seed must be alike to the last event.
    pub fn is_repeatable(&self) -> bool {
        self.plan.is_repeatable()
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Datagram { from, to, datagram } => self.on_datagram(to, from, &datagram),
            Event::Stream(event) => self.on_stream_event(event),
            Event::Wake { node, run, why } => {
                if self.nodes[node].up && self.nodes[node].run == run {
                    self.on_wake(node, why);
                }
            }
            Event::Outside(happening) => self.on_outside(happening),
        }
    }

    fn on_wake(&mut self, node: NodeId, why: Wake) {
        match why {
            Wake::Resolver => self.on_resolver_timer(node),
            Wake::Synced(commit) => self.on_synced(node, commit),
            Wake::Follow => self.follow(node),
            Wake::Polls => self.look_at_polls(node),
            Wake::Tell => self.tell_primary_of_before(node),
            Wake::Drip(connection) => self.drip(node, connection),
        }
    }

    /// Lets an event happen later.
    fn at(&mut self, at: u64, event: Event) {
        // The number makes events of one moment happen in the order in which they were planned.
        let number = self.counts.planned;
        self.counts.planned += 1;
        self.queue.insert((at.max(self.now), number), event);
    }

    /// Wakes the process of a node later.
    fn wake(&mut self, node: NodeId, at: u64, why: Wake) {
        let run = self.nodes[node].run;
        self.at(at, Event::Wake { node, run, why });
    }

    fn say(&mut self, line: std::fmt::Arguments<'_>) {
        self.log.say(self.now, line);
    }
}
