//! Logins (登录) under `/api/v2/login`.

use serde::{Deserialize, Serialize};

/// A nonce is wanted for this identity.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ChallengeRequest {
    /// `index:handle` of the key, or the handle alone for index 300.
    pub identity: String,
}

/// A nonce.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChallengeAnswer {
    /// What is to be signed, in UTF-8.
    pub nonce: String,
}

/// A nonce that was signed.
#[derive(Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SignatureRequest {
    /// As in the challenge.
    pub identity: String,
    /// The signature, in base64.
    pub signature: String,
}

/// A login.
#[derive(Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TokenAnswer {
    /// Who has logged in: `index:handle` of the key that proved it.
    pub identity: String,
    /// For `Authorization: Bearer`.
    pub token: String,
}

/// Who is logged in.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WhoAnswer {
    /// `index:handle` of the key that proved it.
    pub identity: String,
    /// His roles under the prefix of his own handle.
    pub roles: Vec<&'static str>,
}

//----------- Passwords ------------------------------------------------------

/// A user with his password.
#[derive(Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PasswordRequest {
    /// His handle.
    pub user: String,
    /// His password.
    pub password: String,
    /// The code of his second factor, if he has one.
    #[serde(default)]
    pub code: Option<String>,
}

/// A user who wants another password.
#[derive(Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OwnPasswordRequest {
    /// His handle.
    pub user: String,
    /// His password until now.
    pub password: String,
    /// The code of his second factor, if he has one.
    #[serde(default)]
    pub code: Option<String>,
    /// His password from now on.
    pub new_password: String,
}

/// The first administrator of a new node.
#[derive(Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetUpRequest {
    /// What is in the file `setup_code` of the node's folder.
    pub setup_code: String,
    /// His handle.
    pub user: String,
    /// His own password.
    pub password: String,
}

/// Whether the first administrator is yet to be made.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SetUpAnswer {
    /// The code is there and was not used.
    pub open: bool,
}

/// A user who wants a second factor, another one, or none.
#[derive(Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecondFactorRequest {
    /// What is to be done.
    pub action: SecondFactorAction,
    /// His handle.
    pub user: String,
    /// His password.
    pub password: String,
    /// The code of the second factor that he has.
    #[serde(default)]
    pub code: Option<String>,
    /// The secret that `begin` has given.
    #[serde(default)]
    pub secret: Option<String>,
    /// A code that the device makes of it.
    #[serde(default)]
    pub new_code: Option<String>,
}

/// What is to be done with a second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum SecondFactorAction {
    /// Draw a secret. Nothing is changed yet.
    Begin,
    /// Take the secret into use: the device has it, as a code of it shows.
    Confirm,
    /// Go without.
    Remove,
}

/// The secret of a second factor, for the device that will make the codes.
#[derive(Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SecondFactorAnswer {
    /// In base32.
    pub secret: String,
    /// The same for a device that reads it from a QR code.
    pub uri: String,
}
