//! Answers to a challenge: proof of an identity by public key or by secret key (6.2, 9.5).
//!
//! A challenge is a nonce and the digest of the request that it holds up. What is signed is the
//! nonce followed by the digest octets, without the hash id.

use std::num::NonZeroU32;

use ring::pbkdf2;
use ring::rand::SecureRandom;

use super::hash::{Algorithm, Hash, hmac_sha1, hmac_sha256};
use super::signature::{SigningKey, VerifyingKey};
use super::{CryptoError, compare};
use crate::data::{PublicKey, SecretKey};
use crate::error::{DecodeError, Reason};
use crate::message::Version;
use crate::wire::{Reader, Writer};

/// Authentication type of a proof by public key.
pub const PUBLIC_KEY: &[u8] = b"HS_PUBKEY";
/// Authentication type of a proof by secret key.
pub const SECRET_KEY: &[u8] = b"HS_SECKEY";

/// Rounds of PBKDF2 that everybody writes.
const ROUNDS: u32 = 10_000;
/// Most rounds of PBKDF2 accepted: some ten milliseconds, chosen by a peer that is not yet known.
pub const ROUNDS_MAX: u32 = 100_000;
/// Octets of the key that PBKDF2 derives.
const DERIVED_LEN: usize = 20;
/// Most octets of a derived key accepted.
pub const DERIVED_LEN_MAX: usize = 64;
/// Octets of a salt that we write.
pub const SALT_LEN: usize = 16;
/// Most octets of a salt accepted.
const SALT_LEN_MAX: usize = 1_024;
/// Code in front of an answer by PBKDF2.
const PBKDF2_CODE: u8 = 0x22;

//----------- Secret key -----------------------------------------------------

/// The answer of the holder of a secret key.
///
/// `version` is the lower of the challenge's version and its suggestion; `salt` is random.
pub fn answer_with_secret(
    version: Version,
    secret: &SecretKey,
    nonce: &[u8],
    digest: &[u8],
    salt: &[u8; SALT_LEN],
) -> Vec<u8> {
    let secret = secret.as_bytes();
    if version.at_least(2, 7) {
        let key = derive(secret, salt, ROUNDS, DERIVED_LEN);
        let mac = hmac_sha1(&key, &[nonce, digest]);
        return Writer::to_vec(|w| {
            w.u8(PBKDF2_CODE);
            w.bytes(salt);
            w.u32(ROUNDS);
            w.size(DERIVED_LEN * 8);
            w.bytes(&mac);
        });
    }
    let sandwich = [secret, nonce, digest, secret];
    if version.at_least(2, 1) {
        return [&[2], &Hash::Sha1.digest(&sandwich)[..]].concat();
    }
    Hash::Md5.digest(&sandwich)
}

/// Checks the answer of the holder of a secret key, in any of the forms that were ever written.
///
/// Compares in constant time. The time taken tells which form was sent, which is no secret.
pub fn verify_secret_answer(
    secret: &SecretKey,
    nonce: &[u8],
    digest: &[u8],
    signed: &[u8],
) -> Result<(), CryptoError> {
    let secret = secret.as_bytes();
    let (code, mac) = match signed {
        // Before version 2.1: MD5 without a code in front.
        mac if mac.len() == 16 => (0, mac),
        [code, mac @ ..] => (*code, mac),
        [] => {
            let reason = Reason::Truncated { needs: 1, left: 0 };
            return Err(DecodeError::new("signed response", 0, reason).into());
        }
    };
    let expected = match Algorithm::from_code(code) {
        Some(Algorithm::Hash(hash)) => hash.digest(&[secret, nonce, digest, secret]),
        Some(Algorithm::HmacSha1) => hmac_sha1(secret, &[nonce, digest]),
        Some(Algorithm::HmacSha256) => hmac_sha256(secret, &[nonce, digest]),
        Some(Algorithm::Pbkdf2HmacSha1) => {
            let answer = Pbkdf2Answer::decode(mac).map_err(|e| e.within("signed response"))?;
            let key = answer.derive(secret)?;
            return compare(MAC, answer.mac, &hmac_sha1(&key, &[nonce, digest]));
        }
        None => {
            return Err(CryptoError::algorithm(
                code.to_string(),
                "secret-key answers",
            ));
        }
    };
    compare(MAC, mac, &expected)
}

