//! What the face of the store promises, one promise per test.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc;

use common::{batch, create, delete, first_data, handle, open, options, put, url, wire, write};
use guantong_proto::{Permissions, Value};
use guantong_store::{
    Action, Change, Expect, Found, IndexState, OpenError, Origin, Scope, Store, StoreError,
    TokenError, Unfit, WriteError, limits,
};

#[test]
fn record_is_found_in_any_spelling_and_keeps_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let store = create(dir.path());
    write(&store, vec![put("88.118.5/Part", url("a"), Expect::Absent)]).unwrap();
    let record = store.record(handle("88.118.5/pART").borrow()).unwrap();
    assert_eq!(record.unwrap().handle().as_str(), "88.118.5/Part");
    assert_eq!(store.record(handle("88.118.5/x").borrow()).unwrap(), None);
}

#[test]
fn committed_changes_are_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let store = create(dir.path());
    write(&store, vec![put("1/a", url("a"), Expect::Absent)]).unwrap();
    write(&store, vec![put("1/b", url("b"), Expect::Absent)]).unwrap();
    let home = Change::Home {
        prefix: handle("0.NA/1"),
    };
    write(&store, vec![delete("1/a", Expect::Present), home]).unwrap();
    drop(store);
    let store = open(dir.path());
    assert_eq!(first_data(&store, "1/a"), None);
    assert_eq!(first_data(&store, "1/b").as_deref(), Some("b"));
    assert_eq!(store.homed(), [handle("0.NA/1")]);
    assert!(store.is_homed(handle("1").borrow()));
    assert_eq!(store.last_change(), 4);
    assert_eq!(store.count(&Scope::All).unwrap(), 1);
}

#[test]
fn change_log_tells_what_happened_and_what_was_before() {
    let dir = tempfile::tempdir().unwrap();
    let store = create(dir.path());
    write(&store, vec![put("1/a", url("old"), Expect::Absent)]).unwrap();
    write(&store, vec![put("1/A", url("new"), Expect::Version(1))]).unwrap();
    write(&store, vec![delete("1/a", Expect::Version(2))]).unwrap();
    let entries = store.changes(0, 10).unwrap();
    let actions: Vec<_> = entries.iter().map(|e| (e.number, e.action)).collect();
    assert_eq!(
        actions,
        [
            (1, Action::Create),
            (2, Action::Update),
            (3, Action::Delete)
        ]
    );
    assert_eq!(entries[0].before, None);
    assert_eq!(entries[1].before.as_ref().unwrap().values, url("old"));
    assert_eq!(entries[2].before.as_ref().unwrap().version, 2);
    assert_eq!(entries[1].handle.as_str(), "1/A");
    assert_eq!(entries[1].origin, Origin::Operator);
    assert_eq!(store.changes(2, 10).unwrap().len(), 1);
    assert_eq!(store.changes(0, 2).unwrap().len(), 2);
    assert!(store.changes(3, 10).unwrap().is_empty());
}

#[test]
fn failed_expectation_fails_the_whole_batch_and_names_the_change() {
    let dir = tempfile::tempdir().unwrap();
    let store = create(dir.path());
    write(&store, vec![put("1/a", url("a"), Expect::Absent)]).unwrap();
    let changes = vec![
        put("1/new", url("x"), Expect::Absent),
        put("1/a", url("b"), Expect::Version(9)),
    ];
    let error = write(&store, changes).unwrap_err();
    assert_eq!(
        error.to_string(),
        "change 1 of the batch: 1/a was expected to have version 9, but it exists with version 1"
    );
    assert_eq!(first_data(&store, "1/new"), None);
    assert_eq!(store.last_change(), 1);
    for (change, found) in [
        (put("1/a", url("b"), Expect::Absent), Found::Version(1)),
        (put("1/b", url("b"), Expect::Present), Found::Absent),
        (delete("1/b", Expect::Present), Found::Absent),
        (delete("1/a", Expect::Version(2)), Found::Version(1)),
    ] {
        let error = write(&store, vec![change]).unwrap_err();
        assert!(matches!(error, WriteError::Conflict { found: f, .. } if f == found));
    }
}

