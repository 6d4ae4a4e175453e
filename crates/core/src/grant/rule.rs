//! Readers and writers, as they are stored.

use guantong_proto::{Permissions, Value};
use serde::{Deserialize, Serialize};

use super::subject::Subject;

pub use guantong_proto::data::GRANT_TYPE;

/// Most subjects of one list of a rule. More are a group: a rule is read with every value that it
/// is about, and the rules of all fields stand in one record.
pub const SUBJECTS_MAX: usize = 64;
/// Most octets of a stored rule that is read: two full lists, every octet escaped.
const RULE_OCTETS_MAX: usize = 2 * SUBJECTS_MAX * 6 * 280;

//----------- Rule -----------------------------------------------------------

/// Who reads and who writes. Empty, it grants nothing.
///
/// ```text
/// {"readers":["everybody","300:88.118.5/App_1"],"writers":["200:88.118.6/Group_1"]}
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Who reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub readers: Vec<Subject>,
    /// Who writes; never everybody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub writers: Vec<Subject>,
}

impl Rule {
    /// The rule that is stored in these octets.
    pub fn decode(octets: &[u8]) -> Result<Self, RuleError> {
        if octets.len() > RULE_OCTETS_MAX {
            return Err(RuleError::TooLarge {
                octets: octets.len(),
            });
        }
        let rule: Self = serde_json::from_slice(octets)
            .map_err(|error| RuleError::Unreadable(error.to_string()))?;
        rule.check()?;
        Ok(rule)
    }

    /// Refuses what is not to be stored.
    pub fn check(&self) -> Result<(), RuleError> {
        for (list, subjects) in [("readers", &self.readers), ("writers", &self.writers)] {
            let count = subjects.len();
            if count > SUBJECTS_MAX {
                return Err(RuleError::TooMany { list, count });
            }
        }
        match self.writers.contains(&Subject::Everybody) {
            true => Err(RuleError::EverybodyWrites),
            false => Ok(()),
        }
    }

    /// The octets that are stored.
    pub fn encode(&self) -> Vec<u8> {
        // There are no maps with keys other than text, and no numbers: writing does not fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The value that says so, for administrators alone.
    pub fn to_value(&self, index: i32) -> Value {
        Value {
            permissions: Permissions(Permissions::ADMIN_READ | Permissions::ADMIN_WRITE),
            ..Value::new(index, GRANT_TYPE, self.encode())
        }
    }

    /// Whether it grants nothing.
    pub fn is_empty(&self) -> bool {
        self.readers.is_empty() && self.writers.is_empty()
    }

    /// Whether everybody reads.
    pub fn is_public(&self) -> bool {
        self.readers.contains(&Subject::Everybody)
    }
}

//----------- RuleError ------------------------------------------------------

/// Why a rule cannot be stored, or is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// There is more than a rule can have.
    #[error("the rule has {octets} octets, the limit is {RULE_OCTETS_MAX}")]
    TooLarge {
        /// How much there is.
        octets: usize,
    },
    /// It is no JSON of a rule.
    #[error("the rule cannot be read: {0}")]
    Unreadable(String),
    /// One list is too long.
    #[error("{list} would be {count}, the limit is {SUBJECTS_MAX}: grant to a group instead")]
    TooMany {
        /// Which list.
        list: &'static str,
        /// How many there would be.
        count: usize,
    },
    /// What everybody may write is nobody's.
    #[error("`everybody` may read and not write: name identities or groups")]
    EverybodyWrites,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subjects(count: usize) -> Vec<Subject> {
        let subject = |n| format!("300:88.118.5/App_{n}").parse().unwrap();
        (0..count).map(subject).collect()
    }

    #[test]
    fn rule_is_read_as_it_was_written() {
        let rule = Rule {
            readers: [subjects(SUBJECTS_MAX - 1), vec![Subject::Everybody]].concat(),
            writers: subjects(SUBJECTS_MAX),
        };
        assert_eq!(Rule::decode(&rule.encode()), Ok(rule.clone()));
        assert!(rule.is_public() && !rule.is_empty());
        let value = rule.to_value(1_003);
        assert_eq!(
            (value.permissions.0, value.kind.as_str()),
            (0b1100, "GT_GRANT")
        );
        assert_eq!(Rule::decode(b"{}"), Ok(Rule::default()));
    }

    #[test]
    fn longest_rule_is_read_again() {
        let long = format!("300:88.118.5/{}", "\u{1}".repeat(240));
        let lists = vec![long.parse().unwrap(); SUBJECTS_MAX];
        let rule = Rule {
            readers: lists.clone(),
            writers: lists,
        };
        assert_eq!(Rule::decode(&rule.encode()), Ok(rule));
    }

    #[test]
    fn what_is_no_rule_is_refused_and_does_not_panic() {
        let many = Rule {
            readers: subjects(SUBJECTS_MAX + 1),
            ..Rule::default()
        };
        assert!(matches!(
            Rule::decode(&many.encode()),
            Err(RuleError::TooMany { .. })
        ));
        let open = Rule {
            writers: vec![Subject::Everybody],
            ..Rule::default()
        };
        assert_eq!(
            Rule::decode(&open.encode()),
            Err(RuleError::EverybodyWrites)
        );
        let large = vec![b' '; RULE_OCTETS_MAX + 1];
        assert!(matches!(
            Rule::decode(&large),
            Err(RuleError::TooLarge { .. })
        ));
        let whole = Rule {
            readers: subjects(2),
            writers: subjects(1),
        }
        .encode();
        for len in 0..whole.len() {
            assert!(Rule::decode(&whole[..len]).is_err(), "{len}");
        }
        for data in [
            &b"[7]"[..],
            b"null",
            b"{\"owners\":[]}",
            b"{\"readers\":[7]}",
            b"\xff",
        ] {
            assert!(Rule::decode(data).is_err(), "{data:?}");
        }
    }
}
