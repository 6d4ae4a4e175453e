//! Sessions and logins over real sockets: what a message needs to be taken, and what ends them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod support;

use guantong_proto::crypto::session::Cipher;
use guantong_proto::crypto::session::{
    OAKLEY_GROUP_2, SessionKey, dh_public_key, dh_shared_secret,
};
use guantong_proto::crypto::{Credential, credential};
use guantong_proto::data::PublicKey;
use guantong_proto::data::key::Number;
use guantong_proto::message::{
    Body, KeyExchange, Message, OpCode, OpFlags, Packet, Request, Response, SessionSetup, Version,
};
use guantong_proto::wire::Writer;
use guantong_proto::{Permissions, Value, Values};
use guantong_server::Running;

use support::admin::{SECRET, USER, admin_value, administered, answer, builder, code_of};
use support::admin::{lens, pages_of, secret_value, write_request};
use support::{Place, Tcp, Udp, put_values, value};

const THING: &str = "88.118.5/thing";

//----------- Client ---------------------------------------------------------

/// A client's end of a session.
struct Session {
    id: i32,
    key: SessionKey,
    counter: i32,
}

impl Session {
    /// Begins a session that `user` will authenticate.
    fn begin(tcp: &mut Tcp, user: &str) -> Self {
        let (p, g) = (Number::new(&OAKLEY_GROUP_2), Number::new(&[2]));
        let x = Number::new(&[0x5a; 32]);
        let public = PublicKey::Dh(dh_public_key(&p, &g, &x).unwrap()).encode();
        tcp.send(&setup(user, &public));
        let reply = tcp.receive();
        let message = Message::decode(&reply).unwrap();
        assert!(message.credential.is_some_and(|octets| !octets.is_empty()));
        let Body::Session { mode: 4, data, .. } = Response::of(&message).unwrap().body else {
            unreachable!("{:?}", support::decode(&reply))
        };
        let Ok(PublicKey::Dh(theirs)) = PublicKey::decode(&data[4..]) else {
            unreachable!("{data:?}")
        };
        let secret = dh_shared_secret(&theirs, &x).unwrap();
        Self {
            id: message.envelope.session_id,
            key: SessionKey::derive(Cipher::Aes, &secret).unwrap(),
            counter: 0,
        }
    }

    /// The packet with the id of the session, and with its code.
    fn wrap(&mut self, packet: &[u8]) -> Vec<u8> {
        self.counter += 1;
        self.wrap_as(packet, self.counter)
    }

    fn wrap_as(&self, packet: &[u8], counter: i32) -> Vec<u8> {
        let mut message = Message::decode(packet).unwrap();
        message.envelope.session_id = self.id;
        let octets = credential::authenticate(&message, counter, self.key.as_bytes());
        message.credential = Some(&octets);
        let mut out = Vec::new();
        message.encode(&mut out);
        out
    }

    fn ask(&mut self, tcp: &mut Tcp, packet: &[u8]) -> Vec<u8> {
        tcp.send(&self.wrap(packet));
        tcp.receive()
    }

    /// Proves who it is; the reply to what was held up.
    fn prove(&mut self, tcp: &mut Tcp, packet: &[u8]) -> Vec<u8> {
        let challenge = self.ask(tcp, packet);
        assert_eq!(code_of(&challenge), 402);
        self.ask(tcp, &answer(&challenge, 300, SECRET, 9))
    }
}

fn setup(user: &str, public: &[u8]) -> Vec<u8> {
    let request = Request::SessionSetup(SessionSetup {
        timeout: 600,
        identity: user.as_bytes(),
        identity_index: 300,
        exchange: KeyExchange::DiffieHellman(public),
        padding: &[0, 0],
    });
    let body = Writer::to_vec(|w| request.encode(Version::OURS, w));
    let mut builder = builder(0, 1);
    builder.flags = builder.flags.with(OpFlags::CERTIFIED);
    builder.packet(OpCode::SESSION_SETUP, &body)
}

fn create(name: &str) -> Vec<u8> {
    write_request(OpCode::CREATE, name, &[value(1, "URL", "x"), admin_value()])
}

fn delete(name: &str) -> Vec<u8> {
    builder(0, 5).named(OpCode::DELETE, name)
}

fn begun(place: &mut Place) -> (Running, Tcp, Session) {
    let node = administered(place);
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    let session = Session::begin(&mut tcp, USER);
    (node, tcp, session)
}

//----------- Sessions -------------------------------------------------------

