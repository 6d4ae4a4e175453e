//! Crash images: what a disk could hold if the power went at a given moment.
//!
//! The program under test runs in a child process under `strace`, which writes down every file
//! operation. The recording is replayed in memory against a model of a disk that knows what has
//! been synced and what has not, and at any point an [`Image`] can be taken: the directory tree as
//! it might be found after a crash at that point. The test opens each image with the program and
//! looks whether everything that was acknowledged is there.
//!
//! ```text
//! child under strace ──► Recording (events) ──► Replay ──► Image ──► directory ──► open and check
//! ```
//!
//! The model works below the program, so it needs no seam in it, and it is itself checked: the
//! replay of the whole recording must give the directory that the child has left behind
//! ([`Recording::verify`]). It models files that are written with `write` and `pwrite`; a program
//! that maps files for writing is not seen, and the check would say so.

mod disk;
mod strace;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use disk::{Content, Disk};
use strace::Event;

use crate::Random;

//----------- Mode -----------------------------------------------------------

/// What happens to writes that were not synced when the power goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Data that was not synced is gone; directory entries are there.
    DropUnsynced,
    /// Data that was not synced is there, not there, or there in part, in sectors, at random;
    /// directory entries are there.
    Torn,
    /// Data that was not synced is gone, and so are directory entries whose directory was not
    /// synced: created files are missing, deleted ones are back.
    DropEntries,
}

//----------- Recording ------------------------------------------------------

/// All file operations of a child below one directory, and what it said meanwhile.
pub struct Recording {
    root: PathBuf,
    events: Vec<Event>,
}

impl Recording {
    /// Runs `child` to its end under `strace` and records what it does below `root`, which must
    /// exist and be empty. Lines that the child prints become notes.
    pub fn make(child: &Command, root: &Path) -> io::Result<Self> {
        let root = root.canonicalize()?;
        let log = strace::run(child)?;
        let events = strace::parse(&log, &root).map_err(io::Error::other)?;
        Ok(Self { root, events })
    }

    /// Points at which a crash is worth looking at: where a sync begins, where it has ended, and
    /// behind each change of a directory.
    pub fn points(&self) -> Vec<usize> {
        let points = self.events.iter().enumerate();
        points
            .filter(|(_, event)| event.is_crash_point())
            .map(|(at, _)| at + 1)
            .collect()
    }

    /// Starts a replay.
    pub fn replay(&self) -> Replay<'_> {
        Replay {
            events: &self.events,
            at: 0,
            disk: Disk::new(),
            notes: Vec::new(),
        }
    }

    /// Compares the end of the replay with the directory that the child has left behind.
    pub fn verify(&self) -> Result<(), String> {
        let mut replay = self.replay();
        replay.advance(self.events.len());
        let image = replay.disk.live_image();
        let mut found = BTreeMap::new();
        list(&self.root, &mut found).map_err(|error| error.to_string())?;
        let expected: Vec<&PathBuf> = image.files.keys().collect();
        let names: Vec<PathBuf> = found.keys().map(|p| relative(&self.root, p)).collect();
        if names.iter().ne(expected) {
            return Err(format!(
                "files {names:?} instead of {:?}",
                image.files.keys()
            ));
        }
        for (path, len) in found {
            let content = &image.files[&relative(&self.root, &path)];
            let octets = fs::read(&path).map_err(|error| error.to_string())?;
            if len != content.len() || octets != content.to_vec() {
                return Err(format!("{} was not replayed faithfully", path.display()));
            }
        }
        Ok(())
    }
}

fn relative(root: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(root).unwrap_or(path).to_owned()
}

fn list(dir: &Path, found: &mut BTreeMap<PathBuf, u64>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => list(&entry.path(), found)?,
            false => {
                found.insert(entry.path(), entry.metadata()?.len());
            }
        }
    }
    Ok(())
}

//----------- Replay ---------------------------------------------------------

/// A recording played up to some point.
pub struct Replay<'a> {
    events: &'a [Event],
    at: usize,
    disk: Disk,
    notes: Vec<&'a str>,
}

impl Replay<'_> {
    /// Plays on up to the point `to`, one of [`Recording::points`].
    pub fn advance(&mut self, to: usize) {
        while self.at < to.min(self.events.len()) {
            match &self.events[self.at] {
                Event::Note(note) => self.notes.push(note),
                event => self.disk.apply(event),
            }
            self.at += 1;
        }
    }

    /// The lines that the child had printed by now.
    pub fn notes(&self) -> &[&str] {
        &self.notes
    }

    /// What the disk could hold if the power went now.
    pub fn image(&self, mode: Mode, random: &mut Random) -> Image {
        self.disk.image(mode, random)
    }
}

//----------- Image ----------------------------------------------------------

/// A directory tree as it might be found after a crash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    files: BTreeMap<PathBuf, Content>,
    dirs: Vec<PathBuf>,
}

impl Image {
    /// Writes the tree to `dir`, which must exist and be empty.
    pub fn write_to(&self, dir: &Path) -> io::Result<()> {
        for path in &self.dirs {
            fs::create_dir_all(dir.join(path))?;
        }
        for (path, content) in &self.files {
            let file = fs::File::create_new(dir.join(path))?;
            file.set_len(content.len())?;
            for (at, octets) in content.chunks() {
                file.write_all_at(octets, at)?;
            }
        }
        Ok(())
    }
}
