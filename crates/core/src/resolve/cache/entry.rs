//! What the cache keeps of an answer.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use guantong_proto::{ValueRef, Values, type_matches};

use super::super::limits::{REFRESH_HITS_MIN, REFRESH_PART};
use super::super::time::{Now, Tick};
use super::ruling::Ruling;

//----------- Entry ----------------------------------------------------------

/// An answer: values in wire form, ready to be copied into a reply, or their absence.
#[derive(Debug)]
pub struct Entry {
    kind: EntryKind,
    /// The name under which the cache keeps it, once it does.
    key: OnceLock<Box<[u8]>>,
    /// i32 count and values, as they came; the octets of value signatures are not disturbed.
    values: Box<[u8]>,
    /// The end of its time, on the monotonic clock. Signed, because what was loaded from a file
    /// can have ended before the clock began.
    expires_ms: i64,
    /// Seconds of its whole life.
    life_secs: u32,
    /// Wall clock at which a server said so.
    fetched_secs: u32,
    /// Answers it has given.
    hits: AtomicU32,
    refresh_asked: AtomicBool,
    /// Until then it is answered past its time without asking anybody.
    stale_until_ms: AtomicU64,
    /// Until then, on the monotonic clock, its ruling lets it be given to others.
    vouched_until_ms: AtomicI64,
    /// The second of the wall clock at which its ruling ends, and its life with it.
    ends_secs: AtomicU32,
    /// What its signatures are worth, once they were judged.
    ruling: Mutex<Option<Arc<Ruling>>>,
}

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// The values of a record.
    Record,
    /// The record has none of the values (200).
    ValuesNotFound,
    /// The record does not exist (100).
    NotFound,
}

impl Entry {
    /// An entry that a server gave at `now`, to be kept for `life_secs`.
    pub(crate) fn new(kind: EntryKind, values: &[u8], life_secs: u32, now: Now) -> Self {
        Self::aged(kind, values, life_secs, now.secs, now)
    }

    /// An entry that a server gave at `fetched_secs`, before `now`.
    pub(crate) fn aged(
        kind: EntryKind,
        values: &[u8],
        life_secs: u32,
        fetched_secs: u32,
        now: Now,
    ) -> Self {
        let age_ms = i64::from(now.secs.saturating_sub(fetched_secs)) * 1_000;
        let now_ms = i64::try_from(now.tick.0).unwrap_or(i64::MAX);
        let end = now_ms.saturating_add(i64::from(life_secs) * 1_000);
        Self {
            kind,
            key: OnceLock::new(),
            values: values.into(),
            expires_ms: end.saturating_sub(age_ms),
            life_secs,
            fetched_secs,
            hits: AtomicU32::new(0),
            refresh_asked: AtomicBool::new(false),
            stale_until_ms: AtomicU64::new(0),
            vouched_until_ms: AtomicI64::new(i64::MIN),
            ends_secs: AtomicU32::new(u32::MAX),
            ruling: Mutex::new(None),
        }
    }

    /// The same answer, with the name under which the cache keeps it. One that has another name
    /// already is copied: the table finds its entries by the names that they have.
    pub(super) fn under(self: &Arc<Self>, key: &[u8]) -> Arc<Self> {
        match **self.key.get_or_init(|| key.into()) == *key {
            true => self.clone(),
            false => Arc::new(Self {
                kind: self.kind,
                key: OnceLock::from(Box::from(key)),
                values: self.values.clone(),
                expires_ms: self.expires_ms,
                life_secs: self.life_secs,
                fetched_secs: self.fetched_secs,
                hits: AtomicU32::new(0),
                refresh_asked: AtomicBool::new(false),
                stale_until_ms: AtomicU64::new(0),
                vouched_until_ms: AtomicI64::new(self.vouched_until_ms.load(Ordering::Acquire)),
                ends_secs: AtomicU32::new(self.ends_secs.load(Ordering::Relaxed)),
                ruling: Mutex::new(self.kept_ruling().clone()),
            }),
        }
    }

    /// The name under which the cache keeps it; none if it does not.
    pub(super) fn key(&self) -> &[u8] {
        self.key.get().map_or(&[], |key| key)
    }

    /// Reads of its own memory, but not of that of its name and values.
    pub(super) fn touch(&self) -> u8 {
        let hits = self.hits.load(Ordering::Relaxed);
        let [octet, ..] = hits.to_le_bytes();
        octet ^ self.key().len().to_le_bytes()[0] ^ self.values.len().to_le_bytes()[0]
    }

    /// What it says.
    pub fn kind(&self) -> EntryKind {
        self.kind
    }

