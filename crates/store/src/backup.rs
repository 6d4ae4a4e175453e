//! Backup of an open store while writes go on, and restoring one into a new directory.
//!
//! A backup is the content of the key spaces at one moment, streamed into one file of checked and
//! compressed blocks, and a manifest. It does not depend on the engine: another engine could read
//! it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::iter::Peekable;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use guantong_proto::CaseRule;
use guantong_proto::wire::Reader;
use lz4_flex::block::{compress_into, decompress_into, get_maximum_output_size};
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use crate::engine::{Engine, Pair, Slice, Space, View};
use crate::entry::{self, Chain};
use crate::error::{BackupError, Cause, FormError, StoreError};
use crate::format::{Header, State, decode_u64, digest16};
use crate::head::Mark;
use crate::index::{IndexDef, IndexState};
use crate::limits::BACKUP_BLOCK_OCTETS;
use crate::open::{build, make_private_dir, sync_dir};
use crate::progress::{Meter, Report};
use crate::record;
use crate::store::Store;

/// Form of the data file and of the manifest.
const FORM: u32 = 2;
/// The form whose blocks are not compressed.
const FORM_PLAIN: u32 = 1;
const MAGIC: &[u8; 8] = b"GTBACKUP";
const DATA_FILE: &str = "data";
const MANIFEST_FILE: &str = "manifest.json";
/// Octets of a block's checksum.
const SUM_LEN: usize = 16;
/// Longest block that is read, uncompressed: one full block and one largest entry.
const BLOCK_LEN_MAX: usize = 16 * 1024 * 1024;
/// Key spaces of a backup, with their codes, in their order.
const SPACES: [(Space, u8); 3] = [(Space::Records, 1), (Space::Changes, 2), (Space::Meta, 3)];

//----------- Manifest -------------------------------------------------------

/// What a backup holds; the file `manifest.json`, written when everything else is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Form of the backup.
    pub form: u32,
    /// Identity of the store, in hexadecimal.
    pub store: String,
    /// `insensitive` or `sensitive`.
    pub case_rule: String,
    /// Number of the last change in the backup.
    pub last_change: u64,
    /// Its link, in hexadecimal: depends on every change before it.
    pub link: String,
    /// Number of records.
    pub records: u64,
    /// Number of entries of the change log.
    pub changes: u64,
    /// Octets of the data file.
    pub data_octets: u64,
    /// SHA-256 of the data file, in hexadecimal.
    pub data_sha256: String,
}

//----------- Backup ---------------------------------------------------------

impl Store {
    /// Writes a backup of this moment to the directory `to`, which must be empty or not exist.
    /// Writes to the store go on meanwhile. On return the backup is on the medium.
    ///
    /// Everything is decoded on the way, so a damaged record fails the backup.
    pub fn backup(&self, to: &Path, report: Report<'_>) -> Result<Manifest, BackupError> {
        let view = self.shared().engine.view();
        prepare_dir(to)?;
        let path = to.join(DATA_FILE);
        let at = |error: io::Error| file_error(&path, error);
        let mut writer = DataWriter::new(create_private(&path).map_err(at)?).map_err(at)?;
        let state = read_state(&view)?;
        let mut meter = Meter::new(report, state.records + state.last_change);
        let mut chain = Chain::new();
        let mut counts = [0; 3];
        for (count, (space, code)) in counts.iter_mut().zip(SPACES) {
            stop_if_asked(meter.stage(space.name()))?;
            for pair in view.starting_with(space, b"") {
                let (key, value) = pair.map_err(StoreError::Engine)?;
                let Some(value) = to_be_kept(space, &key, value, &mut chain)? else {
                    continue;
                };
                writer.entry(code, &key, &value).map_err(at)?;
                *count += 1;
                stop_if_asked(meter.step())?;
            }
        }
        if chain.link() != state.link {
            let number = state.last_change;
            return Err(StoreError::Chain { number }.into());
        }
        let (data_octets, data_sha256) = writer.finish().map_err(at)?;
        let header = self.shared().header;
        let manifest = Manifest {
            form: FORM,
            store: hex(&header.id),
            case_rule: case_rule_text(header.case_rule).to_owned(),
            last_change: state.last_change,
            link: hex(&state.link),
            records: counts[0],
            changes: counts[1],
            data_octets,
            data_sha256,
        };
        write_manifest(to, &manifest)?;
        Ok(manifest)
    }
}

