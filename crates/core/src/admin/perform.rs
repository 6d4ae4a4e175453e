//! What each operation needs and does (6.1, 6.4): the checks in their order, then a plan.
//!
//! Before anything is asked of the peer come the checks that depend on the request and on this node
//! alone: is it a name, do we answer for it, are the values fit to be stored. Then it must be known
//! who asks and whether he may. Only then is looked at what is there, so that a stranger learns
//! nothing by trying (section 11, rule 12).

use guantong_proto::crypto::challenge;
use guantong_proto::data::{Admin, AdminPermissions, SecretKey, State, StateData};
use guantong_proto::message::{
    Message, OpCode, OpFlags, Request, Resolve, ResponseCode, SessionSetup,
};
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, HandleRef, NameError, Value, ValueRef, Values, is_of_type};

use super::authenticate::Identity;
use super::authorize::{Grant, authorize_where, enough, is_open_to_all, needed};
use super::errand::{Errand, Ground};
use super::known::StoredRecord;
use super::listing::Listed;
use super::plan::{Change, Conflict, Timestamps, as_state, is_withdrawn, plan};
use super::rules::{Denied, OnDelete};
use super::session::{Rejected, agree};
use super::stop::{Done, Stop};
use super::validate::validate;
use super::write::{Expected, Right, Used, Warrant, Write};
use crate::authority::{
    Lookup, Misdirected, Next, Outcome, Query, RecordView, STATUS, Selected, Selection, Site,
    Standing,
};
use crate::identity::Role;

/// What the refusal of a change begins with that was meant for another version of the record.
pub const STALE: &str = "the record is not what you expect";
const NO_BACKUP: &str = "a backup is made on this node's machine: run `guantong backup`";
const NO_EXCHANGE: &str = "keys of sessions are agreed on by Diffie-Hellman, in one step";

//----------- Actor ----------------------------------------------------------

/// Who acts.
#[derive(Clone, Copy, Debug)]
enum Actor<'a> {
    /// Anybody: the operator has opened the node.
    OpenNode,
    /// Anybody: the values are open to all.
    OpenValues,
    /// This identity, which is proven.
    Identity(&'a Identity),
}

impl Actor<'_> {
    fn with(self, right: Right) -> Warrant {
        let by = match self {
            Self::OpenNode | Self::OpenValues => None,
            Self::Identity(identity) => Some(identity.clone()),
        };
        Warrant { by, right }
    }
}

//----------- Errand ---------------------------------------------------------

impl Errand {
    /// What the request comes to, with the records known so far.
    pub(super) fn perform(
        &self,
        ground: &Ground<'_>,
        message: &Message<'_>,
        request: &Request<'_>,
    ) -> Result<Done, Stop> {
        let overwrites = message.header.flags.has(OpFlags::OVERWRITE);
        match (message.header.op, request) {
            (OpCode::RESOLVE, Request::Resolve(resolve)) => self.resolve(ground, message, *resolve),
            (OpCode::GET_SITE_INFO, _) => Ok(Done::Body(ground.site.record().to_vec())),
            (OpCode::SESSION_SETUP, Request::SessionSetup(setup)) => self.set_up(ground, setup),
            (OpCode::SESSION_TERMINATE, _) => self.end_session(),
            (OpCode::LOGIN, _) => self.identity().map(|_| Done::Body(Vec::new())),
            (OpCode::CREATE, Request::Write { handle, values }) => {
                let new = owned(*values)?;
                match message.header.flags.has(OpFlags::MINT_SUFFIX) {
                    true => self.create(ground, &self.minted(handle), new, overwrites),
                    false => self.create(ground, handle, new, overwrites),
                }
            }
            (OpCode::DELETE, Request::Named { handle }) => {
                // Whoever insists has it removed.
                let change = match (ground.rules.on_delete, overwrites) {
                    (OnDelete::Withdraw, false) => Change::State(Some(deleted(ground.now_secs)?)),
                    _ => Change::Delete,
                };
                self.change(ground, handle, &change)
            }
            (OpCode::ADD_VALUE, Request::Write { handle, values }) => {
                let change = match overwrites {
                    true => Change::Write(owned(*values)?),
                    false => Change::Add(owned(*values)?),
                };
                self.change(ground, handle, &change)
            }
            (OpCode::MODIFY_VALUE, Request::Write { handle, values }) => {
                self.change(ground, handle, &Change::Modify(owned(*values)?))
            }
            (OpCode::REMOVE_VALUE, Request::Remove { handle, indexes }) => {
                self.change(ground, handle, &Change::Remove(indexes.iter().collect()))
            }
            (OpCode::LIST_HANDLES, Request::Named { handle }) => self.list(ground, handle),
            (OpCode::HOME_PREFIX | OpCode::UNHOME_PREFIX, Request::Named { handle }) => {
                self.home(ground, message.header.op, handle)
            }
            (OpCode::LIST_HOMED, _) => {
                self.require_server(ground)?;
                Ok(Done::List(Listed::Homed))
            }
            (OpCode::RETRIEVE_TXN | OpCode::DUMP_HANDLES, _) => {
                let identity = self.identity()?;
                ground
                    .rules
                    .replication(identity, ground.site.case_rule())?;
                Ok(Done::Stream(identity.clone()))
            }
            (OpCode::VERIFY_ANSWER, request) => self.verify_for_others(ground, request),
            (OpCode::BACKUP_SERVER, _) => Err(unsupported(NO_BACKUP)),
            _ => Err(unsupported(NO_EXCHANGE)),
        }
    }

