//! Replication streams: what follows the reply to a request for transactions (1001) or for
//! everything (1002), clause 6.8.
//!
//! ```text
//! i32 protection      0 signed, -1 plain, "TLS\0" (a TLS handshake follows)
//! [bytes digest name] if signed
//! block [bytes signature]
//! block [bytes signature] …
//! ```
//!
//! The first block says whether transactions come at all, each further one is a record. A
//! [`StreamDecoder`] is fed what has arrived and returns one block at a time; what a signature
//! covers is in [`Block::octets`]. Sockets, TLS and the check of signatures are elsewhere.

use crate::error::{DecodeError, Reason};
use crate::limits::{HANDLE_LEN_MAX, VALUES_MAX};
use crate::value::ValueRef;
use crate::wire::{Reader, Writer};

/// Largest block in octets: a record with the most values, each of a generous size.
pub const BLOCK_LEN_MAX: usize = 16 * 1024 * 1024;
/// Largest signature in octets: that of an RSA key of 16,384 bits.
const SIGNATURE_LEN_MAX: usize = 2_048;
/// Stream type that announces TLS on the same connection.
const TLS: i32 = 0x544c_5300;

//----------- StreamDecoder --------------------------------------------------

/// Which of the two streams comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// The reply to a request for transactions.
    Transactions,
    /// The reply to a request for everything.
    Dump,
}

/// How the blocks of a stream are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// A signature follows each block (0).
    Signed,
    /// Nothing, because the connection is protected already (-1).
    Plain,
    /// A TLS handshake follows; inside, the stream goes on with its first block.
    Tls,
}

/// Finds the blocks of a stream, one after the other.
#[derive(Clone, Debug)]
pub struct StreamDecoder {
    kind: StreamKind,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    Start { signed: bool },
    Records { signed: bool, format: i32 },
    Done,
}

impl StreamDecoder {
    /// At the beginning of a stream.
    pub fn new(kind: StreamKind) -> Self {
        Self {
            kind,
            state: State::Head,
        }
    }

    /// At the beginning of what comes inside TLS: no stream type stands there again.
    pub fn inside_tls(kind: StreamKind) -> Self {
        Self {
            kind,
            state: State::Start { signed: false },
        }
    }

    /// Whether the last block has been returned, or TLS takes over.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The next block in `octets`, which begin where the last block ended, and the number of octets
    /// that it takes. `None` if more octets are needed, or the stream is done.
    pub fn next<'a>(
        &mut self,
        octets: &'a [u8],
    ) -> Result<Option<(Block<'a>, usize)>, DecodeError> {
        if self.is_done() {
            return Ok(None);
        }
        let mut r = Reader::new(octets);
        let context = |e: DecodeError| e.within("replication stream");
        let block = match self.read(&mut r) {
            Ok(block) => block,
            Err(error) if is_incomplete(&error) && octets.len() < BLOCK_LEN_MAX => return Ok(None),
            Err(error) => return Err(context(error)),
        };
        if let Content::Transaction(Transaction {
            values: Some(entries),
            ..
        })
        | Content::Record {
            values: entries, ..
        } = &block.content
        {
            entries.check().map_err(context)?;
        }
        self.state = self.state_after(&block.content);
        Ok(Some((block, r.position())))
    }

    fn read<'a>(&self, r: &mut Reader<'a>) -> Result<Block<'a>, DecodeError> {
        let content = match self.state {
            State::Head | State::Done => {
                let content = Content::read_head(r)?;
                return Ok(Block {
                    octets: r.since(0),
                    signature: None,
                    content,
                });
            }
            State::Start { .. } => Content::read_start(self.kind, r)?,
            State::Records { format, .. } => match self.kind {
                StreamKind::Transactions => Content::read_transaction(format, r)?,
                StreamKind::Dump => Content::read_dump(r)?,
            },
        };
        let octets = r.since(0);
        let signed = match self.state {
            State::Start { signed } | State::Records { signed, .. } => signed,
            State::Head | State::Done => false,
        };
        // The end of a dump is the only block without a signature.
        let has_signature = signed && content != Content::DumpEnd;
        let signature = if has_signature {
            Some(r.bytes_max("signature", SIGNATURE_LEN_MAX)?)
        } else {
            None
        };
        Ok(Block {
            octets,
            signature,
            content,
        })
    }

    fn state_after(&self, content: &Content<'_>) -> State {
        match (self.state, content) {
            (
                _,
                Content::Head {
                    protection: Protection::Tls,
                    ..
                },
            ) => State::Done,
            (_, Content::Head { protection, .. }) => State::Start {
                signed: *protection == Protection::Signed,
            },
            (
                _,
                Content::Start {
                    status: Some(Content::REDUMP),
                    ..
                },
            ) => State::Done,
            (State::Start { signed }, Content::Start { format, .. }) => State::Records {
                signed,
                format: *format,
            },
            (_, Content::End { .. } | Content::DumpEnd) => State::Done,
            (state, _) => state,
        }
    }
}

