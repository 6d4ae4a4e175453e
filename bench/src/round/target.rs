//! What must be reached, and whether it is: ratios of rows that were measured in the same rounds.

use std::fmt::Write;

use super::{Measurement, median, of_row};

/// The node's name in tables.
pub const NODE: &str = "guantong";

/// Figures of the node that are no rows.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Records that everyone had.
    pub records: u32,
    /// From the start of the node to its first answer, in seconds.
    pub start_up_secs: f64,
    /// Its resident set after all rounds, in MB.
    pub resident_mb: f64,
}

/// What is compared.
#[derive(Clone, Copy)]
enum Of {
    Rate,
    P99,
}

/// Two rows and the ratio that is wanted of them.
struct Ratio {
    what: &'static str,
    of: Of,
    row: (&'static str, &'static str),
    to: (&'static str, &'static str),
    wanted: f64,
}

const fn ratio(
    what: &'static str,
    of: Of,
    row: (&'static str, &'static str),
    to: (&'static str, &'static str),
    wanted: f64,
) -> Ratio {
    Ratio {
        what,
        of,
        row,
        to,
        wanted,
    }
}

/// From so many records on, more is wanted beside servers of the DNS.
const MANY_RECORDS: u32 = 1_000_000;

fn ratios(records: u32) -> Vec<Ratio> {
    let dns = match records >= MANY_RECORDS {
        true => 1.4,
        false => 1.15,
    };
    let (udp, tcp, piped, http) = ("udp", "tcp 64x1", "tcp 4x64", "http 64x1");
    vec![
        ratio("UDP / floor", Of::Rate, (udp, NODE), (udp, "floor"), 0.90),
        ratio("UDP / NSD", Of::Rate, (udp, NODE), (udp, "NSD"), dns),
        ratio("UDP / Knot", Of::Rate, (udp, NODE), (udp, "Knot"), dns),
        ratio(
            "UDP / Handle.Net",
            Of::Rate,
            (udp, NODE),
            (udp, "Handle.Net"),
            4.0,
        ),
        ratio("UDP p99 / floor", Of::P99, (udp, NODE), (udp, "floor"), 1.3),
        ratio("TCP / floor", Of::Rate, (tcp, NODE), (tcp, "floor"), 0.90),
        ratio(
            "TCP pipelined / floor",
            Of::Rate,
            (piped, NODE),
            (piped, "floor"),
            0.70,
        ),
        ratio("HTTP / axum", Of::Rate, (http, NODE), (http, "axum"), 0.90),
        ratio(
            "HTTP p99 / axum",
            Of::P99,
            (http, NODE),
            (http, "axum"),
            1.2,
        ),
        ratio(
            "HTTP / Handle.Net",
            Of::Rate,
            (http, NODE),
            (http, "Handle.Net"),
            5.0,
        ),
        ratio(
            "recursive hit / UDP",
            Of::Rate,
            (udp, "recursive"),
            (udp, NODE),
            0.80,
        ),
    ]
}

/// Every target that can be judged by what was measured, a line each.
pub fn targets(all: &[Measurement], facts: Facts) -> String {
    let mut out = String::new();
    let mut add = |what: &str, value: f64, sign: &str, wanted: f64, unit: &str| {
        let is_reached = match sign {
            ">=" => value >= wanted,
            _ => value <= wanted,
        };
        let word = if is_reached { "reached" } else { "MISSED" };
        let _ = writeln!(
            out,
            "{what:<28} {value:>8.2} {unit:<3} wanted {sign} {wanted:<5} {word}"
        );
    };
    for ratio in ratios(facts.records) {
        if let Some(value) = value(all, &ratio) {
            let sign = match ratio.of {
                Of::Rate => ">=",
                Of::P99 => "<=",
            };
            add(ratio.what, value, sign, ratio.wanted, "");
        }
    }
    let users = of_row(all, "udp", NODE).filter_map(|one| one.user_us);
    add("UDP user time per answer", median(users), "<=", 1.0, "us");
    if facts.records <= 100_000 {
        add("start-up", facts.start_up_secs, "<=", 0.1, "s");
    }
    let _ = writeln!(
        out,
        "{:<28} {:>8.0} MB  with every record in the cache",
        "resident set", facts.resident_mb
    );
    out
}

/// The median of the ratios within each round; `None` if one of the rows was not measured.
fn value(all: &[Measurement], ratio: &Ratio) -> Option<f64> {
    let figure = |one: &Measurement| match ratio.of {
        Of::Rate => one.rate,
        Of::P99 => one.p99_us,
    };
    let pairs = of_row(all, ratio.row.0, ratio.row.1).filter_map(|one| {
        let mut others = of_row(all, ratio.to.0, ratio.to.1);
        let other = others.find(|other| other.round == one.round)?;
        Some(figure(one) / figure(other))
    });
    let pairs: Vec<f64> = pairs.collect();
    (!pairs.is_empty()).then(|| median(pairs))
}

#[cfg(test)]
mod tests {
    use super::{Facts, targets};
    use crate::round::Measurement;

    fn one(server: &str, round: usize, rate: f64) -> Measurement {
        Measurement {
            group: "udp",
            server: server.to_owned(),
            round,
            rate,
            p50_us: 1.0,
            p99_us: 2.0,
            p999_us: 3.0,
            errors: 0,
            user_us: Some(0.5),
            system_us: Some(1.0),
            others: 0.0,
        }
    }

    #[test]
    fn ratio_is_that_of_the_same_round() {
        // The machine was three times as slow in the second round; the medians of the rates alone
        // would say 0.33.
        let all = [
            one("floor", 0, 300.0),
            one("guantong", 0, 285.0),
            one("floor", 1, 100.0),
            one("guantong", 1, 95.0),
            one("floor", 2, 300.0),
            one("guantong", 2, 95.0),
        ];
        let facts = Facts {
            records: 10,
            start_up_secs: 0.2,
            resident_mb: 1.0,
        };
        let text = targets(&all, facts);
        let line = |what: &str| text.lines().find(|line| line.starts_with(what)).unwrap();
        assert!(line("UDP / floor").contains("0.95") && line("UDP / floor").ends_with("reached"));
        assert!(line("start-up").ends_with("MISSED"));
        assert!(!text.contains("Knot"), "it was not measured");
    }
}
