//! Enterprises that apply for a prefix below ours (企业注册): the list of applications, and the form
//! of one.

use axum::http::Method;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Value as Json, json};

use super::frame::{self, Tab, head};
use super::templates::{prefix_choice, prefixes};
use super::visit::{Trouble, Visit, lead, of_enterprise, place};
use crate::http::page::Lang;
use crate::http::path::in_query;

/// Applications of a page.
const PAGE: usize = 50;

super::words::words! {
    title: "Enterprises", "企业注册";
    lead: "Enterprises apply for a prefix below yours. You review what they say; then their own \
        node serves the prefix, or this one does.",
        "企业申请您前缀之下的前缀；您审核后，由企业自建节点或本节点提供服务。";
    new: "New application", "新建申请";
    prefix: "Below the prefix", "上级前缀";
    show: "Show", "显示";
    next: "Next page", "下一页";
    none: "No application yet", "暂无申请";
    none_text: "A clerk files one here, or a portal of yours over the API.",
        "可由工作人员在此录入，或由您的门户通过接口提交。";
    no_prefix: "This node homes no prefix", "本节点未托管前缀";
    no_prefix_text: "Home the prefix of your second-level node first.", "请先托管二级节点的前缀。";
    to_prefixes: "Prefixes", "前缀";
    applied: "applied", "待审核";
    approved: "approved", "已通过";
    rejected: "rejected", "已驳回";
    delegated: "delegated", "已配置路由";
    hosted: "hosted", "托管";
    form: "Application of an enterprise", "企业申请";
    form_lead: "What the reviewer needs to know, and which prefix is wanted.", "审核所需信息及申请的前缀。";
    name: "Name of the enterprise", "企业名称";
    kind: "Document", "证件类型";
    credit: "unified social credit code", "统一社会信用代码";
    other: "another", "其他";
    number: "Its number", "证件号码";
    wanted: "Prefix that it wants", "申请的前缀";
    wanted_hint: "Your prefix, a point, and 1 to 20 digits or letters.",
        "您的前缀加点号，再加 1 至 20 位数字或字母。";
    user: "Name of its first user", "首个用户名";
    contact: "Whom to ask", "联系人";
    phone: "Telephone", "电话";
    email: "Electronic mail", "邮箱";
    key: "Public key", "公钥";
    key_hint: "By which it will administer its prefix; it may come later. PEM or JWK.",
        "企业据此管理其前缀，可稍后补充。PEM 或 JWK 格式。";
    save: "File it", "提交";
}

/// Where an application is in its life, in colour.
pub(super) fn state(state: &str, lang: Lang) -> Markup {
    let words = words(lang);
    let (class, word) = match state {
        "approved" => ("warn", words.approved),
        "rejected" => ("bad", words.rejected),
        "delegated" => ("good", words.delegated),
        "hosted" => ("good", words.hosted),
        _ => ("", words.applied),
    };
    html! { span class={ "tag " (class) } { (word) } }
}

/// The words of the parts of an application.
pub(super) fn parts(form: &Json, lang: Lang) -> Vec<(&'static str, String)> {
    let words = words(lang);
    let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
    let kind = match form["document"]["kind"].as_str() {
        Some("other") => words.other,
        _ => words.credit,
    };
    vec![
        (words.name, text(&form["name"])),
        (words.kind, kind.to_owned()),
        (words.number, text(&form["document"]["number"])),
        (words.wanted, text(&form["prefix"])),
        (words.user, text(&form["userName"])),
        (words.contact, text(&form["contact"]["name"])),
        (words.phone, text(&form["contact"]["phone"])),
        (words.email, text(&form["contact"]["email"])),
        (words.key, text(&form["publicKey"])),
    ]
}

//----------- List -----------------------------------------------------------

/// The applications below a prefix.
pub(super) async fn list(visit: &Visit<'_>) -> Response {
    let words = words(visit.lang);
    let homed = prefixes(visit);
    let first = homed.first().map_or("", String::as_str);
    let prefix = visit.asked("prefix").unwrap_or(first);
    let new = place("/enterprise/edit", &[("prefix", prefix)]);
    let actions = html! { a class="button strong" href=(new) { (words.new) } };
    let content = html! {
        (head(words.title, words.lead, (!prefix.is_empty()).then_some(actions)))
        @if prefix.is_empty() {
            @let there = ("/prefixes", words.to_prefixes);
            (frame::empty(words.no_prefix, words.no_prefix_text, Some(there)))
        } @else {
            @if homed.len() > 1 {
                form class="line" method="get" action="/enterprises" {
                    label { span { (words.prefix) } (prefix_choice(&homed, prefix)) }
                    button type="submit" class="button" { (words.show) }
                }
            }
            (rows(visit, prefix).await)
        }
    };
    frame::page(visit, Tab::Enterprises, words.title, &content)
}

