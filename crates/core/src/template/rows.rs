//! Rows out of octets, one after another: CSV, JSON Lines, or a JSON array.
//!
//! Nothing is read whole, and where the octets come from is nobody's business here. A row that is
//! no row is told as such and stops no other; octets that leave no way to tell where the next row
//! begins end the reading.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::ControlFlow;
use std::rc::Rc;

use csv::StringRecord;
use guantong_proto::limits::MESSAGE_LEN_MAX;
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::field::HANDLE_COLUMN;
use super::life::Template;

/// Longest row, in octets: what is longer is no record that a message carries.
pub const ROW_OCTETS_MAX: usize = MESSAGE_LEN_MAX;
/// Octets that readers ask for at a time.
const BUFFER: usize = 64 * 1024;

//----------- Row ------------------------------------------------------------

/// What is to be registered, as one row says it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The name, if the row gives one.
    #[serde(default)]
    pub handle: Option<String>,
    /// The values, by the names of the fields.
    pub fields: Map<String, Json>,
}

/// Why octets are no row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the row: {0}")]
pub struct NoRow(String);

impl NoRow {
    fn of(error: impl fmt::Display) -> Self {
        Self(error.to_string())
    }
}

impl Row {
    /// The row of one line of JSON.
    pub fn of_line(line: &[u8]) -> Result<Self, NoRow> {
        serde_json::from_slice(line).map_err(NoRow::of)
    }

    /// A line of a table, whose columns have these names.
    pub fn of_cells(template: &Template, head: &StringRecord, cells: &StringRecord) -> Self {
        let mut row = Self::default();
        for (name, cell) in head.iter().zip(cells) {
            match name {
                HANDLE_COLUMN if cell.is_empty() => {}
                HANDLE_COLUMN => row.handle = Some(cell.to_owned()),
                name => {
                    if let Some(json) = template.read_cell(name, cell) {
                        row.fields.insert(name.to_owned(), json);
                    }
                }
            }
        }
        row
    }
}

//----------- RowForm --------------------------------------------------------

/// The form in which rows come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RowForm {
    /// A JSON object in each line.
    Lines,
    /// CSV with the names of the columns in its first line.
    Table,
    /// A JSON array of objects.
    Array,
}

impl RowForm {
    /// The form that a media type says, if it says one.
    pub fn of_media_type(kind: &str) -> Option<Self> {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        match kind.to_ascii_lowercase().as_str() {
            "application/jsonl" | "application/x-ndjson" => Some(Self::Lines),
            "text/csv" => Some(Self::Table),
            "application/json" => Some(Self::Array),
            _ => None,
        }
    }

    /// Calls `each` with every row until it breaks. An error says why the rest cannot be read.
    pub fn read(
        self,
        from: impl Read,
        template: &Template,
        mut each: impl FnMut(Result<Row, NoRow>) -> ControlFlow<()>,
    ) -> Result<(), String> {
        let left = Rc::new(Cell::new(0));
        let bounded = Bounded {
            from: BufReader::with_capacity(BUFFER, from),
            left: left.clone(),
        };
        let mut each = |row: Result<Row, NoRow>| {
            left.set(ROW_OCTETS_MAX + BUFFER);
            each(row)
        };
        // The first row has its share, too.
        bounded.left.set(ROW_OCTETS_MAX + BUFFER);
        match self {
            Self::Lines => lines(bounded, &mut each),
            Self::Table => table(bounded, template, &mut each),
            Self::Array => array(bounded, &mut each),
        }
    }
}

/// Octets up to a bound, which every row sets anew.
struct Bounded<R> {
    from: R,
    left: Rc<Cell<usize>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 && !into.is_empty() {
            let message = format!("a row has more than {ROW_OCTETS_MAX} octets");
            return Err(io::Error::other(message));
        }
        let some = into.len().min(left);
        let read = self.from.read(&mut into[..some])?;
        self.left.set(left - read);
        Ok(read)
    }
}

