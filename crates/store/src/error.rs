//! What can go wrong, one enum per family of operations.
//!
//! Every message names what failed, whose fault it is and what to do next. The engine's own errors
//! end here: outside this crate nobody needs to know which engine it is.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use guantong_proto::{DecodeError, Handle, NameError};

use crate::batch::Expect;

//----------- Cause ----------------------------------------------------------

/// What the engine or the disk said.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// No room is left: make room, then restart the node.
    #[error("the disk is full: {0}")]
    DiskFull(Arc<io::Error>),
    /// The operating system refused a file operation.
    #[error("{0}")]
    Io(Arc<io::Error>),
    /// A file does not hold what was written to it.
    #[error("the engine's files are damaged: {0}")]
    Damaged(Arc<str>),
    /// An earlier failure stopped the engine; it takes no more writes until the store is reopened.
    #[error("the engine stopped writing after an earlier failure in the background")]
    Stopped,
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Self::DiskFull(Arc::new(error)),
            _ => Self::Io(Arc::new(error)),
        }
    }
}

//----------- OpenError ------------------------------------------------------

/// Why a store could not be made or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The directory holds no store.
    #[error("{dir} is not a store: {why}")]
    NotAStore {
        /// The directory.
        dir: PathBuf,
        /// What is missing or strange.
        why: &'static str,
    },
    /// A store cannot be made where something is already.
    #[error("{dir} is not empty: a new store needs a directory that is empty or does not exist")]
    NotEmpty {
        /// The directory.
        dir: PathBuf,
    },
    /// A newer version of the software made this store.
    #[error(
        "{dir} has store format {found}, this version knows {known}: use the newer version that made it"
    )]
    Newer {
        /// The directory.
        dir: PathBuf,
        /// The format version found.
        found: u32,
        /// The newest format version that this software knows.
        known: u32,
    },
    /// The store's format has no migration any more.
    #[error("{dir} has store format {found}, this version needs {known}: no migration is known")]
    Older {
        /// The directory.
        dir: PathBuf,
        /// The format version found.
        found: u32,
        /// The format version that this software needs.
        known: u32,
    },
    /// Another process, or another `Store` of this one, has the directory open.
    #[error("{dir} is in use by another process: stop it, or talk to it instead")]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// Root would leave files in another user's store that its owner cannot open.
    #[error(
        "{dir} belongs to user {owner}, who could not open what root writes there: run the command as that user"
    )]
    Foreign {
        /// The directory.
        dir: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// Changes that were acknowledged are not there any more.
    #[error(
        "{dir} has lost acknowledged changes {first} to {last}: restore a backup, or accept the loss (`guantong store accept-loss`)"
    )]
    LostChanges {
        /// The directory.
        dir: PathBuf,
        /// Number of the first change that is missing.
        first: u64,
        /// Number of the last change that is missing.
        last: u64,
    },
    /// The change log is not the one that was written.
    #[error(
        "the change log of {dir} was rewritten: change {change} is not the one that this node acknowledged: run `store check`, restore a backup, or accept the loss (`guantong store accept-loss`)"
    )]
    Rewritten {
        /// The directory.
        dir: PathBuf,
        /// The change that has another link than is remembered beside the log.
        change: u64,
    },
    /// A file of the store does not hold what was written to it.
    #[error("{dir} is damaged: {what}: run `store check`, restore a backup")]
    Damaged {
        /// The directory.
        dir: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The operating system refused a file operation.
    #[error("cannot open the store at {dir}: {cause}")]
    Engine {
        /// The directory.
        dir: PathBuf,
        /// What it said.
        cause: Cause,
    },
}

//----------- StoreError -----------------------------------------------------

/// Why reading failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A stored record does not decode.
    #[error("the record stored under `{key}` is damaged: {source}: run `store check`")]
    Record {
        /// The folded handle.
        key: String,
        /// What is wrong with it.
        source: FormError,
    },
    /// Something else that is stored does not decode.
    #[error("{what} is damaged: {source}: run `store check`")]
    Form {
        /// What it is.
        what: String,
        /// What is wrong with it.
        source: FormError,
    },
    /// A change does not follow the one before it.
    #[error(
        "the chain over the change log breaks at change {number}, so there would be no telling what was backed up: run `store check`; the records can still be exported"
    )]
    Chain {
        /// Number of the change.
        number: u64,
    },
    /// The engine or the disk failed.
    #[error("cannot read the store: {0}")]
    Engine(#[from] Cause),
    /// A page token that this store did not give out for this listing.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// No index is switched on for the type.
    #[error("no index is switched on for type `{kind}`: switch it on first")]
    NoIndex {
        /// The type asked for.
        kind: String,
    },
    /// The index exists and does not cover all records yet.
    #[error("the index for type `{kind}` is still being built: ask again later")]
    IndexBuilding {
        /// The type asked for.
        kind: String,
    },
}

//----------- FormError ------------------------------------------------------

/// Why stored octets are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormError {
    /// The form number is not one that this version knows.
    #[error("form {0} is unknown")]
    Form(u8),
    /// A code has no meaning.
    #[error("{field} {found} is unknown")]
    Code {
        /// The field.
        field: &'static str,
        /// What it holds.
        found: u8,
    },
    /// A field does not decode.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The name is not a handle.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The entry has another length than it should.
    #[error("has {found} octets instead of {expected}")]
    Len {
        /// Octets found.
        found: usize,
        /// Octets expected.
        expected: usize,
    },
    /// A change names as the one before it one that is not.
    #[error("change {number} names change {before} as the one before it")]
    NotEarlier {
        /// The change.
        number: u64,
        /// What it names.
        before: u64,
    },
    /// The checksum does not agree.
    #[error("the checksum does not agree")]
    Checksum,
}

