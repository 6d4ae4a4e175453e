//! Identities and groups over `/api/v2`.

use guantong_core::identity::Role;
use serde_json::{Value as Json, json};

use super::identity::{World, login_values, user, world};
use super::*;
use crate::key::form::{Key, KeyPair, read};

const AREA: &str = "/api/v2/identities";

/// Logs an app identity in with its private key.
async fn log_in_with(world: &World, handle: &str, pem: &str) -> Option<String> {
    use base64::Engine as _;
    let key = match read(pem.as_bytes(), &mut || Err("no passphrase".to_owned())).unwrap() {
        Key::Private(pair) => *pair,
        Key::Public(_) => unreachable!("a private key was written"),
    };
    let body = json!({"identity": handle});
    let nonce = world
        .post("/api/v2/login/challenge", None, &body)
        .await
        .json();
    let signature = sign(&key, nonce["nonce"].as_str().unwrap());
    let signature = base64::engine::general_purpose::STANDARD.encode(signature);
    let body = json!({"identity": handle, "signature": signature});
    let answer = world.post("/api/v2/login/answer", None, &body).await.json();
    answer["token"].as_str().map(str::to_owned)
}

fn sign(key: &KeyPair, nonce: &str) -> Vec<u8> {
    let random = ring::rand::SystemRandom::new();
    let hash = guantong_proto::crypto::Hash::Sha256;
    key.signing().sign(hash, nonce.as_bytes(), &random).unwrap()
}

fn app(code: &str) -> Json {
    json!({"prefix": "88.118.5", "kind": "app", "code": code, "name": "产线三",
        "makeKey": {"kind": "ed25519"}})
}

#[tokio::test]
async fn app_identity_is_made_logs_in_and_loses_its_session_with_its_key() {
    let world = world();
    let admin = world.log_in("app-administrators").await;
    let made = world.post(AREA, Some(&admin), &app("line-3")).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.header("cache-control"), "no-store");
    let pem = made.json()["privateKey"].as_str().unwrap().to_owned();
    let handle = "88.118.5/App_line-3";
    let token = log_in_with(&world, handle, &pem).await.unwrap();
    let who = || world.get("/api/v2/login", Some(&token));
    assert_eq!(who().await.json()["identity"], format!("300:{handle}"));
    let shown = world.get(&format!("{AREA}/{handle}"), None).await.json();
    assert_eq!(shown["name"], "产线三");
    assert_eq!(shown["disabled"], false);
    assert!(
        !world
            .get(&format!("/api/handles/{handle}"), None)
            .await
            .text()
            .contains("PRIVATE")
    );
    let again = json!({"action": "renewKey", "makeKey": {"kind": "ed25519"}});
    let renewed = world
        .post(&format!("{AREA}/{handle}"), Some(&admin), &again)
        .await;
    assert_eq!(renewed.status, 200, "{}", renewed.text());
    assert_eq!(who().await.status, 401);
    assert_eq!(log_in_with(&world, handle, &pem).await, None);
    let other = renewed.json()["privateKey"].as_str().unwrap().to_owned();
    assert!(log_in_with(&world, handle, &other).await.is_some());
}

#[tokio::test]
async fn disabled_identity_proves_nothing_until_it_is_enabled() {
    let world = world();
    let admin = world.log_in("administrators").await;
    let made = world.post(AREA, Some(&admin), &app("line-4")).await.json();
    let pem = made["privateKey"].as_str().unwrap().to_owned();
    let handle = "88.118.5/App_line-4";
    let token = log_in_with(&world, handle, &pem).await.unwrap();
    let path = format!("{AREA}/{handle}");
    let turn = async |action: &str| {
        let answer = world
            .post(&path, Some(&admin), &json!({"action": action}))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        world.get(&path, None).await.json()["disabled"].clone()
    };
    assert_eq!(turn("disable").await, true);
    assert_eq!(world.get("/api/v2/login", Some(&token)).await.status, 401);
    assert_eq!(log_in_with(&world, handle, &pem).await, None);
    assert_eq!(turn("enable").await, false);
    assert!(log_in_with(&world, handle, &pem).await.is_some());
}

