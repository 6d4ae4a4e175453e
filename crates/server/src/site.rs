//! What the node publishes about itself: its site record, from settings, key and real addresses.

use std::net::SocketAddr;

use guantong_proto::data::site::{
    Attribute, HashOption, Interface, InterfaceKind, Protocol, Server, Site,
};
use guantong_proto::message::Version;
use serde::{Deserialize, Serialize};

use crate::config::{ListenConfig, SiteConfig};
use crate::key::ServerKey;

/// Number of this server in its site. One server per site so far.
pub const SERVER_ID: i32 = 1;

//----------- Addresses ------------------------------------------------------

/// Where a node listens; the form of `run/addresses.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// Native protocol over UDP.
    pub udp: Vec<SocketAddr>,
    /// Native protocol over TCP.
    pub tcp: Vec<SocketAddr>,
    /// HTTP and HTTPS.
    pub http: Vec<SocketAddr>,
    /// Metrics and health.
    pub console: Option<SocketAddr>,
}

impl Addresses {
    /// What the settings say; a port may still be 0.
    pub fn configured(listen: &ListenConfig) -> Self {
        Self {
            udp: listen.udp.clone(),
            tcp: listen.tcp.clone(),
            http: listen.http.clone(),
            console: listen.console,
        }
    }

    /// Whether an address is among them.
    pub fn contains(&self, address: &SocketAddr) -> bool {
        let native = self.udp.iter().chain(&self.tcp);
        native
            .chain(&self.http)
            .chain(&self.console)
            .any(|known| known == address)
    }

    /// Whether a port is still open to choice.
    pub fn has_free_port(&self) -> bool {
        let native = self.udp.iter().chain(&self.tcp);
        native.chain(&self.http).any(|address| address.port() == 0)
    }
}

//----------- site_record ----------------------------------------------------

/// The HS_SITE record of the node.
///
/// Every port offers both administration and resolution: some clients ask the query interface for
/// what others ask the administration interface (clause 3.1).
pub fn site_record(config: &SiteConfig, key: &ServerKey, addresses: &Addresses) -> Site {
    let mut attributes = Vec::new();
    for (name, value) in [
        ("desc", Some(&config.description)),
        ("domain", config.domain.as_ref()),
    ] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            attributes.push(Attribute {
                name: name.to_owned(),
                value: value.clone(),
            });
        }
    }
    let mut interfaces = Vec::new();
    for (protocol, addresses) in [
        (Protocol::UDP, &addresses.udp),
        (Protocol::TCP, &addresses.tcp),
        (Protocol::HTTP, &addresses.http),
        (Protocol::HTTPS, &addresses.http),
    ] {
        let mut ports: Vec<_> = addresses.iter().map(SocketAddr::port).collect();
        ports.sort_unstable();
        ports.dedup();
        for port in ports.into_iter().filter(|port| *port != 0) {
            interfaces.push(Interface {
                kind: InterfaceKind::BOTH,
                protocol,
                port: port.into(),
            });
        }
    }
    Site {
        format: 1,
        protocol: (Version::OURS.major, Version::OURS.minor),
        serial: config.serial,
        flags: if config.primary { Site::PRIMARY } else { 0 },
        hash_option: HashOption::Whole,
        hash_filter: Vec::new(),
        attributes,
        servers: vec![Server {
            id: SERVER_ID,
            address: config.address,
            public_key: key.public().encode(),
            interfaces,
        }],
    }
}
