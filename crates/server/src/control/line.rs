//! Lines of JSON over a stream, bounded.

use std::io::{self, BufRead, Read, Write};

use guantong_api::control::LINE_LEN_MAX;
use serde::Serialize;

/// What reading a line found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A whole line is in the buffer, without its end.
    Line,
    /// The peer has closed its side.
    End,
    /// The line is longer than [`LINE_LEN_MAX`].
    TooLong,
}

/// Reads the next line into `line`.
pub(super) fn read(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Found> {
    line.clear();
    let limit = LINE_LEN_MAX as u64 + 1;
    input.take(limit).read_until(b'\n', line)?;
    if line.pop_if(|last| *last == b'\n').is_some() {
        return Ok(Found::Line);
    }
    match line.len() > LINE_LEN_MAX {
        true => Ok(Found::TooLong),
        // What stands behind the last line end was cut off on the way.
        false => Ok(Found::End),
    }
}

/// Writes one line; the caller flushes.
pub(super) fn write(output: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *output, message)?;
    output.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_with_the_stream_and_half_a_line_is_none() {
        let mut input = &b"one\n\ntwo"[..];
        let mut line = Vec::new();
        assert_eq!(read(&mut input, &mut line).unwrap(), Found::Line);
        assert_eq!(line, b"one");
        assert_eq!(read(&mut input, &mut line).unwrap(), Found::Line);
        assert_eq!(line, b"");
        assert_eq!(read(&mut input, &mut line).unwrap(), Found::End);
    }

    #[test]
    fn line_above_the_limit_is_not_read_to_its_end() {
        let mut exact = vec![b'x'; LINE_LEN_MAX];
        exact.push(b'\n');
        let mut line = Vec::new();
        assert_eq!(read(&mut &exact[..], &mut line).unwrap(), Found::Line);
        exact.insert(0, b'x');
        assert_eq!(read(&mut &exact[..], &mut line).unwrap(), Found::TooLong);
    }
}
