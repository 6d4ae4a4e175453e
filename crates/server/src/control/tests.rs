use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::Arc;

use guantong_api::control::{
    Answer, Body, Changed, Condition, Json, Outcome, Page, Prefix, Reason, RecordChange,
};
use guantong_proto::CaseRule;
use guantong_store::{CreateOptions, limits::MEMORY_BYTES_MIN};
use serde_json::json;

use super::*;

const NOW_MS: u64 = 1_780_000_000_000;

fn options() -> Options {
    Options {
        memory_bytes: MEMORY_BYTES_MIN,
        ..Options::default()
    }
}

fn new_desk(dir: &Path) -> Desk {
    let create = CreateOptions {
        case_rule: CaseRule::Insensitive,
        id: [7; 16],
    };
    let store = Store::create(&dir.join("store"), &create, &options()).unwrap();
    Desk::new(store, || NOW_MS, || {})
}

/// A desk, a socket in front of it, and a client.
struct Node {
    listener: Listener,
    path: PathBuf,
    desk: Arc<Desk>,
    dir: tempfile::TempDir,
}

impl Node {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let desk = Arc::new(new_desk(dir.path()));
        Self {
            listener: Listener::bind(desk.clone(), &path).unwrap(),
            path,
            desk,
            dir,
        }
    }

    fn client(&self) -> Remote {
        Remote::connect(&self.path).unwrap()
    }

    /// Sends raw octets and reads all answers until the node closes.
    fn raw(&self, octets: &[u8]) -> Vec<Answer> {
        let mut stream = UnixStream::connect(&self.path).unwrap();
        // The node may close before it has taken everything.
        let _ = stream.write_all(octets);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let lines = BufReader::new(stream).lines();
        let lines = lines.map_while(Result::ok);
        lines.map(|l| serde_json::from_str(&l).unwrap()).collect()
    }
}

fn record(handle: &str, text: &str) -> Json {
    let value = json!({"handle": handle, "values": [
        {"index": 1, "type": "URL", "data": {"format": "string", "value": text}},
    ]});
    serde_json::value::to_raw_value(&value).unwrap()
}

fn values(json: &serde_json::Value) -> Json {
    serde_json::value::to_raw_value(json).unwrap()
}

fn ask(control: &mut dyn Control, ask: Ask) -> Result<Reply, Fault> {
    control.ask(ask, &mut |_| Ok(()))
}

