//! The short way for the request that a node gets most: a public record of its own, as JSON.
//!
//! It decides nothing by itself and answers nothing but success. Whatever asks for more than the
//! plain record, or is not answered with it, goes the long way, which gives the same answer.
//!
//! [`write`] makes octets, for connections in clear that do nothing else; [`answer`] makes the
//! response that hyper sends, for HTTPS, HTTP/2 and connections that once needed more.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::body::{Body, Bytes};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, ETAG, ORIGIN};
use axum::http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use axum::response::Response;
use guantong_core::authority::{self, Outcome, Query, Site};
use guantong_proto::json::{Extent, write_record};
use guantong_proto::message::ResponseCode;
use guantong_store::StoredRecord;

use super::{NOSNIFF, REQUEST_ID};
use crate::node::{Node, Unread, view};

/// Where records are.
const RECORDS: &str = "/api/handles/";
/// Headers that all answers of the short way have.
const HEADERS: [(HeaderName, &str); 3] = [
    (CONTENT_TYPE, "application/json;charset=UTF-8"),
    (CACHE_CONTROL, "no-cache"),
    (NOSNIFF, "nosniff"),
];
/// What all answers begin with, up to the number of their request.
static BEGIN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let lines = HEADERS.map(|(name, value)| format!("{name}: {value}\r\n"));
    format!("HTTP/1.1 200 OK\r\n{}{REQUEST_ID}: ", lines.concat()).into_bytes()
});
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
        self.next_octets().into_iter().map(char::from).collect()
    }

    fn next_octets(&self) -> [u8; 16] {
        let number = self.0.fetch_add(1, Relaxed);
        std::array::from_fn(|at| {
            let digit = number >> (60 - 4 * at) & 0xf;
            b"0123456789abcdef"[digit as usize]
        })
    }
}

/// What to do about a record that is probably on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disk {
    /// Do not read it: others would wait, too.
    Avoid,
    /// Read it.
    Wait,
}

/// What became of a request the short way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quick {
    /// Its answer is written.
    Written,
    /// It can be answered after a read of the disk.
    OnDisk,
    /// It takes the long way.
    Otherwise,
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
    let mut text = Vec::with_capacity(ANSWER_LEN);
    let version = record(node, &node.site(), Disk::Avoid, name, &mut text).ok()?;
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.reserve(6);
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let shared = |text: String| HeaderValue::from_maybe_shared(Bytes::from(text)).ok();
    headers.insert(REQUEST_ID, shared(node.request_ids.next())?);
    headers.insert(ETAG, shared(format!("\"{version}\""))?);
    Some(response)
}

/// Appends to `out` the octets of the answer to a plain GET of a record over HTTP/1.1, as hyper
/// writes them. Unless it is written the short way, `out` is left as it was.
///
/// `date` is the time as HTTP writes it, and `text` a buffer to use again.
pub(crate) fn write(
    node: &Node,
    site: &Site,
    disk: Disk,
    name: &str,
    date: &str,
    text: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Quick {
    text.clear();
    match record(node, site, disk, name, text) {
        Ok(version) => append(node, version, date, text, out),
        Err(unwritten) => return unwritten,
    }
    Quick::Written
}

/// The same with a record that is at hand, the one that answers for the name; says whether it is
/// written.
pub(crate) fn write_at_hand(
    node: &Node,
    record: &StoredRecord,
    name: &str,
    date: &str,
    text: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> bool {
    let whole = view(record).whole();
    if let Some(values) = &whole {
        text.clear();
        let code = ResponseCode::SUCCESS.0;
        write_record(code, name, values.iter(), Extent::Whole, text);
        append(node, record.version(), date, text, out);
    }
    whole.is_some()
}

/// Appends a whole answer.
fn append(node: &Node, version: u64, date: &str, text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&BEGIN);
    out.extend_from_slice(&node.request_ids.next_octets());
    out.extend_from_slice(b"\r\netag: \"");
    number(version, out);
    out.extend_from_slice(b"\"\r\ncontent-length: ");
    number(text.len() as u64, out);
    out.extend_from_slice(b"\r\ndate: ");
    out.extend_from_slice(date.as_bytes());
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(text);
}

/// Appends a number in decimal; the machinery of `format!` would take several times as long.
fn number(number: u64, out: &mut Vec<u8>) {
    // A vector takes everything, and a number is JSON.
    let written = serde_json::to_writer(out, &number);
    debug_assert!(written.is_ok(), "{written:?}");
}

/// Appends the record of a name as JSON and gives its version, if the public may read it here.
fn record(
    node: &Node,
    site: &Site,
    disk: Disk,
    name: &str,
    text: &mut Vec<u8>,
) -> Result<u64, Quick> {
    let found = authority::resolve_with(
        site,
        Query::public(name),
        |key| match disk {
            Disk::Avoid => node.at_hand(key),
            Disk::Wait => node.read(key).map_err(Unread::Failed),
        },
        view,
        |outcome, record| match (outcome, record) {
            (Outcome::Record(values), Some(record)) => {
                let extent = match values.withholds() {
                    true => Extent::Part,
                    false => Extent::Whole,
                };
                write_record(ResponseCode::SUCCESS.0, name, values.iter(), extent, text);
                Some(record.version())
            }
            _ => None,
        },
    );
    match found {
        Ok(Some(version)) => version.ok_or(Quick::Otherwise),
        Err(Unread::OnDisk) => Err(Quick::OnDisk),
        // What goes wrong is said on the long way.
        Ok(None) | Err(Unread::Failed(_)) => Err(Quick::Otherwise),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_of_a_request_has_sixteen_digits() {
        for (begin, shown) in [
            (0, "0000000000000000"),
            (0x0123_4567_89ab_cdef, "0123456789abcdef"),
            (u64::MAX, "ffffffffffffffff"),
        ] {
            let ids = RequestIds::from(begin);
            assert_eq!(ids.next(), shown);
            // After the last number comes the first.
            assert_eq!(ids.next(), format!("{:016x}", begin.wrapping_add(1)));
        }
    }
}
