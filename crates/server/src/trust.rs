//! Records that this node signs as they are written (clause 7), if the operator wants it.
//!
//! What is signed and how is `guantong_core::trust::sign`; here is the key, the clock, and the one
//! place through which every record of this node passes on its way into the store. What a mirror
//! receives is not signed: it carries the signatures of the primary.

use guantong_core::admin::Identity;
use guantong_core::trust::sign::{SIGNATURE_INDEX, Signer, Term, resign};
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Values};
use ring::rand::SystemRandom;

use crate::config::TrustConfig;
use crate::key::form::{FormError, Key, KeyPair, read};
use crate::key::{KeyError, read_bounded};

/// A signature that is good for less than this part of its span is made anew when its record is
/// written.
const RENEW_PART: i64 = 2;

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
