//! The interface of existing enterprise nodes: every call, refusals, garbage.

mod files;
mod grants;
mod login;

use axum::http::Method;
use guantong_core::template::{Categories, Category};
use guantong_proto::data::{Admin, AdminPermissions};
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Permissions, Value, Values};
use guantong_store::{Batch, Change, Expect, Origin, Trail};
use serde_json::{Value as Json, json};

use super::change::{basic, send};
use super::{get, node};

const USER: &str = "88.118.11/App_1";
const STRANGER: &str = "88.118.11/App_2";
const SECRET: &str = "v1 secret";
const PREFIX: &str = "88.118.11";

fn put(name: &str, values: &[Value]) -> Change {
    Change::Put {
        handle: Handle::parse(name).unwrap(),
        values: Writer::to_vec(|w| Values::encode(values, w)),
        expect: Expect::Anything,
    }
}

fn submit(changes: Vec<Change>) {
    let batch = Batch {
        changes,
        at_ms: 0,
        origin: Origin::Operator,
        trail: Trail::default(),
    };
    node().store.submit(batch).wait().unwrap();
}

fn put_record(name: &str, values: &[Value]) {
    submit(vec![put(name, values)]);
}

/// An application that administers a prefix that only these tests use, and one that does not.
fn prepare() -> (String, String) {
    let key = Value {
        permissions: Permissions(Permissions::ADMIN_READ),
        ..Value::new(300, "HS_SECKEY", SECRET)
    };
    let admin = Admin::new(AdminPermissions::ALL, USER, 300).encode();
    let prefix = Handle::of_prefix(PREFIX).unwrap();
    submit(vec![
        put(USER, std::slice::from_ref(&key)),
        put(STRANGER, &[key]),
        put(prefix.as_str(), &[Value::new(100, "HS_ADMIN", admin)]),
        Change::Home { prefix },
    ]);
    node().refresh_site().unwrap();
    let parts = Category {
        id: 0,
        code: "parts".to_owned(),
        name: "零部件".to_owned(),
        parent: None,
        sort: 1,
    };
    let categories = Categories::default().add(parts).unwrap();
    put_record("88.118.11/CATEGORIES", &categories.to_values());
    (basic(USER, SECRET), basic(STRANGER, SECRET))
}

