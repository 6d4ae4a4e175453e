//! The embedded engine, behind the few operations that the store needs.
//!
//! This is the only file that names the engine. It gives ordered key spaces, point reads,
//! snapshots, and atomic durable transactions; it knows nothing of records. Everything the engine
//! may do to us is dealt with here: its panics on damaged files become errors, its memtables are
//! rotated by our own setting, and its back-pressure is applied by us, where we can see that nobody
//! is left to relieve it (`docs/internals/storage.md`, section 2.1).

use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use fjall::config::{BlockSizePolicy, CompressionPolicy, FilterPolicy};
use fjall::{
    AbstractTree, CompressionType, Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch,
    PersistMode, Readable, Snapshot,
};

use crate::error::Cause;
use crate::journal;
use crate::options::Memory;
use crate::precheck;

pub(crate) use fjall::Slice;

/// Upper bound of a memtable that the engine itself enforces; ours is always lower.
const ENGINE_MEMTABLE_OCTETS: u64 = 512 * 1024 * 1024;
/// Octets of sealed journals at which the engine flushes stragglers: the least it accepts, since
/// journals are what has to be replayed at start.
const JOURNAL_OCTETS: u64 = 64 * 1024 * 1024;
/// Files that the engine keeps open.
const OPEN_FILES_MAX: usize = 512;
/// Background threads for flushing and compaction. The engine keeps the first one for flushing: it
/// puts back what is to be compacted, and looks again at once until another thread takes it. So
/// there are enough others that one of them is free while the rest compact; with one other, the
/// first keeps a core busy with looking for as long as a compaction takes.
const WORKERS: usize = 4;
/// Sealed memtables at which we wait; the engine waits at 4, without a way out.
const SEALED_MAX: usize = 2;
/// Runs in level 0 at which we wait; the engine waits at 20, without a way out from 30 on.
const LEVEL0_RUNS_MAX: usize = 16;
/// How long to wait before looking at the engine's backlog again.
const BACKLOG_PAUSE: Duration = Duration::from_millis(2);

//----------- Space ----------------------------------------------------------

/// A key space of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Space {
    Records,
    Changes,
    Index,
    Meta,
}

impl Space {
    pub(crate) const ALL: [Space; 4] = [Self::Records, Self::Changes, Self::Index, Self::Meta];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Changes => "changes",
            Self::Index => "index",
            Self::Meta => "meta",
        }
    }

    fn options(self) -> KeyspaceCreateOptions {
        let options = KeyspaceCreateOptions::default()
            .manual_journal_persist(true)
            .max_memtable_size(ENGINE_MEMTABLE_OCTETS);
        match self {
            // Point reads of records that often do not exist: filters on all levels. Compressed on
            // all levels, because a sorted import is never rewritten below the first one.
            Self::Records => {
                options.data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
            }
            // Read in long runs by number, never by a key that might be absent.
            Self::Changes => options
                .filter_policy(FilterPolicy::disabled())
                .data_block_size_policy(BlockSizePolicy::all(16 * 1024))
                .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4)),
            // Read in ranges only.
            Self::Index => options.filter_policy(FilterPolicy::disabled()),
            Self::Meta => options,
        }
    }
}

/// A key and its value.
pub(crate) type Pair = (Slice, Slice);

//----------- Engine ---------------------------------------------------------

/// An open engine.
pub(crate) struct Engine {
    db: Database,
    spaces: [Keyspace; 4],
    rotate_octets: [u64; 4],
}

impl Engine {
    /// Makes a new engine in `dir`, which must be empty.
    pub(crate) fn create(dir: &Path, memory: &Memory) -> Result<Self, Cause> {
        Self::open_with(dir, memory, false)
    }

    /// Opens the engine in `dir`.
    pub(crate) fn open(dir: &Path, memory: &Memory) -> Result<Self, Cause> {
        // Without this file the engine would quietly make a new, empty database.
        if !dir.join("version").is_file() {
            return Err(Cause::Damaged(
                "the engine's version file is missing".into(),
            ));
        }
        precheck::check(dir)?;
        Self::open_with(dir, memory, true)
    }

