//! What is registered by a template: the list, and search in it.

use axum::response::Response;
use maud::{Markup, html};
use serde_json::Value as Json;

use super::frame::{self, Tab, head};
use super::templates::texts;
use super::visit::{Trouble, Visit, of_registration, of_template, place};
use crate::http::path::in_query;

/// Registrations of a page; each is read for what the table shows.
const PAGE: usize = 25;
/// Fields that have a column; the page of a record has all of them.
const COLUMNS: usize = 4;

super::words::words! {
    title: "Registrations", "注册列表";
    which: "Of which template?", "请选择模板";
    which_text: "Choose one of the templates.", "请先选择一个模板。";
    templates: "Templates", "元数据模板";
    none: "Nothing is registered by this template", "该模板下还没有注册";
    none_found: "Nothing was found", "没有找到";
    none_text: "Register one thing with the form, or many with a file.", "可逐条注册，或用文件批量导入。";
    register: "Register", "注册";
    import: "Import", "批量导入";
    labels: "Labels", "打印标签";
    search: "Search", "检索";
    field: "Field", "字段";
    value: "Value", "值";
    all: "Show all", "显示全部";
    handle: "Identifier", "标识";
    next: "Next page", "下一页";
    withheld: "withheld", "不可见";
}

/// The page.
pub(super) async fn show(visit: &Visit<'_>) -> Response {
    let words = words(visit.lang);
    let Some(template) = visit.asked("template") else {
        let link = Some(("/templates", words.templates));
        let content = html! {
            (head(words.title, "", None))
            (frame::empty(words.which, words.which_text, link))
        };
        return frame::page(visit, Tab::Templates, words.title, &content);
    };
    let content = match visit.get(&of_template(template)).await {
        Ok(told) => content(visit, template, &told.json).await,
        Err(trouble) => html! { (head(words.title, "", None)) (frame::trouble(visit, &trouble)) },
    };
    frame::page(visit, Tab::Templates, words.title, &content)
}

async fn content(visit: &Visit<'_>, handle: &str, template: &Json) -> Markup {
    let words = words(visit.lang);
    let definition = &template["definition"];
    let title = definition["title"].as_str().unwrap_or(handle);
    let of = |path: &str| place(path, &[("template", handle)]);
    let actions = html! {
        @if template["state"] == "published" {
            a class="button strong" href=(of("/registration/edit")) { (words.register) }
            a class="button" href=(of("/import")) { (words.import) }
        }
        a class="button" href=(of("/labels")) { (words.labels) }
    };
    html! {
        (head(title, "", Some(actions)))
        p class="tags" {
            a class="handle hint" href=(place("/template", &[("handle", handle)])) { (handle) }
        }
        (search(visit, handle, definition))
        @match found(visit, handle).await {
            Ok((rows, next)) => (table(visit, definition, &rows, next.as_deref())),
            Err(trouble) => (frame::trouble(visit, &trouble)),
        }
    }
}

fn search(visit: &Visit<'_>, handle: &str, definition: &Json) -> Markup {
    let words = words(visit.lang);
    let is_found_by = |field: &&Json| {
        field["unique"] == true
            || field["searchable"] == true
            || field["kind"]["type"] == "reference"
    };
    let fields: Vec<&Json> = fields(definition).iter().filter(is_found_by).collect();
    html! {
        @if !fields.is_empty() {
            form class="line" method="get" action="/registrations" {
                input type="hidden" name="template" value=(handle);
                label {
                    span { (words.field) }
                    select name="field" {
                        @for field in fields {
                            @let name = field["name"].as_str().unwrap_or_default();
                            option value=(name) selected[visit.asked("field") == Some(name)] {
                                (label(field))
                            }
                        }
                    }
                }
                label {
                    span { (words.value) }
                    input type="search" name="value" required
                        value=(visit.asked("value").unwrap_or_default());
                }
                button type="submit" class="button" { (words.search) }
                @if visit.asked("value").is_some() {
                    a class="button" href=(place("/registrations", &[("template", handle)])) {
                        (words.all)
                    }
                }
            }
        }
    }
}

