//! What may be stored as a record.

use std::collections::HashSet;

use guantong_proto::data::{Data, STATE_INDEX, STATE_TYPE};
use guantong_proto::limits::{HANDLE_LEN_MAX, HEADER_LEN, MESSAGE_LEN_MAX, VALUES_MAX};
use guantong_proto::{DecodeError, Permissions, Value, is_secret};

/// Octets of a reply that are not values: name with length, request digest, signature of a key of
/// 4096 bits with what surrounds it, rounded up.
const REPLY_OVERHEAD: usize = 4 + HANDLE_LEN_MAX + 33 + 1_024;
/// Most octets of the values of a record in wire form, so that one message carries all of them.
pub const RECORD_OCTETS_MAX: usize = MESSAGE_LEN_MAX - HEADER_LEN - REPLY_OVERHEAD;

//----------- validate -------------------------------------------------------

/// Checks the values of a record that is to be stored. The first fault is returned.
///
/// Data of predefined types must decode, because others rely on it: a damaged HS_ADMIN locks its
/// owners out, a damaged HS_SITE makes a prefix unreachable. Data of other types is not looked at.
pub fn validate(values: &[Value]) -> Result<(), Invalid> {
    if values.len() > VALUES_MAX {
        let found = values.len();
        return Err(Invalid::whole(InvalidReason::TooManyValues { found }));
    }
    let mut indexes = Indexes::default();
    let (mut total, mut states) = (4, 0);
    for value in values {
        let fault = |reason| {
            Err(Invalid {
                index: Some(value.index),
                reason,
            })
        };
        if value.index <= 0 {
            return fault(InvalidReason::IndexNotPositive);
        }
        if !indexes.insert(value.index) {
            return fault(InvalidReason::IndexTwice);
        }
        if is_secret(value.kind.as_bytes()) && value.permissions.public_read() {
            return fault(InvalidReason::PublicSecret);
        }
        if value.is_state() {
            if states > 0 || value.index != STATE_INDEX {
                return fault(InvalidReason::StateElsewhere);
            }
            if value.permissions != Permissions::default() {
                return fault(InvalidReason::StatePermissions);
            }
            states += 1;
        }
        if !Data::is_opaque(&value.kind)
            && let Err(error) = Data::decode_strict(&value.kind, &value.data)
        {
            return fault(InvalidReason::Data(error));
        }
        if let Some(reference) = value
            .references
            .iter()
            .find(|r| r.handle.len() > HANDLE_LEN_MAX)
        {
            let len = reference.handle.len();
            return fault(InvalidReason::ReferenceTooLong { len });
        }
        total += value.encoded_len();
    }
    match total > RECORD_OCTETS_MAX {
        true => Err(Invalid::whole(InvalidReason::TooLarge { found: total })),
        false => Ok(()),
    }
}

//----------- Indexes --------------------------------------------------------

/// Indexes that were met. Few, as records mostly have, are compared without a table.
#[derive(Default)]
struct Indexes {
    few: [i32; 16],
    count: usize,
    more: HashSet<i32>,
}

impl Indexes {
    /// Whether it is a new one.
    fn insert(&mut self, index: i32) -> bool {
        if self.few[..self.count].contains(&index) {
            return false;
        }
        match self.few.get_mut(self.count) {
            Some(free) => {
                *free = index;
                self.count += 1;
                true
            }
            None => self.more.insert(index),
        }
    }
}

//----------- Invalid --------------------------------------------------------

/// Why values cannot be stored as one record (202).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Index of the value at fault; `None` if it is all of them together.
    pub index: Option<i32>,
    /// What is wrong.
    pub reason: InvalidReason,
}

/// What is wrong with the values of a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidReason {
    /// There are more values than a message carries.
    #[error("the record has {found} values, the limit is {VALUES_MAX}")]
    TooManyValues {
        /// How many there are.
        found: usize,
    },
    /// All values together do not fit into a message.
    #[error("the values have {found} octets together, the limit is {RECORD_OCTETS_MAX}")]
    TooLarge {
        /// How many octets they have.
        found: usize,
    },
    /// The index is 0 or negative.
    #[error("an index must be above 0")]
    IndexNotPositive,
    /// Two values have the index.
    #[error("two values have this index")]
    IndexTwice,
    /// A secret key that anybody could read.
    #[error("a secret key must not be publicly readable; use the permissions 1100")]
    PublicSecret,
    /// A state of the record that stands where nobody looks for it.
    #[error("a record has one state, with the index {STATE_INDEX} and the type {STATE_TYPE}")]
    StateElsewhere,
    /// A state that the public could not read, or could change.
    #[error("a state has the permissions 1110: anybody reads it, administrators write it")]
    StatePermissions,
    /// The data does not have the form that its type prescribes.
    #[error("the data does not fit its type: {0}")]
    Data(DecodeError),
    /// A reference names a handle that is too long.
    #[error("a reference has a handle of {len} octets, the limit is {HANDLE_LEN_MAX}")]
    ReferenceTooLong {
        /// Its length in octets.
        len: usize,
    },
}

