//! What a record refers to, and what refers to it, over some steps: a picture in which every
//! record leads to its own. The graph is that of `/api/v2/graph`; the same is told as a list.

use maud::{Markup, html};
use serde_json::Value as Json;

use super::layout::{Picture, Spot};
use super::visit::{Visit, place};
use crate::http::path::in_path;

/// Most records on each side: as many as a picture can hold.
const SIDE_MAX: usize = 100;
/// Steps that may be chosen, and those that are shown at first.
const STEPS: [u32; 4] = [1, 2, 3, 8];
const STEPS_USUAL: u32 = 2;
/// Sizes of the picture, in its own unit.
const WIDTH: i64 = 184;
const HEIGHT: i64 = 46;
const BESIDE: i64 = 96;
const BELOW: i64 = 12;
const EDGE: i64 = 4;
/// More lines than these are drawn without the names of their fields.
const NAMED_MAX: usize = 40;
/// Half-width characters of a line in a box.
const CHARS_MAX: usize = 24;

super::words::words! {
    none: "Nothing refers to it, and it refers to nothing. Fields of the type reference link \
        records.",
        "没有引用其他记录，也未被引用。“引用”类型的字段可将记录关联起来。";
    steps: "Steps", "步数";
    more: "There is more than is shown.", "仅显示一部分。";
    withheld: "not shown to you", "您无权查看";
    missing: "no such record", "记录不存在";
    foreign: "of another node", "属于其他节点";
    silent: "its node does not answer now", "所属节点暂无应答";
    unvisited: "not looked at", "未查询";
    as_list: "The same as a list", "以列表显示";
    picture: "What refers to this record stands left of it, what it refers to on the right.",
        "左侧为引用本记录者，右侧为本记录所引用者。";
    by: "by", "字段";
    back_not: "What refers to it is shown to those who may list its prefix.",
        "引用它的记录仅对可列出该前缀者显示。";
}

/// The graph around a record; nothing if there is none and the record is no registration.
pub(super) async fn graph(visit: &Visit<'_>, handle: &str, is_registered: bool) -> Option<Markup> {
    let steps = visit.asked("steps").and_then(|steps| steps.parse().ok());
    let steps = steps.filter(|steps| STEPS.contains(steps));
    let steps = steps.unwrap_or(STEPS_USUAL);
    let target = |direction: &str| {
        format!(
            "/api/v2/graph/{}?direction={direction}&depth={steps}&limit={SIDE_MAX}",
            in_path(handle)
        )
    };
    let (along, against) = (target("out"), target("in"));
    // Only what is held here can be found by what it refers to, and only who may list its prefix
    // by who he is finds it.
    let (out, back) = tokio::join!(visit.get(&along), visit.get_from_afar(&against));
    let is_back_shown = back.is_ok();
    let json = |told: Result<super::visit::Told, _>| told.map_or(Json::Null, |told| told.json);
    let picture = Picture::of(&json(out), &json(back));
    if picture.lines.is_empty() && !is_registered {
        return None;
    }
    let words = words(visit.lang);
    Some(html! {
        @if picture.lines.is_empty() { p class="hint" { (words.none) } }
        @else {
            (choice(handle, steps, words))
            p class="hint" { (words.picture) }
            div class="graph" tabindex="0" role="group" aria-label=(words.picture) {
                (drawn(&picture, steps, words))
            }
            details { summary { (words.as_list) } (listed(&picture, steps, words)) }
        }
        @if picture.is_part { p class="hint" { (words.more) } }
        @if !is_back_shown { p class="hint" { (words.back_not) } }
    })
}

/// Where one comes by following a link: to the same number of steps around another record.
fn there(handle: &str, steps: u32) -> String {
    let steps = steps.to_string();
    let page = place("/record", &[("handle", handle), ("steps", &steps)]);
    format!("{page}#links")
}

fn choice(handle: &str, steps: u32, words: &Words) -> Markup {
    html! {
        nav class="actions" aria-label=(words.steps) {
            span class="hint" { (words.steps) }
            @for offered in STEPS {
                a class="button small" href=(there(handle, offered))
                    aria-current=[(offered == steps).then_some("true")] { (offered) }
            }
        }
    }
}

//----------- Picture --------------------------------------------------------

/// The upper left corner of a record in the picture.
fn corner(picture: &Picture, spot: &Spot) -> (i64, i64) {
    let (least, _) = picture.columns();
    let count = |rows: usize| i64::try_from(rows).unwrap_or(0);
    let free = count(picture.height().saturating_sub(picture.rows(spot.column)));
    (
        EDGE + (spot.column - least) * (WIDTH + BESIDE),
        EDGE + count(spot.row) * (HEIGHT + BELOW) + free * (HEIGHT + BELOW) / 2,
    )
}

fn drawn(picture: &Picture, steps: u32, words: &Words) -> Markup {
    let (least, most) = picture.columns();
    let width = 2 * EDGE + (most - least) * (WIDTH + BESIDE) + WIDTH;
    let rows = i64::try_from(picture.height()).unwrap_or(0);
    let height = 2 * EDGE + rows * (HEIGHT + BELOW) - BELOW;
    let corners: Vec<_> = picture.spots.iter().map(|s| corner(picture, s)).collect();
    html! {
        svg width=(width) height=(height) viewBox={ "0 0 " (width) " " (height) } {
            @for line in &picture.lines {
                @if let (Some(from), Some(to)) = (corners.get(line.from), corners.get(line.to)) {
                    (arrow(*from, *to, &line.field, picture.lines.len() <= NAMED_MAX))
                }
            }
            @for (n, (spot, corner)) in picture.spots.iter().zip(&corners).enumerate() {
                (drawn_spot(spot, *corner, n == 0, steps, words))
            }
        }
    }
}

