//! The resolver against a virtual network: scenarios that anybody can read, and properties that
//! hold whatever servers send.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what does not hold is told by a panic"
)]

mod limit;
mod property;
mod scenario;
mod server;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Every file under `test-data/replay` is played; all failures are told at once.
#[test]
fn scenarios_play_as_they_are_written() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../test-data/replay");
    let files = std::fs::read_dir(folder).expect("the scenarios come with the sources");
    let mut paths: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    paths.sort();
    let only = std::env::var("SCENARIO").unwrap_or_default();
    let mut failures = Vec::new();
    let mut played = 0;
    for path in paths {
        let name = path
            .file_name()
            .expect("it has a name")
            .to_string_lossy()
            .into_owned();
        if path.extension().is_none_or(|e| e != "scenario") || !name.contains(&only) {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("scenarios are text");
        played += 1;
        let result = catch_unwind(AssertUnwindSafe(|| scenario::play(&text)));
        if let Err(panic) = result {
            let told = panic.downcast_ref::<String>().cloned();
            let told = told.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            failures.push(format!("{name}: {}", told.unwrap_or_default()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(played > 0, "there are scenarios");
}
