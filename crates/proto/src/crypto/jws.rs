//! JSON Web Signatures: signed records (HS_SIGNATURE) and certificates (HS_CERT), clause 7.
//!
//! One signature is parsed and verified here, and the digests in it are compared with values.
//! Building and judging the chain up to a root is not done here, nor is the time looked at.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SecureRandom;
use serde::{Deserialize, Serialize};

use super::CryptoError;
use super::hash::{Algorithm, Hash};
use super::signature::{SigningKey, VerifyingKey};
use crate::data::PublicKey;
use crate::error::{DecodeError, Reason};
use crate::json;
use crate::value::{Reference, ValueRef};

/// Largest signature text in octets; a value that signs 2,048 others needs about 200,000.
pub const JWS_LEN_MAX: usize = 262_144;
/// Octets of a value that its digest leaves out: index and timestamp.
const UNSIGNED_LEN: usize = 8;

//----------- Jws ------------------------------------------------------------

/// A signed text: the payload and one or more signatures over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jws {
    /// The payload, decoded: JSON text in practice.
    pub payload: Vec<u8>,
    encoded_payload: String,
    signatures: Vec<Signature>,
}

/// A signature over header and payload.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Signature {
    protected: String,
    algorithm: String,
    octets: Vec<u8>,
}

#[derive(Deserialize, Serialize)]
struct JsonForm {
    payload: String,
    signatures: Vec<JsonSignature>,
}

#[derive(Deserialize, Serialize)]
struct JsonSignature {
    protected: String,
    signature: String,
}

#[derive(Deserialize)]
struct JsonHeader {
    alg: String,
}

