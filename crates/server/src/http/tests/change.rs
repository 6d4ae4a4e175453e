//! Changes over HTTP, and who is believed to ask for them.

use axum::body::Body;
use axum::http::{Method, Request};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use guantong_proto::crypto::Hash;
use guantong_proto::data::{Admin, AdminPermissions, PublicKey};
use guantong_proto::message::{Envelope, Message, OpCode, OpFlags, RequestBuilder, Version};
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Permissions, Value, Values};
use guantong_store::{Batch, Change, Expect, Origin, Right, Source, Trail, Used, Way};
use ring::hmac;
use ring::rand::SystemRandom;
use serde_json::Value as Json;

use super::{Answer, NEAR, ask, ask_at, node, secure};
use crate::config;
use crate::init::{InitOptions, init};
use crate::key::ServerKey;
use crate::listen::tls::ClientCertificate;
use crate::node::Node;

pub(super) const USER: &str = "88.118.5/http-user";
pub(super) const SECRET: &str = "correct horse";

/// A user with a secret key, and a record that he administers.
pub(super) fn user(thing: &str) {
    let admin = |handle: &str, index| {
        let admin = Admin::new(AdminPermissions::ALL, handle, index);
        Value::new(100, "HS_ADMIN", admin.encode())
    };
    let hidden = |index, kind: &str, data: &str| Value {
        permissions: Permissions(Permissions::ADMIN_READ | Permissions::ADMIN_WRITE),
        ..Value::new(index, kind, data)
    };
    let put = |name: &str, values: &[Value]| Change::Put {
        handle: Handle::parse(name).unwrap(),
        values: Writer::to_vec(|w| Values::encode(values, w)),
        expect: Expect::Anything,
    };
    let batch = Batch {
        changes: vec![
            put(USER, &[hidden(300, "HS_SECKEY", SECRET)]),
            put(
                thing,
                &[
                    admin(USER, 300),
                    Value::new(1, "URL", "x"),
                    hidden(2, "NOTE", "hidden"),
                ],
            ),
        ],
        at_ms: 0,
        origin: Origin::Operator,
        trail: Trail::default(),
    };
    node().store.submit(batch).wait().unwrap();
}

pub(super) fn basic(user: &str, secret: &str) -> String {
    let user = format!("300%3A{user}");
    format!("Basic {}", STANDARD.encode(format!("{user}:{secret}")))
}

pub(in crate::http) async fn send(
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let request = Request::builder().method(method).uri(path);
    let request = headers
        .iter()
        .fold(request, |r, (name, value)| r.header(*name, *value));
    ask(request.body(Body::from(body.to_owned())).unwrap(), secure()).await
}

async fn put_json(path: &str, credential: &str, body: &str) -> Answer {
    let headers = [
        ("authorization", credential),
        ("content-type", "application/json"),
    ];
    send(Method::PUT, path, &headers, body).await
}

#[tokio::test]
async fn values_are_written_and_removed_by_who_may() {
    let path = "/api/handles/88.118.5/http-values";
    user("88.118.5/http-values");
    let me = basic(USER, SECRET);
    let value = r#"{"index":5,"type":"EMAIL","data":"a@b"}"#;
    let added = put_json(&format!("{path}?index=5"), &me, value).await;
    assert_eq!(
        (added.status.as_u16(), added.json()["responseCode"].as_i64()),
        (201, Some(1))
    );
    let other = put_json(&format!("{path}?index=4"), &me, value).await;
    assert_eq!(other.status, 400, "{}", other.text());
    let twice = put_json(&format!("{path}?index=various&overwrite=false"), &me, value).await;
    assert_eq!(twice.status, 409, "{}", twice.text());
    let credential = [("authorization", me.as_str())];
    let removed = send(Method::DELETE, &format!("{path}?index=5"), &credential, "").await;
    assert_eq!(removed.status, 200);
    let deleted = send(Method::DELETE, path, &[("authorization", &me)], "").await;
    assert_eq!(deleted.json()["handle"], "88.118.5/http-values");
    assert_eq!(super::get(path).await.status, 404);
}

