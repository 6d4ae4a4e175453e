//! What is signed, hashed and encrypted, and how; the algorithms themselves come from ring and
//! RustCrypto.
//!
//! ```text
//! hash        algorithm names and codes, request digests (2.3)
//! credential  signatures and MACs of whole messages, per version (2.4)
//! challenge   answers to a challenge by public or secret key (6.2, 9.5)
//! signature   keys that verify and keys that sign
//! session     key exchange and encryption of sessions (6.6, 9.6)
//! keyfile     private-key files (4.5.3)
//! jws         signed records and certificates (7)
//! ```
//!
//! No function draws randomness: salts, initialisation vectors and generators are parameters. Which
//! version of the protocol is still good enough for administration is decided elsewhere; here every
//! version is read, so that old peers and old files can be understood.

pub mod challenge;
pub mod credential;
pub mod hash;
pub mod jws;
pub mod keyfile;
pub mod session;
pub mod signature;
#[cfg(feature = "sm")]
pub mod sm2;

use crate::error::DecodeError;

pub use credential::Credential;
pub use hash::{Algorithm, Hash};
/// Where randomness comes from; the shell hands it in.
pub use ring::rand::SecureRandom;
pub use signature::{SigningKey, VerifyingKey};

//----------- CryptoError ----------------------------------------------------

/// Why something could not be verified, signed, opened or derived.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CryptoError {
    /// The octets have no known form; their sender is at fault.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// The signature or code is not that of these octets under this key.
    #[error("the {what} does not match")]
    Mismatch {
        /// What was compared: `signature`, `message authentication code`, `digest`.
        what: &'static str,
    },
    /// An algorithm is not known, not allowed, or not built in.
    #[error("algorithm `{name}` is not supported for {purpose}")]
    Algorithm {
        /// Its name or number.
        name: String,
        /// What it was needed for.
        purpose: &'static str,
    },
    /// A key cannot be used.
    #[error("the key cannot be used: {reason}")]
    Key {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A number that a peer or file chose is out of bounds.
    #[error("{what} is {found}, the limit is {limit}")]
    Limit {
        /// What the number is.
        what: &'static str,
        /// The number.
        found: i64,
        /// The largest allowed.
        limit: i64,
    },
    /// Encrypted octets do not open with this key or passphrase.
    #[error("cannot be decrypted: wrong {with}, or damaged octets")]
    Decrypt {
        /// What was used: `session key` or `passphrase`.
        with: &'static str,
    },
}

impl CryptoError {
    fn key(reason: &'static str) -> Self {
        Self::Key { reason }
    }

    fn algorithm(name: impl Into<String>, purpose: &'static str) -> Self {
        Self::Algorithm {
            name: name.into(),
            purpose,
        }
    }
}

/// Compares in constant time.
fn compare(what: &'static str, found: &[u8], expected: &[u8]) -> Result<(), CryptoError> {
    use subtle::ConstantTimeEq;
    let same: bool = found.ct_eq(expected).into();
    same.then_some(()).ok_or(CryptoError::Mismatch { what })
}

#[cfg(test)]
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    text.as_bytes().chunks(2).map(octet).collect()
}
