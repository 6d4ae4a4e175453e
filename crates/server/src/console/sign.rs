//! Signing in and out, and what a browser remembers of its reader: language and theme.

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};

use super::frame::{self, Tab, head};
use super::visit::{LANG, SESSION, THEME, Theme, Visit, lead, lead_with_cookie, own_place};
use crate::http::inside;

/// How long a browser remembers what was chosen: a year.
const REMEMBERED: &str = "SameSite=Lax; Max-Age=31536000";
/// A session ends with the browser; the node ends it when it is not used.
const GUARDED: &str = "HttpOnly; SameSite=Strict";

super::words::words! {
    title: "Sign in", "登录";
    lead: "Prove who you are. Everything that you see and change is then bounded by your rights.",
        "请证明您的身份。此后所见与所改均以您的权限为限。";
    identity: "Identity", "身份标识";
    identity_hint: "Index and handle of your key, for example 300:88.118.5/clerk",
        "密钥所在的索引与标识，例如 300:88.118.5/clerk";
    secret: "Secret key", "密钥";
    submit: "Sign in", "登录";
    failed: "You are not signed in", "登录失败";
    in_clear: "Not from here", "此处不能登录";
    in_clear_text: "You reach the console over a network without encryption, where others could \
        read your secret. Open it on the machine itself, or through an SSH tunnel: \
        ssh -L 8080:localhost:8080 NODE",
        "您正通过未加密的网络访问控制台，他人可能读取您的密钥。请在本机打开，或使用 SSH 隧道：\
         ssh -L 8080:localhost:8080 节点";
}

/// The page to sign in.
pub(super) fn show(visit: &Visit<'_>) -> Response {
    let content = form(visit, None);
    frame::page(visit, Tab::None, words(visit.lang).title, &content)
}

fn form(visit: &Visit<'_>, failed: Option<&str>) -> Markup {
    let words = words(visit.lang);
    let back = own_place(visit.field("back").or_else(|| visit.asked("back")));
    html! {
        div class="narrow" {
            (head(words.title, words.lead, None))
            @if let Some(why) = failed {
                div class="notice bad" role="alert" {
                    p class="notice-title" { (words.failed) }
                    p lang="en" { (why) }
                }
            }
            @if visit.may_sign_in() {
                form class="card fields" method="post" action="/sign-in" {
                    input type="hidden" name="back" value=(back);
                    label {
                        span { (words.identity) }
                        input name="identity" required autocomplete="username" spellcheck="false"
                            autocapitalize="off" aria-describedby="identity-hint"
                            value=(visit.field("identity").unwrap_or_default());
                        span class="hint" id="identity-hint" { (words.identity_hint) }
                    }
                    label {
                        span { (words.secret) }
                        input type="password" name="secret" required
                            autocomplete="current-password";
                    }
                    p { button type="submit" class="button strong" { (words.submit) } }
                }
            } @else {
                div class="notice bad" {
                    p class="notice-title" { (words.in_clear) }
                    p { (words.in_clear_text) }
                }
            }
        }
    }
}

/// Has somebody prove who he is.
pub(super) async fn sign_in(visit: &Visit<'_>) -> Response {
    let words = words(visit.lang);
    if !visit.may_sign_in() {
        return show(visit);
    }
    let identity = visit.field("identity").unwrap_or_default();
    let secret = visit.form.first("secret").unwrap_or_default();
    match inside::sign_in(visit.node, visit.peer, identity, secret).await {
        Ok(session) => {
            let back = own_place(visit.field("back"));
            lead_with_cookie(back, SESSION, &session, GUARDED)
        }
        Err(why) => {
            let content = form(visit, Some(&why));
            let status = StatusCode::UNAUTHORIZED;
            frame::page_with(visit, status, Tab::None, words.title, &content)
        }
    }
}

/// Ends the session.
pub(super) fn sign_out(visit: &Visit<'_>) -> Response {
    if let Some(session) = &visit.session {
        inside::sign_out(visit.node, session);
    }
    lead_with_cookie("/", SESSION, "", GUARDED)
}

/// Remembers a language or a theme.
pub(super) fn preferences(visit: &Visit<'_>) -> Response {
    let back = own_place(visit.field("back"));
    match (visit.field("lang"), visit.field("theme")) {
        (Some(lang @ ("zh" | "en")), _) => lead_with_cookie(back, LANG, lang, REMEMBERED),
        (_, Some(theme)) => {
            let theme = Theme::of(Some(theme)).name();
            lead_with_cookie(back, THEME, theme, REMEMBERED)
        }
        _ => lead(back),
    }
}
