//! The whole way of an enterprise: it applies, is reviewed, gets its prefix, and works with it. And
//! what those may do who apply without saying who they are.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value as Json, json};

use super::identity::{World, user, world_where};
use super::snms::{PASSWORD, application_below, check_refusal, opened};
use super::{Answer, NEAR, ask_at};
use crate::config::Config;

const PARENT: &str = "88.118.5";
const APPLY: &str = "/snms/api/v3/ent/apply";
const CONFIG: &str = "/snms/api/ent/config";

/// Guests may apply, and the administrator of the prefix administers the server, too.
fn open(config: &mut Config) {
    config.compatible.snms = true;
    config.onboarding.open = vec![PARENT.to_owned()];
    config.onboarding.waiting_max = 2;
    let reviewer = format!("400:{}", user("administrators"));
    let rules = &mut config.administration.rules;
    rules.server_admins.push(reviewer.parse().unwrap());
}

/// The application for a prefix, as the reviewer finds it.
async fn found(world: &World, reviewer: &str, code: &str) -> String {
    let list = format!("/api/v2/enterprises?prefix={PARENT}");
    let listed = world.get(&list, Some(reviewer)).await.json();
    let mut all = listed["enterprises"].as_array().unwrap().iter();
    let prefix = format!("{PARENT}.{code}");
    let one = all
        .find(|e| e["form"]["prefix"] == prefix.as_str())
        .unwrap();
    one["handle"].as_str().unwrap().to_owned()
}

async fn act(world: &World, reviewer: &str, handle: &str, action: &Json) -> Answer {
    let path = format!("/api/v2/enterprises/{handle}");
    world.post(&path, Some(reviewer), action).await
}

async fn log_in(world: &World, name: &str, password: &str) -> Answer {
    let body = json!({"username": name, "password": password});
    world.post("/identity/token", None, &body).await
}

#[tokio::test]
async fn enterprise_goes_from_its_application_to_a_name_that_everybody_resolves() {
    let world = world_where(open);
    let reviewer = world.log_in("administrators").await;
    let applied = world
        .post(APPLY, None, &application_below(PARENT, "201"))
        .await;
    assert_eq!(opened(&applied), (1, json!(true)), "{}", applied.text());
    let handle = found(&world, &reviewer, "201").await;
    let host = json!({"entPrefixConfig": {"entPrefix": "88.118.5.201", "hdlType": "HOSTED"}});
    let early = world.post(CONFIG, Some(&reviewer), &host).await;
    check_refusal(&early, -2, "waiting for a review");
    let approved = act(&world, &reviewer, &handle, &json!({"action": "approve"})).await;
    assert_eq!(approved.status, 200, "{}", approved.text());
    check_refusal(&log_in(&world, "u201", PASSWORD).await, -1, "not right");
    // Nobody reads how the applicant will log in, and nobody logs in as an application.
    for path in [
        format!("/api/handles/{handle}"),
        format!("/api/v2/enterprises/{handle}"),
    ] {
        let shown = world.get(&path, Some(&reviewer)).await;
        assert_eq!(shown.status, 200, "{}", shown.text());
        assert!(!shown.text().contains("argon2"), "{}", shown.text());
    }
    check_refusal(&log_in(&world, &handle, PASSWORD).await, -1, "not right");

    check_refusal(&world.post(CONFIG, None, &host).await, -1, "");
    let hosted = world.post(CONFIG, Some(&reviewer), &host).await;
    assert_eq!(opened(&hosted), (1, json!(true)), "{}", hosted.text());
    for name in ["u201", "88.118.5.201/User_u201"] {
        let token = log_in(&world, name, PASSWORD).await;
        assert_eq!(opened(&token).0, 1, "{}", token.text());
    }
    let body = json!({"user": "88.118.5.201/User_u201", "password": PASSWORD});
    let token = world
        .post("/api/v2/login/password", None, &body)
        .await
        .json();
    let token = token["token"].as_str().unwrap().to_owned();
    let who = world.get("/api/v2/login", Some(&token)).await.json();
    assert_eq!(who["roles"], json!(["administrators"]));

    let template = json!({
        "prefix": "88.118.5.201", "version": "bottle", "industryCategory": "C",
        "industrySpecific": "15", "industryTrade": "151", "industrySubclass": "1512", "type": 2,
        "name": "酒瓶", "items": [{"name": "名称", "idType": "title", "required": 1,
            "metadata": {"type": "string", "minLength": 1, "maxLength": 40}}]});
    let made = world
        .post("/snms/api/v3/template", Some(&token), &template)
        .await;
    assert_eq!(opened(&made), (1, json!(true)), "{}", made.text());
    let thing = json!({"handle": "88.118.5.201/SN1", "templateVersion": "bottle", "value": [
        {"index": 2000, "type": "title", "data": {"format": "string", "value": "飞天"}}]});
    let registered = world.post("/identityv2/data", Some(&token), &thing).await;
    assert_eq!(
        opened(&registered),
        (1, json!(true)),
        "{}",
        registered.text()
    );
    let resolved = world.get("/api/handles/88.118.5.201/SN1", None).await;
    assert!(resolved.text().contains("飞天"), "{}", resolved.text());
    // What he has is his prefix, and not the one above it.
    let above = json!({"prefix": PARENT, "kind": "user", "code": "x", "password": PASSWORD});
    let refused = world.post("/api/v2/identities", Some(&token), &above).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    // A step that is taken again makes nobody anew.
    let again = world.post(CONFIG, Some(&reviewer), &host).await;
    assert_eq!(opened(&again).0, 1, "{}", again.text());
}

