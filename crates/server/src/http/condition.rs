//! Optimistic concurrency: what the record must be for a change to happen (RFC 9110, clauses 13.1.1
//! and 13.1.2), and the tag of what was read.
//!
//! The tag of a record is its version, the number of the change that wrote it. The condition is
//! checked in the same step as the change, so of two clients that have read the same version one
//! succeeds.

use axum::http::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use guantong_core::admin::Expected;
use guantong_proto::HandleRef;
use guantong_proto::message::ResponseCode;

use super::answer::Failure;
use super::asked::Asked;
use crate::node::Node;

/// The condition of a change; `None` if there is none.
pub(super) fn of(asked: &Asked) -> Option<Expected> {
    parse(asked).ok().flatten()
}

/// Refuses a condition that cannot be read: to ignore it would be to overwrite somebody's change.
pub(super) fn check(asked: &Asked) -> Result<(), Failure> {
    parse(asked).map(drop)
}

fn parse(asked: &Asked) -> Result<Option<Expected>, Failure> {
    let malformed = |what: &str, form: &str| {
        let message = format!("{what} must be {form}");
        Failure::new(ResponseCode::PROTOCOL_ERROR, message)
    };
    let tag = "the ETag of the record as it was read, one and strong, such as \"42\"";
    if let Some(version) = asked.params.first("ifVersion") {
        let version = version.parse();
        let version = version.map_err(|_| malformed("`ifVersion`", "a version, such as 42"))?;
        return Ok(Some(Expected::Version(version)));
    }
    match (asked.header(IF_MATCH), asked.header(IF_NONE_MATCH)) {
        (Some(header), _) => {
            let digits = header
                .trim()
                .strip_prefix('"')
                .and_then(|h| h.strip_suffix('"'));
            let version = digits.and_then(|digits| digits.parse().ok());
            let version = version.ok_or_else(|| malformed("`If-Match`", tag))?;
            Ok(Some(Expected::Version(version)))
        }
        (None, Some(header)) if header.trim() == "*" => Ok(Some(Expected::Absent)),
        (None, Some(_)) if !asked.method.is_safe() => {
            Err(malformed("`If-None-Match` of a change", "*, for no record"))
        }
        (None, _) => Ok(None),
    }
}

/// The version of a record of ours, read before its values are: should it change in between, a
/// change on the condition of this version fails, and nothing is overwritten.
pub(super) fn version(node: &Node, handle: &str) -> Option<u64> {
    let handle = HandleRef::parse(handle).ok()?;
    let record = node.store.record(handle).ok()??;
    Some(record.version())
}

/// The answer with the tag of the version, or that it is what the caller knows by that tag (RFC
/// 9110, 13.1.2). For what everybody sees alike as long as the record is what it is.
pub(super) fn known(asked: &Asked, answer: Response, version: Option<u64>) -> Response {
    let tagged = tagged(answer, version);
    let tag = tagged.headers().get(ETAG).and_then(|tag| tag.to_str().ok());
    let known = asked.header(IF_NONE_MATCH).unwrap_or_default();
    let is_known = tag.is_some_and(|tag| {
        let mut known = known
            .split(',')
            .map(|known| known.trim().trim_start_matches("W/"));
        known.any(|known| known == tag)
    });
    match is_known {
        true => {
            let mut answer = StatusCode::NOT_MODIFIED.into_response();
            answer
                .headers_mut()
                .extend(tagged.headers().get(ETAG).cloned().map(|tag| (ETAG, tag)));
            answer
        }
        false => tagged,
    }
}

/// The answer with the tag of the version.
pub(super) fn tagged(mut answer: Response, version: Option<u64>) -> Response {
    let tag = version.and_then(|version| HeaderValue::from_str(&format!("\"{version}\"")).ok());
    if let Some(tag) = tag {
        answer.headers_mut().insert(ETAG, tag);
    }
    answer
}