#[tokio::test]
async fn change_log_says_from_where_and_by_which_right_a_change_over_http_was_made() {
    let thing = "88.118.5/http-trail";
    user(thing);
    let me = basic(USER, SECRET);
    let value = r#"{"index":5,"type":"EMAIL","data":"a@b"}"#;
    let added = put_json(&format!("/api/handles/{thing}?index=5"), &me, value).await;
    assert_eq!(added.status, 201);
    let handle = Handle::parse(thing).unwrap();
    let store = &node().store;
    let newest = store.last_change_of(handle.borrow()).unwrap().unwrap();
    let entry = store.change(newest).unwrap().unwrap();
    let from = Source::Peer {
        way: Way::Https,
        address: secure().address,
    };
    let used = Used {
        record: handle,
        index: 100,
        permissions: AdminPermissions::ADD_VALUE,
        through: Vec::new(),
        more_groups: 0,
    };
    let right = Right::Administrator(vec![used]);
    assert_eq!(entry.trail, Trail { from, right });
}

#[tokio::test]
async fn record_is_written_over_with_200_and_not_created_without_the_right() {
    let path = "/api/handles/88.118.5/http-over";
    user("88.118.5/http-over");
    let me = basic(USER, SECRET);
    let record = r#"{"values":[{"index":1,"type":"URL","data":"new"}]}"#;
    assert_eq!(put_json(path, &me, record).await.status, 200);
    let mine = put_json("/api/handles/88.118.5/http-new", &me, record).await;
    assert_eq!(
        (mine.status.as_u16(), mine.json()["responseCode"].as_i64()),
        (403, Some(400))
    );
    let kept = put_json(&format!("{path}?overwrite=no"), &me, record).await;
    assert_eq!(kept.status, 403, "{}", kept.text());
}

#[tokio::test]
async fn bodies_that_are_no_records_are_400() {
    user("88.118.5/http-bodies");
    let path = "/api/handles/88.118.5/http-bodies";
    let me = basic(USER, SECRET);
    for body in ["", "{", "[]x", r#"{"values":[{"type":"URL","data":"x"}]}"#] {
        let answer = put_json(path, &me, body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.text().contains("Invalid JSON"), "{}", answer.text());
    }
    let headers = [
        ("authorization", me.as_str()),
        ("content-type", "text/plain"),
    ];
    assert_eq!(send(Method::PUT, path, &headers, "{}").await.status, 400);
}

#[tokio::test]
async fn nobody_and_the_wrong_secret_change_nothing() {
    user("88.118.5/http-nobody");
    let path = "/api/handles/88.118.5/http-nobody";
    let nobody = send(Method::DELETE, path, &[], "").await;
    assert_eq!(nobody.status, 401);
    let offers: Vec<_> = nobody.headers.get_all("www-authenticate").iter().collect();
    assert_eq!(offers[0], "Basic realm=\"handle\"");
    assert!(
        offers[1]
            .to_str()
            .unwrap()
            .starts_with("Handle sessionId=\"")
    );
    for (credential, status) in [
        (basic(USER, "wrong"), 401),
        (basic(USER, ""), 401),
        (basic("88.118.5/missing", SECRET), 401),
        ("Basic %%%".to_owned(), 403),
        ("Bearer x".to_owned(), 401),
        ("Digest x".to_owned(), 403),
    ] {
        let answer = send(Method::DELETE, path, &[("authorization", &credential)], "").await;
        assert_eq!(answer.status, status, "{credential}: {}", answer.text());
    }
    assert_eq!(super::get(path).await.status, 200);
}

#[tokio::test]
async fn credentials_are_not_taken_over_plain_http() {
    user("88.118.5/http-plain");
    let me = basic(USER, SECRET);
    let request = Request::delete("/api/handles/88.118.5/http-plain")
        .header("authorization", me)
        .body(Body::empty())
        .unwrap();
    assert_eq!(ask(request, NEAR).await.status, 403);
    let request = Request::post("/api/sessions").body(Body::empty()).unwrap();
    let answer = ask(request, NEAR).await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (403, ""));
}

