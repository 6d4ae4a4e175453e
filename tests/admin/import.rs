//! Import and export through the program, killed in the middle as well.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use guantong_store::Origin;

use super::{Node, line, texts, with_and_without_a_running_node};

/// For each line of a result file its outcome.
fn results(node: &Node, name: &str) -> BTreeMap<u64, String> {
    let text = std::fs::read_to_string(node.file(name)).unwrap();
    let mut results = BTreeMap::new();
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let outcome = line["outcome"].as_str().unwrap().to_owned();
        let twice = results.insert(line["line"].as_u64().unwrap(), outcome);
        assert!(twice.is_none(), "line {line} has two results");
    }
    results
}

#[test]
fn broken_line_70_000_of_100_000_is_named_and_the_others_are_imported() {
    let node = Node::stopped();
    let mut lines: Vec<String> = (1..=100_000).map(|number| line(number, "x")).collect();
    lines[69_999].replace_range(40.., "\"oops\"");
    let file = node.write("many.jsonl", &lines.join("\n"));
    let import = ["import", &file, "--results", "results.jsonl"];
    let (out, err) = node.run(&import, 1);
    assert!(
        out.contains("99999 created") && out.contains("1 refused"),
        "{out}"
    );
    assert!(err.contains("line 70000, column "), "{err}");
    assert!(err.contains("expected"), "{err}");
    let results = results(&node, "results.jsonl");
    assert_eq!(results.len(), 100_000);
    assert_eq!(results[&70_000], "refused");
    let (out, _) = node.run(&["record", "list", "--prefix", "88.118.5", "--count"], 0);
    assert_eq!(out, "99999\n");
}

#[test]
fn state_of_a_record_goes_with_it_from_node_to_node() {
    let (old, new) = (Node::stopped(), Node::stopped());
    let file = old.write("few.jsonl", &[line(1, "x"), line(2, "x")].join("\n"));
    old.run(&["import", &file], 0);
    old.run(&["record", "reserve", "88.118.5/SN0000001"], 0);
    let withdraw = [
        "record",
        "withdraw",
        "88.118.5/SN0000002",
        "--reason",
        "scrapped",
    ];
    old.run(&withdraw, 0);
    let file = new.write("all.jsonl", &old.export());
    new.run(&["import", &file], 0);
    assert_eq!(new.export(), old.export());
    assert!(new.export().contains("scrapped"));
    let (_, err) = new.run(&["record", "reserve", "88.118.5/SN0000002"], 1);
    assert!(err.contains("is not given again"), "{err}");
}

#[test]
fn conflicts_are_replaced_skipped_or_refused_as_asked() {
    with_and_without_a_running_node(|node| {
        let old = node.write("old.jsonl", &[line(1, "old"), line(2, "old")].join("\n"));
        let new = node.write("new.jsonl", &[line(1, "new"), line(3, "new")].join("\n"));
        node.run(&["import", &old], 0);
        let before = node.export();
        for (what, code, says) in [
            (
                "skip",
                0,
                "1 created, 0 replaced, 0 unchanged, 1 skipped, 0 refused",
            ),
            (
                "fail",
                1,
                "1 created, 0 replaced, 0 unchanged, 0 skipped, 1 refused",
            ),
            (
                "replace",
                0,
                "1 created, 1 replaced, 0 unchanged, 0 skipped, 0 refused",
            ),
        ] {
            let dry = ["import", &new, "--on-conflict", what, "--dry-run"];
            let (out, _) = node.run(&dry, code);
            assert!(out.contains("would be ") && out.contains(says), "{out}");
            assert_eq!(node.export(), before);
        }
        node.run(&["import", &new, "--on-conflict", "skip"], 0);
        assert!(node.export().contains("SN0000001\",\"values\":[{\"index\":1,\"type\":\"URL\",\"data\":{\"format\":\"string\",\"value\":\"https://example.org/old\""));
        node.run(&["import", &new, "--on-conflict", "fail"], 1);
        let (out, _) = node.run(&["import", &new], 0);
        assert!(out.contains("1 replaced, 1 unchanged"), "{out}");
    });
}

