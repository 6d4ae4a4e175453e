//! Who takes changes: the gate of a member, when a write is done, and that nothing which was done
//! is lost.

use std::collections::BTreeMap;
use std::sync::Arc;

use guantong_core::replicate::RecordChange;

use super::group::Manner;
use super::node::NodeId;
use super::store::{Content, Step, key_of};
use super::truth::brief;
use super::{Net, Sabotage};

/// What the keys of homed prefixes begin with here.
const HOMED: &[u8] = b"homed ";
/// How long a writer is kept waiting for the standby.
const CONFIRM_MS: u64 = 5_000;

//----------- Pending --------------------------------------------------------

/// A write that was taken and is not done yet.
#[derive(Debug)]
pub(super) struct Pending {
    /// Its change in the log of the node that took it.
    number: u64,
    commit: u64,
    /// When the writer is told that it is unconfirmed.
    until: u64,
    /// The records that it changed, with their places in the list of all writes.
    writes: Vec<(Vec<u8>, usize)>,
}

/// What somebody wrote.
#[derive(Debug)]
struct Write {
    /// `None` for a deletion.
    values: Option<Arc<[u8]>>,
    /// The writer was told that it is done.
    is_done: bool,
}

/// All writes of all groups, and who took the last one.
#[derive(Debug, Default)]
pub(super) struct Writes {
    /// By group and key, in the order in which they were taken.
    all: BTreeMap<(usize, Vec<u8>), Vec<Write>>,
    /// The node and the epoch of the last one, by group.
    last: BTreeMap<usize, (NodeId, u64)>,
}

/// What a change makes of which key. Whether a prefix is homed counts as a record, too.
fn effect(change: &RecordChange) -> (Vec<u8>, Option<Arc<[u8]>>) {
    let homed = |handle| [HOMED, &key_of(handle)[..]].concat();
    match change {
        RecordChange::Put { handle, values } => (key_of(handle), Some(values.as_slice().into())),
        RecordChange::Delete { handle } => (key_of(handle), None),
        RecordChange::Home(handle) => (homed(handle), Some(Arc::new([]))),
        RecordChange::Unhome(handle) => (homed(handle), None),
    }
}

fn value_of(content: &Content, key: &[u8]) -> Option<Arc<[u8]>> {
    match key.strip_prefix(HOMED) {
        Some(prefix) => content.homed.get(prefix).map(|_| Arc::from([])),
        None => content.records.get(key).map(|record| record.values.clone()),
    }
}

impl Net {
    /// Whether a member takes changes now.
    pub(super) fn takes_changes(&self, id: NodeId) -> bool {
        let now = self.nodes[id].clock.instant(self.now);
        self.member(id).is_some_and(|member| {
            let lease = &member.running.lease;
            let may_write = !member.store.seen.standing.granted
                || lease.holds(now)
                || self.sabotage == Some(Sabotage::LeaseIgnored);
            self.nodes[id].up && member.leads() && may_write
        })
    }

    /// Writes at a member; whether it takes the changes.
    pub(super) fn write(&mut self, id: NodeId, changes: Vec<RecordChange>) -> bool {
        if !self.takes_changes(id) {
            self.counts.refused += 1;
            return false;
        }
        self.check_only_writer(id);
        let at_ms = self.nodes[id].clock.wall_ms(self.now);
        let Some(group) = self.member(id).map(|member| member.group) else {
            return false;
        };
        let mut writes = Vec::new();
        for change in &changes {
            let (key, values) = effect(change);
            let told = values.as_deref().map_or("nothing".into(), brief);
            let name = String::from_utf8_lossy(&key).into_owned();
            self.say(format_args!("{id} takes {name}: {told}"));
            let all = self.writes.all.entry((group, key.clone()));
            // What was never written does not exist.
            let absent = || Write {
                values: None,
                is_done: true,
            };
            let all = all.or_insert_with(|| vec![absent()]);
            let is_done = false;
            all.push(Write { values, is_done });
            writes.push((key, all.len() - 1));
        }
        self.counts.taken += 1;
        let steps = changes.into_iter();
        let steps = steps.map(|change| Step::Change(change, at_ms)).collect();
        let commit = self.commit(id, steps);
        let until = self.now + CONFIRM_MS;
        if let Some(member) = self.member_mut(id) {
            let number = member.store.seen.last();
            member.running.pending.push(Pending {
                number,
                commit,
                until,
                writes,
            });
        }
        self.look_at_polls(id);
        true
    }

