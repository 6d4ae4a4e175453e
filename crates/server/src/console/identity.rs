//! One identity or one group: what it is, and what can be done with it.

use axum::http::Method;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};
use serde_json::{Value as Json, json};

use super::frame::{self, Tab, head};
use super::identities::{key_fields, key_of, words_of};
use super::templates::texts;
use super::visit::{Trouble, Visit, lead, of_group, of_identity, place};
use crate::http::page::Lang;

super::words::words! {
    title: "Identity", "身份";
    group: "Group", "身份组";
    user: "user", "用户";
    app: "app identity", "应用身份";
    active: "in force", "有效";
    disabled: "disabled", "已停用";
    record: "Record", "标识记录";
    what: "What it is", "基本信息";
    key: "Key", "密钥";
    no_key: "none", "无";
    factor: "Second factor", "第二因素";
    yes: "yes", "是";
    no: "no", "否";
    password_state: "Password", "口令";
    must_change: "given by somebody; he has to choose his own", "由他人设置，须自行修改";
    own: "his own", "已自行设置";
    roles: "Roles", "角色";
    none: "none", "无";
    public_key: "Public key", "公钥";
    private_title: "The private key. It is shown once and kept nowhere.",
        "私钥仅显示这一次，节点不保存。";
    private_text: "Give it to the program over a way that nobody else reads.",
        "请通过安全途径交给使用方。";
    save_key: "Save as a file", "保存为文件";
    actions: "What can be done with it", "可执行的操作";
    renew: "Another key", "更换密钥";
    renew_text: "What was proven by the old one ends at once.", "旧密钥随即失效。";
    disable: "Disable", "停用";
    disable_text: "It proves nothing until it is enabled again.", "停用后无法证明身份，可重新启用。";
    enable: "Enable", "启用";
    enable_text: "It proves again what it did before.", "恢复停用前的状态。";
    set_password: "Give a password", "重置口令";
    password: "Password", "口令";
    password_text: "He has to choose his own with it. All of his sessions end.",
        "用户须凭此修改口令；其全部会话随即结束。";
    no_factor: "Take the second factor away", "取消第二因素";
    no_factor_text: "If he has lost it. He logs in with his password alone until he sets another.",
        "用于设备遗失；重新设置前仅凭口令登录。";
    give: "Give", "授予";
    take: "Take away", "取消";
    delete: "Delete", "删除";
    delete_text: "For good; its name may be given again. Disable rather than delete.",
        "永久删除，名称可再次使用；建议停用而非删除。";
    sure: "Yes, delete it", "确认删除";
    members: "Members", "成员";
    add: "Add", "添加";
    add_hint: "Handles with spaces between them.", "多个标识以空格分隔。";
    is_role: "This group is the role", "该组即角色";
    administrators: "administrators", "管理员";
    operators: "operators", "操作员";
    app_administrators: "app administrators", "应用管理员";
    auditors: "auditors", "审计员";
}

/// The roles.
const ROLES: [&str; 4] = [
    "administrators",
    "operators",
    "app-administrators",
    "auditors",
];

/// What people call a role.
pub(super) fn role_word(role: &str, lang: Lang) -> &'static str {
    let words = words(lang);
    match role {
        "administrators" => words.administrators,
        "operators" => words.operators,
        "app-administrators" => words.app_administrators,
        _ => words.auditors,
    }
}

/// Whether an identity proves anything, in colour.
pub(super) fn state(told: &Json, lang: Lang) -> Markup {
    let words = words(lang);
    html! {
        @if told["disabled"] == true { span class="tag bad" { (words.disabled) } }
        @else { span class="tag good" { (words.active) } }
    }
}

//----------- Identity -------------------------------------------------------

/// One identity.
pub(super) async fn show(visit: &Visit<'_>) -> Response {
    let handle = visit.asked("handle").unwrap_or_default();
    page(visit, handle, None, None).await
}

