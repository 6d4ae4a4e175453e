//! What a question leads to.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use guantong_proto::Handle;
use guantong_proto::data::site::Protocol;
use guantong_proto::message::ResponseCode;

use super::cache::Entry;
use super::limits::{ALIASES_MAX, DEPTH_MAX, EXCHANGES_MAX, REFERRALS_MAX};
use super::trace::{HopResult, Trace};
use crate::trust::Refusal;

//----------- Answer ---------------------------------------------------------

/// The answer to a question.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What was found, or why nothing could be.
    pub outcome: Outcome,
    /// Whether it comes from a server, from the cache, or from an expired entry.
    pub freshness: Freshness,
    /// Seconds since a server said so.
    pub age_secs: u32,
    /// The handles that aliases led to, in their order; the last one is where the values are.
    pub aliases: Vec<Handle>,
    /// Data of the HS_NAMESPACE value in the prefix record, as far as it is known.
    pub namespace: Option<Box<[u8]>>,
    /// How it was found, if that was wanted.
    pub trace: Option<Trace>,
}

/// What was found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// Values. The entry can hold more than were selected, because a whole record answers
    /// selective questions too: select with [`Entry::select`]. At least one is selected.
    Record(Arc<Entry>),
    /// The record exists and has none of the values (200).
    ValuesNotFound,
    /// The record, or its prefix, does not exist (100).
    NotFound,
    /// It could not be found out.
    Failed(Arc<ResolveError>),
}

/// How fresh an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// A server was asked for it.
    Fresh,
    /// From the cache, within its time.
    Cached,
    /// From the cache, past its time, because no server could be reached in time.
    Stale,
}

//----------- ResolveError ---------------------------------------------------

/// Why a question could not be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// Too many questions are under way on this node.
    #[error("this node has too many questions under way: ask again later")]
    TooBusy,
    /// The question has passed through too many servers.
    #[error(
        "the question has passed through {0} servers: recursive nodes point at each other, mend \
         their roots"
    )]
    RecursionTooDeep(u8),
    /// A prefix record names nobody who serves the prefix.
    #[error(
        "{prefix} exists but names no usable site (HS_SITE or HS_SERV): its owner must add one"
    )]
    NoSite {
        /// The prefix handle or service handle.
        prefix: Handle,
    },
    /// No server gave a sound reply.
    #[error("no server could be reached for {handle}: {}", list(tried))]
    Unreachable {
        /// What they were asked for: the handle itself, or one on the way to it.
        handle: Handle,
        /// Who was asked, and what came of it.
        tried: Vec<Tried>,
    },
    /// The time for the question is over.
    #[error("{handle} was not resolved within {after_ms} ms: {}", list(tried))]
    TimedOut {
        /// What was being asked for.
        handle: Handle,
        /// The time it was given.
        after_ms: u64,
        /// Who had been asked by then.
        tried: Vec<Tried>,
    },
    /// A server refused, with a code that others would give as well.
    #[error("the server {server} refuses {handle}: {code}{}", text_after(text))]
    Refused {
        /// What it was asked for.
        handle: Handle,
        /// Where it is.
        server: SocketAddr,
        /// Its code.
        code: ResponseCode,
        /// Its text.
        text: Box<str>,
    },
    /// The servers that the prefix is delegated to say that it is not theirs.
    #[error(
        "the servers that {handle} is delegated to are not responsible for it (301): their \
         operator must home the prefix, or its parent must delegate it elsewhere: {}",
        list(tried)
    )]
    NotResponsible {
        /// What they were asked for.
        handle: Handle,
        /// Who was asked.
        tried: Vec<Tried>,
    },
    /// No reply had a right signature.
    #[error(
        "no reply for {handle} has a signature that fits its site record: {}",
        list(tried)
    )]
    Unverified {
        /// What they were asked for.
        handle: Handle,
        /// Who was asked.
        tried: Vec<Tried>,
    },
    /// The record is there, but does not prove to be what its owner has signed.
    #[error("{handle} is not given on: {why}")]
    Distrusted {
        /// The record.
        handle: Handle,
        /// What is wrong with it.
        why: Refusal,
    },
    /// Referrals do not end.
    #[error("{handle} was referred on more than {REFERRALS_MAX} times")]
    TooManyReferrals {
        /// What was asked for.
        handle: Handle,
    },
    /// Referrals or service handles lead back to where they came from.
    #[error("{handle} is delegated in a circle: the owners of the prefixes must mend it")]
    Loop {
        /// Where the circle was noticed.
        handle: Handle,
    },
    /// Prefix records and service handles need each other too deeply.
    #[error("{handle} needs more than {DEPTH_MAX} other records to be found")]
    TooDeep {
        /// Where it was noticed.
        handle: Handle,
    },
    /// Too many messages would be needed.
    #[error("{handle} needs more than {EXCHANGES_MAX} messages to be found")]
    TooManyExchanges {
        /// Where it was noticed.
        handle: Handle,
    },
    /// Aliases do not end.
    #[error("{handle} leads over more than {ALIASES_MAX} aliases")]
    TooManyAliases {
        /// Where they begin.
        handle: Handle,
    },
    /// Aliases lead back to where they came from.
    #[error("{handle} is an alias of itself, over {at}: the owners of the records must mend it")]
    AliasLoop {
        /// Where they begin.
        handle: Handle,
        /// The handle that came twice.
        at: Handle,
    },
    /// An HS_ALIAS value is not a handle.
    #[error("the HS_ALIAS value of {handle} is not a handle: its owner must mend it")]
    BadAlias {
        /// Where the value is.
        handle: Handle,
    },
}

impl ResolveError {
    /// The code with which a server answers its client.
    pub fn code(&self) -> ResponseCode {
        match self {
            Self::TooBusy => ResponseCode::SERVER_TOO_BUSY,
            Self::RecursionTooDeep(_) => ResponseCode::RECURSION_COUNT_TOO_HIGH,
            Self::Refused { code, .. } => *code,
            _ => ResponseCode::ERROR,
        }
    }

    /// Whether time was what lacked, rather than a right answer.
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::TimedOut { .. } => true,
            Self::Unreachable { tried, .. } => {
                !tried.is_empty() && tried.iter().all(|t| t.result == HopResult::Silent)
            }
            _ => false,
        }
    }
}

/// A server that was asked in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Where it was asked.
    pub address: SocketAddr,
    /// How it was asked.
    pub protocol: Protocol,
    /// What came of it.
    pub result: HopResult,
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = self.protocol.name().unwrap_or("?").to_ascii_lowercase();
        write!(f, "{protocol}://{} ", self.address)?;
        match &self.result {
            HopResult::Code(code, text) => write!(f, "answered {code}{}", text_after(text)),
            HopResult::Silent => f.write_str("did not answer"),
            HopResult::Incomplete => f.write_str("answered in part"),
            HopResult::Stream(fault) => fault.fmt(f),
            HopResult::Unsound(mismatch) => write!(f, "sent an unsound reply: {mismatch}"),
            HopResult::Abandoned => f.write_str("had not answered yet"),
        }
    }
}

fn list(tried: &[Tried]) -> String {
    if tried.is_empty() {
        return "nobody was left to ask".to_owned();
    }
    let all: Vec<String> = tried.iter().map(ToString::to_string).collect();
    all.join("; ")
}

fn text_after(text: &str) -> String {
    match text.is_empty() {
        true => String::new(),
        false => format!(", {text:?}"),
    }
}
