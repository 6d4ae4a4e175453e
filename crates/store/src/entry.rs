//! One entry of the change log.

use guantong_proto::wire::{Reader, Writer};
use guantong_proto::{DecodeError, Handle, HandleRef, Reason, Values};

use crate::batch::Origin;
use crate::error::FormError;
use crate::format::digest32;
use crate::record::{push_name, read_name};
use crate::trail::Trail;

/// Form of the change entry.
const FORM: u8 = 4;
/// Octets of an entry, about, without its name, its trail and what it replaced.
const FIXED_LEN: usize = 128;

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
    /// From where and by which right.
    pub trail: Trail,
    /// What was replaced or deleted; `None` for the other actions.
    pub before: Option<Before>,
    /// For a creation: the deletion that ended the last life of a record of this name, if it had
    /// one.
    pub last_life: Option<u64>,
}

impl Entry {
    /// Number of the change before this one of the same record; `None` for the first, and for
    /// home and unhome. Lower than the number of this one.
    pub fn previous(&self) -> Option<u64> {
        let replaced = self.before.as_ref().map(|before| before.version);
        replaced.or(self.last_life)
    }

    /// About how many octets it has, for whoever keeps an answer within bounds. Never 0.
    pub fn size(&self) -> usize {
        let before = self.before.as_ref().map_or(0, |before| before.values.len());
        FIXED_LEN + self.trail.encode().len() + self.handle.as_str().len() + before
    }
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
}

//----------- Encoding -------------------------------------------------------

/// A change on its way into the log, and what it found.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found<'a> {
    /// It created a record; the deletion that ended the last life of the name, or 0.
    Nothing { last_life: u64 },
    /// It replaced a record: version, and values in wire form.
    Replaced(u64, &'a [u8]),
    /// It deleted one.
    Deleted(u64, &'a [u8]),
    /// It homed a prefix that was not homed.
    NotHomed,
    /// It unhomed one.
    Homed,
}

impl Found<'_> {
    fn action(self) -> Action {
        match self {
            Self::Nothing { .. } => Action::Create,
            Self::Replaced(..) => Action::Update,
            Self::Deleted(..) => Action::Delete,
            Self::NotHomed => Action::Home,
            Self::Homed => Action::Unhome,
        }
    }
}

/// What the log says of a change beside what it did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) at_ms: u64,
    pub(crate) origin: &'a Origin,
    /// An encoded [`Trail`].
    pub(crate) trail: &'a [u8],
}

/// Encodes an entry, without its number, which is its key.
///
/// What the entries of a batch have in common comes first, so that the engine's compression finds
/// one long match from entry to entry.
pub(crate) fn encode(asked: &Asked<'_>, name: HandleRef<'_>, found: Found<'_>) -> Vec<u8> {
    let &Asked {
        at_ms,
        origin,
        trail,
    } = asked;
    let name = name.as_str().as_bytes();
    let values_len = match found {
        Found::Replaced(_, values) | Found::Deleted(_, values) => values.len(),
        _ => 0,
    };
    // The link comes behind it.
    let mut octets = Vec::with_capacity(53 + trail.len() + name.len() + values_len);
    octets.push(FORM);
    octets.push(found.action() as u8);
    octets.push(match origin {
        Origin::Node => 1,
        Origin::Operator => 2,
        Origin::Import => 3,
        Origin::Administrator { .. } => 4,
        Origin::Replication => 5,
        Origin::Anybody => 6,
    });
    octets.extend_from_slice(&at_ms.to_be_bytes());
    if let Origin::Administrator { handle, index } = origin {
        push_name(&mut octets, handle.as_str().as_bytes());
        Writer::new(&mut octets).i32(*index);
    }
    octets.extend_from_slice(trail);
    push_name(&mut octets, name);
    match found {
        Found::Nothing { last_life } => octets.extend_from_slice(&last_life.to_be_bytes()),
        Found::Replaced(version, values) | Found::Deleted(version, values) => {
            octets.extend_from_slice(&version.to_be_bytes());
            octets.extend_from_slice(values);
        }
        Found::NotHomed | Found::Homed => {}
    }
    octets
}

/// Appends to an encoded entry the link that ties it to the one before, and returns it.
pub(crate) fn seal(before: &Link, number: u64, entry: &mut Vec<u8>) -> Link {
    let link = link_of(before, number, entry);
    entry.extend_from_slice(&link);
    link
}

//----------- Chain ----------------------------------------------------------

/// The chain over the log, followed from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chain(Link);

impl Chain {
    pub(crate) fn new() -> Self {
        Self(FIRST_LINK)
    }

    /// Goes on to the next stored entry; whether it follows the one before. Then goes on from the
    /// link that it bears, so that one break is found once.
    pub(crate) fn follow(&mut self, number: u64, octets: &[u8]) -> bool {
        let Some((entry, link)) = octets.split_last_chunk::<32>() else {
            return false;
        };
        let before = std::mem::replace(&mut self.0, *link);
        link_of(&before, number, entry) == *link
    }

    /// The link of the last entry.
    pub(crate) fn link(self) -> Link {
        self.0
    }
}

