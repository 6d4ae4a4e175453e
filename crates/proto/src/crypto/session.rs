//! Sessions: key exchange, key derivation, encryption of messages (6.6, 9.6).
//!
//! The key of a session serves two purposes: all of it authenticates messages
//! ([`super::credential`]), the beginning of it encrypts them.

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyInit, KeyIvInit};
use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};

use super::CryptoError;
use crate::data::key::{DhPublicKey, Number};
use crate::error::{DecodeError, Reason};
use crate::message::Version;

/// Bits of the Diffie-Hellman moduli that are accepted: smaller ones are broken, larger ones cost a
/// server too much on behalf of a stranger.
pub const DH_BITS_MIN: usize = 1_024;
/// See [`DH_BITS_MIN`].
pub const DH_BITS_MAX: usize = 4_096;

//----------- Cipher ---------------------------------------------------------

/// The cipher of a session, by the number in front of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cipher {
    /// DES (1): old sessions.
    Des,
    /// Triple DES (2).
    TripleDes,
    /// AES with 128 bits (3): what servers choose.
    Aes,
    /// SM4 (4); its initialisation vector is the key and is not sent.
    Sm4,
}

impl Cipher {
    /// The cipher of that number.
    pub fn from_code(code: i32) -> Result<Self, CryptoError> {
        match code {
            1 => Ok(Self::Des),
            2 => Ok(Self::TripleDes),
            3 => Ok(Self::Aes),
            4 => Ok(Self::Sm4),
            _ => Err(CryptoError::algorithm(
                code.to_string(),
                "session encryption",
            )),
        }
    }

    /// Its number.
    pub fn code(self) -> i32 {
        match self {
            Self::Des => 1,
            Self::TripleDes => 2,
            Self::Aes => 3,
            Self::Sm4 => 4,
        }
    }

    /// Octets of a block, and of an initialisation vector.
    pub fn block_len(self) -> usize {
        match self {
            Self::Des | Self::TripleDes => 8,
            Self::Aes | Self::Sm4 => 16,
        }
    }

    /// Octets of the session key that encrypt.
    fn key_len(self) -> usize {
        match self {
            Self::Des => 8,
            Self::TripleDes => 24,
            Self::Aes | Self::Sm4 => 16,
        }
    }

    /// Whether messages of `version` begin with an initialisation vector.
    fn has_iv(self, version: Version) -> bool {
        self != Self::Sm4 && version.at_least(2, 4)
    }
}

//----------- SessionKey -----------------------------------------------------

/// The key of a session and what it is for. Never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionKey {
    cipher: Cipher,
    octets: Box<[u8]>,
}

impl SessionKey {
    /// A key that came by itself; it must have at least the length that the cipher needs.
    pub fn new(cipher: Cipher, octets: &[u8]) -> Result<Self, CryptoError> {
        if octets.len() < cipher.key_len() {
            return Err(CryptoError::key(
                "it is shorter than the cipher of the session needs",
            ));
        }
        Ok(Self {
            cipher,
            octets: octets.into(),
        })
    }

    /// Reads i32 cipher and key, as they are sent in encrypted form.
    pub fn decode(octets: &[u8]) -> Result<Self, CryptoError> {
        let mut r = crate::wire::Reader::new(octets);
        let cipher = Cipher::from_code(r.i32("cipher")?)?;
        Self::new(cipher, r.rest())
    }

    /// Derives the key of a session from the secret that a Diffie-Hellman exchange has led to.
    ///
    /// AES takes the first 32 octets, DES and triple DES the first 8 and 24 with odd parity.
    pub fn derive(cipher: Cipher, shared_secret: &Number) -> Result<Self, CryptoError> {
        let secret = shared_secret.as_bytes();
        let parity =
            |octet: &u8| (octet & 0xfe) | u8::from((octet & 0xfe).count_ones().is_multiple_of(2));
        let key: Vec<u8> = match cipher {
            Cipher::Aes => secret.iter().copied().take(32).collect(),
            Cipher::Des | Cipher::TripleDes => {
                secret.iter().take(cipher.key_len()).map(parity).collect()
            }
            Cipher::Sm4 => {
                return Err(CryptoError::algorithm(
                    "SM4",
                    "keys from a Diffie-Hellman exchange",
                ));
            }
        };
        Self::new(cipher, &key)
    }

    /// The cipher.
    pub fn cipher(&self) -> Cipher {
        self.cipher
    }

    /// The whole key, by which messages are authenticated.
    pub fn as_bytes(&self) -> &[u8] {
        &self.octets
    }

