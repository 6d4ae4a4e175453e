//! What a change makes of a record.

use std::collections::HashSet;

use guantong_proto::Value;
use guantong_proto::data::{STATE_INDEX, State, StateData};
use guantong_proto::message::ResponseCode;

use super::validate::{Invalid, InvalidReason, validate};

//----------- Change ---------------------------------------------------------

/// A change of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Write a record that is not there yet.
    Create(Vec<Value>),
    /// Write the record whole, whether it is there or not.
    Put(Vec<Value>),
    /// Add values under indexes that are free.
    Add(Vec<Value>),
    /// Add values, in place of those whose indexes they have.
    Write(Vec<Value>),
    /// Replace values by their indexes.
    Modify(Vec<Value>),
    /// Remove values by their indexes.
    Remove(Vec<i32>),
    /// Delete the record.
    Delete,
    /// Put the record into this state, `None` being public. Reserving makes a record where there is
    /// none.
    State(Option<StateData>),
}

/// Which timestamps the values of a change get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timestamps {
    /// Seconds since 1970, whatever the change says; a value that stays the same keeps its own.
    Set(u32),
    /// Those of the change, where they are not 0; as with `Set` otherwise. For imports.
    Keep(u32),
}

//----------- plan -----------------------------------------------------------

/// The values that `change` makes of `current` (`None`: there is no record); `None` if there is to
/// be no record.
///
/// All of a change is applied, or it is a [`Conflict`] and nothing is. Values keep their order, new
/// ones come last. A value without admin-write can be changed by nobody (4.2), except by writing or
/// deleting the record whole.
pub fn plan(
    current: Option<&[Value]>,
    change: &Change,
    timestamps: Timestamps,
) -> Result<Option<Vec<Value>>, Conflict> {
    let mut values = match (change, current) {
        (Change::Create(_), Some(_)) => return Err(Conflict::RecordExists),
        (Change::Create(new) | Change::Put(new), _) => new.clone(),
        (Change::State(Some(data)), None) if data.state() == State::Reserved => {
            vec![data.to_value()]
        }
        (_, None) => return Err(Conflict::NoRecord),
        (Change::State(state), Some(current)) => set_state(current, state.as_ref())?,
        (Change::Delete, Some(_)) => return Ok(None),
        (Change::Add(added), Some(current)) => add(current, added)?,
        (Change::Write(written), Some(current)) => write(current, written)?,
        (Change::Modify(modified), Some(current)) => modify(current, modified)?,
        (Change::Remove(indexes), Some(current)) => remove(current, indexes)?,
    };
    stamp(&mut values, current.unwrap_or_default(), timestamps);
    validate(&values)?;
    Ok(Some(values))
}

fn add(current: &[Value], added: &[Value]) -> Result<Vec<Value>, Conflict> {
    let taken = |new: &&Value| current.iter().any(|value| value.index == new.index);
    if let Some(new) = added.iter().find(taken) {
        return Err(Conflict::ValueExists { index: new.index });
    }
    Ok([current, added].concat())
}

fn write(current: &[Value], written: &[Value]) -> Result<Vec<Value>, Conflict> {
    let is_there = |new: &&Value| current.iter().any(|value| value.index == new.index);
    let (modified, added): (Vec<_>, Vec<_>) = written.iter().cloned().partition(|v| is_there(&v));
    add(&modify(current, &modified)?, &added)
}

fn modify(current: &[Value], modified: &[Value]) -> Result<Vec<Value>, Conflict> {
    let mut values = current.to_vec();
    let mut indexes = HashSet::new();
    for new in modified {
        if !indexes.insert(new.index) {
            return Err(Conflict::Invalid(Invalid {
                index: Some(new.index),
                reason: InvalidReason::IndexTwice,
            }));
        }
        let position = writable(current, new.index)?;
        values[position] = new.clone();
    }
    Ok(values)
}

fn remove(current: &[Value], indexes: &[i32]) -> Result<Vec<Value>, Conflict> {
    for &index in indexes {
        writable(current, index)?;
    }
    let stays = |value: &&Value| !indexes.contains(&value.index);
    Ok(current.iter().filter(stays).cloned().collect())
}

