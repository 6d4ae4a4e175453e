//! From a fresh node to the first identifier that resolves: a template from an example, one
//! registration, and its code.

use axum::http::Method;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Value as Json, json};

use super::examples::{self, EXAMPLES};
use super::frame::{self, Tab, head};
use super::sign;
use super::templates::{prefix_choice, prefixes};
use super::visit::{Trouble, Visit, lead, of_template, place};

super::words::words! {
    title: "First steps", "快速开始";
    lead: "From a fresh node to the first identifier that resolves: about two minutes.",
        "从新节点到首个可解析的标识，约两分钟。";
    who: "Who you are", "证明身份";
    who_text: "Sign in with an identity that may register below the prefix.",
        "使用有权在该前缀下注册的身份登录。";
    first_user: "Nobody administers this node yet. Whoever can read its folder makes the first \
        administrator, with the code that lies there:",
        "本节点尚无管理员。能读取节点目录者可凭其中的设置码创建首位管理员：";
    code: "Set-up code", "设置码";
    user: "User name", "用户名";
    password: "Password", "密码";
    make: "Make the administrator", "创建管理员";
    who_help: "No identity yet? On the machine of the node, with the handle that you like:",
        "还没有身份？在节点所在的机器上执行（标识可自定）：";
    sign_in: "Sign in", "登录";
    template: "What you register", "选择模板";
    template_text: "Choose what comes closest. You can change it, or make another, at any time.",
        "选择最接近的一种，之后可随时修改或新建。";
    choose: "Take this one", "选用";
    own: "Design your own", "自行设计";
    fields: "Fields", "字段";
    first: "The first thing", "首次注册";
    first_text: "Next comes the form of the template: fill it in, and the thing is named.",
        "下一步填写模板表单，提交后该物品即拥有标识。";
    done: "What comes after", "完成之后";
    done_text: "The record resolves at once, here and in the network; its page shows the code \
        for a label.", "记录即刻可在本节点和网络中解析，页面上有可打印的编码。";
    prefix: "Prefix", "前缀";
}

/// The page.
pub(super) async fn show(visit: &Visit<'_>) -> Response {
    page(visit, None).await
}

async fn page(visit: &Visit<'_>, trouble: Option<&Trouble>) -> Response {
    let words = words(visit.lang);
    let is_known = visit.viewer.is_some();
    let awaited = visit.get("/api/v2/login/set-up").await;
    let is_open = awaited.is_ok_and(|told| told.json["open"] == true) && visit.may_sign_in();
    let content = html! {
        (head(words.title, words.lead, None))
        @if let Some(trouble) = trouble { (frame::trouble(visit, trouble)) }
        ol class="steps" {
            li class={ "card" (if is_known { " is-done" } else { " is-now" }) } {
                h2 { (words.who) }
                @match &visit.viewer {
                    Some(viewer) => p { code { (viewer.identity) } },
                    None if is_open => (administrator(visit)),
                    None => (who(visit)),
                }
            }
            li class={ "card" (if is_known { " is-now" } else { "" }) } {
                h2 { (words.template) }
                p { (words.template_text) }
                @if is_known { (choices(visit)) }
            }
            li class="card" { h2 { (words.first) } p { (words.first_text) } }
            li class="card" { h2 { (words.done) } p { (words.done_text) } }
        }
    };
    frame::page(visit, Tab::None, words.title, &content)
}

/// The form that makes the first administrator.
fn administrator(visit: &Visit<'_>) -> Markup {
    let words = words(visit.lang);
    let code = visit.node.config().folder.join("setup_code");
    html! {
        p { (words.first_user) }
        pre tabindex="0" { "cat " (code.display()) }
        form class="fields" method="post" action="/setup" {
            label {
                span { (words.code) }
                input name="setupCode" required autocomplete="off" spellcheck="false";
            }
            div class="side" {
                label { span { (words.prefix) } (prefix_choice(&prefixes(visit), "")) }
                label {
                    span { (words.user) }
                    input name="user" required autocomplete="username" spellcheck="false"
                        autocapitalize="off" pattern="[A-Za-z0-9_\\-]+"
                        value=(visit.field("user").unwrap_or_default());
                }
            }
            label {
                span { (words.password) }
                input type="password" name="password" required autocomplete="new-password"
                    minlength="10";
            }
            p { button type="submit" class="button strong" { (words.make) } }
        }
    }
}

