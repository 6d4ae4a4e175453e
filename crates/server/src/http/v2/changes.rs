//! `GET /api/v2/changes`: changes of the records of a prefix as they happen, as server-sent events.
//!
//! The number of an event is that of the change in the log, so that a client that comes back with
//! `Last-Event-ID` misses nothing. What a record says is not told: whoever may read it asks for it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use guantong_api::v2::changes::{ChangeEvent, ChangeKind};
use guantong_proto::message::ResponseCode;
use guantong_proto::{CaseRule, Handle};
use guantong_store::{Action, Entry};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep, timeout};

use super::super::answer::Failure;
use super::super::asked::Asked;
use super::super::cors::OwnOrigin;
use super::page;
use super::problem::Problem;
use crate::node::Node;

/// Most streams at a time: each looks into the log twice a second.
const STREAMS_MAX: usize = 64;
/// Changes that are read from the log at a time.
const PAGE: usize = 200;
/// How long between two looks into a log without news.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);
/// How long a stream says nothing. What is between here and there may close silent connections
/// after half a minute.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// How long whoever listens is believed to be somebody who may.
const BELIEVED: Duration = Duration::from_secs(60);
/// How long a client may take for an event. One that waits longer is gone.
const PIECE_TIME_MAX: Duration = Duration::from_secs(30);
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The places of streams.
#[derive(Debug)]
pub(crate) struct Streams(Arc<Semaphore>);

impl Default for Streams {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(STREAMS_MAX)))
    }
}

/// Answers a request for `/api/v2/changes`.
pub(super) async fn answer(node: &Arc<Node>, asked: &Asked) -> Result<Response, Problem> {
    let prefix = asked.params.first("prefix").unwrap_or_default();
    if prefix.is_empty() {
        let message = "of which prefix? ask for `/api/v2/changes?prefix=<prefix>`";
        return Err(Failure::new(ResponseCode::PROTOCOL_ERROR, message).into());
    }
    let prefix = Handle::of_prefix(prefix)?;
    page::may_list(node, asked, &prefix).await?;
    let after = after(asked, node.store.last_change())?;
    let place = node.v2.streams.0.clone().try_acquire_owned();
    let place = place.map_err(|_| {
        let message = format!("{STREAMS_MAX} streams are open; try again later");
        Failure::new(ResponseCode::SERVER_TOO_BUSY, message)
    })?;
    let (tell, told) = mpsc::channel(1);
    let stream = Stream {
        node: node.clone(),
        asked: asked.clone(),
        prefix,
        after,
        tell,
        _place: place,
    };
    tokio::spawn(stream.run());
    let events = stream::unfold(told, async |mut told| {
        let piece: Bytes = told.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(piece), told))
    });
    let mut response = (StatusCode::OK, Body::from_stream(events)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.extensions_mut().insert(OwnOrigin);
    Ok(response)
}

/// The change behind which the stream begins: that of the header, of the parameter, or the last.
fn after(asked: &Asked, last: u64) -> Result<u64, Failure> {
    let header = asked.header(LAST_EVENT_ID);
    let Some(said) = header.or_else(|| asked.params.first("after")) else {
        return Ok(last);
    };
    match said.trim().parse() {
        Ok(after) if after <= last => Ok(after),
        Ok(_) => {
            let message = format!(
                "the last change of this node is {last}; the number that was given is of another \
                 node, or of a store that was restored"
            );
            Err(Failure::new(ResponseCode::PROTOCOL_ERROR, message))
        }
        Err(_) => {
            let message = "`Last-Event-ID` and `after` are the number of a change";
            Err(Failure::new(ResponseCode::PROTOCOL_ERROR, message))
        }
    }
}

/// The client is gone, or takes nothing, or may not listen any more.
struct Gone;

struct Stream {
    node: Arc<Node>,
    asked: Asked,
    prefix: Handle,
    after: u64,
    tell: mpsc::Sender<Bytes>,
    _place: OwnedSemaphorePermit,
}

impl Stream {
    async fn run(mut self) {
        // An end needs no more words: the client comes back if it wants to.
        let _: Result<(), Gone> = self.follow().await;
    }

