//! A disk that is full, at different moments of the engine's life.
//!
//! A child gets a small disk of its own (a tmpfs in its own mount namespace) and writes until the
//! store refuses. It must refuse with a clear error and in good time, go on reading, close, and
//! after some room has been made open again with everything that was acknowledged.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod common;

use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use common::{batch, create, handle, open, put, wire};
use guantong_proto::Value;
use guantong_store::{
    Cause, Change, Expect, Outcome, Recipient, Scope, Store, Submission, WriteError,
};
use guantong_testkit::Random;

/// Says to the child where to work.
const CHILD: &str = "GUANTONG_FULL_CHILD";
/// Says to the child how large its disk is, in MiB.
const SIZE: &str = "GUANTONG_FULL_SIZE";
/// Sizes of the disk: full in the journal, in a flush, in a compaction.
const DISK_MIB: [usize; 6] = [12, 16, 24, 36, 52, 80];
/// Changes of one batch.
const BATCH: u64 = 20;
/// Batches that are submitted together.
const GROUP: u64 = 4;
/// After this time a child hangs. It is only ever waited for in full when something is broken.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn full_disk_refuses_writes_and_loses_nothing() {
    run_on_small_disks(&DISK_MIB, "child");
}

#[test]
fn full_disk_refuses_every_batch_of_the_group_that_does_not_fit() {
    run_on_small_disks(&DISK_MIB[..2], "child_with_groups");
}

/// Runs a test of this file in a child, once on a disk of each size.
fn run_on_small_disks(sizes_mib: &[usize], test: &str) {
    for mib in sizes_mib {
        let dir = tempfile::tempdir().unwrap();
        let script =
            format!("mount -t tmpfs -o size={mib}m tmpfs \"$1\" || exit 77; shift; exec \"$@\"");
        let mut child = Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", &script, "sh"])
            .arg(dir.path())
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(CHILD, dir.path())
            .env(SIZE, mib.to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let (done, waiting) = mpsc::channel();
        std::thread::scope(|scope| {
            let id = child.id();
            scope.spawn(move || {
                if waiting.recv_timeout(PATIENCE).is_err() {
                    // The child hangs: that is the failure, so it must not hang us as well.
                    let _ = Command::new("kill").args(["-9", &id.to_string()]).status();
                }
            });
            let status = child.wait().unwrap();
            done.send(()).unwrap();
            assert_ne!(
                status.code(),
                Some(77),
                "this test needs to mount a tmpfs: run it as root, or allow user namespaces"
            );
            assert!(status.success(), "disk of {mib} MiB: {status}");
        });
    }
}

//----------- The child ------------------------------------------------------

/// Does the work when it is run by the test above; otherwise there is nothing to do.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(CHILD) else {
        return;
    };
    let dir = Path::new(&dir);
    let ballast = dir.join("ballast");
    // Half of the disk, to be freed later: compaction needs room to make room.
    let ballast_mib: usize = std::env::var(SIZE).unwrap().parse().unwrap();
    std::fs::write(&ballast, vec![1; ballast_mib << 19]).unwrap();
    let store = create(dir);
    let (acknowledged, error) = fill(&store);
    let cause = match error {
        WriteError::Failed(cause) | WriteError::Stopped(cause) => cause,
        other => panic!("{other}"),
    };
    // If it was a flush that failed, the engine only says that it has stopped.
    assert!(
        matches!(cause, Cause::DiskFull(_) | Cause::Stopped),
        "{cause}"
    );
    let later = store.submit(batch(import(10_000_000))).wait();
    assert!(matches!(later, Err(WriteError::Stopped(_))), "{later:?}");
    assert!(store.writable().is_err());
    verify(&store, acknowledged);
    drop(store);

    std::fs::remove_file(&ballast).unwrap();
    let store = open(dir);
    verify(&store, acknowledged);
    let checked = store.check(&mut |_| ControlFlow::Continue(())).unwrap();
    assert!(checked.is_clean(), "{checked:?}");
    let change = put("9/new", wire(&[]), Expect::Absent);
    store.submit(batch(vec![change])).wait().unwrap();
}

/// The same where batches are committed together.
#[test]
fn child_with_groups() {
    let Some(dir) = std::env::var_os(CHILD) else {
        return;
    };
    let store = create(Path::new(&dir));
    let (outcomes, told) = mpsc::channel();
    let recipient: Arc<dyn Recipient> = Arc::new(Told(outcomes));
    for first in (0..).step_by(GROUP as usize) {
        let submissions = (first..first + GROUP).map(|number| Submission {
            batch: batch(import(number)),
            rights: Vec::new(),
            mark: number as usize,
        });
        store.try_submit_all(submissions, &recipient);
        let mut heard: Vec<_> = (0..GROUP).map(|_| told.recv().unwrap()).collect();
        heard.sort_by_key(|(mark, _)| *mark);
        let marks = heard.iter().map(|(mark, _)| *mark as u64);
        assert!(marks.eq(first..first + GROUP));
        if heard.iter().all(|(_, outcome)| outcome.is_ok()) {
            continue;
        }
        for (mark, outcome) in heard {
            assert!(
                matches!(outcome, Err(WriteError::Failed(_) | WriteError::Stopped(_))),
                "{mark}: {outcome:?}"
            );
        }
        for number in 0..first {
            let name = handle(&format!("1/{number}-0"));
            let record = store.record(name.borrow()).unwrap();
            assert_eq!(record.unwrap().values_wire(), values(number));
        }
        return;
    }
}

/// Passes on what it is told.
struct Told(mpsc::Sender<(usize, Outcome)>);

impl Recipient for Told {
    fn take(&self, mark: usize, outcome: Outcome) {
        self.0.send((mark, outcome)).unwrap();
    }

    fn wake(&self) {}
}

/// Writes until the store refuses; gives the number of batches that were acknowledged, and the
/// first refusal.
fn fill(store: &Store) -> (u64, WriteError) {
    for number in 0.. {
        if let Err(error) = store.submit(batch(import(number))).wait() {
            return (number, error);
        }
    }
    unreachable!("the disk is finite")
}

fn verify(store: &Store, acknowledged: u64) {
    for number in 0..acknowledged {
        let name = handle(&format!("1/{number}-0"));
        let record = store.record(name.borrow()).unwrap();
        assert_eq!(record.unwrap().values_wire(), values(number));
    }
    // The batch that failed may have reached the journal, but only whole.
    let records = store.count(&Scope::All).unwrap();
    let batches = records / BATCH;
    assert_eq!(records % BATCH, 0);
    assert!(
        (acknowledged..=acknowledged + 1).contains(&batches),
        "{batches}"
    );
}

fn import(number: u64) -> Vec<Change> {
    (0..BATCH)
        .map(|part| {
            put(
                &format!("1/{number}-{part}"),
                values(number),
                Expect::Absent,
            )
        })
        .collect()
}

fn values(number: u64) -> Vec<u8> {
    let mut random = Random::new(number);
    let noise: Vec<u8> = (0..2_000).map(|_| random.next_u64() as u8).collect();
    wire(&[Value::new(1, "BLOB", noise)])
}
