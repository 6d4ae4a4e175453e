//! Whether reads wait for the disk, judged by how long the last ones took.
//!
//! A record that is not among the hot ones may lie in a block that the engine keeps, in the memory
//! of the system, or on the disk. Nothing tells which except reading it, and the thread that
//! answers datagrams must not find out by waiting: all others would wait behind it. But slow reads
//! come together, as long as more is asked for than memory holds. So after a slow read the next
//! ones are expected to be slow too and are left to threads of their own; when enough of them have
//! been fast, which costs less without a hand-over, the thread reads by itself again.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A read that took longer has waited for the disk: from memory it takes some ten microseconds,
/// decompression included, and no disk answers sooner.
const SLOW: Duration = Duration::from_micros(60);
/// Reads after a slow one that are expected to be slow. One read in so many may hold up a thread
/// that answers, which is too few for the 99th percentile of those behind it.
const READS_AFTER_SLOW: u32 = 1_024;

/// How reads went lately.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Reads still to come that are expected to be slow.
    left: AtomicU32,
}

impl Pace {
    /// Whether the next read probably waits for the disk.
    pub(crate) fn expects_disk(&self) -> bool {
        let left = self.left.load(Ordering::Relaxed);
        // Threads may count one read together: this is a guess, and cheap.
        self.left.store(left.saturating_sub(1), Ordering::Relaxed);
        left > 0
    }

    /// Reads, and takes note of how long that took.
    pub(crate) fn time<T>(&self, read: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let read = read();
        self.took(begun.elapsed());
        read
    }

    fn took(&self, time: Duration) {
        if time > SLOW {
            self.left.store(READS_AFTER_SLOW, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_expected_to_be_fast_until_one_was_slow() {
        let pace = Pace::default();
        pace.took(SLOW);
        assert!(!pace.expects_disk());
        pace.took(SLOW + Duration::from_nanos(1));
        assert!(pace.expects_disk());
    }

    #[test]
    fn fast_reads_are_expected_again_after_a_bounded_number() {
        let pace = Pace::default();
        pace.took(2 * SLOW);
        let slow = (0..2 * READS_AFTER_SLOW).filter(|_| pace.expects_disk());
        assert_eq!(slow.count(), READS_AFTER_SLOW as usize);
    }

    #[test]
    fn another_slow_read_keeps_the_expectation_up() {
        let pace = Pace::default();
        pace.time(|| std::thread::sleep(2 * SLOW));
        for _ in 0..3 * READS_AFTER_SLOW {
            assert!(pace.expects_disk());
            pace.took(2 * SLOW);
        }
    }
}
