//! Rows that refer to rows which are written with them: how many durable writes they take.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value as Json, json};

use super::super::{Answer, NEAR, ask_at};
use super::definition;
use crate::config;
use crate::init::{InitOptions, init};
use crate::node::Node;

const PREFIX: &str = "88.118.12";

/// A node of one test's own, so that its durable writes can be counted.
struct Place {
    node: Arc<Node>,
    template: String,
    _folder: tempfile::TempDir,
}

impl Place {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("node");
        let options = InitOptions {
            prefix: Some(PREFIX.to_owned()),
            ..InitOptions::default()
        };
        init(&dir, &options).unwrap();
        let mut config = config::load(&dir).unwrap();
        config.administration.rules.anonymous_admin_full_access = true;
        let mut place = Self {
            node: Node::open(config).unwrap(),
            template: String::new(),
            _folder: folder,
        };
        let new = json!({"prefix": PREFIX, "code": "waves", "definition": definition()});
        let made = place.post("templates", &new).await;
        assert_eq!(made.status, 201, "{}", made.text());
        place.template = made.json()["handle"].as_str().unwrap().to_owned();
        let path = format!("templates/{}", place.template);
        let published = place.post(&path, &json!({"action": "publish"})).await;
        assert_eq!(published.status, 200, "{}", published.text());
        place
    }

    async fn ask(&self, method: Method, path: &str, body: String) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v2/{path}"))
            .header("content-type", "application/json")
            .body(Body::from(body));
        ask_at(self.node.clone(), request.unwrap(), NEAR).await
    }

    async fn post(&self, path: &str, body: &Json) -> Answer {
        self.ask(Method::POST, path, body.to_string()).await
    }

    /// Imports rows as a job; the job when it has come to its end, and how many writes it took.
    async fn import(&self, rows: &[Json]) -> (Json, u64) {
        let before = self.commits();
        let path = format!("jobs/import?template={}", self.template);
        let started = self.post(&path, &json!(rows)).await;
        assert_eq!(started.status, 202, "{}", started.text());
        let path = format!("jobs/{}", started.json()["id"].as_str().unwrap());
        loop {
            let job = self.ask(Method::GET, &path, String::new()).await.json();
            if !matches!(job["state"].as_str(), Some("waiting" | "running")) {
                return (job, self.commits() - before);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Registers rows by one request; their results, and how many writes it took.
    async fn batch(&self, rows: &[Json]) -> (Vec<Json>, u64) {
        let before = self.commits();
        let body = json!({"template": self.template, "registrations": rows});
        let answer = self.post("registrations/batch", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let results = answer.json()["results"].as_array().unwrap().clone();
        (results, self.commits() - before)
    }

    fn commits(&self) -> u64 {
        self.node.store.stats().unwrap().commits
    }
}

fn name(number: usize) -> String {
    format!("{PREFIX}/part-{number}")
}

/// A part of another one, if it has a parent.
fn part(number: usize, parent: Option<usize>) -> Json {
    let mut fields = json!({"serial": format!("part{number}")});
    if let Some(parent) = parent {
        fields["parent"] = name(parent).into();
    }
    json!({"handle": name(number), "fields": fields})
}

fn outcomes(results: &[Json]) -> Vec<&str> {
    let outcome = |result: &'_ Json| result["outcome"] == "created";
    let outcomes = results.iter().map(outcome);
    outcomes
        .map(|made| if made { "made" } else { "not" })
        .collect()
}

#[tokio::test]
async fn job_of_a_chain_takes_one_write_for_each_group() {
    let place = Place::new().await;
    let rows: Vec<_> = (0..1_000).map(|at| part(at, at.checked_sub(1))).collect();
    let (job, writes) = place.import(&rows).await;
    assert_eq!(
        (&job["done"], &job["refused"]),
        (&json!(1_000), &json!(0)),
        "{job}"
    );
    // Groups have 256 rows.
    assert_eq!(writes, 4);
}

#[tokio::test]
async fn job_of_a_fan_takes_one_write_for_each_group_wherever_the_middle_is() {
    let place = Place::new().await;
    let middle = 200;
    let rows: Vec<_> = (0..1_000)
        .map(|at| part(at, (at != middle).then_some(middle)))
        .collect();
    let (job, writes) = place.import(&rows).await;
    assert_eq!(
        (&job["done"], &job["refused"]),
        (&json!(1_000), &json!(0)),
        "{job}"
    );
    assert_eq!(writes, 4);
}

#[tokio::test]
async fn batch_of_a_chain_from_its_end_takes_one_write_and_keeps_its_order() {
    let place = Place::new().await;
    let rows: Vec<_> = (0..500)
        .map(|at| part(at, (at < 499).then_some(at + 1)))
        .collect();
    let (results, writes) = place.batch(&rows).await;
    assert_eq!(writes, 1);
    assert!(outcomes(&results).iter().all(|outcome| *outcome == "made"));
    for (at, result) in results.iter().enumerate() {
        assert_eq!(
            (&result["row"], &result["handle"]),
            (&json!(at + 1), &json!(name(at)))
        );
    }
}

#[tokio::test]
async fn rows_of_a_circle_are_refused_as_if_each_had_come_alone() {
    let place = Place::new().await;
    let rows = [
        part(1, Some(2)),
        part(2, Some(3)),
        part(3, Some(1)),
        part(4, Some(1)),
        part(5, Some(5)),
        part(6, None),
        part(7, Some(6)),
    ];
    let (results, writes) = place.batch(&rows).await;
    assert_eq!(
        outcomes(&results),
        ["not", "not", "not", "not", "not", "made", "made"]
    );
    assert_eq!(writes, 1);
    for (row, result) in rows[..5].iter().zip(&results) {
        let (alone, _) = place.batch(std::slice::from_ref(row)).await;
        assert_eq!(alone[0]["status"], 422);
        for told in ["status", "detail", "errors", "handle"] {
            assert_eq!(result[told], alone[0][told], "{told}");
        }
    }
}

#[tokio::test]
async fn row_that_refers_to_a_refused_one_is_refused_behind_it() {
    let place = Place::new().await;
    let mut twice = part(2, None);
    twice["fields"]["serial"] = "part1".into();
    let rows = [part(3, Some(2)), part(1, None), twice, part(4, Some(3))];
    let (results, writes) = place.batch(&rows).await;
    assert_eq!(outcomes(&results), ["not", "made", "not", "not"]);
    assert_eq!(writes, 1);
    assert_eq!(results[2]["errors"][0]["field"], "serial");
    assert_eq!(results[0]["errors"][0]["field"], "parent");
    assert_eq!(results[3]["errors"][0]["field"], "parent");
}

#[tokio::test]
async fn row_that_refers_to_one_that_is_there_already_is_made_though_that_one_is_refused() {
    let place = Place::new().await;
    place.batch(&[part(1, None)]).await;
    let mut again = part(1, None);
    again["fields"]["serial"] = "another".into();
    let (results, writes) = place.batch(&[part(2, Some(1)), again]).await;
    assert_eq!(outcomes(&results), ["made", "not"]);
    assert_eq!((&results[1]["status"], writes), (&json!(409), 1));
}
