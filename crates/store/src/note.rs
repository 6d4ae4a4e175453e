//! Notes: a few octets that a job keeps beside the records, written with its changes.
//!
//! A job that fills the store from elsewhere has to know after a crash how far it had come. Kept in
//! a file of its own, that knowledge would be older or newer than the records. A note is written in
//! the same transaction as the batch that it speaks of.

use crate::error::WriteError;
use crate::limits::{NOTE_NAME_LEN_MAX, NOTE_OCTETS_MAX};

/// A note to be written with a batch, in place of the one of that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Its name.
    pub name: String,
    /// What it says; the store does not look at it.
    pub octets: Vec<u8>,
}

impl Note {
    /// Checks a note against the limits.
    pub(crate) fn check(&self) -> Result<(), WriteError> {
        let (len, octets) = (self.name.len(), self.octets.len());
        if len == 0 || len > NOTE_NAME_LEN_MAX || octets > NOTE_OCTETS_MAX {
            return Err(WriteError::TooLarge {
                found: octets.max(len),
                limit: match len > NOTE_NAME_LEN_MAX {
                    true => NOTE_NAME_LEN_MAX,
                    false => NOTE_OCTETS_MAX,
                },
                unit: "octets of a note",
            });
        }
        Ok(())
    }
}
