//! Tables at their edges, and proofs that must not be believed. Proofs that other software made are
//! in `tests/authenticate.rs`.

use guantong_proto::Value;
use guantong_proto::crypto::challenge::answer_with_secret;
use guantong_proto::message::{Envelope, OpCode, OpFlags, RequestBuilder};
use guantong_proto::wire::Writer;

use super::*;
use crate::admin::Kept;

const LIFETIME_MS: u64 = 20_000;

fn request(version: Version, name: &str) -> Kept {
    let mut envelope = Envelope::new(version, 1);
    envelope.suggested = version;
    let builder = RequestBuilder {
        envelope,
        flags: OpFlags::DEFAULT,
        expiration: 9,
    };
    Kept::new(&builder.named(OpCode::DELETE, name)).unwrap()
}

fn challenge(session_id: i32) -> Challenge {
    let nonce = [0x5a; 16];
    Challenge { session_id, nonce }
}

fn pending(name: &str) -> Pending {
    Pending::new([0x5a; 16], request(Version::OURS, name))
}

fn record(values: &[(i32, &str, &str)]) -> Vec<u8> {
    let values = values
        .iter()
        .map(|(index, kind, data)| Value::new(*index, *kind, *data));
    let values: Vec<Value> = values.collect();
    Writer::to_vec(|w| Values::encode(&values, w))
}

fn signed_by(secret: &str, pending: &Pending, version: Version) -> Vec<u8> {
    let secret = SecretKey::new(secret.as_bytes());
    answer_with_secret(
        version,
        &secret,
        &pending.nonce,
        &pending.digest(),
        &[1; 16],
    )
}

fn secret_claim(index: i32, signed: &[u8]) -> Claim {
    Claim::new(b"HS_SECKEY", b"a/user", index, signed).unwrap()
}

/// `index:handle` of the identity, or the code of the failure.
fn outcome(claim: &Claim, pending: &Pending, record: &[u8]) -> String {
    match verify(claim, pending, Some(Values::from_wire(record).unwrap())) {
        Ok(proven) => proven.identity.to_string(),
        Err(failed) => failed.code().0.to_string(),
    }
}

//----------- verify ---------------------------------------------------------

#[test]
fn secret_proves_the_identity_of_the_value_that_holds_it() {
    let pending = pending("a/b");
    let record = record(&[(1, "HS_SECKEY", "other"), (2, "HS_SECKEY", "secret")]);
    let signed = signed_by("secret", &pending, Version::OURS);
    assert_eq!(
        outcome(&secret_claim(2, &signed), &pending, &record),
        "2:a/user"
    );
    assert_eq!(
        outcome(&secret_claim(0, &signed), &pending, &record),
        "2:a/user"
    );
    assert_eq!(outcome(&secret_claim(1, &signed), &pending, &record), "403");
    assert_eq!(outcome(&secret_claim(3, &signed), &pending, &record), "403");
}

#[test]
fn answer_to_one_challenge_proves_nothing_about_another() {
    let record = record(&[(2, "HS_SECKEY", "secret")]);
    let signed = signed_by("secret", &pending("a/b"), Version::OURS);
    let claim = secret_claim(2, &signed);
    assert_eq!(outcome(&claim, &pending("a/c"), &record), "403");
    let other_nonce = Pending::new([0x5b; 16], request(Version::OURS, "a/b"));
    assert_eq!(outcome(&claim, &other_nonce, &record), "403");
}

#[test]
fn weaker_form_than_the_version_has_is_refused() {
    let pending = pending("a/b");
    let record = record(&[(2, "HS_SECKEY", "secret")]);
    for (minor, expected) in [(0, "403"), (6, "403"), (7, "2:a/user")] {
        let signed = signed_by("secret", &pending, Version::new(2, minor));
        let found = outcome(&secret_claim(2, &signed), &pending, &record);
        assert_eq!(found, expected, "2.{minor}");
    }
}

#[test]
fn nothing_is_proven_in_an_old_version() {
    let pending = Pending::new([0x5a; 16], request(Version::new(2, 6), "a/b"));
    let record = record(&[(2, "HS_SECKEY", "secret")]);
    let signed = signed_by("secret", &pending, Version::OURS);
    assert_eq!(outcome(&secret_claim(2, &signed), &pending, &record), "403");
}

