//! One value of a record in a form for people: typed data spelt out, links where there is something
//! to follow, everything else as text or octets. Whatever a record holds is escaped.

use std::fmt::Write;

use guantong_core::location::{self, Location, Locations};
use guantong_core::trust::{CERTIFICATE, SIGNATURE};
use guantong_proto::data::site::{Interface, InterfaceKind, Server};
use guantong_proto::data::{Admin, AdminPermissions, Data, PublicKey, Site};
use guantong_proto::{HandleRef, Permissions, Reference, Ttl, Value, is_of_type};
use maud::{Markup, html};
use ring::digest;

use super::number;
use super::text::Lang;
use super::view::View;

/// Most characters of one value shown as text; the JSON form has the rest.
const TEXT_CHARS_MAX: usize = 4_000;
/// Most octets shown in hexadecimal.
const OCTETS_MAX: usize = 96;
/// Most elements of a list, and most servers of a site, that are shown.
const ELEMENTS_MAX: usize = 64;

/// The permissions of HS_ADMIN in Chinese, in the order of [`AdminPermissions::NAMES`].
const PERMISSIONS_ZH: [&str; AdminPermissions::NAMES.len()] = [
    "新建标识",
    "删除标识",
    "新建下级前缀",
    "删除下级前缀",
    "修改值",
    "删除值",
    "添加值",
    "修改管理员",
    "删除管理员",
    "添加管理员",
    "读取值",
    "列出标识",
    "列出下级前缀",
];

//----------- Data -----------------------------------------------------------

/// The data of a value.
pub(crate) fn data(value: &Value, handle: &str, view: &View<'_>) -> Markup {
    match Data::decode(&value.kind, &value.data) {
        Data::Admin(data) => admin(&data, view),
        Data::List(list) => references(&list.0, view),
        Data::Site(data) => site(&data, view.lang),
        Data::PublicKey(data) => key(&data, view.lang),
        Data::SecretKey(_) => html! { em { (view.text().secret_held_back) } },
        Data::Service(target) | Data::Alias(target) => handle_link(target.handle().as_str(), view),
        Data::Namespace(namespace) => block(namespace.as_str(), view),
        Data::Opaque(octets) if value.kind.eq_ignore_ascii_case(location::TYPE) => {
            locations(&octets, handle, view).unwrap_or_else(|| opaque(&value.kind, &octets, view))
        }
        // Many lines of letters that mean nothing to a reader; the facts say what they prove.
        Data::Opaque(octets) if is_signed(&value.kind) => html! {
            details {
                summary class="hint" { (view.text().as_text) }
                (opaque(&value.kind, &octets, view))
            }
        },
        Data::Opaque(octets) => opaque(&value.kind, &octets, view),
        _ => octets_as_hex(&value.data, view.lang),
    }
}

/// Whether values of this type are signatures or certificates.
fn is_signed(kind: &str) -> bool {
    [SIGNATURE, CERTIFICATE]
        .iter()
        .any(|signed| is_of_type(kind.as_bytes(), signed))
}

fn opaque(kind: &str, octets: &[u8], view: &View<'_>) -> Markup {
    if octets.is_empty() {
        return html! { em { (view.text().empty) } };
    }
    let is_binary = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
    let text = std::str::from_utf8(octets)
        .ok()
        .filter(|text| !text.contains(is_binary));
    let Some(text) = text else {
        return octets_as_hex(octets, view.lang);
    };
    if is_web_address(text) {
        return web_address(text);
    }
    if let Some(address) = text
        .strip_prefix("mailto:")
        .or(is_of_type(kind.as_bytes(), b"EMAIL").then_some(text))
    {
        return html! { span class="text" { (shortened(address).0) } };
    }
    if let Some(pretty) = pretty_json(text) {
        return block(&pretty, view);
    }
    match text.contains('\n') || text.starts_with('<') {
        true => block(text, view),
        false => {
            let (text, cut) = shortened(text);
            html! {
                span class="text" { (text) }
                @if cut { " " em { (view.text().shortened) } }
            }
        }
    }
}

