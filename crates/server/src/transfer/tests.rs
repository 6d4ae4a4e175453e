use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use guantong_api::control::{Imported, Mode, OnConflict};
use guantong_proto::CaseRule;
use guantong_store::limits::MEMORY_BYTES_MIN;
use guantong_store::{CreateOptions, Options, Scope, Store};

use guantong_api::control::{Ask, Reply};

use super::*;
use crate::control::{BATCH_RECORDS_MAX, Control, Desk, Importer, Item, Local, Say};

const NOW_MS: u64 = 1_780_000_000_000;

//----------- A node ---------------------------------------------------------

/// A store in a folder of its own; `fail_after` batches its importer goes away.
struct Node {
    local: Local,
    store: Store,
    fail_after: usize,
    dir: tempfile::TempDir,
}

impl Node {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let create = CreateOptions {
            case_rule: CaseRule::Insensitive,
            id: [7; 16],
        };
        let options = Options {
            memory_bytes: MEMORY_BYTES_MIN,
            ..Options::default()
        };
        let store = Store::create(&dir.path().join("store"), &create, &options).unwrap();
        Self {
            local: Local::new(Desk::new(store.clone(), || NOW_MS, || {})),
            store,
            fail_after: usize::MAX,
            dir,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn import(&mut self, job: ImportJob<&[u8]>) -> Result<Tally, TransferError> {
        import(self, job, &mut |_| {})
    }

    fn export(&mut self) -> String {
        let mut out = Vec::new();
        export(self, None, None, &mut out, &mut |_| {}).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// The result file: for each line its outcome.
    fn results(&self) -> BTreeMap<u64, String> {
        let text = std::fs::read_to_string(self.file("results")).unwrap();
        let mut results = BTreeMap::new();
        for line in text.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let outcome = line["outcome"].as_str().unwrap().to_owned();
            let twice = results.insert(line["line"].as_u64().unwrap(), outcome);
            assert!(twice.is_none(), "{line}");
        }
        results
    }

    fn job<'a>(&self, input: &'a str) -> ImportJob<&'a [u8]> {
        ImportJob {
            input: input.as_bytes(),
            on_conflict: OnConflict::Replace,
            mode: Mode::Apply,
            stop_on_error: false,
            results: Some(self.file("results")),
            state: Some(self.file("state")),
            resume: false,
            sort_in: None,
        }
    }
}

impl Control for Node {
    fn ask(&mut self, ask: Ask, say: Say<'_>) -> Result<Reply, Fault> {
        self.local.ask(ask, say)
    }

    fn import(&mut self, on_conflict: OnConflict, mode: Mode) -> Box<dyn Importer + '_> {
        Box::new(Failing {
            inner: self.local.import(on_conflict, mode),
            left: self.fail_after,
        })
    }

    fn is_running_node(&self) -> bool {
        false
    }
}

/// An importer that is lost with batches under way: they are written, and nobody knows.
struct Failing<'a> {
    inner: Box<dyn Importer + 'a>,
    left: usize,
}

impl Importer for Failing<'_> {
    fn submit(&mut self, items: Vec<Item>) -> Result<(), Fault> {
        self.inner.submit(items)
    }

    fn outcomes(&mut self) -> Result<Option<Imported>, Fault> {
        if self.left == 0 {
            while self.inner.outcomes()?.is_some() {}
            return Err(Fault::Stopped);
        }
        self.left -= 1;
        self.inner.outcomes()
    }

    fn under_way(&self) -> usize {
        self.inner.under_way()
    }
}

fn line(handle: &str, text: &str) -> String {
    format!(
        r#"{{"handle":"{handle}","values":[{{"index":1,"type":"URL","data":{{"format":"string","value":"{text}"}},"ttl":86400}}]}}"#
    )
}

/// Lines for a few batches; every seventh repeats an earlier handle, now and then one is broken.
fn many() -> String {
    let mut lines = Vec::new();
    for n in 0..BATCH_RECORDS_MAX * 9 {
        lines.push(match n {
            _ if n % 1_000 == 999 => r#"{"handle":"1/broken","#.to_owned(),
            _ if n % 7 == 6 => line(&format!("1/{}", n - 5), &format!("again {}", n % 3)),
            _ => line(&format!("1/{n}"), "first"),
        });
    }
    lines.join("\n")
}

//----------- Import ---------------------------------------------------------

