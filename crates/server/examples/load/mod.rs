//! What the load examples share: records, requests, and a storm of them from one thread.

#![allow(dead_code, reason = "each example uses its part")]

use std::collections::HashSet;
use std::io::IoSlice;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use guantong_proto::message::{Envelope, OpFlags, RequestBuilder, Version};
use guantong_proto::wire::Writer;
use guantong_proto::{CaseRule, Handle, Permissions, Ttl, Value};
use guantong_server::config::Config;
use guantong_store::{Batch, Change, CreateOptions, Expect, Options, Origin, Store, Trail};
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg};

/// The prefix of all records.
pub(crate) const PREFIX: &str = "88.118.5";
/// Requests sent with one system call.
const WINDOW: usize = 64;

//----------- Records --------------------------------------------------------

pub(crate) fn value(index: i32, kind: &str, data: impl Into<Vec<u8>>) -> Value {
    Value {
        index,
        timestamp: 1,
        ttl: Ttl::default(),
        permissions: Permissions::default(),
        kind: kind.into(),
        data: data.into(),
        references: Vec::new(),
    }
}

pub(crate) fn put(handle: &str, values: &[Value]) -> Change {
    Change::Put {
        handle: Handle::parse(handle).unwrap(),
        values: Writer::to_vec(|w| {
            w.size(values.len());
            values.iter().for_each(|value| value.encode(w));
        }),
        expect: Expect::Anything,
    }
}

/// Makes a store that homes `prefix` and has these records.
pub(crate) fn make_store(config: &Config, prefix: Option<&str>, mut changes: Vec<Change>) {
    let create = CreateOptions {
        case_rule: CaseRule::Insensitive,
        id: [1; 16],
    };
    let store = Store::create(&config.data, &create, &Options::default()).unwrap();
    let home = prefix.map(|prefix| Change::Home {
        prefix: Handle::of_prefix(prefix).unwrap(),
    });
    changes.extend(home);
    submit(&store, changes);
}

/// Writes the changes, a batch after the other.
pub(crate) fn submit(store: &Store, mut changes: Vec<Change>) {
    while !changes.is_empty() {
        let rest = changes.split_off(changes.len().min(500));
        let batch = Batch {
            changes,
            at_ms: 1,
            origin: Origin::Node,
            trail: Trail::default(),
        };
        store.submit(batch).wait().unwrap();
        changes = rest;
    }
}

/// So many records of three values under [`PREFIX`].
pub(crate) fn records(count: usize) -> Vec<Change> {
    let values = [
        value(1, "URL", [b'x'; 60]),
        value(2, "EMAIL", [b'x'; 24]),
        value(3, "DESC", [b'x'; 80]),
    ];
    (0..count).map(|n| put(&handle(n), &values)).collect()
}

pub(crate) fn handle(n: usize) -> String {
    format!("{PREFIX}/SN2026{n:08}")
}

pub(crate) fn request(n: usize) -> Vec<u8> {
    let builder = RequestBuilder {
        envelope: Envelope::new(Version::OURS, i32::try_from(n).unwrap()),
        flags: OpFlags::DEFAULT,
        expiration: u32::MAX / 2,
    };
    builder.resolve(&handle(n), &[], &[] as &[&str])
}

//----------- Storm ----------------------------------------------------------

/// What a storm measured.
pub(crate) struct Measured {
    pub(crate) answers: u64,
    pub(crate) seconds: f64,
    /// Microseconds for each answer: of the answering thread itself, and of the system for it.
    pub(crate) own_us: f64,
    pub(crate) system_us: f64,
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} answers in {:.1} s, {:.0} a second; the answering thread took {:.2} us of its own \
             and {:.2} us of the system for each",
            self.answers,
            self.seconds,
            self.answers as f64 / self.seconds,
            self.own_us,
            self.system_us
        )
    }
}

pub(crate) fn socket(address: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(address).unwrap();
    let patience = Some(Duration::from_millis(100));
    socket.set_read_timeout(patience).unwrap();
    socket
}

/// Asks for the first `records` records with a window of requests in flight; `thread` answers.
pub(crate) fn storm(address: SocketAddr, records: usize, seconds: u64, thread: u32) -> Measured {
    let socket = socket(address);
    let requests: Vec<_> = (0..records).map(request).collect();
    let before = thread_time(thread);
    let begun = Instant::now();
    let (mut sent, mut answers) = (0_usize, 0_u64);
    let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(WINDOW, None);
    let mut buf = [0; 2_048];
    while begun.elapsed() < Duration::from_secs(seconds) {
        // A stride that is prime to most numbers of records visits them all in no order.
        let pick = |n: usize| &requests[(sent + n) * 7_919 % records];
        let slices: [[IoSlice<'_>; 1]; WINDOW] = std::array::from_fn(|n| [IoSlice::new(pick(n))]);
        let no_control: [ControlMessage<'_>; 0] = [];
        let went = sendmmsg(
            socket.as_raw_fd(),
            &mut headers,
            slices.iter(),
            [None; WINDOW],
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
    let seconds = begun.elapsed().as_secs_f64();
    let after = thread_time(thread);
    let each = |ticks: u64| ticks as f64 * 10_000.0 / answers as f64;
    Measured {
        answers,
        seconds,
        own_us: each(after.0 - before.0),
        system_us: each(after.1 - before.1),
    }
}

//----------- Threads --------------------------------------------------------

/// The threads of that name.
pub(crate) fn threads(name: &str) -> HashSet<u32> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let named = tasks.filter_map(|task| {
        let path = task.unwrap().path();
        let found = std::fs::read_to_string(path.join("comm")).ok()?;
        let id = path.file_name()?.to_str()?.parse().ok()?;
        (found.trim() == name).then_some(id)
    });
    named.collect()
}

/// The thread of that name that is not among `known`. A thread takes its name when it begins to
/// run, which may be a moment after it was started.
pub(crate) fn new_thread(name: &str, known: &HashSet<u32>) -> u32 {
    loop {
        if let Some(&id) = threads(name).difference(known).next() {
            return id;
        }
        std::thread::yield_now();
    }
}

/// User and system time of a thread so far, in ticks of 10 ms.
fn thread_time(id: u32) -> (u64, u64) {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{id}/stat")).unwrap();
    let (_, tail) = stat.rsplit_once(')').unwrap();
    let fields: Vec<_> = tail.split_whitespace().collect();
    (fields[11].parse().unwrap(), fields[12].parse().unwrap())
}
