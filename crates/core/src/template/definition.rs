//! What a template says: its description and its fields, checked all at once.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::field::Field;
use super::limit::{
    CATEGORY_CHARS_MAX, CODE_CHARS_MAX, DESCRIPTION_CHARS_MAX, FIELD_INDEX_FIRST, FIELDS_MAX,
    STANDARD_CHARS_MAX, TITLE_CHARS_MAX,
};
use super::mint::Rule;

//----------- Definition -----------------------------------------------------

/// What a template says. Its author writes it; only a [`Template`](super::Template) is checked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Definition {
    /// How people call it.
    pub title: String,
    /// Its code in other software.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub code: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The standard that it follows.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub standard: String,
    /// The branch of industry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub industry: Option<Industry>,
    /// Where its owner has put it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub category: String,
    /// Whether the things carry their handles themselves, and tell them (主动标识载体).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub active_carrier: bool,
    /// How suffixes are made for registrations that come without a handle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix: Option<Rule>,
    /// The fields, in the order in which people see them.
    pub fields: Vec<Field>,
}

impl Definition {
    /// The field of that name, compared as types of values are.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields
            .iter()
            .find(|field| field.name.eq_ignore_ascii_case(name))
    }

    /// The same with an index for each field that has none: above all others, in their order.
    #[must_use]
    pub(super) fn numbered(mut self) -> Self {
        let indexes = self.fields.iter().map(|field| field.index);
        let mut last = indexes.max().unwrap_or_default().max(FIELD_INDEX_FIRST - 1);
        for field in self.fields.iter_mut().filter(|field| field.index == 0) {
            last = last.saturating_add(1);
            field.index = last;
        }
        self
    }

    /// The same in place of `old`: a field without an index has that of the old one of its name.
    #[must_use]
    pub(super) fn continuing(mut self, old: &Self) -> Self {
        for field in self.fields.iter_mut().filter(|field| field.index == 0) {
            let same = old.fields.iter().find(|old| old.name == field.name);
            field.index = same.map_or(0, |old| old.index);
        }
        self.numbered()
    }

    /// Everything that is wrong with it; empty if nothing is.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut fault = |place: String, why: String| faults.push(Fault { place, why });
        if self.title.trim().is_empty() {
            fault(
                "title".to_owned(),
                "is missing: how do people call the template?".to_owned(),
            );
        }
        for (place, text, limit) in [
            ("title", &self.title, TITLE_CHARS_MAX),
            ("code", &self.code, CODE_CHARS_MAX),
            ("description", &self.description, DESCRIPTION_CHARS_MAX),
            ("standard", &self.standard, STANDARD_CHARS_MAX),
            ("category", &self.category, CATEGORY_CHARS_MAX),
        ] {
            if text.chars().count() > limit {
                fault(
                    place.to_owned(),
                    format!("has more than {limit} characters"),
                );
            }
        }
        if self.fields.len() > FIELDS_MAX {
            let count = self.fields.len();
            fault(
                "fields".to_owned(),
                format!("are {count}, the limit is {FIELDS_MAX}"),
            );
            return faults;
        }
        let (mut names, mut indexes) = (HashMap::new(), HashMap::new());
        for (at, field) in self.fields.iter().enumerate() {
            for (place, why) in field.faults() {
                fault(format!("fields[{at}].{place}"), why);
            }
            if let Some(other) = names.insert(field.name.to_ascii_lowercase(), at) {
                let why = format!("is also that of fields[{other}]; case makes no difference");
                fault(format!("fields[{at}].name"), why);
            }
            if let Some(other) = indexes.insert(field.index, at) {
                let why = format!("is also that of fields[{other}]");
                fault(format!("fields[{at}].index"), why);
            }
        }
        faults
    }

    /// What in `next` would give a registration made by this definition another meaning.
    pub(super) fn breaches(&self, next: &Self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut fault = |place: String, why: &str| {
            let why = why.to_owned();
            faults.push(Fault { place, why });
        };
        for old in &self.fields {
            let found = next
                .fields
                .iter()
                .position(|field| field.index == old.index);
            let Some((at, new)) = found.and_then(|at| Some((at, next.fields.get(at)?))) else {
                let place = format!("fields ({}, {})", old.index, old.name);
                fault(place, "is missing: a field is disabled, not removed");
                continue;
            };
            let place = |part: &str| format!("fields[{at}].{part}");
            if new.name != old.name {
                fault(
                    place("name"),
                    "must stay: it is the type of values that exist",
                );
            }
            if !new.kind.is_like(&old.kind) {
                fault(
                    place("kind"),
                    "must stay of its type: there are values of it",
                );
            }
            if new.is_found_by() && !old.is_found_by() {
                let why = "must stay: registrations that exist could not be found by it";
                fault(place(if new.unique { "unique" } else { "searchable" }), why);
            } else if new.unique && !old.unique {
                fault(
                    place("unique"),
                    "must stay: registrations that exist may share a value",
                );
            }
        }
        let last = self.fields.iter().map(|field| field.index).max();
        for (at, new) in next.fields.iter().enumerate() {
            let is_old = self.fields.iter().any(|old| old.index == new.index);
            if !is_old && last.is_some_and(|last| new.index < last) {
                let place = format!("fields[{at}].index");
                fault(place, "must be above those of all fields that there were");
            }
        }
        faults
    }
}

