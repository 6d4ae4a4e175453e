//! Resolving for others: the sockets, the clock and the thread around [`Resolver`].
//!
//! ```text
//!  UDP threads ─┐  cache ◄─── read by every thread that answers
//!  TCP, HTTP   ─┤ bounded queue    ▲
//!  refreshes   ─┴──────────► Courier's thread: Resolver ◄──► UDP sockets, streams
//!                                    │
//!  reply, called on that thread ◄────┘ answers
//! ```
//!
//! [`Courier`] is the face: questions go in, and each reply is called once, whatever happens. One
//! thread owns the resolver, so it needs no lock; what it does per message takes microseconds, and
//! answers from the cache do not pass through it. Who may ask, and what an answer looks like, is
//! decided in `core::authority`; how a handle is found, in `core::resolve`.
//!
//! With `recurse.verify` each record is judged before it is given away (`judge`); the cache
//! answers at once only what has passed.
//!
//! Everything is bounded: the queue ([`QUEUE_MAX`]), questions under way (`recurse.pending_max`),
//! streams ([`stream::STREAMS_MAX`]). What finds no room is told so at once.

mod answer;
mod courier;
mod drive;
mod judge;
mod keep;
mod keys;
mod roots;
mod socket;
mod stream;

pub use answer::{Source, Sourced};
pub(crate) use courier::busy;
pub use courier::{Clock, Courier, QUEUE_MAX, Reply, Setup};
pub use judge::VERDICTS;
pub use keep::ROOT_INFO;
pub use roots::{RootsError, load as load_roots, parse as parse_roots};
pub use stream::{CONNECTIONS_PER_SERVER_MAX, SERVERS_MAX, STREAMS_MAX};

#[cfg(doc)]
use guantong_core::resolve::Resolver;
