//! What has happened to a record, and making it not have happened.
//!
//! The change log says of each change what it replaced. So the history of a record is a chain: each
//! change names the one before it, and a creation the deletion that ended the life before.

use std::collections::BTreeMap;

use guantong_api::control::{Changed, Mode, Outcome, Past, Refusal, Reply, Undone};
use guantong_proto::{Handle, Key, Values};
use guantong_store::{Action, Batch, Change, Entry, Expect, Origin};

use super::desk::Desk;
use super::record::to_json;
use super::refusal;
use super::words::{change_entry, parse_handle};

/// Octets of changes that one answer carries, about.
const OCTETS_MAX: usize = 4 * 1024 * 1024;
/// Most changes that are undone together.
const UNDO_MAX: u64 = 1_000;

//----------- History --------------------------------------------------------

impl Desk {
    /// The changes of a record, newest first, from change `from` downwards.
    pub(super) fn history(
        &self,
        handle: &str,
        from: Option<u64>,
        limit: u32,
    ) -> Result<Reply, Refusal> {
        let handle = parse_handle(handle)?;
        let key = handle.key(self.store().case_rule());
        let newest = self.store().last_change_of(handle.borrow());
        let newest = newest.map_err(|error| refusal::of_read(&error))?;
        let (mut changes, mut octets) = (Vec::new(), 0);
        let mut next = from.or(newest);
        while let Some(number) = next.filter(|_| changes.len() < limit as usize) {
            if octets > OCTETS_MAX {
                break;
            }
            let entry = self.store().change(number);
            let entry = entry.map_err(|error| refusal::of_read(&error))?;
            let Some(entry) = entry.filter(|entry| self.is_of(entry, &key)) else {
                return Err(refusal::not_found(format!(
                    "change {number} is none of {handle}: `guantong store check` says whether \
                     the log is damaged"
                )));
            };
            octets += entry.size();
            next = entry.previous();
            changes.push(change_entry(&entry));
        }
        Ok(Reply::Past(Past { changes, next }))
    }

