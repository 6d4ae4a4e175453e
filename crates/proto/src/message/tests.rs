//! Messages: what is written reads back, and what is malformed is refused.

use super::*;
use crate::value::{Value, Values};

fn builder() -> RequestBuilder {
    RequestBuilder {
        envelope: Envelope::new(Version::OURS, 0x0102_0304),
        flags: OpFlags::DEFAULT,
        expiration: 1_700_043_200,
    }
}

/// `req-resolve-default` of the vectors.
const RESOLVE: &str = "020b020b0000000001020304000000000000003a000000010000000019000000ffff0000\
    655499c00000001e0000001232302e3530302e31323334352f4142432d31000000000000000000000000";

fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let text = std::str::from_utf8(&digits).unwrap();
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
        .collect()
}

#[test]
fn resolution_is_built_octet_for_octet() {
    let none: [&str; 0] = [];
    assert_eq!(
        builder().resolve("20.500.12345/ABC-1", &[], &none),
        octets(RESOLVE)
    );
}

#[test]
fn resolution_decodes_and_encodes_back() {
    let packet = builder().resolve("20.500/A", &[3, 1], &["URL", "HS_SITE."]);
    let message = Message::decode(&packet).unwrap();
    let Ok(Request::Resolve(resolve)) = Request::of(&message) else {
        panic!()
    };
    assert_eq!(resolve.indexes.iter().collect::<Vec<_>>(), [3, 1]);
    assert!(resolve.selects(1, b"x") && resolve.selects(9, b"url"));
    assert!(resolve.selects(9, b"HS_SITE.6") && !resolve.selects(9, b"URL.x"));
    let mut back = Vec::new();
    Request::Resolve(resolve).to_packet(&message.envelope, &message.header, &mut back);
    assert_eq!(back, packet);
}

#[test]
fn every_truncation_of_a_packet_is_refused() {
    let packet = builder().write(OpCode::CREATE, "20.500/A", &[Value::new(1, "URL", "x")]);
    for len in 0..packet.len() {
        assert!(Message::decode(&packet[..len]).is_err(), "{len}");
    }
}

#[test]
fn missing_credential_length_is_told_from_an_empty_credential() {
    let mut packet = builder().named(OpCode::GET_SITE_INFO, "/");
    assert_eq!(Message::decode(&packet).unwrap().credential, Some(&[][..]));
    packet.truncate(packet.len() - 4);
    packet[19] -= 4;
    let message = Message::decode(&packet).unwrap();
    assert_eq!(message.credential, None);
    let mut back = Vec::new();
    message.encode(&mut back);
    assert_eq!(back, packet);
}

#[test]
fn lengths_out_of_bounds_are_refused_with_the_reason() {
    let check = |announced: i32, says: &str| {
        let mut packet = octets(RESOLVE);
        packet[16..20].copy_from_slice(&announced.to_be_bytes());
        let error = Message::decode(&packet).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    };
    check(-1, "is negative (-1)");
    check(262_145, "is 262145, the limit is 262144");
    check(23, "too short for a message header");
    check(59, "needs 59 octets, 58 left");
}

#[test]
fn answer_version_is_the_lower_of_both_sides() {
    let answer = |version: (u8, u8), suggested: (u8, u8)| {
        let mut envelope = Envelope::new(Version::new(version.0, version.1), 1);
        envelope.suggested = Version::new(suggested.0, suggested.1);
        envelope.answer_version().to_string()
    };
    assert_eq!(answer((2, 3), (2, 11)), "2.11");
    assert_eq!(answer((2, 3), (0, 0)), "2.3");
    assert_eq!(answer((3, 0), (3, 0)), "2.11");
    assert_eq!(answer((2, 1), (2, 1)), "2.1");
    assert_eq!(answer((1, 0), (1, 0)), "1.0");
    assert_eq!(answer((5, 0), (0, 0)), "5.0");
}

#[test]
fn unknown_operation_flags_and_codes_survive() {
    let header = Header {
        code: ResponseCode(777),
        reserved: 9,
        ..Header::request(OpCode(4711), OpFlags(0xffff_ffff), 1)
    };
    let mut envelope = Envelope::new(Version::new(7, 200), -5);
    envelope.suggested = Version::new(0x1f, 255);
    envelope.compressed = true;
    let message = Message {
        envelope,
        header,
        body: b"anything",
        credential: Some(b"sig"),
    };
    let mut packet = Vec::new();
    message.encode(&mut packet);
    let back = Message::decode(&packet).unwrap();
    assert_eq!(
        (back.header.op, back.header.flags),
        (OpCode(4711), OpFlags(0xffff_ffff))
    );
    let mut again = Vec::new();
    back.encode(&mut again);
    assert_eq!(again, packet);
    assert_eq!(
        Request::of(&back).unwrap(),
        Request::Unknown { body: b"anything" }
    );
}

#[test]
fn referral_with_and_without_values_decodes() {
    let layout = ResponseLayout {
        op: OpCode::RESOLVE,
        code: ResponseCode::PREFIX_REFERRAL,
        flags: OpFlags::DEFAULT,
        version: Version::OURS,
    };
    let values = Writer::to_vec(|w| Values::encode(&[Value::new(3, "HS_SERV.PREFIX", "a/b")], w));
    let bare = Writer::to_vec(|w| w.bytes(b"0.NA/1"));
    let full = Writer::to_vec(|w| {
        w.bytes(b"");
        w.raw(&values);
    });
    for body in [bare, full] {
        let response = Response::decode(layout, &body).unwrap();
        assert_eq!(Writer::to_vec(|w| response.encode(layout, w)), body);
    }
}

#[test]
fn unknown_form_of_a_replication_position_is_refused() {
    let body = Writer::to_vec(|w| {
        w.u8(0x81);
        w.bytes(b"{}");
        w.raw(&[0; 9]);
    });
    let error = Request::decode(OpCode::RETRIEVE_TXN, Version::OURS, &body).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("form at octet 0: is neither 0 nor 1"),
        "{error}"
    );
}
