//! What holds for every record, every request and every mutilation of one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::collections::HashMap;
use std::convert::Infallible;

use guantong_core::admin::{Challenge, Chance, Errand, Ground, Next, NoTables, Rules};
use guantong_core::authority::{
    self, Answered, Demand, Homed, Moment, Outcome, Query, RecordView, Recursion, Selection, Site,
    code_for_version,
};
use guantong_proto::data::site::{Server, Site as SiteRecord};
use guantong_proto::message::{
    Body, Envelope, Header, Message, OpCode, OpFlags, Request, Response, ResponseCode, Version,
};
use guantong_proto::wire::{Reader, Writer};
use guantong_proto::{CaseRule, Handle, Permissions, Value, Values};
use proptest::prelude::*;

/// Stands in the data of every value that is not public.
const HIDDEN: &[u8] = b"hidden";
const CHALLENGE: Challenge = Challenge {
    session_id: 4_711,
    nonce: [0x77; 16],
};

//----------- Node -----------------------------------------------------------

struct Node {
    site: Site,
    records: HashMap<Vec<u8>, Vec<u8>>,
}

impl Node {
    /// A node with the record `88.118/a` and, for referrals, `0.NA/88.118`.
    fn new(values: &[Value]) -> Self {
        let server = Server {
            id: 1,
            address: "127.0.0.1".parse().unwrap(),
            public_key: vec![],
            interfaces: vec![],
        };
        let record = SiteRecord {
            servers: vec![server],
            ..SiteRecord::default()
        };
        let homed = [Handle::of_prefix("88.118").unwrap()];
        let site = Site::new(
            record.encode(),
            1,
            CaseRule::Insensitive,
            Homed::new(&homed),
        );
        let wire = Writer::to_vec(|w| Values::encode(values, w));
        let records = ["88.118/A", "0.NA/88.118"].map(|name| (name.into(), wire.clone()));
        Self {
            site: site.unwrap(),
            records: records.into(),
        }
    }

    fn view(wire: &Vec<u8>) -> RecordView<'_> {
        let values = Values::from_wire(wire).unwrap();
        let all_public = values
            .iter()
            .all(|value| value.is_public() && !value.is_state());
        RecordView {
            handle: "",
            values: wire,
            all_public,
        }
    }

    fn answer(&self, packet: &[u8]) -> Vec<u8> {
        let mut challenge = |_: Demand<'_>| CHALLENGE;
        let mut moment = Moment {
            now_secs: 1_000,
            challenge: &mut challenge,
            recursion: Recursion::Denied,
        };
        let (mut key, mut out) = (Vec::new(), Vec::new());
        let fetch = |key: &[u8]| Ok::<_, Infallible>(self.records.get(key).cloned());
        let done = authority::answer(
            &self.site,
            packet,
            &mut moment,
            &mut key,
            &mut out,
            fetch,
            Self::view,
        );
        match done.unwrap() {
            Answered::Done => {}
            Answered::Elsewhere(_) => unreachable!("recursion is denied"),
            Answered::HandOver => self.run_errand(packet, &mut moment, &mut out),
        }
        out
    }

    /// Carries out what needs more than one read; there is nobody who could prove an identity.
    fn run_errand(&self, packet: &[u8], moment: &mut Moment<'_>, out: &mut Vec<u8>) {
        let ground = Ground {
            site: &self.site,
            rules: &Rules::default(),
            now_secs: 1_000,
            tables: &NoTables,
        };
        let chance = Chance {
            suffix: [1; 16],
            nonce: CHALLENGE.nonce,
            seal: [3; 16],
            exponent: [4; 32],
        };
        match Errand::new(packet, chance, &NoTables) {
            Ok(mut errand) => {
                let next = errand.step(&ground, moment, out);
                assert!(matches!(next, Next::Done), "{next:?}");
            }
            Err(refusal) => refusal.reply(&self.site, moment, out),
        }
    }

    fn resolve(&self, query: Query<'_>) -> Outcome {
        let fetch = |key: &[u8]| Ok::<_, Infallible>(self.records.get(key).cloned());
        let resolved = authority::resolve(&self.site, query, fetch, Self::view);
        resolved.unwrap().expect("recursion is denied")
    }
}

//----------- Strategies -----------------------------------------------------

fn kinds() -> impl Strategy<Value = String> {
    let kinds = [
        "URL",
        "url.a",
        "EMAIL",
        "HS_SECKEY",
        "hs_seckey.x",
        "HS_SERV.PREFIX",
        "",
    ];
    prop::sample::select(kinds.to_vec()).prop_map(String::from)
}

