//! May he? Permissions of HS_ADMIN values, groups, and what each operation needs (6.4).
//!
//! [`authorize`] is a plan and a decision in one: it asks `lookup` for the records it needs and
//! gives back what `lookup` says if one is not at hand. The caller fetches it and asks again.

use std::collections::{HashMap, HashSet};

use guantong_proto::data::{Admin, AdminPermissions, GRANT_TYPE, List, State};
use guantong_proto::{
    CaseRule, Handle, HandleRef, Key, Reference, Value, ValueRef, Values, is_of_type,
};

use super::authenticate::Identity;
use super::plan::Change;
use crate::identity::LOGIN_TYPE;

/// Most references of groups that are followed for one decision; bounds its work.
pub const GROUP_REFERENCES_MAX: usize = 4_096;

//----------- authorize ------------------------------------------------------

/// The HS_ADMIN value of `record` that gives `identity` all of `needed`, if one does: it names the
/// identity itself, or a group (HS_VLIST) that leads to it.
///
/// Groups may nest; what was looked at once is not looked at again, so a loop ends. A group that
/// cannot be had gives nobody a right.
pub fn authorize<'r, E>(
    identity: &Identity,
    needed: AdminPermissions,
    record: Values<'r>,
    rule: CaseRule,
    lookup: impl FnMut(HandleRef<'_>) -> Result<Option<Values<'r>>, E>,
) -> Result<Option<Grant>, E> {
    let gives = |admin: &Admin| admin.permissions.contains(needed);
    authorize_where(identity, record, rule, gives, lookup)
}

/// [`authorize`], with the HS_ADMIN values that count chosen by `counts`.
pub fn authorize_where<'r, E>(
    identity: &Identity,
    record: Values<'r>,
    rule: CaseRule,
    counts: impl Fn(&Admin) -> bool,
    mut lookup: impl FnMut(HandleRef<'_>) -> Result<Option<Values<'r>>, E>,
) -> Result<Option<Grant>, E> {
    let key = identity.handle.key(rule);
    let is_named = |reference: &Reference| names(reference, &key, identity.index, rule);
    let links = || {
        let admins = admins(record).filter(|(_, admin)| counts(admin));
        admins.map(|(index, admin)| Link::new(index, admin))
    };
    if let Some(direct) = links().find(|link| is_named(&link.to)) {
        return Ok(Some(direct.grant(Vec::new())));
    }
    let mut links: Vec<Link> = links().collect();
    let mut groups: Vec<usize> = (0..links.len()).collect();
    let mut seen = HashSet::new();
    let mut left = GROUP_REFERENCES_MAX;
    while let Some(at) = groups.pop() {
        let index = links[at].to.index;
        let Ok(handle) = Handle::parse(&links[at].to.handle) else {
            continue;
        };
        if !seen.insert((handle.key(rule), index)) {
            continue;
        }
        let Some(values) = lookup(handle.borrow())? else {
            continue;
        };
        for member in members(values, index) {
            if is_named(&member) {
                return Ok(Some(links[at].grant(path(&links, at))));
            }
            match left.checked_sub(1) {
                Some(fewer) => left = fewer,
                None => return Ok(None),
            }
            groups.push(links.len());
            links.push(links[at].on_to(at, member));
        }
    }
    Ok(None)
}

/// A reference that an HS_ADMIN value leads to.
struct Link {
    to: Reference,
    /// The group that has it as a member; `None` if the value itself names it.
    from: Option<usize>,
    /// The HS_ADMIN value.
    index: i32,
    permissions: AdminPermissions,
}

impl Link {
    fn new(index: i32, admin: Admin) -> Self {
        Self {
            to: admin.identity,
            from: None,
            index,
            permissions: admin.permissions,
        }
    }

    /// The link to a member of the group that this one, at place `from`, leads to.
    fn on_to(&self, from: usize, member: Reference) -> Self {
        Self {
            to: member,
            from: Some(from),
            ..*self
        }
    }

    fn grant(&self, through: Vec<Reference>) -> Grant {
        Grant {
            index: self.index,
            permissions: self.permissions,
            through,
        }
    }
}

/// The groups that lead to the one at place `at`, and itself, outermost first.
fn path(links: &[Link], at: usize) -> Vec<Reference> {
    let mut path: Vec<Reference> = std::iter::successors(Some(at), |&at| links[at].from)
        .map(|at| links[at].to.clone())
        .collect();
    path.reverse();
    path
}

