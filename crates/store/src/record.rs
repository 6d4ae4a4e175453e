//! A record as it is stored: a short head, then the values exactly as the protocol sends them.

use std::fmt;
use std::sync::Arc;

use guantong_proto::limits::HANDLE_LEN_MAX;
use guantong_proto::wire::Reader;
use guantong_proto::{CaseRule, DecodeError, HandleRef, Reason, ValueRef, Values};

use crate::error::FormError;

/// Form of the stored record.
const FORM: u8 = 1;
/// Flag: every value is publicly readable, and none says that the record is not to be shown.
const ALL_PUBLIC: u8 = 0x01;
/// Offset of the version.
const VERSION_AT: usize = 2;
/// Octets in front of the name: form, flags, version, name length.
const HEAD_LEN: usize = 12;

//----------- StoredRecord ---------------------------------------------------

/// A record that was read and decoded. Cheap to clone: the octets are shared.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredRecord {
    octets: Arc<[u8]>,
}

impl StoredRecord {
    /// Checks and keeps stored octets.
    pub(crate) fn decode(octets: &[u8]) -> Result<Self, FormError> {
        check(octets)?;
        Ok(Self {
            octets: octets.into(),
        })
    }

    /// The handle, as its last writer spelled it.
    pub fn handle(&self) -> HandleRef<'_> {
        HandleRef::from_wire(&self.octets[HEAD_LEN..self.values_at()])
            .expect("`decode` has checked the name")
    }

    /// Whether this is the record of a folded name.
    pub(crate) fn is_of(&self, key: &[u8], rule: CaseRule) -> bool {
        rule.folds(&self.octets[HEAD_LEN..self.values_at()], key)
    }

    /// Number of the change that wrote this record.
    pub fn version(&self) -> u64 {
        version_of(&self.octets)
    }

    /// Whether anybody may read every value, so that an answer to anybody is a plain copy. False
    /// for a record with a secret key, whatever its permissions say, and for one that is reserved
    /// or withdrawn.
    pub fn all_public(&self) -> bool {
        self.octets[1] & ALL_PUBLIC != 0
    }

    /// The values in wire form: i32 count, then the values back to back.
    pub fn values_wire(&self) -> &[u8] {
        &self.octets[self.values_at()..]
    }

    /// The values.
    pub fn values(&self) -> Values<'_> {
        Values::from_wire(self.values_wire()).expect("`decode` has checked the values")
    }

    /// All stored octets.
    pub(crate) fn octets(&self) -> &[u8] {
        &self.octets
    }

    fn values_at(&self) -> usize {
        values_at(&self.octets)
    }
}

impl fmt::Debug for StoredRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredRecord")
            .field("handle", &self.handle().as_str())
            .field("version", &self.version())
            .field("values", &self.values())
            .finish()
    }
}

//----------- Encoding -------------------------------------------------------

/// Encodes a record without its version, which only the writer knows; see [`set_version`].
pub(crate) fn encode(name: HandleRef<'_>, values: Values<'_>) -> Vec<u8> {
    let name = name.as_str().as_bytes();
    let mut octets = Vec::with_capacity(HEAD_LEN + name.len() + values.wire().len());
    octets.push(FORM);
    octets.push(flags(values));
    octets.extend_from_slice(&[0; 8]);
    push_name(&mut octets, name);
    octets.extend_from_slice(values.wire());
    octets
}

/// Sets the version of an encoded record.
pub(crate) fn set_version(octets: &mut [u8], version: u64) {
    octets[VERSION_AT..VERSION_AT + 8].copy_from_slice(&version.to_be_bytes());
}

/// The version of octets that are an encoded record.
pub(crate) fn version_of(octets: &[u8]) -> u64 {
    let mut version = [0; 8];
    version.copy_from_slice(&octets[VERSION_AT..VERSION_AT + 8]);
    u64::from_be_bytes(version)
}

/// The values, in wire form, of octets that are an encoded record.
pub(crate) fn values_wire_of(octets: &[u8]) -> &[u8] {
    &octets[values_at(octets)..]
}

/// Appends a name with its length in two octets.
pub(crate) fn push_name(out: &mut Vec<u8>, name: &[u8]) {
    // Handles are at most 2,048 octets long.
    let len = u16::try_from(name.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(name);
}

/// Reads a name with its length in two octets.
pub(crate) fn read_name<'a>(r: &mut Reader<'a>) -> Result<HandleRef<'a>, FormError> {
    let at = r.position();
    let len = usize::from(r.u16("name length")?);
    if len > HANDLE_LEN_MAX {
        let reason = Reason::TooLarge {
            found: len,
            limit: HANDLE_LEN_MAX,
        };
        return Err(DecodeError::new("name length", at, reason).into());
    }
    Ok(HandleRef::from_wire(r.take("name", len)?)?)
}

