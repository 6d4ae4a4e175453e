//! What an enterprise says of itself, and what of it is wrong.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::template::Fault;

/// Every bound of an application, with its reason.
pub mod limit {
    /// Most characters of the name of an enterprise.
    pub const NAME_CHARS_MAX: usize = 255;
    /// Most characters of the number of a document.
    pub const NUMBER_CHARS_MAX: usize = 32;
    /// Most characters of a user name, as existing products have it.
    pub const USER_CHARS_MAX: usize = 50;
    /// Most characters of the name of a person, and of an address of electronic mail.
    pub const CONTACT_CHARS_MAX: usize = 128;
    /// Most characters of a telephone number.
    pub const PHONE_CHARS_MAX: usize = 32;
    /// Most characters of a prefix.
    pub const PREFIX_CHARS_MAX: usize = 64;
    /// Most characters of the part that an enterprise adds to the prefix above it.
    pub const SEGMENT_CHARS_MAX: usize = 20;
    /// Most octets of a public key, in whatever form.
    pub const KEY_OCTETS_MAX: usize = 8 * 1024;
    /// Most octets of everything else that is said, as JSON. A message carries no more than four
    /// times as much.
    pub const DETAILS_OCTETS_MAX: usize = 64 * 1024;
    /// Most characters of the reason of a rejection.
    pub const REASON_CHARS_MAX: usize = 1_000;
}

/// What an enterprise says of itself, and wants.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "EnterpriseForm")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Form {
    /// The name of the enterprise.
    pub name: String,
    /// The document that says that there is such an enterprise.
    pub document: Document,
    /// The prefix that it wants, directly below that of the second-level node.
    pub prefix: String,
    /// What its first user is to be called.
    pub user_name: String,
    /// Whom to ask.
    pub contact: Contact,
    /// The key of the prefix, in any form that `guantong key` reads; empty if it is to have none
    /// yet.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub public_key: String,
    /// Everything else, as the reviewer wants it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub details: Map<String, Json>,
}

/// A document of an enterprise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "EnterpriseDocument")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Document {
    /// Which it is.
    pub kind: DocumentKind,
    /// Its number.
    pub number: String,
}

/// Which document it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum DocumentKind {
    /// The unified social credit code (统一社会信用代码).
    #[default]
    CreditCode,
    /// Another one.
    Other,
}

/// Somebody to ask.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "EnterpriseContact")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Contact {
    /// The name.
    pub name: String,
    /// The telephone number.
    #[serde(default)]
    pub phone: String,
    /// The address of electronic mail.
    #[serde(default)]
    pub email: String,
}

impl fmt::Display for DocumentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CreditCode => "creditCode",
            Self::Other => "other",
        })
    }
}

impl Form {
    /// Everything that is wrong with it, below this prefix; empty if nothing is.
    pub(super) fn faults(&self, parent: &str) -> Vec<Fault> {
        use limit::{
            CONTACT_CHARS_MAX, DETAILS_OCTETS_MAX, KEY_OCTETS_MAX, NAME_CHARS_MAX,
            NUMBER_CHARS_MAX, PHONE_CHARS_MAX, USER_CHARS_MAX,
        };
        let mut faults = Vec::new();
        let mut fault = |place: &str, why: String| {
            let place = place.to_owned();
            faults.push(Fault { place, why });
        };
        for (place, text, least, most) in [
            ("name", &self.name, 1, NAME_CHARS_MAX),
            (
                "document.number",
                &self.document.number,
                1,
                NUMBER_CHARS_MAX,
            ),
            ("userName", &self.user_name, 1, USER_CHARS_MAX),
            ("contact.name", &self.contact.name, 1, CONTACT_CHARS_MAX),
            ("contact.phone", &self.contact.phone, 0, PHONE_CHARS_MAX),
            ("contact.email", &self.contact.email, 0, CONTACT_CHARS_MAX),
        ] {
            let count = text.trim().chars().count();
            if count < least || text.chars().count() > most || text.contains(char::is_control) {
                let why = format!("must have {least} to {most} characters, and none of control");
                fault(place, why);
            }
        }
        if self.contact.phone.is_empty() && self.contact.email.is_empty() {
            let why = "has neither `phone` nor `email`: how is the enterprise reached?";
            fault("contact", why.to_owned());
        }
        if let Err(why) = check_prefix(&self.prefix, parent) {
            fault("prefix", why);
        }
        if self.public_key.len() > KEY_OCTETS_MAX {
            fault(
                "publicKey",
                format!("has more than {KEY_OCTETS_MAX} octets"),
            );
        }
        // JSON that was read is always written.
        let details = serde_json::to_vec(&self.details).unwrap_or_default();
        if details.len() > DETAILS_OCTETS_MAX {
            fault(
                "details",
                format!("have more than {DETAILS_OCTETS_MAX} octets as JSON"),
            );
        }
        faults
    }
}

/// A prefix of an enterprise is that of the second-level node and one part more. The part is text:
/// `0042` is another one than `42`.
fn check_prefix(prefix: &str, parent: &str) -> Result<(), String> {
    let most = limit::SEGMENT_CHARS_MAX;
    let segment = prefix
        .strip_prefix(parent)
        .and_then(|rest| rest.strip_prefix('.'));
    let is_segment = |segment: &str| {
        (1..=most).contains(&segment.len()) && segment.bytes().all(|c| c.is_ascii_alphanumeric())
    };
    match segment.is_some_and(is_segment) && prefix.len() <= limit::PREFIX_CHARS_MAX {
        true => Ok(()),
        false => Err(format!(
            "must be `{parent}.`, then 1 to {most} digits or letters"
        )),
    }
}
