//! Versioned JSON types of the HTTP API.
