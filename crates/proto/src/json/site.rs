//! The JSON form of site records: in HS_SITE values, in `siteinfo.json` and at `/api/site`.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{SerializeSeq, SerializeStruct};
use serde::{Serialize, Serializer};

use crate::data::PublicKey;
use crate::data::site::{Attribute, HashOption, Interface, InterfaceKind, Protocol, Server, Site};

use super::data::read_base64;
use super::jwk::{self, Jwk};
use super::read::{self, JsonError, Node};

//----------- SiteForm -------------------------------------------------------

/// Writes a site record as JSON.
///
/// The serial is an unsigned number; only inside a value it is written signed, as Handle.Net does.
#[derive(Clone, Copy, Debug)]
pub struct SiteForm<'a> {
    site: &'a Site,
    signed_serial: bool,
}

impl<'a> SiteForm<'a> {
    /// The form of `siteinfo.json` and `/api/site`.
    pub fn new(site: &'a Site) -> Self {
        Self {
            site,
            signed_serial: false,
        }
    }

    pub(super) fn in_value(site: &'a Site) -> Self {
        Self {
            site,
            signed_serial: true,
        }
    }
}

/// Whether the JSON form gives back the same octets.
pub(super) fn is_exact(site: &Site) -> bool {
    let is_known = |i: &Interface| i.kind.0 & !InterfaceKind::BOTH.0 == 0;
    site.flags & !(Site::PRIMARY | Site::MULTI_PRIMARY) == 0
        && site
            .servers
            .iter()
            .flat_map(|server| &server.interfaces)
            .all(is_known)
}

impl Serialize for SiteForm<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let site = self.site;
        let (major, minor) = site.protocol;
        let mut shape = serializer.serialize_struct("site", 9)?;
        shape.serialize_field("version", &site.format)?;
        shape.serialize_field("protocolVersion", &format!("{major}.{minor}"))?;
        match self.signed_serial {
            true => shape.serialize_field("serialNumber", &site.serial.cast_signed())?,
            false => shape.serialize_field("serialNumber", &site.serial)?,
        }
        shape.serialize_field("primarySite", &site.is_primary())?;
        shape.serialize_field("multiPrimary", &site.is_multi_primary())?;
        if site.hash_option != HashOption::Whole {
            shape.serialize_field("hashOption", &site.hash_option.to_wire())?;
        }
        if !site.hash_filter.is_empty() {
            shape.serialize_field("hashFilter", &STANDARD.encode(&site.hash_filter))?;
        }
        shape.serialize_field(
            "attributes",
            &List(&site.attributes, |a: &Attribute| AttributeForm {
                name: a.name.clone(),
                value: a.value.clone(),
            }),
        )?;
        shape.serialize_field("servers", &List(&site.servers, ServerForm::new))?;
        shape.end()
    }
}

/// A list whose elements are turned into their forms one by one.
struct List<'a, T, F>(&'a [T], F);

impl<'a, T, U: Serialize, F: Fn(&'a T) -> U> Serialize for List<'a, T, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for element in self.0 {
            list.serialize_element(&self.1(element))?;
        }
        list.end()
    }
}

#[derive(Serialize)]
struct AttributeForm {
    name: String,
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ServerForm {
    server_id: i32,
    address: String,
    public_key: KeyForm,
    interfaces: Vec<InterfaceForm>,
}

impl ServerForm {
    fn new(server: &Server) -> Self {
        let interface = |i: &Interface| InterfaceForm {
            query: i.kind.contains(InterfaceKind::QUERY),
            admin: i.kind.contains(InterfaceKind::ADMIN),
            protocol: i
                .protocol
                .name()
                .map_or_else(|| i.protocol.0.to_string(), str::to_owned),
            port: i.port,
        };
        Self {
            server_id: server.id,
            address: server.address.to_string(),
            public_key: KeyForm(server.public_key.clone()),
            interfaces: server.interfaces.iter().map(interface).collect(),
        }
    }
}

#[derive(Serialize)]
struct InterfaceForm {
    query: bool,
    admin: bool,
    protocol: String,
    port: i32,
}

/// `{"format":"key","value":JWK}`, or base64 where that would not be exact.
struct KeyForm(Vec<u8>);

impl Serialize for KeyForm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut shape = serializer.serialize_struct("publicKey", 2)?;
        let key = PublicKey::decode(&self.0).ok();
        match key.filter(|key| jwk::is_exact(key) && key.encode() == self.0) {
            Some(key) => {
                shape.serialize_field("format", "key")?;
                shape.serialize_field("value", &Jwk(&key))?;
            }
            None => {
                shape.serialize_field("format", "base64")?;
                shape.serialize_field("value", &STANDARD.encode(&self.0))?;
            }
        }
        shape.end()
    }
}

//----------- Reading --------------------------------------------------------

/// Reads a site record from JSON text: the record itself, or the answer of `/api/site` with the
/// record in it.
pub fn parse_site(text: &[u8]) -> Result<Site, JsonError> {
    site_from_json(&read::parse(text)?)
}

