//! Decisions, each at its own edge. Recorded exchanges are in `tests/live/`, properties in
//! `tests/properties.rs`.

use std::collections::HashMap;
use std::convert::Infallible;

use guantong_proto::data::Site as SiteRecord;
use guantong_proto::data::site::{HashOption, Server};
use guantong_proto::limits::{HANDLE_LEN_MAX, MESSAGE_LEN_MAX};
use guantong_proto::message::{
    Body, Envelope, Message, OpCode, OpFlags, RequestBuilder, Response, Version,
};
use guantong_proto::wire::Writer;
use guantong_proto::{CaseRule, Handle, Permissions, Values};

use super::*;
use crate::admin::{self, Challenge, Chance, Errand, Ground, NoTables, Rules};

mod elsewhere;
mod grants;
mod plain;
mod state;

const NONE: [&str; 0] = [];

//----------- Node -----------------------------------------------------------

/// A store of a few records, and the site in front of it.
struct Node {
    site: Site,
    records: HashMap<Vec<u8>, Vec<u8>>,
}

fn site_record(servers: i32, flags: u8) -> Vec<u8> {
    let server = |id| Server {
        id,
        address: "127.0.0.1".parse().unwrap(),
        public_key: Vec::new(),
        interfaces: Vec::new(),
    };
    let record = SiteRecord {
        serial: 7,
        flags,
        hash_option: HashOption::Whole,
        servers: (1..=servers).map(server).collect(),
        ..SiteRecord::default()
    };
    record.encode()
}

fn site(homed: &[&str]) -> Site {
    let homed: Vec<Handle> = homed
        .iter()
        .map(|p| Handle::of_prefix(p).unwrap())
        .collect();
    let record = site_record(1, SiteRecord::PRIMARY);
    Site::new(record, 1, CaseRule::Insensitive, Homed::new(&homed)).unwrap()
}

impl Node {
    fn new(homed: &[&str], records: &[(&str, &[Value])]) -> Self {
        Self::with_site(site(homed), records)
    }

    fn with_site(site: Site, records: &[(&str, &[Value])]) -> Self {
        let record = |(name, values): &(&str, &[Value])| {
            let key = Handle::parse(name).unwrap().key(site.case_rule());
            (
                key.as_bytes().to_vec(),
                Writer::to_vec(|w| Values::encode(values, w)),
            )
        };
        let records = records.iter().map(record).collect();
        Self { site, records }
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
        self.answer_or(Recursion::Denied, packet, |_, _, _| {
            unreachable!("recursion is denied")
        })
    }

    /// Answers; what is to be resolved elsewhere is left to `resolver`.
    fn answer_or(
        &self,
        recursion: Recursion,
        packet: &[u8],
        resolver: impl FnOnce(Elsewhere<'_>, &Moment<'_>, &mut Vec<u8>),
    ) -> Vec<u8> {
        let mut challenge = |_: Demand<'_>| Challenge {
            session_id: 9,
            nonce: [0xaa; 16],
        };
        let mut moment = Moment {
            now_secs: 1_000,
            challenge: &mut challenge,
            recursion,
        };
        let (mut key, mut out) = (Vec::new(), Vec::new());
        let fetch = |key: &[u8]| Ok::<_, Infallible>(self.records.get(key).cloned());
        let answered = answer(
            &self.site,
            packet,
            &mut moment,
            &mut key,
            &mut out,
            fetch,
            Self::view,
        );
        match answered.unwrap() {
            Answered::Done => {}
            Answered::Elsewhere(elsewhere) => {
                assert!(out.is_empty());
                resolver(elsewhere, &moment, &mut out);
            }
            Answered::HandOver => {
                let ground = Ground {
                    site: &self.site,
                    rules: &Rules::default(),
                    now_secs: 1_000,
                    tables: &NoTables,
                };
                match Errand::new(packet, chance(), &NoTables) {
                    Ok(mut errand) => {
                        let next = errand.step(&ground, &mut moment, &mut out);
                        assert!(matches!(next, admin::Next::Done), "{next:?}");
                    }
                    Err(refusal) => refusal.reply(&self.site, &moment, &mut out),
                }
            }
        }
        out
    }

    /// `code: text` of the reply, or `code handle: indexes` of a record or referral.
    fn says(&self, packet: &[u8]) -> String {
        Self::text(&self.answer(packet))
    }

    fn text(out: &[u8]) -> String {
        if out.is_empty() {
            return "silence".into();
        }
        let message = Message::decode(out).unwrap();
        let code = message.header.code.0;
        let list = |handle: &[u8], values: Values<'_>| {
            let indexes: Vec<i32> = values.iter().map(|value| value.index).collect();
            format!("{code} {}: {indexes:?}", String::from_utf8_lossy(handle))
        };
        match Response::of(&message).unwrap().body {
            Body::Record { handle, values } => list(handle, values),
            Body::Referral { handle, values } => list(handle, values.unwrap()),
            Body::Error { text, .. } => format!("{code}: {}", String::from_utf8_lossy(text)),
            Body::Challenge { nonce } => format!("{code} nonce {}", nonce.len()),
            body => format!("{code} {body:?}"),
        }
    }
}

