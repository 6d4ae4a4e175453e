//! Keys that verify and keys that sign, whatever form they came in.
//!
//! Verification: RSA PKCS#1 v1.5, DSA, ECDSA on P-256, Ed25519, SM2. Signing: the same but DSA.
//! SHA-1, which peers before version 2.7 would need, is verified but never signed with.

use dsa::signature::hazmat::PrehashVerifier;
use pkcs8::der::asn1::{ObjectIdentifier, UintRef};
use pkcs8::der::{Decode, Reader, SliceReader};
use pkcs8::spki::SubjectPublicKeyInfoRef;
use ring::rand::SecureRandom;
use ring::signature as ring_signature;
use ring::signature::KeyPair;

use super::CryptoError;
use super::hash::{Algorithm, Hash};
use crate::data::key::{DsaPublicKey, Number, PrivateKey, PublicKey, RsaPublicKey};

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const DSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10040.4.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
#[cfg(feature = "sm")]
const SM2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.156.10197.1.301");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// DER in front of the point in a SubjectPublicKeyInfo for P-256 (RFC 5480).
pub(crate) const P256_SPKI: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// DER in front of the point in a SubjectPublicKeyInfo for SM2 (GB/T 35276).
#[cfg(feature = "sm")]
const SM2_SPKI: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x81, 0x1c, 0xcf, 0x55, 0x01, 0x82, 0x2d, 0x03, 0x42, 0x00,
];
/// DER in front of the key in a SubjectPublicKeyInfo for Ed25519 (RFC 8410).
pub(crate) const ED25519_SPKI: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

//----------- VerifyingKey ---------------------------------------------------

/// A public key that can verify signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerifyingKey {
    /// RSA, 1024 to 8192 bits.
    Rsa(RsaPublicKey),
    /// DSA with a modulus of 1024, 2048 or 3072 bits.
    Dsa(DsaPublicKey),
    /// ECDSA on P-256: the uncompressed point.
    P256(Vec<u8>),
    /// Ed25519: the 32 octets of the key.
    Ed25519(Vec<u8>),
    /// SM2: the point in SEC1 form.
    #[cfg(feature = "sm")]
    Sm2(Vec<u8>),
}

impl VerifyingKey {
    /// The key in a form that can verify; fails for Diffie-Hellman, SM9 and unknown keys.
    pub fn new(key: &PublicKey) -> Result<Self, CryptoError> {
        match key {
            PublicKey::Rsa(key) => Ok(Self::Rsa(key.clone())),
            PublicKey::Dsa(key) => Ok(Self::Dsa(key.clone())),
            PublicKey::Sm2(_) | PublicKey::Sm2Pem(_) | PublicKey::Pem(_) => {
                let spki = key
                    .spki()
                    .ok_or(CryptoError::key("it is not valid PEM text"))?;
                Self::from_spki(&spki)
            }
            PublicKey::Dh(_) => Err(CryptoError::key("Diffie-Hellman keys cannot sign")),
            PublicKey::Sm9(_) => Err(CryptoError::key("SM9 is not supported")),
            PublicKey::Other(_) => Err(CryptoError::key("its type is unknown")),
        }
    }

    /// Reads an X.509 SubjectPublicKeyInfo in DER.
    pub fn from_spki(spki: &[u8]) -> Result<Self, CryptoError> {
        let malformed = |_| CryptoError::key("it is not a SubjectPublicKeyInfo in DER");
        let spki = SubjectPublicKeyInfoRef::from_der(spki).map_err(malformed)?;
        let key = spki.subject_public_key.as_bytes();
        let key = key.ok_or(CryptoError::key("its bit string is not made of octets"))?;
        match spki.algorithm.oid {
            RSA => rsa_from_der(key).map_err(malformed).map(Self::Rsa),
            DSA => {
                let parameters = spki.algorithm.parameters;
                let parameters =
                    parameters.ok_or(CryptoError::key("its DSA numbers are missing"))?;
                let parameters: dsa::Components = parameters.decode_as().map_err(malformed)?;
                let y = UintRef::from_der(key).map_err(malformed)?;
                let number = |n: &dsa::BoxedUint| Number::new(&n.to_be_bytes());
                Ok(Self::Dsa(DsaPublicKey {
                    q: number(parameters.q()),
                    p: number(parameters.p()),
                    g: number(parameters.g()),
                    y: Number::new(y.as_bytes()),
                }))
            }
            EC => match spki.algorithm.parameters_oid() {
                Ok(P256) => Ok(Self::P256(key.to_vec())),
                #[cfg(feature = "sm")]
                Ok(SM2) => Ok(Self::Sm2(key.to_vec())),
                _ => Err(CryptoError::key("its elliptic curve is not supported")),
            },
            ED25519 => Ok(Self::Ed25519(key.to_vec())),
            _ => Err(CryptoError::key("its algorithm is not supported")),
        }
    }