#[tokio::test]
async fn password_that_a_browser_remembers_changes_nothing_for_other_pages() {
    user("88.118.5/http-foreign");
    let path = "/api/handles/88.118.5/http-foreign";
    let me = basic(USER, SECRET);
    for (name, value) in [
        ("origin", "https://elsewhere.example"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let headers = [
            ("authorization", me.as_str()),
            (name, value),
            ("host", "here.example"),
        ];
        let answer = send(Method::DELETE, path, &headers, "").await;
        assert_eq!(answer.status, 403, "{name}");
    }
    let headers = [
        ("authorization", me.as_str()),
        ("origin", "https://here.example"),
        ("sec-fetch-site", "same-origin"),
        ("host", "here.example"),
    ];
    assert_eq!(send(Method::DELETE, path, &headers, "").await.status, 200);
}

#[tokio::test]
async fn restricted_values_are_read_by_who_may_and_secret_keys_by_nobody() {
    user("88.118.5/http-read");
    let me = basic(USER, SECRET);
    let read = |path: &'static str, credential: String| async move {
        send(Method::GET, path, &[("authorization", &credential)], "").await
    };
    let answer = read("/api/handles/88.118.5/http-read", me.clone()).await;
    let indexes: Vec<_> = answer.json()["values"]
        .as_array()
        .unwrap()
        .iter()
        .map(|value| value["index"].as_i64().unwrap())
        .collect();
    assert_eq!(indexes, [100, 1, 2]);
    let secret = read("/api/handles/88.118.5/http-user", me).await;
    assert_eq!(secret.status, 403, "{}", secret.text());
}

#[tokio::test]
async fn whoever_proves_who_he_is_and_has_no_rights_gets_what_everybody_gets() {
    user("88.118.5/http-strange");
    let me = basic(USER, SECRET);
    let read = async |path: &str| {
        let path = format!("/api/handles/88.118.5/{path}");
        send(Method::GET, &path, &[("authorization", &me)], "").await
    };
    let own = read("http-strange").await.json();
    assert_eq!(
        (own["values"].as_array().unwrap().len(), &own["withheld"]),
        (3, &Json::Null)
    );
    let web = read("web").await;
    assert_eq!(
        web.json(),
        super::get("/api/handles/88.118.5/web").await.json()
    );
    assert_eq!(web.json()["withheld"], true);
    // Nothing of it is public: he is told what he was told before.
    for path in ["hidden", "web?index=200"] {
        let refused = read(path).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json()["withheld"]),
            (403, &Json::Null)
        );
    }
}

#[tokio::test]
async fn change_on_a_condition_happens_to_the_version_that_was_read_and_to_no_other() {
    let path = "/api/handles/88.118.5/http-condition";
    user("88.118.5/http-condition");
    let me = basic(USER, SECRET);
    let read = super::get(path).await;
    let tag = read.header("etag").to_owned();
    let version = tag.trim_matches('"').to_owned();
    assert_eq!(tag, format!("\"{}\"", version.parse::<u64>().unwrap()));
    let value = r#"{"index":1,"type":"URL","data":"new"}"#;
    let write = |name: &'static str, condition: String| {
        let me = me.clone();
        async move {
            let headers = [
                ("authorization", me.as_str()),
                ("content-type", "application/json"),
                (name, condition.as_str()),
            ];
            send(Method::PUT, &format!("{path}?index=1"), &headers, value).await
        }
    };
    assert_eq!(write("if-none-match", "*".to_owned()).await.status, 412);
    for unreadable in ["42", "W/\"1\"", "\"1\", \"2\"", "*"] {
        assert_eq!(write("if-match", unreadable.to_owned()).await.status, 400);
    }
    assert!(write("if-match", tag.clone()).await.status.is_success());
    let late = write("if-match", tag.clone()).await;
    assert_eq!(late.status, 412, "{}", late.text());
    assert!(late.text().contains("it has version"), "{}", late.text());
    assert_ne!(super::get(path).await.header("etag"), tag);
    let credential = [("authorization", me.as_str())];
    let stale = send(
        Method::DELETE,
        &format!("{path}?ifVersion={version}"),
        &credential,
        "",
    )
    .await;
    assert_eq!(stale.status, 412, "{}", stale.text());
    let strange = [("authorization", "Basic eDp5"), ("if-match", tag.as_str())];
    let denied = send(Method::DELETE, path, &strange, "").await;
    assert!(!denied.text().contains("version"), "{}", denied.text());
}

//----------- The Handle scheme ----------------------------------------------

async fn new_session() -> (String, Vec<u8>) {
    let answer = send(Method::POST, "/api/sessions", &[], "").await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("location"), "/api/sessions/this");
    let json = answer.json();
    let nonce = STANDARD.decode(json["nonce"].as_str().unwrap()).unwrap();
    (json["sessionId"].as_str().unwrap().to_owned(), nonce)
}