/// A state that says the same as the one before keeps its time.
fn set_state(current: &[Value], state: Option<&StateData>) -> Result<Vec<Value>, Conflict> {
    let old = state_of(current);
    let mut values: Vec<Value> = current.iter().filter(|v| !v.is_state()).cloned().collect();
    let Some(state) = state else {
        return Ok(values);
    };
    if old
        .as_ref()
        .is_some_and(|old| old.is_same_but_for_time(state))
    {
        return Ok(current.to_vec());
    }
    if state.state() == State::Reserved && is_withdrawn(current) {
        return Err(Conflict::Withdrawn);
    }
    if values.iter().any(|value| value.index == STATE_INDEX) {
        return Err(Conflict::ValueExists { index: STATE_INDEX });
    }
    values.push(state.to_value());
    Ok(values)
}

/// What the record says of itself, if that can be read.
fn state_of(values: &[Value]) -> Option<StateData> {
    let state = values.iter().find(|value| value.is_state())?;
    StateData::decode(&state.data).ok()
}

/// Whether these are the values of a withdrawn record.
pub(super) fn is_withdrawn(values: &[Value]) -> bool {
    state_of(values).is_some_and(|data| data.state() == State::Withdrawn)
}

/// The change of the state that `change` comes to, if it touches nothing but the state: then it
/// needs other rights than a change of a value.
pub(super) fn as_state(change: &Change, current: &[Value], now_secs: u32) -> Option<Change> {
    let has_state = current.iter().any(Value::is_state);
    let new = match change {
        Change::Add(new) if !has_state => new,
        Change::Modify(new) if has_state => new,
        Change::Write(new) => new,
        Change::Remove(indexes) => {
            let is_state = |index: &i32| {
                let value = current.iter().find(|value| value.index == *index);
                value.is_some_and(Value::is_state)
            };
            let is_meant = !indexes.is_empty() && indexes.iter().all(is_state);
            return is_meant.then_some(Change::State(None));
        }
        _ => return None,
    };
    let [value] = new.as_slice() else {
        return None;
    };
    let data = StateData::decode(&value.data)
        .ok()
        .filter(|_| value.is_state())?;
    Some(Change::State(Some(match data.since_secs() {
        Some(_) => data,
        None => data.with_since(now_secs.into()),
    })))
}

/// Position of a value that may be changed.
fn writable(current: &[Value], index: i32) -> Result<usize, Conflict> {
    let found = current
        .iter()
        .enumerate()
        .find(|(_, value)| value.index == index);
    let (position, value) = found.ok_or(Conflict::NoValue { index })?;
    match value.permissions.admin_write() {
        true => Ok(position),
        false => Err(Conflict::ReadOnly { index }),
    }
}

fn stamp(values: &mut [Value], current: &[Value], timestamps: Timestamps) {
    let (now_secs, keep) = match timestamps {
        Timestamps::Set(now_secs) => (now_secs, false),
        Timestamps::Keep(now_secs) => (now_secs, true),
    };
    let old: std::collections::HashMap<i32, &Value> =
        current.iter().map(|value| (value.index, value)).collect();
    for value in values {
        if keep && value.timestamp != 0 {
            continue;
        }
        let unchanged = old
            .get(&value.index)
            .filter(|old| old.is_same_but_for_time(value));
        value.timestamp = unchanged.map_or(now_secs, |old| old.timestamp);
    }
}

//----------- Conflict -------------------------------------------------------