//----------- TokenError -----------------------------------------------------

/// Why a page token was refused: always the caller's mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The text is not a token.
    #[error("the page token is not one of ours: start the listing again without a token")]
    Malformed,
    /// The token is of a version that is not understood.
    #[error("the page token has version {0}: start the listing again without a token")]
    Version(u8),
    /// The token was altered, or belongs to another listing or another store.
    #[error(
        "the page token was altered or belongs to another listing: start again without a token"
    )]
    Foreign,
}

//----------- WriteError -----------------------------------------------------

/// Why a batch was not committed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// An expectation does not hold. Nothing of the batch was done.
    #[error("change {change} of the batch: {handle} {expected}, but {found}")]
    Conflict {
        /// Position of the change in its batch, from 0.
        change: usize,
        /// The handle it is about.
        handle: Handle,
        /// What the change expected.
        expected: Expect,
        /// What is there.
        found: Found,
    },
    /// A change is not fit to be stored. Nothing of the batch was done.
    #[error("change {change} of the batch: {handle}: {reason}")]
    Unfit {
        /// Position of the change in its batch, from 0.
        change: usize,
        /// The handle it is about.
        handle: Handle,
        /// What is wrong with it.
        reason: Unfit,
    },
    /// The batch has more changes or octets than one batch may. Nothing of it was done.
    #[error("the batch has {found} {unit}, the limit is {limit}: split it")]
    TooLarge {
        /// How many it has.
        found: usize,
        /// How many it may have.
        limit: usize,
        /// Of what: changes or octets.
        unit: &'static str,
    },
    /// What is stored could not be read to judge the batch. Nothing of the batch was done.
    #[error("the batch could not be judged: {0}")]
    Read(#[from] StoreError),
    /// The disk or the engine failed while the batch was written. Whether it is there is known
    /// when the store has been reopened; if it is, then whole.
    #[error(
        "the write failed: {0}: the store takes no more writes; after a restart look whether the change is there"
    )]
    Failed(Cause),
    /// An earlier write failed. Nothing of the batch was done.
    #[error("the store takes no more writes since one failed ({0}): mend the cause and restart")]
    Stopped(Cause),
    /// This node takes no changes now. Nothing of the batch was done.
    #[error("this node takes no changes: {why}")]
    NotAdmitted {
        /// Why, and who does.
        why: Arc<str>,
    },
    /// The batch is durable here, but it was not confirmed in time that a mirror has it.
    #[error(
        "the change is made here, but it is not certain that it lasts: {why}: look later whether it is there"
    )]
    Unconfirmed {
        /// Why.
        why: Arc<str>,
    },
    /// The queue is full, and the caller did not want to wait. Nothing of the batch was done.
    #[error("the store is busy: the queue of writes is full: try again")]
    Busy,
    /// The index for the type was switched off and is still being deleted.
    #[error("the old index for type `{kind}` is still being deleted: try again later")]
    IndexDropping {
        /// The type.
        kind: String,
    },
    /// There are as many indexes as there may be.
    #[error("there are {limit} indexes, which is the limit: switch one off first")]
    TooManyIndexes {
        /// How many there may be.
        limit: usize,
    },
    /// The type cannot have an index.
    #[error("a type of an index has 1 to {limit} octets")]
    IndexKind {
        /// How many octets it may have.
        limit: usize,
    },
    /// The store is being closed. Nothing of the batch was done.
    #[error("the store is being closed")]
    Closed,
}

/// What was found instead of what a change expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// There is no record.
    Absent,
    /// There is a record of this version.
    Version(u64),
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Absent => f.write_str("it does not exist"),
            Self::Version(version) => write!(f, "it exists with version {version}"),
        }
    }
}

/// Why a change is not fit to be stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// The values are not a list in wire form.
    #[error("the values do not decode: {0}")]
    Values(#[from] DecodeError),
    /// The values have too many octets.
    #[error("the values have {found} octets, the limit is {limit}")]
    TooLarge {
        /// How many they have.
        found: usize,
        /// How many a record may have.
        limit: usize,
    },
    /// A prefix handle was wanted.
    #[error("is not a prefix handle: write it as `0.NA/88.118.5`")]
    NotAPrefix,
}

//----------- BackupError ----------------------------------------------------

/// Why a backup or a restore failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The target is taken.
    #[error("{dir} is not empty: give a directory that is empty or does not exist")]
    NotEmpty {
        /// The directory.
        dir: PathBuf,
    },
    /// The directory holds no finished backup.
    #[error("{dir} is not a backup: {why}")]
    NotABackup {
        /// The directory.
        dir: PathBuf,
        /// What is missing or strange.
        why: String,
    },
    /// A newer version of the software made this backup.
    #[error("{dir} has backup form {found}, this version knows {known}: use a newer version")]
    Newer {
        /// The directory.
        dir: PathBuf,
        /// The form found.
        found: u32,
        /// The newest form known.
        known: u32,
    },
    /// The backup does not hold what was written to it.
    #[error("the backup in {dir} is damaged at octet {at}: {what}: use another one")]
    Damaged {
        /// The directory.
        dir: PathBuf,
        /// Offset in the data file.
        at: u64,
        /// What is wrong.
        what: String,
    },
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] StoreError),
    /// The restored store could not be made.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A file could not be read or written.
    #[error("{path}: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        cause: Cause,
    },
    /// The progress callback asked to stop.
    #[error("stopped on request; what was written so far is not a backup and may be deleted")]
    Cancelled,
}
