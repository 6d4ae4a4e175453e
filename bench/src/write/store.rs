//! The store by itself: what the node's writes would be if nobody had to be asked, nothing read and
//! nobody answered.
//!
//! It has one core with all its threads, as the node has, and writes what the node writes: the same
//! records, by the same administrator. They are made on the core of the clients.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use guantong_proto::data::AdminPermissions;
use guantong_proto::{CaseRule, Handle};
use guantong_store::{
    Batch, Change, CreateOptions, Expect, Options, Origin, Right, Source, Store, Trail, Used, Way,
};

use super::fresh;
use crate::corpus::{self, PREFIX};
use crate::machine;

/// A store whose threads share a core.
pub(super) struct OwnStore {
    store: Store,
    core: usize,
}

impl OwnStore {
    /// An empty store that is responsible for the prefix of all records.
    pub(super) fn new(dir: &Path, core: usize) -> Result<Self> {
        let create = CreateOptions {
            case_rule: CaseRule::Insensitive,
            id: [7; 16],
        };
        // Its threads stay where they are started.
        let store = machine::while_pinned(core, || {
            Ok(Store::create(dir, &create, &Options::default())?)
        })?;
        let prefix = Handle::of_prefix(PREFIX)?;
        store.submit(batch(vec![Change::Home { prefix }])?).wait()?;
        Ok(Self { store, core })
    }

    /// Creates a record from this thread, and waits until it is durable.
    pub(super) fn create(&self, n: u64) -> Result<()> {
        let committed = self.store.submit(puts(n, 1)?).wait();
        committed.context("the store refuses a record")?;
        Ok(())
    }

    /// Changes per second in batches of `size`, so many of them on their way at a time. They are
    /// submitted on the core of the store; `next` gives the first number of each.
    pub(super) fn batches(
        &self,
        size: u32,
        in_flight: usize,
        time: Duration,
        next: impl Fn() -> u64,
    ) -> Result<f64> {
        let (made, taken) = sync_channel(in_flight);
        let begun = Instant::now();
        std::thread::scope(|scope| {
            let submitter = scope.spawn(move || self.submit_all(&taken, in_flight));
            while begun.elapsed() < time {
                // Nobody takes any more where one was refused.
                if made.send(puts(next(), size)?).is_err() {
                    break;
                }
            }
            drop(made);
            let Ok(count) = submitter.join() else {
                bail!("the thread that submits has panicked");
            };
            Ok(count? as f64 * f64::from(size) / begun.elapsed().as_secs_f64())
        })
    }

    /// Submits what comes, and gives how many batches it was.
    fn submit_all(&self, taken: &Receiver<Batch>, in_flight: usize) -> Result<u64> {
        machine::pin(self.core)?;
        let (mut waiting, mut count) = (VecDeque::new(), 0);
        for batch in taken {
            waiting.push_back(self.store.submit(batch));
            count += 1;
            if waiting.len() == in_flight
                && let Some(ticket) = waiting.pop_front()
            {
                ticket.wait()?;
            }
        }
        for ticket in waiting {
            ticket.wait()?;
        }
        Ok(count)
    }
}

fn puts(first: u64, count: u32) -> Result<Batch> {
    let put = |n: u64| {
        Ok(Change::Put {
            handle: Handle::parse(&fresh(n))?,
            values: corpus::wire((n % 1_000_000) as u32),
            expect: Expect::Absent,
        })
    };
    batch(
        (first..)
            .take(count as usize)
            .map(put)
            .collect::<Result<_>>()?,
    )
}

/// The changes as the node has them written for the administrator of its prefix.
fn batch(changes: Vec<Change>) -> Result<Batch> {
    let prefix = Handle::of_prefix(PREFIX)?;
    let used = Used {
        record: prefix.clone(),
        index: 100,
        permissions: AdminPermissions::ADD_HANDLE,
        through: Vec::new(),
        more_groups: 0,
    };
    Ok(Batch {
        changes,
        at_ms: 1_780_000_000_000,
        origin: Origin::Administrator {
            handle: prefix,
            index: 300,
        },
        trail: Trail {
            from: Source::Peer {
                way: Way::Https,
                address: ([127, 0, 0, 1], 50_000).into(),
            },
            right: Right::Administrator(vec![used]),
        },
    })
}