fn read_state(view: &View) -> Result<State, StoreError> {
    let octets = view.get(Space::Meta, State::KEY)?.unwrap_or_default();
    State::decode(&octets).map_err(|source| StoreError::Form {
        what: "the store state".to_owned(),
        source,
    })
}

/// Checks an entry on its way into a backup. Indexes are not kept, only that they are switched on.
fn to_be_kept(
    space: Space,
    key: &[u8],
    value: Slice,
    chain: &mut Chain,
) -> Result<Option<Slice>, StoreError> {
    let damaged = |what: &str, source: FormError| StoreError::Form {
        what: format!("{what} under `{}`", String::from_utf8_lossy(key)),
        source,
    };
    match space {
        Space::Records => record::check(&value).map_err(|source| StoreError::Record {
            key: String::from_utf8_lossy(key).into_owned(),
            source,
        })?,
        Space::Changes => {
            let number = decode_u64(key).map_err(|source| damaged("the change", source))?;
            if !chain.follow(number, &value) {
                return Err(StoreError::Chain { number });
            }
            entry::decode(number, &value).map_err(|source| damaged("the change", source))?;
        }
        Space::Meta if key.first() == Some(&b'i') => {
            let mut def = IndexDef::decode(&value)
                .map_err(|source| damaged("the index definition", source))?;
            if def.state == IndexState::Dropping {
                return Ok(None);
            }
            def.state = IndexState::Building;
            def.cursor.clear();
            return Ok(Some(def.encode().into()));
        }
        Space::Meta | Space::Index => {}
    }
    Ok(Some(value))
}

//----------- DataWriter -----------------------------------------------------

struct DataWriter {
    file: BufWriter<File>,
    sum: Context,
    octets: u64,
    block: Vec<u8>,
    /// Working space: the block as it is written.
    packed: Vec<u8>,
    number: u64,
}

impl DataWriter {
    fn new(file: File) -> io::Result<Self> {
        let mut writer = Self {
            file: BufWriter::new(file),
            sum: Context::new(&SHA256),
            octets: 0,
            block: Vec::with_capacity(BACKUP_BLOCK_OCTETS + 4096),
            packed: Vec::new(),
            number: 0,
        };
        writer.write(MAGIC)?;
        writer.write(&FORM.to_be_bytes())?;
        Ok(writer)
    }

    fn entry(&mut self, space: u8, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.block.push(space);
        record::push_name(&mut self.block, key);
        let len = u32::try_from(value.len()).map_err(io::Error::other)?;
        self.block.extend_from_slice(&len.to_be_bytes());
        self.block.extend_from_slice(value);
        match self.block.len() >= BACKUP_BLOCK_OCTETS {
            true => self.flush_block(),
            false => Ok(()),
        }
    }

    fn flush_block(&mut self) -> io::Result<()> {
        let mut packed = std::mem::take(&mut self.packed);
        pack(&self.block, &mut packed)?;
        let octets_of = |block: &[u8]| u32::try_from(block.len()).map(u32::to_be_bytes);
        let len = octets_of(&packed).map_err(io::Error::other)?;
        let plain_len = octets_of(&self.block).map_err(io::Error::other)?;
        self.write(&len)?;
        self.write(&plain_len)?;
        self.write(&packed)?;
        let sum = digest16(&[&self.number.to_be_bytes(), &plain_len, &packed]);
        self.write(&sum)?;
        self.number += 1;
        self.packed = packed;
        self.block.clear();
        Ok(())
    }

    /// Ends the file and syncs it; gives its length and its SHA-256.
    fn finish(mut self) -> io::Result<(u64, String)> {
        if !self.block.is_empty() {
            self.flush_block()?;
        }
        // The empty block at the end.
        self.flush_block()?;
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        Ok((self.octets, hex(self.sum.finish().as_ref())))
    }

    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.sum.update(octets);
        self.octets += octets.len() as u64;
        self.file.write_all(octets)
    }
}