fn chance() -> Chance {
    Chance {
        suffix: [1; 16],
        nonce: [2; 16],
        seal: [3; 16],
        exponent: [4; 32],
    }
}

fn request(flags: OpFlags) -> RequestBuilder {
    let envelope = Envelope::new(Version::OURS, 0x0a0b_0c0d);
    RequestBuilder {
        envelope,
        flags,
        expiration: 5,
    }
}

fn default() -> RequestBuilder {
    request(OpFlags::DEFAULT)
}

fn resolve(name: &str) -> Vec<u8> {
    default().resolve(name, &[], &NONE)
}

/// A resolution that does not ask for public values only.
fn resolve_all(name: &str, indexes: &[i32]) -> Vec<u8> {
    let flags = OpFlags::DEFAULT.without(OpFlags::PUBLIC_ONLY);
    request(flags).resolve(name, indexes, &NONE)
}

fn value(index: i32, kind: &str, permissions: u8) -> Value {
    let permissions = Permissions(permissions);
    Value {
        permissions,
        ..Value::new(index, kind, "x")
    }
}

//----------- Responsibility -------------------------------------------------

const NOT_HOMED: &str = "301: That prefix doesn't live here";

#[test]
fn names_are_found_however_their_case() {
    let values = [value(1, "URL", 0x0e)];
    let node = Node::new(&["88.118.5"], &[("88.118.5/Part", &values)]);
    assert_eq!(node.says(&resolve("88.118.5/pART")), "1 88.118.5/pART: [1]");
    assert_eq!(node.says(&resolve("88.118.6/part")), NOT_HOMED);
    assert_eq!(node.says(&resolve("88.118.5/none")), "100: ");
}

#[test]
fn suffixes_keep_their_case_where_the_node_says_so() {
    let homed = [Handle::of_prefix("ab").unwrap()];
    let record = site_record(1, 0);
    let site = Site::new(record, 1, CaseRule::Sensitive, Homed::new(&homed)).unwrap();
    let node = Node::with_site(site, &[("AB/c", &[value(1, "URL", 0x0e)])]);
    assert_eq!(node.says(&resolve("aB/c")), "1 aB/c: [1]");
    assert_eq!(node.says(&resolve("AB/C")), "100: ");
}

#[test]
fn prefix_records_belong_to_whoever_homes_a_parent() {
    let values = [value(1, "HS_SERV", 0x0e)];
    let records: [(&str, &[Value]); 2] = [("0.NA/88.118.5", &values), ("0.NA/88.118", &values)];
    let node = Node::new(&["88.118"], &records);
    assert_eq!(node.says(&resolve("0.na/88.118.5")), "1 0.na/88.118.5: [1]");
    assert_eq!(node.says(&resolve("88.118.5")), "1 88.118.5: [1]");
    assert_eq!(node.says(&resolve("0.NA/88.118.6")), "100: ");
    assert_eq!(node.says(&resolve("0.NA/88.118")), "1 0.NA/88.118: [1]");
    assert_eq!(node.says(&resolve("0.NA/88.119")), NOT_HOMED);
    assert_eq!(node.says(&resolve("0.NA/88")), NOT_HOMED);
}

#[test]
fn own_prefix_record_that_is_not_here_lives_with_the_parent() {
    let node = Node::new(&["88.118.5"], &[]);
    assert_eq!(node.says(&resolve("0.NA/88.118.5")), NOT_HOMED);
}

