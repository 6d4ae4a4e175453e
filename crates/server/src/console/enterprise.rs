//! One application of an enterprise: what it says, and the steps of its review.

use axum::http::Method;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Value as Json, json};

use super::enterprises::{parts, state};
use super::frame::{self, Tab, head};
use super::visit::{Trouble, Visit, lead, of_enterprise, place};

super::words::words! {
    title: "Application", "申请";
    filed: "Filed", "提交时间";
    changed: "Changed", "更新时间";
    reason: "Why it was rejected", "驳回原因";
    says: "What the enterprise says", "申请内容";
    details: "More", "其他信息";
    steps: "What can be done with it", "可执行的操作";
    amend: "Amend", "修改";
    prefix_record: "Prefix record", "前缀记录";
    approve: "Approve", "通过";
    approve_text: "The enterprise gets this prefix. Nobody serves it yet.",
        "企业获得该前缀，尚未提供服务。";
    reject: "Reject", "驳回";
    reject_text: "The applicant reads the reason, and amends. Name, document and prefix are free \
        again.", "申请人可见原因并修改；证件、用户名和前缀随即释放。";
    why: "Reason", "原因";
    delegate: "Delegate", "配置路由";
    delegate_text: "The node of the enterprise serves the prefix. Its site is what /api/site of \
        that node shows.", "由企业自建节点提供服务；站点信息取自该节点的 /api/site。";
    site: "Site, as JSON", "站点（JSON）";
    host: "Host", "托管";
    host_text: "This node serves the prefix.", "由本节点提供服务。";
    bad_site: "The site is not JSON: ", "站点不是有效的 JSON：";
    prefix: "Prefix", "前缀";
}

/// One application.
pub(super) async fn show(visit: &Visit<'_>) -> Response {
    let handle = visit.asked("handle").unwrap_or_default();
    page(visit, handle, None).await
}

/// Takes a step.
pub(super) async fn act(visit: &Visit<'_>) -> Response {
    let handle = visit.field("handle").unwrap_or_default();
    let body = match step(visit) {
        Ok(body) => body,
        Err(trouble) => return page(visit, handle, Some(&trouble)).await,
    };
    match visit
        .send(Method::POST, &of_enterprise(handle), &body)
        .await
    {
        Ok(_) => lead(&place("/enterprise", &[("handle", handle)])),
        Err(trouble) => page(visit, handle, Some(&trouble)).await,
    }
}

/// What a form means in the terms of the API.
fn step(visit: &Visit<'_>) -> Result<Json, Trouble> {
    Ok(match visit.field("do") {
        Some("approve") => json!({"action": "approve", "prefix": visit.field("prefix")}),
        Some("reject") => {
            json!({"action": "reject", "reason": visit.field("reason").unwrap_or_default()})
        }
        Some("delegate") => {
            let text = visit.field("site").unwrap_or_default();
            let site: Json = serde_json::from_str(text)
                .map_err(|error| Trouble::new(format!("{}{error}", words(visit.lang).bad_site)))?;
            json!({"action": "delegate", "site": site})
        }
        _ => json!({"action": "host"}),
    })
}

async fn page(visit: &Visit<'_>, handle: &str, trouble: Option<&Trouble>) -> Response {
    let content = match visit.get(&of_enterprise(handle)).await {
        Ok(told) => content(visit, handle, &told.json, trouble),
        Err(refused) => html! {
            (head(handle, "", None))
            (frame::trouble(visit, trouble.unwrap_or(&refused)))
        },
    };
    frame::page(visit, Tab::Enterprises, words(visit.lang).title, &content)
}

