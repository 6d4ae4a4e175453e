//! The engine's journals: cutting off a torn end, and emptying them when a store is closed.
//!
//! Closing a store empties its journals once everything in them is in tables, so that opening it
//! has nothing to replay.
//!
//! A group that was being written when the power went may be on the disk in part, and not only as a
//! beginning: sectors in its middle can be missing while its end is there. The engine refuses to
//! open then, because the checksum of the last batch does not agree. Such a batch was never
//! acknowledged, so it has to go. This module finds out whether the damage is of that kind, with
//! nothing valid behind it, and cuts it off. Whether something acknowledged was lost all the same
//! is for `HEAD` to say, when the engine is open.
//!
//! The journal's form is that of engine version 3; integers are little-endian:
//!
//! ```text
//! batch = 1 u8, count u32, number u64 · items · 3 u8, checksum u64 (XXH3 over the items), "FJL" 3
//! item  = 2 u8, kind u8, compression u8, key space u64, key len u16, value len u32, stored len u32,
//!         key, stored value       or       4 u8, key space u64
//! ```

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const TRAILER: &[u8; 4] = b"FJL\x03";
/// Octets of an item in front of its key.
const ITEM_HEAD_LEN: usize = 21;
/// Where what was cut off is kept, beside the journals.
const CUT_FILE: &str = "torn-tail";

/// Cuts a torn last batch off the active journal of the engine in `dir` and keeps it beside it.
/// Gives `false`, and changes nothing, if the damage is of another kind.
pub(crate) fn cut_torn_tail(dir: &Path) -> io::Result<bool> {
    let Some(path) = active_journal(dir)? else {
        return Ok(false);
    };
    let octets = fs::read(&path)?;
    let Some(end) = torn_at(&octets) else {
        return Ok(false);
    };
    // Journals are made longer than what is in them; the zeros at the end tell nothing.
    let last = octets.iter().rposition(|&octet| octet != 0);
    let tail = octets.get(end..=last.unwrap_or(end)).unwrap_or(&[]);
    fs::write(dir.join(CUT_FILE), tail)?;
    let file = OpenOptions::new().write(true).open(&path)?;
    file.set_len(end as u64)?;
    file.sync_all()?;
    Ok(true)
}

/// Empties the journals of the engine in `dir`, which must be closed and have everything in tables,
/// so that there is nothing to be replayed when it is opened.
pub(crate) fn clear(dir: &Path) -> io::Result<()> {
    for (_, path) in journals(dir)? {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(0)?;
        file.sync_all()?;
    }
    Ok(())
}

/// The journal with the highest number; older ones were synced whole before the next was begun.
fn active_journal(dir: &Path) -> io::Result<Option<PathBuf>> {
    Ok(journals(dir)?.pop().map(|(_, path)| path))
}

/// The journals with their numbers, the oldest first.
fn journals(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut journals = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let number = path
            .extension()
            .filter(|extension| *extension == "jnl")
            .and(path.file_stem())
            .and_then(|stem| stem.to_str()?.parse().ok());
        journals.extend(number.map(|number| (number, path)));
    }
    journals.sort();
    Ok(journals)
}

/// Where the last batch begins, if it is complete in form but not what was written, and nothing
/// valid follows.
fn torn_at(octets: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match read_batch(octets, at) {
            Batch::Valid { end } => at = end,
            // The engine deals with an end that does not parse.
            Batch::Unreadable => return None,
            Batch::Wrong { end } => {
                // Damage with a valid batch behind it is no torn end.
                let followed = matches!(read_batch(octets, end), Batch::Valid { .. });
                return (!followed).then_some(at);
            }
        }
    }
}

/// What stands at an offset of a journal.
enum Batch {
    /// A batch as it was written.
    Valid { end: usize },
    /// Something of the form of a batch, with other content than was written.
    Wrong { end: usize },
    /// Nothing of the form of a batch.
    Unreadable,
}

fn read_batch(octets: &[u8], start: usize) -> Batch {
    parse_batch(octets, start).unwrap_or(Batch::Unreadable)
}

