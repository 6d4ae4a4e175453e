//! The table for people.

use std::fmt::Write;

use super::{AXUM, FLOOR, Measurement, NODE, median, of_row, ratio_within_rounds};

/// Medians of every row, in the order in which they were measured.
pub fn report(all: &[Measurement]) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{:<12} {:<11} {:>10} {:>21} {:>8} {:>8} {:>6} {:>6} {:>6} {:>7} {:>7} {:>5} {:>6} {:>6}",
        "what",
        "who",
        "answers/s",
        "lowest - highest",
        "to floor",
        "node to",
        "p50 us",
        "p99 us",
        "p99.9",
        "user us",
        "system",
        "core",
        "errors",
        "others"
    );
    for first in all.iter().filter(|one| one.round == 0) {
        let _ = writeln!(out, "{}", line(all, first));
    }
    out
}

fn line(all: &[Measurement], row: &Measurement) -> String {
    let rounds: Vec<_> = of_row(all, row.group, &row.server).collect();
    let middle = |of: &dyn Fn(&Measurement) -> f64| median(rounds.iter().map(|one| of(one)));
    let rates = || rounds.iter().map(|one| one.rate);
    let lowest = rates().fold(f64::INFINITY, f64::min);
    let highest = rates().fold(0.0, f64::max);
    let taken = |of: &dyn Fn(&Measurement) -> Option<f64>| match of(row) {
        None => "-".to_owned(),
        Some(_) => format!("{:.2}", middle(&|one| of(one).unwrap_or(0.0))),
    };
    // Of a second, since microseconds times a rate are millionths.
    let share = |one: &Measurement| Some((one.user_us? + one.system_us?) * one.rate / 1e6);
    let busy = share(row).map_or("-".to_owned(), |_| {
        let share = middle(&|one| share(one).unwrap_or(0.0));
        format!("{:.0}%", share * 100.0)
    });
    let errors: u64 = rounds.iter().map(|one| one.errors).sum();
    let ratio = |one: &str, to: &str| {
        let (one, to) = ((row.group, one), (row.group, to));
        let ratio = ratio_within_rounds(all, one, to, |one| one.rate);
        ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"))
    };
    let floor = match of_row(all, row.group, FLOOR).next() {
        Some(_) => FLOOR,
        None => AXUM,
    };
    format!(
        "{:<12} {:<11} {:>10.0} {:>21} {:>8} {:>8} {:>6.0} {:>6.0} {:>6.0} \
         {:>7} {:>7} {:>5} {:>6} {:>5.0}%",
        row.group,
        row.server,
        middle(&|one| one.rate),
        format!("{lowest:.0} - {highest:.0}"),
        ratio(&row.server, floor),
        ratio(NODE, &row.server),
        middle(&|one| one.p50_us),
        middle(&|one| one.p99_us),
        middle(&|one| one.p999_us),
        taken(&|one| one.user_us),
        taken(&|one| one.system_us),
        busy,
        errors,
        middle(&|one| one.others) * 100.0
    )
}
