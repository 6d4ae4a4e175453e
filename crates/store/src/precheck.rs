//! What has to be true of the engine's files before it may touch them.
//!
//! The engine writes down which tables belong to a key space in a file `vN`, and number and
//! checksum of that file in `current`. It does not compare the checksum when it opens: on a damaged
//! `vN` it may give up in a way that takes the process with it, and a key space without `current`
//! it takes for one that was never finished, and *deletes*. So both are looked at here, first.

use std::fs;
use std::io;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_128;

use crate::error::Cause;

/// Directory of the key spaces, each in a directory of its number.
const SPACES_DIR: &str = "keyspaces";
/// Octets of `current`: number u64, checksum u128, its kind u8; little-endian.
const CURRENT_LEN: usize = 25;

/// Checks the key spaces of the engine in `dir`, which is closed.
pub(crate) fn check(dir: &Path) -> Result<(), Cause> {
    for entry in fs::read_dir(dir.join(SPACES_DIR))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            check_space(&entry.path())?;
        }
    }
    Ok(())
}

fn check_space(dir: &Path) -> Result<(), Cause> {
    let damaged = |what: &str| Cause::Damaged(format!("{what} in {}", dir.display()).into());
    let current = read(&dir.join("current"))?.ok_or_else(|| damaged("no file `current`"))?;
    let current: [u8; CURRENT_LEN] = current
        .try_into()
        .map_err(|_| damaged("the file `current` has the wrong length"))?;
    let (number, rest) = current.split_at(8);
    let number = u64::from_le_bytes(number.try_into().map_err(|_| damaged("no number"))?);
    let version = read(&dir.join(format!("v{number}")))?
        .ok_or_else(|| damaged("the list of tables is missing"))?;
    match xxh3_128(&version).to_le_bytes() == rest[..16] {
        true => Ok(()),
        false => Err(damaged("the list of tables is not what was written")),
    }
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(octets) => Ok(Some(octets)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