    fn open_with(dir: &Path, memory: &Memory, must_exist: bool) -> Result<Self, Cause> {
        let open = || {
            Database::builder(dir)
                .cache_size(memory.block_cache)
                .max_journaling_size(JOURNAL_OCTETS)
                .max_cached_files(Some(OPEN_FILES_MAX))
                .worker_threads(WORKERS)
                .manual_journal_persist(true)
                .open()
        };
        guarded(|| {
            let db = match open() {
                // A torn last batch was never acknowledged, so it need not stand in the way.
                Err(fjall::Error::JournalRecovery(_)) if journal::cut_torn_tail(dir)? => open()?,
                opened => opened?,
            };
            // A key space that is missing would quietly be made anew.
            if must_exist && Space::ALL.iter().any(|s| !db.keyspace_exists(s.name())) {
                return Err(fjall::Error::Unrecoverable);
            }
            let mut spaces = Vec::with_capacity(Space::ALL.len());
            for space in Space::ALL {
                spaces.push(db.keyspace(space.name(), || space.options())?);
            }
            let spaces = spaces.try_into().map_err(|_| fjall::Error::Unrecoverable)?;
            Ok(Self {
                db,
                spaces,
                rotate_octets: memory.memtables,
            })
        })
    }

    /// The newest value of `key`.
    pub(crate) fn get(&self, space: Space, key: &[u8]) -> Result<Option<Slice>, Cause> {
        guarded(|| self.spaces[space as usize].get(key))
    }

    /// The last key from `from` up to but not including `to`, as committed now.
    pub(crate) fn last_key(
        &self,
        space: Space,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Result<Option<Slice>, Cause> {
        let to = to.map_or(Bound::Unbounded, Bound::Excluded);
        let space = &self.spaces[space as usize];
        guarded(|| {
            let mut range = space.range::<&[u8], _>((Bound::Included(from), to));
            range.next_back().map(fjall::Guard::key).transpose()
        })
    }

    /// A consistent view of everything that is committed now.
    pub(crate) fn view(&self) -> View {
        View {
            snapshot: self.db.snapshot(),
            spaces: self.spaces.clone(),
        }
    }

    /// An empty transaction for about `items` entries.
    pub(crate) fn transaction(&self, items: usize) -> Transaction<'_> {
        Transaction {
            batch: OwnedWriteBatch::with_capacity(self.db.clone(), items)
                .durability(Some(PersistMode::SyncData)),
            engine: self,
        }
    }

    /// Loads ascending pairs into an empty key space, durably.
    pub(crate) fn ingest<E: From<Cause>>(
        &self,
        space: Space,
        pairs: impl Iterator<Item = Result<Pair, E>>,
    ) -> Result<u64, E> {
        let mut ingestion = guarded(|| self.spaces[space as usize].start_ingestion())?;
        let mut count = 0;
        for pair in pairs {
            let (key, value) = pair?;
            guarded(|| ingestion.write(key, value))?;
            count += 1;
        }
        guarded(|| ingestion.finish())?;
        Ok(count)
    }

    /// Waits until the engine's background work is not far behind, so that it never has to hold
    /// up a commit itself. Fails if the engine has stopped.
    pub(crate) fn wait_for_backlog(&self) -> Result<(), Cause> {
        loop {
            // Writes nothing; tells us whether the engine is poisoned.
            guarded(|| self.db.persist(PersistMode::Buffer))?;
            let behind = self.spaces.iter().any(|space| {
                space.sealed_memtable_count() >= SEALED_MAX
                    || space.tree.l0_run_count() >= LEVEL0_RUNS_MAX
            });
            if !behind {
                return Ok(());
            }
            thread::sleep(BACKLOG_PAUSE);
        }
    }

    /// Seals memtables that have reached their share of memory, so that they get flushed.
    pub(crate) fn rotate_full(&self) -> Result<(), Cause> {
        for (space, &limit) in self.spaces.iter().zip(&self.rotate_octets) {
            if space.tree.active_memtable().size() > limit {
                guarded(|| space.rotate_memtable())?;
            }
        }
        Ok(())
    }

    /// Writes all memtables to tables, so that the journals hold nothing that is not in a table
    /// too. For a store that is being closed: what is committed afterwards is in a memtable again.
    pub(crate) fn flush_all(&self) -> Result<(), Cause> {
        for space in &self.spaces {
            if space.tree.active_memtable().size() > 0 {
                guarded(|| space.rotate_memtable())?;
            }
        }
        while self.spaces.iter().any(|s| s.sealed_memtable_count() > 0) {
            guarded(|| self.db.persist(PersistMode::Buffer))?;
            thread::sleep(BACKLOG_PAUSE);
        }
        Ok(())
    }

