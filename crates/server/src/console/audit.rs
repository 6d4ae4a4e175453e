//! Who changed what, and when: the change log, newest first, of the prefixes whose handles the
//! viewer may list.

use std::collections::HashMap;

use axum::response::Response;
use guantong_api::control::ChangeEntry;
use guantong_store::{Entry, StoreError};
use maud::{Markup, html};

use super::frame::{self, Tab, head};
use super::history::{action, who};
use super::visit::{Visit, place};
use crate::control::change_entry;
use crate::http::page::{Lang, number};
use crate::node::Node;

/// Changes of a page.
const SHOWN: usize = 50;
/// Changes that are looked at for a page, so that a filter that fits few does not read the whole
/// log.
const READ_MAX: u64 = 5_000;
/// Changes that are read together.
const CHUNK: u64 = 250;
/// Prefixes of which a page finds out whether the viewer may list them.
const PREFIXES_MAX: usize = 64;

super::words::words! {
    title: "Audit", "审计日志";
    lead: "Who changed what, and when: the change log of the prefixes whose handles you may list.",
        "谁在何时改了什么：您有权列出标识的前缀的变更日志。";
    who: "Sign in to see it.", "请先登录。";
    sign_in: "Sign in", "登录";
    handle: "Identifier begins with", "标识以此开头";
    by: "Who", "操作者";
    by_hint: "part of the identity", "身份标识的一部分";
    from_hint: "address or way", "地址或方式";
    what: "What", "操作";
    everything: "everything", "全部";
    search: "Show", "查询";
    number: "Change", "变更";
    at: "When", "时间";
    from: "From", "来自";
    record: "Identifier", "标识";
    none: "Nothing was found", "没有找到";
    none_text: "No change that you may see fits, among those that were looked at.",
        "在已查看的范围内，没有符合条件且您有权查看的变更。";
    older: "Older changes", "更早的变更";
    here: "this machine", "本机";
    control: "command", "命令行";
    console: "console", "控制台";
    primary: "primary", "主站点";
}

const ACTIONS: [&str; 5] = ["create", "update", "delete", "home", "unhome"];

//----------- Filter ---------------------------------------------------------

/// What is looked for.
#[derive(Clone, Debug, Default)]
struct Filter {
    handle: String,
    by: String,
    action: String,
    from: String,
}

impl Filter {
    fn of(visit: &Visit<'_>) -> Self {
        let lower = |name| visit.asked(name).unwrap_or_default().to_ascii_lowercase();
        Self {
            handle: lower("handle"),
            by: lower("by"),
            action: lower("what"),
            from: lower("from"),
        }
    }

    fn fits(&self, change: &ChangeEntry, lang: Lang) -> bool {
        let handle = change.handle.to_ascii_lowercase();
        handle.starts_with(&self.handle)
            && change.origin.to_ascii_lowercase().contains(&self.by)
            && (self.action.is_empty() || change.action == self.action)
            && (self.from.is_empty() || from(change, lang).contains(&self.from))
    }
}

/// The way by which a change came, as the log and as people say it, and from which address.
fn from(change: &ChangeEntry, lang: Lang) -> String {
    let address = change.from.address.as_deref().unwrap_or_default();
    let way = change.from.way.as_str();
    format!("{way} {} {address}", way_word(way, lang)).to_ascii_lowercase()
}

/// What people call a way by which changes come; protocols have their own names.
fn way_word(way: &str, lang: Lang) -> &str {
    let words = words(lang);
    match way {
        "here" => words.here,
        "control" => words.control,
        "console" => words.console,
        "primary" => words.primary,
        protocol => protocol,
    }
}

/// The changes in front of number `before`, newest first: at most a chunk.
fn chunk(node: &Node, before: u64) -> Result<Vec<Entry>, StoreError> {
    let after = before.saturating_sub(CHUNK + 1);
    let count = usize::try_from(before.saturating_sub(after + 1)).unwrap_or(0);
    let mut entries = node.store.changes(after, count)?;
    // An answer may hold fewer than were asked for: those are the oldest, and the next ones follow.
    while let Some(last) = entries.last().map(|entry| entry.number) {
        if last + 1 >= before {
            break;
        }
        let more = node.store.changes(last, count)?;
        if more.is_empty() {
            break;
        }
        entries.extend(more.into_iter().filter(|entry| entry.number < before));
    }
    entries.reverse();
    Ok(entries)
}

/// What a page shows, and the number in front of which the next one begins.
#[derive(Debug, Default)]
struct Found {
    changes: Vec<ChangeEntry>,
    next: Option<u64>,
}

