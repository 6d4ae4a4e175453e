//! Failures that are remembered for a moment, so that a storm of equal questions does not become a
//! storm of retries at servers that are already in trouble.

use std::sync::Arc;

use quick_cache::unsync::Cache;

use super::answer::ResolveError;
use super::limits::{FAILURE_MEMORY_MS, FAILURES_MAX};
use super::time::Tick;
use super::walk::WalkKey;

//----------- Failures -------------------------------------------------------

/// Errors by question, until their time is over.
pub(super) struct Failures(Cache<WalkKey, (Tick, Arc<ResolveError>)>);

impl Failures {
    pub(super) fn new() -> Self {
        Self(Cache::new(FAILURES_MAX))
    }

    pub(super) fn insert(&mut self, key: WalkKey, error: Arc<ResolveError>, now: Tick) {
        self.0.insert(key, (now + FAILURE_MEMORY_MS, error));
    }

    pub(super) fn get(&self, key: &WalkKey, now: Tick) -> Option<Arc<ResolveError>> {
        let (until, error) = self.0.get(key)?;
        (*until > now).then(|| error.clone())
    }

    pub(super) fn remove(&mut self, key: &WalkKey) {
        self.0.remove(key);
    }
}
