//! The JSON forms of the HTTP interface below `/api/`, apart from records, values and sites, which
//! have theirs in `guantong_proto::json`.
//!
//! Field names and their order are those of Handle.Net, so that its clients read them.

use serde::Serialize;

/// An answer that something did not work. `S` writes the state of a record.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorAnswer<'a, S> {
    /// The response code of the protocol.
    pub response_code: i32,
    /// The cause, and what to do about it.
    pub message: &'a str,
    /// The handle in question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handle: Option<&'a str>,
    /// Why the record is withdrawn, and what took its place, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<S>,
    /// The number under which the log of the node knows the request.
    pub request_id: &'a str,
}

/// A record. `R` writes what it is and its values.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordAnswer<R> {
    /// The record.
    #[serde(flatten)]
    pub record: R,
    /// Whether values were asked for and left out, since the caller may not read them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub withheld: bool,
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

/// An answer that a change was made.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangedAnswer<'a> {
    /// 1.
    pub response_code: i32,
    /// The handle that was changed; of a minted one, its whole name.
    pub handle: &'a str,
    /// In a dry run what the change would do: the record would be `created`, `changed` or
    /// `deleted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub would_be: Option<&'static str>,
}

/// Whether an answer by secret key is right.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerificationAnswer<'a> {
    /// 1.
    pub response_code: i32,
    /// Whether it is.
    pub is_valid: bool,
    /// The handle of the key.
    pub handle: &'a str,
}

/// The state of a session of the HTTP interface.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionAnswer {
    /// Names the session.
    pub session_id: String,
    /// What the client signs together with a nonce of its own; base64.
    pub nonce: String,
    /// Whether somebody was proven in it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub authenticated: bool,
    /// Who was proven, `index:handle`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The digest of the node's own signature over both nonces, if the client has sent one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_alg: Option<&'static str>,
    /// That signature; base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_signature: Option<String>,
    /// Why a proof was not taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
