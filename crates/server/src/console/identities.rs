//! Identities (身份) of a prefix: programs, people, groups; their keys and roles.

use axum::http::Method;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Map, Value as Json, json};

use super::frame::{self, Tab, head};
use super::templates::{prefix_choice, prefixes, texts};
use super::visit::{Told, Trouble, Visit, lead, place};
use crate::http::path::{in_path, in_query};

const IDENTITIES: &str = "/api/v2/identities";
const GROUPS: &str = "/api/v2/groups";
/// Identities of a page, of each kind.
const PAGE: usize = 100;

super::words::words! {
    title: "Identities", "身份";
    lead: "Programs and people prove who they are by keys and passwords; groups join them. Roles \
        are groups that have rights on the prefix.",
        "应用以密钥、用户以密码证明身份，身份组将其归并；角色是对前缀拥有权限的身份组。";
    prefix: "Prefix", "前缀";
    show: "Show", "显示";
    apps: "Programs", "应用身份";
    users: "People", "用户身份";
    groups: "Groups and roles", "身份组与角色";
    imported: "of other enterprises", "来自其他企业";
    none: "none", "无";
    new_app: "New program", "新建应用身份";
    new_user: "New person", "新建用户";
    new_group: "New group", "新建身份组";
    code: "Code", "编码";
    code_hint: "the end of the handle; chosen if it is empty", "标识的结尾，留空则自动生成";
    name: "Name for people", "显示名称";
    public: "Public key, if it has one (PEM)", "公钥（PEM），如已有";
    public_hint: "Without it a key pair is made, and the private key is shown once.",
        "未填写则生成密钥对，私钥仅显示一次。";
    password: "First password", "初始密码";
    password_hint: "He chooses his own with it.", "首次登录须自行修改。";
    set_password: "Give this password", "重设密码";
    no_second: "Take the second factor away", "移除双因素";
    import: "Or a group of another enterprise, by its handle", "或引入其他企业的身份组（填写其标识）";
    members: "Members", "成员";
    members_hint: "one in each line", "每行一个";
    make: "Make", "新建";
    key: "Key", "密钥";
    roles: "Roles", "角色";
    role: "Role", "角色";
    state: "State", "状态";
    disabled: "disabled", "已停用";
    enabled: "in use", "启用中";
    second: "second factor", "双因素";
    disable: "Disable", "停用";
    enable: "Enable", "启用";
    renew: "Give it a new key", "更换密钥";
    renew_text: "All that was proven by the old key ends.", "以旧密钥建立的会话随即失效。";
    add: "Take in", "加入";
    remove: "Take out", "移出";
    give: "Give the role", "授予角色";
    take: "Take the role away", "收回角色";
    secret: "The private key", "私钥";
    secret_text: "It is shown this once and kept nowhere here. Save it as a file that only the \
        program reads.", "仅显示这一次，节点不保存。请存为仅该应用可读的文件。";
    kept: "I have saved it", "我已保存";
    record: "Record", "标识记录";
    back: "All identities", "全部身份";
}

const ROLES: [&str; 4] = [
    "administrators",
    "operators",
    "app-administrators",
    "auditors",
];

/// The place of an identity or a group in the API.
fn target(handle: &str) -> String {
    let is_group = handle
        .split_once('/')
        .is_some_and(|(_, suffix)| suffix.starts_with("Group_"));
    let area = if is_group { GROUPS } else { IDENTITIES };
    format!("{area}/{}", in_path(handle))
}

//----------- List -----------------------------------------------------------

/// The identities of a prefix, or one of them.
pub(super) async fn show(visit: &Visit<'_>) -> Response {
    match visit.asked("handle") {
        Some(handle) => one(visit, handle, None).await,
        None => list(visit, None).await,
    }
}

async fn list(visit: &Visit<'_>, trouble: Option<&Trouble>) -> Response {
    let words = words(visit.lang);
    let prefixes = prefixes(visit);
    let first = prefixes.first().map_or("", String::as_str);
    let prefix = visit
        .field("prefix")
        .or_else(|| visit.asked("prefix"))
        .unwrap_or(first);
    let of = in_query(prefix);
    let lists = [
        (
            words.apps,
            format!("{IDENTITIES}?kind=app&prefix={of}&limit={PAGE}"),
        ),
        (
            words.users,
            format!("{IDENTITIES}?kind=user&prefix={of}&limit={PAGE}"),
        ),
        (words.groups, format!("{GROUPS}?prefix={of}&limit={PAGE}")),
    ];
    let mut sections = Vec::new();
    for (word, target) in lists {
        sections.push((word, visit.get(&target).await));
    }
    let content = html! {
        (head(words.title, words.lead, None))
        @if let Some(trouble) = trouble { (frame::trouble(visit, trouble)) }
        @if prefixes.len() > 1 {
            form class="line" method="get" action="/identities" {
                label { span { (words.prefix) } (prefix_choice(&prefixes, prefix)) }
                button type="submit" class="button" { (words.show) }
            }
        }
        @for (word, told) in &sections {
            section class="card" {
                h2 { (word) }
                @match told {
                    Ok(told) => (handles(&told.json, words)),
                    Err(trouble) => (frame::trouble(visit, trouble)),
                }
            }
        }
        (forms(visit, prefix))
    };
    frame::page(visit, Tab::Identities, words.title, &content)
}

