//! Who serves a name: service information in the values of a record or a referral (clauses 4.5.2,
//! 4.5.6, 4.5.7, 5.2, 5.5).
//!
//! Values that do not decode are passed over and counted, so that one damaged value does not make
//! a prefix unreachable. What service handles name in turn is looked up elsewhere.

use std::sync::Arc;

use guantong_proto::data::{Site, Target};
use guantong_proto::{CaseRule, Handle, ValueRef, Values, is_of_type};

/// The types by which a prefix record is asked for its service information (5.2, step 2).
pub const SERVICE_TYPES: [&str; 4] = ["HS_SITE", "HS_SITE.6", "HS_SERV", "HS_NAMESPACE"];

/// Sites, and service handles, that are taken out of one set of values.
pub const DELEGATION_PARTS_MAX: usize = 64;

//----------- Delegation -----------------------------------------------------

/// Who serves the names under a prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delegation {
    /// The sites, in the order of their values, each once.
    pub sites: Vec<Arc<Site>>,
    /// Service handles whose records name more sites.
    pub services: Vec<Handle>,
    /// Data of the HS_NAMESPACE value with the lowest index.
    pub namespace: Option<Box<[u8]>>,
    /// Values of these types that do not decode, or are too many.
    pub damaged: usize,
}

/// Which values count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The record's own names: HS_SITE and its subtypes but HS_SITE.PREFIX; HS_SERV but
    /// HS_SERV.PREFIX.
    Names,
    /// Prefixes derived from the record's: HS_SITE.PREFIX, its old name HS_NA_DELEGATE, and
    /// HS_SERV.PREFIX.
    DerivedPrefixes,
}

impl Delegation {
    /// Reads service information out of `values`.
    pub fn of(values: Values<'_>, scope: Scope) -> Self {
        let mut delegation = Self::default();
        let mut namespace_index = None;
        for value in values.iter() {
            match Part::of(value.kind, scope) {
                Some(Part::Site) => delegation.add_site(&value),
                Some(Part::Service) => delegation.add_service(&value),
                Some(Part::Namespace) if namespace_index.is_none_or(|i| value.index < i) => {
                    namespace_index = Some(value.index);
                    delegation.namespace = Some(value.data.into());
                }
                Some(Part::Namespace) | None => {}
            }
        }
        delegation
    }

    /// Whether it names nobody.
    pub fn is_empty(&self) -> bool {
        self.sites.is_empty() && self.services.is_empty()
    }

    fn add_site(&mut self, value: &ValueRef<'_>) {
        let Ok(site) = Site::decode(value.data) else {
            self.damaged += 1;
            return;
        };
        if self.sites.iter().any(|known| **known == site) {
            return;
        }
        if site.servers.is_empty() || self.sites.len() >= DELEGATION_PARTS_MAX {
            self.damaged += 1;
            return;
        }
        self.sites.push(Arc::new(site));
    }

    fn add_service(&mut self, value: &ValueRef<'_>) {
        let Ok(target) = Target::decode(value.data) else {
            self.damaged += 1;
            return;
        };
        let key = target.handle().key(CaseRule::Sensitive);
        let known = |handle: &Handle| handle.key(CaseRule::Sensitive) == key;
        if self.services.iter().any(known) {
            return;
        }
        if self.services.len() >= DELEGATION_PARTS_MAX {
            self.damaged += 1;
            return;
        }
        self.services.push(target.handle().clone());
    }
}

enum Part {
    Site,
    Service,
    Namespace,
}

