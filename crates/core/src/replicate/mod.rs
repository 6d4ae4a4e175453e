//! Mirrors: what a primary sends, what a mirror makes of it, and which of them takes changes (6.8).
//!
//! ```text
//!   primary                                            mirror
//!   change log ──► Feed ──► blocks ─── stream ──► blocks ──► Follower ──► Portion (changes +
//! position)
//!                   ▲ Asked ◄──────── request ───────────────── │
//!                   └ Told  ───────── answer ─────────────────► │
//!   Standing, Lease ◄──── epoch, token, claim ───────► Standing, Patience
//! ```
//!
//! Requests, answers and streams are those of the Handle protocol. Nodes of ours say more to each
//! other, behind the octets that the protocol knows: [`Asked`] behind a request, [`Told`] behind an
//! answer. Others ignore it.
//!
//! Everything here is pure. The shell connects, authenticates, reads the change log, writes
//! portions, and passes the time in milliseconds. The design, and why it loses no acknowledged
//! change, is in `docs/internals/replication.md`.

mod backoff;
mod claim;
mod fault;
mod feed;
mod follower;
mod lease;
mod log;
mod merge;
mod notice;
mod position;
mod receiver;

pub use backoff::Backoff;
pub use claim::{Claim, Role, Standing, Verdict};
pub use fault::{Fault, Reaction};
pub use feed::{Feed, LogChange, Need, Numbering, Redump, Start, write_dump_head, write_dump_tail};
pub use follower::{
    Ask, Channel, Follower, Leftover, PORTION_CHANGES_MAX, PORTION_OCTETS_MAX, Portion,
    RecordChange, Work,
};
pub use lease::{Instant, Lease, Patience, Token};
pub use log::{LogId, Mark};
pub use merge::{Local, Received, merge};
pub use notice::{Asked, Told};
pub use position::{Dumping, Following, Manner, Position, QueuePosition};
pub use receiver::Receiver;
