//! A chart of a series as SVG: no script, colours from the style sheet, readable by machines.
//!
//! A figure at a date is a mark; marks at dates are joined by a line. A figure over a period is a
//! bar as long as the period with the mark in its middle, and bars are never joined: the sum of a
//! quarter and the sum of a year are not two points of one curve. The shape of the mark says
//! whether the figure is exact, or the text said over, under or about.

use guantong_api::observation::Bound;
use maud::{Markup, html};
use time::Date;

use super::number;
use super::text::Lang;
use super::vocabulary;

/// Most figures in one chart; more would not be told apart.
pub(super) const POINTS_MAX: usize = 400;
/// Longest time span, in days; beyond it the axis would have too many marks.
const SPAN_DAYS_MAX: i32 = 80 * 366;
/// Largest magnitude that is drawn.
const MAGNITUDE_MAX: f64 = 1e18;
/// Width of one character of a label; Chinese ones are nearly twice as wide. Systems differ in
/// their fonts, and this is one of the wide ones: a label that is cut off tells a wrong figure.
const CHAR_WIDTH: f64 = 7.8;
const LABEL_HEIGHT: f64 = 14.0;
/// Least room for the marks of the axis of values.
const MARGIN_MIN: f64 = 24.0;
/// Space between a mark and its axis.
const MARK_GAP: f64 = 8.0;

//----------- Series ---------------------------------------------------------

/// One figure of a chart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    /// First day of the period; `None` for a figure at a date.
    pub(super) start: Option<Date>,
    /// The date, or the last day of the period.
    pub(super) end: Date,
    pub(super) value: f64,
    pub(super) bound: Bound,
}

/// What a chart shows.
#[derive(Clone, Debug)]
pub(super) struct Series<'a> {
    pub(super) title: &'a str,
    pub(super) unit: &'a str,
    /// Whether the axis begins at zero; true for amounts, false for rates and ranks.
    pub(super) from_zero: bool,
    pub(super) points: Vec<Point>,
}

impl Series<'_> {
    /// Whether there is anything to compare: two figures of different periods.
    pub(super) fn is_drawable(&self) -> bool {
        let (Some(first), Some(span)) = (self.points.first(), self.span_days()) else {
            return false;
        };
        let differs = |p: &Point| (p.start, p.end) != (first.start, first.end);
        let fits = |p: &Point| p.value.is_finite() && p.value.abs() <= MAGNITUDE_MAX;
        self.points.len() <= POINTS_MAX
            && span <= SPAN_DAYS_MAX
            && self.points.iter().any(differs)
            && self.points.iter().all(fits)
    }

    fn span_days(&self) -> Option<i32> {
        let first = self.points.iter().map(|p| p.start.unwrap_or(p.end)).min()?;
        let last = self.points.iter().map(|p| p.end).max()?;
        Some(last.to_julian_day() - first.to_julian_day())
    }
}

/// The chart, once for wide and once for narrow screens; the style sheet shows one of them.
pub(super) fn chart(series: &Series<'_>, lang: Lang) -> Markup {
    html! {
        (draw(series, &WIDE, lang))
        (draw(series, &NARROW, lang))
    }
}

//----------- Layout ---------------------------------------------------------

/// Sizes in pixels of one form of the chart.
struct Frame {
    id: &'static str,
    width: f64,
    height: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

const WIDE: Frame = Frame {
    id: "wide",
    width: 640.0,
    height: 310.0,
    right: 24.0,
    top: 34.0,
    bottom: 44.0,
};

const NARROW: Frame = Frame {
    id: "narrow",
    width: 336.0,
    height: 280.0,
    right: 14.0,
    top: 34.0,
    bottom: 44.0,
};

/// Maps days and values to pixels.
struct Scale<'f> {
    frame: &'f Frame,
    /// Where the axis of values is; its marks stand left of it.
    left: f64,
    first_day: f64,
    last_day: f64,
    low: f64,
    high: f64,
}

