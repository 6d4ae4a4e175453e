//! The native protocol over TCP: connections that need more than answers from memory.
//!
//! A connection begins with a thread of `poll` and comes here when it needs
//! something that has to be waited for; it stays here until its end. It stays open until the peer
//! closes it or is idle for too long. Requests may be sent without waiting for answers; they are
//! answered in order, and everything that has arrived is answered with one write. Clients that send
//! one request per connection notice no difference.
//!
//! ```text
//!   read ≤ 8 KiB ──► Framer ──► answer each ──► one write ──► read …
//!                      │ nothing is read while answers wait: the peer's window is the queue
//! ```
//!
//! An answer that the resolver must be asked for holds up the ones behind it, not the making of
//! them: requests are taken as long as there is room for answers ([`WAITING_MAX`]).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use guantong_core::admin::{Listing, Stream};
use guantong_core::resolve::Answer;
use guantong_proto::frame::Framer;
use guantong_proto::limits::MESSAGE_LEN_MAX;
use guantong_proto::wire::Writer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::later::Slot;
use super::poll::Handed;
use crate::errand::{ListedSoFar, Logins, Rest};
use crate::limit::Place;
use crate::metrics::{Drop as Dropped, Transport};
use crate::mirror::{self, Served};
use crate::node::{Node, OnDisk, Via, Wait, with_scratch};
use crate::recurse::busy;
use crate::shutdown::Stop;

/// Octets read at a time, for each connection.
const READ_LEN: usize = 8 * 1024;
/// Answers are written when they have so many octets, even if more requests wait. With the largest
/// answer on top this bounds what a connection holds.
pub const WRITE_AT: usize = 64 * 1024;
/// Packets that are answered before other connections get their turn.
const BURST_MAX: u64 = 64;
/// Answers of one connection that wait for the resolver, or behind one that does.
pub const WAITING_MAX: usize = 64;
/// Buffers larger than this are given back when a connection falls idle.
const KEEP_LEN: usize = 64 * 1024;
/// Octets that are read and thrown away after an error, so that the peer can read our last words
/// before its own octets in flight make the system reset the connection.
const LINGER_LEN: usize = 256 * 1024;
/// Time for that.
const LINGER: Duration = Duration::from_secs(2);
/// Pause of a connection whose address asks faster than it may.
const RATE_PAUSE: Duration = Duration::from_millis(10);

/// Goes on with a connection until its end.
pub(super) async fn take_over(node: Arc<Node>, handed: Handed, stop: Stop) {
    let Handed {
        stream,
        peer,
        place,
        octets,
        out,
        owed,
        due_ms,
        first,
        ..
    } = handed;
    let stream = match TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => return tracing::error!(%peer, %error, "a connection could not go on"),
    };
    let mut framer = Framer::new();
    framer.push(&octets);
    let left_ms = |due_ms: u64| due_ms.saturating_sub(node.uptime_ms());
    let due = due_ms.map(|due_ms| Instant::now() + Duration::from_millis(left_ms(due_ms)));
    let connection = Connection {
        stream,
        via: Via {
            transport: Transport::Tcp,
            peer,
            by_console: false,
        },
        framer,
        out,
        waiting: VecDeque::new(),
        ended: false,
        logins: Logins::default(),
        _place: place,
        node,
    };
    connection.run(owed, first, due, &stop).await;
}

struct Connection {
    node: Arc<Node>,
    stream: TcpStream,
    via: Via,
    framer: Framer,
    /// Answers that are not written yet.
    out: Vec<u8>,
    /// Answers that may not be written yet, in their order; the first one waits for the resolver.
    waiting: VecDeque<Slot>,
    /// The peer sends nothing more; it still reads.
    ended: bool,
    logins: Logins,
    _place: Place,
}

/// What a connection waited for.
enum Next {
    /// So many octets; none: the peer sends nothing more.
    Read(usize),
    /// The answer that the first one in the queue waits for.
    Answered(Answer),
}

/// Why no more packets are answered at once.
enum Burst {
    /// No more have arrived.
    Over,
    /// Others should have their turn, or there is no room for more answers.
    Full,
    /// The last one needs something that has to be waited for.
    Waits(Wait, Box<[u8]>),
    /// The last one needs a record that is probably on the disk.
    Reads(Box<[u8]>),
    /// What follows is no packet.
    Malformed,
}

