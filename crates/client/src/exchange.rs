//! One request and what makes a message its answer.
//!
//! On a stream the peer is known; by UDP anybody can send a datagram with a forged source. A forger
//! who cannot see the request has to guess the source port, 31 bits of request id, and, through the
//! digest, 16 bits of the expiration. See [`Request::check`].

use std::time::{SystemTime, UNIX_EPOCH};

use guantong_proto::crypto::hash::request_digest;
use guantong_proto::limits::{EXPIRATION_DEFAULT_SECS, MESSAGE_LEN_MAX};
use guantong_proto::message::{
    Body, Envelope, Message, OpCode, OpFlags, RequestBuilder, Response, ResponseCode, Version,
};
use guantong_proto::{CaseRule, Handle, HandleRef};

use crate::error::{Error, Fault};
use crate::limits::EXPIRATION_SPREAD_SECS;
use crate::query::Query;

//----------- Question -------------------------------------------------------

/// What is asked, before it has an id; each attempt makes a [`Request`] of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Question<'a> {
    /// The values of a record.
    Resolve(&'a Query),
    /// The site record of the server.
    SiteInfo,
    /// The handles under a prefix.
    ListHandles(&'a Handle),
    /// Anything, in the session or under the challenge of this number; 0 for none.
    Any {
        op: OpCode,
        flags: OpFlags,
        session_id: i32,
        body: &'a [u8],
    },
}

impl Question<'_> {
    /// Draws ids and builds the packet.
    pub(crate) fn request(&self) -> Result<Request, Error> {
        let random = getrandom::u64()
            .map_err(|error| Error::Local(format!("no random numbers from the system: {error}")))?;
        let [id, spread] = [random as u32, (random >> 32) as u32];
        let flags = match self {
            Self::Resolve(query) => query.flags,
            Self::Any { flags, .. } => flags.with(OpFlags::RETURN_DIGEST),
            _ => OpFlags::DEFAULT.with(OpFlags::RETURN_DIGEST),
        };
        let mut envelope = Envelope::new(Version::OURS, id.cast_signed() & i32::MAX);
        if let Self::Any { session_id, .. } = self {
            envelope.session_id = *session_id;
        }
        let builder = RequestBuilder {
            envelope,
            flags,
            expiration: now_secs()
                .saturating_add(EXPIRATION_DEFAULT_SECS)
                .saturating_add(spread & EXPIRATION_SPREAD_SECS),
        };
        let (op, handle, packet) = match self {
            Self::Resolve(query) => {
                let handle = query.handle.as_str();
                let packet = builder.resolve(handle, &query.indexes, &query.types);
                (OpCode::RESOLVE, Some(query.handle.clone()), packet)
            }
            Self::SiteInfo => {
                let packet = builder.named(OpCode::GET_SITE_INFO, "/");
                (OpCode::GET_SITE_INFO, None, packet)
            }
            Self::ListHandles(prefix) => {
                let packet = builder.named(OpCode::LIST_HANDLES, prefix.as_str());
                (OpCode::LIST_HANDLES, None, packet)
            }
            Self::Any { op, body, .. } => (*op, None, builder.packet(*op, body)),
        };
        if packet.len() > MESSAGE_LEN_MAX {
            return Err(Error::TooLong {
                len: packet.len(),
                limit: MESSAGE_LEN_MAX,
            });
        }
        Ok(Request {
            id: builder.envelope.request_id,
            op,
            handle,
            packet,
        })
    }

    /// Whether the answer may be continued from message to message, which needs a stream.
    pub(crate) fn needs_stream(&self) -> bool {
        matches!(self, Self::ListHandles(_) | Self::Any { .. })
    }
}

//----------- Request --------------------------------------------------------

/// A request as it is sent, and the measure of its answer.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) id: i32,
    op: OpCode,
    handle: Option<Handle>,
    pub(crate) packet: Vec<u8>,
}

/// How the answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// From an address that anybody can forge: the digest is required.
    Datagram,
    /// Through a connection: servers before version 2.1 know no digest, and a server that could
    /// not read the request knows neither digest nor operation.
    Stream,
}

impl Request {
    /// Whether `packet` is an answer to this request; what it is if not.
    pub(crate) fn check<'a>(&self, packet: &'a [u8], path: Path) -> Result<Message<'a>, Fault> {
        let message = Message::decode(packet)?;
        let header = &message.header;
        let unread = path == Path::Stream && is_reply_to_unreadable(&message);
        if message.envelope.request_id != self.id && !unread {
            return Err(Fault::ForeignId(message.envelope.request_id));
        }
        if header.code == ResponseCode::RESERVED {
            return Err(Fault::NotAnAnswer);
        }
        // The reply to an answer is that to the request which the challenge has held up.
        let is_held_up = self.op == OpCode::CHALLENGE_ANSWER;
        if header.op != self.op && !unread && !is_held_up {
            return Err(Fault::OtherOperation(header.op));
        }
        let response = Response::of(&message)?;
        match &response.digest {
            Some(found) => {
                let request = Message::decode(&self.packet)?;
                if request_digest(found.hash, &request) != found.octets {
                    return Err(Fault::WrongDigest);
                }
            }
            None if path == Path::Datagram => return Err(Fault::NoDigest),
            None => {}
        }
        if let (Body::Record { handle, .. }, Some(asked)) = (&response.body, &self.handle) {
            let found = HandleRef::from_wire(handle);
            let same = |found: HandleRef<'_>| {
                found.key(CaseRule::Insensitive) == asked.key(CaseRule::Insensitive)
            };
            if !found.is_ok_and(same) {
                let found = String::from_utf8_lossy(handle).into_owned();
                return Err(Fault::OtherHandle(found));
            }
        }
        if header.expiration != 0 && header.expiration < now_secs() && !unread {
            return Err(Fault::Expired(header.expiration));
        }
        Ok(message)
    }
}

/// Servers in the field answer what they cannot read with operation 0 and id −1 (clause 1.6).
pub(crate) fn is_reply_to_unreadable(message: &Message<'_>) -> bool {
    let header = &message.header;
    message.envelope.request_id == -1
        && !header.code.is_success()
        && !header.code.is_referral()
        && header.code != ResponseCode::RESERVED
}

/// Seconds since 1970 on this machine's clock.
fn now_secs() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
    })
}
