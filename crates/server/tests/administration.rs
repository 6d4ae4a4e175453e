//! Proof of identity and what follows from it, over real sockets: UDP, TCP, and from another
//! connection.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod support;

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use guantong_proto::crypto::challenge::answer_with_secret;
use guantong_proto::data::SecretKey;
use guantong_proto::frame::{Joined, Reassembly};
use guantong_proto::message::{
    Body, Message, OpCode, OpFlags, Request, Response, ResponseCode, Version,
};
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Permissions, Value};
use guantong_server::Running;
use guantong_server::config::{Root, Span};
use guantong_store::{Admission, Origin};

use support::admin::{
    SECRET, USER, admin_value, administered, answer, builder, code_of, dump, lens, node, pages_of,
    prove, secret_value,
};
use support::{Place, Reply, Tcp, Udp, decode, put, put_values, value};

//----------- Records --------------------------------------------------------

fn write(op: OpCode, name: &str, values: &[Value]) -> Vec<u8> {
    builder(0, 5).write(op, name, values)
}

fn remove(name: &str, indexes: &[i32]) -> Vec<u8> {
    let body = Writer::to_vec(|w| {
        w.bytes(name.as_bytes());
        w.i32_array(indexes);
    });
    builder(0, 5).packet(OpCode::REMOVE_VALUE, &body)
}

fn stored(node: &Running, name: &str) -> Vec<String> {
    let handle = Handle::parse(name).unwrap();
    let record = node.node().store.record(handle.borrow()).unwrap();
    let values = record.map(|record| record.values().to_vec().unwrap());
    let text = |value: &Value| {
        let data = String::from_utf8_lossy(&value.data);
        format!("{} {} {data}", value.index, value.kind)
    };
    values.unwrap_or_default().iter().map(text).collect()
}

#[test]
fn record_lives_its_life_over_the_network() {
    let mut place = Place::new();
    let node = administered(&mut place);
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    let name = "88.118.5/thing";
    let mut act = |request: Vec<u8>| code_of(&prove(&mut tcp, &request));
    let url = value(1, "URL", "https://example.org/");
    assert_eq!(
        act(write(OpCode::CREATE, name, &[admin_value(), url.clone()])),
        1
    );
    assert_eq!(
        act(write(OpCode::CREATE, name, std::slice::from_ref(&url))),
        101
    );
    assert_eq!(
        act(write(OpCode::ADD_VALUE, name, &[value(2, "EMAIL", "a@b")])),
        1
    );
    assert_eq!(
        act(write(OpCode::ADD_VALUE, name, &[value(2, "EMAIL", "c@d")])),
        201
    );
    assert_eq!(
        act(write(
            OpCode::MODIFY_VALUE,
            name,
            &[value(2, "EMAIL", "e@f")]
        )),
        1
    );
    assert_eq!(
        act(write(
            OpCode::MODIFY_VALUE,
            name,
            &[value(3, "EMAIL", "e@f")]
        )),
        200
    );
    assert_eq!(
        stored(&node, name)[1..],
        ["1 URL https://example.org/", "2 EMAIL e@f"]
    );
    assert_eq!(act(remove(name, &[2, 3])), 200);
    assert_eq!(act(remove(name, &[2])), 1);
    assert_eq!(stored(&node, name).len(), 2);
    assert_eq!(act(builder(0, 5).named(OpCode::DELETE, name)), 1);
    assert_eq!(act(builder(0, 5).named(OpCode::DELETE, name)), 100);
    assert!(stored(&node, name).is_empty());
}

/// Stands for a gate that admits so many times and then no more.
struct Closing(AtomicUsize);

impl Admission for Closing {
    fn admits(&self, _: &Origin) -> Result<(), Arc<str>> {
        let left = |left: usize| left.checked_sub(1);
        let admitted = self.0.fetch_update(Relaxed, Relaxed, left);
        admitted.map(drop).map_err(|_| "another takes over".into())
    }
}

