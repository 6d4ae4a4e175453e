//! Grants in the way of existing enterprise nodes: what is granted is read, what is taken is not.

use axum::http::Method;
use guantong_proto::{Permissions, Value};
use serde_json::{Value as Json, json};

use super::super::change::basic;
use super::{PREFIX, ask, check_refusal, done, op, prepare, publish, put_record, said, turn};

const SINGLE: &str = "open/single-handle/authorization";
const CLASS: &str = "open/classes-grant/authorization";
const PUBLIC: &str = "open/classes-grant/item/batch-public";

/// An application of its own for a test.
fn application(name: &str) -> (String, String) {
    let handle = format!("{PREFIX}/App_{name}");
    let key = Value {
        permissions: Permissions(Permissions::ADMIN_READ),
        ..Value::new(300, "HS_SECKEY", name)
    };
    put_record(&handle, &[key]);
    (basic(&handle, name), handle)
}

async fn registered(me: &str, code: &str) -> (String, String) {
    let template = publish(me, code).await;
    let thing = format!("{template}-1");
    let body = said(&template, json!({"serial": code, "mass": 7}));
    done(Method::POST, me, &op(&thing, "0.DOIP/Op.Create"), &body).await;
    (template, thing)
}

/// The fields that somebody reads of a thing.
async fn reads(who: &str, thing: &str) -> Vec<String> {
    let answer = ask(
        Method::GET,
        who,
        &op(thing, "0.DOIP/Op.Retrieve"),
        &Json::Null,
    )
    .await;
    if answer["code"] != 1 {
        check_refusal(&answer, 403);
        return Vec::new();
    }
    let elements = answer["data"]["attributes"]["elements"].as_array().unwrap();
    let name = |element: &Json| element["type"].as_str().unwrap().to_owned();
    elements.iter().map(name).collect()
}

#[tokio::test]
async fn identifier_is_granted_to_an_application_and_taken_from_it() {
    let (me, stranger) = prepare();
    let (other, app) = application("single");
    let (template, thing) = registered(&me, "single1").await;
    assert!(reads(&other, &thing).await.is_empty());
    let grant = json!({"handle": thing, "grantType": 2, "readerScope": 2,
                       "handleUserReaders": [app], "handleUserWriters": null,
                       "delHandleUserReaders": [], "delHandleUserWriters": null});
    check_refusal(&ask(Method::POST, &stranger, SINGLE, &grant).await, 703);
    assert!(done(Method::POST, &me, SINGLE, &grant).await.is_null());
    assert_eq!(reads(&other, &thing).await, ["serial", "mass"]);
    assert!(reads(&stranger, &thing).await.is_empty() && reads("", &thing).await.is_empty());
    let update = op(&thing, "0.DOIP.EXTEND/Op.Update.Non.Overlay");
    let body = said(&template, json!({"mass": 8}));
    check_refusal(&ask(Method::POST, &other, &update, &body).await, 406);

    let everybody = json!({"handle": thing, "grantType": "2", "readerScope": "1"});
    done(Method::POST, &me, "single-handle/authorization", &everybody).await;
    assert_eq!(reads("", &thing).await, ["serial", "mass"]);
    let taken = json!({"handle": thing, "readerScope": 2, "delHandleUserReaders": [app]});
    done(Method::POST, &me, SINGLE, &taken).await;
    assert!(reads(&other, &thing).await.is_empty() && reads("", &thing).await.is_empty());
    let follow = json!({"handle": thing, "grantType": 1, "readerScope": null});
    done(Method::POST, &me, SINGLE, &follow).await;

    let messages = "open/message/appMessage?page=0&size=10";
    let page = done(Method::GET, &other, messages, &Json::Null).await;
    let titles = page["content"].as_array().unwrap().iter();
    let kinds = |m: &Json| (m["messageTitleType"].clone(), m["messageType"].clone());
    let titles: Vec<_> = titles.map(kinds).collect();
    assert_eq!(
        titles,
        [(json!(5), json!(2)), (json!(2), json!(1))],
        "{page}"
    );
    check_refusal(&ask(Method::GET, "", messages, &Json::Null).await, 102);
}

