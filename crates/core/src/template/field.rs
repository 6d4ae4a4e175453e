//! One field of a template: its name, its type, and what its values must be.

use serde::{Deserialize, Serialize};

use super::decimal::Decimal;
use super::limit::{
    COUNT_MAX, DIGITS_MAX, FIELD_DESCRIPTION_CHARS_MAX, FIELD_INDEX_FIRST, FIELD_INDEX_LAST,
    NAME_CHARS_MAX, REFERENCE_CHARS_MAX, SUFFIX_CHARS_MAX, SUFFIXES_MAX, TEXT_CHARS_MAX,
};
use super::notes::Notes;
use super::pattern::Pattern;

/// What a field must not be called: types of the protocol and of ours begin so, and the name of a
/// field is the type of its values.
const RESERVED: [&str; 2] = ["HS_", "GT_"];

/// What a table of registrations calls the column of their handles.
pub const HANDLE_COLUMN: &str = "handle";

//----------- Field ----------------------------------------------------------

/// A field of a template.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Field {
    /// Index of its values in every record; never used for another field. 0 if it is to be chosen.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub index: i32,
    /// Its name in programs, and the type of its values: letters, digits, `_`.
    pub name: String,
    /// How people call it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// What it means.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What its values are.
    pub kind: Kind,
    /// Whether every registration has a value.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// Whether no two registrations of the template have the same value.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unique: bool,
    /// Whether registrations are found by its value. Unique fields are, and references.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub searchable: bool,
    /// Who reads its values.
    #[serde(default, skip_serializing_if = "Readers::are_administrators")]
    pub readers: Readers,
    /// Whether it takes no values any more. Fields are never removed: their indexes would mean
    /// something else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    /// Whether it takes no values yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pending: bool,
    /// What is kept of it for people and other software.
    #[serde(default, skip_serializing_if = "Notes::are_none")]
    pub notes: Notes,
}

fn is_zero(index: &i32) -> bool {
    *index == 0
}

/// Who reads the values of a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Readers {
    /// Administrators of the record.
    #[default]
    Administrators,
    /// Everybody.
    Everybody,
}

impl Readers {
    fn are_administrators(&self) -> bool {
        *self == Self::Administrators
    }
}

//----------- Kind -----------------------------------------------------------

/// What the values of a field are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Kind {
    /// Text.
    Text(Text),
    /// A decimal number.
    Number(Number),
    /// A day, or a moment.
    Date(Date),
    /// A document.
    File(Files),
    /// The handle of another registration, or several.
    Reference(Reference),
    /// Sound.
    Audio(Files),
    /// Moving pictures.
    Video(Files),
    /// A picture.
    Image(Files),
}

/// Texts of a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Text {
    /// Fewest characters.
    pub length_min: u32,
    /// Most characters.
    pub length_max: u32,
    /// What the whole text must be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Pattern>,
}

/// Numbers of a field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Number {
    /// Most digits behind the point.
    pub decimals: u8,
    /// Smallest number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<Decimal>,
    /// Largest number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum: Option<Decimal>,
}

/// Dates of a field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Date {
    /// How exact they are.
    pub precision: Precision,
}

/// How exact a date is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Precision {
    /// A day: `2026-03-01` (RFC 3339, full-date).
    #[default]
    Day,
    /// A moment: `2026-03-01T08:00:00+08:00` (RFC 3339, date-time).
    Moment,
    /// A second without a zone, as existing products write it: `2026-03-01 08:00:00`.
    Second,
}

/// Files of a field, by the places where they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Files {
    /// Most files. With 1 a value is a text, with more it is a list.
    pub count_max: u16,
    /// Ends of their names, without the dot and in lower case; empty: those of the type.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub suffixes: Vec<String>,
}

/// References of a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Reference {
    /// Handle of the template that the targets are registered by; empty: any record.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub template: String,
    /// Most targets. With 1 a value is a text, with more it is a list.
    pub count_max: u16,
}

impl Default for Text {
    fn default() -> Self {
        Self {
            length_min: 0,
            length_max: TEXT_CHARS_MAX,
            pattern: None,
        }
    }
}

impl Default for Files {
    fn default() -> Self {
        Self {
            count_max: 1,
            suffixes: Vec::new(),
        }
    }
}

impl Default for Reference {
    fn default() -> Self {
        Self {
            template: String::new(),
            count_max: 1,
        }
    }
}