    /// Tells writers whose writes are done.
    pub(super) fn settle_pending(&mut self, id: NodeId) {
        let now = self.now;
        let Some(group) = self.member(id).map(|member| member.group) else {
            return;
        };
        let needs_mirror = self.groups[group].manner == Manner::Leased;
        let Some(member) = self.member_mut(id) else {
            return;
        };
        let (synced, confirmed) = (member.store.synced(), member.running.confirmed);
        let mut done = Vec::new();
        member.running.pending.retain(|pending| {
            let is_confirmed = !needs_mirror || confirmed >= pending.number;
            let is_done = pending.commit <= synced && is_confirmed && now <= pending.until;
            if is_done {
                done.extend(pending.writes.clone());
            }
            !is_done && now <= pending.until
        });
        for (key, at) in done {
            self.counts.done += 1;
            if let Some(all) = self.writes.all.get_mut(&(group, key))
                && let Some(write) = all.get_mut(at)
            {
                write.is_done = true;
            }
        }
    }

    /// What the stores hold at the beginning counts as written.
    pub(super) fn note_first_records(&mut self) {
        for group in 0..self.groups.len() {
            let leader = self.groups[group].leader;
            let names = self.names_of(group);
            let Some(member) = self.member(leader) else {
                continue;
            };
            let mut first = Vec::new();
            for (_, name) in names {
                let key = key_of(&name);
                let record = member.store.seen.records.get(&key);
                let values = record.map(|record| record.values.clone());
                first.push((key, values));
            }
            for prefix in member.store.seen.homed.keys() {
                let key = [HOMED, prefix].concat();
                first.push((key, Some(Arc::from([]))));
            }
            for (key, values) in first {
                let is_done = true;
                let write = Write { values, is_done };
                self.writes.all.insert((group, key), vec![write]);
            }
        }
    }

    /// Whoever takes a change must be the only one who could.
    fn check_only_writer(&mut self, id: NodeId) {
        let Some(member) = self.member(id) else {
            return;
        };
        let (group, epoch) = (member.group, member.store.seen.standing.epoch);
        let others = self.groups[group].members.clone().into_iter();
        let is_forced = self.groups[group].manner == Manner::Forced;
        let other = others
            .filter(|other| *other != id)
            .find(|other| self.takes_changes(*other));
        if let Some(other) = other.filter(|_| !is_forced) {
            self.violated(format_args!("{id} and {other} both take changes"));
        }
        let last = self.writes.last.insert(group, (id, epoch));
        let Some((last_id, last_epoch)) = last else {
            return;
        };
        let is_twice = last_id != id && last_epoch == epoch;
        if is_twice || last_epoch > epoch && !is_forced {
            self.violated(format_args!(
                "{id} takes a change in epoch {epoch}, {last_id} has taken one in {last_epoch}"
            ));
        }
    }

    /// No write that was done may be missing, unless force was used.
    pub(super) fn check_nothing_lost(&mut self, group: usize, id: NodeId) {
        if self.groups[group].manner == Manner::Forced {
            return;
        }
        let mut lost = Vec::new();
        let Some(member) = self.member(id) else {
            return;
        };
        for ((_, key), all) in self
            .writes
            .all
            .range((group, Vec::new())..(group + 1, Vec::new()))
        {
            let last_done = all.iter().rposition(|write| write.is_done).unwrap_or(0);
            let values = value_of(&member.store.seen, key);
            let is_there = all[last_done..].iter().any(|write| write.values == values);
            if !is_there {
                let wanted = all[last_done].values.as_deref().map(brief);
                let found = values.as_deref().map(brief);
                let name = String::from_utf8_lossy(key).into_owned();
                lost.push(format!("{name} is {found:?}, {wanted:?} was done"));
            }
        }
        for what in lost {
            self.violated(format_args!("{id} has lost a write: {what}"));
        }
    }
}
