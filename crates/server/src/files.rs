//! Files that registrations name: their octets by digest, and a name for each upload.
//!
//! ```text
//!  files/incoming/<number>       what is being received; emptied at the start
//!  files/content/<2>/<SHA-256>   octets, each once however often they were sent
//!  files/names/<2>/<number>.json what is known of an upload
//!  files/unnamed/<number>        that no value was seen to name it yet; see `clear`
//! ```
//!
//! Nothing that a client says becomes a path: a name is a number of 128 random bits and a suffix,
//! and only the number, written anew, is looked for. Octets are kept as they came; nothing is
//! unpacked, and nothing is guessed from them.

pub(crate) mod clear;
pub mod copy;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use guantong_store::StoreError;
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use tokio::fs;
use tokio::io::AsyncWriteExt;
use tokio::sync::OnceCell;

use self::clear::Busy;
use self::copy::Shelf;
use crate::config::FilesConfig;
use crate::errand::locked;

/// Most characters of a suffix; those of templates are shorter.
const SUFFIX_CHARS_MAX: usize = 10;
/// Most octets of what is known of an upload; all its parts are bounded.
const ENTRY_OCTETS_MAX: u64 = 16 * 1024;

//----------- FileName -------------------------------------------------------

/// What a file is called in values: `6f9619ff-8b86-4d01-b42d-00cf4fc964ff.pdf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileName {
    number: u128,
    suffix: String,
}

impl FileName {
    /// A new name from random bits.
    pub(crate) fn new(random: [u8; 16], suffix: &str) -> Option<Self> {
        let suffix = suffix.to_ascii_lowercase();
        let number = u128::from_be_bytes(random);
        is_suffix(&suffix).then_some(Self { number, suffix })
    }

    /// The first 24 hexadecimal digits of the number.
    pub(crate) fn id(&self) -> String {
        format!("{:024x}", self.number >> 32)
    }
}

fn is_suffix(suffix: &str) -> bool {
    let is_part = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit();
    (1..=SUFFIX_CHARS_MAX).contains(&suffix.len()) && suffix.bytes().all(is_part)
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:032x}", self.number);
        let (a, rest) = digits.split_at(8);
        let (b, rest) = rest.split_at(4);
        let (c, rest) = rest.split_at(4);
        let (d, e) = rest.split_at(4);
        write!(f, "{a}-{b}-{c}-{d}-{e}.{}", self.suffix)
    }
}

impl FromStr for FileName {
    type Err = NoFileName;

    fn from_str(text: &str) -> Result<Self, NoFileName> {
        let (digits, suffix) = text.split_once('.').ok_or(NoFileName)?;
        let hex: String = digits.split('-').collect();
        let is_hex = hex.len() == 32 && hex.bytes().all(|octet| octet.is_ascii_hexdigit());
        let number = u128::from_str_radix(&hex, 16).map_err(|_| NoFileName)?;
        let name = Self::new(number.to_be_bytes(), suffix).filter(|_| is_hex);
        let name = name.ok_or(NoFileName)?;
        // What is written otherwise is no name that was ever given.
        match name.to_string().eq_ignore_ascii_case(text) {
            true => Ok(name),
            false => Err(NoFileName),
        }
    }
}

/// The text is no name of a file of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no name that this node gave to a file")]
pub(crate) struct NoFileName;

//----------- Upload ---------------------------------------------------------

/// What is known of an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Upload {
    /// Digest of the octets, 64 hexadecimal digits.
    pub(crate) sha256: String,
    /// How many octets there are.
    pub(crate) size: u64,
    /// The template that it was sent for.
    pub(crate) template: String,
    /// The field of the template.
    pub(crate) field: String,
    /// Who sent it, as `index:handle`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) by: Option<String>,
    /// When, in seconds since 1970.
    pub(crate) at: u32,
}

/// What a file is for.
#[derive(Clone, Debug)]
pub(crate) struct Purpose {
    pub(crate) template: String,
    pub(crate) field: String,
    pub(crate) by: Option<String>,
    pub(crate) at: u32,
    /// The last change before it came.
    pub(crate) since: u64,
}

//----------- Files ----------------------------------------------------------

/// The files of a node.
#[derive(Debug)]
pub(crate) struct Files {
    config: FilesConfig,
    used: OnceCell<AtomicU64>,
    busy: Mutex<Busy>,
    /// Held while uploads are cleared away, and while they are copied.
    clearing: Arc<Mutex<()>>,
}

