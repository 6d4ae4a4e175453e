//! Time as the resolver takes it: a monotonic clock for waits and lifetimes, a wall clock for what
//! the protocol states in seconds since 1970. Two types, so that they cannot mix.

use std::ops::Add;

//----------- Tick -----------------------------------------------------------

/// A moment of a monotonic clock: milliseconds from any origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tick(pub u64);

impl Tick {
    /// Milliseconds from `earlier` to this moment; 0 if it is not earlier.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<u64> for Tick {
    type Output = Self;

    /// The moment that many milliseconds later.
    fn add(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

//----------- Now ------------------------------------------------------------

/// The present, on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic.
    pub tick: Tick,
    /// Wall clock, in seconds since 1970: expiration of messages, absolute TTLs, saved caches.
    pub secs: u32,
}
