//! `GET /api/v2/grants?to=…`: what was granted to somebody, and what was taken from him (授权通知).
//!
//! It is read from the change log, where every change of a rule is, by whatever protocol. What a
//! change made of a record is what the next change of it has replaced, or the record as it is.

use std::collections::HashMap;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use guantong_api::v2::{NoticeAccess, NoticeAction, NoticeAnswer, NoticeObject, NoticesAnswer};
use guantong_core::grant::{Access, Notice, Object, Subject, notices};
use guantong_core::template::field_name;
use guantong_proto::message::ResponseCode;
use guantong_proto::{Handle, Values};
use guantong_store::{Action, Entry};
use tokio::sync::Semaphore;

use super::super::answer::{Failure, json};
use super::super::asked::Asked;
use super::grant::subject_of;
use super::problem::Problem;
use super::sender::Sender;
use super::sought;
use crate::node::Node;

/// Most changes that one request looks at; most are about no grant, and cost little.
pub(in crate::http) const CHANGES_MAX: usize = 2_000;
/// Changes that are read at once; each has up to one MiB.
const CHANGES_AT_ONCE: usize = 16;
/// Octets of changes that one request holds, about: each has what it replaced.
const OCTETS_MAX: usize = 16 * 1024 * 1024;
/// Most later changes of records that one request looks at to know what changes made of them.
const LATER_MAX: usize = 10_000;
/// Requests whose changes are read at a time.
const READINGS_MAX: usize = 4;
/// Index of the key of an identity, by custom.
const KEY_INDEX: i32 = 300;

/// Bounds how many requests read the change log at a time.
#[derive(Debug)]
pub(super) struct Readings(Semaphore);

impl Default for Readings {
    fn default() -> Self {
        Self(Semaphore::new(READINGS_MAX))
    }
}

/// Answers who asks what was granted to him: he himself, or who administers his record.
pub(super) async fn answer(node: &Arc<Node>, asked: &Asked) -> Result<Response, Problem> {
    let to = asked.params.first("to").unwrap_or_default();
    if to.is_empty() {
        let message = "granted to whom? ask for `/api/v2/grants?to=300:<handle>`, or for \
                       `/api/v2/grants/<handle>`";
        return Err(Failure::new(ResponseCode::PROTOCOL_ERROR, message).into());
    }
    let Subject::Named { handle, .. } = subject_of("to", to)? else {
        let message =
            "what everybody is granted is shown to everybody: name an identity or a group";
        return Err(Failure::new(ResponseCode::PROTOCOL_ERROR, message).into());
    };
    let sender = Sender::of(node, asked).await?;
    let case = node.site().case_rule();
    let is_himself = match &sender.by.0 {
        Some(identity) => identity.handle.key(case) == handle.key(case),
        None => true,
    };
    if !is_himself {
        sender.may_change(node, asked, &handle, KEY_INDEX).await?;
    }
    let after = asked.params.number("after")?.unwrap_or_default();
    let form = told(node, &handle, after.try_into().unwrap_or_default()).await?;
    Ok(json(asked, StatusCode::OK, &form))
}

/// What the changes behind number `after` granted to somebody or took from him, oldest first, of at
/// most [`CHANGES_MAX`] changes.
///
/// They may be on the disk: they are read by a thread that nobody else waits for.
pub(in crate::http) async fn told(
    node: &Arc<Node>,
    to: &Handle,
    after: u64,
) -> Result<NoticesAnswer, Problem> {
    // The semaphore is never closed; if it were, there would be one bound less.
    let _place = node.v2.notices.0.acquire().await;
    let (node, to) = (node.clone(), to.clone());
    let read = tokio::task::spawn_blocking(move || read(&node, &to, after)).await;
    read.unwrap_or_else(
        |_| Err(Failure::new(ResponseCode::ERROR, "the reading was cut off").into()),
    )
}

fn read(node: &Node, to: &Handle, after: u64) -> Result<NoticesAnswer, Problem> {
    let case = node.site().case_rule();
    let mut entries: Vec<Entry> = Vec::new();
    let (mut next, mut looked_at, mut octets) = (after, 0, 0);
    while looked_at < CHANGES_MAX && octets < OCTETS_MAX {
        // An answer may hold fewer entries than were asked for.
        let count = CHANGES_AT_ONCE.min(CHANGES_MAX - looked_at);
        let more = node.store.changes(next, count)?;
        let Some(last) = more.last() else { break };
        next = last.number;
        looked_at += more.len();
        octets += more.iter().map(Entry::size).sum::<usize>();
        entries.extend(more.into_iter().filter(is_of_record));
    }
    let mut found: Vec<NoticeAnswer> = Vec::new();
    // What the newer change of each record has replaced.
    let mut later: HashMap<_, Option<Vec<u8>>> = HashMap::new();
    let mut looks_left = LATER_MAX;
    for entry in entries.into_iter().rev() {
        let key = entry.handle.key(case);
        let made = match later.remove(&key) {
            Some(replaced) => replaced,
            None => made_by(node, &entry, &mut looks_left)?,
        };
        let before = entry.before.map(|before| before.values);
        let [old, new] = [&before, &made].map(|wire| {
            let wire = wire.as_deref()?;
            Values::from_wire(wire).ok()
        });
        let told = notices(old, new, to, case).into_iter();
        let told = told.map(|notice| {
            form(
                notice,
                (entry.number, entry.at_ms),
                &entry.handle,
                new.or(old),
            )
        });
        let at = found.len();
        found.extend(told);
        found[at..].reverse();
        later.insert(key, before);
    }
    found.reverse();
    Ok(NoticesAnswer {
        notices: found,
        next,
        more: next < node.store.last_change(),
    })
}