/// The credential by which a session is proven with the secret.
fn proof(session: &str, nonce: &[u8], secret: &str) -> String {
    let client_nonce = [9; 16];
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mac = hmac::sign(&key, &[nonce, &client_nonce].concat());
    format!(
        "Handle version=\"0\", sessionId=\"{session}\", cnonce=\"{}\", id=\"300:{USER}\", \
         type=\"HS_SECKEY\", alg=\"HMAC-SHA256\", signature=\"{}\"",
        STANDARD.encode(client_nonce),
        STANDARD.encode(mac)
    )
}

#[tokio::test]
async fn session_is_proven_once_and_ended() {
    user("88.118.5/http-session");
    let (session, nonce) = new_session().await;
    let named = format!("Handle version=\"0\", sessionId=\"{session}\"");
    let state = |credential: String| async move {
        send(
            Method::GET,
            "/api/sessions/this",
            &[("authorization", &credential)],
            "",
        )
        .await
    };
    assert_eq!(
        state(named.clone()).await.json()["authenticated"].as_bool(),
        None
    );
    let credential = proof(&session, &nonce, SECRET);
    let credential = [("authorization", credential.as_str())];
    let proven = send(Method::PUT, "/api/sessions/this", &credential, "").await;
    assert_eq!(proven.status, 200, "{}", proven.text());
    assert_eq!(proven.json()["id"], format!("300:{USER}"));
    let path = "/api/handles/88.118.5/http-session?index=1";
    let removed = send(Method::DELETE, path, &[("authorization", &named)], "").await;
    assert_eq!(removed.status, 200, "{}", removed.text());
    let credential = [("authorization", named.as_str())];
    let ended = send(Method::DELETE, "/api/sessions/this", &credential, "").await;
    assert_eq!(ended.status, 204);
    let after = send(Method::DELETE, path, &[("authorization", &named)], "").await;
    assert_eq!(after.status, 401);
    assert_eq!(state(named).await.status, 401);
}

#[tokio::test]
async fn proof_is_taken_with_the_request_that_needs_it_and_only_in_its_session() {
    user("88.118.5/http-proof");
    let (session, nonce) = new_session().await;
    let (other, _) = new_session().await;
    let path = "/api/handles/88.118.5/http-proof?index=1";
    let delete = |credential: String| async move {
        send(Method::DELETE, path, &[("authorization", &credential)], "").await
    };
    let moved = proof(&session, &nonce, SECRET).replace(&session, &other);
    assert_eq!(delete(moved).await.status, 401);
    let wrong = delete(proof(&session, &nonce, "wrong")).await;
    assert_eq!(wrong.status, 401);
    let offers: Vec<_> = wrong.headers.get_all("www-authenticate").iter().collect();
    assert!(
        offers[1]
            .to_str()
            .unwrap()
            .contains("error=\"the answer is not confirmed")
    );
    assert_eq!(delete(proof(&session, &nonce, SECRET)).await.status, 200);
}

#[tokio::test]
async fn administrator_proves_with_the_key_that_init_has_made() {
    user("88.118.5/http-key");
    let folder = node().config().folder.join(crate::init::ADMIN_KEY);
    let key = ServerKey::load(&folder).unwrap();
    let (session, nonce) = new_session().await;
    let client_nonce = [4; 16];
    let octets = [&nonce[..], &client_nonce].concat();
    let signature = key
        .signing()
        .sign(Hash::Sha256, &octets, &SystemRandom::new())
        .unwrap();
    let credential = format!(
        "Handle version=\"0\", sessionId=\"{session}\", cnonce=\"{}\", \
         id=\"300:0.NA/88.118.5\", type=\"HS_PUBKEY\", alg=\"SHA256\", signature=\"{}\"",
        STANDARD.encode(client_nonce),
        STANDARD.encode(signature)
    );
    let record = r#"[{"index":1,"type":"URL","data":"https://example.org/"}]"#;
    let created = put_json("/api/handles/88.118.5/http-created", &credential, record).await;
    assert_eq!(created.status, 201, "{}", created.text());
    let minted = put_json(
        "/api/handles/88.118.5/m-?mintNewSuffix",
        &credential,
        record,
    )
    .await;
    let name = minted.json()["handle"].as_str().unwrap().to_owned();
    assert_eq!(name.len(), "88.118.5/m-".len() + 36, "{name}");
    for (method, homed) in [(Method::POST, true), (Method::DELETE, false)] {
        let path = "/api/prefixes/88.118.78";
        let answer = send(method, path, &[("authorization", &credential)], "").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let prefixes = super::get("/api/prefixes").await.text();
        assert_eq!(prefixes.contains("88.118.78"), homed);
    }
}

