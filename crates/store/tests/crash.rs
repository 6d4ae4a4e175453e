//! Loss of power at every sync.
//!
//! A child process works on a store while every file operation of it is recorded. Then the power
//! "goes" at each point of the recording, in three ways (see [`Mode`]), and the store is opened on
//! what the disk could hold: every acknowledged change must be there, nothing of a batch may be
//! half there, and the check must find nothing wrong.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod common;

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;

use common::{batch, create, handle, open, options, scratch, wire};
use guantong_proto::Value;
use guantong_store::{Change, Expect, OpenError, Scope, Store};
use guantong_testkit::Random;
use guantong_testkit::crash::{Mode, Recording};

/// Says to the child where to work.
const CHILD: &str = "GUANTONG_CRASH_CHILD";
/// Batches of the workload.
const BATCHES: u64 = 220;
/// Images per mode of the normal run.
const IMAGES_MAX: usize = 90;

#[test]
fn acknowledged_changes_survive_loss_of_power() {
    run(IMAGES_MAX);
}

/// Takes minutes: every point of the recording, in every mode.
#[test]
#[ignore = "exhaustive: takes minutes"]
fn acknowledged_changes_survive_loss_of_power_at_every_point() {
    run(usize::MAX);
}

fn run(images_max: usize) {
    let dir = scratch();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(CHILD, dir.path());
    let recording = Recording::make(&child, dir.path()).unwrap();
    recording.verify().unwrap();
    let points = recording.points();
    assert!(points.len() > BATCHES as usize, "{}", points.len());
    let batches = workload();
    for mode in [Mode::DropUnsynced, Mode::Torn, Mode::DropEntries] {
        let mut replay = recording.replay();
        let mut random = Random::new(7);
        let step = points.len().div_ceil(images_max).max(1);
        // Other points in each mode, so that together they cover more.
        for &point in points.iter().skip(mode as usize % step).step_by(step) {
            replay.advance(point);
            let acknowledged = acknowledged(replay.notes());
            let image = scratch();
            replay
                .image(mode, &mut random)
                .write_to(image.path())
                .unwrap();
            let judge = || judge(image.path(), acknowledged, &batches);
            if std::panic::catch_unwind(judge).is_err() {
                let kept = image.keep();
                panic!(
                    "{mode:?} at point {point} of {points:?}: see {}",
                    kept.display()
                );
            }
        }
    }
}

/// The last change that the child had been told was committed; `None` before the store was made.
fn acknowledged(notes: &[&str]) -> Option<u64> {
    let last = notes
        .iter()
        .rev()
        .find_map(|note| note.strip_prefix("ACK "))?;
    Some(last.parse().unwrap())
}

fn judge(dir: &Path, acknowledged: Option<u64>, batches: &[Vec<Change>]) {
    let store = match Store::open(&dir.join("store"), &options()) {
        Ok(store) => store,
        // The power went before the store was made.
        Err(OpenError::NotAStore { .. }) if acknowledged.is_none() => return,
        Err(error) => panic!("acknowledged {acknowledged:?}: {error}"),
    };
    let last = store.last_change();
    assert!(
        last >= acknowledged.unwrap_or(0),
        "{last}, {acknowledged:?}"
    );
    assert_eq!(contents(&store), expected(batches, last));
    let checked = store.check(&mut |_| ControlFlow::Continue(())).unwrap();
    assert!(checked.is_clean(), "{checked:?}");
    // The store is fit for work again.
    let change = Change::Put {
        handle: handle("9/new"),
        values: wire(&[]),
        expect: Expect::Absent,
    };
    let committed = store.submit(batch(vec![change])).wait().unwrap();
    assert_eq!(committed.first, last + 1);
}

type Contents = BTreeMap<String, Vec<u8>>;

fn contents(store: &Store) -> Contents {
    let records = store.scan(&Scope::All, None);
    records
        .map(|record| {
            let (_, record) = record.unwrap();
            (record.handle().to_string(), record.values_wire().to_vec())
        })
        .collect()
}

/// What the store should hold after `last` changes, which must be the end of a batch.
fn expected(batches: &[Vec<Change>], last: u64) -> Contents {
    let mut contents = Contents::new();
    let mut count = 0;
    for batch in batches {
        if count == last {
            return contents;
        }
        for change in batch {
            match change {
                Change::Put { handle, values, .. } => {
                    contents.insert(handle.to_string(), values.clone());
                }
                Change::Delete { handle, .. } => {
                    // Changes that do nothing are not in the workload.
                    assert!(contents.remove(handle.as_str()).is_some());
                }
                _ => {}
            }
            count += 1;
        }
    }
    assert_eq!(count, last, "{last} is in the middle of a batch");
    contents
}

//----------- The child ------------------------------------------------------

/// Does the work when it is run by the test above; otherwise there is nothing to do.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(CHILD) else {
        return;
    };
    let dir = Path::new(&dir);
    let mut store = create(dir);
    acknowledge(0);
    store.index_enable("URL").wait().unwrap();
    let batches = workload();
    let (before, after) = batches.split_at(batches.len() / 2);
    write(&store, before);
    // Recovery must be as safe as work.
    drop(store);
    store = open(dir);
    // An index is built while writes go on.
    store.index_enable("BLOB").wait().unwrap();
    write(&store, after);
    store.settle();
}

fn write(store: &Store, batches: &[Vec<Change>]) {
    // Now and then several batches share a commit.
    for some in batches.chunks(3) {
        let tickets: Vec<_> = some
            .iter()
            .map(|changes| store.submit(batch(changes.clone())))
            .collect();
        for ticket in tickets {
            acknowledge(ticket.wait().unwrap().last);
        }
    }
}

fn acknowledge(last: u64) {
    let mut out = std::io::stdout().lock();
    // In one write, so that it is one note.
    out.write_all(format!("ACK {last}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// The same batches in every process: puts of many sizes, updates, deletions, homed prefixes.
fn workload() -> Vec<Vec<Change>> {
    let mut random = Random::new(42);
    let mut live: Vec<String> = Vec::new();
    let mut batches = Vec::new();
    for number in 0..BATCHES {
        let mut changes = Vec::new();
        for part in 0..=random.below(8) {
            let name = match random.below(10) {
                0..2 if !live.is_empty() => {
                    let at = random.below(live.len() as u64) as usize;
                    changes.push(Change::Delete {
                        handle: handle(&live.swap_remove(at)),
                        expect: Expect::Present,
                    });
                    continue;
                }
                2..4 if !live.is_empty() => random.pick(&live).clone(),
                _ => {
                    live.push(format!("{}/{number}-{part}", random.below(5)));
                    live[live.len() - 1].clone()
                }
            };
            changes.push(Change::Put {
                handle: handle(&name),
                values: wire(&values(&mut random)),
                expect: Expect::Anything,
            });
        }
        if number.is_multiple_of(50) {
            let prefix = handle(&format!("0.NA/{number}"));
            changes.push(Change::Home { prefix });
        }
        batches.push(changes);
    }
    batches
}

fn values(random: &mut Random) -> Vec<Value> {
    let len = [40, 300, 3_000, 40_000][random.below(4) as usize];
    // Not compressible, so that tables are as large as what was put in.
    let noise: Vec<u8> = (0..len).map(|_| random.next_u64() as u8).collect();
    let url = format!("https://example.org/{}", random.below(20));
    vec![Value::new(1, "URL", url), Value::new(2, "BLOB", noise)]
}
