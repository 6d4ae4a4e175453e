//! `bench`: measures a node beside the machine's own limit and beside other servers.
//!
//! Arguments come in here; each command is a module. What is measured and why is in README.md, the
//! results are in docs/performance.md.

mod all;
mod cast;
mod corpus;
mod dialect;
mod enterprise;
mod floor;
mod growth;
mod instructions;
mod load;
mod machine;
mod round;
mod scale;
mod server;
mod tls;
mod web;
mod write;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand, ValueEnum};

use dialect::{Dialect, Exactness};
use load::{Draw, Law, Load, Stream, StreamShape};
use server::Turns;

#[derive(Parser)]
#[command(
    name = "bench",
    about = "Measures a node beside the machine's own limit"
)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure a node, the floors and other servers in turns, and print one table
    All(all::AllArgs),
    /// Measure how a node grows with records, values per record, connections and cores
    Growth(growth::GrowthArgs),
    /// Measure durable creates, and what it costs to know who asks
    Writes(write::WriteArgs),
    /// Measure many records, prefixes and connections, in a folder that is kept
    Scale(scale::ScaleArgs),
    /// Measure one enterprise node with many identifiers, in a folder that is kept
    Enterprise(enterprise::EnterpriseArgs),
    /// Count the instructions of an answer and compare them with the figures of the repository
    Instructions(instructions::InstructionArgs),
    /// Answer from memory and do nothing else; what `instructions` runs below valgrind
    #[command(hide = true)]
    Answers(instructions::AnswerArgs),
    /// Ask a server and check every answer
    Load(LoadArgs),
    /// Be the least that a server can be, until the process is ended
    Floor(FloorArgs),
    /// Write the records to standard output
    Records(RecordsArgs),
}

//----------- load -----------------------------------------------------------

#[derive(clap::Args)]
struct LoadArgs {
    /// Protocol
    #[arg(value_enum)]
    protocol: Protocol,
    /// Address of the server
    address: SocketAddr,
    /// Records that the server has, numbered from 0
    #[arg(long, default_value_t = 100_000)]
    records: u32,
    /// How records are chosen: uniform or zipf
    #[arg(long, default_value = "uniform")]
    law: Law,
    /// UDP: questions in flight, at most 192
    #[arg(long, default_value_t = 64)]
    window: usize,
    /// Streams: connections
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Streams: questions on their way on each connection
    #[arg(long, default_value_t = 1)]
    depth: usize,
    /// Seconds before counting begins
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// Seconds that are counted
    #[arg(long, default_value_t = 5.0)]
    time: f64,
    /// Core of the client
    #[arg(long, default_value_t = 0)]
    core: usize,
    /// Compare types and data only, as for servers that set timestamps
    #[arg(long)]
    data_only: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Protocol {
    /// Native protocol, datagrams
    Udp,
    /// Native protocol, connections
    Tcp,
    /// JSON API over HTTP/1.1
    Http,
    /// TXT records of the DNS, datagrams
    Dns,
    /// GET of Redis
    Redis,
    /// Datagrams that come back
    UdpEcho,
    /// Octets that come back
    TcpEcho,
    /// HTTP/1.1 with always the same answer
    Fixed,
}

/// Length of an echo: that of an answer.
pub(crate) const ECHO_LEN: usize = 350;

fn load(args: &LoadArgs) -> Result<()> {
    ensure!(
        (1..=corpus::RECORDS_MAX).contains(&args.records),
        "there may be 1 to {} records",
        corpus::RECORDS_MAX
    );
    let draw = Draw::new(args.law, args.records)?;
    let exactness = match args.data_only {
        true => Exactness::Data,
        false => Exactness::Octets,
    };
    let dialect: Box<dyn Dialect> = match args.protocol {
        Protocol::Udp | Protocol::Tcp => Box::new(dialect::Handles::new(args.records, exactness)),
        Protocol::Http => Box::new(dialect::Json::new(args.records)),
        Protocol::Dns => Box::new(dialect::Dns::new(args.records)),
        Protocol::Redis => Box::new(dialect::Redis::new(args.records)),
        Protocol::UdpEcho | Protocol::TcpEcho => {
            Box::new(dialect::Echo::new(args.records, ECHO_LEN))
        }
        Protocol::Fixed => Box::new(dialect::Fixed::new(args.records)),
    };
    machine::pin(args.core)?;
    let mut client: Box<dyn Load + '_> = match args.protocol {
        Protocol::Udp | Protocol::Dns | Protocol::UdpEcho => {
            let client = load::Udp::new(dialect.as_ref(), draw, args.address, args.window)?;
            Box::new(client)
        }
        _ => {
            let shape = StreamShape {
                connections: args.connections,
                depth: args.depth,
            };
            Box::new(Stream::new(dialect.as_ref(), draw, args.address, shape)?)
        }
    };
    client.run(Duration::from_secs_f64(args.warm_up))?;
    let mut tally = client.run(Duration::from_secs_f64(args.time))?;
    client.settle(&mut tally)?;
    println!(
        "{:.0} answers a second; latency {:.0} us (mean), {:.0} us (p50), {:.0} us (p99), \
         {:.0} us (p99.9)",
        tally.rate(),
        tally.mean_us(),
        tally.latency_us(0.5),
        tally.latency_us(0.99),
        tally.latency_us(0.999)
    );
    println!(
        "{} right, {} wrong, {} given up, {} unasked, {} connections broken",
        tally.answers, tally.wrong, tally.timeouts, tally.strays, tally.broken
    );
    ensure!(tally.answers > 0, "there was no right answer");
    Ok(())
}

