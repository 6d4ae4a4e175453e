//! Names, numbers and key encodings of the disk format; `docs/internals/storage.md` has the
//! reasons.

use std::collections::BTreeMap;

use guantong_proto::wire::Reader;
use guantong_proto::{CaseRule, DecodeError, Handle, HandleRef, NameError, Reason};
use ring::digest::{Context, SHA256};

use crate::entry::{FIRST_LINK, Link};
use crate::error::FormError;

/// Version of the disk format that this software reads and writes.
pub(crate) const FORMAT_VERSION: u32 = 1;
/// What `FORMAT` begins with.
pub(crate) const FORMAT_MAGIC: &str = "guantong-store ";
/// File that says that a directory is a store, and of which version.
pub(crate) const FORMAT_FILE: &str = "FORMAT";
/// File that is locked while a store is open.
pub(crate) const LOCK_FILE: &str = "LOCK";
/// File that remembers the last acknowledged change.
pub(crate) const HEAD_FILE: &str = "HEAD";
/// Directory of the engine.
pub(crate) const ENGINE_DIR: &str = "engine";

//----------- Header ---------------------------------------------------------

/// Meta entry `f`: what a store is, fixed when it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Which letters of a name fold.
    pub(crate) case_rule: CaseRule,
    /// Identity of the store.
    pub(crate) id: [u8; 16],
}

impl Header {
    pub(crate) const KEY: &[u8] = b"f";

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(19);
        octets.extend_from_slice(&(FORMAT_VERSION as u16).to_be_bytes());
        octets.push(match self.case_rule {
            CaseRule::Insensitive => 0,
            CaseRule::Sensitive => 1,
        });
        octets.extend_from_slice(&self.id);
        octets
    }

    pub(crate) fn decode(octets: &[u8]) -> Result<(u32, Self), FormError> {
        let mut r = Reader::new(octets);
        let version = u32::from(r.u16("format version")?);
        let case_rule = match r.u8("case rule")? {
            0 => CaseRule::Insensitive,
            1 => CaseRule::Sensitive,
            found => {
                return Err(FormError::Code {
                    field: "case rule",
                    found,
                });
            }
        };
        let mut id = [0; 16];
        id.copy_from_slice(r.take("store identity", 16)?);
        r.finish("store header")?;
        Ok((version, Self { case_rule, id }))
    }
}

//----------- State ----------------------------------------------------------

/// Meta entry `s`: what every transaction moves on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// Number of the last change, 0 in a new store.
    pub(crate) last_change: u64,
    /// Number of records.
    pub(crate) records: u64,
    /// Number of names that had a record and have none.
    pub(crate) removed: u64,
    /// Number that the next index gets.
    pub(crate) next_index: u32,
    /// The link of the last change, to which the next is tied.
    pub(crate) link: Link,
}

impl State {
    pub(crate) const KEY: &[u8] = b"s";
    pub(crate) const NEW: State = State {
        last_change: 0,
        records: 0,
        removed: 0,
        next_index: 1,
        link: FIRST_LINK,
    };

    const LEN: usize = 60;

    pub(crate) fn encode(&self) -> [u8; Self::LEN] {
        let mut octets = [0; Self::LEN];
        octets[..8].copy_from_slice(&self.last_change.to_be_bytes());
        octets[8..16].copy_from_slice(&self.records.to_be_bytes());
        octets[16..24].copy_from_slice(&self.removed.to_be_bytes());
        octets[24..28].copy_from_slice(&self.next_index.to_be_bytes());
        octets[28..].copy_from_slice(&self.link);
        octets
    }

    pub(crate) fn decode(octets: &[u8]) -> Result<Self, FormError> {
        let Some((_, link)) = octets
            .split_last_chunk()
            .filter(|_| octets.len() == Self::LEN)
        else {
            return Err(FormError::Len {
                found: octets.len(),
                expected: Self::LEN,
            });
        };
        let mut r = Reader::new(octets);
        Ok(Self {
            last_change: r.i64("last change")?.cast_unsigned(),
            records: r.i64("records")?.cast_unsigned(),
            removed: r.i64("removed")?.cast_unsigned(),
            next_index: r.u32("next index")?,
            link: *link,
        })
    }
}

//----------- Scope ----------------------------------------------------------

/// Which records a listing, a count or a scan is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scope {
    /// All records.
    #[default]
    All,
    /// The records `PREFIX/…` of one prefix, without those of prefixes derived from it.
    Prefix(PrefixKey),
}

impl Scope {
    /// The scope of one prefix, written as `88.118.5` or `0.NA/88.118.5`.
    pub fn of_prefix(prefix: &str) -> Result<Self, NameError> {
        let handle = Handle::of_prefix(prefix)?;
        let folded = handle.borrow().suffix().to_ascii_uppercase();
        if folded.contains('/') {
            return Err(NameError::NotAPrefix {
                name: prefix.into(),
            });
        }
        Ok(Self::Prefix(PrefixKey(folded.into_bytes().into())))
    }

    /// First octets of every record key in the scope.
    pub(crate) fn key_start(&self) -> Vec<u8> {
        match self {
            Self::All => Vec::new(),
            Self::Prefix(prefix) => [&prefix.0, b"/".as_slice()].concat(),
        }
    }
}

/// A folded prefix: what the records of a prefix are counted under.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PrefixKey(pub(crate) Box<[u8]>);

