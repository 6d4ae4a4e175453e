//! `bench growth`: how a node's answers grow with records, their lengths, values per record,
//! connections and cores.
//!
//! Each part starts nodes of its own in a temporary folder, measures them in turns as `bench all`
//! does, and ends them before the next part begins. Everything stands in one table. There is
//! nothing to compare with here: the floors and other servers are in `bench all`.

mod connections;
mod cores;
mod lengths;
mod records;
mod table;
mod values;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::all::{FILL, begin, in_scratch_folder};
use crate::cast::{Patience, filled, hurried};
use crate::corpus::RECORDS_MAX;
use crate::load::{Draw, Law};
use crate::machine;
use crate::round::{Measurement, Plan, Row, measure};
use crate::server::{Server, Setting};
use table::Table;

#[derive(clap::Args)]
pub struct GrowthArgs {
    /// The node's program
    #[arg(long, default_value = "../target/release/guantong")]
    node: PathBuf,
    /// What grows
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Part::ALL)]
    parts: Vec<Part>,
    /// One more number of records, besides 1,000 to 1,000,000
    #[arg(long)]
    many: Option<u32>,
    /// Records, where connections or cores grow
    #[arg(long, default_value_t = 100_000)]
    records: u32,
    /// How often each is measured
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 2.0)]
    time: f64,
    /// A short look: one round of a third of a second, which proves nothing
    #[arg(long)]
    quick: bool,
    /// Core of the client
    #[arg(long, default_value_t = 0)]
    client_core: usize,
    /// Core of the node
    #[arg(long, default_value_t = 1)]
    server_core: usize,
    /// Write every measurement into this file, as JSON Lines
    #[arg(long)]
    json: Option<PathBuf>,
}

/// What grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Records, asked for over UDP
    Records,
    /// Lengths that answers have, over UDP
    Lengths,
    /// Values of each record, over TCP and HTTP
    Values,
    /// Connections, over TCP and HTTP
    Connections,
    /// Cores of the node, over UDP
    Cores,
}

impl Part {
    const ALL: [Self; 5] = [
        Self::Records,
        Self::Lengths,
        Self::Values,
        Self::Connections,
        Self::Cores,
    ];
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

//----------- Bench ----------------------------------------------------------

/// What all parts share.
struct Bench<'a> {
    args: &'a GrowthArgs,
    folder: &'a Path,
    log: Box<dyn Write>,
    table: Table,
}

/// Measures how a node grows. Fails, behind the table, if a single answer was wrong or missing.
pub fn growth(args: &GrowthArgs) -> Result<()> {
    for records in [Some(args.records), args.many].into_iter().flatten() {
        ensure!(
            (1..=RECORDS_MAX).contains(&records),
            "there may be 1 to {RECORDS_MAX} records"
        );
    }
    in_scratch_folder(|folder| {
        let mut bench = Bench {
            args,
            folder,
            log: begin(args.json.as_deref())?,
            table: Table::default(),
        };
        for part in &args.parts {
            eprintln!("{part}");
            match part {
                Part::Records => bench.records()?,
                Part::Lengths => bench.lengths()?,
                Part::Values => bench.values()?,
                Part::Connections => bench.connections()?,
                Part::Cores => bench.cores()?,
            }
        }
        print!("\n{}", bench.table);
        let invalid = bench.table.invalid();
        ensure!(invalid == 0, "{invalid} rows are invalid: see their errors");
        Ok(())
    })
}

impl Bench<'_> {
    /// A folder for one node, which has so many records.
    fn setting(&self, name: &str, records: u32) -> Result<Setting> {
        let folder = self.folder.join(name);
        std::fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        Ok(Setting {
            folder,
            records,
            core: self.args.server_core,
        })
    }

    /// A row of a node whose cache has yet to be filled with so many records.
    fn filled<'r>(&self, row: Row<'r>, records: u32) -> Row<'r> {
        filled(row, self.patience(records))
    }

    fn patience(&self, records: u32) -> Patience {
        Patience {
            is_quick: self.args.quick,
            fill: FILL * u64::from(records),
        }
    }

    /// Measures rows in turns; they are asked for as many records, where they do not say others.
    fn measure(&mut self, rows: Vec<Row<'_>>, records: u32) -> Result<Vec<Measurement>> {
        let rows = hurried(rows, self.patience(records));
        let draw = Draw::new(Law::Uniform, records)?;
        let plan = match self.args.quick {
            true => Plan::QUICK,
            false => Plan::new(self.args.rounds, self.args.time),
        };
        let log = &mut self.log;
        // What is started afterwards is not to be kept to this core.
        machine::while_pinned(self.args.client_core, || measure(&rows, &draw, plan, log))
    }

    /// The memory of a node, in octets, behind its rounds; into the file of the measurements too.
    fn memory(&mut self, part: Part, of: &str, server: &Server) -> Result<u64> {
        server.expect_on_its_cores()?;
        let octets = machine::resident(server.pid());
        let line = serde_json::json!({"part": part.to_string(), "of": of, "resident": octets});
        writeln!(self.log, "{line}")?;
        Ok(octets)
    }
}
