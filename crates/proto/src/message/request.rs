//! What requests say: the body of each operation.
//!
//! Handles in requests are raw octets here. Whether they are names is judged where the request is
//! answered, because an empty or overlong name has its own response code there.

use super::code::OpCode;
use super::{Envelope, Header, Message, OpFlags, Version};
use crate::error::{DecodeError, Reason};
use crate::limits::NONCE_LEN_MAX;
use crate::value::{Value, Values};
use crate::wire::{Reader, Writer};

//----------- Request --------------------------------------------------------

/// The body of a request. Octets behind a known body are ignored, as servers do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request<'a> {
    /// Resolve a handle (1).
    Resolve(Resolve<'a>),
    /// An operation that names a handle and nothing else: site info (2), delete (101), list
    /// handles (105), list derived prefixes (106), home (300), unhome (301), list homed (302),
    /// end of session (401), next transaction (1000), backup (1003).
    Named {
        /// The handle, prefix handle, or `/` where none is meant.
        handle: &'a [u8],
    },
    /// Create (100), add (102) or modify (104): a handle and values.
    Write {
        /// The record to change; with MINT the beginning of its name.
        handle: &'a [u8],
        /// The values to write.
        values: Values<'a>,
    },
    /// Remove values (103).
    Remove {
        /// The record to change.
        handle: &'a [u8],
        /// Indexes of the values to remove.
        indexes: Indexes<'a>,
    },
    /// Answer to a challenge (200).
    ChallengeAnswer {
        /// `HS_PUBKEY` or `HS_SECKEY`.
        auth_type: &'a [u8],
        /// Handle of the identity.
        user: &'a [u8],
        /// Index of the value that holds its key.
        user_index: i32,
        /// Signature or message authentication code, with what is needed to check it.
        signed: &'a [u8],
    },
    /// Check a secret-key answer for another server (201).
    VerifyAnswer {
        /// Handle of the identity.
        user: &'a [u8],
        /// Index of its secret key.
        user_index: i32,
        /// The nonce of the challenge.
        nonce: &'a [u8],
        /// The request digest of the challenge.
        digest: &'a [u8],
        /// The answer to be checked.
        signed: &'a [u8],
    },
    /// Begin a session (400).
    SessionSetup(SessionSetup<'a>),
    /// Send the session key (402).
    ExchangeKey {
        /// The encrypted key.
        data: &'a [u8],
    },
    /// Replication: transactions after a position (1001).
    RetrieveTxn {
        /// Where to go on.
        position: TxnPosition<'a>,
        /// Hash option of the receiving site.
        hash_option: u8,
        /// Number of servers in the receiving site.
        servers: i32,
        /// Position of the receiving server among them.
        server: i32,
    },
    /// Replication: everything (1002).
    Dump {
        /// Hash option of the receiving site.
        hash_option: u8,
        /// Number of servers in the receiving site.
        servers: i32,
        /// Position of the receiving server among them.
        server: i32,
        /// Where to resume: a handle and what kind of point it is.
        resume: Option<(&'a [u8], i32)>,
    },
    /// Login of a connection (2001).
    Login {
        /// Handle of the identity.
        user: &'a [u8],
        /// Index of the value that holds its key.
        user_index: i32,
    },
    /// An operation that this implementation does not know.
    Unknown {
        /// Its body.
        body: &'a [u8],
    },
}

impl<'a> Request<'a> {
    /// Decodes the body of a request by its operation and version.
    pub fn decode(op: OpCode, version: Version, body: &'a [u8]) -> Result<Self, DecodeError> {
        Self::decode_body(op, version, &mut Reader::new(body)).map_err(|e| e.within(op))
    }

    /// Decodes the request in a message.
    pub fn of(message: &Message<'a>) -> Result<Self, DecodeError> {
        Self::decode(message.header.op, message.envelope.version, message.body)
    }

    fn decode_body(op: OpCode, version: Version, r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(match op {
            OpCode::RESOLVE => Self::Resolve(Resolve::decode(r)?),
            OpCode::GET_SITE_INFO
            | OpCode::DELETE
            | OpCode::LIST_HANDLES
            | OpCode::LIST_DERIVED
            | OpCode::HOME_PREFIX
            | OpCode::UNHOME_PREFIX
            | OpCode::LIST_HOMED
            | OpCode::SESSION_TERMINATE
            | OpCode::GET_NEXT_TXN
            | OpCode::BACKUP_SERVER => Self::Named {
                handle: r.bytes("handle")?,
            },
            OpCode::CREATE | OpCode::ADD_VALUE | OpCode::MODIFY_VALUE => Self::Write {
                handle: r.bytes("handle")?,
                values: Values::decode(r)?,
            },
            OpCode::REMOVE_VALUE => Self::Remove {
                handle: r.bytes("handle")?,
                indexes: Indexes::decode(r)?,
            },
            OpCode::CHALLENGE_ANSWER => Self::ChallengeAnswer {
                auth_type: r.bytes("authentication type")?,
                user: r.bytes("user handle")?,
                user_index: r.i32("user index")?,
                signed: r.bytes("signed response")?,
            },
            OpCode::VERIFY_ANSWER => Self::VerifyAnswer {
                user: r.bytes("user handle")?,
                user_index: r.i32("user index")?,
                nonce: r.bytes_max("nonce", NONCE_LEN_MAX)?,
                digest: r.bytes("request digest")?,
                signed: r.bytes("signed response")?,
            },
            OpCode::SESSION_SETUP => Self::SessionSetup(SessionSetup::decode(r)?),
            OpCode::SESSION_EXCHANGE_KEY => Self::ExchangeKey {
                data: r.bytes("session key")?,
            },
            OpCode::RETRIEVE_TXN => Self::RetrieveTxn {
                position: TxnPosition::decode(version, r)?,
                hash_option: r.u8("hash option")?,
                servers: r.i32("server count")?,
                server: r.i32("server number")?,
            },
            OpCode::DUMP_HANDLES => Self::Dump {
                hash_option: r.u8("hash option")?,
                servers: r.i32("server count")?,
                server: r.i32("server number")?,
                resume: match r.is_empty() {
                    true => None,
                    false => Some((r.bytes("starting point")?, r.i32("kind of starting point")?)),
                },
            },
            OpCode::LOGIN => Self::Login {
                user: r.bytes("user handle")?,
                user_index: r.i32("user index")?,
            },
            _ => Self::Unknown { body: r.rest() },
        })
    }

    /// Encodes the body for `version`.
    pub fn encode(&self, version: Version, w: &mut Writer<'_>) {
        match self {
            Self::Resolve(resolve) => resolve.encode(w),
            Self::Named { handle } => w.bytes(handle),
            Self::Write { handle, values } => {
                w.bytes(handle);
                w.raw(values.wire());
            }
            Self::Remove { handle, indexes } => {
                w.bytes(handle);
                w.raw(indexes.wire);
            }
            Self::ChallengeAnswer {
                auth_type,
                user,
                user_index,
                signed,
            } => {
                w.bytes(auth_type);
                w.bytes(user);
                w.i32(*user_index);
                w.bytes(signed);
            }
            Self::VerifyAnswer {
                user,
                user_index,
                nonce,
                digest,
                signed,
            } => {
                w.bytes(user);
                w.i32(*user_index);
                w.bytes(nonce);
                w.bytes(digest);
                w.bytes(signed);
            }
            Self::SessionSetup(setup) => setup.encode(w),
            Self::ExchangeKey { data } => w.bytes(data),
            Self::RetrieveTxn {
                position,
                hash_option,
                servers,
                server,
            } => {
                position.encode(version, w);
                w.u8(*hash_option);
                w.i32(*servers);
                w.i32(*server);
            }
            Self::Dump {
                hash_option,
                servers,
                server,
                resume,
            } => {
                w.u8(*hash_option);
                w.i32(*servers);
                w.i32(*server);
                if let Some((point, kind)) = resume {
                    w.bytes(point);
                    w.i32(*kind);
                }
            }
            Self::Login { user, user_index } => {
                w.bytes(user);
                w.i32(*user_index);
            }
            Self::Unknown { body } => w.raw(body),
        }
    }

    /// Appends a whole unsigned request packet to `out`.
    pub fn to_packet(&self, envelope: &Envelope, header: &Header, out: &mut Vec<u8>) {
        let start = super::begin(out, envelope, header);
        self.encode(envelope.version, &mut Writer::new(out));
        super::finish(out, start, Some(&[]));
    }
}

//----------- Resolve --------------------------------------------------------

/// Resolution: a handle, and a selection of its values.
///
/// Indexes and types select by union; both empty select everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolve<'a> {
    /// The handle as the client wrote it.
    pub handle: &'a [u8],
    /// Indexes asked for.
    pub indexes: Indexes<'a>,
    /// Types asked for; see [`type_matches`](crate::type_matches).
    pub types: Types<'a>,
    /// The user token that id-pointer-sdk appends; empty in most of its requests, absent in
    /// everybody else's.
    pub user_token: Option<&'a [u8]>,
}

impl<'a> Resolve<'a> {
    /// Asks for all values of `handle`.
    pub fn all(handle: &'a [u8]) -> Self {
        Self {
            handle,
            indexes: Indexes::NONE,
            types: Types::NONE,
            user_token: None,
        }
    }

    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let handle = r.bytes("handle")?;
        let indexes = Indexes::decode(r)?;
        let types = Types::decode(r)?;
        // Trailing octets that are not a token are ignored like those of any other request.
        let user_token = if r.is_empty() {
            None
        } else {
            r.bytes("user token").ok()
        };
        Ok(Self {
            handle,
            indexes,
            types,
            user_token,
        })
    }

    fn encode(&self, w: &mut Writer<'_>) {
        w.bytes(self.handle);
        w.raw(self.indexes.wire);
        w.raw(self.types.wire);
        if let Some(token) = self.user_token {
            w.bytes(token);
        }
    }

    /// Whether the request selects by index or type at all.
    pub fn is_selective(&self) -> bool {
        !self.indexes.is_empty() || !self.types.is_empty()
    }

    /// Whether the request selects a value of this index and type.
    pub fn selects(&self, index: i32, kind: &[u8]) -> bool {
        !self.is_selective()
            || self.indexes.iter().any(|wanted| wanted == index)
            || self
                .types
                .iter()
                .any(|wanted| crate::type_matches(wanted, kind))
    }
}