//----------- Forms ----------------------------------------------------------

type Each<'a> = &'a mut dyn FnMut(Result<Row, NoRow>) -> ControlFlow<()>;

fn lines(from: Bounded<impl Read>, each: Each<'_>) -> Result<(), String> {
    let mut from = BufReader::with_capacity(BUFFER, from);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = from
            .read_until(b'\n', &mut line)
            .map_err(|error| error.to_string())?;
        if read == 0 {
            return Ok(());
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        if each(Row::of_line(&line)).is_break() {
            return Ok(());
        }
    }
}

fn table(mut from: Bounded<impl Read>, template: &Template, each: Each<'_>) -> Result<(), String> {
    let mut mark = [0; 3];
    let read = read_up_to(&mut from, &mut mark).map_err(|error| error.to_string())?;
    // Spreadsheets write a mark of the byte order in front.
    let front = match &mark[..read] {
        b"\xef\xbb\xbf" => &[],
        front => front,
    };
    let mut reader = csv::ReaderBuilder::new()
        .buffer_capacity(BUFFER)
        .from_reader(front.chain(from));
    let head = reader.headers();
    let head = head
        .map_err(|error| format!("the head of the table: {error}"))?
        .clone();
    let mut seen = HashSet::new();
    if let Some(twice) = head.iter().find(|name| !seen.insert(*name)) {
        return Err(format!("the column `{twice}` is there twice"));
    }
    for record in reader.records() {
        let row = match record {
            Ok(record) => Ok(Row::of_cells(template, &head, &record)),
            Err(error) => match error.kind() {
                csv::ErrorKind::UnequalLengths { .. } | csv::ErrorKind::Utf8 { .. } => {
                    Err(NoRow::of(error))
                }
                _ => return Err(error.to_string()),
            },
        };
        if each(row).is_break() {
            return Ok(());
        }
    }
    Ok(())
}

fn read_up_to(from: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < into.len() {
        match from.read(&mut into[len..])? {
            0 => break,
            read => len += read,
        }
    }
    Ok(len)
}

fn array(from: Bounded<impl Read>, each: Each<'_>) -> Result<(), String> {
    let mut is_stopped = false;
    let mut from = serde_json::Deserializer::from_reader(from);
    let seed = Elements {
        each,
        is_stopped: &mut is_stopped,
    };
    let read = seed.deserialize(&mut from);
    match is_stopped {
        true => Ok(()),
        false => {
            let ended = read.and_then(|()| from.end());
            ended.map_err(|error| format!("the list of rows: {error}"))
        }
    }
}

/// Gives the elements of a list away as they are read.
struct Elements<'a> {
    each: Each<'a>,
    is_stopped: &'a mut bool,
}