    /// Number of journals that would have to be replayed now.
    pub(crate) fn journals(&self) -> usize {
        self.db.journal_count()
    }

    /// Octets on disk, journals included.
    pub(crate) fn disk_octets(&self) -> Result<u64, Cause> {
        guarded(|| self.db.disk_space())
    }

    /// Octets on disk of the tables of one key space.
    pub(crate) fn space_octets(&self, space: Space) -> u64 {
        self.spaces[space as usize].disk_space()
    }

    /// Octets of memtables.
    pub(crate) fn memtable_octets(&self) -> u64 {
        self.db.write_buffer_size()
    }

    /// Octets of blocks in the engine's cache.
    pub(crate) fn cache_octets(&self) -> u64 {
        self.db.cache_size()
    }
}

//----------- Transaction ----------------------------------------------------

/// Entries that become visible and durable together. A key may be named once per key space.
pub(crate) struct Transaction<'a> {
    batch: OwnedWriteBatch,
    engine: &'a Engine,
}

impl Transaction<'_> {
    pub(crate) fn put(&mut self, space: Space, key: impl Into<Slice>, value: impl Into<Slice>) {
        let space = &self.engine.spaces[space as usize];
        self.batch.insert(space, key, value);
    }

    pub(crate) fn delete(&mut self, space: Space, key: impl Into<Slice>) {
        self.batch.remove(&self.engine.spaces[space as usize], key);
    }

    /// Commits: on return everything is on the medium. After a failure nothing is visible, and the
    /// engine takes no more transactions.
    pub(crate) fn commit(self) -> Result<(), Cause> {
        self.engine.rotate_full()?;
        self.engine.wait_for_backlog()?;
        guarded(|| self.batch.commit())
    }
}

//----------- View -----------------------------------------------------------

/// A consistent view of the engine at one moment; holds back compaction while it lives.
pub(crate) struct View {
    snapshot: Snapshot,
    spaces: [Keyspace; 4],
}

impl View {
    pub(crate) fn get(&self, space: Space, key: &[u8]) -> Result<Option<Slice>, Cause> {
        guarded(|| self.snapshot.get(&self.spaces[space as usize], key))
    }

    /// The pairs from `from` up to but not including `to`, ascending.
    pub(crate) fn range(&self, space: Space, from: Bound<&[u8]>, to: Option<&[u8]>) -> Pairs {
        let to = to.map_or(Bound::Unbounded, Bound::Excluded);
        let range: (Bound<&[u8]>, Bound<&[u8]>) = (from, to);
        let space = &self.spaces[space as usize];
        Pairs(self.snapshot.range::<&[u8], _>(space, range))
    }

    /// The pairs whose keys begin with `start`, ascending.
    pub(crate) fn starting_with(&self, space: Space, start: &[u8]) -> Pairs {
        Pairs(self.snapshot.prefix(&self.spaces[space as usize], start))
    }
}

/// Ascending pairs of a view.
pub(crate) struct Pairs(fjall::Iter);

impl Iterator for Pairs {
    type Item = Result<Pair, Cause>;

    fn next(&mut self) -> Option<Self::Item> {
        guarded(|| self.0.next().map(fjall::Guard::into_inner).transpose()).transpose()
    }
}

//----------- Errors ---------------------------------------------------------

/// Runs an engine call that touches the disk; a panic in it becomes an error, because the engine
/// panics on some kinds of damage.
fn guarded<T>(call: impl FnOnce() -> fjall::Result<T>) -> Result<T, Cause> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(Cause::from),
        Err(panic) => {
            let said = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no reason given");
            Err(Cause::Damaged(format!("the engine gave up: {said}").into()))
        }
    }
}

impl From<fjall::Error> for Cause {
    fn from(error: fjall::Error) -> Self {
        use fjall::{Error, LsmError};
        match error {
            Error::Io(error) | Error::Storage(LsmError::Io(error)) => match error.kind() {
                // The engine reads exact lengths, so a short file is damage.
                std::io::ErrorKind::UnexpectedEof => Self::Damaged(error.to_string().into()),
                _ => Self::from(error),
            },
            Error::Poisoned => Self::Stopped,
            Error::Locked => Self::Io(Arc::new(std::io::ErrorKind::ResourceBusy.into())),
            other => Self::Damaged(other.to_string().into()),
        }
    }
}
