//! What the desk hears and says: questions as the store and `core` understand them, and what they
//! answer as [`guantong_api::control`] spells it. Nothing is decided here.

use std::ops::ControlFlow;

use guantong_api::control::{
    AdminValue, Body, ChangeEntry, Checked, Condition, Finding, Json, Page, Progress, RecordChange,
    Refusal, Reply, Right, Source, Stored,
};
use guantong_core::admin::{self, Conflict};
use guantong_proto::data::{State, StateData};
use guantong_proto::json::{self, Record};
use guantong_proto::{Handle, Values};
use guantong_store::{
    self as store, Action, Entry, Expect, Origin, PageToken, Scope, StoredRecord, Way,
};

use super::desk::{Gone, Say};
use super::import::Item;
use super::record::{NewRecord, RecordError, to_json};
use super::refusal;

/// The records of an import, or why they could not be read.
pub(super) fn parse_items(records: &[Json]) -> Vec<Item> {
    let parse = |record: &Json| NewRecord::parse(record.get().as_bytes());
    records
        .iter()
        .map(|record| parse(record).map_err(|e| e.to_string()))
        .collect()
}

/// What a check found.
pub fn in_words(checked: guantong_store::Checked) -> Checked {
    let findings = checked.findings.into_iter().map(|finding| Finding {
        what: finding.what,
        advice: finding.advice.to_owned(),
    });
    Checked {
        records: checked.records,
        changes: checked.changes,
        index_entries: checked.index_entries,
        link: checked
            .link
            .iter()
            .map(|octet| format!("{octet:02x}"))
            .collect(),
        findings: findings.collect(),
        more_findings: checked.more_findings,
    }
}

pub(super) fn report(progress: guantong_store::Progress, say: Say<'_>) -> ControlFlow<()> {
    let said = say(Body::Progress(Progress {
        stage: progress.stage.to_owned(),
        done: progress.done,
        total: progress.total,
    }));
    match said {
        Ok(()) => ControlFlow::Continue(()),
        Err(Gone) => ControlFlow::Break(()),
    }
}

pub(super) fn parse_handle(handle: &str) -> Result<Handle, Refusal> {
    Handle::parse(handle).map_err(|e| refusal::invalid(format!("`{handle}`: {e}")))
}

pub(super) fn parse_scope(prefix: Option<&str>) -> Result<Scope, Refusal> {
    match prefix {
        Some(prefix) => Scope::of_prefix(prefix).map_err(refusal::invalid),
        None => Ok(Scope::All),
    }
}

pub(super) fn parse_token(token: Option<&str>) -> Result<Option<PageToken>, Refusal> {
    let token = token.map(str::parse::<PageToken>).transpose();
    token.map_err(refusal::invalid)
}

pub(super) fn parse_change(
    change: &RecordChange,
    now_secs: u32,
) -> Result<(Handle, admin::Change), Refusal> {
    let parse_values = |handle: &str, values: &Json| {
        let values = json::parse_values(values.get().as_bytes());
        values.map_err(|e| refusal::invalid(format!("{handle}: {e}")))
    };
    Ok(match change {
        RecordChange::Put { record } => {
            let record = Record::parse(record.get().as_bytes()).map_err(refusal::invalid)?;
            let handle = record
                .handle
                .ok_or_else(|| refusal::invalid(RecordError::NoHandle))?;
            (parse_handle(&handle)?, admin::Change::Put(record.values))
        }
        RecordChange::Add { handle, values } => {
            let values = parse_values(handle, values)?;
            (parse_handle(handle)?, admin::Change::Add(values))
        }
        RecordChange::Modify { handle, values } => {
            let values = parse_values(handle, values)?;
            (parse_handle(handle)?, admin::Change::Modify(values))
        }
        RecordChange::Remove { handle, indexes } => (
            parse_handle(handle)?,
            admin::Change::Remove(indexes.clone()),
        ),
        RecordChange::Delete { handle } => (parse_handle(handle)?, admin::Change::Delete),
        RecordChange::Reserve { handle, reason } => {
            let state = parse_state(State::Reserved, reason, None, now_secs)?;
            (parse_handle(handle)?, admin::Change::State(Some(state)))
        }
        RecordChange::Publish { handle } => (parse_handle(handle)?, admin::Change::State(None)),
        RecordChange::Withdraw {
            handle,
            reason,
            successor,
        } => {
            let successor = successor.as_deref().map(parse_handle).transpose()?;
            let state = parse_state(State::Withdrawn, reason, successor, now_secs)?;
            (parse_handle(handle)?, admin::Change::State(Some(state)))
        }
    })
}

fn parse_state(
    state: State,
    reason: &str,
    successor: Option<Handle>,
    now_secs: u32,
) -> Result<StateData, Refusal> {
    let data = StateData::new(state).with_reason(reason);
    let data = data.map_err(refusal::invalid)?;
    Ok(data.with_successor(successor).with_since(now_secs.into()))
}