/// Whether a reference names the key of that folded handle and index.
fn names(reference: &Reference, key: &Key, index: i32, rule: CaseRule) -> bool {
    let handle = HandleRef::parse(&reference.handle);
    let same_index = reference.index == 0 || reference.index == index;
    same_index && handle.is_ok_and(|handle| handle.key(rule) == *key)
}

/// The HS_ADMIN values of a record, with their indexes.
fn admins<'r>(record: Values<'r>) -> impl Iterator<Item = (i32, Admin)> + use<'r> {
    let admins = record.iter().filter(|value| is_admin(value.kind));
    admins.filter_map(|value| Some((value.index, Admin::decode(value.data).ok()?)))
}

//----------- grants ---------------------------------------------------------

/// An HS_ADMIN value that gives an identity rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Index of the value.
    pub index: i32,
    /// What it allows.
    pub permissions: AdminPermissions,
    /// The groups that lead from the value to the identity, outermost first; none if the value
    /// names the identity itself.
    pub through: Vec<Reference>,
}

/// Which values of `record` give `identity` rights, and by which groups; what [`authorize`] would
/// look at, told to people.
pub fn grants<'r, E>(
    identity: &Identity,
    record: Values<'r>,
    rule: CaseRule,
    mut lookup: impl FnMut(HandleRef<'_>) -> Result<Option<Values<'r>>, E>,
) -> Result<Vec<Grant>, E> {
    let key = identity.handle.key(rule);
    let is_named = |reference: &Reference| names(reference, &key, identity.index, rule);
    let mut grants = Vec::new();
    let mut left = GROUP_REFERENCES_MAX;
    for (index, admin) in admins(record) {
        let mut seen = HashSet::new();
        let mut paths = vec![(admin.identity, Vec::new())];
        while let Some((reference, through)) = paths.pop() {
            if is_named(&reference) {
                grants.push(Grant {
                    index,
                    permissions: admin.permissions,
                    through,
                });
                break;
            }
            let Ok(handle) = Handle::parse(&reference.handle) else {
                continue;
            };
            if left == 0 || !seen.insert((handle.key(rule), reference.index)) {
                continue;
            }
            left -= 1;
            let Some(values) = lookup(handle.borrow())? else {
                continue;
            };
            let path = [&through[..], std::slice::from_ref(&reference)].concat();
            let members = members(values, reference.index).into_iter();
            paths.extend(members.map(|member| (member, path.clone())));
        }
    }
    Ok(grants)
}

/// The members of the group in the value of that index, if there is one.
pub(crate) fn members(values: Values<'_>, index: i32) -> Vec<Reference> {
    let is_group =
        |value: &ValueRef<'_>| value.index == index && is_of_type(value.kind, b"HS_VLIST");
    let group = values.iter().find(is_group);
    let group = group.and_then(|value| List::decode(value.data).ok());
    group.map_or_else(Vec::new, |list| list.0)
}

/// Whether a value of this type says who administers the record.
fn is_admin(kind: &[u8]) -> bool {
    is_of_type(kind, b"HS_ADMIN")
}

/// Whether changing a value of this type is for those who may change administrators: whoever sets
/// the login of somebody can be him.
fn rules(kind: &[u8]) -> bool {
    is_admin(kind) || is_of_type(kind, LOGIN_TYPE.as_bytes())
}

//----------- needed ---------------------------------------------------------

/// The permissions on a record that a change of its `current` values needs.
///
/// Values that stay as they are count as modified: who may not write must not learn by trying
/// whether he has guessed what he may not read. A record that is written over needs what the same
/// changes would need one by one.
pub fn needed(change: &Change, current: &[Value]) -> AdminPermissions {
    let old: HashMap<i32, &Value> = current.iter().map(|value| (value.index, value)).collect();
    let write = |new: &Value| {
        old.get(&new.index)
            .map_or_else(|| add(new), |old| modify(old, new))
    };
    match change {
        Change::Create(_) => AdminPermissions::ADD_HANDLE,
        Change::Delete => AdminPermissions::DELETE_HANDLE,
        Change::State(_) => AdminPermissions::MODIFY_VALUE,
        Change::Add(new) => all(new.iter().map(add)),
        Change::Write(new) => all(new.iter().map(write)),
        // What is not there cannot be modified or removed; the plan will say so.
        Change::Modify(new) => all(new
            .iter()
            .map(|new| modify(old.get(&new.index).unwrap_or(&new), new))),
        Change::Remove(indexes) => all(indexes.iter().map(|index| match old.get(index) {
            Some(old) => remove(old),
            None => AdminPermissions::REMOVE_VALUE,
        })),
        Change::Put(new) => {
            let kept: HashSet<i32> = new.iter().map(|value| value.index).collect();
            let removed = current.iter().filter(|old| !kept.contains(&old.index));
            let needed = all(removed.map(remove)).union(all(new.iter().map(write)));
            // An empty record over an empty one.
            match needed.0 {
                0 => AdminPermissions::MODIFY_VALUE,
                _ => needed,
            }
        }
    }
}

