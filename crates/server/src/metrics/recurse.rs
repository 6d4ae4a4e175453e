//! Figures of the resolver, as it counts them itself.

use guantong_core::resolve::{ExchangeFigures, Figures};

use super::{Samples, Transport};
use crate::recurse::VERDICTS;

/// What is known of recursion when figures are exported.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecurseSnapshot {
    /// What the resolver counts.
    pub figures: Figures,
    /// Answers in the cache.
    pub cache_entries: usize,
    /// Octets of them.
    pub cache_octets: u64,
    /// Records that were judged, in the order of [`VERDICTS`].
    pub judged: [u64; 4],
}

/// Writes the samples of one family, named without its prefix.
pub(super) fn samples(s: &mut Samples<'_>, name: &str, snapshot: &RecurseSnapshot) {
    let figures = &snapshot.figures;
    match name {
        "recurse_questions_total" => s.plain(figures.questions),
        "recurse_questions_without_servers_total" => {
            s.with(&[("by", "coalesced")], figures.coalesced);
            s.with(&[("by", "cached")], figures.cached);
            s.with(&[("by", "stale")], figures.stale);
        }
        "recurse_failures_total" => {
            s.with(&[("reason", "failed")], figures.failed);
            s.with(&[("reason", "busy")], figures.refused);
        }
        "recurse_exchanges_total" => {
            for (via, exchanges) in Transport::ALL.iter().zip(&figures.exchanges) {
                exchange_samples(s, *via, exchanges);
            }
        }
        "recurse_steps_total" => {
            for (step, count) in [
                ("retry", figures.retries),
                ("hedge", figures.hedges),
                ("hedge_won", figures.hedges_won),
                ("referral", figures.referrals),
                ("refresh", figures.refreshes),
                ("loop_cut", figures.loops),
            ] {
                s.with(&[("step", step)], count);
            }
        }
        "recurse_replies_dropped_total" => {
            s.with(&[("reason", "unknown")], figures.dropped_unknown);
            s.with(&[("reason", "mismatched")], figures.dropped_mismatched);
        }
        "recurse_records_judged_total" => {
            for (verdict, count) in VERDICTS.iter().zip(snapshot.judged) {
                s.with(&[("verdict", verdict)], count);
            }
        }
        "recurse_under_way" => {
            s.with(&[("what", "questions")], figures.walks);
            s.with(&[("what", "exchanges")], figures.in_flight);
        }
        "recurse_cache_entries" => s.plain(snapshot.cache_entries),
        "recurse_cache_bytes" => s.plain(snapshot.cache_octets),
        _ => {}
    }
}

fn exchange_samples(s: &mut Samples<'_>, via: Transport, exchanges: &ExchangeFigures) {
    for (result, count) in [
        ("answered", exchanges.answered),
        ("silent", exchanges.silent),
        ("failed", exchanges.failed),
        ("abandoned", exchanges.abandoned),
    ] {
        s.with(&[("transport", via.name()), ("result", result)], count);
    }
}