/// The link that a stored entry bears.
pub(crate) fn link_in(octets: &[u8]) -> Option<Link> {
    octets.last_chunk().copied()
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
    let trail = Trail::decode(&mut r)?;
    let handle = read_name(&mut r)?.to_owned();
    let (before, last_life) = match action {
        Action::Create => {
            let last_life = earlier(number, read_u64(&mut r, "last life")?)?;
            (None, (last_life > 0).then_some(last_life))
        }
        Action::Update | Action::Delete => {
            let version = earlier(number, read_u64(&mut r, "version before")?)?;
            if version == 0 {
                return Err(FormError::NotEarlier { number, before: 0 });
            }
            let values = Values::decode(&mut r)?.wire().to_vec();
            (Some(Before { version, values }), None)
        }
        Action::Home | Action::Unhome => (None, None),
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
        trail,
        before,
        last_life,
    })
}

/// The number of a change that change `number` names as the one before it: whoever follows them
/// gets to the end.
fn earlier(number: u64, before: u64) -> Result<u64, FormError> {
    match before < number {
        true => Ok(before),
        false => Err(FormError::NotEarlier { number, before }),
    }
}

fn read_u64(r: &mut Reader<'_>, field: &'static str) -> Result<u64, DecodeError> {
    Ok(r.i64(field)?.cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: Found<'_> = Found::Nothing { last_life: 0 };

    /// An entry of a name at a time, without a link.
    fn draft(name: &Handle, at_ms: u64, origin: &Origin, found: Found<'_>) -> Vec<u8> {
        let trail = &Trail::default().encode();
        let asked = Asked {
            at_ms,
            origin,
            trail,
        };
        encode(&asked, name.borrow(), found)
    }

    #[test]
    fn each_source_and_right_is_kept_and_its_entry_refused_where_it_is_cut() {
        let name = Handle::parse("88.118.5/a").unwrap();
        let origin = Origin::Administrator {
            handle: name.clone(),
            index: 300,
        };
        for trail in crate::trail::tests::trails() {
            let asked = Asked {
                at_ms: 1,
                origin: &origin,
                trail: &trail.encode(),
            };
            let mut octets = encode(&asked, name.borrow(), Found::Deleted(3, &[0; 4]));
            seal(&FIRST_LINK, 9, &mut octets);
            for len in 0..octets.len() {
                assert!(decode(9, &octets[..len]).is_err(), "{trail:?} cut at {len}");
            }
            let entry = decode(9, &octets).unwrap();
            assert_eq!((entry.trail, &entry.origin), (trail, &origin));
        }
    }

    fn round_trip(origin: &Origin, found: Found<'_>) -> Entry {
        let name = Handle::parse("88.118.5/a").unwrap();
        let mut octets = draft(&name, 1_700_000_000_123, origin, found);
        seal(&FIRST_LINK, 9, &mut octets);
        for len in 0..octets.len() {
            assert!(decode(9, &octets[..len]).is_err(), "{len}");
        }
        let entry = decode(9, &octets).unwrap();
        assert_eq!(
            (entry.number, entry.at_ms, entry.action, &entry.handle),
            (9, 1_700_000_000_123, found.action(), &name)
        );
        entry
    }

    #[test]
    fn entries_survive_a_round_trip_and_truncation_is_found() {
        let administrator = Origin::Administrator {
            handle: Handle::parse("0.NA/88.118.5").unwrap(),
            index: 300,
        };
        let entry = round_trip(&administrator, Found::Replaced(4, &[0; 4]));
        assert_eq!((&entry.origin, entry.previous()), (&administrator, Some(4)));
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
            let entry = round_trip(&origin, Found::Nothing { last_life: 0 });
            assert_eq!((entry.previous(), entry.before), (None, None));
            assert_eq!(entry.origin, origin);
        }
        let entry = round_trip(&Origin::Node, Found::Nothing { last_life: 8 });
        assert_eq!((entry.previous(), entry.before), (Some(8), None));
    }

    #[test]
    fn entry_that_names_itself_or_a_later_one_as_the_one_before_is_refused() {
        let name = Handle::parse("88.118.5/a").unwrap();
        let at = |number, found| {
            let mut octets = draft(&name, 0, &Origin::Node, found);
            seal(&FIRST_LINK, number, &mut octets);
            decode(number, &octets)
        };
        for before in [9, 10, u64::MAX] {
            assert!(at(9, Found::Nothing { last_life: before }).is_err());
            assert!(at(9, Found::Deleted(before, &[0; 4])).is_err());
        }
        // What was replaced has a version, and there is no change 0.
        assert!(at(9, Found::Replaced(0, &[0; 4])).is_err());
        assert!(at(9, Found::Replaced(8, &[0; 4])).is_ok());
    }

    #[test]
    fn trailing_octets_and_unknown_codes_are_refused() {
        let name = Handle::parse("0.NA/88.118.5").unwrap();
        let mut octets = draft(&name, 0, &Origin::Node, Found::NotHomed);
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
            let mut entry = draft(&name, number, &Origin::Import, NEW);
            last = seal(&last, number, &mut entry);
            log.push((number, entry));
        }
        // The first number that does not follow.
        let breaks_at = |log: &[(u64, Vec<u8>)]| {
            let mut chain = Chain::new();
            let broken = log
                .iter()
                .find(|(number, octets)| !chain.follow(*number, octets));
            broken.map(|(number, _)| *number)
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
        let mut entry = draft(&name, 3, &Origin::Import, NEW);
        let first = rewritten[0].1.last_chunk().unwrap();
        seal(first, 2, &mut entry);
        rewritten[1].1 = entry;
        assert_eq!(breaks_at(&rewritten), Some(3));
    }
}
