//! The floors, as processes of their own.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;

use super::{Server, Setting, answers_datagram, free_port, local, takes_connections};
use crate::dialect::{Dialect, Numbers};
use crate::machine;

/// How a floor has its turns on a core that others use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Turns {
    /// As all programs
    Common,
    /// Short ones, as a node
    Short,
    /// Before everybody else, as only the administrator of a machine can have it
    First,
}

impl Turns {
    /// The slices of [`Turns::Short`].
    pub const SLICE: Duration = Duration::from_micros(100);
}

/// Starts this program again as the floor of that name, which speaks `dialect`.
pub fn floor(setting: &Setting, kind: &str, dialect: &dyn Dialect) -> Result<Server> {
    start(setting, &[setting.core], kind, Turns::Common, dialect)
}

/// Starts the floor over UDP on all cores, to be asked while others use them, too.
pub fn floor_beside(folder: &Path, records: u32, turns: Turns) -> Result<Server> {
    let cores: Vec<usize> = (0..machine::cores()).collect();
    let setting = Setting {
        folder: folder.to_owned(),
        records,
        core: 0,
    };
    start(&setting, &cores, "udp", turns, &Numbers::of_corpus())
}

fn start(
    setting: &Setting,
    cores: &[usize],
    kind: &str,
    turns: Turns,
    dialect: &dyn Dialect,
) -> Result<Server> {
    let address = local(free_port()?);
    let mut command = Command::new(std::env::current_exe()?);
    let turns = turns.to_possible_value();
    command
        .args(["floor", kind, "--listen", &address.to_string()])
        .args(["--records", &setting.records.to_string()])
        .args(turns.iter().flat_map(|turns| ["--turns", turns.get_name()]));
    let log = setting.folder.join(format!("floor-{kind}.log"));
    let is_up = |address| match kind.starts_with("udp") {
        true => answers_datagram(dialect, address),
        false => takes_connections(address),
    };
    Server::start(kind, &mut command, &log, cores, address, is_up)
}
