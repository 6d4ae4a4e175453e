//! Logins by a signed nonce, up to the session's end.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use guantong_proto::crypto::Hash;
use guantong_proto::wire::Writer;
use guantong_proto::{Value, Values};
use guantong_store::{Batch, Change, Expect, Origin, Trail};

use super::*;
use crate::config;
use crate::init::{InitOptions, init};
use crate::key::form::{KeyPair, Kind};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));
const APP: &str = "300:88.118.5/App_line-3";

struct Tried {
    node: Arc<Node>,
    key: KeyPair,
    _folder: tempfile::TempDir,
}

/// A node with an app identity that has a key of this kind.
fn tried(kind: Kind) -> Tried {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("node");
    let options = InitOptions {
        prefix: Some("88.118.5".to_owned()),
        ..InitOptions::default()
    };
    init(&dir, &options).unwrap();
    let node = Node::open(config::load(&dir).unwrap()).unwrap();
    let key = KeyPair::generate(kind).unwrap();
    let tried = Tried {
        node,
        key,
        _folder: folder,
    };
    tried.put(&tried.key);
    tried
}

impl Tried {
    /// Gives the identity this key.
    fn put(&self, key: &KeyPair) {
        let value = Value::new(KEY_INDEX, "HS_PUBKEY", key.signing().public_key().encode());
        let change = Change::Put {
            handle: app().handle,
            values: Writer::to_vec(|w| Values::encode(&[value], w)),
            expect: Expect::Anything,
        };
        let batch = Batch {
            changes: vec![change],
            at_ms: 0,
            origin: Origin::Operator,
            trail: Trail::default(),
        };
        self.node.store.submit(batch).wait().unwrap();
    }

    fn sign(&self, nonce: &str) -> Vec<u8> {
        let signing = self.key.signing();
        let hash = match signing.kind() {
            "SM2" => Hash::Sm3,
            _ => Hash::Sha256,
        };
        let random = ring::rand::SystemRandom::new();
        signing.sign(hash, nonce.as_bytes(), &random).unwrap()
    }

    async fn answer(&self, signature: &[u8], peer: IpAddr) -> Result<Token, String> {
        let answered = self.node.login_answer(&app(), signature, peer).await;
        answered.map_err(|error| error.to_string())
    }

    async fn log_in(&self) -> Token {
        let nonce = self.node.login_challenge(&app(), HERE);
        self.answer(&self.sign(&nonce), HERE).await.unwrap()
    }
}

fn app() -> Identity {
    APP.parse().unwrap()
}

#[tokio::test]
async fn signed_nonce_gives_a_token_for_keys_of_every_kind() {
    for kind in [Kind::Rsa(2_048), Kind::P256, Kind::Ed25519, Kind::Sm2] {
        let tried = tried(kind);
        let token = tried.log_in().await;
        let session = tried.node.login_session(token.as_str()).await.unwrap();
        assert_eq!(
            (session.identity, session.roles),
            (app(), vec![]),
            "{kind:?}"
        );
        assert!(!format!("{token:?}").contains(token.as_str()));
    }
}

#[tokio::test]
async fn signature_is_good_once_for_its_own_nonce_and_peer() {
    let tried = tried(Kind::Ed25519);
    let signature = tried.sign(&tried.node.login_challenge(&app(), HERE));
    let elsewhere = tried.answer(&signature, FAR).await.unwrap_err();
    assert!(elsewhere.contains("challenge"), "{elsewhere}");
    let other = tried.sign("7");
    assert!(tried.answer(&other, HERE).await.is_err());
    assert!(tried.answer(&[], HERE).await.is_err());
    tried.answer(&signature, HERE).await.unwrap();
    assert!(tried.answer(&signature, HERE).await.is_err());
}

#[tokio::test]
async fn logins_side_by_side_do_not_take_each_others_nonces() {
    let tried = tried(Kind::Ed25519);
    let nonces: Vec<String> = (0..20)
        .map(|_| tried.node.login_challenge(&app(), HERE))
        .collect();
    for nonce in nonces.iter().rev() {
        tried.answer(&tried.sign(nonce), HERE).await.unwrap();
    }
}

#[tokio::test]
async fn session_ends_when_the_key_is_renewed() {
    let tried = tried(Kind::Ed25519);
    let token = tried.log_in().await;
    tried.put(&KeyPair::generate(Kind::Ed25519).unwrap());
    assert!(tried.node.login_of(token.as_str()).is_some());
    assert_eq!(tried.node.login_session(token.as_str()).await, None);
    assert_eq!(tried.node.login_of(token.as_str()), None);
}

#[tokio::test]
async fn session_ends_with_the_logout() {
    let tried = tried(Kind::Ed25519);
    let token = tried.log_in().await;
    tried.node.login_end(token.as_str());
    assert_eq!(tried.node.login_session(token.as_str()).await, None);
    assert_eq!(tried.node.login_of(""), None);
}

#[tokio::test]
async fn wrong_signatures_of_one_peer_are_bounded() {
    let tried = tried(Kind::Ed25519);
    let nonce = tried.node.login_challenge(&app(), FAR);
    let mut last = String::new();
    for _ in 0..40 {
        last = tried.answer(b"guess", FAR).await.unwrap_err();
    }
    assert!(last.contains("too many"), "{last}");
    let right = tried.answer(&tried.sign(&nonce), FAR).await;
    assert!(right.unwrap_err().contains("too many"));
}

/// Who compares with it would take what was written just after the start for older than that.
#[test]
fn start_is_never_told_later_than_it_was() {
    let tried = tried(Kind::P256);
    let at_the_latest = tried.node.now_secs();
    // Through all parts of a second.
    while tried.node.uptime_ms() < 1_200 {
        assert!(tried.node.started_secs() <= at_the_latest);
        std::thread::sleep(Duration::from_millis(5));
    }
}
