//! Proofs that do not come as messages: over HTTP (8.5).

use guantong_proto::crypto::VerifyingKey;
use guantong_proto::crypto::challenge::{SECRET_KEY, answer_with_secret};
use guantong_proto::data::SecretKey;
use guantong_proto::limits::NONCE_LEN;
use guantong_proto::message::Version;
use guantong_proto::{Handle, Values};

use super::authenticate::{
    Asked, Claim, Failed, KeyKind, Proven, verify_over, verify_owner, verify_password,
};
use super::session::Chance;

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
    /// By his password, which was checked just now: he may change how he logs in.
    Owner(Proven),
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
            Self::Session(proven) | Self::Owner(proven) => &proven.identity.handle,
        }
    }

    /// Index of the key; 0 for any.
    pub(super) fn index(&self) -> i32 {
        match self {
            Self::Password { index, .. } | Self::Certificate { index, .. } => *index,
            Self::Answer { claim, .. } => claim.index(),
            Self::Session(proven) | Self::Owner(proven) => proven.identity.index,
        }
    }

    /// Whether a secret could be guessed by it.
    pub(super) fn tries_secret(&self) -> bool {
        match self {
            Self::Password { .. } => true,
            Self::Answer { claim, .. } => claim.kind() == KeyKind::Secret,
            Self::Session(_) | Self::Owner(_) | Self::Certificate { .. } => false,
        }
    }

    /// Who was proven in the session by a secret key that another server has.
    pub(super) fn foreign_session(&self) -> Option<&Proven> {
        match self {
            Self::Session(proven) if proven.is_by_foreign_secret() => Some(proven),
            _ => None,
        }
    }

    /// The answer by secret key that it is or comes to, and what was asked: for a key that another
    /// server has. A password becomes an answer to a nonce of ours, so that it stays here.
    pub(super) fn to_answer(&self, chance: &Chance) -> Option<(Claim, Vec<u8>, Vec<u8>)> {
        match self {
            Self::Answer {
                claim,
                nonce,
                client_nonce,
            } if claim.kind() == KeyKind::Secret => {
                Some((claim.clone(), nonce.to_vec(), client_nonce.to_vec()))
            }
            Self::Password {
                user,
                index,
                secret,
            } => {
                let (nonce, digest) = (chance.nonce.to_vec(), chance.exponent.to_vec());
                let secret = SecretKey::new(secret);
                let version = Version::OURS;
                let signed = answer_with_secret(version, &secret, &nonce, &digest, &chance.seal);
                let user = user.as_str().as_bytes();
                let claim = Claim::new(SECRET_KEY, user, *index, &signed).ok()?;
                Some((claim, nonce, digest))
            }
            _ => None,
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
            Self::Session(proven) | Self::Owner(proven) => match proven.holds(record) {
                true => Ok(proven.clone()),
                false => Err(Failed::Revoked {
                    identity: proven.identity.clone(),
                }),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use guantong_proto::crypto::challenge::verify_secret_answer;

    use super::super::authenticate::VERSION_MIN;
    use super::*;

    #[test]
    fn password_for_another_server_becomes_an_answer_that_only_the_secret_confirms() {
        let presented = Presented::Password {
            user: Handle::parse("1/user").unwrap(),
            index: 300,
            secret: b"correct horse".as_slice().into(),
        };
        let chance = Chance {
            suffix: [1; 16],
            nonce: [2; 16],
            seal: [3; 16],
            exponent: [4; 32],
        };
        let (claim, nonce, digest) = presented.to_answer(&chance).unwrap();
        let asked = Asked {
            nonce: &nonce,
            digest: &digest,
            version: VERSION_MIN,
        };
        let confirm = claim.confirm(&asked).unwrap();
        assert_eq!((confirm.user.as_str(), confirm.index), ("1/user", 300));
        let is_right = |secret: &[u8]| {
            let secret = SecretKey::new(secret);
            verify_secret_answer(&secret, &nonce, &digest, &confirm.signed).is_ok()
        };
        assert!(is_right(b"correct horse") && !is_right(b"guess"));
        assert!(!format!("{confirm:?} {presented:?}").contains("horse"));
    }
}
