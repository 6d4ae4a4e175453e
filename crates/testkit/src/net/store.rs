//! The model of a store: records, homed prefixes, a change log, and what the real one keeps beside
//! them. A commit is seen at once and is durable once it was synced; a crash takes the rest.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;

use guantong_core::authority::Homed;
use guantong_core::replicate::{
    Leftover, Local, LogId, Mark, Position, RecordChange, Standing, Work, merge,
};
use guantong_proto::crypto::Hash;
use guantong_proto::stream::Action;
use guantong_proto::{CaseRule, Handle};

/// Which letters of names fold.
pub(super) const RULE: CaseRule = CaseRule::Insensitive;

//----------- Content --------------------------------------------------------

/// What a store holds.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub(super) records: BTreeMap<Vec<u8>, Record>,
    pub(super) homed: BTreeMap<Vec<u8>, Handle>,
    log: VecDeque<Logged>,
    /// Changes that the log does not reach back to any more.
    forgotten: u64,
    /// How far it has followed another log.
    pub(super) position: Position,
    pub(super) standing: Standing,
}

/// A record.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) handle: Handle,
    /// Its values in wire form.
    pub(super) values: Arc<[u8]>,
    version: u64,
}

/// A change, as the log has it.
#[derive(Clone, Debug)]
pub(super) struct Logged {
    pub(super) action: Action,
    pub(super) at_ms: u64,
    pub(super) handle: Handle,
}

/// One step of a commit.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Changes a record or a homed prefix.
    Change(RecordChange, u64),
    /// Remembers how far another log was followed.
    Position(Position),
    /// Remembers what the node is.
    Standing(Standing),
}

impl Content {
    /// Number of the last change.
    pub(super) fn last(&self) -> u64 {
        self.forgotten + self.log.len() as u64
    }

    /// The change of that number, if the log still has it.
    pub(super) fn logged(&self, number: u64) -> Option<&Logged> {
        let at = number.checked_sub(self.forgotten + 1)?;
        self.log.get(usize::try_from(at).ok()?)
    }

    /// Mark and date of a change.
    pub(super) fn mark(&self, number: u64) -> Option<(Mark, u64)> {
        let logged = self.logged(number)?;
        let handle = logged.handle.borrow();
        let mark = Mark::of_change(number, logged.action.0, logged.at_ms, handle);
        Some((mark, logged.at_ms))
    }

    /// A digest of records and homed prefixes: equal for equal stores.
    pub(super) fn digest(&self) -> Vec<u8> {
        let mut parts: Vec<&[u8]> = Vec::new();
        for record in self.records.values() {
            parts.extend([record.handle.as_str().as_bytes(), &record.values[..]]);
        }
        parts.push(b"homed");
        parts.extend(self.homed.keys().map(Vec::as_slice));
        Hash::Sha1.digest(&parts)
    }

    /// The homed prefixes as answers need them.
    pub(super) fn homed(&self) -> Homed {
        Homed::new(self.homed.values())
    }

    fn apply(&mut self, step: Step, log_max: usize) {
        let (change, at_ms) = match step {
            Step::Change(change, at_ms) => (change, at_ms),
            Step::Position(position) => return self.position = position,
            Step::Standing(standing) => return self.standing = standing,
        };
        let Some((action, handle)) = self.change(change) else {
            return;
        };
        self.log.push_back(Logged {
            action,
            at_ms,
            handle,
        });
        if self.log.len() > log_max {
            self.log.pop_front();
            self.forgotten += 1;
        }
    }

    /// Makes a change; what it was, unless there was nothing to do.
    fn change(&mut self, change: RecordChange) -> Option<(Action, Handle)> {
        match change {
            RecordChange::Put { handle, values } => {
                let record = Record {
                    handle: handle.clone(),
                    values: values.into(),
                    version: self.last() + 1,
                };
                let action = match self.records.insert(key_of(&handle), record) {
                    None => Action::CREATE,
                    Some(_) => Action::UPDATE,
                };
                Some((action, handle))
            }
            RecordChange::Delete { handle } => {
                let gone = self.records.remove(&key_of(&handle));
                gone.map(|_| (Action::DELETE, handle))
            }
            RecordChange::Home(handle) => {
                let before = self.homed.insert(key_of(&handle), handle.clone());
                before.is_none().then_some((Action::HOME, handle))
            }
            RecordChange::Unhome(handle) => {
                let gone = self.homed.remove(&key_of(&handle));
                gone.map(|_| (Action::UNHOME, handle))
            }
        }
    }
}

pub(super) fn key_of(handle: &Handle) -> Vec<u8> {
    handle.key(RULE).as_bytes().to_vec()
}

//----------- Store ----------------------------------------------------------

/// A store with its disk.
#[derive(Clone, Debug)]
pub(super) struct Store {
    pub(super) id: LogId,
    /// What readers see.
    pub(super) seen: Content,
    /// What survives a crash.
    durable: Content,
    /// Commits that were not synced yet.
    waiting: VecDeque<Vec<Step>>,
    synced: u64,
    log_max: usize,
}

