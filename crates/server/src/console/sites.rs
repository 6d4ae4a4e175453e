//! The sites that hold the prefixes: what this one is to its data, the primary that it follows, the
//! mirrors that follow it, and how far each has come.

use guantong_core::replicate::Role;
use maud::{Markup, html};

use super::visit::Visit;
use crate::http::page::number;
use crate::mirror::{MirrorSnapshot, Seen};

super::words::words! {
    sites: "Sites", "站点";
    role: "This node is", "本节点角色";
    primary: "primary: it takes changes", "主站点：接受变更";
    mirror: "mirror: it follows a primary", "镜像站点：跟随主站点";
    fenced: "fenced: another node was promoted", "已隔离：已有其他节点升主";
    epoch: "Epoch", "任期";
    waiting: "Batches that wait for a mirror", "等待镜像确认的批次";
    follows: "Its primary", "主站点";
    nobody: "none is named: set mirror.of", "未指定，请设置 mirror.of";
    follows_as: "It follows as", "跟随所用身份";
    state: "State", "状态";
    last: "Last change taken", "已同步到变更";
    of: "of", "共";
    behind: "Behind", "落后";
    changes: "changes", "项变更";
    one_change: "1 change", "1 项变更";
    level: "nothing", "无";
    unknown: "unknown until the primary is reached", "未知，需先连上主站点";
    since: "for ", "已持续";
    mirrors: "Mirrors that follow it", "跟随本节点的镜像";
    connected_now: "connected now", "个已连接";
    who: "Sign in to see which, and how far they have come.", "登录后可查看各镜像及其同步进度。";
    none: "No mirror has followed since the node started. One keeps the records if this machine is \
        lost: see docs/operate/mirrors.md.",
        "节点启动后尚无镜像跟随。镜像可在本机丢失时保住记录，见 docs/operate/mirrors.md。";
    name: "Mirror", "镜像";
    address: "Address", "地址";
    up_to_date: "up to date", "已同步";
    catching_up: "catching up", "正在追赶";
    copying: "copying everything", "正在全量复制";
    cut_off: "not connected", "未连接";
    unreachable: "the primary cannot be reached", "无法连接主站点";
    asks: "asks from time to time", "定期轮询";
    heard: "heard of ", "最近联系：";
    ago: " ago", "前";
}

/// The section of the page.
pub(super) fn section(visit: &Visit<'_>) -> Markup {
    let words = words(visit.lang);
    let snapshot = visit.node.mirroring.snapshot(&visit.node.store);
    let role = match snapshot.role {
        Role::Primary => words.primary,
        Role::Mirror => words.mirror,
        Role::Fenced => words.fenced,
    };
    html! {
        section class="card" aria-labelledby="sites" {
            h2 id="sites" { (words.sites) }
            dl class="facts" {
                div { dt { (words.role) } dd { (role) } }
                div { dt { (words.epoch) } dd { (snapshot.epoch) } }
                @if snapshot.role == Role::Primary {
                    div { dt { (words.waiting) } dd { (snapshot.unconfirmed) } }
                } @else { (following(visit, &snapshot)) }
            }
            @if snapshot.role == Role::Primary { (mirrors(visit, snapshot.feeds)) }
        }
    }
}

//----------- Of a mirror ----------------------------------------------------

