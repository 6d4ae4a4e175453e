//! Enterprises that apply for a prefix below ours (企业注册): what they say, how it is reviewed, and
//! what comes of it.
//!
//! ```text
//!              approve                delegate
//!   applied ───────────► approved ───────────► delegated ──┐ delegate: another route
//!    ▲   │                │    │                   ▲    ◄───┘
//!    │   └──── reject ────┘    │ host              │ delegate
//!  amend          │            └────────► hosted ──┘
//!    └──────── rejected
//! ```
//!
//! An application is a record below the prefix of the second-level node, so mirrors, backups and
//! the change log have it. Nobody but the administrators of that prefix sees it: it holds what
//! identifies people. What is delegated is a prefix record like any other (`route`).

mod form;
mod route;

use guantong_proto::data::{STATE_INDEX, State as RecordState, StateData};
use guantong_proto::{CaseRule, Handle, Permissions, Value, Values};
use serde::{Deserialize, Serialize};

pub use self::form::{Contact, Document, DocumentKind, Form, limit};
pub use self::route::{address_site, copied_administrators, route_administrators};
use crate::identity::{Kind, Login};
use crate::template::{Fault, KEY_TYPE, Lookup};

/// Type of the value that makes a record an application.
pub const ENTERPRISE_TYPE: &str = "GT_ENTERPRISE";
/// Index of that value.
pub const ENTERPRISE_INDEX: i32 = 1;
/// What suffixes of applications begin with.
pub const ENTERPRISE_LEAD: &str = "Enterprise_";
/// Index of how its first user is to log in. It is another one than that of users: nobody logs in
/// as an application.
pub const APPLICANT_INDEX: i32 = 2;
/// Index of the first value by which an application is found.
const KEY_INDEX: i32 = 1_002;

//----------- Application ----------------------------------------------------

/// An application whose form has been checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Application {
    handle: Handle,
    head: Head,
}

/// What is stored of an application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    state: State,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    reason: String,
    filed: u32,
    changed: u32,
    /// Whether somebody filed it who did not say who he is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    by_guest: bool,
    form: Form,
}

/// Where an application is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "EnterpriseState")
)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// It waits for a review.
    Applied,
    /// The enterprise gets the prefix.
    Approved,
    /// It does not. The reason says why, and what to change.
    Rejected,
    /// The prefix is served by a node of the enterprise.
    Delegated,
    /// The prefix is served here.
    Hosted,
}

/// What is done with an application.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// The enterprise says something else, and asks again.
    Amend(Box<Form>),
    /// It gets the prefix that it wants, or this one.
    Approve(Option<String>),
    /// It gets none, for this reason.
    Reject(String),
    /// Its node serves the prefix.
    Delegate,
    /// We serve the prefix.
    Host,
}

/// Why something is not done with an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotDone {
    /// It is not in a state for it.
    State(WrongState),
    /// What is said is not right.
    Faults(Vec<Fault>),
}

/// The application is not in a state from which this can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the application is {from}: {advice}")]
pub struct WrongState {
    from: State,
    advice: &'static str,
}

impl Application {
    /// A new application.
    pub fn file(handle: Handle, form: Form, now_secs: u32) -> Result<Self, Vec<Fault>> {
        let faults = form.faults(handle.borrow().prefix());
        if !faults.is_empty() {
            return Err(faults);
        }
        let head = Head {
            state: State::Applied,
            reason: String::new(),
            filed: now_secs,
            changed: now_secs,
            by_guest: false,
            form,
        };
        Ok(Self { handle, head })
    }

    /// The same, filed by somebody who did not say who he is.
    pub fn by_guest(mut self) -> Self {
        self.head.by_guest = true;
        self
    }

    /// The handle of its first user, if the form names him so that there can be one.
    pub fn user(&self) -> Result<Handle, Fault> {
        let form = &self.head.form;
        let user = Kind::User.handle(&form.prefix, &form.user_name);
        user.map_err(|fault| Fault {
            place: "userName".to_owned(),
            why: fault.to_string(),
        })
    }

    /// Its handle.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Where it is in its life.
    pub fn state(&self) -> State {
        self.head.state
    }

    /// Why it was rejected; empty if it was not.
    pub fn reason(&self) -> &str {
        &self.head.reason
    }

    /// When it was filed, in seconds since 1970.
    pub fn filed_secs(&self) -> u32 {
        self.head.filed
    }

    /// When it was last changed, in seconds since 1970.
    pub fn changed_secs(&self) -> u32 {
        self.head.changed
    }

    /// What the enterprise says. Once it is approved, its prefix is the one that it has.
    pub fn form(&self) -> &Form {
        &self.head.form
    }

