//! Chains from a record up to a root: what holds, and everything that does not (clause 7).
//!
//! A small network signs with Ed25519: a root, a registry, a country, an enterprise, a thing. Each
//! case breaks one piece of it and says which fault must be found.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use std::collections::BTreeMap;

use guantong_core::admin::{Identity, StoredRecord};
use guantong_core::trust::sign::{SIGNATURE_INDEX, Signer, Term, resign};
use guantong_core::trust::{
    Ascent, CHAIN_LEN_MAX, Climbed, Fault, Found, Judgement, Policy, RECORDS_MAX, Report, Verdict,
    Verification, certificate_end, root_end, signature_end,
};
use guantong_proto::crypto::SigningKey;
use guantong_proto::crypto::jws::{Claims, Digests, Jws, Permission, ValueDigest};
use guantong_proto::data::PublicKey;
use guantong_proto::wire::Writer;
use guantong_proto::{CaseRule, Handle, HandleRef, Permissions, Reference, Value, Values};
use proptest::prelude::*;
use ring::rand::SystemRandom;

const NOW: i64 = 1_800_000_000;
const YEAR: i64 = 31_536_000;
const THING: &str = "88.118.5/thing";
const ENTERPRISE: &str = "300:0.NA/88.118.5";
const COUNTRY: &str = "300:0.NA/88";
const REGISTRY: &str = "301:0.NA/0.NA";
const ROOT: &str = "301:0.0/0.0";

//----------- World ----------------------------------------------------------

/// The key of an identity: the same each time.
fn key(name: &str) -> SigningKey {
    let mut seed = [0x5a_u8; 32];
    for (at, octet) in name.bytes().enumerate() {
        seed[at % 32] = seed[at % 32].wrapping_mul(31).wrapping_add(octet);
    }
    let head = [
        0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
    ];
    SigningKey::from_pkcs8(&[&head[..], &seed].concat(), &SystemRandom::new()).unwrap()
}

fn identity(text: &str) -> Identity {
    text.parse().unwrap()
}

fn permission(perm: &str, handle: &str) -> Permission {
    Permission {
        handle: Some(handle.to_owned()).filter(|handle| !handle.is_empty()),
        perm: perm.to_owned(),
    }
}

fn term() -> Term {
    Term::of(NOW - 1_000, YEAR)
}

/// The data of a certificate.
fn certificate(issuer: &str, subject: &str, perms: Vec<Permission>, term: Term) -> Vec<u8> {
    let signer = Signer {
        key: &key(issuer),
        identity: &identity(issuer),
        random: &SystemRandom::new(),
    };
    let public = key(subject).public_key();
    signer
        .certify(&identity(subject), &public, perms, term)
        .unwrap()
}

fn public(index: i32, key: &PublicKey) -> Value {
    Value::new(index, "HS_PUBKEY", key.encode())
}

