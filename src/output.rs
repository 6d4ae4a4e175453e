//! Standard output: results only, colour on terminals only, and a reader who may leave early.
//!
//! `guantong … | head` closes the pipe while we write. That is no error: writing then fails with
//! [`Failed::reader_gone`], the command stops, and the exit code is 0. Notes for people go to
//! standard error through [`note`], so that a pipe sees nothing but results.

use std::io::{self, BufWriter, Write};

use crate::failed::{Exit, Failed, Report};

/// Styles of everything we print; `anstream` drops them where they do not belong.
pub(crate) mod style {
    use anstyle::{AnsiColor, Style};

    /// Something failed.
    pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
    /// Something needs attention.
    pub(crate) const WARN: Style = AnsiColor::Yellow.on_default().bold();
    /// Something is in order.
    pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
    /// Headings and names.
    pub(crate) const STRONG: Style = Style::new().bold();
    /// What matters less.
    pub(crate) const FAINT: Style = Style::new().dimmed();
}

//----------- Output ---------------------------------------------------------

/// Buffered standard output. Call [`Output::finish`] at the end: dropping it hides errors.
pub(crate) struct Output {
    out: BufWriter<anstream::Stdout>,
}

impl Output {
    /// Standard output of this process.
    pub(crate) fn new() -> Self {
        Self {
            out: BufWriter::new(anstream::stdout()),
        }
    }

    /// Writes `text` and a line end.
    pub(crate) fn line(&mut self, text: impl std::fmt::Display) -> Result<(), Failed> {
        writeln!(self.out, "{text}").map_err(|e| write_failed(&e))
    }

    /// Writes octets as they are.
    pub(crate) fn raw(&mut self, octets: &[u8]) -> Result<(), Failed> {
        self.out.write_all(octets).map_err(|e| write_failed(&e))
    }

    /// Writes out what is buffered.
    pub(crate) fn finish(mut self) -> Result<(), Failed> {
        self.out.flush().map_err(|e| write_failed(&e))
    }
}

/// What a failed write to standard output means.
fn write_failed(error: &io::Error) -> Failed {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Failed::reader_gone();
    }
    Report::new(Exit::Usage, "cannot write to standard output")
        .cause(error)
        .hint("is the disk full?")
        .fail()
}

//----------- note -----------------------------------------------------------

/// Says something to the person at the terminal, on standard error.
pub(crate) fn note(text: impl std::fmt::Display) {
    // Without a standard error there is nobody to tell.
    let _ = writeln!(anstream::stderr(), "{text}");
}
