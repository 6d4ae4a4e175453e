//! Local administration: what an operator does on the machine of the node.
//!
//! ```text
//!   command line ──► Control ──┬──► socket ──► running node ──► Desk ──► store
//!                              └──► Local ─────────────────────► Desk ──► store
//! ```
//!
//! Everything that can be asked is a [`guantong_api::control::Ask`]; the [`Desk`] answers. If the
//! node runs, its store is locked and the command asks through the control socket; if it does not,
//! the command opens the store itself. [`open`] finds out which; behind it, both are a
//! [`Control`], so that no command knows the difference.
//!
//! The socket is for the owner of the node alone: its mode is 0600, its folder must not be
//! writable by others, and the user id of the peer is checked as well. There is no other
//! authentication, and none of this is reachable over a network.

mod desk;
mod import;
mod line;
mod local;
mod past;
mod record;
mod refusal;
mod remote;
mod serve;
mod words;

pub use desk::{Desk, Gone, Mirrors, Say};
pub use import::{BATCH_OCTETS_MAX, BATCH_RECORDS_MAX, BATCHES_AHEAD_MAX, Import, Item};
pub use local::Local;
pub use record::{NewRecord, RecordError, judge, to_json};
pub use remote::Remote;
pub use serve::{BindError, CONNECTIONS_MAX, Listener};
pub(crate) use words::change_entry;
pub use words::in_words;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use guantong_api::control::{Ask, Imported, Mode, OnConflict, Refusal, Reply};
use guantong_store::{OpenError, Options, Store, StoreError};

use crate::config::TrustConfig;
use crate::files::copy::Shelf;
use crate::key::KeyError;
use crate::mirror;
use crate::trust::RecordSigner;

//----------- Control --------------------------------------------------------

/// A node that can be asked, whether it runs or not.
pub trait Control {
    /// Asks and waits for the end of the answer. What is on the way is told to `say`; if that
    /// fails, the question is given up with [`Fault::Stopped`].
    fn ask(&mut self, ask: Ask, say: Say<'_>) -> Result<Reply, Fault>;

    /// Begins to write many records.
    fn import(&mut self, on_conflict: OnConflict, mode: Mode) -> Box<dyn Importer + '_>;

    /// Whether the node runs and others change its records at the same time.
    fn is_running_node(&self) -> bool;
}

/// Batches of records on their way into a store.
pub trait Importer {
    /// Hands over a batch. May wait for room, not for the batch to be written. At most
    /// [`BATCHES_AHEAD_MAX`] batches may be under way.
    fn submit(&mut self, items: Vec<Item>) -> Result<(), Fault>;

    /// What became of the oldest batch; waits until it is durable. `None` if none is under way.
    fn outcomes(&mut self) -> Result<Option<Imported>, Fault>;

    /// Number of batches whose outcomes have not been asked for.
    fn under_way(&self) -> usize;
}

//----------- open -----------------------------------------------------------

/// Where a node keeps what a local command needs.
#[derive(Clone, Debug)]
pub struct Place {
    /// The control socket.
    pub control: PathBuf,
    /// The folder of the store.
    pub store: PathBuf,
    /// Settings of the store.
    pub options: Options,
    /// Files that registrations name.
    pub files: PathBuf,
    /// How records are signed.
    pub trust: TrustConfig,
}

/// Asks the running node if there is one, else opens its store.
///
/// `now_ms` tells the milliseconds since 1970.
pub fn open(place: &Place, now_ms: fn() -> u64) -> Result<Box<dyn Control>, OpenFault> {
    let socket = match Remote::connect(&place.control) {
        Ok(remote) => return Ok(Box::new(remote)),
        Err(error) => error,
    };
    match Store::open(&place.store, &place.options) {
        Ok(store) => match mirror::guard(&store) {
            Ok(()) => {
                let signer = RecordSigner::load(&place.trust)?.map(Arc::new);
                let desk = Desk::new(store, now_ms, || {}).with_signer(signer);
                let desk = desk.with_files(Shelf::at(place.files.clone()));
                Ok(Box::new(Local::new(desk)))
            }
            Err(error) => Err(OpenFault::Unreadable(error)),
        },
        Err(OpenError::Locked { .. }) => Err(OpenFault::Socket {
            path: place.control.clone(),
            advice: advice(&place.control, &socket),
            cause: socket,
        }),
        Err(error) => Err(OpenFault::Store(error)),
    }
}

/// What to do about a socket that cannot be used although the node runs.
fn advice(path: &Path, error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "it belongs to another user: run the command as that user"
        }
        io::ErrorKind::NotFound if !path.exists() => {
            "the node may be starting or stopping, or another command has the store open: try again"
        }
        io::ErrorKind::ConnectionRefused => {
            "the node may be starting or stopping, or another command has the store open: try again"
        }
        _ => "does the configuration name the control socket of the node that runs?",
    }
}

/// Why neither the node nor its store can be reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenFault {
    /// The key that signs records cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store is in use, and its node cannot be asked.
    #[error(
        "the store is in use, and the control socket {path} cannot be reached ({cause}): {advice}"
    )]
    Socket {
        /// The control socket.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
        /// What to do.
        advice: &'static str,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Store(OpenError),
    /// The store cannot be read.
    #[error(transparent)]
    Unreadable(StoreError),
}

//----------- Fault ----------------------------------------------------------

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The node says why not.
    #[error("{}", .0.message)]
    Refused(Refusal),
    /// The node went away in the middle.
    #[error("the node at {path} does not answer any more: {cause}")]
    Lost {
        /// The control socket.
        path: PathBuf,
        /// What was seen.
        cause: String,
    },
    /// The answer is not one to the question.
    #[error("the node answers with something else than was asked: is it of another version?")]
    Strange,
    /// Whoever took the answer did not want more of it.
    #[error("stopped on request")]
    Stopped,
}

#[cfg(test)]
mod tests;