/// Records by their names.
#[derive(Clone)]
struct World {
    records: BTreeMap<String, Vec<Value>>,
    unreachable: Option<&'static str>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            records: BTreeMap::new(),
            unreachable: None,
        };
        world.certify(ROOT, ROOT, vec![permission("everything", "")]);
        world.certify(ROOT, REGISTRY, vec![permission("everything", "")]);
        world.certify(
            REGISTRY,
            COUNTRY,
            vec![permission("derivedPrefixes", "0.NA/88")],
        );
        let perms = vec![
            permission("thisHandle", "0.NA/88.118.5"),
            permission("handlesUnderThisPrefix", "0.NA/88.118.5"),
        ];
        world.certify(COUNTRY, ENTERPRISE, perms);
        let hidden = Value {
            permissions: Permissions(Permissions::ADMIN_READ),
            ..Value::new(3, "EMAIL", "hidden")
        };
        let values = [
            Value::new(1, "URL", "https://example.org/"),
            Value::new(2, "NAME", "Pump"),
        ];
        let thing = [&values[..], &[hidden]].concat();
        world.records.insert(THING.to_owned(), thing);
        world.sign(THING, ENTERPRISE);
        world
    }

    /// Publishes the key of `subject`, and a certificate for it.
    fn certify(&mut self, issuer: &str, subject: &str, perms: Vec<Permission>) {
        self.certify_for(issuer, subject, perms, term());
    }

    fn certify_for(&mut self, issuer: &str, subject: &str, perms: Vec<Permission>, term: Term) {
        let Identity { handle, index } = identity(subject);
        let values = vec![
            public(index, &key(subject).public_key()),
            Value::new(400, "HS_CERT", certificate(issuer, subject, perms, term)),
        ];
        self.records.insert(handle.as_str().to_owned(), values);
    }

    /// Signs a record, in place of the signature that it has.
    fn sign(&mut self, handle: &str, signer: &str) {
        let values = self.values(handle).clone();
        let signer = Signer {
            key: &key(signer),
            identity: &identity(signer),
            random: &SystemRandom::new(),
        };
        let handle_ref = HandleRef::parse(handle).unwrap();
        let signed = resign(
            &signer,
            handle_ref,
            &values,
            SIGNATURE_INDEX,
            term(),
            i64::MAX,
        );
        *self.values(handle) = signed.unwrap().unwrap();
    }

    /// Signs claims of any content with the key of `signer`, as the signature of the thing.
    fn sign_claims(&mut self, signer: &str, claims: &Claims) {
        let jws = Jws::sign(claims, &key(signer), &SystemRandom::new()).unwrap();
        let values = self.values(THING);
        values.retain(|value| value.kind != "HS_SIGNATURE");
        values.push(Value::new(400, "HS_SIGNATURE", jws.to_compact()));
    }

    /// Claims that would be right.
    fn claims(&mut self) -> Claims {
        let signature = self.values(THING).last().unwrap().clone();
        Jws::parse(&signature.data).unwrap().claims().unwrap()
    }

    fn values(&mut self, handle: &str) -> &mut Vec<Value> {
        self.records.get_mut(handle).unwrap()
    }

    fn value(&mut self, handle: &str, index: i32) -> &mut Value {
        let mut values = self.values(handle).iter_mut();
        values.find(|value| value.index == index).unwrap()
    }

    fn stored(&self, handle: &str) -> Option<StoredRecord> {
        let mut records = self.records.iter();
        let (name, values) = records.find(|(name, _)| name.eq_ignore_ascii_case(handle))?;
        // As the public sees it.
        let wire = Writer::to_vec(|w| Values::encode(values, w));
        let public = Values::from_wire(&wire).unwrap();
        let public: Vec<Value> = public
            .iter()
            .filter(|value| value.is_public())
            .map(|value| value.to_value().unwrap())
            .collect();
        let wire = Writer::to_vec(|w| Values::encode(&public, w));
        let handle = Handle::parse(name).unwrap();
        Some(StoredRecord::new(handle, 1, &wire).unwrap())
    }

    fn verify_at(&self, handle: &str, policy: &Policy, now_secs: i64) -> Report {
        let mut verification = Verification::new(self.stored(handle).unwrap());
        for _ in 0..=RECORDS_MAX {
            match verification.judge(policy, now_secs) {
                Judgement::Done(report) => return report,
                Judgement::Wanted(wanted) => {
                    let found = match self.stored(wanted.as_str()) {
                        _ if self.unreachable == Some(wanted.as_str()) => {
                            Found::Failed("no server answers".to_owned())
                        }
                        Some(record) => Found::Record(record),
                        None => Found::Absent,
                    };
                    verification.learn(wanted.borrow(), found);
                }
            }
        }
        unreachable!("more records are wanted than may be")
    }

    fn verify(&self, handle: &str) -> Report {
        self.verify_at(handle, &believed(), NOW)
    }

    #[track_caller]
    fn check(&self, expected: &str) {
        let report = self.verify(THING);
        let found = match report.verdict() {
            Verdict::Verified(_) => "verified".to_owned(),
            Verdict::Unsigned => "unsigned".to_owned(),
            Verdict::Refused(fault) => fault.to_string(),
            Verdict::Unknown(fault) => format!("unknown: {fault}"),
        };
        assert!(found.starts_with(expected), "{found}");
    }
}