//----------- Blocks ---------------------------------------------------------

/// Compresses a block; an empty one stays so.
fn pack(block: &[u8], packed: &mut Vec<u8>) -> io::Result<()> {
    packed.clear();
    if block.is_empty() {
        return Ok(());
    }
    packed.resize(get_maximum_output_size(block.len()), 0);
    let len = compress_into(block, packed).map_err(io::Error::other)?;
    packed.truncate(len);
    Ok(())
}

/// The block that was compressed, which has `len` octets.
fn unpack(packed: &[u8], len: usize) -> Result<Vec<u8>, &'static str> {
    let mut block = vec![0; len];
    let unpacked = match packed.is_empty() {
        true => 0,
        false => {
            decompress_into(packed, &mut block).map_err(|_| "a block cannot be uncompressed")?
        }
    };
    match unpacked == len {
        true => Ok(block),
        false => Err("a block is shorter than it says"),
    }
}

//----------- Restore --------------------------------------------------------

/// Makes a store in `to`, which must be empty or not exist, from the backup in `from`.
///
/// Every block is checked. The restored store keeps its identity and its change numbers. `to`
/// becomes a store by the last step, so a restore that was interrupted leaves none.
pub fn restore(from: &Path, to: &Path, report: Report<'_>) -> Result<Manifest, BackupError> {
    let manifest = read_manifest(from)?;
    let mut meter = Meter::new(report, manifest.records + manifest.changes);
    build(to, |engine| {
        let mut data = DataReader::open(from, &manifest)?.peekable();
        let (mut chain, mut broken) = (Chain::new(), None);
        for (space, code) in SPACES {
            stop_if_asked(meter.stage(space.name()))?;
            let pairs = pairs_of(&mut data, code, &mut meter).inspect(|pair| {
                if let (Space::Changes, Ok((key, entry))) = (space, pair) {
                    // Where it breaks, everything behind has another end.
                    broken = broken.or_else(|| breaks(&mut chain, key, entry));
                }
            });
            let count = engine.ingest(space, pairs)?;
            let expected = match space {
                Space::Records => manifest.records,
                Space::Changes => manifest.changes,
                Space::Meta | Space::Index => count,
            };
            if count != expected {
                return Err(damaged(
                    from,
                    0,
                    format!("it has {count} {} instead of {expected}", space.name()),
                ));
            }
        }
        if let Some(entry) = data.next() {
            entry?;
            return Err(damaged(from, 0, "entries are out of order".to_owned()));
        }
        if let Some(number) = broken {
            let what = format!("the chain over the change log breaks at change {number}");
            return Err(damaged(from, 0, what));
        }
        check_restored(from, engine, &manifest, chain)
    })?;
    Ok(manifest)
}

/// The number of an entry of the log that does not follow the one before it.
fn breaks(chain: &mut Chain, key: &[u8], entry: &[u8]) -> Option<u64> {
    let number = decode_u64(key).unwrap_or(0);
    (!chain.follow(number, entry)).then_some(number)
}

/// Compares what was loaded with the manifest; gives what `HEAD` shall say.
fn check_restored(
    from: &Path,
    engine: &Engine,
    manifest: &Manifest,
    chain: Chain,
) -> Result<Mark, BackupError> {
    let view = engine.view();
    let octets = view
        .get(Space::Meta, Header::KEY)
        .map_err(StoreError::Engine)?
        .unwrap_or_default();
    let (_, header) = Header::decode(&octets)
        .map_err(|error| damaged(from, 0, format!("the store header: {error}")))?;
    let state = read_state(&view)?;
    let agrees = hex(&header.id) == manifest.store
        && case_rule_text(header.case_rule) == manifest.case_rule
        && state.last_change == manifest.last_change
        && state.records == manifest.records
        && state.link == chain.link()
        && hex(&state.link) == manifest.link;
    match agrees {
        true => Ok(Mark::new(
            state.last_change,
            state.last_change + 1,
            &state.link,
        )),
        false => Err(damaged(
            from,
            0,
            "the manifest and the data are of different backups".to_owned(),
        )),
    }
}

