//! Files with mistakes: each mistake is named with its place, and what is sound is not lost.

use std::fs;
use std::io::Write;
use std::path::Path;

use crate::node::{Node, guantong, make};

/// All that a command said.
fn said(output: &std::process::Output) -> String {
    let parts = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8(parts).expect("the program prints UTF-8")
}

fn text(path: &Path) -> &str {
    path.to_str()
        .expect("temporary directories have plain names")
}

#[test]
fn three_mistakes_in_a_configuration_are_told_at_once() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let config = make(&directory.path().join("node"));
    let sound = fs::read_to_string(&config).expect("it was just written");
    let wrong = sound
        .replace("udp = ", "upd = ")
        .replace("tcp = [\"127.0.0.1:0\"]", "tcp = [\"127.0.0.1:99999\"]")
        .replace("[log]", "[logs]");
    fs::write(&config, &wrong).expect("the directory is ours");
    let line_of = |part: &str| {
        let at = wrong.lines().position(|line| line.starts_with(part));
        at.expect("the mistake is in the file") + 1
    };
    for command in ["check", "serve"] {
        let output = guantong([command, "--config", text(&config)]);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        for mistake in ["upd", "tcp", "[logs]"] {
            let name = mistake.trim_matches(['[', ']']);
            assert!(said.contains(name), "{mistake} is not named:\n{said}");
            let line = line_of(mistake).to_string();
            assert!(
                said.contains(&line),
                "line {line} of {mistake} is not named:\n{said}"
            );
        }
        assert!(
            said.contains("udp"),
            "the nearest known key is not named:\n{said}"
        );
    }
}

#[test]
fn broken_line_of_an_import_is_named_and_the_others_are_not_lost() {
    const LINES: usize = 100_000;
    const BROKEN: usize = 70_000;
    let node = Node::start();
    let path = node.file("records.jsonl");
    let mut file = fs::File::create(&path).expect("the directory is ours");
    let mut lines = String::new();
    for number in 1..=LINES {
        let end = if number == BROKEN { "" } else { "]}" };
        lines.push_str(&format!(
            "{{\"handle\":\"88.118.5/n{number}\",\"values\":[{{\"index\":1,\"type\":\"N\",\
             \"data\":\"{number}\"}}{end}\n"
        ));
    }
    file.write_all(lines.as_bytes()).expect("the disk has room");
    let config = node.config();
    let output = guantong(["import", text(&path), "--config", text(&config)]);
    let told = said(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("70000") || told.contains("70,000"), "{told}");
    for (handle, found) in [
        ("88.118.5/n69999", true),
        ("88.118.5/n70000", false),
        ("88.118.5/n100000", true),
    ] {
        let at = node.tcp.to_string();
        let output = guantong(["resolve", handle, "--at", &format!("tcp://{at}"), "--json"]);
        assert_eq!(
            output.status.success(),
            found,
            "{handle}: {}",
            said(&output)
        );
    }
    assert!(node.stops_in_order());
}
