//! Records that this node signs as they are written (clause 7), if the operator wants it, and the
//! root keys that it believes.
//!
//! What is signed and how is `guantong_core::trust::sign`; here is the key, the clock, and the one
//! place through which every record of this node passes on its way into the store. What a mirror
//! receives is not signed: it carries the signatures of the primary.

use std::path::{Path, PathBuf};

use guantong_core::admin::Identity;
use guantong_core::trust::sign::{SIGNATURE_INDEX, Signer, Term, resign};
use guantong_core::trust::{Policy, ROOT, Rule};
use guantong_proto::data::PublicKey;
use guantong_proto::file::Bootstrap;
use guantong_proto::json::Record;
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Value, Values};
use ring::rand::SystemRandom;

use crate::config::{Config, TrustConfig};
use crate::key::form::{FormError, Key, KeyPair, read};
use crate::key::{KeyError, read_bounded};

/// A signature that is good for less than this part of its span is made anew when its record is
/// written.
const RENEW_PART: i64 = 2;

//----------- Root keys ------------------------------------------------------

/// What a file with root keys holds.
enum RootFile {
    /// One key.
    Key(PublicKey),
    /// The record `0.0/0.0`.
    Record(Vec<Value>),
}

fn root_file(path: &Path) -> Result<RootFile, RootKeysError> {
    let octets = read_bounded(path).map_err(|source| RootKeysError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    if let Ok(mut bootstrap) = Bootstrap::parse(&octets)
        && let Some(values) = bootstrap.records.remove(ROOT)
    {
        return Ok(RootFile::Record(values));
    }
    if let Ok(record) = Record::parse(&octets)
        && !record.values.is_empty()
    {
        return Ok(RootFile::Record(record.values));
    }
    let key = read(&octets, &mut || {
        Err("a root key needs no private half".to_owned())
    });
    match key {
        Ok(key) => Ok(RootFile::Key(key.public())),
        Err(error) => Err(RootKeysError::NoKey {
            path: path.to_owned(),
            why: error.to_string(),
        }),
    }
}

/// The root keys in a file: one key, or those of a record `0.0/0.0`. At least one.
pub fn root_keys(path: &Path) -> Result<Vec<PublicKey>, RootKeysError> {
    let values = match root_file(path)? {
        RootFile::Key(key) => return Ok(vec![key]),
        RootFile::Record(values) => values,
    };
    let keys = values
        .iter()
        .filter(|value| value.kind.eq_ignore_ascii_case("HS_PUBKEY"));
    let keys: Vec<_> = keys
        .filter_map(|value| PublicKey::decode(&value.data).ok())
        .collect();
    match keys.is_empty() {
        true => Err(RootKeysError::NoKey {
            path: path.to_owned(),
            why: format!("its record {ROOT} has no HS_PUBKEY"),
        }),
        false => Ok(keys),
    }
}

/// The record `0.0/0.0` in a file with root keys, if that is what it holds.
pub(crate) fn root_record(path: &Path) -> Option<Vec<Value>> {
    match root_file(path) {
        Ok(RootFile::Record(values)) => Some(values),
        _ => None,
    }
}

/// Whom the settings believe; `None` if they name no roots.
pub fn policy(config: &TrustConfig) -> Result<Option<Policy>, RootKeysError> {
    let Some(path) = &config.roots else {
        return Ok(None);
    };
    let policy = Policy::new(&root_keys(path)?);
    match policy.is_empty() {
        true => Err(RootKeysError::NoKey {
            path: path.clone(),
            why: "the key in it cannot verify".to_owned(),
        }),
        false => Ok(Some(policy)),
    }
}

/// By what rule the records of others are judged before they are given away; `None`: by none.
pub(crate) fn rule(config: &Config) -> Result<Option<Rule>, RootKeysError> {
    let Some(demand) = config.recurse.demand() else {
        return Ok(None);
    };
    let policy = policy(&config.trust)?.ok_or(RootKeysError::NotSet)?;
    Ok(Some(Rule { policy, demand }))
}

/// Why there are no root keys to believe.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootKeysError {
    /// The file cannot be read.
    #[error("the root key {} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no file.
    #[error("recurse.verify demands signatures, but trust.roots names no file with root keys")]
    NotSet,
    /// It holds none.
    #[error("there is no root key in {}: {why}", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
        /// What was found instead.
        why: String,
    },
}

//----------- RecordSigner ---------------------------------------------------

/// Signs records of this node.
#[derive(Debug)]
pub struct RecordSigner {
    pair: KeyPair,
    identity: Identity,
    span_secs: i64,
    random: SystemRandom,
}

impl RecordSigner {
    /// The signer of the settings; `None` if records are not to be signed.
    pub fn load(config: &TrustConfig) -> Result<Option<Self>, KeyError> {
        let (Some(path), Some(identity)) = (&config.sign_key, &config.sign_as) else {
            return Ok(None);
        };
        let octets = read_bounded(path).map_err(|source| KeyError::Unreadable {
            path: path.clone(),
            source,
        })?;
        let unusable = |why: String| KeyError::Unusable {
            path: path.clone(),
            why,
        };
        let nobody = || Err("nobody is there to type it when a node signs".to_owned());
        let key = read(&octets, &mut { nobody }).map_err(|e: FormError| unusable(e.to_string()))?;
        let Key::Private(pair) = key else {
            return Err(unusable("it is a public key".to_owned()));
        };
        if pair.signing().kind() == "P-256" {
            return Err(unusable(
                "keys on P-256 do not sign records: take RSA, Ed25519 or SM2".to_owned(),
            ));
        }
        Ok(Some(Self {
            pair: *pair,
            identity: identity.clone(),
            span_secs: i64::try_from(config.sign_span.0 / 1_000).unwrap_or(i64::MAX),
            random: SystemRandom::new(),
        }))
    }

    /// The values of a record, in wire form, with a signature over them that holds; as they are if
    /// there is one, or, which no key does, if signing fails.
    pub fn sign(&self, handle: &Handle, wire: Vec<u8>, now_secs: u32) -> Vec<u8> {
        let values = Values::from_wire(&wire).and_then(|values| values.to_vec());
        let Ok(values) = values else {
            // The store refuses it and says why.
            return wire;
        };
        let signer = Signer {
            key: self.pair.signing(),
            identity: &self.identity,
            random: &self.random,
        };
        let now = i64::from(now_secs);
        let term = Term::of(now, self.span_secs);
        let renew_before = now + self.span_secs / RENEW_PART;
        let handle_ref = handle.borrow();
        match resign(
            &signer,
            handle_ref,
            &values,
            SIGNATURE_INDEX,
            term,
            renew_before,
        ) {
            Ok(None) => wire,
            Ok(Some(signed)) => Writer::to_vec(|w| Values::encode(&signed, w)),
            Err(error) => {
                tracing::error!(%handle, %error, "the record could not be signed");
                wire
            }
        }
    }
}
