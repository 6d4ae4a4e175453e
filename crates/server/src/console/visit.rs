//! One request to the console: who looks, how, and what he asks of the node's API.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{COOKIE, HOST, HeaderValue, LOCATION, ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use ring::digest;
use serde_json::Value as Json;

use super::scan::FRAME_LEN_MAX;
use crate::http::Params;
use crate::http::inside::{self, Call, Given};
use crate::http::page::Lang;
use crate::http::path::{in_path, in_query};
use crate::listen::Peer;
use crate::login;
use crate::node::Node;

/// Octets of a form. A template with every field that it may have takes less.
const FORM_LEN_MAX: usize = 1024 * 1024;
/// Octets of a file that is uploaded for import.
pub(super) const UPLOAD_LEN_MAX: usize = 16 * 1024 * 1024;
/// Index of a value that is never written, to find out whether it could be.
const PROBE_INDEX: i32 = 2_147_000_000;
/// The cookie of the language that was chosen.
pub(super) const LANG: &str = "gt_lang";
/// The cookie of the theme that was chosen.
pub(super) const THEME: &str = "gt_theme";
/// The field of forms that shows that one of our pages made them.
pub(super) const TOKEN: &str = "token";
/// Set by browsers: what kind of page has caused the request.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

//----------- Viewer ---------------------------------------------------------

/// Who looks.
#[derive(Clone, Debug)]
pub(super) struct Viewer {
    /// `index:handle`.
    pub(super) identity: String,
    /// His roles under the prefix of his own handle.
    pub(super) roles: Vec<String>,
    credential: HeaderValue,
}

impl Viewer {
    /// Who is logged in under a token.
    async fn of(node: &Arc<Node>, token: &str, address: SocketAddr) -> Option<Self> {
        let credential = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
        let call = Call {
            method: Method::GET,
            target: "/api/v2/login",
            peer: address,
            credential: Some(&credential),
            kind: "",
            body: Vec::new(),
        };
        let told = told(inside::ask(node, call).await).ok()?;
        let roles = told.json["roles"].as_array().map_or(&[][..], Vec::as_slice);
        let roles = roles.iter().filter_map(Json::as_str).map(str::to_owned);
        Some(Self {
            identity: told.json["identity"].as_str()?.to_owned(),
            roles: roles.collect(),
            credential,
        })
    }

    /// The handle of the identity.
    pub(super) fn handle(&self) -> &str {
        let split = self.identity.split_once(':');
        split.map_or(self.identity.as_str(), |(_, handle)| handle)
    }
}

/// Light, dark, or as the system has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Theme {
    System,
    Light,
    Dark,
}

impl Theme {
    pub(super) fn of(name: Option<&str>) -> Self {
        match name {
            Some("light") => Self::Light,
            Some("dark") => Self::Dark,
            _ => Self::System,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The one that the switch leads to.
    pub(super) fn next(self) -> Self {
        match self {
            Self::System => Self::Light,
            Self::Light => Self::Dark,
            Self::Dark => Self::System,
        }
    }
}

//----------- Visit ----------------------------------------------------------

/// A request, taken apart.
#[derive(Debug)]
pub(super) struct Visit<'a> {
    pub(super) node: &'a Arc<Node>,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Params,
    pub(super) form: Params,
    /// A body that is no form.
    pub(super) body: Bytes,
    pub(super) lang: Lang,
    pub(super) theme: Theme,
    pub(super) viewer: Option<Viewer>,
    pub(super) peer: SocketAddr,
    /// The token of the session, whether it still holds or not.
    pub(super) session: Option<String>,
    may_sign_in: bool,
}

impl<'a> Visit<'a> {
    /// Takes a request apart. One that would change something must come from a page of ours.
    pub(super) async fn of(node: &'a Arc<Node>, request: Request<Body>) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let peer = parts.extensions.get::<Peer>();
        let address = peer.map_or(([0, 0, 0, 0], 0).into(), |peer| peer.address);
        let may_sign_in = peer.is_some_and(|peer| node.login_takes(peer).is_ok());
        let headers = &parts.headers;
        let session = cookie(headers, login::COOKIE).map(str::to_owned);
        let viewer = match session.as_deref() {
            Some(token) => Viewer::of(node, token, address).await,
            None => None,
        };
        let query = Params::parse(parts.uri.query().unwrap_or_default());
        let mut visit = Self {
            node,
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            query: query.map_err(|_| refuse(StatusCode::BAD_REQUEST, "too many parameters"))?,
            form: Params::default(),
            body: Bytes::new(),
            lang: Lang::choose(cookie(headers, LANG), headers),
            theme: Theme::of(cookie(headers, THEME)),
            viewer,
            peer: address,
            session,
            may_sign_in,
        };
        match parts.method {
            Method::GET | Method::HEAD => {}
            Method::POST => visit.read_form(headers, body).await?,
            _ => return Err(refuse(StatusCode::METHOD_NOT_ALLOWED, "GET and POST only")),
        }
        Ok(visit)
    }

