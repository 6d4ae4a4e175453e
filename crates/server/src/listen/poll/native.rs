//! Requests of the native protocol, as far as they can be answered at once.

use std::net::SocketAddr;

use guantong_proto::frame::first_packet;

use super::worker::{Buffers, Moment};
use super::{Step, Then};
use crate::listen::tcp::WRITE_AT;
use crate::metrics::Transport;
use crate::node::Via;

/// Answers the packets that the octets begin with.
pub(super) fn step(
    octets: &[u8],
    peer: SocketAddr,
    moment: &Moment<'_>,
    buffers: &mut Buffers,
) -> Step {
    let Moment { node, site, .. } = moment;
    let Buffers { out, scratch, .. } = buffers;
    let via = Via {
        transport: Transport::Tcp,
        peer,
    };
    let (mut used, mut count) = (0, 0);
    let then = loop {
        if out.len() >= WRITE_AT {
            break Then::Write;
        }
        let packet = match first_packet(octets.get(used..).unwrap_or_default()) {
            Ok(Some(packet)) => packet,
            Ok(None) => break Then::Keep,
            Err(_) => break Then::HandOver { owed: 0 },
        };
        let wait = node.answer_at(site, moment.now_secs, packet, via, scratch, out);
        if wait.is_some() {
            // The packet goes along and is answered again from its beginning, where waiting costs
            // nobody anything.
            break Then::HandOver { owed: 0 };
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
        true => Step { used, then },
        // Nothing more is answered until they are paid for.
        false => Step {
            used,
            then: Then::HandOver { owed: count },
        },
    }
}
