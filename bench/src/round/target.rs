//! What must be reached, and whether it is: ratios of rows that were measured in the same rounds.

use std::fmt::Write;

use super::{Measurement, median, of_row, ratio_within_rounds};

/// The node's name in tables.
pub const NODE: &str = "guantong";
/// The least that a server can be.
pub const FLOOR: &str = "floor";
/// What stands in for the floor over HTTP.
pub const AXUM: &str = "axum";
/// The node with two cores, in the group [`UDP_TWO`]; there [`NODE`] has one.
pub const TWO_CORES: &str = "two cores";
/// The node with one core and another like it, in the same group.
pub const TWO_NODES: &str = "two nodes";
/// Datagrams.
pub const UDP: &str = "udp";
/// Datagrams, ten times as many records.
pub const UDP_MANY: &str = "udp many";
/// Datagrams from clients with many sockets.
pub const UDP_TWO: &str = "udp fleet";

/// Figures of the node that are no rows.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Records that everyone had.
    pub records: u32,
    /// Records of the group [`UDP_MANY`].
    pub many: u32,
    /// From the start of the node with `records` to its first answer, in seconds.
    pub start_up_secs: f64,
    /// Whether two cores of the server had two other cores for the clients.
    pub are_cores_apart: bool,
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

/// What is wanted beside servers of the DNS.
fn wanted_dns(records: u32) -> f64 {
    match records >= MANY_RECORDS {
        true => 1.4,
        false => 1.15,
    }
}

fn ratios(facts: Facts) -> Vec<Ratio> {
    use Of::{P99, Rate};
    let (dns, dns_many) = (wanted_dns(facts.records), wanted_dns(facts.many));
    let (tcp, piped, http) = ("tcp 64x1", "tcp 4x64", "http 64x1");
    let net = "Handle.Net";
    let (udp, many) = ((UDP, NODE), (UDP_MANY, NODE));
    vec![
        ratio("UDP / floor", Rate, udp, (UDP, FLOOR), 0.90),
        ratio("UDP / NSD", Rate, udp, (UDP, "NSD"), dns),
        ratio("UDP / Knot", Rate, udp, (UDP, "Knot"), dns),
        ratio("UDP / Handle.Net", Rate, udp, (UDP, net), 4.0),
        ratio("UDP p99 / floor", P99, udp, (UDP, FLOOR), 1.3),
        ratio("UDP many / floor", Rate, many, (UDP_MANY, FLOOR), 0.90),
        ratio("UDP many / NSD", Rate, many, (UDP_MANY, "NSD"), dns_many),
        ratio("UDP many / Knot", Rate, many, (UDP_MANY, "Knot"), dns_many),
        ratio("UDP many / Handle.Net", Rate, many, (UDP_MANY, net), 4.0),
        ratio("TCP / floor", Rate, (tcp, NODE), (tcp, FLOOR), 0.90),
        ratio(
            "TCP pipelined / floor",
            Rate,
            (piped, NODE),
            (piped, FLOOR),
            0.70,
        ),
        ratio("HTTP / axum", Rate, (http, NODE), (http, AXUM), 0.90),
        ratio("HTTP p99 / axum", P99, (http, NODE), (http, AXUM), 1.2),
        ratio("HTTP / Handle.Net", Rate, (http, NODE), (http, net), 5.0),
        ratio("recursive hit / UDP", Rate, (UDP, "recursive"), udp, 0.80),
    ]
}

