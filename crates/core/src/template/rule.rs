//! Whether one value is what its field wants, and why not.
//!
//! These are the rules that [`schema`](super::schema) writes as JSON Schema; the two must agree,
//! and a property test compares them.

use serde_json::Value as Json;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, PrimitiveDateTime};

use super::decimal::{Decimal, DecimalError};
use super::field::{Kind, Number, Precision, Text, is_reference};
use super::limit::{FILE_CHARS_MAX, REFERENCE_CHARS_MAX};

/// The text under which a value, or a part of a list, is stored.
pub(super) fn part(kind: &Kind, json: &Json) -> Result<String, Why> {
    if let Kind::Number(number) = kind {
        return of_number(number, json);
    }
    let text = json.as_str().ok_or(Why::NotText)?;
    match kind {
        Kind::Text(wanted) => of_text(wanted, text)?,
        Kind::Date(date) => of_date(date.precision, text)?,
        Kind::Reference(_) if !is_reference(text) => return Err(Why::NotAReference),
        Kind::Reference(_) | Kind::Number(_) => {}
        Kind::File(_) | Kind::Audio(_) | Kind::Video(_) | Kind::Image(_) => {
            of_file(&kind.suffixes(), text)?;
        }
    }
    Ok(text.to_owned())
}

fn of_number(wanted: &Number, json: &Json) -> Result<String, Why> {
    let Json::Number(number) = json else {
        return Err(Why::NotANumber);
    };
    let number: Decimal = match number.to_string().parse() {
        Ok(number) => number,
        Err(error @ DecimalError::TooLong) => return Err(Why::Number(error)),
        Err(DecimalError::NotANumber(_)) => return Err(Why::NotANumber),
    };
    if number.scale() > wanted.decimals.into() {
        let limit = wanted.decimals;
        return Err(Why::Decimals { limit });
    }
    let (minimum, maximum) = wanted.bounds();
    if number < minimum {
        return Err(Why::Below { limit: minimum });
    }
    match number > maximum {
        true => Err(Why::Above { limit: maximum }),
        false => Ok(number.to_string()),
    }
}

fn of_text(wanted: &Text, text: &str) -> Result<(), Why> {
    let found = text.chars().count();
    let limit = |chars: u32| usize::try_from(chars).unwrap_or(usize::MAX);
    if found < limit(wanted.length_min) {
        let limit = wanted.length_min;
        return Err(Why::TooShort { found, limit });
    }
    if found > limit(wanted.length_max) {
        let limit = wanted.length_max;
        return Err(Why::TooLong { found, limit });
    }
    match &wanted.pattern {
        Some(pattern) if !pattern.matches(text) => {
            let pattern = pattern.to_string();
            Err(Why::Pattern { pattern })
        }
        _ => Ok(()),
    }
}

fn of_date(precision: Precision, text: &str) -> Result<(), Why> {
    match precision {
        Precision::Day if !is_day(text) => Err(Why::NotADay),
        Precision::Moment if !is_moment(text) => Err(Why::NotAMoment),
        Precision::Second if !is_second(text) => Err(Why::NotASecond),
        _ => Ok(()),
    }
}

/// A day as RFC 3339 writes it (clause 5.6, full-date).
fn is_day(text: &str) -> bool {
    let form = format_description!("[year]-[month]-[day]");
    text.len() == "2026-03-01".len() && Date::parse(text, &form).is_ok()
}

/// A second without a zone.
fn is_second(text: &str) -> bool {
    let form = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    text.len() == "2026-03-01 08:00:00".len() && PrimitiveDateTime::parse(text, &form).is_ok()
}

/// A moment as RFC 3339 writes it (clause 5.6, date-time).
fn is_moment(text: &str) -> bool {
    OffsetDateTime::parse(text, &Rfc3339).is_ok()
}

