//! Moving many records: import and export of JSON Lines, resumable.

pub mod lines;
