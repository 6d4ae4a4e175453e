//! Rules by which suffixes are made for registrations that come without a handle.
//!
//! A rule is text with parts in braces: `SN{date:yyyyMMdd}{counter:6}{check}`. It is a pure
//! function of a counter, a time and random octets, all of which the shell brings.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::OffsetDateTime;

use super::limit::{COUNTER_DIGITS_MAX, RULE_CHARS_MAX};

/// Characters of a check, in the order of their worth (ISO/IEC 7064).
const ALPHABET: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

//----------- Rule -----------------------------------------------------------

/// How suffixes are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// Decimal, with zeros in front, of that many digits.
    Counter(u8),
    Date(Vec<DatePart>),
    /// 32 hexadecimal digits of a random UUID (RFC 9562, version 4).
    Uuid,
    /// A check character over everything in front of it.
    Check,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DatePart {
    Year,
    YearOfCentury,
    Month,
    Day,
}

/// What a suffix is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed {
    /// A number that no other suffix of the rule has got.
    pub counter: u64,
    /// Seconds since 1970. Dates are those of UTC.
    pub now_secs: u32,
    /// Random octets.
    pub random: [u8; 16],
}

impl Rule {
    /// The digits of its counter; of several, the fewest.
    pub fn counter_digits(&self) -> Option<u8> {
        let digits = self.parts.iter().filter_map(|part| match part {
            Part::Counter(digits) => Some(*digits),
            _ => None,
        });
        digits.min()
    }

    /// The suffix for a seed.
    pub fn mint(&self, seed: &Seed) -> Result<String, UsedUp> {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Counter(digits) => {
                    if seed.counter >= 10_u64.pow((*digits).into()) {
                        return Err(UsedUp { digits: *digits });
                    }
                    let width = usize::from(*digits);
                    out.push_str(&format!("{:0width$}", seed.counter));
                }
                Part::Date(parts) => {
                    for part in parts {
                        out.push_str(&part.of(seed.now_secs));
                    }
                }
                Part::Uuid => out.push_str(&uuid(seed.random)),
                Part::Check => out.push(check(&out)),
            }
        }
        Ok(out)
    }
}

impl DatePart {
    fn of(self, now_secs: u32) -> String {
        // 32 bits of seconds end in 2106.
        let now = OffsetDateTime::from_unix_timestamp(now_secs.into());
        let now = now.unwrap_or(OffsetDateTime::UNIX_EPOCH);
        match self {
            Self::Year => format!("{:04}", now.year()),
            Self::YearOfCentury => format!("{:02}", now.year() % 100),
            Self::Month => format!("{:02}", u8::from(now.month())),
            Self::Day => format!("{:02}", now.day()),
        }
    }
}

fn uuid(mut octets: [u8; 16]) -> String {
    octets[6] = octets[6] & 0x0f | 0x40;
    octets[8] = octets[8] & 0x3f | 0x80;
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The check character of ISO/IEC 7064, MOD 37,36, over the letters and digits of a text. It tells
/// every single wrong character, and nearly every pair that is swapped.
fn check(text: &str) -> char {
    let worth = |octet: u8| {
        ALPHABET
            .iter()
            .position(|c| *c == octet.to_ascii_uppercase())
    };
    let product = text.bytes().filter_map(worth).fold(36, |product, worth| {
        let sum = (product + worth) % 36;
        (if sum == 0 { 36 } else { sum }) * 2 % 37
    });
    let at = (37 - product) % 36;
    ALPHABET.get(at).copied().map_or('0', char::from)
}

//--- Text

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let chars = text.chars().count();
        if chars > RULE_CHARS_MAX {
            return Err(RuleError::TooLong { chars });
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (literal, behind) = match rest.split_once('{') {
                Some((literal, behind)) => (literal, Some(behind)),
                None => (rest, None),
            };
            if literal.contains(|char: char| char == '}' || char.is_control()) {
                return Err(RuleError::Brace);
            }
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned()));
            }
            let Some(behind) = behind else { break };
            let (part, behind) = behind.split_once('}').ok_or(RuleError::Brace)?;
            parts.push(part.parse()?);
            rest = behind;
        }
        if !parts
            .iter()
            .any(|part| matches!(part, Part::Counter(_) | Part::Uuid))
        {
            return Err(RuleError::Once);
        }
        let text = text.to_owned();
        Ok(Self { text, parts })
    }
}

