//! HS_SITE: which servers serve a prefix, and how (clause 4.5.2; RFC 3651, 3.2.2).
//!
//! The same record is the data of HS_SITE, HS_SITE.6, HS_SITE.PREFIX and HS_NA_DELEGATE values, the
//! body of a GET_SITE_INFO reply and the file `siteinfo.bin`. Unknown flags, hash options,
//! protocols and interface types survive. Which server of a site is responsible for a handle is
//! computed here (5.4); which site to ask is not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use md5::{Digest, Md5};

use crate::error::DecodeError;
use crate::limits::SITE_ELEMENTS_MAX;
use crate::name::HandleRef;
use crate::wire::{Reader, Writer};

use super::key::PublicKey;

/// Octets of an attribute with empty name and value.
const ATTRIBUTE_LEN_MIN: usize = 8;
/// Octets of a server without key and interfaces.
const SERVER_LEN_MIN: usize = 28;
/// Octets of an interface.
const INTERFACE_LEN: usize = 6;

//----------- Site -----------------------------------------------------------

/// A set of servers that hold the same prefixes.
///
/// ```text
/// format i16 | major u8 | minor u8 | serial u16 | flags u8 | hash option u8 | hash filter bytes
/// attributes: i32 count, (bytes name, bytes value) each
/// servers:    i32 count, (i32 id, 16 octets address, bytes key, interfaces) each
/// interfaces: i32 count, (u8 type, u8 protocol, i32 port) each
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Version of this data form; 1.
    pub format: u16,
    /// Protocol version of the servers, major and minor.
    pub protocol: (u8, u8),
    /// Raised whenever the record changes.
    pub serial: u16,
    /// [`Site::PRIMARY`], [`Site::MULTI_PRIMARY`] and bits without a meaning.
    pub flags: u8,
    /// Which part of a handle selects the server.
    pub hash_option: HashOption,
    /// Unused, empty in practice.
    pub hash_filter: Vec<u8>,
    /// Names and values, for people and for clients.
    pub attributes: Vec<Attribute>,
    /// The servers; their order matters for the selection.
    pub servers: Vec<Server>,
}

impl Site {
    /// Flag: the site takes administrative requests.
    pub const PRIMARY: u8 = 0x80;
    /// Flag: one of several sites that take administrative requests.
    pub const MULTI_PRIMARY: u8 = 0x40;

    /// Decodes the data of a value. Octets behind the record are refused.
    pub fn decode(octets: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(octets);
        let site = Self::read(&mut r)?;
        r.finish("site record")?;
        Ok(site)
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let format = r.u16("format version")?;
        let protocol = (r.u8("protocol major")?, r.u8("protocol minor")?);
        let serial = r.u16("serial")?;
        let flags = r.u8("flags")?;
        let hash_option = HashOption::from_wire(r.u8("hash option")?);
        let hash_filter = r.bytes("hash filter")?.to_vec();
        let count = r.count("attribute count", ATTRIBUTE_LEN_MIN, SITE_ELEMENTS_MAX)?;
        let mut attributes = Vec::with_capacity(count);
        for position in 1..=count {
            let attribute = Attribute::read(r);
            attributes.push(attribute.map_err(|e| e.within(format_args!("attribute {position}")))?);
        }
        let count = r.count("server count", SERVER_LEN_MIN, SITE_ELEMENTS_MAX)?;
        let mut servers = Vec::with_capacity(count);
        for position in 1..=count {
            let server = Server::read(r);
            servers.push(server.map_err(|e| e.within(format_args!("server {position}")))?);
        }
        Ok(Self {
            format,
            protocol,
            serial,
            flags,
            hash_option,
            hash_filter,
            attributes,
            servers,
        })
    }

    /// Encodes the data of a value.
    pub fn encode(&self) -> Vec<u8> {
        Writer::to_vec(|w| self.write(w))
    }

    /// Appends the record to `w`.
    pub fn write(&self, w: &mut Writer<'_>) {
        w.u16(self.format);
        w.u8(self.protocol.0);
        w.u8(self.protocol.1);
        w.u16(self.serial);
        w.u8(self.flags);
        w.u8(self.hash_option.to_wire());
        w.bytes(&self.hash_filter);
        w.size(self.attributes.len());
        for attribute in &self.attributes {
            w.bytes(attribute.name.as_bytes());
            w.bytes(attribute.value.as_bytes());
        }
        w.size(self.servers.len());
        for server in &self.servers {
            server.write(w);
        }
    }

    /// Whether the site is the only one that takes administrative requests.
    pub fn is_primary(&self) -> bool {
        self.flags & Self::PRIMARY != 0
    }