#[test]
fn expectations_see_earlier_changes_of_the_same_batch() {
    let dir = tempfile::tempdir().unwrap();
    let store = create(dir.path());
    let changes = vec![
        put("1/a", url("1"), Expect::Absent),
        put("1/a", url("2"), Expect::Present),
        delete("1/a", Expect::Present),
        put("1/a", url("3"), Expect::Absent),
        delete("1/b", Expect::Anything),
    ];
    let committed = write(&store, changes).unwrap();
    assert_eq!((committed.first, committed.last), (1, 4));
    assert_eq!(first_data(&store, "1/a").as_deref(), Some("3"));
    assert_eq!(store.count(&Scope::All).unwrap(), 1);
    let entries = store.changes(0, 10).unwrap();
    assert_eq!(entries[1].before.as_ref().unwrap().values, url("1"));
}

#[test]
fn batches_of_one_group_see_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = create(dir.path());
    let tickets: Vec<_> = (0..100)
        .map(|_| store.submit(batch(vec![put("1/a", url("a"), Expect::Absent)])))
        .collect();
    let outcomes: Vec<_> = tickets.into_iter().map(|ticket| ticket.wait()).collect();
    assert!(outcomes[0].is_ok());
    assert!(outcomes[1..].iter().all(Result::is_err));
    assert_eq!(store.last_change(), 1);
}

#[test]
fn changes_that_do_nothing_are_not_logged() {
    let dir = tempfile::tempdir().unwrap();
    let store = create(dir.path());
    let prefix = handle("0.NA/1");
    let home = || Change::Home {
        prefix: prefix.clone(),
    };
    let unhome = || Change::Unhome {
        prefix: prefix.clone(),
    };
    let nothing = write(&store, vec![unhome(), delete("1/a", Expect::Anything)]).unwrap();
    assert_eq!((nothing.first, nothing.last), (1, 0));
    write(&store, vec![home(), home(), unhome(), home()]).unwrap();
    assert_eq!(store.last_change(), 3);
    assert_eq!(write(&store, vec![]).unwrap().last, 3);
}

#[test]
fn unfit_changes_are_refused_before_the_writer() {
    let dir = tempfile::tempdir().unwrap();
    let store = create(dir.path());
    let reason = |change| match write(&store, vec![change]).unwrap_err() {
        WriteError::Unfit { reason, .. } => reason,
        other => panic!("{other}"),
    };
    let broken = put("1/a", vec![0, 0, 0, 9], Expect::Anything);
    assert!(matches!(reason(broken), Unfit::Values(_)));
    let large = "x".repeat(limits::RECORD_VALUES_OCTETS_MAX);
    let large = put("1/a", url(&large), Expect::Anything);
    assert!(matches!(reason(large), Unfit::TooLarge { .. }));
    let home = Change::Home {
        prefix: handle("1/a"),
    };
    assert_eq!(reason(home), Unfit::NotAPrefix);
    let many = vec![delete("1/a", Expect::Anything); limits::BATCH_CHANGES_MAX + 1];
    assert!(matches!(
        write(&store, many),
        Err(WriteError::TooLarge {
            unit: "changes",
            ..
        })
    ));
    let half = url(&"x".repeat(limits::RECORD_VALUES_OCTETS_MAX - 100));
    let count = limits::BATCH_OCTETS_MAX / half.len() + 1;
    let heavy = vec![put("1/a", half, Expect::Anything); count];
    assert!(matches!(
        write(&store, heavy),
        Err(WriteError::TooLarge { unit: "octets", .. })
    ));
}

#[test]
fn listing_is_ordered_paged_and_ends_at_its_prefix() {
    let dir = tempfile::tempdir().unwrap();
    let store = create(dir.path());
    let names = ["1/b", "1/A", "1/c", "1.1/x", "2/y", "1/d"];
    let changes = names.map(|name| put(name, url("x"), Expect::Absent));
    write(&store, changes.into()).unwrap();
    let scope = Scope::of_prefix("1").unwrap();
    let mut seen = Vec::new();
    let mut token = None;
    loop {
        let page = store.list(&scope, token.as_ref(), 3).unwrap();
        seen.extend(page.handles.iter().map(|h| h.as_str().to_owned()));
        token = match page.next {
            Some(token) => Some(token.to_string().parse().unwrap()),
            None => break,
        };
    }
    assert_eq!(seen, ["1/A", "1/b", "1/c", "1/d"]);
    assert_eq!(store.list(&scope, None, 4).unwrap().next, None);
    assert_eq!(store.count(&scope).unwrap(), 4);
    assert_eq!(store.count(&Scope::of_prefix("3").unwrap()).unwrap(), 0);
    assert_eq!(store.list(&Scope::All, None, 10).unwrap().handles.len(), 6);
    let token = store.list(&scope, None, 1).unwrap().next.unwrap();
    let error = store.list(&Scope::All, Some(&token), 1).unwrap_err();
    assert!(matches!(error, StoreError::Token(TokenError::Foreign)));
}

