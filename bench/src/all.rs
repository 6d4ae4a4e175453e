//! `bench all`: starts everyone, measures in turns, prints one table.

use std::fs::File;
use std::io::{Write, sink};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::dialect::{Dialect, Dns, Echo, Exactness, Fixed, Handles, Json, Redis};
use crate::load::{Draw, Law, StreamShape};
use crate::machine;
use crate::round::{Facts, NODE, Plan, Row, Shape, measure, report, targets};
use crate::server::{self, Node, NodeSetup, Server, Setting};
use crate::{ECHO_LEN, corpus};

/// Load of the machine above which figures deserve a warning.
const LOAD_MAX: f64 = 0.5;

#[derive(clap::Args)]
pub struct AllArgs {
    /// The node's program
    #[arg(long, default_value = "../target/release/guantong")]
    node: PathBuf,
    /// Records that everyone has
    #[arg(long, default_value_t = 100_000)]
    records: u32,
    /// How records are chosen: uniform or zipf
    #[arg(long, default_value = "uniform")]
    law: Law,
    /// How often each is measured
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 2.0)]
    time: f64,
    /// A short look: one round of a third of a second, which proves nothing
    #[arg(long)]
    quick: bool,
    /// Only rows whose group begins so, such as udp
    #[arg(long)]
    only: Option<String>,
    /// UDP: questions in flight, at most 192
    #[arg(long, default_value_t = 64)]
    window: usize,
    /// A Handle.Net server of your own that has the records: native protocol
    #[arg(long)]
    handle_net: Option<SocketAddr>,
    /// The same: HTTP
    #[arg(long)]
    handle_net_http: Option<SocketAddr>,
    /// Core of the client
    #[arg(long, default_value_t = 0)]
    client_core: usize,
    /// Core of whoever is measured
    #[arg(long, default_value_t = 1)]
    server_core: usize,
    /// Write every measurement into this file, as JSON Lines
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Everyone that is measured, and what they are asked in.
struct Cast {
    handles: Handles,
    foreign: Handles,
    dns: Dns,
    json: Json,
    fixed: Fixed,
    echo: Echo,
    redis: Redis,
}

/// Servers that run.
struct Running {
    udp_echo: Server,
    udp: Server,
    tcp_echo: Server,
    tcp: Server,
    hyper: Server,
    axum: Server,
    nsd: Option<Server>,
    knot: Option<Server>,
    redis: Option<Server>,
    node: Node,
    recursive: Node,
}

/// Measures everyone.
pub fn all(args: &AllArgs) -> Result<()> {
    let folder = scratch_folder()?;
    let result = all_in(args, &folder);
    match &result {
        Ok(()) => std::fs::remove_dir_all(&folder)?,
        Err(_) => eprintln!("what the servers said is in {}", folder.display()),
    }
    result
}

fn all_in(args: &AllArgs, folder: &Path) -> Result<()> {
    let setting = Setting {
        folder: folder.to_owned(),
        records: args.records.clamp(1, corpus::RECORDS_MAX),
        core: args.server_core,
    };
    println!("{}", machine::describe());
    let busy = machine::load_average();
    if busy > LOAD_MAX {
        println!("the machine is busy (load {busy:.2}): ratios are rough, rates say little");
    }
    let cast = Cast::new(setting.records);
    let running = Running::start(&setting, &args.node, &cast)?;
    let draw = Draw::new(args.law, setting.records)?;
    let mut rows = rows(args, &cast, &running);
    if let Some(only) = &args.only {
        rows.retain(|row| row.group.starts_with(only.as_str()));
    }
    let mut log: Box<dyn Write> = match &args.json {
        Some(path) => Box::new(File::create(path).with_context(|| path.display().to_string())?),
        None => Box::new(sink()),
    };
    machine::pin(args.client_core)?;
    let measured = measure(&rows, &draw, plan(args), &mut log)?;
    println!("\n{} records, {:?} draws\n", setting.records, args.law);
    print!("{}", report(&measured));
    println!("\nstart-up and memory of whoever was started");
    for server in running.of_records() {
        println!(
            "{:<16} {:>8.3} s {:>8.0} MB",
            server.name,
            server.start_up.as_secs_f64(),
            machine::resident(server.pid()) as f64 / 1e6
        );
    }
    println!("\nbeside what is wanted: medians of the ratios within each round");
    let node = &running.node.server;
    let facts = Facts {
        records: setting.records,
        start_up_secs: node.start_up.as_secs_f64(),
        resident_mb: machine::resident(node.pid()) as f64 / 1e6,
    };
    print!("{}", targets(&measured, facts));
    Ok(())
}

fn plan(args: &AllArgs) -> Plan {
    // A cache is warm when every record has been asked for: some ten times, drawn evenly.
    let fill = Duration::from_secs_f64(1.0 + f64::from(args.records) / 20_000.0);
    match args.quick {
        true => Plan {
            rounds: 1,
            first_warm_up: fill.min(Duration::from_secs(2)),
            warm_up: Duration::ZERO,
            time: Duration::from_millis(330),
        },
        false => Plan {
            rounds: args.rounds.max(1),
            first_warm_up: fill.min(Duration::from_secs(40)),
            warm_up: Duration::from_millis(300),
            time: Duration::from_secs_f64(args.time),
        },
    }
}

