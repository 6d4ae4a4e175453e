//! Lists of templates and registrations, by keyset: each page says where the next one begins.
//!
//! Names of things are a matter of whoever may list the handles of the prefix. What is found by a
//! value is listed only if the caller may read that value: to be told that somebody has it is to
//! read it.

use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::response::Response;
use guantong_api::v2::PageAnswer;
use guantong_core::identity::Kind;
use guantong_core::template::{
    CategoryFault, FieldFault, HANDLE_TYPE, KEY_TYPE, LINK_TYPE, categories_handle, link,
    prefix_key,
};
use guantong_proto::Handle;
use guantong_proto::message::ResponseCode;
use guantong_store::Scope;

use super::super::answer::{Failure, json};
use super::super::asked::Asked;
use super::super::cors::OwnOrigin;
use super::super::{change, list};
use super::category;
use super::problem::Problem;
use super::registration::seen;
use super::sought::{self, find};
use crate::node::Node;

/// Handles of a page if `limit` does not say how many.
const LIMIT_USUAL: usize = 100;
/// Most handles of a page. Each of a search may need a record and a decision.
pub(super) const LIMIT_MAX: usize = 1_000;

/// The templates of a prefix.
pub(super) async fn templates(node: &Node, asked: &Asked) -> Result<Response, Problem> {
    let prefix = asked.params.first("prefix").unwrap_or_default();
    if prefix.is_empty() {
        let message = "of which prefix? ask for `/api/v2/templates?prefix=<prefix>`";
        return Err(Failure::new(ResponseCode::PROTOCOL_ERROR, message).into());
    }
    let prefix = Handle::of_prefix(prefix)?;
    may_list(node, asked, &prefix).await?;
    sought::have_indexes(node).await?;
    let key = prefix_key(prefix.borrow(), node.site().case_rule());
    let after = asked.params.first("after");
    let (mut handles, next) = find(node, KEY_TYPE, &key, after, limit(asked)?)?;
    if let Some(code) = asked.params.first("category") {
        let tree = categories_handle(prefix_of(&prefix))?;
        let tree = category::shown(node, asked, &tree).await?;
        if tree.get(code).is_none() {
            let code = code.to_owned();
            return Err(CategoryFault::Missing { code }.into());
        }
        // Whether a template is in a category is told by what it says, also of a draft: its name
        // is listed, too.
        handles.retain(|handle| {
            sought::template(node, handle)
                .is_ok_and(|(template, _)| tree.is_in(&template.definition().category, code))
        });
    }
    Ok(answer(asked, &handles, next))
}

/// The registrations of a template, those with a value in a field, or those that refer to a record.
pub(super) async fn registrations(node: &Node, asked: &Asked) -> Result<Response, Problem> {
    let param = |name: &str| asked.params.first(name);
    let rule = node.site().case_rule();
    let (template, target) = (param("template"), param("refersTo"));
    let ((Some(named), None) | (None, Some(named))) = (template, target) else {
        let message = "which ones? give `template`, or `template` with `field` and `value`, or \
                       `refersTo`";
        return Err(Failure::new(ResponseCode::PROTOCOL_ERROR, message).into());
    };
    // Whether a template is there is told to those only who may list it.
    let owner = Handle::parse(named)?.borrow().prefix_handle();
    may_list(node, asked, &owner).await?;
    let (kind, data) = match (template, param("field")) {
        (None, _) => (LINK_TYPE, link(named, rule)),
        (Some(template), None) => {
            let (template, _) = sought::template(node, &Handle::parse(template)?)?;
            let data = template.handle().as_str().as_bytes().to_vec();
            (HANDLE_TYPE, data)
        }
        (Some(template), Some(field)) => {
            let (template, _) = sought::template(node, &Handle::parse(template)?)?;
            let value = param("value").unwrap_or_default();
            template.search(field, value, rule).map_err(|why| {
                let field = field.to_owned();
                vec![FieldFault { field, why }]
            })?
        }
    };
    sought::have_indexes(node).await?;
    let (found, next) = find(node, kind, &data, param("after"), limit(asked)?)?;
    let mut handles = Vec::with_capacity(found.len());
    for handle in found {
        let is_read = match kind {
            HANDLE_TYPE => true,
            _ => seen(node, asked, &handle).await.is_ok_and(|values| {
                let mut values = values.iter();
                values.any(|value| value.kind.eq_ignore_ascii_case(kind) && value.data == data)
            }),
        };
        if is_read {
            handles.push(handle);
        }
    }
    Ok(answer(asked, &handles, next))
}

