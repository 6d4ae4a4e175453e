//! One thread: its listeners, its connections, its buffers.
//!
//! epoll tells once of octets that arrive on a connection (it is edge-triggered), which spares the
//! system a second look at each connection. A turn of a connection ends after one read however much
//! is there: what may have more is remembered, and the others come first. epoll is used by way of
//! `nix`, as the other system calls of listeners are; a portable layer would hide just that, and
//! nodes run on Linux.
//!
//! Time is looked at once for every wait. Connections that take too long are found by a walk over
//! all of them, every [`SWEEP_MS`], so that no request has to set an alarm.

use std::io::{ErrorKind, Read};
use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::{Duration, SystemTime};

use guantong_core::authority::Site;
use guantong_store::Recipient;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use slab::Slab;

use super::change::Changes;
use super::connection::{Connection, Leave, Left, PENDING_MAX, Rest};
use super::http::KnownLines;
use super::read::{Answered, Came, Request, Returned, Returns, Ticket};
use super::round::{Question, Round, SLOT_LEN};
use super::{Handed, Service, Signal, WayOn};
use crate::config::Limits;
use crate::errand;
use crate::listen::{ACCEPT_PAUSE, admit, canonical, on_accept_error};
use crate::metrics::Drop as Dropped;
use crate::node::{Node, Scratch};
use crate::priority::take_short_turns;

/// Octets that a connection may bring before it is the turn of the next one: some two hundred
/// requests in one go.
pub(super) const READ_LEN: usize = 16 * 1024;
/// Connections that one wait tells of.
pub(super) const EVENTS: usize = 256;
/// Connections that are accepted before those that are open have their turn.
const ACCEPTS_MAX: usize = 64;
/// How often connections are looked at whose time may be over. They are closed up to so much later.
pub(super) const SWEEP_MS: u64 = 1_000;
/// Buffers larger than this are given back.
pub(super) const KEEP_LEN: usize = 512 * 1024;
/// Pause after an error of epoll that may last, so that it does not keep a core busy.
pub(super) const ERROR_PAUSE: Duration = Duration::from_millis(20);

/// What a connection is polled for: octets, each told of once.
const ARRIVES: EpollFlags = EpollFlags::EPOLLIN.union(EpollFlags::EPOLLET);
/// What is told of a connection on which nothing more will arrive.
const ENDS: EpollFlags = EpollFlags::EPOLLRDHUP
    .union(EpollFlags::EPOLLHUP)
    .union(EpollFlags::EPOLLERR);

/// The number of the signal to stop among events.
const SIGNAL: u64 = u64::MAX;
/// The number of what was waited for elsewhere.
const RETURNS: u64 = u64::MAX - 1;
/// The number of the first listener among events; those of connections are smaller.
const DOORS_AT: u64 = 1 << 48;

//----------- Door -----------------------------------------------------------

/// A listener, and what is spoken there.
pub(super) struct Door {
    service: Service,
    pub(super) listener: TcpListener,
    /// Accepts nothing before that time, because the system was short of something.
    shut_until_ms: Option<u64>,
}

impl Door {
    pub(super) fn new(service: Service, listener: TcpListener) -> Self {
        Self {
            service,
            listener,
            shut_until_ms: None,
        }
    }
}

//----------- Moment, Buffers ------------------------------------------------

/// What everything between two waits has in common.
pub(super) struct Moment<'a> {
    pub(super) node: &'a Node,
    pub(super) site: &'a Site,
    pub(super) limits: &'a Limits,
    pub(super) now_secs: u32,
    pub(super) now_ms: u64,
    /// The time as HTTP writes it.
    pub(super) date: &'a str,
}

/// What answers are made with; all connections of a thread use it in turns.
pub(super) struct Buffers {
    /// Answers of the connection whose turn it is.
    pub(super) out: Vec<u8>,
    /// The body of an answer whose length stands in front of it.
    pub(super) body: Vec<u8>,
    /// Keys of plain questions.
    pub(super) keys: Vec<u8>,
    /// The lines of the last request over HTTP.
    pub(super) lines: KnownLines,
    pub(super) scratch: Scratch,
}

/// The time as HTTP writes it, made once a second.
#[derive(Default)]
struct Date {
    secs: u32,
    text: String,
}

