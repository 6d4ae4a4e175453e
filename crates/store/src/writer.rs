//! The one writer: takes groups from the queue, commits each with one sync, completes the tickets.
//!
//! Between groups it builds or drops indexes, a step at a time. After a failed commit it goes on
//! only to tell everybody that it has stopped.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use foldhash::{HashMap, HashMapExt};
use guantong_proto::Handle;

use crate::batch::{Committed, Origin};
use crate::engine::{Slice, Space, Transaction};
use crate::error::{Cause, StoreError, WriteError};
use crate::format::{Homed, State, counter_key, decode_u64, homed_key, note_key, removed_key};
use crate::group::{Counters, Group};
use crate::head::{Head, Mark};
use crate::index::{self, IndexDef, IndexState, Step};
use crate::limits::{COUNTERS_CACHED_MAX, INDEXES_MAX};
use crate::prepare::Prepared;
use crate::queue::Load;
use crate::shared::Shared;
use crate::tail::Tails;
use crate::ticket::{Outcome, Stub, Wakes};
use crate::watch::Attached;

//----------- Job ------------------------------------------------------------

/// What the writer is asked to do.
pub(crate) enum Job {
    /// Commit a batch.
    Batch(Prepared, Stub),
    /// Switch on the index for a type; nothing happens if it is on.
    IndexOn(String, Stub),
    /// Switch off the index for a type; nothing happens if it is off.
    IndexOff(String, Stub),
}

impl Job {
    /// Tells the caller that nothing was done.
    pub(crate) fn refuse(self, error: WriteError, wakes: &mut Wakes) {
        match self {
            Self::Batch(_, stub) | Self::IndexOn(_, stub) | Self::IndexOff(_, stub) => {
                stub.complete(Err(error), wakes);
            }
        }
    }
}

impl Load for Job {
    fn changes(&self) -> usize {
        match self {
            Self::Batch(batch, _) => batch.changes.len(),
            Self::IndexOn(..) | Self::IndexOff(..) => 1,
        }
    }

    fn octets(&self) -> usize {
        match self {
            Self::Batch(batch, _) => batch.octets,
            Self::IndexOn(kind, _) | Self::IndexOff(kind, _) => kind.len(),
        }
    }
}

//----------- Writer ---------------------------------------------------------

/// The writer's own state; everything that readers see is in [`Shared`].
pub(crate) struct Writer {
    shared: Arc<Shared>,
    state: State,
    /// Counters that were used lately; exact, since nobody else writes them.
    counters: HashMap<Box<[u8]>, u64>,
    tails: Tails,
    head: Head,
    /// For each journal that exists, a number at or below its first change.
    floors: VecDeque<u64>,
}

impl Writer {
    /// A writer that continues from `state`; `floor` is the lowest change that may be in a journal.
    pub(crate) fn new(shared: Arc<Shared>, state: State, head: Head, floor: u64) -> Self {
        let journals = shared.engine.journals().max(1);
        Self {
            shared,
            state,
            counters: HashMap::new(),
            tails: Tails::default(),
            head,
            floors: VecDeque::from(vec![floor; journals]),
        }
    }

