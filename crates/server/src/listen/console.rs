//! The console address: metrics and health, for the operator's own network; everything else there
//! are the pages of the console (`crate::console`).
//!
//! `/live` says that the process runs, `/ready` that it can answer, `/metrics` how it fares. They
//! need no authentication and give no detail away; whoever mounts them elsewhere must restrict
//! `/metrics` with [`may_read_metrics`].

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::{Peer, host};
use crate::node::Node;

/// The routes of the console address.
pub fn router(node: Arc<Node>) -> Router {
    Router::new()
        .route("/live", get(live))
        .route("/ready", get(ready))
        .route("/metrics", get(own_metrics))
        .fallback(crate::console::answer)
        .with_state(node)
}

/// The figures at the console address.
async fn own_metrics(State(node): State<Arc<Node>>, uri: Uri, headers: HeaderMap) -> Response {
    let called = host::host_of(&uri, &headers);
    match host::is_trustworthy(called, node.config().site.domain.as_deref()) {
        true => metrics(State(node)).await.into_response(),
        false => refusal(),
    }
}

/// The answer to those who may not read the figures.
pub fn refusal() -> Response {
    let text = "figures are for the networks of http.metrics_allow, under an address of this node                 or the name in site.domain\n";
    (StatusCode::FORBIDDEN, text).into_response()
}

/// The process runs.
pub async fn live() -> &'static str {
    "live\n"
}

/// The node can answer.
pub async fn ready(State(node): State<Arc<Node>>) -> (StatusCode, &'static str) {
    match node.is_ready() {
        true => (StatusCode::OK, "ready\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
    }
}

/// The figures in the Prometheus text form.
pub async fn metrics(State(node): State<Arc<Node>>) -> impl IntoResponse {
    let text = node.metrics.render(&node.snapshot());
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text)
}

/// Whether a peer who called us by the name `called` may read the figures: at the console address
/// anybody, elsewhere the networks of the configuration.
pub fn may_read_metrics(node: &Node, peer: &Peer, called: Option<&str>) -> bool {
    let config = node.config();
    let address = peer.address.ip();
    let mut allowed = config.http.metrics_allow.iter();
    (peer.console || allowed.any(|network| network.contains(&address)))
        && host::is_trustworthy(called, config.site.domain.as_deref())
}
