//! One record, and all about it: what it says, how it is signed, what it refers to, what happened
//! to it, and a code for the thing.

use axum::response::Response;
use guantong_proto::json::Record;
use guantong_proto::{Handle, Value};
use maud::{Markup, html};
use serde_json::Value as Json;

use super::code::{Code, address};
use super::frame::{self, Tab, head};
use super::history;
use super::links;
use super::registrations::{fields, label, said};
use super::visit::{Trouble, Visit, of_record, of_registration, of_template, place};
use crate::http::page::{Lang, View, number, signature, value};

super::words::words! {
    title: "Record", "标识记录";
    which: "Which record? Look for it with its identifier.", "请先输入标识查找记录。";
    to_resolve: "Resolve an identifier", "解析标识";
    to_record: "All about this record", "查看完整记录";
    done: "Done. The record is kept and resolves from now on.", "已完成。记录已保存，即刻可解析。";
    unchecked: "Not checked, because the node of what they refer to could not be asked:",
        "以下字段引用的标识所在节点暂时无法访问，未作检查：";
    index: "Index", "索引";
    kind: "Type", "类型";
    data: "Data", "数据";
    access: "Access", "权限";
    changed: "Changed", "更新时间";
    withheld: "There are values that you may not see.", "另有您无权查看的值。";
    none: "The record has no values that you may see.", "没有您可以查看的值。";
    values: "Values", "标识值";
    says: "What is registered", "注册内容";
    by: "by the template", "所属模板";
    edit: "Change", "修改";
    labels: "Print labels", "打印标签";
    grants: "Grants", "数据授权";
    code: "Code for the thing", "实物编码";
    code_text: "Whoever scans it opens the record.", "扫码即可打开该记录。";
    qr: "QR code", "二维码";
    matrix: "Data Matrix", "Data Matrix 码";
    links: "Links", "关联关系";
    history: "What happened to it", "变更历史";
    history_none: "The history is shown to those who may read every value of the record.",
        "变更历史仅对能读取全部值者可见。";
}

/// The values of a record that the viewer may see.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) values: Vec<Value>,
    /// Whether this node holds the record.
    pub(super) is_ours: bool,
    /// Whether there are values that he may not see.
    pub(super) is_withheld: bool,
}

/// Asks the API for a record.
pub(super) async fn fetch(visit: &Visit<'_>, handle: &str) -> Result<Shown, Trouble> {
    let target = of_record(handle);
    let told = match visit.get(&target).await {
        // Who may not see everything still sees what everybody sees.
        Err(trouble) if trouble.status == 403 && visit.viewer.is_some() => {
            visit.get(&format!("{target}?publicOnly")).await?
        }
        told => told?,
    };
    let record = Record::parse(&told.octets).map_err(|error| Trouble {
        status: 502,
        message: error.to_string(),
        fields: Vec::new(),
    })?;
    let stored = Handle::parse(handle).ok().and_then(|handle| {
        let key = handle.borrow().key(visit.node.site().case_rule());
        visit.node.store.get(key.as_bytes()).ok()?
    });
    let all = stored.as_ref().map(|stored| stored.values().len());
    Ok(Shown {
        is_ours: all.is_some(),
        is_withheld: all.is_some_and(|all| all > record.values.len()),
        values: record.values,
    })
}

/// The words of a link to the page of a record.
pub(super) fn to_record(lang: Lang) -> &'static str {
    words(lang).to_record
}

//----------- Page -----------------------------------------------------------

/// The page.
pub(super) async fn show(visit: &Visit<'_>) -> Response {
    let words = words(visit.lang);
    let Some(handle) = visit.asked("handle") else {
        let content = html! {
            (head(words.title, "", None))
            (frame::empty(words.title, words.which, Some(("/resolve", words.to_resolve))))
        };
        return frame::page(visit, Tab::Resolve, words.title, &content);
    };
    let content = match fetch(visit, handle).await {
        Ok(shown) => content(visit, handle, &shown).await,
        Err(trouble) => html! { (head(handle, "", None)) (frame::trouble(visit, &trouble)) },
    };
    frame::page(visit, Tab::Resolve, handle, &content)
}

/// A registration with the template that it was made by.
struct Registered {
    template: String,
    definition: Json,
    values: Json,
}

async fn registered(visit: &Visit<'_>, handle: &str) -> Option<Registered> {
    let told = visit.get(&of_registration(handle)).await.ok()?;
    let template = told.json["template"].as_str()?.to_owned();
    let definition = visit.get(&of_template(&template)).await.ok()?;
    Some(Registered {
        definition: definition.json["definition"].clone(),
        values: told.json["fields"].clone(),
        template,
    })
}

