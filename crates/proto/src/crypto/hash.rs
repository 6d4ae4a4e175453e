//! Digest and MAC algorithms: their names, their codes, and request digests (2.3, 2.4).

use md5::{Digest as _, Md5};
use ring::{digest, hmac};

use crate::message::{HashId, Message};

//----------- Hash -----------------------------------------------------------

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hash {
    /// MD5; server selection, the oldest digests and key files.
    Md5,
    /// SHA-1; versions before 2.7.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384; in JSON Web Signatures only.
    Sha384,
    /// SHA-512; in JSON Web Signatures only.
    Sha512,
    /// SM3 of the Chinese national standard.
    #[cfg(feature = "sm")]
    Sm3,
}

impl Hash {
    /// The digest of the parts, one behind the other.
    pub fn digest(self, parts: &[&[u8]]) -> Vec<u8> {
        let by_ring = |algorithm| {
            let mut context = digest::Context::new(algorithm);
            parts.iter().for_each(|part| context.update(part));
            context.finish().as_ref().to_vec()
        };
        match self {
            Self::Md5 => {
                let context = parts
                    .iter()
                    .fold(Md5::new(), |c, part| c.chain_update(part));
                context.finalize().to_vec()
            }
            Self::Sha1 => by_ring(&digest::SHA1_FOR_LEGACY_USE_ONLY),
            Self::Sha256 => by_ring(&digest::SHA256),
            Self::Sha384 => by_ring(&digest::SHA384),
            Self::Sha512 => by_ring(&digest::SHA512),
            #[cfg(feature = "sm")]
            Self::Sm3 => {
                let context = parts
                    .iter()
                    .fold(sm3::Sm3::new(), |c, part| c.chain_update(part));
                context.finalize().to_vec()
            }
        }
    }

    /// The hash function of a request digest.
    pub fn of_digest(id: HashId) -> Self {
        match id {
            HashId::Md5Old | HashId::Md5 => Self::Md5,
            HashId::Sha1 => Self::Sha1,
            HashId::Sha256 => Self::Sha256,
        }
    }
}

/// The digest of a request by which a reply says what it answers: over header and body (2.3).
pub fn request_digest(id: HashId, request: &Message<'_>) -> Vec<u8> {
    Hash::of_digest(id).digest(&[&request.header_and_body()])
}

//----------- Algorithm ------------------------------------------------------

/// An algorithm as credentials, answers and files name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Algorithm {
    /// A plain hash function.
    Hash(Hash),
    /// HMAC-SHA1.
    HmacSha1,
    /// HMAC-SHA256.
    HmacSha256,
    /// A key derived by PBKDF2-HMAC-SHA1, then HMAC-SHA1 with it.
    Pbkdf2HmacSha1,
}

impl Algorithm {
    /// Reads a name, whatever its case and punctuation, or a one-octet code.
    pub fn parse(name: &[u8]) -> Option<Self> {
        if let &[code] = name {
            return Self::from_code(code);
        }
        let letters = name.iter().filter(|c| c.is_ascii_alphanumeric());
        let letters: Vec<u8> = letters.map(u8::to_ascii_uppercase).collect();
        Some(match letters.as_slice() {
            b"MD5" => Self::Hash(Hash::Md5),
            b"SHA1" => Self::Hash(Hash::Sha1),
            b"SHA256" => Self::Hash(Hash::Sha256),
            b"SHA384" => Self::Hash(Hash::Sha384),
            b"SHA512" => Self::Hash(Hash::Sha512),
            #[cfg(feature = "sm")]
            b"SM3" => Self::Hash(Hash::Sm3),
            b"HMACSHA1" => Self::HmacSha1,
            b"HMACSHA256" => Self::HmacSha256,
            b"PBKDF2HMACSHA1" | b"PBKDF2WITHHMACSHA1" => Self::Pbkdf2HmacSha1,
            _ => return None,
        })
    }

    /// The algorithm of a one-octet code.
    pub fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 | 1 => Self::Hash(Hash::Md5),
            2 => Self::Hash(Hash::Sha1),
            3 => Self::Hash(Hash::Sha256),
            0x12 => Self::HmacSha1,
            0x13 => Self::HmacSha256,
            0x22 => Self::Pbkdf2HmacSha1,
            _ => return None,
        })
    }

    /// The name as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hash(Hash::Md5) => "MD5",
            Self::Hash(Hash::Sha1) => "SHA1",
            Self::Hash(Hash::Sha256) => "SHA-256",
            Self::Hash(Hash::Sha384) => "SHA-384",
            Self::Hash(Hash::Sha512) => "SHA-512",
            #[cfg(feature = "sm")]
            Self::Hash(Hash::Sm3) => "SM3",
            Self::HmacSha1 => "HMAC-SHA1",
            Self::HmacSha256 => "HMAC-SHA256",
            Self::Pbkdf2HmacSha1 => "PBKDF2-HMAC-SHA1",
        }
    }
}

/// HMAC-SHA1.
pub(super) fn hmac_sha1(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    hmac_with(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key, parts)
}

/// HMAC-SHA256.
pub(super) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    hmac_with(hmac::HMAC_SHA256, key, parts)
}

fn hmac_with(algorithm: hmac::Algorithm, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(algorithm, key));
    parts.iter().for_each(|part| context.update(part));
    context.sign().as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::super::unhex;
    use super::*;

    #[test]
    fn names_are_read_in_any_case_and_punctuation() {
        for name in ["SHA-256", "sha256", "Sha_256"] {
            assert_eq!(
                Algorithm::parse(name.as_bytes()),
                Some(Algorithm::Hash(Hash::Sha256))
            );
        }
        for name in ["HMAC-SHA256", "HmacSHA256", "hmac sha-256"] {
            assert_eq!(
                Algorithm::parse(name.as_bytes()),
                Some(Algorithm::HmacSha256)
            );
        }
        assert_eq!(Algorithm::parse(&[2]), Some(Algorithm::Hash(Hash::Sha1)));
        assert_eq!(
            Algorithm::parse(b"PBKDF2WithHmacSHA1"),
            Some(Algorithm::Pbkdf2HmacSha1)
        );
        assert_eq!(Algorithm::parse(b""), None);
        assert_eq!(Algorithm::parse(b"ROT13"), None);
    }

    #[test]
    fn every_name_that_is_written_is_read_again() {
        for code in [0, 1, 2, 3, 0x12, 0x13, 0x22] {
            let algorithm = Algorithm::from_code(code).unwrap();
            assert_eq!(
                Algorithm::parse(algorithm.name().as_bytes()),
                Some(algorithm)
            );
        }
    }

    #[test]
    fn digests_of_parts_and_of_the_whole_agree() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Hash::Sha256.digest(&[b"a", b"", b"bc"]), unhex(expected));
        assert_eq!(
            Hash::Md5.digest(&[b"a", b"bc"]),
            unhex("900150983cd24fb0d6963f7d28e17f72")
        );
    }

    #[cfg(feature = "sm")]
    #[test]
    fn sm3_gives_the_digest_of_the_standard() {
        let expected = "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0";
        assert_eq!(Hash::Sm3.digest(&[b"ab", b"c"]), unhex(expected));
    }
}
