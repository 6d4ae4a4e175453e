//! What every page is drawn with: language, links, and the frame around the content.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::text::{Lang, Text};
use crate::http::path;

/// The address of the style sheet; the version makes browsers fetch the one of this release.
const STYLE: &str = concat!("/-/style.css?v=", env!("CARGO_PKG_VERSION"));
/// The address of the icon.
const ICON: &str = "/-/icon.svg";

//----------- View -----------------------------------------------------------

/// How a page is seen: by whom, and from where.
#[derive(Clone, Debug)]
pub(crate) struct View<'a> {
    /// The language.
    pub(crate) lang: Lang,
    /// Whether links keep the language, because it was asked for by name.
    pub(crate) keep_lang: bool,
    /// The same page in the other language.
    pub(crate) switch: String,
    /// The name of the node.
    pub(crate) node: &'a str,
    /// Whether it is a page of the console, where records have a page of their own.
    pub(crate) is_console: bool,
}

impl View<'_> {
    /// The catalogue of the language.
    pub(in crate::http) fn text(&self) -> &'static Text {
        self.lang.text()
    }

    /// The page that shows the record of `handle`, whatever it points to.
    pub(in crate::http) fn record_href(&self, handle: &str) -> String {
        if self.is_console {
            return format!("/record?handle={}", path::in_query(handle));
        }
        let lang = match self.keep_lang {
            true => format!("&lang={}", self.lang.param()),
            false => String::new(),
        };
        format!("{}?noredirect{lang}", path::link(handle))
    }

    /// The start page.
    pub(in crate::http) fn start_href(&self) -> String {
        match self.keep_lang {
            true => format!("/?lang={}", self.lang.param()),
            false => "/".to_owned(),
        }
    }

    #[cfg(test)]
    pub(super) fn sample(lang: Lang) -> Self {
        Self {
            lang,
            keep_lang: false,
            switch: "?lang=zh".to_owned(),
            node: "sample",
            is_console: false,
        }
    }
}

//----------- Frame ----------------------------------------------------------

/// The whole document around `content`. `search` is what the search box at the top holds; without
/// it there is no such box.
pub(in crate::http) fn document(
    view: &View<'_>,
    title: &str,
    search: Option<&str>,
    content: &Markup,
) -> Markup {
    let text = view.text();
    html! {
        (DOCTYPE)
        html lang=(view.lang.tag()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · " (text.product) }
                link rel="icon" type="image/svg+xml" href=(ICON);
                link rel="stylesheet" href=(STYLE);
            }
            body {
                a class="skip" href="#content" { (text.skip) }
                header class="bar" {
                    div class="bar-inner" {
                        a class="brand" href=(view.start_href()) {
                            (logo())
                            span { "Guantong" } span class="brand-zh" lang="zh-CN" { "贯通" }
                        }
                        @if let Some(search) = search { (search_form(view, search, "bar-search")) }
                        a class="switch" href=(view.switch) lang=(view.lang.other().tag())
                            hreflang=(view.lang.other().tag()) { (text.other_language) }
                    }
                }
                main id="content" { (content) }
                footer { (text.footer) " · " (view.node) " · " (env!("CARGO_PKG_VERSION")) }
            }
        }
    }
}

/// The form that leads to a record.
pub(super) fn search_form(view: &View<'_>, value: &str, class: &str) -> Markup {
    let text = view.text();
    let hint = text.search_hint;
    html! {
        form class={ "search " (class) } action="/-/go" method="get" role="search" {
            input type="search" name="handle" value=(value) aria-label=(text.search_label)
                placeholder=(hint) maxlength="2048" required autocapitalize="off"
                autocomplete="off" spellcheck="false";
            @if view.keep_lang { input type="hidden" name="lang" value=(view.lang.param()); }
            button type="submit" { (text.search) }
        }
    }
}

fn logo() -> Markup {
    html! {
        svg class="logo" viewBox="0 0 32 32" aria-hidden="true" { (PreEscaped(LOGO_SHAPES)) }
    }
}

/// Two links of a chain with one line through both.
const LOGO_SHAPES: &str = concat!(
    r#"<g fill="none" stroke="currentColor" stroke-width="2.6" stroke-linecap="round">"#,
    r#"<path d="M13 9H9.5a7 7 0 0 0 0 14H13M19 9h3.5a7 7 0 0 1 0 14H19M10 16h12"/></g>"#,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_keep_the_language_that_was_asked_for() {
        let mut view = View::sample(Lang::Zh);
        assert_eq!(view.record_href("1/中"), "/1/%E4%B8%AD?noredirect");
        view.is_console = true;
        assert_eq!(view.record_href("1/a&b"), "/record?handle=1/a%26b");
        view.is_console = false;
        view.keep_lang = true;
        assert_eq!(view.record_href("1/x"), "/1/x?noredirect&lang=zh");
        assert_eq!(view.start_href(), "/?lang=zh");
    }

    #[test]
    fn titles_and_search_text_are_escaped() {
        let view = View::sample(Lang::En);
        let html =
            document(&view, "</title><script>", Some("\"><script>"), &html! {}).into_string();
        assert!(!html.contains("<script"));
    }
}