impl Files {
    /// The files of a folder, which is made when the first one comes.
    pub(crate) fn new(config: FilesConfig) -> Self {
        Self {
            config,
            used: OnceCell::new(),
            busy: Mutex::default(),
            clearing: Arc::default(),
        }
    }

    /// The files for whoever copies them.
    pub(crate) fn shelf(&self) -> Shelf {
        Shelf {
            folder: self.config.folder.clone(),
            clearing: self.clearing.clone(),
        }
    }

    /// Begins to receive a file.
    pub(crate) async fn receive(&self, name: FileName) -> Result<Incoming<'_>, FileError> {
        let used = self.used.get_or_try_init(|| self.measure()).await?;
        let folder = self.config.folder.join("incoming");
        fs::create_dir_all(&folder).await?;
        let path = folder.join(format!("{:032x}", name.number));
        let file = fs::File::create_new(&path).await?;
        Ok(Incoming {
            files: self,
            used,
            name,
            path: Some(path),
            file,
            digest: Context::new(&SHA256),
            size: 0,
        })
    }

    /// What is known of a file; `None` if there is none of that name.
    pub(crate) async fn find(&self, name: &FileName) -> Result<Option<Upload>, FileError> {
        let path = self.entry_path(name.number);
        let read = tokio::task::spawn_blocking(move || read_entry(&path)).await;
        read.unwrap_or_else(|_| Err(io::Error::other("the node stops").into()))
    }

    /// The octets of an upload.
    pub(crate) async fn open(&self, upload: &Upload) -> Result<fs::File, FileError> {
        match is_digest(&upload.sha256) {
            true => Ok(fs::File::open(self.content_path(&upload.sha256)).await?),
            false => Err(FileError::Damaged),
        }
    }

    fn entry_path(&self, number: u128) -> PathBuf {
        let number = format!("{number:032x}");
        let folder = self.config.folder.join("names").join(&number[..2]);
        folder.join(format!("{number}.json"))
    }

    fn content_path(&self, sha256: &str) -> PathBuf {
        let folder = self.config.folder.join("content");
        folder
            .join(sha256.get(..2).unwrap_or_default())
            .join(sha256)
    }

    /// Counts what there is, and clears away what was not received to its end.
    async fn measure(&self) -> Result<AtomicU64, FileError> {
        match fs::remove_dir_all(self.config.folder.join("incoming")).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut total = 0_u64;
        for folder in entries(&self.config.folder.join("content")).await? {
            for file in entries(&folder).await? {
                total = total.saturating_add(fs::metadata(&file).await?.len());
            }
        }
        Ok(AtomicU64::new(total))
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|octet| octet.is_ascii_hexdigit())
}

/// What is known of an upload; `None` if there is no such file.
fn read_entry(path: &Path) -> Result<Option<Upload>, FileError> {
    let text = match std::fs::metadata(path) {
        Ok(data) if data.len() <= ENTRY_OCTETS_MAX => std::fs::read(path)?,
        Ok(_) => return Err(FileError::Damaged),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|_| FileError::Damaged)
}

async fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut reader = match fs::read_dir(folder).await {
        Ok(reader) => reader,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = Vec::new();
    while let Some(entry) = reader.next_entry().await? {
        paths.push(entry.path());
    }
    Ok(paths)
}

//----------- Incoming -------------------------------------------------------

/// A file that is being received. Dropped before its end, nothing of it stays.
pub(crate) struct Incoming<'a> {
    files: &'a Files,
    used: &'a AtomicU64,
    name: FileName,
    /// Where its octets are, as long as they are in the way.
    path: Option<PathBuf>,
    file: fs::File,
    digest: Context,
    size: u64,
}

