//! Batches, dry runs and idempotency keys.

use axum::http::Method;
use guantong_proto::data::{Admin, AdminPermissions};
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Permissions, Value, Values};
use guantong_store::{Batch, Change, Expect, Origin, Right, Trail};
use serde_json::{Value as Json, json};

use super::change::{basic, send};
use super::{Answer, get, node};

const USER: &str = "88.118.5/batch-user";
const SECRET: &str = "batch secret";
const PREFIX: &str = "88.118.9";

fn put(name: &str, values: &[Value]) -> Change {
    Change::Put {
        handle: Handle::parse(name).unwrap(),
        values: Writer::to_vec(|w| Values::encode(values, w)),
        expect: Expect::Anything,
    }
}

fn admin(permissions: AdminPermissions) -> Value {
    Value::new(100, "HS_ADMIN", Admin::new(permissions, USER, 300).encode())
}

/// Somebody who administers the prefix, and records of it that he may change.
fn prepare(records: &[&str]) -> String {
    let key = Value {
        permissions: Permissions(Permissions::ADMIN_READ),
        ..Value::new(300, "HS_SECKEY", SECRET)
    };
    let prefix = Handle::of_prefix(PREFIX).unwrap();
    let mut changes = vec![
        put(USER, &[key]),
        put(prefix.as_str(), &[admin(AdminPermissions::ALL)]),
    ];
    let record = [admin(AdminPermissions::ALL), Value::new(1, "URL", "old")];
    changes.extend(records.iter().map(|name| put(name, &record)));
    let batch = Batch {
        changes,
        at_ms: 0,
        origin: Origin::Operator,
        trail: Trail::default(),
    };
    node().store.submit(batch).wait().unwrap();
    basic(USER, SECRET)
}

async fn post(credential: &str, body: &Json) -> Answer {
    post_with(credential, &[], body).await
}

async fn post_with(credential: &str, more: &[(&str, &str)], body: &Json) -> Answer {
    let mut headers = vec![("content-type", "application/json")];
    headers.extend((!credential.is_empty()).then_some(("authorization", credential)));
    headers.extend(more);
    send(Method::POST, "/api/batch", &headers, &body.to_string()).await
}

fn url(text: &str) -> Json {
    json!([{"index": 1, "type": "URL", "data": text}])
}

fn outcomes(answer: &Answer) -> Vec<String> {
    let json = answer.json();
    let results = json["results"].as_array().unwrap();
    let outcome = |result: &Json| result["outcome"].as_str().unwrap().to_owned();
    results.iter().map(outcome).collect()
}

async fn shows(handle: &str) -> Option<String> {
    let answer = get(&format!("/api/handles/{handle}?type=URL")).await;
    let json = answer.json();
    let data = json["values"][0]["data"]["value"].as_str();
    data.map(str::to_owned)
}

#[tokio::test]
async fn every_operation_of_a_batch_does_what_it_says() {
    let of = |name: &str| format!("{PREFIX}/every-{name}");
    let names = ["put", "add", "write", "remove", "withdraw", "erase"].map(of);
    let me = prepare(&names.each_ref().map(String::as_str));
    let email = json!([{"index": 2, "type": "EMAIL", "data": "a@b"}]);
    let new = url("new");
    let operations = json!([
        {"op": "create", "handle": of("create"), "values": new},
        {"op": "put", "handle": of("put"), "values": {"values": new}},
        {"op": "add", "handle": of("add"), "values": email},
        {"op": "write", "handle": of("write"), "values": new},
        {"op": "remove", "handle": of("remove"), "indexes": [1]},
        {"op": "withdraw", "handle": of("withdraw"), "reason": "recalled",
         "successor": of("put")},
        {"op": "erase", "handle": of("erase")},
    ]);
    let answer = post(&me, &json!({"atomic": true, "operations": operations})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["done"], 7);
    let expected = [
        "created", "changed", "changed", "changed", "changed", "changed", "deleted",
    ];
    assert_eq!(outcomes(&answer), expected);
    assert_eq!(shows(&of("create")).await.as_deref(), Some("new"));
    assert_eq!(shows(&of("put")).await.as_deref(), Some("new"));
    assert_eq!(shows(&of("add")).await.as_deref(), Some("old"));
    assert_eq!(shows(&of("write")).await.as_deref(), Some("new"));
    assert_eq!(shows(&of("remove")).await, None);
    let status = async |name| get(&format!("/api/handles/{}", of(name))).await.status;
    assert_eq!(status("withdraw").await, 410);
    assert_ne!(status("erase").await, 200);
}

