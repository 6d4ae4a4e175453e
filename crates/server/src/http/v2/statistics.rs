//! `GET /api/v2/statistics`: numbers for the first page of a console.
//!
//! What the store knows by heart is told as it is. What has to be counted, registrations by
//! template and growth by day, is counted in the background, seldom enough to be no load: a count
//! may be twenty times as old as it took, and at least five seconds.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use axum::response::Response;
use guantong_api::v2::statistics::{DayCount, StatisticsAnswer, TemplateCount};
use guantong_core::template::{HANDLE_TYPE, KEY_TYPE, State, prefix_key};
use guantong_proto::message::ResponseCode;
use guantong_proto::{CaseRule, Handle};
use guantong_store::{Action, Entry, Scope, Store};
use time::{Date, OffsetDateTime};

use super::super::answer::{Failure, json};
use super::super::asked::Asked;
use super::super::cors::OwnOrigin;
use super::super::list;
use super::problem::Problem;
use super::{page, sought};
use crate::errand::locked;
use crate::node::Node;

/// Templates that are told: those by which most is registered.
const TEMPLATES_TOLD: usize = 10;
/// Days that are told.
const DAYS: i32 = 30;
/// Prefixes whose days and templates are counted one by one; there are more at a hosting node only.
const PREFIXES_MAX: usize = 256;
/// Most changes that a first count walks over: those of a month, or the latest of them.
const CHANGES_MAX: u64 = 1_000_000;
/// Changes, and names, that are read at a time.
const PAGE: usize = 1_000;
/// Most registrations that a count walks over.
const COUNTED_MAX: u64 = 50_000_000;
/// How old a count gets at least, and how many times as long as it took.
const AGE: Duration = Duration::from_secs(5);
const AGE_PARTS: u32 = 20;
/// How often, and how long between, the first count is looked for.
const LOOKS_MAX: usize = 40;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// What is counted.
#[derive(Debug, Default)]
pub(crate) struct Figures(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    counted: Option<Arc<Counted>>,
    /// When the last count ended, and how long it took.
    ended: Option<(Instant, Duration)>,
    is_counting: bool,
}

/// A count, and how far into the change log it went.
#[derive(Clone, Debug, Default)]
struct Counted {
    at_ms: u64,
    /// By folded prefix handle, the largest first.
    templates: Vec<(Vec<u8>, TemplateCount)>,
    days: Days,
    seen: Option<u64>,
}

/// Records made and deleted, by day.
type ByDay = BTreeMap<i32, (u64, u64)>;

#[derive(Clone, Debug, Default)]
struct Days {
    all: ByDay,
    by_prefix: HashMap<Vec<u8>, ByDay>,
}

/// Answers a request for `/api/v2/statistics`.
pub(super) async fn answer(node: &Arc<Node>, asked: &Asked) -> Result<Response, Problem> {
    let prefix = asked
        .params
        .first("prefix")
        .filter(|prefix| !prefix.is_empty());
    let scope = match prefix {
        Some(prefix) => {
            page::may_list(node, asked, &Handle::of_prefix(prefix)?).await?;
            Scope::of_prefix(prefix)?
        }
        None if list::may_list(node, asked) => Scope::default(),
        None => {
            let message = "numbers about the whole node are for the networks of \
                           `http.list_allow`; ask for those of a `prefix`";
            return Err(Failure::new(ResponseCode::INSUFFICIENT_PERMISSIONS, message).into());
        }
    };
    let counted = counted(node).await;
    let key = match prefix {
        Some(prefix) => Some(
            Handle::of_prefix(prefix)?
                .key(node.site().case_rule())
                .as_bytes()
                .to_vec(),
        ),
        None => None,
    };
    let (template_count, registrations) = counted
        .as_ref()
        .map_or((0, 0), |counted| counted.totals(key.as_deref()));
    let form = StatisticsAnswer {
        prefix: prefix.map(str::to_owned),
        records: node.store.count(&scope)?,
        prefixes: node.store.homed().len(),
        changes: node.store.last_change(),
        requests: node.metrics.requests(),
        started_ms: node.now_ms().saturating_sub(node.uptime_ms()),
        counted_ms: counted.as_ref().map(|counted| counted.at_ms),
        template_count,
        registrations,
        templates: counted
            .as_ref()
            .map_or_else(Vec::new, |counted| counted.largest(key.as_deref())),
        days: counted.map_or_else(Vec::new, |counted| {
            counted.days.told(key.as_deref(), day_of(counted.at_ms))
        }),
    };
    let mut response = json(asked, StatusCode::OK, &form);
    response.extensions_mut().insert(OwnOrigin);
    Ok(response)
}

