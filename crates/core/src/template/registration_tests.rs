//! What a registration is told, what it asks for, and what stands in its record.

use guantong_proto::wire::Writer;
use serde_json::json;

use super::super::Definition;
use super::*;

const RULE: CaseRule = CaseRule::Insensitive;

fn template() -> Template {
    let fields = json!([
        {"name": "serial", "kind": {"type": "text", "lengthMax": 5}, "required": true,
         "unique": true, "readers": "everybody"},
        {"name": "mass", "kind": {"type": "number", "decimals": 1}, "searchable": true},
        {"name": "cells", "kind": {"type": "reference", "countMax": 3,
                                   "template": "88.118.5/META_cell"}},
        {"name": "photos", "kind": {"type": "image", "countMax": 2}},
        {"name": "old", "kind": {"type": "text"}, "disabled": true},
    ]);
    let definition = Definition {
        title: "Battery".to_owned(),
        fields: serde_json::from_value(fields).unwrap(),
        ..Definition::default()
    };
    let handle = Handle::parse("88.118.5/META_battery").unwrap();
    let template = Template::draft(handle, definition).unwrap();
    template.turn(State::Published).unwrap()
}

fn map(json: &Json) -> Map<String, Json> {
    json.as_object().unwrap().clone()
}

fn wire(values: &[Value]) -> Vec<u8> {
    Writer::to_vec(|w| Values::encode(values, w))
}

#[test]
fn every_fault_is_told_at_once_with_its_field() {
    let said = map(&json!({
        "Serial": "x", "mass": "heavy", "cells": "1/x", "photos": [], "old": "x", "none": 1,
    }));
    let faults = template().check(&said, Extent::Whole).unwrap_err();
    let told: Vec<_> = faults.iter().map(ToString::to_string).collect();
    let expected = [
        "Serial: the template has no such field; names are compared exactly",
        "none: the template has no such field; names are compared exactly",
        "old: the field is disabled; leave it out",
        "serial: a value is required",
        "mass: must be a number",
        "cells: must be a list",
        "photos: has 0 parts, and must have 1 to 2",
    ];
    assert_eq!(told, expected);
}

#[test]
fn part_of_a_registration_needs_only_what_it_says() {
    let said = map(&json!({"mass": 1.5}));
    assert!(template().check(&said, Extent::Whole).is_err());
    assert_eq!(template().check(&said, Extent::Part).unwrap().len(), 1);
    let null = map(&json!({"serial": null}));
    assert!(template().check(&null, Extent::Part).is_err());
}

#[test]
fn record_has_the_fields_and_by_what_it_is_found() {
    let said = map(&json!({
        "serial": "A1", "mass": 1.50, "cells": ["1/x", "1/Y"], "photos": ["a.png"],
    }));
    let template = template();
    let given = template.check(&said, Extent::Whole).unwrap();
    let values = template.values(&given, RULE);
    let shown: Vec<String> = values
        .iter()
        .map(|v| {
            format!(
                "{} {} {:?} {:x}",
                v.index,
                v.kind,
                v.text().unwrap(),
                v.permissions.0
            )
        })
        .collect();
    let expected = [
        r#"1000 GT_TEMPLATE.HANDLE "88.118.5/META_battery" e"#,
        r#"1001 GT_TEMPLATE.VERSION "1" e"#,
        r#"2000 serial "A1" e"#,
        r#"100000 GT_TEMPLATE.KEY "registration 2000 88.118.5/META_BATTERY\nA1" e"#,
        r#"2001 mass "1.5" c"#,
        r#"100050 GT_TEMPLATE.KEY "registration 2001 88.118.5/META_BATTERY\n1.5" c"#,
        r#"2002 cells "[\"1/x\",\"1/Y\"]" c"#,
        r#"100100 GT_TEMPLATE.LINK "1/X" c"#,
        r#"100101 GT_TEMPLATE.LINK "1/Y" c"#,
        r#"2003 photos "[\"a.png\"]" c"#,
    ];
    assert_eq!(shown, expected);
    assert!(values.iter().all(is_registered));
    assert!(!is_registered(&Value::new(100, "HS_ADMIN", "")));
    assert_eq!(template.read(&values), said);
    let octets = wire(&values);
    let by = template_of(Values::from_wire(&octets).unwrap());
    assert_eq!(by.as_ref(), Some(template.handle()));

    let fewer = template
        .check(&map(&json!({"cells": ["1/x"]})), Extent::Part)
        .unwrap();
    assert_eq!(template.left_over(&fewer, &values), [100_101]);
}

