//! How a command fails: a report on standard error, then an exit code.
//!
//! ```text
//! error: no answer from 127.0.0.1:2641
//!   cause: udp 127.0.0.1:2641: no reply within 3 s
//!   hint:  is the node running? start it with `guantong serve --config guantong.toml`
//! ```
//!
//! A [`Report`] is what is to be said; [`Report::fail`] says it and leaves a [`Failed`], which
//! carries nothing but the exit code. So nothing is reported twice, and nothing fails in silence.

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use crate::output::style;

//----------- Exit -----------------------------------------------------------

/// The exit codes; 0 means done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The thing asked for does not exist or was refused.
    Refused = 1,
    /// Wrong usage or configuration.
    Usage = 2,
    /// The network or a peer failed.
    Network = 3,
}

/// What `--help` says about them.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  what was asked for does not exist or was refused
  2  wrong usage or configuration
  3  the network or a peer failed";

//----------- Failed ---------------------------------------------------------

/// The command did not succeed, and has said why.
#[derive(Debug)]
#[must_use]
pub(crate) struct Failed(Option<Exit>);

impl Failed {
    /// Ends with `exit`; the command has said why in its own form, such as a JSON error.
    pub(crate) fn reported(exit: Exit) -> Self {
        Self(Some(exit))
    }

    /// The reader of our output has gone: stop, but nobody is to blame.
    pub(crate) fn reader_gone() -> Self {
        Self(None)
    }
}

impl From<Failed> for ExitCode {
    fn from(failed: Failed) -> Self {
        failed
            .0
            .map_or(Self::SUCCESS, |exit| Self::from(exit as u8))
    }
}

//----------- Report ---------------------------------------------------------

/// What is to be said about a failure.
#[derive(Debug)]
#[must_use]
pub(crate) struct Report {
    exit: Exit,
    what: String,
    causes: Vec<String>,
    hints: Vec<String>,
}

impl Report {
    /// What did not work, in one line without full stop.
    pub(crate) fn new(exit: Exit, what: impl fmt::Display) -> Self {
        Self {
            exit,
            what: what.to_string(),
            causes: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// Why. May be called again for the next deeper cause.
    pub(crate) fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// An error and everything below it that it does not already say itself.
    pub(crate) fn causes_of(mut self, error: &dyn std::error::Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            if !self.causes.last().is_some_and(|said| said.ends_with(&text)) {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// What to do about it.
    pub(crate) fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hints.push(hint.to_string());
        self
    }

    /// Says it on standard error.
    pub(crate) fn fail(self) -> Failed {
        // If standard error is gone too, the exit code still tells.
        let _ = self.write(&mut anstream::stderr().lock());
        Failed(Some(self.exit))
    }

    fn write(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let (bad, strong) = (style::BAD, style::STRONG);
        writeln!(out, "{bad}error:{bad:#} {}", self.what)?;
        for cause in &self.causes {
            writeln!(out, "  {strong}cause:{strong:#} {}", indented(cause, 9))?;
        }
        for hint in &self.hints {
            writeln!(out, "  {strong}hint:{strong:#}  {}", indented(hint, 9))?;
        }
        Ok(())
    }
}

/// Later lines of `text` start in column `column`.
fn indented(text: &str, column: usize) -> String {
    text.trim_end().replace('\n', &format!("\n{:column$}", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer: inner")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("inner")]
    struct Inner;

    #[test]
    fn report_names_failure_causes_and_hints_once_each() {
        let report = Report::new(Exit::Network, "no answer")
            .causes_of(&Outer(Inner))
            .hint("first line\nsecond line");
        let mut text = Vec::new();
        report
            .write(&mut anstream::StripStream::new(&mut text))
            .unwrap();
        let expected = "error: no answer\n  cause: outer: inner\n  \
                        hint:  first line\n         second line\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn closed_pipe_is_not_a_failure() {
        assert_eq!(ExitCode::from(Failed::reader_gone()), ExitCode::SUCCESS);
        assert_eq!(
            ExitCode::from(Failed::reported(Exit::Usage)),
            ExitCode::from(2)
        );
    }
}
