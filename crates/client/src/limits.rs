//! Every bound of the client: what a server, or somebody who pretends to be one, can make it do.

use std::time::Duration;

/// Waits for an answer by UDP; the request is sent again after each but the last.
///
/// These are the waits of the Handle clients in the field (clause 1.4).
pub const UDP_WAITS: [Duration; 3] = [
    Duration::from_millis(500),
    Duration::from_millis(1_000),
    Duration::from_millis(1_500),
];

/// Time that a stream (TCP, HTTP, HTTPS) has to be opened.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Time that a stream has for a whole answer. A server that sends one octet now and then does not
/// win more.
pub const STREAM_TIMEOUT: Duration = Duration::from_secs(15);

/// Longest datagram that is looked at. The protocol knows 512 octets; what fits one ordinary
/// network packet is accepted from servers that are generous.
pub const DATAGRAM_LEN_MAX: usize = 2_048;

/// Longest request that is sent by UDP: eight datagrams. The loss of any of them costs a retry of
/// all, so longer requests go by TCP at once.
pub const UDP_REQUEST_LEN_MAX: usize = 8 * 512;

/// Most addresses of one host name that are tried.
pub const ADDRESSES_MAX: usize = 4;

/// Most requests in flight on one connection; more wait for their turn.
pub const PIPELINE_MAX: usize = 256;

/// Most connections that a client keeps open for later requests.
pub const CONNECTIONS_MAX: usize = 64;

/// Most messages of one answer that is continued from message to message (flag CONT).
pub const MESSAGES_MAX: usize = 4_096;

/// Most octets of all messages of such an answer.
pub const ANSWER_OCTETS_MAX: usize = 64 * 1024 * 1024;

/// Most characters of a server's error text that are kept.
pub const ERROR_TEXT_CHARS_MAX: usize = 1_000;

/// Seconds that are added at random to the expiration of a request.
///
/// The digest in the answer covers the expiration, so a forger who cannot see the request has to
/// guess them too. They are few beside the twelve hours that a request is valid.
pub const EXPIRATION_SPREAD_SECS: u32 = 0xffff;
