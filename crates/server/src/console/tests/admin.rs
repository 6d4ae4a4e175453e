//! Pages for those who run the node: what is shown to whom.

use super::*;

#[tokio::test]
async fn changes_are_shown_to_those_who_may_list_the_prefix() {
    let mut desk = Desk::new();
    desk.put(
        "88.118.5/SN1",
        &[Value::new(1, "URL", "https://example.org/")],
    );
    let page = desk.get("/audit").await;
    assert!(!page.text.contains("88.118.5/SN1"), "{}", page.text);
    desk.sign_in().await;
    let page = desk.get("/audit").await;
    assert!(page.text.contains("88.118.5/SN1"), "{}", page.text);
    let page = desk.get("/audit?handle=88.118.5/sn&what=create").await;
    assert!(
        page.text.contains("88.118.5/SN1") && !page.text.contains("/record?handle=88.118.5/clerk")
    );
    let page = desk.get("/audit?from=203.0.113.9").await;
    assert!(!page.text.contains("88.118.5/SN1"), "{}", page.text);
    for target in [
        "/audit?before=0",
        "/audit?before=x",
        "/audit?before=99999999999999999999",
    ] {
        assert_eq!(desk.get(target).await.status, StatusCode::OK, "{target}");
    }
}

#[tokio::test]
async fn settings_are_shown_to_who_administers_every_prefix() {
    let mut desk = Desk::new();
    assert!(!desk.get("/settings").await.text.contains("json_body_max"));
    desk.sign_in().await;
    assert!(desk.get("/settings").await.text.contains("json_body_max"));
    let change = Change::Home {
        prefix: Handle::of_prefix("88.118.6").unwrap(),
    };
    let batch = Batch {
        changes: vec![change],
        at_ms: 0,
        origin: Origin::Operator,
        trail: Trail::default(),
    };
    desk.node.store.submit(batch).wait().unwrap();
    desk.node.refresh_site().unwrap();
    assert!(!desk.get("/settings").await.text.contains("json_body_max"));
}

#[tokio::test]
async fn a_prefix_is_not_homed_by_who_is_no_administrator_of_the_node() {
    let mut desk = Desk::new();
    desk.sign_in().await;
    let token = desk.get("/").await.token();
    let form = [
        ("prefix", "88.118.9"),
        ("do", "home"),
        ("token", token.as_str()),
    ];
    let page = desk.post_bare("/prefixes", &form).await;
    assert!(page.text.contains("role=\"alert\""), "{}", page.text);
    assert!(
        !desk
            .node
            .store
            .is_homed(Handle::of_prefix("88.118.9").unwrap().borrow())
    );
    assert!(desk.get("/prefixes").await.text.contains("88.118.5"));
}

#[tokio::test]
async fn the_history_of_a_record_is_for_who_may_read_all_of_it() {
    let mut desk = Desk::new();
    let mut hidden = Value::new(2, "COST", "4711");
    hidden.permissions = Permissions(0x0c);
    let admin = Admin::new(AdminPermissions::ALL, "88.118.5/clerk", 300);
    let admin = Value::new(100, "HS_ADMIN", admin.encode());
    desk.put(
        "88.118.5/SN1",
        &[hidden, admin, Value::new(1, "URL", "https://example.org/")],
    );
    let target = "/record?handle=88.118.5/SN1";
    assert!(
        desk.get(target)
            .await
            .text
            .contains("shown to those who may read every value")
    );
    desk.sign_in().await;
    let page = desk.get(target).await;
    assert!(
        page.text.contains("created") && page.text.contains("4711"),
        "{}",
        page.text
    );
}

#[tokio::test]
async fn who_has_no_right_sees_neither_changes_nor_settings() {
    let mut desk = Desk::new();
    desk.put(
        "88.118.5/SN1",
        &[Value::new(1, "URL", "https://example.org/")],
    );
    desk.sign_in_as_stranger().await;
    assert!(!desk.get("/audit").await.text.contains("88.118.5/SN1"));
    assert!(!desk.get("/settings").await.text.contains("json_body_max"));
}
