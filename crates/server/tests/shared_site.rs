//! A site of three servers: each holds the names that the hash gives it, and a recursive node finds
//! the right one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod support;

use guantong_proto::Handle;
use guantong_proto::data::site::{Server, Site};
use guantong_proto::json::SiteForm;
use guantong_server::config::{Config, Judgement, check};
use guantong_server::{Running, start};
use support::tree::Tree;
use support::{PREFIX, Place, Tcp, Udp, ask, put, put_values, value};

const SERVERS: usize = 3;

/// Servers that know of each other: started at free ports, then given the record of all of them.
fn servers() -> (Vec<(Place, Running)>, Site) {
    let started = || {
        let place = Place::new();
        let node = place.start();
        (place, node)
    };
    let servers: Vec<_> = (0..SERVERS).map(|_| started()).collect();
    let own: Vec<Site> = servers
        .iter()
        .map(|(_, node)| Site::decode(node.node().site().record()).unwrap())
        .collect();
    let listed = (1..).zip(&own).map(|(id, site)| Server {
        id,
        ..site.servers[0].clone()
    });
    let site = Site {
        servers: listed.collect(),
        ..own[0].clone()
    };
    for (id, (place, node)) in (1..).zip(&servers) {
        node.reconfigure(sharing(place, &site, id)).unwrap();
    }
    (servers, site)
}

/// The settings of server `id` of the site.
fn sharing(place: &Place, site: &Site, id: i32) -> Config {
    let file = place.dir.path().join("siteinfo.json");
    std::fs::write(&file, serde_json::to_vec(&SiteForm::new(site)).unwrap()).unwrap();
    let mut config = place.config.clone();
    config.site.record = Some(file);
    config.site.server_id = id;
    config
}

fn handle(n: usize) -> String {
    format!("{PREFIX}/SN{n}")
}

#[test]
fn names_are_spread_by_the_hash_and_found_by_the_resolver() {
    let (servers, site) = servers();
    let tree = Tree::grow();
    put_values(
        tree.second.node(),
        "0.NA/88.118.5",
        &[value(1, "HS_SITE", site.encode())],
    );
    let recursive = tree.recursive().start();
    let mut held = [0; SERVERS];
    for n in 0..30 {
        let handle = handle(n);
        let name = Handle::parse(&handle).unwrap();
        let position = site.server_position(name.borrow()).unwrap();
        held[position] += 1;
        for (at, (_, node)) in servers.iter().enumerate() {
            put(node, &handle, &format!("server {at}"));
            let code = Udp::to(node.addresses().udp[0]).ask(&ask(&handle, 1)).code;
            assert_eq!(
                code.0,
                if at == position { 1 } else { 301 },
                "{handle} at {at}"
            );
        }
        let found = Udp::to(recursive.addresses().udp[0]).ask(&ask(&handle, 1));
        assert_eq!(
            found.text,
            format!("server {position}"),
            "{handle}: {}",
            found.code
        );
    }
    assert!(held.iter().all(|&count| count > 0), "{held:?}");
}

#[test]
fn every_server_of_a_site_tells_the_same_record() {
    let (servers, site) = servers();
    for (_, node) in &servers {
        assert_eq!(node.node().site().record(), site.encode());
        let reply = Tcp::to(node.addresses().tcp[0]).ask(&ask("99/x", 1));
        assert_eq!(reply.code.0, 301);
    }
}

#[test]
fn record_without_this_server_or_with_another_key_is_refused() {
    let (servers, mut site) = servers();
    let (place, node) = &servers[0];
    let refused = |site: &Site, id, says: &str| {
        let config = sharing(place, site, id);
        let error = node.reconfigure(config.clone()).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        let findings = check(&config);
        let found = findings.iter().find(|found| found.about == "site.record");
        assert_eq!(found.unwrap().judgement, Judgement::Bad);
    };
    refused(&site, 9, "has no server 9, it has [1, 2, 3]");
    site.servers[0].public_key.clear();
    refused(&site, 1, "does not hold the key of this node for server 1");
    // What was in force before stays so.
    assert_eq!(node.node().config().site.server_id, 1);
}

#[test]
fn check_tells_ports_of_the_record_that_the_node_does_not_listen_at() {
    let place = Place::new();
    let node = place.start();
    let site = Site::decode(node.node().site().record()).unwrap();
    let mut config = sharing(&place, &site, 1);
    config.listen.udp = vec!["127.0.0.1:1".parse().unwrap()];
    let findings = check(&config);
    let texts: Vec<_> = findings
        .iter()
        .filter(|found| found.about == "site.record")
        .map(|found| (found.judgement, found.text.as_str()))
        .collect();
    assert_eq!(texts[0].0, Judgement::Good);
    let port = node.addresses().udp[0].port();
    let says = format!("it says UDP at port {port}, which is not in listen.udp");
    assert!(texts.contains(&(Judgement::Doubtful, &says)), "{texts:?}");
}

#[test]
fn node_starts_with_the_record_that_it_shares() {
    let (mut servers, site) = servers();
    let (place, node) = servers.remove(0);
    let mut config = sharing(&place, &site, 1);
    // It comes back at the addresses that the record names.
    config.listen.udp = node.addresses().udp.clone();
    config.listen.tcp = node.addresses().tcp.clone();
    config.listen.http = node.addresses().http.clone();
    node.stop();
    let node = start(config).unwrap();
    assert_eq!(node.node().site().record(), site.encode());
}
