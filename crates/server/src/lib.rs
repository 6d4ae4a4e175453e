//! Listeners, HTTP, configuration, metrics and jobs of a node.

pub mod control;
pub mod transfer;
