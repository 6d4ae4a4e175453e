//! `bench writes`: what an acknowledged change costs, beside what the disk and the store by
//! themselves can do; and what it costs to find out who asks for it.
//!
//! Every create is on the disk before it is answered: that is what the node promises, so it is the
//! only figure. The node has one core, all clients share the other.

mod batches;
mod disk;
mod session;
mod store;

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::cast::WARM_UP_JAVA;
use crate::corpus::PREFIX;
use crate::dialect::{Exactness, Handles};
use crate::machine::{self, Taken};
use crate::round::{NODE, median};
use crate::server::{
    HANDLE_NET, HandleNetArgs, HandleNetServer, HandleNetSetup, NodeSetup, Setting,
};
use crate::tls;
use batches::Batches;
use disk::Disk;
pub use session::Administrator;
use session::{Session, create_in_all};
use store::OwnStore;

/// Creates that are on their way at a time.
const IN_FLIGHT: [usize; 3] = [1, 16, 64];
/// Parts of the measurements of one client and of what it is compared with. They are made in turns,
/// as the time that a disk takes to sync changes from second to second.
const TURNS: u32 = 10;
/// Changes of one batch, as an import makes them.
const BATCH: u32 = 1_000;
/// Changes of one batch that comes over the network.
const NETWORK_BATCH: u32 = 500;
/// Batches over the network that are on their way at a time.
const BATCHES_IN_FLIGHT: [usize; 2] = [1, 4];
/// Batches of an import that are on their way at a time.
const IMPORTS_IN_FLIGHT: usize = 5;
/// The disk's rate in groups of 64 on the machine that the targets were set on, per second.
const REFERENCE_GROUPED: f64 = 139_000.0;
/// Authenticated creates with 64 in flight that were wanted there, per second.
const REFERENCE_CREATES: f64 = 25_000.0;
/// Creates that are on their way at a time while Java is warmed up.
const WARM_UP_CLIENTS: usize = 16;
/// Records that are imported at once, per second.
const IMPORT_WANTED: f64 = 150_000.0;

#[derive(clap::Args)]
pub struct WriteArgs {
    /// The node's program
    #[arg(long, default_value = "../target/release/guantong")]
    node: PathBuf,
    /// How often each is measured
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 2.0)]
    time: f64,
    /// Records that are imported
    #[arg(long, default_value_t = 500_000)]
    import: u32,
    #[command(flatten)]
    handle_net: HandleNetArgs,
    /// Folder for the data, on the disk that is to be measured
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Core of the clients
    #[arg(long, default_value_t = 0)]
    client_core: usize,
    /// Core of the node
    #[arg(long, default_value_t = 1)]
    server_core: usize,
}

/// Measures changes.
pub fn writes(args: &WriteArgs) -> Result<()> {
    let folder = args.folder.clone().unwrap_or_else(std::env::temp_dir);
    let folder = folder.join(format!("guantong-bench-{}", std::process::id()));
    std::fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
    println!("{}", machine::describe());
    let result = writes_in(args, &folder);
    std::fs::remove_dir_all(&folder)?;
    result
}

fn writes_in(args: &WriteArgs, folder: &Path) -> Result<()> {
    let jars = args.handle_net.jars()?;
    let setting = Setting {
        folder: folder.to_owned(),
        records: args.import.max(1),
        core: args.server_core,
    };
    let setup = NodeSetup::authoritative(&setting, &args.node, "node")?;
    let import = |setup: &NodeSetup| -> Result<f64> {
        Ok(f64::from(setting.records) / setup.import(setting.records)?.as_secs_f64())
    };
    let mut imports = vec![import(&setup)?];
    for round in 1..args.rounds.max(1) {
        let again = Setting {
            folder: folder.join(format!("import-{round}")),
            ..setting.clone()
        };
        imports.push(import(&NodeSetup::authoritative(
            &again, &args.node, "node",
        )?)?);
        std::fs::remove_dir_all(&again.folder)?;
    }
    let store = OwnStore::new(&folder.join("store"), args.server_core)?;
    let node = setup.serve(NODE, &Handles::new(1, Exactness::Octets))?;
    let administrator = Administrator::new(setup.native, &setup.admin_key())?;
    let peer = jars.map(|jars| Peer::start(&setting, jars)).transpose();
    let bench = Bench {
        peer: peer.context(HANDLE_NET)?,
        disk: Disk::new(&folder.join("disk"))?,
        store,
        pid: node.server.pid(),
        http: setup.http,
        batches: Batches::new(setup.http, &administrator)?,
        administrator,
        time: Duration::from_secs_f64(args.time),
        server_core: args.server_core,
        next: AtomicU64::new(0),
    };
    machine::pin(args.client_core)?;
    bench.warm_peer()?;
    let mut rounds = Vec::new();
    for round in 0..args.rounds.max(1) {
        eprintln!("round {} of {}", round + 1, args.rounds.max(1));
        rounds.push(bench.round()?);
    }
    if let Some(peer) = &bench.peer {
        peer.server.server.expect_on_its_cores()?;
    }
    print(&rounds, median(imports), bench.peer.is_some());
    Ok(())
}

