//! What the values of an enterprise node hold: logins, rules, categories, counters, applications,
//! templates, and what is registered by them. The first octet says which.

#![no_main]

use guantong_core::enterprise::{Application, ENTERPRISE_TYPE};
use guantong_core::grant::{Rule, Subject};
use guantong_core::identity::Login;
use guantong_core::template::{
    CATEGORY_TYPE, COUNTER_TYPE, Categories, Definition, Extent, Template, counter_of,
    counter_value,
};
use guantong_proto::wire::Writer;
use guantong_proto::{CaseRule, Handle, Value, Values};

const CASE: CaseRule = CaseRule::Insensitive;

fn with_record<T>(values: &[Value], read: impl FnOnce(Values<'_>) -> T) -> T {
    let wire = Writer::to_vec(|w| Values::encode(values, w));
    read(Values::from_wire(&wire).expect("its own form"))
}

fn handle(name: &str) -> Handle {
    Handle::parse(name).expect("it is a handle")
}

fn login(octets: &[u8]) {
    let Ok(login) = Login::parse(octets) else {
        return;
    };
    let value = login.to_value();
    let again = Login::parse(&value.data).expect("its own form");
    assert!(again == login);
    assert!(!format!("{login:?}").contains("$argon2"));
    let _ = login.step_of("123456", 59);
}

fn rule(octets: &[u8]) {
    if let Ok(rule) = Rule::decode(octets) {
        let value = rule.to_value(1_003);
        assert_eq!(Rule::decode(&value.data).expect("its own form"), rule);
        assert!(!rule.writers.contains(&Subject::Everybody));
    }
}

/// A category in each line.
fn categories(octets: &[u8]) {
    let lines = octets.split(|octet| *octet == b'\n').take(64);
    let values: Vec<Value> = (2_000..)
        .zip(lines)
        .map(|(index, line)| Value::new(index, CATEGORY_TYPE, line))
        .collect();
    if let Ok(categories) = with_record(&values, |values| Categories::of(values)) {
        let again = categories.to_values();
        let again = with_record(&again, |values| Categories::of(values));
        assert_eq!(again.expect("its own form"), categories);
        let _ = categories.is_in("a", "b");
    }
}

fn counter(octets: &[u8]) {
    let value = Value::new(1, COUNTER_TYPE, octets);
    if let Some(reserved) = with_record(&[value], |values| counter_of(values)) {
        let value = counter_value(reserved);
        assert_eq!(
            with_record(&[value], |values| counter_of(values)),
            Some(reserved)
        );
    }
}

fn application(octets: &[u8]) {
    let value = Value::new(1, ENTERPRISE_TYPE, octets);
    let name = handle("88.118.5/Enterprise_1");
    let of = |values: &[Value]| with_record(values, |values| Application::of(name.clone(), values));
    if let Some(application) = of(&[value]) {
        let again = of(&application.to_values(CASE)).expect("its own form");
        assert_eq!(again.form(), application.form());
        let _ = application.lookups(CASE);
    }
}

/// A definition in the first line, and what is registered by it in the others.
fn template(octets: &[u8]) {
    let mut lines = octets.split(|octet| *octet == b'\n');
    let definition = lines.next().unwrap_or_default();
    let Ok(definition) = serde_json::from_slice::<Definition>(definition) else {
        return;
    };
    let name = handle("88.118.5/META_a");
    let Ok(template) = Template::draft(name.clone(), definition) else {
        return;
    };
    let again = with_record(&template.to_values(CASE), |values| {
        Template::of(name, values)
    });
    assert_eq!(again.expect("its own form"), template);
    for line in lines.take(4) {
        let Ok(said) = serde_json::from_slice(line) else {
            continue;
        };
        if let Ok(given) = template.check(&said, Extent::Part) {
            let shown = template.read(&template.values(&given, CASE));
            assert!(shown.keys().all(|name| said.contains_key(name)));
            let _ = template.lookups(&given, CASE);
        }
        for (name, cell) in &said {
            let _ = template.read_cell(name, cell.as_str().unwrap_or_default());
        }
    }
}

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let Some((kind, octets)) = octets.split_first() else {
        return;
    };
    match kind {
        b'l' => login(octets),
        b'r' => rule(octets),
        b'c' => categories(octets),
        b'n' => counter(octets),
        b'a' => application(octets),
        _ => template(octets),
    }
});
