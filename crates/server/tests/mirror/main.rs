//! Mirrors over real sockets: following, catching up, taking over.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod follow;
mod pair;
mod relay;
mod takeover;