    async fn follow(&mut self) -> Result<(), Gone> {
        let rule = self.node.site().case_rule();
        let (mut said, mut believed) = (Instant::now(), Instant::now());
        self.send("retry: 2000\n\n".to_owned()).await?;
        loop {
            if believed.elapsed() > BELIEVED {
                let may = page::may_list(&self.node, &self.asked, &self.prefix).await;
                may.map_err(|_| Gone)?;
                believed = Instant::now();
            }
            let entries = self.entries().await?;
            let is_news = !entries.is_empty();
            let text = events(&entries, &self.prefix, rule);
            if let Some(last) = entries.last() {
                self.after = last.number;
            }
            if !text.is_empty() {
                self.send(text).await?;
                said = Instant::now();
            } else if said.elapsed() > SILENCE_MAX {
                // The number moves on, so that a client that comes back need not wait for a walk
                // over the changes of others.
                self.send(format!("id: {}\n: nothing new\n\n", self.after))
                    .await?;
                said = Instant::now();
            }
            if !is_news {
                if self.tell.is_closed() {
                    return Err(Gone);
                }
                sleep(BETWEEN_LOOKS).await;
            }
        }
    }

    async fn entries(&self) -> Result<Vec<Entry>, Gone> {
        if self.node.store.last_change() <= self.after {
            return Ok(Vec::new());
        }
        let (node, after) = (self.node.clone(), self.after);
        let read = tokio::task::spawn_blocking(move || node.store.changes(after, PAGE)).await;
        match read {
            Ok(Ok(entries)) => Ok(entries),
            Ok(Err(error)) => {
                self.node.on_store_error(&error);
                Err(Gone)
            }
            Err(_) => Err(Gone),
        }
    }

    async fn send(&self, text: String) -> Result<(), Gone> {
        let sent = timeout(PIECE_TIME_MAX, self.tell.send(text.into())).await;
        sent.map_err(|_| Gone)?.map_err(|_| Gone)
    }
}

/// Changes of the records of a prefix, as events.
fn events(entries: &[Entry], prefix: &Handle, rule: CaseRule) -> String {
    let of_prefix = |entry: &&Entry| {
        let own = entry.handle.borrow().prefix_handle();
        own.key(rule) == prefix.key(rule)
    };
    let mut text = String::new();
    for entry in entries.iter().filter(of_prefix) {
        let (kind, name) = match entry.action {
            Action::Create => (ChangeKind::Created, "created"),
            Action::Update => (ChangeKind::Changed, "changed"),
            Action::Delete => (ChangeKind::Deleted, "deleted"),
            Action::Home | Action::Unhome => continue,
        };
        let event = ChangeEvent {
            serial: entry.number,
            handle: entry.handle.to_string(),
            kind,
            at_ms: entry.at_ms,
        };
        // Texts and numbers are always written; JSON has no line breaks of its own.
        let data = serde_json::to_string(&event).unwrap_or_default();
        text += &format!("id: {}\nevent: {name}\ndata: {data}\n\n", entry.number);
    }
    text
}

#[cfg(test)]
mod tests {
    use guantong_store::{Origin, Trail};

    use super::*;

    #[test]
    fn events_are_those_of_the_prefix_and_keep_to_their_lines() {
        let entry = |number: u64, action: Action, handle: &str| Entry {
            number,
            at_ms: 7,
            action,
            handle: Handle::parse(handle).unwrap(),
            origin: Origin::Operator,
            trail: Trail::default(),
            before: None,
            last_life: None,
        };
        let entries = [
            entry(1, Action::Create, "88.118.5/a"),
            entry(2, Action::Update, "88.118.6/a"),
            entry(3, Action::Home, "0.NA/88.118.5"),
            entry(4, Action::Delete, "88.118.5/line\nbreak"),
        ];
        let prefix = Handle::of_prefix("88.118.5").unwrap();
        let told = events(&entries, &prefix, CaseRule::Insensitive);
        let expected = "id: 1\nevent: created\ndata: {\"serial\":1,\"handle\":\"88.118.5/a\",\
                        \"kind\":\"created\",\"atMs\":7}\n\nid: 4\nevent: deleted\ndata: \
                        {\"serial\":4,\"handle\":\"88.118.5/line\\nbreak\",\"kind\":\"deleted\",\
                        \"atMs\":7}\n\n";
        assert_eq!(told, expected);
    }
}
