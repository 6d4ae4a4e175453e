//! Lines in the order of their names, in bounded memory, however many there are.
//!
//! ```text
//!   lines ──► memory full? sort ──► run on disk ─┐
//!                                   run on disk ─┼─► merge ──► lines in order, with their numbers
//!                                   run on disk ─┘
//! ```
//!
//! The store takes records in the order of their names at twice the speed and half the work: a name
//! behind all others needs no look-up, and what is written is never written again to bring it into
//! order. Lines of one name keep their order, so that the last one counts, as without sorting. A
//! line whose name cannot be read comes first; whoever parses it will say what is wrong with it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::path::Path;

use guantong_proto::{CaseRule, HandleRef};
use serde::Deserialize;

use super::lines::{Line, Lines};

/// Octets of lines that are sorted in memory at a time. Runs of this length are long enough that a
/// hundred million records make a few hundred of them.
const MEMORY_OCTETS: usize = 128 * 1024 * 1024;
/// Octets that a line costs besides its own: its entry, two allocations.
const LINE_OVERHEAD: usize = 96;
/// Runs on disk. Each is an open file and a chunk in memory; when there are so many, they become
/// one.
const RUNS_MAX: usize = 256;
/// Octets of a chunk of a run, before it is compressed.
const CHUNK_LEN: usize = 128 * 1024;
/// Octets in front of an entry: number, octets of a line that is too long, lengths of key and text.
const HEAD_LEN: usize = 8 + 8 + 4 + 4;

/// How much is kept where.
#[derive(Clone, Copy, Debug)]
struct Limits {
    memory_octets: usize,
    runs: usize,
}

//----------- Entry ----------------------------------------------------------

/// A line with what it is sorted by; fields in the order of their weight.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    key: Box<[u8]>,
    number: u64,
    text: Box<[u8]>,
    /// Octets of a line that is too long, whose text is not kept; else 0.
    too_long: u64,
}

impl Entry {
    fn new(number: u64, line: &Line<'_>, rule: CaseRule) -> Self {
        let (text, too_long) = match *line {
            Line::Text(text) => (text, 0),
            Line::TooLong { octets } => (&[][..], octets),
        };
        Self {
            key: key_of(text, rule),
            number,
            text: text.into(),
            too_long,
        }
    }

    fn octets(&self) -> usize {
        self.key.len() + self.text.len() + LINE_OVERHEAD
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(&self.too_long.to_be_bytes());
        for part in [&self.key, &self.text] {
            // A line is at most some megabytes long.
            out.extend_from_slice(&(part.len() as u32).to_be_bytes());
        }
        out.extend_from_slice(&self.key);
        out.extend_from_slice(&self.text);
    }

    /// The entry at the beginning of `octets`, and what is behind it.
    fn decode(octets: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = octets.split_first_chunk::<HEAD_LEN>()?;
        let (number, head) = head.split_first_chunk::<8>()?;
        let (too_long, head) = head.split_first_chunk::<8>()?;
        let (key_len, text_len) = head.split_first_chunk::<4>()?;
        let key_len = u32::from_be_bytes(*key_len) as usize;
        let text_len = u32::from_be_bytes(text_len.try_into().ok()?) as usize;
        let (key, rest) = rest.split_at_checked(key_len)?;
        let (text, rest) = rest.split_at_checked(text_len)?;
        let entry = Self {
            key: key.into(),
            number: u64::from_be_bytes(*number),
            text: text.into(),
            too_long: u64::from_be_bytes(*too_long),
        };
        Some((entry, rest))
    }
}

/// The folded name of the record in a line; empty if it cannot be read.
fn key_of(text: &[u8], rule: CaseRule) -> Box<[u8]> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        handle: std::borrow::Cow<'a, str>,
    }
    let named = serde_json::from_slice::<Named<'_>>(text).ok();
    let key = named.and_then(|named| {
        let handle = HandleRef::parse(&named.handle).ok()?;
        Some(handle.key(rule).as_bytes().into())
    });
    key.unwrap_or_default()
}

//----------- Runs -----------------------------------------------------------

/// Entries in order, in memory or in a file.
enum Run {
    Memory(std::vec::IntoIter<Entry>),
    File(RunFile),
}

/// A run on the disk: chunks of entries, compressed, each behind its length.
struct RunFile {
    file: BufReader<File>,
    chunk: Vec<u8>,
    at: usize,
}

