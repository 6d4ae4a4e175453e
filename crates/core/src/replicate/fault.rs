//! Why a mirror cannot go on with a stream, and what it does about it.

use guantong_proto::crypto::CryptoError;
use guantong_proto::{DecodeError, NameError};

use super::log::LogId;

//----------- Reaction -------------------------------------------------------

/// What a mirror does about a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// It waits a while and goes on from its position.
    Retry,
    /// It asks for everything.
    Redump,
}

//----------- Fault ----------------------------------------------------------

/// Why a mirror cannot go on with what its primary sends. Nothing of the faulty part was taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A number is missing, or numbers go back.
    #[error(
        "change {found} came where change {expected} was due: the stream leaves out changes or mixes them up"
    )]
    Order {
        /// The number that was due.
        expected: u64,
        /// The number that came.
        found: i64,
    },
    /// A dump that is to be in the order of the keys is not.
    #[error("the dump is out of order at `{handle}`")]
    DumpOrder {
        /// The record.
        handle: String,
    },
    /// The stream ends before the change that the answer promised.
    #[error("the stream ends behind change {found}, change {promised} was promised")]
    Short {
        /// The last change that came.
        found: u64,
        /// The last change that was promised.
        promised: u64,
    },
    /// A block came where it has no place.
    #[error("{block} came where it has no place")]
    Block {
        /// What came.
        block: &'static str,
    },
    /// The connection is not protected, and the blocks are not signed.
    #[error(
        "the stream is neither encrypted nor signed, so anybody on the way could change it: let the primary offer TLS"
    )]
    Unprotected,
    /// A signature is wrong or cannot be checked.
    #[error(
        "a block is not signed by the key that is known of the primary ({0}): if its key has changed, set `mirror.key` anew"
    )]
    Signature(#[from] CryptoError),
    /// A name is none.
    #[error("the stream has a name that is none: {0}")]
    Name(#[from] NameError),
    /// Octets do not decode.
    #[error("{0}")]
    Decode(#[from] DecodeError),
    /// The primary has been followed by another one.
    #[error(
        "this node knows of epoch {known}, the other one is at {found}: it is not the primary any more"
    )]
    Outdated {
        /// The epoch of the other node.
        found: u64,
        /// The epoch that is known here.
        known: u64,
    },
    /// The stores disagree about letters.
    #[error(
        "`node.case_sensitive` is not what the primary has: make the mirror's store anew with the same setting"
    )]
    CaseRule,
    /// The primary is this node itself.
    #[error("`mirror.of` leads to this node itself")]
    Itself,
    /// The stream is of another log than the answer to the last request said.
    #[error("the answers are of two logs, {0} and {1}")]
    OtherLog(LogId, LogId),
    /// The primary homes more prefixes than a mirror keeps.
    #[error("the primary homes more prefixes than a mirror keeps in memory")]
    TooManyPrefixes,
    /// The primary has more queues than a mirror remembers.
    #[error("the primary has more queues than a mirror keeps positions of")]
    TooManyQueues,
}

impl Fault {
    /// What to do about it.
    pub fn reaction(&self) -> Reaction {
        match self {
            Self::OtherLog(..) => Reaction::Redump,
            _ => Reaction::Retry,
        }
    }
}
