//! What an import that was killed had written behind the last line it could account for.
//!
//! Between two saves of the state file, batches are committed whose outcomes nobody noted down. The
//! change log has noted them: every change, in order, with the record that it replaced. So the
//! lines behind the mark are judged once more, each against the record that was there *then*; a
//! line whose verdict is to write, and whose change the log has, is done. Nothing is imported
//! twice, and each line gets the outcome that it had.
//!
//! The log does not say which import a change belongs to, so it matters that imports happen one
//! after another; see `Ask::BeginImport`. Of another import between a kill and the resumption, the
//! changes of handles that both have would be taken for ours.

use std::collections::{HashMap, VecDeque};

use guantong_api::control::{Ask, ChangeEntry, OnConflict, Outcome, Reply};
use guantong_proto::{CaseRule, Handle, Key};

use super::TransferError;
use crate::control::{Control, Fault, NewRecord, judge};

/// Entries of the change log asked for at a time.
const PAGE_LEN: u32 = 1_000;

//----------- Replay ---------------------------------------------------------

/// Changes of imports that are not accounted for.
#[derive(Debug)]
pub(super) struct Replay {
    rule: CaseRule,
    /// For each record its changes in order.
    changes: HashMap<Key, VecDeque<Past>>,
    /// Lines left that can have been written; behind them nothing is ours.
    lines_left: usize,
}

/// A change that was made.
#[derive(Debug)]
struct Past {
    number: u64,
    /// The record in front of it.
    before: Option<NewRecord>,
}

impl Replay {
    /// Asks for the changes behind `last_change`. No more than `lines_max` lines can have been
    /// written by them.
    pub(super) fn load(
        control: &mut dyn Control,
        rule: CaseRule,
        last_change: u64,
        lines_max: usize,
    ) -> Result<Self, TransferError> {
        let mut replay = Self {
            rule,
            changes: HashMap::new(),
            lines_left: lines_max,
        };
        let mut after = last_change;
        loop {
            let asked = Ask::Changes {
                after,
                limit: PAGE_LEN,
            };
            let Reply::Changes(page) = control.ask(asked, &mut |_| Ok(()))? else {
                return Err(Fault::Strange.into());
            };
            let Some(last) = page.last() else {
                return Ok(replay);
            };
            after = last.number;
            page.iter().for_each(|entry| replay.note(entry));
        }
    }

    fn note(&mut self, entry: &ChangeEntry) {
        let is_ours = entry.origin == "import" && matches!(&*entry.action, "create" | "update");
        let Some(handle) = Handle::parse(&entry.handle).ok().filter(|_| is_ours) else {
            return;
        };
        let before = entry.before.as_ref();
        let before = before.and_then(|b| NewRecord::parse(b.record.get().as_bytes()).ok());
        let changes = self.changes.entry(handle.key(self.rule)).or_default();
        changes.push_back(Past {
            number: entry.number,
            before,
        });
    }

    /// What had become of the next line, if the log tells, and by which change.
    pub(super) fn outcome(
        &mut self,
        record: &NewRecord,
        on_conflict: OnConflict,
    ) -> Option<(Outcome, Option<u64>)> {
        if self.lines_left == 0 {
            return None;
        }
        self.lines_left -= 1;
        if self.lines_left == 0 {
            self.changes.clear();
        }
        let key = record.handle().key(self.rule);
        let changes = self.changes.get_mut(&key)?;
        let past = changes.front()?;
        let before = past.before.as_ref().map(NewRecord::values);
        let outcome = judge(record, before, on_conflict);
        if !matches!(outcome, Outcome::Created | Outcome::Replaced) {
            return Some((outcome, None));
        }
        let number = past.number;
        changes.pop_front();
        if changes.is_empty() {
            self.changes.remove(&key);
        }
        Some((outcome, Some(number)))
    }
}
