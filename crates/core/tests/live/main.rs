//! Recorded exchanges with another server implementation, put to our authority.
//!
//! The exchanges of the vector file are replayed in its order against a server with the site and
//! the records of the one that was recorded ([`recorded`]). Challenges get the recorded ids and
//! nonces, so that the recorded answers fit; where an answer is not in the file, it is made with
//! the recorded administrator's key. Each reply is compared with the recorded one octet for octet.
//! Where the recommendations of the specification differ from what was recorded, or the operation
//! belongs to a later stage, [`expected`] says what is answered instead, and why.
//! `docs/internals/differences.md` is the prose of that table.
//!
//! The environment variable `GUANTONG_VECTORS` may name another file of the same form.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests"
)]

mod recorded;
mod vectors;

use guantong_core::admin::Challenge;
use guantong_core::admin::session::Session;
use guantong_proto::crypto::challenge::{PUBLIC_KEY, answer_with_key};
use guantong_proto::crypto::session::{Cipher, SessionKey};
use guantong_proto::limits::EXPIRATION_DEFAULT_SECS;
use guantong_proto::message::{
    Body, Envelope, HashId, Header, Message, OpCode, Packet, Request, Response, ResponseCode,
};
use guantong_proto::wire::{Reader, Writer};
use guantong_proto::{HandleRef, Value};
use ring::rand::SystemRandom;

use recorded::{ADMIN, Recorded, key};
use vectors::{Exchange, Vectors, hex, unhex};

/// Drawn where no challenge was recorded.
const CHALLENGE: Challenge = Challenge {
    session_id: 77,
    nonce: [0x5a; 16],
};

//----------- Expected -------------------------------------------------------

