//! The page of a record.

use guantong_proto::{HandleRef, Value};
use maud::{Markup, html};

use super::number;
use super::qr;
use super::series::{self, has_han};
use super::signature;
use super::text::Lang;
use super::value;
use super::view::{View, document};
use super::vocabulary;
use crate::http::path;
use crate::proof::Seal;
use crate::recurse::Source;

/// Types whose text is the name of what the record describes, and the language of the name.
const NAMES: [(&str, Lang); 2] = [("NAME.ZH", Lang::Zh), ("NAME.EN", Lang::En)];

/// Longest name used as a title, in characters.
const TITLE_CHARS_MAX: usize = 200;

/// What the page shows.
#[derive(Clone, Debug)]
pub(in crate::http) struct RecordPage<'a> {
    /// The handle as it was asked for.
    pub(in crate::http) handle: &'a str,
    /// The values that may be read and were asked for.
    pub(in crate::http) values: &'a [Value],
    /// Whether only some values were asked for.
    pub(in crate::http) is_selection: bool,
    /// Whether the handle leads somewhere when it is opened without `noredirect`.
    pub(in crate::http) has_target: bool,
    /// The address of the handle at this node, if the request said under which name it came.
    pub(in crate::http) address: Option<String>,
    /// Where the answer comes from.
    pub(in crate::http) source: Source,
    /// How the record is signed, if that is to be said.
    pub(in crate::http) seal: Option<Seal>,
}

/// The whole page.
pub(in crate::http) fn record(page: &RecordPage<'_>, view: &View<'_>) -> Markup {
    let text = view.text();
    let (title, subtitle) = names(page.values, view.lang);
    let figures = series::figures(page.values);
    let is_prefix = HandleRef::parse(page.handle).is_ok_and(HandleRef::is_prefix_handle);
    let heading = title.unwrap_or(page.handle);
    let content = html! {
        article class="record" {
            div class="lead" {
                p class="eyebrow" { @if is_prefix { (text.prefix_record) } @else { (text.record) } }
                h1 class=[title.is_none().then_some("is-handle")]
                    lang=[language(heading, view.lang)] {
                    (heading)
                }
                @if let Some(subtitle) = subtitle {
                    p class="subtitle" lang=[language(subtitle, view.lang)] { (subtitle) }
                }
                @if title.is_some() { p class="name" { code { (page.handle) } } }
                (tags(page.values, view))
            }
            (series::section(&figures, heading, view))
            (values(page, view))
            (facts(page, view))
        }
    };
    document(view, heading, Some(page.handle), &content)
}

/// The name in the language of the page, and the other one.
fn names(values: &[Value], lang: Lang) -> (Option<&str>, Option<&str>) {
    let name = |wanted: Lang| {
        let (kind, _) = NAMES.into_iter().find(|(_, lang)| *lang == wanted)?;
        let value = values
            .iter()
            .find(|value| value.kind.eq_ignore_ascii_case(kind))?;
        let text = value.text()?.trim();
        let fits = !text.is_empty() && text.chars().count() <= TITLE_CHARS_MAX;
        fits.then_some(text)
    };
    match (name(lang), name(lang.other())) {
        (Some(own), other) => (Some(own), other),
        (None, other) => (other, None),
    }
}

/// The tag of a language that is not that of the page.
fn language(text: &str, page: Lang) -> Option<&'static str> {
    match (has_han(text), page) {
        (true, Lang::En) => Some(Lang::Zh.tag()),
        (false, Lang::Zh) => Some(Lang::En.tag()),
        _ => None,
    }
}

/// Topic, sort and unit of a figure, if the record says them.
fn tags(values: &[Value], view: &View<'_>) -> Markup {
    let (lang, text) = (view.lang, view.text());
    let first = |kind: &str| {
        let value = values
            .iter()
            .find(|value| value.kind.eq_ignore_ascii_case(kind))?;
        value.text().filter(|text| text.chars().count() <= 60)
    };
    let tags = [
        (
            text.topic,
            first("TOPIC").map(|word| vocabulary::topic(word, lang)),
        ),
        (
            text.figure_kind,
            first("KIND").map(|word| vocabulary::kind(word, lang)),
        ),
        (
            text.unit,
            first("UNIT").map(|word| vocabulary::unit(word, lang)),
        ),
    ];
    html! {
        @if tags.iter().any(|(_, word)| word.is_some()) {
            dl class="tags" {
                @for (name, word) in tags {
                    @if let Some(word) = word { div { dt { (name) } dd { (word) } } }
                }
            }
        }
    }
}

//----------- Values ---------------------------------------------------------

fn values(page: &RecordPage<'_>, view: &View<'_>) -> Markup {
    let text = view.text();
    html! {
        section class="values" aria-labelledby="values" {
            h2 id="values" { (text.values) }
            @if page.is_selection {
                p class="hint" {
                    (text.selected_only) " "
                    a href=(view.record_href(page.handle)) { (text.show_all) }
                }
            }
            @if page.values.is_empty() {
                p { @if page.is_selection { (text.none_selected) } @else { (text.no_values) } }
            } @else {
                table class="cards" {
                    thead {
                        tr {
                            th scope="col" class="number" { (text.index) }
                            th scope="col" { (text.kind) }
                            th scope="col" { (text.data) }
                            th scope="col" { (text.access) }
                            th scope="col" { (text.changed) }
                        }
                    }
                    tbody { @for value in page.values { (row(value, page.handle, view)) } }
                }
            }
        }
    }
}

