//! Counters, codes, and the table of sessions at its edges. Recorded sessions are in `tests/live`.

use guantong_proto::crypto::session::OAKLEY_GROUP_2;
use guantong_proto::data::key::DhPublicKey;
use guantong_proto::message::{Envelope, Header, OpFlags};

use super::*;

fn key() -> SessionKey {
    SessionKey::new(Cipher::Aes, &[7; 32]).unwrap()
}

fn named() -> Identity {
    "300:a/user".parse().unwrap()
}

fn session() -> Session {
    Session::new(key(), Some(named()), 600)
}

fn message(op: OpCode) -> Message<'static> {
    let mut envelope = Envelope::new(Version::OURS, 7);
    envelope.session_id = SESSION_BIT | 5;
    Message {
        envelope,
        header: Header::request(op, OpFlags::DEFAULT, 9),
        body: b"body",
        credential: None,
    }
}

/// What becomes of a message with this counter and key.
fn check(session: &mut Session, op: OpCode, counter: i32, key: &[u8]) -> Result<(), Rejected> {
    let message = message(op);
    let octets = credential::authenticate(&message, counter, key);
    session.check(&Message {
        credential: Some(&octets),
        ..message
    })
}

//----------- check ----------------------------------------------------------

#[test]
fn message_is_taken_once() {
    let mut session = session();
    let mut take = |counter| check(&mut session, OpCode::RESOLVE, counter, &[7; 32]);
    assert_eq!(take(1), Ok(()));
    assert_eq!(take(1), Err(Rejected::Replayed));
    assert_eq!(take(1_001), Ok(()));
    assert_eq!(take(500), Ok(()), "lower, and not seen yet");
    assert_eq!(take(500), Err(Rejected::Replayed));
    assert_eq!(take(0), Ok(()));
    assert_eq!(take(0), Err(Rejected::Replayed));
    assert_eq!(take(-1), Err(Rejected::Replayed));
}

#[test]
fn code_that_is_missing_wrong_or_of_another_message_is_refused() {
    for op in [OpCode::RESOLVE, OpCode::CREATE] {
        let refused = Err(Rejected::NotAuthenticated { op });
        assert_eq!(session().check(&message(op)), refused);
        assert_eq!(check(&mut session(), op, 1, &[8; 32]), refused);
        let octets = credential::authenticate(&message(OpCode::DELETE), 1, &[7; 32]);
        let moved = Message {
            credential: Some(&octets),
            ..message(op)
        };
        assert_eq!(session().check(&moved), refused);
    }
    let op = OpCode::SESSION_TERMINATE;
    let refused = session().check(&message(op)).unwrap_err();
    assert_eq!(refused.code(), ResponseCode::INVALID_SESSION_KEY);
}

#[test]
fn answer_to_a_challenge_may_come_without_a_code_but_not_with_a_wrong_one() {
    let op = OpCode::CHALLENGE_ANSWER;
    assert_eq!(session().check(&message(op)), Ok(()));
    let empty = Message {
        credential: Some(&[]),
        ..message(op)
    };
    assert_eq!(session().check(&empty), Ok(()));
    let refused = Err(Rejected::NotAuthenticated { op });
    assert_eq!(check(&mut session(), op, 1, &[8; 32]), refused);
}

#[test]
fn wrong_code_uses_up_no_counter() {
    let mut session = session();
    assert!(check(&mut session, OpCode::CREATE, 1, &[8; 32]).is_err());
    assert_eq!(check(&mut session, OpCode::CREATE, 1, &[7; 32]), Ok(()));
}

#[test]
fn codes_of_old_versions_are_refused() {
    let mut old = message(OpCode::CREATE);
    old.envelope.version = Version::new(2, 6);
    let octets = credential::authenticate(&old, 1, &[7; 32]);
    old.credential = Some(&octets);
    assert!(session().check(&old).is_err());
}

