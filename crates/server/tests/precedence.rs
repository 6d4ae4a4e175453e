//! Threads that go before all others, and when they do not. One test, because it looks at all
//! threads of the process.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod support;

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use support::{Place, Udp, ask, eventually, put};

/// Policies of the system, by their numbers (`sched(7)`).
const COMMON: u32 = 0;
const ROUND_ROBIN: u32 = 2;

/// The policy of the one thread that answers over UDP.
fn policy() -> Option<u32> {
    fs::read_dir("/proc/self/task").unwrap().find_map(|task| {
        let stat = fs::read_to_string(task.unwrap().path().join("stat")).ok()?;
        // Behind the name, which may have spaces, the third field; the policy is the 41st.
        let (before, after) = stat.rsplit_once(") ")?;
        let policy = after.split(' ').nth(41 - 3)?.parse().unwrap();
        before.ends_with("(udp-0").then_some(policy)
    })
}

#[test]
fn flooded_thread_takes_turns_with_others_until_the_flood_is_over() {
    let mut place = Place::new();
    place.config.listen.udp_threads = 1;
    let node = place.start();
    put(&node, "88.118.5/x", "still here");
    let address = node.addresses().udp[0];
    let (udp, question) = (Udp::to(address), ask("88.118.5/x", 1));
    assert_eq!(udp.ask(&question).text, "still here");
    let calm = policy().unwrap();
    if calm == COMMON {
        eprintln!("not tried: the system lets no thread go first");
        return;
    }
    assert_eq!(calm, ROUND_ROBIN);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                // Answers stay unread; the system drops what has no room.
                let flood = Udp::to(address);
                while !is_over.load(Relaxed) {
                    flood.send(&question);
                }
            });
        }
        eventually(|| (policy() == Some(COMMON)).then_some(()));
        is_over.store(true, Relaxed);
    });
    eventually(|| {
        std::thread::sleep(Duration::from_millis(10));
        // Looks are taken when there is something to answer.
        assert_eq!(udp.ask(&question).text, "still here");
        (policy() == Some(ROUND_ROBIN)).then_some(())
    });
}
