//! The table of records in memory: what is where, and what goes when there is no more room.
//!
//! ```text
//!   key ─► place ─┬─► first bucket   ┌──────────────┬──────┬─────────────────────┐
//!                 │                  │ a tag for    │ used │ up to 7 records     │  128 octets:
//!                 └─► second bucket  │ each record  │ bits │ (pointers)          │  two cache lines
//!                                    └──────────────┴──────┴─────────────────────┘
//! ```
//!
//! A record lies in one of two buckets that its key names, so that finding one costs a wait for its
//! bucket and one for the record itself, whose octets say its name. Whoever has many keys can
//! [`touch`](Table::touch) their buckets first, then the records, and wait for all of them at once.
//! A find changes nothing but a bit, and is made while many others look.
//!
//! When the octets are used up, a hand goes round over the buckets and takes out what was not found
//! since it came by last (the CLOCK algorithm). A new record begins as one that was not: what is
//! read once and never again, as in an export, goes first.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use guantong_proto::CaseRule;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::record::StoredRecord;

/// Records of one bucket.
const WAYS: usize = 7;
/// Buckets that are made at a time, when the first record comes that belongs into one of them: an
/// empty table takes next to no memory.
const SEGMENT: usize = 32;
/// Octets that a record costs besides its own: its allocation and its share of the buckets.
const RECORD_OVERHEAD: u64 = 96;
/// Octets of a record, overhead included, for which a table has buckets. Smaller ones make it full
/// before their octets do.
const RECORD_ESTIMATE: u64 = 400;
/// Records for each bucket if they are as large as estimated; the rest is room for chance, which
/// fills some buckets more than others.
const WAYS_EXPECTED: u64 = 4;
/// Octets of a line of a processor's cache.
const LINE: usize = 64;
/// Lines of a record that are asked for ahead of time.
const TOUCHED_LINES: usize = 8;
/// Buckets over which the hand goes for one insertion before it takes out what was found lately.
const SWEEP_MAX: usize = 64;

//----------- Place ----------------------------------------------------------

/// Where the record of a key is, if it is in the table.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    hash: u64,
}

impl Place {
    fn tag(self) -> u8 {
        // The buckets are taken from the upper bits of either half.
        self.hash.to_le_bytes()[0]
    }
}

//----------- Table ----------------------------------------------------------

/// Records in memory, bounded in octets.
pub(crate) struct Table {
    segments: Box<[Option<Box<[Bucket]>>]>,
    rule: CaseRule,
    /// Drawn anew for each table, so that nobody knows names that share a bucket.
    seed: u64,
    records: usize,
    octets: u64,
    octets_max: u64,
    /// The bucket that the hand comes to next.
    hand: usize,
}

#[derive(Default)]
#[repr(align(128))]
struct Bucket {
    tags: [u8; WAYS],
    /// A bit for each record: it was found since the hand came by.
    used: AtomicU8,
    records: [Option<StoredRecord>; WAYS],
}

impl Table {
    /// An empty table for about so many octets.
    pub(crate) fn new(octets_max: u64, rule: CaseRule, seed: u64) -> Self {
        let buckets = octets_max / RECORD_ESTIMATE / WAYS_EXPECTED;
        let segments = usize::try_from(buckets).unwrap_or(usize::MAX) / SEGMENT + 1;
        Self {
            segments: std::iter::repeat_with(|| None).take(segments).collect(),
            rule,
            seed,
            records: 0,
            octets: 0,
            octets_max,
            hand: 0,
        }
    }

    /// Octets that the table counts.
    pub(crate) fn octets(&self) -> u64 {
        self.octets
    }

    /// Records in it.
    pub(crate) fn len(&self) -> usize {
        self.records
    }

    /// The place of a key.
    pub(crate) fn place(&self, key: &[u8]) -> Place {
        Place {
            hash: xxh3_64_with_seed(key, self.seed),
        }
    }

    /// Asks for the memory of the first bucket of a place, without waiting for it as long as the
    /// result is not looked at. What it is means nothing.
    pub(crate) fn touch(&self, place: Place) -> u8 {
        let bucket = self.bucket(self.first(place));
        bucket.map_or(0, |bucket| bucket.tags[0])
    }

    /// The same for the record that seems to be the one, whose bucket is there already.
    pub(crate) fn touch_record(&self, place: Place) -> u8 {
        let tag = place.tag();
        let Some(bucket) = self.bucket(self.first(place)) else {
            return 0;
        };
        let way = bucket.tags.iter().position(|&known| known == tag);
        let record = way.and_then(|way| bucket.records[way].as_ref());
        let octets = record.map_or(&[][..], StoredRecord::octets);
        // Of a long record the first lines; the processor reads on by itself.
        let lines = octets.iter().step_by(LINE).take(TOUCHED_LINES);
        lines.fold(0, |all, octet| all ^ octet)
    }