impl Run {
    /// Writes entries that are in order into a file without a name in `folder`, which is gone with
    /// us, however we end.
    fn write(folder: &Path, entries: impl Iterator<Item = io::Result<Entry>>) -> io::Result<Self> {
        let mut file = tempfile::tempfile_in(folder)?;
        let mut chunk = Vec::with_capacity(2 * CHUNK_LEN);
        for entry in entries {
            entry?.encode(&mut chunk);
            if chunk.len() >= CHUNK_LEN {
                write_chunk(&mut file, &mut chunk)?;
            }
        }
        write_chunk(&mut file, &mut chunk)?;
        file.rewind()?;
        Ok(Self::File(RunFile {
            file: BufReader::new(file),
            chunk: Vec::new(),
            at: 0,
        }))
    }

    fn next(&mut self) -> io::Result<Option<Entry>> {
        match self {
            Self::Memory(entries) => Ok(entries.next()),
            Self::File(run) => run.next(),
        }
    }
}

fn write_chunk(file: &mut File, chunk: &mut Vec<u8>) -> io::Result<()> {
    if chunk.is_empty() {
        return Ok(());
    }
    let packed = lz4_flex::block::compress_prepend_size(chunk);
    file.write_all(&(packed.len() as u32).to_be_bytes())?;
    file.write_all(&packed)?;
    chunk.clear();
    Ok(())
}

impl RunFile {
    fn next(&mut self) -> io::Result<Option<Entry>> {
        if self.at == self.chunk.len() && !self.read_chunk()? {
            return Ok(None);
        }
        let left = self.chunk.get(self.at..).unwrap_or_default();
        let (entry, rest) = Entry::decode(left).ok_or_else(damaged)?;
        self.at = self.chunk.len() - rest.len();
        Ok(Some(entry))
    }

    fn read_chunk(&mut self) -> io::Result<bool> {
        if self.file.fill_buf()?.is_empty() {
            return Ok(false);
        }
        let mut len = [0; 4];
        self.file.read_exact(&mut len)?;
        let mut packed = vec![0; u32::from_be_bytes(len) as usize];
        self.file.read_exact(&mut packed)?;
        self.chunk = lz4_flex::block::decompress_size_prepended(&packed).map_err(|_| damaged())?;
        self.at = 0;
        Ok(true)
    }
}

fn damaged() -> io::Error {
    let what = "what was sorted and written to the disk came back as something else";
    io::Error::new(io::ErrorKind::InvalidData, what)
}

//----------- Merge ----------------------------------------------------------

/// Several runs as one.
struct Merge {
    runs: Vec<Run>,
    /// The first entry of each run that is not at its end, with the run's number.
    heads: BinaryHeap<Reverse<(Entry, usize)>>,
}

impl Merge {
    fn new(mut runs: Vec<Run>) -> io::Result<Self> {
        let mut heads = BinaryHeap::with_capacity(runs.len());
        for (number, run) in runs.iter_mut().enumerate() {
            heads.extend(run.next()?.map(|entry| Reverse((entry, number))));
        }
        Ok(Self { runs, heads })
    }
}

impl Iterator for Merge {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse((entry, number)) = self.heads.pop()?;
        match self.runs.get_mut(number).map_or(Ok(None), Run::next) {
            Ok(next) => self.heads.extend(next.map(|next| Reverse((next, number)))),
            Err(error) => return Some(Err(error)),
        }
        Some(Ok(entry))
    }
}

//----------- Sorted ---------------------------------------------------------

/// All lines of an input, in the order of the names of their records.
pub(super) struct Sorted {
    merge: Merge,
    current: Option<Entry>,
    lines: u64,
    octets: u64,
}

impl Sorted {
    /// Reads all lines and sorts them; what does not fit into memory lies in `folder` meanwhile.
    pub(super) fn read<R: BufRead>(
        lines: &mut Lines<R>,
        rule: CaseRule,
        folder: &Path,
    ) -> io::Result<Self> {
        let limits = Limits {
            memory_octets: MEMORY_OCTETS,
            runs: RUNS_MAX,
        };
        Self::read_within(lines, rule, folder, limits)
    }

