//! Cross-origin access for scripts in browsers (8.1).
//!
//! Nearly everything here is either public or needs a credential in the request itself; no cookies
//! are used and no credentials are allowed across origins, so every origin may ask. The exception
//! are answers that an address is trusted with, such as the list of handles: they are
//! [`OwnOrigin`], since any page that a browser on a trusted machine shows asks from its address.

use axum::extract::Request;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CONTENT_LENGTH, HeaderValue,
    ORIGIN, VARY,
};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Methods that the HTTP interface knows.
const METHODS: HeaderValue = HeaderValue::from_static("GET,POST,HEAD,PUT,PATCH,DELETE");
/// The same with the method that asks for them.
const METHODS_AND_OPTIONS: HeaderValue =
    HeaderValue::from_static("GET,POST,HEAD,PUT,PATCH,DELETE,OPTIONS");
/// Request headers that scripts may set.
const HEADERS: HeaderValue =
    HeaderValue::from_static("X-Requested-With,Authorization,Origin,Accept,Content-Type");
/// Answer headers that scripts may read.
const EXPOSED: HeaderValue =
    HeaderValue::from_static("Content-Length,Location,WWW-Authenticate,X-Request-Id");
/// How long a browser may remember the permission.
const MAX_AGE_SECS: HeaderValue = HeaderValue::from_static("86400");

/// Marks an answer, in its extensions, that scripts of other origins must not read.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwnOrigin;

/// Answers OPTIONS, and adds the headers that let a script of another origin read the answer.
pub(super) async fn layer(request: Request, next: Next) -> Response {
    let origin = request.headers().get(ORIGIN).cloned();
    if request.method() == Method::OPTIONS {
        return options(origin);
    }
    let mut response = next.run(request).await;
    let is_shared = response.extensions().get::<OwnOrigin>().is_none();
    if let Some(origin) = origin.filter(|_| is_shared) {
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
    response
}

fn options(origin: Option<HeaderValue>) -> Response {
    let mut response = (StatusCode::OK, [(CONTENT_LENGTH, "0")]).into_response();
    let headers = response.headers_mut();
    headers.insert(ALLOW, METHODS_AND_OPTIONS);
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
        headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECS);
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
    response
}
