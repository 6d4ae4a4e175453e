//! Everyone that is measured with one number of records: what they are asked in, the servers
//! themselves, and the rows of the table.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::ECHO_LEN;
use crate::dialect::{Dialect, Dns, Echo, Exactness, Fixed, Handles, Json, Redis};
use crate::load::StreamShape;
use crate::machine;
use crate::round::{AXUM, FLOOR, NODE, Row, Shape, TWO_CORES, TWO_NODES, UDP_TWO, WarmUp, median};
use crate::server::{
    self, HANDLE_NET, HandleNetServer, HandleNetSetup, Node, NodeSetup, Server, Setting,
};

/// How often the node is started, for the median of the time that it takes.
const STARTS: usize = 5;
/// What a server without a cache needs before it is measured for the first time.
const WARM_UP: Duration = Duration::from_secs(1);
/// What Java needs.
pub const WARM_UP_JAVA: Duration = Duration::from_secs(60);

/// A Handle.Net server that runs and has the records.
#[derive(Clone, Copy, Debug, Default)]
pub struct HandleNet {
    /// The native protocol, UDP and TCP.
    pub native: Option<SocketAddr>,
    /// HTTP.
    pub http: Option<SocketAddr>,
    /// Its process, if it runs here.
    pub pid: Option<u32>,
}

/// How long caches need.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// A short look warms nothing up for longer than a moment.
    pub is_quick: bool,
    /// Answers until every record has been asked for.
    pub fill: u64,
}

//----------- Datagrams ------------------------------------------------------

/// What is asked over UDP.
pub struct DatagramCast {
    handles: Handles,
    /// For a server that the user has filled.
    foreign: Option<Handles>,
    dns: Dns,
    echo: Echo,
}

/// Who is asked over UDP, and over TCP where they speak that too.
pub struct DatagramServers {
    echo: Server,
    floor: Server,
    nsd: Option<Server>,
    knot: Option<Server>,
    /// Not asked by datagrams; its memory is compared.
    redis: Option<Server>,
    handle_net: Option<HandleNetServer>,
    /// The node.
    pub node: Node,
    recursive: Node,
    /// Median of some starts of the node.
    pub start_up: Duration,
}

impl DatagramCast {
    /// For so many records, and perhaps a Handle.Net server of the user's.
    pub fn new(records: u32, handle_net: HandleNet) -> Self {
        let foreign = || Handles::new(records, Exactness::Data);
        Self {
            handles: Handles::new(records, Exactness::Octets),
            foreign: handle_net.native.map(|_| foreign()),
            dns: Dns::new(records),
            echo: Echo::new(records, ECHO_LEN),
        }
    }

    /// One that we have filled has the same octets as everybody.
    fn of_handle_net(&self) -> &Handles {
        self.foreign.as_ref().unwrap_or(&self.handles)
    }
}

impl DatagramServers {
    /// Starts all of them, and a Handle.Net server of our own if its jars are in a folder.
    pub fn start(
        setting: &Setting,
        program: &Path,
        jars: Option<&Path>,
        cast: &DatagramCast,
    ) -> Result<Self> {
        let setup = NodeSetup::authoritative(setting, program, "node")?;
        setup.import(setting.records)?;
        let mut node = setup.serve(NODE, &cast.handles)?;
        let mut starts = vec![node.server.start_up.as_secs_f64()];
        for _ in 1..STARTS {
            drop(node);
            node = setup.serve(NODE, &cast.handles)?;
            starts.push(node.server.start_up.as_secs_f64());
        }
        let recursive = NodeSetup::recursive(setting, program, setup.native)?;
        Ok(Self {
            echo: server::floor(setting, "udp-echo", &cast.echo)?,
            floor: server::floor(setting, "udp", &cast.handles)?,
            nsd: optional("nsd", &|| server::nsd(setting, &cast.dns))?,
            knot: optional("knotd", &|| server::knot(setting, &cast.dns))?,
            redis: optional("redis-server", &|| server::redis(setting))?,
            handle_net: jars.map(|jars| handle_net(setting, jars)).transpose()?,
            recursive: recursive.serve("recursive", &cast.handles)?,
            node,
            start_up: Duration::from_secs_f64(median(starts)),
        })
    }