fn change(control: &mut dyn Control, change: RecordChange) -> Result<Changed, Fault> {
    let asked = Ask::Change {
        change,
        condition: Condition::None,
        mode: Mode::Apply,
    };
    match ask(control, asked)? {
        Reply::Changed(changed) => Ok(changed),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(result: Result<impl std::fmt::Debug, Fault>) -> (Reason, String) {
    match result.unwrap_err() {
        Fault::Refused(refusal) => (refusal.reason, refusal.message),
        other => panic!("{other:?}"),
    }
}

fn get(control: &mut dyn Control, handle: &str) -> Option<(u64, serde_json::Value)> {
    let handle = handle.to_owned();
    match ask(control, Ask::Get { handle }).unwrap() {
        Reply::Record(stored) => stored.map(|stored| {
            let record = serde_json::from_str(stored.record.get()).unwrap();
            (stored.version, record)
        }),
        other => panic!("{other:?}"),
    }
}

/// The whole life of a record, the same through the socket and without a node.
fn live(control: &mut dyn Control) {
    let handle = || "88.118.5/SN1".to_owned();
    let put = || RecordChange::Put {
        record: record("88.118.5/SN1", "https://example.org/"),
    };
    let created = change(control, put()).unwrap();
    assert_eq!(
        (created.outcome, created.version),
        (Outcome::Created, Some(1))
    );
    let again = change(control, put()).unwrap();
    assert_eq!((again.outcome, again.version), (Outcome::Unchanged, None));
    let add = RecordChange::Add {
        handle: handle(),
        values: values(&json!([{"index": 2, "type": "NAME", "data": "part"}])),
    };
    assert_eq!(change(control, add).unwrap().outcome, Outcome::Replaced);
    let taken = RecordChange::Add {
        handle: handle(),
        values: values(&json!([{"index": 2, "type": "NAME", "data": "part"}])),
    };
    assert_eq!(refused(change(control, taken)).0, Reason::Conflict);
    let modify = RecordChange::Modify {
        handle: handle(),
        values: values(&json!([{"index": 2, "type": "NAME", "data": "零件"}])),
    };
    change(control, modify).unwrap();
    let (version, stored) = get(control, "88.118.5/sn1").unwrap();
    assert_eq!(version, 3);
    assert_eq!(stored["values"][1]["data"]["value"], "零件");
    assert_eq!(stored["values"][1]["timestamp"], "2026-05-28T20:26:40Z");
    let remove = || RecordChange::Remove {
        handle: handle(),
        indexes: vec![2],
    };
    change(control, remove()).unwrap();
    assert_eq!(refused(change(control, remove())).0, Reason::NotFound);
    let delete = || RecordChange::Delete { handle: handle() };
    assert_eq!(change(control, delete()).unwrap().outcome, Outcome::Deleted);
    assert_eq!(refused(change(control, delete())).0, Reason::NotFound);
    assert_eq!(get(control, "88.118.5/SN1"), None);
}

#[test]
fn record_lives_and_dies_the_same_with_and_without_a_running_node() {
    live(&mut Node::start().client());
    let dir = tempfile::tempdir().unwrap();
    live(&mut Local::new(new_desk(dir.path())));
}

#[test]
fn dry_run_shows_the_change_and_makes_none() {
    let node = Node::start();
    let mut client = node.client();
    let asked = Ask::Change {
        change: RecordChange::Put {
            record: record("1/a", "x"),
        },
        condition: Condition::None,
        mode: Mode::DryRun,
    };
    let Reply::Changed(changed) = ask(&mut client, asked).unwrap() else {
        panic!("not a change");
    };
    assert_eq!(changed.outcome, Outcome::Created);
    assert!(changed.before.is_none() && changed.version.is_none());
    assert!(changed.after.unwrap().get().contains("\"1/a\""));
    assert_eq!(get(&mut client, "1/a"), None);
    assert_eq!(node.desk.store().last_change(), 0);
}

#[test]
fn condition_that_does_not_hold_names_what_is_there() {
    let node = Node::start();
    let mut client = node.client();
    let mut put = |condition| {
        let change = RecordChange::Put {
            record: record("1/a", "x"),
        };
        let mode = Mode::Apply;
        ask(
            &mut client,
            Ask::Change {
                change,
                condition,
                mode,
            },
        )
    };
    put(Condition::Absent).unwrap();
    let (reason, message) = refused(put(Condition::Absent));
    assert_eq!(reason, Reason::Conflict);
    assert!(message.contains("it exists with version 1"), "{message}");
    assert_eq!(refused(put(Condition::Version(9))).0, Reason::Conflict);
    put(Condition::Version(1)).unwrap();
}

#[test]
fn prefixes_are_homed_listed_and_given_up() {
    let node = Node::start();
    let mut client = node.client();
    change(
        &mut client,
        RecordChange::Put {
            record: record("88.118.5/a", "x"),
        },
    )
    .unwrap();
    let home = |prefix: &str| Ask::Home {
        prefix: prefix.to_owned(),
    };
    ask(&mut client, home("88.118.5")).unwrap();
    ask(&mut client, home("0.NA/88.118.5")).unwrap();
    assert_eq!(
        refused(ask(&mut client, home("88.118.5/a"))).0,
        Reason::Invalid
    );
    let Reply::Prefixes(prefixes) = ask(&mut client, Ask::Prefixes).unwrap() else {
        panic!("not prefixes");
    };
    let expected = Prefix {
        lag: None,
        prefix: "88.118.5".into(),
        records: 1,
    };
    assert_eq!(prefixes, [expected]);
    let unhome = Ask::Unhome {
        prefix: "88.118.5".into(),
    };
    ask(&mut client, unhome).unwrap();
    assert!(node.desk.store().homed().is_empty());
    assert!(get(&mut client, "88.118.5/a").is_some());
}

#[test]
fn handles_are_found_by_value_once_an_index_is_on() {
    let node = Node::start();
    let mut client = node.client();
    for (handle, text) in [("1/a", "x"), ("1/b", "y"), ("1/c", "x")] {
        let record = record(handle, text);
        change(&mut client, RecordChange::Put { record }).unwrap();
    }
    let find = || Ask::Find {
        kind: "URL".into(),
        data: values(&json!("x")),
        after: None,
        limit: 10,
    };
    assert_eq!(refused(ask(&mut client, find())).0, Reason::NotFound);
    let kind = "URL".to_owned();
    ask(&mut client, Ask::EnableIndex { kind }).unwrap();
    node.desk.store().settle();
    let Reply::Page(Page { handles, .. }) = ask(&mut client, find()).unwrap() else {
        panic!("not a page");
    };
    assert_eq!(handles, ["1/a", "1/c"]);
}

#[test]
fn import_tells_what_became_of_each_record_even_of_one_that_occurs_twice() {
    let node = Node::start();
    for on_conflict in [OnConflict::Replace, OnConflict::Skip, OnConflict::Fail] {
        let mut client = node.client();
        change(
            &mut client,
            RecordChange::Put {
                record: record("1/old", "x"),
            },
        )
        .unwrap();
        let parse = |json: Json| NewRecord::parse(json.get().as_bytes()).map_err(|e| e.to_string());
        let batch = |text: &str| {
            vec![
                parse(record("1/old", "x")),
                parse(record("1/new", "x")),
                parse(record("1/NEW", text)),
                parse(values(&json!({"values": []}))),
            ]
        };
        let mut import = client.import(on_conflict, Mode::Apply);
        import.submit(batch("y")).unwrap();
        import.submit(batch("y")).unwrap();
        let first = import.outcomes().unwrap().unwrap().outcomes;
        let second = import.outcomes().unwrap().unwrap().outcomes;
        let unchanged = Outcome::Unchanged;
        assert_eq!(first[..2], [unchanged.clone(), Outcome::Created]);
        let third = match on_conflict {
            OnConflict::Replace => [Outcome::Replaced, Outcome::Replaced, Outcome::Replaced],
            OnConflict::Skip => [Outcome::Skipped, unchanged.clone(), Outcome::Skipped],
            OnConflict::Fail => {
                let refused = first[2].clone();
                assert!(matches!(&refused, Outcome::Refused(r) if r.contains("is there already")));
                [refused.clone(), unchanged.clone(), refused]
            }
        };
        assert_eq!([&first[2], &second[1], &second[2]], third.each_ref());
        assert!(matches!(&first[3], Outcome::Refused(r) if r.contains("handle: expected")));
        drop(import);
        let handle = "1/new".to_owned();
        change(&mut client, RecordChange::Delete { handle }).unwrap();
    }
}

#[test]
fn change_log_tells_who_did_what() {
    let node = Node::start();
    let mut client = node.client();
    for text in ["x", "y"] {
        let record = record("1/a", text);
        change(&mut client, RecordChange::Put { record }).unwrap();
    }
    let asked = Ask::Changes {
        after: 0,
        limit: 10,
    };
    let Reply::Changes(changes) = ask(&mut client, asked).unwrap() else {
        panic!("not changes");
    };
    let words = changes
        .iter()
        .map(|c| (c.action.as_str(), c.origin.as_str()));
    assert_eq!(
        words.collect::<Vec<_>>(),
        [("create", "operator"), ("update", "operator")]
    );
    let before = changes[1].before.as_ref().unwrap();
    assert_eq!(before.version, 1);
    assert!(before.record.get().contains("\"x\""));
}

#[test]
fn garbage_is_answered_and_the_connection_goes_on() {
    let node = Node::start();
    let good = r#"{"version":1,"id":4,"ask":"status"}"#;
    let lines = [
        "\u{0}\u{1}garbage",
        "",
        r#"{"version":1,"id":2,"ask":{"dance":{}}}"#,
        r#"{"version":2,"id":3,"ask":"status"}"#,
        good,
    ];
    let answers = node.raw((lines.join("\n") + "\n").as_bytes());
    let shapes = answers.iter().map(|answer| match &answer.body {
        Body::Refused(refusal) => (answer.id, Some(refusal.reason)),
        _ => (answer.id, None),
    });
    let expected = [
        (0, Some(Reason::Invalid)),
        (0, Some(Reason::Invalid)),
        (2, Some(Reason::Invalid)),
        (3, Some(Reason::Version)),
        (4, None),
    ];
    assert_eq!(shapes.collect::<Vec<_>>(), expected);
}

#[test]
fn line_above_the_limit_is_refused_and_the_node_goes_on() {
    let node = Node::start();
    let long = vec![b'x'; guantong_api::control::LINE_LEN_MAX + 1];
    let answers = node.raw(&long);
    // The refusal may be lost when the node closes on octets that it has not read.
    for answer in &answers {
        assert!(matches!(&answer.body, Body::Refused(r) if r.message.contains("longer than")));
    }
    assert!(ask(&mut node.client(), Ask::Status).is_ok());
}

#[test]
fn connection_above_the_limit_is_told_to_wait() {
    let node = Node::start();
    let mut open: Vec<_> = (0..CONNECTIONS_MAX).map(|_| node.client()).collect();
    for client in &mut open {
        ask(client, Ask::Status).unwrap();
    }
    assert_eq!(
        refused(ask(&mut node.client(), Ask::Status)).0,
        Reason::Busy
    );
    assert!(ask(&mut open[0], Ask::Status).is_ok());
}

#[test]
fn socket_is_for_its_owner_and_its_folder_must_be_too() {
    let node = Node::start();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&node.path), 0o600);
    let open = node.dir.path().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
    let error = Listener::bind(node.desk.clone(), &open.join("control.sock")).unwrap_err();
    assert!(error.to_string().contains("chmod go-w"), "{error}");
    let made = node.dir.path().join("run/control.sock");
    Listener::bind(node.desk.clone(), &made).unwrap().stop();
    assert_eq!(mode(made.parent().unwrap()), 0o700);
}

