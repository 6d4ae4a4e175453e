//! The prefixes that the node answers for, and the sites that hold them.

use axum::http::Method;
use axum::response::Response;
use guantong_store::Scope;
use maud::{Markup, html};
use serde_json::Value as Json;

use super::delegate;
use super::frame::{self, Tab, head};
use super::sites;
use super::templates::prefixes;
use super::visit::{Trouble, Visit, lead, place};
use crate::http::page::number;
use crate::http::path::in_path;

super::words::words! {
    title: "Prefixes", "前缀";
    lead: "The right to name below a prefix is delegated to this node by the node above. Homed \
        prefixes are those that it answers for.",
        "上级节点将前缀之下的命名权委派给本节点；托管的前缀由本节点应答。";
    homed: "Homed", "托管";
    records: "records", "条标识记录";
    prefix: "Prefix", "前缀";
    handle: "Prefix record", "前缀记录";
    templates: "Templates", "模板";
    audit: "Changes", "变更";
    none: "No prefix yet", "尚未托管前缀";
    none_text: "Home the one that was delegated to you.", "请托管委派给您的前缀。";
    home: "Home a prefix", "托管前缀";
    home_text: "The node answers for it from then on. Somebody above must delegate it here, with \
        the site record of this node: guantong doctor says whether that is so.",
        "此后由本节点应答。还需上级节点凭本节点的站点记录完成委派，可用 guantong doctor 检查。";
    unhome: "Unhome", "取消托管";
    unhome_text: "It is not answered for any more. The records stay in the store.",
        "取消后不再应答，记录仍保留在存储中。";
    more: "More are homed than are shown; guantong prefix list has all of them.",
        "仅显示一部分，全部见 guantong prefix list。";
}

/// The page.
pub(super) async fn show(visit: &Visit<'_>) -> Response {
    page(visit, None).await
}

/// Homes, unhomes or delegates a prefix.
pub(super) async fn act(visit: &Visit<'_>) -> Response {
    if visit.field("do") == Some("delegate") {
        return match delegate::act(visit).await {
            Ok(handle) => {
                let pairs = [("handle", handle.as_str()), ("done", "1")];
                lead(&place("/record", &pairs))
            }
            Err(trouble) => page(visit, Some(&trouble)).await,
        };
    }
    let prefix = visit.field("prefix").unwrap_or_default();
    let target = format!("/api/prefixes/{}", in_path(prefix));
    let method = match visit.field("do") {
        Some("unhome") => Method::DELETE,
        _ => Method::PUT,
    };
    match visit.send(method, &target, &Json::Null).await {
        Ok(_) => lead("/prefixes"),
        Err(trouble) => page(visit, Some(&trouble)).await,
    }
}

async fn page(visit: &Visit<'_>, trouble: Option<&Trouble>) -> Response {
    let words = words(visit.lang);
    let homed = prefixes(visit);
    let mut rows = Vec::new();
    for prefix in &homed {
        let count = match visit.may_list(prefix).await {
            true => Scope::of_prefix(prefix)
                .ok()
                .and_then(|s| visit.node.store.count(&s).ok()),
            false => None,
        };
        rows.push((prefix, count));
    }
    let content = html! {
        (head(words.title, words.lead, None))
        @if let Some(trouble) = trouble { (frame::trouble(visit, trouble)) }
        @if rows.is_empty() { (frame::empty(words.none, words.none_text, None)) }
        @else {
            section class="card" aria-labelledby="homed" {
                h2 id="homed" { (words.homed) }
                ul class="list bare" {
                    @for (prefix, count) in &rows { (row(prefix, *count, words)) }
                }
                @if visit.node.store.homed().len() > rows.len() {
                    p class="hint" { (words.more) }
                }
            }
        }
        (sites::section(visit))
        // A mirror takes both from its primary.
        @if visit.node.mirroring.standing().is_primary() {
            (home(visit, &homed))
            (delegate::form(visit))
        }
    };
    frame::page(visit, Tab::Prefixes, words.title, &content)
}

fn row(prefix: &str, count: Option<u64>, words: &Words) -> Markup {
    let handle = format!("0.NA/{prefix}");
    let changes = place("/audit", &[("handle", &format!("{prefix}/"))]);
    html! {
        li {
            span class="list-title handle" { (prefix) }
            @if let Some(count) = count {
                span class="hint" { (number::count(count)) " " (words.records) }
            }
            span class="actions" {
                a class="button small" href=(place("/record", &[("handle", &handle)])) {
                    (words.handle)
                }
                a class="button small" href=(place("/templates", &[("prefix", prefix)])) {
                    (words.templates)
                }
                a class="button small" href=(changes) { (words.audit) }
            }
        }
    }
}

fn home(visit: &Visit<'_>, homed: &[String]) -> Markup {
    let words = words(visit.lang);
    html! {
        details class="card" {
            summary { (words.home) " · " (words.unhome) }
            form class="fields" method="post" action="/prefixes" {
                (frame::token(visit))
                p class="hint" { (words.home_text) }
                label {
                    span { (words.prefix) }
                    input name="prefix" required spellcheck="false" placeholder="88.118.5";
                }
                p {
                    button type="submit" class="button strong" name="do" value="home" {
                        (words.home)
                    }
                }
            }
            @if !homed.is_empty() {
                form class="fields" method="post" action="/prefixes" {
                    (frame::token(visit))
                    p class="hint" { (words.unhome_text) }
                    label {
                        span { (words.prefix) }
                        select name="prefix" {
                            @for prefix in homed { option value=(prefix) { (prefix) } }
                        }
                    }
                    p {
                        button type="submit" class="button danger" name="do" value="unhome" {
                            (words.unhome)
                        }
                    }
                }
            }
        }
    }
}
