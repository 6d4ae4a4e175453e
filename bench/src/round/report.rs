//! The table for people.

use std::fmt::Write;

use super::{Measurement, median, of_row};

/// Medians of every row, in the order in which they were measured.
pub fn report(all: &[Measurement]) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{:<16} {:<15} {:>10} {:>21} {:>7} {:>7} {:>7} {:>8} {:>8} {:>6} {:>6}",
        "what",
        "who",
        "answers/s",
        "lowest - highest",
        "p50 us",
        "p99 us",
        "p99.9",
        "user us",
        "system",
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
    let errors: u64 = rounds.iter().map(|one| one.errors).sum();
    format!(
        "{:<16} {:<15} {:>10.0} {:>21} {:>7.0} {:>7.0} {:>7.0} {:>8} {:>8} {:>6} {:>5.0}%",
        row.group,
        row.server,
        middle(&|one| one.rate),
        format!("{lowest:.0} - {highest:.0}"),
        middle(&|one| one.p50_us),
        middle(&|one| one.p99_us),
        middle(&|one| one.p999_us),
        taken(&|one| one.user_us),
        taken(&|one| one.system_us),
        errors,
        middle(&|one| one.others) * 100.0
    )
}
