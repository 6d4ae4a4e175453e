//! Starting what is measured: each server in a folder of its own, with a configuration of its own,
//! on loopback, kept to one core, with the records of [`corpus`](crate::corpus).
//!
//! Nothing that the machine runs already is touched. A server ends with the [`Server`] that stands
//! for it.

mod floor;
mod handle_net;
mod knot;
mod node;
mod nsd;
mod redis;

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::dialect::{Dialect, Verdict};
use crate::machine;

pub use floor::{Turns, floor, floor_beside};
pub use handle_net::{HANDLE_NET, HandleNetArgs, HandleNetServer, HandleNetSetup};
pub use knot::knot;
pub use node::{Node, NodeSetup, run};
pub use nsd::nsd;
pub use redis::redis;

/// How long a server may take until its first answer.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// How long it may take to end by itself.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one question waits for its answer while a server starts.
const FIRST_ANSWER: Duration = Duration::from_millis(2);

/// What all servers of a run have in common.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Folder for the files of all of them.
    pub folder: PathBuf,
    /// Records that each has.
    pub records: u32,
    /// The core that each keeps to.
    pub core: usize,
}

//----------- Server ---------------------------------------------------------

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    /// Its name in tables.
    pub name: String,
    /// Where it is asked.
    pub address: SocketAddr,
    /// From its start to its first right answer.
    pub start_up: Duration,
    process: Child,
    cores: Vec<usize>,
}

impl Server {
    /// Starts a program and waits for its first right answer to the question for record 0.
    ///
    /// What the program says goes to `log`; its end before the first answer is an error that names
    /// that file.
    fn start(
        name: &str,
        command: &mut Command,
        log: &Path,
        cores: &[usize],
        address: SocketAddr,
        is_up: impl Fn(SocketAddr) -> bool,
    ) -> Result<Self> {
        let said = File::create(log).with_context(|| log.display().to_string())?;
        command
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said);
        let begun = Instant::now();
        let process = machine::spawn_pinned(command, cores)?;
        let mut this = Self {
            name: name.to_owned(),
            address,
            start_up: Duration::ZERO,
            process,
            cores: cores.to_vec(),
        };
        while !is_up(address) {
            if let Some(status) = this.process.try_wait()? {
                bail!(
                    "{name} ended with {status}; it says why in {}",
                    log.display()
                );
            }
            if begun.elapsed() > START_TIMEOUT {
                bail!(
                    "{name} did not answer within {} s; see {}",
                    START_TIMEOUT.as_secs(),
                    log.display()
                );
            }
        }
        this.start_up = begun.elapsed();
        machine::keep(this.pid(), cores)?;
        Ok(this)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Fails if one of its threads has left the cores that it was given.
    pub fn expect_on_its_cores(&self) -> Result<()> {
        ensure!(
            machine::is_kept(self.pid(), &self.cores),
            "{} has left its core: what was measured is worth nothing",
            self.name
        );
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.process.id())?);
        // It may have ended already.
        let _ = kill(pid, Signal::SIGTERM);
        let begun = Instant::now();
        while self.process.try_wait()?.is_none() {
            if begun.elapsed() > STOP_TIMEOUT {
                self.process.kill()?;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("bench: {} could not be ended: {error:#}", self.name);
        }
    }
}

//----------- Readiness ------------------------------------------------------

/// Whether a server answers the question for record 0 rightly over UDP.
fn answers_datagram(dialect: &dyn Dialect, address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(address)?;
        socket.set_read_timeout(Some(FIRST_ANSWER))?;
        let (mut question, mut answer) = (Vec::new(), [0; 2_048]);
        dialect.ask(0, 1, &mut question);
        socket.send(&question)?;
        let len = socket.recv(&mut answer)?;
        Ok(dialect.judge(0, 1, &answer[..len]) == Verdict::Right(len))
    };
    pause_unless(ask().unwrap_or(false))
}

/// Whether a server takes connections.
fn takes_connections(address: SocketAddr) -> bool {
    pause_unless(std::net::TcpStream::connect(address).is_ok())
}

/// A refused question returns at once; the server needs the time more than we do.
fn pause_unless(is_up: bool) -> bool {
    if !is_up {
        std::thread::sleep(Duration::from_millis(1));
    }
    is_up
}

//----------- Ports and programs ---------------------------------------------

/// A port that is free now, for UDP and TCP alike.
fn free_port() -> Result<u16> {
    // A port that one of them has free, the other has not always.
    for _ in 0..64 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        if UdpSocket::bind(address).is_ok() {
            return Ok(address.port());
        }
    }
    bail!("no port is free for UDP and TCP");
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Whether a program is installed.
pub fn is_installed(program: &str) -> bool {
    find(program).is_some()
}

/// Where a program is; the folders of servers are not in everybody's path.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/usr/local/sbin", "/usr/bin"].map(PathBuf::from);
    let folders = std::env::split_paths(&path).chain(usual);
    let mut candidates = folders.map(|folder| folder.join(program));
    candidates.find(|candidate| candidate.is_file())
}

/// Makes the folder of one server.
fn folder(setting: &Setting, name: &str) -> Result<PathBuf> {
    let folder = setting.folder.join(name);
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder)
}

/// Writes the zone of all records, for servers of the DNS.
fn write_zone(path: &Path, records: u32) -> Result<()> {
    use std::io::Write;

    use crate::corpus::ZONE;
    use crate::dialect::{ZONE_TTL_SECS, zone_line};
    let file = File::create(path).with_context(|| path.display().to_string())?;
    let mut out = std::io::BufWriter::new(file);
    writeln!(out, "$ORIGIN {ZONE}.")?;
    writeln!(out, "$TTL {ZONE_TTL_SECS}")?;
    writeln!(out, "@ SOA ns.{ZONE}. admin.{ZONE}. 1 3600 600 86400 60")?;
    writeln!(out, "@ NS ns.{ZONE}.")?;
    writeln!(out, "ns A 127.0.0.1")?;
    for n in 0..records {
        writeln!(out, "{}", zone_line(n))?;
    }
    Ok(out.flush()?)
}
