//! Stores that are of another version, damaged, or made by an older release: errors, never panics,
//! and never silence.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use common::{create, delete, handle, open, options, put, scratch, url, wire, write};
use guantong_proto::Value;
use guantong_store::{
    BackupError, Change, Expect, OnLoss, OpenError, Options, Scope, Store, check, read_manifest,
    restore,
};
use guantong_testkit::Random;

/// Damaged copies that are looked at.
const ROUNDS: u64 = 100;

fn go_on(_: guantong_store::Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

//----------- Versions -------------------------------------------------------

#[test]
fn other_versions_and_strange_files_are_refused_before_anything_is_touched() {
    let dir = scratch();
    drop(create(dir.path()));
    let path = dir.path().join("store");
    let refused = |format: &str| {
        fs::write(path.join("FORMAT"), format).unwrap();
        Store::open(&path, &options()).unwrap_err()
    };
    assert!(matches!(
        refused("guantong-store 2\n"),
        OpenError::Newer {
            found: 2,
            known: 1,
            ..
        }
    ));
    assert!(matches!(
        refused("guantong-store 0\n"),
        OpenError::Older { .. }
    ));
    for strange in ["", "guantong-store", "guantong-store x\n", "other 1\n"] {
        assert!(matches!(refused(strange), OpenError::NotAStore { .. }));
    }
    let message = refused("guantong-store 7\n").to_string();
    assert!(message.contains("use the newer version"), "{message}");
}

#[test]
fn store_whose_making_was_interrupted_says_so() {
    let dir = scratch();
    drop(create(dir.path()));
    let path = dir.path().join("store");
    fs::remove_file(path.join("FORMAT")).unwrap();
    let message = Store::open(&path, &options()).unwrap_err().to_string();
    assert!(message.contains("never finished"), "{message}");
}

#[test]
fn store_made_by_format_version_1_can_be_read() {
    let dir = scratch();
    copy(&fixtures().join("store-1"), &dir.path().join("store"));
    // Empty directories get lost in a repository.
    for space in 0..=4 {
        let tables = format!("store/engine/keyspaces/{space}/tables");
        fs::create_dir_all(dir.path().join(tables)).unwrap();
    }
    let checked = check(&dir.path().join("store"), 0, &mut go_on).unwrap();
    assert!(checked.is_clean(), "{checked:?}");
    assert_eq!(contents(&open(dir.path())), fixture_contents());
}

#[test]
fn backup_of_each_form_can_be_restored() {
    for form in 1..=2 {
        let restored = scratch();
        restore(
            &fixtures().join(format!("backup-{form}")),
            &restored.path().join("store"),
            &mut go_on,
        )
        .unwrap();
        let restored = contents(&open(restored.path()));
        assert_eq!(restored, fixture_contents(), "form {form}");
    }
}

/// Writes the fixtures of the present formats; for a new version of one of them only.
#[test]
#[ignore = "writes test-data/disk"]
fn write_fixtures() {
    let dir = scratch();
    let store = create(dir.path());
    fill(&store, 12);
    let backup = fixtures().join("backup-2");
    store.backup(&backup, &mut go_on).unwrap();
    drop(store);
    copy(&dir.path().join("store"), &fixtures().join("store-1"));
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test-data/disk")
}

fn fixture_contents() -> BTreeMap<String, Vec<u8>> {
    let dir = scratch();
    let store = create(dir.path());
    fill(&store, 12);
    contents(&store)
}

//----------- Loss -----------------------------------------------------------

#[test]
fn journal_that_was_cut_off_is_noticed() {
    let dir = scratch();
    let store = create(dir.path());
    for n in 0..20 {
        write(
            &store,
            vec![put(&format!("1/{n}"), url("x"), Expect::Absent)],
        )
        .unwrap();
    }
    let dir = killed(&store, &dir.path().join("store"));
    let path = dir.path().join("store");
    let journal = path.join("engine/0.jnl");
    let mut octets = fs::read(&journal).unwrap();
    // The first octet of a batch in the middle: the engine makes a shorter journal of it without
    // a word.
    let ends = octets.windows(4).enumerate();
    let mut ends = ends
        .filter(|(_, four)| four == b"FJL\x03")
        .map(|(at, _)| at + 4);
    let start = ends.nth(10).unwrap();
    octets[start] = 0;
    fs::write(&journal, octets).unwrap();

    let checked = check(&path, 0, &mut go_on).unwrap();
    assert!(!checked.is_clean());
    let error = Store::open(&path, &options()).unwrap_err();
    let OpenError::LostChanges {
        first, last: 20, ..
    } = error
    else {
        panic!("{error}");
    };
    let accept = Options {
        on_loss: OnLoss::Accept,
        ..options()
    };
    let store = Store::open(&path, &accept).unwrap();
    assert_eq!(store.last_change(), first - 1);
    drop(store);
    let store = open(dir.path());
    write(&store, vec![put("1/new", url("x"), Expect::Absent)]).unwrap();
    assert_eq!(store.last_change(), first);
}

#[test]
fn lost_head_is_noticed() {
    let dir = scratch();
    fill(&create(dir.path()), 3);
    let path = dir.path().join("store");
    fs::write(path.join("HEAD"), [0; 128]).unwrap();
    assert!(matches!(
        Store::open(&path, &options()),
        Err(OpenError::Damaged { .. })
    ));
    fs::remove_file(path.join("HEAD")).unwrap();
    assert!(Store::open(&path, &options()).is_err());
    let accept = Options {
        on_loss: OnLoss::Accept,
        ..options()
    };
    drop(Store::open(&path, &accept).unwrap());
    open(dir.path());
}

//----------- Random damage --------------------------------------------------

/// Whatever is altered in whatever file: either the store says so, or nothing is missing.
#[test]
fn damage_is_an_error_or_a_finding_and_never_a_panic_or_a_wrong_record() {
    let dir = scratch();
    let store = create(dir.path());
    store.index_enable("URL").wait().unwrap();
    // More than the memtables hold, so that there are many tables.
    fill(&store, 900);
    store.settle();
    let expected = contents(&store);
    drop(store);
    damage_at_random(&dir.path().join("store"), &expected);
}

#[test]
fn damage_to_journals_is_never_silent_either() {
    let dir = scratch();
    let store = create(dir.path());
    fill(&store, 60);
    let killed = killed(&store, &dir.path().join("store"));
    damage_at_random(&killed.path().join("store"), &contents(&store));
}

fn damage_at_random(original: &Path, expected: &BTreeMap<String, Vec<u8>>) {
    let files = files(original);
    let mut random = Random::new(3);
    let mut noticed = 0;
    for round in 0..ROUNDS {
        let copy_dir = scratch();
        let path = copy_dir.path().join("store");
        copy(original, &path);
        let file = random.pick(&files).strip_prefix(original).unwrap();
        let what = damage(&path.join(file), &mut random);
        let context = format!("round {round}: {what} in {}", file.display());
        noticed += u64::from(judge(&path, expected, &context));
    }
    assert!(noticed > ROUNDS / 4, "{noticed} of {ROUNDS} were noticed");
}

/// What a small store would leave if it were killed now: it has not begun to rewrite its files.
fn killed(store: &Store, path: &Path) -> tempfile::TempDir {
    let dir = scratch();
    store.settle();
    copy(path, &dir.path().join("store"));
    dir
}

/// Gives whether the damage was noticed.
fn judge(path: &Path, expected: &BTreeMap<String, Vec<u8>>, context: &str) -> bool {
    let checked = match check(path, 0, &mut go_on) {
        Ok(checked) => checked,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return true;
        }
    };
    let Ok(store) = Store::open(path, &options()) else {
        return true;
    };
    for record in store.scan(&Scope::All, None) {
        let Ok((_, record)) = record else {
            assert!(
                !checked.is_clean(),
                "{context}: a read fails, the check says nothing"
            );
            return true;
        };
        let name = record.handle().to_string();
        let right = expected.get(&name).map(Vec::as_slice) == Some(record.values_wire());
        assert!(right, "{context}: {name} has the wrong content");
    }
    if checked.is_clean() {
        let found = contents(&store).len();
        assert_eq!(
            found,
            expected.len(),
            "{context}: records are missing in silence"
        );
    }
    !checked.is_clean()
}

