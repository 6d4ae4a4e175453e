//! What is remembered of servers: how fast they answer, and when they last did not.
//!
//! Kept for each address and transport, since a firewall can close one and not the other. Bounded;
//! a server that is forgotten is simply unknown.

use std::net::SocketAddr;
use std::sync::Arc;

use guantong_proto::data::site::Protocol;
use quick_cache::unsync::Cache;

use super::limits::{
    DOWN_MAX_MS, DOWN_MIN_MS, HEDGE_MIN_MS, HEDGE_STREAM_MS, PEERS_MAX, RING_LEN, RING_LEN_MIN,
    RTO_MAX_MS, RTO_MIN_MS, RTO_UNKNOWN_MS,
};
use super::time::Tick;
use super::transmit::Route;

/// Fraction of a round trip that is kept: the estimate is held in eighths (RFC 6298, 2.3).
const EIGHTH: u64 = 8;

//----------- Peers ----------------------------------------------------------

/// Everything that is remembered.
pub(super) struct Peers(Cache<PeerKey, Peer>);

/// A server by one transport.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PeerKey {
    address: SocketAddr,
    /// Only if the address is unspecified.
    host: Option<Arc<str>>,
    protocol: u8,
}

impl PeerKey {
    pub(super) fn new(route: &Route, protocol: Protocol) -> Self {
        let host = match route.address.ip().is_unspecified() {
            true => route.host.clone(),
            false => None,
        };
        Self {
            address: route.address,
            host,
            protocol: protocol.0,
        }
    }
}

impl Peers {
    pub(super) fn new() -> Self {
        Self(Cache::new(PEERS_MAX))
    }

    /// What is known of a server; the default for an unknown one.
    pub(super) fn of(&self, key: &PeerKey) -> Peer {
        self.0.get(key).cloned().unwrap_or_default()
    }

    /// Changes what is known of a server.
    pub(super) fn note(&mut self, key: &PeerKey, change: impl FnOnce(&mut Peer)) {
        if let Some(mut peer) = self.0.get_mut(key) {
            return change(&mut peer);
        }
        let mut peer = Peer::default();
        change(&mut peer);
        self.0.insert(key.clone(), peer);
    }

    /// Makes the estimate of a server that was not chosen a little better, so that it gets its
    /// chance again.
    pub(super) fn fade(&mut self, key: &PeerKey) {
        if let Some(mut peer) = self.0.get_mut(key) {
            peer.fade();
        }
    }
}

//----------- Peer -----------------------------------------------------------

/// What is remembered of one server by one transport.
#[derive(Clone, Debug, Default)]
pub(super) struct Peer {
    /// Smoothed round trip in eighths of a millisecond; 0 if none was measured.
    smoothed: u64,
    /// Mean deviation in eighths of a millisecond.
    deviation: u64,
    /// The last round trips in milliseconds.
    ring: [u16; RING_LEN],
    ring_len: usize,
    ring_at: usize,
    failures: u32,
    down_until: Tick,
}

impl Peer {
    /// Takes a measured round trip; the server is not down.
    pub(super) fn answered(&mut self, ms: u64) {
        self.failures = 0;
        self.down_until = Tick(0);
        let sample = ms.saturating_mul(EIGHTH).max(1);
        if self.smoothed == 0 {
            (self.smoothed, self.deviation) = (sample, sample / 2);
        } else {
            let difference = self.smoothed.abs_diff(sample);
            self.deviation = (3 * self.deviation + difference) / 4;
            self.smoothed = ((7 * self.smoothed + sample) / 8).max(1);
        }
        self.ring[self.ring_at] = u16::try_from(ms).unwrap_or(u16::MAX);
        self.ring_at = (self.ring_at + 1) % RING_LEN;
        self.ring_len = (self.ring_len + 1).min(RING_LEN);
    }

    /// An answer came to a request that was sent twice, so its round trip is not known (Karn).
    pub(super) fn revived(&mut self) {
        self.failures = 0;
        self.down_until = Tick(0);
    }

    /// The server had not answered after `ms`, and was not waited for any longer.
    pub(super) fn slower_than(&mut self, ms: u64) {
        let sample = ms.saturating_mul(EIGHTH);
        if sample > self.smoothed {
            self.answered_without_ring(sample);
        }
    }

    /// The server did not answer, or refused the connection.
    pub(super) fn failed(&mut self, now: Tick) {
        let wait = DOWN_MIN_MS << self.failures.min(16);
        self.failures = self.failures.saturating_add(1);
        self.down_until = now + wait.min(DOWN_MAX_MS);
    }

