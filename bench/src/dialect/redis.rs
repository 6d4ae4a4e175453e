//! GET of Redis: the record in wire form under its handle.
//!
//! The answer is known in full beforehand, so it is compared and not decoded.

use super::{Dialect, Verdict};
use crate::corpus::{self, Table};

/// `GET handle`.
#[derive(Debug)]
pub struct Redis {
    questions: Table,
    answers: Table,
}

impl Redis {
    /// Questions for records 0 to `count`.
    pub fn new(count: u32) -> Self {
        Self {
            questions: Table::new(count, |n| command(&[b"GET", corpus::handle(n).as_bytes()])),
            answers: Table::new(count, |n| bulk(&corpus::wire(n))),
        }
    }
}

impl Dialect for Redis {
    fn ask(&self, n: u32, _: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(self.questions.piece(n));
    }

    fn id_bits(&self) -> u32 {
        0
    }

    fn id(&self, _: &[u8]) -> Option<u32> {
        None
    }

    fn judge(&self, n: u32, _: u32, octets: &[u8]) -> Verdict {
        let answer = self.answers.piece(n);
        let len = answer.len().min(octets.len());
        match octets[..len] == answer[..len] {
            false => Verdict::Wrong,
            true if len < answer.len() => Verdict::Incomplete,
            true => Verdict::Right(len),
        }
    }
}

/// The command that stores record `n`.
pub fn set(n: u32) -> Vec<u8> {
    command(&[b"SET", corpus::handle(n).as_bytes(), &corpus::wire(n)])
}

fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend_from_slice(&bulk(word));
    }
    out
}

fn bulk(octets: &[u8]) -> Vec<u8> {
    let mut out = format!("${}\r\n", octets.len()).into_bytes();
    out.extend_from_slice(octets);
    out.extend_from_slice(b"\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::{Redis, bulk};
    use crate::corpus;
    use crate::dialect::{Dialect, Verdict};

    #[test]
    fn nothing_and_another_record_are_wrong() {
        let dialect = Redis::new(3);
        assert_eq!(dialect.judge(1, 0, b"$-1\r\n"), Verdict::Wrong);
        assert_eq!(dialect.judge(1, 0, &bulk(&corpus::wire(2))), Verdict::Wrong);
        let right = bulk(&corpus::wire(1));
        assert_eq!(dialect.judge(1, 0, &right), Verdict::Right(right.len()));
        assert_eq!(dialect.judge(1, 0, &right[..9]), Verdict::Incomplete);
    }
}
