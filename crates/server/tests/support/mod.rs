//! A node on loopback for whole-node tests, and a client of bare sockets.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

pub(crate) mod admin;
pub(crate) mod http;
pub(crate) mod liar;
pub(crate) mod signed;
pub(crate) mod tls;
pub(crate) mod tree;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use guantong_proto::message::{
    Body, Envelope, Message, OpCode, OpFlags, RequestBuilder, Response, ResponseCode, Version,
};
use guantong_proto::wire::Writer;
use guantong_proto::{CaseRule, Handle, Permissions, Ttl, Value};
use guantong_server::config::Config;
use guantong_server::metrics::Drop as Dropped;
use guantong_server::{Running, key, start};
use guantong_store::{Batch, Change, CreateOptions, Expect, Options, Origin, Store, Trail};

/// Bounds a test that waits for what never comes. It decides nothing else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const PREFIX: &str = "88.118.5";

/// A folder with everything that a node needs, and a configuration with free ports.
pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) config: Config,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::homing(&[PREFIX])
    }

    /// A node that homes these prefixes.
    pub(crate) fn homing(prefixes: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::ephemeral(dir.path());
        config.listen.udp_threads = 2;
        config.listen.worker_threads = 2;
        std::fs::write(&config.site.key, server_key()).unwrap();
        let create = CreateOptions {
            case_rule: CaseRule::Insensitive,
            id: [7; 16],
        };
        let store = Store::create(&config.data, &create, &Options::default()).unwrap();
        let home = |prefix: &&str| Change::Home {
            prefix: Handle::of_prefix(prefix).unwrap(),
        };
        let homes: Vec<Change> = prefixes.iter().map(home).collect();
        if !homes.is_empty() {
            submit(&store, homes);
        }
        Self { dir, config }
    }

    pub(crate) fn start(&self) -> Running {
        start(self.config.clone()).unwrap()
    }
}

/// One key for all nodes of the test process; making one takes a while.
fn server_key() -> &'static [u8] {
    static KEY: OnceLock<Vec<u8>> = OnceLock::new();
    KEY.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        key::make(&path).unwrap();
        std::fs::read(Path::new(&path)).unwrap()
    })
}

pub(crate) fn submit(store: &Store, changes: Vec<Change>) {
    let batch = Batch {
        changes,
        at_ms: 1,
        origin: Origin::Node,
        trail: Trail::default(),
    };
    store.submit(batch).wait().unwrap();
}

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

/// Puts a record with one value of type TEXT.
pub(crate) fn put(node: &Running, handle: &str, text: &str) {
    put_values(node, handle, &[value(1, "TEXT", text)]);
}

pub(crate) fn put_values(node: &Running, handle: &str, values: &[Value]) {
    let values = Writer::to_vec(|w| {
        w.size(values.len());
        for value in values {
            value.encode(w);
        }
    });
    let change = Change::Put {
        handle: Handle::parse(handle).unwrap(),
        values,
        expect: Expect::Anything,
    };
    submit(&node.node().store, vec![change]);
}

/// A resolution of everything public.
pub(crate) fn ask(handle: &str, request_id: i32) -> Vec<u8> {
    let builder = RequestBuilder {
        envelope: Envelope::new(Version::OURS, request_id),
        flags: OpFlags::DEFAULT,
        expiration: u32::MAX / 2,
    };
    builder.resolve(handle, &[], &[] as &[&str])
}

/// A reply, reduced to what tests look at.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) op: OpCode,
    pub(crate) code: ResponseCode,
    pub(crate) request_id: i32,
    /// Data of the first value, or the text of an error.
    pub(crate) text: String,
}

pub(crate) fn decode(packet: &[u8]) -> Reply {
    let message = Message::decode(packet).unwrap();
    let text = match Response::of(&message).unwrap().body {
        Body::Record { values, .. } => values.iter().next().unwrap().data.to_vec(),
        Body::Error { text, .. } => text.to_vec(),
        _ => Vec::new(),
    };
    Reply {
        op: message.header.op,
        code: message.header.code,
        request_id: message.envelope.request_id,
        text: String::from_utf8_lossy(&text).into_owned(),
    }
}

/// Repeats `attempt` until it succeeds, within the patience of a test.
#[track_caller]
pub(crate) fn eventually<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "it did not come to pass");
        std::thread::yield_now();
    }
}

/// Waits until something was dropped for `why`; a peer may notice before the node has counted.
#[track_caller]
pub(crate) fn expect_drop(node: &Running, why: Dropped) {
    eventually(|| (node.node().metrics.drops(why) > 0).then_some(()));
    assert_eq!(node.node().metrics.drops(why), 1, "{}", why.name());
}

//----------- UDP ------------------------------------------------------------

pub(crate) struct Udp(pub(crate) UdpSocket);

impl Udp {
    pub(crate) fn to(address: SocketAddr) -> Self {
        let any = if address.is_ipv6() {
            "[::1]:0"
        } else {
            "127.0.0.1:0"
        };
        let socket = UdpSocket::bind(any).unwrap();
        socket.connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    pub(crate) fn send(&self, datagram: &[u8]) {
        self.0.send(datagram).unwrap();
    }

    pub(crate) fn receive(&self) -> Vec<u8> {
        let mut buf = [0; 2_048];
        let len = self
            .0
            .recv(&mut buf)
            .expect("an answer within the patience of the test");
        buf[..len].to_vec()
    }

    pub(crate) fn ask(&self, packet: &[u8]) -> Reply {
        self.send(packet);
        decode(&self.receive())
    }
}

//----------- TCP ------------------------------------------------------------

pub(crate) struct Tcp(pub(crate) TcpStream);

impl Tcp {
    pub(crate) fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    pub(crate) fn send(&mut self, octets: &[u8]) {
        self.0.write_all(octets).unwrap();
    }

    pub(crate) fn receive(&mut self) -> Vec<u8> {
        let mut packet = vec![0; 20];
        self.0.read_exact(&mut packet).unwrap();
        let len = i32::from_be_bytes(packet[16..20].try_into().unwrap());
        packet.resize(20 + usize::try_from(len).unwrap(), 0);
        self.0.read_exact(&mut packet[20..]).unwrap();
        packet
    }

    pub(crate) fn ask(&mut self, packet: &[u8]) -> Reply {
        self.send(packet);
        decode(&self.receive())
    }

    /// Waits until the node closes; octets on the way are an error.
    #[track_caller]
    pub(crate) fn expect_close(mut self) {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => assert!(rest.is_empty(), "{} octets more", rest.len()),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }
}

//----------- HTTP -----------------------------------------------------------

/// Everything that is answered to `GET path`, head included.
pub(crate) fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
