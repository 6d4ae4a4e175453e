//! Trust: whether a record is what its owner has signed (clause 7).
//!
//! A record may carry HS_SIGNATURE values: digests of its values, signed with a key. What that key
//! may sign, an HS_CERT value says, signed with another key, and so on up to a root key that
//! whoever asks knows beforehand.
//!
//! ```text
//! policy   which roots are believed, who must have signed, how far clocks may differ
//! chain    the certificates from a signature up to a root, and which records are still wanted
//! verify   whether signature, digests, dates, permissions and keys hold; the report
//! demand   what of that is demanded before a record is believed
//! expiry   when signatures and certificates end
//! sign     signatures and certificates of our own
//! ```
//!
//! Nothing is fetched here: [`Verification::judge`] names the record that it wants, the shell
//! fetches it and [learns](Verification::learn) it. Nothing is drawn and no clock is read.

mod chain;
mod demand;
mod expiry;
mod permission;
mod policy;
pub mod sign;
mod verify;

pub use chain::{CHAIN_LEN_MAX, CHAIN_OCTETS_MAX, CHAIN_RECORDS_MAX, Found, RECORDS_MAX};
pub use demand::{Demand, Refusal, Rule};
pub use expiry::{Ascent, Climbed, certificate_end, claimed, root_end, signature_end};
pub use permission::covers;
pub use policy::{CLOCK_SKEW_SECS, Policy};
pub use verify::{Fault, Judgement, Link, Proof, Report, SIGNATURES_MAX, Verdict, Verification};

/// Type of values that sign a record.
pub const SIGNATURE: &[u8] = b"HS_SIGNATURE";
/// Type of values that certify a key.
pub const CERTIFICATE: &[u8] = b"HS_CERT";
/// The handle whose keys are roots.
pub const ROOT: &str = "0.0/0.0";
