//! Reverse look-up by type and data, switched on and off per type.
//!
//! An index entry is a key without a value: index number, hash of the data, record key. The writer
//! maintains the entries in the transaction that changes the record, and builds or drops an index
//! in steps of bounded size between groups, so that it is consistent at every moment.

use std::collections::BTreeSet;
use std::ops::Bound;

use guantong_proto::wire::Reader;
use guantong_proto::{DecodeError, Reason, Values, type_matches};

use crate::engine::{Engine, Slice, Space};
use crate::error::{Cause, FormError};
use crate::format::{INDEX_KEY_HEAD, index_start, index_value_start};
use crate::limits::{INDEX_STEP_OCTETS, INDEX_STEP_RECORDS};
use crate::record;

//----------- IndexInfo ------------------------------------------------------

/// An index, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexInfo {
    /// The type that it is for; with a trailing dot a family of types.
    pub kind: String,
    /// What can be expected of it.
    pub state: IndexState,
}

/// What can be expected of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexState {
    /// Records from before it was switched on are still being indexed.
    Building,
    /// It covers all records.
    Ready,
    /// It was switched off and is being deleted.
    Dropping,
}

//----------- IndexDef -------------------------------------------------------

/// Meta entry `i`: an index and how far the work on it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexDef {
    /// Its number, never used twice.
    pub(crate) number: u32,
    /// The type, as it was spelled.
    pub(crate) kind: String,
    pub(crate) state: IndexState,
    /// Building: the last record key that was looked at. Dropping: the last entry deleted.
    pub(crate) cursor: Vec<u8>,
}

impl IndexDef {
    /// Key of the definition of the index for a type.
    pub(crate) fn meta_key(kind: &str) -> Vec<u8> {
        [b"i", kind.to_ascii_uppercase().as_bytes()].concat()
    }

    pub(crate) fn is_for(&self, kind: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind)
    }

    /// Whether changes have to maintain it.
    pub(crate) fn is_live(&self) -> bool {
        self.state != IndexState::Dropping
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut octets = self.number.to_be_bytes().to_vec();
        octets.push(match self.state {
            IndexState::Building => 1,
            IndexState::Ready => 2,
            IndexState::Dropping => 3,
        });
        record::push_name(&mut octets, self.kind.as_bytes());
        octets.extend_from_slice(&self.cursor);
        octets
    }

    pub(crate) fn decode(octets: &[u8]) -> Result<Self, FormError> {
        let mut r = Reader::new(octets);
        let number = r.u32("index number")?;
        let state = match r.u8("index state")? {
            1 => IndexState::Building,
            2 => IndexState::Ready,
            3 => IndexState::Dropping,
            found => {
                return Err(FormError::Code {
                    field: "index state",
                    found,
                });
            }
        };
        let len = usize::from(r.u16("type length")?);
        let at = r.position();
        let kind = std::str::from_utf8(r.take("type", len)?)
            .map_err(|_| DecodeError::new("type", at, Reason::NotUtf8))?;
        Ok(Self {
            number,
            kind: kind.to_owned(),
            state,
            cursor: r.rest().to_vec(),
        })
    }
}

//----------- Entries --------------------------------------------------------

/// The entries, without the record key, that a record with these values has in the live indexes.
pub(crate) fn entries(defs: &[IndexDef], values: Values<'_>) -> BTreeSet<[u8; INDEX_KEY_HEAD]> {
    let mut entries = BTreeSet::new();
    for value in values.iter() {
        for def in defs.iter().filter(|def| def.is_live()) {
            if type_matches(def.kind.as_bytes(), value.kind) {
                entries.insert(index_value_start(def.number, value.data));
            }
        }
    }
    entries
}

//----------- Step -----------------------------------------------------------