    /// Checks `signature` over `message`. DSA and ECDSA signatures are DER, SM2 is taken with the
    /// default user id; see [`super::sm2`] for others.
    pub fn verify(&self, hash: Hash, message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        match self {
            Self::Rsa(key) => verify_rsa(key, hash, message, signature),
            Self::Dsa(key) => verify_dsa(key, hash, message, signature),
            Self::P256(point) => {
                let algorithm = &ring_signature::ECDSA_P256_SHA256_ASN1;
                require(hash, Hash::Sha256, "ECDSA signatures on P-256")?;
                verify_by_ring(algorithm, point, message, signature)
            }
            Self::Ed25519(key) => verify_by_ring(&ring_signature::ED25519, key, message, signature),
            #[cfg(feature = "sm")]
            Self::Sm2(point) => {
                super::sm2::verify(point, super::sm2::DEFAULT_ID, hash, message, signature)
            }
        }
    }
}

const MISMATCH: CryptoError = CryptoError::Mismatch { what: "signature" };

fn require(found: Hash, needed: Hash, purpose: &'static str) -> Result<(), CryptoError> {
    let name = Algorithm::Hash(found).name();
    (found == needed)
        .then_some(())
        .ok_or_else(|| CryptoError::algorithm(name, purpose))
}

fn verify_by_ring(
    algorithm: &'static dyn ring_signature::VerificationAlgorithm,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), CryptoError> {
    let key = ring_signature::UnparsedPublicKey::new(algorithm, key);
    key.verify(message, signature).map_err(|_| MISMATCH)
}

fn rsa_from_der(octets: &[u8]) -> Result<RsaPublicKey, pkcs8::der::Error> {
    let mut reader = SliceReader::new(octets)?;
    let numbers = reader.sequence(|r| {
        let (modulus, exponent) = (UintRef::decode(r)?, UintRef::decode(r)?);
        Ok::<_, pkcs8::der::Error>((
            Number::new(modulus.as_bytes()),
            Number::new(exponent.as_bytes()),
        ))
    });
    let (modulus, exponent) = numbers?;
    Ok(RsaPublicKey { exponent, modulus })
}

fn verify_rsa(
    key: &RsaPublicKey,
    hash: Hash,
    message: &[u8],
    signature: &[u8],
) -> Result<(), CryptoError> {
    // Keys of 1024 bits are still in records of this network; ring calls them legacy.
    let algorithm = match hash {
        Hash::Sha1 => &ring_signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
        Hash::Sha256 => &ring_signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
        Hash::Sha384 => &ring_signature::RSA_PKCS1_2048_8192_SHA384,
        Hash::Sha512 => &ring_signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
        other => {
            let name = Algorithm::Hash(other).name();
            return Err(CryptoError::algorithm(name, "RSA signatures"));
        }
    };
    let components = ring_signature::RsaPublicKeyComponents {
        n: key.modulus.as_bytes(),
        e: key.exponent.as_bytes(),
    };
    components
        .verify(algorithm, message, signature)
        .map_err(|_| MISMATCH)
}

/// The digest is cut to the length of q, as FIPS 186 says.
fn verify_dsa(
    key: &DsaPublicKey,
    hash: Hash,
    message: &[u8],
    signature: &[u8],
) -> Result<(), CryptoError> {
    let p_bits = key.p.bits();
    if !matches!(
        (p_bits, key.q.bits()),
        (1024, 160) | (2048, 224 | 256) | (3072, 256)
    ) {
        return Err(CryptoError::key(
            "its DSA parameters have a size that is not supported",
        ));
    }
    // The number library wants all residues modulo p in the size of p.
    let residue = |number: &Number| {
        let below = (number.bits(), number.as_bytes()) < (p_bits, key.p.as_bytes());
        let precision = u32::try_from(p_bits).ok().filter(|_| below)?;
        dsa::BoxedUint::from_be_slice(number.as_bytes(), precision).ok()
    };
    let out_of_range = CryptoError::key("a DSA number is not smaller than the modulus");
    let (Some(g), Some(y)) = (residue(&key.g), residue(&key.y)) else {
        return Err(out_of_range);
    };
    let p = dsa::BoxedUint::from_be_slice_vartime(key.p.as_bytes());
    let q = dsa::BoxedUint::from_be_slice_vartime(key.q.as_bytes());
    let invalid = |_| CryptoError::key("its DSA numbers do not belong together");
    let components = dsa::Components::from_components(p, q, g).map_err(invalid)?;
    let key = dsa::VerifyingKey::from_components(components, y).map_err(invalid)?;
    let signature = dsa::Signature::from_der(signature).map_err(|_| MISMATCH)?;
    key.verify_prehash(&hash.digest(&[message]), &signature)
        .map_err(|_| MISMATCH)
}

