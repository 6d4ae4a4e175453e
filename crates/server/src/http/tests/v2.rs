//! Templates and registrations: rights, life, faults, lists, bulk.

mod categories;
mod counters;
mod jobs;
mod views;
mod waves;

use axum::http::Method;
use guantong_proto::data::{Admin, AdminPermissions};
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Permissions, Value, Values};
use guantong_store::{Batch, Change, Expect, Origin, Right, Trail};
use serde_json::{Value as Json, json};

use super::change::{basic, send};
use super::{Answer, get, node};

const USER: &str = "88.118.5/v2-user";
const STRANGER: &str = "88.118.5/v2-stranger";
const SECRET: &str = "v2 secret";
const PREFIX: &str = "88.118.10";

/// Somebody who administers a prefix that only these tests use, and somebody who does not.
pub(super) fn prepare() -> (String, String) {
    let put = |name: &str, values: &[Value]| Change::Put {
        handle: Handle::parse(name).unwrap(),
        values: Writer::to_vec(|w| Values::encode(values, w)),
        expect: Expect::Anything,
    };
    let key = Value {
        permissions: Permissions(Permissions::ADMIN_READ),
        ..Value::new(300, "HS_SECKEY", SECRET)
    };
    let admin = Admin::new(AdminPermissions::ALL, USER, 300).encode();
    let prefix = Handle::of_prefix(PREFIX).unwrap();
    let batch = Batch {
        changes: vec![
            put(USER, std::slice::from_ref(&key)),
            put(STRANGER, &[key]),
            put(prefix.as_str(), &[Value::new(100, "HS_ADMIN", admin)]),
            Change::Home { prefix },
        ],
        at_ms: 0,
        origin: Origin::Operator,
        trail: Trail::default(),
    };
    node().store.submit(batch).wait().unwrap();
    node().refresh_site().unwrap();
    (basic(USER, SECRET), basic(STRANGER, SECRET))
}

async fn ask(method: Method, credential: &str, path: &str, body: &Json) -> Answer {
    ask_with(method, credential, path, &[], body).await
}

async fn ask_with(
    method: Method,
    credential: &str,
    path: &str,
    more: &[(&str, &str)],
    body: &Json,
) -> Answer {
    let mut headers = vec![("content-type", "application/json")];
    headers.extend((!credential.is_empty()).then_some(("authorization", credential)));
    headers.extend(more);
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    send(method, &format!("/api/v2/{path}"), &headers, &body).await
}

async fn post(credential: &str, path: &str, body: &Json) -> Answer {
    ask(Method::POST, credential, path, body).await
}

fn definition() -> Json {
    json!({
        "title": "Battery", "industry": "C3841", "category": "parts",
        "fields": [
            {"name": "serial", "label": "序列号", "required": true, "unique": true,
             "readers": "everybody", "kind": {"type": "text", "lengthMin": 2, "lengthMax": 20}},
            {"name": "mass", "searchable": true, "kind": {"type": "number", "decimals": 1}},
            {"name": "parent", "readers": "everybody", "kind": {"type": "reference"}},
            {"name": "photos", "kind": {"type": "image", "countMax": 3}},
        ],
    })
}

/// A published template.
async fn publish(me: &str, code: &str) -> String {
    let new = json!({"prefix": PREFIX, "code": code, "definition": definition()});
    let answer = post(me, "templates", &new).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let handle = answer.json()["handle"].as_str().unwrap().to_owned();
    let answer = post(
        me,
        &format!("templates/{handle}"),
        &json!({"action": "publish"}),
    )
    .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    handle
}

#[track_caller]
fn check_problem(answer: &Answer, status: u16, fields: &[&str]) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let json = answer.json();
    assert_eq!(json["status"], status);
    assert_eq!(json["requestId"], answer.header("x-request-id"));
    let errors = json["errors"].as_array().cloned().unwrap_or_default();
    let found: Vec<_> = errors
        .iter()
        .map(|e| e["field"].as_str().unwrap())
        .collect();
    assert_eq!(found, fields, "{json}");
}

//----------- Templates ------------------------------------------------------

