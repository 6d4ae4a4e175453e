//! `kill -9` in the middle of an import, many times over.
//!
//! A child imports batches into a store and prints the number of each change that it was told is
//! committed. It is killed at a random moment. Afterwards everything it printed must be there, no
//! batch may be half there, and the check must find nothing wrong. Then the next child goes on
//! where this one was interrupted.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::{batch, create, open, put, wire};
use guantong_proto::Value;
use guantong_store::{Change, Expect, Scope};
use guantong_testkit::Random;

/// Says to the child where to work.
const CHILD: &str = "GUANTONG_KILL_CHILD";
const ROUNDS: u64 = 30;
/// Changes of one batch; each batch is one prefix, so that a half batch is easily seen.
const BATCH: u64 = 50;
/// Batches that wait for their tickets, so that they share commits.
const IN_FLIGHT: usize = 8;

#[test]
fn acknowledged_changes_survive_kill_in_mid_import() {
    let dir = tempfile::tempdir().unwrap();
    create(dir.path()).index_enable("URL").wait().unwrap();
    let mut random = Random::new(1);
    let mut least = 0;
    for round in 0..ROUNDS {
        let mut child = start(dir.path());
        let acknowledged = kill_after(&mut child, 1 + random.below(12), &mut random);
        least = acknowledged.max(least);
        least = judge(dir.path(), least, round);
    }
    assert!(
        least > ROUNDS * BATCH,
        "the children hardly got to work: {least}"
    );
}

fn start(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(CHILD, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Kills the child once it has printed `lines` numbers, or a random bit later; gives the last
/// number that it managed to print.
fn kill_after(child: &mut Child, lines: u64, random: &mut Random) -> u64 {
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut last = 0;
    let mut note = |line: String| {
        if let Some(number) = line.strip_prefix("ACK ") {
            last = number.parse().unwrap();
        }
    };
    for _ in 0..lines {
        note(out.next().unwrap().unwrap());
    }
    // Work of a random length instead of a sleep: the child is anywhere by then.
    for _ in 0..random.below(1_000_000) {
        std::hint::black_box(random.next_u64());
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it had printed before it died is in the pipe; the last line may be cut off.
    out.map_while(Result::ok).for_each(note);
    last
}

/// Looks at what the killed child has left; gives the number of the last change.
fn judge(dir: &Path, acknowledged: u64, round: u64) -> u64 {
    let checked = guantong_store::check(&dir.join("store"), 0, &mut |_| ControlFlow::Continue(()));
    let checked = checked.unwrap();
    assert!(checked.is_clean(), "round {round}: {checked:?}");
    let store = open(dir);
    let last = store.last_change();
    assert!(
        last >= acknowledged,
        "round {round}: {last} < {acknowledged}"
    );
    assert_eq!(last % BATCH, 0, "round {round}: half a batch");
    let batches = last / BATCH;
    assert_eq!(store.count(&Scope::All).unwrap(), last);
    for number in batches.saturating_sub(20)..batches {
        let scope = Scope::of_prefix(&number.to_string()).unwrap();
        assert_eq!(store.count(&scope).unwrap(), BATCH, "round {round}");
        for (part, record) in store.scan(&scope, None).enumerate() {
            let (_, record) = record.unwrap();
            assert_eq!(record.version(), number * BATCH + part as u64 + 1);
            assert_eq!(record.values_wire(), values(number, part as u64));
        }
    }
    last
}

//----------- The child ------------------------------------------------------

/// Does the work when it is run by the test above; otherwise there is nothing to do.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(CHILD) else {
        return;
    };
    let store = open(Path::new(&dir));
    let mut number = store.last_change() / BATCH;
    let mut tickets = std::collections::VecDeque::new();
    loop {
        tickets.push_back(store.submit(batch(import(number))));
        number += 1;
        if tickets.len() > IN_FLIGHT {
            let committed = tickets.pop_front().unwrap().wait().unwrap();
            let mut out = std::io::stdout().lock();
            // In one write, so that a number is never cut in two.
            out.write_all(format!("ACK {}\n", committed.last).as_bytes())
                .unwrap();
            out.flush().unwrap();
        }
    }
}

fn import(number: u64) -> Vec<Change> {
    let name = |part: u64| format!("{number}/{part:03}");
    (0..BATCH)
        .map(|part| put(&name(part), values(number, part), Expect::Absent))
        .collect()
}

fn values(number: u64, part: u64) -> Vec<u8> {
    let mut random = Random::new(number * BATCH + part);
    let noise: Vec<u8> = (0..random.below(600))
        .map(|_| random.next_u64() as u8)
        .collect();
    let url = format!("https://example.org/{}", random.below(100));
    wire(&[Value::new(1, "URL", url), Value::new(2, "BLOB", noise)])
}
