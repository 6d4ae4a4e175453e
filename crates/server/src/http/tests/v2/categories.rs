//! Categories: rights, the tree, templates in it.

use axum::http::Method;
use serde_json::{Value as Json, json};

use super::{PREFIX, ask, ask_with, check_problem, definition, post, prepare};

/// A prefix whose categories only this test writes is not needed: codes are its own.
#[tokio::test]
async fn categories_are_written_by_administrators_and_read_by_everybody() {
    let (me, stranger) = prepare();
    let get = async |path: &str| ask(Method::GET, "", path, &Json::Null).await;
    let list = format!("categories?prefix={PREFIX}");
    let empty = get(&list).await;
    assert_eq!(empty.status, 200, "{}", empty.text());
    assert_eq!(empty.json()["categories"][0]["code"], "unclassified");
    check_problem(&get("categories").await, 400, &[]);

    let goods = json!({"prefix": PREFIX, "code": "goods", "name": "货物", "sort": 3});
    check_problem(&post("", "categories", &goods).await, 401, &[]);
    check_problem(&post(&stranger, "categories", &goods).await, 403, &[]);
    let made = post(&me, "categories", &goods).await;
    assert_eq!(made.status, 201, "{}", made.text());
    check_problem(&post(&me, "categories", &goods).await, 409, &[]);
    let cells = json!({"prefix": PREFIX, "code": "cells", "name": "电芯", "parent": "goods"});
    assert_eq!(post(&me, "categories", &cells).await.status, 201);
    let bad = json!({"prefix": PREFIX, "code": "x", "name": "x", "parent": "nowhere"});
    check_problem(&post(&me, "categories", &bad).await, 422, &[]);

    let told = get(&list).await;
    let placed = told.json()["categories"].as_array().unwrap().clone();
    let codes: Vec<_> = placed.iter().map(|c| (&c["code"], &c["level"])).collect();
    let (goods, cells) = (json!("goods"), json!("cells"));
    let at = codes.iter().position(|found| *found.0 == goods).unwrap();
    assert_eq!(codes[at + 1], (&cells, &json!(2)));

    let path = format!("categories/{PREFIX}/goods");
    let renamed = json!({"name": "商品"});
    check_problem(
        &ask(Method::PATCH, &stranger, &path, &renamed).await,
        403,
        &[],
    );
    let stale = [("if-match", "\"1\"")];
    let refused = ask_with(Method::PATCH, &me, &path, &stale, &renamed).await;
    check_problem(&refused, 412, &[]);
    assert_eq!(ask(Method::PATCH, &me, &path, &renamed).await.status, 200);
    check_problem(
        &ask(Method::DELETE, &me, &path, &Json::Null).await,
        409,
        &[],
    );

    templates_are_found_by_category(&me).await;

    let below = format!("categories/{PREFIX}/cells");
    assert_eq!(
        ask(Method::DELETE, &me, &below, &Json::Null).await.status,
        200
    );
    check_problem(
        &ask(Method::DELETE, &me, &below, &Json::Null).await,
        404,
        &[],
    );
}

async fn templates_are_found_by_category(me: &str) {
    let mut definition = definition();
    definition["category"] = json!("cells");
    let new = json!({"prefix": PREFIX, "code": "in-cells", "definition": definition});
    assert_eq!(post(me, "templates", &new).await.status, 201);
    let found = async |category: &str| {
        let path = format!("templates?prefix={PREFIX}&limit=1000&category={category}");
        let found = ask(Method::GET, "", &path, &Json::Null).await;
        assert_eq!(found.status, 200, "{}", found.text());
        let handles = found.json()["handles"].as_array().unwrap().clone();
        handles.contains(&json!(format!("{PREFIX}/META_in-cells")))
    };
    assert!(found("cells").await && found("goods").await);
    assert!(!found("unclassified").await);
    let path = format!("templates?prefix={PREFIX}&category=nowhere");
    check_problem(&ask(Method::GET, "", &path, &Json::Null).await, 404, &[]);
}
