//! The short way gives what the long way gives, octet by octet, or nothing.

use guantong_proto::message::Request;

use super::*;
use crate::authority::elsewhere::age_of;
use crate::resolve::{Entry, EntryKind, Freshness, Hit};

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

/// Names of records that there are and are not, ours and not ours, and what is no name.
const NAMES: [&str; 14] = [
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
    "0.site/STATUS",
    "",
    "/",
];

/// Packets that are plain, and others that are nearly so.
fn packets() -> Vec<Vec<u8>> {
    let mut packets: Vec<Vec<u8>> = NAMES.iter().map(|name| resolve(name)).collect();
    packets.extend(NAMES.map(|name| resolve_all(name, &[])));
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
        let plain = Plain::read(&node.site, &packet, &mut key).unwrap();
        assert_eq!(plain.whose(), Whose::Ours);
    }
}

#[test]
fn name_by_itself_has_the_key_and_the_record_of_its_packet() {
    let node = node();
    for name in NAMES {
        let (mut keys, mut packet_keys) = (vec![7], vec![7]);
        let is_ours = append_plain_key(&node.site, name, &mut keys);
        let packet = resolve(name);
        let plain = Plain::read(&node.site, &packet, &mut packet_keys);
        let plain = plain.filter(|plain| plain.whose() == Whose::Ours);
        assert_eq!(is_ours, plain.is_some(), "{name}");
        let Some(plain) = plain else { continue };
        assert_eq!(keys, packet_keys);
        let record = node.records.get(&keys[1..]);
        let whole = record.and_then(|record| Node::view(record).whole());
        let is_answered = |record| plain.answer(Node::view(record), 1_000, &mut Vec::new());
        assert_eq!(whole.is_some(), record.is_some_and(is_answered), "{name}");
    }
}

/// The reply to a packet from what a cache has, if it takes the short way; else nothing.
fn from_cache(node: &Node, packet: &[u8], hit: &Hit<&Entry>) -> Option<Vec<u8>> {
    let mut out = vec![7];
    let plain = Plain::read(&node.site, packet, &mut Vec::new())?;
    let is_of_others = plain.whose() == Whose::Others;
    (is_of_others && plain.answer_of_others(hit, 1_000, &mut out)).then_some(out)
}

/// The same the long way; nothing if the packet is not for the resolver.
fn from_cache_at_length(node: &Node, packet: &[u8], hit: &Hit<&Entry>) -> Option<Vec<u8>> {
    let mut challenge = |_: Demand<'_>| unreachable!("nothing is asked for that is not public");
    let mut moment = Moment {
        now_secs: 1_000,
        challenge: &mut challenge,
        recursion: Recursion::Granted,
    };
    let mut out = vec![7];
    let step = Inquiry::start(&node.site, packet, &mut moment, &mut Vec::new(), &mut out);
    let Step::Elsewhere(elsewhere) = step else {
        return None;
    };
    let cacheable = elsewhere.query().is_cacheable();
    let age = age_of(hit.freshness);
    let outcome = &Outcome::Record(hit.entry.wire());
    elsewhere.answer(Found { outcome, age }, &moment, &mut out);
    cacheable.then_some(out)
}

#[test]
fn plain_question_for_a_name_of_others_is_answered_from_a_cache_as_at_length() {
    let node = node();
    let now = crate::resolve::Now::default();
    let values = Writer::to_vec(|w| Values::encode(&[value(1, "URL", 0x0e)], w));
    let entry = Entry::new(EntryKind::Record, &values, 60, now);
    let recursive = OpFlags::DEFAULT
        .with(OpFlags::RECURSIVE)
        .with(OpFlags::PUBLIC_ONLY);
    let ask = |flags| request(flags).resolve("c/d", &[], &NONE);
    for freshness in [Freshness::Cached, Freshness::Stale] {
        let hit = Hit {
            entry: &entry,
            freshness,
            age_secs: 1,
            wants_refresh: false,
        };
        let packet = ask(recursive);
        assert!(from_cache(&node, &packet, &hit).is_some());
        for at in 0..packet.len() {
            for octet in 0..=u8::MAX {
                let mut altered = packet.clone();
                altered[at] = octet;
                let short = from_cache(&node, &altered, &hit);
                if short.is_some() {
                    let long = from_cache_at_length(&node, &altered, &hit);
                    assert_eq!(short, long, "{altered:02x?}");
                }
            }
        }
    }
    // What is ours is not looked for among what others have answered, nor what must not be cached.
    let mut key = Vec::new();
    let authoritative = recursive.with(OpFlags::AUTHORITATIVE);
    let every_value = OpFlags::DEFAULT
        .with(OpFlags::RECURSIVE)
        .without(OpFlags::PUBLIC_ONLY);
    for flags in [authoritative, every_value] {
        assert!(Plain::read(&node.site, &ask(flags), &mut key).is_none());
    }
    let ours = request(recursive).resolve("a/b", &[], &NONE);
    let plain = Plain::read(&node.site, &ours, &mut key).unwrap();
    assert_eq!(plain.whose(), Whose::Ours);
}

#[test]
fn plain_question_is_renewed_as_the_same_question_of_one_more_server() {
    let node = node();
    let flags = OpFlags::DEFAULT
        .with(OpFlags::RECURSIVE)
        .with(OpFlags::PUBLIC_ONLY);
    let packet = request(flags).resolve("c/d", &[], &NONE);
    let plain = Plain::read(&node.site, &packet, &mut Vec::new()).unwrap();
    let message = Message::decode(&packet).unwrap();
    let Ok(Request::Resolve(resolve)) = Request::of(&message) else {
        panic!("it is a resolution");
    };
    let at_length = Query::of(&message, resolve).question();
    assert_eq!(format!("{:?}", plain.question()), format!("{at_length:?}"));
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
