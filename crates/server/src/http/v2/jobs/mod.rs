//! `/api/v2/jobs`: imports that are larger than a request should be.
//!
//! ```text
//!  body ──spool──► file ──rows──► groups ──work──► records, a few hundred for each durable write
//!                   │                        │
//!                   └────────── desk ────────┘   what is known of each job, in memory and on disk
//! ```
//!
//! The body goes to the disk as it comes. When it is there, the job has a number, and the rows are
//! checked and written in groups. A node that stops leaves jobs that whoever started them may
//! resume: before a group is written, its place and the handles that were made for it are on the
//! disk, so no row is made twice.

mod desk;
mod spool;
mod work;

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue, LOCATION};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use guantong_api::v2::jobs::{JobAction, JobAnswer, JobFault, JobState, JobsAnswer};
use guantong_core::template::{RowForm, safe_cell};
use guantong_proto::message::ResponseCode;

pub(crate) use self::desk::Jobs;
use self::desk::{Job, Refused};
use super::super::answer::{Failure, json};
use super::super::asked::Asked;
use super::problem::Problem;
use super::registration::{Writing, published};
use super::sender::{Sender, Terms};
use super::{body, bulk, not_allowed, sought};
use crate::node::Node;

/// Answers a request for `/api/v2/jobs`.
pub(super) async fn answer(
    node: &Arc<Node>,
    asked: &Asked,
    rest: &str,
) -> Result<Response, Problem> {
    let is_read = asked.method.is_safe();
    match (&asked.method, rest.split_once('/').unwrap_or((rest, ""))) {
        (_, ("", _)) if is_read => list(node, asked).await,
        (&Method::POST, ("import", "")) => import(node, asked).await,
        (_, ("" | "import", _)) => Err(not_allowed(asked, "GET, and POST to `import`")),
        (_, (id, "")) if is_read => show(node, asked, id).await,
        (_, (id, "errors")) if is_read => errors(node, asked, id).await,
        (&Method::POST, (id, "")) => act(node, asked, id).await,
        (&Method::DELETE, (id, "")) => forget(node, asked, id).await,
        _ => Err(not_allowed(asked, "GET, POST and DELETE")),
    }
}

//----------- Reading --------------------------------------------------------

/// Who a job belongs to, by who asks.
fn owner(sender: &Sender) -> Option<String> {
    let identity = sender.by.0.as_ref()?;
    Some(format!("{}:{}", identity.index, identity.handle))
}

async fn list(node: &Arc<Node>, asked: &Asked) -> Result<Response, Problem> {
    let sender = Sender::of(node, asked).await?;
    let form = JobsAnswer {
        jobs: node.v2.jobs.of(owner(&sender).as_deref()),
    };
    Ok(json(asked, StatusCode::OK, &form))
}

/// The job of this number, if it belongs to who asks. One of others is not there.
async fn own(node: &Arc<Node>, asked: &Asked, id: &str) -> Result<(Sender, Arc<Job>), Problem> {
    let sender = Sender::of(node, asked).await?;
    let job = node.v2.jobs.find(id, owner(&sender).as_deref());
    let job = job.ok_or_else(|| {
        let failure = Failure::new(
            ResponseCode::PROTOCOL_ERROR,
            "there is no such job of yours",
        );
        failure.with_status(404)
    })?;
    Ok((sender, job))
}

async fn show(node: &Arc<Node>, asked: &Asked, id: &str) -> Result<Response, Problem> {
    let (_, job) = own(node, asked, id).await?;
    Ok(json(asked, StatusCode::OK, &job.form()))
}

