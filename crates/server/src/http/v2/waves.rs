//! Many registrations by as few durable writes as may be.
//!
//! ```text
//!   rows ──► which of them has nobody anything against? ──► one write, all or none ──► results
//!    ▲           a row may refer to one that is written with it           │
//!    └──── those that had to wait for one of them, as they are now ◄──────┘
//! ```
//!
//! A row is admitted if what it refers to is there, or is admitted with it: both are written, or
//! neither. So the rows of an assembly go together, whatever their order. Two rows of one record,
//! or of one unique value, follow each other. Rows that refer to each other in a circle are
//! refused, as if each had come alone: neither could be the first.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};

use guantong_api::v2::{Mode, UncheckedReference};
use guantong_core::admin::{Change, Deed, Wish};
use guantong_core::template::{Lookup, Row, Template};
use guantong_proto::wire::Writer;
use guantong_proto::{CaseRule, Handle, Key, Values};

use super::super::change::via;
use super::bulk;
use super::foreign::Foreign;
use super::problem::Problem;
use super::registration::{Ready, Writing};
use super::sender::refused;
use super::sought::{self, Absent, Claimed, Clear};
use crate::errand::TooMuch;
use crate::node::Node;

//----------- Rows -----------------------------------------------------------

/// How rows become registrations.
pub(in crate::http) struct Making<'a> {
    pub(in crate::http) writing: Writing<'a>,
    pub(in crate::http) mode: Mode,
}

/// A row that is right by itself.
pub(in crate::http) struct Standing<'a> {
    /// By which it is known to who has it written.
    pub(super) number: u64,
    pub(super) ready: Ready,
    /// References that could not be checked, once it is admitted.
    unchecked: Vec<UncheckedReference>,
    template: &'a Template,
    row: Row,
}

/// What became of a row.
pub(in crate::http) struct Ended {
    pub(in crate::http) number: u64,
    pub(super) row: Row,
    pub(super) handle: Handle,
    /// References that could not be checked, or why it was not written.
    pub(in crate::http) result: Result<Vec<UncheckedReference>, Problem>,
}

impl Standing<'_> {
    fn handle(&self) -> &Handle {
        &self.ready.wish.handle
    }

    fn end(self, result: Result<(), Problem>) -> Ended {
        Ended {
            number: self.number,
            row: self.row,
            handle: self.ready.wish.handle,
            result: result.map(|()| self.unchecked),
        }
    }

    /// The record that it makes, in wire form; `None` if it changes one that is there.
    fn made(&self) -> Option<Vec<u8>> {
        match &self.ready.wish.deed {
            Deed::Change(Change::Create(values) | Change::Put(values)) => {
                Some(Writer::to_vec(|w| Values::encode(values, w)))
            }
            _ => None,
        }
    }
}

