//! `guantong store`: what concerns the store as such.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use guantong_api::control::{Ask, Checked, Reply};
use guantong_server::control::{Control, Remote, in_words};
use guantong_store::limits::MEMORY_BYTES_DEFAULT;
use guantong_store::{OnLoss, OpenError, Options, Store, check};

use super::{NodeArgs, ask};
use crate::failed::{Exit, Failed, Report};
use crate::output::Output;
use crate::progress::Meter;

const CHECK_EXAMPLES: &str = "\
Examples:
  guantong store check
  guantong store check --config /srv/node
  guantong store check /srv/node/store

Nothing is changed. Of a running node, blocks that are in its cache are not read from the disk
again; stop the node to have every octet read.";

const INDEX_EXAMPLES: &str = "\
Examples:
  guantong store index list
  guantong store index on EMAIL
  guantong store index off EMAIL

An index lets `guantong record find` find handles by the data of their values. It costs disk and
time with every change. It is built in the background, and `list` says when it is ready.";

const ACCEPT_LOSS_EXAMPLES: &str = "\
Examples:
  guantong store accept-loss
  guantong store accept-loss --yes

A node does not start if changes that it has acknowledged are missing from its store, or are not
those that it wrote. A backup brings them back; this command gives them up. Stop the node first,
keep a copy of the folder, and look at `guantong store check`.";

/// Check the store, or switch on reverse look-up.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(CheckArgs),
    Index(IndexArgs),
    AcceptLoss(AcceptLossArgs),
}

/// Read everything and say what is wrong.
#[derive(Debug, clap::Args)]
#[command(after_help = CHECK_EXAMPLES)]
struct CheckArgs {
    /// A store that no node uses, instead of the node's own
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,

    /// Print what was found as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    node: NodeArgs,
}

/// Give up acknowledged changes that are missing, so that the node starts again.
#[derive(Debug, clap::Args)]
#[command(after_help = ACCEPT_LOSS_EXAMPLES)]
struct AcceptLossArgs {
    /// Do it; without this, only say what is lost
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    node: NodeArgs,
}

/// List, switch on or switch off indexes for reverse look-up.
#[derive(Debug, clap::Args)]
#[command(after_help = INDEX_EXAMPLES)]
struct IndexArgs {
    /// What to do
    action: IndexAction,

