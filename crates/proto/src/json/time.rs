//! Times of the JSON form: ISO 8601 in UTC with whole seconds.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use super::read::{JsonError, Node};

/// Writes seconds since 1970 as `2023-11-14T22:13:20Z`.
pub(super) fn format(seconds: i64) -> String {
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    let moment = OffsetDateTime::from_unix_timestamp(seconds).ok();
    // 32 bits of seconds lie within the years that can be written.
    moment
        .and_then(|moment| moment.format(form).ok())
        .unwrap_or_default()
}

/// Reads a time, or seconds since 1970, that fits the 32 bits of `T`.
pub(super) fn read_seconds<T: TryFrom<i64>>(node: &Node<'_>) -> Result<T, JsonError> {
    const EXPECTED: &str = "a time such as \"2023-11-14T22:13:20Z\" within 32 bits of seconds";
    if node.json().is_number() {
        return node.integer(EXPECTED);
    }
    let moment = OffsetDateTime::parse(node.text(EXPECTED)?, &Rfc3339);
    let moment = moment.map_err(|_| node.expected(EXPECTED))?;
    T::try_from(moment.unix_timestamp()).map_err(|_| node.expected(EXPECTED))
}
