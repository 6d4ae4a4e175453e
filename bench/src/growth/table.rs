//! The table: a row for everything that was measured, with what is to be said besides.

use std::fmt::{self, Display};

use crate::round::{Measurement, median, of_row};

/// The rows, in the order in which they are to stand.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    group: &'static str,
    of: String,
    rounds: Vec<Measurement>,
    rest: String,
}

impl Row {
    fn errors(&self) -> u64 {
        self.rounds.iter().map(|one| one.errors).sum()
    }
}

impl Table {
    /// Adds the row of a group, by the name that it was measured under.
    pub(super) fn add(
        &mut self,
        all: &[Measurement],
        group: &'static str,
        of: &str,
        rest: impl Into<String>,
    ) {
        self.rows.push(Row {
            group,
            of: of.to_owned(),
            rounds: of_row(all, group, of).cloned().collect(),
            rest: rest.into(),
        });
    }

    /// Rows with errors, or without any measurement.
    pub(super) fn invalid(&self) -> usize {
        let is_invalid = |row: &&Row| row.errors() > 0 || row.rounds.is_empty();
        self.rows.iter().filter(is_invalid).count()
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<18} {:>8} {:>9} {:>19} {:>7} {:>7} {:>7} {:>6} {:>5} {:>6} {:>6}  besides",
            "what grows, how",
            "to",
            "answers/s",
            "lowest - highest",
            "p50 us",
            "p99 us",
            "user us",
            "system",
            "core",
            "errors",
            "others"
        )?;
        self.rows.iter().try_for_each(|row| writeln!(f, "{row}"))
    }
}

impl Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (group, of, errors) = (self.group, &self.of, self.errors());
        if errors > 0 || self.rounds.is_empty() {
            // Whatever else was measured of it is no figure.
            return write!(f, "{group:<18} {of:>8}   INVALID: {errors} errors");
        }
        let middle = |figure: fn(&Measurement) -> f64| median(self.rounds.iter().map(figure));
        let rates = || self.rounds.iter().map(|one| one.rate);
        let lowest = rates().fold(f64::INFINITY, f64::min);
        let highest = rates().fold(0.0, f64::max);
        // Every process here is ours, so that its time is known.
        let user = middle(|one| one.user_us.unwrap_or(0.0));
        let system = middle(|one| one.system_us.unwrap_or(0.0));
        // Of a second, since microseconds times a rate are millionths.
        let core = middle(|one| {
            (one.user_us.unwrap_or(0.0) + one.system_us.unwrap_or(0.0)) * one.rate / 1e6
        });
        let line = format!(
            "{group:<18} {of:>8} {:>9.0} {:>19} {:>7.0} {:>7.0} {user:>7.2} {system:>6.2} {:>4.0}% \
             {errors:>6} {:>5.0}%  {}",
            middle(|one| one.rate),
            format!("{lowest:.0} - {highest:.0}"),
            middle(|one| one.p50_us),
            middle(|one| one.p99_us),
            core * 100.0,
            middle(|one| one.others) * 100.0,
            self.rest
        );
        f.write_str(line.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::Table;
    use crate::round::Measurement;

    #[test]
    fn row_is_the_middle_of_its_rounds() {
        let rounds = [7_000.0, 1_000.0, 3_000.0].map(|rate| Measurement::sample("udp", "10", rate));
        let mut table = Table::default();
        table.add(&rounds, "udp", "10", "5 octets");
        let text = table.to_string();
        let row = text.lines().nth(1).unwrap();
        let words: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(words[..6], ["udp", "10", "3000", "1000", "-", "7000"]);
        assert!(row.ends_with("5 octets") && table.invalid() == 0, "{row}");
    }

    #[test]
    fn row_with_a_single_error_has_no_figures() {
        let mut rounds = [7_000.0, 1_000.0].map(|rate| Measurement::sample("udp", "10", rate));
        rounds[1].errors = 1;
        let other = Measurement::sample("udp", "20", 500.0);
        let all = [&rounds[..], &[other]].concat();
        let mut table = Table::default();
        for of in ["10", "20", "30"] {
            table.add(&all, "udp", of, "");
        }
        let text = table.to_string();
        assert!(text.contains("INVALID: 1 errors"), "{text}");
        assert!(!text.contains("7000") && text.contains("500"), "{text}");
        assert_eq!(table.invalid(), 2, "one has errors, one was not measured");
    }
}
