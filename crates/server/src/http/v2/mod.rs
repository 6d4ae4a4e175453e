//! `/api/v2`: templates (元数据模板) and registrations (注册) of things by them.
//!
//! ```text
//!  templates      template   create, show, list, change, publish, withdraw, disable, copy
//!  categories     category   the tree in which templates are put
//!  schemas        template   a template as JSON Schema
//!  registrations  registration   create, show, change, delete; list and search are in page
//!  jobs           jobs       imports of any length, in the background
//!  changes        changes    what happens, as server-sent events
//!  graph          graph      what refers to what
//!  statistics     statistics   numbers
//!  registrations/export  export   all of a template, as a stream
//!  registrations/batch   bulk    many of them: JSON, JSON Lines, CSV
//!  login          login      a signed nonce or a password gives a token
//!  identities     identity   app identities and users
//!  groups         group      groups of them, and roles
//!  enterprises    enterprise   who applies for a prefix below ours, and what comes of it; those
//!                              who do not say who they are in guest
//!  grants         grant      who else reads and writes what; what was granted to whom is in notice
//! ```
//!
//! What is right is decided in `core::template`. A change becomes the native request that means the
//! same (`sender`), so rights, audit trail and change log are those of every other change. What a
//! check must know of other records is looked up in `sought`, and at other nodes in `foreign`.

mod bulk;
pub(in crate::http) mod category;
mod changes;
mod counter;
mod describe;
pub(in crate::http) mod enterprise;
mod export;
mod file;
mod foreign;
pub(in crate::http) mod grant;
mod graph;
mod group;
pub(in crate::http) mod guest;
pub(in crate::http) mod identity;
mod jobs;
pub(in crate::http) mod login;
pub(in crate::http) mod notice;
#[cfg(test)]
pub(in crate::http) mod openapi_tests;
pub(in crate::http) mod page;
pub(in crate::http) mod problem;
pub(in crate::http) mod registration;
mod routes;
pub(in crate::http) mod sender;
pub(in crate::http) mod sought;
mod statistics;
pub(in crate::http) mod template;
pub(in crate::http) mod waves;

use std::sync::Arc;

use axum::http::Method;
use axum::http::header::{ALLOW, HeaderValue};
use axum::response::Response;
use guantong_proto::message::ResponseCode;
use serde::de::DeserializeOwned;

use self::changes::Streams;
use self::counter::Counters;
use self::export::Exports;
pub(in crate::http) use self::file::upload;
use self::foreign::Silent;
use self::jobs::Jobs;
use self::notice::Readings;
use self::problem::Problem;
use self::routes::Found;
pub(crate) use self::sought::Claims;
use self::statistics::Figures;
use super::answer::Failure;
use super::asked::Asked;
use crate::config::Config;
use crate::node::Node;

/// What is kept between requests.
#[derive(Debug)]
pub(crate) struct V2 {
    counters: Counters,
    exports: Exports,
    figures: Figures,
    jobs: Jobs,
    notices: Readings,
    silent: Silent,
    streams: Streams,
}

impl V2 {
    pub(crate) fn open(config: &Config) -> Self {
        Self {
            counters: Counters::default(),
            exports: Exports::default(),
            figures: Figures::default(),
            jobs: Jobs::open(config.jobs_folder()),
            notices: Readings::default(),
            silent: Silent::default(),
            streams: Streams::default(),
        }
    }
}

/// What paths below `/api/` begin with that belong here.
pub(super) const AREA: &str = "v2/";

/// Whether something is done at a path below `/api/` by the method of the request; paths of others
/// are not known here.
pub(super) fn is_done(asked: &Asked, path: &str) -> bool {
    match path.strip_prefix(AREA) {
        Some(path) => routes::find(&asked.method, path) == Found::Route,
        None => true,
    }
}

