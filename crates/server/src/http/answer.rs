//! The forms of answers: JSON, scripts that call back, pages, and failures in each of them.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY, VARY,
    WWW_AUTHENTICATE,
};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use guantong_api::handles::ErrorAnswer;
use guantong_api::v2::{FieldProblem, Problem};
use guantong_core::authority::{HttpOperation, Outcome, http_status};
use guantong_proto::NameError;
use guantong_proto::data::StateData;
use guantong_proto::json::StateForm;
use guantong_proto::message::ResponseCode;
use guantong_store::StoreError;
use maud::Markup;
use serde::Serialize;

use super::asked::Asked;
use super::page::{self, ErrorPage, Tombstone};
use super::params::ParamError;
use crate::node::Node;
use crate::recurse::Source;

/// Set by scripts that do not want the browser to ask for a password.
const REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");
/// What caches on the way did with a request (RFC 9211).
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

//----------- JSON and pages -------------------------------------------------

/// `form` as JSON, indented or as a script if the parameters say so.
pub(super) fn json(asked: &Asked, status: StatusCode, form: &impl Serialize) -> Response {
    let text = match asked.params.is_set("pretty") {
        true => serde_json::to_string_pretty(form),
        false => serde_json::to_string(form),
    };
    let text = match text {
        Ok(text) => text,
        Err(error) => {
            let request_id = &asked.id;
            tracing::error!(request_id, %error, "an answer could not be written as JSON");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    // A script has to run to be of use, and browsers run no script of a failed request.
    match asked.params.callback() {
        Ok(Some(function)) => {
            let script = format!("{function}({text});");
            typed(
                StatusCode::OK,
                "application/javascript;charset=UTF-8",
                script,
            )
        }
        _ => typed(status, "application/json;charset=UTF-8", text),
    }
}

/// A page with the headers that keep it harmless.
pub(super) fn page(status: StatusCode, markup: Markup) -> Response {
    let mut response = typed(status, "text/html;charset=UTF-8", markup.into_string());
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(page::SECURITY_POLICY),
    );
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(VARY, HeaderValue::from_static("Accept-Language"));
    response
}

/// Text of some media type that caches ask for again.
pub(super) fn typed(status: StatusCode, media_type: &'static str, text: String) -> Response {
    let headers = [(CONTENT_TYPE, media_type), (CACHE_CONTROL, "no-cache")];
    (status, headers, text).into_response()
}

/// The same answer, saying whether a cache of ours gave it (RFC 9211).
pub(super) fn with_source(mut response: Response, source: Source) -> Response {
    let status = match source {
        Source::Ours => return response,
        Source::Network => "guantong; fwd=miss".to_owned(),
        Source::Cache { left_secs, .. } => match left_secs {
            Some(left) => format!("guantong; hit; ttl={left}"),
            None => "guantong; hit".to_owned(),
        },
        // A time to live below 0 is how a stale answer is told.
        Source::Stale { overdue_secs, .. } => {
            format!("guantong; hit; ttl=-{}", overdue_secs.unwrap_or(0).max(1))
        }
    };
    if let Ok(status) = HeaderValue::from_str(&status) {
        response.headers_mut().insert(CACHE_STATUS, status);
    }
    response
}

//----------- Failure --------------------------------------------------------

/// Why a request is not answered with what it asked for.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    code: ResponseCode,
    message: String,
    handle: Option<String>,
    status: Option<u16>,
    is_inactive: bool,
    withdrawn: Option<Box<StateData>>,
    /// When the record was removed, in seconds since 1970.
    removed_secs: Option<i64>,
}

