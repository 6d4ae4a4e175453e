//! Random operations, checked against a plain map that does the same.
//!
//! A failure prints its seed; `GUANTONG_SEED` runs that seed alone.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod common;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;

use common::{batch, create, handle, open, wire};
use guantong_proto::{CaseRule, Value};
use guantong_store::{
    Action, Change, Expect, PageToken, Scope, Store, StoreError, WriteError, restore,
};
use guantong_testkit::Random;

/// Seeds of a normal run.
const SEEDS: u64 = 6;
/// Steps of one seed.
const STEPS: u64 = 220;

const PREFIXES: [&str; 4] = ["1", "1.1", "88.118", "0.NA"];
const KINDS: [&str; 4] = ["URL", "url.alt", "EMAIL", "NOTE"];
const INDEXED: [&str; 3] = ["URL", "URL.", "EMAIL"];

type Record = (u64, String, Vec<Value>);

/// What the store should hold.
#[derive(Default)]
struct Model {
    /// Version, spelling and values by key.
    records: BTreeMap<Vec<u8>, Record>,
    homed: BTreeMap<Vec<u8>, String>,
    log: Vec<(Action, String)>,
    /// The last change of each name that ever had a record.
    last: BTreeMap<Vec<u8>, u64>,
    /// For each change, the one before it of the same record.
    previous: Vec<Option<u64>>,
    indexes: BTreeSet<&'static str>,
}

#[test]
fn store_does_what_a_map_does() {
    let seeds = match std::env::var("GUANTONG_SEED") {
        Ok(seed) => {
            let seed: u64 = seed.parse().unwrap();
            seed..seed + 1
        }
        Err(_) => 0..SEEDS,
    };
    for seed in seeds {
        let run = std::panic::catch_unwind(|| run(seed));
        assert!(run.is_ok(), "seed {seed} failed: set GUANTONG_SEED={seed}");
    }
}

fn run(seed: u64) {
    let mut random = Random::new(seed);
    let dir = tempfile::tempdir().unwrap();
    let mut store = create(dir.path());
    let mut model = Model::default();
    for step in 0..STEPS {
        match random.below(100) {
            0..70 => write(&mut random, &store, &mut model),
            70..78 => compare_reads(&mut random, &store, &model),
            78..84 => compare_list(&mut random, &store, &model),
            84..90 => compare_find(&mut random, &store, &model),
            90..94 => switch_index(&mut random, &store, &mut model),
            94..96 => compare_log(&store, &model),
            96..98 => {
                drop(store);
                store = open(dir.path());
            }
            _ => {
                let copy = dir.path().join(format!("copy-{step}"));
                check_backup(&store, &model, &copy);
            }
        }
    }
    compare_all(&store, &model);
    drop(store);
    check_clean(&dir.path().join("store"));
    compare_all(&open(dir.path()), &model);
}

//----------- Writing --------------------------------------------------------

fn write(random: &mut Random, store: &Store, model: &mut Model) {
    // Several batches at once, so that they share a group.
    let mut tickets = Vec::new();
    for _ in 0..=random.below(4) {
        let changes: Vec<Change> = (0..random.below(6))
            .map(|_| change(random, model))
            .collect();
        tickets.push((store.submit(batch(changes.clone())), changes));
    }
    for (ticket, changes) in tickets {
        let expected = model.apply(&changes);
        match (ticket.wait(), expected) {
            (Ok(committed), Ok((first, last))) => {
                assert_eq!((committed.first, committed.last), (first, last));
            }
            (Err(WriteError::Conflict { change, .. }), Err(at)) => assert_eq!(change, at),
            (outcome, expected) => panic!("{outcome:?} instead of {expected:?}"),
        }
    }
}

fn change(random: &mut Random, model: &Model) -> Change {
    let name = name(random);
    let expect = match random.below(10) {
        0..5 => Expect::Anything,
        5 | 6 => Expect::Absent,
        7 => Expect::Present,
        _ => match model.records.get(&key(&name)) {
            Some((version, ..)) if random.chance(80) => Expect::Version(*version),
            _ => Expect::Version(random.below(50)),
        },
    };
    let prefix = handle(&format!("0.NA/{}", random.pick(&PREFIXES)));
    match random.below(20) {
        0 => Change::Home { prefix },
        1 => Change::Unhome { prefix },
        2..7 => Change::Delete {
            handle: handle(&name),
            expect,
        },
        _ => Change::Put {
            handle: handle(&name),
            values: wire(&values(random)),
            expect,
        },
    }
}

