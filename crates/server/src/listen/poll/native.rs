//! Requests of the native protocol, as far as they can be answered at once.

use std::net::SocketAddr;

use guantong_core::authority::Recursion;
use guantong_proto::frame::first_packet;

use super::worker::{Buffers, Moment};
use super::{Step, Then};
use crate::ahead::{AHEAD, Asked, Ready};
use crate::errand::Course;
use crate::listen::tcp::WRITE_AT;
use crate::metrics::Transport;
use crate::node::{Node, OnDisk, Via, Wait};

/// Answers the packets that the octets begin with.
pub(super) fn step(
    octets: &[u8],
    peer: SocketAddr,
    moment: &Moment<'_>,
    buffers: &mut Buffers,
) -> Step {
    let node = moment.node;
    let via = Via {
        transport: Transport::Tcp,
        peer,
        by_console: false,
    };
    let (mut used, mut count) = (0, 0);
    let then = loop {
        let ahead = answer_ahead(octets.get(used..).unwrap_or_default(), via, moment, buffers);
        used += ahead.used;
        count += ahead.count;
        let Buffers { out, scratch, .. } = &mut *buffers;
        if out.len() >= WRITE_AT {
            break Then::Write;
        }
        let packet = match first_packet(octets.get(used..).unwrap_or_default()) {
            Ok(Some(packet)) => packet,
            Ok(None) => break Then::Keep,
            Err(_) => break Then::HandOver { owed: 0 },
        };
        match node.answer_at_hand(moment.site, moment.now_secs, packet, via, scratch, out) {
            Ok(None) => {}
            Ok(Some(wait)) => break wait_for(&wait, packet, node),
            Err(OnDisk) => break Then::Read { len: packet.len() },
        }
        used += packet.len();
        count += 1;
    };
    let limits = moment.limits;
    let admits = || {
        node.requests
            .admits_all(peer.ip(), count, limits, moment.now_ms)
    };
    match count == 0 || admits() {
        true => Step { used, count, then },
        // Nothing more is answered until they are paid for.
        false => Step {
            used,
            count,
            then: Then::HandOver { owed: count },
        },
    }
}

/// Where a packet goes on that has to be waited for.
fn wait_for(wait: &Wait, packet: &[u8], node: &Node) -> Then {
    let course = match wait {
        Wait::Resolver(_) => Course::Connection,
        Wait::Errand => node.course(packet),
    };
    match course {
        // The packet is answered again from its beginning, where waiting costs nobody anything.
        Course::Connection => Then::HandOver { owed: 0 },
        Course::Here | Course::Task => Then::Errand {
            len: packet.len(),
            course,
        },
    }
}

/// What was answered together.
#[derive(Default)]
struct Together {
    /// Octets of the requests.
    used: usize,
    /// Requests.
    count: u64,
}

/// Answers the plain questions for what is in memory that the octets begin with, if there are
/// several: answers of a stream have the order of their requests, so the first that is something
/// else ends the row.
fn answer_ahead(octets: &[u8], via: Via, moment: &Moment<'_>, buffers: &mut Buffers) -> Together {
    let mut packets = [None; AHEAD];
    let (mut found, mut at) = (0, 0);
    for packet in &mut packets {
        match first_packet(octets.get(at..).unwrap_or_default()) {
            Ok(Some(first)) => {
                *packet = Some(first);
                found += 1;
                at += first.len();
            }
            Ok(None) | Err(_) => break,
        }
    }
    let mut together = Together::default();
    if found < 2 {
        return together;
    }
    let Buffers { out, keys, .. } = buffers;
    let mut written = out.len();
    let mut next = 0;
    let each = |n: usize, ready: Ready<'_>| {
        let len = packets.get(n).copied().flatten().map_or(0, <[u8]>::len);
        if n != next || out.len() >= WRITE_AT || !ready.write(out) {
            return false;
        }
        next += 1;
        written = out.len();
        together.used += len;
        together.count += 1;
        true
    };
    let node = moment.node;
    let asked = Asked {
        site: moment.site,
        now_secs: moment.now_secs,
        via: via.transport,
        packets,
        may_recurse: |_| node.recursion_for(via.peer.ip()) == Recursion::Granted,
    };
    let round = node.answer_ahead(&asked, keys, each);
    if round.is_err() {
        out.truncate(written);
        tracing::error!("a packet made the node panic; please report it");
    }
    together
}
