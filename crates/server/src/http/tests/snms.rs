//! The interface of second-level nodes: templates, registrations, envelopes.

use axum::http::Method;
use serde_json::{Value as Json, json};

use super::change::send;
use super::v2::prepare;
use super::{Answer, get};

const PREFIX: &str = "88.118.10";
const DATA: &str = "/identityv2/data";
const V3: &str = "/snms/api/v3/template";
const V5: &str = "/snms/api/v5/template";

async fn ask(method: Method, credential: &str, path: &str, body: &Json) -> Answer {
    let mut headers = vec![("content-type", "application/json")];
    headers.extend((!credential.is_empty()).then_some(("authorization", credential)));
    send(method, path, &headers, &body.to_string()).await
}

/// Status and data of an answer, whose status over HTTP is always 200.
#[track_caller]
fn opened(answer: &Answer) -> (i64, Json) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let json = answer.json();
    assert!(json["message"].is_string(), "{json}");
    (json["status"].as_i64().unwrap(), json["data"].clone())
}

#[track_caller]
fn check_refusal(answer: &Answer, status: i64, part: &str) {
    assert_eq!(opened(answer), (status, Json::Null), "{}", answer.text());
    let json = answer.json();
    let message = json["message"].as_str().unwrap();
    assert!(message.contains(part), "{message}");
}

fn item(kind: &str, index: i32, required: bool) -> Json {
    json!({"name": format!("{kind} 名称"), "idType": kind, "idIndex": index, "required": required,
           "state": 1, "metadata": {"type": "string", "minLength": 1, "maxLength": 8}})
}

fn template(version: &str, items: &[Json]) -> Json {
    json!({"prefix": PREFIX, "version": version, "industryCategory": "C",
           "industrySpecific": "38", "industryTrade": "384", "industrySubclass": "3841",
           "type": 1, "description": null, "items": items})
}

async fn publish(me: &str, version: &str) {
    let form = template(version, &[item("serial", 0, true), item("color", 0, false)]);
    let made = ask(Method::POST, me, V3, &form).await;
    assert_eq!(opened(&made), (1, json!(true)), "{}", made.text());
}

fn value(index: i32, kind: &str, text: &str) -> Json {
    json!({"index": index, "type": kind, "data": {"format": "string", "value": text}})
}

fn row(handle: &str, version: &str, values: &[Json]) -> Json {
    json!({"handle": format!("{PREFIX}/{handle}"), "templateVersion": version, "value": values})
}

async fn detail(handle: &str) -> Answer {
    get(&format!("{DATA}/detail?handle={PREFIX}%2F{handle}")).await
}

//----------- Templates ------------------------------------------------------

#[tokio::test]
async fn template_is_made_shown_changed_and_deleted_by_prefix_and_version() {
    let (me, stranger) = prepare();
    let form = template("V1/一", &[item("serial", 0, true)]);
    check_refusal(
        &ask(Method::POST, "", V3, &form).await,
        -1,
        "prove who you are",
    );
    check_refusal(&ask(Method::POST, &stranger, V3, &form).await, -3, "");
    publish(&me, "V1/一").await;
    let again = ask(Method::POST, &me, V3, &form).await;
    check_refusal(&again, -2, "");

    let query = format!("prefix={PREFIX}&version=V1%2F%E4%B8%80");
    let (status, shown) = opened(&get(&format!("{V3}?{query}")).await);
    assert_eq!(status, 1);
    assert_eq!(shown["version"], "V1/一");
    assert_eq!(
        (&shown["industryTrade"], &shown["type"]),
        (&json!("384"), &json!(1))
    );
    assert_eq!(shown["items"][0]["idType"], "serial");
    assert_eq!(shown["items"][0]["metadata"]["maxLength"], 8);
    assert_eq!(
        (&shown["handle"], &shown["items"][0]["idIndex"]),
        (&Json::Null, &Json::Null)
    );
    let (_, shown) = opened(&get(&format!("{V5}?{query}")).await);
    assert_eq!(shown["handle"], format!("{PREFIX}/META_V1~2F~E4~B8~80"));
    assert_eq!(shown["items"][1]["idIndex"], 2001);

    let mut off = item("color", 2001, false);
    off["state"] = 0.into();
    let form = template("V1/一", &[off, item("note", 2002, false)]);
    check_refusal(
        &ask(Method::PUT, &me, V3, &form).await,
        -2,
        "there is no PUT",
    );
    check_refusal(&ask(Method::PUT, &stranger, V5, &form).await, -3, "");
    assert_eq!(opened(&ask(Method::PUT, &me, V5, &form).await).0, 1);
    let (_, shown) = opened(&get(&format!("{V5}?{query}")).await);
    let items: Vec<_> = shown["items"].as_array().unwrap().iter().collect();
    let found: Vec<_> = items.iter().map(|i| (&i["idType"], &i["state"])).collect();
    let expected = [("serial", 1), ("color", 0), ("note", 1)];
    let expected = expected.map(|(name, state)| (json!(name), json!(state)));
    assert_eq!(
        found,
        expected.iter().map(|(n, s)| (n, s)).collect::<Vec<_>>()
    );

    let form = template("V1/一", &[item("other", 2000, false)]);
    check_refusal(&ask(Method::PUT, &me, V5, &form).await, -2, "index");
    let name = json!({"prefix": PREFIX, "version": "V1/一"});
    check_refusal(&ask(Method::DELETE, &stranger, V5, &name).await, -3, "");
    assert_eq!(
        opened(&ask(Method::DELETE, &me, V5, &name).await),
        (1, json!(true))
    );
    check_refusal(&get(&format!("{V5}?{query}")).await, -2, "no such template");
}