    /// Whether the site is one of several that take administrative requests.
    pub fn is_multi_primary(&self) -> bool {
        self.flags & Self::MULTI_PRIMARY != 0
    }

    /// Position of the server that is responsible for `handle`; `None` if the site has no servers.
    pub fn server_position(&self, handle: HandleRef<'_>) -> Option<usize> {
        self.hash_option.server_position(handle, self.servers.len())
    }

    /// The server that is responsible for `handle`.
    pub fn server_for(&self, handle: HandleRef<'_>) -> Option<&Server> {
        self.servers.get(self.server_position(handle)?)
    }

    /// The attribute `name.<serverId>` if `server` has one of its own, otherwise `name`.
    pub fn attribute(&self, name: &str, server: Option<&Server>) -> Option<&str> {
        let find = |name: &str| {
            self.attributes
                .iter()
                .find(|attribute| attribute.name == name)
        };
        let own = server.and_then(|server| find(&format!("{name}.{}", server.id)));
        own.or_else(|| find(name))
            .map(|attribute| attribute.value.as_str())
    }

    /// Where to reach `server`: its addresses, host name and HTTP path.
    pub fn location<'a>(&'a self, server: &'a Server) -> Location<'a> {
        let second = self
            .attribute("alt_addr", Some(server))
            .and_then(|text| text.parse().ok());
        let addresses = [Some(server.address), second].into_iter().flatten();
        Location {
            addresses: addresses
                .filter(|address| !address.is_unspecified())
                .collect(),
            host: self.attribute("domain", Some(server)),
            path: self.attribute("path", Some(server)).unwrap_or_default(),
        }
    }
}

impl Default for Site {
    /// A mirror site of protocol 2.11 that hashes the whole handle and has no servers yet.
    fn default() -> Self {
        Self {
            format: 1,
            protocol: (2, 11),
            serial: 1,
            flags: 0,
            hash_option: HashOption::Whole,
            hash_filter: Vec::new(),
            attributes: Vec::new(),
            servers: Vec::new(),
        }
    }
}

/// Where a server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location<'a> {
    /// Its own address and that of the attribute `alt_addr`; empty if the host name must be looked
    /// up.
    pub addresses: Vec<IpAddr>,
    /// Host name of the attribute `domain`, for HTTP Host and TLS.
    pub host: Option<&'a str>,
    /// Prefix of the HTTP path from the attribute `path`; may be empty.
    pub path: &'a str,
}

//----------- Attribute ------------------------------------------------------

/// A name and a value, both text. Known names: `desc`, `domain`, `path`, `alt_addr`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}

impl Attribute {
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let name = r.text("attribute name")?.to_owned();
        Ok(Self {
            name,
            value: r.text("attribute value")?.to_owned(),
        })
    }
}

//----------- Server ---------------------------------------------------------

/// One server of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Number of the server inside the site.
    pub id: i32,
    /// Its address; unspecified if the attribute `domain` is to be looked up instead.
    pub address: IpAddr,
    /// Its public key in the form of HS_PUBKEY; may be empty. See [`Server::key`].
    pub public_key: Vec<u8>,
    /// The ports it listens on.
    pub interfaces: Vec<Interface>,
}

impl Server {
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let id = r.i32("server id")?;
        let mut address = [0; 16];
        address.copy_from_slice(r.take("address", 16)?);
        let public_key = r.bytes("public key")?.to_vec();
        let count = r.count("interface count", INTERFACE_LEN, SITE_ELEMENTS_MAX)?;
        let interfaces = (0..count)
            .map(|_| Interface::read(r))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            id,
            address: address_from_wire(address),
            public_key,
            interfaces,
        })
    }

    fn write(&self, w: &mut Writer<'_>) {
        w.i32(self.id);
        w.raw(&address_to_wire(self.address));
        w.bytes(&self.public_key);
        w.size(self.interfaces.len());
        for interface in &self.interfaces {
            w.u8(interface.kind.0);
            w.u8(interface.protocol.0);
            w.i32(interface.port);
        }
    }

    /// The public key, decoded.
    pub fn key(&self) -> Result<PublicKey, DecodeError> {
        PublicKey::decode(&self.public_key)
    }

    /// The first interface of `protocol` that answers resolution, or takes administration.
    pub fn interface(&self, protocol: Protocol, purpose: InterfaceKind) -> Option<&Interface> {
        let fits = |i: &&Interface| i.protocol == protocol && i.kind.contains(purpose);
        self.interfaces.iter().find(fits)
    }
}

/// Twelve zero octets and four more are an IPv4 address, and so is `::ffff:a.b.c.d`.
///
/// `::1` stays the IPv6 loopback address, since 0.0.0.1 is not the address of any host.
fn address_from_wire(octets: [u8; 16]) -> IpAddr {
    let v6 = Ipv6Addr::from(octets);
    let [head @ .., a, b, c, d] = octets;
    if head == [0; 12] && v6 != Ipv6Addr::LOCALHOST {
        return Ipv4Addr::new(a, b, c, d).into();
    }
    v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4)
}

