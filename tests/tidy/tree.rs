//! The files of the repository, read once.
//!
//! Walks the directory instead of asking git, so that the rules also hold for an unpacked release
//! archive. Build output and recorded data are left out.

use std::fs;
use std::path::{Path, PathBuf};

/// Directories that hold nothing written by hand.
const SKIPPED_DIRECTORIES: &[&str] = &["target", "node_modules", "corpus", "artifacts"];

/// Endings of files that people write.
const TEXT_ENDINGS: &[&str] = &[
    "rs", "toml", "md", "sh", "py", "java", "xml", "js", "css", "html", "service", "yml",
];

/// Scripts that have no ending.
const SCRIPTS: &[&str] = &[
    "test",
    ".ci/run",
    "bench/run",
    "fuzz/run",
    "tests/interop/run",
    "tests/interop/with-node",
];

/// One text file of the repository.
#[derive(Debug, Clone)]
pub(crate) struct TextFile {
    /// Path from the root of the repository, with `/`.
    pub(crate) path: String,
    /// Content.
    pub(crate) text: String,
}

impl TextFile {
    /// The part of the name after the last dot; scripts without an ending count as `sh`.
    pub(crate) fn ending(&self) -> &str {
        if SCRIPTS.contains(&self.path.as_str()) {
            return "sh";
        }
        self.path.rsplit_once('.').map_or("", |(_, ending)| ending)
    }
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every text file of the repository, ordered by path.
pub(crate) fn files() -> Vec<TextFile> {
    let root = root();
    let mut found = Vec::new();
    walk(&root, &root, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(
        found.len() > 20,
        "the walk over {} found almost nothing",
        root.display()
    );
    found
}

/// Every Rust file of the repository, ordered by path.
pub(crate) fn rust_files() -> Vec<TextFile> {
    files()
        .into_iter()
        .filter(|file| file.ending() == "rs")
        .collect()
}

fn walk(root: &Path, directory: &Path, found: &mut Vec<TextFile>) {
    let entries = fs::read_dir(directory).expect("a directory of the repository can be listed");
    for entry in entries {
        let path = entry.expect("a directory entry can be read").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            let hidden = name.starts_with('.') && name != ".ci";
            if !hidden && !SKIPPED_DIRECTORIES.contains(&name.as_str()) {
                walk(root, &path, found);
            }
            continue;
        }
        let relative = path
            .strip_prefix(root)
            .expect("the walk started at the root");
        let relative = relative.to_string_lossy().replace('\\', "/");
        let by_hand = path
            .extension()
            .is_some_and(|e| TEXT_ENDINGS.iter().any(|t| e == *t));
        if !by_hand && !SCRIPTS.contains(&relative.as_str()) {
            continue;
        }
        let text = fs::read_to_string(&path);
        assert!(text.is_ok(), "{relative} is not UTF-8 text: {text:?}");
        let text = text.unwrap_or_default();
        found.push(TextFile {
            path: relative,
            text,
        });
    }
}
