//! The face of an open store.

use std::hash::{BuildHasher, RandomState};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};

use guantong_proto::{CaseRule, Handle, HandleRef, type_matches};

use crate::batch::{Batch, Submission};
use crate::engine::{Pairs, Space};
use crate::entry::Entry;
use crate::error::{OpenError, StoreError, WriteError};
use crate::format::{
    ENGINE_DIR, Scope, counter_key, decode_u64, end_of, index_value_start, note_key, record_key_of,
};
use crate::hot::{Hot, Look};
use crate::index::{IndexInfo, IndexState};
use crate::journal;
use crate::limits::{INDEX_KIND_LEN_MAX, PAGE_LEN_MAX};
use crate::note::Note;
use crate::open::{self, Found, Lock, Opened};
use crate::options::{CreateOptions, Memory, Options};
use crate::page::{Listing, Page, PageToken};
use crate::prepare::prepare;
use crate::queue::Refused;
use crate::record::StoredRecord;
use crate::shared::Shared;
use crate::snapshot;
use crate::ticket::{Recipient, Stub, Ticket, Wakes, settled, ticket};
use crate::trail::Right;
use crate::watch::Admission;
use crate::writer::{Job, Writer};

//----------- Store ----------------------------------------------------------

/// An open store. Clones share it; the last one to be dropped closes it.
///
/// All methods may be called from any thread. Reads never wait for writes.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

impl Store {
    //--- Making and opening

    /// Makes an empty store in `dir`, which must be empty or not exist, and opens it.
    pub fn create(
        dir: &Path,
        create: &CreateOptions,
        options: &Options,
    ) -> Result<Self, OpenError> {
        open::create(dir, create)?;
        Self::open(dir, options)
    }

