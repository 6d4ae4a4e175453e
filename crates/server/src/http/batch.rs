//! `POST /api/batch`: many changes in one request, all or none of them, or each by itself.
//!
//! The sender proves once who he is. Each change then becomes the native request that means the
//! same, and is decided by the same function as one that came alone.

use std::collections::HashMap;

use axum::http::{Method, StatusCode};
use axum::response::Response;
use futures_util::{StreamExt, stream};
use guantong_api::batch::{
    Batch, BatchAnswer, OPERATIONS_MAX, Op, Operation, OperationAnswer, OperationOutcome,
};
use guantong_core::admin::{Effect, Expected, Presented};
use guantong_core::authority::{HttpOperation, http_status};
use guantong_proto::message::{OpCode, OpFlags, ResponseCode};
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Value, json};

use super::answer::{Failure, json as answer_json};
use super::asked::Asked;
use super::change::{Reply, builder, carry_out_for, via, who_is_it, withdrawal};
use super::identity::{self, By};
use crate::errand::{Carried, HELD_OCTETS_MAX, Task, TooMuch};
use crate::node::Node;

/// Changes that are carried out side by side if each is made by itself, so that one write to the
/// medium serves many of them.
const SIDE_BY_SIDE: usize = 64;

/// Answers a request for `/api/batch`.
pub(super) async fn answer(node: &Node, asked: &Asked) -> Result<Response, Failure> {
    let refuse = |message: String| Failure::new(ResponseCode::PROTOCOL_ERROR, message);
    if asked.method != Method::POST {
        return Err(refuse("send a batch with POST".to_owned()).with_status(405));
    }
    if !asked.is_json() {
        let message = "the body must be JSON: send `Content-Type: application/json`";
        return Err(refuse(message.to_owned()));
    }
    let batch: Batch<'_> = serde_json::from_slice(&asked.body)
        .map_err(|error| refuse(format!("Invalid JSON: {error}")))?;
    if batch.operations.len() > OPERATIONS_MAX {
        let count = batch.operations.len();
        let message =
            format!("{count} operations are more than {OPERATIONS_MAX}: send two batches");
        return Err(refuse(message).with_status(413));
    }
    let handles = handles(node, &batch.operations)?;
    let mut tasks = tasks(node, &batch, &handles)?;
    let (presented, by) = prove(node, asked).await?;
    for task in &mut tasks {
        task.presented = presented.clone();
    }
    let via = via(asked);
    let (carried, is_done) = match batch.atomic {
        true => {
            let together = node.carry_out_together(tasks, via).await;
            together.map_err(|TooMuch| {
                let message = format!(
                    "these records and the groups that rule them have more than {HELD_OCTETS_MAX} \
                     octets together; nothing was changed: send smaller batches"
                );
                refuse(message).with_status(413)
            })?
        }
        false => {
            let carried = stream::iter(tasks).map(|task| node.carry_out(task, via));
            (carried.buffered(SIDE_BY_SIDE).collect().await, true)
        }
    };
    let results = handles.iter().zip(carried);
    let results = results.map(|(handle, carried)| result(asked, handle, carried, is_done));
    let form = summary(batch.dry_run, results.collect());
    let mut response = answer_json(asked, status(&batch, &form), &form);
    if form.done > 0 && !batch.dry_run {
        response.extensions_mut().insert(by);
    }
    Ok(response)
}

//----------- Reading --------------------------------------------------------