//----------- Round ----------------------------------------------------------

struct Bench {
    peer: Option<Peer>,
    disk: Disk,
    store: OwnStore,
    pid: u32,
    administrator: Administrator,
    batches: Batches,
    http: std::net::SocketAddr,
    time: Duration,
    server_core: usize,
    /// The next record that nobody has created yet.
    next: AtomicU64,
}

/// A Handle.Net server, which promises the same of a create.
struct Peer {
    server: HandleNetServer,
    administrator: Administrator,
}

impl Peer {
    fn start(setting: &Setting, jars: &Path) -> Result<Self> {
        let setup = HandleNetSetup::new(setting, jars)?;
        setup.fill(1)?;
        let server = setup.serve()?;
        let (identity, key) = setup.admin()?;
        Ok(Self {
            administrator: Administrator::of_closing(server.server.address, identity, &key)?,
            server,
        })
    }
}

/// What one round gave: rates per second, by number in flight where there are several.
struct Round {
    disk: f64,
    disk_grouped: f64,
    disk_served: f64,
    store: [f64; 3],
    store_batched: f64,
    creates: [Cost; 3],
    /// The same of Handle.Net.
    peer_creates: [Cost; 3],
    /// Changes, not batches.
    store_batches: [f64; 2],
    batches: [Cost; 2],
    proofs: Cost,
    sessions: Cost,
    handshakes: Cost,
}

/// A rate, and what it cost the node.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    rate: f64,
    user_us: f64,
    system_us: f64,
}

impl Bench {
    fn round(&self) -> Result<Round> {
        let mut round = Round {
            disk: 0.0,
            disk_grouped: self.disk.rate(64, self.time)?,
            disk_served: 0.0,
            store: [0.0; 3],
            store_batched: self.store_batches(BATCH, IMPORTS_IN_FLIGHT)?,
            creates: [Cost::default(); 3],
            peer_creates: [Cost::default(); 3],
            store_batches: [0.0; 2],
            batches: [Cost::default(); 2],
            proofs: self.alone(|| self.administrator.prove())?,
            sessions: self.alone(|| self.administrator.begin().map(drop))?,
            handshakes: self.alone(|| tls::connect(self.http).map(drop))?,
        };
        self.take_turns(&mut round)?;
        for (at, &threads) in IN_FLIGHT.iter().enumerate() {
            round.store[at] = during(threads, self.time, |_| self.store.create(self.next_of(1)))?;
            if threads > 1 {
                round.creates[at] =
                    self.creates(&self.administrator, self.pid, threads, self.time)?;
            }
            if let Some(peer) = &self.peer {
                round.peer_creates[at] = self.peer_creates(peer, threads)?;
            }
        }
        for (at, &threads) in BATCHES_IN_FLIGHT.iter().enumerate() {
            round.store_batches[at] = self.store_batches(NETWORK_BATCH, threads)?;
            round.batches[at] = costing(self.pid, || {
                let batches = self.batches.clients(threads)?;
                let each = |client: usize| batches.create(client, self.next_of(NETWORK_BATCH));
                Ok(f64::from(NETWORK_BATCH) * during(threads, self.time, each)?)
            })?;
        }
        Ok(round)
    }