//----------- Indexes, Types -------------------------------------------------

/// An array of indexes in wire form.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Indexes<'a> {
    wire: &'a [u8],
}

impl<'a> Indexes<'a> {
    /// No indexes.
    pub const NONE: Indexes<'static> = Indexes { wire: &[0; 4] };

    /// Decodes the next array of `r`.
    pub fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let start = r.position();
        let count = r.count("index count", 4, usize::MAX)?;
        r.take("indexes", count * 4)?;
        Ok(Self {
            wire: r.since(start),
        })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.wire.len() <= 4
    }

    /// The indexes in their order.
    pub fn iter(&self) -> impl Iterator<Item = i32> + use<'a> {
        let octets = self.wire.get(4..).unwrap_or_default();
        octets
            .as_chunks::<4>()
            .0
            .iter()
            .map(|chunk| i32::from_be_bytes(*chunk))
    }
}

impl std::fmt::Debug for Indexes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// An array of types in wire form.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Types<'a> {
    wire: &'a [u8],
}

impl<'a> Types<'a> {
    /// No types.
    pub const NONE: Types<'static> = Types { wire: &[0; 4] };

    /// Decodes the next array of `r`.
    pub fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let start = r.position();
        for _ in 0..r.count("type count", 4, usize::MAX)? {
            r.bytes("type")?;
        }
        Ok(Self {
            wire: r.since(start),
        })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.wire.len() <= 4
    }

    /// The types in their order, as octets.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut r = Reader::new(self.wire.get(4..).unwrap_or_default());
        // `decode` has walked these octets, so the iterator does not end early.
        std::iter::from_fn(move || r.bytes("type").ok())
    }
}

