//! The cache between two runs of the node: a file of blocks, each with a checksum.
//!
//! ```text
//! file:  magic "GTCACHE" | version u8 | blocks
//! block: length u32 of the rest but the checksum | entries | SHA-256 of length and entries
//! entry: kind u8 | life u32 | fetched u32 (seconds since 1970) | key bytes | values bytes
//! ```
//!
//! Times are those of the wall clock, so that entries age while the node is down. A damaged block
//! ends the reading; what came before it is kept, since a cache may forget.

use std::sync::Arc;

use guantong_proto::crypto::Hash;
use guantong_proto::wire::{Reader, Writer};
use guantong_proto::{DecodeError, Values};

use super::super::time::Now;
use super::{Cache, Entry, EntryKind};

/// First octets of a file; the last one is the version of its form.
const HEAD: [u8; 8] = *b"GTCACHE\x01";
/// Octets of entries that are gathered into one block.
const BLOCK_LEN: usize = 1024 * 1024;
/// Octets of a checksum.
const SUM_LEN: usize = 32;

//----------- Saving ---------------------------------------------------------

impl Cache {
    /// Writes all entries that are worth keeping, block by block; returns how many.
    pub fn save<E>(
        &self,
        now: Now,
        mut write: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<usize, E> {
        write(&HEAD)?;
        let mut block = Vec::new();
        let mut saved = 0;
        // Eight octets for each, so that nobody waits while the disk is written.
        let entries: Vec<_> = self.shown().iter().map(|kept| kept.0.clone()).collect();
        for entry in entries {
            if !self.settings.in_grace(&entry, now) {
                continue;
            }
            encode(entry.key(), &entry, &mut block);
            saved += 1;
            if block.len() >= BLOCK_LEN {
                write(&sealed(&block))?;
                block.clear();
            }
        }
        if !block.is_empty() {
            write(&sealed(&block))?;
        }
        Ok(saved)
    }

    /// Takes the entries of a file.
    pub fn load(&self, octets: &[u8], now: Now) -> Result<Loaded, CacheFileError> {
        let Some(octets) = octets.strip_prefix(&HEAD) else {
            return Err(match octets.starts_with(&HEAD[..7]) {
                true => CacheFileError::Version(octets.get(7).copied().unwrap_or(0)),
                false => CacheFileError::NotACache,
            });
        };
        let mut loaded = Loaded::default();
        let mut r = Reader::new(octets);
        while !r.is_empty() {
            let Ok(block) = open(&mut r) else {
                loaded.is_damaged = true;
                break;
            };
            let mut r = Reader::new(block);
            while !r.is_empty() {
                match self.load_entry(&mut r, now) {
                    Ok(true) => loaded.entries += 1,
                    Ok(false) => {}
                    Err(_) => {
                        loaded.is_damaged = true;
                        break;
                    }
                }
            }
        }
        Ok(loaded)
    }

    /// Takes one entry, if its grace is not over.
    fn load_entry(&self, r: &mut Reader<'_>, now: Now) -> Result<bool, DecodeError> {
        let kind = match r.u8("kind")? {
            0 => EntryKind::Record,
            1 => EntryKind::ValuesNotFound,
            _ => EntryKind::NotFound,
        };
        let life_secs = r.u32("life")?.min(self.settings.ttl_max_secs);
        let fetched_secs = r.u32("fetched")?;
        let key = r.bytes("key")?;
        let values = r.bytes("values")?;
        Values::from_wire(values)?;
        if fetched_secs > now.secs {
            // The clock was set back: how old it is cannot be told.
            return Ok(false);
        }
        let entry = Entry::aged(kind, values, life_secs, fetched_secs, now);
        if !self.settings.in_grace(&entry, now) {
            return Ok(false);
        }
        self.insert_under(key, &Arc::new(entry));
        Ok(true)
    }
}

fn encode(key: &[u8], entry: &Entry, block: &mut Vec<u8>) {
    let mut w = Writer::new(block);
    w.u8(match entry.kind() {
        EntryKind::Record => 0,
        EntryKind::ValuesNotFound => 1,
        EntryKind::NotFound => 2,
    });
    w.u32(entry.life_secs());
    w.u32(entry.fetched_secs());
    w.bytes(key);
    w.bytes(entry.wire());
}

fn sealed(block: &[u8]) -> Vec<u8> {
    let mut octets = Writer::to_vec(|w| w.bytes(block));
    let sum = Hash::Sha256.digest(&[&octets]);
    octets.extend_from_slice(&sum);
    octets
}

fn open<'a>(r: &mut Reader<'a>) -> Result<&'a [u8], CacheFileError> {
    let start = r.position();
    let block = r.bytes("block").map_err(|_| CacheFileError::NotACache)?;
    let sum = Hash::Sha256.digest(&[r.since(start)]);
    match r.take("checksum", SUM_LEN) {
        Ok(found) if *found == *sum => Ok(block),
        _ => Err(CacheFileError::NotACache),
    }
}

/// What came of loading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Entries that were taken.
    pub entries: usize,
    /// The file ends early or is damaged; what follows the damage was left out.
    pub is_damaged: bool,
}

//----------- CacheFileError -------------------------------------------------

/// Why a file cannot be loaded at all. Beginning with an empty cache is safe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CacheFileError {
    /// It is something else.
    #[error("the file is not a saved cache: delete it, the node begins with an empty one")]
    NotACache,
    /// It was written by another version of this software.
    #[error(
        "the saved cache has form {0}, which this version does not read: delete it, the node \
         begins with an empty one"
    )]
    Version(u8),
}
