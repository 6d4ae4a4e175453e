//! One entry of the change log.

use guantong_proto::wire::{Reader, Writer};
use guantong_proto::{DecodeError, Handle, HandleRef, Reason, Values};

use crate::batch::Origin;
use crate::error::FormError;
use crate::record::{push_name, read_name};

/// Form of the change entry.
const FORM: u8 = 1;

//----------- Entry ----------------------------------------------------------

/// A change that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number: the first change of a store is 1, and no number is left out.
    pub number: u64,
    /// When it was asked for, in milliseconds since 1970, as the caller said.
    pub at_ms: u64,
    /// What happened.
    pub action: Action,
    /// The handle, as the request spelled it; for home and unhome the prefix handle.
    pub handle: Handle,
    /// Who asked.
    pub origin: Origin,
    /// What was replaced or deleted; `None` for the other actions.
    pub before: Option<Before>,
}

/// The state of a record before a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Before {
    /// The version that it had.
    pub version: u64,
    /// Its values in wire form, count included.
    pub values: Vec<u8>,
}

//----------- Action ---------------------------------------------------------

/// What a change did. The numbers are those of the protocol's transaction stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Action {
    /// A record was created.
    Create = 1,
    /// A record was deleted.
    Delete = 2,
    /// A record was replaced.
    Update = 3,
    /// A prefix was homed.
    Home = 4,
    /// A prefix was unhomed.
    Unhome = 5,
}

impl Action {
    fn from_code(code: u8) -> Result<Self, FormError> {
        Ok(match code {
            1 => Self::Create,
            2 => Self::Delete,
            3 => Self::Update,
            4 => Self::Home,
            5 => Self::Unhome,
            found => {
                return Err(FormError::Code {
                    field: "action",
                    found,
                });
            }
        })
    }

    fn has_before(self) -> bool {
        matches!(self, Self::Delete | Self::Update)
    }
}

//----------- Encoding -------------------------------------------------------

/// Encodes an entry, without its number, which is its key. `before` is version and values in wire
/// form, and is written for the actions that have one.
pub(crate) fn encode(
    action: Action,
    at_ms: u64,
    origin: &Origin,
    name: HandleRef<'_>,
    before: Option<(u64, &[u8])>,
) -> Vec<u8> {
    let name = name.as_str().as_bytes();
    let before_len = before.map_or(0, |(_, values)| 8 + values.len());
    let mut octets = Vec::with_capacity(13 + name.len() + before_len);
    octets.push(FORM);
    octets.push(action as u8);
    octets.push(match origin {
        Origin::Node => 1,
        Origin::Operator => 2,
        Origin::Import => 3,
        Origin::Administrator { .. } => 4,
        Origin::Replication => 5,
        Origin::Anybody => 6,
    });
    octets.extend_from_slice(&at_ms.to_be_bytes());
    push_name(&mut octets, name);
    if let Origin::Administrator { handle, index } = origin {
        push_name(&mut octets, handle.as_str().as_bytes());
        Writer::new(&mut octets).i32(*index);
    }
    if let Some((version, values)) = before.filter(|_| action.has_before()) {
        octets.extend_from_slice(&version.to_be_bytes());
        octets.extend_from_slice(values);
    }
    octets
}

/// Decodes the entry that is stored under `number`.
pub(crate) fn decode(number: u64, octets: &[u8]) -> Result<Entry, FormError> {
    let mut r = Reader::new(octets);
    match r.u8("form")? {
        FORM => {}
        other => return Err(FormError::Form(other)),
    }
    let action = Action::from_code(r.u8("action")?)?;
    let origin = r.u8("origin")?;
    let at_ms = read_u64(&mut r, "time")?;
    let handle = read_name(&mut r)?.to_owned();
    let origin = match origin {
        1 => Origin::Node,
        2 => Origin::Operator,
        3 => Origin::Import,
        4 => Origin::Administrator {
            handle: read_name(&mut r)?.to_owned(),
            index: r.i32("actor index")?,
        },
        5 => Origin::Replication,
        6 => Origin::Anybody,
        found => {
            return Err(FormError::Code {
                field: "origin",
                found,
            });
        }
    };
    let before = match action.has_before() {
        true => {
            let version = read_u64(&mut r, "version before")?;
            let values = Values::decode(&mut r)?.wire().to_vec();
            Some(Before { version, values })
        }
        false => None,
    };
    if !r.is_empty() {
        let reason = Reason::TrailingOctets(r.left());
        return Err(DecodeError::new("change entry", r.position(), reason).into());
    }
    Ok(Entry {
        number,
        at_ms,
        action,
        handle,
        origin,
        before,
    })
}

fn read_u64(r: &mut Reader<'_>, field: &'static str) -> Result<u64, DecodeError> {
    Ok(r.i64(field)?.cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(action: Action, origin: &Origin, before: Option<(u64, &[u8])>) -> Entry {
        let name = Handle::parse("88.118.5/a").unwrap();
        let octets = encode(action, 1_700_000_000_123, origin, name.borrow(), before);
        for len in 0..octets.len() {
            assert!(decode(9, &octets[..len]).is_err(), "{len}");
        }
        let entry = decode(9, &octets).unwrap();
        assert_eq!(
            (entry.number, entry.at_ms, entry.action, &entry.handle),
            (9, 1_700_000_000_123, action, &name)
        );
        entry
    }

    #[test]
    fn entries_survive_a_round_trip_and_truncation_is_found() {
        let administrator = Origin::Administrator {
            handle: Handle::parse("0.NA/88.118.5").unwrap(),
            index: 300,
        };
        let entry = round_trip(Action::Update, &administrator, Some((4, &[0; 4])));
        assert_eq!(entry.origin, administrator);
        assert_eq!(
            entry.before,
            Some(Before {
                version: 4,
                values: vec![0; 4]
            })
        );
        for origin in [
            Origin::Node,
            Origin::Operator,
            Origin::Import,
            Origin::Replication,
            Origin::Anybody,
        ] {
            let entry = round_trip(Action::Create, &origin, None);
            assert_eq!((entry.origin, entry.before), (origin, None));
        }
    }

    #[test]
    fn trailing_octets_and_unknown_codes_are_refused() {
        let name = Handle::parse("0.NA/88.118.5").unwrap();
        let octets = encode(Action::Home, 0, &Origin::Node, name.borrow(), None);
        let mut longer = octets.clone();
        longer.push(0);
        assert!(decode(1, &longer).is_err());
        for at in 0..3 {
            let mut altered = octets.clone();
            altered[at] = 99;
            assert!(decode(1, &altered).is_err(), "{at}");
        }
    }
}
