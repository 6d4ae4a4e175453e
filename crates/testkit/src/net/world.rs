//! The network that a seed describes: root, top level with its mirrors, second level, enterprises,
//! recursive nodes, and one server that means harm.

use guantong_core::replicate::{LogId, RecordChange, Role, Standing};
use guantong_proto::data::Site;
use guantong_proto::data::site::{Interface, InterfaceKind, Protocol, Server};
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Ttl, Value, Values};

use crate::Random;

use super::clock::Clock;
use super::group::{Group, Manner, Zone};
use super::hostile::Hostile;
use super::mirror::Running;
use super::node::{Kind, Member, Node, NodeId, PORT, ip_of};
use super::plan::Plan;
use super::recursive::Recursive;
use super::store::{Step, Store};

/// Index of the first value that refers to the servers of derived prefixes.
const DERIVED_INDEX: i32 = 101;
/// Names below each prefix of the second level and of enterprises.
const NAMES: usize = 6;
/// Names of the hostile server.
pub(super) const HOSTILE_PREFIX: &str = "88.666";
/// How far clocks may differ in speed, in parts of a thousand.
const DRIFT: u64 = 40;

//----------- World ----------------------------------------------------------

/// The nodes, and who serves what.
pub(super) struct World {
    pub(super) nodes: Vec<Node>,
    pub(super) groups: Vec<Group>,
    pub(super) zones: Vec<Zone>,
}

impl World {
    pub(super) fn new(plan: &Plan, random: &mut Random) -> Self {
        let mut world = Self {
            nodes: Vec::new(),
            groups: Vec::new(),
            zones: Vec::new(),
        };
        let root = world.group("root", 2, Manner::Plain, plan, random);
        let root = world.zone("0.NA", None, root, 0);
        let manner = Manner::of(random);
        let top = world.group("top", plan.tops, manner, plan, random);
        let top = world.zone("88", Some(root), top, 2);
        let mut seconds = Vec::new();
        for n in 0..plan.seconds {
            let (size, manner) = (1 + pick(random, 3), Manner::of(random));
            let group = world.group(&format!("second{n}"), size, manner, plan, random);
            let prefix = format!("88.{}", 118 + n);
            seconds.push(world.zone(&prefix, Some(top), group, 3));
        }
        for n in 0..plan.enterprises {
            let (size, manner) = (1 + pick(random, 3), Manner::of(random));
            let group = world.group(&format!("firm{n}"), size, manner, plan, random);
            let parent = *random.pick(&seconds);
            let prefix = format!("{}.{n}", world.zones[parent].prefix);
            world.zone(&prefix, Some(parent), group, NAMES);
        }
        for n in 0..plan.moves {
            world.group(&format!("spare{n}"), 2, Manner::Plain, plan, random);
        }
        world.fill(plan, random);
        for n in 0..plan.recursives {
            let recursive = Recursive::new();
            let kind = Kind::Recursive(Box::new(recursive));
            world.node(format!("recursive{n}"), kind, random);
        }
        if plan.has_hostile {
            let kind = Kind::Hostile(Hostile::new());
            let hostile = world.node("hostile".into(), kind, random);
            world.delegate_to_hostile(top, hostile);
        }
        world
    }

    fn node(&mut self, name: String, kind: Kind, random: &mut Random) -> NodeId {
        let clock = Clock {
            origin_ms: random.below(1_000_000),
            rate: 1_000 - DRIFT + random.below(2 * DRIFT + 1),
            ahead_secs: random.below(200).cast_signed() - 100,
        };
        self.nodes.push(Node {
            name,
            clock,
            up: true,
            run: 0,
            kind,
        });
        self.nodes.len() - 1
    }

    fn group(
        &mut self,
        name: &str,
        size: usize,
        manner: Manner,
        plan: &Plan,
        random: &mut Random,
    ) -> usize {
        let group = self.groups.len();
        let mut members = Vec::new();
        for n in 0..size {
            let id = self.nodes.len();
            let mut log = [0; 16];
            log[..8].copy_from_slice(&random.next_u64().to_be_bytes());
            let role = match n {
                0 => Role::Primary,
                _ => Role::Mirror,
            };
            let store = Store::new(LogId(log), Standing::new(role), plan.log_max);
            let member = Member {
                group,
                store,
                running: Running::new(),
            };
            let kind = Kind::Member(Box::new(member));
            members.push(self.node(format!("{name}.{n}"), kind, random));
            debug_assert_eq!(members[n], id);
        }
        let manner = match size {
            1 => Manner::Plain,
            _ => manner,
        };
        self.groups.push(Group::new(members, manner));
        group
    }