//----------- floor ----------------------------------------------------------

#[derive(clap::Args)]
struct FloorArgs {
    /// Which one
    #[arg(value_enum)]
    kind: Floor,
    /// Where it listens
    #[arg(long, default_value = "127.0.0.1:2641")]
    listen: SocketAddr,
    /// Records that it has
    #[arg(long, default_value_t = 100_000)]
    records: u32,
    /// Core that it keeps to
    #[arg(long)]
    core: Option<usize>,
    /// How it has its turns on a core that others use
    #[arg(long, value_enum, default_value_t = Turns::Common)]
    turns: Turns,
}

#[derive(Clone, Copy, ValueEnum)]
enum Floor {
    /// Datagrams come back
    UdpEcho,
    /// One look-up in memory and a full answer, over UDP
    Udp,
    /// Octets come back
    TcpEcho,
    /// One look-up in memory and a full answer, over TCP
    Tcp,
    /// Always the same text over HTTP/1.1, written by hand
    Http,
    /// A handler that gives always the same text, in axum
    Axum,
    /// The same in hyper
    Hyper,
}

fn floor(args: &FloorArgs) -> Result<()> {
    if let Some(core) = args.core {
        machine::pin(core)?;
    }
    match args.turns {
        Turns::Common => {}
        Turns::Short => guantong_sched::ask_for_slices(Turns::SLICE)?,
        Turns::First => machine::precede(),
    }
    match args.kind {
        Floor::UdpEcho => floor::udp_echo(args.listen),
        Floor::Udp => floor::udp(args.listen, args.records),
        Floor::TcpEcho => floor::tcp_echo(args.listen),
        Floor::Tcp => floor::tcp(args.listen, args.records),
        Floor::Http => floor::http(args.listen),
        Floor::Axum => floor::axum(args.listen),
        Floor::Hyper => floor::hyper(args.listen),
    }
}

//----------- records --------------------------------------------------------

#[derive(clap::Args)]
struct RecordsArgs {
    /// How many
    #[arg(default_value_t = 100_000)]
    records: u32,
    /// In which form
    #[arg(long, value_enum, default_value_t = Form::Json)]
    form: Form,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    /// JSON Lines, for `guantong import`
    Json,
    /// Commands of a Handle.Net batch file; put your AUTHENTICATE in front
    Batch,
}

fn records(args: &RecordsArgs) -> Result<()> {
    use std::io::Write;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for n in 0..args.records {
        match args.form {
            Form::Json => writeln!(out, "{}", corpus::json_line(n))?,
            Form::Batch => out.write_all(corpus::batch_lines(n).as_bytes())?,
        }
    }
    Ok(out.flush()?)
}

fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::All(args) => all::all(&args),
        Command::Growth(args) => growth::growth(&args),
        Command::Writes(args) => write::writes(&args),
        Command::Scale(args) => scale::scale(&args),
        Command::Enterprise(args) => enterprise::enterprise(&args),
        Command::Instructions(args) => instructions::instructions(&args),
        Command::Answers(args) => instructions::answers(&args),
        Command::Load(args) => load(&args),
        Command::Floor(args) => floor(&args),
        Command::Records(args) => records(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
