//! Rows become records, some hundred by one durable write.
//!
//! The rows of a group are checked one by one and written together, those that refer to each other
//! included (`waves`). What is refused by itself is left out of the group.

use std::collections::HashMap;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use guantong_api::v2::Mode;
use guantong_api::v2::jobs::{JobFault, JobState};
use guantong_core::template::{NoRow, Row, Template, template_of};
use guantong_proto::Value;
use tokio::sync::mpsc;

use super::super::super::asked::Asked;
use super::super::bulk;
use super::super::problem::Problem;
use super::super::registration::Writing;
use super::super::sender::{Sender, Terms};
use super::super::sought;
use super::super::waves::{Making, Standing};
use super::desk::{Group, Job};
use crate::node::Node;

/// Rows of a group: one sync of the disk serves them all, and one cancel waits for as many.
const GROUP_ROWS: usize = 256;
/// Groups that are read ahead.
const GROUPS_AHEAD: usize = 2;
/// Most rows of a job; the file of handles that were made has a line for each.
const ROWS_MAX: u64 = 10_000_000;

/// The status of what may be tried again.
const BUSY: u16 = 503;
/// How often a group is tried while the node takes no changes, and how long between: a standby
/// that begins anew is waited for, a node that is one is not.
const TRIES_MAX: usize = 30;
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

/// A row and its number, counted from 1.
type Numbered = (u64, Result<Row, NoRow>);

/// What there is to read: a group, or why there is no more.
type Piece = Result<Vec<Numbered>, String>;

/// Whether a job has been under way before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    New,
    Again,
}

/// How a job came to stand still.
enum End {
    /// All rows are done with, or somebody has cancelled it.
    Done,
    /// What was sent cannot be read on.
    Failed(String),
    /// The node takes no changes now.
    Refused(String),
}

/// Has a job carried out in the background.
pub(super) fn start(
    node: Arc<Node>,
    asked: Asked,
    sender: Sender,
    job: Arc<Job>,
    template: Template,
    begin: Begin,
) {
    tokio::spawn(async move {
        // The semaphore is never closed; if it were, there would be one bound less.
        let _place = node.v2.jobs.places.acquire().await;
        let form = job.form();
        let terms = Terms {
            condition: None,
            is_rehearsal: form.dry_run,
        };
        let writing = Writing::new(&node, &asked, &sender, terms);
        let making = Making {
            writing,
            mode: form.mode,
        };
        let work = Work {
            making,
            template: &template,
            job: &job,
        };
        let end = work.run(begin).await.unwrap_or_else(|error| {
            let id = &form.id;
            tracing::error!(job = %id, %error, "the folder of jobs could not be used");
            End::Refused("the folder of jobs could not be used; the log says why".to_owned())
        });
        let (state, detail) = match end {
            End::Done if job.is_cancelled() => (JobState::Cancelled, None),
            End::Done => (JobState::Done, None),
            End::Failed(why) => (JobState::Failed, Some(why)),
            End::Refused(why) => {
                tracing::warn!(job = form.id, why, "a job was interrupted");
                if let Err(error) = job.interrupt(why) {
                    tracing::error!(job = form.id, %error, "the state of a job was not written");
                }
                return;
            }
        };
        tracing::info!(job = form.id, ?state, detail, "a job has come to its end");
        node.v2.jobs.end(&job, state, detail, node.now_ms());
    });
}

struct Work<'a> {
    making: Making<'a>,
    template: &'a Template,
    job: &'a Arc<Job>,
}

