//! How long to wait before trying again.

/// The first wait.
const FIRST_MS: u64 = 500;
/// The longest wait: a primary that comes back is noticed within a minute.
const LONGEST_MS: u64 = 30_000;

/// Waits that grow from failure to failure.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Takes note of a success.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Takes note of a failure; how many milliseconds to wait. `random` spreads mirrors that lost
    /// their primary at the same moment: each waits between half of the time and all of it.
    pub fn failed(&mut self, random: u64) -> u64 {
        let full = FIRST_MS << self.failures.min(16);
        let full = full.min(LONGEST_MS);
        self.failures = self.failures.saturating_add(1);
        full / 2 + random % (full / 2 + 1)
    }

    /// Failures since the last success.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..100).map(|_| backoff.failed(u64::MAX)).collect();
        assert!(waits.iter().all(|&wait| wait <= LONGEST_MS));
        assert!(waits[1] > FIRST_MS / 2 && waits[99] >= LONGEST_MS / 2);
        backoff.succeeded();
        assert!(backoff.failed(0) <= FIRST_MS);
    }
}