/// The entries of one key space, until one of another key space comes.
fn pairs_of(
    data: &mut Peekable<DataReader>,
    code: u8,
    meter: &mut Meter<'_>,
) -> impl Iterator<Item = Result<Pair, BackupError>> {
    std::iter::from_fn(move || {
        let entry = data.next_if(|entry| match entry {
            Ok(entry) => entry.space == code,
            Err(_) => true,
        })?;
        Some(entry.and_then(|entry| {
            stop_if_asked(meter.step())?;
            Ok((entry.key, entry.value))
        }))
    })
}

//----------- DataReader -----------------------------------------------------

struct DataEntry {
    space: u8,
    key: Slice,
    value: Slice,
}

/// Reads and checks the entries of a data file; ends after an error.
struct DataReader {
    dir: PathBuf,
    form: u32,
    file: BufReader<File>,
    sum: Context,
    sum_expected: String,
    /// Octets read.
    at: u64,
    number: u64,
    block: Vec<u8>,
    block_at: usize,
    last: Option<(u8, Slice)>,
    ended: bool,
}

impl DataReader {
    fn open(dir: &Path, manifest: &Manifest) -> Result<Self, BackupError> {
        let path = dir.join(DATA_FILE);
        let file = File::open(&path).map_err(|error| file_error(&path, error))?;
        let len = file
            .metadata()
            .map_err(|error| file_error(&path, error))?
            .len();
        if len != manifest.data_octets {
            let what = format!("it has {len} octets instead of {}", manifest.data_octets);
            return Err(damaged(dir, len.min(manifest.data_octets), what));
        }
        let mut reader = Self {
            dir: dir.to_owned(),
            form: manifest.form,
            file: BufReader::new(file),
            sum: Context::new(&SHA256),
            sum_expected: manifest.data_sha256.clone(),
            at: 0,
            number: 0,
            block: Vec::new(),
            block_at: 0,
            last: None,
            ended: false,
        };
        let start = reader.read(12)?;
        match start.starts_with(MAGIC) && start.ends_with(&manifest.form.to_be_bytes()) {
            true => Ok(reader),
            false => Err(reader.damage("it does not begin as a backup does")),
        }
    }

    fn next_entry(&mut self) -> Result<Option<DataEntry>, BackupError> {
        if self.block_at == self.block.len() && !self.next_block()? {
            return Ok(None);
        }
        let mut r = Reader::new(&self.block[self.block_at..]);
        let entry = parse_entry(&mut r);
        self.block_at += r.position();
        let Ok(entry) = entry else {
            return Err(self.damage("an entry is cut off"));
        };
        // Ascending, as the engine's bulk loading needs it.
        if let Some((space, key)) = &self.last
            && (*space, key) >= (entry.space, &entry.key)
        {
            return Err(self.damage("entries are out of order"));
        }
        self.last = Some((entry.space, entry.key.clone()));
        Ok(Some(entry))
    }

    /// Reads and checks the next block; `false` at the end.
    fn next_block(&mut self) -> Result<bool, BackupError> {
        let len = self.read_u32()?;
        let plain_len = match self.form {
            FORM_PLAIN => None,
            _ => Some(self.read_u32()?),
        };
        let is_sound = |len: u32, max| usize::try_from(len).is_ok_and(|len| len <= max);
        if !is_sound(len, get_maximum_output_size(BLOCK_LEN_MAX))
            || !is_sound(plain_len.unwrap_or(len), BLOCK_LEN_MAX)
        {
            return Err(self.damage("a block is longer than any that is written"));
        }
        let octets = self.read(len as usize)?;
        let sum = self.read(SUM_LEN)?;
        let lengths = plain_len.map(u32::to_be_bytes);
        let lengths = lengths.as_ref().map_or(&[][..], |len| &len[..]);
        if sum != digest16(&[&self.number.to_be_bytes(), lengths, &octets]) {
            return Err(self.damage("the checksum of a block does not agree"));
        }
        self.block = match plain_len {
            None => octets,
            Some(len) => unpack(&octets, len as usize).map_err(|what| self.damage(what))?,
        };
        self.block_at = 0;
        self.number += 1;
        if len > 0 {
            return Ok(true);
        }
        let sum = std::mem::replace(&mut self.sum, Context::new(&SHA256)).finish();
        match hex(sum.as_ref()) == self.sum_expected {
            true => Ok(false),
            false => Err(self.damage("the checksum of the whole does not agree")),
        }
    }

