//! Imports through the console: pasted, sent by the script, refused.

use super::*;

impl Desk {
    /// The job at this place when it has ended.
    async fn ended(&self, place: &str) -> Page {
        loop {
            let page = self.get(place).await;
            if !page.text.contains("data-again") {
                return page;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test]
async fn pasted_rows_are_imported_and_the_refused_ones_listed() {
    let mut desk = Desk::new();
    desk.sign_in().await;
    desk.publish().await;
    let rows = "handle,serial\n88.118.5/B1,AB12\n88.118.5/B2,A\n";
    let form = [
        ("template", "88.118.5/META_battery"),
        ("mode", "create"),
        ("rows", rows),
    ];
    let page = desk.post("/import", &form).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
    let place = page.header("location").to_owned();
    let page = desk.ended(&place).await;
    assert!(
        page.text.contains("1 made or changed · 1 refused"),
        "{}",
        page.text
    );
    assert!(
        desk.get("/record?handle=88.118.5/B1")
            .await
            .text
            .contains("AB12")
    );
    let target = place.replace("/import?", "/import/errors?format=csv&");
    let errors = desk.get(&target).await;
    assert!(errors.header("content-disposition").contains("refused.csv"));
    assert!(
        errors.text.contains("88.118.5/B2,serial"),
        "{}",
        errors.text
    );
    assert!(desk.get("/import").await.text.contains("1 refused"));
}

#[tokio::test]
async fn a_file_is_sent_as_it_is_and_checked_only_if_wanted() {
    let mut desk = Desk::new();
    desk.sign_in().await;
    desk.publish().await;
    let token = desk.get("/").await.token();
    let target = "/import?template=88.118.5/META_battery&format=jsonl&dryRun=true&token=";
    let row = r#"{"handle": "88.118.5/B1", "fields": {"serial": "AB12"}}"#;
    let send = |token: &str| {
        let request = Request::post(format!("{target}{token}"))
            .header("content-type", "application/octet-stream")
            .header("sec-fetch-site", "same-origin");
        desk.send(request, Body::from(row))
    };
    assert_eq!(send("wrong").await.status, StatusCode::FORBIDDEN);
    let page = send(&token).await;
    let json: serde_json::Value = serde_json::from_str(&page.text).unwrap();
    let page = desk.ended(json["place"].as_str().unwrap()).await;
    assert!(page.text.contains("1 right · 0 refused"), "{}", page.text);
    assert!(desk.node.store.get(b"88.118.5/B1").unwrap().is_none());
}

#[tokio::test]
async fn nothing_and_nonsense_are_not_imported() {
    let mut desk = Desk::new();
    desk.sign_in().await;
    for (template, rows) in [("88.118.5/META_none", "handle\nx"), ("", "x"), ("x", " \n")] {
        let page = desk
            .post("/import", &[("template", template), ("rows", rows)])
            .await;
        assert!(page.text.contains("role=\"alert\""), "{}", page.text);
    }
    assert!(
        desk.get("/import?job=none")
            .await
            .text
            .contains("role=\"alert\"")
    );
}