    /// Encrypts header, body and credential of a message of `version`.
    ///
    /// `iv` is random; as many octets of it as a block has are used and put in front.
    pub fn encrypt(
        &self,
        version: Version,
        clear: &[u8],
        iv: &[u8; 16],
    ) -> Result<Vec<u8>, CryptoError> {
        let key = self.encryption_key();
        let sent_iv = if self.cipher.has_iv(version) {
            &iv[..self.cipher.block_len()]
        } else {
            &[]
        };
        let mode = self.mode(version, sent_iv);
        let ciphertext = match self.cipher {
            Cipher::Des => mode.encrypt::<des::Des>(key, clear),
            Cipher::TripleDes => mode.encrypt::<des::TdesEde3>(key, clear),
            Cipher::Aes => mode.encrypt::<aes::Aes128>(key, clear),
            #[cfg(feature = "sm")]
            Cipher::Sm4 => mode.encrypt::<sm4::Sm4>(key, clear),
            #[cfg(not(feature = "sm"))]
            Cipher::Sm4 => return Err(CryptoError::algorithm("SM4", "session encryption")),
        };
        Ok([sent_iv, &ciphertext?].concat())
    }

    /// Decrypts what [`SessionKey::encrypt`] returns.
    ///
    /// A wrong padding is an error that must not be told apart from a wrong MAC towards a peer.
    pub fn decrypt(&self, version: Version, octets: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let key = self.encryption_key();
        let iv_len = if self.cipher.has_iv(version) {
            self.cipher.block_len()
        } else {
            0
        };
        let Some((iv, ciphertext)) = octets.split_at_checked(iv_len) else {
            let reason = Reason::Truncated {
                needs: iv_len,
                left: octets.len(),
            };
            return Err(DecodeError::new("initialisation vector", 0, reason).into());
        };
        let mode = self.mode(version, iv);
        match self.cipher {
            Cipher::Des => mode.decrypt::<des::Des>(key, ciphertext),
            Cipher::TripleDes => mode.decrypt::<des::TdesEde3>(key, ciphertext),
            Cipher::Aes => mode.decrypt::<aes::Aes128>(key, ciphertext),
            #[cfg(feature = "sm")]
            Cipher::Sm4 => mode.decrypt::<sm4::Sm4>(key, ciphertext),
            #[cfg(not(feature = "sm"))]
            Cipher::Sm4 => Err(CryptoError::algorithm("SM4", "session encryption")),
        }
    }

    fn encryption_key(&self) -> &[u8] {
        &self.octets[..self.cipher.key_len()]
    }

    fn mode<'a>(&'a self, version: Version, iv: &'a [u8]) -> Mode<'a> {
        match self.cipher {
            Cipher::Sm4 => Mode {
                iv: Some(self.encryption_key()),
                with: "session key",
            },
            _ if version.at_least(2, 4) => Mode {
                iv: Some(iv),
                with: "session key",
            },
            _ => Mode {
                iv: None,
                with: "session key",
            },
        }
    }
}

impl std::fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "SessionKey({:?}, {} octets)",
            self.cipher,
            self.octets.len()
        )
    }
}

//----------- Mode -----------------------------------------------------------

/// Chaining with an initialisation vector, or each block for itself; PKCS#7 padding in both.
pub(super) struct Mode<'a> {
    pub(super) iv: Option<&'a [u8]>,
    /// What the key is, for the error.
    pub(super) with: &'static str,
}

impl Mode<'_> {
    pub(super) fn encrypt<C>(&self, key: &[u8], clear: &[u8]) -> Result<Vec<u8>, CryptoError>
    where
        C: aes::cipher::BlockCipherEncrypt + KeyInit,
    {
        let wrong_len = |_| CryptoError::key("key or initialisation vector has a wrong length");
        Ok(match self.iv {
            Some(iv) => {
                let mode = cbc::Encryptor::<C>::new_from_slices(key, iv).map_err(wrong_len)?;
                mode.encrypt_padded_vec::<Pkcs7>(clear)
            }
            None => {
                let mode = ecb::Encryptor::<C>::new_from_slice(key).map_err(wrong_len)?;
                mode.encrypt_padded_vec::<Pkcs7>(clear)
            }
        })
    }

    pub(super) fn decrypt<C>(&self, key: &[u8], ciphertext: &[u8]) -> Result<Vec<u8>, CryptoError>
    where
        C: aes::cipher::BlockCipherDecrypt + KeyInit,
    {
        let failed = |_| CryptoError::Decrypt { with: self.with };
        let wrong_len = |_| CryptoError::key("key or initialisation vector has a wrong length");
        match self.iv {
            Some(iv) => {
                let mode = cbc::Decryptor::<C>::new_from_slices(key, iv).map_err(wrong_len)?;
                mode.decrypt_padded_vec::<Pkcs7>(ciphertext).map_err(failed)
            }
            None => {
                let mode = ecb::Decryptor::<C>::new_from_slice(key).map_err(wrong_len)?;
                mode.decrypt_padded_vec::<Pkcs7>(ciphertext).map_err(failed)
            }
        }
    }
}

