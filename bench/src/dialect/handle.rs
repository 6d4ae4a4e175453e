//! The native protocol: the same packets over UDP and TCP (RFC 3652, 2.2 and 3.2).

use guantong_proto::limits::{ENVELOPE_LEN, HEADER_LEN};
use guantong_proto::message::{
    Envelope, Header, Message, OpCode, OpFlags, RequestBuilder, ResponseCode, Version,
};
use guantong_proto::wire::{Reader, Writer};
use guantong_proto::{Value, Values};

use super::{Dialect, Verdict};
use crate::corpus::{self, Table};

/// Where the request id stands in an envelope.
pub(super) const ID_AT: usize = 8;
/// Where the length of the message stands in an envelope.
const LEN_AT: usize = 16;
/// Where the response code stands in a packet.
const CODE_AT: usize = ENVELOPE_LEN + 4;
/// Expiration of the requests, far away.
pub(super) const EXPIRATION: u32 = u32::MAX / 2;

/// How closely an answer is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exactness {
    /// Handle and values are octet by octet those of the record.
    Octets,
    /// Types and data are those of the record; a server that sets timestamps, as Handle.Net does
    /// when it creates records, has other octets.
    Data,
}

//----------- Handles --------------------------------------------------------

/// Resolution of all values.
#[derive(Debug)]
pub struct Handles {
    questions: Table,
    /// Handle and values, as they stand in the body of the answer.
    bodies: Table,
    exactness: Exactness,
}

impl Handles {
    /// Questions for records 0 to `count`.
    pub fn new(count: u32, exactness: Exactness) -> Self {
        Self::with_values(count, corpus::VALUES, exactness)
    }

    /// The same, for records that have so many values.
    pub fn with_values(count: u32, values: usize, exactness: Exactness) -> Self {
        Self::with_bodies(count, |n| body(n, corpus::values_of(n, values)), exactness)
    }

    /// The same, for records that have so many lengths. Of the letters that make an answer longer
    /// it is only looked at how many there are.
    pub fn of_lengths(count: u32, lengths: u32) -> Self {
        let bodies = |n| {
            let mut body = body(n, corpus::values_with(corpus::texts_of_lengths(n, lengths)));
            body.truncate(body.len() - corpus::padding(n, lengths));
            body
        };
        Self::with_bodies(count, bodies, Exactness::Octets)
    }

    fn with_bodies(count: u32, body: impl Fn(u32) -> Vec<u8>, exactness: Exactness) -> Self {
        let builder = RequestBuilder {
            envelope: Envelope::new(Version::OURS, 0),
            flags: OpFlags::DEFAULT,
            expiration: EXPIRATION,
        };
        let none: [&str; 0] = [];
        Self {
            questions: Table::new(count, |n| builder.resolve(&corpus::handle(n), &[], &none)),
            bodies: Table::new(count, body),
            exactness,
        }
    }

    fn is_body(&self, n: u32, body: &[u8]) -> bool {
        match self.exactness {
            Exactness::Octets => body.starts_with(self.bodies.piece(n)),
            Exactness::Data => has_data(n, body),
        }
    }
}

impl Dialect for Handles {
    fn ask(&self, n: u32, id: u32, out: &mut Vec<u8>) {
        let start = out.len() + ID_AT;
        out.extend_from_slice(self.questions.piece(n));
        out[start..start + 4].copy_from_slice(&id.to_be_bytes());
    }

    fn id_bits(&self) -> u32 {
        31
    }

    fn id(&self, datagram: &[u8]) -> Option<u32> {
        number(datagram, ID_AT)
    }