#[test]
fn identity_is_proven_once_in_a_session() {
    let mut place = Place::new();
    let (_node, mut tcp, mut session) = begun(&mut place);
    assert_eq!(code_of(&session.prove(&mut tcp, &create(THING))), 1);
    assert_eq!(code_of(&session.ask(&mut tcp, &delete(THING))), 1);
    assert_eq!(
        code_of(&session.ask(&mut tcp, &create("88.118.5/other"))),
        1
    );
}

#[test]
fn message_without_code_with_a_wrong_one_or_sent_twice_is_refused() {
    let mut place = Place::new();
    let (_node, mut tcp, mut session) = begun(&mut place);
    session.prove(&mut tcp, &create(THING));
    let mut bare = delete(THING);
    bare[4..8].copy_from_slice(&session.id.to_be_bytes());
    let mut ask = |packet: &[u8]| {
        tcp.send(packet);
        code_of(&tcp.receive())
    };
    assert_eq!(ask(&bare), 404);
    let mut wrong = session.wrap(&delete(THING));
    let last = wrong.len() - 1;
    wrong[last] ^= 1;
    assert_eq!(ask(&wrong), 404);
    let resolve = session.wrap(&support::ask(THING, 3));
    assert_eq!(ask(&resolve), 1);
    assert_eq!(ask(&resolve), 505);
    let jump = session.wrap_as(&support::ask(THING, 4), session.counter + 1_000);
    assert_eq!(ask(&jump), 1);
    assert_eq!(
        ask(&session.wrap(&delete(THING))),
        1,
        "lower, and not seen yet"
    );
}

#[test]
fn session_is_used_from_another_connection_and_over_datagrams() {
    let mut place = Place::new();
    let (node, mut tcp, mut session) = begun(&mut place);
    session.prove(&mut tcp, &create(THING));
    let mut other = Tcp::to(node.addresses().tcp[0]);
    assert_eq!(code_of(&session.ask(&mut other, &delete(THING))), 1);
    let udp = Udp::to(node.addresses().udp[0]);
    udp.send(&session.wrap(&create(THING)));
    assert_eq!(code_of(&udp.receive()), 1);
}

#[test]
fn list_goes_where_the_proof_or_the_request_came_from_and_connections_go_on() {
    let mut place = Place::new();
    let (node, mut tcp, mut session) = begun(&mut place);
    for n in 0..120 {
        put_values(&node, &format!("88.118.5/n{n:03}"), &[value(1, "URL", "x")]);
    }
    let list = builder(0, 5).named(OpCode::LIST_HANDLES, "0.NA/88.118.5");
    let challenge = session.ask(&mut tcp, &list);
    assert_eq!(code_of(&challenge), 402);
    let mut other = Tcp::to(node.addresses().tcp[0]);
    let first = session.ask(&mut other, &answer(&challenge, 300, SECRET, 9));
    assert_eq!(lens(&pages_of(first, &mut other)), [50, 50, 21]);
    // Now it is proven.
    let first = session.ask(&mut tcp, &list);
    assert_eq!(lens(&pages_of(first, &mut tcp)), [50, 50, 21]);
    for tcp in [&mut tcp, &mut other] {
        assert_eq!(tcp.ask(&support::ask("88.118.5/n007", 9)).text, "x");
    }
    assert_eq!(code_of(&session.ask(&mut other, &create(THING))), 1);
}

#[test]
fn restricted_values_go_out_encrypted_and_certified_replies_are_numbered() {
    let mut place = Place::new();
    let (node, mut tcp, mut session) = begun(&mut place);
    let restricted = Value {
        permissions: Permissions(Permissions::ADMIN_READ),
        ..value(1, "NOTE", "for administrators")
    };
    put_values(&node, THING, &[restricted, admin_value()]);
    let mut builder = builder(0, 5);
    builder.flags = builder
        .flags
        .without(OpFlags::PUBLIC_ONLY)
        .with(OpFlags::CERTIFIED);
    let read = builder.resolve(THING, &[1], &[] as &[&str]);
    let mut counters = Vec::new();
    let mut open = |packet: &[u8]| {
        let packet = Packet::decode(packet).unwrap();
        assert!(packet.envelope.encrypted);
        let clear = session.key.decrypt(Version::OURS, packet.octets).unwrap();
        let message = Message::parse(packet.envelope, &clear).unwrap();
        let credential = Credential::of(&message).unwrap().unwrap();
        assert_eq!(
            credential.verify_mac(&message, session.key.as_bytes()),
            Ok(())
        );
        counters.push(credential.counter);
        let Body::Record { values, .. } = Response::of(&message).unwrap().body else {
            unreachable!("{message:?}")
        };
        values.iter().next().unwrap().data.to_vec()
    };
    let key = session.key.clone();
    let mut client = Session {
        id: session.id,
        key,
        counter: 0,
    };
    let challenge = client.ask(&mut tcp, &read);
    let mut proof = answer(&challenge, 300, SECRET, 9);
    proof[28] |= 0x40;
    let first = client.ask(&mut tcp, &proof);
    assert_eq!(open(&first), b"for administrators");
    assert_eq!(open(&client.ask(&mut tcp, &read)), b"for administrators");
    // The challenge was number 1.
    assert_eq!(counters, [2, 3]);
    session.counter = client.counter;
}