impl std::fmt::Debug for Types<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.iter().map(String::from_utf8_lossy))
            .finish()
    }
}

//----------- SessionSetup ---------------------------------------------------

/// Begin of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSetup<'a> {
    /// Seconds that the session may be idle.
    pub timeout: i32,
    /// Handle of the identity that will authenticate; empty if none.
    pub identity: &'a [u8],
    /// Index of its key; −1 if none.
    pub identity_index: i32,
    /// How the session key is agreed on.
    pub exchange: KeyExchange<'a>,
    /// Octets behind the body: the Java library appends two zero octets.
    pub padding: &'a [u8],
}

/// How the key of a session is agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyExchange<'a> {
    /// Mode 1: the server encrypts a key to this public key of the client.
    ClientKey(&'a [u8]),
    /// Mode 2: the client will encrypt a key to the server's public key.
    ServerKey,
    /// Mode 3: the server encrypts a key to the public key in this value.
    HandleKey {
        /// Handle of the value.
        handle: &'a [u8],
        /// Index of the value.
        index: i32,
    },
    /// Mode 4: Diffie-Hellman with this public key of the client.
    DiffieHellman(&'a [u8]),
    /// A mode that this implementation does not know, with the rest of the body.
    Unknown(i16, &'a [u8]),
}

impl KeyExchange<'_> {
    /// The number of the mode on the wire.
    pub fn mode(&self) -> i16 {
        match self {
            Self::ClientKey(_) => 1,
            Self::ServerKey => 2,
            Self::HandleKey { .. } => 3,
            Self::DiffieHellman(_) => 4,
            Self::Unknown(mode, _) => *mode,
        }
    }
}

impl<'a> SessionSetup<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let mode = r.i16("key exchange mode")?;
        let timeout = r.i32("timeout")?;
        let identity = r.bytes("identity handle")?;
        let identity_index = r.i32("identity index")?;
        let exchange = match mode {
            1 => KeyExchange::ClientKey(r.bytes("public key")?),
            2 => KeyExchange::ServerKey,
            3 => {
                let handle = r.bytes("key handle")?;
                KeyExchange::HandleKey {
                    handle,
                    index: r.i32("key index")?,
                }
            }
            4 => KeyExchange::DiffieHellman(r.bytes("public key")?),
            _ => KeyExchange::Unknown(mode, r.rest()),
        };
        Ok(Self {
            timeout,
            identity,
            identity_index,
            exchange,
            padding: r.rest(),
        })
    }

    fn encode(&self, w: &mut Writer<'_>) {
        w.i16(self.exchange.mode());
        w.i32(self.timeout);
        w.bytes(self.identity);
        w.i32(self.identity_index);
        match &self.exchange {
            KeyExchange::ClientKey(key) | KeyExchange::DiffieHellman(key) => w.bytes(key),
            KeyExchange::ServerKey => {}
            KeyExchange::HandleKey { handle, index } => {
                w.bytes(handle);
                w.i32(*index);
            }
            KeyExchange::Unknown(_, rest) => w.raw(rest),
        }
        w.raw(self.padding);
    }
}

