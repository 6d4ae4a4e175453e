//! The JSON API: forms, statuses, parameters, CORS, listing, native messages.

use axum::body::Body;
use axum::http::{Method, Request};
use guantong_proto::message::{Envelope, Message, OpFlags, RequestBuilder, ResponseCode, Version};
use serde_json::{Value as Json, json};

use super::*;
use crate::metrics::Transport;
use crate::node::Via;

#[tokio::test]
async fn record_has_the_form_that_clients_read() {
    let answer = get("/api/handles/88.118.5/web").await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        "application/json;charset=UTF-8"
    );
    assert_eq!(
        answer.text(),
        "{\"responseCode\":1,\"handle\":\"88.118.5/web\",\"values\":[\
         {\"index\":1,\"type\":\"URL\",\"data\":{\"format\":\"string\",\"value\":\
         \"https://example.org/a\"},\"ttl\":86400,\"timestamp\":\"2023-11-14T22:13:20Z\"},\
         {\"index\":100,\"type\":\"HS_ADMIN\",\"data\":{\"format\":\"admin\",\"value\":{\
         \"handle\":\"0.NA/88.118.5\",\"index\":300,\"permissions\":\"111111111111\"}},\
         \"ttl\":86400}],\"withheld\":true}"
    );
}

#[tokio::test]
async fn statuses_and_codes_belong_together() {
    let table = [
        ("/api/handles/88.118.5/web", 200, 1),
        ("/api/handles/88.118.5/WEB", 200, 1),
        ("/api/handles/88.118.5/web?type=NONE", 200, 200),
        ("/api/handles/88.118.5/hidden", 200, 200),
        ("/api/handles/88.118.5/hidden?publicOnly=false", 403, 402),
        ("/api/handles/88.118.5/never?publicOnly=false", 403, 401),
        ("/api/handles/88.118.5/none", 404, 100),
        ("/api/handles/20.500/x", 400, 301),
        ("/api/handles/0.NA/88.118.5.1.2", 300, 303),
        ("/api/handles/0.NA/88.118.5.1.2?doNotRefer", 404, 100),
        ("/api/handles/88.118.5/%FF", 400, 102),
        ("/api/handles/88.118.5/web?index=x", 400, 4),
        ("/api/handles/88.118.5/web?callback=a%28", 400, 4),
        ("/api/handles", 400, 4),
        ("/api/nothing", 404, 4),
        ("/api/site/x", 404, 4),
        ("/api/verifications/300:0.NA/88.118.5", 403, 402),
    ];
    for (path, status, code) in table {
        let answer = get(path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert_eq!(
            answer.json()["responseCode"],
            code,
            "{path}: {}",
            answer.text()
        );
        if status >= 400 {
            let json = answer.json();
            assert_eq!(json["requestId"], answer.header("x-request-id"), "{path}");
            assert!(!json["message"].as_str().unwrap().is_empty(), "{path}");
        }
    }
}

#[tokio::test]
async fn restricted_values_ask_for_proof_with_401_over_tls_only() {
    let path = "/api/handles/88.118.5/hidden?publicOnly=no";
    let request = || Request::get(path).body(Body::empty()).unwrap();
    let answer = ask(request(), secure()).await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.header("www-authenticate"), "Basic realm=\"handle\"");
    let script = Request::get(path)
        .header("X-Requested-With", "XMLHttpRequest")
        .body(Body::empty())
        .unwrap();
    let answer = ask(script, secure()).await;
    assert_eq!(answer.status, 401);
    // A browser would ask for a password if it saw Basic.
    let offers = answer.headers.get_all("www-authenticate");
    let offers: Vec<_> = offers.iter().map(|offer| offer.to_str().unwrap()).collect();
    assert!(
        matches!(offers[..], [offer] if offer.starts_with("Handle ")),
        "{offers:?}"
    );
    // Whoever offers a credential wants more than the public values.
    let offered = get_with(
        "/api/handles/88.118.5/hidden",
        &[("Authorization", "Basic eDp5")],
    );
    assert_eq!(offered.await.status, 403);
}

