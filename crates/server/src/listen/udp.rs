//! The native protocol over UDP: plain threads that receive, answer and send in batches.
//!
//! ```text
//!   recvmmsg ≤ 64 ──► whole? ──► answer ──► size and rate ──► cut ──► sendmmsg ≤ 64
//!                     │ no                   (see below)
//!                     ▼
//!                 Reassembly
//! ```
//!
//! Each thread owns a socket; the kernel spreads sources over them (SO_REUSEPORT). Buffers are made
//! once: a datagram costs no allocation, no lock and no hand-over.
//!
//! # What a forged source gains
//!
//! The source of a datagram can be forged, so an answer may hit somebody who never asked.
//! Therefore:
//!
//! * An answer above `limits.udp_response_max` is not sent. The client gets response code 2 with a
//!   text instead. Handle.Net clients take code 2 as a failure of this transport and go on with the
//!   next one, TCP, at once; silence would cost them three seconds.
//! * To one network (IPv4 /24, IPv6 /56) at most `limits.udp_octets_per_second_per_network` octets
//!   are sent. Above that every second request gets a bare code 2 of 52 octets, fewer than any
//!   resolution has, and the others get nothing. A real client moves to TCP; a victim receives
//!   less than the attacker sends.
//! * Networks in `limits.trusted` are exempt from the second rule.
//!
//! An answer that the resolver or the disk must be asked for leaves later, by the same socket.

use std::io::IoSliceMut;
use std::net::{SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use guantong_core::authority::{Recursion, Site};
use guantong_proto::frame::{Joined, Reassembly, split};
use guantong_proto::limits::{DATAGRAM_LEN_MAX, ENVELOPE_LEN, HEADER_LEN};
use guantong_proto::message::{Envelope, ResponseCode};
use nix::errno::Errno;
use nix::sys::socket::{
    MsgFlags, MultiHeaders, Shutdown, SockaddrIn, SockaddrIn6, SockaddrLike, recvmmsg, shutdown,
};
use tokio::runtime::Handle;

use super::cold::{Queue, READERS, Readers};
use super::later::{self, Datagram, Reader};
use super::send::{GATHER_LEN, Send};
use super::{Sharing, canonical, share};
use crate::ahead::{AHEAD, Asked, Ready};
use crate::config::Limits;
use crate::metrics::{Drop as Dropped, Transport};
use crate::node::{Node, OnDisk, Scratch, Via, replace_by_error};
use crate::priority::Precedence;

/// Datagrams that one system call takes. More would add latency and leave the first-level cache.
pub const BATCH: usize = AHEAD;
/// Room for one datagram. Clients send 512 octets at most; this leaves room for one that carries
/// the longest handle uncut. What is longer still is cut off by the system, fails to decode, and is
/// answered as malformed. No power of two: the first octets of 64 datagrams would all be kept in
/// the same few places of the first-level cache.
const RECEIVE_LEN: usize = 4_096 + 192;
/// Buffer that the system keeps for arriving and leaving datagrams, so that a burst of some ten
/// thousand requests survives a pause of the thread. The system may grant less.
const SOCKET_BUFFER_LEN: usize = 8 * 1024 * 1024;
/// The longest that a thread sleeps. Stopping wakes it; this bounds the wait where waking fails,
/// and the age of incomplete messages.
const SLEEP: Duration = Duration::from_secs(1);
/// Pause after an error of the socket that may last, so that it does not keep a core busy.
const ERROR_PAUSE: Duration = Duration::from_millis(20);

//----------- Udp ------------------------------------------------------------

/// The threads of all UDP addresses.
#[derive(Debug)]
pub struct Udp {
    sockets: Vec<UdpSocket>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    readers: Readers,
}

impl Udp {
    /// Binds `threads` sockets to the address. Port 0 becomes one free port for all.
    ///
    /// Fails if another process has the port, although sharing is possible: two nodes on one port
    /// would each get a part of the requests.
    pub(crate) fn bind(address: SocketAddr, threads: usize) -> std::io::Result<Vec<UdpSocket>> {
        let first = socket(address, Sharing::No)?;
        share(&first)?;
        let address = first.local_addr()?;
        let mut sockets = vec![first];
        for _ in 1..threads {
            sockets.push(socket(address, Sharing::Yes)?);
        }
        Ok(sockets)
    }

    /// Starts a thread for each socket. What takes longer than an answer from memory runs on
    /// `runtime`.
    pub(crate) fn start(
        node: &Arc<Node>,
        sockets: Vec<UdpSocket>,
        runtime: &Handle,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let spare = runtime.clone();
        let worker = move || {
            let mut reader = Reader::new(spare.clone());
            move |datagrams: &mut Vec<Datagram>| reader.answer(datagrams)
        };
        let (readers, cold) = Readers::start(READERS, worker)?;
        let mut udp = Self {
            sockets: Vec::new(),
            stop: stop.clone(),
            threads: Vec::new(),
            readers,
        };
        let threads = sockets.len();
        for (n, socket) in sockets.into_iter().enumerate() {
            udp.sockets.push(socket.try_clone()?);
            let builder = std::thread::Builder::new().name(format!("udp-{n}"));
            let is_v4 = socket.local_addr()?.is_ipv4();
            let task = Task {
                node: node.clone(),
                socket: Arc::new(socket),
                stop: stop.clone(),
                runtime: runtime.clone(),
                cold: cold.clone(),
                threads,
            };
            let run = move || match is_v4 {
                true => Worker::<SockaddrIn>::new(task).run(),
                false => Worker::<SockaddrIn6>::new(task).run(),
            };
            udp.threads.push(builder.spawn(run)?);
        }
        Ok(udp)
    }

    /// Stops the threads; what has been received is answered.
    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for socket in &self.sockets {
            // Linux wakes a receiver in this way although the socket has no peer; it says "not
            // connected" nevertheless. Where it does not, the thread wakes by itself.
            let _ = shutdown(socket.as_raw_fd(), Shutdown::Read);
        }
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a UDP thread had panicked");
            }
        }
        self.readers.join();
    }
}

