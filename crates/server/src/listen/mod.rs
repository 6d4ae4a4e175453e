//! Listeners: octets in, [`Node`], octets out. No decisions.
//!
//! [`udp`] runs on plain threads with batched system calls, one per core: an answer from memory
//! takes about a microsecond, less than any scheduler would add. Connections begin with threads of
//! `poll`, which answer from memory, too. Those that need more go on in [`tcp`] and [`http`],
//! which run on tokio, where waiting is cheap.

mod cold;
pub mod console;
pub mod host;
pub mod http;
mod later;
pub(crate) mod poll;
mod send;
pub mod tcp;
mod timed;
pub mod tls;
pub mod udp;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::limit::{Crowded, Place};
use crate::metrics::{Drop as Dropped, Transport};
use crate::node::Node;

/// Connections that the system keeps for us until we accept them.
const BACKLOG: i32 = 1_024;
/// Pause after an accept that failed for want of resources, so that others can give some back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Who is at the other end of a connection; in the extensions of every HTTP request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The address, IPv4 in its plain form.
    pub address: SocketAddr,
    /// Whether the connection is encrypted.
    pub secure: bool,
    /// Whether the request came to the console address.
    pub console: bool,
}

impl Peer {
    /// How requests of this peer are counted.
    pub fn transport(&self) -> Transport {
        match self.secure {
            true => Transport::Https,
            false => Transport::Http,
        }
    }
}

/// Whether several sockets may listen at one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// Those that say so as well; the system spreads connections or datagrams over them.
    Yes,
    /// None but this one.
    No,
}

/// Lets more sockets of this node have the address of `first`, which was bound with
/// [`Sharing::No`]: so another node that shares its port as well is not joined by mistake. Linux
/// does that even where it chooses the port, for datagrams of one user.
pub(crate) fn share<'a, S>(first: &'a S) -> io::Result<()>
where
    socket2::SockRef<'a>: From<&'a S>,
{
    socket2::SockRef::from(first).set_reuse_port(true)
}

/// A socket that listens for streams.
pub(crate) fn stream_socket(
    address: SocketAddr,
    sharing: Sharing,
) -> io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM,
        None,
    )?;
    // A port can be used again at once after a restart.
    socket.set_reuse_address(true)?;
    if sharing == Sharing::Yes {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        // An IPv4 address of the same port has a setting of its own.
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// The next connection that the limits admit; `None` if the last one was not.
pub(crate) async fn accept(
    node: &Node,
    listener: &tokio::net::TcpListener,
    via: Transport,
) -> Option<(tokio::net::TcpStream, SocketAddr, Place)> {
    let (stream, peer) = match listener.accept().await {
        Ok(accepted) => accepted,
        Err(error) => {
            on_accept_error(node, &error);
            tokio::time::sleep(ACCEPT_PAUSE).await;
            return None;
        }
    };
    let peer = canonical(peer);
    let place = admit(node, peer, via)?;
    // Answers are whole packets already; waiting for more would only delay them.
    let _ = stream.set_nodelay(true);
    Some((stream, peer, place))
}

/// Tells of a connection that was not accepted: the peer went away, or the system is short of
/// descriptors or memory.
fn on_accept_error(node: &Node, error: &io::Error) {
    if node.throttle().allows(&node.metrics, node.uptime_ms()) {
        tracing::warn!(%error, "a connection could not be accepted");
    }
}

/// A place for a connection, if the limits allow it.
fn admit(node: &Node, peer: SocketAddr, via: Transport) -> Option<Place> {
    match node.connections.admit(peer.ip(), &node.config().limits) {
        Ok(place) => {
            node.metrics.accepted(via);
            Some(place)
        }
        Err(crowded) => {
            node.metrics.dropped(match crowded {
                Crowded::Node => Dropped::ConnectionsFull,
                Crowded::Address => Dropped::AddressFull,
            });
            if node.throttle().allows(&node.metrics, node.uptime_ms()) {
                tracing::warn!(%peer, ?crowded, "a connection was refused");
            }
            None
        }
    }
}

/// The address without the IPv6 clothes of IPv4.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        IpAddr::V6(_) => address,
    }
}