    /// Measures one client, the disk and the floor, in turns.
    fn take_turns(&self, round: &mut Round) -> Result<()> {
        let (share, part) = (1.0 / f64::from(TURNS), self.time / TURNS);
        for _ in 0..TURNS {
            round.disk += share * self.disk.rate(1, part)?;
            round.disk_served += share * self.disk.served_rate(self.server_core, part)?;
            let creates = self.creates(&self.administrator, self.pid, 1, part)?;
            let sum = &mut round.creates[0];
            sum.rate += share * creates.rate;
            sum.user_us += share * creates.user_us;
            sum.system_us += share * creates.system_us;
        }
        Ok(())
    }

    /// The first of so many records that nobody has created yet.
    fn next_of(&self, count: u32) -> u64 {
        self.next.fetch_add(u64::from(count), Relaxed)
    }

    /// Changes per second of the store by itself.
    fn store_batches(&self, size: u32, in_flight: usize) -> Result<f64> {
        let next = || self.next_of(size);
        self.store.batches(size, in_flight, self.time, next)
    }

    /// Authenticated creates over the native protocol, one on its way for each client.
    fn creates(
        &self,
        who: &Administrator,
        pid: u32,
        clients: usize,
        time: Duration,
    ) -> Result<Cost> {
        let name = || fresh(self.next.fetch_add(1, Relaxed));
        let sessions: Result<Vec<Session<'_>>> = (0..clients)
            .map(|_| {
                let mut session = who.begin()?;
                // Proves who asks, once for the session, outside of the measurement.
                session.create(&name())?;
                Ok(session)
            })
            .collect();
        let mut sessions = sessions?;
        costing(pid, || create_in_all(&mut sessions, time, name))
    }

    /// The same of Handle.Net.
    fn peer_creates(&self, peer: &Peer, clients: usize) -> Result<Cost> {
        let pid = peer.server.server.pid();
        let cost = self.creates(&peer.administrator, pid, clients, self.time);
        cost.context(HANDLE_NET)
    }

    /// One client that does one thing after the other.
    fn alone(&self, act: impl Fn() -> Result<()> + Sync) -> Result<Cost> {
        costing(self.pid, || during(1, self.time, |_| act()))
    }

    /// Has the compiler of Java see what it will be measured with.
    fn warm_peer(&self) -> Result<()> {
        let Some(peer) = &self.peer else {
            return Ok(());
        };
        eprintln!("warming {HANDLE_NET} up");
        let begun = Instant::now();
        while begun.elapsed() < WARM_UP_JAVA {
            self.peer_creates(peer, WARM_UP_CLIENTS)?;
        }
        Ok(())
    }
}

/// What is done in `measure`, and what it costs a process and its descendants.
fn costing(pid: u32, measure: impl FnOnce() -> Result<f64>) -> Result<Cost> {
    let (before, begun) = (Taken::by_family(pid), Instant::now());
    let rate = measure()?;
    let taken = Taken::by_family(pid).since(before);
    let count = rate * begun.elapsed().as_secs_f64();
    Ok(Cost {
        rate,
        user_us: taken.user * 1e6 / count,
        system_us: taken.system * 1e6 / count,
    })
}

/// Does something again and again on each of `threads`; how often a second.
fn during(threads: usize, time: Duration, act: impl Fn(usize) -> Result<()> + Sync) -> Result<f64> {
    let (stop, total) = (AtomicBool::new(false), AtomicU64::new(0));
    let begun = Instant::now();
    let failed: Result<()> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|thread| {
                let (stop, total, act) = (&stop, &total, &act);
                scope.spawn(move || {
                    while !stop.load(Relaxed) {
                        act(thread)?;
                        total.fetch_add(1, Relaxed);
                    }
                    Ok(())
                })
            })
            .collect();
        std::thread::sleep(time);
        stop.store(true, Relaxed);
        let mut ends = threads.into_iter().map(|thread| thread.join());
        ends.try_for_each(|end| end.unwrap_or_else(|_| bail!("a client has panicked")))
    });
    failed?;
    Ok(total.load(Relaxed) as f64 / begun.elapsed().as_secs_f64())
}

/// The name of a record that is only created here.
fn fresh(n: u64) -> String {
    format!("{PREFIX}/NEW{n:012}")
}

//----------- Table ----------------------------------------------------------