#[tokio::test]
async fn identities_are_made_by_those_who_may_only() {
    let world = world();
    let operator = world.log_in("operators").await;
    let apps = world.log_in("app-administrators").await;
    let auditor = world.log_in("auditors").await;
    let person = json!({"prefix": "88.118.5", "kind": "user", "code": "wang",
        "password": "a first password"});
    for (token, body) in [
        (Some(&operator), &app("x")),
        (Some(&auditor), &app("x")),
        (None, &app("x")),
        (Some(&apps), &person),
        (Some(&operator), &person),
    ] {
        let answer = world.post(AREA, token.map(String::as_str), body).await;
        assert!(!answer.status.is_success(), "{body}: {}", answer.text());
    }
    let reset = json!({"action": "setPassword", "password": "taken over now"});
    let path = format!("{AREA}/{}", user("administrators"));
    for token in [&operator, &apps, &auditor] {
        assert!(
            !world
                .post(&path, Some(token), &reset)
                .await
                .status
                .is_success()
        );
        let role = json!({"action": "addRole", "role": "administrators"});
        let own = format!("{AREA}/{}", user("operators"));
        assert!(
            !world
                .post(&own, Some(token), &role)
                .await
                .status
                .is_success()
        );
    }
    let handle = format!("{AREA}/{}", user("none"));
    let deleted = world
        .send(Method::DELETE, &handle, Some(&operator), &Json::Null)
        .await;
    assert!(!deleted.status.is_success());
}

