//! Connections that ask one question at a time: those that are ready together are answered so.
//!
//! ```text
//!   read each ──► look all up ──► write each
//! ```
//!
//! So their look-ups wait for memory together, as those of the datagrams of a batch do
//! ([`ahead`](crate::ahead)), and the system does the same thing many times in a row.

use std::net::SocketAddr;
use std::ops::Range;

use guantong_core::authority::Recursion;
use guantong_proto::frame::first_packet;
use guantong_store::StoredRecord;

use super::Service;
use super::http::{KnownLines, Plain, Read};
use super::worker::{Buffers, KEEP_LEN, Moment};
use crate::ahead::{AHEAD, Asked, Ready};
use crate::http::write_quick_answer_at_hand;
use crate::metrics::Transport;

/// Octets that one connection may bring into a round. A question has some hundred; with more, it
/// has a turn of its own.
pub(super) const SLOT_LEN: usize = 1024;
/// Octets of answers behind which no more are made: the other connections have turns of their own.
const OUT_MAX: usize = KEEP_LEN / 2;

/// What connections have brought, and the answers.
#[derive(Default)]
pub(super) struct Round {
    joined: Vec<Joined>,
    octets: Vec<u8>,
    out: Vec<u8>,
}

/// A connection whose question is in the round.
#[derive(Clone, Debug)]
pub(super) struct Joined {
    pub(super) key: usize,
    peer: SocketAddr,
    question: Question,
    /// Octets of the question.
    len: usize,
    /// Where its answer is; empty, if it is not answered here.
    answer: Range<usize>,
}

/// What the octets are that a connection has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// A packet.
    Native,
    /// A plain request for a name that is so many octets long.
    Http { name_len: usize },
}

impl Question {
    /// What octets are, if they are one whole question and nothing else.
    pub(super) fn read(service: &Service, octets: &[u8], lines: &mut KnownLines) -> Option<Self> {
        let (len, question) = match service {
            Service::Native => (first_packet(octets).ok()??.len(), Self::Native),
            Service::Http(_) => {
                let Read::Plain(Plain { name, len }) = Plain::read(octets, lines) else {
                    return None;
                };
                let name_len = name.len();
                (len, Self::Http { name_len })
            }
        };
        (len == octets.len()).then_some(question)
    }
}

impl Joined {
    /// Counts the answer that was made, if it has not been counted yet, and says whether it may be
    /// given now.
    pub(super) fn is_admitted(&self, moment: &Moment<'_>) -> bool {
        let Moment { node, limits, .. } = moment;
        match self.question {
            Question::Native => node.requests.admits(self.peer.ip(), limits, moment.now_ms),
            Question::Http { .. } => true,
        }
    }
}

impl Round {
    pub(super) fn is_empty(&self) -> bool {
        self.joined.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.joined.len() == AHEAD
    }

    pub(super) fn joined(&self, n: usize) -> Option<&Joined> {
        self.joined.get(n)
    }

    /// The room for the octets of the next connection. The round must not be full.
    pub(super) fn slot(&mut self) -> &mut [u8] {
        if self.octets.is_empty() {
            self.octets = vec![0; AHEAD * SLOT_LEN];
        }
        let start = self.joined.len() * SLOT_LEN;
        self.octets
            .get_mut(start..start + SLOT_LEN)
            .unwrap_or_default()
    }

    /// Takes a connection in whose question has been read into its slot.
    pub(super) fn join(&mut self, key: usize, peer: SocketAddr, question: Question, len: usize) {
        self.joined.push(Joined {
            key,
            peer,
            question,
            len,
            answer: 0..0,
        });
    }

    pub(super) fn question(&self, n: usize) -> &[u8] {
        let len = self.joined.get(n).map_or(0, |joined| joined.len);
        let start = n * SLOT_LEN;
        self.octets.get(start..start + len).unwrap_or_default()
    }

    /// The answer of a connection; nothing, if it was not found at once.
    pub(super) fn answer(&self, joined: &Joined) -> &[u8] {
        self.out.get(joined.answer.clone()).unwrap_or_default()
    }

