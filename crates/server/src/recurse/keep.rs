//! What the resolver's thread keeps on disk: the newest root record, and the cache.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use guantong_core::resolve::{Cache, Now, Roots};
use tokio::task::JoinHandle;

use super::courier::Setup;

/// File of the newest root record, in [`Config::run_folder`](crate::config::Config::run_folder).
pub const ROOT_INFO: &str = "root_info";
/// Time between two savings of the cache: what a power failure costs is some warm-up.
const SAVE_EVERY: Duration = Duration::from_secs(300);
/// Largest cache file read, beside the memory that the cache may have: its entries are smaller on
/// disk than in memory.
const CACHE_FILE_SPARE: u64 = 1024 * 1024;

//----------- Keeper ---------------------------------------------------------

/// Where things are kept.
pub(super) struct Keeper {
    root_info: Option<PathBuf>,
    cache_file: Option<PathBuf>,
    cache: Arc<Cache>,
    saved: Instant,
    saving: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Reads the cache that was kept.
    pub(super) fn open(setup: &Setup) -> Self {
        let keeper = Self {
            root_info: setup.root_info.clone(),
            cache_file: setup.cache_file.clone(),
            cache: setup.cache.clone(),
            saved: Instant::now(),
            saving: None,
        };
        if let Some(path) = &keeper.cache_file {
            keeper.load(path, setup.clock.now());
        }
        keeper
    }

    fn load(&self, path: &Path, now: Now) {
        let octets = match read(path, self.cache.settings().octets) {
            Ok(octets) => octets,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                return tracing::warn!(%error, path = %path.display(), "the kept cache is not read");
            }
        };
        match self.cache.load(&octets, now) {
            Ok(loaded) => tracing::info!(path = %path.display(), ?loaded, "the cache was read"),
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "the kept cache is passed over");
            }
        }
    }

    /// Keeps a new root record for the next start.
    pub(super) fn save_roots(&self, roots: &Roots) {
        let Some(path) = &self.root_info else {
            return;
        };
        match write_whole(path, |file| file.write_all(&roots.to_root_info())) {
            Ok(()) => tracing::info!(path = %path.display(), "the root record was renewed"),
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "the root record could not be kept");
            }
        }
    }

    /// Keeps the cache if that was not done for some time, beside the resolver's work.
    pub(super) fn save_cache_if_due(&mut self, now: Now) {
        let busy = self.saving.as_ref().is_some_and(|task| !task.is_finished());
        let Some(path) = self.cache_file.clone() else {
            return;
        };
        if busy || self.saved.elapsed() < SAVE_EVERY {
            return;
        }
        self.saved = Instant::now();
        let cache = self.cache.clone();
        let save = move || save_cache(&cache, &path, now);
        self.saving = Some(tokio::task::spawn_blocking(save));
    }

    /// Keeps the cache before the node stops.
    pub(super) async fn save_cache(mut self, now: Now) {
        if let Some(task) = self.saving.take() {
            // It says itself how it ended.
            let _ = task.await;
        }
        if let Some(path) = &self.cache_file {
            save_cache(&self.cache, path, now);
        }
    }
}

fn save_cache(cache: &Cache, path: &Path, now: Now) {
    let mut saved = 0;
    let written = write_whole(path, |file| {
        saved = cache.save(now, |block| file.write_all(block))?;
        Ok(())
    });
    match written {
        Ok(()) => tracing::debug!(path = %path.display(), saved, "the cache was kept"),
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "the cache could not be kept");
        }
    }
}

//----------- Files ----------------------------------------------------------

/// Writes a file that nobody sees half of.
fn write_whole(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let partial = path.with_extension("partial");
    let mut file = File::create(&partial)?;
    write(&mut file)?;
    file.sync_all()?;
    std::fs::rename(&partial, path)
}

fn read(path: &Path, cache_octets: u64) -> io::Result<Vec<u8>> {
    let len = std::fs::metadata(path)?.len();
    let most = cache_octets.saturating_add(CACHE_FILE_SPARE);
    if len > most {
        let text = format!("it has {len} octets, more than the cache may hold ({most})");
        return Err(io::Error::other(text));
    }
    std::fs::read(path)
}
