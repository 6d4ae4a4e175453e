//! Connections: many at a time, each with several questions on their way in order.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::{Draw, Load, PATIENCE, Tally};
use crate::dialect::{Dialect, Verdict};

/// Octets that one read takes at most.
const READ_LEN: usize = 256 * 1024;
/// Milliseconds that the thread sleeps at most when nothing arrives.
const SLEEP_MS: u8 = 50;
/// Events that one wait takes.
const EVENTS: usize = 256;

/// How a server is asked over streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamShape {
    /// Connections at a time.
    pub connections: usize,
    /// Questions on their way on each of them.
    pub depth: usize,
}

/// A client with several connections.
pub struct Stream<'a> {
    dialect: &'a dyn Dialect,
    draw: Draw,
    address: SocketAddr,
    epoll: Epoll,
    connections: Vec<Connection>,
    depth: usize,
    read: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    /// What has arrived and is not yet an answer.
    arrived: Vec<u8>,
    /// What the system has not taken yet.
    leaving: Vec<u8>,
    /// Questions on their way, in order: record, id, time.
    asked: VecDeque<(u32, u32, Instant)>,
    /// Whether there has been an answer on it.
    has_answered: bool,
}

/// An event.
#[derive(Clone, Copy)]
struct Told {
    /// Of which connection.
    number: usize,
    /// Whether the server sends nothing more on it.
    has_ended: bool,
}

impl From<&EpollEvent> for Told {
    fn from(event: &EpollEvent) -> Self {
        let ends = EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR;
        Self {
            number: event.data() as usize,
            has_ended: event.events().intersects(ends),
        }
    }
}

/// What became of a connection.
enum Fate {
    Lives,
    Ended,
}

impl<'a> Stream<'a> {
    /// Connects as often as `shape` says.
    pub fn new(
        dialect: &'a dyn Dialect,
        draw: Draw,
        address: SocketAddr,
        shape: StreamShape,
    ) -> Result<Self> {
        let mut this = Self {
            dialect,
            draw,
            address,
            epoll: Epoll::new(EpollCreateFlags::empty())?,
            connections: Vec::new(),
            depth: shape.depth.max(1),
            read: vec![0; READ_LEN],
        };
        for number in 0..shape.connections.max(1) {
            let connection = this.connect(number)?;
            this.connections.push(connection);
        }
        Ok(this)
    }

    fn connect(&self, number: usize) -> Result<Connection> {
        let stream = TcpStream::connect(self.address)
            .with_context(|| format!("no connection to {}", self.address))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        // Edges: connections are served in the order in which answers arrived on them, and nothing
        // is looked at twice. They tell of room as well: a full window needs no change of interest.
        let flags = EpollFlags::EPOLLIN
            | EpollFlags::EPOLLOUT
            | EpollFlags::EPOLLRDHUP
            | EpollFlags::EPOLLET;
        self.epoll
            .add(&stream, EpollEvent::new(flags, number as u64))?;
        Ok(Connection {
            stream,
            arrived: Vec::new(),
            leaving: Vec::new(),
            asked: VecDeque::with_capacity(self.depth),
            has_answered: false,
        })
    }

    /// Fills the depth of a connection with questions and sends them. They count from `now`.
    fn ask(&mut self, number: usize, now: Instant) -> io::Result<Fate> {
        let connection = &mut self.connections[number];
        let id_bits = self.dialect.id_bits();
        while connection.asked.len() < self.depth {
            let record = self.draw.next();
            let id = record & (u32::MAX.checked_shr(u32::BITS - id_bits).unwrap_or(0));
            self.dialect.ask(record, id, &mut connection.leaving);
            connection.asked.push_back((record, id, now));
        }
        connection.write()
    }

    /// Reads what an event tells of, and judges it.
    fn receive(&mut self, event: Told, tally: &mut Tally) -> io::Result<Fate> {
        loop {
            let (fate, len) = self.receive_once(event.number, tally)?;
            // A read with room for more has taken everything, except for the end of the connection.
            let may_be_more = len == READ_LEN || (len > 0 && event.has_ended);
            if matches!(fate, Fate::Ended) || !may_be_more {
                return Ok(fate);
            }
        }
    }

    /// Reads once, judges what that brought, and says how many octets it were.
    fn receive_once(&mut self, number: usize, tally: &mut Tally) -> io::Result<(Fate, usize)> {
        let connection = &mut self.connections[number];
        let len = match connection.stream.read(&mut self.read) {
            Ok(0) => return Ok((Fate::Ended, 0)),
            Ok(len) => len,
            Err(error) if is_pause(&error) => return Ok((Fate::Lives, 0)),
            Err(_) => return Ok((Fate::Ended, 0)),
        };
        let now = Instant::now();
        // Most reads bring whole answers; only what is cut is copied.
        let mut kept = std::mem::take(&mut connection.arrived);
        let octets = match kept.is_empty() {
            true => &self.read[..len],
            false => {
                kept.extend_from_slice(&self.read[..len]);
                &kept[..]
            }
        };
        let mut at = 0;
        let mut fate = Fate::Lives;
        while at < octets.len() {
            let Some(&(record, id, asked)) = connection.asked.front() else {
                tally.strays += 1;
                fate = Fate::Ended;
                break;
            };
            match self.dialect.judge(record, id, &octets[at..]) {
                Verdict::Right(len) => {
                    tally.right(asked, now);
                    connection.has_answered = true;
                    at += len;
                }
                Verdict::Incomplete => break,
                Verdict::Wrong => {
                    tally.wrong += 1;
                    fate = Fate::Ended;
                    break;
                }
            }
            connection.asked.pop_front();
        }
        connection.arrived.extend_from_slice(&octets[at..]);
        Ok((fate, len))
    }

