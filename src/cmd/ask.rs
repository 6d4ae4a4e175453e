//! Asking the node: what commands of local administration have in common.

use std::path::Path;

use guantong_api::control::{
    Ask, Body, Changed, Condition, Json, Mode, Prefix, Reason, RecordChange, Refusal, Reply, Status,
};
use guantong_proto::json::{Record, RecordForm, ValueForm};
use guantong_proto::{Handle, HandleRef, Value};
use guantong_server::control::{Control, Fault, OpenFault};
use guantong_store::OpenError;
use serde_json::value::to_raw_value;

use super::NodeArgs;
use super::local::control_of;
use crate::failed::{Exit, Failed, Report};
use crate::output::note;

//----------- Reaching the node ----------------------------------------------

/// The running node if there is one, else its store.
pub(crate) fn open(node: &NodeArgs) -> Result<Box<dyn Control>, Failed> {
    let config = node.load()?;
    control_of(&config).map_err(|fault| open_failed(&fault, &config.data))
}

fn open_failed(fault: &OpenFault, store: &Path) -> Failed {
    let report = Report::new(Exit::Usage, "the node's store cannot be used").causes_of(fault);
    match fault {
        OpenFault::Store(OpenError::NotAStore { .. }) => report.hint(format!(
            "make a node with `guantong init DIR`, or restore a backup into {}",
            store.display()
        )),
        _ => report,
    }
    .fail()
}

//----------- Asking ---------------------------------------------------------

/// Asks something that has no progress to show.
pub(crate) fn ask(control: &mut dyn Control, ask: Ask) -> Result<Reply, Failed> {
    control
        .ask(ask, &mut |_: Body| Ok(()))
        .map_err(|fault| failed(&fault))
}

/// How the node is.
pub(crate) fn status(control: &mut dyn Control) -> Result<Status, Failed> {
    match ask(control, Ask::Status)? {
        Reply::Status(status) => Ok(status),
        _ => Err(strange()),
    }
}

/// The failure that a fault of the node is.
pub(crate) fn failed(fault: &Fault) -> Failed {
    match fault {
        Fault::Refused(refusal) => refused(refusal),
        Fault::Stopped => Failed::reader_gone(),
        fault => Report::new(Exit::Network, fault)
            .hint("is the node still running? look at its log")
            .fail(),
    }
}

fn refused(refusal: &Refusal) -> Failed {
    let exit = match refusal.reason {
        Reason::Invalid | Reason::Version => Exit::Usage,
        _ => Exit::Refused,
    };
    // Messages of the node end in what to do: `what: why: advice`.
    Report::new(exit, &refusal.message).fail()
}

/// Whether a change is made or only shown.
pub(crate) fn mode(dry_run: bool) -> Mode {
    match dry_run {
        true => Mode::DryRun,
        false => Mode::Apply,
    }
}

/// An answer that no node of this version gives.
pub(crate) fn strange() -> Failed {
    failed(&Fault::Strange)
}

/// The values of a record that the node sent.
pub(crate) fn values_of(record: &Json) -> Result<Vec<Value>, Failed> {
    match Record::parse(record.get().as_bytes()) {
        Ok(record) => Ok(record.values),
        Err(_) => Err(strange()),
    }
}

/// A record of the node with its version; `None` if there is none.
pub(crate) fn stored(
    control: &mut dyn Control,
    handle: &Handle,
) -> Result<Option<(u64, Vec<Value>)>, Failed> {
    let asked = Ask::Get {
        handle: handle.as_str().to_owned(),
    };
    match ask(control, asked)? {
        Reply::Record(None) => Ok(None),
        Reply::Record(Some(stored)) => Ok(Some((stored.version, values_of(&stored.record)?))),
        _ => Err(strange()),
    }
}

/// The values of a record of the node; `None` if there is no such record.
pub(crate) fn record(
    control: &mut dyn Control,
    handle: &Handle,
) -> Result<Option<Vec<Value>>, Failed> {
    Ok(stored(control, handle)?.map(|(_, values)| values))
}

/// Writes a record whole, or says what that would do.
pub(crate) fn put(
    control: &mut dyn Control,
    handle: &Handle,
    values: &[Value],
    condition: Condition,
    mode: Mode,
) -> Result<Changed, Failed> {
    let form = RecordForm {
        response_code: None,
        handle: Some(handle.as_str()),
        values: values.iter().map(ValueForm::from).collect(),
    };
    let record = to_raw_value(&form).map_err(|_| strange())?;
    let asked = Ask::Change {
        change: RecordChange::Put { record },
        condition,
        mode,
    };
    match ask(control, asked)? {
        Reply::Changed(changed) => Ok(changed),
        _ => Err(strange()),
    }
}

/// Says on standard error that nobody will get an answer for a handle, so that nobody wonders.
pub(crate) fn warn_if_not_homed(control: &mut dyn Control, handle: &str) -> Result<(), Failed> {
    let Ok(handle) = HandleRef::parse(handle) else {
        return Ok(());
    };
    // Prefix records are answered for by whoever homes the prefix or holds the registry.
    if handle.is_prefix_handle() {
        return Ok(());
    }
    let prefix = handle.prefix();
    if !homed(control)?
        .iter()
        .any(|homed| homed.prefix.eq_ignore_ascii_case(prefix))
    {
        note(format_args!(
            "note: the node does not answer for prefix {prefix} yet: `guantong prefix home {prefix}`"
        ));
    }
    Ok(())
}

/// The same for all records of the store.
pub(crate) fn warn_of_homeless_records(control: &mut dyn Control) -> Result<(), Failed> {
    let of_registry = Ask::List {
        prefix: Some("0.NA".to_owned()),
        after: None,
        limit: 1,
    };
    let Reply::Page(page) = ask(control, of_registry)? else {
        return Err(strange());
    };
    let homed = homed(control)?
        .into_iter()
        .filter(|homed| homed.prefix != "0.NA");
    let answered: u64 = homed.map(|homed| homed.records).sum();
    let answered = answered + page.total.unwrap_or(0);
    let homeless = status(control)?.records.saturating_sub(answered);
    if homeless > 0 {
        note(format_args!(
            "note: {homeless} records have prefixes that the node does not answer for yet: \
             see `guantong prefix list`, then `guantong prefix home PREFIX`"
        ));
    }
    Ok(())
}

fn homed(control: &mut dyn Control) -> Result<Vec<Prefix>, Failed> {
    match ask(control, Ask::Prefixes)? {
        Reply::Prefixes(homed) => Ok(homed),
        _ => Err(strange()),
    }
}
