//! Clearing away uploads that no value has ever named.
//!
//! ```text
//!  files/unnamed/<number>   an upload that no value was seen to name, with the number of the last
//!                           change before it came
//! ```
//!
//! A value can name an upload only after it has come. So the changes since then are looked at, what
//! they wrote and what they replaced, in one snapshot of the store: an upload that is named there
//! is kept for good, since whatever was written once can be brought back by undoing changes. One
//! that nothing names after its time goes, and its octets with it if no other upload has the same.
//!
//! Each change is looked at once: `files/unnamed/through` says up to which one they were. A store
//! that ends before that was restored from a backup; then it is not known any more what names what,
//! and everything that is there is kept.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use guantong_store::{Entry, Snapshot, Store, StoreError};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::{FileError, Files, Upload, is_digest, read_entry};
use crate::errand::locked;
use crate::node::Node;
use crate::shutdown::Stop;

/// Folder of the uploads that no value was seen to name.
pub(super) const UNNAMED: &str = "unnamed";
/// File in it that says up to which change names were looked for.
const THROUGH: &str = "through";
/// Changes that are read at a time; each has up to a MiB.
const CHANGES_AT_ONCE: usize = 16;
/// The walk rests so many times as long as it works.
const REST: u32 = 4;
/// From the end of one walk to the beginning of the next.
const PAUSE: Duration = Duration::from_secs(3_600);
/// Characters of a name in front of its suffix.
const NAME_LEN: usize = 36;

/// What a walk came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cleared {
    /// Changes that were looked at.
    pub(crate) changes: u64,
    /// Uploads that went.
    pub(crate) uploads: u64,
    /// Octets that went with them.
    pub(crate) octets: u64,
}

//----------- watch ----------------------------------------------------------

/// Clears away what nothing names, again and again until it is time to stop.
pub(crate) async fn watch(node: Arc<Node>, stop: Stop) {
    let walk = async {
        loop {
            match walk(&node).await {
                Ok(cleared) if cleared.uploads > 0 => tracing::info!(
                    uploads = cleared.uploads,
                    octets = cleared.octets,
                    "files that no value named in `files.unnamed_time` were cleared away"
                ),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "files that nothing names were not cleared"),
            }
            sleep(PAUSE).await;
        }
    };
    tokio::select! {
        () = stop.told() => {}
        () = walk => {}
    }
}

/// One walk: reads some changes at a time, and rests between.
async fn walk(node: &Arc<Node>) -> Result<Cleared, FileError> {
    let limit = node.config().files.unnamed_time.as_duration();
    if limit.is_zero() {
        return Ok(Cleared::default());
    }
    let Some(mut search) = blocking(node, |node| Search::begin(&node.files, &node.store)).await?
    else {
        return Ok(Cleared::default());
    };
    loop {
        let begun = Instant::now();
        let (read, is_done) = blocking(node, move |_| {
            let is_done = search.page()?;
            Ok((search, is_done))
        })
        .await?;
        search = read;
        if is_done {
            break;
        }
        sleep(begun.elapsed() * REST).await;
    }
    let cleared = blocking(node, move |node| {
        let before = node.now_secs().saturating_sub(limit.as_secs() as u32);
        search.end(&node.files, before)
    })
    .await?;
    node.metrics.files_cleared(cleared.uploads);
    Ok(cleared)
}

async fn blocking<T: Send + 'static>(
    node: &Arc<Node>,
    work: impl FnOnce(&Node) -> Result<T, FileError> + Send + 'static,
) -> Result<T, FileError> {
    let node = node.clone();
    let done = spawn_blocking(move || work(&node)).await;
    done.unwrap_or_else(|_| Err(io::Error::other("the node stops").into()))
}

//----------- Search ---------------------------------------------------------

/// A search for values that name uploads.
struct Search {
    snapshot: Snapshot,
    /// Uploads that were not found to be named yet.
    unnamed: HashSet<u128>,
    named: Vec<u128>,
    /// The last change that was looked at.
    through: u64,
    looked_at: u64,
}