#[tokio::test]
async fn template_goes_through_its_life_and_is_seen_by_whom_it_should() {
    let (me, stranger) = prepare();
    let new = json!({"prefix": PREFIX, "code": "life", "definition": definition()});
    check_problem(&post("", "templates", &new).await, 401, &[]);
    check_problem(&post(&stranger, "templates", &new).await, 403, &[]);
    let made = post(&me, "templates", &new).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let path = format!("templates/{PREFIX}/META_life");
    assert_eq!(made.header("location"), format!("/api/v2/{path}"));
    check_problem(&post(&me, "templates", &new).await, 409, &[]);

    let show = async |who: &str| ask(Method::GET, who, &path, &Json::Null).await;
    let act = async |who: &str, action: &str| post(who, &path, &json!({"action": action})).await;
    check_problem(&show("").await, 404, &[]);
    check_problem(&show(&stranger).await, 404, &[]);
    check_problem(&act(&stranger, "publish").await, 404, &[]);
    let draft = show(&me).await.json();
    assert_eq!(
        (&draft["state"], &draft["version"]),
        (&json!("draft"), &json!(1)),
        "{draft}"
    );
    assert_eq!(draft["definition"]["fields"][3]["index"], 2003);
    assert_eq!(draft["definition"]["industry"], "C3841");

    check_problem(&act(&me, "withdraw").await, 409, &[]);
    assert_eq!(act(&me, "publish").await.status, 200);
    assert_eq!(show("").await.json()["state"], "published");
    check_problem(&act(&stranger, "withdraw").await, 403, &[]);
    let change = json!({"definition": definition()});
    check_problem(&ask(Method::PUT, &me, &path, &change).await, 409, &[]);
    assert_eq!(act(&me, "withdraw").await.status, 200);
    check_problem(&show("").await, 404, &[]);

    let mut other = definition();
    other["fields"][1]["index"] = 2001.into();
    other["fields"][1]["name"] = "weight".into();
    let change = json!({"definition": other});
    let refused = ask(Method::PUT, &me, &path, &change).await;
    check_problem(&refused, 422, &["fields[1].name"]);
    let mut more = definition();
    let fields = more["fields"].as_array_mut().unwrap();
    fields.push(json!({"name": "note", "kind": {"type": "text"}}));
    let change = json!({"definition": more});
    let changed = ask(Method::PUT, &me, &path, &change).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(act(&me, "publish").await.status, 200);
    let shown = show("").await.json();
    assert_eq!(shown["version"], 2);

    let copied = json!({"action": "copy", "prefix": PREFIX, "code": "life2"});
    assert_eq!(post(&me, &path, &copied).await.status, 201);
    let copy = ask(
        Method::GET,
        &me,
        &format!("templates/{PREFIX}/META_life2"),
        &Json::Null,
    )
    .await;
    assert_eq!(copy.json()["basedOn"], format!("{PREFIX}/META_life"));
    assert_eq!(act(&me, "withdraw").await.status, 200);
    assert_eq!(act(&me, "disable").await.status, 200);
    check_problem(&act(&me, "publish").await, 409, &[]);
    assert_eq!(show("").await.json()["state"], "disabled");
    check_problem(
        &ask(Method::DELETE, &me, &path, &Json::Null).await,
        405,
        &[],
    );
}

