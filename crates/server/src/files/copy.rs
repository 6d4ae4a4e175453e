//! Files in a backup, and out of it.
//!
//! ```text
//!  DIR/files/content/<2>/<SHA-256>   as in the folder of the node
//!  DIR/files/names/<2>/<number>.json
//!  DIR/files.json                    how many there are, and the digest of their list; written last
//! ```
//!
//! They are copied after the records. A value can name an upload only after it has come, and what a
//! value has named is never cleared away; so every file is there that a record of the backup names.
//! Octets are checked against their digests on the way out, and on the way back in.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use super::clear::paths;
use super::{FileError, is_digest, read_entry};
use crate::errand::locked;

/// Form of the files of a backup.
const FORM: u32 = 1;
/// Folder of the files in a backup.
const FOLDER: &str = "files";
/// What says how many there are.
const LIST: &str = "files.json";
/// Octets that are copied at a time.
const AT_A_TIME: usize = 256 * 1024;
/// Longest list that is read.
const LIST_OCTETS_MAX: u64 = 4 * 1024;

/// The files of a node, for whoever copies them.
#[derive(Clone, Debug)]
pub struct Shelf {
    /// Where they are.
    pub folder: PathBuf,
    /// Held while some are cleared away.
    pub(crate) clearing: Arc<Mutex<()>>,
}

impl Shelf {
    /// The files of a node that does not run.
    pub fn at(folder: PathBuf) -> Self {
        Self {
            folder,
            clearing: Arc::default(),
        }
    }
}

/// What a backup has of files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FilesManifest {
    /// Form of the files.
    pub form: u32,
    /// How many uploads there are.
    pub uploads: u64,
    /// How many octets they have; equal ones count once.
    pub octets: u64,
    /// Digest of the list of all, in hexadecimal.
    pub list_sha256: String,
}

/// What is known of a folder of files: digests and octets of contents, and the uploads by number.
#[derive(Default)]
struct Listed {
    contents: BTreeMap<String, u64>,
    uploads: BTreeMap<String, String>,
}

impl Listed {
    fn manifest(&self) -> FilesManifest {
        let mut sum = Context::new(&SHA256);
        for (number, sha256) in &self.uploads {
            sum.update(format!("{number} {sha256}\n").as_bytes());
        }
        FilesManifest {
            form: FORM,
            uploads: self.uploads.len() as u64,
            octets: self.contents.values().sum(),
            list_sha256: hex(sum.finish().as_ref()),
        }
    }
}

//----------- Backup ---------------------------------------------------------

/// Copies the files of a node, if it has any, into a backup whose records are there.
pub fn back_up(shelf: Option<&Shelf>, to: &Path) -> Result<FilesManifest, CopyError> {
    let listed = match shelf {
        None => Listed::default(),
        Some(shelf) => {
            // What was listed must not be cleared away before it is copied.
            let _alone = locked(&shelf.clearing);
            copy(&shelf.folder, &to.join(FOLDER))?
        }
    };
    let manifest = listed.manifest();
    let path = to.join(LIST);
    let text = serde_json::to_vec_pretty(&manifest).map_err(io::Error::other);
    let written = text.and_then(|text| {
        let mut file = private(&path)?;
        file.write_all(&text)?;
        file.sync_all()
    });
    written.map_err(at(&path))?;
    sync_folder(to)?;
    Ok(manifest)
}

/// What the backup in a folder has of files.
pub fn read_manifest(from: &Path) -> Result<FilesManifest, CopyError> {
    let path = from.join(LIST);
    let data = match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(CopyError::NoList { path });
        }
        data => data.map_err(at(&path))?,
    };
    let damaged = |why: &str| CopyError::Damaged {
        path: path.clone(),
        why: why.to_owned(),
    };
    if data.len() > LIST_OCTETS_MAX {
        return Err(damaged("it is too long"));
    }
    let text = fs::read(&path).map_err(at(&path))?;
    let manifest: FilesManifest =
        serde_json::from_slice(&text).map_err(|error| damaged(&error.to_string()))?;
    match manifest.form {
        FORM => Ok(manifest),
        _ => Err(damaged("it is of a newer form: use a newer version")),
    }
}

