//! The cache of hot records in front of the engine.
//!
//! Hits touch neither the engine nor a lock of ours. The danger is in the miss: a reader fetches an
//! old record from the engine, is overtaken by a write, and then puts the old record into the
//! cache, where it would stay. So each key belongs to a *gate*, a counter under a lock, odd while a
//! write of one of its keys is under way:
//!
//! ```text
//! reader:  miss ── note gate ── read engine ─────────────── insert if the gate is even and as noted
//! writer:            close gates (odd), remove keys ── commit ── open gates (even) ── acknowledge
//! ```
//!
//! A record enters the cache only if no write of its key overlapped the reading of it. While a gate
//! is closed its keys are read from the engine, which shows the old record, then the new one, and
//! never the old one again.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::record::StoredRecord;

/// Number of gates. Keys that share one only delay each other's way into the cache: a group of
/// thousands of changes should still leave most gates open.
const GATES: usize = 16_384;
/// Octets that an entry costs besides its key and its record: allocations, and the cache's own
/// table with its ghosts.
const ENTRY_OVERHEAD: u64 = 160;
/// Expected octets of an entry, for sizing the cache's table.
const ENTRY_ESTIMATE: u64 = 600;

//----------- Hot ------------------------------------------------------------

/// The cache and its gates.
pub(crate) struct Hot {
    cache: Cache<Box<[u8]>, StoredRecord, Weight>,
    gates: Box<[Mutex<u64>]>,
    hasher: RandomState,
}

impl Hot {
    /// An empty cache of at most about `octets`.
    pub(crate) fn new(octets: u64) -> Self {
        let items = usize::try_from(octets / ENTRY_ESTIMATE).unwrap_or(usize::MAX);
        Self {
            cache: Cache::with_weighter(items.max(16), octets, Weight),
            gates: (0..GATES).map(|_| Mutex::new(0)).collect(),
            hasher: RandomState::new(),
        }
    }

    /// The cached record.
    #[cfg(test)]
    pub(crate) fn get(&self, key: &[u8]) -> Option<StoredRecord> {
        self.cache.get(key)
    }

    /// The record from the cache, or from `fetch` and then into the cache if no write interferes.
    pub(crate) fn get_or_fetch<E>(
        &self,
        key: &[u8],
        fetch: impl FnOnce() -> Result<Option<StoredRecord>, E>,
    ) -> Result<Option<StoredRecord>, E> {
        if let Some(record) = self.cache.get(key) {
            return Ok(Some(record));
        }
        let gate = self.gate(key);
        let noted = *lock(gate);
        let fetched = fetch()?;
        if let Some(record) = &fetched
            && noted.is_multiple_of(2)
        {
            let count = lock(gate);
            if *count == noted {
                self.cache.insert(key.into(), record.clone());
            }
        }
        Ok(fetched)
    }

    /// Announces that `keys` are about to change, until the returned guard is dropped, which must
    /// be after the change is visible and before it is acknowledged.
    pub(crate) fn close<'k>(&self, keys: impl Iterator<Item = &'k [u8]> + Clone) -> Closed<'_> {
        let mut gates: Vec<usize> = keys.clone().map(|key| self.gate_number(key)).collect();
        // Keys that share a gate close it once, so that it opens once.
        gates.sort_unstable();
        gates.dedup();
        for &gate in &gates {
            *lock(&self.gates[gate]) += 1;
        }
        // Only now: a reader could put a record back as long as its gate was open.
        for key in keys {
            self.cache.remove(key);
        }
        Closed { hot: self, gates }
    }

    /// Octets that the cache counts.
    pub(crate) fn octets(&self) -> u64 {
        self.cache.weight()
    }

    /// Records in the cache.
    pub(crate) fn len(&self) -> usize {
        self.cache.len()
    }

    fn gate(&self, key: &[u8]) -> &Mutex<u64> {
        &self.gates[self.gate_number(key)]
    }

    fn gate_number(&self, key: &[u8]) -> usize {
        self.hasher.hash_one(key) as usize % GATES
    }
}

fn lock(gate: &Mutex<u64>) -> std::sync::MutexGuard<'_, u64> {
    // Nothing can panic while a gate is held, and a count is never half changed.
    gate.lock().unwrap_or_else(PoisonError::into_inner)
}

//----------- Closed ---------------------------------------------------------

/// Gates that are closed; dropping it opens them.
pub(crate) struct Closed<'a> {
    hot: &'a Hot,
    gates: Vec<usize>,
}

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        for &gate in &self.gates {
            *lock(&self.hot.gates[gate]) += 1;
        }
    }
}

//----------- Weight ---------------------------------------------------------

/// Counts the octets of an entry.
#[derive(Clone)]
struct Weight;

impl Weighter<Box<[u8]>, StoredRecord> for Weight {
    fn weight(&self, key: &Box<[u8]>, record: &StoredRecord) -> u64 {
        (key.len() + record.octets().len()) as u64 + ENTRY_OVERHEAD
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use guantong_proto::{Handle, Values};

    use super::*;
    use crate::record;

    const KEY: &[u8] = b"A/B";

    fn record(version: u64) -> StoredRecord {
        let name = Handle::parse("a/b").unwrap();
        let mut octets = record::encode(name.borrow(), Values::EMPTY);
        record::set_version(&mut octets, version);
        StoredRecord::decode(&octets).unwrap()
    }

    fn fetch(hot: &Hot, version: u64, during: impl FnOnce()) {
        let fetched = hot.get_or_fetch(KEY, || {
            during();
            Ok::<_, Infallible>(Some(record(version)))
        });
        assert_eq!(fetched.unwrap(), Some(record(version)));
    }

    #[test]
    fn fetched_record_is_kept() {
        let hot = Hot::new(1 << 20);
        fetch(&hot, 1, || {});
        assert_eq!(hot.get(KEY), Some(record(1)));
    }

    #[test]
    fn record_read_before_a_write_and_arriving_after_it_is_not_kept() {
        let hot = Hot::new(1 << 20);
        fetch(&hot, 1, || drop(hot.close([KEY].into_iter())));
        assert_eq!(hot.get(KEY), None);
    }

    #[test]
    fn record_read_while_a_write_is_under_way_is_not_kept() {
        let hot = Hot::new(1 << 20);
        let closed = hot.close([KEY].into_iter());
        fetch(&hot, 1, || {});
        assert_eq!(hot.get(KEY), None);
        drop(closed);
        fetch(&hot, 2, || {});
        assert_eq!(hot.get(KEY), Some(record(2)));
    }

    #[test]
    fn record_read_across_the_end_of_a_write_is_not_kept() {
        let hot = Hot::new(1 << 20);
        let mut closed = Some(hot.close([KEY].into_iter()));
        fetch(&hot, 1, || drop(closed.take()));
        assert_eq!(hot.get(KEY), None);
    }

    #[test]
    fn write_takes_the_record_out_and_keys_that_share_a_gate_open_it_once() {
        let hot = Hot::new(1 << 20);
        fetch(&hot, 1, || {});
        drop(hot.close([KEY, KEY].into_iter()));
        assert_eq!(hot.get(KEY), None);
        fetch(&hot, 2, || {});
        assert_eq!(hot.get(KEY), Some(record(2)));
    }

    #[test]
    fn cache_stays_within_its_octets() {
        let hot = Hot::new(100_000);
        for n in 0..10_000_u32 {
            let key = n.to_be_bytes();
            hot.get_or_fetch(&key, || Ok::<_, Infallible>(Some(record(1))))
                .unwrap();
        }
        assert!(hot.octets() <= 100_000);
        assert!(hot.len() > 100);
    }
}