//----------- Diffie-Hellman -------------------------------------------------

/// The modulus that clients of this network use: Oakley group 2 (RFC 2409), with generator 2.
pub const OAKLEY_GROUP_2: [u8; 128] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc9, 0x0f, 0xda, 0xa2, 0x21, 0x68, 0xc2, 0x34,
    0xc4, 0xc6, 0x62, 0x8b, 0x80, 0xdc, 0x1c, 0xd1, 0x29, 0x02, 0x4e, 0x08, 0x8a, 0x67, 0xcc, 0x74,
    0x02, 0x0b, 0xbe, 0xa6, 0x3b, 0x13, 0x9b, 0x22, 0x51, 0x4a, 0x08, 0x79, 0x8e, 0x34, 0x04, 0xdd,
    0xef, 0x95, 0x19, 0xb3, 0xcd, 0x3a, 0x43, 0x1b, 0x30, 0x2b, 0x0a, 0x6d, 0xf2, 0x5f, 0x14, 0x37,
    0x4f, 0xe1, 0x35, 0x6d, 0x6d, 0x51, 0xc2, 0x45, 0xe4, 0x85, 0xb5, 0x76, 0x62, 0x5e, 0x7e, 0xc6,
    0xf4, 0x4c, 0x42, 0xe9, 0xa6, 0x37, 0xed, 0x6b, 0x0b, 0xff, 0x5c, 0xb6, 0xf4, 0x06, 0xb7, 0xed,
    0xee, 0x38, 0x6b, 0xfb, 0x5a, 0x89, 0x9f, 0xa5, 0xae, 0x9f, 0x24, 0x11, 0x7c, 0x4b, 0x1f, 0xe6,
    0x49, 0x28, 0x66, 0x51, 0xec, 0xe6, 0x53, 0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
];

/// The public key of the private number `x` in the group of `p` and `g`.
pub fn dh_public_key(p: &Number, g: &Number, x: &Number) -> Result<DhPublicKey, CryptoError> {
    let y = power(g, x, p)?;
    Ok(DhPublicKey {
        y,
        p: p.clone(),
        g: g.clone(),
    })
}

/// The secret shared with the owner of `theirs`: y to the power of our private number `x`.
///
/// Refuses keys of 0, 1 and p-1, which would make the secret known to everybody.
pub fn dh_shared_secret(theirs: &DhPublicKey, x: &Number) -> Result<Number, CryptoError> {
    let secret = power(&theirs.y, x, &theirs.p)?;
    let one_less = theirs.p.as_bytes().split_last();
    let is_trivial = |n: &Number| {
        let is_minus_one = one_less
            .is_some_and(|(last, head)| n.as_bytes().split_last() == Some((&(last & 0xfe), head)));
        n.bits() <= 1 || is_minus_one
    };
    if is_trivial(&theirs.y) || is_trivial(&secret) {
        return Err(CryptoError::key(
            "the peer's Diffie-Hellman key gives away the secret",
        ));
    }
    Ok(secret)
}

