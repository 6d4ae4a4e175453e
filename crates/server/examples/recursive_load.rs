//! What a recursive node costs: latency through a tree of four nodes, answers from the cache beside
//! authoritative ones, memory for each answer kept.
//!
//! ```text
//! cargo run --release -p guantong-server --example recursive_load -- [SECONDS] [RECORDS]
//! ```
//!
//! All nodes run in this process on loopback, each with its own store and sockets; every hop is a
//! datagram.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a tool for developers"
)]

mod load;

use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, Instant};

use guantong_server::config::{Config, Root, Size};
use guantong_server::{Running, key, start};
use load::{
    PREFIX, make_store, new_thread, put, records, request, socket, storm, submit, threads, value,
};

/// Answers of the same record that are timed.
const WARM: usize = 10_000;
/// Records that the memory is measured with.
const KEPT: usize = 200_000;

fn main() {
    let mut args = std::env::args().skip(1);
    let seconds = args.next().map_or(5, |text| text.parse().unwrap());
    let count: usize = args.next().map_or(10_000, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let level = |name: &str, prefix: Option<&str>| config(&folder.path().join(name), prefix);

    let root = start(level("root", Some("0.NA"))).unwrap();
    let top = start(level("top", Some("88"))).unwrap();
    let second = start(level("second", Some("88.118"))).unwrap();
    let known = threads("udp-0");
    let leaf = start(level("leaf", Some(PREFIX))).unwrap();
    let leaf_thread = new_thread("udp-0", &known);
    submit(&leaf.node().store, records(KEPT.max(count)));
    delegate(&root, "0.NA/88", &top);
    delegate(&top, "0.NA/88.118", &second);
    delegate(&second, "0.NA/88.118.5", &leaf);

    let mut recursive = level("recursive", None);
    recursive.recurse.allow = vec!["127.0.0.0/8".parse().unwrap()];
    recursive.recurse.root = Some(Root::Addresses(root.addresses().udp.clone()));
    recursive.recurse.cache = Size::mib(512);
    let known = threads("udp-0");
    let node = start(recursive).unwrap();
    let thread = new_thread("udp-0", &known);
    let address = node.addresses().udp[0];

    latency(&socket(address), count);
    println!(
        "authoritative: {}",
        storm(leaf.addresses().udp[0], count, seconds, leaf_thread)
    );
    println!("from the cache: {}", storm(address, count, seconds, thread));
    memory(
        &node,
        &socket(address),
        &socket(leaf.addresses().udp[0]),
        count,
    );
}

fn config(folder: &Path, prefix: Option<&str>) -> Config {
    std::fs::create_dir(folder).unwrap();
    let mut config = Config::ephemeral(folder);
    config.listen.udp_threads = 1;
    key::make(&config.site.key).unwrap();
    make_store(&config, prefix, Vec::new());
    config
}

fn delegate(parent: &Running, prefix: &str, child: &Running) {
    let site = child.node().site().record().to_vec();
    let values = [
        value(1, "HS_SITE", site.clone()),
        value(2, "HS_SITE.PREFIX", site),
    ];
    submit(&parent.node().store, vec![put(prefix, &values)]);
}

//----------- Latency --------------------------------------------------------

fn latency(client: &UdpSocket, count: usize) {
    client
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let first = ask(client, 0);
    println!("first question, nothing known, four nodes: {first:?}");
    let cold = (1..count).map(|n| ask(client, n)).collect();
    tell("a new name, its servers known", cold);
    let warm = (0..WARM).map(|_| ask(client, 0)).collect();
    tell("a name in the cache", warm);
}

fn ask(client: &UdpSocket, n: usize) -> Duration {
    let mut buf = [0; 2_048];
    let request = request(n);
    let begun = Instant::now();
    client.send(&request).unwrap();
    client.recv(&mut buf).unwrap();
    assert_eq!(buf[27], 1, "the record was found");
    begun.elapsed()
}

fn tell(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
    println!(
        "{what}: median {:?}, 99 of 100 within {:?}, of {}",
        at(0.5),
        at(0.99),
        times.len()
    );
}

//----------- Memory ---------------------------------------------------------

/// Fills the cache further and says what the process has grown by. The records are asked of their
/// own node first, so that its memory grows before.
fn memory(node: &Running, client: &UdpSocket, leaf: &UdpSocket, from: usize) {
    leaf.set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    for n in from..KEPT {
        ask(leaf, n);
    }
    client
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let cache = |node: &Running| node.node().courier().unwrap().snapshot();
    let (before, entries) = (resident(), cache(node).cache_entries);
    for n in from..KEPT {
        ask(client, n);
    }
    let (after, now) = (resident(), cache(node));
    let kept = now.cache_entries - entries;
    println!(
        "{kept} more answers kept: {} octets each as the cache counts; the process grew by {}",
        now.cache_octets / now.cache_entries as u64,
        after.saturating_sub(before) / kept as u64
    );
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    let kib: u64 = line
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    kib * 1_024
}
