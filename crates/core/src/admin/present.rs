//! Proofs that do not come as messages: over HTTP (8.5).

use guantong_proto::crypto::VerifyingKey;
use guantong_proto::limits::NONCE_LEN;
use guantong_proto::message::Version;
use guantong_proto::{Handle, Values};

use super::authenticate::{
    Asked, Claim, Failed, KeyKind, Proven, verify_over, verify_owner, verify_password,
};

//----------- Presented ------------------------------------------------------

/// How somebody over HTTP says who he is (8.5).
#[derive(Clone)]
pub enum Presented {
    /// By a secret key, as it is.
    Password {
        /// Handle of the record with the key.
        user: Handle,
        /// Index of the key.
        index: i32,
        /// The secret.
        secret: Box<[u8]>,
    },
    /// By an answer to a nonce of ours and one of his own.
    Answer {
        /// What the answer says.
        claim: Claim,
        /// Ours.
        nonce: [u8; NONCE_LEN],
        /// His.
        client_nonce: Box<[u8]>,
    },
    /// By a certificate in the handshake, which has proven that he owns its key.
    Certificate {
        /// Handle of the record with the key.
        user: Handle,
        /// Index of the key.
        index: i32,
        /// The key.
        key: VerifyingKey,
    },
    /// By a session in which he was proven before.
    Session(Proven),
}

impl std::fmt::Debug for Presented {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A secret is nobody's business.
        f.write_str("Presented")
    }
}

impl Presented {
    pub(super) fn user(&self) -> &Handle {
        match self {
            Self::Password { user, .. } | Self::Certificate { user, .. } => user,
            Self::Answer { claim, .. } => claim.user(),
            Self::Session(proven) => &proven.identity.handle,
        }
    }

    /// Whether a secret could be guessed by it.
    pub(super) fn tries_secret(&self) -> bool {
        match self {
            Self::Password { .. } => true,
            Self::Answer { claim, .. } => claim.kind() == KeyKind::Secret,
            Self::Session(_) | Self::Certificate { .. } => false,
        }
    }

    pub(super) fn verify(&self, record: Option<Values<'_>>) -> Result<Proven, Failed> {
        match self {
            Self::Password {
                user,
                index,
                secret,
            } => verify_password(user, *index, secret, record),
            Self::Certificate { user, index, key } => verify_owner(user, *index, key, record),
            Self::Answer {
                claim,
                nonce,
                client_nonce,
            } => {
                let asked = Asked {
                    nonce,
                    digest: client_nonce,
                    version: Version::OURS,
                };
                verify_over(claim, &asked, record)
            }
            Self::Session(proven) => match proven.holds(record) {
                true => Ok(proven.clone()),
                false => Err(Failed::Revoked {
                    identity: proven.identity.clone(),
                }),
            },
        }
    }
}
