//! Grants through the console, and accounts.

use super::*;

#[tokio::test]
async fn a_field_is_granted_and_the_grant_taken_away() {
    let mut desk = Desk::new();
    desk.sign_in().await;
    desk.publish().await;
    let target = "/grants?handle=88.118.5/META_battery";
    assert!(desk.get(target).await.text.contains("serial"));
    let form = |order| {
        [
            ("handle", "88.118.5/META_battery"),
            ("field", "serial"),
            ("right", "write"),
            ("subjects", "300:88.118.6/App_robot\n"),
            ("do", order),
        ]
    };
    let page = desk.post("/grants", &form("add")).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
    assert!(
        desk.get(target)
            .await
            .text
            .contains("300:88.118.6/App_robot")
    );
    let page = desk.post("/grants", &form("remove")).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
    assert!(
        !desk
            .get(target)
            .await
            .text
            .contains("300:88.118.6/App_robot")
    );
    desk.cookie = None;
    assert!(desk.get(target).await.text.contains("role=\"alert\""));
}

#[tokio::test]
async fn pages_of_identities_and_accounts_say_what_is_refused() {
    let mut desk = Desk::new();
    for target in [
        "/identities",
        "/identities?handle=88.118.5/App_x",
        "/account",
        "/grants",
    ] {
        assert_eq!(desk.get(target).await.status, StatusCode::OK, "{target}");
    }
    desk.sign_in().await;
    let form = [
        ("do", "add"),
        ("handle", "88.118.5/Group_none"),
        ("members", "x"),
    ];
    let page = desk.post("/identities", &form).await;
    assert!(page.text.contains("role=\"alert\""), "{}", page.text);
    let form = [
        ("do", "password"),
        ("user", "88.118.5/clerk"),
        ("password", "topsecret"),
    ];
    let page = desk.post("/account", &form).await;
    assert!(page.text.contains("role=\"alert\"") && !page.text.contains("topsecret"));
}
