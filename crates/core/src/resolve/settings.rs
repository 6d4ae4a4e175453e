//! What an operator may choose.

use guantong_proto::limits::TTL_MAX_SECS;

//----------- Settings -------------------------------------------------------

/// Settings of a resolver. The cache has its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// UDP sockets that the shell keeps; each exchange picks one at random. At least 1.
    pub sockets: u16,
    /// Milliseconds that a question may take altogether.
    pub timeout_ms: u64,
    /// Milliseconds that a stream may take for one reply.
    pub stream_timeout_ms: u64,
    /// Questions and sub-questions under way at most; more are refused.
    pub pending_max: usize,
    /// Milliseconds after which a question is answered from an expired entry, if there is one,
    /// while resolution goes on.
    pub stale_wait_ms: u64,
    /// Whether the root record is refreshed from time to time.
    pub root_refresh: RootRefresh,
}

/// Whether the root record is refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootRefresh {
    /// Every 23 to 24 hours, and when a root server says that ours is old (5.5).
    Daily,
    /// Never: for one question, or for a root that is configured by hand.
    Never,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sockets: 16,
            timeout_ms: 10_000,
            stream_timeout_ms: 3_000,
            pending_max: 10_000,
            stale_wait_ms: 1_800,
            root_refresh: RootRefresh::Daily,
        }
    }
}

//----------- CacheSettings --------------------------------------------------

/// Settings of the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheSettings {
    /// Octets of memory at most, about.
    pub octets: u64,
    /// Seconds that an entry is kept at least, whatever its TTL says; a TTL of 0 included.
    pub ttl_min_secs: u32,
    /// Seconds that an entry is kept at most.
    pub ttl_max_secs: u32,
    /// Seconds for which it is remembered that something does not exist; 0 for not at all.
    pub negative_ttl_secs: u32,
    /// Seconds past its time for which an entry may still be answered when nobody can be reached.
    pub stale_secs: u32,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            octets: 64 * 1024 * 1024,
            ttl_min_secs: 0,
            ttl_max_secs: TTL_MAX_SECS.unsigned_abs(),
            negative_ttl_secs: 60,
            stale_secs: 86_400,
        }
    }
}
