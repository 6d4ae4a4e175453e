//! Enterprises that apply for a prefix: who may, what is refused, and what comes of it.

use axum::http::Method;
use guantong_proto::data::{Admin, AdminPermissions, Site};
use guantong_proto::json::SiteForm;
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Permissions, Value, Values};
use guantong_store::{Batch, Change, Expect, Origin, Trail};
use serde_json::{Value as Json, json};

use super::change::{basic, send};
use super::{Answer, get, node};

const PARENT: &str = "88.118.11";
/// Administers the prefix, and the server.
pub(super) const REVIEWER: &str = "88.118.5/reviewer";
/// May make records below the prefix, and nothing else.
const PORTAL: &str = "88.118.5/portal";
const SECRET: &str = "onboarding secret";

/// The reviewer and the portal.
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
    let admin = |index, permissions, handle: &str| {
        let data = Admin::new(permissions, handle, 300).encode();
        Value::new(index, "HS_ADMIN", data)
    };
    let prefix = Handle::of_prefix(PARENT).unwrap();
    let above = [
        admin(100, AdminPermissions::ALL, REVIEWER),
        admin(101, AdminPermissions::ADD_HANDLE, PORTAL),
    ];
    let batch = Batch {
        changes: vec![
            put(REVIEWER, std::slice::from_ref(&key)),
            put(PORTAL, &[key]),
            put(prefix.as_str(), &above),
            Change::Home { prefix },
        ],
        at_ms: 0,
        origin: Origin::Operator,
        trail: Trail::default(),
    };
    node().store.submit(batch).wait().unwrap();
    node().refresh_site().unwrap();
    (basic(REVIEWER, SECRET), basic(PORTAL, SECRET))
}

fn form(code: &str) -> Json {
    json!({"form": {
        "name": format!("企业 {code}"),
        "document": {"kind": "creditCode", "number": format!("91520300MA6H{code}")},
        "prefix": format!("{PARENT}.{code}"), "userName": format!("user{code}"),
        "contact": {"name": "李", "phone": "13900000000"},
        "details": {"nature": 2, "legalPerson": {"name": "王"}}}})
}

async fn ask(method: Method, credential: &str, path: &str, body: &Json) -> Answer {
    let mut headers = vec![("content-type", "application/json")];
    headers.extend((!credential.is_empty()).then_some(("authorization", credential)));
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    send(
        method,
        &format!("/api/v2/enterprises{path}"),
        &headers,
        &body,
    )
    .await
}

async fn file(credential: &str, code: &str) -> String {
    let answer = ask(Method::POST, credential, "", &form(code)).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["handle"].as_str().unwrap().to_owned()
}

async fn act(credential: &str, handle: &str, action: &Json) -> Answer {
    ask(Method::POST, credential, &format!("/{handle}"), action).await
}

async fn show(credential: &str, handle: &str) -> Answer {
    ask(Method::GET, credential, &format!("/{handle}"), &Json::Null).await
}

#[tokio::test]
async fn application_is_seen_by_those_only_who_review_it() {
    let (reviewer, portal) = prepare();
    assert_eq!(ask(Method::POST, "", "", &form("101")).await.status, 401);
    let handle = file(&portal, "101").await;
    let shown = show(&reviewer, &handle).await.json();
    assert_eq!(
        (&shown["state"], &shown["form"]["userName"]),
        (&json!("applied"), &json!("user101"))
    );
    assert_eq!(show(&portal, &handle).await.status, 200);
    for public in [
        show("", &handle).await,
        get(&format!("/api/handles/{handle}")).await,
    ] {
        assert_eq!(public.status, 404, "{}", public.text());
    }
    let list = format!("?prefix={PARENT}");
    let listed = ask(Method::GET, &reviewer, &list, &Json::Null).await.json();
    let handles = listed["enterprises"].as_array().unwrap().iter();
    assert!(
        handles.clone().any(|e| e["handle"] == handle.as_str()),
        "{listed}"
    );
    for other in ["", &portal] {
        let refused = ask(Method::GET, other, &list, &Json::Null).await;
        assert!(
            matches!(refused.status.as_u16(), 401 | 403),
            "{}",
            refused.text()
        );
    }
    let approve = json!({"action": "approve"});
    for other in ["", &portal] {
        let refused = act(other, &handle, &approve).await;
        assert!(
            matches!(refused.status.as_u16(), 401 | 403 | 404),
            "{}",
            refused.text()
        );
    }
}

#[tokio::test]
async fn application_that_is_not_right_is_refused_with_every_fault() {
    let (_, portal) = prepare();
    let mut wrong = form("102");
    wrong["form"]["name"] = "".into();
    wrong["form"]["prefix"] = format!("{PARENT}.1.2").into();
    wrong["form"]["contact"] = json!({"name": "李"});
    let refused = ask(Method::POST, &portal, "", &wrong).await;
    // The parent of the prefix is none of ours.
    assert_eq!(refused.status, 422, "{}", refused.text());
    let mut other = form("102");
    other["form"]["publicKey"] = "no key".into();
    let refused = ask(Method::POST, &portal, "", &other).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    for body in [
        json!({}),
        json!({"form": 7}),
        json!({"form": {"name": "x"}}),
        Json::Null,
    ] {
        let refused = ask(Method::POST, &portal, "", &body).await;
        assert_eq!(refused.status, 400, "{}", refused.text());
    }
    let mut far = form("102");
    far["form"]["prefix"] = "88.999.102".into();
    let refused = ask(Method::POST, &portal, "", &far).await;
    assert_ne!(refused.status, 201, "{}", refused.text());
}

