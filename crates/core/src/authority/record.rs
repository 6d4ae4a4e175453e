//! A stored record as the authority sees it, and the part of it that is answered.

use guantong_proto::wire::Writer;
use guantong_proto::{DecodeError, Value, ValueRef, Values, is_of_type};

use super::query::Selection;

//----------- RecordView -----------------------------------------------------

/// A stored record, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct RecordView<'a> {
    /// The handle in its stored spelling.
    pub handle: &'a str,
    /// The values in wire form: i32 count, then the values back to back.
    pub values: &'a [u8],
    /// Every value [is public](ValueRef::is_public) and none [is a state](ValueRef::is_state), so
    /// that an answer to anybody is a copy.
    /// May be false although they are: that costs time, not safety.
    pub all_public: bool,
}

impl<'a> RecordView<'a> {
    /// All of it, if anybody may read all of it and it has any values.
    pub fn whole(&self) -> Option<Selected<'a>> {
        let is_empty = self.values.starts_with(&[0; 4]);
        (self.all_public && !is_empty).then_some(Selected::whole(self.values))
    }

    /// The view of a record whose values have to be looked at to know what is public.
    pub fn of(handle: &'a str, values: Values<'a>) -> Self {
        Self {
            handle,
            values: values.wire(),
            all_public: false,
        }
    }
}

/// Whether the value says who serves the prefixes derived from this one (5.5).
fn is_referral(value: &ValueRef<'_>) -> bool {
    const TYPES: [&[u8]; 3] = [b"HS_SITE.PREFIX", b"HS_NA_DELEGATE", b"HS_SERV.PREFIX"];
    value.is_public() && TYPES.iter().any(|family| is_of_type(value.kind, family))
}

/// Whether the value says who serves the prefix itself (5.2).
fn is_service(value: &ValueRef<'_>) -> bool {
    const TYPES: [&[u8]; 3] = [b"HS_SITE", b"HS_SITE.6", b"HS_SERV"];
    value.is_public()
        && TYPES
            .iter()
            .any(|kind| value.kind.eq_ignore_ascii_case(kind))
}

//----------- Selected -------------------------------------------------------

/// The values of a record that go into an answer. Nothing is copied until it is asked for.
#[derive(Clone, Debug)]
pub struct Selected<'a> {
    part: Part<'a>,
    withheld: bool,
}

#[derive(Clone, Debug)]
enum Part<'a> {
    /// The record as it is stored, in wire form.
    Whole(&'a [u8]),
    /// The selected values that are public.
    Public(Values<'a>, Selection<'a>),
    /// Values that were picked one by one.
    Picked(Box<[ValueRef<'a>]>),
    /// The selected values, whoever may read them.
    Chosen(Values<'a>, Selection<'a>),
    /// The values that refer to the servers of derived prefixes.
    Referral(Values<'a>),
    /// The values that say who serves the prefix.
    Service(Values<'a>),
}

impl<'a> Selected<'a> {
    fn of(part: Part<'a>) -> Self {
        let withheld = false;
        Self { part, withheld }
    }

    /// The same, beside which others were asked for that the caller may not read.
    pub(super) fn beside_withheld(self) -> Self {
        Self {
            withheld: true,
            ..self
        }
    }

    /// Whether values were asked for and left out, since the caller may not read them. Whoever does
    /// not ask for public values alone is refused for them, so it tells nothing that is not told.
    pub fn withholds(&self) -> bool {
        self.withheld
    }

    /// The record as it is stored. The caller has made sure that all of it is public.
    pub(super) fn whole(wire: &'a [u8]) -> Self {
        Self::of(Part::Whole(wire))
    }

    /// The public values that `selection` wants.
    pub(super) fn public(values: Values<'a>, selection: Selection<'a>) -> Self {
        Self::of(Part::Public(values, selection))
    }

    /// These values. The caller has made sure that they are public.
    pub(super) fn picked(values: Vec<ValueRef<'a>>) -> Self {
        Self::of(Part::Picked(values.into()))
    }

    /// The values that `selection` wants of what others gave to anybody; `None` if there are none.
    pub(super) fn chosen(values: Values<'a>, selection: Selection<'a>) -> Option<Self> {
        values
            .iter()
            .any(|value| selection.selects(value.index, value.kind))
            .then_some(Self::of(Part::Chosen(values, selection)))
    }

    /// The values that refer to the servers of derived prefixes; `None` if there are none.
    pub(super) fn referral(values: Values<'a>) -> Option<Self> {
        let mut values_of_prefix = values.iter().filter(is_referral);
        values_of_prefix
            .next()
            .map(|_| Self::of(Part::Referral(values)))
    }

    /// The values that say who serves the prefix; `None` if there are none.
    pub(super) fn service(values: Values<'a>) -> Option<Self> {
        values
            .iter()
            .any(|value| is_service(&value))
            .then_some(Self::of(Part::Service(values)))
    }

    /// The values in the order of the record.
    pub fn iter(&self) -> impl Iterator<Item = ValueRef<'a>> {
        let (values, picked) = match &self.part {
            // The record was decoded when it was stored.
            Part::Whole(wire) => (Values::checked_before(wire), &[][..]),
            Part::Public(values, _)
            | Part::Chosen(values, _)
            | Part::Referral(values)
            | Part::Service(values) => (*values, &[][..]),
            Part::Picked(picked) => (Values::EMPTY, &picked[..]),
        };
        let wanted = values.iter().filter(|value| match &self.part {
            Part::Whole(_) | Part::Picked(_) => true,
            Part::Public(_, selection) => {
                value.is_public() && selection.selects(value.index, value.kind)
            }
            Part::Chosen(_, selection) => selection.selects(value.index, value.kind),
            Part::Referral(_) => is_referral(value),
            Part::Service(_) => is_service(value),
        });
        wanted.chain(picked.iter().copied())
    }

    /// Owned copies. Fails if a type or a reference is not UTF-8, which no stored value is.
    pub fn to_vec(&self) -> Result<Vec<Value>, DecodeError> {
        self.iter().map(|value| value.to_value()).collect()
    }

    /// The list in wire form.
    pub(crate) fn to_wire(&self) -> Vec<u8> {
        let mut wire = Vec::new();
        self.write(&mut wire);
        wire
    }

    /// Appends the list in wire form: one copy for a whole record.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        if let Part::Whole(wire) = self.part {
            out.extend_from_slice(wire);
            return;
        }
        let at = out.len();
        Writer::new(out).i32(0);
        let mut count = 0_i32;
        for value in self.iter() {
            out.extend_from_slice(value.wire());
            count += 1;
        }
        out[at..at + 4].copy_from_slice(&count.to_be_bytes());
    }
}
