//! `POST /api/v2/registrations/batch`: many registrations by one template, each by itself.
//!
//! JSON says everything in its body. JSON Lines and CSV are rows alone, and `template`, `mode` and
//! `dryRun` are parameters. Every row gets a result; one that is refused stops no other.

use std::collections::HashMap;

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use guantong_api::v2::{self, Bulk, BulkAnswer, Mode, Outcome, ROWS_MAX, RowAnswer};
use guantong_core::template::{Row, Template};
use guantong_proto::Handle;
use guantong_proto::message::ResponseCode;

use super::super::answer::{Failure, json};
use super::super::asked::Asked;
use super::problem::Problem;
use super::registration::{Writing, Written, published_for};
use super::sender::{Sender, Terms};
use super::waves::Making;
use super::{body, sought};
use crate::node::Node;

/// Most faults of fields, and references that were not checked, that one answer names one by one.
/// Behind them, a row says how many faults it has:
/// an answer stays short enough to be kept for a request that is sent again.
const ERRORS_MAX: usize = 4_000;

/// A row, or why it could not be read.
type Read = Result<Row, Problem>;

/// What a request says.
struct Said {
    template: Template,
    mode: Mode,
    is_rehearsal: bool,
    rows: Vec<Read>,
}

/// Answers a request for `/api/v2/registrations/batch`.
pub(super) async fn answer(node: &Node, asked: &Asked) -> Result<Response, Problem> {
    let sender = Sender::of(node, asked).await?;
    let Said {
        template,
        mode,
        is_rehearsal,
        rows,
    } = read(node, asked).await?;
    sought::have_indexes(node).await?;
    let terms = Terms {
        condition: None,
        is_rehearsal,
    };
    let making = Making {
        writing: Writing::new(node, asked, &sender, terms),
        mode,
    };
    let results = carry(&making, &template, only_once(node, rows)).await;
    let results = shortened(results, ERRORS_MAX);
    let is_refused = |row: &&RowAnswer| row.outcome == Outcome::Refused;
    let refused = results.iter().filter(is_refused).count();
    let form = BulkAnswer {
        dry_run: is_rehearsal,
        done: results.len() - refused,
        refused,
        results,
    };
    let mut response = json(asked, StatusCode::OK, &form);
    if form.done > 0 && !is_rehearsal {
        response.extensions_mut().insert(sender.by.clone());
    }
    Ok(response)
}

/// The results with at most so many faults of fields.
fn shortened(mut results: Vec<RowAnswer>, errors_max: usize) -> Vec<RowAnswer> {
    let mut left = errors_max;
    for row in &mut results {
        row.errors.truncate(left);
        left -= row.errors.len();
        row.unchecked.truncate(left);
        left -= row.unchecked.len();
    }
    results
}

/// Has rows carried out; what came of each, in their order.
async fn carry(making: &Making<'_>, template: &Template, rows: Vec<Read>) -> Vec<RowAnswer> {
    let asked = making.writing.asked;
    let (mut results, mut standing) = (Vec::with_capacity(rows.len()), Vec::new());
    for (number, row) in (1..).zip(rows) {
        let named = row.as_ref().ok().and_then(|row| row.handle.clone());
        let row = match row {
            Ok(row) => making.standing(number, template, row, None).await,
            Err(problem) => Err(problem),
        };
        match row {
            Ok(row) => standing.push(row),
            Err(problem) => results.push(refusal(asked, number, named, problem)),
        }
    }
    for ended in making.write(standing).await {
        let (number, row) = (ended.number, ended.row);
        let made = match ended.result {
            // Somebody has chosen himself what the rule of the template gives.
            Err(problem) if row.handle.is_none() && problem.is_taken() => {
                let writing = &making.writing;
                writing.create(template, None, &row.fields).await
            }
            result => result.map(|unchecked| Written {
                handle: ended.handle,
                unchecked,
            }),
        };
        results.push(match made {
            Ok(written) => success(number, written, making.mode),
            Err(problem) => refusal(asked, number, row.handle, problem),
        });
    }
    results.sort_by_key(|row| row.row);
    results
}

fn success(number: u64, written: Written, mode: Mode) -> RowAnswer {
    let (outcome, status) = match mode {
        Mode::Create => (Outcome::Created, 201),
        Mode::Replace | Mode::Merge => (Outcome::Changed, 200),
    };
    RowAnswer {
        row: usize::try_from(number).unwrap_or(usize::MAX),
        handle: Some(written.handle.to_string()),
        outcome,
        status,
        detail: None,
        errors: Vec::new(),
        unchecked: written.unchecked,
    }
}

fn refusal(asked: &Asked, number: u64, handle: Option<String>, problem: Problem) -> RowAnswer {
    let status = problem.status(asked);
    let (detail, errors) = problem.into_parts();
    RowAnswer {
        row: usize::try_from(number).unwrap_or(usize::MAX),
        handle,
        outcome: Outcome::Refused,
        status,
        detail: Some(detail),
        errors,
        unchecked: Vec::new(),
    }
}

/// The registration that a row changes.
pub(super) fn named(handle: Option<&str>) -> Result<Handle, Problem> {
    let Some(handle) = handle else {
        let message = "`handle` is missing: which registration is to be changed?";
        return Err(refuse(message.to_owned()));
    };
    Ok(Handle::parse(handle)?)
}

//----------- Reading --------------------------------------------------------