fn form(code: &str, user: &str) -> Json {
    json!({"name": format!("企业 {code}"), "document": {"kind": "other", "number": code},
           "prefix": format!("{PARENT}.{code}"), "userName": user,
           "contact": {"name": "李", "phone": "139"}})
}

#[tokio::test]
async fn first_user_logs_in_by_what_the_applicant_or_the_reviewer_says() {
    let world = world_where(open);
    let reviewer = world.log_in("administrators").await;
    let file = async |code: &str, user: &str, password: Option<&str>| {
        let body = json!({"form": form(code, user), "password": password});
        world
            .post("/api/v2/enterprises", Some(&reviewer), &body)
            .await
    };
    for (user, password, field) in [
        ("wu", Some("short"), "password"),
        ("单 位", Some(PASSWORD), "userName"),
    ] {
        let refused = file("301", user, password).await;
        assert_eq!(refused.status, 422, "{}", refused.text());
        assert_eq!(refused.json()["errors"][0]["field"], field);
    }
    let hosted = async |code: &str, user: &str, own: Option<&str>, given: Option<&str>| {
        let filed = file(code, user, own).await;
        assert_eq!(filed.status, 201, "{}", filed.text());
        let handle = filed.json()["handle"].as_str().unwrap().to_owned();
        for action in [
            json!({"action": "approve"}),
            json!({"action": "host", "password": given}),
        ] {
            let done = act(&world, &reviewer, &handle, &action).await;
            assert_eq!(done.status, 200, "{}", done.text());
        }
        let body = json!({"user": format!("{PARENT}.{code}/User_{user}"), "password": PASSWORD});
        world.post("/api/v2/login/password", None, &body).await
    };
    assert_eq!(hosted("302", "wu", Some(PASSWORD), None).await.status, 200);
    let of_other = hosted("303", "li", None, Some(PASSWORD)).await;
    assert_eq!(
        of_other.json()["errors"][0]["field"],
        "newPassword",
        "{}",
        of_other.text()
    );
    // Without a password there is no user; with one that the applicant amends, it is that.
    assert_eq!(hosted("304", "qian", None, None).await.status, 401);
    let filed = file("305", "sun", Some("another password")).await;
    let handle = filed.json()["handle"].as_str().unwrap().to_owned();
    let amended = json!({"form": form("305", "sun"), "password": PASSWORD});
    let path = format!("/api/v2/enterprises/{handle}");
    let amended = world
        .send(Method::PUT, &path, Some(&reviewer), &amended)
        .await;
    assert_eq!(amended.status, 200, "{}", amended.text());
    for action in [json!({"action": "approve"}), json!({"action": "host"})] {
        assert_eq!(act(&world, &reviewer, &handle, &action).await.status, 200);
    }
    assert_eq!(opened(&log_in(&world, "sun", PASSWORD).await).0, 1);
}