    async fn read_form(&mut self, headers: &HeaderMap, body: Body) -> Result<(), Response> {
        if !is_own_page(headers) {
            let message = "this form was not sent by a page of this node; nothing was changed";
            return Err(refuse(StatusCode::FORBIDDEN, message));
        }
        let kind = header(headers, axum::http::header::CONTENT_TYPE).unwrap_or_default();
        let is_form = kind.starts_with("application/x-www-form-urlencoded");
        let limit = match self.path.as_str() {
            _ if is_form => FORM_LEN_MAX,
            "/scan" => FRAME_LEN_MAX,
            _ => UPLOAD_LEN_MAX,
        };
        let body = to_bytes(body, limit).await.map_err(|_| {
            let message = format!("what was sent is cut off, or longer than {limit} octets");
            refuse(StatusCode::PAYLOAD_TOO_LARGE, &message)
        })?;
        if is_form {
            let text = std::str::from_utf8(&body).unwrap_or_default();
            let form = Params::parse(text);
            self.form =
                form.map_err(|_| refuse(StatusCode::BAD_REQUEST, "the form has too many fields"))?;
        } else {
            self.body = body;
        }
        let token = self.form.first(TOKEN).or_else(|| self.query.first(TOKEN));
        match self.viewer.is_none() || token == Some(&self.token()) {
            true => Ok(()),
            false => {
                let message =
                    "the form is older than your session; go back and load the page again";
                Err(refuse(StatusCode::FORBIDDEN, message))
            }
        }
    }

    /// What forms of this session carry. It is made of the cookie, which no page of others can
    /// read, and tells nothing about it.
    pub(super) fn token(&self) -> String {
        let session = self.session.as_deref().unwrap_or_default();
        let text = format!("console form {session}");
        let digest = digest::digest(&digest::SHA256, text.as_bytes());
        digest.as_ref()[..16]
            .iter()
            .map(|octet| format!("{octet:02x}"))
            .collect()
    }

    /// Whether a password may be sent from where the viewer is: not in clear over a network.
    pub(super) fn may_sign_in(&self) -> bool {
        self.may_sign_in
    }

    /// A parameter of the query, without the spaces around it; none if it is empty.
    pub(super) fn asked(&self, name: &str) -> Option<&str> {
        let value = self.query.first(name).map(str::trim);
        value.filter(|value| !value.is_empty())
    }

    /// A field of the form, likewise.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let value = self.form.first(name).map(str::trim);
        value.filter(|value| !value.is_empty())
    }

    /// Path and query, to come back to.
    pub(super) fn here(&self) -> String {
        let query = self.query.query();
        match query.is_empty() {
            true => self.path.clone(),
            false => format!("{}?{query}", self.path),
        }
    }
}

fn header(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let pairs = header(headers, COOKIE)?.split(';');
    let mut pairs = pairs.filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value)
}

/// Whether a request that changes something was sent by a page of this address. Every browser of
/// the last years says at least one of both; whoever says neither is no browser, and has no cookie
/// that a page could misuse.
fn is_own_page(headers: &HeaderMap) -> bool {
    let site =
        header(headers, FETCH_SITE).is_none_or(|site| matches!(site, "same-origin" | "none"));
    let host = header(headers, HOST).unwrap_or_default();
    let origin = header(headers, ORIGIN).is_none_or(|origin| {
        let rest = origin.strip_prefix("http://");
        let rest = rest.or_else(|| origin.strip_prefix("https://"));
        rest.is_some_and(|rest| rest.eq_ignore_ascii_case(host))
    });
    site && origin
}

fn refuse(status: StatusCode, message: &str) -> Response {
    (status, format!("{message}\n")).into_response()
}

//----------- Redirects ------------------------------------------------------

/// Leads on to another page after a form.
pub(super) fn lead(to: &str) -> Response {
    let place = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(LOCATION, place)]).into_response()
}

