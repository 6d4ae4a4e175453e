//! Numbers about what is registered.

use serde::Serialize;

/// Numbers about a node, or about a prefix of it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StatisticsAnswer {
    /// The prefix; missing for all of the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Records.
    pub records: u64,
    /// Prefixes that the node homes.
    pub prefixes: usize,
    /// Changes that the store has seen.
    pub changes: u64,
    /// Requests that the node has answered since its start, by whatever protocol.
    pub requests: u64,
    /// When it was started, in milliseconds since 1970.
    pub started_ms: u64,
    /// When what is below was counted, likewise; missing if it never was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counted_ms: Option<u64>,
    /// How many templates there are.
    pub template_count: u64,
    /// How much is registered by them.
    pub registrations: u64,
    /// The templates by which most is registered.
    pub templates: Vec<TemplateCount>,
    /// Records that were made and deleted on the last days, the latest last; days are those of UTC.
    pub days: Vec<DayCount>,
}

/// How much is registered by a template.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TemplateCount {
    /// The template.
    pub template: String,
    /// How people call it.
    pub title: String,
    /// Registrations.
    pub registrations: u64,
}

/// What happened on a day.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DayCount {
    /// The day, such as `2026-03-01`.
    pub day: String,
    /// Records that were made.
    pub created: u64,
    /// Records that were deleted.
    pub deleted: u64,
}
