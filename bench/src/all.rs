//! `bench all`: starts everyone, measures in turns, prints one table.

use std::fs::File;
use std::io::{Write, sink};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cast::{
    DatagramCast, DatagramServers, HandleNet, Patience, StreamCast, StreamServers, TwoCores,
};
use crate::load::{Draw, Law};
use crate::round::{
    FLOOR, Facts, Measurement, NODE, Plan, Row, UDP, UDP_MANY, measure, report, targets,
};
use crate::server::{HandleNetArgs, Setting};
use crate::{corpus, machine};

/// Load of the machine above which figures deserve a warning.
const LOAD_MAX: f64 = 0.5;
/// Questions for each record that fill a cache: drawn evenly, they leave one record in a thousand
/// out.
pub(crate) const FILL: u64 = 7;

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
    /// Records of the second half, which is UDP only; 0 leaves it out
    #[arg(long, default_value_t = 1_000_000)]
    many: u32,
    #[command(flatten)]
    own_handle_net: HandleNetArgs,
    /// A Handle.Net server of your own that has the records: native protocol
    #[arg(long, conflicts_with_all = ["handle_net_jars", "no_handle_net"])]
    handle_net: Option<SocketAddr>,
    /// The same: HTTP
    #[arg(long, conflicts_with_all = ["handle_net_jars", "no_handle_net"])]
    handle_net_http: Option<SocketAddr>,
    /// The same: its process, if it runs here, for its processor time
    #[arg(long)]
    handle_net_pid: Option<u32>,
    /// It has the records of the second half too
    #[arg(long)]
    handle_net_many: bool,
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

/// What one half of the run gave.
#[derive(Default)]
struct Half {
    measured: Vec<Measurement>,
    facts: Vec<Fact>,
}

/// Start-up and memory of a server.
struct Fact {
    server: String,
    records: u32,
    start_up_secs: f64,
    resident: u64,
}

/// Measures everyone.
pub fn all(args: &AllArgs) -> Result<()> {
    in_scratch_folder(|folder| all_in(args, folder))
}

/// Does something in a temporary folder that stays only if it fails.
pub(crate) fn in_scratch_folder(act: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let folder = scratch_folder()?;
    let result = act(&folder);
    match &result {
        Ok(()) => std::fs::remove_dir_all(&folder)?,
        Err(_) => eprintln!("what the servers said is in {}", folder.display()),
    }
    result
}

fn all_in(args: &AllArgs, folder: &Path) -> Result<()> {
    let mut log = begin(args.json.as_deref())?;
    let jars = args.jars()?;
    let mut all = few(args, folder, jars, &mut log)?;
    if args.wants(UDP_MANY) && args.many > 0 {
        let many = many(args, folder, jars, &mut log)?;
        all.measured.extend(many.measured);
        all.facts.extend(many.facts);
    }
    print(args, &all);
    Ok(())
}

/// Says what the machine is and whether it is busy, and opens the file of the measurements.
pub(crate) fn begin(json: Option<&Path>) -> Result<Box<dyn Write>> {
    println!("{}", machine::describe());
    let busy = machine::load_average();
    if busy > LOAD_MAX {
        println!("the machine is busy (load {busy:.2}): ratios are rough, rates say little");
    }
    Ok(match json {
        Some(path) => Box::new(File::create(path).with_context(|| path.display().to_string())?),
        None => Box::new(sink()),
    })
}

/// Everything, with few records.
fn few(args: &AllArgs, folder: &Path, jars: Option<&Path>, log: &mut dyn Write) -> Result<Half> {
    let setting = args.setting(folder, "few", args.records)?;
    let (of_user, patience) = (args.handle_net(), args.patience(setting.records));
    let cast = DatagramCast::new(setting.records, of_user);
    let stream_cast = StreamCast::new(setting.records);
    let servers = DatagramServers::start(&setting, &args.node, jars, &cast)?;
    let handle_net = servers.handle_net(of_user);
    let streams = StreamServers::start(&setting, &stream_cast, &cast)?;
    let two_cores = TwoCores::new(args.client_core, args.server_core);
    let two = two_cores.start(&setting, &args.node, &cast)?;
    let mut rows = servers.rows(UDP, &cast, args.window, handle_net, patience);
    rows.extend(two_cores.rows(&cast, &servers.node, &two, patience));
    rows.extend(streams.rows(&stream_cast, &cast, &servers, handle_net, patience));
    args.half(rows, setting.records, &servers, log)
}

