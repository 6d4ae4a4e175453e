//! Making and opening stores: the files of a directory and what must be true of them.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::ops::Bound;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::engine::{Engine, Space, View};
use crate::entry::{self, FIRST_LINK};
use crate::error::{Cause, FormError, OpenError};
use crate::format::{
    ENGINE_DIR, FORMAT_FILE, FORMAT_MAGIC, FORMAT_VERSION, HEAD_FILE, Header, Homed, LOCK_FILE,
    State, decode_homed, decode_u64,
};
use crate::head::{Head, Mark};
use crate::index::IndexDef;
use crate::options::{CreateOptions, Memory, OnLoss, Options};

//----------- Opened ---------------------------------------------------------

/// Everything that was found in a directory.
pub(crate) struct Opened {
    pub(crate) found: Found,
    pub(crate) head: Head,
    /// Lowest change that may be in a journal only.
    pub(crate) floor: u64,
}

/// What was found in a directory, not yet compared with `HEAD`.
pub(crate) struct Found {
    pub(crate) lock: Lock,
    pub(crate) engine: Engine,
    pub(crate) header: Header,
    pub(crate) state: State,
    pub(crate) homed: Homed,
    pub(crate) indexes: Vec<IndexDef>,
}

//----------- Create ---------------------------------------------------------

/// Makes an empty store in `dir`, which must be empty or not exist.
pub(crate) fn create(dir: &Path, create: &CreateOptions) -> Result<(), OpenError> {
    build(dir, |engine| {
        let header = Header {
            case_rule: create.case_rule,
            id: create.id,
        };
        let mut transaction = engine.transaction(2);
        transaction.put(Space::Meta, Header::KEY, header.encode());
        transaction.put(Space::Meta, State::KEY, State::NEW.encode());
        transaction
            .commit()
            .map_err(|cause| engine_error(dir, cause))?;
        Ok(Mark::new(0, 1, &FIRST_LINK))
    })
}

/// Makes a store in `dir`, which must be empty or not exist; `fill` writes its content and says
/// what `HEAD` shall hold. The directory becomes a store by the very last step.
pub(crate) fn build<E: From<OpenError>>(
    dir: &Path,
    fill: impl FnOnce(&Engine) -> Result<Mark, E>,
) -> Result<(), E> {
    let failed = |error: io::Error| engine_error(dir, error.into());
    make_private_dir(dir).map_err(failed)?;
    if fs::read_dir(dir).map_err(failed)?.next().is_some() {
        return Err(OpenError::NotEmpty { dir: dir.into() }.into());
    }
    let _lock = Lock::take(dir, true)?;
    let memory = Memory::divide(0);
    let engine =
        Engine::create(&dir.join(ENGINE_DIR), &memory).map_err(|cause| engine_error(dir, cause))?;
    let mark = fill(&engine)?;
    drop(engine);
    // The engine syncs its files and most of its directories, but not the one that names the key
    // spaces; without this a loss of power could leave a store without some of them.
    sync_dirs(&dir.join(ENGINE_DIR)).map_err(failed)?;
    Head::create(&dir.join(HEAD_FILE), mark).map_err(failed)?;
    write_format(dir).map_err(failed)?;
    Ok(())
}

fn write_format(dir: &Path) -> io::Result<()> {
    let mut file = File::create_new(dir.join(FORMAT_FILE))?;
    file.write_all(format!("{FORMAT_MAGIC}{FORMAT_VERSION}\n").as_bytes())?;
    file.sync_all()?;
    sync_dir(dir)?;
    // The directory itself may be new as well.
    match dir.canonicalize()?.parent() {
        Some(parent) => sync_dir(parent),
        None => Ok(()),
    }
}

/// Makes a directory that only its owner can enter, since records may hold secret keys. A directory
/// that is there already keeps its permissions.
pub(crate) fn make_private_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Makes sure that the entries of a directory and of those below it are on the medium.
fn sync_dirs(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_dirs(&entry.path())?;
        }
    }
    sync_dir(dir)
}

/// Makes sure that the entries of a directory are on the medium.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

//----------- Open -----------------------------------------------------------

/// Opens the store in `dir`.
pub(crate) fn open(dir: &Path, options: &Options) -> Result<Opened, OpenError> {
    let found = find(dir, options.memory_bytes)?;
    let State {
        last_change: last,
        link,
        ..
    } = found.state;
    let failed = |error: io::Error| engine_error(dir, error.into());
    let (mut head, floor) = match (read_head(dir, &found), options.on_loss) {
        (Ok(read), _) => read,
        (Err(error), OnLoss::Refuse) => return Err(error),
        (Err(_), OnLoss::Accept) => {
            // From here on the store vouches for new changes only.
            let floor = last + 1;
            let mark = Mark::new(last, floor, &link);
            let head = Head::create(&dir.join(HEAD_FILE), mark).map_err(failed)?;
            (head, floor)
        }
    };
    // What was committed and not acknowledged becomes visible now, so it counts from now on.
    head.write(Mark::new(last, floor, &link)).map_err(failed)?;
    Ok(Opened { found, head, floor })
}