/// Leads on, and has the browser remember something. An empty value forgets it.
pub(super) fn lead_with_cookie(to: &str, name: &str, value: &str, attributes: &str) -> Response {
    let mut response = lead(to);
    let age = if value.is_empty() { "; Max-Age=0" } else { "" };
    let cookie = format!("{name}={value}; Path=/; {attributes}{age}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// A place of this console, whatever was asked for.
pub(super) fn own_place(asked: Option<&str>) -> &str {
    let is_own = |place: &&str| {
        place.starts_with('/')
            && !place.starts_with("//")
            // Browsers leave out what controls: `/<tab>/elsewhere` is `//elsewhere` to them.
            && !place.contains(|c: char| c == '\\' || c.is_control())
    };
    asked.filter(is_own).unwrap_or("/")
}

/// `path?name=value`.
pub(super) fn place(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut place = path.to_owned();
    for (n, (name, value)) in pairs.iter().enumerate() {
        let mark = if n == 0 { '?' } else { '&' };
        place.push_str(&format!("{mark}{name}={}", in_query(value)));
    }
    place
}

//----------- Asking the API -------------------------------------------------

/// What the API answered.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) json: Json,
    /// The same as it came.
    pub(super) octets: Bytes,
}

/// Why the API did not do what it was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) status: u16,
    pub(super) message: String,
    /// What is wrong with each field.
    pub(super) fields: Vec<(String, String)>,
}

impl Trouble {
    /// What went wrong before the API was asked.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            status: 422,
            message: message.into(),
            fields: Vec::new(),
        }
    }

    /// What is wrong with this field.
    pub(super) fn of(&self, field: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(name, _)| name == field);
        found.map(|(_, message)| message.as_str())
    }
}

/// Requests to the API in the viewer's name.
impl Visit<'_> {
    /// Reads something.
    pub(super) async fn get(&self, target: &str) -> Result<Told, Trouble> {
        self.call(Method::GET, target, "", Vec::new()).await
    }

    /// Changes something.
    pub(super) async fn send(
        &self,
        method: Method,
        target: &str,
        json: &Json,
    ) -> Result<Told, Trouble> {
        let body = json.to_string().into_bytes();
        self.call(method, target, "application/json", body).await
    }

    /// Sends octets of some media type.
    pub(super) async fn send_octets(
        &self,
        target: &str,
        kind: &'static str,
        octets: Vec<u8>,
    ) -> Result<Told, Trouble> {
        self.call(Method::POST, target, kind, octets).await
    }

    /// Writes JSON that is text already.
    pub(super) async fn put_octets(&self, target: &str, json: Vec<u8>) -> Result<Told, Trouble> {
        self.call(Method::PUT, target, "application/json", json)
            .await
    }

    /// Whether the viewer may list the handles of a prefix by who he is: to be on this machine is
    /// not enough.
    pub(super) async fn may_list(&self, prefix: &str) -> bool {
        let target = format!("/api/handles?prefix={}&page=0&pageSize=0", in_query(prefix));
        self.viewer.is_some() && self.probe(Method::GET, &target, Vec::new()).await
    }

    /// Whether he may change the record of a prefix. Nothing is changed.
    pub(super) async fn administers(&self, prefix: &str) -> bool {
        let target = of_record(&format!("0.NA/{prefix}"));
        let target = format!("{target}?index=various&overwrite=true&dryRun");
        let value = serde_json::json!([{"index": PROBE_INDEX, "type": "PROBE", "data": "-"}]);
        let body = value.to_string().into_bytes();
        self.viewer.is_some() && self.probe(Method::PUT, &target, body).await
    }

    /// Whether the API does this for somebody far away with the viewer's credential.
    async fn probe(&self, method: Method, target: &str, body: Vec<u8>) -> bool {
        self.call_from_afar(method, target, body).await.is_ok()
    }

    /// Reads something as somebody far away with the viewer's credential may.
    pub(super) async fn get_from_afar(&self, target: &str) -> Result<Told, Trouble> {
        self.call_from_afar(Method::GET, target, Vec::new()).await
    }

    async fn call_from_afar(
        &self,
        method: Method,
        target: &str,
        body: Vec<u8>,
    ) -> Result<Told, Trouble> {
        let call = Call {
            method,
            target,
            peer: ([0, 0, 0, 0], 0).into(),
            credential: self.viewer.as_ref().map(|viewer| &viewer.credential),
            kind: "application/json",
            body,
        };
        told(inside::ask(self.node, call).await)
    }

    async fn call(
        &self,
        method: Method,
        target: &str,
        kind: &'static str,
        body: Vec<u8>,
    ) -> Result<Told, Trouble> {
        let credential = self.viewer.as_ref().map(|viewer| &viewer.credential);
        let call = Call {
            method,
            target,
            peer: self.peer,
            credential,
            kind,
            body,
        };
        told(inside::ask(self.node, call).await)
    }
}

