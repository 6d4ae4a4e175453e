//! Import: JSON Lines in, records durable, the fate of each line noted.

use std::collections::VecDeque;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use guantong_api::control::{Ask, Mode, OnConflict, Outcome, Reply, Status};
use guantong_proto::{CaseRule, Handle};

use super::TransferError;
use super::lines::{Lines, Mark};
use super::parse::{Broken, Input, LINE_LEN_MAX, ParsedBatch, ParsedLine, parse_all};
use super::replay::Replay;
use super::results::{Results, Tally};
use super::sort::Sorted;
use super::state::State;
use crate::control::{BATCH_RECORDS_MAX, BATCHES_AHEAD_MAX, Control, Fault, Importer};

/// Batches that are parsed and wait: one is taken while the next is made.
const PARSED_BATCHES_MAX: usize = 2;
/// Lines after which the state is saved, so that a resumed import has little to look up.
const SAVE_LINES: usize = 65_536;
/// Time after which the state is saved.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);
/// Most lines that can have been written behind a saved state.
const UNSAVED_LINES_MAX: usize = SAVE_LINES + (BATCHES_AHEAD_MAX + 2) * BATCH_RECORDS_MAX;

//----------- ImportJob ------------------------------------------------------

/// What to import, and how.
#[derive(Debug)]
pub struct ImportJob<R> {
    /// The lines.
    pub input: R,
    /// What to do with records that are there already.
    pub on_conflict: OnConflict,
    /// Whether to do it or only to say what would happen.
    pub mode: Mode,
    /// Whether to stop at the first line that is refused. A broken line stops the import exactly
    /// there; if a record is refused because another is there, the rest of its batch and the
    /// batches under way are still imported.
    pub stop_on_error: bool,
    /// Where to note the fate of each line.
    pub results: Option<PathBuf>,
    /// Where to keep the state; `None`: the import cannot be resumed.
    pub state: Option<PathBuf>,
    /// Whether to continue from the state, if there is one.
    pub resume: bool,
    /// Where to keep what does not fit into memory while lines are sorted by name; `None`: they are
    /// imported in the order in which they come. What is sorted cannot be resumed.
    pub sort_in: Option<PathBuf>,
}

/// What an import tells while it runs.
#[derive(Debug)]
#[non_exhaustive]
pub enum Happening<'a> {
    /// It continues behind this place of the input.
    Resumed(&'a Mark),
    /// All lines have been read and sorted by name; now they are imported.
    Sorted {
        /// How many there are, blank ones included.
        lines: u64,
    },
    /// A line was refused.
    Refused {
        /// Its number, from 1.
        line: u64,
        /// Column of the fault, from 1, if the text is not JSON.
        column: Option<usize>,
        /// The handle, if it is known.
        handle: Option<&'a str>,
        /// What was expected and what was found.
        reason: &'a str,
    },
    /// Everything up to this place of the input is durable and noted.
    Done {
        /// The place.
        octets: u64,
        /// How many lines came to what.
        tally: &'a Tally,
    },
}