#[test]
fn scan_shows_one_moment_and_can_be_continued() {
    let dir = tempfile::tempdir().unwrap();
    let store = create(dir.path());
    for n in 0..5 {
        write(
            &store,
            vec![put(&format!("1/{n}"), url("x"), Expect::Absent)],
        )
        .unwrap();
    }
    let mut scan = store.scan(&Scope::All, None);
    let (key, _) = scan.next().unwrap().unwrap();
    write(&store, vec![delete("1/4", Expect::Present)]).unwrap();
    assert_eq!(scan.count(), 4);
    assert_eq!(store.scan(&Scope::All, Some(&key)).count(), 3);
}

#[test]
fn index_finds_by_type_and_data_and_follows_changes() {
    let dir = tempfile::tempdir().unwrap();
    let store = create(dir.path());
    let found = |kind: &str, data: &str| {
        let page = store.find(kind, data.as_bytes(), None, 10).unwrap();
        let names: Vec<_> = page.handles.iter().map(ToString::to_string).collect();
        names.join(" ")
    };
    write(&store, vec![put("1/a", url("x"), Expect::Absent)]).unwrap();
    assert!(matches!(
        store.find("URL", b"x", None, 1),
        Err(StoreError::NoIndex { .. })
    ));
    store.index_enable("URL.").wait().unwrap();
    store.settle();
    assert_eq!(store.indexes()[0].state, IndexState::Ready);
    assert_eq!(found("URL.", "x"), "1/a");
    let sub = wire(&[Value::new(1, "url.sub", "x"), Value::new(2, "URL", "y")]);
    write(&store, vec![put("1/b", sub, Expect::Absent)]).unwrap();
    assert_eq!(found("url.", "x"), "1/a 1/b");
    assert_eq!(found("URL.", "y"), "1/b");
    write(&store, vec![put("1/a", url("y"), Expect::Present)]).unwrap();
    write(&store, vec![delete("1/b", Expect::Present)]).unwrap();
    assert_eq!(found("URL.", "x"), "");
    assert_eq!(found("URL.", "y"), "1/a");
    store.index_disable("url.").wait().unwrap();
    store.settle();
    assert!(store.indexes().is_empty());
    store.index_enable("URL.").wait().unwrap();
    store.settle();
    assert_eq!(found("URL.", "y"), "1/a");
}

#[test]
fn find_is_paged() {
    let dir = tempfile::tempdir().unwrap();
    let store = create(dir.path());
    store.index_enable("URL").wait().unwrap();
    store.settle();
    let changes = (0..25).map(|n| put(&format!("1/{n:02}"), url("x"), Expect::Absent));
    write(&store, changes.collect()).unwrap();
    let first = store.find("URL", b"x", None, 20).unwrap();
    assert_eq!(first.handles.len(), 20);
    let second = store.find("URL", b"x", first.next.as_ref(), 20).unwrap();
    assert_eq!(second.handles.len(), 5);
    assert_eq!(second.next, None);
}

#[test]
fn index_is_built_over_many_steps_while_writes_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = create(dir.path());
    let count = 2 * limits::INDEX_STEP_RECORDS + 500;
    let name = |n| format!("1/{n:05}");
    let changes = (0..count).map(|n| put(&name(n), url(["x", "y"][n % 2]), Expect::Absent));
    write(&store, changes.collect()).unwrap();
    store.index_enable("URL").wait().unwrap();
    for n in (0..count).step_by(100) {
        write(&store, vec![put(&name(n), url("z"), Expect::Present)]).unwrap();
    }
    store.settle();
    let found = |data: &[u8]| {
        let page = store.find("URL", data, None, count).unwrap();
        page.handles.len()
    };
    let changed = count.div_ceil(100);
    assert_eq!(found(b"z"), changed);
    assert_eq!(found(b"x"), count / 2 - changed);
    assert_eq!(found(b"y"), count / 2);
}

