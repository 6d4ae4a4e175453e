//! The ports of the demonstration: those that everybody expects, where they are free.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

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
