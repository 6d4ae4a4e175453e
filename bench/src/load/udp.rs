//! Datagrams: a window of questions in flight, sent and received in batches.

use std::io::{IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, recvmmsg, sendmmsg};

use super::{Draw, Load, PATIENCE, Tally};
use crate::dialect::{Dialect, Verdict};

/// Most questions in flight; a place in the window is the lowest octet of an id.
pub const WINDOW_MAX: usize = 192;
/// Datagrams that one system call takes.
const BATCH: usize = 64;
/// Room for one answer; what is longer is cut off and does not count as right.
const ANSWER_LEN_MAX: usize = 2_048;
/// Buffer for arriving answers that is asked of the system, which may grant less.
const SOCKET_BUFFER_LEN: usize = 4 * 1024 * 1024;
/// How long the thread sleeps at most when nothing arrives.
const SLEEP: Duration = Duration::from_millis(50);
/// The lowest bits of an id are the place in the window, the others tell its uses apart.
const PLACE_BITS: u32 = 8;

/// A question in flight, or none.
#[derive(Clone, Copy, Debug)]
struct Place {
    record: u32,
    id: u32,
    uses: u32,
    asked: Option<Instant>,
}

/// A client with one socket.
pub struct Udp<'a> {
    dialect: &'a dyn Dialect,
    draw: Draw,
    socket: UdpSocket,
    places: Vec<Place>,
    free: Vec<usize>,
    id_mask: u32,
    send_headers: MultiHeaders<()>,
    receive_headers: MultiHeaders<()>,
    questions: Vec<u8>,
    ends: Vec<usize>,
    answers: Box<[[u8; ANSWER_LEN_MAX]]>,
}

impl<'a> Udp<'a> {
    /// A client that keeps `window` questions in flight, 1 to [`WINDOW_MAX`].
    pub fn new(
        dialect: &'a dyn Dialect,
        draw: Draw,
        address: SocketAddr,
        window: usize,
    ) -> Result<Self> {
        ensure!(
            (1..=WINDOW_MAX).contains(&window),
            "{window} questions in flight; there may be 1 to {WINDOW_MAX}"
        );
        let any = match address {
            SocketAddr::V4(_) => "0.0.0.0:0",
            SocketAddr::V6(_) => "[::]:0",
        };
        let socket = UdpSocket::bind(any).context("no socket for questions")?;
        socket
            .connect(address)
            .with_context(|| format!("no way to {address}"))?;
        socket.set_read_timeout(Some(SLEEP))?;
        // The system's own default loses answers from a window of some 150 on.
        socket2::SockRef::from(&socket).set_recv_buffer_size(SOCKET_BUFFER_LEN)?;
        let place = Place {
            record: 0,
            id: 0,
            uses: 0,
            asked: None,
        };
        Ok(Self {
            dialect,
            draw,
            socket,
            places: vec![place; window],
            free: (0..window).rev().collect(),
            id_mask: u32::MAX >> (u32::BITS - dialect.id_bits()),
            send_headers: MultiHeaders::preallocate(BATCH, None),
            receive_headers: MultiHeaders::preallocate(BATCH, None),
            questions: Vec::new(),
            ends: Vec::new(),
            answers: vec![[0; ANSWER_LEN_MAX]; BATCH].into(),
        })
    }

