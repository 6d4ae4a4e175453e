//! Cells of tables (CSV) that a spreadsheet does not take for formulas.
//!
//! A text that begins with one of `= + - @`, or with a tab or a carriage return, is run by
//! spreadsheets. In what we write it has an apostrophe in front; in what we read that is taken off,
//! so that a table that went out comes back as it was.

use std::borrow::Cow;

const MARK: char = '\'';

/// The cell in front of which nothing is run; numbers are left as they are.
pub fn safe_cell(text: &str) -> Cow<'_, str> {
    match needs_mark(text) && !is_number(text) {
        true => Cow::Owned(format!("{MARK}{text}")),
        false => Cow::Borrowed(text),
    }
}

/// What a cell says without the mark in front of it.
pub fn plain_cell(cell: &str) -> &str {
    match cell.strip_prefix(MARK) {
        Some(text) if needs_mark(text) && !is_number(text) => text,
        _ => cell,
    }
}

/// Whether it begins like a formula, or like a cell with a mark: that must keep its own.
fn needs_mark(text: &str) -> bool {
    let text = text.trim_start_matches(MARK);
    text.starts_with(['=', '+', '-', '@', '\t', '\r'])
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_part = |octet: u8| octet.is_ascii_digit() || octet == b'.';
    !digits.is_empty() && digits.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn formulas_are_marked_and_nothing_else_is() {
        for formula in [
            "=1+1", "+A1", "-A1", "@SUM(A1)", "\t=1", "\r=1", "-1+2", "--1",
        ] {
            assert_eq!(safe_cell(formula), format!("'{formula}"));
        }
        for plain in [
            "",
            "a=b",
            "-1",
            "+1.5",
            "'s-Hertogenbosch",
            "序列号",
            "88.118.5/a",
        ] {
            assert_eq!(safe_cell(plain), plain);
            assert_eq!(plain_cell(plain), plain);
        }
    }

    proptest! {
        #[test]
        fn cell_comes_back_as_it_was(text in "['=+@\\-1.a\t]{0,6}") {
            let cell = safe_cell(&text);
            prop_assert_eq!(plain_cell(&cell), text.as_str());
            prop_assert!(!cell.starts_with(['=', '@', '\t']));
        }
    }
}
