//! What happens from outside: questions, writes, faults, and the operators of the servers.

use guantong_core::resolve::Question;
use guantong_proto::Handle;

use super::group::Manner;
use super::node::{Kind, NodeId};
use super::recursive::Asked;
use super::world::{HOSTILE_PREFIX, prefix_handle};
use super::{Event, Net};

/// Longest time that a process is down, or a way is cut.
const FAULT_MS: u64 = 15_000;
/// Writes of a zone while its servers are in trouble.
const BURST_WRITES: u64 = 12;
/// The time within which all members of a group die together.
const POWER_LOSS_MS: u64 = 400;
/// How long after the last question the run ends.
const END_MS: u64 = 15_000;

//----------- Happening ------------------------------------------------------

/// Something from outside.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    /// A client of a recursive node asks.
    Ask(NodeId),
    /// A question must have been answered by now.
    Deadline(NodeId),
    /// Somebody changes a record of a zone.
    Write(usize),
    /// A process dies, for so long.
    Crash(NodeId, u64),
    /// It is started again.
    Restart(NodeId),
    /// All members of a group lose power in the middle of writes.
    PowerLoss(usize),
    /// The primary of a group and its standby are cut off from each other.
    Split(usize),
    /// Ways are cut.
    Cut(Vec<(NodeId, NodeId)>, u64),
    /// They are open again.
    Mend(Vec<(NodeId, NodeId)>),
    /// The clock on a wall is set.
    SetClock(NodeId, i64),
    /// A mirror of a group is to be promoted.
    Promote(usize),
    /// A prefix is to move.
    Move,
    /// Operators look around.
    Operate,
    /// All faults end.
    Heal,
    /// Everything must be as it should be.
    Final,
    /// The run is over.
    End,
}

impl Net {
    /// Starts all processes and plans what happens from outside.
    pub(super) fn begin(&mut self) {
        for id in 0..self.nodes.len() {
            self.start(id);
        }
        self.note_first_records();
        let turbulent = self.plan.turbulent_ms;
        let recursives = self.recursives();
        for _ in 0..self.plan.questions {
            for id in recursives.clone() {
                let at = self.random.below(turbulent);
                // A name that is asked for by several at the same moment.
                let burst = 1 + 3 * u64::from(self.random.chance(10));
                for _ in 0..burst {
                    self.at(at, Event::Outside(Happening::Ask(id)));
                }
            }
        }
        for _ in 0..self.plan.writes {
            let at = self.random.below(turbulent);
            let zones = self.zones.len() as u64 - 1;
            let zone = 1 + usize::try_from(self.random.below(zones)).unwrap_or(0);
            self.at(at, Event::Outside(Happening::Write(zone)));
        }
        self.plan_faults();
        for _ in 0..self.plan.promotions {
            let at = self.random.below(turbulent);
            let group = self.any_group();
            self.at(at, Event::Outside(Happening::Promote(group)));
        }
        for _ in 0..self.plan.moves {
            let at = self.random.below(turbulent);
            self.at(at, Event::Outside(Happening::Move));
        }
        self.at(0, Event::Outside(Happening::Operate));
        let healed = turbulent + self.plan.healing_ms;
        self.at(turbulent, Event::Outside(Happening::Heal));
        self.at(healed, Event::Outside(Happening::Final));
    }

    fn recursives(&self) -> Vec<NodeId> {
        let nodes = self.nodes.iter().enumerate();
        let recursives = nodes.filter(|(_, node)| matches!(node.kind, Kind::Recursive(_)));
        recursives.map(|(id, _)| id).collect()
    }

    fn plan_faults(&mut self) {
        let turbulent = self.plan.turbulent_ms;
        for _ in 0..self.plan.crashes {
            let at = self.random.below(turbulent);
            let (node, for_ms) = (self.any_node(), self.random.below(FAULT_MS));
            self.at(at, Event::Outside(Happening::Crash(node, for_ms)));
        }
        for _ in 0..self.plan.partitions {
            let at = self.random.below(turbulent);
            let for_ms = self.random.below(FAULT_MS);
            let ways = self.some_ways();
            self.at(at, Event::Outside(Happening::Cut(ways, for_ms)));
        }
        for _ in 0..self.plan.power_losses {
            let at = self.random.below(turbulent);
            let group = self.any_leased_group();
            self.at(at, Event::Outside(Happening::PowerLoss(group)));
        }
        for _ in 0..self.plan.splits {
            let at = self.random.below(turbulent);
            let group = self.any_leased_group();
            self.at(at, Event::Outside(Happening::Split(group)));
        }
        for _ in 0..self.plan.clock_jumps {
            let at = self.random.below(turbulent);
            let secs = self.random.below(2 * 3_600).cast_signed() - 3_600;
            let node = self.any_node();
            self.at(at, Event::Outside(Happening::SetClock(node, secs)));
        }
        if self.plan.weather.loss > 100 {
            // A firewall that lets no datagrams through, both ways.
            let (a, b) = (*self.random.pick(&self.recursives()), self.any_node());
            self.links.close_udp((a, b));
            self.links.close_udp((b, a));
        }
    }

