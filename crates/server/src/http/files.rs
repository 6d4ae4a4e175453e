//! Files of registrations: sent for a field of a template, given to who may read that field.
//!
//! The body of an upload is not read whole: it goes to the disk as it comes. Both interfaces that
//! send files, `/api/v2/files` and that of existing enterprise nodes, come here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use axum::body::{Body, Bytes};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue,
};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use guantong_core::template::{Field, Template};
use guantong_proto::message::{OpCode, OpFlags, ResponseCode};
use guantong_proto::{Handle, Value};
use multer::{Constraints, Multipart, SizeLimit};
use serde_json::Value as Json;
use tokio::io::AsyncReadExt;

use super::answer::Failure;
use super::asked::Asked;
use super::change::builder;
use super::snms;
use super::v1;
use super::v2::problem::Problem;
use super::v2::registration::{by_which, published_for};
use super::v2::sender::{Sender, Terms};
use super::v2::sought;
use crate::config::Config;
use crate::files::{FileError, FileName, Purpose, Upload};
use crate::node::Node;

/// Where files are sent, besides the interface of existing enterprise nodes.
const PATH: &str = "/api/v2/files";
/// The part of the body that is the file; other parts are skipped.
const PART: &str = "file";
/// Octets that are read from the disk at a time.
const READ_AT_A_TIME: usize = 64 * 1024;
/// Octets of a body besides its file: names of parts, and parts that nobody reads.
const AROUND_MAX: u64 = 64 * 1024;

/// Whether a request brings a file.
pub(super) fn is_upload(config: &Config, method: &Method, path: &str) -> bool {
    let compatible = &config.compatible;
    *method == Method::POST
        && (path == PATH
            || (compatible.doip && v1::is_upload(path))
            || (compatible.snms && path == snms::UPLOAD))
}

//----------- Receiving ------------------------------------------------------

/// What a file is sent for.
pub(super) struct Wanted<'a> {
    pub(super) template: &'a str,
    pub(super) field: &'a str,
    /// The registration that will name it, if that is known yet.
    pub(super) handle: Option<&'a str>,
}

/// Takes a file from somebody who may register by the template, or change the registration.
pub(super) async fn receive(
    node: &Node,
    asked: &Asked,
    body: Body,
    wanted: &Wanted<'_>,
) -> Result<(FileName, Upload), Problem> {
    let sender = Sender::of(node, asked).await?;
    let template = published_for(node, asked, wanted.template).await?;
    let field = template.definition().field(wanted.field);
    let field = field.filter(|field| field.takes_values() && !field.kind.suffixes().is_empty());
    let field = field.ok_or_else(|| {
        refused(format!(
            "`{}` is no field of the template that holds files",
            wanted.field
        ))
    })?;
    may_send(node, asked, &sender, &template, field, wanted.handle).await?;
    let purpose = Purpose {
        template: template.handle().to_string(),
        field: field.name.clone(),
        by: sender.by.0.as_ref().map(ToString::to_string),
        at: node.now_secs(),
        since: node.store.last_change(),
    };
    let known = field.kind.suffixes();
    let known: Vec<_> = known.into_iter().map(|suffix| (suffix, u64::MAX)).collect();
    take(node, asked, body, &known, purpose).await
}

/// Takes the file of a body, whose name must end in one of these, and which has at most so many
/// octets then.
pub(super) async fn take(
    node: &Node,
    asked: &Asked,
    body: Body,
    known: &[(&str, u64)],
    purpose: Purpose,
) -> Result<(FileName, Upload), Problem> {
    let around = Arc::new(Around::default());
    let mut parts = parts(node, asked, pieces(body, around.clone()))?;
    while let Some(mut part) = parts
        .next_field()
        .await
        .map_err(|error| unreadable(&error))?
    {
        around.note_part();
        if part.name() != Some(PART) {
            continue;
        }
        let (name, limit) = name_of(node, known, part.file_name().unwrap_or_default())?;
        let mut incoming = node.files.receive(name).await?;
        around.is_in_file.store(true, Ordering::Relaxed);
        let mut left = limit;
        while let Some(octets) = part.chunk().await.map_err(|error| unreadable(&error))? {
            let len = u64::try_from(octets.len()).unwrap_or(u64::MAX);
            left = left.checked_sub(len).ok_or(FileError::TooLong { limit })?;
            incoming.write(&octets).await?;
        }
        return Ok(incoming.keep(purpose).await?);
    }
    Err(refused(format!("the body has no part `{PART}`")))
}

