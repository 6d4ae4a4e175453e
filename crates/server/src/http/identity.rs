//! Who asks, over HTTP: Basic, and the Handle scheme with its sessions (8.5), over HTTPS only; and
//! the tokens of logins (RFC 6750), or their cookie at the console address.
//!
//! Nothing is believed here. What the headers say is taken apart and goes with the request to
//! `core`, which fetches the key and checks it.

use std::str::FromStr;

use axum::http::header::{AUTHORIZATION, COOKIE, ORIGIN};
use axum::http::{HeaderName, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use guantong_core::admin::authenticate::{Claim, Proven};
use guantong_core::admin::web::WebId;
use guantong_core::admin::{Identity, Presented};
use guantong_proto::crypto::challenge::{KeyAnswer, PUBLIC_KEY, SECRET_KEY};
use guantong_proto::crypto::{Algorithm, Hash, VerifyingKey};
use guantong_proto::message::ResponseCode;
use guantong_proto::wire::Writer;

use super::answer::Failure;
use super::asked::Asked;
use crate::errand::locked;
use crate::limit::host_of;
use crate::listen::host;
use crate::listen::tls::ClientCertificate;
use crate::login::{self, LoginError};
use crate::node::Node;

/// Octets of a nonce of the client; ours have 16.
const CLIENT_NONCE_LEN_MAX: usize = 256;
/// Set by browsers: what kind of page has caused the request.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

//----------- Offered --------------------------------------------------------

/// What a request says about its sender.
#[derive(Debug)]
pub(super) struct Offered {
    pub(super) presented: Presented,
    /// The session in which it will be proven.
    pub(super) session: Option<WebId>,
}

/// Who has proven who he is with a request; in the extensions of the answer to a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct By(pub(super) Option<Identity>);

/// What the request says about its sender; `None` if it says nothing that could be checked.
pub(super) fn offered(node: &Node, asked: &Asked) -> Result<Option<Offered>, Failure> {
    let Some(header) = asked.header(AUTHORIZATION) else {
        // A node that is open to all on this machine is not open to every page in its browsers.
        refuse_foreign(asked)?;
        refuse_strange_name(node, asked)?;
        if let Some(token) = cookie(asked) {
            return session_of(node, token).map(Some);
        }
        return asked.shown.as_ref().map(certificate).transpose();
    };
    let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
    if scheme.eq_ignore_ascii_case("Bearer") {
        node.login_takes(&asked.peer)?;
        return session_of(node, rest.trim()).map(Some);
    }
    if !asked.peer.secure {
        let message = "credentials are taken over HTTPS only: over HTTP, others read them too";
        return Err(Failure::new(ResponseCode::AUTHENTICATION_NEEDED, message));
    }
    if scheme.eq_ignore_ascii_case("Basic") {
        refuse_foreign(asked)?;
        return basic(rest.trim()).map(Some);
    }
    if scheme.eq_ignore_ascii_case("Handle") {
        let fields = Fields::parse(rest);
        let by_certificate = fields.first("clientCert") == Some("true");
        if let (true, Some(shown)) = (by_certificate, &asked.shown) {
            refuse_foreign(asked)?;
            return certificate(shown).map(Some);
        }
        return handle(node, &fields);
    }
    Err(wrong(
        "the scheme of `Authorization` is none of Basic, Handle and Bearer",
    ))
}

/// A browser adds a password that it remembers to requests of any page. What such a request would
/// change is refused, unless the page is one of ours.
fn refuse_foreign(asked: &Asked) -> Result<(), Failure> {
    if asked.method.is_safe() {
        return Ok(());
    }
    let site = asked.header(FETCH_SITE);
    let is_foreign_site = site.is_some_and(|site| !matches!(site, "same-origin" | "none"));
    let own = asked.address_of("");
    let origin = asked.header(ORIGIN);
    let is_foreign_origin = origin.is_some_and(|origin| Some(origin) != own.as_deref());
    match is_foreign_site || is_foreign_origin {
        false => Ok(()),
        true => Err(Failure::new(
            ResponseCode::AUTHENTICATION_FAILED,
            "a page of another origin cannot change anything without a proof, nor with a password \
             that the browser remembers; use the Handle scheme",
        )),
    }
}

/// What is wrong with a native message that a page of another origin has sent, if the node is open
/// to all: browsers let every page send one, and here it would be carried out.
pub(super) fn check_native(node: &Node, asked: &Asked) -> Result<(), Failure> {
    match is_open(node) {
        true => refuse_foreign(asked).and_then(|()| refuse_strange_name(node, asked)),
        false => Ok(()),
    }
}

/// A page whose own name leads here (DNS rebinding) is of no other origin to its browser. Where
/// nobody has to prove anything, what it would change is refused by that name.
fn refuse_strange_name(node: &Node, asked: &Asked) -> Result<(), Failure> {
    let domain = node.config().site.domain.clone();
    let is_known = || host::is_trustworthy(asked.host(), domain.as_deref());
    match asked.method.is_safe() || !is_open(node) || is_known() {
        true => Ok(()),
        false => Err(Failure::new(
            ResponseCode::AUTHENTICATION_FAILED,
            "a node that is open to all is changed under an address of its own, or the name in \
             `site.domain`: a page of somebody else could have this one",
        )),
    }
}

fn is_open(node: &Node) -> bool {
    node.config()
        .administration
        .rules
        .anonymous_admin_full_access
}

fn wrong(message: &str) -> Failure {
    Failure::new(ResponseCode::INVALID_CREDENTIAL, message)
}

pub(super) fn identity(text: &str) -> Result<Identity, Failure> {
    let text = percent_encoding::percent_decode_str(text).decode_utf8();
    let text = text.map_err(|_| wrong("the identity is not UTF-8"))?;
    Identity::from_str(&text).map_err(|error| wrong(&format!("`{text}`: {error}")))
}

//----------- Bearer ---------------------------------------------------------

/// The token that the request carries, if it carries one: of the header, or of the cookie.
pub(super) fn token(asked: &Asked) -> Option<&str> {
    let Some(header) = asked.header(AUTHORIZATION) else {
        return cookie(asked);
    };
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}

/// The token in the cookie of the console. Elsewhere nobody sets one.
pub(super) fn cookie(asked: &Asked) -> Option<&str> {
    let header = asked.header(COOKIE).filter(|_| asked.peer.console)?;
    let mut pairs = header.split(';').filter_map(|pair| pair.split_once('='));
    let pair = pairs.find(|(name, _)| name.trim() == login::COOKIE);
    pair.map(|(_, token)| token.trim())
}

/// Whoever is logged in under a token.
fn session_of(node: &Node, token: &str) -> Result<Offered, Failure> {
    let proven = node.login_of(token).ok_or_else(|| {
        let message = "nobody is logged in under this token any more: log in again";
        Failure::new(ResponseCode::AUTHENTICATION_FAILED, message).of_proof()
    })?;
    Ok(Offered {
        presented: Presented::Session(proven),
        session: None,
    })
}

impl From<LoginError> for Failure {
    fn from(error: LoginError) -> Self {
        let message = error.to_string();
        match error {
            LoginError::Plain => Self::new(ResponseCode::AUTHENTICATION_NEEDED, message),
            LoginError::Failed(failed) => Self::new(failed.code(), message).of_proof(),
            LoginError::Wrong
            | LoginError::CodeNeeded
            | LoginError::TooSoon
            | LoginError::MustChange => {
                Self::new(ResponseCode::AUTHENTICATION_FAILED, message).of_proof()
            }
            LoginError::NoSetUp => {
                Self::new(ResponseCode::AUTHENTICATION_FAILED, message).with_status(403)
            }
            LoginError::Unfit(_) | LoginError::NoUser => {
                Self::new(ResponseCode::INVALID_VALUE, message)
            }
            LoginError::NotWritten(_) => Self::new(ResponseCode::ERROR, message),
            LoginError::Busy => Self::new(ResponseCode::SERVER_TOO_BUSY, message),
        }
    }
}

//----------- Basic ----------------------------------------------------------

/// User name: the percent-encoded `index:handle`; password: the secret key.
fn basic(encoded: &str) -> Result<Offered, Failure> {
    let malformed = || wrong("Basic needs base64 of `index%3Ahandle:secret`");
    let octets = STANDARD.decode(encoded).map_err(|_| malformed())?;
    let colon = octets
        .iter()
        .position(|octet| *octet == b':')
        .ok_or_else(malformed)?;
    let user = std::str::from_utf8(&octets[..colon]).map_err(|_| malformed())?;
    let Identity { handle, index } = identity(user)?;
    Ok(Offered {
        presented: Presented::Password {
            user: handle,
            index,
            secret: octets[colon + 1..].into(),
        },
        session: None,
    })
}

//----------- Client certificate ---------------------------------------------

/// Subject: `index:handle`; the key must be the public key there.
fn certificate(shown: &ClientCertificate) -> Result<Offered, Failure> {
    let (named, spki) = shown.read().map_err(|why| wrong(&why))?;
    let Identity { handle, index } = identity(&named)?;
    let key = VerifyingKey::from_spki(&spki);
    let key = key.map_err(|error| wrong(&format!("the key of the client certificate: {error}")))?;
    Ok(Offered {
        presented: Presented::Certificate {
            user: handle,
            index,
            key,
        },
        session: None,
    })
}

//----------- Handle ---------------------------------------------------------

/// An answer to the nonce of a session, or the session alone.
pub(super) fn handle(node: &Node, fields: &Fields) -> Result<Option<Offered>, Failure> {
    let Some(id) = fields.first("sessionId").and_then(read_id) else {
        return Ok(None);
    };
    let now_ms = node.uptime_ms();
    let session = locked(&node.errands.web).find(&id, now_ms).cloned();
    let Some(session) = session else {
        // An ended session gets a new one, with the 401.
        return Ok(None);
    };
    if fields.first("signature").is_none() {
        return Ok(session.proven.map(|proven| Offered {
            presented: Presented::Session(proven),
            session: Some(id),
        }));
    }
    let client_nonce = fields.octets("cnonce")?;
    if client_nonce.len() > CLIENT_NONCE_LEN_MAX {
        return Err(wrong("the cnonce has more than 256 octets"));
    }
    let Identity { handle, index } = identity(fields.first("id").unwrap_or_default())?;
    let kind = fields.first("type").unwrap_or_default().as_bytes();
    let signed = signed(kind, fields)?;
    let claim = Claim::new(kind, handle.as_str().as_bytes(), index, &signed);
    Ok(Some(Offered {
        presented: Presented::Answer {
            claim: claim.map_err(|failed| Failure::new(failed.code(), failed.to_string()))?,
            nonce: session.nonce,
            client_nonce: client_nonce.into(),
        },
        session: Some(id),
    }))
}

/// The proof in the form of a native answer to a challenge, which says the same (6.2).
pub(super) fn signed(kind: &[u8], fields: &Fields) -> Result<Vec<u8>, Failure> {
    let name = fields.first("alg").unwrap_or_default();
    let signature = fields.octets("signature")?;
    if kind == PUBLIC_KEY {
        let answer = KeyAnswer {
            algorithm: name.as_bytes(),
            signature: &signature,
        };
        return Ok(answer.encode());
    }
    if kind != SECRET_KEY {
        // `core` says which kinds there are.
        return Ok(Vec::new());
    }
    let name = match name {
        "PBKDF2WithHmacSHA1" => "PBKDF2-HMAC-SHA1",
        other => other,
    };
    let code = match Algorithm::parse(name.as_bytes()) {
        Some(Algorithm::Pbkdf2HmacSha1) => {
            let salt = fields.octets("salt")?;
            let (rounds, bits) = (fields.number("iterations")?, fields.number("length")?);
            return Ok(Writer::to_vec(|w| {
                w.u8(0x22);
                w.bytes(&salt);
                w.i32(rounds);
                w.i32(bits);
                w.bytes(&signature);
            }));
        }
        Some(Algorithm::HmacSha1) => 0x12,
        Some(Algorithm::HmacSha256) => 0x13,
        Some(Algorithm::Hash(Hash::Sha256)) => 3,
        Some(Algorithm::Hash(Hash::Sha1)) => 2,
        _ => return Err(wrong(&format!("alg `{name}` is not known for HS_SECKEY"))),
    };
    Ok([&[code], &signature[..]].concat())
}

//----------- Fields ---------------------------------------------------------

/// `name="value"` pairs of a header, or the fields of a JSON object.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads the parameters of a header. What is malformed is left out, and missed later.
    pub(super) fn parse(text: &str) -> Self {
        let mut fields = Vec::new();
        let mut rest = text.trim_start();
        while let Some((name, after)) = rest.split_once('=') {
            let after = after.trim_start();
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
                None => after.split_once(',').unwrap_or((after, "")),
            };
            fields.push((name.trim().to_owned(), value.trim().to_owned()));
            rest = after.trim_start_matches([',', ' ']);
        }
        Self(fields)
    }

    /// Takes the fields from the parameters of a request.
    pub(super) fn of_params(asked: &Asked) -> Self {
        let names = [
            "sessionId",
            "nonce",
            "cnonce",
            "id",
            "type",
            "alg",
            "signature",
            "salt",
            "iterations",
            "length",
        ];
        let fields = names.iter().filter_map(|name| {
            let value = asked.params.first(name)?;
            Some(((*name).to_owned(), value.to_owned()))
        });
        Self(fields.collect())
    }

    pub(super) fn first(&self, name: &str) -> Option<&str> {
        let field = self
            .0
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        field.map(|(_, value)| value.as_str())
    }

    pub(super) fn octets(&self, name: &str) -> Result<Vec<u8>, Failure> {
        let text = self.first(name).unwrap_or_default();
        let octets = STANDARD.decode(text);
        octets.map_err(|_| wrong(&format!("`{name}` is not base64")))
    }

    fn number(&self, name: &str) -> Result<i32, Failure> {
        let number = self.first(name).and_then(|text| text.parse().ok());
        number.ok_or_else(|| wrong(&format!("`{name}` is not a number")))
    }
}