fn damage(path: &Path, random: &mut Random) -> String {
    let mut octets = fs::read(path).unwrap();
    // Journals are mostly zeros behind their end; damage there means nothing.
    let used = octets
        .iter()
        .rposition(|&octet| octet != 0)
        .map_or(0, |at| at + 1) as u64;
    let at = random.below(used.max(1)) as usize;
    let what = match random.below(4) {
        0 if used > 0 => {
            octets[at] ^= 1 << random.below(8);
            format!("a flipped bit at {at}")
        }
        1 if used > 0 => {
            let end = (at + 1 + random.below(600) as usize).min(octets.len());
            octets[at..end].fill(0);
            format!("zeros from {at} to {end}")
        }
        2 => {
            octets.truncate(at);
            format!("cut off at {at}")
        }
        _ => {
            fs::remove_file(path).unwrap();
            return "removal".to_owned();
        }
    };
    fs::write(path, octets).unwrap();
    what
}

//----------- Backups --------------------------------------------------------

#[test]
fn damaged_and_unfinished_backups_are_refused_and_leave_no_store() {
    let dir = scratch();
    let store = create(dir.path());
    fill(&store, 20);
    let backup = dir.path().join("backup");
    store.backup(&backup, &mut go_on).unwrap();
    let data = fs::read(backup.join("data")).unwrap();
    let attempt = |number: usize| {
        let to = dir.path().join(format!("to-{number}"));
        let error = restore(&backup, &to, &mut go_on).unwrap_err();
        assert!(matches!(
            Store::open(&to, &options()),
            Err(OpenError::NotAStore { .. })
        ));
        error
    };
    for (number, at) in [0, 9, 13, 17, 40, data.len() / 2, data.len() - 3]
        .into_iter()
        .enumerate()
    {
        let mut damaged = data.clone();
        damaged[at] ^= 0x10;
        fs::write(backup.join("data"), damaged).unwrap();
        assert!(
            matches!(attempt(number), BackupError::Damaged { .. }),
            "{at}"
        );
    }
    fs::write(backup.join("data"), &data[..data.len() - 20]).unwrap();
    assert!(matches!(attempt(10), BackupError::Damaged { .. }));
    fs::write(backup.join("data"), &data).unwrap();

    let manifest = fs::read_to_string(backup.join("manifest.json")).unwrap();
    let other = manifest.replace("\"records\": 20", "\"records\": 21");
    fs::write(backup.join("manifest.json"), other).unwrap();
    assert!(matches!(attempt(11), BackupError::Damaged { .. }));
    let newer = manifest.replace("\"form\": 2", "\"form\": 3");
    fs::write(backup.join("manifest.json"), newer).unwrap();
    assert!(matches!(attempt(12), BackupError::Newer { .. }));
    fs::remove_file(backup.join("manifest.json")).unwrap();
    assert!(matches!(
        read_manifest(&backup),
        Err(BackupError::NotABackup { .. })
    ));
}