impl Number {
    /// The smallest and the largest number that the field takes, whatever it says itself: what has
    /// no more digits than [`DIGITS_MAX`].
    pub(super) fn bounds(&self) -> (Decimal, Decimal) {
        let largest = Decimal::largest(self.decimals.into());
        (
            self.minimum.unwrap_or(largest.negated()),
            self.maximum.unwrap_or(largest),
        )
    }
}

impl Kind {
    /// Ends of file names that the field takes; none if it holds no files.
    pub fn suffixes(&self) -> Vec<&str> {
        let (files, usual): (_, &[&str]) = match self {
            Self::File(files) => (files, DOCUMENTS),
            Self::Audio(files) => (files, AUDIO),
            Self::Video(files) => (files, VIDEO),
            Self::Image(files) => (files, IMAGES),
            _ => return Vec::new(),
        };
        match files.suffixes.is_empty() {
            true => usual.to_vec(),
            false => files.suffixes.iter().map(String::as_str).collect(),
        }
    }

    /// Most parts of a value: a list is a value with more than one.
    pub(super) fn count_max(&self) -> u16 {
        match self {
            Self::File(files) | Self::Audio(files) | Self::Video(files) | Self::Image(files) => {
                files.count_max
            }
            Self::Reference(reference) => reference.count_max,
            Self::Text(_) | Self::Number(_) | Self::Date(_) => 1,
        }
    }

    /// Whether its values are lists.
    pub fn is_list(&self) -> bool {
        self.count_max() > 1
    }

    /// Whether two things that have the same value have something in common that a template may
    /// forbid. A battery is in one car, but that is the car's to say.
    fn is_comparable(&self) -> bool {
        match self {
            Self::Text(_) | Self::Number(_) | Self::Date(_) => true,
            Self::Reference(_)
            | Self::File(_)
            | Self::Audio(_)
            | Self::Video(_)
            | Self::Image(_) => false,
        }
    }

    /// Whether values written for one are values of the other.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
            && self.is_list() == other.is_list()
            && match (self, other) {
                (Self::Date(date), Self::Date(other)) => date.precision == other.precision,
                _ => true,
            }
    }
}

/// Suffixes that existing products take for each type of field.
const DOCUMENTS: &[&str] = &[
    "doc", "docx", "xps", "dot", "xls", "xlsx", "xlsb", "xlsm", "csv", "pdf", "zip", "rar",
];
const AUDIO: &[&str] = &["wav", "mp3", "mp4"];
const VIDEO: &[&str] = &["avi", "mov", "wmv", "flv", "mp4"];
const IMAGES: &[&str] = &[
    "jpg", "jpe", "png", "jpeg", "gif", "tif", "tiff", "jxr", "bmp",
];

//----------- Checking -------------------------------------------------------

impl Field {
    /// Whether registrations may have a value of it.
    pub fn takes_values(&self) -> bool {
        !self.disabled && !self.pending
    }

    /// Whether registrations are found by its values: each has a search value beside it.
    pub(super) fn is_found_by(&self) -> bool {
        self.unique || self.searchable || matches!(self.kind, Kind::Reference(_))
    }

    /// Everything that is wrong with the field by itself: place within it, and why.
    pub(super) fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        let mut check = |is_right: bool, place, why: &dyn Fn() -> String| {
            if !is_right {
                faults.push((place, why()));
            }
        };
        let range = FIELD_INDEX_FIRST..=FIELD_INDEX_LAST;
        check(range.contains(&self.index), "index", &|| {
            format!("must be from {FIELD_INDEX_FIRST} to {FIELD_INDEX_LAST}")
        });
        check(is_name(&self.name), "name", &|| {
            format!(
                "must have 1 to {NAME_CHARS_MAX} letters, digits and `_` of ASCII, begin with a \
                 letter, and not with `HS_` or `GT_`; `{HANDLE_COLUMN}` is the column of handles"
            )
        });
        check(
            self.label.chars().count() <= NAME_CHARS_MAX,
            "label",
            &|| format!("has more than {NAME_CHARS_MAX} characters"),
        );
        let limit = FIELD_DESCRIPTION_CHARS_MAX;
        let is_short = self.description.chars().count() <= limit;
        check(is_short, "description", &|| {
            format!("has more than {limit} characters")
        });
        let comparable = self.kind.is_comparable();
        check(!self.unique || comparable, "unique", &|| {
            "is for text, numbers and dates".to_owned()
        });
        let is_sought = self.searchable && matches!(self.kind, Kind::Reference(_));
        check(
            !self.searchable || comparable || is_sought,
            "searchable",
            &|| "is for text, numbers, dates and references".to_owned(),
        );
        faults.extend(self.kind.faults());
        faults.extend(self.notes.faults());
        faults
    }
}