#[test]
fn indexes_have_limits() {
    let dir = tempfile::tempdir().unwrap();
    let store = create(dir.path());
    for kind in ["", &"X".repeat(limits::INDEX_KIND_LEN_MAX + 1)] {
        let refused = store.index_enable(kind).wait();
        assert!(matches!(refused, Err(WriteError::IndexKind { .. })));
    }
    for n in 0..limits::INDEXES_MAX {
        store.index_enable(&format!("T{n}")).wait().unwrap();
    }
    let refused = store.index_enable("ONE").wait();
    assert!(matches!(refused, Err(WriteError::TooManyIndexes { .. })));
    // Switching on what is on does nothing.
    store.index_enable("t0").wait().unwrap();
    assert_eq!(store.indexes().len(), limits::INDEXES_MAX);
}

#[test]
fn pages_are_never_longer_than_their_limits() {
    let dir = tempfile::tempdir().unwrap();
    let store = create(dir.path());
    let count = limits::PAGE_LEN_MAX + 1;
    let changes = (0..count).map(|n| put(&format!("1/{n}"), wire(&[]), Expect::Absent));
    write(&store, changes.collect()).unwrap();
    let page = store.list(&Scope::All, None, usize::MAX).unwrap();
    assert_eq!(page.handles.len(), limits::PAGE_LEN_MAX);
    assert!(page.next.is_some());
    let entries = store.changes(0, usize::MAX).unwrap();
    assert_eq!(entries.len(), limits::CHANGES_PAGE_LEN_MAX);
    // A page of nothing would never end.
    assert_eq!(store.list(&Scope::All, None, 0).unwrap().handles.len(), 1);
}

#[test]
fn counters_are_exact_for_more_prefixes_than_are_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let store = create(dir.path());
    let prefixes: Vec<usize> = (0..limits::COUNTERS_CACHED_MAX + 1_000).collect();
    for round in 0..2 {
        for some in prefixes.chunks(limits::BATCH_CHANGES_MAX) {
            let name = |n: &usize| format!("{n}/{round}");
            let changes = some
                .iter()
                .map(|n| put(&name(n), wire(&[]), Expect::Absent));
            write(&store, changes.collect()).unwrap();
        }
    }
    for prefix in ["0", "1", "65536", "66535"] {
        let scope = Scope::of_prefix(prefix).unwrap();
        assert_eq!(store.count(&scope).unwrap(), 2, "{prefix}");
    }
}

#[test]
fn sorted_writes_still_see_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = create(dir.path());
    let name = |n: u32| format!("1/{n:04}");
    for n in 0..60 {
        write(&store, vec![put(&name(n), url("x"), Expect::Absent)]).unwrap();
        let again = write(&store, vec![put(&name(n), url("y"), Expect::Absent)]);
        assert!(matches!(again, Err(WriteError::Conflict { .. })), "{n}");
    }
    write(&store, vec![delete(&name(59), Expect::Present)]).unwrap();
    write(&store, vec![put(&name(59), url("z"), Expect::Absent)]).unwrap();
    let twice = vec![
        put(&name(60), url("x"), Expect::Absent),
        put(&name(60), url("y"), Expect::Present),
    ];
    write(&store, twice).unwrap();
    drop(store);
    store = open(dir.path());
    for n in (0..=60).rev() {
        write(&store, vec![put(&name(n), url("x"), Expect::Present)]).unwrap();
    }
    assert_eq!(store.count(&Scope::All).unwrap(), 61);
}

#[test]
fn full_queue_is_said_to_be_busy() {
    let dir = tempfile::tempdir().unwrap();
    let store = create(dir.path());
    // The writer is held up in a callback, which no caller should do.
    let (go_on, wait) = mpsc::channel::<()>();
    let (held, is_held) = mpsc::channel();
    store
        .submit(batch(vec![put("1/a", wire(&[]), Expect::Anything)]))
        .on_done(move |_| {
            held.send(()).unwrap();
            wait.recv().unwrap();
        });
    is_held.recv().unwrap();
    let full = || {
        batch(vec![
            delete("1/b", Expect::Anything);
            limits::BATCH_CHANGES_MAX
        ])
    };
    let room = limits::QUEUE_CHANGES_MAX / limits::BATCH_CHANGES_MAX;
    let tickets: Vec<_> = (0..room).map(|_| store.try_submit(full())).collect();
    let refused = store.try_submit(full()).wait();
    assert!(matches!(refused, Err(WriteError::Busy)));
    go_on.send(()).unwrap();
    assert!(tickets.into_iter().all(|ticket| ticket.wait().is_ok()));
}