impl<'de> DeserializeSeed<'de> for Elements<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element::<Json>()? {
            let row = serde_json::from_value(element).map_err(NoRow::of);
            if (self.each)(row).is_break() {
                *self.is_stopped = true;
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use guantong_proto::Handle;
    use proptest::prelude::*;

    use super::super::Definition;
    use super::*;

    fn template() -> Template {
        let definition: Definition = serde_json::from_value(serde_json::json!({
            "title": "t",
            "fields": [{"name": "a", "kind": {"type": "text"}},
                       {"name": "n", "kind": {"type": "number"}}],
        }))
        .unwrap();
        Template::draft(Handle::parse("88.118.5/META_a").unwrap(), definition).unwrap()
    }

    /// The rows as JSON, `null` for what is none; and how the whole ended.
    fn read(format: RowForm, octets: &[u8]) -> (Vec<Json>, Result<(), String>) {
        let mut rows = Vec::new();
        let end = format.read(octets, &template(), |row| {
            rows.push(row.map_or(Json::Null, |row| Json::Object(row.fields)));
            ControlFlow::Continue(())
        });
        (rows, end)
    }

    #[test]
    fn every_form_gives_the_same_rows() {
        let expected = [
            serde_json::json!({"a": "x", "n": 1}),
            serde_json::json!({"a": "y"}),
        ];
        let forms: [(RowForm, &str); 4] = [
            (RowForm::Table, "\u{feff}handle,a,n\nh/1,x,1\nh/2,y,\n"),
            (RowForm::Table, "a,n\r\nx,1\r\ny,\r\n"),
            (
                RowForm::Lines,
                "{\"fields\":{\"a\":\"x\",\"n\":1}}\n\n{\"fields\":{\"a\":\"y\"}}",
            ),
            (
                RowForm::Array,
                " [{\"fields\":{\"a\":\"x\",\"n\":1}},{\"handle\":\"h/2\",\"fields\":{\"a\":\"y\"}}] ",
            ),
        ];
        for (format, text) in forms {
            let (rows, end) = read(format, text.as_bytes());
            assert_eq!((rows.as_slice(), end), (&expected[..], Ok(())), "{text}");
        }
    }

    #[test]
    fn row_that_is_none_stops_no_other() {
        let (rows, end) = read(
            RowForm::Lines,
            b"{\"fields\":{}}\nnoise\n[]\n{\"fields\":{}}\n",
        );
        assert_eq!(rows.iter().filter(|row| row.is_null()).count(), 2);
        assert_eq!((rows.len(), end), (4, Ok(())));
        let (rows, end) = read(RowForm::Table, b"a,n\nx\ny,1\n\xff,1\nz,2\n");
        let nulls: Vec<_> = rows.iter().map(Json::is_null).collect();
        assert_eq!((nulls, end), (vec![true, false, true, false], Ok(())));
        let (rows, end) = read(RowForm::Array, b"[1,{\"fields\":{}},{\"field\":{}}]");
        let nulls: Vec<_> = rows.iter().map(Json::is_null).collect();
        assert_eq!((nulls, end), (vec![true, false, true], Ok(())));
    }

    #[test]
    fn what_cannot_be_read_on_ends_with_a_reason() {
        for bad in ["", "{}", "[{\"fields\":{}}", "[{\"fields\":{}}] x", "[nul]"] {
            assert!(read(RowForm::Array, bad.as_bytes()).1.is_err(), "{bad}");
        }
        assert!(read(RowForm::Table, b"a,a\n1,2\n").1.is_err());
        assert_eq!(read(RowForm::Table, b""), (Vec::new(), Ok(())));
    }

    #[test]
    fn row_without_end_is_not_read_to_its_end() {
        for (format, front) in [
            (RowForm::Lines, "{\"fields\":{\"a\":\""),
            (RowForm::Table, "a,n\n\""),
            (RowForm::Array, "[{\"fields\":{\"a\":\""),
        ] {
            let endless = front.as_bytes().chain(io::repeat(b'x'));
            let end = format.read(endless, &template(), |_| ControlFlow::Continue(()));
            assert!(end.unwrap_err().contains("octets"), "{format:?}");
        }
    }

    #[test]
    fn nothing_is_read_behind_a_break() {
        for (format, text) in [
            (RowForm::Lines, "{\"fields\":{}}\n{\"fields\":{}}\n"),
            (RowForm::Table, "a,n\nx,1\ny,2\n"),
            (RowForm::Array, "[{\"fields\":{}}, noise"),
        ] {
            let mut count = 0;
            let end = format.read(text.as_bytes(), &template(), |_| {
                count += 1;
                ControlFlow::Break(())
            });
            assert_eq!((count, end), (1, Ok(())), "{format:?}");
        }
    }

    proptest! {
        #[test]
        fn garbage_is_rows_or_a_reason(octets in prop::collection::vec(any::<u8>(), 0..300)) {
            for format in [RowForm::Lines, RowForm::Table, RowForm::Array] {
                let _ = read(format, &octets);
            }
        }
    }
}
