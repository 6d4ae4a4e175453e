//! What the resolver wants sent, and what comes of it.

use std::net::SocketAddr;
use std::sync::Arc;

use guantong_proto::data::site::Protocol;

use super::place::Reach;
use super::time::Tick;

//----------- Transmit -------------------------------------------------------

/// One request to be sent. By UDP the same exchange can be transmitted again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// What [`Resolver::on_stream`](super::Resolver::on_stream) is told when a stream has a reply.
    pub exchange: ExchangeId,
    /// How to send it.
    pub transport: Transport,
    /// Where to.
    pub route: Route,
    /// The whole packet: envelope and message. For UDP the shell cuts it into datagrams
    /// ([`split`](guantong_proto::frame::split)).
    pub packet: Arc<[u8]>,
    /// The server's public key in the form of HS_PUBKEY, to be pinned by TLS; `None` if the site
    /// record has none.
    pub server_key: Option<Arc<[u8]>>,
    /// Which addresses may be asked. What is in `route` was judged by it; if a host name is looked
    /// up, what it leads to must be judged too.
    pub reach: Reach,
    /// When the resolver stops waiting for a reply by stream.
    pub deadline: Tick,
}

/// How a request travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams from the socket of this number, below
    /// [`Settings::sockets`](super::Settings::sockets). A shell that speaks IPv4 and IPv6 keeps a
    /// socket of each under one number.
    Udp {
        /// Number of the socket.
        local: u16,
    },
    /// A plain stream.
    Tcp,
    /// A POST by HTTP/1.1 (8.6).
    Http,
    /// The same over TLS.
    Https,
}

impl Transport {
    /// The number of the transport in site records.
    pub fn protocol(self) -> Protocol {
        match self {
            Self::Udp { .. } => Protocol::UDP,
            Self::Tcp => Protocol::TCP,
            Self::Http => Protocol::HTTP,
            Self::Https => Protocol::HTTPS,
        }
    }
}

/// Where a server is reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Route {
    /// Address and port. If the address is unspecified, `host` is to be looked up; never so for
    /// UDP.
    pub address: SocketAddr,
    /// Host name for HTTP Host and TLS; `None` means the address.
    pub host: Option<Arc<str>>,
    /// Prefix of the HTTP path; may be empty.
    pub path: Arc<str>,
}

//----------- ExchangeId -----------------------------------------------------

/// One request at one server by one transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExchangeId(pub u64);

/// Why a stream brought no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamFault {
    /// No connection came about: refused, unreachable, no such host.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The connection ended before the reply was whole.
    #[error("the connection ended before the reply was whole")]
    Closed,
    /// TLS failed; a wrong key is the server's or a forger's doing.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// What came is not a reply: too long, not HTTP, a wrong status.
    #[error("not a reply: {0}")]
    Malformed(String),
    /// Our own node could not send: no free connection, no socket of that family.
    #[error("this node could not send: {0}")]
    Local(String),
}
