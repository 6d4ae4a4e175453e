//! Where to ask: a server and the ways to reach it, in the order in which they are tried.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use guantong_proto::data::site::{self, InterfaceKind, Protocol};

/// Port of the native protocol, by UDP and TCP.
pub const NATIVE_PORT: u16 = 2641;
/// Port of HTTP and HTTPS by custom.
pub const HTTP_PORT: u16 = 8000;

//----------- Transport ------------------------------------------------------

/// A way to carry messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A plain stream.
    Tcp,
    /// Native messages in HTTP.
    Http,
    /// Native messages in HTTP over TLS.
    Https,
}

impl Transport {
    /// All, in the order in which they are tried.
    pub const ALL: [Self; 4] = [Self::Udp, Self::Tcp, Self::Http, Self::Https];

    /// The name in lower case, as in `udp://`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => NATIVE_PORT,
            Self::Http | Self::Https => HTTP_PORT,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

//----------- Endpoint -------------------------------------------------------

/// One way to reach a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// How messages are carried.
    pub transport: Transport,
    /// Host name or IP address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// In front of the path of HTTP requests; empty or beginning with a slash.
    pub path: String,
    /// Name for TLS and the Host header if it is not `host`.
    pub name: Option<String>,
}

impl Endpoint {
    /// A way to reach `host`.
    pub fn new(transport: Transport, host: impl Into<String>, port: u16) -> Self {
        Self {
            transport,
            host: host.into(),
            port,
            path: String::new(),
            name: None,
        }
    }

    /// `host:port`, with brackets around IPv6.
    pub fn authority(&self) -> String {
        match self.host.parse::<Ipv6Addr>() {
            Ok(v6) => format!("[{v6}]:{}", self.port),
            Err(_) => format!("{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.transport, self.authority(), self.path)
    }
}

//----------- Server ---------------------------------------------------------

/// A server: one or more endpoints, tried in their order until one answers.
///
/// Parses from `host`, `host:port`, an IP address, or a URL that picks one transport:
///
/// | text | meaning |
/// |---|---|
/// | `node.example` | UDP, then TCP at port 2641, then HTTP at port 8000 |
/// | `127.0.0.1:3641` | UDP, then TCP at port 3641 |
/// | `tcp://[::1]:2641` | TCP only |
/// | `https://node.example/hdl` | HTTPS at port 8000 only, paths begin with `/hdl` |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    endpoints: Vec<Endpoint>,
}

impl Server {
    /// A server with these endpoints.
    pub fn new(endpoints: impl IntoIterator<Item = Endpoint>) -> Self {
        Self {
            endpoints: endpoints.into_iter().collect(),
        }
    }

    /// The server at `address` with the ports by custom: UDP, then TCP, then HTTP.
    pub fn native(address: IpAddr) -> Self {
        let transports = [Transport::Udp, Transport::Tcp, Transport::Http];
        Self::new(transports.map(|t| Endpoint::new(t, address.to_string(), t.default_port())))
    }

    /// A server of a site record: its query interfaces, UDP first. Interfaces of unknown
    /// transports and without a usable port are left out.
    pub fn of_site(site: &site::Site, server: &site::Server) -> Self {
        let location = site.location(server);
        let mut endpoints = Vec::new();
        for (protocol, transport) in [
            (Protocol::UDP, Transport::Udp),
            (Protocol::TCP, Transport::Tcp),
            (Protocol::HTTP, Transport::Http),
            (Protocol::HTTPS, Transport::Https),
        ] {
            let interface = server.interface(protocol, InterfaceKind::QUERY);
            let Some(port) = interface.and_then(site::Interface::port) else {
                continue;
            };
            let addresses = location.addresses.iter().map(ToString::to_string);
            let mut hosts: Vec<String> = addresses.collect();
            if hosts.is_empty() {
                hosts.extend(location.host.map(str::to_owned));
            }
            let is_web = matches!(transport, Transport::Http | Transport::Https);
            endpoints.extend(hosts.into_iter().map(|host| Endpoint {
                path: if is_web { location.path } else { "" }.to_owned(),
                name: location.host.filter(|_| is_web).map(str::to_owned),
                ..Endpoint::new(transport, host, port)
            }));
        }
        Self { endpoints }
    }

    /// The endpoints in the order in which they are tried.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// The same server, reached by `transport` only.
    #[must_use]
    pub fn only(&self, transport: Transport) -> Self {
        let endpoints = self.endpoints.iter();
        Self::new(endpoints.filter(|e| e.transport == transport).cloned())
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, endpoint) in self.endpoints.iter().enumerate() {
            let separator = if n == 0 { "" } else { ", " };
            write!(f, "{separator}{endpoint}")?;
        }
        Ok(())
    }
}