    /// Answers the plain questions for what is in memory.
    pub(super) fn answer_all(&mut self, moment: &Moment<'_>, buffers: &mut Buffers) {
        self.out.clear();
        let is_native = |joined: &Joined| joined.question == Question::Native;
        if self.joined.iter().any(is_native) {
            self.answer_packets(moment, &mut buffers.keys);
        }
        if !self.joined.iter().all(is_native) {
            self.answer_names(moment, buffers);
        }
    }

    fn answer_packets(&mut self, moment: &Moment<'_>, keys: &mut Vec<u8>) {
        let node = moment.node;
        let Self {
            joined,
            octets,
            out,
        } = self;
        let mut slots = joined.iter().zip(octets.chunks(SLOT_LEN));
        let packets = [(); AHEAD].map(|()| {
            let (joined, slot) = slots.next()?;
            let is_native = joined.question == Question::Native;
            slot.get(..joined.len).filter(|_| is_native)
        });
        let peer = |n: usize| joined.get(n).map(|joined| joined.peer.ip());
        let asked = Asked {
            site: moment.site,
            now_secs: moment.now_secs,
            via: Transport::Tcp,
            packets,
            may_recurse: |n| {
                peer(n).is_some_and(|peer| node.recursion_for(peer) == Recursion::Granted)
            },
        };
        let mut answers = [const { 0..0 }; AHEAD];
        let each = |n: usize, ready: Ready<'_>| {
            let start = out.len();
            let Some(answer) = answers.get_mut(n).filter(|_| start < OUT_MAX) else {
                return false;
            };
            let is_written = ready.write(out);
            *answer = start..out.len();
            is_written
        };
        let answered = node.answer_ahead(&asked, keys, each);
        self.note(answers, answered.is_ok());
    }

    fn answer_names(&mut self, moment: &Moment<'_>, buffers: &mut Buffers) {
        let node = moment.node;
        let Self {
            joined,
            octets,
            out,
        } = self;
        let mut slots = joined.iter().zip(octets.chunks(SLOT_LEN));
        let names = [(); AHEAD].map(|()| {
            let (joined, slot) = slots.next()?;
            match joined.question {
                Question::Native => None,
                Question::Http { name_len } => Plain::name_in(slot, name_len),
            }
        });
        let mut answers = [const { 0..0 }; AHEAD];
        let Buffers { body, keys, .. } = buffers;
        let each = |n: usize, record: &StoredRecord| {
            let (Some(answer), Some(joined), Some(Some(name))) =
                (answers.get_mut(n), joined.get(n), names.get(n))
            else {
                return;
            };
            let start = out.len();
            let is_written = start < OUT_MAX
                && write_quick_answer_at_hand(node, record, name, moment.date, body, out);
            if !is_written {
                return;
            }
            // Counted last: what is not answered here will be counted where it is.
            let admits = |ip| node.requests.admits(ip, moment.limits, moment.now_ms);
            match admits(joined.peer.ip()) {
                true => *answer = start..out.len(),
                false => out.truncate(start),
            }
        };
        let answered = node.records_ahead(moment.site, &names, keys, each);
        if answered.is_ok() {
            let count = answers.iter().filter(|answer| !answer.is_empty()).count();
            node.metrics.http_all(200, count);
        }
        self.note(answers, answered.is_ok());
    }

    /// Keeps where answers are.
    fn note(&mut self, answers: [Range<usize>; AHEAD], is_sound: bool) {
        if !is_sound {
            // Each of them is tried by itself.
            return tracing::error!("octets made the node panic; please report it");
        }
        for (joined, answer) in self.joined.iter_mut().zip(answers) {
            if !answer.is_empty() {
                joined.answer = answer;
            }
        }
    }

    /// Begins the next round.
    pub(super) fn clear(&mut self) {
        self.joined.clear();
        if self.out.capacity() > KEEP_LEN {
            self.out = Vec::new();
        }
    }
}
