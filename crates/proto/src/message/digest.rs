//! The digest of a request, by which a reply says what it answers.

use super::Version;
use crate::error::{DecodeError, Reason};
use crate::wire::{Reader, Writer};

/// Hash function of a request digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashId {
    /// MD5 in the form used before version 2.1 (code 0).
    Md5Old,
    /// MD5 (code 1), 16 octets.
    Md5,
    /// SHA-1 (code 2), 20 octets.
    Sha1,
    /// SHA-256 (code 3), 32 octets.
    Sha256,
}

impl HashId {
    /// The function that a message of `version` uses.
    pub fn of_version(version: Version) -> Self {
        if version.at_least(2, 7) {
            Self::Sha256
        } else if version.at_least(2, 1) {
            Self::Sha1
        } else {
            Self::Md5Old
        }
    }

    /// The function of a code octet.
    pub fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Md5Old,
            1 => Self::Md5,
            2 => Self::Sha1,
            3 => Self::Sha256,
            _ => return None,
        })
    }

    /// The code octet.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Length of the digest in octets.
    pub fn digest_len(self) -> usize {
        match self {
            Self::Md5Old | Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }
}

/// A digest of a request: u8 hash id, then the digest without a length.
///
/// Computed over header and body of the request as sent in clear; no envelope, no credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest<'a> {
    /// The hash function.
    pub hash: HashId,
    /// The digest, as long as the function says.
    pub octets: &'a [u8],
}

impl<'a> Digest<'a> {
    /// Decodes hash id and digest.
    pub fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let at = r.position();
        let hash = HashId::from_code(r.u8("digest hash id")?).ok_or_else(|| {
            DecodeError::new(
                "digest hash id",
                at,
                Reason::Invalid("is none of 0, 1, 2, 3"),
            )
        })?;
        Ok(Self {
            hash,
            octets: r.take("request digest", hash.digest_len())?,
        })
    }

    /// Encodes hash id and digest.
    pub fn encode(&self, w: &mut Writer<'_>) {
        w.u8(self.hash.code());
        w.raw(self.octets);
    }
}
