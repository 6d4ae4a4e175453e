//! `guantong record`: look at records and change them, on the machine of the node.

mod diff;
mod past;
mod state;
mod values;

use clap::Subcommand;
use guantong_api::control::{
    Ask, Changed, Condition, Json, Mode, Outcome, Page, RecordChange, Reply,
};
use guantong_proto::json::{Record, RecordForm, ValueForm};
use guantong_proto::{Handle, Value};
use guantong_server::control::Control;
use serde_json::value::to_raw_value;

use self::state::NewState;
use self::values::{DataArgs, read_record};
use super::{NodeArgs, ask};
use crate::failed::{Exit, Failed, Report};
use crate::output::{Output, note};
use crate::render;

/// Handles asked for at a time.
const PAGE_LEN: u32 = 1_000;

const GET_EXAMPLES: &str = "\
Examples:
  guantong record get 88.118.5/SN1
  guantong record get 88.118.5/SN1 --json > SN1.json

All values are shown, also those that a client may not read.";

const PUT_EXAMPLES: &str = "\
Examples:
  guantong record put 88.118.5/SN1 --value '1 URL https://example.org/SN1' --value '2 NAME Pump'
  guantong record put --file SN1.json --if-absent
  guantong record put --file SN1.json --dry-run
  guantong record put --file SN1.json --state reserved

The record is written whole: values that are not given are gone afterwards.";

const ADD_EXAMPLES: &str = "\
Examples:
  guantong record add 88.118.5/SN1 --value '3 EMAIL service@example.org'
  guantong record add 88.118.5/SN1 --value '4 NOTE spare' --ttl 60 --permissions 1100";

const MODIFY_EXAMPLES: &str = "\
Examples:
  guantong record modify 88.118.5/SN1 --value '1 URL https://example.org/new'";

const REMOVE_EXAMPLES: &str = "\
Examples:
  guantong record remove 88.118.5/SN1 3 4
  guantong record remove 88.118.5/SN1 3 --dry-run";

const DIFF_EXAMPLES: &str = "\
Examples:
  guantong record diff --file SN1.json
  guantong record diff 88.118.5/SN1 --file SN1.json

Shows what `record put` with this file would change. Exit code 0: nothing; 1: something.";

const LIST_EXAMPLES: &str = "\
Examples:
  guantong record list --prefix 88.118.5
  guantong record list --count";

const FIND_EXAMPLES: &str = "\
Examples:
  guantong record find EMAIL service@example.org

An index must be switched on for the type: `guantong store index on EMAIL`.";

//----------- Args -----------------------------------------------------------

/// Look at records and change them, on the machine of the node.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show a record with all its values
    #[command(after_help = GET_EXAMPLES)]
    Get(GetArgs),
    /// Write a record whole
    #[command(after_help = PUT_EXAMPLES)]
    Put(PutArgs),
    /// Add values under indexes that are free
    #[command(after_help = ADD_EXAMPLES)]
    Add(ValuesArgs),
    /// Replace values by their indexes
    #[command(after_help = MODIFY_EXAMPLES)]
    Modify(ValuesArgs),
    /// Remove values by their indexes
    #[command(after_help = REMOVE_EXAMPLES)]
    Remove(RemoveArgs),
    /// Take a name, and keep its record from the public
    #[command(after_help = state::RESERVE_EXAMPLES)]
    Reserve(state::ReserveArgs),
    /// Show a reserved or withdrawn record to the public
    #[command(after_help = state::PUBLISH_EXAMPLES)]
    Publish(state::PublishArgs),
    /// Take a record from the public for good, and say why
    #[command(after_help = state::WITHDRAW_EXAMPLES)]
    Withdraw(state::WithdrawArgs),
    /// Withdraw a record as deleted, or remove it with --force
    #[command(after_help = state::DELETE_EXAMPLES)]
    Delete(state::DeleteArgs),
    /// Show what has happened to a record, who did it and when
    #[command(after_help = past::HISTORY_EXAMPLES)]
    History(past::HistoryArgs),
    /// Make changes not have happened
    #[command(after_help = past::UNDO_EXAMPLES)]
    Undo(past::UndoArgs),
    /// Compare a record with a file
    #[command(after_help = DIFF_EXAMPLES)]
    Diff(DiffArgs),
    /// List handles in order
    #[command(after_help = LIST_EXAMPLES)]
    List(ListArgs),
    /// Find handles by the data of a value
    #[command(after_help = FIND_EXAMPLES)]
    Find(FindArgs),
}

#[derive(Debug, clap::Args)]
struct GetArgs {
    /// The handle
    handle: String,

    /// Print the record as JSON in one line
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, clap::Args)]
struct ValuesArgs {
    /// The handle; may be left out if the file has it
    handle: Option<String>,

    #[command(flatten)]
    data: DataArgs,

    #[command(flatten)]
    how: HowArgs,
}

#[derive(Debug, clap::Args)]
struct PutArgs {
    #[command(flatten)]
    record: ValuesArgs,

