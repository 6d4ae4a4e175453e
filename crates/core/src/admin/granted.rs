//! Who is not an administrator of a record and is named by its rules (`core::grant`): what he reads
//! and what he writes.

use std::collections::{HashMap, HashSet};

use guantong_proto::data::AdminPermissions;
use guantong_proto::{HandleRef, Permissions, Reference, Value, ValueRef, Values};

use super::authenticate::Identity;
use super::decide::Deciding;
use super::errand::Ground;
use super::known::{Missing, StoredRecord};
use super::plan::Change;
use super::stop::Stop;
use super::write::{Right, Used};
use crate::authority::Standing;
use crate::grant::{
    Access, Caller, Held, Origin, RULE_INDEX, Subject, class_index, class_of, field_of,
};
use crate::template::{KEY_TYPE, field_name, is_key_of, template_of};

impl Deciding<'_> {
    /// The indexes of those of the values that are not public and that the rules let him read.
    ///
    /// Of a reserved record nobody learns by a grant, unless it is a template that is shared before
    /// it is published; of a withdrawn one, nobody at all.
    pub(super) fn granted_to_read<'r>(
        &self,
        ground: &Ground<'_>,
        identity: &Identity,
        record: &StoredRecord,
        standing: &Standing,
        values: impl Iterator<Item = ValueRef<'r>>,
    ) -> Result<HashSet<i32>, Stop> {
        let held = match standing {
            Standing::Public => self.held(ground, record)?,
            Standing::Reserved => Held::of_template(record.values()),
            Standing::Withdrawn(_) => Held::default(),
        };
        let mut granted = HashSet::new();
        if held.is_empty() {
            return Ok(granted);
        }
        let mut caller = Caller::new(identity, ground.site.case_rule());
        let is_shown =
            |value: &ValueRef<'_>| value.is_public() && matches!(standing, Standing::Public);
        for value in values.filter(|value| !is_shown(value)) {
            let readers = held.subjects(Access::Read, value.index, value.kind);
            let named = caller.named_by(readers, |handle| self.members_of(ground, handle))?;
            if named.is_some() {
                granted.insert(value.index);
            }
        }
        Ok(granted)
    }

    /// The right by which he makes the change, if every value of it is one that the rules let him
    /// write. What is neither changed nor hidden may stand beside it.
    ///
    /// A value keeps its type and permissions: who writes a field does not say who reads it, nor
    /// make an address for browsers of it.
    pub(super) fn granted_to_write(
        &self,
        ground: &Ground<'_>,
        identity: &Identity,
        record: &StoredRecord,
        change: &Change,
    ) -> Result<Option<Right>, Stop> {
        let (Change::Add(new) | Change::Write(new) | Change::Modify(new)) = change else {
            return Ok(None);
        };
        if Standing::of(record.values()) != Standing::Public {
            return Ok(None);
        }
        let held = self.held(ground, record)?;
        if held.is_empty() {
            return Ok(None);
        }
        let (case, values) = (ground.site.case_rule(), record.values());
        let by = template_of(values).filter(|by| ground.site.is_responsible(by.borrow()).is_ok());
        let template = match &by {
            Some(by) => self.known.here(ground.site, by.borrow())?,
            None => None,
        };
        let template = template.map_or(Values::EMPTY, StoredRecord::values);
        let old: HashMap<i32, ValueRef<'_>> = values.iter().map(|old| (old.index, old)).collect();
        let mut caller = Caller::new(identity, case);
        let mut used: Vec<Used> = Vec::new();
        for value in new {
            let old = old.get(&value.index);
            if old.is_some_and(|old| is_kept(old, value)) {
                continue;
            }
            let kind = value.kind.as_bytes();
            let Some(field) = field_of(value.index, kind).filter(|field| match old {
                Some(old) => keeps_form(old, value),
                None => is_new_of(template, *field, value),
            }) else {
                return Ok(None);
            };
            let is_key = value.kind.eq_ignore_ascii_case(KEY_TYPE);
            let is_own = |by| is_key_of(&value.data, by, field, case);
            if is_key && !by.as_ref().is_some_and(is_own) {
                return Ok(None);
            }
            let writers = held.subjects(Access::Write, value.index, kind);
            let named = caller.named_by(writers, |handle| self.members_of(ground, handle))?;
            let Some(subject) = named else {
                return Ok(None);
            };
            let (place, index) = match (held.origin(), &by) {
                (Origin::Class, Some(by)) => (by.clone(), class_index(field)),
                _ => (record.handle.clone(), RULE_INDEX),
            };
            if !used
                .iter()
                .any(|used| used.record == place && used.index == index)
            {
                used.push(Used {
                    record: place,
                    index,
                    permissions: AdminPermissions::MODIFY_VALUE,
                    through: through(subject),
                });
            }
        }
        Ok((!used.is_empty()).then_some(Right::Administrator(used)))
    }

    /// The rules that hold for a record of ours.
    fn held(&self, ground: &Ground<'_>, record: &StoredRecord) -> Result<Held, Stop> {
        let (site, values) = (ground.site, record.values());
        let template = class_of(record.handle.borrow(), values, site.case_rule());
        let template = template.filter(|template| site.is_responsible(template.borrow()).is_ok());
        let class = match template {
            Some(template) => self.known.here(site, template.borrow())?,
            None => None,
        };
        Ok(Held::of(values, class.map(StoredRecord::values)))
    }

    /// The record of a group, wherever it is. One that cannot be had has no members.
    fn members_of(
        &self,
        ground: &Ground<'_>,
        handle: HandleRef<'_>,
    ) -> Result<Option<Values<'_>>, Missing> {
        match self.known.record(ground.site, handle) {
            Ok(record) => Ok(record.map(StoredRecord::values)),
            Err(Missing::Unreachable { .. }) => Ok(None),
            Err(missing) => Err(missing),
        }
    }
}

/// Whether the value stays what it is and everybody knows it. Of one that is hidden it would be
/// told whether it was guessed.
fn is_kept(old: &ValueRef<'_>, new: &Value) -> bool {
    let same = |old: Value| old.is_same_but_for_time(new);
    old.is_public() && old.to_value().is_ok_and(same)
}

fn keeps_form(old: &ValueRef<'_>, new: &Value) -> bool {
    old.kind.eq_ignore_ascii_case(new.kind.as_bytes()) && old.permissions == new.permissions
}

/// Whether a value that was not there is one of the field, as its template wants it.
fn is_new_of(template: Values<'_>, field: i32, value: &Value) -> bool {
    let Permissions(bits) = value.permissions;
    let admin = Permissions::ADMIN_READ | Permissions::ADMIN_WRITE;
    let has_form = bits & admin == admin && bits & Permissions::PUBLIC_WRITE == 0;
    let name = field_name(template, field);
    // What the field is found by has a type of its own.
    let is_of_field = |name: String| value.index != field || value.kind.eq_ignore_ascii_case(&name);
    has_form && name.is_some_and(is_of_field)
}

fn through(subject: &Subject) -> Vec<Reference> {
    match subject {
        Subject::Named { index, handle } if subject.is_group() => vec![Reference {
            handle: handle.to_string(),
            index: *index,
        }],
        _ => Vec::new(),
    }
}