async fn content(visit: &Visit<'_>, handle: &str, shown: &Shown) -> Markup {
    let words = words(visit.lang);
    let registered = registered(visit, handle).await;
    let parsed = Handle::parse(handle).ok();
    let graph = links::graph(visit, handle, registered.is_some()).await;
    let actions = html! {
        @if registered.is_some() {
            a class="button" href=(place("/registration/edit", &[("handle", handle)])) {
                (words.edit)
            }
            a class="button" href=(place("/grants", &[("handle", handle)])) { (words.grants) }
        }
        a class="button" href=(place("/labels", &[("handle", handle)])) { (words.labels) }
    };
    html! {
        (head(handle, "", Some(actions)))
        @if visit.asked("done").is_some() { p class="notice" role="status" { (words.done) } }
        @if let Some(fields) = visit.asked("unchecked") {
            p class="notice" { (words.unchecked) " " code { (fields) } }
        }
        div class={ "two" (if registered.is_some() { " wide-left" } else { "" }) } {
            @if let Some(it) = &registered { (says(it, words)) }
            (codes(visit, handle, words))
            @if let Some(handle) = &parsed { (seal(visit, handle, shown).await) }
        }
        section class="card" aria-labelledby="values" {
            h2 id="values" { (words.values) }
            (values(visit, handle, shown))
        }
        @if let Some(graph) = graph {
            section class="card" aria-labelledby="links" { h2 id="links" { (words.links) } (graph) }
        }
        section class="card" aria-labelledby="history" {
            h2 id="history" { (words.history) }
            @match &parsed {
                Some(handle) if shown.is_ours && !shown.is_withheld => {
                    (history::table(visit, handle))
                }
                _ => p class="hint" { (words.history_none) },
            }
        }
    }
}

fn says(it: &Registered, words: &Words) -> Markup {
    let title = it.definition["title"].as_str().unwrap_or(&it.template);
    html! {
        section class="card" aria-labelledby="says" {
            h2 id="says" { (words.says) }
            p class="hint" {
                (words.by) " " a href=(place("/template", &[("handle", &it.template)])) { (title) }
            }
            dl class="facts" {
                @for field in fields(&it.definition) {
                    @let value = &it.values[field["name"].as_str().unwrap_or_default()];
                    @if field["kind"]["type"] == "reference" {
                        @let targets = said(value);
                        @for target in targets.split("; ").filter(|target| !target.is_empty()) {
                            div { dt { (label(field)) } dd { (link(target)) } }
                        }
                    } @else if !value.is_null() {
                        div { dt { (label(field)) } dd { (said(value)) } }
                    }
                }
            }
        }
    }
}

fn link(handle: &str) -> Markup {
    html! { a class="handle" href=(place("/record", &[("handle", handle)])) { (handle) } }
}

fn codes(visit: &Visit<'_>, handle: &str, words: &Words) -> Markup {
    let address = address(visit, handle);
    let text = address.as_deref().unwrap_or(handle);
    let codes = [(Code::Qr, words.qr), (Code::DataMatrix, words.matrix)];
    html! {
        section class="card" aria-labelledby="code" {
            h2 id="code" { (words.code) }
            div class="codes" {
                @for (code, word) in codes {
                    @if let Some(drawn) = code.draw(text, word) {
                        figure { (drawn) figcaption class="hint" { (word) } }
                    }
                }
            }
            p class="hint" { (words.code_text) }
            p class="address" { (text) }
        }
    }
}

async fn seal(visit: &Visit<'_>, handle: &Handle, shown: &Shown) -> Markup {
    let public = shown
        .values
        .iter()
        .filter(|value| value.permissions.public_read());
    let public: Vec<Value> = public.cloned().collect();
    let config = visit.node.config();
    match visit.node.seal(handle, &public).await {
        Some(seal) => html! {
            section class="card" {
                dl class="facts" { (signature::row(&seal, &view(visit, &config.name))) }
            }
        },
        None => html! {},
    }
}

fn view<'a>(visit: &Visit<'_>, node: &'a str) -> View<'a> {
    View {
        lang: visit.lang,
        keep_lang: false,
        switch: String::new(),
        node,
        is_console: true,
    }
}

/// The values as a table.
pub(super) fn values(visit: &Visit<'_>, handle: &str, shown: &Shown) -> Markup {
    let words = words(visit.lang);
    let config = visit.node.config();
    let view = view(visit, &config.name);
    html! {
        @if shown.values.is_empty() { p { (words.none) } }
        @else {
            table class="cards values" {
                thead {
                    tr {
                        th class="number" scope="col" { (words.index) }
                        th scope="col" { (words.kind) }
                        th scope="col" { (words.data) }
                        th scope="col" { (words.access) }
                        th scope="col" { (words.changed) }
                    }
                }
                tbody {
                    @for entry in &shown.values {
                        tr {
                            th class="number" scope="row" { (entry.index) }
                            td class="type" { (entry.kind) }
                            td class="data" { (value::data(entry, handle, &view)) }
                            td class="hint" data-label=(words.access) {
                                (value::access(entry.permissions, visit.lang))
                            }
                            td class="hint" data-label=(words.changed) {
                                (number::moment(entry.timestamp.into()).unwrap_or_default())
                            }
                        }
                    }
                }
            }
        }
        @if shown.is_withheld { p class="notice warn" { (words.withheld) } }
    }
}