/// The last count; if it is old, another one is begun. The first one is waited for a little.
async fn counted(node: &Arc<Node>) -> Option<Arc<Counted>> {
    for _ in 0..LOOKS_MAX {
        begin(node);
        let counted = locked(&node.v2.figures.0).counted.clone();
        if counted.is_some() {
            return counted;
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    None
}

/// Begins another count if the last one is old.
fn begin(node: &Arc<Node>) {
    let mut known = locked(&node.v2.figures.0);
    let is_old = known
        .ended
        .is_none_or(|(ended, took)| ended.elapsed() > AGE.max(took * AGE_PARTS));
    if !is_old || known.is_counting {
        return;
    }
    known.is_counting = true;
    let (node, last) = (node.clone(), known.counted.clone());
    drop(known);
    tokio::task::spawn_blocking(move || {
        let begun = Instant::now();
        let counted = count(&node, last.as_deref());
        let mut known = locked(&node.v2.figures.0);
        known.counted = Some(Arc::new(counted));
        known.ended = Some((Instant::now(), begun.elapsed()));
        known.is_counting = false;
    });
}

impl Counted {
    /// The templates by which most is registered, of a prefix or of all.
    fn largest(&self, prefix: Option<&[u8]>) -> Vec<TemplateCount> {
        let largest = self.of(prefix).take(TEMPLATES_TOLD);
        largest.cloned().collect()
    }

    /// How many templates there are, and how much is registered by them.
    fn totals(&self, prefix: Option<&[u8]>) -> (u64, u64) {
        self.of(prefix).fold((0, 0), |(templates, all), count| {
            (templates + 1, all + count.registrations)
        })
    }

    fn of<'a>(&'a self, prefix: Option<&'a [u8]>) -> impl Iterator<Item = &'a TemplateCount> {
        let all = self.templates.iter();
        let wanted = all.filter(move |(key, _)| prefix.is_none_or(|p| p == key));
        wanted.map(|(_, count)| count)
    }
}

//----------- Counting -------------------------------------------------------

fn count(node: &Node, last: Option<&Counted>) -> Counted {
    let at_ms = node.now_ms();
    let mut counted = Counted {
        at_ms,
        ..last.cloned().unwrap_or_default()
    };
    let rule = node.site().case_rule();
    let first = day_of(at_ms) - DAYS + 1;
    let begin = || first_change(&node.store, first);
    let mut seen = counted.seen.unwrap_or_else(begin);
    while let Ok(entries) = node.store.changes(seen, PAGE) {
        let Some(entry) = entries.last() else { break };
        seen = entry.number;
        for entry in &entries {
            counted.days.add(entry, rule);
        }
    }
    counted.seen = Some(seen);
    counted.days.forget_before(first);
    counted.templates = templates(node, rule);
    counted
}

/// The change behind which those of the last days are, if there are not too many.
fn first_change(store: &Store, first: i32) -> u64 {
    let last = store.last_change();
    let is_before = |number: u64| match store.change(number) {
        Ok(Some(entry)) => day_of(entry.at_ms) < first,
        // What is not there any more was there long ago.
        _ => true,
    };
    let (mut low, mut high) = (0, last);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        match is_before(middle) {
            true => low = middle,
            false => high = middle - 1,
        }
    }
    low.max(last.saturating_sub(CHANGES_MAX))
}

/// How much is registered by each template of the homed prefixes, the largest first.
fn templates(node: &Node, rule: CaseRule) -> Vec<(Vec<u8>, TemplateCount)> {
    let (mut counts, mut walked) = (Vec::new(), 0);
    for prefix in node.store.homed().iter().take(PREFIXES_MAX) {
        let key = prefix_key(prefix.borrow(), rule);
        let mut after = None;
        // A node without templates has no index of them.
        while let Ok((handles, next)) = sought::find(node, KEY_TYPE, &key, after.as_deref(), PAGE) {
            for handle in handles {
                let Ok((template, _)) = sought::template(node, &handle) else {
                    continue;
                };
                let registrations = registrations(node, &handle, &mut walked);
                let is_shown = matches!(template.state(), State::Published | State::Disabled);
                let title = template.definition().title.clone();
                let count = TemplateCount {
                    template: handle.to_string(),
                    title: if is_shown { title } else { String::new() },
                    registrations,
                };
                counts.push((prefix.key(rule).as_bytes().to_vec(), count));
            }
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
    }
    counts.sort_by(|(_, a), (_, b)| {
        (b.registrations, &a.template).cmp(&(a.registrations, &b.template))
    });
    counts
}

fn registrations(node: &Node, template: &Handle, walked: &mut u64) -> u64 {
    let (mut count, mut after) = (0, None);
    let data = template.as_str().as_bytes();
    while *walked < COUNTED_MAX
        && let Ok((handles, next)) = sought::find(node, HANDLE_TYPE, data, after.as_deref(), PAGE)
    {
        count += handles.len() as u64;
        *walked += handles.len() as u64;
        match next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    count
}

//----------- Days -----------------------------------------------------------

/// The day of a moment, counted from 1970.
fn day_of(at_ms: u64) -> i32 {
    i32::try_from(at_ms / (24 * 60 * 60 * 1_000)).unwrap_or(i32::MAX)
}

impl Days {
    fn add(&mut self, entry: &Entry, rule: CaseRule) {
        let (created, deleted) = match entry.action {
            Action::Create => (1, 0),
            Action::Delete => (0, 1),
            _ => return,
        };
        let prefix = entry
            .handle
            .borrow()
            .prefix_handle()
            .key(rule)
            .as_bytes()
            .to_vec();
        let is_room = self.by_prefix.len() < PREFIXES_MAX;
        let of_prefix = match self.by_prefix.get_mut(&prefix) {
            Some(days) => Some(days),
            None if is_room => Some(self.by_prefix.entry(prefix).or_default()),
            None => None,
        };
        let day = day_of(entry.at_ms);
        for days in std::iter::once(&mut self.all).chain(of_prefix) {
            let count = days.entry(day).or_default();
            *count = (count.0 + created, count.1 + deleted);
        }
    }

    fn forget_before(&mut self, first: i32) {
        for days in std::iter::once(&mut self.all).chain(self.by_prefix.values_mut()) {
            days.retain(|day, _| *day >= first);
        }
        self.by_prefix.retain(|_, days| !days.is_empty());
    }

    /// The last days up to `today`, of a prefix or of all.
    fn told(&self, prefix: Option<&[u8]>, today: i32) -> Vec<DayCount> {
        let none = ByDay::new();
        let days = match prefix {
            Some(prefix) => self.by_prefix.get(prefix).unwrap_or(&none),
            None => &self.all,
        };
        let told = (today - DAYS + 1..=today).map(|day| {
            let (created, deleted) = days.get(&day).copied().unwrap_or_default();
            DayCount {
                day: name_of(day),
                created,
                deleted,
            }
        });
        told.collect()
    }
}

/// The name of a day, such as `2026-03-01`.
fn name_of(day: i32) -> String {
    let epoch = OffsetDateTime::UNIX_EPOCH.date().to_julian_day();
    let date = Date::from_julian_day(epoch.saturating_add(day)).unwrap_or(Date::MAX);
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use guantong_store::{Origin, Trail};

    use super::*;

    #[test]
    fn days_are_told_without_gaps_and_old_ones_forgotten() {
        let day_ms = 24 * 60 * 60 * 1_000;
        let entry = |at_ms: u64, action: Action, handle: &str| Entry {
            number: 1,
            at_ms,
            action,
            handle: Handle::parse(handle).unwrap(),
            origin: Origin::Operator,
            trail: Trail::default(),
            before: None,
            last_life: None,
        };
        let rule = CaseRule::Insensitive;
        let mut days = Days::default();
        let today = 20_513;
        let at = |day: i32| day as u64 * day_ms;
        days.add(&entry(at(today - 40), Action::Create, "88.118.5/a"), rule);
        days.add(&entry(at(today - 2), Action::Create, "88.118.5/b"), rule);
        days.add(&entry(at(today), Action::Create, "88.118.6/a"), rule);
        days.add(&entry(at(today), Action::Delete, "88.118.5/b"), rule);
        days.add(&entry(at(today), Action::Update, "88.118.5/b"), rule);
        days.forget_before(today - DAYS + 1);
        let told = days.told(None, today);
        assert_eq!(told.len(), 30);
        assert_eq!(told[29].day, "2026-03-01");
        assert_eq!((told[29].created, told[29].deleted), (1, 1));
        assert_eq!((told[27].created, told[28].created), (1, 0));
        let prefix = Handle::of_prefix("88.118.5")
            .unwrap()
            .key(rule)
            .as_bytes()
            .to_vec();
        let told = days.told(Some(&prefix), today);
        assert_eq!((told[29].created, told[29].deleted), (0, 1));
        assert!(
            days.told(Some(b"other"), today)
                .iter()
                .all(|day| day.created == 0)
        );
    }
}
