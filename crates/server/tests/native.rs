//! The native protocol on real sockets: UDP and TCP.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod support;

use std::io::Write;
use std::net::Shutdown;

use guantong_proto::crypto::Credential;
use guantong_proto::frame::{Joined, Reassembly, split};
use guantong_proto::message::{Message, OpCode, OpFlags, ResponseCode};
use guantong_server::config::{Size, Span};
use guantong_server::metrics::Drop as Dropped;
use support::{Place, Tcp, Udp, ask, decode, eventually, expect_drop, put, put_values, value};

/// Offset of the octet of a packet that has the flag CERT, and its bit there.
const CERTIFIED_AT: usize = 20 + 8;
const CERTIFIED_BIT: u8 = 0x40;

//----------- UDP ------------------------------------------------------------

#[test]
fn record_is_resolved_over_udp_whatever_its_case() {
    let node = Place::new();
    let node = node.start();
    put(&node, "88.118.5/SN1", "one");
    let udp = Udp::to(node.addresses().udp[0]);
    for name in ["88.118.5/SN1", "88.118.5/sn1"] {
        let reply = udp.ask(&ask(name, 11));
        assert_eq!((reply.code, reply.request_id), (ResponseCode::SUCCESS, 11));
        assert_eq!(reply.text, "one");
    }
    assert_eq!(
        udp.ask(&ask("88.118.5/none", 12)).code,
        ResponseCode::HANDLE_NOT_FOUND
    );
    assert_eq!(
        udp.ask(&ask("99.9/x", 13)).code,
        ResponseCode::SERVER_NOT_RESPONSIBLE
    );
    node.stop();
}

#[test]
fn withdrawn_record_says_why_over_udp_and_tcp_as_soon_as_it_is_withdrawn() {
    let node = Place::new();
    let node = node.start();
    let name = "88.118.5/SN1";
    put(&node, name, "one");
    let (udp, mut tcp) = (
        Udp::to(node.addresses().udp[0]),
        Tcp::to(node.addresses().tcp[0]),
    );
    // It is among the hot records now, as one that is answered by a copy.
    assert_eq!(udp.ask(&ask(name, 1)).text, "one");
    let state = r#"{"state":"withdrawn","reason":"scrapped"}"#;
    let withdrawn = [value(1, "TEXT", "one"), value(1_900, "GT_STATE", state)];
    put_values(&node, name, &withdrawn);
    for reply in [udp.ask(&ask(name, 2)), tcp.ask(&ask(name, 2))] {
        assert_eq!(reply.code, ResponseCode::HANDLE_NOT_FOUND);
        assert_eq!(reply.text, "withdrawn: scrapped");
    }
    node.stop();
}

#[test]
fn addresses_of_both_families_answer() {
    if std::net::UdpSocket::bind("[::1]:0").is_err() {
        // A machine without IPv6 has nothing to test here.
        return;
    }
    let mut place = Place::new();
    let v6 = "[::1]:0".parse().unwrap();
    place.config.listen.udp.push(v6);
    place.config.listen.tcp.push(v6);
    let node = place.start();
    put(&node, "88.118.5/x", "one");
    let addresses = node.addresses();
    assert_eq!((addresses.udp.len(), addresses.tcp.len()), (2, 2));
    for &address in &addresses.udp {
        assert_eq!(Udp::to(address).ask(&ask("88.118.5/x", 1)).text, "one");
    }
    for &address in &addresses.tcp {
        assert_eq!(Tcp::to(address).ask(&ask("88.118.5/x", 1)).text, "one");
    }
}

#[test]
fn long_answer_comes_in_datagrams_of_512_octets() {
    let node = Place::new();
    let node = node.start();
    let text = "x".repeat(2_000);
    put(&node, "88.118.5/long", &text);
    let udp = Udp::to(node.addresses().udp[0]);
    udp.send(&ask("88.118.5/long", 3));
    let mut reassembly = Reassembly::new();
    let packet = loop {
        let datagram = udp.receive();
        assert!(datagram.len() <= 512 && datagram[2] & 0x20 != 0);
        if let Joined::Whole(packet) = reassembly.on_datagram(0, &datagram, 0).unwrap() {
            break packet;
        }
    };
    assert_eq!(decode(&packet).text, text);
}

