//! What refers to what.

use serde::Serialize;

/// A part of the graph of references.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct GraphAnswer {
    /// The record that the question was about.
    pub root: String,
    /// The records, the nearest first.
    pub nodes: Vec<GraphNode>,
    /// The references between them.
    pub edges: Vec<GraphEdge>,
    /// Whether there is more than was asked for, or more than is told.
    pub truncated: bool,
}

/// A record in a graph.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct GraphNode {
    /// Its handle.
    pub handle: String,
    /// What is known of it.
    pub state: GraphState,
    /// The template that it was registered by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The first text that the caller may read of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// How many references it is away from the root.
    pub depth: u32,
}

/// What is known of a record in a graph.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum GraphState {
    /// The caller may read it, or some of it.
    Known,
    /// He may not read it.
    Withheld,
    /// There is no such record.
    Missing,
    /// Another node answers for it, and it was not had from there.
    Foreign,
    /// Another node answers for it, and did not answer now: what it refers to is not known.
    Silent,
    /// It is at the bound of what was asked for, and was not looked at.
    Unvisited,
}

/// A reference.
#[derive(Debug, Serialize, PartialEq, Eq, Hash, Clone)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct GraphEdge {
    /// The record that refers.
    pub from: String,
    /// The record that it refers to.
    pub to: String,
    /// The field that holds the reference.
    pub field: String,
}