#[tokio::test]
async fn user_is_made_chooses_a_password_and_gets_and_loses_a_role() {
    let world = world();
    let admin = world.log_in("administrators").await;
    let person = json!({"prefix": "88.118.5", "kind": "user", "code": "wang", "name": "王五",
        "password": "a first password"});
    let made = world.post(AREA, Some(&admin), &person).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(world.post(AREA, Some(&admin), &person).await.status, 409);
    let path = format!("{AREA}/{}", user("wang"));
    // A user without a name is shown, too, to those who may read what is not public.
    let nameless = json!({"prefix": "88.118.5", "kind": "user", "code": "zhao",
        "password": "a first password"});
    assert_eq!(world.post(AREA, Some(&admin), &nameless).await.status, 201);
    let nameless = world
        .get(&format!("{AREA}/{}", user("zhao")), Some(&admin))
        .await;
    assert_eq!(
        nameless.json()["login"]["secondFactor"],
        false,
        "{}",
        nameless.text()
    );
    // Names of persons, and how they log in, are not for everybody.
    let public = world.get(&path, None).await;
    assert!(!public.text().contains("王五"), "{}", public.text());
    let shown = world.get(&path, Some(&admin)).await.json();
    assert_eq!(
        (&shown["name"], &shown["login"]["mustChange"]),
        (&json!("王五"), &json!(true))
    );
    let own = json!({"user": user("wang"), "password": "a first password",
        "newPassword": "a password of some length"});
    let chosen = world.post("/api/v2/login/own-password", None, &own).await;
    assert_eq!(chosen.status, 200, "{}", chosen.text());
    let token = world.log_in("wang").await;
    let thing = json!([{"index": 1, "type": "DESC", "data": "a thing"}]);
    let register = || {
        world.send(
            Method::PUT,
            "/api/handles/88.118.5/T1",
            Some(&token),
            &thing,
        )
    };
    assert!(!register().await.status.is_success());
    let role = async |action: &str| {
        let body = json!({"action": action, "role": "operators"});
        let answer = world.post(&path, Some(&admin), &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        world.get(&path, Some(&admin)).await.json()["roles"].clone()
    };
    assert_eq!(role("addRole").await, json!(["operators"]));
    assert!(register().await.status.is_success());
    assert_eq!(role("removeRole").await, json!([]));
    assert!(!register().await.status.is_success());
}

#[tokio::test]
async fn things_made_by_a_role_are_out_of_reach_without_it() {
    let world = world();
    let token = world.log_in("operators").await;
    let template = json!({"prefix": "88.118.5", "code": "t",
        "definition": {"title": "T", "fields": [
            {"name": "serial", "kind": {"type": "text", "lengthMax": 20}}]}});
    let made = world
        .post("/api/v2/templates", Some(&token), &template)
        .await;
    assert_eq!(made.status, 201, "{}", made.text());
    let path = "/api/v2/templates/88.118.5/META_t";
    let publish = json!({"action": "publish"});
    assert_eq!(world.post(path, Some(&token), &publish).await.status, 200);
    let nobody = guantong_proto::data::List(vec![]).encode();
    let group = "88.118.5/Group_operators";
    world.put(group, &[Value::new(200, "HS_VLIST", nobody)]);
    let withdraw = json!({"action": "withdraw"});
    assert!(
        !world
            .post(path, Some(&token), &withdraw)
            .await
            .status
            .is_success()
    );
    let admin = world.log_in("administrators").await;
    assert_eq!(world.post(path, Some(&admin), &withdraw).await.status, 200);
}

#[tokio::test]
async fn password_of_somebody_else_begins_no_session_by_the_second_factor() {
    let world = world();
    let admin = world.log_in("administrators").await;
    let person = json!({"prefix": "88.118.5", "kind": "user", "code": "first",
        "password": "a first password"});
    let made = world.post(AREA, Some(&admin), &person).await;
    assert_eq!(made.status, 201, "{}", made.text());
    for action in ["begin", "remove"] {
        let body = json!({"user": user("first"), "password": "a first password",
            "action": action});
        let answer = world.post("/api/v2/login/second-factor", None, &body).await;
        assert_eq!(answer.status, 401, "{action}: {}", answer.text());
        assert!(answer.json()["token"].is_null(), "{action}");
    }
}

#[tokio::test]
async fn operator_becomes_nobody_else_by_writing_a_key_or_a_list() {
    let world = world();
    let token = world.log_in("operators").await;
    let list = guantong_proto::data::List(vec![]).encode();
    let secret = Value {
        permissions: guantong_proto::Permissions(0x0c),
        ..Value::new(300, "HS_SECKEY", "a secret")
    };
    for (name, values) in [
        ("88.118.5/clerk", vec![secret]),
        ("88.118.5/key", vec![Value::new(300, "HS_PUBKEY", "a key")]),
        ("88.118.5/admins", vec![Value::new(200, "HS_VLIST", list)]),
        ("88.118.5/bob", login_values()),
    ] {
        world.put(name, &values);
        let path = format!("/api/handles/{name}");
        let own = json!([{"index": 300, "type": "HS_SECKEY", "data": "mine"}]);
        let whole = json!({"handle": name, "values": own.clone()});
        let values = format!("{path}?index=various&overwrite=true");
        let one = format!("{path}?index=300");
        for (method, path, body) in [
            (Method::PUT, &values, &own),
            (Method::PUT, &path, &whole),
            (Method::DELETE, &one, &Json::Null),
            (Method::DELETE, &path, &Json::Null),
        ] {
            let answer = world.send(method.clone(), path, Some(&token), body).await;
            let told = answer.text();
            assert!(!answer.status.is_success(), "{method} {path}: {told}");
        }
    }
    let own = json!([{"index": 9, "type": "NOTE", "data": "mine"}]);
    let path = "/api/handles/88.118.5/SN1?index=various&overwrite=true";
    let answer = world.send(Method::PUT, path, Some(&token), &own).await;
    assert!(answer.status.is_success(), "{}", answer.text());
}

#[tokio::test]
async fn groups_are_made_filled_and_listed() {
    let world = world();
    let admin = world.log_in("administrators").await;
    let area = "/api/v2/groups";
    let group = json!({"prefix": "88.118.5", "code": "suppliers", "members": ["88.118.5/App_a"]});
    let made = world.post(area, Some(&admin), &group).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let path = format!("{area}/88.118.5/Group_suppliers");
    let change = async |action: &str, member: &str| {
        let body = json!({"action": action, "members": [member]});
        assert_eq!(world.post(&path, Some(&admin), &body).await.status, 200);
        world.get(&path, None).await.json()["members"].clone()
    };
    let both = change("add", "88.2/App_b").await;
    assert_eq!(both, json!(["300:88.118.5/App_a", "300:88.2/App_b"]));
    assert_eq!(
        change("add", "88.2/APP_B").await.as_array().unwrap().len(),
        2
    );
    assert_eq!(
        change("remove", "88.118.5/App_a")
            .await
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let listed = world
        .get(&format!("{area}?prefix=88.118.5"), None)
        .await
        .json();
    assert_eq!(
        listed["handles"].as_array().unwrap().len(),
        1 + Role::ALL.len()
    );
    // A group of "another" enterprise, which this node can find.
    let import = json!({"prefix": "88.118.5", "import": "88.118.5/Group_auditors"});
    let imported = world.post(area, Some(&admin), &import).await;
    assert_eq!(imported.status, 200, "{}", imported.text());
    let listed = world
        .get(&format!("{area}?prefix=88.118.5"), None)
        .await
        .json();
    assert_eq!(listed["imported"], json!(["88.118.5/Group_auditors"]));
    let nowhere = json!({"prefix": "88.118.5", "import": "88.118.5/Group_nowhere"});
    assert!(
        !world
            .post(area, Some(&admin), &nowhere)
            .await
            .status
            .is_success()
    );
}

#[tokio::test]
async fn role_is_not_given_to_a_program() {
    let world = world();
    let admin = world.log_in("administrators").await;
    let body = json!({"action": "add", "members": ["88.118.5/App_a"]});
    let path = "/api/v2/groups/88.118.5/Group_administrators";
    assert!(
        !world
            .post(path, Some(&admin), &body)
            .await
            .status
            .is_success()
    );
    let role = json!({"action": "addRole", "role": "operators"});
    let path = format!("{AREA}/88.118.5/App_a");
    assert!(
        !world
            .post(&path, Some(&admin), &role)
            .await
            .status
            .is_success()
    );
}

#[tokio::test]
async fn key_of_a_program_with_a_role_is_renewed_by_administrators_alone() {
    let world = world();
    let apps = world.log_in("app-administrators").await;
    let made = world.post(AREA, Some(&apps), &app("line-5")).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let path = format!("{AREA}/88.118.5/App_line-5");
    let renew = json!({"action": "renewKey", "makeKey": {"kind": "ed25519"}});
    assert_eq!(world.post(&path, Some(&apps), &renew).await.status, 200);
    // Written natively, by somebody who knows no better.
    let members = [user("administrators"), "88.118.5/App_line-5".to_owned()];
    let members = members.map(|handle| guantong_proto::Reference { handle, index: 0 });
    let list = guantong_proto::data::List(members.to_vec()).encode();
    let group = "88.118.5/Group_administrators";
    world.put(group, &[Value::new(200, "HS_VLIST", list)]);
    for body in [&renew, &json!({"action": "disable"})] {
        let refused = world.post(&path, Some(&apps), body).await;
        assert_eq!(refused.status, 403, "{}", refused.text());
    }
    let refused = world
        .send(Method::DELETE, &path, Some(&apps), &Json::Null)
        .await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    let admin = world.log_in("administrators").await;
    assert_eq!(world.post(&path, Some(&admin), &renew).await.status, 200);
}

#[tokio::test]
async fn identities_are_listed_by_kind_and_page() {
    let world = world();
    let first = format!("{AREA}?prefix=88.118.5&kind=user&limit=2");
    let page = world.get(&first, None).await.json();
    assert_eq!(page["handles"].as_array().unwrap().len(), 2);
    let next = page["next"].as_str().unwrap();
    let rest = format!("{AREA}?prefix=88.118.5&kind=user&after={next}");
    let rest = world.get(&rest, None).await.json();
    assert_eq!(rest["handles"].as_array().unwrap().len(), 3);
    assert_eq!(rest["next"], Json::Null);
    let apps = world
        .get(&format!("{AREA}?prefix=88.118.5"), None)
        .await
        .json();
    assert_eq!(apps["handles"], json!(["88.118.5/App_a"]));
}

#[tokio::test]
async fn requests_that_say_nothing_useful_are_told_so() {
    let world = world();
    let admin = world.log_in("administrators").await;
    for body in [
        json!({"prefix": "88.118.5", "kind": "app"}),
        json!({"prefix": "88.118.5", "kind": "app", "publicKey": "no key"}),
        json!({"prefix": "88.118.5", "kind": "app", "password": "a first password"}),
        json!({"prefix": "88.118.5", "kind": "user", "password": "short"}),
        json!({"prefix": "88.118.5/x", "kind": "app", "makeKey": {}}),
        json!({"prefix": "88.118.5", "kind": "app", "code": "a/b", "makeKey": {}}),
        json!({"prefix": "88.118.5", "kind": "group", "code": "a"}),
        json!([]),
    ] {
        let answer = world.post(AREA, Some(&admin), &body).await;
        assert!(answer.status.is_client_error(), "{body}: {}", answer.text());
        assert!(!answer.json()["detail"].as_str().unwrap().is_empty());
    }
    let private = KeyPair::generate(crate::key::form::Kind::Ed25519).unwrap();
    let pem = private.write(crate::key::form::Form::Pem, None).unwrap();
    let body = json!({"prefix": "88.118.5", "kind": "app", "publicKey":
        String::from_utf8(pem).unwrap()});
    let answer = world.post(AREA, Some(&admin), &body).await;
    assert!(answer.text().contains("private key"), "{}", answer.text());
}

#[tokio::test]
async fn first_administrator_is_made_by_the_code_once() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("node");
    let options = InitOptions {
        prefix: Some("88.118.5".to_owned()),
        roles: crate::init::RoleGroups::Made,
        ..InitOptions::default()
    };
    init(&dir, &options).unwrap();
    let file = dir.join(crate::init::SET_UP_CODE);
    let code = std::fs::read_to_string(&file).unwrap().trim().to_owned();
    let node = Node::open(config::load(&dir).unwrap()).unwrap();
    let set_up = async |code: &str, user: &str| {
        let body = json!({"setupCode": code, "user": user, "password": "my own password"});
        let request = Request::post("/api/v2/login/set-up");
        let request = request.header("Content-Type", "application/json");
        let request = request.body(Body::from(body.to_string())).unwrap();
        ask_at(node.clone(), request, NEAR).await
    };
    assert!(node.login_awaits_set_up());
    assert_eq!(set_up("", "88.118.5/User_wang").await.status, 403);
    assert_eq!(set_up("0000", "88.118.5/User_wang").await.status, 403);
    assert!(
        set_up(&code, "88.118.6/User_wang")
            .await
            .status
            .is_client_error()
    );
    assert!(
        set_up(&code, "88.118.5/wang")
            .await
            .status
            .is_client_error()
    );
    let made = set_up(&code, "88.118.5/User_wang").await;
    assert_eq!(made.status, 200, "{}", made.text());
    assert!(!file.exists() && !node.login_awaits_set_up());
    assert_eq!(set_up(&code, "88.118.5/User_li").await.status, 403);
    let token = made.json()["token"].as_str().unwrap().to_owned();
    let session = node.login_session(&token).await.unwrap();
    assert_eq!(session.roles, [Role::Administrators]);
    // Not even with another code, as there is an administrator now.
    std::fs::write(&file, "0123456789abcdef0123456789abcdef").unwrap();
    let again = set_up("0123456789abcdef0123456789abcdef", "88.118.5/User_li").await;
    assert_eq!(again.status, 403, "{}", again.text());
    assert!(!file.exists());
}

#[tokio::test]
async fn user_with_a_key_has_his_roles_by_the_key() {
    let world = world();
    let admin = world.log_in("administrators").await;
    let person = json!({"prefix": "88.118.5", "kind": "user", "code": "key",
        "makeKey": {"kind": "ed25519"}});
    let made = world.post(AREA, Some(&admin), &person).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let pem = made.json()["privateKey"].as_str().unwrap().to_owned();
    let role = json!({"action": "addRole", "role": "operators"});
    let path = format!("{AREA}/{}", user("key"));
    assert_eq!(world.post(&path, Some(&admin), &role).await.status, 200);
    let token = log_in_with(&world, &user("key"), &pem).await.unwrap();
    let thing = json!([{"index": 1, "type": "DESC", "data": "a thing"}]);
    let path = "/api/handles/88.118.5/T1";
    let made = world.send(Method::PUT, path, Some(&token), &thing).await;
    assert!(made.status.is_success(), "{}", made.text());
}