#[test]
fn encrypted_requests_are_read_and_answered_in_kind() {
    let mut place = Place::new();
    let (node, mut tcp, mut session) = begun(&mut place);
    put_values(&node, THING, &[value(1, "TEXT", "open")]);
    let mut builder = builder(0, 5);
    builder.flags = builder.flags.with(OpFlags::ENCRYPT);
    let mut request = builder.resolve(THING, &[], &[] as &[&str]);
    // The code covers the message as it is before it is encrypted.
    request = session.wrap(&request);
    let encrypted = |session: &Session, packet: &[u8]| {
        let packet = Packet::decode(packet).unwrap();
        let octets = session
            .key
            .encrypt(Version::OURS, packet.octets, &[9; 16])
            .unwrap();
        let mut envelope = packet.envelope;
        envelope.encrypted = true;
        envelope.message_len = i32::try_from(octets.len()).unwrap();
        let mut out = Writer::to_vec(|w| envelope.encode(w));
        out.extend_from_slice(&octets);
        out
    };
    tcp.send(&encrypted(&session, &request));
    let reply = tcp.receive();
    let packet = Packet::decode(&reply).unwrap();
    assert!(packet.envelope.encrypted);
    let clear = session.key.decrypt(Version::OURS, packet.octets).unwrap();
    let message = Message::parse(packet.envelope, &clear).unwrap();
    assert_eq!(message.header.code.0, 1);
    // Whatever is wrong with an encrypted message, the answer is the same.
    let mut damaged = encrypted(&session, &request);
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    let mut bare = support::ask(THING, 8);
    bare[4..8].copy_from_slice(&session.id.to_be_bytes());
    for packet in [damaged, encrypted(&session, &bare)] {
        tcp.send(&packet);
        let reply = support::decode(&tcp.receive());
        assert_eq!(reply.code.0, 501);
        assert!(reply.text.contains("cannot be decrypted"), "{}", reply.text);
    }
}

#[test]
fn name_that_is_delegated_is_referred_in_a_session_as_outside_of_one() {
    let mut place = Place::new();
    let (node, mut tcp, mut session) = begun(&mut place);
    let other = Place::homing(&["88.118.5.1"]).start();
    let site = other.node().site().record().to_vec();
    put_values(&node, "0.NA/88.118.5.1", &[value(1, "HS_SITE", site)]);
    let request = support::ask("88.118.5.1/x", 6);
    tcp.send(&request);
    let outside = tcp.receive();
    let inside = session.ask(&mut tcp, &request);
    assert_eq!((code_of(&outside), code_of(&inside)), (302, 302));
    let body = |packet: &[u8]| Message::decode(packet).unwrap().body.to_vec();
    assert_eq!(body(&inside), body(&outside));
}

#[test]
fn session_that_was_ended_or_never_begun_is_unknown() {
    let mut place = Place::new();
    let (_node, mut tcp, mut session) = begun(&mut place);
    let end = builder(0, 5).named(OpCode::SESSION_TERMINATE, "/");
    let mut bare = end.clone();
    bare[4..8].copy_from_slice(&session.id.to_be_bytes());
    tcp.send(&bare);
    assert_eq!(code_of(&tcp.receive()), 502);
    assert_eq!(code_of(&session.ask(&mut tcp, &end)), 1);
    assert_eq!(
        code_of(&session.ask(&mut tcp, &support::ask(THING, 6))),
        500
    );
    session.id = 77;
    assert_eq!(
        code_of(&session.ask(&mut tcp, &support::ask(THING, 7))),
        500
    );
}

