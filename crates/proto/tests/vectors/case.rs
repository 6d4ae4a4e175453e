//! Vectors, and one vector under judgement.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt::{Debug, Display};
use std::path::Path;

use guantong_proto::data::key::Number;
use serde_json::{Map, Value as Json};

//----------- Vector ---------------------------------------------------------

/// One vector.
#[derive(Clone, Debug)]
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) octets: Vec<u8>,
    pub(crate) fields: Map<String, Json>,
}

/// All vectors of a file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vectors(Vec<Vector>);

impl Vectors {
    pub(crate) fn load(path: &Path) -> Self {
        let text = std::fs::read(path).expect("the file of vectors can be read");
        let list: Vec<Json> = serde_json::from_slice(&text).expect("the file is a JSON list");
        let text = |json: &Json, field: &str| json[field].as_str().unwrap_or_default().to_owned();
        let vectors = list.iter().map(|json| Vector {
            name: text(json, "name"),
            description: text(json, "description"),
            octets: unhex(&text(json, "hex")).expect("`hex` has hexadecimal digits"),
            fields: json["fields"].as_object().cloned().unwrap_or_default(),
        });
        Self(vectors.collect())
    }

    /// These vectors, then those of `other` whose names are not among them.
    pub(crate) fn with(&self, other: &Self) -> Self {
        let mut all = self.clone();
        let more = other
            .0
            .iter()
            .filter(|vector| self.get(&vector.name).is_none());
        all.0.extend(more.cloned());
        all
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Vector> {
        self.0.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Vector> {
        self.0.iter().find(|vector| vector.name == name)
    }
}

//----------- Case -----------------------------------------------------------

/// A vector under judgement: collects faults and remembers which fields were looked at.
pub(crate) struct Case<'a> {
    pub(crate) vector: &'a Vector,
    pub(crate) known: &'a Vectors,
    faults: RefCell<Vec<String>>,
    used: RefCell<BTreeSet<String>>,
    checked: Cell<usize>,
}

impl<'a> Case<'a> {
    pub(crate) fn new(vector: &'a Vector, known: &'a Vectors) -> Self {
        Self {
            vector,
            known,
            faults: RefCell::default(),
            used: RefCell::default(),
            checked: Cell::new(0),
        }
    }

    /// Runs `judge` and returns the faults.
    pub(crate) fn finish(self, judge: impl FnOnce(&Case<'_>)) -> Vec<String> {
        judge(&self);
        self.faults()
    }

    pub(crate) fn name(&self) -> &'a str {
        &self.vector.name
    }

    pub(crate) fn octets(&self) -> &'a [u8] {
        &self.vector.octets
    }

    pub(crate) fn faults(&self) -> Vec<String> {
        self.faults.borrow().clone()
    }

    pub(crate) fn checked(&self) -> usize {
        self.checked.get()
    }

    /// Fields that nothing has looked at, with their content.
    pub(crate) fn unknown(&self) -> Vec<String> {
        let used = self.used.borrow();
        let unused = self
            .vector
            .fields
            .iter()
            .filter(|(name, _)| !used.contains(*name));
        unused
            .map(|(name, json)| format!("{name} = {json:.80}"))
            .collect()
    }

    pub(crate) fn fault(&self, fault: impl Display) {
        self.faults.borrow_mut().push(fault.to_string());
    }

