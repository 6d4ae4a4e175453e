//! Who serves what: a zone is a prefix with its names, a group is the primary and the mirrors that
//! serve it. A zone can move from one group to another.

use guantong_proto::{Handle, Ttl, Value};

use crate::Random;

use super::node::NodeId;

//----------- Group ----------------------------------------------------------

/// A primary and its mirrors.
pub(super) struct Group {
    pub(super) members: Vec<NodeId>,
    pub(super) manner: Manner,
    /// Who is primary, as far as its operators know.
    pub(super) leader: NodeId,
    /// The epoch in which it became so.
    pub(super) epoch: u64,
    /// Serial of the published sites.
    pub(super) serial: u16,
    /// The mirror that is to be promoted.
    pub(super) promoting: Option<NodeId>,
}

/// How a group is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Mirrors are promoted only with the consent of the primary; a write is done when it is
    /// durable there.
    Plain,
    /// The first two members are each other's standby, with a lease: one is promoted when the
    /// other has died. A write is done when the standby has it.
    Leased,
    /// A mirror is promoted whatever the old primary does; a write is done when it is durable.
    Forced,
}

/// How long leases run.
const LEASE_MS: u64 = 6_000;

impl Manner {
    pub(super) fn of(random: &mut Random) -> Self {
        *random.pick(&[Self::Plain, Self::Leased, Self::Leased, Self::Forced])
    }

    /// How long the leases of its primary run, 0 for none.
    pub(super) fn lease_ms(self) -> u64 {
        match self {
            Self::Leased => LEASE_MS,
            Self::Plain | Self::Forced => 0,
        }
    }
}

impl Group {
    pub(super) fn new(members: Vec<NodeId>, manner: Manner) -> Self {
        let leader = members[0];
        Self {
            members,
            manner,
            leader,
            epoch: 1,
            serial: 1,
            promoting: None,
        }
    }

    /// Which member is the standby while `primary` is primary.
    pub(super) fn standby_of(&self, primary: NodeId) -> Option<NodeId> {
        match (self.manner, self.members.as_slice()) {
            (Manner::Leased, [a, b, ..]) if *a == primary => Some(*b),
            (Manner::Leased, [a, b, ..]) if *b == primary => Some(*a),
            _ => None,
        }
    }

    /// Which members may be promoted. With a lease it is the standby alone: of another mirror the
    /// standby would know nothing, and could be promoted beside it. With force, two mirrors that
    /// know nothing of each other could both be promoted into the same epoch.
    pub(super) fn promotable(&self) -> &[NodeId] {
        match self.manner {
            Manner::Leased | Manner::Forced => &self.members[..self.members.len().min(2)],
            Manner::Plain => &self.members,
        }
    }
}

//----------- Zone -----------------------------------------------------------

/// A prefix with the names below it.
pub(super) struct Zone {
    /// Without `0.NA/`.
    pub(super) prefix: String,
    pub(super) parent: Option<usize>,
    /// The group that serves it.
    pub(super) group: usize,
    /// All groups that have ever served it.
    pub(super) served_by: Vec<usize>,
    /// Names that may have a record.
    pub(super) names: Vec<Handle>,
    /// It is being moved: nobody writes.
    pub(super) is_frozen: bool,
    /// Contents that were made so far: each has its number in it.
    pub(super) versions: u64,
}

impl Zone {
    /// How long its prefix record may be kept, in seconds.
    pub(super) fn delegation_ttl(&self) -> i32 {
        // Short enough that runs see entries end, not the same everywhere.
        10 + 5 * i32::try_from(self.prefix.len()).unwrap_or(1)
    }

    /// Values that no record had before: short ones mostly, some that need several datagrams, some
    /// that are too long for UDP.
    pub(super) fn next_values(&mut self, random: &mut Random) -> Vec<Value> {
        self.versions += 1;
        let text = format!("{} {}", self.prefix, self.versions);
        let len = match random.below(10) {
            0 => 3_000,
            1 | 2 => 900,
            _ => text.len(),
        };
        let long: String = text.chars().chain(" .".chars().cycle()).take(len).collect();
        let ttl = *random.pick(&[0, 1, 3, 8, 20]);
        let kinds = [(1, "URL", long), (2, "EMAIL", text)];
        let values = kinds.map(|(index, kind, data)| {
            let mut value = Value::new(index, kind, data);
            value.ttl = Ttl::Relative(ttl);
            value
        });
        values.into()
    }
}