/// Checks octets that should be a stored record.
pub(crate) fn check(octets: &[u8]) -> Result<(), FormError> {
    let mut r = Reader::new(octets);
    match r.u8("form")? {
        FORM => {}
        other => return Err(FormError::Form(other)),
    }
    match r.u8("flags")? {
        0 | ALL_PUBLIC => {}
        found => {
            return Err(FormError::Code {
                field: "flags",
                found,
            });
        }
    }
    r.i64("version")?;
    read_name(&mut r)?;
    Values::from_wire(r.rest())?;
    Ok(())
}

/// Whether the key and the flags of a record agree with its name and its values.
pub(crate) fn agrees(record: &StoredRecord, key: &[u8], rule: CaseRule) -> (bool, bool) {
    let key_agrees = record.handle().key(rule).as_bytes() == key;
    let flags_agree = record.octets[1] == flags(record.values());
    (key_agrees, flags_agree)
}

fn flags(values: Values<'_>) -> u8 {
    let is_shown = |value: ValueRef<'_>| value.is_public() && !value.is_state();
    match values.iter().all(is_shown) {
        true => ALL_PUBLIC,
        false => 0,
    }
}

fn values_at(octets: &[u8]) -> usize {
    HEAD_LEN + usize::from(u16::from_be_bytes([octets[10], octets[11]]))
}

#[cfg(test)]
mod tests {
    use guantong_proto::wire::Writer;
    use guantong_proto::{Handle, Permissions, Value};

    use super::*;

    fn encoded(values: &[Value]) -> Vec<u8> {
        let wire = Writer::to_vec(|w| Values::encode(values, w));
        let name = Handle::parse("88.118.5/Part-1").unwrap();
        encode(name.borrow(), Values::from_wire(&wire).unwrap())
    }

    fn sample() -> Vec<Value> {
        vec![
            Value::new(1, "URL", "https://example.org/"),
            Value::new(2, "NAME", "零件"),
        ]
    }

    #[test]
    fn record_survives_a_round_trip() {
        let mut octets = encoded(&sample());
        set_version(&mut octets, 77);
        let record = StoredRecord::decode(&octets).unwrap();
        assert_eq!(record.handle().as_str(), "88.118.5/Part-1");
        assert_eq!(record.version(), 77);
        assert!(record.all_public());
        assert_eq!(record.values().to_vec().unwrap(), sample());
        assert_eq!(record.values_wire(), values_wire_of(&octets));
    }

    #[test]
    fn one_hidden_value_clears_the_public_flag() {
        let mut values = sample();
        values[1].permissions = Permissions(Permissions::ADMIN_READ);
        assert!(
            !StoredRecord::decode(&encoded(&values))
                .unwrap()
                .all_public()
        );
    }

    #[test]
    fn a_secret_key_clears_the_public_flag_whatever_its_permissions() {
        let mut values = sample();
        values.push(Value::new(3, "hs_seckey", "secret"));
        assert!(values[2].permissions.public_read());
        let octets = encoded(&values);
        assert!(!StoredRecord::decode(&octets).unwrap().all_public());
    }

    #[test]
    fn a_state_clears_the_public_flag_whatever_it_says() {
        for data in [r#"{"state":"withdrawn"}"#, "damaged"] {
            let mut values = sample();
            values.push(Value::new(1_900, "GT_STATE", data));
            let octets = encoded(&values);
            assert!(!StoredRecord::decode(&octets).unwrap().all_public());
        }
    }

    #[test]
    fn record_without_values_can_be_stored() {
        let record = StoredRecord::decode(&encoded(&[])).unwrap();
        assert!(record.values().is_empty());
        assert!(record.all_public());
    }

    #[test]
    fn record_truncated_anywhere_or_altered_in_its_head_is_refused() {
        let octets = encoded(&sample());
        for len in 0..octets.len() {
            assert!(StoredRecord::decode(&octets[..len]).is_err(), "{len}");
        }
        for (at, value) in [(0, 2), (1, 2), (10, 0xff), (12, 0xff)] {
            let mut octets = octets.clone();
            octets[at] = value;
            assert!(StoredRecord::decode(&octets).is_err(), "{at}");
        }
    }
}