impl Incoming<'_> {
    /// Takes octets.
    pub(crate) async fn write(&mut self, octets: &[u8]) -> Result<(), FileError> {
        let config = &self.files.config;
        let more = u64::try_from(octets.len()).unwrap_or(u64::MAX);
        if self.size.saturating_add(more) > config.file_max {
            let limit = config.file_max;
            return Err(FileError::TooLong { limit });
        }
        // Several may be under way: each counts before it writes.
        if self
            .used
            .fetch_add(more, Ordering::Relaxed)
            .saturating_add(more)
            > config.total_max
        {
            self.used.fetch_sub(more, Ordering::Relaxed);
            let limit = config.total_max;
            return Err(FileError::Full { limit });
        }
        self.size += more;
        self.digest.update(octets);
        Ok(self.file.write_all(octets).await?)
    }

    /// Keeps the file, on disk for good.
    pub(crate) async fn keep(mut self, purpose: Purpose) -> Result<(FileName, Upload), FileError> {
        self.file.sync_all().await?;
        let digest = std::mem::replace(&mut self.digest, Context::new(&SHA256)).finish();
        let sha256 = digest
            .as_ref()
            .iter()
            .map(|octet| format!("{octet:02x}"))
            .collect();
        let upload = Upload {
            sha256,
            size: self.size,
            template: purpose.template,
            field: purpose.field,
            by: purpose.by,
            at: purpose.at,
        };
        locked(&self.files.busy).begin(&upload.sha256);
        let files = self.files;
        let kept = self.keep_as(&upload, purpose.since).await;
        locked(&files.busy).end(&upload.sha256);
        Ok((kept?, upload))
    }

    async fn keep_as(mut self, upload: &Upload, since: u64) -> Result<FileName, FileError> {
        let content = self.files.content_path(&upload.sha256);
        if fs::try_exists(&content).await? {
            // The octets are there; those that came are dropped with their count.
            self.discard().await?;
        } else if let Some(path) = self.path.as_deref() {
            move_to(path, &content).await?;
            self.path = None;
        }
        let number = self.name.number;
        // Papers of enterprises that apply are in no field of a template, and stay.
        if !upload.template.is_empty() {
            let unnamed = self.files.unnamed_path(number);
            self.put(since.to_string().as_bytes(), &unnamed).await?;
        }
        let entry = serde_json::to_vec(upload).map_err(|_| FileError::Damaged)?;
        self.put(&entry, &self.files.entry_path(number)).await?;
        Ok(self.name.clone())
    }

    /// Writes a small file of this upload whole, for good.
    async fn put(&self, octets: &[u8], to: &Path) -> Result<(), FileError> {
        let incoming = self.files.config.folder.join("incoming");
        let path = incoming.join(format!("{:032x}.json", self.name.number));
        let mut file = fs::File::create_new(&path).await?;
        file.write_all(octets).await?;
        file.sync_all().await?;
        Ok(move_to(&path, to).await?)
    }

    async fn discard(&mut self) -> Result<(), FileError> {
        if let Some(path) = self.path.take() {
            self.used.fetch_sub(self.size, Ordering::Relaxed);
            fs::remove_file(&path).await?;
        }
        Ok(())
    }
}

impl Drop for Incoming<'_> {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            self.used.fetch_sub(self.size, Ordering::Relaxed);
            // What stays is cleared away at the next start.
            drop(std::fs::remove_file(path));
        }
    }
}

/// Moves a file into a folder that may not be there yet, for good.
async fn move_to(from: &Path, to: &Path) -> io::Result<()> {
    let folder = to.parent().unwrap_or(to);
    fs::create_dir_all(folder).await?;
    fs::rename(from, to).await?;
    fs::File::open(folder).await?.sync_all().await
}

//----------- FileError ------------------------------------------------------

/// Why a file is not kept, or not given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum FileError {
    #[error("the file has more than {limit} octets, the limit that `files.file_max` sets")]
    TooLong { limit: u64 },
    #[error("there is no room: all files together have {limit} octets, as `files.total_max` sets")]
    Full { limit: u64 },
    #[error("there is no room on the disk of the node; nothing of the file was kept")]
    NoSpace,
    #[error("what the node knows of the file is damaged")]
    Damaged,
    #[error("the node could not write or read its files: {0}")]
    Disk(io::Error),
    #[error("what names files could not be read from the store: {0}")]
    Store(StoreError),
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace,
            _ => Self::Disk(error),
        }
    }
}

