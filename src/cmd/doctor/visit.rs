//! What a walk has found so far, and how findings look.

use std::fmt::Display;

use anstyle::Style;
use serde::Serialize;
use time::OffsetDateTime;

use crate::failed::{Exit, Failed};
use crate::output::Output;
use crate::output::style::{BAD, FAINT, GOOD, STRONG, WARN};
use crate::render::left;

/// Columns of the names of findings.
const ABOUT_COLUMNS: usize = 18;

/// How findings are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As lines for people, each as soon as it is known.
    Text,
    /// As one JSON object at the end.
    Json,
}

/// One finding, as JSON shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding {
    /// The heading above it.
    #[serde(skip_serializing_if = "String::is_empty")]
    part: String,
    /// `note`, `ok`, `look` or `bad`.
    judgement: &'static str,
    about: String,
    text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    what_to_do: String,
}

/// All findings, as JSON shows them.
#[derive(Debug, Serialize)]
struct Findings<'a> {
    doubtful: usize,
    bad: usize,
    findings: &'a [Finding],
}

/// The findings of one walk.
pub(super) struct Visit {
    out: Output,
    form: Form,
    part: String,
    findings: Vec<Finding>,
    first_bad: Option<Exit>,
    doubtful: usize,
    bad: usize,
}

impl Visit {
    pub(super) fn new(form: Form) -> Self {
        Self {
            out: Output::new(),
            form,
            part: String::new(),
            findings: Vec::new(),
            first_bad: None,
            doubtful: 0,
            bad: 0,
        }
    }

    /// What the findings below are about.
    pub(super) fn heading(&mut self, text: impl Display) -> Result<(), Failed> {
        self.part = text.to_string();
        match self.form {
            Form::Json => Ok(()),
            Form::Text => self.out.line(format_args!("\n{STRONG}{text}{STRONG:#}")),
        }
    }

    /// A fact without a judgement.
    pub(super) fn note(&mut self, about: impl Display, text: impl Display) -> Result<(), Failed> {
        self.finding((FAINT, "note"), &about, &text, &"")
    }

    /// As it should be.
    pub(super) fn good(&mut self, about: impl Display, text: impl Display) -> Result<(), Failed> {
        self.finding((GOOD, "ok"), &about, &text, &"")
    }

    /// It works, but somebody should look at it.
    pub(super) fn doubtful(
        &mut self,
        about: impl Display,
        text: impl Display,
    ) -> Result<(), Failed> {
        self.look(about, text, "")
    }

    /// It works, but somebody should do something.
    pub(super) fn look(
        &mut self,
        about: impl Display,
        text: impl Display,
        what_to_do: impl Display,
    ) -> Result<(), Failed> {
        self.doubtful += 1;
        self.finding((WARN, "look"), &about, &text, &what_to_do)
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
        self.finding((BAD, "bad"), &about, &text, &what_to_do)
    }

    fn finding(
        &mut self,
        (style, judgement): (Style, &'static str),
        about: &dyn Display,
        text: &dyn Display,
        what_to_do: &dyn Display,
    ) -> Result<(), Failed> {
        let finding = Finding {
            part: self.part.clone(),
            judgement,
            about: about.to_string(),
            text: text.to_string().trim_end().to_owned(),
            what_to_do: what_to_do.to_string(),
        };
        match self.form {
            Form::Text => self.print(style, &finding),
            Form::Json => {
                self.findings.push(finding);
                Ok(())
            }
        }
    }

    fn print(&mut self, style: Style, finding: &Finding) -> Result<(), Failed> {
        let mark = left(finding.judgement, 4);
        let about = left(&finding.about, ABOUT_COLUMNS);
        let indent = ABOUT_COLUMNS + 8;
        let text = finding.text.replace('\n', &format!("\n{:indent$}", ""));
        self.out
            .line(format_args!("{style}{mark}{style:#}  {about}  {text}"))?;
        match finding.what_to_do.as_str() {
            "" => Ok(()),
            what_to_do => {
                let line = format_args!("{:indent$}-> {what_to_do}", "");
                self.out.line(line)
            }
        }
    }

    /// Sums up.
    pub(super) fn finish(mut self) -> Result<(), Failed> {
        match self.form {
            Form::Text => {
                let sum = self.sum();
                self.out.line(format_args!("\n{STRONG}{sum}{STRONG:#}"))?;
            }
            Form::Json => {
                let all = Findings {
                    doubtful: self.doubtful,
                    bad: self.bad,
                    findings: &self.findings,
                };
                // Texts and numbers always become JSON.
                self.out
                    .line(serde_json::to_string(&all).unwrap_or_default())?;
            }
        }
        self.out.finish()?;
        match self.first_bad {
            None => Ok(()),
            Some(exit) => Err(Failed::reported(exit)),
        }
    }

    fn sum(&self) -> String {
        match (self.bad, self.doubtful) {
            (0, 0) => "Everything is in order.".to_owned(),
            (0, 1) => "It works; one thing above deserves a look.".to_owned(),
            (0, n) => format!("It works; {n} things above deserve a look."),
            _ => "It breaks at the first line above that is marked bad.".to_owned(),
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