#[test]
fn counter_that_may_be_a_repetition_is_refused_when_others_were_forgotten() {
    let mut window = Window::default();
    assert!(window.accept(10_000));
    let len = i32::try_from(WINDOW_LEN).unwrap();
    for counter in 1..len {
        assert!(window.accept(counter));
    }
    assert!(!window.accept(10_000));
    // Now the first one is forgotten, and with it everything below.
    assert!(window.accept(10_001));
    assert!(!window.accept(10_000));
    assert!(!window.accept(9_999));
    assert!(window.accept(10_002));
    assert_eq!(window.seen.len(), WINDOW_LEN);
}

#[test]
fn nothing_repeats_in_what_is_encrypted() {
    let mut session = session();
    let mut seal = || {
        session
            .encrypt(Version::OURS, b"the same", &[1; 16])
            .unwrap()
    };
    let (one, other) = (seal(), seal());
    assert_ne!(one[..16], other[..16]);
    assert_eq!(session.decrypt(Version::OURS, &one).unwrap(), b"the same");
    assert_eq!(
        session.decrypt(Version::OURS, &one[1..]),
        Err(Rejected::Unreadable)
    );
}

#[test]
fn only_who_was_named_is_admitted() {
    let proven = |text: &str| Proven::of(text.parse().unwrap());
    let rule = CaseRule::Insensitive;
    let mut session = session();
    assert!(!session.prove(&proven("301:a/user"), rule));
    assert!(!session.prove(&proven("300:a/other"), rule));
    assert!(session.proven().is_none());
    assert!(session.prove(&proven("300:A/USER"), rule));
    assert!(session.proven().is_some());
    let mut nameless = Session::new(key(), None, 600);
    assert!(!nameless.prove(&proven("300:a/user"), rule));
}

//----------- agree ----------------------------------------------------------

fn setup(key: &[u8]) -> SessionSetup<'_> {
    SessionSetup {
        timeout: 600,
        identity: b"a/user",
        identity_index: 300,
        exchange: KeyExchange::DiffieHellman(key),
        padding: &[],
    }
}

#[test]
fn both_sides_have_the_same_key() {
    let (p, g) = (Number::new(&OAKLEY_GROUP_2), Number::new(&[2]));
    let x = Number::new(&[0x5a; 32]);
    let theirs = PublicKey::Dh(dh_public_key(&p, &g, &x).unwrap()).encode();
    let (session, body) = agree(&setup(&theirs), &[0xa5; 32]).unwrap();
    let mut r = guantong_proto::wire::Reader::new(&body);
    assert_eq!(r.i16("mode"), Ok(4));
    let data = r.bytes("data").unwrap();
    assert_eq!(r.rest(), [0, 0]);
    let PublicKey::Dh(ours) = PublicKey::decode(&data[4..]).unwrap() else {
        unreachable!("{data:?}")
    };
    assert_eq!(data[..4], [0, 0, 0, 3]);
    assert_eq!((&ours.p, &ours.g), (&p, &g));
    let secret = dh_shared_secret(&ours, &x).unwrap();
    assert_eq!(
        session.key,
        Some(SessionKey::derive(Cipher::Aes, &secret).unwrap())
    );
    assert_eq!(session.named, Some(named()));
    assert_eq!(session.idle_ms, 600_000);
}

#[test]
fn keys_that_cannot_be_used_and_other_exchanges_are_refused() {
    let dh = |p: &[u8], y: &[u8]| {
        PublicKey::Dh(DhPublicKey {
            y: Number::new(y),
            p: Number::new(p),
            g: Number::new(&[2]),
        })
        .encode()
    };
    let mut large = vec![0xff; 257];
    large[256] = 0xfd;
    for key in [
        dh(&OAKLEY_GROUP_2, &[1]),
        dh(&OAKLEY_GROUP_2, &[]),
        dh(&[7; 10], &[3]),
        dh(&large, &[3]),
        b"no key".to_vec(),
    ] {
        assert_eq!(agree(&setup(&key), &[1; 32]).unwrap_err(), Rejected::Key);
    }
    let other = SessionSetup {
        exchange: KeyExchange::ServerKey,
        ..setup(b"")
    };
    assert_eq!(agree(&other, &[1; 32]).unwrap_err(), Rejected::Mode);
}

