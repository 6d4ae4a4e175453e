//! What other nodes say of the records that registrations refer to.
//!
//! A reference that must be of a certain template is resolved through the network where another
//! node answers for its target. A definite answer decides. Whoever cannot be asked now refuses
//! nothing: that node may be out of reach for a while, and could take the target away at any time;
//! but the reply says what was not checked. References to records of any kind are not asked for.
//!
//! Whether the sender may write at all is found out before anybody is asked for him.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use guantong_api::v2::UncheckedReference;
use guantong_core::resolve::{Outcome, Question, ResolveError, TraceWanted};
use guantong_core::template::{HANDLE_TYPE, Lookup, Target};
use guantong_proto::Handle;
use tokio::time::{Instant, timeout_at};

use crate::config::References;
use crate::errand::locked;
use crate::node::Node;
use crate::recurse::Courier;

/// Targets of other nodes that are asked for by one request, or for one group of rows of a job.
const TARGETS_MAX: usize = 1_000;
/// Of these, at a time.
const AT_A_TIME: usize = 64;
/// How long one target is waited for. People wait for the reply.
const TARGET_TIME: Duration = Duration::from_secs(5);
/// How long all targets of a request, or of a group of rows, are waited for.
const TIME_MAX: Duration = Duration::from_secs(10);
/// How long a prefix is passed over whose node could not be asked: a long import must not wait for
/// each of its rows.
const SILENT_TIME: Duration = Duration::from_secs(60);
/// Most prefixes that are passed over.
const SILENT_MAX: usize = 256;

//----------- Silent ---------------------------------------------------------

/// Prefixes whose node could not be asked, and until when they are passed over.
#[derive(Debug, Default)]
pub(super) struct Silent(Mutex<HashMap<Vec<u8>, Instant>>);

impl Silent {
    pub(super) fn has(&self, prefix: &[u8], now: Instant) -> bool {
        let until = locked(&self.0).get(prefix).copied();
        until.is_some_and(|until| now < until)
    }

    /// Notes a prefix, if there is room.
    pub(super) fn note(&self, prefix: Vec<u8>, now: Instant) {
        let mut all = locked(&self.0);
        if all.len() >= SILENT_MAX {
            all.retain(|_, until| now < *until);
        }
        if all.len() < SILENT_MAX {
            all.insert(prefix, now + SILENT_TIME);
        }
    }
}

//----------- Foreign --------------------------------------------------------

/// What was found of targets of other nodes for one request, or for one group of rows.
pub(in crate::http) struct Foreign(Mutex<State>);

struct State {
    known: HashMap<Vec<u8>, Found>,
    asked: usize,
    until: Instant,
}

/// What is known of a target of another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// What stands behind it.
    Target(Target),
    /// It was not asked for.
    Unasked(Unasked),
}

/// Why a target was not asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unasked {
    /// The settings do not want it.
    #[error("this node looks at the form of references to other nodes only")]
    NotWanted,
    /// Nobody could ask.
    #[error("this node does not know where the root is, and cannot ask other nodes")]
    NoRoot,
    /// Whoever answers for it could not be asked.
    #[error("the node that answers for it could not be asked")]
    Silent,
    /// There were too many.
    #[error("there were more references to other nodes than are asked for at once")]
    TooMany,
}

/// Who asks other nodes, if anybody does.
fn asker(node: &Node) -> Result<&Arc<Courier>, Unasked> {
    match node.config().references {
        References::Form => Err(Unasked::NotWanted),
        References::Check => node.courier().ok_or(Unasked::NoRoot),
    }
}

/// Whether another node answers for the target of a reference that must be of a template.
pub(super) fn is_foreign(node: &Node, lookup: &Lookup) -> bool {
    match lookup {
        Lookup::Holders { .. } => false,
        Lookup::Target { handle, .. } => !node
            .store
            .is_homed(handle.borrow().prefix_handle().borrow()),
    }
}

/// The targets of lookups that are asked for at other nodes, with what they are known by.
fn targets(node: &Node, lookups: &[Lookup]) -> Vec<(Vec<u8>, Handle)> {
    let rule = node.site().case_rule();
    let wanted = lookups.iter().filter(|lookup| is_foreign(node, lookup));
    let mut targets: Vec<(Vec<u8>, Handle)> = wanted
        .filter_map(|lookup| match lookup {
            Lookup::Target {
                handle, template, ..
            } if !template.is_empty() => {
                Some((handle.key(rule).as_bytes().to_vec(), handle.clone()))
            }
            _ => None,
        })
        .collect();
    targets.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    targets.dedup_by(|a, b| a.0 == b.0);
    targets
}

