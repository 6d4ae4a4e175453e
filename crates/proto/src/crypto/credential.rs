//! Credentials: the signature or MAC behind the body of a message (2.4).
//!
//! What a credential covers depends on the version of the message. Two of the rules are mistakes of
//! an early implementation that were frozen into the protocol; they are spelled out at
//! [`covered`] and in the making of codes for versions 2.5 and 2.6.

use ring::rand::SecureRandom;

use super::hash::{Algorithm, Hash, hmac_sha256};
use super::signature::{SigningKey, VerifyingKey};
use super::{CryptoError, compare};
use crate::data::PublicKey;
use crate::error::{DecodeError, Reason};
use crate::limits::HANDLE_LEN_MAX;
use crate::message::{Message, Version};
use crate::wire::{Reader, Writer};

/// Type of a credential that holds a signature.
pub const SIGNED: &[u8] = b"HS_SIGNED";
/// Type of a credential that holds a message authentication code.
pub const MAC: &[u8] = b"HS_MAC";
/// Old alias of [`SIGNED`].
const SIGNED_OLD: &[u8] = b"HS_DSAPUBKEY";

//----------- Credential -----------------------------------------------------

/// The parts of a credential.
///
/// ```text
/// version u8 | reserved u8 | options i16 | signer handle bytes | counter i32
/// type bytes | i32 length of: algorithm bytes, signature bytes
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credential<'a> {
    /// Version of this form; 0.
    pub version: u8,
    /// Reserved; 0.
    pub reserved: u8,
    /// Options; 0.
    pub options: u16,
    /// Empty in practice.
    pub signer: &'a [u8],
    /// Counts the messages of a session; 0 outside of sessions.
    pub counter: i32,
    /// [`SIGNED`] or [`MAC`].
    pub kind: &'a [u8],
    /// Name or code of the digest algorithm.
    pub algorithm: &'a [u8],
    /// The signature or code.
    pub signature: &'a [u8],
}

impl<'a> Credential<'a> {
    /// Decodes the octets behind the length word. Octets behind the signature are ignored.
    pub fn decode(octets: &'a [u8]) -> Result<Self, DecodeError> {
        let context = |e: DecodeError| e.within("credential");
        Self::read(&mut Reader::new(octets)).map_err(context)
    }

    /// The credential of a message; `None` if it is unsigned.
    pub fn of(message: &Message<'a>) -> Result<Option<Self>, DecodeError> {
        let octets = message.credential.filter(|octets| !octets.is_empty());
        octets.map(Self::decode).transpose()
    }

    fn read(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let version = r.u8("version")?;
        let reserved = r.u8("reserved octet")?;
        let options = r.u16("options")?;
        let signer = r.bytes_max("signer handle", HANDLE_LEN_MAX)?;
        let counter = r.i32("session counter")?;
        let kind = r.bytes("type")?;
        let at = r.position();
        let mut section = Reader::new(r.bytes("section")?);
        let fields = section
            .bytes("algorithm")
            .and_then(|algorithm| Ok((algorithm, section.bytes("signature")?)));
        let (algorithm, signature) = fields.map_err(|mut error| {
            error.at += at + 4;
            error
        })?;
        Ok(Self {
            version,
            reserved,
            options,
            signer,
            counter,
            kind,
            algorithm,
            signature,
        })
    }

    /// Encodes the credential without its length word.
    pub fn encode(&self) -> Vec<u8> {
        Writer::to_vec(|w| {
            w.u8(self.version);
            w.u8(self.reserved);
            w.u16(self.options);
            w.bytes(self.signer);
            w.i32(self.counter);
            w.bytes(self.kind);
            w.sized(|w| {
                w.bytes(self.algorithm);
                w.bytes(self.signature);
            });
        })
    }

    /// Whether this is a signature, under its present or its old name.
    pub fn is_signature(&self) -> bool {
        self.kind == SIGNED || self.kind == SIGNED_OLD
    }

    /// Whether this is a message authentication code.
    pub fn is_mac(&self) -> bool {
        self.kind == MAC
    }

