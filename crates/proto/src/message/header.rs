//! The message header (RFC 3652, 2.2.2).

use super::code::{OpCode, OpFlags, ResponseCode};
use super::{announced_len, octets_of, words_of};
use crate::error::DecodeError;
use crate::limits::HEADER_LEN;
use crate::wire::{Reader, Writer};

/// The 24 octets in front of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What is asked, or what was asked.
    pub op: OpCode,
    /// The outcome; 0 in requests.
    pub code: ResponseCode,
    /// Flags of the operation.
    pub flags: OpFlags,
    /// Serial of the site record: the client's copy, or the server's own. 0xFFFF for none.
    pub site_serial: u16,
    /// Number of servers that the request has passed through.
    pub recursion_count: u8,
    /// Reserved, kept as it came.
    pub reserved: u8,
    /// Seconds since 1970 after which the message is stale.
    pub expiration: u32,
    /// Length of the body, as the sender wrote it.
    pub body_len: i32,
}

impl Header {
    /// Site serial of a client that has no site record.
    pub const NO_SERIAL: u16 = 0xffff;

    /// The header of a request.
    pub fn request(op: OpCode, flags: OpFlags, expiration: u32) -> Self {
        Self {
            op,
            code: ResponseCode::RESERVED,
            flags,
            site_serial: Self::NO_SERIAL,
            recursion_count: 0,
            reserved: 0,
            expiration,
            body_len: 0,
        }
    }

    /// Decodes a header. Lengths are not judged; see [`Header::body_len`].
    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.chunk("message header").map(Self::from_octets)
    }

    /// The header that these octets are. Lengths are not judged.
    #[inline]
    pub fn from_octets(octets: &[u8; HEADER_LEN]) -> Self {
        let [op, code, flags, site, expiration, body_len] = words_of(octets);
        let [serial_high, serial_low, recursion_count, reserved] = site;
        Self {
            op: OpCode(i32::from_be_bytes(op)),
            code: ResponseCode(i32::from_be_bytes(code)),
            flags: OpFlags(u32::from_be_bytes(flags)),
            site_serial: u16::from_be_bytes([serial_high, serial_low]),
            recursion_count,
            reserved,
            expiration: u32::from_be_bytes(expiration),
            body_len: i32::from_be_bytes(body_len),
        }
    }

    /// Encodes the header.
    pub fn encode(&self, w: &mut Writer<'_>) {
        w.raw(&self.to_octets());
    }

    /// The octets of the header.
    #[inline]
    pub fn to_octets(&self) -> [u8; HEADER_LEN] {
        let [serial_high, serial_low] = self.site_serial.to_be_bytes();
        octets_of(&[
            self.op.0.to_be_bytes(),
            self.code.0.to_be_bytes(),
            self.flags.0.to_be_bytes(),
            [serial_high, serial_low, self.recursion_count, self.reserved],
            self.expiration.to_be_bytes(),
            self.body_len.to_be_bytes(),
        ])
    }

    /// The announced body length, judged.
    pub fn body_len(&self) -> Result<usize, DecodeError> {
        announced_len("body length", 20, self.body_len)
    }
}