    /// Opens the store in `dir` and locks it for as long as it is open.
    pub fn open(dir: &Path, options: &Options) -> Result<Self, OpenError> {
        let Opened { found, head, floor } = open::open(dir, options)?;
        let Found {
            lock,
            engine,
            header,
            state,
            homed,
            indexes,
        } = found;
        let seed = RandomState::new().hash_one(dir);
        let hot = Hot::new(
            Memory::divide(options.memory_bytes).hot,
            header.case_rule,
            seed,
        );
        let shared = Arc::new(Shared::new(engine, header, hot, homed, indexes));
        shared.records.store(state.records, Ordering::Release);
        shared
            .last_change
            .store(state.last_change, Ordering::Release);
        let writer = Writer::new(shared.clone(), state, head, floor);
        let thread = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| open::engine_error(dir, error.into()))?;
        Ok(Self {
            inner: Arc::new(Inner {
                shared: Some(shared),
                writer: Some(thread),
                engine_dir: dir.join(ENGINE_DIR),
                _lock: lock,
            }),
        })
    }

    /// Which letters of a handle fold in this store.
    pub fn case_rule(&self) -> CaseRule {
        self.shared().header.case_rule
    }

    /// Identity of the store, as given when it was made.
    pub fn id(&self) -> [u8; 16] {
        self.shared().header.id
    }

    //--- Reading

    /// The record stored under a folded handle.
    pub fn get(&self, key: &[u8]) -> Result<Option<StoredRecord>, StoreError> {
        match self.cached(key) {
            Some(record) => Ok(Some(record)),
            None => self.fetch(key),
        }
    }

    /// The same for a key that was just looked for among the hot ones in vain
    /// ([`Store::cached`]), and is not looked for again. It is hot afterwards.
    pub fn fetch(&self, key: &[u8]) -> Result<Option<StoredRecord>, StoreError> {
        let shared = self.shared();
        shared
            .hot
            .fetch(key, || match shared.engine.get(Space::Records, key)? {
                Some(octets) => decode_record(key, &octets).map(Some),
                None => Ok(None),
            })
    }

    /// What is in memory, for whoever answers many questions at once.
    pub fn look(&self) -> Look<'_> {
        self.shared().hot.look()
    }

    /// The record stored under a folded handle, if it is among the hot ones: neither the engine nor
    /// the disk is asked. Whether there is none, only [`Store::get`] can say.
    pub fn cached(&self, key: &[u8]) -> Option<StoredRecord> {
        self.shared().hot.get(key)
    }

    /// The record of a handle.
    pub fn record(&self, handle: HandleRef<'_>) -> Result<Option<StoredRecord>, StoreError> {
        self.get(handle.key(self.case_rule()).as_bytes())
    }

    /// Number of records in a scope. Does not depend on how many there are.
    pub fn count(&self, scope: &Scope) -> Result<u64, StoreError> {
        let shared = self.shared();
        match scope {
            Scope::All => Ok(shared.records.load(Ordering::Acquire)),
            Scope::Prefix(prefix) => {
                match shared.engine.get(Space::Meta, &counter_key(&prefix.0))? {
                    None => Ok(0),
                    Some(octets) => decode_u64(&octets).map_err(|source| StoreError::Form {
                        what: format!("counter of `{}`", String::from_utf8_lossy(&prefix.0)),
                        source,
                    }),
                }
            }
        }
    }

    /// One page of the handles in a scope, in the order of their folded names, at most `limit` and
    /// [`PAGE_LEN_MAX`]. `after` is the token of the page before.
    pub fn list(
        &self,
        scope: &Scope,
        after: Option<&PageToken>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let listing = Listing::Scope(scope);
        let after = match after {
            Some(token) => Some(token.key(&self.id(), &listing)?),
            None => None,
        };
        let mut page = PageBuilder::new(self.id(), listing, limit);
        for record in self.scan(scope, after) {
            let (key, record) = record?;
            if page.is_full_before(&key, record.handle().to_owned()) {
                break;
            }
        }
        Ok(page.finish())
    }

    /// The records in a scope at this moment, in the order of their keys, each with its key. Begins
    /// behind the key `after`, with which a scan can be continued later.
    ///
    /// The scan holds back the engine's cleaning up: use it up or drop it in good time.
    pub fn scan(&self, scope: &Scope, after: Option<&[u8]>) -> Scan {
        snapshot::scan(&self.shared().engine.view(), scope, after)
    }

    /// One page of the handles that have a value of type `kind` with exactly this data, found by
    /// the index for `kind`.
    pub fn find(
        &self,
        kind: &str,
        data: &[u8],
        after: Option<&PageToken>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let shared = self.shared();
        let indexes = shared.indexes();
        let def = indexes.iter().find(|def| def.is_for(kind) && def.is_live());
        let def = match def {
            None => return Err(StoreError::NoIndex { kind: kind.into() }),
            Some(def) if def.state == IndexState::Building => {
                return Err(StoreError::IndexBuilding { kind: kind.into() });
            }
            Some(def) => def,
        };
        let start = index_value_start(def.number, data);
        let listing = Listing::Find(&start);
        let from = match after {
            Some(token) => [&start, token.key(&self.id(), &listing)?].concat(),
            None => start.to_vec(),
        };
        let view = shared.engine.view();
        let mut page = PageBuilder::new(self.id(), listing, limit);
        let end = end_of(&start);
        for pair in view.range(Space::Index, Bound::Excluded(&from), end.as_deref()) {
            let (entry, _) = pair?;
            let key = record_key_of(&entry).map_err(|source| StoreError::Form {
                what: format!("an entry of the index for `{kind}`"),
                source,
            })?;
            let Some(octets) = view.get(Space::Records, key)? else {
                continue;
            };
            let record = decode_record(key, &octets)?;
            // The entry holds a hash; the record has the data.
            let holds = record
                .values()
                .iter()
                .any(|value| value.data == data && type_matches(def.kind.as_bytes(), value.kind));
            if holds && page.is_full_before(key, record.handle().to_owned()) {
                break;
            }
        }
        Ok(page.finish())
    }

    /// Number of the last change that is committed and visible; 0 in a new store.
    pub fn last_change(&self) -> u64 {
        self.shared().last_change.load(Ordering::Acquire)
    }

    /// The changes that follow change number `after`, at most `limit` and
    /// [`CHANGES_PAGE_LEN_MAX`](crate::limits::CHANGES_PAGE_LEN_MAX).
    pub fn changes(&self, after: u64, limit: usize) -> Result<Vec<Entry>, StoreError> {
        snapshot::page_of_changes(&self.shared().engine.view(), after, limit)
    }

    /// The change of that number.
    pub fn change(&self, number: u64) -> Result<Option<Entry>, StoreError> {
        snapshot::change(&self.shared().engine.view(), number)
    }

    /// Number of the last change of the record of a handle: its version, or the deletion after
    /// which there is none; `None` if there never was one. One or two reads, however many changes
    /// there are. [`Entry::previous`] leads on to the first.
    pub fn last_change_of(&self, handle: HandleRef<'_>) -> Result<Option<u64>, StoreError> {
        let key = handle.key(self.case_rule());
        let view = self.shared().engine.view();
        match view.get(Space::Records, key.as_bytes())? {
            Some(octets) => {
                let record = decode_record(key.as_bytes(), &octets)?;
                Ok(Some(record.version()))
            }
            None => snapshot::removal(&view, key.as_bytes()),
        }
    }

    /// Number of the deletion after which a handle has no record; `None` if it has one, or never
    /// had one.
    pub fn removal(&self, handle: HandleRef<'_>) -> Result<Option<u64>, StoreError> {
        let key = handle.key(self.case_rule());
        snapshot::removal(&self.shared().engine.view(), key.as_bytes())
    }

    /// The homed prefix handles, as they were given, in order.
    pub fn homed(&self) -> Vec<Handle> {
        self.shared().homed().values().cloned().collect()
    }

    /// Whether the prefix of this prefix handle is homed.
    pub fn is_homed(&self, prefix: HandleRef<'_>) -> bool {
        let key = prefix.key(self.case_rule());
        self.shared().homed().contains_key(key.as_bytes())
    }

    //--- Writing

    /// Hands a batch to the writer, waiting for room in its queue.
    ///
    /// The batch is durable once the ticket says that it is committed.
    pub fn submit(&self, batch: Batch) -> Ticket {
        self.submit_noted(batch, Vec::new())
    }

    /// [`Store::submit`] with notes that are written in the same transaction. A batch without
    /// changes writes the notes alone.
    pub fn submit_noted(&self, batch: Batch, notes: Vec<Note>) -> Ticket {
        self.submit_with(batch, Vec::new(), notes, |job| {
            self.shared()
                .queue
                .push(job)
                .map_err(|refused| match refused {
                    Refused::Full(job) | Refused::Closed(job) => job,
                })
        })
    }

    /// Hands a batch to the writer if its queue has room; otherwise the ticket fails with
    /// [`WriteError::Busy`].
    pub fn try_submit(&self, batch: Batch) -> Ticket {
        self.try_submit_by(batch, Vec::new())
    }

    /// [`Store::try_submit`] of changes that different rights allow: `rights` has one for each, in
    /// place of the one in the trail of the batch.
    pub fn try_submit_by(&self, batch: Batch, rights: Vec<Right>) -> Ticket {
        self.submit_with(batch, rights, Vec::new(), |job| {
            match self.shared().queue.try_push(job) {
                Ok(()) => Ok(()),
                Err(Refused::Closed(job)) => Err(job),
                Err(Refused::Full(job)) => {
                    job.refuse(WriteError::Busy, &mut Wakes::default());
                    Ok(())
                }
            }
        })
    }

    /// [`Store::try_submit_by`] for several batches, which are nothing to each other but queued
    /// together: with one wake-up of the writer at most, and as far as its limits allow with one
    /// sync. `recipient` is told of each, and woken once for all that came to an end together.
    pub fn try_submit_all(
        &self,
        submissions: impl IntoIterator<Item = Submission>,
        recipient: &Arc<dyn Recipient>,
    ) {
        let mut wakes = Wakes::default();
        let stopped = self.shared().stopped.get();
        let mut jobs = Vec::new();
        for Submission {
            batch,
            rights,
            mark,
        } in submissions
        {
            let stub = Stub::of(recipient.clone(), mark);
            let prepared = match stopped {
                None => prepare(batch, rights, Vec::new(), self.case_rule()),
                Some(cause) => Err(WriteError::Stopped(cause.clone())),
            };
            match prepared {
                Ok(prepared) => jobs.push(Job::Batch(prepared, stub)),
                Err(error) => stub.complete(Err(error), &mut wakes),
            }
        }
        for refused in self.shared().queue.try_push_all(jobs.into_iter()) {
            match refused {
                Refused::Full(job) => job.refuse(WriteError::Busy, &mut wakes),
                Refused::Closed(job) => job.refuse(WriteError::Closed, &mut wakes),
            }
        }
    }

    /// What was last written as the note of that name.
    pub fn note(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let octets = self.shared().engine.get(Space::Meta, &note_key(name))?;
        Ok(octets.map(|octets| octets.to_vec()))
    }

    fn submit_with(
        &self,
        batch: Batch,
        rights: Vec<Right>,
        notes: Vec<Note>,
        push: impl FnOnce(Job) -> Result<(), Job>,
    ) -> Ticket {
        if let Some(cause) = self.shared().stopped.get() {
            return settled(Err(WriteError::Stopped(cause.clone())));
        }
        match prepare(batch, rights, notes, self.case_rule()) {
            Ok(prepared) => self.send(|stub| Job::Batch(prepared, stub), push),
            Err(error) => settled(Err(error)),
        }
    }

    fn send(
        &self,
        job: impl FnOnce(Stub) -> Job,
        push: impl FnOnce(Job) -> Result<(), Job>,
    ) -> Ticket {
        let (ticket, stub) = ticket();
        // A job that is dropped tells its ticket that the store was closed.
        let _ = push(job(stub));
        ticket
    }

    /// From now on `admission` says whether changes are taken.
    pub fn set_admission(&self, admission: Arc<dyn Admission>) {
        self.shared().attached.set_admission(admission);
    }

    /// Calls `told` on the writer's thread with the number of the last change, whenever there are
    /// new ones. It must not hold up the writer, nor keep the store alive.
    pub fn on_change(&self, told: impl Fn(u64) + Send + Sync + 'static) {
        self.shared().attached.set_told(Arc::new(told));
    }

    /// Whether a batch is reported as done only when [`Store::confirm`] says that somebody else has
    /// it too. Batches of origin [`Origin::Replication`](crate::Origin) never wait.
    pub fn want_confirmation(&self, wanted: bool) {
        self.shared().confirmations.want(wanted);
    }

    /// Changes up to `last` are durable elsewhere as well.
    pub fn confirm(&self, last: u64) {
        self.shared().confirmations.confirm(last);
    }

    /// Batches up to change `last` are not waited for any longer; whoever waits is told `why`.
    pub fn give_up_confirmation(&self, last: u64, why: &Arc<str>) {
        self.shared().confirmations.give_up(last, why);
    }

    /// Batches that wait to be confirmed.
    pub fn unconfirmed(&self) -> usize {
        self.shared().confirmations.waiting()
    }

    /// Whether the store still takes writes; if not, why.
    pub fn writable(&self) -> Result<(), WriteError> {
        match self.shared().stopped.get() {
            None => Ok(()),
            Some(cause) => Err(WriteError::Stopped(cause.clone())),
        }
    }

    //--- Indexes

    /// Switches on the index for a type, or with a trailing dot for a family of types. Done when
    /// the ticket says so; from then on the index is built in the background.
    pub fn index_enable(&self, kind: &str) -> Ticket {
        if kind.is_empty() || kind.len() > INDEX_KIND_LEN_MAX {
            return settled(Err(WriteError::IndexKind {
                limit: INDEX_KIND_LEN_MAX,
            }));
        }
        let kind = kind.to_owned();
        self.send(|stub| Job::IndexOn(kind, stub), |job| self.push(job))
    }

    /// Switches off the index for a type. Its entries are deleted in the background.
    pub fn index_disable(&self, kind: &str) -> Ticket {
        let kind = kind.to_owned();
        self.send(|stub| Job::IndexOff(kind, stub), |job| self.push(job))
    }

    /// The indexes, as they are now.
    pub fn indexes(&self) -> Vec<IndexInfo> {
        let indexes = self.shared().indexes();
        let info = indexes.iter().map(|def| IndexInfo {
            kind: def.kind.clone(),
            state: def.state,
        });
        info.collect()
    }

    /// Waits until the writer has nothing left to do: no batch waits, no index is being built.
    pub fn settle(&self) {
        self.shared().queue.wait_until_idle();
    }

    //--- About the store itself

    /// What the store holds and uses at this moment.
    pub fn stats(&self) -> Result<Stats, StoreError> {
        let shared = self.shared();
        let (queued_changes, queued_octets) = shared.queue.waiting();
        Ok(Stats {
            records: shared.records.load(Ordering::Acquire),
            last_change: self.last_change(),
            commits: shared.commits.load(Ordering::Relaxed),
            disk_octets: shared.engine.disk_octets()?,
            record_octets: shared.engine.space_octets(Space::Records),
            change_octets: shared.engine.space_octets(Space::Changes),
            index_octets: shared.engine.space_octets(Space::Index),
            hot_records: shared.hot.len() as u64,
            hot_octets: shared.hot.octets(),
            block_cache_octets: shared.engine.cache_octets(),
            memtable_octets: shared.engine.memtable_octets(),
            queued_changes: queued_changes as u64,
            queued_octets: queued_octets as u64,
        })
    }

    pub(crate) fn shared(&self) -> &Shared {
        let shared = self.inner.shared.as_deref();
        shared.expect("it is only taken when the last clone is dropped")
    }

    fn push(&self, job: Job) -> Result<(), Job> {
        self.shared()
            .queue
            .push(job)
            .map_err(|refused| match refused {
                Refused::Full(job) | Refused::Closed(job) => job,
            })
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("last_change", &self.last_change())
            .finish_non_exhaustive()
    }
}