    /// Runs until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        let _gone = Gone(self.shared.clone());
        loop {
            let busy = self.has_index_work();
            let Some(jobs) = self.shared.queue.take_group(!busy) else {
                break;
            };
            self.process(jobs);
            if busy {
                self.index_step();
            }
        }
        self.finish();
    }

    /// Leaves nothing that would have to be replayed. If anything of it fails, replaying is safe.
    fn finish(&mut self) {
        let State {
            last_change: last,
            link,
            ..
        } = self.state;
        let nothing_in_journals = Mark::new(last, last + 1, &link);
        let flushed = self.shared.stopped.get().is_none()
            && self.shared.engine.flush_all().is_ok()
            && self.head.write(nothing_in_journals).is_ok();
        // What is lost here is only the proof of the last commits, and only if the power goes.
        let synced = self.head.sync().is_ok();
        self.shared
            .flushed
            .store(flushed && synced, Ordering::Release);
    }

    fn process(&mut self, jobs: Vec<Job>) {
        let mut batches = Vec::with_capacity(jobs.len());
        for job in jobs {
            match job {
                Job::Batch(batch, stub) => batches.push((batch, stub)),
                Job::IndexOn(kind, stub) => {
                    self.process_batches(std::mem::take(&mut batches));
                    stub.complete(self.index_on(kind), &mut Wakes::default());
                }
                Job::IndexOff(kind, stub) => {
                    self.process_batches(std::mem::take(&mut batches));
                    stub.complete(self.index_off(&kind), &mut Wakes::default());
                }
            }
        }
        self.process_batches(batches);
    }

    fn process_batches(&mut self, batches: Vec<(Prepared, Stub)>) {
        if batches.is_empty() {
            return;
        }
        // Dropped at the end, when everybody has been told.
        let mut wakes = Wakes::default();
        if let Some(cause) = self.shared.stopped.get() {
            for (_, stub) in batches {
                stub.complete(Err(WriteError::Stopped(cause.clone())), &mut wakes);
            }
            return;
        }
        let shared = self.shared.clone();
        let (indexes, homed) = (shared.indexes(), shared.homed());
        // Taken out for the time being, since committing needs the writer whole.
        let mut tails = std::mem::take(&mut self.tails);
        let mut group = Group::new(&shared.engine, self.state, &indexes, &homed, &mut tails);
        let judged: Vec<Judged> = batches
            .into_iter()
            .map(|(batch, stub)| judge(&mut group, batch, stub, &shared.attached))
            .collect();
        let failure = match group.is_empty() {
            true => None,
            false => self.commit(group, &homed).err(),
        };
        tails.trim();
        self.tails = tails;
        for judged in judged {
            match (&failure, judged.outcome) {
                (Some(failure), Ok(_)) => {
                    judged.stub.complete(Err(failure.clone()), &mut wakes);
                }
                (_, Err(error)) => judged.stub.complete(Err(error), &mut wakes),
                (None, Ok(committed)) => {
                    let origin = judged.needs_admission;
                    report(&shared, judged.stub, origin, committed, &mut wakes);
                }
            }
        }
    }

    /// Writes a group. On return it is durable and visible, and the hot cache knows.
    fn commit(&mut self, group: Group<'_>, homed: &Arc<Homed>) -> Result<(), WriteError> {
        let shared = self.shared.clone();
        // Reading the counters may fail; nothing has been written then, and nothing is broken.
        let counters = group
            .counters(|prefix| self.counter(prefix))
            .map_err(|cause| WriteError::Read(StoreError::Engine(cause)))?;
        let Group {
            records,
            entries,
            homed: homed_changes,
            index,
            notes,
            removed,
            state,
            first,
            ..
        } = group;
        let items = records.len() + entries.len() + counters.len() + index.len() + notes.len() + 1;
        let items = items + homed_changes.len() + removed.len();
        let mut transaction = shared.engine.transaction(items);
        let keys: Vec<_> = records.iter().map(|(key, _)| key.clone()).collect();
        put_records(&mut transaction, records);
        for (number, entry) in (first..).zip(entries) {
            transaction.put(Space::Changes, number.to_be_bytes(), entry);
        }
        for (prefix, count) in &counters {
            transaction.put(Space::Meta, counter_key(prefix), count.to_be_bytes());
        }
        put_small(&mut transaction, &homed_changes, removed, index, notes);
        transaction.put(Space::Meta, State::KEY, state.encode());

        let closed = shared.hot.close(keys.iter().map(|key| &**key));
        transaction.commit().map_err(|cause| self.stop(cause))?;
        self.state = state;
        self.remember(counters);
        if !homed_changes.is_empty() {
            let mut homed = Homed::clone(homed);
            for (key, handle) in homed_changes {
                match handle {
                    Some(handle) => homed.insert(key, handle),
                    None => homed.remove(&key),
                };
            }
            shared.set_homed(homed);
        }
        shared.commits.fetch_add(1, Ordering::Relaxed);
        shared.records.store(state.records, Ordering::Release);
        shared
            .last_change
            .store(state.last_change, Ordering::Release);
        self.mark(first)?;
        drop(closed);
        shared.attached.tell(state.last_change);
        Ok(())
    }

    /// Writes `HEAD` for a commit whose first change was `first`.
    fn mark(&mut self, first: u64) -> Result<(), WriteError> {
        let journals = self.shared.engine.journals().max(1);
        while self.floors.len() < journals {
            self.floors.push_back(first);
        }
        while self.floors.len() > journals {
            self.floors.pop_front();
        }
        let floor = self.floors.front().copied().unwrap_or(1);
        let mark = Mark::new(self.state.last_change, floor, &self.state.link);
        self.head
            .write(mark)
            .map_err(|error| self.stop(error.into()))
    }

    fn counter(&self, prefix: &[u8]) -> Result<u64, Cause> {
        if let Some(&count) = self.counters.get(prefix) {
            return Ok(count);
        }
        let stored = self.shared.engine.get(Space::Meta, &counter_key(prefix))?;
        // A damaged counter counts from 0; `check` compares counters with the records.
        Ok(stored
            .and_then(|octets| decode_u64(&octets).ok())
            .unwrap_or(0))
    }

    fn remember(&mut self, counters: Counters) {
        if self.counters.len() + counters.len() > COUNTERS_CACHED_MAX {
            self.counters.clear();
        }
        self.counters.extend(counters);
    }

    /// Takes note that nothing more can be written.
    fn stop(&self, cause: Cause) -> WriteError {
        let _ = self.shared.stopped.set(cause.clone());
        WriteError::Failed(cause)
    }

    //--- Indexes

    fn has_index_work(&self) -> bool {
        self.shared.stopped.get().is_none()
            && self
                .shared
                .indexes()
                .iter()
                .any(|def| def.state != IndexState::Ready)
    }

    fn index_on(&mut self, kind: String) -> Outcome {
        let mut defs = self.shared.indexes().to_vec();
        if let Some(def) = defs.iter().find(|def| def.is_for(&kind)) {
            return match def.is_live() {
                true => Ok(self.nothing()),
                // One index per type: the definition's key is taken until the old one is gone.
                false => Err(WriteError::IndexDropping { kind }),
            };
        }
        if defs.len() >= INDEXES_MAX {
            return Err(WriteError::TooManyIndexes { limit: INDEXES_MAX });
        }
        let def = IndexDef {
            number: self.state.next_index,
            kind,
            state: IndexState::Building,
            cursor: Vec::new(),
        };
        let mut state = self.state;
        state.next_index += 1;
        defs.push(def.clone());
        self.commit_index(defs, |transaction| {
            transaction.put(Space::Meta, IndexDef::meta_key(&def.kind), def.encode());
            transaction.put(Space::Meta, State::KEY, state.encode());
        })?;
        self.state = state;
        Ok(self.nothing())
    }

    fn index_off(&mut self, kind: &str) -> Outcome {
        let mut defs = self.shared.indexes().to_vec();
        let def = defs
            .iter_mut()
            .find(|def| def.is_for(kind) && def.is_live());
        let Some(def) = def else {
            return Ok(self.nothing());
        };
        def.state = IndexState::Dropping;
        def.cursor = Vec::new();
        let (key, octets) = (IndexDef::meta_key(kind), def.encode());
        self.commit_index(defs, |transaction| {
            transaction.put(Space::Meta, key, octets);
        })?;
        Ok(self.nothing())
    }

    /// Does the next step of the first index that is not ready.
    fn index_step(&mut self) {
        let mut defs = self.shared.indexes().to_vec();
        let Some(at) = defs.iter().position(|def| def.state != IndexState::Ready) else {
            return;
        };
        let step = match index::plan_step(&self.shared.engine, &defs[at]) {
            Ok(step) => step,
            Err(cause) => {
                // Trying for ever would help nobody; a restart tries again.
                self.stop(cause);
                return;
            }
        };
        let key = IndexDef::meta_key(&defs[at].kind);
        let Step { add, delete, def } = step;
        match &def {
            Some(def) => defs[at] = def.clone(),
            None => {
                defs.remove(at);
            }
        }
        // A failure has stopped the writer, which is all that can be done about it here.
        let _ = self.commit_index(defs, |transaction| {
            for entry in add {
                transaction.put(Space::Index, entry, b"");
            }
            for entry in delete {
                transaction.delete(Space::Index, entry);
            }
            match def {
                Some(def) => transaction.put(Space::Meta, key, def.encode()),
                None => transaction.delete(Space::Meta, key),
            }
        });
    }

    fn commit_index(
        &mut self,
        defs: Vec<IndexDef>,
        fill: impl FnOnce(&mut Transaction<'_>),
    ) -> Result<(), WriteError> {
        if let Some(cause) = self.shared.stopped.get() {
            return Err(WriteError::Stopped(cause.clone()));
        }
        let mut transaction = self.shared.engine.transaction(2);
        fill(&mut transaction);
        transaction.commit().map_err(|cause| self.stop(cause))?;
        self.shared.set_indexes(defs);
        Ok(())
    }

    fn nothing(&self) -> Committed {
        Committed {
            first: self.state.last_change + 1,
            last: self.state.last_change,
        }
    }
}

