//! How messages travel: cut into datagrams on UDP, back to back on a stream.
//!
//! [`split`] cuts, [`Reassembly`] joins what came by UDP, [`Framer`] finds packets in a stream,
//! [`first_packet`] in what has arrived of one. All are pure: octets and a `now` in, packets out.

use std::collections::HashMap;
use std::hash::Hash;

use crate::error::{DecodeError, Reason};
use crate::limits::{
    DATAGRAM_LEN_MAX, ENVELOPE_LEN, FRAGMENT_LEN_MAX, MESSAGE_LEN_MAX, REASSEMBLY_TIMEOUT_SECS,
};
use crate::message::Envelope;
use crate::wire::Reader;

/// Bit of octet 2 that says: this message is cut into several datagrams.
const TRUNCATED: u8 = 0x20;

//----------- split ----------------------------------------------------------

/// Whether a packet fits into one datagram.
pub fn fits_datagram(packet: &[u8]) -> bool {
    packet.len() <= DATAGRAM_LEN_MAX
}

/// Cuts a whole packet into datagrams and hands each to `send`.
///
/// Slices have 492 octets, the last one fewer; all of them carry the truncated bit if there is more
/// than one. The packet must begin with its envelope.
pub fn split(packet: &[u8], mut send: impl FnMut(&[u8])) {
    if fits_datagram(packet) {
        return send(packet);
    }
    let (envelope, message) = packet.split_at(ENVELOPE_LEN);
    let mut datagram = [0; DATAGRAM_LEN_MAX];
    datagram[..ENVELOPE_LEN].copy_from_slice(envelope);
    datagram[2] |= TRUNCATED;
    for (sequence, slice) in (0u32..).zip(message.chunks(FRAGMENT_LEN_MAX)) {
        datagram[12..16].copy_from_slice(&sequence.to_be_bytes());
        let len = ENVELOPE_LEN + slice.len();
        datagram[ENVELOPE_LEN..len].copy_from_slice(slice);
        send(&datagram[..len]);
    }
}

//----------- Reassembly -----------------------------------------------------

/// Most octets of incomplete messages that are kept, all peers together.
pub const REASSEMBLY_OCTETS_MAX: usize = 4 * 1024 * 1024;
/// Most incomplete messages that are kept, all peers together.
pub const REASSEMBLY_SETS_MAX: usize = 1_024;

/// Joins datagrams of one message, whatever their order.
///
/// A set is known by the peer and the request id. Incomplete sets are dropped after
/// [`REASSEMBLY_TIMEOUT_SECS`], and new ones are refused while [`REASSEMBLY_OCTETS_MAX`] or
/// [`REASSEMBLY_SETS_MAX`] is reached, so that a flood of beginnings costs bounded memory.
/// The truncated bit is not required: servers before 9.3 forgot it.
#[derive(Debug)]
pub struct Reassembly<Peer> {
    sets: HashMap<(Peer, i32), Set>,
    octets: usize,
    /// No set is due before this time, so that most datagrams need not walk the sets.
    next_expiry_ms: u64,
}

#[derive(Debug)]
struct Set {
    packet: Vec<u8>,
    arrived: Vec<bool>,
    missing: usize,
    deadline_ms: u64,
}

/// What a datagram led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Joined {
    /// The datagram was a whole packet, or the last that was missing; this is the packet.
    Whole(Vec<u8>),
    /// More datagrams are needed.
    Incomplete,
    /// Nothing more can be kept; the datagram was dropped.
    Refused,
}

impl<Peer: Copy + Eq + Hash> Reassembly<Peer> {
    /// Nothing joined yet.
    pub fn new() -> Self {
        Self {
            sets: HashMap::new(),
            octets: 0,
            next_expiry_ms: u64::MAX,
        }
    }

