//! Signing in and out, and what a browser remembers of its reader: language and theme.

use std::str::FromStr;

use axum::http::{Method, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use guantong_core::admin::Identity;
use maud::{Markup, html};
use serde_json::{Value as Json, json};

use super::frame::{self, Tab, head};
use super::visit::{LANG, THEME, Theme, Trouble, Visit, lead, lead_with_cookie, own_place};
use crate::http::inside;
use crate::login::{COOKIE, KEY_INDEX};

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
    by_password: "With a password", "使用密码";
    user: "User", "用户";
    user_hint: "Handle of the user, for example 88.118.5/User_li", "用户标识，例如 88.118.5/User_li";
    password: "Password", "密码";
    own_password: "A password of your own", "您自己的新密码";
    own_password_hint: "The first one was given by somebody else: choose another, of at least ten \
        characters.", "初始密码由他人设置，请另设至少十个字符的新密码。";
    second: "Code of the second factor, if there is one", "双因素验证码（如已启用）";
    others: "Other ways: a secret key, or a private key", "其他方式：密钥口令或私钥签名";
    by_secret: "With a secret key", "使用密钥口令";
    by_key: "With a private key", "使用私钥签名";
    by_key_text: "The key stays where it is: you sign a number that the node has drawn.",
        "私钥不离开您的设备：只需对节点给出的随机数签名。";
    draw: "Draw a number", "获取随机数";
    sign: "Sign the number with your key, and paste what comes of it:",
        "用您的私钥对随机数签名，并粘贴结果：";
    nonce: "Number", "随机数";
    signature: "Signature in base64", "签名（base64）";
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
    let content = form(visit, None, Wants::Nothing);
    frame::page(visit, Tab::None, words(visit.lang).title, &content)
}

/// What a user has to add to his password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wants {
    Nothing,
    /// Another password, since somebody else has chosen the one he has.
    Password,
}