impl Making<'_> {
    /// The row, if it is right by itself. `made` is a handle that was made for it before.
    pub(in crate::http) async fn standing<'t>(
        &self,
        number: u64,
        template: &'t Template,
        row: Row,
        made: Option<&str>,
    ) -> Result<Standing<'t>, Problem> {
        let named = made.or(row.handle.as_deref());
        let ready = self.ready(template, &row, named).await?;
        Ok(Standing {
            number,
            ready,
            unchecked: Vec::new(),
            template,
            row,
        })
    }

    async fn ready(
        &self,
        template: &Template,
        row: &Row,
        named: Option<&str>,
    ) -> Result<Ready, Problem> {
        let (writing, fields) = (&self.writing, &row.fields);
        if self.mode == Mode::Create {
            return writing.creation(template, named, fields).await;
        }
        let handle = bulk::named(named)?;
        writing.alteration(&handle, fields, self.mode).await
    }

    /// Has rows written. What became of them comes in no order.
    pub(in crate::http) async fn write(&self, mut rows: Vec<Standing<'_>>) -> Vec<Ended> {
        let mut ended = Vec::with_capacity(rows.len());
        self.ask_elsewhere(&rows).await;
        while !rows.is_empty() {
            let wave = Wave::of(self.writing.node, &self.writing.foreign, rows);
            rows = self.write_all(wave.admitted, &mut ended).await;
            drop(wave.claims);
            self.refuse(wave.refused, &mut ended).await;
            for row in wave.waiting {
                // A row in front of it may have changed what it changes.
                let named = row.handle().to_string();
                match self.ready(row.template, &row.row, Some(&named)).await {
                    Ok(ready) => rows.push(Standing { ready, ..row }),
                    Err(problem) => ended.push(row.end(Err(problem))),
                }
            }
        }
        ended
    }

    /// Asks other nodes for what rows refer to, all at the same time: for rows only that the sender
    /// may write.
    async fn ask_elsewhere(&self, rows: &[Standing<'_>]) {
        let Writing {
            node,
            asked,
            sender,
            foreign,
            ..
        } = &self.writing;
        foreign.begin();
        let wanting: Vec<_> = rows
            .iter()
            .filter(|row| foreign.wants(node, &row.ready.lookups))
            .collect();
        if wanting.is_empty() {
            return;
        }
        let wishes = wanting.iter().map(|row| row.ready.wish.clone()).collect();
        let verdicts = node.change_each(sender.together(wishes, true), via(asked));
        let mut lookups = Vec::new();
        for (row, (wish, verdict)) in wanting.iter().zip(verdicts.await) {
            if refused(&wish, verdict).is_ok() {
                lookups.extend_from_slice(&row.ready.lookups);
            }
        }
        foreign.ask(node, &lookups).await;
    }

    /// Writes rows that nobody has anything against, all or none. Where some are refused, the
    /// others come back: they may refer to these.
    async fn write_all<'t>(
        &self,
        rows: Vec<Standing<'t>>,
        ended: &mut Vec<Ended>,
    ) -> Vec<Standing<'t>> {
        let Writing {
            node,
            asked,
            sender,
            terms,
            ..
        } = &self.writing;
        if rows.is_empty() {
            return rows;
        }
        let (heads, wishes): (Vec<_>, Vec<_>) = rows.into_iter().map(Standing::split).unzip();
        let heads = heads.into_iter();
        let together = sender.together(wishes, terms.is_rehearsal);
        match node.change_together(together, via(asked)).await {
            Ok((verdicts, is_done)) => {
                let mut left = Vec::new();
                for (head, (wish, verdict)) in heads.zip(verdicts) {
                    let result = refused(&wish, verdict);
                    let row = head.with(wish);
                    match result {
                        Ok(()) if is_done => ended.push(row.end(Ok(()))),
                        Ok(()) => left.push(row),
                        Err(failure) => ended.push(row.end(Err(failure.into()))),
                    }
                }
                left
            }
            Err(TooMuch(wishes)) => {
                let rows = heads.zip(wishes).map(|(head, wish)| head.with(wish));
                self.write_halves(rows.collect(), ended).await
            }
        }
    }

    /// Writes rows that are too much for one write.
    async fn write_halves<'t>(
        &self,
        mut rows: Vec<Standing<'t>>,
        ended: &mut Vec<Ended>,
    ) -> Vec<Standing<'t>> {
        // Those in front refer to none behind.
        let behind = rows.split_off(rows.len().div_ceil(2));
        if behind.is_empty() {
            let problem = bulk::refuse("the row is too large".to_owned());
            ended.extend(rows.into_iter().map(|row| row.end(Err(problem.clone()))));
            return behind;
        }
        let mut left = Box::pin(self.write_all(rows, ended)).await;
        match left.is_empty() {
            true => Box::pin(self.write_all(behind, ended)).await,
            false => {
                left.extend(behind);
                left
            }
        }
    }

    /// Ends rows that other records have something against. What that is, is told to those only who
    /// may make the change.
    async fn refuse(&self, rows: Vec<(Standing<'_>, Problem)>, ended: &mut Vec<Ended>) {
        if rows.is_empty() {
            return;
        }
        let Writing {
            node,
            asked,
            sender,
            ..
        } = &self.writing;
        let (rows, problems): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        let (heads, wishes): (Vec<_>, Vec<_>) = rows.into_iter().map(Standing::split).unzip();
        let verdicts = node.change_each(sender.together(wishes, true), via(asked));
        let verdicts = heads.into_iter().zip(verdicts.await).zip(problems);
        for ((head, (wish, verdict)), problem) in verdicts {
            let result = refused(&wish, verdict).map_err(Problem::from);
            ended.push(head.with(wish).end(result.and(Err(problem))));
        }
    }
}