#[test]
fn change_is_refused_with_the_reason_while_the_node_takes_none() {
    let mut place = Place::new();
    let node = administered(&mut place);
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    let create = write(OpCode::CREATE, "88.118.5/thing", &[value(1, "URL", "x")]);
    let home = builder(0, 5).named(OpCode::HOME_PREFIX, "88.118.6");
    let store = &node.node().store;
    store.set_admission(Arc::new(Closing(AtomicUsize::new(0))));
    for request in [create, home] {
        let reply = decode(&prove(&mut tcp, &request));
        assert_eq!(reply.code, ResponseCode::SERVER_READ_ONLY);
        assert!(reply.text.contains("another takes over"), "{}", reply.text);
    }
    assert!(stored(&node, "88.118.5/thing").is_empty());
    assert_eq!(store.homed().len(), 1);
}

#[test]
fn change_that_may_not_last_is_not_called_done() {
    let mut place = Place::new();
    let node = administered(&mut place);
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    let create = write(OpCode::CREATE, "88.118.5/thing", &[value(1, "URL", "x")]);
    // It closes between the write and the news of it.
    let closing = Closing(AtomicUsize::new(1));
    node.node().store.set_admission(Arc::new(closing));
    let reply = decode(&prove(&mut tcp, &create));
    assert_eq!(reply.code, ResponseCode::ERROR);
    assert!(reply.text.contains("not certain"), "{}", reply.text);
    assert_eq!(stored(&node, "88.118.5/thing"), ["1 URL x"]);
}

#[test]
fn change_log_says_whose_key_it_was_and_the_server_sets_the_time() {
    let mut place = Place::new();
    let node = administered(&mut place);
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    let last = node.node().store.last_change();
    let before = node.node().now_secs();
    let create = write(OpCode::CREATE, "88.118.5/thing", &[value(1, "URL", "x")]);
    assert_eq!(code_of(&prove(&mut tcp, &create)), 1);
    let entries = node.node().store.changes(last, 9).unwrap();
    let origin = Origin::Administrator {
        handle: Handle::parse(USER).unwrap(),
        index: 300,
    };
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].origin, origin);
    let handle = Handle::parse("88.118.5/thing").unwrap();
    let record = node.node().store.record(handle.borrow()).unwrap().unwrap();
    assert!(
        record
            .values()
            .iter()
            .all(|value| value.timestamp >= before)
    );
}

#[test]
fn datagrams_administer_as_well() {
    let mut place = Place::new();
    let node = administered(&mut place);
    let udp = Udp::to(node.addresses().udp[0]);
    udp.send(&write(
        OpCode::CREATE,
        "88.118.5/thing",
        &[value(1, "URL", "x")],
    ));
    let challenge = udp.receive();
    udp.send(&answer(&challenge, 300, SECRET, 2));
    assert_eq!(code_of(&udp.receive()), 1);
    assert_eq!(stored(&node, "88.118.5/thing"), ["1 URL x"]);
}

#[test]
fn minted_names_begin_as_asked_and_differ() {
    let mut place = Place::new();
    let node = administered(&mut place);
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    let mut builder = builder(0, 5);
    builder.flags = builder.flags.with(OpFlags::MINT_SUFFIX);
    let mut mint = || {
        let request = builder.write(OpCode::CREATE, "88.118.5/part-", &[value(1, "URL", "x")]);
        let reply = prove(&mut tcp, &request);
        let message = Message::decode(&reply).unwrap();
        let Body::Created(Some(name)) = Response::of(&message).unwrap().body else {
            unreachable!("{:?}", decode(&reply))
        };
        String::from_utf8(name.to_vec()).unwrap()
    };
    let (one, other) = (mint(), mint());
    assert_ne!(one, other);
    assert_eq!(one.len(), "88.118.5/part-".len() + 36);
    assert!(one.starts_with("88.118.5/part-"), "{one}");
    assert_eq!(stored(&node, &one), ["1 URL x"]);
}

