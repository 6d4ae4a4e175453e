//! Rows of imports: CSV, JSON Lines and JSON arrays, read in pieces of any length. The first octet
//! says which form, the second how long the pieces are.

#![no_main]

use std::io::{self, Read};
use std::ops::ControlFlow;

use guantong_core::template::{Definition, Extent, ROW_OCTETS_MAX, Row, RowForm, Template};
use guantong_proto::{CaseRule, Handle};

/// A template with a field of each kind that a cell is read for in its own way.
const DEFINITION: &str = r#"{"title": "t", "fields": [
    {"name": "a", "required": true, "unique": true, "kind": {"type": "text"}},
    {"name": "n", "searchable": true, "kind": {"type": "number", "decimals": 2}},
    {"name": "d", "kind": {"type": "date"}},
    {"name": "r", "kind": {"type": "reference", "countMax": 3}}]}"#;

/// Octets that come so many at a time.
struct Pieces<'a> {
    left: &'a [u8],
    len: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = self.len.min(into.len());
        self.left.read(&mut into[..len])
    }
}

/// What was read: the rows, `None` for those that are none, and how it ended.
type Found = (Vec<Option<Row>>, Result<(), String>);

fn read(form: RowForm, template: &Template, octets: &[u8], len: usize) -> Found {
    let mut rows = Vec::new();
    let pieces = Pieces { left: octets, len };
    let end = form.read(pieces, template, |row| {
        rows.push(row.ok());
        ControlFlow::Continue(())
    });
    (rows, end)
}

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let Some((&[form, len], octets)) = octets.split_first_chunk::<2>() else {
        return;
    };
    let form = match form {
        b'c' => RowForm::Table,
        b'a' => RowForm::Array,
        _ => RowForm::Lines,
    };
    let definition: Definition = serde_json::from_str(DEFINITION).expect("it is a definition");
    let handle = Handle::parse("88.118.5/META_rows").expect("it is a handle");
    let template = Template::draft(handle, definition).expect("it is a template");
    let (rows, end) = read(form, &template, octets, usize::from(len).max(1));
    // How the octets come changes nothing.
    let whole = read(form, &template, octets, ROW_OCTETS_MAX);
    assert!((&rows, &end) == (&whole.0, &whole.1));
    for row in rows.into_iter().flatten() {
        if let Ok(given) = template.check(&row.fields, Extent::Whole) {
            let _ = template.values(&given, CaseRule::Insensitive);
            let _ = template.lookups(&given, CaseRule::Insensitive);
        }
    }
});
