//! What others attach to a store: notes, admission, confirmation, snapshots.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{create, handle, options, scratch, url};
use guantong_store::{
    Admission, Batch, Change, Committed, Expect, Note, Origin, Right, Scope, Store, Ticket, Trail,
    WriteError, check, restore,
};

fn put(name: &str, expect: Expect) -> Change {
    Change::Put {
        handle: handle(name),
        values: url("x"),
        expect,
    }
}

fn batch(changes: Vec<Change>, origin: Origin) -> Batch {
    Batch {
        changes,
        at_ms: 1,
        origin,
        trail: Trail::default(),
    }
}

fn note(text: &str) -> Vec<Note> {
    vec![Note {
        name: "position".into(),
        octets: text.into(),
    }]
}

fn write(store: &Store, name: &str) -> Ticket {
    store.submit(batch(vec![put(name, Expect::Anything)], Origin::Operator))
}

#[test]
fn note_is_written_with_its_batch_or_not_at_all() {
    let dir = scratch();
    let store = create(dir.path());
    let replication = |changes| batch(changes, Origin::Replication);
    let good = replication(vec![put("88.118.5/a", Expect::Absent)]);
    store.submit_noted(good, note("1")).wait().unwrap();
    let conflict = replication(vec![put("88.118.5/a", Expect::Absent)]);
    assert!(store.submit_noted(conflict, note("2")).wait().is_err());
    assert_eq!(store.note("position").unwrap().unwrap(), b"1");
    let alone = store.submit_noted(replication(vec![]), note("3"));
    assert_eq!(alone.wait().unwrap(), Committed { first: 2, last: 1 });
    assert_eq!(store.last_change(), 1);
    drop(store);
    let store = common::open(dir.path());
    assert_eq!(store.note("position").unwrap().unwrap(), b"3");
    assert_eq!(store.note("other").unwrap(), None);
}

#[test]
fn notes_are_checked_backed_up_and_restored_like_records() {
    let dir = scratch();
    let store = create(dir.path());
    let changes = vec![put("88.118.5/a", Expect::Absent)];
    let ticket = store.submit_noted(batch(changes, Origin::Replication), note("7"));
    ticket.wait().unwrap();
    let quietly = &mut |_| std::ops::ControlFlow::Continue(());
    assert!(store.check(quietly).unwrap().is_clean());
    let (backup, again) = (dir.path().join("backup"), dir.path().join("again"));
    store.backup(&backup, quietly).unwrap();
    restore(&backup, &again, quietly).unwrap();
    assert!(check(&again, 0, quietly).unwrap().is_clean());
    let again = Store::open(&again, &options()).unwrap();
    assert_eq!(again.note("position").unwrap().unwrap(), b"7");
}

#[test]
fn note_beyond_its_limits_is_refused() {
    let dir = scratch();
    let store = create(dir.path());
    for (name, len) in [("", 1), (&"x".repeat(65)[..], 1), ("x", 1024 * 1024 + 1)] {
        let note = Note {
            name: name.to_owned(),
            octets: vec![0; len],
        };
        let ticket = store.submit_noted(batch(vec![], Origin::Node), vec![note]);
        assert!(matches!(ticket.wait(), Err(WriteError::TooLarge { .. })));
    }
}

/// Admits replication always, and others as often as the number says.
struct Times(AtomicU64);

impl Admission for Times {
    fn admits(&self, origin: &Origin) -> Result<(), Arc<str>> {
        let spend = |left: u64| left.checked_sub(1);
        let spent = || {
            self.0
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, spend)
        };
        match origin {
            Origin::Replication => Ok(()),
            _ => spent().map(drop).map_err(|_| "it is a mirror".into()),
        }
    }
}

