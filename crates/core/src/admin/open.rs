//! Opening a packet that was handed over: decrypting it, and checking that it belongs to its
//! session.

use std::borrow::Cow;

use guantong_proto::DecodeError;
use guantong_proto::message::{Envelope, Header, Message, OpCode, Packet, ResponseCode};

use super::kept::Kept;
use super::session::{Rejected, SharedSession, Tables, locked};
use crate::authority::{Moment, Reply, Site};

//----------- open -----------------------------------------------------------

/// A request in clear.
pub(super) struct Opened {
    pub(super) request: Kept,
    /// The session or login that it came in.
    pub(super) session: Option<SharedSession>,
    /// Why it is not taken into that session.
    pub(super) rejected: Option<Rejected>,
}

pub(super) fn open(packet: &[u8], tables: &dyn Tables) -> Result<Opened, Refusal> {
    let packet = Packet::decode(packet).map_err(|_| Refusal::Silence)?;
    let envelope = packet.envelope;
    let session = match envelope.session_id {
        0 => None,
        id => tables.session(id),
    };
    let rejected = |rejected: Rejected| Refusal::rejected(envelope, &rejected);
    let clear = match (&session, envelope.encrypted) {
        (_, false) => Cow::Borrowed(packet.octets),
        (None, true) => return Err(rejected(Rejected::NoKey)),
        (Some(session), true) => {
            let clear = locked(session).decrypt(envelope.version, packet.octets);
            Cow::Owned(clear.map_err(rejected)?)
        }
    };
    let message = Message::parse(envelope, &clear);
    let message = message.map_err(|error| match envelope.encrypted {
        true => rejected(Rejected::Unreadable),
        false => Refusal::malformed(envelope, None, &error),
    })?;
    if message.header.code != ResponseCode::RESERVED {
        return Err(Refusal::Silence);
    }
    let checked = match &session {
        Some(session) => locked(session).check(&message),
        // An answer to a challenge has its id there, and a login the one that it will have.
        None if envelope.session_id == 0
            || matches!(message.header.op, OpCode::CHALLENGE_ANSWER | OpCode::LOGIN) =>
        {
            Ok(())
        }
        None => Err(Rejected::Unknown),
    };
    let is_unreadable = checked == Err(Rejected::Unreadable);
    if is_unreadable {
        return Err(rejected(Rejected::Unreadable));
    }
    let request = Kept::of(envelope, &clear);
    let request = request.map_err(|error| Refusal::malformed(envelope, None, &error))?;
    Ok(Opened {
        request,
        // What is no message of a session gets no reply with its key.
        session: session.filter(|_| checked.is_ok()),
        rejected: checked.err(),
    })
}

//----------- Refusal --------------------------------------------------------

/// Why a packet is not taken up as an errand.
#[derive(Clone, Debug)]
pub enum Refusal {
    /// It deserves no reply.
    Silence,
    /// It gets this one.
    Say(Box<Said>),
}

/// The reply to a packet that cannot be taken up.
#[derive(Clone, Debug)]
pub struct Said {
    envelope: Envelope,
    header: Option<Header>,
    code: ResponseCode,
    text: String,
}

impl Refusal {
    pub(super) fn malformed(
        envelope: Envelope,
        header: Option<Header>,
        error: &DecodeError,
    ) -> Self {
        Self::Say(Box::new(Said {
            envelope,
            header,
            code: ResponseCode::PROTOCOL_ERROR,
            text: error.to_string(),
        }))
    }

    fn rejected(envelope: Envelope, rejected: &Rejected) -> Self {
        Self::Say(Box::new(Said {
            envelope,
            header: None,
            code: rejected.code(),
            text: rejected.to_string(),
        }))
    }

    /// Appends the reply, if there is one.
    pub fn reply(&self, site: &Site, moment: &Moment<'_>, out: &mut Vec<u8>) {
        let Self::Say(said) = self else {
            return;
        };
        let reply = match said.header {
            Some(header) => Reply::to(site, said.envelope, header, &[]),
            None => Reply::new(site, said.envelope),
        };
        reply.error(said.code, &said.text, moment, out);
    }
}
