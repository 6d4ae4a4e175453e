//! Mirrors over real sockets: serving a feed, following one, taking over.
//!
//! ```text
//!   listen::tcp ──► feed  ──► a mirror            decisions: core::replicate
//!   primary ──► link ──► follow ──► apply ──► store
//!                           ▲ promote, fence           gate ◄── asked by the store's writer
//! ```
//!
//! What is sent, what is made of it and who takes changes is decided in
//! [`guantong_core::replicate`]. Here are the connections, the clock, and what is saved: the
//! [`Standing`] of the node and its [`Position`], both as notes in the store.

mod apply;
mod desk;
mod diverged;
mod feed;
mod follow;
mod gate;
mod link;
mod pin;
mod plan;
mod promote;
mod seen;
mod serve;
mod state;

pub(crate) use desk::{OfNode, guard};
pub(crate) use feed::{Served, serve};
pub use follow::run;
pub(crate) use pin::read_key;
pub use promote::{Promote, PromoteError, Promoted};
pub use seen::Seen;
pub use state::{Figures, MirrorSnapshot, Mirroring, ReadError};

#[cfg(doc)]
use guantong_core::replicate::{Position, Standing};
