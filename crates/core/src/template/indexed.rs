//! Templates and registrations as the interface of second-level nodes names them: a template by its
//! prefix and version, a value by the index and type of its field.

use std::collections::HashSet;
use std::fmt::Write as _;

use guantong_proto::{Handle, NameError};
use serde_json::{Map, Value as Json};

use super::definition::Industry;
use super::field::{Field, Kind};
use super::life::Template;
use super::registration::FieldFault;
use super::rule::Why;

/// What suffixes of templates begin with, as existing products name them.
pub const TEMPLATE_LEAD: &str = "META_";

//----------- Versions -------------------------------------------------------

/// The handle of the template that a prefix has under a version.
///
/// Every version has a handle of its own that a person can read: letters, digits, `-`, `_` and `.`
/// stand for themselves, all other octets are written as `~` and two digits.
pub fn handle_of_version(prefix: &str, version: &str) -> Result<Handle, NameError> {
    let mut name = format!("{prefix}/{TEMPLATE_LEAD}");
    for octet in version.bytes() {
        match octet {
            b'-' | b'_' | b'.' => name.push(octet.into()),
            octet if octet.is_ascii_alphanumeric() => name.push(octet.into()),
            // Writing to a text does not fail.
            octet => _ = write!(name, "~{octet:02X}"),
        }
    }
    Handle::parse(&name)
}

/// The version that leads to this handle; `None` if it is that of no template.
pub fn version_of_handle(template: &Handle) -> Option<String> {
    let code = template.borrow().suffix().strip_prefix(TEMPLATE_LEAD)?;
    let mut parts = code.split('~');
    let mut octets = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        octets.push(u8::from_str_radix(digits, 16).ok()?);
        octets.extend(rest.bytes());
    }
    String::from_utf8(octets).ok()
}

//----------- Values by index and type ---------------------------------------

/// A value as it is given: the index and the type of its field, and a text.
#[derive(Clone, Copy, Debug)]
pub struct Indexed<'a> {
    /// The index.
    pub index: i32,
    /// The type, which is the name of the field.
    pub kind: &'a str,
    /// The text.
    pub text: &'a str,
}

impl Template {
    /// The values by the names of their fields, as [`check`](Self::check) takes them. Index and
    /// type must both be those of one field.
    pub fn said_at(&self, given: &[Indexed<'_>]) -> Result<Map<String, Json>, Vec<FieldFault>> {
        let (mut said, mut faults) = (Map::new(), Vec::new());
        let mut seen = HashSet::new();
        for value in given {
            let fields = &self.definition().fields;
            let is_it = |field: &&Field| field.index == value.index && field.name == value.kind;
            let why = match fields.iter().find(is_it) {
                None => Why::NotAt,
                Some(field) if !seen.insert(field.index) => Why::SaidTwice,
                Some(field) => {
                    said.insert(field.name.clone(), self.read_indexed(field, value.text));
                    continue;
                }
            };
            let field = format!("{} {}", value.index, value.kind);
            faults.push(FieldFault { field, why });
        }
        match faults.is_empty() {
            true => Ok(said),
            false => Err(faults),
        }
    }

    /// The JSON of a text: lists are written as they are stored, or with `;` between their parts.
    fn read_indexed(&self, field: &Field, text: &str) -> Json {
        let as_text = || Json::from(text);
        match &field.kind {
            Kind::Text(_) => as_text(),
            kind if kind.is_list() => match serde_json::from_str::<Vec<String>>(text) {
                Ok(parts) => parts.into(),
                Err(_) => self.read_cell(&field.name, text).unwrap_or_else(as_text),
            },
            _ => self.read_cell(&field.name, text).unwrap_or_else(as_text),
        }
    }
}

//----------- Industries -----------------------------------------------------

impl Industry {
    /// The class that four levels of the classification name: section, division, group and class.
    /// Lower levels hold the digits of the upper ones; they may repeat the letter, or be empty.
    pub fn of_levels(levels: [&str; 4]) -> Result<Self, super::definition::NoIndustry> {
        let [section, rest @ ..] = levels.map(str::trim);
        let digits = rest
            .iter()
            .map(|level| level.strip_prefix(section).unwrap_or(level));
        let longest = digits.max_by_key(|digits| digits.len()).unwrap_or_default();
        format!("{section}{longest}").parse()
    }