impl Search {
    /// Begins a search, if there is anything to look for.
    fn begin(files: &Files, store: &Store) -> Result<Option<Self>, FileError> {
        // First the moment, then the uploads: one that comes between may be looked for too early,
        // but none is missed that a change up to that moment names.
        let snapshot = store.snapshot().map_err(unread)?;
        let since = files.unnamed()?;
        let Some(earliest) = since.values().copied().min() else {
            return Ok(None);
        };
        let looked_for = files.looked_through()?;
        Ok(Some(Self {
            through: looked_for.unwrap_or(0).max(earliest),
            unnamed: since.into_keys().collect(),
            named: Vec::new(),
            snapshot,
            looked_at: 0,
        }))
    }

    /// Looks at some changes; whether these were the last.
    fn page(&mut self) -> Result<bool, FileError> {
        let changes = self.snapshot.changes(self.through, CHANGES_AT_ONCE);
        let changes = changes.map_err(unread)?;
        let Some(last) = changes.last() else {
            return Ok(true);
        };
        self.through = last.number;
        for change in &changes {
            self.looked_at += 1;
            self.look_at(change)?;
        }
        Ok(self.unnamed.is_empty())
    }

    fn look_at(&mut self, change: &Entry) -> Result<(), FileError> {
        if let Some(before) = &change.before {
            self.take_names(&before.values);
        }
        // What a later change replaced is in that one; what none did is in the record.
        let key = change.handle.key(self.snapshot.case_rule());
        let record = self.snapshot.get(key.as_bytes()).map_err(unread)?;
        if let Some(record) = record {
            self.take_names(record.values_wire());
        }
        Ok(())
    }

    /// Takes out every upload whose name stands anywhere in these octets, in whatever value.
    fn take_names(&mut self, octets: &[u8]) {
        if self.unnamed.is_empty() {
            return;
        }
        for number in numbers(octets) {
            if self.unnamed.remove(&number) {
                self.named.push(number);
            }
        }
    }

    /// Keeps what is named, and clears away what came before a moment, in seconds since 1970.
    fn end(self, files: &Files, before: u32) -> Result<Cleared, FileError> {
        for number in &self.named {
            files.keep_for_good(*number)?;
        }
        let mut cleared = files.clear(&self.unnamed, before)?;
        cleared.changes = self.looked_at;
        files.note_through(self.snapshot.last_change())?;
        Ok(cleared)
    }
}

fn unread(error: StoreError) -> FileError {
    FileError::Store(error)
}

/// The numbers of all names that stand in these octets.
fn numbers(octets: &[u8]) -> impl Iterator<Item = u128> + '_ {
    let windows = octets.windows(NAME_LEN);
    windows.filter_map(|window| {
        let is_shaped = window.iter().enumerate().all(|(at, octet)| match at {
            8 | 13 | 18 | 23 => *octet == b'-',
            _ => octet.is_ascii_hexdigit(),
        });
        if !is_shaped {
            return None;
        }
        let digits = window.iter().filter(|octet| **octet != b'-');
        let digits: String = digits.map(|octet| char::from(*octet)).collect();
        u128::from_str_radix(&digits, 16).ok()
    })
}

//----------- Files ----------------------------------------------------------

/// Digests that must not lose their octets: of uploads under way, and of those that came since a
/// clearing began.
#[derive(Debug, Default)]
pub(super) struct Busy {
    under_way: HashMap<String, usize>,
    since: Option<HashSet<String>>,
}

impl Busy {
    pub(super) fn begin(&mut self, sha256: &str) {
        *self.under_way.entry(sha256.to_owned()).or_default() += 1;
        if let Some(since) = &mut self.since {
            since.insert(sha256.to_owned());
        }
    }

    pub(super) fn end(&mut self, sha256: &str) {
        let Some(count) = self.under_way.get_mut(sha256) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            self.under_way.remove(sha256);
        }
    }
}

impl Files {
    fn unnamed_folder(&self) -> PathBuf {
        self.config.folder.join(UNNAMED)
    }

