//! Changes over HTTP: `PUT` and `DELETE` of records, homing of prefixes, values that are not public
//! (8.1 to 8.3).
//!
//! A request becomes the native request that means the same, and is carried out by the same
//! function; so the two cannot disagree about who may do what.

use axum::http::{Method, StatusCode};
use axum::response::Response;
use guantong_api::handles::ChangedAnswer;
use guantong_core::admin::{Effect, STALE};
use guantong_core::authority::{HttpOperation, http_status};
use guantong_proto::data::{State, StateData};
use guantong_proto::limits::EXPIRATION_DEFAULT_SECS;
use guantong_proto::message::{
    Body, Envelope, Message, OpCode, OpFlags, RequestBuilder, Response as Native, ResponseCode,
    Version,
};
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Value, json};

use super::answer::{Failure, json as answer_json};
use super::asked::Asked;
use super::identity::{self, By, Offered};
use super::{condition, path};
use crate::errand::{Carried, Rest, Task};
use crate::node::{Node, Via};

/// The parameter that has a change decided but not made.
const DRY_RUN: &str = "dryRun";

//----------- Records --------------------------------------------------------

/// Creates a record, writes one over, or adds values to one.
pub(super) async fn put(node: &Node, asked: &Asked, encoded: &str) -> Result<Response, Failure> {
    condition::check(asked)?;
    if !asked.is_json() {
        let message = "the body must be JSON: send `Content-Type: application/json`";
        return Err(Failure::new(ResponseCode::PROTOCOL_ERROR, message));
    }
    let handle = path::handle(encoded)?;
    let values = json::parse_values(&asked.body).map_err(|error| {
        Failure::new(
            ResponseCode::PROTOCOL_ERROR,
            format!("Invalid JSON: {error}"),
        )
    })?;
    let overwrite = asked.params.flag("overwrite").unwrap_or(true);
    let (op, mut flags) = match asked.params.first("index") {
        None => (OpCode::CREATE, OpFlags::DEFAULT),
        Some(_) => {
            check_indexes(asked, &values)?;
            (OpCode::ADD_VALUE, OpFlags::DEFAULT)
        }
    };
    if overwrite {
        flags = flags.with(OpFlags::OVERWRITE);
    }
    if op == OpCode::CREATE && asked.params.is_set("mintNewSuffix") {
        flags = flags.with(OpFlags::MINT_SUFFIX);
    }
    let packet = builder(node, flags).write(op, handle.as_str(), &values);
    let reply = carry_out(node, asked, &packet).await?;
    let message = reply.success(&handle)?;
    let replaced = op == OpCode::CREATE && message.header.flags.has(OpFlags::OVERWRITE);
    let operation = match replaced {
        true => HttpOperation::Other,
        false => HttpOperation::Create,
    };
    let name = reply.name().unwrap_or_else(|| handle.to_string());
    Ok(changed(asked, operation, &name, &reply))
}

/// `index=various` takes any values; other indexes are those that may be written.
fn check_indexes(asked: &Asked, values: &[Value]) -> Result<(), Failure> {
    if asked.params.all("index").any(|index| index == "various") {
        return Ok(());
    }
    let indexes = asked.params.indexes()?;
    match values.iter().find(|value| !indexes.contains(&value.index)) {
        None => Ok(()),
        Some(value) => {
            let index = value.index;
            let message = format!("the body has a value {index}, which `index` does not name");
            Err(Failure::new(ResponseCode::PROTOCOL_ERROR, message))
        }
    }
}

/// Deletes a record, or values of it; withdraws it if a reason or a successor is given.
pub(super) async fn delete(node: &Node, asked: &Asked, encoded: &str) -> Result<Response, Failure> {
    condition::check(asked)?;
    let handle = path::handle(encoded)?;
    let indexes = asked.params.indexes()?;
    let (reason, successor) = (
        asked.params.first("reason"),
        asked.params.first("successor"),
    );
    let state = withdrawal(node, reason, successor)?;
    let is_forced = asked.params.is_set("force");
    if state.is_some() && (is_forced || !indexes.is_empty()) {
        let message = "`reason` and `successor` withdraw a whole record; leave out `force` and \
                       `index`";
        return Err(Failure::new(ResponseCode::PROTOCOL_ERROR, message));
    }
    let insisting = OpFlags::DEFAULT.with(OpFlags::OVERWRITE);
    let packet = match (state, indexes.is_empty()) {
        (Some(state), _) => {
            let values = [state.to_value()];
            builder(node, insisting).write(OpCode::ADD_VALUE, handle.as_str(), &values)
        }
        (None, true) if is_forced => {
            builder(node, insisting).named(OpCode::DELETE, handle.as_str())
        }
        (None, true) => builder(node, OpFlags::DEFAULT).named(OpCode::DELETE, handle.as_str()),
        (None, false) => builder(node, OpFlags::DEFAULT).packet(
            OpCode::REMOVE_VALUE,
            &Writer::to_vec(|w| {
                w.bytes(handle.as_str().as_bytes());
                w.i32_array(&indexes);
            }),
        ),
    };
    let reply = carry_out(node, asked, &packet).await?;
    reply.success(&handle)?;
    Ok(changed(
        asked,
        HttpOperation::Other,
        handle.as_str(),
        &reply,
    ))
}