#[test]
fn cut_request_is_joined_in_any_order() {
    let place = Place::new();
    let node = place.start();
    let name = format!("88.118.5/{}", "a".repeat(1_000));
    put(&node, &name, "long name");
    let udp = Udp::to(node.addresses().udp[0]);
    let mut pieces = Vec::new();
    split(&ask(&name, 5), |piece| pieces.push(piece.to_vec()));
    assert!(pieces.len() > 2);
    for piece in pieces.iter().rev() {
        udp.send(piece);
    }
    let mut reassembly = Reassembly::new();
    loop {
        if let Joined::Whole(packet) = reassembly.on_datagram(0, &udp.receive(), 0).unwrap() {
            assert_eq!(decode(&packet).text, "long name");
            return;
        }
    }
}

#[test]
fn answer_too_large_for_udp_sends_the_client_to_tcp() {
    let mut place = Place::new();
    place.config.limits.udp_response_max = 1_000;
    let node = place.start();
    let text = "x".repeat(2_000);
    put(&node, "88.118.5/long", &text);
    let reply = Udp::to(node.addresses().udp[0]).ask(&ask("88.118.5/long", 3));
    // Handle.Net clients try their next transport after code 2, and only after that.
    assert_eq!((reply.code, reply.request_id), (ResponseCode::ERROR, 3));
    assert!(reply.text.contains("ask over TCP"), "{}", reply.text);
    expect_drop(&node, Dropped::UdpTooLarge);
    let reply = Tcp::to(node.addresses().tcp[0]).ask(&ask("88.118.5/long", 4));
    assert_eq!(reply.text, text);
}

#[test]
fn answer_replaced_for_udp_promises_no_signature() {
    let mut place = Place::new();
    place.config.limits.udp_response_max = 1_000;
    let node = place.start();
    put(&node, "88.118.5/long", &"x".repeat(2_000));
    let mut request = ask("88.118.5/long", 3);
    request[CERTIFIED_AT] |= CERTIFIED_BIT;
    let udp = Udp::to(node.addresses().udp[0]);
    udp.send(&request);
    let reply = udp.receive();
    let message = Message::decode(&reply).unwrap();
    assert_eq!(message.header.code, ResponseCode::ERROR);
    assert!(!message.header.flags.has(OpFlags::CERTIFIED));
    assert!(Credential::of(&message).unwrap().is_none());
}

#[test]
fn network_above_its_octets_receives_less_than_it_sends() {
    let mut place = Place::new();
    place.config.limits.trusted.clear();
    place.config.limits.udp_octets_per_second_per_network = Size(600).0;
    place.config.listen.udp_threads = 1;
    let node = place.start();
    put(&node, "88.118.5/big", &"x".repeat(400));
    let udp = Udp::to(node.addresses().udp[0]);
    let request = ask("88.118.5/big", 3);
    assert_eq!(udp.ask(&request).code, ResponseCode::SUCCESS);
    // The budget of a second is spent. Of the next requests every second one is told to use TCP,
    // with fewer octets than it has; the others get nothing. A slow machine may earn an answer.
    for _ in 0..20 {
        udp.send(&request);
        udp.send(&request);
    }
    let metrics = &node.node().metrics;
    eventually(|| (metrics.requests() >= 41).then_some(()));
    let dropped = metrics.drops(Dropped::UdpRate);
    let told = metrics.drops(Dropped::UdpTold);
    assert!(
        dropped.abs_diff(told) <= 1,
        "{dropped} dropped, {told} told"
    );
    assert!(told >= 10, "{told} told");
    let bare = udp.receive();
    assert!(bare.len() < request.len(), "{} octets", bare.len());
    assert_eq!(decode(&bare).code, ResponseCode::ERROR);
}

#[test]
fn node_that_is_to_answer_first_answers_whether_the_system_lets_it_or_not() {
    let mut place = Place::new();
    place.config.listen.udp_first = true;
    let node = place.start();
    put(&node, "88.118.5/x", "first");
    let udp = Udp::to(node.addresses().udp[0]);
    assert_eq!(udp.ask(&ask("88.118.5/x", 1)).code, ResponseCode::SUCCESS);
    assert_eq!(
        udp.ask(&ask("88.118.5/none", 2)).code,
        ResponseCode::HANDLE_NOT_FOUND
    );
    drop(node);
}

