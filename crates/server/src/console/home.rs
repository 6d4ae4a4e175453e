//! The overview: how fast the node answers, what it holds, whether it is well, what to do next.
//!
//! The figures are those of `/metrics`, which the console address shows to everybody.

use axum::Json;
use axum::response::{IntoResponse, Response};
use guantong_core::replicate::Role;
use guantong_store::{Store, StoreError};
use maud::{Markup, html};
use time::OffsetDateTime;

use super::chart::{Bar, bars};
use super::frame::{self, Tab, head};
use super::numbers::Numbers;
use super::visit::Visit;
use crate::http::page::{Lang, number};
use crate::metrics::{Brief, Snapshot};

/// Days of the chart.
const DAYS: u64 = 14;
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// A node with fewer records is new.
const FEW: u64 = 10;
/// Below this part of the file system the disk is called full.
const FREE_LEAST: f64 = 0.1;

super::words::words! {
    title: "Overview", "概览";
    ready: "ready", "运行正常";
    not_ready: "not ready", "未就绪";
    primary: "primary", "主站点";
    mirror: "mirror", "镜像站点";
    fenced: "fenced", "已隔离";
    up: "up for", "已运行";
    now: "Now", "实时";
    now_hint: "Every second; without script, the mean since the node started.",
        "每秒更新；若未启用脚本，则为启动以来的平均值。";
    requests: "requests per second", "每秒请求";
    resolutions: "resolutions per second", "每秒解析";
    half: "median time to answer", "应答耗时中位数";
    most: "99% answered within", "99% 应答耗时不超过";
    connections: "open connections", "当前连接";
    refused: "not answered with success", "非成功应答";
    totals: "Holds", "总量";
    records: "records", "标识记录";
    prefixes: "prefixes", "托管前缀";
    changes: "changes so far", "累计变更";
    since_start: "requests since start", "启动以来请求";
    growth: "Changes per day", "每日变更";
    growth_hint: "Everything that was registered, changed, deleted. Days in UTC.",
        "包括注册、修改和删除。按 UTC 计日。";
    growth_none: "Nothing has been changed yet", "尚无变更";
    health: "Health", "健康状况";
    store: "Store", "存储";
    store_text: "on disk", "占用磁盘";
    disk: "Free disk", "可用磁盘";
    of: "of", "共";
    mirrors: "Mirrors", "镜像";
    mirrors_none: "nobody follows this node; a mirror would keep the records if this machine is \
        lost",
        "尚无镜像站点；建立镜像后，即使本机损坏也不会丢失数据";
    mirrors_some: "sites follow this node", "个镜像站点正在同步";
    lag: "behind the primary by", "落后主站点";
    lag_changes: "changes", "项变更";
    takes: "takes changes", "接受变更";
    takes_not: "takes no changes", "不接受变更";
    errors: "Dropped", "未应答";
    errors_text: "requests without an answer since start, for whatever reason",
        "启动以来因各种原因未应答的请求";
    well: "well", "正常";
    look: "look at this", "请注意";
    few: "This node is new", "这是一个新节点";
    few_text: "A template, a first registration, a code that resolves: about two minutes.",
        "选模板、完成首次注册、得到可解析的编码，约两分钟。";
    few_go: "First steps", "快速开始";
    prefixes_none: "No prefix yet", "尚未托管前缀";
    prefixes_none_text: "A node answers for the prefixes that it homes. On the machine itself: \
        guantong home PREFIX", "节点只为其托管的前缀应答。在本机执行：guantong home 前缀";
}

//----------- Page -----------------------------------------------------------