#[tokio::test]
async fn document_user_and_prefix_are_unique_until_an_application_is_rejected() {
    let (reviewer, portal) = prepare();
    let handle = file(&portal, "103").await;
    for (part, field) in [("userName", "userName"), ("prefix", "prefix")] {
        let mut same = form("104");
        same["form"][part] = form("103")["form"][part].clone();
        let refused = ask(Method::POST, &portal, "", &same).await;
        assert_eq!(refused.status, 422, "{}", refused.text());
        assert_eq!(refused.json()["errors"][0]["field"], field);
    }
    let refused = ask(Method::POST, &portal, "", &form("103")).await;
    assert_eq!(refused.json()["errors"].as_array().unwrap().len(), 3);
    let no_reason = act(
        &reviewer,
        &handle,
        &json!({"action": "reject", "reason": ""}),
    )
    .await;
    assert_eq!(no_reason.status, 422);
    let reject = json!({"action": "reject", "reason": "执照看不清"});
    assert_eq!(act(&reviewer, &handle, &reject).await.status, 200);
    assert_eq!(show(&portal, &handle).await.json()["reason"], "执照看不清");
    let second = file(&portal, "103").await;
    let amend = ask(Method::PUT, &reviewer, &format!("/{handle}"), &form("103")).await;
    assert_eq!(amend.status, 422, "{}", amend.text());
    assert_eq!(act(&reviewer, &second, &reject).await.status, 200);
    let amend = ask(Method::PUT, &reviewer, &format!("/{handle}"), &form("103")).await;
    assert_eq!(amend.status, 200, "{}", amend.text());
    assert_eq!(show(&reviewer, &handle).await.json()["state"], "applied");
}

#[tokio::test]
async fn approved_prefix_is_delegated_to_the_node_of_the_enterprise() {
    let (reviewer, portal) = prepare();
    let handle = file(&portal, "105").await;
    let own = Site::decode(node().site().record()).unwrap();
    let site = serde_json::to_value(SiteForm::new(&own)).unwrap();
    let delegate = json!({"action": "delegate", "site": site});
    assert_eq!(act(&reviewer, &handle, &delegate).await.status, 409);
    assert_eq!(
        act(&reviewer, &handle, &json!({"action": "approve"}))
            .await
            .status,
        200
    );
    assert_eq!(
        act(&reviewer, &handle, &json!({"action": "approve"}))
            .await
            .status,
        409
    );
    let bad = json!({"action": "delegate", "site": {"servers": 7}});
    assert_eq!(act(&reviewer, &handle, &bad).await.status, 422);
    let dry = ask(
        Method::POST,
        &reviewer,
        &format!("/{handle}?dryRun"),
        &delegate,
    )
    .await;
    assert_eq!(dry.status, 200, "{}", dry.text());
    assert_eq!(show(&reviewer, &handle).await.json()["state"], "approved");
    assert_eq!(act(&reviewer, &handle, &delegate).await.status, 200);
    assert_eq!(show(&reviewer, &handle).await.json()["state"], "delegated");
    let record = get(&format!("/api/handles/0.NA/{PARENT}.105?auth")).await;
    let values = record.json()["values"].as_array().unwrap().clone();
    assert!(
        values.iter().any(|value| value["type"] == "HS_SITE"),
        "{values:?}"
    );
    let again = act(&reviewer, &handle, &delegate).await;
    assert_eq!(again.status, 200, "{}", again.text());
    let taken = file(&portal, "106").await;
    let same = json!({"action": "approve", "prefix": format!("{PARENT}.105")});
    let refused = act(&reviewer, &taken, &same).await;
    assert!(
        matches!(refused.status.as_u16(), 409 | 422),
        "{}",
        refused.text()
    );
}

#[tokio::test]
async fn approved_prefix_is_hosted_here_with_the_key_of_the_enterprise() {
    use crate::key::form::{Form, Key, KeyPair, Kind, write_public};

    let (reviewer, portal) = prepare();
    let key = Key::Private(Box::new(KeyPair::generate(Kind::Ed25519).unwrap()));
    let pem = write_public(&key.public(), Form::PublicPem).unwrap();
    let mut new = form("107");
    new["form"]["publicKey"] = String::from_utf8(pem).unwrap().into();
    let answer = ask(Method::POST, &portal, "", &new).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let handle = answer.json()["handle"].as_str().unwrap().to_owned();
    assert_eq!(
        act(&reviewer, &handle, &json!({"action": "approve"}))
            .await
            .status,
        200
    );
    let hosted = act(&reviewer, &handle, &json!({"action": "host"})).await;
    assert_eq!(hosted.status, 200, "{}", hosted.text());
    let prefix = Handle::of_prefix(&format!("{PARENT}.107")).unwrap();
    assert!(node().store.is_homed(prefix.borrow()));
    let record = node().store.record(prefix.borrow()).unwrap().unwrap();
    let kinds: Vec<_> = record.values().iter().map(|v| v.kind.to_vec()).collect();
    for kind in ["HS_SITE", "HS_PUBKEY", "HS_ADMIN"] {
        assert!(kinds.iter().any(|k| k == kind.as_bytes()), "{kind}");
    }
    assert_eq!(
        act(&reviewer, &handle, &json!({"action": "host"}))
            .await
            .status,
        200
    );
}