#[tokio::test]
async fn template_is_made_from_a_schema_and_given_as_one() {
    let (me, _) = prepare();
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Cell", "type": "object", "required": ["code"],
        "properties": {"code": {"type": "string", "maxLength": 9, "pattern": "^[A-Z]+$"}},
    });
    let new = json!({"prefix": PREFIX, "code": "schema", "schema": schema});
    assert_eq!(post(&me, "templates", &new).await.status, 201);
    let path = format!("schemas/{PREFIX}/META_schema");
    let given = ask(Method::GET, &me, &path, &Json::Null).await;
    assert_eq!(given.header("content-type"), "application/schema+json");
    let given = given.json();
    assert_eq!(
        given["properties"]["code"]["pattern"], "^(?:[A-Z]+)$",
        "{given}"
    );
    check_problem(&ask(Method::GET, "", &path, &Json::Null).await, 404, &[]);

    let with = |property: Json| {
        let schema = json!({"title": "t", "properties": {"a": property}});
        json!({"prefix": PREFIX, "schema": schema})
    };
    let refused = post(&me, "templates", &with(json!({"type": "strin"}))).await;
    check_problem(&refused, 400, &[]);
    let refused = post(&me, "templates", &with(json!({"type": "object"}))).await;
    check_problem(&refused, 422, &["properties.a.type"]);
    let faulty = json!({"prefix": PREFIX, "definition": {"title": "", "fields": []}});
    check_problem(&post(&me, "templates", &faulty).await, 422, &["title"]);
    for bad in [
        json!({"prefix": PREFIX}),
        json!({"prefix": "a/b", "definition": definition()}),
        json!({"prefix": PREFIX, "code": "a/b", "definition": definition()}),
        json!({"prefix": PREFIX, "definition": {"title": "t", "fields": [], "colour": 1}}),
        json!({"prefix": PREFIX, "definition": {"title": "t", "fields": [],
                                                "suffix": "{counter}"}}),
        json!("x"),
    ] {
        check_problem(&post(&me, "templates", &bad).await, 400, &[]);
    }
}

//----------- Registrations --------------------------------------------------

#[tokio::test]
async fn registration_is_checked_and_shown_to_each_as_he_may_read() {
    let (me, stranger) = prepare();
    let template = publish(&me, "one").await;
    let handle = format!("{PREFIX}/one-1");
    let new = |fields: Json| json!({"template": template, "handle": handle, "fields": fields});
    let faulty = new(json!({"serial": "x", "mass": 1.25, "colour": "red"}));
    let refused = post(&me, "registrations", &faulty).await;
    check_problem(&refused, 422, &["colour", "serial", "mass"]);
    let right = new(json!({"serial": "A1", "mass": 1.5, "photos": ["a.jpg"]}));
    check_problem(&post("", "registrations", &right).await, 401, &[]);
    check_problem(&post(&stranger, "registrations", &right).await, 403, &[]);
    let rehearsed = post(&me, "registrations?dryRun", &right).await;
    assert_eq!(
        (rehearsed.status.as_u16(), &rehearsed.json()["dryRun"]),
        (200, &json!(true))
    );
    let made = post(&me, "registrations", &right).await;
    assert_eq!(made.status, 201, "{}", made.text());

    let path = format!("registrations/{handle}");
    let show = async |who: &str| ask(Method::GET, who, &path, &Json::Null).await;
    let all = json!({"serial": "A1", "mass": 1.5, "photos": ["a.jpg"]});
    let mine = show(&me).await.json();
    assert_eq!(
        (&mine["fields"], &mine["template"]),
        (&all, &json!(template)),
        "{mine}"
    );
    assert_eq!(mine["withheld"], Json::Null);
    let public = show("").await.json();
    let expected = (&json!({"serial": "A1"}), &json!(true));
    assert_eq!((&public["fields"], &public["withheld"]), expected);

    let record = node()
        .store
        .record(Handle::parse(&handle).unwrap().borrow())
        .unwrap()
        .unwrap();
    let entry = node().store.change(record.version()).unwrap().unwrap();
    assert!(
        matches!(entry.trail.right, Right::Administrator(_)),
        "{entry:?}"
    );
    assert!(
        matches!(entry.origin, Origin::Administrator { .. }),
        "{entry:?}"
    );
}