fn handles(json: &Json, words: &Words) -> Markup {
    let (own, imported) = (texts(&json["handles"]), texts(&json["imported"]));
    html! {
        @if own.is_empty() && imported.is_empty() { p class="hint" { (words.none) } }
        ul class="list bare" {
            @for handle in own {
                li {
                    a class="list-title handle" href=(place("/identities", &[("handle", handle)])) {
                        (handle)
                    }
                }
            }
            @for handle in imported {
                li {
                    a class="list-title handle" href=(place("/resolve", &[("handle", handle)])) {
                        (handle)
                    }
                    span class="hint" { (words.imported) }
                }
            }
        }
    }
}

fn forms(visit: &Visit<'_>, prefix: &str) -> Markup {
    let words = words(visit.lang);
    let text = |name: &str, word: &str, hint: &str| {
        html! {
            label {
                span { (word) }
                input name=(name) spellcheck="false";
                @if !hint.is_empty() { span class="hint" { (hint) } }
            }
        }
    };
    let form = |kind: &str, word: &str, rest: Markup| {
        html! {
            details class="card" {
                summary { (word) }
                form class="fields" method="post" action="/identities" {
                    (frame::token(visit))
                    input type="hidden" name="prefix" value=(prefix);
                    div class="side" {
                        (text("code", words.code, words.code_hint))
                        (text("name", words.name, ""))
                    }
                    (rest)
                    p {
                        button type="submit" class="button strong" name="do" value=(kind) {
                            (words.make) span class="hidden" { ": " (word) }
                        }
                    }
                }
            }
        }
    };
    html! {
        (form("app", words.new_app, html! {
            label {
                span { (words.public) }
                textarea class="code" name="publicKey" rows="3" spellcheck="false" {}
                span class="hint" { (words.public_hint) }
            }
        }))
        (form("user", words.new_user, html! {
            label {
                span { (words.password) }
                input type="password" name="password" autocomplete="new-password";
                span class="hint" { (words.password_hint) }
            }
        }))
        (form("group", words.new_group, html! {
            label {
                span { (words.members) }
                textarea class="code" name="members" rows="3" spellcheck="false" {}
                span class="hint" { (words.members_hint) }
            }
            (text("import", words.import, ""))
        }))
    }
}

//----------- Changes --------------------------------------------------------

/// Makes an identity or a group, or changes one.
pub(super) async fn act(visit: &Visit<'_>) -> Response {
    let order = visit.field("do").unwrap_or_default();
    let Some(handle) = visit.field("handle") else {
        return match make(visit, order).await {
            Ok(told) => made(visit, &told),
            Err(trouble) => list(visit, Some(&trouble)).await,
        };
    };
    let body = match order {
        "add" | "remove" => json!({"action": order, "members": lines(visit)}),
        "addRole" | "removeRole" => json!({"action": order, "role": visit.field("role")}),
        "setPassword" => json!({"action": order, "password": visit.form.first("password")}),
        "renewKey" => match visit.field("publicKey") {
            Some(key) => json!({"action": order, "publicKey": key}),
            None => json!({"action": order, "makeKey": {}}),
        },
        order => json!({"action": order}),
    };
    match visit.send(Method::POST, &target(handle), &body).await {
        Ok(told) if told.json["privateKey"].is_string() => made(visit, &told),
        Ok(_) => lead(&place("/identities", &[("handle", handle)])),
        Err(trouble) => one(visit, handle, Some(&trouble)).await,
    }
}

fn lines<'v>(visit: &'v Visit<'_>) -> Vec<&'v str> {
    let text = visit.field("members").unwrap_or_default();
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect()
}

async fn make(visit: &Visit<'_>, kind: &str) -> Result<Told, Trouble> {
    let mut body = Map::new();
    for name in ["prefix", "code", "name", "publicKey", "password"] {
        if let Some(text) = visit.field(name) {
            body.insert(name.to_owned(), Json::from(text));
        }
    }
    if let (Some(group), "group") = (visit.field("import"), kind) {
        let body = json!({"prefix": visit.field("prefix"), "import": group});
        return visit.send(Method::POST, GROUPS, &body).await;
    }
    if kind == "group" {
        body.insert("members".to_owned(), Json::from(lines(visit)));
        return visit.send(Method::POST, GROUPS, &Json::from(body)).await;
    }
    body.insert("kind".to_owned(), Json::from(kind));
    if kind == "app" && !body.contains_key("publicKey") {
        body.insert("makeKey".to_owned(), json!({}));
    }
    visit
        .send(Method::POST, IDENTITIES, &Json::from(body))
        .await
}