/// Writes the records of a group; `None` stands for one that is deleted.
fn put_records(transaction: &mut Transaction<'_>, records: Vec<(Slice, Option<Vec<u8>>)>) {
    for (key, record) in records {
        match record {
            Some(record) => transaction.put(Space::Records, key, record),
            None => transaction.delete(Space::Records, key),
        }
    }
}

/// Writes what a group keeps beside the records.
fn put_small(
    transaction: &mut Transaction<'_>,
    homed: &BTreeMap<Box<[u8]>, Option<Handle>>,
    removed: HashMap<Slice, Option<u64>>,
    index: HashMap<Vec<u8>, bool>,
    notes: BTreeMap<String, Vec<u8>>,
) {
    for (key, handle) in homed {
        match handle {
            Some(handle) => {
                transaction.put(Space::Meta, homed_key(key), handle.as_str().as_bytes());
            }
            None => transaction.delete(Space::Meta, homed_key(key)),
        }
    }
    for (key, deletion) in removed {
        match deletion {
            Some(number) => {
                transaction.put(Space::Meta, removed_key(&key), number.to_be_bytes());
            }
            None => transaction.delete(Space::Meta, removed_key(&key)),
        }
    }
    for (key, present) in index {
        match present {
            true => transaction.put(Space::Index, key, b""),
            false => transaction.delete(Space::Index, key),
        }
    }
    for (name, octets) in notes {
        transaction.put(Space::Meta, note_key(&name), octets);
    }
}