fn believed() -> Policy {
    Policy::new(&[key(ROOT).public_key()])
}

#[track_caller]
fn breaks(change: impl FnOnce(&mut World), expected: &str) {
    let mut world = World::new();
    change(&mut world);
    world.check(expected);
}

//----------- What holds -----------------------------------------------------

#[test]
fn record_is_verified_up_to_the_root_and_until_the_first_certificate_ends() {
    let mut world = World::new();
    let perms = vec![permission("everything", "")];
    let short = Term::of(NOW - 1_000, 5_000);
    world.certify_for(ROOT, REGISTRY, perms, short);
    let report = world.verify(THING);
    let Verdict::Verified(proof) = report.verdict() else {
        unreachable!("{report:?}")
    };
    assert_eq!(proof.signer, ENTERPRISE);
    let subjects: Vec<&str> = proof
        .links
        .iter()
        .map(|link| link.subject.as_str())
        .collect();
    assert_eq!(subjects, [ENTERPRISE, COUNTRY, REGISTRY, ROOT]);
    assert_eq!(proof.until, Some(NOW + 4_000));
}

#[test]
fn ends_are_those_of_what_still_counts() {
    let mut world = World::new();
    let wire = |values: &[Value]| Writer::to_vec(|w| Values::encode(values, w));
    let of = |values: &[Value], end: fn(Values<'_>) -> Option<i64>| {
        end(Values::from_wire(&wire(values)).unwrap())
    };
    let mut thing = world.values(THING).clone();
    let until = NOW - 1_000 + YEAR;
    assert_eq!(of(&thing, signature_end), Some(until));
    // A second signature that ends earlier, or cannot be read, takes nothing away.
    let mut claims = world.claims();
    claims.exp = Some(NOW);
    let early = Jws::sign(&claims, &key(ENTERPRISE), &SystemRandom::new()).unwrap();
    thing.push(Value::new(401, "HS_SIGNATURE", early.to_compact()));
    thing.push(Value::new(402, "HS_SIGNATURE", "none"));
    assert_eq!(of(&thing, signature_end), Some(until));
    assert_eq!(of(&thing, certificate_end), None);
    // Of two certificates of a key the newer counts.
    let old = Term::of(NOW - 2_000, 10);
    let mut root = world.values("0.0/0.0").clone();
    let everything = || vec![permission("everything", "")];
    let value = certificate(ROOT, ROOT, everything(), old);
    root.push(Value::new(401, "HS_CERT", value));
    assert_eq!(of(&root, certificate_end), Some(until));
    let octets = wire(&root);
    let values = Values::from_wire(&octets).unwrap();
    assert_eq!(root_end(values, &believed()), Some(until));
    assert_eq!(root_end(values, &Policy::default()), None);
}

#[test]
fn certificates_are_followed_from_a_key_up_as_far_as_they_are_found() {
    let world = World::new();
    let climb = |missing: &str| {
        let mut ascent = Ascent::new(&identity(ENTERPRISE));
        loop {
            match ascent.climb() {
                Climbed::Done(links) => break links,
                Climbed::Wanted(handle) => {
                    let record = world.stored(handle.as_str());
                    let record = record.filter(|_| handle.as_str() != missing);
                    let found = record.map_or(Found::Absent, Found::Record);
                    ascent.learn(handle.borrow(), found);
                }
            }
        }
    };
    let subjects = |missing: &str| -> Vec<String> {
        let links = climb(missing).into_iter();
        links.map(|link| link.subject).collect()
    };
    assert_eq!(subjects(""), [ENTERPRISE, COUNTRY, REGISTRY, ROOT]);
    assert_eq!(subjects("0.NA/0.NA"), [ENTERPRISE, COUNTRY]);
}