/// Opens what is in `dir` without a look at `HEAD`.
pub(crate) fn find(dir: &Path, memory_bytes: u64) -> Result<Found, OpenError> {
    check_format(dir)?;
    let lock = Lock::take(dir, false)?;
    check_owner(dir)?;
    let memory = Memory::divide(memory_bytes);
    let engine =
        Engine::open(&dir.join(ENGINE_DIR), &memory).map_err(|cause| engine_error(dir, cause))?;
    let view = engine.view();
    let (header, state) = read_fixed(dir, &view)?;
    let (homed, indexes) = read_meta(dir, &view)?;
    Ok(Found {
        lock,
        engine,
        header,
        state,
        homed,
        indexes,
    })
}

/// Refuses root a store of somebody else: opening one makes files, which would be root's, and its
/// owner could not open the store any more.
fn check_owner(dir: &Path) -> Result<(), OpenError> {
    let owner = fs::metadata(dir).map_err(|error| engine_error(dir, error.into()))?;
    match owner.uid() {
        owner if owner != 0 && rustix::process::geteuid().is_root() => Err(OpenError::Foreign {
            dir: dir.into(),
            owner,
        }),
        _ => Ok(()),
    }
}

/// Checks the format version before anything else is touched.
fn check_format(dir: &Path) -> Result<(), OpenError> {
    let not_a_store = |why| OpenError::NotAStore {
        dir: dir.into(),
        why,
    };
    let text = match fs::read_to_string(dir.join(FORMAT_FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(not_a_store(match dir.join(ENGINE_DIR).is_dir() {
                true => "its making or restoring was never finished; delete it and start again",
                false => "it has no file FORMAT",
            }));
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(not_a_store("its file FORMAT is not text"));
        }
        Err(error) => return Err(engine_error(dir, error.into())),
    };
    let found: u32 = text
        .strip_prefix(FORMAT_MAGIC)
        .and_then(|rest| rest.trim_end().parse().ok())
        .ok_or_else(|| not_a_store("its file FORMAT says something else"))?;
    check_version(dir, found)
}

fn check_version(dir: &Path, found: u32) -> Result<(), OpenError> {
    let (dir, known) = (PathBuf::from(dir), FORMAT_VERSION);
    match found.cmp(&known) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(OpenError::Newer { dir, found, known }),
        std::cmp::Ordering::Less => Err(OpenError::Older { dir, found, known }),
    }
}

fn read_fixed(dir: &Path, view: &View) -> Result<(Header, State), OpenError> {
    let octets = required(dir, view, Header::KEY, "store header")?;
    let (version, header) =
        Header::decode(&octets).map_err(|error| damaged(dir, "store header", &error))?;
    check_version(dir, version)?;
    let octets = required(dir, view, State::KEY, "store state")?;
    let state = State::decode(&octets).map_err(|error| damaged(dir, "store state", &error))?;
    Ok((header, state))
}

fn required(dir: &Path, view: &View, key: &[u8], what: &str) -> Result<Vec<u8>, OpenError> {
    match view.get(Space::Meta, key) {
        Ok(Some(octets)) => Ok(octets.to_vec()),
        Ok(None) => Err(OpenError::Damaged {
            dir: dir.into(),
            what: format!("the {what} is missing"),
        }),
        Err(cause) => Err(engine_error(dir, cause)),
    }
}

fn read_meta(dir: &Path, view: &View) -> Result<(Homed, Vec<IndexDef>), OpenError> {
    let mut homed = Homed::new();
    for pair in view.starting_with(Space::Meta, b"h") {
        let (key, value) = pair.map_err(|cause| engine_error(dir, cause))?;
        let handle =
            decode_homed(&value).map_err(|error| damaged(dir, "a homed prefix", &error))?;
        homed.insert(key[1..].into(), handle);
    }
    let mut indexes = Vec::new();
    for pair in view.starting_with(Space::Meta, b"i") {
        let (_, value) = pair.map_err(|cause| engine_error(dir, cause))?;
        let def = IndexDef::decode(&value)
            .map_err(|error| damaged(dir, "an index definition", &error))?;
        indexes.push(def);
    }
    Ok((homed, indexes))
}

//----------- Lock -----------------------------------------------------------

/// The right to the store in a directory; others have it again when this is dropped.
///
/// It is given back by word, not just by closing the file: a process that another thread is
/// starting holds a copy of every open file until its program has begun, and the system keeps a
/// lock for as long as anybody has a copy. A store that was closed would then be "in use".
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Lock {
    fn take(dir: &Path, create: bool) -> Result<Self, OpenError> {
        let file = OpenOptions::new()
            .write(true)
            .create(create)
            .truncate(false)
            .open(dir.join(LOCK_FILE))
            .map_err(|error| engine_error(dir, error.into()))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked { dir: dir.into() }),
            Err(TryLockError::Error(error)) => Err(engine_error(dir, error.into())),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // If it fails, the lock goes with the last copy of the file.
        let _ = self.0.unlock();
    }
}