fn name(random: &mut Random) -> String {
    let prefix = random.pick(&PREFIXES);
    let suffix = random.below(12);
    match random.chance(50) {
        true => format!("{prefix}/part-{suffix}"),
        false => format!("{prefix}/PART-{suffix}"),
    }
}

fn values(random: &mut Random) -> Vec<Value> {
    let count = random.below(4);
    let value = |index| {
        let kind = *random.pick(&KINDS);
        Value::new(index, kind, data(random))
    };
    (1..=i32::try_from(count).unwrap()).map(value).collect()
}

fn data(random: &mut Random) -> String {
    "x".repeat(random.below(3) as usize + 1)
}

fn key(name: &str) -> Vec<u8> {
    handle(name).key(CaseRule::Insensitive).as_bytes().to_vec()
}

impl Model {
    /// Applies a batch whole, or says which change stands in its way.
    fn apply(&mut self, changes: &[Change]) -> Result<(u64, u64), usize> {
        let (records, homed) = (self.records.clone(), self.homed.clone());
        let (last, log) = (self.last.clone(), self.log.len());
        for (at, change) in changes.iter().enumerate() {
            if !self.apply_one(change) {
                self.records = records;
                self.homed = homed;
                self.last = last;
                self.log.truncate(log);
                self.previous.truncate(log);
                return Err(at);
            }
        }
        Ok((log as u64 + 1, self.log.len() as u64))
    }

    fn apply_one(&mut self, change: &Change) -> bool {
        let next = self.log.len() as u64 + 1;
        match change {
            Change::Put {
                handle,
                values,
                expect,
            } => {
                let key = key(handle.as_str());
                let old = self.records.get(&key);
                if !expect.holds(old.map(|(version, ..)| *version)) {
                    return false;
                }
                let action = match old {
                    Some(_) => Action::Update,
                    None => Action::Create,
                };
                let values = guantong_proto::Values::from_wire(values).unwrap();
                let record = (next, handle.to_string(), values.to_vec().unwrap());
                self.previous.push(self.last.insert(key.clone(), next));
                self.records.insert(key, record);
                self.log.push((action, handle.to_string()));
            }
            Change::Delete { handle, expect } => {
                let key = key(handle.as_str());
                let old = self.records.get(&key);
                if !expect.holds(old.map(|(version, ..)| *version)) {
                    return false;
                }
                if self.records.remove(&key).is_some() {
                    self.previous.push(self.last.insert(key, next));
                    self.log.push((Action::Delete, handle.to_string()));
                }
            }
            Change::Home { prefix } => {
                let key = key(prefix.as_str());
                if let Entry::Vacant(vacant) = self.homed.entry(key) {
                    vacant.insert(prefix.to_string());
                    self.previous.push(None);
                    self.log.push((Action::Home, prefix.to_string()));
                }
            }
            Change::Unhome { prefix } => {
                if self.homed.remove(&key(prefix.as_str())).is_some() {
                    self.previous.push(None);
                    self.log.push((Action::Unhome, prefix.to_string()));
                }
            }
            other => panic!("the model does not know {other:?}"),
        }
        true
    }

    fn in_scope<'a>(&'a self, scope: &'a str) -> impl Iterator<Item = (&'a Vec<u8>, &'a Record)> {
        let start = format!("{scope}/").into_bytes();
        self.records
            .iter()
            .filter(move |(key, _)| scope.is_empty() || key.starts_with(&start))
    }
}

fn switch_index(random: &mut Random, store: &Store, model: &mut Model) {
    let kind = *random.pick(&INDEXED);
    if model.indexes.remove(kind) {
        store.index_disable(kind).wait().unwrap();
        store.settle();
    } else {
        store.index_enable(kind).wait().unwrap();
        model.indexes.insert(kind);
        if random.chance(50) {
            store.settle();
        }
    }
}

//----------- Comparing ------------------------------------------------------