#[test]
fn list_comes_in_messages_of_fifty_that_say_whether_more_follow() {
    let mut place = Place::new();
    let node = administered(&mut place);
    for n in 0..120 {
        put(&node, &format!("88.118.5/n{n:03}"), "x");
    }
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    let list = builder(0, 5).named(OpCode::LIST_HANDLES, "0.NA/88.118.5");
    let first = prove(&mut tcp, &list);
    let pages = pages_of(first, &mut tcp);
    assert_eq!(lens(&pages), [50, 50, 21]);
    let mut names = pages.concat();
    names.dedup();
    assert_eq!(names.len(), 121);
    // The connection goes on.
    assert_eq!(tcp.ask(&support::ask("88.118.5/n007", 9)).text, "x");
}

#[test]
fn list_is_sent_behind_the_answer_that_was_asked_for_first() {
    // Nobody answers for the root, so the first answer comes when its time is over.
    let root = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut place = Place::new();
    let recurse = &mut place.config.recurse;
    recurse.allow = vec!["127.0.0.0/8".parse().unwrap()];
    recurse.root = Some(Root::Addresses(vec![root.local_addr().unwrap()]));
    recurse.timeout = Span::secs(1);
    let node = administered(&mut place);
    for n in 0..60 {
        put(&node, &format!("88.118.5/n{n:03}"), "x");
    }
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    tcp.send(&builder(0, 5).named(OpCode::LIST_HANDLES, "0.NA/88.118.5"));
    let challenge = tcp.receive();
    let mut requests = support::ask("88/elsewhere", 1);
    requests.extend(answer(&challenge, 300, SECRET, 2));
    requests.extend(support::ask("88.118.5/n007", 3));
    tcp.send(&requests);
    let id_of = |reply: Vec<u8>| Message::decode(&reply).unwrap().envelope.request_id;
    let ids: Vec<i32> = (0..4).map(|_| id_of(tcp.receive())).collect();
    assert_eq!(ids, [1, 2, 2, 3]);
}

#[test]
fn list_too_long_for_datagrams_sends_the_client_to_tcp() {
    let mut place = Place::new();
    let node = administered(&mut place);
    for n in 0..60 {
        put(&node, &format!("88.118.5/n{n:03}"), "x");
    }
    let udp = Udp::to(node.addresses().udp[0]);
    udp.send(&builder(0, 5).named(OpCode::LIST_HANDLES, "0.NA/88.118.5"));
    let challenge = udp.receive();
    let reply = udp.ask(&answer(&challenge, 300, SECRET, 2));
    assert_eq!(reply.code, ResponseCode::ERROR);
    assert!(reply.text.contains("ask over TCP"), "{}", reply.text);
}

#[test]
fn prefix_is_homed_and_unhomed_at_once() {
    let mut place = Place::new();
    let node = administered(&mut place);
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    let home = builder(0, 5).named(OpCode::HOME_PREFIX, "88.118.6");
    assert_eq!(code_of(&prove(&mut tcp, &home)), 1);
    assert_eq!(code_of(&prove(&mut tcp, &home)), 1);
    assert_eq!(
        tcp.ask(&support::ask("88.118.6/x", 9)).code,
        ResponseCode::HANDLE_NOT_FOUND
    );
    let reply = prove(&mut tcp, &builder(0, 5).named(OpCode::LIST_HOMED, "/"));
    let message = Message::decode(&reply).unwrap();
    let Body::Handles(handles) = Response::of(&message).unwrap().body else {
        unreachable!("{:?}", decode(&reply))
    };
    let names: Vec<_> = handles.iter().map(String::from_utf8_lossy).collect();
    assert_eq!(names, ["0.NA/88.118.5", "0.NA/88.118.6"]);
    let unhome = builder(0, 5).named(OpCode::UNHOME_PREFIX, "88.118.6");
    assert_eq!(code_of(&prove(&mut tcp, &unhome)), 1);
    let gone = tcp.ask(&support::ask("88.118.6/x", 9)).code;
    assert_eq!(gone, ResponseCode::SERVER_NOT_RESPONSIBLE);
}

