//! Finding records: by which template, by the value of a field, by what they refer to.
//!
//! The store finds records by type and data of a value. Three types are enough, however many
//! templates there are. Their indexes are switched on when they are first needed.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

use guantong_api::v2::UncheckedReference;
use guantong_core::template::{
    FieldFault, HANDLE_TYPE, KEY_TYPE, LINK_TYPE, Lookup, Target, Template, Why,
};
use guantong_proto::message::ResponseCode;
use guantong_proto::{Handle, Values};
use guantong_store::{IndexState, PageToken, StoredRecord};

use super::super::answer::Failure;
use super::foreign::{Foreign, Found, is_foreign, unchecked};
use super::problem::Problem;
use crate::errand::locked;
use crate::node::Node;

/// The types that records are found by.
const KINDS: [&str; 3] = [HANDLE_TYPE, KEY_TYPE, LINK_TYPE];
/// How often, and how long between, a new index is looked at: one of an empty store is ready at
/// once, one of a full store is not waited for.
const LOOKS_MAX: usize = 40;
const BETWEEN_LOOKS: Duration = Duration::from_millis(25);
/// Holders of a unique value that are looked at: itself, and one that is in the way.
const HOLDERS_MAX: usize = 2;

//----------- Indexes --------------------------------------------------------

/// Has the indexes ready, or says that they are being built.
pub(in crate::http) async fn have_indexes(node: &Node) -> Result<(), Failure> {
    for look in 0..LOOKS_MAX {
        let known = node.store.indexes();
        let state = |kind: &str| {
            let index = known
                .iter()
                .find(|index| index.kind.eq_ignore_ascii_case(kind));
            index.map(|index| index.state)
        };
        if KINDS
            .iter()
            .all(|kind| state(kind) == Some(IndexState::Ready))
        {
            return Ok(());
        }
        if look == 0 {
            for kind in KINDS.iter().filter(|kind| state(kind).is_none()) {
                tracing::info!(kind, "an index is being built, to find registrations");
                // Whether it came to be is looked at below.
                drop(node.store.index_enable(kind));
            }
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    let message = "the node builds an index by which registrations are found; try again later";
    Err(Failure::new(ResponseCode::SERVER_TOO_BUSY, message))
}

/// One page of the records that have a value of this type and data, and what `after` is for the
/// next.
pub(in crate::http) fn find(
    node: &Node,
    kind: &str,
    data: &[u8],
    after: Option<&str>,
    limit: usize,
) -> Result<(Vec<Handle>, Option<String>), Problem> {
    let after: Option<PageToken> = after.map(str::parse).transpose().map_err(no_page)?;
    match node.store.find(kind, data, after.as_ref(), limit) {
        Ok(page) => Ok((page.handles, page.next.map(|next| next.to_string()))),
        Err(guantong_store::StoreError::Token(error)) => Err(no_page(error)),
        Err(error) => {
            node.on_store_error(&error);
            Err(error.into())
        }
    }
}

fn no_page(error: guantong_store::TokenError) -> Problem {
    let message = format!("`after`: {error}; take it from `next` of the page before");
    Failure::new(ResponseCode::PROTOCOL_ERROR, message).into()
}

/// A record of ours.
pub(in crate::http) fn record(
    node: &Node,
    handle: &Handle,
) -> Result<Option<StoredRecord>, Problem> {
    node.store.record(handle.borrow()).map_err(|error| {
        node.on_store_error(&error);
        error.into()
    })
}

/// A template of ours with its version as a record; a failure that it is not there otherwise.
pub(in crate::http) fn template(
    node: &Node,
    handle: &Handle,
) -> Result<(Template, StoredRecord), Problem> {
    let missing = |what: &str| {
        let failure = Failure::new(ResponseCode::HANDLE_NOT_FOUND, what);
        Problem::from(failure.about(handle.as_str()))
    };
    let Some(record) = record(node, handle)? else {
        return Err(missing("there is no such template at this node"));
    };
    match Template::of(record.handle().to_owned(), record.values()) {
        Ok(template) => Ok((template, record)),
        Err(error) => Err(missing(&error.to_string())),
    }
}

//----------- Claims ---------------------------------------------------------

/// Values of unique fields that are between being looked for and being written. Two registrations
/// of one value at a time would each find that nobody has it.
#[derive(Debug, Default)]
pub(crate) struct Claims(Mutex<HashSet<Vec<u8>>>);

/// Values that are claimed; given back when dropped.
pub(in crate::http) struct Claimed<'a> {
    claims: &'a Claims,
    keys: Vec<Vec<u8>>,
}

impl Claims {
    /// Claims the values that lookups are about, or tells which of them somebody else has claimed.
    /// There are no more of them than unique fields of the rows that are under way.
    fn claim(&self, lookups: &[Lookup]) -> Result<Claimed<'_>, Vec<FieldFault>> {
        let mut claimed = Claimed {
            claims: self,
            keys: Vec::new(),
        };
        let mut faults = Vec::new();
        let mut all = locked(&self.0);
        for lookup in lookups {
            let Lookup::Holders { field, key } = lookup else {
                continue;
            };
            match all.insert(key.clone()) {
                true => claimed.keys.push(key.clone()),
                false => faults.push(FieldFault {
                    field: field.clone(),
                    why: Why::UnderWay,
                }),
            }
        }
        drop(all);
        match faults.is_empty() {
            true => Ok(claimed),
            false => Err(faults),
        }
    }
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        let mut all = locked(&self.claims.0);
        for key in &self.keys {
            all.remove(key);
        }
    }
}

