//! Reading a file: all problems at once, each with its line and a way out.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::unit::Setting;
use super::v1::{Spec, VERSION};

/// Names closer than this (0 unlike, 1 equal) are offered as a correction.
const LIKENESS_MIN: f64 = 0.6;

//----------- Problem --------------------------------------------------------

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line in the file, from 1, if the problem is at a line.
    pub line: Option<usize>,
    /// The setting, such as `limits.connections`; empty if none.
    pub setting: String,
    /// What is wrong, and what to do.
    pub text: String,
}

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    /// The file, if there is one.
    pub file: Option<PathBuf>,
    /// The problems in the order of the file; never empty.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.problems.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            match (&self.file, problem.line) {
                (Some(file), Some(line)) => write!(f, "{}:{line}: ", file.display())?,
                (Some(file), None) => write!(f, "{}: ", file.display())?,
                (None, Some(line)) => write!(f, "line {line}: ")?,
                (None, None) => {}
            }
            if !problem.setting.is_empty() {
                write!(f, "{}: ", problem.setting)?;
            }
            f.write_str(&problem.text)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

//----------- Reading --------------------------------------------------------

/// Where the settings of a file stand, for problems that show only later.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines(Vec<(String, usize)>);

impl Lines {
    /// The line of `section.key`, if the file has it.
    pub(super) fn of(&self, setting: &str) -> Option<usize> {
        self.0
            .iter()
            .find(|(name, _)| name == setting)
            .map(|(_, line)| *line)
    }
}

/// Reads a file's text. What could not be read has its default, so that checks can go on.
pub(super) fn read(text: &str) -> (Spec, Lines, Vec<Problem>) {
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut reading = Reading {
        text,
        lines: Lines::default(),
        problems: Vec::new(),
    };
    if !errors.is_empty() {
        // Settings read from a damaged text would be reported for what they are not.
        for error in errors {
            let line = error.span().map(|span| reading.line(&span));
            reading.problem(line, "", format!("not TOML: {}", error.message()));
        }
        return (Spec::default(), reading.lines, reading.problems);
    }
    let root = root.get_ref();
    reading.version(root);
    reading.refuse_unknown_sections(root);
    let empty = DeTable::new();
    let mut sections = Vec::new();
    for name in Spec::SECTIONS {
        let table = root.get(*name).and_then(|value| value.get_ref().as_table());
        sections.push((*name, table.unwrap_or(&empty)));
    }
    let reading = RefCell::new(reading);
    let spec = Spec::read(|name| Section {
        name,
        table: sections
            .iter()
            .find(|(section, _)| *section == name)
            .map_or(&empty, |(_, table)| table),
        reading: &reading,
    });
    let mut reading = reading.into_inner();
    reading.problems.sort_by_key(|problem| problem.line);
    (spec, reading.lines, reading.problems)
}

struct Reading<'t> {
    text: &'t str,
    lines: Lines,
    problems: Vec<Problem>,
}

impl Reading<'_> {
    fn line(&self, span: &Range<usize>) -> usize {
        let before = self.text.as_bytes().iter().take(span.start);
        before.filter(|&&octet| octet == b'\n').count() + 1
    }

    fn problem(&mut self, line: Option<usize>, setting: &str, text: String) {
        self.problems.push(Problem {
            line,
            setting: setting.to_owned(),
            text,
        });
    }

    fn version(&mut self, root: &DeTable<'_>) {
        match root.get("version") {
            None => {
                let text = format!("is missing; begin the file with `version = \"{VERSION}\"`");
                self.problem(None, "version", text);
            }
            Some(value) if value.get_ref().as_str() == Some(VERSION) => {}
            Some(value) => {
                let line = self.line(&value.span());
                let text = format!("this program reads version \"{VERSION}\" only");
                self.problem(Some(line), "version", text);
            }
        }
    }

    fn refuse_unknown_sections(&mut self, root: &DeTable<'_>) {
        for (name, value) in root {
            let line = self.line(&name.span());
            let name: &str = name.get_ref();
            if name == "version" {
                continue;
            }
            if !Spec::SECTIONS.contains(&name) {
                let text = format!("there is no such section{}", hint(name, Spec::SECTIONS));
                self.problem(Some(line), &format!("[{name}]"), text);
            } else if !value.get_ref().is_table() {
                self.problem(
                    Some(line),
                    name,
                    format!("write it as a section `[{name}]`"),
                );
            }
        }
    }
}

/// One section while it is read.
pub(super) struct Section<'a, 't> {
    name: &'static str,
    table: &'a DeTable<'t>,
    reading: &'a RefCell<Reading<'t>>,
}

impl Section<'_, '_> {
    /// Reports the keys that the section does not have.
    pub(super) fn refuse_unknown(&self, known: &[&str]) {
        let mut reading = self.reading.borrow_mut();
        for key in self.table.keys() {
            let line = reading.line(&key.span());
            let key: &str = key.get_ref();
            let setting = format!("{}.{key}", self.name);
            if known.contains(&key) {
                reading.lines.0.push((setting, line));
            } else {
                let text = format!("there is no such setting{}", hint(key, known));
                reading.problem(Some(line), &setting, text);
            }
        }
    }

    /// Reads one setting; reports what is wrong with it and goes on with the default.
    pub(super) fn setting<T: Setting + PartialOrd>(
        &self,
        key: &'static str,
        default: T,
        bounds: Option<(T, T)>,
    ) -> T {
        let Some(value) = self.table.get(key) else {
            return default;
        };
        let problem = match read_one(value, bounds) {
            Ok(value) => return value,
            Err(problem) => problem,
        };
        let mut reading = self.reading.borrow_mut();
        let line = reading.line(&value.span());
        reading.problem(Some(line), &format!("{}.{key}", self.name), problem);
        default
    }
}

fn read_one<T: Setting + PartialOrd>(
    value: &Spanned<DeValue<'_>>,
    bounds: Option<(T, T)>,
) -> Result<T, String> {
    let found = T::read(value.get_ref()).map_err(|problem| match problem.as_str() {
        "" => {
            let kind = value.get_ref().type_str();
            format!("is of the kind {kind}; write {}", T::FORM)
        }
        _ => format!("{problem}; write {}", T::FORM),
    })?;
    if let Some((low, high)) = bounds
        && !(low <= found && found <= high)
    {
        let (found, low, high) = (found.write(), low.write(), high.write());
        return Err(format!("is {found}; it must be from {low} to {high}"));
    }
    Ok(found)
}

/// `; did you mean …` if a known name is close.
fn hint(name: &str, known: &[&str]) -> String {
    let likeness = |other: &str| strsim::normalized_damerau_levenshtein(name, other);
    let nearest = known
        .iter()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match nearest {
        Some(nearest) if likeness(nearest) >= LIKENESS_MIN => {
            format!("; did you mean `{nearest}`?")
        }
        _ => format!("; there are: {}", known.join(", ")),
    }
}
