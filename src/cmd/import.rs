//! `guantong import`: many records from JSON Lines.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use guantong_api::control::{Mode, OnConflict};
use guantong_server::config::Config;
use guantong_server::priority::step_back;
use guantong_server::transfer::{
    Happening, ImportJob, STATE_SUFFIX, State, Tally, TransferError, import,
};

use super::{NodeArgs, ask};
use crate::failed::{Exit, Failed, Report};
use crate::output::{Output, note};
use crate::progress::Meter;

/// Refused lines that are shown; the result file has them all.
const REFUSED_SHOWN_MAX: u64 = 20;
/// Octets of the input read at a time.
const READ_LEN: usize = 1024 * 1024;

const EXAMPLES: &str = "\
Examples:
  guantong import parts.jsonl --dry-run
  guantong import parts.jsonl --results parts.results.jsonl
  guantong import parts.jsonl --results parts.results.jsonl --resume
  zcat parts.jsonl.gz | guantong import - --on-conflict skip

Each line is a record:
  {\"handle\":\"88.118.5/SN1\",\"values\":[{\"index\":1,\"type\":\"URL\",\"data\":\"…\"}]}

A line that is refused does not stop the import. Exit code 1 says that there was one.
An import that was interrupted goes on with --resume; without it, it starts over.";

/// Import records from JSON Lines.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The file; - for standard input
    #[arg(value_name = "FILE.jsonl")]
    file: PathBuf,

    /// Say what would happen, change nothing
    #[arg(long)]
    dry_run: bool,

    /// Write what became of each line into this file, as JSON Lines
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,

    /// What to do with a record that is there already and differs
    #[arg(long, value_name = "WHAT", default_value = "replace")]
    on_conflict: Conflict,

    /// Stop at the first line that is refused
    #[arg(long)]
    stop_on_error: bool,

    /// Go on where an interrupted import of the same file stopped
    #[arg(long)]
    resume: bool,

    /// Sort the lines by name first: less work for the store if they are many and in random order.
    /// What does not fit into memory lies beside the store meanwhile
    #[arg(long, conflicts_with_all = ["resume", "state", "stop_on_error"])]
    sort: bool,

    /// Where to remember how far the import is; by default beside the result file, else beside FILE
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,

    /// Print the summary as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Conflict {
    /// Replace it
    Replace,
    /// Leave it as it is
    Skip,
    /// Refuse the line
    Fail,
}