impl Scale<'_> {
    fn x(&self, day: f64) -> f64 {
        let width = self.frame.width - self.left - self.frame.right;
        self.left + (day - self.first_day) / (self.last_day - self.first_day) * width
    }

    fn y(&self, value: f64) -> f64 {
        self.base() - (value - self.low) / (self.high - self.low) * (self.base() - self.frame.top)
    }

    fn base(&self) -> f64 {
        self.frame.height - self.frame.bottom
    }

    /// Left end, middle and right end of a figure. A period ends where the next day begins.
    fn span(&self, point: &Point) -> (f64, f64, f64) {
        let end = f64::from(point.end.to_julian_day()) + 1.0;
        let start = point
            .start
            .map_or(end, |day| f64::from(day.to_julian_day()));
        (self.x(start), self.x((start + end) / 2.0), self.x(end))
    }
}

/// Round steps that cover `low..=high` with about `count` of them: the marks from lowest to
/// highest.
fn ticks(low: f64, high: f64, count: f64) -> Vec<f64> {
    let rough = ((high - low) / count).max(f64::MIN_POSITIVE);
    let magnitude = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * magnitude)
        .find(|step| *step >= rough)
        .unwrap_or(10.0 * magnitude);
    let first = (low / step).floor();
    let steps = ((high / step).ceil() - first).clamp(1.0, 20.0);
    // At most twenty, so the conversion is exact.
    (0..=steps as u32)
        .map(|n| (first + f64::from(n)) * step)
        .collect()
}

/// Quarters as half-open ranges of julian days, with year and number.
fn quarters(first: Date, last: Date) -> Vec<(i32, u8, f64, f64)> {
    let mut year = first.year();
    let mut quarter = (u8::from(first.month()) - 1) / 3;
    let start_of = |year, quarter: u8| {
        let month = time::Month::try_from(quarter * 3 + 1).unwrap_or(time::Month::January);
        Date::from_calendar_date(year, month, 1).map_or(0, Date::to_julian_day)
    };
    let mut found = Vec::new();
    // The span is bounded by `SPAN_DAYS_MAX`, so this is at most 322 rounds.
    while start_of(year, quarter) <= last.to_julian_day() {
        let (next_year, next) = match quarter {
            3 => (year + 1, 0),
            q => (year, q + 1),
        };
        let (from, to) = (start_of(year, quarter), start_of(next_year, next));
        found.push((year, quarter + 1, f64::from(from), f64::from(to)));
        (year, quarter) = (next_year, next);
    }
    found
}

//----------- Drawing --------------------------------------------------------

fn draw(series: &Series<'_>, frame: &Frame, lang: Lang) -> Markup {
    let mut points = series.points.clone();
    points.sort_by_key(|p| (p.end, p.start));
    let (Some(first), Some(last)) = (
        points.iter().map(|p| p.start.unwrap_or(p.end)).min(),
        points.iter().map(|p| p.end).max(),
    ) else {
        return html! {};
    };
    let quarters = quarters(first, last);
    let marks = value_marks(series);
    let widest = marks
        .iter()
        .map(|&mark| text_width(&number::short(mark, lang)));
    let scale = Scale {
        frame,
        left: widest.fold(MARGIN_MIN, f64::max) + MARK_GAP,
        first_day: quarters.first().map_or(0.0, |q| q.2),
        last_day: quarters.last().map_or(1.0, |q| q.3),
        low: marks.first().copied().unwrap_or(0.0),
        high: marks.last().copied().unwrap_or(1.0),
    };
    let (title_id, desc_id) = (
        format!("chart-{}-title", frame.id),
        format!("chart-{}-desc", frame.id),
    );
    let view = format!("0 0 {} {}", frame.width, frame.height);
    html! {
        svg class={ "chart " (frame.id) } viewBox=(view) role="img"
            aria-labelledby={ (title_id) " " (desc_id) } {
            title id=(title_id) { (series.title) }
            desc id=(desc_id) { (describe(series.unit, &points, lang)) }
            text class="axis-title" x="0" y="14" { (vocabulary::unit(series.unit, lang)) }
            (value_axis(&scale, &marks, lang))
            (time_axis(&scale, &quarters))
            (line(&scale, &points))
            @for point in &points { (mark(&scale, point, series.unit, lang)) }
            @for label in labels(&scale, &points, lang) {
                text class="label" text-anchor="middle" x=(px(label.x)) y=(px(label.y)) {
                    (label.text)
                }
            }
        }
    }
}

