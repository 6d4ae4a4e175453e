//! Limits on what one peer can make the node do: rates and connections.
//!
//! [`Meter`] counts what a network or an address costs per second, in a table of fixed size,
//! without allocation and without locks. [`Connections`] counts open connections. Which limits
//! apply is configuration ([`crate::config::Limits`]); limits of the protocol itself are in
//! `guantong_proto::limits`.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::Limits;

/// Sources that one meter remembers. With 16 octets each a table has 128 KiB; when it is full, the
/// source that has used least lately is forgotten.
pub const METER_SOURCES_MAX: usize = 8_192;
/// Sources that share a slot of the table; a source is searched among so many. They fill one cache
/// line.
const WAYS: usize = 4;
/// What may be spent at once: the budget of so many microseconds.
const BURST_US: u64 = 1_000_000;
/// For how long one cost may use up a budget in advance, in microseconds: nobody is shut out for
/// longer by one burst.
const DEBT_US: u64 = 60 * BURST_US;

//----------- Sources --------------------------------------------------------

/// The network of an address: IPv4 /24, IPv6 /56. What UDP answers are metered by, since a forged
/// source can name any address of the victim's network.
pub fn network_of(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(v4) => 4 << 56 | u64::from(v4.to_bits() >> 8),
        IpAddr::V6(v6) => 6 << 56 | high_half(v6.to_bits()) >> 8,
    }
}

/// One customer: an IPv4 address, or an IPv6 /64, inside which addresses cost nothing.
pub fn host_of(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(v4) => u64::from(v4.to_bits()),
        // The upper half of a public IPv6 address is far above all IPv4 addresses.
        IpAddr::V6(v6) => high_half(v6.to_bits()) | 1 << 63,
    }
}

fn high_half(bits: u128) -> u64 {
    u64::try_from(bits >> 64).unwrap_or(u64::MAX)
}

//----------- Meter ----------------------------------------------------------

/// Budgets by source, shared by all threads.
///
/// Of each source one number is kept: the moment at which its spending will be made good. A cost
/// moves that moment on by the time in which the budget earns it, and is allowed if the moment then
/// lies at most one second ahead, or if there was nothing left to make good. Threads that bring a
/// new source into the table at the same moment may give it a few costs more; that does no harm,
/// and a lock would.
#[derive(Debug)]
pub struct Meter {
    entries: Box<[Entry]>,
    /// Keyed by a secret, so that nobody can choose sources that push each other out.
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Entry {
    source: AtomicU64,
    /// When the spending is made good, in microseconds; 0: nothing was spent.
    settled_us: AtomicU64,
}

impl Meter {
    /// Nothing spent yet.
    pub fn new() -> Self {
        Self::with_sources(METER_SOURCES_MAX)
    }

    fn with_sources(sources: usize) -> Self {
        Self {
            entries: std::iter::repeat_with(Entry::default)
                .take(sources)
                .collect(),
            hasher: RandomState::new(),
        }
    }

    /// Spends `cost` for `source` if a budget of `per_second` allows it. A single cost above the
    /// budget of a second is allowed when nothing else was spent for a second, and made good by as
    /// many seconds as it takes.
    pub fn spend(&self, source: u64, cost: u64, per_second: u64, now_ms: u64) -> bool {
        let now_us = now_ms.saturating_mul(1_000);
        let takes_us = cost.saturating_mul(1_000_000) / per_second.max(1);
        let takes_us = takes_us.min(DEBT_US);
        let entry = self.entry(source);
        let spent = entry
            .settled_us
            .fetch_update(Relaxed, Relaxed, |settled_us| {
                let settled_us = settled_us.max(now_us);
                let is_allowed = settled_us + takes_us.min(BURST_US) <= now_us + BURST_US;
                is_allowed.then_some(settled_us + takes_us)
            });
        spent.is_ok()
    }

    /// Counts a request of `peer` and says whether it may be served now.
    pub fn admits(&self, peer: IpAddr, limits: &Limits, now_ms: u64) -> bool {
        self.admits_all(peer, 1, limits, now_ms)
    }

