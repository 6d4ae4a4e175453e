//! Moments as existing enterprise nodes write them: `2026-03-01 08:00:00`, without a zone. It is
//! that of Beijing, where their clients are.

use time::macros::{format_description, offset};
use time::{Date, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

const ZONE: UtcOffset = offset!(+8);

/// A moment as text; empty if it is none.
pub(super) fn format(secs: i64) -> String {
    let form = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    let moment = OffsetDateTime::from_unix_timestamp(secs).ok();
    let text = moment.and_then(|moment| moment.to_offset(ZONE).format(&form).ok());
    text.unwrap_or_default()
}

/// The second that a text names; a day is its beginning. `None` if it is neither.
pub(super) fn parse(text: &str) -> Option<i64> {
    let second = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    let day = format_description!("[year]-[month]-[day]");
    let moment = PrimitiveDateTime::parse(text, &second).ok().or_else(|| {
        let day = Date::parse(text, &day).ok()?;
        Some(PrimitiveDateTime::new(day, Time::MIDNIGHT))
    })?;
    Some(moment.assume_offset(ZONE).unix_timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_they_are_written() {
        assert_eq!(format(0), "1970-01-01 08:00:00");
        assert_eq!(parse("1970-01-01 08:00:00"), Some(0));
        assert_eq!(parse("1970-01-01"), Some(-8 * 3_600));
        assert_eq!(format(i64::MAX), "");
        for bad in [
            "",
            "now",
            "1970-13-01",
            "1970-01-01T08:00:00",
            "1970-01-01 25:00:00",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