/// Puts the files of a backup into a folder that is empty or not there. If anything is wrong with
/// them, nothing stays there.
pub fn restore(from: &Path, to: &Path) -> Result<FilesManifest, CopyError> {
    let manifest = read_manifest(from)?;
    if manifest.uploads == 0 {
        return Ok(manifest);
    }
    if !paths(to).map_err(of_files(to))?.is_empty() {
        return Err(CopyError::NotEmpty { path: to.into() });
    }
    let copied = copy(&from.join(FOLDER), to).and_then(|listed| {
        let found = listed.manifest();
        match found == manifest {
            true => Ok(manifest),
            false => Err(CopyError::Damaged {
                path: from.join(FOLDER),
                why: format!(
                    "there are {} uploads and {} octets, and not all of the list",
                    found.uploads, found.octets
                ),
            }),
        }
    });
    copied.inspect_err(|_| {
        // What was copied is of a backup that is not whole.
        drop(fs::remove_dir_all(to));
    })
}

//----------- Copying --------------------------------------------------------

/// Copies contents and uploads. Each must be what its name says, and each upload has its octets.
fn copy(from: &Path, to: &Path) -> Result<Listed, CopyError> {
    let mut listed = Listed::default();
    // Uploads first: one that comes meanwhile is not among them, and has its octets or not.
    for path in all(&from.join("names"))? {
        let Some(upload) = read_entry(&path).map_err(of_files(&path))? else {
            continue;
        };
        let damaged = |why: &str| CopyError::Damaged {
            path: path.clone(),
            why: why.to_owned(),
        };
        let number = path.file_stem().and_then(|stem| stem.to_str());
        let number = number.ok_or_else(|| damaged("it is no upload"))?;
        if !is_digest(&upload.sha256) {
            return Err(damaged("it names no digest"));
        }
        let (folder, sha256) = (&upload.sha256[..2], &upload.sha256);
        let place = Path::new("content").join(folder).join(sha256);
        if !listed.contents.contains_key(sha256) {
            let octets = copy_checked(&from.join(&place), &to.join(&place), sha256)?;
            listed.contents.insert(sha256.clone(), octets);
        }
        if listed.contents.get(sha256) != Some(&upload.size) {
            return Err(damaged("its octets are not as many as it says"));
        }
        listed.uploads.insert(number.to_owned(), sha256.clone());
        let name = path.file_name().unwrap_or_default();
        let place = to.join("names").join(&number[..number.len().min(2)]);
        copy_small(&path, &place.join(name))?;
    }
    for kind in ["content", "names"] {
        for folder in paths(&to.join(kind)).map_err(of_files(to))? {
            sync_folder(&folder)?;
        }
    }
    Ok(listed)
}

/// What is in the folders of a folder.
fn all(folder: &Path) -> Result<Vec<PathBuf>, CopyError> {
    let mut all = Vec::new();
    for folder in paths(folder).map_err(of_files(folder))? {
        all.extend(paths(&folder).map_err(of_files(&folder))?);
    }
    Ok(all)
}

/// Copies octets that must have this digest; how many.
fn copy_checked(from: &Path, to: &Path, sha256: &str) -> Result<u64, CopyError> {
    let mut source = fs::File::open(from).map_err(at(from))?;
    let mut target = below(to)?;
    let (mut sum, mut count) = (Context::new(&SHA256), 0);
    let mut buffer = vec![0; AT_A_TIME];
    loop {
        let read = source.read(&mut buffer).map_err(at(from))?;
        if read == 0 {
            break;
        }
        sum.update(&buffer[..read]);
        target.write_all(&buffer[..read]).map_err(at(to))?;
        count += read as u64;
    }
    target.sync_all().map_err(at(to))?;
    match hex(sum.finish().as_ref()).eq_ignore_ascii_case(sha256) {
        true => Ok(count),
        false => Err(CopyError::Damaged {
            path: from.into(),
            why: "its octets are not those that its name says".to_owned(),
        }),
    }
}

fn copy_small(from: &Path, to: &Path) -> Result<(), CopyError> {
    let octets = fs::read(from).map_err(at(from))?;
    let mut target = below(to)?;
    target.write_all(&octets).map_err(at(to))?;
    target.sync_all().map_err(at(to))
}

/// A new file in a folder that may not be there yet.
fn below(path: &Path) -> Result<fs::File, CopyError> {
    let folder = path.parent().unwrap_or(path);
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(folder).map_err(at(folder))?;
    private(path).map_err(at(path))
}

fn private(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(path)
}