#[tokio::test]
async fn update_writes_over_or_changes_what_is_said_and_never_what_may_not_be() {
    let (me, stranger) = prepare();
    let template = publish(&me, "upd").await;
    let handle = format!("{PREFIX}/upd-1");
    let fields = json!({"serial": "U1", "mass": 1, "photos": ["a.jpg", "b.png"]});
    let new = json!({"template": template, "handle": handle, "fields": fields});
    assert_eq!(post(&me, "registrations", &new).await.status, 201);
    let path = format!("registrations/{handle}");
    let fields = async || ask(Method::GET, &me, &path, &Json::Null).await.json()["fields"].clone();

    let part = json!({"fields": {"mass": 2.5}});
    check_problem(&ask(Method::PATCH, &stranger, &path, &part).await, 403, &[]);
    let changed = ask(Method::PATCH, &me, &path, &part).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let expected = json!({"serial": "U1", "mass": 2.5, "photos": ["a.jpg", "b.png"]});
    assert_eq!(fields().await, expected);
    let faulty = json!({"fields": {"mass": null}});
    check_problem(
        &ask(Method::PATCH, &me, &path, &faulty).await,
        422,
        &["mass"],
    );
    check_problem(&ask(Method::PUT, &me, &path, &part).await, 422, &["serial"]);
    let whole = json!({"fields": {"serial": "U2"}});
    let stale = ask_with(Method::PUT, &me, &path, &[("if-match", "\"1\"")], &whole).await;
    check_problem(&stale, 412, &[]);
    assert_eq!(ask(Method::PUT, &me, &path, &whole).await.status, 200);
    assert_eq!(fields().await, json!({"serial": "U2"}));

    check_problem(
        &ask(Method::DELETE, &stranger, &path, &Json::Null).await,
        403,
        &[],
    );
    let template_path = format!("registrations/{template}");
    check_problem(
        &ask(Method::DELETE, &me, &template_path, &Json::Null).await,
        404,
        &[],
    );
    assert_eq!(
        ask(Method::DELETE, &me, &path, &Json::Null).await.status,
        200
    );
    check_problem(&ask(Method::GET, &me, &path, &Json::Null).await, 404, &[]);
    check_problem(&ask(Method::PATCH, &me, &path, &part).await, 404, &[]);
}

#[tokio::test]
async fn unique_values_and_targets_are_checked_for_those_only_who_may_write() {
    let (me, stranger) = prepare();
    let template = publish(&me, "uni").await;
    let new = |name: &str, fields: Json| {
        let handle = format!("{PREFIX}/uni-{name}");
        json!({"template": template, "handle": handle, "fields": fields})
    };
    let first = new("1", json!({"serial": "same"}));
    assert_eq!(post(&me, "registrations", &first).await.status, 201);
    let second = new(
        "2",
        json!({"serial": "same", "parent": format!("{PREFIX}/uni-none")}),
    );
    let refused = post(&me, "registrations", &second).await;
    check_problem(&refused, 422, &["serial", "parent"]);
    assert!(
        refused
            .text()
            .contains(&format!("{PREFIX}/uni-1 has this value"))
    );
    let refused = post(&stranger, "registrations", &second).await;
    check_problem(&refused, 403, &[]);
    assert!(!refused.text().contains("uni-1"), "{}", refused.text());
    // Itself is not in its way.
    let same = json!({"fields": {"serial": "same"}});
    let path = format!("registrations/{PREFIX}/uni-1");
    assert_eq!(ask(Method::PUT, &me, &path, &same).await.status, 200);
    let child = new(
        "3",
        json!({"serial": "s3", "parent": format!("{PREFIX}/UNI-1")}),
    );
    assert_eq!(post(&me, "registrations", &child).await.status, 201);

    let list = async |who: &str, query: &str| {
        let answer = ask(
            Method::GET,
            who,
            &format!("registrations?{query}"),
            &Json::Null,
        )
        .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["handles"].clone()
    };
    let found = list("", &format!("refersTo={PREFIX}/uni-1")).await;
    assert_eq!(found, json!([format!("{PREFIX}/uni-3")]));
    let found = list("", &format!("template={template}&field=serial&value=same")).await;
    assert_eq!(found, json!([format!("{PREFIX}/uni-1")]));
    let found = list("", &format!("template={template}")).await;
    assert_eq!(
        found,
        json!([format!("{PREFIX}/uni-1"), format!("{PREFIX}/uni-3")])
    );
}

