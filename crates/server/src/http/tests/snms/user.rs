//! Users that are made over the interface of second-level nodes.

use serde_json::{Value as Json, json};

use super::super::identity::world_where;
use super::{PASSWORD, check_refusal, opened};

fn new_user(name: &str, password: &str) -> Json {
    json!({"userName": name, "password": guantong_core::identity::api_digest(password.as_bytes()),
           "email": "wu@example.org", "mobile": 13900000000_i64, "openId": null})
}

#[tokio::test]
async fn user_is_registered_by_who_may_make_identities_and_logs_in() {
    let world = world_where(|config| config.compatible.snms = true);
    let boss = world.log_in("administrators").await;
    let register = async |token: Option<&str>, body: &Json| {
        world.post("/identity/registry", token, body).await
    };
    let new = new_user("wu", PASSWORD);
    check_refusal(&register(None, &new).await, -1, "");
    let operator = world.log_in("operators").await;
    check_refusal(&register(Some(&operator), &new).await, -3, "");
    let made = register(Some(&boss), &new).await;
    assert_eq!(opened(&made), (1, json!(true)), "{}", made.text());
    check_refusal(&register(Some(&boss), &new).await, -2, "");
    let log_in = async |name: &str, password: &str| {
        let body = json!({"username": name, "password": password});
        world.post("/identity/token", None, &body).await
    };
    let token = log_in("wu", PASSWORD).await;
    assert_eq!(opened(&token).0, 1, "{}", token.text());
    check_refusal(&log_in("wu", "another password").await, -1, "not right");
    // He has no rights yet, and what is said of him is for administrators.
    let token = token.json()["data"]["token"].as_str().unwrap().to_owned();
    check_refusal(
        &register(Some(&token), &new_user("li", PASSWORD)).await,
        -3,
        "",
    );
    let shown = world
        .get("/api/handles/88.118.5/User_wu", None)
        .await
        .text();
    assert!(
        !shown.contains("example.org") && !shown.contains("argon2"),
        "{shown}"
    );
    let shown = world
        .get("/api/handles/88.118.5/User_wu", Some(&boss))
        .await
        .text();
    assert!(
        shown.contains("wu@example.org") && shown.contains("13900000000"),
        "{shown}"
    );
    let whole = register(Some(&boss), &new_user("88.118.5/User_qian", PASSWORD)).await;
    assert_eq!(opened(&whole).0, 1, "{}", whole.text());
    // A password that is too short is good for nothing but setting another one.
    let short = register(Some(&boss), &new_user("short", "123456")).await;
    assert_eq!(opened(&short).0, 1, "{}", short.text());
    check_refusal(&log_in("short", "123456").await, -1, "set one of your own");
    let own = json!({"user": "88.118.5/User_short", "password": "123456",
                     "newPassword": PASSWORD});
    let own = world.post("/api/v2/login/own-password", None, &own).await;
    assert_eq!(own.status, 200, "{}", own.text());
    assert_eq!(opened(&log_in("short", PASSWORD).await).0, 1);
}

#[tokio::test]
async fn user_whose_registration_is_not_right_is_refused_with_its_reason() {
    let world = world_where(|config| config.compatible.snms = true);
    let boss = world.log_in("administrators").await;
    let mut wrong = Vec::new();
    for (part, value, told) in [
        ("userName", json!(""), "`userName`"),
        ("userName", json!("a b"), "letters"),
        ("userName", json!("88.118.5/App_x"), "no handle of a user"),
        ("password", json!(null), "`password`"),
        ("password", json!("x".repeat(64)), "SHA-256"),
        ("password", json!("x".repeat(65)), "the limit is 64"),
        ("email", json!(""), "`email`"),
        ("email", json!("x".repeat(129)), "the limit is 128"),
        ("mobile", json!(null), "`mobile`"),
        ("mobile", json!("1".repeat(33)), "the limit is 32"),
        ("openId", json!("x".repeat(129)), "the limit is 128"),
        ("remarks", json!("x".repeat(1_001)), "the limit is 1000"),
    ] {
        let mut body = new_user("sun", PASSWORD);
        body[part] = value;
        wrong.push((body, told));
    }
    for (body, told) in wrong {
        let answer = world.post("/identity/registry", Some(&boss), &body).await;
        check_refusal(&answer, -2, told);
    }
}
