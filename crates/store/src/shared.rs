//! What the readers and the writer of one open store share.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use crate::confirm::Confirmations;
use crate::engine::Engine;
use crate::error::Cause;
use crate::format::{Header, Homed};
use crate::hot::Hot;
use crate::index::IndexDef;
use crate::queue::Queue;
use crate::watch::Attached;
use crate::writer::Job;

/// Shared by all clones of a store and its writer.
pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) header: Header,
    pub(crate) hot: Hot,
    pub(crate) queue: Queue<Job>,
    /// Number of the last change that is committed and visible.
    pub(crate) last_change: AtomicU64,
    /// Number of records.
    pub(crate) records: AtomicU64,
    /// Groups of changes that were committed since the store was opened.
    pub(crate) commits: AtomicU64,
    /// Why the writer takes no more batches, once it does not.
    pub(crate) stopped: OnceLock<Cause>,
    /// The writer has ended, and everything is in tables.
    pub(crate) flushed: AtomicBool,
    /// Batches that wait until a mirror has them.
    pub(crate) confirmations: Confirmations,
    /// Who is told of changes, and who admits them.
    pub(crate) attached: Attached,
    homed: RwLock<Arc<Homed>>,
    indexes: RwLock<Arc<[IndexDef]>>,
}

impl Shared {
    pub(crate) fn new(
        engine: Engine,
        header: Header,
        hot: Hot,
        homed: Homed,
        indexes: Vec<IndexDef>,
    ) -> Self {
        Self {
            engine,
            header,
            hot,
            queue: Queue::new(),
            last_change: AtomicU64::new(0),
            records: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            stopped: OnceLock::new(),
            flushed: AtomicBool::new(false),
            confirmations: Confirmations::default(),
            attached: Attached::default(),
            homed: RwLock::new(Arc::new(homed)),
            indexes: RwLock::new(indexes.into()),
        }
    }

    /// The homed prefixes, as of now.
    pub(crate) fn homed(&self) -> Arc<Homed> {
        // The lock only ever guards the exchange of one pointer.
        self.homed
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn set_homed(&self, homed: Homed) {
        *self.homed.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(homed);
    }

    /// The indexes, as of now.
    pub(crate) fn indexes(&self) -> Arc<[IndexDef]> {
        self.indexes
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn set_indexes(&self, indexes: Vec<IndexDef>) {
        *self.indexes.write().unwrap_or_else(PoisonError::into_inner) = indexes.into();
    }
}
