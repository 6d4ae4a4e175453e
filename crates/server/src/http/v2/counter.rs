//! Numbers for suffix rules with `{counter:N}`: durable, and never given twice.
//!
//! A block of numbers is reserved in the record of the counter before the first of them is given.
//! A node that has stopped, was fenced, or whose record somebody has changed begins another block.

use std::collections::HashMap;

use guantong_core::template::{
    Block, COUNTER_TYPE, Template, UsedUp, counter_handle, counter_of, counter_value,
};
use guantong_proto::message::ResponseCode;
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Value, Values, is_of_type};
use guantong_store::{Batch, Change, Expect, Origin, Trail, WriteError};
use tokio::sync::{Mutex, oneshot};

use super::super::answer::Failure;
use super::problem::Problem;
use super::sought;
use crate::node::Node;

/// Most counters whose blocks are kept. Beyond it all are forgotten, and their numbers left out.
const KEPT_MAX: usize = 1_024;
/// How often a reservation is tried while others change the record.
const TRIES_MAX: usize = 8;

/// The blocks that are being given away, by the folded handle of the counter.
#[derive(Debug, Default)]
pub(crate) struct Counters(Mutex<HashMap<Vec<u8>, Reserved>>);

/// A block, and the version of the record that reserved it.
#[derive(Debug)]
struct Reserved {
    block: Block,
    version: u64,
}

/// How far a counter has come, and where that is written.
struct Record {
    handle: Handle,
    reserved: u64,
    others: Vec<Value>,
    version: Option<u64>,
}

impl Counters {
    /// The next number for a template, whose counter has so many digits.
    pub(super) async fn next(
        &self,
        node: &Node,
        template: &Template,
        digits: u8,
    ) -> Result<u64, Problem> {
        let handle = counter_handle(template.handle())?;
        let key = handle.key(node.site().case_rule()).as_bytes().to_vec();
        let mut all = self.0.lock().await;
        let version = sought::record(node, &handle)?.map(|record| record.version());
        if let Some(reserved) = all.get_mut(&key)
            && Some(reserved.version) == version
            && let Some(number) = reserved.block.take()
        {
            return Ok(number);
        }
        if all.len() >= KEPT_MAX {
            all.clear();
        }
        let mut reserved = reserve(node, template, digits).await?;
        let number = reserved.block.take().ok_or_else(|| used_up(digits))?;
        all.insert(key, reserved);
        Ok(number)
    }
}

/// The number that would come next if nothing else happened; nothing is reserved.
pub(super) fn preview(node: &Node, template: &Template, digits: u8) -> Result<u64, Problem> {
    let record = read(node, template)?;
    let mut block = Block::after(record.reserved, digits);
    Ok(block.take().ok_or_else(|| used_up(digits))?)
}

fn used_up(digits: u8) -> Failure {
    Failure::new(ResponseCode::ERROR, UsedUp { digits }.to_string()).with_status(409)
}

fn read(node: &Node, template: &Template) -> Result<Record, Problem> {
    let handle = counter_handle(template.handle())?;
    let fault = |message: String| Failure::new(ResponseCode::ERROR, message);
    let Some(record) = sought::record(node, &handle)? else {
        // Who administers the template administers its counter.
        let (_, record) = sought::template(node, template.handle())?;
        let values = record.values().to_vec();
        let values = values
            .map_err(|error| fault(error.to_string()))?
            .into_iter();
        let is_admin = |value: &Value| is_of_type(value.kind.as_bytes(), b"HS_ADMIN");
        return Ok(Record {
            handle,
            reserved: 0,
            others: values.filter(is_admin).collect(),
            version: None,
        });
    };
    let reserved = counter_of(record.values()).ok_or_else(|| {
        let message = format!(
            "`{handle}` does not say how far the counter has come: its administrator has to mend \
             the value of type {COUNTER_TYPE}"
        );
        fault(message)
    })?;
    let values = record.values().to_vec();
    let values = values
        .map_err(|error| fault(error.to_string()))?
        .into_iter();
    let is_other = |value: &Value| !is_of_type(value.kind.as_bytes(), COUNTER_TYPE.as_bytes());
    Ok(Record {
        reserved,
        others: values.filter(is_other).collect(),
        version: Some(record.version()),
        handle,
    })
}

/// Reserves a block, durably.
async fn reserve(node: &Node, template: &Template, digits: u8) -> Result<Reserved, Problem> {
    for _ in 0..TRIES_MAX {
        let record = read(node, template)?;
        let block = Block::after(record.reserved, digits);
        if block.next >= block.end {
            return Err(used_up(digits).into());
        }
        let mut values = record.others;
        values.push(counter_value(block.end));
        values.sort_by_key(|value| value.index);
        let batch = Batch {
            changes: vec![Change::Put {
                handle: record.handle,
                values: Writer::to_vec(|w| Values::encode(&values, w)),
                expect: record.version.map_or(Expect::Absent, Expect::Version),
            }],
            at_ms: node.now_ms(),
            origin: Origin::Node,
            trail: Trail::default(),
        };
        let (tell, told) = oneshot::channel();
        node.store.try_submit(batch).on_done(move |outcome| {
            // Nobody waits any more if the request was cut off; the block is left out then.
            let _ = tell.send(outcome);
        });
        match told.await {
            Ok(Ok(committed)) => {
                return Ok(Reserved {
                    block,
                    version: committed.last,
                });
            }
            Ok(Err(WriteError::Conflict { .. })) => {}
            Ok(Err(error)) => return Err(refused(&error).into()),
            Err(_) => {
                let message = "the counter could not be written; the log of the node says why";
                return Err(Failure::new(ResponseCode::ERROR, message).into());
            }
        }
    }
    let message = "others change the counter all the time; try again";
    Err(Failure::new(ResponseCode::SERVER_TOO_BUSY, message).into())
}

fn refused(error: &WriteError) -> Failure {
    match error {
        WriteError::Busy => Failure::new(ResponseCode::SERVER_TOO_BUSY, error.to_string()),
        WriteError::NotAdmitted { .. } | WriteError::Unconfirmed { .. } => {
            Failure::new(ResponseCode::SERVER_TOO_BUSY, error.to_string())
        }
        error => {
            tracing::error!(%error, "a counter could not be written");
            let message = "the counter could not be written; the log of the node says why";
            Failure::new(ResponseCode::ERROR, message)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use futures_util::future::join_all;
    use guantong_core::template::Definition;

    use super::super::super::tests::node;
    use super::*;

    /// A node that was killed knows nothing but its records.
    #[tokio::test]
    async fn killed_node_gives_no_number_twice() {
        let definition = Definition {
            title: "t".to_owned(),
            ..Definition::default()
        };
        let handle = Handle::parse("88.118.5/META_killed").unwrap();
        let template = Template::draft(handle.clone(), definition).unwrap();
        let node = node();
        let values = template.to_values(node.site().case_rule());
        let batch = Batch {
            changes: vec![Change::Put {
                handle,
                values: Writer::to_vec(|w| Values::encode(&values, w)),
                expect: Expect::Anything,
            }],
            at_ms: 0,
            origin: Origin::Operator,
            trail: Trail::default(),
        };
        node.store.submit(batch).wait().unwrap();
        let mut given = HashSet::new();
        for _ in 0..5 {
            let counters = Counters::default();
            let some = (0..130).map(|_| counters.next(&node, &template, 6));
            for number in join_all(some).await {
                assert!(given.insert(number.unwrap()));
            }
        }
        assert_eq!(given.len(), 650);
        let reserved = read(&node, &template).unwrap().reserved;
        assert!(given.iter().all(|number| *number < reserved));
    }
}
