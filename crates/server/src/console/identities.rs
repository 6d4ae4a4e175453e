//! Identities (身份) of a prefix: users, app identities, groups; and the forms that make them.

use axum::http::Method;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Value as Json, json};

use super::frame::{self, Tab, head};
use super::identity;
use super::templates::{prefix_choice, prefixes, texts};
use super::visit::{Trouble, Visit, lead, of_identity, place};
use crate::http::path::in_query;

/// Identities of each kind on a page; each is read for its name.
const PAGE: usize = 50;
/// Kinds of keys that are made.
pub(super) const KEY_KINDS: [(&str, &str); 4] = [
    ("rsa", "RSA"),
    ("p256", "ECDSA P-256"),
    ("ed25519", "Ed25519"),
    ("sm2", "SM2"),
];

super::words::words! {
    title: "Identities", "身份";
    lead: "People and programs that prove who they are, and groups of them, to whom rights are \
        granted.",
        "能证明身份的人员与程序，以及用于授权的身份组。";
    prefix: "Prefix", "前缀";
    show: "Show", "显示";
    no_prefix: "This node homes no prefix", "本节点未托管前缀";
    no_prefix_text: "Identities stand under a prefix.", "身份建立在前缀之下。";
    to_prefixes: "Prefixes", "前缀";
    users: "Users", "用户";
    users_text: "People. What they may is said by their roles.", "人员，权限由角色决定。";
    apps: "App identities", "应用身份";
    apps_text: "Programs. Each proves itself by its key.", "程序，凭密钥证明身份。";
    groups: "Groups", "身份组";
    groups_text: "Rights are granted to groups; roles are groups too.", "可向身份组授权；角色也是身份组。";
    imported: "Groups of other enterprises", "引入的身份组";
    none: "none yet", "暂无";
    next: "Next page", "下一页";
    new_user: "New user", "新建用户";
    new_app: "New app identity", "新建应用身份";
    new_group: "New group", "新建身份组";
    import: "Import a group", "引入身份组";
    code: "Code", "编码";
    code_hint: "The end of its handle. Without one the node chooses.", "标识的末尾部分；留空则由节点生成。";
    name: "Name", "名称";
    password: "First password", "初始口令";
    password_hint: "At least ten characters. It is good for choosing another one.",
        "至少十个字符，仅用于首次登录并修改口令。";
    key: "Key", "密钥";
    key_make: "make a key pair", "生成密钥对";
    public_key: "Public key, if there is one already", "公钥（如已有）";
    members: "Members", "成员";
    members_hint: "Handles with spaces between them.", "多个标识以空格分隔。";
    group: "Handle of the group", "身份组标识";
    make: "Make it", "创建";
    list_it: "List it", "引入";
}

//----------- Page -----------------------------------------------------------

/// The identities of a prefix.
pub(super) async fn show(visit: &Visit<'_>) -> Response {
    page(visit, None).await
}

/// Makes an identity or a group, or lists one of another enterprise.
pub(super) async fn make(visit: &Visit<'_>) -> Response {
    let kind = visit.field("kind").unwrap_or_default();
    let area = match kind {
        "user" | "app" => "/api/v2/identities",
        _ => "/api/v2/groups",
    };
    match visit.send(Method::POST, area, &wanted(visit, kind)).await {
        Ok(told) => {
            let handle = told.json["handle"].as_str().unwrap_or_default();
            match (told.json["privateKey"].as_str(), kind) {
                (Some(key), _) => identity::page(visit, handle, None, Some(key)).await,
                (None, "user" | "app") => lead(&place("/identity", &[("handle", handle)])),
                (None, "group") => lead(&place("/group", &[("handle", handle)])),
                (None, _) => {
                    let prefix = visit.field("prefix").unwrap_or_default();
                    lead(&place("/identities", &[("prefix", prefix)]))
                }
            }
        }
        Err(trouble) => page(visit, Some(&trouble)).await,
    }
}

/// What a form means in the terms of the API.
fn wanted(visit: &Visit<'_>, kind: &str) -> Json {
    let mut body = json!({"prefix": visit.field("prefix").unwrap_or_default()});
    let mut say = |name: &str, json: Json| body[name] = json;
    if kind == "import" {
        say("import", visit.field("group").into());
        return body;
    }
    for name in ["code", "name"] {
        if let Some(text) = visit.field(name) {
            say(name, text.into());
        }
    }
    match kind {
        "user" => {
            say("kind", kind.into());
            // Spaces at the ends of a password are a part of it.
            say(
                "password",
                visit.form.first("password").unwrap_or_default().into(),
            );
        }
        "app" => {
            say("kind", kind.into());
            let (name, key) = key_of(visit);
            say(name, key);
        }
        _ => say("members", words_of(visit.field("members")).into()),
    }
    body
}

