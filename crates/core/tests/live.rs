//! Recorded exchanges with another server implementation, put to our authority.
//!
//! Each visible `live-X-request` of the vector file is answered from records that are themselves
//! taken from the recorded responses, and the reply is compared with `live-X-response` octet for
//! octet. Where the recommendations of the specification differ from what was recorded, or the
//! operation belongs to a later stage, [`Expected`] says what is answered instead, and why.
//! `docs/internals/differences.md` is the prose of that table.
//!
//! The environment variable `GUANTONG_VECTORS` may name another file of the same form.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests"
)]

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;

use guantong_core::admin::{Challenge, Errand, Ground, Next, Rules};
use guantong_core::authority::{
    self, Answered, Demand, Homed, Moment, RecordView, Recursion, Signer, Site,
};
use guantong_proto::crypto::{SigningKey, credential};
use guantong_proto::data::site::Site as SiteRecord;
use guantong_proto::limits::EXPIRATION_DEFAULT_SECS;
use guantong_proto::message::{
    Body, Envelope, HashId, Message, OpCode, Request, Response, ResponseCode, Version,
};
use guantong_proto::wire::{Reader, Writer};
use guantong_proto::{CaseRule, Handle, HandleRef, Key, Values};
use ring::rand::SystemRandom;
use serde_json::Value as Json;

const RULE: CaseRule = CaseRule::Insensitive;

//----------- The file -------------------------------------------------------

struct Vectors(BTreeMap<String, Json>);

impl Vectors {
    /// The file of the repository, and over it the one that `GUANTONG_VECTORS` names: another file
    /// may lack the site record and the records that its exchanges rely on.
    fn load() -> Self {
        let default = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../test-data/wire/handle-vectors.json"
        );
        let mut vectors = Self::read(default);
        if let Ok(path) = std::env::var("GUANTONG_VECTORS") {
            vectors.0.extend(Self::read(&path).0);
        }
        vectors
    }

    fn read(path: &str) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let list: Vec<Json> = serde_json::from_str(&text).unwrap();
        let named = list
            .into_iter()
            .map(|v| (v["name"].as_str().unwrap().to_owned(), v));
        Self(named.collect())
    }

    fn octets(&self, name: &str) -> Option<Vec<u8>> {
        self.0
            .get(name)
            .map(|vector| unhex(vector["hex"].as_str().unwrap()))
    }

    /// Names of the vectors that start and end so.
    fn names(&self, start: &str, end: &str) -> Vec<String> {
        let fits = |name: &&String| name.starts_with(start) && name.ends_with(end);
        self.0.keys().filter(fits).cloned().collect()
    }

    /// Recorded exchanges: name, request, response.
    fn exchanges(&self) -> Vec<(String, Vec<u8>, Vec<u8>)> {
        let of = |name: &String| {
            let stem = name.strip_suffix("-response").unwrap();
            let inside = || self.0[name]["fields"]["request"].as_str().map(unhex);
            let request = self.octets(&format!("{stem}-request")).or_else(inside)?;
            Some((stem.to_owned(), request, self.octets(name)?))
        };
        self.names("live-", "-response")
            .iter()
            .filter_map(of)
            .collect()
    }
}