const MAC: &str = "message authentication code";

/// What follows the code 0x22.
struct Pbkdf2Answer<'a> {
    salt: &'a [u8],
    rounds: i32,
    key_bits: i32,
    mac: &'a [u8],
}

impl<'a> Pbkdf2Answer<'a> {
    fn decode(octets: &'a [u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(octets);
        let salt = r.bytes_max("salt", SALT_LEN_MAX)?;
        let rounds = r.i32("rounds")?;
        let key_bits = r.i32("key length")?;
        Ok(Self {
            salt,
            rounds,
            key_bits,
            mac: r.bytes("message authentication code")?,
        })
    }

    fn derive(&self, secret: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let rounds = bounded("number of PBKDF2 rounds", self.rounds, ROUNDS_MAX)?;
        let bits_max = u32::try_from(DERIVED_LEN_MAX * 8).unwrap_or(u32::MAX);
        let bits = bounded("length of the derived key in bits", self.key_bits, bits_max)?;
        Ok(derive(
            secret,
            self.salt,
            rounds,
            usize::try_from(bits / 8).unwrap_or(0),
        ))
    }
}

/// Refuses numbers below 1 and above `limit`.
pub(super) fn bounded(what: &'static str, found: i32, limit: u32) -> Result<u32, CryptoError> {
    let number = u32::try_from(found)
        .ok()
        .filter(|n| (1..=limit).contains(n));
    number.ok_or(CryptoError::Limit {
        what,
        found: found.into(),
        limit: limit.into(),
    })
}

/// PBKDF2-HMAC-SHA1.
pub(super) fn derive(secret: &[u8], salt: &[u8], rounds: u32, len: usize) -> Vec<u8> {
    let mut key = vec![0; len];
    let rounds = NonZeroU32::new(rounds).unwrap_or(NonZeroU32::MIN);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA1, rounds, salt, secret, &mut key);
    key
}

//----------- Public key -----------------------------------------------------

/// The parts of an answer by public key: bytes digest name, bytes signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyAnswer<'a> {
    /// Name of the digest.
    pub algorithm: &'a [u8],
    /// The signature over nonce and digest.
    pub signature: &'a [u8],
}

impl<'a> KeyAnswer<'a> {
    /// Decodes the signed response.
    pub fn decode(signed: &'a [u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(signed);
        let algorithm = r
            .bytes("digest name")
            .map_err(|e| e.within("signed response"))?;
        let signature = r
            .bytes("signature")
            .map_err(|e| e.within("signed response"))?;
        Ok(Self {
            algorithm,
            signature,
        })
    }

    /// Encodes the signed response.
    pub fn encode(&self) -> Vec<u8> {
        Writer::to_vec(|w| {
            w.bytes(self.algorithm);
            w.bytes(self.signature);
        })
    }
}

/// The answer of the holder of a private key, for versions 2.7 and later.
pub fn answer_with_key(
    key: &SigningKey,
    nonce: &[u8],
    digest: &[u8],
    rng: &dyn SecureRandom,
) -> Result<Vec<u8>, CryptoError> {
    let hash = match key.kind() {
        #[cfg(feature = "sm")]
        "SM2" => Hash::Sm3,
        _ => Hash::Sha256,
    };
    let signature = key.sign(hash, &[nonce, digest].concat(), rng)?;
    let algorithm = Algorithm::Hash(hash).name().as_bytes();
    Ok(KeyAnswer {
        algorithm,
        signature: &signature,
    }
    .encode())
}

/// Checks the answer of the holder of a private key whose public key is `key`.
///
/// `user` is the handle of the identity as the answer spells it: one of the SM2 variants signs it.
pub fn verify_key_answer(
    key: &PublicKey,
    user: &str,
    nonce: &[u8],
    digest: &[u8],
    signed: &[u8],
) -> Result<(), CryptoError> {
    let KeyAnswer {
        algorithm,
        signature,
    } = KeyAnswer::decode(signed)?;
    let Some(Algorithm::Hash(hash)) = Algorithm::parse(algorithm) else {
        let name = String::from_utf8_lossy(algorithm);
        return Err(CryptoError::algorithm(name, "public-key answers"));
    };
    let message = [nonce, digest].concat();
    match VerifyingKey::new(key)? {
        #[cfg(feature = "sm")]
        VerifyingKey::Sm2(point) => verify_sm2(&point, user, &message, signature),
        key => {
            let _ = user;
            key.verify(hash, &message, signature)
        }
    }
}

