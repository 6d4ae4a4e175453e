//! HTTP: the JSON API, native messages in HTTP, redirects, and pages for people (clause 8).
//!
//! ```text
//!  POST application/x-hdl-message, any path ──► native   whole packets through Node::answer
//!  /api/…                                   ──► api      Handle JSON; listing is in list
//!  /api/v2/…                                ──► v2       templates and registrations
//!  /api/v1/…                                ──► v1       as existing enterprise nodes have it
//!  /identityv2/… and others                 ──► snms     as second-level nodes have it
//!  /  and  /-/…                             ──► own      start page, style sheet, search
//!  /{handle}                                ──► proxy    redirect, or the page of the record
//! ```
//!
//! One function takes the request apart, because a handle in a path may hold any character and no
//! route pattern could tell. What is read, redirected to or refused is decided in `core`; here are
//! only the forms. A change becomes the native request that means the same.

mod answer;
mod api;
mod asked;
mod batch;
mod change;
mod condition;
mod cors;
mod files;
mod identity;
pub(crate) mod inside;
mod list;
mod native;
mod once;
mod own;
pub(crate) mod page;
mod params;
pub(crate) mod path;
mod proxy;
mod quick;
mod session;
mod snms;
pub(crate) mod v1;
mod v2;
mod verification;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use guantong_proto::message::ResponseCode;

use self::answer::Failure;
use self::asked::Asked;
pub(crate) use self::once::Answers;
pub(crate) use self::params::Params;
use self::path::Target;
pub(crate) use self::quick::{
    Disk, Quick, RequestIds, answer as quick_answer, write as write_quick_answer,
    write_at_hand as write_quick_answer_at_hand,
};
pub(crate) use self::v2::{Claims, V2};
use crate::listen::{Peer, console, host};
use crate::node::Node;

/// The header that tells the number of a request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const NOSNIFF: HeaderName = HeaderName::from_static("x-content-type-options");

/// Everything that the node answers on its HTTP addresses, health and metrics included.
///
/// Requests should carry a [`Peer`] in their extensions; one without is treated as coming from far
/// away over plain HTTP.
pub fn router(node: Arc<Node>) -> Router {
    Router::new()
        .route("/live", get(console::live))
        .route("/ready", get(console::ready))
        .route("/metrics", get(metrics))
        .fallback(answer)
        .layer(middleware::from_fn(cors::layer))
        .with_state(node)
}

/// The figures, for the networks that may read them.
async fn metrics(
    State(node): State<Arc<Node>>,
    peer: Option<Extension<Peer>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let called = host::host_of(&uri, &headers);
    match peer {
        Some(Extension(peer)) if console::may_read_metrics(&node, &peer, called) => {
            let mut response = console::metrics(State(node)).await.into_response();
            response.extensions_mut().insert(cors::OwnOrigin);
            response
        }
        _ => console::refusal(),
    }
}

async fn answer(State(node): State<Arc<Node>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    // The octets of a file go to the disk as they come.
    let is_upload = files::is_upload(&node.config(), &parts.method, parts.uri.path());
    let (body, file) = match is_upload {
        true => (Body::empty(), Some(body)),
        false => (body, None),
    };
    let asked = match Asked::read(&node, parts, body).await {
        Ok(asked) => asked,
        Err((asked, failure)) => return finish(&asked, refusal(&asked, failure)),
    };
    if let Some(file) = file {
        return finish(&asked, upload(&node, &asked, file).await);
    }
    if native::is_native(&asked) {
        return finish(&asked, native::answer(&node, &asked).await);
    }
    if let Some(response) = v1::answer(&node, &asked).await {
        return finish(&asked, response);
    }
    if snms::owns(&node, asked.path()) {
        return finish(&asked, snms::answer(&node, &asked).await);
    }
    let target = Target::of(asked.path());
    let known = match asked.method {
        Method::GET | Method::HEAD | Method::POST => true,
        Method::PUT | Method::DELETE => matches!(target, Target::Api(_)),
        // It says itself which methods there are.
        _ => is_v2(&asked),
    };
    if !known {
        let message = format!("the method {} is not supported here", asked.method);
        let failure = Failure::new(ResponseCode::PROTOCOL_ERROR, message).with_status(501);
        return finish(&asked, failure.into_json(&asked));
    }
    let response = match target {
        Target::Api(path) => match api::answer(&node, &asked, path).await {
            Ok(response) => response,
            Err(failure) => {
                let error = failure.proof_error().map(str::to_owned);
                let response = refusal(&asked, failure);
                offer(&node, &asked, error.as_deref(), response)
            }
        },
        Target::Handle(encoded) => proxy::answer(&node, &asked, encoded)
            .await
            .unwrap_or_else(|failure| failure.into_page(&asked, &node)),
        Target::Start => {
            own::start(&node, &asked).unwrap_or_else(|failure| failure.into_page(&asked, &node))
        }
        Target::Own(path) => own::answer(&node, &asked, path),
        Target::Icon => own::icon(),
        Target::Robots => own::robots(),
    };
    finish(&asked, response)
}

/// Takes a file.
async fn upload(node: &Node, asked: &Asked, body: Body) -> Response {
    if v1::path(asked.path()).is_some() {
        return v1::upload(node, asked, body).await;
    }
    if snms::owns(node, asked.path()) {
        return snms::upload(node, asked, body).await;
    }
    v2::upload(node, asked, body)
        .await
        .unwrap_or_else(|failure| {
            let error = failure.proof_error().map(str::to_owned);
            let response = failure.into_problem(asked, Vec::new());
            offer(node, asked, error.as_deref(), response)
        })
}

fn is_v2(asked: &Asked) -> bool {
    matches!(Target::of(asked.path()), Target::Api(path) if path.starts_with(v2::AREA))
}

/// A failure of the API, in the form of the version that was asked.
fn refusal(asked: &Asked, failure: Failure) -> Response {
    match is_v2(asked) {
        true => failure.into_problem(asked, Vec::new()),
        false => failure.into_json(asked),
    }
}

/// A 401 offers the Handle scheme as well, with a session to prove something in (8.5).
fn offer(node: &Node, asked: &Asked, error: Option<&str>, mut response: Response) -> Response {
    if response.status() == StatusCode::UNAUTHORIZED
        && let Some(challenge) = identity::challenge(node, asked, error)
    {
        response.headers_mut().append(WWW_AUTHENTICATE, challenge);
    }
    response
}

/// The headers of every answer.
fn finish(asked: &Asked, mut response: Response) -> Response {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&asked.id) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(NOSNIFF, HeaderValue::from_static("nosniff"));
    tracing::debug!(
        request_id = %asked.id,
        peer = %asked.peer.address,
        method = %asked.method,
        status = response.status().as_u16(),
        "answered"
    );
    response
}

#[cfg(test)]
mod tests;