#[test]
fn key_that_is_revoked_ends_what_was_proven_by_it() {
    let mut place = Place::new();
    let (node, mut tcp, mut session) = begun(&mut place);
    assert_eq!(code_of(&session.prove(&mut tcp, &create(THING))), 1);
    let other = Value {
        data: b"another secret".to_vec(),
        ..secret_value(300)
    };
    put_values(&node, USER, &[other]);
    let challenge = session.ask(&mut tcp, &delete(THING));
    assert_eq!(code_of(&challenge), 402);
    let reply = session.ask(&mut tcp, &answer(&challenge, 300, SECRET, 9));
    assert_eq!(code_of(&reply), 403);
}

#[test]
fn another_identity_than_the_one_that_was_named_is_not_admitted() {
    let mut place = Place::new();
    let node = administered(&mut place);
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    let mut session = Session::begin(&mut tcp, "88.118.5/somebody");
    assert_eq!(code_of(&session.prove(&mut tcp, &create(THING))), 400);
    assert_eq!(code_of(&session.ask(&mut tcp, &create(THING))), 402);
}

#[test]
fn answer_of_one_session_is_no_answer_in_another() {
    let mut place = Place::new();
    let (_node, mut tcp, mut session) = begun(&mut place);
    let mut other = Session::begin(&mut tcp, USER);
    let challenge = session.ask(&mut tcp, &create(THING));
    assert_eq!(code_of(&challenge), 402);
    let reply = other.ask(&mut tcp, &answer(&challenge, 300, SECRET, 9));
    assert_eq!(code_of(&reply), 405);
}

#[test]
fn other_ways_to_agree_on_a_key_are_refused() {
    let mut place = Place::new();
    let node = administered(&mut place);
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    for exchange in [
        KeyExchange::ServerKey,
        KeyExchange::ClientKey(b"x"),
        KeyExchange::DiffieHellman(b"x"),
    ] {
        let expected = match exchange {
            KeyExchange::DiffieHellman(_) => 502,
            _ => 501,
        };
        let request = Request::SessionSetup(SessionSetup {
            timeout: 600,
            identity: b"",
            identity_index: -1,
            exchange,
            padding: &[],
        });
        let body = Writer::to_vec(|w| request.encode(Version::OURS, w));
        tcp.send(&builder(0, 1).packet(OpCode::SESSION_SETUP, &body));
        assert_eq!(code_of(&tcp.receive()), expected);
    }
}

//----------- Logins ---------------------------------------------------------

const LOGIN_ID: i32 = 10_001;

/// A packet as the SDK writes it: version 2.10, its own id, no code.
fn as_sdk(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    packet[1] = 10;
    packet[4..8].copy_from_slice(&LOGIN_ID.to_be_bytes());
    packet
}

fn login_request() -> Vec<u8> {
    let body = Writer::to_vec(|w| {
        w.bytes(USER.as_bytes());
        w.i32(300);
    });
    let mut builder = builder(LOGIN_ID, 2);
    builder.flags = OpFlags(0x1080_0000);
    builder.packet(OpCode::LOGIN, &body)
}

/// The steps of a login; the last reply.
fn log_in(tcp: &mut Tcp, secret: &str) -> Vec<u8> {
    tcp.send(&as_sdk(&builder(0, 1).named(OpCode::GET_SITE_INFO, "/")));
    assert_eq!(code_of(&tcp.receive()), 1);
    tcp.send(&as_sdk(&login_request()));
    let challenge = tcp.receive();
    let message = Message::decode(&challenge).unwrap();
    assert_eq!(
        (message.header.code.0, message.envelope.session_id),
        (402, LOGIN_ID)
    );
    tcp.send(&as_sdk(&answer(&challenge, 300, secret, 3)));
    tcp.receive()
}

#[test]
fn login_is_good_for_its_connection_without_codes() {
    let mut place = Place::new();
    let node = administered(&mut place);
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    let reply = log_in(&mut tcp, SECRET);
    let message = Message::decode(&reply).unwrap();
    assert_eq!(message.header.op, OpCode::LOGIN);
    assert_eq!(
        (message.header.code.0, message.envelope.session_id),
        (1, LOGIN_ID)
    );
    tcp.send(&as_sdk(&create(THING)));
    assert_eq!(code_of(&tcp.receive()), 1);
    tcp.send(&as_sdk(&support::ask(THING, 9)));
    let reply = tcp.receive();
    let message = Message::decode(&reply).unwrap();
    let Body::Record { values, .. } = Response::of(&message).unwrap().body else {
        unreachable!("{:?}", support::decode(&reply))
    };
    assert_eq!(Values::len(&values), 2);
    // Somebody else's connection with the same id is not logged in.
    let mut other = Tcp::to(node.addresses().tcp[0]);
    other.send(&as_sdk(&delete(THING)));
    assert_eq!(code_of(&other.receive()), 500);
}

