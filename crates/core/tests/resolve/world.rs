//! A virtual network around a resolver: time is a number, and packets are events.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use guantong_core::resolve::{
    Answer, Cache, CacheSettings, Event, ExchangeId, Now, Question, Resolver, Roots, Settings,
    StreamFault, Tick, Ticket, TraceWanted, Transmit, Transport,
};
use guantong_proto::Value;
use guantong_proto::data::site::Protocol;
use guantong_proto::frame::split;
use guantong_proto::message::{Message, Request};

use crate::server::{Answered, Lie, Server, SiteOf, Stored, answer, reply, site_record};

/// Wall clock at the beginning of every scenario.
const EPOCH_SECS: u32 = 1_700_000_000;

//----------- World ----------------------------------------------------------

pub(crate) struct World {
    pub(crate) servers: BTreeMap<String, Server>,
    pub(crate) sites: BTreeMap<String, SiteOf>,
    pub(crate) settings: Settings,
    pub(crate) cache_settings: CacheSettings,
    pub(crate) roots: Vec<String>,
    /// Addresses alone are known of the roots.
    pub(crate) bare_roots: bool,
    pub(crate) resolver: Option<Resolver>,
    pub(crate) now_ms: u64,
    in_transit: BTreeMap<(u64, u64), Arriving>,
    sequence: u64,
    pub(crate) answers: HashMap<Ticket, (u64, Answer)>,
    pub(crate) started: HashMap<Ticket, u64>,
    /// Requests since the last question: server, protocol, handle.
    pub(crate) asked: Vec<(String, Protocol, String)>,
    pub(crate) events: Vec<Event>,
    pub(crate) abandoned: usize,
    chaos: Option<(Chaos, u64)>,
}

/// What happens to packets on their way to the resolver.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chaos {
    pub(crate) lost_percent: u32,
    pub(crate) mutated_percent: u32,
    pub(crate) doubled_percent: u32,
    /// Up to this long, at random.
    pub(crate) delay_ms: u64,
}

