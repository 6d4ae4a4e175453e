//! The values that a change of grants writes.
//!
//! Each change is one request of the native protocol: values that are written, or one that is
//! removed. A rule that grants nothing any more is therefore written as such and not removed.

use std::collections::BTreeMap;

use guantong_proto::{CaseRule, Permissions, Value, Values, is_of_type};

use super::held::{RULE_INDEX, class_index, class_rules};
use super::revise::Revision;
use super::rule::{GRANT_TYPE, Rule};
use super::subject::Subject;
use crate::template::{Readers, TEMPLATE_INDEX, TEMPLATE_TYPE, Template};

//----------- Amendment ------------------------------------------------------

/// What a change of grants does to a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Amendment {
    /// These values are written, in place of those with their indexes.
    Write(Vec<Value>),
    /// The record's own rule is removed.
    RemoveRule,
    /// It is so already.
    Nothing,
}

/// What is wrong with a change of grants.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {why}")]
pub struct Fault {
    /// The name of a field, or the part of the request.
    pub place: String,
    /// What is wrong with it.
    pub why: String,
}

impl Fault {
    fn new(place: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            why: why.into(),
        }
    }
}

/// What is wrong if the record has something else where a rule is to stand.
fn taken(record: Values<'_>, index: i32) -> Option<Fault> {
    let value = record.iter().find(|value| value.index == index)?;
    let kind = String::from_utf8_lossy(value.kind);
    let is_rule = is_of_type(value.kind, GRANT_TYPE.as_bytes());
    (!is_rule).then(|| {
        let why =
            format!("stands at index {index}, where there is a value of type {kind}: move it");
        Fault::new("rule", why)
    })
}

//----------- Class rules ----------------------------------------------------

/// A change of the class rule of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRevision {
    /// The name of the field.
    pub field: String,
    /// The change.
    pub revision: Revision,
}

/// Changes the class rules of fields of a template, all or none of them.
pub fn revise_class(
    template: &Template,
    record: Values<'_>,
    revisions: &[FieldRevision],
    case: CaseRule,
) -> Result<Amendment, Vec<Fault>> {
    let mut faults = Vec::new();
    let old = class_rules(record);
    let mut new: BTreeMap<i32, Rule> = BTreeMap::new();
    for FieldRevision {
        field: name,
        revision,
    } in revisions
    {
        let Some(field) = template.definition().field(name) else {
            faults.push(Fault::new(name, "is no field of the template"));
            continue;
        };
        let hides = revision.readers.remove.contains(&Subject::Everybody);
        if hides && field.readers == Readers::Everybody {
            let why = "is shown to everybody by its definition: change `readers` there";
            faults.push(Fault::new(name, why));
            continue;
        }
        let rule = new.get(&field.index).or_else(|| old.get(&field.index));
        match rule.cloned().unwrap_or_default().revise(revision, case) {
            Ok(rule) => drop(new.insert(field.index, rule)),
            Err(error) => faults.push(Fault::new(name, error.to_string())),
        }
    }
    let places = new.keys().map(|field| class_index(*field));
    faults.extend(places.filter_map(|index| taken(record, index)));
    if !faults.is_empty() {
        return Err(faults);
    }
    let is_new = |(field, rule): &(&i32, &Rule)| match old.get(*field) {
        Some(old) => old != *rule,
        None => !rule.is_empty(),
    };
    let changed = new.iter().filter(is_new);
    Ok(write(
        changed
            .map(|(field, rule)| rule.to_value(class_index(*field)))
            .collect(),
    ))
}

fn write(values: Vec<Value>) -> Amendment {
    match values.is_empty() {
        true => Amendment::Nothing,
        false => Amendment::Write(values),
    }
}

//----------- Own rules ------------------------------------------------------