#[test]
fn record_of_a_prefix_signs_itself() {
    let mut world = World::new();
    world.sign("0.NA/88.118.5", ENTERPRISE);
    let report = world.verify("0.NA/88.118.5");
    assert!(
        matches!(report.verdict(), Verdict::Verified(_)),
        "{report:?}"
    );
}

#[test]
fn one_signature_that_holds_is_enough() {
    let mut world = World::new();
    let mut broken = world.values(THING).last().unwrap().clone();
    broken.index = 9;
    broken.data = b"no signature".to_vec();
    world.values(THING).insert(0, broken);
    world.check("verified");
}

#[test]
fn values_that_not_everybody_reads_are_not_part_of_it() {
    breaks(
        |world| world.value(THING, 3).data = b"other".to_vec(),
        "verified",
    );
}

#[test]
fn record_without_a_signature_is_unsigned() {
    breaks(|world| drop(world.values(THING).pop()), "unsigned");
}

#[test]
fn chain_claim_leads_to_certificates_elsewhere() {
    let mut world = World::new();
    let mut claims = world.claims();
    let moved = world.value("0.NA/88.118.5", 400).clone();
    world
        .values("0.NA/88.118.5")
        .retain(|value| value.index != 400);
    world.check("there is no certificate");
    let value = Value { index: 7, ..moved };
    world
        .records
        .insert("88.118.5/certificates".to_owned(), vec![value]);
    claims.chain = Some(vec!["7:88.118.5/certificates".to_owned()]);
    world.sign_claims(ENTERPRISE, &claims);
    world.check("verified");
}

#[test]
fn newest_certificate_counts_and_one_that_cannot_be_read_hides_none() {
    let mut world = World::new();
    let old = Term {
        from_secs: NOW - 9_000,
        until_secs: Some(NOW - 8_000),
    };
    let data = certificate(COUNTRY, ENTERPRISE, vec![permission("everything", "")], old);
    let values = world.values("0.NA/88.118.5");
    values.insert(0, Value::new(401, "HS_CERT", data));
    values.insert(0, Value::new(402, "HS_CERT", "nonsense"));
    world.check("verified");
}

#[test]
fn signature_is_made_anew_only_when_values_change_or_its_end_is_near() {
    let mut world = World::new();
    let values = world.values(THING).clone();
    let signer = Signer {
        key: &key(ENTERPRISE),
        identity: &identity(ENTERPRISE),
        random: &SystemRandom::new(),
    };
    let handle = HandleRef::parse(THING).unwrap();
    let again = |values: &[Value], renew_before_secs| {
        let signed = resign(
            &signer,
            handle,
            values,
            400,
            Term::of(NOW, YEAR),
            renew_before_secs,
        );
        signed.unwrap()
    };
    assert_eq!(again(&values, NOW), None);
    assert!(again(&values, NOW + 2 * YEAR).is_some());
    let mut changed = values.clone();
    changed[0].data = b"https://example.org/new".to_vec();
    let signed = again(&changed, NOW).unwrap();
    assert_eq!(signed.len(), changed.len(), "in the place of the old one");
    let mut taken = values;
    taken.pop();
    taken.push(Value::new(400, "URL", "taken"));
    assert_eq!(again(&taken, NOW).unwrap().last().unwrap().index, 401);
}

//----------- What does not --------------------------------------------------

#[test]
fn values_that_were_changed_added_or_taken_away_are_found() {
    breaks(
        |w| w.value(THING, 1).data = b"x".to_vec(),
        "value 1 is not what was signed",
    );
    breaks(
        |w| w.value(THING, 1).kind = "URN".into(),
        "value 1 is not what was signed",
    );
    breaks(
        |w| w.value(THING, 1).permissions.0 |= 1,
        "value 1 is not what was signed",
    );
    breaks(
        |w| drop(w.values(THING).remove(0)),
        "value 1 was signed and is not there",
    );
    let added = Value::new(8, "URL", "https://elsewhere.example/");
    breaks(|w| w.values(THING).push(added), "value 8 is not signed");
    breaks(
        |w| {
            w.value(THING, 1).index = 5;
        },
        "value 5 is not signed",
    );
    // Certificates are values like others; signatures are not.
    let certificate = Value::new(401, "HS_CERT", "x");
    breaks(
        |w| w.values(THING).push(certificate),
        "value 401 is not signed",
    );
}