    /// The entries behind number `after`, `count` of them if there are so many.
    fn entries(&self, after: u64, count: u64) -> Result<Vec<Entry>, Refusal> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let entries = self.store().changes(after, count);
        entries.map_err(|error| refusal::of_read(&error))
    }

    fn is_of(&self, entry: &Entry, key: &Key) -> bool {
        let is_record = !matches!(entry.action, Action::Home | Action::Unhome);
        is_record && entry.handle.key(self.store().case_rule()) == *key
    }

    //--- Undoing

    /// Makes the changes from `first` to `last` not have happened, all of them or none: each record
    /// becomes what it was before the first of them that is about it.
    ///
    /// A record that was changed afterwards stands in the way.
    pub(super) fn undo(&self, first: u64, last: u64, mode: Mode) -> Result<Reply, Refusal> {
        if first == 0 || last < first || last > self.store().last_change() {
            let newest = self.store().last_change();
            return Err(refusal::not_found(format!(
                "there are no changes {first} to {last}: the first is 1, the last is {newest}"
            )));
        }
        if last - first >= UNDO_MAX {
            let count = last - first + 1;
            return Err(refusal::invalid(format!(
                "{count} changes are to be undone together, the limit is {UNDO_MAX}"
            )));
        }
        let (lives, homes) = self.lives(first, last)?;
        let mut undone = Vec::new();
        let mut changes = Vec::new();
        for life in lives.values() {
            let (change, changed) = self.revive(life, first, last)?;
            changes.extend(change);
            undone.push(Undone {
                handle: life.handle.to_string(),
                changed,
            });
        }
        let is_homing = !homes.is_empty();
        for entry in homes.into_values() {
            let prefix = entry.handle.clone();
            let (did, change) = match entry.action {
                Action::Home => (Outcome::Deleted, Change::Unhome { prefix }),
                _ => (Outcome::Created, Change::Home { prefix }),
            };
            changes.push(change);
            undone.push(Undone {
                handle: entry.handle.to_string(),
                changed: Changed {
                    outcome: did,
                    before: None,
                    after: None,
                    version: None,
                },
            });
        }
        if mode == Mode::Apply && !changes.is_empty() {
            let batch = Batch {
                changes,
                at_ms: self.now_ms(),
                origin: Origin::Operator,
                trail: self.trail(),
            };
            let written = self.store().submit(batch).wait();
            written.map_err(|error| refusal::of_write(&error))?;
            if is_homing {
                self.tell_homing();
            }
        }
        Ok(Reply::Undone(undone))
    }

    /// What the changes from `first` to `last` did to each record, and the first that homed or
    /// unhomed each prefix.
    fn lives(&self, first: u64, last: u64) -> Result<(Lives, Homes), Refusal> {
        let (mut lives, mut homes) = (Lives::new(), Homes::new());
        let mut after = first - 1;
        while after < last {
            // An answer may hold fewer entries than were asked for.
            let entries = self.entries(after, last - after)?;
            let Some(newest) = entries.last() else { break };
            after = newest.number;
            for entry in entries {
                let key = entry.handle.key(self.store().case_rule());
                match entry.action {
                    Action::Home | Action::Unhome => drop(homes.entry(key).or_insert(entry)),
                    _ => lives
                        .entry(key)
                        .or_insert_with(|| Life::new(&entry))
                        .go_on(&entry),
                }
            }
        }
        Ok((lives, homes))
    }

    /// The change that gives a record back what it was, and what that does to it.
    fn revive(
        &self,
        life: &Life,
        first: u64,
        last: u64,
    ) -> Result<(Option<Change>, Changed), Refusal> {
        let stored = self.read(&life.handle)?;
        let version = stored.as_ref().map(guantong_store::StoredRecord::version);
        if version != life.is_now {
            let (handle, newest) = (&life.handle, life.newest);
            let since = match version {
                Some(version) => format!("change {version} came after it"),
                None => "it was removed since".to_owned(),
            };
            return Err(refusal::conflict(format!(
                "change {newest} of {handle} cannot be undone: {since}; `guantong record history \
                 {handle}` shows all of them, and changes {first} to {last} can be undone together \
                 with what came after"
            )));
        }
        let before = stored
            .as_ref()
            .map(|r| to_json(r.handle().as_str(), r.values()));
        let was = life
            .was
            .as_deref()
            .and_then(|wire| Values::from_wire(wire).ok());
        let after = was.map(|values| to_json(life.handle.as_str(), values));
        let expect = version.map_or(Expect::Absent, Expect::Version);
        let handle = life.handle.clone();
        let (outcome, change) = match (&stored, &life.was) {
            (None, None) => (Outcome::Unchanged, None),
            (Some(record), Some(was)) if record.values_wire() == was => (Outcome::Unchanged, None),
            (_, Some(values)) => {
                let outcome = match stored {
                    Some(_) => Outcome::Replaced,
                    None => Outcome::Created,
                };
                let values = values.clone();
                let change = Change::Put {
                    handle,
                    values,
                    expect,
                };
                (outcome, Some(change))
            }
            (Some(_), None) => (Outcome::Deleted, Some(Change::Delete { handle, expect })),
        };
        let changed = Changed {
            outcome,
            before,
            after,
            version: None,
        };
        Ok((change, changed))
    }
}

type Lives = BTreeMap<Key, Life>;
type Homes = BTreeMap<Key, Entry>;

/// What a range of changes did to one record.
struct Life {
    handle: Handle,
    /// Its values before the first of them, in wire form; `None` if it was not there.
    was: Option<Vec<u8>>,
    /// Its version after the last of them; `None` if it was not there.
    is_now: Option<u64>,
    /// The last of them.
    newest: u64,
}

impl Life {
    fn new(first: &Entry) -> Self {
        Self {
            handle: first.handle.clone(),
            was: first.before.as_ref().map(|before| before.values.clone()),
            is_now: None,
            newest: first.number,
        }
    }

    fn go_on(&mut self, entry: &Entry) {
        self.is_now = (entry.action != Action::Delete).then_some(entry.number);
        self.newest = entry.number;
    }
}
