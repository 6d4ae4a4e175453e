//! The reply to a resolution whose name lives elsewhere and was resolved for the caller (5.6).
//!
//! ```text
//! Step::Elsewhere(elsewhere) ──► elsewhere.query()         what the resolver is to be asked
//!                            └── elsewhere.answer(found)   the reply, once it has found something
//! ```
//!
//! What is found carries its values in wire form, so that the answer from a cache is one copy.

use guantong_proto::Values;
use guantong_proto::wire::Writer;

use super::inquiry::Moment;
use super::outcome::Outcome;
use super::query::{Query, Selection};
use super::record::Selected;
use super::reply::Reply;

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
