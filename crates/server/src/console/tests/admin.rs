//! Pages for those who run the node: what is shown to whom.

use guantong_store::{Source, Way};

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
async fn a_change_by_a_page_is_said_to_come_from_the_console() {
    let mut desk = Desk::new();
    desk.sign_in().await;
    desk.publish().await;
    let entries = desk.node.store.changes(0, 1_000).unwrap();
    let newest = entries.last().unwrap();
    assert_eq!(newest.handle.as_str(), "88.118.5/META_battery");
    let from = Source::Peer {
        way: Way::Console,
        address: ([127, 0, 0, 1], 50_000).into(),
    };
    assert_eq!(newest.trail.from, from);
    let page = desk.get("/audit?from=console").await;
    assert!(
        page.text.contains("console 127.0.0.1:50000"),
        "{}",
        page.text
    );
    assert!(!page.text.contains("/record?handle=88.118.5/clerk"));
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
async fn the_file_is_read_again_for_who_administers_the_node() {
    let mut desk = Desk::new();
    let file = desk.node.config().file.clone().unwrap();
    let old = std::fs::read_to_string(&file).unwrap();
    let reload = [("do", "reload")];
    let own = old.replacen("[limits]\n", "[limits]\nstop_timeout = \"3s\"\n", 1);
    std::fs::write(&file, own).unwrap();
    desk.sign_in_as_stranger().await;
    desk.post("/settings", &reload).await;
    let stop = |desk: &Desk| {
        desk.node
            .config()
            .limits
            .stop_timeout
            .as_duration()
            .as_secs()
    };
    assert_ne!(stop(&desk), 3);
    desk.cookie = None;
    desk.sign_in().await;
    let page = desk.post("/settings", &reload).await;
    assert!(
        page.text.contains("In force now: <code>limits</code>"),
        "{}",
        page.text
    );
    assert_eq!(stop(&desk), 3);
    std::fs::write(&file, "[limits]\nstop_timeout = \"soon\"\n").unwrap();
    let page = desk.post("/settings", &reload).await;
    assert!(page.text.contains("role=\"alert\""), "{}", page.text);
    assert_eq!(stop(&desk), 3);
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

#[tokio::test]
async fn a_prefix_is_delegated_with_the_rights_of_the_viewer() {
    let mut desk = Desk::new();
    let site = r#"{"version": 1, "protocolVersion": "2.11", "serialNumber": 1,
        "primarySite": true, "servers": [{"serverId": 1, "address": "192.0.2.7",
        "interfaces": [{"query": true, "admin": true, "protocol": "TCP", "port": 2641}]}]}"#;
    let form = |site| {
        [
            ("do", "delegate"),
            ("prefix", "88.118.5.1"),
            ("site", site),
            ("admin", CLERK),
        ]
    };
    let kept = |desk: &Desk| {
        let handle = Handle::of_prefix("88.118.5.1").unwrap();
        let record = desk.node.store.record(handle.borrow()).unwrap();
        record.map(|record| record.values().len())
    };
    desk.sign_in_as_stranger().await;
    let page = desk.post("/prefixes", &form(site)).await;
    assert!(page.text.contains("role=\"alert\""), "{}", page.text);
    assert_eq!(kept(&desk), None);
    desk.cookie = None;
    desk.sign_in().await;
    for bad in ["{}", "<b>", ""] {
        let page = desk.post("/prefixes", &form(bad)).await;
        assert!(page.text.contains("role=\"alert\""), "{}", page.text);
        assert_eq!(kept(&desk), None);
    }
    for _ in 0..2 {
        let page = desk.post("/prefixes", &form(site)).await;
        let there = "/record?handle=0.NA/88.118.5.1&done=1";
        assert_eq!(page.header("location"), there, "{}", page.text);
        assert_eq!(kept(&desk), Some(2));
    }
}
