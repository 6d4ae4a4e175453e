//! Streams: TCP connections that are kept, and the tunnel through HTTP and HTTPS.
//!
//! Each exchange is a task with a bound in time. To one server there is one connection on which
//! requests do not wait for each other; to servers that close after one answer, as Handle.Net does,
//! a few at a time. How octets travel is the business of `guantong-client`; what comes back is
//! checked by the resolver.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use guantong_client::{Connection, Endpoint, Outcome, Transport as Carrier, Trust, tunnel};
use guantong_core::resolve::{ExchangeId, Route, StreamFault, Transmit, Transport};
use guantong_proto::data::PublicKey;
use tokio::sync::{Mutex as Turn, Semaphore};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

/// Exchanges by stream at a time; more wait for their turn, within their time. With the largest
/// message in each this bounds their memory to 64 MiB.
pub const STREAMS_MAX: usize = 256;
/// Connections at a time to one server that closes after one answer.
pub const CONNECTIONS_PER_SERVER_MAX: usize = 8;
/// Servers whose connections are kept.
pub const SERVERS_MAX: usize = 1_024;
/// A connection without a request for this long is closed. Servers keep them for minutes.
const IDLE: Duration = Duration::from_secs(30);

/// The end of an exchange.
pub(super) type Done = (ExchangeId, Result<Vec<u8>, StreamFault>);

//----------- Streams --------------------------------------------------------

/// All streams.
pub(super) struct Streams {
    lines: HashMap<SocketAddr, Arc<Line>>,
    tasks: JoinSet<Done>,
    running: HashMap<ExchangeId, AbortHandle>,
    room: Arc<Semaphore>,
}

impl Streams {
    pub(super) fn new() -> Self {
        Self {
            lines: HashMap::new(),
            tasks: JoinSet::new(),
            running: HashMap::new(),
            room: Arc::new(Semaphore::new(STREAMS_MAX)),
        }
    }

    /// Begins an exchange that has so much time.
    pub(super) fn begin(&mut self, transmit: Transmit, left: Duration) {
        let exchange = transmit.exchange;
        let room = self.room.clone();
        // Connections are shared by address; a server that has only a name gets one of its own.
        let has_address = !transmit.route.address.ip().is_unspecified();
        let line = match transmit.transport {
            Transport::Tcp if has_address => Some(self.line(transmit.route.address)),
            _ => None,
        };
        let carried = async move {
            let _room = room.acquire().await;
            match (line, transmit.transport) {
                (Some(line), _) => line.exchange(&transmit, left).await,
                (None, Transport::Tcp) => by_name(&transmit, left).await,
                (None, _) => through_tunnel(&transmit, left).await,
            }
        };
        let task = self.tasks.spawn(async move {
            let result = timeout(left, carried).await;
            (exchange, result.unwrap_or(Err(StreamFault::Closed)))
        });
        self.running.insert(exchange, task);
    }

    /// Ends an exchange that nobody waits for.
    pub(super) fn abandon(&mut self, exchange: ExchangeId) {
        if let Some(task) = self.running.remove(&exchange) {
            task.abort();
        }
    }

    /// The next exchange that has ended.
    pub(super) async fn next(&mut self) -> Done {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(done)) => {
                    self.running.remove(&done.0);
                    return done;
                }
                // It was ended by us.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Closes what has been idle for too long.
    pub(super) fn sweep(&mut self) {
        self.lines.retain(|_, line| line.is_wanted());
        self.running.retain(|_, task| !task.is_finished());
    }

    fn line(&mut self, address: SocketAddr) -> Arc<Line> {
        if self.lines.len() >= SERVERS_MAX && !self.lines.contains_key(&address) {
            // Whoever is using one keeps it until the end of the exchange.
            let oldest = self.lines.iter().min_by_key(|(_, line)| line.used());
            if let Some(oldest) = oldest.map(|(address, _)| *address) {
                self.lines.remove(&oldest);
            }
        }
        let line = self.lines.entry(address).or_insert_with(Line::new);
        line.touch();
        line.clone()
    }
}

//----------- Line -----------------------------------------------------------

/// The connections to one server.
struct Line {
    /// The connection that all share. Whoever opens it has the others wait.
    shared: Turn<Option<Connection>>,
    /// The server closes after one answer, so nothing can be shared.
    closes_after_one: AtomicBool,
    own: Semaphore,
    used: Mutex<Instant>,
}

