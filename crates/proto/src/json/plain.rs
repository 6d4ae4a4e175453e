//! Reading the records that nearly all are, without a tree in between: known fields, each once, and
//! data that is text.
//!
//! Nothing is refused here. What is not plain is left to the general way, which takes more and
//! names the place of a fault.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{Record, read_permission_bits, time};
use crate::value::{Permissions, Ttl, Value};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PlainRecord<'a> {
    response_code: Option<i32>,
    #[serde(borrow)]
    handle: Option<Text<'a>>,
    values: Option<PlainValues>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainValue<'a> {
    index: i32,
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    data: PlainData<'a>,
    #[serde(borrow)]
    permissions: Option<Text<'a>>,
    ttl: Option<i32>,
    #[serde(borrow)]
    timestamp: Option<Text<'a>>,
}

/// The values of a record, as a list of plain ones: known fields, each once, and data that is text.
/// A larger form that has such a list in it is read in one pass with this; where it fails, values
/// may be of a more general form, and [`parse_values`](super::parse_values) says what is wrong.
#[derive(Debug)]
pub struct PlainValues(pub Vec<Value>);

impl<'de> Deserialize<'de> for PlainValues {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ValuesVisitor)
    }
}

struct ValuesVisitor;

impl<'de> Visitor<'de> for ValuesVisitor {
    type Value = PlainValues;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of plain values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        // What nearly all have; a list grows if it has more.
        let mut values = Vec::with_capacity(4);
        while let Some(plain) = list.next_element::<PlainValue<'de>>()? {
            values.push(value(plain).ok_or_else(|| A::Error::custom("not plain"))?);
        }
        Ok(PlainValues(values))
    }
}

/// Text that is copied only if it has escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// `"text"`, or `{"format":"string","value":"text"}`.
struct PlainData<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for PlainData<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DataVisitor)
    }
}

struct DataVisitor;

impl<'de> Visitor<'de> for DataVisitor {
    type Value = PlainData<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(PlainData(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(PlainData(Cow::Owned(text.to_owned())))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut format, mut value) = (None, None);
        while let Some(Text(name)) = map.next_key()? {
            let place = match &*name {
                "format" => &mut format,
                "value" => &mut value,
                _ => return Err(A::Error::custom("not plain")),
            };
            if place.replace(map.next_value::<Text<'de>>()?.0).is_some() {
                return Err(A::Error::custom("not plain"));
            }
        }
        match (format.as_deref(), value) {
            (Some("string"), Some(value)) => Ok(PlainData(value)),
            _ => Err(A::Error::custom("not plain")),
        }
    }
}

/// The record, if it is plain.
pub(super) fn read(text: &[u8]) -> Option<Record> {
    let record: PlainRecord<'_> = parse(text)?;
    Some(Record {
        response_code: record.response_code,
        values: record
            .values
            .map_or_else(Vec::new, |PlainValues(values)| values),
        handle: record.handle.map(|handle| handle.0.into_owned()),
    })
}

/// The values of a list by itself, if they are plain.
pub(super) fn read_values(text: &[u8]) -> Option<Vec<Value>> {
    parse(text).map(|PlainValues(values)| values)
}

/// Looks once whether all of it is UTF-8, instead of anew for each string in it.
fn parse<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Option<T> {
    let text = std::str::from_utf8(text).ok()?;
    serde_json::from_str(text).ok()
}

fn value(plain: PlainValue<'_>) -> Option<Value> {
    let permissions = match plain.permissions {
        Some(Text(text)) => Permissions(read_permission_bits(&text)?),
        None => Permissions::default(),
    };
    let timestamp = match plain.timestamp {
        Some(Text(text)) => u32::try_from(time::seconds_of(&text)?).ok()?,
        None => 0,
    };
    Some(Value {
        index: plain.index,
        timestamp,
        ttl: plain.ttl.map(Ttl::Relative).unwrap_or_default(),
        permissions,
        kind: plain.kind.0.into_owned(),
        data: plain.data.0.into_owned().into_bytes(),
        references: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::read::{Node, parse as parse_tree};
    use super::super::read_values as read_list;
    use super::*;

    const RECORD: &str = r#"{"responseCode":1,"handle":"a\/b","values":[{"index":1,"type":"URL","data":{"format":"string","value":"x\n循"},"permissions":"1010","ttl":5,"timestamp":"2023-11-14T22:13:20Z"},{"index":2,"type":"N","data":"y"}]}"#;

    fn at_length(text: &[u8]) -> Option<Record> {
        Record::from_json(&parse_tree(text).ok()?).ok()
    }

    #[test]
    fn plain_record_is_read_as_the_general_way_reads_it() {
        let found = read(RECORD.as_bytes());
        assert!(found.is_some());
        assert_eq!(found, at_length(RECORD.as_bytes()));
        for text in [
            "{}",
            r#"{"values":[]}"#,
            r#"{"values":null}"#,
            r#"{"handle":null,"values":[]}"#,
        ] {
            assert_eq!(read(text.as_bytes()), at_length(text.as_bytes()), "{text}");
        }
    }

    /// Every octet replaced by every other, and every truncation: either it is not plain, or both
    /// ways read the same.
    #[test]
    fn altered_record_is_never_read_in_another_way() {
        alter(RECORD.as_bytes(), |text| {
            if let Some(found) = read(text) {
                let text = String::from_utf8_lossy(text);
                assert_eq!(Some(found), at_length(text.as_bytes()), "{text}");
            }
        });
    }

    fn alter(octets: &[u8], each: impl Fn(&[u8])) {
        for at in 0..octets.len() {
            each(&octets[..at]);
            for octet in 0..=u8::MAX {
                let mut altered = octets.to_vec();
                altered[at] = octet;
                each(&altered);
            }
        }
    }

    #[test]
    fn altered_list_of_values_is_never_read_in_another_way() {
        let at_length = |text: &[u8]| read_list(&Node::root(&parse_tree(text).ok()?)).ok();
        let list = RECORD.split_once("\"values\":").unwrap().1;
        let list = list.strip_suffix('}').unwrap().as_bytes();
        assert_eq!(read_values(list).map(|values| values.len()), Some(2));
        alter(list, |text| {
            if let Some(found) = read_values(text) {
                let shown = String::from_utf8_lossy(text);
                assert_eq!(Some(found), at_length(text), "{shown}");
            }
        });
    }

    #[test]
    fn what_is_not_plain_is_left_to_the_general_way() {
        for text in [
            r#"{"handle":"a/b","handle":"a/c","values":[]}"#,
            r#"{"handle":"a/b","other":1,"values":[]}"#,
            r#"{"values":[{"index":1,"type":"X","data":{"format":"hex","value":"00"}}]}"#,
            r#"{"values":[{"index":1,"type":"X","data":"x","references":[]}]}"#,
            r#"{"values":[{"index":1,"type":"X","data":"x","ttl":"2023-11-14T22:13:20Z"}]}"#,
            r#"{"values":[{"index":1,"type":"X","data":"x","timestamp":7}]}"#,
        ] {
            assert!(read(text.as_bytes()).is_none(), "{text}");
            assert!(at_length(text.as_bytes()).is_some(), "{text}");
        }
    }
}
