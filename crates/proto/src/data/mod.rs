//! Typed data of the predefined value types (clause 4.5) and of our own, one file per type.
//!
//! [`Data::decode`] looks at the type of a value and reads its data accordingly. It cannot fail:
//! data of an unknown type, and data that does not fit its type, stays [`Data::Opaque`] and goes
//! out as it came in. Where a fault matters, [`Data::decode_strict`] names it.
//!
//! Subtypes count: `HS_SITE.6`, `HS_SITE.PREFIX` and the old name `HS_NA_DELEGATE` are sites,
//! `HS_SERV.PREFIX` is a service. What a type *means* for resolution is not known here.

pub mod admin;
pub mod key;
pub mod list;
pub mod namespace;
pub mod secret;
pub mod service;
pub mod site;
pub mod state;

use crate::error::DecodeError;
use crate::value::is_of_type;

pub use admin::{Admin, AdminPermissions};
pub use key::{PrivateKey, PublicKey};
pub use list::List;
pub use namespace::Namespace;
pub use secret::SecretKey;
pub use service::Target;
pub use site::Site;
pub use state::{STATE_INDEX, STATE_TYPE, State, StateData};

/// The type of values that say who else reads and writes values of a record: ours, and JSON.
pub const GRANT_TYPE: &str = "GT_GRANT";

//----------- Data -----------------------------------------------------------

/// The data of a value, read by the rules of its type.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Data {
    /// HS_ADMIN (4.5.1).
    Admin(Admin),
    /// HS_VLIST (4.5.5).
    List(List),
    /// HS_SITE and its kin (4.5.2).
    Site(Site),
    /// HS_PUBKEY (4.5.3).
    PublicKey(PublicKey),
    /// HS_SECKEY (4.5.4).
    SecretKey(SecretKey),
    /// HS_SERV and HS_SERV.PREFIX: the service handle (4.5.6).
    Service(Target),
    /// HS_ALIAS: the handle that this one stands for (4.5.6).
    Alias(Target),
    /// HS_NAMESPACE (4.5.7).
    Namespace(Namespace),
    /// GT_STATE: the state of the record.
    State(StateData),
    /// Everything else, and whatever does not decode: the octets as they came.
    Opaque(Vec<u8>),
}

impl Data {
    /// Reads the data of a value of type `kind`; falls back to [`Data::Opaque`].
    pub fn decode(kind: impl AsRef<[u8]>, octets: &[u8]) -> Self {
        Self::decode_strict(kind, octets).unwrap_or_else(|_| Self::Opaque(octets.to_vec()))
    }

    /// Reads the data of a value of type `kind`; fails if a known type does not decode.
    pub fn decode_strict(kind: impl AsRef<[u8]>, octets: &[u8]) -> Result<Self, DecodeError> {
        let kind = kind.as_ref();
        let Some(family) = Family::of(kind) else {
            return Ok(Self::Opaque(octets.to_vec()));
        };
        let decoded = match family {
            Family::Admin => Admin::decode(octets).map(Self::Admin),
            Family::List => List::decode(octets).map(Self::List),
            Family::Site => Site::decode(octets).map(Self::Site),
            Family::PublicKey => PublicKey::decode(octets).map(Self::PublicKey),
            Family::SecretKey => Ok(Self::SecretKey(SecretKey::new(octets))),
            Family::Service => Target::decode(octets).map(Self::Service),
            Family::Alias => Target::decode(octets).map(Self::Alias),
            Family::Namespace => Namespace::decode(octets).map(Self::Namespace),
            Family::State => StateData::decode(octets).map(Self::State),
        };
        decoded.map_err(|error| error.within(String::from_utf8_lossy(kind)))
    }

    /// Whether data of this type is nothing but octets to us: [`Data::decode`] makes
    /// [`Data::Opaque`] of it.
    pub fn is_opaque(kind: impl AsRef<[u8]>) -> bool {
        Family::of(kind.as_ref()).is_none()
    }

    /// The octets that go into the value.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Admin(admin) => admin.encode(),
            Self::List(list) => list.encode(),
            Self::Site(site) => site.encode(),
            Self::PublicKey(key) => key.encode(),
            Self::SecretKey(secret) => secret.as_bytes().to_vec(),
            Self::Service(target) | Self::Alias(target) => target.encode(),
            Self::Namespace(namespace) => namespace.as_str().as_bytes().to_vec(),
            Self::State(state) => state.encode(),
            Self::Opaque(octets) => octets.clone(),
        }
    }
}

//----------- Family ---------------------------------------------------------

/// The predefined types whose data has a form of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Admin,
    List,
    Site,
    PublicKey,
    SecretKey,
    Service,
    Alias,
    Namespace,
    State,
}

impl Family {
    fn of(kind: &[u8]) -> Option<Self> {
        // Most values have types of their owners, and every answer looks at all of them.
        let may_be = kind
            .first()
            .is_some_and(|first| matches!(first.to_ascii_uppercase(), b'H' | b'G'));
        if !may_be {
            return None;
        }
        const TYPES: [(&[u8], Family); 10] = [
            (b"HS_ADMIN", Family::Admin),
            (b"HS_VLIST", Family::List),
            (b"HS_SITE", Family::Site),
            (b"HS_NA_DELEGATE", Family::Site),
            (b"HS_PUBKEY", Family::PublicKey),
            (b"HS_SECKEY", Family::SecretKey),
            (b"HS_SERV", Family::Service),
            (b"HS_ALIAS", Family::Alias),
            (b"HS_NAMESPACE", Family::Namespace),
            (STATE_TYPE.as_bytes(), Family::State),
        ];
        let known = TYPES.iter().find(|(name, _)| is_of_type(kind, name))?;
        Some(known.1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn subtypes_and_old_names_are_read_like_their_family() {
        let site = Site::default().encode();
        for kind in ["HS_SITE", "hs_site.6", "HS_SITE.PREFIX", "HS_NA_DELEGATE"] {
            assert!(matches!(Data::decode(kind, &site), Data::Site(_)), "{kind}");
        }
        for kind in ["HS_SERV", "HS_SERV.PREFIX"] {
            assert!(
                matches!(Data::decode(kind, b"0.SERV/a"), Data::Service(_)),
                "{kind}"
            );
        }
        assert!(matches!(Data::decode("HS_SITES", &site), Data::Opaque(_)));
    }

    #[test]
    fn data_that_does_not_fit_its_type_stays_opaque_and_strict_reading_names_the_fault() {
        assert_eq!(
            Data::decode("HS_ADMIN", b"\x0f"),
            Data::Opaque(b"\x0f".to_vec())
        );
        let error = Data::decode_strict("HS_ADMIN", b"\x0f").unwrap_err();
        assert_eq!(
            error.to_string(),
            "HS_ADMIN: permissions at octet 0: needs 2 octets, 1 left"
        );
    }

    proptest! {
        #[test]
        fn any_octets_under_any_type_decode_and_encode_to_a_fixed_point(
            kind in "HS_(ADMIN|VLIST|SITE|PUBKEY|SECKEY|SERV|ALIAS|NAMESPACE)|GT_STATE|URL",
            octets in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let once = Data::decode(&kind, &octets);
            prop_assert_eq!(Data::decode(&kind, &once.encode()), once);
        }
    }
}
