//! Grants (授权): who else reads and writes what, of a template for all that is registered by it, and
//! of one registration.

use axum::http::Method;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Value as Json, json};

use super::frame::{self, Tab, head};
use super::templates::texts;
use super::visit::{Trouble, Visit, lead, place};
use crate::http::path::in_path;

super::words::words! {
    title: "Grants", "数据授权";
    lead: "Who else reads and writes what. A template rules all that is registered by it; a \
        registration may have a rule of its own instead.",
        "授权他人读写。模板的规则适用于据其注册的全部标识；单个标识可另设规则取而代之。";
    handle: "Template or registration", "模板或标识";
    show: "Show", "查看";
    rule: "Rule that holds", "生效规则";
    class: "that of the template", "同类授权（模板）";
    own: "its own", "单个授权";
    follow: "Follow the template", "改为遵循模板";
    readers: "Readers", "可读者";
    writers: "Writers", "可写者";
    everybody: "everybody", "所有人";
    administrators: "administrators only", "仅管理员";
    fields: "Fields", "字段";
    field: "Field", "字段";
    whole: "the record itself", "整条记录";
    change: "Change", "变更授权";
    subjects: "Whom", "授权对象";
    subjects_hint: "everybody, 300:PREFIX/App_x, or 200:PREFIX/Group_x; one in each line",
        "everybody、300:前缀/App_x 或 200:前缀/Group_x，每行一个";
    right: "Right", "权限";
    read: "read", "读";
    write: "write", "写";
    add: "Grant", "授权";
    remove: "Take away", "撤销";
}

fn target(handle: &str) -> String {
    format!("/api/v2/grants/{}", in_path(handle))
}

/// The grants of a record.
pub(super) async fn show(visit: &Visit<'_>) -> Response {
    page(visit, visit.asked("handle"), None).await
}

/// Grants something, or takes it away.
pub(super) async fn act(visit: &Visit<'_>) -> Response {
    let handle = visit.field("handle").unwrap_or_default();
    let subjects = visit
        .field("subjects")
        .unwrap_or_default()
        .lines()
        .map(str::trim);
    let subjects: Vec<&str> = subjects.filter(|line| !line.is_empty()).collect();
    let right = match visit.field("right") {
        Some("write") => "writers",
        _ => "readers",
    };
    let edit = match visit.field("do") {
        Some("remove") => json!({"remove": subjects}),
        _ => json!({"add": subjects}),
    };
    let body = match (visit.field("do"), visit.field("field")) {
        (Some("follow"), _) => json!({"rule": "class"}),
        (_, Some(field)) => json!({"fields": [{"field": field, right: edit}]}),
        (_, None) => json!({right: edit}),
    };
    match visit.send(Method::PATCH, &target(handle), &body).await {
        Ok(_) => lead(&place("/grants", &[("handle", handle)])),
        Err(trouble) => page(visit, Some(handle), Some(&trouble)).await,
    }
}

async fn page(visit: &Visit<'_>, handle: Option<&str>, trouble: Option<&Trouble>) -> Response {
    let words = words(visit.lang);
    let found = match handle {
        Some(handle) => Some((handle, visit.get(&target(handle)).await)),
        None => None,
    };
    let content = html! {
        (head(words.title, words.lead, None))
        form class="line" method="get" action="/grants" {
            label {
                span { (words.handle) }
                input type="search" name="handle" value=(handle.unwrap_or_default()) required
                    spellcheck="false" placeholder="88.118.5/META_battery";
            }
            button type="submit" class="button" { (words.show) }
        }
        @if let Some(trouble) = trouble { (frame::trouble(visit, trouble)) }
        @match &found {
            Some((handle, Ok(told))) => (grants(visit, handle, &told.json)),
            Some((_, Err(trouble))) => (frame::trouble(visit, trouble)),
            None => {}
        }
    };
    frame::page(visit, Tab::Grants, words.title, &content)
}

fn grants(visit: &Visit<'_>, handle: &str, json: &Json) -> Markup {
    let words = words(visit.lang);
    let fields = json["fields"].as_array().map_or(&[][..], Vec::as_slice);
    let rule = match json["rule"].as_str() {
        Some("own") => Some(words.own),
        Some(_) => Some(words.class),
        None => None,
    };
    html! {
        section class="card" {
            dl class="facts" {
                @if let Some(rule) = rule { div { dt { (words.rule) } dd { (rule) } } }
                div { dt { (words.readers) } dd { (subjects(json, "readers", words)) } }
                @if !texts(&json["writers"]).is_empty() {
                    div { dt { (words.writers) } dd { (subjects(json, "writers", words)) } }
                }
            }
        }
        @if !fields.is_empty() {
            section class="card" {
                h2 { (words.fields) }
                table class="cards" {
                    thead {
                        tr {
                            th scope="col" { (words.field) }
                            th scope="col" { (words.readers) }
                            th scope="col" { (words.writers) }
                        }
                    }
                    tbody {
                        @for field in fields {
                            @let name = field["field"].as_str().unwrap_or_default();
                            tr {
                                th scope="row" { code { (name) } }
                                td data-label=(words.readers) {
                                    (subjects(field, "readers", words))
                                }
                                td data-label=(words.writers) {
                                    (subjects(field, "writers", words))
                                }
                            }
                        }
                    }
                }
            }
        }
        (form(visit, handle, json, fields))
    }
}

/// Whom a grant names.
fn subjects(json: &Json, right: &str, words: &Words) -> Markup {
    let named = texts(&json[right]);
    let is_open = right == "readers" && json["everybody"] == true;
    html! {
        @if is_open { span class="tag good" { (words.everybody) } " " }
        @else if named.is_empty() { span class="hint" { (words.administrators) } }
        @for subject in named { code { (subject) } " " }
    }
}

fn form(visit: &Visit<'_>, handle: &str, json: &Json, fields: &[Json]) -> Markup {
    let words = words(visit.lang);
    // Fields are ruled by their template; of a registration, the record is.
    let has_fields = json["rule"].is_null();
    html! {
        form class="card fields" method="post" action="/grants" {
            h2 { (words.change) }
            (frame::token(visit))
            input type="hidden" name="handle" value=(handle);
            div class="side" {
                @if has_fields {
                    label {
                        span { (words.field) }
                        select name="field" {
                            option value="" { (words.whole) }
                            @for field in fields {
                                @let name = field["field"].as_str().unwrap_or_default();
                                option value=(name) { (name) }
                            }
                        }
                    }
                }
                label {
                    span { (words.right) }
                    select name="right" {
                        option value="read" { (words.read) }
                        option value="write" { (words.write) }
                    }
                }
            }
            label {
                span { (words.subjects) }
                textarea class="code" name="subjects" rows="3" spellcheck="false" {}
                span class="hint" { (words.subjects_hint) }
            }
            div class="actions" {
                button type="submit" class="button strong" name="do" value="add" { (words.add) }
                button type="submit" class="button danger" name="do" value="remove" {
                    (words.remove)
                }
                @if json["rule"] == "own" {
                    button type="submit" class="button" name="do" value="follow" { (words.follow) }
                }
            }
        }
    }
}