impl Work<'_> {
    async fn run(&self, begin: Begin) -> io::Result<End> {
        self.job.begin()?;
        let done = self.job.form().rows;
        let mut handles = self.job.handles(done)?;
        let mut pieces = self.read_from(done);
        // Rows of the first group may have been written by a node that was killed.
        let mut is_doubtful = begin == Begin::Again;
        while let Some(piece) = pieces.recv().await {
            let rows = match piece {
                Ok(rows) => rows,
                Err(why) => return Ok(End::Failed(why)),
            };
            let mut tries = 0;
            let group = loop {
                if self.job.is_cancelled() {
                    return Ok(End::Done);
                }
                let group = self.group(&rows, &mut handles, is_doubtful).await?;
                let busy = group.faults.iter().find(|fault| fault.status == BUSY);
                let Some(busy) = busy else { break group };
                tries += 1;
                if tries == TRIES_MAX {
                    return Ok(End::Refused(busy.detail.clone()));
                }
                tokio::time::sleep(BETWEEN_TRIES).await;
                is_doubtful = true;
            };
            self.job.note(&group)?;
            for (number, _) in &rows {
                handles.remove(number);
            }
            is_doubtful = false;
        }
        Ok(End::Done)
    }

    /// Groups of rows behind those that are done, read by a thread of its own.
    fn read_from(&self, done: u64) -> mpsc::Receiver<Piece> {
        let (tell, told) = mpsc::channel(GROUPS_AHEAD);
        let (job, template) = (self.job.clone(), self.template.clone());
        tokio::task::spawn_blocking(move || {
            let end = read(&job, &template, done, &tell);
            if let Err(why) = end {
                // Nobody listens any more if the job was cancelled.
                let _ = tell.blocking_send(Err(why));
            }
        });
        told
    }

    /// Has a group of rows written. `handles` are those that were made for rows, and get more.
    async fn group(
        &self,
        rows: &[Numbered],
        handles: &mut HashMap<u64, String>,
        is_doubtful: bool,
    ) -> io::Result<Group> {
        let mut group = Group::default();
        let (mut made, mut standing) = (Vec::new(), Vec::new());
        for (number, row) in rows.iter().cloned() {
            let named = handles.get(&number).cloned();
            let is_made = named.is_none() && row.as_ref().is_ok_and(|row| row.handle.is_none());
            let said = row.as_ref().ok().and_then(|row| row.handle.clone());
            let row = match row {
                Ok(row) => {
                    let (making, named) = (&self.making, named.as_deref());
                    making.standing(number, self.template, row, named).await
                }
                Err(none) => Err(bulk::refuse(none.to_string())),
            };
            match row {
                Ok(row) => {
                    if is_made {
                        made.push((number, row.ready.wish.handle.to_string()));
                    }
                    standing.push(row);
                }
                Err(problem) => group.faults.push(self.fault(number, said, problem)),
            }
        }
        if is_doubtful && self.making.mode == Mode::Create {
            let (done, rest) = standing
                .into_iter()
                .partition::<Vec<_>, _>(|row| self.is_there(row));
            group.done += done.len() as u64;
            standing = rest;
        }
        if self.making.mode == Mode::Create && !self.making.writing.terms.is_rehearsal {
            self.job.note_handles(&made)?;
            handles.extend(made);
        }
        for ended in self.making.write(standing).await {
            match ended.result {
                Ok(unchecked) => {
                    group.done += 1;
                    group.unchecked += u64::from(!unchecked.is_empty());
                }
                Err(problem) => {
                    let handle = Some(ended.handle.to_string());
                    group.faults.push(self.fault(ended.number, handle, problem));
                }
            }
        }
        group.faults.sort_by_key(|fault| fault.row);
        Ok(group)
    }

    /// Whether the record of a row is there as this row makes it.
    fn is_there(&self, row: &Standing<'_>) -> bool {
        let Ok(Some(record)) = sought::record(self.making.writing.node, &row.ready.wish.handle)
        else {
            return false;
        };
        let by = template_of(record.values());
        if by.as_ref().map(|by| by.as_str()) != Some(self.template.handle().as_str()) {
            return false;
        }
        let Ok(stored) = record.values().to_vec() else {
            return false;
        };
        let same = |new: &Value| {
            let mut stored = stored.iter();
            stored.any(|old| (old.index, &old.data) == (new.index, &new.data))
        };
        row.ready.said().iter().all(same)
    }

    fn fault(&self, row: u64, handle: Option<String>, problem: Problem) -> JobFault {
        let status = problem.status(self.making.writing.asked);
        let (detail, errors) = problem.into_parts();
        JobFault {
            row,
            handle,
            status,
            detail,
            errors,
        }
    }
}

fn read(
    job: &Job,
    template: &Template,
    done: u64,
    tell: &mpsc::Sender<Piece>,
) -> Result<(), String> {
    let body = job
        .body()
        .map_err(|error| format!("the folder of jobs: {error}"))?;
    let (mut number, mut group) = (0, Vec::with_capacity(GROUP_ROWS));
    let end = job.format().read(body, template, |row| {
        number += 1;
        if number <= done {
            return ControlFlow::Continue(());
        }
        group.push((number, row));
        if number == ROWS_MAX {
            return ControlFlow::Break(());
        }
        if group.len() < GROUP_ROWS {
            return ControlFlow::Continue(());
        }
        let full = std::mem::replace(&mut group, Vec::with_capacity(GROUP_ROWS));
        match tell.blocking_send(Ok(full)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    });
    if !group.is_empty() {
        // Nobody listens any more if the job was cancelled.
        let _ = tell.blocking_send(Ok(group));
    }
    match number {
        ROWS_MAX => Err(format!(
            "there are more than {ROWS_MAX} rows: send the rest by itself"
        )),
        number => end.map_err(|why| format!("behind row {number}: {why}")),
    }
}
