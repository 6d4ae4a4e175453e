//! The reply to a resolution whose name lives elsewhere and was resolved for the caller (5.6).
//!
//! ```text
//! Step::Elsewhere(elsewhere) ──► elsewhere.query()         what the resolver is to be asked
//!                            └── elsewhere.answer(found)   the reply, once it has found something
//! ```
//!
//! A query becomes a question to the resolver ([`Query::question`]), or a name under which its
//! cache may have the answer ([`Query::look_up`]).
//!
//! What is found carries its values in wire form, so that the answer from a cache is one copy.

use guantong_proto::message::ResponseCode;
use guantong_proto::wire::Writer;
use guantong_proto::{HandleRef, Values};

use super::inquiry::Moment;
use super::outcome::{Outcome, Trouble};
use super::query::{Query, Selection};
use super::record::Selected;
use super::reply::Reply;
use crate::resolve::{
    Answer, Entry, EntryKind, Freshness, Hit, Lookup, Outcome as Resolved, Question, ResolveError,
    Trust,
};

/// Said where a value is not public: nobody proves here who they are to another server.
const RESTRICTED: &str = "a value asked for is not public: ask a server of the record's own site, \
     which can check who you are, or ask for public values only";

//----------- Query ----------------------------------------------------------

impl Query<'_> {
    /// Whether an answer of others may come from a cache (5.7). What is not public never does.
    pub fn is_cacheable(&self) -> bool {
        self.public_only && !self.authoritative
    }

    /// Sets the name under which a cache may have the answer; says whether there is one.
    pub fn look_up(&self, lookup: &mut Lookup) -> bool {
        let Ok(handle) = HandleRef::from_wire(self.handle) else {
            return false;
        };
        let trust = match self.certified {
            true => Trust::Certified,
            false => Trust::Any,
        };
        let (indexes, types) = (self.selection.indexes(), self.selection.types());
        lookup.set(handle, indexes, types, trust);
        true
    }

    /// The question for the resolver. "Do not refer" speaks of our own answer, and we refer nobody
    /// whom we resolve for.
    pub fn question(&self) -> Option<Question> {
        let handle = HandleRef::from_wire(self.handle).ok()?.to_owned();
        Some(Question {
            indexes: self.selection.indexes().collect(),
            types: self.selection.types().map(Into::into).collect(),
            authoritative: self.authoritative,
            certified: self.certified,
            public_only: self.public_only,
            // We are one more server that passes it on (5.6).
            recursion_count: self.recursion_count.saturating_add(1),
            ..Question::new(handle)
        })
    }
}

//----------- Found ----------------------------------------------------------

/// What a resolver found. Values are in wire form: i32 count, then the values back to back.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// How the resolution ended. More values than were asked for do no harm.
    pub outcome: &'a Outcome<&'a [u8]>,
    /// Whether it still holds.
    pub age: Age,
}

/// Whether an answer that is not our own still holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// Its time is not over.
    Current,
    /// Its time is over, and nobody who could renew it answers (RFC 8767 in spirit).
    Stale,
}

/// What an answer of the resolver is to whoever asked.
pub fn outcome_of(answer: &Answer) -> (Outcome<&[u8]>, Age) {
    let outcome = match &answer.outcome {
        Resolved::Record(entry) => Outcome::Record(entry.wire()),
        Resolved::ValuesNotFound => Outcome::ValuesNotFound,
        Resolved::NotFound => Outcome::NotFound,
        Resolved::Failed(error) => match trouble_of(error) {
            Trouble::Restricted => Outcome::Unresolved(Trouble::Restricted, RESTRICTED.to_owned()),
            trouble => Outcome::Unresolved(trouble, error.to_string()),
        },
    };
    (outcome, age_of(answer.freshness))
}

/// What an entry of the cache is to whoever asked.
pub fn outcome_of_hit(hit: &Hit) -> (Outcome<&[u8]>, Age) {
    let entry: &Entry = &hit.entry;
    let outcome = match entry.kind() {
        EntryKind::Record => Outcome::Record(entry.wire()),
        EntryKind::ValuesNotFound => Outcome::ValuesNotFound,
        EntryKind::NotFound => Outcome::NotFound,
    };
    (outcome, age_of(hit.freshness))
}

pub(crate) fn age_of(freshness: Freshness) -> Age {
    match freshness {
        Freshness::Fresh | Freshness::Cached => Age::Current,
        Freshness::Stale => Age::Stale,
    }
}

fn trouble_of(error: &ResolveError) -> Trouble {
    match error {
        ResolveError::TooBusy => Trouble::Busy,
        ResolveError::RecursionTooDeep(_) => Trouble::TooDeep,
        ResolveError::Unreachable { .. } if !error.is_timeout() => Trouble::Unreachable,
        ResolveError::Unreachable { .. } | ResolveError::TimedOut { .. } => Trouble::TooLate,
        ResolveError::Refused { code, .. } => trouble_of_code(*code),
        _ => Trouble::Unsound,
    }
}

/// What another server's refusal is to our caller. Codes that ask for something, refer somewhere or
/// belong to a session between us and that server are not passed on: they would be taken for ours.
fn trouble_of_code(code: ResponseCode) -> Trouble {
    match code {
        ResponseCode::AUTHENTICATION_NEEDED | ResponseCode::INSUFFICIENT_PERMISSIONS => {
            Trouble::Restricted
        }
        ResponseCode::SERVER_TOO_BUSY
        | ResponseCode::OPERATION_NOT_SUPPORTED
        | ResponseCode::RECURSION_COUNT_TOO_HIGH
        | ResponseCode::SERVER_READ_ONLY
        | ResponseCode::INVALID_HANDLE => Trouble::Refused(code),
        _ => Trouble::Unsound,
    }
}

impl<'a> Found<'a> {
    /// The outcome with only those values that `selection` wants.
    pub fn select(&self, selection: Selection<'a>) -> Outcome<Selected<'a>> {
        let wire = match self.outcome {
            Outcome::Record(wire) => *wire,
            other => return other.clone().map(Selected::whole),
        };
        if selection.is_all() {
            return Outcome::Record(Selected::whole(wire));
        }
        let values = match Values::from_wire(wire) {
            Ok(values) => values,
            Err(error) => return Outcome::Damaged(error),
        };
        match Selected::chosen(values, selection) {
            Some(chosen) => Outcome::Record(chosen),
            None => Outcome::ValuesNotFound,
        }
    }
}

//----------- Elsewhere ------------------------------------------------------

/// A resolution that came as a packet, and that the resolver is to answer.
#[derive(Clone, Copy, Debug)]
pub struct Elsewhere<'a> {
    reply: Reply<'a>,
    query: Query<'a>,
}

impl<'a> Elsewhere<'a> {
    pub(super) fn new(reply: Reply<'a>, query: Query<'a>) -> Self {
        Self { reply, query }
    }

    /// What is asked.
    pub fn query(&self) -> &Query<'a> {
        &self.query
    }

    /// Appends the reply. It repeats the name as it was asked for, does not claim our authority,
    /// and says so if it is stale.
    pub fn answer(self, found: Found<'_>, moment: &Moment<'_>, out: &mut Vec<u8>) {
        let reply = self.reply.of_others(found.age);
        let selected = Found::select(&found, self.query.selection);
        match &selected {
            Outcome::Record(values) => reply.send(selected.code(), moment, out, |out| {
                Writer::new(out).bytes(self.query.handle);
                values.write(out);
            }),
            _ => reply.error(selected.code(), &selected.message(), moment, out),
        }
    }
}