/// Changes the own rule of a record; if the class rule held, from a rule that grants nothing.
pub fn revise_own(
    record: Values<'_>,
    revision: &Revision,
    case: CaseRule,
) -> Result<Amendment, Vec<Fault>> {
    if let Some(taken) = taken(record, RULE_INDEX) {
        return Err(vec![taken]);
    }
    let old = own_rule(record);
    let new = old.clone().unwrap_or_default().revise(revision, case);
    let new = new.map_err(|error| vec![Fault::new("rule", error.to_string())])?;
    Ok(match old.as_ref() == Some(&new) {
        true => Amendment::Nothing,
        false => Amendment::Write(vec![new.to_value(RULE_INDEX)]),
    })
}

/// Lets the class rule hold for a record.
pub fn follow_class(record: Values<'_>) -> Amendment {
    match own_rule(record) {
        Some(_) => Amendment::RemoveRule,
        None => Amendment::Nothing,
    }
}

/// The own rule of a record: `None` if there is none, and one that grants nothing if it cannot be
/// read.
pub fn own_rule(record: Values<'_>) -> Option<Rule> {
    let is_own = |value: &guantong_proto::ValueRef<'_>| {
        value.index == RULE_INDEX && is_of_type(value.kind, GRANT_TYPE.as_bytes())
    };
    let value = record.iter().find(is_own)?;
    Some(Rule::decode(value.data).unwrap_or_default())
}

//----------- Sharing --------------------------------------------------------

/// Changes who reads a template itself. Everybody does so by the permissions of its values, as
/// long as it is in a state in which it is shown.
pub fn revise_sharing(
    record: Values<'_>,
    revision: &Revision,
    case: CaseRule,
) -> Result<Amendment, Vec<Fault>> {
    if revision.writers != Default::default() {
        let why = "a template is changed by its administrators alone: name readers";
        return Err(vec![Fault::new("writers", why)]);
    }
    if let Some(taken) = taken(record, RULE_INDEX) {
        return Err(vec![taken]);
    }
    let old = own_rule(record).unwrap_or_default();
    let mut new = old
        .revise(revision, case)
        .map_err(|e| vec![Fault::new("readers", e.to_string())])?;
    let was_public = is_shared_with_all(record);
    let is_public = match &revision.readers {
        edit if edit.add.contains(&Subject::Everybody) => true,
        edit if edit.remove.contains(&Subject::Everybody) => false,
        _ => was_public,
    };
    new.readers.retain(|subject| *subject != Subject::Everybody);
    let mut values = Vec::new();
    if new != old {
        values.push(new.to_value(RULE_INDEX));
    }
    for value in record.iter().filter(|_| is_public != was_public) {
        if !is_of_type(value.kind, TEMPLATE_TYPE.as_bytes()) {
            continue;
        }
        let value = value
            .to_value()
            .map_err(|error| vec![Fault::new("template", error.to_string())])?;
        values.push(shown(value, is_public));
    }
    Ok(write(values))
}

/// Whether everybody reads a template, by the permissions of its values.
pub fn is_shared_with_all(record: Values<'_>) -> bool {
    let head = record.iter().find(|value| value.index == TEMPLATE_INDEX);
    head.is_some_and(|head| head.is_public())
}

/// Gives the values of a template that is written again the permissions that it had.
pub fn keep_sharing(new: Vec<Value>, current: &[Value]) -> Vec<Value> {
    let head = current.iter().find(|value| value.index == TEMPLATE_INDEX);
    let is_public = head.is_none_or(|head| head.permissions.public_read());
    let keep = |value: Value| match is_of_type(value.kind.as_bytes(), TEMPLATE_TYPE.as_bytes()) {
        true => shown(value, is_public),
        false => value,
    };
    new.into_iter().map(keep).collect()
}

fn shown(value: Value, is_public: bool) -> Value {
    let permissions = match is_public {
        true => Permissions::default(),
        false => Permissions(Permissions::ADMIN_READ | Permissions::ADMIN_WRITE),
    };
    Value {
        permissions,
        ..value
    }
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
