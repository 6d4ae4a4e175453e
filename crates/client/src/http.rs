//! Native messages in HTTP and HTTPS (clause 8.6): the last resort, for networks that let nothing
//! else out.
//!
//! One connection per request. The body of the answer is bounded before it is read, and the message
//! inside is checked like any other.

use std::net::SocketAddr;

use guantong_proto::limits::{ENVELOPE_LEN, MESSAGE_LEN_MAX};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request as HttpRequest, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::attempt::Outcome;
use crate::error::Fault;
use crate::exchange::{Path, Request};
use crate::server::{Endpoint, Transport};
use crate::tls::{self, Trust};

/// Media type of native messages.
const MESSAGE_TYPE: &str = "application/x-hdl-message";
const AGENT: &str = concat!("guantong/", env!("CARGO_PKG_VERSION"));

/// Sends `request` to `address` and returns the checked packet of the answer. The caller bounds the
/// time.
pub(crate) async fn exchange(
    endpoint: &Endpoint,
    address: SocketAddr,
    request: &Request,
    trust: &Trust,
) -> Result<Vec<u8>, Outcome> {
    let packet = carry(endpoint, address, request.packet.clone(), trust).await?;
    request
        .check(&packet, Path::Stream)
        .map_err(Outcome::Misbehaved)?;
    Ok(packet)
}

/// Sends a packet to `address` and returns what comes back, unchecked.
pub(crate) async fn carry(
    endpoint: &Endpoint,
    address: SocketAddr,
    packet: Vec<u8>,
    trust: &Trust,
) -> Result<Vec<u8>, Outcome> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|e| Outcome::Io(e.to_string()))?;
    stream
        .set_nodelay(true)
        .map_err(|e| Outcome::Io(e.to_string()))?;
    match endpoint.transport {
        Transport::Https => {
            let name = endpoint.name.as_deref().unwrap_or(&endpoint.host);
            let stream = tls::connect(stream, name, trust).await?;
            post(stream, endpoint, packet).await
        }
        _ => post(stream, endpoint, packet).await,
    }
}

async fn post(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    endpoint: &Endpoint,
    packet: Vec<u8>,
) -> Result<Vec<u8>, Outcome> {
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(|e| http(&e))?;
    let _driver = Driver(tokio::spawn(connection));
    let message = HttpRequest::post(format!("{}/", endpoint.path))
        .header(HOST, host(endpoint))
        .header(USER_AGENT, AGENT)
        .header(CONTENT_TYPE, MESSAGE_TYPE)
        .header(ACCEPT, MESSAGE_TYPE)
        .body(Full::new(Bytes::from(packet)))
        .map_err(|error| {
            Outcome::Unusable(format!("the address gives no HTTP request: {error}"))
        })?;
    let response = sender.send_request(message).await.map_err(|e| http(&e))?;
    if response.status() != StatusCode::OK {
        let text = format!("status {}: it takes no native messages", response.status());
        return Err(Outcome::Misbehaved(Fault::Http(text)));
    }
    let kind = response.headers().get(CONTENT_TYPE);
    if kind.is_none_or(|kind| !kind.as_bytes().starts_with(MESSAGE_TYPE.as_bytes())) {
        let text = format!("the answer is not of type {MESSAGE_TYPE}");
        return Err(Outcome::Misbehaved(Fault::Http(text)));
    }
    let body = Limited::new(response.into_body(), ENVELOPE_LEN + MESSAGE_LEN_MAX);
    let body = body.collect().await.map_err(|error| {
        Outcome::Misbehaved(Fault::Http(format!("the body cannot be read: {error}")))
    })?;
    Ok(body.to_bytes().to_vec())
}

fn host(endpoint: &Endpoint) -> String {
    match &endpoint.name {
        Some(name) => format!("{name}:{}", endpoint.port),
        None => endpoint.authority(),
    }
}

fn http(error: &hyper::Error) -> Outcome {
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return Outcome::Closed;
    }
    match std::error::Error::source(error) {
        Some(cause) => Outcome::Misbehaved(Fault::Http(format!("{error}: {cause}"))),
        None => Outcome::Misbehaved(Fault::Http(error.to_string())),
    }
}

/// The task that moves octets between hyper and the stream; it ends with the exchange.
struct Driver(tokio::task::JoinHandle<Result<(), hyper::Error>>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}