/// How much more two cores do than one. If the clients share these cores, the rate says nothing;
/// then it is computed from the processor time that one answer takes, which grows when threads
/// hinder each other: beside two nodes that know nothing of each other, on the same cores and asked
/// as much. One node on one core is no measure, since it finds twice as much in each batch.
fn two_cores(all: &[Measurement], are_cores_apart: bool) -> Option<f64> {
    let two = (UDP_TWO, TWO_CORES);
    if are_cores_apart {
        return ratio_within_rounds(all, two, (UDP_TWO, NODE), |one| one.rate);
    }
    let taken = |one: &Measurement| one.user_us.unwrap_or(0.0) + one.system_us.unwrap_or(0.0);
    Some(2.0 * ratio_within_rounds(all, (UDP_TWO, TWO_NODES), two, taken)?)
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
    for ratio in ratios(facts) {
        if let Some(value) = value(all, &ratio) {
            let sign = match ratio.of {
                Of::Rate => ">=",
                Of::P99 => "<=",
            };
            add(ratio.what, value, sign, ratio.wanted, "");
        }
    }
    let users: Vec<f64> = of_row(all, UDP, NODE)
        .filter(|one| one.errors == 0)
        .filter_map(|one| one.user_us)
        .collect();
    if !users.is_empty() {
        add("UDP user time per answer", median(users), "<=", 1.0, "us");
    }
    if let Some(value) = two_cores(all, facts.are_cores_apart) {
        let what = match facts.are_cores_apart {
            true => "two cores / one",
            false => "two cores / one, computed",
        };
        add(what, value, ">=", 1.8, "");
    }
    if facts.records <= 100_000 {
        add("start-up", facts.start_up_secs, "<=", 0.1, "s");
    }
    for one in all.iter().filter(|one| one.errors > 0) {
        let _ = writeln!(
            out,
            "thrown away, {} errors: {} of {} in round {}",
            one.errors,
            one.group,
            one.server,
            one.round + 1
        );
    }
    out
}

/// The median of the ratios within each round; `None` if one of the rows was not measured.
fn value(all: &[Measurement], ratio: &Ratio) -> Option<f64> {
    ratio_within_rounds(all, ratio.row, ratio.to, |one| match ratio.of {
        Of::Rate => one.rate,
        Of::P99 => one.p99_us,
    })
}

#[cfg(test)]
mod tests {
    use super::{Facts, NODE, TWO_CORES, TWO_NODES, UDP_TWO, targets, two_cores};
    use crate::round::Measurement;

    fn one(server: &str, round: usize, rate: f64) -> Measurement {
        Measurement {
            round,
            ..Measurement::sample("udp", server, rate)
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
            many: 100,
            start_up_secs: 0.2,
            are_cores_apart: false,
        };
        let text = targets(&all, facts);
        let line = |what: &str| text.lines().find(|line| line.starts_with(what)).unwrap();
        assert!(line("UDP / floor").contains("0.95") && line("UDP / floor").ends_with("reached"));
        assert!(line("start-up").ends_with("MISSED"));
        assert!(!text.contains("Knot"), "it was not measured");
    }

    #[test]
    fn threads_that_hinder_each_other_lower_what_two_cores_are_worth() {
        let fleet = |server: &str, system_us: f64| Measurement {
            system_us: Some(system_us),
            ..Measurement::sample(UDP_TWO, server, 100.0)
        };
        let all = [
            fleet(NODE, 0.5),
            fleet(TWO_CORES, 1.5),
            fleet(TWO_NODES, 1.0),
        ];
        assert_eq!(two_cores(&all, false), Some(1.5));
        assert_eq!(two_cores(&all, true), Some(1.0));
        assert_eq!(two_cores(&all[..2], false), None);
    }

    #[test]
    fn measurement_with_errors_is_thrown_away() {
        let wrong = Measurement {
            errors: 1,
            ..one("guantong", 1, 900.0)
        };
        let right = one("guantong", 0, 50.0);
        let floors = [one("floor", 0, 100.0), one("floor", 1, 100.0)];
        let all = [&floors[..], &[right, wrong]].concat();
        let facts = Facts {
            records: 10,
            many: 0,
            start_up_secs: 0.0,
            are_cores_apart: true,
        };
        let text = targets(&all, facts);
        assert!(
            text.contains("UDP / floor                      0.50"),
            "{text}"
        );
        assert!(text.contains("thrown away, 1 errors: udp of guantong in round 2"));
    }
}