fn is_of_record(entry: &Entry) -> bool {
    !matches!(entry.action, Action::Home | Action::Unhome)
}

/// What a change made of its record, in wire form; `None` if there was none afterwards, or if too
/// much has happened since.
fn made_by(node: &Node, entry: &Entry, looks_left: &mut usize) -> Result<Option<Vec<u8>>, Problem> {
    let newest = node.store.last_change_of(entry.handle.borrow())?;
    if newest == Some(entry.number) {
        let record = sought::record(node, &entry.handle)?;
        return Ok(record.map(|record| record.values_wire().to_vec()));
    }
    let mut number = newest;
    while *looks_left > 0 {
        *looks_left -= 1;
        let Some(later) = number else { break };
        let Some(later) = node.store.change(later)? else {
            break;
        };
        if later.previous() == Some(entry.number) {
            return Ok(later.before.map(|before| before.values));
        }
        number = later.previous();
    }
    // As if nothing had changed: better no notice than a wrong one.
    Ok(entry.before.as_ref().map(|before| before.values.clone()))
}

fn form(
    notice: Notice,
    (change, at_ms): (u64, u64),
    handle: &Handle,
    record: Option<Values<'_>>,
) -> NoticeAnswer {
    let field = match notice.object {
        Object::Class(index) => {
            let name = record.and_then(|record| field_name(record, index));
            Some(name.unwrap_or_else(|| index.to_string()))
        }
        Object::Template | Object::Registration => None,
    };
    NoticeAnswer {
        change,
        at: at_ms / 1_000,
        action: match notice.is_granted {
            true => NoticeAction::Granted,
            false => NoticeAction::Revoked,
        },
        object: match notice.object {
            Object::Template => NoticeObject::Template,
            Object::Registration => NoticeObject::Registration,
            Object::Class(_) => NoticeObject::Class,
        },
        handle: handle.to_string(),
        field,
        access: match notice.access {
            Access::Read => NoticeAccess::Read,
            Access::Write => NoticeAccess::Write,
        },
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use guantong_proto::Value;
    use guantong_proto::wire::Writer;
    use guantong_store::{Batch, Change, Expect, Origin, Trail};

    use super::*;
    use crate::http::tests::node;

    #[tokio::test]
    async fn change_log_is_read_for_so_many_at_a_time_and_others_wait() {
        let (node, to) = (node(), Handle::parse("88.118.5/nobody").unwrap());
        let places = u32::try_from(READINGS_MAX).unwrap();
        let all = node.v2.notices.0.acquire_many(places).await.unwrap();
        let mut waiting = std::pin::pin!(told(&node, &to, 0));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(all);
        assert!(waiting.await.is_ok());
    }

    #[test]
    fn what_a_change_made_of_a_record_is_looked_for_within_bounds() {
        let node = node();
        let handle = Handle::parse("88.118.5/often-changed").unwrap();
        let write = |text: &str| {
            let values = [Value::new(1, "TEXT", text)];
            let batch = Batch {
                changes: vec![Change::Put {
                    handle: handle.clone(),
                    values: Writer::to_vec(|w| Values::encode(&values, w)),
                    expect: Expect::Anything,
                }],
                at_ms: 0,
                origin: Origin::Operator,
                trail: Trail::default(),
            };
            node.store.submit(batch).wait().unwrap();
            node.store.last_change_of(handle.borrow()).unwrap().unwrap()
        };
        write("one");
        let second = write("two");
        write("three");
        write("four");
        let entry = node.store.change(second).unwrap().unwrap();
        let text = |mut looks: usize| {
            let made = made_by(&node, &entry, &mut looks).unwrap().unwrap();
            let values = Values::from_wire(&made).unwrap().to_vec().unwrap();
            (values[0].text().map(str::to_owned), looks)
        };
        assert_eq!(text(5), (Some("two".to_owned()), 3));
        // As if it had changed nothing.
        assert_eq!(text(1), (Some("one".to_owned()), 0));
    }
}
