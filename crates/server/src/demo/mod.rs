//! The demonstration: a whole network on this machine, filled with real figures.
//!
//! ```text
//!                      root  0.NA
//!                        │ delegates 88
//!   Beijing ─► Shanghai, Guangzhou, Wuhan, Chongqing   copies, in daily use
//!      │    └► Nanjing, Guiyang                        copies, for disaster recovery
//!      │ delegates 88.118, 88.608
//!   two second-level nodes
//!      │ delegate 88.118.5, .6, .7; 88.608.24061301, .5288
//!   five enterprise nodes                              recursive node ──► asks all of them
//! ```
//!
//! Every node is an ordinary one with a folder, a store and sockets of its own, made by
//! [`init`](crate::init()) and started by [`start`](crate::start); they know of each other only
//! what the protocol tells them. [`plan`] says who takes part, [`figures`] what the enterprises
//! register, [`trace`] the stages of a bottle, [`network`] makes and starts it all.

pub mod figures;
pub mod network;
pub mod plan;
mod port;
pub mod trace;

use std::path::PathBuf;

use guantong_store::{StoreError, WriteError};

use crate::config::ConfigErrors;
use crate::init::InitError;
use crate::node::StartError;

pub use network::{Member, Network, ROOT_INFO};
pub use port::Ports;

/// The prefix of the enterprise that has all figures.
pub const PREFIX: &str = "88.118.5";

//----------- DemoError ------------------------------------------------------

/// Why the demonstration cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// The folder holds something else.
    #[error("{} holds other things: the network needs a folder that is empty or does not exist",
        .0.display())]
    NotEmpty(PathBuf),
    /// A node that is needed does not run.
    #[error("the node `{0}` does not run")]
    Stopped(&'static str),
    /// A mirror does not get its copies.
    #[error("the mirror `{0}` does not keep up with its primary; the log says why")]
    Behind(&'static str),
    /// A site record or a prefix record does not decode.
    #[error("a record of the network is damaged: {0}")]
    Site(#[source] guantong_proto::DecodeError),
    /// A file cannot be written.
    #[error("{} cannot be written: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A prefix record cannot be changed.
    #[error("a prefix cannot be delegated: {0}")]
    Delegate(#[from] guantong_core::admin::Conflict),
    /// The node cannot be made.
    #[error(transparent)]
    Init(#[from] InitError),
    /// Its settings cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The node cannot start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The records cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The records cannot be read.
    #[error(transparent)]
    Read(#[from] StoreError),
    /// The figures that are built in are damaged.
    #[error("line {line} of the figures that are built in: {source}")]
    Data {
        /// The line.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A template, or a registration, of the stages that are built in is not right.
    #[error("the stages that are built in: {0}")]
    Template(String),
    /// The key of an application cannot be made.
    #[error("the key of an application cannot be made: {0}")]
    Key(#[from] crate::key::form::FormError),
    /// A name in the figures that are built in is no handle.
    #[error("the figures that are built in: {0}")]
    Name(#[from] guantong_proto::NameError),
}
