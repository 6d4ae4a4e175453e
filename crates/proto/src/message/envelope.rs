//! The envelope in front of every message and datagram (RFC 3652, 2.2.1, as practised).

use std::fmt;

use super::{announced_len, octets_of, words_of};
use crate::error::{DecodeError, Reason};
use crate::limits::{ENVELOPE_LEN, HEADER_LEN};
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
        r.chunk("envelope").map(Self::from_octets)
    }

    /// The envelope that these octets are. Lengths are not judged.
    #[inline]
    pub fn from_octets(octets: &[u8; ENVELOPE_LEN]) -> Self {
        let [versions, session_id, request_id, sequence, message_len] = words_of(octets);
        let [major, minor, flags, suggested_minor] = versions;
        Self {
            version: Version::new(major, minor),
            suggested: Version::new(
                flags & !(COMPRESSED | ENCRYPTED | TRUNCATED),
                suggested_minor,
            ),
            compressed: flags & COMPRESSED != 0,
            encrypted: flags & ENCRYPTED != 0,
            truncated: flags & TRUNCATED != 0,
            session_id: i32::from_be_bytes(session_id),
            request_id: i32::from_be_bytes(request_id),
            sequence: i32::from_be_bytes(sequence),
            message_len: i32::from_be_bytes(message_len),
        }
    }

    /// Encodes the envelope.
    pub fn encode(&self, w: &mut Writer<'_>) {
        w.raw(&self.to_octets());
    }

    /// The octets of the envelope.
    #[inline]
    pub fn to_octets(&self) -> [u8; ENVELOPE_LEN] {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let flags = self.suggested.major & !(COMPRESSED | ENCRYPTED | TRUNCATED)
            | flag(self.compressed, COMPRESSED)
            | flag(self.encrypted, ENCRYPTED)
            | flag(self.truncated, TRUNCATED);
        let Version { major, minor } = self.version;
        octets_of(&[
            [major, minor, flags, self.suggested.minor],
            self.session_id.to_be_bytes(),
            self.request_id.to_be_bytes(),
            self.sequence.to_be_bytes(),
            self.message_len.to_be_bytes(),
        ])
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
