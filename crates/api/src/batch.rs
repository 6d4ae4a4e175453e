//! The JSON forms of `POST /api/batch`: many changes of records in one request.

use serde::{Deserialize, Serialize};

//----------- Request --------------------------------------------------------

/// Most operations of one batch; those of the second-level systems take as many.
pub const OPERATIONS_MAX: usize = 2_000;

/// Changes of records. `V` is what the values of an operation are read as.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Batch<V> {
    /// Whether all are made or none. If not, each is made or refused by itself.
    #[serde(default)]
    pub atomic: bool,
    /// Whether they are decided only, and not made.
    #[serde(default)]
    pub dry_run: bool,
    /// The changes, at most [`OPERATIONS_MAX`], each of another record.
    pub operations: Vec<Operation<V>>,
}

/// One change.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Operation<V> {
    /// What is to be done.
    pub op: Op,
    /// The record.
    pub handle: String,
    /// The values, as `PUT /api/handles` takes them: for `create`, `put`, `add` and `write`.
    pub values: Option<V>,
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

impl<V> Batch<V> {
    /// The same batch, its values read as something else.
    pub fn map<T>(self, mut each: impl FnMut(V) -> T) -> Batch<T> {
        let operation = |operation: Operation<V>| Operation {
            op: operation.op,
            handle: operation.handle,
            values: operation.values.map(&mut each),
            indexes: operation.indexes,
            if_version: operation.if_version,
            reason: operation.reason,
            successor: operation.successor,
        };
        Batch {
            atomic: self.atomic,
            dry_run: self.dry_run,
            operations: self.operations.into_iter().map(operation).collect(),
        }
    }
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