fn socket(address: SocketAddr, sharing: Sharing) -> std::io::Result<UdpSocket> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, None)?;
    if sharing == Sharing::Yes {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // The system grants what its limits allow; less is slower under bursts, not wrong.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_LEN);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER_LEN);
    socket.set_read_timeout(Some(SLEEP))?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

//----------- Address --------------------------------------------------------

/// An address in the form that the system has for the family of a socket. Those of all families
/// are ten times as long, and each datagram has its address copied some four times.
trait Address: SockaddrLike + Copy + PartialEq {
    /// The same, good to send to.
    fn plain(&self) -> SocketAddr;
}

impl Address for SockaddrIn {
    fn plain(&self) -> SocketAddr {
        SocketAddr::new(self.ip().into(), self.port())
    }
}

impl Address for SockaddrIn6 {
    fn plain(&self) -> SocketAddr {
        SocketAddrV6::new(self.ip(), self.port(), self.flowinfo(), self.scope_id()).into()
    }
}

//----------- Worker ---------------------------------------------------------

/// What one of the threads is given.
struct Task {
    node: Arc<Node>,
    socket: Arc<UdpSocket>,
    stop: Arc<AtomicBool>,
    runtime: Handle,
    cold: Queue<Datagram>,
    /// How many of them there are.
    threads: usize,
}

/// One thread with its socket and its buffers.
struct Worker<A> {
    task: Task,
    receive: Receive<A>,
    answer: Answer,
    send: Send<A>,
}

impl<A: Address> Worker<A> {
    fn new(task: Task) -> Self {
        Self {
            task,
            receive: Receive::new(),
            answer: Answer::new(),
            send: Send::for_batches_of(BATCH),
        }
    }

    fn run(mut self) {
        let node = self.task.node.clone();
        let is_first = node.config().listen.udp_first;
        let mut precedence = Precedence::begin(is_first, self.task.threads, node.uptime_ms());
        while !self.task.stop.load(Ordering::Relaxed) {
            match self.receive.batch(&self.task.socket) {
                Ok(0) => {}
                Ok(count) => {
                    let now_ms = node.uptime_ms();
                    self.on_batch(count, now_ms);
                    precedence.on_batch(now_ms);
                }
                // Nothing for a while, or a signal.
                Err(Errno::EAGAIN | Errno::EINTR) => {
                    self.answer.reassembly.expire(node.uptime_ms());
                }
                // An ICMP message about an earlier answer; not our trouble.
                Err(Errno::ECONNREFUSED | Errno::EHOSTUNREACH | Errno::ENETUNREACH) => {}
                Err(error) => {
                    if node.throttle().allows(&node.metrics, node.uptime_ms()) {
                        tracing::error!(%error, "a UDP socket failed to receive");
                    }
                    std::thread::sleep(ERROR_PAUSE);
                }
            }
        }
    }

    fn on_batch(&mut self, count: usize, now_ms: u64) {
        let Self {
            task,
            receive,
            answer,
            send,
        } = self;
        let Task {
            node,
            socket,
            runtime,
            cold,
            ..
        } = task;
        node.metrics.received(count);
        let (site, config) = (node.site(), node.config());
        let moment = Moment {
            node,
            socket,
            runtime,
            site: &site,
            limits: &config.limits,
            now_secs: node.now_secs(),
            now_ms,
        };
        let answered = answer.ahead(&moment, receive, count, send);
        for (n, answered) in answered.into_iter().enumerate().take(count) {
            if send.octets.len() >= GATHER_LEN {
                send.flush(&node.metrics, socket);
            }
            if let Some((datagram, address)) = receive.datagram(n)
                && !answered
            {
                answer.datagram(&moment, datagram, &address, send);
            }
        }
        send.flush(&node.metrics, socket);
        // Afterwards: the threads that are woken for it want the core that we are on.
        cold.push_all(&mut answer.cold);
        for _ in answer.cold.drain(..) {
            node.metrics.dropped(Dropped::Reads);
        }
    }
}

/// What all datagrams of a batch have in common.
struct Moment<'a> {
    node: &'a Arc<Node>,
    socket: &'a Arc<UdpSocket>,
    runtime: &'a Handle,
    site: &'a Site,
    limits: &'a Limits,
    now_secs: u32,
    now_ms: u64,
}