#[test]
fn stale_socket_is_replaced_and_a_live_one_is_not() {
    let node = Node::start();
    let error = Listener::bind(node.desk.clone(), &node.path).unwrap_err();
    assert!(matches!(error, BindError::InUse { .. }));
    let stale = node.dir.path().join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    assert!(stale.exists());
    Listener::bind(node.desk.clone(), &stale).unwrap().stop();
    assert!(!stale.exists());
}

/// Tries to connect as somebody else. The test runs itself again under another user id, which only
/// root may do; otherwise there is nobody else to be.
#[test]
fn other_user_is_refused_even_if_the_socket_lets_them_in() {
    const PATH: &str = "GUANTONG_TEST_SOCKET";
    if let Some(path) = std::env::var_os(PATH) {
        let told = match Remote::connect(Path::new(&path)) {
            Err(error) => format!("{:?}", error.kind()),
            Ok(mut client) => refused(ask(&mut client, Ask::Status)).1,
        };
        println!("told: {told}");
        return;
    }
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    use std::os::unix::process::CommandExt;
    let node = Node::start();
    let program = node.dir.path().join("somebody");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let told = || {
        let output = Command::new(&program)
            .args(["--exact", "--nocapture"])
            .arg("control::tests::other_user_is_refused_even_if_the_socket_lets_them_in")
            .env(PATH, &node.path)
            .current_dir("/")
            .uid(65_534)
            .gid(65_534)
            .output();
        let output = String::from_utf8(output.unwrap().stdout).unwrap();
        let told = output.lines().find_map(|line| line.strip_prefix("told: "));
        told.map(str::to_owned).unwrap_or(output)
    };
    let open = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open(node.dir.path(), 0o755);
    assert_eq!(told(), "PermissionDenied");
    open(&node.path, 0o666);
    let message = told();
    assert!(message.contains("you are user 65534"), "{message}");
}