#[test]
fn registry_answers_for_every_global_name_and_no_other() {
    let node = Node::new(&["0.NA"], &[("0.SERV/a", &[value(1, "HS_SITE", 0x0e)])]);
    assert_eq!(node.says(&resolve("0.serv/A")), "1 0.serv/A: [1]");
    assert_eq!(node.says(&resolve("0.NA/20")), "100: ");
    assert_eq!(node.says(&resolve("20.500")), "100: ");
    assert_eq!(node.says(&resolve("20.500/x")), NOT_HOMED);
}

#[test]
fn server_that_is_not_selected_by_the_hash_is_not_responsible() {
    let homed = [Handle::of_prefix("88.118").unwrap()];
    let codes = |server| {
        let record = site_record(3, SiteRecord::PRIMARY);
        let site = Site::new(record, server, CaseRule::Insensitive, Homed::new(&homed)).unwrap();
        let node = Node::with_site(site, &[]);
        let code = |n| node.says(&resolve(&format!("88.118/{n}")))[..3].to_owned();
        (0..20).map(code).collect::<Vec<_>>()
    };
    let servers = [codes(1), codes(2), codes(3)];
    for name in 0..20 {
        let held = servers.iter().filter(|codes| codes[name] == "100").count();
        let refused = servers.iter().filter(|codes| codes[name] == "301").count();
        assert_eq!((held, refused), (1, 2), "{name}");
    }
}

#[test]
fn site_without_this_server_is_refused() {
    let error = Site::new(
        site_record(2, 0),
        5,
        CaseRule::Insensitive,
        Homed::default(),
    );
    let says = "the site record has no server 5, it has [1, 2]";
    assert_eq!(error.unwrap_err().to_string(), says);
    let error = Site::new(vec![0], 1, CaseRule::Insensitive, Homed::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("the site record is damaged: ")
    );
}

//----------- Names ----------------------------------------------------------

#[test]
fn names_that_cannot_be_handles_are_102_and_the_empty_one_is_100() {
    let node = Node::new(&["88.118"], &[]);
    assert_eq!(node.says(&resolve("")), "100: ");
    let long = format!("88.118/{}", "a".repeat(HANDLE_LEN_MAX));
    let says = "102: the handle has 2055 octets, the limit is 2048";
    assert_eq!(node.says(&resolve(&long)), says);
    let body = [&[0, 0, 0, 9][..], b"88.118/\xff\xfe", &[0; 8]].concat();
    let packet = default().packet(OpCode::RESOLVE, &body);
    assert_eq!(
        node.says(&packet),
        "102: the handle is not valid UTF-8 at octet 7"
    );
}

//----------- Access ---------------------------------------------------------

#[test]
fn first_value_that_is_not_public_decides() {
    let values = [
        value(1, "URL", 0x0e),
        value(3, "SECRET", 0x0c),
        value(4, "NOONE", 0x00),
    ];
    let node = Node::new(&["a"], &[("a/b", &values)]);
    assert_eq!(node.says(&resolve("a/b")), "1 a/b: [1]");
    assert_eq!(node.says(&resolve_all("a/b", &[])), "402 nonce 16");
    assert_eq!(node.says(&resolve_all("a/b", &[4, 3])), "402 nonce 16");
    let says = "401: a value asked for may be read by nobody";
    assert_eq!(node.says(&resolve_all("a/b", &[4])), says);
    assert_eq!(node.says(&resolve_all("a/b", &[1])), "1 a/b: [1]");
    assert_eq!(node.says(&resolve_all("a/b", &[7])), "200: ");
}

#[test]
fn secret_key_is_never_sent_whatever_its_permissions() {
    let values = [value(1, "URL", 0x0e), value(301, "hs_seckey", 0x0f)];
    let node = Node::new(&["a"], &[("a/b", &values)]);
    assert_eq!(node.says(&resolve("a/b")), "1 a/b: [1]");
    assert_eq!(node.says(&default().resolve("a/b", &[301], &NONE)), "200: ");
    assert_eq!(
        node.says(&default().resolve("a/b", &[], &["HS_SECKEY"])),
        "200: "
    );
    assert_eq!(node.says(&resolve_all("a/b", &[301])), "402 nonce 16");
}

