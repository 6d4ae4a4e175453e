//! A server that means harm. It is responsible for a prefix of its own, and answers questions for
//! it with whatever may hurt: wrong names, endless referrals, lies about lengths and lifetimes,
//! replies that drip.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use guantong_proto::crypto::hash::request_digest;
use guantong_proto::message::{
    Envelope, HashId, Header, Message, Request, ResponseCode, begin, finish,
};
use guantong_proto::wire::Writer;
use guantong_proto::{Ttl, Value, Values};

use super::node::Kind;
use super::node::{NodeId, address_of};
use super::stream::ConnectionId;
use super::world::site_of;
use super::{Event, Net, Sabotage, Wake};

/// Milliseconds between two octets of a reply that drips.
const DRIP_MS: u64 = 400;

//----------- Hostile --------------------------------------------------------

/// What the server is about to do.
#[derive(Debug, Default)]
pub(super) struct Hostile {
    dripping: BTreeMap<ConnectionId, Vec<u8>>,
}

impl Hostile {
    pub(super) fn new() -> Self {
        Self::default()
    }
}

/// Ways to hurt.
#[derive(Clone, Copy, Debug)]
enum Trick {
    Silence,
    WrongId,
    WrongName,
    WrongDigest,
    Referral(ResponseCode),
    LongLife,
    Garbage,
    Length,
    Code(i32),
}

impl Net {
    pub(super) fn on_hostile_datagram(&mut self, id: NodeId, from: SocketAddr, datagram: &[u8]) {
        let reply = self.trick(id, datagram);
        self.send(address_of(id), from, &reply);
    }

    pub(super) fn on_hostile_request(&mut self, id: NodeId, stream: ConnectionId, request: &[u8]) {
        let reply = self.trick(id, request);
        if !self.random.chance(30) || reply.is_empty() {
            return self.reply_on(stream, &reply);
        }
        if let Kind::Hostile(hostile) = &mut self.nodes[id].kind {
            hostile.dripping.insert(stream, reply);
        }
        self.wake(id, self.now + DRIP_MS, Wake::Drip(stream));
    }

    /// Somebody who has guessed everything about a request but the random part of its expiration
    /// answers it in the name of the server.
    pub(super) fn maybe_forge(&mut self, server: SocketAddr, client: SocketAddr, packet: &[u8]) {
        if !self.plan.has_hostile || !self.random.chance(10) {
            return;
        }
        let Ok(mut message) = Message::decode(packet) else {
            return;
        };
        if self.sabotage != Some(Sabotage::ForgeriesBelieved) {
            message.header.expiration ^= 0x55;
        }
        let Ok(Request::Resolve(resolve)) = Request::of(&message) else {
            return;
        };
        let handle = resolve.handle.to_vec();
        let datagram = make(Trick::LongLife, 0, &message, &handle, [0; 8]);
        self.counts.forged += 1;
        let event = Event::Datagram {
            from: server,
            to: client,
            datagram,
        };
        self.at(self.now, event);
    }

    /// One more octet of a reply, as long as somebody listens.
    pub(super) fn drip(&mut self, id: NodeId, stream: ConnectionId) {
        let is_open = self.connections.get(stream).is_some();
        let Kind::Hostile(hostile) = &mut self.nodes[id].kind else {
            return;
        };
        let Some(rest) = hostile.dripping.get_mut(&stream) else {
            return;
        };
        if !is_open || rest.is_empty() {
            hostile.dripping.remove(&stream);
            return;
        }
        let octet = rest.remove(0);
        self.reply_on(stream, &[octet]);
        self.wake(id, self.now + DRIP_MS, Wake::Drip(stream));
    }

    fn trick(&mut self, id: NodeId, packet: &[u8]) -> Vec<u8> {
        let trick = *self.random.pick(&[
            Trick::Silence,
            Trick::WrongId,
            Trick::WrongName,
            Trick::WrongDigest,
            Trick::Referral(ResponseCode::SERVICE_REFERRAL),
            Trick::Referral(ResponseCode::PREFIX_REFERRAL),
            Trick::LongLife,
            Trick::Garbage,
            Trick::Length,
            Trick::Code(2),
            Trick::Code(300),
            Trick::Code(301),
            Trick::Code(12_345),
        ]);
        let Ok(message) = Message::decode(packet) else {
            return Vec::new();
        };
        let Ok(Request::Resolve(resolve)) = Request::of(&message) else {
            return Vec::new();
        };
        let noise = self.random.next_u64().to_be_bytes();
        make(trick, id, &message, resolve.handle, noise)
    }
}

fn make(trick: Trick, id: NodeId, request: &Message<'_>, name: &[u8], noise: [u8; 8]) -> Vec<u8> {
    let code = match trick {
        Trick::Silence => return Vec::new(),
        Trick::Garbage => return noise.repeat(20),
        Trick::Referral(code) => code,
        Trick::Code(code) => ResponseCode(code),
        _ => ResponseCode::SUCCESS,
    };
    let mut envelope = request.envelope;
    if let Trick::WrongId = trick {
        envelope.request_id ^= 1;
    }
    let mut reply = Vec::new();
    let header = Header {
        code,
        expiration: u32::MAX,
        ..request.header
    };
    begin(&mut reply, &Envelope { ..envelope }, &header);
    let hash = HashId::of_version(envelope.version);
    let mut digest = request_digest(hash, request);
    if let Trick::WrongDigest = trick {
        digest[0] ^= 1;
    }
    let mut value = match trick {
        Trick::Referral(_) => Value::new(1, "HS_SITE", site_of(id, true, 9).encode()),
        _ => Value::new(1, "URL", "a lie"),
    };
    value.ttl = Ttl::Relative(i32::MAX);
    let name = match trick {
        // A name of somebody else.
        Trick::WrongName => b"88.118/sn0",
        Trick::Referral(_) => &b""[..],
        _ => name,
    };
    let mut w = Writer::new(&mut reply);
    w.u8(hash.code());
    w.raw(&digest);
    w.bytes(name);
    if !matches!(trick, Trick::Code(_)) {
        Values::encode(&[value], &mut w);
    }
    finish(&mut reply, 0, Some(&[]));
    if let Trick::Length = trick {
        reply[16..20].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff]);
    }
    reply
}
