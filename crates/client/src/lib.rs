//! Async client of the Handle protocol.