    /// All its values, in wire form: i32 count, then the values.
    pub fn values(&self) -> Values<'_> {
        // They were decoded before they came here.
        Values::from_wire(&self.values).unwrap_or(Values::EMPTY)
    }

    /// The octets of [`Entry::values`], without looking into them.
    pub fn wire(&self) -> &[u8] {
        &self.values
    }

    /// The values that a question selects; all if neither indexes nor types are given.
    pub fn select<'a>(
        &'a self,
        indexes: &'a [i32],
        types: &'a [Box<[u8]>],
    ) -> impl Iterator<Item = ValueRef<'a>> {
        let all = indexes.is_empty() && types.is_empty();
        self.values().iter().filter(move |value| {
            all || indexes.contains(&value.index)
                || types.iter().any(|wanted| type_matches(wanted, value.kind))
        })
    }

    /// Wall clock, in seconds since 1970, at which a server said so.
    pub fn fetched_secs(&self) -> u32 {
        self.fetched_secs
    }

    /// Seconds of its whole life, which ends no later than what its ruling rests on.
    pub fn life_secs(&self) -> u32 {
        let ends_secs = self.ends_secs.load(Ordering::Relaxed);
        self.life_secs
            .min(ends_secs.saturating_sub(self.fetched_secs))
    }

    /// Answers it has given from the cache.
    pub fn hits(&self) -> u32 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Milliseconds that are left of its life; negative when it is past its time.
    pub(crate) fn left_ms(&self, now: Tick) -> i64 {
        let now_ms = i64::try_from(now.0).unwrap_or(i64::MAX);
        let lost_ms = i64::from(self.life_secs - self.life_secs()) * 1_000;
        self.expires_ms
            .saturating_sub(lost_ms)
            .saturating_sub(now_ms)
    }

    /// Seconds since a server said so, on the monotonic clock.
    pub fn age_secs(&self, now: Tick) -> u32 {
        let lived_ms = i64::from(self.life_secs()) * 1_000 - self.left_ms(now);
        u32::try_from(lived_ms.max(0) / 1_000).unwrap_or(u32::MAX)
    }

    /// Counts an answer; whether the entry is to be refreshed, which is said once.
    pub(super) fn count_hit(&self, now: Tick) -> bool {
        // Saturation is not worth an atomic loop: after 2^32 answers the count begins again.
        let hits = self.hits.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let left_ms = u64::try_from(self.left_ms(now)).unwrap_or(0);
        let near_its_end = left_ms <= u64::from(self.life_secs()) * 1_000 / REFRESH_PART;
        near_its_end
            && hits >= REFRESH_HITS_MIN
            && !self.refresh_asked.swap(true, Ordering::Relaxed)
    }

    /// Lets the entry be answered past its time until `until`, because asking is in vain.
    pub(crate) fn pause_until(&self, until: Tick) {
        self.stale_until_ms.store(until.0, Ordering::Relaxed);
    }

    //--- Ruling

    /// Keeps what its signatures are worth.
    pub(crate) fn rule(&self, ruling: &Arc<Ruling>) {
        let vouched_until_ms = match ruling.is_admitted() {
            true => i64::try_from(ruling.holds_until.0).unwrap_or(i64::MAX),
            false => i64::MIN,
        };
        *self.kept_ruling() = Some(ruling.clone());
        self.ends_secs.store(ruling.ends_secs, Ordering::Relaxed);
        self.vouched_until_ms
            .store(vouched_until_ms, Ordering::Release);
    }

    /// What its signatures are worth, if that was found out and still holds.
    pub fn ruling(&self, now: Now) -> Option<Arc<Ruling>> {
        self.kept_ruling()
            .clone()
            .filter(|ruling| ruling.holds(now))
    }

    fn kept_ruling(&self) -> MutexGuard<'_, Option<Arc<Ruling>>> {
        self.ruling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it may be given to others where records are judged. That there is no such record
    /// nobody can sign; that a record lacks some values its signature tells, so it is looked at.
    pub(super) fn is_vouched(&self, now: Now) -> bool {
        let now_ms = i64::try_from(now.tick.0).unwrap_or(i64::MAX);
        match self.kind {
            EntryKind::NotFound => true,
            EntryKind::ValuesNotFound => false,
            EntryKind::Record => {
                self.vouched_until_ms.load(Ordering::Acquire) > now_ms
                    && self.ends_secs.load(Ordering::Relaxed) > now.secs
            }
        }
    }

    pub(super) fn is_paused(&self, now: Tick) -> bool {
        self.stale_until_ms.load(Ordering::Relaxed) > now.0
    }
}
