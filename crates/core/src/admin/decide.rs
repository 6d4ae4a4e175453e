//! What a change of one record comes to: the checks in their order, then a plan.
//!
//! Nothing here knows how the change was asked for. A message of the native protocol
//! (`perform`) and a list of changes over HTTP (`together`) both end here, so they cannot disagree
//! about who may do what.

use std::cell::Cell;
use std::sync::Arc;

use guantong_proto::data::{Admin, AdminPermissions, State, StateData};
use guantong_proto::message::ResponseCode;
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, HandleRef, Value, Values};

use super::authenticate::Identity;
use super::authorize::{Grant, authorize_where, enough, is_open_to_all, needed};
use super::errand::Ground;
use super::known::{Known, StoredRecord};
use super::plan::{Change, Conflict, Timestamps, as_state, is_withdrawn, plan};
use super::rules::{Denied, OnDelete};
use super::stop::Stop;
use super::validate::validate;
use super::write::{Expected, Right, Used, Warrant, Write};
use crate::authority::{Misdirected, Site, Standing};
use crate::identity::Role;

/// What the refusal of a change begins with that was meant for another version of the record.
pub const STALE: &str = "the record is not what you expect";

//----------- Actor ----------------------------------------------------------

/// Who acts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Actor<'a> {
    /// Anybody: the operator has opened the node.
    OpenNode,
    /// Anybody: the values are open to all.
    OpenValues,
    /// This identity, which is proven.
    Identity(&'a Identity),
}

impl Actor<'_> {
    fn with(self, right: Right) -> Arc<Warrant> {
        let by = match self {
            Self::OpenNode | Self::OpenValues => None,
            Self::Identity(identity) => Some(identity.clone()),
        };
        Arc::new(Warrant { by, right })
    }
}

//----------- Deciding -------------------------------------------------------

/// What a decision rests on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deciding<'a> {
    /// The records that were shown so far.
    pub(super) known: &'a Known,
    /// Who has proven who he is.
    pub(super) by: Option<&'a Identity>,
    /// Who has just been proven by his password.
    pub(super) owner: Option<&'a Identity>,
    /// What the record must be for the change to happen, if the sender has said so.
    pub(super) condition: Option<Expected>,
    /// Whether the record that is to be created is taken for absent, without a look.
    pub(super) presumes_absent: bool,
    /// What lets the same sender create records of some prefix, as was found before.
    pub(super) adding: Option<&'a Adding>,
}

/// What lets somebody create records of a prefix, whatever their names are.
#[derive(Debug)]
pub(super) struct Adding {
    /// As it is written in those names; another spelling of it is found out anew.
    prefix: Box<str>,
    warrant: Arc<Warrant>,
}

impl Adding {
    /// What is found out for other names from the decision on this one.
    pub(super) fn of(handle: HandleRef<'_>, decided: &Decided) -> Option<Self> {
        decided.is_for_prefix.then(|| Self {
            prefix: handle.prefix().into(),
            warrant: decided.warrant.clone(),
        })
    }

    /// Whether it says something of this name.
    pub(super) fn is_about(&self, handle: HandleRef<'_>) -> bool {
        handle.prefix() == &*self.prefix
    }
}

/// A change that may be made.
#[derive(Debug)]
pub(super) struct Decided {
    /// `None` if nothing would change.
    pub(super) write: Option<Write>,
    /// Who makes it, and what lets him.
    pub(super) warrant: Arc<Warrant>,
    /// Whether it has come out that the warrant holds for creating any record of the same prefix.
    pub(super) is_for_prefix: bool,
    /// Whether a record that was there is written over.
    pub(super) replaced: bool,
}

impl<'a> Deciding<'a> {
    //--- Changing records

    /// Creates a record, or writes one over: [`Change::Create`] and [`Change::Put`].
    pub(super) fn create(
        &self,
        ground: &Ground<'_>,
        handle: HandleRef<'_>,
        change: &Change,
    ) -> Result<Decided, Stop> {
        check_ours(ground.site, handle)?;
        check_fit(change)?;
        let actor = self.actor(ground)?;
        let old = match self.presumes_absent {
            true => None,
            false => self.known.here(ground.site, handle)?,
        };
        if let (Change::Put(_), Some(old)) = (change, old) {
            let right = self.require_overwriting(ground, actor, handle, old, change)?;
            if is_withdrawn(&owned(old.values())?) && !puts_state(change) {
                return Err(Conflict::Withdrawn.into());
            }
            return self.write(ground, actor.with(right), handle, Some(old), change);
        }
        let (warrant, is_for_prefix) = match self.adding.filter(|adding| adding.is_about(handle)) {
            Some(adding) => (adding.warrant.clone(), false),
            None => {
                let (right, is_for_prefix) = self.require_adding(ground, actor, handle)?;
                (actor.with(right), is_for_prefix)
            }
        };
        let decided = self.write(ground, warrant, handle, old, change)?;
        Ok(Decided {
            is_for_prefix,
            ..decided
        })
    }

