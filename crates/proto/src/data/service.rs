//! HS_SERV and HS_ALIAS: data that is the name of another handle (clause 4.5.6; RFC 3651, 3.2.3
//! and 3.2.5).

use std::fmt;

use crate::error::{DecodeError, Reason};
use crate::name::{Handle, HandleRef, NameError};

/// The handle that a value names: a service handle for HS_SERV, another name for HS_ALIAS.
///
/// The data is the UTF-8 text alone, without a length in front of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target(Handle);

impl Target {
    /// A value that names `handle`.
    pub fn new(handle: Handle) -> Self {
        Self(handle)
    }

    /// Decodes the data of a value.
    pub fn decode(octets: &[u8]) -> Result<Self, DecodeError> {
        let handle = HandleRef::from_wire(octets).map_err(|error| match error {
            NameError::NotUtf8 { at } => DecodeError::new("handle", at, Reason::NotUtf8),
            _ => {
                let expected = "is not a handle: 1 to 2048 octets of UTF-8 are expected";
                DecodeError::new("handle", 0, Reason::Invalid(expected))
            }
        })?;
        Ok(Self(handle.to_owned()))
    }

    /// Encodes the data of a value.
    pub fn encode(&self) -> Vec<u8> {
        self.0.as_str().as_bytes().to_vec()
    }

    /// The handle.
    pub fn handle(&self) -> &Handle {
        &self.0
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_data_is_the_name() {
        let target = Target::decode("0.SERV/中".as_bytes()).unwrap();
        assert_eq!(target.handle().as_str(), "0.SERV/中");
        assert_eq!(target.encode(), "0.SERV/中".as_bytes());
    }

    #[test]
    fn empty_and_broken_names_are_refused() {
        assert!(Target::decode(b"").is_err());
        assert_eq!(
            Target::decode(b"a/\xff").unwrap_err().to_string(),
            "handle at octet 2: is not valid UTF-8"
        );
    }
}