#[test]
fn restricted_value_is_read_by_who_may_and_sent_whole_to_a_proven_address() {
    let mut place = Place::new();
    place.config.limits.udp_response_max = 512;
    let node = administered(&mut place);
    let restricted = Value {
        permissions: Permissions(Permissions::ADMIN_READ),
        ..value(1, "TEXT", "x".repeat(2_000))
    };
    put_values(&node, "88.118.5/thing", &[restricted, admin_value()]);
    let mut builder = builder(0, 5);
    builder.flags = builder.flags.without(OpFlags::PUBLIC_ONLY);
    let udp = Udp::to(node.addresses().udp[0]);
    udp.send(&builder.resolve("88.118.5/thing", &[1], &[] as &[&str]));
    let challenge = udp.receive();
    udp.send(&answer(&challenge, 300, SECRET, 2));
    let mut reassembly = Reassembly::new();
    let packet = loop {
        if let Joined::Whole(packet) = reassembly.on_datagram(0, &udp.receive(), 0).unwrap() {
            break packet;
        }
    };
    assert_eq!(decode(&packet).text.len(), 2_000);
}

#[test]
fn changes_of_one_record_at_the_same_time_all_happen() {
    let mut place = Place::new();
    let node = administered(&mut place);
    put_values(&node, "88.118.5/thing", &[admin_value()]);
    let address = node.addresses().tcp[0];
    std::thread::scope(|scope| {
        for n in 1..=8 {
            scope.spawn(move || {
                let mut tcp = Tcp::to(address);
                let add = write(OpCode::ADD_VALUE, "88.118.5/thing", &[value(n, "T", "x")]);
                assert_eq!(code_of(&prove(&mut tcp, &add)), 1);
            });
        }
    });
    let handle = Handle::parse("88.118.5/thing").unwrap();
    let record = node.node().store.record(handle.borrow()).unwrap().unwrap();
    assert_eq!(record.values().len(), 9);
}

#[test]
fn secret_is_checked_for_other_servers() {
    let mut place = Place::new();
    let node = node(&mut place);
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    let mut verify = |secret: &str, index: i32| {
        let secret = SecretKey::new(secret.as_bytes());
        let signed = answer_with_secret(Version::OURS, &secret, &[1; 16], &[2; 32], &[3; 16]);
        let request = Request::VerifyAnswer {
            user: USER.as_bytes(),
            user_index: index,
            nonce: &[1; 16],
            digest: &[2; 32],
            signed: &signed,
        };
        let body = Writer::to_vec(|w| request.encode(Version::OURS, w));
        tcp.send(&builder(0, 5).packet(OpCode::VERIFY_ANSWER, &body));
        let reply = tcp.receive();
        match Response::of(&Message::decode(&reply).unwrap())
            .unwrap()
            .body
        {
            Body::Verified(octet) => i32::from(octet),
            _ => code_of(&reply),
        }
    };
    assert_eq!(verify(SECRET, 300), 1);
    assert_eq!(verify("wrong", 300), 0);
    assert_eq!(verify(SECRET, 302), 0);
    let tried = (0..200)
        .map(|_| verify("wrong", 300))
        .find(|code| *code != 0);
    assert_eq!(tried, Some(ResponseCode::SERVER_TOO_BUSY.0));
}

#[test]
fn open_node_is_changed_by_anybody_and_the_log_says_so() {
    let mut place = Place::new();
    place
        .config
        .administration
        .rules
        .anonymous_admin_full_access = true;
    let node = place.start();
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    let last = node.node().store.last_change();
    let reply = tcp.ask(&write(
        OpCode::CREATE,
        "88.118.5/thing",
        &[value(1, "URL", "x")],
    ));
    assert_eq!(reply.code, ResponseCode::SUCCESS);
    let entries = node.node().store.changes(last, 9).unwrap();
    assert_eq!(entries[0].origin, Origin::Anybody);
}

//----------- Proof ----------------------------------------------------------

fn code_and_text(reply: &Reply) -> (i32, &str) {
    (reply.code.0, &reply.text)
}