impl Moment<'_> {
    /// The datagram as one whose answer has to wait.
    fn later<A: Address>(&self, packet: &[u8], via: Via, address: &A) -> Datagram {
        Datagram {
            node: self.node.clone(),
            socket: self.socket.clone(),
            packet: packet.to_vec(),
            via,
            to: address.plain(),
        }
    }
}

//----------- Receive --------------------------------------------------------

struct Receive<A> {
    headers: MultiHeaders<A>,
    buffers: Box<[[u8; RECEIVE_LEN]]>,
    arrived: [Option<(usize, A)>; BATCH],
}

impl<A: Address> Receive<A> {
    fn new() -> Self {
        Self {
            headers: MultiHeaders::preallocate(BATCH, None),
            buffers: vec![[0; RECEIVE_LEN]; BATCH].into(),
            arrived: [None; BATCH],
        }
    }

    /// Waits for at least one datagram and takes what else is there.
    fn batch(&mut self, socket: &UdpSocket) -> Result<usize, Errno> {
        let mut buffers = self.buffers.iter_mut();
        let mut slices: [[IoSliceMut<'_>; 1]; BATCH] = std::array::from_fn(|_| {
            let buffer = buffers.next().map_or(&mut [][..], |buffer| &mut buffer[..]);
            [IoSliceMut::new(buffer)]
        });
        let received = recvmmsg(
            socket.as_raw_fd(),
            &mut self.headers,
            slices.iter_mut(),
            MsgFlags::MSG_WAITFORONE,
            None,
        )?;
        let mut count = 0;
        for (arrived, message) in self.arrived.iter_mut().zip(received) {
            *arrived = message.address.map(|address| (message.bytes, address));
            count += 1;
        }
        Ok(count)
    }

    fn datagram(&self, n: usize) -> Option<(&[u8], A)> {
        let (len, address) = (*self.arrived.get(n)?)?;
        let octets = self.buffers.get(n)?.get(..len)?;
        (!octets.is_empty()).then_some((octets, address))
    }
}

//----------- Answer ---------------------------------------------------------