    fn any_node(&mut self) -> NodeId {
        usize::try_from(self.random.below(self.nodes.len() as u64)).unwrap_or(0)
    }

    fn any_group(&mut self) -> usize {
        usize::try_from(self.random.below(self.groups.len() as u64)).unwrap_or(0)
    }

    /// A group with a lease, if there is one: of others less is promised.
    fn any_leased_group(&mut self) -> usize {
        let groups = self.groups.iter().enumerate();
        let leased = groups.filter(|(_, group)| group.manner == Manner::Leased);
        let leased: Vec<usize> = leased.map(|(at, _)| at).collect();
        match leased.is_empty() {
            true => self.any_group(),
            false => *self.random.pick(&leased),
        }
    }

    /// The ways between two parts of the network, in one direction or in both.
    fn some_ways(&mut self) -> Vec<(NodeId, NodeId)> {
        let part = 1 + self.random.below(3);
        let part: Vec<NodeId> = (0..part).map(|_| self.any_node()).collect();
        let kind = self.random.below(4);
        let mut ways = Vec::new();
        for a in part.iter().copied() {
            for b in (0..self.nodes.len()).filter(|b| !part.contains(b)) {
                if kind != 1 {
                    ways.push((a, b));
                }
                if kind != 0 {
                    ways.push((b, a));
                }
            }
        }
        ways
    }

    pub(super) fn on_outside(&mut self, happening: Happening) {
        match happening {
            Happening::Ask(id) => self.ask_something(id),
            Happening::Deadline(id) => self.check_deadline(id),
            Happening::Write(zone) => self.write_something(zone),
            Happening::Crash(node, for_ms) => self.crash(node, for_ms),
            Happening::Restart(node) => self.restart(node),
            Happening::PowerLoss(group) => self.lose_power(group),
            Happening::Split(group) => self.split(group),
            Happening::Cut(ways, for_ms) => {
                self.say(format_args!("cut for {for_ms} ms: {ways:?}"));
                ways.iter().for_each(|way| self.links.cut(*way));
                let event = Event::Outside(Happening::Mend(ways));
                self.at(self.now + for_ms, event);
            }
            Happening::Mend(ways) => {
                self.say(format_args!("mended: {} ways", ways.len()));
                ways.iter().for_each(|way| self.links.mend(*way));
            }
            Happening::SetClock(node, secs) => {
                self.say(format_args!("the clock of {node} is set by {secs} s"));
                self.nodes[node].clock.ahead_secs = secs;
            }
            Happening::Promote(group) => self.decide_promotion(group),
            Happening::Move => self.decide_move(),
            Happening::Operate => self.operate(),
            Happening::Heal => self.heal(),
            Happening::Final => self.check_end(),
            Happening::End => self.is_over = true,
        }
    }

    //--- Questions

    fn ask_something(&mut self, id: NodeId) {
        if self.plan.has_hostile && self.random.chance(10) {
            let name = format!("{HOSTILE_PREFIX}/sn{}", self.random.below(5));
            if let Ok(handle) = Handle::parse(&name) {
                self.ask_for(id, Question::new(handle), None);
            }
            return;
        }
        let zone = usize::try_from(self.random.below(self.zones.len() as u64)).unwrap_or(0);
        let is_prefix = self.random.chance(15) || self.zones[zone].names.is_empty();
        let handle = match is_prefix {
            true => prefix_handle(&self.zones[zone].prefix),
            false => self.random.pick(&self.zones[zone].names).clone(),
        };
        let mut question = Question::new(handle);
        match self.random.below(10) {
            0 => question.types.push(b"EMAIL".as_slice().into()),
            1 => question.indexes.push(1),
            2 => question.types.push(b"NONE".as_slice().into()),
            3 => question.authoritative = true,
            _ => {}
        }
        self.ask_for(id, question, Some(zone));
    }

    fn ask_for(&mut self, id: NodeId, question: Question, zone: Option<usize>) {
        let asked = Asked {
            question,
            zone,
            at: self.now,
            is_final: false,
        };
        let deadline = self.now + self.longest_question_ms() + 1;
        self.at(deadline, Event::Outside(Happening::Deadline(id)));
        self.ask(id, asked);
    }

    fn check_deadline(&mut self, id: NodeId) {
        let Kind::Recursive(recursive) = &self.nodes[id].kind else {
            return;
        };
        let longest = self.longest_question_ms();
        let late = recursive.open.values().find(|a| self.now - a.at > longest);
        if let Some(late) = late.map(|asked| asked.question.handle.clone()) {
            self.violated(format_args!("{id} has not answered {late} in time"));
        }
    }