/// The page.
pub(super) async fn show(visit: &Visit<'_>) -> Response {
    let words = words(visit.lang);
    let (snapshot, brief) = (visit.node.snapshot(), visit.node.metrics.brief());
    let numbers = Numbers::of(visit).await;
    let content = html! {
        (lead(visit, &snapshot, &brief))
        @if snapshot.homed == 0 {
            (frame::empty(words.prefixes_none, words.prefixes_none_text, None))
        }
        @else if snapshot.store.is_some_and(|store| store.records < FEW) {
            (frame::empty(words.few, words.few_text, Some(("/setup", words.few_go))))
        }
        (now(visit, &snapshot, &brief))
        (totals(visit.lang, &snapshot, &brief, numbers.as_ref()))
        // To who may not know what is registered, that something happens.
        @match &numbers {
            Some(numbers) => (numbers.cards(visit.lang)),
            None => (growth(visit)),
        }
        (health(visit, &snapshot))
    };
    frame::page(visit, Tab::Home, words.title, &content)
}

fn lead(visit: &Visit<'_>, snapshot: &Snapshot, brief: &Brief) -> Markup {
    let words = words(visit.lang);
    let (is_ready, config) = (visit.node.is_ready(), visit.node.config());
    let role = snapshot.mirror.map(|mirror| match mirror.role {
        Role::Primary => words.primary,
        Role::Mirror => words.mirror,
        Role::Fenced => words.fenced,
    });
    let up = (visit.node.now_ms() / 1_000).saturating_sub(brief.start_secs);
    html! {
        (head(&config.name, "", None))
        p class="tags" {
            span class={ "tag " (if is_ready { "good" } else { "bad" }) } {
                (if is_ready { words.ready } else { words.not_ready })
            }
            @if let Some(role) = role { span class="tag" { (role) } }
            span class="hint" { (words.up) " " (number::duration(up, visit.lang)) }
        }
    }
}

//----------- Now ------------------------------------------------------------

fn now(visit: &Visit<'_>, snapshot: &Snapshot, brief: &Brief) -> Markup {
    let words = words(visit.lang);
    let up = (visit.node.now_ms() / 1_000).saturating_sub(brief.start_secs);
    let rate = |count: u64| number::compact(per_second(count, up), visit.lang);
    let refused = match brief.requests {
        0 => "0".to_owned(),
        all => format!("{:.1}%", brief.refused as f64 * 100.0 / all as f64),
    };
    let tiles = [
        ("requests", words.requests, rate(brief.requests), true),
        (
            "resolutions",
            words.resolutions,
            rate(brief.resolutions),
            true,
        ),
        ("median", words.half, duration(brief.percentile(0.5)), false),
        ("most", words.most, duration(brief.percentile(0.99)), false),
        (
            "connections",
            words.connections,
            snapshot.connections.to_string(),
            true,
        ),
        ("refused", words.refused, refused, false),
    ];
    html! {
        section aria-labelledby="now" {
            h2 id="now" { (words.now) }
            dl class="tiles" data-live="/figures" {
                @for (name, word, figure, has_line) in tiles {
                    div class="tile" {
                        dt { (word) }
                        dd {
                            span class="figure" data-figure=(name) { (figure) }
                            @if has_line {
                                svg class="spark" viewBox="0 0 120 28" preserveAspectRatio="none"
                                    aria-hidden="true" data-line=(name) { polyline points="" {} }
                            }
                        }
                    }
                }
            }
            p class="hint" { (words.now_hint) }
        }
    }
}

fn per_second(count: u64, seconds: u64) -> f64 {
    let rate = count as f64 / seconds.max(1) as f64;
    match rate {
        rate if rate >= 10.0 => rate.round(),
        rate => (rate * 10.0).round() / 10.0,
    }
}

/// A duration in the unit that says it in one to three digits.
fn duration(micros: Option<u64>) -> String {
    match micros {
        None => "–".to_owned(),
        Some(micros @ 0..1_000) => format!("{micros} µs"),
        Some(micros @ 1_000..1_000_000) => format!("{} ms", micros / 1_000),
        Some(micros) => format!("{} s", micros / 1_000_000),
    }
}