impl Date {
    fn at(&mut self, now_secs: u32) -> &str {
        if self.text.is_empty() || self.secs != now_secs {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(now_secs.into());
            self.text = httpdate::fmt_http_date(time);
            self.secs = now_secs;
        }
        &self.text
    }
}

//----------- Worker ---------------------------------------------------------

/// A thread that polls.
pub(super) struct Worker {
    pub(super) way_on: WayOn,
    pub(super) signal: Arc<Signal>,
    /// Told, by dropping it, when what can be handed over at the end is.
    pub(super) left: Option<mpsc::Sender<()>>,
    pub(super) epoll: Epoll,
    pub(super) doors: Vec<Door>,
    pub(super) connections: Slab<Connection>,
    /// Connections that are to have another turn, of which epoll does not tell again.
    pub(super) again: Vec<usize>,
    /// Connections that are answered together.
    round: Round,
    /// What was waited for elsewhere.
    pub(super) returns: Arc<Returns>,
    /// The same, as the store knows it.
    pub(super) recipient: Arc<dyn Recipient>,
    /// The number of what was last waited for.
    waits: u32,
    /// Changes that are being written.
    pub(super) changes: Changes,
    /// What has arrived for the connection whose turn it is.
    read: Box<[u8]>,
    pub(super) buffers: Buffers,
    swept_ms: u64,
}

