//! Files: who may send and have them, in both interfaces.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value as Json, json};

use super::super::{Answer, ask as ask_any, secure};
use super::{PREFIX, ask, check_refusal, done, op, prepare, said, turn};

const PDF: &[u8] = b"%PDF-1.7 \x00\xff not really";

/// A published template with a field for documents and one for pictures.
async fn template(me: &str, code: &str) -> String {
    let handle = format!("{PREFIX}/META_{code}");
    let new = json!({"metaHandle": handle, "metaName": "a", "metaCode": code,
        "metaItemCreateDTOS": [
            {"englishName": "paper", "itemSchemaCreateDTO":
                {"dataType": 4, "maxFileCount": 2, "fileRange": 2, "fileType": "4"}},
            {"englishName": "photo", "itemSchemaCreateDTO": {"dataType": 8}},
            {"englishName": "note", "itemSchemaCreateDTO": {"dataType": 1}}]});
    done(Method::POST, me, "open/meta/create", &new).await;
    turn(me, &handle, "publish").await;
    handle
}

async fn send(who: &str, path: &str, part: &str, name: &str, octets: &[u8]) -> Answer {
    let head = format!(
        "--xyz\r\nContent-Disposition: form-data; name=\"before\"\r\n\r\n1\r\n--xyz\r\n\
         Content-Disposition: form-data; name=\"{part}\"; filename=\"{name}\"\r\n\
         Content-Type: text/html\r\n\r\n"
    );
    let body = [head.as_bytes(), octets, b"\r\n--xyz--\r\n"].concat();
    let mut request =
        Request::post(path).header("content-type", "multipart/form-data; boundary=xyz");
    if !who.is_empty() {
        request = request.header("authorization", who);
    }
    ask_any(request.body(Body::from(body)).unwrap(), secure()).await
}

async fn fetch(who: &str, path: &str) -> Answer {
    let mut request = Request::get(path);
    if !who.is_empty() {
        request = request.header("authorization", who);
    }
    ask_any(request.body(Body::empty()).unwrap(), secure()).await
}

#[tokio::test]
async fn file_is_given_to_who_may_read_the_field_that_names_it() {
    let (me, stranger) = prepare();
    let template = template(&me, "file1").await;
    let query = format!("metaHandle={template}&fileField=paper&handleName={PREFIX}/paper1");
    let upload = format!("/api/v1/doip/file-upload?{query}");
    let sent = send(&me, &upload, "file", "C:\\..\\report.PDF", PDF).await;
    assert_eq!(sent.json()["code"], 1, "{}", sent.text());
    let path = sent.json()["data"]["filePath"].as_str().unwrap().to_owned();
    assert!(path.ends_with(".pdf") && path.len() == 40, "{path}");
    assert_eq!(sent.json()["data"]["id"].as_str().unwrap().len(), 24);

    let thing = format!("{PREFIX}/paper1");
    let create = op(&thing, "0.DOIP/Op.Create");
    done(
        Method::POST,
        &me,
        &create,
        &said(&template, json!({"paper": path})),
    )
    .await;
    let query = format!("filePath={path}&handle={thing}&field=paper");
    let acquire = format!("/api/v1/doip/file-acquire?{query}");
    let given = fetch(&me, &acquire).await;
    assert_eq!(given.body, PDF);
    assert_eq!(given.header("content-type"), "application/octet-stream");
    assert_eq!(given.header("x-content-type-options"), "nosniff");
    let wanted = format!("attachment; filename=\"{path}\"");
    assert_eq!(given.header("content-disposition"), wanted);
    for who in ["", &*stranger] {
        let refused = fetch(who, &acquire).await.json();
        check_refusal(&refused, 800);
    }
    // Who has sent it needs not say where it is named.
    let alone = format!("/api/v1/doip/file-acquire?filePath={path}");
    assert_eq!(fetch(&me, &alone).await.body, PDF);
    check_refusal(&fetch(&stranger, &alone).await.json(), 800);

    let own = format!("/api/v2/files/{path}?handle={thing}&field=paper");
    assert_eq!(fetch(&me, &own).await.body, PDF);
    assert_eq!(fetch("", &own).await.status, 404);
    for bad in [
        format!("/api/v2/files/{path}?handle={thing}&field=photo"),
        format!("/api/v2/files/{path}?handle={PREFIX}/App_1&field=paper"),
        format!("/api/v2/files/..%2F..%2Fetc%2Fpasswd?handle={thing}&field=paper"),
    ] {
        assert!(fetch(&me, &bad).await.status.is_client_error(), "{bad}");
    }
}

