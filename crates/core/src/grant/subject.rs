//! Whom a grant names.

use std::fmt;
use std::str::FromStr;

use guantong_proto::{CaseRule, Handle, HandleRef, NameError};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Index of the key of an identity (应用标识身份), by custom.
pub const KEY_INDEX: i32 = 300;
/// Index of the members of a group (标识身份组), by custom; groups have those up to the keys.
pub const GROUP_INDEX: i32 = 200;
/// Most octets of a handle that a grant names: what enterprise nodes take.
const HANDLE_OCTETS_MAX: usize = 255;
const EVERYBODY: &str = "everybody";

//----------- Subject --------------------------------------------------------

/// Whom a grant names. Written `everybody`, `300:88.118.5/App_1` or `200:88.118.5/Group_1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "GrantsSubject", with = "String")
)]
pub enum Subject {
    /// Whoever asks, without a proof of who he is.
    Everybody,
    /// The holder of a key, or the members of a group.
    Named {
        /// Index of the key or of the list of members; 0 fits any key of the handle.
        index: i32,
        /// Handle of the record that has it.
        handle: Handle,
    },
}

impl Subject {
    /// Whether it names the members of a list, and not a key.
    pub fn is_group(&self) -> bool {
        matches!(self, Self::Named { index, .. } if is_group_index(*index))
    }

    /// Whether both name the same, in whatever spelling.
    pub fn is(&self, other: &Self, rule: CaseRule) -> bool {
        match (self, other) {
            (Self::Everybody, Self::Everybody) => true,
            (
                Self::Named { index, handle },
                Self::Named {
                    index: i,
                    handle: h,
                },
            ) => index == i && handle.key(rule) == h.key(rule),
            _ => false,
        }
    }

    /// The handle of the record that it names.
    pub fn handle(&self) -> Option<HandleRef<'_>> {
        match self {
            Self::Everybody => None,
            Self::Named { handle, .. } => Some(handle.borrow()),
        }
    }

    /// Whom an application names that writes a handle without an index: a group if the suffix says
    /// so (`Group_…`), any key otherwise.
    pub fn of_handle(handle: Handle) -> Self {
        let suffix = handle.borrow().suffix();
        let head = suffix.get(..GROUP_SUFFIX.len()).unwrap_or_default();
        let index = match head.eq_ignore_ascii_case(GROUP_SUFFIX) {
            true => GROUP_INDEX,
            false => 0,
        };
        Self::Named { index, handle }
    }
}

const GROUP_SUFFIX: &str = "Group_";

/// Whether the lists of members have this index, by custom: administrators stand at 100, groups at
/// 200, keys at 300.
pub(super) fn is_group_index(index: i32) -> bool {
    (GROUP_INDEX..KEY_INDEX).contains(&index)
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everybody => f.write_str(EVERYBODY),
            Self::Named { index, handle } => write!(f, "{index}:{handle}"),
        }
    }
}

impl FromStr for Subject {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, SubjectError> {
        if text == EVERYBODY {
            return Ok(Self::Everybody);
        }
        let (index, name) = match text.split_once(':') {
            Some((index, name)) if index.bytes().all(|octet| octet.is_ascii_digit()) => {
                (Some(index), name)
            }
            _ => (None, text),
        };
        if name.len() > HANDLE_OCTETS_MAX {
            return Err(SubjectError::TooLong);
        }
        let handle = Handle::parse(name)?;
        if handle.borrow().is_slashless() {
            return Err(SubjectError::NoSuffix);
        }
        match index {
            None => Ok(Self::of_handle(handle)),
            Some(index) => {
                let index = index.parse().map_err(|_| SubjectError::Index)?;
                Ok(Self::Named { index, handle })
            }
        }
    }
}

impl Serialize for Subject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

//----------- SubjectError ---------------------------------------------------

/// Why a text names nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubjectError {
    /// What stands in front of the colon is too large.
    #[error("has an index that no value can have")]
    Index,
    /// The handle is longer than identities are.
    #[error("is longer than {HANDLE_OCTETS_MAX} octets")]
    TooLong,
    /// It is a word, or a prefix.
    #[error("names no identity: write `everybody`, `300:PREFIX/App_…` or `200:PREFIX/Group_…`")]
    NoSuffix,
    /// It is no handle.
    #[error(transparent)]
    Handle(#[from] NameError),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn subject_is_everybody_or_a_key_or_a_group() {
        for (text, written, group) in [
            ("everybody", "everybody", false),
            ("300:88.118.5/App_1", "300:88.118.5/App_1", false),
            ("0:88.118.5/App_1", "0:88.118.5/App_1", false),
            ("200:88.118.5/Group_1", "200:88.118.5/Group_1", true),
            ("299:88.118.5/x", "299:88.118.5/x", true),
            ("88.118.5/App_1", "0:88.118.5/App_1", false),
            ("88.118.5/group_1", "200:88.118.5/group_1", true),
            ("88.118.5/App:1", "0:88.118.5/App:1", false),
        ] {
            let subject: Subject = text.parse().unwrap();
            assert_eq!(
                (subject.to_string().as_str(), subject.is_group()),
                (written, group)
            );
        }
        for text in [
            "",
            "Everybody",
            "300:",
            "99999999999:88.1/a",
            "300:88.118",
            "0.NA",
        ] {
            assert!(text.parse::<Subject>().is_err(), "{text}");
        }
        let long = format!("300:88.1/{}", "a".repeat(HANDLE_OCTETS_MAX));
        assert_eq!(long.parse::<Subject>(), Err(SubjectError::TooLong));
    }

    #[test]
    fn spelling_makes_no_other_subject() {
        let of = |text: &str| text.parse::<Subject>().unwrap();
        let same = |a: &str, b: &str| of(a).is(&of(b), CaseRule::Insensitive);
        assert!(same("300:88.118.5/App_1", "300:88.118.5/APP_1"));
        assert!(!same("300:88.118.5/App_1", "0:88.118.5/App_1"));
        assert!(!same("everybody", "0:88.118.5/App_1"));
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_so_that_it_is_read_again(
            text in "\\PC{0,24}|[0-9]{1,4}:\\PC{1,9}/\\PC{0,9}",
        ) {
            if let Ok(subject) = text.parse::<Subject>() {
                prop_assert_eq!(subject.to_string().parse::<Subject>(), Ok(subject));
            }
        }
    }
}
