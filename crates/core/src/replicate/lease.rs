//! The lease: a primary takes changes only as long as its standby cannot have been promoted.
//!
//! With each answer the primary gives a [`Token`], which says when by its own clock the answer was
//! made. The standby returns it with its next request. The lease runs from the moment in the token,
//! not from the moment at which the token came back, however long that took. The standby in turn
//! waits from the moment at which it last returned a token. That is later, so its wait ends after
//! the lease, if neither clock runs faster than the other by more than the margin:
//!
//! ```text
//! primary   token made ├──────── lease ────────┤
//! standby               token returned ├──────── lease + margin ────────┤ may take over
//! ```
//!
//! A token of an earlier run of the process is worth nothing, so after a restart no change is taken
//! until the standby has been in touch.

use guantong_proto::DecodeError;
use guantong_proto::wire::{Reader, Writer};

/// One part in so many by which the clocks of two nodes may drift apart while a lease runs.
const DRIFT_PART: u64 = 8;
/// What is waited in any case on top of the lease: rounding, and the time between the last look at
/// the lease and the word "done" to a client.
const MARGIN_MS: u64 = 500;

//----------- Instant --------------------------------------------------------

/// A moment by two clocks in milliseconds.
///
/// The first one never goes back, and counts while the machine sleeps. A virtual machine that is
/// halted from outside may miss that time; the clock on the wall is put right afterwards and tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Instant {
    /// Since the machine started.
    pub boot_ms: u64,
    /// Since 1970.
    pub wall_ms: u64,
}

//----------- Token ----------------------------------------------------------

/// When a primary made an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Which run of the primary's process made it; random.
    pub run: u64,
    /// When.
    pub at: Instant,
}

impl Token {
    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut number = |field| r.i64(field).map(i64::cast_unsigned);
        Ok(Self {
            run: number("run of a token")?,
            at: Instant {
                boot_ms: number("time of a token")?,
                wall_ms: number("date of a token")?,
            },
        })
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        for number in [self.run, self.at.boot_ms, self.at.wall_ms] {
            w.i64(number.cast_signed());
        }
    }
}

//----------- Lease ----------------------------------------------------------

/// The primary's side.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    span_ms: u64,
    run: u64,
    until: Option<Instant>,
}

impl Lease {
    /// A lease of `span_ms` that does not hold yet. `run` is random, another one for each process.
    pub fn new(span_ms: u64, run: u64) -> Self {
        let until = None;
        Self {
            span_ms,
            run,
            until,
        }
    }

    /// How long it runs.
    pub fn span_ms(&self) -> u64 {
        self.span_ms
    }

    /// Whether this run of the process has made the token.
    pub fn made(&self, token: &Token) -> bool {
        token.run == self.run
    }

    /// The token for an answer made now.
    pub fn token(&self, now: Instant) -> Token {
        let run = self.run;
        Token { run, at: now }
    }

    /// Begins when the standby is told of leases for the first time. It counts from the moment at
    /// which it hears of that, which is later.
    pub fn begin(&mut self, now: Instant) {
        self.renew(&self.token(now), now);
    }

    /// Takes a token back that the standby has returned.
    pub fn renew(&mut self, token: &Token, now: Instant) {
        // A token from the future is not one that we made.
        if !self.made(token) || token.at.boot_ms > now.boot_ms {
            return;
        }
        let until = Instant {
            boot_ms: token.at.boot_ms.saturating_add(self.span_ms),
            wall_ms: token.at.wall_ms.saturating_add(self.span_ms),
        };
        if self.until.is_none_or(|held| held.boot_ms < until.boot_ms) {
            self.until = Some(until);
        }
    }

    /// Whether changes may be taken now.
    pub fn holds(&self, now: Instant) -> bool {
        self.until
            .is_some_and(|until| now.boot_ms < until.boot_ms && now.wall_ms < until.wall_ms)
    }
}

//----------- Patience -------------------------------------------------------

/// The standby's side.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    span_ms: u64,
    returned_ms: u64,
}

impl Patience {
    /// A standby that starts now and was told of a lease of `span_ms` before, 0 if of none. When it
    /// last returned a token is not known, so it counts from now.
    pub fn new(span_ms: u64, now_boot_ms: u64) -> Self {
        Self {
            span_ms,
            returned_ms: now_boot_ms,
        }
    }