impl From<FileError> for io::Error {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Disk(error) => error,
            error => Self::other(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Span;

    fn files(file_max: u64, total_max: u64) -> (tempfile::TempDir, Files) {
        let folder = tempfile::tempdir().unwrap();
        let config = FilesConfig {
            folder: folder.path().join("files"),
            file_max,
            total_max,
            unnamed_time: Span::secs(86_400),
        };
        (folder, Files::new(config))
    }

    fn name(number: u8) -> FileName {
        FileName::new([number; 16], "pdf").unwrap()
    }

    fn purpose() -> Purpose {
        Purpose {
            template: "88.1/META_a".to_owned(),
            field: "paper".to_owned(),
            by: None,
            at: 7,
            since: 3,
        }
    }

    async fn send(files: &Files, number: u8, octets: &[u8]) -> Result<Upload, FileError> {
        let mut incoming = files.receive(name(number)).await?;
        for part in octets.chunks(3) {
            incoming.write(part).await?;
        }
        Ok(incoming.keep(purpose()).await?.1)
    }

    #[test]
    fn names_are_numbers_and_nothing_else_is_one() {
        let name = FileName::new([0xab; 16], "PDF").unwrap();
        let text = name.to_string();
        assert_eq!(text, "abababab-abab-abab-abab-abababababab.pdf");
        assert_eq!(text.parse(), Ok(name.clone()));
        assert_eq!(name.id().len(), 24);
        for bad in [
            "",
            "x.pdf",
            "../../etc/passwd",
            "abababab-abab-abab-abab-abababababab",
            "abababab-abab-abab-abab-abababababab.",
            "abababab-abab-abab-abab-abababababab.p/f",
            "abababab-abab-abab-abab-abababababab.pdf.exe",
            "abababababababababababababababab.pdf",
            "+bababab-abab-abab-abab-abababababab.pdf",
            "abababab-abab-abab-abab-abababababab.longersuffix",
        ] {
            assert_eq!(bad.parse::<FileName>(), Err(NoFileName), "{bad}");
        }
    }

    #[tokio::test]
    async fn file_is_kept_once_however_often_it_is_sent() {
        let (_folder, files) = files(100, 100);
        let first = send(&files, 1, b"some octets").await.unwrap();
        let second = send(&files, 2, b"some octets").await.unwrap();
        assert_eq!(first.sha256, second.sha256);
        assert_eq!(files.used.get().unwrap().load(Ordering::Relaxed), 11);
        assert_eq!(files.find(&name(2)).await.unwrap(), Some(second.clone()));
        assert!(files.find(&name(3)).await.unwrap().is_none());
        let mut file = files.open(&second).await.unwrap();
        let mut octets = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut file, &mut octets)
            .await
            .unwrap();
        assert_eq!(octets, b"some octets");
    }

    #[tokio::test]
    async fn files_above_a_limit_leave_nothing_and_no_count() {
        let (_folder, files) = files(10, 15);
        let long = send(&files, 1, &[7; 11]).await;
        assert!(matches!(long, Err(FileError::TooLong { limit: 10 })));
        send(&files, 2, &[7; 10]).await.unwrap();
        let full = send(&files, 3, &[8; 6]).await;
        assert!(matches!(full, Err(FileError::Full { limit: 15 })));
        // What is cut off in the middle gives its room back.
        let mut cut = files.receive(name(4)).await.unwrap();
        cut.write(&[9; 5]).await.unwrap();
        drop(cut);
        send(&files, 5, &[8; 5]).await.unwrap();
        let left = entries(&files.config.folder.join("incoming"))
            .await
            .unwrap();
        assert!(left.is_empty(), "{left:?}");
    }

    #[tokio::test]
    async fn restarted_node_counts_what_there_is() {
        let (_folder, first) = files(100, 100);
        send(&first, 1, &[1; 40]).await.unwrap();
        let mut cut = first.receive(name(2)).await.unwrap();
        cut.write(&[2; 30]).await.unwrap();
        std::mem::forget(cut);
        let second = Files::new(first.config.clone());
        send(&second, 3, &[3; 5]).await.unwrap();
        assert_eq!(second.used.get().unwrap().load(Ordering::Relaxed), 45);
    }

    #[tokio::test]
    async fn damaged_entries_are_told_and_open_nothing() {
        let (_folder, files) = files(100, 100);
        let upload = send(&files, 1, b"x").await.unwrap();
        std::fs::write(files.entry_path(name(1).number), "{").unwrap();
        assert!(matches!(
            files.find(&name(1)).await,
            Err(FileError::Damaged)
        ));
        for sha256 in ["", "../../../etc/passwd", &"é".repeat(32)] {
            let sha256 = sha256.to_owned();
            let damaged = Upload {
                sha256,
                ..upload.clone()
            };
            assert!(matches!(
                files.open(&damaged).await,
                Err(FileError::Damaged)
            ));
        }
    }
}
