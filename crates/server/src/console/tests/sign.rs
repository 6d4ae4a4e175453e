//! The frame: who is let in, which forms are believed, what every page says about itself.

use super::*;

#[tokio::test]
async fn every_page_names_what_it_may_load() {
    let desk = Desk::new();
    for target in ["/", "/sign-in", "/resolve", "/record", "/nothing"] {
        let page = desk.get(target).await;
        let policy = page.header("content-security-policy");
        assert!(policy.contains("default-src 'none'"), "{target}");
        assert!(!policy.contains("unsafe"), "{target}: {policy}");
        assert!(page.text.contains("<main id=\"content\""), "{target}");
        assert!(
            !page.text.contains("style=\"") && !page.text.contains("onclick"),
            "{target}"
        );
    }
    assert_eq!(desk.get("/nothing").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_key_signs_in_and_a_wrong_one_does_not() {
    let mut desk = Desk::new();
    let form = [("identity", CLERK), ("secret", "wrong")];
    let page = desk.post_bare("/sign-in", &form).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    assert!(!page.text.contains("value=\"wrong\"") && page.header("set-cookie").is_empty());
    for bad in ["", "x", "300:", "999999999999:1/x", "300:88.118.5/nobody"] {
        let page = desk
            .post_bare("/sign-in", &[("identity", bad), ("secret", "s")])
            .await;
        assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{bad}");
    }
    desk.sign_in().await;
    let page = desk.get("/").await;
    assert!(page.text.contains("88.118.5/clerk"), "{}", page.text);
    let token = page.token();
    let page = desk.post_bare("/sign-out", &[("token", &token)]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert!(!desk.get("/").await.text.contains("88.118.5/clerk"));
}

#[tokio::test]
async fn the_cookie_of_a_session_is_for_this_node_alone() {
    let desk = Desk::new();
    let form = [("identity", CLERK), ("secret", SECRET)];
    let page = desk.post_bare("/sign-in", &form).await;
    let cookie = page.header("set-cookie");
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
}

#[tokio::test]
async fn a_form_of_another_page_changes_nothing() {
    let mut desk = Desk::new();
    desk.sign_in().await;
    let page = desk.post_bare("/sign-out", &[]).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    let token = desk.get("/").await.token();
    let request = Request::post("/sign-out")
        .header("origin", "http://evil.example")
        .header("content-type", "application/x-www-form-urlencoded");
    let page = desk
        .send(request, Body::from(format!("token={token}")))
        .await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(desk.get("/").await.text.contains("88.118.5/clerk"));
}

#[tokio::test]
async fn a_name_that_strangers_can_own_is_not_answered() {
    let desk = Desk::new();
    let page = desk
        .send(
            Request::get("/").header("host", "evil.example"),
            Body::empty(),
        )
        .await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn language_and_theme_are_remembered_and_lead_back() {
    let desk = Desk::new();
    let form = [("lang", "zh"), ("back", "/resolve?handle=1/x")];
    let page = desk.post_bare("/preferences", &form).await;
    assert_eq!(page.header("location"), "/resolve?handle=1/x");
    assert!(page.header("set-cookie").starts_with("gt_lang=zh"));
    let form = [("theme", "dark"), ("back", "//evil.example")];
    let page = desk.post_bare("/preferences", &form).await;
    assert_eq!(page.header("location"), "/");
    assert!(page.header("set-cookie").starts_with("gt_theme=dark"));
    let request = Request::get("/").header("cookie", "gt_lang=zh; gt_theme=dark");
    let page = desk.send(request, Body::empty()).await;
    assert!(page.text.contains("lang=\"zh-CN\" data-theme=\"dark\""));
}

#[tokio::test]
async fn figures_are_json_and_pages_escape_what_they_are_asked() {
    let desk = Desk::new();
    let page = desk.get("/figures").await;
    let json: serde_json::Value = serde_json::from_str(&page.text).unwrap();
    assert_eq!(
        json["durations"].as_array().unwrap().len(),
        json["bounds"].as_array().unwrap().len()
    );
    for target in [
        "/resolve?handle=%3Cscript%3E",
        "/record?handle=1/%3Cscript%3E%22",
    ] {
        let page = desk.get(target).await;
        assert!(!page.text.contains("<script>"), "{target}");
    }
}

#[tokio::test]
async fn a_record_is_resolved_and_its_hidden_values_are_said_to_be_there() {
    let mut desk = Desk::new();
    let mut hidden = Value::new(2, "COST", "4711");
    hidden.permissions = Permissions(0x0c);
    desk.put(
        "88.118.5/SN1",
        &[Value::new(1, "URL", "https://example.org/"), hidden],
    );
    let target = "/resolve?handle=88.118.5/SN1";
    let page = desk.get(target).await;
    assert!(page.text.contains("https://example.org/") && !page.text.contains("4711"));
    assert!(
        page.text.contains("values that you may not see"),
        "{}",
        page.text
    );
    desk.sign_in().await;
    let page = desk.get("/record?handle=88.118.5/SN1").await;
    assert!(page.text.contains("https://example.org/"), "{}", page.text);
}