impl Jws {
    /// Reads the compact or the JSON form.
    pub fn parse(text: &[u8]) -> Result<Self, CryptoError> {
        if text.len() > JWS_LEN_MAX {
            let reason = Reason::TooLarge {
                found: text.len(),
                limit: JWS_LEN_MAX,
            };
            return Err(DecodeError::new("signature text", 0, reason).into());
        }
        let text = std::str::from_utf8(text)
            .map_err(|_| malformed("must be UTF-8"))?
            .trim();
        let (payload, signatures) = if text.starts_with('{') {
            let form: JsonForm = serde_json::from_str(text)
                .map_err(|_| malformed("must be an object with `payload` and `signatures`"))?;
            let parts = form.signatures.into_iter();
            (
                form.payload,
                parts.map(|part| (part.protected, part.signature)).collect(),
            )
        } else {
            let mut parts = text.split('.').map(str::to_owned);
            match (parts.next(), parts.next(), parts.next(), parts.next()) {
                (Some(protected), Some(payload), Some(signature), None) => {
                    (payload, vec![(protected, signature)])
                }
                _ => return Err(malformed("must have three parts separated by dots")),
            }
        };
        let signatures = signatures
            .into_iter()
            .map(Signature::new)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            payload: decode(&payload)?,
            encoded_payload: payload,
            signatures,
        })
    }

    /// The names of the algorithms of the signatures, such as `RS256`.
    pub fn algorithms(&self) -> impl Iterator<Item = &str> {
        self.signatures
            .iter()
            .map(|signature| signature.algorithm.as_str())
    }

    /// The claims in the payload.
    pub fn claims(&self) -> Result<Claims, CryptoError> {
        let expected = "must hold the claims of a signature or certificate as JSON";
        serde_json::from_slice(&self.payload).map_err(|_| malformed(expected))
    }

    /// Checks that one of the signatures was made with the private key of `key`.
    pub fn verify(&self, key: &PublicKey) -> Result<(), CryptoError> {
        self.verify_with(&VerifyingKey::new(key)?)
    }

    /// The same, with a key that was made ready before.
    pub fn verify_with(&self, key: &VerifyingKey) -> Result<(), CryptoError> {
        let mut outcome = Err(malformed("must hold a signature"));
        for signature in &self.signatures {
            outcome = signature.verify(&self.encoded_payload, key);
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    /// The compact form; of the first signature if there are several.
    pub fn to_compact(&self) -> String {
        let signature = self.signatures.first();
        let protected = signature.map_or("", |signature| &signature.protected);
        let octets = signature.map_or(&[][..], |signature| &signature.octets);
        format!(
            "{protected}.{}.{}",
            self.encoded_payload,
            URL_SAFE_NO_PAD.encode(octets)
        )
    }

    /// The JSON form.
    pub fn to_json(&self) -> String {
        let part = |signature: &Signature| JsonSignature {
            protected: signature.protected.clone(),
            signature: URL_SAFE_NO_PAD.encode(&signature.octets),
        };
        let form = JsonForm {
            payload: self.encoded_payload.clone(),
            signatures: self.signatures.iter().map(part).collect(),
        };
        // A structure of strings always has a JSON form.
        serde_json::to_string(&form).unwrap_or_default()
    }

    /// Signs claims: with RSA as `RS256`, with Ed25519 as `EdDSA`, with SM2 and SM3 as `SM2256`.
    pub fn sign(
        claims: &Claims,
        key: &SigningKey,
        rng: &dyn SecureRandom,
    ) -> Result<Self, CryptoError> {
        let (algorithm, hash) = match key.kind() {
            "RSA" => ("RS256", Hash::Sha256),
            "Ed25519" => ("EdDSA", Hash::Sha512),
            #[cfg(feature = "sm")]
            "SM2" => ("SM2256", Hash::Sm3),
            other => return Err(CryptoError::algorithm(other, "signed records")),
        };
        let payload = serde_json::to_vec(claims);
        let payload = payload.map_err(|_| malformed("must hold claims that have a JSON form"))?;
        let encoded_payload = URL_SAFE_NO_PAD.encode(&payload);
        let protected = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{algorithm}"}}"#));
        let input = format!("{protected}.{encoded_payload}");
        let octets = key.sign(hash, input.as_bytes(), rng)?;
        let signature = Signature {
            protected,
            algorithm: algorithm.into(),
            octets,
        };
        Ok(Self {
            payload,
            encoded_payload,
            signatures: vec![signature],
        })
    }
}

impl Signature {
    fn new((protected, signature): (String, String)) -> Result<Self, CryptoError> {
        let header = decode(&protected)?;
        let header: JsonHeader = serde_json::from_slice(&header)
            .map_err(|_| malformed("must have a header such as {\"alg\":\"RS256\"}"))?;
        Ok(Self {
            protected,
            algorithm: header.alg,
            octets: decode(&signature)?,
        })
    }

    fn verify(&self, payload: &str, key: &VerifyingKey) -> Result<(), CryptoError> {
        let unsupported = || CryptoError::algorithm(&self.algorithm, "signed records");
        let fits = |kind: &str| match key {
            VerifyingKey::Rsa(_) => kind == "RS",
            VerifyingKey::Dsa(_) => kind == "DS",
            VerifyingKey::P256(_) => false,
            VerifyingKey::Ed25519(_) => kind == "EdDSA",
            #[cfg(feature = "sm")]
            VerifyingKey::Sm2(_) => kind == "SM2",
        };
        let (kind, hash) = match self.algorithm.as_str() {
            "RS160" => ("RS", Hash::Sha1),
            "RS256" => ("RS", Hash::Sha256),
            "RS384" => ("RS", Hash::Sha384),
            "RS512" => ("RS", Hash::Sha512),
            "DS160" => ("DS", Hash::Sha1),
            "DS256" => ("DS", Hash::Sha256),
            "DS384" => ("DS", Hash::Sha384),
            "DS512" => ("DS", Hash::Sha512),
            "EdDSA" => ("EdDSA", Hash::Sha512),
            #[cfg(feature = "sm")]
            "SM2256" => ("SM2", Hash::Sm3),
            _ => return Err(unsupported()),
        };
        if !fits(kind) {
            return Err(CryptoError::key(
                "its kind is not the one that the signature names",
            ));
        }
        key.verify(
            hash,
            format!("{}.{payload}", self.protected).as_bytes(),
            &self.octets,
        )
    }
}

fn malformed(expected: &'static str) -> CryptoError {
    DecodeError::new("signature text", 0, Reason::Invalid(expected)).into()
}

fn decode(part: &str) -> Result<Vec<u8>, CryptoError> {
    let text = part.trim_end_matches('=');
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| malformed("must be made of base64url parts"))
}

//----------- Claims ---------------------------------------------------------

