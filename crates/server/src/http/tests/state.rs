//! Reserved and withdrawn records over HTTP: nothing of them is given away on any path.

use guantong_proto::data::{Admin, AdminPermissions, StateData};

use super::change::{SECRET, USER, basic, send, user};
use super::*;

const WITHDRAWN: &str = r#"{"state":"withdrawn","reason":"scrapped & sold","successor":"88.118.5/web","since":"2026-03-01T00:00:00Z"}"#;
const RESERVED: &str = r#"{"state":"reserved"}"#;
/// What every value of the records in a state says.
const SECRET_TEXT: &str = "must-not-be-seen";

fn put(name: &str, values: &[Value]) {
    let batch = Batch {
        changes: vec![Change::Put {
            handle: Handle::parse(name).unwrap(),
            values: Writer::to_vec(|w| Values::encode(values, w)),
            expect: Expect::Anything,
        }],
        at_ms: 0,
        origin: Origin::Operator,
        trail: Trail::default(),
    };
    node().store.submit(batch).wait().unwrap();
}

/// Values that would lead a visitor somewhere on every path.
fn telling(state: &str) -> Vec<Value> {
    let url = format!("https://{SECRET_TEXT}.example/");
    let locations = format!("<locations><location href=\"{url}\" weight=\"1\"/></locations>");
    let admin = Admin::new(AdminPermissions::ALL, USER, 300);
    vec![
        Value::new(1, "URL", url),
        Value::new(2, "NAME.EN", SECRET_TEXT),
        Value::new(3, "HS_ALIAS", format!("88.118.5/{SECRET_TEXT}")),
        Value::new(100, "HS_ADMIN", admin.encode()),
        Value::new(1_000, "10320/loc", locations),
        StateData::decode(state.as_bytes()).unwrap().to_value(),
    ]
}

#[tokio::test]
async fn nothing_of_a_record_in_a_state_leaks_on_any_path() {
    put("88.118.5/state-gone", &telling(WITHDRAWN));
    put("88.118.5/state-kept", &telling(RESERVED));
    put(
        "88.118.5/to-gone",
        &[Value::new(1, "HS_ALIAS", "88.118.5/state-gone")],
    );
    put(
        "88.118.5/to-kept",
        &[Value::new(1, "HS_ALIAS", "88.118.5/state-kept")],
    );
    for (name, status) in [("state-gone", 410), ("state-kept", 404)] {
        for query in [
            "",
            "?noredirect",
            "?action=showurls",
            "?action=showvalues",
            "?action=metadata",
            "?action=api",
            "?type=URL",
            "?index=1&index=3",
            "?type=10320/loc&noredirect",
            "?ignore_aliases",
            "?auth&cert",
        ] {
            let answer = get(&format!("/88.118.5/{name}{query}")).await;
            assert_eq!(answer.status, status, "{name}{query}: {}", answer.text());
            assert!(!answer.text().contains(SECRET_TEXT), "{name}{query}");
            assert_eq!(answer.header("location"), "", "{name}{query}");
        }
        for query in ["", "?index=1", "?type=URL", "?publicOnly=true&type=NAME.EN"] {
            let answer = get(&format!("/api/handles/88.118.5/{name}{query}")).await;
            assert_eq!(answer.status, status, "{name}{query}: {}", answer.text());
            assert!(!answer.text().contains(SECRET_TEXT), "{name}{query}");
            assert_eq!(answer.json()["responseCode"], 100);
        }
    }
    for name in ["to-gone", "to-kept"] {
        let answer = get(&format!("/88.118.5/{name}")).await;
        assert_eq!(answer.status, 301);
        assert!(!answer.text().contains(SECRET_TEXT), "{name}");
    }
    let start = get("/").await;
    assert!(!start.text().contains(SECRET_TEXT));
}

#[tokio::test]
async fn withdrawn_record_tells_programs_why_and_what_took_its_place() {
    put("88.118.5/state-json", &telling(WITHDRAWN));
    let answer = get("/api/handles/88.118.5/state-json").await;
    let json = answer.json();
    assert_eq!(
        json["message"],
        "withdrawn: scrapped & sold; see 88.118.5/web"
    );
    let state: serde_json::Value = serde_json::from_str(WITHDRAWN).unwrap();
    assert_eq!(json["state"], state);
    let answer = get("/api/handles/88.118.5/state-json?type=GT_STATE").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["values"].as_array().unwrap().len(), 1);
    let answer = get("/api/handles/88.118.5/state-none").await;
    assert!(answer.json().get("state").is_none());
}

#[tokio::test]
async fn withdrawn_record_tells_people_in_their_language_and_follows_nothing_by_itself() {
    put("88.118.5/state-page", &telling(WITHDRAWN));
    let en = get("/88.118.5/state-page").await.text();
    for part in [
        "This record is withdrawn",
        "scrapped &amp; sold",
        "2026-03-01",
        "href=\"/88.118.5/web?noredirect\"",
    ] {
        assert!(en.contains(part), "{part}: {en}");
    }
    let zh = get("/88.118.5/state-page?lang=zh").await.text();
    assert!(
        zh.contains("此记录已注销") && zh.contains("<html lang=\"zh-CN\">"),
        "{zh}"
    );
    assert!(
        zh.contains("href=\"/88.118.5/web?noredirect&amp;lang=zh\""),
        "{zh}"
    );
}

