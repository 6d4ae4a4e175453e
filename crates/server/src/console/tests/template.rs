//! Templates and registrations through the forms: what a browser without script sends.

use super::*;

#[tokio::test]
async fn a_template_is_designed_published_and_registered_by() {
    let mut desk = Desk::new();
    desk.sign_in().await;
    desk.publish().await;
    let page = desk.get("/templates").await;
    assert!(
        page.text.contains("Battery") && page.text.contains("published"),
        "{}",
        page.text
    );
    let target = "/registration/edit?template=88.118.5/META_battery";
    let page = desk.get(target).await;
    assert!(page.text.contains("name=\"field.serial\""), "{}", page.text);
    let form = [
        ("template", "88.118.5/META_battery"),
        ("named", "88.118.5/B1"),
        ("field.serial", "AB12"),
    ];
    let page = desk.post("/registration/edit", &form).await;
    assert_eq!(
        page.header("location"),
        "/record?handle=88.118.5/B1&done=1",
        "{}",
        page.text
    );
    let page = desk
        .get("/registrations?template=88.118.5/META_battery")
        .await;
    assert!(
        page.text.contains("88.118.5/B1") && page.text.contains("AB12"),
        "{}",
        page.text
    );
    let search = "/registrations?template=88.118.5/META_battery&field=serial&value=";
    assert!(
        desk.get(&format!("{search}AB12"))
            .await
            .text
            .contains("88.118.5/B1")
    );
    assert!(
        !desk
            .get(&format!("{search}ZZZZ"))
            .await
            .text
            .contains("88.118.5/B1")
    );
}

#[tokio::test]
async fn what_is_wrong_is_told_beside_its_field_and_nothing_typed_is_lost() {
    let mut desk = Desk::new();
    desk.sign_in().await;
    desk.publish().await;
    let form = [
        ("template", "88.118.5/META_battery"),
        ("named", "88.118.5/B<1>"),
        ("field.serial", "A"),
    ];
    let page = desk.post("/registration/edit", &form).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("must have at least 4"), "{}", page.text);
    assert!(
        page.text.contains("value=\"88.118.5/B&lt;1&gt;\""),
        "{}",
        page.text
    );
}

#[tokio::test]
async fn blocks_of_the_designer_are_added_by_the_node() {
    let mut desk = Desk::new();
    desk.sign_in().await;
    let mut form = DRAFT.to_vec();
    form.push(("do", "add"));
    let page = desk.post("/template/edit", &form).await;
    assert!(page.text.contains("name=\"name.1\"") && page.text.contains("value=\"serial\""));
    assert!(
        desk.get("/templates")
            .await
            .text
            .contains("No template yet")
    );
}

#[tokio::test]
async fn who_has_no_right_changes_nothing() {
    let desk = Desk::new();
    let mut form = DRAFT.to_vec();
    form.push(("do", "save"));
    let page = desk.post("/template/edit", &form).await;
    assert!(page.text.contains("role=\"alert\""), "{}", page.text);
    let found = desk.node.store.get(b"88.118.5/META_BATTERY").unwrap();
    assert!(found.is_none());
}

#[tokio::test]
async fn a_draft_is_told_to_its_administrators_only() {
    let mut desk = Desk::new();
    desk.sign_in().await;
    let mut form = DRAFT.to_vec();
    form.push(("do", "save"));
    desk.post("/template/edit", &form).await;
    let target = "/template?handle=88.118.5/META_battery";
    assert!(desk.get(target).await.text.contains("draft"));
    desk.cookie = None;
    assert!(!desk.get(target).await.text.contains("Battery"));
}

#[tokio::test]
async fn a_published_template_is_withdrawn_from_its_edit_page() {
    let mut desk = Desk::new();
    desk.sign_in().await;
    desk.publish().await;
    let target = "/template/edit?handle=88.118.5/META_battery";
    let page = desk.get(target).await;
    assert!(page.text.contains("withdraw it first"), "{}", page.text);
    assert!(!page.text.contains("name=\"title\""), "{}", page.text);
    let form = |action: &'static str| {
        [
            ("handle", "88.118.5/META_battery"),
            ("then", "edit"),
            ("action", action),
        ]
    };
    let page = desk.post("/template", &form("withdraw")).await;
    assert_eq!(page.header("location"), target, "{}", page.text);
    let page = desk.get(target).await;
    assert!(page.text.contains("name=\"title\""), "{}", page.text);
    desk.post("/template", &form("disable")).await;
    let page = desk.get(target).await;
    assert!(page.text.contains("disabled"), "{}", page.text);
    assert!(!page.text.contains("value=\"withdraw\""), "{}", page.text);
}
