//! What tests send and get below `/api/v2`, held against the description that is served.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use axum::http::{Method, StatusCode};
use serde_json::Value as Json;

use super::super::describe::OPENAPI;
use super::super::routes::{self, ROUTES};

//----------- Described ------------------------------------------------------

/// The description that is served, for what tests send and get.
pub(in crate::http) struct Described {
    document: Json,
    /// Each schema as it checks, by itself.
    schemas: Mutex<HashMap<String, Arc<jsonschema::Validator>>>,
}

/// What a test has sent and got.
pub(in crate::http) struct Exchange<'a> {
    pub(in crate::http) method: &'a Method,
    pub(in crate::http) path: &'a str,
    /// The body of the request, if it is JSON.
    pub(in crate::http) sent: Option<&'a [u8]>,
    pub(in crate::http) status: StatusCode,
    pub(in crate::http) kind: &'a str,
    pub(in crate::http) got: &'a [u8],
}

impl Described {
    pub(in crate::http) fn get() -> &'static Self {
        static DESCRIBED: LazyLock<Described> = LazyLock::new(|| Described {
            document: serde_json::from_str(OPENAPI).unwrap(),
            schemas: Mutex::default(),
        });
        &DESCRIBED
    }

    fn schema(&self, schema: &Json) -> Arc<jsonschema::Validator> {
        let mut schemas = self.schemas.lock().unwrap();
        let made = schemas.entry(schema.to_string()).or_insert_with(|| {
            let mut schema = schema.clone();
            schema["components"] = self.document["components"].clone();
            Arc::new(jsonschema::validator_for(&schema).unwrap())
        });
        made.clone()
    }

    #[track_caller]
    pub(super) fn check(&self, schema: &Json, form: &Json) {
        let schema = self.schema(schema);
        let errors = schema.iter_errors(form);
        let errors: Vec<_> = errors.map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{form}: {errors:?}");
    }

    /// Every answer is of the form that is described, and so is every request that was understood.
    #[track_caller]
    pub(in crate::http) fn check_exchange(&self, exchange: &Exchange<'_>) {
        let Some(path) = exchange.path.strip_prefix("/api/v2/") else {
            return;
        };
        let method = match exchange.method {
            &Method::HEAD => return,
            other => other.as_str(),
        };
        let first = ROUTES.iter().find(|route| routes::fits(route.path, path));
        let at = first.map(|route| format!("/{}", route.path));
        let operation = at.map(|at| &self.document["paths"][at][method.to_ascii_lowercase()]);
        let Some(operation) = operation.filter(|operation| !operation.is_null()) else {
            return;
        };
        let status = exchange.status.as_str();
        let answer = match (exchange.status.is_success(), &operation["responses"]) {
            (true, answers) => &answers[status],
            (false, answers) if answers[status].is_null() => {
                &answers[format!("{}XX", &status[..1])]
            }
            (false, answers) => &answers[status],
        };
        let place = format!("{method} {}: {status}", exchange.path);
        assert!(!answer.is_null(), "{place} is not described");
        let json = |octets: &[u8]| serde_json::from_slice::<Json>(octets).unwrap();
        let content = answer["content"].as_object();
        if let Some(content) = content {
            let kind = exchange.kind.split(';').next().unwrap_or_default();
            let content = content.get(kind);
            let content = content.unwrap_or_else(|| panic!("{place}: {kind} is not described"));
            if kind.ends_with("json") {
                self.check(&content["schema"], &json(exchange.got));
            }
        }
        let taken = &operation["requestBody"]["content"]["application/json"]["schema"];
        let sent = exchange
            .sent
            .filter(|_| exchange.status.is_success() && !taken.is_null());
        // The rows of an import are read when it is under way.
        if let Some(Ok(sent)) = sent.map(serde_json::from_slice) {
            self.check(taken, &sent);
        }
    }
}

#[test]
#[should_panic(expected = "is not described")]
fn answer_that_is_not_described_is_found() {
    Described::get().check_exchange(&Exchange {
        method: &Method::GET,
        path: "/api/v2/groups/88.118.5/Group_a",
        sent: None,
        status: StatusCode::CREATED,
        kind: "application/json",
        got: b"{}",
    });
}

#[test]
#[should_panic(expected = "members")]
fn answer_of_another_form_is_found() {
    Described::get().check_exchange(&Exchange {
        method: &Method::GET,
        path: "/api/v2/groups/88.118.5/Group_a",
        sent: None,
        status: StatusCode::OK,
        kind: "application/json",
        got: br#"{"handle": "88.118.5/Group_a"}"#,
    });
}
