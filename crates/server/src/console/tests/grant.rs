//! Grants through the console, and accounts.

use super::*;

const TEMPLATE: &str = "88.118.5/META_valve";
const GRANTS: &str = "/grants?handle=88.118.5/META_valve";
/// A group of another enterprise, whose record is not here.
const GROUP: &str = "200:88.99.6/Group_quality";

/// A template with a field that is open and one that is not.
const VALVE: [(&str, &str); 11] = [
    ("title", "Valve"),
    ("prefix", "88.118.5"),
    ("code", "valve"),
    ("row", "0"),
    ("name.0", "serial"),
    ("type.0", "text"),
    ("readers.0", "everybody"),
    ("row", "1"),
    ("name.1", "pressure"),
    ("type.1", "number"),
    ("do", "save-publish"),
];

impl Desk {
    /// A node with the template, and its clerk in front of it.
    async fn with_template() -> Self {
        let mut desk = Self::new();
        desk.sign_in().await;
        desk.done("/template/edit", &VALVE).await;
        desk
    }
}

#[tokio::test]
async fn field_is_granted_to_a_group_of_another_enterprise_and_taken_away() {
    let desk = Desk::with_template().await;
    let grant = [
        ("handle", TEMPLATE),
        ("field", "pressure"),
        ("list", "readers"),
        ("subject", GROUP),
    ];
    let with = |action| [&grant[..], &[("do", action)]].concat();
    desk.done("/grants", &with("add")).await;
    let page = desk.get(&format!("{GRANTS}&for={GROUP}")).await.text;
    assert!(page.contains(&format!("<code>{GROUP}</code>")), "{page}");
    assert!(page.contains("he is named"), "{page}");
    let page = desk.get(&format!("{GRANTS}&for=300:88.99.7/App_z")).await;
    assert!(page.text.contains("no rule names him"), "{}", page.text);
    desk.done("/grants", &with("remove")).await;
    let page = desk.get(GRANTS).await.text;
    assert!(
        !page.contains(GROUP) && page.contains("nobody else"),
        "{page}"
    );
}

#[tokio::test]
async fn field_is_published_and_unpublished() {
    let desk = Desk::with_template().await;
    let open = "aria-label=\"Unpublish everybody\"";
    let form = |action| [("handle", TEMPLATE), ("field", "pressure"), ("do", action)];
    assert!(!desk.get(GRANTS).await.text.contains(open));
    desk.done("/grants", &form("publish")).await;
    assert!(desk.get(GRANTS).await.text.contains(open));
    desk.done("/grants", &form("unpublish")).await;
    assert!(!desk.get(GRANTS).await.text.contains(open));
}

#[tokio::test]
async fn registration_has_a_rule_of_its_own_until_it_follows_its_template_again() {
    let desk = Desk::with_template().await;
    let form = [
        ("template", TEMPLATE),
        ("named", "88.118.5/V1"),
        ("field.serial", "AB12"),
    ];
    desk.done("/registration/edit", &form).await;
    let target = "/grants?handle=88.118.5/V1";
    let page = desk.get(target).await.text;
    assert!(page.contains("Give it a rule of its own"), "{page}");
    desk.done("/grants", &[("handle", "88.118.5/V1"), ("do", "own")])
        .await;
    let grant = [
        ("handle", "88.118.5/V1"),
        ("list", "writers"),
        ("subject", GROUP),
        ("do", "add"),
    ];
    desk.done("/grants", &grant).await;
    let page = desk.get(target).await.text;
    assert!(
        page.contains("A rule of its own") && page.contains(GROUP),
        "{page}"
    );
    desk.done("/grants", &[("handle", "88.118.5/V1"), ("do", "class")])
        .await;
    assert!(!desk.get(target).await.text.contains(GROUP));
}

#[tokio::test]
async fn grants_are_shown_to_who_may_change_them_and_to_nobody_else() {
    let mut desk = Desk::with_template().await;
    let grant = [("handle", TEMPLATE), ("subject", GROUP), ("do", "add")];
    desk.done("/grants", &grant).await;
    desk.sign_in_as_stranger().await;
    let page = desk.get(GRANTS).await.text;
    assert!(
        page.contains("role=\"alert\"") && !page.contains(GROUP),
        "{page}"
    );
    let page = desk.post("/grants", &grant).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("Not allowed"), "{}", page.text);
    desk.cookie = None;
    assert!(!desk.get(GRANTS).await.text.contains(GROUP));
}

#[tokio::test]
async fn what_is_no_subject_is_told_and_stays_in_the_form() {
    let desk = Desk::with_template().await;
    let grant = [("handle", TEMPLATE), ("subject", "<nobody>"), ("do", "add")];
    let page = desk.post("/grants", &grant).await.text;
    assert!(
        page.contains("role=\"alert\"") && page.contains("&lt;nobody&gt;"),
        "{page}"
    );
    let page = desk.get(&format!("{GRANTS}&for=%3Cnobody%3E")).await.text;
    assert!(
        page.contains("role=\"alert\"") && page.contains("pressure"),
        "{page}"
    );
}

#[tokio::test]
async fn who_was_granted_something_reads_it_among_what_is_his() {
    let mut desk = Desk::with_template().await;
    let grant = [
        ("handle", TEMPLATE),
        ("field", "pressure"),
        ("subject", "300:88.118.5/stranger"),
        ("do", "add"),
    ];
    let page = desk.post("/grants", &grant).await.text;
    assert!(page.contains("no identity"), "{page}");
    desk.sign_in_as_stranger().await;
    let none = desk.get("/grants").await.text;
    assert!(none.contains("Nothing was granted to you"), "{none}");
    desk.cookie = None;
    desk.sign_in().await;
    desk.done("/grants", &grant).await;
    desk.sign_in_as_stranger().await;
    let page = desk.get("/grants").await.text;
    assert!(
        page.contains("<code>pressure</code>") && page.contains(TEMPLATE),
        "{page}"
    );
}

#[tokio::test]
async fn pages_of_identities_and_accounts_say_what_is_refused() {
    let mut desk = Desk::new();
    for target in [
        "/identities",
        "/identity?handle=88.118.5/App_x",
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
    let page = desk.post("/group", &form).await;
    assert!(page.text.contains("role=\"alert\""), "{}", page.text);
    let form = [
        ("do", "password"),
        ("user", "88.118.5/clerk"),
        ("password", "topsecret"),
    ];
    let page = desk.post("/account", &form).await;
    assert!(page.text.contains("role=\"alert\"") && !page.text.contains("topsecret"));
}
