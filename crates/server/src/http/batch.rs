//! `POST /api/batch`: many changes in one request, all or none of them, or each by itself.
//!
//! The sender proves once who he is. Each change is decided by the same function as the native
//! request that means the same.

use axum::http::{Method, StatusCode};
use axum::response::Response;
use foldhash::{HashMap, HashMapExt};
use guantong_api::batch::{
    Batch, BatchAnswer, OPERATIONS_MAX, Op, Operation, OperationAnswer, OperationOutcome,
};
use guantong_core::admin::authenticate::Proven;
use guantong_core::admin::{Change, Deed, Effect, Expected, Together, Verdict, Wish};
use guantong_core::authority::{HttpOperation, http_status};
use guantong_proto::json::{self, JsonError, PlainValues};
use guantong_proto::message::ResponseCode;
use guantong_proto::{Handle, HandleRef, Value};
use serde_json::value::RawValue;

use super::answer::{Failure, json as answer_json};
use super::asked::Asked;
use super::change::{Reply, carry_out_for, failure_of, via, who_is_it, withdrawal};
use super::identity::{self, By};
use crate::errand::{HELD_OCTETS_MAX, TooMuch};
use crate::node::Node;

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
    let batch = read(&asked.body).map_err(|error| refuse(format!("Invalid JSON: {error}")))?;
    if batch.operations.len() > OPERATIONS_MAX {
        let count = batch.operations.len();
        let message =
            format!("{count} operations are more than {OPERATIONS_MAX}: send two batches");
        return Err(refuse(message).with_status(413));
    }
    let Batch {
        atomic,
        dry_run,
        operations,
    } = batch;
    let wishes = wishes(node, operations)?;
    let (proven, by) = prove(node, asked).await?;
    let together = Together::new(proven, wishes).rehearsal(dry_run);
    let via = via(asked);
    let (verdicts, is_done) = match atomic {
        true => {
            let together = node.change_together(together, via).await;
            together.map_err(|TooMuch(_)| {
                let message = format!(
                    "these records have more than {HELD_OCTETS_MAX} octets together; nothing was \
                     changed: send smaller batches"
                );
                refuse(message).with_status(413)
            })?
        }
        false => (node.change_each(together, via).await, true),
    };
    let results = verdicts.into_iter();
    let results = results.map(|(wish, verdict)| result(asked, wish.handle, verdict, is_done));
    let form = summary(dry_run, results.collect());
    let mut response = answer_json(asked, status(atomic, &form), &form);
    if form.done > 0 && !dry_run {
        response.extensions_mut().insert(by);
    }
    Ok(response)
}

//----------- Reading --------------------------------------------------------

/// Values of an operation, or what is wrong with them.
type Given = Result<Vec<Value>, JsonError>;

/// Reads a batch. One whose values are all plain, as nearly all are, is read in one pass.
fn read(body: &[u8]) -> serde_json::Result<Batch<Given>> {
    if let Ok(text) = std::str::from_utf8(body)
        && let Ok(batch) = serde_json::from_str::<Batch<PlainValues>>(text)
    {
        return Ok(batch.map(|PlainValues(values)| Ok(values)));
    }
    let batch: Batch<&RawValue> = serde_json::from_slice(body)?;
    Ok(batch.map(|values| json::parse_values(values.get().as_bytes())))
}

/// The operations as changes; refuses the whole batch if one makes no sense, or if two are about
/// the same record.
fn wishes(node: &Node, operations: Vec<Operation<Given>>) -> Result<Vec<Wish>, Failure> {
    let rule = node.site().case_rule();
    let mut seen = HashMap::with_capacity(operations.len());
    let mut wish = |at, operation: &mut Operation<Given>| {
        let name = HandleRef::parse(&operation.handle).map_err(|error| error.to_string())?;
        // What two changes of one record do would depend on their order.
        if let Some(earlier) = seen.insert(name.key(rule), at) {
            return Err(format!(
                "operations[{earlier}] is about the same record; join the two, or send two batches"
            ));
        }
        let deed = deed(node, operation)?;
        let name = std::mem::take(&mut operation.handle);
        Ok(Wish {
            handle: Handle::from_text(name).map_err(|error| error.to_string())?,
            deed,
            condition: operation.if_version.map(|version| match version {
                0 => Expected::Absent,
                version => Expected::Version(version),
            }),
        })
    };
    let wish = |(at, mut operation): (usize, Operation<Given>)| {
        let wish = wish(at, &mut operation);
        wish.map_err(|message| malformed(at, &operation.handle, &message))
    };
    operations.into_iter().enumerate().map(wish).collect()
}

