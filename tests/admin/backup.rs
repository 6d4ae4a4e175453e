//! Backup, restore and check through the program.

use super::{Node, line, open_store};

#[test]
fn backup_during_an_import_is_of_one_moment_and_restores_to_it() {
    const LINES: usize = 20_000;
    let node = Node::running();
    let lines: Vec<String> = (1..=LINES).map(|number| line(number, "x")).collect();
    let file = node.write("many.jsonl", &lines.join("\n"));
    let first = node.running.as_ref().unwrap().node().store.last_change();
    let mut import = node.command(&["import", &file]).spawn().unwrap();
    // The import is under way when its first records are there.
    while node.running.as_ref().unwrap().node().store.last_change() == first {
        std::thread::yield_now();
    }
    let (out, _) = node.run(&["backup", "backup"], 0);
    assert!(out.contains("up to change"), "{out}");
    assert!(import.wait().unwrap().success());
    node.run(&["restore", "backup", "restored"], 0);
    let (out, _) = node.run(&["store", "check", "restored"], 0);
    assert!(out.ends_with("nothing is wrong\n"), "{out}");
    let restored = open_store(&node.file("restored"));
    let written = usize::try_from(restored.last_change() - first).unwrap();
    // Records were created in the order of their numbers, one change each.
    for number in [1, written, written + 1] {
        let handle = guantong_proto::Handle::parse(&format!("88.118.5/SN{number:07}")).unwrap();
        let found = restored.record(handle.borrow()).unwrap();
        assert_eq!(found.is_some(), number <= written, "{handle}");
    }
    // The rest of the change log leads from the backup to what is there now.
    let now = &node.running.as_ref().unwrap().node().store;
    assert_eq!(now.last_change(), first + LINES as u64);
}

#[test]
fn restored_store_takes_the_place_of_the_old_one() {
    let node = Node::stopped();
    let lines: Vec<String> = (1..100).map(|number| line(number, "x")).collect();
    let file = node.write("few.jsonl", &lines.join("\n"));
    node.run(&["import", &file], 0);
    let before = node.export();
    node.run(&["backup", "backup"], 0);
    node.run(&["record", "delete", "88.118.5/SN0000001", "--force"], 0);
    std::fs::remove_dir_all(node.folder().join("store")).unwrap();
    let (_, err) = node.run(&["export"], 2);
    assert!(err.contains("restore a backup into"), "{err}");
    node.run(&["restore", "backup", "node/store"], 0);
    assert_eq!(node.export(), before);
    let (out, _) = node.run(&["prefix", "list"], 0);
    assert!(out.contains("88.118.5\t99 records"), "{out}");
}

#[test]
fn backup_into_a_full_folder_and_restore_from_no_backup_are_refused() {
    let node = Node::running();
    std::fs::create_dir(node.file("full")).unwrap();
    node.write("full/file", "x");
    let (_, err) = node.run(&["backup", "full"], 2);
    assert!(err.contains("is not empty"), "{err}");
    let (_, err) = node.run(&["restore", "full", "restored"], 1);
    assert!(err.contains("is not a backup"), "{err}");
}

#[test]
fn check_reads_a_running_node_a_stopped_one_and_a_folder() {
    let mut node = Node::running();
    node.run(&["record", "put", "88.118.5/a", "--value", "1 URL x"], 0);
    let says = "nothing is wrong\n";
    assert!(node.run(&["store", "check"], 0).0.ends_with(says));
    let (_, err) = node.run(&["store", "check", "node/store"], 2);
    assert!(err.contains("in use"), "{err}");
    node.stop();
    assert!(node.run(&["store", "check"], 0).0.ends_with(says));
    assert!(
        node.run(&["store", "check", "node/store"], 0)
            .0
            .ends_with(says)
    );
    let (_, err) = node.run(&["store", "check", "nowhere"], 2);
    assert!(err.contains("is not a store"), "{err}");
}