impl Part {
    fn of(kind: &[u8], scope: Scope) -> Option<Self> {
        let derived_site =
            is_of_type(kind, b"HS_SITE.PREFIX") || is_of_type(kind, b"HS_NA_DELEGATE");
        let derived_service = is_of_type(kind, b"HS_SERV.PREFIX");
        match scope {
            Scope::DerivedPrefixes if derived_site => Some(Self::Site),
            Scope::DerivedPrefixes if derived_service => Some(Self::Service),
            Scope::DerivedPrefixes => None,
            Scope::Names if derived_site || derived_service => None,
            Scope::Names if is_of_type(kind, b"HS_SITE") => Some(Self::Site),
            Scope::Names if is_of_type(kind, b"HS_SERV") => Some(Self::Service),
            Scope::Names if is_of_type(kind, b"HS_NAMESPACE") => Some(Self::Namespace),
            Scope::Names => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use guantong_proto::Value;
    use guantong_proto::data::site::Server;
    use guantong_proto::wire::Writer;

    use super::*;

    fn site(serial: u16) -> Site {
        let server = Server {
            id: 1,
            address: [127, 0, 0, 1].into(),
            public_key: Vec::new(),
            interfaces: Vec::new(),
        };
        Site {
            serial,
            servers: vec![server],
            ..Site::default()
        }
    }

    fn delegation(values: &[Value], scope: Scope) -> Delegation {
        let octets = Writer::to_vec(|w| Values::encode(values, w));
        Delegation::of(Values::from_wire(&octets).unwrap(), scope)
    }

    fn sample() -> Vec<Value> {
        vec![
            Value::new(1, "hs_site", site(1).encode()),
            Value::new(2, "HS_SITE.6", site(2).encode()),
            Value::new(3, "HS_SITE.PREFIX", site(3).encode()),
            Value::new(4, "HS_NA_DELEGATE", site(4).encode()),
            Value::new(5, "HS_SERV", "0.SERV/a"),
            Value::new(6, "HS_SERV.PREFIX", "0.SERV/b"),
            Value::new(8, "HS_NAMESPACE", "<namespace><x/></namespace>"),
            Value::new(7, "HS_NAMESPACE", "<namespace/>"),
            Value::new(9, "HS_SITES", site(5).encode()),
        ]
    }

    #[test]
    fn names_are_served_by_sites_and_subtypes_but_not_by_those_for_derived_prefixes() {
        let found = delegation(&sample(), Scope::Names);
        let serials: Vec<u16> = found.sites.iter().map(|site| site.serial).collect();
        assert_eq!(serials, [1, 2]);
        assert_eq!(found.services, [Handle::parse("0.SERV/a").unwrap()]);
        assert_eq!(found.namespace.as_deref(), Some(&b"<namespace/>"[..]));
        assert_eq!(found.damaged, 0);
    }

    #[test]
    fn derived_prefixes_are_served_by_their_own_values_alone() {
        let found = delegation(&sample(), Scope::DerivedPrefixes);
        let serials: Vec<u16> = found.sites.iter().map(|site| site.serial).collect();
        assert_eq!(serials, [3, 4]);
        assert_eq!(found.services, [Handle::parse("0.SERV/b").unwrap()]);
        assert_eq!(found.namespace, None);
    }

    #[test]
    fn damaged_and_repeated_values_are_passed_over() {
        let values = [
            Value::new(1, "HS_SITE", "damaged"),
            Value::new(2, "HS_SITE", Site::default().encode()),
            Value::new(3, "HS_SITE", site(1).encode()),
            Value::new(4, "HS_SITE", site(1).encode()),
            Value::new(5, "HS_SERV", ""),
            Value::new(6, "HS_SERV", "0.SERV/a"),
            Value::new(7, "HS_SERV", "0.serv/A"),
        ];
        let found = delegation(&values, Scope::Names);
        assert_eq!((found.sites.len(), found.services.len()), (1, 1));
        assert_eq!(found.damaged, 3);
    }

    #[test]
    fn number_of_sites_is_bounded() {
        let values: Vec<Value> = (1..=100)
            .map(|n| Value::new(n, "HS_SITE", site(u16::try_from(n).unwrap()).encode()))
            .collect();
        let found = delegation(&values, Scope::Names);
        assert_eq!(found.sites.len(), DELEGATION_PARTS_MAX);
        assert_eq!(found.damaged, 100 - DELEGATION_PARTS_MAX);
    }
}