#[test]
fn idle_time_is_what_was_asked_for_within_bounds() {
    let idle = |secs| Session::new(key(), None, secs).idle_ms;
    assert_eq!(
        [idle(0), idle(600), idle(u64::MAX)],
        [60_000, 600_000, 86_400_000]
    );
}

//----------- Sessions -------------------------------------------------------

fn id(n: usize) -> i32 {
    SESSION_BIT | i32::try_from(n).unwrap()
}

#[test]
fn session_ends_when_it_was_idle_for_too_long_or_is_ended() {
    let mut sessions = Sessions::default();
    for n in 1..=3 {
        sessions.open(id(n), session(), 1, 1_000).unwrap();
    }
    assert!(sessions.find(id(1), 600_000).is_some());
    assert!(
        sessions.find(id(1), 1_200_000).is_some(),
        "it was used meanwhile"
    );
    assert!(sessions.find(id(2), 1_200_000).is_none());
    sessions.end(id(1));
    assert!(sessions.find(id(1), 1_200_001).is_none());
    assert!(!sessions.is_free(5), "an id of a challenge");
    assert!(sessions.is_free(id(5)));
}

#[test]
fn flood_of_sessions_stays_in_its_table_and_spares_those_with_a_proof() {
    let mut sessions = Sessions::default();
    sessions.open(id(1), session(), 1, 1_000).unwrap();
    let proven = sessions.find(id(1), 1_000).unwrap();
    assert!(locked(&proven).prove(&Proven::of(named()), CaseRule::Insensitive));
    for n in 2..4_000 {
        let source = u64::try_from(n).unwrap();
        sessions
            .open(id(n), session(), source, 1_000 + source)
            .unwrap();
    }
    assert_eq!(sessions.len(), SESSIONS_MAX);
    assert!(sessions.find(id(1), 20_000).is_some());
    assert!(sessions.find(id(3_999), 20_000).is_some());
    assert!(sessions.find(id(2), 20_000).is_none());
}

#[test]
fn flood_of_one_source_costs_others_nothing() {
    let mut sessions = Sessions::default();
    sessions.open(id(1), session(), 1, 1_000).unwrap();
    let mut pushed_out = 0;
    for n in 2..1_000 {
        pushed_out += sessions.open(id(n), session(), 2, 2_000).unwrap();
    }
    assert_eq!(sessions.len(), SESSIONS_SOURCE_MAX + 1);
    assert_eq!(pushed_out, 998 - SESSIONS_SOURCE_MAX);
    assert!(sessions.find(id(1), 2_000).is_some());
}

#[test]
fn source_with_as_many_proven_sessions_as_it_may_have_gets_no_more() {
    let mut sessions = Sessions::default();
    for n in 1..=SESSIONS_SOURCE_MAX {
        sessions.open(id(n), session(), 1, 1_000).unwrap();
        let opened = sessions.find(id(n), 1_000).unwrap();
        locked(&opened).prove(&Proven::of(named()), CaseRule::Insensitive);
    }
    let refused = sessions.open(id(9_999), session(), 1, 1_000);
    assert_eq!(refused, Err(Rejected::Full));
    assert_eq!(sessions.open(id(9_999), session(), 2, 1_000), Ok(0));
}

#[test]
fn every_octet_that_was_drawn_goes_to_one_part_of_a_chance() {
    let octets: [u8; CHANCE_LEN] = std::array::from_fn(|n| n as u8);
    let Chance {
        suffix,
        nonce,
        seal,
        exponent,
    } = Chance::of(octets);
    let parts = [&suffix[..], &nonce, &seal, &exponent];
    assert_eq!(parts.concat(), octets);
}
