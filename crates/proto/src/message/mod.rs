//! Messages: envelope, header, typed bodies, credential.
//!
//! ```text
//! ┌──────────┬────────┬──────────────────────────┬───────────────────────────┐
//! │ envelope │ header │ body (bodyLength octets) │ i32 length │ credential   │
//! │ 20       │ 24     │ [digest] typed by opCode │ may be missing altogether │
//! └──────────┴────────┴──────────────────────────┴───────────────────────────┘
//!            └──────────────── messageLength octets ─────────────────────────┘
//! ```
//!
//! A [`Packet`] is an envelope with its octets, encrypted or not. A [`Message`] is the clear form
//! with its parts found; [`Request`] and [`Response`] give meaning to the body. All borrow.

mod code;
mod digest;
mod envelope;
mod header;
mod request;
mod response;

pub use code::{OpCode, OpFlags, ResponseCode};
pub use digest::{Digest, HashId};
pub use envelope::{Envelope, Version};
pub use header::Header;
pub use request::{
    Indexes, KeyExchange, Request, RequestBuilder, Resolve, SessionSetup, TxnPosition, Types,
};
pub use response::{Body, Handles, Response, ResponseLayout};

use crate::error::{DecodeError, Reason};
use crate::limits::MESSAGE_LEN_MAX;
use crate::wire::{Reader, Writer};

//----------- Packet ---------------------------------------------------------

/// An envelope and the octets that belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The envelope.
    pub envelope: Envelope,
    /// Header, body and credential, or their encrypted form.
    pub octets: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Splits one whole packet. Octets beyond the announced length are not looked at.
    pub fn decode(octets: &'a [u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(octets);
        let envelope = Envelope::decode(&mut r)?;
        let len = envelope.message_len()?;
        Ok(Self {
            envelope,
            octets: r.take("message", len)?,
        })
    }
}

//----------- Message --------------------------------------------------------

/// A message in clear, with its parts found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The envelope it came in. `message_len` is not looked at when encoding.
    pub envelope: Envelope,
    /// The header. `body_len` is not looked at when encoding.
    pub header: Header,
    /// The body, request digest included.
    pub body: &'a [u8],
    /// The credential without its length word; `None` if even the length word is missing, as the
    /// login message of one SDK has it.
    pub credential: Option<&'a [u8]>,
}

impl<'a> Message<'a> {
    /// Decodes one whole packet that is not encrypted.
    pub fn decode(octets: &'a [u8]) -> Result<Self, DecodeError> {
        let packet = Packet::decode(octets)?;
        if packet.envelope.encrypted {
            let reason = Reason::Invalid("the message is encrypted and has no session");
            return Err(DecodeError::new("envelope flags", 2, reason));
        }
        Self::parse(packet.envelope, packet.octets)
    }

    /// Finds the parts of clear `octets` that came in `envelope`.
    pub fn parse(envelope: Envelope, octets: &'a [u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(octets);
        let header = Header::decode(&mut r)?;
        let body_len = header.body_len()?;
        let body = r.take("body", body_len)?;
        let credential = match r.is_empty() {
            true => None,
            false => Some(r.bytes("credential")?),
        };
        r.finish("credential")?;
        Ok(Self {
            envelope,
            header,
            body,
            credential,
        })
    }

    /// Appends the whole packet to `out`; both lengths are computed.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = begin(out, &self.envelope, &self.header);
        out.extend_from_slice(self.body);
        finish(out, start, self.credential);
    }

    /// The octets that a digest or signature of this message covers: header and body.
    pub fn header_and_body(&self) -> Vec<u8> {
        let len = i32::try_from(self.body.len()).unwrap_or(i32::MAX);
        Writer::to_vec(|w| {
            Header {
                body_len: len,
                ..self.header
            }
            .encode(w);
            w.raw(self.body);
        })
    }
}

/// Starts a packet in `out`: envelope and header, with lengths still to be filled in.
///
/// The body is appended next, then [`finish`] completes the packet. Returns the offset at which the
/// packet starts. This is how a server writes an answer without an intermediate copy.
pub fn begin(out: &mut Vec<u8>, envelope: &Envelope, header: &Header) -> usize {
    let start = out.len();
    let mut w = Writer::new(out);
    envelope.encode(&mut w);
    header.encode(&mut w);
    start
}

/// Completes the packet that [`begin`] started at `start`: credential and both lengths.
pub fn finish(out: &mut Vec<u8>, start: usize, credential: Option<&[u8]>) {
    use crate::limits::{ENVELOPE_LEN, HEADER_LEN};
    let body_len = out.len() - start - ENVELOPE_LEN - HEADER_LEN;
    if let Some(credential) = credential {
        Writer::new(out).bytes(credential);
    }
    let message_len = out.len() - start - ENVELOPE_LEN;
    let mut patch = |at: usize, len: usize| {
        let len = i32::try_from(len).unwrap_or(i32::MAX);
        out[start + at..start + at + 4].copy_from_slice(&len.to_be_bytes());
    };
    patch(ENVELOPE_LEN - 4, message_len);
    patch(ENVELOPE_LEN + HEADER_LEN - 4, body_len);
}

/// The words of four octets that a part of fixed length consists of.
#[inline]
fn words_of<const N: usize>(octets: &[u8]) -> [[u8; 4]; N] {
    let (words, _) = octets.as_chunks();
    std::array::from_fn(|n| words.get(n).copied().unwrap_or_default())
}

/// The octets of such a part.
#[inline]
fn octets_of<const LEN: usize>(words: &[[u8; 4]]) -> [u8; LEN] {
    let octets = words.as_flattened().first_chunk();
    octets.copied().unwrap_or([0; LEN])
}

/// Checks a length that a peer announced against [`MESSAGE_LEN_MAX`].
fn announced_len(field: &'static str, at: usize, len: i32) -> Result<usize, DecodeError> {
    let found =
        usize::try_from(len).map_err(|_| DecodeError::new(field, at, Reason::Negative(len)))?;
    if found > MESSAGE_LEN_MAX {
        let reason = Reason::TooLarge {
            found,
            limit: MESSAGE_LEN_MAX,
        };
        return Err(DecodeError::new(field, at, reason));
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