#[test]
fn values_that_others_have_written_are_read_as_they_are() {
    let values = [
        Value::new(2_000, "SERIAL", "A1"),
        Value::new(2_001, "mass", "heavy"),
        Value::new(2_002, "cells", "1/x"),
        Value::new(2_003, "other", "x"),
        Value::new(2_004, "old", vec![0xff]),
    ];
    let expected = json!({"serial": "A1", "mass": "heavy", "cells": ["1/x"]});
    assert_eq!(template().read(&values), map(&expected));
}

#[test]
fn unique_values_and_targets_are_asked_for_and_judged() {
    let template = template();
    let said = map(&json!({"serial": "A1", "cells": ["1/x"]}));
    let given = template.check(&said, Extent::Whole).unwrap();
    let lookups = template.lookups(&given, RULE);
    let [holders, target] = lookups.as_slice() else {
        panic!("{lookups:?}")
    };
    let Lookup::Holders { key, .. } = holders else {
        panic!("{holders:?}")
    };
    let searched = template.search("serial", "A1", RULE).unwrap();
    assert_eq!((searched.0, &searched.1), (KEY_TYPE, key));
    let own = Handle::parse("88.118.5/a").unwrap();
    let other = Handle::parse("88.118.5/b").unwrap();
    let spelled = Handle::parse("88.118.5/A").unwrap();
    let judge = |holders_of: &[Handle]| holders.judge_holders(&own, holders_of, RULE);
    assert_eq!((judge(&[]), judge(&[spelled])), (None, None));
    let fault = judge(&[own.clone(), other]).unwrap().to_string();
    assert_eq!(fault, "serial: is unique, and 88.118.5/b has this value");

    let judge = |values: Option<&[Value]>| {
        let octets = values.map(wire);
        let values = octets
            .as_deref()
            .map(|octets| Values::from_wire(octets).unwrap());
        target
            .judge_target(&Target::of(values), RULE)
            .map(|fault| fault.to_string())
    };
    let by = |template: &str| [Value::new(1_000, HANDLE_TYPE, template)];
    assert_eq!(judge(Some(&by("88.118.5/meta_CELL"))), None);
    let none = "cells: refers to 1/x, which is not there";
    assert_eq!(judge(None).as_deref(), Some(none));
    let wrong = "cells: refers to 1/x, which is not registered by 88.118.5/META_cell";
    assert_eq!(
        judge(Some(&by("88.118.5/META_other"))).as_deref(),
        Some(wrong)
    );
    assert_eq!(judge(Some(&[])).as_deref(), Some(wrong));
}

#[test]
fn only_searchable_fields_are_searched_for_values_that_they_take() {
    let template = template();
    let search = |name: &str, text: &str| template.search(name, text, RULE);
    assert_eq!(search("mass", "1.50"), search("mass", "1.5"));
    assert_eq!(
        search("cells", "1/x").unwrap(),
        (LINK_TYPE, b"1/X".to_vec())
    );
    assert_eq!(search("photos", "a.png"), Err(Why::NotSearchable));
    assert_eq!(search("none", "x"), Err(Why::Unknown));
    assert!(search("mass", "heavy").is_err() && search("serial", "toolong").is_err());
}

#[test]
fn cells_of_a_table_are_read_by_the_field() {
    let template = template();
    let read = |name: &str, cell: &str| template.read_cell(name, cell);
    assert_eq!(read("serial", ""), None);
    assert_eq!(read("serial", "1"), Some(json!("1")));
    assert_eq!(read("mass", "1.50"), Some(json!(1.5)));
    assert_eq!(read("mass", "heavy"), Some(json!("heavy")));
    assert_eq!(read("cells", "1/x; 1/y"), Some(json!(["1/x", "1/y"])));
    assert_eq!(read("none", "x"), Some(json!("x")));
}

#[test]
fn only_a_published_template_is_registered_by() {
    assert_eq!(template().admits(), Ok(()));
    let withdrawn = template().turn(State::Withdrawn).unwrap();
    assert!(withdrawn.admits().is_err());
}

/// The longest list of the last field must not run into anything.
#[test]
fn every_field_has_room_for_what_it_is_found_by() {
    let last = FIELD_INDEX_LAST - FIELD_INDEX_FIRST + 1;
    assert!(
        SOUGHT_INDEX_FIRST
            .checked_add(last * i32::from(COUNT_MAX))
            .is_some()
    );
    const { assert!(SOUGHT_INDEX_FIRST > FIELD_INDEX_LAST) };
}
