//! Who is it? Answers to challenges, and the keys that confirm them (6.2, 6.3, 9.5).
//!
//! ```text
//!   request ──► Challenges::keep ──► 402, nonce ──► opCode 200 ──► Challenges::take
//!                                                                      │ the request, once
//!                       Claim { user, index, signed } ──► verify ◄─────┘
//!                                    record of the user ──►  │
//!                                                            └──► Identity, or Failed
//! ```
//!
//! A challenge belongs to one request: what is signed is its nonce and the digest of the request as
//! it was kept here, so an answer proves nothing about any other. It is found once, and only for a
//! short time. Nothing here draws randomness or knows a clock.

mod attempts;
mod challenges;

use std::fmt;
use std::str::FromStr;

use guantong_proto::crypto::challenge::{self, KeyAnswer};
use guantong_proto::crypto::{Algorithm, Hash, VerifyingKey};
use guantong_proto::data::{PublicKey, SecretKey};
use guantong_proto::message::{ResponseCode, Version};
use guantong_proto::{CaseRule, Handle, HandleRef, NameError, ValueRef, Values, is_of_type};

use super::known::Confirm;

pub use attempts::{ATTEMPTS_SUBJECTS_MAX, Attempts, Subject};
pub use challenges::{CHALLENGES_MAX, CHALLENGES_OCTETS_MAX, Challenge, Challenges, Pending};

/// Most keys of one identity that are tried for an answer that names no index: bounds what a
/// stranger's answer costs.
pub const KEYS_MAX: usize = 8;
/// The oldest version in which identities are proven: before it, everything rests on SHA-1 or MD5
/// (section 11, rule 3).
pub const VERSION_MIN: Version = Version::new(2, 7);

//----------- Identity -------------------------------------------------------

/// Somebody who can be asked for a proof: the value that holds the key. Written `300:0.NA/88.118`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// Handle of the record with the key.
    pub handle: Handle,
    /// Index of the value with the key.
    pub index: i32,
}

impl Identity {
    /// Whether both name the same key.
    pub fn is(&self, other: &Self, rule: CaseRule) -> bool {
        self.index == other.index && self.handle.key(rule) == other.handle.key(rule)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.index, self.handle)
    }
}

impl FromStr for Identity {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let (index, handle) = text.split_once(':').ok_or(IdentityError::NoIndex)?;
        let index = index.parse().ok().filter(|index| *index > 0);
        Ok(Self {
            index: index.ok_or(IdentityError::NoIndex)?,
            handle: Handle::parse(handle)?,
        })
    }
}

/// Why a text names no identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// There is no index in front.
    #[error("write the index of the key in front, as in `300:0.NA/88.118`")]
    NoIndex,
    /// What follows is not a handle.
    #[error(transparent)]
    Handle(#[from] NameError),
}

//----------- Claim ----------------------------------------------------------

/// What an answer to a challenge says: who it is from, and the proof, which is not checked yet.
#[derive(Clone, Debug)]
pub struct Claim {
    kind: KeyKind,
    user: Handle,
    /// 0: any key of the user.
    index: i32,
    signed: Box<[u8]>,
}

/// The two ways to prove an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// By a signature that a public key confirms.
    Public,
    /// By a code that only the holder of a secret can make.
    Secret,
}

impl Claim {
    /// Takes the parts of an answer.
    pub fn new(auth_type: &[u8], user: &[u8], index: i32, signed: &[u8]) -> Result<Self, Failed> {
        let kind = match auth_type {
            challenge::PUBLIC_KEY => KeyKind::Public,
            challenge::SECRET_KEY => KeyKind::Secret,
            other => {
                let name = String::from_utf8_lossy(other).into_owned();
                return Err(Failed::UnknownType { name });
            }
        };
        Ok(Self {
            kind,
            user: HandleRef::from_wire(user)?.to_owned(),
            index,
            signed: signed.into(),
        })
    }

    /// The handle whose record holds the key.
    pub fn user(&self) -> &Handle {
        &self.user
    }

    /// How it is proven.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// What follows from the key that has confirmed it, if one has.
    fn proven(&self, key: Option<ValueRef<'_>>) -> Result<Proven, Failed> {
        match key {
            Some(value) => Ok(Proven {
                identity: Identity {
                    handle: self.user.clone(),
                    index: value.index,
                },
                key: ProvenKey::Digest(key_digest(&value)),
            }),
            None => Err(Failed::NotConfirmed {
                user: self.user.clone(),
                index: self.index,
            }),
        }
    }

