//! A connection of a thread that polls: what it keeps between two turns, and a turn.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::worker::{Buffers, Moment};
use super::{Service, Then, http, native};
use crate::config::Limits;
use crate::errand::Course;
use crate::limit::Place;

/// Octets of a request that is not complete which a connection may keep here. They are copied and
/// looked at with every octet that follows, so there may not be many; nearly all requests are
/// shorter. Behind one that waits for the disk, as many are kept as one read has brought.
pub(super) const PENDING_MAX: usize = 4 * 1024;

/// A connection. At rest it costs a descriptor and these words.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) place: Place,
    /// Which listener it came by.
    pub(super) door: usize,
    pub(super) is_new: bool,
    /// Whether the peer sends nothing more, so that the last read gives the end.
    pub(super) has_ended: bool,
    /// Whether what is pending may hold whole requests, or something may have arrived of which
    /// epoll does not tell again.
    pub(super) is_unseen: bool,
    /// Whether the last turn brought one request and nothing else.
    pub(super) asks_singly: bool,
    /// The number of what the first pending request waits for.
    pub(super) waits: Option<u32>,
    /// Whether that is an errand: it is not begun a second time.
    pub(super) has_errand: bool,
    /// The beginning of a request whose end has not arrived; behind one that waits for a read,
    /// whatever has arrived.
    pub(super) pending: Box<[u8]>,
    /// When that began to arrive; where nothing is pending, when the last request was answered.
    pub(super) since_ms: u64,
}

/// What a turn left unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// The system has said that nothing is there.
    Nothing,
    /// No octets, but perhaps the end: the read had room for more.
    Unknown,
    /// Perhaps more octets: the read took as many as there was room for.
    Something,
    /// Whatever there is: the first request that is pending, so many octets long, comes first, and
    /// takes a read of the disk.
    Read { len: usize },
    /// Whatever there is: the first request that is pending comes first, and is an errand.
    Errand { len: usize, course: Course },
}

/// What was answered of some octets.
pub(super) struct Taken {
    pub(super) used: usize,
    /// So many requests that was.
    pub(super) count: u64,
    /// What the next request takes, if it has to be waited for.
    pub(super) wait: Option<Left>,
}

/// Why a connection leaves its thread.
pub(super) enum Leave {
    /// It has ended.
    Closed,
    /// It needs more than answers from memory.
    HandOver(Rest),
}

/// What is left to do on a connection.
pub(super) struct Rest {
    pub(super) octets: Vec<u8>,
    pub(super) out: Vec<u8>,
    pub(super) owed: u64,
    pub(super) due_ms: Option<u64>,
}

impl Connection {
    /// Reads once, answers what is whole and writes the answers.
    pub(super) fn turn(
        &mut self,
        service: &Service,
        moment: &Moment<'_>,
        read: &mut [u8],
        buffers: &mut Buffers,
    ) -> Result<Left, Leave> {
        let had = self.pending.len();
        let (front, room) = read.split_at_mut(had);
        front.copy_from_slice(&self.pending);
        let most = room.len();
        let (len, left) = match self.stream.read(room) {
            // What is pending fills the buffer: requests that were behind one from the disk.
            Ok(0) if most == 0 => (had, Left::Something),
            Ok(0) if had == 0 => return Err(Leave::Closed),
            // The peer may still read, and wants to hear what was wrong.
            Ok(0) => return Err(Leave::HandOver(self.half_message(moment.limits))),
            Ok(len) if len == most => (had + len, Left::Something),
            Ok(len) => (had + len, Left::Unknown),
            Err(error) if error.kind() == ErrorKind::WouldBlock && self.is_unseen => {
                (had, Left::Nothing)
            }
            Err(error) => {
                return match error.kind() {
                    ErrorKind::WouldBlock => Ok(Left::Nothing),
                    ErrorKind::Interrupted => Ok(Left::Something),
                    _ => Err(Leave::Closed),
                };
            }
        };
        let octets = read.get(..len).unwrap_or_default();
        let Taken { used, count, wait } = self.answer(octets, service, moment, buffers)?;
        self.is_unseen = wait.is_some() && left == Left::Something;
        // Who asks for a change will mostly ask for another one, which has no place in a round.
        let whole = match wait {
            Some(Left::Read { len }) => (used + len, count + 1),
            _ => (used, count),
        };
        self.asks_singly = whole == (octets.len(), 1);
        let rest = octets.get(used..).unwrap_or_default();
        if used > 0 || had == 0 {
            self.since_ms = moment.now_ms;
        }
        if !rest.is_empty() || had > 0 {
            self.pending = rest.into();
        }
        match wait {
            Some(wait) => Ok(wait),
            None if rest.len() > PENDING_MAX => {
                Err(Leave::HandOver(self.half_message(moment.limits)))
            }
            None => Ok(left),
        }
    }

