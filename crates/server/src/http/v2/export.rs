//! `GET /api/v2/registrations/export`: everything that is registered by a template, as a stream.
//!
//! Each record is read for the caller as if he had asked for it alone; one that he may not see is
//! left out, and what is withheld of one is missing.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use guantong_api::v2::Row;
use guantong_core::template::{HANDLE_COLUMN, HANDLE_TYPE, Template, safe_cell};
use guantong_proto::Handle;
use guantong_proto::message::ResponseCode;
use serde_json::{Map, Value as Json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

use super::super::answer::Failure;
use super::super::asked::Asked;
use super::super::cors::OwnOrigin;
use super::problem::Problem;
use super::registration::seen;
use super::sought::{self, find};
use super::{bulk, page};
use crate::node::Node;

/// Exports under way at a time: each reads the store as fast as its client takes it.
const EXPORTS_MAX: usize = 4;
/// Records that are read between two looks at the index.
const PAGE: usize = 500;
/// Octets that are sent together.
const PIECE: usize = 32 * 1024;
/// Pieces that wait for the client.
const PIECES_AHEAD: usize = 4;
/// How long a client may take for a piece. One that waits longer holds a place.
const PIECE_TIME_MAX: Duration = Duration::from_secs(60);

/// The places of exports.
#[derive(Debug)]
pub(crate) struct Exports(Arc<Semaphore>);

impl Default for Exports {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(EXPORTS_MAX)))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Lines,
    Table,
}

/// Answers a request for `/api/v2/registrations/export`.
pub(super) async fn answer(node: &Arc<Node>, asked: &Asked) -> Result<Response, Problem> {
    let form = match asked.params.first("format") {
        None | Some("jsonl") => Form::Lines,
        Some("csv") => Form::Table,
        Some(other) => {
            let message = format!("parameter `format`: `{other}` is neither jsonl nor csv");
            return Err(bulk::refuse(message));
        }
    };
    let named = Handle::parse(asked.params.first("template").unwrap_or_default())?;
    page::may_list(node, asked, &named.borrow().prefix_handle()).await?;
    let (template, _) = sought::template(node, &named)?;
    sought::have_indexes(node).await?;
    let place = node.v2.exports.0.clone().try_acquire_owned().map_err(|_| {
        let message = format!("{EXPORTS_MAX} exports are under way; try again later");
        Failure::new(ResponseCode::SERVER_TOO_BUSY, message)
    })?;
    let (tell, told) = mpsc::channel(PIECES_AHEAD);
    let walk = Walk {
        node: node.clone(),
        asked: asked.clone(),
        template,
        form,
        tell,
        _place: place,
    };
    tokio::spawn(walk.run());
    let pieces = stream::unfold(told, async |mut told| Some((told.recv().await?, told)));
    let mut response = (StatusCode::OK, Body::from_stream(pieces)).into_response();
    let headers = response.headers_mut();
    let kind = match form {
        Form::Lines => "application/jsonl",
        Form::Table => "text/csv;charset=UTF-8",
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response.extensions_mut().insert(OwnOrigin);
    Ok(response)
}

//----------- Walk -----------------------------------------------------------

/// Why an export ends before its end; the connection is cut, so that nobody takes it for whole.
#[derive(Debug, thiserror::Error)]
#[error("the export was cut off")]
struct CutOff;

/// The client is gone, or takes nothing.
struct Gone;

struct Walk {
    node: Arc<Node>,
    asked: Asked,
    template: Template,
    form: Form,
    tell: mpsc::Sender<Result<Bytes, CutOff>>,
    _place: OwnedSemaphorePermit,
}

impl Walk {
    async fn run(self) {
        let mut piece = Vec::new();
        if self.form == Form::Table {
            let names = self.names().map(safe_cell);
            let head: Vec<_> = names.map(|name| name.into_owned()).collect();
            write_line(
                &mut piece,
                &[&[HANDLE_COLUMN.to_owned()], &head[..]].concat(),
            );
        }
        let data = self.template.handle().as_str().as_bytes();
        let mut after: Option<String> = None;
        loop {
            let page = find(&self.node, HANDLE_TYPE, data, after.as_deref(), PAGE);
            let Ok((handles, next)) = page else {
                // It is in the log why.
                let _ = self.tell.send(Err(CutOff)).await;
                return;
            };
            for handle in handles {
                self.write(&handle, &mut piece).await;
                if piece.len() >= PIECE && self.send(std::mem::take(&mut piece)).await.is_err() {
                    return;
                }
            }
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        // If the client is gone, there is nobody to tell.
        let _ = self.send(piece).await;
    }

    async fn send(&self, piece: Vec<u8>) -> Result<(), Gone> {
        let sent = timeout(PIECE_TIME_MAX, self.tell.send(Ok(piece.into()))).await;
        sent.map_err(|_| Gone)?.map_err(|_| Gone)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let fields = self.template.definition().fields.iter();
        fields.map(|field| field.name.as_str())
    }

    /// Appends a record, if the caller may see it.
    async fn write(&self, handle: &Handle, into: &mut Vec<u8>) {
        let Ok(values) = seen(&self.node, &self.asked, handle).await else {
            return;
        };
        let fields = self.template.read(&values);
        match self.form {
            Form::Lines => {
                let row = Row {
                    handle: Some(handle.to_string()),
                    fields,
                };
                // Texts, numbers and lists of them are always written.
                into.extend(serde_json::to_vec(&row).unwrap_or_default());
                into.push(b'\n');
            }
            Form::Table => {
                let cells = self.names().map(|name| cell(&fields, name));
                let handle = safe_cell(handle.as_str()).into_owned();
                let cells: Vec<_> = std::iter::once(handle).chain(cells).collect();
                write_line(into, &cells);
            }
        }
    }
}

/// The value of a field as [`Template::read_cell`] reads it.
fn cell(fields: &Map<String, Json>, name: &str) -> String {
    let text = |json: &Json| match json {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    let cell = match fields.get(name) {
        None => String::new(),
        Some(Json::Array(list)) => list.iter().map(text).collect::<Vec<_>>().join(";"),
        Some(json) => text(json),
    };
    safe_cell(&cell).into_owned()
}

fn write_line(into: &mut Vec<u8>, cells: &[String]) {
    let mut writer = csv::Writer::from_writer(into);
    // Nothing that is written to memory fails.
    let _ = writer.write_record(cells);
    let _ = writer.flush();
}
