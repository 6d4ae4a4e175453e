//! HS_SECKEY: a secret shared by administrator and server (clause 4.5.4; RFC 3651, 3.2.4).

use std::fmt;

use ring::digest;
use subtle::ConstantTimeEq;

/// The octets of the secret, raw or in hashed form.
///
/// Compared in constant time and never shown by `Debug`. Not zeroed when dropped: the store and the
/// wire buffers hold the same octets.
#[derive(Clone)]
pub struct SecretKey(Box<[u8]>);

impl SecretKey {
    /// A secret used as it is.
    pub fn new(octets: &[u8]) -> Self {
        Self(octets.into())
    }

    /// The hashed form of a password: the 40 lower-case hexadecimal digits of its SHA-1 are the
    /// secret on both sides.
    pub fn hashed(password: &[u8]) -> Self {
        let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, password);
        let hex: String = digest
            .as_ref()
            .iter()
            .map(|octet| format!("{octet:02x}"))
            .collect();
        Self(hex.into_bytes().into())
    }

    /// The secret octets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this looks like the hashed form: 40 lower-case hexadecimal digits.
    pub fn is_hashed(&self) -> bool {
        self.0.len() == 40
            && self
                .0
                .iter()
                .all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
    }
}

impl PartialEq for SecretKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SecretKey {}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({} octets)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashed_form_is_the_hexadecimal_sha1_of_the_password() {
        let secret = SecretKey::hashed(b"password");
        assert_eq!(
            secret.as_bytes(),
            b"5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8"
        );
        assert!(secret.is_hashed());
        assert!(!SecretKey::new(b"password").is_hashed());
    }

    #[test]
    fn debug_form_does_not_show_the_secret() {
        assert_eq!(
            format!("{:?}", SecretKey::new(b"hunter2")),
            "SecretKey(7 octets)"
        );
    }
}
