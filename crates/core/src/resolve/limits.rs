//! Every bound of the resolver: what servers, askers, or records can make it do at most.
//!
//! What an operator may choose is in [`Settings`](super::Settings); these are fixed.

/// Referrals (302, 303) that one question follows, sub-questions apart. A tree of delegations is a
/// handful deep.
pub const REFERRALS_MAX: u8 = 10;

/// Sub-questions inside sub-questions: prefix records and service handles that need each other.
pub const DEPTH_MAX: u8 = 20;

/// Service handles that lead from one to the next (5.2, step 3).
pub const SERVICE_DEPTH_MAX: u8 = 20;

/// Service handles that are looked up for one prefix.
pub const SERVICES_MAX: usize = 32;

/// Exchanges that one question may cost, all sub-questions together. What one asker can make us
/// send stays small, whatever the records say.
pub const EXCHANGES_MAX: u32 = 100;

/// Exchanges in flight for one question at a time: the first server, and a second one when the
/// first is slow.
pub const IN_FLIGHT_MAX: usize = 2;

/// Servers that are considered for one step of a question.
pub const CANDIDATES_MAX: usize = 64;

/// Sites that are taken out of one set of values.
pub const SITES_MAX: usize = 64;

/// Values that are looked at in a referral.
pub const REFERRAL_VALUES_MAX: usize = 256;

/// Aliases that one question follows (8.7).
pub const ALIASES_MAX: usize = 20;

/// Hops that a trace keeps.
pub const HOPS_MAX: usize = 100;

/// Characters of a server's error text that are kept.
pub const ERROR_TEXT_CHARS_MAX: usize = 500;

/// Times that a datagram request is sent.
pub const UDP_TRIES: u32 = 2;

/// Octets of a request packet that is sent by UDP: eight datagrams. The loss of any of them costs
/// a retry of all, so longer requests go by stream at once.
pub const UDP_REQUEST_LEN_MAX: usize = 8 * 512;

/// Servers of one step that may be silent by UDP before streams are tried: behind a firewall that
/// drops UDP all of them would be.
pub const SILENT_MAX: u32 = 2;

/// Milliseconds that a datagram request waits when nothing is known of the server.
pub const RTO_UNKNOWN_MS: u64 = 400;

/// Shortest wait for a datagram.
pub const RTO_MIN_MS: u64 = 100;

/// Longest wait for a datagram.
pub const RTO_MAX_MS: u64 = 3_000;

/// Round trips of a server that are remembered.
pub const RING_LEN: usize = 32;

/// Round trips that must be known before their 95th percentile means something.
pub const RING_LEN_MIN: usize = 8;

/// Shortest time after which a second server is asked. Below it the second question would cost
/// more than the wait.
pub const HEDGE_MIN_MS: u64 = 20;

/// Time after which a second server is asked when a stream is slow and nothing is known.
pub const HEDGE_STREAM_MS: u64 = 1_000;

/// Servers, by transport, of which times and failures are remembered.
pub const PEERS_MAX: usize = 8_192;

/// Time for which a server counts as down after its first failure; doubles with each.
pub const DOWN_MIN_MS: u64 = 1_000;

/// Longest time for which a server counts as down.
pub const DOWN_MAX_MS: u64 = 120_000;

/// Largest number of milliseconds added at random to a site's time when sites are put in order, so
/// that equally near sites share the work.
pub const JITTER_MS: u64 = 8;

/// Seconds that are added at random to the expiration of a request. The digest of a reply covers
/// them, so a forger who cannot see the request has to guess them too.
pub const EXPIRATION_SPREAD_SECS: u32 = 0xffff;

/// Seconds by which a server's clock may be behind ours before its replies count as expired.
pub const SKEW_MAX_SECS: u32 = 300;

/// Referrals of parents that are remembered.
pub const HINTS_MAX: usize = 4_096;

/// Questions whose failure is remembered.
pub const FAILURES_MAX: usize = 4_096;

/// Time for which a failure is remembered, so that a storm of equal questions does not become a
/// storm of retries.
pub const FAILURE_MEMORY_MS: u64 = 2_000;

/// Time for which an expired entry is answered at once after its site was found unreachable.
pub const STALE_PAUSE_MS: u64 = 5_000;

/// An entry is refreshed in the last part of its life: one in this many.
pub const REFRESH_PART: u64 = 10;

/// Answers that an entry must have given to be worth a refresh.
pub const REFRESH_HITS_MIN: u32 = 3;

/// Milliseconds between two refreshes of the root record, but for the random hour on top (5.5).
pub const ROOT_REFRESH_MS: u64 = 23 * 3_600_000;

/// The random part of it.
pub const ROOT_REFRESH_SPREAD_MS: u64 = 3_600_000;

/// Shortest time between two refreshes, whatever servers say.
pub const ROOT_REFRESH_PAUSE_MS: u64 = 60_000;

/// Time to the next try when the root record could not be fetched or was refused.
pub const ROOT_RETRY_MS: u64 = 600_000;

/// Servers that an error names at most.
pub const TRIED_MAX: usize = 16;
