//! Imports in the background.

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value as Json, json};

use super::super::change::send;
use super::{Answer, PREFIX, ask, check_problem, post, prepare, publish};

async fn import(who: &str, query: &str, kind: &str, body: &str) -> Answer {
    let mut headers = vec![("content-type", kind)];
    headers.extend((!who.is_empty()).then_some(("authorization", who)));
    let path = format!("/api/v2/jobs/import?{query}");
    send(Method::POST, &path, &headers, body).await
}

async fn get(who: &str, path: &str) -> Answer {
    ask(Method::GET, who, path, &Json::Null).await
}

/// The job when it has come to its end.
async fn ended(who: &str, started: &Answer) -> Json {
    assert_eq!(started.status, 202, "{}", started.text());
    let id = started.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(started.header("location"), format!("/api/v2/jobs/{id}"));
    loop {
        let job = get(who, &format!("jobs/{id}")).await.json();
        if !matches!(job["state"].as_str(), Some("waiting" | "running")) {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// 3,000 rows that are right, some of which refer to a row of their group, and five that are not.
fn thousands_of_rows() -> String {
    let mut table = "handle,serial,parent\n".to_owned();
    for at in 1..=3_000 {
        let parent = match at % 3 {
            0 => format!("{PREFIX}/job-{}", at - 1),
            _ => String::new(),
        };
        table += &format!("{PREFIX}/job-{at},job{at},{parent}\n");
    }
    table += &format!("{PREFIX}/job-3001,x,\n{PREFIX}/job-1,other,\n{PREFIX}/job-3002,job7,\n");
    table += &format!("=1+1,formula,\n{PREFIX}/job-3003,last,{PREFIX}/job-nowhere\n");
    table
}

#[tokio::test]
async fn thousands_of_rows_are_made_and_every_refused_one_is_told() {
    let (me, stranger) = prepare();
    let template = publish(&me, "job").await;
    let table = thousands_of_rows();
    let query = format!("template={template}");
    check_problem(&import("", &query, "text/csv", &table).await, 401, &[]);
    check_problem(
        &import(&stranger, &query, "text/csv", &table).await,
        403,
        &[],
    );
    check_problem(&import(&me, &query, "text/plain", &table).await, 415, &[]);
    let started = import(&me, &query, "text/csv", &table).await;
    let job = ended(&me, &started).await;
    assert_eq!(
        (&job["state"], &job["rows"]),
        (&json!("done"), &json!(3_005)),
        "{job}"
    );
    assert_eq!(
        (&job["done"], &job["refused"]),
        (&json!(3_000), &json!(5)),
        "{job}"
    );

    let path = format!("jobs/{}", job["id"].as_str().unwrap());
    check_problem(&get(&stranger, &path).await, 404, &[]);
    let told = get(&me, &format!("{path}/errors")).await;
    let faults: Vec<Json> = told
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let rows: Vec<_> = faults
        .iter()
        .map(|fault| (&fault["row"], &fault["status"]))
        .collect();
    let (taken, wrong) = (json!(409), json!(422));
    assert_eq!(rows[0], (&json!(3_001), &wrong), "{faults:?}");
    assert_eq!(rows[1], (&json!(3_002), &taken), "{faults:?}");
    assert_eq!(rows[2], (&json!(3_003), &wrong), "{faults:?}");
    assert_eq!(rows[4], (&json!(3_005), &wrong), "{faults:?}");
    let table = get(&me, &format!("{path}/errors?format=csv")).await;
    assert!(table.text().contains("3004,'=1+1,"), "{}", table.text());

    let jobs = get(&me, "jobs").await.json();
    assert!(
        jobs["jobs"]
            .as_array()
            .unwrap()
            .iter()
            .any(|other| other["id"] == job["id"])
    );
    assert_eq!(get(&stranger, "jobs").await.json()["jobs"], json!([]));
    exported_is_what_was_imported(&me, &template).await;
    let resume = json!({"action": "resume"});
    check_problem(&post(&me, &path, &resume).await, 409, &[]);
    assert_eq!(
        ask(Method::DELETE, &me, &path, &Json::Null).await.status,
        204
    );
    check_problem(&get(&me, &path).await, 404, &[]);
}

#[tokio::test]
async fn rows_of_other_forms_and_modes_are_taken() {
    let (me, _) = prepare();
    let template = publish(&me, "modes").await;
    let query = format!("template={template}");
    let rows: Vec<_> = (0..5)
        .map(|at| {
            let fields = json!({"serial": format!("mo{at}")});
            json!({"handle": format!("{PREFIX}/modes-{at}"), "fields": fields})
        })
        .collect();
    let array = Json::from(rows.clone()).to_string();
    let tried = import(&me, &format!("{query}&dryRun"), "application/json", &array).await;
    assert_eq!(ended(&me, &tried).await["done"], 5);
    check_problem(
        &get(&me, &format!("registrations/{PREFIX}/modes-0")).await,
        404,
        &[],
    );
    let made = import(&me, &query, "application/json", &array).await;
    assert_eq!(ended(&me, &made).await["done"], 5);
    let line =
        |at: usize| json!({"handle": format!("{PREFIX}/modes-{at}"), "fields": {"mass": at}});
    // A record that is there twice is changed twice.
    let lines = format!("{}\n{}\n{}\nnoise\n", line(1), line(2), line(1));
    let merged = import(
        &me,
        &format!("{query}&mode=merge"),
        "application/jsonl",
        &lines,
    )
    .await;
    let merged = ended(&me, &merged).await;
    assert_eq!(
        (&merged["done"], &merged["refused"]),
        (&json!(3), &json!(1)),
        "{merged}"
    );
    let one = get(&me, &format!("registrations/{PREFIX}/modes-1"))
        .await
        .json();
    assert_eq!(one["fields"], json!({"serial": "mo1", "mass": 1}));
    let cut = import(&me, &query, "application/json", "[{\"fields\":").await;
    let cut = ended(&me, &cut).await;
    assert_eq!(cut["state"], "failed", "{cut}");
}

async fn exported_is_what_was_imported(me: &str, template: &str) {
    let export = async |who: &str, format: &str| {
        get(
            who,
            &format!("registrations/export?template={template}&format={format}"),
        )
        .await
    };
    let lines = export(me, "jsonl").await;
    assert_eq!(lines.text().lines().count(), 3_000);
    let table = export(me, "csv").await;
    assert_eq!(table.header("content-disposition"), "attachment");
    let head = "handle,serial,mass,parent,photos";
    assert_eq!(table.text().lines().next(), Some(head));
    let sixth = format!("{PREFIX}/job-6,job6,,{PREFIX}/job-5,");
    assert!(table.text().lines().any(|line| line == sixth));
    // What is not for everybody is not for somebody who proves nothing.
    let public = export("", "csv").await;
    assert!(
        public.text().lines().any(|line| line == sixth),
        "{}",
        public.text()
    );
    check_problem(&export(me, "xml").await, 400, &[]);
}