/// Why a change cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Conflict {
    /// There is no record to change.
    #[error("there is no such record")]
    NoRecord,
    /// The record to be created is there.
    #[error("the record exists")]
    RecordExists,
    /// The name is withdrawn, and a record is to take its place.
    #[error("the name is withdrawn and is not given again: publish it first")]
    Withdrawn,
    /// A value to be changed or removed is not there.
    #[error("there is no value with index {index}")]
    NoValue {
        /// The index asked for.
        index: i32,
    },
    /// A value to be added has the index of another.
    #[error("a value with index {index} exists")]
    ValueExists {
        /// The index that is taken.
        index: i32,
    },
    /// The permissions of a value let nobody change it.
    #[error("value {index} is read-only: its permissions give no administrator the right to write")]
    ReadOnly {
        /// Its index.
        index: i32,
    },
    /// The record would not be one that can be stored.
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

impl Conflict {
    /// The response code that says the same to a peer (3.2).
    pub fn code(&self) -> ResponseCode {
        match self {
            Self::NoRecord => ResponseCode::HANDLE_NOT_FOUND,
            Self::RecordExists | Self::Withdrawn => ResponseCode::HANDLE_ALREADY_EXISTS,
            Self::NoValue { .. } => ResponseCode::VALUES_NOT_FOUND,
            Self::ValueExists { .. } => ResponseCode::VALUE_ALREADY_EXISTS,
            Self::ReadOnly { .. } => ResponseCode::INSUFFICIENT_PERMISSIONS,
            Self::Invalid(Invalid {
                reason: InvalidReason::IndexTwice,
                ..
            }) => ResponseCode::VALUE_ALREADY_EXISTS,
            Self::Invalid(_) => ResponseCode::INVALID_VALUE,
        }
    }
}

#[cfg(test)]
mod tests {
    use guantong_proto::Permissions;

    use super::*;

    const NOW: Timestamps = Timestamps::Set(1_000);

    fn value(index: i32, data: &str, timestamp: u32) -> Value {
        Value {
            timestamp,
            ..Value::new(index, "T", data)
        }
    }

    fn current() -> Vec<Value> {
        let mut values = vec![value(1, "a", 10), value(9, "b", 20), value(3, "c", 30)];
        values[2].permissions = Permissions(Permissions::PUBLIC_READ);
        values
    }

    fn state(text: &str) -> StateData {
        StateData::decode(text.as_bytes()).unwrap()
    }

