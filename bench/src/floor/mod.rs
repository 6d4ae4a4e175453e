//! The floor: the least that a server on this machine must do for an answer.
//!
//! Each program does what the system calls cost, and nothing else that could be left out. What a
//! real server takes beyond that is its own doing. The floors keep to one thread and end with the
//! process.

mod http;
mod table;
mod tcp;
mod udp;

pub use http::{axum, hyper};
pub use tcp::{http, tcp, tcp_echo};
pub use udp::{udp, udp_echo};
