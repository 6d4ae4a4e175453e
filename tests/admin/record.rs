//! The life of a record, and prefixes, through the program.

use std::os::unix::fs::MetadataExt;

use guantong_proto::Handle;
use guantong_proto::data::AdminPermissions;
use guantong_store::{Batch, Change, Expect, Origin, Right, Source, Trail, Used, Way};

use super::{Node, line, with_and_without_a_running_node};

#[test]
fn record_is_put_changed_compared_and_deleted() {
    with_and_without_a_running_node(|node| {
        let handle = "88.118.5/SN1";
        let put = |value: &str, code| {
            node.run(
                &["record", "put", handle, "--value", value, "--if-absent"],
                code,
            )
        };
        let (out, _) = put("1 URL https://example.org/a b", 0);
        assert!(out.starts_with("88.118.5/SN1 created, version "), "{out}");
        let (_, err) = put("1 URL other", 1);
        assert!(err.contains("was expected not to exist"), "{err}");
        node.run(&["record", "add", handle, "--value", "2 NAME 泵"], 0);
        let (_, err) = node.run(&["record", "add", handle, "--value", "2 NAME x"], 1);
        assert!(err.contains("index 2 exists"), "{err}");
        let (out, _) = node.run(&["record", "get", handle], 0);
        assert!(
            out.contains("https://example.org/a b") && out.contains('泵'),
            "{out}"
        );
        let (json, _) = node.run(&["record", "get", handle, "--json"], 0);
        assert!(json.starts_with(r#"{"responseCode":1,"handle":"88.118.5/SN1","values":["#));
        let file = node.write("record.json", &json);
        node.run(&["record", "diff", "--file", &file], 0);
        node.run(&["record", "modify", handle, "--value", "2 NAME Pump"], 0);
        let (out, _) = node.run(&["record", "diff", "--file", &file], 1);
        let starts: Vec<_> = out.lines().map(|line| &line[..1]).collect();
        assert_eq!(starts, ["-", "+"], "{out}");
        node.run(&["record", "put", "--file", &file, "--if-version", "1"], 1);
        let (out, _) = node.run(&["record", "put", "--file", &file, "--dry-run"], 0);
        assert!(out.ends_with("88.118.5/SN1 would be changed\n"), "{out}");
        node.run(&["record", "put", "--file", &file], 0);
        let (out, _) = node.run(&["record", "put", "--file", &file], 0);
        assert_eq!(out, "88.118.5/SN1 is like this already\n");
        node.run(&["record", "remove", handle, "2"], 0);
        let (_, err) = node.run(&["record", "remove", handle, "2"], 1);
        assert!(err.contains("no value with index 2"), "{err}");
        let (out, _) = node.run(&["record", "list", "--prefix", "88.118.5"], 0);
        assert_eq!(out, "88.118.5/SN1\n");
        node.run(&["record", "delete", handle, "--force"], 0);
        let (_, err) = node.run(&["record", "get", handle], 1);
        assert!(err.contains("there is no record 88.118.5/SN1"), "{err}");
        let (_, err) = node.run(&["record", "delete", handle], 1);
        assert!(err.contains("there is no such record"), "{err}");
    });
}

#[test]
fn name_goes_from_reserved_to_public_to_withdrawn_and_back() {
    with_and_without_a_running_node(|node| {
        let handle = "88.118.5/SN7";
        let says = |args: &[&str], word: &str| {
            let (out, _) = node.run(&[&["record"], args].concat(), 0);
            assert!(
                out.starts_with(&format!("{handle} {word}")),
                "{args:?}: {out}"
            );
        };
        says(&["reserve", handle, "--reason", "order 4711"], "created");
        says(&["add", handle, "--value", "1 NAME Pump"], "changed");
        says(&["publish", handle], "published");
        says(&["publish", handle], "is like this already");
        let withdraw = [
            "withdraw",
            handle,
            "--reason",
            "scrapped",
            "--successor",
            "88.118.5/SN8",
        ];
        says(&withdraw, "withdrawn");
        says(&withdraw, "is like this already");
        let (out, _) = node.run(&["record", "get", handle], 0);
        assert!(
            out.contains("Pump") && out.contains("\"successor\":\"88.118.5/SN8\""),
            "{out}"
        );
        let (_, err) = node.run(&["record", "reserve", handle], 1);
        assert!(err.contains("is not given again"), "{err}");
        let (_, err) = node.run(&["record", "delete", handle], 1);
        assert!(
            err.contains("is withdrawn already") && err.contains("--force"),
            "{err}"
        );
        let put = [
            "put",
            handle,
            "--value",
            "1 NAME Pump",
            "--state",
            "reserved",
        ];
        says(&put, "reserved");
        says(&["delete", handle], "withdrawn");
        says(&["delete", handle, "--force"], "deleted");
    });
}

#[test]
fn state_that_makes_no_sense_is_refused_and_says_why() {
    let node = Node::stopped();
    let handle = "88.118.5/SN7";
    let (_, err) = node.run(&["record", "withdraw", handle, "--reason", "lost"], 1);
    assert!(err.contains("there is no such record"), "{err}");
    let (_, err) = node.run(&["record", "publish", handle], 1);
    assert!(err.contains("there is no such record"), "{err}");
    node.run(&["record", "put", handle, "--value", "1900 NOTE mine"], 0);
    let (_, err) = node.run(&["record", "withdraw", handle, "--reason", "lost"], 1);
    assert!(err.contains("a value with index 1900 exists"), "{err}");
    let long = "x".repeat(1_001);
    let (_, err) = node.run(&["record", "withdraw", handle, "--reason", &long], 2);
    assert!(err.contains("the limit is 1000"), "{err}");
    let (_, err) = node.run(
        &[
            "record",
            "withdraw",
            handle,
            "--reason",
            "x",
            "--successor",
            "",
        ],
        2,
    );
    assert!(err.contains("is not a handle"), "{err}");
}

#[test]
fn mistakes_are_named_with_what_to_do() {
    let node = Node::stopped();
    let broken = node.write(
        "broken.json",
        r#"{"handle":"88.118.5/x","values":[{"index":"one"}]}"#,
    );
    for (args, says) in [
        (&["record", "get", ""][..], "a handle cannot be empty"),
        (
            &["record", "put", "88.118.5/x", "--value", "URL x"],
            "write index, type and data",
        ),
        (
            &["record", "put", "--value", "1 URL x"],
            "no handle is given",
        ),
        (
            &["record", "put", "--file", "nowhere.json"],
            "nowhere.json cannot be read",
        ),
        (
            &["record", "put", "--file", &broken],
            "values[0].index: expected",
        ),
        (
            &["record", "put", "88.118.5/x", "--value", "0 URL x"],
            "above 0",
        ),
        (&["record", "put", "88.118.5/x"], "--value"),
        (&["prefix", "home", "88.118.5/x"], "is not a prefix"),
        (&["prefix", "delegate", "88.118.5"], "--site"),
    ] {
        let (_, err) = node.run(args, 2);
        assert!(err.contains(says), "{args:?}: {err}");
    }
    let (_, err) = node.run(&["record", "get", "88.118.5/x", "--config", "nowhere"], 2);
    assert!(err.contains("nowhere"), "{err}");
}

#[test]
fn record_of_a_prefix_that_is_not_homed_is_stored_with_a_note() {
    with_and_without_a_running_node(|node| {
        let put = ["record", "put", "20.500/x", "--value", "1 URL x"];
        let (_, err) = node.run(&put, 0);
        assert!(err.contains("`guantong prefix home 20.500`"), "{err}");
        node.run(&["prefix", "home", "20.500"], 0);
        let (out, _) = node.run(&["prefix", "list"], 0);
        assert!(out.contains("20.500\t1 record\n"), "{out}");
        node.run(&["prefix", "unhome", "20.500"], 0);
        assert!(!node.run(&["prefix", "list"], 0).0.contains("20.500"));
    });
}

#[test]
fn homing_takes_effect_in_the_running_node() {
    let node = Node::running();
    let running = node.running.as_ref().unwrap();
    let homed = || running.node().site().homed().len();
    let before = homed();
    node.run(&["prefix", "home", "20.500"], 0);
    assert_eq!(homed(), before + 1);
    node.run(&["prefix", "unhome", "20.500"], 0);
    assert_eq!(homed(), before);
}

#[test]
fn prefix_is_delegated_by_address_and_by_site_file() {
    with_and_without_a_running_node(|node| {
        let by_address = ["prefix", "delegate", "88.118.9", "--address", "192.0.2.7"];
        let (out, _) = node.run(&[&by_address[..], &["--dry-run"]].concat(), 0);
        assert!(
            out.contains("HS_SITE") && out.contains("would be created"),
            "{out}"
        );
        node.run(&["record", "get", "0.NA/88.118.9"], 1);
        let admin = ["--admin", "300:0.NA/88.118"];
        node.run(&[&by_address[..], &admin].concat(), 0);
        let (json, _) = node.run(&["record", "get", "88.118.9", "--json"], 0);
        let record: serde_json::Value = serde_json::from_str(&json).unwrap();
        let site = &record["values"][0]["data"]["value"];
        assert_eq!(site["servers"][0]["address"], "192.0.2.7");
        assert_eq!(record["values"][1]["type"], "HS_ADMIN");
        let file = node.write("site.json", &site.to_string());
        let by_file = ["prefix", "delegate", "88.118.9", "--site", &file];
        let (out, _) = node.run(&by_file, 0);
        assert!(out.contains("is like this already"), "{out}");
    });
}

#[test]
fn handles_are_found_by_value() {
    with_and_without_a_running_node(|node| {
        node.run(
            &[
                "record",
                "put",
                "88.118.5/a",
                "--value",
                "1 EMAIL a@example.org",
            ],
            0,
        );
        let find = ["record", "find", "EMAIL", "a@example.org"];
        let (_, err) = node.run(&find, 1);
        assert!(err.contains("no index is switched on"), "{err}");
        node.run(&["store", "index", "on", "EMAIL"], 0);
        // Each command opens the store anew or asks again, and building goes on meanwhile.
        while !node
            .run(&["store", "index", "list"], 0)
            .0
            .contains("EMAIL ready")
        {}
        assert_eq!(node.run(&find, 0).0, "88.118.5/a\n");
    });
}

/// The changes of a record, newest first, as lines of JSON tell them.
fn history(node: &Node, handle: &str) -> Vec<serde_json::Value> {
    let (told, _) = node.run(&["record", "history", handle, "--json"], 0);
    let change = |line: &str| serde_json::from_str(line).unwrap();
    told.lines().map(change).collect()
}

#[test]
fn history_tells_whether_the_operator_came_over_the_control_socket() {
    with_and_without_a_running_node(|node| {
        let file = node.write("one.jsonl", &line(1, "x"));
        let handle = "88.118.5/SN0000001";
        node.run(&["import", &file], 0);
        node.run(&["record", "modify", handle, "--value", "1 URL y"], 0);
        let is_running = node.running.is_some();
        let owner = std::fs::metadata(node.folder()).unwrap().uid();
        let from = match is_running {
            true => serde_json::json!({"way": "control", "user": owner}),
            false => serde_json::json!({"way": "here"}),
        };
        let changes = history(node, handle);
        for (change, by) in changes.iter().zip(["operator", "import"]) {
            assert_eq!(change["by"], by);
            assert_eq!(change["from"], from);
            assert_eq!(change["right"], serde_json::json!({"by": "own"}));
        }
        let (told, _) = node.run(&["record", "history", handle], 0);
        let words = match is_running {
            true => "  over the control socket, by user ",
            false => "  with the store open on this machine",
        };
        assert_eq!(told.matches(words).count(), 2, "{told}");
    });
}

#[test]
fn history_tells_the_right_and_the_groups_in_words_and_as_json() {
    let node = Node::stopped();
    let used = Used {
        record: Handle::of_prefix("88.118.5").unwrap(),
        index: 100,
        permissions: AdminPermissions::ADD_HANDLE,
        through: vec![(Handle::parse("88.118.5/staff").unwrap(), 200)],
        more_groups: 0,
    };
    let rights = [
        Right::Administrator(vec![used]),
        Right::FullAccess,
        Right::OpenValues,
    ];
    let store = node.store();
    for right in rights {
        let batch = Batch {
            changes: vec![Change::Put {
                handle: Handle::parse("88.118.5/a").unwrap(),
                values: vec![0; 4],
                expect: Expect::Anything,
            }],
            at_ms: 1,
            origin: Origin::Administrator {
                handle: Handle::parse("88.118.5/alice").unwrap(),
                index: 300,
            },
            trail: Trail {
                from: Source::Peer {
                    way: Way::Tcp,
                    address: "192.0.2.1:4711".parse().unwrap(),
                },
                right,
            },
        };
        store.submit(batch).wait().unwrap();
    }
    drop(store);
    let (told, _) = node.run(&["record", "history", "88.118.5/a"], 0);
    let from = "  from 192.0.2.1:4711 over tcp";
    for words in [
        "create by 300:88.118.5/alice".to_owned(),
        format!("{from}, to values that anybody may write"),
        format!("{from}, by the setting administration.server_admin_full_access"),
        format!(
            "{from}, by HS_ADMIN value 100 of 0.NA/88.118.5 through 200:88.118.5/staff (add handle)"
        ),
    ] {
        assert!(told.contains(&words), "{words}\n{told}");
    }
    let right = &history(&node, "88.118.5/a")[2]["right"];
    let expected = serde_json::json!({
        "by": "administrator",
        "values": [{
            "record": "0.NA/88.118.5",
            "index": 100,
            "permissions": ["add handle"],
            "through": ["200:88.118.5/staff"],
            "more_groups": 0,
        }],
    });
    assert_eq!(*right, expected);
}
