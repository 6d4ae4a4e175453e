//! Where the records of a prefix end, so that a sorted import need not ask for each record whether
//! it exists.
//!
//! A key behind the last one of its prefix is certainly new. The writer alone adds records, so once
//! it knows a prefix's last key it can keep it up to date; deletions leave it too high, which
//! is harmless.

use std::collections::HashMap;

use crate::engine::Engine;
use crate::error::Cause;
use crate::format::{end_of, prefix_of};
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
    /// A key at or behind the last one of the prefix, once it was looked up.
    last: Option<Vec<u8>>,
}

impl Tails {
    /// Whether no record has this key or a greater one of its prefix.
    pub(crate) fn is_beyond(&mut self, engine: &Engine, key: &[u8]) -> Result<bool, Cause> {
        let prefix = prefix_of(key);
        let Some(tail) = self.known.get_mut(prefix) else {
            if self.known.len() >= COUNTERS_CACHED_MAX {
                self.known.clear();
            }
            self.known.insert(prefix.into(), Tail::default());
            return Ok(false);
        };
        if let Some(last) = &tail.last {
            return Ok(key > last.as_slice());
        }
        tail.writes += 1;
        if tail.writes >= WORTH_IT {
            let start = [prefix, b"/"].concat();
            let end = end_of(&start);
            let last = engine.last_record_key(&start, end.as_deref())?;
            tail.last = Some(last.map_or(start, |key| key.to_vec()));
        }
        Ok(false)
    }

    /// Takes note that a record is put under `key`.
    pub(crate) fn raise(&mut self, key: &[u8]) {
        if let Some(tail) = self.known.get_mut(prefix_of(key))
            && let Some(last) = &mut tail.last
            && key > last.as_slice()
        {
            last.clear();
            last.extend_from_slice(key);
        }
    }
}
