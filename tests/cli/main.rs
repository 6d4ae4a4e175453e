//! The binary as people and scripts use it: exit codes, streams, and the same answer by every way.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may fail by panic"
)]

mod doctor;
mod key;
mod node;
mod past;
mod trust;

use std::process::Stdio;

use node::{Node, guantong, guantong_in};
use serde_json::Value as Json;

#[test]
fn usage_that_is_wrong_exits_with_2_and_says_so_on_standard_error() {
    for arguments in [
        &["resolve"][..],
        &["no-such-command"],
        &["resolve", "1/a", "--at", "host:0"],
        &["resolve", ""],
        &["serve", "--config", "does-not-exist.toml"],
        &["check", "--config", "does-not-exist.toml"],
        &["init", "."],
    ] {
        let run = guantong(arguments);
        assert_eq!(run.code, 2, "{arguments:?}: {}", run.err);
        assert_eq!(run.out, "", "{arguments:?}");
        assert!(run.err.starts_with("error: "), "{}", run.err);
    }
}

#[test]
fn help_version_completions_and_manual_are_results() {
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["resolve", "--help"],
        &["completions", "bash"],
        &["completions", "zsh"],
        &["man"],
    ] {
        let run = guantong(arguments);
        assert_eq!((run.code, run.err.as_str()), (0, ""), "{arguments:?}");
        assert!(!run.out.is_empty());
    }
    let folder = tempfile::tempdir().unwrap();
    let run = guantong_in(folder.path(), &["man", "pages"]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(folder.path().join("pages/guantong-resolve.1").exists());
}

#[test]
fn every_mistake_of_a_configuration_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let text = "version = \"v1\"\n[node]\nnmae = \"x\"\n[site]\nserial = \"one\"\n[listen]\n\
                udp = [\"nowhere\"]\n";
    std::fs::write(folder.path().join("guantong.toml"), text).unwrap();
    for command in ["check", "serve", "doctor"] {
        let run = guantong_in(folder.path(), &[command]);
        assert_eq!(run.code, 2, "{command}: {}", run.err);
        for line in ["guantong.toml:3", "guantong.toml:5", "guantong.toml:7"] {
            assert!(run.err.contains(line), "{command}: {}", run.err);
        }
    }
}

#[test]
fn network_failure_exits_with_3_and_lists_the_attempts() {
    let address = unused_address();
    let run = guantong(&["resolve", "1/a", "--json", "--at", &address]);
    assert_eq!((run.code, run.out.as_str()), (3, ""));
    for attempt in [format!("udp {address}"), format!("tcp {address}")] {
        assert!(run.err.contains(&attempt), "{}", run.err);
    }
}

/// An address at which nobody listens: its port was just given back.
pub(crate) fn unused_address() -> String {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().to_string()
}

#[test]
fn answer_is_the_same_by_every_transport_and_by_the_json_api() {
    let node = Node::start();
    for handle in [node::SMALL, node::SPLIT, node::HUGE, "0.NA/88.118.5"] {
        let by_udp = node.resolve("udp", handle, &["--json"]);
        let by_tcp = node.resolve("tcp", handle, &["--json"]);
        assert_eq!(by_tcp.code, 0, "{handle}: {}", by_tcp.err);
        if handle == node::HUGE {
            assert_eq!(by_udp.code, 1, "{}", by_udp.err);
        } else {
            assert_eq!(by_udp.out, by_tcp.out);
        }
        for transport in ["http", "https"] {
            let run = node.resolve(transport, handle, &["--json"]);
            assert_eq!(run.out, by_tcp.out, "{transport} {handle}: {}", run.err);
        }
        let (status, body) = node.get(&format!("/api/handles/{handle}"));
        assert_eq!(
            (status, body.trim_end()),
            (200, by_tcp.out.trim_end()),
            "{handle}"
        );
        let json: Json = serde_json::from_str(&by_tcp.out).unwrap();
        assert_eq!(
            (&json["responseCode"], &json["handle"]),
            (&1.into(), &handle.into())
        );
    }
}