fn value_marks(series: &Series<'_>) -> Vec<f64> {
    let values = || series.points.iter().map(|p| p.value);
    let (mut low, mut high) = (
        values().fold(f64::INFINITY, f64::min),
        values().fold(f64::NEG_INFINITY, f64::max),
    );
    if series.from_zero {
        (low, high) = (low.min(0.0), high.max(0.0));
    }
    if low == high {
        // All alike: leave air on both sides of the line.
        let air = (low.abs() * 0.1).max(1.0);
        (low, high) = (low - air, high + air);
    }
    let mut marks = ticks(low, high, 4.0);
    let step = marks.get(1).zip(marks.first()).map_or(1.0, |(b, a)| b - a);
    // A mark on the upper edge would push its label out of the picture.
    if let Some(top) = marks.last().copied().filter(|top| high > top - step * 0.25) {
        marks.push(top + step);
    }
    marks
}

fn value_axis(scale: &Scale<'_>, marks: &[f64], lang: Lang) -> Markup {
    let (left, right) = (px(scale.left), px(scale.frame.width - scale.frame.right));
    html! {
        @for &value in marks {
            @let y = scale.y(value);
            line class={ "grid" @if value == 0.0 { " zero" } }
                x1=(left) x2=(right) y1=(px(y)) y2=(px(y)) {}
            text class="tick" text-anchor="end" x=(px(scale.left - MARK_GAP)) y=(px(y + 4.0)) {
                (number::short(value, lang))
            }
        }
    }
}

/// Years as bands with their name in the middle, quarters too where there is room.
fn time_axis(scale: &Scale<'_>, quarters: &[(i32, u8, f64, f64)]) -> Markup {
    let base = scale.base();
    let quarter_width = quarters
        .first()
        .map_or(0.0, |q| scale.x(q.3) - scale.x(q.2));
    let with_quarters = quarter_width >= 26.0;
    let years: Vec<(i32, f64, f64)> = quarters
        .chunk_by(|a, b| a.0 == b.0)
        .filter_map(|year| {
            Some((
                year.first()?.0,
                scale.x(year.first()?.2),
                scale.x(year.last()?.3),
            ))
        })
        .collect();
    // Names need 34 pixels; skip some years if four quarters are narrower.
    let every = (34.0 / (4.0 * quarter_width).max(1.0))
        .ceil()
        .clamp(1.0, 100.0) as i32;
    let year_y = if with_quarters {
        base + 33.0
    } else {
        base + 19.0
    };
    html! {
        @if with_quarters {
            @for (_, number, from, to) in quarters {
                @let (from, to) = (scale.x(*from), scale.x(*to));
                line class="tick-mark"
                    x1=(px(from)) x2=(px(from)) y1=(px(base)) y2=(px(base + 5.0)) {}
                text class="tick" text-anchor="middle"
                    x=(px((from + to) / 2.0)) y=(px(base + 16.0)) {
                    "Q" (number)
                }
            }
        }
        @for (year, from, to) in years {
            line class="year"
                x1=(px(from)) x2=(px(from)) y1=(px(scale.frame.top)) y2=(px(base + 8.0)) {}
            @if to - from >= 30.0 || (every > 1 && year % every == 0) {
                text class="tick" text-anchor="middle" x=(px((from + to) / 2.0)) y=(px(year_y)) {
                    (year)
                }
            }
        }
    }
}

fn line(scale: &Scale<'_>, points: &[Point]) -> Markup {
    let at_dates: Vec<String> = points
        .iter()
        .filter(|p| p.start.is_none())
        .map(|p| format!("{},{}", px(scale.span(p).1), px(scale.y(p.value))))
        .collect();
    html! {
        @if at_dates.len() > 1 { polyline class="line" points=(at_dates.join(" ")) {} }
    }
}