    /// One event of a connection: answers in, questions out.
    fn serve(&mut self, event: Told, tally: &mut Tally) -> Result<()> {
        let mut fate = self.receive(event, tally)?;
        if matches!(fate, Fate::Lives) {
            fate = self.ask(event.number, Instant::now())?;
        }
        if matches!(fate, Fate::Ended) {
            self.begin_again(event.number, tally)?;
        }
        Ok(())
    }

    /// Connects anew. A server that closes after each answer, as Handle.Net does, has been asked
    /// again before the client sees it: that question does not count, and the next one counts from
    /// before the connection, which is a part of what such a server costs. One that closes without
    /// any answer is in error.
    fn begin_again(&mut self, number: usize, tally: &mut Tally) -> Result<()> {
        let ended = &self.connections[number];
        let is_cut = !ended.arrived.is_empty();
        if is_cut || !ended.has_answered || ended.asked.len() > 1 {
            tally.broken += 1;
        }
        let begun = Instant::now();
        self.connections[number] = self.connect(number)?;
        self.ask(number, begun)?;
        Ok(())
    }

    /// Ends connections that have been silent for too long.
    fn give_up(&mut self, now: Instant, tally: &mut Tally) -> Result<()> {
        for number in 0..self.connections.len() {
            let oldest = self.connections[number].asked.front();
            let is_late = |asked: Instant| now.saturating_duration_since(asked) > PATIENCE;
            if oldest.is_some_and(|&(_, _, asked)| is_late(asked)) {
                tally.timeouts += self.connections[number].asked.len() as u64;
                let begun = Instant::now();
                self.connections[number] = self.connect(number)?;
                self.ask(number, begun)?;
            }
        }
        Ok(())
    }

    /// Waits for events once.
    fn wait(&self, events: &mut [EpollEvent]) -> Result<usize> {
        match self.epoll.wait(events, EpollTimeout::from(SLEEP_MS)) {
            Ok(count) => Ok(count),
            Err(nix::errno::Errno::EINTR) => Ok(0),
            Err(error) => Err(error).context("waiting for answers failed"),
        }
    }
}

impl Connection {
    fn write(&mut self) -> io::Result<Fate> {
        let mut done = 0;
        while done < self.leaving.len() {
            match self.stream.write(&self.leaving[done..]) {
                Ok(len) => done += len,
                Err(error) if is_pause(&error) => break,
                Err(_) => return Ok(Fate::Ended),
            }
        }
        self.leaving.drain(..done);
        Ok(Fate::Lives)
    }
}

fn is_pause(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

impl Load for Stream<'_> {
    fn run(&mut self, time: Duration) -> Result<Tally> {
        let mut tally = Tally::new();
        let mut events = vec![EpollEvent::empty(); EVENTS];
        let begun = Instant::now();
        let mut swept = begun;
        for number in 0..self.connections.len() {
            if self.connections[number].asked.is_empty() {
                self.ask(number, Instant::now())?;
            }
        }
        while begun.elapsed() < time {
            let count = self.wait(&mut events)?;
            for event in &events[..count] {
                self.serve(Told::from(event), &mut tally)?;
            }
            if swept.elapsed() > PATIENCE {
                swept = Instant::now();
                self.give_up(swept, &mut tally)?;
            }
        }
        tally.time = begun.elapsed();
        Ok(tally)
    }

    fn settle(&mut self, tally: &mut Tally) -> Result<()> {
        let begun = Instant::now();
        let mut late = Tally::new();
        let mut events = vec![EpollEvent::empty(); EVENTS];
        let is_awaited = |connection: &Connection| !connection.asked.is_empty();
        while self.connections.iter().any(is_awaited) && begun.elapsed() < PATIENCE {
            let count = self.wait(&mut events)?;
            for event in &events[..count] {
                let event = Told::from(event);
                let number = event.number;
                // What the system has not taken yet is on its way too.
                let mut fate = self.connections[number].write()?;
                if matches!(fate, Fate::Lives) {
                    fate = self.receive(event, &mut late)?;
                }
                if matches!(fate, Fate::Ended) {
                    let ended = &self.connections[number];
                    if ended.asked.len() > 1 || !ended.has_answered {
                        late.broken += 1;
                    }
                    self.connections[number] = self.connect(number)?;
                }
            }
        }
        for number in 0..self.connections.len() {
            let left = self.connections[number].asked.len();
            if left > 0 {
                late.timeouts += left as u64;
                self.connections[number] = self.connect(number)?;
            }
        }
        tally.add_errors(&late);
        Ok(())
    }
}
