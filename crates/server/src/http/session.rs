//! `/api/sessions`: prove once who asks, then name the session (8.5).

use axum::http::header::LOCATION;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use guantong_api::handles::SessionAnswer;
use guantong_core::admin::authenticate::Proven;
use guantong_core::admin::web::WebId;
use guantong_proto::crypto::Hash;
use guantong_proto::message::{Body, Message, Response as Native, ResponseCode};

use super::answer::{Failure, json};
use super::asked::Asked;
use super::change::{carry_out_for, who_is_it};
use super::identity::{self, Fields, write_id};
use crate::errand::locked;
use crate::node::Node;

/// The name of the session that a request names in its credentials.
const THIS: &str = "/api/sessions/this";

/// Answers a request below `/api/sessions`.
pub(super) async fn answer(node: &Node, asked: &Asked, rest: &str) -> Result<Response, Failure> {
    if !asked.peer.secure {
        // As Handle.Net: nothing that a listener could use, not even a reason.
        return Ok(StatusCode::FORBIDDEN.into_response());
    }
    match (rest, &asked.method) {
        ("", &Method::POST) => Ok(begin(node, asked)),
        ("this", &(Method::GET | Method::HEAD)) => state(node, asked),
        ("this", &(Method::PUT | Method::POST)) => prove(node, asked).await,
        ("this", &Method::DELETE) => {
            let (id, ..) = named(node, asked)?;
            locked(&node.errands.web).end(&id);
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        _ => {
            let message = format!("begin with POST to `/api/sessions`, go on with `{THIS}`");
            Err(Failure::new(ResponseCode::PROTOCOL_ERROR, message).with_status(404))
        }
    }
}

fn begin(node: &Node, asked: &Asked) -> Response {
    let (id, nonce) = identity::begin(node, asked);
    let fields = fields(asked);
    let client_nonce = fields.octets("cnonce").unwrap_or_default();
    let signature = match client_nonce.is_empty() {
        true => None,
        false => node.sign(Hash::Sha256, &[&nonce[..], &client_nonce].concat()),
    };
    let form = SessionAnswer {
        session_id: write_id(&id),
        nonce: STANDARD.encode(nonce),
        server_alg: signature.is_some().then_some("SHA256"),
        server_signature: signature.map(|octets| STANDARD.encode(octets)),
        ..SessionAnswer::default()
    };
    let mut response = json(asked, StatusCode::CREATED, &form);
    response
        .headers_mut()
        .insert(LOCATION, HeaderValue::from_static(THIS));
    response
}

fn state(node: &Node, asked: &Asked) -> Result<Response, Failure> {
    let (id, nonce, proven) = named(node, asked)?;
    Ok(json(
        asked,
        StatusCode::OK,
        &form(&id, &nonce, proven.as_ref()),
    ))
}

async fn prove(node: &Node, asked: &Asked) -> Result<Response, Failure> {
    let (id, nonce, _) = named(node, asked)?;
    let offered = identity::handle(node, &fields(asked))?;
    let carried = carry_out_for(node, asked, &who_is_it(node), offered).await;
    if let Some(proven) = &carried.proven {
        return Ok(json(
            asked,
            StatusCode::OK,
            &form(&id, &nonce, Some(proven)),
        ));
    }
    let reply = Message::decode(&carried.reply).ok();
    let body = reply
        .and_then(|message| Native::of(&message).ok())
        .map(|native| native.body);
    let error = match body {
        Some(Body::Error { text, .. }) => String::from_utf8_lossy(text).into_owned(),
        _ => "a proof was expected: id, type, alg, cnonce and signature".to_owned(),
    };
    Err(Failure::new(ResponseCode::AUTHENTICATION_FAILED, error).of_proof())
}

fn form(id: &WebId, nonce: &[u8], proven: Option<&Proven>) -> SessionAnswer {
    SessionAnswer {
        session_id: write_id(id),
        nonce: STANDARD.encode(nonce),
        authenticated: proven.is_some(),
        id: proven.map(|proven| proven.identity.to_string()),
        ..SessionAnswer::default()
    }
}

/// The fields of the credential, or of the body.
fn fields(asked: &Asked) -> Fields {
    let header = asked.header(axum::http::header::AUTHORIZATION);
    match header.and_then(|header| header.split_once(' ')) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("Handle") => Fields::parse(rest),
        _ => Fields::of_params(asked),
    }
}

/// The session that the request names; who does not get a new one.
fn named(node: &Node, asked: &Asked) -> Result<(WebId, [u8; 16], Option<Proven>), Failure> {
    let id = fields(asked).first("sessionId").and_then(identity::read_id);
    let found = id.and_then(|id| {
        let session = locked(&node.errands.web)
            .find(&id, node.uptime_ms())
            .cloned();
        session.map(|session| (id, session.nonce, session.proven))
    });
    let message = "there is no such session, or it has ended";
    found.ok_or_else(|| Failure::new(ResponseCode::AUTHENTICATION_NEEDED, message))
}