/// How this node follows its primary.
fn following(visit: &Visit<'_>, snapshot: &MirrorSnapshot) -> Markup {
    let words = words(visit.lang);
    let config = visit.node.config();
    let primary = visit.node.mirroring.primary(&config);
    let figures = &snapshot.figures;
    let behind = figures.lag_changes();
    let (class, state) = match (figures.is_cut, figures.is_complete, behind) {
        (true, ..) => ("bad", words.unreachable),
        (false, false, _) => ("warn", words.copying),
        (false, true, 0) => ("good", words.up_to_date),
        (false, true, _) => ("warn", words.catching_up),
    };
    let is_level = behind == 0 && !figures.is_cut;
    let seconds = figures.lag().map(|lag| lag.as_secs());
    html! {
        div {
            dt { (words.follows) }
            dd {
                @match &primary {
                    Some(primary) => code { (primary) },
                    None => (words.nobody),
                }
            }
        }
        @if let (Some(identity), Some(_)) = (&config.mirror.identity, &visit.viewer) {
            div { dt { (words.follows_as) } dd { code { (identity) } } }
        }
        div { dt { (words.state) } dd { span class={ "tag " (class) } { (state) } } }
        div {
            dt { (words.last) }
            dd {
                (number::count(figures.last))
                @if behind > 0 {
                    " " span class="hint" { (words.of) " " (number::count(figures.end)) }
                }
            }
        }
        div {
            dt { (words.behind) }
            dd {
                @match (figures.is_complete, figures.is_cut, seconds) {
                    (false, false, _) => "–",
                    (_, true, None) => (words.unknown),
                    _ => (lag(visit, behind, seconds.filter(|_| !is_level))),
                }
            }
        }
    }
}

/// `12 changes, for 3 min`.
fn lag(visit: &Visit<'_>, changes: u64, seconds: Option<u64>) -> Markup {
    let words = words(visit.lang);
    html! {
        @match changes {
            0 if seconds.is_none() => (words.level),
            1 => (words.one_change),
            _ => { (number::count(changes)) " " (words.changes) }
        }
        @if let Some(seconds) = seconds {
            " " span class="hint nowrap" {
                (words.since) (number::duration(seconds, visit.lang))
            }
        }
    }
}

//----------- Of a primary ---------------------------------------------------

/// The mirrors of this node, for whoever is signed in.
fn mirrors(visit: &Visit<'_>, connected: usize) -> Markup {
    let words = words(visit.lang);
    let mirrors = visit.node.mirroring.mirrors();
    html! {
        h3 { (words.mirrors) }
        @if visit.viewer.is_none() {
            p { (connected) " " (words.connected_now) ". " span class="hint" { (words.who) } }
        } @else if mirrors.is_empty() {
            p class="hint" { (words.none) }
        } @else {
            div class="scroll" tabindex="0" role="region" aria-label=(words.mirrors) {
                table class="cards" {
                    thead {
                        tr {
                            th scope="col" { (words.name) }
                            th scope="col" { (words.state) }
                            th scope="col" { (words.address) }
                            th scope="col" { (words.last) }
                            th scope="col" { (words.behind) }
                        }
                    }
                    tbody { @for mirror in &mirrors { (row(visit, mirror)) } }
                }
            }
        }
    }
}

fn row(visit: &Visit<'_>, mirror: &Seen) -> Markup {
    let words = words(visit.lang);
    let end = visit.node.store.last_change();
    let behind = mirror.last.map(|last| end.saturating_sub(last));
    let silence = number::duration(mirror.silence().as_secs(), visit.lang);
    let (class, state) = match (mirror.is_connected(), behind) {
        (false, _) if !mirror.stays => ("", words.asks),
        (false, _) => ("bad", words.cut_off),
        (true, None) => ("warn", words.copying),
        (true, Some(0)) => ("good", words.up_to_date),
        (true, Some(_)) => ("warn", words.catching_up),
    };
    html! {
        tr {
            th scope="row" { code { (mirror.identity) } }
            td data-label=(words.state) {
                span class={ "tag " (class) } { (state) }
                @if !mirror.is_connected() {
                    " " span class="hint nowrap" { (words.heard) (silence) (words.ago) }
                }
            }
            td data-label=(words.address) { code { (mirror.address) } }
            td data-label=(words.last) {
                @match mirror.last {
                    Some(last) => (number::count(last)),
                    None => "–",
                }
            }
            td data-label=(words.behind) {
                @match (mirror.last, behind) {
                    (Some(last), Some(behind)) => (lag(visit, behind, age(visit, last))),
                    _ => "–",
                }
            }
        }
    }
}

/// The age of the first change that a mirror has not, in seconds; none if it has all.
fn age(visit: &Visit<'_>, last: u64) -> Option<u64> {
    let node = visit.node;
    let next = node.store.changes(last, 1).ok()?.into_iter().next()?;
    Some(node.now_ms().saturating_sub(next.at_ms) / 1_000)
}
