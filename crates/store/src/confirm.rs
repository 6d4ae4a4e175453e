//! Batches that are durable here and wait until they are durable elsewhere.
//!
//! A node whose changes must survive its own loss reports a change as done only when a mirror has
//! it. The writer does not wait for that: it hands the ticket over to this list and goes on.
//! Changes are confirmed in their order, so the list is a queue.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::batch::Committed;
use crate::error::WriteError;
use crate::limits::UNCONFIRMED_MAX;
use crate::ticket::{Stub, Wakes};

/// The batches that wait.
#[derive(Default)]
pub(crate) struct Confirmations {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    wanted: bool,
    confirmed: u64,
    waiting: VecDeque<(Stub, Committed)>,
}

impl Confirmations {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every step leaves the queue whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether batches wait from now on. Those that wait already go on waiting.
    pub(crate) fn want(&self, wanted: bool) {
        self.lock().wanted = wanted;
    }

    /// Completes the ticket of a batch that is durable here, at once or when it is confirmed.
    pub(crate) fn hold(&self, stub: Stub, committed: Committed, wakes: &mut Wakes) {
        let mut state = self.lock();
        let is_change = committed.last >= committed.first;
        if !state.wanted || !is_change || committed.last <= state.confirmed {
            drop(state);
            return stub.complete(Ok(committed), wakes);
        }
        if state.waiting.len() >= UNCONFIRMED_MAX {
            drop(state);
            let why = format!("{UNCONFIRMED_MAX} changes wait for it already");
            return stub.complete(Err(unconfirmed(why.into())), wakes);
        }
        state.waiting.push_back((stub, committed));
    }

    /// Changes up to `last` are durable elsewhere.
    pub(crate) fn confirm(&self, last: u64) {
        let mut state = self.lock();
        state.confirmed = state.confirmed.max(last);
        let done = take_upto(&mut state.waiting, last);
        drop(state);
        let mut wakes = Wakes::default();
        for (stub, committed) in done {
            stub.complete(Ok(committed), &mut wakes);
        }
    }

    /// Nobody waits any longer for the changes up to `last`.
    pub(crate) fn give_up(&self, last: u64, why: &Arc<str>) {
        let mut state = self.lock();
        let given_up = take_upto(&mut state.waiting, last);
        drop(state);
        let mut wakes = Wakes::default();
        for (stub, _) in given_up {
            stub.complete(Err(unconfirmed(why.clone())), &mut wakes);
        }
    }

    /// Batches that wait now.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }
}

fn take_upto(waiting: &mut VecDeque<(Stub, Committed)>, last: u64) -> Vec<(Stub, Committed)> {
    let count = waiting.partition_point(|(_, committed)| committed.last <= last);
    waiting.drain(..count).collect()
}

fn unconfirmed(why: Arc<str>) -> WriteError {
    WriteError::Unconfirmed { why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ticket::{Outcome, ticket};

    fn done(confirmations: &Confirmations, first: u64, last: u64) -> crate::ticket::Ticket {
        let (ticket, stub) = ticket();
        confirmations.hold(stub, Committed { first, last }, &mut Wakes::default());
        ticket
    }

    fn is_done(ticket: crate::ticket::Ticket) -> Option<Outcome> {
        let (sender, receiver) = std::sync::mpsc::channel();
        ticket.on_done(move |outcome| drop(sender.send(outcome)));
        receiver.try_recv().ok()
    }

    #[test]
    fn batch_waits_for_its_last_change_and_for_no_other() {
        let confirmations = Confirmations::default();
        assert!(matches!(
            is_done(done(&confirmations, 1, 1)),
            Some(Ok(Committed { first: 1, last: 1 }))
        ));
        confirmations.want(true);
        let (waits, nothing) = (done(&confirmations, 2, 3), done(&confirmations, 4, 3));
        assert!(matches!(is_done(nothing), Some(Ok(_))));
        confirmations.confirm(2);
        assert_eq!(confirmations.waiting(), 1);
        confirmations.confirm(3);
        assert!(matches!(is_done(waits), Some(Ok(_))));
        assert!(is_done(done(&confirmations, 3, 3)).is_some());
    }

    #[test]
    fn batch_that_nobody_confirms_is_given_up_with_the_reason() {
        let confirmations = Confirmations::default();
        confirmations.want(true);
        let (old, new) = (done(&confirmations, 1, 1), done(&confirmations, 2, 2));
        confirmations.give_up(1, &"no mirror".into());
        let said = is_done(old).unwrap().unwrap_err().to_string();
        assert!(said.contains("no mirror"), "{said}");
        assert!(is_done(new).is_none());
    }

    #[test]
    fn batches_that_wait_are_bounded() {
        let confirmations = Confirmations::default();
        confirmations.want(true);
        let tickets: Vec<_> = (1..=UNCONFIRMED_MAX as u64)
            .map(|n| done(&confirmations, n, n))
            .collect();
        let more = done(&confirmations, u64::MAX, u64::MAX);
        assert!(matches!(
            is_done(more),
            Some(Err(WriteError::Unconfirmed { .. }))
        ));
        assert_eq!(confirmations.waiting(), tickets.len());
    }
}
