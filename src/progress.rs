//! Progress of long jobs: a bar on a terminal, plain lines every few seconds elsewhere.

use std::fmt;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use guantong_api::control::Body;
use guantong_server::control::Gone;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use crate::output::note;

/// Time between two plain lines.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// Time between two states of the bar.
const DRAW_INTERVAL: Duration = Duration::from_millis(100);

//----------- Meter ----------------------------------------------------------

/// Shows how far a job is, on standard error.
pub(crate) struct Meter {
    what: &'static str,
    started: Instant,
    shown: Instant,
    bar: Option<ProgressBar>,
}

impl Meter {
    /// A job that is about `what`, such as `records`; `total` units of any kind, 0 if unknown.
    pub(crate) fn new(what: &'static str, total: u64) -> Self {
        let started = Instant::now();
        Self {
            what,
            started,
            shown: started,
            bar: std::io::stderr().is_terminal().then(|| new_bar(total)),
        }
    }

    /// `done` of `total` units are done, which are `count` of what the job is about.
    pub(crate) fn set(&mut self, done: u64, total: u64, count: u64) {
        let interval = match &self.bar {
            Some(_) => DRAW_INTERVAL,
            None => LINE_INTERVAL,
        };
        if self.shown.elapsed() < interval {
            return;
        }
        self.shown = Instant::now();
        let rate = self.rate(count);
        match &self.bar {
            Some(bar) => {
                bar.set_length(total.max(done));
                bar.set_position(done);
                bar.set_message(format!("{} {}, {rate}", HumanCount(count), self.what));
            }
            None if total > 0 => note(format_args!(
                "{} {}, {rate}, {} %, about {} s left",
                HumanCount(count),
                self.what,
                done.saturating_mul(100) / total,
                self.seconds_left(done, total),
            )),
            None => note(format_args!("{} {}, {rate}", HumanCount(count), self.what)),
        }
    }

    /// Says something without breaking the bar.
    pub(crate) fn say(&self, text: impl fmt::Display) {
        match &self.bar {
            Some(bar) => bar.suspend(|| note(text)),
            None => note(text),
        }
    }

    /// Takes `body` if it tells the progress of a job whose units are what the job is about.
    pub(crate) fn listen(&mut self, body: Body) -> Result<(), Gone> {
        if let Body::Progress(progress) = body {
            self.set(progress.done, progress.total, progress.done);
        }
        Ok(())
    }

    /// Removes the bar; returns the rate over the whole time.
    pub(crate) fn finish(self, count: u64) -> String {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        format!(
            "{:.1} s, {}",
            self.started.elapsed().as_secs_f64(),
            self.rate(count)
        )
    }

    fn rate(&self, count: u64) -> String {
        let seconds = self.started.elapsed().as_secs_f64().max(0.001);
        // Rates are shown in whole units.
        format!("{}/s", HumanCount((count as f64 / seconds) as u64))
    }

    fn seconds_left(&self, done: u64, total: u64) -> u64 {
        let left = total.saturating_sub(done) as f64 / done.max(1) as f64;
        (self.started.elapsed().as_secs_f64() * left) as u64
    }
}

fn new_bar(total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total);
    let template = match total {
        0 => "{spinner} {elapsed} {msg}",
        _ => "{elapsed} [{bar:30}] {percent} % {msg}, {eta} left",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