#[tokio::test]
async fn node_signs_both_nonces_for_who_sends_one() {
    let body = format!("{{\"cnonce\":\"{}\"}}", STANDARD.encode([7; 16]));
    let headers = [("content-type", "application/json")];
    let answer = send(Method::POST, "/api/sessions", &headers, &body).await;
    let json = answer.json();
    assert_eq!(json["serverAlg"], "SHA256");
    let octet = |field: &str| STANDARD.decode(json[field].as_str().unwrap()).unwrap();
    let signed = [&octet("nonce")[..], &[7; 16]].concat();
    let key = guantong_proto::crypto::VerifyingKey::new(&node().key().public()).unwrap();
    assert_eq!(
        key.verify(Hash::Sha256, &signed, &octet("serverSignature")),
        Ok(())
    );
}

#[tokio::test]
async fn answer_by_secret_key_is_verified_for_others() {
    user("88.118.5/http-verified");
    let (nonce, digest) = ([1; 16], [2; 32]);
    let query = |secret: &str| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let code = hmac::sign(&key, &[&nonce[..], &digest].concat());
        let encode = |octets: &[u8]| {
            let text = STANDARD.encode(octets);
            text.replace('+', "%2B")
                .replace('/', "%2F")
                .replace('=', "%3D")
        };
        let (nonce, digest, code) = (encode(&nonce), encode(&digest), encode(code.as_ref()));
        format!("nonce={nonce}&cnonce={digest}&alg=HMAC-SHA256&signature={code}")
    };
    let path = format!("/api/verifications/300:{USER}");
    let ask = async |query: &str| send(Method::GET, &format!("{path}?{query}"), &[], "").await;
    for (secret, is_valid) in [(SECRET, true), ("guess", false)] {
        let answer = ask(&query(secret)).await;
        let expected = serde_json::json!(
            {"responseCode": 1, "isValid": is_valid, "handle": USER}
        );
        assert_eq!(answer.json(), expected, "{}", answer.text());
    }
    let apart = format!("/api/verifications/{USER}?index=300&{}", query(SECRET));
    let answer = send(Method::GET, &apart, &[], "").await;
    assert_eq!(answer.json()["isValid"], true, "{}", answer.text());
    assert_eq!(ask("").await.status, 400);
    let other = send(Method::DELETE, &path, &[], "").await;
    assert_eq!(other.status, 405, "{}", other.text());
}

