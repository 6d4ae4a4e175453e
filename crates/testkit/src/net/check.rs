//! What came of a run: what must hold and did not, and how much has happened.

use guantong_core::resolve::{Answer, Freshness, Outcome};

use super::node::{Kind, NodeId};
use super::{Net, Temper};

/// Violations that are told; one is enough to fail.
const TOLD_MAX: usize = 10;
/// Streams of all nodes together at most: more mean that they are forgotten.
const STREAMS_MAX: usize = 2_000;

//----------- Report ---------------------------------------------------------

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    /// What kind of trouble there was.
    pub temper: Temper,
    /// A digest of everything that happened, in its order.
    pub hash: u64,
    /// What must hold and did not.
    pub violations: Vec<String>,
    /// How much has happened.
    pub counts: Counts,
    /// What happened, if that was wanted.
    pub lines: Vec<String>,
}

/// How much has happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Events that were planned.
    pub planned: u64,
    /// Questions that clients asked.
    pub questions: u64,
    /// Requests that resolvers sent.
    pub exchanges: u64,
    /// Answers with values, by where they came from.
    pub fresh: u64,
    /// From a cache.
    pub cached: u64,
    /// From a cache, past their time.
    pub stale: u64,
    /// Answers that something does not exist.
    pub absent: u64,
    /// Questions that failed.
    pub failed: u64,
    /// Writes that were taken.
    pub taken: u64,
    /// Writes of which the writer was told that they are done.
    pub done: u64,
    /// Writes that were refused.
    pub refused: u64,
    /// Mirrors that became primary.
    pub promotions: u64,
    /// Streams after which a mirror was equal to its primary.
    pub equal: u64,
    /// Dumps that mirrors took whole.
    pub dumps: u64,
    /// Prefixes that moved to other servers.
    pub moves: u64,
    /// Replies that were forged.
    pub forged: u64,
}

impl Counts {
    pub(super) fn answered(&mut self, answer: &Answer) {
        let count = match (&answer.outcome, answer.freshness) {
            (Outcome::Failed(_), _) => &mut self.failed,
            (Outcome::NotFound | Outcome::ValuesNotFound, _) => &mut self.absent,
            (_, Freshness::Fresh) => &mut self.fresh,
            (_, Freshness::Cached) => &mut self.cached,
            (_, Freshness::Stale) => &mut self.stale,
        };
        *count += 1;
    }

    /// Adds those of another run.
    pub fn add(&mut self, other: &Self) {
        let Self {
            planned,
            questions,
            exchanges,
            fresh,
            cached,
            stale,
            absent,
            failed,
            taken,
            done,
            refused,
            promotions,
            equal,
            dumps,
            moves,
            forged,
        } = other;
        for (sum, count) in [
            (&mut self.planned, planned),
            (&mut self.questions, questions),
            (&mut self.exchanges, exchanges),
            (&mut self.fresh, fresh),
            (&mut self.cached, cached),
            (&mut self.stale, stale),
            (&mut self.absent, absent),
            (&mut self.failed, failed),
            (&mut self.taken, taken),
            (&mut self.done, done),
            (&mut self.refused, refused),
            (&mut self.promotions, promotions),
            (&mut self.equal, equal),
            (&mut self.dumps, dumps),
            (&mut self.moves, moves),
            (&mut self.forged, forged),
        ] {
            *sum += *count;
        }
    }
}

//----------- Violations -----------------------------------------------------

/// What must hold and did not.
#[derive(Debug, Default)]
pub(super) struct Violations(Vec<String>);

impl Net {
    /// Notes that something does not hold.
    pub(super) fn violated(&mut self, what: std::fmt::Arguments<'_>) {
        self.log.say(self.now, format_args!("VIOLATED: {what}"));
        if self.violations.0.len() < TOLD_MAX {
            self.violations
                .0
                .push(format!("at {} ms: {what}", self.now));
        }
    }

    /// Nothing that others can fill may be over its bound.
    pub(super) fn check_bounds(&mut self, id: NodeId) {
        let Kind::Recursive(recursive) = &self.nodes[id].kind else {
            return;
        };
        let Some(resolver) = &recursive.resolver else {
            return;
        };
        let (figures, pending_max) = (resolver.figures(), resolver.settings().pending_max);
        let (octets, octets_max) = (
            resolver.cache().octets(),
            resolver.cache().settings().octets,
        );
        // Sub-questions have a reserve of their own.
        let walks_max = 2 * pending_max;
        let in_flight_max = walks_max * guantong_core::resolve::limits::IN_FLIGHT_MAX;
        for (what, is, max) in [
            ("walks", figures.walks as u64, walks_max as u64),
            ("in flight", figures.in_flight as u64, in_flight_max as u64),
            ("octets of the cache", octets, octets_max),
            ("streams", self.connections.len() as u64, STREAMS_MAX as u64),
        ] {
            if is > max {
                self.violated(format_args!("{id} has {is} {what}, {max} are allowed"));
            }
        }
    }

    pub(super) fn report(mut self) -> Report {
        let open: usize = self
            .nodes
            .iter()
            .map(|node| match &node.kind {
                Kind::Recursive(recursive) => recursive.open.len(),
                _ => 0,
            })
            .sum();
        if open > 0 {
            self.violated(format_args!("{open} questions were never answered"));
        }
        Report {
            temper: self.plan.temper,
            hash: self.log.hash(),
            violations: self.violations.0,
            counts: self.counts,
            lines: self.log.into_lines(),
        }
    }
}