#[test]
fn store_that_a_node_holds_without_a_socket_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let desk = new_desk(dir.path());
    let place = Place {
        control: dir.path().join("control.sock"),
        store: dir.path().join("store"),
        options: options(),
        files: dir.path().join("files"),
        trust: crate::config::Config::ephemeral(dir.path()).trust,
    };
    let error = open(&place, || NOW_MS).err().unwrap();
    assert!(
        error
            .to_string()
            .contains("another command has the store open"),
        "{error}"
    );
    drop(desk);
    assert!(!open(&place, || NOW_MS).unwrap().is_running_node());
}

#[test]
fn stopping_ends_connections_and_removes_the_socket() {
    let node = Node::start();
    let mut client = node.client();
    ask(&mut client, Ask::Status).unwrap();
    node.listener.stop();
    assert!(matches!(
        ask(&mut client, Ask::Status),
        Err(Fault::Lost { .. })
    ));
    assert!(!node.path.exists());
}

#[test]
fn prefix_is_delegated_to_a_site() {
    let node = Node::start();
    let mut client = node.client();
    let delegate = |sites| Ask::Delegate {
        prefix: "88.118.5".into(),
        sites,
        services: Vec::new(),
        derived: false,
        admin: None,
        mode: Mode::Apply,
    };
    let none = refused(ask(&mut client, delegate(Vec::new())));
    assert!(none.1.contains("none was given"), "{}", none.1);
    let broken = refused(ask(
        &mut client,
        delegate(vec![values(&json!({"servers": 7}))]),
    ));
    assert!(broken.1.starts_with("site 1: "), "{}", broken.1);
    let site = guantong_proto::data::Site::default();
    let site = serde_json::value::to_raw_value(&guantong_proto::json::SiteForm::new(&site));
    ask(&mut client, delegate(vec![site.unwrap()])).unwrap();
    let (_, record) = get(&mut client, "0.NA/88.118.5").unwrap();
    assert_eq!(record["values"][0]["type"], "HS_SITE");
}
