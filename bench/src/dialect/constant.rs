//! Answers that hold no record: the question itself, or always the same text.

use super::{Dialect, Verdict};
use crate::corpus::Table;

//----------- Echo -----------------------------------------------------------

/// The question comes back as it was sent.
#[derive(Debug)]
pub struct Echo {
    questions: Table,
}

impl Echo {
    /// Number, name and padding of `len` octets, at least 12, for records 0 to `count`.
    pub fn new(count: u32, len: usize) -> Self {
        let make = |n: u32| {
            let mut question = vec![0; len.max(12)];
            question[4..12].copy_from_slice(&u64::from(n).to_be_bytes());
            question
        };
        Self {
            questions: Table::new(count, make),
        }
    }
}

impl Dialect for Echo {
    fn ask(&self, n: u32, id: u32, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(self.questions.piece(n));
        out[start..start + 4].copy_from_slice(&id.to_be_bytes());
    }

    fn id_bits(&self) -> u32 {
        32
    }

    fn id(&self, datagram: &[u8]) -> Option<u32> {
        let octets = datagram.get(..4)?;
        Some(u32::from_be_bytes(octets.try_into().ok()?))
    }

    fn judge(&self, n: u32, id: u32, octets: &[u8]) -> Verdict {
        let asked = self.questions.piece(n);
        let Some(back) = octets.get(..asked.len()) else {
            return Verdict::Incomplete;
        };
        match self.id(back) == Some(id) && back[4..] == asked[4..] {
            true => Verdict::Right(back.len()),
            false => Verdict::Wrong,
        }
    }
}

//----------- Fixed ----------------------------------------------------------

/// HTTP with the same answer for every path: what a framework does when nothing is to be done.
#[derive(Debug)]
pub struct Fixed {
    questions: Table,
}

/// The answer's body.
pub const FIXED_BODY: &str = "ok";

impl Fixed {
    /// The same paths as for records 0 to `count`.
    pub fn new(count: u32) -> Self {
        Self {
            questions: Table::new(count, super::http::question),
        }
    }
}

impl Dialect for Fixed {
    fn ask(&self, n: u32, _: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(self.questions.piece(n));
    }

    fn id_bits(&self) -> u32 {
        0
    }

    fn id(&self, _: &[u8]) -> Option<u32> {
        None
    }

    fn judge(&self, _: u32, _: u32, octets: &[u8]) -> Verdict {
        super::http::judge(octets, |body| body == FIXED_BODY.as_bytes())
    }
}
