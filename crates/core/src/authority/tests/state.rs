//! Reserved and withdrawn records, as the public sees them.

use guantong_proto::data::StateData;

use super::*;

const WITHDRAWN: &str = r#"{"state":"withdrawn","reason":"scrapped","successor":"a/new"}"#;
const RESERVED: &str = r#"{"state":"reserved"}"#;

fn in_state(data: &str, values: &[Value]) -> Vec<Value> {
    let state = StateData::decode(data.as_bytes()).unwrap();
    [values, &[state.to_value()]].concat()
}

fn thing() -> Vec<Value> {
    vec![value(1, "URL", 0x0e), value(3, "SECRET", 0x0c)]
}

/// A node that holds `a/b`, and would hold more of it if it let us see.
fn node(values: &[Value]) -> Node {
    Node::new(&["a"], &[("a/b", values)])
}

#[test]
fn withdrawn_record_says_why_and_what_took_its_place_and_nothing_else() {
    let node = node(&in_state(WITHDRAWN, &thing()));
    let says = "100: withdrawn: scrapped; see a/new";
    assert_eq!(node.says(&resolve("a/b")), says);
    assert_eq!(node.says(&default().resolve("a/b", &[1], &NONE)), says);
    assert_eq!(node.says(&default().resolve("a/b", &[], &["URL"])), says);
    assert_eq!(node.says(&default().resolve("a/b", &[7], &["NONE"])), says);
}

#[test]
fn state_of_a_withdrawn_record_is_given_to_whoever_asks_for_it() {
    let node = node(&in_state(WITHDRAWN, &thing()));
    for packet in [
        default().resolve("a/b", &[1_900], &NONE),
        default().resolve("a/b", &[], &["gt_state"]),
        default().resolve("a/b", &[1, 3], &["GT_STATE."]),
        resolve_all("a/b", &[1_900]),
    ] {
        assert_eq!(node.says(&packet), "1 a/b: [1900]");
    }
}

#[test]
fn reserved_record_is_not_there_for_the_public() {
    let node = node(&in_state(RESERVED, &thing()));
    for packet in [
        resolve("a/b"),
        default().resolve("a/b", &[1], &NONE),
        default().resolve("a/b", &[1_900], &["GT_STATE"]),
    ] {
        assert_eq!(node.says(&packet), node.says(&resolve("a/none")));
    }
}

#[test]
fn state_that_cannot_be_read_keeps_the_record_from_the_public() {
    let state = Value::new(7, "GT_STATE", r#"{"state":"suspended"}"#);
    let node = node(&[thing(), vec![state]].concat());
    assert_eq!(node.says(&resolve("a/b")), "100: ");
}

#[test]
fn whoever_does_not_ask_for_public_values_only_has_to_prove_who_he_is() {
    for data in [WITHDRAWN, RESERVED] {
        let node = node(&in_state(data, &[value(1, "URL", 0x0e)]));
        assert_eq!(node.says(&resolve_all("a/b", &[])), "402 nonce 16");
        assert_eq!(node.says(&resolve_all("a/b", &[1])), "402 nonce 16");
    }
}

#[test]
fn state_without_more_says_little_and_a_public_record_of_its_text_is_not_one() {
    let withdrawn = node(&in_state(r#"{"state":"withdrawn"}"#, &[]));
    assert_eq!(withdrawn.says(&resolve("a/b")), "100: withdrawn");
    let public = node(&[Value::new(1_900, "NOTE", WITHDRAWN)]);
    assert_eq!(public.says(&resolve("a/b")), "1 a/b: [1900]");
}

#[test]
fn prefix_that_is_not_public_refers_nobody() {
    let public = [value(1, "HS_SITE", 0x0e), value(2, "HS_SITE.PREFIX", 0x0e)];
    for (data, direct) in [
        (WITHDRAWN, "100: withdrawn: scrapped; see a/new"),
        (RESERVED, "100: "),
    ] {
        let hidden = in_state(data, &public);
        let node = Node::new(&["0.NA"], &[("0.NA/88", &hidden)]);
        assert_eq!(node.says(&resolve("0.NA/88.1")), "100: ");
        assert_eq!(node.says(&resolve("88/x")), NOT_HOMED);
        assert_eq!(node.says(&resolve("0.NA/88")), direct);
    }
    let node = Node::new(&["0.NA"], &[("0.NA/88", &public)]);
    assert_eq!(node.says(&resolve("0.NA/88.1")), "303 : [2]");
    assert_eq!(node.says(&resolve("88/x")), "302 : [1]");
}