fn row(value: &Value, handle: &str, view: &View<'_>) -> Markup {
    let (lang, text) = (view.lang, view.text());
    let changed = match value.timestamp {
        0 => None,
        seconds => number::moment(seconds.into()),
    };
    html! {
        tr id={ "value-" (value.index) } {
            th scope="row" class="number" { (value.index) }
            td { span class="type" { (value.kind) } }
            td class="data" {
                @match series::summary(value, lang) {
                    Some(summary) => {
                        details {
                            summary { (summary) }
                            @let json = String::from_utf8_lossy(&value.data);
                            (value::block(&value::pretty_json(&json).unwrap_or_default(), view))
                        }
                    }
                    None => { (value::data(value, handle, view)) }
                }
                @if !value.references.is_empty() {
                    p class="hint" { (text.references) }
                    (value::references(&value.references, view))
                }
            }
            td class="small" { (value::access(value.permissions, lang)) }
            td data-label=(text.changed) class="small labelled" {
                @match changed {
                    Some(changed) => span class="nowrap" { (changed) },
                    None => (text.never),
                }
                br;
                span class="hint" {
                    (text.lifetime) (lang.pick(": ", "：")) (value::lifetime(value.ttl, lang))
                }
            }
        }
    }
}

//----------- Facts ----------------------------------------------------------

fn facts(page: &RecordPage<'_>, view: &View<'_>) -> Markup {
    let text = view.text();
    let handle = HandleRef::parse(page.handle).ok();
    let prefix = handle
        .filter(|handle| !handle.is_prefix_handle())
        .map(HandleRef::prefix_handle);
    let last = page
        .values
        .iter()
        .map(|value| value.timestamp)
        .max()
        .filter(|at| *at > 0);
    let code = page
        .address
        .as_deref()
        .and_then(|address| qr::code(address, text.qr));
    html! {
        aside aria-labelledby="about" {
            h2 id="about" { (text.about_record) }
            dl class="facts" {
                div { dt { (text.handle) } dd { code { (page.handle) } } }
                @if let Some(prefix) = prefix {
                    div {
                        dt { (text.prefix) }
                        dd {
                            a class="handle" href=(view.record_href(prefix.as_str())) { (prefix) }
                        }
                    }
                }
                div { dt { (text.value_count) } dd { (page.values.len()) } }
                @if let Some(source) = source(page.source, view) {
                    div { dt { (text.answered_from) } dd { (source) } }
                }
                @if let Some(seal) = &page.seal { (signature::row(seal, view)) }
                @if let Some(moment) = last.and_then(|at| number::moment(at.into())) {
                    div { dt { (text.last_change) } dd { (moment) } }
                }
            }
            p class="actions" {
                @if page.has_target {
                    a class="button" href=(path::link(page.handle)) rel="nofollow" {
                        (text.go_to_target)
                    }
                }
                a class="button" href={ (path::api_link(page.handle)) "?pretty" } { (text.json) }
            }
            @if let (Some(code), Some(address)) = (code, &page.address) {
                div class="qr-box" {
                    (code)
                    p {
                        span class="hint" { (text.address) }
                        br;
                        span class="address" { (address) }
                    }
                }
            }
        }
    }
}

/// Where the answer comes from, if not from this node.
fn source(source: Source, view: &View<'_>) -> Option<&'static str> {
    let text = view.text();
    match source {
        Source::Ours => None,
        Source::Network => Some(text.source_network),
        Source::Cache { .. } => Some(text.source_cache),
        Source::Stale { .. } => Some(text.source_stale),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(values: &[Value], lang: Lang) -> String {
        let page = RecordPage {
            handle: "88.118.5/5g-base-stations",
            values,
            is_selection: false,
            has_target: false,
            address: Some("http://127.0.0.1:8000/88.118.5/5g-base-stations".to_owned()),
            source: Source::Ours,
            seal: None,
        };
        record(&page, &View::sample(lang)).into_string()
    }

    fn named() -> Vec<Value> {
        vec![
            Value::new(1, "NAME.ZH", "5G基站数"),
            Value::new(2, "NAME.EN", "5G base stations"),
            Value::new(5, "TOPIC", "telecom"),
        ]
    }

    #[test]
    fn title_is_the_name_in_the_language_of_the_page() {
        let en = page(&named(), Lang::En);
        assert!(en.contains("<h1>5G base stations</h1>"), "{en}");
        assert!(
            en.contains("<p class=\"subtitle\" lang=\"zh-CN\">5G基站数</p>"),
            "{en}"
        );
        let zh = page(&named(), Lang::Zh);
        assert!(
            zh.contains("<h1>5G基站数</h1>") && zh.contains("lang=\"zh-CN\""),
            "{zh}"
        );
        assert!(zh.contains("电信"), "{zh}");
    }

    #[test]
    fn handle_is_the_title_of_a_record_without_names() {
        let html = page(&[Value::new(1, "URL", "https://example.org/")], Lang::En);
        assert!(
            html.contains("<h1 class=\"is-handle\">88.118.5/5g-base-stations</h1>"),
            "{html}"
        );
    }

    #[test]
    fn names_types_and_handles_are_escaped() {
        let evil = "<script>alert(1)</script>";
        let values = [Value::new(1, "NAME.EN", evil), Value::new(2, evil, evil)];
        let page = RecordPage {
            handle: "1/\"><script>alert(1)</script>",
            values: &values,
            is_selection: true,
            has_target: true,
            address: Some(format!("http://h/{evil}")),
            source: Source::Ours,
            seal: None,
        };
        let html = record(&page, &View::sample(Lang::En)).into_string();
        assert!(!html.contains("<script"), "{html}");
    }
}
