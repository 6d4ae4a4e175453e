//! Handle values: one indexed, typed entry of a record, and the list of them that travels.
//!
//! [`Value`] owns its parts; [`ValueRef`] borrows them from wire form and keeps that form at hand,
//! so that an answer can be copied instead of encoded. [`Values`] is a list in wire form that has
//! been walked once: every value in it decodes.

use std::fmt;

use crate::data::{GRANT_TYPE, STATE_TYPE};
use crate::error::{DecodeError, Reason};
use crate::limits::{HANDLE_LEN_MAX, TTL_DEFAULT_SECS, VALUES_MAX};
use crate::wire::{Reader, Writer};

/// Octets of a value with empty type, empty data and no references.
const VALUE_LEN_MIN: usize = 26;
/// Octets of a reference with an empty handle.
const REFERENCE_LEN_MIN: usize = 8;

//----------- Value ----------------------------------------------------------

/// One entry of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Number of the value, unique in its record and above 0 in a stored record.
    pub index: i32,
    /// Time of the last change, in seconds since 1970; set by the server.
    pub timestamp: u32,
    /// How long a cache may keep the value.
    pub ttl: Ttl,
    /// Who may read and write the value.
    pub permissions: Permissions,
    /// The type: UTF-8, compared without regard to ASCII case.
    pub kind: String,
    /// The data, in the form that the type prescribes.
    pub data: Vec<u8>,
    /// Values elsewhere that this one refers to; rarely used.
    pub references: Vec<Reference>,
}

impl Value {
    /// A value with the default TTL and permissions, and no timestamp yet.
    pub fn new(index: i32, kind: impl Into<String>, data: impl Into<Vec<u8>>) -> Self {
        Self {
            index,
            timestamp: 0,
            ttl: Ttl::default(),
            permissions: Permissions::default(),
            kind: kind.into(),
            data: data.into(),
            references: Vec::new(),
        }
    }

    /// Decodes exactly one value.
    pub fn decode(octets: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(octets);
        let value = ValueRef::decode(&mut r)?.to_value()?;
        r.finish("value")?;
        Ok(value)
    }

    /// Octets of the encoded value.
    pub fn encoded_len(&self) -> usize {
        // Index, timestamp, TTL with its type, permissions; two lengths and a count.
        const FIXED: usize = 4 + 4 + 5 + 1 + 4 + 4 + 4;
        let reference = |reference: &Reference| 4 + reference.handle.len() + 4;
        let references: usize = self.references.iter().map(reference).sum();
        FIXED + self.kind.len() + self.data.len() + references
    }

    /// Encodes the value.
    pub fn encode(&self, w: &mut Writer<'_>) {
        self.encode_at(self.timestamp, w);
    }

    /// Encodes the value with another time of its last change.
    pub fn encode_at(&self, timestamp: u32, w: &mut Writer<'_>) {
        w.i32(self.index);
        w.u32(timestamp);
        let (ttl_type, ttl) = self.ttl.to_wire();
        w.u8(ttl_type);
        w.i32(ttl);
        w.u8(self.permissions.0);
        w.bytes(self.kind.as_bytes());
        w.bytes(&self.data);
        w.size(self.references.len());
        for reference in &self.references {
            reference.encode(w);
        }
    }

    /// The data as text, if it is valid UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.data).ok()
    }

    /// Whether the value says that its record is reserved or withdrawn.
    pub fn is_state(&self) -> bool {
        is_of_type(self.kind.as_bytes(), STATE_TYPE.as_bytes())
    }

    /// Whether both are the same value, whenever it was last changed.
    pub fn is_same_but_for_time(&self, other: &Self) -> bool {
        self.index == other.index
            && self.ttl == other.ttl
            && self.permissions == other.permissions
            && self.kind == other.kind
            && self.data == other.data
            && self.references == other.references
    }
}

//----------- ValueRef -------------------------------------------------------

/// A value that borrows from its wire form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueRef<'a> {
    /// Number of the value.
    pub index: i32,
    /// Time of the last change, in seconds since 1970.
    pub timestamp: u32,
    /// How long a cache may keep the value.
    pub ttl: Ttl,
    /// Who may read and write the value.
    pub permissions: Permissions,
    /// The type as it came; not checked for UTF-8.
    pub kind: &'a [u8],
    /// The data.
    pub data: &'a [u8],
    /// The array of references in wire form, its count included.
    references: &'a [u8],
    wire: &'a [u8],
}