#[test]
fn proof_is_asked_for_and_taken_over_any_transport_and_connection() {
    let mut place = Place::new();
    let node = node(&mut place);
    let (udp, tcp) = (node.addresses().udp[0], node.addresses().tcp[0]);
    let mut other = Tcp::to(tcp);
    let datagrams = Udp::to(udp);
    datagrams.send(&dump(1));
    let challenge = datagrams.receive();
    let reply = other.ask(&answer(&challenge, 300, SECRET, 2));
    assert_eq!(reply.code, ResponseCode::SUCCESS, "a stream follows");
    assert_eq!((reply.op, reply.request_id), (OpCode::DUMP_HANDLES, 2));

    let mut stream = Tcp::to(tcp);
    stream.send(&dump(3));
    let challenge = stream.receive();
    let reply = datagrams.ask(&answer(&challenge, 300, SECRET, 4));
    assert_eq!(
        code_and_text(&reply),
        (5, "what is replicated is a stream: ask over TCP")
    );
    assert_eq!((reply.op, reply.request_id), (OpCode::DUMP_HANDLES, 4));
}

#[test]
fn challenge_is_good_for_one_answer() {
    let mut place = Place::new();
    let node = node(&mut place);
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    tcp.send(&dump(1));
    let challenge = tcp.receive();
    let wrong = tcp.ask(&answer(&challenge, 300, "wrong", 2));
    assert_eq!((wrong.op, wrong.code.0), (OpCode::DUMP_HANDLES, 403));
    let late = tcp.ask(&answer(&challenge, 300, SECRET, 3));
    assert_eq!((late.op, late.code.0), (OpCode::CHALLENGE_ANSWER, 405));
}

#[test]
fn identity_without_the_right_is_told_which_setting_gives_it() {
    let mut place = Place::new();
    let node = node(&mut place);
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    tcp.send(&dump(1));
    let challenge = tcp.receive();
    let reply = tcp.ask(&answer(&challenge, 301, SECRET, 2));
    assert_eq!(reply.code, ResponseCode::INVALID_ADMIN);
    let says = "301:88.118.5/admin is not among administration.replication_admins of this node";
    assert_eq!(reply.text, says);
}

#[test]
fn revoked_key_proves_nothing() {
    let mut place = Place::new();
    let node = node(&mut place);
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    tcp.send(&dump(1));
    let challenge = tcp.receive();
    put_values(&node, USER, &[secret_value(301)]);
    assert_eq!(tcp.ask(&answer(&challenge, 300, SECRET, 2)).code.0, 403);
}

#[test]
fn identity_whose_secret_is_tried_too_often_has_to_wait() {
    let mut place = Place::new();
    let node = node(&mut place);
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    let mut last = 0;
    for request_id in 1..=200 {
        tcp.send(&dump(request_id));
        let challenge = tcp.receive();
        last = tcp
            .ask(&answer(&challenge, 300, "wrong", request_id))
            .code
            .0;
        if last != 403 {
            break;
        }
    }
    assert_eq!(last, ResponseCode::SERVER_TOO_BUSY.0);
}

#[test]
fn keys_of_other_servers_are_not_made_up() {
    let mut place = Place::new();
    place.config.administration.rules.replication_admins = vec!["300:1.2/x".parse().unwrap()];
    let node = place.start();
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    tcp.send(&dump(1));
    let challenge = tcp.receive();
    let mut packet = answer(&challenge, 300, SECRET, 2);
    let at = packet
        .windows(USER.len())
        .position(|part| part == USER.as_bytes());
    let at = at.unwrap();
    packet[at..at + USER.len()].copy_from_slice(b"12.345.6/admin");
    let reply = decode(&{
        tcp.send(&packet);
        tcp.receive()
    });
    assert_eq!(
        reply.code,
        ResponseCode::UNABLE_TO_AUTHENTICATE,
        "{reply:?}"
    );
    assert!(reply.text.contains("does not ask them"), "{}", reply.text);
}
