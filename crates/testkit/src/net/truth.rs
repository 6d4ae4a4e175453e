//! What every server showed, and when; by this answers are judged.

use std::collections::BTreeMap;
use std::sync::Arc;

use guantong_core::resolve::{Answer, Freshness, Outcome, Question};
use guantong_proto::{Handle, Values};

use super::node::NodeId;
use super::recursive::{Asked, NEGATIVE_TTL_SECS, STALE_SECS, timeout_ms};
use super::store::key_of;
use super::world::prefix_handle;
use super::{Net, node::content_of};

/// What clocks that run too fast or too slow, and whole seconds, add to a time.
const SLACK_MS: u64 = 1_500;

//----------- Truth ----------------------------------------------------------

/// What was shown, by group, key and node, in the order of time.
#[derive(Debug, Default)]
pub(super) struct Truth {
    shown: BTreeMap<(usize, Vec<u8>), Vec<Period>>,
}

/// A time in which a server showed the same of a record.
#[derive(Debug)]
struct Period {
    node: NodeId,
    what: Shown,
    from: u64,
    /// `None` while it lasts.
    to: Option<u64>,
}

/// What a server shows of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// That it does not exist.
    Absent,
    /// These values, in wire form.
    Values(Arc<[u8]>),
}

impl Truth {
    fn note(&mut self, group: usize, key: &[u8], node: NodeId, what: Option<Shown>, now: u64) {
        let periods = self.shown.entry((group, key.to_vec())).or_default();
        let last = periods.iter_mut().rev().find(|p| p.node == node);
        if let Some(last) = last.filter(|last| last.to.is_none()) {
            if Some(&last.what) == what.as_ref() {
                return;
            }
            last.to = Some(now);
        }
        if let Some(what) = what {
            periods.push(Period {
                node,
                what,
                from: now,
                to: None,
            });
        }
    }

    /// Whether a server of these groups showed something that fits, at any time from `since` to
    /// `now`.
    fn has(&self, groups: &[usize], key: &[u8], since: u64, fits: impl Fn(&Shown) -> bool) -> bool {
        groups.iter().any(|group| {
            let periods = self.shown.get(&(*group, key.to_vec()));
            let periods = periods.map(Vec::as_slice).unwrap_or_default();
            periods
                .iter()
                .any(|period| period.to.is_none_or(|to| to >= since) && fits(&period.what))
        })
    }

    /// What was shown of a record, for people.
    fn tell(&self, groups: &[usize], key: &[u8]) -> String {
        let mut text = String::new();
        for group in groups {
            for period in self
                .shown
                .get(&(*group, key.to_vec()))
                .into_iter()
                .flatten()
            {
                let what = match &period.what {
                    Shown::Absent => "nothing".to_owned(),
                    Shown::Values(values) => brief(values),
                };
                let (from, to) = (period.from, period.to);
                text += &format!("\n    node {} {from}..{to:?}: {what}", period.node);
            }
        }
        text
    }
}

/// The data of the shortest value, for people.
pub(super) fn brief(values: &[u8]) -> String {
    let values = Values::from_wire(values).unwrap_or(Values::EMPTY);
    let shortest = values.iter().min_by_key(|value| value.data.len());
    let text = shortest.map(|value| String::from_utf8_lossy(value.data).into_owned());
    let text = text.unwrap_or_default();
    match text.chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
        true => text,
        false => format!("{} values", values.len()),
    }
}

impl Net {
    /// The names of which a group may have records, each with the prefix under which it does.
    pub(super) fn names_of(&self, group: usize) -> Vec<(Vec<u8>, Handle)> {
        let mut names = Vec::new();
        for (at, zone) in self.zones.iter().enumerate() {
            if !zone.served_by.contains(&group) {
                continue;
            }
            let prefix = key_of(&prefix_handle(&zone.prefix));
            let children = self.zones.iter().filter(|child| child.parent == Some(at));
            let children = children.map(|child| prefix_handle(&child.prefix));
            let root = (at == 0).then(|| prefix_handle("0.NA"));
            let all = zone.names.iter().cloned().chain(children).chain(root);
            names.extend(all.map(|name| (prefix.clone(), name)));
        }
        names
    }

    /// Notes what a server shows now.
    pub(super) fn observe(&mut self, node: NodeId) {
        let Some(group) = self.member(node).map(|member| member.group) else {
            return;
        };
        for (prefix, name) in self.names_of(group) {
            let key = key_of(&name);
            let content = content_of(&self.nodes[node]);
            let content = content.filter(|content| content.homed.contains_key(&prefix));
            let shown = content.map(|content| match content.records.get(&key) {
                Some(record) => Shown::Values(record.values.clone()),
                None => Shown::Absent,
            });
            self.truth.note(group, &key, node, shown, self.now);
        }
    }

    /// The groups that may have the record of a name of this zone.
    fn groups_with(&self, zone: usize, name: &Handle) -> Vec<usize> {
        match name.borrow().is_prefix_handle() && zone != 0 {
            true => {
                let parent = self.zones[zone].parent.unwrap_or(0);
                self.zones[parent].served_by.clone()
            }
            false => self.zones[zone].served_by.clone(),
        }
    }

    //--- Answers

