//! `/api/verifications/{index:handle}`: whether an answer by secret key is right, for servers that
//! cannot read the key (8.1). Over HTTPS only; wrong answers are counted as those of a login.

use axum::http::{Method, StatusCode};
use axum::response::Response;
use guantong_api::handles::VerificationAnswer;
use guantong_proto::crypto::challenge::SECRET_KEY;
use guantong_proto::message::{
    Body, OpCode, OpFlags, Request, Response as Native, ResponseCode, Version,
};
use guantong_proto::wire::Writer;

use super::answer::{Failure, json};
use super::asked::Asked;
use super::change::{Reply, builder, carry_out_for};
use super::identity::{Fields, identity, signed};
use super::path;
use crate::node::Node;

/// Answers a request below `/api/verifications`.
pub(super) async fn answer(node: &Node, asked: &Asked, encoded: &str) -> Result<Response, Failure> {
    if !asked.peer.secure {
        let message = "answers by secret key are taken over HTTPS only";
        return Err(Failure::new(ResponseCode::AUTHENTICATION_NEEDED, message));
    }
    if !asked.method.is_safe() && asked.method != Method::POST {
        let message = "ask with GET or POST";
        return Err(Failure::new(ResponseCode::PROTOCOL_ERROR, message).with_status(405));
    }
    let named = path::handle(encoded)?;
    let key = match asked.params.first("index") {
        Some(index) => identity(&format!("{index}:{named}"))?,
        None => identity(named.as_str())?,
    };
    let fields = Fields::of_params(asked);
    let (nonce, digest) = (fields.octets("nonce")?, fields.octets("cnonce")?);
    if nonce.is_empty() || digest.is_empty() {
        let message = "`nonce`, `cnonce`, `alg` and `signature` say what is to be verified";
        return Err(Failure::new(ResponseCode::PROTOCOL_ERROR, message));
    }
    let signed = signed(SECRET_KEY, &fields)?;
    let request = Request::VerifyAnswer {
        user: key.handle.as_str().as_bytes(),
        user_index: key.index,
        nonce: &nonce,
        digest: &digest,
        signed: &signed,
    };
    let body = Writer::to_vec(|w| request.encode(Version::OURS, w));
    let packet = builder(node, OpFlags::DEFAULT).packet(OpCode::VERIFY_ANSWER, &body);
    let reply = Reply(carry_out_for(node, asked, &packet, None).await);
    let message = reply.success(&key.handle)?;
    let body = Native::of(&message).map(|response| response.body);
    let form = VerificationAnswer {
        response_code: ResponseCode::SUCCESS.0,
        is_valid: matches!(body, Ok(Body::Verified(1))),
        handle: key.handle.as_str(),
    };
    Ok(json(asked, StatusCode::OK, &form))
}
