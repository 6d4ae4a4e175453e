//! Signatures and certificates of our own (clause 7).

use guantong_proto::crypto::jws::{Claims, Digests, Jws, Permission};
use guantong_proto::crypto::{CryptoError, SecureRandom, SigningKey};
use guantong_proto::data::PublicKey;
use guantong_proto::json::key_to_jwk;
use guantong_proto::wire::Writer;
use guantong_proto::{HandleRef, Value, ValueRef, Values, is_of_type};

use super::SIGNATURE;
use super::chain::is_same;
use crate::admin::Identity;

/// Where values of ours that sign or certify stand, if nothing else is said: where Handle software
/// puts them (clause 7).
pub const SIGNATURE_INDEX: i32 = 400;

//----------- Signer ---------------------------------------------------------

/// A key that signs, under the name by which its certificate is found.
pub struct Signer<'a> {
    /// The private key.
    pub key: &'a SigningKey,
    /// `index:handle` of its public half.
    pub identity: &'a Identity,
    /// Where randomness comes from; RSA signatures need some to be made safely.
    pub random: &'a dyn SecureRandom,
}

/// When a signature is good, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// When it is made; it is good from then on.
    pub from_secs: i64,
    /// When it ends. `None`: never by itself.
    pub until_secs: Option<i64>,
}

impl Term {
    /// So many seconds from now on.
    pub fn of(now_secs: i64, span_secs: i64) -> Self {
        Self {
            from_secs: now_secs,
            until_secs: Some(now_secs.saturating_add(span_secs)),
        }
    }
}

impl Signer<'_> {
    /// The data of an HS_SIGNATURE value that covers what everybody can read of `values`: all
    /// public values but signatures.
    ///
    /// What not everybody can read is left out, since whoever cannot read it could not tell a
    /// record without it from one from which it was taken away.
    pub fn sign(
        &self,
        handle: HandleRef<'_>,
        values: Values<'_>,
        term: Term,
    ) -> Result<Vec<u8>, CryptoError> {
        let covered =
            |value: &ValueRef<'_>| value.is_public() && !is_of_type(value.kind, SIGNATURE);
        let digests = Digests::of(values.iter().filter(covered));
        self.issue(&Claims {
            digests: Some(digests),
            ..self.claims(handle.as_str().to_owned(), term)
        })
    }

    /// The data of an HS_CERT value that certifies the key of `subject` for what `permissions` say.
    /// Signing with the very key that is certified makes a root.
    pub fn certify(
        &self,
        subject: &Identity,
        key: &PublicKey,
        permissions: Vec<Permission>,
        term: Term,
    ) -> Result<Vec<u8>, CryptoError> {
        let no_form = CryptoError::Key {
            reason: "its kind has no form in certificates",
        };
        self.issue(&Claims {
            perms: Some(permissions),
            public_key: Some(key_to_jwk(key).ok_or(no_form)?),
            ..self.claims(subject.to_string(), term)
        })
    }

    fn claims(&self, sub: String, term: Term) -> Claims {
        Claims {
            iss: self.identity.to_string(),
            sub,
            iat: Some(term.from_secs),
            nbf: Some(term.from_secs),
            exp: term.until_secs,
            ..Claims::default()
        }
    }

    fn issue(&self, claims: &Claims) -> Result<Vec<u8>, CryptoError> {
        let jws = Jws::sign(claims, self.key, self.random)?;
        Ok(jws.to_compact().into_bytes())
    }
}

//----------- resign ---------------------------------------------------------

/// Which of its signatures a signer replaces, and where it puts a new one.
///
/// `values` with the signature of `signer` in it, made anew over them: in the place of the one that
/// it has made before, else at `index`, or at the next free one above. The timestamp is `now_secs`.
/// Nothing changes if what stands there covers the values and is good until `renew_before_secs`.
pub fn resign(
    signer: &Signer<'_>,
    handle: HandleRef<'_>,
    values: &[Value],
    index: i32,
    term: Term,
    renew_before_secs: i64,
) -> Result<Option<Vec<Value>>, CryptoError> {
    let mut signed = values.to_vec();
    let own = signed
        .iter()
        .position(|value| is_by(value, signer.identity));
    let wire = Writer::to_vec(|w| Values::encode(values, w));
    let read = Values::from_wire(&wire).unwrap_or(Values::EMPTY);
    if own.is_some_and(|at| still_holds(&signed[at], read, renew_before_secs)) {
        return Ok(None);
    }
    let data = signer.sign(handle, read, term)?;
    let timestamp = u32::try_from(term.from_secs).unwrap_or(u32::MAX);
    match own {
        Some(at) => {
            signed[at].data = data;
            signed[at].timestamp = timestamp;
        }
        None => {
            let taken = |index: &i32| signed.iter().any(|value| value.index == *index);
            let free = (index..).find(|index| !taken(index)).unwrap_or(index);
            let kind = String::from_utf8_lossy(SIGNATURE);
            let mut value = Value::new(free, kind, data);
            value.timestamp = timestamp;
            signed.push(value);
        }
    }
    Ok(Some(signed))
}

/// Whether the value is a signature of `identity`.
fn is_by(value: &Value, identity: &Identity) -> bool {
    let claims = || Jws::parse(&value.data).and_then(|jws| jws.claims());
    is_of_type(value.kind.as_bytes(), SIGNATURE)
        && claims().is_ok_and(|claims| is_same(&claims.iss, &identity.to_string()))
}

/// Whether a signature of ours covers the values as they are, and is good for long enough.
fn still_holds(signature: &Value, values: Values<'_>, renew_before_secs: i64) -> bool {
    let Ok(claims) = Jws::parse(&signature.data).and_then(|jws| jws.claims()) else {
        return false;
    };
    let lasts = claims.exp.is_none_or(|until| until > renew_before_secs);
    let covered = |value: &ValueRef<'_>| value.is_public() && !is_of_type(value.kind, SIGNATURE);
    let now = Digests::of(values.iter().filter(covered));
    lasts && claims.digests.as_ref() == Some(&now)
}