/// The permissions that do as well as those which are [`needed`]: whoever may delete a record may
/// withdraw it, and whoever may remove its values may remove its state.
pub fn enough(change: &Change) -> Option<AdminPermissions> {
    match change {
        Change::State(Some(data)) if data.state() == State::Withdrawn => {
            Some(AdminPermissions::DELETE_HANDLE)
        }
        Change::State(None) => Some(AdminPermissions::REMOVE_VALUE),
        _ => None,
    }
}

fn all(permissions: impl Iterator<Item = AdminPermissions>) -> AdminPermissions {
    permissions.fold(AdminPermissions::default(), AdminPermissions::union)
}

/// Whoever says to whom something is granted could grant it to himself: he must have it.
const GRANT: AdminPermissions =
    AdminPermissions(AdminPermissions::READ_VALUE.0 | AdminPermissions::MODIFY_VALUE.0);

fn add(new: &Value) -> AdminPermissions {
    match rules(new.kind.as_bytes()) {
        false if is_grant(new) => AdminPermissions::ADD_VALUE.union(GRANT),
        true => AdminPermissions::ADD_VALUE.union(AdminPermissions::ADD_ADMIN),
        // It takes all other values from the public.
        false if new.is_state() => {
            AdminPermissions::ADD_VALUE.union(AdminPermissions::MODIFY_VALUE)
        }
        false => AdminPermissions::ADD_VALUE,
    }
}

fn remove(old: &Value) -> AdminPermissions {
    match rules(old.kind.as_bytes()) {
        // The rule of the class may grant more than that of the record.
        false if is_grant(old) => AdminPermissions::REMOVE_VALUE.union(GRANT),
        true => AdminPermissions::REMOVE_ADMIN,
        false => AdminPermissions::REMOVE_VALUE,
    }
}

fn modify(old: &Value, new: &Value) -> AdminPermissions {
    let grant = match is_grant(old) || is_grant(new) {
        true => GRANT,
        false => AdminPermissions::default(),
    };
    grant.union(
        match (rules(old.kind.as_bytes()), rules(new.kind.as_bytes())) {
            (true, true) => AdminPermissions::MODIFY_ADMIN,
            (true, false) => AdminPermissions::REMOVE_ADMIN.union(AdminPermissions::MODIFY_VALUE),
            (false, true) => AdminPermissions::MODIFY_VALUE.union(AdminPermissions::ADD_ADMIN),
            (false, false) => AdminPermissions::MODIFY_VALUE,
        },
    )
}

fn is_grant(value: &Value) -> bool {
    is_of_type(value.kind.as_bytes(), GRANT_TYPE.as_bytes())
}

//----------- May anybody? ---------------------------------------------------

/// Whether anybody may make the change, because every value that it touches is open to all (4.2).
///
/// Values of the system's own types never are: a mistake in an octet of permissions must not give a
/// record away.
pub fn is_open_to_all(change: &Change, current: &[Value]) -> bool {
    if current.iter().any(Value::is_state) {
        // The public knows nothing of the values of such a record.
        return false;
    }
    let is_open = |index: i32| {
        let old = current.iter().find(|value| value.index == index);
        old.is_some_and(|old| old.permissions.public_write() && !is_of_system(&old.kind))
    };
    match change {
        Change::Modify(new) => {
            !new.is_empty()
                && new
                    .iter()
                    .all(|new| is_open(new.index) && !is_of_system(&new.kind))
        }
        Change::Remove(indexes) => {
            !indexes.is_empty() && indexes.iter().all(|index| is_open(*index))
        }
        _ => false,
    }
}

fn is_of_system(kind: &str) -> bool {
    let head = kind.as_bytes().get(..3);
    head.is_some_and(|head| head.eq_ignore_ascii_case(b"HS_") || head.eq_ignore_ascii_case(b"GT_"))
}

#[cfg(test)]
mod tests;
