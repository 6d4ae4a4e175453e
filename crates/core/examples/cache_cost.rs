//! Measures the cache of the resolver: octets of memory per record, and time per hit.
//!
//! ```sh
//! cargo run --release -p guantong-core --example cache_cost [RECORDS]
//! ```
//!
//! Memory and time on the processor are read from `/proc/self`, so this runs on Linux; other work
//! on the machine does not count.

#![allow(clippy::print_stdout, reason = "it prints what it measures")]

use std::sync::Arc;

use guantong_core::resolve::{
    Cache, CacheSettings, Lookup, Now, Question, Resolver, RootRefresh, Roots, Settings, Tick,
    TraceWanted, Trust,
};
use guantong_proto::crypto::hash::request_digest;
use guantong_proto::message::{
    Body, Digest, HashId, Message, Request, Response, ResponseCode, ResponseLayout,
};
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, HandleRef, Value, Values};

fn main() {
    let records = std::env::args().nth(1).and_then(|n| n.parse().ok());
    let records: u32 = records.unwrap_or(200_000);
    let cache = Arc::new(Cache::new(CacheSettings {
        octets: 4 << 30,
        ..CacheSettings::default()
    }));
    let before = resident();
    let began = busy_ns();
    fill(&cache, records);
    let each_us = (busy_ns() - began) / 1e3 / f64::from(records);
    let each = (resident() - before) / u64::from(records);
    let counted = cache.octets() / u64::from(records);
    println!(
        "{} records, {each} octets each in memory, {counted} counted",
        cache.len()
    );
    println!("{each_us:.2} us each to resolve at a server that answers at once");
    hits(&cache, records);
}

/// The values of every record: about what a product has.
fn values() -> Vec<u8> {
    let values = [
        Value::new(
            1,
            "URL",
            "https://example.org/products/press/7?lot=20260001",
        ),
        Value::new(2, "DESC", "press, 400 t, hydraulic"),
        Value::new(3, "EMAIL", "service@example.org"),
    ];
    Writer::to_vec(|w| Values::encode(&values, w))
}

fn name(n: u32) -> String {
    format!("88.118.5/SN{n:012}")
}

/// Resolves every name at one server, which is the root and answers everything.
fn fill(cache: &Arc<Cache>, records: u32) {
    let mut state = 1_u64;
    let random = move |octets: &mut [u8]| {
        for octet in octets {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            *octet = state.to_be_bytes()[1];
        }
    };
    let address = ([10, 0, 0, 1], 2641).into();
    let roots = Roots::from_addresses(&[address]).expect("one address is enough");
    let settings = Settings {
        root_refresh: RootRefresh::Never,
        ..Settings::default()
    };
    let site = roots.sites()[0].encode();
    let mut resolver = Resolver::new(settings, roots, cache.clone(), Box::new(random));
    let (record, now) = (values(), now());
    let prefix = Writer::to_vec(|w| Values::encode(&[Value::new(1, "HS_SITE", site)], w));
    for n in 0..records {
        let handle = Handle::parse(&name(n)).expect("it is a handle");
        resolver.start(Question::new(handle), TraceWanted::No, now);
        while let Some(transmit) = resolver.poll_transmit(now) {
            let guantong_core::resolve::Transport::Udp { local } = transmit.transport else {
                continue;
            };
            let packet = reply(&transmit.packet, &record, &prefix);
            resolver.on_datagram(local, address, &packet, now);
        }
        while resolver.poll_answer().is_some() {}
    }
}

fn reply(request: &[u8], record: &[u8], prefix: &[u8]) -> Vec<u8> {
    let asked = Message::decode(request).expect("requests decode");
    let Ok(Request::Resolve(resolve)) = Request::of(&asked) else {
        return Vec::new();
    };
    let values = match resolve.handle.starts_with(b"0.NA/") {
        true => prefix,
        false => record,
    };
    let digest = request_digest(HashId::Sha256, &asked);
    let response = Response {
        digest: Some(Digest {
            hash: HashId::Sha256,
            octets: &digest,
        }),
        body: Body::Record {
            handle: resolve.handle,
            values: Values::from_wire(values).expect("they decode"),
        },
    };
    let mut header = asked.header;
    header.code = ResponseCode::SUCCESS;
    let layout = ResponseLayout {
        op: header.op,
        code: header.code,
        flags: header.flags,
        version: asked.envelope.version,
    };
    let body = Writer::to_vec(|w| response.encode(layout, w));
    let message = Message {
        header,
        body: &body,
        ..asked
    };
    let mut out = Vec::new();
    message.encode(&mut out);
    out
}

fn now() -> Now {
    Now {
        tick: Tick(1_000),
        secs: 1_700_000_000,
    }
}

/// Time per hit, as an answering thread makes it: the name folded, looked up, and copied.
fn hits(cache: &Cache, records: u32) {
    const ROUNDS: u32 = 2_000_000;
    let names: Vec<String> = (0..10_000.min(records))
        .map(|n| name(n * 7 % records))
        .collect();
    let (mut lookup, mut out, now) = (Lookup::default(), Vec::new(), now());
    let mut found = 0_u32;
    let began = busy_ns();
    for n in 0..ROUNDS {
        let name = &names[n as usize % names.len()];
        let handle = HandleRef::parse(name).expect("it is a handle");
        lookup.set(handle, std::iter::empty(), std::iter::empty(), Trust::Any);
        if let Some(hit) = cache.get(&mut lookup, now) {
            out.clear();
            out.extend_from_slice(hit.entry.wire());
            found += 1;
        }
    }
    let each = (busy_ns() - began) / f64::from(ROUNDS);
    println!("{found} of {ROUNDS} hits, {each:.0} ns each");
}

/// Octets of memory that the process holds.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split_whitespace()
        .nth(1)
        .and_then(|n| n.parse::<u64>().ok());
    pages.unwrap_or(0) * 4_096
}

/// Nanoseconds that the process has been on a processor.
fn busy_ns() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let first = stat.split_whitespace().next().and_then(|n| n.parse().ok());
    first.unwrap_or(0.0)
}