    /// The same for several requests, all of them or none.
    pub fn admits_all(&self, peer: IpAddr, requests: u64, limits: &Limits, now_ms: u64) -> bool {
        let per_second = u64::from(limits.requests_per_second_per_address);
        per_second == 0
            || limits.trusts(peer)
            || self.spend(host_of(peer), requests, per_second, now_ms)
    }

    /// The entry of a source: its own, or in place of the one of its slot that is settled first.
    fn entry(&self, source: u64) -> &Entry {
        let slots = self.entries.len() / WAYS;
        let hash = self.hasher.hash_one(source);
        let slot = usize::try_from(hash % slots as u64).unwrap_or(0);
        let ways = &self.entries[slot * WAYS..(slot + 1) * WAYS];
        if let Some(known) = ways.iter().find(|e| e.source.load(Relaxed) == source) {
            return known;
        }
        let mut first = &ways[0];
        for entry in &ways[1..] {
            if entry.settled_us.load(Relaxed) < first.settled_us.load(Relaxed) {
                first = entry;
            }
        }
        first.source.store(source, Relaxed);
        first.settled_us.store(0, Relaxed);
        first
    }
}

impl Default for Meter {
    fn default() -> Self {
        Self::new()
    }
}

//----------- Connections ----------------------------------------------------

/// What a lock guards stays whole even if a holder panicked: each change is one assignment.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts open connections, all together and by address.
#[derive(Debug, Default)]
pub struct Connections(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    total: u32,
    by_host: HashMap<u64, u32>,
}

/// The place of one connection; free again when it is dropped.
#[derive(Debug)]
pub struct Place {
    connections: Arc<Connections>,
    host: u64,
}

/// Why a connection is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crowded {
    /// The node has as many connections as it may.
    Node,
    /// This address has as many connections as it may.
    Address,
}

impl Connections {
    /// A place for a connection from `peer`, if the limits allow it.
    pub fn admit(self: &Arc<Self>, peer: IpAddr, limits: &Limits) -> Result<Place, Crowded> {
        let host = host_of(peer);
        let mut open = locked(&self.0);
        if open.total >= limits.connections {
            return Err(Crowded::Node);
        }
        let count = open.by_host.get(&host).copied().unwrap_or(0);
        if count >= limits.connections_per_address {
            return Err(Crowded::Address);
        }
        open.by_host.insert(host, count + 1);
        open.total += 1;
        Ok(Place {
            connections: self.clone(),
            host,
        })
    }

