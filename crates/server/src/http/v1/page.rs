//! Lists with page numbers, of templates and of identifiers.
//!
//! The store lists by keyset and counts nothing. A short list is looked through and sorted, newest
//! first. A long one is in the order of its index: its names are counted, and the records of one
//! page are read. What is beyond all bounds is said to be there, and not counted.

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

/// Most records that one list is looked through for, to sort it or to ask for times. Each takes up
/// to three reads of the store.
pub(super) const LISTED_MAX: usize = 10_000;
/// Most names that one list is counted through. A thousand of them take one read of an index.
const COUNTED_MAX: usize = 100_000;
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

    fn is_timed(&self) -> bool {
        self.from.is_some() || self.to.is_some()
    }

    /// Number of the first entry of the page.
    fn start(&self) -> usize {
        self.page.saturating_mul(self.size)
    }

    pub(super) fn of_all(&self, mut all: Vec<(String, Json)>) -> Page {
        // Newest first, as people look for them.
        all.sort_by(|(a, _), (b, _)| Reverse(a).cmp(&Reverse(b)));
        let total = all.len();
        let content = all.into_iter().skip(self.start()).take(self.size);
        self.page_of(total, content.map(|(_, entry)| entry).collect())
    }

    fn page_of(&self, total: usize, content: Vec<Json>) -> Page {
        Page {
            page_size: self.size,
            page_number: self.page.saturating_add(1),
            total_count: total,
            total_page: total.div_ceil(self.size),
            truncated: false,
            content,
        }
    }
}

//----------- Sieve ----------------------------------------------------------

/// How far a list is looked through.
#[derive(Clone, Copy)]
struct Bounds {
    sorted: usize,
    counted: usize,
}

/// Takes the names of a list one by one, in the order of the index, and keeps those that are shown.
struct Sieve<'a> {
    wanted: &'a Wanted<'a>,
    bounds: Bounds,
    /// The first ones, if the list is short enough to be sorted.
    all: Vec<Handle>,
    /// Those of the page, if it is not.
    page: Vec<Handle>,
    count: usize,
    is_cut: bool,
}

impl<'a> Sieve<'a> {
    fn new(wanted: &'a Wanted<'a>, bounds: Bounds) -> Self {
        Self {
            wanted,
            bounds,
            all: Vec::new(),
            page: Vec::new(),
            count: 0,
            is_cut: false,
        }
    }

    /// Whether it goes on.
    fn take(&mut self, handle: Handle) -> bool {
        let part = self.wanted.name.unwrap_or_default().to_ascii_lowercase();
        if !handle.as_str().to_ascii_lowercase().contains(&part) {
            return true;
        }
        // Whether its times fit is known only when it is read.
        let most = match self.wanted.is_timed() {
            true => self.bounds.sorted,
            false => self.bounds.counted,
        };
        if self.count == most {
            self.is_cut = true;
            return false;
        }
        let start = self.wanted.start();
        if (start..start.saturating_add(self.wanted.size)).contains(&self.count) {
            self.page.push(handle.clone());
        }
        if self.count < self.bounds.sorted {
            self.all.push(handle);
        }
        self.count += 1;
        true
    }