fn records() -> impl Strategy<Value = Vec<Value>> {
    let value = (
        kinds(),
        prop::sample::select(vec![0x0e, 0x0c, 0x00, 0x02, 0x08, 0xff, 0xfd]),
    );
    let values = prop::collection::vec(value, 0..8);
    (values, states()).prop_map(|(values, state)| {
        let value = |(index, (kind, permissions)): (i32, (String, u8))| {
            let mut value = Value::new(index, kind, "shown");
            value.permissions = Permissions(permissions);
            let secret = value.kind.to_ascii_uppercase().starts_with("HS_SECKEY");
            if permissions & Permissions::PUBLIC_READ == 0 || secret || state.is_some() {
                value.data = HIDDEN.to_vec();
            }
            value
        };
        let shown = (1..).zip(values).map(value);
        shown.chain(state.clone()).collect()
    })
}

/// What keeps all other values from the public; mostly nothing.
fn states() -> impl Strategy<Value = Option<Value>> {
    let states = [
        r#"{"state":"withdrawn","reason":"scrapped"}"#,
        r#"{"state":"reserved"}"#,
        "damaged",
    ];
    let states = states.map(|data| Value::new(1_900, "GT_STATE", data));
    prop::option::weighted(0.3, prop::sample::select(states.to_vec()))
}

fn names() -> impl Strategy<Value = String> {
    let names = [
        "88.118/a",
        "88.118/A",
        "88.118/none",
        "88.118",
        "0.NA/88.118",
        "0.na/88.118.5.6",
        "88.118.5",
        "88.119/a",
        "0.NA/0.NA",
        "0.SITE/status",
        "",
        "/",
        "0.NA/",
    ];
    prop::sample::select(names.to_vec()).prop_map(String::from)
}

#[derive(Clone, Debug)]
struct Asked {
    name: String,
    indexes: Vec<i32>,
    types: Vec<String>,
    flags: u32,
    version: (u8, u8),
    suggested: (u8, u8),
    recursion_count: u8,
    request_id: i32,
}

fn asked() -> impl Strategy<Value = Asked> {
    let versions = prop::sample::select(vec![(2, 11), (2, 10), (2, 4), (2, 1), (2, 0), (3, 0)]);
    let selection = (
        prop::collection::vec(0..10_i32, 0..3),
        prop::collection::vec(prop_oneof![kinds(), Just("URL.".into())], 0..3),
    );
    let suggested = prop_oneof![Just((0, 0)), versions.clone()];
    (
        names(),
        selection,
        any::<u32>(),
        versions,
        suggested,
        0..13_u8,
        any::<i32>(),
    )
        .prop_map(
            |(name, (indexes, types), flags, version, suggested, recursion_count, request_id)| {
                Asked {
                    name,
                    indexes,
                    types,
                    flags,
                    version,
                    suggested,
                    recursion_count,
                    request_id,
                }
            },
        )
}

impl Asked {
    fn packet(&self) -> Vec<u8> {
        let new = |(major, minor): (u8, u8)| Version::new(major, minor);
        let envelope = Envelope {
            suggested: new(self.suggested),
            ..Envelope::new(new(self.version), self.request_id)
        };
        let header = Header {
            recursion_count: self.recursion_count,
            ..Header::request(OpCode::RESOLVE, OpFlags(self.flags), 0)
        };
        let body = Writer::to_vec(|w| {
            w.bytes(self.name.as_bytes());
            w.i32_array(&self.indexes);
            w.bytes_array(&self.types);
        });
        let mut packet = Vec::new();
        Message {
            envelope,
            header,
            body: &body,
            credential: Some(&[]),
        }
        .encode(&mut packet);
        packet
    }

    fn query(&self) -> Query<'_> {
        let flags = OpFlags(self.flags);
        Query {
            handle: self.name.as_bytes(),
            selection: Selection::Listed {
                indexes: &self.indexes,
                types: &self.types,
            },
            public_only: flags.has(OpFlags::PUBLIC_ONLY),
            do_not_refer: flags.has(OpFlags::DO_NOT_REFER),
            recursion_count: self.recursion_count,
            authoritative: flags.has(OpFlags::AUTHORITATIVE),
            certified: flags.has(OpFlags::CERTIFIED),
            recursion: Recursion::Denied,
        }
    }
}

fn holds_hidden(octets: &[u8]) -> bool {
    octets.windows(HIDDEN.len()).any(|part| part == HIDDEN)
}

