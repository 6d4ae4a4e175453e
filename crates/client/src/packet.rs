//! Whole packets through HTTP and HTTPS, for programs that make requests and check answers
//! themselves, such as a recursive node. Over TCP it is
//! [`Connection::exchange_packet`](crate::Connection::exchange_packet).

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::timeout;

use crate::attempt::Outcome;
use crate::http;
use crate::server::Endpoint;
use crate::tls::Trust;

/// Sends `packet` to `address` as a native message in HTTP (clause 8.6), or in HTTPS with a server
/// that `trust` accepts, and returns what comes back. Its length is bounded, its content may be
/// anything. `endpoint` tells the transport, the path, and the name for `Host` and TLS.
pub async fn tunnel(
    endpoint: &Endpoint,
    address: SocketAddr,
    packet: &[u8],
    trust: &Trust,
    answer_timeout: Duration,
) -> Result<Vec<u8>, Outcome> {
    let carried = http::carry(endpoint, address, packet.to_vec(), trust);
    timeout(answer_timeout, carried)
        .await
        .unwrap_or(Err(Outcome::NoAnswer(None)))
}
