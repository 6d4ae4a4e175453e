//! NSD: one server process, no limit of rates, answers without additions.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use super::{Server, Setting, answers_datagram, find, folder, free_port, local, write_zone};
use crate::corpus::ZONE;
use crate::dialect::Dns;

/// Starts NSD with the zone of all records.
pub fn nsd(setting: &Setting, dialect: &Dns) -> Result<Server> {
    let program = find("nsd").context("NSD is not installed")?;
    let folder = folder(setting, "nsd")?;
    let address = local(free_port()?);
    write_zone(&folder.join("zone"), setting.records)?;
    let shown = folder.display();
    let config = format!(
        r#"server:
  ip-address: {}@{}
  server-count: 1
  username: ""
  chroot: ""
  zonesdir: "{shown}"
  database: ""
  pidfile: "{shown}/pid"
  xfrdfile: "{shown}/xfrd"
  xfrdir: "{shown}"
  zonelistfile: "{shown}/list"
  cookie-secret-file: ""
  minimal-responses: yes
  rrl-ratelimit: 0
  verbosity: 0
remote-control:
  control-enable: no
zone:
  name: {ZONE}
  zonefile: "{shown}/zone"
"#,
        address.ip(),
        address.port()
    );
    let path = folder.join("nsd.conf");
    fs::write(&path, config)?;
    let mut command = Command::new(program);
    command.arg("-d").arg("-c").arg(&path);
    let is_up = |address| answers_datagram(dialect, address);
    let log = folder.join("log");
    Server::start("NSD", &mut command, &log, &[setting.core], address, is_up)
}
