//! How each protocol asks for a record, and how it knows the answer.
//!
//! Every answer is checked against the record that was asked for: its id, its name, its data. A
//! server that is fast because it answers something else is not fast.

mod constant;
mod dns;
mod handle;
mod http;
mod numbers;
mod redis;

pub use constant::{Echo, FIXED_BODY, Fixed};
pub use dns::{Dns, TTL_SECS as ZONE_TTL_SECS, zone_line};
pub use handle::{Exactness, Handles, answer_packet};
pub use http::Json;
pub use numbers::Numbers;
pub use redis::{Redis, set as redis_set};

/// What octets are, if the answer for a record is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The beginning of an answer. Of a datagram, that it is cut off.
    Incomplete,
    /// The right answer, so many octets long.
    Right(usize),
    /// Something else; on a stream nothing behind it can be understood.
    Wrong,
}

/// A protocol.
pub trait Dialect: Sync {
    /// Appends the question for record `n`. `id` is to come back where the protocol has ids; it
    /// uses the lower [`Dialect::id_bits`] of it.
    fn ask(&self, n: u32, id: u32, out: &mut Vec<u8>);

    /// Bits of an id. 0, if answers are told apart by their order alone.
    fn id_bits(&self) -> u32;

    /// The id in a datagram; `None` if it is too short to have one.
    fn id(&self, datagram: &[u8]) -> Option<u32>;

    /// Judges what begins at `octets` as the answer for record `n` under `id`.
    fn judge(&self, n: u32, id: u32, octets: &[u8]) -> Verdict;
}
