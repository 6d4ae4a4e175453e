//! Rows become records, some hundred by one durable write.
//!
//! The rows of a group are decided one by one and written together. What is refused by itself is
//! left out of the group; what other records have against a row is asked again behind the group,
//! as the row may refer to one of the same group, or want a value that one of them has.

use std::collections::{HashMap, HashSet};
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use guantong_api::v2::Mode;
use guantong_api::v2::jobs::{JobFault, JobState};
use guantong_core::template::{Template, template_of};
use guantong_proto::Value;
use tokio::sync::mpsc;

use super::super::super::asked::Asked;
use super::super::super::change::{Reply, via};
use super::super::problem::Problem;
use super::super::registration::{Ready, Writing};
use super::super::sender::{Sender, Terms};
use super::super::sought;
use super::desk::{Group, Job};
use super::rows::Read1;
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
type Numbered = (u64, Read1);

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
        let work = Work {
            writing,
            template,
            job: &job,
            mode: form.mode,
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
    writing: Writing<'a>,
    template: Template,
    job: &'a Arc<Job>,
    mode: Mode,
}

/// A row that is right by itself.
struct Standing {
    number: u64,
    row: Read1,
    ready: Ready,
    /// Whether it has references that could not be checked.
    is_unchecked: bool,
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
            match self.ready(row.clone(), named).await {
                Ok(ready) => {
                    if is_made {
                        made.push((number, ready.handle.to_string()));
                    }
                    let is_unchecked = false;
                    standing.push(Standing {
                        number,
                        row,
                        ready,
                        is_unchecked,
                    });
                }
                Err(problem) => group.faults.push(self.fault(number, said, problem)),
            }
        }
        if is_doubtful && self.mode == Mode::Create {
            let (done, rest) = standing
                .into_iter()
                .partition::<Vec<_>, _>(|row| self.is_there(row));
            group.done += done.len() as u64;
            standing = rest;
        }
        if self.mode == Mode::Create && !self.writing.terms.is_rehearsal {
            self.job.note_handles(&made)?;
            handles.extend(made);
        }
        self.write(standing, &mut group).await;
        group.faults.sort_by_key(|fault| fault.row);
        Ok(group)
    }

    async fn ready(&self, row: Read1, named: Option<String>) -> Result<Ready, Problem> {
        let row = row?;
        let named = named.or(row.handle);
        if self.mode == Mode::Create {
            let creation = self
                .writing
                .creation(&self.template, named.as_deref(), &row.fields);
            return creation.await;
        }
        let handle = super::super::bulk::named(named.as_deref())?;
        self.writing
            .alteration(&handle, &row.fields, self.mode)
            .await
    }

    /// Whether the record of a row is there as this row makes it.
    fn is_there(&self, row: &Standing) -> bool {
        let Ok(Some(record)) = sought::record(self.writing.node, &row.ready.handle) else {
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
        row.ready.values.iter().all(same)
    }

    /// Writes rows together, and behind them those that depend on others.
    async fn write(&self, rows: Vec<Standing>, group: &mut Group) {
        let node = self.writing.node;
        let (mut first, mut later) = (Vec::new(), Vec::new());
        let (mut claims, mut seen) = (Vec::new(), HashSet::new());
        // Whoever started the job may register; the targets of all rows are asked for together.
        let foreign = &self.writing.foreign;
        let lookups = rows.iter().flat_map(|row| &row.ready.lookups);
        foreign.begin();
        foreign
            .ask(node, &lookups.cloned().collect::<Vec<_>>())
            .await;
        for mut row in rows {
            let handle = &row.ready.handle;
            let is_new = seen.insert(handle.key(node.site().case_rule()).as_bytes().to_vec());
            match sought::look_up(node, handle, &row.ready.lookups, foreign, row.ready.absent) {
                Ok(Ok(clear)) if is_new => {
                    claims.push(clear.claimed);
                    row.is_unchecked = !clear.unchecked.is_empty();
                    first.push(row);
                }
                // Whatever it is, it is told when the row is tried by itself.
                _ => later.push(row),
            }
        }
        self.write_together(first, group).await;
        drop(claims);
        for row in later {
            let (number, handle) = (row.number, row.ready.handle.to_string());
            // A row in front of it may have changed what it changes.
            let written = match self.ready(row.row, Some(handle.clone())).await {
                Ok(ready) => self.writing.write(ready).await,
                Err(problem) => Err(problem),
            };
            match written {
                Ok(written) => {
                    group.done += 1;
                    group.unchecked += u64::from(!written.unchecked.is_empty());
                }
                Err(problem) => group.faults.push(self.fault(number, Some(handle), problem)),
            }
        }
    }

    /// Writes rows that no other record has anything against. Those that are refused are left out,
    /// and the rest is tried again.
    async fn write_together(&self, mut rows: Vec<Standing>, group: &mut Group) {
        let Writing {
            node,
            asked,
            sender,
            ..
        } = &self.writing;
        while !rows.is_empty() {
            let tasks = rows
                .iter()
                .map(|row| sender.task(row.ready.packet.clone(), row.ready.terms));
            let Ok((carried, is_done)) = node.carry_out_together(tasks.collect(), via(asked)).await
            else {
                // More records than are held at a time.
                if let [only] = rows.as_slice() {
                    let problem = super::super::bulk::refuse("the row is too large".to_owned());
                    let handle = Some(only.ready.handle.to_string());
                    group.faults.push(self.fault(only.number, handle, problem));
                    return;
                }
                let half = rows.split_off(rows.len() / 2);
                Box::pin(self.write_together(rows, group)).await;
                rows = half;
                continue;
            };
            if is_done {
                group.done += rows.len() as u64;
                group.unchecked += rows.iter().filter(|row| row.is_unchecked).count() as u64;
                return;
            }
            let before = rows.len();
            let mut left = Vec::with_capacity(before);
            for (row, carried) in rows.into_iter().zip(carried) {
                match Reply(carried).success(&row.ready.handle) {
                    Ok(_) => left.push(row),
                    Err(failure) => {
                        let handle = Some(row.ready.handle.to_string());
                        group
                            .faults
                            .push(self.fault(row.number, handle, failure.into()));
                    }
                }
            }
            rows = left;
        }
    }

    fn fault(&self, row: u64, handle: Option<String>, problem: Problem) -> JobFault {
        let status = problem.status(self.writing.asked);
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