impl<'a> ValueRef<'a> {
    /// Decodes the next value of `r`.
    pub fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let start = r.position();
        let index = r.i32("index")?;
        let timestamp = r.u32("timestamp")?;
        let ttl_type = r.u8("TTL type")?;
        let ttl = Ttl::from_wire(ttl_type, r.i32("TTL")?);
        let permissions = Permissions(r.u8("permissions")?);
        let kind = r.bytes("type")?;
        let data = r.bytes("data")?;
        let references_start = r.position();
        for _ in 0..r.count("reference count", REFERENCE_LEN_MIN, usize::MAX)? {
            ReferenceRef::decode(r)?;
        }
        Ok(Self {
            index,
            timestamp,
            ttl,
            permissions,
            kind,
            data,
            references: r.since(references_start),
            wire: r.since(start),
        })
    }

    /// The octets that the value was decoded from.
    pub fn wire(&self) -> &'a [u8] {
        self.wire
    }

    /// Whether anybody may read the value.
    ///
    /// A secret is not public whatever its permissions say: a mistake in that octet must not give
    /// it away (4.5.4). Neither is a grant: to whom something is shown is nobody else's business.
    pub fn is_public(&self) -> bool {
        self.permissions.public_read()
            && !self.is_secret()
            && !is_of_type(self.kind, GRANT_TYPE.as_bytes())
    }

    /// Whether the value is sent to nobody but mirrors, whatever its permissions say.
    pub fn is_secret(&self) -> bool {
        is_secret(self.kind)
    }

    /// Whether the value says that its record is reserved or withdrawn, whatever its data and its
    /// subtype: what cannot be read must not make a record public.
    pub fn is_state(&self) -> bool {
        is_of_type(self.kind, STATE_TYPE.as_bytes())
    }

    /// The references.
    pub fn references(&self) -> impl Iterator<Item = ReferenceRef<'a>> + use<'a> {
        let mut r = Reader::new(self.references);
        // `decode` has walked these octets, so neither call fails before the end.
        let count = r
            .count("reference count", REFERENCE_LEN_MIN, usize::MAX)
            .unwrap_or(0);
        (0..count).map_while(move |_| ReferenceRef::decode(&mut r).ok())
    }

    /// An owned copy. Fails if the type is not valid UTF-8.
    pub fn to_value(&self) -> Result<Value, DecodeError> {
        let kind = std::str::from_utf8(self.kind)
            .map_err(|_| DecodeError::new("type", 14, Reason::NotUtf8))?;
        Ok(Value {
            index: self.index,
            timestamp: self.timestamp,
            ttl: self.ttl,
            permissions: self.permissions,
            kind: kind.to_owned(),
            data: self.data.to_vec(),
            references: self
                .references()
                .map(|r| r.to_reference())
                .collect::<Result<_, _>>()?,
        })
    }
}

//----------- Values ---------------------------------------------------------

/// A list of values in wire form: i32 count, then the values back to back.
///
/// Every value in it has been decoded once; there are at most [`VALUES_MAX`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Values<'a> {
    count: usize,
    wire: &'a [u8],
}

impl<'a> Values<'a> {
    /// The list without values.
    pub const EMPTY: Values<'static> = Values {
        count: 0,
        wire: &[0; 4],
    };

    /// Decodes the next list of `r`.
    pub fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let start = r.position();
        let count = r.count("value count", VALUE_LEN_MIN, VALUES_MAX)?;
        for position in 1..=count {
            ValueRef::decode(r).map_err(|e| e.within(format_args!("value {position}")))?;
        }
        Ok(Self {
            count,
            wire: r.since(start),
        })
    }

    /// Decodes octets that hold exactly one list.
    pub fn from_wire(octets: &'a [u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(octets);
        let values = Self::decode(&mut r)?;
        r.finish("value list")?;
        Ok(values)
    }

    /// The list in octets for which [`from_wire`](Self::from_wire) has succeeded before, such as
    /// those of a stored record: they are not walked again. Of other octets, values may be missing.
    pub fn checked_before(octets: &'a [u8]) -> Self {
        let count = octets.first_chunk().copied().map(i32::from_be_bytes);
        Self {
            count: count.and_then(|count| count.try_into().ok()).unwrap_or(0),
            wire: octets,
        }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The octets of the list, count included.
    pub fn wire(&self) -> &'a [u8] {
        self.wire
    }

    /// The values in their order.
    pub fn iter(&self) -> impl Iterator<Item = ValueRef<'a>> + use<'a> {
        let mut r = Reader::new(self.wire.get(4..).unwrap_or_default());
        // These octets have been walked, so the iterator does not end early.
        (0..self.count).map_while(move |_| ValueRef::decode(&mut r).ok())
    }

    /// Owned copies of all values. Fails if a type or reference is not valid UTF-8.
    pub fn to_vec(&self) -> Result<Vec<Value>, DecodeError> {
        self.iter().map(|value| value.to_value()).collect()
    }

    /// Encodes owned values as a list.
    pub fn encode(values: &[Value], w: &mut Writer<'_>) {
        w.size(values.len());
        for value in values {
            value.encode(w);
        }
    }
}

