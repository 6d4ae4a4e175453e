//! Answers in memory, found by one look-up in a hash table: what every server of records must do.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::corpus::{self, Table};
use crate::dialect::answer_packet;

/// Where the request id stands in a packet.
const ID: std::ops::Range<usize> = 8..12;
/// Where the length of the message stands in an envelope.
const MESSAGE_LEN: std::ops::Range<usize> = 16..20;
const ENVELOPE_LEN: usize = 20;
/// Where the length of the handle stands in a request to resolve, the handle behind it.
const HANDLE_LEN: std::ops::Range<usize> = 44..48;

/// All answers, whole.
pub(super) struct Answers {
    handles: Table,
    packets: Table,
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Answers {
    /// The answers of records 0 to `count`.
    pub(super) fn new(count: u32) -> Self {
        let handles = Table::new(count, |n| corpus::handle(n).into_bytes());
        let packets = Table::new(count, answer_packet);
        let hasher = DefaultHashBuilder::default();
        let mut numbers = HashTable::with_capacity(count as usize);
        for n in 0..count {
            let hash = |n: &u32| hasher.hash_one(handles.piece(*n));
            numbers.insert_unique(hash(&n), n, hash);
        }
        Self {
            handles,
            packets,
            numbers,
            hasher,
        }
    }

    /// Appends the answer to a request. Nothing, if it is none or names no record: the clients of
    /// the floor do not ask for such.
    pub(super) fn answer(&self, request: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let len = u32::from_be_bytes(request.get(HANDLE_LEN)?.try_into().ok()?) as usize;
        let handle = request.get(HANDLE_LEN.end..HANDLE_LEN.end.checked_add(len)?)?;
        let hash = self.hasher.hash_one(handle);
        let is_it = |n: &u32| self.handles.piece(*n) == handle;
        let n = self.numbers.find(hash, is_it)?;
        let start = out.len();
        out.extend_from_slice(self.packets.piece(*n));
        out[start + ID.start..start + ID.end].copy_from_slice(request.get(ID)?);
        Some(())
    }
}

/// The length of the packet that begins at `octets`, once its envelope is there.
pub(super) fn packet_len(octets: &[u8]) -> Option<usize> {
    let len = octets.get(MESSAGE_LEN)?.try_into().ok()?;
    Some(ENVELOPE_LEN + u32::from_be_bytes(len) as usize)
}

#[cfg(test)]
mod tests {
    use super::Answers;
    use crate::dialect::{Dialect, Exactness, Handles, Verdict};

    #[test]
    fn floor_gives_the_answer_that_a_server_must_give() {
        let (answers, dialect) = (Answers::new(9), Handles::new(9, Exactness::Octets));
        let (mut request, mut answer) = (Vec::new(), Vec::new());
        dialect.ask(5, 4_711, &mut request);
        answers.answer(&request, &mut answer).unwrap();
        assert_eq!(
            dialect.judge(5, 4_711, &answer),
            Verdict::Right(answer.len())
        );
    }

    #[test]
    fn what_is_no_request_is_not_answered() {
        let (answers, dialect) = (Answers::new(9), Handles::new(10, Exactness::Octets));
        let (mut request, mut answer) = (Vec::new(), Vec::new());
        dialect.ask(9, 1, &mut request);
        assert_eq!(
            answers.answer(&request, &mut answer),
            None,
            "it has no record 9"
        );
        for len in 0..48 {
            assert_eq!(answers.answer(&request[..len], &mut answer), None);
        }
        assert!(answer.is_empty());
    }
}
