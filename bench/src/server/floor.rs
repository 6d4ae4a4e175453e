//! The floors, as processes of their own.

use std::process::Command;

use anyhow::Result;

use super::{Server, Setting, answers_datagram, free_port, local, takes_connections};
use crate::dialect::Dialect;

/// Starts this program again as the floor of that name, which speaks `dialect`.
pub fn floor(setting: &Setting, kind: &str, dialect: &dyn Dialect) -> Result<Server> {
    let address = local(free_port()?);
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["floor", kind, "--listen", &address.to_string()])
        .args(["--records", &setting.records.to_string()]);
    let log = setting.folder.join(format!("floor-{kind}.log"));
    let is_up = |address| match kind.starts_with("udp") {
        true => answers_datagram(dialect, address),
        false => takes_connections(address),
    };
    Server::start(kind, &mut command, &log, &[setting.core], address, is_up)
}