//----------- Inner ----------------------------------------------------------

struct Inner {
    /// `None` only while it is being dropped.
    shared: Option<Arc<Shared>>,
    writer: Option<JoinHandle<()>>,
    engine_dir: PathBuf,
    /// Held for as long as the store is open.
    _lock: Lock,
}

impl Drop for Inner {
    fn drop(&mut self) {
        let Some(shared) = self.shared.take() else {
            return;
        };
        shared.queue.close();
        // The last clone may die in a ticket's callback, on the writer's own thread.
        let writer = self.writer.take();
        let writer = writer.filter(|writer| writer.thread().id() != thread::current().id());
        let Some(writer) = writer else { return };
        // A writer that panicked has told so on its way out.
        let _ = writer.join();
        let flushed = shared.flushed.load(Ordering::Acquire);
        // The writer is gone, so this is the last reference, and dropping it closes the engine.
        let last = Arc::into_inner(shared);
        let closed = last.is_some();
        drop(last);
        if closed && flushed {
            // If it fails, there is something to be replayed, which does no harm.
            let _ = journal::clear(&self.engine_dir);
        }
    }
}

//----------- Scan -----------------------------------------------------------

/// The records of a scope at one moment, with their keys; see [`Store::scan`].
pub struct Scan(pub(crate) Pairs);

