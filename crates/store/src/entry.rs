//! One entry of the change log.

use guantong_proto::wire::{Reader, Writer};
use guantong_proto::{DecodeError, Handle, HandleRef, Reason, Values};

use crate::batch::Origin;
use crate::error::FormError;
use crate::format::digest32;
use crate::record::{push_name, read_name};

/// Form of the change entry.
const FORM: u8 = 2;

/// A link of the chain over the log: SHA-256 over the link before it, the number and the entry.
pub(crate) type Link = [u8; 32];
/// What the first entry is linked to.
pub(crate) const FIRST_LINK: Link = [0; 32];

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

/// Appends to an encoded entry the link that ties it to the one before, and returns it.
pub(crate) fn seal(before: &Link, number: u64, entry: &mut Vec<u8>) -> Link {
    let link = link_of(before, number, entry);
    entry.extend_from_slice(&link);
    link
}

/// The link of a stored entry, and whether it is the one that follows `before`.
pub(crate) fn link(before: &Link, number: u64, octets: &[u8]) -> Option<(Link, bool)> {
    let (entry, link) = octets.split_last_chunk::<32>()?;
    Some((*link, link_of(before, number, entry) == *link))
}

fn link_of(before: &Link, number: u64, entry: &[u8]) -> Link {
    digest32(&[before, &number.to_be_bytes(), entry])
}

/// Decodes the entry that is stored under `number`.
pub(crate) fn decode(number: u64, octets: &[u8]) -> Result<Entry, FormError> {
    let Some((octets, _link)) = octets.split_last_chunk::<32>() else {
        let (needs, left) = (32, octets.len());
        return Err(DecodeError::new("link", 0, Reason::Truncated { needs, left }).into());
    };
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
        let mut octets = encode(action, 1_700_000_000_123, origin, name.borrow(), before);
        seal(&FIRST_LINK, 9, &mut octets);
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
        let mut octets = encode(Action::Home, 0, &Origin::Node, name.borrow(), None);
        seal(&FIRST_LINK, 1, &mut octets);
        let mut longer = octets.clone();
        longer.push(0);
        assert!(decode(1, &longer).is_err());
        for at in 0..3 {
            let mut altered = octets.clone();
            altered[at] = 99;
            assert!(decode(1, &altered).is_err(), "{at}");
        }
    }

    #[test]
    fn chain_breaks_where_an_entry_was_altered_left_out_or_moved() {
        let name = Handle::parse("88.118.5/a").unwrap();
        let mut log = Vec::new();
        let mut last = FIRST_LINK;
        for number in 1..=4 {
            let mut entry = encode(Action::Create, number, &Origin::Import, name.borrow(), None);
            last = seal(&last, number, &mut entry);
            log.push((number, entry));
        }
        // The first number that does not follow.
        let breaks_at = |log: &[(u64, Vec<u8>)]| {
            let mut before = FIRST_LINK;
            log.iter().find_map(|(number, octets)| {
                let (found, follows) = link(&before, *number, octets).unwrap();
                before = found;
                (!follows).then_some(*number)
            })
        };
        assert_eq!(breaks_at(&log), None);
        for at in 0..log[1].1.len() {
            let mut altered = log.clone();
            altered[1].1[at] ^= 1;
            assert_eq!(breaks_at(&altered), Some(2), "octet {at}");
        }
        let mut without = log.clone();
        without.remove(2);
        assert_eq!(breaks_at(&without), Some(4));
        let mut moved = log.clone();
        moved.swap(1, 2);
        assert!(breaks_at(&moved).is_some());
        // Rewritten with a link of its own: the next does not follow.
        let mut rewritten = log;
        let mut entry = encode(Action::Delete, 2, &Origin::Import, name.borrow(), None);
        let (first, _) = link(&FIRST_LINK, 1, &rewritten[0].1).unwrap();
        seal(&first, 2, &mut entry);
        rewritten[1].1 = entry;
        assert_eq!(breaks_at(&rewritten), Some(3));
    }
}
