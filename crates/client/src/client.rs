//! The client: asks one server, by one transport after the other until there is a sound answer.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use guantong_proto::data::Site;
use guantong_proto::message::{Body, Message, Response};
use guantong_proto::{DecodeError, Handle, NameError};
use tokio::time::{Instant, timeout};

use crate::answer::{Answer, refused};
use crate::attempt::{Answered, Attempt, Outcome, Trace};
use crate::connection::Connection;
use crate::error::{Error, Fault};
use crate::exchange::{Question, Request};
use crate::limits::{
    ADDRESSES_MAX, CONNECT_TIMEOUT, CONNECTIONS_MAX, STREAM_TIMEOUT, UDP_REQUEST_LEN_MAX, UDP_WAITS,
};
use crate::query::Query;
use crate::server::{Endpoint, Server, Transport};
use crate::tls::Trust;
use crate::udp;

//----------- Builder --------------------------------------------------------

/// Settings of a [`Client`].
#[derive(Clone, Debug)]
pub struct Builder {
    server: Server,
    udp_waits: Vec<Duration>,
    connect_timeout: Duration,
    stream_timeout: Duration,
    trust: Trust,
}

impl Builder {
    /// How long to wait for an answer by UDP, once per sending of the request; the default is
    /// [`UDP_WAITS`]. Without any, UDP is not used.
    #[must_use]
    pub fn udp_waits(mut self, waits: impl IntoIterator<Item = Duration>) -> Self {
        self.udp_waits = waits.into_iter().collect();
        self
    }

    /// How long opening a stream may take; the default is [`CONNECT_TIMEOUT`].
    #[must_use]
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// How long an answer through an open stream may take, from the request to its last octet; the
    /// default is [`STREAM_TIMEOUT`].
    #[must_use]
    pub fn stream_timeout(mut self, limit: Duration) -> Self {
        self.stream_timeout = limit;
        self
    }

    /// How the server proves itself over HTTPS; without this, HTTPS is not used.
    #[must_use]
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// The client. Nothing is opened before the first question.
    pub fn build(self) -> Client {
        Client {
            inner: Arc::new(Inner {
                settings: self,
                connections: Mutex::default(),
            }),
        }
    }
}

//----------- Client ---------------------------------------------------------

/// Asks one server. Cloning it is cheap and shares its connections.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: Builder,
    connections: Mutex<HashMap<SocketAddr, Connection>>,
}

/// A checked answer and where it came from.
pub(crate) struct Reply {
    pub(crate) packets: Vec<Vec<u8>>,
    transport: Transport,
    peer: SocketAddr,
}

impl Client {
    /// Settings of a client that asks `server`.
    pub fn builder(server: Server) -> Builder {
        Builder {
            server,
            udp_waits: UDP_WAITS.to_vec(),
            connect_timeout: CONNECT_TIMEOUT,
            stream_timeout: STREAM_TIMEOUT,
            trust: Trust::Nobody,
        }
    }

    /// All publicly readable values of `handle`.
    pub async fn resolve(&self, handle: &str) -> Result<Answer, Error> {
        self.query(&Query::parse(handle)?).await
    }

    /// The values that `query` asks for.
    pub async fn query(&self, query: &Query) -> Result<Answer, Error> {
        self.query_traced(query, &mut Trace::default()).await
    }

    /// Like [`Client::query`]; also tells what was tried, whatever comes of it.
    pub async fn query_traced(&self, query: &Query, trace: &mut Trace) -> Result<Answer, Error> {
        let reply = self.ask(Question::Resolve(query), trace).await?;
        Answer::of(query, reply.packets, reply.transport, reply.peer)
    }

    /// The site record of the server: which servers make up its site, their keys and ports.
    pub async fn site_info(&self) -> Result<Site, Error> {
        self.site_info_traced(&mut Trace::default()).await
    }

    /// Like [`Client::site_info`]; also tells what was tried.
    pub async fn site_info_traced(&self, trace: &mut Trace) -> Result<Site, Error> {
        let reply = self.ask(Question::SiteInfo, trace).await?;
        let packet = reply.packets.first().map(Vec::as_slice).unwrap_or_default();
        let malformed = |error: DecodeError| reply.misbehaved(error);
        let message = Message::decode(packet).map_err(malformed)?;
        match Response::of(&message).map_err(malformed)?.body {
            Body::SiteInfo(octets) => Site::decode(octets).map_err(malformed),
            body => Err(refused(message.header.code, &body)),
        }
    }

