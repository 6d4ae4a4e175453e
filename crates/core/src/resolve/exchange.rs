//! One request at one server: the packet, and whether a packet that came is the reply to it.

use std::net::SocketAddr;
use std::sync::Arc;

use guantong_proto::Handle;
use guantong_proto::crypto::Credential;
use guantong_proto::crypto::hash::request_digest;
use guantong_proto::message::{
    Body, Envelope, Header, Message, OpCode, Request, Resolve, Response, ResponseCode, Version,
};
use guantong_proto::message::{Indexes, Types};
use guantong_proto::wire::{Reader, Writer};

use super::limits::SKEW_MAX_SECS;
use super::place::{Place, Reach};
use super::question::Question;
use super::time::{Now, Tick};
use super::trace::Mismatch;
use super::transmit::{ExchangeId, Transmit, Transport};
use super::walk::WalkId;

//----------- Exchange -------------------------------------------------------

/// A request that is out.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) id: ExchangeId,
    pub(super) walk: WalkId,
    pub(super) place: Place,
    /// The handle that was asked for.
    pub(super) handle: Handle,
    pub(super) transport: Transport,
    pub(super) packet: Arc<[u8]>,
    pub(super) request_id: i32,
    /// Whether the reply must be signed.
    pub(super) certified: bool,
    /// When it was first sent.
    pub(super) began: Tick,
    /// When the wait for it is over.
    pub(super) due: Tick,
    /// How long that wait is.
    pub(super) wait_ms: u64,
    /// Times it was sent.
    pub(super) tries: u32,
    /// It asks a second server because the first is slow.
    pub(super) is_hedge: bool,
    /// Part of a reply has come by UDP.
    pub(super) is_partial: bool,
    /// Replies that did not match.
    pub(super) dropped: u32,
    pub(super) dropped_because: Option<Mismatch>,
}

impl Exchange {
    pub(super) fn transmit(&self, reach: Reach) -> Transmit {
        let key = &self.place.server().public_key;
        Transmit {
            exchange: self.id,
            transport: self.transport,
            route: self.place.route.clone(),
            packet: self.packet.clone(),
            server_key: (!key.is_empty()).then(|| key.as_slice().into()),
            reach,
            deadline: self.due,
        }
    }

    /// Whether a datagram from there can belong to it.
    pub(super) fn is_from(&self, local: u16, peer: SocketAddr) -> bool {
        self.transport == Transport::Udp { local } && same_address(self.place.route.address, peer)
    }

    /// Notes a reply that did not match.
    pub(super) fn drop_reply(&mut self, mismatch: Mismatch) {
        self.dropped = self.dropped.saturating_add(1);
        self.dropped_because = Some(mismatch);
    }

    /// The reply in `packet`, if it is the one to this request.
    pub(super) fn check<'a>(&self, packet: &'a [u8], now: Now) -> Result<Reply<'a>, Mismatch> {
        let malformed = |e: guantong_proto::DecodeError| Mismatch::Malformed(e.to_string());
        let envelope = Envelope::decode(&mut Reader::new(packet)).map_err(malformed)?;
        if envelope.request_id != self.request_id {
            return Err(Mismatch::Unknown);
        }
        if envelope.compressed || envelope.encrypted {
            return Err(Mismatch::Sealed);
        }
        let message = Message::decode(packet).map_err(malformed)?;
        if message.header.op != OpCode::RESOLVE {
            return Err(Mismatch::Operation);
        }
        let response = Response::of(&message).map_err(malformed)?;
        self.check_digest(&response, message.header.code)?;
        let expired = now.secs.saturating_sub(message.header.expiration);
        if expired > SKEW_MAX_SECS {
            return Err(Mismatch::Expired(expired));
        }
        if let Body::Record { handle, .. } = &response.body
            && !handle.eq_ignore_ascii_case(self.handle.as_str().as_bytes())
        {
            return Err(Mismatch::Handle);
        }
        if self.certified {
            self.check_signature(&message)?;
        }
        Ok(Reply {
            verified: self.certified,
            message,
            body: response.body,
        })
    }

    /// A reply without the digest of the request proves nothing. Only "general error" and "too
    /// busy" pass: all they do is to make us ask elsewhere.
    fn check_digest(&self, response: &Response<'_>, code: ResponseCode) -> Result<(), Mismatch> {
        let harmless = code == ResponseCode::ERROR || code == ResponseCode::SERVER_TOO_BUSY;
        let Some(digest) = &response.digest else {
            return match harmless && !self.certified {
                true => Ok(()),
                false => Err(Mismatch::NoDigest),
            };
        };
        // Our own packet decodes.
        let request = Message::decode(&self.packet).map_err(|_| Mismatch::Digest)?;
        match request_digest(digest.hash, &request) == digest.octets {
            true => Ok(()),
            false => Err(Mismatch::Digest),
        }
    }

    /// With the server's key from the site record that led there (2.4).
    fn check_signature(&self, message: &Message<'_>) -> Result<(), Mismatch> {
        let wrong = |e: &dyn std::fmt::Display| Mismatch::Signature(e.to_string());
        let server = self.place.server();
        if server.public_key.is_empty() {
            return Err(Mismatch::NoKey);
        }
        let credential = Credential::of(message).map_err(|e| wrong(&e))?;
        let credential = credential.ok_or(Mismatch::Unsigned)?;
        let key = server.key().map_err(|e| wrong(&e))?;
        credential
            .verify_signature(message, &key)
            .map_err(|e| wrong(&e))
    }
}

/// A reply that is sound.
#[derive(Debug)]
pub(super) struct Reply<'a> {
    pub(super) message: Message<'a>,
    pub(super) body: Body<'a>,
    /// Its signature was checked.
    pub(super) verified: bool,
}

/// IPv4 addresses can come mapped into IPv6, by a socket that serves both.
fn same_address(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port() && a.ip().to_canonical() == b.ip().to_canonical()
}

//----------- Request --------------------------------------------------------

/// What makes one request differ from another for the same question.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    pub(super) request_id: i32,
    pub(super) expiration: u32,
    pub(super) recursion_count: u8,
}

/// The packet that asks `question` at `place`.
pub(super) fn request_packet(question: &Question, place: &Place, stamp: Stamp) -> Vec<u8> {
    let (major, minor) = place.site.protocol;
    let envelope = Envelope::new(version_for(Version::new(major, minor)), stamp.request_id);
    let header = Header {
        site_serial: place.site.serial,
        recursion_count: stamp.recursion_count,
        ..Header::request(OpCode::RESOLVE, question.flags(), stamp.expiration)
    };
    let indexes = Writer::to_vec(|w| {
        w.size(question.indexes.len());
        question.indexes.iter().for_each(|index| w.i32(*index));
    });
    let types = Writer::to_vec(|w| w.bytes_array(&question.types));
    let resolve = Resolve {
        handle: question.handle.as_str().as_bytes(),
        indexes: Indexes::decode(&mut Reader::new(&indexes)).unwrap_or(Indexes::NONE),
        types: Types::decode(&mut Reader::new(&types)).unwrap_or(Types::NONE),
        user_token: None,
    };
    let mut packet = Vec::new();
    Request::Resolve(resolve).to_packet(&envelope, &header, &mut packet);
    packet
}

/// The version of the site, between the one that everybody understands and ours (1.2).
fn version_for(site: Version) -> Version {
    let (ours, least) = (Version::OURS, Version::COMPATIBILITY);
    if site.at_least(ours.major, ours.minor) {
        ours
    } else if site.at_least(least.major, least.minor) {
        site
    } else {
        least
    }
}
