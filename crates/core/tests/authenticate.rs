//! Answers to challenges that other software made, checked by us: those of the vector file, with
//! the keys that made them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use guantong_core::admin::Kept;
use guantong_core::admin::authenticate::{Claim, Failed, Pending, Proven, verify};
use guantong_proto::data::PublicKey;
use guantong_proto::message::{Message, Request};
use guantong_proto::wire::Writer;
use guantong_proto::{Value, Values};
use serde_json::Value as Json;

fn vector(name: &str) -> Json {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../test-data/wire/handle-vectors.json"
    );
    let list: Vec<Json> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    list.into_iter()
        .find(|vector| vector["name"] == name)
        .unwrap()
}

fn unhex(hex: &Json) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    let octet = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(octet).collect()
}

/// The challenge of the vector file with its request.
fn pending(challenge: &str) -> Pending {
    let vector = vector(challenge);
    let request = Kept::new(&unhex(&vector["fields"]["requestHex"])).unwrap();
    let nonce = unhex(&vector["fields"]["nonce"]).try_into().unwrap();
    Pending::new(nonce, request)
}

fn claim(answer: &str) -> Claim {
    let packet = unhex(&vector(answer)["hex"]);
    let message = Message::decode(&packet).unwrap();
    let Request::ChallengeAnswer {
        auth_type,
        user,
        user_index,
        signed,
    } = Request::of(&message).unwrap()
    else {
        unreachable!("the vector is an answer")
    };
    Claim::new(auth_type, user, user_index, signed).unwrap()
}

fn check(answer: &str, kind: &str, key: Vec<u8>) -> Result<Proven, Failed> {
    let values = [
        Value::new(300, kind, key.clone()),
        Value::new(301, kind, key),
    ];
    let wire = Writer::to_vec(|w| Values::encode(&values, w));
    let pending = pending("resp-challenge-v2.11");
    verify(
        &claim(answer),
        &pending,
        Some(Values::from_wire(&wire).unwrap()),
    )
}

#[test]
fn digest_of_a_challenge_is_that_of_the_request() {
    let vector = vector("resp-challenge-v2.11");
    let expected = unhex(&vector["fields"]["requestDigest"]);
    assert_eq!(pending("resp-challenge-v2.11").digest(), expected);
}

#[test]
fn answers_of_handle_net_prove_their_identities() {
    for (answer, kind, key) in [
        (
            "req-answer-rsa",
            "HS_PUBKEY",
            unhex(&vector("hs-pubkey-rsa-2")["hex"]),
        ),
        (
            "req-answer-dsa1024",
            "HS_PUBKEY",
            unhex(&vector("hs-pubkey-dsa-1024")["hex"]),
        ),
        ("req-answer-seckey-v2.11", "HS_SECKEY", b"password".to_vec()),
    ] {
        let proven = check(answer, kind, key).unwrap_or_else(|e| panic!("{answer}: {e}"));
        assert_eq!(
            proven.identity.handle.as_str(),
            "0.NA/20.500.12345",
            "{answer}"
        );
    }
}

#[test]
fn answer_of_another_key_proves_nothing() {
    let key = unhex(&vector("hs-pubkey-rsa")["hex"]);
    let failed = check("req-answer-rsa", "HS_PUBKEY", key).unwrap_err();
    assert!(matches!(failed, Failed::NotConfirmed { .. }), "{failed:?}");
}

#[test]
fn logins_of_the_sdk_prove_their_identities() {
    let rsa = unhex(&vector("hs-pubkey-rsa-2")["hex"]);
    let sm2 = vector("sdk-sm2-key-pkcs8");
    let spki = unhex(&sm2["fields"]["spki"]);
    let pem = sm2["fields"]["publicPem"].as_str().unwrap().to_owned();
    for (login, key) in [
        ("sdk-login-rsa", rsa),
        ("sdk-login-sm2-hutool-key", PublicKey::Sm2(spki).encode()),
        (
            "sdk-login-sm2-hutool-key",
            PublicKey::Sm2Pem(pem.clone()).encode(),
        ),
        ("sdk-login-sm2-hutool-key", PublicKey::Pem(pem).encode()),
    ] {
        let request = unhex(&vector(&format!("{login}-2-op2001"))["hex"]);
        let nonce = std::array::from_fn(|n| 0xa0 + u8::try_from(n).unwrap());
        let pending = Pending::new(nonce, Kept::new(&request).unwrap());
        let wire = Writer::to_vec(|w| {
            Values::encode(&[Value::new(300, "HS_PUBKEY", key)], w);
        });
        let record = Values::from_wire(&wire).unwrap();
        let claim = claim(&format!("{login}-3-op200"));
        let identity = verify(&claim, &pending, Some(record));
        assert!(identity.is_ok(), "{login}: {identity:?}");
    }
}
