//! Finding the sites that serve a name: where a walk begins, and what it asks of others (5.2).

use std::sync::Arc;

use guantong_proto::{CaseRule, Handle};

use super::answer::{Freshness, Outcome, ResolveError};
use super::limits::{SERVICE_DEPTH_MAX, SERVICES_MAX};
use super::place::KnownSite;
use super::question::Question;
use super::resolver::{Resolver, Step};
use super::roots::root_handle;
use super::time::Now;
use super::trace::Why;
use super::walk::{Finding, Found, Kind, Tag, Walk};
use crate::delegation::{Delegation, SERVICE_TYPES, Scope};

/// The types by which a handle named in a prefix referral is asked.
const DERIVED_TYPES: [&str; 3] = ["HS_SITE.PREFIX", "HS_NA_DELEGATE", "HS_SERV.PREFIX"];

impl Resolver {
    /// Lets a walk do what it can.
    pub(super) fn advance(&mut self, walk: &mut Walk, now: Now) -> Step {
        if !walk.has_begun {
            walk.has_begun = true;
            self.begin(walk, now);
        }
        while let Some((tag, found)) = walk.inbox.pop_front() {
            walk.hops.extend(&found.hops);
            match tag {
                Tag::Alias => return self.on_alias(walk, found, now),
                Tag::Roots => {
                    self.begin_again(walk, now);
                    return Step::Wait;
                }
                Tag::Service {
                    handle,
                    scope,
                    depth,
                } => {
                    let service = Service {
                        handle,
                        scope,
                        depth,
                    };
                    self.on_service(walk, &service, found, now);
                }
            }
        }
        self.pursue(walk, now)
    }

    /// Takes the first step: to the root sites, or to the prefix record.
    fn begin(&mut self, walk: &mut Walk, now: Now) {
        match &walk.kind {
            Kind::Aliases(_) => {
                let handle = walk.question.handle.clone();
                self.ask_alias(walk, &handle, now);
            }
            Kind::Roots => self.begin_at_roots(walk),
            Kind::Plain | Kind::SecondLook if walk.question.name().is_global() => {
                if !self.begin_at_hint(walk, now) {
                    self.begin_at_roots(walk);
                }
            }
            Kind::Plain | Kind::SecondLook => {
                let prefix = walk.question.name().prefix_handle();
                walk.finding = Some(Finding::new(prefix.clone()));
                let service = Service {
                    handle: prefix,
                    scope: Scope::Names,
                    depth: 0,
                };
                self.ask_service(walk, &service, Kind::Plain, now);
            }
        }
    }

    fn begin_at_roots(&mut self, walk: &mut Walk) {
        let mut finding = Finding::new(walk.question.handle.clone());
        for site in self.roots.sites() {
            finding.add(KnownSite {
                site: site.clone(),
                why: Why::Root,
            });
        }
        walk.finding = Some(finding);
    }

    fn begin_at_hint(&mut self, walk: &mut Walk, now: Now) -> bool {
        let question = &walk.question;
        if walk.avoids_hints || question.do_not_refer {
            return false;
        }
        let found = self
            .hints
            .find(question.certified, question.name(), now.tick);
        let Some((parent, sites)) = found else {
            return false;
        };
        let mut finding = Finding::new(question.handle.clone());
        finding.sites = sites;
        walk.finding = Some(finding);
        walk.hint = Some(parent);
        true
    }

    /// Goes on with what is known: asks, waits, or ends.
    pub(super) fn pursue(&mut self, walk: &mut Walk, now: Now) -> Step {
        if matches!(walk.kind, Kind::Aliases(_)) {
            return Step::Wait;
        }
        let outstanding = walk.finding.as_ref().is_some_and(|f| f.outstanding > 0);
        if walk.root_record.is_some() {
            return match outstanding {
                true => Step::Wait,
                false => self.finish_roots(walk),
            };
        }
        self.take_sites(walk, now);
        if let Some(asking) = &walk.asking {
            if !asking.in_flight.is_empty() {
                return Step::Wait;
            }
            match self.ask_next(walk, now) {
                Ok(true) => return Step::Wait,
                Ok(false) => {}
                Err(error) => return Step::Done(Found::failed(error)),
            }
        }
        if outstanding || !walk.waits_on.is_empty() && walk.finding.is_none() {
            return Step::Wait;
        }
        match walk.asking {
            Some(_) => Step::Done(Found::failed(self.nobody_answered(walk))),
            None => self.found_nobody(walk, now),
        }
    }

    /// The prefix has no usable site: looks once more at a primary site, or ends.
    fn found_nobody(&mut self, walk: &mut Walk, now: Now) -> Step {
        let Some(mut finding) = walk.finding.take() else {
            return Step::Done(Found::failed(self.nobody_answered(walk)));
        };
        // A handle that a referral names is not the prefix record.
        let is_own_prefix = finding.why.is_none();
        let may_look_again = std::mem::take(&mut finding.may_look_again) && is_own_prefix;
        if may_look_again && !walk.question.authoritative {
            let service = Service {
                handle: finding.origin.clone(),
                scope: Scope::Names,
                depth: 0,
            };
            walk.finding = Some(finding);
            self.ask_service(walk, &service, Kind::SecondLook, now);
            return Step::Wait;
        }
        if let Some(error) = finding.failure {
            return Step::Done(Found::failed_as(error));
        }
        if is_own_prefix && matches!(finding.origin_outcome, Some(Outcome::NotFound)) {
            return Step::Done(Found::new(Outcome::NotFound, Freshness::Fresh));
        }
        let prefix = finding.origin;
        Step::Done(Found::failed(ResolveError::NoSite { prefix }))
    }