/// The records of the operations; refuses the whole batch if two are about the same.
fn handles(node: &Node, operations: &[Operation<'_>]) -> Result<Vec<Handle>, Failure> {
    let rule = node.site().case_rule();
    let mut seen = HashMap::with_capacity(operations.len());
    let mut handles = Vec::with_capacity(operations.len());
    for (at, operation) in operations.iter().enumerate() {
        let malformed = |message: &str| malformed(at, operation, message);
        let handle = Handle::parse(&operation.handle);
        let handle = handle.map_err(|error| malformed(&error.to_string()))?;
        // What two changes of one record do would depend on their order.
        if let Some(earlier) = seen.insert(handle.borrow().key(rule), at) {
            let message = format!(
                "operations[{earlier}] is about the same record; join the two, or send two batches"
            );
            return Err(malformed(&message));
        }
        handles.push(handle);
    }
    Ok(handles)
}

/// The operations as native requests; refuses the whole batch if one makes no sense.
fn tasks(node: &Node, batch: &Batch<'_>, handles: &[Handle]) -> Result<Vec<Task>, Failure> {
    let operations = batch.operations.iter().zip(handles).enumerate();
    let task = |(at, (operation, handle)): (usize, (&Operation<'_>, &Handle))| {
        let packet = packet(node, operation, handle);
        Ok(Task {
            packet: packet.map_err(|message| malformed(at, operation, &message))?,
            presented: None,
            condition: operation.if_version.map(|version| match version {
                0 => Expected::Absent,
                version => Expected::Version(version),
            }),
            is_rehearsal: batch.dry_run,
        })
    };
    operations.map(task).collect()
}

fn malformed(at: usize, operation: &Operation<'_>, message: &str) -> Failure {
    let message = format!("operations[{at}]: {message}");
    Failure::new(ResponseCode::PROTOCOL_ERROR, message).about(&operation.handle)
}

/// The native request that means the same as the operation, or what is wrong with it.
fn packet(node: &Node, operation: &Operation<'_>, handle: &Handle) -> Result<Vec<u8>, String> {
    check_fields(operation)?;
    let insisting = OpFlags::DEFAULT.with(OpFlags::OVERWRITE);
    let (op, flags) = match operation.op {
        Op::Create => (OpCode::CREATE, OpFlags::DEFAULT),
        Op::Put => (OpCode::CREATE, insisting),
        Op::Add => (OpCode::ADD_VALUE, OpFlags::DEFAULT),
        Op::Write | Op::Withdraw => (OpCode::ADD_VALUE, insisting),
        Op::Remove => (OpCode::REMOVE_VALUE, OpFlags::DEFAULT),
        Op::Delete => (OpCode::DELETE, OpFlags::DEFAULT),
        Op::Erase => (OpCode::DELETE, insisting),
    };
    let builder = builder(node, flags);
    Ok(match operation.op {
        Op::Create | Op::Put | Op::Add | Op::Write => {
            builder.write(op, handle.as_str(), &values(operation)?)
        }
        Op::Withdraw => {
            let reason = operation.reason.as_deref().unwrap_or_default();
            let state = withdrawal(node, Some(reason), operation.successor.as_deref());
            let state = state.map_err(|failure| failure.message().to_owned())?;
            let values: Vec<Value> = state.iter().map(|state| state.to_value()).collect();
            builder.write(op, handle.as_str(), &values)
        }
        Op::Remove => builder.packet(
            op,
            &Writer::to_vec(|w| {
                w.bytes(handle.as_str().as_bytes());
                w.i32_array(&operation.indexes);
            }),
        ),
        Op::Delete | Op::Erase => builder.named(op, handle.as_str()),
    })
}

fn values(operation: &Operation<'_>) -> Result<Vec<Value>, String> {
    let raw = operation
        .values
        .ok_or("`values` is missing: which values?")?;
    let values = json::parse_values(raw.get().as_bytes());
    values.map_err(|error| format!("values: {error}"))
}

/// Refuses fields that the operation would ignore: their author meant something by them.
fn check_fields(operation: &Operation<'_>) -> Result<(), String> {
    let op = operation.op;
    let has_values = matches!(op, Op::Create | Op::Put | Op::Add | Op::Write);
    let fields = [
        ("values", operation.values.is_some(), has_values),
        ("indexes", !operation.indexes.is_empty(), op == Op::Remove),
        ("reason", operation.reason.is_some(), op == Op::Withdraw),
        (
            "successor",
            operation.successor.is_some(),
            op == Op::Withdraw,
        ),
    ];
    for (name, is_given, is_meant) in fields {
        if is_given && !is_meant {
            return Err(format!("`{name}` means nothing for this operation"));
        }
    }
    match op == Op::Remove && operation.indexes.is_empty() {
        true => Err("`indexes` is missing: which values are to go?".to_owned()),
        false => Ok(()),
    }
}

//----------- Proof ----------------------------------------------------------

/// Has the sender prove who he is, once for all changes.
pub(super) async fn prove(node: &Node, asked: &Asked) -> Result<(Option<Presented>, By), Failure> {
    let offered = identity::offered(node, asked)?;
    let rules = &node.config().administration.rules;
    if offered.is_none() {
        let message = "prove who you are, with the key of an administrator";
        return match rules.anonymous_admin_full_access {
            true => Ok((None, By(None))),
            false => Err(Failure::new(ResponseCode::AUTHENTICATION_NEEDED, message)),
        };
    }
    let reply = Reply(carry_out_for(node, asked, &who_is_it(node), offered).await);
    match &reply.0.proven {
        Some(proven) => Ok((
            Some(Presented::Session(proven.clone())),
            By(Some(proven.identity.clone())),
        )),
        None => Err(reply.failure()),
    }
}

//----------- Answer ---------------------------------------------------------

fn result(asked: &Asked, handle: &Handle, carried: Carried, is_done: bool) -> OperationAnswer {
    let effect = carried.effect;
    let reply = Reply(carried);
    let name = reply.name().unwrap_or_else(|| handle.to_string());
    match reply.success(handle) {
        Ok(message) => {
            let (operation, outcome) = match effect {
                _ if !is_done => (HttpOperation::Other, OperationOutcome::NotDone),
                Some(Effect::Created) => (HttpOperation::Create, OperationOutcome::Created),
                Some(Effect::Deleted) => (HttpOperation::Other, OperationOutcome::Deleted),
                _ => (HttpOperation::Other, OperationOutcome::Changed),
            };
            let code = message.header.code;
            OperationAnswer {
                handle: name,
                response_code: code.0,
                status: http_status(code, operation, asked.peer.secure),
                outcome,
                message: None,
            }
        }
        Err(failure) => OperationAnswer {
            handle: name,
            response_code: failure.code().0,
            status: failure.status(asked).as_u16(),
            outcome: OperationOutcome::Refused,
            message: Some(failure.message().to_owned()),
        },
    }
}

fn summary(dry_run: bool, results: Vec<OperationAnswer>) -> BatchAnswer {
    let count = |outcome| results.iter().filter(|r| r.outcome == outcome).count();
    let refused = count(OperationOutcome::Refused);
    let done = results.len() - refused - count(OperationOutcome::NotDone);
    let first = results
        .iter()
        .enumerate()
        .find(|(_, result)| result.outcome == OperationOutcome::Refused);
    let message = first.map(|(at, result)| {
        let reason = result.message.as_deref().unwrap_or_default();
        let rest = if done == 0 {
            "; nothing was changed"
        } else {
            ""
        };
        format!(
            "operations[{at}] ({}) was refused: {reason}{rest}",
            result.handle
        )
    });
    BatchAnswer {
        response_code: first.map_or(ResponseCode::SUCCESS.0, |(_, result)| result.response_code),
        message,
        dry_run,
        done,
        refused,
        results,
    }
}

/// That of the first refusal if nothing was done for its sake; else what was done is told.
fn status(batch: &Batch<'_>, form: &BatchAnswer) -> StatusCode {
    let refused = form
        .results
        .iter()
        .find(|result| result.outcome == OperationOutcome::Refused);
    let status = match refused {
        Some(result) if batch.atomic => result.status,
        _ => 200,
    };
    StatusCode::from_u16(status).unwrap_or(StatusCode::OK)
}