/// Datagrams only, with many records: caches of the processor no longer hold everything.
fn many(args: &AllArgs, folder: &Path, jars: Option<&Path>, log: &mut dyn Write) -> Result<Half> {
    let setting = args.setting(folder, "many", args.many)?;
    let of_user = match args.handle_net_many {
        true => args.handle_net(),
        false => HandleNet::default(),
    };
    let patience = args.patience(setting.records);
    let cast = DatagramCast::new(setting.records, of_user);
    let servers = DatagramServers::start(&setting, &args.node, jars, &cast)?;
    let handle_net = servers.handle_net(of_user);
    let rows = servers.rows(UDP_MANY, &cast, args.window, handle_net, patience);
    args.half(rows, setting.records, &servers, log)
}

impl AllArgs {
    fn setting(&self, folder: &Path, name: &str, records: u32) -> Result<Setting> {
        let folder = folder.join(name);
        std::fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        Ok(Setting {
            folder,
            records: records.clamp(1, corpus::RECORDS_MAX),
            core: self.server_core,
        })
    }

    fn wants(&self, group: &str) -> bool {
        self.only
            .as_ref()
            .is_none_or(|only| group.starts_with(only))
    }

    /// Where the jars of the Handle.Net server are that is to be started.
    fn jars(&self) -> Result<Option<&Path>> {
        match self.handle_net.or(self.handle_net_http) {
            Some(_) => Ok(None),
            None => self.own_handle_net.jars(),
        }
    }

    /// The server of the user.
    fn handle_net(&self) -> HandleNet {
        HandleNet {
            native: self.handle_net,
            http: self.handle_net_http,
            pid: self.handle_net_pid,
        }
    }

    fn patience(&self, records: u32) -> Patience {
        Patience {
            is_quick: self.quick,
            fill: FILL * u64::from(records),
        }
    }

    fn plan(&self) -> Plan {
        match self.quick {
            true => Plan::QUICK,
            false => Plan::new(self.rounds, self.time),
        }
    }

    fn half(
        &self,
        mut rows: Vec<Row<'_>>,
        records: u32,
        servers: &DatagramServers,
        log: &mut dyn Write,
    ) -> Result<Half> {
        rows.retain(|row| self.wants(row.group));
        let draw = Draw::new(self.law, records)?;
        // What is started afterwards is not to be kept to this core.
        let measured =
            machine::while_pinned(self.client_core, || measure(&rows, &draw, self.plan(), log))?;
        for server in servers.of_records() {
            server.expect_on_its_cores()?;
        }
        let facts = servers.of_records().map(|server| Fact {
            server: match server.name.as_str() {
                "udp" => FLOOR.to_owned(),
                name => name.to_owned(),
            },
            records,
            start_up_secs: match server.name.as_str() {
                NODE => servers.start_up.as_secs_f64(),
                _ => server.start_up.as_secs_f64(),
            },
            resident: machine::resident(server.pid()),
        });
        Ok(Half {
            measured,
            facts: facts.collect(),
        })
    }
}

fn scratch_folder() -> Result<PathBuf> {
    let name = format!("guantong-bench-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder)
}

//----------- Output ---------------------------------------------------------

fn print(args: &AllArgs, all: &Half) {
    println!(
        "\n{} records, {:?} draws; {UDP_MANY}: {}\n",
        args.records, args.law, args.many
    );
    print!("{}", report(&all.measured));
    println!("\nstart-up and memory of those that have records, after all rounds");
    for fact in &all.facts {
        println!(
            "{:<11} {:>9} records {:>8.3} s {:>6.0} MB{}",
            fact.server,
            fact.records,
            fact.start_up_secs,
            fact.resident as f64 / 1e6,
            per_record(&all.facts, fact)
        );
    }
    println!("\nbeside what is wanted: medians of the ratios within each round");
    let is_node = |fact: &&Fact| fact.server == NODE && fact.records == args.records;
    let node = all.facts.iter().find(is_node);
    let facts = Facts {
        records: args.records,
        many: args.many,
        start_up_secs: node.map_or(f64::NAN, |node| node.start_up_secs),
        are_cores_apart: TwoCores::new(args.client_core, args.server_core).are_apart,
    };
    print!("{}", targets(&all.measured, facts));
}

/// What each record more takes: the difference between many and few, so that what a program takes
/// by itself is not in it.
fn per_record(all: &[Fact], fact: &Fact) -> String {
    let is_fewer = |one: &&Fact| one.server == fact.server && one.records < fact.records;
    let Some(fewer) = all.iter().find(is_fewer) else {
        return String::new();
    };
    let octets = fact.resident as f64 - fewer.resident as f64;
    let each = octets / f64::from(fact.records - fewer.records);
    format!(", {each:.0} octets for each record more")
}