//----------- Properties -----------------------------------------------------

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn nothing_hidden_is_ever_answered(values in records(), asked in asked()) {
        let node = Node::new(&values);
        prop_assert!(!holds_hidden(&node.answer(&asked.packet())));
        if let Outcome::Record(values) | Outcome::Referral(values) = node.resolve(asked.query()) {
            prop_assert!(values.iter().all(|value| value.data != HIDDEN));
            prop_assert!(!values.is_empty());
        }
    }

    #[test]
    fn native_and_typed_say_the_same(values in records(), asked in asked()) {
        let node = Node::new(&values);
        let outcome = node.resolve(asked.query());
        let packet = node.answer(&asked.packet());
        let reply = Message::decode(&packet).unwrap();
        let version = reply.envelope.version;
        // Peers before 2.7 cannot prove who they are, and are told so.
        let is_unproven = outcome == Outcome::AuthenticationNeeded && !version.at_least(2, 7);
        let code = match is_unproven {
            true => ResponseCode::OPERATION_NOT_SUPPORTED,
            false => code_for_version(outcome.code(), version),
        };
        prop_assert_eq!(reply.header.code, code);
        let old_refers = !version.at_least(2, 5);
        match (outcome, Response::of(&reply).unwrap().body) {
            (Outcome::Record(expected), Body::Record { handle, values }) => {
                prop_assert_eq!(handle, asked.name.as_bytes());
                prop_assert_eq!(values.to_vec().unwrap(), expected);
            }
            (Outcome::Referral(expected), Body::Referral { handle, values }) => {
                prop_assert_eq!(handle, b"");
                prop_assert_eq!(values.unwrap().to_vec().unwrap(), expected);
            }
            (Outcome::AuthenticationNeeded, Body::Challenge { nonce }) => {
                prop_assert_eq!(nonce, CHALLENGE.nonce);
            }
            (Outcome::Record(_), body) => prop_assert!(false, "{body:?}"),
            (Outcome::Referral(_), body) => prop_assert!(old_refers, "{body:?}"),
            (_, Body::Error { text, .. }) if is_unproven => {
                prop_assert!(text.starts_with(b"this needs a proof of identity"));
            }
            (outcome, Body::Error { text, .. }) => {
                let message = outcome.message();
                prop_assert_eq!(text, message.as_bytes());
            }
            // Before 2.1 errors have no text.
            (_, body) => {
                prop_assert_eq!(body, Body::Empty);
                prop_assert!(!version.at_least(2, 1));
            }
        }
    }

    #[test]
    fn every_mutilation_gets_an_answer_that_decodes_or_none(
        asked in asked(),
        values in records(),
        cut in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let node = Node::new(&values);
        let mut packet = asked.packet();
        for (at, octet) in changes {
            let at = at.index(packet.len());
            packet[at] = octet;
        }
        packet.truncate(cut.index(packet.len()) + 1);
        let answer = node.answer(&packet);
        prop_assert!(!holds_hidden(&answer));
        if answer.is_empty() {
            return Ok(());
        }
        let envelope = Envelope::decode(&mut Reader::new(&packet)).unwrap();
        let reply = Message::decode(&answer).unwrap();
        prop_assert_eq!(reply.envelope.request_id, envelope.request_id);
        let session = reply.envelope.session_id;
        prop_assert!(session == envelope.session_id || session == CHALLENGE.session_id);
        prop_assert!(Response::of(&reply).is_ok());
    }

    #[test]
    fn every_operation_is_answered(op in prop_oneof![0..500_i32, 1_000..1_010, any::<i32>()],
        body in prop::collection::vec(any::<u8>(), 0..40))
    {
        let node = Node::new(&[]);
        let envelope = Envelope::new(Version::OURS, 1);
        let header = Header::request(OpCode(op), OpFlags::DEFAULT, 0);
        let mut packet = Vec::new();
        Message { envelope, header, body: &body, credential: None }.encode(&mut packet);
        let answer = node.answer(&packet);
        let reply = Message::decode(&answer).unwrap();
        prop_assert_eq!(reply.header.op, OpCode(op));
        prop_assert!(Response::of(&reply).is_ok());
        // What changes something never succeeds.
        if OpCode(op).is_administrative() {
            prop_assert!(!reply.header.code.is_success());
            prop_assert!(Request::of(&Message::decode(&packet).unwrap()).is_ok()
                || reply.header.code.0 == 4);
        }
    }
}
