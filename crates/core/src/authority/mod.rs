//! Answers from our own store: whose name is it, who may read what, what is said (5.1, 5.8).
//!
//! Two faces over one decision:
//!
//! * [`Inquiry`] takes a packet of the native protocol and writes the whole reply packet.
//! * [`Lookup`] takes a typed [`Query`] and ends in an [`Outcome`]; the JSON API and the proxy use
//!   it. The native face is a layer over it, so that both say the same.
//!
//! Neither reads the store. They ask for a key, the caller fetches the record and resumes them:
//!
//! ```text
//! Inquiry::start(site, packet, ..) ──► Step::Done                        (reply is in `out`)
//!                                  ├─► Step::Elsewhere(elsewhere)        (for the resolver)
//!                                  ├─► Step::HandOver                    (for `admin`)
//!                                  └─► Step::Fetch(inquiry)              (key is in `key`)
//!                                            │ store.get(key)
//!              inquiry.resume(record, ..) ◄──┘ ──► Step::Done, or another of them
//! ```
//!
//! [`answer`] and [`resolve`] drive them over a store that is read directly. What nearly every
//! packet is takes the short way of [`Plain`], with the same answer.
//!
//! # What is decided here
//!
//! * A node answers for a name if the prefix is homed. Homing `0.NA` makes it part of the global
//!   registry; homing `P` also makes it answer for the prefix records derived from `P`, and for the
//!   prefix record of `P` itself if it happens to hold it.
//! * A derived prefix that has no record here is referred (303) along its parents. Peers that
//!   suggest a version below 2.10 get the referral too, since nothing resolves for them here; peers
//!   below 2.5 read 303 as "read-only", so they get 301.
//! * A name whose prefix is not homed, while the prefix record is ours to answer and says who
//!   serves it, is referred there (302). Otherwise such a name gets 301.
//! * In place of 301, 302 and 303, a peer who may and asks for it has the name resolved:
//!   [`Step::Elsewhere`].
//! * A value that is not publicly readable leads to a challenge (402) unless the caller asked for
//!   public values only, or a rule of the record or of its template shows it to everybody
//!   ([`grant`](crate::grant)). The rule of a template is one more record to fetch, and then the
//!   record once more, since none is kept.
//! * Of a reserved record the public learns nothing, of a withdrawn one why and what took its
//!   place, whatever the permissions of its values say. Neither refers anybody anywhere.
//! * HS_SECKEY and GT_GRANT values are sent to nobody, whatever their permissions say.
//! * What needs an identity, several records or a write ends in [`Step::HandOver`]: it is for
//!   [`crate::admin`].

mod codes;
mod elsewhere;
mod inquiry;
mod lookup;
mod outcome;
mod plain;
mod query;
mod record;
mod reply;
mod site;
mod standing;

pub use codes::{HttpOperation, code_for_version, http_status};
pub use elsewhere::{Age, Elsewhere, Found, outcome_of, outcome_of_hit};
pub use inquiry::{Demand, Inquiry, Moment, Step};
pub(crate) use lookup::STATUS;
pub use lookup::{Lookup, Next, PARENTS_MAX};
pub use outcome::{Misdirected, Outcome, Trouble};
pub use plain::{Plain, Whose, append_plain_key};
pub use query::{Query, Recursion, SELECTION_MAX, Selection};
pub use record::{RecordView, Selected};
pub(crate) use reply::Reply;
pub(crate) use site::Responsibility;
pub use site::{Homed, Signer, Site, SiteError};
pub(crate) use standing::Standing;
pub use standing::was_known;

use guantong_proto::Value;

/// How answering a packet ends.
#[derive(Clone, Debug)]
#[must_use]
pub enum Answered<'a> {
    /// The reply was appended; if nothing was, the packet deserves none.
    Done,
    /// The name lives elsewhere and is for the resolver; nothing was appended.
    Elsewhere(Elsewhere<'a>),
    /// The packet is for an [`Errand`](crate::admin::Errand); nothing was appended.
    HandOver,
}

