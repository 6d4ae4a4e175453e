//! Plain requests over HTTP/1.1, as far as they can be answered at once.
//!
//! `GET /api/handles/NAME` without a body and without anything that could change the answer, or its
//! place among others, is answered here. Whatever is unusual about a request, however slightly, is
//! for [`hyper`](crate::listen::http): here nothing is refused and nothing is interpreted in a way
//! that could be another one than there. So a front end and the node see the same requests.

use std::net::SocketAddr;

use httparse::{Header, Request, Status};

use super::worker::{Buffers, Moment};
use super::{Step, Then};
use crate::http::{Disk, Quick, write_quick_answer};
use crate::listen::tcp::WRITE_AT;

/// What the octets of a plain request begin with.
const BEGIN: &[u8] = b"GET /api/handles/";
/// What stands behind the name in the first line of a plain request.
const VERSION: &[u8] = b" HTTP/1.1\r\n";
/// Octets of lines that are remembered; with more, each request is read anew.
const KNOWN_MAX: usize = 2 * 1024;
/// Lines of a plain request; browsers send some fifteen.
const LINES_MAX: usize = 32;
/// Lines that ask for something, or say where a request ends. Their requests are not plain.
const UNUSUAL: [&str; 10] = [
    "authorization",
    "content-length",
    "expect",
    "http2-settings",
    "origin",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Answers the requests that the octets begin with.
pub(super) fn step(
    octets: &[u8],
    peer: SocketAddr,
    moment: &Moment<'_>,
    buffers: &mut Buffers,
) -> Step {
    let (mut used, mut count) = (0, 0);
    loop {
        let then = match octets.get(used..).unwrap_or_default() {
            _ if buffers.out.len() >= WRITE_AT => Then::Write,
            [] => Then::Keep,
            left => match Plain::read(left, &mut buffers.lines) {
                Read::Plain(plain) => match answer(&plain, peer, moment, buffers) {
                    Quick::Written => {
                        used += plain.len;
                        count += 1;
                        continue;
                    }
                    Quick::OnDisk => Then::Read { len: plain.len },
                    Quick::Otherwise => Then::HandOver { owed: 0 },
                },
                Read::Incomplete => Then::Keep,
                Read::Unusual => Then::HandOver { owed: 0 },
            },
        };
        return Step { used, count, then };
    }
}

/// Answers a request, unless that takes more than success, or its address asks too fast.
fn answer(
    plain: &Plain<'_>,
    peer: SocketAddr,
    moment: &Moment<'_>,
    buffers: &mut Buffers,
) -> Quick {
    let Moment { node, limits, .. } = moment;
    let Buffers { out, body, .. } = buffers;
    let start = out.len();
    let (site, date) = (moment.site, moment.date);
    let quick = write_quick_answer(node, site, Disk::Avoid, plain.name, date, body, out);
    if quick != Quick::Written {
        return quick;
    }
    // Counted last: what is not answered here will be counted there.
    if !node.requests.admits(peer.ip(), limits, moment.now_ms) {
        out.truncate(start);
        return Quick::Otherwise;
    }
    node.metrics.http(200);
    Quick::Written
}

//----------- Plain ----------------------------------------------------------

/// A plain request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plain<'a> {
    /// The name that is asked for.
    pub(super) name: &'a str,
    /// Octets of the request.
    pub(super) len: usize,
}

/// What octets begin with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read<'a> {
    Plain(Plain<'a>),
    /// What may become a plain request.
    Incomplete,
    /// Something else.
    Unusual,
}