    /// The same after a step.
    pub fn take(mut self, step: Step, now_secs: u32) -> Result<Self, NotDone> {
        use State::{Applied, Approved, Delegated, Hosted, Rejected};
        let from = self.head.state;
        let (to, advice) = match step {
            Step::Amend(_) => (Applied, "an application is amended before it is approved"),
            Step::Approve(_) => (Approved, "one that waits for a review is approved"),
            Step::Reject(_) => (Rejected, "one that is not in use yet is rejected"),
            Step::Delegate => (Delegated, "approve it, then delegate its prefix"),
            Step::Host => (Hosted, "approve it, then host its prefix"),
        };
        let is_allowed = matches!(
            (from, to),
            (Applied | Rejected, Applied)
                | (Applied, Approved)
                | (Applied | Approved, Rejected)
                | (Approved | Delegated | Hosted, Delegated)
                | (Approved | Hosted, Hosted)
        );
        if !is_allowed {
            return Err(NotDone::State(WrongState { from, advice }));
        }
        self.head.reason.clear();
        match step {
            Step::Amend(form) => self.head.form = *form,
            Step::Approve(Some(prefix)) => self.head.form.prefix = prefix,
            Step::Reject(reason) => self.head.reason = reason,
            Step::Approve(None) | Step::Delegate | Step::Host => {}
        }
        let mut faults = self.head.form.faults(self.handle.borrow().prefix());
        let is_told = to != Rejected || !self.head.reason.trim().is_empty();
        if !is_told || self.head.reason.chars().count() > limit::REASON_CHARS_MAX {
            let most = limit::REASON_CHARS_MAX;
            faults.push(Fault {
                place: "reason".to_owned(),
                why: format!("must have 1 to {most} characters: what is to be changed?"),
            });
        }
        if !faults.is_empty() {
            return Err(NotDone::Faults(faults));
        }
        self.head.state = to;
        self.head.changed = now_secs;
        Ok(self)
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Applied => "waiting for a review",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Delegated => "delegated",
            Self::Hosted => "hosted",
        })
    }
}

//----------- Record ---------------------------------------------------------

impl Application {
    /// The values that make a record this application, none of them public.
    pub fn to_values(&self, rule: CaseRule) -> Vec<Value> {
        let hidden = |index, kind: &str, data: Vec<u8>| Value {
            permissions: Permissions(Permissions::ADMIN_READ | Permissions::ADMIN_WRITE),
            ..Value::new(index, kind, data)
        };
        // A form of texts, numbers and JSON is always written.
        let json = serde_json::to_vec(&self.head).unwrap_or_default();
        let prefix = self.handle.borrow().prefix_handle();
        let mut keys = vec![list_key(&prefix, rule)];
        let waits = self.head.by_guest && self.head.state == State::Applied;
        keys.extend(waits.then(|| guests_key(&prefix, rule)));
        keys.extend(self.keys(rule).into_iter().map(|(_, key)| key));
        let mut values = vec![
            hidden(ENTERPRISE_INDEX, ENTERPRISE_TYPE, json),
            StateData::new(RecordState::Reserved).to_value(),
        ];
        values.extend(
            (KEY_INDEX..)
                .zip(keys)
                .map(|(index, key)| hidden(index, KEY_TYPE, key)),
        );
        values
    }

    /// Whether a value of the record is replaced when the application is written.
    pub fn owns(value: &Value) -> bool {
        value.kind.eq_ignore_ascii_case(ENTERPRISE_TYPE)
            || value.kind.eq_ignore_ascii_case(KEY_TYPE)
            || value.index == STATE_INDEX
    }

    /// The application that a record is; `None` if it is none, or damaged.
    pub fn of(handle: Handle, values: Values<'_>) -> Option<Self> {
        let mut values = values.iter();
        let is_head = |kind: &[u8]| kind.eq_ignore_ascii_case(ENTERPRISE_TYPE.as_bytes());
        let value = values.find(|value| is_head(value.kind))?;
        let head = serde_json::from_slice(value.data).ok()?;
        Some(Self { handle, head })
    }

    /// What no two applications share, as the part of the form and the data of a value. A rejected
    /// one holds nothing: the enterprise may ask again.
    fn keys(&self, rule: CaseRule) -> Vec<(&'static str, Vec<u8>)> {
        if self.head.state == State::Rejected {
            return Vec::new();
        }
        let form = &self.head.form;
        let own = self.handle.borrow().prefix_handle();
        let key = |part: &str, text: &str| unique_key(&own, part, text, rule);
        let document = format!("{} {}", form.document.kind, form.document.number);
        vec![
            ("document.number", key("document", &document)),
            ("userName", key("user", &form.user_name)),
            ("prefix", key("prefix", &form.prefix)),
        ]
    }

    /// What must be known of other applications before this one is stored.
    pub fn lookups(&self, rule: CaseRule) -> Vec<Lookup> {
        let keys = self.keys(rule).into_iter();
        let lookups = keys.map(|(field, key)| Lookup::Holders {
            field: field.to_owned(),
            key,
        });
        lookups.collect()
    }
}

/// Data of a value that no two applications below a prefix share.
fn unique_key(above: &Handle, part: &str, text: &str, rule: CaseRule) -> Vec<u8> {
    let (own, text) = (above.key(rule), text.to_lowercase());
    [
        b"enterprise ",
        part.as_bytes(),
        b" ",
        own.as_bytes(),
        b"\n",
        text.as_bytes(),
    ]
    .concat()
}

/// Data of the value by which the application is found whose first user has this name.
pub fn user_key(above: &Handle, name: &str, rule: CaseRule) -> Vec<u8> {
    unique_key(above, "user", name, rule)
}

/// Data of the value by which the applications of guests are found that wait for a review.
pub fn guests_key(above: &Handle, rule: CaseRule) -> Vec<u8> {
    [b"enterprise of guests ", above.key(rule).as_bytes()].concat()
}

/// How the first user is to log in, kept in the record of an application. Its type is told to
/// nobody.
pub fn applicant_value(login: &Login) -> Value {
    Value {
        index: APPLICANT_INDEX,
        ..login.to_value()
    }
}

/// How the first user is to log in, if that is known.
pub fn applicant_login(record: Values<'_>) -> Option<Login> {
    let mut values = record.iter();
    let value = values.find(|value| value.index == APPLICANT_INDEX && value.is_secret())?;
    Login::parse(value.data).ok()
}

/// Data of the value by which the applications of a prefix are found.
pub fn list_key(prefix: &Handle, rule: CaseRule) -> Vec<u8> {
    [b"enterprise of ", prefix.key(rule).as_bytes()].concat()
}

#[cfg(test)]
mod tests;