//----------- SigningKey -----------------------------------------------------

/// A private key that signs: RSA of 2048 to 4096 bits, ECDSA on P-256, Ed25519, SM2.
pub struct SigningKey(Kind);

enum Kind {
    Rsa(ring_signature::RsaKeyPair),
    P256(ring_signature::EcdsaKeyPair),
    Ed25519(ring_signature::Ed25519KeyPair),
    #[cfg(feature = "sm")]
    Sm2(super::sm2::Signer),
}

impl SigningKey {
    /// Reads a PKCS#8 structure in DER. `rng` hides what is computed with the key from those who
    /// measure.
    pub fn from_pkcs8(der: &[u8], rng: &dyn SecureRandom) -> Result<Self, CryptoError> {
        let malformed = |_| CryptoError::key("it is not a private key in PKCS#8, DER");
        let info = pkcs8::PrivateKeyInfoRef::from_der(der).map_err(malformed)?;
        match info.algorithm.oid {
            ED25519 => ring_signature::Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
                .map(|key| Self(Kind::Ed25519(key)))
                .map_err(|_| CryptoError::key("it is not an Ed25519 key")),
            EC => match info.algorithm.parameters_oid() {
                Ok(P256) => p256_from_pkcs8(der, rng),
                #[cfg(feature = "sm")]
                Ok(SM2) => super::sm2::Signer::from_pkcs8(der).map(|key| Self(Kind::Sm2(key))),
                _ => Err(CryptoError::key("its elliptic curve is not supported")),
            },
            _ => ring_signature::RsaKeyPair::from_pkcs8(der)
                .map(|key| Self(Kind::Rsa(key)))
                .map_err(|_| CryptoError::key("it is not an RSA key of 2048 to 4096 bits")),
        }
    }

    /// Takes the numbers of a private-key file.
    pub fn new(key: &PrivateKey) -> Result<Self, CryptoError> {
        let PrivateKey::RsaCrt(key) = key else {
            return Err(CryptoError::key("only RSA_PRIVCRT_KEY can sign"));
        };
        let components = ring::rsa::KeyPairComponents {
            public_key: ring::rsa::PublicKeyComponents {
                n: key.n.as_bytes(),
                e: key.e.as_bytes(),
            },
            d: key.d.as_bytes(),
            p: key.p.as_bytes(),
            q: key.q.as_bytes(),
            dP: key.dp.as_bytes(),
            dQ: key.dq.as_bytes(),
            qInv: key.qinv.as_bytes(),
        };
        let pair = ring_signature::RsaKeyPair::from_components(&components);
        pair.map(|pair| Self(Kind::Rsa(pair)))
            .map_err(|_| CryptoError::key("its RSA numbers do not belong together"))
    }

    /// The public key that belongs to it, in the form in which records hold keys of its kind.
    pub fn public_key(&self) -> PublicKey {
        let pem = |start: &[u8], key: &[u8]| pem_of(&[start, key].concat());
        match &self.0 {
            Kind::Rsa(key) => {
                let public = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(key.public());
                let (exponent, modulus) = (Number::new(&public.e), Number::new(&public.n));
                PublicKey::Rsa(RsaPublicKey { exponent, modulus })
            }
            Kind::P256(key) => pem(&P256_SPKI, key.public_key().as_ref()),
            Kind::Ed25519(key) => pem(&ED25519_SPKI, key.public_key().as_ref()),
            #[cfg(feature = "sm")]
            Kind::Sm2(key) => PublicKey::Sm2([&SM2_SPKI, key.point()].concat()),
        }
    }

