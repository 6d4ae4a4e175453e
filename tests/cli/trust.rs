//! Signed records: a root, a certificate, a signature, and everything that breaks them.

use crate::node::{Node, Run, guantong_in};

const THING: &str = "88.118.5/signed";

/// A node that is its own root, with a certified key for its prefix.
fn certified() -> Node {
    let mut node = Node::new();
    run(&node, &["prefix", "home", "0.0"]);
    node = node.serve();
    run(
        &node,
        &["key", "new", "--kind", "ed25519", "--out", "root.pem"],
    );
    let root = ["--key", "root.pem", "--as", "301:0.0/0.0"];
    let own = ["trust", "certify", "301:0.0/0.0", "--may", "everything"];
    run(&node, &[&own[..], &root].concat());
    let prefix = [
        "trust",
        "certify",
        "300:0.NA/88.118.5",
        "--may",
        "handlesUnderThisPrefix:0.NA/88.118.5",
    ];
    run(&node, &[&prefix[..], &root].concat());
    run(
        &node,
        &[
            "record",
            "put",
            THING,
            "--value",
            "1 URL https://example.org/",
        ],
    );
    node
}

#[track_caller]
fn run(node: &Node, arguments: &[&str]) -> Run {
    let run = guantong_in(node.folder(), arguments);
    assert_eq!(run.code, 0, "{arguments:?}: {}", run.err);
    run
}

fn verify(node: &Node) -> Run {
    guantong_in(
        node.folder(),
        &["trust", "verify", THING, "--trust-root", "root.pem"],
    )
}

const SIGN: [&str; 7] = [
    "trust",
    "sign",
    THING,
    "--key",
    "admin_key.pem",
    "--as",
    "300:0.NA/88.118.5",
];

#[test]
fn record_is_verified_from_its_signature_to_the_root() {
    let node = certified();
    let unsigned = verify(&node);
    assert_eq!(unsigned.code, 1);
    assert!(unsigned.err.contains("is not signed"), "{}", unsigned.err);
    run(&node, &SIGN);
    let verified = verify(&node);
    assert_eq!(verified.code, 0, "{}", verified.err);
    assert!(
        verified.out.contains("a root key that is believed"),
        "{}",
        verified.out
    );
    let resolve = [
        "resolve",
        THING,
        "--trust-root",
        "root.pem",
        "--verify",
        "--type",
        "URL",
    ];
    let resolved = run(&node, &resolve);
    assert!(
        resolved.err.contains("signed by 300:0.NA/88.118.5"),
        "{}",
        resolved.err
    );
    let again = run(&node, &SIGN);
    assert!(again.out.contains("left as they are: 1"), "{}", again.out);
    run(
        &node,
        &[
            "record",
            "modify",
            THING,
            "--value",
            "1 URL https://example.org/other",
        ],
    );
    let changed = verify(&node);
    assert_eq!(changed.code, 1);
    assert!(
        changed.err.contains("value 1 is not what was signed"),
        "{}",
        changed.err
    );
    assert_eq!(guantong_in(node.folder(), &resolve).code, 1);
    run(&node, &SIGN);
    assert_eq!(verify(&node).code, 0);
}

#[test]
fn revoked_key_is_not_believed_and_another_root_neither() {
    let node = certified();
    run(&node, &SIGN);
    run(
        &node,
        &["key", "new", "--kind", "ed25519", "--out", "other.pem"],
    );
    let other = ["trust", "verify", THING, "--trust-root", "other.pem"];
    let other = guantong_in(node.folder(), &other);
    assert_eq!(other.code, 1);
    assert!(
        other.err.contains("not among the root keys"),
        "{}",
        other.err
    );
    let none = guantong_in(node.folder(), &["trust", "verify", THING]);
    assert_eq!(none.code, 2);
    assert!(none.err.contains("--trust-root"), "{}", none.err);
    run(&node, &["trust", "revoke", "300:0.NA/88.118.5"]);
    let revoked = verify(&node);
    assert_eq!(revoked.code, 1);
    assert!(
        revoked.err.contains("there is no certificate"),
        "{}",
        revoked.err
    );
}

#[test]
fn key_is_rolled_over_without_a_moment_in_which_nothing_is_verified() {
    let node = certified();
    run(&node, &SIGN);
    run(
        &node,
        &["key", "new", "--kind", "ed25519", "--out", "new.pem"],
    );
    run(
        &node,
        &["key", "rotate", "300:0.NA/88.118.5", "--new", "new.pem"],
    );
    let certify = [
        "trust",
        "certify",
        "301:0.NA/88.118.5",
        "--key",
        "root.pem",
        "--as",
        "301:0.0/0.0",
        "--may",
        "handlesUnderThisPrefix:0.NA/88.118.5",
    ];
    run(&node, &certify);
    assert_eq!(verify(&node).code, 0);
    let sign = [
        "trust", "sign", "--prefix", "88.118.5", "--key", "new.pem", "--as",
    ];
    run(&node, &[&sign[..], &["301:0.NA/88.118.5"]].concat());
    assert_eq!(
        verify(&node).out.matches("verified").count(),
        2,
        "by both keys"
    );
    run(&node, &["trust", "revoke", "300:0.NA/88.118.5"]);
    let by_new = verify(&node);
    assert_eq!(by_new.code, 0, "{}", by_new.err);
    assert!(by_new.out.contains("refused"), "{}", by_new.out);
    let replace = ["301:0.NA/88.118.5", "--replace", "300:0.NA/88.118.5"];
    run(&node, &[&sign[..], &replace].concat());
    assert!(!verify(&node).out.contains("refused"));
}

#[test]
fn records_are_signed_as_they_are_written_if_the_settings_say_so() {
    let mut node = certified();
    node.stop();
    let file = node.folder().join("guantong.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text
        .replace("# sign_key = \"\"", "sign_key = \"admin_key.pem\"")
        .replace("# sign_as = \"\"", "sign_as = \"300:0.NA/88.118.5\"")
        .replace("# roots = \"\"", "roots = \"root.pem\"");
    std::fs::write(&file, text).unwrap();
    // Without a running node first, then with one.
    for (data, start) in [("offline", false), ("online", true)] {
        if start {
            node = node.serve();
        }
        let value = format!("1 NOTE {data}");
        run(&node, &["record", "modify", THING, "--value", &value]);
        if start {
            let verified = run(&node, &["resolve", THING, "--verify"]);
            assert!(verified.out.contains(data), "{}", verified.out);
        } else {
            let stored = run(&node, &["record", "get", THING]);
            assert!(stored.out.contains("HS_SIGNATURE"), "{}", stored.out);
        }
    }
}