/// One step of building or dropping, ready to be committed.
#[derive(Debug, Default)]
pub(crate) struct Step {
    /// Entries to be added.
    pub(crate) add: Vec<Vec<u8>>,
    /// Entries to be deleted.
    pub(crate) delete: Vec<Slice>,
    /// The definition afterwards; `None` deletes it.
    pub(crate) def: Option<IndexDef>,
}

/// Plans the next step of an index that is not ready.
pub(crate) fn plan_step(engine: &Engine, def: &IndexDef) -> Result<Step, Cause> {
    match def.state {
        IndexState::Building => plan_build(engine, def),
        IndexState::Dropping => plan_drop(engine, def),
        IndexState::Ready => Ok(Step {
            def: Some(def.clone()),
            ..Step::default()
        }),
    }
}

fn plan_build(engine: &Engine, def: &IndexDef) -> Result<Step, Cause> {
    let mut step = Step::default();
    let mut next = def.clone();
    let only = std::slice::from_ref(def);
    let (mut looked_at, mut octets) = (0, 0);
    let from = match def.cursor.is_empty() {
        true => Bound::Unbounded,
        false => Bound::Excluded(def.cursor.as_slice()),
    };
    for pair in engine.view().range(Space::Records, from, None) {
        let (key, value) = pair?;
        looked_at += 1;
        octets += value.len();
        // A damaged record is a matter for `check`, and has no values that could be found.
        if record::check(&value).is_ok()
            && let Ok(values) = Values::from_wire(record::values_wire_of(&value))
        {
            for head in entries(only, values) {
                step.add.push([&head, &*key].concat());
            }
        }
        next.cursor = key.to_vec();
        if looked_at >= INDEX_STEP_RECORDS || octets >= INDEX_STEP_OCTETS {
            step.def = Some(next);
            return Ok(step);
        }
    }
    next.state = IndexState::Ready;
    next.cursor = Vec::new();
    step.def = Some(next);
    Ok(step)
}

fn plan_drop(engine: &Engine, def: &IndexDef) -> Result<Step, Cause> {
    let mut step = Step::default();
    let start = index_start(def.number);
    let end = index_start(def.number.saturating_add(1));
    let from = match def.cursor.starts_with(&start) {
        true => Bound::Excluded(def.cursor.as_slice()),
        false => Bound::Included(start.as_slice()),
    };
    for pair in engine.view().range(Space::Index, from, Some(&end)) {
        let (key, _) = pair?;
        step.delete.push(key.clone());
        if step.delete.len() >= INDEX_STEP_RECORDS {
            let mut next = def.clone();
            next.cursor = key.to_vec();
            step.def = Some(next);
            return Ok(step);
        }
    }
    Ok(step)
}

#[cfg(test)]
mod tests {
    use guantong_proto::Value;
    use guantong_proto::wire::Writer;

    use super::*;

    fn def(kind: &str) -> IndexDef {
        IndexDef {
            number: 7,
            kind: kind.to_owned(),
            state: IndexState::Building,
            cursor: b"A/B".to_vec(),
        }
    }

    #[test]
    fn definition_survives_a_round_trip() {
        let def = def("URL.");
        assert_eq!(IndexDef::decode(&def.encode()).unwrap(), def);
        assert!(IndexDef::decode(&def.encode()[..8]).is_err());
        assert_eq!(IndexDef::meta_key("Url."), b"iURL.");
    }

    #[test]
    fn equal_data_of_a_family_gives_one_entry() {
        let values = [
            Value::new(1, "URL", "a"),
            Value::new(2, "url.x", "a"),
            Value::new(3, "URL", "b"),
            Value::new(4, "EMAIL", "c"),
        ];
        let wire = Writer::to_vec(|w| Values::encode(&values, w));
        let values = Values::from_wire(&wire).unwrap();
        assert_eq!(entries(&[def("URL.")], values).len(), 2);
        assert_eq!(entries(&[def("email")], values).len(), 1);
        let mut dropping = def("URL");
        dropping.state = IndexState::Dropping;
        assert!(entries(&[dropping], values).is_empty());
    }
}