pub(super) fn refuse(message: String) -> Problem {
    Failure::new(ResponseCode::PROTOCOL_ERROR, message).into()
}

async fn read(node: &Node, asked: &Asked) -> Result<Said, Problem> {
    let kind = asked.header(CONTENT_TYPE).unwrap_or_default();
    let kind = kind
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if kind == "application/json" {
        let bulk: Bulk = body(asked)?;
        let template = published_for(node, asked, &bulk.template).await?;
        let rows = bounded(bulk.registrations.into_iter().map(row_of).collect())?;
        return Ok(Said {
            template,
            mode: bulk.mode,
            is_rehearsal: bulk.dry_run,
            rows,
        });
    }
    let mode = mode(asked)?;
    let template = published_for(
        node,
        asked,
        asked.params.first("template").unwrap_or_default(),
    )
    .await?;
    let rows = match kind.as_str() {
        "application/jsonl" | "application/x-ndjson" => lines(&asked.body)?,
        "text/csv" => table(&template, &asked.body)?,
        _ => {
            let message =
                "send `Content-Type: application/json`, `application/jsonl` or `text/csv`";
            let failure = Failure::new(ResponseCode::PROTOCOL_ERROR, message);
            return Err(failure.with_status(415).into());
        }
    };
    Ok(Said {
        template,
        mode,
        is_rehearsal: asked.params.is_set("dryRun"),
        rows,
    })
}

fn row_of(row: v2::Row) -> Read {
    let v2::Row { handle, fields } = row;
    Ok(Row { handle, fields })
}

/// What is done where a record is there.
pub(super) fn mode(asked: &Asked) -> Result<Mode, Problem> {
    match asked.params.first("mode") {
        None | Some("create") => Ok(Mode::Create),
        Some("replace") => Ok(Mode::Replace),
        Some("merge") => Ok(Mode::Merge),
        Some(other) => {
            let message = format!("parameter `mode`: `{other}` is none of create, replace, merge");
            Err(refuse(message))
        }
    }
}

fn bounded(rows: Vec<Read>) -> Result<Vec<Read>, Problem> {
    match rows.len() > ROWS_MAX {
        false => Ok(rows),
        true => {
            let message = format!("there are more than {ROWS_MAX} rows; send them in parts");
            let failure = Failure::new(ResponseCode::PROTOCOL_ERROR, message);
            Err(failure.with_status(413).into())
        }
    }
}

/// A row in each line; empty lines are passed over.
fn lines(octets: &[u8]) -> Result<Vec<Read>, Problem> {
    let lines = octets.split(|octet| *octet == b'\n');
    let lines = lines.filter(|line| !line.trim_ascii().is_empty());
    let read = |line: &[u8]| Row::of_line(line).map_err(|none| refuse(none.to_string()));
    bounded(lines.take(ROWS_MAX + 1).map(read).collect())
}

/// A row in each line behind the first, which names the columns.
fn table(template: &Template, octets: &[u8]) -> Result<Vec<Read>, Problem> {
    // Spreadsheets write a mark of the byte order in front.
    let octets = octets.strip_prefix("\u{feff}".as_bytes()).unwrap_or(octets);
    let mut reader = csv::ReaderBuilder::new()
        .flexible(false)
        .from_reader(octets);
    let head = reader.headers();
    let head = head
        .map_err(|error| refuse(format!("the head of the table: {error}")))?
        .clone();
    let mut seen = std::collections::HashSet::new();
    if let Some(twice) = head.iter().find(|name| !seen.insert(*name)) {
        return Err(refuse(format!("the column `{twice}` is there twice")));
    }
    let read = |record: Result<csv::StringRecord, csv::Error>| {
        let record = record.map_err(|error| refuse(format!("the row: {error}")))?;
        Ok(Row::of_cells(template, &head, &record))
    };
    bounded(reader.records().take(ROWS_MAX + 1).map(read).collect())
}

/// Refuses a row about a record that an earlier row is about: what the two do would depend on
/// which comes first, and they are carried out side by side.
fn only_once(node: &Node, rows: Vec<Read>) -> Vec<Read> {
    let rule = node.site().case_rule();
    let mut seen = HashMap::new();
    let rows = rows.into_iter().enumerate().map(|(at, row)| {
        let row = row?;
        let handle = row
            .handle
            .as_deref()
            .and_then(|handle| Handle::parse(handle).ok());
        let earlier = handle.and_then(|handle| seen.insert(handle.key(rule), at + 1));
        match earlier {
            Some(earlier) => Err(refuse(format!("row {earlier} is about the same record"))),
            None => Ok(row),
        }
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use guantong_api::v2::FieldProblem;

    use super::*;

    #[test]
    fn faults_of_an_answer_are_bounded_and_every_row_keeps_its_result() {
        let row = |row: usize| RowAnswer {
            row,
            handle: None,
            outcome: Outcome::Refused,
            status: 422,
            detail: Some("wrong".to_owned()),
            errors: vec![
                FieldProblem {
                    field: "serial".to_owned(),
                    message: "wrong".to_owned(),
                };
                3
            ],
            unchecked: Vec::new(),
        };
        let results = shortened((1..=4).map(row).collect(), 7);
        let errors: Vec<_> = results.iter().map(|row| row.errors.len()).collect();
        assert_eq!(errors, [3, 3, 1, 0]);
        assert!(results.iter().all(|row| row.detail.is_some()));
    }
}
