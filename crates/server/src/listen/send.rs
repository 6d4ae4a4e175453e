//! Datagrams out, many by one system call.
//!
//! Answers are written back to back into one buffer. Nothing is known here of what they say; a
//! datagram that the system does not take is counted and lost, as datagrams may be.

use std::io::IoSlice;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrLike, sendmmsg};

use super::udp::BATCH;
use crate::metrics::Drop as Dropped;
use crate::node::Node;

/// Octets of answers that are gathered before they are sent.
pub(super) const GATHER_LEN: usize = 128 * 1024;

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
}

impl<A: SockaddrLike + Copy> Send<A> {
    /// Sends up to `count` of them by one system call, and [`BATCH`] at most.
    pub(super) fn for_batches_of(count: usize) -> Self {
        let count = count.clamp(1, BATCH);
        Self {
            headers: MultiHeaders::preallocate(count, None),
            count_max: count,
            octets: Vec::with_capacity(2 * GATHER_LEN * count / BATCH),
            ranges: Vec::with_capacity(4 * count),
            addresses: Vec::with_capacity(4 * count),
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
    pub(super) fn flush(&mut self, node: &Node, socket: &UdpSocket) {
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

    /// Sends some datagrams from number `first` on; says how many went.
    fn send_some(&mut self, socket: &UdpSocket, first: usize) -> Result<usize, Errno> {
        let count = self.count_max.min(self.ranges.len() - first);
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
