//! Every bound of the protocol, in one place, with the clause it comes from.
//!
//! Clauses are those of the Handle wire protocol as practised by version 2.11; RFC numbers are
//! given where the RFC says the same.

/// Length of an envelope in octets (RFC 3652, 2.2.1).
pub const ENVELOPE_LEN: usize = 20;
/// Length of a message header in octets (RFC 3652, 2.2.2).
pub const HEADER_LEN: usize = 24;
/// Largest message, without envelope, in octets.
pub const MESSAGE_LEN_MAX: usize = 262_144;
/// Largest datagram in octets (RFC 3652, 2.3).
pub const DATAGRAM_LEN_MAX: usize = 512;
/// Message octets carried by one datagram.
pub const FRAGMENT_LEN_MAX: usize = DATAGRAM_LEN_MAX - ENVELOPE_LEN;
/// Most datagrams that one message can be cut into.
pub const FRAGMENTS_MAX: usize = MESSAGE_LEN_MAX.div_ceil(FRAGMENT_LEN_MAX);
/// Largest handle name in octets.
pub const HANDLE_LEN_MAX: usize = 2_048;
/// Most values in one message.
pub const VALUES_MAX: usize = 2_048;
/// Most elements of any array.
pub const ARRAY_LEN_MAX: usize = 1_048_576;
/// Octets of a nonce that we draw.
pub const NONCE_LEN: usize = 16;
/// Largest nonce accepted from a peer, in octets.
pub const NONCE_LEN_MAX: usize = 1_024;
/// Seconds after which a message that we write is stale.
pub const EXPIRATION_DEFAULT_SECS: u32 = 43_200;
/// Default TTL of a value in seconds.
pub const TTL_DEFAULT_SECS: i32 = 86_400;
/// Largest TTL honoured by a cache, in seconds.
pub const TTL_MAX_SECS: i32 = 172_800;
/// Largest attribute, server or interface count of a site record.
pub const SITE_ELEMENTS_MAX: usize = 4_096;
/// Seconds after which an incomplete set of datagrams is dropped.
pub const REASSEMBLY_TIMEOUT_SECS: u64 = 5;
/// Highest recursion count that a server accepts.
pub const RECURSION_MAX: u8 = 10;

const _: () = assert!(FRAGMENT_LEN_MAX == 492);
const _: () = assert!(HANDLE_LEN_MAX < MESSAGE_LEN_MAX);