/// The places of a 10320/loc value, and its text.
fn locations(octets: &[u8], handle: &str, view: &View<'_>) -> Option<Markup> {
    let handle = HandleRef::parse(handle).ok()?;
    let locations = Locations::parse(octets, handle).ok()?;
    let text = std::str::from_utf8(octets).ok()?;
    Some(html! {
        ul class="plain places" {
            @for place in locations.list.iter().take(ELEMENTS_MAX) {
                li {
                    (web_address(&place.href))
                    p class="hint" { (attributes(place)) }
                }
            }
        }
        details { summary class="hint" { (view.text().as_text) } (block(text, view)) }
    })
}

/// What a location says besides its address: `weight 1 · country cn`.
fn attributes(place: &Location) -> String {
    let others = place
        .attributes
        .iter()
        .filter(|(name, _)| !name.starts_with("href"));
    let words = others.map(|(name, value)| format!("{} {}", shortened(name).0, shortened(value).0));
    words.collect::<Vec<_>>().join(" · ")
}

/// A link if a browser may open it, else text.
fn web_address(text: &str) -> Markup {
    let shown = shortened(text).0;
    html! {
        @if is_web_address(text) {
            a href=(text) rel="noopener noreferrer nofollow" { (shown) }
        } @else {
            span class="text" { (shown) }
        }
    }
}

/// Whether the text is one address that a browser may open. Other schemes could run script.
fn is_web_address(text: &str) -> bool {
    let rest = ["http://", "https://"].iter().find_map(|scheme| {
        let (head, rest) = text.split_at_checked(scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then_some(rest)
    });
    rest.is_some_and(|rest| {
        !rest.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control())
    })
}

/// JSON objects and lists with one element a line.
pub(super) fn pretty_json(text: &str) -> Option<String> {
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let json: serde_json::Value = serde_json::from_str(text).ok()?;
    serde_json::to_string_pretty(&json).ok()
}

/// Text with its line breaks, cut to what fits a page.
pub(super) fn block(text: &str, view: &View<'_>) -> Markup {
    let (text, cut) = shortened(text);
    html! {
        pre tabindex="0" { (text) }
        @if cut { p class="hint" { (view.text().shortened) } }
    }
}

fn shortened(text: &str) -> (&str, bool) {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => (&text[..end], true),
        None => (text, false),
    }
}

fn octets_as_hex(octets: &[u8], lang: Lang) -> Markup {
    let shown = &octets[..octets.len().min(OCTETS_MAX)];
    let mut hex = String::with_capacity(shown.len() * 3);
    for (position, octet) in shown.iter().enumerate() {
        let space = if position > 0 && position % 2 == 0 {
            " "
        } else {
            ""
        };
        let _ = write!(hex, "{space}{octet:02x}");
    }
    html! {
        code class="octets" { (hex) @if octets.len() > shown.len() { " …" } }
        " " span class="hint" { (number::count(octets.len() as u64)) " " (lang.text().octets) }
    }
}

fn handle_link(handle: &str, view: &View<'_>) -> Markup {
    html! { a class="handle" href=(view.record_href(handle)) { (handle) } }
}

/// References as a list of links.
pub(super) fn references(references: &[Reference], view: &View<'_>) -> Markup {
    html! {
        ul class="plain" {
            @for reference in references.iter().take(ELEMENTS_MAX) {
                li { (identity(reference, view)) }
            }
            @if references.len() > ELEMENTS_MAX { li { "…" } }
        }
    }
}

/// The value that holds somebody's key: `300:0.NA/88.118.5`.
fn identity(reference: &Reference, view: &View<'_>) -> Markup {
    html! {
        span class="nowrap" { (reference.index) ":" } (handle_link(&reference.handle, view))
        @if reference.index == 0 { " " span class="hint" { "(" (view.text().any_key) ")" } }
    }
}

fn admin(admin: &Admin, view: &View<'_>) -> Markup {
    let text = view.text();
    let names = AdminPermissions::NAMES.iter().zip(PERMISSIONS_ZH);
    let given: Vec<&str> = names
        .filter(|((bit, _), _)| admin.permissions.contains(*bit))
        .map(|((_, en), zh)| view.lang.pick(*en, zh))
        .collect();
    html! {
        dl class="facts" {
            div { dt { (text.administrator) } dd { (identity(&admin.identity, view)) } }
            div {
                dt { (text.may) }
                dd {
                    @if admin.permissions.contains(AdminPermissions::ALL) { (text.everything) }
                    @else if given.is_empty() { "–" }
                    @else { (given.join(view.lang.pick(", ", "、"))) }
                }
            }
        }
    }
}