/// Does something with it.
pub(super) async fn act(visit: &Visit<'_>) -> Response {
    let handle = visit.field("handle").unwrap_or_default();
    let target = of_identity(handle);
    if visit.field("do") == Some("delete") {
        return match visit.send(Method::DELETE, &target, &Json::Null).await {
            Ok(_) => lead("/identities"),
            Err(trouble) => page(visit, handle, Some(&trouble), None).await,
        };
    }
    match visit.send(Method::POST, &target, &action(visit)).await {
        Ok(told) => match told.json["privateKey"].as_str() {
            Some(key) => page(visit, handle, None, Some(key)).await,
            None => lead(&place("/identity", &[("handle", handle)])),
        },
        Err(trouble) => page(visit, handle, Some(&trouble), None).await,
    }
}

/// What a form means in the terms of the API.
fn action(visit: &Visit<'_>) -> Json {
    let action = visit.field("do").unwrap_or_default();
    match action {
        "renewKey" => {
            let (name, key) = key_of(visit);
            json!({"action": action, name: key})
        }
        "setPassword" => {
            let password = visit.form.first("password").unwrap_or_default();
            json!({"action": action, "password": password})
        }
        "addRole" | "removeRole" => {
            json!({"action": action, "role": visit.field("role").unwrap_or_default()})
        }
        _ => json!({"action": action}),
    }
}

/// Its page, with the private key that was just made for it.
pub(super) async fn page(
    visit: &Visit<'_>,
    handle: &str,
    trouble: Option<&Trouble>,
    private: Option<&str>,
) -> Response {
    let content = match visit.get(&of_identity(handle)).await {
        Ok(told) => content(visit, handle, &told.json, trouble, private),
        Err(refused) => html! {
            (head(handle, "", None))
            @if let Some(key) = private { (made(key, handle, visit.lang)) }
            (frame::trouble(visit, trouble.unwrap_or(&refused)))
        },
    };
    frame::page(visit, Tab::Identities, words(visit.lang).title, &content)
}

fn content(
    visit: &Visit<'_>,
    handle: &str,
    told: &Json,
    trouble: Option<&Trouble>,
    private: Option<&str>,
) -> Markup {
    let words = words(visit.lang);
    let is_user = told["kind"] == "user";
    let name = told["name"].as_str().filter(|name| !name.is_empty());
    let record = html! {
        a class="button" href=(place("/record", &[("handle", handle)])) { (words.record) }
    };
    html! {
        (head(name.unwrap_or(handle), "", Some(record)))
        p class="tags" {
            (state(told, visit.lang))
            span class="hint" { (if is_user { words.user } else { words.app }) }
            @if name.is_some() { code class="hint" { (handle) } }
        }
        @if let Some(trouble) = trouble { (frame::trouble(visit, trouble)) }
        @if let Some(key) = private { (made(key, handle, visit.lang)) }
        section class="card" aria-labelledby="what" {
            h2 id="what" { (words.what) }
            (facts(told, is_user, words))
        }
        @if is_user { (roles(visit, handle, &texts(&told["roles"]))) }
        (acts(visit, handle, told, is_user))
    }
}

/// The private key that was made.
fn made(key: &str, handle: &str, lang: Lang) -> Markup {
    let words = words(lang);
    let file = handle.rsplit('/').next().unwrap_or("key");
    let data = format!(
        "data:application/x-pem-file;base64,{}",
        STANDARD.encode(key)
    );
    html! {
        div class="notice warn" role="status" {
            p class="notice-title" { (words.private_title) }
            p { (words.private_text) }
            pre tabindex="0" { (key) }
            p { a class="button" href=(data) download={ (file) ".pem" } { (words.save_key) } }
        }
    }
}

