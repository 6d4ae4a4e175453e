//! Redirects: which target, which status, and nothing that the record does not say.

use super::super::proxy::{APPEND_LEN_MAX, WISHES_MAX};
use super::*;

#[track_caller]
fn leads(answer: &Answer, status: u16, target: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("location"), target);
}

#[tokio::test]
async fn browser_is_sent_to_the_url() {
    let answer = get("/88.118.5/web").await;
    leads(&answer, 302, "https://example.org/a");
    assert!(answer.header("content-type").starts_with("text/html"));
    assert!(answer.text().contains("href=\"https://example.org/a\""));
    assert!(answer.header("expires").ends_with(" GMT"));
    for lead in [
        "hdl:",
        "HDL:",
        "doi:",
        "urn:hdl:",
        "https://hdl.handle.net/",
        "info:hdl/",
    ] {
        leads(
            &get(&format!("/{lead}88.118.5/web")).await,
            302,
            "https://example.org/a",
        );
    }
}

#[tokio::test]
async fn record_is_shown_instead_if_asked_for() {
    for path in [
        "/88.118.5/web?noredirect",
        "/88.118.5/web?action=showvalues",
        "/88.118.5/web?noredirect=true",
    ] {
        let answer = get(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("location")),
            (200, ""),
            "{path}"
        );
        assert!(answer.text().contains("https://example.org/a"), "{path}");
    }
    leads(
        &get("/88.118.5/web?noredirect=no").await,
        302,
        "https://example.org/a",
    );
    let api = get("/88.118.5/web?action=api").await;
    assert_eq!(api.json()["handle"], "88.118.5/web");
}

#[tokio::test]
async fn location_is_chosen_by_the_wishes_of_the_visitor() {
    leads(&get("/88.118.5/loc").await, 302, "https://a.example/x");
    leads(
        &get("/88.118.5/loc?country=cn").await,
        307,
        "https://cn.example/x",
    );
    leads(
        &get("/88.118.5/loc?locatt=id:2").await,
        302,
        "https://m.example/x",
    );
    leads(
        &get("/88.118.5/loc?action=metadata").await,
        302,
        "https://m.example/x",
    );
    leads(
        &get("/88.118.5/loc?type=URL").await,
        302,
        "https://plain.example/",
    );
    leads(
        &get("/88.118.5/loc?urlappend=%2Fmore").await,
        302,
        "https://a.example/x/more",
    );
    let urls = get("/88.118.5/loc?action=showurls").await;
    assert_eq!(urls.header("content-type"), "application/xml;charset=UTF-8");
    assert_eq!(
        urls.text().matches("<location ").count(),
        4,
        "{}",
        urls.text()
    );
}

#[tokio::test]
async fn content_negotiation_is_told_to_caches() {
    let page = get_with("/88.118.5/negotiated", &[("accept", "text/html")]).await;
    leads(&page, 302, "https://html.example/");
    let data = get_with("/88.118.5/negotiated", &[("accept", "application/json")]).await;
    leads(&data, 302, "https://data.example/");
    assert_eq!(data.header("vary"), "Accept");
}

#[tokio::test]
async fn alias_is_a_permanent_redirect_that_keeps_the_question() {
    leads(&get("/88.118.5/alias").await, 301, "/88.118.5/web");
    leads(
        &get("/88.118.5/alias?locatt=id%3A2&x=%26").await,
        301,
        "/88.118.5/web?locatt=id%3A2&x=%26",
    );
    assert_eq!(get("/88.118.5/alias?ignore_aliases").await.status, 200);
    let circle = get("/88.118.5/circle").await;
    assert_eq!(circle.status, 500);
    assert!(circle.text().contains("circle"), "{}", circle.text());
}

#[tokio::test]
async fn expiry_follows_the_ttl() {
    let answer = get("/88.118.5/brief").await;
    let form = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let expires = time::PrimitiveDateTime::parse(answer.header("expires"), form).unwrap();
    let ahead = expires.assume_utc().unix_timestamp() - i64::from(node().now_secs());
    assert!((0..=60).contains(&ahead), "{ahead}");
}

#[tokio::test]
async fn nothing_leads_where_the_record_does_not() {
    // No scheme that runs in the browser, no header of somebody's own, no target from the request.
    let evil = get("/88.118.5/evil").await;
    assert_eq!((evil.status.as_u16(), evil.header("location")), (200, ""));
    let split = get("/88.118.5/split").await;
    assert_eq!(split.headers.get("set-cookie"), None);
    assert!(!split.header("location").contains(['\r', '\n']));
    for path in [
        "/https://evil.example/",
        "//evil.example/x",
        "/%2F%2Fevil.example",
        "/\\evil.example",
    ] {
        let answer = get(path).await;
        assert_eq!(answer.header("location"), "", "{path}");
        assert_ne!(answer.status, 302, "{path}");
    }
    let go = get("/-/go?handle=https%3A%2F%2Fevil.example%2F").await;
    leads(&go, 303, "/https://evil.example/?noredirect");
    leads(
        &get("/-/go?handle=%2F%2Fevil.example").await,
        303,
        "/hdl://evil.example?noredirect",
    );
}

#[tokio::test]
async fn names_of_an_inactive_namespace_are_out_of_use() {
    let answer = get("/88.118.6/x").await;
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("not active"), "{}", answer.text());
    assert!(!answer.text().contains("<b>away"), "{}", answer.text());
    assert_eq!(get("/88.118.6/x?noredirect").await.status, 200);
}

#[tokio::test]
async fn namespace_has_a_place_for_names_without_one() {
    let place = "https://all.example/88.118.7/x";
    leads(&get("/88.118.7/x").await, 302, place);
    let urls = get("/88.118.7/x?action=showurls").await;
    assert!(urls.text().contains(place), "{}", urls.text());
    // Whoever selects values asks for these alone.
    assert_eq!(get("/88.118.7/x?type=DESC").await.status, 200);
    assert_eq!(get("/88.118.7/x?noredirect").await.status, 200);
    assert_eq!(get("/88.118.7/none").await.status, 404);
}

#[tokio::test]
async fn wishes_and_what_is_appended_are_looked_at_up_to_their_limits() {
    let others = |count: usize| "locatt=x:1&".repeat(count);
    let wish = |before: usize| format!("/88.118.5/loc?{}locatt=id:2", others(before));
    leads(
        &get(&wish(WISHES_MAX - 1)).await,
        302,
        "https://m.example/x",
    );
    leads(&get(&wish(WISHES_MAX)).await, 302, "https://a.example/x");
    let append = |len: usize| format!("/88.118.5/loc?urlappend={}", "y".repeat(len));
    let whole = format!("https://a.example/x{}", "y".repeat(APPEND_LEN_MAX));
    leads(&get(&append(APPEND_LEN_MAX)).await, 302, &whole);
    leads(
        &get(&append(APPEND_LEN_MAX + 1)).await,
        302,
        "https://a.example/x",
    );
}
