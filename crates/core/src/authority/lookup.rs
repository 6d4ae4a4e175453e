//! The decision behind an answer: responsibility, access, selection, referral.

use guantong_proto::data::StateData;
use guantong_proto::limits::RECURSION_MAX;
use guantong_proto::{Handle, HandleRef, NameError, ValueRef, Values, is_of_type};

use super::outcome::{Misdirected, Outcome};
use super::query::{Query, Recursion};
use super::record::{RecordView, Selected};
use super::site::{NAMING_AUTHORITY, Responsibility, Site};
use super::standing::Standing;
use crate::grant::{Access, Held, Subject, class_of, field_of};
use crate::template::TEMPLATE_TYPE;

/// Most parents of a derived prefix that are asked for a referral; bounds the reads of one query.
pub const PARENTS_MAX: u8 = 16;

/// The name under which every server keeps its status (5.9), folded.
pub(crate) const STATUS: &[u8] = b"0.SITE/STATUS";

//----------- Lookup ---------------------------------------------------------

/// A query that waits for a record.
#[derive(Clone, Debug)]
pub struct Lookup<'q> {
    site: &'q Site,
    query: Query<'q>,
    stage: Stage,
}

/// What a lookup does next.
#[derive(Clone, Debug)]
#[must_use]
pub enum Next<'q, 'r> {
    /// The record of the key is needed.
    Fetch(Lookup<'q>),
    /// The name lives elsewhere, and the caller may have it resolved.
    Elsewhere(Query<'q>),
    /// The query is answered.
    Done(Outcome<Selected<'r>>),
}

#[derive(Clone, Debug)]
enum Stage {
    /// The record of the name itself.
    Own(Responsibility),
    /// The record of the template whose rules hold for that of the name.
    Class(Handle),
    /// The record of the name itself, again, with what the rules of its template show to everybody.
    Granted(Box<Class>),
    /// The record of a prefix that the name is derived from; so many more may be asked.
    Parent { left: u8 },
    /// The record of the prefix of a name that is not ours: we may know who serves it.
    Delegation,
}

/// What a template shows to everybody of what is registered by it.
#[derive(Clone, Debug)]
struct Class {
    template: Handle,
    held: Held,
}

impl<'q> Lookup<'q> {
    /// Decides whether the name is ours. For [`Next::Fetch`] the key is in `key`.
    pub fn start(site: &'q Site, query: Query<'q>, key: &mut Vec<u8>) -> Next<'q, 'q> {
        key.clear();
        let handle = match HandleRef::from_wire(query.handle) {
            Ok(handle) => handle,
            // What is observed: the empty name is a name without a record.
            Err(NameError::Empty) => return Next::Done(Outcome::NotFound),
            Err(error) => return Next::Done(Outcome::InvalidHandle(error)),
        };
        if query.recursion_count > RECURSION_MAX {
            return Next::Done(Outcome::RecursionTooDeep);
        }
        if query.selection.is_too_long() {
            return Next::Done(Outcome::SelectionTooLong);
        }
        handle.fold(site.case_rule(), key);
        if key == STATUS {
            return Next::Done(match query.public_only {
                true => Outcome::ValuesNotFound,
                false => Outcome::AuthenticationNeeded,
            });
        }
        match responsibility(site, handle, key) {
            Ok(responsibility) => Next::Fetch(Self {
                site,
                query,
                stage: Stage::Own(responsibility),
            }),
            Err(_) if query.recursion == Recursion::Granted => Next::Elsewhere(query),
            Err(misdirected) => Self::refer(site, query, misdirected, key),
        }
    }

    /// Looks for the delegation of a name that is not ours, if we hold the record that has it.
    fn refer(
        site: &'q Site,
        query: Query<'q>,
        misdirected: Misdirected,
        key: &mut Vec<u8>,
    ) -> Next<'q, 'q> {
        let is_ours = misdirected == Misdirected::NotHomed
            && !query.do_not_refer
            && site.homed().to_prefix_key(key);
        match is_ours {
            true => Next::Fetch(Self {
                site,
                query,
                stage: Stage::Delegation,
            }),
            false => Next::Done(Outcome::NotResponsible(misdirected)),
        }
    }

    /// The name as it was asked for.
    pub(super) fn asked(&self) -> &'q [u8] {
        self.query.handle
    }

    /// Goes on with the record of the key, or with the news that there is none. `key` is the buffer
    /// that [`Lookup::start`] filled, unchanged.
    pub fn resume<'r>(self, record: Option<RecordView<'r>>, key: &mut Vec<u8>) -> Next<'q, 'r>
    where
        'q: 'r,
    {
        match (self.stage.clone(), record) {
            (Stage::Own(_), Some(record)) => {
                match read(&self.query, record, || self.rules(record, key)) {
                    Read::Done(outcome) => Next::Done(outcome),
                    Read::Class(template) => self.ask_class(template, key),
                    // As if it were not there.
                    Read::Hidden => self.resume(None, key),
                }
            }
            (Stage::Class(template), record) => self.ask_again(template, record, key),
            (Stage::Granted(class), Some(record)) => {
                // It may have changed meanwhile; then what was found is not about it any more.
                let rules = || match self.class(record, key) {
                    Some(template) if template == class.template => Rules::Are(class.held.clone()),
                    _ => Rules::None,
                };
                match read(&self.query, record, rules) {
                    Read::Done(outcome) => Next::Done(outcome),
                    Read::Class(_) | Read::Hidden => Next::Done(Outcome::NotFound),
                }
            }
            (Stage::Granted(_), None) => Next::Done(Outcome::NotFound),
            (Stage::Own(Responsibility::OwnPrefix), None) => self.not_homed(),
            (Stage::Own(Responsibility::Homed), None) if self.query.do_not_refer => {
                Next::Done(Outcome::NotFound)
            }
            (Stage::Own(Responsibility::Homed), None) => self.ask_parent(PARENTS_MAX, key),
            (Stage::Parent { left }, None) => self.ask_parent(left, key),
            (Stage::Parent { left }, Some(record)) => match Values::from_wire(record.values) {
                Ok(values) if is_hidden(record, values) => self.ask_parent(left, key),
                Ok(values) => match Selected::referral(values) {
                    // A copy of our own delegation. The prefix would be here if there were one.
                    Some(referral) if self.site.is_among(&referral) => {
                        Next::Done(Outcome::NotFound)
                    }
                    Some(_) if self.query.recursion == Recursion::Granted => {
                        Next::Elsewhere(self.query)
                    }
                    Some(referral) => Next::Done(Outcome::Referral(referral)),
                    None => self.ask_parent(left, key),
                },
                Err(error) => Next::Done(Outcome::Damaged(error)),
            },
            (Stage::Delegation, None) => self.not_homed(),
            (Stage::Delegation, Some(record)) => match Values::from_wire(record.values) {
                Ok(values) if is_hidden(record, values) => self.not_homed(),
                Ok(values) => match Selected::service(values) {
                    // It is delegated to us, and not homed here.
                    Some(referral) if self.site.is_among(&referral) => self.not_homed(),
                    Some(referral) => Next::Done(Outcome::ServiceReferral(referral)),
                    None => self.not_homed(),
                },
                Err(error) => Next::Done(Outcome::Damaged(error)),
            },
        }
    }

    //--- Grants

    /// The rules that say what of the record is shown to everybody besides what its values say
    /// themselves.
    fn rules(&self, record: RecordView<'_>, key: &[u8]) -> Rules {
        let Ok(values) = Values::from_wire(record.values) else {
            return Rules::None;
        };
        match self.class(record, key) {
            Some(template) => Rules::OfClass(template),
            None => Rules::Are(Held::of(values, None)),
        }
    }

    /// The template whose rules hold for the record, if we have it.
    fn class(&self, record: RecordView<'_>, key: &[u8]) -> Option<Handle> {
        let (site, values) = (self.site, Values::from_wire(record.values).ok()?);
        let template = class_of(HandleRef::from_wire(key).ok()?, values, site.case_rule())?;
        site.holds(template.borrow()).then_some(template)
    }

    /// Has the template fetched, for its rules.
    fn ask_class<'r>(self, template: Handle, key: &mut Vec<u8>) -> Next<'q, 'r> {
        key.clear();
        template.borrow().fold(self.site.case_rule(), key);
        Next::Fetch(Self {
            stage: Stage::Class(template),
            ..self
        })
    }