/// A line from the right side of a box to the left side of another, with a point at its end.
fn arrow(from: (i64, i64), to: (i64, i64), field: &str, is_named: bool) -> Markup {
    let (x1, y1) = (from.0 + WIDTH, from.1 + HEIGHT / 2);
    let (x2, y2) = (to.0 - 6, to.1 + HEIGHT / 2);
    let bend = BESIDE / 2;
    let path = format!("M{x1} {y1}C{} {y1} {} {y2} {x2} {y2}", x1 + bend, x2 - bend);
    let point = format!("M{x2} {}l6 4l-6 4z", y2 - 4);
    html! {
        path class="graph-line" d=(path) { title { (field) } }
        path class="graph-point" d=(point) {}
        @if is_named {
            text class="graph-by" x=((x1 + x2) / 2) y=((y1 + y2) / 2 - 4) {
                (cut(field, CHARS_MAX / 2))
            }
        }
    }
}

fn drawn_spot(spot: &Spot, (x, y): (i64, i64), is_here: bool, steps: u32, words: &Words) -> Markup {
    let class = match (is_here, spot.state.as_str()) {
        (true, _) => "graph-spot is-here",
        (false, "known") => "graph-spot",
        (false, _) => "graph-spot is-dim",
    };
    let said = said(spot, words);
    html! {
        a class=(class) href=(there(&spot.handle, steps))
            aria-current=[is_here.then_some("true")] {
            title { (spot.handle) " " (said) }
            rect x=(x) y=(y) width=(WIDTH) height=(HEIGHT) rx="9" {}
            text x=(x + 12) y=(y + 19) { (cut(&spot.handle, CHARS_MAX)) }
            text class="graph-said" x=(x + 12) y=(y + 36) { (cut(said, CHARS_MAX)) }
        }
    }
}

/// The title of a record, or why it has none.
fn said<'s>(spot: &'s Spot, words: &'s Words) -> &'s str {
    match spot.state.as_str() {
        "withheld" => words.withheld,
        "missing" => words.missing,
        "foreign" => words.foreign,
        "silent" => words.silent,
        "unvisited" => words.unvisited,
        _ => &spot.title,
    }
}

/// As much of a text as fits into `room` half-width characters; of a long one, both ends, since
/// handles differ at the end.
fn cut(text: &str, room: usize) -> String {
    let width = |c: char| if c.is_ascii() { 1 } else { 2 };
    if text.chars().map(width).sum::<usize>() <= room {
        return text.to_owned();
    }
    let half = room.saturating_sub(1) / 2;
    let fitting = |chars: &mut dyn Iterator<Item = char>| {
        let mut taken = 0;
        let fits = |c: &char| {
            taken += width(*c);
            taken <= half
        };
        chars.take_while(fits).collect::<Vec<_>>()
    };
    let (begin, end) = (fitting(&mut text.chars()), fitting(&mut text.chars().rev()));
    let ends = begin.into_iter().chain(['…']).chain(end.into_iter().rev());
    ends.collect()
}

//----------- List -----------------------------------------------------------

fn listed(picture: &Picture, steps: u32, words: &Words) -> Markup {
    let spot = |n: usize| picture.spots.get(n);
    html! {
        ul class="list bare" {
            @for line in &picture.lines {
                @if let (Some(from), Some(to)) = (spot(line.from), spot(line.to)) {
                    li {
                        (link(from, steps, words)) span aria-hidden="true" { "→" }
                        (link(to, steps, words))
                        span class="hint" { (words.by) " " (line.field) }
                    }
                }
            }
        }
    }
}

fn link(spot: &Spot, steps: u32, words: &Words) -> Markup {
    html! {
        a class="list-title handle" href=(there(&spot.handle, steps)) { (spot.handle) }
        span class="hint" { (said(spot, words)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_keep_both_ends() {
        assert_eq!(cut("88.118.5/SN1", 24), "88.118.5/SN1");
        assert_eq!(
            cut("88.118.5/battery-2026-000001", 24),
            "88.118.5/ba…2026-000001"
        );
        assert_eq!(cut("厂家厂家厂家", 9), "厂家…厂家");
        assert_eq!(cut("", 0), "");
        assert_eq!(cut("ab", 0), "…");
    }

    #[test]
    fn columns_are_centred_and_stand_beside_each_other() {
        let spot = |column, row| Spot {
            handle: String::new(),
            title: String::new(),
            state: String::new(),
            column,
            row,
        };
        let picture = Picture {
            spots: vec![spot(0, 0), spot(1, 0), spot(1, 1)],
            ..Picture::default()
        };
        let corners: Vec<_> = picture.spots.iter().map(|s| corner(&picture, s)).collect();
        assert_eq!(corners[0], (EDGE, EDGE + (HEIGHT + BELOW) / 2));
        assert_eq!(corners[1], (EDGE + WIDTH + BESIDE, EDGE));
        assert_eq!(corners[2].1, EDGE + HEIGHT + BELOW);
    }
}
