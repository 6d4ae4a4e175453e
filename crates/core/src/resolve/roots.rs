//! Where resolution begins: the root record `0.NA/0.NA` and the sites that it names (5.2, step 3).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use guantong_proto::data::Site;
use guantong_proto::data::site::{Interface, InterfaceKind, Protocol, Server};
use guantong_proto::file::{Bootstrap, decode_root_info, encode_root_info};
use guantong_proto::message::Header;
use guantong_proto::wire::Writer;
use guantong_proto::{CaseRule, DecodeError, Handle, Key, Value, Values};

use super::limits::SERVICES_MAX;
use crate::delegation::{Delegation, Scope};

/// The root of resolution.
pub(crate) const ROOT_HANDLE: &str = "0.NA/0.NA";

//----------- Roots ----------------------------------------------------------

/// The global sites, and the record that they come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roots {
    sites: Vec<Arc<Site>>,
    /// The values of the root record; made up if only sites or addresses were given.
    values: Vec<Value>,
    origin: Origin,
}

/// What is known of the roots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The root record, from a file or from the network.
    Record,
    /// Site records without the root record.
    Sites,
    /// Nothing but addresses: no keys, no serial.
    Addresses,
}

impl Roots {
    /// The roots that the values of the root record name. Service handles cannot be followed here,
    /// so at least one HS_SITE value is needed.
    pub fn from_values(values: Vec<Value>) -> Result<Self, RootError> {
        Self::of_records(values, &BTreeMap::new())
    }

    /// Reads the file `root_info`.
    pub fn from_root_info(octets: &[u8]) -> Result<Self, RootError> {
        Self::from_values(decode_root_info(octets)?)
    }

    /// The roots of a file `bootstrap_handles`, service handles in it included.
    pub fn from_bootstrap(bootstrap: &Bootstrap) -> Result<Self, RootError> {
        let named = bootstrap.records.iter().filter_map(|(name, values)| {
            let handle = Handle::parse(name).ok()?;
            Some((handle.key(CaseRule::Sensitive), values.clone()))
        });
        let records: BTreeMap<Key, Vec<Value>> = named.collect();
        let values = records.get(&root_handle().key(CaseRule::Sensitive));
        let values = values.ok_or(RootError::NoRootRecord)?.clone();
        Self::of_records(values, &records)
    }

    /// Roots of which the site records are known, as in `siteinfo.json` and `siteinfo.bin`.
    pub fn from_sites(sites: &[Site]) -> Result<Self, RootError> {
        Self::made_up(sites, Origin::Sites)
    }

    /// Roots of which nothing but addresses is known: each is a site of its own that is asked by
    /// UDP, then by TCP.
    pub fn from_addresses(addresses: &[SocketAddr]) -> Result<Self, RootError> {
        let sites: Vec<Site> = addresses.iter().map(|address| site_at(*address)).collect();
        Self::made_up(&sites, Origin::Addresses)
    }

    /// The global sites; at least one.
    pub fn sites(&self) -> &[Arc<Site>] {
        &self.sites
    }

    /// The values of the root record.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// What is known of them.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The file `root_info`.
    pub fn to_root_info(&self) -> Vec<u8> {
        encode_root_info(&self.values)
    }

    /// The roots that a fetched root record and the sites of its service handles make up.
    pub(crate) fn fetched(values: Vec<Value>, sites: Vec<Arc<Site>>) -> Result<Self, RootError> {
        if sites.is_empty() {
            return Err(RootError::NoSite);
        }
        Ok(Self {
            sites,
            values,
            origin: Origin::Record,
        })
    }

    /// Whether a site has a server with a key.
    pub(crate) fn has_keys(&self) -> bool {
        let servers = self.sites.iter().flat_map(|site| &site.servers);
        servers
            .into_iter()
            .any(|server| !server.public_key.is_empty())
    }

    fn made_up(sites: &[Site], origin: Origin) -> Result<Self, RootError> {
        let values = (1..).zip(sites);
        let values = values.map(|(index, site)| Value::new(index, "HS_SITE", site.encode()));
        let mut roots = Self::from_values(values.collect())?;
        roots.origin = origin;
        Ok(roots)
    }