#[tokio::test]
async fn template_that_is_not_right_is_refused_with_its_reason() {
    let (me, _) = prepare();
    let wrong = |change: fn(&mut Json)| {
        let mut form = template("V-wrong", &[item("serial", 0, true)]);
        change(&mut form);
        form
    };
    for (form, part) in [
        (wrong(|f| f["prefix"] = Json::Null), "`prefix` is missing"),
        (wrong(|f| f["prefix"] = "88.1/x".into()), "`prefix` must be"),
        (
            wrong(|f| f["version"] = "x".repeat(129).into()),
            "129 characters",
        ),
        (wrong(|f| f["type"] = 3.into()), "`type` is 3"),
        (
            wrong(|f| f["industryCategory"] = "Z".into()),
            "`industryCategory`",
        ),
        (wrong(|f| f["items"] = json!([])), "`items` is missing"),
        (
            wrong(|f| f["items"][0]["idType"] = "HS_ADMIN".into()),
            "fields[0].name",
        ),
        (
            wrong(|f| f["items"][0]["metadata"]["type"] = "int".into()),
            "must be `string`",
        ),
        (
            wrong(|f| f["items"][0]["metadata"]["minLength"] = (-1).into()),
            "is no length",
        ),
        (wrong(|f| f["items"] = 7.into()), "not what is expected"),
        (json!("x"), "not what is expected"),
    ] {
        check_refusal(&ask(Method::POST, &me, V3, &form).await, -2, part);
    }
    let garbage = send(Method::POST, V3, &[("authorization", &me)], "{\"prefix").await;
    check_refusal(&garbage, -2, "not what is expected");
}

//----------- Registrations --------------------------------------------------

#[tokio::test]
async fn registration_is_made_shown_changed_and_deleted() {
    let (me, stranger) = prepare();
    publish(&me, "V2").await;
    let new = row("snms-1", "V2", &[value(2000, "serial", "AB1")]);
    check_refusal(&ask(Method::POST, "", DATA, &new).await, -1, "");
    check_refusal(&ask(Method::POST, &stranger, DATA, &new).await, -3, "");
    assert_eq!(
        opened(&ask(Method::POST, &me, DATA, &new).await),
        (1, json!(true))
    );
    check_refusal(&ask(Method::POST, &me, DATA, &new).await, -2, "");

    let (_, shown) = opened(&detail("snms-1").await);
    let expected = json!({"prefix": PREFIX, "handle": format!("{PREFIX}/snms-1"),
        "templateVersion": "V2", "value": [{"index": 2000, "type": "serial", "auth": "1110",
        "data": {"format": "string", "value": "AB1"}}]});
    assert_eq!(shown, expected);

    let more = row("snms-1", "V2", &[value(2001, "color", "red")]);
    check_refusal(&ask(Method::PUT, &stranger, DATA, &more).await, -3, "");
    assert_eq!(opened(&ask(Method::PUT, &me, DATA, &more).await).0, 1);
    let (_, shown) = opened(&detail("snms-1").await);
    assert_eq!(shown["value"].as_array().unwrap().len(), 2);

    let name = json!({"prefix": PREFIX, "version": "V2"});
    let used = ask(Method::DELETE, &me, V3, &name).await;
    check_refusal(&used, -2, "snms-1 is registered by the template");
    let named = json!({"handle": format!("{PREFIX}/snms-1")});
    check_refusal(&ask(Method::DELETE, &stranger, DATA, &named).await, -3, "");
    assert_eq!(
        opened(&ask(Method::DELETE, &me, DATA, &named).await),
        (1, json!(true))
    );
    check_refusal(&detail("snms-1").await, -2, "");
}

