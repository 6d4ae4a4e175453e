//! The blocks of a stream, made on a thread of their own and handed over in pieces.
//!
//! Whoever reads slowly makes the thread wait: a few pieces are all that is held in memory.

use std::sync::Arc;

use guantong_core::replicate::{LogChange, Need, write_dump_head, write_dump_tail};
use guantong_proto::crypto::Hash;
use guantong_proto::stream::{Action, Content, Protection};
use guantong_proto::wire::Writer;
use guantong_store::{Entry, Scope, StoreError};
use ring::rand::SystemRandom;
use tokio::sync::mpsc;

use super::plan::{Plan, What};
use crate::key::ServerKey;
use crate::node::Node;

/// Octets of a piece.
const PIECE_LEN: usize = 128 * 1024;
/// Pieces that may wait for a slow reader.
pub(super) const PIECES_MAX: usize = 4;
/// Changes that are read at a time.
const PAGE_LEN: usize = 1_000;
/// The digest under the signatures of a signed stream.
const SIGNED_WITH: Hash = Hash::Sha256;

//----------- Form -----------------------------------------------------------

/// How a stream is written.
#[derive(Clone, Debug)]
pub(super) enum Form {
    /// Right behind a TLS handshake.
    InsideTls,
    /// On a connection that is protected already.
    Plain,
    /// With a signature behind each block.
    Signed(Arc<ServerKey>),
}

/// Why a stream ends early.
#[derive(Debug)]
pub(super) enum Broken {
    /// Nobody reads it any more.
    Gone,
    /// The store failed.
    Store(StoreError),
    /// A block could not be signed.
    Sign(String),
}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Writes the whole stream of a plan.
pub(super) fn produce(
    node: &Node,
    plan: &Plan,
    form: Form,
    pieces: mpsc::Sender<Vec<u8>>,
) -> Result<(), Broken> {
    let mut out = Out {
        pieces,
        piece: Vec::with_capacity(PIECE_LEN),
        key: None,
        random: SystemRandom::new(),
    };
    out.head(form);
    match &plan.what {
        What::Changes { after, last } => changes(plan, *after, *last, &mut out)?,
        What::Redump(why) => {
            tracing::info!(why = why.why(), "a mirror is told to ask for everything");
            out.start(Content::REDUMP)?;
            if plan.told.is_none() {
                // Clients of Handle.Net read on to the end in this case as well.
                out.end(0)?;
            }
        }
        What::Dump { after, cut_at } => {
            dump(node, plan, (after.as_deref(), *cut_at), &mut out)?;
        }
    }
    out.send()
}

fn changes(plan: &Plan, after: u64, last: u64, out: &mut Out) -> Result<(), Broken> {
    out.start(Content::SENDING)?;
    let (mut at, mut at_ms) = (after, 0);
    while at < last {
        let page = plan.snapshot.changes(at, PAGE_LEN)?;
        if page.is_empty() {
            break;
        }
        for entry in page.iter().take_while(|entry| entry.number <= last) {
            change(plan, entry, out)?;
            at_ms = entry.at_ms;
        }
        at = page.last().map_or(last, |entry| entry.number);
    }
    if at_ms == 0 && last > 0 {
        at_ms = plan.snapshot.change(last)?.map_or(0, |entry| entry.at_ms);
    }
    out.end(at_ms)
}

fn change(plan: &Plan, entry: &Entry, out: &mut Out) -> Result<(), Broken> {
    let change = LogChange {
        number: entry.number,
        action: Action(entry.action as u8),
        at_ms: entry.at_ms,
        handle: entry.handle.borrow(),
    };
    let record = match plan.feed.need(&change) {
        Need::Record => {
            let key = entry.handle.key(plan.snapshot.case_rule());
            plan.snapshot.get(key.as_bytes())?
        }
        Need::Nothing => None,
    };
    let values = record.as_ref().map(|record| record.values());
    out.block(|piece| plan.feed.write(&change, values, piece))
}

fn dump(
    node: &Node,
    plan: &Plan,
    (after, cut_at): (Option<&[u8]>, u64),
    out: &mut Out,
) -> Result<(), Broken> {
    out.block(|piece| {
        let start = Content::Start {
            format: 2,
            status: None,
        };
        start.encode(&mut Writer::new(piece));
        true
    })?;
    let last = plan.snapshot.last_change();
    let at_ms = plan.snapshot.change(last)?.map_or(0, |entry| entry.at_ms);
    out.block(|piece| {
        write_dump_head(last, at_ms, piece);
        true
    })?;
    let mut sent = 0;
    for record in plan.snapshot.scan(&Scope::All, after) {
        let (_, record) = record?;
        let mut is_sent = false;
        out.block(|piece| {
            is_sent = plan
                .feed
                .write_record(record.handle(), record.values(), piece);
            is_sent
        })?;
        sent += u64::from(is_sent);
        if cut_at > 0 && sent == cut_at {
            break;
        }
    }
    for prefix in node.store.homed() {
        out.block(|piece| {
            write_dump_tail(prefix.borrow(), piece);
            true
        })?;
    }
    // The only block without a signature (6.8).
    Content::DumpEnd.encode(&mut Writer::new(&mut out.piece));
    Ok(())
}

//----------- Out ------------------------------------------------------------

struct Out {
    pieces: mpsc::Sender<Vec<u8>>,
    piece: Vec<u8>,
    key: Option<Arc<ServerKey>>,
    random: SystemRandom,
}

impl Out {
    fn head(&mut self, form: Form) {
        let digest = match SIGNED_WITH {
            Hash::Sha256 => &b"SHA-256"[..],
            _ => b"SHA1",
        };
        let (protection, digest) = match form {
            Form::InsideTls => return,
            Form::Plain => (Protection::Plain, None),
            Form::Signed(key) => {
                self.key = Some(key);
                (Protection::Signed, Some(digest))
            }
        };
        let head = Content::Head { protection, digest };
        head.encode(&mut Writer::new(&mut self.piece));
    }

    fn start(&mut self, status: i32) -> Result<(), Broken> {
        self.block(|piece| {
            let start = Content::Start {
                format: 1,
                status: Some(status),
            };
            start.encode(&mut Writer::new(piece));
            true
        })
    }

    fn end(&mut self, at_ms: u64) -> Result<(), Broken> {
        self.block(|piece| {
            let end = Content::End {
                next_query_ms: Some(at_ms.cast_signed()),
            };
            end.encode(&mut Writer::new(piece));
            true
        })
    }

    /// Appends a block, if `write` writes one, and its signature.
    fn block(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) -> Result<(), Broken> {
        let start = self.piece.len();
        if !write(&mut self.piece) {
            return Ok(());
        }
        if let Some(key) = &self.key {
            let signed = key
                .signing()
                .sign(SIGNED_WITH, &self.piece[start..], &self.random);
            let signature = signed.map_err(|error| Broken::Sign(error.to_string()))?;
            Writer::new(&mut self.piece).bytes(&signature);
        }
        match self.piece.len() >= PIECE_LEN {
            true => self.send(),
            false => Ok(()),
        }
    }

    fn send(&mut self) -> Result<(), Broken> {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_LEN));
        self.pieces.blocking_send(piece).map_err(|_| Broken::Gone)
    }
}