impl Store {
    pub(super) fn new(id: LogId, standing: Standing, log_max: usize) -> Self {
        let content = Content {
            records: BTreeMap::new(),
            homed: BTreeMap::new(),
            log: VecDeque::new(),
            forgotten: 0,
            position: Position::Nothing,
            standing,
        };
        Self {
            id,
            seen: content.clone(),
            durable: content,
            waiting: VecDeque::new(),
            synced: 0,
            log_max,
        }
    }

    /// Does all of it or nothing; the number of the commit.
    pub(super) fn commit(&mut self, steps: Vec<Step>) -> u64 {
        for step in &steps {
            self.seen.apply(step.clone(), self.log_max);
        }
        self.waiting.push_back(steps);
        self.committed()
    }

    /// Number of the last commit.
    pub(super) fn committed(&self) -> u64 {
        self.synced + self.waiting.len() as u64
    }

    /// Number of the last commit that is durable.
    pub(super) fn synced(&self) -> u64 {
        self.synced
    }

    /// Whether it is primary even if it crashes now.
    pub(super) fn is_durably_primary(&self) -> bool {
        self.durable.standing.is_primary()
    }

    /// Makes all commits up to this one durable.
    pub(super) fn sync(&mut self, commit: u64) {
        while self.synced < commit {
            let Some(steps) = self.waiting.pop_front() else {
                return;
            };
            self.synced += 1;
            for step in steps {
                self.durable.apply(step, self.log_max);
            }
        }
    }

    /// Loses what was not synced.
    pub(super) fn crash(&mut self) {
        self.seen = self.durable.clone();
        self.waiting.clear();
    }

    /// The steps of a portion that a mirror has received.
    pub(super) fn steps_of(&self, work: Work, position: Position, at_ms: u64) -> Vec<Step> {
        let mut steps: Vec<Step> = self
            .changes_of(work)
            .into_iter()
            .map(|change| Step::Change(change, at_ms))
            .collect();
        steps.push(Step::Position(position));
        steps
    }

    fn changes_of(&self, work: Work) -> Vec<RecordChange> {
        match work {
            Work::Apply(changes) => changes,
            Work::Merge { after, records } => {
                let upto = records.last().map(|last| last.key.clone());
                let local = self.stretch(after.as_deref(), upto.as_deref());
                let changes = merge(local, records.into_iter());
                changes.filter_map(Result::ok).collect()
            }
            Work::Finish { leftover, homed } => self.finish(&leftover, homed),
        }
    }

    fn finish(&self, leftover: &Leftover, homed: Vec<Handle>) -> Vec<RecordChange> {
        let gone: Vec<Handle> = match leftover {
            Leftover::Behind(after) => {
                let local = self.stretch(after.as_deref(), None);
                local.filter_map(Result::ok).map(|l| l.handle).collect()
            }
            Leftover::NotSince(change) => {
                let records = self.seen.records.values();
                let old = records.filter(|record| record.version <= *change);
                old.map(|record| record.handle.clone()).collect()
            }
            Leftover::Unknown => Vec::new(),
        };
        let delete = |handle| RecordChange::Delete { handle };
        let no_more = self.seen.homed.values();
        let no_more = no_more.filter(|handle| !homed.contains(handle)).cloned();
        let unhome = no_more.map(RecordChange::Unhome).collect::<Vec<_>>();
        let home = homed.into_iter().map(RecordChange::Home);
        gone.into_iter()
            .map(delete)
            .chain(unhome)
            .chain(home)
            .collect()
    }

    /// The records behind `after`, up to `upto`.
    fn stretch<'a>(
        &'a self,
        after: Option<&'a [u8]>,
        upto: Option<&'a [u8]>,
    ) -> impl Iterator<Item = Result<Local, Infallible>> + 'a {
        let records = self.seen.records.iter();
        let within = records.filter(move |(key, _)| {
            after.is_none_or(|after| key.as_slice() > after)
                && upto.is_none_or(|upto| key.as_slice() <= upto)
        });
        within.map(|(key, record)| {
            Ok(Local {
                key: key.clone(),
                handle: record.handle.clone(),
                values: record.values.to_vec(),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use guantong_core::replicate::Role;

    use super::*;

    #[test]
    fn crash_takes_what_was_not_synced_and_nothing_else() {
        let mut store = Store::new(LogId([1; 16]), Standing::new(Role::Primary), 2);
        let put = |name: &str| {
            let handle = Handle::parse(name).unwrap();
            let values = vec![0; 4];
            vec![Step::Change(RecordChange::Put { handle, values }, 1)]
        };
        let commits: Vec<u64> = ["1/a", "1/b", "1/c"]
            .map(|name| store.commit(put(name)))
            .into();
        store.sync(commits[1]);
        assert_eq!((store.seen.last(), store.seen.records.len()), (3, 3));
        assert!(store.seen.logged(1).is_none(), "the log keeps two changes");
        store.crash();
        assert_eq!((store.seen.last(), store.seen.records.len()), (2, 2));
        assert_eq!(store.committed(), store.synced());
    }
}
