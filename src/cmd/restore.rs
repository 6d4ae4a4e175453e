//! `guantong restore`: a store from a backup.

use std::ops::ControlFlow;
use std::path::PathBuf;

use guantong_store::{BackupError, restore};

use crate::failed::{Exit, Failed, Report};
use crate::output::Output;
use crate::progress::Meter;

const EXAMPLES: &str = "\
Examples:
  guantong restore /var/backups/guantong/monday /srv/node/store

Every octet of the backup is verified. To take the restored store into use, stop the node, move
its old store away, restore into the place of the old one, and start the node.";

/// Make a store from a backup.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The folder of the backup
    #[arg(value_name = "FROM")]
    from: PathBuf,

    /// The store to make: a folder that is empty or does not exist yet
    #[arg(value_name = "DIR")]
    to: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<(), Failed> {
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
        Report::new(exit, "the backup could not be restored")
            .causes_of(&error)
            .fail()
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
    output.finish()
}
