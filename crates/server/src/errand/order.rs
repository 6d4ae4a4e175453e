//! What an errand orders, in the words of the store, and what the store's answer means to it.

use std::net::SocketAddr;
use std::sync::Arc;

use guantong_core::admin::{self, Expected, Order, Write, Written};
use guantong_proto::{Handle, Reference};
use guantong_store::{Batch, Change, Expect, Origin, Right, Source, Trail, Used, Way, WriteError};

use crate::metrics::Transport;
use crate::node::Via;

/// The batch of orders of one sender, and the right by which each is given where it is not the same
/// for all.
pub(super) fn batch_of(orders: Vec<Order>, via: Via, at_ms: u64) -> (Batch, Vec<Right>) {
    let first = orders.first().map(|order| order.warrant.clone());
    let is_of_first = |order: &Order| {
        first.as_ref().is_some_and(|first| {
            Arc::ptr_eq(first, &order.warrant) || first.right == order.warrant.right
        })
    };
    let rights = match orders.iter().all(is_of_first) {
        true => Vec::new(),
        false => {
            let rights = orders.iter().map(|order| right_of(&order.warrant.right));
            rights.collect()
        }
    };
    let (by, right) = match &first {
        Some(warrant) => (warrant.by.as_ref(), right_of(&warrant.right)),
        None => (None, Right::default()),
    };
    let batch = Batch {
        changes: orders
            .into_iter()
            .map(|order| change_of(order.write))
            .collect(),
        at_ms,
        origin: match by {
            Some(identity) => Origin::Administrator {
                handle: identity.handle.clone(),
                index: identity.index,
            },
            None => Origin::Anybody,
        },
        trail: Trail {
            from: source_of(via),
            right,
        },
    };
    (batch, rights)
}

fn change_of(write: Write) -> Change {
    let expect_of = |expected| match expected {
        Expected::Absent => Expect::Absent,
        Expected::Version(version) => Expect::Version(version),
    };
    match write {
        Write::Put {
            handle,
            values,
            expect,
        } => Change::Put {
            handle,
            values,
            expect: expect_of(expect),
        },
        Write::Delete { handle, expect } => Change::Delete {
            handle,
            expect: expect_of(expect),
        },
        Write::Home { prefix } => Change::Home { prefix },
        Write::Unhome { prefix } => Change::Unhome { prefix },
    }
}

/// What the store's outcome means to an errand.
pub(super) fn written_of(outcome: Result<(), WriteError>) -> Written {
    match outcome {
        Ok(()) => Written::Done,
        Err(WriteError::Conflict { .. }) => Written::Conflict,
        Err(WriteError::Busy) => Written::Busy,
        Err(error @ WriteError::NotAdmitted { .. }) => Written::NotAdmitted(error.to_string()),
        Err(error @ WriteError::Unconfirmed { .. }) => Written::Unconfirmed(error.to_string()),
        Err(error @ (WriteError::Unfit { .. } | WriteError::TooLarge { .. })) => {
            Written::Unfit(error.to_string())
        }
        Err(error) => {
            tracing::error!(%error, "a change could not be written");
            Written::Failed
        }
    }
}

/// From where an order comes, as the change log says it.
pub(crate) fn source_of(via: Via) -> Source {
    Source::Peer {
        way: match via.transport {
            _ if via.by_console => Way::Console,
            Transport::Udp => Way::Udp,
            Transport::Tcp => Way::Tcp,
            Transport::Http => Way::Http,
            Transport::Https => Way::Https,
        },
        address: SocketAddr::new(via.peer.ip().to_canonical(), via.peer.port()),
    }
}

/// By which right an order is given, as the change log says it.
fn right_of(right: &admin::Right) -> Right {
    match right {
        admin::Right::OpenNode => Right::OpenNode,
        admin::Right::OpenValues => Right::OpenValues,
        admin::Right::ServerAdmin => Right::ServerAdmin,
        admin::Right::FullAccess => Right::FullAccess,
        admin::Right::Administrator(used) => {
            Right::Administrator(used.iter().map(used_of).collect())
        }
    }
}

fn used_of(used: &admin::Used) -> Used {
    // A group that was looked at has a name.
    let group = |group: &Reference| Some((Handle::parse(&group.handle).ok()?, group.index));
    Used {
        record: used.record.clone(),
        index: used.index,
        permissions: used.permissions,
        through: used.through.iter().filter_map(group).collect(),
        more_groups: 0,
    }
}

#[cfg(test)]
mod tests {
    use guantong_core::admin::Warrant;

    use super::*;

    fn order(name: &str, right: admin::Right) -> Order {
        Order {
            write: Write::Delete {
                handle: Handle::parse(name).unwrap(),
                expect: Expected::Version(1),
            },
            warrant: Arc::new(Warrant { by: None, right }),
        }
    }

    #[test]
    fn rights_are_given_by_order_only_where_they_are_not_the_same() {
        let via = Via {
            transport: Transport::Https,
            peer: SocketAddr::from(([127, 0, 0, 1], 9)),
            by_console: false,
        };
        let full = || admin::Right::FullAccess;
        let (batch, rights) = batch_of(vec![order("1/a", full()), order("1/b", full())], via, 0);
        assert_eq!((batch.changes.len(), rights), (2, Vec::new()));
        assert_eq!(batch.trail.right, Right::FullAccess);
        let open = admin::Right::OpenValues;
        let (batch, rights) = batch_of(vec![order("1/a", full()), order("1/b", open)], via, 0);
        assert_eq!(batch.changes.len(), 2);
        assert_eq!(rights, [Right::FullAccess, Right::OpenValues]);
    }
}