    /// Has the record of the name fetched again, now that the rules of its template are known.
    fn ask_again<'r>(
        self,
        template: Handle,
        record: Option<RecordView<'_>>,
        key: &mut Vec<u8>,
    ) -> Next<'q, 'r> {
        let rules = record.and_then(|record| Values::from_wire(record.values).ok());
        let held = Held::of(Values::EMPTY, rules);
        key.clear();
        if let Ok(handle) = HandleRef::from_wire(self.query.handle) {
            handle.fold(self.site.case_rule(), key);
        }
        Next::Fetch(Self {
            stage: Stage::Granted(Box::new(Class { template, held })),
            ..self
        })
    }

    fn not_homed<'r>(self) -> Next<'q, 'r> {
        match self.query.recursion {
            Recursion::Granted => Next::Elsewhere(self.query),
            Recursion::Denied => Next::Done(Outcome::NotResponsible(Misdirected::NotHomed)),
        }
    }

    /// Cuts the key back to the prefix that it is derived from. In a site of several servers a
    /// parent may be with another of them; then it counts as absent, as it does elsewhere.
    fn ask_parent<'r>(self, left: u8, key: &mut Vec<u8>) -> Next<'q, 'r> {
        let suffix_at = NAMING_AUTHORITY.len() + 1;
        let is_prefix_handle =
            key.starts_with(NAMING_AUTHORITY) && key.get(suffix_at - 1) == Some(&b'/');
        let dot = match is_prefix_handle {
            true => key[suffix_at..].iter().rposition(|&c| c == b'.'),
            false => None,
        };
        let (Some(left), Some(dot)) = (left.checked_sub(1), dot) else {
            return Next::Done(Outcome::NotFound);
        };
        key.truncate(suffix_at + dot);
        Next::Fetch(Self {
            stage: Stage::Parent { left },
            ..self
        })
    }
}

