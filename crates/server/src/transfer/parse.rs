//! The reading side of an import: lines become batches of records.

use std::io::{self, BufRead};
use std::sync::mpsc::SyncSender;

use guantong_proto::Handle;
use guantong_proto::json::JsonError;

use super::lines::{Line, Lines, Mark, Place};
use super::sort::Sorted;
use crate::control::{BATCH_OCTETS_MAX, BATCH_RECORDS_MAX, NewRecord, RecordError};

/// Longest line: a record of the largest size with every octet escaped fits.
pub(super) const LINE_LEN_MAX: usize = 4 * 1024 * 1024;

/// What a line must be.
const EXPECTED: &str = "expected one record `{\"handle\":…,\"values\":[…]}` on the line";

//----------- Input ----------------------------------------------------------

/// Where lines come from.
pub(super) enum Input<R> {
    /// As they stand in the input.
    AsTheyCome(Lines<R>),
    /// In the order of their names.
    Sorted(Sorted),
}

impl<R: BufRead> Input<R> {
    fn next_line(&mut self) -> io::Result<Option<(u64, Line<'_>)>> {
        match self {
            Self::AsTheyCome(lines) => lines.next_line(),
            Self::Sorted(lines) => lines.next_line(),
        }
    }

    fn place(&self) -> Place {
        match self {
            Self::AsTheyCome(lines) => lines.place(),
            Self::Sorted(lines) => {
                let (lines, octets) = lines.passed();
                Place::in_other_order(lines, octets)
            }
        }
    }
}

//----------- Batch ----------------------------------------------------------

/// Lines that are imported together.
#[derive(Debug)]
pub(super) struct ParsedBatch {
    /// The lines; blank ones are left out.
    pub(super) lines: Vec<ParsedLine>,
    /// The place behind the last of them.
    pub(super) end: Mark,
    /// A broken line behind `end`, at which the import is to stop.
    pub(super) stop: Option<ParsedLine>,
}

/// One line.
#[derive(Debug)]
pub(super) struct ParsedLine {
    /// Its number, from 1.
    pub(super) number: u64,
    /// The record, or what is wrong with the line.
    pub(super) record: Result<NewRecord, Broken>,
}

/// What is wrong with a line.
#[derive(Debug)]
pub(super) struct Broken {
    /// Column of the fault, from 1, where the text is not JSON.
    pub(super) column: Option<usize>,
    /// The handle, where the line is good enough to tell.
    pub(super) handle: Option<Handle>,
    /// What was expected and what was found.
    pub(super) reason: String,
}

//----------- Parser ---------------------------------------------------------

/// Reads all lines and sends them in batches, until nobody takes them any more.
pub(super) fn parse_all<R: BufRead>(
    lines: &mut Input<R>,
    stop_on_error: bool,
    batches: &SyncSender<io::Result<ParsedBatch>>,
) {
    while let Some(batch) = parse_batch(lines, stop_on_error).transpose() {
        let is_last = batch.as_ref().map_or(true, |batch| batch.stop.is_some());
        if batches.send(batch).is_err() || is_last {
            return;
        }
    }
}

fn parse_batch<R: BufRead>(
    lines: &mut Input<R>,
    stop_on_error: bool,
) -> io::Result<Option<ParsedBatch>> {
    let mut parsed = Vec::new();
    let mut octets = 0;
    while parsed.len() < BATCH_RECORDS_MAX && octets < BATCH_OCTETS_MAX {
        let before = stop_on_error.then(|| lines.place());
        let Some((number, line)) = lines.next_line()? else {
            break;
        };
        let record = parse_line(&line);
        octets += record.as_ref().map_or(0, NewRecord::size);
        let line = ParsedLine { number, record };
        match before {
            Some(before) if line.record.is_err() => {
                return Ok(Some(ParsedBatch {
                    lines: parsed,
                    end: before.into(),
                    stop: Some(line),
                }));
            }
            _ => parsed.push(line),
        }
    }
    Ok((!parsed.is_empty()).then(|| ParsedBatch {
        lines: parsed,
        end: lines.place().into(),
        stop: None,
    }))
}

fn parse_line(line: &Line<'_>) -> Result<NewRecord, Broken> {
    let broken = |column, reason| Broken {
        column,
        handle: None,
        reason,
    };
    match line {
        Line::Text(text) => NewRecord::parse(text).map_err(|error| match error {
            RecordError::Json(JsonError::Syntax { column, reason, .. }) => broken(
                Some(column),
                format!("not valid JSON: {reason}; {EXPECTED}"),
            ),
            error => Broken {
                handle: handle_of(text),
                ..broken(None, error.to_string())
            },
        }),
        Line::TooLong { octets } => Err(broken(
            None,
            format!("the line has {octets} octets, the limit is {LINE_LEN_MAX}"),
        )),
    }
}

/// The handle of a record that is broken elsewhere.
fn handle_of(text: &[u8]) -> Option<Handle> {
    let json: serde_json::Value = serde_json::from_slice(text).ok()?;
    Handle::parse(json.get("handle")?.as_str()?).ok()
}