    //--- Faults

    /// Starts the process of a node.
    fn start(&mut self, id: NodeId) {
        self.nodes[id].up = true;
        match &self.nodes[id].kind {
            Kind::Recursive(_) => self.start_recursive(id),
            Kind::Member(_) => self.start_member(id),
            Kind::Hostile(_) => {}
        }
    }

    fn crash(&mut self, id: NodeId, for_ms: u64) {
        if !self.nodes[id].up {
            return;
        }
        self.say(format_args!("{id} dies for {for_ms} ms"));
        self.nodes[id].up = false;
        self.nodes[id].run += 1;
        self.break_streams_of(id);
        self.incomplete.remove(&id);
        match &mut self.nodes[id].kind {
            Kind::Recursive(recursive) => recursive.crash(),
            Kind::Member(_) => self.crash_member(id),
            Kind::Hostile(_) => {}
        }
        let led = self.groups.iter().position(|group| group.leader == id);
        if let Some(group) = led
            && self.random.chance(50)
        {
            let at = self.now + 500 + self.random.below(4_000);
            self.at(at, Event::Outside(Happening::Promote(group)));
        }
        let event = Event::Outside(Happening::Restart(id));
        self.at(self.now + for_ms, event);
    }

    fn restart(&mut self, id: NodeId) {
        if !self.nodes[id].up {
            self.say(format_args!("{id} starts"));
            self.start(id);
        }
    }

    /// Cuts a primary and the mirror that may replace it off from each other, in one direction or
    /// in both, while writers reach both of them; often the mirror is promoted at that.
    fn split(&mut self, group: usize) {
        let leader = self.groups[group].leader;
        let others = self.groups[group].promotable().iter().copied();
        let other = others.rev().find(|id| *id != leader);
        let Some(other) = other else {
            return;
        };
        let ways = match self.random.below(4) {
            0 => vec![(leader, other)],
            1 => vec![(other, leader)],
            _ => vec![(leader, other), (other, leader)],
        };
        let for_ms = FAULT_MS / 3 + self.random.below(FAULT_MS);
        let cut = Event::Outside(Happening::Cut(ways, for_ms));
        self.at(self.now, cut);
        if self.random.chance(70) {
            let at = self.now + self.random.below(3_000);
            self.at(at, Event::Outside(Happening::Promote(group)));
        }
        self.plan_writes(group, for_ms);
    }

    /// Members die within a moment, while many write: the mirrors first, and the primary for long,
    /// so that one of them replaces it.
    fn lose_power(&mut self, group: usize) {
        self.plan_writes(group, POWER_LOSS_MS);
        let leader = self.groups[group].leader;
        for id in self.groups[group].members.clone() {
            let at = POWER_LOSS_MS / 2 + self.random.below(POWER_LOSS_MS / 2);
            let for_ms = self.random.below(FAULT_MS);
            let (at, for_ms) = match id == leader {
                true => (at + POWER_LOSS_MS / 8, for_ms.max(FAULT_MS / 2)),
                false => (at, for_ms / 8),
            };
            let crash = Event::Outside(Happening::Crash(id, for_ms));
            self.at(self.now + at, crash);
        }
    }

    /// Many write into what a group serves.
    fn plan_writes(&mut self, group: usize, within_ms: u64) {
        let zones = self.zones.iter().enumerate();
        let zones = zones.filter(|(_, zone)| zone.group == group);
        let zones: Vec<usize> = zones.map(|(at, _)| at).collect();
        for zone in zones {
            for _ in 0..BURST_WRITES {
                let at = self.now + self.random.below(within_ms);
                self.at(at, Event::Outside(Happening::Write(zone)));
            }
        }
    }

    fn heal(&mut self) {
        self.say(format_args!("everything heals"));
        self.links.calm();
        for id in 0..self.nodes.len() {
            self.restart(id);
        }
    }

    //--- The end

    fn check_end(&mut self) {
        self.say(format_args!("the end"));
        self.check_groups();
        let mut questions = Vec::new();
        for (at, zone) in self.zones.iter().enumerate() {
            let names = zone.names.iter().cloned();
            let names = names.chain([prefix_handle(&zone.prefix)]);
            questions.extend(names.map(|name| (at, name)));
        }
        for id in self.recursives() {
            for (n, (zone, name)) in questions.iter().enumerate() {
                let asked = Asked {
                    question: Question::new(name.clone()),
                    zone: Some(*zone),
                    at: self.now,
                    is_final: self.plan.pending_max > questions.len(),
                };
                if n < self.plan.pending_max {
                    self.ask(id, asked);
                }
            }
        }
        let event = Event::Outside(Happening::End);
        self.at(self.now + END_MS, event);
    }
}