    fn of_records(
        values: Vec<Value>,
        records: &BTreeMap<Key, Vec<Value>>,
    ) -> Result<Self, RootError> {
        let mut sites: Vec<Arc<Site>> = Vec::new();
        let mut seen = BTreeSet::new();
        let mut waiting = vec![values.clone()];
        while let Some(values) = waiting.pop() {
            let octets = Writer::to_vec(|w| Values::encode(&values, w));
            let values = Values::from_wire(&octets).map_err(RootError::Damaged)?;
            let delegation = Delegation::of(values, Scope::Names);
            for site in delegation.sites {
                if !sites.contains(&site) {
                    sites.push(site);
                }
            }
            for service in delegation.services {
                let key = service.key(CaseRule::Sensitive);
                if seen.len() < SERVICES_MAX
                    && let Some(values) = records.get(&key)
                    && seen.insert(key)
                {
                    waiting.push(values.clone());
                }
            }
        }
        Self::fetched(values, sites)
    }
}

pub(crate) fn root_handle() -> Handle {
    Handle::parse(ROOT_HANDLE).expect("the name is short and not empty")
}

fn site_at(address: SocketAddr) -> Site {
    let interface = |protocol| Interface {
        kind: InterfaceKind::QUERY,
        protocol,
        port: i32::from(address.port()),
    };
    let server = Server {
        id: 1,
        address: address.ip(),
        public_key: Vec::new(),
        interfaces: vec![interface(Protocol::UDP), interface(Protocol::TCP)],
    };
    Site {
        // Authoritative questions need a primary site, and this may be one.
        flags: Site::PRIMARY,
        serial: Header::NO_SERIAL,
        servers: vec![server],
        ..Site::default()
    }
}

//----------- RootError ------------------------------------------------------

/// Why there is no root to begin at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RootError {
    /// The octets do not decode.
    #[error("{0}")]
    Damaged(#[from] DecodeError),
    /// The file has no record of `0.NA/0.NA`.
    #[error("there is no record of {ROOT_HANDLE}")]
    NoRootRecord,
    /// No site is named.
    #[error("the root record names no usable site: an HS_SITE value with a server is needed")]
    NoSite,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u8) -> SocketAddr {
        ([10, 0, 0, n], 2641).into()
    }

    #[test]
    fn every_address_is_a_site_of_its_own() {
        let roots = Roots::from_addresses(&[address(1), address(2)]).unwrap();
        assert_eq!(roots.sites().len(), 2);
        assert_eq!(roots.origin(), Origin::Addresses);
        assert!(!roots.has_keys());
        assert_eq!(Roots::from_addresses(&[]), Err(RootError::NoSite));
    }

    #[test]
    fn root_info_survives_a_round_trip() {
        let roots = Roots::from_addresses(&[address(1)]).unwrap();
        let again = Roots::from_root_info(&roots.to_root_info()).unwrap();
        assert_eq!(again.sites(), roots.sites());
        assert_eq!(again.origin(), Origin::Record);
        assert!(matches!(
            Roots::from_root_info(b"x"),
            Err(RootError::Damaged(_))
        ));
    }

    #[test]
    fn service_handles_of_a_bootstrap_file_are_followed_once() {
        let record = |service: &str, n| {
            vec![
                Value::new(1, "HS_SERV", service),
                Value::new(2, "HS_SITE", site_at(address(n)).encode()),
            ]
        };
        let mut bootstrap = Bootstrap::default();
        assert_eq!(
            Roots::from_bootstrap(&bootstrap),
            Err(RootError::NoRootRecord)
        );
        let root = vec![Value::new(1, "HS_SERV", "0.SERV/a")];
        bootstrap.records.insert("0.NA/0.NA".into(), root);
        bootstrap
            .records
            .insert("0.serv/A".into(), record("0.SERV/b", 1));
        bootstrap
            .records
            .insert("0.SERV/b".into(), record("0.SERV/a", 2));
        let roots = Roots::from_bootstrap(&bootstrap).unwrap();
        assert_eq!(roots.sites().len(), 2);
    }
}