/// Tries both variants that one SDK writes, whatever digest the answer names: SM3 over the digest
/// of the message with the user's handle as id, and SHA-256 throughout with the default id.
#[cfg(feature = "sm")]
fn verify_sm2(
    point: &[u8],
    user: &str,
    message: &[u8],
    signature: &[u8],
) -> Result<(), CryptoError> {
    use super::sm2;
    let digest = Hash::Sm3.digest(&[message]);
    sm2::verify(point, user, Hash::Sm3, &digest, signature)
        .or_else(|_| sm2::verify(point, sm2::DEFAULT_ID, Hash::Sha256, message, signature))
        .or_else(|_| sm2::verify(point, sm2::DEFAULT_ID, Hash::Sm3, message, signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &[u8] = &[0xa0; 16];
    const DIGEST: &[u8] = &[0x72; 32];

    fn secret() -> SecretKey {
        SecretKey::new(b"password")
    }

    #[test]
    fn answer_of_every_version_is_accepted_once_for_its_own_challenge() {
        for minor in 0..=11 {
            let version = Version::new(2, minor);
            let signed = answer_with_secret(version, &secret(), NONCE, DIGEST, &[1; SALT_LEN]);
            assert_eq!(
                verify_secret_answer(&secret(), NONCE, DIGEST, &signed),
                Ok(())
            );
            assert!(verify_secret_answer(&secret(), &[0; 16], DIGEST, &signed).is_err());
            assert!(verify_secret_answer(&secret(), NONCE, &[0; 32], &signed).is_err());
            let wrong = SecretKey::new(b"passwort");
            assert!(verify_secret_answer(&wrong, NONCE, DIGEST, &signed).is_err());
        }
    }

    #[test]
    fn other_forms_that_were_written_are_accepted() {
        let s = secret();
        let s = s.as_bytes();
        let sandwich = [s, NONCE, DIGEST, s];
        for (code, mac) in [
            (1, Hash::Md5.digest(&sandwich)),
            (3, Hash::Sha256.digest(&sandwich)),
            (0x12, hmac_sha1(s, &[NONCE, DIGEST])),
            (0x13, hmac_sha256(s, &[NONCE, DIGEST])),
        ] {
            let signed = [&[code], &mac[..]].concat();
            assert_eq!(
                verify_secret_answer(&secret(), NONCE, DIGEST, &signed),
                Ok(()),
                "{code}"
            );
        }
        assert!(matches!(
            verify_secret_answer(&secret(), NONCE, DIGEST, &[0x77, 1, 2]),
            Err(CryptoError::Algorithm { .. })
        ));
        assert!(verify_secret_answer(&secret(), NONCE, DIGEST, &[]).is_err());
    }

    #[test]
    fn work_that_a_stranger_may_ask_for_is_bounded() {
        let answer = |rounds: u32, bits: u32| {
            Writer::to_vec(|w| {
                w.u8(PBKDF2_CODE);
                w.bytes(&[1; SALT_LEN]);
                w.u32(rounds);
                w.u32(bits);
                w.bytes(&[0; 20]);
            })
        };
        for (rounds, bits) in [
            (ROUNDS_MAX + 1, 160),
            (0, 160),
            (1, 0),
            (1, 513),
            (u32::MAX, 160),
        ] {
            let signed = answer(rounds, bits);
            let outcome = verify_secret_answer(&secret(), NONCE, DIGEST, &signed);
            assert!(
                matches!(outcome, Err(CryptoError::Limit { .. })),
                "{rounds} {bits}"
            );
        }
        let outcome = verify_secret_answer(&secret(), NONCE, DIGEST, &answer(ROUNDS_MAX, 512));
        assert_eq!(outcome, Err(CryptoError::Mismatch { what: MAC }));
    }
}
