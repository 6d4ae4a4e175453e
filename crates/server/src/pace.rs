//! Whether reads wait for the disk, judged by how long the last ones took.
//!
//! A record that is not among the hot ones may lie in a block that the engine keeps, in the memory
//! of the system, or on the disk. Nothing tells which except reading it, and the thread that
//! answers datagrams must not find out by waiting: all others would wait behind it. But slow reads
//! come together, as long as more is asked for than memory holds. So after a slow read the next
//! ones are expected to be slow too and are left to threads of their own; when enough of them have
//! been fast, which costs less without a hand-over, the thread reads by itself again.
//!
//! A read can also take long because another thread had the core meanwhile. That says nothing of
//! the next one, and happens once in some hundred reads where a writer shares the core, so a read
//! is slow only if its thread went to sleep in it.
//!
//! Beside many changes a read may wait although what it wants is in memory: the engine keeps all
//! readers out while it writes down which files it has after a flush or a compaction, until the
//! disk has that. One such wait is long enough to be seen, so it is not found out by waiting.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

/// A read that slept and took longer has waited for the disk: from memory it takes some ten
/// microseconds, decompression included, and no disk answers sooner.
const SLOW: Duration = Duration::from_micros(60);
/// Reads after a slow one that are expected to be slow. One read in so many may hold up a thread
/// that answers, which is too few for the 99th percentile of those behind it.
const READS_AFTER_SLOW: u32 = 1_024;
/// Changes from one second to the next that are many: the engine flushes after some hundred
/// thousand, and of fewer changes a second that is once in minutes.
const MANY_CHANGES: u64 = 1_000;

/// How reads went lately.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Reads still to come that are expected to be slow.
    left: AtomicU32,
    /// The second of the last read, and the last change at its first one.
    second: AtomicU64,
    change: AtomicU64,
    /// Whether there had been many changes by then.
    is_written: AtomicBool,
}

impl Pace {
    /// Whether the next read probably waits for the disk.
    pub(crate) fn expects_disk(&self) -> bool {
        let left = self.left.load(Ordering::Relaxed);
        // Threads may count one read together: this is a guess, and cheap.
        self.left.store(left.saturating_sub(1), Ordering::Relaxed);
        left > 0
    }

    /// Whether there were many changes in this second or the one before, or since the last read;
    /// `change` is the number of the last one.
    pub(crate) fn is_written(&self, now_ms: u64, change: u64) -> bool {
        // Where threads come together, one of them may judge by what the other has set.
        let second = now_ms / 1_000;
        if self.second.swap(second, Ordering::Relaxed) != second {
            let before = self.change.swap(change, Ordering::Relaxed);
            let is_written = change.saturating_sub(before) >= MANY_CHANGES;
            self.is_written.store(is_written, Ordering::Relaxed);
            return is_written;
        }
        let before = self.change.load(Ordering::Relaxed);
        change.saturating_sub(before) >= MANY_CHANGES || self.is_written.load(Ordering::Relaxed)
    }

    /// Reads, and takes note of how long that took.
    pub(crate) fn time<T>(&self, read: impl FnOnce() -> T) -> T {
        let (sleeps, begun) = (sleeps(), Instant::now());
        let read = read();
        self.took(begun.elapsed(), || {
            sleeps.is_none() || sleeps != self::sleeps()
        });
        read
    }

    fn took(&self, time: Duration, has_slept: impl FnOnce() -> bool) {
        if time > SLOW && has_slept() {
            self.left.store(READS_AFTER_SLOW, Ordering::Relaxed);
        }
    }
}

/// How often this thread has waited for something, as the system counts it. `None` if it does not
/// say.
fn sleeps() -> Option<i64> {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).ok()?;
    Some(usage.voluntary_context_switches())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_expected_to_be_fast_until_one_was_slow() {
        let pace = Pace::default();
        pace.took(SLOW, || true);
        assert!(!pace.expects_disk());
        pace.took(SLOW + Duration::from_nanos(1), || true);
        assert!(pace.expects_disk());
    }

    #[test]
    fn read_whose_thread_did_not_sleep_is_no_slow_one() {
        let pace = Pace::default();
        pace.time(|| {
            let begun = Instant::now();
            while begun.elapsed() < 4 * SLOW {
                std::hint::spin_loop();
            }
        });
        assert!(!pace.expects_disk());
        pace.time(|| std::thread::sleep(4 * SLOW));
        assert!(pace.expects_disk());
    }

    #[test]
    fn fast_reads_are_expected_again_after_a_bounded_number() {
        let pace = Pace::default();
        pace.took(2 * SLOW, || true);
        let slow = (0..2 * READS_AFTER_SLOW).filter(|_| pace.expects_disk());
        assert_eq!(slow.count(), READS_AFTER_SLOW as usize);
    }

    #[test]
    fn another_slow_read_keeps_the_expectation_up() {
        let pace = Pace::default();
        pace.time(|| std::thread::sleep(2 * SLOW));
        for _ in 0..3 * READS_AFTER_SLOW {
            assert!(pace.expects_disk());
            pace.took(2 * SLOW, || true);
        }
    }

    #[test]
    fn store_with_many_changes_is_written_until_a_second_without() {
        let pace = Pace::default();
        pace.is_written(1_000, 5_000);
        // Few changes, in this second and the next one.
        assert!(!pace.is_written(2_000, 5_100));
        assert!(!pace.is_written(2_999, 5_100 + MANY_CHANGES - 1));
        // Many, seen in the second itself, and still in the one behind it.
        assert!(pace.is_written(2_999, 5_100 + MANY_CHANGES));
        assert!(pace.is_written(3_000, 5_100 + MANY_CHANGES));
        assert!(pace.is_written(3_500, 5_100 + MANY_CHANGES));
        assert!(!pace.is_written(4_000, 5_100 + MANY_CHANGES));
        // Many since the last read, however long ago that was.
        assert!(pace.is_written(90_000, 100_000));
        assert!(!pace.is_written(91_000, 100_001));
    }
}
