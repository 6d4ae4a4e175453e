//! The JSON forms of `POST /api/batch`: many changes of records in one request.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

//----------- Request --------------------------------------------------------

/// Most operations of one batch; those of the second-level systems take as many.
pub const OPERATIONS_MAX: usize = 2_000;

/// Changes of records.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Batch<'a> {
    /// Whether all are made or none. If not, each is made or refused by itself.
    #[serde(default)]
    pub atomic: bool,
    /// Whether they are decided only, and not made.
    #[serde(default)]
    pub dry_run: bool,
    /// The changes, at most [`OPERATIONS_MAX`], each of another record.
    #[serde(borrow)]
    pub operations: Vec<Operation<'a>>,
}

/// One change.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Operation<'a> {
    /// What is to be done.
    pub op: Op,
    /// The record.
    pub handle: String,
    /// The values, as `PUT /api/handles` takes them: for `create`, `put`, `add` and `write`.
    #[serde(borrow, default)]
    pub values: Option<&'a RawValue>,
    /// The values that go: for `remove`.
    #[serde(default)]
    pub indexes: Vec<i32>,
    /// The version that the record must have; 0: there must be none.
    #[serde(default)]
    pub if_version: Option<u64>,
    /// Why the record is withdrawn.
    #[serde(default)]
    pub reason: Option<String>,
    /// What takes its place.
    #[serde(default)]
    pub successor: Option<String>,
}

/// What is done to a record.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Op {
    /// Create it; refused if it is there.
    Create,
    /// Create it or write it over.
    Put,
    /// Add values to it; refused if it has one of the indexes.
    Add,
    /// Write values of it, whether they are there or not.
    Write,
    /// Remove values from it.
    Remove,
    /// Delete it, or withdraw it, as the node is told for such requests.
    Delete,
    /// Withdraw it: it stays as a tombstone with reason and successor.
    Withdraw,
    /// Delete it so that nothing stays.
    Erase,
}

//----------- Answer ---------------------------------------------------------

/// What came of a batch.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchAnswer {
    /// 1 if every change was made; else the code of the first that was not.
    pub response_code: i32,
    /// What was refused, if anything was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Whether nothing was to be made.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// How many changes were made.
    pub done: usize,
    /// How many were refused.
    pub refused: usize,
    /// What came of each, in their order.
    pub results: Vec<OperationAnswer>,
}

/// What came of one change of a batch.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationAnswer {
    /// The record.
    pub handle: String,
    /// The code of the answer that the change would have got alone.
    pub response_code: i32,
    /// The status of that answer.
    pub status: u16,
    /// What was done.
    pub outcome: OperationOutcome,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What came of one change of a batch.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum OperationOutcome {
    /// The record was, or in a dry run would be, created.
    Created,
    /// Its values were, or would be, changed.
    Changed,
    /// It was, or would be, deleted.
    Deleted,
    /// The change was refused.
    Refused,
    /// It would have been made, but another of an atomic batch was refused.
    NotDone,
}