#[test]
fn record_without_values_has_none_to_be_found() {
    let node = Node::new(&["a"], &[("a/b", &[])]);
    assert_eq!(node.says(&resolve("a/b")), "200: ");
}

#[test]
fn indexes_and_types_select_by_union() {
    let values = [
        value(1, "URL", 0x0e),
        value(2, "URL.x", 0x0e),
        value(3, "EMAIL", 0x0e),
    ];
    let node = Node::new(&["a"], &[("a/b", &values)]);
    let says =
        |indexes: &[i32], types: &[&str]| node.says(&default().resolve("a/b", indexes, types));
    assert_eq!(says(&[3], &["url"]), "1 a/b: [1, 3]");
    assert_eq!(says(&[], &["url."]), "1 a/b: [1, 2]");
    assert_eq!(says(&[9], &["NONE"]), "200: ");
}

#[test]
fn longer_selections_than_records_are_refused() {
    let node = Node::new(&["a"], &[("a/b", &[value(1, "URL", 0x0e)])]);
    let indexes: Vec<i32> = (0..=i32::try_from(SELECTION_MAX).unwrap()).collect();
    assert_eq!(
        node.says(&default().resolve("a/b", &indexes[1..], &NONE)),
        "1 a/b: [1]"
    );
    let says = node.says(&default().resolve("a/b", &indexes, &NONE));
    assert!(
        says.starts_with("4: more than 2048 indexes or types"),
        "{says}"
    );
}

/// A request for thousands of types cost milliseconds at a record of thousands of values, so long
/// selections are sorted before values are looked up in them.
#[test]
fn long_selection_says_what_a_short_one_says() {
    let values = [
        value(1, "URL.x", 0x0e),
        value(2, "EMAIL", 0x0e),
        value(3, "HS_SECKEY", 0x0e),
        value(4, "SECRET", 0x0c),
        value(5, "NOTE", 0x0e),
    ];
    let node = Node::new(&["a"], &[("a/b", &values)]);
    let absent: Vec<String> = (100..200).map(|n| format!("ABSENT{n}")).collect();
    for wanted in [
        &["url."][..],
        &["Email", "hs_seckey"],
        &["SECRET", "NOTE"],
        &["URL"],
    ] {
        let types: Vec<&str> = absent
            .iter()
            .map(String::as_str)
            .chain(wanted.iter().copied())
            .collect();
        let everything = OpFlags::DEFAULT.without(OpFlags::PUBLIC_ONLY);
        for request in [default(), request(everything)] {
            for indexes in [&[][..], &[5], &[4]] {
                let long = node.says(&request.resolve("a/b", indexes, &types));
                assert_eq!(
                    long,
                    node.says(&request.resolve("a/b", indexes, wanted)),
                    "{wanted:?}"
                );
            }
        }
    }
}

#[test]
fn status_of_the_server_is_not_public() {
    let node = Node::new(&[], &[]);
    assert_eq!(node.says(&resolve("0.site/Status")), "200: ");
    assert_eq!(
        node.says(&resolve_all("0.SITE/status", &[])),
        "402 nonce 16"
    );
}

#[test]
fn prefix_may_be_homed_for_its_derived_prefixes_only() {
    let url = [value(1, "URL", 0x0e)];
    let referral = [value(2, "HS_SERV.PREFIX", 0x0e)];
    let records: [(&str, &[Value]); 3] = [
        ("0.NA/20.5.1", &url),
        ("0.NA/20.5.2", &referral),
        ("20.5./x", &url),
    ];
    let node = Node::new(&["20.5."], &records);
    assert_eq!(node.says(&resolve("0.NA/20.5.1")), "1 0.NA/20.5.1: [1]");
    assert_eq!(node.says(&resolve("0.NA/20.5.7")), "100: ");
    assert_eq!(node.says(&resolve("0.NA/20.5.2.1")), "303 : [2]");
    for not_ours in [
        "20.5/x",
        "20.5.1/x",
        "20.5./x",
        "0.NA/20.5",
        "0.NA/20.50.1",
        "0.NA/20",
    ] {
        let says = node.says(&resolve(not_ours));
        assert!(says.starts_with("301: "), "{not_ours}: {says}");
    }
    assert_eq!(node.site.homed().len(), 1);
}

