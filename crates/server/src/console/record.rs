//! One record: its values as the viewer may see them.

use axum::response::Response;
use guantong_proto::json::Record;
use guantong_proto::{Handle, Value};
use maud::{Markup, html};

use super::frame::{self, Tab, head};
use super::visit::{Trouble, Visit, of_record};
use crate::http::page::{Lang, View, number, value};

super::words::words! {
    title: "Record", "标识记录";
    which: "Which record? Look for it with its identifier.", "请先输入标识查找记录。";
    to_resolve: "Resolve an identifier", "解析标识";
    to_record: "All about this record", "查看完整记录";
    index: "Index", "索引";
    kind: "Type", "类型";
    data: "Data", "数据";
    access: "Access", "权限";
    changed: "Changed", "更新时间";
    withheld: "There are values that you may not see.", "另有您无权查看的值。";
    none: "The record has no values that you may see.", "没有您可以查看的值。";
    values: "Values", "值";
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
    let handle = Handle::parse(handle).ok();
    let stored = handle.and_then(|handle| {
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

/// The values as a table.
pub(super) fn values(visit: &Visit<'_>, handle: &str, shown: &Shown) -> Markup {
    let words = words(visit.lang);
    let config = visit.node.config();
    let view = View {
        lang: visit.lang,
        keep_lang: false,
        switch: String::new(),
        node: &config.name,
        is_console: true,
    };
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
    let shown = fetch(visit, handle).await;
    let content = html! {
        (head(handle, "", None))
        section class="card" aria-labelledby="values" {
            h2 id="values" { (words.values) }
            @match &shown {
                Ok(shown) => (values(visit, handle, shown)),
                Err(trouble) => (frame::trouble(visit, trouble)),
            }
        }
    };
    frame::page(visit, Tab::Resolve, handle, &content)
}