    /// The four levels, as far as they are known; the digits of each without the letter.
    pub fn levels(&self) -> [String; 4] {
        let text = self.to_string();
        let upto = |len: usize| text.get(1..len).unwrap_or_default().to_owned();
        let section = text.get(..1).unwrap_or_default().to_owned();
        [section, upto(3), upto(4), upto(5)]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::definition::Definition;
    use super::super::field::Text;
    use super::super::field::tests::field;
    use super::*;

    fn template() -> Template {
        let kind = |json: &str| serde_json::from_str::<Kind>(json).unwrap();
        let definition = Definition {
            title: "t".to_owned(),
            fields: vec![
                field(2_000, "serial", Kind::Text(Text::default())),
                field(2_001, "mass", kind(r#"{"type":"number"}"#)),
                field(2_002, "parts", kind(r#"{"type":"reference","countMax":3}"#)),
            ],
            ..Definition::default()
        };
        Template::draft(Handle::parse("88.118.5/META_a").unwrap(), definition).unwrap()
    }

    fn at(index: i32, kind: &'static str, text: &'static str) -> Indexed<'static> {
        Indexed { index, kind, text }
    }

    #[test]
    fn values_are_those_of_the_field_whose_index_and_type_they_have() {
        let given = [
            at(2_000, "serial", ""),
            at(2_001, "mass", "7"),
            at(2_002, "parts", r#"["88.1/a","88.1/b"]"#),
        ];
        let said = Json::Object(template().said_at(&given).unwrap());
        let parts = ["88.1/a", "88.1/b"];
        let expected = serde_json::json!({"serial": "", "mass": 7, "parts": parts});
        assert_eq!(said, expected);
        let said = template().said_at(&[at(2_002, "parts", "88.1/a;88.1/b")]);
        assert_eq!(said.unwrap()["parts"], serde_json::json!(parts));
    }

    #[test]
    fn value_of_another_index_or_type_or_said_twice_is_a_fault() {
        let given = [
            at(2_000, "mass", "7"),
            at(2_001, "Mass", "7"),
            at(1_000, "serial", "x"),
            at(2_000, "serial", "x"),
            at(2_000, "serial", "y"),
        ];
        let faults = template().said_at(&given).unwrap_err();
        let found: Vec<_> = faults.iter().map(|f| (f.field.as_str(), &f.why)).collect();
        let expected = [
            ("2000 mass", &Why::NotAt),
            ("2001 Mass", &Why::NotAt),
            ("1000 serial", &Why::NotAt),
            ("2000 serial", &Why::SaidTwice),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn industry_has_four_levels_in_every_spelling() {
        for levels in [
            ["C", "38", "384", "3841"],
            ["C", "C38", "C384", "C3841"],
            ["C", "", "", "3841"],
        ] {
            let industry = Industry::of_levels(levels).unwrap();
            assert_eq!(industry.to_string(), "C3841");
            assert_eq!(industry.levels(), ["C", "38", "384", "3841"]);
        }
        let section = Industry::of_levels(["A", "", "", ""]).unwrap();
        assert_eq!(section.levels(), ["A", "", "", ""]);
        for levels in [
            ["", "", "", ""],
            ["x", "1", "", ""],
            ["C", "38", "384", "制造"],
        ] {
            assert!(Industry::of_levels(levels).is_err(), "{levels:?}");
        }
    }

    #[test]
    fn handle_of_a_version_is_readable() {
        let handle = |version| handle_of_version("88.118.5", version).unwrap();
        assert_eq!(handle("V1.0-a_b").as_str(), "88.118.5/META_V1.0-a_b");
        assert_eq!(handle("a/b~c").as_str(), "88.118.5/META_a~2Fb~7Ec");
        assert_eq!(handle("版").as_str(), "88.118.5/META_~E7~89~88");
        let other = Handle::parse("88.118.5/battery").unwrap();
        assert_eq!(version_of_handle(&other), None);
    }

    proptest! {
        #[test]
        fn versions_and_their_handles_lead_to_each_other(version in ".{0,20}") {
            let handle = handle_of_version("88.118.5", &version).unwrap();
            prop_assert_eq!(version_of_handle(&handle), Some(version));
        }

        #[test]
        fn handles_of_others_have_some_version_or_none(suffix in "META_.{0,20}") {
            if let Ok(handle) = Handle::parse(&format!("88.118.5/{suffix}")) {
                let _ = version_of_handle(&handle);
            }
        }
    }
}