impl FromStr for Part {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let unknown = || RuleError::Part(text.to_owned());
        match text.split_once(':').unwrap_or((text, "")) {
            ("uuid", "") => Ok(Self::Uuid),
            ("check", "") => Ok(Self::Check),
            ("counter", digits) => match digits.parse() {
                Ok(digits) if (1..=COUNTER_DIGITS_MAX).contains(&digits) => {
                    Ok(Self::Counter(digits))
                }
                _ => Err(unknown()),
            },
            ("date", mut form) if !form.is_empty() => {
                let mut parts = Vec::new();
                while !form.is_empty() {
                    let known = [
                        ("yyyy", DatePart::Year),
                        ("yy", DatePart::YearOfCentury),
                        ("MM", DatePart::Month),
                        ("dd", DatePart::Day),
                    ];
                    let found = known
                        .iter()
                        .find_map(|(word, part)| Some((form.strip_prefix(word)?, *part)));
                    let (rest, part) = found.ok_or_else(unknown)?;
                    parts.push(part);
                    form = rest;
                }
                Ok(Self::Date(parts))
            }
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

//----------- RuleError ------------------------------------------------------

/// Why a text is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// It is too long.
    #[error("the rule has {chars} characters, the limit is {RULE_CHARS_MAX}")]
    TooLong {
        /// How many it has.
        chars: usize,
    },
    /// A brace has no partner, or there is a control character.
    #[error("the rule has a brace without its partner, or a control character")]
    Brace,
    /// A part is not known.
    #[error(
        "the rule has {{{0}}}; there are {{counter:N}} with 1 to {COUNTER_DIGITS_MAX} digits, \
         {{date:…}} of yyyy, yy, MM and dd, {{uuid}} and {{check}}"
    )]
    Part(String),
    /// It would make the same suffix again.
    #[error("the rule makes the same suffix again: it needs {{counter:N}} or {{uuid}}")]
    Once,
}

/// The counter has no more digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the counter of {digits} digits is used up; the template needs another rule")]
pub struct UsedUp {
    /// How many it has.
    pub digits: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: Seed = Seed {
        counter: 42,
        now_secs: 1_772_323_199, // 2026-02-28T23:59:59Z
        random: [0xff; 16],
    };

    fn mint(rule: &str) -> String {
        rule.parse::<Rule>().unwrap().mint(&SEED).unwrap()
    }

    #[test]
    fn suffix_has_the_parts_of_its_rule() {
        assert_eq!(mint("SN{date:yyyyMMdd}-{counter:6}"), "SN20260228-000042");
        assert_eq!(mint("{date:yyMM}{counter:2}"), "260242");
        assert_eq!(mint("{uuid}"), "ffffffffffff4fffbfffffffffffffff");
        assert_eq!(mint("标识{counter:3}"), "标识042");
    }

    /// The example of the Global Release Identifier, A1-2425G-ABC1234002-M.
    #[test]
    fn check_is_that_of_the_standard() {
        assert_eq!(check("A12425GABC1234002"), 'M');
        assert_eq!(check("a1-2425g-abc1234002-"), 'M');
    }

    #[test]
    fn check_tells_every_wrong_character() {
        let right = "SN20260228000042";
        for at in 0..right.len() {
            for other in ALPHABET {
                let mut wrong = right.as_bytes().to_vec();
                wrong[at] = *other;
                let wrong = String::from_utf8(wrong).unwrap();
                assert_eq!(check(&wrong) == check(right), wrong == right, "{wrong}");
            }
        }
    }

    #[test]
    fn counter_ends_with_its_digits() {
        let rule: Rule = "{counter:2}".parse().unwrap();
        assert_eq!(rule.counter_digits(), Some(2));
        let at = |counter| rule.mint(&Seed { counter, ..SEED });
        assert_eq!(at(99), Ok("99".to_owned()));
        assert_eq!(at(100), Err(UsedUp { digits: 2 }));
    }

    #[test]
    fn malformed_rules_are_refused() {
        for text in ["{", "}", "{uuid", "uuid}{uuid}", "{uuid}\n"] {
            assert_eq!(text.parse::<Rule>(), Err(RuleError::Brace), "{text:?}");
        }
        for text in [
            "{}",
            "{uid}",
            "{counter}",
            "{counter:0}",
            "{counter:19}",
            "{date}",
            "{date:y}",
            "{date:yyyyx}",
            "{uuid:4}",
            "{counter:-1}",
        ] {
            assert!(
                matches!(text.parse::<Rule>(), Err(RuleError::Part(_))),
                "{text}"
            );
        }
        for text in ["", "SN", "{date:yyyyMMdd}{check}"] {
            assert_eq!(text.parse::<Rule>(), Err(RuleError::Once), "{text}");
        }
        let long = "x".repeat(RULE_CHARS_MAX - 5);
        assert!(matches!(
            format!("{long}{{uuid}}").parse::<Rule>(),
            Err(RuleError::TooLong { .. })
        ));
        assert!(format!("{}{{uuid}}", &long[1..]).parse::<Rule>().is_ok());
    }
}
