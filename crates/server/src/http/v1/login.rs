//! `/api/v1/doip/public/…`: an application signs a nonce, and gets a token.

use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use guantong_api::doip::{Code, VerifyResponse};
use guantong_core::admin::Identity;
use serde_json::json;

use super::super::asked::Asked;
use super::super::v2::login::named;
use super::refusal::{Deed, Refusal};
use super::{Said, body, handle, param, unsupported, wanted};
use crate::login::{KEY_INDEX, LoginError};
use crate::node::Node;

/// What identities of people, and groups, are called; they do not log in here.
const NO_APPLICATIONS: [&str; 2] = ["User_", "Group_"];

/// The nonce is a plain text in `data`: clients read nothing else there.
pub(super) fn challenge(node: &Node, asked: &Asked) -> Said {
    if !matches!(asked.method, Method::GET | Method::HEAD) {
        return Err(unsupported(asked, "GET"));
    }
    node.login_takes(&asked.peer)
        .map_err(|error| refused(&error))?;
    let identity = application(param(asked, "handle")?)?;
    let nonce = node.login_challenge(&identity, asked.peer.address.ip());
    Ok(Some(nonce.into()))
}

/// Sent by POST, and by clients that declare it so, by GET with a body.
pub(super) async fn verify(node: &Node, asked: &Asked) -> Said {
    if !matches!(asked.method, Method::GET | Method::POST) {
        return Err(unsupported(asked, "POST"));
    }
    node.login_takes(&asked.peer)
        .map_err(|error| refused(&error))?;
    let said: VerifyResponse = body(asked)?;
    let identity = application(wanted(said.handle.as_ref(), "handle")?)?;
    let signature = wanted(said.signature.as_ref(), "signature")?;
    // Some encoders break lines.
    let signature: String = signature.split_ascii_whitespace().collect();
    let signature = STANDARD
        .decode(signature)
        .map_err(|_| Refusal::new(Code::AuthenticationFailed, "`signature` is not base64"))?;
    let token = node
        .login_answer(&identity, &signature, asked.peer.address.ip())
        .await;
    let token = token.map_err(|error| refused(&error))?;
    Ok(Some(json!({"token": token.as_str()})))
}

fn application(text: &str) -> Result<Identity, Refusal> {
    let identity = named(text).map_err(|problem| Deed::Read.refused(problem))?;
    handle(identity.handle.as_str())?;
    let suffix = identity.handle.borrow().suffix();
    let leads = |lead: &&str| {
        suffix
            .get(..lead.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(lead))
    };
    match NO_APPLICATIONS.iter().any(leads) || identity.index != KEY_INDEX {
        false => Ok(identity),
        true => {
            let message = format!("`{text}` is no application; those log in here");
            Err(Refusal::new(Code::ClientUnknown, message))
        }
    }
}

fn refused(error: &LoginError) -> Refusal {
    let code = match error {
        LoginError::Plain => Code::Declined,
        _ => Code::AuthenticationFailed,
    };
    Refusal::new(code, error.to_string())
}