//----------- Keys and sites -------------------------------------------------

fn key(key: &PublicKey, lang: Lang) -> Markup {
    let text = lang.text();
    let bits = match key {
        PublicKey::Rsa(key) => Some(key.modulus.bits()),
        PublicKey::Dsa(key) => Some(key.p.bits()),
        PublicKey::Dh(key) => Some(key.p.bits()),
        _ => None,
    };
    let octets = key.encode();
    html! {
        dl class="facts" {
            div {
                dt { (text.key) }
                dd {
                    (key.name().unwrap_or("PEM"))
                    @if let Some(bits) = bits { ", " (bits) " " (text.bits) }
                }
            }
            div { dt { (text.fingerprint) } dd { code class="octets" { (fingerprint(&octets)) } } }
        }
    }
}

/// SHA-256 over the octets of the key as the record holds them.
fn fingerprint(octets: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, octets);
    let mut text = String::with_capacity(79);
    for (position, pair) in digest.as_ref().chunks(2).enumerate() {
        let space = if position > 0 { " " } else { "" };
        text.push_str(space);
        for octet in pair {
            let _ = write!(text, "{octet:02x}");
        }
    }
    text
}

fn site(site: &Site, lang: Lang) -> Markup {
    let text = lang.text();
    let role = match (site.is_primary(), site.is_multi_primary()) {
        (true, _) => text.primary,
        (false, true) => text.multi_primary,
        (false, false) => text.mirror,
    };
    let (major, minor) = site.protocol;
    html! {
        dl class="facts" {
            div {
                dt { (text.site) }
                dd {
                    (role) ", " (text.serial) " " (site.serial) ", "
                    (text.protocol) " " (major) "." (minor)
                }
            }
            @for attribute in site.attributes.iter().take(ELEMENTS_MAX) {
                div { dt { (shortened(&attribute.name).0) } dd { (shortened(&attribute.value).0) } }
            }
            @for entry in site.servers.iter().take(ELEMENTS_MAX) {
                div { dt { (text.server) " " (entry.id) } dd { (server(entry, lang)) } }
            }
            @if site.servers.len() > ELEMENTS_MAX { div { dt { "…" } dd { "…" } } }
        }
    }
}

fn server(server: &Server, lang: Lang) -> Markup {
    let text = lang.text();
    html! {
        code { (server.address) }
        ul class="plain" {
            @for interface in server.interfaces.iter().take(ELEMENTS_MAX) {
                li { (interface_line(interface, lang)) }
            }
            li {
                @if server.public_key.is_empty() { (text.no_key) }
                @else {
                    (text.key) " "
                    code class="octets" { (fingerprint(&server.public_key)) }
                }
            }
        }
    }
}

fn interface_line(interface: &Interface, lang: Lang) -> Markup {
    let text = lang.text();
    let mut purposes = Vec::new();
    if interface.kind.contains(InterfaceKind::QUERY) {
        purposes.push(text.resolution);
    }
    if interface.kind.contains(InterfaceKind::ADMIN) {
        purposes.push(text.administration);
    }
    if purposes.is_empty() {
        purposes.push(text.out_of_service);
    }
    let protocol = match interface.protocol.name() {
        Some(name) => name.to_owned(),
        None => format!("#{}", interface.protocol.0),
    };
    html! { (protocol) " " (interface.port) " · " (purposes.join(lang.pick(", ", "、"))) }
}

//----------- Other fields ---------------------------------------------------

/// How long a cache may keep the value.
pub(crate) fn lifetime(ttl: Ttl, lang: Lang) -> String {
    match ttl {
        Ttl::Relative(seconds) => number::duration(u64::try_from(seconds).unwrap_or(0), lang),
        Ttl::Absolute(at) => match number::moment(at.into()) {
            Some(moment) => format!("{}{}{moment}", lang.text().until, lang.pick(" ", " ")),
            None => at.to_string(),
        },
        _ => "–".to_owned(),
    }
}

