//! The whole program, as its users meet it: started as a process, asked over loopback, and fed with
//! what it must not choke on.
//!
//! Every test makes its own node in a temporary directory, on ports that the system chooses.

mod bad_files;
mod bad_messages;
mod mirror;
mod node;
