//! Logging: where lines go, how they look, how many a peer can cause.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt};

use crate::config::{Level, LogConfig, LogFormat};
use crate::metrics::Metrics;

/// Most lines per second that peers can cause, all together. Enough to see what goes on, too few
/// to fill a disk: 10 lines of 200 octets are 170 MB a day.
pub const PEER_LINES_PER_SECOND: u64 = 10;

/// A state that was not noticed for so long has ended: if it comes back, it is told again.
pub(crate) const ALARM_QUIET_MS: u64 = 60_000;

//----------- Throttle -------------------------------------------------------

/// Keeps peers from filling the log.
#[derive(Debug)]
pub struct Throttle {
    second: AtomicU64,
    lines: AtomicU64,
}

impl Throttle {
    /// No line yet.
    pub fn new() -> Self {
        Self {
            second: AtomicU64::new(0),
            lines: AtomicU64::new(0),
        }
    }

    /// Whether one more line about a peer may be written at `now_ms`. If not, it is counted.
    ///
    /// Two threads in the same instant may let a few lines more through; that does no harm.
    pub fn allows(&self, metrics: &Metrics, now_ms: u64) -> bool {
        let second = now_ms / 1_000;
        if self.second.swap(second, Relaxed) != second {
            self.lines.store(0, Relaxed);
        }
        let allowed = self.lines.fetch_add(1, Relaxed) < PEER_LINES_PER_SECOND;
        if !allowed {
            metrics.line_suppressed();
        }
        allowed
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new()
    }
}

//----------- Alarm ----------------------------------------------------------

/// Tells of a state once: while it goes on it is not told again, however often it is noticed.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    /// When it was noticed last, in milliseconds, plus one; 0: never.
    noticed: AtomicU64,
}

impl Alarm {
    /// Notes that the state is there, and says whether it is news: it was not there for
    /// [`ALARM_QUIET_MS`].
    pub(crate) fn rings(&self, now_ms: u64) -> bool {
        match self.noticed.swap(now_ms + 1, Relaxed) {
            0 => true,
            last => now_ms + 1 >= last.saturating_add(ALARM_QUIET_MS),
        }
    }
}

//----------- Set-up ---------------------------------------------------------

/// Keeps to warnings what the store's engine says: its life is not the operator's business.
fn ours() -> Targets {
    Targets::new()
        .with_default(LevelFilter::TRACE)
        .with_targets(["fjall", "lsm_tree"].map(|engine| (engine, LevelFilter::WARN)))
}

static LEVEL: Mutex<Option<reload::Handle<LevelFilter, Registry>>> = Mutex::new(None);

/// Sends log lines to standard error, in the form and from the level that are set.
///
/// The first call of a process counts; later ones, as in tests, change the level only.
pub fn init(config: LogConfig) {
    let (filter, handle) = reload::Layer::new(filter(config.level));
    let registry = tracing_subscriber::registry().with(filter).with(ours());
    let done = match config.format {
        LogFormat::Text => {
            let layer = fmt::layer().with_writer(std::io::stderr).with_target(false);
            // Colours are for people; in a file they are in the way.
            let layer = layer.with_ansi(std::io::stderr().is_terminal());
            registry.with(layer).try_init()
        }
        LogFormat::Json => {
            let layer = fmt::layer().json().flatten_event(true);
            registry.with(layer.with_writer(std::io::stderr)).try_init()
        }
    };
    match done {
        Ok(()) => {
            if let Ok(mut level) = LEVEL.lock() {
                *level = Some(handle);
            }
        }
        Err(_) => set_level(config.level),
    }
}

/// Changes from which level on lines are written.
pub fn set_level(level: Level) {
    if let Ok(guard) = LEVEL.lock()
        && let Some(handle) = &*guard
        && let Err(error) = handle.modify(|current| *current = filter(level))
    {
        tracing::warn!(%error, "the log level could not be changed");
    }
}

fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_is_told_once_while_it_lasts_and_again_when_it_comes_back() {
        let alarm = Alarm::default();
        assert!(alarm.rings(0));
        let lasting = (1..100).filter(|n| alarm.rings(n * 50_000)).count();
        assert_eq!(lasting, 0);
        assert!(!alarm.rings(99 * 50_000 + ALARM_QUIET_MS - 1));
        assert!(alarm.rings(99 * 50_000 + 2 * ALARM_QUIET_MS));
    }

    #[test]
    fn lines_of_peers_are_limited_each_second_and_the_rest_is_counted() {
        let (throttle, metrics) = (Throttle::new(), Metrics::new(0));
        let written = |now_ms| {
            (0..100)
                .filter(|_| throttle.allows(&metrics, now_ms))
                .count()
        };
        assert_eq!(written(5_000), 10);
        assert_eq!(written(5_999), 0);
        assert_eq!(written(6_000), 10);
        let text = metrics.render(&crate::metrics::Snapshot::default());
        assert!(
            text.contains("guantong_log_lines_suppressed_total 280"),
            "{text}"
        );
    }
}
