//! The first administrator over HTTP: whoever can read the code in the node's folder makes him.
//!
//! The code is used once. It is worth nothing once there is an administrator, by whatever way.

use std::io;
use std::path::Path;

use guantong_core::identity::{
    Chosen, Kind, Login, MEMBERS_INDEX, Role, check_password, group_values,
};
use guantong_proto::data::List;
use guantong_proto::{Handle, Reference, Value, is_of_type};
use guantong_store::{Batch, Change, Expect, Origin, Trail};

use super::{LoginError, Token};
use crate::init::SET_UP_CODE;
use crate::key::read_bounded;
use crate::node::Node;
use crate::publish::wire;

/// Most prefixes that are looked at for an administrator; a new node has one.
const PREFIXES_MAX: usize = 16;
/// Name of the code while it is being used.
const IN_USE: &str = "setup_code.used";

impl Node {
    /// Whether the first administrator is yet to be made by the code.
    pub(crate) fn login_awaits_set_up(&self) -> bool {
        let homed = self.store.homed();
        let mut prefixes = homed.iter().take(PREFIXES_MAX);
        self.config().folder.join(SET_UP_CODE).exists()
            && prefixes.any(|prefix| self.has_no_administrator(prefix))
    }

    fn has_no_administrator(&self, prefix: &Handle) -> bool {
        let group = Role::Administrators.group(prefix.borrow());
        let record = group.map(|group| self.store.record(group.borrow()));
        let Some(Ok(Some(record))) = record else {
            return false;
        };
        let mut values = record.values().iter();
        let list = values.find(|value| value.index == MEMBERS_INDEX);
        let list = list.and_then(|value| List::decode(value.data).ok());
        list.is_some_and(|list| list.0.is_empty())
    }

    /// Makes the first administrator, and logs him in. The password is his own.
    pub(crate) async fn login_set_up(
        &self,
        code: &str,
        user: &Handle,
        password: &str,
    ) -> Result<Token, LoginError> {
        check_password(password)?;
        let folder = self.config().folder.clone();
        if !is_code(&folder.join(SET_UP_CODE), code) {
            return Err(LoginError::NoSetUp);
        }
        let prefix = user.borrow().prefix_handle();
        let is_homed = self.store.is_homed(prefix.borrow());
        if Kind::of(user.borrow()) != Some(Kind::User) || !is_homed {
            return Err(LoginError::NoUser);
        }
        let group = Role::Administrators.group(prefix.borrow());
        let group = group.ok_or(LoginError::NoUser)?;
        let login = self.login_of_password(password, Chosen::ByOwner).await?;
        // Of several at the same moment, one can rename it.
        let (here, used) = (folder.join(SET_UP_CODE), folder.join(IN_USE));
        std::fs::rename(&here, &used).map_err(|_| LoginError::NoSetUp)?;
        let mut values = group_values(prefix.borrow(), Vec::new());
        values.retain(|value| value.index != MEMBERS_INDEX);
        values.push(login.to_value());
        let by = (Origin::Operator, Trail::default());
        match self.write_first(&group, user, values, by).await {
            Ok(()) => {
                if let Err(error) = std::fs::remove_file(&used) {
                    tracing::warn!(%error, "the used set-up code could not be removed");
                }
                let begun = self.login_again(user).await;
                begun.map(|(_, token)| token).ok_or(LoginError::Wrong)
            }
            Err(error) => {
                // It was not used after all. An administrator who is there makes it worthless.
                let back = match &error {
                    LoginError::NoSetUp => std::fs::remove_file(&used),
                    _ => std::fs::rename(&used, &here),
                };
                back.unwrap_or_else(|error| {
                    tracing::warn!(%error, "the set-up code could not be put back");
                });
                Err(error)
            }
        }
    }

    /// Writes the user, and him as the only one in the group.
    async fn write_first(
        &self,
        group: &Handle,
        user: &Handle,
        values: Vec<Value>,
        (origin, trail): (Origin, Trail),
    ) -> Result<(), LoginError> {
        let failed = |error: &dyn std::fmt::Display| LoginError::NotWritten(error.to_string());
        let prefix = user.borrow().prefix_handle();
        let record = self.store.record(group.borrow());
        let record = record.map_err(|error| failed(&error))?;
        let is_members = |value: &Value| {
            value.index == MEMBERS_INDEX && is_of_type(value.kind.as_bytes(), b"HS_VLIST")
        };
        let (mut members, expect) = match &record {
            None => (group_values(prefix.borrow(), Vec::new()), Expect::Absent),
            Some(record) => {
                let values = record.values().to_vec();
                let version = Expect::Version(record.version());
                (values.map_err(|error| failed(&error))?, version)
            }
        };
        let list = members.iter().find(|value| is_members(value));
        let list = list.and_then(|value| List::decode(&value.data).ok());
        if list.is_some_and(|list| !list.0.is_empty()) {
            return Err(LoginError::NoSetUp);
        }
        members.retain(|value| !is_members(value));
        let first = Reference {
            handle: user.to_string(),
            index: 0,
        };
        let first = List(vec![first]).encode();
        members.push(Value::new(MEMBERS_INDEX, "HS_VLIST", first));
        let put = |handle: &Handle, values: Vec<Value>, expect| Change::Put {
            handle: handle.clone(),
            values: wire(&self.stamped(values)),
            expect,
        };
        let batch = Batch {
            changes: vec![
                put(user, values, Expect::Absent),
                put(group, members, expect),
            ],
            at_ms: self.now_ms(),
            origin,
            trail,
        };
        self.submitted(batch).await
    }

    /// Has a batch written.
    pub(crate) async fn submitted(&self, batch: Batch) -> Result<(), LoginError> {
        let ticket = self.store.try_submit(batch);
        let written = tokio::task::spawn_blocking(move || ticket.wait()).await;
        match written {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(LoginError::NotWritten(error.to_string())),
            Err(error) => Err(LoginError::NotWritten(error.to_string())),
        }
    }

    /// Makes the first user of a prefix that was just homed, as its administrator. Nothing if he is
    /// there, or if it has administrators.
    pub(crate) async fn login_first_of(
        &self,
        user: &Handle,
        login: &Login,
        by: (Origin, Trail),
    ) -> Result<(), LoginError> {
        let prefix = user.borrow().prefix_handle();
        let group = Role::Administrators.group(prefix.borrow());
        let group = group.ok_or(LoginError::NoUser)?;
        let mut values = group_values(prefix.borrow(), Vec::new());
        values.retain(|value| value.index != MEMBERS_INDEX);
        values.push(login.to_value());
        let found = self.store.record(user.borrow());
        let found = found.map_err(|error| LoginError::NotWritten(error.to_string()))?;
        if found.is_some() {
            return Ok(());
        }
        match self.write_first(&group, user, values, by).await {
            Err(LoginError::NoSetUp) => Ok(()),
            written => written,
        }
    }

    pub(crate) fn stamped(&self, values: Vec<Value>) -> Vec<Value> {
        let timestamp = self.now_secs();
        let stamp = |value| Value { timestamp, ..value };
        values.into_iter().map(stamp).collect()
    }
}

/// Whether this is what the file holds. Digests are compared, whose octets tell nothing.
fn is_code(file: &Path, code: &str) -> bool {
    let digest = |octets: &[u8]| ring::digest::digest(&ring::digest::SHA256, octets);
    let held: io::Result<Vec<u8>> = read_bounded(file);
    let held = held.unwrap_or_default();
    let held = held.trim_ascii();
    let is_same = digest(held).as_ref() == digest(code.trim().as_bytes()).as_ref();
    is_same && held.len() >= 16
}