/// The state that a reason or a successor put a record into; `None` if neither is given.
pub(super) fn withdrawal(
    node: &Node,
    reason: Option<&str>,
    successor: Option<&str>,
) -> Result<Option<StateData>, Failure> {
    if reason.is_none() && successor.is_none() {
        return Ok(None);
    }
    let data = StateData::new(State::Withdrawn).with_reason(reason.unwrap_or_default());
    let data = data
        .map_err(|error| Failure::new(ResponseCode::INVALID_VALUE, format!("`reason`: {error}")))?;
    let successor = successor.filter(|successor| !successor.is_empty());
    let successor = successor.map(Handle::parse).transpose()?;
    let since = node.now_secs().into();
    Ok(Some(data.with_successor(successor).with_since(since)))
}

/// Values of a record as somebody sees it who says who he is.
pub(super) struct Seen {
    pub(super) values: Vec<Value>,
    /// Whether others were asked for that he may not read.
    pub(super) withheld: bool,
}

/// Values of a record that not everybody may read, for somebody who says who he is.
pub(super) async fn restricted(
    node: &Node,
    asked: &Asked,
    handle: &Handle,
    indexes: &[i32],
    types: &[String],
) -> Result<Seen, Failure> {
    let flags = OpFlags::DEFAULT.without(OpFlags::PUBLIC_ONLY);
    let packet = builder(node, flags).resolve(handle.as_str(), indexes, types);
    let reply = carry_out(node, asked, &packet).await?;
    let message = reply.success(handle)?;
    let values = match Native::of(&message).map(|response| response.body) {
        Ok(Body::Record { values, .. }) => values.to_vec().map_err(|error| {
            Failure::new(ResponseCode::ERROR, error.to_string()).about(handle.as_str())
        })?,
        _ => Vec::new(),
    };
    let withheld = reply.0.withheld;
    Ok(Seen { values, withheld })
}

/// Whether the sender may list the handles of a prefix, by who he is.
pub(super) async fn may_list(node: &Node, asked: &Asked, prefix: &Handle) -> Result<(), Failure> {
    let packet = builder(node, OpFlags::DEFAULT).named(OpCode::LIST_HANDLES, prefix.as_str());
    let reply = carry_out(node, asked, &packet).await?;
    match reply.0.rest {
        Rest::List(_) => Ok(()),
        _ => reply.success(prefix).map(|_| ()),
    }
}

//----------- Prefixes -------------------------------------------------------

/// Homes or unhomes a prefix.
pub(super) async fn prefix(node: &Node, asked: &Asked, encoded: &str) -> Result<Response, Failure> {
    let prefix = match (encoded, asked.params.first("prefix")) {
        ("", Some(prefix)) => Handle::of_prefix(prefix)?,
        ("", None) => {
            let message = "which prefix? name it as `/api/prefixes/<prefix>`";
            return Err(Failure::new(ResponseCode::PROTOCOL_ERROR, message));
        }
        (encoded, _) => Handle::of_prefix(path::handle(encoded)?.as_str())?,
    };
    let op = match asked.method {
        Method::DELETE => OpCode::UNHOME_PREFIX,
        _ => OpCode::HOME_PREFIX,
    };
    let packet = builder(node, OpFlags::DEFAULT).named(op, prefix.as_str());
    let reply = carry_out(node, asked, &packet).await?;
    reply.success(&prefix)?;
    Ok(changed(
        asked,
        HttpOperation::Other,
        prefix.as_str(),
        &reply,
    ))
}

//----------- Carrying out ---------------------------------------------------

