//! A request that outlives its packet: while its sender proves who he is, while records are
//! fetched, while it is written.

use guantong_proto::DecodeError;
use guantong_proto::limits::HEADER_LEN;
use guantong_proto::message::{Envelope, Header, Message, Packet};

/// Envelope, header and body of a request in clear; its credential is not kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Kept {
    envelope: Envelope,
    header: Header,
    octets: Box<[u8]>,
}

impl Kept {
    /// Keeps the message of one whole packet that is not encrypted.
    pub fn new(packet: &[u8]) -> Result<Self, DecodeError> {
        let packet = Packet::decode(packet)?;
        Self::of(packet.envelope, packet.octets)
    }

    /// Keeps the clear octets of a message.
    pub fn of(envelope: Envelope, octets: &[u8]) -> Result<Self, DecodeError> {
        let message = Message::parse(envelope, octets)?;
        let len = HEADER_LEN + message.body.len();
        Ok(Self {
            envelope,
            header: message.header,
            octets: octets.get(..len).unwrap_or_default().into(),
        })
    }

    /// The envelope.
    pub fn envelope(&self) -> Envelope {
        self.envelope
    }

    /// The header.
    pub fn header(&self) -> Header {
        self.header
    }

    /// Header and body as they came, over which digests are made.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// The message, without credential.
    pub fn message(&self) -> Message<'_> {
        Message {
            envelope: self.envelope,
            header: self.header,
            body: self.octets.get(HEADER_LEN..).unwrap_or_default(),
            credential: None,
        }
    }
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A body may hold secret keys.
        write!(f, "Kept({}, {} octets)", self.header.op, self.octets.len())
    }
}
