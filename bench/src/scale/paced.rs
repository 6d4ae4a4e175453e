//! Questions at times of their own: so many a second, whatever the server does.
//!
//! A closed load asks a server less while it stands still, and so hides that it does. Here the next
//! question leaves when it is due, on a thread that never reads, and its latency counts from just
//! before it leaves.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::dialect::{Dialect, Verdict};
use crate::load::{Draw, Law, PATIENCE, Tally};
use crate::machine;

/// Questions of which it is known when they left. More are never in flight: they would be older
/// than the patience with them.
const REMEMBERED: usize = 1 << 20;
/// Most answers in a datagram.
const ANSWER_LEN_MAX: usize = 2_048;
/// How long the receiver sleeps at most.
const SLEEP: Duration = Duration::from_millis(50);

/// Somebody who asks `rate` questions a second for records below a number.
pub(super) struct Paced<'a> {
    dialect: &'a dyn Dialect,
    draw: Draw,
    address: SocketAddr,
    rate: f64,
}

/// A question that left: its record, and when, in nanoseconds since the start, or 0.
#[derive(Default)]
struct Asked {
    record: AtomicU64,
    at_ns: AtomicU64,
}

impl<'a> Paced<'a> {
    /// Asks for each record once, so that all of them are in the server's memory from then on: a
    /// measurement that takes longer than the one it is compared with would meet others otherwise,
    /// which have to be read first.
    pub(super) fn warmed(
        dialect: &'a dyn Dialect,
        address: SocketAddr,
        rate: f64,
        records: u32,
    ) -> Result<Self> {
        let client = Self {
            dialect,
            draw: Draw::new(Law::Uniform, records)?,
            address,
            rate,
        };
        let tally = client.ask(0..records, || false)?;
        match tally.errors() {
            0 => Ok(client),
            errors => bail!("{errors} of {records} answers are wrong or missing"),
        }
    }

    /// Asks until `is_over`, then waits for what is in flight.
    pub(super) fn run_until(&self, is_over: impl Fn() -> bool + Sync) -> Result<Tally> {
        let mut draw = self.draw.clone();
        self.ask(std::iter::repeat_with(move || draw.next()), is_over)
    }

    /// Asks for `time`.
    pub(super) fn run(&self, time: Duration) -> Result<Tally> {
        let begun = Instant::now();
        self.run_until(|| begun.elapsed() >= time)
    }

    fn ask(
        &self,
        records: impl Iterator<Item = u32> + Send,
        is_over: impl Fn() -> bool + Sync,
    ) -> Result<Tally> {
        let socket = UdpSocket::bind("127.0.0.1:0").context("no socket for questions")?;
        socket.connect(self.address)?;
        socket.set_read_timeout(Some(SLEEP))?;
        let asked: Vec<Asked> = (0..REMEMBERED).map(|_| Asked::default()).collect();
        let (begun, is_done) = (Instant::now(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            // Threads of their own, which nobody who is started meanwhile inherits precedence from.
            let receiver = scope.spawn(|| {
                machine::precede();
                self.receive(&socket, &asked, begun, &is_done)
            });
            let sender = scope.spawn(|| {
                machine::precede();
                self.send(records, &socket, &asked, begun, &is_over)
            });
            let sent = sender.join();
            is_done.store(true, Relaxed);
            let Ok(sent) = sent else {
                bail!("the thread that sends has panicked");
            };
            let Ok(tally) = receiver.join() else {
                bail!("the thread that receives has panicked");
            };
            let (sent, mut tally) = (sent?, tally?);
            tally.timeouts = sent.saturating_sub(tally.answers + tally.wrong);
            Ok(tally)
        })
    }

    fn send(
        &self,
        records: impl Iterator<Item = u32>,
        socket: &UdpSocket,
        asked: &[Asked],
        begun: Instant,
        is_over: &impl Fn() -> bool,
    ) -> Result<u64> {
        let (mut sent, mut question) = (0_u64, Vec::new());
        for record in records.take_while(|_| !is_over()) {
            let due = Duration::from_secs_f64(sent as f64 / self.rate);
            if let Some(early) = due.checked_sub(begun.elapsed()) {
                std::thread::sleep(early);
            }
            question.clear();
            self.dialect
                .ask(record, sent as u32 & ID_MASK, &mut question);
            let place = &asked[sent as usize % REMEMBERED];
            place.record.store(u64::from(record), Relaxed);
            place
                .at_ns
                .store(begun.elapsed().as_nanos() as u64, Relaxed);
            socket.send(&question).context("questions cannot be sent")?;
            sent += 1;
        }
        Ok(sent)
    }

    fn receive(
        &self,
        socket: &UdpSocket,
        asked: &[Asked],
        begun: Instant,
        is_done: &AtomicBool,
    ) -> Result<Tally> {
        let (mut tally, mut answer) = (Tally::new(), [0; ANSWER_LEN_MAX]);
        let mut last = Instant::now();
        // The last answers have as long as all others.
        while !is_done.load(Relaxed) || last.elapsed() < PATIENCE {
            let len = match socket.recv(&mut answer) {
                Ok(len) => len,
                Err(_) if is_done.load(Relaxed) => continue,
                Err(_) => {
                    last = Instant::now();
                    continue;
                }
            };
            let now = begun.elapsed();
            if !is_done.load(Relaxed) {
                last = Instant::now();
            }
            let octets = &answer[..len];
            let Some(id) = self.dialect.id(octets) else {
                tally.strays += 1;
                continue;
            };
            let place = &asked[id as usize % REMEMBERED];
            let record = place.record.load(Relaxed) as u32;
            let left = Duration::from_nanos(place.at_ns.load(Relaxed));
            match self.dialect.judge(record, id, octets) {
                Verdict::Right(_) => tally.right(begun + left, begun + now),
                _ => tally.wrong += 1,
            }
        }
        tally.time = begun.elapsed().saturating_sub(PATIENCE);
        Ok(tally)
    }
}

/// An id has so many bits over the native protocol.
const ID_MASK: u32 = (1 << 31) - 1;
