//! Users, app identities and groups through the forms.

use super::*;

const APP: [(&str, &str); 5] = [
    ("kind", "app"),
    ("prefix", "88.118.5"),
    ("code", "line-3"),
    ("name", "Line <3>"),
    ("keyKind", "p256"),
];
const APP_PLACE: &str = "/identity?handle=88.118.5/App_line-3";
const PASSWORD: &str = "correct horse battery";

#[tokio::test]
async fn private_key_of_an_app_identity_is_shown_once() {
    let mut desk = Desk::new();
    desk.sign_in().await;
    let page = desk.post("/identities", &APP).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    assert!(page.text.contains("PRIVATE KEY-----"), "{}", page.text);
    assert_eq!(page.header("cache-control"), "no-store");
    let page = desk.get(APP_PLACE).await.text;
    assert!(
        !page.contains("PRIVATE KEY") && page.contains("PUBLIC KEY"),
        "{page}"
    );
    assert!(page.contains("Line &lt;3&gt;"), "{page}");
    let list = desk.get("/identities").await.text;
    assert!(
        list.contains("Line &lt;3&gt;") && list.contains("88.118.5/App_line-3"),
        "{list}"
    );
}

#[tokio::test]
async fn app_identity_is_disabled_enabled_and_deleted() {
    let mut desk = Desk::new();
    desk.sign_in().await;
    desk.post("/identities", &APP).await;
    let step = |action| [("handle", "88.118.5/App_line-3"), ("do", action)];
    let disabled = "class=\"tag bad\"";
    desk.done("/identity", &step("disable")).await;
    assert!(desk.get(APP_PLACE).await.text.contains(disabled));
    desk.done("/identity", &step("enable")).await;
    assert!(!desk.get(APP_PLACE).await.text.contains(disabled));
    desk.done("/identity", &step("delete")).await;
    assert!(desk.get(APP_PLACE).await.text.contains("role=\"alert\""));
}

#[tokio::test]
async fn user_is_made_and_his_password_is_on_no_page() {
    let mut desk = Desk::new();
    desk.sign_in().await;
    let mut form = vec![
        ("kind", "user"),
        ("prefix", "88.118.5"),
        ("code", "li"),
        ("password", "short"),
    ];
    let page = desk.post("/identities", &form).await.text;
    assert!(
        page.contains("role=\"alert\"") && page.contains("value=\"li\""),
        "{page}"
    );
    assert!(!page.contains("value=\"short\""), "{page}");
    form[3].1 = PASSWORD;
    let place = desk.done("/identities", &form).await;
    let page = desk.get(&place).await.text;
    assert!(
        page.contains("he has to choose his own") && !page.contains(PASSWORD),
        "{page}"
    );
}

#[tokio::test]
async fn members_are_taken_into_a_group_and_out_of_it() {
    let mut desk = Desk::new();
    desk.sign_in().await;
    let form = [
        ("kind", "group"),
        ("prefix", "88.118.5"),
        ("code", "suppliers"),
        ("members", "88.99.6/App_a 88.99.7/App_b"),
    ];
    let place = desk.done("/identities", &form).await;
    let group = ("handle", "88.118.5/Group_suppliers");
    let page = desk.get(&place).await.text;
    assert!(
        page.contains("300:88.99.6/App_a") && page.contains("300:88.99.7/App_b"),
        "{page}"
    );
    let out = [group, ("members", "300:88.99.6/App_a"), ("do", "remove")];
    desk.done("/group", &out).await;
    desk.done(
        "/group",
        &[group, ("members", "88.99.8/App_c"), ("do", "add")],
    )
    .await;
    let page = desk.get(&place).await.text;
    assert!(
        !page.contains("300:88.99.6/App_a") && page.contains("300:88.99.8/App_c"),
        "{page}"
    );
}

#[tokio::test]
async fn who_has_no_right_makes_no_identity_and_sees_no_list() {
    let mut desk = Desk::new();
    desk.sign_in().await;
    desk.post("/identities", &APP).await;
    desk.sign_in_as_stranger().await;
    let mut form = APP;
    form[2].1 = "line-4";
    let page = desk.post("/identities", &form).await.text;
    assert!(
        page.contains("Not allowed") && !page.contains("PRIVATE KEY"),
        "{page}"
    );
    let step = [("handle", "88.118.5/App_line-3"), ("do", "disable")];
    let page = desk.post("/identity", &step).await.text;
    assert!(page.contains("Not allowed"), "{page}");
}