/// What we answer to a recorded request.
#[derive(Debug, PartialEq)]
enum Expected {
    /// What was recorded, octet for octet.
    Recorded,
    /// The recorded code; the body is another, for this reason.
    Body(&'static str),
    /// This code, with the ids of the request, for this reason.
    Code(ResponseCode, &'static str),
}

/// The table of deviations. What is not in it is answered as recorded.
fn expected(name: &str, request: &[u8], recorded: &Message<'_>) -> Expected {
    use Expected::{Body, Code, Recorded};
    let envelope = Envelope::decode(&mut Reader::new(request)).unwrap();
    if envelope.encrypted {
        return Code(
            ResponseCode::SESSION_FAILED,
            "the request id is echoed (section 11)",
        );
    }
    let Ok(message) = Message::decode(request) else {
        return Code(
            ResponseCode::PROTOCOL_ERROR,
            "malformed input is 4 (1.6), ids are echoed",
        );
    };
    let (op, code) = (message.header.op, recorded.header.code);
    if Request::of(&message).is_err() {
        return Code(ResponseCode::PROTOCOL_ERROR, "a malformed body is 4 (1.6)");
    }
    match (op, code) {
        (OpCode::CREATE, ResponseCode::HANDLE_ALREADY_EXISTS) => Code(
            ResponseCode::AUTHENTICATION_NEEDED,
            "strangers are not told what exists",
        ),
        (OpCode::LIST_DERIVED, _) => Code(
            ResponseCode::OPERATION_NOT_SUPPORTED,
            "known, not done, so 5 (1.6)",
        ),
        (OpCode::SESSION_SETUP, _) => Body("our part of the key exchange is another"),
        (_, ResponseCode::SUCCESS) if name.starts_with("live-list-") => {
            Body("not every record of the recorded server is known")
        }
        (_, ResponseCode::SUCCESS) => Recorded,
        (_, ResponseCode::AUTHENTICATION_NEEDED) => Recorded,
        (OpCode::RESOLVE | OpCode::GET_SITE_INFO | OpCode::GET_NEXT_TXN, _)
            if !matches!(
                code,
                ResponseCode::INSUFFICIENT_PERMISSIONS | ResponseCode::RECURSION_COUNT_TOO_HIGH
            ) =>
        {
            Recorded
        }
        (_, ResponseCode::ERROR) => Code(
            ResponseCode::OPERATION_NOT_SUPPORTED,
            "unknown operations are 5 (1.6)",
        ),
        _ => Code(code, "the text says what is wrong"),
    }
}

#[track_caller]
fn check(name: &str, request: &[u8], recorded: &[u8], answer: &[u8], expected: &Expected) {
    let asked = Envelope::decode(&mut Reader::new(request)).unwrap();
    let reply = Message::decode(answer).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(reply.envelope.request_id, asked.request_id, "{name}");
    let response = Response::of(&reply);
    let text = match &response {
        Ok(Response {
            body: Body::Error { text, .. },
            ..
        }) => Some(std::str::from_utf8(text).unwrap()),
        _ => None,
    };
    match expected {
        Expected::Recorded => {
            assert_eq!(hex(answer), hex(recorded), "{name}: {text:?}");
        }
        Expected::Body(why) => {
            let recorded = Message::decode(recorded).unwrap();
            let form = |header: Header| Header {
                body_len: 0,
                ..header
            };
            assert_eq!(form(reply.header), form(recorded.header), "{name}: {why}");
            assert!(response.is_ok() && text.is_none(), "{name}: {why}");
        }
        Expected::Code(code, why) => {
            assert_eq!(reply.header.code, *code, "{name}: {why}: {text:?}");
            if *code != ResponseCode::AUTHENTICATION_NEEDED {
                assert!(text.is_some(), "{name}: {reply:?}");
            }
        }
    }
}

//----------- Replay ---------------------------------------------------------

/// The id and nonce of a recorded challenge.
fn challenge_of(response: &[u8]) -> Option<Challenge> {
    let message = Message::decode(response).ok()?;
    let Body::Challenge { nonce } = Response::of(&message).ok()?.body else {
        return None;
    };
    Some(Challenge {
        session_id: message.envelope.session_id,
        nonce: nonce.try_into().ok()?,
    })
}

/// An answer by the administrator's key to the challenge that we have sent, in the envelope and
/// with the flags of the recorded answer as its reply shows them.
fn answer_to(vectors: &Vectors, challenge: &[u8], recorded: &Message<'_>) -> Vec<u8> {
    let message = Message::decode(challenge).unwrap();
    let response = Response::of(&message).unwrap();
    let Body::Challenge { nonce } = response.body else {
        panic!("{response:?}")
    };
    let key = key(vectors, "hs-pubkey-rsa-2");
    let digest = response.digest.unwrap();
    let signed = answer_with_key(&key, nonce, digest.octets, &SystemRandom::new()).unwrap();
    let envelope = Envelope {
        session_id: message.envelope.session_id,
        suggested: recorded.envelope.version,
        ..recorded.envelope
    };
    let header = Header {
        op: OpCode::CHALLENGE_ANSWER,
        code: ResponseCode::RESERVED,
        ..recorded.header
    };
    let request = Request::ChallengeAnswer {
        auth_type: PUBLIC_KEY,
        user: ADMIN.as_bytes(),
        user_index: 300,
        signed: &signed,
    };
    let mut packet = Vec::new();
    request.to_packet(&envelope, &header, &mut packet);
    packet
}

/// The request of an exchange. Of one in two steps, the first is replayed now if it was not: its
/// reply is not in the file.
fn request_of(
    vectors: &Vectors,
    server: &mut Recorded,
    exchange: &Exchange,
    recorded: &Message<'_>,
    last: &[u8],
) -> Option<Vec<u8>> {
    let now = recorded.header.expiration - EXPIRATION_DEFAULT_SECS;
    let stem = exchange.name.strip_suffix("-2");
    let first = stem.and_then(|stem| vectors.octets(&format!("{stem}-1-request")));
    if let Some(request) = &exchange.request {
        let stem = stem.unwrap_or_default();
        if let (Some(first), None) = (first, vectors.octets(&format!("{stem}-1-response"))) {
            // The answer names its challenge, whose nonce is not known.
            let session_id = Message::decode(request).unwrap().envelope.session_id;
            let draw = Challenge {
                session_id,
                ..CHALLENGE
            };
            server.answer(&first, now, draw);
        }
        return Some(request.clone());
    }
    let first = first?;
    let asked = Message::decode(&first).ok()?.envelope.request_id;
    let last_is_first = Message::decode(last).is_ok_and(|m| m.envelope.request_id == asked);
    let challenge = match last_is_first {
        true => last.to_vec(),
        false => server.answer(&first, now, CHALLENGE),
    };
    Some(answer_to(vectors, &challenge, recorded))
}

#[test]
fn recorded_requests_are_answered_as_recorded_or_as_the_table_says() {
    let vectors = Vectors::load();
    let mut server = Recorded::new(&vectors);
    let (mut same, mut other) = (0, 0);
    let mut last = Vec::new();
    for exchange in vectors.exchanges() {
        if exchange.name.starts_with("live-session-") && exchange.name != "live-session-setup" {
            // Those have a story of their own.
            continue;
        }
        let Ok(recorded) = Message::decode(&exchange.response) else {
            continue;
        };
        let Some(request) = request_of(&vectors, &mut server, &exchange, &recorded, &last) else {
            continue;
        };
        let now = recorded.header.expiration - EXPIRATION_DEFAULT_SECS;
        let expected = expected(&exchange.name, &request, &recorded);
        let draw = challenge_of(&exchange.response).unwrap_or(CHALLENGE);
        last = server.answer(&request, now, draw);
        check(
            &exchange.name,
            &request,
            &exchange.response,
            &last,
            &expected,
        );
        match expected {
            Expected::Recorded => same += 1,
            _ => other += 1,
        }
    }
    println!("{same} exchanges as recorded, {other} by the table");
    assert!(same >= 24, "{same}");
}

#[test]
fn recorded_session_goes_on_with_its_key() {
    let vectors = Vectors::load();
    let mut server = Recorded::new(&vectors);
    let octets = vectors.octets("live-session-key").unwrap();
    let session_key = SessionKey::new(Cipher::Aes, &octets).unwrap();
    let named = format!("300:{ADMIN}").parse().unwrap();
    let session = Session::new(session_key.clone(), Some(named), 600);
    server.memory.keep(24, session);
    let mut compared = 0;
    for exchange in vectors.exchanges() {
        let name = exchange.name.as_str();
        let (Some(request), true) = (&exchange.request, name.starts_with("live-session-")) else {
            continue;
        };
        if name == "live-session-setup" {
            continue;
        }
        let draw = challenge_of(&exchange.response).unwrap_or(CHALLENGE);
        let recorded = clear_of(&exchange.response, &session_key);
        let now = recorded_now(&recorded);
        let answer = clear_of(&server.answer(request, now, draw), &session_key);
        if name.contains("-restricted-") && challenge_of(&exchange.response).is_none() {
            check_without_unreadable(name, &answer, &recorded);
        } else {
            assert_eq!(hex(&answer), hex(&recorded), "{name}");
        }
        compared += 1;
    }
    assert!(compared >= 4, "{compared}");
}

/// A packet of the session in clear, as if it had been sent so.
fn clear_of(packet: &[u8], key: &SessionKey) -> Vec<u8> {
    let packet = Packet::decode(packet).unwrap();
    let mut envelope = packet.envelope;
    let octets = match envelope.encrypted {
        true => key.decrypt(envelope.version, packet.octets).unwrap(),
        false => packet.octets.to_vec(),
    };
    envelope.encrypted = false;
    envelope.message_len = i32::try_from(octets.len()).unwrap();
    let mut clear = Writer::to_vec(|w| envelope.encode(w));
    clear.extend_from_slice(&octets);
    clear
}

fn recorded_now(packet: &[u8]) -> u32 {
    let header = Message::decode(packet).unwrap().header;
    header.expiration - EXPIRATION_DEFAULT_SECS
}

/// The recorded server also sent what nobody may read; all else is the same.
#[track_caller]
fn check_without_unreadable(name: &str, answer: &[u8], recorded: &[u8]) {
    let values = |packet: &[u8]| {
        let message = Message::decode(packet).unwrap();
        let response = Response::of(&message).unwrap();
        let Body::Record { handle, values } = response.body else {
            panic!("{name}: {response:?}")
        };
        (handle.to_vec(), values.to_vec().unwrap())
    };
    let (handle, found) = values(answer);
    let (expected_handle, mut expected) = values(recorded);
    expected.retain(|value| value.permissions.public_read() || value.permissions.admin_read());
    assert_eq!((handle, found), (expected_handle, expected), "{name}");
}

/// Nonces of the stand-in server that the SDK was run against: 0xa0, 0xa1 and so on.
fn sdk_nonce() -> [u8; 16] {
    std::array::from_fn(|n| 0xa0 + u8::try_from(n).unwrap())
}

/// The code and the operation of the reply to a vector.
fn put_to(server: &mut Recorded, vectors: &Vectors, name: &str) -> (i32, i32) {
    let request = vectors.octets(name).unwrap_or_else(|| panic!("{name}"));
    let draw = Challenge {
        session_id: 77,
        nonce: sdk_nonce(),
    };
    let reply = server.answer(&request, 1_700_000_000, draw);
    let message = Message::decode(&reply).unwrap_or_else(|e| panic!("{name}: {e}"));
    let asked = Envelope::decode(&mut Reader::new(&request)).unwrap();
    assert_eq!(message.envelope.request_id, asked.request_id, "{name}");
    assert_eq!(message.envelope.session_id, asked.session_id, "{name}");
    (message.header.code.0, message.header.op.0)
}

#[test]
fn sdk_logs_in_with_each_of_its_keys() {
    let vectors = Vectors::load();
    let rsa = vectors.octets("hs-pubkey-rsa-2").unwrap();
    let pem = vectors.field("sdk-sm2-key-pkcs8", "publicPem").unwrap();
    for (login, user, key) in [
        ("sdk-login-rsa", "88.111.1/user", rsa),
        (
            "sdk-login-sm2-hutool-key",
            "88.111.1/sm2user",
            pem.as_bytes().to_vec(),
        ),
    ] {
        let mut server = Recorded::homing(&vectors, "88.111.1");
        server.put_values(user, &[Value::new(300, "HS_PUBKEY", key)]);
        server.put_values("88.111.1/test", &[Value::new(1, "URL", "x")]);
        let mut ask = |step: &str| put_to(&mut server, &vectors, &format!("{login}-{step}"));
        assert_eq!(ask("1-op2"), (1, 2), "{login}");
        assert_eq!(ask("2-op2001"), (402, 2001), "{login}");
        assert_eq!(ask("3-op200"), (1, 2001), "{login}");
        assert_eq!(ask("4-op1"), (1, 1), "{login}");
    }
}

#[test]
fn sdk_administers_an_open_node_without_a_login() {
    let vectors = Vectors::load();
    let request = vectors.octets("sdk-plain-admin-1-op100").unwrap();
    let message = Message::decode(&request).unwrap();
    let Ok(Request::Write { handle, .. }) = Request::of(&message) else {
        panic!("{message:?}")
    };
    let prefix = HandleRef::from_wire(handle).unwrap().prefix().to_owned();
    let mut server = Recorded::homing(&vectors, &prefix);
    server.open_to_all();
    for (step, op) in [
        (1, 100),
        (2, 102),
        (3, 104),
        (4, 103),
        (5, 101),
        (6, 300),
        (7, 301),
    ] {
        let name = format!("sdk-plain-admin-{step}-op{op}");
        assert_eq!(put_to(&mut server, &vectors, &name), (1, op), "{name}");
    }
}

#[test]
fn digest_of_a_request_is_that_of_the_vectors() {
    let vectors = Vectors::load();
    let mut server = Recorded::new(&vectors);
    for name in vectors.names("resp-resolve-digest-", "") {
        let request = unhex(vectors.field(&name, "requestHex").unwrap());
        let answer = server.answer(&request, 0, CHALLENGE);
        let reply = Message::decode(&answer).unwrap();
        let Ok(Response {
            digest: Some(digest),
            ..
        }) = Response::of(&reply)
        else {
            // Before 2.1 nothing in the request asks for one.
            assert!(!reply.envelope.version.at_least(2, 1), "{name}");
            continue;
        };
        assert_eq!(
            digest.hash,
            HashId::of_version(reply.envelope.version),
            "{name}"
        );
        assert_eq!(
            hex(digest.octets),
            vectors.field(&name, "digest").unwrap(),
            "{name}"
        );
    }
}
