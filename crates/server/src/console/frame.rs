//! The document around every page: header, navigation, footer; and the parts that pages share.

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::visit::{TOKEN, Theme, Trouble, Viewer, Visit, place};

const STYLE: &str = concat!("/-/console.css?v=", env!("CARGO_PKG_VERSION"));
const SCRIPT: &str = concat!("/-/console.js?v=", env!("CARGO_PKG_VERSION"));

super::words::words! {
    product: "Guantong console", "贯通控制台";
    skip: "Skip to the content", "跳到正文";
    menu: "Pages", "页面";
    search: "Resolve", "解析";
    search_label: "Identifier", "标识";
    search_hint: "Identifier, for example 88.118.5/…", "标识，例如 88.118.5/…";
    language: "中文", "English";
    theme_system: "Theme: as the system", "外观：跟随系统";
    theme_light: "Theme: light", "外观：浅色";
    theme_dark: "Theme: dark", "外观：深色";
    sign_in: "Sign in", "登录";
    sign_out: "Sign out", "退出";
    signed_in_as: "Signed in as", "当前身份";
    footer: "Guantong, node of an identifier-resolution network", "贯通，标识解析网络节点";
    home: "Overview", "概览";
    resolve: "Resolve", "解析";
    templates: "Templates", "模板";
    import: "Import", "导入";
    labels: "Labels", "标签";
    grants: "Grants", "授权";
    identities: "Identities", "身份";
    prefixes: "Prefixes", "前缀";
    enterprises: "Enterprises", "企业";
    audit: "Audit", "审计";
    settings: "Settings", "设置";
    missing: "There is no such page", "没有这个页面";
    missing_text: "The address may be mistyped, or the page may have moved.",
        "地址可能有误，或页面已移走。";
    to_home: "To the overview", "返回概览";
    needs_sign_in: "Sign in to go on", "请先登录";
    refused: "Not allowed", "没有权限";
    refused_text: "Your identity has no right to this. An administrator of the prefix can grant \
        it.",
        "您的身份没有这项权限，可请该前缀的管理员授权。";
    failed: "That did not work", "操作未完成";
    not_there: "Not found", "不存在";
}

//----------- Tabs -----------------------------------------------------------

/// A page of the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tab {
    Home,
    Resolve,
    Templates,
    Import,
    Labels,
    Grants,
    Identities,
    Prefixes,
    Enterprises,
    Audit,
    Settings,
    /// Pages that are no entry of the navigation.
    None,
}

impl Tab {
    const ALL: &[Self] = &[
        Self::Home,
        Self::Resolve,
        Self::Templates,
        Self::Import,
        Self::Labels,
        Self::Grants,
        Self::Identities,
        Self::Prefixes,
        Self::Enterprises,
        Self::Audit,
        Self::Settings,
    ];

    /// Where it is, its word, and the strokes of its picture in a square of 20.
    fn entry(self, words: &Words) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Home | Self::None => ("/", words.home, HOME),
            Self::Resolve => ("/resolve", words.resolve, LENS),
            Self::Templates => ("/templates", words.templates, SHEETS),
            Self::Import => ("/import", words.import, ARROW),
            Self::Labels => ("/labels", words.labels, CODE),
            Self::Grants => ("/grants", words.grants, KEYS),
            Self::Identities => ("/identities", words.identities, PERSON),
            Self::Prefixes => ("/prefixes", words.prefixes, TREE),
            Self::Enterprises => ("/enterprises", words.enterprises, HOUSE),
            Self::Audit => ("/audit", words.audit, CLOCK),
            Self::Settings => ("/settings", words.settings, SLIDERS),
        }
    }
}

