//! `guantong record reserve`, `publish`, `withdraw`, `delete`: the life of a name.

use guantong_api::control::{Changed, Json, RecordChange};
use guantong_proto::Value;
use guantong_proto::data::{State, StateData};

use super::values::parse_handle;
use super::{HowArgs, ask, change, fetch};
use crate::failed::{Exit, Failed, Report};

/// The reason of a deletion without one.
const DELETED: &str = "deleted";

pub(super) const RESERVE_EXAMPLES: &str = "\
Examples:
  guantong record reserve 88.118.5/SN9
  guantong record reserve 88.118.5/SN9 --reason 'order 4711'

The name is taken, and the public is told that there is no such record until it is published.
Without a record one is made that has nothing but its state; add values, then publish it.";

pub(super) const PUBLISH_EXAMPLES: &str = "\
Examples:
  guantong record publish 88.118.5/SN9

A reserved record is shown to the public from now on, and a withdrawn one again.";

pub(super) const WITHDRAW_EXAMPLES: &str = "\
Examples:
  guantong record withdraw 88.118.5/SN1 --reason scrapped
  guantong record withdraw 88.118.5/SN1 --reason 'assigned twice' --successor 88.118.5/SN2

The public learns the reason and the successor, and no value. The values stay for administrators.
The name is not given again; `guantong record publish` shows the record again.";

pub(super) const DELETE_EXAMPLES: &str = "\
Examples:
  guantong record delete 88.118.5/SN1
  guantong record delete 88.118.5/SN1 --force --if-version 42

The record is withdrawn with the reason \"deleted\", so that its name is not given again by
mistake. With --force its values and its name are gone.";

//----------- Args -----------------------------------------------------------

#[derive(Debug, clap::Args)]
pub(super) struct ReserveArgs {
    /// The handle
    handle: String,

    /// Why, in one line; shown to administrators
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    reason: String,

    #[command(flatten)]
    how: HowArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct PublishArgs {
    /// The handle
    handle: String,

    #[command(flatten)]
    how: HowArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct WithdrawArgs {
    /// The handle
    handle: String,

    /// Why, in one line; shown to everybody
    #[arg(long, value_name = "TEXT")]
    reason: String,

    /// The handle that is to be used instead
    #[arg(long, value_name = "HANDLE")]
    successor: Option<String>,

    #[command(flatten)]
    how: HowArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct DeleteArgs {
    /// The handle
    handle: String,

    /// Why, in one line; shown to everybody
    #[arg(long, value_name = "TEXT", conflicts_with = "force")]
    reason: Option<String>,

    /// Remove the values and the name for good; the change log and backups keep what was there
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    how: HowArgs,
}

/// The state that a record is put in.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum NewState {
    /// Shown to everybody
    Public,
    /// Not shown before it is published
    Reserved,
}

impl NewState {
    /// The value that says so, if one is needed.
    pub(super) fn value(self) -> Option<Value> {
        match self {
            Self::Public => None,
            Self::Reserved => Some(StateData::new(State::Reserved).to_value()),
        }
    }
}

//----------- Changes --------------------------------------------------------

pub(super) fn reserve(args: &ReserveArgs) -> Result<(), Failed> {
    let reserve = RecordChange::Reserve {
        handle: args.handle.clone(),
        reason: args.reason.clone(),
    };
    change(&parse_handle(&args.handle)?, reserve, &args.how)
}

pub(super) fn publish(args: &PublishArgs) -> Result<(), Failed> {
    let publish = RecordChange::Publish {
        handle: args.handle.clone(),
    };
    change(&parse_handle(&args.handle)?, publish, &args.how)
}

pub(super) fn withdraw(args: &WithdrawArgs) -> Result<(), Failed> {
    if let Some(successor) = &args.successor {
        parse_handle(successor)?;
    }
    let withdraw = RecordChange::Withdraw {
        handle: args.handle.clone(),
        reason: args.reason.clone(),
        successor: args.successor.clone(),
    };
    change(&parse_handle(&args.handle)?, withdraw, &args.how)
}

pub(super) fn delete(args: &DeleteArgs) -> Result<(), Failed> {
    let handle = parse_handle(&args.handle)?;
    let name = args.handle.clone();
    if args.force {
        return change(&handle, RecordChange::Delete { handle: name }, &args.how);
    }
    let mut control = ask::open(&args.how.node)?;
    let stored = fetch(&mut *control, &handle)?;
    drop(control);
    if let Some((_, record)) = stored
        && let Some(State::Withdrawn) = state_of(&ask::values_of(&record)?)
    {
        // Its reason must not be lost to a word that says less.
        return Err(Report::new(Exit::Refused, format_args!("{handle} is withdrawn already"))
            .hint("--force removes its values and its name; `record withdraw` says another reason")
            .fail());
    }
    let withdraw = RecordChange::Withdraw {
        handle: name,
        reason: args.reason.clone().unwrap_or_else(|| DELETED.to_owned()),
        successor: None,
    };
    change(&handle, withdraw, &args.how)
}

/// What the record is, unless it is public or cannot be read.
fn state_of(values: &[Value]) -> Option<State> {
    let value = values.iter().find(|value| value.is_state())?;
    StateData::decode(&value.data).ok().map(|data| data.state())
}

/// What became of the state of a record, if that was changed.
pub(super) fn became(changed: &Changed) -> Option<&'static str> {
    let state = |record: &Option<Json>| state_of(&ask::values_of(record.as_ref()?).ok()?);
    match (state(&changed.before), state(&changed.after)) {
        (before, after) if before == after => None,
        (_, Some(State::Reserved)) => Some("reserved"),
        (_, Some(State::Withdrawn)) => Some("withdrawn"),
        (_, None) => Some("published"),
    }
}
