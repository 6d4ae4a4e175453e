//! A request as the handlers see it: who asks, for what, with which parameters, and its body.

use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes, to_bytes};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method, header};
use guantong_proto::limits::{ENVELOPE_LEN, MESSAGE_LEN_MAX};
use guantong_proto::message::ResponseCode;

use super::answer::Failure;
use super::identity;
use super::native::is_native_type;
use super::page::{Lang, View};
use super::params::Params;
use super::snms;
use super::v1;
use crate::errand::locked;
use crate::listen::Peer;
use crate::listen::host::host_of;
use crate::listen::tls::ClientCertificate;
use crate::node::Node;

/// Longest `Host` that is shown on a page, in octets: a name of the DNS and a port.
const HOST_LEN_MAX: usize = 262;
/// Where batches are sent; their body is no list of parameters.
const BATCH_PATH: &str = "/api/batch";
/// Where templates and registrations are sent; likewise.
const V2_PATH: &str = "/api/v2/";

/// Where a body may be longer than fits into memory, and is left unread.
const IMPORT_PATH: &str = "/api/v2/jobs/import";

/// A body that is left to whoever answers.
#[derive(Clone, Debug, Default)]
pub(super) struct Unread(Arc<Mutex<Option<Body>>>);

impl Unread {
    /// The body; it is there once.
    pub(super) fn take(&self) -> Option<Body> {
        locked(&self.0).take()
    }
}

/// In the extensions of a request that a page of the console makes.
#[derive(Clone, Copy, Debug)]
pub(super) struct ByConsole;

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// The number of the request: on error pages, in the answer's headers, in the log.
    pub(super) id: String,
    pub(super) peer: Peer,
    /// Whether a page of the console asks, in the name of its viewer.
    pub(super) by_console: bool,
    /// The certificate that the client has shown.
    pub(super) shown: Option<ClientCertificate>,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) params: Params,
    /// The body as it came; empty unless the method was POST, PUT or PATCH,
    /// or DELETE where older clients send one.
    pub(super) body: Bytes,
    /// The body where it is not read beforehand.
    pub(super) unread: Unread,
    path: String,
    host: Option<String>,
}

impl Asked {
    /// Reads a request with its body. On failure, what is known of the request comes with it.
    pub(super) async fn read(
        node: &Node,
        parts: Parts,
        body: Body,
    ) -> Result<Self, (Self, Failure)> {
        let far_away = Peer {
            address: ([0, 0, 0, 0], 0).into(),
            secure: false,
            console: false,
        };
        let mut asked = Self {
            id: node.request_ids.next(),
            peer: parts.extensions.get().copied().unwrap_or(far_away),
            by_console: parts.extensions.get::<ByConsole>().is_some(),
            shown: parts.extensions.get().cloned(),
            host: host_of(&parts.uri, &parts.headers).map(str::to_owned),
            path: parts.uri.path().to_owned(),
            method: parts.method,
            headers: parts.headers,
            params: Params::default(),
            body: Bytes::new(),
            unread: Unread::default(),
        };
        let read = asked.read_rest(node, parts.uri.query().unwrap_or_default(), body);
        match read.await {
            Ok(()) => Ok(asked),
            Err(failure) => Err((asked, failure)),
        }
    }

    async fn read_rest(&mut self, node: &Node, query: &str, body: Body) -> Result<(), Failure> {
        self.params = Params::parse(query)?;
        // Clients of existing enterprise nodes send a body with GET.
        let is_compatible = v1::path(&self.path).is_some() || snms::owns(node, &self.path);
        let has_body = matches!(self.method, Method::POST | Method::PUT | Method::PATCH);
        if !has_body && !is_compatible {
            return Ok(());
        }
        if self.method == Method::POST && self.path == IMPORT_PATH {
            self.unread = Unread(Arc::new(Mutex::new(Some(body))));
            return Ok(());
        }
        let is_native =
            self.method == Method::POST && is_native_type(self.header(header::CONTENT_TYPE));
        let limit = match is_native {
            true => ENVELOPE_LEN + MESSAGE_LEN_MAX,
            false => node.config().http.json_body_max,
        };
        self.body = to_bytes(body, limit).await.map_err(|_| {
            let message = format!("the body was cut off, or is longer than {limit} octets");
            Failure::new(ResponseCode::PROTOCOL_ERROR, message).with_status(413)
        })?;
        // The body of a PUT is a record, except that of a session.
        let is_record = self.method == Method::PUT && !self.path.starts_with("/api/sessions");
        let is_own = is_compatible || self.path == BATCH_PATH || self.path.starts_with(V2_PATH);
        if is_native || is_record || is_own || self.body.is_empty() {
            return Ok(());
        }
        // Parameters may come in the body instead (8.2).
        let kind = self.header(header::CONTENT_TYPE).unwrap_or_default();
        match kind.split(';').next().unwrap_or_default().trim() {
            "application/json" => self.params.extend_from_json(&self.body)?,
            _ => match std::str::from_utf8(&self.body) {
                Ok(form) => self.params.extend_from_form(form)?,
                Err(_) => {
                    let message = "the body is neither a web form nor JSON";
                    return Err(Failure::new(ResponseCode::PROTOCOL_ERROR, message));
                }
            },
        }
        Ok(())
    }

    /// The path, still percent-encoded.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The name under which the client reached us, as it says.
    pub(super) fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// A header that is plain text.
    pub(super) fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether the client says who it is, by whatever means.
    pub(super) fn has_credential(&self) -> bool {
        let has_cookie = || identity::cookie(self).is_some();
        self.headers.contains_key(header::AUTHORIZATION) || self.shown.is_some() || has_cookie()
    }

    /// The same request from somebody who does not say who he is.
    pub(super) fn without_credential(&self) -> Self {
        let mut headers = self.headers.clone();
        headers.remove(header::AUTHORIZATION);
        headers.remove(header::COOKIE);
        Self {
            shown: None,
            headers,
            body: Bytes::new(),
            ..self.clone()
        }
    }

    /// Whether the body says that it is JSON.
    pub(super) fn is_json(&self) -> bool {
        let kind = self.header(header::CONTENT_TYPE).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/json")
    }

    /// The absolute address of `path` at this node, under the name that the client used.
    pub(super) fn address_of(&self, path: &str) -> Option<String> {
        let scheme = if self.peer.secure { "https" } else { "http" };
        let host = self.host().filter(|host| is_shown(host))?;
        Some(format!("{scheme}://{host}{path}"))
    }

    /// How a page is seen by this client.
    pub(super) fn view<'a>(&self, node: &'a str) -> View<'a> {
        let asked_lang = self.params.first("lang");
        let lang = Lang::choose(asked_lang, &self.headers);
        let switch = self.params.query_with("lang", lang.other().param());
        View {
            lang,
            keep_lang: asked_lang.is_some(),
            switch: format!("{}?{switch}", self.path),
            node,
            is_console: false,
        }
    }
}

/// Whether a host can stand in an address on a page.
fn is_shown(host: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    !host.is_empty() && host.len() <= HOST_LEN_MAX && host.chars().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_is_shown_if_it_can_stand_in_an_address() {
        assert!(is_shown("[2001:db8::7]:8000") && is_shown("node-7.example.org"));
        assert!(!is_shown("") && !is_shown("a b") && !is_shown("a/b") && !is_shown("a@b"));
        let long = "x".repeat(HOST_LEN_MAX + 1);
        assert!(is_shown(&long[1..]) && !is_shown(&long));
    }
}