    /// The record of `key`, whose place this is.
    pub(crate) fn find(&self, place: Place, key: &[u8]) -> Option<&StoredRecord> {
        [self.first(place), self.second(place)]
            .into_iter()
            .find_map(|bucket| {
                let bucket = self.bucket(bucket)?;
                let way = bucket.find(place.tag(), key, self.rule)?;
                bucket.note_use(way);
                bucket.records[way].as_ref()
            })
    }

    /// Puts a record in, in place of an older one of the same key.
    pub(crate) fn insert(&mut self, key: &[u8], record: StoredRecord) {
        let place = self.place(key);
        self.take(place, key);
        let cost = cost_of(&record);
        if cost > self.octets_max {
            return;
        }
        let (first, second) = (self.first(place), self.second(place));
        let free = [first, second].into_iter().find_map(|number| {
            let way = self.bucket_mut(number).free()?;
            Some((number, way))
        });
        let (number, way) = free.unwrap_or_else(|| {
            let way = self.bucket_mut(first).least_used();
            self.drop_record(first, way);
            (first, way)
        });
        let bucket = self.bucket_mut(number);
        bucket.tags[way] = place.tag();
        bucket.records[way] = Some(record);
        self.records += 1;
        self.octets += cost;
        self.make_room();
    }

    /// Takes the record of `key` out, if it is there.
    pub(crate) fn remove(&mut self, key: &[u8]) {
        self.take(self.place(key), key);
    }

    fn take(&mut self, place: Place, key: &[u8]) {
        for number in [self.first(place), self.second(place)] {
            let way = self
                .bucket(number)
                .and_then(|bucket| bucket.find(place.tag(), key, self.rule));
            if let Some(way) = way {
                self.drop_record(number, way);
            }
        }
    }

    /// Takes records out until the octets are within their bound.
    fn make_room(&mut self) {
        let mut swept = 0;
        while self.octets > self.octets_max && self.records > 0 {
            self.hand = (self.hand + 1) % self.buckets();
            let is_patient = swept < SWEEP_MAX;
            swept += 1;
            for way in 0..WAYS {
                let Some(bucket) = self.bucket(self.hand) else {
                    break;
                };
                if bucket.records[way].is_some() && !(is_patient && bucket.forget_use(way)) {
                    self.drop_record(self.hand, way);
                }
            }
        }
    }

    fn drop_record(&mut self, bucket: usize, way: usize) {
        let bucket = self.bucket_mut(bucket);
        bucket.forget_use(way);
        if let Some(record) = bucket.records[way].take() {
            self.records -= 1;
            self.octets -= cost_of(&record);
        }
    }

    fn buckets(&self) -> usize {
        self.segments.len() * SEGMENT
    }

    fn first(&self, place: Place) -> usize {
        self.scaled(place.hash >> 32)
    }

    fn second(&self, place: Place) -> usize {
        self.scaled(place.hash & 0xffff_ffff)
    }

    /// A number of 32 bits as the number of a bucket.
    fn scaled(&self, number: u64) -> usize {
        let scaled = (u128::from(number) * self.buckets() as u128) >> 32;
        usize::try_from(scaled).unwrap_or(0)
    }

    fn bucket(&self, number: usize) -> Option<&Bucket> {
        let segment = self.segments[number / SEGMENT].as_ref()?;
        segment.get(number % SEGMENT)
    }

    fn bucket_mut(&mut self, number: usize) -> &mut Bucket {
        let make = || {
            std::iter::repeat_with(Bucket::default)
                .take(SEGMENT)
                .collect()
        };
        let segment = self.segments[number / SEGMENT].get_or_insert_with(make);
        &mut segment[number % SEGMENT]
    }
}

impl Bucket {
    /// Which of the records is that of `key`.
    fn find(&self, tag: u8, key: &[u8], rule: CaseRule) -> Option<usize> {
        let mut ways = self.tags.iter().zip(&self.records).enumerate();
        let is_it = |record: &StoredRecord| record.is_of(key, rule);
        let found =
            ways.find(|(_, (known, record))| **known == tag && record.as_ref().is_some_and(is_it));
        found.map(|(way, _)| way)
    }

    fn free(&self) -> Option<usize> {
        self.records.iter().position(Option::is_none)
    }

    /// A record that was not found lately; of those that all were, one after the other goes.
    fn least_used(&self) -> usize {
        let used = self.used.load(Relaxed);
        let way = (0..WAYS).find(|way| used & 1 << way == 0);
        way.unwrap_or_else(|| {
            self.used.store(0, Relaxed);
            0
        })
    }