    /// The rows, whose group is called so.
    pub fn rows<'a>(
        &self,
        group: &'static str,
        cast: &'a DatagramCast,
        window: usize,
        handle_net: HandleNet,
        patience: Patience,
    ) -> Vec<Row<'a>> {
        let shape = Shape::Datagrams(window);
        let (node, recursive) = (&self.node.server, &self.recursive.server);
        let mut rows = vec![
            row(group, "echo", &self.echo, &cast.echo, shape),
            row(group, FLOOR, &self.floor, &cast.handles, shape),
            filled(row(group, NODE, node, &cast.handles, shape), patience),
            filled(
                row(group, "recursive", recursive, &cast.handles, shape),
                patience,
            ),
        ];
        for server in [&self.nsd, &self.knot].into_iter().flatten() {
            rows.push(row(group, &server.name, server, &cast.dns, shape));
        }
        if let Some(address) = handle_net.native {
            let dialect = cast.of_handle_net();
            rows.push(foreign(group, address, handle_net, dialect, shape));
        }
        hurried(rows, patience)
    }

    /// The Handle.Net server that we have started; else that of the user, if there is one.
    pub fn handle_net(&self, of_user: HandleNet) -> HandleNet {
        match &self.handle_net {
            Some(ours) => HandleNet {
                native: Some(ours.server.address),
                http: Some(ours.http),
                pid: Some(ours.server.pid()),
            },
            None => of_user,
        }
    }

    /// Those that have records, for start-up and memory.
    pub fn of_records(&self) -> impl Iterator<Item = &Server> {
        let own = [&self.node.server, &self.floor];
        let java = self.handle_net.as_ref().map(|ours| &ours.server);
        let others = [&self.nsd, &self.knot, &self.redis].map(Option::as_ref);
        let others = others.into_iter().chain([java]).flatten();
        own.into_iter().chain(others)
    }
}

//----------- Two cores ------------------------------------------------------

/// Where two cores of the server and two of the clients are.
#[derive(Clone, Copy, Debug)]
pub struct TwoCores {
    /// The clients.
    pub clients: [usize; 2],
    /// The server.
    pub servers: [usize; 2],
    /// Whether they are four different ones.
    pub are_apart: bool,
}

/// The nodes that show what two cores are worth, beside the one with one.
pub struct TwoCoreNodes {
    two: Node,
    /// One with the core of the first client.
    other: Option<Node>,
}

impl TwoCores {
    /// Four different cores where there are so many. Else both share two.
    pub fn new(client: usize, server: usize) -> Self {
        let mut others = (0..machine::cores()).filter(|core| ![client, server].contains(core));
        match (others.next(), others.next()) {
            (Some(one), Some(two)) => Self {
                clients: [client, one],
                servers: [server, two],
                are_apart: true,
            },
            _ => Self {
                clients: [client, server],
                servers: [client, server],
                are_apart: false,
            },
        }
    }

    /// A node with two cores; and where clients share these, one more with the other core alone.
    pub fn start(
        self,
        setting: &Setting,
        program: &Path,
        cast: &DatagramCast,
    ) -> Result<TwoCoreNodes> {
        let start = |folder: &str, name: &str, cores: &[usize]| -> Result<Node> {
            let setup = NodeSetup::authoritative(setting, program, folder)?.on_cores(cores)?;
            setup.import(setting.records)?;
            setup.serve(name, &cast.handles)
        };
        let other = || start("other", TWO_NODES, &self.clients[..1]);
        Ok(TwoCoreNodes {
            two: start("two", TWO_CORES, &self.servers)?,
            other: (!self.are_apart).then(other).transpose()?,
        })
    }

    /// The node with one core, the one with two, and two with one, asked by the same clients.
    pub fn rows<'a>(
        &'a self,
        cast: &'a DatagramCast,
        one: &Node,
        nodes: &'a TwoCoreNodes,
        patience: Patience,
    ) -> Vec<Row<'a>> {
        let other = nodes.other.as_ref().map(|other| &other.server);
        let mut all = vec![(NODE, one, None), (TWO_CORES, &nodes.two, None)];
        all.extend(other.map(|_| (TWO_NODES, one, other)));
        let rows = all.into_iter().map(|(name, node, besides)| {
            let shape = Shape::Fleet(&self.clients, besides);
            let row = row(UDP_TWO, name, &node.server, &cast.handles, shape);
            filled(row, patience)
        });
        hurried(rows.collect(), patience)
    }
}

//----------- Streams --------------------------------------------------------

/// What is asked over connections, beside what is asked over UDP too.
pub struct StreamCast {
    json: Json,
    fixed: Fixed,
    redis: Redis,
}

/// Who is asked over connections only.
pub struct StreamServers {
    echo: Server,
    floor: Server,
    epoll: Server,
    hyper: Server,
    axum: Server,
}

impl StreamCast {
    /// For so many records.
    pub fn new(records: u32) -> Self {
        Self {
            json: Json::new(records),
            fixed: Fixed::new(records),
            redis: Redis::new(records),
        }
    }
}

