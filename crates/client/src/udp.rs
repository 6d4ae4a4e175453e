//! One question by UDP.
//!
//! Every request has a socket of its own, so the system picks a fresh source port for it, and
//! datagrams from other addresses do not even reach us. A datagram that is not the answer is
//! ignored, not believed: the wait goes on.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use guantong_proto::frame::{Joined, Reassembly, split};
use guantong_proto::message::Envelope;
use guantong_proto::wire::Reader;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

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
            Ok(Ok(packet)) => return Ok(packet),
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

impl<'a> Inbox<'a> {
    fn new(request: &'a Request) -> Self {
        Self {
            request,
            reassembly: Reassembly::new(),
            last_fault: None,
        }
    }

    /// Receives until the answer is whole.
    async fn receive(
        &mut self,
        socket: &UdpSocket,
        began: Instant,
        tally: &mut Tally,
    ) -> std::io::Result<Vec<u8>> {
        let mut datagram = [0; DATAGRAM_LEN_MAX];
        loop {
            let len = socket.recv(&mut datagram).await?;
            let now_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            match self.take(&datagram[..len], now_ms) {
                Ok(Some(packet)) => return Ok(packet),
                Ok(None) => {}
                Err(fault) => {
                    tally.ignored = tally.ignored.saturating_add(1);
                    self.last_fault = Some(fault);
                }
            }
        }
    }

    /// The answer, if `datagram` completes it.
    fn take(&mut self, datagram: &[u8], now_ms: u64) -> Result<Option<Vec<u8>>, Fault> {
        let envelope = Envelope::decode(&mut Reader::new(datagram))?;
        if envelope.request_id != self.request.id {
            // Not worth room in the reassembly, which an attacker could fill.
            return Err(Fault::ForeignId(envelope.request_id));
        }
        match self.reassembly.on_datagram((), datagram, now_ms)? {
            Joined::Whole(packet) => {
                self.request.check(&packet, Path::Datagram)?;
                Ok(Some(packet))
            }
            Joined::Incomplete | Joined::Refused => Ok(None),
        }
    }
}