fn malformed(at: usize, handle: &str, message: &str) -> Failure {
    let message = format!("operations[{at}]: {message}");
    Failure::new(ResponseCode::PROTOCOL_ERROR, message).about(handle)
}

/// What the operation does, or what is wrong with it. Takes its values and indexes out of it.
fn deed(node: &Node, operation: &mut Operation<Given>) -> Result<Deed, String> {
    check_fields(operation)?;
    Ok(Deed::Change(match operation.op {
        Op::Create => Change::Create(values(operation)?),
        Op::Put => Change::Put(values(operation)?),
        Op::Add => Change::Add(values(operation)?),
        Op::Write => Change::Write(values(operation)?),
        Op::Withdraw => {
            let reason = operation.reason.as_deref().unwrap_or_default();
            let state = withdrawal(node, Some(reason), operation.successor.as_deref());
            let state = state.map_err(|failure| failure.message().to_owned())?;
            Change::Write(state.iter().map(|state| state.to_value()).collect())
        }
        Op::Remove => Change::Remove(std::mem::take(&mut operation.indexes)),
        Op::Delete => return Ok(Deed::Delete),
        Op::Erase => Change::Delete,
    }))
}

fn values(operation: &mut Operation<Given>) -> Result<Vec<Value>, String> {
    let given = operation.values.take();
    let values = given.ok_or("`values` is missing: which values?")?;
    values.map_err(|error| format!("values: {error}"))
}

/// Refuses fields that the operation would ignore: their author meant something by them.
fn check_fields(operation: &Operation<Given>) -> Result<(), String> {
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
pub(super) async fn prove(node: &Node, asked: &Asked) -> Result<(Option<Proven>, By), Failure> {
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
        Some(proven) => Ok((Some(proven.clone()), By(Some(proven.identity.clone())))),
        None => Err(reply.failure()),
    }
}

//----------- Answer ---------------------------------------------------------

fn result(asked: &Asked, handle: Handle, verdict: Verdict, is_done: bool) -> OperationAnswer {
    match verdict {
        Ok(effect) => {
            let (operation, outcome) = match effect {
                _ if !is_done => (HttpOperation::Other, OperationOutcome::NotDone),
                Effect::Created => (HttpOperation::Create, OperationOutcome::Created),
                Effect::Deleted => (HttpOperation::Other, OperationOutcome::Deleted),
                Effect::Changed => (HttpOperation::Other, OperationOutcome::Changed),
            };
            let code = ResponseCode::SUCCESS;
            OperationAnswer {
                handle: handle.into_text(),
                response_code: code.0,
                status: http_status(code, operation, asked.peer.secure),
                outcome,
                message: None,
            }
        }
        Err(declined) => {
            let failure = failure_of(declined.code, declined.text);
            OperationAnswer {
                handle: handle.into_text(),
                response_code: failure.code().0,
                status: failure.status(asked).as_u16(),
                outcome: OperationOutcome::Refused,
                message: Some(failure.message().to_owned()),
            }
        }
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
fn status(is_atomic: bool, form: &BatchAnswer) -> StatusCode {
    let refused = form
        .results
        .iter()
        .find(|result| result.outcome == OperationOutcome::Refused);
    let status = match refused {
        Some(result) if is_atomic => result.status,
        _ => 200,
    };
    StatusCode::from_u16(status).unwrap_or(StatusCode::OK)
}
