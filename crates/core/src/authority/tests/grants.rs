//! What rules show to everybody.

use super::*;
use crate::grant::{RULE_INDEX, Rule, Subject, class_index};

const TEMPLATE: &str = "a/META_t";

fn open(index: i32) -> Value {
    let rule = Rule {
        readers: vec![Subject::Everybody],
        ..Rule::default()
    };
    rule.to_value(index)
}

fn named(index: i32) -> Value {
    let rule = Rule {
        readers: vec!["300:a/App_1".parse().unwrap()],
        ..Rule::default()
    };
    rule.to_value(index)
}

/// Two fields that administrators read, one that everybody reads, and by what it is found.
fn registration() -> Vec<Value> {
    vec![
        Value::new(1_000, "GT_TEMPLATE.HANDLE", TEMPLATE),
        value(2_000, "serial", 0x0c),
        value(2_001, "mass", 0x0c),
        value(2_002, "made", 0x0e),
        value(100_000, "GT_TEMPLATE.KEY", 0x0c),
        value(300, "HS_SECKEY", 0x0e),
    ]
}

fn template(rules: &[Value]) -> Vec<Value> {
    [&[Value::new(1, "GT_TEMPLATE", "{}")], rules].concat()
}

fn says(record: &[Value], template: &[Value]) -> String {
    let node = Node::new(&["a"], &[("a/b", record), (TEMPLATE, template)]);
    node.says(&resolve("A/b"))
}

#[test]
fn class_rule_shows_a_field_to_everybody_and_what_it_is_found_by() {
    let plain = "1 A/b: [1000, 2002]";
    assert_eq!(says(&registration(), &template(&[])), plain);
    assert_eq!(says(&registration(), &template(&[named(20_000)])), plain);
    let shown = says(&registration(), &template(&[open(class_index(2_000))]));
    assert_eq!(shown, "1 A/b: [1000, 2000, 2002, 100000]");
    assert_eq!(says(&registration(), &[open(class_index(2_000))]), plain);
}

#[test]
fn own_rule_holds_in_place_of_the_class_rule() {
    let class = template(&[open(class_index(2_000))]);
    let with = |own: Value| [registration(), vec![own]].concat();
    assert_eq!(
        says(&with(named(RULE_INDEX)), &class),
        "1 A/b: [1000, 2002]"
    );
    let all = "1 A/b: [1000, 2000, 2001, 2002, 100000]";
    assert_eq!(says(&with(open(RULE_INDEX)), &template(&[])), all);
    let mut damaged = open(RULE_INDEX);
    damaged.data.truncate(5);
    assert_eq!(says(&with(damaged), &class), "1 A/b: [1000, 2002]");
}

#[test]
fn selected_values_are_shown_by_rules_too() {
    let class = template(&[open(class_index(2_000)), open(class_index(2_002))]);
    let node = Node::new(&["a"], &[("a/b", &registration()), (TEMPLATE, &class)]);
    let ask = |indexes: &[i32]| node.says(&default().resolve("a/b", indexes, &NONE));
    assert_eq!(ask(&[2_000]), "1 a/b: [2000]");
    assert_eq!(ask(&[2_001]), "200: ");
    assert_eq!(ask(&[2_001, 2_002]), "1 a/b: [2002]");
    // Who asks for everything is asked who he is, unless a rule answers.
    assert_eq!(
        node.says(&resolve_all("a/b", &[2_000, 2_002])),
        "1 a/b: [2000, 2002]"
    );
    assert_eq!(
        node.says(&resolve_all("a/b", &[2_000, 2_001])),
        "402 nonce 16"
    );
    let many: Vec<i32> = (1_990..2_001).collect();
    assert_eq!(ask(&many), "1 a/b: [2000]");
}

#[test]
fn grant_and_secret_are_shown_to_nobody_whatever_their_permissions_say() {
    let mut rule = open(RULE_INDEX);
    rule.permissions = Permissions(0x0f);
    let record = [registration(), vec![rule]].concat();
    assert!(!says(&record, &template(&[])).contains("1003"));
    let node = Node::new(&["a"], &[("a/b", &record)]);
    assert_eq!(
        node.says(&default().resolve("a/b", &[RULE_INDEX], &NONE)),
        "200: "
    );
    assert_eq!(
        node.says(&default().resolve("a/b", &[], &["GT_GRANT"])),
        "200: "
    );
}

#[test]
fn template_that_is_absent_or_of_others_shows_nothing() {
    let node = Node::new(&["a"], &[("a/b", &registration())]);
    assert_eq!(node.says(&resolve("a/b")), "1 a/b: [1000, 2002]");
    let class = template(&[open(class_index(2_000))]);
    let node = Node::new(&["a", "c"], &[("c/b", &registration()), (TEMPLATE, &class)]);
    assert_eq!(node.says(&resolve("c/b")), "1 c/b: [1000, 2002]");
}

#[test]
fn rule_shows_nothing_of_a_record_that_is_reserved() {
    let reserved = Value::new(1_900, "GT_STATE", r#"{"state":"reserved"}"#);
    let record = [registration(), vec![open(RULE_INDEX), reserved]].concat();
    assert_eq!(says(&record, &template(&[])), "100: ");
}

#[test]
fn record_that_changes_between_two_looks_is_judged_by_what_it_is_last() {
    let node = Node::new(&["a"], &[]);
    let query = Query::public("a/b");
    let wire = |values: &[Value]| Writer::to_vec(|w| Values::encode(values, w));
    let (first, class) = (wire(&registration()), wire(&template(&[open(20_000)])));
    let mut other = registration();
    other[0].data = b"a/META_other".to_vec();
    let shown = [registration(), vec![named(RULE_INDEX)]].concat();
    for (second, expected) in [
        (Some(registration()), Some(4)),
        (Some(other), Some(2)),
        (Some(shown), Some(2)),
        (None, None),
    ] {
        let second = second.map(|values| wire(&values));
        let mut looks = [Some(first.clone()), Some(class.clone()), second].into_iter();
        let fetch = |_: &[u8]| Ok::<_, Infallible>(looks.next().unwrap());
        let outcome = authority_resolve(&node.site, query, fetch);
        let found = match outcome {
            Outcome::Record(values) => Some(values.len()),
            Outcome::NotFound => None,
            other => unreachable!("{other:?}"),
        };
        assert_eq!(found, expected);
    }
}

fn authority_resolve<'a>(
    site: &'a Site,
    query: Query<'a>,
    fetch: impl FnMut(&[u8]) -> Result<Option<Vec<u8>>, Infallible>,
) -> Outcome {
    super::super::resolve(site, query, fetch, Node::view)
        .unwrap()
        .unwrap()
}