#[tokio::test]
async fn of_registrations_of_one_value_at_a_time_one_is_made() {
    let (me, _) = prepare();
    let template = publish(&me, "race").await;
    let new = |name: usize| {
        let handle = format!("{PREFIX}/race-{name}");
        json!({"template": template, "handle": handle, "fields": {"serial": "one"}})
    };
    let all = (0..8).map(|name| {
        let (me, new) = (me.clone(), new(name));
        async move { post(&me, "registrations", &new).await.status.as_u16() }
    });
    let statuses = futures_util::future::join_all(all).await;
    assert_eq!(
        statuses.iter().filter(|status| **status == 201).count(),
        1,
        "{statuses:?}"
    );
    assert!(
        statuses.iter().all(|status| matches!(status, 201 | 422)),
        "{statuses:?}"
    );
}

#[tokio::test]
async fn value_that_the_caller_may_not_read_is_not_found_by_him() {
    let (me, _) = prepare();
    let template = publish(&me, "find").await;
    let handle = format!("{PREFIX}/find-1");
    let fields = json!({"serial": "F1", "mass": 7.5});
    let new = json!({"template": template, "handle": handle, "fields": fields});
    assert_eq!(post(&me, "registrations", &new).await.status, 201);
    let path = format!("registrations?template={template}&field=mass&value=7.50");
    let find = async |who: &str| ask(Method::GET, who, &path, &Json::Null).await.json();
    assert_eq!(find(&me).await["handles"], json!([handle]));
    assert_eq!(find("").await["handles"], json!([]));
    for (query, status) in [
        (format!("template={template}&field=photos&value=a.jpg"), 422),
        (format!("template={template}&field=none&value=x"), 422),
        (format!("template={PREFIX}/META_none"), 404),
        ("field=mass".to_owned(), 400),
        (format!("template={template}&after=xx"), 400),
        (format!("template={template}&limit=0"), 400),
        (format!("template={template}&limit=1001"), 400),
    ] {
        let answer = ask(
            Method::GET,
            &me,
            &format!("registrations?{query}"),
            &Json::Null,
        )
        .await;
        assert_eq!(answer.status, status, "{query}: {}", answer.text());
    }
}