/// Whether the sender may make a registration that names the file, or change the one that does.
async fn may_send(
    node: &Node,
    asked: &Asked,
    sender: &Sender,
    template: &Template,
    field: &Field,
    named: Option<&str>,
) -> Result<(), Problem> {
    let handle = match named {
        Some(named) => Handle::parse(named)?,
        None => {
            let prefix = template.handle().borrow().prefix();
            Handle::parse(&format!(
                "{prefix}/{:032x}",
                u128::from_be_bytes(node.random())
            ))?
        }
    };
    if named.is_some() {
        match sender.may_change(node, asked, &handle, field.index).await {
            Err(failure) if failure.is_not_found() => {}
            other => return Ok(other?),
        }
    }
    let packet = builder(node, OpFlags::DEFAULT);
    let values = [sender.administrator(&handle)];
    let packet = packet.write(OpCode::CREATE, handle.as_str(), &values);
    let rehearsal = Terms {
        is_rehearsal: true,
        ..Terms::default()
    };
    Ok(sender
        .carry(node, asked, &handle, packet, rehearsal)
        .await?)
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What comes in front of the file has no end.
#[derive(Debug, thiserror::Error)]
#[error("there are more than {AROUND_MAX} octets in front of the file")]
struct TooMuchAround;

/// What was read that is not of the file: since the last part began, or none any more.
#[derive(Debug, Default)]
struct Around {
    octets: AtomicU64,
    is_in_file: AtomicBool,
}

impl Around {
    fn is_too_much(&self) -> bool {
        let is_around = !self.is_in_file.load(Ordering::Relaxed);
        is_around && self.octets.load(Ordering::Relaxed) > AROUND_MAX
    }

    fn note_part(&self) {
        self.octets.store(0, Ordering::Relaxed);
    }
}

/// The pieces of a body. The reader holds them until a part has its whole head: so many octets, and
/// one piece more.
fn pieces(body: Body, around: Arc<Around>) -> impl Stream<Item = Result<Bytes, BoxError>> + Send {
    stream::unfold(body.into_data_stream(), move |mut body| {
        let around = around.clone();
        async move {
            // The reader takes all that is there at once. So it looks at each piece before there is
            // another; and at the last one of too many, in which the next part may begin.
            tokio::task::yield_now().await;
            if around.is_too_much() {
                tokio::task::yield_now().await;
            }
            if around.is_too_much() {
                return Some((Err(TooMuchAround.into()), body));
            }
            let piece = body.next().await?;
            let len = piece.as_ref().map_or(0, Bytes::len);
            around.octets.fetch_add(len as u64, Ordering::Relaxed);
            Some((piece.map_err(Into::into), body))
        }
    })
}

fn parts(
    node: &Node,
    asked: &Asked,
    pieces: impl Stream<Item = Result<Bytes, BoxError>> + Send + 'static,
) -> Result<Multipart<'static>, Problem> {
    let kind = asked.header(CONTENT_TYPE).unwrap_or_default();
    let boundary = multer::parse_boundary(kind)
        .map_err(|_| refused("send the file as multipart/form-data".to_owned()))?;
    let limit = node.config().files.file_max.saturating_add(AROUND_MAX);
    let limits = SizeLimit::new().whole_stream(limit);
    let constraints = Constraints::new().size_limit(limits);
    Ok(Multipart::with_constraints(pieces, boundary, constraints))
}

/// A new name, with the suffix that the client's name for the file has. Nothing else of that is
/// kept.
fn name_of(node: &Node, known: &[(&str, u64)], named: &str) -> Result<(FileName, u64), Problem> {
    let suffix = named.rsplit_once('.').map_or("", |(_, suffix)| suffix);
    let mut of_suffix = known.iter();
    let of_suffix = of_suffix.find(|(known, _)| suffix.eq_ignore_ascii_case(known));
    let (_, limit) = of_suffix.ok_or_else(|| {
        let known: Vec<_> = known.iter().map(|(suffix, _)| *suffix).collect();
        refused(format!(
            "the name of the file must end in one of: {}",
            known.join(", ")
        ))
    })?;
    let name = FileName::new(node.random(), suffix);
    let name = name.ok_or_else(|| refused(format!("`{suffix}` is no suffix of a file")))?;
    Ok((name, *limit))
}

