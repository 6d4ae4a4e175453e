//! What the node publishes about itself: its site record, from settings, key and real addresses, or
//! from a file that the servers of one site share.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use guantong_proto::data::site::{
    Attribute, HashOption, Interface, InterfaceKind, Protocol, Server, Site,
};
use guantong_proto::json::parse_site;
use guantong_proto::message::Version;
use serde::{Deserialize, Serialize};

use crate::config::{ListenConfig, SiteConfig};
use crate::key::ServerKey;

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

//----------- published ------------------------------------------------------

/// Largest file of a site record that is read.
const FILE_LEN_MAX: u64 = 1024 * 1024;

/// The HS_SITE record of the node: that of its file, or one made from settings.
pub fn published(
    config: &SiteConfig,
    key: &ServerKey,
    addresses: &Addresses,
) -> Result<Site, SharedSiteError> {
    let Some(path) = &config.record else {
        return Ok(site_record(config, key, addresses));
    };
    let site = read(path)?;
    let server = this_server(&site, path, config.server_id)?;
    // Signed answers are checked with the key in the record.
    match server.key() {
        Ok(found) if found == key.public() => Ok(site),
        found => Err(SharedSiteError::Key {
            path: path.clone(),
            server_id: config.server_id,
            why: match found {
                Ok(_) => "it is another one".to_owned(),
                Err(error) => error.to_string(),
            },
        }),
    }
}

fn read(path: &Path) -> Result<Site, SharedSiteError> {
    let unreadable = |source| SharedSiteError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let len = std::fs::metadata(path).map_err(unreadable)?.len();
    if len > FILE_LEN_MAX {
        let text = format!("it has {len} octets, a site record has at most {FILE_LEN_MAX}");
        return Err(unreadable(io::Error::other(text)));
    }
    let octets = std::fs::read(path).map_err(unreadable)?;
    let site = match octets.trim_ascii_start().starts_with(b"{") {
        true => parse_site(&octets).map_err(|error| error.to_string()),
        false => Site::decode(&octets).map_err(|error| error.to_string()),
    };
    site.map_err(|why| SharedSiteError::Damaged {
        path: path.to_owned(),
        why,
    })
}

fn this_server<'a>(
    site: &'a Site,
    path: &Path,
    server_id: i32,
) -> Result<&'a Server, SharedSiteError> {
    let server = site.servers.iter().find(|server| server.id == server_id);
    server.ok_or_else(|| SharedSiteError::NoSuchServer {
        path: path.to_owned(),
        server_id,
        known: site.servers.iter().map(|server| server.id).collect(),
    })
}

/// What a shared record promises of this server, while the node listens nowhere that would keep it:
/// a sentence each. Behind a translation of addresses that may be as it should.
pub fn unkept(site: &Site, server_id: i32, listen: &Addresses) -> Vec<String> {
    let server = site.servers.iter().find(|server| server.id == server_id);
    let interfaces = server.map_or(&[][..], |server| &server.interfaces);
    let mut unkept = Vec::new();
    for interface in interfaces {
        let (setting, addresses) = match interface.protocol {
            Protocol::UDP => ("listen.udp", &listen.udp),
            Protocol::TCP => ("listen.tcp", &listen.tcp),
            Protocol::HTTP | Protocol::HTTPS => ("listen.http", &listen.http),
            _ => continue,
        };
        let port = interface.port();
        let keeps = |address: &SocketAddr| address.port() == 0 || Some(address.port()) == port;
        if !addresses.iter().any(keeps) {
            unkept.push(format!(
                "it says {} at port {}, which is not in {setting}",
                interface.protocol.name().unwrap_or("an unknown protocol"),
                interface.port
            ));
        }
    }
    unkept
}

//----------- SharedSiteError ------------------------------------------------

/// Why the record in `site.record` cannot be that of this node.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SharedSiteError {
    /// The file cannot be read.
    #[error("the site record {} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is neither form.
    #[error("{} is no site record: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The record has no server of that number.
    #[error(
        "the site record {} has no server {server_id}, it has {known:?}; set site.server_id",
        path.display()
    )]
    NoSuchServer {
        /// The file.
        path: PathBuf,
        /// The number that was looked for.
        server_id: i32,
        /// The numbers that are there.
        known: Vec<i32>,
    },
    /// The record has another key for this server than `site.key`.
    #[error(
        "the site record {} does not hold the key of this node for server {server_id} ({why}); \
         put the public key of site.key there, or set site.server_id",
        path.display()
    )]
    Key {
        /// The file.
        path: PathBuf,
        /// The number of this node.
        server_id: i32,
        /// What is there instead.
        why: String,
    },
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
            id: config.server_id,
            address: config.address,
            public_key: key.public().encode(),
            interfaces,
        }],
    }
}
