//! `/api/v1`: the interface of existing enterprise nodes, for clients that were written for them.
//!
//! ```text
//!  doip/public/…         login     a token for a signed nonce
//!  doip                  object    create, update, delete, retrieve an identifier; Hello
//!  open/meta/…           meta      templates; categories in category, what an item
//!                                   says in item, lists in page
//!  doip/file-…           file      files of identifiers
//!  …-grant, grant-info,  grant     who else reads and writes, and messages of it
//!  authorization, …
//!  open/handle/page      page      identifiers of a template
//! ```
//!
//! Nothing is decided here: a request becomes what the one of `/api/v2` becomes that means the
//! same. What came of it is told by a code within the answer; its HTTP status is 200, since the
//! clients read nothing of other answers.

mod category;
mod file;
mod grant;
mod industry;
mod item;
mod login;
mod meta;
mod moment;
pub(crate) mod moved;
mod object;
mod page;
mod refusal;
mod retrieve;

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use guantong_api::doip::{Code, Envelope};
use guantong_proto::Handle;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use self::refusal::Refusal;
use super::answer::json;
use super::asked::Asked;
use super::cors::OwnOrigin;
use crate::node::Node;

/// What paths begin with that belong here. Some clients send a slash too many.
const AREA: &str = "api/v1/";

/// What is answered, if it works.
type Said = Result<Option<Json>, Refusal>;

/// The path behind `/api/v1/`, if a request is for that.
pub(super) fn path(path: &str) -> Option<&str> {
    path.strip_prefix('/')?
        .trim_start_matches('/')
        .strip_prefix(AREA)
}

/// Whether a file is sent to this path.
pub(super) fn is_upload(whole: &str) -> bool {
    path(whole).is_some_and(|path| path.trim_end_matches('/') == file::UPLOAD)
}

/// Takes a file.
pub(super) async fn upload(node: &Node, asked: &Asked, body: Body) -> Response {
    let said = file::upload(node, asked, body).await;
    enveloped(asked, said)
}

/// Answers a request below `/api/v1/`, if the node is set to.
pub(super) async fn answer(node: &Arc<Node>, asked: &Asked) -> Option<Response> {
    let path = path(asked.path()).filter(|_| node.config().compatible.doip)?;
    if path == file::ACQUIRE && asked.method.is_safe() {
        let given = file::acquire(node, asked).await;
        return Some(given.unwrap_or_else(|refusal| enveloped(asked, Err(refusal))));
    }
    let said = match asked.method.is_safe() {
        true => said(node, asked, path).await,
        false => {
            // A value that is claimed must stay so until it is written, even if the client goes
            // away.
            let task = tokio::spawn({
                let (node, asked, path) = (node.clone(), asked.clone(), path.to_owned());
                async move { said(&node, &asked, &path).await }
            });
            let cut_off = || Refusal::new(Code::Other, "the request was cut off");
            task.await.unwrap_or_else(|_| Err(cut_off()))
        }
    };
    Some(enveloped(asked, said))
}

async fn said(node: &Arc<Node>, asked: &Asked, path: &str) -> Said {
    let path = path.trim_end_matches('/');
    match path {
        "doip" => object::answer(node, asked).await,
        "doip/public/challenge" => login::challenge(node, asked),
        "doip/public/verify-response" => login::verify(node, asked).await,
        "open/handle-user-group/list" => grant::grantees(node, asked).await,
        "open/message/appMessage" => grant::messages(node, asked).await,
        "open/meta/grant-info" | "open/meta/grant/info" => grant::template(node, asked).await,
        "open/single-handle/authorization" | "single-handle/authorization" => {
            grant::single(node, asked).await
        }
        "open/classes-grant/authorization" | "classes-grant/authorization" => {
            grant::class(node, asked).await
        }
        "open/classes-grant/item/batch-public" | "classes-grant/item/batch-public" => {
            grant::class_public(node, asked).await
        }
        "open/handle/page" => page::handles(node, asked).await,
        path => match path.strip_prefix("open/meta/") {
            Some(rest) => meta::answer(node, asked, rest).await,
            None => Err(unknown(path)),
        },
    }
}

fn unknown(path: &str) -> Refusal {
    let message = format!("there is no `/api/v1/{path}` at this node");
    Refusal::new(Code::UnknownOperation, message)
}

fn unsupported(asked: &Asked, methods: &str) -> Refusal {
    let message = format!("{} is not done here; there is {methods}", asked.method);
    Refusal::new(Code::UnsupportedOperation, message)
}

fn enveloped(asked: &Asked, said: Said) -> Response {
    let (code, message, data) = match said {
        Ok(data) => (Code::Success, Cow::Borrowed("success"), data),
        Err(refusal) => (refusal.code, Cow::Owned(refusal.message), None),
    };
    tracing::debug!(request_id = %asked.id, code = code.number(), "answered below /api/v1");
    let form = Envelope {
        code: code.number(),
        message: &message,
        data,
    };
    let mut response = json(asked, StatusCode::OK, &form);
    // Its address may be what lets the caller.
    response.extensions_mut().insert(OwnOrigin);
    response
}

//----------- Reading requests -----------------------------------------------

/// The body as a form. Clients that send none mean one that says nothing.
fn body<T: DeserializeOwned + Default>(asked: &Asked) -> Result<T, Refusal> {
    if asked.body.iter().all(u8::is_ascii_whitespace) {
        return Ok(T::default());
    }
    serde_json::from_slice(&asked.body)
        .map_err(|error| Refusal::parameter(format!("the body is not what is expected: {error}")))
}

/// A parameter that must be there.
fn param<'a>(asked: &'a Asked, name: &str) -> Result<&'a str, Refusal> {
    let value = asked.params.first(name).map(str::trim);
    value
        .filter(|value| !value.is_empty())
        .ok_or_else(|| Refusal::missing(name))
}

/// A text of a body that must be there.
fn wanted<'a>(text: Option<&'a String>, name: &str) -> Result<&'a str, Refusal> {
    text.map(|text| text.trim())
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Refusal::missing(name))
}

fn handle(text: &str) -> Result<Handle, Refusal> {
    let is_whole = |(prefix, suffix): (&str, &str)| !prefix.is_empty() && !suffix.is_empty();
    match text.split_once('/').is_some_and(is_whole) {
        true => Ok(Handle::parse(text)?),
        false => {
            let message = format!("`{text}` is no identifier: <prefix>/<suffix>");
            Err(Refusal::new(Code::MalformedHandle, message))
        }
    }
}
