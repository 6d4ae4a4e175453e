//! Errands of connections that stay with their thread: changes that the thread decides itself, and
//! what a task does for it.
//!
//! What the connections of one wait order goes to the store together, so that one sync covers it,
//! and comes back together: the writer wakes the thread once for all of it. Two wake-ups for many
//! changes are what makes a change cheap; the rest is reading and writing on its connection.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use guantong_store::{Outcome, Submission};
use nix::sys::epoll::{EpollEvent, EpollTimeout};
use slab::Slab;

use super::WayOn;
use super::connection::{Leave, Rest};
use super::read::{Answered, Came, Request, Returns, Ticket};
use super::worker::{ERROR_PAUSE, EVENTS, Moment, SWEEP_MS, Worker};
use crate::errand::{self, Begun, Change, Course, Unfinished};
use crate::node::{Node, Via};

/// A change whose order the store has.
pub(super) struct UnderWay {
    pub(super) ticket: Ticket,
    /// Octets of the request.
    pub(super) len: usize,
    pub(super) change: Box<Change>,
}

/// The changes of a thread. There are as many as connections at most, as each waits for one.
#[derive(Default)]
pub(super) struct Changes {
    /// By the mark under which the store knows them.
    under_way: Slab<UnderWay>,
    /// What is to be written and was not given to the store yet.
    pub(super) orders: Vec<Submission>,
}

impl Changes {
    /// Keeps a change until it is written; its mark.
    pub(super) fn keep(&mut self, under_way: UnderWay) -> usize {
        self.under_way.insert(under_way)
    }

    pub(super) fn take(&mut self, mark: usize) -> Option<UnderWay> {
        self.under_way.try_remove(mark)
    }
}

/// An answer that a task owes to a connection. Dropped without one it says that there will be none.
struct Owed {
    ticket: Ticket,
    len: usize,
    returns: Arc<Returns>,
    came: Option<Came>,
}

impl Drop for Owed {
    fn drop(&mut self) {
        self.returns.push(Answered {
            ticket: self.ticket,
            len: self.len,
            came: self.came.take().unwrap_or(Came::Nothing),
        });
    }
}

impl Owed {
    fn new(ticket: Ticket, len: usize, returns: Arc<Returns>) -> Self {
        Self {
            ticket,
            len,
            returns,
            came: None,
        }
    }

    fn pay(mut self, answer: Vec<u8>, rest: errand::Rest) {
        self.came = Some(Came::Reply(answer, rest));
    }
}

impl WayOn {
    /// Has an errand carried out by a task.
    pub(super) fn run(&self, request: Request, returns: Arc<Returns>) {
        let owed = Owed::new(request.ticket, request.octets.len(), returns);
        let via = Via {
            transport: request.transport,
            peer: request.peer,
            by_console: false,
        };
        let node = self.node.clone();
        self.runtime.spawn(async move {
            let mut out = Vec::new();
            let rest = node.run_errand(&request.octets, via, None, &mut out);
            let rest = rest.await;
            owed.pay(out, rest);
        });
    }

    /// Has a change finished by a task.
    pub(super) fn finish(
        &self,
        ticket: Ticket,
        len: usize,
        unfinished: Unfinished,
        returns: Arc<Returns>,
    ) {
        let owed = Owed::new(ticket, len, returns);
        let node = self.node.clone();
        self.runtime.spawn(async move {
            let mut out = Vec::new();
            let rest = node.finish_change(unfinished, &mut out).await;
            owed.pay(out, rest);
        });
    }
}

impl Worker {
    /// Takes up the first request that is pending, which is an errand.
    pub(super) fn begin_errand(
        &mut self,
        key: usize,
        len: usize,
        course: Course,
        moment: &Moment<'_>,
    ) {
        let Some(request) = self.request(key, len) else {
            return;
        };
        if let Some(connection) = self.connections.get_mut(key) {
            connection.has_errand = true;
        }
        let begun = match course {
            Course::Here => self.begin_change(&request, moment),
            Course::Task | Course::Connection => Ok(None),
        };
        match begun {
            Ok(Some(begun)) => self.on_begun(request.ticket, len, begun, moment),
            Ok(None) => self.way_on.run(request, self.returns.clone()),
            Err(Panicked) => self.break_off(request.ticket),
        }
    }

    fn begin_change(
        &mut self,
        request: &Request,
        moment: &Moment<'_>,
    ) -> Result<Option<Begun>, Panicked> {
        let out = &mut self.buffers.out;
        out.clear();
        let via = Via {
            transport: request.transport,
            peer: request.peer,
            by_console: false,
        };
        guarded(|| moment.node.begin_change(&request.octets, via, out))
    }