impl<'a> Plain<'a> {
    /// What octets begin with. `lines` are for requests that follow each other.
    pub(super) fn read(octets: &'a [u8], lines: &mut KnownLines) -> Read<'a> {
        if let Some(plain) = lines.read(octets) {
            return Read::Plain(plain);
        }
        let read = Self::read_anew(octets);
        if let Read::Plain(plain) = &read {
            let before = BEGIN.len() + plain.name.len() + VERSION.len();
            lines.note(octets.get(before..plain.len).unwrap_or_default());
        }
        read
    }

    fn read_anew(octets: &'a [u8]) -> Read<'a> {
        if !octets.starts_with(BEGIN) {
            return match BEGIN.starts_with(octets) {
                true => Read::Incomplete,
                false => Read::Unusual,
            };
        }
        let mut lines = [httparse::EMPTY_HEADER; LINES_MAX];
        let mut request = Request::new(&mut lines);
        let len = match request.parse(octets) {
            Ok(Status::Complete(len)) => len,
            Ok(Status::Partial) => return Read::Incomplete,
            Err(_) => return Read::Unusual,
        };
        let head = octets.get(..len).unwrap_or_default();
        let is_plain =
            request.version == Some(1) && has_plain_ends(head) && are_plain(request.headers);
        match request.path.and_then(name).filter(|_| is_plain) {
            Some(name) => Read::Plain(Plain { name, len }),
            None => Read::Unusual,
        }
    }

    /// The name in the octets of a plain request, and nothing behind it.
    pub(super) fn name_in(octets: &'a [u8], name_len: usize) -> Option<&'a str> {
        let name = octets.get(BEGIN.len()..BEGIN.len() + name_len)?;
        std::str::from_utf8(name).ok()
    }
}

/// The name in a path, if it is one that no reader would take for another.
fn name(path: &str) -> Option<&str> {
    let name = path.strip_prefix("/api/handles/")?;
    (!name.is_empty() && plain_len(name.as_bytes()) == name.len()).then_some(name)
}

/// How many octets there are in front of the first that is not one of the characters that a segment
/// of a path has without escapes (RFC 3986, clause 3.3), or the slash.
fn plain_len(octets: &[u8]) -> usize {
    let is_plain = |c: &u8| c.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(c);
    octets.iter().take_while(|&c| is_plain(c)).count()
}

//----------- KnownLines -----------------------------------------------------

/// The lines below the first of the last plain request, with the empty one. A client sends the same
/// lines with every request, and many clients send the same; what has been found plain once need
/// only be compared.
#[derive(Debug, Default)]
pub(super) struct KnownLines(Vec<u8>);

impl KnownLines {
    /// The plain request that octets begin with, if its lines are the known ones.
    fn read<'a>(&self, octets: &'a [u8]) -> Option<Plain<'a>> {
        let name_len = plain_len(octets.strip_prefix(BEGIN)?);
        let (begin, lines) = octets.split_at_checked(BEGIN.len() + name_len + VERSION.len())?;
        let is_known = name_len > 0
            && begin.ends_with(VERSION)
            && !self.0.is_empty()
            && lines.starts_with(&self.0);
        let name = Plain::name_in(octets, name_len).filter(|_| is_known)?;
        Some(Plain {
            name,
            len: begin.len() + self.0.len(),
        })
    }

    fn note(&mut self, lines: &[u8]) {
        if lines.len() <= KNOWN_MAX {
            self.0.clear();
            self.0.extend_from_slice(lines);
        }
    }
}

/// Whether every line ends with both octets that end a line (RFC 9112, clause 2.2, lets recipients
/// take one for it).
fn has_plain_ends(head: &[u8]) -> bool {
    let mut before = 0;
    head.iter().all(|&octet| {
        let is_plain = (octet == b'\n') == (before == b'\r');
        before = octet;
        is_plain
    })
}

/// Whether the lines say nothing but where the request goes, and what cannot change its answer.
fn are_plain(lines: &[Header<'_>]) -> bool {
    let mut hosts = 0;
    let are_plain = lines.iter().all(|line| {
        let is = |name: &&str| line.name.eq_ignore_ascii_case(name);
        hosts += usize::from(is(&"host"));
        match is(&"connection") {
            true => line.value.eq_ignore_ascii_case(b"keep-alive"),
            false => !UNUSUAL.iter().any(is),
        }
    });
    are_plain && hosts == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(lines: &str) -> String {
        format!("GET /api/handles/88.118.5/x HTTP/1.1\r\n{lines}\r\n")
    }

    fn read(octets: &[u8]) -> Read<'_> {
        Plain::read_anew(octets)
    }

    fn is_plain(request: &str) -> bool {
        matches!(read(request.as_bytes()), Read::Plain(_))
    }

    #[test]
    fn plain_request_is_read_with_its_end() {
        let one = request("host: a:8000\r\nAccept: */*\r\nConnection: Keep-Alive\r\n");
        let plain = Plain {
            name: "88.118.5/x",
            len: one.len(),
        };
        assert_eq!(read(one.as_bytes()), Read::Plain(plain));
        let two = format!("{one}{one}");
        assert!(is_plain(&two) && is_plain(&two[one.len()..]));
    }

    #[test]
    fn beginning_of_a_plain_request_is_incomplete() {
        let whole = request("Host: a\r\nAccept: */*\r\n");
        for len in 0..whole.len() {
            assert_eq!(read(&whole.as_bytes()[..len]), Read::Incomplete, "{len}");
        }
    }

    /// Every octet replaced by every other, every truncation, and another request behind it.
    #[test]
    fn request_with_known_lines_is_read_as_anew() {
        let mut lines = KnownLines::default();
        let one = request("Host: a\r\nAccept: */*\r\n");
        assert_eq!(lines.read(one.as_bytes()), None);
        let noted = Plain::read(one.as_bytes(), &mut lines);
        assert_eq!(noted, read(one.as_bytes()));
        assert!(lines.read(one.as_bytes()).is_some());
        let same = |octets: &[u8]| {
            if let Some(plain) = lines.read(octets) {
                let text = String::from_utf8_lossy(octets);
                assert_eq!(Read::Plain(plain), read(octets), "{text}");
            }
        };
        same(format!("{one}{one}").as_bytes());
        for at in 0..one.len() {
            same(&one.as_bytes()[..at]);
            for octet in 0..=u8::MAX {
                let mut altered = one.clone().into_bytes();
                altered[at] = octet;
                same(&altered);
                altered.insert(at, octet);
                same(&altered);
            }
        }
    }

    #[test]
    fn lines_that_are_too_many_to_keep_leave_the_known_ones() {
        let mut lines = KnownLines::default();
        let one = request("Host: a\r\n");
        let long = request(&format!("Host: a\r\nA: {}\r\n", "b".repeat(KNOWN_MAX)));
        for text in [&one, &long] {
            let noted = Plain::read(text.as_bytes(), &mut lines);
            assert!(matches!(noted, Read::Plain(_)));
        }
        assert!(lines.read(one.as_bytes()).is_some());
        assert!(lines.read(long.as_bytes()).is_none());
    }

    #[test]
    fn line_that_asks_for_more_makes_a_request_unusual() {
        let host = "Host: a\r\n";
        for name in UNUSUAL {
            let line = format!("{}: x\r\n", name.to_uppercase());
            assert!(!is_plain(&request(&format!("{host}{line}"))), "{line}");
        }
        for line in [
            "Connection: close\r\n",
            "Connection: keep-alive, x\r\n",
            "Host: a\r\n",
            "Content-Length: 0\r\n",
            "Content-Length : 0\r\n",
            "A: b\r\n c\r\n",
            "A: b\0\r\n",
            "A: b\rc\r\n",
            "A: b\n",
            "A\r\n",
            ": b\r\n",
        ] {
            assert!(!is_plain(&request(&format!("{host}{line}"))), "{line}");
        }
        assert!(!is_plain(&request("")));
        let many = "A: b\r\n".repeat(LINES_MAX);
        assert!(is_plain(&request(&format!("{host}{}", &many[6..]))));
        assert!(!is_plain(&request(&format!("{host}{many}"))));
    }

    #[test]
    fn other_requests_are_unusual() {
        for line in [
            "GET /api/handles/88.118.5/x HTTP/1.0",
            "GET /api/handles/88.118.5/x HTTP/2.0",
            "GET /api/handles/88.118.5/x",
            "GET /api/handles/88.118.5/x  HTTP/1.1",
            "GET /api/handles/ HTTP/1.1",
            "GET /api/handles/88.118.5/%78 HTTP/1.1",
            "GET /api/handles/88.118.5/x? HTTP/1.1",
            "GET /api/handles/88.118.5/x#y HTTP/1.1",
            "GET /api/handles/88.118.5/\\x HTTP/1.1",
            "GET /api/handles/88.118.5/\u{4e2d} HTTP/1.1",
            "GET /api/handles/88.118.5/<x> HTTP/1.1",
            "GET /88.118.5/x HTTP/1.1",
            "GET http://a/api/handles/88.118.5/x HTTP/1.1",
            "HEAD /api/handles/88.118.5/x HTTP/1.1",
            "get /api/handles/88.118.5/x HTTP/1.1",
            "PRI * HTTP/2.0",
            "\r\nGET /api/handles/88.118.5/x HTTP/1.1",
            "\u{16}\u{3}\u{1}",
        ] {
            let request = format!("{line}\r\nHost: a\r\n\r\n");
            assert_eq!(read(request.as_bytes()), Read::Unusual, "{line}");
        }
    }
}