/// Without a proof nothing is asked of the sender but that he is no page of somebody else.
#[tokio::test]
async fn other_pages_change_nothing_without_a_proof_either() {
    let path = "/api/handles/88.118.5/http-page";
    let headers = [
        ("sec-fetch-site", "cross-site"),
        ("content-type", "application/json"),
    ];
    let value = r#"{"index":1,"type":"URL","data":"x"}"#;
    let answer = send(Method::PUT, path, &headers, value).await;
    assert!(
        answer.text().contains("page of another origin"),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn other_pages_change_nothing_at_a_node_that_is_open_to_all() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("node");
    let options = InitOptions {
        prefix: Some("88.118.5".to_owned()),
        ..InitOptions::default()
    };
    init(&dir, &options).unwrap();
    let mut config = config::load(&dir).unwrap();
    config.administration.rules.anonymous_admin_full_access = true;
    let node = Node::open(config).unwrap();
    let value = Value::new(1, "URL", "https://example.org/");
    let native = RequestBuilder {
        envelope: Envelope::new(Version::OURS, 7),
        flags: OpFlags::DEFAULT,
        expiration: u32::MAX,
    };
    let native = native.write(OpCode::CREATE, "88.118.5/open-1", &[value]);
    let json = r#"{"values":[{"index":1,"type":"URL","data":"https://example.org/"}]}"#;
    let try_at = async |host: &str, headers: &[(&str, &str)]| {
        let mut done = Vec::new();
        for (method, kind, body) in [
            (Method::PUT, "application/json", json.as_bytes().to_vec()),
            (Method::POST, "application/x-hdl-message", native.clone()),
        ] {
            let request = Request::builder().method(method).header("host", host);
            let request = request.uri("/api/handles/88.118.5/open-2?overwrite=true");
            let request = request.header("content-type", kind);
            let request = headers.iter().fold(request, |request, (name, value)| {
                request.header(*name, *value)
            });
            let answer = ask_at(node.clone(), request.body(Body::from(body)).unwrap(), NEAR);
            let answer = answer.await;
            let is_native = kind.ends_with("message");
            done.push(match is_native {
                true => Message::decode(&answer.body)
                    .unwrap()
                    .header
                    .code
                    .is_success(),
                false => answer.status.is_success(),
            });
        }
        done
    };
    let here = "127.0.0.1:8000";
    for (host, headers) in [
        (here, &[("origin", "https://elsewhere.example")][..]),
        (here, &[("sec-fetch-site", "cross-site")]),
        (
            "elsewhere.example:8000",
            &[("origin", "http://elsewhere.example:8000")],
        ),
        ("elsewhere.example:8000", &[]),
    ] {
        assert_eq!(
            try_at(host, headers).await,
            [false, false],
            "{host} {headers:?}"
        );
    }
    assert_eq!(try_at(here, &[]).await, [true, true]);
}

//----------- Client certificates --------------------------------------------

/// A certificate with a key in Ed25519, and the key as a value of a record.
fn client_certificate(subject: &str) -> (ClientCertificate, Vec<u8>) {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let name = rcgen::DnType::CommonName;
    params.distinguished_name.push(name, subject);
    let certificate = params.self_signed(&pair).unwrap();
    let key = PublicKey::Pem(pair.public_key_pem()).encode();
    (ClientCertificate::new(certificate.der().clone()), key)
}

async fn delete_shown(path: &str, shown: &ClientCertificate, headers: &[(&str, &str)]) -> Answer {
    let request = Request::builder().method(Method::DELETE).uri(path);
    let request = headers
        .iter()
        .fold(request, |r, (name, value)| r.header(*name, *value));
    let mut request = request.body(Body::empty()).unwrap();
    request.extensions_mut().insert(shown.clone());
    ask(request, secure()).await
}

#[tokio::test]
async fn client_certificate_proves_the_key_that_its_subject_names() {
    const OWNER: &str = "88.118.5/http-certified";
    let (shown, key) = client_certificate(&format!("301:{OWNER}"));
    let (stranger, _) = client_certificate(&format!("301:{OWNER}"));
    let (nobody, _) = client_certificate("an engineer");
    let admin = Admin::new(AdminPermissions::ALL, OWNER, 301);
    let put = |values: &[Value]| Change::Put {
        handle: Handle::parse(OWNER).unwrap(),
        values: Writer::to_vec(|w| Values::encode(values, w)),
        expect: Expect::Anything,
    };
    let submit = |changes| {
        let batch = Batch {
            changes,
            at_ms: 0,
            origin: Origin::Operator,
            trail: Trail::default(),
        };
        node().store.submit(batch).wait().unwrap();
    };
    let admin = Value::new(100, "HS_ADMIN", admin.encode());
    let record = [
        admin.clone(),
        Value::new(1, "URL", "x"),
        Value::new(301, "HS_PUBKEY", key),
    ];
    submit(vec![put(&record)]);
    let path = format!("/api/handles/{OWNER}?index=1");
    assert_eq!(delete_shown(&path, &stranger, &[]).await.status, 401);
    let refused = delete_shown(&path, &nobody, &[]).await;
    assert!(
        refused
            .text()
            .contains("write the index of the key in front"),
        "{refused:?}"
    );
    let page = delete_shown(&path, &shown, &[("sec-fetch-site", "cross-site")]).await;
    assert_eq!(page.status, 403, "{}", page.text());
    let wanted = [("authorization", "Handle version=\"0\", clientCert=\"true\"")];
    assert_eq!(delete_shown(&path, &shown, &wanted).await.status, 200);
    submit(vec![put(&record)]);
    assert_eq!(delete_shown(&path, &shown, &[]).await.status, 200);
    submit(vec![put(&[admin])]);
    let revoked = delete_shown(&path, &shown, &[]).await;
    assert_eq!(revoked.status, 401, "{}", revoked.text());
}
