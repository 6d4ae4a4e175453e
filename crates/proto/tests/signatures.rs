//! Signatures from end to end: those that OpenSSL made, and those of our own messages and records.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use guantong_proto::crypto::jws::{Claims, Digests, Jws, Permission};
use guantong_proto::crypto::{
    Algorithm, Credential, CryptoError, Hash, SigningKey, VerifyingKey, credential,
};
use guantong_proto::data::PublicKey;
use guantong_proto::json::{key_to_json, key_to_jwk};
use guantong_proto::message::{Envelope, Header, Message, OpCode, OpFlags, Version};
use guantong_proto::wire::Writer;
use guantong_proto::{Value, Values};
use ring::rand::SystemRandom;
use serde_json::Value as Json;

fn test_data(path: &str) -> Vec<Json> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test-data");
    let text = std::fs::read(root.join(path)).expect("the test data comes with the sources");
    serde_json::from_slice(&text).expect("the test data is a JSON list")
}

/// The test key of one of the protocol vectors.
fn key_of(name: &str) -> SigningKey {
    let vectors = test_data("wire/handle-vectors.json");
    let vector = vectors.iter().find(|vector| vector["name"] == name);
    let fields = &vector.expect("the vector comes with the sources")["fields"];
    let hex = fields["testPrivateKeyPkcs8"]
        .as_str()
        .expect("the vector has a private key");
    let octet = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal digits");
    let der: Vec<u8> = (0..hex.len()).step_by(2).map(octet).collect();
    SigningKey::from_pkcs8(&der, &SystemRandom::new()).expect("the key can sign")
}

#[test]
fn signatures_of_openssl_are_accepted_and_changed_ones_refused() {
    for case in test_data("crypto/signatures.json") {
        let text = |field: &str| case[field].as_str().unwrap();
        let name = text("name");
        if name.starts_with("sm2") && cfg!(not(feature = "sm")) {
            continue;
        }
        let key = PublicKey::decode(text("publicPem").as_bytes()).unwrap();
        let key = VerifyingKey::new(&key).unwrap();
        let Some(Algorithm::Hash(hash)) = Algorithm::parse(text("hash").as_bytes()) else {
            panic!("{name} names no hash function");
        };
        let mut signature = STANDARD.decode(text("signature")).unwrap();
        let message = text("message").as_bytes();
        assert_eq!(key.verify(hash, message, &signature), Ok(()), "{name}");
        assert!(key.verify(hash, b"guantonh", &signature).is_err(), "{name}");
        assert!(
            key.verify(hash, message, &signature[..20]).is_err(),
            "{name}"
        );
        assert!(key.verify(hash, message, b"").is_err(), "{name}");
        let last = signature.len() - 1;
        signature[last] ^= 1;
        assert!(key.verify(hash, message, &signature).is_err(), "{name}");
    }
}

fn message(version: Version) -> Message<'static> {
    let mut envelope = Envelope::new(version, 0x0102_0304);
    envelope.session_id = 7;
    let header = Header::request(OpCode::RESOLVE, OpFlags::DEFAULT, 1_700_043_200);
    Message {
        envelope,
        header,
        body: b"a body",
        credential: None,
    }
}

#[test]
fn signed_message_is_bound_to_its_key_ids_and_octets() {
    let (key, rng) = (key_of("hs-pubkey-rsa"), SystemRandom::new());
    let other = key_of("hs-pubkey-rsa-2").public_key();
    for minor in 7..=11 {
        let message = message(Version::new(2, minor));
        let octets = credential::sign(&message, 0, &key, &rng).unwrap();
        let credential = Credential::decode(&octets).unwrap();
        let verify = |message| credential.verify_signature(&message, &key.public_key());
        assert_eq!(verify(message), Ok(()), "2.{minor}");
        assert!(
            verify(Message {
                body: b"b body",
                ..message
            })
            .is_err()
        );
        let mut envelope = message.envelope;
        envelope.request_id += 1;
        assert!(
            verify(Message {
                envelope,
                ..message
            })
            .is_err()
        );
        assert!(credential.verify_signature(&message, &other).is_err());
    }
}

#[test]
fn nothing_is_signed_with_sha1() {
    let message = message(Version::new(2, 6));
    let outcome = credential::sign(&message, 0, &key_of("hs-pubkey-rsa"), &SystemRandom::new());
    assert!(matches!(outcome, Err(CryptoError::Algorithm { .. })));
}