//----------- TxnPosition ----------------------------------------------------

/// Where a mirror goes on in the transaction log of its primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TxnPosition<'a> {
    /// One queue: the last transaction seen and the date of the last query in milliseconds.
    Single {
        /// Number of the last transaction seen.
        last_txn: i64,
        /// Milliseconds since 1970.
        last_query_ms: i64,
    },
    /// Several queues: a JSON object (version 2.9 and later).
    State(&'a [u8]),
}

impl<'a> TxnPosition<'a> {
    fn decode(version: Version, r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        // Version 2.9 put a form octet in front.
        if version.at_least(2, 9) {
            let at = r.position();
            match r.u8("form")? {
                0 => {}
                1 => return Ok(Self::State(r.bytes("replication state")?)),
                _ => {
                    let reason = Reason::Invalid("is neither 0 nor 1");
                    return Err(DecodeError::new("form", at, reason));
                }
            }
        }
        let last_txn = r.i64("last transaction")?;
        Ok(Self::Single {
            last_txn,
            last_query_ms: r.i64("last query date")?,
        })
    }

    /// Encodes the position for `version`.
    pub fn encode(&self, version: Version, w: &mut Writer<'_>) {
        match self {
            Self::Single {
                last_txn,
                last_query_ms,
            } => {
                if version.at_least(2, 9) {
                    w.u8(0);
                }
                w.i64(*last_txn);
                w.i64(*last_query_ms);
            }
            Self::State(state) => {
                w.u8(1);
                w.bytes(state);
            }
        }
    }
}

//----------- Builders -------------------------------------------------------

/// The body of a resolution with a selection.
pub(crate) fn resolve_body(handle: &[u8], indexes: &[i32], types: &[impl AsRef<[u8]>]) -> Vec<u8> {
    Writer::to_vec(|w| {
        w.bytes(handle);
        w.i32_array(indexes);
        w.bytes_array(types);
    })
}

/// The body of create, add or modify.
pub(crate) fn write_body(handle: &[u8], values: &[Value]) -> Vec<u8> {
    Writer::to_vec(|w| {
        w.bytes(handle);
        Values::encode(values, w);
    })
}

/// Builds whole, unsigned request packets from owned parts; what a client sends.
#[derive(Clone, Copy, Debug)]
pub struct RequestBuilder {
    /// The envelope of the packets.
    pub envelope: Envelope,
    /// Flags of the packets.
    pub flags: OpFlags,
    /// Expiration, in seconds since 1970.
    pub expiration: u32,
}

impl RequestBuilder {
    /// A resolution of `handle`; both selections empty ask for everything.
    pub fn resolve(&self, handle: &str, indexes: &[i32], types: &[impl AsRef<[u8]>]) -> Vec<u8> {
        self.packet(
            OpCode::RESOLVE,
            &resolve_body(handle.as_bytes(), indexes, types),
        )
    }

    /// An operation that names a handle and nothing else.
    pub fn named(&self, op: OpCode, handle: &str) -> Vec<u8> {
        self.packet(op, &Writer::to_vec(|w| w.bytes(handle.as_bytes())))
    }

    /// Create, add or modify.
    pub fn write(&self, op: OpCode, handle: &str, values: &[Value]) -> Vec<u8> {
        self.packet(op, &write_body(handle.as_bytes(), values))
    }

    /// Any operation with a body in wire form.
    pub fn packet(&self, op: OpCode, body: &[u8]) -> Vec<u8> {
        let header = Header::request(op, self.flags, self.expiration);
        let message = Message {
            envelope: self.envelope,
            header,
            body,
            credential: Some(&[]),
        };
        let mut out = Vec::new();
        message.encode(&mut out);
        out
    }
}
