//! A group: the batches that one commit covers, judged and staged but not yet written.
//!
//! Batches are judged one after another against what is stored and what earlier batches of the
//! group have staged. A batch whose expectation fails leaves no trace; the others go on.

use std::collections::BTreeMap;

use foldhash::{HashMap, HashMapExt};
use guantong_proto::{Handle, Values};

use crate::batch::{Committed, Expect, Origin};
use crate::engine::{Engine, Slice, Space};
use crate::entry::{self, Asked};
use crate::error::{Cause, Found, StoreError, WriteError};
use crate::format::{Homed, State, decode_u64, prefix_of, removed_key};
use crate::index::{self, IndexDef};
use crate::prepare::{Kind, Prepared, PreparedChange};
use crate::record;
use crate::tail::Tails;

//----------- Group ----------------------------------------------------------

/// Staged changes. Each key is named once, with its last content.
pub(crate) struct Group<'a> {
    engine: &'a Engine,
    indexes: &'a [IndexDef],
    homed_before: &'a Homed,
    tails: &'a mut Tails,
    /// Records by position of their first change; `None` means deleted.
    pub(crate) records: Vec<(Slice, Option<Vec<u8>>)>,
    position: HashMap<Slice, usize>,
    /// Whether a name may have had a record that is gone, by what is stored.
    has_removed: bool,
    /// The deletion behind which a name has no record; `None` if it has one again.
    pub(crate) removed: HashMap<Slice, Option<u64>>,
    /// Change entries; the first has number `first`.
    pub(crate) entries: Vec<Vec<u8>>,
    /// What is added to the counter of each prefix.
    pub(crate) counts: HashMap<Box<[u8]>, i64>,
    /// Prefixes that were homed (`Some`) or unhomed.
    pub(crate) homed: BTreeMap<Box<[u8]>, Option<Handle>>,
    /// Index entries that are added (`true`) or deleted.
    pub(crate) index: HashMap<Vec<u8>, bool>,
    /// Notes by their names.
    pub(crate) notes: BTreeMap<String, Vec<u8>>,
    /// The state after the group.
    pub(crate) state: State,
    /// Number of the group's first change.
    pub(crate) first: u64,
}

/// Counters by folded prefix.
pub(crate) type Counters = Vec<(Box<[u8]>, u64)>;

/// What a change finds under its key.
enum Old {
    /// What the group has staged.
    Staged,
    /// This record.
    Record(Slice),
    /// None; the deletion of the last one, or 0 if there never was one.
    Absent { last_life: u64 },
}

impl<'a> Group<'a> {
    /// An empty group on top of `state`.
    pub(crate) fn new(
        engine: &'a Engine,
        state: State,
        indexes: &'a [IndexDef],
        homed: &'a Homed,
        tails: &'a mut Tails,
    ) -> Self {
        Self {
            engine,
            indexes,
            homed_before: homed,
            tails,
            records: Vec::new(),
            position: HashMap::new(),
            has_removed: state.removed > 0,
            removed: HashMap::new(),
            entries: Vec::new(),
            counts: HashMap::new(),
            homed: BTreeMap::new(),
            index: HashMap::new(),
            notes: BTreeMap::new(),
            state,
            first: state.last_change + 1,
        }
    }