pub(super) fn builder(node: &Node, flags: OpFlags) -> RequestBuilder {
    RequestBuilder {
        envelope: Envelope::new(Version::OURS, 0),
        flags,
        expiration: node.now_secs().saturating_add(EXPIRATION_DEFAULT_SECS),
    }
}

/// The reply to a native request that was made from one over HTTP.
pub(super) struct Reply(pub(super) Carried);

impl Reply {
    /// The reply, if it is a success.
    pub(super) fn success(&self, handle: &Handle) -> Result<Message<'_>, Failure> {
        match Message::decode(&self.0.reply) {
            Ok(message) if message.header.code.is_success() => Ok(message),
            _ => Err(self.failure().about(handle.as_str())),
        }
    }

    /// The reply, which is none.
    pub(super) fn failure(&self) -> Failure {
        let Ok(message) = Message::decode(&self.0.reply) else {
            return Failure::new(ResponseCode::ERROR, "the request was cut off");
        };
        let code = message.header.code;
        let text = match Native::of(&message).map(|response| response.body) {
            Ok(Body::Error { text, .. }) => String::from_utf8_lossy(text).into_owned(),
            _ if code == ResponseCode::AUTHENTICATION_NEEDED => {
                "prove who you are, with the key of an administrator".to_owned()
            }
            _ => String::new(),
        };
        failure_of(code, text)
    }

    /// The name of the record that was created, if the reply tells it.
    pub(super) fn name(&self) -> Option<String> {
        let message = Message::decode(&self.0.reply).ok()?;
        match Native::of(&message).map(|response| response.body) {
            Ok(Body::Created(Some(name))) => Some(String::from_utf8_lossy(name).into_owned()),
            _ => None,
        }
    }
}

/// Why a change was not made, by the code and text that its sender would be told in a message.
pub(super) fn failure_of(code: ResponseCode, text: String) -> Failure {
    let is_stale = text.starts_with(STALE);
    let failure = Failure::new(code, text).of_proof();
    match is_stale {
        true => failure.with_status(412),
        false => failure,
    }
}

/// Carries out a native request for the sender of the one over HTTP.
pub(super) async fn carry_out(node: &Node, asked: &Asked, packet: &[u8]) -> Result<Reply, Failure> {
    let offered = identity::offered(node, asked)?;
    Ok(Reply(carry_out_for(node, asked, packet, offered).await))
}

pub(super) fn via(asked: &Asked) -> Via {
    Via {
        transport: asked.peer.transport(),
        peer: asked.peer.address,
        by_console: asked.by_console,
    }
}

pub(super) async fn carry_out_for(
    node: &Node,
    asked: &Asked,
    packet: &[u8],
    offered: Option<Offered>,
) -> Carried {
    let via = via(asked);
    let (presented, session) = match offered {
        Some(offered) => (Some(offered.presented), offered.session),
        None => (None, None),
    };
    let task = Task {
        packet: packet.to_vec(),
        presented,
        condition: condition::of(asked),
        is_rehearsal: asked.params.is_set(DRY_RUN),
    };
    let carried = node.carry_out(task, via).await;
    if let (Some(id), Some(proven)) = (session, &carried.proven) {
        identity::prove(node, id, proven.clone());
    }
    carried
}

/// The answer that a change was made, or would have been.
fn changed(asked: &Asked, operation: HttpOperation, handle: &str, reply: &Reply) -> Response {
    let code = ResponseCode::SUCCESS;
    let is_rehearsal = asked.params.is_set(DRY_RUN);
    let status = match is_rehearsal {
        true => 200,
        false => http_status(code, operation, asked.peer.secure),
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let effect = reply.0.effect.filter(|_| is_rehearsal);
    let form = ChangedAnswer {
        response_code: code.0,
        handle,
        would_be: effect.map(effect_name),
    };
    let mut response = answer_json(asked, status, &form);
    if !is_rehearsal {
        let by = reply.0.proven.as_ref();
        let by = By(by.map(|proven| proven.identity.clone()));
        response.extensions_mut().insert(by);
    }
    response
}

/// How an effect is called in answers.
pub(super) fn effect_name(effect: Effect) -> &'static str {
    match effect {
        Effect::Created => "created",
        Effect::Changed => "changed",
        Effect::Deleted => "deleted",
    }
}

/// A request that does nothing but prove who asks.
pub(super) fn who_is_it(node: &Node) -> Vec<u8> {
    let body = Writer::to_vec(|w| {
        w.bytes(b"");
        w.i32(0);
    });
    builder(node, OpFlags::DEFAULT).packet(OpCode::LOGIN, &body)
}
