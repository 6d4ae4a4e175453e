//! Keeping the root record fresh (5.5): every 23 to 24 hours, when a server says that ours is out
//! of date (300), and when a root server has a newer one.
//!
//! The new record is asked for certified and taken only if it is signed with a key of the roots in
//! use. Roots that have no keys, such as bare addresses, cannot be checked: the first record that
//! they give is taken on trust, and from then on its keys count.

use std::sync::Arc;

use super::answer::{Freshness, Outcome};
use super::cache::Entry;
use super::find::Service;
use super::limits::{
    ROOT_REFRESH_MS, ROOT_REFRESH_PAUSE_MS, ROOT_REFRESH_SPREAD_MS, ROOT_RETRY_MS,
};
use super::question::Question;
use super::resolver::{Event, Resolver, Step};
use super::roots::{Origin, Roots, root_handle};
use super::settings::RootRefresh;
use super::time::Now;
use super::walk::{Finding, Found, Kind, Walk};
use crate::delegation::{Delegation, Scope};

impl Resolver {
    /// Sets the time of the first refresh, when the first question is asked.
    pub(super) fn plan_root_refresh(&mut self, now: Now) {
        if self.root_due.is_some() || self.settings.root_refresh == RootRefresh::Never {
            return;
        }
        self.root_due = match self.roots.origin() {
            // Addresses are but a beginning.
            Origin::Addresses => Some(now.tick),
            Origin::Record | Origin::Sites => Some(now.tick + self.root_wait_ms()),
        };
        self.refresh_roots_if_due(now);
    }

    fn root_wait_ms(&mut self) -> u64 {
        ROOT_REFRESH_MS + self.random_below(ROOT_REFRESH_SPREAD_MS)
    }

    pub(super) fn refresh_roots_if_due(&mut self, now: Now) {
        if self.root_due.is_none_or(|due| due > now.tick) {
            return;
        }
        self.root_due = Some(now.tick + self.root_wait_ms());
        self.root_tried = Some(now.tick);
        let question = self.root_question();
        let key = super::walk::walk_key(&question, &Kind::Roots);
        if !self.by_key.contains_key(&key) {
            self.begin_walk(question, Kind::Roots, None, None, now);
        }
    }

    /// Refreshes the root record soon, unless that was tried a moment ago.
    pub(super) fn hasten_root_refresh(&mut self, now: Now) {
        let pause_over = self
            .root_tried
            .is_none_or(|tried| now.tick.since(tried) >= ROOT_REFRESH_PAUSE_MS);
        if pause_over && self.settings.root_refresh == RootRefresh::Daily {
            self.root_due = Some(now.tick);
        }
    }

    /// Whether a reply 300 may send this walk back to the root.
    pub(super) fn may_refresh_roots(&self, walk: &Walk) -> bool {
        walk.kind != Kind::Roots
            && !walk.has_refreshed_roots
            && self.settings.root_refresh == RootRefresh::Daily
    }

    pub(super) fn root_question(&self) -> Question {
        Question {
            certified: self.roots.has_keys(),
            ..Question::new(root_handle())
        }
    }

    /// Takes the fetched root record, and looks up the service handles in it.
    pub(super) fn on_root_record(&mut self, walk: &mut Walk, entry: Arc<Entry>, now: Now) -> Step {
        let delegation = Delegation::of(entry.values(), Scope::Names);
        let handle = walk.question.handle.clone();
        self.abandon_exchanges(walk, now);
        walk.asking = None;
        walk.finding = Some(Finding::new(handle.clone()));
        walk.root_record = Some(entry);
        let service = Service {
            handle,
            scope: Scope::Names,
            depth: 0,
        };
        self.take_delegation(walk, &service, delegation, now);
        self.pursue(walk, now)
    }

    /// Tells that the root record could not be fetched.
    pub(super) fn report_roots(&mut self, walk: &Walk, found: &Found, now: Now) {
        if walk.kind != Kind::Roots {
            return;
        }
        let reason = match &found.outcome {
            Outcome::Record(_) => return,
            Outcome::Failed(error) => error.to_string(),
            Outcome::NotFound | Outcome::ValuesNotFound => "the root has no such record".into(),
        };
        self.events.push_back(Event::RootsRefused(reason));
        if self.settings.root_refresh == RootRefresh::Daily {
            self.root_due = Some(now.tick + ROOT_RETRY_MS);
        }
    }

    /// Puts the fetched root record to use.
    pub(super) fn finish_roots(&mut self, walk: &mut Walk) -> Step {
        let entry = walk.root_record.take();
        let sites = walk.finding.take().map(|finding| finding.sites);
        let (Some(entry), Some(sites)) = (entry, sites) else {
            return Step::Wait;
        };
        let sites = sites.into_iter().map(|known| known.site).collect();
        let roots = entry
            .values()
            .to_vec()
            .map_err(Into::into)
            .and_then(|values| Roots::fetched(values, sites));
        match roots {
            Ok(roots) if roots == self.roots => {}
            Ok(roots) => {
                self.reach.widen(&roots);
                self.roots = roots;
                self.events.push_back(Event::RootsChanged);
            }
            Err(error) => self
                .events
                .push_back(Event::RootsRefused(error.to_string())),
        }
        Step::Done(Found::new(Outcome::Record(entry), Freshness::Fresh))
    }
}