async fn ask(method: Method, who: &str, path: &str, body: &Json) -> Json {
    let mut headers = vec![("content-type", "application/json")];
    headers.extend((!who.is_empty()).then_some(("authorization", who)));
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let answer = send(method, &format!("/api/v1/{path}"), &headers, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

async fn done(method: Method, who: &str, path: &str, body: &Json) -> Json {
    let answer = ask(method, who, path, body).await;
    assert_eq!(answer["code"], 1, "{path}: {answer}");
    answer["data"].clone()
}

#[track_caller]
fn check_refusal(answer: &Json, code: i32) {
    assert_eq!(answer["code"], code, "{answer}");
    assert!(!answer["message"].as_str().unwrap().is_empty() && answer.get("data").is_none());
}

fn op(target: &str, operation: &str) -> String {
    // As Feign encodes the slash.
    let escape = |text: &str| text.replace('/', "%2F");
    format!(
        "doip?targetId={}&operationId={}",
        escape(target),
        escape(operation)
    )
}

fn new_template(code: &str, name: &str) -> Json {
    json!({
        "classifyCode": "parts", "metaClassifyId": null,
        "metaHandle": format!("{PREFIX}/META_{code}"),
        "metaName": name, "metaCode": code, "metaState": null, "industryCategory": "C",
        "industrySpecific": "38", "industryTrade": "384", "industrySubclass": "3841",
        "standard": "GB/T 1", "metaDesc": null, "isQuote": 0, "referenceMetaHandle": null,
        "metaItemCreateDTOS": [
            {"itemIndex": null, "itemCode": null, "englishName": "serial", "chineseName": "序列号",
             "itemState": 0, "definition": null, "inputNecessary": 1, "listItemNecessary": 1,
             "required": 1, "uniqueField": 1, "acl": null, "comment": null,
             "itemSchemaCreateDTO": {"dataType": "1", "minLength": 2, "maxLength": 20},
             "itemReferenceDTO": null},
            {"englishName": "mass", "chineseName": "质量", "required": 0, "uniqueField": 0,
             "itemSchemaCreateDTO": {"dataType": 2, "accuracy": 1, "maxLength": 38}},
            {"englishName": "made", "chineseName": "时间", "required": 0, "uniqueField": 0,
             "itemSchemaCreateDTO": {"dataType": 3, "dateFormat": "yyyy-MM-dd HH:mm:ss"}},
            {"englishName": "parent", "chineseName": "上级",
             "itemSchemaCreateDTO": {"dataType": 5, "referenceType": 2},
             "itemReferenceDTO": {"referenceMetaHandle": format!("{PREFIX}/META_{code}")}},
        ],
    })
}

async fn publish(who: &str, code: &str) -> String {
    let data = done(
        Method::POST,
        who,
        "open/meta/create",
        &new_template(code, code),
    )
    .await;
    let handle = data["metaHandle"].as_str().unwrap().to_owned();
    turn(who, &handle, "publish").await;
    handle
}

async fn turn(who: &str, handle: &str, kind: &str) {
    let body = json!({"metaHandleList": [handle], "opType": kind});
    let data = done(Method::PUT, who, "open/meta/publish-or-withdraw", &body).await;
    assert_eq!(data[0]["state"], "success", "{data}");
}

fn said(template: &str, content: Json) -> Json {
    let mut body = json!({"requestId": null, "clientId": null, "targetId": null,
           "operationId": null, "appHandle": null, "type": template});
    body["attributes"]["content"] = content;
    body
}

//----------- Templates ------------------------------------------------------

#[tokio::test]
async fn template_is_made_read_changed_and_deleted_as_clients_ask() {
    let (me, stranger) = prepare();
    let new = new_template("life1", "Battery");
    check_refusal(&ask(Method::POST, "", "open/meta/create", &new).await, 102);
    check_refusal(
        &ask(Method::POST, &stranger, "open/meta/create", &new).await,
        605,
    );
    let made = done(Method::POST, &me, "open/meta/create", &new).await;
    let handle = format!("{PREFIX}/META_life1");
    assert_eq!(made["metaHandle"], handle.as_str());
    check_refusal(&ask(Method::POST, &me, "open/meta/create", &new).await, 105);

    let path = format!("open/meta/info?metaHandle={}", handle.replace('/', "%2F"));
    check_refusal(&ask(Method::GET, &stranger, &path, &Json::Null).await, 604);
    let info = done(Method::GET, &me, &path, &Json::Null).await;
    for (name, value) in [
        ("metaName", json!("Battery")),
        ("metaCode", json!("life1")),
        ("metaState", json!(0)),
        ("industry", json!("C/38/384/3841")),
        ("industrySubclass", json!("3841")),
        ("classifyCode", json!("parts")),
        ("metaContributor", json!(PREFIX)),
    ] {
        assert_eq!(info[name], value, "{name} of {info}");
    }
    let items = info["itemVOS"].as_array().unwrap();
    assert_eq!(items[1]["itemIndex"], 2001);
    assert_eq!(items[1]["itemSchemaVO"]["maxLength"], 38);
    assert_eq!(
        items[2]["itemSchemaVO"]["dateFormat"],
        "yyyy-MM-dd HH:mm:ss"
    );
    assert_eq!(
        items[3]["itemReferenceVO"]["referenceMetaHandle"],
        handle.as_str()
    );

    template_is_changed_and_deleted(&me, &stranger, &handle, &path).await;
}

async fn template_is_changed_and_deleted(me: &str, stranger: &str, handle: &str, path: &str) {
    let basics =
        json!({"metaHandle": handle, "metaName": "Cell", "metaDesc": "d", "standard": null});
    assert!(
        done(Method::PUT, me, "open/meta/update-basic-info", &basics)
            .await
            .is_null()
    );
    let items = json!({"metaHanlde": handle, "metaItemDTOS": [
        {"itemIndex": 2001, "chineseName": "重量", "itemState": "1"},
        {"englishName": "note", "chineseName": "备注", "itemSchemaCreateDTO": {"dataType": 1}}]});
    assert!(
        done(Method::PUT, me, "open/meta/update-item", &items)
            .await
            .is_null()
    );
    let info = done(Method::GET, me, path, &Json::Null).await;
    assert_eq!(
        (&info["metaName"], &info["standard"]),
        (&json!("Cell"), &json!("GB/T 1"))
    );
    assert_eq!(info["itemVOS"][1]["chineseName"], "重量");
    assert_eq!(info["itemVOS"][1]["itemState"], 1);
    assert_eq!(info["itemVOS"][4]["itemIndex"], 2004);

    turn(me, handle, "publish").await;
    let delete = format!("open/meta/delete?metaHandleList={handle}&metaHandleList={handle}");
    check_refusal(&ask(Method::DELETE, me, &delete, &Json::Null).await, 606);
    check_refusal(
        &ask(Method::PUT, me, "open/meta/update-item", &items).await,
        702,
    );
    turn(me, handle, "withdraw").await;
    check_refusal(
        &ask(Method::DELETE, stranger, &delete, &Json::Null).await,
        604,
    );
    let delete = format!("open/meta/delete?metaHandleList={handle}");
    assert!(
        done(Method::DELETE, me, &delete, &Json::Null)
            .await
            .is_null()
    );
    check_refusal(&ask(Method::GET, me, path, &Json::Null).await, 604);
}

#[tokio::test]
async fn publishing_tells_of_each_template_what_came_of_it() {
    let (me, stranger) = prepare();
    let handle = publish(&me, "each1").await;
    let body = json!({"metaHandleList": [handle, "88.118.11/META_none", "x"], "opType": "publish"});
    let data = done(Method::PUT, &me, "open/meta/publish-or-withdraw", &body).await;
    let states: Vec<_> = data
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["state"])
        .collect();
    assert_eq!(states, ["failed", "failed", "failed"]);
    assert!(
        data[0]["reason"].as_str().unwrap().contains("published"),
        "{data}"
    );
    let data = done(
        Method::PUT,
        &stranger,
        "open/meta/publish-or-withdraw",
        &body,
    )
    .await;
    assert_eq!(data[0]["state"], "failed");
    for bad in [
        json!({"metaHandleList": [], "opType": "publish"}),
        json!({"metaHandleList": [handle]}),
        json!({"metaHandleList": [handle], "opType": "burn"}),
        json!({"metaHandleList": vec!["a/b"; 101], "opType": "publish"}),
    ] {
        let answer = ask(Method::PUT, &me, "open/meta/publish-or-withdraw", &bad).await;
        check_refusal(&answer, 106);
    }
}

#[tokio::test]
async fn copy_of_a_template_has_its_fields_and_keeps_them() {
    let (me, _) = prepare();
    let base = publish(&me, "base1").await;
    let body = json!({"baseonHandle": base,
        "baseInfo": {"metaHandle": null, "metaCode": "copied", "classifyCode": "parts"}});
    let copy = done(Method::POST, &me, "open/meta/baseon-create", &body).await;
    let copy = copy["metaHandle"].as_str().unwrap().to_owned();
    let code = copy.strip_prefix("88.118.11/META_").unwrap();
    assert!(
        code.len() == 10 && code.bytes().all(|c| c.is_ascii_hexdigit()),
        "{copy}"
    );
    let info = format!("open/meta/info?metaHandle={copy}");
    let info = done(Method::GET, &me, &info, &Json::Null).await;
    assert_eq!(
        (&info["isQuote"], &info["metaCode"]),
        (&json!(1), &json!("copied"))
    );
    assert_eq!(info["itemVOS"].as_array().unwrap().len(), 4);
    let items =
        json!({"metaHandle": copy, "metaItemDTOS": [{"itemIndex": 2000, "chineseName": "x"}]});
    check_refusal(
        &ask(Method::PUT, &me, "open/meta/update-item", &items).await,
        106,
    );
    let none = json!({"baseonHandle": "88.118.11/META_none", "baseInfo": {"metaCode": "x"}});
    check_refusal(
        &ask(Method::POST, &me, "open/meta/baseon-create", &none).await,
        604,
    );
    let none = json!({"baseonHandle": USER, "baseInfo": {"metaCode": "x"}});
    check_refusal(
        &ask(Method::POST, &me, "open/meta/baseon-create", &none).await,
        403,
    );
}

//----------- Identifiers ----------------------------------------------------

#[tokio::test]
async fn identifier_is_registered_changed_read_and_deleted() {
    let (me, stranger) = prepare();
    let template = publish(&me, "thing1").await;
    // Existing products put the code of a thing directly behind the handle of its template.
    let thing = format!("{template}CASE001");
    let create = op(&thing, "0.DOIP/Op.Create");
    let body = said(
        &template,
        json!({"serial": "AB1", "mass": "7.5", "parent": null,
                                      "made": "2026-03-01 08:00:00"}),
    );
    check_refusal(&ask(Method::POST, "", &create, &body).await, 102);
    check_refusal(&ask(Method::POST, &stranger, &create, &body).await, 103);
    let echo = done(Method::POST, &me, &create, &body).await;
    assert_eq!(echo["type"], template.as_str());
    assert_eq!(echo["attributes"]["content"]["mass"], "7.5");
    check_refusal(&ask(Method::POST, &me, &create, &body).await, 105);

    let retrieve = op(&thing, "0.DOIP/Op.Retrieve");
    let data = done(Method::GET, &me, &retrieve, &Json::Null).await;
    assert_eq!(
        (&data["id"], &data["handle"]),
        (&json!(thing), &json!(thing))
    );
    assert_eq!(data["type"], template.as_str());
    let elements = data["attributes"]["elements"].as_array().unwrap();
    let wanted = json!({"index": 2001, "type": "mass", "name": "质量", "data": 7.5, "dataType": 2});
    assert_eq!(elements[1], wanted);
    assert_eq!(data["values"][0], json!({"type": "序列号", "value": "AB1"}));
    assert_eq!(data["values"][1]["value"], "7.5");
    let meta = &data["attributes"]["attributes"]["metaData"];
    assert_eq!(
        (&meta["creator"], &meta["updater"]),
        (&json!(USER), &json!(USER))
    );
    assert_eq!(
        meta["createTime"].as_str().unwrap().len(),
        "2026-03-01 08:00:00".len()
    );
    // Nothing of it is public.
    check_refusal(&ask(Method::GET, "", &retrieve, &Json::Null).await, 403);
    check_refusal(
        &ask(Method::GET, &stranger, &retrieve, &Json::Null).await,
        403,
    );

    identifier_is_changed_and_deleted(&me, &stranger, &template, &thing).await;
}

async fn identifier_is_changed_and_deleted(me: &str, stranger: &str, template: &str, thing: &str) {
    let retrieve = op(thing, "0.DOIP/Op.Retrieve");
    let merge = op(thing, "0.DOIP.EXTEND/Op.Update.Non.Overlay");
    let body = said(
        template,
        json!({"mass": 8, "parent": thing, "serial": null}),
    );
    check_refusal(&ask(Method::POST, stranger, &merge, &body).await, 406);
    done(Method::POST, me, &merge, &body).await;
    let data = done(Method::GET, me, &retrieve.replace("%2F", "/"), &Json::Null).await;
    let texts: Vec<_> = data["values"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| &v["value"])
        .collect();
    assert_eq!(texts, ["AB1", "8", "2026-03-01 08:00:00", thing]);

    let other = said("88.118.11/META_other", json!({"mass": 8}));
    check_refusal(&ask(Method::POST, me, &merge, &other).await, 106);
    let update = op(thing, "0.DOIP/Op.Update");
    let body = said(template, json!({"serial": "AB2"}));
    done(Method::POST, me, &update, &body).await;
    let data = done(Method::GET, me, &retrieve, &Json::Null).await;
    assert_eq!(data["values"].as_array().unwrap().len(), 1);

    let delete = op(thing, "0.DOIP/Op.Delete");
    let nulls = json!({"targetId": null, "type": null, "attributes": null});
    check_refusal(&ask(Method::POST, stranger, &delete, &nulls).await, 700);
    check_refusal(&ask(Method::GET, me, &delete, &Json::Null).await, 405);
    let answer = ask(Method::POST, me, &delete, &nulls).await;
    assert_eq!((&answer["code"], answer.get("data")), (&json!(1), None));
    check_refusal(&ask(Method::GET, me, &retrieve, &Json::Null).await, 104);
    check_refusal(&ask(Method::POST, me, &delete, &Json::Null).await, 104);
}

#[tokio::test]
async fn what_is_wrong_with_a_registration_has_its_code() {
    let (me, _) = prepare();
    let template = publish(&me, "wrong1").await;
    let create = op("88.118.11/wrong", "0.DOIP/Op.Create");
    for (content, code) in [
        (json!({}), 601),
        (json!({"serial": "A"}), 601),
        (json!({"serial": "ABC", "other": 1}), 603),
        (json!({"serial": "ABC", "mass": "x"}), 601),
        (json!({"serial": "ABC", "made": "2026-03-01"}), 601),
        (json!({"serial": "ABC", "parent": ["no handle"]}), 601),
    ] {
        let answer = ask(
            Method::POST,
            &me,
            &create,
            &said(&template, content.clone()),
        )
        .await;
        check_refusal(&answer, code);
    }
    for (body, code) in [
        (said("88.118.11/META_none", json!({"serial": "ABC"})), 604),
        (json!({"attributes": {"content": {}}}), 106),
        (json!({"type": template}), 106),
        (json!({"type": template, "attributes": []}), 106),
        (json!([1]), 106),
    ] {
        check_refusal(&ask(Method::POST, &me, &create, &body).await, code);
    }
    let elsewhere = op("99.9/thing", "0.DOIP/Op.Create");
    let body = said(&template, json!({"serial": "ABC"}));
    check_refusal(&ask(Method::POST, &me, &elsewhere, &body).await, 701);
    turn(&me, &template, "withdraw").await;
    check_refusal(&ask(Method::POST, &me, &create, &body).await, 604);
}

#[tokio::test]
async fn identifiers_that_refer_to_each_other_are_registered_one_after_the_other() {
    let (me, _) = prepare();
    let (template, other) = (publish(&me, "mutual").await, publish(&me, "aside").await);
    let things = ["A", "B"].map(|own| format!("{template}{own}"));
    let [first, second] = &things;
    for (own, thing, beside) in [("s1", first, second), ("s2", second, first)] {
        let body = said(&template, json!({"serial": own, "parent": [beside]}));
        let path = op(thing, "0.DOIP/Op.Create");
        done(Method::POST, &me, &path, &body).await;
    }
    // What is there must be registered by the template that the field names.
    let body = said(&other, json!({"serial": "s1", "parent": [&things[0]]}));
    let path = op(&format!("{other}A"), "0.DOIP/Op.Create");
    check_refusal(&ask(Method::POST, &me, &path, &body).await, 601);
    let path = op(&things[0], "0.DOIP.EXTEND/Op.Update.Non.Overlay");
    let body = said(&template, json!({"parent": [format!("{template}C")]}));
    done(Method::POST, &me, &path, &body).await;
    let body = said(&template, json!({"parent": ["no handle"]}));
    check_refusal(&ask(Method::POST, &me, &path, &body).await, 601);
}

#[tokio::test]
async fn templates_and_plain_records_are_retrieved_too() {
    let (me, _) = prepare();
    let template = publish(&me, "shown1").await;
    let retrieve = op(&template, "0.DOIP/Op.Retrieve");
    for who in [&*me, ""] {
        let data = done(Method::GET, who, &retrieve, &Json::Null).await;
        assert_eq!(data["type"], "0.TYPE/DO.DOIPMETA");
        let content = &data["attributes"]["content"];
        assert_eq!(content["basicInfo"]["metaCode"], "shown1");
        assert_eq!(content["itemInfos"][0]["itemBasicInfo"]["enName"], "serial");
        assert_eq!(
            content["itemInfos"][1]["itemSchemaInfo"]["dataTypeString"],
            "number"
        );
        assert_eq!(content["required"], json!(["serial"]));
        assert_eq!(content["uniqueness"], json!(["serial"]));
    }
    let plain = op("88.118.5/plain-for-v1", "0.DOIP/Op.Retrieve");
    super::change::user("88.118.5/plain-for-v1");
    let data = done(Method::GET, "", &plain, &Json::Null).await;
    assert_eq!(data["values"], json!([{"type": "URL", "value": "x"}]));
    let hello = op("88.118.11/DOIPServiceInfo", "0.DOIP/Op.Hello");
    assert!(done(Method::GET, "", &hello, &Json::Null).await["id"].is_string());
    let list = op("88.118.11/DOIPServiceInfo", "0.DOIP/Op.ListOperations");
    assert!(done(Method::GET, "", &list, &Json::Null).await.is_array());
    for (target, code) in [("99.9/DOIPServiceInfo", 104), ("88.118.11/x", 104)] {
        let hello = op(target, "0.DOIP/Op.Hello");
        check_refusal(&ask(Method::GET, "", &hello, &Json::Null).await, code);
    }
}

//----------- Lists ----------------------------------------------------------

#[tokio::test]
async fn templates_and_identifiers_are_listed_by_pages() {
    let (me, _) = prepare();
    let template = publish(&me, "list1").await;
    for n in 0..3 {
        let create = op(&format!("{PREFIX}/listed{n}"), "0.DOIP/Op.Create");
        let body = said(&template, json!({"serial": format!("L{n}")}));
        done(Method::POST, &me, &create, &body).await;
    }
    let path = format!("open/handle/page?metaHandle={template}&page=0&size=2");
    let page = done(Method::GET, &me, &path, &Json::Null).await;
    for (name, value) in [
        ("pageSize", 2),
        ("pageNumber", 1),
        ("totalCount", 3),
        ("totalPage", 2),
    ] {
        assert_eq!(page[name], value, "{page}");
    }
    assert_eq!(page["content"][0]["createdBy"], USER);
    let path = format!("open/handle/page?metaHandle={template}&handleName=listed2");
    let page = done(Method::GET, &me, &path, &Json::Null).await;
    assert_eq!(page["content"][0]["handleName"], "88.118.11/listed2");
    let path = format!("open/handle/page?metaHandle={template}&endTime=2001-01-01%2000:00:00");
    let page = done(Method::GET, &me, &path, &Json::Null).await;
    assert_eq!(
        (&page["totalCount"], &page["content"]),
        (&json!(0), &json!([]))
    );

    let path = "open/meta/page?classifyCode=parts&metaState=1&metaHandle=META_list1&page=0&size=5";
    let page = done(Method::GET, &me, path, &Json::Null).await;
    assert_eq!(page["content"][0]["metaHandle"], template.as_str());
    assert_eq!(
        (&page["totalCount"], &page["content"][0]["isQuote"]),
        (&json!(1), &json!(0))
    );
    let none = "open/meta/page?classifyCode=none";
    check_refusal(&ask(Method::GET, &me, none, &Json::Null).await, 811);
    let none = "open/meta/page?classifyCode=unclassified";
    let page = done(Method::GET, &me, none, &Json::Null).await;
    assert!(
        !page["content"].to_string().contains("META_list1"),
        "{page}"
    );
    let tree = done(Method::GET, &me, "open/meta/classify-query", &Json::Null).await;
    assert_eq!(tree[1]["classifyName"], "零部件");
    let mut new = new_template("nowhere", "a");
    new["classifyCode"] = json!("none");
    check_refusal(&ask(Method::POST, &me, "open/meta/create", &new).await, 811);
    for bad in [
        "open/meta/page",
        "open/meta/page?classifyCode=parts&page=-1",
        "open/meta/page?classifyCode=parts&size=1001",
        "open/meta/page?classifyCode=parts&size=0",
        "open/meta/page?classifyCode=parts&metaState=7",
        "open/meta/page?classifyCode=parts&startTime=soon",
        "open/handle/page?page=0",
    ] {
        check_refusal(&ask(Method::GET, &me, bad, &Json::Null).await, 106);
    }
    check_refusal(&ask(Method::GET, "", path, &Json::Null).await, 102);
}

//----------- Garbage --------------------------------------------------------

#[tokio::test]
async fn garbage_is_answered_with_a_code() {
    let (me, _) = prepare();
    for (method, path, code) in [
        (Method::GET, "none", 404),
        (Method::GET, "", 404),
        (Method::GET, "open/meta/none", 404),
        (Method::GET, "open/meta/create", 405),
        (Method::PUT, "doip?targetId=a/b&operationId=x", 405),
        (Method::GET, "doip", 106),
        (Method::GET, "doip?targetId=a/b", 106),
        (
            Method::GET,
            "doip?targetId=a/b&operationId=0.DOIP%2FOp.Search",
            404,
        ),
        (
            Method::GET,
            "doip?targetId=%2Fx&operationId=0.DOIP/Op.Retrieve",
            40508,
        ),
        (Method::GET, "open/meta/info?metaHandle=", 106),
    ] {
        check_refusal(&ask(method, &me, path, &Json::Null).await, code);
    }
    for body in [
        "{",
        "[]",
        "\"x\"",
        "{\"metaName\":{}}",
        "\u{0}",
        "{\"metaItemCreateDTOS\":7}",
    ] {
        let headers = [("authorization", &*me)];
        let answer = send(Method::POST, "/api/v1/open/meta/create", &headers, body).await;
        assert_eq!(answer.status, 200);
        check_refusal(&answer.json(), 106);
    }
    // A slash too many, as from a base address that ends in one.
    let answer = get("//api/v1/open/meta/none").await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["code"]),
        (200, &json!(404))
    );
    let bad = basic(USER, "wrong");
    let path = op(USER, "0.DOIP/Op.Retrieve");
    check_refusal(&ask(Method::GET, &bad, &path, &Json::Null).await, 101);
}
