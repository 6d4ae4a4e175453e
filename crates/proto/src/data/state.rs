//! GT_STATE: that a record is reserved, or withdrawn, and what took its place.
//!
//! A record without such a value is public. The value is part of its record, so that it is signed,
//! followed by mirrors, exported and restored like the rest. The type is ours and not part of the
//! protocol: other software sees a value of text.

use std::fmt;

use crate::error::{DecodeError, Reason};
use crate::json;
use crate::limits::HANDLE_LEN_MAX;
use crate::name::Handle;
use crate::value::Value;

/// The type of the value.
pub const STATE_TYPE: &str = "GT_STATE";
/// The index of the value. Nobody uses it for something else: administrators stand at 100, lists at
/// 200, keys at 300, signatures at 400, locations at 1000.
pub const STATE_INDEX: i32 = 1_900;
/// Most octets of a reason: a paragraph.
pub const REASON_LEN_MAX: usize = 1_000;
/// Most octets of the data: a reason and a handle, every octet of them escaped in JSON.
pub const STATE_LEN_MAX: usize = 6 * (REASON_LEN_MAX + HANDLE_LEN_MAX) + 256;
/// The last second of the year 9999, beyond which the JSON form has no times.
const SINCE_SECS_MAX: i64 = 253_402_300_799;

//----------- State ----------------------------------------------------------

/// What a record is in the life of its name, unless it is public.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The name is taken, and the record is not shown yet.
    Reserved,
    /// The record is not shown any more. The name is not given again.
    Withdrawn,
}

/// The data of a GT_STATE value.
///
/// ```text
/// {"state":"reserved"|"withdrawn","reason":TEXT,"successor":HANDLE,"since":TIME}
/// ```
///
/// All but `state` may be missing. Fields with other names are passed over when they are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateData {
    state: State,
    reason: String,
    successor: Option<Handle>,
    since_secs: Option<i64>,
}

impl StateData {
    /// A state without more.
    pub fn new(state: State) -> Self {
        Self {
            state,
            reason: String::new(),
            successor: None,
            since_secs: None,
        }
    }

    /// The same for a reason of at most [`REASON_LEN_MAX`] octets in one line.
    pub fn with_reason(self, reason: impl Into<String>) -> Result<Self, DecodeError> {
        let reason = reason.into();
        if reason.len() > REASON_LEN_MAX {
            let reason = Reason::TooLarge {
                found: reason.len(),
                limit: REASON_LEN_MAX,
            };
            return Err(DecodeError::new("reason", 0, reason));
        }
        if let Some(at) = reason.find(char::is_control) {
            let expected = "has a control character: a reason is one line of text";
            return Err(DecodeError::new("reason", at, Reason::Invalid(expected)));
        }
        Ok(Self { reason, ..self })
    }

    /// The same with the handle that is to be used instead.
    #[must_use]
    pub fn with_successor(self, successor: Option<Handle>) -> Self {
        Self { successor, ..self }
    }

    /// The same since a second between 1970 and the end of 9999; another one is left out.
    #[must_use]
    pub fn with_since(self, secs: i64) -> Self {
        let since_secs = Some(secs).filter(|secs| (0..=SINCE_SECS_MAX).contains(secs));
        Self { since_secs, ..self }
    }

    /// What the record is.
    pub fn state(&self) -> State {
        self.state
    }

    /// Why, in one line; may be empty.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// What is to be used instead.
    pub fn successor(&self) -> Option<&Handle> {
        self.successor.as_ref()
    }

    /// Since when, in seconds since 1970.
    pub fn since_secs(&self) -> Option<i64> {
        self.since_secs
    }

    /// Whether both say the same, since whenever.
    pub fn is_same_but_for_time(&self, other: &Self) -> bool {
        let other = Self {
            since_secs: self.since_secs,
            ..other.clone()
        };
        *self == other
    }

    /// Decodes the data of a value.
    pub fn decode(octets: &[u8]) -> Result<Self, DecodeError> {
        if octets.len() > STATE_LEN_MAX {
            let reason = Reason::TooLarge {
                found: octets.len(),
                limit: STATE_LEN_MAX,
            };
            return Err(DecodeError::new("state", 0, reason));
        }
        json::read_state(octets)
    }

    /// Encodes the data of a value.
    pub fn encode(&self) -> Vec<u8> {
        json::write_state(self)
    }

