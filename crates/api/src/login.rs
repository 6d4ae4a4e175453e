//! Logins (登录) under `/api/v2/login`.

use serde::{Deserialize, Serialize};

/// A nonce is wanted for this identity.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChallengeRequest {
    /// `index:handle` of the key, or the handle alone for index 300.
    pub identity: String,
}

/// A nonce.
#[derive(Clone, Debug, Serialize)]
pub struct ChallengeAnswer {
    /// What is to be signed, in UTF-8.
    pub nonce: String,
}

/// A nonce that was signed.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignatureRequest {
    /// As in the challenge.
    pub identity: String,
    /// The signature, in base64.
    pub signature: String,
}

/// A login.
#[derive(Clone, Serialize)]
pub struct TokenAnswer {
    /// Who has logged in: `index:handle` of the key that proved it.
    pub identity: String,
    /// For `Authorization: Bearer`.
    pub token: String,
}

/// Who is logged in.
#[derive(Clone, Debug, Serialize)]
pub struct WhoAnswer {
    /// `index:handle` of the key that proved it.
    pub identity: String,
}
