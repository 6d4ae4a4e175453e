//! How an errand ends, or why it does not go on for now.

use std::sync::Arc;

use guantong_proto::NameError;
use guantong_proto::message::ResponseCode;

use super::authenticate::{Failed, Identity};
use super::known::Missing;
use super::listing::Listed;
use super::plan::Conflict;
use super::rules::Denied;
use super::session::Rejected;
use super::write::{Warrant, Write};
use crate::authority::{Misdirected, Outcome};

//----------- Stop -----------------------------------------------------------

/// How an errand succeeds.
#[derive(Debug)]
pub(super) enum Done {
    /// With this body.
    Body(Vec<u8>),
    /// With this body; a record that was there was written over.
    Replaced(Vec<u8>),
    /// With values that are not public, beside which others were perhaps left out.
    Restricted { body: Vec<u8>, withheld: bool },
    /// With a new session.
    Session { id: i32, body: Vec<u8> },
    /// With the end of the session.
    Ended,
    /// With the news whether an answer is right.
    Verified(bool),
    /// Once this is written, with this body.
    Write {
        /// `None` if nothing would change.
        write: Option<Write>,
        warrant: Arc<Warrant>,
        body: Vec<u8>,
        replaced: bool,
    },
    /// With a list.
    List(Listed),
    /// With a stream.
    Stream(Identity),
}

/// Why an errand does not go on for now.
#[derive(Debug)]
pub(super) enum Stop {
    /// A record is missing.
    Missing(Missing),
    /// It must be known who asks.
    Unknown,
    /// It ends with this code and text.
    Refused(ResponseCode, String),
    /// It ends with a referral: this code and body.
    Referral(ResponseCode, Vec<u8>),
}

impl Stop {
    pub(super) fn refuse(code: ResponseCode, text: &str) -> Self {
        Self::Refused(code, text.to_owned())
    }
}

impl From<Missing> for Stop {
    fn from(missing: Missing) -> Self {
        Self::Missing(missing)
    }
}

impl From<&Rejected> for Stop {
    fn from(rejected: &Rejected) -> Self {
        Self::Refused(rejected.code(), rejected.to_string())
    }
}

impl From<&Failed> for Stop {
    fn from(failed: &Failed) -> Self {
        Self::Refused(failed.code(), failed.to_string())
    }
}

impl From<NameError> for Stop {
    fn from(error: NameError) -> Self {
        Self::from(Outcome::InvalidHandle(error))
    }
}

impl From<Misdirected> for Stop {
    fn from(misdirected: Misdirected) -> Self {
        Self::from(Outcome::NotResponsible(misdirected))
    }
}

impl From<Outcome> for Stop {
    fn from(outcome: Outcome) -> Self {
        Self::Refused(outcome.code(), outcome.message().into_owned())
    }
}

impl From<Conflict> for Stop {
    fn from(conflict: Conflict) -> Self {
        Self::Refused(conflict.code(), conflict.to_string())
    }
}

impl From<Denied> for Stop {
    fn from(denied: Denied) -> Self {
        Self::Refused(denied.code(), denied.to_string())
    }
}
