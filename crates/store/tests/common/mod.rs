//! Helpers of the store's integration tests.

#![allow(dead_code, reason = "each test file uses its own part of these")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;

use guantong_proto::wire::Writer;
use guantong_proto::{CaseRule, Handle, Value, Values};
use guantong_store::{
    Batch, Change, Committed, CreateOptions, Expect, Options, Origin, Store, Trail, WriteError,
};

/// Options that make small stores quick to open.
pub(crate) fn options() -> Options {
    Options {
        memory_bytes: 32 << 20,
        ..Options::default()
    }
}

/// A new store in `dir/store`.
pub(crate) fn create(dir: &Path) -> Store {
    let create = CreateOptions {
        case_rule: CaseRule::Insensitive,
        id: [7; 16],
    };
    Store::create(&dir.join("store"), &create, &options()).unwrap()
}

/// The store in `dir/store` once more.
pub(crate) fn open(dir: &Path) -> Store {
    Store::open(&dir.join("store"), &options()).unwrap()
}

pub(crate) fn handle(name: &str) -> Handle {
    Handle::parse(name).unwrap()
}

pub(crate) fn wire(values: &[Value]) -> Vec<u8> {
    Writer::to_vec(|w| Values::encode(values, w))
}

/// Values that are one URL.
pub(crate) fn url(url: &str) -> Vec<u8> {
    wire(&[Value::new(1, "URL", url)])
}

pub(crate) fn put(name: &str, values: Vec<u8>, expect: Expect) -> Change {
    Change::Put {
        handle: handle(name),
        values,
        expect,
    }
}

pub(crate) fn delete(name: &str, expect: Expect) -> Change {
    Change::Delete {
        handle: handle(name),
        expect,
    }
}

pub(crate) fn batch(changes: Vec<Change>) -> Batch {
    Batch {
        changes,
        at_ms: 1_780_000_000_000,
        origin: Origin::Operator,
        trail: Trail::default(),
    }
}

pub(crate) fn write(store: &Store, changes: Vec<Change>) -> Result<Committed, WriteError> {
    store.submit(batch(changes)).wait()
}

/// The data of the first value of a record.
pub(crate) fn first_data(store: &Store, name: &str) -> Option<String> {
    let record = store.record(handle(name).borrow()).unwrap()?;
    let values = record.values().to_vec().unwrap();
    Some(values[0].text().unwrap().to_owned())
}

/// A temporary directory, in memory where the system offers that: tests sync a lot.
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}
