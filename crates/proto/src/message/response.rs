//! What responses say: the body of each outcome.

use super::code::{OpCode, OpFlags, ResponseCode};
use super::digest::{Digest, HashId};
use super::{Message, Version};
use crate::error::DecodeError;
use crate::limits::{ARRAY_LEN_MAX, NONCE_LEN_MAX};
use crate::value::Values;
use crate::wire::{Reader, Writer};

//----------- Response -------------------------------------------------------

/// The body of a response: an optional digest of the request, then what the code says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response<'a> {
    /// Digest of the request that this answers.
    pub digest: Option<Digest<'a>>,
    /// The outcome.
    pub body: Body<'a>,
}

/// The outcome of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Body<'a> {
    /// Success of an operation that returns nothing, or an error of a peer older than 2.1.
    Empty,
    /// An error, with a text that may be empty.
    Error {
        /// What the server says about it; UTF-8 by custom.
        text: &'a [u8],
        /// Indexes of the values concerned; written by no server known.
        rest: &'a [u8],
    },
    /// The values of a record.
    Record {
        /// The handle as it was asked.
        handle: &'a [u8],
        /// The values selected.
        values: Values<'a>,
    },
    /// Somebody else serves this name (302, 303).
    Referral {
        /// Handle whose values say who; may be empty.
        handle: &'a [u8],
        /// Those values, if the server knows them.
        values: Option<Values<'a>>,
    },
    /// Prove who you are (402).
    Challenge {
        /// What to sign together with the request digest.
        nonce: &'a [u8],
    },
    /// The site record of the server, in wire form.
    SiteInfo(&'a [u8]),
    /// A record was created; the name is absent from some servers.
    Created(Option<&'a [u8]>),
    /// Handles or prefix handles; more messages follow if CONT is set.
    Handles(Handles<'a>),
    /// Whether the answer to a challenge was right; bit 0.
    Verified(u8),
    /// A session begins; its id is in the envelope.
    Session {
        /// The key exchange mode.
        mode: i16,
        /// The server's part of the exchange.
        data: &'a [u8],
        /// Octets behind it: the Java library appends two zero octets.
        padding: &'a [u8],
    },
    /// Number of the next transaction.
    NextTxn(i64),
    /// A transaction stream follows; bit 0: keep the connection.
    TxnStream(u8),
    /// A body that this implementation does not know.
    Unknown(&'a [u8]),
}

/// What of a response's form is not in its body: it decides how the body is laid out.
#[derive(Clone, Copy, Debug)]
pub struct ResponseLayout {
    /// The operation.
    pub op: OpCode,
    /// The outcome.
    pub code: ResponseCode,
    /// The flags of the response.
    pub flags: OpFlags,
    /// The version that the response is written in.
    pub version: Version,
}

impl<'a> Response<'a> {
    /// Decodes the response in a message.
    pub fn of(message: &Message<'a>) -> Result<Self, DecodeError> {
        let layout = ResponseLayout {
            op: message.header.op,
            code: message.header.code,
            flags: message.header.flags,
            version: message.envelope.version,
        };
        Self::decode(layout, message.body)
    }

    /// Decodes a body of the given layout.
    pub fn decode(layout: ResponseLayout, body: &'a [u8]) -> Result<Self, DecodeError> {
        let context = |e: DecodeError| e.within(format_args!("response to {}", layout.op));
        let plain = Self::decode_at(layout, &mut Reader::new(body), layout.has_digest());
        if plain.is_err() && !layout.version.at_least(2, 1) && body.first() == Some(&0) {
            // Before 2.1 a digest stands in front although no flag says so.
            if let Ok(response) = Self::decode_at(layout, &mut Reader::new(body), true) {
                return Ok(response);
            }
        }
        if plain.is_err() && layout.code == ResponseCode::AUTHENTICATION_NEEDED {
            // Some peers send the code with a text where a challenge belongs.
            let mut r = Reader::new(body);
            if let (Ok(text), true) = (r.bytes("error text"), r.is_empty()) {
                let body = Body::Error { text, rest: &[] };
                return Ok(Self { digest: None, body });
            }
        }
        plain.map_err(context)
    }

    fn decode_at(
        layout: ResponseLayout,
        r: &mut Reader<'a>,
        digest_in_front: bool,
    ) -> Result<Self, DecodeError> {
        if layout.is_old_challenge() {
            let nonce = r.bytes_max("nonce", NONCE_LEN_MAX)?;
            let octets = r.bytes_max("request digest", NONCE_LEN_MAX)?;
            let digest = Some(Digest {
                hash: HashId::Md5Old,
                octets,
            });
            return Ok(Self {
                digest,
                body: Body::Challenge { nonce },
            });
        }
        let digest = if digest_in_front {
            Some(Digest::decode(r)?)
        } else {
            None
        };
        Ok(Self {
            digest,
            body: Body::decode(layout, r)?,
        })
    }

    /// Encodes the body for a layout whose flags agree with `digest`.
    pub fn encode(&self, layout: ResponseLayout, w: &mut Writer<'_>) {
        if let (true, Some(digest), Body::Challenge { nonce }) =
            (layout.is_old_challenge(), &self.digest, &self.body)
        {
            w.bytes(nonce);
            w.bytes(digest.octets);
            return;
        }
        if let Some(digest) = &self.digest {
            digest.encode(w);
        }
        self.body.encode(w);
    }
}

impl ResponseLayout {
    /// A challenge carries a digest regardless of the flag.
    fn has_digest(&self) -> bool {
        self.version.at_least(2, 1)
            && (self.flags.has(OpFlags::RETURN_DIGEST)
                || self.code == ResponseCode::AUTHENTICATION_NEEDED)
    }

    fn is_old_challenge(&self) -> bool {
        self.code == ResponseCode::AUTHENTICATION_NEEDED && !self.version.at_least(2, 1)
    }
}

impl<'a> Body<'a> {
    fn decode(layout: ResponseLayout, r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        match layout.code {
            ResponseCode::SUCCESS => Self::decode_success(layout.op, r),
            ResponseCode::AUTHENTICATION_NEEDED => Ok(Self::Challenge {
                nonce: r.bytes_max("nonce", NONCE_LEN_MAX)?,
            }),
            code if code.is_referral() => {
                let handle = r.bytes("referral handle")?;
                let values = if r.is_empty() {
                    None
                } else {
                    Some(Values::decode(r)?)
                };
                Ok(Self::Referral { handle, values })
            }
            _ if r.is_empty() => Ok(Self::Empty),
            _ => Ok(Self::Error {
                text: r.bytes("error text")?,
                rest: r.rest(),
            }),
        }
    }

    fn decode_success(op: OpCode, r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(match op {
            OpCode::RESOLVE => Self::Record {
                handle: r.bytes("handle")?,
                values: Values::decode(r)?,
            },
            OpCode::GET_SITE_INFO => Self::SiteInfo(r.rest()),
            OpCode::CREATE if r.is_empty() => Self::Created(None),
            OpCode::CREATE => Self::Created(Some(r.bytes("handle")?)),
            OpCode::LIST_HANDLES | OpCode::LIST_DERIVED | OpCode::LIST_HOMED => {
                Self::Handles(Handles::decode(r)?)
            }
            OpCode::VERIFY_ANSWER => Self::Verified(r.u8("valid")?),
            OpCode::SESSION_SETUP => Self::Session {
                mode: r.i16("key exchange mode")?,
                data: r.bytes("key exchange data")?,
                padding: r.rest(),
            },
            OpCode::GET_NEXT_TXN => Self::NextTxn(r.i64("next transaction")?),
            OpCode::RETRIEVE_TXN if !r.is_empty() => Self::TxnStream(r.u8("keep connection")?),
            _ if r.is_empty() => Self::Empty,
            _ => Self::Unknown(r.rest()),
        })
    }

    fn encode(&self, w: &mut Writer<'_>) {
        match self {
            Self::Empty | Self::Created(None) => {}
            Self::Error { text, rest } => {
                w.bytes(text);
                w.raw(rest);
            }
            Self::Record { handle, values } => {
                w.bytes(handle);
                w.raw(values.wire());
            }
            Self::Referral { handle, values } => {
                w.bytes(handle);
                if let Some(values) = values {
                    w.raw(values.wire());
                }
            }
            Self::Challenge { nonce } => w.bytes(nonce),
            Self::SiteInfo(octets) | Self::Unknown(octets) => w.raw(octets),
            Self::Created(Some(handle)) => w.bytes(handle),
            Self::Handles(handles) => w.raw(handles.wire),
            Self::Verified(octet) | Self::TxnStream(octet) => w.u8(*octet),
            Self::Session {
                mode,
                data,
                padding,
            } => {
                w.i16(*mode);
                w.bytes(data);
                w.raw(padding);
            }
            Self::NextTxn(number) => w.i64(*number),
        }
    }
}

//----------- Handles --------------------------------------------------------

/// A list of handles in wire form.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Handles<'a> {
    wire: &'a [u8],
}

impl<'a> Handles<'a> {
    /// Decodes the next list of `r`.
    pub fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let start = r.position();
        for _ in 0..r.count("handle count", 4, ARRAY_LEN_MAX)? {
            r.bytes("handle")?;
        }
        Ok(Self {
            wire: r.since(start),
        })
    }

    /// The handles in their order, as octets.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut r = Reader::new(self.wire.get(4..).unwrap_or_default());
        // `decode` has walked these octets, so the iterator does not end early.
        std::iter::from_fn(move || r.bytes("handle").ok())
    }
}

impl std::fmt::Debug for Handles<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.iter().map(String::from_utf8_lossy))
            .finish()
    }
}