fn refused(message: String) -> Problem {
    Failure::new(ResponseCode::INVALID_VALUE, message)
        .with_status(422)
        .into()
}

fn unreadable(error: &multer::Error) -> Problem {
    let (status, why) = match error {
        multer::Error::StreamReadFailed(why) if why.is::<TooMuchAround>() => (413, why.to_string()),
        multer::Error::StreamSizeExceeded { .. } | multer::Error::FieldSizeExceeded { .. } => {
            (413, error.to_string())
        }
        _ => (400, error.to_string()),
    };
    let message = format!("the body cannot be read: {why}");
    Failure::new(ResponseCode::PROTOCOL_ERROR, message)
        .with_status(status)
        .into()
}

impl From<FileError> for Problem {
    fn from(error: FileError) -> Self {
        let (code, status) = match &error {
            FileError::TooLong { .. } => (ResponseCode::INVALID_VALUE, 413),
            FileError::Full { .. } | FileError::NoSpace => (ResponseCode::SERVER_TOO_BUSY, 507),
            _ => {
                tracing::error!(%error, "files");
                let message = "the node could not write or read its files; its log says why";
                return Failure::new(ResponseCode::ERROR, message).into();
            }
        };
        Failure::new(code, error.to_string())
            .with_status(status)
            .into()
    }
}

//----------- Giving ---------------------------------------------------------

/// A file, if a field of a registration names it that the caller may read; `values` are those that
/// he may read of it.
pub(super) async fn give(
    node: &Node,
    name: &str,
    field: &str,
    values: &[Value],
) -> Result<Response, Problem> {
    let missing = || {
        let message = "no field that the caller may read names this file";
        Problem::from(Failure::new(ResponseCode::HANDLE_NOT_FOUND, message))
    };
    let file: FileName = name.parse().map_err(|_| missing())?;
    let by = by_which(values).ok_or_else(missing)?;
    let (template, _) = sought::template(node, &by).map_err(|_| missing())?;
    let said = template.read(values);
    let is_named = |json: &Json| match json {
        Json::String(text) => text.eq_ignore_ascii_case(name),
        Json::Array(parts) => {
            let mut parts = parts.iter().filter_map(Json::as_str);
            parts.any(|part| part.eq_ignore_ascii_case(name))
        }
        _ => false,
    };
    if !said.get(field).is_some_and(is_named) {
        return Err(missing());
    }
    let upload = node.files.find(&file).await?.ok_or_else(missing)?;
    // A name that is found in a value was perhaps written there by somebody who has only heard of
    // it: the file is given for what it was sent for.
    let rule = node.site().case_rule();
    let is_of_template = Handle::parse(&upload.template).is_ok_and(|t| t.key(rule) == by.key(rule));
    match is_of_template && upload.field == field {
        true => stream_of(node, &file, &upload).await,
        false => Err(missing()),
    }
}

/// The octets of an upload, never to be shown by a browser as a page of ours.
pub(super) async fn stream_of(
    node: &Node,
    name: &FileName,
    upload: &Upload,
) -> Result<Response, Problem> {
    let file = node.files.open(upload).await?;
    let octets = stream::try_unfold(file, |mut file| async move {
        let mut buffer = vec![0; READ_AT_A_TIME];
        let count = file.read(&mut buffer).await?;
        buffer.truncate(count);
        Ok::<_, std::io::Error>((count > 0).then(|| (Bytes::from(buffer), file)))
    });
    let mut response = (StatusCode::OK, Body::from_stream(octets)).into_response();
    let headers = response.headers_mut();
    let attachment = format!("attachment; filename=\"{name}\"");
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.insert(CONTENT_LENGTH, upload.size.into());
    if let Ok(attachment) = HeaderValue::from_str(&attachment) {
        headers.insert(CONTENT_DISPOSITION, attachment);
    }
    Ok(response)
}
