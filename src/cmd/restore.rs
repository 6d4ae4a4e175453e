//! `guantong restore`: a store and its files from a backup.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use guantong_server::files::copy::{self, CopyError, FilesManifest};
use guantong_store::{BackupError, read_manifest, restore};

use crate::failed::{Exit, Failed, Report};
use crate::output::Output;
use crate::progress::Meter;

const EXAMPLES: &str = "\
Examples:
  guantong restore /var/backups/guantong/monday /srv/node/store

  guantong restore monday /srv/node/store --files /srv/files

Every octet of the backup is verified. To take the restored store into use, stop the node, move
its old store and its old files away, restore into their places, and start the node.";

/// Make a store, and the files that its records name, from a backup.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The folder of the backup
    #[arg(value_name = "FROM")]
    from: PathBuf,

    /// The store to make: a folder that is empty or does not exist yet
    #[arg(value_name = "DIR")]
    to: PathBuf,

    /// Where the files go that records name: a folder that is empty or does not exist yet, which is
    /// `files.folder` of the node. Without it: `files` beside the store
    #[arg(long, value_name = "DIR", conflicts_with = "no_files")]
    files: Option<PathBuf>,

    /// Restore the records alone
    #[arg(long)]
    no_files: bool,
}

impl Args {
    /// Where the files go, if they are to be restored.
    fn shelf(&self) -> Option<PathBuf> {
        let beside = || self.to.with_file_name("files");
        (!self.no_files).then(|| self.files.clone().unwrap_or_else(beside))
    }
}

pub(crate) fn run(args: &Args) -> Result<(), Failed> {
    // First, since a store that is there already would be taken into use without them.
    let files = match args.shelf() {
        Some(shelf) => Some(restored_files(&args.from, &shelf)?),
        None => None,
    };
    let mut meter = Meter::new("entries", 0);
    let restored = restore(&args.from, &args.to, &mut |progress| {
        meter.set(progress.done, progress.total, progress.done);
        ControlFlow::Continue(())
    });
    let manifest = restored.map_err(|error| {
        let exit = match error {
            // As with `init` and `backup`, a folder that is in use is a wrong argument.
            BackupError::NotEmpty { .. } => Exit::Usage,
            _ => Exit::Refused,
        };
        if let Some((FilesManifest { uploads: 1.., .. }, shelf)) = &files {
            // They were put there for records that did not come.
            drop(std::fs::remove_dir_all(shelf));
        }
        failed(&error, exit)
    })?;
    let time = meter.finish(manifest.records + manifest.changes);
    let mut output = Output::new();
    output.line(format_args!(
        "{} records and {} changes, up to change {}, in {time}: {}",
        manifest.records,
        manifest.changes,
        manifest.last_change,
        args.to.display()
    ))?;
    if let Some((files, shelf)) = files.filter(|(files, _)| files.uploads > 0) {
        output.line(format_args!(
            "{} files, {} octets: {}",
            files.uploads,
            files.octets,
            shelf.display()
        ))?;
    }
    output.finish()
}

fn restored_files(from: &Path, shelf: &Path) -> Result<(FilesManifest, PathBuf), Failed> {
    // What is no backup at all is told by its records.
    read_manifest(from).map_err(|error| failed(&error, Exit::Refused))?;
    let files = copy::restore(from, shelf).map_err(|error| match error {
        CopyError::NotEmpty { .. } => failed(&error, Exit::Usage),
        error => failed(&error, Exit::Refused),
    })?;
    Ok((files, shelf.to_owned()))
}

fn failed(error: &(dyn std::error::Error + 'static), exit: Exit) -> Failed {
    Report::new(exit, "the backup could not be restored")
        .causes_of(error)
        .fail()
}