/// The key that a form gives or wants made, as a part of a request.
pub(super) fn key_of(visit: &Visit<'_>) -> (&'static str, Json) {
    match visit.field("publicKey") {
        Some(key) => ("publicKey", key.into()),
        None => (
            "makeKey",
            json!({"kind": visit.field("keyKind").unwrap_or("rsa")}),
        ),
    }
}

/// What stands between spaces.
pub(super) fn words_of(text: Option<&str>) -> Vec<&str> {
    text.unwrap_or_default().split_whitespace().collect()
}

async fn page(visit: &Visit<'_>, trouble: Option<&Trouble>) -> Response {
    let words = words(visit.lang);
    let homed = prefixes(visit);
    let first = homed.first().map_or("", String::as_str);
    let asked = visit.asked("prefix").or_else(|| visit.field("prefix"));
    let prefix = asked.unwrap_or(first);
    let content = html! {
        (head(words.title, words.lead, None))
        @if let Some(trouble) = trouble { (frame::trouble(visit, trouble)) }
        @if prefix.is_empty() {
            @let link = ("/prefixes", words.to_prefixes);
            (frame::empty(words.no_prefix, words.no_prefix_text, Some(link)))
        } @else {
            @if homed.len() > 1 {
                form class="line" method="get" action="/identities" {
                    label { span { (words.prefix) } (prefix_choice(&homed, prefix)) }
                    button type="submit" class="button" { (words.show) }
                }
            }
            (people(visit, prefix, "user", words.users, words.users_text).await)
            (people(visit, prefix, "app", words.apps, words.apps_text).await)
            (groups(visit, prefix).await)
        }
    };
    frame::page(visit, Tab::Identities, words.title, &content)
}

/// The list of one kind of identity, and the form that makes one.
async fn people(visit: &Visit<'_>, prefix: &str, kind: &str, title: &str, text: &str) -> Markup {
    let words = words(visit.lang);
    let after_name = format!("after-{kind}");
    let mut target = format!("/api/v2/identities?prefix={}&kind={kind}", in_query(prefix));
    target.push_str(&format!("&limit={PAGE}"));
    if let Some(after) = visit.asked(&after_name) {
        target.push_str(&format!("&after={}", in_query(after)));
    }
    let page = match visit.get(&target).await {
        Ok(told) => told.json,
        Err(trouble) => {
            return html! {
                section class="card" aria-labelledby=(kind) {
                    h2 id=(kind) { (title) }
                    (frame::trouble(visit, &trouble))
                }
            };
        }
    };
    let mut rows = Vec::new();
    for handle in texts(&page["handles"]) {
        let told = visit.get(&of_identity(handle)).await.map(|told| told.json);
        rows.push((handle, told.unwrap_or_default()));
    }
    let more = page["next"]
        .as_str()
        .map(|next| place("/identities", &[("prefix", prefix), (&after_name, next)]));
    html! {
        section class="card" aria-labelledby=(kind) {
            h2 id=(kind) { (title) }
            p class="hint" { (text) }
            @if rows.is_empty() { p { (words.none) } }
            ul class="list bare" {
                @for (handle, told) in &rows { (row(visit, handle, told)) }
            }
            @if let Some(more) = more { p { a class="button" href=(more) { (words.next) } } }
            (match kind { "user" => new_user(visit, prefix), _ => new_app(visit, prefix) })
        }
    }
}

fn row(visit: &Visit<'_>, handle: &str, told: &Json) -> Markup {
    let name = told["name"].as_str().filter(|name| !name.is_empty());
    html! {
        li {
            a class="list-title" href=(place("/identity", &[("handle", handle)])) {
                (name.unwrap_or(handle))
            }
            @if told["disabled"] == true { (identity::state(told, visit.lang)) }
            @for role in texts(&told["roles"]) {
                span class="tag good" { (identity::role_word(role, visit.lang)) }
            }
            @if name.is_some() { span class="hint handle" { (handle) } }
        }
    }
}