impl Foreign {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State::begun()))
    }

    /// Forgets what was found, for the next group of rows.
    pub(super) fn begin(&self) {
        *locked(&self.0) = State::begun();
    }

    /// Whether somebody would have to be asked.
    pub(super) fn wants(&self, node: &Node, lookups: &[Lookup]) -> bool {
        if asker(node).is_err() {
            return false;
        }
        let targets = targets(node, lookups);
        let state = locked(&self.0);
        targets
            .iter()
            .any(|(key, _)| !state.known.contains_key(key))
    }

    /// Asks for the targets that are not known yet, all at the same time.
    pub(super) async fn ask(&self, node: &Node, lookups: &[Lookup]) {
        let Ok(courier) = asker(node) else {
            return;
        };
        let mut wanted = targets(node, lookups);
        let until = {
            let mut state = locked(&self.0);
            wanted.retain(|(key, _)| !state.known.contains_key(key));
            let room = TARGETS_MAX.saturating_sub(state.asked).min(wanted.len());
            for (key, _) in wanted.drain(room..) {
                state.known.insert(key, Found::Unasked(Unasked::TooMany));
            }
            state.asked += room;
            state.until
        };
        let asked = stream::iter(wanted).map(|(key, handle)| async move {
            let found = ask_for(node, courier, &handle, until).await;
            (key, found)
        });
        let mut asked = std::pin::pin!(asked.buffer_unordered(AT_A_TIME));
        while let Some((key, found)) = asked.next().await {
            locked(&self.0).known.insert(key, found);
        }
    }

    /// What was found of a target.
    pub(super) fn found(&self, node: &Node, handle: &Handle) -> Found {
        if let Err(why) = asker(node) {
            return Found::Unasked(why);
        }
        let key = handle.key(node.site().case_rule());
        let known = locked(&self.0).known.get(key.as_bytes()).cloned();
        known.unwrap_or(Found::Unasked(Unasked::Silent))
    }
}

impl State {
    fn begun() -> Self {
        Self {
            known: HashMap::new(),
            asked: 0,
            until: Instant::now() + TIME_MAX,
        }
    }
}

/// What a reply says of a target that was not asked for.
pub(super) fn unchecked(field: &str, target: &Handle, why: Unasked) -> UncheckedReference {
    UncheckedReference {
        field: field.to_owned(),
        target: target.to_string(),
        why: why.to_string(),
    }
}

//----------- Asking ---------------------------------------------------------

/// By what the prefix of a handle is known among those that are passed over.
pub(super) fn silent_key(node: &Node, handle: &Handle) -> Vec<u8> {
    let rule = node.site().case_rule();
    let prefix = handle.borrow().prefix_handle();
    prefix.key(rule).as_bytes().to_vec()
}

async fn ask_for(node: &Node, courier: &Courier, handle: &Handle, until: Instant) -> Found {
    let prefix = silent_key(node, handle);
    let (silent, begun) = (&node.v2.silent, Instant::now());
    if silent.has(&prefix, begun) {
        return Found::Unasked(Unasked::Silent);
    }
    let own = begun + TARGET_TIME;
    match timeout_at(own.min(until), said(courier, handle)).await {
        Ok(Ok(target)) => Found::Target(target),
        Ok(Err(error)) => {
            tracing::debug!(%handle, %error, "the target of a reference was not resolved");
            if is_of_prefix(&error) {
                silent.note(prefix, Instant::now());
            }
            Found::Unasked(Unasked::Silent)
        }
        Err(_) if own < until => {
            silent.note(prefix, Instant::now());
            Found::Unasked(Unasked::Silent)
        }
        Err(_) => Found::Unasked(Unasked::TooMany),
    }
}

/// Whether other names of the same prefix would fare alike.
fn is_of_prefix(error: &ResolveError) -> bool {
    matches!(
        error,
        ResolveError::Unreachable { .. }
            | ResolveError::TimedOut { .. }
            | ResolveError::NotResponsible { .. }
            | ResolveError::NoSite { .. }
    )
}

/// What the node that answers for a target says of it. That it is not there, or of no template, is
/// taken from a primary site only: a cache or a mirror may not know of it yet.
async fn said(courier: &Courier, handle: &Handle) -> Result<Target, Arc<ResolveError>> {
    let question = Question::new(handle.clone()).with_types(&[HANDLE_TYPE]);
    let answer = courier.resolve(question.clone(), TraceWanted::No).await;
    match target(answer.outcome)? {
        found @ Target::Record { by: Some(_) } => Ok(found),
        _ => {
            let question = Question {
                authoritative: true,
                ..question
            };
            target(courier.resolve(question, TraceWanted::No).await.outcome)
        }
    }
}

fn target(outcome: Outcome) -> Result<Target, Arc<ResolveError>> {
    match outcome {
        Outcome::Record(entry) => Ok(Target::of(Some(entry.values()))),
        Outcome::ValuesNotFound => Ok(Target::Record { by: None }),
        Outcome::NotFound => Ok(Target::Missing),
        Outcome::Failed(error) => Err(error),
        // Whatever else there may be one day is no definite answer.
        _ => Err(Arc::new(ResolveError::TooBusy)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silent_prefix_is_passed_over_for_its_time_and_there_is_room_for_so_many() {
        let (silent, now) = (Silent::default(), Instant::now());
        silent.note(b"0.NA/1".to_vec(), now);
        assert!(silent.has(b"0.NA/1", now));
        assert!(!silent.has(b"0.NA/2", now));
        assert!(!silent.has(b"0.NA/1", now + SILENT_TIME));
        for number in 0..SILENT_MAX {
            silent.note(number.to_string().into_bytes(), now);
        }
        assert_eq!(locked(&silent.0).len(), SILENT_MAX);
        let later = now + SILENT_TIME;
        silent.note(b"0.NA/3".to_vec(), later);
        assert!(silent.has(b"0.NA/3", later));
        assert_eq!(locked(&silent.0).len(), 1);
    }
}