fn unhex(hex: &str) -> Vec<u8> {
    let digit = |i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

//----------- The recorded server --------------------------------------------

/// Site and records of the server that was recorded, as far as the recordings show them.
struct Recorded {
    site: Site,
    records: HashMap<Key, Vec<u8>>,
}

impl Recorded {
    fn new(vectors: &Vectors) -> Self {
        let mut recorded = Self {
            site: site(vectors),
            records: HashMap::new(),
        };
        let packets = vectors
            .exchanges()
            .into_iter()
            .map(|(_, _, response)| response);
        for packet in packets.chain(decrypted(vectors)) {
            let Ok(message) = Message::decode(&packet) else {
                continue;
            };
            if message.header.op != OpCode::RESOLVE {
                continue;
            }
            if let Ok(Response {
                body: Body::Record { handle, values },
                ..
            }) = Response::of(&message)
            {
                let Ok(handle) = HandleRef::from_wire(handle) else {
                    continue;
                };
                recorded.learn(&handle.key(RULE), values);
            }
        }
        for (_, request, response) in vectors.exchanges() {
            recorded.learn_referral(&request, &response);
        }
        recorded
    }

    /// The longest list of values seen is the record.
    fn learn(&mut self, key: &Key, values: Values<'_>) {
        let known = self
            .records
            .get(key)
            .map_or(0, |wire| Values::from_wire(wire).unwrap().len());
        if values.len() > known {
            self.records.insert(key.clone(), values.wire().to_vec());
        }
    }

    /// The values of a prefix referral are in the nearest parent whose record is not seen
    /// elsewhere.
    fn learn_referral(&mut self, request: &[u8], response: &[u8]) {
        let (Ok(request), Ok(response)) = (Message::decode(request), Message::decode(response))
        else {
            return;
        };
        let Ok(Response {
            body:
                Body::Referral {
                    values: Some(values),
                    ..
                },
            ..
        }) = Response::of(&response)
        else {
            return;
        };
        let Ok(Request::Resolve(resolve)) = Request::of(&request) else {
            return;
        };
        let handle = HandleRef::from_wire(resolve.handle).unwrap();
        let mut parents = std::iter::successors(handle.parent(), |parent| parent.parent());
        if let Some(parent) = parents.find(|parent| !self.records.contains_key(&parent.key(RULE))) {
            self.learn(&parent.key(RULE), values);
        }
    }

    fn answer(&self, request: &[u8], now_secs: u32) -> Vec<u8> {
        let (mut key, mut out) = (Vec::new(), Vec::new());
        let mut challenge = |_: Demand<'_>| Challenge {
            session_id: 77,
            nonce: [0x5a; 16],
        };
        let mut moment = Moment {
            now_secs,
            challenge: &mut challenge,
            recursion: Recursion::Denied,
        };
        let fetch = |key: &[u8]| {
            let found = self.records.iter().find(|(name, _)| name.as_bytes() == key);
            Ok::<_, Infallible>(found.map(|(_, wire)| wire))
        };
        let result = authority::answer(
            &self.site,
            request,
            &mut moment,
            &mut key,
            &mut out,
            fetch,
            |wire| RecordView {
                handle: "",
                values: wire,
                all_public: false,
            },
        );
        match result.unwrap() {
            Answered::Done => {}
            Answered::Elsewhere(_) => unreachable!("recursion is denied"),
            Answered::HandOver => {
                let ground = Ground {
                    site: &self.site,
                    rules: &Rules::default(),
                };
                let mut errand = Errand::new(request, |_| None).unwrap();
                let next = errand.step(&ground, &mut moment, &mut out);
                assert!(matches!(next, Next::Done), "{next:?}");
            }
        }
        out
    }
}

/// Packets of replies that went out encrypted; the file has their clear form without envelope.
fn decrypted(vectors: &Vectors) -> Vec<Vec<u8>> {
    let packet = |name: &String| {
        let octets = vectors.octets(name)?;
        let start = Envelope::new(Version::OURS, 0);
        let len = i32::try_from(octets.len()).ok()?;
        let mut packet = Vec::new();
        Envelope {
            message_len: len,
            ..start
        }
        .encode(&mut Writer::new(&mut packet));
        packet.extend_from_slice(&octets);
        Some(packet)
    };
    vectors
        .names("live-", "-decrypted")
        .iter()
        .filter_map(packet)
        .collect()
}

fn site(vectors: &Vectors) -> Site {
    let packet = vectors.octets("live-siteinfo-response").unwrap();
    let record = Message::decode(&packet).unwrap().body.to_vec();
    let server = SiteRecord::decode(&record).unwrap().servers[0].id;
    let packet = vectors.octets("live-listhomed-2-response").unwrap();
    let message = Message::decode(&packet).unwrap();
    let Ok(Response {
        body: Body::Handles(handles),
        ..
    }) = Response::of(&message)
    else {
        panic!()
    };
    let homed: Vec<Handle> = handles
        .iter()
        .map(|h| Handle::from_wire(h).unwrap())
        .collect();
    let site = Site::new(record, server, RULE, Homed::new(&homed)).unwrap();
    site.with_signer(signer(vectors))
}

/// Signs with the throw-away key that the recorded server had.
fn signer(vectors: &Vectors) -> Signer {
    let pkcs8 = vectors.0["hs-pubkey-rsa"]["fields"]["testPrivateKeyPkcs8"]
        .as_str()
        .unwrap();
    let key = SigningKey::from_pkcs8(&unhex(pkcs8)).unwrap();
    Signer::new(move |message| credential::sign(message, 0, &key, &SystemRandom::new()).ok())
}

//----------- Expected -------------------------------------------------------

