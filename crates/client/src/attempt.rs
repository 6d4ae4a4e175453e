//! What was tried: a trace that people can read and programs can inspect.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use guantong_proto::message::{Header, ResponseCode, Version};

use crate::error::{Fault, printable};
use crate::server::Transport;

//----------- Trace ----------------------------------------------------------

/// Everything that was tried for one question, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The attempts.
    pub attempts: Vec<Attempt>,
}

//----------- Attempt --------------------------------------------------------

/// One attempt: one transport to one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// How messages were carried.
    pub transport: Transport,
    /// Where to: `host:port` as it was given.
    pub authority: String,
    /// The address that the host name means; `None` if it could not be looked up.
    pub address: Option<SocketAddr>,
    /// From the first octet sent to the outcome.
    pub elapsed: Duration,
    /// Octets of the request packet.
    pub sent: usize,
    /// How often the request was sent; more than once by UDP only.
    pub tries: u32,
    /// Octets of the answer packet, once it was whole.
    pub received: usize,
    /// Datagrams that were not the answer: foreign ids, wrong digests, garbage.
    pub ignored: u32,
    /// How it ended.
    pub outcome: Outcome,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.transport, self.authority)?;
        match (&self.outcome, self.tries) {
            (Outcome::NoAnswer(_), 2..) => {
                write!(f, "no answer after {} tries", self.tries)?;
            }
            (outcome, _) => write!(f, "{outcome}")?,
        }
        if self.ignored > 0 {
            write!(f, ", {} datagrams ignored", self.ignored)?;
        }
        if let Outcome::NoAnswer(Some(fault)) = &self.outcome {
            write!(f, ", the last because {fault}")?;
        }
        write!(f, " ({} ms)", self.elapsed.as_millis())
    }
}

//----------- Outcome --------------------------------------------------------

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// An answer arrived and is sound.
    Answered(Answered),
    /// Nothing usable arrived in time. If datagrams were ignored: why the last one was.
    NoAnswer(Option<Fault>),
    /// The server answered by UDP that it will not answer so: ask by a stream. Anybody may have
    /// sent this, so it is not taken for the answer.
    Declined {
        /// The response code.
        code: ResponseCode,
        /// What the server says about it; may be empty.
        text: String,
    },
    /// Only part of an answer arrived in time, or less than was announced.
    Incomplete,
    /// The peer closed the connection in front of the answer.
    Closed,
    /// The operating system reported an error.
    Io(String),
    /// The peer answered with something that cannot be.
    Misbehaved(Fault),
    /// The transport cannot be used; the text says what is missing.
    Unusable(String),
}

/// What the header of an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The version that the answer is written in.
    pub version: Version,
    /// Its header: response code, flags, site serial, expiration.
    pub header: Header,
    /// Whether it carries a signature or authentication code.
    pub signed: bool,
}

impl Answered {
    /// The response code.
    pub fn code(&self) -> ResponseCode {
        self.header.code
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(answered) => write!(f, "answer {}", answered.code()),
            Self::NoAnswer(_) => f.write_str("no answer"),
            Self::Declined { code, text } if text.is_empty() => write!(f, "declined, code {code}"),
            Self::Declined { code, text } => {
                write!(f, "declined, code {code}: {}", printable(text))
            }
            Self::Incomplete => f.write_str("the answer did not arrive whole"),
            Self::Closed => f.write_str("the server closed the connection without an answer"),
            Self::Io(text) | Self::Unusable(text) => f.write_str(text),
            Self::Misbehaved(fault) => write!(f, "no sound answer: {fault}"),
        }
    }
}