    fn is_sorted(&self) -> bool {
        self.count <= self.bounds.sorted
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
    let bounds = Bounds {
        sorted: LISTED_MAX,
        counted: LISTED_MAX,
    };
    let found = found(node, (KEY_TYPE, &key), Sieve::new(&wanted, bounds)).await?;
    let mut all = Vec::new();
    for handle in found.all {
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
    Ok(Some(json!(Page {
        truncated: found.is_cut,
        ..wanted.of_all(all)
    })))
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
    let bounds = Bounds {
        sorted: LISTED_MAX,
        counted: COUNTED_MAX,
    };
    let found = found(node, (HANDLE_TYPE, &data), Sieve::new(&wanted, bounds)).await?;
    let is_sorted = found.is_sorted();
    let entry = |handle: &Handle| {
        let times = Times::of(node, handle, &[], true);
        let entry = json!({
            "handleName": handle.as_str(),
            "createdBy": times.creator,
            "createTime": times.created,
            "createdTime": times.created,
            "updateTime": times.updated,
        });
        let takes = wanted.takes(handle.as_str(), &times);
        takes.then_some((times.created, entry))
    };
    let page = match is_sorted {
        true => wanted.of_all(found.all.iter().filter_map(entry).collect()),
        false => {
            let content = found.page.iter().filter_map(entry);
            wanted.page_of(found.count, content.map(|(_, entry)| entry).collect())
        }
    };
    Ok(Some(json!(Page {
        truncated: found.is_cut,
        ..page
    })))
}

async fn allowed(node: &Node, asked: &Asked, prefix: &Handle) -> Result<(), Refusal> {
    let may = may_list(node, asked, prefix).await;
    may.map_err(|failure| Deed::Template.refused(failure))
}

/// The records with a value of this type and data, as far as the sieve goes.
async fn found<'a>(
    node: &Node,
    (kind, data): (&str, &[u8]),
    mut sieve: Sieve<'a>,
) -> Result<Sieve<'a>, Refusal> {
    let refused = |problem| Deed::Read.refused(problem);
    sought::have_indexes(node).await?;
    let mut after: Option<String> = None;
    loop {
        let (handles, next) =
            sought::find(node, kind, data, after.as_deref(), AT_A_TIME).map_err(refused)?;
        for handle in handles {
            if !sieve.take(handle) {
                return Ok(sieve);
            }
        }
        match next {
            Some(next) => after = Some(next),
            None => return Ok(sieve),
        }
        // Others want to be answered, too.
        tokio::task::yield_now().await;
    }
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

    /// The numbers of the handles that a sieve keeps of so many.
    fn kept(wanted: &Wanted<'_>, count: usize) -> (Vec<String>, Vec<String>, usize, bool) {
        let bounds = Bounds {
            sorted: 4,
            counted: 8,
        };
        let mut sieve = Sieve::new(wanted, bounds);
        for number in 0..count {
            let handle = Handle::parse(&format!("88.1/{number}")).unwrap();
            if !sieve.take(handle) {
                break;
            }
        }
        let numbers = |handles: &[Handle]| {
            let suffixes = handles
                .iter()
                .map(|handle| handle.borrow().suffix().to_owned());
            suffixes.collect()
        };
        (
            numbers(&sieve.all),
            numbers(&sieve.page),
            sieve.count,
            sieve.is_cut,
        )
    }

    #[test]
    fn long_list_is_counted_and_one_page_of_it_kept() {
        let second = Wanted {
            page: 2,
            size: 3,
            from: None,
            to: None,
            name: None,
        };
        let (all, _, count, is_cut) = kept(&second, 4);
        assert_eq!((all.len(), count, is_cut), (4, 4, false));
        let (_, page, count, is_cut) = kept(&second, 8);
        assert_eq!(
            (page, count, is_cut),
            (vec!["6".into(), "7".into()], 8, false)
        );
        let (all, _, count, is_cut) = kept(&second, 9);
        assert_eq!((all.len(), count, is_cut), (4, 8, true));
        let named = Wanted {
            name: Some("88.1/1"),
            ..second
        };
        assert_eq!(kept(&named, 20).2, 8);
        assert_eq!(kept(&named, 13).2, 4);
    }

    #[test]
    fn list_by_times_is_looked_through_no_further_than_it_is_sorted() {
        let timed = Wanted {
            page: 0,
            size: 3,
            from: Some(0),
            to: None,
            name: None,
        };
        assert_eq!((kept(&timed, 4).2, kept(&timed, 4).3), (4, false));
        assert_eq!((kept(&timed, 5).2, kept(&timed, 5).3), (4, true));
    }
}
