//! Which servers can answer a question, and in which order they are asked (5.3, 5.4).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use guantong_proto::HandleRef;
use guantong_proto::data::Site;
use guantong_proto::data::site::{InterfaceKind, Protocol, Server};

use super::limits::{CANDIDATES_MAX, JITTER_MS, SITES_MAX};
use super::peer::{PeerKey, Peers};
use super::roots::Roots;
use super::time::Tick;
use super::trace::{HopServer, Why};
use super::transmit::Route;

/// The transports, in the order in which they are tried.
const PROTOCOLS: [Protocol; 4] = [
    Protocol::UDP,
    Protocol::TCP,
    Protocol::HTTP,
    Protocol::HTTPS,
];

//----------- Place ----------------------------------------------------------

/// A server, and one way to reach it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) site: Arc<Site>,
    /// Position of the server in the site.
    pub(super) position: usize,
    pub(super) protocol: Protocol,
    pub(super) route: Route,
    pub(super) why: Why,
    /// Down or not, rank of the transport, time: the lower, the earlier it is asked.
    pub(super) rank: (bool, usize, u64),
}

/// A site, and why it is asked.
#[derive(Clone, Debug)]
pub(super) struct KnownSite {
    pub(super) site: Arc<Site>,
    pub(super) why: Why,
}

impl Place {
    pub(super) fn server(&self) -> &Server {
        &self.site.servers[self.position]
    }

    pub(super) fn peer(&self) -> PeerKey {
        PeerKey::new(&self.route, self.protocol)
    }

    /// Whether both are the same machine, whatever the transport.
    pub(super) fn is_same_server(&self, other: &Self) -> bool {
        self.route.address.ip() == other.route.address.ip()
            && self.route.host == other.route.host
            && self.server() == other.server()
    }

    pub(super) fn hop_server(&self) -> HopServer {
        let server = self.server();
        HopServer {
            site: self.site.attribute("desc", Some(server)).map(Into::into),
            site_serial: self.site.serial,
            id: server.id,
            servers: self.site.servers.len(),
            primary: is_primary(&self.site),
            address: self.route.address,
            protocol: self.protocol,
        }
    }
}

pub(super) fn is_primary(site: &Site) -> bool {
    site.is_primary() || site.is_multi_primary()
}

/// Who may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Any site.
    Any,
    /// Primary sites only.
    Primary,
}

/// Which addresses are asked.
///
/// Anybody who owns a prefix can write any address into its record. What stands for many hosts is
/// never asked. This machine itself and its own link are asked only if the roots are there too, as
/// in a demonstration; otherwise strangers could make a node talk to services that trust it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    loopback: bool,
    link: bool,
}

impl Reach {
    /// What can be asked by whoever begins at these roots.
    pub fn of(roots: &Roots) -> Self {
        let mut reach = Self::default();
        reach.widen(roots);
        reach
    }

    /// Adds what new roots need.
    pub(super) fn widen(&mut self, roots: &Roots) {
        for server in roots.sites().iter().flat_map(|site| &site.servers) {
            self.loopback |= server.address.is_loopback();
            self.link |= is_link_local(server.address);
        }
    }

