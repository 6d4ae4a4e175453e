//! Our own node, set up with the commands that an operator uses: `init`, `import`, `serve`.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{Server, Setting, answers_datagram, folder, free_port, local, takes_connections};
use crate::corpus::{self, PREFIX};
use crate::dialect::Dialect;
use crate::machine;

/// Memory of the store for each record, in bytes: more than its cache needs for all of them.
const RECORD_MEMORY: u64 = 2_048;
/// Memory of the store by default, in MiB.
const MEMORY_MIB: u64 = 256;

/// A node that is set up and does not run.
#[derive(Clone, Debug)]
pub struct NodeSetup {
    program: PathBuf,
    folder: PathBuf,
    cores: Vec<usize>,
    /// The native protocol, UDP and TCP.
    pub native: SocketAddr,
    /// HTTP and HTTPS.
    pub http: SocketAddr,
}

/// A node that runs.
#[derive(Debug)]
pub struct Node {
    /// Its process, reached by the native protocol.
    pub server: Server,
    /// Where it speaks HTTP.
    pub http: SocketAddr,
}

impl NodeSetup {
    /// A node that homes the prefix of the records, and is the root, so that a recursive node finds
    /// them. It has no records yet.
    pub fn authoritative(setting: &Setting, program: &Path, name: &str) -> Result<Self> {
        Self::init(
            setting,
            program,
            name,
            &["--role", "root", "--prefix", PREFIX],
        )
    }

    /// A node that has nothing of its own and asks `root`.
    pub fn recursive(setting: &Setting, program: &Path, root: SocketAddr) -> Result<Self> {
        let root = root.to_string();
        let role = ["--role", "recursive", "--allow", "127.0.0.0/8"];
        let role = [&role[..], &["--root", &root]].concat();
        Self::init(setting, program, "recursive", &role)
    }

    fn init(setting: &Setting, program: &Path, name: &str, role: &[&str]) -> Result<Self> {
        let (native, http) = (local(free_port()?), local(free_port()?));
        let this = Self {
            program: program.to_owned(),
            folder: folder(setting, name)?,
            cores: vec![setting.core],
            native,
            http,
        };
        let mut command = Command::new(program);
        command
            .arg("init")
            .arg(&this.folder)
            .args(role)
            .args(["--port", &native.port().to_string()])
            .args(["--http-port", &http.port().to_string()])
            .args(["--console-port", "0"]);
        run(&mut command)?;
        this.set("udp_threads", "1")?;
        this.set("worker_threads", "1")?;
        let wanted = (u64::from(setting.records) * RECORD_MEMORY) >> 20;
        let memory = format!("\"{}MiB\"", wanted.max(MEMORY_MIB));
        this.set("memory", &memory)?;
        this.set("cache", &memory)?;
        Ok(this)
    }

    /// A node in a folder that is kept: the one of an earlier run, or a new one like
    /// [`NodeSetup::authoritative`]. It may use all cores and has the memory that nodes have by
    /// default.
    pub fn kept(folder: &Path, program: &Path) -> Result<Self> {
        Self::kept_as(folder, program, "root")
    }

    /// The same with another place in the network.
    pub fn kept_as(folder: &Path, program: &Path, role: &str) -> Result<Self> {
        let (native, http) = (local(free_port()?), local(free_port()?));
        let this = Self {
            program: program.to_owned(),
            folder: folder.to_owned(),
            cores: (0..machine::cores()).collect(),
            native,
            http,
        };
        if !this.config().is_file() {
            let mut command = Command::new(program);
            let role = ["--role", role, "--prefix", PREFIX];
            run(command.arg("init").arg(folder).args(role))?;
        }
        // The ports of an earlier run may be somebody else's by now.
        for (listener, address) in [("udp", native), ("tcp", native), ("http", http)] {
            this.set(listener, &format!("[\"{address}\"]"))?;
        }
        this.set("console", "\"\"")?;
        Ok(this)
    }

    /// Where its records are.
    pub fn store(&self) -> PathBuf {
        self.folder.join("store")
    }

    /// A command of the node's program that is about this node.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(words).arg("--config").arg(self.config());
        command
    }

    /// Lets it use these cores, with a UDP thread and a worker thread for each.
    pub fn on_cores(mut self, cores: &[usize]) -> Result<Self> {
        self.cores = cores.to_vec();
        for setting in ["udp_threads", "worker_threads"] {
            self.set(setting, &cores.len().to_string())?;
        }
        Ok(self)
    }

    /// The file of its settings.
    pub fn config(&self) -> PathBuf {
        self.folder.join("guantong.toml")
    }

    /// The private key of its administrator.
    pub fn admin_key(&self) -> PathBuf {
        self.folder.join("admin_key.pem")
    }

    /// Gives a setting, which the file holds as a comment with its default, another value.
    pub fn set(&self, setting: &str, value: &str) -> Result<()> {
        let path = self.config();
        let text = fs::read_to_string(&path)?;
        let is_it = |line: &str| {
            let line = line.trim_start_matches("# ");
            line.split_once(" = ")
                .is_some_and(|(name, _)| name == setting)
        };
        ensure!(
            text.lines().any(is_it),
            "{} does not know the setting {setting}",
            path.display()
        );
        let lines = text.lines().map(|line| match is_it(line) {
            true => format!("{setting} = {value}\n"),
            false => format!("{line}\n"),
        });
        Ok(fs::write(&path, lines.collect::<String>())?)
    }

    /// Imports the records, in order of their names; says how long the command took.
    pub fn import(&self, records: u32) -> Result<Duration> {
        self.import_made(records, corpus::json_line)
    }

    /// The same with other lines: `line` makes that of each record.
    pub fn import_made(&self, records: u32, line: impl Fn(u32) -> String) -> Result<Duration> {
        let path = self.folder.join("records.jsonl");
        let mut out = BufWriter::new(File::create(&path)?);
        for n in 0..records {
            writeln!(out, "{}", line(n))?;
        }
        out.flush()?;
        drop(out);
        let mut command = Command::new(&self.program);
        command
            .arg("import")
            .arg(&path)
            .arg("--config")
            .arg(self.config());
        let begun = Instant::now();
        run(&mut command)?;
        let took = begun.elapsed();
        fs::remove_file(&path)?;
        Ok(took)
    }

    /// Starts it and waits for its first answer in `dialect`.
    pub fn serve(&self, name: &str, dialect: &dyn Dialect) -> Result<Node> {
        self.serve_until(name, |address| answers_datagram(dialect, address))
    }

    /// Starts it and waits until it takes connections, for records whose answers have no room in
    /// one datagram.
    pub fn serve_streams(&self, name: &str) -> Result<Node> {
        let is_up = |address| takes_connections(address) && takes_connections(self.http);
        self.serve_until(name, is_up)
    }

    fn serve_until(&self, name: &str, is_up: impl Fn(SocketAddr) -> bool) -> Result<Node> {
        let mut command = Command::new(&self.program);
        command.arg("serve").arg("--config").arg(self.config());
        let log = self.folder.join("log");
        Ok(Node {
            server: Server::start(name, &mut command, &log, &self.cores, self.native, is_up)?,
            http: self.http,
        })
    }
}

/// Runs a command to its end; what it says is told only if it fails.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    let output = command.output().with_context(|| shown.clone())?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{shown} failed: {said}");
    Ok(())
}
