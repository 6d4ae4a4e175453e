//! Schemas there and back, schemas of others, and that a schema means what we check.

use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

use super::super::field::tests::field;
use super::super::{Extent, Files, Reference, Template};
use super::*;
use guantong_proto::wire::Writer;
use guantong_proto::{CaseRule, Handle, Value, Values};

//----------- Random templates -----------------------------------------------

fn decimals() -> impl Strategy<Value = Decimal> {
    (-99_999_i64..99_999, 0_u32..3).prop_map(|(digits, scale)| {
        let sign = if digits < 0 { "-" } else { "" };
        let text = format!("{sign}{}e-{scale}", digits.abs());
        text.parse().unwrap()
    })
}

fn kinds() -> impl Strategy<Value = Kind> {
    let patterns = prop::sample::select(vec!["[A-Z]{2}[0-9]+", "a.c|[^x-z]*", "(ab)+\\.", ""]);
    let text = (0_u32..5, 5_u32..9, prop::option::of(patterns)).prop_map(|(min, max, pattern)| {
        Kind::Text(Text {
            length_min: min,
            length_max: max,
            pattern: pattern.map(|text| text.parse().unwrap()),
        })
    });
    let number = (
        prop::option::of(decimals()),
        prop::option::of(decimals()),
        2_u8..5,
    );
    let number = number.prop_map(|(a, b, decimals)| {
        let (minimum, maximum) = match (a, b) {
            (Some(a), Some(b)) => (Some(a.min(b)), Some(a.max(b))),
            other => other,
        };
        Kind::Number(Number {
            decimals,
            minimum,
            maximum,
        })
    });
    let whole = Just(Kind::Number(Number::default()));
    let dates = prop::sample::select(vec![Precision::Day, Precision::Moment, Precision::Second]);
    let date = dates.prop_map(|precision| Kind::Date(Date { precision }));
    let suffixes = prop::collection::vec("[a-z0-9]{1,4}", 0..3);
    let files = (1_u16..4, suffixes, 0..4).prop_map(|(count_max, suffixes, which)| {
        let files = Files {
            count_max,
            suffixes,
        };
        match which {
            0 => Kind::File(files),
            1 => Kind::Audio(files),
            2 => Kind::Video(files),
            _ => Kind::Image(files),
        }
    });
    let templates = prop::sample::select(vec!["", "88.118.5/META_b"]);
    let reference = (1_u16..4, templates).prop_map(|(count_max, template)| {
        let template = template.to_owned();
        Kind::Reference(Reference {
            template,
            count_max,
        })
    });
    prop_oneof![text, number, whole, date, files, reference]
}

fn fields() -> impl Strategy<Value = Field> {
    let flags = prop::array::uniform6(any::<bool>());
    ("[a-z]{1,6}", "\\PC{0,5}", kinds(), flags).prop_map(|(name, label, kind, flags)| {
        let [required, unique, searchable, is_public, disabled, pending] = flags;
        let is_plain = matches!(kind, Kind::Text(_) | Kind::Number(_) | Kind::Date(_));
        Field {
            label: label.clone(),
            description: label.clone(),
            notes: Notes {
                code: label,
                not_in_lists: is_public,
                ..Notes::default()
            },
            required: required && !disabled && !pending,
            unique: unique && is_plain,
            searchable: searchable && is_plain,
            readers: match is_public {
                true => Readers::Everybody,
                false => Readers::Administrators,
            },
            disabled,
            pending,
            ..field(0, &name, kind)
        }
    })
}

fn templates() -> impl Strategy<Value = Template> {
    let fields = prop::collection::vec(fields(), 0..8);
    let suffix = prop::option::of(Just("SN{counter:6}{check}"));
    (fields, "[a-z]{1,9}", suffix).prop_map(|(mut fields, title, suffix)| {
        let mut names = std::collections::HashSet::new();
        fields.retain(|field| names.insert(field.name.clone()));
        let definition = Definition {
            title: title.clone(),
            code: title.clone(),
            description: title.clone(),
            standard: title.clone(),
            industry: Some("C3841".parse().unwrap()),
            category: title,
            active_carrier: true,
            suffix: suffix.map(|text| text.parse().unwrap()),
            fields,
        };
        Template::draft(Handle::parse("88.118.5/META_a").unwrap(), definition).unwrap()
    })
}

