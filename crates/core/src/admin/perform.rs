//! What each operation needs and does (6.1, 6.4): the checks in their order, then a plan.
//!
//! Before anything is asked of the peer come the checks that depend on the request and on this node
//! alone: is it a name, do we answer for it, are the values fit to be stored. Then it must be known
//! who asks and whether he may. Only then is looked at what is there, so that a stranger learns
//! nothing by trying (section 11, rule 12).

use guantong_proto::crypto::challenge;
use guantong_proto::data::{AdminPermissions, SecretKey};
use guantong_proto::message::{
    Message, OpCode, OpFlags, Request, Resolve, ResponseCode, SessionSetup,
};
use guantong_proto::wire::Writer;
use guantong_proto::{HandleRef, NameError, ValueRef, Values, is_of_type};

use super::decide::{Actor, Decided, Deciding, deletion, owned};
use super::errand::{Errand, Ground};
use super::known::StoredRecord;
use super::listing::Listed;
use super::plan::Change;
use super::session::{Rejected, agree};
use super::stop::{Done, Stop};
use super::write::Write;
use crate::authority::{
    Lookup, Misdirected, Next, Outcome, Query, RecordView, STATUS, Selected, Selection, Standing,
};

const NO_BACKUP: &str = "a backup is made on this node's machine: run `guantong backup`";
const NO_EXCHANGE: &str = "keys of sessions are agreed on by Diffie-Hellman, in one step";

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
                let change = match overwrites {
                    true => Change::Put(new),
                    false => Change::Create(new),
                };
                match message.header.flags.has(OpFlags::MINT_SUFFIX) {
                    true => self.create(ground, &self.minted(handle), &change),
                    false => self.create(ground, handle, &change),
                }
            }
            (OpCode::DELETE, Request::Named { handle }) => {
                // Whoever insists has it removed.
                let change = match overwrites {
                    true => Change::Delete,
                    false => deletion(ground)?,
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
                self.deciding().require_server(ground)?;
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
        let deciding = self.deciding();
        let granted = match deciding.require(ground, actor, handle, Some(record), needed) {
            Err(Stop::Refused(code, text)) => {
                let standing = Standing::of(record.values());
                let granted =
                    deciding.granted_to_read(ground, identity, record, &standing, selected())?;
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

    /// What the change rests on.
    fn deciding(&self) -> Deciding<'_> {
        Deciding {
            known: &self.known,
            by: self.identity().ok(),
            owner: self.owner(),
            condition: self.condition,
            presumes_absent: false,
            adding: None,
        }
    }

    fn create(&self, ground: &Ground<'_>, name: &[u8], change: &Change) -> Result<Done, Stop> {
        let handle = HandleRef::from_wire(name)?;
        let decided = self.deciding().create(ground, handle, change)?;
        Ok(to_write(decided, Writer::to_vec(|w| w.bytes(name))))
    }

    fn change(&self, ground: &Ground<'_>, name: &[u8], change: &Change) -> Result<Done, Stop> {
        let handle = HandleRef::from_wire(name)?;
        let decided = self.deciding().change(ground, handle, change)?;
        Ok(to_write(decided, Vec::new()))
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
        let warrant = self.deciding().require_server(ground)?;
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
        let deciding = self.deciding();
        let actor = deciding.actor(ground)?;
        let record = self.known.record(ground.site, prefix)?;
        deciding.require(
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
}

//----------- Checks ---------------------------------------------------------

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

/// The change as what an errand orders, to be answered with this body.
fn to_write(decided: Decided, body: Vec<u8>) -> Done {
    let Decided {
        write,
        warrant,
        replaced,
        ..
    } = decided;
    Done::Write {
        write,
        warrant,
        body,
        replaced,
    }
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
