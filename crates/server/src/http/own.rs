//! What the node shows about itself, and the files of its pages.

use std::cmp::Reverse;

use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use axum::response::{IntoResponse, Response};
use guantong_proto::HandleRef;
use guantong_store::{Scope, StoredRecord};

use super::answer::{self, Failure};
use super::asked::Asked;
use super::cors::OwnOrigin;
use super::page::{self, Sample, StartPage};
use super::{list, path};
use crate::node::Node;

/// Prefixes on the start page; `/api/prefixes` has all of them.
const HOMED_MAX: usize = 48;
/// Records on the start page.
const SAMPLES_MAX: usize = 12;
/// Records looked at to find them.
const SAMPLE_SCAN_MAX: usize = 400;

/// The start page. Counts and names of records are shown to those who may list them.
pub(super) fn start(node: &Node, asked: &Asked) -> Result<Response, Failure> {
    let may_list = list::may_list(node, asked);
    let mut homed = Vec::new();
    let mut samples = Vec::new();
    for handle in node.store.homed().iter().take(HOMED_MAX) {
        let prefix = handle.borrow().suffix().to_owned();
        let scope = Scope::of_prefix(&prefix)?;
        if may_list && samples.is_empty() {
            samples = find_samples(node, &scope)?;
        }
        let count = may_list.then(|| node.store.count(&scope)).transpose()?;
        homed.push((prefix, count));
    }
    let config = node.config();
    let view = asked.view(&config.name);
    let start = StartPage { homed, samples };
    let mut response = answer::page(StatusCode::OK, page::start(&start, &view));
    if may_list {
        response.extensions_mut().insert(OwnOrigin);
    }
    Ok(response)
}

/// The records with a name that say most, else the first ones.
fn find_samples(node: &Node, scope: &Scope) -> Result<Vec<Sample>, Failure> {
    let mut samples = Vec::new();
    for record in node.store.scan(scope, None).take(SAMPLE_SCAN_MAX) {
        let (_, record) = record?;
        if record.values().iter().any(|value| value.is_state()) {
            continue;
        }
        samples.push((record.values().len(), sample(&record)));
    }
    // The sort keeps the order of those that are alike.
    samples.sort_by_key(|(values, sample)| {
        let is_named = sample.name_en.is_some() || sample.name_zh.is_some();
        Reverse(if is_named { *values } else { 0 })
    });
    samples.truncate(SAMPLES_MAX);
    Ok(samples.into_iter().map(|(_, sample)| sample).collect())
}

fn sample(record: &StoredRecord) -> Sample {
    let name = |kind: &[u8]| {
        let mut values = record.values().iter();
        let value =
            values.find(|v| v.permissions.public_read() && v.kind.eq_ignore_ascii_case(kind))?;
        let text = std::str::from_utf8(value.data).ok()?.trim();
        (!text.is_empty() && text.len() <= 300).then(|| text.to_owned())
    };
    Sample {
        handle: record.handle().to_string(),
        name_zh: name(b"NAME.ZH"),
        name_en: name(b"NAME.EN"),
    }
}

/// Answers a request below `/-/`.
pub(super) fn answer(node: &Node, asked: &Asked, path: &str) -> Response {
    match path {
        "style.css" => file("text/css;charset=UTF-8", page::STYLE),
        "icon.svg" => icon(),
        "go" => go(asked),
        _ => {
            let code = guantong_proto::message::ResponseCode::HANDLE_NOT_FOUND;
            let message = "paths below `/-/` belong to the pages of this node; a handle that \
                           begins with `-/` is reached as `/hdl:-/…`";
            Failure::new(code, message).into_page(asked, node)
        }
    }
}

/// Where the search form leads: to the record of the handle, as text and not as a redirect.
fn go(asked: &Asked) -> Response {
    let wanted = asked.params.first("handle").unwrap_or_default().trim();
    let lang = match asked.params.first("lang") {
        Some(lang) => format!("&lang={}", path::in_query(lang)),
        None => String::new(),
    };
    let location = match HandleRef::parse(wanted) {
        Ok(handle) => format!("{}?noredirect{lang}", path::link(handle.as_str())),
        Err(_) => "/".to_owned(),
    };
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}

/// The icon.
pub(super) fn icon() -> Response {
    file("image/svg+xml", page::ICON_SVG)
}

/// Robots may read records; the forms and the API are of no use to them.
pub(super) fn robots() -> Response {
    file(
        "text/plain;charset=UTF-8",
        "User-agent: *\nDisallow: /-/\nDisallow: /api/\n",
    )
}

/// A file of the pages. Its address changes with every release, so it may be kept for a day.
fn file(media_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, media_type),
        (CACHE_CONTROL, "public, max-age=86400"),
    ];
    (StatusCode::OK, headers, text).into_response()
}