    /// Index of the key; 0 for any.
    pub(super) fn index(&self) -> i32 {
        self.index
    }

    /// The question to the server that has the secret key. It must know which one is meant, since
    /// rights are given to `index:handle`.
    pub(super) fn confirm(&self, asked: &Asked<'_>) -> Result<Confirm, Failed> {
        if self.is_too_weak(asked.version) {
            return Err(Failed::WeakForm);
        }
        if self.index == 0 {
            return Err(Failed::KeyUnreachable {
                user: self.user.clone(),
                reason: "the key is at another server, so the answer must name its index".into(),
            });
        }
        Ok(Confirm {
            user: self.user.clone(),
            index: self.index,
            nonce: asked.nonce.to_vec(),
            digest: asked.digest.to_vec(),
            signed: self.signed.to_vec(),
        })
    }

    fn is_too_weak(&self, version: Version) -> bool {
        let is_modern = version.at_least(VERSION_MIN.major, VERSION_MIN.minor);
        !is_modern || self.kind == KeyKind::Secret && !is_strong_secret_form(&self.signed)
    }

    fn names(&self, value: &ValueRef<'_>) -> bool {
        let family: &[u8] = match self.kind {
            KeyKind::Public => challenge::PUBLIC_KEY,
            KeyKind::Secret => challenge::SECRET_KEY,
        };
        is_of_type(value.kind, family) && (self.index == 0 || value.index == self.index)
    }
}

//----------- verify ---------------------------------------------------------

/// Checks the claim of the answer to `pending` with the keys in the record of the user, which may
/// be absent.
///
/// The identity has the index of the key that confirmed it, also if the answer named none.
pub fn verify(
    claim: &Claim,
    pending: &Pending,
    record: Option<Values<'_>>,
) -> Result<Proven, Failed> {
    let asked = Asked {
        nonce: &pending.nonce,
        digest: &pending.digest(),
        version: pending.version(),
    };
    verify_over(claim, &asked, record)
}

/// What somebody was asked to sign: a nonce of ours, and something that it is bound to.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Drawn by us.
    pub nonce: &'a [u8],
    /// The digest of a request, or over HTTP the client's own nonce.
    pub digest: &'a [u8],
    /// The version of the protocol, which says what is strong enough.
    pub version: Version,
}

/// [`verify`] for whatever was asked.
pub fn verify_over(
    claim: &Claim,
    asked: &Asked<'_>,
    record: Option<Values<'_>>,
) -> Result<Proven, Failed> {
    if claim.is_too_weak(asked.version) {
        return Err(Failed::WeakForm);
    }
    let values = record.unwrap_or(Values::EMPTY);
    let keys = values.iter().filter(|value| claim.names(value));
    let mut keys = keys.take(KEYS_MAX).peekable();
    if keys.peek().is_none() {
        // Takes as long as a wrong secret, so that nobody learns which secrets exist.
        let _ = confirms(claim, b"", asked);
    }
    claim.proven(keys.find(|value| confirms(claim, value.data, asked)))
}

/// Checks a secret that was presented itself, as HTTP Basic does (8.5). Only where nobody listens.
pub fn verify_password(
    user: &Handle,
    index: i32,
    secret: &[u8],
    record: Option<Values<'_>>,
) -> Result<Proven, Failed> {
    let claim = Claim {
        kind: KeyKind::Secret,
        user: user.clone(),
        index,
        signed: Box::default(),
    };
    let presented = SecretKey::new(secret);
    let values = record.unwrap_or(Values::EMPTY);
    let keys = values
        .iter()
        .filter(|value| claim.names(value))
        .take(KEYS_MAX);
    // Every key is compared, so that the time does not tell which one it is.
    let same =
        keys.filter(|value| !value.data.is_empty() && SecretKey::new(value.data) == presented);
    claim.proven(same.last())
}

/// Checks that a key whose owner has proven otherwise that it is his is in the record of the user.
pub fn verify_owner(
    user: &Handle,
    index: i32,
    owned: &VerifyingKey,
    record: Option<Values<'_>>,
) -> Result<Proven, Failed> {
    let claim = Claim {
        kind: KeyKind::Public,
        user: user.clone(),
        index,
        signed: Box::default(),
    };
    let values = record.unwrap_or(Values::EMPTY);
    let mut keys = values
        .iter()
        .filter(|value| claim.names(value))
        .take(KEYS_MAX);
    let is_owned = |value: &ValueRef<'_>| {
        let key = PublicKey::decode(value.data).ok();
        key.and_then(|key| VerifyingKey::new(&key).ok())
            .is_some_and(|key| key == *owned)
    };
    claim.proven(keys.find(is_owned))
}

