//! The beginning of every TCP and HTTP connection: plain threads that answer from memory.
//!
//! ```text
//!   epoll ──► read once ──► answer what is whole ──► write once ──► epoll …
//!                               │      ▲
//!                               │      ├─ a record on the disk ──► a thread that may wait
//!                               │      └─ a change in a session ──► the store, with those of others
//!                               └─ anything else ──► tokio: tcp, http, until its end
//! ```
//!
//! A thread owns a listening socket of each address (the kernel spreads connections over them,
//! SO_REUSEPORT), the connections that it accepted there, and one set of buffers for all of them. A
//! connection at rest is a descriptor and [a few words](connection).
//!
//! Only the plain case is known here: a request that the node can answer at once, in full, or after
//! one [read]; a session, and a [change] in it. For whatever else a connection needs, it is
//! [`Handed`] over whole to [`tcp`](super::tcp) or [`http`](super::http), which know everything,
//! and stays there: answers that another node is asked for, octets that are no message, an address
//! above its rate, a peer that does not take its answers, TLS. So each such decision has one
//! place, and none of them holds up the other connections of a thread.
//!
//! [`native`] and [`http`](self::http) take requests apart and have them answered; they are
//! functions of octets.

mod change;
mod connection;
mod http;
mod native;
mod read;
mod round;
#[cfg(test)]
mod tests;
mod worker;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use nix::sys::eventfd::{EfdFlags, EventFd};
use tokio::runtime::Handle;

use self::read::{Request, Returns};
use self::worker::{Door, Worker};
use super::http::Http;
use super::{Sharing, share, stream_socket};
use crate::errand::{self, Course};
use crate::limit::Place;
use crate::metrics::Transport;
use crate::node::Node;
use crate::shutdown::Stop;

//----------- Pollers --------------------------------------------------------

/// The threads of all TCP and HTTP addresses. Dropping them stops them.
#[derive(Debug)]
pub(crate) struct Pollers {
    signal: Arc<Signal>,
    threads: Vec<JoinHandle<()>>,
    /// Ends when all threads have handed over what they can.
    left: mpsc::Receiver<()>,
}

/// What is spoken at an address.
#[derive(Clone, Debug)]
pub(crate) enum Service {
    /// The native protocol.
    Native,
    /// HTTP, and HTTPS where the settings say so.
    Http(Box<Http>),
}

/// Tells the threads to stop.
#[derive(Debug)]
struct Signal {
    is_told: AtomicBool,
    /// Every thread polls it; it wakes all of them and is never read.
    wake: EventFd,
}

impl Pollers {
    /// Binds one socket for each of `threads` to the address. Port 0 becomes one free port for all.
    ///
    /// Fails if another process has the port, although sharing is possible: two nodes on one port
    /// would each get a part of the connections.
    pub(crate) fn bind(address: SocketAddr, threads: usize) -> io::Result<Vec<TcpListener>> {
        let first = stream_socket(address, Sharing::No)?;
        share(&first)?;
        let address = first.local_addr()?;
        let mut listeners = vec![first];
        for _ in 1..threads {
            listeners.push(stream_socket(address, Sharing::Yes)?);
        }
        Ok(listeners)
    }

    /// Starts the threads: the first one serves the first listener of each service, and so on.
    /// Connections that need more go on at `runtime`, where they hear of `stop`.
    pub(crate) fn start(
        node: &Arc<Node>,
        services: Vec<(Service, Vec<TcpListener>)>,
        runtime: &Handle,
        stop: &Stop,
    ) -> io::Result<Self> {
        let signal = Arc::new(Signal {
            is_told: AtomicBool::new(false),
            wake: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
        });
        let mut threads: Vec<Vec<Door>> = Vec::new();
        for (service, listeners) in services {
            for (n, listener) in listeners.into_iter().enumerate() {
                let door = Door::new(service.clone(), listener);
                match threads.get_mut(n) {
                    Some(doors) => doors.push(door),
                    None => threads.push(vec![door]),
                }
            }
        }
        let (leave, left) = mpsc::channel();
        let mut pollers = Self {
            signal: signal.clone(),
            threads: Vec::new(),
            left,
        };
        // Dropped before the threads are waited for, should starting them fail.
        let leave = leave;
        for (n, doors) in threads.into_iter().enumerate() {
            let way_on = WayOn {
                node: node.clone(),
                runtime: runtime.clone(),
                stop: stop.clone(),
            };
            let worker = Worker::new(way_on, doors, signal.clone(), leave.clone())?;
            let builder = std::thread::Builder::new().name(format!("poll-{n}"));
            pollers.threads.push(builder.spawn(move || worker.run())?);
        }
        Ok(pollers)
    }