const HOME: &str = "M3 9.5 10 4l7 5.5V16a1 1 0 0 1-1 1h-4v-4H8v4H4a1 1 0 0 1-1-1z";
const ARROW: &str = "M10 3v9M6.5 8.5 10 12l3.5-3.5M3 13v3a1 1 0 0 0 1 1h12a1 1 0 0 0 1-1v-3";
const CODE: &str = "M3 3h5v5H3zM12 3h5v5h-5zM3 12h5v5H3zM12 12h2v2M17 12v5h-5";
const KEYS: &str = "M11 9a4 4 0 1 1-8 0a4 4 0 0 1 8 0M10.5 11l6 5M14 13.5l-1.8 1.8";
const PERSON: &str = "M13 7a3 3 0 1 1-6 0a3 3 0 0 1 6 0M4 17a6 6 0 0 1 12 0z";
const TREE: &str = "M7 3h6v4H7zM2 13h6v4H2zM12 13h6v4h-6zM10 7v3M5 13v-3h10v3";
const HOUSE: &str = "M4 17V4h7v13M11 8h5v9M2.5 17h15M6.5 7h2M6.5 10h2M6.5 13h2M13 11h1M13 14h1";
const CLOCK: &str = "M17 10a7 7 0 1 1-14 0a7 7 0 0 1 14 0M10 6v4l3 2";
const SLIDERS: &str = "M3 6h8M15 6h2M3 14h2M9 14h8M13 4v4M7 12v4";
const SHEETS: &str = "M7 3h9v11H7zM4 6v11h9M9.5 6.5h4M9.5 9.5h4";
const LENS: &str = "M14 9a5 5 0 1 1-10 0a5 5 0 0 1 10 0M13 13l4 4";

//----------- Document -------------------------------------------------------

/// The whole document around `content`, which begins with a level-one heading.
pub(super) fn page(visit: &Visit<'_>, tab: Tab, title: &str, content: &Markup) -> Response {
    page_with(visit, StatusCode::OK, tab, title, content)
}

/// The same with a status.
pub(super) fn page_with(
    visit: &Visit<'_>,
    status: StatusCode,
    tab: Tab,
    title: &str,
    content: &Markup,
) -> Response {
    let words = words(visit.lang);
    let config = visit.node.config();
    let document = html! {
        (DOCTYPE)
        html lang=(visit.lang.tag()) data-theme=(visit.theme.name()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · " (words.product) }
                link rel="icon" type="image/svg+xml" href="/-/icon.svg";
                link rel="stylesheet" href=(STYLE);
                script src=(SCRIPT) defer {}
            }
            body {
                a class="skip" href="#content" { (words.skip) }
                (bar(visit))
                div class="body" {
                    (navigation(tab, words))
                    main id="content" tabindex="-1" { (content) }
                }
                footer {
                    (words.footer) " · " (config.name) " · " (env!("CARGO_PKG_VERSION"))
                }
            }
        }
    };
    (status, Html(document.into_string())).into_response()
}

fn bar(visit: &Visit<'_>) -> Markup {
    let words = words(visit.lang);
    html! {
        header class="bar" {
            a class="brand" href="/" {
                (logo())
                span class="brand-name" { "Guantong" } " "
                span class="brand-zh" lang="zh-CN" { "贯通" }
            }
            form class="quick" action="/resolve" method="get" role="search" {
                input type="search" name="handle" aria-label=(words.search_label)
                    placeholder=(words.search_hint) maxlength="2048" autocapitalize="off"
                    autocomplete="off" spellcheck="false" required;
                button type="submit" class="button" { (words.search) }
            }
            div class="tools" {
                (preferences(visit))
                @match &visit.viewer {
                    Some(viewer) => {
                        a class="who" href="/account" title=(whole_name(viewer, words)) {
                            span class="hidden" { (words.signed_in_as) " " }
                            (viewer.handle())
                        }
                        form method="post" action="/sign-out" {
                            (token(visit))
                            button type="submit" class="quiet" { (words.sign_out) }
                        }
                    }
                    None => a class="button strong" href=(sign_in_place(visit)) { (words.sign_in) }
                }
            }
        }
    }
}

/// Who is signed in, with his roles.
fn whole_name(viewer: &Viewer, words: &Words) -> String {
    let roles = viewer.roles.join(", ");
    format!("{} {} {roles}", words.signed_in_as, viewer.identity)
        .trim()
        .to_owned()
}

fn sign_in_place(visit: &Visit<'_>) -> String {
    match visit.path.as_str() {
        "/" | "/sign-in" => "/sign-in".to_owned(),
        _ => place("/sign-in", &[("back", &visit.here())]),
    }
}

