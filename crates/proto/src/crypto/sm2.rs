//! SM2 signatures and decryption (GB/T 32918), in the variants that are found in the field (9.5).
//!
//! Arithmetic on the curve comes from the `sm2` crate. What is done here is the choice of hash
//! function: one of the two variants in use takes SHA-256 where the standard has SM3, for the user
//! digest Z as well as for the message digest.

use sm2::dsa::signature::Signer as _;
use sm2::dsa::signature::hazmat::PrehashVerifier;
use sm2::dsa::{Signature, SigningKey, VerifyingKey};
use sm2::elliptic_curve::sec1::ToSec1Point;
use sm2::pkcs8::DecodePrivateKey;
use sm2::pke::DecryptingKey;
use sm2::{PublicKey, SecretKey};

use super::CryptoError;
use super::hash::Hash;

/// User id where none is agreed.
pub const DEFAULT_ID: &str = "1234567812345678";

/// Coefficients a and b and the generator of the curve (GB/T 32918.5), as they enter Z.
const CURVE: [u8; 128] = [
    0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfc,
    0x28, 0xe9, 0xfa, 0x9e, 0x9d, 0x9f, 0x5e, 0x34, 0x4d, 0x5a, 0x9e, 0x4b, 0xcf, 0x65, 0x09, 0xa7,
    0xf3, 0x97, 0x89, 0xf5, 0x15, 0xab, 0x8f, 0x92, 0xdd, 0xbc, 0xbd, 0x41, 0x4d, 0x94, 0x0e, 0x93,
    0x32, 0xc4, 0xae, 0x2c, 0x1f, 0x19, 0x81, 0x19, 0x5f, 0x99, 0x04, 0x46, 0x6a, 0x39, 0xc9, 0x94,
    0x8f, 0xe3, 0x0b, 0xbf, 0xf2, 0x66, 0x0b, 0xe1, 0x71, 0x5a, 0x45, 0x89, 0x33, 0x4c, 0x74, 0xc7,
    0xbc, 0x37, 0x36, 0xa2, 0xf4, 0xf6, 0x77, 0x9c, 0x59, 0xbd, 0xce, 0xe3, 0x6b, 0x69, 0x21, 0x53,
    0xd0, 0xa9, 0x87, 0x7c, 0xc6, 0x2a, 0x47, 0x40, 0x02, 0xdf, 0x32, 0xe5, 0x21, 0x39, 0xf0, 0xa0,
];

/// Octets of a ciphertext without content: point and SM3 digest.
const CIPHERTEXT_LEN_MIN: usize = 65 + 32;

/// Checks a DER signature of `message` under the key `point` (SEC1) and the user id `id`.
pub fn verify(
    point: &[u8],
    id: &str,
    hash: Hash,
    message: &[u8],
    signature: &[u8],
) -> Result<(), CryptoError> {
    if !matches!(hash, Hash::Sm3 | Hash::Sha256) {
        let name = super::Algorithm::Hash(hash).name();
        return Err(CryptoError::algorithm(name, "SM2 signatures"));
    }
    const NOT_A_POINT: CryptoError = CryptoError::Key {
        reason: "it is not a point of SM2",
    };
    const MISMATCH: CryptoError = CryptoError::Mismatch { what: "signature" };
    let key = PublicKey::from_sec1_bytes(point).map_err(|_| NOT_A_POINT)?;
    let uncompressed = key.to_sec1_point(false);
    let coordinates = uncompressed.as_bytes().get(1..).ok_or(NOT_A_POINT)?;
    let id_bits = u16::try_from(id.len() * 8).map_err(|_| CryptoError::Limit {
        what: "length of the user id in bits",
        found: i64::try_from(id.len() * 8).unwrap_or(i64::MAX),
        limit: u16::MAX.into(),
    })?;
    let z = hash.digest(&[&id_bits.to_be_bytes(), id.as_bytes(), &CURVE, coordinates]);
    let e = hash.digest(&[&z, message]);
    let signature = Signature::from_der(signature).map_err(|_| MISMATCH)?;
    let key = VerifyingKey::new(id, key).map_err(|_| NOT_A_POINT)?;
    key.verify_prehash(&e, &signature).map_err(|_| MISMATCH)
}

