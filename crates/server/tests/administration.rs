//! Proof of identity and what follows from it, over real sockets: UDP, TCP, and from another
//! connection.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod support;

use guantong_proto::crypto::challenge::answer_with_secret;
use guantong_proto::data::SecretKey;
use guantong_proto::message::{
    Body, Envelope, Message, OpCode, OpFlags, RequestBuilder, Response, ResponseCode, Version,
};
use guantong_proto::wire::Writer;
use guantong_proto::{Permissions, Value};
use guantong_server::Running;

use support::{Place, Reply, Tcp, Udp, decode, put_values, value};

const USER: &str = "88.118.5/admin";
const SECRET: &str = "correct horse battery staple";

/// A secret key that administrators may read.
fn secret_value(index: i32) -> Value {
    Value {
        permissions: Permissions(Permissions::ADMIN_READ | Permissions::ADMIN_WRITE),
        ..value(index, "HS_SECKEY", SECRET)
    }
}

fn node(place: &mut Place) -> Running {
    let admin = format!("300:{USER}").parse().unwrap();
    place.config.administration.rules.replication_admins = vec![admin];
    let node = place.start();
    put_values(&node, USER, &[secret_value(300), secret_value(301)]);
    node
}

fn builder(session_id: i32, request_id: i32) -> RequestBuilder {
    let mut envelope = Envelope::new(Version::OURS, request_id);
    envelope.session_id = session_id;
    RequestBuilder {
        envelope,
        flags: OpFlags::DEFAULT,
        expiration: u32::MAX / 2,
    }
}

/// A request for everything, as a mirror asks.
fn dump(request_id: i32) -> Vec<u8> {
    let body = Writer::to_vec(|w| {
        w.u8(2);
        w.i32(1);
        w.i32(0);
    });
    builder(0, request_id).packet(OpCode::DUMP_HANDLES, &body)
}

/// The answer to a challenge by secret key.
fn answer(challenge: &[u8], index: i32, secret: &str, request_id: i32) -> Vec<u8> {
    let message = Message::decode(challenge).unwrap();
    let response = Response::of(&message).unwrap();
    let Body::Challenge { nonce } = response.body else {
        unreachable!("{response:?}")
    };
    let (secret, digest) = (SecretKey::new(secret.as_bytes()), response.digest.unwrap());
    let signed = answer_with_secret(Version::OURS, &secret, nonce, digest.octets, &[3; 16]);
    let body = Writer::to_vec(|w| {
        w.bytes(b"HS_SECKEY");
        w.bytes(USER.as_bytes());
        w.i32(index);
        w.bytes(&signed);
    });
    let session_id = message.envelope.session_id;
    builder(session_id, request_id).packet(OpCode::CHALLENGE_ANSWER, &body)
}

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
    assert_eq!(
        code_and_text(&reply),
        (5, "this node has no replication feed")
    );
    assert_eq!((reply.op, reply.request_id), (OpCode::DUMP_HANDLES, 2));

    let mut stream = Tcp::to(tcp);
    stream.send(&dump(3));
    let challenge = stream.receive();
    let reply = datagrams.ask(&answer(&challenge, 300, SECRET, 4));
    assert_eq!(
        code_and_text(&reply),
        (5, "this node has no replication feed")
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