#[test]
fn only_the_owner_can_enter_a_store_or_read_a_backup() {
    let dir = tempfile::tempdir().unwrap();
    let store = create(dir.path());
    let backup = dir.path().join("backup");
    let mut go_on = |_| std::ops::ControlFlow::Continue(());
    store.backup(&backup, &mut go_on).unwrap();
    for (path, mode) in [
        (dir.path().join("store"), 0o700),
        (backup.clone(), 0o700),
        (backup.join("data"), 0o600),
    ] {
        let found = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{}", path.display());
    }
}

#[test]
fn closing_leaves_nothing_to_be_replayed() {
    let dir = tempfile::tempdir().unwrap();
    let store = create(dir.path());
    write(&store, vec![put("1/a", url("x"), Expect::Absent)]).unwrap();
    drop(store);
    let journal = dir.path().join("store/engine/0.jnl");
    assert_eq!(std::fs::metadata(&journal).unwrap().len(), 0);
    let store = open(dir.path());
    assert_eq!(first_data(&store, "1/a").as_deref(), Some("x"));
    write(&store, vec![put("1/a", url("y"), Expect::Version(1))]).unwrap();
    drop(store);
    let store = open(dir.path());
    assert_eq!(first_data(&store, "1/a").as_deref(), Some("y"));
    assert_eq!(store.last_change(), 2);
}

#[test]
fn last_clone_may_be_dropped_in_a_callback() {
    let dir = tempfile::tempdir().unwrap();
    let store = create(dir.path());
    let (sender, receiver) = mpsc::channel();
    let ticket = store.submit(batch(vec![put("1/a", wire(&[]), Expect::Absent)]));
    ticket.on_done(move |outcome| {
        drop(store);
        sender.send(outcome.is_ok()).unwrap();
    });
    assert!(receiver.recv().unwrap());
}

#[test]
fn only_records_without_hidden_values_are_all_public() {
    let dir = tempfile::tempdir().unwrap();
    let store = create(dir.path());
    let mut hidden = Value::new(2, "NOTE", "x");
    hidden.permissions = Permissions(Permissions::ADMIN_READ);
    let values = wire(&[Value::new(1, "URL", "x"), hidden]);
    write(&store, vec![put("1/hidden", values, Expect::Absent)]).unwrap();
    write(&store, vec![put("1/open", url("x"), Expect::Absent)]).unwrap();
    let is_public = |name| {
        let record = store.record(handle(name).borrow()).unwrap().unwrap();
        record.all_public()
    };
    assert!(!is_public("1/hidden"));
    assert!(is_public("1/open"));
}

#[test]
fn ticket_calls_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = create(dir.path());
    let (sender, receiver) = mpsc::channel();
    store
        .submit(batch(vec![put("1/a", url("x"), Expect::Absent)]))
        .on_done(move |outcome| sender.send(outcome).unwrap());
    assert_eq!(receiver.recv().unwrap().unwrap().last, 1);
}

#[test]
fn store_in_use_empty_directory_and_full_directory_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    assert!(matches!(
        Store::open(&path, &options()),
        Err(OpenError::NotAStore { .. })
    ));
    let store = create(dir.path());
    assert!(matches!(
        Store::open(&path, &options()),
        Err(OpenError::Locked { .. })
    ));
    drop(store);
    let again = guantong_store::CreateOptions {
        case_rule: guantong_proto::CaseRule::Insensitive,
        id: [0; 16],
    };
    assert!(matches!(
        Store::create(&path, &again, &options()),
        Err(OpenError::NotEmpty { .. })
    ));
}

#[test]
fn store_of_another_user_is_refused_to_root_as_its_owner_could_not_open_it_any_more() {
    const OWNER: u32 = 65_534;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    drop(create(dir.path()));
    if std::os::unix::fs::chown(&path, Some(OWNER), None).is_err() {
        // Only root can give a file away, and only root is refused.
        return;
    }
    let before = std::fs::read_dir(path.join("engine")).unwrap().count();
    assert!(matches!(
        Store::open(&path, &options()),
        Err(OpenError::Foreign { owner: OWNER, .. })
    ));
    let after = std::fs::read_dir(path.join("engine")).unwrap().count();
    assert_eq!(after, before);
    std::os::unix::fs::chown(&path, Some(0), None).unwrap();
    drop(open(dir.path()));
}