    /// Whether the address may be asked.
    pub fn allows(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let is_many = match address {
            IpAddr::V4(v4) => v4.is_broadcast() || v4.is_multicast(),
            IpAddr::V6(v6) => v6.is_multicast(),
        };
        !is_many
            && (self.loopback || !address.is_loopback())
            && (self.link || !is_link_local(address))
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// The ways to reach the servers that are responsible for `handle`, best first.
///
/// By transport in the order of the protocol across all sites, and then by the time that the site
/// took, plus a little that is random. What is down comes last, but comes. `jitter` gives random
/// numbers below its argument.
pub(super) fn places(
    sites: &[KnownSite],
    handle: HandleRef<'_>,
    wanted: Wanted,
    reach: Reach,
    peers: &Peers,
    now: Tick,
    mut jitter: impl FnMut(u64) -> u64,
) -> Vec<Place> {
    let mut all = Vec::new();
    let fit = |known: &&KnownSite| wanted == Wanted::Any || is_primary(&known.site);
    for known in sites.iter().filter(fit).take(SITES_MAX) {
        let Some(position) = known.site.server_position(handle) else {
            continue;
        };
        for (rank, protocol) in PROTOCOLS.into_iter().enumerate() {
            for route in routes(&known.site, &known.site.servers[position], protocol, reach) {
                let peer = peers.of(&PeerKey::new(&route, protocol));
                let time = peer.time_ms() + jitter(JITTER_MS);
                all.push(Place {
                    site: known.site.clone(),
                    position,
                    protocol,
                    route,
                    why: known.why.clone(),
                    rank: (peer.is_down(now), rank, time),
                });
            }
        }
    }
    // Stable: unknown servers keep the order of their values.
    all.sort_by_key(|place| place.rank);
    all.truncate(CANDIDATES_MAX);
    all
}

fn routes(site: &Site, server: &Server, protocol: Protocol, reach: Reach) -> Vec<Route> {
    let Some(port) = server
        .interface(protocol, InterfaceKind::QUERY)
        .and_then(|interface| interface.port())
    else {
        return Vec::new();
    };
    let location = site.location(server);
    let host: Option<Arc<str>> = location.host.map(Into::into);
    let path: Arc<str> = location.path.into();
    let mut addresses = location.addresses;
    if addresses.is_empty() && host.is_some() && protocol != Protocol::UDP {
        // The shell looks the name up.
        addresses.push(Ipv4Addr::UNSPECIFIED.into());
    }
    let usable = addresses
        .into_iter()
        .filter(|address| reach.allows(*address));
    usable
        .map(|address| Route {
            address: SocketAddr::new(address, port),
            host: host.clone(),
            path: path.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use guantong_proto::Handle;
    use guantong_proto::data::site::{Attribute, Interface};

    use super::*;

    fn site(address: IpAddr, protocols: &[Protocol], attributes: &[(&str, &str)]) -> KnownSite {
        let interface = |protocol: &Protocol| Interface {
            kind: InterfaceKind::BOTH,
            protocol: *protocol,
            port: 2641,
        };
        let server = Server {
            id: 7,
            address,
            public_key: Vec::new(),
            interfaces: protocols.iter().map(interface).collect(),
        };
        let attribute = |(name, value): &(&str, &str)| Attribute {
            name: (*name).into(),
            value: (*value).into(),
        };
        let site = Site {
            servers: vec![server],
            attributes: attributes.iter().map(attribute).collect(),
            ..Site::default()
        };
        KnownSite {
            site: Arc::new(site),
            why: Why::Root,
        }
    }

    fn ways(sites: &[KnownSite], peers: &Peers, now: Tick) -> Vec<String> {
        let handle = Handle::parse("88.118/x").unwrap();
        let (wanted, reach) = (Wanted::Any, Reach::default());
        let found = places(sites, handle.borrow(), wanted, reach, peers, now, |_| 0);
        let text = |place: &Place| {
            let route = &place.route;
            let host = route.host.as_deref().unwrap_or("-");
            format!(
                "{} {} {host}{}",
                place.protocol.0, route.address, route.path
            )
        };
        found.iter().map(text).collect()
    }

    const V4: [u8; 4] = [10, 0, 0, 1];

    #[test]
    fn transports_come_in_the_order_of_the_protocol_and_then_the_faster_site() {
        let mut peers = Peers::new();
        let other = [10, 0, 0, 2];
        let all = [Protocol::HTTPS, Protocol::TCP, Protocol::UDP];
        let sites = [site(V4.into(), &all, &[]), site(other.into(), &all, &[])];
        let order = [
            "0 10.0.0.1",
            "0 10.0.0.2",
            "1 10.0.0.1",
            "1 10.0.0.2",
            "3 10.0.0.1",
        ];
        for (found, expected) in ways(&sites, &peers, Tick(0)).iter().zip(order) {
            assert!(found.starts_with(expected), "{found}");
        }
        let route = Route {
            address: (V4, 2641).into(),
            host: None,
            path: "".into(),
        };
        peers.note(&PeerKey::new(&route, Protocol::UDP), |peer| {
            peer.answered(50);
        });
        assert!(ways(&sites, &peers, Tick(0))[0].starts_with("0 10.0.0.2"));
        let udp = PeerKey::new(&route, Protocol::UDP);
        peers.note(&udp, |peer| peer.failed(Tick(0)));
        let found = ways(&sites, &peers, Tick(0));
        assert!(found.last().unwrap().starts_with("0 10.0.0.1"), "{found:?}");
        assert_eq!(found.len(), 6);
    }

    #[test]
    fn second_address_host_and_path_come_from_the_attributes_of_the_site() {
        let attributes = [
            ("alt_addr.7", "10.0.0.9"),
            ("domain", "a.example"),
            ("path.7", "/h"),
        ];
        let sites = [site(V4.into(), &[Protocol::HTTP], &attributes)];
        let expected = ["2 10.0.0.1:2641 a.example/h", "2 10.0.0.9:2641 a.example/h"];
        assert_eq!(ways(&sites, &Peers::new(), Tick(0)), expected);
    }

    #[test]
    fn host_without_an_address_is_looked_up_for_streams_only() {
        let nowhere = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        let protocols = [Protocol::UDP, Protocol::HTTPS];
        let named = site(nowhere, &protocols, &[("domain", "a.example")]);
        let found = ways(&[named], &Peers::new(), Tick(0));
        assert_eq!(found, ["3 0.0.0.0:2641 a.example"]);
        let unnamed = site(nowhere, &protocols, &[]);
        assert_eq!(ways(&[unnamed], &Peers::new(), Tick(0)), [""; 0]);
    }

    #[test]
    fn addresses_of_this_machine_need_roots_that_are_there_too() {
        let local = site([127, 0, 0, 1].into(), &[Protocol::UDP], &[]);
        assert!(ways(&[local], &Peers::new(), Tick(0)).is_empty());
        let roots = Roots::from_addresses(&[([127, 0, 0, 1], 2641).into()]).unwrap();
        let reach = Reach::of(&roots);
        assert!(reach.allows([127, 0, 0, 2].into()));
        let mapped: IpAddr = "::ffff:127.0.0.1".parse().unwrap();
        assert!(!Reach::default().allows(mapped));
        let link: IpAddr = "fe80::1".parse().unwrap();
        assert!(!reach.allows(link));
    }
}
