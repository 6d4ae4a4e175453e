//! Rights that no HS_ADMIN value of the record gives: those of roles, and of everybody over how he
//! himself logs in.

use guantong_proto::data::{Admin, AdminPermissions};
use guantong_proto::{HandleRef, Values, is_of_type};

use super::authenticate::Identity;
use super::authorize::{Grant, authorize_where};
use super::errand::Errand;
use super::known::{Missing, StoredRecord};
use super::plan::Change;
use super::write::{Right, Used};
use crate::authority::Site;
use crate::identity::{LOGIN_INDEX, LOGIN_TYPE, Role};

impl Errand {
    /// The right on `of`, the record of `handle`, by a role that its prefix record puts in force:
    /// the prefix record, and the value of it that names the role's group.
    pub(super) fn by_role(
        &self,
        site: &Site,
        identity: &Identity,
        handle: HandleRef<'_>,
        of: &StoredRecord,
        needed: AdminPermissions,
    ) -> Result<Option<(&StoredRecord, Grant)>, Missing> {
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
        let counts = |admin: &Admin| {
            let role = Role::named(admin, above.borrow());
            role.is_some_and(|role| role.on_record(handle, of.values()).contains(needed))
        };
        let lookup = |handle: HandleRef<'_>| self.group(site, handle);
        let rule = site.case_rule();
        let grant = authorize_where(identity, record.values(), rule, counts, lookup)?;
        Ok(grant.map(|grant| (record, grant)))
    }

    /// The record of a group. One that cannot be had gives nobody a right.
    pub(super) fn group(
        &self,
        site: &Site,
        handle: HandleRef<'_>,
    ) -> Result<Option<Values<'_>>, Missing> {
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
        let owner = self.owner()?;
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
