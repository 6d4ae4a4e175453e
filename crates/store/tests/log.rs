//! The change log: how the changes of one record hang together, and what is kept of each.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod common;

use std::ops::ControlFlow;

use common::{create, delete, handle, open, put, scratch, url, write};
use guantong_store::{Expect, Store};

fn go_on(_: guantong_store::Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

//----------- Lives ----------------------------------------------------------

/// The numbers of the changes of a record, newest first.
fn past(store: &Store, name: &str) -> Vec<u64> {
    let mut past = Vec::new();
    let mut next = store.last_change_of(handle(name).borrow()).unwrap();
    while let Some(number) = next {
        past.push(number);
        next = store.change(number).unwrap().unwrap().previous();
    }
    past
}

#[test]
fn last_change_of_a_record_survives_its_deletion_and_leads_into_earlier_lives() {
    let dir = scratch();
    let store = create(dir.path());
    assert_eq!(past(&store, "1/a"), [0; 0]);
    for changes in [
        vec![put("1/a", url("1"), Expect::Absent)],
        vec![put("1/b", url("1"), Expect::Absent)],
        vec![put("1/a", url("2"), Expect::Present)],
        vec![delete("1/a", Expect::Present)],
        // Nothing happens.
        vec![delete("1/a", Expect::Anything)],
    ] {
        write(&store, changes).unwrap();
    }
    assert_eq!(store.removal(handle("1/A").borrow()).unwrap(), Some(4));
    assert_eq!(store.removal(handle("1/b").borrow()).unwrap(), None);
    assert_eq!(store.removal(handle("1/c").borrow()).unwrap(), None);
    assert_eq!(past(&store, "1/a"), [4, 3, 1]);
    drop(store);
    let store = open(dir.path());
    assert_eq!(past(&store, "1/a"), [4, 3, 1]);
    // A deletion of nothing in front does not hide the last life.
    write(
        &store,
        vec![
            delete("1/a", Expect::Anything),
            put("1/A", url("3"), Expect::Absent),
        ],
    )
    .unwrap();
    assert_eq!(store.removal(handle("1/a").borrow()).unwrap(), None);
    assert_eq!(past(&store, "1/a"), [5, 4, 3, 1]);
    assert_eq!(past(&store, "1/b"), [2]);
}

#[test]
fn several_lives_within_one_batch_are_one_chain() {
    let dir = scratch();
    let store = create(dir.path());
    let again = || {
        [
            put("1/a", url("1"), Expect::Absent),
            delete("1/a", Expect::Present),
        ]
    };
    write(&store, [again(), again(), again()].concat()).unwrap();
    assert_eq!(past(&store, "1/a"), [6, 5, 4, 3, 2, 1]);
    write(&store, again()[..1].to_vec()).unwrap();
    assert_eq!(past(&store, "1/a"), [7, 6, 5, 4, 3, 2, 1]);
    assert!(store.check(&mut go_on).unwrap().is_clean());
}

/// A sorted import does not look up what is behind the last key of its prefix; a deleted name
/// there is not forgotten.
#[test]
fn deleted_name_behind_the_last_record_of_its_prefix_is_remembered() {
    let dir = scratch();
    let store = create(dir.path());
    write(&store, vec![put("1/z", url("1"), Expect::Absent)]).unwrap();
    write(&store, vec![delete("1/z", Expect::Present)]).unwrap();
    drop(store);
    let store = open(dir.path());
    for n in 10..60 {
        let name = format!("1/{n}");
        write(&store, vec![put(&name, url("1"), Expect::Absent)]).unwrap();
    }
    write(&store, vec![put("1/z", url("2"), Expect::Absent)]).unwrap();
    assert_eq!(past(&store, "1/z").len(), 3);
}
