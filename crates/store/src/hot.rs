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

use std::sync::{Mutex, PoisonError, TryLockError};

use crossbeam_utils::sync::{ShardedLock, ShardedLockReadGuard};
use guantong_proto::CaseRule;
use guantong_table::{Item, Place, Table, lines};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::record::StoredRecord;

/// Number of gates. Keys that share one only delay each other's way into the cache: a group of
/// thousands of changes should still leave most gates open.
const GATES: usize = 16_384;
/// How often a record that was read tries to come into the cache.
const TRIES: usize = 64;
/// Octets that a record costs besides its own: its allocation and its share of the table.
const RECORD_OVERHEAD: u64 = 96;
/// Octets of a record, overhead included, for which the table has room.
const RECORD_ESTIMATE: u64 = 400;

impl Item for StoredRecord {
    type Rule = CaseRule;
    const IS_DEEP: bool = false;

    fn is_of(&self, key: &[u8], rule: CaseRule) -> bool {
        Self::is_of(self, key, rule)
    }

    fn cost(&self) -> u64 {
        self.octets().len() as u64 + RECORD_OVERHEAD
    }

    fn touch(&self) -> u8 {
        lines(self.octets())
    }
}

//----------- Hot ------------------------------------------------------------

/// The cache and its gates.
pub(crate) struct Hot {
    /// Many look at once, each thread by a lock of its own; whoever changes it takes all of them.
    table: ShardedLock<Table<StoredRecord>>,
    gates: Box<[Mutex<u64>]>,
    seed: u64,
}

impl Hot {
    /// An empty cache of at most about `octets`. The seed should be one that nobody can guess.
    pub(crate) fn new(octets: u64, rule: CaseRule, seed: u64) -> Self {
        Self {
            table: ShardedLock::new(Table::new(octets, RECORD_ESTIMATE, rule, seed)),
            gates: (0..GATES).map(|_| Mutex::new(0)).collect(),
            seed,
        }
    }

