//! Requests whose record is on the disk: answered by threads that may wait, and given back.
//!
//! The connection stays with its thread, which goes on with the others meanwhile. What follows on
//! it waits, as answers have the order of their requests.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use guantong_store::{Outcome, Recipient};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::http;
use super::http::{KnownLines, Plain};
use crate::errand::Rest;
use crate::http::{Disk, Quick, write_quick_answer};
use crate::metrics::Transport;
use crate::node::{Node, Via};

/// A request that takes a read.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) ticket: Ticket,
    pub(super) transport: Transport,
    pub(super) peer: SocketAddr,
    pub(super) octets: Vec<u8>,
}

/// Which connection waits: slots are used again, numbers are not, for a long time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) key: usize,
    pub(super) number: u32,
}

/// A request that was dealt with elsewhere.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) ticket: Ticket,
    /// Octets of the request.
    pub(super) len: usize,
    pub(super) came: Came,
}

/// What a request came to.
#[derive(Debug)]
pub(super) enum Came {
    /// This answer, counted against the rate of its address.
    Answer(Vec<u8>),
    /// It takes more than a read, and has to be answered from its beginning.
    More,
    /// The reply of an errand, not counted yet, and what is to be sent besides.
    Reply(Vec<u8>, Rest),
    /// An errand broke off.
    Nothing,
}

/// Answers a request, however long the disk takes.
pub(super) fn answer(node: &Node, request: &Request) -> Answered {
    let answer = match request.transport {
        Transport::Http => plain(node, request),
        _ => native(node, request),
    };
    // Above the rate of its address it is answered over there, after a pause.
    let answer = answer.filter(|_| {
        let limits = &node.config().limits;
        let peer = request.peer.ip();
        node.requests.admits(peer, limits, node.uptime_ms())
    });
    Answered {
        ticket: request.ticket,
        len: request.octets.len(),
        came: answer.map_or(Came::More, Came::Answer),
    }
}

fn native(node: &Node, request: &Request) -> Option<Vec<u8>> {
    let via = Via {
        transport: request.transport,
        peer: request.peer,
        by_console: false,
    };
    let mut out = Vec::new();
    let wait = node.answer(&request.octets, via, &mut out);
    wait.is_none().then_some(out)
}

fn plain(node: &Node, request: &Request) -> Option<Vec<u8>> {
    let mut lines = KnownLines::default();
    let http::Read::Plain(Plain { name, .. }) = Plain::read(&request.octets, &mut lines) else {
        return None;
    };
    let date = httpdate::fmt_http_date(SystemTime::now());
    let (mut text, mut out) = (Vec::new(), Vec::new());
    let site = node.site();
    match write_quick_answer(node, &site, Disk::Wait, name, &date, &mut text, &mut out) {
        Quick::Written => {
            node.metrics.http(200);
            Some(out)
        }
        Quick::OnDisk | Quick::Otherwise => None,
    }
}

//----------- Returns --------------------------------------------------------

/// Where a thread finds what its requests came to.
#[derive(Debug)]
pub(super) struct Returns {
    /// Told of every return.
    pub(super) wake: EventFd,
    returned: Mutex<Returned>,
}

/// What has come back.
#[derive(Debug, Default)]
pub(super) struct Returned {
    pub(super) answered: Vec<Answered>,
    /// What became of changes, by their marks.
    pub(super) outcomes: Vec<(usize, Outcome)>,
}

impl Returns {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            wake: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
            returned: Mutex::default(),
        })
    }

    pub(super) fn push(&self, answered: Answered) {
        self.locked().answered.push(answered);
        self.ring();
    }

    pub(super) fn take_all(&self) -> Returned {
        // Read first: what comes in between is told of again.
        let _ = self.wake.read();
        std::mem::take(&mut self.locked())
    }

    fn ring(&self) {
        if let Err(error) = self.wake.write(1) {
            tracing::error!(%error, "a thread of TCP and HTTP could not be woken");
        }
    }

    fn locked(&self) -> MutexGuard<'_, Returned> {
        self.returned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recipient for Returns {
    fn take(&self, mark: usize, outcome: Outcome) {
        self.locked().outcomes.push((mark, outcome));
    }

    fn wake(&self) {
        self.ring();
    }
}
