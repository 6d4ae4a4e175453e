use guantong_proto::Handle;
use guantong_proto::wire::Writer;

use super::*;
use crate::grant::Edit;
use crate::template::Definition;

const CASE: CaseRule = CaseRule::Insensitive;

fn template() -> Template {
    let definition: Definition = serde_json::from_str(
        r#"{"title":"t","fields":[{"name":"a","kind":{"type":"text"}},
            {"name":"b","kind":{"type":"text"}},
            {"name":"open","readers":"everybody","kind":{"type":"text"}}]}"#,
    )
    .unwrap();
    Template::draft(Handle::parse("88.1/META_a").unwrap(), definition).unwrap()
}

fn subjects(names: &[&str]) -> Vec<Subject> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn readers(add: &[&str], remove: &[&str]) -> Revision {
    Revision {
        readers: Edit {
            add: subjects(add),
            remove: subjects(remove),
        },
        ..Revision::default()
    }
}

fn with<T>(values: &[Value], act: impl FnOnce(Values<'_>) -> T) -> T {
    let wire = Writer::to_vec(|w| Values::encode(values, w));
    act(Values::from_wire(&wire).unwrap())
}

/// The record after the amendment.
fn apply(mut values: Vec<Value>, amendment: Amendment) -> Vec<Value> {
    match amendment {
        Amendment::Nothing => {}
        Amendment::RemoveRule => values.retain(|value| value.index != RULE_INDEX),
        Amendment::Write(written) => {
            values.retain(|old| written.iter().all(|new| new.index != old.index));
            values.extend(written);
        }
    }
    values
}

#[test]
fn class_rules_of_several_fields_change_together_or_not_at_all() {
    let values = template().to_values(CASE);
    let class = |values: &[Value], revisions: &[(&str, Revision)]| {
        let revision = |(field, revision): &(&str, Revision)| FieldRevision {
            field: (*field).to_owned(),
            revision: revision.clone(),
        };
        let revisions: Vec<_> = revisions.iter().map(revision).collect();
        with(values, |record| {
            revise_class(&template(), record, &revisions, CASE)
        })
    };
    let first = class(
        &values,
        &[
            ("a", readers(&["300:88.1/x"], &[])),
            ("B", Revision::publish()),
            ("a", readers(&["300:88.1/y"], &[])),
        ],
    );
    let values = apply(values, first.unwrap());
    let rules = with(&values, class_rules);
    assert_eq!(
        rules[&2_000].readers,
        subjects(&["300:88.1/x", "300:88.1/y"])
    );
    assert!(rules[&2_001].is_public() && rules.len() == 2);
    // What is so already is not written again.
    let again = class(
        &values,
        &[("b", Revision::publish()), ("a", Revision::default())],
    );
    assert_eq!(again, Ok(Amendment::Nothing));

    let everybody = Revision {
        writers: Edit {
            add: subjects(&["everybody"]),
            remove: vec![],
        },
        ..Revision::default()
    };
    let faulty = class(
        &values,
        &[
            ("c", Revision::publish()),
            ("a", everybody),
            ("open", Revision::unpublish()),
        ],
    );
    let places: Vec<_> = faulty
        .unwrap_err()
        .into_iter()
        .map(|fault| fault.place)
        .collect();
    assert_eq!(places, ["c", "a", "open"]);
}

#[test]
fn record_gets_a_rule_of_its_own_and_gives_it_up() {
    let values = vec![Value::new(2_000, "a", "x")];
    assert_eq!(with(&values, follow_class), Amendment::Nothing);
    let none = with(&values, |record| {
        revise_own(record, &Revision::default(), CASE)
    });
    let none = apply(values.clone(), none.unwrap());
    assert_eq!(
        with(&none, own_rule),
        Some(Rule::default()),
        "restricted, not the class rule"
    );
    let some = with(&none, |record| {
        revise_own(record, &readers(&["88.1/x"], &[]), CASE)
    });
    let some = apply(none, some.unwrap());
    assert_eq!(
        with(&some, own_rule).unwrap().readers,
        subjects(&["0:88.1/x"])
    );
    let again = with(&some, |record| {
        revise_own(record, &readers(&["88.1/X"], &[]), CASE)
    });
    assert_eq!(again, Ok(Amendment::Nothing));
    let back = with(&some, follow_class);
    assert_eq!(apply(some, back), values);
}

#[test]
fn what_stands_where_a_rule_goes_is_not_written_over() {
    let mut values = template().to_values(CASE);
    values.push(Value::new(RULE_INDEX, "NOTE", "mine"));
    values.push(Value::new(20_000, "NOTE", "mine"));
    let publish = Revision::publish();
    let of_a = [FieldRevision {
        field: "a".to_owned(),
        revision: publish.clone(),
    }];
    let class = with(&values, |record| {
        revise_class(&template(), record, &of_a, CASE)
    });
    let own = with(&values, |record| revise_own(record, &publish, CASE));
    let sharing = with(&values, |record| revise_sharing(record, &publish, CASE));
    for (refused, index) in [(class, "20000"), (own, "1003"), (sharing, "1003")] {
        let faults = refused.unwrap_err();
        assert!(faults[0].why.contains(index), "{faults:?}");
    }
}

#[test]
fn template_is_shown_to_all_by_its_permissions_and_to_others_by_its_rule() {
    let values = template().to_values(CASE);
    assert!(with(&values, is_shared_with_all));
    let share = |values: &[Value], revision: &Revision| {
        with(values, |record| revise_sharing(record, revision, CASE)).unwrap()
    };
    let hide = readers(&["200:88.2/Group_g"], &["everybody"]);
    let hidden = apply(values.clone(), share(&values, &hide));
    assert!(!with(&hidden, is_shared_with_all));
    let is_open = |value: &&Value| value.permissions.public_read();
    let open: Vec<_> = hidden
        .iter()
        .filter(is_open)
        .map(|value| value.index)
        .collect();
    assert_eq!(open, [1_900], "the state alone");
    assert_eq!(share(&hidden, &hide), Amendment::Nothing);

    let again = keep_sharing(template().to_values(CASE), &hidden);
    assert!(!with(&again, is_shared_with_all));
    let shown = apply(hidden.clone(), share(&hidden, &Revision::publish()));
    assert!(with(&shown, is_shared_with_all));
    let rule = with(&shown, own_rule).unwrap();
    assert_eq!(rule.readers, subjects(&["200:88.2/Group_g"]));
    let again = keep_sharing(template().to_values(CASE), &shown);
    assert_eq!(again, template().to_values(CASE));

    let write = Revision {
        writers: hide.readers,
        ..Revision::default()
    };
    assert!(with(&values, |record| revise_sharing(record, &write, CASE)).is_err());
}