    /// Goes on with a change of a connection. Its reply, if it has one, is in the buffer for that.
    fn on_begun(&mut self, ticket: Ticket, len: usize, begun: Begun, moment: &Moment<'_>) {
        match begun {
            Begun::Done => {
                let out = std::mem::take(&mut self.buffers.out);
                self.on_reply(ticket, len, &out, errand::Rest::None, moment);
                self.buffers.out = out;
            }
            Begun::Write(change, batch, rights) => {
                let under_way = UnderWay {
                    ticket,
                    len,
                    change,
                };
                let mark = self.changes.keep(under_way);
                self.changes.orders.push(Submission {
                    batch,
                    rights,
                    mark,
                });
            }
            Begun::Waits(unfinished) => {
                let returns = self.returns.clone();
                self.way_on.finish(ticket, len, *unfinished, returns);
            }
        }
    }

    /// Gives the store what was ordered.
    pub(super) fn submit(&mut self, node: &Node) {
        let orders = &mut self.changes.orders;
        if !orders.is_empty() {
            node.store.try_submit_all(orders.drain(..), &self.recipient);
        }
    }

    /// Goes on with changes that the store has dealt with.
    pub(super) fn on_outcomes(&mut self, outcomes: Vec<(usize, Outcome)>, moment: &Moment<'_>) {
        for (mark, outcome) in outcomes {
            let Some(under_way) = self.changes.take(mark) else {
                continue;
            };
            let UnderWay {
                ticket,
                len,
                change,
            } = under_way;
            let out = &mut self.buffers.out;
            out.clear();
            match guarded(|| moment.node.written_change(change, outcome, out)) {
                Ok(begun) => self.on_begun(ticket, len, begun, moment),
                Err(Panicked) => self.break_off(ticket),
            }
        }
    }

    /// Closes a connection whose errand gets no reply.
    pub(super) fn break_off(&mut self, ticket: Ticket) {
        if self.waiting(ticket).is_some() {
            self.close(ticket.key);
        }
    }

    /// Goes on with a connection whose errand has come to its end.
    pub(super) fn on_reply(
        &mut self,
        ticket: Ticket,
        len: usize,
        out: &[u8],
        first: errand::Rest,
        moment: &Moment<'_>,
    ) {
        let Some(connection) = self.waiting(ticket) else {
            return;
        };
        connection.waits = None;
        connection.has_errand = false;
        let left = connection.pending.get(len..).unwrap_or_default();
        connection.pending = left.into();
        let is_more =
            !connection.pending.is_empty() || connection.is_unseen || connection.has_ended;
        if let errand::Rest::List(_) | errand::Rest::Stream(_) = first {
            let rest = Rest {
                octets: connection.pending.to_vec(),
                out: out.to_vec(),
                owed: 1,
                due_ms: None,
            };
            return self.hand_over_with(ticket.key, rest, first);
        }
        let (ip, limits) = (connection.peer.ip(), moment.limits);
        let is_admitted = moment.node.requests.admits(ip, limits, moment.now_ms);
        match connection.give(out, is_admitted, moment) {
            Ok(()) if is_more => {
                connection.is_unseen = true;
                self.again.push(ticket.key);
            }
            Ok(()) => {}
            Err(Leave::Closed) => self.close(ticket.key),
            Err(Leave::HandOver(rest)) => self.hand_over(ticket.key, rest),
        }
    }

    //--- The end

    /// Stops: reads what has arrived on every connection, and hands it over. Over there, who has
    /// begun a message may finish it, and the others are closed. Those with an errand, which may be
    /// written already, are handed over when it has come to its end.
    pub(super) fn leave(mut self, moment: &Moment<'_>) {
        // They would be told of again and again.
        let _ = self.epoll.delete(&self.signal.wake);
        for door in &self.doors {
            let _ = self.epoll.delete(&door.listener);
        }
        let bound_ms = moment.limits.stop_timeout.0;
        let until_ms = moment.now_ms.saturating_add(bound_ms);
        let mut events = [EpollEvent::empty(); EVENTS];
        let mut now_ms = moment.now_ms;
        let keys: Vec<usize> = self.connections.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.turn(key, moment);
        }
        self.submit(moment.node);
        loop {
            self.hand_over_idle(moment);
            drop(self.left.take());
            if self.connections.is_empty() || now_ms >= until_ms {
                return;
            }
            let left_ms = until_ms.saturating_sub(now_ms).min(SWEEP_MS);
            let patience = EpollTimeout::try_from(left_ms).unwrap_or(EpollTimeout::ZERO);
            // What arrives now is read over there.
            if self.epoll.wait(&mut events, patience).is_err() {
                std::thread::sleep(ERROR_PAUSE);
            }
            self.on_returns(moment);
            self.submit(moment.node);
            now_ms = moment.node.uptime_ms();
        }
    }

    /// Hands over every connection without an errand.
    fn hand_over_idle(&mut self, moment: &Moment<'_>) {
        let idle = self.connections.iter().filter(|(_, c)| !c.has_errand);
        let all: Vec<_> = idle
            .map(|(key, connection)| (key, connection.half_message(moment.limits)))
            .collect();
        for (key, rest) in all {
            self.hand_over(key, rest);
        }
    }
}

/// A mistake of ours. It costs one connection, not all of a thread.
struct Panicked;

fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|_| {
        tracing::error!("a change made the node panic; please report it");
        Panicked
    })
}