struct Answer {
    reassembly: Reassembly<SocketAddr>,
    scratch: Scratch,
    /// Keys of plain questions.
    keys: Vec<u8>,
    /// An answer that has to be cut.
    whole: Vec<u8>,
    /// Datagrams of the batch whose records are on the disk.
    cold: Vec<Datagram>,
    /// Whether the next one above its rate is told to use TCP.
    tell: bool,
}

impl Answer {
    fn new() -> Self {
        Self {
            reassembly: Reassembly::new(),
            scratch: Scratch::default(),
            keys: Vec::new(),
            whole: Vec::new(),
            cold: Vec::with_capacity(BATCH),
            tell: false,
        }
    }

    /// Answers the datagrams of a batch that are plain questions for what is in memory, and says
    /// which those are.
    fn ahead<A: Address>(
        &mut self,
        moment: &Moment<'_>,
        receive: &Receive<A>,
        count: usize,
        send: &mut Send<A>,
    ) -> [bool; BATCH] {
        let mut answered = [false; BATCH];
        let mut keys = std::mem::take(&mut self.keys);
        let packets = std::array::from_fn(|n| match n < count {
            true => receive.datagram(n).map(|(datagram, _)| datagram),
            false => None,
        });
        let Moment { node, site, .. } = moment;
        let each = |n: usize, ready: Ready<'_>| {
            let start = send.octets.len();
            let Some((_, address)) = receive.datagram(n) else {
                return false;
            };
            // What does not fit goes after the others, when there is room again.
            if start >= GATHER_LEN || !ready.write(&mut send.octets) {
                return false;
            }
            answered[n] = true;
            self.send(moment, canonical(address.plain()), start, &address, send);
            true
        };
        let may_recurse = |n: usize| {
            let sender = receive.datagram(n);
            sender.is_some_and(|(_, address)| {
                node.recursion_for(canonical(address.plain()).ip()) == Recursion::Granted
            })
        };
        let asked = Asked {
            site,
            now_secs: moment.now_secs,
            via: Transport::Udp,
            packets,
            may_recurse,
        };
        let round = node.answer_ahead(&asked, &mut keys, each);
        if round.is_err() {
            send.forget_unsealed();
            tracing::error!("a datagram made the node panic; please report it");
        }
        self.keys = keys;
        answered
    }

    /// Answers a datagram, or keeps it until its message is complete.
    fn datagram<A: Address>(
        &mut self,
        moment: &Moment<'_>,
        datagram: &[u8],
        address: &A,
        send: &mut Send<A>,
    ) {
        let peer = canonical(address.plain());
        if is_whole(datagram) {
            return self.packet(moment, datagram, peer, address, send);
        }
        match self.reassembly.on_datagram(peer, datagram, moment.now_ms) {
            Ok(Joined::Whole(packet)) => self.packet(moment, &packet, peer, address, send),
            Ok(Joined::Incomplete) => {}
            Ok(Joined::Refused) => moment.node.metrics.dropped(Dropped::Fragment),
            Err(_) if is_fragment(datagram) => moment.node.metrics.dropped(Dropped::Fragment),
            Err(_) => self.malformed(moment, datagram, peer, address, send),
        }
    }

    /// Answers octets that no client sends by itself. The answer says what is wrong only as far as
    /// that does not make it longer than what came.
    fn malformed<A: Address>(
        &mut self,
        moment: &Moment<'_>,
        datagram: &[u8],
        peer: SocketAddr,
        address: &A,
        send: &mut Send<A>,
    ) {
        let (start, sealed) = (send.octets.len(), send.ranges.len());
        self.packet(moment, datagram, peer, address, send);
        let Some(range) = send.ranges.get_mut(sealed) else {
            return;
        };
        if range.1 - range.0 > datagram.len() {
            let code = send
                .octets
                .get(start + ENVELOPE_LEN + 4..start + ENVELOPE_LEN + 8);
            let code = code.and_then(|octets| octets.try_into().ok());
            let code = ResponseCode(code.map_or(4, i32::from_be_bytes));
            replace_by_error(&mut send.octets, start, code, "");
            range.1 = send.octets.len();
        }
    }

    fn packet<A: Address>(
        &mut self,
        moment: &Moment<'_>,
        packet: &[u8],
        peer: SocketAddr,
        address: &A,
        send: &mut Send<A>,
    ) {
        let start = send.octets.len();
        let via = Via {
            transport: Transport::Udp,
            peer,
            by_console: false,
        };
        let Moment { node, site, .. } = moment;
        let (scratch, out) = (&mut self.scratch, &mut send.octets);
        match node.answer_at_hand(site, moment.now_secs, packet, via, scratch, out) {
            Ok(None) => {}
            Ok(Some(wait)) => {
                let later = moment.later(packet, via, address);
                return later.wait(wait, moment.runtime);
            }
            Err(OnDisk) => {
                let later = moment.later(packet, via, address);
                return self.cold.push(later);
            }
        }
        self.send(moment, peer, start, address, send);
    }

    /// Sends the answer that begins at `start`, if there is one: as it is, cut, or not at all.
    fn send<A: Address>(
        &mut self,
        moment: &Moment<'_>,
        peer: SocketAddr,
        start: usize,
        address: &A,
        send: &mut Send<A>,
    ) {
        if send.octets.len() == start {
            return;
        }
        let node = moment.node;
        later::fit(node, moment.limits, &mut send.octets, start);
        self.meter(moment, peer, start, send);
        if send.octets.len() - start <= DATAGRAM_LEN_MAX {
            return send.seal(start, address);
        }
        self.whole.clear();
        self.whole.extend_from_slice(&send.octets[start..]);
        send.octets.truncate(start);
        split(&self.whole, |piece| {
            let start = send.octets.len();
            send.octets.extend_from_slice(piece);
            send.seal(start, address);
        });
    }

    /// Makes the answer that begins at `start` short, or takes it back, if the source's network has
    /// had enough.
    fn meter<A: Address>(
        &mut self,
        moment: &Moment<'_>,
        peer: SocketAddr,
        start: usize,
        send: &mut Send<A>,
    ) {
        let Moment { node, limits, .. } = moment;
        if later::is_within_rate(node, limits, moment.now_ms, peer, send.octets.len() - start) {
            return;
        }
        self.tell = !self.tell;
        if self.tell {
            replace_by_error(&mut send.octets, start, ResponseCode::ERROR, "");
            moment.node.metrics.dropped(Dropped::UdpTold);
        } else {
            send.octets.truncate(start);
            moment.node.metrics.dropped(Dropped::UdpRate);
        }
    }
}

