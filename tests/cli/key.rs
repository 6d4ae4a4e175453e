//! Keys: made, shown, converted, tried at a node, replaced.

use crate::node::{Node, guantong_in};

fn passphrase(node: &Node) -> String {
    let path = node.folder().join("passphrase");
    std::fs::write(&path, "correct horse battery\nnot this\n").unwrap();
    path.display().to_string()
}

#[test]
fn new_key_is_for_its_owner_alone_and_never_overwritten() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    for kind in ["rsa", "p256", "ed25519", "sm2", "secret"] {
        let file = format!("{kind}.pem");
        let made = guantong_in(
            folder.path(),
            &["key", "new", "--kind", kind, "--out", &file],
        );
        assert_eq!(made.code, 0, "{kind}: {}", made.err);
        let path = folder.path().join(&file);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{kind}");
        let before = std::fs::read(&path).unwrap();
        let again = guantong_in(
            folder.path(),
            &["key", "new", "--kind", kind, "--out", &file],
        );
        assert_eq!(again.code, 2, "{kind}");
        assert!(again.err.contains("never overwritten"), "{}", again.err);
        assert_eq!(std::fs::read(&path).unwrap(), before);
        if kind != "secret" {
            let shown = guantong_in(folder.path(), &["key", "show", &file, "--json"]);
            let text = String::from_utf8(before).unwrap();
            let secret = text.lines().nth(1).unwrap();
            assert!(!shown.out.contains(secret), "{kind}");
            assert!(shown.out.contains("\"private\":true"), "{}", shown.out);
        }
    }
}

#[test]
fn key_goes_from_form_to_form_and_errors_say_what_the_file_is() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| guantong_in(folder.path(), arguments);
    std::fs::write(folder.path().join("words"), "correct horse\n").unwrap();
    assert_eq!(run(&["key", "new", "--out", "a.pem"]).code, 0);
    let to_handle = [
        "key",
        "convert",
        "a.pem",
        "--to",
        "handle",
        "--encrypt",
        "--passphrase-file",
        "words",
        "--out",
        "admpriv.bin",
    ];
    assert_eq!(run(&to_handle).code, 0);
    let back = [
        "key",
        "convert",
        "admpriv.bin",
        "--to",
        "pem",
        "--passphrase-file",
        "words",
    ];
    let original = std::fs::read_to_string(folder.path().join("a.pem")).unwrap();
    assert_eq!(run(&back).out, original);
    let asked = run(&["key", "show", "admpriv.bin"]);
    assert_eq!(asked.code, 2);
    assert!(asked.err.contains("--passphrase-file"), "{}", asked.err);
    let public = run(&["key", "convert", "a.pem", "--to", "public-pem"]);
    std::fs::write(folder.path().join("public.pem"), &public.out).unwrap();
    let private = run(&["key", "convert", "public.pem", "--to", "pem"]);
    assert_eq!(private.code, 2);
    assert!(
        private.err.contains("holds a public key only"),
        "{}",
        private.err
    );
    let octets = run(&["key", "convert", "a.pem", "--to", "spki"]);
    assert!(octets.err.contains("--out"), "{}", octets.err);
    std::fs::write(folder.path().join("note.txt"), "hello").unwrap();
    let none = run(&["key", "show", "note.txt"]);
    assert!(
        none.err.contains("no key in a form that is known"),
        "{}",
        none.err
    );
}

#[test]
fn key_is_replaced_step_by_step_and_the_node_believes_what_is_there() {
    let node = Node::start();
    let admin = node.folder().join("admin_key.pem").display().to_string();
    let old = "300:0.NA/88.118.5";
    let tested =
        |key: &str, id: &str| guantong_in(node.folder(), &["key", "test", key, "--id", id]);
    assert_eq!(tested(&admin, old).code, 0);
    let new = node.folder().join("new.pem").display().to_string();
    let words = passphrase(&node);
    let made = guantong_in(
        node.folder(),
        &[
            "key",
            "new",
            "--kind",
            "ed25519",
            "--encrypt",
            "--passphrase-file",
            &words,
            "--out",
            &new,
        ],
    );
    assert_eq!(made.code, 0, "{}", made.err);
    let unlocked = |arguments: &[&str]| {
        let with = [arguments, &["--passphrase-file", &words]].concat();
        guantong_in(node.folder(), &with)
    };
    let wrong = unlocked(&["key", "test", &new, "--id", old]);
    assert_eq!(wrong.code, 1);
    assert!(
        wrong.err.contains("value 300 of the record is another key"),
        "{}",
        wrong.err
    );
    let dry = unlocked(&["key", "rotate", old, "--new", &new, "--dry-run"]);
    assert!(dry.out.contains("would be changed"), "{}", dry.out);
    let early = guantong_in(node.folder(), &["key", "rotate", old, "--finish"]);
    assert_eq!(early.code, 1);
    assert!(
        early.err.contains("would have no key any more"),
        "{}",
        early.err
    );
    let begun = unlocked(&["key", "rotate", old, "--new", &new]);
    assert_eq!(begun.code, 0, "{}", begun.err);
    assert!(
        begun.err.contains("administration.server_admins"),
        "{}",
        begun.err
    );
    let twice = unlocked(&["key", "rotate", old, "--new", &new]);
    assert!(
        twice.err.contains("nothing is to be changed"),
        "{}",
        twice.err
    );
    finish(&node, &admin, &new, &words);
}

