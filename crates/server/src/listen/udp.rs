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
//! An answer that the resolver must be asked for leaves later, by the same socket.

use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use guantong_core::authority::Site;
use guantong_proto::frame::{Joined, Reassembly, split};
use guantong_proto::limits::{DATAGRAM_LEN_MAX, ENVELOPE_LEN, HEADER_LEN};
use guantong_proto::message::{Envelope, ResponseCode};
use guantong_proto::wire::Reader;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, Shutdown, SockaddrStorage, recvmmsg, sendmmsg, shutdown,
};
use tokio::runtime::Handle;

use super::canonical;
use super::later::{self, Datagram};
use crate::metrics::{Drop as Dropped, Transport};
use crate::node::{Node, Scratch, Via, Wait, replace_by_error};

/// Datagrams that one system call takes. More would add latency and leave the first-level cache.
pub const BATCH: usize = 64;
/// Room for one datagram. Clients send 512 octets at most; this leaves room for one that carries
/// the longest handle uncut. What is longer still is cut off by the system, fails to decode, and is
/// answered as malformed.
const RECEIVE_LEN: usize = 4_096;
/// Buffer that the system keeps for arriving and leaving datagrams, so that a burst of some ten
/// thousand requests survives a pause of the thread. The system may grant less.
const SOCKET_BUFFER_LEN: usize = 8 * 1024 * 1024;
/// Octets of answers that are gathered before they are sent.
const GATHER_LEN: usize = 128 * 1024;
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
}

impl Udp {
    /// Binds `threads` sockets to the address. Port 0 becomes one free port for all.
    ///
    /// Fails if another process has the port, although sharing is possible: two nodes on one port
    /// would each get a part of the requests.
    pub(crate) fn bind(address: SocketAddr, threads: usize) -> std::io::Result<Vec<UdpSocket>> {
        drop(socket(address, Sharing::No)?);
        let first = socket(address, Sharing::Yes)?;
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
        let mut udp = Self {
            sockets: Vec::new(),
            stop: stop.clone(),
            threads: Vec::new(),
        };
        for (n, socket) in sockets.into_iter().enumerate() {
            udp.sockets.push(socket.try_clone()?);
            let (node, stop, runtime) = (node.clone(), stop.clone(), runtime.clone());
            let builder = std::thread::Builder::new().name(format!("udp-{n}"));
            let run = move || Worker::new(node, Arc::new(socket), stop, runtime).run();
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
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Yes,
    No,
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

//----------- Worker ---------------------------------------------------------

/// One thread with its socket and its buffers.
struct Worker {
    node: Arc<Node>,
    socket: Arc<UdpSocket>,
    stop: Arc<AtomicBool>,
    runtime: Handle,
    receive: Receive,
    answer: Answer,
    send: Send,
}

impl Worker {
    fn new(
        node: Arc<Node>,
        socket: Arc<UdpSocket>,
        stop: Arc<AtomicBool>,
        runtime: Handle,
    ) -> Self {
        Self {
            node,
            socket,
            stop,
            runtime,
            receive: Receive::new(),
            answer: Answer::new(),
            send: Send::new(),
        }
    }

    fn run(mut self) {
        while !self.stop.load(Ordering::Relaxed) {
            match self.receive.batch(&self.socket) {
                Ok(0) => {}
                Ok(count) => self.on_batch(count),
                // Nothing for a while, or a signal.
                Err(Errno::EAGAIN | Errno::EINTR) => {
                    self.answer.reassembly.expire(self.node.uptime_ms());
                }
                // An ICMP message about an earlier answer; not our trouble.
                Err(Errno::ECONNREFUSED | Errno::EHOSTUNREACH | Errno::ENETUNREACH) => {}
                Err(error) => {
                    if self
                        .node
                        .throttle()
                        .allows(&self.node.metrics, self.node.uptime_ms())
                    {
                        tracing::error!(%error, "a UDP socket failed to receive");
                    }
                    std::thread::sleep(ERROR_PAUSE);
                }
            }
        }
    }

    fn on_batch(&mut self, count: usize) {
        let Self {
            node,
            socket,
            receive,
            answer,
            send,
            runtime,
            ..
        } = self;
        node.metrics.received(count);
        let site = node.site();
        let moment = Moment {
            node,
            socket,
            runtime,
            site: &site,
            now_secs: node.now_secs(),
            now_ms: node.uptime_ms(),
        };
        for n in 0..count {
            let Some((datagram, address)) = receive.datagram(n) else {
                continue;
            };
            answer.datagram(&moment, datagram, &address, send);
            if send.octets.len() >= GATHER_LEN {
                send.flush(node, socket);
            }
        }
        send.flush(node, socket);
    }
}

/// What all datagrams of a batch have in common.
struct Moment<'a> {
    node: &'a Arc<Node>,
    socket: &'a Arc<UdpSocket>,
    runtime: &'a Handle,
    site: &'a Site,
    now_secs: u32,
    now_ms: u64,
}

//----------- Receive --------------------------------------------------------

struct Receive {
    headers: MultiHeaders<SockaddrStorage>,
    buffers: Box<[[u8; RECEIVE_LEN]]>,
    arrived: [Option<(usize, SockaddrStorage)>; BATCH],
}

impl Receive {
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

    fn datagram(&self, n: usize) -> Option<(&[u8], SockaddrStorage)> {
        let (len, address) = (*self.arrived.get(n)?)?;
        let octets = self.buffers.get(n)?.get(..len)?;
        (!octets.is_empty()).then_some((octets, address))
    }
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    plain_address(address).map(canonical)
}

/// The address as the system gave it, good to send to.
fn plain_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddr::new(IpAddr::V4(v4.ip()), v4.port()));
    }
    let v6 = address.as_sockaddr_in6()?;
    let (ip, port) = (v6.ip(), v6.port());
    Some(SocketAddrV6::new(ip, port, v6.flowinfo(), v6.scope_id()).into())
}