/// What the payload of a signature or certificate says.
///
/// A signed record has `digests`, a certificate has `public_key` and `perms`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claims {
    /// What the subject of a certificate may sign.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub perms: Option<Vec<Permission>>,
    /// Digests of the values of a record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digests: Option<Digests>,
    /// The certified key as JSON Web Key; see [`Claims::key`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_key: Option<serde_json::Value>,
    /// Where the certificates upward are: `index:handle` each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain: Option<Vec<String>>,
    /// Any text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Who signed: `index:handle`.
    pub iss: String,
    /// A signed record: the handle. A certificate: `index:handle` of the key.
    pub sub: String,
    /// Not valid from this moment on, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exp: Option<i64>,
    /// Not valid before this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// When it was signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iat: Option<i64>,
}

impl Claims {
    /// The certified key.
    pub fn key(&self) -> Result<PublicKey, CryptoError> {
        let jwk = self
            .public_key
            .as_ref()
            .ok_or(CryptoError::key("the claims have none"))?;
        json::key_from_json(jwk).map_err(|_| CryptoError::key("it is not a JSON Web Key"))
    }
}

/// What a certificate allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission {
    /// The handle that the permission is about; not needed for `everything`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
    /// `everything`, `thisHandle`, `derivedPrefixes`, `handlesUnderThisPrefix`.
    pub perm: String,
}

/// Digests of values by one algorithm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digests {
    /// Name of the hash function.
    pub alg: String,
    /// The digests.
    pub digests: Vec<ValueDigest>,
}

/// The digest of one value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueDigest {
    /// Index of the value.
    pub index: i32,
    /// The digest in standard base64.
    pub digest: String,
}

impl Digests {
    /// Digests of `values` by SHA-256.
    pub fn of<'a>(values: impl IntoIterator<Item = ValueRef<'a>>) -> Self {
        let digest = |value: ValueRef<'_>| ValueDigest {
            index: value.index,
            digest: STANDARD.encode(value_digest(Hash::Sha256, &value)),
        };
        let alg = Algorithm::Hash(Hash::Sha256).name().to_owned();
        Self {
            alg,
            digests: values.into_iter().map(digest).collect(),
        }
    }

    /// Whether these digests cover `value` and it is unchanged; `None` if they do not mention it.
    pub fn covers(&self, value: &ValueRef<'_>) -> Result<Option<bool>, CryptoError> {
        let Some(Algorithm::Hash(hash)) = Algorithm::parse(self.alg.as_bytes()) else {
            return Err(CryptoError::algorithm(&self.alg, "digests of values"));
        };
        let Some(signed) = self
            .digests
            .iter()
            .find(|digest| digest.index == value.index)
        else {
            return Ok(None);
        };
        let signed = STANDARD.decode(&signed.digest);
        let signed = signed.map_err(|_| malformed("must hold digests in base64"))?;
        Ok(Some(signed == value_digest(hash, value)))
    }
}

/// The digest of a value: over its encoding without index and timestamp.
pub fn value_digest(hash: Hash, value: &ValueRef<'_>) -> Vec<u8> {
    hash.digest(&[value.wire().get(UNSIGNED_LEN..).unwrap_or_default()])
}

/// Reads `index:handle`, the way in which claims name keys.
pub fn parse_identity(text: &str) -> Option<Reference> {
    let (index, handle) = text.split_once(':')?;
    Some(Reference {
        handle: handle.to_owned(),
        index: index.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_no_signature_is_refused_with_what_was_expected() {
        let long = "a".repeat(JWS_LEN_MAX + 1);
        for (text, expected) in [
            ("", "three parts"),
            ("a.b", "three parts"),
            ("a.b.c.d", "three parts"),
            ("e30.e30.e30", "header"),
            ("!.e30.e30", "base64url"),
            ("{}", "`payload`"),
            (long.as_str(), "the limit is"),
        ] {
            let error = Jws::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(Jws::parse(b"\xff").is_err());
    }

    #[test]
    fn algorithm_none_is_not_supported() {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        let jws = Jws::parse(format!("{header}.e30.").as_bytes()).unwrap();
        let zero = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let jwk = serde_json::json!({"kty": "OKP", "crv": "Ed25519", "x": zero});
        let key = json::key_from_json(&jwk).unwrap();
        assert!(matches!(
            jws.verify(&key),
            Err(CryptoError::Algorithm { .. })
        ));
    }

    #[test]
    fn identity_is_index_and_handle() {
        let identity = parse_identity("300:0.NA/20:5").unwrap();
        assert_eq!(
            (identity.index, identity.handle.as_str()),
            (300, "0.NA/20:5")
        );
        for bad in ["", "0.NA/20", "x:0.NA/20"] {
            assert_eq!(parse_identity(bad), None);
        }
    }
}