impl Worker {
    pub(super) fn new(
        way_on: WayOn,
        doors: Vec<Door>,
        signal: Arc<Signal>,
        left: mpsc::Sender<()>,
    ) -> std::io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let returns = Arc::new(Returns::new()?);
        epoll.add(&signal.wake, EpollEvent::new(EpollFlags::EPOLLIN, SIGNAL))?;
        epoll.add(&returns.wake, EpollEvent::new(EpollFlags::EPOLLIN, RETURNS))?;
        for (door, number) in doors.iter().zip(DOORS_AT..) {
            epoll.add(&door.listener, EpollEvent::new(EpollFlags::EPOLLIN, number))?;
        }
        Ok(Self {
            way_on,
            signal,
            left: Some(left),
            epoll,
            doors,
            connections: Slab::new(),
            again: Vec::new(),
            round: Round::default(),
            recipient: returns.clone(),
            returns,
            waits: 0,
            changes: Changes::default(),
            read: vec![0; PENDING_MAX + READ_LEN].into(),
            buffers: Buffers {
                out: Vec::new(),
                body: Vec::new(),
                keys: Vec::new(),
                lines: KnownLines::default(),
                scratch: Scratch::default(),
            },
            swept_ms: 0,
        })
    }

    pub(super) fn run(mut self) {
        take_short_turns();
        let node = self.way_on.node.clone();
        let mut events = [EpollEvent::empty(); EVENTS];
        let mut date = Date::default();
        let mut now_ms = node.uptime_ms();
        loop {
            let woken = self.epoll.wait(&mut events, self.patience(now_ms));
            now_ms = node.uptime_ms();
            let now_secs = node.now_secs();
            let moment = Moment {
                node: &node,
                site: &node.site(),
                limits: &node.config().limits,
                now_secs,
                now_ms,
                date: date.at(now_secs),
            };
            if self.signal.is_told.load(Ordering::Relaxed) {
                return self.leave(&moment);
            }
            match woken {
                Ok(count) => {
                    for key in std::mem::take(&mut self.again) {
                        self.turn(key, &moment);
                    }
                    for event in events.iter().take(count) {
                        self.on_event(event, &moment);
                    }
                    self.answer_round(&moment);
                    self.submit(&node);
                }
                Err(Errno::EINTR) => {}
                Err(error) => {
                    if node.throttle().allows(&node.metrics, moment.now_ms) {
                        tracing::error!(%error, "a thread of TCP and HTTP cannot wait");
                    }
                    std::thread::sleep(ERROR_PAUSE);
                }
            }
            if now_ms >= self.swept_ms + SWEEP_MS {
                self.sweep(&moment);
            }
            self.open_doors(&moment);
        }
    }

    /// How long nothing may happen.
    fn patience(&self, now_ms: u64) -> EpollTimeout {
        if !self.again.is_empty() {
            return EpollTimeout::ZERO;
        }
        let sweep = (!self.connections.is_empty()).then_some(self.swept_ms + SWEEP_MS);
        let doors = self.doors.iter().filter_map(|door| door.shut_until_ms);
        match doors.chain(sweep).min() {
            None => EpollTimeout::NONE,
            Some(due_ms) => {
                let left_ms = due_ms.saturating_sub(now_ms).min(SWEEP_MS);
                EpollTimeout::try_from(left_ms).unwrap_or(EpollTimeout::ZERO)
            }
        }
    }

    fn on_event(&mut self, event: &EpollEvent, moment: &Moment<'_>) {
        let number = event.data();
        if number == RETURNS {
            return self.on_returns(moment);
        }
        match number.checked_sub(DOORS_AT).map(usize::try_from) {
            Some(Ok(door)) => self.accept(door, moment),
            Some(Err(_)) => {}
            None => {
                let key = usize::try_from(number).unwrap_or(usize::MAX);
                if let Some(connection) = self.connections.get_mut(key) {
                    connection.has_ended |= event.events().intersects(ENDS);
                }
                match self.join_round(key) {
                    true if self.round.is_full() => self.answer_round(moment),
                    true => {}
                    false => self.turn(key, moment),
                }
            }
        }
    }

    //--- Accepting

    fn accept(&mut self, at: usize, moment: &Moment<'_>) {
        let Some(door) = self.doors.get_mut(at) else {
            return;
        };
        for _ in 0..ACCEPTS_MAX {
            let (stream, peer) = match door.listener.accept() {
                Ok(accepted) => accepted,
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return,
                    // The peer went away, or a signal came; the next one may be well.
                    ErrorKind::ConnectionAborted | ErrorKind::Interrupted => continue,
                    _ => {
                        on_accept_error(moment.node, &error);
                        // Until then it would be told of again and again.
                        let pause = u64::try_from(ACCEPT_PAUSE.as_millis()).unwrap_or(0);
                        door.shut_until_ms = Some(moment.now_ms + pause);
                        let _ = self.epoll.delete(&door.listener);
                        return;
                    }
                },
            };
            let peer = canonical(peer);
            let Some(place) = admit(moment.node, peer, door.service.transport()) else {
                continue;
            };
            let entry = self.connections.vacant_entry();
            let number = u64::try_from(entry.key()).unwrap_or(u64::MAX);
            // Answers are whole packets already; waiting for more would only delay them.
            let _ = stream.set_nodelay(true);
            let polled = stream.set_nonblocking(true).and_then(|()| {
                let event = EpollEvent::new(ARRIVES.union(ENDS), number);
                Ok(self.epoll.add(&stream, event)?)
            });
            match polled {
                Ok(()) => {
                    entry.insert(Connection {
                        stream,
                        peer,
                        place,
                        door: at,
                        is_new: true,
                        has_ended: false,
                        is_unseen: false,
                        asks_singly: false,
                        waits: None,
                        has_errand: false,
                        pending: Box::default(),
                        since_ms: moment.now_ms,
                    });
                }
                Err(error) => on_accept_error(moment.node, &error),
            }
        }
    }

    /// Listens again where the system was short of something.
    fn open_doors(&mut self, moment: &Moment<'_>) {
        for (door, number) in self.doors.iter_mut().zip(DOORS_AT..) {
            if door
                .shut_until_ms
                .is_none_or(|until_ms| until_ms > moment.now_ms)
            {
                continue;
            }
            let event = EpollEvent::new(EpollFlags::EPOLLIN, number);
            if self.epoll.add(&door.listener, event).is_ok() {
                door.shut_until_ms = None;
            }
        }
    }

    //--- Connections

    /// Reads and answers on a connection, once.
    pub(super) fn turn(&mut self, key: usize, moment: &Moment<'_>) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        if connection.waits.is_some() {
            // It has its turn when that is there.
            connection.is_unseen = true;
            return;
        }
        let Some(door) = self.doors.get(connection.door) else {
            return;
        };
        let (read, buffers) = (&mut self.read[..], &mut self.buffers);
        // A panic would be a mistake of ours. It must cost this connection, not all of the thread.
        let turn = || connection.turn(&door.service, moment, read, buffers);
        match catch_unwind(AssertUnwindSafe(turn)) {
            Ok(Ok(Left::Nothing)) => {}
            Ok(Ok(Left::Something)) => self.again.push(key),
            // The end itself is read last, behind what had arrived before it.
            Ok(Ok(Left::Unknown)) if connection.has_ended => self.again.push(key),
            Ok(Ok(Left::Unknown)) => {}
            Ok(Ok(Left::Read { len })) => self.begin_read(key, len),
            Ok(Ok(Left::Errand { len, course })) => self.begin_errand(key, len, course, moment),
            Ok(Err(Leave::Closed)) => self.close(key),
            Ok(Err(Leave::HandOver(rest))) => self.hand_over(key, rest),
            Err(_) => {
                let peer = connection.peer;
                tracing::error!(%peer, "octets made the node panic; please report it");
                self.close(key);
            }
        }
        for buffer in [&mut self.buffers.out, &mut self.buffers.body] {
            if buffer.capacity() > KEEP_LEN {
                *buffer = Vec::new();
            }
        }
    }

    //--- Rounds

    /// Reads the question of a connection that is expected to bring just one, to be answered with
    /// those of others. Says whether it did; if not, the connection is to have a turn.
    fn join_round(&mut self, key: usize) -> bool {
        let Some(connection) = self.connections.get_mut(key) else {
            return false;
        };
        let is_expected = connection.asks_singly
            && connection.waits.is_none()
            && connection.pending.is_empty()
            && !connection.has_ended;
        if !is_expected {
            return false;
        }
        let Some(door) = self.doors.get(connection.door) else {
            return false;
        };
        let slot = self.round.slot();
        let octets = match connection.stream.read(slot) {
            Ok(len) if len > 0 => slot.get(..len).unwrap_or_default(),
            // The turn finds the same.
            _ => return false,
        };
        let lines = &mut self.buffers.lines;
        let question = match octets.len() {
            SLOT_LEN => None,
            _ => Question::read(&door.service, octets, lines),
        };
        match question {
            Some(question) => {
                let len = octets.len();
                self.round.join(key, connection.peer, question, len);
            }
            None => {
                connection.asks_singly = false;
                connection.pending = octets.into();
                connection.is_unseen = true;
            }
        }
        question.is_some()
    }

    /// Answers the connections of the round.
    fn answer_round(&mut self, moment: &Moment<'_>) {
        if self.round.is_empty() {
            return;
        }
        let mut round = std::mem::take(&mut self.round);
        round.answer_all(moment, &mut self.buffers);
        let mut n = 0;
        while let Some(joined) = round.joined(n) {
            let (key, answer) = (joined.key, round.answer(joined));
            if let Some(connection) = self.connections.get_mut(key) {
                match answer {
                    [] => {
                        connection.pending = round.question(n).into();
                        connection.is_unseen = true;
                        self.turn(key, moment);
                    }
                    _ => match connection.give(answer, joined.is_admitted(moment), moment) {
                        Ok(()) => {}
                        Err(Leave::Closed) => self.close(key),
                        Err(Leave::HandOver(rest)) => self.hand_over(key, rest),
                    },
                }
            }
            n += 1;
        }
        round.clear();
        self.round = round;
    }

    //--- Reads and errands

    /// Makes the first request that is pending on a connection wait for what is done elsewhere.
    pub(super) fn request(&mut self, key: usize, len: usize) -> Option<Request> {
        let connection = self.connections.get_mut(key)?;
        let door = self.doors.get(connection.door)?;
        self.waits = self.waits.wrapping_add(1);
        let number = self.waits;
        connection.waits = Some(number);
        Some(Request {
            ticket: Ticket { key, number },
            transport: door.service.transport(),
            peer: connection.peer,
            octets: connection.pending.get(..len).unwrap_or_default().into(),
        })
    }

    /// Has the first request that is pending answered elsewhere.
    fn begin_read(&mut self, key: usize, len: usize) {
        if let Some(request) = self.request(key, len) {
            self.way_on.read(request, self.returns.clone());
        }
    }

    /// Goes on with what has come back.
    pub(super) fn on_returns(&mut self, moment: &Moment<'_>) {
        let Returned { answered, outcomes } = self.returns.take_all();
        self.on_outcomes(outcomes, moment);
        for Answered { ticket, len, came } in answered {
            match came {
                Came::Answer(out) => self.on_answer(ticket, len, &out, moment),
                Came::Reply(out, rest) => self.on_reply(ticket, len, &out, rest, moment),
                Came::More => {
                    if let Some(connection) = self.waiting(ticket) {
                        let rest = connection.half_message(moment.limits);
                        self.hand_over(ticket.key, rest);
                    }
                }
                Came::Nothing => self.break_off(ticket),
            }
        }
    }

    /// The connection that waits for this, unless it has gone.
    pub(super) fn waiting(&mut self, ticket: Ticket) -> Option<&mut Connection> {
        let connection = self.connections.get_mut(ticket.key)?;
        (connection.waits == Some(ticket.number)).then_some(connection)
    }

    /// Goes on with a connection whose request was answered elsewhere.
    fn on_answer(&mut self, ticket: Ticket, len: usize, out: &[u8], moment: &Moment<'_>) {
        let Some(connection) = self.waiting(ticket) else {
            return;
        };
        connection.waits = None;
        let left = connection.pending.get(len..).unwrap_or_default();
        connection.pending = left.into();
        connection.is_unseen = true;
        connection.is_new = false;
        connection.since_ms = moment.now_ms;
        match connection.write(out) {
            Ok(written) if written == out.len() => self.again.push(ticket.key),
            Ok(written) => {
                let rest = Rest {
                    octets: connection.pending.to_vec(),
                    out: out.get(written..).unwrap_or_default().to_vec(),
                    owed: 0,
                    due_ms: None,
                };
                self.hand_over(ticket.key, rest);
            }
            Err(_) => self.close(ticket.key),
        }
    }

    /// Closing takes it out of the epoll, too.
    pub(super) fn close(&mut self, key: usize) {
        drop(self.connections.try_remove(key));
    }

    pub(super) fn hand_over(&mut self, key: usize, rest: Rest) {
        self.hand_over_with(key, rest, errand::Rest::None);
    }

    /// Hands a connection over on which something is to be sent first.
    pub(super) fn hand_over_with(&mut self, key: usize, rest: Rest, first: errand::Rest) {
        let Some(connection) = self.connections.try_remove(key) else {
            return;
        };
        // The descriptor stays open, so it has to be taken out.
        let _ = self.epoll.delete(&connection.stream);
        let Some(door) = self.doors.get(connection.door) else {
            return;
        };
        let handed = Handed {
            stream: connection.stream,
            peer: connection.peer,
            place: connection.place,
            is_new: connection.is_new,
            octets: rest.octets,
            out: rest.out,
            owed: rest.owed,
            due_ms: rest.due_ms,
            first,
        };
        self.way_on.hand_over(&door.service, handed);
    }

    //--- Time

    /// Ends what has taken too long.
    fn sweep(&mut self, moment: &Moment<'_>) {
        self.swept_ms = moment.now_ms;
        let mut over = Vec::new();
        for (key, connection) in &self.connections {
            let door = self.doors.get(connection.door);
            let Some(service) = door.map(|door| &door.service) else {
                continue;
            };
            let is_ours = connection.waits.is_none();
            if is_ours && connection.ends_ms(service, moment.limits) <= moment.now_ms {
                over.push(key);
            }
        }
        for key in over {
            self.end(key, moment);
        }
    }

    /// Ends a connection whose time is over.
    fn end(&mut self, key: usize, moment: &Moment<'_>) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        let peer = connection.peer;
        if connection.pending.is_empty() {
            moment.node.metrics.dropped(Dropped::Idle);
            tracing::debug!(%peer, why = Dropped::Idle.name(), "connection closed");
            return self.close(key);
        }
        let door = self.doors.get(connection.door);
        match door.map(|door| &door.service) {
            // Over there a peer is told what it did not finish.
            Some(Service::Native) => {
                let rest = connection.half_message(moment.limits);
                self.hand_over(key, rest);
            }
            _ => {
                tracing::debug!(%peer, "the head of a request took too long");
                self.close(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_is_that_of_the_second() {
        let mut date = Date::default();
        assert_eq!(date.at(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date.at(784_111_778), "Sun, 06 Nov 1994 08:49:38 GMT");
    }
}