    /// Judges an answer.
    pub(super) fn judge(&mut self, node: NodeId, asked: &Asked, answer: &Answer) {
        let name = asked.question.handle.borrow().expanded();
        let told = match &answer.outcome {
            Outcome::Record(entry) => brief(entry.wire()),
            Outcome::Failed(error) => error.to_string(),
            other => format!("{other:?}"),
        };
        let freshness = answer.freshness;
        self.say(format_args!("{node} answers {name}: {freshness:?} {told}"));
        self.counts.answered(answer);
        let took = self.now - asked.at;
        if took > self.longest_question_ms() {
            self.violated(format_args!("{node} took {took} ms to answer {name}"));
        }
        let Some(zone) = asked.zone else {
            return;
        };
        if let Outcome::Failed(error) = &answer.outcome {
            if self.plan.is_calm() || asked.is_final {
                self.violated(format_args!("{node} could not resolve {name}: {error}"));
            }
            return;
        }
        let since = self.now.saturating_sub(oldest_ms(answer));
        if !self.is_true(zone, &name, &asked.question, &answer.outcome, since) {
            let groups = self.groups_with(zone, &name);
            let shown = self.truth.tell(&groups, &key_of(&name));
            self.violated(format_args!(
                "{node} answers {name} with {freshness:?} {told}, which nobody has shown since \
                 {since}; shown were{shown}"
            ));
        }
        if asked.is_final {
            self.judge_final(node, zone, &name, asked, &answer.outcome);
        }
    }

    /// Whether a server that may have the record, or one on the way to it, has shown this.
    fn is_true(
        &self,
        zone: usize,
        name: &Handle,
        question: &Question,
        outcome: &Outcome,
        since: u64,
    ) -> bool {
        let groups = self.groups_with(zone, name);
        let key = key_of(name);
        let is_shown = |fits: &dyn Fn(&Shown) -> bool| self.truth.has(&groups, &key, since, fits);
        match outcome {
            Outcome::Record(entry) => is_shown(&|shown| match shown {
                Shown::Values(values) => same_selection(values, entry.wire(), question),
                Shown::Absent => false,
            }),
            Outcome::ValuesNotFound => is_shown(&|shown| match shown {
                Shown::Values(values) => selected(values, question).is_empty(),
                Shown::Absent => false,
            }),
            Outcome::NotFound => {
                is_shown(&|shown| *shown == Shown::Absent) || self.lacks_prefix(zone, since)
            }
            _ => true,
        }
    }

    /// Whether a server above has shown that the prefix, or one above it, does not exist.
    fn lacks_prefix(&self, zone: usize, since: u64) -> bool {
        let mut at = Some(zone);
        while let Some(zone) = at.filter(|zone| *zone != 0) {
            let prefix = prefix_handle(&self.zones[zone].prefix);
            let groups = self.groups_with(zone, &prefix);
            // Absence of the prefix may have been kept for its own time.
            let since = since.saturating_sub(u64::from(NEGATIVE_TTL_SECS) * 1_000 + SLACK_MS);
            let absent = |shown: &Shown| *shown == Shown::Absent;
            if self.truth.has(&groups, &key_of(&prefix), since, absent) {
                return true;
            }
            at = self.zones[zone].parent;
        }
        false
    }

    /// After everything has healed, an answer must be what the primary has.
    fn judge_final(
        &mut self,
        node: NodeId,
        zone: usize,
        name: &Handle,
        asked: &Asked,
        outcome: &Outcome,
    ) {
        let group = match name.borrow().is_prefix_handle() && zone != 0 {
            true => self.zones[self.zones[zone].parent.unwrap_or(0)].group,
            false => self.zones[zone].group,
        };
        let leader = self.groups[group].leader;
        let content = content_of(&self.nodes[leader]);
        let record = content.and_then(|content| content.records.get(&key_of(name)));
        let is_current = match (outcome, record) {
            (Outcome::Record(entry), Some(record)) => {
                same_selection(&record.values, entry.wire(), &asked.question)
            }
            (Outcome::ValuesNotFound, Some(record)) => {
                selected(&record.values, &asked.question).is_empty()
            }
            (Outcome::NotFound, None) => true,
            _ => false,
        };
        if !is_current {
            let current = record.map(|record| brief(&record.values));
            let told = match outcome {
                Outcome::Record(entry) => brief(entry.wire()),
                other => format!("{other:?}"),
            };
            self.violated(format_args!(
                "after everything healed {node} answers {name} with {told}; current is {current:?}"
            ));
        }
    }

    /// Milliseconds that a question may take, on a clock that runs slow.
    pub(super) fn longest_question_ms(&self) -> u64 {
        timeout_ms() + timeout_ms() / 20 + 5
    }
}

/// For how long what is answered may have been untrue.
fn oldest_ms(answer: &Answer) -> u64 {
    let life_secs = match &answer.outcome {
        Outcome::Record(entry) => {
            let ttls = entry.values().iter().map(|value| value.ttl.seconds_left(0));
            ttls.min().unwrap_or(NEGATIVE_TTL_SECS)
        }
        _ => NEGATIVE_TTL_SECS,
    };
    let kept_secs = match answer.freshness {
        Freshness::Fresh => 0,
        Freshness::Cached => life_secs,
        Freshness::Stale => life_secs + STALE_SECS,
    };
    // A reply on its way, and the wait for it.
    let way_ms = timeout_ms();
    way_ms + u64::from(kept_secs) * 1_050 + SLACK_MS
}

fn same_selection(held: &[u8], answered: &[u8], question: &Question) -> bool {
    let (held, answered) = (selected(held, question), selected(answered, question));
    !answered.is_empty() && held == answered
}

/// The values that a question selects, in wire form.
fn selected(values: &[u8], question: &Question) -> Vec<Vec<u8>> {
    let values = Values::from_wire(values).unwrap_or(Values::EMPTY);
    let values = values.iter();
    let wanted = values.filter(|value| question.selects(value.index, value.kind));
    wanted.map(|value| value.wire().to_vec()).collect()
}
