//! Whether a record is shown to the public.

use guantong_proto::data::{State, StateData};
use guantong_proto::{ValueRef, Values};

//----------- Standing -------------------------------------------------------

/// What the values of a record say of the record itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing: it is shown.
    Public,
    /// The public is told that there is no such record.
    Reserved,
    /// The public is told this, and nothing else of it.
    Withdrawn(Box<StateData>),
}

impl Standing {
    /// Of the record with these values. What cannot be read, and is therefore newer than this
    /// software or damaged, makes a record reserved rather than public.
    pub(crate) fn of(values: Values<'_>) -> Self {
        let mut states = values.iter().filter(ValueRef::is_state);
        let Some(first) = states.next() else {
            return Self::Public;
        };
        match (StateData::decode(first.data), states.next()) {
            (Ok(data), None) if data.state() == State::Withdrawn => Self::Withdrawn(data.into()),
            _ => Self::Reserved,
        }
    }

    /// Whether the record is shown.
    pub(crate) fn is_public(&self) -> bool {
        *self == Self::Public
    }
}

/// Whether the public knew of a record with these values, and may be told that it is gone.
pub fn was_known(values: Values<'_>) -> bool {
    Standing::of(values) != Standing::Reserved
}

#[cfg(test)]
mod tests {
    use guantong_proto::Value;
    use guantong_proto::wire::Writer;

    use super::*;

    #[track_caller]
    fn standing(states: &[(&str, &str)]) -> Standing {
        let mut values = vec![Value::new(1, "URL", "https://example.org/")];
        for (at, (kind, data)) in states.iter().enumerate() {
            let index = 1_900 + i32::try_from(at).unwrap();
            values.push(Value::new(index, *kind, *data));
        }
        let wire = Writer::to_vec(|w| Values::encode(&values, w));
        Standing::of(Values::from_wire(&wire).unwrap())
    }

    #[test]
    fn what_cannot_be_read_does_not_make_a_record_public() {
        let withdrawn = ("GT_STATE", r#"{"state":"withdrawn"}"#);
        assert_eq!(standing(&[]), Standing::Public);
        assert!(matches!(standing(&[withdrawn]), Standing::Withdrawn(_)));
        for states in [
            &[("GT_STATE", r#"{"state":"reserved"}"#)][..],
            &[("gt_state", r#"{"state":"suspended"}"#)],
            &[("GT_STATE.NEW", "")],
            &[withdrawn, withdrawn],
        ] {
            assert_eq!(standing(states), Standing::Reserved, "{states:?}");
        }
        assert_eq!(standing(&[("GT_STATES", "")]), Standing::Public);
    }
}
