//! Times of the JSON form: ISO 8601 in UTC with whole seconds.

use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::read::{JsonError, Node};

/// Seconds since 1970, up to the end of 9999, written as `2023-11-14T22:13:20Z`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time(pub(super) i64);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let moment = OffsetDateTime::from_unix_timestamp(self.0).map_err(S::Error::custom)?;
        let (year, month, day) = moment.to_calendar_date();
        let (hour, minute, second) = moment.to_hms();
        // 32 bits of seconds lie within years of four digits.
        let year = u16::try_from(year).unwrap_or_default();
        let mut text = *b"0000-00-00T00:00:00Z";
        let pairs = [
            (0, (year / 100) as u8),
            (2, (year % 100) as u8),
            (5, u8::from(month)),
            (8, day),
            (11, hour),
            (14, minute),
            (17, second),
        ];
        for (at, pair) in pairs {
            text[at] += pair / 10;
            text[at + 1] += pair % 10;
        }
        serializer.serialize_str(std::str::from_utf8(&text).map_err(S::Error::custom)?)
    }
}

/// Reads a time, or seconds since 1970, that fits the 32 bits of `T`.
pub(super) fn read_seconds<T: TryFrom<i64>>(node: &Node<'_>) -> Result<T, JsonError> {
    const EXPECTED: &str = "a time such as \"2023-11-14T22:13:20Z\" within 32 bits of seconds";
    if node.json().is_number() {
        return node.integer(EXPECTED);
    }
    let seconds = seconds_of(node.text(EXPECTED)?);
    let seconds = seconds.and_then(|seconds| T::try_from(seconds).ok());
    seconds.ok_or_else(|| node.expected(EXPECTED))
}

/// Seconds since 1970 of a time in text.
pub(super) fn seconds_of(text: &str) -> Option<i64> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some(moment.unix_timestamp())
}
