//! The JSON API over HTTP/1.1 (clause 8): one record per request, connections kept.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hashbrown::DefaultHashBuilder;
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
    /// The data of each value. They are a table each, since they differ in length.
    data: Vec<Table>,
    /// The body that was found right last for each record, as a number; 0 where there is none yet.
    /// Looking for all pieces takes the client longer than an answer takes a server.
    right: Vec<AtomicU64>,
    hasher: DefaultHashBuilder,
}

impl Json {
    /// Questions for records 0 to `count`.
    pub fn new(count: u32) -> Self {
        Self::with_values(count, corpus::VALUES)
    }

    /// The same, for records that have so many values.
    pub fn with_values(count: u32, values: usize) -> Self {
        let name = |n| format!("\"handle\":\"{}\"", corpus::handle(n)).into_bytes();
        let text = |n: u32, at: usize| corpus::text(n, at).into_bytes();
        Self {
            questions: Table::new(count, question),
            names: Table::new(count, name),
            data: (0..values)
                .map(|at| Table::new(count, |n| text(n, at)))
                .collect(),
            right: (0..count).map(|_| AtomicU64::new(0)).collect(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    /// Whether the body is that of record `n`: the same as one that was, or it has all its pieces.
    fn is_body(&self, n: u32, body: &[u8]) -> bool {
        let number = self.hasher.hash_one(body) | 1;
        let right = &self.right[n as usize];
        if right.load(Relaxed) == number {
            return true;
        }
        let mut wanted = [&self.names].into_iter().chain(&self.data);
        let is_right = wanted.all(|table| memmem::find(body, table.piece(n)).is_some());
        if is_right {
            right.store(number, Relaxed);
        }
        is_right
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
        judge(octets, |body| self.is_body(n, body))
    }
}

/// The request for record `n`.
pub(super) fn question(n: u32) -> Vec<u8> {
    let path = corpus::handle(n);
    format!("GET /api/handles/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n")
        .into_bytes()
}

/// Judges an answer with status 200 by its body, which has a length or comes in chunks.
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
    if is_chunked(head.headers) {
        return judge_chunks(octets, head_len, is_body);
    }
    let Some(end) = body_len.and_then(|len| len.checked_add(head_len)) else {
        return Verdict::Wrong;
    };
    match octets.get(head_len..end) {
        None => Verdict::Incomplete,
        Some(body) if is_body(body) => Verdict::Right(end),
        Some(_) => Verdict::Wrong,
    }
}

fn is_chunked(headers: &[httparse::Header<'_>]) -> bool {
    headers.iter().any(|header| {
        header.name.eq_ignore_ascii_case("transfer-encoding")
            && header.value.eq_ignore_ascii_case(b"chunked")
    })
}

/// Puts the chunks together (RFC 9112, 7.1). Trailers are not understood, and wrong.
fn judge_chunks(octets: &[u8], mut at: usize, is_body: impl FnOnce(&[u8]) -> bool) -> Verdict {
    let mut body = Vec::new();
    loop {
        let rest = octets.get(at..).unwrap_or_default();
        let (line_len, len) = match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete(found)) => found,
            Ok(httparse::Status::Partial) => return Verdict::Incomplete,
            Err(_) => return Verdict::Wrong,
        };
        let start = at + line_len;
        let end = usize::try_from(len)
            .ok()
            .and_then(|len| start.checked_add(len))
            .filter(|end| *end < usize::MAX - 2);
        let Some(end) = end else {
            return Verdict::Wrong;
        };
        match octets.get(end..end + 2) {
            None => return Verdict::Incomplete,
            Some(b"\r\n") => {}
            Some(_) => return Verdict::Wrong,
        }
        body.extend_from_slice(&octets[start..end]);
        at = end + 2;
        if len == 0 {
            return match is_body(&body) {
                true => Verdict::Right(at),
                false => Verdict::Wrong,
            };
        }
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
    fn changed_value_is_noticed() {
        let dialect = Json::new(3);
        let right = answer(1);
        assert_eq!(dialect.judge(1, 0, &right), Verdict::Right(right.len()));
        for (kind, text) in corpus::texts(1) {
            let other = String::from_utf8(answer(1)).unwrap();
            let other = other.replacen(&text, &"?".repeat(text.len()), 1);
            assert_eq!(
                dialect.judge(1, 0, other.as_bytes()),
                Verdict::Wrong,
                "{kind}"
            );
        }
    }

    #[test]
    fn changed_last_of_many_values_is_noticed() {
        let dialect = Json::with_values(2, 64);
        let body = corpus::json_line_of(1, 64);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        let right = format!("{head}{body}").into_bytes();
        assert_eq!(dialect.judge(1, 0, &right), Verdict::Right(right.len()));
        let last = corpus::text(1, 63);
        let other = body.replacen(&last, &"?".repeat(last.len()), 1);
        let wrong = format!("{head}{other}").into_bytes();
        assert_eq!(dialect.judge(1, 0, &wrong), Verdict::Wrong);
    }

    #[test]
    fn chunks_are_put_together() {
        let dialect = Json::new(3);
        let line = corpus::json_line(1);
        let (one, two) = line.as_bytes().split_at(50);
        let mut right = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for part in [one, two, b""] {
            right.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
            right.extend_from_slice(part);
            right.extend_from_slice(b"\r\n");
        }
        assert_eq!(dialect.judge(1, 0, &right), Verdict::Right(right.len()));
        assert_eq!(dialect.judge(2, 0, &right), Verdict::Wrong);
        for len in 0..right.len() {
            let verdict = dialect.judge(1, 0, &right[..len]);
            assert_eq!(verdict, Verdict::Incomplete, "{len}");
        }
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
