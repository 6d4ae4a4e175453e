//! The short way gives what the long way gives, or nothing.

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request};

use super::{NEAR, ask, node, sample};
use crate::http::quick_answer;

fn request(method: Method, path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    let request = headers
        .iter()
        .fold(request, |r, (name, value)| r.header(*name, *value));
    request.body(Body::empty()).unwrap()
}

/// Whether the short way answers; it must then answer as the long way does.
async fn is_quick(path: &str) -> bool {
    let Some(quick) = quick_answer(&node(), &request(Method::GET, path, &[])) else {
        return false;
    };
    let long = ask(request(Method::GET, path, &[]), NEAR).await;
    let (head, body) = quick.into_parts();
    let body = to_bytes(body, 10_000_000).await.unwrap();
    assert_eq!(head.status, long.status, "{path}");
    assert_eq!(String::from_utf8_lossy(&body), long.text(), "{path}");
    let without_id = |headers: &axum::http::HeaderMap| {
        let mut headers = headers.clone();
        let id = headers.remove("x-request-id").unwrap();
        assert_eq!(id.len(), 16, "{path}");
        // Of the short way it is added when the answer is sent.
        headers.remove("content-length");
        headers
    };
    assert_eq!(
        without_id(&head.headers),
        without_id(&long.headers),
        "{path}"
    );
    true
}

#[tokio::test]
async fn short_way_answers_as_the_long_one() {
    let mut count = 0;
    for (name, _) in sample::records() {
        let is_uri = name
            .bytes()
            .all(|c| c.is_ascii_graphic() && !b"\"<>?#%\\^`{|}".contains(&c));
        if is_uri {
            count += usize::from(is_quick(&format!("/api/handles/{name}")).await);
        }
    }
    assert!(count >= 5, "{count}");
    assert!(is_quick("/api/handles/88.118.5/WEB").await);
    let partly = request(Method::GET, "/api/handles/88.118.5/web", &[]);
    let partly = quick_answer(&node(), &partly).unwrap().into_body();
    let partly = to_bytes(partly, 10_000).await.unwrap();
    assert!(partly.ends_with(br#""withheld":true}"#));
}

#[tokio::test]
async fn whatever_asks_for_more_or_gets_less_goes_the_long_way() {
    for path in [
        "/api/handles/88.118.5/none",
        "/api/handles/88.118.5/hidden",
        "/api/handles/20.500/x",
        "/api/handles/0.NA/88.118.5.1.2",
        "/api/handles/88.118.5/%57EB",
        "/api/handles/88.118.5/web?type=URL",
        "/api/handles/",
        "/api/handles",
        "/88.118.5/web",
    ] {
        assert!(!is_quick(path).await, "{path}");
    }
    let path = "/api/handles/88.118.5/web";
    for header in [
        ("authorization", "Basic eA=="),
        ("origin", "https://a.example"),
    ] {
        assert!(quick_answer(&node(), &request(Method::GET, path, &[header])).is_none());
    }
    for method in [Method::HEAD, Method::POST, Method::PUT, Method::DELETE] {
        assert!(quick_answer(&node(), &request(method, path, &[])).is_none());
    }
}
