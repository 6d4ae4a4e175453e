//! HS_VLIST: a group of administrators (clause 4.5.5; RFC 3651, 3.2.6).

use crate::error::DecodeError;
use crate::limits::ARRAY_LEN_MAX;
use crate::value::{Reference, ReferenceRef};
use crate::wire::{Reader, Writer};

/// Octets of a reference with an empty handle.
const REFERENCE_LEN_MIN: usize = 8;

/// References to key values, or to further lists: i32 count, then the references.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List(pub Vec<Reference>);

impl List {
    /// Decodes the data of a value.
    pub fn decode(octets: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(octets);
        let count = r.count("reference count", REFERENCE_LEN_MIN, ARRAY_LEN_MAX)?;
        let mut references = Vec::with_capacity(count);
        for position in 1..=count {
            let reference = ReferenceRef::decode(&mut r).and_then(|r| r.to_reference());
            references.push(reference.map_err(|e| e.within(format_args!("reference {position}")))?);
        }
        r.finish("HS_VLIST")?;
        Ok(Self(references))
    }

    /// Encodes the data of a value.
    pub fn encode(&self) -> Vec<u8> {
        Writer::to_vec(|w| {
            w.size(self.0.len());
            for reference in &self.0 {
                reference.encode(w);
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn octets_behind_the_list_are_refused() {
        let error = List::decode(&[0, 0, 0, 0, 9]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "HS_VLIST at octet 4: is followed by 1 octets that do not belong"
        );
    }

    proptest! {
        #[test]
        fn every_list_survives_a_round_trip(
            references in proptest::collection::vec(("\\PC{0,12}", any::<i32>()), 0..6),
        ) {
            let reference = |(handle, index)| Reference { handle, index };
            let list = List(references.into_iter().map(reference).collect());
            prop_assert_eq!(List::decode(&list.encode()).unwrap(), list);
        }
    }
}