//----------- Loss -----------------------------------------------------------

/// Compares the change log with the state and with `HEAD`: all must know the same changes. Gives
/// the open file and the lowest change that may be in a journal only.
pub(crate) fn read_head(dir: &Path, found: &Found) -> Result<(Head, u64), OpenError> {
    let unknown = |what: &str| OpenError::Damaged {
        dir: dir.into(),
        what: format!(
            "{what}, so it is not known what was acknowledged: restore a backup, or accept that \
             changes may be lost (`guantong store accept-loss`)"
        ),
    };
    let (head, mark) = match Head::open(&dir.join(HEAD_FILE)) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(unknown("HEAD is missing"));
        }
        Err(error) => return Err(engine_error(dir, error.into())),
    };
    let mark = mark.ok_or_else(|| unknown("neither slot of HEAD is valid"))?;
    let view = found.engine.view();
    check_loss(dir, &view, &found.state, mark)?;
    check_links(dir, &view, &found.state, mark)?;
    Ok((head, mark.floor))
}

/// Compares the links of the last change and of the last that was acknowledged with what the state
/// and `HEAD` remember of them.
fn check_links(dir: &Path, view: &View, state: &State, mark: Mark) -> Result<(), OpenError> {
    let link_of = |number: u64| {
        if number == 0 {
            return Ok(FIRST_LINK);
        }
        let octets = view.get(Space::Changes, &number.to_be_bytes());
        let octets = octets.map_err(|cause| engine_error(dir, cause))?;
        // It may be older than what is in journals, where a gap is looked for.
        let octets = octets.ok_or_else(|| lost(dir, number, number))?;
        entry::link_in(&octets).ok_or_else(|| rewritten(dir, number))
    };
    if link_of(state.last_change)? != state.link {
        return Err(rewritten(dir, state.last_change));
    }
    match mark.has(&link_of(mark.last)?) {
        true => Ok(()),
        false => Err(rewritten(dir, mark.last)),
    }
}

fn check_loss(dir: &Path, view: &View, state: &State, mark: Mark) -> Result<(), OpenError> {
    let engine = |cause| engine_error(dir, cause);
    if mark.last > state.last_change {
        return Err(lost(dir, state.last_change + 1, mark.last));
    }
    let floor = mark.floor.clamp(1, state.last_change + 1);
    let mut expected = floor;
    let from = floor.to_be_bytes();
    for pair in view.range(Space::Changes, Bound::Included(&from), None) {
        let (key, _) = pair.map_err(engine)?;
        let number = decode_u64(&key).map_err(|error| damaged(dir, "a change number", &error))?;
        if number > expected {
            return Err(lost(dir, expected, number.saturating_sub(1)));
        }
        expected = number.saturating_add(1);
    }
    match expected.cmp(&(state.last_change + 1)) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Less => Err(lost(dir, expected, state.last_change)),
        std::cmp::Ordering::Greater => Err(OpenError::Damaged {
            dir: dir.into(),
            what: format!(
                "the change log goes on to {} while the state ends at {}",
                expected - 1,
                state.last_change
            ),
        }),
    }
}

//----------- Errors ---------------------------------------------------------

fn lost(dir: &Path, first: u64, last: u64) -> OpenError {
    OpenError::LostChanges {
        dir: dir.into(),
        first,
        last,
    }
}

fn rewritten(dir: &Path, change: u64) -> OpenError {
    OpenError::Rewritten {
        dir: dir.into(),
        change,
    }
}

pub(crate) fn engine_error(dir: &Path, cause: Cause) -> OpenError {
    match cause {
        Cause::Damaged(what) => OpenError::Damaged {
            dir: dir.into(),
            what: what.to_string(),
        },
        cause => OpenError::Engine {
            dir: dir.into(),
            cause,
        },
    }
}

fn damaged(dir: &Path, what: &str, error: &FormError) -> OpenError {
    OpenError::Damaged {
        dir: dir.into(),
        what: format!("{what} does not decode: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `init` of one node failed now and then while other nodes were being started: the processes
    /// of the others kept the lock of the store that was just made.
    #[test]
    fn dropped_lock_is_free_although_a_copy_of_its_file_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::take(dir.path(), true).unwrap();
        let copy = lock.0.try_clone().unwrap();
        let refused = Lock::take(dir.path(), false);
        assert!(matches!(refused, Err(OpenError::Locked { .. })));
        drop(lock);
        Lock::take(dir.path(), false).unwrap();
        drop(copy);
    }
}
