//! What others attach to an open store: who is told of changes, who admits them.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use crate::batch::Origin;

/// Says whether changes may be taken at this moment.
///
/// The writer asks twice: when a batch is judged, and when it is durable, before anybody hears that
/// it is done. It must not be held up by the answer.
pub trait Admission: Send + Sync {
    /// Whether a batch of that origin may be taken now; if not, why.
    fn admits(&self, origin: &Origin) -> Result<(), Arc<str>>;
}

type Told = dyn Fn(u64) + Send + Sync;

/// What is attached to a store.
#[derive(Default)]
pub(crate) struct Attached {
    admission: RwLock<Option<Arc<dyn Admission>>>,
    told: RwLock<Option<Arc<Told>>>,
}

impl Attached {
    pub(crate) fn set_admission(&self, admission: Arc<dyn Admission>) {
        *self
            .admission
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(admission);
    }

    pub(crate) fn set_told(&self, told: Arc<Told>) {
        *self.told.write().unwrap_or_else(PoisonError::into_inner) = Some(told);
    }

    /// Whether a batch may be taken now. Without an admission every batch may.
    pub(crate) fn admits(&self, origin: &Origin) -> Result<(), Arc<str>> {
        let admission = self
            .admission
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        admission
            .as_ref()
            .map_or(Ok(()), |admission| admission.admits(origin))
    }

    /// Tells that changes up to `last` are visible.
    pub(crate) fn tell(&self, last: u64) {
        let told = self.told.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(told) = &*told {
            told(last);
        }
    }
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attached")
    }
}