    fn judge(&self, n: u32, id: u32, octets: &[u8]) -> Verdict {
        let Some(len) = number(octets, LEN_AT) else {
            return Verdict::Incomplete;
        };
        let len = ENVELOPE_LEN + len as usize;
        let Some(packet) = octets.get(..len) else {
            return Verdict::Incomplete;
        };
        let success = Some(ResponseCode::SUCCESS.0.cast_unsigned());
        let is_right = number(packet, ID_AT) == Some(id)
            && number(packet, CODE_AT) == success
            && packet
                .get(ENVELOPE_LEN + HEADER_LEN..)
                .is_some_and(|body| self.is_body(n, body));
        match is_right {
            true => Verdict::Right(len),
            false => Verdict::Wrong,
        }
    }
}

pub(super) fn number(octets: &[u8], at: usize) -> Option<u32> {
    let octets = octets.get(at..at + 4)?;
    Some(u32::from_be_bytes(octets.try_into().ok()?))
}

/// The handle of record `n` and these values, as they stand in the body of an answer.
fn body(n: u32, values: Vec<Value>) -> Vec<u8> {
    Writer::to_vec(|w| {
        w.bytes(corpus::handle(n).as_bytes());
        Values::encode(&values, w);
    })
}

/// Whether the body names record `n` and has its types and data, in any order and among others.
fn has_data(n: u32, body: &[u8]) -> bool {
    let mut r = Reader::new(body);
    let named = r.bytes("handle");
    if !named.is_ok_and(|handle| handle.eq_ignore_ascii_case(corpus::handle(n).as_bytes())) {
        return false;
    }
    let Ok(values) = Values::decode(&mut r) else {
        return false;
    };
    corpus::texts(n).iter().all(|(kind, text)| {
        values
            .iter()
            .any(|value| value.kind == kind.as_bytes() && value.data == text.as_bytes())
    })
}

/// The whole answer with all values of record `n`, under request id 0: what the floor copies.
pub fn answer_packet(n: u32) -> Vec<u8> {
    let mut header = Header::request(OpCode::RESOLVE, OpFlags::DEFAULT, EXPIRATION);
    header.code = ResponseCode::SUCCESS;
    let message = Message {
        envelope: Envelope::new(Version::OURS, 0),
        header,
        body: &body(n, corpus::values(n)),
        credential: Some(&[]),
    };
    let mut out = Vec::new();
    message.encode(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::{CODE_AT, Exactness, Handles, ID_AT, answer_packet};
    use crate::dialect::{Dialect, Verdict};

    fn answer(n: u32, id: u32) -> Vec<u8> {
        let mut packet = answer_packet(n);
        packet[ID_AT..ID_AT + 4].copy_from_slice(&id.to_be_bytes());
        packet
    }

    #[test]
    fn answer_of_another_record_or_question_is_wrong() {
        for exactness in [Exactness::Octets, Exactness::Data] {
            let dialect = Handles::new(3, exactness);
            assert_eq!(dialect.judge(1, 7, &answer(2, 7)), Verdict::Wrong);
            assert_eq!(dialect.judge(1, 7, &answer(1, 8)), Verdict::Wrong);
            let mut failed = answer(1, 7);
            failed[CODE_AT + 3] = 100;
            assert_eq!(dialect.judge(1, 7, &failed), Verdict::Wrong);
            let right = answer(1, 7);
            assert_eq!(dialect.judge(1, 7, &right), Verdict::Right(right.len()));
        }
    }

    #[test]
    fn changed_octet_of_a_value_is_noticed() {
        let dialect = Handles::new(2, Exactness::Octets);
        let mut packet = answer(1, 7);
        let at = packet.len() - 20;
        packet[at] ^= 1;
        assert_eq!(dialect.judge(1, 7, &packet), Verdict::Wrong);
    }

    #[test]
    fn every_beginning_of_an_answer_is_incomplete() {
        let dialect = Handles::new(2, Exactness::Octets);
        let packet = answer(1, 7);
        for len in 0..packet.len() {
            assert_eq!(
                dialect.judge(1, 7, &packet[..len]),
                Verdict::Incomplete,
                "{len}"
            );
        }
    }
}
