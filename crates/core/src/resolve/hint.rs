//! Referrals that are remembered for the siblings of the prefix that was referred (5.5).
//!
//! A reply 303 says who serves *all* prefixes derived from a parent. So the next prefix below the
//! same parent is asked for there, without the way over the root. What a hint leads to counts only
//! if it is a record: any other result is found again from the root.

use std::sync::Arc;

use guantong_proto::data::Site;
use guantong_proto::{CaseRule, Handle, HandleRef, Key};
use quick_cache::unsync::Cache;

use super::limits::HINTS_MAX;
use super::place::KnownSite;
use super::time::Tick;
use super::trace::Why;

//----------- Hints ----------------------------------------------------------

/// Sites by the parent of the prefixes that they serve. Those that were learnt from signed replies
/// are apart.
pub(super) struct Hints(Cache<(bool, Key), Hint>);

struct Hint {
    parent: Handle,
    sites: Vec<Arc<Site>>,
    expires: Tick,
}

impl Hints {
    pub(super) fn new() -> Self {
        Self(Cache::new(HINTS_MAX))
    }

    /// Remembers who serves the prefixes derived from `parent`.
    pub(super) fn insert(
        &mut self,
        certified: bool,
        parent: &Handle,
        sites: Vec<Arc<Site>>,
        expires: Tick,
    ) {
        let key = parent.key(CaseRule::Insensitive);
        let parent = parent.clone();
        let hint = Hint {
            parent,
            sites,
            expires,
        };
        self.0.insert((certified, key), hint);
    }

    /// The sites of the nearest parent of a prefix handle that are remembered, and that parent.
    pub(super) fn find(
        &self,
        certified: bool,
        handle: HandleRef<'_>,
        now: Tick,
    ) -> Option<(Key, Vec<KnownSite>)> {
        let mut parent = handle.parent();
        while let Some(name) = parent {
            let key = (certified, name.key(CaseRule::Insensitive));
            if let Some(hint) = self.0.get(&key).filter(|hint| hint.expires > now) {
                let known = |site: &Arc<Site>| KnownSite {
                    site: site.clone(),
                    why: Why::Hint(hint.parent.clone()),
                };
                return Some((key.1, hint.sites.iter().map(known).collect()));
            }
            parent = name.parent();
        }
        None
    }

    /// Forgets what turned out to be of no use.
    pub(super) fn remove(&mut self, certified: bool, parent: &Key) {
        self.0.remove(&(certified, parent.clone()));
    }
}