    /// Answers what is whole.
    pub(super) fn answer(
        &mut self,
        octets: &[u8],
        service: &Service,
        moment: &Moment<'_>,
        buffers: &mut Buffers,
    ) -> Result<Taken, Leave> {
        let (mut used, mut count) = (0, 0);
        loop {
            buffers.out.clear();
            let left = octets.get(used..).unwrap_or_default();
            let step = match service {
                Service::Native => native::step(left, self.peer, moment, buffers),
                Service::Http(_) => http::step(left, self.peer, moment, buffers),
            };
            used += step.used;
            count += step.count;
            self.is_new &= step.used == 0;
            let (written, owed) = match step.then {
                Then::HandOver { owed } => (0, owed),
                _ => (self.write(&buffers.out)?, 0),
            };
            let out = buffers.out.get(written..).unwrap_or_default();
            match step.then {
                Then::Keep if out.is_empty() => {
                    let wait = None;
                    return Ok(Taken { used, count, wait });
                }
                Then::Read { len } if out.is_empty() => {
                    let wait = Some(Left::Read { len });
                    return Ok(Taken { used, count, wait });
                }
                Then::Errand { len, course } if out.is_empty() => {
                    let wait = Some(Left::Errand { len, course });
                    return Ok(Taken { used, count, wait });
                }
                Then::Write if out.is_empty() => {}
                // Or answers wait until the peer takes them, and nothing is read meanwhile.
                _ => {
                    return Err(Leave::HandOver(Rest {
                        octets: octets.get(used..).unwrap_or_default().to_vec(),
                        out: out.to_vec(),
                        owed,
                        due_ms: None,
                    }));
                }
            }
        }
    }

    /// Gives an answer that was not made in a turn, unless the address asks too fast.
    pub(super) fn give(
        &mut self,
        answer: &[u8],
        is_admitted: bool,
        moment: &Moment<'_>,
    ) -> Result<(), Leave> {
        self.is_new = false;
        self.since_ms = moment.now_ms;
        let written = if is_admitted { self.write(answer)? } else { 0 };
        match answer.get(written..).unwrap_or_default() {
            [] => Ok(()),
            // It waits until it is paid for, or until the peer takes it.
            out => Err(Leave::HandOver(Rest {
                octets: self.pending.to_vec(),
                out: out.to_vec(),
                owed: u64::from(!is_admitted),
                due_ms: None,
            })),
        }
    }

    /// Writes what the peer takes at once, and says how many octets that were.
    pub(super) fn write(&mut self, out: &[u8]) -> Result<usize, Leave> {
        if out.is_empty() {
            return Ok(0);
        }
        match self.stream.write(out) {
            Ok(len) => Ok(len),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::Interrupted => Ok(0),
                _ => Err(Leave::Closed),
            },
        }
    }

    /// What is left to do between two turns: the message that has begun, if one has.
    pub(super) fn half_message(&self, limits: &Limits) -> Rest {
        let is_half = !self.pending.is_empty();
        Rest {
            octets: self.pending.to_vec(),
            out: Vec::new(),
            owed: 0,
            due_ms: is_half.then(|| self.since_ms.saturating_add(limits.message_timeout.0)),
        }
    }

    /// When its time is over.
    pub(super) fn ends_ms(&self, service: &Service, limits: &Limits) -> u64 {
        let patience = match service {
            _ if !self.pending.is_empty() => limits.message_timeout,
            Service::Native => limits.idle_timeout,
            // The time for the head of the next request begins when the last one is answered.
            Service::Http(_) => limits.message_timeout.min(limits.idle_timeout),
        };
        self.since_ms.saturating_add(patience.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_at_rest_costs_a_hundred_octets() {
        assert!(
            size_of::<Connection>() <= 128,
            "{}",
            size_of::<Connection>()
        );
    }
}