impl Line {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            shared: Turn::new(None),
            closes_after_one: AtomicBool::new(false),
            own: Semaphore::new(CONNECTIONS_PER_SERVER_MAX),
            used: Mutex::new(Instant::now()),
        })
    }

    fn used(&self) -> Instant {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Whether it is in use or was a moment ago.
    fn is_wanted(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) > 1 || self.used().elapsed() < IDLE
    }

    async fn exchange(&self, transmit: &Transmit, left: Duration) -> Result<Vec<u8>, StreamFault> {
        let (address, packet) = (transmit.route.address, &transmit.packet);
        if !self.closes_after_one.load(Relaxed) {
            let connection = self.connection(address, left).await?;
            match connection.exchange_packet(packet, left).await {
                Err(Outcome::Closed | Outcome::Incomplete) => {
                    self.closes_after_one.store(true, Relaxed);
                }
                result => return single(result),
            }
        }
        let _place = self.own.acquire().await;
        let connection = open(address, left).await?;
        single(connection.exchange_packet(packet, left).await)
    }

    /// The shared connection; opened if there is none.
    async fn connection(
        &self,
        address: SocketAddr,
        left: Duration,
    ) -> Result<Connection, StreamFault> {
        let mut shared = self.shared.lock().await;
        if let Some(connection) = shared.as_ref().filter(|connection| connection.is_open()) {
            return Ok(connection.clone());
        }
        let connection = open(address, left).await?;
        *shared = Some(connection.clone());
        Ok(connection)
    }
}

async fn open(address: SocketAddr, left: Duration) -> Result<Connection, StreamFault> {
    let opened = Connection::open(address, left).await;
    opened.map_err(|error| StreamFault::Connect(error.to_string()))
}

/// Through a connection of its own to a server that has only a host name.
async fn by_name(transmit: &Transmit, left: Duration) -> Result<Vec<u8>, StreamFault> {
    let connection = open(look_up(transmit).await?, left).await?;
    single(connection.exchange_packet(&transmit.packet, left).await)
}

/// A resolution has one message for an answer.
fn single(result: Result<Vec<Vec<u8>>, Outcome>) -> Result<Vec<u8>, StreamFault> {
    let mut packets = result.map_err(fault)?;
    match (packets.pop(), packets.is_empty()) {
        (Some(packet), true) => Ok(packet),
        _ => {
            let text = "it is continued from message to message, which no resolution is";
            Err(StreamFault::Malformed(text.to_owned()))
        }
    }
}

//----------- Tunnel ---------------------------------------------------------

async fn through_tunnel(transmit: &Transmit, left: Duration) -> Result<Vec<u8>, StreamFault> {
    let (endpoint, address) = destination(transmit).await?;
    let trust = trust(transmit)?;
    let carried = tunnel(&endpoint, address, &transmit.packet, &trust, left);
    carried.await.map_err(fault)
}

/// Where an exchange goes, its host name looked up if that is all there is.
async fn destination(transmit: &Transmit) -> Result<(Endpoint, SocketAddr), StreamFault> {
    let carrier = match transmit.transport {
        Transport::Https => Carrier::Https,
        _ => Carrier::Http,
    };
    let Route {
        address,
        host,
        path,
    } = &transmit.route;
    let found = look_up(transmit).await?;
    let endpoint = Endpoint {
        path: path.to_string(),
        name: host.as_ref().map(ToString::to_string),
        ..Endpoint::new(carrier, found.ip().to_string(), address.port())
    };
    Ok((endpoint, found))
}

/// The address of an exchange. A host name is looked up if that is all there is; what it leads to
/// is asked only if a record may send us there.
async fn look_up(transmit: &Transmit) -> Result<SocketAddr, StreamFault> {
    let Route { address, host, .. } = &transmit.route;
    let (true, Some(host)) = (address.ip().is_unspecified(), host) else {
        return Ok(*address);
    };
    let found = tokio::net::lookup_host((&**host, address.port())).await;
    let mut found = found.map_err(|error| StreamFault::Connect(error.to_string()))?;
    let none = || StreamFault::Connect(format!("{host} has no address that may be asked"));
    found
        .find(|found| transmit.reach.allows(found.ip()))
        .ok_or_else(none)
}

/// Whom to believe over HTTPS: the key in the site record. Where a record has none, HTTPS proves as
/// little as the other transports do, and the answer has to prove itself.
fn trust(transmit: &Transmit) -> Result<Trust, StreamFault> {
    let Some(key) = &transmit.server_key else {
        return Ok(Trust::Anybody);
    };
    let key = PublicKey::decode(key);
    key.map(Trust::Key)
        .map_err(|error| StreamFault::Tls(format!("the key in the site record: {error}")))
}

fn fault(outcome: Outcome) -> StreamFault {
    use guantong_client::Fault;
    match outcome {
        Outcome::Io(text) => StreamFault::Connect(text),
        Outcome::Misbehaved(Fault::Tls(text)) => StreamFault::Tls(text),
        Outcome::Misbehaved(fault) => StreamFault::Malformed(fault.to_string()),
        Outcome::Unusable(text) => StreamFault::Local(text),
        _ => StreamFault::Closed,
    }
}