impl fmt::Debug for Values<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

//----------- Reference ------------------------------------------------------

/// A pointer to a value of some record: handle and index.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// The handle; may be empty where a message allows it.
    pub handle: String,
    /// The index; 0 means any value.
    pub index: i32,
}

impl Reference {
    /// Encodes the reference: bytes handle, i32 index.
    pub fn encode(&self, w: &mut Writer<'_>) {
        w.bytes(self.handle.as_bytes());
        w.i32(self.index);
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.index, self.handle)
    }
}

/// A reference that borrows from its wire form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReferenceRef<'a> {
    /// The handle as it came; not checked for UTF-8.
    pub handle: &'a [u8],
    /// The index; 0 means any value.
    pub index: i32,
}

impl<'a> ReferenceRef<'a> {
    /// Decodes the next reference of `r`.
    pub fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let handle = r.bytes_max("reference handle", HANDLE_LEN_MAX)?;
        Ok(Self {
            handle,
            index: r.i32("reference index")?,
        })
    }

    /// An owned copy. Fails if the handle is not valid UTF-8.
    pub fn to_reference(&self) -> Result<Reference, DecodeError> {
        let handle = std::str::from_utf8(self.handle)
            .map_err(|_| DecodeError::new("reference handle", 0, Reason::NotUtf8))?;
        Ok(Reference {
            handle: handle.to_owned(),
            index: self.index,
        })
    }
}

//----------- Ttl ------------------------------------------------------------

/// How long a cache may keep a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// Seconds after the value was fetched.
    Relative(i32),
    /// A moment in seconds since 1970.
    Absolute(i32),
    /// A TTL type that the protocol does not define; kept as it came.
    Other {
        /// The TTL type octet, neither 0 nor 1.
        kind: u8,
        /// The TTL field.
        ttl: i32,
    },
}

impl Ttl {
    fn from_wire(kind: u8, ttl: i32) -> Self {
        match kind {
            0 => Self::Relative(ttl),
            1 => Self::Absolute(ttl),
            _ => Self::Other { kind, ttl },
        }
    }

    fn to_wire(self) -> (u8, i32) {
        match self {
            Self::Relative(ttl) => (0, ttl),
            Self::Absolute(ttl) => (1, ttl),
            Self::Other { kind, ttl } => (kind, ttl),
        }
    }

    /// Seconds that the value may be kept from `now_secs` (seconds since 1970) on, at most
    /// [`TTL_MAX_SECS`](crate::limits::TTL_MAX_SECS) and never negative.
    pub fn seconds_left(self, now_secs: u32) -> u32 {
        let seconds = match self {
            Self::Relative(ttl) => i64::from(ttl),
            Self::Absolute(at) => i64::from(at) - i64::from(now_secs),
            Self::Other { .. } => 0,
        };
        let capped = seconds.clamp(0, i64::from(crate::limits::TTL_MAX_SECS));
        u32::try_from(capped).unwrap_or(0)
    }
}

impl Default for Ttl {
    fn default() -> Self {
        Self::Relative(TTL_DEFAULT_SECS)
    }
}

//----------- Permissions ----------------------------------------------------

/// Who may read and write a value. Bits without a meaning survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permissions(pub u8);

impl Permissions {
    /// Administrators with the right may read.
    pub const ADMIN_READ: u8 = 0x08;
    /// Administrators with the right may write.
    pub const ADMIN_WRITE: u8 = 0x04;
    /// Anyone may read.
    pub const PUBLIC_READ: u8 = 0x02;
    /// Anyone may write.
    pub const PUBLIC_WRITE: u8 = 0x01;

    /// Whether administrators with the right may read.
    pub fn admin_read(self) -> bool {
        self.0 & Self::ADMIN_READ != 0
    }

    /// Whether administrators with the right may write.
    pub fn admin_write(self) -> bool {
        self.0 & Self::ADMIN_WRITE != 0
    }

    /// Whether anyone may read.
    pub fn public_read(self) -> bool {
        self.0 & Self::PUBLIC_READ != 0
    }

    /// Whether anyone may write.
    pub fn public_write(self) -> bool {
        self.0 & Self::PUBLIC_WRITE != 0
    }
}

impl Default for Permissions {
    /// Administrators read and write, anyone reads.
    fn default() -> Self {
        Self(Self::ADMIN_READ | Self::ADMIN_WRITE | Self::PUBLIC_READ)
    }
}

//----------- Types ----------------------------------------------------------

/// Whether a value of type `kind` is selected by a request for `requested`.
///
/// ASCII case does not matter. A request that ends in a dot means a family: `URL.` selects `URL`
/// and `URL.anything`; without the dot it selects that type alone.
pub fn type_matches(requested: &[u8], kind: &[u8]) -> bool {
    match requested.strip_suffix(b".") {
        Some(family) => is_of_type(kind, family),
        None => requested.eq_ignore_ascii_case(kind),
    }
}