#[test]
fn changes_are_taken_only_while_they_are_admitted() {
    let dir = scratch();
    let store = create(dir.path());
    write(&store, "88.118.5/a").wait().unwrap();
    store.set_admission(Arc::new(Times(AtomicU64::new(3))));
    write(&store, "88.118.5/b").wait().unwrap();
    // Admitted once when it is judged, and not any more when it is durable.
    let unconfirmed = write(&store, "88.118.5/c").wait();
    assert!(matches!(unconfirmed, Err(WriteError::Unconfirmed { .. })));
    assert!(
        store
            .record(handle("88.118.5/c").borrow())
            .unwrap()
            .is_some()
    );
    let refused = write(&store, "88.118.5/d").wait().unwrap_err();
    assert_eq!(
        refused.to_string(),
        "this node takes no changes: it is a mirror"
    );
    assert!(
        store
            .record(handle("88.118.5/d").borrow())
            .unwrap()
            .is_none()
    );
    let replicated = batch(vec![put("88.118.5/e", Expect::Absent)], Origin::Replication);
    store.submit(replicated).wait().unwrap();
    // A note alone changes no record.
    store
        .submit_noted(batch(vec![], Origin::Node), note("1"))
        .wait()
        .unwrap();
}

#[test]
fn change_is_reported_when_it_is_confirmed() {
    let dir = scratch();
    let store = create(dir.path());
    store.want_confirmation(true);
    let (told, reported) = std::sync::mpsc::channel();
    for name in ["88.118.5/a", "88.118.5/b"] {
        let told = told.clone();
        write(&store, name).on_done(move |outcome| told.send(outcome).unwrap());
    }
    store.settle();
    assert_eq!(store.unconfirmed(), 2);
    assert!(reported.try_recv().is_err());
    store.confirm(1);
    assert_eq!(reported.recv().unwrap().unwrap().last, 1);
    store.give_up_confirmation(2, &"no mirror is there".into());
    let given_up = reported.recv().unwrap();
    assert!(matches!(given_up, Err(WriteError::Unconfirmed { .. })));
    let replicated = batch(vec![put("88.118.5/c", Expect::Absent)], Origin::Replication);
    store.submit(replicated).wait().unwrap();
}

#[test]
fn snapshot_shows_records_and_log_after_one_change() {
    let dir = scratch();
    let store = create(dir.path());
    write(&store, "88.118.5/a").wait().unwrap();
    let snapshot = store.snapshot().unwrap();
    let gone = Change::Delete {
        handle: handle("88.118.5/a"),
        expect: Expect::Present,
    };
    store
        .submit(batch(vec![gone], Origin::Operator))
        .wait()
        .unwrap();
    assert_eq!(snapshot.last_change(), 1);
    assert!(snapshot.get(b"88.118.5/A").unwrap().is_some());
    assert_eq!(snapshot.scan(&Scope::All, None).count(), 1);
    assert_eq!(snapshot.changes(0, 10).unwrap().len(), 1);
    assert_eq!(snapshot.change(1).unwrap().unwrap().number, 1);
    assert!(snapshot.change(2).unwrap().is_none());
}

#[test]
fn listener_hears_of_every_change() {
    let dir = scratch();
    let store = create(dir.path());
    let (told, heard) = std::sync::mpsc::channel();
    store.on_change(move |last| told.send(last).unwrap());
    write(&store, "88.118.5/a").wait().unwrap();
    assert_eq!(heard.recv().unwrap(), 1);
}

#[test]
fn each_change_of_a_batch_keeps_the_right_that_allows_it() {
    let dir = scratch();
    let store = create(dir.path());
    let names = ["a", "b", "c", "d", "e", "f"];
    let changes = names.map(|name| put(&format!("88.118.5/{name}"), Expect::Absent));
    let (one, other) = (Right::ServerAdmin, Right::OpenValues);
    let rights = vec![one.clone(), one.clone(), other, Right::Own, one];
    let ticket = store.try_submit_by(batch(changes.into(), Origin::Anybody), rights.clone());
    ticket.wait().unwrap();
    let page = store.changes(0, 10).unwrap();
    let found: Vec<_> = page.iter().map(|entry| entry.trail.right.clone()).collect();
    assert_eq!(found, [rights, vec![Right::Own]].concat());
}
