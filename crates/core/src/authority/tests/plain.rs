//! The short way gives what the long way gives, octet by octet, or nothing.

use super::*;

/// The reply, and how it ends, of one of the two ways.
fn reply(node: &Node, packet: &[u8], is_short: bool) -> (Vec<u8>, String) {
    let mut challenge = |_: Demand<'_>| Challenge {
        session_id: 9,
        nonce: [0xaa; 16],
    };
    let mut moment = Moment {
        now_secs: 1_000,
        challenge: &mut challenge,
        recursion: Recursion::Granted,
    };
    let (mut key, mut out) = (Vec::new(), vec![7]);
    let fetch = |key: &[u8]| Ok::<_, Infallible>(node.records.get(key).cloned());
    let (key, buf) = (&mut key, &mut out);
    let answered = match is_short {
        true => answer(&node.site, packet, &mut moment, key, buf, fetch, Node::view),
        false => answer_at_length(&node.site, packet, &mut moment, key, buf, fetch, Node::view),
    };
    let end = format!("{:?}", answered.unwrap());
    (out, end)
}

fn assert_same(node: &Node, packet: &[u8]) {
    let (short, long) = (reply(node, packet, true), reply(node, packet, false));
    assert_eq!(short, long, "{packet:02x?}");
}

fn node() -> Node {
    let public = [value(1, "URL", 0x0e), value(2, "NAME", 0x0e)];
    let records: [(&str, &[Value]); 5] = [
        ("a/b", &public),
        ("a/hidden", &[value(1, "URL", 0x0e), value(2, "NAME", 0x0c)]),
        ("a/empty", &[]),
        ("0.NA/a.b", &public),
        ("0.NA/a", &public),
    ];
    Node::new(&["a"], &records)
}

/// Packets that are plain, and others that are nearly so.
fn packets() -> Vec<Vec<u8>> {
    let names = [
        "a/b",
        "A/B",
        "a/hidden",
        "a/empty",
        "a/none",
        "c/d",
        "a",
        "a.b",
        "0.na/a.b",
        "0.NA/c",
        "0.SITE/status",
        "",
    ];
    let mut packets: Vec<Vec<u8>> = names.iter().map(|name| resolve(name)).collect();
    packets.extend(names.map(|name| resolve_all(name, &[])));
    packets.push(default().resolve("a/b", &[1], &NONE));
    packets.push(default().resolve("a/b", &[], &["URL"]));
    for (major, minor) in [(2, 0), (2, 3), (2, 9), (3, 0), (5, 0), (0, 0)] {
        let mut older = default();
        older.envelope.version = Version::new(major, minor);
        older.envelope.suggested = Version::new(major, minor);
        packets.push(older.resolve("a/b", &[], &NONE));
    }
    packets
}

#[test]
fn plain_question_is_answered_as_at_length() {
    let node = node();
    for packet in packets() {
        assert_same(&node, &packet);
    }
    let mut key = Vec::new();
    for plain in ["a/b", "A/B", "a/none", "a.b"] {
        let packet = resolve(plain);
        assert!(Plain::read(&node.site, &packet, &mut key).is_some());
    }
}

#[test]
fn packet_with_any_octet_altered_is_answered_as_at_length() {
    let node = node();
    for packet in [resolve("a/b"), resolve("a/hidden"), resolve_all("a.b", &[])] {
        for at in 0..packet.len() {
            for value in 0..=u8::MAX {
                let mut altered = packet.clone();
                altered[at] = value;
                assert_same(&node, &altered);
            }
        }
    }
}

#[test]
fn packet_cut_or_continued_anywhere_is_answered_as_at_length() {
    let node = node();
    for packet in packets() {
        for len in 0..packet.len() {
            assert_same(&node, &packet[..len]);
            // The same, with lengths that fit.
            let mut shorter = packet[..len].to_vec();
            if let Some(announced) = shorter.get_mut(16..20) {
                let len = i32::try_from(len - 20).unwrap();
                announced.copy_from_slice(&len.to_be_bytes());
            }
            assert_same(&node, &shorter);
        }
        for more in 1..20 {
            assert_same(&node, &[&packet[..], &vec![0; more]].concat());
        }
    }
}

#[test]
fn record_that_no_message_can_carry_goes_the_long_way() {
    let mut large = value(1, "URL", 0x0e);
    large.data = vec![b'x'; MESSAGE_LEN_MAX];
    let node = Node::new(&["a"], &[("a/b", &[large])]);
    assert_same(&node, &resolve("a/b"));
    assert!(node.says(&resolve("a/b")).starts_with("2: the answer has"));
}
