//! What the disk can do: writes of a record's length, one behind the other, synced.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Octets of a write: a record with its entry in the change log, roughly.
const WRITE_LEN: u64 = 400;
/// Octets of the file. They are there before the first measurement, so that a sync is one of data
/// and the file system has nothing to note.
const FILE_LEN: u64 = 64 << 20;

/// A file to write to.
pub(super) struct Disk(File);

impl Disk {
    /// Makes the file.
    pub(super) fn new(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        let piece = vec![7; 1 << 20];
        for at in (0..FILE_LEN).step_by(piece.len()) {
            file.write_all_at(&piece, at)?;
        }
        file.sync_all()?;
        Ok(Self(file))
    }

    /// Writes per second, of which `group` at a time are synced. Begins again at the end.
    pub(super) fn rate(&self, group: u64, time: Duration) -> Result<f64> {
        let (mut count, begun) = (0, Instant::now());
        while begun.elapsed() < time {
            for _ in 0..group {
                let at = count * WRITE_LEN % (FILE_LEN - WRITE_LEN);
                self.0
                    .write_all_at(&[count as u8; WRITE_LEN as usize], at)?;
                count += 1;
            }
            self.0.sync_data()?;
        }
        Ok(count as f64 / begun.elapsed().as_secs_f64())
    }
}
