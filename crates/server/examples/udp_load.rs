//! How much time the node's UDP thread takes for an answer, on loopback.
//!
//! ```text
//! cargo run --release -p guantong-server --example udp_load -- [SECONDS] [RECORDS]
//! ```
//!
//! One thread answers, one asks with a window of requests in flight. What counts is the processor
//! time of the answering thread, which other programs on the machine change little; requests per
//! second depend on them.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a tool for developers"
)]

mod load;

use std::collections::HashSet;

use guantong_server::config::Config;
use guantong_server::{key, start};
use load::{PREFIX, make_store, new_thread, records, storm};

fn main() {
    let mut args = std::env::args().skip(1);
    let seconds = args.next().map_or(5, |text| text.parse().unwrap());
    let count: usize = args.next().map_or(10_000, |text| text.parse().unwrap());

    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::ephemeral(dir.path());
    config.listen.udp_threads = 1;
    key::make(&config.site.key).unwrap();
    make_store(&config, Some(PREFIX), records(count));
    let node = start(config).unwrap();
    let thread = new_thread("udp-0", &HashSet::new());
    let address = node.addresses().udp[0];
    println!("{}", storm(address, count, seconds, thread));
    node.stop();
}
