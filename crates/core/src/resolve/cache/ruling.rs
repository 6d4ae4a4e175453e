//! What the signatures of an entry are worth, kept with it so that a hit costs nothing extra.

use super::super::time::{Now, Tick};
use crate::trust::{CLOCK_SKEW_SECS, Demand, Refusal, Report};

/// Seconds for which a refusal is kept, so that a name that is asked for often is not judged anew
/// each time; then its record is fetched again.
const REFUSED_SECS: u32 = 30;
/// The same where it could not be found out.
const UNDECIDED_SECS: u32 = 5;

//----------- Ruling ---------------------------------------------------------

/// What was found out about the record of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    worth: Worth,
    /// Until then the records that it rests on may be used.
    pub(super) holds_until: Tick,
    /// The second of the wall clock at which it ends whatever these say.
    pub(super) ends_secs: u32,
}

/// What a record is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Worth {
    /// Its owner has signed it.
    Signed {
        /// The key: `index:handle`.
        signer: Box<str>,
        /// When that ends, in seconds since 1970. `None`: never by itself.
        until: Option<i64>,
    },
    /// Nobody has signed it, and nobody had to.
    Unsigned,
    /// It is not given on.
    Refused(Refusal),
}

impl Ruling {
    /// What follows from `report` at `now`, if the records that it rests on may be used until
    /// `holds_until`.
    pub(crate) fn of(report: &Report, demand: Demand, holds_until: Tick, now: Now) -> Self {
        match demand.admit(report) {
            Ok(Some(proof)) => Self {
                ends_secs: proof.until.map_or(u32::MAX, end_of),
                worth: Worth::Signed {
                    signer: proof.signer.as_str().into(),
                    until: proof.until,
                },
                holds_until,
            },
            Ok(None) => Self {
                worth: Worth::Unsigned,
                holds_until: Tick(u64::MAX),
                ends_secs: u32::MAX,
            },
            Err(refusal) => Self::refused(refusal, now),
        }
    }

    fn refused(refusal: Refusal, now: Now) -> Self {
        let secs = match refusal {
            Refusal::Undecided(_) => UNDECIDED_SECS,
            _ => REFUSED_SECS,
        };
        Self {
            worth: Worth::Refused(refusal),
            holds_until: now.tick + u64::from(secs) * 1_000,
            ends_secs: now.secs.saturating_add(secs),
        }
    }

    /// Whether it still holds.
    pub(super) fn holds(&self, now: Now) -> bool {
        self.holds_until > now.tick && self.ends_secs > now.secs
    }

    /// Whether the record is given on.
    pub fn is_admitted(&self) -> bool {
        !matches!(self.worth, Worth::Refused(_))
    }

    /// What the record is worth.
    pub fn worth(&self) -> &Worth {
        &self.worth
    }
}

/// The second at which what ends at `until` counts as ended everywhere here: clocks may differ.
fn end_of(until: i64) -> u32 {
    let end = until.saturating_add(CLOCK_SKEW_SECS).max(0);
    u32::try_from(end).unwrap_or(u32::MAX)
}