#[tokio::test]
async fn fields_of_all_identifiers_are_granted_and_shown() {
    let (me, stranger) = prepare();
    let (other, app) = application("class");
    let (template, thing) = registered(&me, "class1").await;
    let grant = json!({"metaHandle": template, "accessList": [
        {"item": "mass", "authType": 1, "scope": 2, "handleUsers": [app]},
        {"item": "mass", "authType": "2", "scope": 2, "handleList": [app]}]});
    check_refusal(&ask(Method::POST, &stranger, CLASS, &grant).await, 605);
    done(Method::POST, &me, CLASS, &grant).await;
    assert_eq!(reads(&other, &thing).await, ["mass"]);
    let public = |scope: i64| json!({"metaHandle": template, "items": ["serial"], "scope": scope});
    done(Method::POST, &me, PUBLIC, &public(1)).await;
    assert_eq!(reads("", &thing).await, ["serial"]);
    assert_eq!(reads(&other, &thing).await, ["serial", "mass"]);
    let without = PUBLIC.strip_prefix("open/").unwrap();
    done(Method::POST, &me, without, &public(2)).await;
    assert!(reads("", &thing).await.is_empty());
    let unknown = json!({"metaHandle": template, "items": ["none"], "scope": 1});
    check_refusal(&ask(Method::POST, &me, PUBLIC, &unknown).await, 603);
    let public_write = json!({"metaHandle": template,
        "accessList": [{"item": "mass", "authType": 2, "scope": 1}]});
    check_refusal(&ask(Method::POST, &me, CLASS, &public_write).await, 900);
    turn(&me, &template, "withdraw").await;
    check_refusal(&ask(Method::POST, &me, PUBLIC, &public(1)).await, 600);
}

#[tokio::test]
async fn template_is_shared_with_those_listed_or_with_all() {
    let (me, stranger) = prepare();
    let (other, app) = application("shared");
    let template = publish(&me, "shared1").await;
    let read = async |who: &str| {
        let path = op(&template, "0.DOIP/Op.Retrieve");
        ask(Method::GET, who, &path, &Json::Null).await["code"].clone()
    };
    assert_eq!(read("").await, 1);
    let listed = json!({"metaHandle": template, "scope": 2, "handleList": [app]});
    check_refusal(
        &ask(Method::POST, &stranger, "open/meta/grant-info", &listed).await,
        605,
    );
    done(Method::POST, &me, "open/meta/grant-info", &listed).await;
    assert_eq!(read(&other).await, 1);
    assert_ne!(read("").await, 1);
    let all = json!({"metaHandle": template, "scope": "1", "handleUsers": []});
    done(Method::POST, &me, "open/meta/grant/info", &all).await;
    assert_eq!(read("").await, 1);
}

#[tokio::test]
async fn grants_that_make_no_sense_are_refused() {
    let (me, _) = prepare();
    let (_, thing) = registered(&me, "senseless1").await;
    let user = format!("{PREFIX}/User_1");
    let nobody = format!("{PREFIX}/App_nobody");
    for (body, code) in [
        (json!({"handle": thing, "grantType": 2}), 900),
        (
            json!({"handle": thing, "grantType": 1, "handleUserReaders": [nobody]}),
            900,
        ),
        (
            json!({"handle": thing, "grantType": 7, "readerScope": 1}),
            106,
        ),
        (
            json!({"handle": thing, "grantType": 2, "readerScope": "x"}),
            903,
        ),
        (
            json!({"handle": thing, "grantType": 2, "readerScope": 3}),
            106,
        ),
        (
            json!({"handle": thing, "readerScope": 2, "handleUserReaders": [user]}),
            901,
        ),
        (
            json!({"handle": thing, "readerScope": 2, "handleUserReaders": [nobody]}),
            901,
        ),
        (json!({"handle": "88.118.11/none", "readerScope": 1}), 104),
        (json!({"readerScope": 1}), 106),
        (json!({"handle": thing, "handleUserReaders": "x"}), 106),
    ] {
        let answer = ask(Method::POST, &me, SINGLE, &body).await;
        check_refusal(&answer, code);
    }
    check_refusal(&ask(Method::GET, &me, SINGLE, &Json::Null).await, 405);
    for path in [CLASS, PUBLIC, "open/meta/grant-info"] {
        check_refusal(&ask(Method::POST, &me, path, &json!({})).await, 106);
    }
    let list = done(Method::GET, &me, "open/handle-user-group/list", &Json::Null).await;
    let apps = list.as_array().unwrap();
    let mine = apps
        .iter()
        .find(|app| app["userHandle"] == "88.118.11/App_1")
        .unwrap();
    assert_eq!(
        (&mine["name"], &mine["belongCompany"]),
        (&json!("App_1"), &json!(PREFIX))
    );
}