//----------- Fault ----------------------------------------------------------

/// What is wrong with a definition, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The place, such as `fields[3].kind.lengthMin`.
    pub place: String,
    /// What is wrong there.
    pub why: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.place, self.why)
    }
}

//----------- Industry -------------------------------------------------------

/// A class of the national industrial classification (国民经济行业分类, GB/T 4754): the letter of
/// the section, then two digits of a division, three of a group or four of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Industry(String);

impl FromStr for Industry {
    type Err = NoIndustry;

    fn from_str(text: &str) -> Result<Self, NoIndustry> {
        let digits = text.strip_prefix(|section: char| ('A'..='T').contains(&section));
        let is_class = digits.is_some_and(|digits| {
            matches!(digits.len(), 0 | 2..=4) && digits.bytes().all(|d| d.is_ascii_digit())
        });
        match is_class {
            true => Ok(Self(text.to_owned())),
            false => Err(NoIndustry),
        }
    }
}

impl fmt::Display for Industry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Industry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Industry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// The text is no class of the classification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an industry is a section A to T, with two to four digits of GB/T 4754, such as C3825")]
pub struct NoIndustry;

#[cfg(test)]
mod tests {
    use super::super::field::tests::field;
    use super::super::field::{Kind, Text};
    use super::*;

    fn text() -> Kind {
        Kind::Text(Text::default())
    }

    fn definition(fields: Vec<Field>) -> Definition {
        Definition {
            title: "Battery".to_owned(),
            fields,
            ..Definition::default()
        }
    }

    fn places(faults: &[Fault]) -> Vec<&str> {
        faults.iter().map(|fault| fault.place.as_str()).collect()
    }

    #[test]
    fn every_fault_is_told_at_once_with_its_place() {
        let faulty = Definition {
            title: " ".to_owned(),
            category: "c".repeat(CATEGORY_CHARS_MAX + 1),
            ..definition(vec![
                field(2_000, "a", text()),
                field(2_000, "A", text()),
                field(7, "1", text()),
            ])
        };
        let expected = [
            "title",
            "category",
            "fields[1].name",
            "fields[1].index",
            "fields[2].index",
            "fields[2].name",
        ];
        assert_eq!(places(&faulty.faults()), expected);
    }

    #[test]
    fn lengths_and_number_of_fields_are_bounded() {
        let full = |more: usize| Definition {
            title: "题".repeat(TITLE_CHARS_MAX + more),
            description: "述".repeat(DESCRIPTION_CHARS_MAX + more),
            standard: "标".repeat(STANDARD_CHARS_MAX + more),
            category: "类".repeat(CATEGORY_CHARS_MAX + more),
            ..definition(
                (0..FIELDS_MAX + more)
                    .map(|n| field(0, &format!("f{n}"), text()))
                    .collect(),
            )
        };
        assert_eq!(full(0).numbered().faults(), []);
        let expected = ["title", "description", "standard", "category", "fields"];
        assert_eq!(places(&full(1).numbered().faults()), expected);
    }

    #[test]
    fn fields_without_an_index_get_the_next_ones() {
        let of = |indexes: &[i32]| {
            let fields = indexes.iter().enumerate();
            let fields = fields.map(|(at, index)| field(*index, &format!("f{at}"), text()));
            let numbered = definition(fields.collect()).numbered();
            numbered
                .fields
                .iter()
                .map(|field| field.index)
                .collect::<Vec<_>>()
        };
        assert_eq!(of(&[0, 0, 0]), [2_000, 2_001, 2_002]);
        assert_eq!(of(&[0, 2_005, 0]), [2_006, 2_005, 2_007]);
        assert_eq!(of(&[i32::MAX, 0]), [i32::MAX, i32::MAX]);
    }

    #[test]
    fn later_definition_keeps_the_meaning_of_values_that_exist() {
        let old = definition(vec![field(2_000, "a", text()), field(2_001, "b", text())]);
        let mut next = old.clone();
        next.fields[1].disabled = true;
        next.fields.insert(0, field(2_002, "c", text()));
        assert_eq!(old.breaches(&next), []);

        let number: Kind = serde_json::from_str(r#"{"type":"number"}"#).unwrap();
        let mut next = definition(vec![field(2_000, "x", number), field(1_999, "d", text())]);
        next.fields[0].unique = true;
        let expected = [
            "fields[0].name",
            "fields[0].kind",
            "fields[0].unique",
            "fields (2001, b)",
            "fields[1].index",
        ];
        assert_eq!(places(&old.breaches(&next)), expected);
    }

    #[test]
    fn industry_is_a_class_of_the_national_standard() {
        for text in ["C", "C38", "C382", "C3825", "A01", "T9600"] {
            assert_eq!(text.parse::<Industry>().unwrap().to_string(), text);
        }
        for text in ["", "U", "c38", "C3", "C38255", "38", "C３８", "C-1"] {
            assert_eq!(text.parse::<Industry>(), Err(NoIndustry), "{text}");
        }
    }
}
