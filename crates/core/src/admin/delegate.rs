//! Delegating a prefix: who serves it and who administers it, written into its prefix record.
//!
//! The record follows custom: sites from index 1, services behind them, administrators from 100.

use std::collections::HashSet;

use guantong_proto::data::{Admin, AdminPermissions, Site};
use guantong_proto::{Handle, Value, is_of_type};

/// Index at which the administrators of a record start by custom.
const ADMIN_INDEX: i32 = 100;

//----------- Delegation -----------------------------------------------------

/// What a prefix record is to say.
#[derive(Clone, Debug, Default)]
pub struct Delegation {
    /// The sites that serve the prefix.
    pub sites: Vec<Site>,
    /// Handles whose HS_SITE values are the sites.
    pub services: Vec<Handle>,
    /// Whether they serve the prefixes derived from it as well, so that those need no record here.
    pub derived: bool,
    /// Those who administer the prefix.
    pub administrators: Vec<Administrator>,
}

/// An administrator of a prefix: the value that holds the key, and the permissions.
#[derive(Clone, Debug)]
pub struct Administrator {
    /// Handle of the key value.
    pub handle: Handle,
    /// Its index; 0 for any key of the handle.
    pub index: i32,
    /// What the administrator may do.
    pub permissions: AdminPermissions,
}

impl Delegation {
    /// The values of the prefix record that was `current` (empty for a new one).
    ///
    /// Sites and services take the place of all that were there, those of derived prefixes only if
    /// there are new ones; administrators are added unless the same key is one already; everything
    /// else stays. A site whose servers have IPv6 addresses is an HS_SITE.6, which old clients do
    /// not see (4.5.2).
    pub fn apply(&self, current: &[Value]) -> Vec<Value> {
        const OWN: [&str; 3] = ["HS_SITE", "HS_SITE.6", "HS_SERV"];
        const DERIVED: [&str; 3] = ["HS_SITE.PREFIX", "HS_NA_DELEGATE", "HS_SERV.PREFIX"];
        let replaced = |kind: &str| {
            let is = |served: &&str| kind.eq_ignore_ascii_case(served);
            OWN.iter().any(is) || self.derived && DERIVED.iter().any(is)
        };
        let mut values: Vec<Value> = current
            .iter()
            .filter(|value| !replaced(&value.kind))
            .cloned()
            .collect();
        let mut indexes = FreeIndexes::of(&values);
        let mut served = Vec::new();
        for site in &self.sites {
            let kind = match site.servers.iter().any(|server| server.address.is_ipv6()) {
                true => "HS_SITE.6",
                false => "HS_SITE",
            };
            served.push(Value::new(indexes.next_from(1), kind, site.encode()));
        }
        for service in &self.services {
            let data = service.as_str();
            served.push(Value::new(indexes.next_from(1), "HS_SERV", data));
        }
        if self.derived {
            for site in &self.sites {
                let data = site.encode();
                served.push(Value::new(indexes.next_from(1), "HS_SITE.PREFIX", data));
            }
            for service in &self.services {
                let data = service.as_str();
                served.push(Value::new(indexes.next_from(1), "HS_SERV.PREFIX", data));
            }
        }
        for administrator in &self.administrators {
            if !values.iter().any(|value| administrator.is_in(value)) {
                let index = indexes.next_from(ADMIN_INDEX);
                values.push(Value::new(index, "HS_ADMIN", administrator.encode()));
            }
        }
        served.append(&mut values);
        served
    }
}

impl Administrator {
    fn encode(&self) -> Vec<u8> {
        Admin::new(self.permissions, self.handle.as_str(), self.index).encode()
    }

    fn is_in(&self, value: &Value) -> bool {
        is_of_type(value.kind.as_bytes(), b"HS_ADMIN")
            && Admin::decode(&value.data).is_ok_and(|admin| {
                admin.identity.index == self.index
                    && admin
                        .identity
                        .handle
                        .eq_ignore_ascii_case(self.handle.as_str())
            })
    }
}

//----------- FreeIndexes ----------------------------------------------------

struct FreeIndexes(HashSet<i32>);

impl FreeIndexes {
    fn of(values: &[Value]) -> Self {
        Self(values.iter().map(|value| value.index).collect())
    }

    /// Takes the first free index from `first` on. Records are far smaller than the indexes are
    /// many, so there always is one.
    fn next_from(&mut self, first: i32) -> i32 {
        let free = (first..=i32::MAX).find(|index| !self.0.contains(index));
        let index = free.unwrap_or(i32::MAX);
        self.0.insert(index);
        index
    }
}

#[cfg(test)]
mod tests {
    use guantong_proto::data::site::Server;

    use super::*;
    use crate::admin::validate;

    fn site(address: &str) -> Site {
        let server = Server {
            id: 1,
            address: address.parse().unwrap(),
            public_key: Vec::new(),
            interfaces: Vec::new(),
        };
        Site {
            servers: vec![server],
            ..Site::default()
        }
    }

    fn delegation() -> Delegation {
        Delegation {
            sites: vec![site("127.0.0.1"), site("::1")],
            services: vec![Handle::parse("0.SERV/88.118").unwrap()],
            derived: false,
            administrators: vec![Administrator {
                handle: Handle::parse("0.NA/88.118").unwrap(),
                index: 300,
                permissions: AdminPermissions::ALL,
            }],
        }
    }

    fn shape(values: &[Value]) -> Vec<(i32, &str)> {
        values
            .iter()
            .map(|value| (value.index, value.kind.as_str()))
            .collect()
    }

    #[test]
    fn new_prefix_record_has_sites_services_and_administrators() {
        let values = delegation().apply(&[]);
        let expected = [
            (1, "HS_SITE"),
            (2, "HS_SITE.6"),
            (3, "HS_SERV"),
            (100, "HS_ADMIN"),
        ];
        assert_eq!(shape(&values), expected);
        assert_eq!(validate(&values), Ok(()));
    }

    #[test]
    fn derived_prefixes_are_delegated_only_if_that_is_wanted() {
        let derived = Delegation {
            sites: vec![site("127.0.0.1")],
            derived: true,
            ..delegation()
        };
        let values = derived.apply(&[]);
        let expected = [
            (1, "HS_SITE"),
            (2, "HS_SERV"),
            (3, "HS_SITE.PREFIX"),
            (4, "HS_SERV.PREFIX"),
            (100, "HS_ADMIN"),
        ];
        assert_eq!(shape(&values), expected);
        assert_eq!(shape(&derived.apply(&values)), expected);
        let kept = delegation().apply(&values);
        assert!(kept.iter().any(|value| value.kind == "HS_SITE.PREFIX"));
    }

    #[test]
    fn delegating_again_replaces_the_sites_and_keeps_everything_else() {
        let mut current = delegation().apply(&[]);
        current.push(Value::new(4, "DESC", "ours"));
        current.push(Value::new(5, "HS_SERV.PREFIX", "0.SERV/88"));
        let again = Delegation {
            sites: vec![site("127.0.0.2")],
            services: vec![],
            ..delegation()
        };
        let values = again.apply(&current);
        let expected = [
            (1, "HS_SITE"),
            (100, "HS_ADMIN"),
            (4, "DESC"),
            (5, "HS_SERV.PREFIX"),
        ];
        assert_eq!(shape(&values), expected);
    }
}