    /// Has nothing more accepted and all connections handed over, but for those with a change that
    /// is being written: they follow when that is answered, at the latest after
    /// `limits.stop_timeout`, when their threads end.
    pub(crate) fn leave(&self) {
        self.signal.is_told.store(true, Ordering::Relaxed);
        if let Err(error) = self.signal.wake.write(1) {
            tracing::error!(%error, "the threads of TCP and HTTP could not be woken");
        }
        // Nothing is ever sent: it returns when all have dropped their ends, however they do it.
        let _ = self.left.recv();
    }
}

impl Drop for Pollers {
    /// Ends the threads.
    fn drop(&mut self) {
        self.leave();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of TCP and HTTP had panicked");
            }
        }
    }
}

impl Service {
    fn transport(&self) -> Transport {
        match self {
            Self::Native => Transport::Tcp,
            Self::Http(_) => Transport::Http,
        }
    }
}

//----------- Handed ---------------------------------------------------------

/// A connection that needs more than answers from memory, with everything that belongs to it.
#[derive(Debug)]
pub(super) struct Handed {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) place: Place,
    /// Whether nothing has been answered on it yet.
    pub(super) is_new: bool,
    /// What has arrived and is not answered.
    pub(super) octets: Vec<u8>,
    /// Answers to what came before, as far as the peer has not taken them.
    pub(super) out: Vec<u8>,
    /// Requests that are answered and not counted against the rate of their address.
    pub(super) owed: u64,
    /// When the message that has begun to arrive must be complete, by [`Node::uptime_ms`].
    pub(super) due_ms: Option<u64>,
    /// What is to be sent before anything else is answered.
    pub(super) first: errand::Rest,
}

/// Where connections go on, and where reads are waited for.
struct WayOn {
    node: Arc<Node>,
    runtime: Handle,
    /// Held as long as a connection may still be handed over, so that the runtime waits for it.
    stop: Stop,
}

impl WayOn {
    fn hand_over(&self, service: &Service, handed: Handed) {
        match service {
            Service::Native => {
                let (node, stop) = (self.node.clone(), self.stop.clone());
                self.runtime
                    .spawn(super::tcp::take_over(node, handed, stop));
            }
            Service::Http(http) => {
                self.runtime.spawn(http.clone().take_over(handed));
            }
        }
    }

    /// Has a request answered by a thread that may wait for the disk.
    fn read(&self, request: Request, returns: Arc<Returns>) {
        let node = self.node.clone();
        self.runtime
            .spawn_blocking(move || returns.push(read::answer(&node, &request)));
    }
}

//----------- Step -----------------------------------------------------------

/// What was made of octets that have arrived on a connection.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    /// So many of them are answered.
    used: usize,
    /// So many requests they are.
    count: u64,
    then: Then,
}

/// What is to be done with the other octets.
#[derive(Debug, PartialEq, Eq)]
enum Then {
    /// They are the beginning of a request, or there are none.
    Keep,
    /// There is no room for more answers before those made are written.
    Write,
    /// The first of them are a request, so many octets long, whose record is on the disk.
    Read { len: usize },
    /// The first of them are an errand, so many octets long, that takes this course; it is not
    /// [`Course::Connection`].
    Errand { len: usize, course: Course },
    /// They need more than that.
    HandOver {
        /// Requests among the answered ones that are not counted against their address's rate.
        owed: u64,
    },
}
