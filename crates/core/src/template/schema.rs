//! A template as JSON Schema 2020-12, so that anybody can check a registration, and a template from
//! a schema.
//!
//! What JSON Schema has no keyword for stands in `x-guantong`: the index and the place of a field,
//! who reads it, whether it is unique. A schema of others needs none of it. What narrows values in
//! a way that a template cannot is refused and never dropped.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::decimal::Decimal;
use super::definition::{Definition, Fault, Industry};
use super::field::{Date, Field, Kind, Number, Precision, Readers, Text};
use super::limit::{
    DIGITS_MAX, FILE_CHARS_MAX, REFERENCE_CHARS_MAX, SCHEMA_DEPTH_MAX, SCHEMA_OCTETS_MAX,
    TEXT_CHARS_MAX,
};
use super::mint::Rule;
use super::notes::Notes;
use super::pattern::Pattern;

/// The dialect that is written.
pub const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
/// A second without a zone.
const SECOND: &str = "^[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01]) \
                      (?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$";
const EXTENSION: &str = "x-guantong";
/// Digits behind the point of numbers whose schema does not say how many.
const DECIMALS_USUAL: u8 = 6;
/// Keywords that say nothing about values (JSON Schema Validation, clause 9).
const ANNOTATIONS: [&str; 8] = [
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "$comment",
];

/// What `x-guantong` says of a whole template.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct OfTemplate {
    #[serde(skip_serializing_if = "String::is_empty")]
    code: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    standard: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    industry: Option<Industry>,
    #[serde(skip_serializing_if = "String::is_empty")]
    category: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    active_carrier: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    suffix: Option<Rule>,
    /// They take no values, so they are no properties. Each with its place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    disabled: Vec<(usize, Field)>,
}

/// What `x-guantong` says of a field.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct OfField {
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<usize>,
    index: i32,
    unique: bool,
    searchable: bool,
    readers: Readers,
    #[serde(skip_serializing_if = "Notes::are_none")]
    notes: Notes,
    /// The type, if the keywords do not say it: files, references, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
}

//----------- Writing --------------------------------------------------------

impl Definition {
    /// The JSON Schema of registrations: an object with a property for each field.
    pub fn to_schema(&self) -> Json {
        let (mut properties, mut required, mut disabled) = (Map::new(), Vec::new(), Vec::new());
        for (place, field) in self.fields.iter().enumerate() {
            if !field.takes_values() {
                disabled.push((place, field.clone()));
                continue;
            }
            if field.required {
                required.push(field.name.clone());
            }
            properties.insert(field.name.clone(), field.to_schema(place));
        }
        let extension = OfTemplate {
            code: self.code.clone(),
            standard: self.standard.clone(),
            industry: self.industry.clone(),
            category: self.category.clone(),
            active_carrier: self.active_carrier,
            suffix: self.suffix.clone(),
            disabled,
        };
        let mut schema = json!({
            "$schema": DIALECT,
            "type": "object",
            "title": self.title,
            "properties": properties,
            "required": required,
            "additionalProperties": false,
            EXTENSION: extension,
        });
        if !self.description.is_empty() {
            schema["description"] = self.description.as_str().into();
        }
        schema
    }
}

impl Field {
    fn to_schema(&self, place: usize) -> Json {
        let says_kind = is_said_by_keywords(&self.kind);
        let extension = OfField {
            place: Some(place),
            index: self.index,
            unique: self.unique,
            searchable: self.searchable,
            readers: self.readers,
            notes: self.notes.clone(),
            kind: (!says_kind).then(|| self.kind.clone()),
        };
        let mut schema = keywords(&self.kind);
        schema[EXTENSION] = json!(extension);
        for (keyword, text) in [("title", &self.label), ("description", &self.description)] {
            if !text.is_empty() {
                schema[keyword] = text.as_str().into();
            }
        }
        schema
    }
}

/// Whether the keywords are enough to know the type of a field.
fn is_said_by_keywords(kind: &Kind) -> bool {
    match kind {
        Kind::Text(_) | Kind::Number(_) => true,
        Kind::Date(date) => date.precision != Precision::Second,
        _ => false,
    }
}

