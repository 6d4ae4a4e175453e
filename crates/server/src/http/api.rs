//! The JSON API: records, site, prefixes (8.1 to 8.4).

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use axum::response::Response;
use guantong_api::handles::{PrefixesAnswer, RecordAnswer, ReferralAnswer, SiteAnswer};
use guantong_core::authority::{HttpOperation, Outcome, Query, Selection, http_status};
use guantong_proto::Handle;
use guantong_proto::data::Site;
use guantong_proto::json::{RecordForm, SiteForm, ValueForm};
use guantong_proto::message::ResponseCode;

use super::answer::{Failure, json, with_source};
use super::asked::Asked;
use super::{batch, change, condition, list, once, path, session, v2, verification};
use crate::node::Node;
use crate::recurse::{Source, Sourced};

/// Answers a request below `/api/`.
pub(super) async fn answer(
    node: &Arc<Node>,
    asked: &Asked,
    path: &str,
) -> Result<Response, Failure> {
    let is_change = match asked.method {
        Method::POST => path == "batch" || path.starts_with(v2::AREA),
        _ => !asked.method.is_safe() && !path.starts_with("sessions"),
    };
    // A method that does nothing at a path is refused as such, whatever else is said.
    let is_change = is_change && v2::is_done(asked, path);
    match is_change && asked.headers.contains_key(once::KEY) {
        true => once::answer(node, asked, path).await,
        false => answer_now(node, asked, path).await,
    }
}

/// Answers a request below `/api/` without asking whether it has come before.
pub(super) async fn answer_now(
    node: &Arc<Node>,
    asked: &Asked,
    path: &str,
) -> Result<Response, Failure> {
    // A bad function name is refused whatever else is asked.
    asked.params.callback()?;
    let (area, rest) = path.split_once('/').unwrap_or((path, ""));
    match area {
        "handles" if asked.method == Method::PUT => change::put(node, asked, rest).await,
        "handles" if asked.method == Method::DELETE => change::delete(node, asked, rest).await,
        "prefixes" if !asked.method.is_safe() => change::prefix(node, asked, rest).await,
        "sessions" => session::answer(node, asked, rest).await,
        "v2" => v2::answer(node, asked, rest).await,
        "batch" if rest.is_empty() => batch::answer(node, asked).await,
        "verifications" => verification::answer(node, asked, rest).await,
        "handles" if rest.is_empty() => list::answer(node, asked).await,
        "handles" => {
            let handle = path::handle(rest)?;
            resolve_as(node, asked, &handle).await
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

/// The record of a handle, with values that are not public for somebody who says who he is.
async fn resolve_as(node: &Node, asked: &Asked, handle: &Handle) -> Result<Response, Failure> {
    let (indexes, types) = selection(asked)?;
    let version = condition::version(node, handle.as_str());
    let mut sourced = sourced(node, asked, handle.as_str(), &indexes, &types).await?;
    // Nobody proves to us who he is for a server that holds the record instead of us.
    let may_ask = sourced.source == Source::Ours && asked.has_credential();
    if may_ask && matches!(sourced.outcome, Outcome::AuthenticationNeeded) {
        match change::restricted(node, asked, handle, &indexes, &types).await {
            Ok(seen) => {
                sourced.withheld = seen.withheld;
                sourced.outcome = Outcome::Record(seen.values);
            }
            // To him it is what it is to the public.
            Err(failure) if failure.is_not_found() => {
                let query = Query {
                    selection: Selection::Listed {
                        indexes: &indexes,
                        types: &types,
                    },
                    ..Query::public(handle.as_str())
                };
                sourced = node.resolve(&query, asked.peer.address.ip()).await?;
            }
            Err(failure) => return Err(failure),
        }
    }
    let answer = answer_sourced(asked, handle.as_str(), &sourced)?;
    Ok(match sourced.source {
        Source::Ours => condition::tagged(answer, version),
        _ => answer,
    })
}

/// The values that the parameters ask for.
fn selection(asked: &Asked) -> Result<(Vec<i32>, Vec<String>), Failure> {
    let types = asked
        .params
        .types()
        .into_iter()
        .map(str::to_owned)
        .collect();
    Ok((asked.params.indexes()?, types))
}

/// The record of a handle, or the values of it that are asked for.
pub(super) async fn resolve(node: &Node, asked: &Asked, handle: &str) -> Result<Response, Failure> {
    let (indexes, types) = selection(asked)?;
    let sourced = sourced(node, asked, handle, &indexes, &types).await?;
    answer_sourced(asked, handle, &sourced)
}

pub(super) async fn sourced(
    node: &Node,
    asked: &Asked,
    handle: &str,
    indexes: &[i32],
    types: &[String],
) -> Result<Sourced, Failure> {
    let params = &asked.params;
    // Whoever offers a credential wants what is not public, too.
    let has_credential = asked.has_credential();
    let query = Query {
        selection: Selection::Listed { indexes, types },
        public_only: params.flag("publicOnly").unwrap_or(!has_credential),
        do_not_refer: params.is_set("doNotRefer"),
        authoritative: params.is_set("auth"),
        certified: params.is_set("cert"),
        ..Query::public(handle)
    };
    Ok(node.resolve(&query, asked.peer.address.ip()).await?)
}

fn answer_sourced(asked: &Asked, handle: &str, sourced: &Sourced) -> Result<Response, Failure> {
    let Sourced {
        outcome, source, ..
    } = sourced;
    let code = outcome.code();
    let status = http_status(code, HttpOperation::Resolve, asked.peer.secure);
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let values = match outcome {
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
    let form = RecordAnswer {
        record: RecordForm {
            response_code: Some(code.0),
            handle: Some(handle),
            values: values.iter().map(ValueForm::from).collect(),
        },
        withheld: sourced.withheld,
    };
    Ok(with_source(json(asked, status, &form), *source))
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