/// What we answer to a recorded request.
#[derive(Debug, PartialEq)]
enum Expected {
    /// What was recorded, octet for octet.
    Recorded,
    /// A challenge as was recorded, with our own nonce and id.
    Challenge,
    /// This code, with the ids of the request, for this reason.
    Code(ResponseCode, &'static str),
}

/// The table of deviations. What is not in it is answered as recorded.
fn expected(request: &[u8], recorded: &Message<'_>) -> Expected {
    use Expected::{Challenge, Code, Recorded};
    let envelope = Envelope::decode(&mut Reader::new(request)).unwrap();
    if envelope.encrypted {
        return Code(
            ResponseCode::SESSION_FAILED,
            "no sessions yet: nothing can be decrypted",
        );
    }
    let Ok(message) = Message::decode(request) else {
        return Code(
            ResponseCode::PROTOCOL_ERROR,
            "malformed input is 4 (1.6), ids are echoed",
        );
    };
    let code = recorded.header.code;
    let knows_session = envelope.session_id == 0 || code == ResponseCode::SESSION_TIMEOUT;
    match message.header.op {
        _ if knows_session && Request::of(&message).is_err() => {
            Code(ResponseCode::PROTOCOL_ERROR, "a malformed body is 4 (1.6)")
        }
        OpCode::CHALLENGE_ANSWER => Code(
            ResponseCode::AUTHENTICATION_TIMED_OUT,
            "no challenges are kept yet",
        ),
        OpCode::LOGIN => Code(
            ResponseCode::OPERATION_NOT_SUPPORTED,
            "login is a later stage",
        ),
        _ if !knows_session => Code(
            ResponseCode::SESSION_TIMEOUT,
            "no sessions yet: every session is unknown",
        ),
        OpCode::SESSION_SETUP
        | OpCode::SESSION_TERMINATE
        | OpCode::SESSION_EXCHANGE_KEY
        | OpCode::VERIFY_ANSWER => Code(
            ResponseCode::OPERATION_NOT_SUPPORTED,
            "sessions and verification are a later stage",
        ),
        OpCode::RESOLVE | OpCode::RETRIEVE_TXN | OpCode::DUMP_HANDLES
            if code == ResponseCode::AUTHENTICATION_NEEDED =>
        {
            Challenge
        }
        OpCode::RESOLVE
            if matches!(
                code,
                ResponseCode::INSUFFICIENT_PERMISSIONS | ResponseCode::RECURSION_COUNT_TOO_HIGH
            ) =>
        {
            Code(code, "the text says what is wrong")
        }
        OpCode::RESOLVE | OpCode::GET_SITE_INFO | OpCode::GET_NEXT_TXN => Recorded,
        op if op.is_administrative() => match code {
            ResponseCode::SERVER_NOT_RESPONSIBLE | ResponseCode::INVALID_HANDLE => Code(
                code,
                "checks without identity are made, the text may differ",
            ),
            _ => Code(
                ResponseCode::OPERATION_NOT_SUPPORTED,
                "administration is local at this stage; 106 is unknown as recorded, with code 5",
            ),
        },
        _ => Code(
            ResponseCode::OPERATION_NOT_SUPPORTED,
            "unknown operations are 5 (1.6)",
        ),
    }
}

#[track_caller]
fn check(name: &str, request: &[u8], recorded: &[u8], answer: &[u8], expected: &Expected) {
    let asked = Envelope::decode(&mut Reader::new(request)).unwrap();
    let reply = Message::decode(answer).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(reply.envelope.request_id, asked.request_id, "{name}");
    match expected {
        Expected::Recorded => assert_eq!(hex(answer), hex(recorded), "{name}"),
        Expected::Challenge => {
            assert_eq!(
                reply.header.code,
                ResponseCode::AUTHENTICATION_NEEDED,
                "{name}"
            );
            assert_ne!(reply.envelope.session_id, 0, "{name}");
            let response = Response::of(&reply).unwrap();
            let recorded = Message::decode(recorded).unwrap();
            assert_eq!(
                response.digest,
                Response::of(&recorded).unwrap().digest,
                "{name}"
            );
        }
        Expected::Code(code, why) => {
            assert_eq!(reply.header.code, *code, "{name}: {why}");
            assert_eq!(reply.envelope.session_id, asked.session_id, "{name}");
            let Ok(Response {
                body: Body::Error { text, .. },
                ..
            }) = Response::of(&reply)
            else {
                panic!("{name}: {reply:?}")
            };
            assert!(std::str::from_utf8(text).is_ok(), "{name}");
        }
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[test]
fn recorded_requests_are_answered_as_recorded_or_as_the_table_says() {
    let vectors = Vectors::load();
    let server = Recorded::new(&vectors);
    let (mut same, mut other) = (0, 0);
    for (name, request, response) in vectors.exchanges() {
        // A reply that went out encrypted has no readable header: it belongs to a session.
        let Ok(recorded) = Message::decode(&response) else {
            continue;
        };
        let now = recorded.header.expiration - EXPIRATION_DEFAULT_SECS;
        let expected = expected(&request, &recorded);
        check(
            &name,
            &request,
            &response,
            &server.answer(&request, now),
            &expected,
        );
        match expected {
            Expected::Recorded => same += 1,
            _ => other += 1,
        }
    }
    println!("{same} exchanges as recorded, {other} by the table");
    assert!(same >= 10, "{same}");
}

#[test]
fn digest_of_a_request_is_that_of_the_vectors() {
    let vectors = Vectors::load();
    let server = Recorded::new(&vectors);
    for name in vectors.names("resp-resolve-digest-", "") {
        let fields = &vectors.0[&name]["fields"];
        let request = unhex(fields["requestHex"].as_str().unwrap());
        let answer = server.answer(&request, 0);
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
            fields["digest"].as_str().unwrap(),
            "{name}"
        );
    }
}
