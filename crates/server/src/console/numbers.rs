//! What is registered, for the overview: templates, registrations, growth. The numbers are those
//! of `/api/v2/statistics`, of the prefixes whose handles the viewer may list.

use maud::{Markup, html};
use serde_json::Value as Json;

use super::chart::{Bar, bars};
use super::templates::prefixes;
use super::visit::{Visit, place};
use crate::http::page::{Lang, number};
use crate::http::path::in_query;

/// Prefixes whose numbers are added up: a hosting node has more, and its overview must be quick.
const PREFIXES_MAX: usize = 16;
/// Days of the chart.
const DAYS: usize = 14;
/// Templates that are shown.
const TEMPLATES_MAX: usize = 5;

super::words::words! {
    templates: "templates", "模板";
    registrations: "registrations", "注册标识";
    top: "Most registered by", "注册最多的模板";
    top_none: "No template yet. A template says what is registered of a kind of thing; a form and \
        checks are made from it.",
        "尚无模板。模板规定某类对象要登记的字段，注册表单与校验由模板生成。";
    make: "Design a template", "设计模板";
    growth: "Registered per day", "每日新增";
    growth_none: "Nothing was registered in the last 14 days.", "最近 14 天没有新增。";
    growth_hint: "Records that were made, whatever became of them. Days in UTC.",
        "当日创建的标识记录，不扣除其后的删除。按 UTC 计日。";
    some: "Of the first prefixes only; more are homed here.", "仅统计前若干个托管前缀。";
}

/// A template, and how much is registered by it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Top {
    handle: String,
    title: String,
    count: u64,
}

/// What is registered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) templates: u64,
    pub(super) registrations: u64,
    top: Vec<Top>,
    /// How many records were made on which day.
    days: Vec<(String, u64)>,
    is_part: bool,
}

impl Numbers {
    /// Those that the viewer may see; none if he may see none.
    pub(super) async fn of(visit: &Visit<'_>) -> Option<Self> {
        let homed = prefixes(visit);
        let mut told = Vec::new();
        for prefix in homed.iter().take(PREFIXES_MAX) {
            if !visit.may_list(prefix).await {
                continue;
            }
            let target = format!("/api/v2/statistics?prefix={}", in_query(prefix));
            told.extend(visit.get(&target).await.ok().map(|told| told.json));
        }
        let is_part = visit.node.store.homed().len() > PREFIXES_MAX;
        (!told.is_empty()).then(|| Self {
            is_part,
            ..Self::added(&told)
        })
    }

    /// The sum of the answers about several prefixes.
    fn added(told: &[Json]) -> Self {
        let mut sum = Self::default();
        for told in told {
            sum.templates += told["templateCount"].as_u64().unwrap_or(0);
            sum.registrations += told["registrations"].as_u64().unwrap_or(0);
            let list = |name: &str| told[name].as_array().map_or(&[][..], Vec::as_slice);
            sum.top.extend(list("templates").iter().map(|top| Top {
                handle: top["template"].as_str().unwrap_or_default().to_owned(),
                title: top["title"].as_str().unwrap_or_default().to_owned(),
                count: top["registrations"].as_u64().unwrap_or(0),
            }));
            for day in list("days") {
                sum.add_day(
                    day["day"].as_str().unwrap_or_default(),
                    day["created"].as_u64().unwrap_or(0),
                );
            }
        }
        sum.top
            .sort_by(|a, b| (b.count, &a.handle).cmp(&(a.count, &b.handle)));
        sum.top.truncate(TEMPLATES_MAX);
        sum.days.sort();
        let old = sum.days.len().saturating_sub(DAYS);
        sum.days.drain(..old);
        sum
    }

    fn add_day(&mut self, day: &str, made: u64) {
        match self.days.iter_mut().find(|(known, _)| known == day) {
            Some((_, count)) => *count += made,
            None => self.days.push((day.to_owned(), made)),
        }
    }

    /// The two totals with their words.
    pub(super) fn totals(&self, lang: Lang) -> [(&'static str, u64); 2] {
        let words = words(lang);
        [
            (words.templates, self.templates),
            (words.registrations, self.registrations),
        ]
    }

    /// Growth by day and the templates by which most is registered, side by side.
    pub(super) fn cards(&self, lang: Lang) -> Markup {
        let words = words(lang);
        html! {
            div class="pair" {
                section aria-labelledby="growth" class="card" {
                    h2 id="growth" { (words.growth) }
                    (self.growth(lang))
                }
                section aria-labelledby="top" class="card" {
                    h2 id="top" { (words.top) }
                    (self.top(lang))
                    @if self.is_part { p class="hint" { (words.some) } }
                }
            }
        }
    }

    fn growth(&self, lang: Lang) -> Markup {
        let words = words(lang);
        let days = self.days.iter().map(|(day, count)| Bar {
            // Of the date, month and day.
            name: day.get(5..).unwrap_or(day).to_owned(),
            count: *count,
        });
        let days: Vec<Bar> = days.collect();
        html! {
            @if days.iter().all(|bar| bar.count == 0) { p class="hint" { (words.growth_none) } }
            @else {
                (bars(words.growth, &days, lang))
                p class="hint" { (words.growth_hint) }
            }
        }
    }

    fn top(&self, lang: Lang) -> Markup {
        let words = words(lang);
        let most = self.top.first().map_or(1, |top| top.count).max(1);
        html! {
            @if self.top.is_empty() {
                p class="hint" { (words.top_none) }
                p { a class="button" href="/template/edit" { (words.make) } }
            }
            @else {
                ol class="ranks" {
                    @for top in &self.top {
                        @let title = if top.title.is_empty() { &top.handle } else { &top.title };
                        li {
                            a href=(place("/registrations", &[("template", &top.handle)])) {
                                (title)
                            }
                            span class="figure" { (number::count(top.count)) }
                            progress max=(most) value=(top.count) aria-label=(title) {}
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn day(day: &str, created: u64) -> Json {
        json!({"day": day, "created": created, "deleted": 1})
    }

    #[test]
    fn numbers_of_several_prefixes_are_added_up() {
        let one = json!({"templateCount": 2, "registrations": 9,
            "templates": [{"template": "1/a", "title": "A", "registrations": 8}],
            "days": [day("2026-03-01", 3), day("2026-03-02", 1)]});
        let other = json!({"templateCount": 1, "registrations": 20,
            "templates": [{"template": "2/b", "title": "", "registrations": 20}],
            "days": [day("2026-03-02", 4), day("2026-03-03", 0)]});
        let sum = Numbers::added(&[one, other, json!(null)]);
        assert_eq!((sum.templates, sum.registrations), (3, 29));
        let top: Vec<_> = sum.top.iter().map(|top| top.handle.as_str()).collect();
        assert_eq!(top, ["2/b", "1/a"]);
        let days: Vec<_> = sum.days.iter().map(|(_, count)| *count).collect();
        assert_eq!(days, [3, 5, 0]);
    }

    #[test]
    fn the_chart_has_the_last_days_only() {
        let days: Vec<_> = (1..=30)
            .map(|n| day(&format!("2026-03-{n:02}"), n))
            .collect();
        let sum = Numbers::added(&[json!({ "days": days })]);
        assert_eq!(sum.days.len(), DAYS);
        assert_eq!(sum.days.last(), Some(&("2026-03-30".to_owned(), 30)));
    }
}
