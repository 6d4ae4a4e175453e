//! Names that live elsewhere: referred (302), or handed to the resolver and answered from what it
//! found.

use super::*;
use guantong_proto::data::site::{Interface, InterfaceKind, Protocol};
use guantong_proto::message::ResponseCode;

const HANDLE: &str = "88.118.5/Part";

/// A registry of prefixes that knows who serves 88.118.5, and says so to everybody.
fn registry() -> Node {
    let delegated = [
        value(1, "HS_SITE", 0x0e),
        value(2, "hs_site.6", 0x0e),
        value(3, "HS_SERV", 0x0c),
        value(4, "HS_SITE.PREFIX", 0x0e),
        value(100, "HS_ADMIN", 0x0e),
    ];
    let undelegated = [value(100, "HS_ADMIN", 0x0e)];
    let records: [(&str, &[Value]); 2] = [
        ("0.NA/88.118.5", &delegated),
        ("0.NA/88.118.6", &undelegated),
    ];
    Node::new(&["88.118"], &records)
}

fn with(flag: OpFlags, name: &str) -> Vec<u8> {
    request(OpFlags::DEFAULT.with(flag)).resolve(name, &[], &NONE)
}

//----------- Service referral -----------------------------------------------

#[test]
fn name_under_a_delegated_prefix_is_referred_to_its_servers() {
    assert_eq!(registry().says(&resolve(HANDLE)), "302 : [1, 2]");
}

#[test]
fn name_is_not_referred_where_nothing_says_who_serves_it() {
    let node = registry();
    assert_eq!(node.says(&resolve("88.118.6/x")), NOT_HOMED);
    assert_eq!(node.says(&resolve("88.118.7/x")), NOT_HOMED);
    assert_eq!(node.says(&resolve("88.119/x")), NOT_HOMED);
    assert_eq!(node.says(&resolve("0.SERV/x")), NOT_HOMED);
    assert_eq!(node.says(&resolve("0.NA/88.119")), NOT_HOMED);
}

#[test]
fn own_copy_of_a_prefix_record_refers_nobody() {
    let values = [value(1, "HS_SITE", 0x0e)];
    let node = Node::new(&["88.118.5"], &[("0.NA/88.118", &values)]);
    assert_eq!(node.says(&resolve("88.118/x")), NOT_HOMED);
}

/// A second-level node kept a copy of its own prefix record and referred everybody who asked for a
/// prefix that nobody had registered to itself.
#[test]
fn nobody_is_referred_to_the_server_that_was_asked() {
    let mut own = SiteRecord::decode(&site_record(1, SiteRecord::PRIMARY)).unwrap();
    own.servers[0].public_key = b"a key".to_vec();
    own.servers[0].interfaces = vec![Interface {
        kind: InterfaceKind::BOTH,
        protocol: Protocol::TCP,
        port: 2641,
    }];
    // On the same machine, and with the same key.
    let mut other = own.clone();
    other.servers[0].interfaces[0].port = 2642;
    let values_of = |served: &SiteRecord| {
        let site = |index, kind: &str| Value::new(index, kind, served.encode());
        [site(1, "HS_SITE"), site(2, "HS_SITE.PREFIX")]
    };
    let says = |served: &SiteRecord, name: &str| {
        let homed = [Handle::of_prefix("88.118").unwrap()];
        let homed = Homed::new(&homed);
        let site = Site::new(own.encode(), 1, CaseRule::Insensitive, homed).unwrap();
        let values = values_of(served);
        let records: [(&str, &[Value]); 2] = [("0.NA/88.118", &values), ("0.NA/88.118.5", &values)];
        Node::with_site(site, &records).says(&resolve(name))
    };
    assert_eq!(says(&own, "0.NA/88.118.9"), "100: ");
    assert_eq!(says(&own, "88.118.5/x"), NOT_HOMED);
    assert_eq!(says(&other, "0.NA/88.118.9"), "303 : [2]");
    assert_eq!(says(&other, "88.118.5/x"), "302 : [1]");
}

#[test]
fn service_referral_is_not_given_to_who_does_not_want_it_or_cannot_read_it() {
    let node = registry();
    assert_eq!(node.says(&with(OpFlags::DO_NOT_REFER, HANDLE)), NOT_HOMED);
    let mut old = default();
    old.envelope.suggested = Version::new(2, 4);
    assert_eq!(
        node.says(&old.resolve(HANDLE, &[], &NONE)),
        "301: that prefix is delegated to other servers"
    );
}

