//! What a walk has found so far, and how findings look.

use std::fmt::Display;

use anstyle::Style;
use time::OffsetDateTime;

use crate::failed::{Exit, Failed};
use crate::output::Output;
use crate::output::style::{BAD, GOOD, STRONG, WARN};
use crate::render::left;

/// Columns of the names of findings.
const ABOUT_COLUMNS: usize = 18;

/// The findings of one walk, printed as they come.
pub(super) struct Visit {
    out: Output,
    first_bad: Option<Exit>,
    doubtful: usize,
    bad: usize,
}

impl Visit {
    pub(super) fn new() -> Self {
        Self {
            out: Output::new(),
            first_bad: None,
            doubtful: 0,
            bad: 0,
        }
    }

    /// As it should be.
    pub(super) fn good(&mut self, about: impl Display, text: impl Display) -> Result<(), Failed> {
        self.line(GOOD, "ok", &about, &text)
    }

    /// It works, but somebody should look at it.
    pub(super) fn doubtful(
        &mut self,
        about: impl Display,
        text: impl Display,
    ) -> Result<(), Failed> {
        self.doubtful += 1;
        self.line(WARN, "look", &about, &text)
    }

    /// Here it breaks; `what_to_do` may be empty.
    pub(super) fn bad(
        &mut self,
        exit: Exit,
        about: impl Display,
        text: impl Display,
        what_to_do: impl Display,
    ) -> Result<(), Failed> {
        self.bad += 1;
        self.first_bad.get_or_insert(exit);
        self.line(BAD, "bad", &about, &text)?;
        let what_to_do = what_to_do.to_string();
        if what_to_do.is_empty() {
            return Ok(());
        }
        let indent = ABOUT_COLUMNS + 8;
        self.out.line(format_args!("{:indent$}-> {what_to_do}", ""))
    }

    fn line(
        &mut self,
        style: Style,
        mark: &str,
        about: &dyn Display,
        text: &dyn Display,
    ) -> Result<(), Failed> {
        let (mark, about) = (left(mark, 4), left(&about.to_string(), ABOUT_COLUMNS));
        let text = text.to_string();
        let indent = ABOUT_COLUMNS + 8;
        let text = text.trim_end().replace('\n', &format!("\n{:indent$}", ""));
        self.out
            .line(format_args!("{style}{mark}{style:#}  {about}  {text}"))
    }

    /// Sums up.
    pub(super) fn finish(mut self) -> Result<(), Failed> {
        let sum = match (self.bad, self.doubtful) {
            (0, 0) => "Everything is in order.".to_owned(),
            (0, 1) => "It works; one thing above deserves a look.".to_owned(),
            (0, n) => format!("It works; {n} things above deserve a look."),
            _ => "It breaks at the first line above that is marked bad.".to_owned(),
        };
        self.out.line(format_args!("\n{STRONG}{sum}{STRONG:#}"))?;
        self.out.finish()?;
        match self.first_bad {
            None => Ok(()),
            Some(exit) => Err(Failed::reported(exit)),
        }
    }
}

/// A clock that lies makes messages look expired, and signatures not yet valid.
pub(super) fn clock(visit: &mut Visit) -> Result<(), Failed> {
    let built = env!("GUANTONG_BUILD_COMMIT_DATE");
    let today = OffsetDateTime::now_utc().date().to_string();
    match today.as_str() < built && built.starts_with('2') {
        true => visit.bad(
            Exit::Usage,
            "clock",
            format_args!("it says {today}, but this program is of {built}"),
            "set the clock; a time service such as chrony keeps it right",
        ),
        false => visit.good("clock", format_args!("{today} (UTC)")),
    }
}
