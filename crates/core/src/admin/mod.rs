//! Administration as pure plans: what a change makes of a record, or why it cannot be made.
//!
//! The shell reads the record, asks for a plan, and writes the result on the condition that the
//! record is still what the plan was made from. A dry run and the real thing are therefore the same
//! function. Who may ask is not decided here.

mod delegate;
mod plan;
mod validate;

pub use delegate::{Administrator, Delegation};
pub use plan::{Change, Conflict, Timestamps, plan};
pub use validate::{Invalid, InvalidReason, RECORD_OCTETS_MAX, validate};
