//! The data of GT_STATE values, which is JSON text.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::time::Time;
use crate::data::service::Target;
use crate::data::{State, StateData};
use crate::error::{DecodeError, Reason};

const RESERVED: &str = "reserved";
const WITHDRAWN: &str = "withdrawn";

/// The fields in the order in which they are written.
#[derive(Serialize, Deserialize)]
struct Form {
    state: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    successor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<String>,
}

/// What a state looks like in an answer about its record.
#[derive(Clone, Debug, Serialize)]
pub struct StateForm<'a> {
    state: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    successor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Time>,
}

impl<'a> From<&'a StateData> for StateForm<'a> {
    fn from(data: &'a StateData) -> Self {
        Self {
            state: match data.state() {
                State::Reserved => RESERVED,
                State::Withdrawn => WITHDRAWN,
            },
            reason: data.reason(),
            successor: data.successor().map(|handle| handle.as_str()),
            since: data.since_secs().map(Time),
        }
    }
}

/// Reads the data of a value; its length is bounded by the caller.
pub(crate) fn read_state(octets: &[u8]) -> Result<StateData, DecodeError> {
    let invalid =
        |field, expected: &'static str| DecodeError::new(field, 0, Reason::Invalid(expected));
    let form: Form = serde_json::from_slice(octets)
        .map_err(|_| invalid("state", "is not a JSON object with `state`"))?;
    let state = match form.state.as_str() {
        RESERVED => State::Reserved,
        WITHDRAWN => State::Withdrawn,
        _ => {
            let expected = "is neither \"reserved\" nor \"withdrawn\"";
            return Err(invalid("state", expected));
        }
    };
    let successor = form.successor.as_deref().map(str::as_bytes);
    let successor = successor.map(Target::decode).transpose();
    let successor = successor.map_err(|error| DecodeError {
        field: "successor",
        ..error
    })?;
    let successor = successor.map(|target| target.handle().clone());
    let data = StateData::new(state)
        .with_reason(form.reason)?
        .with_successor(successor);
    let Some(since) = form.since else {
        return Ok(data);
    };
    let since = OffsetDateTime::parse(&since, &Rfc3339).ok();
    let data = data.with_since(since.map_or(-1, OffsetDateTime::unix_timestamp));
    match data.since_secs() {
        Some(_) => Ok(data),
        None => {
            let expected = "is not a time such as \"2026-03-01T00:00:00Z\" from 1970 on";
            Err(invalid("since", expected))
        }
    }
}

/// Writes the data of a value.
pub(crate) fn write_state(data: &StateData) -> Vec<u8> {
    // Text and numbers always have a JSON form.
    serde_json::to_vec(&StateForm::from(data)).unwrap_or_default()
}
