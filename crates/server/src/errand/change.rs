//! Changes that a thread carries out for which others wait: it decides them, and waits for nothing.
//!
//! ```text
//!   begin_change ──► Begun::Write ──► the store ──► written_change ──► Begun::Done
//!        │                ▲                              │
//!        │                └───── somebody was faster ────┘
//!        └──► Begun::Waits ──► finish_change, on a task
//! ```
//!
//! What such a thread may take up is seen from the head of a message ([`Node::course`]): a change
//! in a session, where a key of both sides stands for whoever asks, so that nothing has to be
//! computed but a code. Everything else is left to tasks.

use guantong_core::admin::authenticate::Subject;
use guantong_core::admin::session::SESSION_BIT;
use guantong_core::admin::{Errand, Order, Write};
use guantong_proto::message::{Header, OpCode, Packet};
use guantong_proto::wire::Reader;
use guantong_store::{Batch, Outcome, Right};
use tokio::sync::OwnedSemaphorePermit;

use super::order::{batch_of, written_of};
use super::{AtHand, Challenged, Rest, TablesOf};
use crate::node::{Node, Via};

/// Where the errand of a packet of a connection is to be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Course {
    /// By the thread that has it, with [`Node::begin_change`].
    Here,
    /// By a task, with [`Node::run_errand`], whose logins it does not need.
    Task,
    /// Where the connection goes on: it may need that for longer than one reply.
    Connection,
}

/// A change that is under way.
pub(crate) struct Change {
    errand: Errand,
    via: Via,
    subjects: Vec<Subject>,
    _place: OwnedSemaphorePermit,
}

/// A change that has to wait for something besides the store.
pub(crate) struct Unfinished {
    change: Change,
    next: AtHand,
}

/// How far a change has come.
pub(crate) enum Begun {
    /// The reply is there.
    Done,
    /// This is to be written; see [`Node::written_change`].
    Write(Box<Change>, Batch, Vec<Right>),
    /// It goes on with [`Node::finish_change`].
    Waits(Box<Unfinished>),
}

impl Node {
    /// Where the errand of a packet is to be carried out.
    pub(crate) fn course(&self, packet: &[u8]) -> Course {
        let Ok(packet) = Packet::decode(packet) else {
            return Course::Connection;
        };
        let (envelope, header) = (
            packet.envelope,
            Header::decode(&mut Reader::new(packet.octets)),
        );
        let Ok(header) = header else {
            return Course::Connection;
        };
        let is_in_session = envelope.session_id & SESSION_BIT != 0;
        match header.op {
            _ if envelope.encrypted => Course::Connection,
            OpCode::SESSION_SETUP if envelope.session_id == 0 => Course::Task,
            _ if !is_in_session => Course::Connection,
            OpCode::CREATE
            | OpCode::DELETE
            | OpCode::ADD_VALUE
            | OpCode::MODIFY_VALUE
            | OpCode::REMOVE_VALUE => {
                // Signing takes as long as many changes, a read of the disk even longer.
                match self.record_signer().is_some() || self.expects_disk() {
                    true => Course::Task,
                    false => Course::Here,
                }
            }
            OpCode::CHALLENGE_ANSWER | OpCode::SESSION_TERMINATE => Course::Task,
            _ => Course::Connection,
        }
    }

    /// Takes up a change. Its reply, if it has one already, is appended to `out`. `None` if there
    /// are as many errands as there may be: a task can wait for its turn.
    pub(crate) fn begin_change(&self, packet: &[u8], via: Via, out: &mut Vec<u8>) -> Option<Begun> {
        let place = self.errands.places.clone().try_acquire_owned().ok()?;
        let Some(mut errand) = self.open_errand(packet, &tables(self, via), out) else {
            return Some(Begun::Done);
        };
        let subjects = self.take_up(&mut errand, via);
        self.foresee(&mut errand);
        let change = Change {
            errand,
            via,
            subjects,
            _place: place,
        };
        Some(self.advance_change(change.into(), out))
    }

    /// Goes on with a change whose order the store has dealt with. The reply is appended to `out`.
    pub(crate) fn written_change(
        &self,
        mut change: Box<Change>,
        outcome: Outcome,
        out: &mut Vec<u8>,
    ) -> Begun {
        self.go_on(&mut change.errand, written_of(outcome.map(drop)));
        self.advance_change(change, out)
    }

    /// Carries out what is left of a change, however long it takes.
    pub(crate) async fn finish_change(&self, unfinished: Unfinished, out: &mut Vec<u8>) -> Rest {
        let Unfinished { mut change, next } = unfinished;
        let (start, tables) = (out.len(), tables(self, change.via));
        let errand = &mut change.errand;
        let rest = self.drive_from(next, errand, &tables, out).await;
        let reply = out.get(start..).unwrap_or_default();
        self.conclude(&change.errand, change.subjects, change.via, reply);
        rest
    }

    fn advance_change(&self, mut change: Box<Change>, out: &mut Vec<u8>) -> Begun {
        let (start, via) = (out.len(), change.via);
        let next = self.decide(&mut change.errand, &tables(self, via), out);
        match next {
            AtHand::Order(order) if is_plain(&order) => {
                let (batch, rights) = batch_of(vec![order], via, self.now_ms());
                Begun::Write(change, batch, rights)
            }
            // Neither a list nor a stream comes of a change.
            AtHand::End(_) => {
                let Change {
                    errand, subjects, ..
                } = *change;
                let reply = out.get(start..).unwrap_or_default();
                self.conclude(&errand, subjects, via, reply);
                Begun::Done
            }
            next => Begun::Waits(Box::new(Unfinished {
                change: *change,
                next,
            })),
        }
    }
}

/// Whether an order changes a record, and no more than that.
fn is_plain(order: &Order) -> bool {
    matches!(order.write, Write::Put { .. } | Write::Delete { .. })
}

fn tables(node: &Node, via: Via) -> TablesOf<'_> {
    TablesOf {
        node,
        via,
        logins: None,
        challenges: Challenged::Kept,
    }
}
