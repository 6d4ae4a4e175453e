//! The console address: metrics and health, for the operator's own network.
//!
//! `/live` says that the process runs, `/ready` that it can answer, `/metrics` how it fares. They
//! need no authentication and give no detail away; whoever mounts them elsewhere must restrict
//! `/metrics` with [`may_read_metrics`].

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use super::Peer;
use crate::node::Node;

/// The routes of the console address.
pub fn router(node: Arc<Node>) -> Router {
    Router::new()
        .route("/live", get(live))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(node)
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

/// Whether a peer may read the figures: at the console address anybody, elsewhere the networks of
/// the configuration.
pub fn may_read_metrics(node: &Node, peer: &Peer) -> bool {
    let allowed = &node.config().http.metrics_allow;
    let address = peer.address.ip();
    peer.console || allowed.iter().any(|network| network.contains(&address))
}
