//! Requests that the console makes to the node's own JSON API, without a socket in between.
//!
//! So a page shows and changes exactly what its viewer may over HTTP: it takes the same way.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use axum::http::{Method, Request};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::asked::{Asked, ByConsole};
use super::change::{Reply, carry_out_for, who_is_it};
use super::identity;
use crate::listen::Peer;
use crate::login::Token;
use crate::node::Node;

/// Longest answer that is taken: a full page of registrations, or the results of a full batch.
const ANSWER_LEN_MAX: usize = 16 * 1024 * 1024;

/// A request.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: &'a str,
    /// Who makes it, as far as the connection tells.
    pub(crate) peer: SocketAddr,
    /// The `Authorization` of the viewer.
    pub(crate) credential: Option<&'a HeaderValue>,
    /// The media type of the body.
    pub(crate) kind: &'static str,
    pub(crate) body: Vec<u8>,
}

/// An answer.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub(crate) status: u16,
    pub(crate) octets: Bytes,
}

/// Answers a request.
pub(crate) async fn ask(node: &Arc<Node>, call: Call<'_>) -> Given {
    let mut request = Request::builder().method(call.method).uri(call.target);
    if let Some(credential) = call.credential {
        request = request.header(AUTHORIZATION, credential);
    }
    if !call.body.is_empty() {
        request = request.header(CONTENT_TYPE, call.kind);
    }
    let Ok(request) = request
        .extension(peer(call.peer))
        .extension(ByConsole)
        .body(Body::from(call.body))
    else {
        return refused(414);
    };
    let response = super::answer(State(node.clone()), request).await;
    let status = response.status().as_u16();
    match to_bytes(response.into_body(), ANSWER_LEN_MAX).await {
        Ok(octets) => Given { status, octets },
        Err(_) => refused(500),
    }
}

fn refused(status: u16) -> Given {
    Given {
        status,
        ..Given::default()
    }
}

/// Nobody listens between the console and the API. What the console is trusted with as an address,
/// its viewers are not.
fn peer(address: SocketAddr) -> Peer {
    Peer {
        address,
        secure: true,
        console: false,
    }
}

//----------- Signing in -----------------------------------------------------

/// Has somebody prove who he is by the secret key of an identity `index:handle`, and begins a
/// session. What comes is its token, or why there is none.
pub(crate) async fn sign_in(
    node: &Node,
    address: SocketAddr,
    identity: &str,
    secret: &str,
) -> Result<Token, String> {
    let user = utf8_percent_encode(identity.trim(), NON_ALPHANUMERIC);
    let basic = format!("Basic {}", STANDARD.encode(format!("{user}:{secret}")));
    let request = Request::builder()
        .uri("/api/sessions/this")
        .header(AUTHORIZATION, basic)
        .extension(peer(address))
        .body(Body::empty());
    let (parts, body) = request.map_err(|error| error.to_string())?.into_parts();
    let asked = Asked::read(node, parts, body).await;
    let asked = asked.map_err(|(_, failure)| failure.message().to_owned())?;
    let offered = identity::offered(node, &asked);
    let offered = offered.map_err(|failure| failure.message().to_owned())?;
    let carried = carry_out_for(node, &asked, &who_is_it(node), offered).await;
    match carried.proven.clone() {
        Some(proven) => Ok(node.login_begin(proven)),
        None => Err(Reply(carried).failure().message().to_owned()),
    }
}