/// Imports all lines; returns how many came to what.
///
/// When it ends early, the state file says where; when it ends at the end of the input, the state
/// file is removed.
pub fn import<R: BufRead + Send>(
    control: &mut dyn Control,
    job: ImportJob<R>,
    tell: &mut dyn FnMut(Happening<'_>),
) -> Result<Tally, TransferError> {
    if job.sort_in.is_some() && (job.resume || job.state.is_some()) {
        return Err(TransferError::SortedState);
    }
    // Only then is the change log complete that a resumed import looks into.
    control.ask(Ask::BeginImport, &mut |_| Ok(()))?;
    let Reply::Status(status) = control.ask(Ask::Status, &mut |_| Ok(()))? else {
        return Err(Fault::Strange.into());
    };
    let mut lines = Lines::new(job.input, LINE_LEN_MAX);
    let rule = case_rule(&status);
    let state_file = job.state.filter(|_| job.mode == Mode::Apply);
    let resumed = match &state_file {
        Some(path) if job.resume => State::load(path)?,
        _ => None,
    };
    let mut replay = None;
    if let Some(state) = &resumed {
        if !lines.skip_to(&state.mark).map_err(TransferError::Input)? {
            let lines = state.mark.lines;
            return Err(TransferError::InputChanged { lines });
        }
        let last_change = state.last_change;
        replay = Some(Replay::load(control, rule, last_change, UNSAVED_LINES_MAX)?);
        tell(Happening::Resumed(&state.mark));
    }
    let mut input = in_order(lines, rule, job.sort_in.as_deref(), tell)?;
    let state = resumed.unwrap_or_else(|| State::new(job.on_conflict, status.last_change));
    let results = job.results.as_deref();
    let mut run = Run {
        results: results
            .map(|path| Results::open(path, state.results_octets))
            .transpose()?,
        noted: Noted {
            saved: Instant::now(),
            unsaved: 0,
            state,
            file: state_file,
        },
        replay,
        on_conflict: job.on_conflict,
        stop_on_error: job.stop_on_error,
        under_way: VecDeque::new(),
        tell,
    };
    // The first state stands before the first batch: from then on, no write is unaccounted for.
    run.noted.save(run.results.as_mut())?;
    thread::scope(|scope| {
        let (sender, batches) = mpsc::sync_channel(PARSED_BATCHES_MAX);
        scope.spawn(move || parse_all(&mut input, job.stop_on_error, &sender));
        let mut importer = control.import(job.on_conflict, job.mode);
        let ran = run.take_all(&mut *importer, &batches);
        // The parser ends when nobody takes its batches.
        drop(batches);
        let saved = run.noted.save(run.results.as_mut());
        ran.and_then(|end| saved.map(|()| end))
    })
    .and_then(|end| match end {
        End::OfInput => run.noted.finish(),
        End::Stopped => Ok(run.noted.state.tally),
    })
}

fn case_rule(status: &Status) -> CaseRule {
    match status.case_sensitive {
        true => CaseRule::Sensitive,
        false => CaseRule::Insensitive,
    }
}

/// The lines as they come, or sorted by name with the help of files in the folder `sort_in`.
fn in_order<R: BufRead>(
    mut lines: Lines<R>,
    rule: CaseRule,
    sort_in: Option<&Path>,
    tell: &mut dyn FnMut(Happening<'_>),
) -> Result<Input<R>, TransferError> {
    let Some(folder) = sort_in else {
        return Ok(Input::AsTheyCome(lines));
    };
    let sorted = Sorted::read(&mut lines, rule, folder);
    let sorted = sorted.map_err(|cause| TransferError::Sort {
        folder: folder.to_owned(),
        cause,
    })?;
    let lines = lines.mark().lines;
    tell(Happening::Sorted { lines });
    Ok(Input::Sorted(sorted))
}

/// How an import ended.
enum End {
    OfInput,
    Stopped,
}

//----------- Run ------------------------------------------------------------

/// The writing side of an import.
struct Run<'a> {
    results: Option<Results>,
    noted: Noted,
    replay: Option<Replay>,
    on_conflict: OnConflict,
    stop_on_error: bool,
    under_way: VecDeque<UnderWay>,
    tell: &'a mut dyn FnMut(Happening<'_>),
}

/// A batch whose outcomes are awaited.
struct UnderWay {
    lines: Vec<Note>,
    end: Mark,
    /// Number of the last change that had been made already.
    replayed: Option<u64>,
}

/// What is remembered of a line until its outcome is known.
struct Note {
    number: u64,
    column: Option<usize>,
    handle: Option<Handle>,
    /// The outcome, if it was clear without asking.
    outcome: Option<Outcome>,
}