fn compare_reads(random: &mut Random, store: &Store, model: &Model) {
    for _ in 0..10 {
        let name = name(random);
        let found = store.record(handle(&name).borrow()).unwrap();
        let found = found.map(|record| {
            let values = record.values().to_vec().unwrap();
            (record.version(), record.handle().to_string(), values)
        });
        assert_eq!(found.as_ref(), model.records.get(&key(&name)), "{name}");
        let last = store.last_change_of(handle(&name).borrow()).unwrap();
        assert_eq!(last, model.last.get(&key(&name)).copied(), "{name}");
        let removal = store.removal(handle(&name).borrow()).unwrap();
        assert_eq!(removal, last.filter(|_| found.is_none()), "{name}");
    }
}

fn compare_list(random: &mut Random, store: &Store, model: &Model) {
    let prefix = match random.chance(30) {
        true => "",
        false => random.pick(&PREFIXES),
    };
    let scope = match prefix {
        "" => Scope::All,
        prefix => Scope::of_prefix(prefix).unwrap(),
    };
    let expected: Vec<&str> = model.in_scope(prefix).map(|(_, r)| r.1.as_str()).collect();
    let limit = random.below(7) as usize + 1;
    let found = pages(|after| store.list(&scope, after, limit));
    assert_eq!(found, expected);
    assert_eq!(store.count(&scope).unwrap(), expected.len() as u64);
    let scanned: Vec<u64> = store
        .scan(&scope, None)
        .map(|record| record.unwrap().1.version())
        .collect();
    let versions: Vec<u64> = model.in_scope(prefix).map(|(_, r)| r.0).collect();
    assert_eq!(scanned, versions);
}

fn compare_find(random: &mut Random, store: &Store, model: &Model) {
    let kind = *random.pick(&INDEXED);
    let data = data(random);
    if !model.indexes.contains(kind) {
        let refused = store.find(kind, data.as_bytes(), None, 1);
        assert!(matches!(refused, Err(StoreError::NoIndex { .. })));
        return;
    }
    store.settle();
    let matches = |value: &Value| {
        guantong_proto::type_matches(kind.as_bytes(), value.kind.as_bytes())
            && value.data == data.as_bytes()
    };
    let records = model.records.values();
    let expected: Vec<&str> = records
        .filter(|record| record.2.iter().any(matches))
        .map(|record| record.1.as_str())
        .collect();
    let limit = random.below(4) as usize + 1;
    let found = pages(|after| store.find(kind, data.as_bytes(), after, limit));
    assert_eq!(found, expected);
}

fn pages(
    page: impl Fn(Option<&PageToken>) -> Result<guantong_store::Page, StoreError>,
) -> Vec<String> {
    let mut found = Vec::new();
    let mut token = None;
    loop {
        let page = page(token.as_ref()).unwrap();
        found.extend(page.handles.iter().map(ToString::to_string));
        token = match page.next {
            Some(next) => Some(next),
            None => return found,
        };
    }
}

fn compare_log(store: &Store, model: &Model) {
    let entries = store.changes(0, 10_000).unwrap();
    let found: Vec<_> = entries
        .iter()
        .map(|entry| (entry.action, entry.handle.to_string()))
        .collect();
    assert_eq!(found, model.log);
    let previous: Vec<_> = entries.iter().map(|entry| entry.previous()).collect();
    assert_eq!(previous, model.previous);
    assert_eq!(store.last_change(), model.log.len() as u64);
}

fn compare_all(store: &Store, model: &Model) {
    let mut random = Random::new(0);
    for _ in 0..20 {
        compare_reads(&mut random, store, model);
        compare_list(&mut random, store, model);
        compare_find(&mut random, store, model);
    }
    compare_log(store, model);
    let homed: Vec<String> = store.homed().iter().map(ToString::to_string).collect();
    assert_eq!(homed, model.homed.values().cloned().collect::<Vec<_>>());
}

fn check_backup(store: &Store, model: &Model, copy: &Path) {
    let mut go_on = |_| ControlFlow::Continue(());
    let backup = copy.join("backup");
    let manifest = store.backup(&backup, &mut go_on).unwrap();
    assert_eq!(manifest.records, model.records.len() as u64);
    assert_eq!(
        restore(&backup, &copy.join("store"), &mut go_on).unwrap(),
        manifest
    );
    let restored = open(copy);
    compare_all(&restored, model);
    drop(restored);
    check_clean(&copy.join("store"));
}

fn check_clean(dir: &Path) {
    let checked = guantong_store::check(dir, 0, &mut |_| ControlFlow::Continue(())).unwrap();
    assert!(checked.is_clean(), "{checked:?}");
}