    fn zone(&mut self, prefix: &str, parent: Option<usize>, group: usize, names: usize) -> usize {
        let handle = |n| Handle::parse(&format!("{prefix}/sn{n}")).ok();
        let names = (0..names).filter_map(handle).collect();
        self.zones.push(Zone {
            prefix: prefix.into(),
            parent,
            group,
            served_by: vec![group],
            names,
            is_frozen: false,
            versions: 0,
        });
        self.zones.len() - 1
    }

    /// Puts the first records into all stores; some mirrors have to fetch them.
    fn fill(&mut self, plan: &Plan, random: &mut Random) {
        for zone in 0..self.zones.len() {
            let mut changes = vec![RecordChange::Home(prefix_handle(&self.zones[zone].prefix))];
            if zone == 0 {
                let values = root_values(&self.groups);
                changes.push(put(&prefix_handle("0.NA"), &values));
            }
            for child in 0..self.zones.len() {
                if self.zones[child].parent == Some(zone) {
                    let handle = prefix_handle(&self.zones[child].prefix);
                    let values = delegation(&self.zones, &self.groups, child);
                    changes.push(put(&handle, &values));
                }
            }
            for name in self.zones[zone].names.clone() {
                if random.chance(75) {
                    let values = self.zones[zone].next_values(random);
                    changes.push(put(&name, &values));
                }
            }
            let is_fresh = random.chance(30) && plan.temper != super::plan::Temper::Calm;
            for (n, id) in self.groups[self.zones[zone].group]
                .members
                .clone()
                .into_iter()
                .enumerate()
            {
                let Kind::Member(member) = &mut self.nodes[id].kind else {
                    continue;
                };
                if n > 0 && is_fresh {
                    continue;
                }
                let steps = changes.iter().cloned();
                let steps = steps.map(|change| Step::Change(change, 1)).collect();
                let commit = member.store.commit(steps);
                member.store.sync(commit);
            }
        }
    }

    fn delegate_to_hostile(&mut self, top: usize, hostile: NodeId) {
        let site = site_of(hostile, true, 1);
        let mut value = Value::new(1, "HS_SITE", site.encode());
        value.ttl = Ttl::Relative(30);
        let change = put(&prefix_handle(HOSTILE_PREFIX), &[value]);
        for id in self.groups[self.zones[top].group].members.clone() {
            if let Kind::Member(member) = &mut self.nodes[id].kind {
                let commit = member.store.commit(vec![Step::Change(change.clone(), 1)]);
                member.store.sync(commit);
            }
        }
    }
}

/// The root record.
pub(super) fn root_values(groups: &[Group]) -> Vec<Value> {
    sites(&groups[0], "HS_SITE", 1, 60)
}

/// The values of a zone's prefix record at its parent.
pub(super) fn delegation(zones: &[Zone], groups: &[Group], zone: usize) -> Vec<Value> {
    let group = &groups[zones[zone].group];
    let ttl = zones[zone].delegation_ttl();
    let mut values = sites(group, "HS_SITE", 1, ttl);
    let has_children = zones.iter().any(|other| other.parent == Some(zone));
    if has_children {
        values.extend(sites(group, "HS_SITE.PREFIX", DERIVED_INDEX, ttl));
    }
    values
}

/// One site for each member of a group.
fn sites(group: &Group, kind: &str, first: i32, ttl: i32) -> Vec<Value> {
    let members = (first..).zip(&group.members);
    let values = members.map(|(index, id)| {
        let site = site_of(*id, *id == group.leader, group.serial);
        let mut value = Value::new(index, kind, site.encode());
        value.ttl = Ttl::Relative(ttl);
        value
    });
    values.collect()
}

/// The site of a node: one server, reached by UDP and TCP.
pub(super) fn site_of(node: NodeId, is_primary: bool, serial: u16) -> Site {
    let interface = |protocol| Interface {
        kind: InterfaceKind::BOTH,
        protocol,
        port: PORT.into(),
    };
    let server = Server {
        id: 1,
        address: ip_of(node),
        public_key: Vec::new(),
        interfaces: vec![interface(Protocol::UDP), interface(Protocol::TCP)],
    };
    Site {
        protocol: (2, 11),
        serial,
        flags: match is_primary {
            true => Site::PRIMARY,
            false => 0,
        },
        servers: vec![server],
        ..Site::default()
    }
}

pub(super) fn prefix_handle(prefix: &str) -> Handle {
    Handle::of_prefix(prefix).expect("prefixes here are short and not empty")
}

pub(super) fn put(handle: &Handle, values: &[Value]) -> RecordChange {
    RecordChange::Put {
        handle: handle.clone(),
        values: Writer::to_vec(|w| Values::encode(values, w)),
    }
}

fn pick(random: &mut Random, end: u64) -> usize {
    usize::try_from(random.below(end)).unwrap_or(0)
}
