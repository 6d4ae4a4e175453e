//! Identities (身份) that log in: what waits for a signature, and who is logged in.
//!
//! ```text
//!   Nonces    nonces (挑战) that were given out and wait for a signature
//!   Sessions  who is logged in, under the digests of the tokens that were given out
//! ```
//!
//! A session is no better than the key or password that began it: it holds a
//! [`Proven`](crate::admin::authenticate::Proven), which is compared with the record again whenever
//! it is used. Nothing here draws randomness or knows a clock.

mod nonce;
mod session;

pub use nonce::{
    NONCE_LIFETIME_MS, NONCES_IDENTITY_MAX, NONCES_MAX, NONCES_SOURCE_MAX, NonceText, Nonces,
};
pub use session::{
    SESSION_LIFETIME_MS, SESSIONS_IDENTITY_MAX, SESSIONS_MAX, Session, Sessions, TOKEN_LEN, TokenId,
};