    /// Whether there is nothing to be written.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.notes.is_empty()
    }

    /// Judges a batch and, if it passes, stages it.
    pub(crate) fn admit(&mut self, batch: Prepared) -> Result<Committed, WriteError> {
        let olds = self.judge(&batch)?;
        let first = self.state.last_change + 1;
        for note in batch.notes {
            self.notes.insert(note.name, note.octets);
        }
        for (change, old) in batch.changes.into_iter().zip(olds) {
            self.stage(change, &old, batch.at_ms, &batch.origin);
        }
        Ok(Committed {
            first,
            last: self.state.last_change,
        })
    }

    /// Checks every expectation of a batch, in order, each against what the ones before it leave.
    fn judge(&mut self, batch: &Prepared) -> Result<Vec<Old>, WriteError> {
        let mut staged_here: HashMap<&[u8], Option<u64>> = HashMap::new();
        let single = batch.changes.len() == 1;
        let mut next = self.state.last_change + 1;
        let mut olds = Vec::with_capacity(batch.changes.len());
        for (position, change) in batch.changes.iter().enumerate() {
            let (expect, is_put) = match &change.kind {
                Kind::Put { expect, .. } => (*expect, true),
                Kind::Delete { expect } => (*expect, false),
                // Whether these do anything is seen when they are staged; they are logged after
                // the records, and no expectation depends on their numbers.
                Kind::Home | Kind::Unhome => {
                    olds.push(Old::Staged);
                    next += u64::from(self.moves_homed(change));
                    continue;
                }
            };
            let (version, old) = match staged_here.get(&*change.key) {
                Some(&version) => (version, Old::Staged),
                None => self.find(&change.key)?,
            };
            if !expect.holds(version) {
                return Err(conflict(position, change, expect, version));
            }
            let acts = is_put || version.is_some();
            // What does nothing leaves what is stored to be found by the next.
            if !single && acts {
                staged_here.insert(&change.key, is_put.then_some(next));
            }
            next += u64::from(acts);
            olds.push(old);
        }
        Ok(olds)
    }

    /// The version under `key` as staged or stored, and what is stored if nothing is staged.
    fn find(&mut self, key: &Slice) -> Result<(Option<u64>, Old), StoreError> {
        if let Some(&at) = self.position.get(key) {
            let staged = self.records[at].1.as_deref();
            return Ok((staged.map(record::version_of), Old::Staged));
        }
        if self.tails.is_beyond(self.engine, key)? {
            return Ok((None, Old::Absent { last_life: 0 }));
        }
        let Some(old) = self.engine.get(Space::Records, key)? else {
            let last_life = self.last_life(key)?;
            return Ok((None, Old::Absent { last_life }));
        };
        record::check(&old).map_err(|source| StoreError::Record {
            key: String::from_utf8_lossy(key).into_owned(),
            source,
        })?;
        Ok((Some(record::version_of(&old)), Old::Record(old)))
    }

    /// The stored deletion of the record that `key` had, or 0.
    fn last_life(&self, key: &[u8]) -> Result<u64, StoreError> {
        if !self.has_removed {
            return Ok(0);
        }
        let Some(octets) = self.engine.get(Space::Meta, &removed_key(key))? else {
            return Ok(0);
        };
        decode_u64(&octets).map_err(|source| StoreError::Form {
            what: format!("the deletion of `{}`", String::from_utf8_lossy(key)),
            source,
        })
    }

    fn stage(&mut self, change: PreparedChange, old: &Old, at_ms: u64, origin: &Origin) {
        let PreparedChange {
            key,
            handle,
            kind,
            trail,
        } = change;
        let number = self.state.last_change + 1;
        let replaced;
        let found = match kind {
            Kind::Put { mut record, .. } => {
                record::set_version(&mut record, number);
                replaced = self.replace(&key, Some(record), old);
                match &replaced {
                    Some(old) => {
                        entry::Found::Replaced(record::version_of(old), record::values_wire_of(old))
                    }
                    None => entry::Found::Nothing {
                        last_life: self.revive(key, old),
                    },
                }
            }
            Kind::Delete { .. } => {
                replaced = self.replace(&key, None, old);
                let Some(old) = &replaced else {
                    return;
                };
                self.removed.insert(key, Some(number));
                self.state.removed += 1;
                entry::Found::Deleted(record::version_of(old), record::values_wire_of(old))
            }
            Kind::Home if !self.is_homed(&key) => {
                self.homed.insert((&*key).into(), Some(handle.clone()));
                entry::Found::NotHomed
            }
            Kind::Unhome if self.is_homed(&key) => {
                self.homed.insert((&*key).into(), None);
                entry::Found::Homed
            }
            Kind::Home | Kind::Unhome => return,
        };
        let asked = Asked {
            at_ms,
            origin,
            trail: &trail,
        };
        let mut entry = entry::encode(&asked, handle.borrow(), found);
        self.state.last_change = number;
        self.state.link = entry::seal(&self.state.link, number, &mut entry);
        self.entries.push(entry);
    }

    /// Takes note that `key` has a record again, or for the first time; gives the deletion that
    /// ended its last life, or 0.
    fn revive(&mut self, key: Slice, old: &Old) -> u64 {
        let last_life = match old {
            Old::Absent { last_life } => *last_life,
            Old::Staged | Old::Record(_) => self.removed.get(&key).copied().flatten().unwrap_or(0),
        };
        if last_life > 0 {
            self.removed.insert(key, None);
            self.state.removed = self.state.removed.saturating_sub(1);
        }
        last_life
    }

    /// Stages the new content of a key and returns the content before it.
    fn replace(&mut self, key: &Slice, new: Option<Vec<u8>>, found: &Old) -> Option<Vec<u8>> {
        let staged = self.position.get(key).copied();
        let old = match (staged, found) {
            (Some(at), _) => self.records[at].1.take(),
            (None, Old::Record(stored)) => Some(stored.to_vec()),
            (None, Old::Staged | Old::Absent { .. }) => None,
        };
        self.count(key, old.is_some(), new.is_some());
        if self.indexes.iter().any(IndexDef::is_live) {
            self.index_changes(key, old.as_deref(), new.as_deref());
        }
        match staged {
            Some(at) => self.records[at].1 = new,
            // A deletion of nothing leaves nothing to be written.
            None if old.is_none() && new.is_none() => {}
            None => {
                // What is staged must not look absent to the batches behind.
                self.tails.raise(key);
                self.position.insert(key.clone(), self.records.len());
                self.records.push((key.clone(), new));
            }
        }
        old
    }

    fn count(&mut self, key: &[u8], was: bool, is: bool) {
        let delta = i64::from(is) - i64::from(was);
        if delta == 0 {
            return;
        }
        self.state.records = self.state.records.saturating_add_signed(delta);
        let prefix = prefix_of(key);
        match self.counts.get_mut(prefix) {
            Some(count) => *count += delta,
            None => {
                self.counts.insert(prefix.into(), delta);
            }
        }
    }

    fn index_changes(&mut self, key: &[u8], old: Option<&[u8]>, new: Option<&[u8]>) {
        let entries_of = |octets: Option<&[u8]>| {
            let values = octets.map(|octets| Values::from_wire(record::values_wire_of(octets)));
            match values {
                Some(Ok(values)) => index::entries(self.indexes, values),
                _ => Default::default(),
            }
        };
        let (old, new) = (entries_of(old), entries_of(new));
        for head in old.difference(&new) {
            self.index.insert([head, key].concat(), false);
        }
        for head in new.difference(&old) {
            self.index.insert([head, key].concat(), true);
        }
    }

    fn is_homed(&self, key: &[u8]) -> bool {
        match self.homed.get(key) {
            Some(staged) => staged.is_some(),
            None => self.homed_before.contains_key(key),
        }
    }

    fn moves_homed(&self, change: &PreparedChange) -> bool {
        match change.kind {
            Kind::Home => !self.is_homed(&change.key),
            Kind::Unhome => self.is_homed(&change.key),
            Kind::Put { .. } | Kind::Delete { .. } => false,
        }
    }

    /// The counters after the group, given what they are now.
    pub(crate) fn counters(
        &self,
        mut now: impl FnMut(&[u8]) -> Result<u64, Cause>,
    ) -> Result<Counters, Cause> {
        self.counts
            .iter()
            .filter(|&(_, &delta)| delta != 0)
            .map(|(prefix, &delta)| {
                let count = now(prefix)?.saturating_add_signed(delta);
                Ok((prefix.clone(), count))
            })
            .collect()
    }
}

fn conflict(
    change: usize,
    prepared: &PreparedChange,
    expected: Expect,
    version: Option<u64>,
) -> WriteError {
    WriteError::Conflict {
        change,
        handle: prepared.handle.clone(),
        expected,
        found: version.map_or(Found::Absent, Found::Version),
    }
}
