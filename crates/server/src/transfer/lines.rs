//! Lines of a long input, with a bounded length each, and a digest of all that was consumed.
//!
//! Whoever resumes an import wants to know that the part that was imported is still the part in
//! front of the mark. [`Lines`] therefore hashes every octet that it hands out or skips, and can
//! tell the digest at the end of any line.

use std::io::{self, BufRead, Read};

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

/// Octets that mark UTF-8 text at the start of a file, as some editors write them.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

//----------- Mark -----------------------------------------------------------

/// A place between two lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Number of lines in front of it.
    pub lines: u64,
    /// Number of octets in front of it.
    pub octets: u64,
    /// SHA-256 of those octets, in hexadecimal digits; empty at the start of the input.
    pub digest: String,
}

/// A place between two lines whose digest has not been finished.
pub(super) struct Place {
    lines: u64,
    octets: u64,
    digest: Context,
}

impl From<Place> for Mark {
    fn from(place: Place) -> Self {
        Self {
            lines: place.lines,
            octets: place.octets,
            digest: match place.octets {
                0 => String::new(),
                _ => hex(place.digest.finish().as_ref()),
            },
        }
    }
}

impl Place {
    /// A place in an order that is not the input's: nobody can skip to it.
    pub(super) fn in_other_order(lines: u64, octets: u64) -> Self {
        Self {
            lines,
            octets,
            digest: Context::new(&SHA256),
        }
    }
}

//----------- Line -----------------------------------------------------------

/// What a line is.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// Its text without the line end; never blank.
    Text(&'a [u8]),
    /// More octets than a line may have; they were skipped.
    TooLong {
        /// How many it has.
        octets: u64,
    },
}

//----------- Lines ----------------------------------------------------------

/// Reads lines.
pub struct Lines<R> {
    input: R,
    line_len_max: usize,
    text: Vec<u8>,
    lines: u64,
    octets: u64,
    digest: Context,
}

impl<R: BufRead> Lines<R> {
    /// Reads `input` from its start; no line may have more than `line_len_max` octets.
    pub fn new(input: R, line_len_max: usize) -> Self {
        Self {
            input,
            line_len_max,
            text: Vec::new(),
            lines: 0,
            octets: 0,
            digest: Context::new(&SHA256),
        }
    }

    /// The next line that is not blank, and its number from 1; `None` at the end.
    pub fn next_line(&mut self) -> io::Result<Option<(u64, Line<'_>)>> {
        loop {
            self.text.clear();
            let octets = self.read_line()?;
            if octets == 0 {
                return Ok(None);
            }
            self.lines += 1;
            self.octets += octets;
            if self.text.len() > self.line_len_max {
                return Ok(Some((self.lines, Line::TooLong { octets })));
            }
            if !trimmed(&self.text, self.lines).is_empty() {
                break;
            }
        }
        Ok(Some((
            self.lines,
            Line::Text(trimmed(&self.text, self.lines)),
        )))
    }

    /// The place behind the last line that was read.
    pub fn mark(&self) -> Mark {
        self.place().into()
    }

    /// The same, cheap to take before each line; only a [`Mark`] can be compared and kept.
    pub(super) fn place(&self) -> Place {
        Place {
            lines: self.lines,
            octets: self.octets,
            digest: self.digest.clone(),
        }
    }

    /// Skips to `mark`; `false` if what is in front of it is not what it was.
    pub fn skip_to(&mut self, mark: &Mark) -> io::Result<bool> {
        let mut left = mark.octets.saturating_sub(self.octets);
        while left > 0 {
            let chunk = self.input.fill_buf()?;
            if chunk.is_empty() {
                return Ok(false);
            }
            let len = usize::try_from(left).map_or(chunk.len(), |left| left.min(chunk.len()));
            self.digest.update(&chunk[..len]);
            self.input.consume(len);
            self.octets += len as u64;
            left -= len as u64;
        }
        self.lines = mark.lines;
        Ok(self.mark() == *mark)
    }

