//! Graph, changes, statistics.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use futures_util::StreamExt;
use serde_json::{Value as Json, json};
use tower::ServiceExt;

use super::super::{far, node, secure};
use super::{PREFIX, ask, check_problem, post, prepare, publish};
use crate::http::router;

async fn get(who: &str, path: &str) -> super::Answer {
    ask(Method::GET, who, path, &Json::Null).await
}

/// Registers a thing that refers to another one.
async fn register(me: &str, template: &str, name: &str, parent: Option<&str>) {
    let mut fields = json!({"serial": name});
    if let Some(parent) = parent {
        fields["parent"] = format!("{PREFIX}/{parent}").into();
    }
    let new = json!({"template": template, "handle": format!("{PREFIX}/{name}"), "fields": fields});
    let made = post(me, "registrations", &new).await;
    assert_eq!(made.status, 201, "{}", made.text());
}

#[tokio::test]
async fn graph_is_followed_in_both_directions_within_its_bounds() {
    let (me, stranger) = prepare();
    let template = publish(&me, "graph").await;
    register(&me, &template, "graph-1", None).await;
    register(&me, &template, "graph-2", Some("graph-1")).await;
    register(&me, &template, "graph-3", Some("graph-2")).await;
    register(&me, &template, "graph-4", Some("graph-2")).await;
    let told = async |query: &str| {
        let answer = get(&me, &format!("graph/{PREFIX}/{query}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let names = |graph: &Json| {
        let nodes = graph["nodes"].as_array().unwrap().clone();
        let name = |node: &Json| {
            node["handle"]
                .as_str()
                .unwrap()
                .rsplit_once('/')
                .unwrap()
                .1
                .to_owned()
        };
        nodes.iter().map(name).collect::<Vec<_>>()
    };
    let out = told("graph-4?depth=5").await;
    assert_eq!(names(&out), ["graph-4", "graph-2", "graph-1"]);
    assert_eq!(out["edges"].as_array().unwrap().len(), 2);
    assert_eq!(out["nodes"][0]["title"], "graph-4");
    assert_eq!(
        (&out["nodes"][0]["state"], &out["truncated"]),
        (&json!("known"), &json!(false))
    );
    let near = told("graph-4?depth=1").await;
    assert_eq!(names(&near), ["graph-4", "graph-2"]);
    assert_eq!(near["truncated"], true);
    let back = told("graph-1?depth=5&direction=in").await;
    let mut back = names(&back);
    back.sort();
    assert_eq!(back, ["graph-1", "graph-2", "graph-3", "graph-4"]);
    let few = told("graph-1?depth=5&direction=both&limit=2").await;
    assert_eq!((names(&few).len(), &few["truncated"]), (2, &json!(true)));
    let none = told("graph-nowhere").await;
    assert_eq!(none["nodes"][0]["state"], "missing");

    graph_is_refused_to_who_may_not_list_and_beyond_its_bounds(&me, &stranger).await;
}

async fn graph_is_refused_to_who_may_not_list_and_beyond_its_bounds(me: &str, stranger: &str) {
    let path = format!("graph/{PREFIX}/graph-1?direction=in");
    let router = router(node().clone());
    let mut request = Request::get(format!("/api/v2/{path}"))
        .body(Body::empty())
        .unwrap();
    request.extensions_mut().insert(far());
    assert_eq!(
        router.oneshot(request).await.unwrap().status(),
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        get(stranger, &format!("graph/{PREFIX}/graph-4"))
            .await
            .status,
        200
    );
    for bad in [
        "?depth=9",
        "?depth=-1",
        "?direction=up",
        "?limit=0",
        "?limit=501",
        "?depth=x",
    ] {
        check_problem(
            &get(me, &format!("graph/{PREFIX}/graph-1{bad}")).await,
            400,
            &[],
        );
    }
}

#[tokio::test]
async fn graph_does_not_show_what_may_not_be_read() {
    let (me, _) = prepare();
    let mut hidden = super::definition();
    for field in hidden["fields"].as_array_mut().unwrap() {
        field["readers"] = "administrators".into();
    }
    let new = json!({"prefix": PREFIX, "code": "hidden", "definition": hidden});
    assert_eq!(post(&me, "templates", &new).await.status, 201);
    let template = format!("{PREFIX}/META_hidden");
    let publish = json!({"action": "publish"});
    assert_eq!(
        post(&me, &format!("templates/{template}"), &publish)
            .await
            .status,
        200
    );
    register(&me, &template, "hidden-1", None).await;
    register(&me, &template, "hidden-2", Some("hidden-1")).await;
    let path = format!("graph/{PREFIX}/hidden-2?depth=2");
    assert_eq!(
        get(&me, &path).await.json()["edges"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let public = get("", &path).await.json();
    assert_eq!(public["edges"], json!([]), "{public}");
    assert!(!public.to_string().contains("hidden-1"), "{public}");
    let back = format!("graph/{PREFIX}/hidden-1?depth=2&direction=in");
    let public = get("", &back).await.json();
    assert!(!public.to_string().contains("hidden-2"), "{public}");
}

#[tokio::test]
async fn changes_are_told_from_where_a_client_left_off() {
    let (me, _) = prepare();
    let template = publish(&me, "told").await;
    let before = node().store.last_change();
    register(&me, &template, "told-1", None).await;
    register(&me, &template, "told-2", None).await;
    let path = format!("/api/v2/changes?prefix={PREFIX}");
    let mut request = Request::get(&path).header("last-event-id", before.to_string());
    request.extensions_mut().unwrap().insert(secure());
    let response = router(node().clone()).oneshot(request.body(Body::empty()).unwrap());
    let response = response.await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut pieces = response.into_body().into_data_stream();
    let mut text = String::new();
    while !text.contains("told-2") {
        let piece = pieces.next().await.unwrap().unwrap();
        text += std::str::from_utf8(&piece).unwrap();
    }
    assert!(
        text.contains("event: created\ndata: {\"serial\":"),
        "{text}"
    );
    let of_prefix = format!("\"handle\":\"{PREFIX}/");
    let lines = text.lines().filter(|line| line.starts_with("data:"));
    assert!(
        lines.into_iter().all(|line| line.contains(&of_prefix)),
        "{text}"
    );

    check_problem(&get("", "changes").await, 400, &[]);
    let later = format!("changes?prefix={PREFIX}&after={}", u64::MAX);
    check_problem(&get("", &later).await, 400, &[]);
    check_problem(
        &get("", &format!("changes?prefix={PREFIX}&after=x")).await,
        400,
        &[],
    );
}

#[tokio::test]
async fn statistics_are_told_of_a_prefix_to_who_may_list_it() {
    let (me, stranger) = prepare();
    let template = publish(&me, "stat").await;
    register(&me, &template, "stat-1", None).await;
    let told = get(&me, &format!("statistics?prefix={PREFIX}")).await;
    assert_eq!(told.status, 200, "{}", told.text());
    let told = told.json();
    assert_eq!(told["days"].as_array().unwrap().len(), 30, "{told}");
    assert!(told["records"].as_u64().unwrap() > 1, "{told}");
    let largest = told["templates"].as_array().unwrap();
    assert!(told["templateCount"].as_u64().unwrap() >= largest.len() as u64);
    let most = largest
        .iter()
        .map(|top| top["registrations"].as_u64().unwrap());
    assert!(
        told["registrations"].as_u64().unwrap() >= most.sum::<u64>(),
        "{told}"
    );
    let all = get("", "statistics").await.json();
    assert!(
        all["changes"].as_u64() > Some(0) && all["countedMs"].is_u64(),
        "{all}"
    );
    let router = router(node().clone());
    for (path, status) in [
        ("/api/v2/statistics".to_owned(), StatusCode::FORBIDDEN),
        (
            format!("/api/v2/statistics?prefix={PREFIX}"),
            StatusCode::FORBIDDEN,
        ),
    ] {
        let mut request = Request::get(path).body(Body::empty()).unwrap();
        request.extensions_mut().insert(far());
        assert_eq!(
            router.clone().oneshot(request).await.unwrap().status(),
            status
        );
    }
    drop(stranger);
}
