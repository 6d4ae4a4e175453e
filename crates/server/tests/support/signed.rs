//! A tree whose root certifies the keys below, and records that are signed with them.

use guantong_core::admin::Identity;
use guantong_core::trust::sign::{SIGNATURE_INDEX, Signer, Term, resign};
use guantong_proto::crypto::SigningKey;
use guantong_proto::crypto::jws::Permission;
use guantong_proto::{Handle, Value};
use guantong_server::config::{Config, Verify};
use ring::rand::SystemRandom;

use super::tree::Tree;
use super::{Place, put_values, value};

pub(crate) const ROOT: &str = "301:0.0/0.0";
pub(crate) const ENTERPRISE: &str = "300:0.NA/88.118.5";
pub(crate) const YEAR: i64 = 31_536_000;

/// The key of an identity: the same each time.
pub(crate) fn key(name: &str) -> SigningKey {
    SigningKey::from_pkcs8(&pkcs8(name), &SystemRandom::new()).unwrap()
}

pub(crate) fn pkcs8(name: &str) -> Vec<u8> {
    let mut seed = [0x5a_u8; 32];
    for (at, octet) in name.bytes().enumerate() {
        seed[at % 32] = seed[at % 32].wrapping_mul(31).wrapping_add(octet);
    }
    let head = [
        0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
    ];
    [&head[..], &seed].concat()
}

fn identity(text: &str) -> Identity {
    text.parse().unwrap()
}

/// The seconds of the clock that nodes go by.
pub(crate) fn now() -> i64 {
    i64::try_from(guantong_server::node::wall_clock_ms() / 1_000).unwrap()
}

/// The values by which `subject` publishes its key and what `issuer` lets it sign.
pub(crate) fn certified(issuer: &str, subject: &str, perm: &str, span_secs: i64) -> [Value; 2] {
    let signer = Signer {
        key: &key(issuer),
        identity: &identity(issuer),
        random: &SystemRandom::new(),
    };
    let public = key(subject).public_key();
    let Identity { handle, index } = identity(subject);
    let perms = vec![Permission {
        handle: Some(handle.as_str().to_owned()).filter(|_| perm != "everything"),
        perm: perm.to_owned(),
    }];
    let term = Term {
        from_secs: now() - 1_000,
        until_secs: Some(now() + span_secs),
    };
    let data = signer
        .certify(&identity(subject), &public, perms, term)
        .unwrap();
    [
        value(index, "HS_PUBKEY", public.encode()),
        value(400, "HS_CERT", data),
    ]
}

/// `values` with a signature that is good for so many seconds from now; negative: it has ended.
pub(crate) fn signed(handle: &str, values: &[Value], span_secs: i64) -> Vec<Value> {
    let signer = Signer {
        key: &key(ENTERPRISE),
        identity: &identity(ENTERPRISE),
        random: &SystemRandom::new(),
    };
    let handle = Handle::parse(handle).unwrap();
    let term = Term {
        from_secs: now() - 1_000,
        until_secs: Some(now() + span_secs),
    };
    let signed = resign(
        &signer,
        handle.borrow(),
        values,
        SIGNATURE_INDEX,
        term,
        i64::MAX,
    );
    signed.unwrap().unwrap()
}

impl Tree {
    /// Publishes the root key, and the key of the enterprise with its certificate.
    pub(crate) fn certify(&self) {
        let root = certified(ROOT, ROOT, "everything", YEAR);
        put_values(self.root.node(), "0.0/0.0", &root);
        self.certify_enterprise(YEAR);
    }

    /// Publishes the key of the enterprise with a certificate for so many seconds.
    pub(crate) fn certify_enterprise(&self, span_secs: i64) {
        let key = certified(ROOT, ENTERPRISE, "handlesUnderThisPrefix", span_secs);
        self.put_enterprise(&key);
    }

    /// Writes the prefix record of the enterprise: its servers, and `more`.
    pub(crate) fn put_enterprise(&self, more: &[Value]) {
        let site = self.enterprise.node().node().site().record().to_vec();
        let servers = [
            value(1, "HS_SITE", site.clone()),
            value(2, "HS_SITE.PREFIX", site),
        ];
        let values = [&servers[..], more].concat();
        put_values(self.second.node(), "0.NA/88.118.5", &values);
    }

    /// A place for a recursive node that believes the root key.
    pub(crate) fn verifying(&self, verify: Verify) -> Place {
        let mut place = self.recursive();
        place.config.recurse.verify = verify;
        believe(&mut place.config);
        place
    }
}

/// Believes the root key.
pub(crate) fn believe(config: &mut Config) {
    let path = config.folder.join("root.der");
    std::fs::write(&path, pkcs8(ROOT)).unwrap();
    config.trust.roots = Some(path);
}
