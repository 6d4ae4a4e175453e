//! A machine of the network and the process that runs on it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use guantong_core::admin::Challenge;
use guantong_core::authority::{self, Demand, Moment, RecordView, Recursion};
use guantong_core::resolve::Now;
use guantong_proto::frame::{Joined, Reassembly, split};

use super::Net;
use super::clock::Clock;
use super::hostile::Hostile;
use super::mirror::Running;
use super::recursive::Recursive;
use super::reply::limit;
use super::store::{Content, RULE, Store};
use super::world::site_of;

/// Port of the native protocol.
pub(super) const PORT: u16 = 2641;

/// Number of a node.
pub(super) type NodeId = usize;

//----------- Node -----------------------------------------------------------

/// A machine.
pub(super) struct Node {
    pub(super) name: String,
    pub(super) clock: Clock,
    /// Whether its process runs.
    pub(super) up: bool,
    /// How often its process was started; what an earlier one was waiting for is void.
    pub(super) run: u32,
    pub(super) kind: Kind,
}

/// What runs on a machine.
pub(super) enum Kind {
    /// A server with records: a member of a group.
    Member(Box<Member>),
    /// A recursive node.
    Recursive(Box<Recursive>),
    /// A server of somebody who means harm.
    Hostile(Hostile),
}

/// A server with records.
pub(super) struct Member {
    pub(super) group: usize,
    /// What is on its disk, and what readers see.
    pub(super) store: Store,
    /// What its process knows.
    pub(super) running: Running,
}

/// The address of a node.
pub(super) fn ip_of(node: NodeId) -> IpAddr {
    let [.., high, low] = node.to_be_bytes();
    Ipv4Addr::new(10, 0, high, low).into()
}

pub(super) fn address_of(node: NodeId) -> SocketAddr {
    SocketAddr::new(ip_of(node), PORT)
}

/// The node at an address.
pub(super) fn node_at(ip: IpAddr) -> Option<NodeId> {
    match ip {
        IpAddr::V4(ip) => match ip.octets() {
            [10, 0, high, low] => Some(usize::from(high) << 8 | usize::from(low)),
            _ => None,
        },
        IpAddr::V6(_) => None,
    }
}

impl Member {
    /// Answers a packet as the server does: from the records that readers see.
    fn answer(&self, node: NodeId, packet: &[u8], now: Now, out: &mut Vec<u8>) {
        let content = &self.store.seen;
        let is_primary = self.leads();
        let serial = 1 + content.standing.serial_raise();
        let site = site_of(node, is_primary, serial).encode();
        let Ok(site) = authority::Site::new(site, 1, RULE, content.homed()) else {
            return;
        };
        let mut challenge = |_: Demand<'_>| Challenge {
            session_id: 1,
            nonce: [7; 16],
        };
        let mut moment = Moment {
            now_secs: now.secs,
            challenge: &mut challenge,
            recursion: Recursion::Denied,
        };
        let fetch = |key: &[u8]| Ok::<_, std::convert::Infallible>(content.records.get(key));
        let mut key = Vec::new();
        let done = authority::answer(&site, packet, &mut moment, &mut key, out, fetch, |record| {
            RecordView {
                handle: record.handle.as_str(),
                values: &record.values,
                all_public: true,
            }
        });
        match done {
            // Nobody asks for anything but records here.
            Ok(_) => {}
            Err(never) => match never {},
        }
    }
}

/// The records that a member shows, for whoever looks from outside.
pub(super) fn content_of(node: &Node) -> Option<&Content> {
    match &node.kind {
        Kind::Member(member) if node.up => Some(&member.store.seen),
        _ => None,
    }
}

//----------- Datagrams ------------------------------------------------------

/// What a server keeps of incomplete requests.
pub(super) type Incomplete = Reassembly<SocketAddr>;

/// Datagrams of a request that were not answered at once, by node; lost with the process.
pub(super) type IncompleteOf = BTreeMap<NodeId, Incomplete>;

impl Net {
    /// A datagram arrives at a node.
    pub(super) fn on_datagram(&mut self, to: SocketAddr, from: SocketAddr, datagram: &[u8]) {
        let Some(id) = node_at(to.ip()).filter(|id| self.nodes[*id].up) else {
            return;
        };
        self.log.mix(datagram);
        match &self.nodes[id].kind {
            Kind::Recursive(_) => self.on_reply_datagram(id, to.port(), from, datagram),
            Kind::Hostile(_) => self.on_hostile_datagram(id, from, datagram),
            Kind::Member(_) => {
                let now_ms = self.nodes[id].clock.local_ms(self.now);
                let incomplete = self.incomplete.entry(id).or_default();
                let joined = incomplete.on_datagram(from, datagram, now_ms);
                if let Ok(Joined::Whole(packet)) = joined {
                    self.answer_by_udp(id, from, &packet);
                }
            }
        }
    }

    fn answer_by_udp(&mut self, id: NodeId, client: SocketAddr, packet: &[u8]) {
        let mut reply = self.answer_of(id, packet);
        limit(&mut reply);
        self.send(address_of(id), client, &reply);
    }

    /// The reply of a member to a packet; empty if it deserves none.
    pub(super) fn answer_of(&self, id: NodeId, packet: &[u8]) -> Vec<u8> {
        let node = &self.nodes[id];
        let mut reply = Vec::new();
        if let Kind::Member(member) = &node.kind {
            member.answer(id, packet, node.clock.now(self.now), &mut reply);
        }
        reply
    }

    /// Sends a packet by UDP.
    pub(super) fn send(&mut self, from: SocketAddr, to: SocketAddr, packet: &[u8]) {
        let (Some(sender), Some(receiver)) = (node_at(from.ip()), node_at(to.ip())) else {
            return;
        };
        if packet.is_empty() || receiver >= self.nodes.len() {
            return;
        }
        let mut datagrams = Vec::new();
        split(packet, |datagram| datagrams.push(datagram.to_vec()));
        for datagram in datagrams {
            for delay in self.links.arrivals(sender, receiver, &mut self.random) {
                let mut datagram = datagram.clone();
                self.links.damage(&mut datagram, &mut self.random);
                self.at(
                    self.now + delay,
                    super::Event::Datagram { from, to, datagram },
                );
            }
        }
    }
}