impl Invalid {
    fn whole(reason: InvalidReason) -> Self {
        Self {
            index: None,
            reason,
        }
    }
}

impl std::fmt::Display for Invalid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.index {
            Some(index) => write!(f, "value {index}: {}", self.reason),
            None => self.reason.fmt(f),
        }
    }
}

impl std::error::Error for Invalid {}

#[cfg(test)]
mod tests {
    use guantong_proto::Reference;

    use super::*;

    #[track_caller]
    fn check(values: &[Value], says: &str) {
        assert_eq!(validate(values).unwrap_err().to_string(), says);
    }

    #[test]
    fn indexes_are_positive_and_unique() {
        check(
            &[Value::new(0, "URL", "x")],
            "value 0: an index must be above 0",
        );
        check(
            &[Value::new(-3, "URL", "x")],
            "value -3: an index must be above 0",
        );
        let twice = [Value::new(1, "URL", "x"), Value::new(1, "EMAIL", "y")];
        check(&twice, "value 1: two values have this index");
        for again in [1, 16, 17, 40] {
            let mut values: Vec<Value> = (1..=40).map(|n| Value::new(n, "T", "")).collect();
            values.push(Value::new(again, "T", ""));
            check(
                &values,
                &format!("value {again}: two values have this index"),
            );
        }
    }

    #[test]
    fn as_many_values_as_a_message_carries_are_taken_and_no_more() {
        let values: Vec<Value> = (1..=2_049)
            .map(|index| Value::new(index, "T", ""))
            .collect();
        check(&values, "the record has 2049 values, the limit is 2048");
        assert_eq!(validate(&values[..2_048]), Ok(()));
    }

    #[test]
    fn as_many_octets_as_an_answer_carries_are_taken_and_no_more() {
        let of = |len| vec![Value::new(1, "T", vec![0; len])];
        let fits = RECORD_OCTETS_MAX - 4 - 27;
        assert_eq!(validate(&of(fits)), Ok(()));
        let found = RECORD_OCTETS_MAX + 1;
        let says = format!("the values have {found} octets together, the limit is 259011");
        check(&of(fits + 1), &says);
    }

    #[test]
    fn predefined_types_must_decode() {
        let says = "value 100: the data does not fit its type: HS_ADMIN: \
                    permissions at octet 0: needs 2 octets, 1 left";
        check(&[Value::new(100, "HS_ADMIN", "x")], says);
        assert!(validate(&[Value::new(1, "HS_SITE.6", "x")]).is_err());
        assert_eq!(validate(&[Value::new(1, "HS_SITES", "x")]), Ok(()));
    }

    #[test]
    fn public_secret_key_is_refused() {
        let mut value = Value::new(301, "HS_SECKEY", "secret");
        let says =
            "value 301: a secret key must not be publicly readable; use the permissions 1100";
        check(std::slice::from_ref(&value), says);
        value.permissions = Permissions(Permissions::ADMIN_READ | Permissions::ADMIN_WRITE);
        assert_eq!(validate(&[value]), Ok(()));
    }

    #[test]
    fn state_stands_at_its_index_with_its_permissions_and_can_be_read() {
        let state = |index, data: &str| Value::new(index, "GT_STATE", data);
        let reserved = state(1_900, r#"{"state":"reserved"}"#);
        assert_eq!(validate(std::slice::from_ref(&reserved)), Ok(()));
        let elsewhere = "a record has one state, with the index 1900 and the type GT_STATE";
        let at = state(1, r#"{"state":"reserved"}"#);
        check(std::slice::from_ref(&at), &format!("value 1: {elsewhere}"));
        check(&[reserved.clone(), at], &format!("value 1: {elsewhere}"));
        let open = Value {
            permissions: Permissions(0xf),
            ..reserved
        };
        check(
            &[open],
            "value 1900: a state has the permissions 1110: anybody reads it, administrators write it",
        );
        check(
            &[state(1_900, "gone")],
            "value 1900: the data does not fit its type: GT_STATE: \
             state at octet 0: is not a JSON object with `state`",
        );
    }

    #[test]
    fn overlong_reference_is_refused() {
        let mut value = Value::new(1, "T", "");
        value.references.push(Reference {
            handle: "a".repeat(2_049),
            index: 1,
        });
        check(
            std::slice::from_ref(&value),
            "value 1: a reference has a handle of 2049 octets, the limit is 2048",
        );
    }
}