    /// Whether the record is shown to everybody at once, or only after `record publish`
    #[arg(long, value_name = "STATE")]
    state: Option<NewState>,
}

#[derive(Debug, clap::Args)]
struct RemoveArgs {
    /// The handle
    handle: String,

    /// Indexes of the values
    #[arg(required = true, value_name = "INDEX")]
    indexes: Vec<i32>,

    #[command(flatten)]
    how: HowArgs,
}

#[derive(Debug, clap::Args)]
struct DiffArgs {
    /// The handle; may be left out if the file has it
    handle: Option<String>,

    #[command(flatten)]
    data: DataArgs,

    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Only handles of this prefix
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,

    /// Only say how many there are
    #[arg(long)]
    count: bool,

    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, clap::Args)]
struct FindArgs {
    /// The type
    #[arg(value_name = "TYPE")]
    kind: String,

    /// The data
    data: String,

    #[command(flatten)]
    node: NodeArgs,
}

/// How a change is made and shown.
#[derive(Debug, clap::Args)]
struct HowArgs {
    /// Only if the record has this version; `record get` shows it
    #[arg(long, value_name = "N", conflicts_with = "if_absent")]
    if_version: Option<u64>,

    /// Only if there is no such record
    #[arg(long)]
    if_absent: bool,

    /// Show what would change, change nothing
    #[arg(long)]
    dry_run: bool,

    /// Print the record as it is afterwards, as JSON in one line
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    node: NodeArgs,
}

pub(crate) fn run(args: &Args) -> Result<(), Failed> {
    match &args.command {
        Command::Get(args) => get(args),
        Command::Put(args) => put(args),
        Command::Add(args) => {
            let (handle, values) = read_record(args.handle.as_deref(), &args.data)?;
            let handle_text = handle.as_str().to_owned();
            let values = values_json(&values)?;
            let add = RecordChange::Add {
                handle: handle_text,
                values,
            };
            change(&handle, add, &args.how)
        }
        Command::Modify(args) => {
            let (handle, values) = read_record(args.handle.as_deref(), &args.data)?;
            let modify = RecordChange::Modify {
                handle: handle.as_str().to_owned(),
                values: values_json(&values)?,
            };
            change(&handle, modify, &args.how)
        }
        Command::Remove(args) => {
            let remove = RecordChange::Remove {
                handle: args.handle.clone(),
                indexes: args.indexes.clone(),
            };
            change(&values::parse_handle(&args.handle)?, remove, &args.how)
        }
        Command::Reserve(args) => state::reserve(args),
        Command::Publish(args) => state::publish(args),
        Command::Withdraw(args) => state::withdraw(args),
        Command::Delete(args) => state::delete(args),
        Command::History(args) => past::history(args),
        Command::Undo(args) => past::undo(args),
        Command::Diff(args) => compare(args),
        Command::List(args) => list(args),
        Command::Find(args) => find(args),
    }
}

//----------- Looking --------------------------------------------------------

fn get(args: &GetArgs) -> Result<(), Failed> {
    let handle = values::parse_handle(&args.handle)?;
    let mut control = ask::open(&args.node)?;
    let Some((version, record)) = fetch(&mut *control, &handle)? else {
        return Err(no_record(&handle));
    };
    let mut output = Output::new();
    if args.json {
        output.line(answer_json(&record)?)?;
    } else {
        let values = ask::values_of(&record)?;
        output.line(format_args!("{handle}  (version {version})"))?;
        for line in render::table(&values, render::terminal_columns()) {
            output.line(line)?;
        }
    }
    output.finish()
}

fn fetch(control: &mut dyn Control, handle: &Handle) -> Result<Option<(u64, Json)>, Failed> {
    let asked = Ask::Get {
        handle: handle.as_str().to_owned(),
    };
    match ask::ask(control, asked)? {
        Reply::Record(stored) => Ok(stored.map(|stored| (stored.version, stored.record))),
        _ => Err(ask::strange()),
    }
}

fn no_record(handle: &Handle) -> Failed {
    Report::new(
        Exit::Refused,
        format_args!("there is no record {handle} on this node"),
    )
    .hint("`guantong record list` shows what there is")
    .fail()
}

/// Compares a record with what is given.
fn compare(args: &DiffArgs) -> Result<(), Failed> {
    let (handle, wanted) = read_record(args.handle.as_deref(), &args.data)?;
    let mut control = ask::open(&args.node)?;
    let stored = fetch(&mut *control, &handle)?;
    let stored = stored
        .map(|(_, record)| ask::values_of(&record))
        .transpose()?;
    let mut output = Output::new();
    if stored.is_none() {
        note(format_args!("there is no record {handle} on this node"));
    }
    let lines = diff::diff(stored.as_deref().unwrap_or_default(), &wanted);
    for line in &lines {
        output.line(line)?;
    }
    output.finish()?;
    match lines.is_empty() && stored.is_some() {
        true => Ok(()),
        false => Err(Failed::reported(Exit::Refused)),
    }
}

