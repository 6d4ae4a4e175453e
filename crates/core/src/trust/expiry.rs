//! When signatures and certificates end, so that they can be renewed in time.

use std::collections::HashMap;

use guantong_proto::crypto::VerifyingKey;
use guantong_proto::crypto::jws::{Claims, Jws};
use guantong_proto::{Handle, HandleRef, ValueRef, Values, is_of_type};

use super::chain::{Found, Gap, Records, gather_into, is_same};
use super::policy::Policy;
use super::verify::{Link, SIGNATURES_MAX};
use super::{CERTIFICATE, SIGNATURE};
use crate::admin::Identity;

/// Most certificates of a record that are looked at.
const CERTIFICATES_MAX: usize = 64;

/// When the record with these values is without a signature that counts, in seconds since 1970: the
/// last end of its signatures, since one is enough. `None` if none is there or one does not end.
pub fn signature_end(values: Values<'_>) -> Option<i64> {
    let claims = claims(values, SIGNATURE, SIGNATURES_MAX);
    let ends: Option<Vec<i64>> = claims.map(|claims| claims.exp).collect();
    ends?.into_iter().max()
}

/// Who says to have signed a record, `index:handle`, and until when that is to be good. Nothing is
/// verified.
pub fn claimed(values: Values<'_>) -> Option<(String, Option<i64>)> {
    let mut claims = claims(values, SIGNATURE, SIGNATURES_MAX);
    claims.next().map(|claims| (claims.iss, claims.exp))
}

/// When the first of the keys that are certified in a record is without a certificate. Of several
/// certificates of a key, the newest counts.
pub fn certificate_end(values: Values<'_>) -> Option<i64> {
    let claims = claims(values, CERTIFICATE, CERTIFICATES_MAX);
    first_end(claims)
}

/// When the first of the root keys that are believed ends, as far as the record `0.0/0.0` says it.
pub fn root_end(values: Values<'_>, policy: &Policy) -> Option<i64> {
    let claims = claims(values, CERTIFICATE, CERTIFICATES_MAX);
    first_end(claims.filter(|claims| {
        let key = claims.key().and_then(|key| VerifyingKey::new(&key));
        is_same(&claims.sub, &claims.iss) && key.is_ok_and(|key| policy.is_root(&key))
    }))
}

/// What can be read of the values of a type.
fn claims<'a>(
    values: Values<'a>,
    kind: &'static [u8],
    most: usize,
) -> impl Iterator<Item = Claims> + use<'a> {
    let of_type = move |value: &ValueRef<'_>| is_of_type(value.kind, kind);
    let values = values.iter().filter(of_type).take(most);
    values.filter_map(|value| Jws::parse(value.data).ok()?.claims().ok())
}

fn first_end(claims: impl Iterator<Item = Claims>) -> Option<i64> {
    let mut newest: HashMap<String, (i64, Option<i64>)> = HashMap::new();
    for claims in claims {
        let made = claims.iat.unwrap_or(i64::MIN);
        let known = newest.entry(claims.sub).or_insert((made, claims.exp));
        if made >= known.0 {
            *known = (made, claims.exp);
        }
    }
    newest.into_values().filter_map(|(_, end)| end).min()
}

//----------- Ascent ---------------------------------------------------------

/// The certificates from a key up, as far as they are found. Nothing is verified.
#[derive(Clone, Debug)]
pub struct Ascent {
    from: Claims,
    records: Records,
}

/// How far an ascent has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Climbed {
    /// The record of this handle is needed: fetch it and [learn](Ascent::learn) it.
    Wanted(Handle),
    /// The certificates that were found; those of a root that certifies itself are the last.
    Done(Vec<Link>),
}

impl Ascent {
    /// Begins at the key of `identity`.
    pub fn new(identity: &Identity) -> Self {
        Self {
            from: Claims {
                iss: identity.to_string(),
                ..Claims::default()
            },
            records: Records::default(),
        }
    }

    /// Takes the record that was wanted, or what became of it.
    pub fn learn(&mut self, handle: HandleRef<'_>, found: Found) {
        self.records.learn(handle, found);
    }

    /// The certificates, or the record that is needed for the next one.
    pub fn climb(&self) -> Climbed {
        let mut chain = Vec::new();
        match gather_into(&mut chain, &self.from, &self.records) {
            Err(Gap::Wanted(handle)) => Climbed::Wanted(handle),
            Ok(()) | Err(Gap::Fault(_)) => Climbed::Done(chain.iter().map(Link::of).collect()),
        }
    }
}