fn sync_folder(folder: &Path) -> Result<(), CopyError> {
    let synced = fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(at(folder))
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

//----------- CopyError ------------------------------------------------------

/// Why files are not copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The backup says nothing of files.
    #[error(
        "{} is not there: the backup was cut off, or made without files; --no-files restores the \
         records alone", path.display()
    )]
    NoList {
        /// What is not there.
        path: PathBuf,
    },
    /// The target is taken.
    #[error("{} is not empty: give a folder that is empty or does not exist", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// What is there is not what it should be.
    #[error("{}: {why}", path.display())]
    Damaged {
        /// What.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Disk {
        /// What.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> CopyError + use<> {
    let path = path.to_owned();
    move |source| CopyError::Disk { path, source }
}

fn of_files(path: &Path) -> impl FnOnce(FileError) -> CopyError + use<> {
    let path = path.to_owned();
    move |error| match error {
        FileError::Disk(source) => CopyError::Disk { path, source },
        error => CopyError::Damaged {
            path,
            why: error.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FileName, Files, Purpose};
    use super::*;
    use crate::config::{FilesConfig, Span};

    /// Three uploads, two of which have the same octets.
    async fn shelf(folder: &Path) -> Shelf {
        let files = Files::new(FilesConfig {
            folder: folder.join("files"),
            file_max: 1_000,
            total_max: 1_000,
            unnamed_time: Span::secs(60),
        });
        for (number, octets) in [(1, "one"), (2, "one"), (3, "another")] {
            let name = FileName::new([number; 16], "pdf").unwrap();
            let mut incoming = files.receive(name).await.unwrap();
            incoming.write(octets.as_bytes()).await.unwrap();
            let purpose = Purpose {
                template: "88.1/META_a".to_owned(),
                field: "paper".to_owned(),
                by: None,
                at: 7,
                since: 0,
            };
            incoming.keep(purpose).await.unwrap();
        }
        files.shelf()
    }

    /// Any file of a content in a folder of files.
    fn some_content(folder: &Path) -> PathBuf {
        all(&folder.join("content")).unwrap().remove(0)
    }

    #[tokio::test]
    async fn files_of_a_backup_are_restored_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = shelf(folder.path()).await;
        let (backup, to) = (folder.path().join("backup"), folder.path().join("again"));
        fs::create_dir(&backup).unwrap();
        let manifest = back_up(Some(&shelf), &backup).unwrap();
        assert_eq!((manifest.uploads, manifest.octets), (3, 10));
        assert_eq!(restore(&backup, &to).unwrap(), manifest);
        for kind in ["content", "names"] {
            let (old, new) = (
                all(&shelf.folder.join(kind)).unwrap(),
                all(&to.join(kind)).unwrap(),
            );
            assert_eq!(old.len(), new.len());
            for (old, new) in old.iter().zip(&new) {
                assert_eq!(old.file_name(), new.file_name());
                assert_eq!(fs::read(old).unwrap(), fs::read(new).unwrap());
            }
        }
        // What is there is not written over.
        assert!(matches!(
            restore(&backup, &to),
            Err(CopyError::NotEmpty { .. })
        ));
    }

    #[tokio::test]
    async fn damaged_files_are_neither_backed_up_nor_restored() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = shelf(folder.path()).await;
        let (backup, to) = (folder.path().join("backup"), folder.path().join("again"));
        fs::create_dir(&backup).unwrap();
        back_up(Some(&shelf), &backup).unwrap();
        let content = some_content(&backup.join(FOLDER));
        let octets = fs::read(&content).unwrap();
        fs::write(&content, "other").unwrap();
        assert!(matches!(
            restore(&backup, &to),
            Err(CopyError::Damaged { .. })
        ));
        assert!(!to.exists());
        fs::write(&content, octets).unwrap();
        let name = all(&backup.join(FOLDER).join("names")).unwrap().remove(0);
        fs::remove_file(name).unwrap();
        let lost = restore(&backup, &to).unwrap_err().to_string();
        assert!(lost.contains("there are 2 uploads"), "{lost}");
        fs::remove_file(backup.join(LIST)).unwrap();
        assert!(matches!(
            restore(&backup, &to),
            Err(CopyError::NoList { .. })
        ));
        // A backup that holds what is damaged already would be found out too late.
        fs::write(some_content(&shelf.folder), "other").unwrap();
        let again = folder.path().join("backup2");
        fs::create_dir(&again).unwrap();
        assert!(matches!(
            back_up(Some(&shelf), &again),
            Err(CopyError::Damaged { .. })
        ));
    }
}
