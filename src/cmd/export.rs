//! `guantong export`: all records as JSON Lines.

use std::path::{Path, PathBuf};

use guantong_api::control::{Ask, Reply};
use guantong_server::control::{Control, Fault};
use guantong_server::transfer::{ExportFile, TransferError, export};

use super::{NodeArgs, ask};
use crate::failed::{Exit, Failed, Report};
use crate::output::note;
use crate::progress::Meter;

const EXAMPLES: &str = "\
Examples:
  guantong export > all.jsonl
  guantong export --prefix 88.118.5 --output parts.jsonl
  guantong export --prefix 88.118.5 --output parts.jsonl --resume
  guantong export --config one | guantong import --config two -

The records are those of one moment, in the order of their handles. A file gets its name when it
is whole; until then it is FILE.part. With --resume, the export goes on behind the last record in
FILE.part: the records behind it are those of the moment of resuming.";

/// Export records as JSON Lines.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only records of this prefix
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,

    /// Write into this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Go on where an interrupted export into the same file stopped
    #[arg(long, requires = "output")]
    resume: bool,

    #[command(flatten)]
    node: NodeArgs,
}

pub(crate) fn run(args: &Args) -> Result<(), Failed> {
    let mut control = ask::open(&args.node)?;
    let total = count(&mut *control, args.prefix.as_deref())?;
    match &args.output {
        Some(path) => to_file(&mut *control, args, path, total),
        None => {
            let mut out = std::io::stdout().lock();
            to(&mut *control, args, None, &mut out, total)
        }
    }
}

fn to_file(control: &mut dyn Control, args: &Args, path: &Path, total: u64) -> Result<(), Failed> {
    let (mut file, after) = match args.resume {
        true => ExportFile::resume(path).map_err(|error| failed(&error))?,
        false => {
            let file = ExportFile::create(path).map_err(|error| failed(&error))?;
            (file, None)
        }
    };
    if let Some(after) = &after {
        note(format_args!("going on behind {after}"));
    }
    to(control, args, after, &mut file, total)?;
    file.finish().map_err(|error| failed(&error))
}

fn to(
    control: &mut dyn Control,
    args: &Args,
    after: Option<String>,
    out: &mut dyn std::io::Write,
    total: u64,
) -> Result<(), Failed> {
    let mut meter = Meter::new("records", total);
    let prefix = args.prefix.clone();
    let exported = export(control, prefix, after, out, &mut |done| {
        meter.set(done, total, done);
    });
    let records = exported.map_err(|error| failed(&error))?;
    let time = meter.finish(records);
    note(format_args!("{records} records exported in {time}"));
    Ok(())
}

/// How many records there are to export, for the progress.
fn count(control: &mut dyn Control, prefix: Option<&str>) -> Result<u64, Failed> {
    let asked = Ask::List {
        prefix: prefix.map(str::to_owned),
        after: None,
        limit: 1,
    };
    match ask::ask(control, asked)? {
        Reply::Page(page) => Ok(page.total.unwrap_or(0)),
        _ => Err(ask::strange()),
    }
}

fn failed(error: &TransferError) -> Failed {
    match error {
        TransferError::Node(fault @ (Fault::Refused(_) | Fault::Lost { .. })) => ask::failed(fault),
        TransferError::Output(cause) if cause.kind() == std::io::ErrorKind::BrokenPipe => {
            Failed::reader_gone()
        }
        error => Report::new(Exit::Refused, "the export has stopped")
            .causes_of(error)
            .fail(),
    }
}