    /// Takes a datagram that came from `peer` at `now_ms`, on any monotonic clock.
    pub fn on_datagram(
        &mut self,
        peer: Peer,
        datagram: &[u8],
        now_ms: u64,
    ) -> Result<Joined, DecodeError> {
        let mut r = Reader::new(datagram);
        let envelope = Envelope::decode(&mut r)?;
        let len = envelope.message_len()?;
        let slice = r.rest();
        if slice.len() >= len && envelope.sequence == 0 {
            return Ok(Joined::Whole(datagram[..ENVELOPE_LEN + len].to_vec()));
        }
        let sequence = fragment_number(&envelope, len, slice)?;
        self.expire(now_ms);
        let Some(set) = self.set((peer, envelope.request_id), datagram, len, now_ms) else {
            return Ok(Joined::Refused);
        };
        if !set.arrived[sequence] {
            set.arrived[sequence] = true;
            set.missing -= 1;
            let at = ENVELOPE_LEN + sequence * FRAGMENT_LEN_MAX;
            set.packet[at..at + slice.len()].copy_from_slice(slice);
        }
        if set.missing > 0 {
            return Ok(Joined::Incomplete);
        }
        let packet = self.remove((peer, envelope.request_id)).unwrap_or_default();
        Ok(Joined::Whole(packet))
    }

    /// Drops the sets whose time is up.
    pub fn expire(&mut self, now_ms: u64) {
        if now_ms < self.next_expiry_ms {
            return;
        }
        let octets = &mut self.octets;
        self.sets.retain(|_, set| {
            let keep = set.deadline_ms > now_ms;
            if !keep {
                *octets -= set.packet.len();
            }
            keep
        });
        let deadlines = self.sets.values().map(|set| set.deadline_ms);
        self.next_expiry_ms = deadlines.min().unwrap_or(u64::MAX);
    }

    /// Number of incomplete messages.
    pub fn len(&self) -> usize {
        self.sets.len()
    }

    /// Whether nothing is incomplete.
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// The set of a key, begun if need be; `None` if there is no room for it.
    fn set(
        &mut self,
        key: (Peer, i32),
        datagram: &[u8],
        len: usize,
        now_ms: u64,
    ) -> Option<&mut Set> {
        let packet_len = ENVELOPE_LEN + len;
        if self
            .sets
            .get(&key)
            .is_some_and(|set| set.packet.len() != packet_len)
        {
            // The peer used the id again for a message of another length: the older one is lost.
            self.remove(key);
        }
        if !self.sets.contains_key(&key) {
            let full = self.sets.len() >= REASSEMBLY_SETS_MAX
                || self.octets + packet_len > REASSEMBLY_OCTETS_MAX;
            if full {
                return None;
            }
            let fragments = len.div_ceil(FRAGMENT_LEN_MAX);
            let mut packet = vec![0; packet_len];
            packet[..ENVELOPE_LEN].copy_from_slice(&datagram[..ENVELOPE_LEN]);
            // The joined packet is like one that was never cut.
            packet[2] &= !TRUNCATED;
            packet[12..16].fill(0);
            self.octets += packet_len;
            let deadline_ms = now_ms + REASSEMBLY_TIMEOUT_SECS * 1_000;
            self.next_expiry_ms = self.next_expiry_ms.min(deadline_ms);
            let arrived = vec![false; fragments];
            self.sets.insert(
                key,
                Set {
                    packet,
                    arrived,
                    missing: fragments,
                    deadline_ms,
                },
            );
        }
        self.sets.get_mut(&key)
    }

    fn remove(&mut self, key: (Peer, i32)) -> Option<Vec<u8>> {
        let set = self.sets.remove(&key)?;
        self.octets -= set.packet.len();
        Some(set.packet)
    }
}

impl<Peer: Copy + Eq + Hash> Default for Reassembly<Peer> {
    fn default() -> Self {
        Self::new()
    }
}

/// The number of a slice, if number and length fit the message of `len` octets.
fn fragment_number(envelope: &Envelope, len: usize, slice: &[u8]) -> Result<usize, DecodeError> {
    let wrong = |expected| DecodeError::new("sequence number", 12, Reason::Invalid(expected));
    let sequence = usize::try_from(envelope.sequence).map_err(|_| wrong("is negative"))?;
    let start = sequence.saturating_mul(FRAGMENT_LEN_MAX);
    if start >= len {
        return Err(wrong("lies beyond the end of the message"));
    }
    let needs = FRAGMENT_LEN_MAX.min(len - start);
    if slice.len() != needs {
        let reason = Reason::Truncated {
            needs,
            left: slice.len(),
        };
        return Err(DecodeError::new("datagram", ENVELOPE_LEN, reason));
    }
    Ok(sequence)
}

