//! How a resolution ends.

use std::borrow::Cow;

use guantong_proto::data::StateData;
use guantong_proto::limits::RECURSION_MAX;
use guantong_proto::message::ResponseCode;
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
    /// There was such a record; its name is not given again.
    Withdrawn(Box<StateData>),
    /// A derived prefix lives elsewhere; these values say where.
    Referral(V),
    /// The prefix of the name is delegated to other servers; these values say which.
    ServiceReferral(V),
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
    /// The name lives elsewhere and could not be resolved; the text says what stood in the way.
    Unresolved(Trouble, String),
}

/// Why a name that lives elsewhere could not be resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// This node resolves as many names as it may.
    Busy,
    /// Nobody who could answer was reached.
    Unreachable,
    /// Somebody was reached, but no answer came in time.
    TooLate,
    /// What was answered is unsound or leads nowhere.
    Unsound,
    /// Too many servers had to be asked.
    TooDeep,
    /// The values are for those who prove who they are, at the site of the record.
    Restricted,
    /// The server of the record refused with this code.
    Refused(ResponseCode),
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
            Self::Withdrawn(data) => return Cow::Owned(data.to_string()),
            Self::Referral(_) | Self::ServiceReferral(_) => {
                "that prefix is delegated to other servers"
            }
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
            Self::Unresolved(_, text) => return Cow::Owned(text.clone()),
        })
    }
}

impl<V> Outcome<V> {
    /// The same with another form of the values.
    pub fn map<W>(self, values: impl FnOnce(V) -> W) -> Outcome<W> {
        self.try_map(|found| Ok(values(found)))
    }

    fn try_map<W>(self, values: impl FnOnce(V) -> Result<W, DecodeError>) -> Outcome<W> {
        let (found, wrap): (V, fn(W) -> Outcome<W>) = match self {
            Self::Record(found) => (found, Outcome::Record),
            Self::Referral(found) => (found, Outcome::Referral),
            Self::ServiceReferral(found) => (found, Outcome::ServiceReferral),
            Self::ValuesNotFound => return Outcome::ValuesNotFound,
            Self::NotFound => return Outcome::NotFound,
            Self::Withdrawn(data) => return Outcome::Withdrawn(data),
            Self::NotResponsible(why) => return Outcome::NotResponsible(why),
            Self::AuthenticationNeeded => return Outcome::AuthenticationNeeded,
            Self::InsufficientPermissions => return Outcome::InsufficientPermissions,
            Self::InvalidHandle(error) => return Outcome::InvalidHandle(error),
            Self::SelectionTooLong => return Outcome::SelectionTooLong,
            Self::RecursionTooDeep => return Outcome::RecursionTooDeep,
            Self::Damaged(error) => return Outcome::Damaged(error),
            Self::Unresolved(trouble, text) => return Outcome::Unresolved(trouble, text),
        };
        values(found).map_or_else(Outcome::Damaged, wrap)
    }
}

impl Outcome<Selected<'_>> {
    /// Whether it is a record of which values were asked for that the caller may not read.
    pub fn withholds(&self) -> bool {
        matches!(self, Self::Record(selected) if selected.withholds())
    }

    /// The same with owned values.
    pub fn into_owned(self) -> Outcome {
        self.try_map(|selected| selected.to_vec())
    }
}
