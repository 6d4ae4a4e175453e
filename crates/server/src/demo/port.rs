//! The ports of the demonstration: those that everybody expects, where they are free.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Socket, Type};

use crate::site::Addresses;

//----------- Ports ----------------------------------------------------------

/// The ports of the demonstration; 0 is any free one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Native protocol, over UDP and TCP.
    pub native: u16,
    /// HTTP and HTTPS.
    pub http: u16,
    /// Metrics and health.
    pub console: u16,
}

impl Ports {
    /// The ports that everybody expects.
    pub const DEFAULT: Self = Self {
        native: 2641,
        http: 8000,
        console: 8080,
    };
    /// Any free ports.
    pub const FREE: Self = Self {
        native: 0,
        http: 0,
        console: 0,
    };

    /// The ports behind these; any free ones stay so.
    #[must_use]
    pub fn next(self) -> Self {
        let next = |port: u16| match port {
            0 => 0,
            port => port.checked_add(1).unwrap_or(0),
        };
        Self {
            native: next(self.native),
            http: next(self.http),
            console: next(self.console),
        }
    }

    /// The same, with free ports in the place of those that another program has.
    #[must_use]
    pub fn or_free(self) -> Self {
        let streams = |port| if is_free(port, false) { port } else { 0 };
        Self {
            native: if is_free(self.native, true) {
                self.native
            } else {
                0
            },
            http: streams(self.http),
            console: streams(self.console),
        }
    }
}

pub(super) fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn is_free(port: u16, with_datagrams: bool) -> bool {
    let streams = TcpListener::bind(loopback(port)).is_ok();
    streams && (!with_datagrams || UdpSocket::bind(loopback(port)).is_ok())
}

//----------- Held -----------------------------------------------------------

/// The ports of a node that is stopped and will be started again. Without it the system would give
/// them to whoever asks for any port, a resolver among others. Askers are refused as they would be
/// if nobody had the ports.
#[derive(Debug)]
pub(super) struct Held {
    _sockets: Vec<Socket>,
}

impl Held {
    /// Takes the ports. One that somebody has taken already is left out: whoever starts the node
    /// is told.
    pub(super) fn hold(addresses: &Addresses) -> Self {
        let datagrams = addresses.udp.iter().map(hold_datagrams);
        let streams = addresses.tcp.iter().chain(&addresses.http);
        let streams = streams.chain(&addresses.console).map(hold_streams);
        Self {
            _sockets: datagrams.chain(streams).filter_map(Result::ok).collect(),
        }
    }
}

/// A socket that has itself as its peer: the system refuses what others send there.
fn hold_datagrams(address: &SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(*address), Type::DGRAM, None)?;
    socket.bind(&(*address).into())?;
    socket.connect(&(*address).into())?;
    Ok(socket)
}

/// A socket that does not listen: the system refuses connections.
fn hold_streams(address: &SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(*address), Type::STREAM, None)?;
    // The node's last connections may not be over for the system.
    socket.set_reuse_address(true)?;
    socket.bind(&(*address).into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_that_are_held_refuse_and_are_nobody_elses() {
        let datagrams = UdpSocket::bind(loopback(0)).unwrap();
        let streams = TcpListener::bind(loopback(0)).unwrap();
        let addresses = Addresses {
            udp: vec![datagrams.local_addr().unwrap()],
            tcp: vec![streams.local_addr().unwrap()],
            http: Vec::new(),
            console: None,
        };
        drop((datagrams, streams));
        let held = Held::hold(&addresses);

        let (native, stream) = (addresses.udp[0], addresses.tcp[0]);
        for (kind, address) in [(Type::DGRAM, native), (Type::STREAM, stream)] {
            let other = Socket::new(Domain::IPV4, kind, None).unwrap();
            let taken = other.bind(&address.into()).unwrap_err();
            assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        }
        let refused = std::net::TcpStream::connect(stream).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let asker = UdpSocket::bind(loopback(0)).unwrap();
        asker.connect(native).unwrap();
        asker.send(b"question").unwrap();
        let refused = asker.recv(&mut [0; 8]).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);

        drop(held);
        UdpSocket::bind(native).unwrap();
        TcpListener::bind(stream).unwrap();
    }
}
