//! Decisions of a node: answering, access, selection.