fn form(visit: &Visit<'_>, failed: Option<&str>, wants: Wants) -> Markup {
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
                (password_form(visit, back, wants))
                details open[visit.field("identity").is_some()] {
                    summary { (words.others) }
                    div class="stack" { (key_forms(visit, back)) }
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

fn password_form(visit: &Visit<'_>, back: &str, wants: Wants) -> Markup {
    let words = words(visit.lang);
    html! {
        form class="card fields" method="post" action="/sign-in" {
            h2 { (words.by_password) }
            input type="hidden" name="back" value=(back);
            label {
                span { (words.user) }
                input name="user" required autocomplete="username" spellcheck="false"
                    autocapitalize="off" value=(visit.field("user").unwrap_or_default());
                span class="hint" { (words.user_hint) }
            }
            label {
                span { (words.password) }
                input type="password" name="password" required autocomplete="current-password";
            }
            @if wants == Wants::Password {
                label {
                    span { (words.own_password) }
                    input type="password" name="newPassword" required minlength="10"
                        autocomplete="new-password";
                    span class="hint" { (words.own_password_hint) }
                }
            }
            label {
                span { (words.second) }
                input name="code" inputmode="numeric" autocomplete="one-time-code" maxlength="10";
            }
            p { button type="submit" class="button strong" { (words.submit) } }
        }
    }
}

fn key_forms(visit: &Visit<'_>, back: &str) -> Markup {
    let words = words(visit.lang);
    let identity = visit.field("identity").unwrap_or_default();
    html! {
        form class="card fields" method="post" action="/sign-in" {
            h2 { (words.by_secret) }
            input type="hidden" name="back" value=(back);
            label {
                span { (words.identity) }
                input name="identity" required spellcheck="false" autocapitalize="off"
                    value=(identity);
                span class="hint" { (words.identity_hint) }
            }
            label {
                span { (words.secret) }
                input type="password" name="secret" required autocomplete="off";
            }
            p { button type="submit" class="button" { (words.submit) } }
        }
        form class="card fields" method="post" action="/sign-in" {
            h2 { (words.by_key) }
            p class="hint" { (words.by_key_text) }
            input type="hidden" name="back" value=(back);
            label {
                span { (words.identity) }
                input name="identity" required spellcheck="false" autocapitalize="off"
                    value=(identity);
            }
            p { button type="submit" class="button" { (words.draw) } }
        }
    }
}

/// Has somebody prove who he is: by a secret, or by signing a number, which comes in two steps.
pub(super) async fn sign_in(visit: &Visit<'_>) -> Response {
    if !visit.may_sign_in() {
        return show(visit);
    }
    let identity = visit.field("identity").unwrap_or_default();
    let begun = match (visit.form.first("secret"), visit.field("signature")) {
        _ if visit.field("user").is_some() => by_password(visit).await,
        (Some(secret), _) => {
            let token = inside::sign_in(visit.node, visit.peer, identity, secret).await;
            token
                .map(|token| token.as_str().to_owned())
                .map_err(Trouble::new)
        }
        (None, Some(signature)) => {
            let token = by_signature(visit, identity, signature).await;
            token.map_err(Trouble::new)
        }
        (None, None) => match key_of(identity) {
            Ok(key) => {
                let nonce = visit.node.login_challenge(&key, visit.peer.ip());
                let content = answer_form(visit, identity, &nonce);
                return frame::page(visit, Tab::None, words(visit.lang).title, &content);
            }
            Err(why) => Err(Trouble::new(why)),
        },
    };
    match begun {
        Ok(token) => {
            let back = own_place(visit.field("back"));
            lead_with_cookie(back, COOKIE, &token, GUARDED)
        }
        Err(why) => {
            let content = form(visit, Some(&why.message), why.wants());
            let status = StatusCode::UNAUTHORIZED;
            frame::page_with(visit, status, Tab::None, words(visit.lang).title, &content)
        }
    }
}

/// By the password of a user, with the code of his second factor if he has one. If he has chosen
/// another password with it, by that one.
async fn by_password(visit: &Visit<'_>) -> Result<String, Trouble> {
    let mut body = json!({
        "user": visit.field("user"),
        "password": visit.form.first("password"),
    });
    if let Some(code) = visit.field("code") {
        body["code"] = Json::from(code);
    }
    if let Some(new) = visit.form.first("newPassword") {
        body["newPassword"] = Json::from(new);
        visit
            .send(Method::POST, "/api/v2/login/own-password", &body)
            .await?;
        body = json!({"user": visit.field("user"), "password": new});
    }
    token(visit, "/api/v2/login/password", &body).await
}

/// The token that a login at the API gives.
async fn token(visit: &Visit<'_>, target: &str, body: &Json) -> Result<String, Trouble> {
    let told = visit.send(Method::POST, target, body).await?;
    let token = told.json["token"].as_str().map(str::to_owned);
    token.ok_or_else(|| Trouble::new("the node gave no token"))
}

impl Trouble {
    /// What somebody who gave his password has to add to it.
    fn wants(&self) -> Wants {
        match self.of("newPassword") {
            Some(_) => Wants::Password,
            None => Wants::Nothing,
        }
    }
}

/// Makes the first administrator of a new node by the code in its folder, and signs him in.
pub(super) async fn set_up(visit: &Visit<'_>) -> Result<Response, Trouble> {
    let prefix = visit.field("prefix").unwrap_or_default();
    let name = visit.field("user").unwrap_or_default();
    let body = json!({
        "setupCode": visit.field("setupCode"),
        "user": format!("{prefix}/User_{name}"),
        "password": visit.form.first("password"),
    });
    let token = token(visit, "/api/v2/login/set-up", &body).await?;
    Ok(lead_with_cookie("/setup", COOKIE, &token, GUARDED))
}

async fn by_signature(visit: &Visit<'_>, identity: &str, text: &str) -> Result<String, String> {
    let key = key_of(identity)?;
    let bare: String = text.split_whitespace().collect();
    let signature = STANDARD.decode(bare);
    let signature = signature.map_err(|_| "the signature is not base64".to_owned())?;
    let answered = visit.node.login_answer(&key, &signature, visit.peer.ip());
    let token = answered.await.map_err(|error| error.to_string())?;
    Ok(token.as_str().to_owned())
}

/// The identity that somebody names; without an index, its usual key.
fn key_of(text: &str) -> Result<Identity, String> {
    let named = match text.split_once(':') {
        Some((index, _)) if index.parse::<i32>().is_ok() => text.to_owned(),
        _ => format!("{KEY_INDEX}:{text}"),
    };
    Identity::from_str(&named).map_err(|error| format!("`{text}`: {error}"))
}

/// The second step of signing in by a private key.
fn answer_form(visit: &Visit<'_>, identity: &str, nonce: &str) -> Markup {
    let words = words(visit.lang);
    let command = format!("printf %s {nonce} | openssl dgst -sha256 -sign KEY.pem | base64 -w0");
    html! {
        div class="narrow" {
            (head(words.title, words.by_key_text, None))
            form class="card fields" method="post" action="/sign-in" {
                input type="hidden" name="back" value=(own_place(visit.field("back")));
                input type="hidden" name="identity" value=(identity);
                p { code { (identity) } }
                label {
                    span { (words.nonce) }
                    input readonly value=(nonce) id="nonce";
                }
                p { (words.sign) }
                pre tabindex="0" { (command) }
                label {
                    span { (words.signature) }
                    textarea class="code" name="signature" rows="5" required spellcheck="false" {}
                }
                p { button type="submit" class="button strong" { (words.submit) } }
            }
        }
    }
}

/// Ends the session.
pub(super) fn sign_out(visit: &Visit<'_>) -> Response {
    if let Some(session) = &visit.session {
        visit.node.login_end(session);
    }
    lead_with_cookie("/", COOKIE, "", GUARDED)
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