#[test]
fn broken_line_among_many_is_told_with_its_place_and_the_others_are_imported() {
    let mut lines: Vec<String> = (1..=5_000).map(|n| line(&format!("1/{n}"), "x")).collect();
    lines[3_499] = r#"{"handle":"1/3500","values":[}"#.to_owned();
    lines[4_000] = r#"{"handle":"1/4001","values":[{"index":0,"type":"T","data":"x"}]}"#.to_owned();
    let mut node = Node::new();
    let input = lines.join("\r\n");
    let job = node.job(&input);
    let mut told = Vec::new();
    let tally = import(&mut node, job, &mut |happening| {
        if let Happening::Refused {
            line,
            column,
            handle,
            reason,
        } = happening
        {
            told.push((line, column, handle.map(str::to_owned), reason.to_owned()));
        }
    });
    let tally = tally.unwrap();
    assert_eq!((tally.created, tally.refused), (4_998, 2));
    assert_eq!((told[0].0, told[0].1), (3_500, Some(30)));
    assert!(told[0].3.contains("expected value"), "{}", told[0].3);
    assert_eq!((told[1].0, told[1].2.as_deref()), (4_001, Some("1/4001")));
    assert!(told[1].3.contains("above 0"), "{}", told[1].3);
    assert_eq!(node.store.count(&Scope::All).unwrap(), 4_998);
    let results = node.results();
    assert_eq!(results.len(), 5_000);
    assert_eq!(results[&3_500], "refused");
    assert!(!node.file("state").exists());
}

