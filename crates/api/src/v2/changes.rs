//! Changes as they happen.

use serde::Serialize;

/// A change of a record: the data of an event.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ChangeEvent {
    /// Its number in the change log of the node.
    pub serial: u64,
    /// The record.
    pub handle: String,
    /// What happened.
    pub kind: ChangeKind,
    /// When it was asked for, in milliseconds since 1970.
    pub at_ms: u64,
}

/// What happened to a record.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum ChangeKind {
    /// It was created.
    Created,
    /// It was changed.
    Changed,
    /// It was deleted.
    Deleted,
}