/// Whether values of type `kind` are sent to nobody but mirrors: secret keys (4.5.4), and what
/// passwords are checked by.
pub fn is_secret(kind: &[u8]) -> bool {
    is_of_type(kind, b"HS_SECKEY") || is_of_type(kind, b"GT_LOGIN")
}

/// Whether a value of type `kind` is a `family` or a subtype of it: `HS_SITE.6` is an `HS_SITE`.
pub fn is_of_type(kind: &[u8], family: &[u8]) -> bool {
    let Some((head, tail)) = kind.split_at_checked(family.len()) else {
        return false;
    };
    head.eq_ignore_ascii_case(family) && (tail.is_empty() || tail[0] == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(value: &Value) -> Vec<u8> {
        Writer::to_vec(|w| value.encode(w))
    }

    fn sample() -> Value {
        let mut value = Value::new(7, "URL", "https://example.org/");
        value.ttl = Ttl::Other { kind: 9, ttl: -1 };
        value.permissions = Permissions(0xf3);
        value.references = vec![
            Reference {
                handle: "20.500/A".into(),
                index: 300,
            },
            Reference {
                handle: String::new(),
                index: 0,
            },
        ];
        value
    }

    #[test]
    fn value_with_unknown_ttl_type_and_permission_bits_survives_a_round_trip() {
        assert_eq!(Value::decode(&encoded(&sample())).unwrap(), sample());
    }

    #[test]
    fn length_of_an_encoded_value_is_known_before() {
        for value in [sample(), Value::new(1, "", ""), Value::new(1, "URL", "x")] {
            assert_eq!(value.encoded_len(), encoded(&value).len());
        }
    }

    #[test]
    fn truncated_value_is_refused_at_every_octet() {
        let octets = encoded(&sample());
        for len in 0..octets.len() {
            assert!(Value::decode(&octets[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn more_values_than_the_limit_are_refused() {
        let values = vec![Value::new(1, "", ""); VALUES_MAX + 1];
        let octets = Writer::to_vec(|w| Values::encode(&values, w));
        let error = Values::from_wire(&octets).unwrap_err();
        assert_eq!(
            error.to_string(),
            "value count at octet 0: is 2049, the limit is 2048"
        );
        let octets = Writer::to_vec(|w| Values::encode(&values[1..], w));
        assert_eq!(Values::from_wire(&octets).unwrap().len(), VALUES_MAX);
    }

    #[test]
    fn fault_names_the_value() {
        let mut octets = Writer::to_vec(|w| Values::encode(&[sample(), sample()], w));
        octets.pop();
        let error = Values::from_wire(&octets).unwrap_err();
        assert_eq!(error.context, "value 2");
    }

    #[test]
    fn type_families_match_with_a_trailing_dot_only() {
        for (requested, kind, matches) in [
            ("URL", "url", true),
            ("URL", "URL.x", false),
            ("URL.", "URL", true),
            ("url.", "URL.x", true),
            ("URL.", "URLX", false),
            ("URL.x", "URL", false),
            ("", "", true),
            (".", "", true),
        ] {
            let found = type_matches(requested.as_bytes(), kind.as_bytes());
            assert_eq!(found, matches, "{requested} {kind}");
        }
        assert!(is_of_type(b"hs_site.6", b"HS_SITE"));
        assert!(!is_of_type(b"HS_SITES", b"HS_SITE"));
    }

    #[test]
    fn list_that_was_checked_before_is_the_same_and_no_other_one_makes_it_panic() {
        let values = [Value::new(1, "URL", "x"), Value::new(2, "NAME", "y")];
        let wire = Writer::to_vec(|w| Values::encode(&values, w));
        let list = Values::checked_before(&wire);
        assert_eq!((list.len(), list.to_vec().unwrap()), (2, values.to_vec()));
        for at in 0..wire.len() {
            assert!(Values::checked_before(&wire[..at]).iter().count() < 2);
            for octet in 0..=u8::MAX {
                let mut altered = wire.clone();
                altered[at] = octet;
                Values::checked_before(&altered).iter().for_each(drop);
            }
        }
    }

    #[test]
    fn absolute_ttl_counts_down_and_is_capped() {
        assert_eq!(Ttl::Absolute(1_000).seconds_left(400), 600);
        assert_eq!(Ttl::Absolute(1_000).seconds_left(2_000), 0);
        assert_eq!(Ttl::Relative(i32::MAX).seconds_left(0), 172_800);
        assert_eq!(Ttl::Relative(-5).seconds_left(0), 0);
    }
}
