//! `/api/v2/files`: files that registrations name.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use guantong_api::v2::FileAnswer;
use guantong_proto::Handle;
use guantong_proto::message::ResponseCode;

use super::super::answer::{Failure, json};
use super::super::asked::Asked;
use super::super::files::{Wanted, give, receive};
use super::not_allowed;
use super::problem::Problem;
use super::registration::seen;
use crate::node::Node;

/// Gives a file; they are sent to [`upload`].
pub(super) async fn answer(node: &Node, asked: &Asked, name: &str) -> Result<Response, Problem> {
    if !matches!(asked.method, Method::GET | Method::HEAD) || name.is_empty() {
        return Err(not_allowed(
            asked,
            "GET of a file, and POST to `/api/v2/files`",
        ));
    }
    let handle = Handle::parse(param(asked, "handle")?)?;
    let values = seen(node, asked, &handle).await?;
    give(node, name, param(asked, "field")?, &values).await
}

/// Takes a file.
pub(in crate::http) async fn upload(
    node: &Node,
    asked: &Asked,
    body: Body,
) -> Result<Response, Failure> {
    let uploaded = uploaded(node, asked, body).await;
    uploaded.or_else(|problem| problem.into_answer(asked))
}

async fn uploaded(node: &Node, asked: &Asked, body: Body) -> Result<Response, Problem> {
    let wanted = Wanted {
        template: param(asked, "template")?,
        field: param(asked, "field")?,
        handle: asked.params.first("handle"),
    };
    let (name, upload) = receive(node, asked, body, &wanted).await?;
    let form = FileAnswer {
        name: name.to_string(),
        size: upload.size,
        sha256: upload.sha256,
    };
    Ok(json(asked, StatusCode::CREATED, &form))
}

fn param<'a>(asked: &'a Asked, name: &str) -> Result<&'a str, Problem> {
    asked.params.first(name).ok_or_else(|| {
        let message = format!("parameter `{name}` is missing");
        Failure::new(ResponseCode::PROTOCOL_ERROR, message).into()
    })
}
