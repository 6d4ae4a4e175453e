//! What a change makes of a record: pure, so that a dry run and the real thing are the same.

use std::collections::{BTreeMap, HashSet};

use guantong_proto::Value;
use guantong_proto::limits::VALUES_MAX;
use guantong_store::limits::RECORD_VALUES_OCTETS_MAX;

//----------- Change ---------------------------------------------------------

/// A change of one record.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// Write the record whole.
    Put(Vec<Value>),
    /// Add values under indexes that are free.
    Add(Vec<Value>),
    /// Replace values by their indexes.
    Modify(Vec<Value>),
    /// Remove values by their indexes.
    Remove(Vec<i32>),
    /// Delete the record.
    Delete,
}

/// The values that `change` makes of `old`; `None` if there is to be no record.
pub(super) fn plan(
    old: Option<&[Value]>,
    change: &Change,
) -> Result<Option<Vec<Value>>, PlanError> {
    if let Change::Put(values) = change {
        return Ok(Some(values.clone()));
    }
    let mut values: BTreeMap<i32, Value> = old
        .ok_or(PlanError::NoRecord)?
        .iter()
        .map(|value| (value.index, value.clone()))
        .collect();
    match change {
        Change::Put(_) => {}
        Change::Add(added) => {
            for value in added {
                if values.contains_key(&value.index) {
                    return Err(PlanError::IndexTaken(value.index));
                }
                values.insert(value.index, value.clone());
            }
        }
        Change::Modify(modified) => {
            for value in modified {
                match values.get_mut(&value.index) {
                    Some(old) => *old = value.clone(),
                    None => return Err(PlanError::NoIndex(value.index)),
                }
            }
        }
        Change::Remove(indexes) => {
            for &index in indexes {
                if values.remove(&index).is_none() {
                    return Err(PlanError::NoIndex(index));
                }
            }
        }
        Change::Delete => return Ok(None),
    }
    Ok(Some(values.into_values().collect()))
}

/// Why a change cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PlanError {
    /// There is no record to change.
    #[error("there is no such record: create it with `record put`")]
    NoRecord,
    /// A value to be changed is not there.
    #[error("there is no value with index {0}: look with `record get`")]
    NoIndex(i32),
    /// A value to be added has the index of another.
    #[error("index {0} is taken: use `record modify`, or another index")]
    IndexTaken(i32),
}

//----------- validate -------------------------------------------------------

/// Whether values may be stored as one record.
pub(super) fn validate(values: &[Value]) -> Result<(), ValuesError> {
    if values.len() > VALUES_MAX {
        return Err(ValuesError::TooMany {
            found: values.len(),
        });
    }
    let mut seen = HashSet::with_capacity(values.len());
    let mut octets = 4;
    for (at, value) in values.iter().enumerate() {
        if value.index <= 0 {
            let index = value.index;
            return Err(ValuesError::Index { at, index });
        }
        if !seen.insert(value.index) {
            return Err(ValuesError::Twice {
                at,
                index: value.index,
            });
        }
        octets += 26 + value.kind.len() + value.data.len();
    }
    match octets > RECORD_VALUES_OCTETS_MAX {
        true => Err(ValuesError::TooLarge { found: octets }),
        false => Ok(()),
    }
}

/// Why values cannot be stored as one record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValuesError {
    /// There are too many.
    #[error("the record has {found} values, the limit is {VALUES_MAX}")]
    TooMany {
        /// How many there are.
        found: usize,
    },
    /// An index is not above 0.
    #[error("values[{at}].index: expected a number above 0, found {index}")]
    Index {
        /// Position of the value.
        at: usize,
        /// Its index.
        index: i32,
    },
    /// Two values have one index.
    #[error("values[{at}].index: {index} is the index of another value of this record")]
    Twice {
        /// Position of the second value.
        at: usize,
        /// Its index.
        index: i32,
    },
    /// All values together are too large.
    #[error("the values have {found} octets, the limit is {RECORD_VALUES_OCTETS_MAX}")]
    TooLarge {
        /// How many octets they have.
        found: usize,
    },
}
