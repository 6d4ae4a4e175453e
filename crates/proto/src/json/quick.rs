//! Records as JSON, straight from wire octets to text.
//!
//! Most values are plain text, which is copied as it is between fragments that are always the same.
//! Every other value is written by its [`ValueForm`]; the text is the same either way.

use std::ops::Range;

use serde::Serialize;

use super::ValueForm;
use super::time::Time;
use crate::data::Data;
use crate::value::{Permissions, Ttl, ValueRef};

/// Whether the values are all that were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// They are.
    Whole,
    /// There are others that the caller may not read.
    Part,
}

/// Appends what [`RecordForm`](super::RecordForm) writes for a record, and a member `withheld` if
/// the values are not all.
pub fn write_record<'a>(
    response_code: i32,
    handle: &str,
    values: impl Iterator<Item = ValueRef<'a>>,
    extent: Extent,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"{\"responseCode\":");
    number(response_code, out);
    out.extend_from_slice(b",\"handle\":");
    text(handle, out);
    out.extend_from_slice(b",\"values\":[");
    let mut times = Times::default();
    for (position, value) in values.enumerate() {
        if position > 0 {
            out.push(b',');
        }
        write_value(&value, &mut times, out);
    }
    out.extend_from_slice(match extent {
        Extent::Whole => b"]}",
        Extent::Part => b"],\"withheld\":true}",
    });
}

fn write_value(value: &ValueRef<'_>, times: &mut Times, out: &mut Vec<u8>) {
    let (Some(kind), Some(data), Ttl::Relative(ttl)) =
        (plain(value.kind), plain(value.data), value.ttl)
    else {
        return json(&ValueForm::from(*value), out);
    };
    let is_plain = value.permissions == Permissions::default()
        && value.references().next().is_none()
        && Data::is_opaque(value.kind);
    if !is_plain {
        return json(&ValueForm::from(*value), out);
    }
    out.extend_from_slice(b"{\"index\":");
    number(value.index, out);
    out.extend_from_slice(b",\"type\":\"");
    out.extend_from_slice(kind);
    out.extend_from_slice(b"\",\"data\":{\"format\":\"string\",\"value\":\"");
    out.extend_from_slice(data);
    out.extend_from_slice(b"\"},\"ttl\":");
    number(ttl, out);
    if value.timestamp != 0 {
        out.extend_from_slice(b",\"timestamp\":");
        times.write(value.timestamp, out);
    }
    out.push(b'}');
}

/// The time that was written last: values of a record are often as old as each other, and a time
/// takes as long to write as all the rest of a value.
#[derive(Default)]
struct Times {
    timestamp: u32,
    /// Where it stands in what is written.
    written: Range<usize>,
}

impl Times {
    fn write(&mut self, timestamp: u32, out: &mut Vec<u8>) {
        if self.timestamp == timestamp && !self.written.is_empty() {
            return out.extend_from_within(self.written.clone());
        }
        let start = out.len();
        json(&Time(timestamp.into()), out);
        self.timestamp = timestamp;
        self.written = start..out.len();
    }
}

/// The octets, if they are text that JSON holds as it is, and that no reader would take for binary:
/// without control characters, of which some begin with the octet C2 in UTF-8.
fn plain(octets: &[u8]) -> Option<&[u8]> {
    let is_plain = |octet: &u8| !matches!(octet, 0..=0x1f | b'"' | b'\\' | 0x7f | 0xc2);
    // The whole is looked at, without a branch for each octet.
    let count = octets.iter().filter(|octet| is_plain(octet)).count();
    (count == octets.len() && std::str::from_utf8(octets).is_ok()).then_some(octets)
}

fn text(text: &str, out: &mut Vec<u8>) {
    match plain(text.as_bytes()) {
        Some(octets) => {
            out.push(b'"');
            out.extend_from_slice(octets);
            out.push(b'"');
        }
        None => json(text, out),
    }
}

fn number(number: i32, out: &mut Vec<u8>) {
    json(&number, out);
}

fn json<T: Serialize + ?Sized>(form: &T, out: &mut Vec<u8>) {
    // A vector takes everything, and no form of ours fails.
    let written = serde_json::to_writer(out, form);
    debug_assert!(written.is_ok(), "{written:?}");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::RecordForm;
    use super::*;
    use crate::data::{Admin, AdminPermissions};
    use crate::wire::Writer;
    use crate::{Reference, Value, Values};

    fn is_the_same(handle: &str, values: &[Value]) {
        let wire = Writer::to_vec(|w| Values::encode(values, w));
        let values = Values::from_wire(&wire).unwrap();
        let form = RecordForm {
            response_code: Some(1),
            handle: Some(handle),
            values: ValueForm::list(values),
        };
        let mut quick = Vec::new();
        write_record(1, handle, values.iter(), Extent::Whole, &mut quick);
        assert_eq!(
            String::from_utf8(quick).unwrap(),
            serde_json::to_string(&form).unwrap()
        );
    }

    #[test]
    fn values_of_every_kind_are_written_alike() {
        let admin = Admin::new(AdminPermissions::ALL, "0.NA/1", 300).encode();
        let mut values = vec![
            Value::new(1, "URL", "https://example.org/"),
            Value::new(2, "NAME", "泵 \"7\" \\ \n"),
            Value::new(3, "RAW", [0xff, 0, 1]),
            Value::new(4, "C1", "a\u{85}b"),
            Value::new(100, "HS_ADMIN", admin),
            Value::new(5, "", ""),
        ];
        values.push(Value {
            permissions: Permissions(0),
            ttl: Ttl::Absolute(1_700_000_000),
            timestamp: 1_700_000_000,
            ..Value::new(6, "X", "y")
        });
        values.push(Value {
            references: vec![Reference {
                handle: "1/x".into(),
                index: 7,
            }],
            timestamp: u32::MAX,
            ..Value::new(i32::MAX, "X", "y")
        });
        for (timestamp, index) in [7, 7, 8, 8, 7, 0, 7].into_iter().zip(10..) {
            values.push(Value {
                timestamp,
                ..Value::new(index, "X", "as old as the one before, or not")
            });
        }
        is_the_same("88.118.5/\"x", &values);
        is_the_same("88.118.5/中", &[]);
    }

    proptest! {
        #[test]
        fn whatever_is_stored_is_written_alike(
            handle in "\\PC{1,20}/\\PC{0,20}",
            kinds in proptest::collection::vec("(HS_ADMIN|HS_SITE|URL|\\PC{0,8})", 0..5),
            data in proptest::collection::vec(any::<u8>(), 0..40),
            text in "\\PC{0,40}",
            timestamp in any::<u32>(),
            ttl in any::<i32>(),
        ) {
            let values: Vec<Value> = kinds
                .iter()
                .enumerate()
                .map(|(n, kind)| {
                    let octets = if n % 2 == 0 { text.clone().into_bytes() } else { data.clone() };
                    Value {
                        timestamp,
                        ttl: Ttl::Relative(ttl),
                        ..Value::new(n as i32 + 1, kind.as_str(), octets)
                    }
                })
                .collect();
            is_the_same(&handle, &values);
        }
    }
}
