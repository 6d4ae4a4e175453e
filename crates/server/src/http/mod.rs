//! HTTP routes.

use std::sync::Arc;

use axum::Router;

use crate::listen::console;
use crate::node::Node;

/// The routes of the HTTP addresses.
pub fn router(node: Arc<Node>) -> Router {
    console::router(node)
}
