//! What a server said about a record or about itself.

use std::net::SocketAddr;

use guantong_proto::crypto::{Credential, CryptoError};
use guantong_proto::data::PublicKey;
use guantong_proto::message::{Body, Header, Message, OpFlags, Response, ResponseCode, Version};
use guantong_proto::{Handle, Value, Values, is_of_type};

use crate::attempt::Outcome;
use crate::error::{Error, Fault};
use crate::limits::ERROR_TEXT_CHARS_MAX;
use crate::query::Query;
use crate::server::Transport;

//----------- Answer ---------------------------------------------------------

/// The values of a record, as a server sent them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    handle: Handle,
    values: Vec<Value>,
    packet: Vec<u8>,
    version: Version,
    header: Header,
    transport: Transport,
    peer: SocketAddr,
}

impl Answer {
    /// Makes an answer of packets that have been checked against the request for `query`.
    pub(crate) fn of(
        query: &Query,
        packets: Vec<Vec<u8>>,
        transport: Transport,
        peer: SocketAddr,
    ) -> Result<Self, Error> {
        let misbehaved =
            |fault: Fault| Error::misbehaved(transport, peer, Outcome::Misbehaved(fault));
        let packet = packets.into_iter().next().unwrap_or_default();
        let message = Message::decode(&packet).map_err(|e| misbehaved(e.into()))?;
        let response = Response::of(&message).map_err(|e| misbehaved(e.into()))?;
        let handle = query.handle().clone();
        match (message.header.code, response.body) {
            (ResponseCode::SUCCESS, Body::Record { values, .. }) => {
                let values = values.to_vec().map_err(|e| misbehaved(e.into()))?;
                let (version, header) = (message.envelope.version, message.header);
                Ok(Self {
                    handle,
                    values,
                    packet,
                    version,
                    header,
                    transport,
                    peer,
                })
            }
            (ResponseCode::HANDLE_NOT_FOUND, body) => Err(Error::NotFound {
                handle,
                text: error_text(&body),
            }),
            (ResponseCode::VALUES_NOT_FOUND, _) => Err(Error::NoSuchValues { handle }),
            (
                code,
                Body::Referral {
                    handle: target,
                    values,
                },
            ) => Err(Error::Referred {
                handle,
                code,
                target: String::from_utf8_lossy(target).into_owned(),
                values: values
                    .unwrap_or(Values::EMPTY)
                    .to_vec()
                    .map_err(|e| misbehaved(e.into()))?,
            }),
            (code, body) => Err(refused(code, &body)),
        }
    }

    /// The handle that was asked for, in the spelling of the question.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The values, in the server's order.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The value with an index.
    pub fn value(&self, index: i32) -> Option<&Value> {
        self.values.iter().find(|value| value.index == index)
    }

    /// The values of a type and its subtypes; ASCII case does not matter.
    pub fn values_of<'a>(&'a self, kind: &str) -> impl Iterator<Item = &'a Value> {
        let fits = |value: &&Value| is_of_type(value.kind.as_bytes(), kind.as_bytes());
        self.values.iter().filter(fits)
    }

    /// The data of the first value of a type, if it is text.
    pub fn text(&self, kind: &str) -> Option<&str> {
        self.values_of(kind).next()?.text()
    }

    /// Whether the server belongs to a primary site.
    pub fn is_authoritative(&self) -> bool {
        self.header.flags.has(OpFlags::AUTHORITATIVE)
    }

    /// The header of the answer: code, flags, site serial, expiration.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The version that the answer is written in.
    pub fn version(&self) -> Version {
        self.version
    }

    /// How the answer came.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Who sent it.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The whole packet, envelope included.
    pub fn packet(&self) -> &[u8] {
        &self.packet
    }

    /// Whether the answer carries a signature or authentication code.
    pub fn is_signed(&self) -> bool {
        Message::decode(&self.packet)
            .is_ok_and(|message| message.credential.is_some_and(|octets| !octets.is_empty()))
    }

    /// Checks the signature of a certified answer with the server's public key, which its site
    /// record holds. An answer without a signature fails.
    pub fn verify(&self, key: &PublicKey) -> Result<(), CryptoError> {
        let message = Message::decode(&self.packet)?;
        match Credential::of(&message)? {
            Some(credential) => credential.verify_signature(&message, key),
            None => Err(CryptoError::Mismatch { what: "signature" }),
        }
    }
}

/// The error of an answer whose code is neither success nor a referral.
pub(crate) fn refused(code: ResponseCode, body: &Body<'_>) -> Error {
    let text = error_text(body);
    Error::Refused { code, text }
}

/// What the server says about an error, bounded; may be empty.
pub(crate) fn error_text(body: &Body<'_>) -> String {
    let text = match body {
        Body::Error { text, .. } => String::from_utf8_lossy(text),
        _ => "".into(),
    };
    text.chars().take(ERROR_TEXT_CHARS_MAX).collect()
}