impl StreamServers {
    /// Starts all of them.
    pub fn start(setting: &Setting, cast: &StreamCast, other: &DatagramCast) -> Result<Self> {
        let floor = |kind, dialect: &dyn Dialect| server::floor(setting, kind, dialect);
        Ok(Self {
            echo: floor("tcp-echo", &other.echo)?,
            floor: floor("tcp", &other.handles)?,
            epoll: floor("http", &cast.fixed)?,
            hyper: floor("hyper", &cast.fixed)?,
            axum: floor("axum", &cast.fixed)?,
        })
    }

    /// The rows.
    pub fn rows<'a>(
        &self,
        cast: &'a StreamCast,
        other: &'a DatagramCast,
        servers: &DatagramServers,
        handle_net: HandleNet,
        patience: Patience,
    ) -> Vec<Row<'a>> {
        let (single, piped) = (streams(64, 1), streams(4, 64));
        let node = &servers.node.server;
        let mut rows = Vec::new();
        for (group, shape) in [("tcp 64x1", single), ("tcp 4x64", piped)] {
            rows.push(row(group, "echo", &self.echo, &other.echo, shape));
            rows.push(row(group, FLOOR, &self.floor, &other.handles, shape));
            rows.push(row(group, NODE, node, &other.handles, shape));
        }
        if let Some(address) = handle_net.native {
            let dialect = other.of_handle_net();
            rows.push(foreign("tcp 64x1", address, handle_net, dialect, single));
        }
        let group = "http 64x1";
        rows.push(row(group, "epoll", &self.epoll, &cast.fixed, single));
        rows.push(row(group, "hyper", &self.hyper, &cast.fixed, single));
        rows.push(row(group, AXUM, &self.axum, &cast.fixed, single));
        rows.push(Row {
            address: servers.node.http,
            ..row(group, NODE, node, &cast.json, single)
        });
        if let Some(address) = handle_net.http {
            rows.push(foreign(group, address, handle_net, &cast.json, single));
        }
        if let Some(redis) = &servers.redis {
            let deep = streams(16, 64);
            rows.push(row("redis 64x1", "Redis", redis, &cast.redis, single));
            rows.push(row("redis 16x64", "Redis", redis, &cast.redis, deep));
        }
        hurried(rows, patience)
    }
}

//----------- Rows -----------------------------------------------------------

/// A server that is measured if it is installed.
fn optional(program: &str, start: &dyn Fn() -> Result<Server>) -> Result<Option<Server>> {
    if server::is_installed(program) {
        return start().map(Some);
    }
    println!("SKIPPED: {program} is not installed and not measured");
    Ok(None)
}

/// A Handle.Net server that has the records.
fn handle_net(setting: &Setting, jars: &Path) -> Result<HandleNetServer> {
    let filled = || {
        let setup = HandleNetSetup::new(setting, jars)?;
        setup.fill(setting.records)?;
        setup.serve()
    };
    filled().context(HANDLE_NET)
}

/// Connections with so many questions on their way on each.
pub fn streams(connections: usize, depth: usize) -> Shape<'static> {
    Shape::Streams(StreamShape { connections, depth })
}

/// A row of a server that we have started.
pub fn row<'a>(
    group: &'static str,
    name: &str,
    server: &Server,
    dialect: &'a dyn Dialect,
    shape: Shape<'a>,
) -> Row<'a> {
    Row {
        group,
        server: name.to_owned(),
        address: server.address,
        pid: Some(server.pid()),
        dialect,
        shape,
        draw: None,
        first: WarmUp::lasting(WARM_UP),
    }
}

/// A row of a server that has to fill a cache first.
pub fn filled(row: Row<'_>, patience: Patience) -> Row<'_> {
    Row {
        first: WarmUp {
            time: WARM_UP,
            answers: patience.fill,
        },
        ..row
    }
}

/// The row of a server that runs already.
fn foreign<'a>(
    group: &'static str,
    address: SocketAddr,
    handle_net: HandleNet,
    dialect: &'a dyn Dialect,
    shape: Shape<'a>,
) -> Row<'a> {
    Row {
        group,
        server: HANDLE_NET.to_owned(),
        address,
        pid: handle_net.pid,
        dialect,
        shape,
        draw: None,
        first: WarmUp::lasting(WARM_UP_JAVA),
    }
}

/// The rows; for a short look none of them waits until a cache is full.
pub fn hurried(mut rows: Vec<Row<'_>>, patience: Patience) -> Vec<Row<'_>> {
    if patience.is_quick {
        for row in &mut rows {
            row.first = WarmUp::lasting(WARM_UP);
        }
    }
    rows
}
