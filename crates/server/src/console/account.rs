//! One's own password and second factor.

use axum::http::Method;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Value as Json, json};

use super::frame::{self, Tab, head};
use super::identity::role_word;
use super::visit::{Told, Trouble, Visit};
use crate::http::page::qr;

super::words::words! {
    title: "Your account", "我的账户";
    lead: "Password and second factor of a user. Each change needs the current password.",
        "用户的密码与双因素验证。每项更改都需要当前密码。";
    nobody: "Sign in first.", "请先登录。";
    sign_in: "Sign in", "登录";
    roles: "Roles", "角色";
    user: "User", "用户";
    password: "Current password", "当前密码";
    code: "Code of the second factor, if there is one", "双因素验证码（如已启用）";
    change: "Change the password", "修改密码";
    new_password: "New password", "新密码";
    save: "Save", "保存";
    second: "Second factor", "双因素验证";
    second_text: "An app on your telephone makes a code that is asked for besides the password.",
        "手机应用生成验证码，登录时除密码外还需输入。";
    begin: "Set up", "启用";
    remove: "Switch off", "停用";
    scan: "Scan this code with the app, then type the code that it shows.",
        "用手机应用扫描此码，然后输入其显示的验证码。";
    secret: "Secret, for an app that scans nothing", "密钥（无法扫码时手动输入）";
    shown: "Code that the app shows", "应用显示的验证码";
    confirm: "Take into use", "确认启用";
    done: "Done.", "已完成。";
}

/// The page.
pub(super) fn show(visit: &Visit<'_>) -> Response {
    page(visit, &html! {})
}

fn page(visit: &Visit<'_>, news: &Markup) -> Response {
    let words = words(visit.lang);
    let content = html! {
        (head(words.title, words.lead, None))
        (news)
        @match &visit.viewer {
            None => (frame::empty(words.title, words.nobody, Some(("/sign-in", words.sign_in)))),
            Some(viewer) => {
                section class="card" {
                    dl class="facts" {
                        div { dt { (words.user) } dd { code { (viewer.identity) } } }
                        div {
                            dt { (words.roles) }
                            dd {
                                @for role in &viewer.roles {
                                    span class="tag good" { (role_word(role, visit.lang)) } " "
                                }
                            }
                        }
                    }
                }
                form class="card fields" method="post" action="/account" {
                    h2 { (words.change) }
                    (owner(visit, viewer.handle()))
                    label {
                        span { (words.new_password) }
                        input type="password" name="newPassword" required
                            autocomplete="new-password";
                    }
                    p {
                        button type="submit" class="button strong" name="do" value="password" {
                            (words.save)
                        }
                    }
                }
                form class="card fields" method="post" action="/account" {
                    h2 { (words.second) }
                    p class="hint" { (words.second_text) }
                    (owner(visit, viewer.handle()))
                    div class="actions" {
                        button type="submit" class="button" name="do" value="begin" {
                            (words.begin)
                        }
                        button type="submit" class="button danger" name="do" value="remove" {
                            (words.remove)
                        }
                    }
                }
            }
        }
    };
    frame::page(visit, Tab::None, words.title, &content)
}

/// What shows that the user himself wants a change.
fn owner(visit: &Visit<'_>, user: &str) -> Markup {
    let words = words(visit.lang);
    html! {
        (frame::token(visit))
        input type="hidden" name="user" value=(user);
        label {
            span { (words.password) }
            input type="password" name="password" required autocomplete="current-password";
        }
        label {
            span { (words.code) }
            input name="code" inputmode="numeric" autocomplete="one-time-code" maxlength="10";
        }
    }
}

/// Changes the password, or sets up or removes the second factor.
pub(super) async fn act(visit: &Visit<'_>) -> Response {
    let words = words(visit.lang);
    let order = visit.field("do").unwrap_or_default();
    match send(visit, order).await {
        Ok(told) if order == "begin" => begun(visit, &told),
        Ok(_) => page(
            visit,
            &html! { p class="notice" role="status" { (words.done) } },
        ),
        Err(trouble) => page(visit, &frame::trouble(visit, &trouble)),
    }
}

async fn send(visit: &Visit<'_>, order: &str) -> Result<Told, Trouble> {
    let mut body = json!({
        "user": visit.field("user"),
        "password": visit.form.first("password"),
    });
    let mut add = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            body[name] = Json::from(value);
        }
    };
    add("code", visit.field("code"));
    let target = match order {
        "password" => {
            add("newPassword", visit.form.first("newPassword"));
            "/api/v2/login/own-password"
        }
        _ => {
            add("action", Some(order));
            add("secret", visit.field("secret"));
            add("newCode", visit.field("newCode"));
            "/api/v2/login/second-factor"
        }
    };
    visit.send(Method::POST, target, &body).await
}

/// The secret of a second factor for the device, and the form that takes it into use.
fn begun(visit: &Visit<'_>, told: &Told) -> Response {
    let words = words(visit.lang);
    let secret = told.json["secret"].as_str().unwrap_or_default();
    let uri = told.json["uri"].as_str().unwrap_or_default();
    let user = visit.field("user").unwrap_or_default();
    let content = html! {
        (head(words.second, words.scan, None))
        form class="card fields" method="post" action="/account" {
            @if let Some(drawn) = qr::code(uri, words.second) { div class="codes" { (drawn) } }
            p class="hint" { (words.secret) ": " code { (secret) } }
            (owner(visit, user))
            input type="hidden" name="secret" value=(secret);
            label {
                span { (words.shown) }
                input name="newCode" required inputmode="numeric" autocomplete="off"
                    maxlength="10";
            }
            p {
                button type="submit" class="button strong" name="do" value="confirm" {
                    (words.confirm)
                }
            }
        }
    };
    frame::page(visit, Tab::None, words.second, &content)
}
