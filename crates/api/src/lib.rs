//! Versioned JSON types of the interfaces that people and programs write against.
//!
//! Types and the names of their fields, no logic: what a field means is decided in `core` and
//! `server`. [`control`] is what the command line says to a node on the same machine.

pub mod batch;
pub mod control;
pub mod doip;
pub mod enterprise;
pub mod handles;
pub mod identity;
pub mod login;
pub mod observation;
pub mod snms;
pub mod v2;