    /// The primary says how long its leases run; 0 if it gives us none. A lease that is new to us
    /// has begun before we heard of it.
    pub fn told(&mut self, span_ms: u64, now_boot_ms: u64) {
        if span_ms != self.span_ms {
            self.span_ms = span_ms;
            self.returning(now_boot_ms);
        }
    }

    /// A token is being returned.
    pub fn returning(&mut self, now_boot_ms: u64) {
        self.returned_ms = self.returned_ms.max(now_boot_ms);
    }

    /// How long the leases of the primary run; 0 if it gives us none.
    pub fn span_ms(&self) -> u64 {
        self.span_ms
    }

    /// When the primary has certainly stopped to take changes; `None` if it gives us no lease.
    pub fn over_at_ms(&self) -> Option<u64> {
        let margin = self.span_ms / DRIFT_PART + MARGIN_MS;
        (self.span_ms > 0).then(|| self.returned_ms + self.span_ms + margin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: u64 = 10_000;

    fn at(ms: u64) -> Instant {
        Instant {
            boot_ms: ms,
            wall_ms: 1_000_000 + ms,
        }
    }

    #[test]
    fn lease_runs_from_the_making_of_the_token_and_not_from_its_return() {
        let mut lease = Lease::new(SPAN, 7);
        assert!(!lease.holds(at(0)), "nobody has been in touch");
        let token = lease.token(at(100));
        lease.renew(&token, at(9_000));
        assert!(lease.holds(at(10_099)));
        assert!(!lease.holds(at(10_100)));
        lease.renew(&token, at(60_000));
        assert!(!lease.holds(at(60_000)), "it came an eternity late");
    }

    #[test]
    fn token_of_another_run_or_of_the_future_renews_nothing() {
        let mut lease = Lease::new(SPAN, 7);
        let before = Lease::new(SPAN, 6).token(at(5));
        lease.renew(&before, at(10));
        assert!(!lease.holds(at(10)));
        lease.renew(&lease.token(at(50)), at(10));
        assert!(!lease.holds(at(10)));
    }

    #[test]
    fn older_token_does_not_shorten_the_lease() {
        let mut lease = Lease::new(SPAN, 7);
        let (old, new) = (lease.token(at(0)), lease.token(at(500)));
        lease.renew(&new, at(600));
        lease.renew(&old, at(601));
        assert!(lease.holds(at(10_400)));
    }

    #[test]
    fn clock_on_the_wall_that_jumped_ahead_ends_the_lease() {
        let mut lease = Lease::new(SPAN, 7);
        lease.renew(&lease.token(at(0)), at(1));
        let halted = Instant {
            boot_ms: 2,
            wall_ms: at(SPAN).wall_ms,
        };
        assert!(!lease.holds(halted));
    }

    #[test]
    fn standby_that_hears_of_leases_for_the_first_time_waits_for_the_first_one() {
        let mut lease = Lease::new(SPAN, 7);
        let mut patience = Patience::new(0, 0);
        lease.begin(at(100_000));
        patience.told(SPAN, 100_005);
        assert!(!lease.holds(at(patience.over_at_ms().unwrap())));
        assert!(lease.holds(at(109_999)));
    }

    #[test]
    fn standby_waits_longer_than_the_lease_whatever_the_delays_and_the_drift() {
        // Delays of the token on its way there and back, and the standby's clock in percent of the
        // primary's.
        for (there, back, percent) in [(0, 0, 100), (50, 9_000, 100), (3, 90_000, 110), (0, 0, 90)]
        {
            let mut lease = Lease::new(SPAN, 1);
            let standby_clock = |ms: u64| ms * percent / 100;
            let token = lease.token(at(1_000));
            let mut patience = Patience::new(0, 0);
            patience.told(SPAN, 0);
            patience.returning(standby_clock(1_000 + there));
            lease.renew(&token, at(1_000 + there + back));
            let over = patience.over_at_ms().unwrap();
            let first_moment = (0..200_000).find(|&ms| standby_clock(ms) >= over).unwrap();
            assert!(!lease.holds(at(first_moment)), "{there} {back} {percent}");
        }
        assert_eq!(Patience::new(0, 5).over_at_ms(), None);
    }
}
