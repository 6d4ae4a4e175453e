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

use super::worker::Moment;
use crate::ahead::{AHEAD, Asked, Ready};
use crate::metrics::Transport;

/// Octets that one connection may bring into a round. A question has some hundred; with more, it
/// has a turn of its own.
pub(super) const SLOT_LEN: usize = 1024;

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
    /// Octets of the question.
    len: usize,
    /// Where its answer is; empty, if it is not answered here.
    answer: Range<usize>,
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
    pub(super) fn join(&mut self, key: usize, peer: SocketAddr, len: usize) {
        self.joined.push(Joined {
            key,
            peer,
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

    /// Answers the plain questions for what is in memory. `keys` is working space.
    pub(super) fn answer_all(&mut self, moment: &Moment<'_>, keys: &mut Vec<u8>) {
        let node = moment.node;
        let Self {
            joined,
            octets,
            out,
        } = self;
        out.clear();
        let mut slots = joined.iter().zip(octets.chunks(SLOT_LEN));
        let packets = [(); AHEAD].map(|()| {
            let (joined, slot) = slots.next()?;
            slot.get(..joined.len)
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
            let Some(answer) = answers.get_mut(n).filter(|_| ready.write(out)) else {
                return false;
            };
            *answer = start..out.len();
            true
        };
        let answered = node.answer_ahead(&asked, keys, each);
        if answered.is_err() {
            // Each of them is tried by itself.
            answers.fill(0..0);
            tracing::error!("a packet made the node panic; please report it");
        }
        for (joined, answer) in joined.iter_mut().zip(answers) {
            joined.answer = answer;
        }
    }

    /// Begins the next round.
    pub(super) fn clear(&mut self) {
        self.joined.clear();
    }
}

/// Whether octets are one packet, and nothing else.
pub(super) fn is_one(octets: &[u8]) -> bool {
    matches!(first_packet(octets), Ok(Some(packet)) if packet.len() == octets.len())
}
