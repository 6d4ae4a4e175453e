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

use std::io::IoSlice;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use guantong_proto::message::{Envelope, OpFlags, RequestBuilder, Version};
use guantong_proto::wire::Writer;
use guantong_proto::{CaseRule, Handle, Permissions, Ttl, Value};
use guantong_server::config::Config;
use guantong_server::{key, start};
use guantong_store::{Batch, Change, CreateOptions, Expect, Options, Origin, Store};
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg};

/// Requests sent with one system call.
const WINDOW: usize = 64;

fn main() {
    let mut args = std::env::args().skip(1);
    let seconds = args.next().map_or(5, |text| text.parse().unwrap());
    let records: usize = args.next().map_or(10_000, |text| text.parse().unwrap());

    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::ephemeral(dir.path());
    config.listen.udp_threads = 1;
    key::make(&config.site.key).unwrap();
    fill(&config, records);
    let node = start(config).unwrap();
    let address = node.addresses().udp[0];

    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(address).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let requests: Vec<_> = (0..records).map(request).collect();
    let before = thread_time("udp-0");
    let begun = Instant::now();
    let (mut sent, mut answers) = (0_usize, 0_u64);
    let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(WINDOW, None);
    let mut buf = [0; 2_048];
    while begun.elapsed() < Duration::from_secs(seconds) {
        // A stride that is prime to most numbers of records visits them all in no order.
        let pick = |n: usize| &requests[(sent + n) * 7_919 % records];
        let slices: [[IoSlice<'_>; 1]; WINDOW] = std::array::from_fn(|n| [IoSlice::new(pick(n))]);
        let no_control: [ControlMessage<'_>; 0] = [];
        let to = [None; WINDOW];
        let fd = socket.as_raw_fd();
        let went = sendmmsg(
            fd,
            &mut headers,
            slices.iter(),
            to,
            no_control,
            MsgFlags::empty(),
        );
        let went = went.unwrap().count();
        sent += went;
        for _ in 0..went {
            match socket.recv(&mut buf) {
                Ok(_) => answers += 1,
                Err(_) => break,
            }
        }
    }
    let elapsed = begun.elapsed().as_secs_f64();
    let after = thread_time("udp-0");
    let each = |ticks: u64| ticks as f64 * 10_000.0 / answers as f64;
    println!(
        "{answers} answers in {elapsed:.1} s, {:.0} a second; the answering thread took {:.2} us \
         of its own and {:.2} us of the system for each",
        answers as f64 / elapsed,
        each(after.0 - before.0),
        each(after.1 - before.1)
    );
    node.stop();
}

fn fill(config: &Config, records: usize) {
    let create = CreateOptions {
        case_rule: CaseRule::Insensitive,
        id: [1; 16],
    };
    let store = Store::create(&config.data, &create, &Options::default()).unwrap();
    let mut changes = vec![Change::Home {
        prefix: Handle::of_prefix("88.118.5").unwrap(),
    }];
    for n in 0..records {
        let value = |index, kind: &str, len| Value {
            index,
            timestamp: 1,
            ttl: Ttl::default(),
            permissions: Permissions::default(),
            kind: kind.into(),
            data: vec![b'x'; len],
            references: Vec::new(),
        };
        let values = [
            value(1, "URL", 60),
            value(2, "EMAIL", 24),
            value(3, "DESC", 80),
        ];
        changes.push(Change::Put {
            handle: Handle::parse(&format!("88.118.5/SN2026{n:08}")).unwrap(),
            values: Writer::to_vec(|w| {
                w.size(values.len());
                values.iter().for_each(|value| value.encode(w));
            }),
            expect: Expect::Absent,
        });
    }
    while !changes.is_empty() {
        let rest = changes.split_off(changes.len().min(500));
        let batch = Batch {
            changes,
            at_ms: 1,
            origin: Origin::Node,
        };
        store.submit(batch).wait().unwrap();
        changes = rest;
    }
}

fn request(n: usize) -> Vec<u8> {
    let builder = RequestBuilder {
        envelope: Envelope::new(Version::OURS, i32::try_from(n).unwrap()),
        flags: OpFlags::DEFAULT,
        expiration: u32::MAX / 2,
    };
    builder.resolve(&format!("88.118.5/SN2026{n:08}"), &[], &[] as &[&str])
}

/// User and system time of the thread of that name so far, in ticks of 10 ms.
fn thread_time(name: &str) -> (u64, u64) {
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let stat = std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap();
        let (head, tail) = stat.rsplit_once(')').unwrap();
        if head.ends_with(&format!("({name}")) {
            let fields: Vec<_> = tail.split_whitespace().collect();
            return (fields[11].parse().unwrap(), fields[12].parse().unwrap());
        }
    }
    (0, 0)
}
