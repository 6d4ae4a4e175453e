//! What the disk itself does: random reads past the memory of the system, several at a time.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::fcntl::{OFlag, PosixFadviseAdvice, posix_fadvise};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::machine;

/// Octets of a read: what the system reads at least, and what a block of the store fits into.
const READ_LEN: usize = 4_096;
/// How often the store's files are taken out of the memory of the system.
const EVICT_PAUSE: Duration = Duration::from_millis(50);

/// The store's own files, so that both sides read the same places.
pub(super) struct Disk {
    /// Each with the number of blocks in it and in front of it.
    files: Vec<(File, u64)>,
}

impl Disk {
    /// The files below a folder that hold at least one whole block.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let (mut files, mut sum) = (Vec::new(), 0);
        for (path, _) in machine::files(folder) {
            let file = OpenOptions::new()
                .read(true)
                .custom_flags(OFlag::O_DIRECT.bits())
                .open(&path)
                .with_context(|| path.display().to_string())?;
            let blocks = file.metadata()?.len() / READ_LEN as u64;
            if blocks > 0 {
                sum += blocks;
                files.push((file, sum));
            }
        }
        ensure!(sum > 0, "there is nothing to read in {}", folder.display());
        Ok(Self { files })
    }

    /// Reads at random places, `depth` at a time; how many a second.
    pub(super) fn rate(&self, depth: usize, time: Duration) -> Result<f64> {
        let (stop, count) = (AtomicBool::new(false), AtomicU64::new(0));
        let begun = Instant::now();
        let failed: Result<()> = std::thread::scope(|scope| {
            let (stop, count) = (&stop, &count);
            let read = |seed| scope.spawn(move || self.read_until(seed, stop, count));
            let threads: Vec<_> = (0..depth as u64).map(read).collect();
            std::thread::sleep(time);
            stop.store(true, Relaxed);
            let mut ends = threads.into_iter().map(|thread| thread.join());
            ends.try_for_each(|end| end.unwrap_or_else(|_| bail!("a reader has panicked")))
        });
        failed?;
        Ok(count.load(Relaxed) as f64 / begun.elapsed().as_secs_f64())
    }

    fn read_until(&self, seed: u64, stop: &AtomicBool, count: &AtomicU64) -> Result<()> {
        let mut random = SmallRng::seed_from_u64(seed);
        // Reads past the memory of the system go to whole blocks of memory only.
        let mut room = vec![0; 2 * READ_LEN];
        let start = room.as_ptr().align_offset(READ_LEN);
        let blocks = self.files.last().map_or(1, |&(_, sum)| sum);
        while !stop.load(Relaxed) {
            let block = random.random_range(0..blocks);
            let number = self.files.partition_point(|&(_, sum)| sum <= block);
            let before = number.checked_sub(1).map_or(0, |at| self.files[at].1);
            let at = (block - before) * READ_LEN as u64;
            let piece = &mut room[start..start + READ_LEN];
            self.files[number].0.read_exact_at(piece, at)?;
            count.fetch_add(1, Relaxed);
        }
        Ok(())
    }
}

/// Takes the files below a folder out of the memory of the system again and again until `stop`.
pub(super) fn evict_until(folder: &Path, stop: &AtomicBool) {
    while !stop.load(Relaxed) {
        evict(folder);
        std::thread::sleep(EVICT_PAUSE);
    }
}

/// Takes the files below a folder out of the memory of the system.
pub(super) fn evict(folder: &Path) {
    // Tables come and go while the store is tidied up.
    let paths = machine::files(folder).into_iter();
    for file in paths.filter_map(|(path, _)| File::open(path).ok()) {
        // It is advice; what it did shows in the reads of the disk.
        let _ = posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    }
}
