//! Writes the portions of a follower to the store, several under way at a time.

use std::collections::{BTreeSet, VecDeque};

use guantong_core::replicate::{Leftover, Local, Portion, RecordChange, Work, merge};
use guantong_proto::Handle;
use guantong_store::{
    Batch, Change, Committed, Expect, Note, Origin, Right, Scope, Source, Store, StoreError,
    Ticket, Trail, WriteError,
};
use tokio::sync::oneshot;

use super::state::POSITION;
use crate::node::wall_clock_ms;

/// Batches under way: while the disk works on one, the next is being made.
const AHEAD_MAX: usize = 3;
/// Most changes of a batch.
const BATCH_CHANGES_MAX: usize = 4_000;

//----------- Applier --------------------------------------------------------

/// Writes portions in their order.
#[derive(Debug)]
pub(super) struct Applier {
    store: Store,
    /// Where the primary was reached.
    primary: String,
    under_way: VecDeque<oneshot::Receiver<Result<Committed, WriteError>>>,
}

/// Why a portion was not written. The mirror goes on from what is saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum ApplyError {
    /// The store refused or failed.
    #[error("the records cannot be written: {0}")]
    Write(#[from] WriteError),
    /// The store could not be read.
    #[error("the records here cannot be compared: {0}")]
    Read(#[from] StoreError),
    /// The thread that did it is gone.
    #[error("the writing of records was interrupted")]
    Interrupted,
}

impl Applier {
    pub(super) fn new(store: Store, primary: String) -> Self {
        Self {
            store,
            primary,
            under_way: VecDeque::new(),
        }
    }

    /// Hands a portion to the store. Whether prefixes were homed or unhomed by it; then everything
    /// is durable on return.
    pub(super) async fn apply(&mut self, portion: Portion) -> Result<bool, ApplyError> {
        let moves_prefixes = moves_prefixes(&portion.work);
        if matches!(portion.work, Work::Finish { .. }) {
            // What is left over is found by what has been written.
            self.flush().await?;
        }
        let store = self.store.clone();
        let from = Source::Primary {
            address: self.primary.clone(),
        };
        let submitting = tokio::task::spawn_blocking(move || submit(&store, from, portion));
        let tickets = submitting.await.map_err(|_| ApplyError::Interrupted)??;
        for ticket in tickets {
            let (sender, outcome) = oneshot::channel();
            ticket.on_done(move |outcome| drop(sender.send(outcome)));
            self.under_way.push_back(outcome);
        }
        let left = match moves_prefixes {
            true => 0,
            false => AHEAD_MAX,
        };
        self.wait(left).await?;
        Ok(moves_prefixes)
    }

    /// Waits until everything is durable.
    pub(super) async fn flush(&mut self) -> Result<(), ApplyError> {
        self.wait(0).await
    }

    async fn wait(&mut self, left: usize) -> Result<(), ApplyError> {
        while self.under_way.len() > left {
            let Some(outcome) = self.under_way.pop_front() else {
                break;
            };
            outcome.await.map_err(|_| ApplyError::Interrupted)??;
        }
        Ok(())
    }
}

fn moves_prefixes(work: &Work) -> bool {
    match work {
        Work::Apply(changes) => changes
            .iter()
            .any(|change| matches!(change, RecordChange::Home(_) | RecordChange::Unhome(_))),
        Work::Merge { .. } => false,
        Work::Finish { .. } => true,
    }
}

//----------- Batches --------------------------------------------------------

/// Collects changes into batches; the last one bears the position.
struct Batches<'a> {
    store: &'a Store,
    changes: Vec<Change>,
    at_ms: u64,
    trail: Trail,
    tickets: Vec<Ticket>,
}

fn submit(store: &Store, from: Source, portion: Portion) -> Result<Vec<Ticket>, ApplyError> {
    let position = Note {
        name: POSITION.to_owned(),
        octets: portion.position.encode(),
    };
    let mut batches = Batches {
        store,
        changes: Vec::new(),
        at_ms: match portion.at_ms {
            0 => wall_clock_ms(),
            at_ms => at_ms,
        },
        trail: Trail {
            from,
            right: Right::Own,
        },
        tickets: Vec::new(),
    };
    match portion.work {
        Work::Apply(changes) => changes.into_iter().for_each(|c| batches.push(to_change(c))),
        Work::Merge { after, records } => {
            let upto = records.last().map(|record| record.key.clone());
            let local = store.scan(&Scope::All, after.as_deref()).take_while(
                |found| !matches!((found, &upto), (Ok((key, _)), Some(upto)) if key > upto),
            );
            let local = local.map(|found| {
                let (key, record) = found?;
                Ok::<_, StoreError>(Local {
                    key,
                    handle: record.handle().to_owned(),
                    values: record.values_wire().to_vec(),
                })
            });
            for change in merge(local, records.into_iter()) {
                batches.push(to_change(change?));
            }
        }
        Work::Finish { leftover, homed } => finish(store, &leftover, homed, &mut batches)?,
    }
    Ok(batches.finish(position))
}

fn finish(
    store: &Store,
    leftover: &Leftover,
    homed: Vec<Handle>,
    batches: &mut Batches<'_>,
) -> Result<(), ApplyError> {
    let (after, since) = match leftover {
        Leftover::Behind(after) => (after.as_deref(), u64::MAX),
        Leftover::NotSince(change) => (None, *change),
        Leftover::Unknown => (None, 0),
    };
    if *leftover != Leftover::Unknown {
        for found in store.scan(&Scope::All, after) {
            let (_, record) = found?;
            if record.version() <= since {
                let handle = record.handle().to_owned();
                batches.push(to_change(RecordChange::Delete { handle }));
            }
        }
        let rule = store.case_rule();
        let kept: BTreeSet<_> = homed
            .iter()
            .map(|prefix| prefix.key(rule).as_bytes().to_vec())
            .collect();
        for prefix in store.homed() {
            if !kept.contains(prefix.key(rule).as_bytes()) {
                batches.push(Change::Unhome { prefix });
            }
        }
    }
    homed
        .into_iter()
        .for_each(|prefix| batches.push(Change::Home { prefix }));
    Ok(())
}

impl Batches<'_> {
    fn push(&mut self, change: Change) {
        self.changes.push(change);
        if self.changes.len() >= BATCH_CHANGES_MAX {
            self.submit(Vec::new());
        }
    }

    fn submit(&mut self, notes: Vec<Note>) {
        let batch = Batch {
            changes: std::mem::take(&mut self.changes),
            at_ms: self.at_ms,
            origin: Origin::Replication,
            trail: self.trail.clone(),
        };
        self.tickets.push(self.store.submit_noted(batch, notes));
    }

    fn finish(mut self, position: Note) -> Vec<Ticket> {
        self.submit(vec![position]);
        self.tickets
    }
}

fn to_change(change: RecordChange) -> Change {
    let expect = Expect::Anything;
    match change {
        RecordChange::Put { handle, values } => Change::Put {
            handle,
            values,
            expect,
        },
        RecordChange::Delete { handle } => Change::Delete { handle, expect },
        RecordChange::Home(prefix) => Change::Home { prefix },
        RecordChange::Unhome(prefix) => Change::Unhome { prefix },
    }
}