fn preferences(visit: &Visit<'_>) -> Markup {
    let words = words(visit.lang);
    let (theme, sign) = match visit.theme {
        Theme::System => (
            words.theme_system,
            "M10 3v14M10 3a7 7 0 0 0 0 14a7 7 0 0 0 0-14",
        ),
        Theme::Light => (
            words.theme_light,
            "M13 10a3 3 0 1 1-6 0a3 3 0 0 1 6 0M10 2v2M10 16v2M2 10h2M16 10h2M4.3 4.3l1.4 1.4\
             M14.3 14.3l1.4 1.4M4.3 15.7l1.4-1.4M14.3 5.7l1.4-1.4",
        ),
        Theme::Dark => (
            words.theme_dark,
            "M16.5 12.5A7 7 0 0 1 7.5 3.5a7 7 0 1 0 9 9z",
        ),
    };
    html! {
        form method="post" action="/preferences" class="preferences" {
            (token(visit))
            input type="hidden" name="back" value=(visit.here());
            button type="submit" class="quiet" name="lang" value=(visit.lang.other().param())
                lang=(visit.lang.other().tag()) { (words.language) }
            button type="submit" class="quiet icon" name="theme" value=(visit.theme.next().name())
                aria-label=(theme) title=(theme) { (icon(sign)) }
        }
    }
}

fn navigation(tab: Tab, words: &Words) -> Markup {
    html! {
        nav class="pages" aria-label=(words.menu) {
            ul {
                @for other in Tab::ALL {
                    @let (path, word, strokes) = other.entry(words);
                    li {
                        a href=(path) aria-current=[(*other == tab).then_some("page")] {
                            (icon(strokes)) span { (word) }
                        }
                    }
                }
            }
        }
    }
}

fn logo() -> Markup {
    html! {
        svg class="logo" viewBox="0 0 32 32" aria-hidden="true" {
            path d="M13 9H9.5a7 7 0 0 0 0 14H13M19 9h3.5a7 7 0 0 1 0 14H19M10 16h12" {}
        }
    }
}

/// A picture of strokes in a square of 20.
pub(super) fn icon(strokes: &str) -> Markup {
    html! {
        svg class="sign" viewBox="0 0 20 20" aria-hidden="true" { path d=(strokes) {} }
    }
}

//----------- Parts ----------------------------------------------------------

/// The field that every form which changes something carries.
pub(super) fn token(visit: &Visit<'_>) -> Markup {
    html! { input type="hidden" name=(TOKEN) value=(visit.token()); }
}

/// The head of a page: what it is, a sentence about it, what can be done.
pub(super) fn head(title: &str, lead: &str, actions: Option<Markup>) -> Markup {
    html! {
        div class="head" {
            div {
                h1 { (title) }
                @if !lead.is_empty() { p class="lead" { (lead) } }
            }
            @if let Some(actions) = actions { div class="actions" { (actions) } }
        }
    }
}

/// What stands where there is nothing yet: what it would be, and what to do next.
pub(super) fn empty(title: &str, text: &str, action: Option<(&str, &str)>) -> Markup {
    html! {
        div class="empty" {
            p class="empty-title" { (title) }
            p { (text) }
            @if let Some((href, word)) = action {
                p { a class="button strong" href=(href) { (word) } }
            }
        }
    }
}

/// Why something did not work, in the words of the node.
pub(super) fn trouble(visit: &Visit<'_>, trouble: &Trouble) -> Markup {
    let words = words(visit.lang);
    let title = match trouble.status {
        401 => words.needs_sign_in,
        403 => words.refused,
        404 => words.not_there,
        _ => words.failed,
    };
    html! {
        div class="notice bad" role="alert" {
            p class="notice-title" { (title) }
            @if trouble.status == 403 && visit.viewer.is_some() { p { (words.refused_text) } }
            p lang="en" { (trouble.message) }
            @if trouble.status == 401 && visit.viewer.is_none() {
                p { a class="button strong" href=(sign_in_place(visit)) { (words.sign_in) } }
            }
            @if !trouble.fields.is_empty() {
                ul {
                    @for (field, message) in &trouble.fields {
                        li { code { (field) } " " span lang="en" { (message) } }
                    }
                }
            }
        }
    }
}

/// The page of an address that leads nowhere.
pub(super) fn not_found(visit: &Visit<'_>) -> Response {
    let words = words(visit.lang);
    let content = html! {
        (head(words.missing, words.missing_text, None))
        p { a class="button" href="/" { (words.to_home) } }
    };
    page_with(
        visit,
        StatusCode::NOT_FOUND,
        Tab::None,
        words.missing,
        &content,
    )
}
