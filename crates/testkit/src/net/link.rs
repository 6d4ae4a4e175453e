//! What the network does to octets: delay, loss, duplication, reordering, damage, partitions.

use std::collections::{BTreeMap, BTreeSet};

use crate::Random;

use super::node::NodeId;

/// Octets of a message that can be damaged: envelope, header and digest. What lies behind is
/// covered by nothing but the checksum of UDP, so damage there would be a forgery that nobody can
/// notice.
const DAMAGED_LEN_MAX: u64 = 64;
/// The same of a message that is cut into several datagrams: not even its numbers are covered.
const DAMAGED_PIECE_LEN_MAX: u64 = 12;
/// The bit, in octet 2, of such a message.
const IS_PIECE: u8 = 0x20;

//----------- Weather --------------------------------------------------------

/// How bad the links are, in parts of a thousand and milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weather {
    pub(super) loss: u64,
    pub(super) duplication: u64,
    pub(super) damage: u64,
    pub(super) jitter_ms: u64,
    /// Datagrams that take much longer than others, and so are overtaken.
    pub(super) detours: u64,
    pub(super) detour_ms: u64,
    /// Streams that break in the middle.
    pub(super) cuts: u64,
}

//----------- Links ----------------------------------------------------------

/// All links, one for each ordered pair of nodes.
#[derive(Debug)]
pub(super) struct Links {
    pub(super) weather: Weather,
    seed: u64,
    /// Ways that are cut, with the number of partitions that cut them.
    cut: BTreeMap<(NodeId, NodeId), u32>,
    /// Ways on which a firewall drops datagrams.
    without_udp: BTreeSet<(NodeId, NodeId)>,
}

impl Links {
    pub(super) fn new(weather: Weather, seed: u64) -> Self {
        Self {
            weather,
            seed,
            cut: BTreeMap::new(),
            without_udp: BTreeSet::new(),
        }
    }

    /// Milliseconds that the way takes at least, the same each time and in both directions.
    pub(super) fn base_ms(&self, a: NodeId, b: NodeId) -> u64 {
        let pair = (a.min(b) as u64) << 32 | a.max(b) as u64;
        1 + Random::new(self.seed ^ pair).below(40)
    }

    /// Milliseconds that something takes now.
    pub(super) fn delay_ms(&self, from: NodeId, to: NodeId, random: &mut Random) -> u64 {
        let detour = match random.below(1_000) < self.weather.detours {
            true => random.below(self.weather.detour_ms),
            false => 0,
        };
        self.base_ms(from, to) + random.below(self.weather.jitter_ms + 1) + detour
    }

    /// When a datagram arrives, once for each copy; empty if it is lost.
    pub(super) fn arrivals(&self, from: NodeId, to: NodeId, random: &mut Random) -> Vec<u64> {
        if self.is_cut(from, to) || self.without_udp.contains(&(from, to)) {
            return Vec::new();
        }
        let mut arrivals = Vec::new();
        let copies = 1 + u64::from(random.below(1_000) < self.weather.duplication);
        for _ in 0..copies {
            if random.below(1_000) >= self.weather.loss {
                arrivals.push(self.delay_ms(from, to, random));
            }
        }
        arrivals
    }

    /// Damages a datagram, rarely.
    pub(super) fn damage(&self, datagram: &mut Vec<u8>, random: &mut Random) {
        if random.below(1_000) >= self.weather.damage || datagram.is_empty() {
            return;
        }
        let is_piece = datagram.get(2).is_some_and(|flags| flags & IS_PIECE != 0);
        let end = match is_piece {
            true => DAMAGED_PIECE_LEN_MAX,
            false => DAMAGED_LEN_MAX,
        };
        let at = random.below(end.min(datagram.len() as u64));
        let at = usize::try_from(at).unwrap_or(0);
        match random.chance(20) {
            true => datagram.truncate(at),
            false => datagram[at] ^= 1 << random.below(8),
        }
    }

    /// Whether a stream breaks in the middle.
    pub(super) fn cuts_stream(&self, random: &mut Random) -> bool {
        random.below(1_000) < self.weather.cuts
    }

    pub(super) fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.cut.contains_key(&(from, to))
    }

    /// Whether a stream can be: it needs both ways.
    pub(super) fn is_cut_either_way(&self, a: NodeId, b: NodeId) -> bool {
        self.is_cut(a, b) || self.is_cut(b, a)
    }

    pub(super) fn cut(&mut self, way: (NodeId, NodeId)) {
        *self.cut.entry(way).or_default() += 1;
    }

    pub(super) fn mend(&mut self, way: (NodeId, NodeId)) {
        if let Some(count) = self.cut.get_mut(&way) {
            *count -= 1;
            if *count == 0 {
                self.cut.remove(&way);
            }
        }
    }

    /// Lets a firewall drop datagrams.
    pub(super) fn close_udp(&mut self, way: (NodeId, NodeId)) {
        self.without_udp.insert(way);
    }

    /// Ends all faults.
    pub(super) fn calm(&mut self) {
        self.weather = Weather {
            jitter_ms: self.weather.jitter_ms.min(5),
            ..Weather::default()
        };
        self.cut.clear();
        self.without_udp.clear();
    }
}
