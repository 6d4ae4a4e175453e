//! The JSON forms of the HTTP interface below `/api/`, apart from records, values and sites, which
//! have theirs in `guantong_proto::json`.
//!
//! Field names and their order are those of Handle.Net, so that its clients read them.

use serde::Serialize;

/// An answer that something did not work.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorAnswer<'a> {
    /// The response code of the protocol.
    pub response_code: i32,
    /// The cause, and what to do about it.
    pub message: &'a str,
    /// The handle in question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handle: Option<&'a str>,
    /// The number under which the log of the node knows the request.
    pub request_id: &'a str,
}

/// An answer that another service holds the record. `V` writes the values.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReferralAnswer<V> {
    /// 302 or 303.
    pub response_code: i32,
    /// The handle whose values say who answers; left out if the values are here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub referral_handle: Option<String>,
    /// The values that say who answers.
    pub values: Vec<V>,
}

/// The handles of a prefix.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HandlesAnswer {
    /// 1.
    pub response_code: i32,
    /// The prefix as it was asked for.
    pub prefix: String,
    /// Number of all handles; a text, since it may not fit the numbers of a script.
    pub total_count: String,
    /// Number of the page, from 0.
    pub page: i64,
    /// Handles of a page; negative if all were asked for.
    pub page_size: i64,
    /// The handles of the page.
    pub handles: Vec<String>,
}

/// The homed prefixes.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PrefixesAnswer {
    /// 1.
    pub response_code: i32,
    /// Number of prefixes, as text.
    pub total_count: String,
    /// Their prefix handles.
    pub prefixes: Vec<String>,
}

/// The site record of the node. `S` writes it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SiteAnswer<S> {
    /// 1.
    pub response_code: i32,
    /// The record.
    pub site: S,
}