#[tokio::test]
async fn registration_that_is_not_right_is_refused_with_its_reason() {
    let (me, _) = prepare();
    publish(&me, "V3").await;
    publish(&me, "V3-other").await;
    let good = row("snms-2", "V3", &[value(2000, "serial", "AB1")]);
    assert_eq!(opened(&ask(Method::POST, &me, DATA, &good).await).0, 1);
    let long = "x".repeat(256);
    for (body, part) in [
        (row("snms-3", "V3", &[]), "`value` is missing"),
        (
            row("snms-3", "", &[value(2000, "serial", "A")]),
            "`templateVersion` is missing",
        ),
        (
            row("snms-3", "none", &[value(2000, "serial", "A")]),
            "no such template",
        ),
        (
            row("snms-3", "V3", &[value(2001, "serial", "A")]),
            "index and type",
        ),
        (
            row("snms-3", "V3", &[value(2000, "SERIAL", "A")]),
            "index and type",
        ),
        (
            row("snms-3", "V3", &[value(1001, "serial", "A")]),
            "1000 and 1001",
        ),
        (
            row("snms-3", "V3", &[value(2001, "color", "A")]),
            "serial: a value is required",
        ),
        (
            row("snms-3", "V3", &[value(2000, "serial", "123456789")]),
            "the limit is 8",
        ),
        (
            row(&long, "V3", &[value(2000, "serial", "A")]),
            "the limit is 255",
        ),
        (json!([good]), "not what is expected"),
        (Json::Null, "not what is expected"),
    ] {
        check_refusal(&ask(Method::POST, &me, DATA, &body).await, -2, part);
    }
    let other = row("snms-2", "V3-other", &[value(2001, "color", "red")]);
    let refused = ask(Method::PUT, &me, DATA, &other).await;
    check_refusal(&refused, -2, "template version V3");
    let path = format!("{DATA}/detail");
    check_refusal(&get(&path).await, -2, "`handle` is missing");
    check_refusal(
        &ask(Method::POST, &me, &path, &good).await,
        -2,
        "there is no POST",
    );
}

#[tokio::test]
async fn rows_of_a_batch_each_have_their_result() {
    let (me, _) = prepare();
    publish(&me, "V4").await;
    let serial = |name: &str, text: &str| row(name, "V4", &[value(2000, "serial", text)]);
    let rows = json!([serial("b-1", "1"), serial("b-2", "too long a text"), serial("b-1", "2"),
                      serial("b-3", "3"), {"handle": null}]);
    let path = |name: &str| format!("{DATA}/{name}");
    let answer = ask(Method::POST, &me, &path("batchCreate"), &rows).await;
    let (status, data) = opened(&answer);
    let codes = |data: &Json| -> Vec<i64> {
        let rows = data.as_array().unwrap().iter();
        rows.map(|row| row["code"].as_i64().unwrap()).collect()
    };
    assert_eq!(
        (status, codes(&data)),
        (1, vec![1, -2, -2, 1, -2]),
        "{data}"
    );
    assert_eq!(data[3]["handle"], format!("{PREFIX}/b-3"));
    assert!(
        data[1]["msg"].as_str().unwrap().contains("the limit is 8"),
        "{data}"
    );
    assert!(
        data[2]["msg"].as_str().unwrap().contains("earlier row"),
        "{data}"
    );

    let rows = json!([serial("b-1", "9"), serial("b-9", "9")]);
    let (_, data) = opened(&ask(Method::PUT, &me, &path("batchUpdate"), &rows).await);
    assert_eq!(codes(&data), [1, -2], "{data}");
    let names = [format!("{PREFIX}/b-1"), format!("{PREFIX}/b-9")];
    let (_, data) = opened(&ask(Method::DELETE, &me, &path("batchDelete"), &json!(names)).await);
    assert_eq!(codes(&data), [1, -2], "{data}");
    let names = json!({"handles": [format!("{PREFIX}/b-3")]});
    let (_, data) = opened(&ask(Method::DELETE, &me, &path("batchDelete"), &names).await);
    assert_eq!(codes(&data), [1], "{data}");

    let many = vec!["88.118.10/x"; 2001];
    let answer = ask(Method::DELETE, &me, &path("batchDelete"), &json!(many)).await;
    check_refusal(&answer, -2, "more than 2000");
}

#[tokio::test]
async fn interface_that_is_not_wanted_is_not_there() {
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt;

    use crate::init::{InitOptions, init};

    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("node");
    init(&dir, &InitOptions::default()).unwrap();
    let node = crate::node::Node::open(crate::config::load(&dir).unwrap()).unwrap();
    for path in ["/identity/token", "/identityv2/data", V3] {
        let request = Request::post(path).body(Body::from("{}")).unwrap();
        let answer = super::super::router(node.clone()).oneshot(request).await;
        assert_ne!(answer.unwrap().status(), 200, "{path}");
    }
}
