//! The load generator: asks, checks every answer, and notes how long each took.
//!
//! One thread, pinned to a core of its own, without tasks and without allocation for a question, so
//! that the server is the limit and not the client. A load runs for a time ([`Load::run`]) and may
//! be run again; what is in flight in between stays in flight. The first run is the warm-up.

mod draw;
mod fleet;
mod stream;
mod udp;

use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;

pub use draw::{Draw, Law};
pub use fleet::Fleet;
pub use stream::{Stream, StreamShape};
pub use udp::Udp;

/// A question without an answer for so long is given up.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// Latencies are kept in nanoseconds with this many significant digits.
const LATENCY_DIGITS: u8 = 3;
/// Latencies above count as this.
const LATENCY_MAX_NS: u64 = 10_000_000_000;

/// Something that asks a server.
pub trait Load {
    /// Asks for `time`. Fails if the server cannot be reached at all.
    fn run(&mut self, time: Duration) -> Result<Tally>;

    /// Waits for what is still in flight and asks nothing more. What is wrong with it, or does not
    /// come, is added to the errors of `tally`: no loss hides behind the end of a run.
    fn settle(&mut self, tally: &mut Tally) -> Result<()>;
}

//----------- Tally ----------------------------------------------------------

/// What a run counted.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Right answers.
    pub answers: u64,
    /// Answers that were not those to the question.
    pub wrong: u64,
    /// Answers to questions that had been given up, or had never been asked.
    pub strays: u64,
    /// Questions that were given up.
    pub timeouts: u64,
    /// Connections that the server ended while an answer was awaited.
    pub broken: u64,
    /// How long it took.
    pub time: Duration,
    latencies: Histogram<u64>,
}

impl Tally {
    /// Nothing yet.
    pub fn new() -> Self {
        let latencies = Histogram::new_with_max(LATENCY_MAX_NS, LATENCY_DIGITS);
        Self {
            answers: 0,
            wrong: 0,
            strays: 0,
            timeouts: 0,
            broken: 0,
            time: Duration::ZERO,
            latencies: latencies.expect("the bounds are constant and valid"),
        }
    }

    /// Counts a right answer to what was asked then.
    pub fn right(&mut self, asked: Instant, now: Instant) {
        let took = now.saturating_duration_since(asked).as_nanos();
        self.answers += 1;
        self.latencies
            .saturating_record(u64::try_from(took).unwrap_or(LATENCY_MAX_NS));
    }

    /// Right answers per second.
    pub fn rate(&self) -> f64 {
        self.answers as f64 / self.time.as_secs_f64()
    }

    /// The latency that a part of the answers stayed within, in microseconds.
    pub fn latency_us(&self, part: f64) -> f64 {
        self.latencies.value_at_quantile(part) as f64 / 1e3
    }

    /// Counts what another client counted in the same time.
    fn merge(&mut self, other: &Self) {
        self.answers += other.answers;
        self.latencies += &other.latencies;
        self.time = self.time.max(other.time);
        self.add_errors(other);
    }

    /// Counts the errors of another run, and not its answers.
    fn add_errors(&mut self, other: &Self) {
        self.wrong += other.wrong;
        self.strays += other.strays;
        self.timeouts += other.timeouts;
        self.broken += other.broken;
    }

    /// The mean latency, in microseconds. Together with the rate it must give the questions in
    /// flight (Little's law); if it does not, the clock was read at the wrong moment.
    pub fn mean_us(&self) -> f64 {
        self.latencies.mean() / 1e3
    }

    /// Everything that went wrong.
    pub fn errors(&self) -> u64 {
        self.wrong + self.strays + self.timeouts + self.broken
    }
}