#[test]
fn export_and_import_give_the_same_octets() {
    let mut one = Node::new();
    let job = one.job(
        r#"{"responseCode":1,"handle":"88.118.5/Part-零件","values":[
            {"index":3,"type":"URL","data":"https://example.org/?a=\"b\"","permissions":"1100","ttl":"2030-01-01T00:00:00Z"}]}"#,
    );
    let refused = one.import(job).unwrap();
    // A record stands on one line.
    assert_eq!(refused.refused, 2);
    let input = [
        r#"{"responseCode":1,"handle":"88.118.5/Part-零件","values":[{"index":3,"type":"URL","data":"https://example.org/?a=\"b\"","permissions":"1100","ttl":"2030-01-01T00:00:00Z"}]}"#,
        r#"{"handle":"88.118.5/bytes","values":[{"index":1,"type":"X","data":{"format":"hex","value":"00ff"},"references":[{"handle":"1/a","index":7}]},{"index":100,"type":"HS_ADMIN","data":{"format":"admin","value":{"handle":"0.NA/88.118.5","index":300,"permissions":"011111110011"}}}]}"#,
        r#"{"handle":"1/empty","values":[]}"#,
    ];
    let input = input.join("\n");
    let job = one.job(&input);
    assert_eq!(one.import(job).unwrap().created, 3);
    let exported = one.export();
    assert_eq!(exported.lines().count(), 3);
    assert!(exported.starts_with(r#"{"handle":"1/empty""#));
    let mut two = Node::new();
    let job = two.job(&exported);
    assert_eq!(two.import(job).unwrap().created, 3);
    assert_eq!(two.export(), exported);
    let job = two.job(&exported);
    assert_eq!(two.import(job).unwrap().unchanged, 3);
}

#[test]
fn dry_run_says_the_same_and_changes_nothing() {
    let input = many();
    let mut node = Node::new();
    let dry = ImportJob {
        mode: Mode::DryRun,
        ..node.job(&input)
    };
    let dry = node.import(dry).unwrap();
    assert_eq!(node.store.last_change(), 0);
    let job = node.job(&input);
    assert_eq!(node.import(job).unwrap(), dry);
    assert!(!node.file("state").exists());
}

#[test]
fn interrupted_import_continues_and_each_line_has_the_outcome_that_it_had() {
    let input = many();
    for on_conflict in [OnConflict::Replace, OnConflict::Skip, OnConflict::Fail] {
        let mut whole = Node::new();
        let job = ImportJob {
            on_conflict,
            ..whole.job(&input)
        };
        let expected = whole.import(job).unwrap();
        let mut node = Node::new();
        for (fail_after, resume) in [(0, false), (2, true), (1, true), (usize::MAX, true)] {
            node.fail_after = fail_after;
            let job = ImportJob {
                on_conflict,
                resume,
                ..node.job(&input)
            };
            match node.import(job) {
                Ok(tally) => assert_eq!(tally, expected),
                Err(error) => assert!(matches!(error, TransferError::Node(Fault::Stopped))),
            }
        }
        assert_eq!(node.results(), whole.results());
        assert_eq!(node.export(), whole.export());
        // Nothing was written twice.
        assert_eq!(node.store.last_change(), whole.store.last_change());
        assert!(!node.file("state").exists());
    }
}

#[test]
fn sorted_import_does_what_the_others_do_and_says_so_of_the_same_lines() {
    let input = many();
    let mut whole = Node::new();
    let job = whole.job(&input);
    let expected = whole.import(job).unwrap();
    let mut node = Node::new();
    let job = ImportJob {
        state: None,
        sort_in: Some(node.dir.path().to_owned()),
        ..node.job(&input)
    };
    assert_eq!(node.import(job).unwrap(), expected);
    assert_eq!(node.results(), whole.results());
    assert_eq!(node.export(), whole.export());
}

#[test]
fn last_line_of_a_name_counts_in_a_sorted_import_too() {
    let lines = [line("1/b", "x"), line("1/a", "first"), line("1/a", "last")];
    let input = lines.join("\n");
    let mut node = Node::new();
    let job = ImportJob {
        state: None,
        sort_in: Some(node.dir.path().to_owned()),
        ..node.job(&input)
    };
    let tally = node.import(job).unwrap();
    assert_eq!((tally.created, tally.replaced), (2, 1));
    assert_eq!(node.results()[&2], "created");
    assert!(node.export().contains("last") && !node.export().contains("first"));
}

#[test]
fn sorted_import_that_is_to_be_resumable_is_refused() {
    let input = many();
    let mut node = Node::new();
    let job = ImportJob {
        sort_in: Some(node.dir.path().to_owned()),
        ..node.job(&input)
    };
    let error = node.import(job).unwrap_err();
    assert!(matches!(error, TransferError::SortedState), "{error}");
    assert_eq!(node.store.last_change(), 0);
}

#[test]
fn resuming_on_another_input_is_refused() {
    let input = many();
    let mut node = Node::new();
    node.fail_after = 3;
    let job = node.job(&input);
    node.import(job).unwrap_err();
    // The state is saved when the run ends, whatever ended it.
    let other = input.replacen("first", "worst", 1);
    let job = ImportJob {
        resume: true,
        ..node.job(&other)
    };
    let error = node.import(job).unwrap_err();
    assert!(
        matches!(error, TransferError::InputChanged { .. }),
        "{error}"
    );
    let job = node.job(&other);
    node.fail_after = usize::MAX;
    node.import(job).unwrap();
}

#[test]
fn import_that_stops_at_a_broken_line_can_be_resumed_once_it_is_mended() {
    let lines = [line("1/a", "x"), "{".to_owned(), line("1/b", "x")];
    let mut node = Node::new();
    let broken = lines.join("\n");
    let stopping = ImportJob {
        stop_on_error: true,
        ..node.job(&broken)
    };
    let tally = node.import(stopping).unwrap();
    assert_eq!((tally.created, tally.refused), (1, 1));
    assert_eq!(node.results().len(), 2);
    let mended = broken.replace("\n{\n", &format!("\n{}\n", line("1/c", "x")));
    let resumed = ImportJob {
        resume: true,
        ..node.job(&mended)
    };
    let tally = node.import(resumed).unwrap();
    assert_eq!((tally.created, tally.refused), (3, 0));
    assert_eq!(node.results().len(), 3);
}

#[test]
fn damaged_state_file_is_explained() {
    let node = Node::new();
    let path = node.file("state");
    for text in ["", "{}", r#"{"version":9}"#] {
        std::fs::write(&path, text).unwrap();
        let error = State::load(&path).unwrap_err().to_string();
        assert!(error.contains("start over without resuming"), "{error}");
    }
    assert_eq!(State::load(Path::new("/nowhere/state")).unwrap(), None);
}

//----------- Export ---------------------------------------------------------

#[test]
fn export_of_a_prefix_has_its_records_only() {
    let mut node = Node::new();
    let input = [line("1/a", "x"), line("1.2/a", "x"), line("2/a", "x")].join("\n");
    let job = node.job(&input);
    node.import(job).unwrap();
    let mut out = Vec::new();
    let prefix = Some("1".to_owned());
    export(&mut node, prefix, None, &mut out, &mut |_| {}).unwrap();
    let out = String::from_utf8(out).unwrap();
    assert_eq!(out.lines().count(), 1);
    assert!(out.contains("\"1/a\""));
}

#[test]
fn file_gets_its_name_when_it_is_whole_and_goes_on_behind_its_last_whole_line() {
    let mut node = Node::new();
    let input = many();
    let job = node.job(&input);
    node.import(job).unwrap();
    let expected = node.export();
    let path = node.file("export.jsonl");
    let cut = expected.len() / 3;
    for kept in [0, 10, cut, expected.len()] {
        std::fs::write(node.file("export.jsonl.part"), &expected[..kept]).unwrap();
        let (mut file, after) = ExportFile::resume(&path).unwrap();
        assert_eq!(after.is_some(), kept > 10);
        export(&mut node, None, after, &mut file, &mut |_| {}).unwrap();
        assert!(!path.exists());
        file.finish().unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(std::fs::read_to_string(&path).unwrap() == expected);
        assert!(!node.file("export.jsonl.part").exists());
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn output_that_cannot_be_written_ends_the_export() {
    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut node = Node::new();
    let input = line("1/a", "x");
    let job = node.job(&input);
    node.import(job).unwrap();
    let error = export(&mut node, None, None, &mut Full, &mut |_| {}).unwrap_err();
    assert!(matches!(error, TransferError::Output(_)), "{error}");
}
