//! The envelope in front of every message and datagram (RFC 3652, 2.2.1, as practised).

use std::fmt;

use super::announced_len;
use crate::error::{DecodeError, Reason};
use crate::limits::HEADER_LEN;
use crate::wire::{Reader, Writer};

const COMPRESSED: u8 = 0x80;
const ENCRYPTED: u8 = 0x40;
const TRUNCATED: u8 = 0x20;

//----------- Envelope -------------------------------------------------------

/// The 20 octets in front of a message or of each of its datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The version that the message is written in.
    pub version: Version,
    /// The version that the sender would like; major 0 means no suggestion.
    pub suggested: Version,
    /// Never set by anybody; a message that has it is refused.
    pub compressed: bool,
    /// The message is encrypted with the key of its session.
    pub encrypted: bool,
    /// The message is cut into several datagrams.
    pub truncated: bool,
    /// 0 outside sessions.
    pub session_id: i32,
    /// Chosen by the client, echoed by the server.
    pub request_id: i32,
    /// Number of the datagram from 0; 0 on streams.
    pub sequence: i32,
    /// Length of the whole message without envelopes, as the sender wrote it.
    pub message_len: i32,
}

impl Envelope {
    /// The envelope of a request outside sessions.
    pub fn new(version: Version, request_id: i32) -> Self {
        Self {
            version,
            suggested: Version::OURS,
            compressed: false,
            encrypted: false,
            truncated: false,
            session_id: 0,
            request_id,
            sequence: 0,
            message_len: 0,
        }
    }

    /// Decodes an envelope. Lengths are not judged; see [`Envelope::message_len`].
    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let version = Version::new(r.u8("major version")?, r.u8("minor version")?);
        let flags = r.u8("envelope flags")?;
        let suggested_minor = r.u8("suggested minor version")?;
        Ok(Self {
            version,
            suggested: Version::new(
                flags & !(COMPRESSED | ENCRYPTED | TRUNCATED),
                suggested_minor,
            ),
            compressed: flags & COMPRESSED != 0,
            encrypted: flags & ENCRYPTED != 0,
            truncated: flags & TRUNCATED != 0,
            session_id: r.i32("session id")?,
            request_id: r.i32("request id")?,
            sequence: r.i32("sequence number")?,
            message_len: r.i32("message length")?,
        })
    }

    /// Encodes the envelope.
    pub fn encode(&self, w: &mut Writer<'_>) {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        w.u8(self.version.major);
        w.u8(self.version.minor);
        w.u8(self.suggested.major & !(COMPRESSED | ENCRYPTED | TRUNCATED)
            | flag(self.compressed, COMPRESSED)
            | flag(self.encrypted, ENCRYPTED)
            | flag(self.truncated, TRUNCATED));
        w.u8(self.suggested.minor);
        w.i32(self.session_id);
        w.i32(self.request_id);
        w.i32(self.sequence);
        w.i32(self.message_len);
    }

    /// The announced message length, judged: not negative, room for a header unless encrypted, at
    /// most [`MESSAGE_LEN_MAX`](crate::limits::MESSAGE_LEN_MAX).
    pub fn message_len(&self) -> Result<usize, DecodeError> {
        let len = announced_len("message length", 16, self.message_len)?;
        if len < HEADER_LEN && !self.encrypted {
            let reason = Reason::Invalid("is too short for a message header of 24 octets");
            return Err(DecodeError::new("message length", 16, reason));
        }
        Ok(len)
    }

    /// The version to answer in: the lower of what the peer suggests and ours.
    ///
    /// Without a suggestion the version of the message counts as one. Major 3 (DO-IRP) is answered
    /// in ours; its messages have the same form.
    pub fn answer_version(&self) -> Version {
        let wanted = if self.suggested.major == 0 {
            self.version
        } else {
            self.suggested
        };
        if wanted.at_least(Version::OURS.major, Version::OURS.minor) {
            Version::OURS
        } else {
            wanted
        }
    }
}

//----------- Version --------------------------------------------------------

/// A protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version {
    /// Major version; 2 in practice.
    pub major: u8,
    /// Minor version.
    pub minor: u8,
}

impl Version {
    /// The version that this implementation speaks.
    pub const OURS: Self = Self {
        major: 2,
        minor: 11,
    };
    /// The version assumed of a peer of which nothing is known.
    pub const COMPATIBILITY: Self = Self { major: 2, minor: 3 };

    /// A version of two numbers.
    pub const fn new(major: u8, minor: u8) -> Self {
        Self { major, minor }
    }

    /// Whether this version is `major.minor` or newer.
    ///
    /// Major 5 counts as older than everything else: a historic client wrote 5.0 for 2.0.
    pub fn at_least(self, major: u8, minor: u8) -> bool {
        let rank = |major: u8| if major == 5 { 0 } else { major };
        (rank(self.major), self.minor) >= (rank(major), minor)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}
