//! Pages: languages, safety, what they show, and that a handle can have any name.

use super::*;

#[tokio::test]
async fn page_speaks_the_language_of_the_browser() {
    let zh = get_with(
        "/88.118.5/中文?noredirect"
            .replace("中文", "%E4%B8%AD%E6%96%87")
            .as_str(),
        &[("accept-language", "zh-CN,zh;q=0.9")],
    )
    .await;
    assert!(
        zh.text().contains("<html lang=\"zh-CN\">") && zh.text().contains("<h1>名称</h1>"),
        "{}",
        zh.text()
    );
    assert_eq!(zh.header("vary"), "Accept-Language");
    let en = get("/88.118.5/%E4%B8%AD%E6%96%87").await;
    assert!(en.text().contains("<h1>Name</h1>"), "{}", en.text());
    let asked = get_with(
        "/88.118.5/web?noredirect&lang=zh",
        &[("accept-language", "en")],
    )
    .await;
    assert!(asked.text().contains("<html lang=\"zh-CN\">"));
    assert!(
        asked
            .text()
            .contains("href=\"/88.118.5/web?noredirect=&amp;lang=en\""),
        "{}",
        asked.text()
    );
}

#[tokio::test]
async fn pages_run_no_script_and_load_nothing_foreign() {
    for path in [
        "/",
        "/88.118.5/web?noredirect",
        "/88.118.5/none",
        "/88.118.5/stations",
        "/0.NA/88.118.5",
    ] {
        let answer = get(path).await;
        let policy = answer.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
            "{path}"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        let text = answer.text();
        assert!(
            !text.contains("<script") && !text.contains(" style=") && !text.contains(" onload="),
            "{path}"
        );
        for attribute in ["src=\"http", "<link rel=\"stylesheet\" href=\"http"] {
            assert!(!text.contains(attribute), "{path}");
        }
    }
}

#[tokio::test]
async fn markup_in_records_and_requests_is_shown_as_text() {
    let requests = [
        "/88.118.5/evil",
        "/88.118.5/%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
        "/20.500/%3Cimg%20src=x%20onerror=alert(1)%3E",
        "/88.118.5/web?noredirect&lang=%22%3E%3Cscript%3E&x=%22%3E%3Cscript%3E",
        "/-/%3Cscript%3E",
        "/%FF%3Cscript%3E",
    ];
    for path in requests {
        let text = get(path).await.text();
        assert!(
            !text.contains("<script") && !text.contains("<img"),
            "{path}: {text}"
        );
    }
    let host = [("host", "\"><script>alert(1)</script>")];
    let text = get_with("/88.118.5/web?noredirect", &host).await.text();
    assert!(!text.contains("<script"), "{text}");
}

#[tokio::test]
async fn error_pages_have_the_right_status_and_a_way_on() {
    let table = [
        ("/88.118.5/none", 404, "no such record"),
        ("/20.500/x", 400, "Another node"),
        ("/0.NA/88.118.5.1.2", 300, "Another service"),
        ("/88.118.5/%FF", 400, "cannot be understood"),
        ("/88.118.5/web?index=x", 400, "not a whole number"),
        ("/-/nothing", 404, "hdl:-/"),
    ];
    for (path, status, words) in table {
        let answer = get(path).await;
        assert_eq!(answer.status, status, "{path}");
        let text = answer.text();
        assert!(
            text.contains(words) && text.contains(answer.header("x-request-id")),
            "{path}: {text}"
        );
    }
}

#[tokio::test]
async fn restricted_values_are_not_shown() {
    for path in [
        "/88.118.5/web?noredirect",
        "/88.118.5/hidden",
        "/88.118.5/never",
    ] {
        let text = get(path).await.text();
        assert!(!text.contains("secret@"), "{path}");
    }
    assert!(
        get("/88.118.5/hidden")
            .await
            .text()
            .contains("no value that anyone may read")
    );
}

#[tokio::test]
async fn series_is_drawn_with_its_sources() {
    let text = get("/88.118.5/stations").await.text();
    assert!(
        text.contains("<svg class=\"chart wide\"") && text.contains("超过231万个"),
        "{text}"
    );
    assert!(text.contains("3.647 million stations"), "{text}");
}

#[tokio::test]
async fn start_page_lists_records_for_those_who_may_list() {
    let near = get("/").await.text();
    assert!(
        near.contains("88.118.5/stations") && near.contains("records"),
        "{near}"
    );
    let request = Request::get("/").body(Body::empty()).unwrap();
    let text = ask(request, far()).await.text();
    assert!(
        !text.contains("88.118.5/stations") && text.contains("88.118.5"),
        "{text}"
    );
}

#[tokio::test]
async fn own_files_do_not_hide_handles() {
    let style = get("/-/style.css").await;
    assert_eq!(
        (style.status.as_u16(), style.header("content-type")),
        (200, "text/css;charset=UTF-8")
    );
    assert_eq!(
        get("/favicon.ico").await.header("content-type"),
        "image/svg+xml"
    );
    assert!(get("/robots.txt").await.text().contains("Disallow: /api/"));
    // The handle of that name is asked for, and is not homed here.
    assert_eq!(get("/hdl:-/style.css").await.status, 400);
    assert_eq!(get("/hdl:api/site").await.status, 400);
}

#[tokio::test]
async fn records_answer_over_real_sockets() {
    use std::io::{Read, Write};
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("node");
    let options = InitOptions {
        prefix: Some("88.118.5".to_owned()),
        ..InitOptions::default()
    };
    init(&dir, &options).unwrap();
    let mut config = config::load(&dir).unwrap();
    config.listen = config::Config::ephemeral(&dir).listen;
    let running = crate::start(config).unwrap();
    let address = running.addresses().http[0];
    let ask = |head: &str| {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        write!(
            stream,
            "{head} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    let record = ask("GET /api/handles/0.NA/88.118.5");
    assert!(
        record.starts_with("HTTP/1.1 200 OK\r\n") && record.contains("HS_ADMIN"),
        "{record}"
    );
    let page = ask("GET /0.NA/88.118.5");
    assert!(
        page.contains(&format!("http://{address}/0.NA/88.118.5")),
        "{page}"
    );
    let head = ask("HEAD /0.NA/88.118.5");
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    assert!(ask("GET /ready").contains("ready"));
    running.stop();
}

#[tokio::test]
async fn long_list_of_languages_is_not_looked_at() {
    for (len, lang) in [(512, "zh-CN"), (513, "en")] {
        let languages = format!("zh{}", &",xx".repeat(len)[..len - 2]);
        let page = get_with(
            "/88.118.5/web?noredirect",
            &[("accept-language", &languages)],
        )
        .await;
        let tag = format!("<html lang=\"{lang}\">");
        assert!(page.text().contains(&tag), "{len}");
    }
}