    fn read_u32(&mut self) -> Result<u32, BackupError> {
        let mut octets = [0; 4];
        octets.copy_from_slice(&self.read(4)?);
        Ok(u32::from_be_bytes(octets))
    }

    fn read(&mut self, len: usize) -> Result<Vec<u8>, BackupError> {
        let mut octets = vec![0; len];
        match self.file.read_exact(&mut octets) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(self.damage("it ends too early"));
            }
            Err(error) => return Err(file_error(&self.dir.join(DATA_FILE), error)),
        }
        self.sum.update(&octets);
        self.at += len as u64;
        Ok(octets)
    }

    fn damage(&self, what: &str) -> BackupError {
        damaged(&self.dir, self.at, what.to_owned())
    }
}

impl Iterator for DataReader {
    type Item = Result<DataEntry, BackupError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let entry = self.next_entry().transpose();
        self.ended = !matches!(entry, Some(Ok(_)));
        entry
    }
}

fn parse_entry(r: &mut Reader<'_>) -> Result<DataEntry, guantong_proto::DecodeError> {
    let space = r.u8("key space")?;
    let key_len = usize::from(r.u16("key length")?);
    let key = Slice::from(r.take("key", key_len)?);
    let value_len = r.u32("value length")? as usize;
    let value = Slice::from(r.take("value", value_len)?);
    Ok(DataEntry { space, key, value })
}

//----------- Files ----------------------------------------------------------

fn prepare_dir(dir: &Path) -> Result<(), BackupError> {
    let at = |error: io::Error| file_error(dir, error);
    make_private_dir(dir).map_err(at)?;
    match fs::read_dir(dir).map_err(at)?.next() {
        None => Ok(()),
        Some(_) => Err(BackupError::NotEmpty { dir: dir.into() }),
    }
}

/// Makes a file that only its owner can read: records may hold secret keys.
fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

fn write_manifest(dir: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    let path = dir.join(MANIFEST_FILE);
    let write = || {
        let part = dir.join("manifest.json.part");
        let mut file = create_private(&part)?;
        file.write_all(&serde_json::to_vec_pretty(manifest)?)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        sync_dir(dir)?;
        fs::rename(&part, &path)?;
        sync_dir(dir)?;
        match dir.canonicalize()?.parent() {
            Some(parent) => sync_dir(parent),
            None => Ok(()),
        }
    };
    write().map_err(|error| file_error(&path, error))
}

/// Reads the manifest of the backup in `dir`.
pub fn read_manifest(dir: &Path) -> Result<Manifest, BackupError> {
    /// The one field that every form has.
    #[derive(Deserialize)]
    struct Form {
        form: u32,
    }

    let not_a_backup = |why: String| BackupError::NotABackup {
        dir: dir.into(),
        why,
    };
    let path = dir.join(MANIFEST_FILE);
    let octets = match fs::read(&path) {
        Ok(octets) => octets,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let why = "it has no manifest.json, so it was never finished";
            return Err(not_a_backup(why.to_owned()));
        }
        Err(error) => return Err(file_error(&path, error)),
    };
    let unclear = |error: serde_json::Error| not_a_backup(format!("manifest.json: {error}"));
    let Form { form } = serde_json::from_slice(&octets).map_err(unclear)?;
    if form > FORM {
        return Err(BackupError::Newer {
            dir: dir.into(),
            found: form,
            known: FORM,
        });
    }
    serde_json::from_slice(&octets).map_err(unclear)
}