    /// A field, from now on counted as known.
    pub(crate) fn field(&self, name: &str) -> Option<&'a Json> {
        let json = self.vector.fields.get(name)?;
        self.used.borrow_mut().insert(name.to_owned());
        Some(json)
    }

    /// A field if `read` understands it; otherwise it stays unknown.
    fn read<T>(&self, name: &str, read: impl FnOnce(&'a Json) -> Option<T>) -> Option<T> {
        read(self.vector.fields.get(name)?).inspect(|_| {
            self.field(name);
        })
    }

    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        self.read(name, Json::as_str)
    }

    pub(crate) fn int(&self, name: &str) -> Option<i64> {
        self.read(name, number)
    }

    pub(crate) fn list(&self, name: &str) -> Option<&'a Vec<Json>> {
        self.read(name, Json::as_array)
    }

    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.read(name, Json::as_bool)
    }

    pub(crate) fn hex(&self, name: &str) -> Option<Vec<u8>> {
        self.read(name, |json| json.as_str().and_then(unhex))
    }

    /// Text of a field that may be given in clear or as hexadecimal digits.
    pub(crate) fn octets_or_text(&self, name: &str) -> Option<Vec<u8>> {
        self.hex(name)
            .or_else(|| self.text(name).map(|text| text.as_bytes().to_vec()))
    }

    /// Passes over a field that says nothing about the octets.
    pub(crate) fn remark(&self, name: &str) {
        self.field(name);
    }

    //--- Statements

    #[expect(
        clippy::needless_pass_by_value,
        reason = "statements read better without `&`"
    )]
    pub(crate) fn same<T: PartialEq + Debug>(&self, what: &str, found: T, expected: T) {
        self.checked.set(self.checked.get() + 1);
        if found != expected {
            self.fault(format!(
                "{what}: found {found:.120?}, expected {expected:.120?}"
            ));
        }
    }

    pub(crate) fn same_octets(&self, what: &str, found: &[u8], expected: &[u8]) {
        self.checked.set(self.checked.get() + 1);
        if found != expected {
            let at = found.iter().zip(expected).position(|(a, b)| a != b);
            let at = at.unwrap_or(found.len().min(expected.len()));
            self.fault(format!(
                "{what}: {} octets, expected {}, they differ at octet {at}",
                found.len(),
                expected.len()
            ));
        }
    }

    pub(crate) fn holds(&self, what: &str, holds: bool) {
        self.same(what, holds, true);
    }

    /// The value of a result; a fault if it is an error.
    pub(crate) fn ok<T, E: Display>(&self, what: &str, result: Result<T, E>) -> Option<T> {
        self.checked.set(self.checked.get() + 1);
        result
            .map_err(|error| self.fault(format!("{what}: {error}")))
            .ok()
    }

    pub(crate) fn same_int(&self, field: &str, found: impl Into<i64>) {
        if let Some(expected) = self.int(field) {
            self.same(field, found.into(), expected);
        }
    }

    pub(crate) fn same_len(&self, field: &str, found: usize) {
        if let Some(expected) = self.int(field) {
            self.same(field, i64::try_from(found), Ok(expected));
        }
    }

    pub(crate) fn same_text(&self, field: &str, found: impl AsRef<[u8]>) {
        if let Some(expected) = self.text(field) {
            self.same(
                field,
                String::from_utf8_lossy(found.as_ref()).as_ref(),
                expected,
            );
        }
    }

    pub(crate) fn same_hex(&self, field: &str, found: &[u8]) {
        if let Some(expected) = self.hex(field) {
            self.same_octets(field, found, &expected);
        }
    }

    pub(crate) fn same_bool(&self, field: &str, found: bool) {
        if let Some(expected) = self.flag(field) {
            self.same(field, found, expected);
        }
    }

    pub(crate) fn same_number(&self, field: &str, found: &Number) {
        if let Some(expected) = self.hex(field) {
            self.same_octets(field, found.as_bytes(), Number::new(&expected).as_bytes());
        }
    }
}

/// A number, written as such, in hexadecimal with `0x`, or in decimal text.
pub(crate) fn number(json: &Json) -> Option<i64> {
    match json {
        Json::Number(number) => number.as_i64(),
        Json::String(text) => match text.strip_prefix("0x") {
            Some(digits) => i64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        },
        _ => None,
    }
}

pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    let octet = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).ok();
    (0..text.len()).step_by(2).map(octet).collect()
}