    /// The kind of key, for people and for the choice of an algorithm.
    pub fn kind(&self) -> &'static str {
        match &self.0 {
            Kind::Rsa(_) => "RSA",
            Kind::P256(_) => "P-256",
            Kind::Ed25519(_) => "Ed25519",
            #[cfg(feature = "sm")]
            Kind::Sm2(_) => "SM2",
        }
    }

    /// Signs `message`. RSA signs with SHA-256, SHA-384 and SHA-512, P-256 with SHA-256, SM2 with
    /// SM3; what Ed25519 hashes with is its own choice.
    pub fn sign(
        &self,
        hash: Hash,
        message: &[u8],
        rng: &dyn SecureRandom,
    ) -> Result<Vec<u8>, CryptoError> {
        const FAILED: CryptoError = CryptoError::Key {
            reason: "it failed to sign",
        };
        match &self.0 {
            Kind::Rsa(key) => sign_rsa(key, hash, message, rng),
            Kind::P256(key) => {
                require(hash, Hash::Sha256, "signing on P-256")?;
                let signature = key.sign(rng, message).map_err(|_| FAILED)?;
                Ok(signature.as_ref().to_vec())
            }
            Kind::Ed25519(key) => Ok(key.sign(message).as_ref().to_vec()),
            #[cfg(feature = "sm")]
            Kind::Sm2(key) => {
                require(hash, Hash::Sm3, "signing with SM2")?;
                key.sign(message)
            }
        }
    }
}

fn p256_from_pkcs8(der: &[u8], rng: &dyn SecureRandom) -> Result<SigningKey, CryptoError> {
    let algorithm = &ring_signature::ECDSA_P256_SHA256_ASN1_SIGNING;
    ring_signature::EcdsaKeyPair::from_pkcs8(algorithm, der, rng)
        .map(|key| SigningKey(Kind::P256(key)))
        .map_err(|_| CryptoError::key("it is not a key on P-256 with its public half"))
}

fn pem_of(spki: &[u8]) -> PublicKey {
    let text = pkcs8::der::pem::encode_string("PUBLIC KEY", pkcs8::LineEnding::LF, spki);
    // Some hundred octets always fit.
    text.map_or_else(|_| PublicKey::Other(Vec::new()), PublicKey::Pem)
}

fn sign_rsa(
    key: &ring_signature::RsaKeyPair,
    hash: Hash,
    message: &[u8],
    rng: &dyn SecureRandom,
) -> Result<Vec<u8>, CryptoError> {
    let padding: &dyn ring_signature::RsaEncoding = match hash {
        Hash::Sha256 => &ring_signature::RSA_PKCS1_SHA256,
        Hash::Sha384 => &ring_signature::RSA_PKCS1_SHA384,
        Hash::Sha512 => &ring_signature::RSA_PKCS1_SHA512,
        other => {
            let name = Algorithm::Hash(other).name();
            return Err(CryptoError::algorithm(name, "signing"));
        }
    };
    let mut signature = vec![0; key.public().modulus_len()];
    let failed = |_| CryptoError::key("it failed to sign");
    key.sign(padding, rng, message, &mut signature)
        .map_err(failed)?;
    Ok(signature)
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.kind())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_cannot_sign_say_so() {
        for (key, reason) in [
            (PublicKey::Sm9("alice".into()), "SM9"),
            (PublicKey::Other(vec![]), "unknown"),
            (PublicKey::Pem("-----BEGIN PUBLIC KEY-----".into()), "PEM"),
            (PublicKey::Sm2(vec![0x30, 0]), "SubjectPublicKeyInfo"),
        ] {
            let error = VerifyingKey::new(&key).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn odd_dsa_numbers_are_refused_without_a_panic() {
        let full = |len: usize| Number::new(&vec![0xff; len]);
        let small = Number::new(&[2]);
        let key = |g: &Number, y: &Number| DsaPublicKey {
            q: full(20),
            p: full(128),
            g: g.clone(),
            y: y.clone(),
        };
        for key in [
            key(&small, &small),
            key(&full(128), &small),
            key(&small, &full(200)),
            key(&Number::default(), &Number::default()),
            DsaPublicKey {
                q: Number::default(),
                ..key(&small, &small)
            },
        ] {
            assert!(verify_dsa(&key, Hash::Sha1, b"m", &[0x30, 6, 2, 1, 1, 2, 1, 1]).is_err());
        }
    }
}