/// What was made; a private key is shown once.
fn made(visit: &Visit<'_>, told: &Told) -> Response {
    let words = words(visit.lang);
    let handle = told.json["handle"].as_str().unwrap_or_default();
    let there = place("/identities", &[("handle", handle)]);
    let Some(key) = told.json["privateKey"].as_str() else {
        return lead(&there);
    };
    let content = html! {
        (head(handle, "", None))
        section class="card stack" aria-labelledby="secret" {
            h2 id="secret" { (words.secret) }
            p class="notice warn" { (words.secret_text) }
            pre tabindex="0" { (key) }
            p { a class="button strong" href=(there) { (words.kept) } }
        }
    };
    frame::page(visit, Tab::Identities, handle, &content)
}

//----------- One ------------------------------------------------------------

async fn one(visit: &Visit<'_>, handle: &str, trouble: Option<&Trouble>) -> Response {
    let words = words(visit.lang);
    let told = visit.get(&target(handle)).await;
    let record = place("/record", &[("handle", handle)]);
    let actions = html! { a class="button" href=(record) { (words.record) } };
    let content = html! {
        (head(handle, "", Some(actions)))
        @if let Some(trouble) = trouble { (frame::trouble(visit, trouble)) }
        @match &told {
            Ok(told) if told.json["members"].is_array() => (group(visit, handle, &told.json)),
            Ok(told) => (identity(visit, handle, &told.json)),
            Err(trouble) => (frame::trouble(visit, trouble)),
        }
        p { a href="/identities" { (words.back) } }
    };
    frame::page(visit, Tab::Identities, handle, &content)
}

fn identity(visit: &Visit<'_>, handle: &str, json: &Json) -> Markup {
    let words = words(visit.lang);
    let is_disabled = json["disabled"] == true;
    let roles = texts(&json["roles"]);
    let is_user = json["kind"] == "user";
    html! {
        section class="card" {
            dl class="facts" {
                @if let Some(name) = json["name"].as_str() {
                    div { dt { (words.name) } dd { (name) } }
                }
                div {
                    dt { (words.state) }
                    dd {
                        @if is_disabled { span class="tag bad" { (words.disabled) } }
                        @else { span class="tag good" { (words.enabled) } }
                        @if json["login"]["secondFactor"] == true {
                            " " span class="tag" { (words.second) }
                        }
                    }
                }
                @if let Some(key) = json["key"].as_str() { div { dt { (words.key) } dd { (key) } } }
                @if is_user { div { dt { (words.roles) } dd { (roles.join(", ")) } } }
            }
        }
        form class="card fields" method="post" action="/identities" {
            (frame::token(visit))
            input type="hidden" name="handle" value=(handle);
            @if is_user { (of_user(words)) }
            @else {
                p class="hint" { (words.renew_text) " " (words.public_hint) }
                label {
                    span { (words.public) }
                    textarea class="code" name="publicKey" rows="3" spellcheck="false" {}
                }
                p {
                    button type="submit" class="button" name="do" value="renewKey" { (words.renew) }
                }
            }
            p {
                @if is_disabled {
                    button type="submit" class="button strong" name="do" value="enable" {
                        (words.enable)
                    }
                } @else {
                    button type="submit" class="button danger" name="do" value="disable" {
                        (words.disable)
                    }
                }
            }
        }
    }
}

/// What is done with a user.
fn of_user(words: &Words) -> Markup {
    html! {
        label {
            span { (words.role) }
            select name="role" { @for role in ROLES { option value=(role) { (role) } } }
        }
        div class="actions" {
            button type="submit" class="button" name="do" value="addRole" { (words.give) }
            button type="submit" class="button" name="do" value="removeRole" {
                (words.take)
            }
        }
        label {
            span { (words.password) }
            input type="password" name="password" autocomplete="new-password";
            span class="hint" { (words.password_hint) }
        }
        div class="actions" {
            button type="submit" class="button" name="do" value="setPassword" {
                (words.set_password)
            }
            button type="submit" class="button" name="do" value="removeSecondFactor" {
                (words.no_second)
            }
        }
    }
}

fn group(visit: &Visit<'_>, handle: &str, json: &Json) -> Markup {
    let words = words(visit.lang);
    let members = texts(&json["members"]);
    html! {
        section class="card" {
            h2 { (words.members) }
            @if members.is_empty() { p class="hint" { (words.none) } }
            ul class="list bare" { @for member in members { li { code { (member) } } } }
        }
        form class="card fields" method="post" action="/identities" {
            (frame::token(visit))
            input type="hidden" name="handle" value=(handle);
            label {
                span { (words.members) }
                textarea class="code" name="members" rows="3" required spellcheck="false" {}
                span class="hint" { (words.members_hint) }
            }
            div class="actions" {
                button type="submit" class="button strong" name="do" value="add" { (words.add) }
                button type="submit" class="button danger" name="do" value="remove" {
                    (words.remove)
                }
            }
        }
    }
}
