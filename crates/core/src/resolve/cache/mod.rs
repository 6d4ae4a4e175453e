//! Answers that are kept, shared between the resolver and the threads that answer.
//!
//! Bounded in octets; what is kept when it is full is decided by `guantong_table`, in which a scan
//! of rarely asked names passes through without driving out the hot ones, and the finds of many
//! names wait for memory together. Hashing is keyed, because names are chosen by strangers.
//!
//! Expired entries stay as long as there is room and their grace lasts: when no server can be
//! reached they are better than nothing. Restricted values never come here.

mod entry;
mod file;
mod lookup;
mod ruling;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, PoisonError};

use crossbeam_utils::sync::{ShardedLock, ShardedLockReadGuard};
use guantong_proto::Values;
use guantong_table::{Item, Place, Table, lines};

use super::answer::Freshness;
use super::settings::CacheSettings;
use super::time::Now;

pub use entry::{Entry, EntryKind};
pub use file::{CacheFileError, Loaded};
pub use lookup::{Lookup, Trust};
pub use ruling::{Ruling, Worth};

/// Octets that an entry costs besides its key and its values: its own, three allocations, and its
/// share of the table.
const ENTRY_OVERHEAD: u64 = 220;
/// Octets of an entry, overhead included, for which the table has room.
const ENTRY_ESTIMATE: u64 = 500;
/// Milliseconds of a second.
const SECOND_MS: i64 = 1_000;

//----------- Cache ----------------------------------------------------------

/// The cache.
pub struct Cache {
    /// Many look at once, each thread by a lock of its own; whoever changes it takes all of them.
    table: ShardedLock<Table<Kept>>,
    settings: CacheSettings,
}

/// What the cache knows.
#[derive(Clone, Debug)]
pub struct Hit<E = Arc<Entry>> {
    /// The answer. It can hold more values than the question selects: see [`Entry::select`]. If
    /// none is selected, the answer is "values not found".
    pub entry: E,
    /// [`Freshness::Cached`], or [`Freshness::Stale`] while its servers are known to be
    /// unreachable.
    pub freshness: Freshness,
    /// Seconds since a server said so.
    pub age_secs: u32,
    /// Said once in the life of an entry: it is asked often and ends soon, so hand the question to
    /// [`Resolver::refresh`](super::Resolver::refresh).
    pub wants_refresh: bool,
}

impl Cache {
    /// An empty cache.
    pub fn new(settings: CacheSettings) -> Self {
        let seed = RandomState::new().hash_one(settings.octets);
        let table = Table::new(settings.octets, ENTRY_ESTIMATE, (), seed);
        Self {
            table: ShardedLock::new(table),
            settings,
        }
    }

    /// What is in the cache, for as long as nothing of it may change.
    pub fn look(&self, wanted: Wanted) -> Look<'_> {
        Look {
            table: self.shown(),
            settings: &self.settings,
            wanted,
        }
    }

    /// The answer to a question that a cache may answer
    /// ([`Question::is_cacheable`](super::Question::is_cacheable)).
    pub fn get(&self, lookup: &mut Lookup, now: Now) -> Option<Hit> {
        self.look(Wanted::Any).get(lookup, now)
    }

    /// The same where records are judged: only what was judged, and passed, and still does.
    pub fn get_vouched(&self, lookup: &mut Lookup, now: Now) -> Option<Hit> {
        self.look(Wanted::Vouched).get(lookup, now)
    }

    /// The entry for a question even if it is past its time, within its grace.
    pub(crate) fn expired(&self, lookup: &mut Lookup, now: Now) -> Option<Arc<Entry>> {
        let look = self.look(Wanted::Any);
        lookup.find(|key| {
            let entry = look.entry(look.place(key), key)?;
            self.settings.in_grace(entry, now).then(|| entry.clone())
        })
    }

    /// Whether the whole record is known, rather than what the question selects.
    pub(crate) fn has_whole(&self, lookup: &Lookup) -> bool {
        let look = self.look(Wanted::Any);
        let has = |key: &[u8]| look.entry(look.place(key), key).is_some();
        lookup.takes_whole() && has(&lookup.whole_key())
    }

    /// Keeps an answer; not if its time is over at once.
    pub(crate) fn insert(&self, lookup: &mut Lookup, entry: &Arc<Entry>) {
        if entry.life_secs() > 0 {
            self.insert_under(lookup.key(), entry);
        }
    }

    fn insert_under(&self, key: &[u8], entry: &Arc<Entry>) {
        let kept = Kept(entry.under(key));
        self.change(|table| table.insert(key, kept));
    }

    /// Forgets what is known of a question.
    pub fn remove(&self, lookup: &mut Lookup) {
        self.change(|table| {
            lookup.find(|key| {
                table.remove(key);
                None::<()>
            });
        });
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.change(Table::clear);
    }

    /// Entries.
    pub fn len(&self) -> usize {
        self.shown().tally().len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Octets that the entries count for.
    pub fn octets(&self) -> u64 {
        self.shown().tally().octets
    }

    /// Its settings.
    pub fn settings(&self) -> &CacheSettings {
        &self.settings
    }

    /// Seconds that an answer with these values may be kept (5.7): the smallest TTL within floor
    /// and ceiling, or the negative TTL if there are no values.
    pub(crate) fn life_secs(&self, values: Values<'_>, now: Now) -> u32 {
        let smallest = values
            .iter()
            .map(|value| value.ttl.seconds_left(now.secs))
            .min();
        let Some(ttl) = smallest else {
            return self.settings.negative_ttl_secs;
        };
        ttl.max(self.settings.ttl_min_secs)
            .min(self.settings.ttl_max_secs)
    }

    fn shown(&self) -> ShardedLockReadGuard<'_, Table<Kept>> {
        // The table is changed by code that does not panic halfway.
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Table<Kept>)) {
        change(&mut self.table.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl CacheSettings {
    fn in_grace(&self, entry: &Entry, now: Now) -> bool {
        entry.left_ms(now.tick) > -i64::from(self.stale_secs) * SECOND_MS
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache")
            .field("entries", &self.len())
            .field("octets", &self.octets())
            .field("settings", &self.settings)
            .finish()
    }
}

//----------- Look -----------------------------------------------------------

/// What of the cache may be given away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Everything.
    Any,
    /// What was judged, and passed, and still does.
    Vouched,
}

/// The cache while it is looked at. The resolver waits for it: it should be held for microseconds,
/// and not across anything that waits or that looks or writes itself.
pub struct Look<'a> {
    table: ShardedLockReadGuard<'a, Table<Kept>>,
    settings: &'a CacheSettings,
    wanted: Wanted,
}

