//! The records that everything is measured with: always the same ones, each as every server needs
//! it.
//!
//! A record is made from its number alone, so that server and client agree on it without talking.
//! All records are equally long: four values, about 300 octets with the handle. That keeps tables
//! of them in one allocation ([`Table`]), which matters to the floor and to the client alike. Where
//! it is measured how answers grow, records have another number of values, the same for all.

use guantong_proto::wire::Writer;
use guantong_proto::{Ttl, Value, Values};

/// The prefix of all records.
pub const PREFIX: &str = "88.118.5";
/// The zone of the records in the DNS.
pub const ZONE: &str = "bench";
/// Most records that a run may use; their numbers have eight digits.
pub const RECORDS_MAX: u32 = 100_000_000;

/// Values of a record.
pub const VALUES: usize = 4;
/// How far the records are apart that lend a record more values than it has itself.
const LENDER_STEP: u32 = 999_983;

/// 2026-01-01T00:00:00Z, the time of every value.
const TIMESTAMP: u32 = 1_767_225_600;
const TIMESTAMP_TEXT: &str = "2026-01-01T00:00:00Z";
const TTL_SECS: i32 = 86_400;
/// Octets of the text of a record in the DNS, chosen so that a DNS answer is as long as a Handle
/// answer: two strings, since one holds at most 255.
const TXT_LEN: usize = 303;
/// Octets that one string of a TXT record holds.
pub const TXT_STRING_LEN_MAX: usize = 255;

//----------- Record ---------------------------------------------------------

/// The handle of record `n`.
pub fn handle(n: u32) -> String {
    format!("{PREFIX}/SN2026{n:08}")
}

/// The name of record `n` in the DNS, below [`ZONE`].
pub fn label(n: u32) -> String {
    format!("sn2026{n:08}")
}

