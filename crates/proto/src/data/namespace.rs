//! HS_NAMESPACE: facts about a whole prefix, as XML text (clause 4.5.7).
//!
//! Only the text is checked here, that it is UTF-8 and not beyond a bound; what its elements mean
//! is known where answers are made.

use crate::error::{DecodeError, Reason};

/// Largest namespace text in octets; a template needs a few hundred.
pub const NAMESPACE_LEN_MAX: usize = 65_536;

/// The XML text of a namespace value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace(Box<str>);

impl Namespace {
    /// Decodes the data of a value.
    pub fn decode(octets: &[u8]) -> Result<Self, DecodeError> {
        if octets.len() > NAMESPACE_LEN_MAX {
            let reason = Reason::TooLarge {
                found: octets.len(),
                limit: NAMESPACE_LEN_MAX,
            };
            return Err(DecodeError::new("namespace text", 0, reason));
        }
        let text = std::str::from_utf8(octets).map_err(|error| {
            DecodeError::new("namespace text", error.valid_up_to(), Reason::NotUtf8)
        })?;
        Ok(Self(text.into()))
    }

    /// The XML text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_beyond_the_bound_is_refused() {
        assert!(Namespace::decode(&vec![b' '; NAMESPACE_LEN_MAX]).is_ok());
        assert!(Namespace::decode(&vec![b' '; NAMESPACE_LEN_MAX + 1]).is_err());
    }

    #[test]
    fn text_that_is_not_utf8_is_refused() {
        let error = Namespace::decode(b"<namespace>\xff").unwrap_err();
        assert_eq!(
            error.to_string(),
            "namespace text at octet 11: is not valid UTF-8"
        );
    }
}