#[test]
fn login_with_a_wrong_key_gives_nothing() {
    let mut place = Place::new();
    let node = administered(&mut place);
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    assert_eq!(code_of(&log_in(&mut tcp, "wrong")), 403);
    tcp.send(&as_sdk(&create(THING)));
    assert_eq!(code_of(&tcp.receive()), 402);
}

#[test]
fn login_over_datagrams_is_sent_to_tcp() {
    let mut place = Place::new();
    let node = administered(&mut place);
    let udp = Udp::to(node.addresses().udp[0]);
    let reply = udp.ask(&login_request());
    assert_eq!(reply.code.0, 5);
    assert!(reply.text.contains("over TCP"), "{}", reply.text);
}

//----------- Changes that are written together ------------------------------

/// Connections that change things at the same time.
const MANY: usize = 40;

#[test]
fn changes_of_many_connections_are_answered_in_the_order_of_each() {
    let mut place = Place::new();
    let (node, mut tcp, mut session) = begun(&mut place);
    session.prove(&mut tcp, &create(THING));
    let mut all: Vec<Tcp> = (0..MANY)
        .map(|_| Tcp::to(node.addresses().tcp[0]))
        .collect();
    for (n, tcp) in all.iter_mut().enumerate() {
        let name = format!("88.118.5/many-{n}");
        // One name is created by everybody: by one of them with success.
        let asked = [
            session.wrap(&create(&name)),
            support::ask(&name, 2),
            session.wrap(&create(&name)),
            session.wrap(&create("88.118.5/one")),
            session.wrap(&delete(&name)),
            support::ask(&name, 3),
        ];
        tcp.send(&asked.concat());
    }
    let mut created = 0;
    for tcp in &mut all {
        let codes: Vec<i32> = (0..6).map(|_| code_of(&tcp.receive())).collect();
        created += usize::from(codes[3] == 1);
        assert!(matches!(codes[3], 1 | 101), "{codes:?}");
        assert_eq!([&codes[..3], &codes[4..]].concat(), [1, 1, 101, 1, 100]);
    }
    assert_eq!(created, 1);
}

#[test]
fn change_of_a_connection_that_goes_away_is_made_and_hinders_nobody() {
    let mut place = Place::new();
    let (node, mut tcp, mut session) = begun(&mut place);
    session.prove(&mut tcp, &create(THING));
    // Nothing is told before somebody else has it, so the connections go while they wait.
    node.node().store.want_confirmation(true);
    for n in 0..MANY {
        let mut gone = Tcp::to(node.addresses().tcp[0]);
        gone.send(&session.wrap(&create(&format!("88.118.5/gone-{n}"))));
        eventually(|| node.node().store.unconfirmed() == n + 1);
    }
    tcp.send(&session.wrap(&delete(THING)));
    eventually(|| node.node().store.unconfirmed() == MANY + 1);
    node.node().store.confirm(u64::MAX);
    assert_eq!(code_of(&tcp.receive()), 1);
    for n in 0..MANY {
        tcp.send(&support::ask(&format!("88.118.5/gone-{n}"), 1));
        assert_eq!(code_of(&tcp.receive()), 1);
    }
}

#[test]
fn stop_waits_for_changes_that_are_being_written_and_tells_what_became_of_them() {
    let mut place = Place::new();
    let (node, mut tcp, mut session) = begun(&mut place);
    session.prove(&mut tcp, &create(THING));
    let shared = node.node().clone();
    shared.store.want_confirmation(true);
    let mut all: Vec<Tcp> = (0..MANY)
        .map(|_| Tcp::to(node.addresses().tcp[0]))
        .collect();
    for (n, tcp) in all.iter_mut().enumerate() {
        tcp.send(&session.wrap(&create(&format!("88.118.5/late-{n}"))));
    }
    eventually(|| shared.store.unconfirmed() == MANY);
    std::thread::scope(|scope| {
        let stop = scope.spawn(|| node.stop());
        // An idle connection is told to end: so the stop has begun.
        tcp.expect_close();
        shared.store.confirm(u64::MAX);
        for mut tcp in all {
            assert_eq!(code_of(&tcp.receive()), 1);
            tcp.expect_close();
        }
        drop(shared);
        stop.join().unwrap();
    });
}

/// Waits until something is so, which is only ever a matter of time.
fn eventually(is_so: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so() {
        assert!(begun.elapsed().as_secs() < 60, "it does not come");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}