    /// Number of open connections.
    pub fn open(&self) -> u32 {
        locked(&self.0).total
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = locked(&self.connections.0);
        open.total -= 1;
        let left = open.by_host.get(&self.host).map_or(0, |count| count - 1);
        match left {
            0 => open.by_host.remove(&self.host),
            _ => open.by_host.insert(self.host, left),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
        let mut limits = Config::new("/nowhere").limits;
        change(&mut limits);
        limits
    }

    #[test]
    fn budget_is_spent_and_earned_again() {
        let meter = Meter::new();
        assert!((0..10).all(|_| meter.spend(1, 10, 100, 5_000)));
        assert!(!meter.spend(1, 10, 100, 5_000));
        assert!(meter.spend(1, 10, 100, 5_100));
        assert!(!meter.spend(1, 10, 100, 5_100));
        assert!((0..10).all(|_| meter.spend(1, 10, 100, 9_000)));
        assert!(!meter.spend(1, 1, 100, 9_000));
    }

    #[test]
    fn short_pauses_add_up() {
        let meter = Meter::new();
        assert!(meter.spend(1, 10, 10, 1_000));
        // Ten tokens a second are one in 100 ms; asking every 10 ms must not lose the time between.
        let allowed = (1..=100)
            .filter(|n| meter.spend(1, 1, 10, 1_000 + n * 10))
            .count();
        assert_eq!(allowed, 10);
    }

    #[test]
    fn sources_are_metered_apart() {
        let meter = Meter::new();
        assert!(meter.spend(1, 100, 100, 1));
        assert!(!meter.spend(1, 1, 100, 1));
        assert!(meter.spend(2, 1, 100, 1));
    }

    #[test]
    fn cost_above_the_budget_is_allowed_and_made_good_in_time() {
        let meter = Meter::new();
        assert!(meter.spend(1, 500, 100, 1_000));
        assert!(!meter.spend(1, 500, 100, 5_900));
        assert!(!meter.spend(1, 1, 100, 5_000));
        assert!(meter.spend(1, 1, 100, 5_100));
    }

    #[test]
    fn one_cost_shuts_nobody_out_for_longer_than_a_minute() {
        let meter = Meter::new();
        assert!(meter.spend(1, u64::MAX, 1, 1_000));
        assert!(!meter.spend(1, 1, 1, 59_000));
        assert!(meter.spend(1, 1, 1, 61_000));
    }

    #[test]
    fn flood_of_sources_stays_in_its_table() {
        let meter = Meter::new();
        for source in 0..100_000 {
            assert!(meter.spend(source, 1, 1, 1_000));
        }
        assert_eq!(meter.entries.len(), METER_SOURCES_MAX);
    }

    #[test]
    fn active_source_is_not_pushed_out_by_quiet_ones() {
        let meter = Meter::with_sources(WAYS);
        for other in 0..50 {
            let now_ms = 1_000 + other;
            meter.spend(1 << 40, 10_000, 10_000, now_ms);
            meter.spend(other, 1, 10_000, now_ms);
        }
        assert!(!meter.spend(1 << 40, 10_000, 10_000, 1_051));
    }

    #[test]
    fn threads_share_one_budget() {
        let meter = Meter::new();
        let spent = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let allowed = (0..1_000).filter(|_| meter.spend(1, 1, 100, 5_000)).count();
                    spent.fetch_add(allowed as u64, Relaxed);
                });
            }
        });
        // The first cost of each thread may go lost while the source is new.
        let spent = spent.into_inner();
        assert!((100..=104).contains(&spent), "{spent}");
    }

    #[test]
    fn networks_and_hosts_group_addresses() {
        let same = |a, b| network_of(address(a)) == network_of(address(b));
        assert!(same("192.0.2.1", "192.0.2.255") && !same("192.0.2.1", "192.0.3.1"));
        assert!(same("192.0.2.1", "::ffff:192.0.2.9"));
        assert!(same("2001:db8:0:aa00::1", "2001:db8:0:aaff::1"));
        assert!(!same("2001:db8:0:aa00::1", "2001:db8:0:ab00::1"));
        assert_ne!(host_of(address("192.0.2.1")), host_of(address("192.0.2.2")));
        assert_eq!(
            host_of(address("2001:db8::1")),
            host_of(address("2001:db8::2"))
        );
    }

    #[test]
    fn requests_above_the_rate_are_refused_except_from_trusted_networks() {
        let limits = limits(|l| l.requests_per_second_per_address = 2);
        let meter = Meter::new();
        let admits = |peer: &str| meter.admits(address(peer), &limits, 1_000);
        assert!(admits("192.0.2.1") && admits("192.0.2.1") && !admits("192.0.2.1"));
        assert!(admits("192.0.2.2"));
        assert!((0..10).all(|_| admits("127.0.0.1")));
    }

    #[test]
    fn connections_are_limited_by_address_and_in_all() {
        let limits = limits(|l| {
            l.connections = 3;
            l.connections_per_address = 2;
        });
        let connections = Arc::new(Connections::default());
        let admit = |peer| connections.admit(address(peer), &limits);
        let first = admit("192.0.2.1").unwrap();
        let _second = admit("192.0.2.1").unwrap();
        assert_eq!(admit("192.0.2.1").unwrap_err(), Crowded::Address);
        let _third = admit("192.0.2.2").unwrap();
        assert_eq!(admit("192.0.2.3").unwrap_err(), Crowded::Node);
        drop(first);
        assert_eq!(connections.open(), 2);
        assert!(admit("192.0.2.1").is_ok());
        assert_eq!(connections.open(), 2);
    }
}