/// `base` to the power of `exponent` modulo `modulus`, in a time that the bits of the exponent do
/// not change.
fn power(base: &Number, exponent: &Number, modulus: &Number) -> Result<Number, CryptoError> {
    let bits = modulus.bits();
    if !(DH_BITS_MIN..=DH_BITS_MAX).contains(&bits) {
        return Err(CryptoError::key(
            "its Diffie-Hellman modulus is not of 1024 to 4096 bits",
        ));
    }
    let is_residue = (base.bits(), base.as_bytes()) < (bits, modulus.as_bytes());
    if !is_residue || exponent.bits() > bits {
        return Err(CryptoError::key(
            "a Diffie-Hellman number is larger than the modulus",
        ));
    }
    let malformed = |_| CryptoError::key("a Diffie-Hellman number is larger than the modulus");
    let precision = u32::try_from(bits).unwrap_or(u32::MAX);
    let number = |n: &Number| BoxedUint::from_be_slice(n.as_bytes(), precision).map_err(malformed);
    let modulus = Odd::new(number(modulus)?).into_option();
    let modulus = modulus.ok_or(CryptoError::key("its Diffie-Hellman modulus is even"))?;
    let parameters = BoxedMontyParams::new(modulus);
    let power = BoxedMontyForm::new(number(base)?, &parameters).pow(&number(exponent)?);
    Ok(Number::new(&power.retrieve().to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::super::unhex;
    use super::*;

    const IV: [u8; 16] = [0x55; 16];

    fn ciphers() -> Vec<Cipher> {
        let mut ciphers = vec![Cipher::Des, Cipher::TripleDes, Cipher::Aes];
        if cfg!(feature = "sm") {
            ciphers.push(Cipher::Sm4);
        }
        ciphers
    }

    #[test]
    fn every_cipher_opens_what_it_closed_in_old_and_new_versions() {
        for cipher in ciphers() {
            let key = SessionKey::new(cipher, &(0x10..0x30).collect::<Vec<u8>>()).unwrap();
            for version in [Version::new(2, 3), Version::OURS] {
                for len in [0, 1, 15, 16, 17, 1_000] {
                    let clear = vec![7; len];
                    let octets = key.encrypt(version, &clear, &IV).unwrap();
                    assert_eq!(key.decrypt(version, &octets).unwrap(), clear, "{cipher:?}");
                    let iv_is_sent = octets.starts_with(&IV[..cipher.block_len()]);
                    assert_eq!(
                        iv_is_sent,
                        cipher != Cipher::Sm4 && version == Version::OURS
                    );
                }
                for len in 0..40 {
                    assert!(
                        key.decrypt(version, &vec![1; len]).is_err(),
                        "{cipher:?} {len}"
                    );
                }
            }
        }
    }

    #[test]
    fn key_shorter_than_the_cipher_needs_is_refused() {
        for cipher in ciphers() {
            assert!(SessionKey::new(cipher, &vec![1; cipher.key_len() - 1]).is_err());
            assert!(SessionKey::new(cipher, &vec![1; cipher.key_len()]).is_ok());
            assert_eq!(Cipher::from_code(cipher.code()), Ok(cipher));
        }
        assert!(Cipher::from_code(9).is_err());
    }

    #[test]
    fn parity_of_des_keys_is_odd() {
        let secret = Number::new(&unhex("9f2e48f9b6f53a2b54de"));
        let key = SessionKey::derive(Cipher::Des, &secret).unwrap();
        assert_eq!(key.as_bytes(), unhex("9e2f49f8b6f43b2a"));
    }

    #[test]
    fn both_sides_arrive_at_the_same_secret() {
        let (p, g) = (Number::new(&OAKLEY_GROUP_2), Number::new(&[2]));
        let (a, b) = (Number::new(&[0x5a; 40]), Number::new(&[0xa5; 40]));
        let (ka, kb) = (
            dh_public_key(&p, &g, &a).unwrap(),
            dh_public_key(&p, &g, &b).unwrap(),
        );
        let secret = dh_shared_secret(&kb, &a).unwrap();
        assert_eq!(dh_shared_secret(&ka, &b).unwrap(), secret);
        assert!(secret.bits() > 1_000);
    }

    #[test]
    fn odd_groups_and_keys_are_refused_without_a_panic() {
        let p = Number::new(&OAKLEY_GROUP_2);
        let mut minus_one = OAKLEY_GROUP_2;
        minus_one[127] -= 1;
        let mut even = OAKLEY_GROUP_2;
        even[127] = 0;
        let x = Number::new(&[3]);
        let key = |y: &[u8], p: &Number| DhPublicKey {
            y: Number::new(y),
            p: p.clone(),
            g: Number::new(&[2]),
        };
        for theirs in [
            key(&[], &p),
            key(&[1], &p),
            key(&minus_one, &p),
            key(&OAKLEY_GROUP_2, &p),
            key(&[4], &Number::new(&even)),
            key(&[4], &Number::new(&[7])),
            key(&[4], &Number::default()),
            key(&[4], &Number::new(&[0xff; 513])),
        ] {
            assert!(dh_shared_secret(&theirs, &x).is_err(), "{theirs:?}");
        }
        assert!(dh_shared_secret(&key(&[4], &p), &Number::new(&[0xff; 129])).is_err());
    }
}