/// Who asks natively for more than the public values is told that there are others, too. Of a
/// record that is not shown at all, nothing is said.
#[tokio::test]
async fn record_says_that_values_were_left_out_that_the_caller_may_not_read() {
    for (path, withheld) in [
        ("88.118.5/web", json!(true)),
        ("88.118.5/web?index=1&index=200", json!(true)),
        ("88.118.5/web?type=EMAIL&type=URL", json!(true)),
        ("88.118.5/web?index=1", Json::Null),
        ("88.118.5/web?type=EMAIL", Json::Null),
        ("88.118.5/hidden", Json::Null),
        ("88.118.5/never", Json::Null),
        ("88.118.5/stations", Json::Null),
        ("88.118.5/none", Json::Null),
    ] {
        let answer = get(&format!("/api/handles/{path}")).await;
        assert_eq!(
            answer.json()["withheld"],
            withheld,
            "{path}: {}",
            answer.text()
        );
    }
    let text = get("/api/handles/88.118.5/web").await.text();
    assert!(text.ends_with(r#"],"withheld":true}"#), "{text}");
}

#[tokio::test]
async fn values_are_selected_by_the_union_of_types_and_indexes() {
    let indexes = |answer: Answer| -> Vec<i64> {
        let json = answer.json();
        let values = json["values"].as_array().unwrap();
        values
            .iter()
            .map(|v| v["index"].as_i64().unwrap())
            .collect()
    };
    let path = "/api/handles/88.118.5/web";
    assert_eq!(indexes(get(&format!("{path}?type=url")).await), [1]);
    assert_eq!(
        indexes(get(&format!("{path}?index=100&type=URL")).await),
        [1, 100]
    );
    assert_eq!(
        indexes(get(&format!("{path}?type=HS_&type=URL.")).await),
        [1]
    );
    let post = |kind: &str, body: &str| {
        Request::post(path)
            .header("content-type", kind)
            .body(Body::from(body.to_owned()))
            .unwrap()
    };
    let form = post("application/x-www-form-urlencoded", "index=100");
    assert_eq!(indexes(ask(form, NEAR).await), [100]);
    let json = post("application/json", r#"{"index":[1],"type":["HS_ADMIN"]}"#);
    assert_eq!(indexes(ask(json, NEAR).await), [1, 100]);
    let broken = ask(post("application/json", "{"), NEAR).await;
    assert_eq!(
        (
            broken.status.as_u16(),
            broken.json()["responseCode"].as_i64()
        ),
        (400, Some(4))
    );
}

#[tokio::test]
async fn names_in_paths_are_decoded_once() {
    let odd = "/api/handles/88.118.5/a/b%20c%25%23%3F";
    for path in [
        odd,
        "/api/handles/88.118.5%2Fa%2Fb%20c%25%23%3F",
        "/api/handles/88.118.5/A/b%20c%%23%3f",
    ] {
        let answer = get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
    let answer = get("/api/handles/88.118.5/%E4%B8%AD%E6%96%87").await;
    assert_eq!(answer.json()["handle"], "88.118.5/中文");
    assert_eq!(get("/api/handles/88.118.5/a%252Fb").await.status, 404);
    let long = format!("/api/handles/88.118.5/{}", "x".repeat(2_048));
    assert_eq!(get(&long).await.json()["responseCode"], 102);
}

#[tokio::test]
async fn scripts_are_called_back_only_by_plain_names() {
    let answer = get("/api/handles/88.118.5/none?callback=app.done").await;
    assert_eq!(
        answer.header("content-type"),
        "application/javascript;charset=UTF-8"
    );
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.status, 200);
    let text = answer.text();
    assert!(
        text.starts_with("app.done({\"responseCode\":100,") && text.ends_with("});"),
        "{text}"
    );
    for name in ["alert(1)//", "a;b", "%3Cscript%3E", "a%0Ab", "a%E2%80%A8"] {
        let answer = get(&format!("/api/site?callback={name}")).await;
        assert_eq!(answer.status, 400, "{name}");
        assert_eq!(
            answer.header("content-type"),
            "application/json;charset=UTF-8"
        );
    }
}

#[tokio::test]
async fn pretty_answers_are_indented() {
    let answer = get("/api/prefixes?pretty").await;
    assert!(
        answer.text().starts_with("{\n  \"responseCode\": 1,\n"),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn site_and_prefixes_are_public() {
    let request = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    let site = ask(request("/api/site"), far()).await.json();
    assert_eq!(site["responseCode"], 1);
    assert_eq!(site["site"]["protocolVersion"], "2.11");
    let prefixes = ask(request("/api/prefixes"), far()).await.json();
    let homed = ["5", "6", "7", "9"].map(|last| format!("0.NA/88.118.{last}"));
    let expected = json!({"responseCode": 1, "totalCount": "4", "prefixes": homed});
    assert_eq!(prefixes, expected);
}

#[tokio::test]
async fn handles_are_listed_in_pages_for_those_who_may() {
    let list = |query: &str| {
        let path = format!("/api/handles?prefix={query}");
        async move { get(&path).await.json() }
    };
    let all = list("88.118.5").await;
    let total = all["handles"].as_array().unwrap().len();
    assert_eq!(all["totalCount"], total.to_string());
    assert_eq!(
        (all["page"].as_i64(), all["pageSize"].as_i64()),
        (Some(0), Some(-1))
    );
    let page = list("0.NA%2F88.118.5&page=1&pageSize=2").await;
    assert_eq!(
        page["handles"].as_array().unwrap()[..],
        all["handles"].as_array().unwrap()[2..4]
    );
    let count = list("88.118.5&pageSize=0").await;
    assert_eq!(
        (
            count["handles"].as_array().unwrap().len(),
            &count["totalCount"]
        ),
        (0, &all["totalCount"])
    );
    assert_eq!(list("20.500").await["responseCode"], 301);
    assert_eq!(list("88.118.5/web").await["responseCode"], 102);
    assert_eq!(list("88.118.5&page=-1").await["responseCode"], 4);
    let request = Request::get("/api/handles?prefix=88.118.5")
        .body(Body::empty())
        .unwrap();
    let refused = ask(request, far()).await;
    assert_eq!(
        (
            refused.status.as_u16(),
            refused.json()["responseCode"].as_i64()
        ),
        (403, Some(401))
    );
}

#[tokio::test]
async fn what_an_address_is_trusted_with_is_kept_from_other_origins() {
    let origin = [("origin", "https://elsewhere.example")];
    for path in ["/api/handles?prefix=88.118.5", "/metrics", "/"] {
        let answer = get_with(path, &origin).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
    }
    let script = get("/api/handles?prefix=88.118.5&callback=f").await.text();
    assert!(!script.contains("handles\":["), "{script}");
    let public = get_with("/api/handles/88.118.5/web", &origin).await;
    assert_eq!(
        public.header("access-control-allow-origin"),
        "https://elsewhere.example"
    );
}

/// A site may let its own name lead to this machine. A browser then takes our answers for that
/// site's, and lets its scripts read them; the name in the request gives it away.
#[tokio::test]
async fn name_of_a_stranger_is_not_trusted_like_the_address_behind_it() {
    let called = |path: &'static str, name: &'static str| async move {
        get_with(path, &[("host", name)]).await
    };
    for (name, is_trusted) in [("localhost:8000", true), ("rebound.example:8000", false)] {
        let list = called("/api/handles?prefix=88.118.5", name).await;
        assert_eq!(list.status == 200, is_trusted, "{name}");
        let figures = called("/metrics", name).await;
        assert_eq!(figures.status == 200, is_trusted, "{name}");
        let start = called("/", name).await.text();
        assert_eq!(start.contains("/88.118.5/stations"), is_trusted, "{name}");
        assert_eq!(called("/api/handles/88.118.5/web", name).await.status, 200);
    }
}

#[tokio::test]
async fn changes_need_a_proof_and_so_https() {
    let changes = [
        (Method::PUT, "/api/handles/88.118.5/new"),
        (Method::DELETE, "/api/handles/88.118.5/web"),
        (Method::POST, "/api/prefixes/88.118.7"),
        (Method::DELETE, "/api/prefixes?prefix=88.118.5"),
        (Method::POST, "/api/sessions"),
    ];
    for (method, path) in changes {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("content-type", "application/json");
        let body = match path.contains("/handles/") {
            true => "[]",
            false => "{}",
        };
        let answer = ask(request.body(Body::from(body)).unwrap(), NEAR).await;
        assert_eq!(answer.status, 403, "{path}");
    }
    assert_eq!(get("/api/handles/88.118.5/web").await.status, 200);
}

#[tokio::test]
async fn other_methods_are_not_supported() {
    for (method, path) in [
        ("PATCH", "/api/site"),
        ("PUT", "/88.118.5/web"),
        ("TRACE", "/"),
    ] {
        let request = Request::builder().method(method).uri(path);
        let answer = ask(request.body(Body::empty()).unwrap(), NEAR).await;
        assert_eq!(
            (
                answer.status.as_u16(),
                answer.json()["responseCode"].as_i64()
            ),
            (501, Some(4))
        );
    }
}

#[tokio::test]
async fn scripts_of_other_origins_may_ask() {
    let preflight = Request::options("/api/handles/88.118.5/web")
        .header("origin", "https://app.example")
        .header("access-control-request-method", "PUT")
        .body(Body::empty())
        .unwrap();
    let answer = ask(preflight, far()).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.is_empty());
    let expected = [
        ("access-control-allow-origin", "https://app.example"),
        (
            "access-control-allow-methods",
            "GET,POST,HEAD,PUT,PATCH,DELETE",
        ),
        (
            "access-control-allow-headers",
            "X-Requested-With,Authorization,Origin,Accept,Content-Type",
        ),
        ("access-control-max-age", "86400"),
        ("access-control-allow-credentials", ""),
        ("vary", "Origin"),
    ];
    for (name, value) in expected {
        assert_eq!(answer.header(name), value, "{name}");
    }
    let answer = get_with("/api/handles/88.118.5/none", &[("origin", "null")]).await;
    assert_eq!(answer.header("access-control-allow-origin"), "null");
    assert!(
        answer
            .header("access-control-expose-headers")
            .contains("Location")
    );
    assert_eq!(
        get("/api/site").await.header("access-control-allow-origin"),
        ""
    );
}

#[tokio::test]
async fn native_messages_travel_in_posts_to_any_path() {
    let node = node();
    let builder = RequestBuilder {
        envelope: Envelope::new(Version::new(2, 11), 7),
        flags: OpFlags::DEFAULT,
        expiration: 0,
    };
    let packet = builder.resolve("88.118.5/web", &[], &[""; 0]);
    let via = Via {
        transport: Transport::Http,
        peer: NEAR.address,
        by_console: false,
    };
    let mut expected = Vec::new();
    assert!(node.answer(&packet, via, &mut expected).is_none());
    for path in ["/", "/88.118.5%2Fweb", "/api/handles/x", "/-/y"] {
        let request = Request::post(path)
            .header("content-type", "application/x-hdl-message")
            .header("accept", "application/x-hdl-message")
            .body(Body::from(packet.clone()))
            .unwrap();
        let answer = ask(request, far()).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), "application/x-hdl-message");
        assert_eq!(answer.header("content-length"), expected.len().to_string());
        assert_eq!(answer.body, expected, "{path}");
    }
}

#[tokio::test]
async fn oversized_and_empty_native_messages_are_refused() {
    let post = |len: usize| {
        Request::post("/")
            .header("content-type", "application/x-hdl-message")
            .body(Body::from(vec![0; len]))
            .unwrap()
    };
    assert_eq!(ask(post(262_165), far()).await.status, 413);
    // Whatever else comes gets a native reply: a client of the protocol reads no other.
    for (len, request_id) in [(0, -1), (19, -1), (44, 0)] {
        let answer = ask(post(len), far()).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "application/x-hdl-message");
        let message = Message::decode(&answer.body).unwrap();
        assert_eq!(message.envelope.request_id, request_id);
        assert_eq!(message.header.code, ResponseCode::PROTOCOL_ERROR);
    }
}
