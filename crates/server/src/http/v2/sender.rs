//! Who sends a change, and how it becomes a native request: as a batch of changes, one proof serves
//! every request that comes of one over HTTP.

use guantong_core::admin::authenticate::Proven;
use guantong_core::admin::{Declined, Expected, Identity, Presented, Together, Verdict, Wish};
use guantong_core::identity::Kind;
use guantong_core::template::TEMPLATE_TYPE;
use guantong_proto::data::{Admin, AdminPermissions};
use guantong_proto::message::{OpCode, OpFlags};
use guantong_proto::{Handle, Value};

use super::super::answer::Failure;
use super::super::asked::Asked;
use super::super::batch::prove;
use super::super::change::{Reply, builder, failure_of, via};
use super::super::identity::By;
use crate::errand::Task;
use crate::node::Node;

/// Index of the value that says who administers what was made.
const ADMIN_INDEX: i32 = 100;
/// Index of the key of a prefix, where `guantong init` puts it.
const PREFIX_KEY_INDEX: i32 = 300;

/// Who has the key of the prefix of a handle.
fn prefix_key(handle: &Handle) -> Identity {
    Identity {
        handle: handle.borrow().prefix_handle(),
        index: PREFIX_KEY_INDEX,
    }
}

/// Whether an identity is a user under the prefix of a handle.
fn is_user_of(identity: &Identity, handle: &Handle) -> bool {
    let user = identity.handle.borrow();
    let prefix = handle.borrow().prefix();
    Kind::of(user) == Some(Kind::User) && user.prefix().eq_ignore_ascii_case(prefix)
}

/// The value that lets an identity do everything with a record.
fn administers(index: i32, identity: &Identity) -> Value {
    let name = identity.handle.as_str();
    let admin = Admin::new(AdminPermissions::ALL, name, identity.index);
    Value::new(index, "HS_ADMIN", admin.encode())
}

/// A refusal as a failure.
pub(super) fn refused(wish: &Wish, verdict: Verdict) -> Result<(), Failure> {
    let failure = |declined: Declined| {
        let failure = failure_of(declined.code, declined.text);
        failure.about(wish.handle.as_str())
    };
    verdict.map(drop).map_err(failure)
}

//----------- Sender ---------------------------------------------------------

/// Somebody who has proven who he is, or anybody at a node that is open to all.
pub(in crate::http) struct Sender {
    proven: Option<Proven>,
    pub(in crate::http) by: By,
}

/// What must hold for a change, and whether it is made.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::http) struct Terms {
    pub(in crate::http) condition: Option<Expected>,
    pub(in crate::http) is_rehearsal: bool,
}

impl Terms {
    /// The same, if the record still has this version.
    pub(in crate::http) fn at(self, version: u64) -> Self {
        let condition = self.condition.or(Some(Expected::Version(version)));
        Self { condition, ..self }
    }
}

impl Sender {
    /// Has the sender of a request prove who he is.
    pub(in crate::http) async fn of(node: &Node, asked: &Asked) -> Result<Self, Failure> {
        let (proven, by) = prove(node, asked).await?;
        Ok(Self { proven, by })
    }

    /// Somebody who does not say who he is. He has no rights.
    pub(super) fn nobody() -> Self {
        Self {
            proven: None,
            by: By(None),
        }
    }

    /// Changes that he wants.
    pub(super) fn together(&self, wishes: Vec<Wish>, is_rehearsal: bool) -> Together {
        Together::new(self.proven.clone(), wishes).rehearsal(is_rehearsal)
    }

    /// Has a change made, or decided only. A refusal is a failure.
    pub(super) async fn change(
        &self,
        node: &Node,
        asked: &Asked,
        wish: Wish,
        is_rehearsal: bool,
    ) -> Result<(), Failure> {
        let together = self.together(vec![wish], is_rehearsal);
        for (wish, verdict) in node.change_each(together, via(asked)).await {
            refused(&wish, verdict)?;
        }
        Ok(())
    }

    /// Carries a native request out. A refusal is a failure.
    pub(in crate::http) async fn carry(
        &self,
        node: &Node,
        asked: &Asked,
        handle: &Handle,
        packet: Vec<u8>,
        terms: Terms,
    ) -> Result<(), Failure> {
        let task = Task {
            packet,
            presented: self.proven.clone().map(Presented::Session),
            condition: terms.condition,
            is_rehearsal: terms.is_rehearsal,
        };
        let reply = Reply(node.carry_out(task, via(asked)).await);
        reply.success(handle).map(drop)
    }

    /// Whether he may change the value of a record at this index. A record that he must not know of
    /// is told to be missing, before anything else is said about it.
    pub(in crate::http) async fn may_change(
        &self,
        node: &Node,
        asked: &Asked,
        handle: &Handle,
        index: i32,
    ) -> Result<(), Failure> {
        let value = Value::new(index, TEMPLATE_TYPE, "");
        let flags = OpFlags::DEFAULT.with(OpFlags::OVERWRITE);
        let packet = builder(node, flags).write(OpCode::ADD_VALUE, handle.as_str(), &[value]);
        let terms = Terms {
            condition: None,
            is_rehearsal: true,
        };
        self.carry(node, asked, handle, packet, terms).await
    }

    /// The value that makes him the administrator of what he makes; at a node that is open to all,
    /// it is who has the key of the prefix. So it is for users (用户) of the prefix, too: what they
    /// may do is a matter of their roles, and must end with these.
    pub(in crate::http) fn administrator(&self, handle: &Handle) -> Value {
        match self.by.0.as_ref().filter(|by| !is_user_of(by, handle)) {
            Some(identity) => administers(ADMIN_INDEX, identity),
            None => administers(ADMIN_INDEX, &prefix_key(handle)),
        }
    }

    /// The administrators of an identity or a group that he makes: who has the key of the prefix,
    /// and he himself unless he has his right by a role.
    pub(in crate::http) fn administrators(&self, handle: &Handle) -> Vec<Value> {
        let owner = prefix_key(handle);
        let by = self.by.0.as_ref();
        let other = by.filter(|by| **by != owner && !is_user_of(by, handle));
        let other = other.map(|by| administers(ADMIN_INDEX + 1, by));
        let mut values = vec![administers(ADMIN_INDEX, &owner)];
        values.extend(other);
        values
    }
}
