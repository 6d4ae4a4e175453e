//! A recursive node: the shell around `core::resolve`, and its clients.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use guantong_core::resolve::{
    Answer, Cache, CacheSettings, ExchangeId, Question, Resolver, Roots, Settings, StreamFault,
    Ticket, TraceWanted, Transmit, Transport,
};
use guantong_proto::frame::Framer;

use crate::Random;

use super::node::{Kind, NodeId, ip_of, node_at};
use super::stream::{ConnectionId, Purpose};
use super::world::root_values;
use super::{Net, Sabotage, Wake};

/// First port of its sockets for requests.
const FIRST_PORT: u16 = 40_000;
/// Sockets for requests.
const SOCKETS: u16 = 4;
/// Seconds for which absence is remembered.
pub(super) const NEGATIVE_TTL_SECS: u32 = 5;
/// Seconds for which an entry past its time may be answered.
pub(super) const STALE_SECS: u32 = 30;
/// Rounds of polling after one event at most.
const ROUNDS_MAX: u32 = 10_000;

//----------- Recursive ------------------------------------------------------

/// A recursive node.
#[derive(Default)]
pub(super) struct Recursive {
    /// `None` until its process has started.
    pub(super) resolver: Option<Resolver>,
    pub(super) open: BTreeMap<Ticket, Asked>,
    replies: BTreeMap<ConnectionId, Framer>,
    streams: BTreeMap<ExchangeId, ConnectionId>,
    /// When it is woken, in simulated time.
    woken_at: Option<u64>,
}

/// A question that was asked.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) question: Question,
    /// The zone of the name; `None` for one of the hostile server.
    pub(super) zone: Option<usize>,
    pub(super) at: u64,
    /// Everything has healed, so the answer must be what is current.
    pub(super) is_final: bool,
}

impl Recursive {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// The process dies.
    pub(super) fn crash(&mut self) {
        *self = Self::default();
    }
}

/// Milliseconds that a question may take.
pub(super) fn timeout_ms() -> u64 {
    Settings::default().timeout_ms
}

impl Net {
    /// Starts the process of a recursive node.
    pub(super) fn start_recursive(&mut self, id: NodeId) {
        let mut random = Random::new(self.random.next_u64());
        let fill = move |octets: &mut [u8]| {
            for chunk in octets.chunks_mut(8) {
                let number = random.next_u64().to_be_bytes();
                chunk.copy_from_slice(&number[..chunk.len()]);
            }
        };
        let cache = Cache::new(CacheSettings {
            octets: self.plan.cache_octets,
            negative_ttl_secs: NEGATIVE_TTL_SECS,
            stale_secs: STALE_SECS,
            ttl_min_secs: match self.sabotage {
                Some(Sabotage::CacheTooLong) => 60,
                _ => 0,
            },
            ..CacheSettings::default()
        });
        let settings = Settings {
            sockets: SOCKETS,
            pending_max: self.plan.pending_max,
            ..Settings::default()
        };
        let Ok(roots) = Roots::from_values(root_values(&self.groups)) else {
            return self.violated(format_args!("the root record names no site"));
        };
        let resolver = Resolver::new(settings, roots, Arc::new(cache), Box::new(fill));
        if let Kind::Recursive(recursive) = &mut self.nodes[id].kind {
            recursive.resolver = Some(resolver);
        }
    }

    /// The node and its clocks.
    fn recursive(&mut self, id: NodeId) -> Option<(&mut Recursive, guantong_core::resolve::Now)> {
        let node = &mut self.nodes[id];
        let now = node.clock.now(self.now);
        match &mut node.kind {
            Kind::Recursive(recursive) if node.up => Some((recursive, now)),
            _ => None,
        }
    }

    /// A client asks; `false` if the node is down.
    pub(super) fn ask(&mut self, id: NodeId, asked: Asked) {
        let question = asked.question.clone();
        self.say(format_args!("{id} is asked for {}", question.handle));
        let Some((recursive, now)) = self.recursive(id) else {
            return;
        };
        let Some(resolver) = &mut recursive.resolver else {
            return;
        };
        let ticket = resolver.start(question, TraceWanted::No, now);
        recursive.open.insert(ticket, asked);
        self.counts.questions += 1;
        self.pump(id);
    }

    pub(super) fn on_reply_datagram(
        &mut self,
        id: NodeId,
        port: u16,
        from: SocketAddr,
        datagram: &[u8],
    ) {
        let local = port.wrapping_sub(FIRST_PORT);
        if let Some((recursive, now)) = self.recursive(id)
            && let Some(resolver) = &mut recursive.resolver
            && local < SOCKETS
        {
            resolver.on_datagram(local, from, datagram, now);
            self.pump(id);
        }
    }

