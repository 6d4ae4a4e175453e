//! `/api/v1/doip/file-upload` and `file-acquire`: files of identifiers.

use axum::body::Body;
use axum::response::Response;
use guantong_api::doip::Code;
use guantong_proto::message::ResponseCode;
use serde_json::json;

use super::super::asked::Asked;
use super::super::files::{Wanted, give, receive, stream_of};
use super::super::v2::problem::Problem;
use super::object::sender;
use super::refusal::{Deed, Refusal};
use super::{Said, handle, param, retrieve};
use crate::files::FileName;
use crate::node::Node;

/// Where files are sent, behind `/api/v1/`.
pub(super) const UPLOAD: &str = "doip/file-upload";
/// Where they are asked for.
pub(super) const ACQUIRE: &str = "doip/file-acquire";

pub(super) async fn upload(node: &Node, asked: &Asked, body: Body) -> Said {
    let named = asked.params.first("handleName").map(str::trim);
    let wanted = Wanted {
        template: param(asked, "metaHandle")?,
        field: param(asked, "fileField")?,
        handle: named.filter(|named| !named.is_empty() && *named != "null"),
    };
    let received = receive(node, asked, body, &wanted).await;
    let (name, _) = received.map_err(|problem| refused(Deed::Register, problem))?;
    Ok(Some(json!({"id": name.id(), "filePath": name.to_string()})))
}

/// The octets of a file. Who has sent it needs not say where it is named: clients of an older kind
/// do not.
pub(super) async fn acquire(node: &Node, asked: &Asked) -> Result<Response, Refusal> {
    let path = param(asked, "filePath")?;
    if let Some(named) = asked.params.first("handle") {
        let target = handle(named)?;
        let (values, _) = retrieve::readable(node, asked, &target).await?;
        let given = give(node, path, param(asked, "field")?, &values).await;
        return given.map_err(|problem| refused(Deed::Read, problem));
    }
    let by = sender(node, asked).await?.by.0.map(|by| by.to_string());
    let missing = || {
        Refusal::new(
            Code::File,
            "`handle` and `field` are missing: who names it?",
        )
    };
    let name: FileName = path.parse().map_err(|_| missing())?;
    let found = node.files.find(&name).await;
    let found = found.map_err(|error| refused(Deed::Read, error.into()))?;
    let upload = found
        .filter(|upload| by.is_some() && upload.by == by)
        .ok_or_else(missing)?;
    let given = stream_of(node, &name, &upload).await;
    given.map_err(|problem| refused(Deed::Read, problem))
}

fn refused(deed: Deed, problem: Problem) -> Refusal {
    let code = problem.failure().code();
    let refusal = deed.refused(problem);
    match code {
        ResponseCode::HANDLE_NOT_FOUND if deed == Deed::Read => {
            Refusal::new(Code::File, refusal.message)
        }
        ResponseCode::HANDLE_NOT_FOUND => Refusal::new(Code::TemplateNotFound, refusal.message),
        _ => refusal,
    }
}
