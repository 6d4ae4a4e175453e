//! What a seed decides before anything happens: how large the network is, how bad the weather is,
//! and which faults and changes there are.

use crate::Random;

use super::link::Weather;

/// How long questions are asked and faults happen.
const TURBULENT_MS: u64 = 60_000;
/// How long everything has to heal: longer than the longest wait of a mirror, than the longest life
/// of an entry, and than the stale answers that follow a failure, together.
const HEALING_MS: u64 = 120_000;

//----------- Temper ---------------------------------------------------------

/// What kind of trouble there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temper {
    /// None: every question must be answered.
    Calm,
    /// Datagrams are lost, late, doubled and damaged; streams break.
    Lossy,
    /// Nodes cannot reach each other for a while, in one direction or in both.
    Cut,
    /// Processes die and come back.
    Crashing,
    /// All of it.
    Storm,
}

//----------- Plan -----------------------------------------------------------

/// Everything that a seed decides beforehand.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) temper: Temper,
    pub(super) weather: Weather,
    pub(super) turbulent_ms: u64,
    pub(super) healing_ms: u64,
    /// Nodes of the top level, one primary and its mirrors.
    pub(super) tops: usize,
    pub(super) seconds: usize,
    pub(super) enterprises: usize,
    pub(super) recursives: usize,
    pub(super) has_hostile: bool,
    /// Questions of each recursive node's clients.
    pub(super) questions: u64,
    pub(super) writes: u64,
    /// Crashes and partitions.
    pub(super) crashes: u64,
    pub(super) partitions: u64,
    /// Times that a whole group dies in the middle of writes.
    pub(super) power_losses: u64,
    /// Times that a primary and its standby are cut off from each other.
    pub(super) splits: u64,
    pub(super) clock_jumps: u64,
    pub(super) promotions: u64,
    pub(super) moves: u64,
    /// Octets that the cache of a recursive node may take.
    pub(super) cache_octets: u64,
    /// Questions that a recursive node takes at a time.
    pub(super) pending_max: usize,
    /// Changes that a log keeps.
    pub(super) log_max: usize,
    /// Changes in one answer to a mirror.
    pub(super) window: u64,
    /// Changes that a mirror writes at a time.
    pub(super) portion: usize,
}

/// Largest cache of which nothing is ever driven out in a run. What a full cache keeps depends on
/// the process's keyed hashing, so only runs with roomy caches are alike to the last event.
pub(super) const ROOMY_OCTETS: u64 = 64 * 1024 * 1024;

impl Plan {
    pub(super) fn of(random: &mut Random) -> Self {
        let temper = *random.pick(&[
            Temper::Calm,
            Temper::Lossy,
            Temper::Cut,
            Temper::Crashing,
            Temper::Storm,
            Temper::Storm,
        ]);
        let (cuts, crashes) = match temper {
            Temper::Calm | Temper::Lossy => (0, 0),
            Temper::Cut => (2 + random.below(6), 0),
            Temper::Crashing => (0, 2 + random.below(6)),
            Temper::Storm => (1 + random.below(6), 1 + random.below(6)),
        };
        let troubled = u64::from(temper != Temper::Calm);
        Self {
            temper,
            weather: weather(temper, random),
            turbulent_ms: TURBULENT_MS,
            healing_ms: HEALING_MS,
            tops: *random.pick(&[2, 3, 7]),
            seconds: 1 + pick(random, 2),
            enterprises: 2 + pick(random, 3),
            recursives: 2 + pick(random, 2),
            has_hostile: random.chance(50),
            questions: 30 + random.below(50),
            writes: 20 + random.below(60),
            crashes,
            partitions: cuts,
            power_losses: match crashes {
                0 => 0,
                _ => random.below(4),
            },
            splits: match cuts {
                0 => 0,
                _ => random.below(4),
            },
            clock_jumps: troubled * random.below(4),
            promotions: random.below(4),
            moves: random.below(2),
            cache_octets: *random.pick(&[ROOMY_OCTETS, ROOMY_OCTETS, ROOMY_OCTETS, 16 * 1024]),
            pending_max: *random.pick(&[10_000, 10_000, 10_000, 4]),
            log_max: *random.pick(&[10_000, 10_000, 12]),
            window: *random.pick(&[10_000, 10_000, 3]),
            portion: *random.pick(&[2_000, 2]),
        }
    }

    /// Whether every question must be answered.
    pub(super) fn is_calm(&self) -> bool {
        self.temper == Temper::Calm && self.pending_max > 1_000
    }

    /// Whether two runs must be alike to the last event.
    pub(super) fn is_repeatable(&self) -> bool {
        self.cache_octets >= ROOMY_OCTETS
    }
}

fn pick(random: &mut Random, end: u64) -> usize {
    usize::try_from(random.below(end)).unwrap_or(0)
}

fn weather(temper: Temper, random: &mut Random) -> Weather {
    match temper {
        Temper::Calm => Weather {
            jitter_ms: 5,
            ..Weather::default()
        },
        Temper::Cut | Temper::Crashing => Weather {
            jitter_ms: random.below(30),
            loss: random.below(20),
            ..Weather::default()
        },
        Temper::Lossy | Temper::Storm => Weather {
            loss: random.below(250),
            duplication: random.below(100),
            damage: random.below(30),
            jitter_ms: random.below(200),
            detours: random.below(100),
            detour_ms: 1_500,
            cuts: random.below(150),
        },
    }
}