    pub(super) fn unnamed_path(&self, number: u128) -> PathBuf {
        self.unnamed_folder().join(format!("{number:032x}"))
    }

    /// The uploads that no value was seen to name, with the last change before each.
    fn unnamed(&self) -> Result<HashMap<u128, u64>, FileError> {
        let mut all = HashMap::new();
        for path in paths(&self.unnamed_folder())? {
            let name = path.file_name().and_then(|name| name.to_str());
            let number = name.and_then(|name| u128::from_str_radix(name, 16).ok());
            if let Some(number) = number {
                all.insert(number, read_number(&path)?.unwrap_or(0));
            }
        }
        Ok(all)
    }

    fn looked_through(&self) -> Result<Option<u64>, FileError> {
        read_number(&self.unnamed_folder().join(THROUGH))
    }

    fn note_through(&self, change: u64) -> Result<(), FileError> {
        let path = self.unnamed_folder().join(THROUGH);
        let partial = self.unnamed_folder().join("through.partial");
        fs::write(&partial, change.to_string())?;
        Ok(fs::rename(partial, path)?)
    }

    /// Notes that an upload stays, whatever happens to the value that names it.
    fn keep_for_good(&self, number: u128) -> Result<(), FileError> {
        removed(&self.unnamed_path(number)).map(drop)
    }