/// Whether the octets only end too early, rather than being wrong.
fn is_incomplete(error: &DecodeError) -> bool {
    matches!(error.reason, Reason::Truncated { .. })
}

//----------- Block ----------------------------------------------------------

/// One block of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// The octets that the signature covers.
    pub octets: &'a [u8],
    /// The signature, in a signed stream.
    pub signature: Option<&'a [u8]>,
    /// What the block says.
    pub content: Content<'a>,
}

/// What a block says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content<'a> {
    /// The beginning of the stream.
    Head {
        /// How the blocks are protected.
        protection: Protection,
        /// Name of the digest under the signatures.
        digest: Option<&'a [u8]>,
    },
    /// The first block.
    Start {
        /// Transactions: 1 one queue, 2 several. Dump: 2.
        format: i32,
        /// Transactions: [`Content::REDUMP`] or [`Content::SENDING`].
        status: Option<i32>,
    },
    /// A change of a record.
    Transaction(Transaction<'a>),
    /// The transactions of this queue follow.
    Queue(&'a [u8]),
    /// End of a queue: the date to ask for next time, in milliseconds.
    QueueEnd(i64),
    /// End of the transactions; with format 1 the date to ask for next time, in milliseconds.
    End {
        /// `None` with format 2.
        next_query_ms: Option<i64>,
    },
    /// Dump: how far this server's own log has come.
    Position {
        /// Milliseconds since 1970.
        date_ms: i64,
        /// Number of its last transaction.
        last_txn: i64,
    },
    /// Dump: a record.
    Record {
        /// The handle as it is stored.
        handle: &'a [u8],
        /// Its values.
        values: Entries<'a>,
    },
    /// Dump: a prefix that the server homes.
    HomedPrefix(&'a [u8]),
    /// Dump: when a record was last changed, for servers with several primaries.
    HandleDate(Dated<'a>),
    /// Dump: when a prefix was last homed or unhomed.
    PrefixDate(Dated<'a>),
    /// Dump: how far the logs of other sites have come, as JSON.
    OtherSites(&'a [u8]),
    /// End of a dump.
    DumpEnd,
}

/// A name with the date of its last change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dated<'a> {
    /// The handle or prefix handle.
    pub handle: &'a [u8],
    /// Milliseconds since 1970.
    pub date_ms: i64,
    /// Priority of the server where the change was made.
    pub priority: i32,
}

impl<'a> Content<'a> {
    /// Status: the log does not reach back far enough, ask for a dump.
    pub const REDUMP: i32 = 1;
    /// Status: transactions follow.
    pub const SENDING: i32 = 2;

    fn read_head(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let at = r.position();
        let protection = match r.i32("stream type")? {
            0 => Protection::Signed,
            -1 => Protection::Plain,
            TLS => Protection::Tls,
            _ => return Err(unknown("stream type", at, "is none of 0, -1 and TLS")),
        };
        let digest = match protection {
            Protection::Signed => Some(r.bytes_max("digest name", 64)?),
            _ => None,
        };
        Ok(Self::Head { protection, digest })
    }

    fn read_start(kind: StreamKind, r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let format = r.i32("format")?;
        let status = match kind {
            StreamKind::Transactions => Some(r.i32("status")?),
            StreamKind::Dump => None,
        };
        Ok(Self::Start { format, status })
    }

    fn read_transaction(format: i32, r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let at = r.position();
        Ok(match r.u8("record type")? {
            0 if format == 1 => Self::End {
                next_query_ms: Some(r.i64("date")?),
            },
            0 => Self::End {
                next_query_ms: None,
            },
            1 => Self::Transaction(Transaction::read(r)?),
            2 => Self::Queue(r.bytes_max("queue name", BLOCK_LEN_MAX)?),
            3 => Self::QueueEnd(r.i64("date")?),
            _ => return Err(unknown("record type", at, "is none of 0, 1, 2, 3")),
        })
    }

    fn read_dump(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let at = r.position();
        Ok(match r.u8("record type")? {
            0 => {
                let date_ms = r.i64("date")?;
                Self::Position {
                    date_ms,
                    last_txn: r.i64("last transaction")?,
                }
            }
            1 => {
                let handle = r.bytes_max("handle", HANDLE_LEN_MAX)?;
                Self::Record {
                    handle,
                    values: Entries::read(r)?,
                }
            }
            2 => Self::HomedPrefix(r.bytes_max("prefix handle", HANDLE_LEN_MAX)?),
            3 => Self::HandleDate(Dated::read(r)?),
            4 => Self::PrefixDate(Dated::read(r)?),
            5 => Self::OtherSites(r.bytes_max("state of other sites", BLOCK_LEN_MAX)?),
            0xff => Self::DumpEnd,
            _ => return Err(unknown("record type", at, "is none of 0 to 5 and 255")),
        })
    }

    /// Encodes the block, without its signature.
    pub fn encode(&self, w: &mut Writer<'_>) {
        let tag = |w: &mut Writer<'_>, tag: u8, octets: &[u8]| {
            w.u8(tag);
            w.bytes(octets);
        };
        match self {
            Self::Head { protection, digest } => {
                w.i32(match protection {
                    Protection::Signed => 0,
                    Protection::Plain => -1,
                    Protection::Tls => TLS,
                });
                if let Some(digest) = digest {
                    w.bytes(digest);
                }
            }
            Self::Start { format, status } => {
                w.i32(*format);
                if let Some(status) = status {
                    w.i32(*status);
                }
            }
            Self::Transaction(transaction) => {
                w.u8(1);
                transaction.write(w);
            }
            Self::Queue(name) => tag(w, 2, name),
            Self::QueueEnd(date_ms) => {
                w.u8(3);
                w.i64(*date_ms);
            }
            Self::End { next_query_ms } => {
                w.u8(0);
                if let Some(date_ms) = next_query_ms {
                    w.i64(*date_ms);
                }
            }
            Self::Position { date_ms, last_txn } => {
                w.u8(0);
                w.i64(*date_ms);
                w.i64(*last_txn);
            }
            Self::Record { handle, values } => {
                tag(w, 1, handle);
                w.raw(values.wire);
            }
            Self::HomedPrefix(handle) => tag(w, 2, handle),
            Self::HandleDate(dated) => dated.write(3, w),
            Self::PrefixDate(dated) => dated.write(4, w),
            Self::OtherSites(state) => tag(w, 5, state),
            Self::DumpEnd => w.u8(0xff),
        }
    }
}

impl<'a> Dated<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let handle = r.bytes_max("handle", HANDLE_LEN_MAX)?;
        let date_ms = r.i64("date")?;
        Ok(Self {
            handle,
            date_ms,
            priority: r.i32("priority")?,
        })
    }

    fn write(&self, tag: u8, w: &mut Writer<'_>) {
        w.u8(tag);
        w.bytes(self.handle);
        w.i64(self.date_ms);
        w.i32(self.priority);
    }
}

fn unknown(field: &'static str, at: usize, expected: &'static str) -> DecodeError {
    DecodeError::new(field, at, Reason::Invalid(expected))
}

//----------- Transaction ----------------------------------------------------

/// A change of a record, as the log of its server has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction<'a> {
    /// Its number.
    pub id: i64,
    /// The record or prefix handle, as the request spelled it.
    pub handle: &'a [u8],
    /// What was done.
    pub action: Action,
    /// When, in milliseconds since 1970.
    pub date_ms: i64,
    /// For create and update: the values that the record has *now*.
    pub values: Option<Entries<'a>>,
}