#[test]
fn signature_of_another_record_is_none_of_this_one() {
    breaks(
        |w| {
            let stolen = w.values(THING).clone();
            w.records.insert("88.118.5/other".to_owned(), stolen);
            let report = w.verify("88.118.5/other");
            assert!(matches!(
                report.verdict(),
                Verdict::Refused(Fault::OtherHandle { .. })
            ));
        },
        "verified",
    );
}

#[test]
fn digests_that_name_a_value_twice_or_not_at_all_are_refused() {
    let with = |change: fn(&mut Claims)| {
        move |world: &mut World| {
            let mut claims = world.claims();
            change(&mut claims);
            world.sign_claims(ENTERPRISE, &claims);
        }
    };
    breaks(
        with(|claims| claims.digests = None),
        "the signature has no digests",
    );
    breaks(
        with(|claims| {
            let digests = &mut claims.digests.as_mut().unwrap().digests;
            let first = ValueDigest {
                digest: "AAAA".into(),
                ..digests[0].clone()
            };
            digests.push(first);
        }),
        "the signature names value 1 twice",
    );
    breaks(
        with(|claims| claims.digests.as_mut().unwrap().alg = "SHA-1".into()),
        "`SHA-1` is too weak",
    );
    breaks(
        with(|claims| {
            let digests = &mut claims.digests.as_mut().unwrap().digests;
            let (one, other) = (digests[0].digest.clone(), digests[1].digest.clone());
            digests[0].digest = other;
            digests[1].digest = one;
        }),
        "value 1 is not what was signed",
    );
    breaks(
        with(|claims| {
            claims.digests = Some(Digests {
                alg: "SHA-256".into(),
                digests: Vec::new(),
            });
        }),
        "value 1 is not signed",
    );
}

#[test]
fn dates_of_signature_and_certificates_count() {
    let world = World::new();
    let at = |now_secs| world.verify_at(THING, &believed(), now_secs);
    let is_verified = |now_secs| matches!(at(now_secs).verdict(), Verdict::Verified(_));
    assert!(
        is_verified(NOW - 1_000 - 60),
        "clocks may differ by a minute"
    );
    assert!(!is_verified(NOW - 1_000 - 61));
    assert!(is_verified(NOW - 1_000 + YEAR + 59));
    assert!(!is_verified(NOW - 1_000 + YEAR + 60));
    let old = Term {
        from_secs: NOW - 9_000,
        until_secs: Some(NOW - 8_000),
    };
    let all = || vec![permission("everything", "")];
    breaks(
        |w| w.certify_for(ROOT, REGISTRY, all(), old),
        "the certificate of 301:0.NA/0.NA has expired",
    );
    breaks(
        |w| w.certify_for(ROOT, ROOT, all(), old),
        "the certificate of 301:0.0/0.0 has expired",
    );
    breaks(
        |w| w.certify_for(REGISTRY, COUNTRY, all(), Term::of(NOW + 500, 9)),
        "the certificate of 300:0.NA/88 is not valid before",
    );
}

#[test]
fn every_certificate_must_permit_the_record() {
    for perms in [
        vec![],
        vec![permission("handlesUnderThisPrefix", "0.NA/88.118.6")],
        vec![permission("thisHandle", "88.118.5/other")],
        vec![permission("derivedPrefixes", "0.NA/88.118.5")],
        vec![permission("anything", "")],
    ] {
        let some = perms.clone();
        breaks(
            |w| w.certify(COUNTRY, ENTERPRISE, some),
            "the certificate of 300:0.NA/88.118.5 does not let it sign",
        );
        breaks(
            |w| w.certify(ROOT, REGISTRY, perms),
            "the certificate of 301:0.NA/0.NA does not let it sign",
        );
    }
}

