//! The figures of a record: the latest in large type, a chart, and a table with every source.

use std::cmp::Reverse;

use guantong_api::observation::{Bound, OBSERVATION_TYPE, Observation};
use guantong_proto::Value;
use maud::{Markup, html};
use time::Date;

use super::chart::{self, Point, Series};
use super::number;
use super::text::Lang;
use super::view::View;
use super::vocabulary;

/// Longest text of one observation that is read, in octets; real ones have some hundreds.
const OBSERVATION_LEN_MAX: usize = 16 * 1024;

//----------- Figure ---------------------------------------------------------

/// An observation with its dates read.
#[derive(Clone, Debug)]
pub(super) struct Figure {
    observation: Observation,
    value: f64,
    start: Option<Date>,
    end: Option<Date>,
}

/// The observation that `value` holds, if it is one.
pub(super) fn observation(value: &Value) -> Option<Observation> {
    let is_one = value.kind.eq_ignore_ascii_case(OBSERVATION_TYPE)
        && value.data.len() <= OBSERVATION_LEN_MAX;
    is_one.then(|| serde_json::from_slice(&value.data).ok())?
}

/// The figures of a record, the newest first, those without a date last.
pub(super) fn figures(values: &[Value]) -> Vec<Figure> {
    let mut figures: Vec<Figure> = values
        .iter()
        .filter_map(observation)
        .filter_map(|observation| {
            let date = |text: &Option<String>| text.as_deref().and_then(number::parse_date);
            let (start, end) = (
                date(&observation.period_start),
                date(&observation.period_end),
            );
            let value = observation.value.as_f64()?;
            // A period that ends before it begins is no period.
            let start = start.filter(|start| end.is_some_and(|end| *start < end));
            Some(Figure {
                observation,
                value,
                start,
                end,
            })
        })
        .collect();
    figures.sort_by_key(|figure| (Reverse(figure.end), Reverse(figure.start)));
    figures
}

impl Figure {
    /// The period or date in words.
    fn when(&self, lang: Lang) -> String {
        match (self.start, self.end) {
            (Some(start), Some(end)) => number::period(start, end, lang),
            (None, Some(end)) => number::day(end, lang),
            _ => lang.text().no_period.to_owned(),
        }
    }

    /// The figure in words: `over 3.647 million stations`.
    fn quantity(&self, lang: Lang) -> String {
        let bound = vocabulary::bound(self.observation.bound, lang);
        let quantity = vocabulary::quantity(self.value, &self.observation.unit, lang);
        format!("{bound}{quantity}")
    }

    fn point(&self) -> Option<Point> {
        let (value, bound) = (self.value, self.observation.bound);
        self.end.map(|end| Point {
            start: self.start,
            end,
            value,
            bound,
        })
    }
}

/// One line for the list of values: period and figure.
pub(super) fn summary(value: &Value, lang: Lang) -> Option<String> {
    let figure = figures(std::slice::from_ref(value)).pop()?;
    Some(format!(
        "{}{}{}",
        figure.when(lang),
        lang.pick(": ", "："),
        figure.quantity(lang)
    ))
}

//----------- Section --------------------------------------------------------

/// The section of a record page that shows its figures.
pub(super) fn section(figures: &[Figure], title: &str, view: &View<'_>) -> Markup {
    let Some(latest) = figures.first() else {
        return html! {};
    };
    let (lang, text) = (view.lang, view.text());
    let unit = latest.observation.unit.as_str();
    let is_amount = !matches!(unit, "percent" | "percentage-point" | "rank");
    let series = Series {
        title,
        unit,
        from_zero: is_amount,
        // Figures of another unit belong on another axis.
        points: points(
            figures
                .iter()
                .filter(|figure| figure.observation.unit == unit),
        ),
    };
    html! {
        section class="series" aria-labelledby="series" {
            h2 id="series" { (text.series) }
            p class="headline" {
                span class="figure" { (latest.quantity(lang)) }
                span class="when" { (text.latest) " · " (latest.when(lang)) }
            }
            @if series.is_drawable() {
                figure class="chart-box" {
                    (chart::chart(&series, lang))
                    figcaption { (legend(&series, view)) }
                }
            }
            (table(figures, view))
        }
    }
}

/// The points of a chart. Where one source says `2.31 million` and another `more than 2.31
/// million` of the same period, the exact figure stands for both.
fn points<'a>(figures: impl Iterator<Item = &'a Figure>) -> Vec<Point> {
    let mut points: Vec<Point> = Vec::new();
    for point in figures.filter_map(Figure::point) {
        let same = points
            .iter_mut()
            .find(|p| (p.start, p.end, p.value) == (point.start, point.end, point.value));
        match same {
            Some(known) if point.bound == Bound::Exact => known.bound = Bound::Exact,
            Some(_) => {}
            None => points.push(point),
        }
    }
    points
}

