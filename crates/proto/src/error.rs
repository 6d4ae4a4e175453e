//! What can be wrong with bytes or names that came from elsewhere.

use std::fmt;

/// Why octets could not be decoded: which field, where, and what was expected.
///
/// The sender of the octets is at fault. Positions count from the start of the structure that was
/// handed to the decoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The structure or element being decoded, for example `value 3, HS_ADMIN`; may be empty.
    pub context: String,
    /// The field that could not be read.
    pub field: &'static str,
    /// Offset of that field in octets.
    pub at: usize,
    /// What is wrong with it.
    pub reason: Reason,
}

/// The precise reason of a [`DecodeError`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The field needs more octets than are left.
    Truncated {
        /// Octets that the field needs.
        needs: usize,
        /// Octets that are left.
        left: usize,
    },
    /// A length or count is negative.
    Negative(i32),
    /// A length or count is above its limit.
    TooLarge {
        /// What the peer announced.
        found: usize,
        /// The largest value accepted.
        limit: usize,
    },
    /// Text is not valid UTF-8.
    NotUtf8,
    /// Octets follow where none are allowed.
    TrailingOctets(usize),
    /// The value of the field is not allowed; the text says what was expected.
    Invalid(&'static str),
}

impl DecodeError {
    /// An error about `field` at offset `at`.
    pub fn new(field: &'static str, at: usize, reason: Reason) -> Self {
        Self {
            context: String::new(),
            field,
            at,
            reason,
        }
    }

    /// Puts the name of the enclosing structure in front.
    #[must_use]
    pub fn within(mut self, context: impl fmt::Display) -> Self {
        self.context = if self.context.is_empty() {
            context.to_string()
        } else {
            format!("{context}, {}", self.context)
        };
        self
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.context.is_empty() {
            write!(f, "{}: ", self.context)?;
        }
        write!(f, "{} at octet {}: {}", self.field, self.at, self.reason)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { needs, left } => write!(f, "needs {needs} octets, {left} left"),
            Self::Negative(n) => write!(f, "is negative ({n})"),
            Self::TooLarge { found, limit } => write!(f, "is {found}, the limit is {limit}"),
            Self::NotUtf8 => f.write_str("is not valid UTF-8"),
            Self::TrailingOctets(n) => write!(f, "is followed by {n} octets that do not belong"),
            Self::Invalid(expected) => f.write_str(expected),
        }
    }
}

impl std::error::Error for DecodeError {}