//----------- Referral -------------------------------------------------------

fn delegating() -> Node {
    let referral = [
        value(1, "URL", 0x0e),
        value(2, "HS_SERV.PREFIX", 0x0e),
        value(3, "HS_SITE.PREFIX", 0x0c),
    ];
    let plain = [value(1, "URL", 0x0e)];
    Node::new(&["0.NA"], &[("0.NA/20", &referral), ("0.NA/20.5", &plain)])
}

#[test]
fn missing_derived_prefix_is_referred_by_the_nearest_parent_that_can() {
    let node = delegating();
    assert_eq!(node.says(&resolve("0.NA/20.5.7")), "303 : [2]");
    assert_eq!(node.says(&resolve("20.6")), "303 : [2]");
    assert_eq!(node.says(&resolve("0.NA/21.1")), "100: ");
    assert_eq!(node.says(&resolve("0.NA/21")), "100: ");
    assert_eq!(node.says(&resolve("0.NA/20.5")), "1 0.NA/20.5: [1]");
}

#[test]
fn nobody_is_referred_who_does_not_want_it_or_cannot_read_it() {
    let node = delegating();
    let flags = OpFlags::DEFAULT.with(OpFlags::DO_NOT_REFER);
    assert_eq!(
        node.says(&request(flags).resolve("0.NA/20.5.7", &[], &NONE)),
        "100: "
    );
    let mut old = default();
    old.envelope = Envelope {
        version: Version::new(2, 4),
        suggested: Version::new(2, 4),
        ..old.envelope
    };
    assert_eq!(
        node.says(&old.resolve("0.NA/20.5.7", &[], &NONE)),
        "301: that prefix is delegated to other servers"
    );
}

#[test]
fn number_of_parents_asked_is_bounded() {
    let node = delegating();
    let name = |dots: usize| format!("0.NA/20{}", ".1".repeat(dots));
    let most = usize::from(PARENTS_MAX);
    assert_eq!(node.says(&resolve(&name(most))), "303 : [2]");
    assert_eq!(node.says(&resolve(&name(most + 1))), "100: ");
}

//----------- Messages -------------------------------------------------------

#[test]
fn flags_of_the_reply_speak_of_the_reply() {
    let flags = |packet: &[u8]| {
        let node = Node::new(&["a"], &[("a/b", &[value(1, "URL", 0x0e)])]);
        Message::decode(&node.answer(packet)).unwrap().header.flags
    };
    let all = request(OpFlags(0xffff_ffff)).resolve("a/b", &[], &NONE);
    let cleared = OpFlags::CERTIFIED
        .with(OpFlags::CONTINUOUS)
        .with(OpFlags::STALE);
    assert_eq!(flags(&all), OpFlags(0xffff_ffff).without(cleared));
    assert_eq!(
        flags(&resolve("a/b")),
        OpFlags::DEFAULT.with(OpFlags::AUTHORITATIVE)
    );
}

#[test]
fn mirror_does_not_call_itself_authoritative_and_takes_no_changes() {
    let homed = [Handle::of_prefix("a").unwrap()];
    let site = Site::new(
        site_record(1, 0),
        1,
        CaseRule::Insensitive,
        Homed::new(&homed),
    )
    .unwrap();
    let node = Node::with_site(site, &[]);
    let packet = request(OpFlags::DEFAULT.with(OpFlags::AUTHORITATIVE)).resolve("a/b", &[], &NONE);
    assert_eq!(
        Message::decode(&node.answer(&packet)).unwrap().header.flags,
        OpFlags::DEFAULT
    );
    let says = node.says(&default().write(OpCode::CREATE, "a/b", &[]));
    assert_eq!(
        says,
        "301: this server belongs to a mirror; ask a primary site"
    );
}

