//! The start page: what this node is, a search box, what it homes.

use maud::{Markup, html};

use super::number;
use super::text::Lang;
use super::view::{View, document, search_form};

/// What the page shows.
#[derive(Clone, Debug)]
pub(in crate::http) struct StartPage {
    /// Homed prefixes without `0.NA/`, with the number of their records if the reader may know it.
    pub(in crate::http) homed: Vec<(String, Option<u64>)>,
    /// Some handles to look at; empty if the reader may not list them.
    pub(in crate::http) samples: Vec<Sample>,
}

/// A handle with the name of what it describes.
#[derive(Clone, Debug)]
pub(in crate::http) struct Sample {
    /// The handle.
    pub(in crate::http) handle: String,
    /// Its name in Chinese.
    pub(in crate::http) name_zh: Option<String>,
    /// Its name in English.
    pub(in crate::http) name_en: Option<String>,
}

impl Sample {
    fn name(&self, lang: Lang) -> Option<&str> {
        let (own, other) = lang.pick(
            (&self.name_en, &self.name_zh),
            (&self.name_zh, &self.name_en),
        );
        own.as_deref().or(other.as_deref())
    }
}

/// The whole page.
pub(in crate::http) fn start(page: &StartPage, view: &View<'_>) -> Markup {
    let text = view.text();
    let content = html! {
        div class="start" {
            section class="hero" {
                p class="eyebrow" { (text.start_title) " · " (view.node) }
                h1 { "Guantong " span lang="zh-CN" { "贯通" } }
                p class="lead-text" { (text.start_lead) }
                (search_form(view, "", "hero-search"))
                p class="hint" { (text.start_how) }
            }
            section aria-labelledby="homed" {
                h2 id="homed" { (text.homed) }
                @if page.homed.is_empty() {
                    p { (text.homed_none) " " (text.homed_hint) }
                } @else {
                    ul class="tiles" { @for entry in &page.homed { (homed(entry, view)) } }
                }
            }
            @if !page.samples.is_empty() {
                section aria-labelledby="samples" {
                    h2 id="samples" { (text.samples) }
                    ul class="tiles" { @for sample in &page.samples { (tile(sample, view)) } }
                }
            }
            (for_programs(page, view))
        }
    };
    document(view, text.start_title, None, &content)
}

fn homed((prefix, records): &(String, Option<u64>), view: &View<'_>) -> Markup {
    let text = view.text();
    html! {
        li {
            a class="tile" href=(view.record_href(&format!("0.NA/{prefix}"))) {
                span class="tile-title handle" { (prefix) }
                @if let Some(records) = records {
                    span class="hint" {
                        (number::count(*records)) " "
                        (if *records == 1 { text.one_record } else { text.records })
                    }
                }
            }
        }
    }
}

fn tile(sample: &Sample, view: &View<'_>) -> Markup {
    html! {
        li {
            a class="tile" href=(view.record_href(&sample.handle)) {
                @if let Some(name) = sample.name(view.lang) { span class="tile-title" { (name) } }
                span class="hint handle" { (sample.handle) }
            }
        }
    }
}

fn for_programs(page: &StartPage, view: &View<'_>) -> Markup {
    let text = view.text();
    let prefix = page
        .homed
        .first()
        .map_or("88.118.5", |(prefix, _)| prefix.as_str());
    let handle = match page.samples.first() {
        Some(sample) => sample.handle.clone(),
        None => format!("0.NA/{prefix}"),
    };
    let lines = [
        (crate::http::path::api_link(&handle), text.api_record),
        ("/api/site".to_owned(), text.api_site),
        ("/api/prefixes".to_owned(), text.api_prefixes),
    ];
    html! {
        section aria-labelledby="programs" {
            h2 id="programs" { (text.for_programs) }
            ul class="paths" {
                @for (path, what) in lines {
                    li {
                        a href={ (path) "?pretty" } { code { (path) } }
                        span class="hint" { (what) }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_page_leads_to_prefixes_and_records() {
        let page = StartPage {
            homed: vec![
                ("88.118.5".to_owned(), Some(1_294)),
                ("<b>".to_owned(), None),
            ],
            samples: vec![Sample {
                handle: "88.118.5/x".to_owned(),
                name_zh: Some("甲".to_owned()),
                name_en: None,
            }],
        };
        let html = start(&page, &View::sample(Lang::En)).into_string();
        assert!(
            html.contains("1,294 records") && html.contains("甲"),
            "{html}"
        );
        assert!(
            html.contains("href=\"/0.NA/88.118.5?noredirect\""),
            "{html}"
        );
        assert!(!html.contains("<b>"), "{html}");
    }
}