fn of_file(suffixes: &[&str], text: &str) -> Result<(), Why> {
    let is_short = text.chars().count() <= FILE_CHARS_MAX;
    let climbs = text.split(['/', '\\']).any(|part| part == "..");
    if !is_short || climbs || text.contains(char::is_control) {
        return Err(Why::NotAPlace);
    }
    let suffix = text.rsplit_once('.').map(|(_, suffix)| suffix);
    let is_known = |suffix: &str| {
        suffixes
            .iter()
            .any(|known| suffix.eq_ignore_ascii_case(known))
    };
    match suffix.is_some_and(is_known) {
        true => Ok(()),
        false => {
            let known = suffixes.join(", ");
            Err(Why::Suffix { known })
        }
    }
}

//----------- Why ------------------------------------------------------------

/// What is wrong with the value of a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// There is no such field.
    #[error("the template has no such field; names are compared exactly")]
    Unknown,
    /// There is no field of this index and type.
    #[error("the template has no field of this index and type; both are compared exactly")]
    NotAt,
    /// The field is said twice.
    #[error("is said twice")]
    SaidTwice,
    /// The field takes no values any more.
    #[error("the field is disabled; leave it out")]
    Disabled,
    /// The field takes no values yet.
    #[error("the field is not in effect yet; leave it out")]
    Pending,
    /// There is no value.
    #[error("a value is required")]
    Missing,
    /// It is no text.
    #[error("must be a text")]
    NotText,
    /// It is no number.
    #[error("must be a number")]
    NotANumber,
    /// It is a number that is not taken.
    #[error("{0}")]
    Number(DecimalError),
    /// It has too many digits behind the point.
    #[error("must have at most {limit} digits behind the point")]
    Decimals {
        /// How many it may have.
        limit: u8,
    },
    /// It is too small.
    #[error("must be at least {limit}")]
    Below {
        /// The smallest.
        limit: Decimal,
    },
    /// It is too large.
    #[error("must be at most {limit}")]
    Above {
        /// The largest.
        limit: Decimal,
    },
    /// It is too short.
    #[error("has {found} characters, and must have at least {limit}")]
    TooShort {
        /// How many it has.
        found: usize,
        /// How many it must have.
        limit: u32,
    },
    /// It is too long.
    #[error("has {found} characters, the limit is {limit}")]
    TooLong {
        /// How many it has.
        found: usize,
        /// How many it may have.
        limit: u32,
    },
    /// It is not what the pattern says.
    #[error("must match the pattern {pattern}")]
    Pattern {
        /// The pattern.
        pattern: String,
    },
    /// It is no day.
    #[error("must be a day such as 2026-03-01")]
    NotADay,
    /// It is no moment.
    #[error("must be a moment such as 2026-03-01T08:00:00+08:00")]
    NotAMoment,
    /// It is no second.
    #[error("must be a second such as 2026-03-01 08:00:00")]
    NotASecond,
    /// It is no handle.
    #[error("must be a handle, prefix/suffix, of at most {REFERENCE_CHARS_MAX} characters")]
    NotAReference,
    /// It says no place of a file.
    #[error("must be the place of a file: at most {FILE_CHARS_MAX} characters, and no `..`")]
    NotAPlace,
    /// The file is of another kind.
    #[error("must end in one of: {known}")]
    Suffix {
        /// The ends that are taken.
        known: String,
    },
    /// It is no list.
    #[error("must be a list")]
    NotAList,
    /// The list is empty, or too long.
    #[error("has {found} parts, and must have 1 to {limit}")]
    Count {
        /// How many it has.
        found: usize,
        /// How many it may have.
        limit: u16,
    },
    /// Two parts of the list are the same.
    #[error("has the same part twice")]
    Twice,
    /// Another registration has the value.
    #[error("is unique, and {by} has this value")]
    Taken {
        /// The other registration.
        by: String,
    },
    /// Another registration with the value is under way.
    #[error("is unique, and another registration of this value is under way; try again")]
    UnderWay,
    /// There is no such record.
    #[error("refers to {target}, which is not there")]
    NoTarget {
        /// The handle.
        target: String,
    },
    /// The record is not registered by the template that it should be.
    #[error("refers to {target}, which is not registered by {template}")]
    OtherTemplate {
        /// The handle.
        target: String,
        /// The template.
        template: String,
    },
    /// Registrations are not found by the field.
    #[error("the template does not say that the field is searchable")]
    NotSearchable,
}
