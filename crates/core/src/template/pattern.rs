//! Patterns that texts must match, in the subset that means the same everywhere (RFC 9485).
//!
//! A template leaves us as JSON Schema, whose patterns are those of ECMAScript. `\d`, word
//! boundaries and groups with options mean different things in different engines, so they are
//! refused, as RFC 9485 (I-Regexp) does. Its mapping to ECMAScript (clause 5.3) is what is stored:
//! an unescaped dot becomes `[^\n\r]`. A pattern always speaks of the whole text.

use std::fmt;
use std::str::FromStr;

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::limit::{PATTERN_CHARS_MAX, PATTERN_OCTETS_MAX};

/// What surrounds a pattern in a schema.
const BEGIN: &str = "^(?:";
const END: &str = ")$";
/// What may follow a backslash (RFC 9485, clause 3.2, SingleCharEsc).
const ESCAPABLE: &str = "()*+-./?[\\]^nrt{|}$";

//----------- Pattern --------------------------------------------------------

/// A pattern that a whole text must match.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    whole: Regex,
}

impl Pattern {
    /// Whether all of `text` is what the pattern says.
    pub fn matches(&self, text: &str) -> bool {
        self.whole.is_match(text)
    }

    /// The pattern as it stands in a schema.
    pub(super) fn to_schema(&self) -> String {
        format!("{BEGIN}{}{END}", self.text)
    }

    /// Reads a pattern from a schema, where it says itself that it means the whole text.
    pub(super) fn from_schema(text: &str) -> Result<Self, PatternError> {
        if let Some(inner) = text.strip_prefix(BEGIN).and_then(|t| t.strip_suffix(END)) {
            return inner.parse();
        }
        let inner = text.strip_prefix('^').and_then(|t| t.strip_suffix('$'));
        // `^a|b$` means `^a` or `b$`.
        let inner = inner.filter(|inner| !inner.contains('|') && !inner.ends_with('\\'));
        inner.ok_or(PatternError::NotWhole)?.parse()
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let chars = text.chars().count();
        if chars > PATTERN_CHARS_MAX {
            return Err(PatternError::TooLong { chars });
        }
        let text = portable(text)?;
        let whole = RegexBuilder::new(&format!("{BEGIN}{text}{END}"))
            .size_limit(PATTERN_OCTETS_MAX)
            .dfa_size_limit(PATTERN_OCTETS_MAX)
            .build();
        let whole = whole.map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => PatternError::TooCostly,
            error => PatternError::Syntax(error.to_string()),
        })?;
        Ok(Self { text, whole })
    }
}

/// The pattern with its dots replaced, or what in it does not mean the same everywhere.
fn portable(text: &str) -> Result<String, PatternError> {
    let refuse = |what: &str| Err(PatternError::NotPortable(what.to_owned()));
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let (mut in_class, mut previous, mut depth) = (false, ' ', 0_usize);
    while let Some(char) = chars.next() {
        match char {
            '\\' => match chars.next() {
                // Outside of a class, ECMAScript knows no escaped hyphen.
                Some('-') if !in_class => {
                    out.push('-');
                    previous = ' ';
                    continue;
                }
                Some(next) if ESCAPABLE.contains(next) => {
                    out.extend(['\\', next]);
                    previous = ' ';
                    continue;
                }
                Some(next) => return refuse(&format!("\\{next}")),
                None => return refuse("a backslash at the end"),
            },
            '[' if in_class => return refuse("[ in a class; write \\["),
            '&' | '-' | '~' if in_class && previous == char => {
                return refuse(&format!("{char}{char} in a class"));
            }
            ']' if in_class => in_class = false,
            _ if in_class => {}
            '[' => in_class = true,
            '(' if chars.peek() == Some(&'?') => return refuse("(?"),
            '(' => depth += 1,
            ')' if depth == 0 => return refuse(") without ("),
            ')' => depth -= 1,
            '^' | '$' => return refuse("^ and $; a pattern speaks of the whole text"),
            '*' | '+' | '?' | '}' if matches!(chars.peek(), Some('?' | '+' | '*')) => {
                return refuse("a quantifier behind a quantifier");
            }
            '.' => {
                out.push_str("[^\\n\\r]");
                previous = ' ';
                continue;
            }
            _ => {}
        }
        out.push(char);
        previous = char;
    }
    Ok(out)
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

//----------- PatternError ---------------------------------------------------

/// Why a text is no pattern of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// It is too long.
    #[error("the pattern has {chars} characters, the limit is {PATTERN_CHARS_MAX}")]
    TooLong {
        /// How many it has.
        chars: usize,
    },
    /// It would need too much memory.
    #[error("the pattern takes more than {PATTERN_OCTETS_MAX} octets when compiled")]
    TooCostly,
    /// It has something that does not mean the same everywhere.
    #[error("the pattern has {0}, which does not mean the same everywhere (RFC 9485)")]
    NotPortable(String),
    /// It is malformed.
    #[error("the pattern is malformed: {0}")]
    Syntax(String),
    /// In a schema, it matches parts of a text.
    #[error("the pattern must speak of the whole text: write `^(?:…)$`")]
    NotWhole,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pattern_speaks_of_the_whole_text() {
        let pattern: Pattern = "[A-Z]{2}[0-9]+|x.y".parse().unwrap();
        for (text, expected) in [
            ("AB1", true),
            ("AB1 ", false),
            ("xAB1", false),
            ("x-y", true),
            ("x\ny", false),
            ("", false),
        ] {
            assert_eq!(pattern.matches(text), expected, "{text:?}");
        }
        assert_eq!(Pattern::from_schema(&pattern.to_schema()), Ok(pattern));
    }

    #[test]
    fn what_engines_read_differently_is_refused() {
        for text in [
            "\\d", "\\w+", "\\bx", "(?i)x", "(?:x)", "^x", "x$", "[a[b]]", "[a&&b]", "[a--b]",
            "x*?", "x++", "x{2}?", "\\", "\\p{L}", "\\1", "\\u0041", ")(",
        ] {
            let error = text.parse::<Pattern>().unwrap_err();
            assert!(
                matches!(error, PatternError::NotPortable(_)),
                "{text}: {error}"
            );
        }
        for text in ["[", "(", "x{2", "*", "[z-a]"] {
            let error = text.parse::<Pattern>().unwrap_err();
            assert!(matches!(error, PatternError::Syntax(_)), "{text}: {error}");
        }
    }

    #[test]
    fn length_and_cost_of_a_pattern_are_bounded() {
        let long = "x".repeat(PATTERN_CHARS_MAX + 1);
        assert!(long[1..].parse::<Pattern>().is_ok());
        assert!(matches!(
            long.parse::<Pattern>(),
            Err(PatternError::TooLong { .. })
        ));
        let costly = "((([a-z]{100}){100}){100}){100}";
        assert_eq!(costly.parse::<Pattern>(), Err(PatternError::TooCostly));
    }

    #[test]
    fn pattern_of_a_schema_must_mean_the_whole_text() {
        assert_eq!(Pattern::from_schema("^ab$").unwrap().to_string(), "ab");
        for text in ["ab", "^ab", "ab$", "^a|b$", "^a\\$"] {
            assert_eq!(
                Pattern::from_schema(text),
                Err(PatternError::NotWhole),
                "{text}"
            );
        }
    }
}