/// Type and data of the values of record `n`, by index from 1.
pub fn texts(n: u32) -> [(&'static str, String); VALUES] {
    let random = mix(u64::from(n));
    let part = |shift: u32, modulus: u64| (random >> shift) % modulus;
    [
        (
            "URL",
            format!("https://parts.example.org/item/{random:016x}"),
        ),
        (
            "NAME",
            format!(
                "循环泵 pump {} stage {}",
                part(0, 900) + 100,
                part(10, 7) + 1
            ),
        ),
        (
            "MADE",
            format!(
                "2026-{:02}-{:02} line {:02} shift {} lot {n:08}",
                part(20, 12) + 1,
                part(24, 28) + 1,
                part(29, 20),
                part(34, 3) + 1
            ),
        ),
        (
            "TEST",
            format!(
                "passed; leak {:02} Pa, noise {:02} dB, {:08x}",
                part(36, 97),
                part(43, 40) + 30,
                random >> 32
            ),
        ),
    ]
}

/// Type and data of the first `count` values of record `n`, by index from 1: its own, and then
/// those of other records.
pub fn texts_of(n: u32, count: usize) -> Vec<(&'static str, String)> {
    let lenders = (0..=RECORDS_MAX).map(|far| lender(n, far));
    lenders.flat_map(texts).take(count).collect()
}

/// Type and data of the values of record `n`, where records have so many lengths: the last text
/// ends with as many letters more as [`padding`] says.
pub fn texts_of_lengths(n: u32, lengths: u32) -> [(&'static str, String); VALUES] {
    let mut texts = texts(n);
    texts[VALUES - 1].1 += &"x".repeat(padding(n, lengths));
    texts
}

/// By how many octets record `n` is longer than the shortest, where records have so many lengths.
pub fn padding(n: u32, lengths: u32) -> usize {
    (n % lengths) as usize
}

/// Data of the value at place `at` of record `n`, from 0.
pub fn text(n: u32, at: usize) -> String {
    let far = u32::try_from(at / VALUES).expect("a record has few values");
    let mut texts = texts(lender(n, far));
    std::mem::take(&mut texts[at % VALUES].1)
}

/// The record that lends record `n` its values number `far` × [`VALUES`] and later.
fn lender(n: u32, far: u32) -> u32 {
    let number = u64::from(n) + u64::from(far) * u64::from(LENDER_STEP);
    (number % u64::from(RECORDS_MAX)) as u32
}

/// The values of record `n`.
pub fn values(n: u32) -> Vec<Value> {
    values_of(n, VALUES)
}

/// The same with so many values.
pub fn values_of(n: u32, count: usize) -> Vec<Value> {
    values_with(texts_of(n, count))
}

/// Values of these types and data, by index from 1.
pub fn values_with(texts: impl IntoIterator<Item = (&'static str, String)>) -> Vec<Value> {
    let texts = texts.into_iter().zip(1..);
    let values = texts.map(|((kind, text), index)| Value {
        timestamp: TIMESTAMP,
        ttl: Ttl::Relative(TTL_SECS),
        ..Value::new(index, kind, text)
    });
    values.collect()
}

/// The values of record `n` as they travel.
pub fn wire(n: u32) -> Vec<u8> {
    wire_of(n, VALUES)
}

/// The same with so many values.
pub fn wire_of(n: u32, count: usize) -> Vec<u8> {
    Writer::to_vec(|w| Values::encode(&values_of(n, count), w))
}

/// Record `n` as a line of JSON, without the line's end.
pub fn json_line(n: u32) -> String {
    json_line_of(n, VALUES)
}

/// The same with so many values.
pub fn json_line_of(n: u32, count: usize) -> String {
    write_json_line(&handle(n), &texts_of(n, count))
}

/// The same, where records have so many lengths.
pub fn json_line_of_lengths(n: u32, lengths: u32) -> String {
    write_json_line(&handle(n), &texts_of_lengths(n, lengths))
}

/// The same under another name.
pub fn json_line_named(name: &str, n: u32) -> String {
    write_json_line(name, &texts(n))
}

fn write_json_line(name: &str, texts: &[(&'static str, String)]) -> String {
    let mut line = format!(r#"{{"handle":"{name}","values":["#);
    for ((kind, text), index) in texts.iter().zip(1..) {
        let comma = if index == 1 { "" } else { "," };
        line += &format!(
            r#"{comma}{{"index":{index},"type":"{kind}","data":{{"format":"string","value":"{text}"}},"ttl":{TTL_SECS},"timestamp":"{TIMESTAMP_TEXT}"}}"#
        );
    }
    line + "]}"
}

/// Record `n` as commands of a Handle.Net batch file, with an empty line after it.
pub fn batch_lines(n: u32) -> String {
    let mut lines = format!("CREATE {}\n", handle(n));
    for ((kind, text), index) in texts(n).into_iter().zip(1..) {
        lines += &format!("{index} {kind} {TTL_SECS} 1110 UTF8 {text}\n");
    }
    lines + "\n"
}

/// The text of record `n` in the DNS.
pub fn txt(n: u32) -> String {
    let [(_, url), _, (_, made), (_, test)] = texts(n);
    let text = format!("{} {url}; {made}; {test};", handle(n));
    format!("{text:x<TXT_LEN$}")
}

/// Looks random, and is the same in every run (the finaliser of SplitMix64).
fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

//----------- Table ----------------------------------------------------------

/// Equally long pieces of octets, back to back.
#[derive(Debug)]
pub struct Table {
    octets: Vec<u8>,
    stride: usize,
}

impl Table {
    /// A table of `count` pieces, made by number.
    ///
    /// # Panics
    ///
    /// If they are not equally long: records are made so that they are.
    pub fn new(count: u32, make: impl Fn(u32) -> Vec<u8>) -> Self {
        let stride = make(0).len();
        let mut octets = Vec::with_capacity(stride * count as usize);
        for n in 0..count {
            octets.extend_from_slice(&make(n));
            assert_eq!(octets.len(), stride * (n as usize + 1), "record {n}");
        }
        Self { octets, stride }
    }

    /// Piece `n`.
    pub fn piece(&self, n: u32) -> &[u8] {
        let start = n as usize * self.stride;
        &self.octets[start..start + self.stride]
    }
}

#[cfg(test)]
mod tests {
    use guantong_proto::json::Record;

    use super::{
        VALUES, handle, json_line, json_line_of, json_line_of_lengths, padding, texts_of_lengths,
        txt, values, values_of, values_with, wire, wire_of,
    };

    #[test]
    fn records_are_equally_long_and_of_about_300_octets() {
        for n in [0, 1, 9, 4_711, 99_999_999] {
            assert_eq!(wire(n).len(), wire(0).len(), "record {n}");
            assert_eq!(txt(n).len(), txt(0).len(), "record {n}");
        }
        let len = handle(0).len() + wire(0).len();
        assert!((290..330).contains(&len), "{len}");
    }

    #[test]
    fn json_line_holds_the_values_that_travel() {
        let record = Record::parse(json_line(4_711).as_bytes()).unwrap();
        assert_eq!(record.handle, Some(handle(4_711)));
        assert_eq!(record.values, values(4_711));
    }

    #[test]
    fn records_with_more_values_are_equally_long_and_begin_with_their_own() {
        for count in [1, VALUES, 16, 64] {
            let record = Record::parse(json_line_of(4_711, count).as_bytes()).unwrap();
            assert_eq!(record.values, values_of(4_711, count));
            assert_eq!(record.values.len(), count);
            let own = count.min(VALUES);
            assert_eq!(record.values[..own], values(4_711)[..own]);
            for n in [0, 9, 99_999_999] {
                assert_eq!(
                    wire_of(n, count).len(),
                    wire_of(0, count).len(),
                    "record {n}"
                );
            }
        }
        let mut data: Vec<_> = values_of(7, 64)
            .into_iter()
            .map(|value| value.data)
            .collect();
        data.sort();
        data.dedup();
        assert_eq!(data.len(), 64, "no value is there twice");
    }

    #[test]
    fn records_of_several_lengths_differ_at_their_end_alone() {
        for n in [0, 1, 16, 99_999_999] {
            let one = json_line_of_lengths(n, 16);
            let record = Record::parse(one.as_bytes()).unwrap();
            assert_eq!(record.values, values_with(texts_of_lengths(n, 16)));
            let last = record.values.last().unwrap();
            let own = &values(n)[VALUES - 1].data;
            assert_eq!(last.data.len(), own.len() + padding(n, 16));
            assert!(last.data.starts_with(own));
        }
        assert_eq!(json_line_of_lengths(7, 1), json_line(7));
    }

    #[test]
    fn records_differ() {
        assert_ne!(wire(1), wire(2));
        assert_ne!(txt(1), txt(2));
    }
}
