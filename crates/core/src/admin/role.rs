//! Rights that no HS_ADMIN value of the record gives: those of roles, and of everybody over how he
//! himself logs in.

use std::collections::BTreeSet;

use guantong_proto::data::{Admin, AdminPermissions};
use guantong_proto::{HandleRef, Values, is_of_type};

use super::authenticate::Identity;
use super::authorize::{Grant, authorize_where};

use super::decide::Deciding;
use super::known::{Missing, StoredRecord};
use super::plan::Change;
use super::write::{Right, Used};
use crate::authority::Site;
use crate::identity::{Kind, LOGIN_INDEX, LOGIN_TYPE, Role, proves};

/// Index of the key of an identity, by custom.
const KEY_INDEX: i32 = 300;
/// Most keys of a program whose rights are looked for; one with more is left to administrators.
const KEYS_MAX: usize = 16;

/// Whether an HS_ADMIN value of the prefix record that names no role lets somebody decide who has
/// the roles: he may do everything with the prefix record, so he could put a key of his own in
/// place of that of the prefix, and the groups of the roles belong to that key.
fn decides_on_roles(admin: &Admin, needed: AdminPermissions) -> bool {
    let members = AdminPermissions::ADD_VALUE
        .union(AdminPermissions::MODIFY_VALUE)
        .union(AdminPermissions::REMOVE_VALUE)
        .union(AdminPermissions::READ_VALUE);
    let everything = Role::Administrators.on_prefix();
    admin.permissions.contains(everything) && members.contains(needed)
}

impl<'a> Deciding<'a> {
    /// The right on `of`, the record of `handle`, by a role that its prefix record puts in force:
    /// the prefix record, and the value of it that names the role's group. On the group of a role
    /// also by a value that names somebody with everything on the prefix.
    pub(super) fn by_role(
        &self,
        site: &Site,
        identity: &Identity,
        handle: HandleRef<'_>,
        of: &StoredRecord,
        needed: AdminPermissions,
    ) -> Result<Option<(&'a StoredRecord, Grant)>, Missing> {
        // Prefix records are ruled by what they say themselves.
        if handle.is_prefix_handle() || handle.is_global() {
            return Ok(None);
        }
        let above = handle.prefix_handle();
        let record = match self.known.record(site, above.borrow()) {
            Ok(Some(record)) => record,
            Ok(None) | Err(Missing::Unreachable { .. }) => return Ok(None),
            Err(missing) => return Err(missing),
        };
        let is_raised = needed != AdminPermissions::READ_VALUE
            && Kind::of(handle) == Some(Kind::App)
            && self.is_raised(site, handle, of.values(), record)?;
        let counts = |admin: &Admin| match Role::named(admin, above.borrow()) {
            Some(Role::AppAdministrators) if is_raised => false,
            Some(role) => role.on_record(handle, of.values()).contains(needed),
            None => Role::of_group(handle).is_some() && decides_on_roles(admin, needed),
        };
        let lookup = |handle: HandleRef<'_>| self.group(site, handle);
        let rule = site.case_rule();
        let grant = authorize_where(identity, record.values(), rule, counts, lookup)?;
        Ok(grant.map(|grant| (record, grant)))
    }

    /// Whether a program has more on the prefix than those who look after programs: they could give
    /// it another key and have that themselves.
    fn is_raised(
        &self,
        site: &Site,
        program: HandleRef<'_>,
        values: Values<'_>,
        above: &StoredRecord,
    ) -> Result<bool, Missing> {
        let prefix = above.handle.borrow();
        let counts = |admin: &Admin| match Role::named(admin, prefix) {
            Some(role) => role != Role::AppAdministrators,
            None => {
                let own = Role::AppAdministrators.on_prefix();
                !own.contains(admin.permissions)
            }
        };
        let keys = values.iter().filter(|value| proves(value.kind));
        let mut indexes: BTreeSet<i32> = keys.map(|value| value.index).collect();
        // A key that is disabled is there again soon.
        indexes.insert(KEY_INDEX);
        if indexes.len() > KEYS_MAX {
            return Ok(true);
        }
        for index in indexes {
            let handle = program.to_owned();
            let lookup = |handle: HandleRef<'_>| self.group(site, handle);
            let (program, rule) = (Identity { handle, index }, site.case_rule());
            if authorize_where(&program, above.values(), rule, counts, lookup)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The record of a group. One that cannot be had gives nobody a right.
    pub(super) fn group(
        &self,
        site: &Site,
        handle: HandleRef<'_>,
    ) -> Result<Option<Values<'a>>, Missing> {
        match self.known.record(site, handle) {
            Ok(record) => Ok(record.map(StoredRecord::values)),
            Err(Missing::Unreachable { .. }) => Ok(None),
            Err(missing) => Err(missing),
        }
    }

    /// The right of somebody to change how he himself logs in, which he has while the node has just
    /// had him prove who he is by his password. The change must be of that value and nothing else.
    pub(super) fn by_ownership(
        &self,
        site: &Site,
        record: &StoredRecord,
        change: &Change,
    ) -> Option<Right> {
        let owner = self.owner?;
        let Change::Write(new) = change else {
            return None;
        };
        let rule = site.case_rule();
        let is_own =
            owner.index == LOGIN_INDEX && owner.handle.key(rule) == record.handle.key(rule);
        let is_login = |kind: &[u8]| is_of_type(kind, LOGIN_TYPE.as_bytes());
        let is_there = record
            .values()
            .iter()
            .any(|value| value.index == LOGIN_INDEX && is_login(value.kind));
        let is_that = matches!(new.as_slice(), [value]
            if value.index == LOGIN_INDEX && is_login(value.kind.as_bytes()));
        let used = || Used {
            record: record.handle.clone(),
            index: LOGIN_INDEX,
            permissions: AdminPermissions::MODIFY_ADMIN,
            through: Vec::new(),
        };
        (is_own && is_there && is_that).then(|| Right::Administrator(vec![used()]))
    }
}
