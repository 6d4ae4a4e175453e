//! Knot DNS: one worker for UDP, no journal, no modules.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use super::{Server, Setting, answers_datagram, find, folder, free_port, local, write_zone};
use crate::corpus::ZONE;
use crate::dialect::Dns;

/// Starts Knot with the zone of all records.
pub fn knot(setting: &Setting, dialect: &Dns) -> Result<Server> {
    let program = find("knotd").context("Knot is not installed")?;
    let folder = folder(setting, "knot")?;
    let address = local(free_port()?);
    write_zone(&folder.join("zone"), setting.records)?;
    let shown = folder.display();
    let config = format!(
        r#"server:
    rundir: "{shown}"
    listen: {}@{}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
control:
    listen: "{shown}/control"
log:
  - target: stderr
    any: warning
database:
    storage: "{shown}"
template:
  - id: default
    storage: "{shown}"
    file: zone
    zonefile-sync: -1
    journal-content: none
zone:
  - domain: {ZONE}
"#,
        address.ip(),
        address.port()
    );
    let path = folder.join("knot.conf");
    fs::write(&path, config)?;
    let mut command = Command::new(program);
    command.arg("-c").arg(&path);
    let is_up = |address| answers_datagram(dialect, address);
    let log = folder.join("log");
    Server::start("Knot", &mut command, &log, &[setting.core], address, is_up)
}
