//! Wire protocol, handles, values and typed data of the Handle System.
//!
//! Bytes in, types out, and back. This crate does no I/O, reads no clock and holds no state beyond
//! what it is given; it can be driven by a socket, a file or a test alike.

pub mod crypto;
pub mod data;
pub mod error;
pub mod file;
pub mod frame;
pub mod json;
pub mod limits;
pub mod message;
pub mod name;
pub mod stream;
pub mod value;
pub mod wire;

pub use error::{DecodeError, Reason};
pub use name::{CaseRule, Handle, HandleRef, Key, NameError};
pub use value::{
    Permissions, Reference, ReferenceRef, Ttl, Value, ValueRef, Values, is_of_type, is_secret,
    type_matches,
};