impl Iterator for Scan {
    type Item = Result<(Vec<u8>, StoredRecord), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let pair = self.0.next()?;
        Some(pair.map_err(StoreError::Engine).and_then(|(key, value)| {
            let record = decode_record(&key, &value)?;
            Ok((key.to_vec(), record))
        }))
    }
}

pub(crate) fn decode_record(key: &[u8], octets: &[u8]) -> Result<StoredRecord, StoreError> {
    StoredRecord::decode(octets).map_err(|source| StoreError::Record {
        key: String::from_utf8_lossy(key).into_owned(),
        source,
    })
}

//----------- PageBuilder ----------------------------------------------------

/// Collects a page and finds out whether there is another one.
struct PageBuilder<'a> {
    store: [u8; 16],
    listing: Listing<'a>,
    limit: usize,
    handles: Vec<Handle>,
    last_key: Vec<u8>,
    more: bool,
}

impl<'a> PageBuilder<'a> {
    fn new(store: [u8; 16], listing: Listing<'a>, limit: usize) -> Self {
        Self {
            store,
            listing,
            limit: limit.clamp(1, PAGE_LEN_MAX),
            handles: Vec::new(),
            last_key: Vec::new(),
            more: false,
        }
    }

    /// Adds a handle, unless the page was full before it.
    fn is_full_before(&mut self, key: &[u8], handle: Handle) -> bool {
        self.more = self.handles.len() == self.limit;
        if !self.more {
            self.handles.push(handle);
            self.last_key.clear();
            self.last_key.extend_from_slice(key);
        }
        self.more
    }

    fn finish(self) -> Page {
        let token = || PageToken::new(&self.store, &self.listing, &self.last_key);
        Page {
            next: self.more.then(token),
            handles: self.handles,
        }
    }
}

//----------- Stats ----------------------------------------------------------

/// What a store holds and uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Number of records.
    pub records: u64,
    /// Number of the last change.
    pub last_change: u64,
    /// Groups of changes that were committed since the store was opened: a sync serves each.
    pub commits: u64,
    /// Octets on disk, journals included.
    pub disk_octets: u64,
    /// Octets on disk of records.
    pub record_octets: u64,
    /// Octets on disk of the change log.
    pub change_octets: u64,
    /// Octets on disk of indexes.
    pub index_octets: u64,
    /// Records in the hot cache.
    pub hot_records: u64,
    /// Octets of the hot cache.
    pub hot_octets: u64,
    /// Octets of the engine's block cache.
    pub block_cache_octets: u64,
    /// Octets of memtables.
    pub memtable_octets: u64,
    /// Changes that wait for the writer.
    pub queued_changes: u64,
    /// Octets that wait for the writer.
    pub queued_octets: u64,
}