    /// The value that puts a record into this state.
    pub fn to_value(&self) -> Value {
        Value::new(STATE_INDEX, STATE_TYPE, self.encode())
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reserved => "reserved",
            Self::Withdrawn => "withdrawn",
        })
    }
}

impl fmt::Display for StateData {
    /// `withdrawn: REASON; see SUCCESSOR`, with what there is of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state.fmt(f)?;
        if !self.reason.is_empty() {
            write!(f, ": {}", self.reason)?;
        }
        match &self.successor {
            Some(successor) => write!(f, "; see {successor}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn refused(text: &str, says: &str) {
        let error = StateData::decode(text.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), says, "{text}");
    }

    #[test]
    fn state_is_read_with_what_belongs_to_it() {
        let text = r#"{"state":"withdrawn","reason":"scrapped","successor":"88.118.5/B","since":"2026-03-01T00:00:00Z"}"#;
        let data = StateData::decode(text.as_bytes()).unwrap();
        assert_eq!(data.state(), State::Withdrawn);
        assert_eq!(data.reason(), "scrapped");
        assert_eq!(data.successor().unwrap().as_str(), "88.118.5/B");
        assert_eq!(data.since_secs(), Some(1_772_323_200));
        assert_eq!(data.encode(), text.as_bytes());
        assert_eq!(data.to_string(), "withdrawn: scrapped; see 88.118.5/B");
    }

    #[test]
    fn what_is_not_needed_may_be_missing_and_what_is_not_known_is_passed_over() {
        let data = StateData::decode(br#"{"state":"reserved","color":"red"}"#).unwrap();
        assert_eq!(data, StateData::new(State::Reserved));
        assert_eq!(data.encode(), br#"{"state":"reserved"}"#);
    }

    #[test]
    fn what_is_no_state_is_refused_and_says_why() {
        refused("", "state at octet 0: is not a JSON object with `state`");
        refused("{}", "state at octet 0: is not a JSON object with `state`");
        refused(
            r#"{"state":"gone"}"#,
            "state at octet 0: is neither \"reserved\" nor \"withdrawn\"",
        );
        refused(
            r#"{"state":"withdrawn","successor":""}"#,
            "successor at octet 0: is not a handle: 1 to 2048 octets of UTF-8 are expected",
        );
        refused(
            r#"{"state":"withdrawn","since":"yesterday"}"#,
            "since at octet 0: is not a time such as \"2026-03-01T00:00:00Z\" from 1970 on",
        );
        refused(
            r#"{"state":"withdrawn","since":"0000-01-01T00:00:00+01:00"}"#,
            "since at octet 0: is not a time such as \"2026-03-01T00:00:00Z\" from 1970 on",
        );
        refused(
            r#"{"state":"withdrawn","reason":"a\nb"}"#,
            "reason at octet 1: has a control character: a reason is one line of text",
        );
    }

    #[test]
    fn reason_is_bounded() {
        let reason = |len| StateData::new(State::Withdrawn).with_reason("x".repeat(len));
        assert!(StateData::decode(&reason(REASON_LEN_MAX).unwrap().encode()).is_ok());
        assert_eq!(
            reason(REASON_LEN_MAX + 1).unwrap_err().to_string(),
            "reason at octet 0: is 1001, the limit is 1000"
        );
        assert!(StateData::decode(&vec![b' '; STATE_LEN_MAX + 1]).is_err());
    }

    #[test]
    fn truncated_state_is_refused_at_every_octet() {
        let data = StateData::new(State::Withdrawn)
            .with_reason("谁也不用了")
            .unwrap()
            .with_since(1_772_323_200)
            .encode();
        for len in 0..data.len() {
            assert!(StateData::decode(&data[..len]).is_err(), "{len}");
        }
    }

    proptest! {
        #[test]
        fn every_state_survives_a_round_trip(
            is_withdrawn: bool,
            reason in "\\PC{0,200}",
            successor in proptest::option::of("\\PC{1,40}"),
            since in proptest::option::of(-9_i64..SINCE_SECS_MAX + 9),
        ) {
            let state = match is_withdrawn {
                true => State::Withdrawn,
                false => State::Reserved,
            };
            let successor = successor.and_then(|name| Handle::parse(&name).ok());
            let data = StateData::new(state).with_reason(reason);
            let mut data = data.unwrap().with_successor(successor);
            if let Some(since) = since {
                data = data.with_since(since);
            }
            prop_assert_eq!(StateData::decode(&data.encode()).unwrap(), data);
        }
    }
}