impl<'a> Transaction<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let id = r.i64("transaction number")?;
        let handle = r.bytes_max("handle", HANDLE_LEN_MAX)?;
        let action = Action(r.u8("action")?);
        let date_ms = r.i64("date")?;
        let values = if action.has_values() {
            Some(Entries::read(r)?)
        } else {
            None
        };
        Ok(Self {
            id,
            handle,
            action,
            date_ms,
            values,
        })
    }

    fn write(&self, w: &mut Writer<'_>) {
        w.i64(self.id);
        w.bytes(self.handle);
        w.u8(self.action.0);
        w.i64(self.date_ms);
        if let Some(values) = &self.values {
            w.raw(values.wire);
        }
    }
}

/// What a transaction did; unknown numbers survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action(pub u8);

impl Action {
    /// Nothing.
    pub const PLACEHOLDER: Self = Self(0);
    /// A record was created.
    pub const CREATE: Self = Self(1);
    /// A record was deleted.
    pub const DELETE: Self = Self(2);
    /// A record was changed.
    pub const UPDATE: Self = Self(3);
    /// A prefix was homed.
    pub const HOME: Self = Self(4);
    /// A prefix was unhomed.
    pub const UNHOME: Self = Self(5);
    /// Everything was deleted.
    pub const DELETE_ALL: Self = Self(6);