    /// Asks with every free place of the window.
    fn ask(&mut self) -> Result<()> {
        while !self.free.is_empty() {
            let count = self.free.len().min(BATCH);
            self.write_questions(count);
            // On loopback the system delivers while it sends: the first question of a batch may be
            // answered before the call returns. Time that begins afterwards would hide that.
            let now = Instant::now();
            let sent = match self.send() {
                Ok(sent) => sent,
                // Nobody listens yet, or no longer: as if the questions were lost.
                Err(Errno::ECONNREFUSED | Errno::EINTR) => 0,
                Err(error) => return Err(error).context("questions cannot be sent"),
            };
            for _ in 0..sent {
                if let Some(place) = self.free.pop() {
                    self.places[place].asked = Some(now);
                }
            }
            if sent == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Writes questions for the last `count` free places, the last one first.
    fn write_questions(&mut self, count: usize) {
        self.questions.clear();
        self.ends.clear();
        for &number in self.free.iter().rev().take(count) {
            let place = &mut self.places[number];
            place.record = self.draw.next();
            place.uses = place.uses.wrapping_add(1);
            place.id = (place.uses << PLACE_BITS | number as u32) & self.id_mask;
            self.dialect
                .ask(place.record, place.id, &mut self.questions);
            self.ends.push(self.questions.len());
        }
    }

    fn send(&mut self) -> Result<usize, Errno> {
        let count = self.ends.len();
        let slices: [[IoSlice<'_>; 1]; BATCH] = std::array::from_fn(|n| {
            let end = self.ends.get(n).copied().unwrap_or(0);
            let start = match n {
                0 => 0,
                _ => self.ends.get(n - 1).copied().unwrap_or(0).min(end),
            };
            [IoSlice::new(&self.questions[start..end])]
        });
        let no_control: [ControlMessage<'_>; 0] = [];
        let sent = sendmmsg(
            self.socket.as_raw_fd(),
            &mut self.send_headers,
            slices[..count].iter(),
            &[None; BATCH][..count],
            no_control,
            MsgFlags::empty(),
        )?;
        Ok(sent.count())
    }

    /// Takes the answers that are there, or waits for one if `flags` say so, and judges them.
    fn receive(&mut self, flags: MsgFlags, tally: &mut Tally) -> Result<usize> {
        let mut buffers = self.answers.iter_mut();
        let mut slices: [[IoSliceMut<'_>; 1]; BATCH] = std::array::from_fn(|_| {
            let buffer = buffers.next().map_or(&mut [][..], |buffer| &mut buffer[..]);
            [IoSliceMut::new(buffer)]
        });
        let received = recvmmsg(
            self.socket.as_raw_fd(),
            &mut self.receive_headers,
            slices.iter_mut(),
            flags,
            None,
        );
        let mut lens = [0; BATCH];
        let count = match received {
            Ok(messages) => {
                let lens = lens.iter_mut().zip(messages);
                lens.map(|(len, message)| *len = message.bytes).count()
            }
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ECONNREFUSED) => 0,
            Err(error) => return Err(error).context("answers cannot be received"),
        };
        let now = Instant::now();
        for (number, &len) in lens[..count].iter().enumerate() {
            self.judge(number, len, now, tally);
        }
        if count == 0 {
            self.give_up(now, tally);
        }
        Ok(count)
    }

    /// Asks, and takes what has arrived without waiting; says whether that was anything.
    pub(super) fn turn(&mut self, tally: &mut Tally) -> Result<bool> {
        self.ask()?;
        Ok(self.receive(MsgFlags::MSG_DONTWAIT, tally)? > 0)
    }

    fn judge(&mut self, number: usize, len: usize, now: Instant, tally: &mut Tally) {
        let octets = &self.answers[number][..len];
        let id = self.dialect.id(octets);
        let number = id.map_or(usize::MAX, |id| (id & ((1 << PLACE_BITS) - 1)) as usize);
        let Some(place) = self.places.get_mut(number) else {
            tally.strays += 1;
            return;
        };
        let (true, Some(asked)) = (Some(place.id) == id, place.asked) else {
            tally.strays += 1;
            return;
        };
        match self.dialect.judge(place.record, place.id, octets) {
            Verdict::Right(right) if right == len => tally.right(asked, now),
            _ => tally.wrong += 1,
        }
        place.asked = None;
        self.free.push(number);
    }

    /// Gives up what has been in flight for too long.
    pub(super) fn give_up(&mut self, now: Instant, tally: &mut Tally) {
        for (number, place) in self.places.iter_mut().enumerate() {
            let is_late = |asked: Instant| now.saturating_duration_since(asked) > PATIENCE;
            if place.asked.is_some_and(is_late) {
                place.asked = None;
                self.free.push(number);
                tally.timeouts += 1;
            }
        }
    }
}

impl Load for Udp<'_> {
    fn run(&mut self, time: Duration) -> Result<Tally> {
        let mut tally = Tally::new();
        let begun = Instant::now();
        let mut swept = begun;
        while begun.elapsed() < time {
            self.ask()?;
            self.receive(MsgFlags::MSG_WAITFORONE, &mut tally)?;
            if swept.elapsed() > PATIENCE {
                swept = Instant::now();
                self.give_up(swept, &mut tally);
            }
        }
        tally.time = begun.elapsed();
        Ok(tally)
    }

    fn settle(&mut self, tally: &mut Tally) -> Result<()> {
        let begun = Instant::now();
        let mut late = Tally::new();
        while self.free.len() < self.places.len() && begun.elapsed() < PATIENCE {
            self.receive(MsgFlags::MSG_WAITFORONE, &mut late)?;
        }
        for (number, place) in self.places.iter_mut().enumerate() {
            if place.asked.take().is_some() {
                self.free.push(number);
                late.timeouts += 1;
            }
        }
        tally.add_errors(&late);
        Ok(())
    }
}
