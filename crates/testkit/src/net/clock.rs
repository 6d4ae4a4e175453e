//! The clocks of one machine: a steady one that runs a little too fast or too slow, and one on the
//! wall that is set by hand.

use guantong_core::replicate::Instant;
use guantong_core::resolve::{Now, Tick};

/// The clock on the wall at the beginning, in seconds since 1970.
const EPOCH_SECS: i64 = 1_800_000_000;
/// Milliseconds of a second.
const SECOND_MS: u64 = 1_000;

//----------- Clock ----------------------------------------------------------

/// The clocks of a machine. Both go on while its process is down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// What the steady clock showed at the beginning.
    pub(super) origin_ms: u64,
    /// Steps of the steady clock in a thousand milliseconds.
    pub(super) rate: u64,
    /// Seconds by which the clock on the wall is ahead.
    pub(super) ahead_secs: i64,
}

impl Clock {
    /// The steady clock at simulated time `now`.
    pub(super) fn local_ms(&self, now: u64) -> u64 {
        self.origin_ms + now * self.rate / SECOND_MS
    }

    /// The first simulated moment at which the steady clock shows `local_ms`.
    pub(super) fn when(&self, local_ms: u64) -> u64 {
        let steps = local_ms.saturating_sub(self.origin_ms);
        steps.saturating_mul(SECOND_MS).div_ceil(self.rate)
    }

    pub(super) fn wall_secs(&self, now: u64) -> u32 {
        let secs = EPOCH_SECS + (now / SECOND_MS).cast_signed() + self.ahead_secs;
        u32::try_from(secs).unwrap_or(0)
    }

    pub(super) fn wall_ms(&self, now: u64) -> u64 {
        u64::from(self.wall_secs(now)) * SECOND_MS + now % SECOND_MS
    }

    /// As the resolver takes it.
    pub(super) fn now(&self, now: u64) -> Now {
        Now {
            tick: Tick(self.local_ms(now)),
            secs: self.wall_secs(now),
        }
    }

    /// As leases take it.
    pub(super) fn instant(&self, now: u64) -> Instant {
        Instant {
            boot_ms: self.local_ms(now),
            wall_ms: self.wall_ms(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moment_of_a_reading_is_the_first_that_shows_it() {
        for rate in [950, 1_000, 1_050] {
            let clock = Clock {
                origin_ms: 77,
                rate,
                ahead_secs: -5,
            };
            for local in [77, 78, 500, 123_456] {
                let at = clock.when(local);
                assert!(clock.local_ms(at) >= local);
                assert!(at == 0 || clock.local_ms(at - 1) < local);
            }
        }
    }
}