impl From<Conflict> for OnConflict {
    fn from(conflict: Conflict) -> Self {
        match conflict {
            Conflict::Replace => Self::Replace,
            Conflict::Skip => Self::Skip,
            Conflict::Fail => Self::Fail,
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<(), Failed> {
    let state = state_file(args);
    if args.resume && state.is_none() {
        return Err(
            Report::new(Exit::Usage, "standard input cannot be resumed like this")
                .hint("name a result file with --results or a state file with --state")
                .fail(),
        );
    }
    let (input, octets) = open_input(&args.file)?;
    let mut control = ask::open(&args.node)?;
    if control.is_running_node() {
        // Whoever asks the node now does not wait for us.
        step_back();
    }
    if let Some(path) = state.as_deref().filter(|_| !args.dry_run) {
        tell_earlier(path, args.resume)?;
    }
    let job = ImportJob {
        input,
        on_conflict: args.on_conflict.into(),
        mode: match args.dry_run {
            true => Mode::DryRun,
            false => Mode::Apply,
        },
        stop_on_error: args.stop_on_error,
        results: args.results.clone(),
        state: state.clone(),
        resume: args.resume,
        sort_in: match args.sort {
            true => Some(beside_store(&args.node.load()?)),
            false => None,
        },
    };
    let mut meter = Meter::new("records", octets);
    let mut refusals = 0;
    let imported = import(&mut *control, job, &mut |happening| match happening {
        Happening::Resumed(mark) => {
            meter.say(format_args!("going on behind line {}", mark.lines));
        }
        Happening::Sorted { lines } => {
            meter.say(format_args!("{lines} lines are sorted; importing"));
        }
        Happening::Refused {
            line,
            column,
            handle,
            reason,
        } => {
            refusals += 1;
            if refusals <= REFUSED_SHOWN_MAX {
                meter.say(refused(line, column, handle, reason));
            }
        }
        Happening::Done { octets: at, tally } => meter.set(at, octets, tally.total()),
        _ => {}
    });
    let tally = imported.map_err(|error| failed(args, state.as_deref(), &error))?;
    let time = meter.finish(tally.total());
    if !args.dry_run {
        ask::warn_of_homeless_records(&mut *control)?;
    }
    summarize(args, &tally, &time)
}

/// Where the state is kept; `None` for standard input without a file of its own.
fn state_file(args: &Args) -> Option<PathBuf> {
    if args.sort {
        // How far it is says nothing about the input, of which all was read before.
        return None;
    }
    if args.state.is_some() {
        return args.state.clone();
    }
    let beside = match &args.results {
        Some(results) => results,
        None if is_stdin(&args.file) => return None,
        None => &args.file,
    };
    let mut name = beside.as_os_str().to_owned();
    name.push(STATE_SUFFIX);
    Some(name.into())
}

/// The folder that the store is in: the disk that the records are for has room for them.
fn beside_store(config: &Config) -> PathBuf {
    config
        .data
        .parent()
        .map_or(config.data.clone(), Path::to_owned)
}

fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// The input and its length in octets; 0 if that is not known.
fn open_input(file: &Path) -> Result<(Box<dyn BufRead + Send>, u64), Failed> {
    if is_stdin(file) {
        return Ok((Box::new(BufReader::with_capacity(READ_LEN, io::stdin())), 0));
    }
    let open = || {
        let input = File::open(file)?;
        let found = input.metadata()?;
        match found.is_dir() {
            true => Err(io::Error::from(io::ErrorKind::IsADirectory)),
            false => Ok((input, found.len())),
        }
    };
    match open() {
        Ok((input, len)) => Ok((Box::new(BufReader::with_capacity(READ_LEN, input)), len)),
        Err(error) => Err(
            Report::new(Exit::Usage, format!("{} cannot be read", file.display()))
                .cause(error)
                .fail(),
        ),
    }
}

/// Tells what an earlier, interrupted import means for this one.
fn tell_earlier(state: &Path, resume: bool) -> Result<(), Failed> {
    let earlier = State::load(state);
    match (earlier, resume) {
        (Ok(Some(earlier)), false) => note(format_args!(
            "note: an earlier import stopped behind line {}; starting over (use --resume to go on)",
            earlier.mark.lines
        )),
        (Ok(None), true) => note("note: there is nothing to resume; starting at the first line"),
        // A state that cannot be read matters only to those who want to resume.
        (Err(error), true) => {
            return Err(Report::new(Exit::Usage, "the import cannot be resumed")
                .cause(error)
                .fail());
        }
        _ => {}
    }
    Ok(())
}

fn refused(line: u64, column: Option<usize>, handle: Option<&str>, reason: &str) -> String {
    let column = column.map(|column| format!(", column {column}"));
    let handle = handle.map(|handle| format!("{handle}: "));
    let (column, handle) = (column.unwrap_or_default(), handle.unwrap_or_default());
    format!("refused: line {line}{column}: {handle}{reason}")
}

fn failed(args: &Args, state: Option<&Path>, error: &TransferError) -> Failed {
    let exit = match error {
        TransferError::Node(fault) => return resumable(args, state, ask::failed(fault)),
        TransferError::InputChanged { .. } => Exit::Usage,
        _ => Exit::Refused,
    };
    let report = Report::new(exit, "the import has stopped").causes_of(error);
    resumable(args, state, report.fail())
}

/// Says how to go on.
fn resumable(args: &Args, state: Option<&Path>, failed: Failed) -> Failed {
    if !args.dry_run && state.is_some_and(Path::exists) {
        note("what was imported so far is safe: mend the cause, then go on with --resume");
    }
    failed
}

fn summarize(args: &Args, tally: &Tally, time: &str) -> Result<(), Failed> {
    let mut output = Output::new();
    if args.json {
        let summary = serde_json::to_string(tally);
        output.line(summary.map_err(|_| ask::strange())?)?;
    } else {
        let would = match args.dry_run {
            true => "would be ",
            false => "",
        };
        output.line(format_args!(
            "{} lines in {time}: {would}{} created, {} replaced, {} unchanged, {} skipped, {} refused",
            tally.total(),
            tally.created,
            tally.replaced,
            tally.unchanged,
            tally.skipped,
            tally.refused
        ))?;
    }
    output.finish()?;
    if tally.refused == 0 {
        return Ok(());
    }
    let shown = tally.refused.min(REFUSED_SHOWN_MAX);
    let lines = if tally.refused == 1 {
        "line was"
    } else {
        "lines were"
    };
    match &args.results {
        Some(results) => note(format_args!(
            "{} {lines} refused; {} says which and why",
            tally.refused,
            results.display()
        )),
        None => note(format_args!(
            "{} {lines} refused, {shown} shown; --results FILE notes all of them",
            tally.refused
        )),
    }
    Err(Failed::reported(Exit::Refused))
}