    fn has_values(self) -> bool {
        self == Self::CREATE || self == Self::UPDATE
    }
}

//----------- Entries --------------------------------------------------------

/// Values, each preceded by its length: i32 count, then bytes each.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Entries<'a> {
    wire: &'a [u8],
}

impl<'a> Entries<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let start = r.position();
        for _ in 0..r.count("value count", 4, VALUES_MAX)? {
            r.bytes_max("value", BLOCK_LEN_MAX)?;
        }
        Ok(Self {
            wire: r.since(start),
        })
    }

    /// Octets that [`Entries::encode`] has made.
    pub fn from_octets(wire: &'a [u8]) -> Self {
        Self { wire }
    }

    /// Every entry must be exactly one value.
    fn check(&self) -> Result<(), DecodeError> {
        for (position, octets) in (1..).zip(self.octets()) {
            let mut r = Reader::new(octets);
            let value = ValueRef::decode(&mut r).and_then(|_| r.finish("value"));
            value.map_err(|e| e.within(format_args!("value {position}")))?;
        }
        Ok(())
    }

    fn octets(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut r = Reader::new(self.wire.get(4..).unwrap_or_default());
        // `read` has walked these octets, so the iterator does not end early.
        std::iter::from_fn(move || r.bytes("value").ok())
    }

    /// The values in their order.
    pub fn iter(&self) -> impl Iterator<Item = ValueRef<'a>> + use<'a> {
        self.octets()
            .filter_map(|octets| ValueRef::decode(&mut Reader::new(octets)).ok())
    }

    /// Appends values in this form.
    pub fn encode<'v>(values: impl ExactSizeIterator<Item = ValueRef<'v>>, w: &mut Writer<'_>) {
        w.size(values.len());
        for value in values {
            w.bytes(value.wire());
        }
    }
}

