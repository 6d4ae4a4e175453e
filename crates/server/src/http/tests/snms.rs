//! The interface of second-level nodes: templates, registrations, envelopes.

mod user;

use axum::body::Body;
use axum::http::{Method, Request};
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Permissions, Value, Values};
use guantong_store::{Batch, Change, Expect, Origin, Trail};
use serde_json::{Value as Json, json};

use super::change::send;
use super::v2::prepare;
use super::{Answer, get, node};

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
pub(super) fn opened(answer: &Answer) -> (i64, Json) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let json = answer.json();
    assert!(json["message"].is_string(), "{json}");
    (json["status"].as_i64().unwrap(), json["data"].clone())
}

#[track_caller]
pub(super) fn check_refusal(answer: &Answer, status: i64, part: &str) {
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

//----------- Login ----------------------------------------------------------

const PROGRAM: &str = "88.118.5/App_snms";
/// Known to its owner only; the node keeps its digest.
const API_SECRET: &str = "5f0c2a9d7b1e4863a1c07e52d9f4b6a8";
const PERSON: &str = "88.118.5/User_snms-person";
pub(super) const PASSWORD: &str = "seven green bottles";
const WEAK: &str = "88.118.5/User_weak";

/// Somebody with an API secret, and somebody with a password that can be guessed.
fn programs() {
    use guantong_core::identity::{Chosen, Login, SALT_LEN, api_digest};
    let put = |name: &str, secret: &str| Change::Put {
        handle: Handle::parse(name).unwrap(),
        values: Writer::to_vec(|w| {
            let key = Value {
                permissions: Permissions(Permissions::ADMIN_READ),
                ..Value::new(300, "HS_SECKEY", secret)
            };
            Values::encode(&[key], w);
        }),
        expect: Expect::Anything,
    };
    let login = Login::new(PASSWORD, [7; SALT_LEN], Chosen::ByOwner).unwrap();
    let person = Change::Put {
        handle: Handle::parse(PERSON).unwrap(),
        values: Writer::to_vec(|w| Values::encode(&[login.to_value()], w)),
        expect: Expect::Anything,
    };
    let batch = Batch {
        changes: vec![
            person,
            put(PROGRAM, &api_digest(API_SECRET.as_bytes())),
            put(WEAK, "123456"),
        ],
        at_ms: 0,
        origin: Origin::Operator,
        trail: Trail::default(),
    };
    node().store.submit(batch).wait().unwrap();
}

async fn login(path: &str, name: &str, password: &str) -> Answer {
    let body = json!({"username": name, "password": password, "more": null});
    ask(Method::POST, "", path, &body).await
}

async fn who(token: &str) -> u16 {
    let header = format!("Bearer {token}");
    let answer = ask(
        Method::DELETE,
        &header,
        DATA,
        &json!({"handle": "88.118.5/none"}),
    )
    .await;
    u16::from(opened(&answer).0 == -1)
}

#[tokio::test]
async fn token_is_given_for_a_password_and_is_worth_its_key() {
    programs();
    for (name, password) in [
        (PROGRAM, API_SECRET),
        ("300:88.118.5/App_snms", API_SECRET),
        (WEAK, "123456"),
        ("weak", "123456"),
        (PERSON, PASSWORD),
        ("snms-person", PASSWORD),
    ] {
        let answer = login("/identity/token", name, password).await;
        let (status, data) = opened(&answer);
        assert_eq!(status, 1, "{name}: {}", answer.text());
        assert_eq!(who(data["token"].as_str().unwrap()).await, 0);
    }
    assert_eq!(who("no token").await, 1);
    for (name, password, part) in [
        (PROGRAM, "wrong", ""),
        (PERSON, "wrong", ""),
        ("88.118.5/App_none", API_SECRET, ""),
        ("nobody", API_SECRET, ""),
    ] {
        check_refusal(&login("/identity/token", name, password).await, -1, part);
    }
    check_refusal(&login("/identity/token", "", "x").await, -2, "`username`");
    check_refusal(
        &login("/identity/token", PROGRAM, "").await,
        -2,
        "`password`",
    );
    let garbage = send(Method::POST, "/identity/token", &[], "\0").await;
    check_refusal(&garbage, -2, "not what is expected");
}

/// Who tries names must learn from neither text nor time which of them there are: each costs one
/// verification of a password.
#[tokio::test]
async fn refused_login_says_nothing_of_who_is_there() {
    use std::sync::atomic::Ordering::Relaxed;

    let world = super::identity::world_where(|config| config.compatible.snms = true);
    let key = Value {
        permissions: Permissions(Permissions::ADMIN_READ),
        ..Value::new(300, "HS_SECKEY", API_SECRET)
    };
    world.put("88.118.5/App_key", std::slice::from_ref(&key));
    world.put("88.118.5/User_key", &[key]);
    let long = "长".repeat(100);
    let mut told = Vec::new();
    for name in [
        "operators",
        "nobody",
        "key",
        "88.118.5/User_operators",
        "88.118.5/User_nobody",
        "88.118.5/App_key",
        "88.118.5/App_nobody",
    ] {
        for password in ["a wrong password", &long] {
            let before = world.node.logins.hashed.load(Relaxed);
            let body = json!({"username": name, "password": password});
            let answer = world.post("/identity/token", None, &body).await;
            check_refusal(&answer, -1, "not right");
            assert_eq!(world.node.logins.hashed.load(Relaxed) - before, 1, "{name}");
            told.push(answer.text());
        }
    }
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
    let body = json!({"username": "key", "password": API_SECRET});
    let given = world.post("/identity/token", None, &body).await;
    assert_eq!(opened(&given).0, 1, "{}", given.text());
}

#[tokio::test]
async fn password_over_plain_http_from_far_away_is_not_taken() {
    programs();
    let body = json!({"username": PROGRAM, "password": API_SECRET}).to_string();
    let request = Request::post("/identity/token").body(Body::from(body));
    let answer = super::ask(request.unwrap(), super::far()).await;
    check_refusal(&answer, -1, "over HTTPS");
}

#[tokio::test]
async fn digest_of_the_day_is_taken_for_secrets_only_that_nobody_guesses() {
    use guantong_core::identity::{api_digest, day_digests};

    programs();
    let path = "/identity/token/v1";
    let digest = |secret: &str, at: u32| {
        let secret = api_digest(secret.as_bytes());
        day_digests(&secret, at).pop().unwrap()
    };
    let now = node().now_secs();
    let answer = login(path, PROGRAM, &digest(API_SECRET, now)).await;
    let (status, data) = opened(&answer);
    assert_eq!(status, 1, "{}", answer.text());
    assert_eq!(who(data["token"].as_str().unwrap()).await, 0);
    let yesterday = digest(API_SECRET, now - 2 * 86_400);
    check_refusal(&login(path, PROGRAM, &yesterday).await, -1, "");
    check_refusal(&login(path, PROGRAM, API_SECRET).await, -1, "");
    check_refusal(&login(path, WEAK, &digest("123456", now)).await, -1, "");
}

//----------- Enterprises ----------------------------------------------------

const PARENT: &str = "88.118.11";

fn application(code: &str) -> Json {
    application_below(PARENT, code)
}

pub(super) fn application_below(parent: &str, code: &str) -> Json {
    let system = |kind: i32| json!({"sysType": kind, "deployMode": 2, "name": "云"});
    json!({
        "sysUser": {"userName": format!("u{code}"), "email": "a@b", "mobile": "139",
                    "password": guantong_core::identity::api_digest(PASSWORD.as_bytes())},
        "entBasicInfo": {
            "orgName": format!("单位 {code}"), "orgNature": 2, "orgAddr": "路",
            "orgAddrProvince": "520000", "orgAddrCity": "520300", "orgCrtType": "1",
            "orgCrtCode": format!("9152{code}"),
            "orgCrtImgRid": 7, "industryCategory": "C", "industrySpecific": "15",
            "contactName": "李", "contactCrtType": 1, "contactCrtNo": "520300",
            "contactEmail": "li@example.org", "contactPhone": "139", "legalName": "王",
            "legalCrtType": 1, "legalCrtNo": "520301", "entPrefix": format!("{parent}.{code}")},
        "entRegisterManageInfo": {"entInfoSyses": [system(1), system(2), system(3), system(4)],
                                  "servSysBuildType": 1, "servSysOperType": 1}})
}

async fn apply(credential: &str, form: &Json) -> Answer {
    ask(Method::POST, credential, "/snms/api/v3/ent/apply", form).await
}

async fn get_as(credential: &str, path: &str) -> Answer {
    send(Method::GET, path, &[("authorization", credential)], "").await
}

#[tokio::test]
async fn enterprise_applies_and_is_listed_and_shown() {
    let (reviewer, portal) = super::enterprise::prepare();
    check_refusal(&apply("", &application("201")).await, -1, "");
    let applied = apply(&portal, &application("201")).await;
    assert_eq!(opened(&applied), (1, json!(true)), "{}", applied.text());
    check_refusal(
        &apply(&portal, &application("201")).await,
        -2,
        "document.number",
    );

    let list = "/snms/api/v3/ent/page?orgName=%E5%8D%95%E4%BD%8D%20201&pageSize=5";
    check_refusal(&get_as(&portal, list).await, -3, "");
    let (_, page) = opened(&get_as(&reviewer, list).await);
    assert_eq!(
        (&page["totalElements"], &page["number"]),
        (&json!(1), &json!(1)),
        "{page}"
    );
    assert_eq!(page["content"][0]["orgCrtCode"], "9152201");
    let id = page["content"][0]["id"].as_u64().unwrap();
    let path = format!("/snms/api/v3/ent/detail?id={id}");
    let (_, shown) = opened(&get_as(&reviewer, &path).await);
    assert_eq!(shown["entBasicInfo"]["orgCrtImgRid"], 7);
    assert_eq!(shown["state"], "applied");
    assert_eq!(shown["sysUser"]["password"], Json::Null);
    let stranger = get(&path).await;
    assert_ne!(opened(&stranger).0, 1);
}

#[tokio::test]
async fn approved_enterprise_gets_its_route() {
    let (reviewer, portal) = super::enterprise::prepare();
    let applied = apply(&portal, &application("203")).await;
    assert_eq!(opened(&applied).0, 1, "{}", applied.text());
    let config = |port: &str| {
        json!({"entPrefixConfig": {"entPrefix": format!("{PARENT}.203"), "hdlType": "HS_SITE",
               "ipType": 6, "ip": "2001:db8::1", "tcpPort": port, "udpPort": "", "httpPort": null}})
    };
    let route =
        async |who: &str, body: Json| ask(Method::POST, who, "/snms/api/ent/config", &body).await;
    check_refusal(
        &route(&reviewer, config("2643")).await,
        -2,
        "waiting for a review",
    );
    let list = format!("/api/v2/enterprises?prefix={PARENT}&limit=100");
    let listed = get_as(&reviewer, &list).await.json();
    let mut all = listed["enterprises"].as_array().unwrap().iter();
    let found = all.find(|e| e["form"]["userName"] == "u203").unwrap();
    let handle = found["handle"].as_str().unwrap();
    let path = format!("/api/v2/enterprises/{handle}");
    let approved = ask(
        Method::POST,
        &reviewer,
        &path,
        &json!({"action": "approve"}),
    )
    .await;
    assert_eq!(approved.status, 200, "{}", approved.text());
    for (body, part) in [
        (config(""), "must be there"),
        (config("70000"), "a port"),
        (json!({}), "entPrefix` is missing"),
        (
            json!({"entPrefixConfig": {"entPrefix": "88.1", "hdlType": "URL"}}),
            "HS_SITE",
        ),
    ] {
        check_refusal(&route(&reviewer, body).await, -2, part);
    }
    let routed = route(&reviewer, config("2643")).await;
    assert_eq!(opened(&routed), (1, json!(true)), "{}", routed.text());
    let prefix = Handle::of_prefix(&format!("{PARENT}.203")).unwrap();
    let record = node().store.record(prefix.borrow()).unwrap().unwrap();
    assert!(
        record
            .values()
            .iter()
            .any(|value| value.kind == b"HS_SITE.6")
    );
}

#[tokio::test]
async fn form_of_an_enterprise_that_is_not_right_is_refused_with_its_reason() {
    let (_, portal) = super::enterprise::prepare();
    let wrong = |change: fn(&mut Json)| {
        let mut form = application("202");
        change(&mut form);
        form
    };
    for (form, part) in [
        (wrong(|f| f["sysUser"] = Json::Null), "`sysUser`"),
        (wrong(|f| f["entBasicInfo"] = 7.into()), "`entBasicInfo`"),
        (
            wrong(|f| f["entBasicInfo"]["legalName"] = "".into()),
            "legalName",
        ),
        (
            wrong(|f| f["sysUser"]["password"] = "8d969eef".into()),
            "SHA-256",
        ),
        (
            wrong(|f| f["sysUser"]["userName"] = "单 位".into()),
            "userName",
        ),
        (
            wrong(|f| f["entBasicInfo"]["orgNature"] = 9.into()),
            "orgNature",
        ),
        (
            wrong(|f| f["entBasicInfo"]["orgCrtType"] = 3.into()),
            "orgCrtType",
        ),
        (
            wrong(|f| f["entBasicInfo"]["entPrefix"] = "88.118.11".into()),
            "prefix",
        ),
        (
            wrong(|f| f["entRegisterManageInfo"] = Json::Null),
            "`sysType` 1",
        ),
        (
            wrong(|f| f["entRegisterManageInfo"]["entInfoSyses"][2]["deployMode"] = 1.into()),
            "deployAddrProvince",
        ),
        (json!([]), "not what is expected"),
    ] {
        check_refusal(&apply(&portal, &form).await, -2, part);
    }
}

async fn send_file(who: &str, name: &str, octets: &[u8]) -> Answer {
    let head = format!(
        "--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n"
    );
    let body = [head.as_bytes(), octets, b"\r\n--xyz--\r\n"].concat();
    let request = Request::post("/snms/api/file/upload")
        .header("content-type", "multipart/form-data; boundary=xyz");
    let request = match who.is_empty() {
        true => request,
        false => request.header("authorization", who),
    };
    super::ask(request.body(Body::from(body)).unwrap(), super::secure()).await
}

#[tokio::test]
async fn papers_are_sent_by_who_may_apply_and_had_by_who_reviews() {
    let (reviewer, portal) = super::enterprise::prepare();
    let (_, stranger) = prepare();
    let sent = send_file(&portal, "../licence.JPG", b"picture").await;
    let (status, data) = opened(&sent);
    assert_eq!(status, 1, "{}", sent.text());
    assert!(data["id"].as_i64().is_some_and(|id| id >= 0), "{data}");
    let path = data["path"].as_str().unwrap();
    assert!(path.ends_with(".jpg") && path.len() == 40, "{path}");
    let path = format!("/snms/api/file/download?path={path}");
    for who in [&reviewer, &portal] {
        let given = get_as(who, &path).await;
        assert_eq!(given.body, b"picture", "{}", given.text());
        assert!(
            given
                .header("content-disposition")
                .starts_with("attachment")
        );
    }
    check_refusal(&get_as(&stranger, &path).await, -2, "may not have it");
    check_refusal(&get(&path).await, -1, "");
    check_refusal(
        &get_as(&portal, "/snms/api/file/download?path=../x").await,
        -2,
        "",
    );
    check_refusal(&send_file("", "a.pdf", b"x").await, -1, "");
    check_refusal(&send_file(&portal, "a.exe", b"x").await, -2, "must end in");
    let garbage = [("authorization", portal.as_str())];
    let garbage = send(Method::POST, "/snms/api/file/upload", &garbage, "x").await;
    check_refusal(&garbage, -2, "multipart");
}