    fn new(kind: &'a [u8], counter: i32, algorithm: &'a [u8], signature: &'a [u8]) -> Self {
        Self {
            version: 0,
            reserved: 0,
            options: 0,
            signer: b"",
            counter,
            kind,
            algorithm,
            signature,
        }
    }

    /// Checks the signature of `message`, whose credential this is.
    pub fn verify_signature(
        &self,
        message: &Message<'_>,
        key: &PublicKey,
    ) -> Result<(), CryptoError> {
        if !self.is_signature() {
            return Err(wrong_type("the type is not HS_SIGNED"));
        }
        let Some(Algorithm::Hash(hash)) = Algorithm::parse(self.algorithm) else {
            let name = String::from_utf8_lossy(self.algorithm);
            return Err(CryptoError::algorithm(name, "message signatures"));
        };
        let covered = covered(message, self.counter);
        VerifyingKey::new(key)?.verify(hash, &covered, self.signature)
    }

    /// Checks the message authentication code of `message`, whose credential this is.
    pub fn verify_mac(&self, message: &Message<'_>, session_key: &[u8]) -> Result<(), CryptoError> {
        if !self.is_mac() {
            return Err(wrong_type("the type is not HS_MAC"));
        }
        let code = mac_code(message, session_key, self.counter);
        compare("message authentication code", self.signature, &code)
    }
}

fn wrong_type(expected: &'static str) -> CryptoError {
    DecodeError::new("credential type", 12, Reason::Invalid(expected)).into()
}

//----------- Making ---------------------------------------------------------

/// The credential of a signed message, ready to be appended to it.
///
/// The envelope of `message` must have the ids and versions with which it will be sent.
pub fn sign(
    message: &Message<'_>,
    counter: i32,
    key: &SigningKey,
    rng: &dyn SecureRandom,
) -> Result<Vec<u8>, CryptoError> {
    let hash = match message.envelope.version.at_least(2, 7) {
        true => Hash::Sha256,
        false => Hash::Sha1,
    };
    let signature = key.sign(hash, &covered(message, counter), rng)?;
    let algorithm = Algorithm::Hash(hash).name().as_bytes();
    Ok(Credential::new(SIGNED, counter, algorithm, &signature).encode())
}

/// The credential of a message in a session, ready to be appended to it.
pub fn authenticate(message: &Message<'_>, counter: i32, session_key: &[u8]) -> Vec<u8> {
    let algorithm: &[u8] = match MacForm::of(message.envelope.version) {
        MacForm::Hmac => Algorithm::HmacSha256.name().as_bytes(),
        MacForm::Overlaid => Algorithm::Hash(Hash::Sha1).name().as_bytes(),
        MacForm::Sandwich => &[2],
    };
    let code = mac_code(message, session_key, counter);
    Credential::new(MAC, counter, algorithm, &code).encode()
}

//----------- Coverage -------------------------------------------------------

/// The octets that a signature of `message` covers, and an HMAC too from version 2.7 on.
///
/// | version | in front of header and body |
/// |---|---|
/// | 2.8 and later | both versions, session id, request id, counter: 16 octets |
/// | 2.7 | version, session id, request id, counter: 14 octets |
/// | 2.6 | 14 octets: version, first half of the session id, counter at offset 4, six zeros |
/// | before | nothing |
///
/// The form of 2.6 is an indexing mistake: fields of four octets were written two octets apart.
pub fn covered(message: &Message<'_>, counter: i32) -> Vec<u8> {
    let Message { envelope, .. } = message;
    let version = envelope.version;
    Writer::to_vec(|w| {
        if version.at_least(2, 6) {
            w.u8(version.major);
            w.u8(version.minor);
        }
        if version.at_least(2, 8) {
            w.u8(envelope.suggested.major);
            w.u8(envelope.suggested.minor);
        }
        if version.at_least(2, 7) {
            w.i32(envelope.session_id);
            w.i32(envelope.request_id);
            w.i32(counter);
        } else if version.at_least(2, 6) {
            let [a, b, ..] = envelope.session_id.to_be_bytes();
            w.raw(&[a, b]);
            w.i32(counter);
            w.raw(&[0; 6]);
        }
        w.raw(&message.header_and_body());
    })
}