/// Checks a signature over one of `texts`, as programs log in that know nothing of the native
/// protocol: by the key at `index`, in the usual scheme of its kind (RSA PKCS#1 v1.5, ECDSA and
/// Ed25519 with SHA-256, SM2 with SM3). Also says which text was signed.
pub fn verify_text(
    user: &Handle,
    index: i32,
    texts: &[&str],
    signature: &[u8],
    record: Option<Values<'_>>,
) -> Result<(Proven, usize), Failed> {
    let claim = Claim {
        kind: KeyKind::Public,
        user: user.clone(),
        index,
        signed: Box::default(),
    };
    let values = record.unwrap_or(Values::EMPTY);
    let keys = values.iter().filter(|value| claim.names(value));
    for value in keys.take(KEYS_MAX) {
        let key = PublicKey::decode(value.data).ok();
        let Some(key) = key.and_then(|key| VerifyingKey::new(&key).ok()) else {
            continue;
        };
        let hash = match &key {
            #[cfg(feature = "sm")]
            VerifyingKey::Sm2(_) => Hash::Sm3,
            _ => Hash::Sha256,
        };
        let is_signed = |text: &&str| key.verify(hash, text.as_bytes(), signature).is_ok();
        if let Some(at) = texts.iter().position(is_signed) {
            return Ok((claim.proven(Some(value))?, at));
        }
    }
    claim.proven(None).map(|proven| (proven, 0))
}

/// An identity that was proven, and by which key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// Who it is.
    pub identity: Identity,
    key: ProvenKey,
}

/// The key that has proven an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ProvenKey {
    /// The digest of its value.
    Digest(Vec<u8>),
    /// A secret that only another server knows. It was asked once; that the key was revoked since
    /// then is not seen before the session ends.
    Elsewhere,
}

impl Proven {
    /// An identity with a key that nobody has, for tests of what comes after a proof.
    #[cfg(test)]
    pub(crate) fn of(identity: Identity) -> Self {
        let key = ProvenKey::Digest(Vec::new());
        Self { identity, key }
    }

    /// An identity that was proven otherwise: `value` of its record is what has proven it.
    pub fn by(handle: &Handle, value: &ValueRef<'_>) -> Self {
        Self {
            identity: Identity {
                handle: handle.clone(),
                index: value.index,
            },
            key: ProvenKey::Digest(key_digest(value)),
        }
    }

    /// What follows from what the server says that has the secret key.
    pub(super) fn said(user: &Handle, index: i32, is_right: bool) -> Result<Self, Failed> {
        let user = user.clone();
        match is_right {
            true => Ok(Self {
                identity: Identity {
                    handle: user,
                    index,
                },
                key: ProvenKey::Elsewhere,
            }),
            false => Err(Failed::NotConfirmed { user, index }),
        }
    }

    /// Whether no record can tell whether the key is still there.
    pub(super) fn is_by_foreign_secret(&self) -> bool {
        self.key == ProvenKey::Elsewhere
    }

    /// Whether the key is still in the record of the identity. A proof is no better than its key:
    /// where the key was revoked, what was proven by it is not proven any more.
    pub fn holds(&self, record: Option<Values<'_>>) -> bool {
        let values = record.unwrap_or(Values::EMPTY);
        let key = values
            .iter()
            .find(|value| value.index == self.identity.index);
        match &self.key {
            ProvenKey::Elsewhere => true,
            ProvenKey::Digest(digest) => key.is_some_and(|key| key_digest(&key) == *digest),
        }
    }
}

/// The digest of type and data of a key value.
fn key_digest(value: &ValueRef<'_>) -> Vec<u8> {
    Hash::Sha256.digest(&[&value.kind.to_ascii_uppercase(), &[0], value.data])
}

fn confirms(claim: &Claim, key: &[u8], asked: &Asked<'_>) -> bool {
    let (nonce, digest, signed) = (asked.nonce, asked.digest, &claim.signed);
    let checked = match claim.kind {
        // An empty secret is one that everybody knows, but the work is done all the same.
        KeyKind::Secret => {
            let secret = SecretKey::new(key);
            let checked = challenge::verify_secret_answer(&secret, nonce, digest, signed);
            return checked.is_ok() && !key.is_empty();
        }
        KeyKind::Public => PublicKey::decode(key).map(|key| {
            let user = claim.user.as_str();
            is_strong_enough_for(&key, signed, asked.version)
                && challenge::verify_key_answer(&key, user, nonce, digest, signed).is_ok()
        }),
    };
    checked.unwrap_or(false)
}

