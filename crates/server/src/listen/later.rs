//! Answers that had to wait, for the disk, the resolver or an errand, sent when they are there.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use guantong_core::admin::Listing;
use guantong_core::resolve::{Answer, Question, TraceWanted};
use guantong_proto::frame::split;
use guantong_proto::limits::{DATAGRAM_LEN_MAX, ENVELOPE_LEN};
use guantong_proto::message::ResponseCode;
use nix::sys::socket::SockaddrStorage;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::cold::SHARE_MAX;
use super::send::Send;
use crate::config::Limits;
use crate::errand::Rest;
use crate::limit::network_of;
use crate::metrics::Drop as Dropped;
use crate::node::{Node, Via, Wait, replace_by_error};

//----------- Datagram -------------------------------------------------------

/// A request by UDP whose answer has to wait.
#[derive(Debug)]
pub(super) struct Datagram {
    pub(super) node: Arc<Node>,
    /// The listener's own: clients believe no other.
    pub(super) socket: Arc<UdpSocket>,
    pub(super) packet: Vec<u8>,
    pub(super) via: Via,
    /// The peer as the system knows it.
    pub(super) to: SocketAddr,
}

impl Datagram {
    /// Waits for what the answer takes besides a record.
    pub(super) fn wait(self, wait: Wait, runtime: &Handle) {
        match wait {
            Wait::Resolver(question) => self.ask(question),
            Wait::Errand => self.carry_out(runtime),
        }
    }

    /// Asks; the answer is sent by the resolver's thread.
    fn ask(self, question: Question) {
        let Some(courier) = self.node.courier().cloned() else {
            return;
        };
        let reply = Box::new(move |answer: Answer| self.answer(&answer));
        courier.ask(question, TraceWanted::No, reply);
    }

    fn answer(&self, answer: &Answer) {
        let mut out = Vec::new();
        self.node
            .answer_found(&self.packet, self.via, answer, &mut out);
        self.send(out);
    }

    /// Carries out on `runtime` what needs an identity, several records or a write, and sends the
    /// reply from there. Above the bound on errands the datagram is dropped; clients repeat it.
    fn carry_out(self, runtime: &Handle) {
        if self.node.errands.is_full() {
            return self.node.metrics.dropped(Dropped::Crowded);
        }
        runtime.spawn(async move {
            let Self { node, via, .. } = &self;
            let mut out = Vec::new();
            match node.run_errand(&self.packet, *via, None, &mut out).await {
                // Who has signed our nonce receives what is sent to him: his address is not forged.
                Rest::Proven => return self.send_whole(&out),
                Rest::None => {}
                Rest::List(listing) => node.write_list(&listing, 1, &mut out),
                Rest::Stream(stream) => node.refuse_stream(&stream, &mut out),
            }
            self.send(out);
        });
    }

    fn send(&self, mut out: Vec<u8>) {
        self.limit(&mut out, 0);
        self.send_whole(&out);
    }

    /// Makes the answer that begins at `start`, if there is one, as short as it has to be.
    fn limit(&self, out: &mut Vec<u8>, start: usize) {
        let Self { node, via, .. } = self;
        if out.len() == start {
            return;
        }
        let config = node.config();
        fit(node, &config.limits, out, start);
        let (now_ms, len) = (node.uptime_ms(), out.len() - start);
        if !is_within_rate(node, &config.limits, now_ms, via.peer, len) {
            // Shorter than any request, so nobody gains by it.
            replace_by_error(out, start, ResponseCode::ERROR, "");
            node.metrics.dropped(Dropped::UdpTold);
        }
    }

    /// Sends octets whatever they cost.
    fn send_whole(&self, out: &[u8]) {
        let metrics = &self.node.metrics;
        if out.is_empty() {
            return;
        }
        split(out, |piece| match self.socket.send_to(piece, self.to) {
            Ok(_) => metrics.sent(1),
            Err(_) => metrics.dropped(Dropped::UdpSend),
        });
    }
}

//----------- Reader ---------------------------------------------------------