    /// Changes a record that is there.
    pub(super) fn change(
        &self,
        ground: &Ground<'_>,
        handle: HandleRef<'_>,
        change: &Change,
    ) -> Result<Decided, Stop> {
        check_ours(ground.site, handle)?;
        check_fit(change)?;
        let (actor, old) = match self.actor(ground) {
            Ok(actor) => (actor, self.known.here(ground.site, handle)?),
            Err(unknown) => {
                if !matches!(change, Change::Modify(_) | Change::Remove(_)) {
                    return Err(unknown);
                }
                let old = self.known.here(ground.site, handle)?;
                let current = old.map_or(Ok(Vec::new()), |old| owned(old.values()))?;
                match is_open_to_all(change, &current) {
                    true => (Actor::OpenValues, old),
                    false => return Err(unknown),
                }
            }
        };
        let Some(record) = old else {
            return Err(Conflict::NoRecord.into());
        };
        let current = owned(record.values())?;
        // What is withdrawn is deleted already.
        if matches!(change, Change::State(_)) && is_withdrawn(&current) {
            return Err(Conflict::NoRecord.into());
        }
        let as_state = as_state(change, &current, ground.now_secs);
        let change = as_state.as_ref().unwrap_or(change);
        let mut allowed = match self.by_ownership(ground.site, record, change) {
            Some(right) => Ok(right),
            None => self.require(ground, actor, handle, old, needed(change, &current)),
        };
        if let (Err(Stop::Refused(..)), Some(enough)) = (&allowed, enough(change)) {
            allowed = self.require(ground, actor, handle, old, enough);
        }
        let right = match allowed {
            Err(Stop::Refused(..)) if Standing::of(record.values()) == Standing::Reserved => {
                return Err(Conflict::NoRecord.into());
            }
            Err(refused @ Stop::Refused(..)) => {
                let granted = match actor {
                    Actor::Identity(who) => self.granted_to_write(ground, who, record, change)?,
                    _ => None,
                };
                granted.ok_or(refused)?
            }
            allowed => allowed?,
        };
        self.write(ground, actor.with(right), handle, old, change)
    }

    /// Plans the change and has it written, unless it changes nothing.
    fn write(
        &self,
        ground: &Ground<'_>,
        warrant: Arc<Warrant>,
        handle: HandleRef<'_>,
        old: Option<&StoredRecord>,
        change: &Change,
    ) -> Result<Decided, Stop> {
        self.check_condition(old)?;
        let new = match (change, old) {
            // What was checked needs nothing but the time.
            (Change::Create(new) | Change::Put(new), None) => Some(made(new, ground.now_secs)),
            _ => {
                let current = old.map(|old| owned(old.values())).transpose()?;
                let stamp = Timestamps::Set(ground.now_secs);
                let new = plan(current.as_deref(), change, stamp)?;
                new.map(|values| Writer::to_vec(|w| Values::encode(&values, w)))
            }
        };
        let expect = old.map_or(Expected::Absent, |old| Expected::Version(old.version));
        let name = match (change, old) {
            (Change::Create(_) | Change::Put(_), _) | (_, None) => handle.expanded(),
            (_, Some(old)) => old.handle.clone(),
        };
        let write = match (new, old) {
            (Some(new), Some(old)) if new == old.values().wire() => None,
            (Some(values), _) => Some(Write::Put {
                handle: name,
                values,
                expect,
            }),
            (None, _) => Some(Write::Delete {
                handle: name,
                expect,
            }),
        };
        Ok(Decided {
            write,
            warrant,
            is_for_prefix: false,
            replaced: matches!(change, Change::Put(_)) && old.is_some(),
        })
    }

    /// Refuses what was meant for another version of the record. Asked only after it is known that
    /// the actor may make the change: versions are nobody else's business.
    fn check_condition(&self, old: Option<&StoredRecord>) -> Result<(), Stop> {
        let found = old.map(|old| old.version);
        let holds = match self.condition {
            None => true,
            Some(Expected::Absent) => found.is_none(),
            Some(Expected::Version(version)) => found == Some(version),
        };
        match (holds, found) {
            (true, _) => Ok(()),
            (false, Some(version)) => Err(Stop::Refused(
                ResponseCode::HANDLE_ALREADY_EXISTS,
                format!("{STALE}: it has version {version}"),
            )),
            (false, None) => Err(Stop::Refused(
                ResponseCode::HANDLE_NOT_FOUND,
                format!("{STALE}: it is not there"),
            )),
        }
    }