/// Whether the folded name is ours, and why.
pub(super) fn responsibility(
    site: &Site,
    handle: HandleRef<'_>,
    key: &[u8],
) -> Result<Responsibility, Misdirected> {
    let responsibility = site
        .homed()
        .responsibility(key)
        .ok_or(Misdirected::NotHomed)?;
    match site.holds(handle) {
        true => Ok(responsibility),
        false => Err(Misdirected::OtherServer),
    }
}

/// Whether the record is not shown to the public.
fn is_hidden(record: RecordView<'_>, values: Values<'_>) -> bool {
    !record.all_public && !Standing::of(values).is_public()
}

/// What comes of a record for a caller who has not proven any identity.
enum Read<'a> {
    Done(Outcome<Selected<'a>>),
    /// That depends on the rules of this template.
    Class(Handle),
    /// To him there is none.
    Hidden,
}

/// What shows values to everybody that are not public by themselves.
enum Rules {
    None,
    /// These.
    Are(Held),
    /// Those of this template.
    OfClass(Handle),
}

impl Rules {
    fn show(&self, value: &ValueRef<'_>) -> bool {
        let Self::Are(held) = self else {
            return false;
        };
        let readers = held.subjects(Access::Read, value.index, value.kind);
        readers.contains(&Subject::Everybody)
    }
}

