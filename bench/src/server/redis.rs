//! Redis: in memory only, filled with the records in wire form.

use std::io::{BufWriter, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{Server, Setting, find, folder, free_port, local, takes_connections};
use crate::dialect;

/// What Redis says to each record that it has taken.
const STORED: &[u8] = b"+OK\r\n";
/// Records on their way while it is filled; the answers to them fit into any socket buffer.
const FILL_DEPTH: u32 = 1_000;

/// Starts Redis and fills it.
pub fn redis(setting: &Setting) -> Result<Server> {
    let program = find("redis-server").context("Redis is not installed")?;
    let folder = folder(setting, "redis")?;
    let address = local(free_port()?);
    let mut command = Command::new(program);
    command
        .args(["--port", &address.port().to_string()])
        .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .args(["--daemonize", "no", "--loglevel", "warning"])
        .arg("--dir")
        .arg(&folder);
    let log = folder.join("log");
    let is_up = takes_connections;
    let server = Server::start("Redis", &mut command, &log, &[setting.core], address, is_up)?;
    fill(address, setting.records).context("Redis cannot be filled")?;
    Ok(server)
}

fn fill(address: SocketAddr, records: u32) -> Result<()> {
    let stream = TcpStream::connect(address)?;
    let mut out = BufWriter::new(&stream);
    let mut waiting = 0;
    for n in 0..records {
        out.write_all(&dialect::redis_set(n))?;
        waiting += 1;
        if waiting == FILL_DEPTH || n + 1 == records {
            out.flush()?;
            let mut said = vec![0; STORED.len() * waiting as usize];
            (&stream).read_exact(&mut said)?;
            ensure!(said.chunks(STORED.len()).all(|one| one == STORED));
            waiting = 0;
        }
    }
    Ok(())
}