/// The keywords by which values are checked.
fn keywords(kind: &Kind) -> Json {
    let one = match kind {
        Kind::Text(text) => {
            let mut schema = json!({
                "type": "string",
                "minLength": text.length_min,
                "maxLength": text.length_max,
            });
            if let Some(pattern) = &text.pattern {
                schema["pattern"] = pattern.to_schema().into();
            }
            schema
        }
        Kind::Number(number) => {
            let (minimum, maximum) = number.bounds();
            let mut schema = json!({"type": "integer", "minimum": minimum, "maximum": maximum});
            if number.decimals > 0 {
                schema["type"] = "number".into();
                schema["multipleOf"] = Decimal::step(number.decimals.into()).to_json();
            }
            schema
        }
        Kind::Date(date) => match date.precision {
            Precision::Day => json!({"type": "string", "format": "date"}),
            Precision::Moment => json!({"type": "string", "format": "date-time"}),
            // No format of JSON Schema is that of a second without a zone; 30 February passes.
            Precision::Second => json!({"type": "string", "pattern": SECOND}),
        },
        Kind::Reference(_) => json!({
            "type": "string",
            "maxLength": REFERENCE_CHARS_MAX,
            "pattern": r"^[^/\u0000-\u001f\u007f-\u009f]+/[^\u0000-\u001f\u007f-\u009f]+$",
        }),
        Kind::File(_) | Kind::Audio(_) | Kind::Video(_) | Kind::Image(_) => {
            let suffixes: Vec<_> = kind.suffixes().into_iter().map(in_any_case).collect();
            let suffixes = suffixes.join("|");
            json!({
                "type": "string",
                "maxLength": FILE_CHARS_MAX,
                "pattern": format!(r"^[^\u0000-\u001f\u007f-\u009f]*\.(?:{suffixes})$"),
                "not": {"pattern": r"(?:^|[/\\])\.\.(?:[/\\]|$)"},
            })
        }
    };
    match kind.is_list() {
        false => one,
        true => json!({
            "type": "array",
            "items": one,
            "minItems": 1,
            "maxItems": kind.count_max(),
            "uniqueItems": true,
        }),
    }
}

/// A pattern that matches a suffix however it is spelled.
fn in_any_case(suffix: &str) -> String {
    let of = |char: char| match char.is_ascii_alphabetic() {
        true => format!("[{char}{}]", char.to_ascii_uppercase()),
        false => char.to_string(),
    };
    suffix.chars().map(of).collect()
}

//----------- Reading --------------------------------------------------------

impl Definition {
    /// The definition that takes what a JSON Schema takes, or everything in the schema that no
    /// template can say. Bounds that the schema leaves open are those of templates.
    pub fn from_schema(schema: &Json) -> Result<Self, Vec<Fault>> {
        let whole = |why: String| vec![fault("schema", why)];
        if depth(schema) > SCHEMA_DEPTH_MAX {
            return Err(whole(format!("has more than {SCHEMA_DEPTH_MAX} levels")));
        }
        if schema.to_string().len() > SCHEMA_OCTETS_MAX {
            return Err(whole(format!("has more than {SCHEMA_OCTETS_MAX} octets")));
        }
        let Some(root) = schema.as_object() else {
            return Err(whole("must be a JSON object".to_owned()));
        };
        let mut reader = Reader { faults: Vec::new() };
        let definition = reader.root(root);
        match reader.faults.is_empty() {
            true => Ok(definition),
            false => Err(reader.faults),
        }
    }
}