//----------- Answer ---------------------------------------------------------

struct Answer {
    reassembly: Reassembly<SocketAddr>,
    scratch: Scratch,
    /// An answer that has to be cut.
    whole: Vec<u8>,
    /// Whether the next one above its rate is told to use TCP.
    tell: bool,
}

impl Answer {
    fn new() -> Self {
        Self {
            reassembly: Reassembly::new(),
            scratch: Scratch::default(),
            whole: Vec::new(),
            tell: false,
        }
    }

    /// Answers a datagram, or keeps it until its message is complete.
    fn datagram(
        &mut self,
        moment: &Moment<'_>,
        datagram: &[u8],
        address: &SockaddrStorage,
        send: &mut Send,
    ) {
        let peer = socket_address(address)
            .unwrap_or_else(|| SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0));
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
    fn malformed(
        &mut self,
        moment: &Moment<'_>,
        datagram: &[u8],
        peer: SocketAddr,
        address: &SockaddrStorage,
        send: &mut Send,
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

    fn packet(
        &mut self,
        moment: &Moment<'_>,
        packet: &[u8],
        peer: SocketAddr,
        address: &SockaddrStorage,
        send: &mut Send,
    ) {
        let start = send.octets.len();
        let via = Via {
            transport: Transport::Udp,
            peer,
        };
        let Moment { node, site, .. } = moment;
        let (scratch, out) = (&mut self.scratch, &mut send.octets);
        let wait = node.answer_at(site, moment.now_secs, packet, via, scratch, out);
        if let Some(wait) = wait {
            let later = Datagram {
                node: moment.node.clone(),
                socket: moment.socket.clone(),
                packet: packet.to_vec(),
                via,
                to: plain_address(address).unwrap_or(peer),
            };
            return match wait {
                Wait::Resolver(question) => later.ask(question),
                Wait::Errand => later.carry_out(moment.runtime),
            };
        }
        if send.octets.len() == start {
            return;
        }
        later::fit(node, &mut send.octets, start);
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
    fn meter(&mut self, moment: &Moment<'_>, peer: SocketAddr, start: usize, send: &mut Send) {
        if later::is_within_rate(moment.node, peer, send.octets.len() - start) {
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
    let Ok(envelope) = Envelope::decode(&mut Reader::new(datagram)) else {
        return false;
    };
    let len = usize::try_from(envelope.message_len).unwrap_or(usize::MAX);
    envelope.sequence == 0
        && len >= HEADER_LEN
        && datagram
            .len()
            .checked_sub(ENVELOPE_LEN)
            .is_some_and(|have| have >= len)
}

/// Whether the datagram says that it is a part of a message.
fn is_fragment(datagram: &[u8]) -> bool {
    Envelope::decode(&mut Reader::new(datagram))
        .is_ok_and(|envelope| envelope.truncated || envelope.sequence != 0)
}

//----------- Send -----------------------------------------------------------

struct Send {
    headers: MultiHeaders<SockaddrStorage>,
    /// Datagrams back to back.
    octets: Vec<u8>,
    /// Where each begins and ends.
    ranges: Vec<(usize, usize)>,
    /// Where each goes.
    addresses: Vec<Option<SockaddrStorage>>,
}

impl Send {
    fn new() -> Self {
        Self {
            headers: MultiHeaders::preallocate(BATCH, None),
            octets: Vec::with_capacity(2 * GATHER_LEN),
            ranges: Vec::with_capacity(4 * BATCH),
            addresses: Vec::with_capacity(4 * BATCH),
        }
    }

    /// Makes the octets from `start` on a datagram to `address`. None, if there are none.
    fn seal(&mut self, start: usize, address: &SockaddrStorage) {
        if self.octets.len() > start {
            self.ranges.push((start, self.octets.len()));
            self.addresses.push(Some(*address));
        }
    }

    /// Sends everything. What the system does not take is lost, as datagrams may be.
    fn flush(&mut self, node: &Node, socket: &UdpSocket) {
        let total = self.ranges.len();
        let mut done = 0;
        while done < total {
            match self.send_some(socket, done) {
                Ok(0) => done += 1,
                Ok(sent) => {
                    node.metrics.sent(sent);
                    done += sent;
                }
                Err(Errno::EINTR) => {}
                // The error is about the first datagram: no buffer, no route, a forged address that
                // cannot be sent to. The others may do better.
                Err(_) => {
                    node.metrics.dropped(Dropped::UdpSend);
                    done += 1;
                }
            }
        }
        self.octets.clear();
        self.ranges.clear();
        self.addresses.clear();
    }

    /// Sends up to [`BATCH`] datagrams from number `first` on; says how many went.
    fn send_some(&mut self, socket: &UdpSocket, first: usize) -> Result<usize, Errno> {
        let count = BATCH.min(self.ranges.len() - first);
        let slices: [[IoSlice<'_>; 1]; BATCH] = std::array::from_fn(|n| {
            let range = self.ranges.get(first + n).copied().unwrap_or((0, 0));
            [IoSlice::new(&self.octets[range.0..range.1])]
        });
        let no_control: [ControlMessage<'_>; 0] = [];
        let sent = sendmmsg(
            socket.as_raw_fd(),
            &mut self.headers,
            slices[..count].iter(),
            &self.addresses[first..first + count],
            no_control,
            MsgFlags::empty(),
        )?;
        Ok(sent.count())
    }
}
