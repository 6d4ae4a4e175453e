//! The UDP sockets that questions leave by.
//!
//! Their ports are chosen by the system, at random, and replaced one by one while the node runs, so
//! that a forger who has found one out has little time to use it. A replaced socket still hears
//! late answers until the next one of its number is replaced.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::{Context, Poll};

use guantong_proto::frame::split;
use socket2::SockRef;
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

use crate::listen::canonical;

/// Longest datagram that is looked at. The protocol knows 512 octets; what fits one ordinary
/// network packet is accepted from servers that are generous.
const DATAGRAM_LEN_MAX: usize = 2_048;
/// Datagrams that one socket may bring before the others have their turn.
const RECEIVE_AT_ONCE: usize = 64;
/// Buffer that the system keeps for arriving datagrams, so that a burst of answers survives a
/// pause of the thread. The system may grant less.
const SOCKET_BUFFER_LEN: usize = 1024 * 1024;

//----------- Sockets --------------------------------------------------------

/// All sockets, by number.
pub(super) struct Sockets {
    slots: Vec<Slot>,
    next_replaced: usize,
    buffer: Box<[u8; DATAGRAM_LEN_MAX]>,
}

struct Slot {
    now: Pair,
    /// What had the number before.
    before: Option<Pair>,
}

/// Sockets of both families under one number.
struct Pair {
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
}

impl Sockets {
    /// Binds so many pairs of sockets.
    pub(super) fn bind(count: u16) -> io::Result<Self> {
        let slot = |_| {
            Ok(Slot {
                now: Pair::bind()?,
                before: None,
            })
        };
        Ok(Self {
            slots: (0..count.max(1)).map(slot).collect::<io::Result<_>>()?,
            next_replaced: 0,
            buffer: Box::new([0; DATAGRAM_LEN_MAX]),
        })
    }

    /// Sends a packet, cut into datagrams. What the system does not take is lost, as datagrams may
    /// be; the resolver sends again.
    pub(super) fn send(&self, local: u16, peer: SocketAddr, packet: &[u8]) {
        let slot = self.slots.get(usize::from(local));
        let Some(socket) = slot.and_then(|slot| slot.now.of(peer)) else {
            return;
        };
        // Not by way of tokio: it says that a new socket would block until the reactor has seen it.
        let (socket, to) = (SockRef::from(socket), peer.into());
        split(packet, |datagram| {
            if let Err(error) = socket.send_to(datagram, &to) {
                tracing::debug!(%peer, %error, "a datagram could not be sent");
            }
        });
    }

    /// Waits for datagrams and gives `take` what is there: the number of the socket, the sender,
    /// the octets.
    pub(super) async fn receive(&mut self, mut take: impl FnMut(u16, SocketAddr, &[u8])) {
        std::future::poll_fn(|cx| self.poll(cx, &mut take)).await;
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        take: &mut impl FnMut(u16, SocketAddr, &[u8]),
    ) -> Poll<()> {
        let Self { slots, buffer, .. } = self;
        let mut received = Poll::Pending;
        for (local, slot) in (0..).zip(slots.iter()) {
            let pairs = std::iter::once(&slot.now).chain(&slot.before);
            for socket in pairs.flat_map(Pair::all) {
                let mut taken = |peer: SocketAddr, octets: &[u8]| {
                    take(local, canonical(peer), octets);
                };
                if drain(socket, cx, &mut buffer[..], &mut taken).is_ready() {
                    received = Poll::Ready(());
                }
            }
        }
        received
    }

    /// Gives one number a new socket. If there is none to be had, the old one stays.
    pub(super) fn replace_one(&mut self) {
        let count = self.slots.len();
        let Some(slot) = self.slots.get_mut(self.next_replaced % count) else {
            return;
        };
        self.next_replaced = (self.next_replaced + 1) % count;
        match Pair::bind() {
            Ok(pair) => slot.before = Some(std::mem::replace(&mut slot.now, pair)),
            Err(error) => tracing::warn!(%error, "a UDP socket could not be replaced"),
        }
    }
}

