//! Messages that no sound client sends: each gets the answer that the protocol has for it, or none,
//! and the node goes on answering.

use guantong_proto::Value;
use guantong_proto::message::{OpCode, ResponseCode, Version};

use crate::node::{Node, PREFIX, request, sound_request};

/// Number of the bad request.
const ID: i32 = 77;

/// Where the fields stand that these tests spoil.
const AT_FLAGS: usize = 2;
const AT_MESSAGE_LEN: usize = 16;
const AT_BODY_LEN: usize = 40;

fn resolve(handle: &str) -> Vec<u8> {
    request(ID).resolve(handle, &[], &[] as &[&str])
}

fn with(mut packet: Vec<u8>, at: usize, octets: &[u8]) -> Vec<u8> {
    packet[at..at + octets.len()].copy_from_slice(octets);
    packet
}

/// Sends `octets` over UDP and TCP, and expects this code in answer to the request with our number;
/// no code means no answer.
#[track_caller]
fn check(node: &Node, octets: &[u8], expected: Option<ResponseCode>) {
    for (transport, reply) in [
        ("UDP", node.disturb_udp(octets)),
        ("TCP", node.disturb_tcp(octets)),
    ] {
        let told = reply.as_ref().map(|reply| (reply.request_id, reply.code));
        assert_eq!(told, expected.map(|code| (ID, code)), "{transport}");
    }
}

#[test]
fn message_that_ends_early_is_refused_if_its_sender_can_be_told() {
    let node = Node::start();
    let whole = resolve(&format!("{PREFIX}/x"));
    let refused = (ID, ResponseCode::PROTOCOL_ERROR);
    for (len, expected) in [
        (0, None),
        (1, None),
        (19, None),
        (20, Some(refused)),
        (43, Some(refused)),
        (whole.len() - 1, Some(refused)),
    ] {
        check(&node, &whole[..len], expected.map(|(_, code)| code));
    }
}

#[test]
fn announced_length_beyond_the_limits_is_refused() {
    let node = Node::start();
    let packet = resolve(&format!("{PREFIX}/x"));
    let refused = Some(ResponseCode::PROTOCOL_ERROR);
    for len in [262_145, i32::MAX, -1, i32::MIN, 0, 23] {
        check(
            &node,
            &with(packet.clone(), AT_MESSAGE_LEN, &len.to_be_bytes()),
            refused,
        );
    }
}

#[test]
fn lengths_inside_a_message_must_fit() {
    let node = Node::start();
    let refused = Some(ResponseCode::PROTOCOL_ERROR);
    let packet = resolve(&format!("{PREFIX}/x"));
    for len in [-1, i32::MIN, i32::MAX, 1_000] {
        let len = len.to_be_bytes();
        check(&node, &with(packet.clone(), AT_BODY_LEN, &len), refused);
        check(&node, &with(packet.clone(), AT_BODY_LEN + 4, &len), refused);
    }
    let indexes = [
        &4_i32.to_be_bytes()[..],
        b"0/ab",
        &1_048_577_i32.to_be_bytes(),
    ]
    .concat();
    check(
        &node,
        &request(ID).packet(OpCode::RESOLVE, &indexes),
        refused,
    );
}

#[test]
fn compressed_message_is_refused() {
    let node = Node::start();
    let packet = with(resolve(&format!("{PREFIX}/x")), AT_FLAGS, &[0x82]);
    check(&node, &packet, Some(ResponseCode::PROTOCOL_ERROR));
}

#[test]
fn encrypted_message_without_a_session_is_refused() {
    let node = Node::start();
    let packet = with(resolve(&format!("{PREFIX}/x")), AT_FLAGS, &[0x42]);
    check(&node, &packet, Some(ResponseCode::SESSION_FAILED));
}

#[test]
fn unknown_operation_is_not_supported() {
    let node = Node::start();
    for op in [3, 106, 4_711, -1, i32::MIN] {
        let packet = request(ID).named(OpCode(op), "0/a");
        check(&node, &packet, Some(ResponseCode::OPERATION_NOT_SUPPORTED));
    }
}

#[test]
fn foreign_version_is_answered_in_one_that_both_know() {
    let node = Node::start();
    for (version, suggested) in [
        ([3, 0], [3, 0]),
        ([200, 200], [2, 11]),
        ([2, 99], [2, 99]),
        ([2, 0], [2, 0]),
        ([1, 0], [0, 0]),
        ([0, 0], [0, 0]),
    ] {
        let packet = with(sound_request(ID), 0, &version);
        let packet = with(packet, AT_FLAGS, &suggested);
        for reply in [node.disturb_udp(&packet), node.disturb_tcp(&packet)] {
            let reply = reply.expect("the node answers");
            assert_eq!((reply.request_id, reply.code), (ID, ResponseCode::SUCCESS));
            assert!(Version::OURS.at_least(reply.version.major, reply.version.minor));
        }
    }
}

#[test]
fn too_many_values_are_refused() {
    let node = Node::start();
    let values: Vec<Value> = (1..=2_049)
        .map(|index| Value::new(index, "T", ""))
        .collect();
    let packet = request(ID).write(OpCode::CREATE, &format!("{PREFIX}/x"), &values);
    let told = node
        .disturb_tcp(&packet)
        .map(|reply| (reply.request_id, reply.code));
    assert_eq!(told, Some((ID, ResponseCode::PROTOCOL_ERROR)));
}

#[test]
fn name_that_is_none_is_refused() {
    let node = Node::start();
    let invalid = Some(ResponseCode::INVALID_HANDLE);
    let mut body = vec![0, 0, 0, 4];
    body.extend_from_slice(b"1/\xff\xfe\0\0\0\0\0\0\0\0");
    check(&node, &request(ID).packet(OpCode::RESOLVE, &body), invalid);
}

#[test]
fn name_may_have_2048_octets_and_not_one_more() {
    let node = Node::start();
    let name = |len: usize| format!("{PREFIX}/{}", "x".repeat(len - PREFIX.len() - 1));
    for (len, code) in [
        (2_048, ResponseCode::HANDLE_NOT_FOUND),
        (2_049, ResponseCode::INVALID_HANDLE),
    ] {
        let told = node
            .disturb_tcp(&resolve(&name(len)))
            .map(|reply| reply.code);
        assert_eq!(told, Some(code), "{len} octets");
    }
}

#[test]
fn prefix_of_others_is_not_answered_for() {
    let node = Node::start();
    let not_ours = Some(ResponseCode::SERVER_NOT_RESPONSIBLE);
    check(&node, &resolve("20.500.12345/x"), not_ours);
    check(&node, &resolve("88.118.50/x"), not_ours);
}

#[test]
fn responses_are_never_answered() {
    let node = Node::start();
    let packet = with(sound_request(ID), 24, &1_i32.to_be_bytes());
    check(&node, &packet, None);
}

#[test]
fn random_octets_do_no_harm() {
    let node = Node::start();
    // A generator of the simplest kind: the octets need to be many and the same every time.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state.to_be_bytes()[0]
    };
    let sound = sound_request(ID);
    for round in 0..300 {
        let octets: Vec<u8> = if round % 2 == 0 {
            let len = usize::from(next()) * 2;
            (0..len).map(|_| next()).collect()
        } else {
            let at = 20 + usize::from(next()) % (sound.len() - 20);
            with(sound.clone(), at, &[next()])
        };
        if let Some(reply) = node.disturb_udp(&octets) {
            assert!(reply.len <= 2_048);
        }
        node.disturb_tcp(&octets);
    }
    assert!(node.stops_in_order());
}