impl Look<'_> {
    /// Where the answer of a name is, if it is here.
    pub fn place(&self, key: &[u8]) -> Place {
        self.table.place(key)
    }

    /// Asks for the memory of places ahead of time: to touch many, and then to [find](Self::find)
    /// them, is three waits instead of three for each.
    pub fn touch(&self, places: impl Iterator<Item = Place> + Clone) {
        self.table.touch(places);
    }

    /// The answer of a name, whose place this is, if it may be given away now. It counts as one.
    pub fn find(&self, place: Place, key: &[u8], now: Now) -> Option<Hit<&Entry>> {
        let hit = self.hit(place, key, now)?;
        Some(hit.map(|entry| &**entry))
    }

    fn get(&self, lookup: &mut Lookup, now: Now) -> Option<Hit> {
        let hit = lookup.find(|key| self.hit(self.place(key), key, now))?;
        Some(hit.map(Arc::clone))
    }

    fn hit(&self, place: Place, key: &[u8], now: Now) -> Option<Hit<&Arc<Entry>>> {
        let entry = self.entry(place, key)?;
        if self.wanted == Wanted::Vouched && !entry.is_vouched(now) {
            return None;
        }
        let freshness = match entry.left_ms(now.tick) > 0 {
            true => Freshness::Cached,
            false if entry.is_paused(now.tick) && self.settings.in_grace(entry, now) => {
                Freshness::Stale
            }
            false => return None,
        };
        Some(Hit {
            age_secs: entry.age_secs(now.tick),
            wants_refresh: entry.count_hit(now.tick) && freshness == Freshness::Cached,
            freshness,
            entry,
        })
    }

    fn entry(&self, place: Place, key: &[u8]) -> Option<&Arc<Entry>> {
        self.table.find(place, key).map(|kept| &kept.0)
    }
}

impl std::fmt::Debug for Look<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Look")
            .field("entries", &self.table.tally().len)
            .field("wanted", &self.wanted)
            .finish()
    }
}

impl<E> Hit<E> {
    fn map<F>(self, change: impl FnOnce(E) -> F) -> Hit<F> {
        Hit {
            entry: change(self.entry),
            freshness: self.freshness,
            age_secs: self.age_secs,
            wants_refresh: self.wants_refresh,
        }
    }
}

//----------- Kept -----------------------------------------------------------

/// An entry that knows its name.
struct Kept(Arc<Entry>);

impl Item for Kept {
    type Rule = ();
    const IS_DEEP: bool = true;

    fn is_of(&self, key: &[u8], (): ()) -> bool {
        self.0.key() == key
    }

    fn cost(&self) -> u64 {
        (self.0.key().len() + self.0.wire().len()) as u64 + ENTRY_OVERHEAD
    }

    fn touch(&self) -> u8 {
        self.0.touch()
    }

    fn touch_behind(&self) -> u8 {
        lines(self.0.key()) ^ lines(self.0.wire())
    }
}