#[test]
fn export_into_the_import_of_another_node_gives_the_same_octets() {
    let (one, two) = (Node::running(), Node::running());
    let lines: Vec<String> = (1..5_000).map(|number| line(number, "零件")).collect();
    let file = one.write("many.jsonl", &lines.join("\n"));
    one.run(&["import", &file], 0);
    let mut export = one
        .command(&["export"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let piped = export.stdout.take().unwrap();
    let import = two.command(&["import", "-"]).stdin(piped).output().unwrap();
    assert!(
        export.wait().unwrap().success() && import.status.success(),
        "{:?}",
        texts(&import)
    );
    // The prefix record is the node's own, and the import has put the first node's in its place.
    assert_eq!(one.export(), two.export());
    assert!(one.export().lines().count() > 5_000 - 1);
}

#[test]
fn export_into_a_file_appears_whole_and_resumes() {
    let node = Node::stopped();
    let lines: Vec<String> = (1..3_000).map(|number| line(number, "x")).collect();
    let file = node.write("many.jsonl", &lines.join("\n"));
    node.run(&["import", &file], 0);
    let expected = node.export();
    node.write("out.jsonl.part", &expected[..expected.len() / 2]);
    node.run(&["export", "--output", "out.jsonl", "--resume"], 0);
    assert!(std::fs::read_to_string(node.file("out.jsonl")).unwrap() == expected);
    assert!(!node.file("out.jsonl.part").exists());
}

#[test]
fn stop_on_error_stops_at_the_broken_line_and_resumes_behind_it_once_mended() {
    with_and_without_a_running_node(|node| {
        let lines = [line(1, "x"), "broken".to_owned(), line(3, "x")].join("\n");
        let file = node.write("few.jsonl", &lines);
        let (out, _) = node.run(&["import", &file, "--stop-on-error"], 1);
        assert!(
            out.contains("1 created") && out.contains("1 refused"),
            "{out}"
        );
        let file = node.write("few.jsonl", &lines.replace("broken", &line(2, "x")));
        let (out, _) = node.run(&["import", &file, "--resume"], 0);
        assert!(out.contains("3 created"), "{out}");
    });
}

#[test]
fn resuming_what_cannot_be_resumed_is_explained() {
    let node = Node::stopped();
    let file = node.write("few.jsonl", &line(1, "x"));
    let (_, err) = node.run(&["import", "-", "--resume"], 2);
    assert!(err.contains("--results"), "{err}");
    let (_, err) = node.run(&["import", &file, "--resume"], 0);
    assert!(err.contains("there is nothing to resume"), "{err}");
    node.write("few.jsonl.state", "garbage");
    let (_, err) = node.run(&["import", &file, "--resume"], 2);
    assert!(err.contains("start over without resuming"), "{err}");
    node.run(&["import", &file], 0);
}

/// Each round kills the import at another moment; the moments are spread over its whole course. In
/// the end each line must have exactly the outcome that it has in an import that nobody kills, and
/// nothing may have been written twice: the change log has as many entries.
fn killed_import_loses_and_repeats_nothing(mut node: Node) {
    const LINES: usize = 24_000;
    let text = |number: usize| match number % 7 {
        // Every seventh line is about a record in front of it, some close, some far.
        0 => line(number / 2, "again"),
        _ if number % 1_000 == 999 => "broken".to_owned(),
        _ => line(number, "first"),
    };
    let lines: Vec<String> = (1..=LINES).map(text).collect();
    let mut whole = Node::stopped();
    let file = whole.write("many.jsonl", &lines.join("\n"));
    whole.run(&["import", &file, "--results", "results.jsonl"], 1);
    let file = node.write("many.jsonl", &lines.join("\n"));
    let args = ["import", &file, "--results", "results.jsonl", "--resume"];
    let mut kills = 0;
    loop {
        let mut child = node.command(&args).stderr(Stdio::null()).spawn().unwrap();
        // From 20 to 660 milliseconds, in steps that are not multiples of each other.
        let moment = Duration::from_millis(20 + (kills * 67) % 640);
        std::thread::sleep(moment);
        if kills < 12 && child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
            if has_ended(&node, LINES) {
                // The kill came between the end of the import and that of the process: there is
                // nothing to resume, and another run would be another import.
                break;
            }
            continue;
        }
        assert_eq!(child.wait().unwrap().code(), Some(1));
        break;
    }
    assert_eq!(
        results(&node, "results.jsonl"),
        results(&whole, "results.jsonl")
    );
    assert_eq!(
        without_prefix_records(&node.export()),
        without_prefix_records(&whole.export())
    );
    node.stop();
    whole.stop();
    let imported = |node: &Node| {
        let store = node.store();
        let (mut imported, mut after) = (0, 0);
        loop {
            let page = store.changes(after, 10_000).unwrap();
            let Some(last) = page.last() else {
                return imported;
            };
            after = last.number;
            let is_ours = |change: &&guantong_store::Entry| change.origin == Origin::Import;
            imported += page.iter().filter(is_ours).count();
        }
    };
    assert_eq!(imported(&node), imported(&whole));
}

/// Whether an import of so many lines has accounted for all of them and removed its state.
fn has_ended(node: &Node, lines: usize) -> bool {
    let results = std::fs::read_to_string(node.file("results.jsonl")).unwrap_or_default();
    results.lines().count() == lines && !node.file("results.jsonl.state").exists()
}

fn without_prefix_records(export: &str) -> Vec<&str> {
    export
        .lines()
        .filter(|line| !line.starts_with(r#"{"handle":"0.NA/"#))
        .collect()
}

#[test]
fn import_that_is_killed_again_and_again_loses_and_repeats_nothing() {
    killed_import_loses_and_repeats_nothing(Node::stopped());
}

#[test]
fn import_into_a_running_node_that_is_killed_again_and_again_loses_and_repeats_nothing() {
    killed_import_loses_and_repeats_nothing(Node::running());
}
