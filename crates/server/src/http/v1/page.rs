//! Lists with page numbers, of templates and of identifiers.
//!
//! The store lists by keyset and counts nothing, so what is listed is looked through up to a limit.

use std::cmp::Reverse;

use axum::http::Method;
use guantong_api::doip::Page;
use guantong_core::template::{HANDLE_TYPE, KEY_TYPE, prefix_key};
use guantong_proto::Handle;
use serde_json::{Value as Json, json};

use super::super::asked::Asked;
use super::super::v2::page::may_list;
use super::super::v2::sought;
use super::meta::own_prefix;
use super::object::sender;
use super::refusal::{Deed, Refusal};
use super::retrieve::{self, Times};
use super::{Said, category, handle, moment, param, unsupported};
use crate::node::Node;

/// Most records that one list is looked through for; the counts of a longer one are those of its
/// beginning. Each takes up to three reads of the store.
pub(super) const LISTED_MAX: usize = 10_000;
/// Entries of a page if `size` does not say how many.
const SIZE_USUAL: usize = 10;
/// Most entries of a page.
const SIZE_MAX: usize = 1_000;
/// Handles that are taken from the store at a time.
const AT_A_TIME: usize = 1_000;

/// Which page is asked for, and from when to when.
pub(super) struct Wanted<'a> {
    page: usize,
    size: usize,
    from: Option<i64>,
    to: Option<i64>,
    /// A part of the name.
    name: Option<&'a str>,
}

impl<'a> Wanted<'a> {
    pub(super) fn of(asked: &'a Asked, name: &str) -> Result<Self, Refusal> {
        let number = |name: &'static str, usual: usize| match asked.params.first(name) {
            None | Some("" | "null") => Ok(usual),
            Some(text) => text.trim().parse().map_err(|_| {
                Refusal::parameter(format!("`{name}` is a whole number from 0, not `{text}`"))
            }),
        };
        let time = |name: &'static str| match asked.params.first(name).map(str::trim) {
            None | Some("" | "null") => Ok(None),
            Some(text) => moment::parse(text).map(Some).ok_or_else(|| {
                Refusal::parameter(format!("`{name}` is yyyy-MM-dd HH:mm:ss, not `{text}`"))
            }),
        };
        let size = number("size", SIZE_USUAL)?;
        if !(1..=SIZE_MAX).contains(&size) {
            return Err(Refusal::parameter(format!(
                "`size` is from 1 to {SIZE_MAX}"
            )));
        }
        Ok(Self {
            page: number("page", 0)?,
            size,
            from: time("startTime")?,
            to: time("endTime")?,
            name: asked
                .params
                .first(name)
                .map(str::trim)
                .filter(|name| !name.is_empty()),
        })
    }

    fn takes(&self, name: &str, times: &Times) -> bool {
        let at = moment::parse(&times.created);
        let is_named = self.name.is_none_or(|part| {
            name.to_ascii_lowercase()
                .contains(&part.to_ascii_lowercase())
        });
        is_named
            && self.from.is_none_or(|from| at.is_some_and(|at| at >= from))
            && self.to.is_none_or(|to| at.is_some_and(|at| at <= to))
    }

    pub(super) fn of_all(&self, mut all: Vec<(String, Json)>) -> Page {
        // Newest first, as people look for them.
        all.sort_by(|(a, _), (b, _)| Reverse(a).cmp(&Reverse(b)));
        let start = self.page.saturating_mul(self.size);
        let total = all.len();
        let content = all
            .into_iter()
            .skip(start)
            .take(self.size)
            .map(|(_, entry)| entry);
        Page {
            page_size: self.size,
            page_number: self.page.saturating_add(1),
            total_count: total,
            total_page: total.div_ceil(self.size),
            content: content.collect(),
        }
    }
}