/// The fields of a definition that are in use.
pub(super) fn fields(definition: &Json) -> &[Json] {
    definition["fields"]
        .as_array()
        .map_or(&[][..], Vec::as_slice)
}

/// How people call a field.
pub(super) fn label(field: &Json) -> &str {
    let label = field["label"].as_str().filter(|label| !label.is_empty());
    label.or_else(|| field["name"].as_str()).unwrap_or_default()
}

/// A value of a field in one line.
pub(super) fn said(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        Json::Array(parts) => parts.iter().map(said).collect::<Vec<_>>().join("; "),
        other => other.to_string(),
    }
}

type Found = (Vec<(String, Json)>, Option<String>);

/// The registrations of a page with what the viewer may see of each, and where the next one begins.
async fn found(visit: &Visit<'_>, template: &str) -> Result<Found, Trouble> {
    let mut target = format!(
        "/api/v2/registrations?template={}&limit={PAGE}",
        in_query(template)
    );
    if let (Some(field), Some(value)) = (visit.asked("field"), visit.asked("value")) {
        target.push_str(&format!(
            "&field={}&value={}",
            in_query(field),
            in_query(value)
        ));
    }
    if let Some(after) = visit.asked("after") {
        target.push_str(&format!("&after={}", in_query(after)));
    }
    let page = visit.get(&target).await?.json;
    let mut rows = Vec::new();
    for handle in texts(&page["handles"]) {
        let shown = visit
            .get(&of_registration(handle))
            .await
            .map(|told| told.json);
        rows.push((handle.to_owned(), shown.unwrap_or_default()));
    }
    Ok((rows, page["next"].as_str().map(str::to_owned)))
}

fn table(
    visit: &Visit<'_>,
    definition: &Json,
    rows: &[(String, Json)],
    next: Option<&str>,
) -> Markup {
    let words = words(visit.lang);
    if rows.is_empty() {
        let title = if visit.asked("value").is_some() {
            words.none_found
        } else {
            words.none
        };
        return frame::empty(title, words.none_text, None);
    }
    let columns: Vec<&Json> = fields(definition).iter().take(COLUMNS).collect();
    let more = next.map(|next| {
        let mut pairs = vec![("after", next)];
        let kept = ["template", "field", "value"].map(|name| (name, visit.asked(name)));
        pairs.extend(
            kept.into_iter()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        place("/registrations", &pairs)
    });
    html! {
        div class="card scroll" tabindex="0" role="region" aria-label=(words.title) {
            table class="cards" {
                thead {
                    tr {
                        th scope="col" { (words.handle) }
                        @for field in &columns { th scope="col" { (label(field)) } }
                    }
                }
                tbody {
                    @for (handle, shown) in rows {
                        tr {
                            th scope="row" {
                                a class="handle" href=(place("/record", &[("handle", handle)])) {
                                    (handle)
                                }
                            }
                            @for field in &columns {
                                @let name = field["name"].as_str().unwrap_or_default();
                                @let value = &shown["fields"][name];
                                td data-label=(label(field)) {
                                    @if value.is_null() && shown["withheld"] == true {
                                        span class="hint" { (words.withheld) }
                                    } @else { (said(value)) }
                                }
                            }
                        }
                    }
                }
            }
        }
        @if let Some(more) = more { p { a class="button" href=(more) { (words.next) } } }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_said_in_one_line() {
        assert_eq!(said(&json!(["1/a", "1/b"])), "1/a; 1/b");
        assert_eq!(
            (said(&json!(7.5)), said(&Json::Null)),
            ("7.5".to_owned(), String::new())
        );
        assert_eq!(label(&json!({"name": "n", "label": ""})), "n");
        assert_eq!(label(&json!({"name": "n", "label": "名"})), "名");
    }
}
