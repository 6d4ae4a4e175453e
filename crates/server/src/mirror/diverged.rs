//! What only a fenced primary has: exported before it becomes like the node that took over.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use guantong_proto::Handle;
use guantong_store::{Action, Origin};

use crate::control::to_json;
use crate::node::Node;

/// Folder beside the configuration.
const FOLDER: &str = "diverged";
/// Changes read at a time.
const PAGE_LEN: usize = 1_000;

/// Writes the records that were changed behind change `had` of our own log to files, as they are
/// now. `had` is `None` if the new primary has never followed this node; then it is everything.
///
/// Nothing is deleted here, whatever happens next: the files stay until the operator has looked.
pub(super) fn export(node: &Node, had: Option<u64>) -> Result<(), String> {
    let (from, to) = (had.unwrap_or(0), node.store.last_change());
    let changed = changed_since(node, from)?;
    if changed.is_empty() {
        return Ok(());
    }
    let epoch = node.mirroring.standing().epoch;
    let folder = node.config().folder.join(FOLDER);
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(&folder).map_err(|e| in_file(&folder, &e))?;
    let name = format!("epoch-{epoch}-changes-{}-to-{to}", from + 1);
    let records = folder.join(format!("{name}.jsonl"));
    let deleted = folder.join(format!("{name}.deleted"));
    let (mut kept, mut gone) = (private(&records)?, private(&deleted)?);
    let (mut kept_count, mut gone_count) = (0_u64, 0_u64);
    for handle in &changed {
        let record = node.store.record(handle.borrow());
        match record.map_err(|error| error.to_string())? {
            Some(record) => {
                let json = to_json(record.handle().as_str(), record.values());
                writeln!(kept, "{}", json.get()).map_err(|e| in_file(&records, &e))?;
                kept_count += 1;
            }
            None => {
                writeln!(gone, "{handle}").map_err(|e| in_file(&deleted, &e))?;
                gone_count += 1;
            }
        }
    }
    for (path, file) in [(&records, kept), (&deleted, gone)] {
        let file = file.into_inner().map_err(|e| in_file(path, e.error()))?;
        file.sync_all().map_err(|e| in_file(path, &e))?;
    }
    tracing::warn!(
        records = kept_count,
        deleted = gone_count,
        file = %records.display(),
        "changes that the new primary never had are kept in files; look at them, and import what \
         is still wanted at the new primary"
    );
    Ok(())
}

/// The handles that changes behind `from` are about, except for those of replication.
fn changed_since(node: &Node, from: u64) -> Result<BTreeSet<Handle>, String> {
    let mut changed = BTreeSet::new();
    let mut at = from;
    loop {
        let page = node
            .store
            .changes(at, PAGE_LEN)
            .map_err(|e| e.to_string())?;
        let Some(last) = page.last() else {
            return Ok(changed);
        };
        at = last.number;
        for entry in page {
            let is_record = matches!(
                entry.action,
                Action::Create | Action::Update | Action::Delete
            );
            if is_record && entry.origin != Origin::Replication {
                changed.insert(entry.handle);
            }
        }
    }
}

fn private(path: &Path) -> Result<BufWriter<File>, String> {
    let mut options = fs::OpenOptions::new();
    // An export that was interrupted is made again.
    options.write(true).create(true).truncate(true).mode(0o600);
    let file = options.open(path).map_err(|e| in_file(path, &e))?;
    Ok(BufWriter::new(file))
}

fn in_file(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}