#[tokio::test]
async fn lists_go_on_where_the_page_before_ended() {
    let (me, _) = prepare();
    let template = publish(&me, "page").await;
    let rows: Vec<Json> = (0..5)
        .map(|n| {
            let handle = format!("{PREFIX}/page-{n}");
            json!({"handle": handle, "fields": {"serial": format!("p{n}")}})
        })
        .collect();
    let bulk = json!({"template": template, "registrations": rows});
    assert_eq!(
        post(&me, "registrations/batch", &bulk).await.json()["done"],
        5
    );
    let (mut after, mut found) = (String::new(), Vec::new());
    loop {
        let path = format!("registrations?template={template}&limit=2{after}");
        let page = ask(Method::GET, &me, &path, &Json::Null).await.json();
        found.extend(page["handles"].as_array().unwrap().clone());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    let expected: Vec<_> = (0..5)
        .map(|n| json!(format!("{PREFIX}/page-{n}")))
        .collect();
    assert_eq!(found, expected);
    let path = format!("templates?prefix={PREFIX}");
    let templates = ask(Method::GET, &me, &path, &Json::Null).await.json();
    assert!(
        templates["handles"]
            .as_array()
            .unwrap()
            .contains(&json!(template))
    );
    // Whoever is far away proves that he may list.
    let request = axum::http::Request::get(format!("/api/v2/{path}"));
    let request = request.body(axum::body::Body::empty()).unwrap();
    let refused = super::ask(request, super::far()).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
}

#[tokio::test]
async fn only_a_published_template_is_registered_by() {
    let (me, _) = prepare();
    let template = publish(&me, "pub").await;
    let new = |name: &str| {
        let handle = format!("{PREFIX}/pub-{name}");
        json!({"template": template, "handle": handle, "fields": {"serial": name}})
    };
    assert_eq!(post(&me, "registrations", &new("s1")).await.status, 201);
    let withdraw = json!({"action": "withdraw"});
    assert_eq!(
        post(&me, &format!("templates/{template}"), &withdraw)
            .await
            .status,
        200
    );
    let withdrawn = post(&me, "registrations", &new("s2")).await;
    check_problem(&withdrawn, 404, &[]);
    let mut none = new("s2");
    none["template"] = json!(format!("{PREFIX}/META_none"));
    let missing = post(&me, "registrations", &none).await.json();
    assert_eq!(withdrawn.json()["detail"], missing["detail"]);
    // What was registered stays, and is changed as before.
    let path = format!("registrations/{PREFIX}/pub-s1");
    assert_eq!(ask(Method::GET, "", &path, &Json::Null).await.status, 200);
    let part = json!({"fields": {"mass": 1}});
    assert_eq!(ask(Method::PATCH, &me, &path, &part).await.status, 200);
    let disable = json!({"action": "disable"});
    assert_eq!(
        post(&me, &format!("templates/{template}"), &disable)
            .await
            .status,
        200
    );
    check_problem(&post(&me, "registrations", &new("s2")).await, 409, &[]);
    check_problem(&ask(Method::PATCH, &me, &path, &part).await, 409, &[]);
}

#[tokio::test]
async fn handle_is_minted_by_the_rule_of_the_template() {
    let (me, _) = prepare();
    let mut with_rule = definition();
    with_rule["suffix"] = "SN{date:yyyy}-{uuid}{check}".into();
    let new = json!({"prefix": PREFIX, "code": "mint", "definition": with_rule});
    assert_eq!(post(&me, "templates", &new).await.status, 201);
    let template = format!("{PREFIX}/META_mint");
    let publish_it = json!({"action": "publish"});
    assert_eq!(
        post(&me, &format!("templates/{template}"), &publish_it)
            .await
            .status,
        200
    );
    let new = json!({"template": template, "fields": {"serial": "m1"}});
    let made = post(&me, "registrations", &new).await.json();
    let suffix = made["handle"]
        .as_str()
        .unwrap()
        .strip_prefix(&format!("{PREFIX}/SN2"))
        .unwrap();
    assert_eq!(suffix.len(), "026-".len() + 32 + 1, "{made}");
    let without = publish(&me, "nomint").await;
    let new = json!({"template": without, "fields": {"serial": "m2"}});
    let refused = post(&me, "registrations", &new).await;
    check_problem(&refused, 400, &[]);
}

//----------- Bulk -----------------------------------------------------------

fn outcomes(answer: &Answer) -> Vec<String> {
    let json = answer.json();
    let results = json["results"]
        .as_array()
        .unwrap_or_else(|| panic!("{json}"));
    results
        .iter()
        .map(|row| row["outcome"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn every_row_of_a_batch_gets_its_result_and_stops_no_other() {
    let (me, _) = prepare();
    let template = publish(&me, "bulk").await;
    let handle = |name: &str| format!("{PREFIX}/bulk-{name}");
    let rows = json!([
        {"handle": handle("1"), "fields": {"serial": "b1", "mass": 1.5}},
        {"handle": handle("2"), "fields": {"serial": "b1"}},
        {"handle": handle("1"), "fields": {"serial": "b3"}},
        {"handle": handle("4"), "fields": {"serial": "b"}},
        {"handle": handle("5"), "fields": {"serial": "b5"}},
    ]);
    let bulk = |dry_run: bool| {
        let rows = rows.clone();
        json!({"template": template, "dryRun": dry_run, "registrations": rows})
    };
    let rehearsed = post(&me, "registrations/batch", &bulk(true)).await;
    assert_eq!(rehearsed.json()["dryRun"], true, "{}", rehearsed.text());
    let after = node()
        .store
        .record(Handle::parse(&handle("1")).unwrap().borrow())
        .unwrap();
    assert!(after.is_none());
    let answer = post(&me, "registrations/batch", &bulk(false)).await;
    let expected = ["created", "refused", "refused", "refused", "created"];
    assert_eq!(outcomes(&answer), expected, "{}", answer.text());
    let json = answer.json();
    assert_eq!((&json["done"], &json["refused"]), (&json!(2), &json!(3)));
    assert_eq!(json["results"][3]["errors"][0]["field"], "serial");
    assert_eq!(json["results"][2]["row"], 3);
}

#[tokio::test]
async fn batch_is_taken_as_table_and_as_lines() {
    let (me, _) = prepare();
    let template = publish(&me, "form").await;
    let handle = |name: &str| format!("{PREFIX}/form-{name}");
    let send_as = async |kind: &str, query: &str, body: &str| {
        let headers = [("authorization", me.as_str()), ("content-type", kind)];
        let path = format!("/api/v2/registrations/batch?template={template}{query}");
        send(Method::POST, &path, &headers, body).await
    };
    let csv = format!(
        "\u{feff}handle,serial,mass,photos\n{},c1,2.5,a.png; b.jpg\n{},\"c,2\",heavy,\n\
         {},c3\n{},c4,,\n",
        handle("c1"),
        handle("c2"),
        handle("c3"),
        handle("c4")
    );
    let answer = send_as("text/csv", "", &csv).await;
    assert_eq!(
        outcomes(&answer),
        ["created", "refused", "refused", "created"],
        "{}",
        answer.text()
    );
    let path = format!("registrations/{}", handle("c1"));
    let fields = ask(Method::GET, &me, &path, &Json::Null).await.json()["fields"].clone();
    assert_eq!(
        fields,
        json!({"serial": "c1", "mass": 2.5, "photos": ["a.png", "b.jpg"]})
    );

    let lines = format!(
        "{}\n\n{{\"handle\":\n{}\n",
        json!({"handle": handle("c1"), "fields": {"mass": 3}}),
        json!({"handle": handle("none"), "fields": {"mass": 3}}),
    );
    let answer = send_as("application/jsonl", "&mode=merge", &lines).await;
    assert_eq!(
        outcomes(&answer),
        ["changed", "refused", "refused"],
        "{}",
        answer.text()
    );
    check_problem(&send_as("text/plain", "", "x").await, 415, &[]);
    check_problem(&send_as("text/csv", "&mode=burn", "x").await, 400, &[]);
    check_problem(&send_as("text/csv", "", "serial,serial\n").await, 400, &[]);
}

#[tokio::test]
async fn batch_is_bounded_and_sent_again_is_made_once() {
    let (me, stranger) = prepare();
    let template = publish(&me, "once").await;
    let row = |n: usize| json!({"handle": format!("{PREFIX}/once-{n}"), "fields": {"serial": "x"}});
    let many: Vec<Json> = (0..=guantong_api::v2::ROWS_MAX).map(row).collect();
    let bulk = json!({"template": template, "registrations": many});
    check_problem(&post(&me, "registrations/batch", &bulk).await, 413, &[]);
    check_problem(&post("", "registrations/batch", &bulk).await, 401, &[]);

    let rows = json!([{"handle": format!("{PREFIX}/once-a"), "fields": {"serial": "oa"}}]);
    let bulk = json!({"template": template, "registrations": rows});
    let send_it = async |who: &str| {
        let key = [("idempotency-key", "v2 once")];
        ask_with(Method::POST, who, "registrations/batch", &key, &bulk).await
    };
    let first = send_it(&me).await;
    assert_eq!(outcomes(&first), ["created"], "{}", first.text());
    let again = send_it(&me).await;
    assert_eq!(
        again.header("idempotency-replayed"),
        "true",
        "{}",
        again.text()
    );
    assert_eq!(again.text(), first.text());
    check_problem(&send_it(&stranger).await, 401, &[]);
}

#[tokio::test]
async fn unknown_paths_and_garbage_are_problems() {
    check_problem(&get("/api/v2/nothing").await, 404, &[]);
    check_problem(&get("/api/v2/templates/88.118.5/web").await, 404, &[]);
    check_problem(&get("/api/v2/registrations/88.118.5/web").await, 404, &[]);
    let (me, _) = prepare();
    for body in ["", "{", "[]", "{\"template\":1}", "\u{0}"] {
        let headers = [
            ("authorization", me.as_str()),
            ("content-type", "application/json"),
        ];
        for path in ["templates", "registrations", "registrations/batch"] {
            let path = format!("/api/v2/{path}");
            let answer = send(Method::POST, &path, &headers, body).await;
            check_problem(&answer, 400, &[]);
        }
    }
}