#[test]
fn malformed_datagrams_are_answered_once_or_not_at_all() {
    let place = Place::new();
    let node = place.start();
    put(&node, "88.118.5/x", "still here");
    let udp = Udp::to(node.addresses().udp[0]);
    let good = ask("88.118.5/x", 1);
    // No envelope: silence.
    udp.send(b"");
    udp.send(b"hello");
    // An envelope that promises more than there is, and one that promises nonsense.
    for (len, id) in [(200_i32, 21), (-1, 22), (3, 23), (i32::MAX, 24)] {
        let mut bad = good.clone();
        bad[8..12].copy_from_slice(&i32::to_be_bytes(id));
        bad[16..20].copy_from_slice(&len.to_be_bytes());
        udp.send(&bad);
        let answer = udp.receive();
        assert!(answer.len() <= bad.len(), "{} octets", answer.len());
        let reply = decode(&answer);
        assert_eq!(
            (reply.code, reply.request_id),
            (ResponseCode::PROTOCOL_ERROR, id)
        );
    }
    // A piece of nothing: silence.
    let mut piece = good.clone();
    piece[2] |= 0x20;
    piece[12..16].copy_from_slice(&9_i32.to_be_bytes());
    udp.send(&piece);
    assert_eq!(udp.ask(&good).text, "still here");
}

#[test]
fn thousands_of_concurrent_requests_get_their_own_answers() {
    const RECORDS: i32 = 200;
    const EACH: i32 = 500;
    let place = Place::new();
    let node = place.start();
    for n in 0..RECORDS {
        put(&node, &format!("88.118.5/n{n}"), &format!("text {n}"));
    }
    let (udp, tcp) = (node.addresses().udp[0], node.addresses().tcp[0]);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                let client = Udp::to(udp);
                for turn in 0..EACH {
                    let n = (thread * 37 + turn * 11) % RECORDS;
                    let reply = client.ask(&ask(&format!("88.118.5/N{n}"), turn));
                    assert_eq!((reply.request_id, reply.text), (turn, format!("text {n}")));
                }
            });
            scope.spawn(move || {
                let mut client = Tcp::to(tcp);
                for turn in 0..EACH {
                    let n = (thread * 53 + turn * 7) % RECORDS;
                    let reply = client.ask(&ask(&format!("88.118.5/n{n}"), turn));
                    assert_eq!((reply.request_id, reply.text), (turn, format!("text {n}")));
                }
            });
        }
    });
    assert_eq!(node.node().metrics.requests(), 8 * EACH as u64);
}

//----------- Signatures -----------------------------------------------------

#[test]
fn certified_answer_is_signed_within_the_limit_of_signatures() {
    let mut place = Place::new();
    place.config.limits.signatures_per_second = 1;
    let node = place.start();
    put(&node, "88.118.5/x", "one");
    let key = node.node().key().public();
    let mut request = ask("88.118.5/x", 1);
    request[CERTIFIED_AT] |= CERTIFIED_BIT;
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    let (mut signed, mut unsigned) = (0, 0);
    // A slow machine may earn a signature on the way; it cannot earn one for each.
    while unsigned == 0 {
        tcp.send(&request);
        let reply = tcp.receive();
        let message = Message::decode(&reply).unwrap();
        match Credential::of(&message).unwrap() {
            Some(credential) => {
                credential.verify_signature(&message, &key).unwrap();
                signed += 1;
            }
            None => unsigned += 1,
        }
        assert_eq!(decode(&reply).text, "one");
    }
    assert!(signed >= 1);
    expect_drop(&node, Dropped::SignatureRate);
}

//----------- TCP ------------------------------------------------------------

#[test]
fn connection_serves_many_requests_and_ends_when_the_client_has_said_all() {
    let place = Place::new();
    let node = place.start();
    put(&node, "88.118.5/x", "one");
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    for id in 1..=3 {
        let reply = tcp.ask(&ask("88.118.5/x", id));
        assert_eq!((reply.request_id, reply.text.as_str()), (id, "one"));
    }
    // One-shot clients shut their side and wait for the rest.
    tcp.send(&ask("88.118.5/x", 4));
    tcp.0.shutdown(Shutdown::Write).unwrap();
    assert_eq!(decode(&tcp.receive()).request_id, 4);
    tcp.expect_close();
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    const REQUESTS: i32 = 3_000;
    let place = Place::new();
    let node = place.start();
    // Answers of all together exceed every buffer on the way, so that back-pressure is exercised.
    put(&node, "88.118.5/x", &"y".repeat(3_000));
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    let mut writer = tcp.0.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        for id in 0..REQUESTS {
            writer.write_all(&ask("88.118.5/x", id)).unwrap();
        }
    });
    for id in 0..REQUESTS {
        let reply = decode(&tcp.receive());
        assert_eq!((reply.request_id, reply.text.len()), (id, 3_000));
    }
    sender.join().unwrap();
}

