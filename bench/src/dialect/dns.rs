//! DNS over UDP: a TXT record of like size, for the servers of that world (RFC 1035, 4.1).
//!
//! Questions are written and answers compared as octets. Nothing is decoded, so no decoder of ours
//! stands between a server and its figure.

use super::{Dialect, Verdict};
use crate::corpus::{self, Table};

const HEADER_LEN: usize = 12;
/// Type TXT, class IN.
const TXT_IN: [u8; 4] = [0, 16, 0, 1];
/// What stands in front of the data in an answer: name as a pointer, type, class, TTL, length.
const FRONT_LEN: usize = 12;
/// Seconds that the zone says.
pub const TTL_SECS: u32 = 3_600;

/// Questions for TXT records.
#[derive(Debug)]
pub struct Dns {
    /// Whole packets with id 0.
    questions: Table,
    /// Data of the answers, with the lengths of their strings.
    data: Table,
}

impl Dns {
    /// Questions for records 0 to `count`.
    pub fn new(count: u32) -> Self {
        Self {
            questions: Table::new(count, question),
            data: Table::new(count, data),
        }
    }
}

impl Dialect for Dns {
    fn ask(&self, n: u32, id: u32, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(self.questions.piece(n));
        out[start..start + 2].copy_from_slice(&id.to_be_bytes()[2..]);
    }

    fn id_bits(&self) -> u32 {
        16
    }

    fn id(&self, datagram: &[u8]) -> Option<u32> {
        let [high, low, ..] = *datagram else {
            return None;
        };
        Some(u32::from(u16::from_be_bytes([high, low])))
    }

    fn judge(&self, n: u32, id: u32, octets: &[u8]) -> Verdict {
        let asked = &self.questions.piece(n)[HEADER_LEN..];
        let data = self.data.piece(n);
        let data_at = HEADER_LEN + asked.len() + FRONT_LEN;
        let Some(packet) = octets.get(..data_at + data.len()) else {
            return Verdict::Incomplete;
        };
        // A response without error or truncation, one question, one answer and nothing else: what
        // is longer than that is no fair comparison.
        let is_answer = packet[2] & 0x82 == 0x80
            && packet[3] & 0x0f == 0
            && packet[4..HEADER_LEN] == [0, 1, 0, 1, 0, 0, 0, 0]
            && octets.len() == packet.len()
            && self.id(packet) == Some(id);
        let is_right =
            is_answer && packet[HEADER_LEN..].starts_with(asked) && &packet[data_at..] == data;
        match is_right {
            true => Verdict::Right(octets.len()),
            false => Verdict::Wrong,
        }
    }
}

fn question(n: u32) -> Vec<u8> {
    let mut packet = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in [corpus::label(n).as_str(), corpus::ZONE] {
        packet.push(u8::try_from(label.len()).expect("the labels are short"));
        packet.extend_from_slice(label.as_bytes());
    }
    packet.push(0);
    packet.extend_from_slice(&TXT_IN);
    packet
}

fn data(n: u32) -> Vec<u8> {
    let mut data = Vec::new();
    for piece in corpus::txt(n).as_bytes().chunks(corpus::TXT_STRING_LEN_MAX) {
        data.push(u8::try_from(piece.len()).expect("the chunks are no longer"));
        data.extend_from_slice(piece);
    }
    data
}

/// The lines of record `n` in the file of the zone.
pub fn zone_line(n: u32) -> String {
    let text = corpus::txt(n);
    let (first, second) = text.split_at(corpus::TXT_STRING_LEN_MAX);
    format!("{} TXT \"{first}\" \"{second}\"", corpus::label(n))
}

#[cfg(test)]
mod tests {
    use super::{Dns, FRONT_LEN, HEADER_LEN, data, question};
    use crate::dialect::{Dialect, Verdict, answer_packet};

    fn answer(n: u32, id: u16) -> Vec<u8> {
        let mut packet = question(n);
        packet[..2].copy_from_slice(&id.to_be_bytes());
        packet[2] = 0x84;
        packet[7] = 1;
        packet.extend_from_slice(&[0; FRONT_LEN]);
        packet.extend_from_slice(&data(n));
        packet
    }

    #[test]
    fn answer_of_another_record_or_question_is_wrong() {
        let dialect = Dns::new(3);
        assert_eq!(dialect.judge(1, 7, &answer(2, 7)), Verdict::Wrong);
        assert_eq!(dialect.judge(1, 7, &answer(1, 8)), Verdict::Wrong);
        let mut refused = answer(1, 7);
        refused[3] = 5;
        assert_eq!(dialect.judge(1, 7, &refused), Verdict::Wrong);
        let right = answer(1, 7);
        assert_eq!(dialect.judge(1, 7, &right), Verdict::Right(right.len()));
    }

    #[test]
    fn answers_are_as_long_as_those_of_the_native_protocol() {
        let (dns, native) = (answer(1, 7).len(), answer_packet(1).len());
        assert!(dns.abs_diff(native) <= 4, "{dns} and {native}");
        assert_eq!(HEADER_LEN, 12);
    }
}
