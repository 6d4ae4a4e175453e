//! What a record refers to, and what refers to it: a graph that is walked from record to record.

use maud::{Markup, html};
use serde_json::Value as Json;

use super::registrations::{fields, label, said};
use super::templates::texts;
use super::visit::{Visit, of_registration, of_template, place};
use crate::http::path::in_query;

/// Records on one side of the graph.
const SIDE_MAX: usize = 20;

super::words::words! {
    before: "Refer to it", "引用它的记录";
    here: "This record", "当前记录";
    behind: "It refers to", "它引用的记录";
    none: "none", "无";
    more: "and more", "还有更多";
    hidden: "not shown to you", "您无权查看";
}

/// A record beside the one that is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Neighbour {
    handle: String,
    /// By which field.
    by: String,
}

/// The records that a registration refers to, by its reference fields.
fn targets(definition: &Json, values: &Json) -> Vec<Neighbour> {
    let mut found = Vec::new();
    for field in fields(definition) {
        if field["kind"]["type"] != "reference" {
            continue;
        }
        let value = &values[field["name"].as_str().unwrap_or_default()];
        let handles = match value {
            Json::Array(_) => texts(value),
            _ => value.as_str().into_iter().collect(),
        };
        found.extend(handles.into_iter().map(|handle| Neighbour {
            handle: handle.to_owned(),
            by: label(field).to_owned(),
        }));
    }
    found
}

/// What people call a registration: the first value that they may see.
async fn caption(visit: &Visit<'_>, handle: &str) -> String {
    let Ok(told) = visit.get(&of_registration(handle)).await else {
        return String::new();
    };
    let template = told.json["template"].as_str().unwrap_or_default();
    let definition = visit.get(&of_template(template)).await;
    let definition = definition
        .map(|told| told.json["definition"].clone())
        .unwrap_or_default();
    let title = definition["title"].as_str().unwrap_or_default();
    let values = &told.json["fields"];
    let mut names = fields(&definition)
        .iter()
        .filter_map(|field| field["name"].as_str());
    let first = names.find_map(|name| Some(said(&values[name])).filter(|text| !text.is_empty()));
    match first {
        Some(first) => format!("{title} · {first}"),
        None => title.to_owned(),
    }
}

/// The graph around a registration.
pub(super) async fn graph(
    visit: &Visit<'_>,
    handle: &str,
    definition: &Json,
    values: &Json,
) -> Markup {
    let words = words(visit.lang);
    let target = format!(
        "/api/v2/registrations?refersTo={}&limit={SIDE_MAX}",
        in_query(handle)
    );
    let sources = match visit.get(&target).await {
        Ok(told) => texts(&told.json["handles"])
            .into_iter()
            .map(|source| Neighbour {
                handle: source.to_owned(),
                by: String::new(),
            })
            .collect(),
        Err(_) => Vec::new(),
    };
    let before = side(visit, &sources).await;
    let behind = side(visit, &targets(definition, values)).await;
    html! {
        div class="graph" {
            div {
                h3 { (words.before) }
                (before)
            }
            div class="graph-here" {
                h3 { (words.here) }
                p class="handle" { (handle) }
            }
            div {
                h3 { (words.behind) }
                (behind)
            }
        }
    }
}

async fn side(visit: &Visit<'_>, neighbours: &[Neighbour]) -> Markup {
    let words = words(visit.lang);
    let mut shown = Vec::new();
    for neighbour in neighbours.iter().take(SIDE_MAX) {
        shown.push((neighbour, caption(visit, &neighbour.handle).await));
    }
    html! {
        @if shown.is_empty() { p class="hint" { (words.none) } }
        ul {
            @for (neighbour, caption) in &shown {
                li {
                    a href=(place("/record", &[("handle", &neighbour.handle), ("walk", "1")])) {
                        @if !neighbour.by.is_empty() { span class="hint" { (neighbour.by) } }
                        span class="handle" { (neighbour.handle) }
                        span class="hint" {
                            (if caption.is_empty() { words.hidden } else { caption.as_str() })
                        }
                    }
                }
            }
        }
        @if neighbours.len() > SIDE_MAX { p class="hint" { (words.more) } }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_are_followed_by_their_fields() {
        let definition = json!({"fields": [
            {"name": "serial", "kind": {"type": "text"}},
            {"name": "parent", "label": "Part of", "kind": {"type": "reference"}},
            {"name": "parts", "kind": {"type": "reference", "countMax": 9}}]});
        let values = json!({"serial": "1/no", "parent": "1/a", "parts": ["1/b", "1/c", 7]});
        let found = targets(&definition, &values);
        let found: Vec<_> = found
            .iter()
            .map(|n| (n.handle.as_str(), n.by.as_str()))
            .collect();
        assert_eq!(
            found,
            [("1/a", "Part of"), ("1/b", "parts"), ("1/c", "parts")]
        );
        assert!(targets(&definition, &json!(null)).is_empty());
    }
}