//----------- Sessions -------------------------------------------------------

/// A new session and its nonce.
pub(super) fn begin(node: &Node, asked: &Asked) -> (WebId, [u8; 16]) {
    let (id, nonce) = (node.random(), node.random());
    let source = host_of(asked.peer.address.ip());
    locked(&node.errands.web).begin(id, nonce, source, node.uptime_ms());
    (id, nonce)
}

/// Notes who was proven in a session.
pub(super) fn prove(node: &Node, id: WebId, proven: Proven) {
    let now_ms = node.uptime_ms();
    if let Some(session) = locked(&node.errands.web).find(&id, now_ms) {
        session.proven = Some(proven);
    }
}

/// The header that offers the Handle scheme, with a new session.
pub(super) fn challenge(node: &Node, asked: &Asked, error: Option<&str>) -> Option<HeaderValue> {
    let (id, nonce) = begin(node, asked);
    let error = error.map(|text| {
        let plain: String = text
            .chars()
            .filter(|c| c.is_ascii_graphic() || *c == ' ')
            .collect();
        format!(", error=\"{}\"", plain.replace(['"', '\\'], "'"))
    });
    let text = format!(
        "Handle sessionId=\"{}\", nonce=\"{}\"{}",
        write_id(&id),
        STANDARD.encode(nonce),
        error.unwrap_or_default()
    );
    HeaderValue::from_str(&text).ok()
}

