//! What can go wrong, sorted by who is at fault.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use guantong_proto::message::{OpCode, ResponseCode};
use guantong_proto::{DecodeError, Handle, NameError, Value};

use crate::attempt::{Attempt, Outcome};
use crate::server::Transport;

//----------- Error ----------------------------------------------------------

/// Why there is no answer, or not the one that was hoped for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name is not a handle; the caller is at fault.
    #[error(transparent)]
    InvalidName(#[from] NameError),
    /// The question is longer than a message may be; the caller is at fault.
    #[error("the question has {len} octets, the limit is {limit}: ask for fewer values")]
    TooLong {
        /// Length of the message.
        len: usize,
        /// The longest allowed.
        limit: usize,
    },
    /// No server gave an answer; the network or the servers are at fault.
    #[error("no answer from any server{}", list(.attempts))]
    Unreachable {
        /// What was tried, in order.
        attempts: Vec<Attempt>,
    },
    /// Servers answered with octets that no sound server sends, and nobody else answered.
    #[error("the server does not keep to the protocol{}", list(.attempts))]
    Misbehaved {
        /// What was tried, in order; some end in [`Outcome::Misbehaved`].
        attempts: Vec<Attempt>,
    },
    /// The record does not exist, or does not any more (response code 100).
    #[error("{handle} {}", missing(.text))]
    NotFound {
        /// The handle asked for.
        handle: Handle,
        /// What the server says; may be empty.
        text: String,
    },
    /// The record exists, but has none of the values asked for, or none that everybody may read
    /// (response code 200).
    #[error("{handle} has no such values")]
    NoSuchValues {
        /// The handle asked for.
        handle: Handle,
    },
    /// Somebody else serves this name (response codes 302 and 303).
    #[error("{handle} is served elsewhere{}", referral(.target))]
    Referred {
        /// The handle asked for.
        handle: Handle,
        /// 302 or 303.
        code: ResponseCode,
        /// The handle whose values say who; may be empty.
        target: String,
        /// Those values, if the server sent them.
        values: Vec<Value>,
    },
    /// The server answered, and the answer is no.
    #[error("the server refused with code {code}{}", said(.text))]
    Refused {
        /// The response code.
        code: ResponseCode,
        /// What the server says about it; may be empty. Not safe to print: see
        /// [`printable`](crate::printable).
        text: String,
    },
    /// This machine is at fault: no randomness, no sockets.
    #[error("this machine cannot ask: {0}")]
    Local(String),
}

fn list(attempts: &[Attempt]) -> String {
    if attempts.is_empty() {
        return ": it has no address that can be used".to_owned();
    }
    attempts
        .iter()
        .map(|attempt| format!("\n{attempt}"))
        .collect()
}

fn referral(target: &str) -> String {
    match target {
        "" => String::new(),
        target => format!(": see {}", printable(target)),
    }
}

/// How a record is missing. Nodes of our kind begin with a word where it was withdrawn.
fn missing(text: &str) -> String {
    match text.strip_prefix("withdrawn") {
        Some(why) => format!("is withdrawn{}", printable(why)),
        None => format!("does not exist{}", said(text)),
    }
}

fn said(text: &str) -> String {
    match text {
        "" => String::new(),
        text => format!(": {}", printable(text)),
    }
}

impl Error {
    /// The response code, if a server gave one.
    pub fn code(&self) -> Option<ResponseCode> {
        match self {
            Self::NotFound { .. } => Some(ResponseCode::HANDLE_NOT_FOUND),
            Self::NoSuchValues { .. } => Some(ResponseCode::VALUES_NOT_FOUND),
            Self::Referred { code, .. } | Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// The error of one sound answer whose content is not.
    pub(crate) fn misbehaved(transport: Transport, peer: SocketAddr, outcome: Outcome) -> Self {
        let attempts = vec![Attempt {
            transport,
            authority: peer.to_string(),
            address: Some(peer),
            elapsed: Duration::ZERO,
            sent: 0,
            tries: 1,
            received: 0,
            ignored: 0,
            outcome,
        }];
        Self::Misbehaved { attempts }
    }

    /// The error of a question to which nobody gave a sound answer.
    pub(crate) fn of_attempts(attempts: &[Attempt]) -> Self {
        if let [
            Attempt {
                outcome: Outcome::Declined { code, text },
                ..
            },
        ] = attempts
        {
            // There was no other way to ask, so this is all there is.
            let (code, text) = (*code, text.clone());
            return Self::Refused { code, text };
        }
        let attempts = attempts.to_vec();
        let is_fault = |attempt: &Attempt| matches!(attempt.outcome, Outcome::Misbehaved(_));
        match attempts.iter().any(is_fault) {
            true => Self::Misbehaved { attempts },
            false => Self::Unreachable { attempts },
        }
    }
}

/// Text of a peer in a form that is safe on a terminal: control characters are escaped.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if is_unsafe(c) => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// Control characters, and those that reorder or hide the text around them.
fn is_unsafe(c: char) -> bool {
    let reorders = matches!(c, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2066}'..='\u{2069}');
    let hides = matches!(c, '\u{200b}' | '\u{feff}');
    c.is_control() || reorders || hides
}

//----------- Fault ----------------------------------------------------------

/// What is wrong with octets that claim to be an answer; their sender is at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// They do not decode.
    Malformed(DecodeError),
    /// They answer a request that nobody made.
    ForeignId(i32),
    /// They are a request themselves.
    NotAnAnswer,
    /// They answer another operation.
    OtherOperation(OpCode),
    /// They answer a question about another handle.
    OtherHandle(String),
    /// They do not carry the digest of our request, so anybody may have sent them.
    NoDigest,
    /// They carry the digest of another request.
    WrongDigest,
    /// They were out of date before they arrived: seconds since 1970. Or a clock is wrong.
    Expired(u32),
    /// The answer goes on beyond this number of messages or octets.
    Endless {
        /// The limit that was reached.
        limit: usize,
    },
    /// The HTTP layer around the message is wrong.
    Http(String),
    /// The TLS layer is wrong: above all a certificate that is not the one expected.
    Tls(String),
}

impl From<DecodeError> for Fault {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => write!(f, "its octets are malformed: {error}"),
            Self::ForeignId(id) => write!(f, "it answers request {id}, which is not ours"),
            Self::NotAnAnswer => f.write_str("it is a request, not an answer"),
            Self::OtherOperation(op) => write!(f, "it answers another operation, {op}"),
            Self::OtherHandle(handle) => {
                write!(f, "it answers for another handle, {}", printable(handle))
            }
            Self::NoDigest => f.write_str("it lacks the digest of our request"),
            Self::WrongDigest => f.write_str("it has the digest of another request"),
            Self::Expired(at) => write!(
                f,
                "it expired before it arrived (at {at} s since 1970): one of the clocks is wrong"
            ),
            Self::Endless { limit } => write!(f, "it goes on beyond the limit of {limit}"),
            Self::Http(text) => write!(f, "HTTP: {}", printable(text)),
            Self::Tls(text) => write!(f, "TLS: {}", printable(text)),
        }
    }
}

impl std::error::Error for Fault {}
