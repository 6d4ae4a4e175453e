//! `HEAD`: the last acknowledged change, remembered outside the engine.
//!
//! The engine takes damage in the middle of a journal for a torn end and drops what follows without
//! a word. This file is how we notice: it is written after every commit and before the commit is
//! acknowledged, into two slots in turn, so that a torn write leaves the other slot whole.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use guantong_proto::wire::Reader;

use crate::entry::Link;
use crate::format::digest16;

const MAGIC: &[u8; 4] = b"GTHD";
const FORM: u32 = 2;
/// Octets of a slot.
const SLOT_LEN: usize = 64;
/// Octets of a link that a slot has room for.
const LINK_LEN: usize = 16;
/// Octets of a slot that its checksum covers.
const SUMMED_LEN: usize = 48;
/// Commits after which the file is synced. Without a sync it is exact after a crash of the process
/// and may be behind after a loss of power, never ahead.
const SYNC_EVERY: u64 = 64;

//----------- Mark -----------------------------------------------------------

/// What `HEAD` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Last change that was acknowledged.
    pub(crate) last: u64,
    /// Lowest change that may be in a journal and not yet in a table.
    pub(crate) floor: u64,
    /// How the link of the last change begins: a log that was rewritten has another.
    pub(crate) link: [u8; LINK_LEN],
}

impl Mark {
    pub(crate) fn new(last: u64, floor: u64, link: &Link) -> Self {
        let (link, _) = link.split_first_chunk().expect("a link is longer");
        Self {
            last,
            floor,
            link: *link,
        }
    }

    /// Whether this may be the link of the last change.
    pub(crate) fn has(&self, link: &Link) -> bool {
        link.starts_with(&self.link)
    }
}

//----------- Head -----------------------------------------------------------

/// The open file.
#[derive(Debug)]
pub(crate) struct Head {
    file: File,
    sequence: u64,
}

impl Head {
    /// Makes the file with an empty mark and syncs it.
    pub(crate) fn create(path: &Path, mark: Mark) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        let mut head = Self { file, sequence: 0 };
        head.write(mark)?;
        head.write(mark)?;
        head.file.sync_all()?;
        Ok(head)
    }

    /// Opens the file and reads the newer of its valid slots; `None` if neither is valid.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Option<Mark>)> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let newest = read_slots(&file)?;
        let head = Self {
            file,
            sequence: newest.map_or(0, |(sequence, _)| sequence),
        };
        Ok((head, newest.map(|(_, mark)| mark)))
    }

    /// Writes the next slot; syncs now and then.
    pub(crate) fn write(&mut self, mark: Mark) -> io::Result<()> {
        self.sequence += 1;
        let at = self.sequence % 2 * SLOT_LEN as u64;
        self.file.write_all_at(&encode(self.sequence, mark), at)?;
        match self.sequence % SYNC_EVERY {
            0 => self.sync(),
            _ => Ok(()),
        }
    }

    /// Makes sure that what was written is on the medium.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn read_slots(file: &File) -> io::Result<Option<(u64, Mark)>> {
    let mut newest = None;
    for slot in 0..2 {
        let mut octets = [0; SLOT_LEN];
        match file.read_exact_at(&mut octets, slot * SLOT_LEN as u64) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => continue,
            Err(error) => return Err(error),
        }
        if let Some((sequence, mark)) = decode(&octets)
            && newest.is_none_or(|(newest, _)| sequence > newest)
        {
            newest = Some((sequence, mark));
        }
    }
    Ok(newest)
}

fn encode(sequence: u64, mark: Mark) -> [u8; SLOT_LEN] {
    let mut slot = [0; SLOT_LEN];
    slot[..4].copy_from_slice(MAGIC);
    slot[4..8].copy_from_slice(&FORM.to_be_bytes());
    slot[8..16].copy_from_slice(&sequence.to_be_bytes());
    slot[16..24].copy_from_slice(&mark.last.to_be_bytes());
    slot[24..32].copy_from_slice(&mark.floor.to_be_bytes());
    slot[32..SUMMED_LEN].copy_from_slice(&mark.link);
    let sum = digest16(&[&slot[..SUMMED_LEN]]);
    slot[SUMMED_LEN..].copy_from_slice(&sum);
    slot
}

fn decode(slot: &[u8; SLOT_LEN]) -> Option<(u64, Mark)> {
    let mut r = Reader::new(slot);
    let known = r.take("magic", 4).ok()? == MAGIC && r.u32("form").ok()? == FORM;
    if !known || digest16(&[&slot[..SUMMED_LEN]]) != slot[SUMMED_LEN..] {
        return None;
    }
    let mut number = || r.i64("number").ok().map(i64::cast_unsigned);
    let sequence = number()?;
    let last = number()?;
    let floor = number()?;
    let link = *r.take("link", LINK_LEN).ok()?.first_chunk()?;
    Some((sequence, Mark { last, floor, link }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(last: u64) -> Mark {
        Mark::new(last, last / 2, &[last as u8; 32])
    }

    #[test]
    fn newer_slot_wins_and_a_torn_one_leaves_the_older() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("HEAD");
        let mut head = Head::create(&path, Mark::default()).unwrap();
        for last in [10, 20, 30] {
            head.write(mark(last)).unwrap();
        }
        let (head, found) = Head::open(&path).unwrap();
        assert_eq!(found, Some(mark(30)));
        let newest = head.sequence % 2 * SLOT_LEN as u64;
        head.file.write_all_at(&[0xff], newest + 20).unwrap();
        let (head, found) = Head::open(&path).unwrap();
        assert_eq!(found, Some(mark(20)));
        head.file.write_all_at(&[0; 2 * SLOT_LEN], 0).unwrap();
        assert_eq!(Head::open(&path).unwrap().1, None);
    }

    #[test]
    fn short_file_has_no_mark() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("HEAD");
        std::fs::write(&path, [0; 10]).unwrap();
        assert_eq!(Head::open(&path).unwrap().1, None);
    }
}