//----------- Small things ---------------------------------------------------

fn stop_if_asked(flow: std::ops::ControlFlow<()>) -> Result<(), BackupError> {
    match flow.is_break() {
        true => Err(BackupError::Cancelled),
        false => Ok(()),
    }
}

fn case_rule_text(rule: CaseRule) -> &'static str {
    match rule {
        CaseRule::Insensitive => "insensitive",
        CaseRule::Sensitive => "sensitive",
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn file_error(path: &Path, error: io::Error) -> BackupError {
    BackupError::File {
        path: path.into(),
        cause: error.into(),
    }
}

fn damaged(dir: &Path, at: u64, what: String) -> BackupError {
    BackupError::Damaged {
        dir: dir.into(),
        at,
        what,
    }
}

impl From<Cause> for BackupError {
    fn from(cause: Cause) -> Self {
        Self::Read(StoreError::Engine(cause))
    }
}

#[cfg(test)]
mod tests {
    use guantong_proto::Handle;

    use super::*;
    use crate::{Batch, Change, CreateOptions, Expect, Options, Origin, Trail};

    #[test]
    fn damaged_blocks_are_not_uncompressed() {
        let block: Vec<u8> = (0..3_000_u32).flat_map(|n| (n / 7).to_be_bytes()).collect();
        let mut packed = Vec::new();
        pack(&block, &mut packed).unwrap();
        assert!(packed.len() < block.len() / 2, "{}", packed.len());
        assert_eq!(unpack(&packed, block.len()).unwrap(), block);
        assert!(unpack(&packed, block.len() - 1).is_err());
        assert!(unpack(&packed, block.len() + 1).is_err());
        for len in 0..packed.len() {
            assert!(unpack(&packed[..len], block.len()).is_err(), "cut at {len}");
        }
        for at in 0..packed.len() {
            let mut damaged = packed.clone();
            damaged[at] ^= 0xff;
            // The checksum is what notices it; here nothing panics.
            let _ = unpack(&damaged, block.len());
        }
        pack(&[], &mut packed).unwrap();
        assert!(packed.is_empty());
        assert!(unpack(&packed, 0).unwrap().is_empty());
    }

    /// A backup all of whose checksums agree, of a log that is not the one that was written.
    #[test]
    fn backup_of_another_log_is_not_restored() {
        let dir = tempfile::tempdir().unwrap();
        let mut go_on = |_: crate::Progress| std::ops::ControlFlow::Continue(());
        let create = CreateOptions {
            case_rule: CaseRule::Insensitive,
            id: [7; 16],
        };
        let store = Store::create(&dir.path().join("store"), &create, &Options::default());
        let store = store.unwrap();
        let put = |name: &str| Change::Put {
            handle: Handle::parse(name).unwrap(),
            values: vec![0; 4],
            expect: Expect::Absent,
        };
        let batch = Batch {
            changes: ["1/a", "1/b", "1/c"].map(put).to_vec(),
            at_ms: 1,
            origin: Origin::Import,
            trail: Trail::default(),
        };
        store.submit(batch).wait().unwrap();
        let from = dir.path().join("backup");
        let mut manifest = store.backup(&from, &mut go_on).unwrap();

        let file = File::create(from.join(DATA_FILE)).unwrap();
        let mut writer = DataWriter::new(file).unwrap();
        let view = store.shared().engine.view();
        for (space, code) in SPACES {
            for pair in view.starting_with(space, b"") {
                let (key, value) = pair.unwrap();
                let mut value = value.to_vec();
                if space == Space::Changes && key.ends_with(&[2]) {
                    value[10] ^= 1;
                }
                writer.entry(code, &key, &value).unwrap();
            }
        }
        (manifest.data_octets, manifest.data_sha256) = writer.finish().unwrap();
        fs::remove_file(from.join(MANIFEST_FILE)).unwrap();
        write_manifest(&from, &manifest).unwrap();
        let error = restore(&from, &dir.path().join("to"), &mut go_on).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("breaks at change 2"), "{error}");
    }
}
