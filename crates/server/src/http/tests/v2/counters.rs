//! Handles with a number: each is given once.

use std::collections::HashSet;

use axum::http::Method;
use guantong_core::template::counter_of;
use guantong_proto::Handle;
use serde_json::{Value as Json, json};

use super::super::node;
use super::{PREFIX, ask, check_problem, definition, post, prepare};

/// A published template whose suffixes have this rule.
async fn publish(me: &str, code: &str, rule: &str) -> String {
    let mut definition = definition();
    definition["suffix"] = rule.into();
    let new = json!({"prefix": PREFIX, "code": code, "definition": definition});
    let made = post(me, "templates", &new).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let template = format!("{PREFIX}/META_{code}");
    let publish = json!({"action": "publish"});
    let done = post(me, &format!("templates/{template}"), &publish).await;
    assert_eq!(done.status, 200, "{}", done.text());
    template
}

/// How far the record of a counter says that it has come.
fn reserved(code: &str) -> Option<u64> {
    let handle = Handle::parse(&format!("{PREFIX}/COUNTER_{code}")).unwrap();
    let record = node().store.record(handle.borrow()).unwrap()?;
    counter_of(record.values())
}

fn new(template: &str, serial: &str) -> Json {
    json!({"template": template, "fields": {"serial": serial}})
}

#[tokio::test]
async fn numbers_go_up_and_only_those_who_may_register_take_any() {
    let (me, stranger) = prepare();
    let template = publish(&me, "count", "C{counter:6}").await;
    check_problem(
        &post(&stranger, "registrations", &new(&template, "c0")).await,
        403,
        &[],
    );
    assert_eq!(reserved("count"), None);
    let rehearsed = post(&me, "registrations?dryRun", &new(&template, "c0"))
        .await
        .json();
    assert_eq!(rehearsed["handle"], format!("{PREFIX}/C000001"));
    assert_eq!(reserved("count"), None);
    for number in 1..=3 {
        let made = post(&me, "registrations", &new(&template, &format!("c{number}"))).await;
        assert_eq!(
            made.json()["handle"],
            format!("{PREFIX}/C00000{number}"),
            "{}",
            made.text()
        );
    }
    assert_eq!(reserved("count"), Some(101));
    // Not even the public learns how many there are.
    let path = format!("/api/handles/{PREFIX}/COUNTER_count");
    let seen = super::super::get(&path).await;
    assert!(!seen.text().contains("101"), "{}", seen.text());
}

#[tokio::test]
async fn number_that_somebody_has_chosen_is_passed_over() {
    let (me, _) = prepare();
    let template = publish(&me, "passed", "P{counter:6}").await;
    let own = json!({"template": template, "handle": format!("{PREFIX}/P000001"),
                     "fields": {"serial": "p0"}});
    assert_eq!(post(&me, "registrations", &own).await.status, 201);
    let made = post(&me, "registrations", &new(&template, "p1")).await;
    assert_eq!(
        made.json()["handle"],
        format!("{PREFIX}/P000002"),
        "{}",
        made.text()
    );
}

#[tokio::test]
async fn used_up_counter_says_so() {
    let (me, _) = prepare();
    let template = publish(&me, "short", "S{counter:1}").await;
    for number in 1..=9 {
        let made = post(&me, "registrations", &new(&template, &format!("s{number}"))).await;
        assert_eq!(made.status, 201, "{}", made.text());
    }
    let refused = post(&me, "registrations", &new(&template, "s10")).await;
    check_problem(&refused, 409, &[]);
    assert!(refused.text().contains("used up"), "{}", refused.text());
}

#[tokio::test]
async fn rows_of_a_batch_are_numbered() {
    let (me, _) = prepare();
    let template = publish(&me, "rows", "R{counter:6}").await;
    let rows: Vec<_> = (0..50)
        .map(|at| json!({"fields": {"serial": format!("r{at}")}}))
        .collect();
    let batch = json!({"template": template, "registrations": rows});
    let answer = post(&me, "registrations/batch", &batch).await.json();
    assert_eq!(answer["done"], 50, "{answer}");
    let results = answer["results"].as_array().unwrap();
    let handles: HashSet<_> = results.iter().map(|row| row["handle"].as_str()).collect();
    assert_eq!(handles.len(), 50);
    let path = format!("registrations/{PREFIX}/R000050");
    assert_eq!(ask(Method::GET, &me, &path, &Json::Null).await.status, 200);
}