#[test]
fn request_may_arrive_octet_by_octet() {
    let place = Place::new();
    let node = place.start();
    put(&node, "88.118.5/x", "one");
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    for octet in ask("88.118.5/x", 7) {
        tcp.send(&[octet]);
    }
    assert_eq!(decode(&tcp.receive()).text, "one");
}

#[test]
fn record_of_many_values_arrives_whole() {
    let place = Place::new();
    let node = place.start();
    let values: Vec<_> = (1..=1_000)
        .map(|index| value(index, "TEXT", "z".repeat(200)))
        .collect();
    put_values(&node, "88.118.5/many", &values);
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    tcp.send(&ask("88.118.5/many", 1));
    assert!(tcp.receive().len() > 200_000);
}

#[test]
fn idle_connection_expect_close() {
    let mut place = Place::new();
    place.config.limits.idle_timeout = Span(50);
    let node = place.start();
    let tcp = Tcp::to(node.addresses().tcp[0]);
    tcp.expect_close();
    expect_drop(&node, Dropped::Idle);
}

#[test]
fn message_that_does_not_come_to_an_end_is_given_up() {
    let mut place = Place::new();
    place.config.limits.message_timeout = Span(50);
    let node = place.start();
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    tcp.send(&ask("88.118.5/x", 1)[..30]);
    let reply = decode(&tcp.receive());
    assert_eq!(
        (reply.request_id, reply.code),
        (1, ResponseCode::PROTOCOL_ERROR)
    );
    tcp.expect_close();
    expect_drop(&node, Dropped::Slow);
}

#[test]
fn garbage_gets_one_error_and_the_end() {
    let place = Place::new();
    let node = place.start();
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    tcp.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: lost\r\n\r\n");
    assert_eq!(decode(&tcp.receive()).code, ResponseCode::PROTOCOL_ERROR);
    tcp.expect_close();
    // A message that cannot be understood but has an end costs an answer, not the connection.
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    let mut unknown = ask("88.118.5/x", 9);
    unknown[20..24].copy_from_slice(&OpCode(4_711).0.to_be_bytes());
    let reply = tcp.ask(&unknown);
    assert_eq!(reply.request_id, 9);
    assert_ne!(reply.code, ResponseCode::SUCCESS);
    assert_eq!(
        tcp.ask(&ask("88.118.5/x", 10)).code,
        ResponseCode::HANDLE_NOT_FOUND
    );
}

#[test]
fn message_above_the_limit_is_refused_by_its_envelope() {
    let place = Place::new();
    let node = place.start();
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    let mut envelope = ask("88.118.5/x", 6)[..20].to_vec();
    envelope[16..20].copy_from_slice(&262_145_i32.to_be_bytes());
    let reply = tcp.ask(&envelope);
    assert_eq!(
        (reply.code, reply.request_id),
        (ResponseCode::PROTOCOL_ERROR, 6)
    );
    tcp.expect_close();
}

#[test]
fn connections_of_one_address_are_limited() {
    let mut place = Place::new();
    place.config.limits.connections_per_address = 2;
    let node = place.start();
    let mut first = Tcp::to(node.addresses().tcp[0]);
    let mut second = Tcp::to(node.addresses().tcp[0]);
    assert_eq!(first.ask(&ask("88.118.5/x", 1)).request_id, 1);
    assert_eq!(second.ask(&ask("88.118.5/x", 2)).request_id, 2);
    Tcp::to(node.addresses().tcp[0]).expect_close();
    expect_drop(&node, Dropped::AddressFull);
    assert_eq!(first.ask(&ask("88.118.5/x", 3)).request_id, 3);
}

#[test]
fn address_that_asks_too_fast_waits_but_is_answered() {
    let mut place = Place::new();
    place.config.limits.trusted.clear();
    place.config.limits.requests_per_second_per_address = 5;
    let node = place.start();
    put(&node, "88.118.5/x", "one");
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    // What comes at once is answered at once, and paid for by the next: three seconds' worth, so
    // that no machine is so slow that nothing has to wait.
    let requests: Vec<u8> = (0..15).flat_map(|id| ask("88.118.5/x", id)).collect();
    tcp.send(&requests);
    for id in 0..15 {
        assert_eq!(decode(&tcp.receive()).request_id, id);
    }
    assert_eq!(tcp.ask(&ask("88.118.5/x", 15)).request_id, 15);
    assert!(node.node().metrics.drops(Dropped::RequestRate) > 0);
}