    /// Notes that a record was found. Two threads at once may lose a bit; that costs a record its
    /// second chance, and a lock would cost every find.
    fn note_use(&self, way: usize) {
        let used = self.used.load(Relaxed);
        if used & 1 << way == 0 {
            self.used.store(used | 1 << way, Relaxed);
        }
    }

    /// Forgets it, and says whether it was noted.
    fn forget_use(&self, way: usize) -> bool {
        let used = self.used.load(Relaxed);
        self.used.store(used & !(1 << way), Relaxed);
        used & 1 << way != 0
    }
}

fn cost_of(record: &StoredRecord) -> u64 {
    record.octets().len() as u64 + RECORD_OVERHEAD
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use guantong_proto::{Handle, Values};

    use super::*;
    use crate::record;

    const RULE: CaseRule = CaseRule::Insensitive;

    fn key(n: u32) -> Vec<u8> {
        format!("A/{n}").into_bytes()
    }

    fn record(n: u32, version: u64) -> StoredRecord {
        let name = Handle::parse(&format!("a/{n}")).unwrap();
        let mut octets = record::encode(name.borrow(), Values::EMPTY);
        record::set_version(&mut octets, version);
        StoredRecord::decode(&octets).unwrap()
    }

    fn find(table: &Table, n: u32) -> Option<u64> {
        let key = key(n);
        let found = table.find(table.place(&key), &key);
        found.map(StoredRecord::version)
    }

    /// Buckets of a table of so many octets, at the estimate of a record.
    fn expected(octets: u64) -> u32 {
        u32::try_from(octets / RECORD_ESTIMATE).unwrap()
    }

    #[test]
    fn what_was_put_in_is_found_until_it_is_taken_out() {
        let mut table = Table::new(1 << 20, RULE, 1);
        let mut model = HashMap::new();
        for step in 0..20_000_u32 {
            let n = step.wrapping_mul(2_654_435_761) % 700;
            if step % 3 == 0 {
                table.remove(&key(n));
                model.remove(&n);
            } else {
                table.insert(&key(n), record(n, step.into()));
                model.insert(n, u64::from(step));
            }
            let other = step % 700;
            assert_eq!(find(&table, other), model.get(&other).copied());
        }
        assert_eq!(table.len(), model.len());
        for n in 0..700 {
            table.remove(&key(n));
        }
        assert_eq!((table.len(), table.octets()), (0, 0));
    }

    #[test]
    fn table_that_is_filled_as_estimated_keeps_nearly_every_record() {
        let octets = 1 << 20;
        let mut table = Table::new(octets, RULE, 2);
        for n in 0..expected(octets) {
            table.insert(&key(n), record(n, 1));
        }
        let lost = (0..expected(octets)).filter(|&n| find(&table, n).is_none());
        let lost = lost.count();
        assert!(lost * 500 < expected(octets) as usize, "{lost} lost");
    }

    #[test]
    fn octets_stay_within_their_bound_and_are_used() {
        let mut table = Table::new(100_000, RULE, 3);
        for n in 0..10_000 {
            table.insert(&key(n), record(n, 1));
            assert!(table.octets() <= 100_000);
        }
        assert!(table.octets() > 90_000 || table.len() > 3 * expected(100_000) as usize / 2);
    }

    #[test]
    fn what_is_found_again_and_again_stays_while_others_pass_through() {
        let mut table = Table::new(100_000, RULE, 4);
        for n in 0..100 {
            table.insert(&key(n), record(n, 1));
        }
        for n in 1_000..20_000 {
            for hot in 0..100 {
                find(&table, hot);
            }
            table.insert(&key(n), record(n, 1));
        }
        let kept = (0..100).filter(|&n| find(&table, n).is_some()).count();
        assert!(kept >= 90, "{kept} of 100");
    }

    #[test]
    fn record_larger_than_the_table_is_not_kept_and_takes_the_older_one_out() {
        let mut table = Table::new(150, RULE, 5);
        table.insert(&key(1), record(1, 1));
        assert_eq!(find(&table, 1), Some(1));
        let name = Handle::parse(&format!("a/{}", "1".repeat(100))).unwrap();
        let octets = record::encode(name.borrow(), Values::EMPTY);
        let large = StoredRecord::decode(&octets).unwrap();
        let key = name.key(RULE);
        table.insert(key.as_bytes(), large);
        assert!(
            table
                .find(table.place(key.as_bytes()), key.as_bytes())
                .is_none()
        );
    }

    #[test]
    fn empty_table_has_no_buckets_yet() {
        let table = Table::new(1 << 30, RULE, 6);
        assert!(table.segments.iter().all(Option::is_none));
        assert_eq!(find(&table, 1), None);
    }
}
