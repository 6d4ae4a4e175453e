//! Readers beside the writer: whole records only, never an old one after a new one was
//! acknowledged.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use common::{batch, create, handle, put, wire, write};
use guantong_proto::Value;
use guantong_store::{Change, Expect, Scope, Store, StoredRecord};
use guantong_testkit::Random;

const KEYS: u64 = 8;
const ROUNDS: u64 = 1_500;
const READERS: u64 = 3;

/// Acknowledged number per key, and whether the writers are done.
#[derive(Default)]
struct Shared {
    acknowledged: [AtomicU64; KEYS as usize],
    done: AtomicBool,
}

#[test]
fn reads_are_whole_and_never_older_than_what_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let store = create(dir.path());
    write(&store, (0..KEYS).map(|key| change(key, 0)).collect()).unwrap();
    let shared = Shared::default();
    std::thread::scope(|scope| {
        for reader in 0..READERS {
            let (store, shared) = (&store, &shared);
            scope.spawn(move || read(store, shared, reader));
        }
        // One writer per half of the keys, so that groups hold batches of both.
        let writers: Vec<_> = (0..2)
            .map(|half| {
                let (store, shared) = (&store, &shared);
                scope.spawn(move || update(store, shared, half))
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        shared.done.store(true, Ordering::Release);
    });
}

fn update(store: &Store, shared: &Shared, half: u64) {
    for number in 1..=ROUNDS {
        let key = half * (KEYS / 2) + number % (KEYS / 2);
        write(store, vec![change(key, number)]).unwrap();
        shared.acknowledged[key as usize].store(number, Ordering::Release);
    }
}

fn read(store: &Store, shared: &Shared, reader: u64) {
    let mut random = Random::new(reader);
    let mut seen = [0; KEYS as usize];
    while !shared.done.load(Ordering::Acquire) {
        let key = random.below(KEYS);
        let acknowledged = shared.acknowledged[key as usize].load(Ordering::Acquire);
        let record = store.record(name(key).borrow()).unwrap().unwrap();
        let number = number_of(&record);
        assert!(
            number >= acknowledged,
            "{number} after {acknowledged} was acknowledged"
        );
        let seen = &mut seen[key as usize];
        assert!(number >= *seen, "{number} after {seen} was seen");
        *seen = number;
    }
}

#[test]
fn scan_and_list_never_show_half_a_batch() {
    let dir = tempfile::tempdir().unwrap();
    let store = create(dir.path());
    write(&store, (0..KEYS).map(|key| change(key, 0)).collect()).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                let numbers: Vec<u64> = store
                    .scan(&Scope::All, None)
                    .map(|record| number_of(&record.unwrap().1))
                    .collect();
                assert!(
                    numbers.iter().all(|number| *number == numbers[0]),
                    "{numbers:?}"
                );
                let page = store.list(&Scope::All, None, 100).unwrap();
                assert_eq!(page.handles.len(), KEYS as usize);
            }
        });
        for number in 1..=300 {
            write(&store, (0..KEYS).map(|key| change(key, number)).collect()).unwrap();
        }
        done.store(true, Ordering::Release);
    });
}

#[test]
fn many_callers_get_numbers_without_gaps() {
    const CALLERS: u64 = 6;
    const EACH: u64 = 200;
    let dir = tempfile::tempdir().unwrap();
    let store = create(dir.path());
    let mut numbers: Vec<u64> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let store = &store;
                scope.spawn(move || {
                    let tickets: Vec<_> = (0..EACH)
                        .map(|n| {
                            let name = format!("{caller}/{n}");
                            store.submit(batch(vec![put(&name, wire(&[]), Expect::Absent)]))
                        })
                        .collect();
                    let last = |ticket: guantong_store::Ticket| ticket.wait().unwrap().last;
                    tickets.into_iter().map(last).collect::<Vec<_>>()
                })
            })
            .collect();
        let joined = callers.into_iter().map(|caller| caller.join().unwrap());
        joined.flatten().collect()
    });
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(1..=CALLERS * EACH));
    assert_eq!(store.count(&Scope::of_prefix("3").unwrap()).unwrap(), EACH);
}

#[test]
fn backup_shows_one_moment_while_writes_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = create(dir.path());
    write(&store, (0..KEYS).map(|key| change(key, 0)).collect()).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            while !done.load(Ordering::Acquire) {
                number += 1;
                write(&store, (0..KEYS).map(|key| change(key, number)).collect()).unwrap();
            }
        });
        for round in 0..3 {
            let to = dir.path().join(format!("backup-{round}"));
            let mut go_on = |_| std::ops::ControlFlow::Continue(());
            let manifest = store.backup(&to, &mut go_on).unwrap();
            let restored = dir.path().join(format!("restored-{round}/store"));
            guantong_store::restore(&to, &restored, &mut go_on).unwrap();
            let restored = common::open(restored.parent().unwrap());
            assert_eq!(restored.last_change(), manifest.last_change);
            let numbers: Vec<u64> = restored
                .scan(&Scope::All, None)
                .map(|record| number_of(&record.unwrap().1))
                .collect();
            assert!(
                numbers.iter().all(|number| *number == numbers[0]),
                "{numbers:?}"
            );
        }
        done.store(true, Ordering::Release);
    });
}

fn name(key: u64) -> guantong_proto::Handle {
    handle(&format!("1/{key}"))
}

fn change(key: u64, number: u64) -> Change {
    let values: Vec<Value> = (1..=5)
        .map(|index| Value::new(index, "NUMBER", number.to_string()))
        .collect();
    put(name(key).as_str(), wire(&values), Expect::Anything)
}

/// The number that all values of the record hold.
fn number_of(record: &StoredRecord) -> u64 {
    let values = record.values().to_vec().unwrap();
    assert_eq!(values.len(), 5);
    assert!(values.iter().all(|value| value.data == values[0].data));
    values[0].text().unwrap().parse().unwrap()
}

/// Records that were registered among others by many callers at once could be registered again.
#[test]
fn record_put_in_a_busy_moment_is_there_for_whoever_comes_later() {
    let dir = tempfile::tempdir().unwrap();
    let store = create(dir.path());
    let put = |name: &str| put(name, wire(&[]), Expect::Absent);
    // While the writer is busy with these, the others come together in one group.
    let many = (0..16_000).map(|n| put(&format!("1/{n}"))).collect();
    let mut tickets = vec![store.submit(batch(many))];
    let singles = ["2/z".to_owned()].into_iter();
    for name in singles.chain((0..40).map(|n| format!("2/{n}"))) {
        tickets.push(store.submit(batch(vec![put(&name)])));
    }
    for ticket in tickets {
        ticket.wait().unwrap();
    }
    assert!(write(&store, vec![put("2/z")]).is_err());
    assert!(write(&store, vec![put("2/39")]).is_err());
}