/// Reads a site record from parsed JSON, as [`parse_site`] does.
pub fn site_from_json(json: &serde_json::Value) -> Result<Site, JsonError> {
    let root = Node::root(json);
    match (root.field("servers"), root.field("site")) {
        (None, Some(site)) => read(&site),
        _ => read(&root),
    }
}

pub(super) fn read(node: &Node<'_>) -> Result<Site, JsonError> {
    node.object("a site `{\"version\":1,\"servers\":[…]}`")?;
    let default = Site::default();
    let format = node
        .field("version")
        .map(|n| n.integer("a number up to 65535"))
        .transpose()?;
    let protocol = node
        .field("protocolVersion")
        .map(|n| read_protocol(&n))
        .transpose()?;
    let serial = node
        .field("serialNumber")
        .map(|n| read_serial(&n))
        .transpose()?;
    let flag = |name, bit: u8| -> Result<u8, JsonError> {
        let set = node.field(name).map(|n| n.bool()).transpose()?;
        Ok(if set.unwrap_or(false) { bit } else { 0 })
    };
    let flags = flag("primarySite", Site::PRIMARY)? | flag("multiPrimary", Site::MULTI_PRIMARY)?;
    let hash_option = node
        .field("hashOption")
        .map(|n| n.integer::<u8>("0, 1 or 2"))
        .transpose()?;
    let hash_filter = node
        .field("hashFilter")
        .map(|n| read_base64(&n))
        .transpose()?;
    let attributes = match node.field("attributes") {
        Some(list) => list
            .list("a list of attributes")?
            .map(|n| read_attribute(&n))
            .collect::<Result<_, _>>()?,
        None => Vec::new(),
    };
    let servers = node.required("servers", "a list of servers")?;
    let servers = servers.list("a list of servers")?.map(|n| read_server(&n));
    Ok(Site {
        format: format.unwrap_or(default.format),
        protocol: protocol.unwrap_or(default.protocol),
        serial: serial.unwrap_or(default.serial),
        flags,
        hash_option: hash_option.map_or(default.hash_option, HashOption::from_wire),
        hash_filter: hash_filter.unwrap_or_default(),
        attributes,
        servers: servers.collect::<Result<_, _>>()?,
    })
}

fn read_protocol(node: &Node<'_>) -> Result<(u8, u8), JsonError> {
    const EXPECTED: &str = "a protocol version such as \"2.11\"";
    let parts = node.text(EXPECTED)?.split_once('.');
    let numbers = parts.and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    numbers.ok_or_else(|| node.expected(EXPECTED))
}

/// Signed or unsigned 16 bits.
fn read_serial(node: &Node<'_>) -> Result<u16, JsonError> {
    const EXPECTED: &str = "a number between -32768 and 65535";
    let number: i32 = node.integer(EXPECTED)?;
    let signed = i16::try_from(number).map(i16::cast_unsigned);
    u16::try_from(number)
        .or(signed)
        .map_err(|_| node.expected(EXPECTED))
}

fn read_attribute(node: &Node<'_>) -> Result<Attribute, JsonError> {
    let text = |name| node.required(name, "text")?.text("text").map(str::to_owned);
    Ok(Attribute {
        name: text("name")?,
        value: text("value")?,
    })
}

fn read_server(node: &Node<'_>) -> Result<Server, JsonError> {
    const ADDRESS: &str = "an IPv4 or IPv6 address";
    let id = node.required("serverId", "a number")?.i32()?;
    let address = node.required("address", ADDRESS)?;
    let address: IpAddr = address
        .text(ADDRESS)?
        .parse()
        .map_err(|_| address.expected(ADDRESS))?;
    let public_key = match node.field("publicKey") {
        Some(key) => super::data::read(&key)?,
        None => Vec::new(),
    };
    let interfaces = node.required("interfaces", "a list of interfaces")?;
    let interfaces = interfaces
        .list("a list of interfaces")?
        .map(|n| read_interface(&n));
    Ok(Server {
        id,
        address,
        public_key,
        interfaces: interfaces.collect::<Result<_, _>>()?,
    })
}

fn read_interface(node: &Node<'_>) -> Result<Interface, JsonError> {
    const PROTOCOL: &str = "one of \"UDP\", \"TCP\", \"HTTP\", \"HTTPS\"";
    let purpose = |name, kind: InterfaceKind| -> Result<u8, JsonError> {
        let set = node.field(name).map(|n| n.bool()).transpose()?;
        Ok(if set.unwrap_or(false) { kind.0 } else { 0 })
    };
    let kind = purpose("query", InterfaceKind::QUERY)? | purpose("admin", InterfaceKind::ADMIN)?;
    let protocol = node.required("protocol", PROTOCOL)?;
    let name = protocol.text(PROTOCOL)?;
    let known = Protocol::parse(name).or_else(|| name.parse().ok().map(Protocol));
    Ok(Interface {
        kind: InterfaceKind(kind),
        protocol: known.ok_or_else(|| protocol.expected(PROTOCOL))?,
        port: node.required("port", "a port number")?.i32()?,
    })
}
