//! `guantong backup`: a consistent copy of the store, and of the files that its records name.

use std::path::{Path, PathBuf};

use guantong_api::control::{Ask, Reply};

use super::{NodeArgs, ask};
use crate::failed::{Exit, Failed, Report};
use crate::output::Output;
use crate::progress::Meter;

const EXAMPLES: &str = "\
Examples:
  guantong backup /var/backups/guantong/monday
  guantong backup monday --config /srv/node

The node may run and take changes meanwhile; the backup is of the moment at which it began. It
holds all records, the change log, the homed prefixes and the files that registrations name, but
neither the configuration nor keys.";

/// Make a consistent copy of the store and its files, while the node runs or not.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A folder that is empty or does not exist yet, on the node's machine
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    #[command(flatten)]
    node: NodeArgs,
}

pub(crate) fn run(args: &Args) -> Result<(), Failed> {
    let dir = absolute(&args.dir)?;
    let mut control = ask::open(&args.node)?;
    let mut meter = Meter::new("entries", 0);
    let reply = control.ask(Ask::Backup { dir }, &mut |body| meter.listen(body));
    let Reply::BackedUp(backup) = reply.map_err(|fault| ask::failed(&fault))? else {
        return Err(ask::strange());
    };
    let time = meter.finish(backup.records + backup.changes);
    let mut output = Output::new();
    output.line(format_args!(
        "{} records and {} changes, up to change {}, {} octets, in {time}: {}",
        backup.records, backup.changes, backup.last_change, backup.octets, backup.dir
    ))?;
    if backup.files > 0 {
        output.line(format_args!(
            "{} files, {} octets",
            backup.files, backup.file_octets
        ))?;
    }
    output.finish()
}

/// The node may have another working folder.
fn absolute(dir: &Path) -> Result<String, Failed> {
    let unusable = |cause: String| {
        Report::new(Exit::Usage, format!("{} cannot be used", dir.display()))
            .cause(cause)
            .hint("give a folder that is empty or does not exist yet")
            .fail()
    };
    let path = std::path::absolute(dir).map_err(|error| unusable(error.to_string()))?;
    match path.into_os_string().into_string() {
        Ok(path) => Ok(path),
        Err(_) => Err(unusable("its name is not text".to_owned())),
    }
}
