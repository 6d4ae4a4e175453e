//! Stopping: everybody is told once, those at work finish, the wait is bounded.
//!
//! [`Stopper`] tells, [`Stop`] hears. A task that must be waited for holds a [`Stop`]; when the
//! last one is dropped, [`Stopper::drained`] returns.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

/// Tells tasks to stop, and waits for them.
#[derive(Debug)]
pub struct Stopper {
    tell: watch::Sender<bool>,
    /// Held by every [`Stop`]; nothing is ever sent.
    alive: mpsc::Sender<()>,
    gone: mpsc::Receiver<()>,
}

/// Hears when it is time to stop. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Stop {
    told: watch::Receiver<bool>,
    _alive: mpsc::Sender<()>,
}

impl Stopper {
    /// Nobody told yet.
    pub fn new() -> Self {
        let (alive, gone) = mpsc::channel(1);
        Self {
            tell: watch::Sender::new(false),
            alive,
            gone,
        }
    }

    /// For a task that is to be told and waited for.
    pub fn stop(&self) -> Stop {
        Stop {
            told: self.tell.subscribe(),
            _alive: self.alive.clone(),
        }
    }

    /// Tells all tasks. Telling twice does nothing.
    pub fn tell(&self) {
        self.tell.send_replace(true);
    }

    /// Waits until all tasks are gone, at most `bound`. Says whether they are.
    pub async fn drained(self, bound: Duration) -> bool {
        let Self {
            alive, mut gone, ..
        } = self;
        drop(alive);
        tokio::time::timeout(bound, gone.recv()).await.is_ok()
    }
}

impl Default for Stopper {
    fn default() -> Self {
        Self::new()
    }
}

impl Stop {
    /// Whether it is time to stop.
    pub fn is_told(&self) -> bool {
        *self.told.borrow()
    }

    /// Returns when it is time to stop.
    pub async fn told(&self) {
        let mut told = self.told.clone();
        // An error means that the stopper is gone, which is a reason to stop as well.
        let _ = told.wait_for(|told| *told).await;
    }
}

//----------- Signals --------------------------------------------------------

/// What the operator asks a running node by signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// SIGTERM or SIGINT: stop.
    Stop,
    /// SIGHUP: read the configuration again.
    Reload,
}

/// The signals of a process.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Takes the signals over from their default actions.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.hangup.recv() => Asked::Reload,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn drained_returns_when_the_last_task_is_gone() {
        let stopper = Stopper::new();
        let stop = stopper.stop();
        let other = stop.clone();
        let task = tokio::spawn(async move { other.told().await });
        assert!(!stop.is_told());
        stopper.tell();
        stop.told().await;
        task.await.unwrap();
        drop(stop);
        assert!(stopper.drained(Duration::from_secs(60)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn wait_for_a_task_that_hangs_is_bounded() {
        let stopper = Stopper::new();
        let _hangs = stopper.stop();
        stopper.tell();
        assert!(!stopper.drained(Duration::from_secs(5)).await);
    }
}