/// Whether the datagram is a whole message by itself, as nearly all are.
fn is_whole(datagram: &[u8]) -> bool {
    let Some((envelope, message)) = datagram.split_first_chunk() else {
        return false;
    };
    let envelope = Envelope::from_octets(envelope);
    let len = usize::try_from(envelope.message_len).unwrap_or(usize::MAX);
    envelope.sequence == 0 && len >= HEADER_LEN && message.len() >= len
}

/// Whether the datagram says that it is a part of a message.
fn is_fragment(datagram: &[u8]) -> bool {
    datagram.first_chunk().is_some_and(|envelope| {
        let envelope = Envelope::from_octets(envelope);
        envelope.truncated || envelope.sequence != 0
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::net::Ipv4Addr;

    use super::*;

    fn bind(port: u16, threads: usize) -> std::io::Result<Vec<UdpSocket>> {
        Udp::bind((Ipv4Addr::LOCALHOST, port).into(), threads)
    }

    /// Each of two nodes on one port would get a part of the requests.
    #[test]
    fn port_is_shared_by_the_threads_of_one_node_alone() {
        let sockets = bind(0, 3).unwrap();
        let address = sockets.first().unwrap().local_addr().unwrap();
        assert!(
            sockets
                .iter()
                .all(|socket| socket.local_addr().unwrap() == address)
        );
        let refused = bind(address.port(), 3).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::AddrInUse);
    }

    /// Linux chooses a port that another node of the same user has already, where both are willing
    /// to share it: one of some thirty thousand, so a few of these.
    #[test]
    fn port_that_the_system_chooses_is_that_of_no_other_node() {
        let nodes: Vec<_> = (0..500).map(|_| bind(0, 1).unwrap()).collect();
        let ports: HashSet<SocketAddr> = nodes
            .iter()
            .flatten()
            .map(|socket| socket.local_addr().unwrap())
            .collect();
        assert_eq!(ports.len(), nodes.len());
    }
}