async fn rows(visit: &Visit<'_>, prefix: &str) -> Markup {
    let words = words(visit.lang);
    let mut target = format!(
        "/api/v2/enterprises?prefix={}&limit={PAGE}",
        in_query(prefix)
    );
    if let Some(after) = visit.asked("after") {
        target.push_str(&format!("&after={}", in_query(after)));
    }
    let page = match visit.get(&target).await {
        Ok(told) => told.json,
        Err(trouble) => return frame::trouble(visit, &trouble),
    };
    let found = page["enterprises"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    if found.is_empty() {
        return frame::empty(words.none, words.none_text, None);
    }
    html! {
        ul class="list card" {
            @for one in found {
                @let handle = one["handle"].as_str().unwrap_or_default();
                li {
                    a class="list-title" href=(place("/enterprise", &[("handle", handle)])) {
                        (one["form"]["name"].as_str().unwrap_or(handle))
                    }
                    (state(one["state"].as_str().unwrap_or_default(), visit.lang))
                    @let wanted = one["form"]["prefix"].as_str().unwrap_or_default();
                    span class="hint handle" { (wanted) }
                }
            }
        }
        @if let Some(next) = page["next"].as_str() {
            @let more = place("/enterprises", &[("prefix", prefix), ("after", next)]);
            p { a class="button" href=(more) { (words.next) } }
        }
    }
}

//----------- Form -----------------------------------------------------------

/// The form: a new application, or one that is to say something else.
pub(super) async fn edit(visit: &Visit<'_>) -> Response {
    let mut said = Json::Null;
    let mut trouble = None;
    if let Some(handle) = visit.asked("handle") {
        match visit.get(&of_enterprise(handle)).await {
            Ok(told) => said = told.json["form"].clone(),
            Err(refused) => trouble = Some(refused),
        }
    } else if let Some(prefix) = visit.asked("prefix") {
        said = json!({"prefix": format!("{prefix}.")});
    }
    form(visit, visit.asked("handle"), &said, trouble.as_ref())
}

/// Files it, or amends it.
pub(super) async fn save(visit: &Visit<'_>) -> Response {
    let mut said = typed(visit);
    let handle = visit.field("handle");
    if let Some(handle) = handle {
        // What the form does not show stays.
        if let Ok(told) = visit.get(&of_enterprise(handle)).await {
            let details = &told.json["form"]["details"];
            if details.is_object() {
                said["details"] = details.clone();
            }
        }
    }
    let body = json!({"form": said});
    let sent = match handle {
        Some(handle) => visit.send(Method::PUT, &of_enterprise(handle), &body).await,
        None => visit.send(Method::POST, "/api/v2/enterprises", &body).await,
    };
    match sent {
        Ok(told) => {
            let made = told.json["handle"].as_str().or(handle).unwrap_or_default();
            lead(&place("/enterprise", &[("handle", made)]))
        }
        Err(trouble) => form(visit, handle, &said, Some(&trouble)),
    }
}

fn typed(visit: &Visit<'_>) -> Json {
    let text = |name| visit.field(name).unwrap_or_default();
    let kind = if visit.field("kind") == Some("other") {
        "other"
    } else {
        "creditCode"
    };
    json!({
        "name": text("name"),
        "document": {"kind": kind, "number": text("number")},
        "prefix": text("prefix"),
        "userName": text("user"),
        "contact": {"name": text("contact"), "phone": text("phone"), "email": text("email")},
        "publicKey": text("key"),
    })
}

fn form(visit: &Visit<'_>, handle: Option<&str>, said: &Json, wrong: Option<&Trouble>) -> Response {
    let words = words(visit.lang);
    let document = &said["document"];
    let contact = &said["contact"];
    let input = |name: &str, word: &str, path: &str, value: &Json, must: bool| {
        let fault = wrong.and_then(|trouble| trouble.of(path));
        html! {
            label {
                span { (word) @if must { span class="must" aria-hidden="true" { " *" } } }
                input name=(name) required[must] spellcheck="false"
                    aria-invalid=[fault.map(|_| "true")]
                    value=(value.as_str().unwrap_or_default());
                @if let Some(fault) = fault { span class="fault" lang="en" { (fault) } }
            }
        }
    };
    let content = html! {
        (head(words.form, words.form_lead, None))
        @if let Some(trouble) = wrong { (frame::trouble(visit, trouble)) }
        form class="card fields" method="post" action="/enterprise/edit" {
            (frame::token(visit))
            @if let Some(handle) = handle { input type="hidden" name="handle" value=(handle); }
            (input("name", words.name, "name", &said["name"], true))
            div class="side" {
                label {
                    span { (words.kind) }
                    select name="kind" {
                        option value="creditCode" { (words.credit) }
                        option value="other" selected[document["kind"] == "other"] { (words.other) }
                    }
                }
                (input("number", words.number, "document.number", &document["number"], true))
            }
            (input("prefix", words.wanted, "prefix", &said["prefix"], true))
            p class="hint" { (words.wanted_hint) }
            (input("user", words.user, "userName", &said["userName"], true))
            (input("contact", words.contact, "contact.name", &contact["name"], true))
            div class="side" {
                (input("phone", words.phone, "contact.phone", &contact["phone"], false))
                (input("email", words.email, "contact.email", &contact["email"], false))
            }
            label {
                span { (words.key) }
                textarea class="code" name="key" rows="5" spellcheck="false"
                    aria-describedby="key-hint" {
                    (said["publicKey"].as_str().unwrap_or_default())
                }
                span class="hint" id="key-hint" { (words.key_hint) }
            }
            p { button type="submit" class="button strong" { (words.save) } }
        }
    };
    frame::page(visit, Tab::Enterprises, words.form, &content)
}