/// The figures as JSON, from which the script makes those of a second.
pub(super) fn figures(visit: &Visit<'_>) -> Response {
    let brief = visit.node.metrics.brief();
    let snapshot = visit.node.snapshot();
    Json(serde_json::json!({
        "requests": brief.requests,
        "resolutions": brief.resolutions,
        "refused": brief.refused,
        "connections": snapshot.connections,
        "records": snapshot.store.map(|store| store.records),
        "changes": snapshot.store.map(|store| store.last_change),
        "bounds": brief.durations.iter().map(|(bound, _)| *bound).collect::<Vec<_>>(),
        "durations": brief.durations.iter().map(|(_, count)| *count).collect::<Vec<_>>(),
    }))
    .into_response()
}

//----------- Totals ---------------------------------------------------------

fn totals(lang: Lang, snapshot: &Snapshot, brief: &Brief, numbers: Option<&Numbers>) -> Markup {
    let words = words(lang);
    let store = snapshot.store.unwrap_or_default();
    let mut totals = vec![
        (words.records, store.records, "records"),
        (words.prefixes, snapshot.homed as u64, ""),
        (words.changes, store.last_change, "changes"),
        (words.since_start, brief.requests, ""),
    ];
    if let Some(numbers) = numbers {
        let more = numbers.totals(lang);
        totals.splice(2..2, more.map(|(word, count)| (word, count, "")));
    }
    html! {
        section aria-labelledby="totals" {
            h2 id="totals" { (words.totals) }
            dl class="tiles" {
                @for (word, count, name) in totals {
                    div class="tile" {
                        dt { (word) }
                        dd { span class="figure" data-total=(name) { (number::count(count)) } }
                    }
                }
            }
        }
    }
}

//----------- Growth ---------------------------------------------------------

fn growth(visit: &Visit<'_>) -> Markup {
    let words = words(visit.lang);
    let days = changes_by_day(&visit.node.store, visit.node.now_ms()).unwrap_or_default();
    let is_empty = days.iter().all(|bar| bar.count == 0);
    html! {
        section aria-labelledby="growth" class="card" {
            h2 id="growth" { (words.growth) }
            @if is_empty { p class="hint" { (words.growth_none) } }
            @else {
                (bars(words.growth, &days, visit.lang))
                p class="hint" { (words.growth_hint) }
            }
        }
    }
}

/// How many changes were made on each of the last days. The numbers of changes go up with time, so
/// a day is found by halving, with a few reads each.
fn changes_by_day(store: &Store, now_ms: u64) -> Result<Vec<Bar>, StoreError> {
    let last = store.last_change();
    let tomorrow = (now_ms / DAY_MS + 1) * DAY_MS;
    let mut days = Vec::new();
    let mut before = first_since(store, last, tomorrow.saturating_sub(DAYS * DAY_MS))?;
    for day in (0..DAYS).rev() {
        let begin = tomorrow.saturating_sub((day + 1) * DAY_MS);
        let after = match day {
            0 => last + 1,
            day => first_since(store, last, tomorrow.saturating_sub(day * DAY_MS))?,
        };
        let at = OffsetDateTime::from_unix_timestamp((begin / 1_000).cast_signed());
        let name = at.map(|at| format!("{:02}-{:02}", u8::from(at.month()), at.day()));
        days.push(Bar {
            name: name.unwrap_or_default(),
            count: after.saturating_sub(before),
        });
        before = after;
    }
    Ok(days)
}

/// The first change that was made at `at_ms` or later; one behind the last if there is none.
fn first_since(store: &Store, last: u64, at_ms: u64) -> Result<u64, StoreError> {
    let (mut low, mut high) = (1, last + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        match store.change(middle)? {
            // A copy of a store may begin later than with change 1.
            None => low = middle + 1,
            Some(entry) if entry.at_ms < at_ms => low = middle + 1,
            Some(_) => high = middle,
        }
    }
    Ok(low)
}

//----------- Health ---------------------------------------------------------

struct Check {
    what: &'static str,
    is_well: bool,
    text: String,
}

