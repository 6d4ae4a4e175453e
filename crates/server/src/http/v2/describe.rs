//! The description of the interface: OpenAPI 3.1 for programs, a list for people.

use std::borrow::Cow;

use axum::http::StatusCode;
use axum::http::header::{ETAG, HeaderValue, IF_NONE_MATCH};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, html};

use super::super::answer::{page, typed};
use super::super::asked::Asked;
use super::routes::{Body, Content, ROUTES};

/// The description, made from the table of routes and the types of `guantong-api`; a test makes it
/// again.
pub(super) const OPENAPI: &str = include_str!("openapi.json");

pub(super) fn openapi(asked: &Asked) -> Response {
    let digest = ring::digest::digest(&ring::digest::SHA256, OPENAPI.as_bytes());
    let hex: String = digest
        .as_ref()
        .iter()
        .take(8)
        .map(|octet| format!("{octet:02x}"))
        .collect();
    let tag = format!("\"{hex}\"");
    let known = asked.header(IF_NONE_MATCH).unwrap_or_default();
    let mut response = match known.split(',').any(|known| known.trim() == tag) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => typed(StatusCode::OK, "application/json", OPENAPI.to_owned()),
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// What is done where, for people.
pub(super) fn list() -> Response {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { "/api/v2" }
                link rel="stylesheet" href="/-/style.css";
            }
            body {
                main {
                    h1 { "/api/v2" }
                    p {
                        "What is done where. The same for programs: "
                        a href="/api/v2/openapi.json" { "openapi.json" }
                        " (OpenAPI 3.1)."
                    }
                    table {
                        thead {
                            tr {
                                th { "about" } th { "method" } th { "path" } th { "what is done" }
                                th { "parameters" } th { "body" } th { "answer" }
                            }
                        }
                        tbody {
                            @for route in ROUTES {
                                tr {
                                    td { (route.area) }
                                    td { (route.method) }
                                    td { code { "/api/v2/" (route.path) } }
                                    td { (route.summary) }
                                    td { (route.params.join(", ")) }
                                    td { (taken(route.body)) }
                                    td {
                                        (route.answer.0)
                                        @if let Some(also) = route.also { " or " (also) }
                                        " " (given(route.answer.1))
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    };
    page(StatusCode::OK, markup)
}

/// What a request has to say, in a word.
fn taken(body: Body) -> &'static str {
    match body {
        Body::None => "",
        Body::Json(name) | Body::Batch(name) => name,
        Body::File => "a file",
        Body::Rows => "rows",
    }
}

/// What an answer says, in a word.
fn given(content: Content) -> Cow<'static, str> {
    let text = match content {
        Content::None => "",
        Content::Json(name) | Content::Any(name) => name,
        Content::Either(one, other) => return format!("{one} or {other}").into(),
        Content::Octets => "a file",
        Content::Rows => "rows",
        Content::Events => "events",
        Content::Page => "a page",
    };
    text.into()
}
