//! What is printed: rows as they are measured, verdicts at the end.

use std::fmt::Display;

/// What a figure is to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wanted {
    AtLeast(f64),
    AtMost(f64),
}

/// The rows and the verdicts.
#[derive(Debug, Default)]
pub(super) struct Table {
    verdicts: Vec<String>,
}

impl Table {
    /// Begins a group of rows.
    pub(super) fn begin(&mut self, group: &str) {
        println!("\n{group}");
    }

    /// A figure with its unit, and what else is to be said of it.
    pub(super) fn row(&mut self, what: &str, figure: f64, unit: &str, rest: impl Display) {
        let figure = match figure.abs() {
            large if large >= 100.0 => format!("{figure:.0}"),
            _ => format!("{figure:.3}"),
        };
        println!("  {what:<50} {figure:>11} {unit:<8} {rest}");
    }

    /// Something that was not measured, and why.
    pub(super) fn skip(&mut self, what: &str, why: impl Display) {
        println!("  {what:<50} SKIPPED: {why}");
    }

    /// Judges a figure.
    pub(super) fn judge(&mut self, what: &str, figure: f64, wanted: Wanted) {
        let (sign, bound, is_reached) = match wanted {
            Wanted::AtLeast(bound) => (">=", bound, figure >= bound),
            Wanted::AtMost(bound) => ("<=", bound, figure <= bound),
        };
        let word = if is_reached { "reached" } else { "MISSED" };
        let verdict = format!("  {what:<50} {figure:>11.3} wanted {sign} {bound} {word}");
        self.verdicts.push(verdict);
    }

    /// Prints the verdicts.
    pub(super) fn conclude(&self) {
        println!("\nbeside what is wanted");
        for verdict in &self.verdicts {
            println!("{verdict}");
        }
    }
}