#[test]
fn key_of_one_kind_is_not_taken_for_the_other() {
    let pending = pending("a/b");
    let signed = signed_by("secret", &pending, Version::OURS);
    for kind in ["HS_PUBKEY", "URL", "HS_SECKEYS"] {
        let record = record(&[(2, kind, "secret")]);
        assert_eq!(
            outcome(&secret_claim(2, &signed), &pending, &record),
            "403",
            "{kind}"
        );
    }
    let record = record(&[(2, "HS_SECKEY", "secret"), (3, "HS_PUBKEY", "secret")]);
    for index in [0, 2, 3] {
        let claim = Claim::new(b"HS_PUBKEY", b"a/user", index, &signed).unwrap();
        assert_eq!(outcome(&claim, &pending, &record), "403");
    }
}

#[test]
fn empty_secret_and_missing_record_prove_nothing() {
    let pending = pending("a/b");
    let signed = signed_by("", &pending, Version::OURS);
    let claim = secret_claim(2, &signed);
    assert_eq!(
        outcome(&claim, &pending, &record(&[(2, "HS_SECKEY", "")])),
        "403"
    );
    assert_eq!(outcome(&claim, &pending, &record(&[])), "403");
    assert!(verify(&claim, &pending, None).is_err());
    assert!(verify(&secret_claim(2, b""), &pending, None).is_err());
}

#[test]
fn no_more_keys_than_the_limit_are_tried() {
    let pending = pending("a/b");
    let signed = signed_by("secret", &pending, Version::OURS);
    let claim = secret_claim(0, &signed);
    let of = |wrong: usize| {
        let mut values: Vec<_> = (1..).zip(vec!["wrong"; wrong]).collect();
        values.push((99, "secret"));
        let values: Vec<_> = values
            .into_iter()
            .map(|(i, data)| (i, "HS_SECKEY", data))
            .collect();
        record(&values)
    };
    assert_eq!(outcome(&claim, &pending, &of(KEYS_MAX - 1)), "99:a/user");
    assert_eq!(outcome(&claim, &pending, &of(KEYS_MAX)), "403");
}

#[test]
fn unknown_types_and_users_that_are_no_handles_are_told_apart() {
    let code = |kind: &[u8], user: &[u8]| Claim::new(kind, user, 1, b"").unwrap_err().code().0;
    assert_eq!(code(b"HS_KERBEROS", b"a/b"), 404);
    assert_eq!(code(b"HS_PUBKEY", b""), 400);
}

#[test]
fn identity_is_read_as_it_is_written() {
    let identity: Identity = "300:0.NA/88.118".parse().unwrap();
    assert_eq!(identity.to_string(), "300:0.NA/88.118");
    let same: Identity = "300:0.na/88.118".parse().unwrap();
    assert!(identity.is(&same, CaseRule::Insensitive));
    for bad in ["0.NA/88.118", "0:0.NA/88.118", "-1:a/b", "x:a/b", "1:"] {
        assert!(bad.parse::<Identity>().is_err(), "{bad}");
    }
}

//----------- Challenges -----------------------------------------------------

#[test]
fn challenge_is_found_once_and_in_time() {
    let mut table = Challenges::new(LIFETIME_MS);
    for id in 1..=3 {
        assert_eq!(
            table.keep(&challenge(id), request(Version::OURS, "a/b"), 7, 1_000),
            0
        );
    }
    assert!(table.take(1, 8, 1_001).is_none(), "of another source");
    assert!(table.take(1, 7, 1_001).is_some());
    assert!(table.take(1, 7, 1_002).is_none());
    assert!(table.take(2, 7, 1_000 + LIFETIME_MS - 1).is_some());
    assert!(table.take(3, 7, 1_000 + LIFETIME_MS).is_none());
    assert!(table.is_empty() && table.is_free(1) && !table.is_free(0));
}

#[test]
fn flood_of_challenges_costs_the_oldest_their_place() {
    let mut table = Challenges::new(LIFETIME_MS);
    let mut pushed_out = 0;
    for id in 1..=100_000 {
        let source = u64::try_from(id).unwrap();
        pushed_out += table.keep(&challenge(id), request(Version::OURS, "a/b"), source, 1_000);
    }
    assert_eq!(table.len(), CHALLENGES_MAX);
    assert_eq!(pushed_out, 100_000 - CHALLENGES_MAX);
    assert!(table.take(1, 1, 1_001).is_none());
    assert!(table.take(100_000, 100_000, 1_001).is_some());
}

