//! The overview and the graph of a record, over what is registered.

use super::*;

impl Desk {
    /// Publishes a template whose registrations refer to each other, and makes a chain of three.
    async fn chain(&self) {
        let mut form = DRAFT.to_vec();
        form.extend([
            ("row", "1"),
            ("name.1", "part"),
            ("type.1", "reference"),
            ("readers.1", "everybody"),
            ("do", "save-publish"),
        ]);
        let page = self.post("/template/edit", &form).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
        for (handle, part) in [
            ("88.118.5/C1", ""),
            ("88.118.5/C2", "88.118.5/C1"),
            ("88.118.5/C3", "88.118.5/C2"),
        ] {
            let form = [
                ("template", "88.118.5/META_battery"),
                ("named", handle),
                ("field.serial", "<b>AB</b>"),
                ("field.part", part),
            ];
            let page = self.post("/registration/edit", &form).await;
            assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
        }
    }
}

#[tokio::test]
async fn the_overview_tells_what_is_registered_to_who_may_list_it() {
    let mut desk = Desk::new();
    desk.sign_in().await;
    desk.chain().await;
    let page = desk.get("/").await;
    assert!(page.text.contains("Registered per day"), "{}", page.text);
    let top = "href=\"/registrations?template=88.118.5/META_battery\">Battery</a>\
               <span class=\"figure\">3</span>";
    assert!(page.text.contains(top), "{}", page.text);
    desk.sign_in_as_stranger().await;
    let page = desk.get("/").await;
    assert!(!page.text.contains("META_battery"), "{}", page.text);
    assert!(page.text.contains("Changes per day"), "{}", page.text);
}

#[tokio::test]
async fn the_graph_goes_several_steps_in_both_directions() {
    let mut desk = Desk::new();
    desk.sign_in().await;
    desk.chain().await;
    let spots = |text: &str| text.matches("class=\"graph-spot").count();
    let near = desk.get("/record?handle=88.118.5/C1&steps=1").await;
    assert_eq!(spots(&near.text), 2, "{}", near.text);
    assert!(near.text.contains("There is more than is shown."));
    let far = desk.get("/record?handle=88.118.5/C1&steps=2").await;
    assert_eq!(spots(&far.text), 3, "{}", far.text);
    assert!(
        far.text
            .contains("href=\"/record?handle=88.118.5/C3&amp;steps=2#links\"")
    );
    assert!(far.text.contains("&lt;b&gt;AB") && !far.text.contains("<b>AB"));
    let middle = desk.get("/record?handle=88.118.5/C2&steps=x").await;
    assert_eq!(spots(&middle.text), 3, "{}", middle.text);
    desk.sign_in_as_stranger().await;
    let page = desk.get("/record?handle=88.118.5/C2").await;
    assert!(page.text.contains("88.118.5/C1"), "{}", page.text);
    assert!(!page.text.contains("88.118.5/C3"), "{}", page.text);
}

#[tokio::test]
async fn what_was_not_checked_of_a_registration_is_said_when_it_is_saved() {
    let mut desk = Desk::new();
    desk.sign_in().await;
    let mut draft = DRAFT.to_vec();
    draft.extend([
        ("row", "1"),
        ("name.1", "part"),
        ("type.1", "reference"),
        ("template.1", "88.118.5/META_battery"),
        ("readers.1", "everybody"),
        ("do", "save-publish"),
    ]);
    let page = desk.post("/template/edit", &draft).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
    let form = [
        ("template", "88.118.5/META_battery"),
        ("named", "88.118.5/C1"),
        ("field.serial", "AB12"),
        // Nobody here knows where the root is.
        ("field.part", "99.9/elsewhere"),
    ];
    let page = desk.post("/registration/edit", &form).await;
    let next = page.header("location").to_owned();
    assert_eq!(next, "/record?handle=88.118.5/C1&done=1&unchecked=part");
    let page = desk.get(&next).await;
    assert!(page.text.contains("Not checked"), "{}", page.text);
    assert!(page.text.contains("<code>part</code>"), "{}", page.text);
}
