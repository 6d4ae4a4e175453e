//! Every way to ask for a secret over HTTP, by everybody: none of the answers gives it away.

use axum::body::Body;
use axum::http::{Method, Request};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use guantong_proto::crypto::Hash;
use guantong_proto::data::{Admin, AdminPermissions};
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Permissions, Value, Values};
use guantong_store::{Batch, Change, Expect, Origin, Trail};

use super::{Answer, ask, node, secure};

const HOLDER: &str = "88.118.5/http-secret";
const ADMIN: &str = "88.118.5/http-secret-admin";
const SECRET: &str = "what the holder alone knows";
const NOBODYS: &str = "what nobody may ever read";
const PASSWORD: &str = "of the administrator";

/// A secret that its permissions would show to all, a value that nobody may read, and somebody who
/// may do everything with the record.
fn put_secrets() {
    let value = |index, kind: &str, data: &str, permissions| Value {
        permissions: Permissions(permissions),
        ..Value::new(index, kind, data)
    };
    let admin = Admin::new(AdminPermissions::ALL, ADMIN, 300).encode();
    let records = [
        (
            HOLDER,
            vec![
                Value::new(100, "HS_ADMIN", admin),
                value(300, "HS_SECKEY", SECRET, 0x0f),
                value(2, "URL", NOBODYS, 0),
            ],
        ),
        (ADMIN, vec![value(300, "HS_SECKEY", PASSWORD, 0x0c)]),
    ];
    let changes = records.map(|(name, values)| Change::Put {
        handle: Handle::parse(name).unwrap(),
        values: Writer::to_vec(|w| Values::encode(&values, w)),
        expect: Expect::Anything,
    });
    let batch = Batch {
        changes: changes.into(),
        at_ms: 0,
        origin: Origin::Operator,
        trail: Trail::default(),
    };
    node().store.submit(batch).wait().unwrap();
}

/// A secret and everything from which it could be looked up, as text may carry it.
fn traces(secret: &str) -> Vec<String> {
    let hashes = [Hash::Md5, Hash::Sha1, Hash::Sha256].map(|h| h.digest(&[secret.as_bytes()]));
    let forms = std::iter::once(secret.as_bytes().to_vec()).chain(hashes);
    let texts = forms.flat_map(|form| {
        let hex: String = form.iter().map(|octet| format!("{octet:02x}")).collect();
        let upper = hex.to_uppercase();
        [
            STANDARD.encode(&form),
            URL_SAFE_NO_PAD.encode(&form),
            hex,
            upper,
        ]
    });
    let encoded = [secret.replace(' ', "%20"), secret.replace(' ', "+")];
    texts.chain(encoded).chain([secret.to_owned()]).collect()
}

#[track_caller]
fn assert_kept(answer: &Answer, what: &str) {
    let head = format!("{:?}", answer.headers);
    let body = String::from_utf8_lossy(&answer.body);
    for trace in [SECRET, NOBODYS].into_iter().flat_map(traces) {
        assert!(
            !head.contains(&trace) && !body.contains(&trace),
            "{what}: {head} {body}"
        );
    }
}

/// The queries of clause 8.2, with everything that might choose a secret.
const QUERIES: [&str; 14] = [
    "",
    "?index=300",
    "?index=2",
    "?index=2&index=300&index=various",
    "?type=HS_SECKEY",
    "?type=HS_SECKEY.&type=URL",
    "?auth=true&cert=true",
    "?auth&publicOnly=false",
    "?noredirect",
    "?noredirect&type=HS_SECKEY&pretty",
    "?action=showurls",
    "?locatt=id:0",
    "?format=json&callback=x",
    "?noalias&ignore_aliases",
];

#[tokio::test]
async fn secrets_come_out_by_no_question_over_http_whoever_asks() {
    put_secrets();
    let password = format!("300%3A{ADMIN}:{PASSWORD}");
    let basic = format!("Basic {}", STANDARD.encode(password));
    let paths = [
        format!("/api/handles/{HOLDER}"),
        format!("/{HOLDER}"),
        format!("/api/handles/{ADMIN}"),
        format!("/hdl/{HOLDER}"),
        "/api/handles".to_owned(),
        "/api/handles?prefix=88.118.5".to_owned(),
        "/search".to_owned(),
        "/metrics".to_owned(),
    ];
    for path in &paths {
        for query in QUERIES {
            for accept in ["application/json", "text/html", "*/*"] {
                for credential in ["", basic.as_str()] {
                    let query = query.replace('?', if path.contains('?') { "&" } else { "?" });
                    let uri = format!("{path}{query}");
                    let request = Request::builder().method(Method::GET).uri(&uri);
                    let request = request.header("accept", accept);
                    let request = match credential {
                        "" => request,
                        some => request.header("authorization", some),
                    };
                    let answer = ask(request.body(Body::empty()).unwrap(), secure()).await;
                    assert!(!answer.status.is_server_error(), "{uri}: {}", answer.text());
                    assert_kept(&answer, &uri);
                }
            }
        }
    }
}

/// Setting a value to what it is changes nothing. Were that told, a secret could be guessed at.
#[tokio::test]
async fn guess_of_a_secret_is_answered_alike_whether_it_is_right_or_wrong() {
    put_secrets();
    let password = format!("300%3A{ADMIN}:{PASSWORD}");
    let basic = format!("Basic {}", STANDARD.encode(password));
    let mut answers = Vec::new();
    for guess in ["wrong", SECRET] {
        let body = serde_json::json!({"values": [{
            "index": 300,
            "type": "HS_SECKEY",
            "permissions": "1100",
            "data": {"format": "string", "value": guess},
        }]});
        let request = Request::put(format!("/api/handles/{HOLDER}?index=300"))
            .header("authorization", &basic)
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        let answer = ask(request, secure()).await;
        assert_kept(&answer, guess);
        answers.push((answer.status, answer.text()));
    }
    assert!(answers[0].0.is_success(), "{answers:?}");
    assert_eq!(answers[0], answers[1]);
}
