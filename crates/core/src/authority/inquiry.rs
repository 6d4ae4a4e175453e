//! The native face: a packet in, a whole reply packet out.

use guantong_proto::DecodeError;
use guantong_proto::message::{
    Envelope, Header, Message, OpCode, OpFlags, Packet, Request, Resolve, ResponseCode, Version,
};
use guantong_proto::wire::Reader;

use super::elsewhere::Elsewhere;
use super::lookup::{Lookup, Next};
use super::outcome::Outcome;
use super::query::{Query, Recursion};
use super::record::{RecordView, Selected};
use super::reply::{Reply, header_and_body};
use super::site::Site;
use crate::admin::Challenge;
use crate::admin::session::Rejected;

/// Said to an obsolete operation.
const NO_NEXT_TXN: &str = "Next txn id no longer supported; upgrade required";
/// Said where the RFC knows an operation and nobody does it.
const NO_DERIVED: &str = "derived prefixes are not listed by themselves: list the handles of 0.NA";
const COMPRESSED: &str = "compressed messages are not part of the protocol as spoken";

//----------- Moment ---------------------------------------------------------

/// What a reply needs of the outer world: the time, and a challenge if it comes to that.
pub struct Moment<'a> {
    /// Seconds since 1970.
    pub now_secs: u32,
    /// Draws a challenge and keeps it with the request that it holds up. Called only when one is
    /// sent, at most once per reply.
    pub challenge: &'a mut dyn FnMut(Demand<'_>) -> Challenge,
    /// What the peer may have done for it if it asks for a name that lives elsewhere.
    pub recursion: Recursion,
}

impl std::fmt::Debug for Moment<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Moment")
            .field("now_secs", &self.now_secs)
            .finish_non_exhaustive()
    }
}

/// A request whose sender is to prove who he is.
#[derive(Clone, Copy, Debug)]
pub struct Demand<'a> {
    /// Its envelope.
    pub envelope: Envelope,
    /// Its header and body in clear.
    pub octets: &'a [u8],
}

//----------- Inquiry --------------------------------------------------------

/// A resolution that came as a packet and waits for a record.
#[derive(Clone, Debug)]
pub struct Inquiry<'a> {
    reply: Reply<'a>,
    lookup: Lookup<'a>,
}

