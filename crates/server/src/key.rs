//! The node's own key: loading, making, publishing.
//!
//! RSA, because every Handle client in the field can check it. Keys are made with the crate `rsa`,
//! since ring makes none; everything that touches a secret afterwards is ring.

pub mod form;
#[cfg(test)]
mod form_tests;

use std::fmt;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use guantong_proto::crypto::SigningKey;
use guantong_proto::crypto::keyfile::KeyFile;
use guantong_proto::data::key::{Number, PrivateKey, PublicKey};
use ring::rand::SystemRandom;
use rsa::pkcs8::{EncodePrivateKey, LineEnding, SecretDocument};

/// Bits of the keys that are made here: what clients of all ages take, and enough until 2030.
pub const RSA_BITS: usize = 2_048;
/// Largest key file read.
const FILE_LEN_MAX: u64 = 64 * 1024;

//----------- ServerKey ------------------------------------------------------

/// A private key of this node, ready to sign.
pub struct ServerKey {
    signing: SigningKey,
    /// The same key in PKCS#8, for TLS.
    pkcs8: Box<[u8]>,
}

impl ServerKey {
    /// Reads PKCS#8 in PEM, or a Handle.Net private-key file that has no passphrase.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let fail = |why: String| KeyError::Unusable {
            path: path.to_owned(),
            why,
        };
        let octets = read_bounded(path).map_err(|source| KeyError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        if !octets.starts_with(b"-----BEGIN") {
            let file = KeyFile::decode(&octets).map_err(|e| fail(e.to_string()))?;
            if file.is_protected() {
                return Err(fail(
                    "it has a passphrase, and nobody is there to type it when a node starts; \
                     convert it with `guantong key convert`"
                        .into(),
                ));
            }
            let key = file.key(b"").map_err(|e| fail(e.to_string()))?;
            let signing = SigningKey::new(&key).map_err(|e| fail(e.to_string()))?;
            let pkcs8 = to_pkcs8(&key).map_err(fail)?;
            return Ok(Self { signing, pkcs8 });
        }
        let text = String::from_utf8(octets).map_err(|e| fail(e.to_string()))?;
        let (label, document) = SecretDocument::from_pem(&text).map_err(|e| fail(e.to_string()))?;
        if label != "PRIVATE KEY" {
            return Err(fail(format!(
                "it is a `{label}`, a `PRIVATE KEY` (PKCS#8) is needed; convert it with `openssl pkcs8 -topk8 -nocrypt`"
            )));
        }
        let pkcs8: Box<[u8]> = document.as_bytes().into();
        let signing = SigningKey::from_pkcs8(&pkcs8, &SystemRandom::new())
            .map_err(|e| fail(e.to_string()))?;
        Ok(Self { signing, pkcs8 })
    }

    /// The signing key.
    pub fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// The private key in PKCS#8, DER.
    pub(crate) fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The public part, as a record holds it.
    pub fn public(&self) -> PublicKey {
        self.signing.public_key()
    }

    /// Kind and size, for people.
    pub fn describe(&self) -> String {
        match self.public() {
            PublicKey::Rsa(key) => format!("RSA key of {} bits", key.modulus.bits()),
            _ => "key".to_owned(),
        }
    }
}

impl fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServerKey").field(&self.signing).finish()
    }
}

/// The numbers of a Handle.Net key file in PKCS#8.
fn to_pkcs8(key: &PrivateKey) -> Result<Box<[u8]>, String> {
    let PrivateKey::RsaCrt(key) = key else {
        return Err("only RSA keys are used".to_owned());
    };
    let number = |number: &Number| rsa::BoxedUint::from_be_slice_vartime(number.as_bytes());
    let primes = vec![number(&key.p), number(&key.q)];
    let (n, e, d) = (number(&key.n), number(&key.e), number(&key.d));
    let key = rsa::RsaPrivateKey::from_components(n, e, d, primes).map_err(|e| e.to_string())?;
    let document = key.to_pkcs8_der().map_err(|error| error.to_string())?;
    Ok(document.as_bytes().into())
}

/// Makes a new RSA key and keeps it in a file that only its owner can read.
///
/// Fails if the file exists: a key is never overwritten.
pub fn make(path: &Path) -> Result<ServerKey, KeyError> {
    let unusable = |why: String| KeyError::Unusable {
        path: path.to_owned(),
        why,
    };
    let key = generate(RSA_BITS).map_err(unusable)?;
    let pem = key
        .to_pkcs8_pem(LineEnding::LF)
        .map_err(|error| unusable(error.to_string()))?;
    write_private(path, pem.as_bytes()).map_err(|source| KeyError::Unwritable {
        path: path.to_owned(),
        source,
    })?;
    ServerKey::load(path)
}

fn generate(bits: usize) -> Result<rsa::RsaPrivateKey, String> {
    // The crate's face has no place for a source that fails, so it is tried first.
    getrandom::fill(&mut [0]).map_err(|error| error.to_string())?;
    let mut rng = rsa::rand_core::UnwrapErr(getrandom::SysRng);
    rsa::RsaPrivateKey::new(&mut rng, bits).map_err(|error| error.to_string())
}

/// Writes a new file that only its owner can read, and makes sure that it is on disk.
pub fn write_private(path: &Path, octets: &[u8]) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(octets)?;
    file.sync_all()
}

/// Reads a key file, if it is not too long to be one.
pub fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let len = std::fs::metadata(path)?.len();
    if len > FILE_LEN_MAX {
        let text = format!("it has {len} octets, a key file has at most {FILE_LEN_MAX}");
        return Err(std::io::Error::other(text));
    }
    std::fs::read(path)
}

//----------- KeyError -------------------------------------------------------

/// Why a key cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum KeyError {
    /// The file cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file cannot be written.
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file holds no key that the node can use.
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        why: String,
    },
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, source } => {
                write!(f, "the key {} cannot be read: {source}", path.display())
            }
            Self::Unwritable { path, source } => {
                write!(f, "the key {} cannot be written: {source}", path.display())
            }
            Self::Unusable { path, why } => {
                write!(f, "the key {} cannot be used: {why}", path.display())
            }
        }
    }
}

impl std::error::Error for KeyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } | Self::Unwritable { source, .. } => Some(source),
            Self::Unusable { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_above_the_limit_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let said = |len: u64| {
            std::fs::write(&path, vec![b'x'; usize::try_from(len).unwrap()]).unwrap();
            ServerKey::load(&path).unwrap_err().to_string()
        };
        assert!(!said(FILE_LEN_MAX).contains("has at most"));
        assert!(said(FILE_LEN_MAX + 1).contains("a key file has at most"));
    }
}