fn mark(scale: &Scale<'_>, point: &Point, unit: &str, lang: Lang) -> Markup {
    let (left, x, right) = scale.span(point);
    let y = scale.y(point.value);
    html! {
        g class="mark" {
            title { (sentence(point, unit, lang)) }
            @if point.start.is_some() {
                line class="period"
                    x1=(px(left + 1.0)) x2=(px(right - 1.0)) y1=(px(y)) y2=(px(y)) {}
            }
            (shape(point.bound, x, y))
        }
    }
}

/// The mark alone; the legend uses it too.
pub(super) fn shape(bound: Bound, x: f64, y: f64) -> Markup {
    let corners = |sign: f64| {
        let (tip, foot) = (y - sign * 6.5, y + sign * 4.5);
        format!(
            "{},{} {},{} {},{}",
            px(x),
            px(tip),
            px(x - 6.0),
            px(foot),
            px(x + 6.0),
            px(foot)
        )
    };
    html! {
        @match bound {
            Bound::Exact => { circle class="dot" cx=(px(x)) cy=(px(y)) r="4.5" {} }
            Bound::About => { circle class="dot hollow" cx=(px(x)) cy=(px(y)) r="4.5" {} }
            Bound::Over => { polygon class="dot" points=(corners(1.0)) {} }
            Bound::Under => { polygon class="dot" points=(corners(-1.0)) {} }
        }
    }
}

/// Roughly the width of a text in pixels.
fn text_width(text: &str) -> f64 {
    let columns = text.chars().map(|c| if c.is_ascii() { 1.0 } else { 1.9 });
    columns.sum::<f64>() * CHAR_WIDTH
}

//----------- Labels ---------------------------------------------------------

struct Label {
    x: f64,
    y: f64,
    width: f64,
    text: String,
}

impl Label {
    fn overlaps(&self, other: &Label) -> bool {
        (self.x - other.x).abs() * 2.0 < self.width + other.width + 6.0
            && (self.y - other.y).abs() < LABEL_HEIGHT
    }

    /// Whether a mark at these pixels would be covered.
    fn covers(&self, x: f64, y: f64) -> bool {
        (self.x - x).abs() < self.width / 2.0 + 5.0 && y > self.y - 16.0 && y < self.y + 6.0
    }
}

/// The figures beside their marks: above if there is room, else below, else left out.
fn labels(scale: &Scale<'_>, points: &[Point], lang: Lang) -> Vec<Label> {
    let frame = scale.frame;
    let marks: Vec<_> = points
        .iter()
        .map(|p| (scale.span(p).1, scale.y(p.value)))
        .collect();
    let mut placed: Vec<Label> = Vec::new();
    // The last figure matters most, so it is placed first.
    for (point, &(x, y)) in points.iter().zip(&marks).rev() {
        let text = format!(
            "{}{}",
            vocabulary::bound_sign(point.bound),
            number::short(point.value, lang)
        );
        let width = text_width(&text);
        let x = x.clamp(scale.left + width / 2.0, frame.width - width / 2.0 - 2.0);
        let free = [y - 11.0, y + 21.0].into_iter().find_map(|label_y| {
            let label = Label {
                x,
                y: label_y,
                width,
                text: text.clone(),
            };
            let inside = label_y > frame.top - 8.0 && label_y < scale.base() - 2.0;
            let free = inside
                && !placed.iter().any(|other| other.overlaps(&label))
                && !marks
                    .iter()
                    .any(|&(mx, my)| (mx, my) != (x, y) && label.covers(mx, my));
            free.then_some(label)
        });
        placed.extend(free);
    }
    placed
}

/// The chart in a sentence or two, for those who do not see it.
fn describe(unit: &str, points: &[Point], lang: Lang) -> String {
    let by_value = |a: &&Point, b: &&Point| a.value.total_cmp(&b.value);
    let (Some(first), Some(last), Some(low), Some(high)) = (
        points.first(),
        points.last(),
        points.iter().min_by(by_value),
        points.iter().max_by(by_value),
    ) else {
        return String::new();
    };
    let say = |point| sentence(point, unit, lang);
    match lang {
        Lang::En => format!(
            "{} figures. First: {}. Last: {}. Lowest: {}. Highest: {}. The table below has all.",
            points.len(),
            say(first),
            say(last),
            say(low),
            say(high),
        ),
        Lang::Zh => format!(
            "共{}个数值。最早：{}。最新：{}。最低：{}。最高：{}。全部数值见下表。",
            points.len(),
            say(first),
            say(last),
            say(low),
            say(high),
        ),
    }
}

