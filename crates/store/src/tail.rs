//! Where the records of a prefix end, so that a sorted import need not ask for each record whether
//! it exists.
//!
//! A key behind the last one of its prefix is certainly new: there is no record of this name, and
//! never was one. The writer alone adds records, so once it knows a prefix's last key it can keep
//! it up to date; deletions leave it where it is, since the names of removed records count.

use foldhash::HashMap;

use crate::engine::{Engine, Space};
use crate::error::Cause;
use crate::format::{end_of, prefix_of, removed_key};
use crate::limits::COUNTERS_CACHED_MAX;

/// Writes to a prefix after which finding its end is worth the trouble.
const WORTH_IT: u32 = 16;

//----------- Tails ----------------------------------------------------------

/// The last keys of the prefixes that were written lately.
#[derive(Debug, Default)]
pub(crate) struct Tails {
    known: HashMap<Box<[u8]>, Tail>,
}

#[derive(Debug, Default)]
struct Tail {
    writes: u32,
    /// The last key put since the prefix is known here. What a group has staged is not in the
    /// engine yet, so it counts beside what is found there.
    last: Vec<u8>,
    /// Whether `last` is at or behind every key of the prefix: the engine was asked.
    is_end: bool,
}

impl Tails {
    /// Whether no record has, or had, this key or a greater one of its prefix.
    pub(crate) fn is_beyond(&mut self, engine: &Engine, key: &[u8]) -> Result<bool, Cause> {
        let prefix = prefix_of(key);
        let Some(tail) = self.known.get_mut(prefix) else {
            self.known.insert(prefix.into(), Tail::default());
            return Ok(false);
        };
        if tail.is_end {
            return Ok(key > tail.last.as_slice());
        }
        tail.writes += 1;
        if tail.writes >= WORTH_IT {
            let start = [prefix, b"/"].concat();
            let removed = removed_key(&start);
            let end = end_of(&removed);
            if let Some(last) = engine.last_key(Space::Meta, &removed, end.as_deref())? {
                tail.raise(&last[1..]);
            }
            let end = end_of(&start);
            if let Some(last) = engine.last_key(Space::Records, &start, end.as_deref())? {
                tail.raise(&last);
            }
            tail.raise(&start);
            tail.is_end = true;
        }
        Ok(false)
    }

    /// Takes note that a record is put under `key`.
    pub(crate) fn raise(&mut self, key: &[u8]) {
        if let Some(tail) = self.known.get_mut(prefix_of(key)) {
            tail.raise(key);
        }
    }

    /// Starts afresh if there are too many. Only between groups: what is staged must be known.
    pub(crate) fn trim(&mut self) {
        if self.known.len() > COUNTERS_CACHED_MAX {
            self.known.clear();
        }
    }
}

impl Tail {
    fn raise(&mut self, key: &[u8]) {
        if key > self.last.as_slice() {
            self.last.clear();
            self.last.extend_from_slice(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Memory;

    /// A record was registered twice: its group had found the end of the prefix in the engine,
    /// where the record was not yet, and forgotten that it had staged it.
    #[test]
    fn key_that_was_put_before_the_end_was_looked_up_is_not_new() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::create(dir.path(), &Memory::divide(0)).unwrap();
        let mut tails = Tails::default();
        assert!(!tails.is_beyond(&engine, b"1/Z").unwrap());
        tails.raise(b"1/Z");
        for n in 0..2 * WORTH_IT {
            let key = format!("1/{n}");
            tails.is_beyond(&engine, key.as_bytes()).unwrap();
            tails.raise(key.as_bytes());
        }
        assert!(!tails.is_beyond(&engine, b"1/Z").unwrap());
        assert!(tails.is_beyond(&engine, b"1/ZZ").unwrap());
    }

    #[test]
    fn tails_are_forgotten_between_groups_when_there_are_too_many() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::create(dir.path(), &Memory::divide(0)).unwrap();
        let mut tails = Tails::default();
        for n in 0..=COUNTERS_CACHED_MAX {
            let key = format!("{n}/a");
            tails.is_beyond(&engine, key.as_bytes()).unwrap();
        }
        assert_eq!(tails.known.len(), COUNTERS_CACHED_MAX + 1);
        tails.trim();
        assert!(tails.known.is_empty());
    }
}
