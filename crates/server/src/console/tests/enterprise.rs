//! Applications of enterprises: what is shown to whom, and what is refused.

use super::*;

const APPLICATION: [(&str, &str); 7] = [
    ("name", "Spring & Söhne"),
    ("kind", "creditCode"),
    ("number", "91520300MA6H00000X"),
    ("prefix", "88.118.5.0042"),
    ("user", "spring"),
    ("contact", "Li"),
    ("phone", "13900000000"),
];

impl Desk {
    /// Sends a form that is to be taken.
    pub(super) async fn done(&self, target: &str, form: &[(&str, &str)]) -> String {
        let page = self.post(target, form).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
        page.header("location").to_owned()
    }

    /// Somebody who is known and has no right at all.
    pub(super) async fn sign_in_as_stranger(&mut self) {
        let mut key = Value::new(300, "HS_SECKEY", SECRET);
        key.permissions = Permissions(0x0c);
        self.put("88.118.5/stranger", &[key]);
        let form = [("identity", "300:88.118.5/stranger"), ("secret", SECRET)];
        self.cookie = None;
        let page = self.post_bare("/sign-in", &form).await;
        let cookie = page.header("set-cookie").split(';').next().unwrap();
        self.cookie = Some(cookie.to_owned());
    }
}

//----------- Enterprises ----------------------------------------------------

#[tokio::test]
async fn application_is_filed_rejected_amended_and_approved() {
    let mut desk = Desk::new();
    desk.sign_in().await;
    let place = desk.done("/enterprise/edit", &APPLICATION).await;
    let (_, handle) = place.split_once("handle=").unwrap();
    let list = desk.get("/enterprises").await.text;
    assert!(
        list.contains("Spring &amp; Söhne") && list.contains("applied"),
        "{list}"
    );
    let step = |action, name, value| [("handle", handle), ("do", action), (name, value)];
    desk.done(
        "/enterprise",
        &step("reject", "reason", "which <document>?"),
    )
    .await;
    let page = desk.get(&place).await.text;
    assert!(
        page.contains("which &lt;document&gt;?") && page.contains("Amend"),
        "{page}"
    );
    let amended = [
        &APPLICATION[..],
        &[("handle", handle), ("email", "li@example.org")],
    ]
    .concat();
    desk.done("/enterprise/edit", &amended).await;
    desk.done("/enterprise", &step("approve", "prefix", "88.118.5.0042"))
        .await;
    let page = desk.get(&place).await.text;
    assert!(
        page.contains("approved") && page.contains("li@example.org"),
        "{page}"
    );
    assert!(
        !page.contains("value=\"approve\"") && page.contains("value=\"delegate\""),
        "{page}"
    );
    let page = desk
        .post("/enterprise", &step("delegate", "site", "{not json"))
        .await
        .text;
    assert!(
        page.contains("not JSON") && page.contains("{not json"),
        "{page}"
    );
}

#[tokio::test]
async fn faults_of_an_application_stand_beside_their_fields() {
    let mut desk = Desk::new();
    desk.sign_in().await;
    let mut form = APPLICATION;
    form[3].1 = "88.118.5.0-0";
    let page = desk.post("/enterprise/edit", &form).await.text;
    assert!(
        page.contains("class=\"fault\"") && page.contains("value=\"88.118.5.0-0\""),
        "{page}"
    );
}

#[tokio::test]
async fn applications_are_shown_to_reviewers_only() {
    let mut desk = Desk::new();
    desk.sign_in().await;
    let place = desk.done("/enterprise/edit", &APPLICATION).await;
    desk.sign_in_as_stranger().await;
    for target in ["/enterprises", place.as_str()] {
        let page = desk.get(target).await.text;
        assert!(
            page.contains("role=\"alert\"") && !page.contains("Spring"),
            "{page}"
        );
    }
}