    /// The type, or a family of types with a dot at the end
    #[arg(value_name = "TYPE")]
    kind: Option<String>,

    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum IndexAction {
    /// Say which there are, and how far they are
    List,
    /// Switch one on
    On,
    /// Switch one off
    Off,
}

pub(crate) fn run(args: &Args) -> Result<(), Failed> {
    match &args.command {
        Command::Check(args) => run_check(args),
        Command::Index(args) => run_index(args),
        Command::AcceptLoss(args) => run_accept_loss(args),
    }
}

//----------- check ----------------------------------------------------------

fn run_check(args: &CheckArgs) -> Result<(), Failed> {
    let mut meter = Meter::new("entries", 0);
    let checked = match &args.dir {
        Some(dir) => check_folder(dir, MEMORY_BYTES_DEFAULT, &mut meter)?,
        None => {
            let config = args.node.load()?;
            match Remote::connect(&config.control) {
                Ok(mut node) => check_running(&mut node, &mut meter)?,
                Err(_) => check_folder(&config.data, config.store.memory.0, &mut meter)?,
            }
        }
    };
    let time = meter.finish(checked.records + checked.changes + checked.index_entries);
    tell(args, &checked, &time)
}

fn check_running(node: &mut Remote, meter: &mut Meter) -> Result<Checked, Failed> {
    match node.ask(Ask::Check, &mut |body| meter.listen(body)) {
        Ok(Reply::Checked(checked)) => Ok(checked),
        Ok(_) => Err(ask::strange()),
        Err(fault) => Err(ask::failed(&fault)),
    }
}

fn check_folder(dir: &Path, memory_bytes: u64, meter: &mut Meter) -> Result<Checked, Failed> {
    let checked = check(dir, memory_bytes, &mut |progress| {
        meter.set(progress.done, progress.total, progress.done);
        ControlFlow::Continue(())
    });
    checked.map(in_words).map_err(|error| not_opened(&error))
}

fn not_opened(error: &OpenError) -> Failed {
    let exit = match error {
        OpenError::NotAStore { .. } | OpenError::Locked { .. } | OpenError::Foreign { .. } => {
            Exit::Usage
        }
        _ => Exit::Refused,
    };
    Report::new(exit, "the store could not be opened")
        .causes_of(error)
        .fail()
}

fn tell(args: &CheckArgs, checked: &Checked, time: &str) -> Result<(), Failed> {
    let mut output = Output::new();
    if args.json {
        let text = serde_json::to_string(checked);
        output.line(text.map_err(|_| ask::strange())?)?;
    } else {
        for finding in &checked.findings {
            output.line(format_args!("{}: {}", finding.what, finding.advice))?;
        }
        if checked.more_findings > 0 {
            output.line(format_args!("and {} more findings", checked.more_findings))?;
        }
        let verdict = match checked.findings.len() {
            0 => "nothing is wrong".to_owned(),
            _ => format!(
                "{} findings",
                checked.findings.len() as u64 + checked.more_findings
            ),
        };
        output.line(format_args!("change {}: {}", checked.changes, checked.link))?;
        output.line(format_args!(
            "{} records, {} changes and {} index entries read in {time}: {verdict}",
            checked.records, checked.changes, checked.index_entries
        ))?;
    }
    output.finish()?;
    match checked.findings.is_empty() {
        true => Ok(()),
        false => Err(Failed::reported(Exit::Refused)),
    }
}

//----------- index ----------------------------------------------------------

fn run_index(args: &IndexArgs) -> Result<(), Failed> {
    let kind = || {
        args.kind.clone().ok_or_else(|| {
            Report::new(Exit::Usage, "no type is given")
                .hint("for example `guantong store index on EMAIL`")
                .fail()
        })
    };
    let asked = match args.action {
        IndexAction::List => Ask::Indexes,
        IndexAction::On => Ask::EnableIndex { kind: kind()? },
        IndexAction::Off => Ask::DisableIndex { kind: kind()? },
    };
    let mut control = ask::open(&args.node)?;
    let mut output = Output::new();
    match ask::ask(&mut *control, asked)? {
        Reply::Indexes(indexes) => {
            for index in indexes {
                output.line(format_args!("{} {}", index.kind, index.state))?;
            }
        }
        Reply::Done => {}
        _ => return Err(ask::strange()),
    }
    output.finish()
}

//----------- accept-loss ----------------------------------------------------

fn run_accept_loss(args: &AcceptLossArgs) -> Result<(), Failed> {
    let config = args.node.load()?;
    let open = |on_loss| {
        let options = Options {
            memory_bytes: config.store.memory.0,
            on_loss,
        };
        Store::open(&config.data, &options)
    };
    let lost = match open(OnLoss::Refuse) {
        Ok(_) => return say("nothing is lost: the node starts as it is"),
        Err(
            error @ (OpenError::LostChanges { .. }
            | OpenError::Rewritten { .. }
            | OpenError::Damaged { .. }),
        ) => error,
        Err(error) => return Err(not_opened(&error)),
    };
    if !args.yes {
        return Err(
            Report::new(Exit::Refused, "acknowledged changes are lost, or may be")
                .causes_of(&lost)
                .hint("with `--yes` they are given up")
                .fail(),
        );
    }
    let store = open(OnLoss::Accept).map_err(|error| not_opened(&error))?;
    say(&format!(
        "{lost}\nThe loss is accepted: the node goes on behind change {}.",
        store.last_change()
    ))
}

fn say(text: &str) -> Result<(), Failed> {
    let mut output = Output::new();
    output.line(text)?;
    output.finish()
}