#[tokio::test]
async fn atomic_batch_with_one_refusal_changes_nothing_and_tells_every_fault() {
    let names = ["a", "b"].map(|name| format!("{PREFIX}/atomic-{name}"));
    let me = prepare(&names.each_ref().map(String::as_str));
    let before = node().store.last_change();
    let operations = json!([
        {"op": "write", "handle": names[0], "values": url("new")},
        {"op": "create", "handle": names[1], "values": url("new")},
        {"op": "remove", "handle": format!("{PREFIX}/atomic-none"), "indexes": [1]},
    ]);
    let batch = |atomic| json!({"atomic": atomic, "operations": operations.clone()});
    let answer = post(&me, &batch(true)).await;
    assert_eq!(answer.status, 409, "{}", answer.text());
    assert_eq!(outcomes(&answer), ["notDone", "refused", "refused"]);
    let json = answer.json();
    assert_eq!((&json["done"], &json["refused"]), (&json!(0), &json!(2)));
    assert_eq!(json["responseCode"], 101);
    let message = json["message"].as_str().unwrap();
    assert!(message.contains("operations[1]") && message.ends_with("nothing was changed"));
    assert_eq!(shows(&names[0]).await.as_deref(), Some("old"));

    let answer = post(&me, &batch(false)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(outcomes(&answer), ["changed", "refused", "refused"]);
    assert_eq!(shows(&names[0]).await.as_deref(), Some("new"));
    assert!(node().store.last_change() > before);
}

#[tokio::test]
async fn atomic_batch_is_one_batch_of_the_change_log() {
    let me = prepare(&[]);
    let operations: Vec<Json> = (0..300)
        .map(|number| {
            let handle = format!("{PREFIX}/one-{number}");
            json!({"op": "create", "handle": handle, "values": url("x")})
        })
        .collect();
    let answer = post(&me, &json!({"atomic": true, "operations": operations})).await;
    assert_eq!(answer.json()["done"], 300, "{}", answer.text());
    let version = async |number| {
        let answer = get(&format!("/api/handles/{PREFIX}/one-{number}")).await;
        let tag = answer.header("etag").trim_matches('"').to_owned();
        tag.parse::<u64>().unwrap()
    };
    assert_eq!(version(299).await - version(0).await, 299);
}

#[tokio::test]
async fn atomic_batch_that_needs_too_many_octets_of_records_changes_nothing() {
    let me = prepare(&[]);
    let large = vec![b'x'; 250_000];
    let record = [
        admin(AdminPermissions::ALL),
        Value::new(1, "URL", "old"),
        Value::new(2, "NOTE", large),
    ];
    let names: Vec<String> = (0..280).map(|n| format!("{PREFIX}/large-{n}")).collect();
    for some in names.chunks(70) {
        let batch = Batch {
            changes: some.iter().map(|name| put(name, &record)).collect(),
            at_ms: 0,
            origin: Origin::Operator,
            trail: Trail::default(),
        };
        node().store.submit(batch).wait().unwrap();
    }
    let operations = |count| -> Vec<Json> {
        let of = |name: &String| json!({"op": "remove", "handle": name, "indexes": [1]});
        names[..count].iter().map(of).collect()
    };
    let batch = |count| json!({"atomic": true, "operations": operations(count)});
    let refused = post(&me, &batch(280)).await;
    assert_eq!(refused.status, 413, "{}", refused.text());
    assert_eq!(shows(&names[0]).await.as_deref(), Some("old"));
    let done = post(&me, &batch(3)).await;
    assert_eq!(done.json()["done"], 3, "{}", done.text());
}

#[tokio::test]
async fn each_change_of_an_atomic_batch_keeps_its_own_right() {
    let mine = format!("{PREFIX}/right-mine");
    let new = format!("{PREFIX}/right-new");
    let me = prepare(&[&mine]);
    let operations = json!([
        {"op": "write", "handle": mine, "values": url("new")},
        {"op": "create", "handle": new, "values": url("new")},
    ]);
    let answer = post(&me, &json!({"atomic": true, "operations": operations})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let right_of = |name: &str| {
        let handle = Handle::parse(name).unwrap();
        let record = node().store.record(handle.borrow()).unwrap().unwrap();
        let change = node().store.change(record.version()).unwrap().unwrap();
        match change.trail.right {
            Right::Administrator(used) => used[0].record.to_string(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(right_of(&mine), mine);
    assert_eq!(right_of(&new), format!("0.NA/{PREFIX}"));
}

#[tokio::test]
async fn condition_of_an_operation_is_checked_with_the_change() {
    let names = ["a", "b"].map(|name| format!("{PREFIX}/cond-{name}"));
    let me = prepare(&names.each_ref().map(String::as_str));
    let operations = json!([
        {"op": "write", "handle": names[0], "values": url("new"), "ifVersion": 1},
        {"op": "put", "handle": names[1], "values": url("new"), "ifVersion": 0},
    ]);
    let answer = post(&me, &json!({"operations": operations})).await;
    let json = answer.json();
    let statuses: Vec<_> = json["results"].as_array().unwrap().iter().collect();
    assert_eq!(
        (&statuses[0]["status"], &statuses[1]["status"]),
        (&json!(412), &json!(412))
    );
    let answer = get(&format!("/api/handles/{}", names[0])).await;
    let version: u64 = answer.header("etag").trim_matches('"').parse().unwrap();
    let operations = json!([{"op": "write", "handle": names[0], "values": url("new"),
                             "ifVersion": version}]);
    let answer = post(&me, &json!({"atomic": true, "operations": operations})).await;
    assert_eq!(answer.json()["done"], 1, "{}", answer.text());
}

#[tokio::test]
async fn batch_needs_a_proof_and_sense() {
    let me = prepare(&[]);
    let create = json!({"op": "create", "handle": format!("{PREFIX}/sense"), "values": url("x")});
    let batch = |operations: Json| json!({"operations": operations});
    let anonymous = post("", &batch(json!([create]))).await;
    assert_eq!(anonymous.status, 401, "{}", anonymous.text());
    assert!(anonymous.headers.contains_key("www-authenticate"));
    let wrong = post(&basic(USER, "guess"), &batch(json!([create]))).await;
    assert_eq!(wrong.status, 401, "{}", wrong.text());
    let mut twice = create.clone();
    twice["handle"] = json!(format!("{PREFIX}/sense"));
    let bad = [
        (
            json!([create, twice]),
            "operations[0] is about the same record",
        ),
        (json!([{"op": "create", "handle": "x"}]), "operations[0]"),
        (
            json!([{"op": "create", "handle": "1/x"}]),
            "`values` is missing",
        ),
        (
            json!([{"op": "create", "handle": "1/x", "values": [{"index": 1}]}]),
            "values: ",
        ),
        (
            json!([{"op": "remove", "handle": "1/x"}]),
            "`indexes` is missing",
        ),
        (
            json!([{"op": "delete", "handle": "1/x", "reason": "r"}]),
            "`reason` means nothing",
        ),
        (
            json!([{"op": "burn", "handle": "1/x"}]),
            "unknown variant `burn`",
        ),
        (
            json!([{"op": "delete", "handle": "1/x", "ifVerson": 3}]),
            "unknown field `ifVerson`",
        ),
        (json!("x"), "Invalid JSON"),
    ];
    for (operations, expected) in bad {
        let answer = post(&me, &batch(operations.clone())).await;
        assert_eq!(answer.status, 400, "{operations}: {}", answer.text());
        assert!(
            answer.text().contains(expected),
            "{operations}: {}",
            answer.text()
        );
    }
    let many = vec![create; guantong_api::batch::OPERATIONS_MAX + 1];
    assert_eq!(post(&me, &batch(json!(many))).await.status, 413);
    assert_eq!(get("/api/batch").await.status, 405);
    assert_eq!(post(&me, &batch(json!([]))).await.json()["done"], 0);
}

//----------- Dry runs -------------------------------------------------------

#[tokio::test]
async fn dry_run_says_what_would_be_and_changes_nothing() {
    let there = format!("{PREFIX}/dry");
    let me = prepare(&[&there]);
    let before = node().store.last_change();
    let headers = [
        ("authorization", me.as_str()),
        ("content-type", "application/json"),
    ];
    let record = json!({"values": url("new")}).to_string();
    let put = async |handle: &str| {
        let path = format!("/api/handles/{handle}?dryRun");
        send(Method::PUT, &path, &headers, &record).await
    };
    let new = put(&format!("{PREFIX}/dry-new")).await;
    assert_eq!(
        (new.status.as_u16(), &new.json()["wouldBe"]),
        (200, &json!("created"))
    );
    assert_eq!(put(&there).await.json()["wouldBe"], "changed");
    let foreign = put("88.118.5/dry-foreign").await;
    assert_eq!(foreign.status, 403, "{}", foreign.text());
    let path = format!("/api/handles/{there}?dryRun&force");
    let gone = send(Method::DELETE, &path, &headers, "").await;
    assert_eq!(gone.json()["wouldBe"], "deleted", "{}", gone.text());
    let operations = json!([
        {"op": "erase", "handle": there},
        {"op": "create", "handle": format!("{PREFIX}/dry-2"), "values": url("x")},
    ]);
    for atomic in [false, true] {
        let batch = json!({"atomic": atomic, "dryRun": true, "operations": operations});
        let answer = post(&me, &batch).await;
        assert_eq!(
            outcomes(&answer),
            ["deleted", "created"],
            "{}",
            answer.text()
        );
        assert_eq!(answer.json()["dryRun"], true);
    }
    assert_eq!(shows(&there).await.as_deref(), Some("old"));
    let log = node().store.last_change();
    assert_eq!(log, before.max(log), "other tests write, too");
}

/// Who may write a value and not read it must not find out by rehearsals what it is.
#[tokio::test]
async fn dry_run_does_not_tell_whether_a_secret_was_guessed() {
    let name = format!("{PREFIX}/dry-secret");
    let me = prepare(&[]);
    let write_only = AdminPermissions::MODIFY_VALUE.union(AdminPermissions::ADD_VALUE);
    let secret = Value {
        permissions: Permissions(Permissions::ADMIN_WRITE),
        ..Value::new(2, "NOTE", "the secret")
    };
    let batch = Batch {
        changes: vec![put(&name, &[admin(write_only), secret])],
        at_ms: 0,
        origin: Origin::Operator,
        trail: Trail::default(),
    };
    node().store.submit(batch).wait().unwrap();
    let guess = async |data: &str| {
        let value = json!([{"index": 2, "type": "NOTE", "data": data, "permissions": "0100"}]);
        let operations = json!([{"op": "write", "handle": name, "values": value}]);
        let batch = json!({"dryRun": true, "operations": operations});
        let answer = post(&me, &batch).await;
        let alone = send(
            Method::PUT,
            &format!("/api/handles/{name}?index=2&dryRun"),
            &[
                ("authorization", me.as_str()),
                ("content-type", "application/json"),
            ],
            &value.to_string(),
        )
        .await;
        (answer.text(), alone.text())
    };
    let (right, wrong) = (guess("the secret").await, guess("another text").await);
    assert!(right.0.contains("changed"), "{}", right.0);
    assert_eq!(right, wrong);
}

//----------- Idempotency keys -----------------------------------------------

#[tokio::test]
async fn change_with_a_key_is_made_once_and_answered_again() {
    let me = prepare(&[]);
    let headers = [
        ("authorization", me.as_str()),
        ("content-type", "application/json"),
        ("idempotency-key", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
    ];
    let path = format!("/api/handles/{PREFIX}/once-?mintNewSuffix");
    let record = json!({"values": url("x")}).to_string();
    let mint = async || send(Method::PUT, &path, &headers, &record).await;
    let (first, again) = (mint().await, mint().await);
    assert_eq!(
        (first.status.as_u16(), again.status.as_u16()),
        (201, 201),
        "{}",
        first.text()
    );
    assert_eq!(first.text(), again.text());
    assert_eq!(first.header("idempotency-replayed"), "");
    assert_eq!(again.header("idempotency-replayed"), "true");

    let other = send(
        Method::PUT,
        &path,
        &headers,
        &record.replace("\"x\"", "\"y\""),
    )
    .await;
    assert_eq!(other.status, 422, "{}", other.text());
    let mut stranger = headers;
    let credential = basic(USER, "guess");
    stranger[0].1 = &credential;
    let refused = send(Method::PUT, &path, &stranger, &record).await;
    assert_eq!(refused.status, 401, "{}", refused.text());
    assert!(!refused.text().contains("once-"), "{}", refused.text());
    stranger[2].1 = " ";
    let empty = send(Method::PUT, &path, &stranger, &record).await;
    assert_eq!(empty.status, 400, "{}", empty.text());
}

#[tokio::test]
async fn refused_change_with_a_key_may_be_tried_again() {
    let me = prepare(&[]);
    let name = format!("{PREFIX}/once-later");
    let key = [("idempotency-key", "again")];
    let operations = json!([{"op": "write", "handle": name, "values": url("new")}]);
    let batch = json!({"atomic": true, "operations": operations});
    assert_eq!(post_with(&me, &key, &batch).await.status, 404);
    prepare(&[&name]);
    let made = post_with(&me, &key, &batch).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let replayed = post_with(&me, &key, &batch).await;
    assert_eq!(replayed.header("idempotency-replayed"), "true");
}

#[tokio::test]
async fn changes_with_one_key_at_a_time_are_made_once() {
    let me = prepare(&[]);
    let key = [("idempotency-key", "at once")];
    let operations = json!([{"op": "create", "handle": format!("{PREFIX}/at-once"),
                             "values": url("x")}]);
    let batch = json!({"operations": operations});
    let (a, b) = tokio::join!(post_with(&me, &key, &batch), post_with(&me, &key, &batch));
    let statuses = [a.status.as_u16(), b.status.as_u16()];
    assert!(
        matches!(statuses, [200, 200 | 409] | [409, 200]),
        "{statuses:?}"
    );
    assert!(a.text().contains("created") || b.text().contains("created"));
}
