//! Applications log in by a signed nonce, in the way of existing enterprise nodes.

use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use guantong_proto::Value;
use guantong_proto::crypto::Hash;
use serde_json::{Value as Json, json};

use super::{PREFIX, ask, check_refusal, done, op, prepare, put_record};
use crate::key::form::{KeyPair, Kind};

const CHALLENGE: &str = "doip/public/challenge?handle=";
const VERIFY: &str = "doip/public/verify-response";

fn sign(key: &KeyPair, nonce: &str) -> String {
    let random = ring::rand::SystemRandom::new();
    let signing = key.signing();
    STANDARD.encode(
        signing
            .sign(Hash::Sha256, nonce.as_bytes(), &random)
            .unwrap(),
    )
}

#[tokio::test]
async fn signed_nonce_gives_a_token_whether_it_comes_by_post_or_get() {
    prepare();
    let app = format!("{PREFIX}/App_login");
    let key = KeyPair::generate(Kind::Rsa(2048)).unwrap();
    let value = Value::new(300, "HS_PUBKEY", key.signing().public_key().encode());
    put_record(&app, &[value]);
    let challenge = format!("{CHALLENGE}{}", app.replace('/', "%2F"));
    for (method, name) in [
        (Method::POST, app.clone()),
        (Method::GET, format!("300:{app}")),
    ] {
        let nonce = done(Method::GET, "", &challenge, &Json::Null).await;
        let signature = sign(&key, nonce.as_str().unwrap());
        let body = json!({"signature": signature, "handle": name, "other": null});
        let data = done(method.clone(), "", VERIFY, &body).await;
        let bearer = format!("Bearer {}", data["token"].as_str().unwrap());
        let path = op(&app, "0.DOIP/Op.Retrieve");
        // His own record has nothing that clients read.
        check_refusal(&ask(Method::GET, &bearer, &path, &Json::Null).await, 403);
        let list = format!("open/handle/page?metaHandle={PREFIX}/META_none");
        check_refusal(&ask(Method::GET, &bearer, &list, &Json::Null).await, 604);
        // A nonce is good once.
        check_refusal(&ask(method, "", VERIFY, &body).await, 401);
    }
}

#[tokio::test]
async fn others_get_no_token() {
    prepare();
    for (handle, code) in [
        ("", 106),
        ("x", 40508),
        ("88.118.11/User_1", 102),
        ("88.118.11/group_1", 102),
        ("301:88.118.11/App_1", 102),
    ] {
        let answer = ask(
            Method::GET,
            "",
            &format!("{CHALLENGE}{handle}"),
            &Json::Null,
        )
        .await;
        check_refusal(&answer, code);
    }
    // Whether there is such an application is not told before it answers.
    let nobody = format!("{PREFIX}/App_nobody");
    let nonce = done(
        Method::GET,
        "",
        &format!("{CHALLENGE}{nobody}"),
        &Json::Null,
    )
    .await;
    assert!(nonce.is_string());
    for (body, code) in [
        (json!({"handle": nobody, "signature": "AAAA"}), 401),
        (json!({"handle": nobody, "signature": "%%"}), 401),
        (json!({"handle": nobody, "signature": null}), 106),
        (json!({"signature": "AAAA"}), 106),
        (json!({"handle": {}, "signature": "AAAA"}), 106),
        (
            json!({"handle": "88.118.11/App_unasked", "signature": "AAAA"}),
            401,
        ),
    ] {
        check_refusal(&ask(Method::POST, "", VERIFY, &body).await, code);
    }
    let path = op("88.118.11/App_1", "0.DOIP/Op.Delete");
    for bad in ["Bearer", "Bearer x", "Token y"] {
        check_refusal(&ask(Method::POST, bad, &path, &Json::Null).await, 101);
    }
}
