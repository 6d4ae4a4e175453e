//! The operators: they promote mirrors, publish who serves what, point mirrors at their primary,
//! and move prefixes to other servers. They look around every second and do what is still to be
//! done.

use guantong_core::replicate::{Claim, RecordChange, Role};
use guantong_proto::Value;
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Values};

use super::group::Manner;
use super::node::{NodeId, address_of};
use super::store::key_of;
use super::workload::Happening;
use super::world::{delegation, prefix_handle, put, root_values};
use super::{Event, Net, Sabotage};

/// How often operators look around.
const ROUND_MS: u64 = 1_000;
/// How long nobody writes before a prefix is copied: every write is done or given up by then.
const FREEZE_MS: u64 = 6_000;
/// What is waited on top of the life of a delegation before its old servers forget the prefix.
const FORGET_MS: u64 = 10_000;

//----------- Move -----------------------------------------------------------

/// A prefix on its way to another group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Move {
    pub(super) zone: usize,
    pub(super) from: usize,
    pub(super) to: usize,
    stage: Stage,
}

/// What is done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The records are copied, from this moment on.
    Copy(u64),
    /// The copy must be durable.
    Settle,
    /// The parent must say who serves it now.
    Publish,
    /// The old servers forget it, from this moment on.
    Forget(u64),
}

impl Net {
    /// One round of all operators.
    pub(super) fn operate(&mut self) {
        for group in 0..self.groups.len() {
            self.go_on_with_promotion(group);
            self.point_mirrors(group);
        }
        self.publish();
        if let Some(step) = self.moving {
            self.moving = self.go_on_with_move(step);
        }
        let event = Event::Outside(Happening::Operate);
        self.at(self.now + ROUND_MS, event);
    }

    //--- Promotion

    /// Decides that a mirror is to be promoted.
    pub(super) fn decide_promotion(&mut self, group: usize) {
        let others = match self.sabotage {
            Some(Sabotage::AnyMirrorTakesOver) => &self.groups[group].members,
            _ => self.groups[group].promotable(),
        };
        let others = others.iter().copied();
        let leader = self.groups[group].leader;
        let others: Vec<NodeId> = others.filter(|id| *id != leader).collect();
        if others.is_empty() || self.groups[group].promoting.is_some() {
            return;
        }
        let chosen = *self.random.pick(&others);
        self.say(format_args!("{chosen} is chosen to replace {leader}"));
        self.groups[group].promoting = Some(chosen);
    }

    fn go_on_with_promotion(&mut self, group: usize) {
        let Some(id) = self.groups[group].promoting.filter(|id| self.nodes[*id].up) else {
            return;
        };
        let Some(member) = self.member(id) else {
            return;
        };
        let epoch = member.store.seen.standing.epoch;
        // One that has not heard yet that it is not primary any more leads in an older epoch.
        if member.leads() && epoch > self.groups[group].epoch {
            let group = &mut self.groups[group];
            (group.promoting, group.leader, group.epoch) = (None, id, epoch);
            group.serial += 1;
            return;
        }
        let is_ready = member.may_lead();
        match self.groups[group].manner {
            Manner::Forced if is_ready => {
                let before = self.primary_of_before(id);
                self.promote(id, before);
            }
            Manner::Forced => {}
            Manner::Plain | Manner::Leased => self.begin_promotion(id),
        }
    }

    /// Tells mirrors that have not heard of it who is primary.
    fn point_mirrors(&mut self, group: usize) {
        let leader = self.groups[group].leader;
        let Some(member) = self.member(leader).filter(|member| member.leads()) else {
            return;
        };
        let claim = Claim {
            epoch: member.store.seen.standing.epoch,
            leader: member.store.id,
            address: address_of(leader).to_string(),
            key: Vec::new(),
        };
        if claim.epoch == 1 || self.sabotage == Some(Sabotage::AnyMirrorTakesOver) {
            return;
        }
        for id in self.groups[group].members.clone() {
            let role = self.member(id).map(|m| m.store.seen.standing.role);
            if id != leader && self.nodes[id].up && role != Some(Role::Primary) {
                self.hear_claim(id, &claim);
            }
        }
    }

    //--- Publishing

    /// Writes the records that say who serves what, where they are not as they should be.
    fn publish(&mut self) {
        for zone in 0..self.zones.len() {
            let (group, handle, values) = match self.zones[zone].parent {
                Some(parent) => {
                    let group = self.zones[parent].group;
                    let handle = prefix_handle(&self.zones[zone].prefix);
                    (group, handle, delegation(&self.zones, &self.groups, zone))
                }
                None => {
                    let values = root_values(&self.groups);
                    (self.zones[zone].group, prefix_handle("0.NA"), values)
                }
            };
            let leader = self.groups[group].leader;
            if !self.has(leader, &handle, &values) && self.takes_changes(leader) {
                self.write(leader, vec![put(&handle, &values)]);
            }
        }
    }

    fn has(&self, id: NodeId, handle: &Handle, values: &[Value]) -> bool {
        let Some(member) = self.member(id) else {
            return false;
        };
        let wire = Writer::to_vec(|w| Values::encode(values, w));
        let record = member.store.seen.records.get(&key_of(handle));
        record.is_some_and(|record| record.values[..] == wire[..])
    }

    fn is_settled(&self, id: NodeId) -> bool {
        self.member(id).is_some_and(|member| {
            member.leads() && member.store.synced() == member.store.committed()
        })
    }

    //--- Moving a prefix