#[tokio::test]
async fn file_is_given_for_the_field_alone_that_it_was_sent_for() {
    let (me, _) = prepare();
    let template = template(&me, "file2").await;
    let upload = format!("/api/v2/files?template={template}&field=paper");
    let sent = send(&me, &upload, "file", "a.pdf", PDF).await;
    assert_eq!(sent.status, 201, "{}", sent.text());
    assert_eq!(sent.json()["size"], PDF.len());
    let name = sent.json()["name"].as_str().unwrap().to_owned();
    // A text that is its name opens nothing.
    let thing = format!("{PREFIX}/paper2");
    let create = op(&thing, "0.DOIP/Op.Create");
    done(
        Method::POST,
        &me,
        &create,
        &said(&template, json!({"note": name})),
    )
    .await;
    let own = format!("/api/v2/files/{name}?handle={thing}&field=note");
    assert_eq!(fetch(&me, &own).await.status, 404);
}

#[tokio::test]
async fn files_that_should_not_be_are_refused() {
    let (me, stranger) = prepare();
    let template = template(&me, "file3").await;
    let v1 =
        |field: &str| format!("/api/v1/doip/file-upload?metaHandle={template}&fileField={field}");
    let v2 = |field: &str| format!("/api/v2/files?template={template}&field={field}");
    for (who, field, part, name, code, status) in [
        ("", "paper", "file", "a.pdf", 102, 401),
        (&*stranger, "paper", "file", "a.pdf", 103, 403),
        (&*me, "paper", "file", "a.exe", 601, 422),
        (&*me, "paper", "file", "pdf", 601, 422),
        (&*me, "paper", "file", "", 601, 422),
        (&*me, "paper", "other", "a.pdf", 601, 422),
        (&*me, "note", "file", "a.pdf", 601, 422),
        (&*me, "none", "file", "a.pdf", 601, 422),
    ] {
        check_refusal(&send(who, &v1(field), part, name, PDF).await.json(), code);
        let answer = send(who, &v2(field), part, name, PDF).await;
        assert_eq!(answer.status.as_u16(), status, "{name} {}", answer.text());
    }
    let none = "/api/v1/doip/file-upload?metaHandle=88.118.11/META_none&fileField=a";
    check_refusal(&send(&me, none, "file", "a.pdf", PDF).await.json(), 604);
    check_refusal(
        &send(&me, "/api/v1/doip/file-upload", "file", "a.pdf", PDF)
            .await
            .json(),
        106,
    );
    assert_eq!(
        send(&me, "/api/v2/files", "file", "a.pdf", PDF)
            .await
            .status,
        400
    );
    for (kind, body) in [
        ("application/json", "{}"),
        ("multipart/form-data", "--x--"),
        ("multipart/form-data; boundary=x", "--x\r\nfile"),
        ("multipart/form-data; boundary=x", ""),
    ] {
        let request = Request::post(v2("paper"))
            .header("content-type", kind)
            .header("authorization", &me);
        let request = request.body(Body::from(body)).unwrap();
        let answer = ask_any(request, secure()).await;
        assert!(answer.status.is_client_error(), "{kind} {}", answer.text());
    }
    let get = ask(Method::GET, &me, "doip/file-upload", &Json::Null).await;
    check_refusal(&get, 404);
}

#[tokio::test]
async fn head_of_a_part_without_end_is_not_held() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    let (me, _) = prepare();
    let template = template(&me, "file9").await;
    let path = format!("/api/v2/files?template={template}&field=paper");
    let taken = Arc::new(AtomicUsize::new(0));
    let count = taken.clone();
    let begin = Ok::<_, std::convert::Infallible>(axum::body::Bytes::from("--xyz\r\nX-Long: "));
    let rest = futures_util::stream::repeat_with(move || {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(axum::body::Bytes::from_static(&[b'x'; 16 * 1024]))
    });
    let pieces = futures_util::StreamExt::chain(
        futures_util::stream::iter([begin]),
        futures_util::StreamExt::take(rest, 1_000),
    );
    let request = Request::post(path)
        .header("content-type", "multipart/form-data; boundary=xyz")
        .header("authorization", &me)
        .body(Body::from_stream(pieces))
        .unwrap();
    let refused = ask_any(request, secure()).await;
    assert_eq!(refused.status, 413, "{}", refused.text());
    assert!(taken.load(Ordering::Relaxed) < 10);
    // A long file behind a short head is no matter of that.
    let path = format!("/api/v2/files?template={template}&field=paper");
    let sent = send(&me, &path, "file", "long.pdf", &[7; 300_000]).await;
    assert_eq!(sent.status, 201, "{}", sent.text());
}