    /// Reads up to and with the next line end into `text`, of which no more is kept than tells that
    /// it is too long. Returns the octets read.
    fn read_line(&mut self) -> io::Result<u64> {
        // One octet more shows that a line is too long; two are a line end.
        let keep = self.line_len_max as u64 + 3;
        (&mut self.input)
            .take(keep)
            .read_until(b'\n', &mut self.text)?;
        self.digest.update(&self.text);
        let mut octets = self.text.len() as u64;
        let is_whole = self.text.last() == Some(&b'\n');
        if is_whole || octets < keep {
            self.text.truncate(self.text.len() - usize::from(is_whole));
            return Ok(octets);
        }
        loop {
            let chunk = self.input.fill_buf()?;
            let end = chunk.iter().position(|&octet| octet == b'\n');
            let len = end.map_or(chunk.len(), |end| end + 1);
            self.digest.update(&chunk[..len]);
            self.input.consume(len);
            octets += len as u64;
            if end.is_some() || len == 0 {
                return Ok(octets);
            }
        }
    }
}

/// The text of line `number` without what does not belong to it.
fn trimmed(text: &[u8], number: u64) -> &[u8] {
    let text = match number {
        1 => text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text),
        _ => text,
    };
    text.trim_ascii()
}

/// Octets as hexadecimal digits.
fn hex(octets: &[u8]) -> String {
    use std::fmt::Write;
    octets.iter().fold(String::new(), |mut text, octet| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(input: &[u8], line_len_max: usize) -> Vec<(u64, Option<String>)> {
        let mut lines = Lines::new(input, line_len_max);
        let mut found = Vec::new();
        while let Some((number, line)) = lines.next_line().unwrap() {
            let text = match line {
                Line::Text(text) => Some(String::from_utf8(text.to_vec()).unwrap()),
                Line::TooLong { .. } => None,
            };
            found.push((number, text));
        }
        assert_eq!(lines.mark().octets, input.len() as u64);
        found
    }

    #[test]
    fn line_ends_marks_and_blank_lines_are_no_text() {
        let found = all(b"\xef\xbb\xbfa\r\n\n  \r\nb\n\nc", 10);
        let texts: Vec<_> = found
            .iter()
            .map(|(n, text)| (*n, text.as_deref().unwrap()))
            .collect();
        assert_eq!(texts, [(1, "a"), (4, "b"), (6, "c")]);
    }

    #[test]
    fn line_above_the_limit_is_skipped_and_the_next_one_is_read() {
        let found = all(b"12345\n123456\n1234567890123\nab\n1234567890", 5);
        let read: Vec<_> = found
            .iter()
            .map(|(n, text)| (*n, text.as_deref()))
            .collect();
        let expected = [
            (1, Some("12345")),
            (2, None),
            (3, None),
            (4, Some("ab")),
            (5, None),
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn reading_goes_on_behind_a_mark() {
        let input = b"one\ntwo\nthree\n";
        let mut lines = Lines::new(&input[..], 10);
        lines.next_line().unwrap();
        lines.next_line().unwrap();
        let mark = lines.mark();
        assert_eq!((mark.lines, mark.octets), (2, 8));
        let mut again = Lines::new(&input[..], 10);
        assert!(again.skip_to(&mark).unwrap());
        assert_eq!(again.next_line().unwrap(), Some((3, Line::Text(b"three"))));
        lines.next_line().unwrap();
        assert_eq!(lines.mark(), again.mark());
    }

    #[test]
    fn altered_or_shortened_input_is_noticed_at_the_mark() {
        let mut lines = Lines::new(&b"one\ntwo\n"[..], 10);
        lines.next_line().unwrap();
        let mark = lines.mark();
        assert!(!Lines::new(&b"One\ntwo\n"[..], 10).skip_to(&mark).unwrap());
        assert!(!Lines::new(&b"on"[..], 10).skip_to(&mark).unwrap());
        let start = Mark::default();
        assert!(Lines::new(&b"x"[..], 10).skip_to(&start).unwrap());
    }
}
