//! What has happened to a record, and undoing it.

use crate::node::{Node, Run, guantong_in};

const THING: &str = "88.118.5/past";

#[track_caller]
fn run(node: &Node, arguments: &[&str]) -> Run {
    let run = guantong_in(node.folder(), arguments);
    assert_eq!(run.code, 0, "{arguments:?}: {}", run.err);
    run
}

/// The numbers of the changes of the record, newest first.
fn numbers(node: &Node) -> Vec<u64> {
    let told = run(node, &["record", "history", THING, "--json"]);
    let number = |line: &str| {
        let change: serde_json::Value = serde_json::from_str(line).unwrap();
        change["number"].as_u64().unwrap()
    };
    told.out.lines().map(number).collect()
}

fn name(node: &Node) -> String {
    let got = guantong_in(node.folder(), &["record", "get", THING, "--json"]);
    let record: serde_json::Value = serde_json::from_str(&got.out).unwrap_or_default();
    let name = &record["values"][0]["data"]["value"];
    name.as_str().unwrap_or_default().to_owned()
}

#[test]
fn history_tells_each_life_of_a_record_and_undoing_brings_it_back() {
    let node = Node::start();
    let none = guantong_in(node.folder(), &["record", "history", THING]);
    assert_eq!(none.code, 1);
    run(&node, &["record", "put", THING, "--value", "1 NAME first"]);
    run(
        &node,
        &["record", "put", "88.118.5/other", "--value", "1 NAME other"],
    );
    run(
        &node,
        &["record", "modify", THING, "--value", "1 NAME second"],
    );
    let told = run(&node, &["record", "history", THING]);
    assert!(told.out.contains("update by operator"), "{}", told.out);
    assert!(told.out.contains("create by operator"), "{}", told.out);
    let [update, create] = numbers(&node)[..] else {
        panic!("{}", told.out)
    };
    let dry = run(&node, &["record", "undo", &update.to_string(), "--dry-run"]);
    assert!(dry.out.contains("would be changed"), "{}", dry.out);
    run(&node, &["record", "undo", &update.to_string()]);
    assert_eq!(name(&node), "first");
    let stale = guantong_in(node.folder(), &["record", "undo", &create.to_string()]);
    assert_eq!(stale.code, 1);
    assert!(stale.err.contains("came after it"), "{}", stale.err);
    run(&node, &["record", "delete", THING, "--force"]);
    let of_the_dead = numbers(&node);
    assert_eq!(of_the_dead.len(), 4, "{of_the_dead:?}");
    run(&node, &["record", "undo", &of_the_dead[0].to_string()]);
    assert_eq!(name(&node), "first");
    assert_eq!(
        numbers(&node).len(),
        5,
        "over the creation, into the life before it"
    );
    // All of it, at once.
    let newest = numbers(&node)[0];
    run(&node, &["record", "undo", &format!("{create}..{newest}")]);
    assert_eq!(name(&node), "");
    let other = guantong_in(node.folder(), &["record", "get", "88.118.5/other"]);
    assert_eq!(other.code, 1, "it was created within the range");
}

#[test]
fn history_shows_no_secret() {
    let node = Node::start();
    for secret in ["the old secret", "the new secret"] {
        let value = format!("300 HS_SECKEY {secret}");
        run(
            &node,
            &[
                "record",
                "put",
                THING,
                "--permissions",
                "1100",
                "--value",
                &value,
            ],
        );
    }
    for more in [&[][..], &["--json"]] {
        let told = run(&node, &[&["record", "history", THING], more].concat());
        assert!(!told.out.contains("the old secret"), "{}", told.out);
        assert!(!told.out.contains("the new secret"), "{}", told.out);
    }
    let told = run(&node, &["record", "history", THING]);
    assert!(told.out.contains("the secret was replaced"), "{}", told.out);
}

#[test]
fn homing_is_undone_and_takes_effect() {
    let node = Node::start();
    run(&node, &["prefix", "home", "88.118.9"]);
    let last = run(&node, &["store", "check", "--json"]);
    let last: serde_json::Value = serde_json::from_str(&last.out).unwrap();
    let last = last["changes"].as_u64().unwrap().to_string();
    let undone = run(&node, &["record", "undo", &last]);
    assert!(
        undone.out.contains("0.NA/88.118.9 unhomed"),
        "{}",
        undone.out
    );
    assert!(!run(&node, &["prefix", "list"]).out.contains("88.118.9"));
}

#[test]
fn loss_is_accepted_only_on_demand() {
    let mut node = Node::start();
    run(&node, &["record", "put", THING, "--value", "1 NAME x"]);
    assert_eq!(node.stop(), Some(0));
    let nothing = run(&node, &["store", "accept-loss"]);
    assert!(nothing.out.contains("nothing is lost"), "{}", nothing.out);
    std::fs::remove_file(node.folder().join("store/HEAD")).unwrap();
    let refused = guantong_in(node.folder(), &["record", "get", THING]);
    assert!(refused.err.contains("accept-loss"), "{}", refused.err);
    let told = guantong_in(node.folder(), &["store", "accept-loss"]);
    assert_eq!(told.code, 1, "{}", told.err);
    assert!(told.err.contains("--yes"), "{}", told.err);
    let accepted = run(&node, &["store", "accept-loss", "--yes"]);
    assert!(
        accepted.out.contains("the node goes on behind"),
        "{}",
        accepted.out
    );
    assert_eq!(name(&node), "x");
}
