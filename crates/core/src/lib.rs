//! Decisions of a node: answering, access, selection.
//!
//! ```text
//!  packet ──► authority::Inquiry ──► "fetch this key" ──► (shell reads the store) ──► reply
//!  query  ──► authority::Lookup  ──► "fetch this key" ──► (shell reads the store) ──► Outcome
//!  handle ──► resolve::Resolver  ──► "send this packet" ─► (shell asks the network) ─► Answer
//! ```
//!
//! Everything here is a pure function of what it is given: octets, records, a `now`, random octets.
//! Which key is fetched, what may be read, which code is answered, which URL wins and what a change
//! does to a record is decided here; sockets, threads, the disk and the clock are elsewhere.

pub mod admin;
pub mod authority;
pub mod delegation;
pub mod enterprise;
pub mod grant;
pub mod identity;
pub mod location;
pub mod namespace;
pub mod redirect;
pub mod replicate;
pub mod resolve;
pub mod template;
pub mod trust;