fn is_name(name: &str) -> bool {
    let is_part = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'_';
    let begins = |lead: &&str| {
        name.get(..lead.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(lead))
    };
    name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.len() <= NAME_CHARS_MAX
        && name.bytes().all(is_part)
        && !RESERVED.iter().any(begins)
        && !name.eq_ignore_ascii_case(HANDLE_COLUMN)
}

impl Kind {
    fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        match self {
            Self::Text(text) => text.faults(&mut faults),
            Self::Number(number) => number.faults(&mut faults),
            Self::Date(_) => {}
            Self::File(files) | Self::Audio(files) | Self::Video(files) | Self::Image(files) => {
                files.faults(&mut faults);
            }
            Self::Reference(reference) => reference.faults(&mut faults),
        }
        if !(1..=COUNT_MAX).contains(&self.count_max()) {
            faults.push(("kind.countMax", format!("must be from 1 to {COUNT_MAX}")));
        }
        faults
    }
}

impl Text {
    fn faults(&self, faults: &mut Vec<(&'static str, String)>) {
        if self.length_max > TEXT_CHARS_MAX || self.length_max == 0 {
            faults.push((
                "kind.lengthMax",
                format!("must be from 1 to {TEXT_CHARS_MAX}"),
            ));
        }
        if self.length_min > self.length_max {
            faults.push(("kind.lengthMin", "is above `lengthMax`".to_owned()));
        }
    }
}

impl Number {
    fn faults(&self, faults: &mut Vec<(&'static str, String)>) {
        if u32::from(self.decimals) > DIGITS_MAX {
            let why = format!("must be from 0 to {DIGITS_MAX}");
            return faults.push(("kind.decimals", why));
        }
        let largest = Decimal::largest(self.decimals.into());
        let fits = |bound: Decimal| {
            bound.scale() <= self.decimals.into() && (largest.negated()..=largest).contains(&bound)
        };
        for (place, bound) in [
            ("kind.minimum", self.minimum),
            ("kind.maximum", self.maximum),
        ] {
            if !bound.is_none_or(fits) {
                let why = format!("is no number that the field takes: the largest is {largest}");
                faults.push((place, why));
            }
        }
        let (minimum, maximum) = self.bounds();
        if minimum > maximum {
            faults.push(("kind.minimum", "is above `maximum`".to_owned()));
        }
    }
}

impl Files {
    fn faults(&self, faults: &mut Vec<(&'static str, String)>) {
        if self.suffixes.len() > SUFFIXES_MAX {
            faults.push(("kind.suffixes", format!("are more than {SUFFIXES_MAX}")));
        }
        let is_suffix = |suffix: &String| {
            let is_part = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit();
            (1..=SUFFIX_CHARS_MAX).contains(&suffix.len()) && suffix.bytes().all(is_part)
        };
        if !self.suffixes.iter().all(is_suffix) {
            let why = format!(
                "must have 1 to {SUFFIX_CHARS_MAX} small letters and digits each, without a dot"
            );
            faults.push(("kind.suffixes", why));
        }
    }
}

impl Reference {
    fn faults(&self, faults: &mut Vec<(&'static str, String)>) {
        if !self.template.is_empty() && !is_reference(&self.template) {
            let why = format!(
                "must be the handle of a template, with at most {REFERENCE_CHARS_MAX} characters"
            );
            faults.push(("kind.template", why));
        }
    }
}

/// Whether a text can be a reference: a prefix, a slash, a suffix.
pub(super) fn is_reference(text: &str) -> bool {
    let parts = text.split_once('/');
    parts.is_some_and(|(prefix, suffix)| !prefix.is_empty() && !suffix.is_empty())
        && text.chars().count() <= REFERENCE_CHARS_MAX
        && !text.contains(char::is_control)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A field that is right.
    pub(crate) fn field(index: i32, name: &str, kind: Kind) -> Field {
        Field {
            index,
            name: name.to_owned(),
            label: String::new(),
            description: String::new(),
            kind,
            required: false,
            unique: false,
            searchable: false,
            readers: Readers::default(),
            disabled: false,
            pending: false,
            notes: Notes::default(),
        }
    }

    fn text() -> Kind {
        Kind::Text(Text::default())
    }

    #[track_caller]
    fn check(field: &Field, place: &str) {
        let faults = field.faults();
        let places: Vec<_> = faults.iter().map(|(place, _)| *place).collect();
        assert_eq!(places, [place], "{faults:?}");
    }

    #[test]
    fn names_are_those_that_programs_and_value_types_take() {
        for name in [
            "a",
            "serialNumber",
            "A_1",
            &"n".repeat(NAME_CHARS_MAX),
            "hsx",
        ] {
            assert_eq!(field(2_000, name, text()).faults(), [], "{name}");
        }
        let long = "n".repeat(NAME_CHARS_MAX + 1);
        for name in [
            "",
            "1a",
            "_a",
            "a b",
            "a.b",
            "序列号",
            "HS_ADMIN",
            "gt_x",
            &long,
        ] {
            check(&field(2_000, name, text()), "name");
        }
    }

    #[test]
    fn indexes_labels_and_descriptions_are_bounded() {
        check(&field(FIELD_INDEX_FIRST - 1, "a", text()), "index");
        check(&field(FIELD_INDEX_LAST + 1, "a", text()), "index");
        let with = |label: usize, description: usize| Field {
            label: "名".repeat(label),
            description: "述".repeat(description),
            ..field(FIELD_INDEX_LAST, "a", text())
        };
        assert_eq!(
            with(NAME_CHARS_MAX, FIELD_DESCRIPTION_CHARS_MAX).faults(),
            []
        );
        check(&with(NAME_CHARS_MAX + 1, 0), "label");
        check(&with(0, FIELD_DESCRIPTION_CHARS_MAX + 1), "description");
    }

    #[test]
    fn constraints_that_contradict_themselves_are_refused() {
        let of = |json: serde_json::Value| {
            let kind: Kind = serde_json::from_value(json).unwrap();
            field(2_000, "a", kind)
        };
        use serde_json::json;
        check(
            &of(json!({"type": "text", "lengthMin": 5, "lengthMax": 4})),
            "kind.lengthMin",
        );
        check(
            &of(json!({"type": "text", "lengthMax": TEXT_CHARS_MAX + 1})),
            "kind.lengthMax",
        );
        check(
            &of(json!({"type": "number", "decimals": 16})),
            "kind.decimals",
        );
        check(
            &of(json!({"type": "number", "minimum": 0.5})),
            "kind.minimum",
        );
        check(
            &of(json!({"type": "number", "minimum": 2, "maximum": 1})),
            "kind.minimum",
        );
        check(&of(json!({"type": "file", "countMax": 0})), "kind.countMax");
        check(
            &of(json!({"type": "image", "countMax": COUNT_MAX + 1})),
            "kind.countMax",
        );
        check(
            &of(json!({"type": "file", "suffixes": [".pdf"]})),
            "kind.suffixes",
        );
        let many: Vec<String> = (0..=SUFFIXES_MAX).map(|n| format!("s{n}")).collect();
        check(
            &of(json!({"type": "file", "suffixes": many})),
            "kind.suffixes",
        );
        check(
            &of(json!({"type": "reference", "template": "noslash"})),
            "kind.template",
        );
        let unique = Field {
            unique: true,
            ..of(json!({"type": "file"}))
        };
        check(&unique, "unique");
        let searchable = Field {
            searchable: true,
            ..of(json!({"type": "audio"}))
        };
        check(&searchable, "searchable");
    }

    #[test]
    fn unknown_words_of_a_field_are_refused() {
        for text in [
            r#"{"name":"a","kind":{"type":"text","lenght":1}}"#,
            r#"{"name":"a","kind":{"type":"poem"}}"#,
            r#"{"name":"a","kind":{"type":"number","minimum":"1"}}"#,
            r#"{"name":"a","kind":{"type":"text","pattern":"("}}"#,
            r#"{"name":"a","requried":true,"kind":{"type":"text"}}"#,
            r#"{"name":"a"}"#,
        ] {
            assert!(serde_json::from_str::<Field>(text).is_err(), "{text}");
        }
    }
}