fn print(rounds: &[Round], import: f64, has_peer: bool) {
    let middle = |of: &dyn Fn(&Round) -> f64| median(rounds.iter().map(of));
    let line = |what: &str, rate: f64, rest: &dyn Display| {
        println!("{what:<42} {rate:>10.0}/s  {rest}");
    };
    let cost = |what: &str, of: &dyn Fn(&Round) -> Cost| {
        let [user, system] = [
            middle(&|round| of(round).user_us),
            middle(&|round| of(round).system_us),
        ];
        let who = if what.starts_with(HANDLE_NET) {
            "it"
        } else {
            "the node"
        };
        let rest = format!("{who} takes {user:.1} us + {system:.1} us of the system for each");
        line(what, middle(&|round| of(round).rate), &rest);
    };
    println!("\nmedians of {} rounds\n", rounds.len());
    line("disk: a write, a sync", middle(&|r| r.disk), &"");
    line("disk: 64 writes, a sync", middle(&|r| r.disk_grouped), &"");
    line(
        "floor: a write, a sync, asked over TCP",
        middle(&|r| r.disk_served),
        &"1 client; a server that does nothing else",
    );
    for (at, threads) in IN_FLIGHT.iter().enumerate() {
        let what = format!("store: creates, {threads} on their way");
        line(&what, middle(&|r| r.store[at]), &"");
    }
    line(
        "store: creates in batches of 1,000",
        middle(&|r| r.store_batched),
        &"",
    );
    for (at, clients) in IN_FLIGHT.iter().enumerate() {
        let what = format!("node: authenticated creates, {clients} clients");
        cost(&what, &|r| r.creates[at]);
        if has_peer {
            let what = format!("{HANDLE_NET}: the same, {clients} clients");
            cost(&what, &|r| r.peer_creates[at]);
        }
    }
    for (at, clients) in BATCHES_IN_FLIGHT.iter().enumerate() {
        let what = format!("store: batches of {NETWORK_BATCH}, {clients} on their way");
        line(&what, middle(&|r| r.store_batches[at]), &"");
        let what = format!("node: such batches over HTTPS, {clients} clients");
        cost(&what, &|r| r.batches[at]);
    }
    line(
        "node: import, in order of names",
        import,
        &"by `guantong import`, not running",
    );
    cost("node: challenge and answer, RSA 2048", &|r| r.proofs);
    cost("node: session, Diffie-Hellman", &|r| r.sessions);
    cost("node: TLS handshake, not resumed", &|r| r.handshakes);
    print_judgements(rounds, import);
}

/// Prints the ratios, and whether they are what is wanted.
fn print_judgements(rounds: &[Round], import: f64) {
    let middle = |of: &dyn Fn(&Round) -> f64| median(rounds.iter().map(of));
    println!("\nbeside what is wanted: medians of the ratios within each round");
    let judge = |what: &str, value: f64, wanted: f64| {
        let word = if value >= wanted { "reached" } else { "MISSED" };
        println!("{what:<42} {value:>10.2}  wanted >= {wanted:.2} {word}");
    };
    let single = middle(&|r| r.creates[0].rate / r.disk);
    judge("creates, 1 client / disk", single, 0.5);
    let show = |what: &str, value: f64| println!("{what:<42} {value:>10.2}");
    show(
        "floor, 1 client / disk",
        middle(&|r| r.disk_served / r.disk),
    );
    show(
        "creates, 1 client / floor",
        middle(&|r| r.creates[0].rate / r.disk_served),
    );
    let wanted = |r: &Round| REFERENCE_CREATES * r.disk_grouped / REFERENCE_GROUPED;
    let grouped = middle(&|r| r.creates[2].rate / wanted(r));
    judge("creates, 64 clients / scaled reference", grouped, 1.0);
    let batched = middle(&|r| r.batches[1].rate / r.store_batches[1]);
    judge("batches over HTTPS, 4 clients / store", batched, 0.5);
    judge("import / 150,000 a second", import / IMPORT_WANTED, 1.0);
}

/// Fails unless the node said that all is well.
fn expect_code(found: i32, wanted: i32, what: &str) -> Result<()> {
    ensure!(
        found == wanted,
        "{what}: the node says {found} and not {wanted}"
    );
    Ok(())
}
