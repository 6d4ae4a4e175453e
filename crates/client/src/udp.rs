//! One question by UDP.
//!
//! Every request has a socket of its own, so the system picks a fresh source port for it, and
//! datagrams from other addresses do not even reach us. A datagram that is not the answer is
//! ignored, not believed: the wait goes on.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use guantong_proto::frame::{Joined, Reassembly, split};
use guantong_proto::message::{Envelope, Message, Response, ResponseCode};
use guantong_proto::wire::Reader;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use crate::answer::error_text;
use crate::attempt::Outcome;
use crate::error::Fault;
use crate::exchange::{Path, Request};
use crate::limits::DATAGRAM_LEN_MAX;

/// What came of it, beside the answer.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) tries: u32,
    pub(crate) ignored: u32,
}

/// Sends `request` to `peer` until it is answered; waits as long as `waits` say.
///
/// If part of a split answer is in, but not all of it when the first wait is over, the attempt ends
/// with [`Outcome::Incomplete`]: such an answer is better fetched by a stream.
pub(crate) async fn exchange(
    peer: SocketAddr,
    request: &Request,
    waits: &[Duration],
    tally: &mut Tally,
) -> Result<Vec<u8>, Outcome> {
    let socket = open(peer).await.map_err(|e| io(&e))?;
    let began = Instant::now();
    let mut inbox = Inbox::new(request);
    let mut deadline = began;
    for wait in waits {
        tally.tries += 1;
        send(&socket, &request.packet).await.map_err(|e| io(&e))?;
        deadline += *wait;
        // The timer ends the wait even if datagrams never stop coming.
        let received = timeout_at(deadline, inbox.receive(&socket, began, tally)).await;
        match received {
            Ok(Ok(End::Answer(packet))) => return Ok(packet),
            Ok(Ok(End::Declined(outcome))) => return Err(outcome),
            Ok(Err(error)) => return Err(io(&error)),
            Err(_) if !inbox.reassembly.is_empty() => return Err(Outcome::Incomplete),
            Err(_) => {}
        }
    }
    Err(Outcome::NoAnswer(inbox.last_fault))
}

async fn open(peer: SocketAddr) -> std::io::Result<UdpSocket> {
    let local: SocketAddr = match peer {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(local).await?;
    socket.connect(peer).await?;
    Ok(socket)
}

async fn send(socket: &UdpSocket, packet: &[u8]) -> std::io::Result<()> {
    let mut datagrams = Vec::new();
    split(packet, |datagram| datagrams.push(datagram.to_vec()));
    for datagram in datagrams {
        socket.send(&datagram).await?;
    }
    Ok(())
}

fn io(error: &std::io::Error) -> Outcome {
    Outcome::Io(error.to_string())
}

//----------- Inbox ----------------------------------------------------------

/// Datagrams of one answer.
struct Inbox<'a> {
    request: &'a Request,
    reassembly: Reassembly<()>,
    last_fault: Option<Fault>,
}

/// What a datagram led to, if not to waiting for the next.
enum End {
    Answer(Vec<u8>),
    Declined(Outcome),
}

impl<'a> Inbox<'a> {
    fn new(request: &'a Request) -> Self {
        Self {
            request,
            reassembly: Reassembly::new(),
            last_fault: None,
        }
    }

    /// Receives until the answer is whole, or the server asks to be asked otherwise.
    async fn receive(
        &mut self,
        socket: &UdpSocket,
        began: Instant,
        tally: &mut Tally,
    ) -> std::io::Result<End> {
        let mut datagram = [0; DATAGRAM_LEN_MAX];
        loop {
            let len = socket.recv(&mut datagram).await?;
            let now_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            match self.take(&datagram[..len], now_ms) {
                Ok(Some(end)) => return Ok(end),
                Ok(None) => {}
                Err(fault) => {
                    tally.ignored = tally.ignored.saturating_add(1);
                    self.last_fault = Some(fault);
                }
            }
        }
    }

    /// The end, if `datagram` is it.
    fn take(&mut self, datagram: &[u8], now_ms: u64) -> Result<Option<End>, Fault> {
        let envelope = Envelope::decode(&mut Reader::new(datagram))?;
        if envelope.request_id != self.request.id {
            // Not worth room in the reassembly, which an attacker could fill.
            return Err(Fault::ForeignId(envelope.request_id));
        }
        let Joined::Whole(packet) = self.reassembly.on_datagram((), datagram, now_ms)? else {
            return Ok(None);
        };
        let checked = self.request.check(&packet, Path::Datagram);
        if let Some(outcome) = declined(&packet, checked.as_ref().err()) {
            return Ok(Some(End::Declined(outcome)));
        }
        checked?;
        Ok(Some(End::Answer(packet)))
    }
}

/// A general error by UDP means: this transport will not do, as when the answer is too large.
///
/// Such a reply need not carry the digest, for it proves nothing and decides nothing: whoever
/// forges it makes us ask by TCP, where forging is harder.
fn declined(packet: &[u8], fault: Option<&Fault>) -> Option<Outcome> {
    if !matches!(fault, None | Some(Fault::NoDigest)) {
        return None;
    }
    let message = Message::decode(packet).ok()?;
    let code = message.header.code;
    if code != ResponseCode::ERROR && code != ResponseCode::SERVER_TOO_BUSY {
        return None;
    }
    let response = Response::of(&message).ok()?;
    let text = error_text(&response.body);
    Some(Outcome::Declined { code, text })
}
