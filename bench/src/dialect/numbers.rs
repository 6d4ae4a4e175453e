//! The native protocol for more records than a table of answers could hold in memory.

use guantong_proto::message::{Envelope, Message, OpFlags, RequestBuilder, ResponseCode, Version};
use guantong_proto::wire::Writer;

use super::handle::{EXPIRATION, ID_AT, number};
use super::{Dialect, Verdict};
use crate::corpus;

/// Resolution of all values, with questions and answers made when they are needed. That takes the
/// client some microseconds for each, which is little beside an answer from the disk, and much
/// beside one from memory: [`Handles`](super::Handles) is for those.
#[derive(Debug)]
pub struct Numbers {
    name: fn(u32) -> String,
}

impl Numbers {
    /// The records of the corpus.
    pub fn of_corpus() -> Self {
        Self {
            name: corpus::handle,
        }
    }

    /// Records with the values of the corpus under names of their own.
    pub fn named(name: fn(u32) -> String) -> Self {
        Self { name }
    }

    fn is_answer(&self, n: u32, packet: &[u8]) -> bool {
        let Ok(message) = Message::decode(packet) else {
            return false;
        };
        let body = Writer::to_vec(|w| {
            w.bytes((self.name)(n).as_bytes());
            w.raw(&corpus::wire(n));
        });
        message.header.code == ResponseCode::SUCCESS && message.body == body
    }
}

impl Dialect for Numbers {
    fn ask(&self, n: u32, id: u32, out: &mut Vec<u8>) {
        let builder = RequestBuilder {
            envelope: Envelope::new(Version::OURS, id.cast_signed()),
            flags: OpFlags::DEFAULT,
            expiration: EXPIRATION,
        };
        let none: [&str; 0] = [];
        out.extend_from_slice(&builder.resolve(&(self.name)(n), &[], &none));
    }

    fn id_bits(&self) -> u32 {
        31
    }

    fn id(&self, datagram: &[u8]) -> Option<u32> {
        number(datagram, ID_AT)
    }

    fn judge(&self, n: u32, id: u32, octets: &[u8]) -> Verdict {
        match self.id(octets) == Some(id) && self.is_answer(n, octets) {
            true => Verdict::Right(octets.len()),
            false => Verdict::Wrong,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{Exactness, Handles, answer_packet};

    #[test]
    fn questions_are_those_of_the_table() {
        let (mut one, mut other) = (Vec::new(), Vec::new());
        Numbers::of_corpus().ask(2, 7, &mut one);
        Handles::new(3, Exactness::Octets).ask(2, 7, &mut other);
        assert_eq!(one, other);
    }

    #[test]
    fn answer_of_another_record_is_wrong() {
        let dialect = Numbers::of_corpus();
        let right = answer_packet(1);
        assert_eq!(dialect.judge(1, 0, &right), Verdict::Right(right.len()));
        assert_eq!(dialect.judge(2, 0, &right), Verdict::Wrong);
        assert_eq!(dialect.judge(1, 1, &right), Verdict::Wrong);
    }

    #[test]
    fn beginning_of_an_answer_is_wrong() {
        let packet = answer_packet(1);
        for len in 0..packet.len() {
            let judged = Numbers::of_corpus().judge(1, 0, &packet[..len]);
            assert_eq!(judged, Verdict::Wrong, "{len}");
        }
    }
}