//----------- first_packet ---------------------------------------------------

/// The packet that octets of a stream begin with, if it has arrived whole.
///
/// An announced length out of bounds is an error; nothing behind it can be found.
pub fn first_packet(octets: &[u8]) -> Result<Option<&[u8]>, DecodeError> {
    if octets.len() < ENVELOPE_LEN {
        return Ok(None);
    }
    let envelope = Envelope::decode(&mut Reader::new(octets))?;
    let len = ENVELOPE_LEN + envelope.message_len()?;
    debug_assert!(len <= ENVELOPE_LEN + MESSAGE_LEN_MAX);
    Ok(octets.get(..len))
}

//----------- Framer ---------------------------------------------------------

/// Finds whole packets in a stream.
///
/// Holds at most one packet's octets plus one read; what it keeps grows with what has arrived, not
/// with what a peer announces.
#[derive(Debug, Default)]
pub struct Framer {
    buf: Vec<u8>,
    start: usize,
}

impl Framer {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes octets that were read.
    pub fn push(&mut self, octets: &[u8]) {
        self.compact();
        self.buf.extend_from_slice(octets);
    }

    /// The next whole packet, if it has arrived.
    ///
    /// An announced length out of bounds is an error; nothing behind it can be found, so the
    /// connection is lost. [`Framer::envelope`] still tells whom to answer.
    pub fn next_packet(&mut self) -> Result<Option<&[u8]>, DecodeError> {
        let packet = first_packet(&self.buf[self.start..])?;
        self.start += packet.map_or(0, <[u8]>::len);
        Ok(packet)
    }

    /// The envelope of what is pending, if it has arrived.
    pub fn envelope(&self) -> Option<Envelope> {
        Envelope::decode(&mut Reader::new(self.partial())).ok()
    }

    /// The beginning of the next packet, as far as it has arrived.
    pub fn partial(&self) -> &[u8] {
        &self.buf[self.start..]
    }

    /// Octets that have arrived and belong to no packet returned yet.
    pub fn pending(&self) -> usize {
        self.partial().len()
    }

    /// Octets of memory that are held, so that an owner can give a large buffer back.
    pub fn capacity(&self) -> usize {
        self.buf.capacity()
    }

    fn compact(&mut self) {
        if self.start == self.buf.len() {
            self.buf.clear();
            self.start = 0;
        } else if self.start > self.buf.len() / 2 {
            self.buf.drain(..self.start);
            self.start = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Header, Message, OpCode, OpFlags, Version};

    fn packet(body_len: usize, request_id: i32) -> Vec<u8> {
        let body: Vec<u8> = (0..body_len)
            .map(|i| u8::try_from(i % 251).unwrap())
            .collect();
        let message = Message {
            envelope: Envelope::new(Version::OURS, request_id),
            header: Header::request(OpCode::RESOLVE, OpFlags::DEFAULT, 0),
            body: &body,
            credential: Some(&[]),
        };
        let mut out = Vec::new();
        message.encode(&mut out);
        out
    }

    fn datagrams(packet: &[u8]) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        split(packet, |datagram| all.push(datagram.to_vec()));
        all
    }

    #[test]
    fn packet_of_512_octets_stays_whole_and_513_are_split() {
        assert_eq!(datagrams(&packet(464, 1)).len(), 1);
        let two = datagrams(&packet(465, 1));
        assert_eq!(two.iter().map(Vec::len).collect::<Vec<_>>(), [512, 21]);
        assert!(two.iter().all(|d| d[2] & TRUNCATED != 0));
    }

    #[test]
    fn datagrams_join_in_any_order_and_twice() {
        let whole = packet(1_400, 7);
        let mut all = datagrams(&whole);
        all.reverse();
        all.insert(1, all[0].clone());
        let mut reassembly = Reassembly::new();
        let mut joined = Vec::new();
        for datagram in &all {
            joined.push(reassembly.on_datagram(1, datagram, 0).unwrap());
        }
        assert_eq!(joined.pop(), Some(Joined::Whole(whole)));
        assert!(joined.iter().all(|j| *j == Joined::Incomplete));
        assert!(reassembly.is_empty() && reassembly.octets == 0);
    }

