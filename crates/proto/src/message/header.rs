//! The message header (RFC 3652, 2.2.2).

use super::announced_len;
use super::code::{OpCode, OpFlags, ResponseCode};
use crate::error::DecodeError;
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
        Ok(Self {
            op: OpCode(r.i32("opCode")?),
            code: ResponseCode(r.i32("responseCode")?),
            flags: OpFlags(r.u32("opFlags")?),
            site_serial: r.u16("site serial")?,
            recursion_count: r.u8("recursion count")?,
            reserved: r.u8("reserved octet")?,
            expiration: r.u32("expiration")?,
            body_len: r.i32("body length")?,
        })
    }

    /// Encodes the header.
    pub fn encode(&self, w: &mut Writer<'_>) {
        w.i32(self.op.0);
        w.i32(self.code.0);
        w.u32(self.flags.0);
        w.u16(self.site_serial);
        w.u8(self.recursion_count);
        w.u8(self.reserved);
        w.u32(self.expiration);
        w.i32(self.body_len);
    }

    /// The announced body length, judged.
    pub fn body_len(&self) -> Result<usize, DecodeError> {
        announced_len("body length", 20, self.body_len)
    }
}
