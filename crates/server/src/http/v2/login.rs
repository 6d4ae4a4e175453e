//! `/api/v2/login`: a signed nonce gives a token.

use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use guantong_api::login::{
    ChallengeAnswer, ChallengeRequest, SignatureRequest, TokenAnswer, WhoAnswer,
};
use guantong_core::admin::Identity;
use guantong_proto::Handle;
use guantong_proto::message::ResponseCode;

use super::super::answer::{Failure, json};
use super::super::asked::Asked;
use super::super::identity;
use super::problem::Problem;
use super::sender::Sender;
use super::{body, not_allowed};
use crate::login::KEY_INDEX;
use crate::node::Node;

/// Answers a request for `/api/v2/login`.
pub(super) async fn answer(node: &Node, asked: &Asked, rest: &str) -> Result<Response, Problem> {
    node.login_takes(&asked.peer).map_err(Failure::from)?;
    match (&asked.method, rest) {
        (&(Method::GET | Method::HEAD), "") => who(node, asked).await,
        (&Method::DELETE, "") => Ok(end(node, asked)),
        (_, "") => Err(not_allowed(asked, "GET and DELETE")),
        (&Method::POST, "challenge") => challenge(node, asked),
        (&Method::POST, "answer") => sign_in(node, asked).await,
        (_, "challenge" | "answer") => Err(not_allowed(asked, "POST")),
        _ => {
            let message = "there are `challenge` and `answer`";
            let failure = Failure::new(ResponseCode::PROTOCOL_ERROR, message);
            Err(failure.with_status(404).into())
        }
    }
}

/// An identity as people write it: `index:handle`, or the handle alone.
pub(in crate::http) fn named(text: &str) -> Result<Identity, Problem> {
    let is_index = |index: &str| !index.is_empty() && index.bytes().all(|c| c.is_ascii_digit());
    match text.split_once(':') {
        Some((index, _)) if is_index(index) => Ok(identity::identity(text)?),
        _ => Ok(Identity {
            handle: Handle::parse(text)?,
            index: KEY_INDEX,
        }),
    }
}

fn challenge(node: &Node, asked: &Asked) -> Result<Response, Problem> {
    let request: ChallengeRequest = body(asked)?;
    let identity = named(&request.identity)?;
    let nonce = node.login_challenge(&identity, asked.peer.address.ip());
    Ok(json(asked, StatusCode::OK, &ChallengeAnswer { nonce }))
}

async fn sign_in(node: &Node, asked: &Asked) -> Result<Response, Problem> {
    let request: SignatureRequest = body(asked)?;
    let identity = named(&request.identity)?;
    let signature = STANDARD.decode(&request.signature).map_err(|_| {
        let message = "`signature` is not base64";
        Failure::new(ResponseCode::INVALID_CREDENTIAL, message)
    })?;
    let token = node
        .login_answer(&identity, &signature, asked.peer.address.ip())
        .await
        .map_err(Failure::from)?;
    let form = TokenAnswer {
        identity: identity.to_string(),
        token: token.as_str().to_owned(),
    };
    Ok(json(asked, StatusCode::OK, &form))
}

async fn who(node: &Node, asked: &Asked) -> Result<Response, Problem> {
    let identity = match identity::token(asked) {
        Some(token) => node.login_checked(token).await,
        None => Sender::of(node, asked).await?.by.0,
    };
    let Some(identity) = identity else {
        let message = "nobody is logged in, or not any more";
        return Err(Failure::new(ResponseCode::AUTHENTICATION_NEEDED, message).into());
    };
    let form = WhoAnswer {
        identity: identity.to_string(),
    };
    Ok(json(asked, StatusCode::OK, &form))
}

fn end(node: &Node, asked: &Asked) -> Response {
    if let Some(token) = identity::token(asked) {
        node.login_end(token);
    }
    StatusCode::NO_CONTENT.into_response()
}