#[tokio::test]
async fn administrator_sees_the_record_and_anybody_else_what_the_public_sees() {
    user("88.118.5/state-user");
    put("88.118.5/state-admin", &telling(WITHDRAWN));
    put("88.118.5/state-admin-kept", &telling(RESERVED));
    let mut foreign = telling(WITHDRAWN);
    foreign.retain(|value| value.kind != "HS_ADMIN");
    put("88.118.5/state-foreign", &foreign);
    let me = basic(USER, SECRET);
    let read = |name: &str| {
        let path = format!("/api/handles/88.118.5/{name}");
        let me = me.clone();
        async move { send(Method::GET, &path, &[("authorization", &me)], "").await }
    };
    for name in ["state-admin", "state-admin-kept"] {
        let answer = read(name).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        assert_eq!(
            answer.json()["values"].as_array().unwrap().len(),
            6,
            "{name}"
        );
    }
    let answer = read("state-foreign").await;
    assert_eq!(answer.status, 410, "{}", answer.text());
    assert_eq!(answer.json()["state"]["reason"], "scrapped & sold");
}

#[tokio::test]
async fn record_is_withdrawn_published_and_removed_by_who_may() {
    let path = "/api/handles/88.118.5/state-life";
    user("88.118.5/state-life");
    let me = basic(USER, SECRET);
    let delete = |query: &str| {
        let (path, me) = (format!("{path}{query}"), me.clone());
        async move { send(Method::DELETE, &path, &[("authorization", &me)], "").await }
    };
    let says = |answer: Answer| {
        (
            answer.status.as_u16(),
            answer.json()["responseCode"].clone(),
        )
    };
    let refused = delete("?reason=x&force=true").await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    let long = format!("?reason={}", "x".repeat(1_001));
    assert_eq!(says(delete(&long).await), (400, 202.into()));
    assert_eq!(
        says(delete("?successor=88.118.5/web&reason=sold").await),
        (200, 1.into())
    );
    let gone = get(path).await;
    assert_eq!(
        (gone.status.as_u16(), gone.json()["state"]["reason"].clone()),
        (410, "sold".into())
    );
    assert_eq!(gone.json()["state"]["successor"], "88.118.5/web");
    assert!(gone.json()["state"]["since"].is_string());
    let json = ("content-type", "application/json");
    let body = r#"{"values":[{"index":1,"type":"URL","data":"y"}]}"#;
    let over = send(Method::PUT, path, &[("authorization", &me), json], body).await;
    assert_eq!(over.status, 409, "{}", over.text());
    assert!(over.text().contains("publish it first"), "{}", over.text());
    assert_eq!(says(delete("?index=1900").await), (200, 1.into()));
    assert_eq!(get(path).await.status, 200);
    assert_eq!(says(delete("?force=true").await), (200, 1.into()));
    assert_eq!(get(path).await.status, 404);
    assert_eq!(says(delete("?reason=x").await), (404, 100.into()));
}

fn remove(name: &str) {
    let batch = Batch {
        changes: vec![Change::Delete {
            handle: Handle::parse(name).unwrap(),
            expect: Expect::Present,
        }],
        at_ms: 1_772_323_200_000,
        origin: Origin::Administrator {
            handle: Handle::parse("88.118.5/remover").unwrap(),
            index: 300,
        },
        trail: Trail::default(),
    };
    node().store.submit(batch).wait().unwrap();
}

#[tokio::test]
async fn page_of_a_removed_record_says_since_when_and_nothing_else_of_it() {
    let mut public = telling(WITHDRAWN);
    public.pop();
    for (name, values) in [
        ("88.118.5/removed", public),
        ("88.118.5/removed-withdrawn", telling(WITHDRAWN)),
    ] {
        put(name, &values);
        remove(name);
        for query in ["", "?noredirect", "?type=URL", "?action=showurls"] {
            let answer = get(&format!("/{name}{query}")).await;
            let text = answer.text();
            assert_eq!(answer.status, 410, "{name}{query}: {text}");
            assert!(text.contains("This record was removed"), "{text}");
            assert!(text.contains("2026-03-01 00:00:00 UTC"), "{text}");
            for hidden in [SECRET_TEXT, "remover", "scrapped"] {
                assert!(!text.contains(hidden), "{hidden}: {text}");
            }
        }
        // Programs are told what they always were: the name is free.
        for path in [
            format!("/api/handles/{name}"),
            format!("/{name}?action=api"),
        ] {
            let answer = get(&path).await;
            assert_eq!(answer.status, 404, "{path}");
            assert_eq!(answer.json()["responseCode"], 100);
        }
        put(name, &[Value::new(1, "NAME", "again")]);
        assert_eq!(get(&format!("/{name}")).await.status, 200);
    }
    assert_eq!(get("/88.118.5/never-there").await.status, 404);
}

#[tokio::test]
async fn removed_record_that_was_reserved_was_never_there() {
    let name = "88.118.5/removed-reserved";
    put(name, &telling(RESERVED));
    remove(name);
    let answer = get(&format!("/{name}")).await;
    assert_eq!(answer.status, 404);
    assert!(!answer.text().contains("2026-03-01"), "{}", answer.text());
}