fn content(visit: &Visit<'_>, handle: &str, told: &Json, trouble: Option<&Trouble>) -> Markup {
    let words = words(visit.lang);
    let form = &told["form"];
    let found = told["state"].as_str().unwrap_or_default();
    let title = form["name"].as_str().unwrap_or(handle);
    let prefix = form["prefix"].as_str().unwrap_or_default();
    let actions = html! {
        @if matches!(found, "applied" | "rejected") {
            a class="button" href=(place("/enterprise/edit", &[("handle", handle)])) {
                (words.amend)
            }
        }
        @if matches!(found, "delegated" | "hosted") {
            @let of_prefix = format!("0.NA/{prefix}");
            a class="button" href=(place("/record", &[("handle", &of_prefix)])) {
                (words.prefix_record)
            }
        }
    };
    html! {
        (head(title, "", Some(actions)))
        p class="tags" {
            (state(found, visit.lang))
            code { (prefix) }
            a class="handle hint" href=(place("/record", &[("handle", handle)])) { (handle) }
        }
        @if let Some(trouble) = trouble { (frame::trouble(visit, trouble)) }
        @if let Some(reason) = told["reason"].as_str() {
            div class="notice warn" {
                p class="notice-title" { (words.reason) }
                p { (reason) }
            }
        }
        (says(visit, told))
        (steps(visit, handle, found, prefix))
    }
}

fn says(visit: &Visit<'_>, told: &Json) -> Markup {
    let words = words(visit.lang);
    let details = &told["form"]["details"];
    let details = details.as_object().filter(|details| !details.is_empty());
    let details = details.and_then(|details| serde_json::to_string_pretty(details).ok());
    let moments = [
        (words.filed, &told["filed"]),
        (words.changed, &told["changed"]),
    ];
    html! {
        section class="card" aria-labelledby="says" {
            h2 id="says" { (words.says) }
            dl class="facts" {
                @for (word, text) in parts(&told["form"], visit.lang) {
                    @if !text.is_empty() { div { dt { (word) } dd { (text) } } }
                }
                @for (word, moment) in moments {
                    div { dt { (word) } dd { (moment.as_str().unwrap_or_default()) } }
                }
                @if let Some(details) = details {
                    div { dt { (words.details) } dd { pre tabindex="0" { (details) } } }
                }
            }
        }
    }
}

fn steps(visit: &Visit<'_>, handle: &str, found: &str, prefix: &str) -> Markup {
    let words = words(visit.lang);
    let typed = |name| visit.field(name).unwrap_or_default();
    let wanted = visit.field("prefix").unwrap_or(prefix);
    let may = |states: &[&str]| states.contains(&found);
    let shown = [
        (
            may(&["applied"]),
            "approve",
            words.approve,
            words.approve_text,
            "button strong",
            html! {
                label {
                    span { (words.prefix) }
                    input name="prefix" spellcheck="false" value=(wanted);
                }
            },
        ),
        (
            may(&["applied", "approved"]),
            "reject",
            words.reject,
            words.reject_text,
            "button danger",
            html! {
                label {
                    span { (words.why) }
                    textarea name="reason" rows="2" required maxlength="1000" { (typed("reason")) }
                }
            },
        ),
        (
            may(&["approved", "delegated", "hosted"]),
            "delegate",
            words.delegate,
            words.delegate_text,
            "button strong",
            html! {
                label {
                    span { (words.site) }
                    textarea class="code" name="site" rows="6" required spellcheck="false" {
                        (typed("site"))
                    }
                }
            },
        ),
        (
            may(&["approved"]),
            "host",
            words.host,
            words.host_text,
            "button",
            html! {},
        ),
    ];
    forms(visit, handle, &shown)
}

/// Whether a step may be taken, its name, what it is called, what it means, its button, and what it
/// asks for.
type Step = (
    bool,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Markup,
);

fn forms(visit: &Visit<'_>, handle: &str, shown: &[Step]) -> Markup {
    let words = words(visit.lang);
    html! {
        @if shown.iter().any(|step| step.0) {
            h2 { (words.steps) }
            @for (_, action, word, text, class, fields) in shown.iter().filter(|step| step.0) {
                form class="card fields" method="post" action="/enterprise" {
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