#[test]
fn revoked_and_replaced_keys_prove_nothing() {
    let revoked = "the key 300:0.NA/88.118.5 is revoked";
    breaks(
        |w| w.values("0.NA/88.118.5").retain(|v| v.index != 300),
        revoked,
    );
    let other = public(300, &key("another").public_key());
    breaks(|w| *w.value("0.NA/88.118.5", 300) = other, revoked);
    breaks(
        |w| w.value("0.NA/88", 300).index = 302,
        "the key 300:0.NA/88 is revoked",
    );
    let gone = "there is no certificate of the key 300:0.NA/88.118.5";
    breaks(
        |w| w.values("0.NA/88.118.5").retain(|v| v.index != 400),
        gone,
    );
    breaks(|w| drop(w.records.remove("0.NA/88.118.5")), gone);
}

#[test]
fn signatures_by_other_keys_are_forged() {
    breaks(
        |w| {
            let claims = w.claims();
            w.sign_claims("somebody else", &claims);
        },
        "the signature was not made with the key",
    );
    // The country certifies nothing: somebody else has made its certificate.
    breaks(
        |w| {
            let mut claims = Jws::parse(&w.value("0.NA/88.118.5", 400).data)
                .unwrap()
                .claims()
                .unwrap();
            claims.perms = Some(vec![permission("everything", "")]);
            let jws = Jws::sign(&claims, &key("a thief"), &SystemRandom::new()).unwrap();
            w.value("0.NA/88.118.5", 400).data = jws.to_compact().into_bytes();
        },
        "the certificate of 300:0.NA/88.118.5 was not made with the key",
    );
}

#[test]
fn chain_must_end_at_a_root_that_is_believed() {
    let world = World::new();
    let others = Policy::new(&[key("another root").public_key()]);
    let report = world.verify_at(THING, &others, NOW);
    assert!(matches!(
        report.verdict(),
        Verdict::Refused(Fault::UnknownRoot { .. })
    ));
    let report = world.verify_at(THING, &Policy::default(), NOW);
    assert!(matches!(
        report.verdict(),
        Verdict::Refused(Fault::UnknownRoot { .. })
    ));
    // The right key under another name is no root.
    breaks(
        |w| w.certify(ENTERPRISE, ENTERPRISE, vec![permission("everything", "")]),
        "the chain ends at 300:0.NA/88.118.5, whose key is not among",
    );
}

#[test]
fn circles_and_chains_without_end_come_to_an_end() {
    breaks(
        |w| w.certify(ENTERPRISE, COUNTRY, vec![permission("everything", "")]),
        "the certificates of 300:0.NA/88.118.5 go round in a circle",
    );
    breaks(
        |w| {
            for n in 0..=CHAIN_LEN_MAX {
                let (issuer, subject) = (format!("300:1.2/{}", n + 1), format!("300:1.2/{n}"));
                w.certify(&issuer, &subject, vec![permission("everything", "")]);
            }
            w.certify("300:1.2/0", ENTERPRISE, vec![permission("everything", "")]);
        },
        "the chain has too many certificates",
    );
}

#[test]
fn certificate_that_the_chain_names_must_be_that_of_the_issuer() {
    breaks(
        |w| {
            let mut claims = w.claims();
            claims.chain = Some(vec!["400:0.NA/88".to_owned()]);
            w.sign_claims(ENTERPRISE, &claims);
        },
        "the chain is broken: 300:0.NA/88.118.5 has signed",
    );
    for place in ["9:0.NA/88.118.5", "300:0.NA/88.118.5", "", "x"] {
        breaks(
            |w| {
                let mut claims = w.claims();
                claims.chain = Some(vec![place.to_owned()]);
                w.sign_claims(ENTERPRISE, &claims);
            },
            "there is no certificate of the key 300:0.NA/88.118.5",
        );
    }
}

#[test]
fn record_that_cannot_be_had_leaves_it_open() {
    breaks(
        |w| w.unreachable = Some("0.NA/88"),
        "unknown: the record 0.NA/88 could not be had: no server answers",
    );
}

