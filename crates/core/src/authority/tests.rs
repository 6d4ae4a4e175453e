//! Decisions, each at its own edge.