enum MacForm {
    /// HMAC-SHA256 over what a signature covers (2.7 and later).
    Hmac,
    /// SHA-1 over a buffer whose parts overlay each other (2.5 and 2.6).
    Overlaid,
    /// SHA-1 over key, message, key (before 2.5).
    Sandwich,
}

impl MacForm {
    fn of(version: Version) -> Self {
        if version.at_least(2, 7) {
            Self::Hmac
        } else if version.at_least(2, 5) {
            Self::Overlaid
        } else {
            Self::Sandwich
        }
    }
}

fn mac_code(message: &Message<'_>, key: &[u8], counter: i32) -> Vec<u8> {
    match MacForm::of(message.envelope.version) {
        MacForm::Hmac => hmac_sha256(key, &[&covered(message, counter)]),
        MacForm::Overlaid => Hash::Sha1.digest(&[&mac_2_6(message, key, counter)]),
        MacForm::Sandwich => Hash::Sha1.digest(&[key, &message.header_and_body(), key]),
    }
}

/// The buffer under the MAC of versions 2.5 and 2.6: meant to hold key, envelope fields, message
/// and key one behind the other, but written at offsets that overlay the former parts.
fn mac_2_6(message: &Message<'_>, key: &[u8], counter: i32) -> Vec<u8> {
    let message_octets = message.header_and_body();
    let k = key.len();
    let mut buf = vec![0; 2 * k + 14 + message_octets.len()];
    let mut put = |at: usize, octets: &[u8]| buf[at..at + octets.len()].copy_from_slice(octets);
    let envelope = &message.envelope;
    put(0, key);
    put(k, &[envelope.version.major, envelope.version.minor]);
    put(k + 2, &envelope.session_id.to_be_bytes());
    put(4, &counter.to_be_bytes());
    put(4, &message_octets);
    put(4 + message_octets.len(), key);
    buf
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Envelope, Header, OpCode, OpFlags};

    fn message(version: Version) -> Message<'static> {
        let mut envelope = Envelope::new(version, 7);
        envelope.session_id = 0x0102_0304;
        let header = Header::request(OpCode::RESOLVE, OpFlags(0), 9);
        Message {
            envelope,
            header,
            body: b"body",
            credential: None,
        }
    }

    #[test]
    fn code_of_every_version_is_accepted_and_bound_to_message_key_and_counter() {
        for minor in 0..=11 {
            let message = message(Version::new(2, minor));
            let octets = authenticate(&message, 3, b"session key");
            let credential = Credential::decode(&octets).unwrap();
            assert_eq!(credential.counter, 3);
            assert_eq!(credential.encode(), octets);
            assert_eq!(
                credential.verify_mac(&message, b"session key"),
                Ok(()),
                "2.{minor}"
            );
            assert!(credential.verify_mac(&message, b"another key").is_err());
            let other = Message {
                body: b"dody",
                ..message
            };
            assert!(credential.verify_mac(&other, b"session key").is_err());
            if minor >= 7 {
                let replayed = Credential {
                    counter: 4,
                    ..credential
                };
                assert!(replayed.verify_mac(&message, b"session key").is_err());
            }
        }
    }

    #[test]
    fn signature_is_not_taken_for_a_code() {
        let message = message(Version::OURS);
        let octets = authenticate(&message, 0, b"k");
        let credential = Credential {
            kind: SIGNED,
            ..Credential::decode(&octets).unwrap()
        };
        assert!(matches!(
            credential.verify_mac(&message, b"k"),
            Err(CryptoError::Malformed(_))
        ));
        assert!(
            Credential {
                kind: SIGNED_OLD,
                ..credential
            }
            .is_signature()
        );
    }

    #[test]
    fn unsigned_message_has_no_credential() {
        let mut message = message(Version::OURS);
        assert_eq!(Credential::of(&message), Ok(None));
        message.credential = Some(&[]);
        assert_eq!(Credential::of(&message), Ok(None));
        message.credential = Some(&[0]);
        let error = Credential::of(&message).unwrap_err().to_string();
        assert_eq!(
            error,
            "credential: reserved octet at octet 1: needs 1 octets, 0 left"
        );
    }
}