    /// What is in the cache, for as long as nothing of it may change.
    pub(crate) fn look(&self) -> Look<'_> {
        // The table is changed by code that does not panic halfway.
        Look(self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The cached record.
    pub(crate) fn get(&self, key: &[u8]) -> Option<StoredRecord> {
        let look = self.look();
        look.find(look.place(key), key).cloned()
    }

    /// The record from `fetch`, and then into the cache if no write interferes. For a key that was
    /// just [looked for](Self::get) in vain: one that came in meanwhile is only fetched again.
    pub(crate) fn fetch<E>(
        &self,
        key: &[u8],
        fetch: impl FnOnce() -> Result<Option<StoredRecord>, E>,
    ) -> Result<Option<StoredRecord>, E> {
        let gate = self.gate(key);
        let noted = *lock(gate);
        let fetched = fetch()?;
        if let Some(record) = &fetched
            && noted.is_multiple_of(2)
        {
            let count = lock(gate);
            if *count == noted {
                self.try_change(|table| table.insert(key, record.clone()));
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
        // Only now: a reader could put a record back as long as its gate was open. Nearly all that
        // is written in bulk is not here, and then those who look need not be kept from it.
        let look = self.look();
        let here: Vec<_> = keys
            .filter(|key| look.find(look.place(key), key).is_some())
            .collect();
        drop(look);
        if !here.is_empty() {
            self.change(|table| here.iter().for_each(|key| table.remove(key)));
        }
        Closed { hot: self, gates }
    }

    /// Octets that the cache counts.
    pub(crate) fn octets(&self) -> u64 {
        self.look().0.tally().octets
    }

    /// Records in the cache.
    pub(crate) fn len(&self) -> usize {
        self.look().0.tally().len
    }

    fn change(&self, change: impl FnOnce(&mut Table<StoredRecord>)) {
        change(&mut self.table.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Changes the table if it can be had without waiting in the way of those who look: whoever
    /// waits for all locks keeps those that it has, and the last one may be with a thread that has
    /// stepped back and gets no core for long. What does not come in now does with a later read.
    fn try_change(&self, change: impl FnOnce(&mut Table<StoredRecord>)) {
        for _ in 0..TRIES {
            match self.table.try_write() {
                Ok(mut table) => return change(&mut table),
                Err(TryLockError::Poisoned(table)) => return change(&mut table.into_inner()),
                Err(TryLockError::WouldBlock) => std::thread::yield_now(),
            }
        }
    }

    fn gate(&self, key: &[u8]) -> &Mutex<u64> {
        &self.gates[self.gate_number(key)]
    }

    fn gate_number(&self, key: &[u8]) -> usize {
        xxh3_64_with_seed(key, !self.seed) as usize % GATES
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

//----------- Look -----------------------------------------------------------

/// The cache while it is looked at. Writes to the store wait for it: it should be held for
/// microseconds, and not across anything that waits.
pub struct Look<'a>(ShardedLockReadGuard<'a, Table<StoredRecord>>);

impl Look<'_> {
    /// Where the record of a folded name is, if it is here.
    pub fn place(&self, key: &[u8]) -> Place {
        self.0.place(key)
    }

    /// Asks for the memory of places ahead of time: to touch many, and then to [find](Self::find)
    /// them, is two waits instead of two for each.
    pub fn touch(&self, places: impl Iterator<Item = Place> + Clone) {
        self.0.touch(places);
    }

    /// The record of a folded name, whose place this is. None does not mean that there is none:
    /// then [`Store::get`](crate::Store::get) knows.
    pub fn find(&self, place: Place, key: &[u8]) -> Option<&StoredRecord> {
        self.0.find(place, key)
    }
}

impl std::fmt::Debug for Look<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Look")
            .field("records", &self.0.tally().len)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use guantong_proto::{Handle, Values};

    use super::*;
    use crate::record;

    const KEY: &[u8] = b"A/B";
    const RULE: CaseRule = CaseRule::Insensitive;

    fn record(version: u64) -> StoredRecord {
        let name = Handle::parse("a/b").unwrap();
        let mut octets = record::encode(name.borrow(), Values::EMPTY);
        record::set_version(&mut octets, version);
        StoredRecord::decode(&octets).unwrap()
    }

    fn fetch(hot: &Hot, version: u64, during: impl FnOnce()) {
        let fetched = hot.fetch(KEY, || {
            during();
            Ok::<_, Infallible>(Some(record(version)))
        });
        assert_eq!(fetched.unwrap(), Some(record(version)));
    }

    #[test]
    fn record_that_cannot_come_in_without_waiting_is_left_out() {
        let hot = Hot::new(1 << 20, RULE, 1);
        let look = hot.look();
        std::thread::scope(|scope| {
            scope.spawn(|| fetch(&hot, 1, || {}));
        });
        drop(look);
        assert_eq!(hot.get(KEY), None);
        fetch(&hot, 1, || {});
        assert_eq!(hot.get(KEY), Some(record(1)));
    }

    #[test]
    fn fetched_record_is_kept() {
        let hot = Hot::new(1 << 20, RULE, 1);
        fetch(&hot, 1, || {});
        assert_eq!(hot.get(KEY), Some(record(1)));
    }

    #[test]
    fn record_read_before_a_write_and_arriving_after_it_is_not_kept() {
        let hot = Hot::new(1 << 20, RULE, 1);
        fetch(&hot, 1, || drop(hot.close([KEY].into_iter())));
        assert_eq!(hot.get(KEY), None);
    }

    #[test]
    fn record_read_while_a_write_is_under_way_is_not_kept() {
        let hot = Hot::new(1 << 20, RULE, 1);
        let closed = hot.close([KEY].into_iter());
        fetch(&hot, 1, || {});
        assert_eq!(hot.get(KEY), None);
        drop(closed);
        fetch(&hot, 2, || {});
        assert_eq!(hot.get(KEY), Some(record(2)));
    }

    #[test]
    fn record_read_across_the_end_of_a_write_is_not_kept() {
        let hot = Hot::new(1 << 20, RULE, 1);
        let mut closed = Some(hot.close([KEY].into_iter()));
        fetch(&hot, 1, || drop(closed.take()));
        assert_eq!(hot.get(KEY), None);
    }

    #[test]
    fn write_takes_the_record_out_and_keys_that_share_a_gate_open_it_once() {
        let hot = Hot::new(1 << 20, RULE, 1);
        fetch(&hot, 1, || {});
        drop(hot.close([KEY, KEY].into_iter()));
        assert_eq!(hot.get(KEY), None);
        fetch(&hot, 2, || {});
        assert_eq!(hot.get(KEY), Some(record(2)));
    }
}