/// Values that some field may take, and many that none does.
fn said() -> impl Strategy<Value = Json> {
    let text = prop_oneof![
        Just("AB1".to_owned()),
        Just("abab.".to_owned()),
        "[a-c]{0,10}",
        "\\PC{0,6}",
        Just("2026-02-28".to_owned()),
        Just("2026-02-29".to_owned()),
        Just("2026-2-28".to_owned()),
        Just("2026-02-28T23:59:59Z".to_owned()),
        Just("2026-02-28T24:00:00+08:00".to_owned()),
        Just("2026-02-28 23:59:59".to_owned()),
        Just("88.118.5/x".to_owned()),
        Just("a/b/c".to_owned()),
        Just("/x".to_owned()),
        Just("x/\u{85}".to_owned()),
        Just("https://e.org/a.PDF".to_owned()),
        Just("a.mp4".to_owned()),
        Just("../a.png".to_owned()),
        Just("a\\..\\b.png".to_owned()),
        Just("a..png".to_owned()),
        Just(".jpg".to_owned()),
        Just("a\n.jpg".to_owned()),
    ];
    let number = prop_oneof![
        decimals().prop_map(Decimal::to_json),
        (-9_i64..9).prop_map(Json::from),
        prop::sample::select(vec![
            json!(0.1),
            json!(1.0),
            json!(1e15),
            json!(1e-7),
            json!(0.07)
        ]),
        prop::sample::select(vec![json!(u64::MAX), json!(999_999_999_999_999_i64)]),
    ];
    let part = prop_oneof![
        4 => text.prop_map(Json::from),
        2 => number,
        1 => Just(Json::Null),
        1 => Just(json!(true)),
    ];
    let list = prop::collection::vec(part.clone(), 0..5).prop_map(Json::from);
    prop_oneof![4 => part, 1 => list]
}

proptest! {
    #[test]
    fn template_comes_back_from_its_schema(template in templates()) {
        let schema = template.definition().to_schema();
        prop_assert!(jsonschema::draft202012::meta::is_valid(&schema));
        let read = Definition::from_schema(&schema);
        prop_assert_eq!(read.as_ref(), Ok(template.definition()));
    }

    #[test]
    fn template_comes_back_from_its_record(template in templates()) {
        let values = template.to_values(CaseRule::Insensitive);
        let wire = Writer::to_vec(|w| Values::encode(&values, w));
        let read = Template::of(template.handle().clone(), Values::from_wire(&wire).unwrap());
        prop_assert_eq!(read, Ok(template));
    }

    /// The schema is checked by other people's software; ours must say the same.
    #[test]
    fn registration_is_taken_exactly_if_the_schema_takes_it(
        template in templates(),
        values in prop::collection::vec((said(), any::<prop::sample::Index>()), 0..6),
        keep_all in any::<bool>(),
    ) {
        let fields = &template.definition().fields;
        let mut object = Map::new();
        for (value, at) in values {
            let name = match fields.is_empty() {
                true => "none".to_owned(),
                false => fields[at.index(fields.len())].name.clone(),
            };
            object.insert(name, value);
        }
        let schema = template.definition().to_schema();
        let validator = jsonschema::draft202012::options()
            .should_validate_formats(true)
            .build(&schema)
            .unwrap();
        let ours = template.check(&object, Extent::Whole);
        let theirs = validator.is_valid(&Json::Object(object.clone()));
        prop_assert_eq!(ours.is_ok(), theirs, "{:?}\n{:?}\n{}", object, ours, schema);
        // One field at a time, so that valid values are met often enough.
        for (name, value) in object.iter().filter(|_| !keep_all) {
            let one = Map::from_iter([(name.clone(), value.clone())]);
            let property = &schema["properties"][name];
            if property.is_null() {
                continue;
            }
            let validator = jsonschema::draft202012::options()
                .should_validate_formats(true)
                .build(property)
                .unwrap();
            let ours = template.check(&one, Extent::Part);
            prop_assert_eq!(ours.is_ok(), validator.is_valid(value), "{} {}", value, property);
        }
    }

    #[test]
    fn values_that_are_taken_are_read_back(
        template in templates(),
        values in prop::collection::vec((said(), any::<prop::sample::Index>()), 0..6),
    ) {
        let fields = &template.definition().fields;
        for (value, at) in values {
            if fields.is_empty() {
                continue;
            }
            let name = fields[at.index(fields.len())].name.clone();
            let one = Map::from_iter([(name.clone(), value.clone())]);
            let Ok(given) = template.check(&one, Extent::Part) else { continue };
            let values: Vec<Value> = template.values(&given, CaseRule::Insensitive);
            let read = template.read(&values);
            let same = match (&read[&name], &value) {
                (Json::Number(a), Json::Number(b)) => a.as_f64() == b.as_f64(),
                (a, b) => a == b,
            };
            prop_assert!(same, "{value} {read:?}");
        }
    }
}

