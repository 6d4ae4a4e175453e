//! Under which names an answer is kept.

use guantong_proto::data::{STATE_INDEX, STATE_TYPE};
use guantong_proto::{CaseRule, HandleRef, type_matches};

use super::super::question::Question;

/// Set in the first octet of a key: the answers that led here were signed, and checked.
const CERTIFIED: u8 = 1;

//----------- Lookup ---------------------------------------------------------

/// The names under which the cache may have the answer to one question. Its buffers are reused, so
/// that a hit allocates nothing.
///
/// ```text
/// flags u8 | length of the folded handle u32 | folded handle
///          | count u32, indexes i32 each, in order | types in upper case and in order, each with
///            its length
/// ```
///
/// Prefixes and names that begin with `0.` fold; other suffixes are kept octet by octet, since some
/// services tell `a` from `A`.
#[derive(Clone, Debug, Default)]
pub struct Lookup {
    /// The selection; its first octet is patched for certified and plain.
    exact: Vec<u8>,
    /// The whole record.
    whole: Vec<u8>,
    certified: bool,
    /// The state is asked for, of which the whole record says nothing: who withdraws a record keeps
    /// its values from the public, and the state is all that is said of it.
    wants_state: bool,
}

impl Lookup {
    /// The names for a selection of a record.
    pub fn set<'a>(
        &mut self,
        handle: HandleRef<'_>,
        indexes: impl Iterator<Item = i32>,
        types: impl Iterator<Item = &'a [u8]>,
        trust: Trust,
    ) {
        self.certified = trust == Trust::Certified;
        self.whole.clear();
        Self::append_whole(handle, &mut self.whole);
        self.exact.clear();
        self.exact.extend_from_slice(&self.whole);
        let head = self.exact.len();
        let (mut by_index, mut by_type) = (false, false);
        let indexes = indexes.inspect(|index| by_index |= *index == STATE_INDEX);
        append_indexes(indexes, &mut self.exact);
        let types = types.inspect(|kind| by_type |= type_matches(kind, STATE_TYPE.as_bytes()));
        append_types(types, &mut self.exact);
        self.wants_state = by_index || by_type;
        if self.exact[head..] == [0; 4] {
            // Neither indexes nor types: everything.
            self.exact.truncate(head);
        }
    }

    /// Appends the name under which a whole record is kept that is not certified.
    pub(crate) fn append_whole(handle: HandleRef<'_>, key: &mut Vec<u8>) {
        let start = key.len();
        key.extend_from_slice(&[0; 5]);
        handle.fold(CaseRule::Sensitive, key);
        let len = u32::try_from(key.len() - start - 5).unwrap_or(u32::MAX);
        key[start + 1..start + 5].copy_from_slice(&len.to_be_bytes());
    }

    /// The names for a question.
    pub(crate) fn of(question: &Question) -> Self {
        let mut lookup = Self::default();
        let trust = match question.certified {
            true => Trust::Certified,
            false => Trust::Any,
        };
        let types = question.types.iter().map(AsRef::as_ref);
        let indexes = question.indexes.iter().copied();
        lookup.set(question.name(), indexes, types, trust);
        lookup
    }

    /// The name under which an answer is kept.
    pub(crate) fn key(&mut self) -> &[u8] {
        self.exact[0] = u8::from(self.certified) * CERTIFIED;
        &self.exact
    }

    /// The name of the whole record, worth what the question wants.
    pub(super) fn whole_key(&self) -> Vec<u8> {
        let mut key = self.whole.clone();
        key[0] = u8::from(self.certified) * CERTIFIED;
        key
    }

    /// Whether the whole record has what the question wants.
    pub(super) fn takes_whole(&self) -> bool {
        self.is_selective() && !self.wants_state
    }

    pub(super) fn is_selective(&self) -> bool {
        self.exact.len() > self.whole.len()
    }

    /// The names under which an answer is looked for, best first: a plain question takes a
    /// certified answer too (5.7), and a selection takes the whole record unless it is of the
    /// state.
    pub(super) fn find<T>(&mut self, mut look: impl FnMut(&[u8]) -> Option<T>) -> Option<T> {
        let ways: &[u8] = match self.certified {
            true => &[CERTIFIED],
            false => &[0, CERTIFIED],
        };
        for &way in ways {
            self.exact[0] = way;
            if let Some(found) = look(&self.exact) {
                return Some(found);
            }
            if self.takes_whole() {
                self.whole[0] = way;
                if let Some(found) = look(&self.whole) {
                    return Some(found);
                }
            }
        }
        None
    }
}

/// What an answer must be worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Signed all the way.
    Certified,
    /// Signed or not.
    Any,
}

fn append_indexes(indexes: impl Iterator<Item = i32>, key: &mut Vec<u8>) {
    let at = key.len();
    key.extend_from_slice(&[0; 4]);
    for index in indexes {
        key.extend_from_slice(&index.to_be_bytes());
    }
    let (chunks, _) = key[at + 4..].as_chunks_mut::<4>();
    chunks.sort_unstable();
    let count = u32::try_from(chunks.len()).unwrap_or(u32::MAX);
    key[at..at + 4].copy_from_slice(&count.to_be_bytes());
}

/// Types that are put in order without an allocation; four is what clients ask for a prefix.
const FEW_TYPES: usize = 8;

fn append_types<'a>(mut types: impl Iterator<Item = &'a [u8]>, key: &mut Vec<u8>) {
    let mut few: [&[u8]; FEW_TYPES] = [&[]; FEW_TYPES];
    let mut count = 0;
    for (slot, kind) in few.iter_mut().zip(types.by_ref()) {
        *slot = kind;
        count += 1;
    }
    let Some(next) = types.next() else {
        return append_sorted(&mut few[..count], key);
    };
    let mut many = few.to_vec();
    many.push(next);
    many.extend(types);
    append_sorted(&mut many, key);
}

fn append_sorted(types: &mut [&[u8]], key: &mut Vec<u8>) {
    types.sort_unstable_by(|a, b| {
        let (a, b) = (a.iter(), b.iter());
        a.map(u8::to_ascii_uppercase)
            .cmp(b.map(u8::to_ascii_uppercase))
    });
    for kind in types {
        append_type(kind, key);
    }
}

fn append_type(kind: &[u8], key: &mut Vec<u8>) {
    let len = u32::try_from(kind.len()).unwrap_or(u32::MAX);
    key.extend_from_slice(&len.to_be_bytes());
    let at = key.len();
    key.extend_from_slice(kind);
    key[at..].make_ascii_uppercase();
}