impl FromStr for Server {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let error = |reason| AddressError {
            text: text.to_owned(),
            reason,
        };
        let (transport, rest) = match text.split_once("://") {
            Some((scheme, rest)) => {
                let transport = Transport::ALL
                    .into_iter()
                    .find(|t| t.name().eq_ignore_ascii_case(scheme))
                    .ok_or_else(|| error("the scheme is none of udp, tcp, http, https"))?;
                (Some(transport), rest)
            }
            None => (None, text),
        };
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, path.trim_end_matches('/')),
            None => (rest, ""),
        };
        let is_web = matches!(transport, Some(Transport::Http | Transport::Https));
        if !path.is_empty() && !is_web {
            return Err(error("only http:// and https:// take a path"));
        }
        let (host, port) = split_port(authority).map_err(error)?;
        let endpoint = |transport: Transport, port: Option<u16>| Endpoint {
            path: match path {
                "" => String::new(),
                path => format!("/{path}"),
            },
            ..Endpoint::new(transport, host, port.unwrap_or(transport.default_port()))
        };
        Ok(match transport {
            Some(transport) => Self::new([endpoint(transport, port)]),
            None => {
                let native = [Transport::Udp, Transport::Tcp].map(|t| endpoint(t, port));
                // Only next to the native port by custom is the HTTP port by custom a fair guess.
                let web = port.is_none_or(|port| port == NATIVE_PORT);
                let web = web.then(|| endpoint(Transport::Http, None));
                Self::new(native.into_iter().chain(web))
            }
        })
    }
}

/// Splits `host:port`, `host`, `[v6]:port`, `[v6]` and bare IPv6 addresses.
fn split_port(authority: &str) -> Result<(&str, Option<u16>), &'static str> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or("a closing `]` is missing")?;
        host.parse::<Ipv6Addr>()
            .map_err(|_| "in the brackets there is no IPv6 address")?;
        match after {
            "" => (host, None),
            after => (
                host,
                Some(after.strip_prefix(':').ok_or("after `]` comes `:port`")?),
            ),
        }
    } else if authority.parse::<Ipv6Addr>().is_ok() {
        (authority, None)
    } else {
        match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    let is_host = |c: char| c.is_alphanumeric() || ".-_:%".contains(c);
    if host.is_empty() || !host.chars().all(is_host) {
        return Err("there is no host name or IP address in it");
    }
    let port = port
        .map(|port| port.parse().ok().filter(|&port| port != 0))
        .map(|port| port.ok_or("the port is not a number from 1 to 65535"))
        .transpose()?;
    Ok((host, port))
}

//----------- AddressError ---------------------------------------------------

/// Why a text does not name a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not the address of a server: {reason}")]
pub struct AddressError {
    text: String,
    reason: &'static str,
}

#[cfg(test)]
mod tests {
    use guantong_proto::data::site::{Attribute, Interface};

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let found = match text.parse::<Server>() {
            Ok(server) => server.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn bare_address_means_every_transport_that_can_be_guessed() {
        check(
            "node.example",
            "udp://node.example:2641, tcp://node.example:2641, http://node.example:8000",
        );
        check(
            "127.0.0.1:3641",
            "udp://127.0.0.1:3641, tcp://127.0.0.1:3641",
        );
        check(
            "::1",
            "udp://[::1]:2641, tcp://[::1]:2641, http://[::1]:8000",
        );
    }

    #[test]
    fn scheme_picks_one_transport() {
        check("udp://127.0.0.1", "udp://127.0.0.1:2641");
        check("TCP://[::1]:99", "tcp://[::1]:99");
        check("https://node.example/hdl/", "https://node.example:8000/hdl");
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        let refused = |text: &str, reason: &str| {
            let expected = format!("`{text}` is not the address of a server: {reason}");
            check(text, &expected);
        };
        refused("", "there is no host name or IP address in it");
        refused("a b", "there is no host name or IP address in it");
        refused("host:0", "the port is not a number from 1 to 65535");
        refused("host:65536", "the port is not a number from 1 to 65535");
        refused("[::1", "a closing `]` is missing");
        refused("[::1]2641", "after `]` comes `:port`");
        refused("[host]:1", "in the brackets there is no IPv6 address");
        refused("ftp://host", "the scheme is none of udp, tcp, http, https");
        refused("tcp://host/path", "only http:// and https:// take a path");
    }

    #[test]
    fn site_record_gives_its_query_interfaces_in_order() {
        let interface = |kind, protocol, port| Interface {
            kind,
            protocol,
            port,
        };
        let server = site::Server {
            id: 1,
            address: "192.0.2.1".parse().unwrap(),
            public_key: Vec::new(),
            interfaces: vec![
                interface(InterfaceKind::BOTH, Protocol::HTTPS, 443),
                interface(InterfaceKind::BOTH, Protocol::TCP, 2641),
                interface(InterfaceKind::QUERY, Protocol::UDP, 2641),
                interface(InterfaceKind::ADMIN, Protocol::HTTP, 80),
            ],
        };
        let attribute = |name: &str, value: &str| Attribute {
            name: name.into(),
            value: value.into(),
        };
        let site = site::Site {
            attributes: vec![
                attribute("domain", "node.example"),
                attribute("path", "/hdl"),
            ],
            servers: vec![server],
            ..site::Site::default()
        };
        let found = Server::of_site(&site, &site.servers[0]);
        assert_eq!(
            found.to_string(),
            "udp://192.0.2.1:2641, tcp://192.0.2.1:2641, https://192.0.2.1:443/hdl"
        );
        assert_eq!(found.endpoints()[2].name.as_deref(), Some("node.example"));
    }
}
