//! The JSON API: records, site, prefixes (8.1 to 8.4).

use std::sync::Arc;

use axum::http::header::AUTHORIZATION;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use guantong_api::handles::{PrefixesAnswer, ReferralAnswer, SiteAnswer};
use guantong_core::authority::{HttpOperation, Outcome, Query, Selection, http_status};
use guantong_proto::data::Site;
use guantong_proto::json::{RecordForm, SiteForm, ValueForm};
use guantong_proto::message::ResponseCode;

use super::answer::{Failure, json, with_source};
use super::asked::Asked;
use super::{list, path};
use crate::node::Node;
use crate::recurse::Sourced;

/// Answers a request below `/api/`.
pub(super) async fn answer(
    node: &Arc<Node>,
    asked: &Asked,
    path: &str,
) -> Result<Response, Failure> {
    // A bad function name is refused whatever else is asked.
    asked.params.callback()?;
    let changes = matches!(asked.method, Method::PUT | Method::DELETE);
    let posts = asked.method == Method::POST;
    let (area, rest) = path.split_once('/').unwrap_or((path, ""));
    match area {
        "handles" | "prefixes" if changes => Err(not_here(area)),
        "prefixes" if posts => Err(not_here(area)),
        "sessions" | "verifications" => Err(not_here(area)),
        "handles" if rest.is_empty() => list::answer(node, asked).await,
        "handles" => {
            let handle = path::handle(rest)?;
            resolve(node, asked, handle.as_str()).await
        }
        "site" if rest.is_empty() => site(node, asked),
        "prefixes" if rest.is_empty() => Ok(prefixes(node, asked)),
        _ => {
            let message = format!(
                "there is no `/api/{path}`; see `/api/handles/`, `/api/site`, `/api/prefixes`"
            );
            Err(Failure::new(ResponseCode::PROTOCOL_ERROR, message).with_status(404))
        }
    }
}

/// The refusal of what only the command line can do so far.
fn not_here(area: &str) -> Failure {
    let message = match area {
        "prefixes" => {
            "prefixes cannot be homed over HTTP yet; on the machine of the node, use \
             `guantong prefix home` and `guantong prefix unhome`"
        }
        "handles" => {
            "records cannot be changed over HTTP yet; on the machine of the node, use \
             `guantong record put`, `add`, `modify`, `remove` and `delete`"
        }
        _ => {
            "nobody can prove an identity over HTTP yet; on the machine of the node, use the \
             `guantong` command"
        }
    };
    Failure::new(ResponseCode::INSUFFICIENT_PERMISSIONS, message)
}

/// The record of a handle, or the values of it that are asked for.
pub(super) async fn resolve(node: &Node, asked: &Asked, handle: &str) -> Result<Response, Failure> {
    let params = &asked.params;
    let types: Vec<String> = params.types().into_iter().map(str::to_owned).collect();
    let indexes = params.indexes()?;
    // Whoever offers a credential wants what is not public, too.
    let has_credential = asked.headers.contains_key(AUTHORIZATION);
    let query = Query {
        selection: Selection::Listed {
            indexes: &indexes,
            types: &types,
        },
        public_only: params.flag("publicOnly").unwrap_or(!has_credential),
        do_not_refer: params.is_set("doNotRefer"),
        authoritative: params.is_set("auth"),
        certified: params.is_set("cert"),
        ..Query::public(handle)
    };
    let Sourced { outcome, source } = node.resolve(&query, asked.peer.address.ip()).await?;
    let code = outcome.code();
    let status = http_status(code, HttpOperation::Resolve, asked.peer.secure);
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let values = match &outcome {
        Outcome::Record(values) => values.as_slice(),
        Outcome::ValuesNotFound => &[],
        Outcome::Referral(values) | Outcome::ServiceReferral(values) => {
            let form = ReferralAnswer {
                response_code: code.0,
                referral_handle: None,
                values: values.iter().map(ValueForm::from).collect(),
            };
            return Ok(json(asked, status, &form));
        }
        other => return Err(Failure::of_outcome(other, handle)),
    };
    let form = RecordForm {
        response_code: Some(code.0),
        handle: Some(handle),
        values: values.iter().map(ValueForm::from).collect(),
    };
    Ok(with_source(json(asked, status, &form), source))
}

fn site(node: &Node, asked: &Asked) -> Result<Response, Failure> {
    let site = node.site();
    let record = Site::decode(site.record()).map_err(|error| {
        Failure::new(
            ResponseCode::ERROR,
            format!("the site record does not decode: {error}"),
        )
    })?;
    let form = SiteAnswer {
        response_code: ResponseCode::SUCCESS.0,
        site: SiteForm::new(&record),
    };
    Ok(json(asked, StatusCode::OK, &form))
}

fn prefixes(node: &Node, asked: &Asked) -> Response {
    let prefixes: Vec<String> = node.store.homed().iter().map(ToString::to_string).collect();
    let form = PrefixesAnswer {
        response_code: ResponseCode::SUCCESS.0,
        total_count: prefixes.len().to_string(),
        prefixes,
    };
    json(asked, StatusCode::OK, &form)
}
