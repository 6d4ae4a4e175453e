//! What is where, and what goes when there is no more room.
//!
//! ```text
//!   key ─► place ─┬─► first bucket   ┌──────────────┬──────┬─────────────────────┐
//!                 │                  │ a tag for    │ used │ up to 7 items       │  128 octets, if an
//!                 └─► second bucket  │ each item    │ bits │ (pointers)          │  item has 16
//!                                    └──────────────┴──────┴─────────────────────┘
//! ```
//!
//! An item lies in one of two buckets that its key names, so that finding one costs a wait for its
//! bucket and one for the item itself, which knows its key. Whoever has many keys can
//! [`touch`](Table::touch) them first, and wait for all of them at once. A find changes nothing
//! but a bit, and is made while many others look.
//!
//! When the octets are used up, a hand goes round over the buckets and takes out what was not found
//! since it came by last (the CLOCK algorithm). A new item begins as one that was not: what is
//! read once and never again, as in an export, goes first.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Items of one bucket.
const WAYS: usize = 7;
/// Buckets that are made at a time, when the first item comes that belongs into one of them: an
/// empty table takes next to no memory.
const SEGMENT: usize = 32;
/// Items for each bucket if they are as large as estimated; the rest is room for chance, which
/// fills some buckets more than others.
const WAYS_EXPECTED: u64 = 4;
/// Octets of a line of a processor's cache.
pub const LINE: usize = 64;
/// Lines of an item that are asked for ahead of time.
const TOUCHED_LINES: usize = 8;
/// Buckets over which the hand goes for one insertion before it takes out what was found lately.
const SWEEP_MAX: usize = 64;

//----------- Item -----------------------------------------------------------

/// What a table keeps: a pointer or two, cheap to move.
pub trait Item {
    /// What says when two spellings are one key; the same for all items of a table.
    type Rule: Copy;
    /// Whether there is memory behind that of [`Item::touch`].
    const IS_DEEP: bool;

    /// Whether this is the item of a key.
    fn is_of(&self, key: &[u8], rule: Self::Rule) -> bool;

    /// Octets that it costs, all of its allocations included. Always the same for one item.
    fn cost(&self) -> u64;

    /// Reads of the memory that it points to, so that a find need not wait for it; what comes of
    /// it means nothing.
    fn touch(&self) -> u8;

    /// The same for memory that is known only from what [`Item::touch`] reads.
    fn touch_behind(&self) -> u8 {
        0
    }
}

/// Reads of the first lines of `octets`; of long ones the processor reads on by itself.
pub fn lines(octets: &[u8]) -> u8 {
    let lines = octets.iter().step_by(LINE).take(TOUCHED_LINES);
    lines.fold(0, |all, octet| all ^ octet)
}

//----------- Place ----------------------------------------------------------

/// Where the item of a key is, if it is in the table.
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

/// Items in memory, bounded in octets.
pub struct Table<T: Item> {
    segments: Box<[Option<Segment<T>>]>,
    rule: T::Rule,
    /// Drawn anew for each table, so that nobody knows names that share a bucket.
    seed: u64,
    len: usize,
    octets: u64,
    octets_max: u64,
    /// The bucket that the hand comes to next.
    hand: usize,
}

#[repr(align(128))]
struct Bucket<T> {
    tags: [u8; WAYS],
    /// A bit for each item: it was found since the hand came by.
    used: AtomicU8,
    items: [Option<T>; WAYS],
}

type Segment<T> = Box<[Bucket<T>]>;

/// What a table counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Items in it.
    pub len: usize,
    /// Octets that they cost.
    pub octets: u64,
}

impl<T: Item> Table<T> {
    /// An empty table for about so many octets. Of items that cost `estimate` octets it has room
    /// for as many as that gives; of smaller ones it is full before its octets are. The seed
    /// should be one that nobody can guess.
    pub fn new(octets_max: u64, estimate: u64, rule: T::Rule, seed: u64) -> Self {
        let buckets = octets_max / estimate.max(1) / WAYS_EXPECTED;
        let segments = usize::try_from(buckets).unwrap_or(usize::MAX) / SEGMENT + 1;
        Self {
            segments: std::iter::repeat_with(|| None).take(segments).collect(),
            rule,
            seed,
            len: 0,
            octets: 0,
            octets_max,
            hand: 0,
        }
    }

    /// What it counts.
    pub fn tally(&self) -> Tally {
        Tally {
            len: self.len,
            octets: self.octets,
        }
    }