/// Takes datagrams until none is there or others must have their turn; pending if none came.
fn drain(
    socket: &UdpSocket,
    cx: &mut Context<'_>,
    buffer: &mut [u8],
    take: &mut impl FnMut(SocketAddr, &[u8]),
) -> Poll<()> {
    for taken in 0..RECEIVE_AT_ONCE {
        let mut octets = ReadBuf::new(buffer);
        match socket.poll_recv_from(cx, &mut octets) {
            Poll::Ready(Ok(peer)) => take(peer, octets.filled()),
            // An ICMP message about an earlier datagram; the resolver notices the silence.
            Poll::Ready(Err(_)) => {}
            Poll::Pending if taken == 0 => return Poll::Pending,
            Poll::Pending => return Poll::Ready(()),
        }
    }
    // There may be more: the socket must be asked again without being woken.
    cx.waker().wake_by_ref();
    Poll::Ready(())
}

//----------- Pair -----------------------------------------------------------

impl Pair {
    /// Binds what this machine has; one family is enough.
    fn bind() -> io::Result<Self> {
        let v4 = socket(Ipv4Addr::UNSPECIFIED.into());
        let v6 = socket(Ipv6Addr::UNSPECIFIED.into()).ok();
        match (v4, v6) {
            (Err(error), None) => Err(error),
            (v4, v6) => Ok(Self { v4: v4.ok(), v6 }),
        }
    }

    fn of(&self, peer: SocketAddr) -> Option<&UdpSocket> {
        match peer {
            SocketAddr::V4(_) => self.v4.as_ref(),
            SocketAddr::V6(_) => self.v6.as_ref(),
        }
    }

    fn all(&self) -> impl Iterator<Item = &UdpSocket> {
        self.v4.iter().chain(&self.v6)
    }
}

fn socket(address: IpAddr) -> io::Result<UdpSocket> {
    let address = SocketAddr::new(address, 0);
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Less than asked for is slower under bursts, not wrong.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_LEN);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A socket that does not wait forever for what does not come.
    fn peer() -> std::net::UdpSocket {
        let peer = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let patience = Some(Duration::from_secs(10));
        peer.set_read_timeout(patience).unwrap();
        peer
    }

    /// The first datagram of a new socket was lost: tokio called the socket not writable, because
    /// nothing had been waited for yet. It came after 400 ms, when it was sent again.
    #[tokio::test]
    async fn first_datagram_leaves_at_once() {
        let peer = peer();
        let sockets = Sockets::bind(1).unwrap();
        sockets.send(0, peer.local_addr().unwrap(), &[7; 100]);
        let mut octets = [0; 200];
        assert_eq!(peer.recv(&mut octets).unwrap(), 100);
    }

    fn port(pair: &Pair) -> SocketAddr {
        let address = pair.v4.as_ref().unwrap().local_addr().unwrap();
        (Ipv4Addr::LOCALHOST, address.port()).into()
    }

    async fn next(sockets: &mut Sockets) -> (u16, Vec<u8>) {
        let mut taken = None;
        sockets
            .receive(|local, _, octets| taken = Some((local, octets.to_vec())))
            .await;
        taken.unwrap()
    }

    #[tokio::test]
    async fn replaced_socket_hears_late_answers_until_its_successor_goes() {
        let mut sockets = Sockets::bind(2).unwrap();
        let old = port(&sockets.slots[0].now);
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        sockets.replace_one();
        let new = port(&sockets.slots[0].now);
        assert_ne!(old, new);
        peer.send_to(b"late", old).unwrap();
        assert_eq!(next(&mut sockets).await, (0, b"late".to_vec()));
        peer.send_to(b"new", new).unwrap();
        assert_eq!(next(&mut sockets).await, (0, b"new".to_vec()));
        sockets.replace_one();
        assert_eq!(
            port(&sockets.slots[0].now),
            new,
            "the other one had its turn"
        );
        sockets.replace_one();
        assert_eq!(port(sockets.slots[0].before.as_ref().unwrap()), new);
    }

    #[tokio::test]
    async fn packet_is_cut_into_datagrams_and_leaves_by_its_socket() {
        let sockets = Sockets::bind(1).unwrap();
        let peer = peer();
        sockets.send(0, peer.local_addr().unwrap(), &[0; 700]);
        // There is no such socket: nothing is sent, nothing happens.
        sockets.send(9, peer.local_addr().unwrap(), &[0; 700]);
        let mut buffer = [0; 1_024];
        let (first, from) = peer.recv_from(&mut buffer).unwrap();
        let (second, _) = peer.recv_from(&mut buffer).unwrap();
        assert_eq!((first, second), (512, 700 - 492));
        assert_eq!(from.port(), port(&sockets.slots[0].now).port());
    }
}
