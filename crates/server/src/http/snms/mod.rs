//! The interface of second-level nodes (SNMS, versions 3 and 5), so that their clients work
//! unchanged. Off unless `compatible.snms` is set.
//!
//! ```text
//!  /identity/token, /identity/token/v1                          login     a token for a password
//!  /identity/registry                                           user      a user
//!  /identityv2/data/detail, /identityv2/data, …/batchCreate, …   data      registrations
//!  /snms/api/{v3,v5}/template                                    template  templates
//!  /snms/api/v3/ent/…, /snms/api/ent/config                      enterprise   who applies
//!  /snms/api/file/upload, /snms/api/file/download                file      papers of who applies
//! ```
//!
//! Only the forms are here: templates and registrations, rights and rules are those of `/api/v2`.
//! Whatever comes of a request, the status of HTTP is 200 and the envelope says it: clients of this
//! interface read nothing else.

mod data;
mod enterprise;
mod file;
mod login;
mod template;
mod user;

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use guantong_api::snms::{DONE, Envelope, FAILED, NOT_ALLOWED, NOT_LOGGED_IN, REFUSED};
use guantong_proto::message::ResponseCode;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(super) use self::file::UPLOAD;
use super::answer::{Failure, json};
use super::asked::Asked;
use super::v2::problem::Problem;
use crate::node::Node;

/// What paths begin with that belong here.
const AREAS: [&str; 4] = [
    "/identity/token",
    "/identity/registry",
    "/identityv2/",
    "/snms/api/",
];
/// Faults of fields that one message tells; behind them it says how many there are.
const FAULTS_MAX: usize = 5;

/// Whether a path is answered here.
pub(super) fn owns(node: &Node, path: &str) -> bool {
    node.config().compatible.snms && AREAS.iter().any(|area| path.starts_with(area))
}

/// Answers a request that [`owns`] says is answered here.
pub(super) async fn answer(node: &Arc<Node>, asked: &Asked) -> Response {
    if asked.method.is_safe() {
        return answered(node, asked).await;
    }
    // A value that is claimed must stay so until it is written, even if the client goes away.
    let task = tokio::spawn({
        let (node, asked) = (node.clone(), asked.clone());
        async move { answered(&node, &asked).await }
    });
    task.await
        .unwrap_or_else(|_| said(asked, FAILED, "the request was cut off".to_owned()))
}

async fn answered(node: &Node, asked: &Asked) -> Response {
    let path = asked.path();
    let answered = match (&asked.method, path) {
        (&Method::GET, "/identityv2/data/detail") => data::detail(node, asked).await,
        (_, path) if path.starts_with("/identityv2/data") => data::change(node, asked, path).await,
        (&Method::POST, "/identity/token") => login::plain(node, asked).await,
        (&Method::POST, "/identity/token/v1") => login::digest(node, asked).await,
        (&Method::POST, "/identity/registry") => user::register(node, asked).await,
        (&Method::GET, file::DOWNLOAD) => file::download(node, asked).await,
        (_, path) if path.starts_with("/snms/api/") && path.contains("/ent/") => {
            enterprise::answer(node, asked, path).await
        }
        (_, "/snms/api/v3/template") => template::answer(node, asked, false).await,
        (_, "/snms/api/v5/template") => template::answer(node, asked, true).await,
        _ => Err(no_such(asked)),
    };
    answered.unwrap_or_else(|problem| refusal(asked, problem))
}

/// Takes a file.
pub(super) async fn upload(node: &Node, asked: &Asked, file: Body) -> Response {
    let uploaded = file::upload(node, asked, file).await;
    uploaded.unwrap_or_else(|problem| refusal(asked, problem))
}

fn no_such(asked: &Asked) -> Problem {
    refuse(format!(
        "there is no {} of {} here",
        asked.method,
        asked.path()
    ))
}

//----------- Reading --------------------------------------------------------

/// A refusal that is the sender's to put right.
fn refuse(message: String) -> Problem {
    Failure::new(ResponseCode::PROTOCOL_ERROR, message).into()
}

/// The body as JSON of a known form, whatever media type it says it has.
fn body<T: DeserializeOwned>(asked: &Asked) -> Result<T, Problem> {
    serde_json::from_slice(&asked.body)
        .map_err(|error| refuse(format!("the body is not what is expected here: {error}")))
}

/// A text that must be there, and must not be longer than that many characters.
fn required<'a>(name: &str, text: &'a str, limit: usize) -> Result<&'a str, Problem> {
    match text.chars().count() {
        0 => Err(refuse(format!("`{name}` is missing"))),
        count if count > limit => {
            let message = format!("`{name}` has {count} characters, the limit is {limit}");
            Err(refuse(message))
        }
        _ => Ok(text),
    }
}

//----------- Answer ---------------------------------------------------------

fn done(asked: &Asked, data: impl Serialize) -> Response {
    let form = Envelope {
        status: DONE,
        message: "success".to_owned(),
        data: Some(data),
    };
    json(asked, StatusCode::OK, &form)
}

fn refusal(asked: &Asked, problem: Problem) -> Response {
    let status = match (problem.code(), problem.status(asked)) {
        (ResponseCode::AUTHENTICATION_NEEDED | ResponseCode::AUTHENTICATION_FAILED, _)
        | (ResponseCode::INVALID_CREDENTIAL, _)
        | (_, 401) => NOT_LOGGED_IN,
        (_, 403) => NOT_ALLOWED,
        (_, 500..) => FAILED,
        _ => REFUSED,
    };
    if status == FAILED {
        let (request_id, code) = (&asked.id, problem.code());
        tracing::warn!(request_id, %code, "not answered");
    }
    said(asked, status, message(problem))
}

/// What is wrong, with the fields that it is about.
fn message(problem: Problem) -> String {
    let code = problem.code();
    let (detail, errors) = problem.into_parts();
    let detail = match (detail.is_empty(), code.name()) {
        (true, Some(name)) => name.to_owned(),
        _ => detail,
    };
    if errors.len() < 2 {
        return detail;
    }
    let faults = errors.iter().take(FAULTS_MAX);
    let faults = faults.map(|error| format!("{}: {}", error.field, error.message));
    let faults: Vec<_> = faults.collect();
    format!("{detail} {}", faults.join("; "))
}

fn said(asked: &Asked, status: i32, message: String) -> Response {
    let form = Envelope::<()> {
        status,
        message,
        data: None,
    };
    json(asked, StatusCode::OK, &form)
}
