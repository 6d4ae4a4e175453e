//! Two nodes on loopback that may follow each other.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use guantong_core::admin::Identity;
use guantong_core::replicate::Role;
use guantong_proto::message::{Envelope, OpFlags, RequestBuilder, Version};
use guantong_proto::wire::Writer;
use guantong_proto::{CaseRule, Handle, Permissions, Ttl, Value, Values};
use guantong_server::config::{Config, Span};
use guantong_server::key::ServerKey;
use guantong_server::mirror::{Promote, PromoteError, Promoted};
use guantong_server::{Running, key, start};
use guantong_store::{
    Batch, Change, CreateOptions, Expect, Options, Origin, Scope, Store, Trail, WriteError,
};

/// Bounds a test that waits for what never comes. It decides nothing else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
pub(crate) const PREFIX: &str = "88.118.5";

/// Keys of three nodes; making one takes a while.
fn keys() -> &'static [(Vec<u8>, Vec<u8>); 3] {
    static KEYS: OnceLock<[(Vec<u8>, Vec<u8>); 3]> = OnceLock::new();
    KEYS.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        ["a", "b", "c"].map(|name| {
            let path = dir.path().join(name);
            key::make(&path).unwrap();
            let public = ServerKey::load(&path).unwrap().public().encode();
            (std::fs::read(path).unwrap(), public)
        })
    })
}

/// The identity of node 0, 1 or 2: a record that all hold.
pub(crate) fn identity(node: usize) -> Identity {
    format!("300:{PREFIX}/NODE-{node}").parse().unwrap()
}

//----------- Side -----------------------------------------------------------

/// One of the nodes, running or not.
pub(crate) struct Side {
    _dir: tempfile::TempDir,
    pub(crate) config: Config,
    running: Option<Running>,
}

impl Side {
    /// Node 0, 1 or 2 with an empty store.
    pub(crate) fn new(number: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::ephemeral(dir.path());
        config.listen.udp_threads = 1;
        config.listen.worker_threads = 2;
        config.store.memory.0 = 32 << 20;
        std::fs::write(&config.site.key, &keys()[number].0).unwrap();
        let id = [u8::try_from(number).unwrap() + 1; 16];
        let case_rule = CaseRule::Insensitive;
        let create = CreateOptions { case_rule, id };
        Store::create(&config.data, &create, &Options::default()).unwrap();
        config.administration.rules.replication_admins = (0..3).map(identity).collect();
        config.mirror.identity = Some(identity(number));
        config.mirror.poll_interval = Span::secs(1);
        Self {
            _dir: dir,
            config,
            running: None,
        }
    }

    /// A primary with the records that prove who the nodes are.
    pub(crate) fn primary(number: usize) -> Self {
        let mut side = Self::new(number);
        side.start();
        let prefix = Handle::of_prefix(PREFIX).unwrap();
        side.submit(vec![Change::Home { prefix }]).unwrap();
        side.running().node().refresh_site().unwrap();
        for (n, (_, public)) in keys().iter().enumerate() {
            let values = [Value {
                index: 300,
                ..value("HS_PUBKEY", public.clone())
            }];
            let name = identity(n).handle;
            side.write(name.as_str(), &values).unwrap();
        }
        side
    }

    /// A mirror of `primary`, which runs.
    pub(crate) fn mirror_of(number: usize, primary: &Self) -> Self {
        let mut side = Self::new(number);
        side.config.site.primary = false;
        side.config.mirror.of = Some(primary.tcp().to_string());
        side.start();
        side
    }

    /// Starts it; the ports stay those of the first start.
    pub(crate) fn start(&mut self) {
        let running = start(self.config.clone()).unwrap();
        let addresses = running.addresses().clone();
        let listen = &mut self.config.listen;
        (listen.udp, listen.tcp) = (addresses.udp, addresses.tcp);
        (listen.http, listen.console) = (addresses.http, addresses.console);
        self.running = Some(running);
    }

    pub(crate) fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }

    pub(crate) fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    pub(crate) fn store(&self) -> &Store {
        &self.running().node().store
    }

    pub(crate) fn tcp(&self) -> SocketAddr {
        self.running().addresses().tcp[0]
    }

    /// Asks over TCP; the whole reply.
    pub(crate) fn ask(&self, packet: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.tcp()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(packet).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).unwrap();
        reply
    }

    pub(crate) fn role(&self) -> Role {
        self.running().node().mirroring.standing().role
    }

    //--- Changes

    pub(crate) fn submit(&self, changes: Vec<Change>) -> Result<u64, WriteError> {
        let batch = Batch {
            changes,
            at_ms: self.running().node().now_ms(),
            origin: Origin::Operator,
            trail: Trail::default(),
        };
        Ok(self.store().submit(batch).wait()?.last)
    }

    pub(crate) fn write(&self, name: &str, values: &[Value]) -> Result<u64, WriteError> {
        self.submit(vec![put(name, values)])
    }

    /// Writes a record with one text.
    pub(crate) fn text(&self, name: &str, text: &str) -> Result<u64, WriteError> {
        self.write(&format!("{PREFIX}/{name}"), &[value("TEXT", text)])
    }

    pub(crate) fn delete(&self, name: &str) -> Result<u64, WriteError> {
        self.submit(vec![Change::Delete {
            handle: Handle::parse(&format!("{PREFIX}/{name}")).unwrap(),
            expect: Expect::Present,
        }])
    }

    //--- What it holds

    /// The text of a record.
    pub(crate) fn read(&self, name: &str) -> Option<String> {
        let handle = Handle::parse(&format!("{PREFIX}/{name}")).unwrap();
        let record = self.store().record(handle.borrow()).unwrap()?;
        let value = record.values().iter().next().unwrap();
        Some(String::from_utf8(value.data.to_vec()).unwrap())
    }

    /// Every record, and the homed prefixes.
    pub(crate) fn content(&self) -> (Vec<(String, Vec<u8>)>, Vec<Handle>) {
        let records = self.store().scan(&Scope::All, None).map(|found| {
            let (_, record) = found.unwrap();
            (record.handle().to_string(), record.values_wire().to_vec())
        });
        (records.collect(), self.store().homed())
    }

    /// Waits until this mirror has everything that `primary` has now.
    #[track_caller]
    pub(crate) fn catches_up_with(&self, primary: &Self) {
        let last = primary.store().last_change();
        eventually("it catches up", || {
            let figures = self.running().node().mirroring.figures();
            (figures.is_complete && figures.last >= last).then_some(())
        });
        self.store().settle();
    }

    //--- Taking over

    pub(crate) fn promote(&self, promote: Promote) -> Result<Promoted, PromoteError> {
        self.running().node().promote(promote)
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Builds requests of our own version.
pub(crate) fn builder() -> RequestBuilder {
    RequestBuilder {
        envelope: Envelope::new(Version::OURS, 1),
        flags: OpFlags::DEFAULT,
        expiration: u32::MAX / 2,
    }
}

pub(crate) fn value(kind: &str, data: impl Into<Vec<u8>>) -> Value {
    Value {
        index: 1,
        timestamp: 1,
        ttl: Ttl::default(),
        permissions: Permissions::default(),
        kind: kind.into(),
        data: data.into(),
        references: Vec::new(),
    }
}

pub(crate) fn put(name: &str, values: &[Value]) -> Change {
    Change::Put {
        handle: Handle::parse(name).unwrap(),
        values: Writer::to_vec(|w| Values::encode(values, w)),
        expect: Expect::Anything,
    }
}

/// Repeats `attempt` until it succeeds, within the patience of a test.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
