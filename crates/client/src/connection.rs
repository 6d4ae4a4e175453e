//! A TCP connection that carries many requests at a time.
//!
//! ```text
//!  request ──► queue ──► writer task ──►┐
//!                │ waiting[id]          │ server
//!  answer  ◄── reader task ◄────────────┘
//! ```
//!
//! Requests go out as they come and answers are given to whoever waits for their id, in any order.
//! One writer and one reader own the halves of the stream, so a caller who gives up in the middle
//! leaves no half a message behind. Servers that close after one answer, as Handle.Net does, end
//! the connection; those who still wait are told so and may ask again.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use guantong_proto::frame::Framer;
use guantong_proto::message::{Envelope, Message, OpFlags};
use guantong_proto::wire::Reader;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::answer::Answer;
use crate::attempt::{Attempt, Outcome};
use crate::error::{Error, Fault};
use crate::exchange::{Path, Question, Request, is_reply_to_unreadable};
use crate::limits::{ANSWER_OCTETS_MAX, MESSAGES_MAX, PIPELINE_MAX};
use crate::query::Query;
use crate::server::Transport;

/// Octets read at a time.
const READ_LEN: usize = 16 * 1024;

//----------- Connection -----------------------------------------------------

/// An open connection to one server. Cloning it is cheap and shares it.
///
/// [`Client`](crate::Client) opens and keeps connections by itself; this type is for those who want
/// to hold one, such as a load generator.
#[derive(Clone, Debug)]
pub struct Connection {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    peer: SocketAddr,
    queue: mpsc::Sender<Vec<u8>>,
    waiting: Arc<Waiting>,
    room: Arc<Semaphore>,
    tasks: [AbortHandle; 2],
}

