//! How a resolution ends.

use std::borrow::Cow;

use guantong_proto::limits::RECURSION_MAX;
use guantong_proto::{DecodeError, NameError, Value};

use super::query::SELECTION_MAX;
use super::record::Selected;

//----------- Outcome --------------------------------------------------------

/// How a resolution ends. `V` is the form of the values: borrowed, or owned.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome<V = Vec<Value>> {
    /// The record exists, these are the values that were asked for and may be read. Not empty.
    Record(V),
    /// The record exists and has no such values, or none that may be read.
    ValuesNotFound,
    /// There is no such record.
    NotFound,
    /// A derived prefix lives elsewhere; these values say where.
    Referral(V),
    /// Another server answers for this name.
    NotResponsible(Misdirected),
    /// A selected value may be read only by those who prove who they are.
    AuthenticationNeeded,
    /// A selected value may be read by nobody.
    InsufficientPermissions,
    /// The name cannot be a handle.
    InvalidHandle(NameError),
    /// More indexes or types are selected than a record can have values.
    SelectionTooLong,
    /// Too many servers have passed the query on.
    RecursionTooDeep,
    /// What the store returned is not a record.
    Damaged(DecodeError),
}

/// Why another server answers for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misdirected {
    /// The prefix is not homed here.
    NotHomed,
    /// The prefix is homed here, but another server of the site holds this name.
    OtherServer,
    /// This is a mirror, and the request needs a primary.
    NotPrimary,
}

impl<V> Outcome<V> {
    /// What went wrong, for people; empty where the code says it all.
    pub fn message(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Record(_) | Self::NotFound | Self::ValuesNotFound => "",
            Self::Referral(_) => "that prefix is delegated to other servers",
            Self::NotResponsible(Misdirected::NotHomed) => "That prefix doesn't live here",
            Self::NotResponsible(Misdirected::OtherServer) => {
                "another server of this site holds that handle"
            }
            Self::NotResponsible(Misdirected::NotPrimary) => {
                "this server belongs to a mirror; ask a primary site"
            }
            Self::AuthenticationNeeded => {
                "a value asked for is not public; ask for public values only, or prove who you are"
            }
            Self::InsufficientPermissions => "a value asked for may be read by nobody",
            Self::InvalidHandle(error) => return Cow::Owned(error.to_string()),
            Self::SelectionTooLong => {
                return Cow::Owned(format!(
                    "more than {SELECTION_MAX} indexes or types are asked for, \
                     a record has no more values than that"
                ));
            }
            Self::RecursionTooDeep => {
                return Cow::Owned(format!(
                    "more than {RECURSION_MAX} servers have passed this request on"
                ));
            }
            Self::Damaged(error) => {
                return Cow::Owned(format!("the stored record is damaged: {error}"));
            }
        })
    }
}

impl Outcome<Selected<'_>> {
    /// The same with owned values.
    pub fn into_owned(self) -> Outcome {
        let own = |selected: Selected<'_>, wrap: fn(Vec<Value>) -> Outcome| {
            selected.to_vec().map_or_else(Outcome::Damaged, wrap)
        };
        match self {
            Self::Record(values) => own(values, Outcome::Record),
            Self::Referral(values) => own(values, Outcome::Referral),
            Self::ValuesNotFound => Outcome::ValuesNotFound,
            Self::NotFound => Outcome::NotFound,
            Self::NotResponsible(why) => Outcome::NotResponsible(why),
            Self::AuthenticationNeeded => Outcome::AuthenticationNeeded,
            Self::InsufficientPermissions => Outcome::InsufficientPermissions,
            Self::InvalidHandle(error) => Outcome::InvalidHandle(error),
            Self::SelectionTooLong => Outcome::SelectionTooLong,
            Self::RecursionTooDeep => Outcome::RecursionTooDeep,
            Self::Damaged(error) => Outcome::Damaged(error),
        }
    }
}