async fn find(visit: &Visit<'_>, filter: &Filter) -> Result<Found, StoreError> {
    let newest = visit.node.store.last_change() + 1;
    let asked = visit.asked("before").and_then(|before| before.parse().ok());
    let mut before: u64 = asked.unwrap_or(newest).min(newest);
    let least = before.saturating_sub(READ_MAX);
    let mut may: HashMap<String, bool> = HashMap::new();
    let mut found = Found::default();
    while before > 1 && before > least {
        let entries = chunk(visit.node, before)?;
        let Some(oldest) = entries.last().map(|entry| entry.number) else {
            return Ok(found);
        };
        for entry in entries {
            let change = change_entry(&entry);
            if !filter.fits(&change, visit.lang) || !is_shown(visit, &entry, &mut may).await {
                continue;
            }
            found.changes.push(change);
            if found.changes.len() == SHOWN {
                found.next = Some(entry.number).filter(|number| *number > 1);
                return Ok(found);
            }
        }
        before = oldest;
    }
    found.next = Some(before).filter(|number| *number > 1);
    Ok(found)
}

/// Whether the viewer may know of a change: that of a record below a prefix, and that of the
/// prefix.
async fn is_shown(visit: &Visit<'_>, entry: &Entry, may: &mut HashMap<String, bool>) -> bool {
    let handle = entry.handle.borrow();
    let prefix = match handle.prefix().eq_ignore_ascii_case("0.NA") {
        true => handle.suffix().to_owned(),
        false => handle.prefix().to_owned(),
    };
    if let Some(known) = may.get(&prefix) {
        return *known;
    }
    if may.len() >= PREFIXES_MAX {
        return false;
    }
    let is_shown = visit.may_list(&prefix).await;
    may.insert(prefix, is_shown);
    is_shown
}

//----------- Page -----------------------------------------------------------

/// The page.
pub(super) async fn show(visit: &Visit<'_>) -> Response {
    let words = words(visit.lang);
    let content = html! {
        (head(words.title, words.lead, None))
        @if visit.viewer.is_none() {
            @let href = place("/sign-in", &[("back", "/audit")]);
            (frame::empty(words.title, words.who, Some((&href, words.sign_in))))
        } @else {
            (form(visit))
            @match find(visit, &Filter::of(visit)).await {
                Ok(found) => (table(visit, &found)),
                Err(error) => p class="notice bad" lang="en" { (error) },
            }
        }
    };
    frame::page(visit, Tab::Audit, words.title, &content)
}

fn form(visit: &Visit<'_>) -> Markup {
    let words = words(visit.lang);
    html! {
        form class="line" method="get" action="/audit" {
            label {
                span { (words.handle) }
                input type="search" name="handle" spellcheck="false"
                    value=(visit.asked("handle").unwrap_or_default());
            }
            label {
                span { (words.by) }
                input type="search" name="by" spellcheck="false" placeholder=(words.by_hint)
                    value=(visit.asked("by").unwrap_or_default());
            }
            label {
                span { (words.from) }
                input type="search" name="from" spellcheck="false" placeholder=(words.from_hint)
                    value=(visit.asked("from").unwrap_or_default());
            }
            label {
                span { (words.what) }
                select name="what" {
                    option value="" { (words.everything) }
                    @for name in ACTIONS {
                        option value=(name) selected[visit.asked("what") == Some(name)] {
                            (action(name, visit.lang))
                        }
                    }
                }
            }
            button type="submit" class="button" { (words.search) }
        }
    }
}

fn table(visit: &Visit<'_>, found: &Found) -> Markup {
    let words = words(visit.lang);
    let before = found.next.map(|next| next.to_string());
    let more = before.as_deref().map(|before| {
        let kept = ["handle", "by", "from", "what"].map(|name| (name, visit.asked(name)));
        let kept = kept
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        let pairs: Vec<(&str, &str)> = kept.chain([("before", before)]).collect();
        place("/audit", &pairs)
    });
    html! {
        @if found.changes.is_empty() { (frame::empty(words.none, words.none_text, None)) }
        @else {
            div class="card scroll" tabindex="0" role="region" aria-label=(words.title) {
                table class="cards" {
                    thead {
                        tr {
                            th class="number" scope="col" { (words.number) }
                            th scope="col" { (words.at) }
                            th scope="col" { (words.what) }
                            th scope="col" { (words.record) }
                            th scope="col" { (words.by) }
                            th scope="col" { (words.from) }
                        }
                    }
                    tbody { @for change in &found.changes { (row(visit, change, words)) } }
                }
            }
        }
        @if let Some(more) = more { p { a class="button" href=(more) { (words.older) } } }
    }
}

fn row(visit: &Visit<'_>, change: &ChangeEntry, words: &Words) -> Markup {
    let at = number::moment((change.at_ms / 1_000).cast_signed());
    let address = change.from.address.as_deref().unwrap_or_default();
    html! {
        tr {
            th class="number" scope="row" { (change.number) }
            td { (at.unwrap_or_default()) }
            td { (action(&change.action, visit.lang)) }
            td data-label=(words.record) {
                a class="handle" href=(place("/record", &[("handle", &change.handle)])) {
                    (change.handle)
                }
            }
            td data-label=(words.by) { (who(change, visit.lang)) }
            td class="hint" data-label=(words.from) {
                (way_word(&change.from.way, visit.lang)) " " (address)
            }
        }
    }
}