    /// Every item, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let buckets = self.segments.iter().flatten().flatten();
        buckets.flat_map(|bucket| bucket.items.iter().flatten())
    }

    /// The place of a key.
    pub fn place(&self, key: &[u8]) -> Place {
        Place {
            hash: xxh3_64_with_seed(key, self.seed),
        }
    }

    /// Asks for the memory of places ahead of time: to touch many, and then to [find](Self::find)
    /// them, is two waits instead of two for each; where items are deep, three.
    pub fn touch(&self, places: impl Iterator<Item = Place> + Clone) {
        let buckets = places.clone().map(|place| self.first_bucket(place));
        let tags = buckets.fold(0, |all, bucket| {
            all ^ bucket.map_or(0, |bucket| bucket.tags[0])
        });
        // Looked at, so that it is not left out; and only now, when all were asked for.
        std::hint::black_box(tags);
        let items = places.clone().filter_map(|place| self.likely(place));
        std::hint::black_box(items.fold(0, |all, item| all ^ item.touch()));
        if T::IS_DEEP {
            let items = places.filter_map(|place| self.likely(place));
            std::hint::black_box(items.fold(0, |all, item| all ^ item.touch_behind()));
        }
    }

    /// The item that seems to be the one, by its tag.
    fn likely(&self, place: Place) -> Option<&T> {
        let bucket = self.first_bucket(place)?;
        let way = bucket.tags.iter().position(|&known| known == place.tag())?;
        bucket.items[way].as_ref()
    }

    /// The item of `key`, whose place this is.
    pub fn find(&self, place: Place, key: &[u8]) -> Option<&T> {
        [self.first(place), self.second(place)]
            .into_iter()
            .find_map(|bucket| {
                let bucket = self.bucket(bucket)?;
                let way = bucket.find(place.tag(), key, self.rule)?;
                bucket.note_use(way);
                bucket.items[way].as_ref()
            })
    }

    /// Puts an item in, in place of an older one of the same key. One that costs more than the
    /// table has is not kept.
    pub fn insert(&mut self, key: &[u8], item: T) {
        let place = self.place(key);
        self.take(place, key);
        let cost = item.cost();
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
            self.drop_item(first, way);
            (first, way)
        });
        let bucket = self.bucket_mut(number);
        bucket.tags[way] = place.tag();
        bucket.items[way] = Some(item);
        self.len += 1;
        self.octets += cost;
        self.make_room();
    }

    /// Takes the item of `key` out, if it is there.
    pub fn remove(&mut self, key: &[u8]) {
        self.take(self.place(key), key);
    }

    fn take(&mut self, place: Place, key: &[u8]) {
        for number in [self.first(place), self.second(place)] {
            let way = self
                .bucket(number)
                .and_then(|bucket| bucket.find(place.tag(), key, self.rule));
            if let Some(way) = way {
                self.drop_item(number, way);
            }
        }
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        self.segments.fill_with(|| None);
        (self.len, self.octets) = (0, 0);
    }

    /// Takes items out until the octets are within their bound.
    fn make_room(&mut self) {
        let mut swept = 0;
        while self.octets > self.octets_max && self.len > 0 {
            self.hand = (self.hand + 1) % self.buckets();
            let is_patient = swept < SWEEP_MAX;
            swept += 1;
            for way in 0..WAYS {
                let Some(bucket) = self.bucket(self.hand) else {
                    break;
                };
                if bucket.items[way].is_some() && !(is_patient && bucket.forget_use(way)) {
                    self.drop_item(self.hand, way);
                }
            }
        }
    }

    fn drop_item(&mut self, bucket: usize, way: usize) {
        let bucket = self.bucket_mut(bucket);
        bucket.forget_use(way);
        if let Some(item) = bucket.items[way].take() {
            self.len -= 1;
            self.octets -= item.cost();
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

    fn first_bucket(&self, place: Place) -> Option<&Bucket<T>> {
        self.bucket(self.first(place))
    }

    fn bucket(&self, number: usize) -> Option<&Bucket<T>> {
        let segment = self.segments[number / SEGMENT].as_ref()?;
        segment.get(number % SEGMENT)
    }

    fn bucket_mut(&mut self, number: usize) -> &mut Bucket<T> {
        let make = || std::iter::repeat_with(Bucket::new).take(SEGMENT).collect();
        let segment = self.segments[number / SEGMENT].get_or_insert_with(make);
        &mut segment[number % SEGMENT]
    }
}

impl<T: Item> Bucket<T> {
    fn new() -> Self {
        Self {
            tags: [0; WAYS],
            used: AtomicU8::new(0),
            items: std::array::from_fn(|_| None),
        }
    }

    /// Which of the items is that of `key`.
    fn find(&self, tag: u8, key: &[u8], rule: T::Rule) -> Option<usize> {
        let mut ways = self.tags.iter().zip(&self.items).enumerate();
        let is_it = |item: &T| item.is_of(key, rule);
        let found =
            ways.find(|(_, (known, item))| **known == tag && item.as_ref().is_some_and(is_it));
        found.map(|(way, _)| way)
    }

    fn free(&self) -> Option<usize> {
        self.items.iter().position(Option::is_none)
    }

    /// An item that was not found lately; of those that all were, one after the other goes.
    fn least_used(&self) -> usize {
        let used = self.used.load(Relaxed);
        let way = (0..WAYS).find(|way| used & 1 << way == 0);
        way.unwrap_or_else(|| {
            self.used.store(0, Relaxed);
            0
        })
    }

    /// Notes that an item was found. Two threads at once may lose a bit; that costs an item its
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const ESTIMATE: u64 = 400;

    /// A thing with its key; upper case counts for nothing.
    #[derive(Debug, PartialEq)]
    struct Thing {
        key: Box<[u8]>,
        cost: u64,
        number: u32,
    }

    impl Item for Thing {
        type Rule = ();
        const IS_DEEP: bool = true;

        fn is_of(&self, key: &[u8], (): ()) -> bool {
            self.key.eq_ignore_ascii_case(key)
        }

        fn cost(&self) -> u64 {
            self.cost
        }

        fn touch(&self) -> u8 {
            self.key.len().to_le_bytes()[0]
        }

        fn touch_behind(&self) -> u8 {
            lines(&self.key)
        }
    }

    type Things = Table<Thing>;

    fn key(n: u32) -> Vec<u8> {
        format!("a/{n}").into_bytes()
    }

    fn put(table: &mut Things, n: u32, number: u32) {
        let thing = Thing {
            key: key(n).into(),
            cost: 120,
            number,
        };
        table.insert(&key(n), thing);
    }

    fn find(table: &Things, n: u32) -> Option<u32> {
        let key = key(n);
        let place = table.place(&key);
        table.touch([place].into_iter());
        table.find(place, &key).map(|thing| thing.number)
    }

    fn table(octets: u64, seed: u64) -> Things {
        Table::new(octets, ESTIMATE, (), seed)
    }

    /// Items of a table of so many octets, at the estimate.
    fn expected(octets: u64) -> u32 {
        u32::try_from(octets / ESTIMATE).unwrap()
    }

    #[test]
    fn what_was_put_in_is_found_until_it_is_taken_out() {
        let mut table = table(1 << 20, 1);
        let mut model = HashMap::new();
        for step in 0..20_000_u32 {
            let n = step.wrapping_mul(2_654_435_761) % 700;
            if step % 3 == 0 {
                table.remove(&key(n));
                model.remove(&n);
            } else {
                put(&mut table, n, step);
                model.insert(n, step);
            }
            let other = step % 700;
            assert_eq!(find(&table, other), model.get(&other).copied());
        }
        let mut numbers: Vec<u32> = table.iter().map(|thing| thing.number).collect();
        let mut known: Vec<u32> = model.values().copied().collect();
        numbers.sort_unstable();
        known.sort_unstable();
        assert_eq!(numbers, known);
        assert_eq!(table.tally().len, model.len());
        for n in 0..700 {
            table.remove(&key(n));
        }
        assert_eq!(table.tally(), Tally::default());
    }

    #[test]
    fn table_that_is_filled_as_estimated_keeps_nearly_every_item() {
        let octets = 1 << 20;
        let mut table = table(octets, 2);
        for n in 0..expected(octets) {
            put(&mut table, n, 1);
        }
        let lost = (0..expected(octets)).filter(|&n| find(&table, n).is_none());
        let lost = lost.count();
        assert!(lost * 500 < expected(octets) as usize, "{lost} lost");
    }

    #[test]
    fn octets_stay_within_their_bound_and_are_used() {
        let mut table = table(100_000, 3);
        for n in 0..10_000 {
            put(&mut table, n, 1);
            assert!(table.tally().octets <= 100_000);
        }
        let Tally { len, octets } = table.tally();
        assert!(octets > 90_000 || len > 3 * expected(100_000) as usize / 2);
    }

    #[test]
    fn what_is_found_again_and_again_stays_while_others_pass_through() {
        let mut table = table(100_000, 4);
        for n in 0..100 {
            put(&mut table, n, 1);
        }
        for n in 1_000..20_000 {
            for hot in 0..100 {
                find(&table, hot);
            }
            put(&mut table, n, 1);
        }
        let kept = (0..100).filter(|&n| find(&table, n).is_some()).count();
        assert!(kept >= 90, "{kept} of 100");
    }

    #[test]
    fn item_larger_than_the_table_is_not_kept_and_takes_the_older_one_out() {
        let mut table = table(150, 5);
        put(&mut table, 1, 1);
        assert_eq!(find(&table, 1), Some(1));
        let large = Thing {
            key: key(1).into(),
            cost: 151,
            number: 2,
        };
        table.insert(&key(1), large);
        assert_eq!(find(&table, 1), None);
        assert_eq!(table.tally(), Tally::default());
    }

    #[test]
    fn empty_table_has_no_buckets_yet_and_a_cleared_one_none_any_more() {
        let mut table = table(1 << 30, 6);
        assert!(table.segments.iter().all(Option::is_none));
        assert_eq!(find(&table, 1), None);
        put(&mut table, 1, 1);
        table.clear();
        assert!(table.segments.iter().all(Option::is_none));
        assert_eq!((find(&table, 1), table.tally()), (None, Tally::default()));
    }

    #[test]
    fn items_that_share_their_tag_and_buckets_are_told_apart_by_their_keys() {
        // One segment, so that thousands of keys share buckets and hundreds their tags.
        let mut table = table(16 * ESTIMATE, 7);
        for n in 0..5_000 {
            put(&mut table, n, n);
        }
        let kept = (0..5_000).filter_map(|n| Some((n, find(&table, n)?)));
        let kept: Vec<_> = kept.collect();
        assert!(kept.len() > 40 && kept.iter().all(|(n, number)| n == number));
    }
}
