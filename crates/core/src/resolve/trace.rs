//! How an answer was found: hop by hop, for people and for `doctor`.

use std::fmt;
use std::net::SocketAddr;

use guantong_proto::Handle;
use guantong_proto::data::site::Protocol;
use guantong_proto::message::ResponseCode;

//----------- Trace ----------------------------------------------------------

/// The hops of a resolution in the order in which they ended, and how long it took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The hops, those of prefix records and service handles included.
    pub hops: Vec<Hop>,
    /// Hops beyond [`HOPS_MAX`](super::limits::HOPS_MAX) that were left out.
    pub left_out: u32,
    /// Milliseconds from the question to the answer.
    pub elapsed_ms: u64,
}

/// One question at one server, or at the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The handle that was asked for.
    pub handle: Handle,
    /// The types that were asked for; empty for all.
    pub types: Vec<Box<[u8]>>,
    /// Whom it was asked of; `None` if the cache knew.
    pub server: Option<HopServer>,
    /// Why this server, or the cache, was asked.
    pub why: Why,
    /// Milliseconds from the question to this hop's first transmission.
    pub started_ms: u64,
    /// Milliseconds from the first transmission to the result.
    pub elapsed_ms: u64,
    /// Times that the request was sent again.
    pub retries: u32,
    /// What came of it.
    pub result: HopResult,
    /// Serial of the site record in the reply.
    pub serial: Option<u16>,
    /// Smallest TTL of the values, in seconds.
    pub ttl_secs: Option<u32>,
    /// Whether the server belongs to a primary site, as the reply says.
    pub authoritative: bool,
    /// Whether the signature was checked and is right.
    pub verified: bool,
    /// Octets of the reply packet.
    pub reply_len: usize,
    /// Values in the reply.
    pub values: usize,
    /// Seconds by which the server's clock seems behind ours; above 0 only if its reply had
    /// expired.
    pub behind_secs: u32,
    /// Replies that were dropped because they did not match the request.
    pub dropped: u32,
    /// Why the last of them was dropped.
    pub dropped_because: Option<Mismatch>,
}

/// The server of a hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HopServer {
    /// The attribute `desc` of its site, if any.
    pub site: Option<Box<str>>,
    /// Serial of the site record that led there.
    pub site_serial: u16,
    /// Number of the server inside the site.
    pub id: i32,
    /// Servers in the site.
    pub servers: usize,
    /// Whether the site record says that the site is primary.
    pub primary: bool,
    /// Where it was asked.
    pub address: SocketAddr,
    /// How it was asked.
    pub protocol: Protocol,
}

/// Why a hop was made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// The name is global, so the root sites were asked.
    Root,
    /// The prefix record names the site.
    PrefixRecord(Handle),
    /// A service handle names the site.
    Service(Handle),
    /// A reply 302 or 303 sent us there.
    Referral(ResponseCode),
    /// An earlier referral for a sibling was remembered.
    Hint(Handle),
    /// The cache had it.
    Cached,
    /// The cache had it, past its time.
    Stale,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("root"),
            Self::PrefixRecord(handle) => write!(f, "prefix record {handle}"),
            Self::Service(handle) => write!(f, "service handle {handle}"),
            Self::Referral(code) => write!(f, "referral {}", code.0),
            Self::Hint(handle) => write!(f, "earlier referral below {handle}"),
            Self::Cached => f.write_str("cached"),
            Self::Stale => f.write_str("cached, past its time"),
        }
    }
}

/// What came of a hop.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HopResult {
    /// A sound reply of this code, with the text of an error.
    Code(ResponseCode, Box<str>),
    /// No reply in time.
    Silent,
    /// Part of a reply came by UDP, but not all of it.
    Incomplete,
    /// The stream failed.
    Stream(super::StreamFault),
    /// A reply came by stream and does not match the request.
    Unsound(Mismatch),
    /// Another server was faster, or nobody wanted the answer any more.
    Abandoned,
}

/// Why a reply is not the answer to a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// No request of that id is out at that address and socket.
    #[error("no request with its id is out at that address")]
    Unknown,
    /// It does not decode.
    #[error("it does not decode: {0}")]
    Malformed(String),
    /// It is compressed or encrypted.
    #[error("it is compressed or encrypted")]
    Sealed,
    /// It answers another operation.
    #[error("it answers another operation")]
    Operation,
    /// It has no digest of the request.
    #[error("it has no digest of the request")]
    NoDigest,
    /// Its digest is that of another request.
    #[error("its digest is that of another request")]
    Digest,
    /// It is about another handle.
    #[error("it is about another handle")]
    Handle,
    /// It has expired.
    #[error("it expired {0} seconds ago")]
    Expired(u32),
    /// A signature was wanted, and it has none.
    #[error("it is not signed")]
    Unsigned,
    /// The site record has no key to check it with.
    #[error("the site record has no key to check its signature with")]
    NoKey,
    /// Its signature is wrong.
    #[error("its signature does not fit the key in the site record: {0}")]
    Signature(String),
}