//----------- Judged ---------------------------------------------------------

/// A batch whose expectations were checked.
struct Judged {
    stub: Stub,
    outcome: Outcome,
    /// Who has asked for its changes, if it has any.
    needs_admission: Option<Origin>,
}

/// Stages a batch if changes are taken now. A note without changes always is.
fn judge(group: &mut Group<'_>, batch: Prepared, stub: Stub, attached: &Attached) -> Judged {
    let needs_admission = (!batch.changes.is_empty()).then(|| batch.origin.clone());
    let admitted = needs_admission
        .as_ref()
        .map_or(Ok(()), |origin| attached.admits(origin));
    let outcome = match admitted {
        Ok(()) => group.admit(batch),
        Err(why) => Err(WriteError::NotAdmitted { why }),
    };
    Judged {
        stub,
        outcome,
        needs_admission,
    }
}

/// Tells that a batch is durable, if the right to take it has not run out meanwhile; where a mirror
/// must have it too, when it has.
fn report(
    shared: &Shared,
    stub: Stub,
    origin: Option<Origin>,
    committed: Committed,
    wakes: &mut Wakes,
) {
    let still = origin
        .as_ref()
        .map_or(Ok(()), |origin| shared.attached.admits(origin));
    match (still, origin) {
        (Err(why), _) => stub.complete(Err(WriteError::Unconfirmed { why }), wakes),
        (Ok(()), None | Some(Origin::Replication)) => stub.complete(Ok(committed), wakes),
        (Ok(()), Some(_)) => shared.confirmations.hold(stub, committed, wakes),
    }
}

//----------- Gone -----------------------------------------------------------

/// Refuses new batches when the writer ends, however it ends, so that nobody waits for it.
struct Gone(Arc<Shared>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.queue.abandon();
    }
}