#[test]
fn what_does_not_exist_or_is_refused_exits_with_1() {
    let node = Node::start();
    let run = node.resolve("tcp", "88.118.5/none", &["--json"]);
    assert_eq!(run.code, 1);
    assert_eq!(
        run.out,
        "{\"responseCode\":100,\"handle\":\"88.118.5/none\"}\n"
    );
    let run = node.resolve("udp", node::SMALL, &["--json", "--type", "NONE"]);
    assert_eq!(run.code, 1);
    let expected = format!(
        "{{\"responseCode\":200,\"values\":[],\"handle\":\"{}\"}}\n",
        node::SMALL
    );
    assert_eq!(run.out, expected);
    let run = node.resolve("udp", "9/elsewhere", &[]);
    assert_eq!((run.code, run.out.as_str()), (1, ""));
    assert!(
        run.err.contains("301") && run.err.contains("hint:"),
        "{}",
        run.err
    );
}

#[test]
fn answer_too_large_for_udp_is_fetched_by_tcp() {
    let node = Node::start();
    let run = node.resolve("udp", node::HUGE, &[]);
    assert_eq!(run.code, 1, "{}", run.out);
    assert!(run.err.contains("ask over TCP"), "{}", run.err);
    let native = node.address("udp");
    assert_eq!(native, node.address("tcp"));
    let run = guantong(&["resolve", node::HUGE, "--at", &native, "--trace"]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.err.contains("declined"), "{}", run.err);
    assert!(run.err.contains("code 1 (success)"), "{}", run.err);
}

#[test]
fn selection_by_type_and_index_is_a_union() {
    let node = Node::start();
    let run = node.resolve(
        "udp",
        node::SMALL,
        &["--json", "--type", "url", "--index", "3"],
    );
    let json: Json = serde_json::from_str(&run.out).unwrap();
    let indexes: Vec<_> = json["values"]
        .as_array()
        .unwrap()
        .iter()
        .map(|value| value["index"].clone())
        .collect();
    assert_eq!(indexes, [1, 3]);
}

#[test]
fn people_get_a_table_and_colour_only_where_they_ask_for_it() {
    let node = Node::start();
    let run = node.resolve("udp", node::SMALL, &[]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.out.contains("    1  URL"), "{}", run.out);
    assert!(
        run.out.contains("5G基站") && !run.out.contains('\x1b'),
        "{}",
        run.out
    );
    let run = node.resolve("udp", node::SMALL, &["--color", "always"]);
    assert!(run.out.contains('\x1b'));
}

#[test]
fn local_node_is_asked_if_no_address_is_given() {
    let node = Node::start();
    let run = guantong_in(node.folder(), &["resolve", node::SMALL, "--json"]);
    assert_eq!(run.code, 0, "{}", run.err);
}

#[test]
fn certified_answer_fits_the_key_that_the_node_publishes() {
    let node = Node::start();
    for handle in [node::SMALL, node::SPLIT] {
        let run = node.resolve("udp", handle, &["--cert"]);
        assert_eq!((run.code, run.err.as_str()), (0, ""));
        assert!(
            run.out.contains("signed, which fits its key"),
            "{}",
            run.out
        );
    }
}