/// Who reads and who writes, in words.
pub(crate) fn access(permissions: Permissions, lang: Lang) -> Markup {
    let text = lang.text();
    let who = |anyone: bool, administrators: bool| match (anyone, administrators) {
        (true, _) => text.anyone,
        (false, true) => text.administrators,
        (false, false) => text.nobody,
    };
    html! {
        span class="nowrap" {
            (text.reads) (lang.pick(": ", "："))
            (who(permissions.public_read(), permissions.admin_read()))
        }
        br;
        span class="nowrap" {
            (text.writes) (lang.pick(": ", "："))
            (who(permissions.public_write(), permissions.admin_write()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(kind: &str, data: &[u8]) -> String {
        let value = Value::new(1, kind, data);
        super::data(&value, "1/x", &View::sample(Lang::En)).into_string()
    }

    #[test]
    fn only_web_addresses_become_links() {
        assert!(
            shown("URL", b"https://example.org/a?b&c")
                .contains("href=\"https://example.org/a?b&amp;c\"")
        );
        for text in [
            "javascript:alert(1)",
            "data:text/html,<script>alert(1)</script>",
            "https://",
            "https://a b",
            " https://a",
            "//example.org",
        ] {
            assert!(!shown("URL", text.as_bytes()).contains("href"), "{text}");
        }
    }

    #[test]
    fn markup_in_data_is_escaped() {
        for text in [
            "<script>alert(1)</script>",
            "{\"a\":\"</pre><script>alert(1)</script>\"}",
            "https://example.org/\"onmouseover=\"alert(1)",
            "a\n<img src=x onerror=alert(1)>",
        ] {
            let html = shown("DESC", text.as_bytes());
            assert!(
                !html.contains("<script") && !html.contains("<img"),
                "{html}"
            );
            assert!(!html.contains("\"onmouseover"), "{html}");
        }
    }

    #[test]
    fn places_are_listed_with_their_attributes() {
        let xml = r#"<locations><location href="https://a/" weight="0" country="cn"/>
            <location href="javascript:alert(1)" x="&lt;script>"/></locations>"#;
        let html = shown("10320/loc", xml.as_bytes());
        assert!(
            html.contains("<a href=\"https://a/\"") && html.contains("country cn"),
            "{html}"
        );
        assert!(
            !html.contains("href=\"javascript") && !html.contains("<script"),
            "{html}"
        );
        assert!(shown("10320/loc", b"<a>no list</a>").contains("&lt;a&gt;"));
    }

    #[test]
    fn octets_are_shown_in_part() {
        let html = shown("BLOB", &[0xff; 200]);
        assert!(html.contains("200 octets") && html.contains('…'));
        assert!(html.len() < 600);
    }

    #[test]
    fn long_text_is_cut() {
        let html = shown("DESC", "字".repeat(TEXT_CHARS_MAX + 1).as_bytes());
        assert_eq!(html.matches('字').count(), TEXT_CHARS_MAX);
        assert!(html.contains("Shortened"));
    }

    #[test]
    fn secret_keys_are_never_shown() {
        assert!(!shown("HS_SECKEY", b"opensesame").contains("opensesame"));
    }

    #[test]
    fn administrators_are_spelt_out() {
        let admin = Admin::new(AdminPermissions::ALL, "0.NA/88.118.5", 300);
        let html = shown("HS_ADMIN", &admin.encode());
        assert!(
            html.contains("300:") && html.contains("everything"),
            "{html}"
        );
        assert!(
            html.contains("href=\"/0.NA/88.118.5?noredirect\""),
            "{html}"
        );
        let few = Admin::new(AdminPermissions::READ_VALUE, "0.NA/88.118.5", 0);
        let html = shown("HS_ADMIN", &few.encode());
        assert!(
            html.contains("read value") && html.contains("any key"),
            "{html}"
        );
    }

    #[test]
    fn access_is_said_in_words() {
        let html = access(Permissions(0x0e), Lang::En).into_string();
        assert!(
            html.contains("read: anyone") && html.contains("write: administrators"),
            "{html}"
        );
        let html = access(Permissions(0x00), Lang::Zh).into_string();
        assert!(html.contains("读：无人"), "{html}");
    }
}