/// Reads the record for a caller who has not proven any identity (5.8). The rules are asked for
/// only if a value is wanted that is not public by itself.
fn read<'a>(query: &Query<'a>, record: RecordView<'a>, rules: impl FnOnce() -> Rules) -> Read<'a> {
    if query.selection.is_all()
        && let Some(whole) = record.whole()
    {
        return Read::Done(Outcome::Record(whole));
    }
    let values = match Values::from_wire(record.values) {
        Ok(values) => values,
        Err(error) => return Read::Done(Outcome::Damaged(error)),
    };
    let standing = match record.all_public {
        true => Standing::Public,
        false => Standing::of(values),
    };
    Read::Done(match standing {
        Standing::Public if record.all_public => read_public(query, values, &Rules::None),
        Standing::Public if !wants_granted(query, values) => {
            read_public(query, values, &Rules::None)
        }
        Standing::Public => match rules() {
            Rules::OfClass(template) => return Read::Class(template),
            rules => read_public(query, values, &rules),
        },
        Standing::Reserved if query.public_only => return Read::Hidden,
        Standing::Reserved => Outcome::AuthenticationNeeded,
        Standing::Withdrawn(data) => read_withdrawn(query, values, data),
    })
}

/// Whether a value is wanted that is not public and that a rule could show.
fn wants_granted(query: &Query<'_>, values: Values<'_>) -> bool {
    let may_be = |value: &ValueRef<'_>| {
        let is_of_template = is_of_type(value.kind, TEMPLATE_TYPE.as_bytes());
        is_of_template || field_of(value.index, value.kind).is_some()
    };
    let mut values = values.iter().filter(|value| !value.is_public());
    values.any(|value| may_be(&value) && query.selection.selects(value.index, value.kind))
}

/// Of a withdrawn record, whoever asks for the state gets that value, and others are told what it
/// says.
fn read_withdrawn<'a>(
    query: &Query<'a>,
    values: Values<'a>,
    data: Box<StateData>,
) -> Outcome<Selected<'a>> {
    let selection = query.selection;
    let selected = || {
        let selects = move |value: &ValueRef<'_>| selection.selects(value.index, value.kind);
        values.iter().filter(selects)
    };
    let wants_all = selection.is_all();
    let state: Vec<ValueRef<'_>> = selected().filter(ValueRef::is_state).collect();
    let wants_others = wants_all || state.is_empty() || selected().any(|value| !value.is_state());
    match query.public_only || !wants_others {
        false => Outcome::AuthenticationNeeded,
        true if wants_all || state.is_empty() => Outcome::Withdrawn(data),
        true => Outcome::Record(Selected::picked(state)),
    }
}

/// Reads a record that is shown to the public.
fn read_public<'a>(query: &Query<'a>, values: Values<'a>, rules: &Rules) -> Outcome<Selected<'a>> {
    let (selection, sieve) = (query.selection, query.selection.sieve(values.len()));
    let selects = |value: &ValueRef<'_>| match &sieve {
        Some(sieve) => sieve.selects(value.index, value.kind),
        None => selection.selects(value.index, value.kind),
    };
    // Whoever has sorted a selection, or asked rules, does not want to do so again for the answer.
    let picks = sieve.is_some() || matches!(rules, Rules::Are(_));
    let (mut found, mut withheld, mut picked) = (false, false, Vec::new());
    for value in values.iter().filter(selects) {
        if value.is_public() || rules.show(&value) {
            found = true;
            picked.extend(picks.then_some(value));
        } else if !query.public_only {
            // The first value that is not public decides.
            return match value.permissions.admin_read() {
                true => Outcome::AuthenticationNeeded,
                false => Outcome::InsufficientPermissions,
            };
        } else {
            withheld = true;
        }
    }
    let selected = match (found, picks) {
        // Of a record that is not shown at all, nothing is told either.
        (false, _) => return Outcome::ValuesNotFound,
        (true, false) => Selected::public(values, selection),
        (true, true) => Selected::picked(picked),
    };
    Outcome::Record(match withheld {
        true => selected.beside_withheld(),
        false => selected,
    })
}