/// Answers a request below `/api/v2/`.
pub(super) async fn answer(
    node: &Arc<Node>,
    asked: &Asked,
    path: &str,
) -> Result<Response, Failure> {
    match routes::find(&asked.method, path) {
        Found::Route => {}
        Found::Methods(methods) => return Ok(wrong_method(asked, &methods)),
        Found::Nothing => {
            let message = format!("there is no `/api/v2/{path}`; see `/api/v2/`");
            let failure = Failure::new(ResponseCode::PROTOCOL_ERROR, message);
            return Err(failure.with_status(404));
        }
    }
    if asked.method.is_safe() {
        return answered(node, asked, path).await;
    }
    // A value that is claimed must stay so until it is written, even if the client goes away.
    let task = tokio::spawn({
        let (node, asked, path) = (node.clone(), asked.clone(), path.to_owned());
        async move { answered(&node, &asked, &path).await }
    });
    task.await.unwrap_or_else(|_| {
        let message = "the request was cut off";
        Err(Failure::new(ResponseCode::ERROR, message))
    })
}

async fn answered(node: &Arc<Node>, asked: &Asked, path: &str) -> Result<Response, Failure> {
    let answered = match path.split_once('/').unwrap_or((path, "")) {
        ("templates", rest) => template::answer(node, asked, rest).await,
        ("categories", rest) => category::answer(node, asked, rest).await,
        ("changes", "") if asked.method.is_safe() => changes::answer(node, asked).await,
        ("graph", rest) if asked.method.is_safe() => graph::answer(node, asked, rest).await,
        ("statistics", "") if asked.method.is_safe() => statistics::answer(node, asked).await,
        ("jobs", rest) => jobs::answer(node, asked, rest).await,
        ("schemas", rest) => template::schema(node, asked, rest).await,
        ("files", rest) => file::answer(node, asked, rest).await,
        ("registrations", "batch") if asked.method == Method::POST => {
            bulk::answer(node, asked).await
        }
        ("enterprises", rest) => enterprise::answer(node, asked, rest).await,
        ("registrations", "export") if asked.method.is_safe() => export::answer(node, asked).await,
        ("grants", rest) => grant::answer(node, asked, rest).await,
        ("registrations", rest) => registration::answer(node, asked, rest).await,
        ("identities", rest) => identity::answer(node, asked, rest).await,
        ("groups", rest) => group::answer(node, asked, rest).await,
        ("login", rest) => login::answer(node, asked, rest).await,
        ("openapi.json", _) => Ok(describe::openapi(asked)),
        _ => Ok(describe::list()),
    };
    answered.or_else(|problem| problem.into_answer(asked))
}

/// The refusal of a method that does nothing at a path (RFC 9110, 15.5.6).
fn wrong_method(asked: &Asked, methods: &[&str]) -> Response {
    let methods = methods.join(", ");
    let message = format!("{} is not done here; there are {methods}", asked.method);
    let failure = Failure::new(ResponseCode::OPERATION_NOT_SUPPORTED, message);
    let mut response = failure.with_status(405).into_problem(asked, Vec::new());
    if let Ok(methods) = HeaderValue::from_str(&methods) {
        response.headers_mut().insert(ALLOW, methods);
    }
    response
}

/// The body as JSON of a known form.
fn body<T: DeserializeOwned>(asked: &Asked) -> Result<T, Problem> {
    if !asked.is_json() {
        let message = "the body must be JSON: send `Content-Type: application/json`";
        return Err(Failure::new(ResponseCode::PROTOCOL_ERROR, message)
            .with_status(415)
            .into());
    }
    serde_json::from_slice(&asked.body).map_err(|error| {
        let message = format!("the body is not what is expected here: {error}");
        Failure::new(ResponseCode::PROTOCOL_ERROR, message).into()
    })
}

/// The refusal of a method.
fn not_allowed(asked: &Asked, methods: &str) -> Problem {
    let message = format!("{} is not done here; there are {methods}", asked.method);
    Failure::new(ResponseCode::OPERATION_NOT_SUPPORTED, message)
        .with_status(405)
        .into()
}