    /// At the start of the node: keeps everything if the store has lost changes that were looked
    /// at, or that were there when an upload came.
    pub(crate) fn compare(&self, last_change: u64) -> Result<(), FileError> {
        let unnamed = self.unnamed()?;
        let latest = unnamed
            .values()
            .copied()
            .chain(self.looked_through()?)
            .max();
        if latest.is_none_or(|latest| latest <= last_change) {
            return Ok(());
        }
        tracing::warn!(
            last_change,
            ?latest,
            "the store is older than the files: those that no value was seen to name are kept"
        );
        match fs::remove_dir_all(self.unnamed_folder()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Clears away those of the uploads that came before a moment, in seconds since 1970.
    fn clear(&self, unnamed: &HashSet<u128>, before: u32) -> Result<Cleared, FileError> {
        let mut cleared = Cleared::default();
        let mut digests = HashMap::new();
        // A backup that is being made has listed them.
        let _alone = locked(&self.clearing);
        for number in unnamed {
            match read_entry(&self.entry_path(*number))? {
                Some(upload) if upload.at >= before => continue,
                Some(upload) => {
                    removed(&self.entry_path(*number))?;
                    cleared.uploads += 1;
                    digests.insert(upload.sha256, upload.size);
                }
                // The node was stopped while it came.
                None => {}
            }
            removed(&self.unnamed_path(*number))?;
        }
        if !digests.is_empty() {
            cleared.octets = self.clear_octets(digests)?;
        }
        Ok(cleared)
    }

    /// Removes octets that no upload has any more; how many.
    fn clear_octets(&self, mut digests: HashMap<String, u64>) -> Result<u64, FileError> {
        {
            let mut busy = locked(&self.busy);
            busy.since = Some(busy.under_way.keys().cloned().collect());
        }
        let used = self.digests_among(&mut digests);
        let mut busy = locked(&self.busy);
        let since = busy.since.take().unwrap_or_default();
        used?;
        let mut octets = 0;
        for (sha256, size) in digests {
            let is_safe = is_digest(&sha256) && !since.contains(&sha256);
            if is_safe && removed(&self.content_path(&sha256))? {
                octets += size;
            }
        }
        if let Some(used) = self.used.get() {
            used.fetch_sub(octets, Ordering::Relaxed);
        }
        Ok(octets)
    }

    /// Takes out the digests that an upload has which is there.
    fn digests_among(&self, digests: &mut HashMap<String, u64>) -> Result<(), FileError> {
        for folder in paths(&self.config.folder.join("names"))? {
            for path in paths(&folder)? {
                let Upload { sha256, .. } = match read_entry(&path)? {
                    Some(upload) => upload,
                    None => continue,
                };
                digests.remove(&sha256);
            }
        }
        Ok(())
    }
}

/// Removes a file; whether it was there.
fn removed(path: &Path) -> Result<bool, FileError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn read_number(path: &Path) -> Result<Option<u64>, FileError> {
    match fs::read_to_string(path) {
        Ok(text) => text
            .trim()
            .parse()
            .map(Some)
            .map_err(|_| FileError::Damaged),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What is in a folder, in order; nothing if it is not there.
pub(super) fn paths(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<io::Result<Vec<_>>>()?;
    paths.sort_unstable();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use guantong_proto::data::StateData;
    use guantong_proto::wire::Writer;
    use guantong_proto::{CaseRule, Handle, Value, Values};
    use guantong_store::{Batch, Change, CreateOptions, Expect, Options, Origin, Trail};

    use super::super::{FileName, Purpose};
    use super::*;
    use crate::config::{FilesConfig, Span};

    /// When the uploads of the tests came.
    const CAME: u32 = 1_000;

    struct Place {
        _folder: tempfile::TempDir,
        files: Files,
        store: Store,
    }

    fn place() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let create = CreateOptions {
            case_rule: CaseRule::Insensitive,
            id: [7; 16],
        };
        let options = Options::default();
        let store = Store::create(&folder.path().join("store"), &create, &options).unwrap();
        let config = FilesConfig {
            folder: folder.path().join("files"),
            file_max: 100,
            total_max: 1_000,
            unnamed_time: Span::secs(60),
        };
        Place {
            _folder: folder,
            files: Files::new(config),
            store,
        }
    }

    impl Place {
        async fn upload(&self, number: u8, octets: &[u8]) -> String {
            let name = FileName::new([number; 16], "pdf").unwrap();
            let mut incoming = self.files.receive(name).await.unwrap();
            incoming.write(octets).await.unwrap();
            let purpose = Purpose {
                template: "88.1/META_a".to_owned(),
                field: "paper".to_owned(),
                by: None,
                at: CAME,
                since: self.store.last_change(),
            };
            incoming.keep(purpose).await.unwrap().0.to_string()
        }

        fn put(&self, handle: &str, values: &[Value]) {
            let batch = Batch {
                changes: vec![Change::Put {
                    handle: Handle::parse(handle).unwrap(),
                    values: Writer::to_vec(|w| Values::encode(values, w)),
                    expect: Expect::Anything,
                }],
                at_ms: 0,
                origin: Origin::Operator,
                trail: Trail::default(),
            };
            self.store.submit(batch).wait().unwrap();
        }

        /// A walk that clears away what came before a moment.
        fn walk(&self, before: u32) -> Cleared {
            let Some(mut search) = Search::begin(&self.files, &self.store).unwrap() else {
                return Cleared::default();
            };
            while !search.page().unwrap() {}
            search.end(&self.files, before).unwrap()
        }

        async fn has(&self, name: &str) -> bool {
            let Some(upload) = self.files.find(&name.parse().unwrap()).await.unwrap() else {
                return false;
            };
            self.files.open(&upload).await.unwrap();
            true
        }
    }

    fn names(name: &str) -> Value {
        Value::new(2_000, "paper", name)
    }

    #[tokio::test]
    async fn upload_that_nothing_has_ever_named_goes_after_its_time_and_no_other_does() {
        let place = place();
        let unnamed = place.upload(1, b"nobody").await;
        let named = place.upload(2, b"somebody").await;
        let listed = place.upload(3, b"list").await;
        let replaced = place.upload(4, b"was once named").await;
        let withdrawn = place.upload(5, b"withdrawn").await;
        place.put("88.1/a", &[names(&named.to_uppercase())]);
        let list = format!("[\"x.pdf\",\"{listed}\"]");
        place.put("88.1/b", &[Value::new(2_001, "papers", list)]);
        place.put("88.1/c", &[names(&replaced)]);
        place.put("88.1/c", &[names("other.pdf")]);
        let state = StateData::decode(br#"{"state":"withdrawn"}"#).unwrap();
        place.put("88.1/d", &[names(&withdrawn), state.to_value()]);
        assert_eq!(place.walk(CAME).uploads, 0, "its time is not over");
        assert!(place.has(&unnamed).await);
        let late = place.upload(6, b"late").await;
        place.put("88.1/e", &[names(&late)]);
        let cleared = place.walk(CAME + 1);
        assert_eq!((cleared.uploads, cleared.octets), (1, 6));
        assert!(!place.has(&unnamed).await);
        for kept in [&named, &listed, &replaced, &withdrawn, &late] {
            assert!(place.has(kept).await, "{kept}");
        }
        assert_eq!(place.walk(u32::MAX), Cleared::default());
    }

    #[tokio::test]
    async fn octets_stay_as_long_as_another_upload_has_them() {
        let place = place();
        let unnamed = place.upload(1, b"the same").await;
        let named = place.upload(2, b"the same").await;
        place.put("88.1/a", &[names(&named)]);
        let cleared = place.walk(u32::MAX);
        assert_eq!((cleared.uploads, cleared.octets), (1, 0));
        assert!(!place.has(&unnamed).await && place.has(&named).await);
        // The room of what goes is room for others.
        let gone = place.upload(3, &[3; 90]).await;
        assert_eq!(place.walk(u32::MAX).octets, 90);
        assert!(!place.has(&gone).await);
        let used = place.files.used.get().unwrap().load(Ordering::Relaxed);
        assert_eq!(used, 8);
    }

    #[tokio::test]
    async fn octets_of_an_upload_under_way_stay() {
        let place = place();
        place.upload(1, b"the same").await;
        let sha256 = read_entry(&place.files.entry_path(u128::from_be_bytes([1; 16])));
        let sha256 = sha256.unwrap().unwrap().sha256;
        locked(&place.files.busy).begin(&sha256);
        let cleared = place.walk(u32::MAX);
        assert_eq!((cleared.uploads, cleared.octets), (1, 0));
        assert!(place.files.content_path(&sha256).exists());
        locked(&place.files.busy).end(&sha256);
        assert!(locked(&place.files.busy).under_way.is_empty());
        // One that came to its end while others were looked at counts, too.
        let mut busy = Busy {
            since: Some(HashSet::new()),
            ..Busy::default()
        };
        busy.begin("a");
        busy.end("a");
        assert!(busy.since.unwrap().contains("a"));
    }

    #[tokio::test]
    async fn each_change_is_looked_at_once() {
        let place = place();
        for _ in 0..40 {
            place.put("88.1/a", &[names("x.pdf")]);
        }
        place.upload(1, b"one").await;
        place.put("88.1/a", &[names("y.pdf")]);
        assert_eq!(
            place.walk(0).changes,
            1,
            "those before it came cannot name it"
        );
        assert_eq!(place.walk(0).changes, 0);
        place.put("88.1/a", &[names("z.pdf")]);
        assert_eq!(place.walk(0).changes, 1);
    }

    #[tokio::test]
    async fn nothing_is_cleared_that_came_to_a_store_which_is_older_now() {
        let place = place();
        place.put("88.1/a", &[names("x.pdf")]);
        let kept = place.upload(1, b"one").await;
        place.files.compare(1).unwrap();
        assert!(
            place
                .files
                .unnamed_path(u128::from_be_bytes([1; 16]))
                .exists()
        );
        // As if restored from a backup that had been made before.
        place.files.compare(0).unwrap();
        assert_eq!(place.walk(u32::MAX), Cleared::default());
        assert!(place.has(&kept).await);
    }

    #[test]
    fn names_are_found_wherever_they_stand() {
        let text = b"-6f9619ff-8b86-4d01-b42d-00cf4fc964ff.pdf 6F9619FF-8B86-4D01-B42D-00CF4FC964F";
        let wanted = 0x6f96_19ff_8b86_4d01_b42d_00cf_4fc9_64ff;
        assert_eq!(numbers(text).collect::<Vec<u128>>(), [wanted]);
        assert_eq!(numbers(b"6f9619ff").count(), 0);
    }
}