//----------- Lookups --------------------------------------------------------

/// What it means that a target is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Absent {
    /// The reference is wrong.
    Wrong,
    /// The target is registered later.
    ToCome,
}

/// What other records do not have against a registration.
pub(in crate::http) struct Clear<'a> {
    /// Its unique values, which are claimed.
    pub(in crate::http) claimed: Claimed<'a>,
    /// What could not be found out.
    pub(in crate::http) unchecked: Vec<UncheckedReference>,
}

/// What other records have against a registration; without faults, its unique values are claimed.
///
/// What other nodes say was asked for before, so that nothing is claimed while they are waited for.
pub(in crate::http) fn look_up<'a>(
    node: &'a Node,
    own: &Handle,
    lookups: &[Lookup],
    foreign: &Foreign,
    absent: Absent,
) -> Result<Result<Clear<'a>, Vec<FieldFault>>, Problem> {
    look_up_among(node, own, lookups, foreign, absent, &|_| None)
}

/// [`look_up`] for a registration that is written together with others: `made` gives the record of
/// a handle in wire form if one of them makes it.
pub(super) fn look_up_among<'a>(
    node: &'a Node,
    own: &Handle,
    lookups: &[Lookup],
    foreign: &Foreign,
    absent: Absent,
    made: &dyn Fn(&Handle) -> Option<Vec<u8>>,
) -> Result<Result<Clear<'a>, Vec<FieldFault>>, Problem> {
    let mut clear = match node.claims.claim(lookups) {
        Ok(claimed) => Clear {
            claimed,
            unchecked: Vec::new(),
        },
        Err(faults) => return Ok(Err(faults)),
    };
    let rule = node.site().case_rule();
    let mut faults = Vec::new();
    for lookup in lookups {
        match lookup {
            Lookup::Holders { key, .. } => {
                let (holders, _) = find(node, KEY_TYPE, key, None, HOLDERS_MAX)?;
                faults.extend(lookup.judge_holders(own, &holders, rule));
            }
            Lookup::Target {
                field,
                handle,
                template,
            } => {
                let found = match (is_foreign(node, lookup), template.as_str()) {
                    (false, _) => {
                        let record = record(node, handle)?;
                        let made = if record.is_none() { made(handle) } else { None };
                        let values = match (&record, &made) {
                            (Some(record), _) => Some(record.values()),
                            (None, Some(wire)) => Values::from_wire(wire).ok(),
                            (None, None) => None,
                        };
                        Found::Target(Target::of(values))
                    }
                    (true, "") => continue,
                    (true, _) => foreign.found(node, handle),
                };
                match found {
                    Found::Target(Target::Missing) if absent == Absent::ToCome => {}
                    Found::Target(target) => faults.extend(lookup.judge_target(&target, rule)),
                    Found::Unasked(why) => clear.unchecked.push(unchecked(field, handle, why)),
                }
            }
        }
    }
    Ok(match faults.is_empty() {
        true => Ok(clear),
        false => Err(faults),
    })
}