fn told(given: Given) -> Result<Told, Trouble> {
    let json: Json = serde_json::from_slice(&given.octets).unwrap_or_default();
    if (200..300).contains(&given.status) {
        return Ok(Told {
            json,
            octets: given.octets,
        });
    }
    let text = |json: &Json, name: &str| json[name].as_str().map(str::to_owned);
    let message = text(&json, "detail").or_else(|| text(&json, "message"));
    let errors = json["errors"].as_array().map_or(&[][..], Vec::as_slice);
    let fields = errors.iter().filter_map(|error| {
        let field = text(error, "field").or_else(|| text(error, "name"))?;
        Some((field, text(error, "message").unwrap_or_default()))
    });
    Err(Trouble {
        status: given.status,
        message: message.unwrap_or_else(|| given.status.to_string()),
        fields: fields.collect(),
    })
}

/// The place of a record in the JSON API.
pub(super) fn of_record(handle: &str) -> String {
    format!("/api/handles/{}", in_path(handle))
}

/// The place of a template.
pub(super) fn of_template(handle: &str) -> String {
    format!("/api/v2/templates/{}", in_path(handle))
}

/// The place of the grants of a record.
pub(super) fn of_grants(handle: &str) -> String {
    format!("/api/v2/grants/{}", in_path(handle))
}

/// The place of an identity.
pub(super) fn of_identity(handle: &str) -> String {
    format!("/api/v2/identities/{}", in_path(handle))
}

/// The place of a group.
pub(super) fn of_group(handle: &str) -> String {
    format!("/api/v2/groups/{}", in_path(handle))
}

/// The place of an application of an enterprise.
pub(super) fn of_enterprise(handle: &str) -> String {
    format!("/api/v2/enterprises/{}", in_path(handle))
}

/// The place of a registration.
pub(super) fn of_registration(handle: &str) -> String {
    format!("/api/v2/registrations/{}", in_path(handle))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_places_of_this_console_are_come_back_to() {
        for bad in [
            "",
            "x",
            "//evil.example",
            "https://evil.example",
            "/\\evil",
            "/a\nb",
            "/\t/evil.example",
            "/\u{85}/evil.example",
        ] {
            assert_eq!(own_place(Some(bad)), "/", "{bad}");
        }
        assert_eq!(own_place(Some("/record?handle=1/x")), "/record?handle=1/x");
    }

    #[test]
    fn forms_of_other_origins_are_told_apart() {
        let is_own = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs.iter().map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            });
            is_own_page(&pairs.collect())
        };
        assert!(is_own(&[
            ("host", "a:1"),
            ("origin", "http://a:1"),
            ("sec-fetch-site", "same-origin")
        ]));
        assert!(is_own(&[("host", "a:1")]));
        assert!(!is_own(&[("host", "a:1"), ("origin", "http://b:1")]));
        assert!(!is_own(&[("host", "a:1"), ("origin", "null")]));
        assert!(!is_own(&[("host", "a:1"), ("origin", "http://a:2")]));
        assert!(!is_own(&[
            ("host", "a:1"),
            ("sec-fetch-site", "cross-site")
        ]));
        assert!(!is_own(&[("host", "a:1"), ("sec-fetch-site", "same-site")]));
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_static("xgt_lang=a; gt_lang=zh; gt_lang2=b");
        headers.insert(COOKIE, value);
        assert_eq!(cookie(&headers, LANG), Some("zh"));
        assert_eq!(cookie(&headers, "gt"), None);
    }

    #[test]
    fn places_escape_what_would_end_a_parameter() {
        let made = place("/record", &[("handle", "1/a&b=c#d"), ("x", "中")]);
        assert_eq!(made, "/record?handle=1/a%26b%3Dc%23d&x=%E4%B8%AD");
    }

    #[test]
    fn a_problem_names_its_fields() {
        let given = Given {
            status: 422,
            octets: Bytes::from_static(
                br#"{"detail":"no","errors":[{"field":"serial","message":"too short"}]}"#,
            ),
        };
        let trouble = told(given).unwrap_err();
        assert_eq!(trouble.of("serial"), Some("too short"));
        assert_eq!((trouble.status, trouble.message.as_str()), (422, "no"));
    }
}
