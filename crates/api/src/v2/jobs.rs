//! Jobs: what takes longer than a request.

use serde::{Deserialize, Serialize};

use super::{FieldProblem, Mode};

/// Where a job is in its life.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum JobState {
    /// Others are before it.
    Waiting,
    /// It is under way.
    Running,
    /// It has come to its end; rows may have been refused.
    Done,
    /// It could not go on; `detail` says why.
    Failed,
    /// Somebody has stopped it for good.
    Cancelled,
    /// The node stopped while it was under way; it can be resumed.
    Interrupted,
}

/// A job.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct JobAnswer {
    /// Its name.
    pub id: String,
    /// Where it is in its life.
    pub state: JobState,
    /// The template that is registered by.
    pub template: String,
    /// What is done where a record is there.
    pub mode: Mode,
    /// Whether rows are checked only.
    #[serde(default)]
    pub dry_run: bool,
    /// Who has started it, as `index:handle`; missing at a node that is open to all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When it was started, in milliseconds since 1970.
    pub started_ms: u64,
    /// When it came to its end, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<u64>,
    /// Octets of what was sent.
    pub octets: u64,
    /// Rows that were made, changed or refused.
    pub rows: u64,
    /// Rows that were made or changed.
    pub done: u64,
    /// Rows that were refused.
    pub refused: u64,
    /// Rows that were made or changed with references to records of other nodes of which only the
    /// form was checked.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unchecked: u64,
    /// Why it could not go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Jobs.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct JobsAnswer {
    /// Those of the caller, the latest first.
    pub jobs: Vec<JobAnswer>,
}

/// What is to be done with a job.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "action", rename_all = "camelCase", deny_unknown_fields)]
pub enum JobAction {
    /// Stop it for good. What was made stays.
    Cancel,
    /// Go on where the node stopped.
    Resume,
}

/// A row that was refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct JobFault {
    /// The number of the row, counted from 1.
    pub row: u64,
    /// Its handle, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
    /// The status that the row would have got alone.
    pub status: u16,
    /// Why it was refused.
    pub detail: String,
    /// What was wrong with each field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
}