/// The folded prefix of a record key: what stands in front of the first slash.
pub(crate) fn prefix_of(key: &[u8]) -> &[u8] {
    let end = key.iter().position(|&c| c == b'/').unwrap_or(key.len());
    &key[..end]
}

/// The smallest key that is greater than all keys that begin with `start`; `None` if there is none.
pub(crate) fn end_of(start: &[u8]) -> Option<Vec<u8>> {
    let keep = start.iter().rposition(|&octet| octet != 0xff)?;
    let mut end = start[..=keep].to_vec();
    end[keep] += 1;
    Some(end)
}

//----------- Meta keys ------------------------------------------------------

/// Key of the counter of a folded prefix.
pub(crate) fn counter_key(prefix: &[u8]) -> Vec<u8> {
    [b"c", prefix].concat()
}

/// Key that says that a prefix is homed.
pub(crate) fn homed_key(prefix_handle: &[u8]) -> Vec<u8> {
    [b"h", prefix_handle].concat()
}

/// Key of the deletion that ended the last life of a record, under its folded handle.
pub(crate) fn removed_key(record_key: &[u8]) -> Vec<u8> {
    [b"d", record_key].concat()
}

/// Key of a note.
pub(crate) fn note_key(name: &str) -> Vec<u8> {
    [b"n", name.as_bytes()].concat()
}

/// Decodes a number of eight octets.
pub(crate) fn decode_u64(octets: &[u8]) -> Result<u64, FormError> {
    let array = octets.try_into().map_err(|_| FormError::Len {
        found: octets.len(),
        expected: 8,
    })?;
    Ok(u64::from_be_bytes(array))
}

/// The homed prefixes, by folded prefix handle.
pub(crate) type Homed = BTreeMap<Box<[u8]>, Handle>;

/// The name of an entry of kind `h`.
pub(crate) fn decode_homed(octets: &[u8]) -> Result<Handle, FormError> {
    Ok(HandleRef::from_wire(octets)?.to_owned())
}

//----------- Index keys -----------------------------------------------------

/// Octets of an index number and a hash, in front of the record key.
pub(crate) const INDEX_KEY_HEAD: usize = 4 + 16;

/// Where the entries of one index begin.
pub(crate) fn index_start(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

/// Where the entries of one value in one index begin.
pub(crate) fn index_value_start(number: u32, data: &[u8]) -> [u8; INDEX_KEY_HEAD] {
    let mut key = [0; INDEX_KEY_HEAD];
    key[..4].copy_from_slice(&number.to_be_bytes());
    key[4..].copy_from_slice(&digest16(&[data]));
    key
}

/// The record key of an index entry.
pub(crate) fn record_key_of(index_key: &[u8]) -> Result<&[u8], FormError> {
    match index_key.len() > INDEX_KEY_HEAD {
        true => Ok(&index_key[INDEX_KEY_HEAD..]),
        false => {
            let reason = Reason::Truncated {
                needs: INDEX_KEY_HEAD + 1,
                left: index_key.len(),
            };
            Err(DecodeError::new("index key", 0, reason).into())
        }
    }
}

//----------- Digests --------------------------------------------------------

/// SHA-256 over `parts`.
pub(crate) fn digest32(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

/// First 16 octets of SHA-256 over `parts`.
pub(crate) fn digest16(parts: &[&[u8]]) -> [u8; 16] {
    let mut digest = [0; 16];
    digest.copy_from_slice(&digest32(parts)[..16]);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_and_state_survive_a_round_trip() {
        let header = Header {
            case_rule: CaseRule::Sensitive,
            id: [7; 16],
        };
        assert_eq!(
            Header::decode(&header.encode()).unwrap(),
            (FORMAT_VERSION, header)
        );
        let state = State {
            last_change: u64::MAX,
            records: 5,
            removed: 6,
            next_index: 9,
            link: [3; 32],
        };
        assert_eq!(State::decode(&state.encode()).unwrap(), state);
        assert!(State::decode(&[0; 19]).is_err());
        assert!(Header::decode(&[0; 20]).is_err());
    }

    #[test]
    fn scope_of_a_prefix_is_the_same_in_both_spellings() {
        let scope = Scope::of_prefix("ab.1").unwrap();
        assert_eq!(scope, Scope::of_prefix("0.na/AB.1").unwrap());
        assert_eq!(scope.key_start(), b"AB.1/");
        assert_eq!(Scope::of_prefix("0.NA").unwrap().key_start(), b"0.NA/");
        assert!(Scope::of_prefix("ab.1/x").is_err());
        assert!(Scope::of_prefix("0.NA/a/b").is_err());
        assert_eq!(Scope::All.key_start(), b"");
    }

    #[test]
    fn end_of_a_range_is_the_next_key_that_does_not_begin_with_it() {
        assert_eq!(end_of(b"a/"), Some(b"a0".to_vec()));
        assert_eq!(end_of(b"a\xff\xff"), Some(b"b".to_vec()));
        assert_eq!(end_of(b"\xff"), None);
        assert_eq!(end_of(b""), None);
    }

    #[test]
    fn index_key_leads_back_to_the_record() {
        let key = [index_value_start(3, b"data").as_slice(), b"A/B"].concat();
        assert_eq!(record_key_of(&key).unwrap(), b"A/B");
        assert!(record_key_of(&key[..INDEX_KEY_HEAD]).is_err());
    }
}