#[test]
fn signed_record_tells_changed_values_from_unchanged_ones() {
    let key = key_of("hs-pubkey-rsa");
    let mut values = vec![
        Value::new(1, "URL", "https://example.org/"),
        Value::new(2, "DESC", ""),
    ];
    let wire = Writer::to_vec(|w| Values::encode(&values, w));
    let claims = Claims {
        digests: Some(Digests::of(Values::from_wire(&wire).unwrap().iter())),
        iss: "300:0.NA/20".into(),
        sub: "20/1".into(),
        iat: Some(1_700_000_000),
        ..Claims::default()
    };
    let signed = Jws::sign(&claims, &key, &SystemRandom::new()).unwrap();
    let read = Jws::parse(signed.to_compact().as_bytes()).unwrap();
    assert_eq!(read, Jws::parse(signed.to_json().as_bytes()).unwrap());
    assert_eq!(read.verify(&key.public_key()), Ok(()));
    assert!(
        read.verify(&key_of("hs-pubkey-rsa-2").public_key())
            .is_err()
    );
    assert_eq!(read.claims(), Ok(claims));

    values[0].timestamp += 1;
    values[1].data = b"changed".to_vec();
    values.push(Value::new(3, "DESC", "new"));
    let wire = Writer::to_vec(|w| Values::encode(&values, w));
    let digests = read.claims().unwrap().digests.unwrap();
    let covers = Values::from_wire(&wire)
        .unwrap()
        .iter()
        .map(|value| digests.covers(&value));
    // The time of a change is not signed.
    assert_eq!(
        covers.collect::<Result<Vec<_>, _>>(),
        Ok(vec![Some(true), Some(false), None])
    );
}

#[test]
fn certificate_carries_a_key_that_verifies() {
    let (root, admin) = (key_of("hs-pubkey-rsa"), key_of("hs-pubkey-rsa-2"));
    let claims = Claims {
        perms: Some(vec![Permission {
            handle: None,
            perm: "everything".into(),
        }]),
        public_key: key_to_json(&admin.public_key()),
        iss: "300:0.0/0.0".into(),
        sub: "300:0.NA/20".into(),
        ..Claims::default()
    };
    let certificate = Jws::sign(&claims, &root, &SystemRandom::new()).unwrap();
    assert_eq!(certificate.verify(&root.public_key()), Ok(()));
    assert_eq!(certificate.claims().unwrap().key(), Ok(admin.public_key()));
}

/// The private keys of `test-data/crypto/private-keys.json`, with their lines.
fn private_keys() -> Vec<(Json, SigningKey)> {
    let mut cases = test_data("crypto/private-keys.json");
    cases.retain(|case| case["kind"] != "SM2" || cfg!(feature = "sm"));
    let key = |case: Json| {
        let hex = case["pkcs8"].as_str().unwrap();
        let octet = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let der: Vec<u8> = (0..hex.len()).step_by(2).map(octet).collect();
        for len in 0..der.len() {
            assert!(
                SigningKey::from_pkcs8(&der[..len], &SystemRandom::new()).is_err(),
                "{len}"
            );
        }
        let key = SigningKey::from_pkcs8(&der, &SystemRandom::new()).unwrap();
        assert_eq!(case["kind"], key.kind());
        (case, key)
    };
    cases.into_iter().map(key).collect()
}

#[test]
fn each_kind_of_private_key_signs_what_its_public_key_confirms() {
    for (case, key) in private_keys() {
        let hash = case["hash"].as_str().unwrap();
        let Some(Algorithm::Hash(hash)) = Algorithm::parse(hash.as_bytes()) else {
            unreachable!("{case}")
        };
        let signature = key.sign(hash, b"message", &SystemRandom::new()).unwrap();
        let public = PublicKey::decode(&key.public_key().encode()).unwrap();
        let public = VerifyingKey::new(&public).unwrap();
        assert_eq!(
            public.verify(hash, b"message", &signature),
            Ok(()),
            "{case}"
        );
        assert!(
            public.verify(hash, b"massage", &signature).is_err(),
            "{case}"
        );
        assert!(
            key.sign(Hash::Sha1, b"m", &SystemRandom::new()).is_err() || case["kind"] == "Ed25519"
        );
    }
}

#[test]
fn records_and_certificates_are_signed_with_each_kind_of_key_that_has_an_algorithm() {
    for (case, key) in private_keys() {
        let public = key.public_key();
        let jwk = key_to_jwk(&public).unwrap();
        let claims = Claims {
            iss: "300:0.NA/20".into(),
            sub: "300:0.NA/20".into(),
            public_key: Some(jwk),
            ..Claims::default()
        };
        let certified = claims.key().unwrap();
        assert_eq!(
            VerifyingKey::new(&certified),
            VerifyingKey::new(&public),
            "{case}"
        );
        let signed = Jws::sign(&claims, &key, &SystemRandom::new());
        let Some(algorithm) = case["jws"].as_str() else {
            assert!(
                matches!(signed, Err(CryptoError::Algorithm { .. })),
                "{case}"
            );
            continue;
        };
        let signed = Jws::parse(signed.unwrap().to_compact().as_bytes()).unwrap();
        assert_eq!(signed.algorithms().collect::<Vec<_>>(), [algorithm]);
        assert_eq!(signed.verify(&certified), Ok(()), "{case}");
        let rsa = key_of("hs-pubkey-rsa").public_key();
        assert!(signed.verify(&rsa).is_err(), "{case}");
    }
}