/// Why a connection ends.
enum End {
    /// The peer closed, or the transport failed.
    Closed,
    /// The node stops.
    Stopped,
    /// For a reason that is counted.
    Dropped(Dropped),
}

impl Connection {
    async fn run(mut self, owed: u64, first: Rest, due: Option<Instant>, stop: &Stop) {
        let begun = self.begin(owed, first, stop).await;
        let end = match begun {
            Ok(()) => self.talk(due, stop).await,
            Err(end) => Err(end),
        };
        let end = match end {
            Ok(end) | Err(end) => end,
        };
        if let End::Dropped(why) = end {
            self.node.metrics.dropped(why);
            tracing::debug!(peer = %self.via.peer, why = why.name(), "connection closed");
        }
        match end {
            End::Dropped(Dropped::Malformed) => self.linger().await,
            _ => {
                let _ = self.stream.shutdown().await;
            }
        }
    }

    /// Takes care of what was answered before: so many requests are not yet counted, and `first` is
    /// what the last one came to.
    async fn begin(&mut self, owed: u64, first: Rest, stop: &Stop) -> Result<(), End> {
        self.pay(owed).await?;
        self.write().await?;
        match first {
            Rest::List(listing) => self.send_list(&listing).await,
            Rest::Stream(stream) => self.feed(&stream, stop).await,
            Rest::None | Rest::Proven => Ok(()),
        }
    }

    /// Answers what has arrived, and what arrives from then on. The message that is arriving must
    /// be complete when it is `due`.
    async fn talk(&mut self, mut due: Option<Instant>, stop: &Stop) -> Result<End, End> {
        let mut read = vec![0; READ_LEN];
        let mut arrived = 0;
        loop {
            self.answer_all(stop).await?;
            self.write().await?;
            due = match (self.framer.pending(), due) {
                (0, _) => None,
                // Answering used up what was due; what is left now has begun just now.
                (pending, Some(due)) if pending > arrived => Some(due),
                _ => Some(Instant::now() + self.message_timeout()),
            };
            if due.is_none() {
                self.give_back();
            }
            if self.ended && self.waiting.is_empty() {
                self.answer_cut_off().await;
                return Ok(End::Closed);
            }
            let had = self.framer.pending();
            let next = self.next(&mut read, due, stop).await;
            if let Err(End::Dropped(Dropped::Slow)) = next {
                self.answer_cut_off().await;
            }
            match next? {
                Next::Read(0) => self.ended = true,
                Next::Read(len) => self.framer.push(&read[..len]),
                Next::Answered(answer) => {
                    self.settle(&answer).await?;
                    // Meanwhile nothing had to arrive.
                    due = None;
                }
            }
            arrived = self.framer.pending() - had;
        }
    }

    /// Waits for octets, or for the answer that holds up the others, whichever comes first.
    async fn next(
        &mut self,
        buf: &mut [u8],
        due: Option<Instant>,
        stop: &Stop,
    ) -> Result<Next, End> {
        let has_room = self.has_room() && !self.ended;
        let Some(Slot::Waits { answer, .. }) = self.waiting.front_mut() else {
            return self.read(buf, due, stop).await.map(Next::Read);
        };
        tokio::select! {
            answer = answer => Ok(Next::Answered(answer.unwrap_or_else(|_| busy()))),
            // The resolver bounds the wait; the peer need not send meanwhile.
            len = self.stream.read(buf), if has_room => {
                len.map(Next::Read).map_err(|_| End::Closed)
            }
        }
    }

