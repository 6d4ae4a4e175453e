//! Listeners, HTTP, configuration, metrics and jobs of a node.
//!
//! Everything impure lives here: sockets, threads, clock, random octets. No decision about a record
//! is taken here; those are in `guantong-core`.
//!
//! ```text
//!   config ──► running::start ──► node::Node (store, site, figures, clock)
//!                   │                 ▲ answer(packet) / resolve(query)
//!                   ├── listen::udp ──┤   plain threads
//!                   ├── listen::poll ─┤   plain threads: TCP and HTTP, as long as nothing waits
//!                   ├── listen::tcp ──┤   tokio: connections on which something does
//!                   ├── listen::http ─┤   tokio, hyper, axum: the same
//!                   └── recurse ──────┘   names that live elsewhere
//! ```
//!
//! Read [`node`] first, then [`listen`]. [`init()`] makes a new node, [`run`] is the daemon,
//! [`start`] is the same for tests and demonstrations.

mod ahead;
pub mod config;
mod console;
pub mod control;
pub mod demo;
pub mod errand;
mod expiry;
pub mod files;
pub mod http;
pub mod init;
pub mod key;
pub mod limit;
pub mod listen;
pub mod log;
mod login;
pub mod metrics;
pub mod mirror;
pub mod move_over;
pub mod node;
mod pace;
pub mod priority;
mod proof;
mod publish;
pub mod recurse;
pub mod reload;
pub mod running;
pub mod shutdown;
pub mod site;
pub mod transfer;
pub mod trust;

pub use init::{InitOptions, Made, Role, RoleGroups, init};
pub use running::{RunError, Running, run, start};