    /// The handles under `prefix` (`88.118.5` or `0.NA/88.118.5`).
    ///
    /// Servers tell this to administrators at most, and this question is asked without a proof:
    /// expect [`Error::Refused`] from those in the field.
    pub async fn list_handles(&self, prefix: &str) -> Result<Vec<Handle>, Error> {
        let prefix = Handle::of_prefix(prefix)?;
        let question = Question::ListHandles(&prefix);
        let reply = self.ask(question, &mut Trace::default()).await?;
        let malformed = |error: DecodeError| reply.misbehaved(error);
        let mut handles = Vec::new();
        for packet in &reply.packets {
            let message = Message::decode(packet).map_err(malformed)?;
            let body = Response::of(&message).map_err(malformed)?.body;
            let Body::Handles(listed) = body else {
                return Err(refused(message.header.code, &body));
            };
            let listed: Result<Vec<_>, NameError> = listed.iter().map(Handle::from_wire).collect();
            handles.extend(listed?);
        }
        Ok(handles)
    }

    /// Tries every endpoint and address until one gives a sound answer.
    pub(crate) async fn ask(
        &self,
        question: Question<'_>,
        trace: &mut Trace,
    ) -> Result<Reply, Error> {
        let first = trace.attempts.len();
        // Tells at once if this cannot be asked at all.
        let len = question.request()?.packet.len();
        let datagrams_do = len <= UDP_REQUEST_LEN_MAX
            && !question.needs_stream()
            && !self.inner.settings.udp_waits.is_empty();
        for endpoint in self.inner.settings.server.endpoints() {
            if endpoint.transport == Transport::Udp && !datagrams_do {
                continue;
            }
            let addresses = match self.look_up(endpoint).await {
                Ok(addresses) => addresses,
                Err(text) => {
                    trace
                        .attempts
                        .push(attempt(endpoint, None, Outcome::Io(text)));
                    continue;
                }
            };
            for address in addresses {
                let (attempt, packets) = self.attempt(endpoint, address, question).await?;
                trace.attempts.push(attempt);
                if let Some(packets) = packets {
                    let (transport, peer) = (endpoint.transport, address);
                    return Ok(Reply {
                        packets,
                        transport,
                        peer,
                    });
                }
            }
        }
        Err(Error::of_attempts(&trace.attempts[first..]))
    }

    async fn look_up(&self, endpoint: &Endpoint) -> Result<Vec<SocketAddr>, String> {
        let (host, port) = (endpoint.host.as_str(), endpoint.port);
        let found = timeout(
            self.inner.settings.connect_timeout,
            tokio::net::lookup_host((host, port)),
        );
        match found.await {
            Ok(Ok(addresses)) => Ok(tried(addresses)),
            Ok(Err(error)) => Err(format!("the host name cannot be looked up: {error}")),
            Err(_) => Err("looking up the host name takes too long".to_owned()),
        }
    }

    async fn attempt(
        &self,
        endpoint: &Endpoint,
        address: SocketAddr,
        question: Question<'_>,
    ) -> Result<(Attempt, Option<Vec<Vec<u8>>>), Error> {
        let settings = &self.inner.settings;
        let request = question.request()?;
        let began = Instant::now();
        let mut tally = udp::Tally::default();
        let result = match endpoint.transport {
            Transport::Udp => udp::exchange(address, &request, &settings.udp_waits, &mut tally)
                .await
                .map(|packet| vec![packet]),
            Transport::Tcp => self.tcp(address, &request).await,
            Transport::Http | Transport::Https => self.tunnel(endpoint, address, &request).await,
        };
        let (outcome, packets) = match result {
            Ok(packets) => (answered(&packets), Some(packets)),
            Err(outcome) => (outcome, None),
        };
        let attempt = Attempt {
            elapsed: began.elapsed(),
            sent: request.packet.len(),
            tries: tally.tries.max(1),
            received: packets.iter().flatten().map(Vec::len).sum(),
            ignored: tally.ignored,
            ..attempt(endpoint, Some(address), outcome)
        };
        Ok((attempt, packets))
    }

    /// By TCP, through a connection kept from an earlier question if there is one.
    async fn tcp(&self, address: SocketAddr, request: &Request) -> Result<Vec<Vec<u8>>, Outcome> {
        let settings = &self.inner.settings;
        let kept = self.connections().get(&address).cloned();
        if let Some(connection) = kept.filter(Connection::is_open) {
            match self.through(&connection, address, request).await {
                // The server may have closed it as idle, or after one answer as some do.
                Err(Outcome::Closed | Outcome::Incomplete) => {}
                result => return result,
            }
        }
        let connection = Connection::open(address, settings.connect_timeout)
            .await
            .map_err(|error| Outcome::Io(error.to_string()))?;
        self.keep(address, &connection);
        self.through(&connection, address, request).await
    }