    /// Decides that a prefix is to move to a group that serves nothing yet.
    pub(super) fn decide_move(&mut self) {
        let has_child = |zone: usize| self.zones.iter().any(|other| other.parent == Some(zone));
        let leaves: Vec<usize> = (0..self.zones.len()).filter(|z| !has_child(*z)).collect();
        let used: Vec<usize> = self.zones.iter().map(|zone| zone.group).collect();
        let spare = (0..self.groups.len()).find(|group| !used.contains(group));
        let (Some(to), None) = (spare, self.moving) else {
            return;
        };
        let zone = *self.random.pick(&leaves);
        self.say(format_args!(
            "{} is to move",
            self.zones[zone].prefix.clone()
        ));
        self.zones[zone].is_frozen = true;
        self.moving = Some(Move {
            zone,
            from: self.zones[zone].group,
            to,
            stage: Stage::Copy(self.now + FREEZE_MS),
        });
    }

    fn go_on_with_move(&mut self, step: Move) -> Option<Move> {
        let Move { zone, from, to, .. } = step;
        let (old, new) = (self.groups[from].leader, self.groups[to].leader);
        let stage = match step.stage {
            Stage::Copy(at) if at <= self.now && self.copy(zone, old, new) => Stage::Settle,
            Stage::Settle if !self.is_copied(zone, new) => Stage::Copy(self.now),
            Stage::Settle if self.is_settled(new) => {
                self.zones[zone].group = to;
                self.zones[zone].served_by.push(to);
                for id in self.groups[to].members.clone() {
                    self.observe(id);
                }
                Stage::Publish
            }
            Stage::Publish if self.is_published(zone) => {
                self.zones[zone].is_frozen = false;
                let ttl = u64::from(self.zones[zone].delegation_ttl().unsigned_abs());
                Stage::Forget(self.now + ttl * 1_100 + FORGET_MS)
            }
            Stage::Forget(at) if at <= self.now && self.takes_changes(old) => {
                let handle = prefix_handle(&self.zones[zone].prefix);
                self.write(old, vec![RecordChange::Unhome(handle)]);
                self.counts.moves += 1;
                return None;
            }
            stage => stage,
        };
        Some(Move { stage, ..step })
    }

    fn copy(&mut self, zone: usize, old: NodeId, new: NodeId) -> bool {
        if !self.takes_changes(old) || !self.takes_changes(new) || !self.is_settled(old) {
            return false;
        }
        let Some(member) = self.member(old) else {
            return false;
        };
        let records = self.zones[zone].names.iter();
        let records = records.filter_map(|name| member.store.seen.records.get(&key_of(name)));
        let mut changes: Vec<RecordChange> = records
            .map(|record| RecordChange::Put {
                handle: record.handle.clone(),
                values: record.values.to_vec(),
            })
            .collect();
        changes.push(RecordChange::Home(prefix_handle(&self.zones[zone].prefix)));
        self.write(new, changes)
    }

    fn is_copied(&self, zone: usize, new: NodeId) -> bool {
        let key = key_of(&prefix_handle(&self.zones[zone].prefix));
        self.member(new)
            .is_some_and(|member| member.store.seen.homed.contains_key(&key))
    }

    fn is_published(&self, zone: usize) -> bool {
        let Some(parent) = self.zones[zone].parent else {
            return true;
        };
        let leader = self.groups[self.zones[parent].group].leader;
        let handle = prefix_handle(&self.zones[zone].prefix);
        let values = delegation(&self.zones, &self.groups, zone);
        self.has(leader, &handle, &values) && self.is_settled(leader)
    }

    //--- The end

    /// After everything has healed, each group has one primary and mirrors that are equal to it.
    pub(super) fn check_groups(&mut self) {
        for group in 0..self.groups.len() {
            let leader = self.groups[group].leader;
            if let Some(id) = self.groups[group].promoting {
                self.violated(format_args!("{id} was never promoted"));
                continue;
            }
            if !self.takes_changes(leader) {
                self.violated(format_args!("{leader} is primary and takes no changes"));
            }
            self.check_nothing_lost(group, leader);
            let Some(digest) = self.member(leader).map(|m| m.store.seen.digest()) else {
                continue;
            };
            for id in self.groups[group].members.clone() {
                let Some(member) = self.member(id).filter(|_| id != leader) else {
                    continue;
                };
                let role = member.store.seen.standing.role;
                let is_equal = member.store.seen.digest() == digest;
                if role != Role::Mirror || !is_equal {
                    let name = role.name();
                    self.violated(format_args!(
                        "{id} is {name} after everything has healed, equal to {leader}: {is_equal}"
                    ));
                }
            }
        }
        if self.moving.is_some() {
            self.violated(format_args!("a prefix was never moved"));
        }
    }

    /// Somebody writes something into a zone.
    pub(super) fn write_something(&mut self, zone: usize) {
        let group = self.zones[zone].group;
        if self.zones[zone].is_frozen || self.zones[zone].names.is_empty() {
            return;
        }
        // Some ask the wrong one, as after a promotion.
        let id = match self.random.chance(80) {
            true => self.groups[group].leader,
            false => *self.random.pick(&self.groups[group].members),
        };
        let name = self.random.pick(&self.zones[zone].names).clone();
        let change = match self.random.chance(15) {
            true => RecordChange::Delete { handle: name },
            false => put(&name, &self.zones[zone].next_values(&mut self.random)),
        };
        self.write(id, vec![change]);
    }
}
