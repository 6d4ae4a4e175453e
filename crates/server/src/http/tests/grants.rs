//! `/api/v2/grants`: who may change them, what is refused, and what comes of it.

use axum::http::Method;
use guantong_proto::data::{Admin, AdminPermissions, List};
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Permissions, Reference, Value, Values};
use guantong_store::{Batch, Change, Expect, Origin, Trail};
use serde_json::{Value as Json, json};

use super::change::{basic, send};
use super::{Answer, node};

const PREFIX: &str = "88.118.91";
const SECRET: &str = "grant secret";

/// A prefix of these tests, with an administrator, two programs and a group of the second.
fn prepare() {
    let put = |name: &str, values: &[Value]| Change::Put {
        handle: Handle::parse(name).unwrap(),
        values: Writer::to_vec(|w| Values::encode(values, w)),
        expect: Expect::Anything,
    };
    let key = Value {
        permissions: Permissions(Permissions::ADMIN_READ),
        ..Value::new(300, "HS_SECKEY", SECRET)
    };
    let admin = Admin::new(AdminPermissions::ALL, name("owner"), 300).encode();
    let member = Reference {
        handle: name("App_b"),
        index: 300,
    };
    let group = Value::new(200, "HS_VLIST", List(vec![member]).encode());
    let prefix = Handle::of_prefix(PREFIX).unwrap();
    let mut changes = vec![
        put(prefix.as_str(), &[Value::new(100, "HS_ADMIN", admin)]),
        put(&name("Group_g"), &[group]),
    ];
    for user in ["owner", "App_a", "App_b", "App_c"] {
        changes.push(put(&name(user), std::slice::from_ref(&key)));
    }
    changes.push(Change::Home { prefix });
    let batch = Batch {
        changes,
        at_ms: 0,
        origin: Origin::Operator,
        trail: Trail::default(),
    };
    node().store.submit(batch).wait().unwrap();
    node().refresh_site().unwrap();
}

fn name(suffix: &str) -> String {
    format!("{PREFIX}/{suffix}")
}

async fn ask(method: Method, user: &str, path: &str, body: &Json) -> Answer {
    ask_with(method, user, path, &[], body).await
}

async fn ask_with(
    method: Method,
    user: &str,
    path: &str,
    more: &[(&str, &str)],
    body: &Json,
) -> Answer {
    let credential = basic(&name(user), SECRET);
    let mut headers = vec![("content-type", "application/json")];
    headers.extend((!user.is_empty()).then_some(("authorization", credential.as_str())));
    headers.extend(more);
    let body = match body {
        Json::Null => String::new(),
        body => body.to_string(),
    };
    send(method, &format!("/api/v2/{path}"), &headers, &body).await
}

async fn get(user: &str, path: &str) -> Answer {
    ask(Method::GET, user, path, &Json::Null).await
}

async fn patch(user: &str, path: &str, body: &Json) -> Answer {
    ask(Method::PATCH, user, path, body).await
}

/// A published template and a registration by it.
async fn things(code: &str) -> (String, String) {
    prepare();
    let definition = json!({"title": "Battery", "fields": [
        {"name": "serial", "unique": true, "readers": "everybody", "kind": {"type": "text"}},
        {"name": "mass", "searchable": true, "kind": {"type": "number", "decimals": 1}},
        {"name": "parts", "kind": {"type": "reference", "countMax": 5}},
    ]});
    let new = json!({"prefix": PREFIX, "code": code, "definition": definition});
    let made = ask(Method::POST, "owner", "templates", &new).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let template = name(&format!("META_{code}"));
    let path = format!("templates/{template}");
    let published = ask(Method::POST, "owner", &path, &json!({"action": "publish"})).await;
    assert_eq!(published.status, 200, "{}", published.text());
    let thing = name(&format!("thing-{code}"));
    let parts: Vec<String> = ["x", "y", "z"]
        .map(|part| format!("88.99.1/{part}"))
        .to_vec();
    let new = json!({"template": template, "handle": thing,
        "fields": {"serial": code, "mass": 7.5, "parts": parts}});
    let made = ask(Method::POST, "owner", "registrations", &new).await;
    assert_eq!(made.status, 201, "{}", made.text());
    (template, thing)
}

