//! What others have granted to the viewer, and taken from him (授权通知), newest first.

use maud::{Markup, html};
use serde_json::Value as Json;

use super::frame;
use super::visit::{Visit, place};
use crate::http::page::number;
use crate::http::path::in_query;

/// Requests for a page: each looks at a part of the change log.
const ASKED_MAX: usize = 5;
/// Notices that are shown.
const SHOWN: usize = 50;

super::words::words! {
    at: "When", "时间";
    what: "What", "对象";
    how: "How", "方式";
    none: "Nothing was granted to you yet, by what this node knows.", "本节点尚无授予您的权限记录。";
    granted: "granted", "已授予";
    revoked: "taken away", "已取消";
    to_read: "to read", "读";
    to_write: "to write", "写";
    field: "field", "字段";
    of_all: "of everything registered by", "适用于据此注册的全部标识：";
}

/// The table.
pub(super) async fn table(visit: &Visit<'_>) -> Markup {
    let words = words(visit.lang);
    let identity = visit.viewer.as_ref().map_or("", |viewer| &viewer.identity);
    let mut notices: Vec<Json> = Vec::new();
    let mut after = 0;
    for _ in 0..ASKED_MAX {
        let target = format!("/api/v2/grants?to={}&after={after}", in_query(identity));
        let told = match visit.get(&target).await {
            Ok(told) => told.json,
            Err(trouble) => return frame::trouble(visit, &trouble),
        };
        let more = told["notices"].as_array();
        notices.extend(more.into_iter().flatten().cloned());
        after = told["next"].as_u64().unwrap_or_default();
        if told["more"] != true {
            break;
        }
    }
    html! {
        @if notices.is_empty() { p class="hint" { (words.none) } }
        @else {
            table class="cards" {
                thead {
                    tr {
                        th scope="col" { (words.at) }
                        th scope="col" { (words.how) }
                        th scope="col" { (words.what) }
                    }
                }
                tbody { @for notice in notices.iter().rev().take(SHOWN) { (row(notice, words)) } }
            }
        }
    }
}

fn row(notice: &Json, words: &Words) -> Markup {
    let text = |name: &str| notice[name].as_str().unwrap_or_default();
    let at = notice["at"].as_i64().and_then(number::moment);
    let (class, action) = match text("action") {
        "granted" => ("tag good", words.granted),
        _ => ("tag", words.revoked),
    };
    let access = match text("access") {
        "write" => words.to_write,
        _ => words.to_read,
    };
    let path = match text("object") {
        "registration" => "/record",
        _ => "/template",
    };
    html! {
        tr {
            td class="nowrap" { (at.unwrap_or_default()) }
            td { span class=(class) { (action) } " " (access) }
            td {
                @if !text("field").is_empty() {
                    (words.field) " " code { (text("field")) } " " (words.of_all) " "
                }
                a class="handle" href=(place(path, &[("handle", text("handle"))])) {
                    (text("handle"))
                }
            }
        }
    }
}