/// Whether an answer by secret key has a form as strong as the protocol has had since version 2.7.
/// Who can make a client answer in a weaker form must not gain by it.
fn is_strong_secret_form(signed: &[u8]) -> bool {
    // MD5 stands without a code in front.
    signed.len() != 16
        && signed
            .first()
            .and_then(|code| Algorithm::from_code(*code))
            .is_some_and(|algorithm| !matches!(algorithm, Algorithm::Hash(Hash::Md5 | Hash::Sha1)))
}

/// The same for an answer by this public key: DSA keys sign with SHA-1 up to 2.10 (2.4).
fn is_strong_enough_for(key: &PublicKey, signed: &[u8], version: Version) -> bool {
    let answer = KeyAnswer::decode(signed).ok();
    match answer.and_then(|answer| Algorithm::parse(answer.algorithm)) {
        Some(Algorithm::Hash(Hash::Sha1)) => {
            matches!(key, PublicKey::Dsa(_)) && !version.at_least(2, 11)
        }
        Some(Algorithm::Hash(hash)) => hash != Hash::Md5,
        _ => false,
    }
}

//----------- Failed ---------------------------------------------------------

/// Why somebody is not believed to be who he says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failed {
    /// The challenge is not there: never sent, answered already, or too old.
    #[error("there is no such challenge: it was answered before, or is too old; ask again")]
    NoChallenge,
    /// The kind of proof is not known.
    #[error("authentication type `{name}` is not known: use HS_PUBKEY or HS_SECKEY")]
    UnknownType {
        /// What the answer says.
        name: String,
    },
    /// The user is no handle.
    #[error("the user cannot be a handle: {0}")]
    User(#[from] NameError),
    /// MD5 or SHA-1, where the protocol has had better since version 2.7.
    #[error("this form of answer is too weak: sign with SHA-256, or use PBKDF2 for a secret key")]
    WeakForm,
    /// No key confirms the answer. The same text whether there is such a key or not.
    #[error("the answer is not confirmed by a key at {index}:{user}")]
    NotConfirmed {
        /// Whose key it should be.
        user: Handle,
        /// The index that the answer names.
        index: i32,
    },
    /// The session was begun for somebody else.
    #[error("the session was begun for another identity than {identity}: begin one for it")]
    NotNamed {
        /// Who was proven.
        identity: Identity,
    },
    /// The key that proved it is not in the record any more.
    #[error("the key that proved {identity} was removed or replaced: prove it again")]
    Revoked {
        /// Who was proven.
        identity: Identity,
    },
    /// Too many answers of this peer, or for this identity, were wrong.
    #[error("too many wrong answers: wait some seconds, then ask again")]
    TooManyAttempts,
    /// The record with the key could not be read.
    #[error("the key of {user} could not be found: {reason}")]
    KeyUnreachable {
        /// Whose key it is.
        user: Handle,
        /// What went wrong.
        reason: String,
    },
    /// The peer speaks a version in which nothing can be proven.
    #[error(
        "this needs a proof of identity, for which version {needs} of the protocol is needed; \
             this message asks for an answer in version {found}"
    )]
    OldVersion {
        /// The version in which the peer wants to be answered.
        found: Version,
        /// The oldest that will do.
        needs: Version,
    },
}

impl Failed {
    /// The response code that says the same to a peer (3.2, end of 6.2).
    pub fn code(&self) -> ResponseCode {
        match self {
            Self::NoChallenge => ResponseCode::AUTHENTICATION_TIMED_OUT,
            Self::UnknownType { .. } => ResponseCode::INVALID_CREDENTIAL,
            Self::User(_) | Self::NotNamed { .. } => ResponseCode::INVALID_ADMIN,
            Self::WeakForm | Self::NotConfirmed { .. } | Self::Revoked { .. } => {
                ResponseCode::AUTHENTICATION_FAILED
            }
            Self::TooManyAttempts => ResponseCode::SERVER_TOO_BUSY,
            Self::KeyUnreachable { .. } => ResponseCode::UNABLE_TO_AUTHENTICATE,
            Self::OldVersion { .. } => ResponseCode::OPERATION_NOT_SUPPORTED,
        }
    }

    /// Whether the proof itself was wrong, which counts as an attempt.
    pub fn is_wrong_proof(&self) -> bool {
        matches!(self, Self::NotConfirmed { .. } | Self::WeakForm)
    }
}

#[cfg(test)]
mod tests;