/// The templates of a category under the prefix of the caller.
pub(super) async fn templates(node: &Node, asked: &Asked) -> Said {
    let category = param(asked, "classifyCode")?.to_owned();
    let wanted = Wanted::of(asked, "metaHandle")?;
    let state = match asked.params.first("metaState").map(str::trim) {
        None | Some("" | "null") => None,
        Some(text @ ("0" | "1")) => Some(i64::from(text == "1")),
        Some(text) => {
            return Err(Refusal::parameter(format!(
                "`metaState` is 0 or 1, not `{text}`"
            )));
        }
    };
    let sender = sender(node, asked).await?;
    let prefix = own_prefix(node, &sender)?;
    let categories = category::of_prefix(node, asked, &prefix).await?;
    category::check(&categories, Some(&category))?;
    let prefix = Handle::of_prefix(&prefix)?;
    allowed(node, asked, &prefix).await?;
    let key = prefix_key(prefix.borrow(), node.site().case_rule());
    let mut all = Vec::new();
    for handle in found(node, KEY_TYPE, &key).await? {
        let Ok((template, _)) = sought::template(node, &handle) else {
            continue;
        };
        let times = Times::of(node, &handle, &[], true);
        let is_it = categories.is_in(&template.definition().category, &category)
            && state.is_none_or(|state| retrieve::state(&template) == state);
        if is_it && wanted.takes(handle.as_str(), &times) {
            let definition = template.definition();
            let entry = json!({
                "metaHandle": handle.as_str(),
                "metaName": definition.title,
                "metaCode": definition.code,
                "metaState": retrieve::state(&template),
                "isQuote": i32::from(template.is_quoted()),
                "createdTime": times.created,
                "classifyName": categories.of_code(&definition.category).name,
            });
            all.push((times.created, entry));
        }
    }
    Ok(Some(json!(wanted.of_all(all))))
}

/// The identifiers that are registered by a template.
pub(super) async fn handles(node: &Node, asked: &Asked) -> Said {
    if !matches!(asked.method, Method::GET | Method::HEAD) {
        return Err(unsupported(asked, "GET"));
    }
    let named = handle(param(asked, "metaHandle")?)?;
    let wanted = Wanted::of(asked, "handleName")?;
    sender(node, asked).await?;
    allowed(node, asked, &named.borrow().prefix_handle()).await?;
    let found_template = sought::template(node, &named);
    let (template, _) = found_template.map_err(|problem| Deed::Template.refused(problem))?;
    let data = template.handle().as_str().as_bytes().to_vec();
    let mut all = Vec::new();
    for handle in found(node, HANDLE_TYPE, &data).await? {
        let times = Times::of(node, &handle, &[], true);
        if wanted.takes(handle.as_str(), &times) {
            let entry = json!({
                "handleName": handle.as_str(),
                "createdBy": times.creator,
                "createTime": times.created,
                "createdTime": times.created,
                "updateTime": times.updated,
            });
            all.push((times.created, entry));
        }
    }
    Ok(Some(json!(wanted.of_all(all))))
}

async fn allowed(node: &Node, asked: &Asked, prefix: &Handle) -> Result<(), Refusal> {
    let may = may_list(node, asked, prefix).await;
    may.map_err(|failure| Deed::Template.refused(failure))
}

/// The records with this value, up to [`LISTED_MAX`].
async fn found(node: &Node, kind: &str, data: &[u8]) -> Result<Vec<Handle>, Refusal> {
    let refused = |problem| Deed::Read.refused(problem);
    sought::have_indexes(node).await?;
    let (mut all, mut after) = (Vec::new(), None);
    while all.len() < LISTED_MAX {
        let (handles, next) =
            sought::find(node, kind, data, after.as_deref(), AT_A_TIME).map_err(refused)?;
        all.extend(handles);
        match next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    all.truncate(LISTED_MAX);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_count_from_nought_and_are_told_from_one() {
        let wanted = |page, size| Wanted {
            page,
            size,
            from: None,
            to: None,
            name: None,
        };
        let all = || {
            (0..25)
                .map(|n| (format!("{n:02}"), json!(n)))
                .collect::<Vec<_>>()
        };
        let page = wanted(2, 10).of_all(all());
        assert_eq!(
            (page.page_number, page.total_count, page.total_page),
            (3, 25, 3)
        );
        assert_eq!(page.content, [4, 3, 2, 1, 0].map(|n| json!(n)));
        assert!(wanted(usize::MAX, 10).of_all(all()).content.is_empty());
        assert_eq!(wanted(0, 10).of_all(Vec::new()).total_page, 0);
    }
}
