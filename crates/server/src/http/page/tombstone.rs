//! The page of a record that was: why it is gone, since when, and what took its place.
//!
//! It shows nothing else of the record, and leads nobody anywhere by itself: whether the successor
//! is what the visitor means is for the visitor to decide.

use guantong_proto::Handle;
use maud::{Markup, html};

use super::number;
use super::view::{View, document};

/// What the page shows.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Tombstone<'a> {
    /// The handle as it was asked for.
    pub(in crate::http) handle: &'a str,
    /// Why, in one line; may be empty.
    pub(in crate::http) reason: &'a str,
    /// What is to be used instead.
    pub(in crate::http) successor: Option<&'a Handle>,
    /// Since when, in seconds since 1970.
    pub(in crate::http) since_secs: Option<i64>,
}

/// The whole page.
pub(in crate::http) fn tombstone(page: &Tombstone<'_>, view: &View<'_>) -> Markup {
    let text = view.text();
    let since = page.since_secs.and_then(number::moment);
    let content = html! {
        article class="error tombstone" {
            p class="eyebrow" { "410" }
            h1 { (text.withdrawn) }
            p class="name" { code { (page.handle) } }
            p class="lead-text" { (text.withdrawn_lead) }
            dl class="facts" {
                @if !page.reason.is_empty() {
                    div { dt { (text.withdrawn_reason) } dd { (page.reason) } }
                }
                @if let Some(since) = since {
                    div { dt { (text.withdrawn_since) } dd { (since) } }
                }
                @if let Some(successor) = page.successor {
                    div {
                        dt { (text.withdrawn_successor) }
                        dd {
                            a href=(view.record_href(successor.as_str())) {
                                code { (successor) }
                            }
                        }
                    }
                }
            }
            p { a href=(view.start_href()) { (text.to_start) } }
        }
    };
    document(view, text.withdrawn, Some(page.handle), &content)
}

/// The page of a record that was removed then, in seconds since 1970: that, and nothing else of it.
pub(in crate::http) fn removed(handle: &str, at_secs: i64, view: &View<'_>) -> Markup {
    let text = view.text();
    let content = html! {
        article class="error tombstone" {
            p class="eyebrow" { "410" }
            h1 { (text.removed) }
            p class="name" { code { (handle) } }
            p class="lead-text" { (text.removed_lead) }
            @if let Some(at) = number::moment(at_secs) {
                dl class="facts" { div { dt { (text.removed_when) } dd { (at) } } }
            }
            p { a href=(view.start_href()) { (text.to_start) } }
        }
    };
    document(view, text.removed, Some(handle), &content)
}

#[cfg(test)]
mod tests {
    use super::super::text::Lang;
    use super::*;

    #[test]
    fn page_of_a_removed_record_says_when_and_escapes_its_name() {
        for (lang, words) in [(Lang::En, "was removed"), (Lang::Zh, "已删除")] {
            let html = removed("88.118.5/<b>", 1_772_323_200, &View::sample(lang)).into_string();
            assert!(
                html.contains("2026-03-01") && html.contains(words),
                "{html}"
            );
            assert!(!html.contains("<b>"), "{html}");
            // A time that no calendar has is left out.
            removed("88.118.5/a", i64::MAX, &View::sample(lang));
        }
    }

    #[test]
    fn page_says_what_there_is_to_say_and_escapes_it() {
        let successor = Handle::parse("88.118.5/\"><img src=x>").unwrap();
        let mut page = Tombstone {
            handle: "88.118.5/<b>",
            reason: "<script>alert(1)</script>",
            successor: Some(&successor),
            since_secs: Some(1_772_323_200),
        };
        for lang in [Lang::En, Lang::Zh] {
            let html = tombstone(&page, &View::sample(lang)).into_string();
            assert!(
                html.contains("2026-03-01") && html.contains("&lt;script&gt;"),
                "{html}"
            );
            assert!(!html.contains("<img") && !html.contains("<script") && !html.contains("<b>"));
        }
        page = Tombstone {
            reason: "",
            successor: None,
            since_secs: None,
            ..page
        };
        let html = tombstone(&page, &View::sample(Lang::En)).into_string();
        assert!(
            !html.contains("Reason") && !html.contains("Successor"),
            "{html}"
        );
    }
}
