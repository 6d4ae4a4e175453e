//! Bars as SVG: a number for each of some days.

use maud::{Markup, html};

use crate::http::page::{Lang, number};

const WIDTH: u64 = 640;
const HEIGHT: u64 = 170;
/// Room for the words below the bars, and above them.
const BELOW: u64 = 28;
const ABOVE: u64 = 26;

/// A bar: what it stands for, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) count: u64,
}

/// The chart, with a table of the same numbers for who does not see it.
pub(super) fn bars(label: &str, bars: &[Bar], lang: Lang) -> Markup {
    let most = bars.iter().map(|bar| bar.count).max().unwrap_or(0).max(1);
    let step = WIDTH / (bars.len() as u64).max(1);
    let gap = step / 5;
    let room = HEIGHT - BELOW - ABOVE;
    // A word below every bar has no room on a telephone, and needs none.
    let every = bars.len().div_ceil(7).max(1);
    // Counted from the end: the newest is always told.
    let minor = |nth: usize| if nth.is_multiple_of(2) { "" } else { " minor" };
    html! {
        svg class="bars" viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(label) {
            line class="axis" x1="0" x2=(WIDTH) y1=(HEIGHT - BELOW) y2=(HEIGHT - BELOW) {}
            @for (n, bar) in bars.iter().enumerate() {
                @let height = height(bar.count, most, room);
                @let ahead = bars.len() - 1 - n;
                @let (left, middle) = (n as u64 * step + gap / 2, n as u64 * step + step / 2);
                g {
                    title { (bar.name) ": " (number::count(bar.count)) }
                    rect x=(left) width=(step - gap) y=(HEIGHT - BELOW - height) height=(height)
                        rx="3" {}
                    @if bar.count > 0 {
                        text class={ "figure" (minor(ahead)) } x=(middle)
                            y=(HEIGHT - BELOW - height - 6) {
                            (number::compact(bar.count as f64, lang))
                        }
                    }
                    @if ahead.is_multiple_of(every) {
                        text class={ "name" (minor(ahead / every)) } x=(middle) y=(HEIGHT - 7) {
                            (bar.name)
                        }
                    }
                }
            }
        }
    }
}

/// The height of a bar; one that stands for anything is seen.
fn height(count: u64, most: u64, room: u64) -> u64 {
    let height = u128::from(count) * u128::from(room) / u128::from(most.max(1));
    let height = u64::try_from(height).unwrap_or(room).min(room);
    if count > 0 { height.max(3) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_high_as_their_numbers() {
        assert_eq!((height(0, 10, 100), height(5, 10, 100)), (0, 50));
        assert_eq!(
            (height(1, u64::MAX, 100), height(u64::MAX, u64::MAX, 100)),
            (3, 100)
        );
    }

    #[test]
    fn the_newest_bar_keeps_its_words_where_there_is_little_room() {
        let all: Vec<Bar> = (1..=14)
            .map(|n| Bar {
                name: format!("day-{n}"),
                count: n,
            })
            .collect();
        let chart = bars("days", &all, Lang::En).into_string();
        let text = |words: &str| {
            let (before, _) = chart.rsplit_once(&format!(">{words}</text>")).unwrap();
            before.rsplit_once("<text class=\"").unwrap().1.to_owned()
        };
        assert!(text("day-14").starts_with("name\""), "{chart}");
        assert!(text("14").starts_with("figure\""), "{chart}");
        assert!(text("day-12").starts_with("name minor\""), "{chart}");
        assert!(text("13").starts_with("figure minor\""), "{chart}");
        assert!(!chart.contains(">day-13</text>"), "{chart}");
    }

    #[test]
    fn no_bars_are_a_chart_too() {
        let bars = bars("changes", &[], Lang::En).into_string();
        assert!(bars.contains("aria-label=\"changes\""));
    }
}