/// The rows that were refused, as JSON Lines or as a table.
async fn errors(node: &Arc<Node>, asked: &Asked, id: &str) -> Result<Response, Problem> {
    let (_, job) = own(node, asked, id).await?;
    let faults = job.faults().map_err(|error| disk(&error))?;
    let (kind, octets) = match asked.params.first("format") {
        None | Some("jsonl") => ("application/jsonl", faults),
        Some("csv") => ("text/csv;charset=UTF-8", table(&faults)),
        Some(other) => {
            let message = format!("parameter `format`: `{other}` is neither jsonl nor csv");
            return Err(Failure::new(ResponseCode::PROTOCOL_ERROR, message).into());
        }
    };
    let mut response = (StatusCode::OK, Body::from(octets)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    Ok(response)
}

/// Faults as a table: a line for each field, or for a row that is wrong as a whole.
fn table(lines: &[u8]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut line = |cells: [&str; 4]| {
        let cells = cells.map(safe_cell);
        // Nothing that is written to memory fails.
        let _ = writer.write_record(cells.iter().map(|cell| cell.as_bytes()));
    };
    line(["row", "handle", "field", "message"]);
    for fault in lines.split(|octet| *octet == b'\n') {
        let Ok(fault) = serde_json::from_slice::<JobFault>(fault) else {
            continue;
        };
        let row = fault.row.to_string();
        let handle = fault.handle.as_deref().unwrap_or_default();
        for error in &fault.errors {
            line([&row, handle, &error.field, &error.message]);
        }
        if fault.errors.is_empty() {
            line([&row, handle, "", &fault.detail]);
        }
    }
    writer.into_inner().unwrap_or_default()
}

//----------- Starting -------------------------------------------------------

async fn import(node: &Arc<Node>, asked: &Asked) -> Result<Response, Problem> {
    let sender = Sender::of(node, asked).await?;
    let form_of_rows = form_of(asked)?;
    let mode = bulk::mode(asked)?;
    let template = published(node, asked.params.first("template").unwrap_or_default())?;
    let is_rehearsal = asked.params.is_set("dryRun");
    let terms = Terms {
        condition: None,
        is_rehearsal,
    };
    // The disk is for those only who may register something.
    let own_prefix = template.handle().borrow().prefix();
    let prefix = asked.params.first("prefix").unwrap_or(own_prefix);
    let probe = Writing::new(node, asked, &sender, terms);
    probe.may_create(prefix).await?;
    sought::have_indexes(node).await?;
    let begun = node.v2.jobs.begin(node.random()).map_err(refused)?;
    let octets = spool::take(asked, &begun, &node.v2.jobs).await?;
    let form = JobAnswer {
        id: begun.id.clone(),
        state: JobState::Waiting,
        template: template.handle().to_string(),
        mode,
        dry_run: is_rehearsal,
        by: owner(&sender),
        started_ms: node.now_ms(),
        ended_ms: None,
        octets,
        rows: 0,
        done: 0,
        refused: 0,
        unchecked: 0,
        detail: None,
    };
    let job = node
        .v2
        .jobs
        .add(begun, form, form_of_rows)
        .map_err(|error| disk(&error))?;
    let form = job.form();
    let begin = work::Begin::New;
    work::start(node.clone(), asked.clone(), sender, job, template, begin);
    let mut response = json(asked, StatusCode::ACCEPTED, &form);
    let place = HeaderValue::from_str(&format!("/api/v2/jobs/{}", form.id));
    if let Ok(place) = place {
        response.headers_mut().insert(LOCATION, place);
    }
    Ok(response)
}

/// The form in which rows are sent.
fn form_of(asked: &Asked) -> Result<RowForm, Failure> {
    let kind = asked.header(CONTENT_TYPE).unwrap_or_default();
    RowForm::of_media_type(kind).ok_or_else(|| {
        let message = "send `Content-Type: text/csv`, `application/jsonl` or `application/json`";
        Failure::new(ResponseCode::PROTOCOL_ERROR, message).with_status(415)
    })
}

async fn act(node: &Arc<Node>, asked: &Asked, id: &str) -> Result<Response, Problem> {
    let action: JobAction = body(asked)?;
    let (sender, job) = own(node, asked, id).await?;
    match action {
        JobAction::Cancel => {
            let cancelled = node.v2.jobs.cancel(&job, node.now_ms());
            cancelled.map_err(refused)?;
        }
        JobAction::Resume => {
            let template = published(node, &job.form().template)?;
            sought::have_indexes(node).await?;
            job.resume().map_err(refused)?;
            let begin = work::Begin::Again;
            work::start(
                node.clone(),
                asked.clone(),
                sender,
                job.clone(),
                template,
                begin,
            );
        }
    }
    Ok(json(asked, StatusCode::OK, &job.form()))
}

async fn forget(node: &Arc<Node>, asked: &Asked, id: &str) -> Result<Response, Problem> {
    let (_, job) = own(node, asked, id).await?;
    node.v2.jobs.forget(&job).map_err(refused)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn refused(refused: Refused) -> Problem {
    let (code, status) = match refused {
        Refused::Full => (ResponseCode::SERVER_TOO_BUSY, 503),
        Refused::WrongState(_) => (ResponseCode::PROTOCOL_ERROR, 409),
        Refused::Disk(error) => return disk(&error).into(),
    };
    Failure::new(code, refused.to_string())
        .with_status(status)
        .into()
}

/// The disk does not do what it should.
fn disk(error: &std::io::Error) -> Failure {
    tracing::error!(%error, "the folder of jobs could not be used");
    let message = "the node could not use its folder of jobs; its log says why";
    Failure::new(ResponseCode::ERROR, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_of_faults_has_no_formulas() {
        let fault = br#"{"row":7,"handle":"=1+1","status":422,"detail":"d","errors":[
            {"field":"@a","message":"-x"},{"field":"b","message":"y, \"z\""}]}"#;
        let fault: Vec<u8> = fault
            .iter()
            .copied()
            .filter(|octet| *octet != b'\n')
            .collect();
        let whole = b"{\"row\":8,\"status\":409,\"detail\":\"+taken\"}\n\nnoise\n";
        let told = table(&[&fault, &b"\n"[..], whole].concat());
        let expected = "row,handle,field,message\n7,'=1+1,'@a,'-x\n7,'=1+1,b,\"y, \"\"z\"\"\"\n\
                        8,,,'+taken\n";
        assert_eq!(String::from_utf8(told).unwrap(), expected);
    }
}