/// `None` where the octets end or have no meaning.
fn parse_batch(octets: &[u8], start: usize) -> Option<Batch> {
    let mut at = start;
    if take::<1>(octets, &mut at)? != [START] {
        return None;
    }
    let count = u32::from_le_bytes(take(octets, &mut at)?);
    take::<8>(octets, &mut at)?;
    let items = at;
    let mut found: u32 = 0;
    loop {
        let item = at;
        match take::<1>(octets, &mut at)? {
            [ITEM] => {
                let head: [u8; ITEM_HEAD_LEN - 1] = take(octets, &mut at)?;
                let key_len = u16::from_le_bytes([head[10], head[11]]);
                let stored_len = u32::from_le_bytes([head[16], head[17], head[18], head[19]]);
                at = at.checked_add(usize::from(key_len) + stored_len as usize)?;
            }
            [CLEAR] => at += 8,
            [END] => {
                let sum = u64::from_le_bytes(take(octets, &mut at)?);
                if take::<4>(octets, &mut at)? != *TRAILER {
                    return None;
                }
                let right = found == count && xxh3_64(octets.get(items..item)?) == sum;
                return Some(match right {
                    true => Batch::Valid { end: at },
                    false => Batch::Wrong { end: at },
                });
            }
            _ => return None,
        }
        found = found.checked_add(1)?;
    }
}

fn take<const N: usize>(octets: &[u8], at: &mut usize) -> Option<[u8; N]> {
    let end = at.checked_add(N)?;
    let taken = octets.get(*at..end)?.try_into().ok()?;
    *at = end;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(values: &[&[u8]]) -> Vec<u8> {
        let mut items = Vec::new();
        for value in values {
            items.extend_from_slice(&[ITEM, 0, 0]);
            items.extend_from_slice(&1_u64.to_le_bytes());
            items.extend_from_slice(&2_u16.to_le_bytes());
            items.extend_from_slice(&(value.len() as u32).to_le_bytes());
            items.extend_from_slice(&(value.len() as u32).to_le_bytes());
            items.extend_from_slice(b"k1");
            items.extend_from_slice(value);
        }
        let mut octets = vec![START];
        octets.extend_from_slice(&(values.len() as u32).to_le_bytes());
        octets.extend_from_slice(&9_u64.to_le_bytes());
        octets.extend_from_slice(&items);
        octets.push(END);
        octets.extend_from_slice(&xxh3_64(&items).to_le_bytes());
        octets.extend_from_slice(TRAILER);
        octets
    }

    fn journal() -> (Vec<u8>, usize) {
        let first = batch(&[b"one", b"two"]);
        let len = first.len();
        let mut octets = [first, batch(&[&[7; 2_000]])].concat();
        octets.resize(octets.len() + 4_096, 0);
        (octets, len)
    }

    #[test]
    fn hole_in_the_last_batch_is_a_torn_end() {
        let (mut octets, second) = journal();
        assert_eq!(torn_at(&octets), None);
        octets[second + 600..second + 1_112].fill(0);
        assert_eq!(torn_at(&octets), Some(second));
    }

    #[test]
    fn damage_with_a_valid_batch_behind_it_is_not_a_torn_end() {
        let (mut octets, second) = journal();
        octets[second - 15] ^= 1;
        assert_eq!(torn_at(&octets), None);
    }

    #[test]
    fn octets_without_meaning_never_panic() {
        let (octets, _) = journal();
        for len in 0..octets.len().min(300) {
            torn_at(&octets[..len]);
        }
        for at in 0..200 {
            let mut octets = octets.clone();
            octets[at] ^= 0xff;
            torn_at(&octets);
        }
        assert_eq!(torn_at(&[]), None);
    }

    #[test]
    fn cutting_keeps_what_was_cut_and_takes_the_newest_journal() {
        let dir = tempfile::tempdir().unwrap();
        let (mut octets, second) = journal();
        let tail_len = octets.len() - 4_096 - second;
        octets[second + 600] ^= 1;
        fs::write(dir.path().join("9.jnl"), b"an older one").unwrap();
        fs::write(dir.path().join("10.jnl"), &octets).unwrap();
        assert!(cut_torn_tail(dir.path()).unwrap());
        let left = fs::read(dir.path().join("10.jnl")).unwrap();
        assert_eq!(left, octets[..second]);
        let cut = fs::read(dir.path().join(CUT_FILE)).unwrap();
        assert_eq!(cut.len(), tail_len);
        assert!(!cut_torn_tail(dir.path()).unwrap());
    }
}
