//! `bench scale`: a node with more records, prefixes and connections than it is usually asked for.
//!
//! Everything happens in one folder that is kept, in steps that can be repeated one by one: a store
//! of a hundred million records is imported once and measured often. Each step prints its rows;
//! the verdicts stand together at the end.

mod busy;
mod cold;
mod crowd;
mod disk;
mod feed;
mod homes;
mod life;
mod paced;
mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::corpus;
use crate::machine;
use crate::server::NodeSetup;
use table::Table;

/// Octets that stay free on the disk, whatever is measured: a full disk would stop others too.
const FREE_OCTETS_MIN: u64 = 15 << 30;
/// Octets of the store for each record, to judge beforehand whether they fit.
const RECORD_OCTETS: u64 = 160;

#[derive(clap::Args)]
pub struct ScaleArgs {
    /// The node's program
    #[arg(long, default_value = "../target/release/guantong")]
    node: PathBuf,
    /// Folder for the data. It is kept, and what is in it already is used again
    #[arg(long)]
    folder: PathBuf,
    /// Records
    #[arg(long, default_value_t = 1_000_000)]
    records: u32,
    /// What to measure, in this order
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Step::ALL)]
    steps: Vec<Step>,
    /// Records that are imported in random order; each order has a store of its own
    #[arg(long, default_value_t = 1_000_000)]
    shuffled: u32,
    /// Memory of the store while it is read: the setting `store.memory`
    #[arg(long, default_value = "256MiB")]
    memory: String,
    /// Folder of a memory cgroup with a limit, into which the node is put while it reads from the
    /// disk. Without it the memory of the system is emptied of the store's files all the time
    #[arg(long)]
    memory_group: Option<PathBuf>,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 3.0)]
    time: f64,
    /// Rounds of what is compared with the disk
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Reads of the disk at a time
    #[arg(long, default_value_t = 32)]
    depth: usize,
    /// Prefixes that are homed
    #[arg(long, default_value_t = 10_000)]
    prefixes: u32,
    /// Idle connections
    #[arg(long, default_value_t = 10_000)]
    idle: usize,
    /// Busy connections beside them
    #[arg(long, default_value_t = 2_000)]
    busy: usize,
}

/// One part of the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Step {
    /// Import the records in the order of their names, unless they are there
    Import,
    /// Import other records in random order, sorted by the command and not, into stores that are
    /// removed again
    Shuffled,
    /// Answer from the disk
    Serve,
    /// List all names, page by page
    List,
    /// Back up the node while it answers, and restore the backup
    Backup,
    /// Start, and check the store
    Restart,
    /// Home many prefixes
    Homes,
    /// Hold many connections
    Connections,
    /// Import and create while answering
    Busy,
}

impl Step {
    const ALL: [Self; 9] = [
        Self::Import,
        Self::Shuffled,
        Self::Serve,
        Self::List,
        Self::Backup,
        Self::Restart,
        Self::Homes,
        Self::Connections,
        Self::Busy,
    ];
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

//----------- Bench ----------------------------------------------------------

/// The node that is measured, and for how long.
struct Bench<'a> {
    args: &'a ScaleArgs,
    setup: NodeSetup,
    time: Duration,
    table: Table,
}

/// Measures a node at scale.
pub fn scale(args: &ScaleArgs) -> Result<()> {
    ensure!(
        (1..=corpus::RECORDS_MAX).contains(&args.records),
        "there may be 1 to {} records",
        corpus::RECORDS_MAX
    );
    fs::create_dir_all(&args.folder).with_context(|| args.folder.display().to_string())?;
    println!("{}", machine::describe());
    let setup = NodeSetup::kept(&args.folder.join("node"), &args.node)?;
    setup.set("memory", &format!("\"{}\"", args.memory))?;
    let mut bench = Bench {
        args,
        setup,
        time: Duration::from_secs_f64(args.time),
        table: Table::default(),
    };
    for &step in &args.steps {
        let load = machine::load_average();
        bench
            .table
            .begin(&format!("{step}, load average {load:.1}"));
        match step {
            Step::Import => bench.import()?,
            Step::Shuffled => bench.shuffled()?,
            Step::Serve => bench.serve()?,
            Step::List => bench.list()?,
            Step::Backup => bench.backup()?,
            Step::Restart => bench.restart()?,
            Step::Homes => bench.homes()?,
            Step::Connections => bench.connections()?,
            Step::Busy => bench.busy()?,
        }
    }
    bench.table.conclude();
    Ok(())
}

impl Bench<'_> {
    /// Fails unless the records are there that are to be read.
    fn expect_records(&self) -> Result<()> {
        let found = imported(&self.args.folder)?;
        ensure!(
            found == Some(self.args.records),
            "the folder holds {} records: give --records with that number, or the step import",
            found.unwrap_or(0)
        );
        Ok(())
    }

    /// Fails if so many octets more would fill the disk.
    fn expect_room(&self, octets: u64) -> Result<()> {
        let free = machine::free_octets(&self.args.folder)?;
        ensure!(
            free >= octets + FREE_OCTETS_MIN,
            "{} GB are free, {} GB would be needed and {} GB are to stay free",
            free >> 30,
            octets >> 30,
            FREE_OCTETS_MIN >> 30
        );
        Ok(())
    }
}

/// How many records an earlier run has imported into a folder, if it came to its end.
pub(crate) fn imported(folder: &Path) -> Result<Option<u32>> {
    match fs::read_to_string(folder.join("records")) {
        Ok(text) => Ok(Some(text.trim().parse()?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Notes that so many records are in a folder.
pub(crate) fn note_imported(folder: &Path, records: u32) -> Result<()> {
    Ok(fs::write(folder.join("records"), records.to_string())?)
}
