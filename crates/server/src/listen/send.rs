//! Datagrams out, many by one system call.
//!
//! Answers are written back to back into one buffer. Nothing is known here of what they say; a
//! datagram that the system does not take is counted and lost, as datagrams may be.
//!
//! Datagrams of one length to one address, and a shorter one behind them, go as one message, which
//! Linux cuts as late as it can (`UDP_SEGMENT`, since 4.18): routes, filters and queues see it
//! once. Resolvers that keep many questions in flight on a socket are answered with much less of
//! the system's time by that. So those to one address are brought together first, the longest in
//! front: datagrams have no order among each other. Where they are few, they keep theirs all the
//! same, as there is little to be gained, and simple clients may count on it.

use std::cmp::Reverse;
use std::io::IoSlice;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use guantong_proto::limits::DATAGRAM_LEN_MAX;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrLike, sendmmsg};

use super::udp::BATCH;
use crate::metrics::{Drop as Dropped, Metrics};

/// Octets of answers that are gathered before they are sent.
pub(super) const GATHER_LEN: usize = 128 * 1024;
/// Fewest datagrams that are worth a system call of their own: it costs less than one datagram's
/// way through the system.
const RUN_MIN: usize = 2;
/// Most datagrams of one message: `UDP_MAX_SEGMENTS` of Linux, before 6.9.
const RUN_MAX: usize = 64;
/// Octets that one message can have: those of an IPv4 packet, less its headers.
const MESSAGE_LEN_MAX: usize = 65_507;
const _: () = assert!(RUN_MAX * DATAGRAM_LEN_MAX <= MESSAGE_LEN_MAX);
/// Addresses whose datagrams are brought together. Each datagram is compared with as many, so more
/// of them would cost more than the few datagrams to each could save.
const ADDRESSES_MAX: usize = 16;
/// Fewest datagrams to one address whose order is given up.
const UNORDERED_MIN: usize = 8;

//----------- Send -----------------------------------------------------------

/// Datagrams that wait to be sent together, to addresses of the form `A`.
pub(super) struct Send<A> {
    headers: MultiHeaders<A>,
    /// Datagrams that there are headers for.
    count_max: usize,
    /// Datagrams back to back.
    pub(super) octets: Vec<u8>,
    /// Where each begins and ends.
    pub(super) ranges: Vec<(usize, usize)>,
    /// Where each goes.
    addresses: Vec<Option<A>>,
    /// Whether runs are sent as one message.
    joins: bool,
    order: Order<A>,
}

/// What bringing datagrams together takes, kept so that it is not made anew.
struct Order<A> {
    /// Which address, length and number each has, the addresses counted as they first come.
    keys: Vec<(usize, Reverse<usize>, usize)>,
    ranges: Vec<(usize, usize)>,
    addresses: Vec<Option<A>>,
}

impl<A: SockaddrLike + Copy + PartialEq> Send<A> {
    /// Sends up to `count` of them by one system call, and [`BATCH`] at most.
    pub(super) fn for_batches_of(count: usize) -> Self {
        let count = count.clamp(1, BATCH);
        Self {
            headers: MultiHeaders::preallocate(count, None),
            count_max: count,
            octets: Vec::with_capacity(2 * GATHER_LEN * count / BATCH),
            ranges: Vec::with_capacity(4 * count),
            addresses: Vec::with_capacity(4 * count),
            joins: cfg!(target_os = "linux"),
            order: Order {
                keys: Vec::with_capacity(4 * count),
                ranges: Vec::with_capacity(4 * count),
                addresses: Vec::with_capacity(4 * count),
            },
        }
    }

    /// Takes back what no datagram has been made of.
    pub(super) fn forget_unsealed(&mut self) {
        let end = self.ranges.last().map_or(0, |range| range.1);
        self.octets.truncate(end);
    }

    /// Makes the octets from `start` on a datagram to `address`. None, if there are none.
    pub(super) fn seal(&mut self, start: usize, address: &A) {
        if self.octets.len() > start {
            self.ranges.push((start, self.octets.len()));
            self.addresses.push(Some(*address));
        }
    }

    /// Sends everything. What the system does not take is lost, as datagrams may be.
    pub(super) fn flush(&mut self, metrics: &Metrics, socket: &UdpSocket) {
        self.arrange();
        let total = self.ranges.len();
        let mut done = 0;
        while done < total {
            match self.send_some(socket, done) {
                Ok(0) => done += 1,
                Ok(sent) => {
                    metrics.sent(sent);
                    done += sent;
                }
                Err(Errno::EINTR) => {}
                // The error is about the first datagram: no buffer, no route, a forged address that
                // cannot be sent to. The others may do better.
                Err(_) => {
                    metrics.dropped(Dropped::UdpSend);
                    done += 1;
                }
            }
        }
        self.octets.clear();
        self.ranges.clear();
        self.addresses.clear();
    }

