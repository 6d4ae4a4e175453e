//! Private-key files: i32 protection code, then the key, clear or encrypted (4.5.3).
//!
//! All five protections are opened; written are only 1 (none) and 4 (AES), since the others rest on
//! DES.

use super::CryptoError;
use super::challenge::{bounded, derive};
use super::hash::Hash;
use super::session::Mode;
use crate::data::PrivateKey;
use crate::error::DecodeError;
use crate::wire::{Reader, Writer};

/// Rounds of PBKDF2 that everybody writes.
const ROUNDS: u32 = 10_000;
/// Most rounds accepted from a file: about a second.
pub const ROUNDS_MAX: u32 = 10_000_000;
/// Octets of a salt that we write.
pub const SALT_LEN: usize = 16;
/// Octets of an AES initialisation vector.
pub const IV_LEN: usize = 16;

const DES_ECB: i32 = 0;
const NONE: i32 = 1;
const DES_CBC: i32 = 2;
const TRIPLE_DES: i32 = 3;
const AES: i32 = 4;

//----------- KeyFile --------------------------------------------------------

/// A private-key file, not yet opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyFile<'a> {
    /// Not protected (1): the clear octets of the key.
    Clear(&'a [u8]),
    /// DES with the first octets of the MD5 of the passphrase (0 and 2).
    Des {
        /// The initialisation vector; `None` for code 0.
        iv: Option<&'a [u8]>,
        /// The encrypted key.
        ciphertext: &'a [u8],
    },
    /// PBKDF2 with triple DES (3) or AES (4).
    Derived {
        /// The cipher: 3 or 4.
        code: i32,
        /// Salt of the derivation.
        salt: &'a [u8],
        /// Rounds of the derivation.
        rounds: i32,
        /// Bits of the derived key: 192 or 128.
        key_bits: i32,
        /// The initialisation vector.
        iv: &'a [u8],
        /// The encrypted key.
        ciphertext: &'a [u8],
    },
}

impl<'a> KeyFile<'a> {
    /// Reads the form of a file.
    pub fn decode(octets: &'a [u8]) -> Result<Self, CryptoError> {
        let context = |e: DecodeError| e.within("private-key file");
        let mut r = Reader::new(octets);
        let code = r.i32("protection code").map_err(context)?;
        match code {
            NONE => Ok(Self::Clear(r.rest())),
            DES_ECB => Ok(Self::Des {
                iv: None,
                ciphertext: r.rest(),
            }),
            DES_CBC => {
                let iv = r.take("initialisation vector", 8).map_err(context)?;
                Ok(Self::Des {
                    iv: Some(iv),
                    ciphertext: r.rest(),
                })
            }
            TRIPLE_DES | AES => Self::decode_derived(code, &mut r).map_err(|e| context(e).into()),
            other => Err(CryptoError::algorithm(
                other.to_string(),
                "private-key files",
            )),
        }
    }