/// The marks that the chart uses.
fn legend(series: &Series<'_>, view: &View<'_>) -> Markup {
    let text = view.text();
    let all = [
        (Bound::Exact, text.exact),
        (Bound::Over, text.over),
        (Bound::About, text.about),
        (Bound::Under, text.under),
    ];
    let used = all
        .into_iter()
        .filter(|(bound, _)| series.points.iter().any(|point| point.bound == *bound));
    html! {
        ul class="legend" {
            @for (bound, name) in used {
                li {
                    svg class="key" viewBox="0 0 16 16" aria-hidden="true" {
                        (chart::shape(bound, 8.0, 8.0))
                    }
                    (name)
                }
            }
            @if series.points.iter().any(|point| point.start.is_some()) {
                li {
                    svg class="key" viewBox="0 0 16 16" aria-hidden="true" {
                        line class="period" x1="1" x2="15" y1="8" y2="8" {}
                    }
                    (text.from_to)
                }
            }
        }
    }
}

fn table(figures: &[Figure], view: &View<'_>) -> Markup {
    let (lang, text) = (view.lang, view.text());
    html! {
        table class="cards" {
            thead {
                tr {
                    th scope="col" { (text.period) }
                    th scope="col" class="number" { (text.value) }
                    th scope="col" { (text.source) }
                }
            }
            tbody {
                @for figure in figures {
                    tr {
                        th scope="row" {
                            (figure.when(lang))
                            @if figure.observation.period_inferred {
                                span class="hint" { (text.inferred) }
                            }
                        }
                        td class="number" {
                            span class="nowrap" { (exact_figure(figure, lang)) }
                        }
                        td { (source(&figure.observation, view)) }
                    }
                }
            }
        }
    }
}

/// All digits, with the word for the bound.
fn exact_figure(figure: &Figure, lang: Lang) -> String {
    let bound = vocabulary::bound(figure.observation.bound, lang);
    let sign = if figure.observation.unit == "percent" {
        "%"
    } else {
        ""
    };
    format!("{bound}{}{sign}", number::full(figure.value))
}

fn source(observation: &Observation, view: &View<'_>) -> Markup {
    let lang = view.lang;
    let date = observation
        .date
        .as_deref()
        .map(|text| match number::parse_date(text) {
            Some(date) => number::day(date, lang),
            None => text.to_owned(),
        });
    html! {
        @if let Some(quote) = &observation.quote {
            q lang=[has_han(quote).then_some("zh")] { (quote) }
        }
        p class="origin" {
            @if let Some(date) = date { span { (date) } }
            @if let Some(speaker) = &observation.speaker {
                span lang=[has_han(speaker).then_some("zh")] { (speaker) }
            }
            @if let Some(source) = &observation.source { span class="file" { (source) } }
        }
        @if let Some(note) = &observation.note {
            p class="note" { (view.text().note) (lang.pick(": ", "：")) (note) }
        }
    }
}

/// Whether the text has a Chinese character, so that a reader or a speech program is told.
pub(super) fn has_han(text: &str) -> bool {
    text.chars()
        .any(|c| matches!(c, '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{323af}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> Value {
        Value::new(1000, "OBSERVATION", json)
    }

    fn sample() -> Vec<Value> {
        vec![
            value(
                r#"{"period_start":null,"period_end":"2022-12-31","value":2310000,
                "unit":"station","bound":"over"}"#,
            ),
            value(
                r#"{"period_end":"2022-12-31","value":2310000,"unit":"station","bound":"exact"}"#,
            ),
            value(
                r#"{"period_end":"2024-03-31","value":3647000,"unit":"station",
                "quote":"<b>364.7万个"}"#,
            ),
            value(r#"{"period_end":null,"value":3,"unit":"station"}"#),
            value("not json"),
            Value::new(1, "URL", "https://example.org/"),
        ]
    }

    #[test]
    fn newest_comes_first_and_what_has_no_date_last() {
        let figures = figures(&sample());
        let values: Vec<f64> = figures.iter().map(|f| f.value).collect();
        assert_eq!(values, [3_647_000.0, 2_310_000.0, 2_310_000.0, 3.0]);
        let html = section(&figures, "Stations", &View::sample(Lang::En)).into_string();
        assert!(html.contains("3.647 million stations"), "{html}");
        assert!(html.contains("no date given"), "{html}");
    }

    #[test]
    fn exact_figure_stands_for_the_same_figure_with_a_bound() {
        let points = points(figures(&sample()).iter());
        assert_eq!(points.len(), 2);
        assert!(points.iter().all(|point| point.bound == Bound::Exact));
    }

    #[test]
    fn quotes_are_verbatim_and_escaped() {
        let html = section(&figures(&sample()), "x", &View::sample(Lang::Zh)).into_string();
        assert!(
            html.contains("<q lang=\"zh\">&lt;b&gt;364.7万个</q>"),
            "{html}"
        );
    }

    #[test]
    fn figures_of_another_unit_are_listed_and_not_drawn() {
        let mixed = [
            value(r#"{"period_end":"2024-03-31","value":1,"unit":"a"}"#),
            value(r#"{"period_end":"2023-03-31","value":2,"unit":"b"}"#),
        ];
        let html = section(&figures(&mixed), "x", &View::sample(Lang::En)).into_string();
        assert!(
            !html.contains("<polyline") && html.contains(">2<"),
            "{html}"
        );
    }
}