    /// Takes the answer that the first one in the queue waits for, and what it held up.
    async fn settle(&mut self, answer: &Answer) -> Result<(), End> {
        let Some(Slot::Waits { packet, .. }) = self.waiting.pop_front() else {
            return Ok(());
        };
        let Self { node, via, out, .. } = self;
        node.answer_found(&packet, *via, answer, out);
        while self.waiting.front().is_some_and(Slot::is_ready) {
            match self.waiting.pop_front() {
                Some(Slot::Ready(octets)) => self.out.extend_from_slice(&octets),
                Some(Slot::List(listing)) => self.send_list(&listing).await?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether another answer may wait.
    fn has_room(&self) -> bool {
        let ready: usize = self.waiting.iter().map(Slot::len).sum();
        self.waiting.len() < WAITING_MAX && ready < WRITE_AT
    }

    /// Reads once, waiting as long as the peer may take.
    async fn read(
        &mut self,
        buf: &mut [u8],
        due: Option<Instant>,
        stop: &Stop,
    ) -> Result<usize, End> {
        let (due, late) = match due {
            Some(due) => (due, Dropped::Slow),
            None => {
                let idle = self.node.config().limits.idle_timeout.as_duration();
                (Instant::now() + idle, Dropped::Idle)
            }
        };
        let read = timeout_at(due, self.stream.read(buf));
        tokio::select! {
            biased;
            read = read => match read {
                Ok(Ok(len)) => Ok(len),
                Ok(Err(_)) => Err(End::Closed),
                Err(_) => Err(End::Dropped(late)),
            },
            // Whoever is in the middle of a message may finish it; the stop is bounded elsewhere.
            () = stop.told(), if late == Dropped::Idle => Err(End::Stopped),
        }
    }

    /// Answers every whole packet that has arrived, as long as there is room for answers.
    async fn answer_all(&mut self, stop: &Stop) -> Result<(), End> {
        while self.has_room() {
            let (count, end) = self.answer_burst();
            let is_over = matches!(end, Burst::Over);
            match end {
                Burst::Over | Burst::Full => {}
                Burst::Waits(wait, packet) => self.hold_up(wait, &packet, stop).await?,
                Burst::Reads(packet) => self.fetch(packet, stop).await?,
                Burst::Malformed => {
                    self.answer_malformed();
                    self.write().await?;
                    return Err(End::Dropped(Dropped::Malformed));
                }
            }
            self.pay(count).await?;
            if self.out.len() >= WRITE_AT {
                self.write().await?;
            }
            if is_over {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Answers packets that nothing has to be waited for, and says how many were taken and why no
    /// more. What such answers have in common is looked up once for all of them.
    fn answer_burst(&mut self) -> (u64, Burst) {
        let node = self.node.clone();
        let (site, now_secs) = (node.site(), node.now_secs());
        with_scratch(|scratch| {
            for count in 0..BURST_MAX {
                if self.out.len() >= WRITE_AT || !self.has_room() {
                    return (count, Burst::Full);
                }
                let packet = match self.framer.next_packet() {
                    Ok(Some(packet)) => packet,
                    Ok(None) => return (count, Burst::Over),
                    Err(_) => return (count, Burst::Malformed),
                };
                let mut own = Vec::new();
                let is_first = self.waiting.is_empty();
                let out = if is_first { &mut self.out } else { &mut own };
                match node.answer_at_hand(&site, now_secs, packet, self.via, scratch, out) {
                    Ok(None) => {}
                    Ok(Some(wait)) => return (count + 1, Burst::Waits(wait, packet.into())),
                    Err(OnDisk) => return (count + 1, Burst::Reads(packet.into())),
                }
                if !own.is_empty() {
                    self.waiting.push_back(Slot::Ready(own));
                }
            }
            (BURST_MAX, Burst::Full)
        })
    }

    /// Answers a request whose record is on the disk, on a thread that may wait for it: on this one
    /// other connections would wait, too.
    async fn fetch(&mut self, packet: Box<[u8]>, stop: &Stop) -> Result<(), End> {
        let (node, via) = (self.node.clone(), self.via);
        let read = tokio::task::spawn_blocking(move || {
            let mut own = Vec::new();
            let wait = node.answer(&packet, via, &mut own);
            (packet, wait, own)
        });
        // It fails only when the runtime ends, and all connections with it.
        let (packet, wait, own) = read.await.map_err(|_| End::Stopped)?;
        match wait {
            Some(wait) => return self.hold_up(wait, &packet, stop).await,
            None if self.waiting.is_empty() => self.out.extend_from_slice(&own),
            None if own.is_empty() => {}
            None => self.waiting.push_back(Slot::Ready(own)),
        }
        Ok(())
    }

    /// Takes up a request that something has to be waited for.
    async fn hold_up(&mut self, wait: Wait, packet: &[u8], stop: &Stop) -> Result<(), End> {
        let question = match wait {
            Wait::Resolver(question) => question,
            Wait::Errand => return self.run_errand(packet, stop).await,
        };
        let slot = Slot::ask(&self.node, question, packet);
        self.waiting.push_back(slot);
        Ok(())
    }

    async fn run_errand(&mut self, packet: &[u8], stop: &Stop) -> Result<(), End> {
        let mut own = Vec::new();
        let is_first = self.waiting.is_empty();
        let out = if is_first { &mut self.out } else { &mut own };
        let logins = Some(&self.logins);
        match self.node.run_errand(packet, self.via, logins, out).await {
            Rest::List(listing) if is_first => self.send_list(&listing).await?,
            Rest::List(listing) => self.waiting.push_back(Slot::List(listing)),
            Rest::Stream(stream) if is_first => self.feed(&stream, stop).await?,
            // A stream has no end before which other answers could still come.
            Rest::Stream(stream) => self.node.refuse_stream(&stream, out),
            Rest::None | Rest::Proven => {}
        }
        if !own.is_empty() {
            self.waiting.push_back(Slot::Ready(own));
        }
        Ok(())
    }

    /// Serves a mirror; the connection has had its use afterwards, unless the stream is refused.
    async fn feed(&mut self, stream: &Stream, stop: &Stop) -> Result<(), End> {
        self.write().await?;
        let serving = mirror::serve(&self.node, &mut self.stream, stream, stop, &mut self.out);
        match serving.await {
            Served::Refused => Ok(()),
            Served::Over => Err(End::Closed),
        }
    }

    /// Sends a list as fast as the peer takes it.
    async fn send_list(&mut self, listing: &Listing) -> Result<(), End> {
        let mut after = Some(ListedSoFar::default());
        while let Some(so_far) = after {
            after = self
                .node
                .write_pages(listing, so_far, WRITE_AT, &mut self.out);
            self.write().await?;
        }
        Ok(())
    }

    /// One answer to octets whose end cannot be found. The envelope says whom it is for.
    fn answer_malformed(&mut self) {
        let Some(envelope) = self.framer.envelope() else {
            return;
        };
        let packet = Writer::to_vec(|w| envelope.encode(w));
        // An envelope alone asks for nothing that would have to wait.
        let _ = self.node.answer(&packet, self.via, &mut self.out);
    }

    /// Says so to a peer that sends no more in the middle of a message, if its envelope is there. A
    /// peer that has gone does not hear it.
    async fn answer_cut_off(&mut self) {
        // Part of a message asks for nothing that the resolver could be asked for.
        let _ = self
            .node
            .answer(self.framer.partial(), self.via, &mut self.out);
        let _ = self.write().await;
    }

    /// Counts the requests just answered. While their address has used up what it may ask in a
    /// second, nothing more is answered or read, so that its octets wait in its own window.
    async fn pay(&mut self, requests: u64) -> Result<(), End> {
        loop {
            let admits = {
                let limits = &self.node.config().limits;
                let now_ms = self.node.uptime_ms();
                self.node
                    .requests
                    .admits_all(self.via.peer.ip(), requests, limits, now_ms)
            };
            if admits {
                return Ok(());
            }
            self.node.metrics.dropped(Dropped::RequestRate);
            self.write().await?;
            tokio::time::sleep(RATE_PAUSE).await;
        }
    }

    /// Writes the answers; a peer that does not take them in time is given up.
    async fn write(&mut self) -> Result<(), End> {
        if self.out.is_empty() {
            return Ok(());
        }
        let bound = self.message_timeout();
        match timeout(bound, self.stream.write_all(&self.out)).await {
            Ok(Ok(())) => {
                self.out.clear();
                Ok(())
            }
            Ok(Err(_)) => Err(End::Closed),
            Err(_) => Err(End::Dropped(Dropped::Slow)),
        }
    }

    /// Gives large buffers back, so that ten thousand idle connections cost little.
    fn give_back(&mut self) {
        if self.out.capacity() > KEEP_LEN {
            self.out = Vec::new();
        }
        if self.framer.capacity() > KEEP_LEN {
            self.framer = Framer::new();
        }
    }

    /// Closes our side, then reads what is in flight and throws it away.
    async fn linger(mut self) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let _ = timeout(LINGER, async {
            let mut buf = vec![0; READ_LEN];
            let mut left = LINGER_LEN;
            while let Ok(len @ 1..) = self.stream.read(&mut buf).await {
                left = match left.checked_sub(len) {
                    Some(left) => left,
                    None => return,
                };
            }
        })
        .await;
    }

    fn message_timeout(&self) -> Duration {
        self.node.config().limits.message_timeout.as_duration()
    }
}

const _: () = assert!(WRITE_AT < MESSAGE_LEN_MAX);