    fn fade(&mut self) {
        self.smoothed -= self.smoothed / 50;
    }

    /// Whether it counts as down: it is asked last.
    pub(super) fn is_down(&self, now: Tick) -> bool {
        self.down_until > now
    }

    /// Milliseconds that it takes to answer; 0 if unknown, so that it is tried.
    pub(super) fn time_ms(&self) -> u64 {
        self.smoothed / EIGHTH
    }

    /// Milliseconds to wait for a datagram.
    pub(super) fn wait_ms(&self) -> u64 {
        match self.smoothed {
            0 => RTO_UNKNOWN_MS,
            _ => ((self.smoothed + 4 * self.deviation) / EIGHTH).clamp(RTO_MIN_MS, RTO_MAX_MS),
        }
    }

    /// Milliseconds after which a second server is asked: the 95th percentile of its round trips.
    pub(super) fn hedge_ms(&self, protocol: Protocol) -> u64 {
        if self.ring_len < RING_LEN_MIN {
            return match protocol {
                Protocol::UDP => self.wait_ms(),
                _ => HEDGE_STREAM_MS,
            };
        }
        let mut sorted = self.ring;
        let sorted = &mut sorted[..self.ring_len];
        sorted.sort_unstable();
        let at = (self.ring_len * 95).div_ceil(100) - 1;
        u64::from(sorted[at]).max(HEDGE_MIN_MS)
    }

    fn answered_without_ring(&mut self, sample: u64) {
        self.deviation = match self.smoothed {
            0 => sample / 2,
            _ => self.deviation,
        };
        self.smoothed = match self.smoothed {
            0 => sample,
            smoothed => (7 * smoothed + sample) / 8,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_follows_measured_round_trips_within_bounds() {
        let mut peer = Peer::default();
        assert_eq!(peer.wait_ms(), RTO_UNKNOWN_MS);
        peer.answered(200);
        assert_eq!((peer.time_ms(), peer.wait_ms()), (200, 600));
        for _ in 0..50 {
            peer.answered(200);
        }
        assert!((200..220).contains(&peer.wait_ms()), "{}", peer.wait_ms());
        let mut fast = Peer::default();
        fast.answered(0);
        assert_eq!(fast.wait_ms(), RTO_MIN_MS);
        let mut slow = Peer::default();
        slow.answered(60_000);
        assert_eq!(slow.wait_ms(), RTO_MAX_MS);
    }

    #[test]
    fn down_time_doubles_up_to_its_limit_and_an_answer_ends_it() {
        let mut peer = Peer::default();
        peer.failed(Tick(0));
        assert!(peer.is_down(Tick(DOWN_MIN_MS - 1)) && !peer.is_down(Tick(DOWN_MIN_MS)));
        peer.failed(Tick(0));
        assert!(peer.is_down(Tick(2 * DOWN_MIN_MS - 1)));
        for _ in 0..100 {
            peer.failed(Tick(0));
        }
        assert!(!peer.is_down(Tick(DOWN_MAX_MS)));
        peer.answered(10);
        assert!(!peer.is_down(Tick(0)));
    }

    #[test]
    fn second_server_is_asked_after_the_95th_percentile() {
        let mut peer = Peer::default();
        assert_eq!(peer.hedge_ms(Protocol::UDP), RTO_UNKNOWN_MS);
        assert_eq!(peer.hedge_ms(Protocol::TCP), HEDGE_STREAM_MS);
        for ms in 1..=20 {
            peer.answered(ms * 10);
        }
        assert_eq!(peer.hedge_ms(Protocol::UDP), 190);
        let mut fast = Peer::default();
        for _ in 0..20 {
            fast.answered(1);
        }
        assert_eq!(fast.hedge_ms(Protocol::UDP), HEDGE_MIN_MS);
    }

    #[test]
    fn server_that_is_not_chosen_gets_its_chance_again() {
        let mut peer = Peer::default();
        peer.answered(1_000);
        for _ in 0..200 {
            peer.fade();
        }
        assert!(peer.time_ms() < 30, "{}", peer.time_ms());
    }

    #[test]
    fn number_of_peers_is_bounded() {
        let mut peers = Peers::new();
        for n in 0..3 * PEERS_MAX {
            let [.., a, b, c] = n.to_be_bytes();
            let route = Route {
                address: ([10, a, b, c], 2641).into(),
                host: None,
                path: "".into(),
            };
            peers.note(&PeerKey::new(&route, Protocol::UDP), |peer| {
                peer.answered(1);
            });
        }
        assert!(peers.0.len() <= PEERS_MAX);
    }
}