/// A row without its wish.
struct Head<'a> {
    number: u64,
    template: &'a Template,
    row: Row,
    lookups: Vec<Lookup>,
    absent: Absent,
    unchecked: Vec<UncheckedReference>,
}

impl<'a> Standing<'a> {
    fn split(self) -> (Head<'a>, Wish) {
        let Ready {
            wish,
            lookups,
            absent,
        } = self.ready;
        let head = Head {
            number: self.number,
            template: self.template,
            row: self.row,
            lookups,
            absent,
            unchecked: self.unchecked,
        };
        (head, wish)
    }
}

impl<'a> Head<'a> {
    fn with(self, wish: Wish) -> Standing<'a> {
        let ready = Ready {
            wish,
            lookups: self.lookups,
            absent: self.absent,
        };
        Standing {
            number: self.number,
            ready,
            unchecked: self.unchecked,
            template: self.template,
            row: self.row,
        }
    }
}

//----------- Wave -----------------------------------------------------------

/// Rows, by what is to be done with them next.
struct Wave<'a, 't> {
    /// Nobody has anything against them; each behind those that it refers to.
    admitted: Vec<Standing<'t>>,
    /// One of the others has to be dealt with before.
    waiting: Vec<Standing<'t>>,
    /// Other records have something against them.
    refused: Vec<(Standing<'t>, Problem)>,
    /// The unique values of those that are admitted.
    claims: Vec<Claimed<'a>>,
}

impl<'a, 't> Wave<'a, 't> {
    fn of(node: &'a Node, foreign: &Foreign, rows: Vec<Standing<'t>>) -> Self {
        let mut admission = Admission::new(node, foreign, &rows);
        while let Some(at) = admission.queue.pop_front() {
            admission.judge(at);
        }
        let is_waiting: Vec<bool> = (0..rows.len()).map(|at| admission.is_waiting(at)).collect();
        let Admission {
            order,
            claims,
            against,
            ..
        } = admission;
        let mut rows: Vec<_> = rows.into_iter().map(Some).collect();
        let admitted = order.into_iter().filter_map(|(at, unchecked)| {
            let row = rows[at].take()?;
            Some(Standing { unchecked, ..row })
        });
        let admitted: Vec<_> = admitted.collect();
        let (mut waiting, mut refused) = (Vec::new(), Vec::new());
        for ((row, problem), is_waiting) in rows.into_iter().zip(against).zip(is_waiting) {
            match (row, problem) {
                (None, _) => {}
                (Some(row), Some(problem)) if !is_waiting => refused.push((row, problem)),
                (Some(row), problem) => waiting.push((row, problem)),
            }
        }
        // If all wait for each other, none will ever be admitted.
        let is_stuck = admitted.is_empty() && refused.is_empty();
        let mut still_waiting = Vec::with_capacity(waiting.len());
        for (row, problem) in waiting {
            match problem {
                Some(problem) if is_stuck => refused.push((row, problem)),
                _ => still_waiting.push(row),
            }
        }
        Self {
            admitted,
            waiting: still_waiting,
            refused,
            claims,
        }
    }
}

/// The look at the rows of a wave, one after the other.
struct Admission<'a, 'r> {
    node: &'a Node,
    foreign: &'r Foreign,
    rule: CaseRule,
    rows: &'r [Standing<'r>],
    /// The first row of each record; the others wait for it.
    first: HashMap<Key, usize>,
    /// Rows to be looked at, or looked at again.
    queue: VecDeque<usize>,
    /// The rows that are admitted, in the order in which they were, with what was not checked.
    order: Vec<(usize, Vec<UncheckedReference>)>,
    is_admitted: Vec<bool>,
    claims: Vec<Claimed<'a>>,
    /// The unique values of those that are admitted.
    values: HashSet<&'r [u8]>,
    /// What was said against a row.
    against: Vec<Option<Problem>>,
    /// Rows that refer to the row at this place, which was not admitted so far.
    referring: HashMap<usize, Vec<usize>>,
}