#[test]
fn flood_of_one_source_costs_others_nothing() {
    let mut table = Challenges::new(LIFETIME_MS);
    table.keep(&challenge(1), request(Version::OURS, "a/b"), 1, 1_000);
    for id in 2..=10_000 {
        table.keep(&challenge(id), request(Version::OURS, "a/b"), 2, 1_000);
    }
    assert!(table.take(1, 1, 1_001).is_some());
    assert!(table.take(10_000, 2, 1_001).is_some());
}

#[test]
fn large_requests_are_bounded_by_their_octets() {
    let large = request(Version::OURS, &"a".repeat(200_000));
    let mut table = Challenges::new(LIFETIME_MS);
    for id in 1..=100 {
        let source = u64::try_from(id).unwrap();
        table.keep(&challenge(id), large.clone(), source, 1_000);
    }
    assert_eq!(table.len(), CHALLENGES_OCTETS_MAX / large.octets().len());
    assert!(table.take(100, 100, 1_001).is_some());
}

#[test]
fn traces_of_answered_challenges_do_not_pile_up() {
    let mut table = Challenges::new(LIFETIME_MS);
    table.keep(&challenge(1), request(Version::OURS, "a/b"), 1, 1_000);
    for id in 2..=50_000 {
        table.keep(&challenge(id), request(Version::OURS, "a/b"), 2, 1_000);
        assert!(table.take(id, 2, 1_001).is_some());
    }
    assert!(table.traces() <= 2 * CHALLENGES_MAX + 1);
    assert!(table.take(1, 1, 1_001).is_some());
}

#[test]
fn id_used_again_is_not_confused_with_its_first_use() {
    let mut table = Challenges::new(LIFETIME_MS);
    table.keep(&challenge(1), request(Version::OURS, "a/b"), 1, 1_000);
    assert!(table.take(1, 1, 1_001).is_some());
    table.keep(&challenge(1), request(Version::OURS, "a/c"), 1, 15_000);
    // When the first use would be too old.
    table.keep(&challenge(2), request(Version::OURS, "a/d"), 1, 22_000);
    assert!(table.take(1, 1, 22_001).is_some());
}

//----------- Attempts -------------------------------------------------------

#[test]
fn source_of_wrong_answers_has_to_wait() {
    let mut attempts = Attempts::default();
    let source = Subject::Source(1);
    for _ in 0..20 {
        assert!(!attempts.is_blocked(&source, 1_000));
        attempts.failed(source.clone(), 1_000);
    }
    assert!(attempts.is_blocked(&source, 1_000));
    assert!(!attempts.is_blocked(&Subject::Source(2), 1_000));
    assert!(!attempts.is_blocked(&source, 4_000));
    attempts.failed(source.clone(), 4_000);
    assert!(attempts.is_blocked(&source, 4_001));
}

#[test]
fn accounts_are_bounded_and_the_fullest_stay() {
    let mut attempts = Attempts::default();
    let source = Subject::Source(u64::MAX);
    for _ in 0..20 {
        attempts.failed(source.clone(), 1_000);
    }
    for other in 0..10_000 {
        attempts.failed(Subject::Source(other), 1_000);
    }
    assert_eq!(attempts.len(), ATTEMPTS_SUBJECTS_MAX);
    assert!(attempts.is_blocked(&source, 1_001));
}

#[test]
fn guests_are_bounded_each_and_all_together() {
    let mut attempts = Attempts::default();
    let guest = Subject::Guest(1);
    for _ in 0..20 {
        assert!(!attempts.is_blocked(&guest, 1_000));
        attempts.failed(guest.clone(), 1_000);
    }
    assert!(attempts.is_blocked(&guest, 1_000));
    assert!(!attempts.is_blocked(&Subject::Guest(2), 1_000));
    assert!(!attempts.is_blocked(&guest, 301_000));
    for _ in 0..200 {
        assert!(!attempts.is_blocked(&Subject::Guests, 1_000));
        attempts.failed(Subject::Guests, 1_000);
    }
    assert!(attempts.is_blocked(&Subject::Guests, 1_000));
    assert!(!attempts.is_blocked(&Subject::Guests, 31_000));
}