fn depth(json: &Json) -> usize {
    match json {
        Json::Array(list) => 1 + list.iter().map(depth).max().unwrap_or_default(),
        Json::Object(map) => 1 + map.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

fn fault(place: impl Into<String>, why: impl Into<String>) -> Fault {
    Fault {
        place: place.into(),
        why: why.into(),
    }
}

struct Reader {
    faults: Vec<Fault>,
}

impl Reader {
    fn fault(&mut self, place: impl Into<String>, why: impl Into<String>) {
        self.faults.push(fault(place, why));
    }

    fn root(&mut self, root: &Map<String, Json>) -> Definition {
        let known = [
            "$schema",
            "$id",
            "type",
            "properties",
            "required",
            "additionalProperties",
            EXTENSION,
        ];
        self.refuse_others("", root, &known);
        if root
            .get("$schema")
            .is_some_and(|dialect| dialect != DIALECT)
        {
            self.fault("$schema", format!("must be {DIALECT}"));
        }
        if root.get("type").is_some_and(|kind| kind != "object") {
            self.fault("type", "must be `object`: a registration has named fields");
        }
        let extension: OfTemplate = self.extension("", root);
        let empty = Map::new();
        let properties = match root.get("properties") {
            Some(Json::Object(properties)) => properties,
            _ => {
                self.fault("properties", "are missing: which fields?");
                &empty
            }
        };
        let mut placed = Vec::with_capacity(properties.len());
        for (name, property) in properties {
            placed.extend(self.property(name, property));
        }
        // Those that say no place stand behind the others, by their names.
        placed.sort_by_key(|(place, _)| place.unwrap_or(usize::MAX));
        let mut fields: Vec<Field> = placed.into_iter().map(|(_, field)| field).collect();
        for (place, field) in extension.disabled {
            let disabled = field.disabled || !field.pending;
            fields.insert(place.min(fields.len()), Field { disabled, ..field });
        }
        self.required(root, &mut fields);
        Definition {
            title: text_of(root, "title"),
            description: text_of(root, "description"),
            code: extension.code,
            standard: extension.standard,
            industry: extension.industry,
            category: extension.category,
            active_carrier: extension.active_carrier,
            suffix: extension.suffix,
            fields,
        }
    }

    fn required(&mut self, root: &Map<String, Json>, fields: &mut [Field]) {
        let required: Vec<String> = match root.get("required") {
            None => Vec::new(),
            Some(list) => serde_json::from_value(list.clone()).unwrap_or_else(|_| {
                self.fault("required", "must be a list of names");
                Vec::new()
            }),
        };
        for name in required {
            let mut on = fields.iter_mut().filter(|field| field.takes_values());
            match on.find(|field| field.name == name) {
                Some(field) => field.required = true,
                None => self.fault("required", format!("names `{name}`, which is no property")),
            }
        }
    }

    fn property(&mut self, name: &str, property: &Json) -> Option<(Option<usize>, Field)> {
        let place = format!("properties.{name}");
        let Some(map) = property.as_object() else {
            self.fault(place, "must be an object");
            return None;
        };
        let extension: OfField = self.extension(&place, map);
        let kind = match &extension.kind {
            Some(kind) if is_said_by_keywords(kind) => {
                self.fault(place, "text, numbers and dates are said by keywords");
                return None;
            }
            Some(kind) => {
                self.same_keywords(&place, map, kind);
                kind.clone()
            }
            None => self.kind(&place, map)?,
        };
        let field = Field {
            index: extension.index,
            name: name.to_owned(),
            label: text_of(map, "title"),
            description: text_of(map, "description"),
            kind,
            required: false,
            unique: extension.unique,
            searchable: extension.searchable,
            readers: extension.readers,
            disabled: false,
            pending: false,
            notes: extension.notes,
        };
        Some((extension.place, field))
    }

    /// Files and references are said by the extension; keywords that say something else would be
    /// lost.
    fn same_keywords(&mut self, place: &str, map: &Map<String, Json>, kind: &Kind) {
        let mut said = map.clone();
        said.retain(|keyword, _| keyword != EXTENSION && !ANNOTATIONS.contains(&keyword.as_str()));
        if Json::Object(said) != keywords(kind) {
            let why = format!("has keywords that do not say what `kind` in `{EXTENSION}` says");
            self.fault(place, why);
        }
    }

    fn kind(&mut self, place: &str, map: &Map<String, Json>) -> Option<Kind> {
        let kind = map.get("type").and_then(Json::as_str).unwrap_or_default();
        let format = map.get("format").and_then(Json::as_str);
        match (kind, format) {
            ("string", Some(format @ ("date" | "date-time"))) => {
                self.refuse_others(place, map, &["type", "format", EXTENSION]);
                let precision = match format {
                    "date" => Precision::Day,
                    _ => Precision::Moment,
                };
                Some(Kind::Date(Date { precision }))
            }
            ("string", None) => Some(Kind::Text(self.text(place, map))),
            ("string", Some(format)) => {
                let why = format!("`{format}` is no format of fields; there are date, date-time");
                self.fault(format!("{place}.format"), why);
                None
            }
            ("integer" | "number", _) => Some(Kind::Number(self.number(place, map))),
            ("array" | "object", _) => {
                let why = format!(
                    "a field holds one text, number or date; lists are of files or references, as \
                     `kind` in `{EXTENSION}` says"
                );
                self.fault(format!("{place}.type"), why);
                None
            }
            _ => {
                let why = "must be one of string, integer, number";
                self.fault(format!("{place}.type"), why);
                None
            }
        }
    }

    fn text(&mut self, place: &str, map: &Map<String, Json>) -> Text {
        let known = ["type", "minLength", "maxLength", "pattern", EXTENSION];
        self.refuse_others(place, map, &known);
        let mut text = Text::default();
        for (keyword, length) in [
            ("minLength", &mut text.length_min),
            ("maxLength", &mut text.length_max),
        ] {
            match map
                .get(keyword)
                .map(|json| json.as_u64().and_then(|n| n.try_into().ok()))
            {
                None => {}
                Some(Some(number)) => *length = number,
                Some(None) => {
                    let why = format!("must be a number from 0 to {TEXT_CHARS_MAX}");
                    self.fault(format!("{place}.{keyword}"), why);
                }
            }
        }
        if let Some(pattern) = map.get("pattern") {
            match Pattern::from_schema(pattern.as_str().unwrap_or_default()) {
                Ok(pattern) => text.pattern = Some(pattern),
                Err(error) => self.fault(format!("{place}.pattern"), error.to_string()),
            }
        }
        text
    }

    fn number(&mut self, place: &str, map: &Map<String, Json>) -> Number {
        let known = ["type", "minimum", "maximum", "multipleOf", EXTENSION];
        self.refuse_others(place, map, &known);
        let mut read = |keyword: &str| {
            let json = map.get(keyword)?;
            match json
                .is_number()
                .then(|| json.to_string().parse::<Decimal>())
            {
                Some(Ok(number)) => Some(number),
                _ => {
                    let why = format!("must be a number of at most {DIGITS_MAX} digits");
                    self.fault(format!("{place}.{keyword}"), why);
                    None
                }
            }
        };
        let (step, minimum, maximum) = (read("multipleOf"), read("minimum"), read("maximum"));
        let decimals = match (map.get("type").and_then(Json::as_str), step) {
            (_, Some(step)) if step == Decimal::step(step.scale()) => {
                u8::try_from(step.scale()).unwrap_or(u8::MAX)
            }
            (_, Some(_)) => {
                self.fault(
                    format!("{place}.multipleOf"),
                    "must be 1, 0.1, 0.01 and so on",
                );
                0
            }
            (Some("integer"), None) => 0,
            (_, None) => DECIMALS_USUAL,
        };
        let usual = Number {
            decimals,
            ..Number::default()
        };
        // The bounds that every number of these digits has say nothing.
        let (smallest, largest) = usual.bounds();
        Number {
            minimum: minimum.filter(|minimum| *minimum != smallest),
            maximum: maximum.filter(|maximum| *maximum != largest),
            ..usual
        }
    }

    fn extension<T: Default + for<'de> Deserialize<'de>>(
        &mut self,
        place: &str,
        map: &Map<String, Json>,
    ) -> T {
        let Some(json) = map.get(EXTENSION) else {
            return T::default();
        };
        serde_json::from_value(json.clone()).unwrap_or_else(|error| {
            let place = [place, EXTENSION].join(".");
            self.fault(place.trim_start_matches('.'), error.to_string());
            T::default()
        })
    }

    fn refuse_others(&mut self, place: &str, map: &Map<String, Json>, known: &[&str]) {
        for keyword in map.keys().map(String::as_str) {
            if !known.contains(&keyword) && !ANNOTATIONS.contains(&keyword) {
                let place = [place, keyword].join(".");
                let why = "is a keyword that no template can say";
                self.fault(place.trim_start_matches('.'), why);
            }
        }
    }
}

fn text_of(map: &Map<String, Json>, keyword: &str) -> String {
    let text = map.get(keyword).and_then(Json::as_str);
    text.unwrap_or_default().to_owned()
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