/// Answers one packet from a store that is read directly.
///
/// `fetch` reads the record of a key, `view` shows it. The reply is appended to `out`. `key` is
/// working space that is best reused.
pub fn answer<'a, R, E>(
    site: &'a Site,
    packet: &'a [u8],
    moment: &mut Moment<'_>,
    key: &mut Vec<u8>,
    out: &mut Vec<u8>,
    mut fetch: impl FnMut(&[u8]) -> Result<Option<R>, E>,
    view: impl Fn(&R) -> RecordView<'_>,
) -> Result<Answered<'a>, E> {
    key.clear();
    let ours = Plain::read(site, packet, key).filter(|plain| plain.whose() == Whose::Ours);
    let Some(plain) = ours else {
        return answer_at_length(site, packet, moment, key, out, fetch, view);
    };
    let fetched = fetch(key);
    if let Ok(Some(record)) = &fetched
        && plain.answer(view(record), moment.now_secs, out)
    {
        return Ok(Answered::Done);
    }
    // The long way begins with the same record.
    let mut fetched = Some(fetched);
    let fetch = |key: &[u8]| fetched.take().unwrap_or_else(|| fetch(key));
    answer_at_length(site, packet, moment, key, out, fetch, view)
}

/// [`answer`] without the short way.
fn answer_at_length<'a, R, E>(
    site: &'a Site,
    packet: &'a [u8],
    moment: &mut Moment<'_>,
    key: &mut Vec<u8>,
    out: &mut Vec<u8>,
    mut fetch: impl FnMut(&[u8]) -> Result<Option<R>, E>,
    view: impl Fn(&R) -> RecordView<'_>,
) -> Result<Answered<'a>, E> {
    let mut step = Inquiry::start(site, packet, moment, key, out);
    loop {
        let inquiry = match step {
            Step::Fetch(inquiry) => inquiry,
            Step::Elsewhere(elsewhere) => return Ok(Answered::Elsewhere(elsewhere)),
            Step::HandOver => return Ok(Answered::HandOver),
            Step::Done => return Ok(Answered::Done),
        };
        let record = match fetch(key) {
            Ok(record) => record,
            Err(error) => {
                inquiry.fail(moment, out);
                return Err(error);
            }
        };
        step = inquiry.resume(record.as_ref().map(&view), moment, key, out);
    }
}

/// Resolves one query from a store that is read directly, with owned values. `None` means that the
/// resolver is to answer it.
pub fn resolve<'a, R, E>(
    site: &'a Site,
    query: Query<'a>,
    fetch: impl FnMut(&[u8]) -> Result<Option<R>, E>,
    view: impl Fn(&R) -> RecordView<'_>,
) -> Result<Option<Outcome<Vec<Value>>>, E> {
    resolve_with(site, query, fetch, view, |outcome, _| outcome.into_owned())
}

/// [`resolve`] for whoever reads the values where they lie: `with` gets the outcome, and the record
/// that was looked at last.
pub fn resolve_with<'a, R, E, T>(
    site: &'a Site,
    query: Query<'a>,
    mut fetch: impl FnMut(&[u8]) -> Result<Option<R>, E>,
    view: impl Fn(&R) -> RecordView<'_>,
    with: impl FnOnce(Outcome<Selected<'_>>, Option<&R>) -> T,
) -> Result<Option<T>, E> {
    let mut key = Vec::new();
    let mut next = match Lookup::start(site, query, &mut key) {
        Next::Fetch(lookup) => lookup,
        Next::Elsewhere(_) => return Ok(None),
        Next::Done(outcome) => return Ok(Some(with(outcome, None))),
    };
    loop {
        let record = fetch(&key)?;
        next = match next.resume(record.as_ref().map(&view), &mut key) {
            Next::Fetch(lookup) => lookup,
            Next::Elsewhere(_) => return Ok(None),
            Next::Done(outcome) => return Ok(Some(with(outcome, record.as_ref()))),
        };
    }
}

#[cfg(test)]
mod tests;