    fn decode_derived(code: i32, r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self::Derived {
            code,
            salt: r.bytes("salt")?,
            rounds: r.i32("rounds")?,
            key_bits: r.i32("key length")?,
            iv: r.bytes("initialisation vector")?,
            ciphertext: r.bytes("encrypted key")?,
        })
    }

    /// Whether a passphrase is needed.
    pub fn is_protected(&self) -> bool {
        !matches!(self, Self::Clear(_))
    }

    /// The clear octets of the key. The passphrase does not matter if the file is not protected.
    pub fn open(&self, passphrase: &[u8]) -> Result<Vec<u8>, CryptoError> {
        const WITH: &str = "passphrase";
        match *self {
            Self::Clear(clear) => Ok(clear.to_vec()),
            Self::Des { iv, ciphertext } => {
                let digest = Hash::Md5.digest(&[passphrase]);
                Mode { iv, with: WITH }.decrypt::<des::Des>(&digest[..8], ciphertext)
            }
            Self::Derived {
                code,
                salt,
                rounds,
                key_bits,
                iv,
                ciphertext,
            } => {
                let rounds = bounded("number of PBKDF2 rounds", rounds, ROUNDS_MAX)?;
                let bits: i32 = if code == AES { 128 } else { 192 };
                if key_bits != bits {
                    return Err(CryptoError::key("the key length does not fit the cipher"));
                }
                let len = usize::try_from(bits / 8).unwrap_or(0);
                let key = derive(passphrase, salt, rounds, len);
                let mode = Mode {
                    iv: Some(iv),
                    with: WITH,
                };
                match code {
                    AES => mode.decrypt::<aes::Aes128>(&key, ciphertext),
                    _ => mode.decrypt::<des::TdesEde3>(&key, ciphertext),
                }
            }
        }
    }

    /// The key in the file.
    pub fn key(&self, passphrase: &[u8]) -> Result<PrivateKey, CryptoError> {
        Ok(PrivateKey::decode(&self.open(passphrase)?)?)
    }

    /// Encodes the file as it is.
    pub fn encode(&self) -> Vec<u8> {
        Writer::to_vec(|w| match *self {
            Self::Clear(clear) => {
                w.i32(NONE);
                w.raw(clear);
            }
            Self::Des { iv, ciphertext } => {
                w.i32(if iv.is_some() { DES_CBC } else { DES_ECB });
                w.raw(iv.unwrap_or_default());
                w.raw(ciphertext);
            }
            Self::Derived {
                code,
                salt,
                rounds,
                key_bits,
                iv,
                ciphertext,
            } => {
                w.i32(code);
                w.bytes(salt);
                w.i32(rounds);
                w.i32(key_bits);
                w.bytes(iv);
                w.bytes(ciphertext);
            }
        })
    }
}

/// A file that holds the clear octets of a key without protection.
pub fn seal_clear(clear: &[u8]) -> Vec<u8> {
    KeyFile::Clear(clear).encode()
}

/// A file that holds the clear octets of a key, encrypted with AES under a passphrase.
///
/// `salt` and `iv` are random.
pub fn seal(
    clear: &[u8],
    passphrase: &[u8],
    salt: &[u8; SALT_LEN],
    iv: &[u8; IV_LEN],
) -> Result<Vec<u8>, CryptoError> {
    let key = derive(passphrase, salt, ROUNDS, 16);
    let mode = Mode {
        iv: Some(iv),
        with: "passphrase",
    };
    let ciphertext = mode.encrypt::<aes::Aes128>(&key, clear)?;
    let rounds = ROUNDS.cast_signed();
    let file = KeyFile::Derived {
        code: AES,
        salt,
        rounds,
        key_bits: 128,
        iv,
        ciphertext: &ciphertext,
    };
    Ok(file.encode())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_file_opens_with_its_passphrase_only() {
        let octets = seal(b"key octets", b"passphrase", &[1; SALT_LEN], &[2; IV_LEN]).unwrap();
        let file = KeyFile::decode(&octets).unwrap();
        assert!(file.is_protected());
        assert_eq!(file.open(b"passphrase").unwrap(), b"key octets");
        assert_eq!(
            file.open(b"password"),
            Err(CryptoError::Decrypt { with: "passphrase" })
        );
        assert_eq!(file.encode(), octets);
    }

    #[test]
    fn clear_file_needs_no_passphrase() {
        let octets = seal_clear(b"key octets");
        let file = KeyFile::decode(&octets).unwrap();
        assert!(!file.is_protected());
        assert_eq!(file.open(b"").unwrap(), b"key octets");
    }

    #[test]
    fn unknown_protection_and_odd_numbers_are_refused() {
        assert!(matches!(
            KeyFile::decode(&[0, 0, 0, 9]),
            Err(CryptoError::Algorithm { .. })
        ));
        let file = |rounds, key_bits, iv| KeyFile::Derived {
            code: AES,
            salt: b"salt",
            rounds,
            key_bits,
            iv,
            ciphertext: &[0; 16],
        };
        let too_many = ROUNDS_MAX.cast_signed() + 1;
        for rounds in [0, -1, too_many] {
            let outcome = file(rounds, 128, &[0; 16]).open(b"p");
            assert!(
                matches!(outcome, Err(CryptoError::Limit { .. })),
                "{rounds}"
            );
        }
        assert!(matches!(
            file(1, 192, &[0; 16]).open(b"p"),
            Err(CryptoError::Key { .. })
        ));
        assert!(matches!(
            file(1, 128, &[0; 3]).open(b"p"),
            Err(CryptoError::Key { .. })
        ));
    }
}