/// JSON of any form, with words that mean something here.
fn anything() -> impl Strategy<Value = Json> {
    let words = prop::sample::select(vec![
        "type",
        "properties",
        "required",
        "title",
        "pattern",
        "multipleOf",
        "x-guantong",
        "kind",
        "string",
        "number",
        "object",
        "a",
        "index",
        "fields",
        "name",
        "disabled",
        "suffix",
    ]);
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        words.clone().prop_map(Json::from),
        "\\PC{0,4}".prop_map(Json::from),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        let entry = (words.clone().prop_map(str::to_owned), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(Json::from),
            prop::collection::vec(entry, 0..6)
                .prop_map(|pairs| Json::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn garbage_is_refused_and_does_not_panic(template in templates(), garbage in anything()) {
        if let Ok(definition) = Definition::from_schema(&garbage) {
            let numbered = definition.numbered();
            let _ = (numbered.faults(), template.definition().breaches(&numbered));
        }
        if let Ok(definition) = serde_json::from_value::<Definition>(garbage.clone()) {
            let _ = definition.numbered().faults();
        }
        for name in template.definition().fields.iter().map(|field| &field.name) {
            let one = Map::from_iter([(name.clone(), garbage.clone())]);
            let _ = template.check(&one, Extent::Whole);
        }
        // A schema of ours in which something is not what it was.
        let mut schema = template.definition().to_schema();
        schema["properties"]["a"] = garbage.clone();
        let _ = Definition::from_schema(&schema);
        schema["x-guantong"] = garbage;
        let _ = Definition::from_schema(&schema);
    }
}

//----------- Schemas of others ----------------------------------------------

#[test]
fn schema_without_our_words_makes_a_template() {
    let schema = json!({
        "$schema": DIALECT,
        "$id": "https://example.org/battery",
        "title": "Battery",
        "type": "object",
        "required": ["serial"],
        "properties": {
            "serial": {"type": "string", "title": "序列号", "minLength": 3, "pattern": "^[A-Z]+$"},
            "mass": {"type": "number", "minimum": 0, "multipleOf": 0.01},
            "cells": {"type": "integer", "maximum": 96},
            "made": {"type": "string", "format": "date"},
        },
    });
    let definition = Definition::from_schema(&schema).unwrap().numbered();
    assert_eq!(definition.faults(), []);
    let json = serde_json::to_value(&definition).unwrap();
    assert_eq!(
        json["fields"],
        json!([
            {"index": 2000, "name": "cells",
             "kind": {"type": "number", "decimals": 0, "maximum": 96}},
            {"index": 2001, "name": "made", "kind": {"type": "date", "precision": "day"}},
            {"index": 2002, "name": "mass",
             "kind": {"type": "number", "decimals": 2, "minimum": 0}},
            {"index": 2003, "name": "serial", "label": "序列号", "required": true,
             "kind": {"type": "text", "lengthMin": 3, "lengthMax": TEXT_CHARS_MAX,
                      "pattern": "[A-Z]+"}},
        ])
    );
}

#[test]
fn what_no_template_can_say_is_refused_and_all_of_it_is_told() {
    let schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "minProperties": 1,
        "required": ["none"],
        "properties": {
            "a": {"type": "string", "enum": ["x"]},
            "b": {"type": "array", "items": {"type": "string"}},
            "c": {"type": "string", "format": "email"},
            "d": {"type": ["string", "null"]},
            "e": {"type": "string", "pattern": "\\d"},
            "f": {"type": "number", "multipleOf": 0.3},
            "g": {"type": "string", "maxLength": -1},
            "h": true,
            "i": {"type": "string", "x-guantong": {"kind": {"type": "image"}}},
            "j": {"type": "string", "x-guantong": {"kin": 1}},
        },
    });
    let faults = Definition::from_schema(&schema).unwrap_err();
    let mut places: Vec<_> = faults.iter().map(|fault| fault.place.as_str()).collect();
    places.sort_unstable();
    let expected = [
        "$schema",
        "minProperties",
        "properties.a.enum",
        "properties.b.type",
        "properties.c.format",
        "properties.d.type",
        "properties.e.pattern",
        "properties.f.multipleOf",
        "properties.g.maxLength",
        "properties.h",
        "properties.i",
        "properties.j.x-guantong",
        "required",
    ];
    assert_eq!(places, expected, "{faults:?}");
}

#[test]
fn depth_and_length_of_a_schema_are_bounded() {
    let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
    let with = |default: Json| {
        let property = json!({"type": "string", "default": default});
        json!({"title": "t", "properties": {"a": property}})
    };
    assert!(Definition::from_schema(&with(nested(SCHEMA_DEPTH_MAX - 3))).is_ok());
    assert!(Definition::from_schema(&with(nested(SCHEMA_DEPTH_MAX - 2))).is_err());
    let room = SCHEMA_OCTETS_MAX - with(json!("")).to_string().len();
    assert!(Definition::from_schema(&with("x".repeat(room).into())).is_ok());
    assert!(Definition::from_schema(&with("x".repeat(room + 1).into())).is_err());
    for garbage in [json!(null), json!([]), json!({}), json!({"properties": []})] {
        assert!(Definition::from_schema(&garbage).is_err(), "{garbage}");
    }
}
