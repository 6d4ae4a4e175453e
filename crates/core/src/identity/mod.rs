//! Identities (身份): what they are called, what roles mean, how they log in, and who is logged in.
//!
//! ```text
//!   Kind      app, user, group, by the name
//!   Role      groups that the prefix record names, and what they allow
//!   Login     password, second factor and state of a user, in one value of his record
//!   Nonces    nonces (挑战) that were given out and wait for a signature
//!   day       the digest of an API secret that older programs send for a day
//!   Sessions  who is logged in, under the digests of the tokens that were given out
//! ```
//!
//! A session is no better than the key or password that began it: it holds a
//! [`Proven`](crate::admin::authenticate::Proven), which is compared with the record again whenever
//! it is used. Nothing here draws randomness or knows a clock.

mod day;
mod login;
mod name;
mod nonce;
mod role;
mod session;

pub use day::{API_SECRET_LEN_MIN, api_digest, day_digests};
pub use login::{
    Chosen, LOGIN_INDEX, LOGIN_TYPE, Login, LoginFault, LoginState, PASSWORD_CHARS_MIN,
    PASSWORD_OCTETS_MAX, SALT_LEN, SECRET_LEN, SecondFactor, check_nobody, check_password,
};
pub use name::{CODE_CHARS_MAX, Kind, NameFault, code_of};
pub use nonce::{
    NONCE_LIFETIME_MS, NONCES_IDENTITY_MAX, NONCES_MAX, NONCES_SOURCE_MAX, NonceText, Nonces,
};
pub(crate) use role::proves;
pub use role::{MEMBERS_INDEX, NoRole, Role, group_values, role_values};
pub use session::{
    SESSION_LIFETIME_MS, SESSIONS_IDENTITY_MAX, SESSIONS_MAX, Session, Sessions, TOKEN_LEN, TokenId,
};