#[tokio::test]
async fn who_does_not_administer_the_server_hosts_nothing_and_makes_nobody() {
    let world = world_where(|config| {
        open(config);
        config.administration.rules.server_admins.clear();
    });
    let reviewer = world.log_in("administrators").await;
    let body = json!({"form": form("401", "wu"), "password": PASSWORD});
    let filed = world
        .post("/api/v2/enterprises", Some(&reviewer), &body)
        .await;
    let handle = filed.json()["handle"].as_str().unwrap().to_owned();
    assert_eq!(
        act(&world, &reviewer, &handle, &json!({"action": "approve"}))
            .await
            .status,
        200
    );
    let refused = act(&world, &reviewer, &handle, &json!({"action": "host"})).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    check_refusal(&log_in(&world, "wu", PASSWORD).await, -1, "not right");
}

//----------- Guests ---------------------------------------------------------

#[tokio::test]
async fn guests_apply_where_it_is_open_and_no_more_than_may_wait() {
    let closed = world_where(|config| config.compatible.snms = true);
    check_refusal(
        &closed
            .post(APPLY, None, &application_below(PARENT, "501"))
            .await,
        -1,
        "",
    );
    let world = world_where(open);
    let apply = async |code: &str| {
        let form = application_below(PARENT, code);
        world.post(APPLY, None, &form).await
    };
    let elsewhere = world
        .post(APPLY, None, &application_below("88.118.6", "501"))
        .await;
    check_refusal(&elsewhere, -1, "log in");
    assert_eq!(opened(&apply("501").await).0, 1);
    let same = apply("501").await;
    check_refusal(&same, -2, "that of another application");
    // Which part it is is told to nobody who does not say who he is.
    assert!(!same.text().contains("userName"), "{}", same.text());
    let body = json!({"form": form("502", "wu")});
    let filed = world.post("/api/v2/enterprises", None, &body).await;
    assert_eq!(filed.status, 201, "{}", filed.text());
    check_refusal(&apply("503").await, -4, "");
    // What is reviewed waits no more; and who says who he is, is not held up.
    let reviewer = world.log_in("administrators").await;
    let own = world
        .post(APPLY, Some(&reviewer), &application_below(PARENT, "504"))
        .await;
    assert_eq!(opened(&own).0, 1, "{}", own.text());
    let handle = found(&world, &reviewer, "501").await;
    let rejected = json!({"action": "reject", "reason": "执照看不清"});
    assert_eq!(act(&world, &reviewer, &handle, &rejected).await.status, 200);
    assert_eq!(opened(&apply("503").await).0, 1);
}

#[tokio::test]
async fn guest_who_comes_too_often_is_told_to_come_again() {
    let world = world_where(open);
    let mut last = None;
    for _ in 0..21 {
        last = Some(
            world
                .post(
                    "/api/v2/enterprises",
                    None,
                    &json!({"form": form("x-", "")}),
                )
                .await,
        );
    }
    let last = last.unwrap();
    assert_eq!(last.status, 429, "{}", last.text());
}

async fn send_file(world: &World, name: &str, len: usize) -> Answer {
    let head = format!(
        "--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n"
    );
    let body = [head.as_bytes(), &vec![b'x'; len], b"\r\n--xyz--\r\n"].concat();
    let request = Request::post("/snms/api/file/upload")
        .header("content-type", "multipart/form-data; boundary=xyz");
    let request = request.body(Body::from(body)).unwrap();
    ask_at(world.node.clone(), request, NEAR).await
}

#[tokio::test]
async fn papers_of_guests_are_bounded_by_their_kind_and_read_by_reviewers_only() {
    let world = world_where(open);
    let sent = send_file(&world, "licence.jpg", 8 * 1024 * 1024).await;
    let (status, data) = opened(&sent);
    assert_eq!(status, 1, "{}", sent.text());
    let path = format!(
        "/snms/api/file/download?path={}",
        data["path"].as_str().unwrap()
    );
    check_refusal(&world.get(&path, None).await, -1, "");
    let reviewer = world.log_in("administrators").await;
    assert_eq!(
        world.get(&path, Some(&reviewer)).await.body.len(),
        8 * 1024 * 1024
    );
    let larger = send_file(&world, "licence.jpg", 8 * 1024 * 1024 + 1).await;
    check_refusal(&larger, -2, "8388608");
    let paper = send_file(&world, "contract.pdf", 8 * 1024 * 1024 + 1).await;
    assert_eq!(opened(&paper).0, 1, "{}", paper.text());
    let closed = world_where(|config| config.compatible.snms = true);
    check_refusal(&send_file(&closed, "a.pdf", 1).await, -1, "");
}
