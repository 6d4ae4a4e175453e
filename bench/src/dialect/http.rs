//! The JSON API over HTTP/1.1 (clause 8): one record per request, connections kept.

use memchr::memmem;

use super::{Dialect, Verdict};
use crate::corpus::{self, Table};

/// Lines of a head that are looked at.
const HEADERS_MAX: usize = 32;

/// `GET /api/handles/{handle}`.
#[derive(Debug)]
pub struct Json {
    questions: Table,
    /// How the body names the handle.
    names: Table,
    /// The data of the first and the last value.
    first: Table,
    last: Table,
}

impl Json {
    /// Questions for records 0 to `count`.
    pub fn new(count: u32) -> Self {
        let name = |n| format!("\"handle\":\"{}\"", corpus::handle(n)).into_bytes();
        let text = |n: u32, at: usize| corpus::texts(n)[at].1.clone().into_bytes();
        Self {
            questions: Table::new(count, question),
            names: Table::new(count, name),
            first: Table::new(count, |n| text(n, 0)),
            last: Table::new(count, |n| text(n, 3)),
        }
    }
}

impl Dialect for Json {
    fn ask(&self, n: u32, _: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(self.questions.piece(n));
    }

    fn id_bits(&self) -> u32 {
        0
    }

    fn id(&self, _: &[u8]) -> Option<u32> {
        None
    }

    fn judge(&self, n: u32, _: u32, octets: &[u8]) -> Verdict {
        judge(octets, |body| {
            [&self.names, &self.first, &self.last]
                .iter()
                .all(|table| memmem::find(body, table.piece(n)).is_some())
        })
    }
}

/// The request for record `n`.
pub(super) fn question(n: u32) -> Vec<u8> {
    let path = corpus::handle(n);
    format!("GET /api/handles/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n")
        .into_bytes()
}

/// Judges an answer with status 200 by its body. Bodies in chunks are not understood, and wrong.
pub(super) fn judge(octets: &[u8], is_body: impl FnOnce(&[u8]) -> bool) -> Verdict {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let head_len = match head.parse(octets) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Verdict::Incomplete,
        Err(_) => return Verdict::Wrong,
    };
    if head.code != Some(200) {
        return Verdict::Wrong;
    }
    let body_len = head
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| {
            std::str::from_utf8(header.value)
                .ok()?
                .parse::<usize>()
                .ok()
        });
    let Some(end) = body_len.and_then(|len| len.checked_add(head_len)) else {
        return Verdict::Wrong;
    };
    match octets.get(head_len..end) {
        None => Verdict::Incomplete,
        Some(body) if is_body(body) => Verdict::Right(end),
        Some(_) => Verdict::Wrong,
    }
}

#[cfg(test)]
mod tests {
    use super::Json;
    use crate::corpus;
    use crate::dialect::{Dialect, Verdict};

    fn answer(n: u32) -> Vec<u8> {
        let body = corpus::json_line(n);
        let len = body.len();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n{body}").into_bytes()
    }

    #[test]
    fn answer_of_another_record_is_wrong() {
        let dialect = Json::new(3);
        assert_eq!(dialect.judge(1, 0, &answer(2)), Verdict::Wrong);
        let right = answer(1);
        assert_eq!(dialect.judge(1, 0, &right), Verdict::Right(right.len()));
    }

    #[test]
    fn error_is_wrong_and_a_beginning_incomplete() {
        let dialect = Json::new(2);
        let refused = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(dialect.judge(1, 0, refused), Verdict::Wrong);
        let right = answer(1);
        for len in 0..right.len() {
            assert_eq!(
                dialect.judge(1, 0, &right[..len]),
                Verdict::Incomplete,
                "{len}"
            );
        }
    }
}