fn who(visit: &Visit<'_>) -> Markup {
    let words = words(visit.lang);
    let prefixes = prefixes(visit);
    let prefix = prefixes.first().map_or("88.118.5", String::as_str);
    html! {
        p { (words.who_text) }
        p {
            a class="button strong" href=(place("/sign-in", &[("back", "/setup")])) {
                (words.sign_in)
            }
        }
        details {
            summary { (words.who_help) }
            pre tabindex="0" {
                "guantong record put " (prefix) "/clerk --value '300 HS_SECKEY SECRET' \
                 --permissions 1100\n"
                "echo '{\"index\":101,\"type\":\"HS_ADMIN\",\"data\":{\"format\":\"admin\",\
                 \"value\":{\"handle\":\"" (prefix) "/clerk\",\"index\":300,\
                 \"permissions\":\"111111111111\"}}}' > clerk.json\n"
                "guantong record add 0.NA/" (prefix) " --file clerk.json"
            }
        }
    }
}

fn choices(visit: &Visit<'_>) -> Markup {
    let words = words(visit.lang);
    let prefixes = prefixes(visit);
    html! {
        ul class="choices" {
            @for (name, (en, zh), (text_en, text_zh)) in EXAMPLES {
                @let definition = examples::definition(name, visit.lang).unwrap_or_default();
                li {
                    form method="post" action="/setup" {
                        (frame::token(visit))
                        h3 { (visit.lang.pick(en, zh)) }
                        p { (visit.lang.pick(text_en, text_zh)) }
                        p class="hint" { (words.fields) ": " (labels(&definition)) }
                        @if prefixes.len() > 1 {
                            label { span { (words.prefix) } " " (prefix_choice(&prefixes, "")) }
                        } @else {
                            input type="hidden" name="prefix"
                                value=(prefixes.first().map_or("", String::as_str));
                        }
                        button type="submit" class="button strong" name="example" value=(name) {
                            (words.choose) span class="hidden" { ": " (visit.lang.pick(en, zh)) }
                        }
                    }
                }
            }
        }
        p { a href="/template/edit" { (words.own) } }
    }
}

fn labels(definition: &Json) -> String {
    let fields = super::registrations::fields(definition).iter();
    fields
        .map(super::registrations::label)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Makes and publishes the template of an example, and leads on to its form. One that is there
/// already is taken as it is.
pub(super) async fn choose(visit: &Visit<'_>) -> Response {
    if visit.field("setupCode").is_some() {
        return match sign::set_up(visit).await {
            Ok(response) => response,
            Err(trouble) => page(visit, Some(&trouble)).await,
        };
    }
    let name = visit.field("example").unwrap_or_default();
    let Some(definition) = examples::definition(name, visit.lang) else {
        return page(visit, None).await;
    };
    let prefix = visit.field("prefix").unwrap_or_default();
    match published(visit, prefix, name, &definition).await {
        Ok(handle) => lead(&place("/registration/edit", &[("template", &handle)])),
        Err(trouble) => page(visit, Some(&trouble)).await,
    }
}

async fn published(
    visit: &Visit<'_>,
    prefix: &str,
    name: &str,
    definition: &Json,
) -> Result<String, Trouble> {
    let handle = format!("{prefix}/META_{name}");
    let known = visit.get(&of_template(&handle)).await;
    if known
        .as_ref()
        .is_ok_and(|told| told.json["state"] == "published")
    {
        return Ok(handle);
    }
    if known.is_err() {
        let body = json!({"prefix": prefix, "code": name, "definition": definition});
        visit.send(Method::POST, "/api/v2/templates", &body).await?;
    }
    let body = json!({"action": "publish"});
    visit
        .send(Method::POST, &of_template(&handle), &body)
        .await?;
    Ok(handle)
}
