//! How long jobs tell how far they are.

use std::ops::ControlFlow;

/// Entries between two reports.
const REPORT_EVERY: u64 = 4096;

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being worked on.
    pub stage: &'static str,
    /// Entries done.
    pub done: u64,
    /// Entries that there are, as far as is known.
    pub total: u64,
}

/// Is told how far a job is, now and then, and may ask it to stop.
pub type Report<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// Counts entries and reports now and then.
pub(crate) struct Meter<'a> {
    report: Report<'a>,
    progress: Progress,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(report: Report<'a>, total: u64) -> Self {
        Self {
            report,
            progress: Progress {
                stage: "",
                done: 0,
                total,
            },
        }
    }

    pub(crate) fn stage(&mut self, stage: &'static str) -> ControlFlow<()> {
        self.progress.stage = stage;
        (self.report)(self.progress)
    }

    /// Counts one entry.
    pub(crate) fn step(&mut self) -> ControlFlow<()> {
        self.progress.done += 1;
        match self.progress.done.is_multiple_of(REPORT_EVERY) {
            true => (self.report)(self.progress),
            false => ControlFlow::Continue(()),
        }
    }
}