fn health(visit: &Visit<'_>, snapshot: &Snapshot) -> Markup {
    let words = words(visit.lang);
    let mut checks = Vec::new();
    if let Some(store) = &snapshot.store {
        checks.push(Check {
            what: words.store,
            is_well: visit.node.store.writable().is_ok(),
            text: format!("{} {}", octets(store.disk_octets), words.store_text),
        });
    }
    checks.extend(disk(visit));
    checks.extend(mirrors(visit, snapshot));
    let drops: u64 = crate::metrics::Drop::ALL
        .iter()
        .map(|why| visit.node.metrics.drops(*why))
        .sum();
    checks.push(Check {
        what: words.errors,
        is_well: true,
        text: format!("{} {}", number::count(drops), words.errors_text),
    });
    html! {
        section aria-labelledby="health" class="card" {
            h2 id="health" { (words.health) }
            dl class="facts" {
                @for check in &checks {
                    div {
                        dt { (check.what) }
                        dd {
                            @let (class, word) = match check.is_well {
                                true => ("good", words.well),
                                false => ("bad", words.look),
                            };
                            span class={ "tag " (class) } { (word) } " " (check.text)
                        }
                    }
                }
            }
        }
    }
}

fn disk(visit: &Visit<'_>) -> Option<Check> {
    let words = words(visit.lang);
    let found = nix::sys::statvfs::statvfs(&visit.node.config().data).ok()?;
    let size = found.fragment_size() as u64;
    let (free, all) = (found.blocks_available() as u64, found.blocks() as u64);
    let (free, all) = (free.saturating_mul(size), all.saturating_mul(size));
    Some(Check {
        what: words.disk,
        is_well: free as f64 >= all as f64 * FREE_LEAST,
        text: format!("{} {} {}", octets(free), words.of, octets(all)),
    })
}

fn mirrors(visit: &Visit<'_>, snapshot: &Snapshot) -> Vec<Check> {
    let words = words(visit.lang);
    let Some(mirror) = &snapshot.mirror else {
        return Vec::new();
    };
    let text = match (mirror.role, mirror.feeds) {
        (Role::Primary, 0) => words.mirrors_none.to_owned(),
        (Role::Primary, feeds) => format!("{feeds} {}", words.mirrors_some),
        _ => {
            let changes = number::count(mirror.figures.lag_changes());
            let secs = mirror.figures.lag().map(|lag| lag.as_secs());
            let time = secs.map(|secs| number::duration(secs, visit.lang));
            let time = time.unwrap_or_else(|| "–".to_owned());
            format!("{} {changes} {}, {time}", words.lag, words.lag_changes)
        }
    };
    let takes = match mirror.takes_changes {
        true => words.takes,
        false => words.takes_not,
    };
    let is_well =
        mirror.role != Role::Fenced && (mirror.role == Role::Primary) == mirror.takes_changes;
    vec![Check {
        what: words.mirrors,
        is_well,
        text: format!("{text} · {takes}"),
    }]
}

/// Octets in the unit that says them in few digits.
fn octets(count: u64) -> String {
    const UNITS: [(u64, &str); 4] = [
        (1 << 40, "TiB"),
        (1 << 30, "GiB"),
        (1 << 20, "MiB"),
        (1 << 10, "KiB"),
    ];
    match UNITS.iter().find(|(size, _)| count >= *size) {
        Some((size, unit)) => format!("{:.1} {unit}", count as f64 / *size as f64),
        None => format!("{count} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_in_few_digits() {
        assert_eq!(octets(1_023), "1023 B");
        assert_eq!(octets(1_536), "1.5 KiB");
        assert_eq!(octets(u64::MAX), "16777216.0 TiB");
        assert_eq!(duration(Some(20)), "20 µs");
        assert_eq!(duration(Some(10_000)), "10 ms");
        assert_eq!(duration(Some(1_000_000)), "1 s");
        assert_eq!(duration(None), "–");
        assert_eq!((per_second(0, 0), per_second(7, 10)), (0.0, 0.7));
        assert_eq!(per_second(12_345, 10), 1_235.0);
    }
}