/// `88.118.5` of `0.NA/88.118.5`.
fn prefix_of(handle: &Handle) -> &str {
    handle
        .as_str()
        .split_once('/')
        .map_or("", |(_, prefix)| prefix)
}

/// The identities of a kind under a prefix, or their groups.
pub(super) async fn identities(
    node: &Node,
    asked: &Asked,
    kind: Kind,
) -> Result<Response, Problem> {
    let (handles, next) = named(node, asked, kind).await?;
    Ok(answer(asked, &handles, next))
}

/// One page of the handles of a kind of identities: their names lie side by side.
pub(super) async fn named(
    node: &Node,
    asked: &Asked,
    kind: Kind,
) -> Result<(Vec<Handle>, Option<String>), Problem> {
    let prefix = asked.params.first("prefix").unwrap_or_default();
    if prefix.is_empty() {
        let message = "of which prefix? name it as `prefix=<prefix>`";
        return Err(Failure::new(ResponseCode::PROTOCOL_ERROR, message).into());
    }
    may_list(node, asked, &Handle::of_prefix(prefix)?).await?;
    let scope = Scope::of_prefix(prefix)?;
    let rule = node.site().case_rule();
    let begin = Handle::parse(&format!("{prefix}/{}", kind.lead()))?.key(rule);
    let after = asked.params.first("after").map(Handle::parse).transpose()?;
    let after = after.map(|after| after.key(rule));
    // What is asked for lies behind the lead, whatever `after` says.
    let from = after
        .as_ref()
        .filter(|after| **after > begin)
        .unwrap_or(&begin);
    let limit = limit(asked)?;
    let mut handles = Vec::new();
    for record in node
        .store
        .scan(&scope, Some(from.as_bytes()))
        .take(limit + 1)
    {
        let (key, record) = record?;
        if !key.starts_with(begin.as_bytes()) {
            break;
        }
        handles.push(record.handle().to_owned());
    }
    let next = match handles.len() > limit {
        true => {
            handles.truncate(limit);
            handles.last().map(ToString::to_string)
        }
        false => None,
    };
    Ok((handles, next))
}

/// Whether the caller may list the handles of a prefix, as for `/api/handles?prefix=`.
pub(in crate::http) async fn may_list(
    node: &Node,
    asked: &Asked,
    prefix: &Handle,
) -> Result<(), Failure> {
    if list::may_list(node, asked) {
        return Ok(());
    }
    if !asked.headers.contains_key(AUTHORIZATION) {
        let message = "lists are for the networks of `http.list_allow`, and for who proves over \
                       HTTPS that he may list the handles of the prefix";
        return Err(Failure::new(ResponseCode::AUTHENTICATION_NEEDED, message));
    }
    change::may_list(node, asked, prefix).await
}

pub(super) fn limit(asked: &Asked) -> Result<usize, Problem> {
    let limit = asked.params.number("limit")?;
    let limit = limit.map_or(Some(LIMIT_USUAL), |limit| usize::try_from(limit).ok());
    match limit {
        Some(limit @ 1..=LIMIT_MAX) => Ok(limit),
        _ => {
            let message = format!("parameter `limit`: from 1 to {LIMIT_MAX}");
            Err(Failure::new(ResponseCode::PROTOCOL_ERROR, message).into())
        }
    }
}

fn answer(asked: &Asked, handles: &[Handle], next: Option<String>) -> Response {
    let handles = handles.iter().map(ToString::to_string).collect();
    let mut response = json(asked, StatusCode::OK, &PageAnswer { handles, next });
    // The address of the caller may be what lets him.
    response.extensions_mut().insert(OwnOrigin);
    response
}