#[test]
fn administration_asks_for_an_identity_after_the_checks_that_need_none() {
    let node = Node::new(&["a"], &[]);
    let create = |name, values: &[Value]| default().write(OpCode::CREATE, name, values);
    assert_eq!(node.says(&create("a/b", &[])), "402 nonce 16");
    let says = node.says(&create("a/b", &[value(0, "URL", 0x0e)]));
    assert_eq!(says, "202: value 0: an index must be above 0");
    let twice = [value(1, "URL", 0x0e), value(1, "URL", 0x0e)];
    let says = node.says(&create("a/b", &twice));
    assert_eq!(says, "201: value 1: two values have this index");
    let named = |op, name| node.says(&default().named(op, name));
    let add = default().write(OpCode::ADD_VALUE, "b/c", &[]);
    assert_eq!(node.says(&add), NOT_HOMED);
    assert_eq!(named(OpCode::DELETE, "b/c"), NOT_HOMED);
    assert_eq!(named(OpCode::DELETE, ""), "102: a handle cannot be empty");
    assert_eq!(named(OpCode::LIST_HANDLES, "0.NA/a"), "402 nonce 16");
    assert_eq!(named(OpCode::LIST_HANDLES, "0.NA/b"), NOT_HOMED);
    assert_eq!(named(OpCode::HOME_PREFIX, "b"), "402 nonce 16");
    let says = named(OpCode::HOME_PREFIX, "b/c");
    assert!(says.starts_with("102: `b/c` is not a prefix"), "{says}");
}

#[test]
fn what_is_not_offered_says_so() {
    let node = Node::new(&[], &[]);
    let says = |op, body: &[u8]| node.says(&default().packet(OpCode(op), body));
    assert_eq!(
        says(999, b""),
        "5: this node does not know the operation 999"
    );
    assert!(says(106, &[0; 4]).starts_with("5: "));
    assert!(says(401, &[0; 4]).starts_with("500: Invalid session id"));
    assert!(says(402, &[0; 4]).starts_with("5: keys of sessions are agreed on by"));
    assert!(says(200, &[0; 16]).starts_with("405: there is no such challenge"));
    assert!(says(1003, &[0; 4]).starts_with("5: "));
    assert_eq!(
        says(2001, &[0; 8]),
        "400: the identity cannot be a handle: a handle cannot be empty"
    );
    let login = Writer::to_vec(|w| {
        w.bytes(b"a/user");
        w.i32(300);
    });
    assert_eq!(
        says(2001, &login),
        "5: a login is good for its connection: log in over TCP"
    );
}

#[test]
fn malformed_input_is_4_with_the_cause_and_the_ids() {
    let node = Node::new(&["a"], &[("a/b", &[value(1, "URL", 0x0e)])]);
    #[track_caller]
    fn check(node: &Node, change: impl FnOnce(&mut Vec<u8>), says: &str) {
        let mut packet = resolve("a/b");
        change(&mut packet);
        assert!(
            node.says(&packet).starts_with(says),
            "{}",
            node.says(&packet)
        );
        let reply = node.answer(&packet);
        assert_eq!(
            Message::decode(&reply).unwrap().envelope.request_id,
            0x0a0b_0c0d
        );
    }
    let at = |at: usize, octets: &'static [u8]| {
        move |packet: &mut Vec<u8>| packet[at..at + octets.len()].copy_from_slice(octets)
    };
    check(
        &node,
        at(16, &[0, 0, 0, 10]),
        "4: message length at octet 16: is too short",
    );
    check(
        &node,
        at(16, &[0, 4, 0, 1]),
        "4: message length at octet 16: is 262145, the limit",
    );
    check(
        &node,
        at(16, &[0xff; 4]),
        "4: message length at octet 16: is negative (-1)",
    );
    check(
        &node,
        at(40, &[0xff; 4]),
        "4: body length at octet 20: is negative (-1)",
    );
    check(
        &node,
        at(44, &[0x7f, 0, 0, 0]),
        "4: 1 (resolve): handle at octet 0: needs",
    );
    check(&node, at(2, &[0x82]), "4: compressed messages are not part");
    check(
        &node,
        at(2, &[0x42]),
        "501: Invalid session id. Unable to decrypt",
    );
    check(
        &node,
        at(4, &[0, 0, 0, 1]),
        "500: Invalid session id or session time out",
    );
    check(
        &node,
        |packet| packet.truncate(50),
        "4: message at octet 20: needs",
    );
    check(&node, at(34, &[11]), "6: more than 10 servers");
}

#[test]
fn what_follows_an_impossible_length_is_not_taken_for_a_response() {
    let node = Node::new(&[], &[]);
    let mut packet = resolve("a/b");
    packet[16..20].copy_from_slice(&(-1i32).to_be_bytes());
    packet[20..].fill(b'x');
    assert!(
        node.says(&packet)
            .starts_with("4: message length at octet 16")
    );
}

