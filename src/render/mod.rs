//! Records for people: aligned, typed data in words, nothing that could upset a terminal.
//!
//! Programs read `--json` instead; this form may change.

mod json;
mod typed;

use anstyle::Style;
use guantong_client::printable;
use guantong_proto::{Permissions, Ttl, Value};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::output::style::{FAINT, STRONG};

/// Narrowest data column; on a narrower terminal lines run over.
const DATA_COLUMNS_MIN: usize = 24;
/// Widest type column; longer types push their data to the right.
const TYPE_COLUMNS_MAX: usize = 24;

//----------- table ----------------------------------------------------------

/// The lines that show `values`. `columns` is the width of the terminal; `None` wraps nothing.
pub(crate) fn table(values: &[Value], columns: Option<usize>) -> Vec<String> {
    let kinds: Vec<String> = values.iter().map(|value| printable(&value.kind)).collect();
    let indexes: Vec<String> = values.iter().map(|value| value.index.to_string()).collect();
    let ttls: Vec<String> = values.iter().map(|value| ttl(value.ttl)).collect();
    let widest = |texts: &[String], heading: &str, most: usize| {
        let widths = texts.iter().map(|text| text.width());
        widths.max().unwrap_or(0).clamp(heading.len(), most)
    };
    let index_columns = widest(&indexes, "index", usize::MAX);
    let kind_columns = widest(&kinds, "type", TYPE_COLUMNS_MAX);
    let ttl_columns = widest(&ttls, "ttl", usize::MAX);
    let indent = index_columns + kind_columns + ttl_columns + 6;
    let data_columns = columns.map(|all| all.saturating_sub(indent).max(DATA_COLUMNS_MIN));
    let heading = [
        right("index", index_columns),
        left("type", kind_columns),
        right("ttl", ttl_columns),
        "data".to_owned(),
    ];
    let mut lines = vec![styled(FAINT, &heading.join("  "))];
    for (value, ((index, kind), ttl)) in values.iter().zip(indexes.iter().zip(&kinds).zip(&ttls)) {
        let start = [
            right(index, index_columns),
            styled(STRONG, &left(kind, kind_columns)),
            right(ttl, ttl_columns),
        ];
        let mut data = data_lines(value, data_columns).into_iter();
        let first = data.next().unwrap_or_default();
        lines.push(
            format!("{}  {first}", start.join("  "))
                .trim_end()
                .to_owned(),
        );
        lines.extend(data.map(|line| format!("{:indent$}{line}", "")));
    }
    lines
}

/// The data of a value and whatever is unusual about it.
fn data_lines(value: &Value, columns: Option<usize>) -> Vec<String> {
    let mut lines: Vec<String> = typed::lines(value, columns)
        .iter()
        .flat_map(|line| wrap(line, columns))
        .collect();
    let mut notes = Vec::new();
    if value.permissions != Permissions::default() {
        notes.push(format!(
            "permissions {}",
            permissions_text(value.permissions)
        ));
    }
    for reference in &value.references {
        notes.push(format!("refers to {}", printable(&reference.to_string())));
    }
    if !notes.is_empty() {
        lines.push(styled(FAINT, &format!("({})", notes.join("; "))));
    }
    lines
}

/// Who may read and write: in words.
fn permissions_text(permissions: Permissions) -> String {
    let who = |public: bool, admin: bool| match (public, admin) {
        (true, _) => "everybody",
        (false, true) => "administrators",
        (false, false) => "nobody",
    };
    let read = who(permissions.public_read(), permissions.admin_read());
    let write = who(permissions.public_write(), permissions.admin_write());
    format!("{:04b}: {read} may read, {write} may write", permissions.0)
}

fn ttl(ttl: Ttl) -> String {
    match ttl {
        Ttl::Relative(seconds) => seconds.to_string(),
        Ttl::Absolute(at) => format!("until {at}"),
        Ttl::Other { kind, ttl } => format!("{kind}:{ttl}"),
    }
}

//----------- Text -----------------------------------------------------------

fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// `text` with spaces in front, to `columns`.
fn right(text: &str, columns: usize) -> String {
    let missing = columns.saturating_sub(text.width());
    format!("{:missing$}{text}", "")
}

/// `text` with spaces behind, to `columns`.
pub(crate) fn left(text: &str, columns: usize) -> String {
    let missing = columns.saturating_sub(text.width());
    format!("{text}{:missing$}", "")
}

/// Breaks a line so that no part is wider than `columns`, at spaces where there are any. Parts
/// after the first are indented like the line itself.
pub(crate) fn wrap(line: &str, columns: Option<usize>) -> Vec<String> {
    let Some(columns) = columns.filter(|&columns| line.width() > columns) else {
        return vec![line.to_owned()];
    };
    let indent = line.len() - line.trim_start_matches(' ').len();
    let indent = indent.min(columns / 2);
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut width = 0;
    let mut last_space = None;
    for c in line.chars() {
        let wide = c.width().unwrap_or(0);
        if width + wide > columns && part.trim_start().chars().count() > 1 {
            // A space in the last third of the line is a good place; else the word is broken.
            let at = last_space.filter(|&at| at > columns * 2 / 3);
            let rest = at.map_or(String::new(), |at| part.split_off(at));
            parts.push(part.trim_end().to_owned());
            part = format!("{:indent$}{}", "", rest.trim_start());
            width = part.width();
            last_space = None;
        }
        part.push(c);
        width += wide;
        if c == ' ' {
            last_space = Some(part.len());
        }
    }
    parts.push(part);
    parts
}

/// Width of the terminal on standard output; `None` if it is not a terminal.
pub(crate) fn terminal_columns() -> Option<usize> {
    terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0))
}

#[cfg(test)]
mod tests;