    pub(super) fn on_resolver_timer(&mut self, id: NodeId) {
        if let Some((recursive, now)) = self.recursive(id)
            && let Some(resolver) = &mut recursive.resolver
        {
            recursive.woken_at = None;
            if resolver.poll_timeout().is_some_and(|due| due <= now.tick) {
                resolver.on_timeout(now);
            }
            self.pump(id);
        }
    }

    //--- Streams

    pub(super) fn on_reply_piece(
        &mut self,
        id: NodeId,
        connection: ConnectionId,
        exchange: ExchangeId,
        piece: &[u8],
    ) {
        let Some((recursive, _)) = self.recursive(id) else {
            return;
        };
        let framer = recursive.replies.entry(connection).or_default();
        framer.push(piece);
        let result = match framer.next_packet() {
            Ok(None) => return,
            Ok(Some(packet)) => Ok(packet.to_vec()),
            Err(error) => Err(StreamFault::Malformed(error.to_string())),
        };
        self.close_stream(connection);
        let result = result.as_deref().map_err(Clone::clone);
        self.on_stream_result(id, exchange, result);
    }

    pub(super) fn on_reply_broken(&mut self, id: NodeId, exchange: ExchangeId, fault: StreamFault) {
        self.on_stream_result(id, exchange, Err(fault));
    }

    fn on_stream_result(
        &mut self,
        id: NodeId,
        exchange: ExchangeId,
        result: Result<&[u8], StreamFault>,
    ) {
        let Some((recursive, now)) = self.recursive(id) else {
            return;
        };
        if let Some(connection) = recursive.streams.remove(&exchange) {
            recursive.replies.remove(&connection);
        }
        if let Some(resolver) = &mut recursive.resolver {
            resolver.on_stream(exchange, result, now);
        }
        self.pump(id);
    }

    //--- Polling

    /// Polls until nothing is left, and sets the timer.
    fn pump(&mut self, id: NodeId) {
        for _ in 0..ROUNDS_MAX {
            let Some((recursive, now)) = self.recursive(id) else {
                return;
            };
            let Some(resolver) = &mut recursive.resolver else {
                return;
            };
            if let Some(transmit) = resolver.poll_transmit(now) {
                self.transmit(id, &transmit);
            } else if let Some((ticket, answer)) = resolver.poll_answer() {
                self.take_answer(id, ticket, &answer);
            } else if let Some(exchange) = resolver.poll_abandoned() {
                if let Some(connection) = recursive.streams.remove(&exchange) {
                    recursive.replies.remove(&connection);
                    self.close_stream(connection);
                }
            } else if resolver.poll_event().is_none() {
                self.check_bounds(id);
                return self.set_timer(id);
            }
        }
        self.violated(format_args!("{id} never stops having something to do"));
    }

    fn set_timer(&mut self, id: NodeId) {
        let clock = self.nodes[id].clock;
        let present = self.now;
        let Some((recursive, _)) = self.recursive(id) else {
            return;
        };
        let due = recursive.resolver.as_ref().and_then(Resolver::poll_timeout);
        let Some(due) = due else {
            return;
        };
        let at = clock.when(due.0).max(present);
        if recursive.woken_at.is_none_or(|woken_at| at < woken_at) {
            recursive.woken_at = Some(at);
            self.wake(id, at, Wake::Resolver);
        }
    }

    fn transmit(&mut self, id: NodeId, transmit: &Transmit) {
        let server = transmit.route.address;
        self.counts.exchanges += 1;
        match transmit.transport {
            Transport::Udp { local } => {
                let from = SocketAddr::new(ip_of(id), FIRST_PORT + local);
                self.send(from, server, &transmit.packet);
                self.maybe_forge(server, from, &transmit.packet);
            }
            _ => {
                let node = node_at(server.ip()).filter(|node| *node < self.nodes.len());
                let Some(node) = node else {
                    let fault = StreamFault::Connect("no such machine".into());
                    return self.on_stream_result(id, transmit.exchange, Err(fault));
                };
                let purpose = Purpose::Resolve(transmit.exchange);
                let connection = self.open_stream(id, node, purpose, transmit.packet.to_vec());
                if let Some((recursive, _)) = self.recursive(id) {
                    recursive.streams.insert(transmit.exchange, connection);
                }
            }
        }
    }

    fn take_answer(&mut self, id: NodeId, ticket: Ticket, answer: &Answer) {
        let Some((recursive, _)) = self.recursive(id) else {
            return;
        };
        match recursive.open.remove(&ticket) {
            Some(asked) => self.judge(id, &asked, answer),
            None => self.violated(format_args!("{id} answers what nobody asked")),
        }
    }
}