#[test]
fn too_many_values_in_a_request_are_4() {
    let node = Node::new(&["a"], &[]);
    let values = vec![Value::new(1, "T", ""); 2_049];
    let says = node.says(&default().write(OpCode::CREATE, "a/b", &values));
    assert!(
        says.contains("value count at octet 7: is 2049, the limit is 2048"),
        "{says}"
    );
}

#[test]
fn responses_and_scraps_are_met_with_silence() {
    let node = Node::new(&["a"], &[("a/b", &[value(1, "URL", 0x0e)])]);
    let reply = node.answer(&resolve("a/b"));
    assert_eq!(node.says(&reply), "silence");
    let error = node.answer(&default().packet(OpCode(999), b""));
    assert_eq!(node.says(&error), "silence");
    for len in 0..20 {
        assert_eq!(node.says(&resolve("a/b")[..len]), "silence", "{len}");
    }
}

#[test]
fn every_version_is_answered_in_the_lower_of_both() {
    let node = Node::new(&["a"], &[("a/b", &[value(1, "URL", 0x0e)])]);
    let table = [
        ((2, 11), (2, 11), (2, 11)),
        ((2, 3), (2, 11), (2, 11)),
        ((2, 3), (0, 0), (2, 3)),
        ((3, 0), (3, 0), (2, 11)),
        ((2, 1), (2, 1), (2, 1)),
        ((1, 0), (1, 0), (1, 0)),
        ((5, 0), (0, 0), (5, 0)),
    ];
    for (version, suggested, answered) in table {
        let new = |(major, minor): (u8, u8)| Version::new(major, minor);
        let mut builder = default();
        builder.envelope.version = new(version);
        builder.envelope.suggested = new(suggested);
        let reply = node.answer(&builder.resolve("a/b", &[], &NONE));
        let envelope = Message::decode(&reply).unwrap().envelope;
        assert_eq!(envelope.version, new(answered), "{version:?} {suggested:?}");
        assert_eq!(envelope.suggested, Version::OURS);
    }
}

#[test]
fn answer_that_no_message_carries_becomes_an_error() {
    let values = [Value::new(1, "T", vec![0; MESSAGE_LEN_MAX])];
    let node = Node::new(&["a"], &[("a/b", &values)]);
    let says = node.says(&resolve("a/b"));
    assert!(says.starts_with("2: the answer has 262"), "{says}");
    assert!(
        says.ends_with("a message carries 262144; ask for fewer values"),
        "{says}"
    );
}

#[test]
fn failing_store_is_told_without_detail_and_reported_to_the_caller() {
    let site = site(&["a"]);
    let mut challenge = |_: Demand<'_>| unreachable!("no challenge is needed");
    let mut moment = Moment {
        now_secs: 0,
        challenge: &mut challenge,
        recursion: Recursion::Denied,
    };
    let (mut key, mut out) = (Vec::new(), Vec::new());
    let fetch = |_: &[u8]| Err::<Option<Vec<u8>>, _>("disk 7 is gone");
    let packet = resolve("a/b");
    let result = answer(
        &site,
        &packet,
        &mut moment,
        &mut key,
        &mut out,
        fetch,
        Node::view,
    );
    assert_eq!(result.unwrap_err(), "disk 7 is gone");
    let message = Message::decode(&out).unwrap();
    assert_eq!(message.header.code.0, 2);
    assert!(!out.windows(4).any(|part| part == b"disk"));
}

#[test]
fn unsigned_where_a_signature_was_asked_for_is_not_called_certified() {
    let signer = Signer::new(|_| None);
    let values = [value(1, "URL", 0x0e)];
    let node = Node::with_site(site(&["a"]).with_signer(signer), &[("a/b", &values)]);
    let packet = request(OpFlags::DEFAULT.with(OpFlags::CERTIFIED)).resolve("a/b", &[], &NONE);
    let reply = node.answer(&packet);
    let message = Message::decode(&reply).unwrap();
    assert!(!message.header.flags.has(OpFlags::CERTIFIED));
    assert_eq!(message.credential, Some(&[][..]));
}
