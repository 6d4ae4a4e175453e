//! The simulated network over many seeds: what must hold, holds; and if it did not, that would be
//! noticed.
//!
//! A seed that fails prints the command that replays it, with everything that happens in it.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests, and the log of a seed"
)]

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use guantong_testkit::net::{Counts, Net, Report, Sabotage, Verbosity};

/// Seeds of the normal test run.
const SEEDS: Range<u64> = 0..400;
/// Seeds of the long run.
const SEEDS_LONG: Range<u64> = 1_000..11_000;
/// Seeds that are run twice.
const SEEDS_TWICE: Range<u64> = 0..40;
/// Seeds within which a mistake that is built in must be noticed.
const SEEDS_SABOTAGE: Range<u64> = 0..300;

/// Runs all seeds, on all processors; their counts, and what failed.
fn run_all(seeds: Range<u64>) -> (Counts, Vec<String>) {
    let next = AtomicU64::new(seeds.start);
    let results = Mutex::new((Counts::default(), Vec::new()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let report = Net::new(seed, Verbosity::Quiet).run();
            let mut results = results.lock().unwrap();
            results.0.add(&report.counts);
            if let Some(failure) = failure(seed, &report) {
                println!("{failure}");
                results.1.push(failure);
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    results.into_inner().unwrap()
}

fn failure(seed: u64, report: &Report) -> Option<String> {
    let first = report.violations.first()?;
    let more = report.violations.len() - 1;
    Some(format!(
        "seed {seed} ({:?}) {first} (and {more} more). To see all that happens:\n  \
         GUANTONG_SEED={seed} cargo test -p guantong-testkit --test net any_seed -- --nocapture",
        report.temper
    ))
}

/// Runs one seed and prints what happens.
fn replay(seed: u64) {
    let report = Net::new(seed, Verbosity::Full).run();
    report.lines.iter().for_each(|line| println!("{line}"));
    println!("{:?}, hash {:016x}", report.counts, report.hash);
    assert!(report.violations.is_empty(), "{:#?}", report.violations);
}

#[test]
fn network_of_any_seed_keeps_its_promises() {
    if let Ok(seed) = std::env::var("GUANTONG_SEED") {
        return replay(seed.parse().expect("GUANTONG_SEED is a number"));
    }
    let (counts, failures) = run_all(SEEDS);
    println!("{counts:?}");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    // All of it has happened, so that all of it was checked.
    for (what, count) in [
        ("fresh answers", counts.fresh),
        ("cached answers", counts.cached),
        ("stale answers", counts.stale),
        ("negative answers", counts.absent),
        ("failures", counts.failed),
        ("forgeries", counts.forged),
        ("writes", counts.done),
        ("refused writes", counts.refused),
        ("promotions", counts.promotions),
        ("mirrors that caught up", counts.equal),
        ("dumps", counts.dumps),
        ("moves", counts.moves),
    ] {
        assert!(count > 50, "{what}: {count}");
    }
}

#[test]
#[ignore = "thousands of seeds take minutes"]
fn network_of_thousands_of_seeds_keeps_its_promises() {
    let (counts, failures) = run_all(SEEDS_LONG);
    println!("{counts:?}");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn same_seed_gives_the_same_events() {
    let mut compared = 0;
    for seed in SEEDS_TWICE {
        let net = Net::new(seed, Verbosity::Quiet);
        if net.is_repeatable() {
            compared += 1;
            let (first, second) = (net.run(), Net::new(seed, Verbosity::Full).run());
            assert_eq!(first.hash, second.hash, "seed {seed}");
        }
    }
    assert!(compared > 10);
}

#[test]
fn mistakes_are_noticed() {
    for sabotage in [
        Sabotage::LeaseIgnored,
        Sabotage::Impatience,
        Sabotage::ConfirmedTooEarly,
        Sabotage::PositionKept,
        Sabotage::AnyMirrorTakesOver,
        Sabotage::ClaimantFollowed,
        Sabotage::CacheTooLong,
        Sabotage::ForgeriesBelieved,
    ] {
        let report = |seed| Net::sabotaged(seed, sabotage, Verbosity::Quiet).run();
        let mut reports = SEEDS_SABOTAGE.map(|seed| (seed, report(seed)));
        let noticed = reports.find(|(_, report)| !report.violations.is_empty());
        let noticed =
            noticed.map(|(seed, report)| format!("seed {seed}: {}", report.violations[0]));
        println!("{sabotage:?}: {noticed:?}");
        assert!(noticed.is_some(), "{sabotage:?}");
    }
}