#[test]
fn backup_goes_to_an_empty_place_only_and_can_be_stopped() {
    let dir = scratch();
    let store = create(dir.path());
    fill(&store, 5);
    let taken = store.backup(dir.path(), &mut go_on);
    assert!(matches!(taken, Err(BackupError::NotEmpty { .. })));
    let stopped = store.backup(&dir.path().join("b"), &mut |_| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(BackupError::Cancelled)));
    assert!(read_manifest(&dir.path().join("b")).is_err());
}

//----------- Helpers --------------------------------------------------------

/// Writes `count` records, with updates and deletions on the way.
fn fill(store: &Store, count: u64) {
    let home = Change::Home {
        prefix: handle("0.NA/88.118"),
    };
    write(
        store,
        vec![home, put("88.118/gone", url("x"), Expect::Absent)],
    )
    .unwrap();
    let mut random = Random::new(5);
    for n in 0..count {
        let noise: Vec<u8> = (0..random.below(8_000).min(40 * count))
            .map(|_| random.next_u64() as u8)
            .collect();
        let values = [
            Value::new(1, "URL", format!("u{}", n % 7)),
            Value::new(2, "BLOB", noise),
        ];
        write(
            store,
            vec![put(&format!("88.118/{n}"), wire(&values), Expect::Absent)],
        )
        .unwrap();
    }
    write(store, vec![delete("88.118/gone", Expect::Present)]).unwrap();
}

fn contents(store: &Store) -> BTreeMap<String, Vec<u8>> {
    let records = store.scan(&Scope::All, None);
    let content = records.map(|record| {
        let (_, record) = record.unwrap();
        (record.handle().to_string(), record.values_wire().to_vec())
    });
    content.collect()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

/// Copies a tree; of journals only what is used, since they are mostly zeros.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
            continue;
        }
        let mut octets = fs::read(&path).unwrap();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            let used = octets.iter().rposition(|&octet| octet != 0);
            octets.truncate(used.map_or(0, |at| at + 1));
        }
        fs::write(target, octets).unwrap();
    }
}
