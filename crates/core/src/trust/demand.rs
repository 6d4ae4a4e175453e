//! What is demanded of a record before it is believed, and what follows from a report.

use super::policy::Policy;
use super::verify::{Fault, Proof, Report, Verdict};

/// Most characters of a reason that are kept: it quotes names that strangers have written.
const REASON_CHARS_MAX: usize = 500;

//----------- Demand ---------------------------------------------------------

/// What is demanded of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// A record that is signed must be signed rightly.
    IfSigned,
    /// Every record must be signed, and rightly.
    Required,
}

/// Which roots are believed, and what is demanded.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Which roots are believed.
    pub policy: Policy,
    /// What is demanded.
    pub demand: Demand,
}

impl Demand {
    /// What a record that passes is believed for: who has signed it, or `None` if nobody has and
    /// nobody had to. One of which it could not be found out does not pass, or whoever can keep a
    /// certificate from us could do without any.
    pub fn admit(self, report: &Report) -> Result<Option<&Proof>, Refusal> {
        match (report.verdict(), self) {
            (Verdict::Verified(proof), _) => Ok(Some(proof)),
            (Verdict::Unsigned, Self::IfSigned) => Ok(None),
            (Verdict::Unsigned, Self::Required) => Err(Refusal::Unsigned),
            (Verdict::Refused(fault), _) => Err(Refusal::Wrong(reason(fault))),
            (Verdict::Unknown(fault), _) => Err(Refusal::Undecided(reason(fault))),
        }
    }
}

fn reason(fault: &Fault) -> Box<str> {
    let text = fault.to_string();
    let kept: String = text.chars().take(REASON_CHARS_MAX).collect();
    kept.into()
}

//----------- Refusal --------------------------------------------------------

/// Why a record is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It had to be signed.
    #[error("it is not signed, so nothing shows that these values are its owner's")]
    Unsigned,
    /// None of its signatures holds.
    #[error("it is not what its owner has signed: {0}")]
    Wrong(Box<str>),
    /// What is needed to judge it could not be had.
    #[error("whether it is what its owner has signed could not be found out: {0}")]
    Undecided(Box<str>),
    /// The values that were asked for are not those of the record that was judged.
    #[error("it changed between two questions: ask again")]
    Changed,
}