/// A private key that signs under the user id [`DEFAULT_ID`], with SM3 as the standard says.
pub(crate) struct Signer {
    key: SigningKey,
    point: Vec<u8>,
}

impl Signer {
    /// Reads a PKCS#8 structure in DER.
    pub(crate) fn from_pkcs8(der: &[u8]) -> Result<Self, CryptoError> {
        let secret = SecretKey::from_pkcs8_der(der);
        let secret = secret.map_err(|_| CryptoError::key("it is not a private key of SM2"))?;
        let key = SigningKey::new(DEFAULT_ID, &secret);
        Ok(Self {
            key: key.map_err(|_| CryptoError::key("it is not a private key of SM2"))?,
            point: secret.public_key().to_sec1_point(false).as_bytes().to_vec(),
        })
    }

    /// The public key: the uncompressed point (SEC1).
    pub(crate) fn point(&self) -> &[u8] {
        &self.point
    }

    /// A DER signature of `message`.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let signature: Result<Signature, _> = self.key.try_sign(message);
        let signature = signature.map_err(|_| CryptoError::key("it failed to sign"))?;
        Ok(signature.to_der().as_bytes().to_vec())
    }
}

/// Opens a ciphertext in the order point, digest, content (C1‖C3‖C2) with the private number `d`.
pub fn decrypt(d: &[u8; 32], ciphertext: &[u8]) -> Result<Vec<u8>, CryptoError> {
    const FAILED: CryptoError = CryptoError::Decrypt {
        with: "private key",
    };
    if ciphertext.len() <= CIPHERTEXT_LEN_MIN || ciphertext[0] != 4 {
        return Err(FAILED);
    }
    let key = DecryptingKey::from_slice(d);
    let key = key.map_err(|_| CryptoError::key("it is not a private number of SM2"))?;
    key.decrypt(ciphertext).map_err(|_| FAILED)
}

#[cfg(test)]
mod tests {
    use super::super::unhex;
    use super::*;

    /// A signature over SM3 with the default id and one over SHA-256 differ; both are in the
    /// vectors. Here: nothing odd is accepted, and nothing panics.
    #[test]
    fn odd_keys_and_signatures_are_refused() {
        let point = unhex(
            "0414f0771985ffbf1a466bd61b857a514a5c82336de5cef1e88f9823d4fac9aae2\
             34c2bff874aa39a764804948774b5d85661213b82089c44b991af0faa81ba8a2",
        );
        let signature = [0x30, 6, 2, 1, 1, 2, 1, 1];
        let verify =
            |point: &[u8], signature: &[u8]| verify(point, DEFAULT_ID, Hash::Sm3, b"m", signature);
        assert_eq!(
            verify(&point, &signature),
            Err(CryptoError::Mismatch { what: "signature" })
        );
        assert!(verify(&point, b"").is_err());
        assert!(matches!(
            verify(&point[..64], &signature),
            Err(CryptoError::Key { .. })
        ));
        assert!(matches!(
            verify(b"\0", &signature),
            Err(CryptoError::Key { .. })
        ));
        let long = "a".repeat(8_192);
        let limit = super::verify(&point, &long, Hash::Sm3, b"m", &signature);
        assert!(matches!(limit, Err(CryptoError::Limit { .. })));
    }

    #[test]
    fn short_and_damaged_ciphertexts_are_refused() {
        let d = [7; 32];
        for len in [0, 1, 65, 96, 97, 98, 200] {
            assert!(decrypt(&d, &vec![4; len]).is_err(), "{len}");
        }
    }
}
