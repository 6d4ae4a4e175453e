//! Keys as JSON Web Keys: RSA, DSA and SM2 as Handle software writes them; P-256 and Ed25519 too,
//! which a record holds as PEM text.

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use pkcs8::der::pem::{self, LineEnding};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::json;

use crate::crypto::VerifyingKey;
use crate::crypto::signature::{ED25519_SPKI, P256_SPKI};
use crate::data::PublicKey;
use crate::data::key::{DsaPublicKey, Number, RsaPublicKey};

use super::read::{JsonError, Node};

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
/// Standard alphabet, with or without padding.
pub(super) const LENIENT_STANDARD: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
/// URL alphabet, with or without padding.
const LENIENT_URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

//----------- Jwk ------------------------------------------------------------

/// Writes a key for which [`is_exact`] holds.
pub(super) struct Jwk<'a>(pub(super) &'a PublicKey);

/// Whether the JSON form gives back the same octets.
pub(super) fn is_exact(key: &PublicKey) -> bool {
    matches!(
        key,
        PublicKey::Rsa(_) | PublicKey::Dsa(_) | PublicKey::Sm2(_)
    )
}

impl Serialize for Jwk<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (kind, fields): (_, Vec<(&str, &[u8])>) = match self.0 {
            PublicKey::Rsa(key) => (
                "RSA",
                vec![
                    ("n", key.modulus.as_bytes()),
                    ("e", key.exponent.as_bytes()),
                ],
            ),
            PublicKey::Dsa(key) => (
                "DSA",
                vec![
                    ("y", key.y.as_bytes()),
                    ("p", key.p.as_bytes()),
                    ("q", key.q.as_bytes()),
                    ("g", key.g.as_bytes()),
                ],
            ),
            PublicKey::Sm2(spki) => ("SM2", vec![("d", spki)]),
            _ => {
                return Err(serde::ser::Error::custom(
                    "this kind of key has no JSON form",
                ));
            }
        };
        let mut map = serializer.serialize_map(Some(fields.len() + 1))?;
        map.serialize_entry("kty", kind)?;
        for (name, octets) in fields {
            map.serialize_entry(name, &URL_SAFE_NO_PAD.encode(octets))?;
        }
        map.end()
    }
}

/// A public key as JSON Web Key, if that gives back the same octets; `None` otherwise.
pub fn key_to_json(key: &PublicKey) -> Option<serde_json::Value> {
    is_exact(key).then(|| serde_json::to_value(Jwk(key)).ok())?
}

/// A public key as JSON Web Key, whatever form the record holds it in; `None` if keys of its kind
/// have no such form.
///
/// RSA, DSA and SM2 as Handle software writes them; P-256 and Ed25519 as RFC 7518 and RFC 8037 say.
pub fn key_to_jwk(key: &PublicKey) -> Option<serde_json::Value> {
    let encoded = |octets: &[u8]| URL_SAFE_NO_PAD.encode(octets);
    match VerifyingKey::new(key).ok()? {
        VerifyingKey::Rsa(key) => key_to_json(&PublicKey::Rsa(key)),
        VerifyingKey::Dsa(key) => key_to_json(&PublicKey::Dsa(key)),
        VerifyingKey::P256(point) => {
            let (x, y) = point.get(1..65)?.split_at(32);
            Some(json!({"kty": "EC", "crv": "P-256", "x": encoded(x), "y": encoded(y)}))
        }
        VerifyingKey::Ed25519(key) => {
            Some(json!({"kty": "OKP", "crv": "Ed25519", "x": encoded(&key)}))
        }
        #[cfg(feature = "sm")]
        VerifyingKey::Sm2(_) => key_to_json(&PublicKey::Sm2(key.spki()?.into())),
    }
}

/// Reads a JSON Web Key.
pub fn key_from_json(json: &serde_json::Value) -> Result<PublicKey, JsonError> {
    read(&Node::root(json))
}

//----------- Reading --------------------------------------------------------

pub(super) fn read(node: &Node<'_>) -> Result<PublicKey, JsonError> {
    const KINDS: &str = "one of \"RSA\", \"DSA\", \"SM2\", \"EC\", \"OKP\"";
    node.object("a JSON Web Key `{\"kty\":…}`")?;
    let kind = node.required("kty", KINDS)?;
    let number = |name| octets(node, name).map(|octets| Number::new(&octets));
    match kind.text(KINDS)? {
        "RSA" => {
            let (modulus, exponent) = (number("n")?, number("e")?);
            Ok(PublicKey::Rsa(RsaPublicKey { exponent, modulus }))
        }
        "DSA" => {
            let (y, p, q, g) = (number("y")?, number("p")?, number("q")?, number("g")?);
            Ok(PublicKey::Dsa(DsaPublicKey { q, p, g, y }))
        }
        "SM2" => octets(node, "d").map(PublicKey::Sm2),
        "EC" => read_curve(node, "P-256", &["x", "y"], &[&P256_SPKI[..], &[4]].concat()),
        "OKP" => read_curve(node, "Ed25519", &["x"], &ED25519_SPKI),
        _ => Err(kind.expected(KINDS)),
    }
}

/// A key of 32-octet coordinates, turned into PEM text.
fn read_curve(
    node: &Node<'_>,
    curve: &str,
    coordinates: &[&'static str],
    spki_start: &[u8],
) -> Result<PublicKey, JsonError> {
    let expected = format!("\"{curve}\", the only curve of this kind of key that is known");
    let crv = node.required("crv", &expected)?;
    if crv.text(&expected)? != curve {
        return Err(crv.expected(expected));
    }
    let mut spki = spki_start.to_vec();
    for &name in coordinates {
        let coordinate = octets(node, name)?;
        if coordinate.len() != 32 {
            let field = node.required(name, "32 octets")?;
            return Err(field.expected("32 octets in base64url"));
        }
        spki.extend(coordinate);
    }
    let text = pem::encode_string("PUBLIC KEY", LineEnding::LF, &spki);
    text.map(PublicKey::Pem)
        .map_err(|_| node.expected("a key that fits PEM text"))
}

fn octets(node: &Node<'_>, name: &'static str) -> Result<Vec<u8>, JsonError> {
    let field = node.required(name, "a number in base64url")?;
    let octets = LENIENT_URL.decode(field.text("a number in base64url")?);
    octets.map_err(|error| field.expected(format!("a number in base64url ({error})")))
}
