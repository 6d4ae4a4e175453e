//! Identities and groups (身份、身份组) under `/api/v2`.

use serde::{Deserialize, Serialize};

//----------- Keys -----------------------------------------------------------

/// A key that the node is to make.
#[derive(Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MakeKey {
    /// Of which kind.
    #[serde(default)]
    pub kind: KeyKind,
    /// With which the private key is encrypted; clear if it is missing.
    #[serde(default)]
    pub passphrase: Option<String>,
}

/// A kind of key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum KeyKind {
    /// RSA of 2048 bits, which every client takes.
    #[default]
    Rsa,
    /// ECDSA on P-256.
    P256,
    /// Ed25519.
    Ed25519,
    /// SM2.
    Sm2,
}

//----------- Identities -----------------------------------------------------

/// What an identity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum IdentityKind {
    /// A program (应用身份).
    App,
    /// A person (用户身份).
    User,
}

/// An identity that is to be made.
#[derive(Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewIdentity {
    /// The prefix under which it stands.
    pub prefix: String,
    /// What it is.
    pub kind: IdentityKind,
    /// The end of its handle; chosen by the node if it is missing.
    #[serde(default)]
    pub code: Option<String>,
    /// What people call it.
    #[serde(default)]
    pub name: Option<String>,
    /// Its public key in any form that is text.
    #[serde(default)]
    pub public_key: Option<String>,
    /// The key pair that is to be made for it.
    #[serde(default)]
    pub make_key: Option<MakeKey>,
    /// The first password of a user, who has to choose his own with it.
    #[serde(default)]
    pub password: Option<String>,
}

/// What is to be done with an identity.
#[derive(Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(
    tag = "action",
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum IdentityAction {
    /// Give it another key. All that was proven by the old one ends.
    RenewKey {
        /// The key,
        #[serde(default)]
        public_key: Option<String>,
        /// or what kind is to be made.
        #[serde(default)]
        make_key: Option<MakeKey>,
    },
    /// Have it prove nothing for now.
    Disable,
    /// Have it prove what it did before.
    Enable,
    /// Give a user a password, with which he has to choose his own.
    SetPassword {
        /// The password.
        password: String,
    },
    /// Take his second factor from a user.
    RemoveSecondFactor,
    /// Give a user a role.
    AddRole {
        /// Which.
        role: String,
    },
    /// Take a role from a user.
    RemoveRole {
        /// Which.
        role: String,
    },
}

/// The answer that an identity was made or has another key.
#[derive(Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct KeyAnswer {
    /// Its handle.
    pub handle: String,
    /// The private key that was made, PKCS#8 in PEM. It is told once and kept nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_key: Option<String>,
}

/// An identity.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct IdentityAnswer {
    /// Its handle.
    pub handle: String,
    /// What it is.
    pub kind: IdentityKind,
    /// What people call it, if the caller may read that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it proves nothing for now.
    pub disabled: bool,
    /// Kind and size of its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The key in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// How a user logs in, for those who may read what is not public.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<LoginState>,
    /// The roles of a user under the prefix.
    pub roles: Vec<&'static str>,
}

/// How a user logs in.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct LoginState {
    /// Whether he needs a code besides the password.
    pub second_factor: bool,
    /// Whether he has to choose a password of his own first.
    pub must_change: bool,
}

//----------- Groups ---------------------------------------------------------

/// A group that is to be made, or one of another enterprise that is to be listed.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewGroup {
    /// The prefix under which it stands, or is listed.
    pub prefix: String,
    /// The end of its handle.
    #[serde(default)]
    pub code: Option<String>,
    /// What people call it.
    #[serde(default)]
    pub name: Option<String>,
    /// Who is in it.
    #[serde(default)]
    pub members: Vec<String>,
    /// The handle of a group of another enterprise, in place of all that.
    #[serde(default)]
    pub import: Option<String>,
}

/// What is to be done with a group.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "action", rename_all = "camelCase", deny_unknown_fields)]
pub enum GroupAction {
    /// Take identities in.
    Add {
        /// Which.
        members: Vec<String>,
    },
    /// Take identities out.
    Remove {
        /// Which.
        members: Vec<String>,
    },
}

/// A group.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct GroupAnswer {
    /// Its handle.
    pub handle: String,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The role that it stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    /// Who is in it: `index:handle`.
    pub members: Vec<String>,
}

/// One page of the groups of a prefix.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct GroupsAnswer {
    /// Their handles.
    pub handles: Vec<String>,
    /// Groups of other enterprises that are listed here, on the first page.
    pub imported: Vec<String>,
    /// What `after` is for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