/// An id as it is written: 32 hexadecimal digits.
pub(super) fn write_id(id: &WebId) -> String {
    format!("{:032x}", u128::from_be_bytes(*id))
}

pub(super) fn read_id(text: &str) -> Option<WebId> {
    let is_hex = text.len() == 32 && text.bytes().all(|c| c.is_ascii_hexdigit());
    let id = u128::from_str_radix(text, 16).ok().filter(|_| is_hex)?;
    Some(id.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_with_and_without_quotes() {
        let fields = Fields::parse(r#"version="0", sessionId="ab", id="300:0.NA/a, b" ,x=1,y=2"#);
        let first = |name| fields.first(name).unwrap();
        assert_eq!(first("sessionid"), "ab");
        assert_eq!(first("id"), "300:0.NA/a, b");
        assert_eq!((first("x"), first("y")), ("1", "2"));
        for bad in ["", "=", "\"", "a=\"b", ",,,"] {
            let _ = Fields::parse(bad);
        }
    }

    #[test]
    fn ids_are_read_as_they_are_written() {
        let id = [7; 16];
        assert_eq!(read_id(&write_id(&id)), Some(id));
        assert_eq!(read_id(&write_id(&[0; 16])), Some([0; 16]));
        for bad in ["", "07", "+7070707070707070707070707070707"] {
            assert_eq!(read_id(bad), None, "{bad}");
        }
    }

    #[test]
    fn basic_takes_a_percent_encoded_identity() {
        let encoded = STANDARD.encode("301%3A0.NA%2F20.500.12345:pass:word");
        let Presented::Password {
            user,
            index,
            secret,
        } = basic(&encoded).unwrap().presented
        else {
            unreachable!()
        };
        assert_eq!((user.as_str(), index), ("0.NA/20.500.12345", 301));
        assert_eq!(*secret, *b"pass:word");
        for bad in [
            "",
            "%%",
            &STANDARD.encode("x"),
            &STANDARD.encode("0.NA/a:b"),
        ] {
            assert!(basic(bad).is_err(), "{bad}");
        }
    }
}
