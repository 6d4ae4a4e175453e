//! Wire protocol, handles, values and typed data of the Handle System.
//!
//! Bytes in, types out, and back. This crate does no I/O, reads no clock and holds no state beyond
//! what it is given; it can be driven by a socket, a file or a test alike.

pub mod error;
pub mod limits;
pub mod wire;

pub use error::{DecodeError, Reason};