fn scratch_folder() -> Result<PathBuf> {
    let name = format!("guantong-bench-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder)
}

//----------- Cast -----------------------------------------------------------

impl Cast {
    fn new(records: u32) -> Self {
        Self {
            handles: Handles::new(records, Exactness::Octets),
            foreign: Handles::new(records, Exactness::Data),
            dns: Dns::new(records),
            json: Json::new(records),
            fixed: Fixed::new(records),
            echo: Echo::new(records, ECHO_LEN),
            redis: Redis::new(records),
        }
    }
}

impl Running {
    fn start(setting: &Setting, program: &Path, cast: &Cast) -> Result<Self> {
        let floor = |kind, dialect: &dyn Dialect| server::floor(setting, kind, dialect);
        let optional = |program: &str, start: &dyn Fn() -> Result<Server>| {
            if server::is_installed(program) {
                return start().map(Some);
            }
            println!("SKIPPED: {program} is not installed and not measured");
            Ok(None)
        };
        let setup = NodeSetup::authoritative(setting, program, "node")?;
        setup.import(setting.records)?;
        let node = setup.serve(NODE, &cast.handles)?;
        let recursive = NodeSetup::recursive(setting, program, setup.native)?;
        Ok(Self {
            udp_echo: floor("udp-echo", &cast.echo)?,
            udp: floor("udp", &cast.handles)?,
            tcp_echo: floor("tcp-echo", &cast.echo)?,
            tcp: floor("tcp", &cast.handles)?,
            hyper: floor("hyper", &cast.fixed)?,
            axum: floor("axum", &cast.fixed)?,
            nsd: optional("nsd", &|| server::nsd(setting, &cast.dns))?,
            knot: optional("knotd", &|| server::knot(setting, &cast.dns))?,
            redis: optional("redis-server", &|| server::redis(setting))?,
            recursive: recursive.serve("recursive", &cast.handles)?,
            node,
        })
    }

    /// Those that have records, for start-up and memory.
    fn of_records(&self) -> impl Iterator<Item = &Server> {
        let own = [&self.node.server, &self.udp];
        let others = [&self.nsd, &self.knot, &self.redis];
        own.into_iter().chain(others.into_iter().flatten())
    }
}

//----------- Rows -----------------------------------------------------------

fn streams(connections: usize, depth: usize) -> Shape {
    Shape::Streams(StreamShape { connections, depth })
}

/// All rows, those that are compared beside each other.
fn rows<'a>(args: &AllArgs, cast: &'a Cast, running: &Running) -> Vec<Row<'a>> {
    let window = Shape::Datagrams(args.window);
    let (single, piped) = (streams(64, 1), streams(4, 64));
    let mut rows = datagram_rows(cast, running, window);
    rows.extend(foreign(args.handle_net, "udp", &cast.foreign, window));
    rows.extend([
        row("tcp 64x1", "echo", &running.tcp_echo, &cast.echo, single),
        row("tcp 64x1", "floor", &running.tcp, &cast.handles, single),
        row(
            "tcp 64x1",
            NODE,
            &running.node.server,
            &cast.handles,
            single,
        ),
    ]);
    rows.extend(foreign(args.handle_net, "tcp 64x1", &cast.foreign, single));
    rows.extend([
        row("tcp 4x64", "echo", &running.tcp_echo, &cast.echo, piped),
        row("tcp 4x64", "floor", &running.tcp, &cast.handles, piped),
        row("tcp 4x64", NODE, &running.node.server, &cast.handles, piped),
        row("http 64x1", "hyper", &running.hyper, &cast.fixed, single),
        row("http 64x1", "axum", &running.axum, &cast.fixed, single),
        Row {
            address: running.node.http,
            ..row("http 64x1", NODE, &running.node.server, &cast.json, single)
        },
    ]);
    rows.extend(foreign(
        args.handle_net_http,
        "http 64x1",
        &cast.json,
        single,
    ));
    if let Some(redis) = &running.redis {
        let deep = streams(16, 64);
        rows.push(row("redis 64x1", "Redis", redis, &cast.redis, single));
        rows.push(row("redis 16x64", "Redis", redis, &cast.redis, deep));
    }
    rows
}

fn datagram_rows<'a>(cast: &'a Cast, running: &Running, window: Shape) -> Vec<Row<'a>> {
    let (node, recursive) = (&running.node.server, &running.recursive.server);
    let mut rows = vec![
        row("udp", "echo", &running.udp_echo, &cast.echo, window),
        row("udp", "floor", &running.udp, &cast.handles, window),
        row("udp", NODE, node, &cast.handles, window),
        row("udp", "recursive", recursive, &cast.handles, window),
    ];
    for server in [&running.nsd, &running.knot].into_iter().flatten() {
        rows.push(row("udp", &server.name, server, &cast.dns, window));
    }
    rows
}

fn row<'a>(
    group: &'static str,
    name: &str,
    server: &Server,
    dialect: &'a dyn Dialect,
    shape: Shape,
) -> Row<'a> {
    Row {
        group,
        server: name.to_owned(),
        address: server.address,
        pid: Some(server.pid()),
        dialect,
        shape,
    }
}

/// The row of a server that runs already, if there is one.
fn foreign<'a>(
    address: Option<SocketAddr>,
    group: &'static str,
    dialect: &'a dyn Dialect,
    shape: Shape,
) -> Option<Row<'a>> {
    address.map(|address| Row {
        group,
        server: "Handle.Net".to_owned(),
        address,
        pid: None,
        dialect,
        shape,
    })
}