impl Run<'_> {
    fn take_all(
        &mut self,
        importer: &mut dyn Importer,
        batches: &mpsc::Receiver<std::io::Result<ParsedBatch>>,
    ) -> Result<End, TransferError> {
        let mut is_stopping = false;
        for batch in batches {
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => {
                    self.settle(importer, 0)?;
                    return Err(TransferError::Input(error));
                }
            };
            is_stopping |= self.settle(importer, BATCHES_AHEAD_MAX - 1)?;
            if is_stopping {
                break;
            }
            let stop = batch.stop;
            self.submit(importer, batch.lines, batch.end)?;
            if let Some(line) = stop {
                self.settle(importer, 0)?;
                self.refuse_and_stop(line)?;
                return Ok(End::Stopped);
            }
        }
        is_stopping |= self.settle(importer, 0)?;
        match is_stopping {
            true => Ok(End::Stopped),
            false => Ok(End::OfInput),
        }
    }

    fn submit(
        &mut self,
        importer: &mut dyn Importer,
        lines: Vec<ParsedLine>,
        end: Mark,
    ) -> Result<(), TransferError> {
        let mut items = Vec::with_capacity(lines.len());
        let mut notes = Vec::with_capacity(lines.len());
        let mut replayed = None;
        for line in lines {
            let mut note = Note {
                number: line.number,
                column: None,
                handle: None,
                outcome: None,
            };
            match line.record {
                Err(broken) => {
                    note.column = broken.column;
                    note.handle = broken.handle;
                    note.outcome = Some(Outcome::Refused(broken.reason));
                }
                Ok(record) => {
                    note.handle = Some(record.handle().clone());
                    let replay = self.replay.as_mut();
                    match replay.and_then(|r| r.outcome(&record, self.on_conflict)) {
                        None => items.push(Ok(record)),
                        Some((outcome, number)) => {
                            note.outcome = Some(outcome);
                            replayed = replayed.max(number);
                        }
                    }
                }
            }
            notes.push(note);
        }
        importer.submit(items)?;
        self.under_way.push_back(UnderWay {
            lines: notes,
            end,
            replayed,
        });
        Ok(())
    }

    /// Notes outcomes until `left` batches are under way; tells whether the import is to stop.
    fn settle(&mut self, importer: &mut dyn Importer, left: usize) -> Result<bool, TransferError> {
        let refused = self.noted.state.tally.refused;
        while importer.under_way() > left {
            let (Some(imported), Some(batch)) = (importer.outcomes()?, self.under_way.pop_front())
            else {
                break;
            };
            let mut outcomes = imported.outcomes.into_iter();
            for note in batch.lines {
                let outcome = note.outcome.clone().or_else(|| outcomes.next());
                // An importer that says less than it was given has not imported the rest.
                let outcome = outcome.unwrap_or_else(|| {
                    Outcome::Refused("the node did not say what became of it".into())
                });
                self.note(&note, &outcome)?;
            }
            self.noted
                .pass(batch.end, imported.last_change.max(batch.replayed));
            (self.tell)(Happening::Done {
                octets: self.noted.state.mark.octets,
                tally: &self.noted.state.tally,
            });
            self.noted.save_if_due(self.results.as_mut())?;
        }
        Ok(self.stop_on_error && self.noted.state.tally.refused > refused)
    }

    fn note(&mut self, note: &Note, outcome: &Outcome) -> Result<(), TransferError> {
        let (line, column) = (note.number, note.column);
        let handle = note.handle.as_ref().map(Handle::as_str);
        self.noted.state.tally.count(outcome);
        self.noted.unsaved += 1;
        if let Outcome::Refused(reason) = outcome {
            (self.tell)(Happening::Refused {
                line,
                column,
                handle,
                reason,
            });
        }
        match &mut self.results {
            Some(results) => results.write(line, column, handle, outcome),
            None => Ok(()),
        }
    }

    /// Notes the broken line that stops the import. The saved place is in front of it, so that the
    /// line can be mended and the import resumed.
    fn refuse_and_stop(&mut self, line: ParsedLine) -> Result<(), TransferError> {
        self.noted.save(self.results.as_mut())?;
        let Err(Broken {
            column,
            handle,
            reason,
        }) = line.record
        else {
            return Ok(());
        };
        let note = Note {
            number: line.number,
            column,
            handle,
            outcome: None,
        };
        // From here on nothing is to be saved.
        self.noted.file = None;
        self.note(&note, &Outcome::Refused(reason))
    }
}

//----------- Noted ----------------------------------------------------------

/// The state, and when it was saved.
struct Noted {
    state: State,
    file: Option<PathBuf>,
    saved: Instant,
    unsaved: usize,
}

impl Noted {
    /// Everything up to `mark` is durable in the store.
    fn pass(&mut self, mark: Mark, last_change: Option<u64>) {
        self.state.mark = mark;
        self.state.last_change = self.state.last_change.max(last_change.unwrap_or(0));
    }

    fn save_if_due(&mut self, results: Option<&mut Results>) -> Result<(), TransferError> {
        match self.unsaved >= SAVE_LINES || self.saved.elapsed() >= SAVE_INTERVAL {
            true => self.save(results),
            false => Ok(()),
        }
    }

    /// The result file first: the state must not claim what is not in it.
    fn save(&mut self, results: Option<&mut Results>) -> Result<(), TransferError> {
        if let Some(results) = results {
            self.state.results_octets = results.sync()?;
        }
        if let Some(file) = &self.file {
            self.state.save(file)?;
        }
        self.saved = Instant::now();
        self.unsaved = 0;
        Ok(())
    }

    /// The input is at its end: there is nothing to resume.
    fn finish(self) -> Result<Tally, TransferError> {
        if let Some(file) = &self.file {
            std::fs::remove_file(file).map_err(TransferError::file(file))?;
        }
        Ok(self.state.tally)
    }
}