#[test]
fn reader_who_leaves_early_is_no_failure() {
    let mut child = node::command(&["man"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn doctor_says_where_it_breaks() {
    let node = Node::start();
    let doctor = |arguments: &[&str]| {
        let arguments = [&["doctor"], arguments].concat();
        guantong_in(node.folder(), &arguments)
    };
    let run = doctor(&[]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    assert!(run.out.contains("Everything is in order."), "{}", run.out);
    let run = doctor(&[node::SMALL]);
    assert_eq!(run.code, 0, "{}", run.out);
    assert!(run.out.contains("gives the 3 public values"), "{}", run.out);
    let run = doctor(&["88.118.5/none"]);
    assert_eq!(run.code, 1);
    assert!(
        run.out.contains("there is none under this handle"),
        "{}",
        run.out
    );
    let run = doctor(&["9/elsewhere"]);
    assert_eq!(run.code, 1);
    assert!(run.out.contains("9 is not homed here"), "{}", run.out);
}

#[test]
fn doctor_looks_at_a_node_from_outside() {
    let node = Node::start();
    let look = |handle: &str| {
        let at = format!("tcp://{}", node.address("tcp"));
        guantong(&["doctor", handle, "--at", &at])
    };
    let run = look(node::SMALL);
    assert_eq!(run.code, 0, "{}", run.out);
    assert!(run.out.contains("gives 3 values"), "{}", run.out);
    assert_eq!(look("88.118.5/none").code, 1);
    let at = format!("udp://{}", unused_address());
    let run = guantong(&["doctor", "--at", &at]);
    assert_eq!(run.code, 3, "{}", run.out);
}

#[test]
fn doctor_and_check_look_at_a_node_that_does_not_run() {
    let node = Node::new();
    let run = guantong_in(node.folder(), &["check"]);
    assert_eq!(run.code, 0, "{}", run.out);
    let run = guantong_in(node.folder(), &["check", "--show"]);
    assert!(run.out.contains("\nudp_response_max = "), "{}", run.out);
    let run = guantong_in(node.folder(), &["doctor", node::SMALL]);
    assert_eq!(run.code, 3);
    assert!(run.out.contains("it does not run"), "{}", run.out);
    std::fs::remove_file(node.folder().join("server_key.pem")).unwrap();
    let run = guantong_in(node.folder(), &["check"]);
    assert_eq!(run.code, 2, "{}", run.out);
}

#[test]
fn node_stops_when_it_is_told_to() {
    let mut node = Node::start();
    assert_eq!(node.stop(), Some(0));
    assert!(!node.folder().join("run/addresses.json").exists());
}

#[test]
fn handle_is_resolved_from_the_root_down_and_the_way_is_told() {
    let tree = node::Tree::start();
    let root = tree.root.native();
    let run = guantong(&["resolve", node::SMALL, "--root", &root, "--trace", "--json"]);
    assert_eq!(run.code, 0, "{}", run.err);
    let found: Json = serde_json::from_str(&run.out).unwrap();
    let expected = guantong(&[
        "resolve",
        node::SMALL,
        "--json",
        "--at",
        &tree.leaf.native(),
    ]);
    assert_eq!(found, serde_json::from_str::<Json>(&expected.out).unwrap());
    for told in [
        "because: root",
        "because: prefix record 0.NA/88.118.5",
        "code 1 (success)",
        "questions in",
        &root,
    ] {
        assert!(run.err.contains(told), "{told} is missing in\n{}", run.err);
    }
    let run = guantong(&["resolve", "88.118.5/none", "--root", &root]);
    assert_eq!(run.code, 1, "{}", run.err);
    assert!(run.err.contains("there is no such record"), "{}", run.err);
}

#[test]
fn root_that_is_none_or_does_not_answer_is_told_apart() {
    let run = guantong(&["resolve", "1/a", "--root", "note"]);
    assert_eq!((run.code, run.out.as_str()), (2, ""));
    assert!(run.err.contains("siteinfo.json"), "{}", run.err);
    let address = unused_address();
    let run = guantong(&["resolve", "1/a", "--root", &address, "--trace"]);
    assert_eq!((run.code, run.out.as_str()), (3, ""));
    assert!(run.err.contains(&format!("udp://{address}")), "{}", run.err);
}

#[test]
fn recursive_node_is_made_with_a_root_only_and_resolves() {
    let folder = tempfile::tempdir().unwrap();
    let run = guantong_in(folder.path(), &["init", "r", "--role", "recursive"]);
    assert_eq!(run.code, 2);
    assert!(run.err.contains("name it with --root"), "{}", run.err);
    let tree = node::Tree::start();
    let recursive = Node::recursive(&tree.root.native());
    let at = recursive.native();
    let run = guantong(&["resolve", node::SMALL, "--at", &at, "--json"]);
    assert_eq!(run.code, 0, "{}", run.err);
    let run = guantong(&["resolve", node::HUGE, "--at", &at, "--json"]);
    assert_eq!(run.code, 0, "{}", run.err);
}
