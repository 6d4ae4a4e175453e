//! Answers that are kept, shared between the resolver and the threads that answer.
//!
//! Bounded in octets; what is kept when it is full is decided by the S3-FIFO family of policies
//! (`quick_cache`), which lets a scan of rarely asked names pass through without driving out the
//! hot ones. Hashing is keyed, because names are chosen by strangers.
//!
//! Expired entries stay as long as there is room and their grace lasts: when no server can be
//! reached they are better than nothing. Restricted values never come here.

mod entry;
mod file;
mod lookup;
mod ruling;
#[cfg(test)]
mod tests;

use std::hash::RandomState;
use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::{Cache as Shards, DefaultLifecycle};

use guantong_proto::Values;

use super::answer::Freshness;
use super::settings::CacheSettings;
use super::time::Now;

pub use entry::{Entry, EntryKind};
pub use file::{CacheFileError, Loaded};
pub use lookup::{Lookup, Trust};
pub use ruling::{Ruling, Worth};

/// Octets that an entry costs besides its key and its values: allocations, counters, and the
/// cache's own table with its ghosts.
const ENTRY_OVERHEAD: u64 = 252;
/// Expected octets of an entry, for sizing the table.
const ENTRY_ESTIMATE: u64 = 700;
/// Milliseconds of a second.
const SECOND_MS: i64 = 1_000;

type Table =
    Shards<Box<[u8]>, Arc<Entry>, Weight, RandomState, DefaultLifecycle<Box<[u8]>, Arc<Entry>>>;

//----------- Cache ----------------------------------------------------------

/// The cache.
pub struct Cache {
    table: Table,
    settings: CacheSettings,
}

/// What the cache knows.
#[derive(Clone, Debug)]
pub struct Hit {
    /// The answer. It can hold more values than the question selects: see [`Entry::select`]. If
    /// none is selected, the answer is "values not found".
    pub entry: Arc<Entry>,
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
        let items = usize::try_from(settings.octets / ENTRY_ESTIMATE).unwrap_or(usize::MAX);
        let hasher = RandomState::new();
        let lifecycle = DefaultLifecycle::default();
        Self {
            table: Shards::with(items.max(16), settings.octets, Weight, hasher, lifecycle),
            settings,
        }
    }

    /// The answer to a question that a cache may answer
    /// ([`Question::is_cacheable`](super::Question::is_cacheable)).
    pub fn get(&self, lookup: &mut Lookup, now: Now) -> Option<Hit> {
        self.find(lookup, now, |_| true)
    }

    /// The same where records are judged: only what was judged, and passed, and still does.
    pub fn get_vouched(&self, lookup: &mut Lookup, now: Now) -> Option<Hit> {
        self.find(lookup, now, |entry| entry.is_vouched(now))
    }

    fn find(&self, lookup: &mut Lookup, now: Now, may: impl Fn(&Entry) -> bool) -> Option<Hit> {
        lookup.find(|key| {
            let entry = self.table.get(key).filter(|entry| may(entry))?;
            let freshness = match entry.left_ms(now.tick) > 0 {
                true => Freshness::Cached,
                false if entry.is_paused(now.tick) && self.in_grace(&entry, now) => {
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
        })
    }

    /// The entry for a question even if it is past its time, within its grace.
    pub(crate) fn expired(&self, lookup: &mut Lookup, now: Now) -> Option<Arc<Entry>> {
        lookup.find(|key| {
            let entry = self.table.get(key)?;
            self.in_grace(&entry, now).then_some(entry)
        })
    }

    /// Whether the whole record is known, rather than what the question selects.
    pub(crate) fn has_whole(&self, lookup: &Lookup) -> bool {
        lookup.takes_whole() && self.table.peek(&*lookup.whole_key()).is_some()
    }

    /// Keeps an answer; not if its time is over at once.
    pub(crate) fn insert(&self, lookup: &mut Lookup, entry: &Arc<Entry>) {
        if entry.life_secs() > 0 {
            self.table.insert(lookup.key().into(), entry.clone());
        }
    }

    /// Forgets what is known of a question.
    pub fn remove(&self, lookup: &mut Lookup) {
        lookup.find(|key| {
            self.table.remove(key);
            None::<()>
        });
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.table.clear();
    }

    /// Entries.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Octets that the entries count for.
    pub fn octets(&self) -> u64 {
        self.table.weight()
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

    fn in_grace(&self, entry: &Entry, now: Now) -> bool {
        entry.left_ms(now.tick) > -i64::from(self.settings.stale_secs) * SECOND_MS
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

/// Counts the octets of an entry.
#[derive(Clone)]
struct Weight;

impl Weighter<Box<[u8]>, Arc<Entry>> for Weight {
    fn weight(&self, key: &Box<[u8]>, entry: &Arc<Entry>) -> u64 {
        (key.len() + entry.wire().len()) as u64 + ENTRY_OVERHEAD
    }
}