async fn groups(visit: &Visit<'_>, prefix: &str) -> Markup {
    let words = words(visit.lang);
    let mut target = format!("/api/v2/groups?prefix={}&limit={PAGE}", in_query(prefix));
    if let Some(after) = visit.asked("after-group") {
        target.push_str(&format!("&after={}", in_query(after)));
    }
    let told = visit.get(&target).await;
    let page = told
        .as_ref()
        .map(|told| told.json.clone())
        .unwrap_or_default();
    let link = |group: &str| {
        html! {
            li { a href=(place("/group", &[("handle", group)])) { code { (group) } } }
        }
    };
    let imported = texts(&page["imported"]);
    html! {
        section class="card" aria-labelledby="groups" {
            h2 id="groups" { (words.groups) }
            p class="hint" { (words.groups_text) }
            @match &told {
                Err(trouble) => (frame::trouble(visit, trouble)),
                Ok(_) => {
                    @let own = texts(&page["handles"]);
                    @if own.is_empty() { p { (words.none) } }
                    ul class="list bare" { @for group in own { (link(group)) } }
                    @if let Some(next) = page["next"].as_str() {
                        @let more = [("prefix", prefix), ("after-group", next)];
                        p { a class="button" href=(place("/identities", &more)) { (words.next) } }
                    }
                    @if !imported.is_empty() {
                        h3 { (words.imported) }
                        ul class="list bare" { @for group in imported { (link(group)) } }
                    }
                    (new_group(visit, prefix))
                    (import(visit, prefix))
                }
            }
        }
    }
}

//----------- Forms ----------------------------------------------------------

/// A form that is opened when it is wanted, or was sent and refused.
fn form(visit: &Visit<'_>, prefix: &str, kind: &str, title: &str, fields: &Markup) -> Markup {
    let words = words(visit.lang);
    let button = if kind == "import" {
        words.list_it
    } else {
        words.make
    };
    html! {
        details class="limits" open[visit.field("kind") == Some(kind)] {
            summary { (title) }
            form class="fields" method="post" action="/identities" {
                (frame::token(visit))
                input type="hidden" name="kind" value=(kind);
                input type="hidden" name="prefix" value=(prefix);
                (fields)
                p { button type="submit" class="button strong" { (button) } }
            }
        }
    }
}

fn code_and_name(visit: &Visit<'_>, kind: &str) -> Markup {
    let words = words(visit.lang);
    let said = |name| match visit.field("kind") == Some(kind) {
        true => visit.field(name).unwrap_or_default(),
        false => "",
    };
    html! {
        div class="side" {
            label {
                span { (words.code) }
                input name="code" spellcheck="false" autocapitalize="off" value=(said("code"))
                    required[kind == "group"];
                @if kind != "group" { span class="hint" { (words.code_hint) } }
            }
            label { span { (words.name) } input name="name" value=(said("name")); }
        }
    }
}

fn new_user(visit: &Visit<'_>, prefix: &str) -> Markup {
    let words = words(visit.lang);
    let fields = html! {
        (code_and_name(visit, "user"))
        label {
            span { (words.password) }
            input type="password" name="password" required autocomplete="new-password";
            span class="hint" { (words.password_hint) }
        }
    };
    form(visit, prefix, "user", words.new_user, &fields)
}

fn new_app(visit: &Visit<'_>, prefix: &str) -> Markup {
    let words = words(visit.lang);
    let fields = html! { (code_and_name(visit, "app")) (key_fields(visit)) };
    form(visit, prefix, "app", words.new_app, &fields)
}

/// A key to give, or which kind is to be made.
pub(super) fn key_fields(visit: &Visit<'_>) -> Markup {
    let words = words(visit.lang);
    html! {
        label {
            span { (words.key) ": " (words.key_make) }
            select name="keyKind" {
                @for (kind, word) in KEY_KINDS {
                    option value=(kind) selected[visit.field("keyKind") == Some(kind)] { (word) }
                }
            }
        }
        label {
            span { (words.public_key) }
            textarea class="code" name="publicKey" rows="4" spellcheck="false" {
                (visit.field("publicKey").unwrap_or_default())
            }
        }
    }
}

fn new_group(visit: &Visit<'_>, prefix: &str) -> Markup {
    let words = words(visit.lang);
    let fields = html! {
        (code_and_name(visit, "group"))
        label {
            span { (words.members) }
            textarea class="code" name="members" rows="3" spellcheck="false" {
                (visit.field("members").unwrap_or_default())
            }
            span class="hint" { (words.members_hint) }
        }
    };
    form(visit, prefix, "group", words.new_group, &fields)
}

fn import(visit: &Visit<'_>, prefix: &str) -> Markup {
    let words = words(visit.lang);
    let fields = html! {
        label {
            span { (words.group) }
            input name="group" required spellcheck="false" placeholder="88.118.6/Group_…"
                value=(visit.field("group").unwrap_or_default());
        }
    };
    form(visit, prefix, "import", words.import, &fields)
}