impl Drop for Shared {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Connection {
    /// Connects to `peer`.
    pub async fn open(peer: SocketAddr, connect_timeout: Duration) -> std::io::Result<Self> {
        let stream = timeout(connect_timeout, TcpStream::connect(peer))
            .await
            .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
        // Requests are small and somebody waits for each.
        stream.set_nodelay(true)?;
        let (read, write) = stream.into_split();
        let waiting = Arc::new(Waiting::default());
        let (queue, jobs) = mpsc::channel(PIPELINE_MAX);
        let writer = tokio::spawn(write_all(write, jobs));
        let reader = tokio::spawn(read_all(read, Arc::clone(&waiting)));
        let shared = Shared {
            peer,
            queue,
            waiting,
            room: Arc::new(Semaphore::new(PIPELINE_MAX)),
            tasks: [writer.abort_handle(), reader.abort_handle()],
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// The address of the server.
    pub fn peer(&self) -> SocketAddr {
        self.shared.peer
    }

    /// Whether requests can still be sent.
    pub fn is_open(&self) -> bool {
        self.shared.waiting.lost().is_none()
    }

    /// Asks for a record; waits at most `answer_timeout`. Many questions may be under way.
    pub async fn resolve(&self, query: &Query, answer_timeout: Duration) -> Result<Answer, Error> {
        let request = Question::Resolve(query).request()?;
        let began = tokio::time::Instant::now();
        let outcome = match self.exchange(&request, answer_timeout).await {
            Ok(packets) => return Answer::of(query, packets, Transport::Tcp, self.peer()),
            Err(outcome) => outcome,
        };
        Err(Error::of_attempts(&[Attempt {
            transport: Transport::Tcp,
            authority: self.peer().to_string(),
            address: Some(self.peer()),
            elapsed: began.elapsed(),
            sent: request.packet.len(),
            tries: 1,
            received: 0,
            ignored: 0,
            outcome,
        }]))
    }

    /// Sends a request and waits for all messages of its answer.
    pub(crate) async fn exchange(
        &self,
        request: &Request,
        answer_timeout: Duration,
    ) -> Result<Vec<Vec<u8>>, Outcome> {
        timeout(answer_timeout, self.exchange_unbounded(request))
            .await
            .unwrap_or(Err(Outcome::NoAnswer(None)))
    }

    /// Sends a whole packet and waits for all messages with its request id, for programs that make
    /// requests and check answers themselves. What comes back may be anything that decodes.
    pub async fn exchange_packet(
        &self,
        packet: &[u8],
        answer_timeout: Duration,
    ) -> Result<Vec<Vec<u8>>, Outcome> {
        let envelope = Envelope::decode(&mut Reader::new(packet))
            .map_err(|error| Outcome::Unusable(format!("the request is no packet: {error}")))?;
        let replies = self.replies(envelope.request_id, packet.to_vec());
        timeout(answer_timeout, replies)
            .await
            .unwrap_or(Err(Outcome::NoAnswer(None)))
    }

    async fn exchange_unbounded(&self, request: &Request) -> Result<Vec<Vec<u8>>, Outcome> {
        let packets = self.replies(request.id, request.packet.clone()).await?;
        for packet in &packets {
            request
                .check(packet, Path::Stream)
                .map_err(Outcome::Misbehaved)?;
        }
        Ok(packets)
    }

    /// Sends a packet and waits for everything that comes with its id, unchecked.
    async fn replies(&self, id: i32, packet: Vec<u8>) -> Result<Vec<Vec<u8>>, Outcome> {
        let room = Arc::clone(&self.shared.room);
        let permit = room.acquire_owned().await.map_err(|_| Outcome::Closed)?;
        let (sender, answer) = oneshot::channel();
        self.shared.waiting.add(id, sender, permit)?;
        if self.shared.queue.send(packet).await.is_err() {
            return Err(self.shared.waiting.lost().unwrap_or(Outcome::Closed));
        }
        answer.await.unwrap_or(Err(Outcome::Closed))
    }
}

//----------- Waiting --------------------------------------------------------

type Reply = Result<Vec<Vec<u8>>, Outcome>;

/// Those who wait for an answer, and why the connection was lost.
///
/// Somebody who gives up stays in the table until the answer comes, so that a late answer is not
/// taken for a foreign one.
#[derive(Debug, Default)]
struct Waiting {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    waiters: HashMap<i32, Waiter>,
    lost: Option<Outcome>,
}

#[derive(Debug)]
struct Waiter {
    sender: oneshot::Sender<Reply>,
    packets: Vec<Vec<u8>>,
    octets: usize,
    /// Gives back its place among the requests in flight when the waiter is dropped.
    _permit: OwnedSemaphorePermit,
}

impl Waiting {
    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        // Nothing in the table can be half done: a poisoned lock is as good as a sound one.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lost(&self) -> Option<Outcome> {
        self.table().lost.clone()
    }

    fn add(
        &self,
        id: i32,
        sender: oneshot::Sender<Reply>,
        permit: OwnedSemaphorePermit,
    ) -> Result<(), Outcome> {
        let mut table = self.table();
        if let Some(lost) = &table.lost {
            return Err(lost.clone());
        }
        let waiter = Waiter {
            sender,
            packets: Vec::new(),
            octets: 0,
            _permit: permit,
        };
        // Two requests with the same random id would take each other's answer.
        match table.waiters.insert(id, waiter) {
            None => Ok(()),
            Some(other) => {
                let _ = other.sender.send(Err(Outcome::NoAnswer(None)));
                Ok(())
            }
        }
    }

    /// Gives a packet to whoever waits for it.
    fn deliver(&self, packet: &[u8]) -> Result<(), Fault> {
        let message = Message::decode(packet)?;
        let mut table = self.table();
        let mut id = message.envelope.request_id;
        if is_reply_to_unreadable(&message)
            && let [only] = table.waiters.keys().copied().collect::<Vec<_>>()[..]
        {
            id = only;
        }
        let waiter = table.waiters.get_mut(&id).ok_or(Fault::ForeignId(id))?;
        waiter.octets += packet.len();
        waiter.packets.push(packet.to_vec());
        let continues =
            message.header.flags.has(OpFlags::CONTINUOUS) && message.header.code.is_success();
        let endless = if waiter.packets.len() >= MESSAGES_MAX {
            Some(MESSAGES_MAX)
        } else if waiter.octets > ANSWER_OCTETS_MAX {
            Some(ANSWER_OCTETS_MAX)
        } else {
            None
        };
        if let (true, Some(limit)) = (continues, endless) {
            return Err(Fault::Endless { limit });
        }
        if !continues && let Some(waiter) = table.waiters.remove(&id) {
            // Whoever gave up does not listen any more.
            let _ = waiter.sender.send(Ok(waiter.packets));
        }
        Ok(())
    }

    /// Ends the connection for everybody.
    fn lose(&self, why: &Outcome) {
        let mut table = self.table();
        let why = table.lost.get_or_insert_with(|| why.clone()).clone();
        for (_, waiter) in table.waiters.drain() {
            let _ = waiter.sender.send(Err(why.clone()));
        }
    }
}

//----------- Tasks ----------------------------------------------------------

/// Ends at the first error and leaves it to the reader to tell: an answer may still be on its way.
async fn write_all(mut stream: OwnedWriteHalf, mut jobs: mpsc::Receiver<Vec<u8>>) {
    while let Some(packet) = jobs.recv().await {
        if stream.write_all(&packet).await.is_err() {
            return;
        }
    }
}

async fn read_all(mut stream: OwnedReadHalf, waiting: Arc<Waiting>) {
    let mut framer = Framer::new();
    let mut octets = vec![0; READ_LEN];
    loop {
        let len = match stream.read(&mut octets).await {
            Ok(0) if framer.pending() > 0 => return waiting.lose(&Outcome::Incomplete),
            Ok(0) => return waiting.lose(&Outcome::Closed),
            Ok(len) => len,
            Err(error) => return waiting.lose(&lost(&error)),
        };
        framer.push(&octets[..len]);
        loop {
            let delivered = match framer.next_packet() {
                Ok(Some(packet)) => waiting.deliver(packet),
                Ok(None) => break,
                Err(error) => Err(error.into()),
            };
            if let Err(fault) = delivered {
                return waiting.lose(&Outcome::Misbehaved(fault));
            }
        }
    }
}

fn lost(error: &std::io::Error) -> Outcome {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => {
            Outcome::Closed
        }
        _ => Outcome::Io(error.to_string()),
    }
}