impl Failure {
    /// A failure with the status that belongs to its code.
    pub(super) fn new(code: ResponseCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            handle: None,
            status: None,
            is_inactive: false,
            withdrawn: None,
            removed_secs: None,
        }
    }

    /// How a resolution failed.
    pub(super) fn of_outcome<V>(outcome: &Outcome<V>, handle: &str) -> Self {
        let mut failure = Self::new(outcome.code(), outcome.message()).about(handle);
        if let Outcome::Withdrawn(data) = outcome {
            failure.withdrawn = Some(data.clone());
        }
        match outcome.own_status() {
            Some(status) => failure.with_status(status),
            None => failure,
        }
    }

    /// The same about a handle.
    pub(super) fn about(mut self, handle: &str) -> Self {
        self.handle = Some(handle.to_owned());
        self
    }

    /// The same with a status that the code does not say.
    pub(super) fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// There was such a record until it was removed then, in seconds since 1970.
    pub(super) fn removed(handle: &str, at_secs: i64) -> Self {
        let failure = Self::of_outcome(&Outcome::<()>::NotFound, handle);
        Self {
            removed_secs: Some(at_secs),
            ..failure.with_status(410)
        }
    }

    /// The namespace of the handle is switched off; the message is what its record says.
    pub(super) fn inactive(handle: &str, message: impl Into<String>) -> Self {
        Self {
            is_inactive: true,
            ..Self::new(ResponseCode::HANDLE_NOT_FOUND, message).about(handle)
        }
    }

    /// A proof was wrong: the client may try another one, so this is a 401 (8.5).
    pub(super) fn of_proof(self) -> Self {
        match self.code {
            ResponseCode::AUTHENTICATION_FAILED => self.with_status(401),
            _ => self,
        }
    }

    /// Whether it is that there is no such record.
    pub(super) fn is_not_found(&self) -> bool {
        self.code == ResponseCode::HANDLE_NOT_FOUND
    }

    /// What was wrong with a proof.
    pub(super) fn proof_error(&self) -> Option<&str> {
        (self.code == ResponseCode::AUTHENTICATION_FAILED).then_some(self.message.as_str())
    }

    pub(super) fn code(&self) -> ResponseCode {
        self.code
    }

    /// What went wrong and what to do about it.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    pub(super) fn status(&self, asked: &Asked) -> StatusCode {
        let operation = HttpOperation::Resolve;
        let of_code = || http_status(self.code, operation, asked.peer.secure);
        let status = self.status.unwrap_or_else(of_code);
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn log(&self, asked: &Asked, status: StatusCode) {
        if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED {
            let handle = self.handle.as_deref().unwrap_or_default();
            let message = &self.message;
            let (request_id, code) = (&asked.id, self.code);
            tracing::warn!(request_id, handle, %code, message, "not answered");
        }
    }

    /// The failure for programs.
    pub(super) fn into_json(self, asked: &Asked) -> Response {
        let status = self.status(asked);
        self.log(asked, status);
        let name = self.code.name().unwrap_or("this did not work");
        let form = ErrorAnswer {
            response_code: self.code.0,
            message: match self.message.is_empty() {
                true => name,
                false => &self.message,
            },
            handle: self.handle.as_deref(),
            state: self.withdrawn.as_deref().map(StateForm::from),
            request_id: &asked.id,
        };
        let response = json(asked, status, &form);
        with_challenge(asked, status, response)
    }

    /// The failure for programs, as RFC 9457 has it, with what was wrong with each field.
    pub(super) fn into_problem(self, asked: &Asked, errors: Vec<FieldProblem>) -> Response {
        let status = self.status(asked);
        self.log(asked, status);
        let name = self.code.name().unwrap_or("this did not work");
        let form = Problem {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Failed"),
            status: status.as_u16(),
            detail: match self.message.is_empty() {
                true => name,
                false => &self.message,
            },
            handle: self.handle.as_deref(),
            request_id: &asked.id,
            errors,
        };
        // A form of texts and numbers is always written.
        let text = serde_json::to_string(&form).unwrap_or_default();
        let response = typed(status, "application/problem+json", text);
        with_challenge(asked, status, response)
    }

    /// The failure for people.
    pub(super) fn into_page(self, asked: &Asked, node: &Node) -> Response {
        let status = self.status(asked);
        self.log(asked, status);
        let config = node.config();
        let view = asked.view(&config.name);
        if let (Some(data), Some(handle)) = (&self.withdrawn, &self.handle) {
            let tombstone = Tombstone {
                handle,
                reason: data.reason(),
                successor: data.successor(),
                since_secs: data.since_secs(),
            };
            return page(status, page::tombstone(&tombstone, &view));
        }
        if let (Some(at_secs), Some(handle)) = (self.removed_secs, &self.handle) {
            return page(status, page::removed(handle, at_secs, &view));
        }
        let error = ErrorPage {
            code: self.code,
            status: status.as_u16(),
            handle: self.handle.as_deref(),
            message: &self.message,
            is_inactive: self.is_inactive,
            request_id: &asked.id,
        };
        let response = page(status, page::error(&error, &view));
        with_challenge(asked, status, response)
    }
}

/// A 401 must say how to prove who you are (8.5).
fn with_challenge(asked: &Asked, status: StatusCode, mut response: Response) -> Response {
    let is_script = asked.header(REQUESTED_WITH) == Some("XMLHttpRequest");
    if status == StatusCode::UNAUTHORIZED && !is_script {
        let challenge = HeaderValue::from_static("Basic realm=\"handle\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

impl From<ParamError> for Failure {
    fn from(error: ParamError) -> Self {
        Self::new(ResponseCode::PROTOCOL_ERROR, error.to_string())
    }
}

impl From<NameError> for Failure {
    fn from(error: NameError) -> Self {
        Self::new(ResponseCode::INVALID_HANDLE, error.to_string())
    }
}

impl From<StoreError> for Failure {
    /// The cause is in the log; it is nobody's business elsewhere.
    fn from(_: StoreError) -> Self {
        Self::new(
            ResponseCode::ERROR,
            "the node could not read its store; its log says why",
        )
    }
}