fn facts(told: &Json, is_user: bool, words: &Words) -> Markup {
    let login = &told["login"];
    let yes_no = |is: bool| if is { words.yes } else { words.no };
    html! {
        dl class="facts" {
            div { dt { (words.key) } dd { (told["key"].as_str().unwrap_or(words.no_key)) } }
            @if is_user && login.is_object() {
                div {
                    dt { (words.password_state) }
                    dd { (if login["mustChange"] == true { words.must_change } else { words.own }) }
                }
                div { dt { (words.factor) } dd { (yes_no(login["secondFactor"] == true)) } }
            }
            @if let Some(pem) = told["publicKey"].as_str() {
                div { dt { (words.public_key) } dd { pre tabindex="0" { (pem) } } }
            }
        }
    }
}

fn roles(visit: &Visit<'_>, handle: &str, held: &[&str]) -> Markup {
    let words = words(visit.lang);
    html! {
        section class="card" aria-labelledby="roles" {
            h2 id="roles" { (words.roles) }
            ul class="chips" {
                @for role in ROLES {
                    @let has = held.contains(&role);
                    @let (action, word) = match has {
                        true => ("removeRole", words.take),
                        false => ("addRole", words.give),
                    };
                    li {
                        span class={ "tag" @if has { " good" } } { (role_word(role, visit.lang)) }
                        form method="post" action="/identity" {
                            (frame::token(visit))
                            input type="hidden" name="handle" value=(handle);
                            input type="hidden" name="role" value=(role);
                            button type="submit" class="quiet" name="do" value=(action) {
                                (word) span class="hidden" { " " (role_word(role, visit.lang)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Something that can be done: its name in the API, its word, what it means, how its button looks,
/// and the fields of its form.
type Act = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Markup,
);

/// What can be done with an identity as it is.
fn possible(visit: &Visit<'_>, told: &Json, is_user: bool) -> Vec<Act> {
    let w = words(visit.lang);
    let none = || html! {};
    let password = html! {
        label {
            span { (w.password) }
            input type="password" name="password" required autocomplete="new-password";
        }
    };
    let (plain, danger) = ("button", "button danger");
    let mut acts = vec![match told["disabled"] == true {
        true => ("enable", w.enable, w.enable_text, plain, none()),
        false => ("disable", w.disable, w.disable_text, danger, none()),
    }];
    if is_user {
        acts.push((
            "setPassword",
            w.set_password,
            w.password_text,
            plain,
            password,
        ));
    }
    if told["login"]["secondFactor"] == true {
        acts.push((
            "removeSecondFactor",
            w.no_factor,
            w.no_factor_text,
            danger,
            none(),
        ));
    }
    if !is_user || told["key"].is_string() {
        acts.push(("renewKey", w.renew, w.renew_text, plain, key_fields(visit)));
    }
    acts.push(("delete", w.delete, w.delete_text, danger, sure(w)));
    acts
}

fn acts(visit: &Visit<'_>, handle: &str, told: &Json, is_user: bool) -> Markup {
    let words = words(visit.lang);
    let shown = possible(visit, told, is_user);
    html! {
        section class="card" aria-labelledby="actions" {
            h2 id="actions" { (words.actions) }
            @for (action, word, text, class, fields) in &shown {
                details class="limits" open[visit.field("do") == Some(action)] {
                    summary { (word) }
                    form class="fields" method="post" action="/identity" {
                        (frame::token(visit))
                        input type="hidden" name="handle" value=(handle);
                        p class="hint" { (text) }
                        (fields)
                        p { button type="submit" class=(class) name="do" value=(action) { (word) } }
                    }
                }
            }
        }
    }
}

/// A box to tick before something is gone for good.
fn sure(words: &Words) -> Markup {
    html! { label class="check" { input type="checkbox" required; span { (words.sure) } } }
}

//----------- Group ----------------------------------------------------------

/// One group.
pub(super) async fn show_group(visit: &Visit<'_>) -> Response {
    let handle = visit.asked("handle").unwrap_or_default();
    group_page(visit, handle, None).await
}

/// Takes members in or out, or deletes it.
pub(super) async fn act_on_group(visit: &Visit<'_>) -> Response {
    let handle = visit.field("handle").unwrap_or_default();
    let target = of_group(handle);
    let action = visit.field("do").unwrap_or_default();
    let sent = match action {
        "delete" => visit.send(Method::DELETE, &target, &Json::Null).await,
        _ => {
            let members = words_of(visit.field("members"));
            let body = json!({"action": action, "members": members});
            visit.send(Method::POST, &target, &body).await
        }
    };
    match sent {
        Ok(_) if action == "delete" => lead("/identities"),
        Ok(_) => lead(&place("/group", &[("handle", handle)])),
        Err(trouble) => group_page(visit, handle, Some(&trouble)).await,
    }
}

async fn group_page(visit: &Visit<'_>, handle: &str, trouble: Option<&Trouble>) -> Response {
    let words = words(visit.lang);
    let content = match visit.get(&of_group(handle)).await {
        Ok(told) => group_content(visit, handle, &told.json, trouble),
        Err(refused) => html! {
            (head(handle, "", None))
            (frame::trouble(visit, trouble.unwrap_or(&refused)))
        },
    };
    frame::page(visit, Tab::Identities, words.group, &content)
}

/// Somebody in a group, with the button that takes him out of it.
fn member(member: &str, hidden: &Markup, words: &Words) -> Markup {
    html! {
        code { (member) }
        form method="post" action="/group" {
            (hidden)
            input type="hidden" name="members" value=(member);
            button type="submit" class="quiet" name="do" value="remove"
                aria-label={ (words.take) " " (member) } { (words.take) }
        }
    }
}

fn group_content(visit: &Visit<'_>, handle: &str, told: &Json, wrong: Option<&Trouble>) -> Markup {
    let words = words(visit.lang);
    let name = told["name"].as_str().filter(|name| !name.is_empty());
    let members = texts(&told["members"]);
    let role = told["role"].as_str();
    let prefix = handle.split('/').next().unwrap_or_default();
    // Roles are for users of the prefix.
    let example = match role {
        Some(_) => format!("{prefix}/User_…"),
        None => "88.118.6/App_…".to_owned(),
    };
    let record = html! {
        a class="button" href=(place("/record", &[("handle", handle)])) { (words.record) }
    };
    let hidden = html! {
        (frame::token(visit))
        input type="hidden" name="handle" value=(handle);
    };
    html! {
        (head(name.unwrap_or(handle), "", Some(record)))
        @if name.is_some() || role.is_some() {
            p class="tags" {
                @if name.is_some() { code class="hint" { (handle) } }
                @if let Some(role) = role {
                    span class="tag good" { (words.is_role) " " (role_word(role, visit.lang)) }
                }
            }
        }
        @if let Some(trouble) = wrong { (frame::trouble(visit, trouble)) }
        section class="card stack" aria-labelledby="members" {
            h2 id="members" { (words.members) }
            @if members.is_empty() { p class="hint" { (words.none) } }
            ul class="chips" {
                @for member in &members { li { (self::member(member, &hidden, words)) } }
            }
            form class="fields" method="post" action="/group" {
                (hidden)
                label {
                    span { (words.add) }
                    input name="members" required spellcheck="false" autocapitalize="off"
                        placeholder=(example);
                    span class="hint" { (words.add_hint) }
                }
                p {
                    button type="submit" class="button strong" name="do" value="add" {
                        (words.add)
                    }
                }
            }
        }
        @if role.is_none() {
            details class="card" {
                summary { (words.delete) }
                form class="fields" method="post" action="/group" {
                    (hidden)
                    p class="hint" { (words.delete_text) }
                    (sure(words))
                    p {
                        button type="submit" class="button danger" name="do" value="delete" {
                            (words.delete)
                        }
                    }
                }
            }
        }
    }
}
