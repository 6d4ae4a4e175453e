//! A record on its way into the store, and the Handle JSON form of one on its way out.

use guantong_api::control::{Json, OnConflict, Outcome};
use guantong_proto::json::{JsonError, Record, RecordForm, ValueForm};
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, NameError, Value, ValueRef, Values};
use serde_json::value::to_raw_value;

/// Octets of a value in wire form in front of its timestamp.
const TIMESTAMP_AT: usize = 4;
/// Octets of a value in wire form up to the end of its timestamp.
const TIMESTAMP_END: usize = 8;

//----------- NewRecord ------------------------------------------------------

/// A handle and its values, fit to be stored.
///
/// Values without a timestamp get one when it is known what was there before; see
/// [`NewRecord::stamp`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    handle: Handle,
    values: Vec<u8>,
    is_stamped: bool,
}

impl NewRecord {
    /// A record of values that pass the checks of a stored record.
    pub fn new(handle: Handle, values: &[Value]) -> Result<Self, RecordError> {
        guantong_core::admin::validate(values)?;
        Ok(Self {
            handle,
            is_stamped: values.iter().all(|value| value.timestamp != 0),
            values: Writer::to_vec(|w| Values::encode(values, w)),
        })
    }

    /// Reads the Handle JSON form, `{"handle":…,"values":[…]}`.
    pub fn parse(text: &[u8]) -> Result<Self, RecordError> {
        let record = Record::parse(text)?;
        let handle = record.handle.ok_or(RecordError::NoHandle)?;
        Self::new(Handle::parse(&handle)?, &record.values)
    }

    /// The handle.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The values.
    pub fn values(&self) -> Values<'_> {
        Values::from_wire(&self.values).expect("`new` has encoded them")
    }

    /// The values in wire form.
    pub fn values_wire(&self) -> &[u8] {
        &self.values
    }

    /// Octets of the record in memory, near enough to bound a batch.
    pub fn size(&self) -> usize {
        self.handle.as_str().len() + self.values.len()
    }

    /// Whether `stored` holds the same values. A value without a timestamp equals one with any.
    pub fn is_same(&self, stored: Values<'_>) -> bool {
        if self.is_stamped {
            return self.values == stored.wire();
        }
        let ours = self.values();
        ours.len() == stored.len()
            && ours.iter().zip(stored.iter()).all(|(ours, stored)| {
                let is_stamp_fine = ours.timestamp == 0 || ours.timestamp == stored.timestamp;
                is_stamp_fine && is_same_but_for_time(&ours, &stored)
            })
    }

    /// Gives each value without a timestamp that of the same value in `stored`, else `now_secs`.
    pub fn stamp(&mut self, stored: Option<Values<'_>>, now_secs: u32) {
        if self.is_stamped {
            return;
        }
        let mut stamps = Vec::new();
        let mut at = 4;
        for ours in self.values().iter() {
            if ours.timestamp == 0 {
                let same = stored.and_then(|stored| {
                    let mut stored = stored.iter();
                    stored.find(|value| is_same_but_for_time(&ours, value))
                });
                let secs = same.map_or(now_secs, |value| value.timestamp);
                stamps.push((at + TIMESTAMP_AT, secs));
            }
            at += ours.wire().len();
        }
        for (at, secs) in stamps {
            self.values[at..at + 4].copy_from_slice(&secs.to_be_bytes());
        }
        self.is_stamped = true;
    }

    /// The Handle JSON form, in one line.
    pub fn to_json(&self) -> Json {
        to_json(self.handle.as_str(), self.values())
    }
}

fn is_same_but_for_time(a: &ValueRef<'_>, b: &ValueRef<'_>) -> bool {
    let (a, b) = (a.wire(), b.wire());
    a[..TIMESTAMP_AT] == b[..TIMESTAMP_AT] && a[TIMESTAMP_END..] == b[TIMESTAMP_END..]
}

/// The Handle JSON form of a record, in one line.
pub fn to_json(handle: &str, values: Values<'_>) -> Json {
    let form = RecordForm {
        response_code: None,
        handle: Some(handle),
        values: ValueForm::list(values),
    };
    to_raw_value(&form).expect("text and numbers always have a JSON form")
}

//----------- judge ----------------------------------------------------------

/// What becomes of `new` where `stored` is.
pub fn judge(new: &NewRecord, stored: Option<Values<'_>>, on_conflict: OnConflict) -> Outcome {
    match (stored, on_conflict) {
        (None, _) => Outcome::Created,
        (Some(stored), _) if new.is_same(stored) => Outcome::Unchanged,
        (Some(_), OnConflict::Replace) => Outcome::Replaced,
        (Some(_), OnConflict::Skip) => Outcome::Skipped,
        (Some(_), OnConflict::Fail) => {
            Outcome::Refused("a different record of this handle is there already".to_owned())
        }
    }
}

//----------- RecordError ----------------------------------------------------

/// Why something is not a record that can be stored. Its author is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The text is not a record in the Handle JSON form.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The record says not whose it is.
    #[error("handle: expected a handle such as \"88.118.5/SN1\", found nothing")]
    NoHandle,
    /// The name is not a handle.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The values cannot be stored.
    #[error(transparent)]
    Values(#[from] guantong_core::admin::Invalid),
}
