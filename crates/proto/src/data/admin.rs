//! HS_ADMIN: who may administer a record, and what they may do (clause 4.5.1; RFC 3651, 3.2.1).

use std::fmt;

use crate::error::DecodeError;
use crate::value::{Reference, ReferenceRef};
use crate::wire::{Reader, Writer};

//----------- Admin ----------------------------------------------------------

/// One administrator of a record.
///
/// ```text
/// permissions  i16
/// handle       bytes
/// index        i32       0 = any key value of that handle
/// (legacy)     two zero octets, written by software up to 7.3
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// What the administrator may do.
    pub permissions: AdminPermissions,
    /// The value that holds the administrator's key, or a list of such values; index 0 is any.
    pub identity: Reference,
    /// Whether the two extra zero octets of old software follow; kept so that signed values stay
    /// what they were.
    pub legacy_length: bool,
}

impl Admin {
    /// An administrator in the present form.
    pub fn new(permissions: AdminPermissions, handle: impl Into<String>, index: i32) -> Self {
        let identity = Reference {
            handle: handle.into(),
            index,
        };
        Self {
            permissions,
            identity,
            legacy_length: false,
        }
    }

    /// Decodes the data of a value.
    pub fn decode(octets: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(octets);
        let permissions = AdminPermissions(r.u16("permissions")?);
        let identity = ReferenceRef::decode(&mut r)?.to_reference()?;
        let legacy_length = r.left() == 2 && r.clone().u16("legacy octets")? == 0;
        if legacy_length {
            r.rest();
        }
        r.finish("HS_ADMIN")?;
        Ok(Self {
            permissions,
            identity,
            legacy_length,
        })
    }

    /// Encodes the data of a value.
    pub fn encode(&self) -> Vec<u8> {
        Writer::to_vec(|w| {
            w.u16(self.permissions.0);
            self.identity.encode(w);
            if self.legacy_length {
                w.u16(0);
            }
        })
    }
}

//----------- AdminPermissions -----------------------------------------------

/// What an administrator may do. Bits without a meaning survive.
///
/// The text form has twelve characters, `1` or `0`, the highest permission first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AdminPermissions(pub u16);

impl AdminPermissions {
    /// Create records under the prefix.
    pub const ADD_HANDLE: Self = Self(0x0001);
    /// Delete the record, or records under the prefix.
    pub const DELETE_HANDLE: Self = Self(0x0002);
    /// Create derived prefixes.
    pub const ADD_DERIVED_PREFIX: Self = Self(0x0004);
    /// Delete derived prefixes.
    pub const DELETE_DERIVED_PREFIX: Self = Self(0x0008);
    /// Change values that are not HS_ADMIN.
    pub const MODIFY_VALUE: Self = Self(0x0010);
    /// Remove values that are not HS_ADMIN.
    pub const REMOVE_VALUE: Self = Self(0x0020);
    /// Add values that are not HS_ADMIN.
    pub const ADD_VALUE: Self = Self(0x0040);
    /// Change HS_ADMIN values.
    pub const MODIFY_ADMIN: Self = Self(0x0080);
    /// Remove HS_ADMIN values.
    pub const REMOVE_ADMIN: Self = Self(0x0100);
    /// Add HS_ADMIN values.
    pub const ADD_ADMIN: Self = Self(0x0200);
    /// Read values that are not public.
    pub const READ_VALUE: Self = Self(0x0400);
    /// List the handles under the prefix.
    pub const LIST_HANDLES: Self = Self(0x0800);
    /// List derived prefixes; defined by RFC 3651, without effect in practice.
    pub const LIST_DERIVED_PREFIXES: Self = Self(0x1000);
    /// The twelve permissions that have an effect.
    pub const ALL: Self = Self(0x0fff);

    /// Permissions with their names, the lowest bit first.
    pub const NAMES: [(Self, &'static str); 13] = [
        (Self::ADD_HANDLE, "add handle"),
        (Self::DELETE_HANDLE, "delete handle"),
        (Self::ADD_DERIVED_PREFIX, "add derived prefix"),
        (Self::DELETE_DERIVED_PREFIX, "delete derived prefix"),
        (Self::MODIFY_VALUE, "modify value"),
        (Self::REMOVE_VALUE, "remove value"),
        (Self::ADD_VALUE, "add value"),
        (Self::MODIFY_ADMIN, "modify admin"),
        (Self::REMOVE_ADMIN, "remove admin"),
        (Self::ADD_ADMIN, "add admin"),
        (Self::READ_VALUE, "read value"),
        (Self::LIST_HANDLES, "list handles"),
        (Self::LIST_DERIVED_PREFIXES, "list derived prefixes"),
    ];

    /// Whether every permission of `needed` is given.
    pub fn contains(self, needed: Self) -> bool {
        self.0 & needed.0 == needed.0
    }

    /// The permissions of both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The names of the permissions that are given.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let given = Self::NAMES
            .into_iter()
            .filter(move |(bit, _)| self.contains(*bit));
        given.map(|(_, name)| name)
    }

    /// Reads the text form: twelve to sixteen characters `0` or `1`, the highest bit first.
    pub fn parse(text: &str) -> Option<Self> {
        let wanted =
            (12..=16).contains(&text.len()) && text.bytes().all(|c| matches!(c, b'0' | b'1'));
        wanted.then(|| u16::from_str_radix(text, 2).ok().map(Self))?
    }
}

impl fmt::Display for AdminPermissions {
    /// Twelve characters, and as many more as bits above the twelfth need.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012b}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn legacy_zero_octets_survive_a_round_trip() {
        let mut octets = Admin::new(AdminPermissions::ALL, "0.NA/88.118", 300).encode();
        octets.extend([0, 0]);
        let admin = Admin::decode(&octets).unwrap();
        assert!(admin.legacy_length);
        assert_eq!(admin.encode(), octets);
    }

    #[test]
    fn other_trailing_octets_are_refused() {
        let octets = Admin::new(AdminPermissions::ALL, "0.NA/88.118", 300).encode();
        for tail in [&[0][..], &[0, 1], &[0, 0, 0]] {
            assert!(
                Admin::decode(&[&octets, tail].concat()).is_err(),
                "{tail:?}"
            );
        }
    }

    #[test]
    fn text_form_puts_list_handles_first_and_add_handle_last() {
        assert_eq!(AdminPermissions::LIST_HANDLES.to_string(), "100000000000");
        assert_eq!(AdminPermissions::ADD_HANDLE.to_string(), "000000000001");
        assert_eq!(
            AdminPermissions::parse("010001110000"),
            Some(AdminPermissions(0x470))
        );
        for bad in ["", "1", "01000111000x", "+00000000001"] {
            assert_eq!(AdminPermissions::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_follow_the_bits() {
        let given = AdminPermissions::READ_VALUE.union(AdminPermissions::ADD_HANDLE);
        assert_eq!(
            given.names().collect::<Vec<_>>(),
            ["add handle", "read value"]
        );
    }

    proptest! {
        #[test]
        fn every_administrator_survives_a_round_trip(
            bits: u16, handle in "\\PC{0,20}", index: i32, legacy_length: bool,
        ) {
            let mut admin = Admin::new(AdminPermissions(bits), handle, index);
            admin.legacy_length = legacy_length;
            prop_assert_eq!(Admin::decode(&admin.encode()).unwrap(), admin.clone());
            let text = admin.permissions.to_string();
            prop_assert_eq!(AdminPermissions::parse(&text), Some(admin.permissions));
        }
    }
}