    //--- Reading

    /// A resolution by somebody who is known, or in a session.
    fn resolve(
        &self,
        ground: &Ground<'_>,
        message: &Message<'_>,
        resolve: Resolve<'_>,
    ) -> Result<Done, Stop> {
        let mut key = Vec::new();
        let mut next = Lookup::start(ground.site, Query::of(message, resolve), &mut key);
        loop {
            let lookup = match next {
                Next::Fetch(lookup) => lookup,
                // Nothing is resolved for anybody in a session.
                Next::Elsewhere(_) => return Err(Misdirected::NotHomed.into()),
                Next::Done(Outcome::AuthenticationNeeded) => return self.read(ground, resolve),
                Next::Done(outcome) => return said(resolve.handle, outcome),
            };
            // A folded name is a name.
            let record = self.known.here(ground.site, HandleRef::from_wire(&key)?)?;
            let view = record.map(|record| RecordView::of(record.handle.as_str(), record.values()));
            next = lookup.resume(view, &mut key);
        }
    }

    /// Values that are not public, for somebody who may read them (5.8, step 4). Values that nobody
    /// may read, and secret keys, stay here.
    fn read(&self, ground: &Ground<'_>, resolve: Resolve<'_>) -> Result<Done, Stop> {
        let handle = HandleRef::from_wire(resolve.handle)?;
        let identity = self.identity()?;
        if handle.key(ground.site.case_rule()).as_bytes() == STATUS {
            ground.rules.server(identity, ground.site.case_rule())?;
            return Err(Outcome::ValuesNotFound.into());
        }
        ground.site.is_responsible(handle)?;
        let record = self.known.here(ground.site, handle)?;
        let record = record.ok_or(Stop::from(Outcome::NotFound))?;
        let actor = Actor::Identity(identity);
        let needed = AdminPermissions::READ_VALUE;
        let selection = Selection::of(resolve);
        if selection.is_too_long() {
            return Err(Outcome::SelectionTooLong.into());
        }
        let sieve = selection.sieve(record.values().len());
        let selects = |value: &ValueRef<'_>| match &sieve {
            Some(sieve) => sieve.selects(value.index, value.kind),
            None => selection.selects(value.index, value.kind),
        };
        let selected = || record.values().iter().filter(selects);
        let granted = match self.require(ground, actor, handle, Some(record), needed) {
            Err(Stop::Refused(code, text)) => {
                let standing = Standing::of(record.values());
                let granted =
                    self.granted_to_read(ground, identity, record, &standing, selected())?;
                // Others are told what the public is told, and get what it gets.
                let is_shown = !granted.is_empty() || selected().any(|value| value.is_public());
                match standing {
                    Standing::Public if is_shown => {}
                    Standing::Public => return Err(Stop::Refused(code, text)),
                    _ if !granted.is_empty() => {}
                    Standing::Reserved => return Err(Outcome::NotFound.into()),
                    Standing::Withdrawn(data) => return Err(Outcome::Withdrawn(data).into()),
                }
                Some(granted)
            }
            allowed => allowed.map(|_| None)?,
        };
        let readable = selected().filter(|value| match &granted {
            Some(granted) => value.is_public() || granted.contains(&value.index),
            None => {
                !value.is_secret()
                    && (value.permissions.public_read() || value.permissions.admin_read())
            }
        });
        let values: Vec<&[u8]> = readable.map(|value| value.wire()).collect();
        if values.is_empty() {
            return Err(match selected().next() {
                Some(_) => Outcome::InsufficientPermissions.into(),
                None => Outcome::ValuesNotFound.into(),
            });
        }
        let body = Writer::to_vec(|w| {
            w.bytes(resolve.handle);
            w.size(values.len());
            values.iter().for_each(|value| w.raw(value));
        });
        let withheld = values.len() < selected().count();
        Ok(Done::Restricted { body, withheld })
    }

    //--- Changing records

    /// Creates a record, or writes one over.
    fn create(
        &self,
        ground: &Ground<'_>,
        name: &[u8],
        new: Vec<Value>,
        overwrites: bool,
    ) -> Result<Done, Stop> {
        let handle = check_ours(ground.site, name)?;
        validate(&new).map_err(Conflict::from)?;
        let actor = self.actor(ground)?;
        let old = self.known.here(ground.site, handle)?;
        let (change, right) = match old {
            Some(old) if overwrites => {
                let change = Change::Put(new);
                let right = self.require_overwriting(ground, actor, handle, old, &change)?;
                if is_withdrawn(&owned(old.values())?) && !puts_state(&change) {
                    return Err(Conflict::Withdrawn.into());
                }
                (change, right)
            }
            _ => {
                let right = self.require_adding(ground, actor, handle)?;
                (Change::Create(new), right)
            }
        };
        let body = Writer::to_vec(|w| w.bytes(name));
        self.write(ground, actor.with(right), handle, old, &change, body)
    }

    /// Changes a record that is there.
    fn change(&self, ground: &Ground<'_>, name: &[u8], change: &Change) -> Result<Done, Stop> {
        let handle = check_ours(ground.site, name)?;
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
        self.write(ground, actor.with(right), handle, old, change, Vec::new())
    }

    /// Plans the change and has it written, unless it changes nothing.
    fn write(
        &self,
        ground: &Ground<'_>,
        warrant: Warrant,
        handle: HandleRef<'_>,
        old: Option<&StoredRecord>,
        change: &Change,
        body: Vec<u8>,
    ) -> Result<Done, Stop> {
        self.check_condition(old)?;
        let current = old.map(|old| owned(old.values())).transpose()?;
        let stamp = Timestamps::Set(ground.now_secs);
        let new = plan(current.as_deref(), change, stamp)?;
        let new = new.map(|values| Writer::to_vec(|w| Values::encode(&values, w)));
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
        let replaced = matches!(change, Change::Put(_));
        Ok(Done::Write {
            write,
            warrant,
            body,
            replaced,
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

    /// The name of a record whose suffix we choose: what the request begins it with, and a random
    /// UUID of version 4.
    fn minted(&self, begin: &[u8]) -> Vec<u8> {
        let mut octets = self.chance.suffix;
        octets[6] = octets[6] & 0x0f | 0x40;
        octets[8] = octets[8] & 0x3f | 0x80;
        let mut name = begin.to_vec();
        for (at, octet) in octets.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                name.push(b'-');
            }
            name.extend_from_slice(format!("{octet:02x}").as_bytes());
        }
        name
    }

    //--- Prefixes

    fn home(&self, ground: &Ground<'_>, op: OpCode, name: &[u8]) -> Result<Done, Stop> {
        let prefix = check_prefix(name)?.expanded();
        if !ground.site.is_primary() {
            return Err(Misdirected::NotPrimary.into());
        }
        let warrant = self.require_server(ground)?;
        let write = match op {
            OpCode::HOME_PREFIX => Write::Home { prefix },
            _ => Write::Unhome { prefix },
        };
        Ok(Done::Write {
            write: Some(write),
            warrant,
            body: Vec::new(),
            replaced: false,
        })
    }

    fn list(&self, ground: &Ground<'_>, name: &[u8]) -> Result<Done, Stop> {
        let prefix = check_prefix(name)?;
        let is_homed = {
            let key = prefix.key(ground.site.case_rule());
            let prefix = key.as_bytes().get(b"0.NA/".len()..).unwrap_or_default();
            ground.site.homed().has(prefix)
        };
        if !is_homed {
            return Err(Misdirected::NotHomed.into());
        }
        let actor = self.actor(ground)?;
        let record = self.known.record(ground.site, prefix)?;
        self.require(
            ground,
            actor,
            prefix,
            record,
            AdminPermissions::LIST_HANDLES,
        )?;
        Ok(Done::List(Listed::Prefix(prefix.expanded())))
    }

    //--- Sessions

    fn set_up(&self, ground: &Ground<'_>, setup: &SessionSetup<'_>) -> Result<Done, Stop> {
        self.check_version()?;
        let agreed = agree(setup, &self.chance.exponent);
        let (session, body) = agreed.map_err(|rejected| Stop::from(&rejected))?;
        let id = ground
            .tables
            .open(session)
            .map_err(|rejected| Stop::from(&rejected))?;
        Ok(Done::Session { id, body })
    }

    fn end_session(&self) -> Result<Done, Stop> {
        match self.is_in_session() {
            true => Ok(Done::Ended),
            false => Err((&Rejected::Unknown).into()),
        }
    }

    //--- Secret keys, for other servers

    /// Whether an answer by secret key is right (6.5). It is an oracle about secrets, as any login
    /// is; the shell counts the wrong answers.
    fn verify_for_others(&self, ground: &Ground<'_>, request: &Request<'_>) -> Result<Done, Stop> {
        let &Request::VerifyAnswer {
            user,
            user_index,
            nonce,
            digest,
            signed,
        } = request
        else {
            return Err(Stop::refuse(ResponseCode::PROTOCOL_ERROR, ""));
        };
        let user = HandleRef::from_wire(user)?;
        ground.site.is_responsible(user)?;
        let record = self.known.here(ground.site, user)?;
        let values = record.map_or(Values::EMPTY, StoredRecord::values);
        let keys = values.iter().filter(|value| {
            is_of_type(value.kind, challenge::SECRET_KEY)
                && (user_index == 0 || value.index == user_index)
        });
        let confirms = |key: &[u8]| {
            let secret = SecretKey::new(key);
            let digest = without_id(digest);
            let checked = challenge::verify_secret_answer(&secret, nonce, digest, signed);
            checked.is_ok() && !key.is_empty()
        };
        let mut keys = keys.take(super::authenticate::KEYS_MAX).peekable();
        if keys.peek().is_none() {
            // Takes as long as a wrong secret.
            let _ = confirms(b"");
        }
        let is_valid = keys.any(|value| confirms(value.data));
        Ok(Done::Verified(is_valid))
    }

    //--- May he?

    /// Who acts; without a proof, and unless the node is open, the errand ends in a challenge.
    fn actor(&self, ground: &Ground<'_>) -> Result<Actor<'_>, Stop> {
        match ground.rules.anonymous_admin_full_access {
            true => Ok(Actor::OpenNode),
            false => self.identity().map(Actor::Identity),
        }
    }

    /// The warrant of the actor, if it may say what this node is responsible for.
    fn require_server(&self, ground: &Ground<'_>) -> Result<Warrant, Stop> {
        let actor = self.actor(ground)?;
        let Actor::Identity(identity) = actor else {
            return Ok(actor.with(Right::OpenNode));
        };
        ground.rules.server(identity, ground.site.case_rule())?;
        Ok(actor.with(Right::ServerAdmin))
    }

    /// Refuses an actor who has not the permissions by the record of `handle`; gives the right that
    /// he uses.
    fn require(
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
    /// count, and for a derived prefix those of the prefix that it is derived from.
    fn require_adding(
        &self,
        ground: &Ground<'_>,
        actor: Actor<'_>,
        handle: HandleRef<'_>,
    ) -> Result<Right, Stop> {
        if let Actor::OpenNode = actor {
            return Ok(Right::OpenNode);
        }
        let (above, needed) = above(handle);
        let record = self.known.record(ground.site, above.borrow())?;
        let counts = |admin: &Admin| {
            let role = Role::named(admin, above.borrow());
            role.is_none_or(|role| role.may_make(handle))
        };
        self.require_where(ground, actor, above.borrow(), record, needed, &counts)
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
            let created = self.require_adding(ground, actor, handle)?;
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

/// The state of a record that a client has deleted.
fn deleted(now_secs: u32) -> Result<StateData, Stop> {
    let data = StateData::new(State::Withdrawn).with_reason("deleted");
    let data = data.map_err(|error| Stop::Refused(ResponseCode::ERROR, error.to_string()))?;
    Ok(data.with_since(now_secs.into()))
}

//----------- Checks ---------------------------------------------------------

/// Refuses new values that could not be stored whatever is there.
fn check_fit(change: &Change) -> Result<(), Stop> {
    match change {
        Change::Add(new) | Change::Write(new) | Change::Modify(new) => {
            Ok(validate(new).map_err(Conflict::from)?)
        }
        _ => Ok(()),
    }
}

/// Refuses to home what is no prefix handle.
fn check_prefix(handle: &[u8]) -> Result<HandleRef<'_>, Stop> {
    let handle = HandleRef::from_wire(handle)?;
    match handle.is_prefix_handle() {
        true => Ok(handle),
        false => Err(NameError::NotAPrefix {
            name: handle.as_str().into(),
        }
        .into()),
    }
}

/// Refuses to change a record that cannot be changed here by anybody.
fn check_ours<'a>(site: &Site, handle: &'a [u8]) -> Result<HandleRef<'a>, Stop> {
    let handle = HandleRef::from_wire(handle)?;
    if !site.is_primary() {
        return Err(Misdirected::NotPrimary.into());
    }
    site.is_responsible(handle)?;
    Ok(handle)
}

/// The outcome of a resolution that needs no identity.
fn said(handle: &[u8], outcome: Outcome<Selected<'_>>) -> Result<Done, Stop> {
    match outcome {
        Outcome::Record(values) => Ok(Done::Body(Writer::to_vec(|w| {
            w.bytes(handle);
            w.raw(&values.to_wire());
        }))),
        Outcome::Referral(values) => Err(referral(ResponseCode::PREFIX_REFERRAL, &values)),
        Outcome::ServiceReferral(values) => Err(referral(ResponseCode::SERVICE_REFERRAL, &values)),
        outcome => Err(outcome.into_owned().into()),
    }
}

fn referral(code: ResponseCode, values: &Selected<'_>) -> Stop {
    let body = Writer::to_vec(|w| {
        w.bytes(b"");
        w.raw(&values.to_wire());
    });
    Stop::Referral(code, body)
}

fn owned(values: Values<'_>) -> Result<Vec<Value>, Stop> {
    let values = values.to_vec();
    values.map_err(|error| Stop::Refused(ResponseCode::INVALID_VALUE, error.to_string()))
}

fn unsupported(text: &str) -> Stop {
    Stop::refuse(ResponseCode::OPERATION_NOT_SUPPORTED, text)
}

/// A digest without the number of its hash function, which some put in front.
fn without_id(digest: &[u8]) -> &[u8] {
    match digest {
        [1, rest @ ..] if rest.len() == 16 => rest,
        [2, rest @ ..] if rest.len() == 20 => rest,
        [3, rest @ ..] if rest.len() == 32 => rest,
        plain => plain,
    }
}