pub(super) fn check_condition(
    handle: &Handle,
    condition: Condition,
    stored: Option<&StoredRecord>,
) -> Result<(), Refusal> {
    let found = stored.map(StoredRecord::version);
    let expect = match condition {
        Condition::None => return Ok(()),
        Condition::Absent => Expect::Absent,
        Condition::Version(version) => Expect::Version(version),
    };
    if expect.holds(found) {
        return Ok(());
    }
    let found = match found {
        Some(version) => format!("it exists with version {version}"),
        None => "it does not exist".to_owned(),
    };
    Err(refusal::conflict(format!("{handle} {expect}, but {found}")))
}

pub(super) fn of_plan(handle: &Handle, conflict: &Conflict) -> Refusal {
    let advice = match conflict {
        Conflict::NoRecord => "check the spelling, or create it with `record put`",
        Conflict::NoValue { .. } => "look at the record with `record get`",
        Conflict::ValueExists { .. } => "use `record modify`, or another index",
        Conflict::Withdrawn => "`record publish` does it",
        Conflict::ReadOnly { .. } => "write the record whole with `record put`",
        _ => "correct the values",
    };
    let message = format!("{handle}: {conflict}: {advice}");
    match conflict {
        Conflict::NoRecord | Conflict::NoValue { .. } => refusal::not_found(message),
        Conflict::Invalid(_) => refusal::invalid(message),
        _ => refusal::conflict(message),
    }
}

pub(super) fn gone(_: Gone) -> Refusal {
    refusal::invalid("nobody listens any more")
}

pub(super) fn stored(record: &StoredRecord) -> Stored {
    Stored {
        version: record.version(),
        record: to_json(record.handle().as_str(), record.values()),
    }
}

pub(crate) fn change_entry(entry: &Entry) -> ChangeEntry {
    let before = entry.before.as_ref().and_then(|before| {
        // The log checks what it decodes; if it did not, an entry without `before` is the answer.
        let values = Values::from_wire(&before.values).ok()?;
        Some(Stored {
            version: before.version,
            record: to_json(entry.handle.as_str(), values),
        })
    });
    ChangeEntry {
        number: entry.number,
        at_ms: entry.at_ms,
        action: match entry.action {
            Action::Create => "create",
            Action::Delete => "delete",
            Action::Update => "update",
            Action::Home => "home",
            Action::Unhome => "unhome",
        }
        .to_owned(),
        origin: match &entry.origin {
            Origin::Node => "node".to_owned(),
            Origin::Operator => "operator".to_owned(),
            Origin::Import => "import".to_owned(),
            Origin::Replication => "replication".to_owned(),
            Origin::Anybody => "anybody".to_owned(),
            Origin::Administrator { handle, index } => format!("{index}:{handle}"),
            _ => "unknown".to_owned(),
        },
        from: source(&entry.trail.from),
        right: right(&entry.trail.right),
        handle: entry.handle.as_str().to_owned(),
        before,
    }
}

fn source(source: &store::Source) -> Source {
    let (way, address, user) = match source {
        store::Source::Here => ("here", None, None),
        store::Source::Control { uid } => ("control", None, Some(*uid)),
        store::Source::Peer { way, address } => {
            let way = match way {
                Way::Udp => "udp",
                Way::Tcp => "tcp",
                Way::Http => "http",
                Way::Https => "https",
                Way::Console => "console",
            };
            (way, Some(address.to_string()), None)
        }
        store::Source::Primary { address } => ("primary", Some(address.clone()), None),
        _ => ("unknown", None, None),
    };
    Source {
        way: way.to_owned(),
        address,
        user,
    }
}

fn right(right: &store::Right) -> Right {
    let setting = |name: &str| Right::Setting {
        setting: format!("administration.{name}"),
    };
    match right {
        store::Right::Own => Right::Own,
        store::Right::OpenNode => setting("anonymous_admin_full_access"),
        store::Right::OpenValues => Right::OpenValues,
        store::Right::ServerAdmin => setting("server_admins"),
        store::Right::FullAccess => setting("server_admin_full_access"),
        store::Right::Administrator(used) => Right::Administrator {
            values: used.iter().map(admin_value).collect(),
        },
        _ => Right::Unknown,
    }
}

fn admin_value(used: &store::Used) -> AdminValue {
    let group = |(handle, index): &(Handle, i32)| format!("{index}:{handle}");
    AdminValue {
        record: used.record.as_str().to_owned(),
        index: used.index,
        permissions: used.permissions.names().map(str::to_owned).collect(),
        through: used.through.iter().map(group).collect(),
        more_groups: used.more_groups,
    }
}

pub(super) fn page_reply(
    page: Result<guantong_store::Page, guantong_store::StoreError>,
    total: Option<u64>,
) -> Result<Reply, Refusal> {
    let page = page.map_err(|e| refusal::of_read(&e))?;
    let handles = page.handles.iter().map(|handle| handle.as_str().to_owned());
    Ok(Reply::Page(Page {
        handles: handles.collect(),
        next: page.next.map(|token| token.to_string()),
        total,
    }))
}

pub(super) fn done(ticket: guantong_store::Ticket) -> Result<Reply, Refusal> {
    match ticket.wait() {
        Ok(_) => Ok(Reply::Done),
        Err(error) => Err(refusal::of_write(&error)),
    }
}