/// The second half: both keys are good, then only the new one.
fn finish(node: &Node, admin: &str, new: &str, words: &str) {
    let (old, second) = ("300:0.NA/88.118.5", "301:0.NA/88.118.5");
    let tested = |key: &str, id: &str| {
        let test = ["key", "test", key, "--id", id, "--passphrase-file", words];
        guantong_in(node.folder(), &test)
    };
    assert_eq!(tested(new, second).code, 0);
    assert_eq!(tested(admin, old).code, 0, "both are good meanwhile");
    let may = guantong_in(
        node.folder(),
        &["key", "whoami", second, "--prefix", "88.118.5"],
    );
    assert!(may.out.contains("add handle"), "{}", may.out);
    assert_eq!(
        guantong_in(node.folder(), &["key", "rotate", old, "--finish"]).code,
        0
    );
    assert_eq!(tested(admin, old).code, 1);
    assert_eq!(tested(new, second).code, 0);
    let nothing = guantong_in(
        node.folder(),
        &["key", "whoami", old, "--prefix", "88.118.5"],
    );
    assert_eq!(nothing.code, 1);
    assert!(nothing.out.contains("has no right here"), "{}", nothing.out);
}

#[test]
fn rights_are_told_with_the_groups_that_give_them() {
    let node = Node::start();
    let admin = r#"{"format":"admin","value":{"handle":"88.118.5/group","index":200,"permissions":"000000000010"}}"#;
    let list = r#"{"format":"vlist","value":[{"handle":"88.118.5/alice","index":300}]}"#;
    let values = format!(
        r#"{{"handle":"88.118.5/thing","values":[{{"index":100,"type":"HS_ADMIN","data":{admin}}}]}}"#
    );
    let group = format!(
        r#"{{"handle":"88.118.5/group","values":[{{"index":200,"type":"HS_VLIST","data":{list}}}]}}"#
    );
    for (name, text) in [("thing.json", &values), ("group.json", &group)] {
        let path = node.folder().join(name);
        std::fs::write(&path, text).unwrap();
        let put = guantong_in(
            node.folder(),
            &["record", "put", "--file", &path.display().to_string()],
        );
        assert_eq!(put.code, 0, "{}", put.err);
    }
    let told = guantong_in(
        node.folder(),
        &[
            "key",
            "whoami",
            "300:88.118.5/alice",
            "--record",
            "88.118.5/thing",
        ],
    );
    assert_eq!(told.code, 0, "{}", told.err);
    assert!(told.out.contains("may delete handle"), "{}", told.out);
    assert!(
        told.out.contains("names the group 200:88.118.5/group"),
        "{}",
        told.out
    );
}

#[test]
fn administrators_key_is_encrypted_if_wanted_and_proves_with_its_passphrase() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("words"), "correct horse battery\n").unwrap();
    let init = [
        "init",
        "node",
        "--prefix",
        "88.118.5",
        "--encrypt-admin-key",
        "--passphrase-file",
        "words",
    ];
    let made = guantong_in(folder.path(), &init);
    assert_eq!(made.code, 0, "{}", made.err);
    let text = std::fs::read_to_string(folder.path().join("node/admin_key.pem")).unwrap();
    assert!(
        text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"),
        "{text}"
    );
    let show = [
        "key",
        "show",
        "node/admin_key.pem",
        "--passphrase-file",
        "words",
    ];
    assert_eq!(guantong_in(folder.path(), &show).code, 0);
}
