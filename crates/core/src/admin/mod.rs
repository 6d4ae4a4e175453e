//! Administration: who asks, may he, and what becomes of the record.
//!
//! ```text
//! authenticate   who is it? challenges, and the keys that confirm their answers
//! authorize      may he? HS_ADMIN values, groups, and what each operation needs
//! session        a key and an identity for many requests
//! rules          rights that the configuration gives
//! role           rights that roles give, and everybody's over his own login
//! errand         a request that needs more than one read, from its packet to its reply
//! perform        what each operation checks and does on the way
//! decide         the same for changes, however they were asked for
//! together       changes of one sender that are decided together
//! plan           what a change makes of a record, or why it cannot be made
//! validate       what may be stored as a record
//! delegate       the prefix record of a prefix that is handed to another node
//! ```
//!
//! Changes are pure plans. The shell reads the record, asks for a plan, and writes the result on
//! the condition that the record is still what the plan was made from. A dry run and the real thing
//! are therefore the same function.

pub mod authenticate;
pub mod authorize;
mod decide;
mod delegate;
mod errand;
mod foresee;
mod granted;
mod kept;
mod known;
mod listing;
mod open;
mod perform;
mod plan;
mod present;
mod role;
mod rules;
pub mod session;
mod stop;
mod stream;
mod together;
mod validate;
pub mod web;
mod write;

pub use authenticate::{Challenge, Identity};
pub use authorize::{Grant, grants};
pub use decide::STALE;
pub use delegate::{Administrator, Delegation};
pub use errand::{Errand, Ground, Next};
pub use kept::Kept;
pub use known::{
    Confirm, FETCHES_MAX, KNOWN_OCTETS_MAX, Place, SHARED_MAX, SHARED_OCTETS_MAX, StoredRecord,
    Wanted, places,
};
pub use listing::{Follow, LIST_PAGE_LEN, Listed, Listing};
pub use open::Refusal;
pub use plan::{Change, Conflict, Timestamps, plan};
pub use present::Presented;
pub use rules::{Denied, OnDelete, Rules};
pub use session::{Chance, NoTables, Tables};
pub use stream::Stream;
pub use together::{Declined, Deed, Together, Verdict, Wish};
pub use validate::{Invalid, InvalidReason, RECORD_OCTETS_MAX, validate};
pub use write::{Effect, Expected, Order, Right, Used, Warrant, Write, Written};