#[test]
fn typed_query_gets_the_same_referral() {
    let node = registry();
    let fetch = |key: &[u8]| Ok::<_, Infallible>(node.records.get(key).cloned());
    let outcome = crate::authority::resolve(&node.site, Query::public(HANDLE), fetch, Node::view);
    let Outcome::ServiceReferral(values) = outcome.unwrap().unwrap() else {
        panic!("no referral");
    };
    let indexes: Vec<i32> = values.iter().map(|value| value.index).collect();
    assert_eq!(indexes, [1, 2]);
    assert_eq!(
        http_status(ResponseCode(302), HttpOperation::Resolve, false),
        300
    );
}

//----------- Handing over ---------------------------------------------------

/// What becomes of `packet` at a node that recurses: `elsewhere`, or what it says itself.
fn fate(node: &Node, packet: &[u8]) -> String {
    let mut handed = false;
    let out = node.answer_or(Recursion::Granted, packet, |_, _, _| handed = true);
    match handed {
        true => "elsewhere".into(),
        false => Node::text(&out),
    }
}

#[test]
fn names_that_are_not_ours_go_to_the_resolver() {
    let node = delegating();
    assert_eq!(fate(&node, &resolve("88.118.5/x")), "elsewhere");
    assert_eq!(fate(&node, &resolve("0.NA/20.5.7")), "elsewhere");
    assert_eq!(fate(&node, &resolve("20.5.7")), "elsewhere");
    assert_eq!(fate(&registry(), &resolve(HANDLE)), "elsewhere");
    let copy = Node::new(&["88.118.5"], &[]);
    assert_eq!(fate(&copy, &resolve("88.118.5")), "elsewhere");
}

#[test]
fn names_that_are_ours_and_names_that_cannot_be_do_not() {
    let node = delegating();
    assert_eq!(fate(&node, &resolve("0.NA/20.5")), "1 0.NA/20.5: [1]");
    assert_eq!(fate(&node, &resolve("0.NA/21")), "100: ");
    assert_eq!(fate(&node, &resolve("0.SITE/status")), "200: ");
    let long = format!("88.118/{}", "a".repeat(HANDLE_LEN_MAX));
    assert!(fate(&node, &resolve(&long)).starts_with("102: "));
    let mut passed_on = resolve("a/b");
    passed_on[34] = 11;
    assert!(fate(&node, &passed_on).starts_with("6: "));
}

#[test]
fn whoever_does_not_ask_for_recursion_gets_none() {
    let packet = request(OpFlags::DEFAULT.without(OpFlags::RECURSIVE)).resolve("a/b", &[], &NONE);
    assert_eq!(fate(&registry(), &packet), NOT_HOMED);
}

#[test]
fn query_for_the_resolver_says_what_the_request_said() {
    let flags = OpFlags::DEFAULT
        .with(OpFlags::AUTHORITATIVE)
        .with(OpFlags::CERTIFIED)
        .without(OpFlags::PUBLIC_ONLY);
    let mut packet = request(flags).resolve("a/b", &[3], &["URL"]);
    packet[34] = 2;
    let check = |elsewhere: Elsewhere<'_>, _: &Moment<'_>, _: &mut Vec<u8>| {
        let query = elsewhere.query();
        assert_eq!(query.handle, b"a/b");
        assert!(query.authoritative && query.certified && !query.public_only);
        assert!(query.selection.selects(3, b"X") && query.selection.selects(1, b"url"));
        assert!(!query.selection.selects(1, b"EMAIL"));
        assert_eq!(query.recursion_count, 2);
        assert_eq!(query.question().unwrap().recursion_count, 3);
    };
    registry().answer_or(Recursion::Granted, &packet, check);
}

//----------- Answering ------------------------------------------------------

fn wire(values: &[Value]) -> Vec<u8> {
    Writer::to_vec(|w| Values::encode(values, w))
}

/// The reply to `packet` when the resolver found this.
fn found(packet: &[u8], outcome: &Outcome<&[u8]>, age: Age) -> Vec<u8> {
    registry().answer_or(Recursion::Granted, packet, |elsewhere, moment, out| {
        elsewhere.answer(Found { outcome, age }, moment, out);
    })
}