/// One figure in words: `31 March 2024: over 3.647 million stations`.
fn sentence(point: &Point, unit: &str, lang: Lang) -> String {
    let when = match point.start {
        Some(start) => number::period(start, point.end, lang),
        None => number::day(point.end, lang),
    };
    let bound = vocabulary::bound(point.bound, lang);
    let figure = vocabulary::quantity(point.value, unit, lang);
    format!("{when}{}{bound}{figure}", lang.pick(": ", "："))
}

/// Pixels with one decimal: enough for the eye, and short.
fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        number::parse_date(text).unwrap()
    }

    fn at(end: &str, value: f64) -> Point {
        Point {
            start: None,
            end: date(end),
            value,
            bound: Bound::Exact,
        }
    }

    fn series(points: Vec<Point>) -> Series<'static> {
        Series {
            title: "5G <base> stations",
            unit: "station",
            from_zero: true,
            points,
        }
    }

    fn stations() -> Series<'static> {
        series(vec![
            at("2022-12-31", 2.31e6),
            Point {
                bound: Bound::Over,
                ..at("2023-03-31", 2.64e6)
            },
            at("2023-06-30", 2.937e6),
            at("2023-12-31", 3.377e6),
            at("2024-03-31", 3.647e6),
        ])
    }

    #[test]
    fn marks_at_dates_are_joined_and_described() {
        let svg = chart(&stations(), Lang::En).into_string();
        assert_eq!(svg.matches("<svg").count(), 2);
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(svg.contains("5G &lt;base&gt; stations"));
        assert!(svg.contains("31 March 2023: over 2.64 million stations"));
        assert!(svg.contains(">3.647M<"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn periods_are_bars_and_are_not_joined() {
        let period = |start, end, value| Point {
            start: Some(date(start)),
            ..at(end, value)
        };
        let series = series(vec![
            period("2022-01-01", "2022-12-31", 7.0e6),
            period("2023-01-01", "2023-03-31", 1.65e6),
        ]);
        let svg = chart(&series, Lang::Zh).into_string();
        assert!(!svg.contains("<polyline"));
        assert_eq!(svg.matches("class=\"period\"").count(), 4);
    }

    #[test]
    fn one_moment_or_absurd_figures_are_not_drawn() {
        assert!(stations().is_drawable());
        assert!(!series(vec![]).is_drawable());
        assert!(!series(vec![at("2023-01-01", 1.0), at("2023-01-01", 2.0)]).is_drawable());
        assert!(!series(vec![at("2023-01-01", 1.0), at("2024-01-01", 1e300)]).is_drawable());
        assert!(!series(vec![at("1023-01-01", 1.0), at("2024-01-01", 1.0)]).is_drawable());
        let many = (0..=POINTS_MAX).map(|n| at(["2023-01-01", "2024-01-01"][n % 2], 1.0));
        assert!(!series(many.collect()).is_drawable());
    }

    #[test]
    fn equal_negative_and_tiny_figures_stay_in_the_picture() {
        for values in [
            [5.0, 5.0],
            [-3.0, 4.0],
            [-8.0, -2.0],
            [1e-9, 2e-9],
            [0.0, 0.0],
        ] {
            for from_zero in [true, false] {
                let points = vec![at("2023-01-01", values[0]), at("2024-01-01", values[1])];
                let series = Series {
                    from_zero,
                    ..series(points)
                };
                let svg = chart(&series, Lang::En).into_string();
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{values:?}");
            }
        }
    }

    #[test]
    fn ticks_are_round_and_cover_the_range() {
        assert_eq!(ticks(0.0, 3.647e6, 4.0), [0.0, 1e6, 2e6, 3e6, 4e6]);
        assert_eq!(ticks(4.5, 7.7, 4.0), [4.0, 5.0, 6.0, 7.0, 8.0]);
        let found = ticks(-3.0, 4.0, 4.0);
        assert!(found[0] <= -3.0 && found[found.len() - 1] >= 4.0);
    }
}