/// What an inquiry does next.
#[derive(Clone, Debug)]
#[must_use]
pub enum Step<'a> {
    /// The record of the key is needed.
    Fetch(Inquiry<'a>),
    /// The name lives elsewhere, and the peer may have it resolved.
    Elsewhere(Elsewhere<'a>),
    /// The request needs more than that; nothing was appended. The packet is for an
    /// [`Errand`](crate::admin::Errand).
    HandOver,
    /// The reply is in `out`; if nothing was appended, the packet deserves none.
    Done,
}

impl<'a> Inquiry<'a> {
    /// Takes one whole packet, put together from its datagrams.
    ///
    /// A reply is appended to `out`. For [`Step::Fetch`] the key of the record is in `key`. No
    /// reply is made to octets without a readable envelope and to responses: two servers that talk
    /// to each other by mistake must fall silent.
    pub fn start(
        site: &'a Site,
        packet: &'a [u8],
        moment: &mut Moment<'_>,
        key: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Step<'a> {
        let Ok(envelope) = Envelope::decode(&mut Reader::new(packet)) else {
            return Step::Done;
        };
        let mut reply = Reply::new(site, envelope);
        let message = match open(packet, &mut reply) {
            Ok(message) => message,
            Err(Refusal::Silence) => return Step::Done,
            Err(Refusal::HandOver) => return Step::HandOver,
            Err(Refusal::Say(code, text)) => {
                reply.error(code, &text, moment, out);
                return Step::Done;
            }
        };
        match dispatch(reply, &message, moment, key, out) {
            Ok(step) => step,
            Err(error) => {
                let code = ResponseCode::PROTOCOL_ERROR;
                reply.error(code, &error.to_string(), moment, out);
                Step::Done
            }
        }
    }

    /// Goes on with the record of the key, or with the news that there is none. `key` is the buffer
    /// that [`Inquiry::start`] filled, unchanged.
    pub fn resume(
        self,
        record: Option<RecordView<'_>>,
        moment: &mut Moment<'_>,
        key: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Step<'a> {
        let Self { reply, lookup } = self;
        let asked = lookup.asked();
        match lookup.resume(record, key) {
            Next::Fetch(lookup) => Step::Fetch(Self { reply, lookup }),
            Next::Elsewhere(query) => Step::Elsewhere(Elsewhere::new(reply, query)),
            Next::Done(outcome) => {
                say(&reply, asked, &outcome, moment, out);
                Step::Done
            }
        }
    }

    /// Says that the store failed. What failed is for the log, not for the peer.
    pub fn fail(self, moment: &mut Moment<'_>, out: &mut Vec<u8>) {
        let text = "the record could not be read; the node's log says why";
        self.reply.error(ResponseCode::ERROR, text, moment, out);
    }
}

//----------- Opening --------------------------------------------------------

enum Refusal {
    Silence,
    /// It belongs to a session.
    HandOver,
    Say(ResponseCode, String),
}

impl Refusal {
    fn say(code: ResponseCode, text: &str) -> Self {
        Self::Say(code, text.to_owned())
    }

    fn malformed(error: &DecodeError) -> Self {
        Self::Say(ResponseCode::PROTOCOL_ERROR, error.to_string())
    }
}

/// Finds the parts of a message that may be answered; `reply` learns of them on the way.
fn open<'a>(packet: &'a [u8], reply: &mut Reply<'a>) -> Result<Message<'a>, Refusal> {
    let envelope = reply.request;
    let octets = packet
        .get(guantong_proto::limits::ENVELOPE_LEN..)
        .unwrap_or_default();
    let in_clear = !envelope.compressed && !envelope.encrypted;
    // Behind an announced length that no message can have there is no header to be believed.
    let has_header = in_clear && envelope.message_len().is_ok();
    if has_header && let Ok(header) = Header::decode(&mut Reader::new(octets)) {
        if header.code != ResponseCode::RESERVED {
            return Err(Refusal::Silence);
        }
        reply.header = Some(header);
    }
    if envelope.compressed {
        return Err(Refusal::say(ResponseCode::PROTOCOL_ERROR, COMPRESSED));
    }
    let packet = Packet::decode(packet).map_err(|error| Refusal::malformed(&error))?;
    if envelope.encrypted {
        return Err(match envelope.session_id {
            // Without a session there is no key.
            0 => Refusal::say(ResponseCode::SESSION_FAILED, &Rejected::NoKey.to_string()),
            _ => Refusal::HandOver,
        });
    }
    let message = Message::parse(envelope, packet.octets);
    let message = message.map_err(|error| Refusal::malformed(&error))?;
    reply.digest_input = header_and_body(&message, packet.octets);
    if envelope.session_id != 0 && !begins_login(&message) {
        return Err(Refusal::HandOver);
    }
    Ok(message)
}

/// Whether this is the question with which one SDK begins the login of a connection (9.3): it names
/// a session that does not exist yet, and needs an answer. Nobody else writes version 2.10.
fn begins_login(message: &Message<'_>) -> bool {
    message.header.op == OpCode::GET_SITE_INFO && message.envelope.version == Version::new(2, 10)
}

//----------- Dispatch -------------------------------------------------------

/// Answers what needs no record, and starts a lookup for what does.
fn dispatch<'a>(
    reply: Reply<'a>,
    message: &Message<'a>,
    moment: &mut Moment<'_>,
    key: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<Step<'a>, DecodeError> {
    let op = message.header.op;
    let unsupported = ResponseCode::OPERATION_NOT_SUPPORTED;
    match (op, Request::of(message)?) {
        (_, Request::Resolve(resolve)) => {
            return Ok(look_up(reply, message, resolve, moment, key, out));
        }
        (OpCode::GET_SITE_INFO, _) => {
            let record = reply.site.record();
            reply.send(ResponseCode::SUCCESS, moment, out, |out| {
                out.extend_from_slice(record);
            });
        }
        (OpCode::GET_NEXT_TXN, _) => reply.error(unsupported, NO_NEXT_TXN, moment, out),
        (OpCode::LIST_DERIVED, _) => reply.error(unsupported, NO_DERIVED, moment, out),
        (_, Request::Unknown { .. }) => {
            let text = format!("this node does not know the operation {op}");
            reply.error(unsupported, &text, moment, out);
        }
        _ => return Ok(Step::HandOver),
    }
    Ok(Step::Done)
}

fn look_up<'a>(
    reply: Reply<'a>,
    message: &Message<'a>,
    resolve: Resolve<'a>,
    moment: &mut Moment<'_>,
    key: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Step<'a> {
    let recursion = match message.header.flags.has(OpFlags::RECURSIVE) {
        true => moment.recursion,
        false => Recursion::Denied,
    };
    let query = Query {
        recursion,
        ..Query::of(message, resolve)
    };
    match Lookup::start(reply.site, query, key) {
        Next::Fetch(lookup) => Step::Fetch(Inquiry { reply, lookup }),
        Next::Elsewhere(query) => Step::Elsewhere(Elsewhere::new(reply, query)),
        Next::Done(outcome) => {
            say(&reply, resolve.handle, &outcome, moment, out);
            Step::Done
        }
    }
}

/// Writes the outcome of a resolution.
fn say(
    reply: &Reply<'_>,
    handle: &[u8],
    outcome: &Outcome<Selected<'_>>,
    moment: &mut Moment<'_>,
    out: &mut Vec<u8>,
) {
    use guantong_proto::wire::Writer;
    match outcome {
        Outcome::Record(values) => reply.send(outcome.code(), moment, out, |out| {
            Writer::new(out).bytes(handle);
            values.write(out);
        }),
        Outcome::Referral(values) | Outcome::ServiceReferral(values)
            if reply.version().at_least(2, 5) =>
        {
            reply.send(outcome.code(), moment, out, |out| {
                Writer::new(out).bytes(b"");
                values.write(out);
            });
        }
        Outcome::AuthenticationNeeded => reply.demand_identity(moment, out),
        _ => reply.error(outcome.code(), &outcome.message(), moment, out),
    }
}
