//! Writing many records: batches go in, outcomes come out when they are durable, and several
//! batches may be under way.
//!
//! ```text
//!   submit(batch) ──► judge each record against the store and against what is under way ──► store
//!   outcomes()    ◄── the oldest batch, when its commit is durable
//! ```
//!
//! A record is judged before the batches in front of it are committed; therefore [`Import`]
//! remembers what is *ahead*, and a handle that occurs twice is judged as if the first had been
//! written already.

use std::collections::VecDeque;

use foldhash::{HashMap, HashMapExt};
use guantong_api::control::{Imported, Mode, OnConflict, Outcome, Refusal};
use guantong_proto::Key;
use guantong_store::{Batch, Change, Expect, Origin, Ticket, WriteError};

use super::desk::Desk;
use super::record::{NewRecord, judge};
use super::refusal;

/// Most records of one batch: a commit's worth, so that a kill costs little work and a dry run
/// little memory.
pub const BATCH_RECORDS_MAX: usize = 2_048;
/// Octets of records at which a batch is closed; one record may go beyond.
pub const BATCH_OCTETS_MAX: usize = 2 * 1024 * 1024;
/// Most batches under way: enough to keep parsing, judging and the disk busy at the same time.
pub const BATCHES_AHEAD_MAX: usize = 6;
/// How often a batch is judged again because somebody else wrote one of its records meanwhile.
const ATTEMPTS_MAX: usize = 16;

//----------- Item -----------------------------------------------------------

/// A record of a batch, or why it could not even be read.
pub type Item = Result<NewRecord, String>;

//----------- Import ---------------------------------------------------------

/// Batches on their way into a store.
#[derive(Debug)]
pub struct Import<'a> {
    desk: &'a Desk,
    on_conflict: OnConflict,
    mode: Mode,
    under_way: VecDeque<UnderWay>,
    /// Number of the first batch in `under_way`.
    first: u64,
    /// The newest version of each record that is under way: number of its batch, position in it.
    ahead: HashMap<Key, (u64, usize)>,
}

#[derive(Debug)]
struct UnderWay {
    items: Vec<Item>,
    outcomes: Vec<Outcome>,
    ticket: Option<Ticket>,
}

impl<'a> Import<'a> {
    pub(super) fn new(desk: &'a Desk, on_conflict: OnConflict, mode: Mode) -> Self {
        Self {
            desk,
            on_conflict,
            mode,
            under_way: VecDeque::new(),
            first: 0,
            ahead: HashMap::new(),
        }
    }

    /// Whether the policy is this one.
    pub(super) fn is_for(&self, on_conflict: OnConflict, mode: Mode) -> bool {
        (self.on_conflict, self.mode) == (on_conflict, mode)
    }

    /// Number of batches whose outcomes have not been asked for.
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Takes a batch. Waits only if the store's queue is full.
    pub fn submit(&mut self, mut items: Vec<Item>) -> Result<(), Refusal> {
        let number = self.first + self.under_way.len() as u64;
        let now_ms = self.desk.now_ms();
        let rule = self.desk.store().case_rule();
        let mut changes = Vec::with_capacity(items.len());
        let mut outcomes = Vec::with_capacity(items.len());
        for position in 0..items.len() {
            let (earlier, rest) = items.split_at_mut(position);
            let record = match &mut rest[0] {
                Ok(record) => record,
                Err(reason) => {
                    outcomes.push(Outcome::Refused(reason.clone()));
                    continue;
                }
            };
            let key = record.handle().key(rule);
            let stored;
            let known = match self.ahead.get(&key) {
                Some(&(batch, at)) if batch == number => earlier[at].as_ref().ok(),
                Some(&(batch, at)) => {
                    let batch = usize::try_from(batch - self.first).unwrap_or(usize::MAX);
                    let batch = self.under_way.get(batch);
                    batch.and_then(|batch| batch.items[at].as_ref().ok())
                }
                None => None,
            };
            let known = match known {
                Some(record) => Some(record.values()),
                None => {
                    let found = self.desk.store().get(key.as_bytes());
                    stored = found.map_err(|e| refusal::of_read(&e))?;
                    stored.as_ref().map(|record| record.values())
                }
            };
            let outcome = judge(record, known, self.on_conflict);
            if matches!(outcome, Outcome::Created | Outcome::Replaced) {
                record.stamp(known, secs(now_ms));
                changes.push(self.change(record, &outcome));
                self.ahead.insert(key, (number, position));
            }
            outcomes.push(outcome);
        }
        let ticket = match (self.mode, changes.is_empty()) {
            (Mode::Apply, false) => Some(self.commit(changes, now_ms)),
            _ => None,
        };
        self.under_way.push_back(UnderWay {
            items,
            outcomes,
            ticket,
        });
        Ok(())
    }

    /// What became of the oldest batch; waits until it is durable. `None` if none is under way.
    pub fn outcomes(&mut self) -> Option<Result<Imported, Refusal>> {
        let mut batch = self.under_way.pop_front()?;
        let number = self.first;
        self.first += 1;
        let rule = self.desk.store().case_rule();
        for record in batch.items.iter().flatten() {
            let key = record.handle().key(rule);
            if self.ahead.get(&key).is_some_and(|&(of, _)| of == number) {
                self.ahead.remove(&key);
            }
        }
        let mut attempts = 0;
        let last_change = loop {
            let Some(ticket) = batch.ticket.take() else {
                break None;
            };
            match ticket.wait() {
                Ok(committed) => break Some(committed.last),
                Err(WriteError::Conflict { .. }) if attempts < ATTEMPTS_MAX => {
                    attempts += 1;
                    if let Err(refusal) = self.judge_again(&mut batch) {
                        return Some(Err(refusal));
                    }
                }
                Err(error) => return Some(Err(refusal::of_write(&error))),
            }
        };
        Some(Ok(Imported {
            outcomes: batch.outcomes,
            last_change,
        }))
    }

    /// Somebody else created one of the records meanwhile: judges all against what is there now.
    fn judge_again(&self, batch: &mut UnderWay) -> Result<(), Refusal> {
        let mut again = Import::new(self.desk, self.on_conflict, self.mode);
        again.submit(std::mem::take(&mut batch.items))?;
        if let Some(judged) = again.under_way.pop_front() {
            *batch = judged;
        }
        Ok(())
    }

    fn change(&self, record: &NewRecord, outcome: &Outcome) -> Change {
        let expect = match (self.on_conflict, outcome) {
            (OnConflict::Skip | OnConflict::Fail, Outcome::Created) => Expect::Absent,
            _ => Expect::Anything,
        };
        Change::Put {
            handle: record.handle().clone(),
            values: self
                .desk
                .signed(record.handle(), record.values_wire().to_vec()),
            expect,
        }
    }

    fn commit(&self, changes: Vec<Change>, at_ms: u64) -> Ticket {
        self.desk.store().submit(Batch {
            changes,
            at_ms,
            origin: Origin::Import,
            trail: self.desk.trail(),
        })
    }
}

/// Milliseconds since 1970 as the seconds of a timestamp.
pub(super) fn secs(now_ms: u64) -> u32 {
    u32::try_from(now_ms / 1_000).unwrap_or(u32::MAX)
}
