//! Listeners, HTTP, configuration, metrics and jobs of a node.