/// What a thread that reads the disk uses again for every answer.
pub(super) struct Reader {
    runtime: Handle,
    send: Send<SockaddrStorage>,
}

impl Reader {
    /// Hands on to `runtime` what takes more than a record.
    pub(super) fn new(runtime: Handle) -> Self {
        Self {
            runtime,
            send: Send::for_batches_of(SHARE_MAX),
        }
    }

    /// Reads what some answers take, on this thread, and sends them together.
    pub(super) fn answer(&mut self, datagrams: &mut Vec<Datagram>) {
        let mut from: Option<(Arc<Node>, Arc<UdpSocket>)> = None;
        for datagram in datagrams.drain(..) {
            // Those that came by one socket leave by it together.
            if let Some((node, socket)) = &from
                && !Arc::ptr_eq(socket, &datagram.socket)
            {
                self.send.flush(&node.metrics, socket);
            }
            from = Some((datagram.node.clone(), datagram.socket.clone()));
            self.write(datagram);
        }
        if let Some((node, socket)) = from {
            self.send.flush(&node.metrics, &socket);
        }
    }

    /// Writes an answer behind those that are to be sent, or has somebody else send it.
    fn write(&mut self, datagram: Datagram) {
        let send = &mut self.send;
        let start = send.octets.len();
        let (packet, via) = (&datagram.packet, datagram.via);
        if let Some(wait) = datagram.node.answer(packet, via, &mut send.octets) {
            return datagram.wait(wait, &self.runtime);
        }
        datagram.limit(&mut send.octets, start);
        if send.octets.len() - start <= DATAGRAM_LEN_MAX {
            return send.seal(start, &datagram.to.into());
        }
        datagram.send_whole(&send.octets[start..]);
        send.octets.truncate(start);
    }
}

//----------- Limits ---------------------------------------------------------

/// Puts an error in the place of an answer that is too large for UDP; it begins at `start`.
pub(super) fn fit(node: &Node, limits: &Limits, out: &mut Vec<u8>, start: usize) {
    let len = out.len() - start - ENVELOPE_LEN;
    if len > limits.udp_response_max {
        let text = format!("the answer has {len} octets, too many for UDP; ask over TCP");
        replace_by_error(out, start, ResponseCode::ERROR, &text);
        node.metrics.dropped(Dropped::UdpTooLarge);
    }
}

/// Spends so many octets of what may be sent to the network of `peer` in a second.
pub(super) fn is_within_rate(
    node: &Node,
    limits: &Limits,
    now_ms: u64,
    peer: SocketAddr,
    len: usize,
) -> bool {
    let per_second = limits.udp_octets_per_second_per_network;
    if per_second == 0 || limits.trusts(peer.ip()) {
        return true;
    }
    let source = network_of(peer.ip());
    node.udp_octets
        .spend(source, len as u64, per_second, now_ms)
}

//----------- Slot -----------------------------------------------------------

/// The place of one answer in the order of a connection.
pub(super) enum Slot {
    /// Ready to be written, after those in front of it.
    Ready(Vec<u8>),
    /// Ready to be sent page by page, after those in front of it.
    List(Listing),
    /// The resolver is asked.
    Waits {
        packet: Vec<u8>,
        answer: oneshot::Receiver<Answer>,
    },
}

impl Slot {
    /// Asks for the answer to a packet.
    pub(super) fn ask(node: &Node, question: Question, packet: &[u8]) -> Self {
        let (sender, answer) = oneshot::channel();
        if let Some(courier) = node.courier() {
            let reply = Box::new(move |answer| {
                // A connection that has ended needs no answer.
                let _ = sender.send(answer);
            });
            courier.ask(question, TraceWanted::No, reply);
        }
        Self::Waits {
            packet: packet.to_vec(),
            answer,
        }
    }

    /// Octets that are ready.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Ready(octets) => octets.len(),
            Self::List(_) | Self::Waits { .. } => 0,
        }
    }

    /// Whether it can be sent once it is the first.
    pub(super) fn is_ready(&self) -> bool {
        !matches!(self, Self::Waits { .. })
    }
}