impl std::fmt::Debug for Entries<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Value, Values};

    fn entries() -> Vec<u8> {
        let values = [Value::new(1, "URL", "x"), Value::new(2, "EMAIL", "y")];
        let list = Writer::to_vec(|w| Values::encode(&values, w));
        let refs: Vec<_> = Values::from_wire(&list).unwrap().iter().collect();
        Writer::to_vec(|w| Entries::encode(refs.into_iter(), w))
    }

    fn dump_contents(entries: &[u8]) -> Vec<Content<'_>> {
        let dated = Dated {
            handle: b"a/b",
            date_ms: 5,
            priority: -1,
        };
        vec![
            Content::Start {
                format: 2,
                status: None,
            },
            Content::Position {
                date_ms: 1,
                last_txn: 2,
            },
            Content::OtherSites(b"{}"),
            Content::HandleDate(dated),
            Content::PrefixDate(dated),
            Content::Record {
                handle: b"a/b",
                values: Entries { wire: entries },
            },
            Content::HomedPrefix(b"0.NA/a"),
            Content::DumpEnd,
        ]
    }

    fn txn_contents(entries: &[u8], format: i32) -> Vec<Content<'_>> {
        let txn = |action: Action| {
            let values = action.has_values().then_some(Entries { wire: entries });
            Content::Transaction(Transaction {
                id: 7,
                handle: b"a/b",
                action,
                date_ms: 9,
                values,
            })
        };
        vec![
            Content::Start {
                format,
                status: Some(Content::SENDING),
            },
            Content::Queue(b"main"),
            txn(Action::CREATE),
            txn(Action::UPDATE),
            txn(Action::DELETE),
            txn(Action(99)),
            Content::QueueEnd(4),
            Content::End {
                next_query_ms: (format == 1).then_some(11),
            },
        ]
    }

    fn stream(protection: Protection, contents: &[Content<'_>]) -> Vec<u8> {
        let signed = protection == Protection::Signed;
        let digest = signed.then_some(&b"SHA1"[..]);
        Writer::to_vec(|w| {
            Content::Head { protection, digest }.encode(w);
            for content in contents {
                content.encode(w);
                if signed && *content != Content::DumpEnd {
                    w.bytes(b"signature");
                }
            }
        })
    }

    /// Feeds one octet more at a time and collects the blocks.
    fn decode(kind: StreamKind, octets: &[u8]) -> (Vec<Content<'_>>, bool) {
        let mut decoder = StreamDecoder::new(kind);
        let (mut at, mut contents) = (0, Vec::new());
        for end in 0..=octets.len() {
            while let Some((block, len)) = decoder.next(&octets[at..end]).unwrap() {
                at += len;
                contents.push(block.content);
            }
        }
        (contents, decoder.is_done() && at == octets.len())
    }

    #[test]
    fn streams_come_out_block_by_block_however_they_arrive() {
        let entries = entries();
        for protection in [Protection::Signed, Protection::Plain] {
            for (kind, contents) in [
                (StreamKind::Dump, dump_contents(&entries)),
                (StreamKind::Transactions, txn_contents(&entries, 1)),
                (StreamKind::Transactions, txn_contents(&entries, 2)),
            ] {
                let octets = stream(protection, &contents);
                let (found, is_done) = decode(kind, &octets);
                assert!(is_done);
                assert_eq!(found[1..], contents[..]);
            }
        }
    }

    #[test]
    fn tls_and_redump_end_the_stream_at_once() {
        let (found, is_done) = decode(StreamKind::Dump, b"TLS\0");
        assert!(is_done && found.len() == 1);
        let start = Content::Start {
            format: 1,
            status: Some(Content::REDUMP),
        };
        let octets = stream(Protection::Plain, &[start]);
        assert!(decode(StreamKind::Transactions, &octets).1);
    }

    #[test]
    fn broken_value_is_an_error_and_not_a_wait() {
        let broken = Writer::to_vec(|w| {
            w.i32(1);
            w.bytes(b"no value");
        });
        let record = Content::Record {
            handle: b"a/b",
            values: Entries { wire: &broken },
        };
        let start = Content::Start {
            format: 2,
            status: None,
        };
        let octets = stream(Protection::Plain, &[start, record]);
        let mut decoder = StreamDecoder::new(StreamKind::Dump);
        let mut at = 0;
        let error = loop {
            match decoder.next(&octets[at..]) {
                Ok(Some((_, len))) => at += len,
                Ok(None) => panic!("waits for more"),
                Err(error) => break error,
            }
        };
        assert!(
            error
                .to_string()
                .starts_with("replication stream, value 1: "),
            "{error}"
        );
    }

    #[test]
    fn announced_length_above_the_limit_is_refused_at_once() {
        let octets = [[0xff; 4], [0, 0, 0, 2], [2, 0x7f, 0xff, 0xff]].concat();
        let octets = [&octets[..], &[0xff]].concat();
        let mut decoder = StreamDecoder::new(StreamKind::Dump);
        let (_, head) = decoder.next(&octets).unwrap().unwrap();
        let (_, start) = decoder.next(&octets[head..]).unwrap().unwrap();
        let error = decoder.next(&octets[head + start..]).unwrap_err();
        assert!(matches!(error.reason, Reason::TooLarge { .. }), "{error}");
    }
}