    #[test]
    fn record_goes_from_state_to_state_and_keeps_its_values() {
        let set = |current: Option<&[Value]>, state: Option<&StateData>| {
            plan(current, &Change::State(state.cloned()), NOW)
        };
        let reserved = state(r#"{"state":"reserved"}"#);
        let withdrawn = state(r#"{"state":"withdrawn","since":"2026-01-01T00:00:00Z"}"#);
        let again = state(r#"{"state":"withdrawn","since":"2027-01-01T00:00:00Z"}"#);
        let changed = state(r#"{"state":"withdrawn","reason":"lost"}"#);
        let made = set(None, Some(&reserved)).unwrap().unwrap();
        assert!(made[0].is_state() && made.len() == 1);
        assert_eq!(set(None, Some(&withdrawn)), Err(Conflict::NoRecord));
        assert_eq!(set(None, None), Err(Conflict::NoRecord));

        let current = current();
        let first = set(Some(&current), Some(&reserved)).unwrap().unwrap();
        let second = set(Some(&first), Some(&withdrawn)).unwrap().unwrap();
        assert_eq!((second.len(), second[..3] == current), (4, true));
        assert!(is_withdrawn(&second) && !is_withdrawn(&first));
        assert_eq!(set(Some(&second), Some(&again)), Ok(Some(second.clone())));
        assert_eq!(
            set(Some(&second), Some(&reserved)),
            Err(Conflict::Withdrawn)
        );
        let third = set(Some(&second), Some(&changed)).unwrap().unwrap();
        assert_eq!(state_of(&third), Some(changed));
        assert_eq!(set(Some(&third), None), Ok(Some(current.clone())));
        assert_eq!(set(Some(&current), None), Ok(Some(current)));
    }

    #[test]
    fn value_that_stands_where_the_state_goes_is_not_written_over() {
        let current = [value(STATE_INDEX, "mine", 10)];
        let change = Change::State(Some(StateData::new(State::Withdrawn)));
        check(
            Some(&current),
            &change,
            "201: a value with index 1900 exists",
        );
    }

    /// `index data timestamp` of each value, or the code of the conflict.
    #[track_caller]
    fn check(current: Option<&[Value]>, change: &Change, expected: &str) {
        let found = match plan(current, change, NOW) {
            Ok(None) => "gone".into(),
            Ok(Some(values)) => {
                let of = |v: &Value| format!("{} {} {}", v.index, v.text().unwrap(), v.timestamp);
                values.iter().map(of).collect::<Vec<_>>().join(", ")
            }
            Err(conflict) => format!("{}: {conflict}", conflict.code().0),
        };
        assert_eq!(found, expected, "{change:?}");
    }

    #[test]
    fn record_is_created_once() {
        let change = Change::Create(vec![value(5, "x", 7)]);
        check(None, &change, "5 x 1000");
        check(Some(&current()), &change, "101: the record exists");
        check(None, &Change::Create(vec![]), "");
    }

    #[test]
    fn put_replaces_and_what_stays_the_same_keeps_its_timestamp() {
        let change = Change::Put(vec![value(9, "b", 0), value(1, "A", 0)]);
        check(Some(&current()), &change, "9 b 20, 1 A 1000");
        check(None, &change, "9 b 1000, 1 A 1000");
    }

    #[test]
    fn imported_timestamps_are_kept_unless_they_are_missing() {
        let new = Change::Put(vec![value(1, "x", 77), value(2, "y", 0)]);
        let values = plan(None, &new, Timestamps::Keep(1_000)).unwrap().unwrap();
        assert_eq!([values[0].timestamp, values[1].timestamp], [77, 1_000]);
    }

    #[test]
    fn added_values_come_last_and_need_free_indexes() {
        let current = current();
        let add = |index| Change::Add(vec![value(2, "x", 0), value(index, "y", 0)]);
        check(
            Some(&current),
            &add(4),
            "1 a 10, 9 b 20, 3 c 30, 2 x 1000, 4 y 1000",
        );
        check(Some(&current), &add(9), "201: a value with index 9 exists");
        check(
            Some(&current),
            &add(2),
            "201: value 2: two values have this index",
        );
        check(
            Some(&current),
            &add(0),
            "202: value 0: an index must be above 0",
        );
        check(None, &add(4), "100: there is no such record");
    }

    #[test]
    fn written_values_take_the_place_of_those_with_their_indexes() {
        let current = current();
        let write = |index| Change::Write(vec![value(9, "x", 0), value(index, "y", 0)]);
        check(
            Some(&current),
            &write(4),
            "1 a 10, 9 x 1000, 3 c 30, 4 y 1000",
        );
        let says = "401: value 3 is read-only: \
                    its permissions give no administrator the right to write";
        check(Some(&current), &write(3), says);
        check(
            Some(&current),
            &write(9),
            "201: value 9: two values have this index",
        );
        check(None, &write(4), "100: there is no such record");
    }

    #[test]
    fn modified_values_stay_in_their_place() {
        let current = current();
        let modify = |index| Change::Modify(vec![value(1, "x", 0), value(index, "y", 0)]);
        check(Some(&current), &modify(9), "1 x 1000, 9 y 1000, 3 c 30");
        check(
            Some(&current),
            &modify(2),
            "200: there is no value with index 2",
        );
        let says = "401: value 3 is read-only: \
                    its permissions give no administrator the right to write";
        check(Some(&current), &modify(3), says);
    }

    #[test]
    fn one_missing_index_fails_a_removal_whole() {
        let current = current();
        check(Some(&current), &Change::Remove(vec![9, 1]), "3 c 30");
        let says = "200: there is no value with index 2";
        check(Some(&current), &Change::Remove(vec![9, 2]), says);
        check(
            None,
            &Change::Remove(vec![9]),
            "100: there is no such record",
        );
    }

    #[test]
    fn deletion_needs_a_record() {
        check(Some(&current()), &Change::Delete, "gone");
        check(None, &Change::Delete, "100: there is no such record");
    }
}
