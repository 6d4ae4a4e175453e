//! `guantong record history`, `guantong record undo`: what has happened, and making it not have
//! happened.

use guantong_api::control::{
    AdminValue, Ask, ChangeEntry, Mode, Outcome, Past, Reply, Right, Source, Undone,
};
use guantong_core::grant::{GRANT_TYPE, is_rule_index};
use guantong_proto::{Handle, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::super::{NodeArgs, ask};
use super::{diff, sentence, shown_diff, values};
use crate::failed::{Exit, Failed, Report};
use crate::output::style::STRONG;
use crate::output::{Output, note};

pub(super) const HISTORY_EXAMPLES: &str = "\
Examples:
  guantong record history 88.118.5/SN1
  guantong record history 88.118.5/SN1 --limit 3 --json

Newest first: when, who, from where, by which right, and what it changed. Also of records that are
gone. Secret keys are not shown.";

pub(super) const UNDO_EXAMPLES: &str = "\
Examples:
  guantong record undo 42 --dry-run
  guantong record undo 42
  guantong record undo 120..180

The numbers are those of `record history`. Of several changes all are undone or none. A change that
something came after is not undone; name both. Undoing is a change like others, to be undone, too.";

/// Changes asked for at a time.
const PAGE_LEN: u32 = 100;

#[derive(Debug, clap::Args)]
pub(super) struct HistoryArgs {
    /// The handle
    handle: String,

    /// Most changes shown
    #[arg(long, value_name = "N")]
    limit: Option<usize>,

    /// Print each change as a line of JSON, with the record as it was before
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    node: NodeArgs,
}

pub(super) fn history(args: &HistoryArgs) -> Result<(), Failed> {
    let handle = values::parse_handle(&args.handle)?;
    let mut control = ask::open(&args.node)?;
    let control = &mut *control;
    let mut after = ask::record(control, &handle)?;
    let mut output = Output::new();
    let (mut from, mut shown) = (None, 0);
    loop {
        let asked = Ask::History {
            handle: handle.as_str().to_owned(),
            from,
            limit: PAGE_LEN,
        };
        let Reply::Past(Past { changes, next }) = ask::ask(control, asked)? else {
            return Err(ask::strange());
        };
        for change in &changes {
            if args.limit.is_some_and(|limit| shown >= limit) {
                return output.finish();
            }
            after = show(&mut output, change, after.as_deref(), args.json)?;
            shown += 1;
        }
        match next {
            Some(next) => from = Some(next),
            None => break,
        }
    }
    output.finish()?;
    match shown {
        0 => {
            let what = format!("nothing has ever happened to {handle} on this node");
            Err(Report::new(Exit::Refused, what).fail())
        }
        _ => Ok(()),
    }
}

/// Shows a change that made `after` of the record; returns what the record was before it.
fn show(
    output: &mut Output,
    change: &ChangeEntry,
    after: Option<&[Value]>,
    json: bool,
) -> Result<Option<Vec<Value>>, Failed> {
    let before = change.before.as_ref();
    let before = before
        .map(|stored| ask::values_of(&stored.record))
        .transpose()?;
    if json {
        let record = |values: &[Value]| {
            let values = values.iter().map(hide).collect::<Vec<_>>();
            let forms: Vec<_> = values
                .iter()
                .map(guantong_proto::json::ValueForm::from)
                .collect();
            serde_json::json!(forms)
        };
        output.line(serde_json::json!({
            "number": change.number,
            "at": moment(change.at_ms),
            "action": change.action,
            "by": change.origin,
            "from": change.from,
            "right": change.right,
            "handle": change.handle,
            "before": before.as_deref().map(record),
        }))?;
        return Ok(before);
    }
    output.line(format_args!(
        "{STRONG}{}{STRONG:#}  {}  {} by {}",
        change.number,
        moment(change.at_ms),
        change.action,
        change.origin
    ))?;
    output.line(format_args!("  {}", how(change)))?;
    let hidden = |values: Option<&[Value]>| -> Vec<Value> {
        values.unwrap_or_default().iter().map(hide).collect()
    };
    let after = match change.action.as_str() {
        "delete" => None,
        _ => after,
    };
    for line in diff::diff(&hidden(before.as_deref()), &hidden(after)) {
        output.line(format_args!("  {line}"))?;
    }
    let old = before.as_deref().unwrap_or_default();
    for index in replaced_secrets(old, after.unwrap_or_default()) {
        output.line(format_args!(
            "  value {index}: the secret was replaced by another"
        ))?;
    }
    Ok(before)
}

/// From where a change came, and by which right.
fn how(change: &ChangeEntry) -> String {
    let from = from(&change.from);
    match &change.right {
        Right::Own => from,
        Right::Setting { setting } => format!("{from}, by the setting {setting}"),
        Right::OpenValues => format!("{from}, to values that anybody may write"),
        Right::Administrator { values } => {
            let values: Vec<String> = values.iter().map(admin_value).collect();
            format!("{from}, by {}", values.join(" and "))
        }
        _ => format!("{from}, by a right that this version does not know"),
    }
}

fn from(source: &Source) -> String {
    let address = source.address.as_deref().unwrap_or("an unknown address");
    match (source.way.as_str(), source.user) {
        ("here", _) => "with the store open on this machine".to_owned(),
        ("control", Some(user)) => format!("over the control socket, by user {user}"),
        ("primary", _) => format!("from the primary {address}"),
        (way, _) => format!("from {address} over {way}"),
    }
}

fn admin_value(value: &AdminValue) -> String {
    let more = match value.more_groups {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let through = match value.through.is_empty() {
        true => String::new(),
        false => format!(" through {}{more}", value.through.join(", ")),
    };
    let kind = match is_rule_index(value.index) {
        true => GRANT_TYPE,
        false => "HS_ADMIN",
    };
    format!(
        "{kind} value {} of {}{through} ({})",
        value.index,
        value.record,
        value.permissions.join(", ")
    )
}

/// The value, without what must not be seen.
fn hide(value: &Value) -> Value {
    match is_secret(value) {
        false => value.clone(),
        true => Value {
            data: b"(a secret)".to_vec(),
            ..value.clone()
        },
    }
}

fn is_secret(value: &Value) -> bool {
    guantong_proto::is_secret(value.kind.as_bytes())
}

/// Indexes of secrets that were replaced by others, which [`hide`] does not show.
fn replaced_secrets(before: &[Value], after: &[Value]) -> Vec<i32> {
    let is_replaced = |old: &&Value| {
        let new = after.iter().find(|new| new.index == old.index);
        is_secret(old) && new.is_some_and(|new| is_secret(new) && new.data != old.data)
    };
    before
        .iter()
        .filter(is_replaced)
        .map(|old| old.index)
        .collect()
}

fn moment(at_ms: u64) -> String {
    let nanos = i128::from(at_ms) * 1_000_000;
    let moment = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok();
    let text = moment.and_then(|moment| moment.format(&Rfc3339).ok());
    text.unwrap_or_else(|| format!("{at_ms} ms after 1970"))
}

//----------- undo -----------------------------------------------------------

#[derive(Debug, clap::Args)]
pub(super) struct UndoArgs {
    /// Number of a change, or of the first and last of several: 120..180
    #[arg(value_name = "N|N..M", value_parser = range)]
    changes: (u64, u64),

    /// Show what would change, change nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    node: NodeArgs,
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    match (first.parse(), last.trim_start_matches('=').parse()) {
        (Ok(first), Ok(last)) => Ok((first, last)),
        _ => Err("a number such as 42, or two such as 120..180".to_owned()),
    }
}

pub(super) fn undo(args: &UndoArgs) -> Result<(), Failed> {
    let (first, last) = args.changes;
    let mut control = ask::open(&args.node)?;
    let asked = Ask::Undo {
        first,
        last,
        mode: match args.dry_run {
            true => Mode::DryRun,
            false => Mode::Apply,
        },
    };
    let Reply::Undone(undone) = ask::ask(&mut *control, asked)? else {
        return Err(ask::strange());
    };
    let mut output = Output::new();
    for Undone { handle, changed } in &undone {
        let is_homing = changed.before.is_none() && changed.after.is_none();
        if is_homing && changed.outcome != Outcome::Unchanged {
            let would = if args.dry_run { "would be " } else { "" };
            let did = match changed.outcome {
                Outcome::Created => "homed",
                _ => "unhomed",
            };
            output.line(format_args!("{handle} {would}{did}"))?;
            continue;
        }
        if args.dry_run {
            for line in shown_diff(changed)? {
                output.line(line)?;
            }
        }
        let handle = Handle::parse(handle).map_err(|_| ask::strange())?;
        output.line(sentence(&handle, changed, args.dry_run))?;
    }
    if undone.is_empty() {
        note("there was nothing to undo");
    }
    output.finish()
}