#[test]
fn found_values_are_answered_under_the_name_as_asked_without_our_authority() {
    let values = wire(&[value(1, "URL", 0x0e), value(2, "EMAIL", 0x0e)]);
    let asked = with(OpFlags::RETURN_DIGEST, "A/b");
    let reply = found(&asked, &Outcome::Record(&values), Age::Current);
    assert_eq!(Node::text(&reply), "1 A/b: [1, 2]");
    let message = Message::decode(&reply).unwrap();
    assert_eq!(message.envelope.request_id, 0x0a0b_0c0d);
    assert_eq!(
        message.header.flags,
        OpFlags::DEFAULT.with(OpFlags::RETURN_DIGEST)
    );
    assert_eq!(message.header.expiration, 1_000 + 43_200);
    let request = Message::decode(&asked).unwrap();
    let digest = Response::of(&message).unwrap().digest.unwrap();
    let expected = guantong_proto::crypto::hash::request_digest(digest.hash, &request);
    assert_eq!(digest.octets, expected);
}

#[test]
fn bare_prefix_is_echoed_as_asked() {
    let values = wire(&[value(1, "HS_SITE", 0x0e)]);
    let reply = found(
        &resolve("88.111.1"),
        &Outcome::Record(&values),
        Age::Current,
    );
    assert_eq!(Node::text(&reply), "1 88.111.1: [1]");
}

#[test]
fn whole_record_answers_a_selective_question() {
    let values = wire(&[value(1, "URL", 0x0e), value(2, "EMAIL", 0x0e)]);
    let says = |indexes: &[i32], types: &[&str]| {
        let packet = default().resolve("a/b", indexes, types);
        Node::text(&found(&packet, &Outcome::Record(&values), Age::Current))
    };
    assert_eq!(says(&[2], &[]), "1 a/b: [2]");
    assert_eq!(says(&[], &["url"]), "1 a/b: [1]");
    assert_eq!(says(&[7], &["NONE"]), "200: ");
}

#[test]
fn stale_answer_says_so_and_soon_expires() {
    let values = wire(&[value(1, "URL", 0x0e)]);
    let reply = found(&resolve("a/b"), &Outcome::Record(&values), Age::Stale);
    let header = Message::decode(&reply).unwrap().header;
    assert_eq!(header.flags, OpFlags::DEFAULT.with(OpFlags::STALE));
    assert_eq!(header.expiration, 1_030);
}

#[test]
fn what_was_not_found_and_why_is_passed_on() {
    let says =
        |outcome: Outcome<&[u8]>| Node::text(&found(&resolve("a/b"), &outcome, Age::Current));
    assert_eq!(says(Outcome::NotFound), "100: ");
    assert_eq!(says(Outcome::ValuesNotFound), "200: ");
    for (trouble, code) in [
        (Trouble::Busy, 3),
        (Trouble::Unreachable, 2),
        (Trouble::TooLate, 2),
        (Trouble::Unsound, 2),
        (Trouble::TooDeep, 6),
        (Trouble::Restricted, 401),
        (Trouble::Refused(ResponseCode::SERVER_READ_ONLY), 7),
    ] {
        let outcome = Outcome::Unresolved(trouble, "why".into());
        assert_eq!(says(outcome), format!("{code}: why"));
    }
}

#[test]
fn failures_behind_a_gateway_have_statuses_of_their_own() {
    let status = |trouble| Outcome::<()>::Unresolved(trouble, String::new()).own_status();
    assert_eq!(status(Trouble::Unreachable), Some(504));
    assert_eq!(status(Trouble::TooLate), Some(504));
    assert_eq!(status(Trouble::Unsound), Some(502));
    assert_eq!(status(Trouble::Busy), None);
}

#[test]
fn what_others_said_is_signed_only_for_those_who_let_a_cache_certify() {
    let signer = Signer::new(|_| Some(vec![1, 2, 3]));
    let node = Node::with_site(site(&["a"]).with_signer(signer), &[]);
    let values = wire(&[value(1, "URL", 0x0e)]);
    let signed = |flags| {
        let packet = request(flags).resolve("b/c", &[], &NONE);
        let reply = node.answer_or(Recursion::Granted, &packet, |elsewhere, moment, out| {
            let outcome = &Outcome::Record(&values[..]);
            let age = Age::Current;
            elsewhere.answer(Found { outcome, age }, moment, out);
        });
        let message = Message::decode(&reply).unwrap();
        (
            message.header.flags.has(OpFlags::CERTIFIED),
            message.credential.unwrap().len(),
        )
    };
    let certified = OpFlags::DEFAULT.with(OpFlags::CERTIFIED);
    assert_eq!(signed(certified), (true, 3));
    assert_eq!(
        signed(certified.without(OpFlags::CACHE_CERTIFY)),
        (false, 0)
    );
}
