//! Who sends a change, and how it becomes a native request: as a batch of changes, one proof serves
//! every request that comes of one over HTTP.

use guantong_core::admin::{Expected, Presented};
use guantong_core::template::TEMPLATE_TYPE;
use guantong_proto::data::{Admin, AdminPermissions};
use guantong_proto::message::{OpCode, OpFlags};
use guantong_proto::{Handle, Value};

use super::super::answer::Failure;
use super::super::asked::Asked;
use super::super::batch::prove;
use super::super::change::{Reply, builder, via};
use super::super::identity::By;
use crate::errand::Task;
use crate::node::Node;

/// Index of the value that says who administers what was made.
const ADMIN_INDEX: i32 = 100;
/// Index of the key of a prefix, where `guantong init` puts it.
const PREFIX_KEY_INDEX: i32 = 300;

//----------- Sender ---------------------------------------------------------

/// Somebody who has proven who he is, or anybody at a node that is open to all.
pub(in crate::http) struct Sender {
    presented: Option<Presented>,
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
        let (presented, by) = prove(node, asked).await?;
        Ok(Self { presented, by })
    }

    /// A native request of his.
    pub(super) fn task(&self, packet: Vec<u8>, terms: Terms) -> Task {
        Task {
            packet,
            presented: self.presented.clone(),
            condition: terms.condition,
            is_rehearsal: terms.is_rehearsal,
        }
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
        let task = self.task(packet, terms);
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
    /// it is who has the key of the prefix.
    pub(in crate::http) fn administrator(&self, handle: &Handle) -> Value {
        let (name, index) = match &self.by.0 {
            Some(identity) => (identity.handle.to_string(), identity.index),
            None => (
                handle.borrow().prefix_handle().to_string(),
                PREFIX_KEY_INDEX,
            ),
        };
        let admin = Admin::new(AdminPermissions::ALL, name, index);
        Value::new(ADMIN_INDEX, "HS_ADMIN", admin.encode())
    }
}
