//! The JSON form of an `OBSERVATION` value: one figure of a time series and where it comes from.
//!
//! A record that describes a quantity holds one such value per figure. The record page draws a
//! chart from them; other programs read the same text through the Handle JSON form.

use serde::{Deserialize, Serialize};

/// The type of values that hold an [`Observation`].
pub const OBSERVATION_TYPE: &str = "OBSERVATION";

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// First day of the period, inclusive, as `2024-01-01`; absent for a state at a date.
    pub period_start: Option<String>,
    /// Last day of the period, or the date itself; absent if nobody said.
    pub period_end: Option<String>,
    /// Whether the period is not said of this very figure.
    #[serde(default)]
    pub period_inferred: bool,
    /// The figure in base units; percent as percent.
    pub value: serde_json::Number,
    /// What the number counts: `percent`, `CNY`, `station`.
    pub unit: String,
    /// How the number bounds the figure.
    #[serde(default)]
    pub bound: Bound,
    /// What sort of figure it is: `stock`, `flow`, `growth`, `share`, `target`, `rank`.
    #[serde(default)]
    pub kind: Option<String>,
    /// The document it was taken from.
    #[serde(default)]
    pub source: Option<String>,
    /// The date of that document.
    #[serde(default)]
    pub date: Option<String>,
    /// Who said it.
    #[serde(default)]
    pub speaker: Option<String>,
    /// The words of the source.
    #[serde(default)]
    pub quote: Option<String>,
    /// What a reader must know.
    #[serde(default)]
    pub note: Option<String>,
}

/// How the number bounds the figure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// The figure itself.
    #[default]
    Exact,
    /// The figure is higher, or at least as high.
    Over,
    /// The figure is a little lower.
    Under,
    /// The figure is close to it.
    About,
}