#[test]
fn algorithms_are_not_what_the_signature_likes_them_to_be() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    for algorithm in [
        "none", "HS256", "RS256", "RS160", "DS160", "ES256", "SM2256", "",
    ] {
        let mut world = World::new();
        let signature = world.values(THING).last_mut().unwrap();
        let text = String::from_utf8(signature.data.clone()).unwrap();
        let (_, rest) = text.split_once('.').unwrap();
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{algorithm}"}}"#));
        signature.data = format!("{header}.{rest}").into_bytes();
        let report = world.verify(THING);
        let is_refused = matches!(
            report.verdict(),
            Verdict::Refused(Fault::Forged { .. } | Fault::Weak { .. })
        );
        assert!(is_refused, "{algorithm}: {report:?}");
    }
}

#[test]
fn required_signer_must_stand_in_the_chain() {
    let world = World::new();
    let required = |text: &str| {
        let Identity { handle, index } = identity(text);
        let handle = handle.as_str().to_owned();
        believed().with_signers(vec![Reference { handle, index }])
    };
    for (signer, holds) in [
        (ENTERPRISE, true),
        (COUNTRY, true),
        ("300:0.na/88", true),
        ("301:0.NA/88", false),
        ("300:0.NA/99", false),
    ] {
        let report = world.verify_at(THING, &required(signer), NOW);
        let is_verified = matches!(report.verdict(), Verdict::Verified(_));
        assert_eq!(is_verified, holds, "{signer}: {report:?}");
    }
}

//----------- Anything -------------------------------------------------------

proptest! {
    /// Whatever one octet of what is signed is changed to, the record is not verified any more.
    #[test]
    fn no_changed_octet_of_a_signed_value_goes_unnoticed(at in 0_usize..200, flip in 1_u8..) {
        let mut world = World::new();
        let values = world.values(THING);
        let count = values.len();
        let value = &mut values[at % 2];
        let octets = value.data.len();
        value.data[at % octets] ^= flip;
        prop_assert_eq!(count, 4);
        prop_assert!(!matches!(world.verify(THING).verdict(), Verdict::Verified(_)));
    }

    /// Certificates and signatures of any content neither panic nor go on for ever.
    #[test]
    fn any_octets_as_certificate_come_to_a_verdict(
        data in proptest::collection::vec(any::<u8>(), 0..200),
        index in 0_usize..4,
    ) {
        let names = ["0.NA/88.118.5", "0.NA/88", "0.NA/0.NA", "0.0/0.0"];
        let mut world = World::new();
        world.value(names[index], 400).data = data;
        prop_assert!(!matches!(world.verify(THING).verdict(), Verdict::Verified(_)));
    }

    /// A signature that is cut off anywhere, or has an octet changed, proves nothing.
    #[test]
    fn damaged_signature_proves_nothing(at in 0_usize..2_000, flip in 0_u8..) {
        let mut world = World::new();
        let data = &mut world.values(THING).last_mut().unwrap().data;
        let at = at % data.len();
        match flip {
            0 => data.truncate(at),
            flip => data[at] ^= flip,
        }
        // One character of base64 in another spelling may mean the same octets.
        let is_same = Jws::parse(data).is_ok_and(|jws| jws == {
            let mut whole = World::new();
            Jws::parse(&whole.values(THING).last_mut().unwrap().data).unwrap()
        });
        let verified = matches!(world.verify(THING).verdict(), Verdict::Verified(_));
        prop_assert!(is_same || !verified);
    }
}

#[test]
fn names_are_the_same_in_any_case() {
    let mut world = World::new();
    let values = world.values(THING).clone();
    world.records.remove(THING);
    world.records.insert("88.118.5/THING".to_owned(), values);
    let report = world.verify("88.118.5/THING");
    assert!(
        matches!(report.verdict(), Verdict::Verified(_)),
        "{report:?}"
    );
    assert_eq!(
        HandleRef::parse(THING).unwrap().key(CaseRule::Insensitive),
        report.handle.key(CaseRule::Insensitive)
    );
}