    /// Sends some datagrams from number `first` on; says how many went.
    fn send_some(&mut self, socket: &UdpSocket, first: usize) -> Result<usize, Errno> {
        let run = self.run_at(first);
        if run >= RUN_MIN {
            match self.send_run(socket, first, run) {
                Ok(()) => return Ok(run),
                // A device, or a tunnel, that cannot cut. The next may, but that is not worth it.
                Err(Errno::EIO) => self.joins = false,
                // What else is wrong, each of them is told by itself.
                Err(_) => {}
            }
        }
        let count = self.single_from(first).min(self.count_max);
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

    /// Brings those to one address together, the longest first if they are many, and the others
    /// behind them.
    fn arrange(&mut self) {
        if !self.joins || self.ranges.len() < UNORDERED_MIN {
            return;
        }
        self.order.keys.clear();
        let (mut firsts, mut count) = ([0; ADDRESSES_MAX], 0);
        let mut datagrams = [0; ADDRESSES_MAX + 1];
        for (n, (range, address)) in self.ranges.iter().zip(&self.addresses).enumerate() {
            let is_it = |&first: &usize| self.addresses[first] == *address;
            let which = match firsts[..count].iter().rposition(is_it) {
                Some(which) => which,
                None if count < ADDRESSES_MAX => {
                    firsts[count] = n;
                    count += 1;
                    count - 1
                }
                // Each has another so far, as with many clients: that is how it will go on.
                None if n == ADDRESSES_MAX => return,
                None => ADDRESSES_MAX,
            };
            datagrams[which] += 1;
            let len = Reverse(range.1 - range.0);
            self.order.keys.push((which, len, n));
        }
        // Those left over have several addresses, each with a few.
        datagrams[ADDRESSES_MAX] = 0;
        for (which, len, _) in &mut self.order.keys {
            if datagrams[*which] < UNORDERED_MIN {
                *len = Reverse(0);
            }
        }
        let Order {
            keys,
            ranges,
            addresses,
        } = &mut self.order;
        if keys.is_sorted() {
            return;
        }
        keys.sort_unstable();
        ranges.clear();
        ranges.extend(keys.iter().map(|&(.., n)| self.ranges[n]));
        addresses.clear();
        addresses.extend(keys.iter().map(|&(.., n)| self.addresses[n]));
        std::mem::swap(ranges, &mut self.ranges);
        std::mem::swap(addresses, &mut self.addresses);
    }

    /// How many datagrams from number `first` on can go as one message: of the same length, but
    /// for the last, which may be shorter, to the same address.
    fn run_at(&self, first: usize) -> usize {
        if !self.joins {
            return 1;
        }
        let rest = self.ranges[first..].iter().zip(&self.addresses[first..]);
        let len = self.ranges[first].1 - self.ranges[first].0;
        let mut count = 0;
        for (&(from, to), address) in rest.take(RUN_MAX) {
            let is_too_long = to - from > len.min(DATAGRAM_LEN_MAX);
            if is_too_long || *address != self.addresses[first] {
                break;
            }
            count += 1;
            if to - from < len {
                break;
            }
        }
        count.max(1)
    }

    /// How many datagrams from number `first` on, that one included, are not in a later run.
    fn single_from(&self, first: usize) -> usize {
        let mut end = first + self.run_at(first);
        while end < self.ranges.len() {
            match self.run_at(end) {
                RUN_MIN.. => break,
                few => end += few,
            }
        }
        end - first
    }

    /// Sends `count` datagrams from number `first` on as one message: all of the same length, the
    /// last perhaps shorter, to the address of the first.
    #[cfg(target_os = "linux")]
    fn send_run(&self, socket: &UdpSocket, first: usize, count: usize) -> Result<(), Errno> {
        let ranges = &self.ranges[first..first + count];
        let len = ranges.first().map_or(0, |(start, end)| end - start);
        let len = u16::try_from(len).map_err(|_| Errno::EMSGSIZE)?;
        // Datagrams that stand back to back, as most do, are one slice.
        let (mut slices, mut used) = ([IoSlice::new(&[]); RUN_MAX], 0);
        for run in ranges.chunk_by(|one, next| one.1 == next.0) {
            let (start, end) = (run[0].0, run[run.len() - 1].1);
            slices[used] = IoSlice::new(&self.octets[start..end]);
            used += 1;
        }
        nix::sys::socket::sendmsg(
            socket.as_raw_fd(),
            &slices[..used],
            &[ControlMessage::UdpGsoSegments(&len)],
            MsgFlags::empty(),
            self.addresses[first].as_ref(),
        )?;
        Ok(())
    }

    /// Other systems do not cut messages.
    #[cfg(not(target_os = "linux"))]
    fn send_run(&self, _: &UdpSocket, _: usize, _: usize) -> Result<(), Errno> {
        Err(Errno::EIO)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
    use std::time::Duration;

    use nix::sys::socket::SockaddrIn;

    use super::*;

    fn socket() -> UdpSocket {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let patience = Some(Duration::from_secs(60));
        socket.set_read_timeout(patience).unwrap();
        socket
    }

    fn address(socket: &UdpSocket) -> SockaddrIn {
        match socket.local_addr().unwrap() {
            SocketAddr::V4(address) => address.into(),
            SocketAddr::V6(_) => unreachable!("it is bound to IPv4"),
        }
    }

    /// Datagrams whose octets tell their number, of such lengths, each to one of the peers.
    fn fill(send: &mut Send<SockaddrIn>, datagrams: &[(usize, SockaddrIn)]) -> Vec<Vec<u8>> {
        let make = |(n, (len, address)): (usize, &(usize, SockaddrIn))| {
            let datagram = vec![u8::try_from(n).unwrap(); *len];
            let start = send.octets.len();
            send.octets.extend_from_slice(&datagram);
            send.seal(start, address);
            datagram
        };
        datagrams.iter().enumerate().map(make).collect()
    }

    fn receive(socket: &UdpSocket) -> Vec<u8> {
        let mut octets = [0; 2 * DATAGRAM_LEN_MAX];
        let len = socket.recv(&mut octets).unwrap();
        octets[..len].to_vec()
    }

    /// Whatever is sent together, each gets what is his, whole.
    #[test]
    fn datagrams_arrive_one_by_one_however_they_are_sent() {
        let (peers, metrics) = ([socket(), socket()], Metrics::new(0));
        let [one, two] = peers.each_ref().map(address);
        let pattern = |lens: &[usize], of: &dyn Fn(usize) -> SockaddrIn| {
            let each = lens.iter().enumerate();
            each.map(|(n, len)| (*len, of(n))).collect::<Vec<_>>()
        };
        let mixed = |lens: usize| (0..150).map(|n| 200 + n * 7 % lens).collect::<Vec<_>>();
        let few_each = |n: usize| if (n / 3).is_multiple_of(2) { one } else { two };
        let patterns = [
            pattern(&[300; 150], &|_| one),
            pattern(&[512; 130], &|n| if n < 65 { one } else { two }),
            pattern(&[300, 300, 300, 300, 20, 300, 300], &|_| one),
            pattern(&[20, 300, 300, 300, 300, 300, 301, 301, 301, 301], &|_| one),
            pattern(&[300; 40], &few_each),
            pattern(&mixed(3), &|_| one),
            pattern(&mixed(16), &few_each),
            pattern(&mixed(90), &|_| two),
            pattern(&mixed(90), &|n| if n.is_multiple_of(2) { one } else { two }),
            pattern(&[1, 1, 1, 1, 1], &|_| two),
            pattern(&[400], &|_| two),
        ];
        for joins in [true, false] {
            for datagrams in &patterns {
                let from = socket();
                let mut send = Send::for_batches_of(BATCH);
                send.joins &= joins;
                let made = fill(&mut send, datagrams);
                send.flush(&metrics, &from);
                assert!(send.ranges.is_empty());
                for (peer, address) in [(&peers[0], one), (&peers[1], two)] {
                    let to_peer = datagrams
                        .iter()
                        .zip(&made)
                        .filter(|((_, to), _)| *to == address);
                    let mut his: Vec<_> = to_peer.map(|(_, datagram)| datagram.clone()).collect();
                    let mut arrived: Vec<_> = his.iter().map(|_| receive(peer)).collect();
                    his.sort();
                    arrived.sort();
                    assert_eq!(arrived, his, "{joins} {datagrams:?}");
                }
            }
        }
        assert_eq!(metrics.drops(Dropped::UdpSend), 0);
    }

    /// Nothing can be sent to port 0, which a forged source may have.
    #[test]
    fn run_that_cannot_be_sent_takes_no_other_with_it() {
        let (peer, from, metrics) = (socket(), socket(), Metrics::new(0));
        let nobody = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0).into();
        let mut send = Send::for_batches_of(BATCH);
        let mut datagrams = vec![(100, nobody); 10];
        datagrams.extend([(100, address(&peer)); 10]);
        let made = fill(&mut send, &datagrams);
        send.flush(&metrics, &from);
        for datagram in &made[10..] {
            assert_eq!(&receive(&peer), datagram);
        }
        assert_eq!(metrics.drops(Dropped::UdpSend), 10);
        assert_eq!(send.joins, cfg!(target_os = "linux"));
    }

    fn numbers(send: &Send<SockaddrIn>) -> Vec<u8> {
        let first = |range: &(usize, usize)| send.octets[range.0];
        send.ranges.iter().map(first).collect()
    }

    #[test]
    fn datagrams_to_one_address_are_brought_together_the_longest_first() {
        let (one, two) = (address(&socket()), address(&socket()));
        let mut send = Send::for_batches_of(BATCH);
        let lens = [300, 200, 300, 250, 300, 200, 250, 200];
        let datagrams: Vec<_> = lens.iter().map(|&len| (len, one)).collect();
        fill(
            &mut send,
            &[&datagrams[..], &[(400, two), (300, one)]].concat(),
        );
        send.arrange();
        assert_eq!(numbers(&send), [0, 2, 4, 9, 3, 6, 1, 5, 7, 8]);
        let addresses = (send.addresses[8], send.addresses[9]);
        assert_eq!(addresses, (Some(one), Some(two)));
        // Those of one length, and one shorter behind them.
        let runs = (
            send.run_at(0),
            send.run_at(5),
            send.run_at(7),
            send.run_at(9),
        );
        assert_eq!(runs, (5, 2, 2, 1));
    }

    /// A client that has sent two questions may take the first answer for that to the first.
    #[test]
    fn few_datagrams_to_one_address_keep_their_order() {
        let (one, two) = (address(&socket()), address(&socket()));
        let few: Vec<_> = (1..UNORDERED_MIN).map(|n| (100 + n, one)).collect();
        let mut send = Send::for_batches_of(BATCH);
        fill(&mut send, &few);
        send.arrange();
        assert!(numbers(&send).is_sorted());
        let mut send = Send::for_batches_of(BATCH);
        let many: Vec<_> = (1..=UNORDERED_MIN).map(|n| (100 + n, two)).collect();
        fill(&mut send, &[few, many].concat());
        send.arrange();
        assert!(numbers(&send)[..UNORDERED_MIN].is_sorted());
        assert!(numbers(&send)[UNORDERED_MIN - 1..].is_sorted_by(|one, next| one > next));
    }

    #[test]
    fn datagrams_to_more_addresses_than_are_told_apart_go_as_they_came() {
        let one = |n: usize| {
            let port = 1_000 + u16::try_from(n).unwrap();
            (100 + n, SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into())
        };
        let many = |count: usize| (0..count).map(one).collect::<Vec<_>>();
        let mut send = Send::for_batches_of(BATCH);
        fill(
            &mut send,
            &[many(ADDRESSES_MAX + 1), many(ADDRESSES_MAX + 1)].concat(),
        );
        let before = numbers(&send);
        send.arrange();
        assert_eq!(numbers(&send), before);
        // Some have the same, and what is left over goes last.
        let mut send = Send::for_batches_of(BATCH);
        fill(&mut send, &[many(2), many(ADDRESSES_MAX + 9)].concat());
        send.arrange();
        assert_eq!(numbers(&send)[..6], [0, 2, 1, 3, 4, 5]);
        assert!(numbers(&send)[2 + ADDRESSES_MAX..].is_sorted());
    }

    #[test]
    fn run_ends_where_length_or_address_change_and_where_the_system_ends_it() {
        let (one, two) = (address(&socket()), address(&socket()));
        let mut send = Send::for_batches_of(BATCH);
        let mut datagrams = vec![(300, one); 100];
        datagrams.extend([(300, two), (300, two), (20, two), (20, two), (30, two)]);
        fill(&mut send, &datagrams);
        assert_eq!(send.run_at(0), RUN_MAX);
        assert_eq!(send.run_at(RUN_MAX), 100 - RUN_MAX);
        assert_eq!(send.run_at(98), 2);
        assert_eq!(send.run_at(100), 3);
        assert_eq!(send.run_at(103), 1);
        assert_eq!(send.run_at(104), 1);
        // A run that failed goes one by one; so do those that no run begins with.
        assert_eq!(send.single_from(98), 2);
        assert_eq!(send.single_from(103), 2);
        assert_eq!(send.single_from(0), RUN_MAX);
    }
}