    #[test]
    fn sets_of_different_peers_do_not_mix() {
        let all = datagrams(&packet(600, 7));
        let mut reassembly = Reassembly::new();
        assert_eq!(
            reassembly.on_datagram(1, &all[0], 0),
            Ok(Joined::Incomplete)
        );
        assert_eq!(
            reassembly.on_datagram(2, &all[1], 0),
            Ok(Joined::Incomplete)
        );
        assert_eq!(reassembly.len(), 2);
    }

    #[test]
    fn incomplete_set_is_dropped_after_five_seconds() {
        let all = datagrams(&packet(600, 7));
        let mut reassembly = Reassembly::new();
        reassembly.on_datagram(1, &all[0], 0).unwrap();
        assert_eq!(
            reassembly.on_datagram(1, &all[1], 5_000),
            Ok(Joined::Incomplete)
        );
        assert_eq!(reassembly.len(), 1);
    }

    #[test]
    fn flood_of_beginnings_is_bounded() {
        let mut reassembly = Reassembly::new();
        for body_len in [200_000, 600] {
            let mut first = datagrams(&packet(body_len, 0)).swap_remove(0);
            for id in 0..5_000i32 {
                first[8..12].copy_from_slice(&id.to_be_bytes());
                reassembly.on_datagram(body_len, &first, 0).unwrap();
            }
            assert!(reassembly.octets <= REASSEMBLY_OCTETS_MAX);
        }
        assert!(reassembly.len() <= REASSEMBLY_SETS_MAX);
    }

    #[test]
    fn slice_of_wrong_length_or_number_is_refused() {
        let all = datagrams(&packet(600, 7));
        let mut reassembly = Reassembly::new();
        assert!(reassembly.on_datagram(1, &all[0][..511], 0).is_err());
        for sequence in [-1i32, 2, i32::MAX] {
            let mut wrong = all[1].clone();
            wrong[12..16].copy_from_slice(&sequence.to_be_bytes());
            assert!(reassembly.on_datagram(1, &wrong, 0).is_err(), "{sequence}");
        }
        assert!(reassembly.is_empty());
    }

    #[test]
    fn stream_is_cut_into_packets_at_every_split() {
        let (first, second) = (packet(30, 1), packet(700, 2));
        let stream = [first.clone(), second.clone()].concat();
        for at in 0..stream.len() {
            let mut framer = Framer::new();
            let mut found = Vec::new();
            for part in [&stream[..at], &stream[at..]] {
                framer.push(part);
                while let Some(packet) = framer.next_packet().unwrap() {
                    found.push(packet.to_vec());
                }
            }
            assert_eq!(found, [first.clone(), second.clone()]);
        }
    }

    #[test]
    fn first_packet_is_found_once_it_is_whole() {
        let (first, second) = (packet(30, 1), packet(700, 2));
        let stream = [first.clone(), second].concat();
        for len in 0..stream.len() {
            let whole = (len >= first.len()).then_some(&first[..]);
            assert_eq!(first_packet(&stream[..len]), Ok(whole), "{len}");
        }
        let mut endless = first;
        endless[16..20].copy_from_slice(&i32::MAX.to_be_bytes());
        assert!(first_packet(&endless).is_err());
    }

    #[test]
    fn announced_length_is_not_allocated() {
        let mut framer = Framer::new();
        let mut head = packet(0, 1)[..ENVELOPE_LEN].to_vec();
        head[16..20].copy_from_slice(&262_144i32.to_be_bytes());
        framer.push(&head);
        assert_eq!(framer.next_packet(), Ok(None));
        assert!(framer.buf.capacity() < 1_024);
        let mut framer = Framer::new();
        head[16..20].copy_from_slice(&262_145i32.to_be_bytes());
        framer.push(&head);
        assert!(framer.next_packet().is_err());
        assert_eq!(framer.envelope().map(|e| e.request_id), Some(1));
    }
}
