//! Resolving a handle anywhere: from the root down to the server that holds it, with a cache.
//!
//! ```text
//!            start ──►┌──────────┐──► poll_transmit   datagrams and streams to send
//!      on_datagram ──►│ Resolver │──► poll_answer     answers, with traces
//!        on_stream ──►│          │──► poll_timeout    when on_timeout is due
//!       on_timeout ──►└────┬─────┘──► poll_abandoned, poll_event
//!                          │ owns no socket, no clock, no randomness
//!                       ┌──┴──┐
//!                       │Cache│◄── the threads that answer read it too
//!                       └─────┘
//! ```
//!
//! Where records are judged before they are given on, an [`Inspection`] stands between whoever asks
//! and the resolver: it says which questions lead to a judged answer, and what that is.
//!
//! After each call the shell polls until nothing is left. Decisions and their reasons are told in
//! `docs/internals/resolution.md`.

mod answer;
mod ask;
mod cache;
mod conclude;
mod exchange;
mod failure;
mod figures;
mod find;
mod hint;
mod inspect;
pub mod limits;
mod peer;
mod place;
mod question;
mod react;
mod refresh;
mod resolver;
mod roots;
mod settings;
mod share;
mod time;
mod trace;
mod transmit;
mod walk;

pub use answer::{Answer, Freshness, Outcome, ResolveError, Tried};
pub use cache::{
    Cache, CacheFileError, Entry, EntryKind, Hit, Loaded, Look, Lookup, Ruling, Trust, Wanted,
    Worth,
};
pub use figures::{ExchangeFigures, Figures};
pub use inspect::{Inspected, Inspection};
pub use place::Reach;
pub use question::{Question, Ticket, TraceWanted};
pub use resolver::{Event, Random, Resolver};
pub use roots::{Origin, RootError, Roots};
pub use settings::{CacheSettings, RootRefresh, Settings};
pub use time::{Now, Tick};
pub use trace::{Hop, HopResult, HopServer, Mismatch, Trace, Why};
pub use transmit::{ExchangeId, Route, StreamFault, Transmit, Transport};