fn list(args: &ListArgs) -> Result<(), Failed> {
    let mut control = ask::open(&args.node)?;
    pages(&mut *control, args.count, |after| Ask::List {
        prefix: args.prefix.clone(),
        after,
        limit: PAGE_LEN,
    })
}

fn find(args: &FindArgs) -> Result<(), Failed> {
    let data = to_raw_value(&args.data).map_err(|_| ask::strange())?;
    let mut control = ask::open(&args.node)?;
    pages(&mut *control, false, |after| Ask::Find {
        kind: args.kind.clone(),
        data: data.clone(),
        after,
        limit: PAGE_LEN,
    })
}

/// Prints the handles of all pages, or only how many there are.
fn pages(
    control: &mut dyn Control,
    count: bool,
    asked: impl Fn(Option<String>) -> Ask,
) -> Result<(), Failed> {
    let mut output = Output::new();
    let mut after = None;
    loop {
        let Reply::Page(Page {
            handles,
            next,
            total,
        }) = ask::ask(control, asked(after))?
        else {
            return Err(ask::strange());
        };
        if count {
            output.line(total.unwrap_or_default())?;
            return output.finish();
        }
        for handle in handles {
            output.line(handle)?;
        }
        match next {
            Some(next) => after = Some(next),
            None => return output.finish(),
        }
    }
}

//----------- Changing -------------------------------------------------------

fn put(args: &PutArgs) -> Result<(), Failed> {
    let PutArgs { record, state } = args;
    let (handle, mut values) = read_record(record.handle.as_deref(), &record.data)?;
    if let Some(state) = state {
        values.retain(|value| !value.is_state());
        values.extend(state.value());
    }
    let put = RecordChange::Put {
        record: json_of(&handle, &values)?,
    };
    change(&handle, put, &record.how)
}

fn change(handle: &Handle, change: RecordChange, how: &HowArgs) -> Result<(), Failed> {
    let condition = match (how.if_version, how.if_absent) {
        (Some(version), _) => Condition::Version(version),
        (None, true) => Condition::Absent,
        (None, false) => Condition::None,
    };
    let mode = match how.dry_run {
        true => Mode::DryRun,
        false => Mode::Apply,
    };
    let mut control = ask::open(&how.node)?;
    let asked = Ask::Change {
        change,
        condition,
        mode,
    };
    let Reply::Changed(changed) = ask::ask(&mut *control, asked)? else {
        return Err(ask::strange());
    };
    show(handle, &changed, how)?;
    if changed.outcome == Outcome::Created {
        ask::warn_if_not_homed(&mut *control, handle.as_str())?;
    }
    Ok(())
}

fn show(handle: &Handle, changed: &Changed, how: &HowArgs) -> Result<(), Failed> {
    let mut output = Output::new();
    match (&changed.after, how.json) {
        (Some(after), true) => output.line(answer_json(after)?)?,
        (None, true) => {}
        (_, false) => {
            if how.dry_run {
                for line in shown_diff(changed)? {
                    output.line(line)?;
                }
            }
            output.line(sentence(handle, changed, how.dry_run))?;
        }
    }
    output.finish()
}

/// What a change did to the values, line by line.
pub(super) fn shown_diff(changed: &Changed) -> Result<Vec<String>, Failed> {
    let values = |record: &Option<Json>| match record {
        Some(record) => ask::values_of(record),
        None => Ok(Vec::new()),
    };
    Ok(diff::diff(
        &values(&changed.before)?,
        &values(&changed.after)?,
    ))
}

/// What a change did, in words.
pub(super) fn sentence(handle: &Handle, changed: &Changed, dry_run: bool) -> String {
    let did = match changed.outcome {
        Outcome::Created => "created",
        Outcome::Replaced => state::became(changed).unwrap_or("changed"),
        Outcome::Deleted => "deleted",
        _ => return format!("{handle} is like this already"),
    };
    match (dry_run, changed.version) {
        (true, _) => format!("{handle} would be {did}"),
        (false, Some(version)) => format!("{handle} {did}, version {version}"),
        (false, None) => format!("{handle} {did}"),
    }
}

//----------- JSON -----------------------------------------------------------

fn json_of(handle: &Handle, values: &[Value]) -> Result<Json, Failed> {
    let form = RecordForm {
        response_code: None,
        handle: Some(handle.as_str()),
        values: values.iter().map(ValueForm::from).collect(),
    };
    to_raw_value(&form).map_err(|_| ask::strange())
}

fn values_json(values: &[Value]) -> Result<Json, Failed> {
    let forms: Vec<ValueForm<'_>> = values.iter().map(ValueForm::from).collect();
    to_raw_value(&forms).map_err(|_| ask::strange())
}

/// A stored record as an answer over HTTP would show it, in one line.
fn answer_json(record: &Json) -> Result<String, Failed> {
    let Ok(mut record) = Record::parse(record.get().as_bytes()) else {
        return Err(ask::strange());
    };
    record.response_code = Some(1);
    serde_json::to_string(&record).map_err(|_| ask::strange())
}