impl<'a, 'r> Admission<'a, 'r> {
    fn new(node: &'a Node, foreign: &'r Foreign, rows: &'r [Standing<'r>]) -> Self {
        let rule = node.site().case_rule();
        let (mut first, mut queue) = (HashMap::new(), VecDeque::new());
        for (at, row) in rows.iter().enumerate() {
            if let Entry::Vacant(place) = first.entry(row.handle().key(rule)) {
                place.insert(at);
                queue.push_back(at);
            }
        }
        Self {
            node,
            foreign,
            rule,
            rows,
            first,
            queue,
            order: Vec::new(),
            is_admitted: vec![false; rows.len()],
            claims: Vec::new(),
            values: HashSet::new(),
            against: rows.iter().map(|_| None).collect(),
            referring: HashMap::new(),
        }
    }

    /// Admits a row, or notes what is against it. Every row is looked at once, and once more for
    /// each of the rows that it refers to.
    fn judge(&mut self, at: usize) {
        if self.is_admitted[at] {
            return;
        }
        let row = &self.rows[at];
        let made = |handle: &Handle| {
            let target = self.row_of(handle).filter(|at| self.is_admitted[*at])?;
            self.rows[target].made()
        };
        let (node, foreign, ready) = (self.node, self.foreign, &row.ready);
        let (handle, lookups, absent) = (row.handle(), &ready.lookups, ready.absent);
        let found = sought::look_up_among(node, handle, lookups, foreign, absent, &made);
        let problem = match found {
            Ok(Ok(clear)) => return self.admit(at, clear),
            Ok(Err(faults)) => Problem::from(faults),
            Err(problem) => problem,
        };
        self.against[at] = Some(problem);
        for handle in row.ready.lookups.iter().filter_map(target) {
            if let Some(target) = self.row_of(handle).filter(|at| !self.is_admitted[*at]) {
                self.referring.entry(target).or_default().push(at);
            }
        }
    }

    fn admit(&mut self, at: usize, clear: Clear<'a>) {
        self.is_admitted[at] = true;
        self.order.push((at, clear.unchecked));
        self.claims.push(clear.claimed);
        self.values
            .extend(self.rows[at].ready.lookups.iter().filter_map(unique));
        self.queue
            .extend(self.referring.remove(&at).unwrap_or_default());
    }

    /// Whether a row that is not admitted may be once another one is dealt with.
    fn is_waiting(&self, at: usize) -> bool {
        let lookups = &self.rows[at].ready.lookups;
        let mut targets = lookups.iter().filter_map(target);
        let mut values = lookups.iter().filter_map(unique);
        self.row_of(self.rows[at].handle()) != Some(at)
            || targets.any(|handle| self.row_of(handle).is_some_and(|at| !self.is_admitted[at]))
            || values.any(|value| self.values.contains(value))
    }

    fn row_of(&self, handle: &Handle) -> Option<usize> {
        self.first.get(&handle.key(self.rule)).copied()
    }
}

fn target(lookup: &Lookup) -> Option<&Handle> {
    match lookup {
        Lookup::Target { handle, .. } => Some(handle),
        Lookup::Holders { .. } => None,
    }
}

fn unique(lookup: &Lookup) -> Option<&[u8]> {
    match lookup {
        Lookup::Holders { key, .. } => Some(key),
        Lookup::Target { .. } => None,
    }
}