    //--- May he?

    /// Who acts; without a proof, and unless the node is open, the errand ends in a challenge.
    pub(super) fn actor(&self, ground: &Ground<'_>) -> Result<Actor<'a>, Stop> {
        match ground.rules.anonymous_admin_full_access {
            true => Ok(Actor::OpenNode),
            false => self.by.map(Actor::Identity).ok_or(Stop::Unknown),
        }
    }

    /// The warrant of the actor, if it may say what this node is responsible for.
    pub(super) fn require_server(&self, ground: &Ground<'_>) -> Result<Arc<Warrant>, Stop> {
        let actor = self.actor(ground)?;
        let Actor::Identity(identity) = actor else {
            return Ok(actor.with(Right::OpenNode));
        };
        ground.rules.server(identity, ground.site.case_rule())?;
        Ok(actor.with(Right::ServerAdmin))
    }

    /// Refuses an actor who has not the permissions by the record of `handle`; gives the right that
    /// he uses.
    pub(super) fn require(
        &self,
        ground: &Ground<'_>,
        actor: Actor<'_>,
        handle: HandleRef<'_>,
        record: Option<&StoredRecord>,
        needed: AdminPermissions,
    ) -> Result<Right, Stop> {
        self.require_where(ground, actor, handle, record, needed, &|_| true)
    }

    /// [`require`](Self::require), with the HS_ADMIN values that count chosen by `counts`.
    fn require_where(
        &self,
        ground: &Ground<'_>,
        actor: Actor<'_>,
        handle: HandleRef<'_>,
        record: Option<&StoredRecord>,
        needed: AdminPermissions,
        counts: &dyn Fn(&Admin) -> bool,
    ) -> Result<Right, Stop> {
        let rule = ground.site.case_rule();
        let identity = match actor {
            Actor::OpenNode => return Ok(Right::OpenNode),
            Actor::OpenValues => return Ok(Right::OpenValues),
            Actor::Identity(identity) if ground.rules.may_everything(identity, rule) => {
                return Ok(Right::FullAccess);
            }
            Actor::Identity(identity) => identity,
        };
        let Some(record) = record else {
            return Err(Denied::NoRecord {
                record: handle.to_owned(),
            }
            .into());
        };
        let lookup = |handle: HandleRef<'_>| self.group(ground.site, handle);
        let counts = |admin: &Admin| admin.permissions.contains(needed) && counts(admin);
        let used = |record: &StoredRecord, grant: Grant| {
            Right::Administrator(vec![Used {
                record: record.handle.clone(),
                index: grant.index,
                permissions: needed,
                through: grant.through,
            }])
        };
        if let Some(grant) = authorize_where(identity, record.values(), rule, counts, lookup)? {
            return Ok(used(record, grant));
        }
        match self.by_role(ground.site, identity, handle, record, needed)? {
            Some((prefix, grant)) => Ok(used(prefix, grant)),
            None if Role::of_group(handle).is_some() => Err(Denied::NotOverRoles {
                identity: identity.clone(),
                group: handle.to_owned(),
                prefix: handle.prefix_handle(),
            }
            .into()),
            None => Err(Denied::NoPermission {
                identity: identity.clone(),
                needed: needed.names().collect::<Vec<_>>().join(" and "),
                record: handle.to_owned(),
            }
            .into()),
        }
    }

    /// Refuses an actor who may not create the record of `handle`: the administrators of its prefix
    /// count, and for a derived prefix those of the prefix that it is derived from. Says whether
    /// he has the right for any record of the same prefix.
    fn require_adding(
        &self,
        ground: &Ground<'_>,
        actor: Actor<'_>,
        handle: HandleRef<'_>,
    ) -> Result<(Right, bool), Stop> {
        if let Actor::OpenNode = actor {
            return Ok((Right::OpenNode, false));
        }
        let (above, needed) = above(handle);
        let record = self.known.record(ground.site, above.borrow())?;
        // Prefixes are derived from different ones, and a role may make some records only.
        let is_for_prefix = Cell::new(!handle.is_prefix_handle());
        let counts = |admin: &Admin| {
            let Some(role) = Role::named(admin, above.borrow()) else {
                return true;
            };
            is_for_prefix.set(false);
            role.may_make(handle)
        };
        let right = self.require_where(ground, actor, above.borrow(), record, needed, &counts)?;
        Ok((right, is_for_prefix.get()))
    }

    /// Refuses an actor who may not write the record over: neither change by change, nor by
    /// deleting it and creating it again.
    fn require_overwriting(
        &self,
        ground: &Ground<'_>,
        actor: Actor<'_>,
        handle: HandleRef<'_>,
        old: &StoredRecord,
        change: &Change,
    ) -> Result<Right, Stop> {
        let current = owned(old.values())?;
        let by_changes = match touches_read_only(change, &current) {
            Some(conflict) => Err(conflict.into()),
            None => {
                let needed = needed(change, &current);
                self.require(ground, actor, handle, Some(old), needed)
            }
        };
        let denied = match by_changes {
            Err(Stop::Refused(code, text)) => Stop::Refused(code, text),
            other => return other,
        };
        let delete = AdminPermissions::DELETE_HANDLE;
        let deleted = self.require(ground, actor, handle, Some(old), delete);
        let created = |deleted: Right| {
            let (created, _) = self.require_adding(ground, actor, handle)?;
            Ok(deleted.and(created))
        };
        match deleted.and_then(created) {
            Err(Stop::Refused(..)) => Err(denied),
            other => other,
        }
    }
}

/// The record whose administrators may create the one of `handle`, and the permission for it.
pub(super) fn above(handle: HandleRef<'_>) -> (Handle, AdminPermissions) {
    let expanded = handle.expanded();
    match expanded.borrow().parent() {
        Some(parent) => (parent.to_owned(), AdminPermissions::ADD_DERIVED_PREFIX),
        None => (
            expanded.borrow().prefix_handle(),
            AdminPermissions::ADD_HANDLE,
        ),
    }
}

/// The first value that nobody may change and that writing the record over would change.
fn touches_read_only(change: &Change, current: &[Value]) -> Option<Conflict> {
    let Change::Put(new) = change else {
        return None;
    };
    let is_kept = |old: &Value| {
        let new = new.iter().find(|new| new.index == old.index);
        new.is_some_and(|new| new.is_same_but_for_time(old))
    };
    let mut read_only = current.iter().filter(|old| !old.permissions.admin_write());
    let touched = read_only.find(|old| !is_kept(old));
    touched.map(|old| Conflict::ReadOnly { index: old.index })
}

/// Whether the record that is written says itself what its state is.
fn puts_state(change: &Change) -> bool {
    matches!(change, Change::Put(new) if new.iter().any(Value::is_state))
}

/// What it comes to that somebody deletes a record and does not insist.
pub(super) fn deletion(ground: &Ground<'_>) -> Result<Change, Stop> {
    match ground.rules.on_delete {
        OnDelete::Withdraw => Ok(Change::State(Some(deleted(ground.now_secs)?))),
        OnDelete::Remove => Ok(Change::Delete),
    }
}

/// The state of a record that a client has deleted.
fn deleted(now_secs: u32) -> Result<StateData, Stop> {
    let data = StateData::new(State::Withdrawn).with_reason("deleted");
    let data = data.map_err(|error| Stop::Refused(ResponseCode::ERROR, error.to_string()))?;
    Ok(data.with_since(now_secs.into()))
}

/// The values of a new record in wire form, with the time at which it is made.
fn made(values: &[Value], now_secs: u32) -> Vec<u8> {
    let len = values.iter().map(Value::encoded_len).sum::<usize>() + 4;
    let mut wire = Vec::with_capacity(len);
    let mut w = Writer::new(&mut wire);
    w.size(values.len());
    values
        .iter()
        .for_each(|value| value.encode_at(now_secs, &mut w));
    wire
}

/// Refuses new values that could not be stored whatever is there.
fn check_fit(change: &Change) -> Result<(), Stop> {
    match change {
        Change::Create(new)
        | Change::Put(new)
        | Change::Add(new)
        | Change::Write(new)
        | Change::Modify(new) => Ok(validate(new).map_err(Conflict::from)?),
        _ => Ok(()),
    }
}

/// Refuses to change a record that cannot be changed here by anybody.
fn check_ours(site: &Site, handle: HandleRef<'_>) -> Result<(), Stop> {
    if !site.is_primary() {
        return Err(Misdirected::NotPrimary.into());
    }
    Ok(site.is_responsible(handle)?)
}

pub(super) fn owned(values: Values<'_>) -> Result<Vec<Value>, Stop> {
    let values = values.to_vec();
    values.map_err(|error| Stop::Refused(ResponseCode::INVALID_VALUE, error.to_string()))
}