    fn read_within<R: BufRead>(
        lines: &mut Lines<R>,
        rule: CaseRule,
        folder: &Path,
        limits: Limits,
    ) -> io::Result<Self> {
        let (mut runs, mut entries, mut octets) = (Vec::new(), Vec::new(), 0);
        while let Some((number, line)) = lines.next_line()? {
            let entry = Entry::new(number, &line, rule);
            octets += entry.octets();
            entries.push(entry);
            if octets < limits.memory_octets {
                continue;
            }
            octets = 0;
            entries.sort_unstable();
            runs.push(Run::write(folder, entries.drain(..).map(Ok))?);
            if runs.len() >= limits.runs {
                let merged = Merge::new(std::mem::take(&mut runs))?;
                runs.push(Run::write(folder, merged)?);
            }
        }
        entries.sort_unstable();
        runs.push(Run::Memory(entries.into_iter()));
        Ok(Self {
            merge: Merge::new(runs)?,
            current: None,
            lines: 0,
            octets: 0,
        })
    }

    /// The next line in the order of names, with its number in the input.
    pub(super) fn next_line(&mut self) -> io::Result<Option<(u64, Line<'_>)>> {
        let Some(next) = self.merge.next().transpose()? else {
            return Ok(None);
        };
        self.lines += 1;
        // With its line end; blank lines are not counted.
        self.octets += next.text.len() as u64 + 1 + next.too_long;
        let entry = self.current.insert(next);
        let line = match entry.too_long {
            0 => Line::Text(&entry.text),
            octets => Line::TooLong { octets },
        };
        Ok(Some((entry.number, line)))
    }

    /// How many lines and octets have been handed out.
    pub(super) fn passed(&self) -> (u64, u64) {
        (self.lines, self.octets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Limits = Limits {
        memory_octets: 1_000,
        runs: 3,
    };

    fn sorted(text: &str, line_len_max: usize, limits: Limits) -> Vec<(u64, Option<String>)> {
        let dir = tempfile::tempdir().unwrap();
        let mut lines = Lines::new(text.as_bytes(), line_len_max);
        let rule = CaseRule::Insensitive;
        let sorted = Sorted::read_within(&mut lines, rule, dir.path(), limits);
        let (mut sorted, mut found) = (sorted.unwrap(), Vec::new());
        while let Some((number, line)) = sorted.next_line().unwrap() {
            let text = match line {
                Line::Text(text) => Some(String::from_utf8(text.to_vec()).unwrap()),
                Line::TooLong { .. } => None,
            };
            found.push((number, text));
        }
        assert_eq!(sorted.passed().0, found.len() as u64);
        // Nothing stays in the folder.
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        found
    }

    fn line(name: &str) -> String {
        format!(r#"{{"values":[],"handle":"{name}"}}"#)
    }

    #[test]
    fn lines_come_in_the_order_of_folded_names_with_their_own_numbers() {
        let names = ["1/b", "1/C", "1/a", "0/z"];
        let text = names.map(line).join("\n\n");
        let found: Vec<u64> = sorted(&text, 100, SMALL).iter().map(|(n, _)| *n).collect();
        assert_eq!(found, [7, 5, 1, 3]);
    }

    #[test]
    fn more_than_fits_into_memory_and_into_the_runs_is_sorted_too() {
        let count = 1_000_u64;
        // Each hundredth name is there again and again: those lines keep their order.
        let name = |n: u64| format!("1/{:03}", (n * 7_919 % count) / 10 * 10);
        let text: String = (0..count).map(|n| line(&name(n)) + "\n").collect();
        let found = sorted(&text, 100, SMALL);
        let mut expected: Vec<(String, u64)> = (0..count).map(|n| (name(n), n + 1)).collect();
        expected.sort();
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(name, number)| (number, Some(line(&name))))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn lines_that_are_no_record_come_first_and_are_not_lost() {
        let text = format!("{}\nnonsense\n{}\n{{}}\n", line("1/a"), "x".repeat(101));
        let found = sorted(&text, 100, SMALL);
        let nonsense = (2, Some("nonsense".to_owned()));
        let expected = [
            nonsense,
            (3, None),
            (4, Some("{}".to_owned())),
            (1, Some(line("1/a"))),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn entry_that_is_cut_off_is_noticed() {
        let mut octets = Vec::new();
        let text = line("1/a");
        let entry = Entry::new(7, &Line::Text(text.as_bytes()), CaseRule::Insensitive);
        entry.encode(&mut octets);
        for len in 0..octets.len() {
            assert_eq!(Entry::decode(&octets[..len]), None, "{len}");
        }
        assert_eq!(Entry::decode(&octets), Some((entry, &[][..])));
    }
}
