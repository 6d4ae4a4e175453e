//! The short way for the request that a node gets most: a public record of its own, as JSON.
//!
//! It decides nothing by itself and answers nothing but success. Whatever asks for more than the
//! plain record, or is not answered with it, goes the long way, which gives the same answer.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::body::{Body, Bytes};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, ETAG, ORIGIN};
use axum::http::{HeaderValue, Method, Request, StatusCode};
use axum::response::Response;
use guantong_core::authority::{self, Outcome, Query};
use guantong_proto::json::write_record;
use guantong_proto::message::ResponseCode;

use super::{NOSNIFF, REQUEST_ID};
use crate::node::{Node, view};

/// Where records are.
const RECORDS: &str = "/api/handles/";
const JSON: HeaderValue = HeaderValue::from_static("application/json;charset=UTF-8");
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
const IS_NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
/// Octets of an answer for which room is made at first; most records need fewer.
const ANSWER_LEN: usize = 1024;

/// Numbers of requests: where they begin is random, so that those of two runs of a node differ.
#[derive(Debug)]
pub(crate) struct RequestIds(AtomicU64);

impl RequestIds {
    pub(crate) fn from(begin: u64) -> Self {
        Self(AtomicU64::new(begin))
    }

    /// The next one, as it is shown.
    pub(super) fn next(&self) -> String {
        format!("{:016x}", self.0.fetch_add(1, Relaxed))
    }
}

/// The answer, if it can be given the short way.
pub(crate) fn answer<B>(node: &Node, request: &Request<B>) -> Option<Response> {
    let uri = request.uri();
    let name = uri.path().strip_prefix(RECORDS)?;
    let headers = request.headers();
    let is_plain = request.method() == Method::GET
        && uri.query().is_none()
        && !name.is_empty()
        && !name.contains('%')
        && !headers.contains_key(AUTHORIZATION)
        && !headers.contains_key(ORIGIN);
    if !is_plain {
        return None;
    }
    let found = authority::resolve_with(
        &node.site(),
        Query::public(name),
        |key| node.store.get(key),
        view,
        |outcome, record| match (outcome, record) {
            (Outcome::Record(values), Some(record)) => {
                let mut text = Vec::with_capacity(ANSWER_LEN);
                write_record(ResponseCode::SUCCESS.0, name, values.iter(), &mut text);
                Some((text, record.version()))
            }
            _ => None,
        },
    );
    // What goes wrong is said on the long way.
    let (text, version) = found.ok()???;
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.reserve(6);
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(CACHE_CONTROL, NO_CACHE);
    headers.insert(NOSNIFF, IS_NOSNIFF);
    let shared = |text: String| HeaderValue::from_maybe_shared(Bytes::from(text)).ok();
    headers.insert(REQUEST_ID, shared(node.request_ids.next())?);
    headers.insert(ETAG, shared(format!("\"{version}\""))?);
    Some(response)
}