fn address_to_wire(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V6(v6) => v6.octets(),
        IpAddr::V4(v4) => {
            let mut octets = [0; 16];
            octets[12..].copy_from_slice(&v4.octets());
            octets
        }
    }
}

//----------- Interface ------------------------------------------------------

/// A port of a server: what it is for and which transport it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    /// What the interface is for.
    pub kind: InterfaceKind,
    /// Its transport.
    pub protocol: Protocol,
    /// Its port; not checked, so that odd records survive. See [`Interface::port`].
    pub port: i32,
}

impl Interface {
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = InterfaceKind(r.u8("interface type")?);
        let protocol = Protocol(r.u8("interface protocol")?);
        Ok(Self {
            kind,
            protocol,
            port: r.i32("interface port")?,
        })
    }

    /// The port, if it is one.
    pub fn port(&self) -> Option<u16> {
        u16::try_from(self.port).ok().filter(|&port| port != 0)
    }
}

/// What an interface is for; bits without a meaning survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceKind(pub u8);

impl InterfaceKind {
    /// Listed, but to be left alone.
    pub const OUT_OF_SERVICE: Self = Self(0);
    /// Administration.
    pub const ADMIN: Self = Self(1);
    /// Resolution.
    pub const QUERY: Self = Self(2);
    /// Both.
    pub const BOTH: Self = Self(3);

    /// Whether the interface serves every purpose of `needed`.
    pub fn contains(self, needed: Self) -> bool {
        self.0 & needed.0 == needed.0
    }
}

/// The transport of an interface; unknown numbers survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocol(pub u8);

impl Protocol {
    /// Datagrams.
    pub const UDP: Self = Self(0);
    /// A plain stream.
    pub const TCP: Self = Self(1);
    /// HTTP/1.1.
    pub const HTTP: Self = Self(2);
    /// HTTP/1.1 over TLS.
    pub const HTTPS: Self = Self(3);

    /// The name used in JSON; `None` for an unknown number.
    pub fn name(self) -> Option<&'static str> {
        ["UDP", "TCP", "HTTP", "HTTPS"]
            .get(usize::from(self.0))
            .copied()
    }

    /// The protocol of that name, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        let known = [Self::UDP, Self::TCP, Self::HTTP, Self::HTTPS].into_iter();
        known
            .into_iter()
            .find(|p| p.name().is_some_and(|n| n.eq_ignore_ascii_case(name)))
    }
}

//----------- HashOption -----------------------------------------------------

/// Which part of a handle selects the server inside a site (5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashOption {
    /// The prefix; for a slashless name the text `0.NA`.
    Prefix,
    /// The suffix; for a slashless name the whole name.
    Suffix,
    /// The whole name.
    Whole,
    /// A number that the protocol does not define; selects by the whole name.
    Other(u8),
}

impl HashOption {
    /// The option of that number.
    pub fn from_wire(number: u8) -> Self {
        match number {
            0 => Self::Prefix,
            1 => Self::Suffix,
            2 => Self::Whole,
            other => Self::Other(other),
        }
    }

    /// Its number.
    pub fn to_wire(self) -> u8 {
        match self {
            Self::Prefix => 0,
            Self::Suffix => 1,
            Self::Whole => 2,
            Self::Other(number) => number,
        }
    }

    /// The part of `handle` that is hashed, in upper case.
    pub fn hashed_part(self, handle: HandleRef<'_>) -> String {
        let part = match self {
            Self::Prefix => handle.prefix(),
            Self::Suffix => handle.suffix(),
            Self::Whole | Self::Other(_) => handle.as_str(),
        };
        part.to_ascii_uppercase()
    }

    /// Position of the responsible server among `count`; `None` if there are none.
    ///
    /// The last four octets of the MD5 of the part are a signed number, its absolute value is taken
    /// modulo the count. In 64 bits, since -2³¹ has no absolute value in 32.
    pub fn server_position(self, handle: HandleRef<'_>, count: usize) -> Option<usize> {
        if count <= 1 {
            return count.checked_sub(1);
        }
        let digest = Md5::digest(self.hashed_part(handle).as_bytes());
        let [.., a, b, c, d]: [u8; 16] = digest.into();
        let number = u64::from(i32::from_be_bytes([a, b, c, d]).unsigned_abs());
        usize::try_from(number % u64::try_from(count).ok()?).ok()
    }
}

#[cfg(test)]
#[path = "site_tests.rs"]
mod tests;
