//! Answers that had to wait, for the disk, the resolver or an errand, sent when they are there.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use guantong_core::admin::Listing;
use guantong_core::resolve::{Answer, Question, TraceWanted};
use guantong_proto::frame::split;
use guantong_proto::limits::ENVELOPE_LEN;
use guantong_proto::message::ResponseCode;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

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
    /// Reads what the answer takes, on this thread, and sends it.
    pub(super) fn read(self, runtime: &Handle) {
        let mut out = Vec::new();
        match self.node.answer(&self.packet, self.via, &mut out) {
            Some(wait) => self.wait(wait, runtime),
            None => self.send(out),
        }
    }

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
        let Self { node, via, .. } = self;
        if out.is_empty() {
            return;
        }
        let config = node.config();
        fit(node, &config.limits, &mut out, 0);
        if !is_within_rate(node, &config.limits, node.uptime_ms(), via.peer, out.len()) {
            // Shorter than any request, so nobody gains by it.
            replace_by_error(&mut out, 0, ResponseCode::ERROR, "");
            node.metrics.dropped(Dropped::UdpTold);
        }
        self.send_whole(&out);
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