    //--- Service information

    /// Asks for the service information of a prefix or service handle.
    pub(super) fn ask_service(&mut self, walk: &mut Walk, service: &Service, kind: Kind, now: Now) {
        let Some(finding) = &mut walk.finding else {
            return;
        };
        finding.outstanding += 1;
        finding.seen.insert(service.handle.key(CaseRule::Sensitive));
        let types: &[&str] = match service.scope {
            Scope::Names => &SERVICE_TYPES,
            Scope::DerivedPrefixes => &DERIVED_TYPES,
        };
        // One more than the question that all this serves (5.2), however deep: so the same record
        // is the same sub-question everywhere, and a circle is seen as one.
        let above = u8::from(!walk.is_service);
        let question = Question {
            certified: walk.question.certified,
            authoritative: kind == Kind::SecondLook,
            recursion_count: walk.question.recursion_count.saturating_add(above),
            ..Question::new(service.handle.borrow().expanded()).with_types(types)
        };
        let tag = Tag::Service {
            handle: service.handle.clone(),
            scope: service.scope,
            depth: service.depth,
        };
        self.ask(walk, tag, question, kind, now);
    }

    /// Takes the service information of a prefix or service handle.
    fn on_service(&mut self, walk: &mut Walk, service: &Service, found: Found, now: Now) {
        let Some(finding) = &mut walk.finding else {
            return;
        };
        finding.outstanding = finding.outstanding.saturating_sub(1);
        let entry = match found.outcome {
            Outcome::Record(entry) => entry,
            // The second look failed: what the first one saw stands.
            Outcome::Failed(_) if service.depth == 0 && finding.has_origin => return,
            Outcome::Failed(error) => {
                finding.failure.get_or_insert(error);
                return;
            }
            outcome => {
                if service.depth == 0 {
                    // What the cache says was looked at twice when it came.
                    let is_news = found.freshness == Freshness::Fresh && !found.is_authoritative;
                    finding.may_look_again = !finding.has_origin && is_news;
                    finding.has_origin = true;
                    finding.origin_outcome = Some(outcome);
                }
                return;
            }
        };
        finding.life_secs = finding.life_secs.min(entry.life_secs());
        let delegation = Delegation::of(entry.values(), service.scope);
        if service.depth == 0 {
            finding.may_look_again = !finding.has_origin && !found.is_authoritative;
            finding.has_origin = true;
            finding.origin_outcome = None;
            walk.namespace = walk.namespace.take().or(delegation.namespace.clone());
        }
        self.take_delegation(walk, service, delegation, now);
    }

    /// Takes the sites of a delegation, and asks for its service handles.
    pub(super) fn take_delegation(
        &mut self,
        walk: &mut Walk,
        service: &Service,
        delegation: Delegation,
        now: Now,
    ) {
        let Some(finding) = &mut walk.finding else {
            return;
        };
        let why = match (&finding.why, service.depth) {
            (Some(why), 0) => why.clone(),
            (_, 0) => Why::PrefixRecord(service.handle.clone()),
            _ => Why::Service(service.handle.clone()),
        };
        for site in delegation.sites {
            let why = why.clone();
            finding.add(KnownSite { site, why });
        }
        for handle in delegation.services {
            self.take_service_handle(walk, handle, service.depth + 1, now);
        }
    }

    fn take_service_handle(&mut self, walk: &mut Walk, handle: Handle, depth: u8, now: Now) {
        let Some(finding) = &mut walk.finding else {
            return;
        };
        let key = handle.key(CaseRule::Sensitive);
        let is_root = root_handle().key(CaseRule::Sensitive) == key;
        if is_root && walk.kind != Kind::Roots {
            for site in self.roots.sites() {
                finding.add(KnownSite {
                    site: site.clone(),
                    why: Why::Root,
                });
            }
        } else if is_root || finding.seen.contains(&key) {
            self.figures.loops += 1;
        } else if depth > SERVICE_DEPTH_MAX || finding.seen.len() >= SERVICES_MAX {
            let error = ResolveError::TooDeep { handle };
            finding.failure.get_or_insert(Arc::new(error));
        } else {
            let scope = Scope::Names;
            let service = Service {
                handle,
                scope,
                depth,
            };
            self.ask_service(walk, &service, Kind::Plain, now);
        }
    }
}

/// A prefix or service handle whose record says who serves.
pub(super) struct Service {
    pub(super) handle: Handle,
    pub(super) scope: Scope,
    /// Service handles above it.
    pub(super) depth: u8,
}