#[derive(Clone)]
enum Arriving {
    Datagram {
        local: u16,
        peer: SocketAddr,
        octets: Vec<u8>,
    },
    Stream {
        exchange: ExchangeId,
        result: Result<Vec<u8>, StreamFault>,
    },
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            servers: BTreeMap::new(),
            sites: BTreeMap::new(),
            settings: Settings {
                root_refresh: guantong_core::resolve::RootRefresh::Never,
                sockets: 4,
                ..Settings::default()
            },
            cache_settings: CacheSettings::default(),
            roots: Vec::new(),
            bare_roots: false,
            resolver: None,
            now_ms: 0,
            in_transit: BTreeMap::new(),
            sequence: 0,
            answers: HashMap::new(),
            started: HashMap::new(),
            asked: Vec::new(),
            events: Vec::new(),
            abandoned: 0,
            chaos: None,
        }
    }

    pub(crate) fn now(&self) -> Now {
        let secs = u32::try_from(self.now_ms / 1_000).expect("scenarios are short");
        Now {
            tick: Tick(self.now_ms),
            secs: EPOCH_SECS + secs,
        }
    }

    pub(crate) fn resolver(&mut self) -> &mut Resolver {
        if self.resolver.is_none() {
            let cache = Arc::new(Cache::new(self.cache_settings.clone()));
            self.resolver = Some(self.make_resolver(cache));
        }
        self.resolver.as_mut().expect("it was just made")
    }

    fn make_resolver(&self, cache: Arc<Cache>) -> Resolver {
        let addresses: Vec<SocketAddr> = self
            .roots
            .iter()
            .map(|name| self.servers[name].address(Protocol::UDP))
            .collect();
        let values = (1..).zip(&self.roots).map(|(index, name)| {
            let site = site_record(name, &self.servers, &self.sites);
            Value::new(index, "HS_SITE", site.encode())
        });
        let roots = match self.bare_roots {
            true => Roots::from_addresses(&addresses),
            false => Roots::from_values(values.collect()),
        };
        let roots = roots.expect("the scenario names a root");
        // Random enough for ids; the same in every run.
        let mut state = 0x243f_6a88_85a3_08d3_u64;
        let random = move |octets: &mut [u8]| {
            for octet in octets {
                state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                *octet = state.to_be_bytes()[1];
            }
        };
        Resolver::new(self.settings.clone(), roots, cache, Box::new(random))
    }

    /// Saves the cache and begins anew with it, as a restart does.
    pub(crate) fn restart(&mut self, mut saved: impl FnMut(&Cache, Now) -> Arc<Cache>) {
        let now = self.now();
        let old = self.resolver().cache().clone();
        let cache = saved(&old, now);
        self.in_transit.clear();
        self.answers.clear();
        self.resolver = Some(self.make_resolver(cache));
    }

    pub(crate) fn ask(&mut self, question: Question) -> Ticket {
        let now = self.now();
        self.asked.clear();
        let ticket = self.resolver().start(question, TraceWanted::Yes, now);
        self.started.insert(ticket, self.now_ms);
        self.pump();
        ticket
    }

    /// Lets `ms` pass, or less if `until` holds earlier.
    pub(crate) fn run(&mut self, ms: u64, until: impl Fn(&Self) -> bool) {
        let end = self.now_ms + ms;
        while !until(self) {
            let due = self.resolver().poll_timeout().map(|tick| tick.0);
            let arrival = self.in_transit.keys().next().map(|(at, _)| *at);
            let Some(next) = [due, arrival]
                .into_iter()
                .flatten()
                .min()
                .filter(|at| *at <= end)
            else {
                self.now_ms = end;
                return;
            };
            self.now_ms = self.now_ms.max(next);
            let now = self.now();
            if arrival == Some(next) {
                let (_, arriving) = self.in_transit.pop_first().expect("it is the first");
                self.arrive(arriving, now);
            } else {
                self.resolver().on_timeout(now);
            }
            self.pump();
        }
    }

    fn arrive(&mut self, arriving: Arriving, now: Now) {
        match arriving {
            Arriving::Datagram {
                local,
                peer,
                octets,
            } => self.resolver().on_datagram(local, peer, &octets, now),
            Arriving::Stream { exchange, result } => {
                let result = result.as_deref().map_err(Clone::clone);
                self.resolver().on_stream(exchange, result, now);
            }
        }
    }

    /// Takes everything that the resolver gives.
    pub(crate) fn pump(&mut self) {
        let now = self.now();
        while let Some(transmit) = self.resolver().poll_transmit(now) {
            self.send(&transmit, now);
        }
        while let Some((ticket, answer)) = self.resolver().poll_answer() {
            let known = self.answers.insert(ticket, (self.now_ms, answer));
            assert!(known.is_none(), "{ticket:?} is answered once");
        }
        while self.resolver().poll_abandoned().is_some() {
            self.abandoned += 1;
        }
        while let Some(event) = self.resolver().poll_event() {
            self.events.push(event);
        }
    }

    fn send(&mut self, transmit: &Transmit, now: Now) {
        let protocol = transmit.transport.protocol();
        let address = transmit.route.address;
        let found = self.servers.iter().find(|(_, server)| {
            server.address(protocol) == address && server.protocols.contains(&protocol)
        });
        let Some(name) = found.map(|(name, _)| name.clone()) else {
            return self.refuse(transmit, "no such host", 5);
        };
        let message = Message::decode(&transmit.packet).expect("requests decode");
        let Ok(Request::Resolve(resolve)) = Request::of(&message) else {
            panic!("the resolver resolves")
        };
        let handle = String::from_utf8_lossy(resolve.handle).into_owned();
        self.asked.push((name.clone(), protocol, handle.clone()));
        let server = self.servers.get_mut(&name).expect("it was just found");
        server.asked += 1;
        if server.silent.contains(&protocol.0) {
            return;
        }
        if server.refuses.contains(&protocol.0) {
            return self.refuse(transmit, "refused", 1);
        }
        if protocol == Protocol::UDP && server.loses > 0 {
            server.loses -= 1;
            return;
        }
        let server = &self.servers[&name];
        let encode = |stored: &Stored| {
            let mut value = stored.value.clone();
            if let Some(site) = &stored.site {
                value.data = site_record(site, &self.servers, &self.sites).encode();
            }
            value
        };
        let answered = match self.holds(&name, &handle) {
            true => answer(server, protocol, &resolve, message.header.flags, &encode),
            false => Answered::code(301, "another server of the site holds it"),
        };
        let (takes_ms, lie) = (server.takes_ms, server.lie);
        let false_packet = lie.map(|lie| reply(server, &message, &answered, Some(lie), now.secs));
        let true_packet = reply(server, &message, &answered, None, now.secs);
        let tells_truth = lie.is_none() || server.lies_first;
        if let (Some(lie), Some(packet)) = (lie, false_packet) {
            self.deliver(transmit, &packet, Some(lie), takes_ms);
        }
        if tells_truth {
            self.deliver(transmit, &true_packet, None, takes_ms + 2);
        }
    }

    /// Whether the server of a site is the one that the hash selects.
    fn holds(&self, name: &str, handle: &str) -> bool {
        let handle = guantong_proto::HandleRef::parse(handle).expect("it is a handle");
        let mut sites = self.sites.values();
        let Some(site) = sites.find(|site| site.servers.iter().any(|n| n == name)) else {
            return true;
        };
        let at = site.hash.server_position(handle, site.servers.len());
        at.map(|at| site.servers[at].as_str()) == Some(name)
    }

    fn refuse(&mut self, transmit: &Transmit, text: &str, after_ms: u64) {
        if matches!(transmit.transport, Transport::Udp { .. }) {
            return;
        }
        let result = Err(StreamFault::Connect(text.to_owned()));
        let exchange = transmit.exchange;
        self.schedule(after_ms, Arriving::Stream { exchange, result });
    }

    fn deliver(&mut self, transmit: &Transmit, packet: &[u8], lie: Option<Lie>, after_ms: u64) {
        let Transport::Udp { local } = transmit.transport else {
            let exchange = transmit.exchange;
            let result = Ok(packet.to_vec());
            return self.schedule(after_ms, Arriving::Stream { exchange, result });
        };
        let mut peer = transmit.route.address;
        if lie == Some(Lie::Peer) {
            peer.set_port(peer.port() + 1);
        }
        let local = match lie {
            Some(Lie::Socket) => local ^ 1,
            _ => local,
        };
        let mut datagrams = Vec::new();
        split(packet, |datagram| datagrams.push(datagram.to_vec()));
        if lie == Some(Lie::Half) {
            assert!(datagrams.len() > 1, "half of a reply needs a long record");
            datagrams.truncate(1);
        }
        for octets in datagrams {
            self.schedule(
                after_ms,
                Arriving::Datagram {
                    local,
                    peer,
                    octets,
                },
            );
        }
    }

    /// From now on packets suffer.
    pub(crate) fn chaos(&mut self, chaos: Chaos, seed: u64) {
        self.chaos = Some((chaos, seed));
    }

    fn schedule(&mut self, mut after_ms: u64, mut arriving: Arriving) {
        if let Some((chaos, state)) = &mut self.chaos {
            let mut draw = |end: u64| {
                *state = state
                    .wrapping_mul(0x5851_f42d_4c95_7f2d)
                    .wrapping_add(0x1405_7b7e);
                (*state >> 33).checked_rem(end).unwrap_or(0)
            };
            let mut happens = |percent: u32| draw(100) < u64::from(percent);
            if happens(chaos.lost_percent) && arriving.is_datagram() {
                return;
            }
            let is_mutated = happens(chaos.mutated_percent);
            let is_doubled = happens(chaos.doubled_percent) && arriving.is_datagram();
            if is_mutated {
                arriving.mutate(&mut draw);
            }
            after_ms += draw(chaos.delay_ms);
            if is_doubled {
                let at = self.now_ms + after_ms + draw(100);
                self.sequence += 1;
                self.in_transit
                    .insert((at, self.sequence), arriving.clone());
            }
        }
        self.sequence += 1;
        let at = self.now_ms + after_ms;
        self.in_transit.insert((at, self.sequence), arriving);
    }
}

impl Arriving {
    fn is_datagram(&self) -> bool {
        matches!(self, Self::Datagram { .. })
    }

    /// Changes, cuts off or adds octets; mostly behind the envelope, so that not all is dropped at
    /// once.
    fn mutate(&mut self, draw: &mut impl FnMut(u64) -> u64) {
        let octets = match self {
            Self::Datagram { octets, .. } => octets,
            Self::Stream {
                result: Ok(octets), ..
            } => octets,
            Self::Stream { .. } => return,
        };
        let len = u64::try_from(octets.len()).expect("packets are short");
        let at = |n: u64| usize::try_from(n).expect("packets are short");
        match draw(4) {
            0 => octets.truncate(at(draw(len + 1))),
            1 => octets.extend_from_slice(&[0xff; 7]),
            _ => {
                for _ in 0..=draw(4) {
                    let position = at(draw(len));
                    if let Some(octet) = octets.get_mut(position) {
                        *octet = u8::try_from(draw(256)).expect("below 256");
                    }
                }
            }
        }
    }
}
