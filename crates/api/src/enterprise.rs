//! The JSON forms of `/api/v2/enterprises`: enterprises that apply for a prefix.
//!
//! What an enterprise says has the form in which it is stored, and is a parameter here.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// An application that is to be filed, or what it says from now on.
#[derive(Debug, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "FiledEnterprise")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Filed<F> {
    /// What the enterprise says.
    pub form: F,
    /// The password of its first user; without it, one is made only if `host` gives him one.
    #[serde(default)]
    pub password: Option<String>,
}

/// What is to be done with an application.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "action", rename_all = "camelCase", deny_unknown_fields)]
pub enum EnterpriseAction {
    /// Let it have the prefix.
    Approve {
        /// The prefix, if it is another one than it wants.
        #[serde(default)]
        prefix: Option<String>,
    },
    /// Let it have none.
    Reject {
        /// Why, and what is to be changed.
        reason: String,
    },
    /// Let its node serve the prefix.
    Delegate {
        /// The site of its node, as its `/api/site` shows it.
        site: Json,
    },
    /// Serve the prefix here.
    Host {
        /// The first password of its first user, who has to choose his own with it.
        #[serde(default)]
        password: Option<String>,
    },
}

/// An application.
#[derive(Debug, Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "EnterpriseAnswer")
)]
#[serde(rename_all = "camelCase")]
pub struct EnterpriseAnswer<F, S> {
    /// Its handle.
    pub handle: String,
    /// Where it is in its life.
    pub state: S,
    /// Why it was rejected.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// When it was filed (RFC 3339).
    pub filed: String,
    /// When it was last changed.
    pub changed: String,
    /// What the enterprise says.
    pub form: F,
}

/// Applications for prefixes below one.
#[derive(Debug, Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "EnterprisesAnswer")
)]
#[serde(rename_all = "camelCase")]
pub struct EnterprisesAnswer<F, S> {
    /// The applications.
    pub enterprises: Vec<EnterpriseAnswer<F, S>>,
    /// What `after` is for the next page; missing on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