#[track_caller]
fn check(answer: &Answer, status: u16, fields: &[&str]) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let errors = answer.json()["errors"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let found: Vec<_> = errors
        .iter()
        .map(|e| e["field"].as_str().unwrap())
        .collect();
    assert_eq!(found, fields, "{}", answer.text());
}

async fn sees(user: &str, thing: &str) -> Vec<String> {
    let answer = get(user, &format!("registrations/{thing}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["fields"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect()
}

#[tokio::test]
async fn class_rule_is_changed_by_increments_and_holds_for_what_is_registered() {
    let (template, thing) = things("class").await;
    let grants = format!("grants/{template}");
    let [a, g] = ["300:88.118.91/App_a", "200:88.118.91/Group_g"];
    assert_eq!(sees("App_a", &thing).await, ["serial"]);
    let body = json!({"fields": [
        {"field": "mass", "readers": {"add": [a]}},
        {"field": "parts", "readers": {"add": [g, a]}, "writers": {"add": [g]}}]});
    let dry = patch("owner", &format!("{grants}?dryRun=true"), &body).await;
    assert_eq!(
        (dry.status.as_u16(), &dry.json()["dryRun"]),
        (200, &json!(true))
    );
    assert_eq!(sees("App_a", &thing).await, ["serial"]);
    check(&patch("owner", &grants, &body).await, 200, &[]);
    assert_eq!(sees("App_a", &thing).await, ["mass", "parts", "serial"]);
    assert_eq!(sees("App_b", &thing).await, ["parts", "serial"]);
    assert_eq!(sees("App_c", &thing).await, ["serial"]);
    assert_eq!(sees("", &thing).await, ["serial"]);

    let body = json!({"fields": [{"field": "parts", "readers": {"remove": [a]}}],
        "publish": ["mass"]});
    check(&patch("owner", &grants, &body).await, 200, &[]);
    assert_eq!(sees("App_a", &thing).await, ["mass", "serial"]);
    assert_eq!(sees("", &thing).await, ["mass", "serial"]);
    check(
        &patch("owner", &grants, &json!({"unpublish": ["mass"]})).await,
        200,
        &[],
    );
    assert_eq!(sees("", &thing).await, ["serial"]);

    let shown = get("owner", &format!("{grants}?for={g}")).await.json();
    assert_eq!(shown["everybody"], true, "{shown}");
    assert_eq!(shown["fields"][1]["readers"], json!([a]), "{shown}");
    assert_eq!(shown["fields"][2]["writers"], json!([g]), "{shown}");
    let preview = json!({"subject": g, "reads": ["serial", "parts"], "writes": ["parts"]});
    assert_eq!(shown["for"], preview);
    let shown = get("owner", &format!("{grants}?for=300:{}", name("App_b")))
        .await
        .json();
    assert_eq!(shown["for"]["reads"], json!(["serial", "parts"]), "{shown}");
}

#[tokio::test]
async fn own_rule_holds_until_the_class_is_followed_again() {
    let (template, thing) = things("own").await;
    let (a, b) = ("300:88.118.91/App_a", "300:88.118.91/App_b");
    let class = json!({"fields": [{"field": "mass", "readers": {"add": [a]}}]});
    check(
        &patch("owner", &format!("grants/{template}"), &class).await,
        200,
        &[],
    );
    let grants = format!("grants/{thing}");
    let shown = get("owner", &grants).await.json();
    assert_eq!(
        (&shown["rule"], &shown["template"]),
        (&json!("class"), &json!(template))
    );
    assert_eq!(shown["fields"][1]["readers"], json!([a]));

    let own = json!({"rule": "own", "readers": {"add": [b]}});
    check(&patch("owner", &grants, &own).await, 200, &[]);
    assert_eq!(sees("App_a", &thing).await, ["serial"]);
    assert_eq!(sees("App_b", &thing).await, ["mass", "parts", "serial"]);
    let shown = get("owner", &grants).await.json();
    assert_eq!(
        (&shown["rule"], &shown["readers"]),
        (&json!("own"), &json!([b]))
    );
    let published = json!({"readers": {"add": ["everybody"], "remove": [b]}});
    check(&patch("owner", &grants, &published).await, 200, &[]);
    assert_eq!(sees("", &thing).await, ["mass", "parts", "serial"]);

    check(
        &patch("owner", &grants, &json!({"rule": "class"})).await,
        200,
        &[],
    );
    check(
        &patch("owner", &grants, &json!({"rule": "class"})).await,
        200,
        &[],
    );
    assert_eq!(sees("", &thing).await, ["serial"]);
    assert_eq!(sees("App_a", &thing).await, ["mass", "serial"]);
}

#[tokio::test]
async fn only_administrators_see_and_change_grants() {
    let (template, thing) = things("rights").await;
    let a = "300:88.118.91/App_a";
    let all = json!({"readers": {"add": [a]}, "writers": {"add": [a]}});
    check(
        &patch("owner", &format!("grants/{thing}"), &all).await,
        200,
        &[],
    );
    for path in [&template, &thing].map(|handle| format!("grants/{handle}")) {
        for (user, status) in [("", 401), ("App_a", 403), ("App_c", 403)] {
            check(&get(user, &path).await, status, &[]);
            check(&patch(user, &path, &json!({})).await, status, &[]);
        }
    }
    check(
        &get("owner", &format!("grants/{}", name("none"))).await,
        404,
        &[],
    );
    let handles = send(Method::GET, &format!("/api/handles/{thing}"), &[], "").await;
    assert!(!handles.text().contains("GT_GRANT"), "{}", handles.text());
}

#[tokio::test]
async fn what_is_wrong_is_told_with_field_and_subject_and_nothing_is_changed() {
    let (template, thing) = things("faults").await;
    let (grants, own) = (format!("grants/{template}"), format!("grants/{thing}"));
    let a = "300:88.118.91/App_a";
    let faulty = json!({"publish": ["mass"], "fields": [
        {"field": "weight", "readers": {"add": [a]}},
        {"field": "parts", "writers": {"add": ["everybody"]}}]});
    check(
        &patch("owner", &grants, &faulty).await,
        422,
        &["weight", "parts"],
    );
    check(
        &patch("owner", &grants, &json!({"unpublish": ["serial"]})).await,
        422,
        &["serial"],
    );
    let absent = json!({"fields": [{"field": "mass",
        "readers": {"add": ["300:88.118.91/App_none", "200:88.118.91/App_a", "88.99.1/App_x"]}}]});
    let answer = patch("owner", &grants, &absent).await;
    check(&answer, 422, &["mass", "mass"]);
    assert!(
        answer
            .text()
            .contains("300:88.118.91/App_none is no identity")
    );
    check(
        &patch("owner", &grants, &json!({"rule": "own"})).await,
        422,
        &["rule"],
    );
    check(
        &patch("owner", &own, &json!({"publish": ["mass"]})).await,
        422,
        &["fields"],
    );
    let both = json!({"rule": "class", "readers": {"add": [a]}});
    check(&patch("owner", &own, &both).await, 422, &["rule"]);
    for body in [
        json!({"readers": {"add": ["nobody"]}}),
        json!({"reader": {}}),
        json!([1]),
    ] {
        check(&patch("owner", &own, &body).await, 400, &[]);
    }
    let stale = [("if-match", "\"1\"")];
    let body = json!({"readers": {"add": [a]}});
    check(
        &ask_with(Method::PATCH, "owner", &own, &stale, &body).await,
        412,
        &[],
    );
    let nothing = json!({"rule": "class"});
    check(
        &ask_with(Method::PATCH, "owner", &own, &stale, &nothing).await,
        412,
        &[],
    );
    assert_eq!(sees("App_a", &thing).await, ["serial"]);
}

#[tokio::test]
async fn named_writer_patches_his_fields_and_no_others() {
    let (template, thing) = things("writer").await;
    let a = "300:88.118.91/App_a";
    let body = json!({"fields": [{"field": "mass", "writers": {"add": [a]}},
        {"field": "parts", "writers": {"add": [a]}, "readers": {"add": [a]}}]});
    check(
        &patch("owner", &format!("grants/{template}"), &body).await,
        200,
        &[],
    );
    let path = format!("registrations/{thing}");
    let fields = |fields: Json| json!({ "fields": fields });
    check(
        &patch("App_a", &path, &fields(json!({"mass": 8}))).await,
        200,
        &[],
    );
    check(
        &patch("App_a", &path, &fields(json!({"parts": ["88.99.1/w"]}))).await,
        200,
        &[],
    );
    check(
        &patch("App_a", &path, &fields(json!({"mass": "heavy"}))).await,
        422,
        &["mass"],
    );
    check(
        &patch("App_a", &path, &fields(json!({"serial": "other"}))).await,
        403,
        &[],
    );
    check(
        &patch("App_a", &path, &fields(json!({"mass": 9, "serial": "o"}))).await,
        403,
        &[],
    );
    check(
        &patch("App_c", &path, &fields(json!({"mass": 9}))).await,
        403,
        &[],
    );
    check(
        &ask(Method::DELETE, "App_a", &path, &Json::Null).await,
        403,
        &[],
    );
    let whole = fields(json!({"serial": "writer", "mass": 9}));
    check(&ask(Method::PUT, "App_a", &path, &whole).await, 403, &[]);
    let seen = get("owner", &path).await.json();
    let expected = json!({"serial": "writer", "mass": 8, "parts": ["88.99.1/w"]});
    assert_eq!(seen["fields"], expected);
    // What the shorter list has left behind is not found any more, once an administrator writes.
    check(
        &patch("owner", &path, &fields(json!({"parts": ["88.99.1/w"]}))).await,
        200,
        &[],
    );
    let handle = Handle::parse(&thing).unwrap();
    let record = node().store.record(handle.borrow()).unwrap().unwrap();
    let links = record
        .values()
        .iter()
        .filter(|value| value.kind == b"GT_TEMPLATE.LINK");
    assert_eq!(links.count(), 1);
}

#[tokio::test]
async fn restricted_template_is_there_for_those_with_whom_it_is_shared() {
    let (template, _) = things("shared").await;
    let path = format!("templates/{template}");
    assert_eq!(get("", &path).await.status, 200);
    let body = json!({"readers": {"add": ["300:88.118.91/App_a"], "remove": ["everybody"]}});
    check(
        &patch("owner", &format!("grants/{template}"), &body).await,
        200,
        &[],
    );
    assert!(!get("", &path).await.status.is_success());
    assert!(!get("App_c", &path).await.status.is_success());
    assert_eq!(get("App_a", &path).await.status, 200);
    // It stays so while it is changed, and is shared before it is published.
    for action in ["withdraw", "publish", "withdraw"] {
        let acted = ask(Method::POST, "owner", &path, &json!({"action": action})).await;
        check(&acted, 200, &[]);
        assert!(!get("", &path).await.status.is_success(), "{action}");
        assert_eq!(get("App_a", &path).await.status, 200, "{action}");
    }
    let published = ask(Method::POST, "owner", &path, &json!({"action": "publish"})).await;
    check(&published, 200, &[]);
    let all = json!({"readers": {"add": ["everybody"]}});
    check(
        &patch("owner", &format!("grants/{template}"), &all).await,
        200,
        &[],
    );
    assert_eq!(get("", &path).await.status, 200);
}

#[tokio::test]
async fn who_was_granted_something_is_told_and_nobody_else() {
    let (template, thing) = things("told").await;
    let a = "300:88.118.91/App_a";
    let begin = node().store.last_change();
    let own = format!("grants/{thing}");
    let class = json!({"fields": [{"field": "mass", "readers": {"add": [a]}}]});
    check(
        &patch("owner", &format!("grants/{template}"), &class).await,
        200,
        &[],
    );
    check(
        &patch("owner", &own, &json!({"writers": {"add": [a]}})).await,
        200,
        &[],
    );
    check(
        &patch("owner", &own, &json!({"rule": "class"})).await,
        200,
        &[],
    );
    let path = format!("grants?to={a}&after={begin}");
    for user in ["App_a", "owner"] {
        let answer = get(user, &path).await;
        if user == "owner" {
            // The record of the program has other administrators.
            check(&answer, 403, &[]);
            continue;
        }
        let told = answer.json();
        let told: Vec<_> = told["notices"].as_array().unwrap().iter().collect();
        let told = told
            .iter()
            .filter(|one| one["handle"] == json!(template) || one["handle"] == json!(thing));
        let told: Vec<String> = told
            .map(|one| {
                let part = |name: &str| one[name].as_str().unwrap_or("-").to_owned();
                ["object", "field", "access", "action"].map(part).join(" ")
            })
            .collect();
        let expected = [
            "class mass read granted",
            "registration - write granted",
            "registration - write revoked",
        ];
        assert_eq!(told, expected);
    }
    check(&get("", &path).await, 401, &[]);
    check(&get("App_a", "grants").await, 400, &[]);
    check(&get("App_a", "grants?to=everybody").await, 400, &[]);
}
