//! Decimal numbers of fields: exact, and no longer than every reader of JSON keeps.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::limit::DIGITS_MAX;

//----------- Decimal --------------------------------------------------------

/// A decimal number of at most [`DIGITS_MAX`] digits: two spellings of a number are one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    /// The digits without the point; no zero at the end if there is a point.
    digits: i64,
    /// How many of them stand behind the point.
    scale: u32,
}

impl Decimal {
    /// The largest number with that many digits behind the point.
    pub(super) fn largest(scale: u32) -> Self {
        Self::normal(10_i64.pow(DIGITS_MAX) - 1, scale.min(DIGITS_MAX))
    }

    /// The smallest number above 0 with that many digits behind the point.
    pub(super) fn step(scale: u32) -> Self {
        Self::normal(1, scale.min(DIGITS_MAX))
    }

    /// Digits behind the point.
    pub fn scale(self) -> u32 {
        self.scale
    }

    /// The number with the other sign.
    pub(super) fn negated(self) -> Self {
        Self {
            digits: -self.digits,
            ..self
        }
    }

    /// The number as JSON has it.
    pub(super) fn to_json(self) -> serde_json::Value {
        // At most 15 digits: a double gives them back unchanged.
        match (self.scale, self.to_string().parse::<f64>()) {
            (0, _) | (_, Err(_)) => self.digits.into(),
            (_, Ok(double)) => double.into(),
        }
    }

    fn normal(mut digits: i64, mut scale: u32) -> Self {
        while scale > 0 && digits % 10 == 0 {
            digits /= 10;
            scale -= 1;
        }
        Self { digits, scale }
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        // 15 digits and 15 more are below 2^127.
        let scaled = |number: &Self, by: u32| i128::from(number.digits) * 10_i128.pow(by);
        scaled(self, other.scale).cmp(&scaled(other, self.scale))
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.digits < 0 { "-" } else { "" };
        let digits = self.digits.unsigned_abs();
        if self.scale == 0 {
            return write!(f, "{sign}{digits}");
        }
        let unit = 10_u64.pow(self.scale);
        let (whole, part) = (digits / unit, digits % unit);
        write!(
            f,
            "{sign}{whole}.{part:0width$}",
            width = self.scale as usize
        )
    }
}

impl FromStr for Decimal {
    type Err = DecimalError;

    /// Reads a number as JSON spells it (RFC 8259, clause 6); leading zeros are taken, too.
    fn from_str(text: &str) -> Result<Self, DecimalError> {
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i32>().map_err(|_| not(text))?),
            None => (text, 0),
        };
        let (is_negative, number) = match number.strip_prefix('-') {
            Some(number) => (true, number),
            None => (false, number),
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let is_digits = |text: &str| text.bytes().all(|octet| octet.is_ascii_digit());
        if whole.is_empty() || !is_digits(whole) || !is_digits(part) || number.ends_with('.') {
            return Err(not(text));
        }
        let all = format!("{whole}{part}");
        let significant = all.trim_start_matches('0');
        let kept = significant.trim_end_matches('0');
        if kept.is_empty() {
            return Ok(Self::normal(0, 0));
        }
        let dropped = i32::try_from(significant.len() - kept.len()).unwrap_or(i32::MAX);
        let behind = i32::try_from(part.len()).unwrap_or(i32::MAX);
        // How many digits of `kept` stand behind the point; below 0, that many zeros follow.
        let scale = behind.saturating_sub(exponent).saturating_sub(dropped);
        let zeros = usize::try_from(scale.min(0).unsigned_abs()).unwrap_or(usize::MAX);
        let limit = DIGITS_MAX as usize;
        if kept.len().saturating_add(zeros) > limit || scale > DIGITS_MAX as i32 {
            return Err(DecimalError::TooLong);
        }
        let digits: i64 = kept.parse().map_err(|_| not(text))?;
        let digits = digits * 10_i64.pow(scale.min(0).unsigned_abs());
        let digits = if is_negative { -digits } else { digits };
        Ok(Self::normal(digits, scale.max(0).unsigned_abs()))
    }
}

fn not(text: &str) -> DecimalError {
    let shown: String = text.chars().take(40).collect();
    DecimalError::NotANumber(shown)
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        number.to_string().parse().map_err(de::Error::custom)
    }
}

//----------- DecimalError ---------------------------------------------------

/// Why a text is no decimal number of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecimalError {
    /// It is no number at all.
    #[error("`{0}` is not a decimal number")]
    NotANumber(String),
    /// It has more digits than a reader of JSON keeps.
    #[error("has more than {DIGITS_MAX} digits; a text field takes it")]
    TooLong,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn spellings_of_one_number_are_one_value() {
        for (text, says) in [
            ("0", "0"),
            ("-0.00", "0"),
            ("7.50", "7.5"),
            ("0.07", "0.07"),
            ("-12.0", "-12"),
            ("1e3", "1000"),
            ("12.5E-2", "0.125"),
            ("100", "100"),
            ("007", "7"),
            ("0e2147483647", "0"),
        ] {
            assert_eq!(parse(text).to_string(), says, "{text}");
        }
        assert_eq!(parse("1.50").to_json().to_string(), "1.5");
    }

    #[test]
    fn order_is_that_of_the_numbers() {
        let sorted = ["-3", "-2.999", "0", "0.001", "0.01", "1", "999999999999999"];
        assert!(
            sorted
                .windows(2)
                .all(|pair| parse(pair[0]) < parse(pair[1]))
        );
    }

    #[test]
    fn garbage_and_overlong_numbers_are_refused() {
        for text in [
            "", "-", ".", "1.", ".5", "+1", "1e", "NaN", "1 ", "0x1", "--1", "１",
        ] {
            assert!(
                matches!(text.parse::<Decimal>(), Err(DecimalError::NotANumber(_))),
                "{text}"
            );
        }
        let longest = "9".repeat(DIGITS_MAX as usize);
        assert_eq!(parse(&longest).to_string(), longest);
        for text in [
            format!("{longest}9"),
            format!("{longest}.9"),
            "1e15".to_owned(),
            "1e-16".to_owned(),
            "1e2147483647".to_owned(),
            "1e-2147483648".to_owned(),
        ] {
            assert_eq!(
                text.parse::<Decimal>(),
                Err(DecimalError::TooLong),
                "{text}"
            );
        }
    }
}