    /// Through `connection`, which is not used again if it gives no answer in time.
    async fn through(
        &self,
        connection: &Connection,
        address: SocketAddr,
        request: &Request,
    ) -> Result<Vec<Vec<u8>>, Outcome> {
        let result = connection
            .exchange(request, self.inner.settings.stream_timeout)
            .await;
        if let Err(Outcome::NoAnswer(_)) = result {
            self.connections().remove(&address);
        }
        result
    }

    fn keep(&self, address: SocketAddr, connection: &Connection) {
        let mut connections = self.connections();
        connections.retain(|_, connection| connection.is_open());
        if connections.len() < CONNECTIONS_MAX {
            connections.insert(address, connection.clone());
        }
    }

    fn connections(&self) -> MutexGuard<'_, HashMap<SocketAddr, Connection>> {
        // The map is whole after every step: a poisoned lock is as good as a sound one.
        self.inner
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(feature = "https")]
    async fn tunnel(
        &self,
        endpoint: &Endpoint,
        address: SocketAddr,
        request: &Request,
    ) -> Result<Vec<Vec<u8>>, Outcome> {
        let settings = &self.inner.settings;
        let limit = settings.connect_timeout + settings.stream_timeout;
        let exchange = crate::http::exchange(endpoint, address, request, &settings.trust);
        let packet = timeout(limit, exchange)
            .await
            .unwrap_or(Err(Outcome::NoAnswer(None)))?;
        Ok(vec![packet])
    }

    #[cfg(not(feature = "https"))]
    #[allow(clippy::unused_async)]
    async fn tunnel(
        &self,
        _: &Endpoint,
        _: SocketAddr,
        _: &Request,
    ) -> Result<Vec<Vec<u8>>, Outcome> {
        let text = "this program was built without HTTP (feature `https`)";
        Err(Outcome::Unusable(text.to_owned()))
    }
}

impl Reply {
    pub(crate) fn misbehaved(&self, fault: impl Into<Fault>) -> Error {
        Error::misbehaved(self.transport, self.peer, Outcome::Misbehaved(fault.into()))
    }
}

/// An attempt of which nothing but the outcome is known yet.
fn attempt(endpoint: &Endpoint, address: Option<SocketAddr>, outcome: Outcome) -> Attempt {
    Attempt {
        transport: endpoint.transport,
        authority: endpoint.authority(),
        address,
        elapsed: Duration::ZERO,
        sent: 0,
        tries: 0,
        received: 0,
        ignored: 0,
        outcome,
    }
}

/// The addresses of a host name that are tried. Each costs the time of an attempt.
fn tried(found: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    found.take(ADDRESSES_MAX).collect()
}

fn answered(packets: &[Vec<u8>]) -> Outcome {
    let packet = packets.first().map(Vec::as_slice).unwrap_or_default();
    match Message::decode(packet) {
        Ok(message) => Outcome::Answered(Answered {
            version: message.envelope.version,
            header: message.header,
            signed: message.credential.is_some_and(|octets| !octets.is_empty()),
        }),
        Err(error) => Outcome::Misbehaved(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: usize) -> SocketAddr {
        ([192, 0, 2, 1], u16::try_from(port).unwrap()).into()
    }

    #[test]
    fn no_more_addresses_of_a_name_than_the_limit_are_tried() {
        let many: Vec<_> = (1..=9).map(address).collect();
        assert_eq!(tried(many.iter().copied()), many[..ADDRESSES_MAX]);
        assert_eq!(tried(many[..2].iter().copied()), many[..2]);
    }

    #[tokio::test]
    async fn no_more_connections_than_the_limit_are_kept() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = listener.local_addr().unwrap();
        let client = Client::builder(format!("tcp://{peer}").parse().unwrap()).build();
        let connection = Connection::open(peer, Duration::from_secs(60))
            .await
            .unwrap();
        for port in 1..=CONNECTIONS_MAX + 1 {
            client.keep(address(port), &connection);
        }
        let kept = client.connections().len();
        assert_eq!(kept, CONNECTIONS_MAX);
        assert!(
            !client
                .connections()
                .contains_key(&address(CONNECTIONS_MAX + 1))
        );
    }
}
