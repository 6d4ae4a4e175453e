//! Handle.Net: the server of CNRI, set up with the programs that come with it: its set-up asks its
//! questions, its loader writes records into its storage, its server serves them.
//!
//! It is what an operator has after the set-up, in the favour of its speed: it does not log who
//! asks, more connections may wait to be taken, and it has ten times the memory that its start
//! script gives it. Nobody outside of this machine is asked: it is at home in the prefix itself.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::node::run;
use super::{
    Server, Setting, answers_datagram, find, folder, free_port, is_installed, local,
    takes_connections,
};
use crate::corpus::{self, PREFIX};
use crate::dialect::{Exactness, Handles};

/// How it is called in tables.
pub const HANDLE_NET: &str = "Handle.Net";
/// How the jar of the server itself begins; those that it needs are called otherwise.
const SERVER_JAR: &str = "handle-";
/// Memory for its objects, and with that for its cache. Its start script gives it 200 MB.
const HEAP: &str = "-Xmx2g";
/// An address of nobody (RFC 5737), since the set-up takes none that begins with 127.
const NOBODY: &str = "192.0.2.1";
/// What its set-up is told, in the order in which it asks. The ports are those of every server, as
/// it takes none above 32,000; access is logged and logs are not rotated, since it asks for the
/// second in all versions only after the first.
const ANSWERS: [&str; 20] = [
    "y",               // a primary server
    "n",               // with one address
    NOBODY,            // of the clients
    "127.0.0.1",       // of the server
    "2641",            // UDP and TCP
    "8000",            // HTTP
    "y",               // log who asks
    "n",               // never rotate that
    "1",               // serial number
    "bench",           // description
    "bench",           // organisation
    "",                // nobody to ask
    "",                // nobody to call
    "nobody@test.org", // nobody to write to
    "n",               // no UDP?
    "n",               // encrypt the key of the server?
    "n",               // encrypt the key of the administrator?
    "n",               // whatever a version asks besides
    "n",
    "n",
];
/// Folder of what it knows about the network of all servers.
const OWN: &str = "own";
/// It is not to ask that network for news of itself.
const OWN_CONFIG: &str = "{\n  \"auto_update_root_info\" = \"no\"\n}\n";
/// Every create is on the disk before it is answered; while it is filled that is not needed.
const UNSYNCED: &str = r#""bdbje_no_sync_on_write" = "yes""#;

/// Where `bench/run` puts the jars of Handle.Net.
const JARS: &str = "target/handle-net";

//----------- HandleNetArgs --------------------------------------------------

/// Whether a Handle.Net server is started to be measured, and which one.
#[derive(clap::Args)]
pub struct HandleNetArgs {
    /// Folder with the jars of a Handle.Net server, to start one; target/handle-net if it is there
    #[arg(long)]
    handle_net_jars: Option<PathBuf>,
    /// Start no Handle.Net server
    #[arg(long, conflicts_with = "handle_net_jars")]
    no_handle_net: bool,
}

impl HandleNetArgs {
    /// Where the jars of the server are that is to be started, if one is; says which one it is, or
    /// why there is none.
    pub fn jars(&self) -> Result<Option<&Path>> {
        let usual = Path::new(JARS);
        let jars = match &self.handle_net_jars {
            _ if self.no_handle_net => return Ok(None),
            Some(jars) => jars,
            None if usual.is_dir() && is_installed("java") => usual,
            None => {
                println!("SKIPPED: {HANDLE_NET} needs Java, and its jars in {JARS} (bench/run)");
                return Ok(None);
            }
        };
        println!("{HANDLE_NET} is {}", server_jar(jars)?);
        Ok(Some(jars))
    }
}

/// The server's own jar in a folder, by name, such as `handle-9.1.0.jar`: which version it is.
fn server_jar(jars: &Path) -> Result<String> {
    let entries = fs::read_dir(jars).with_context(|| jars.display().to_string())?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut found = names.filter(|name| name.starts_with(SERVER_JAR) && name.ends_with(".jar"));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => bail!("there is no {SERVER_JAR}*.jar in {}", jars.display()),
        _ => bail!("there are several {SERVER_JAR}*.jar in {}", jars.display()),
    }
}

//----------- HandleNetSetup -------------------------------------------------

/// A server that is set up and does not run.
#[derive(Clone, Debug)]
pub struct HandleNetSetup {
    java: PathBuf,
    jars: PathBuf,
    folder: PathBuf,
    core: usize,
    native: SocketAddr,
    http: SocketAddr,
}

/// A server that runs.
#[derive(Debug)]
pub struct HandleNetServer {
    /// Its process, reached by the native protocol.
    pub server: Server,
    /// Where it speaks HTTP.
    pub http: SocketAddr,
}

impl HandleNetSetup {
    /// A server that homes the prefix of the records and has none yet. Its jars are in a folder.
    pub fn new(setting: &Setting, jars: &Path) -> Result<Self> {
        let folder = folder(setting, "handle-net")?;
        let this = Self {
            java: find("java").context("Java is not installed")?,
            jars: jars.to_owned(),
            core: setting.core,
            native: local(free_port()?),
            http: local(free_port()?),
            folder,
        };
        let said = this.folder.join("setup.log");
        this.answer(this.program("net.handle.server.SimpleSetup"), &said)?;
        this.adapt()
            .with_context(|| format!("its set-up is not understood; see {}", said.display()))?;
        Ok(this)
    }

    /// Writes the records into its storage.
    pub fn fill(&self, records: u32) -> Result<()> {
        let config = self.folder.join("config.dct");
        let synced = fs::read_to_string(&config)?;
        replace(
            &config,
            &[(
                r#""server_config" = {"#,
                &format!("\"server_config\" = {{\n    {UNSYNCED}"),
            )],
        )?;
        let path = self.folder.join("records.json");
        self.write_records(&path, records)?;
        let mut load = self.program("net.handle.apps.tools.LoadHandlesIntoStorageFromJson");
        load.arg("-f").arg(&path).arg("-h").arg(&self.folder);
        run(&mut load)?;
        fs::remove_file(&path)?;
        Ok(fs::write(&config, synced)?)
    }

    /// Starts it and waits for its first answer.
    pub fn serve(&self) -> Result<HandleNetServer> {
        let dialect = Handles::new(1, Exactness::Octets);
        let mut command = self.program("net.handle.server.Main");
        command.arg(&self.folder);
        let log = self.folder.join("log");
        let is_up = |address| answers_datagram(&dialect, address) && takes_connections(self.http);
        let cores = [self.core];
        Ok(HandleNetServer {
            server: Server::start(HANDLE_NET, &mut command, &log, &cores, self.native, is_up)?,
            http: self.http,
        })
    }

    /// Its administrator: the handle of the public key, and the private one in a file of PEM.
    pub fn admin(&self) -> Result<(String, PathBuf)> {
        let path = self.folder.join("admin_key.pem");
        let mut convert = self.program("net.handle.apps.simple.KeyConverter");
        convert
            .args(["-f", "pem"])
            .arg(self.folder.join("admpriv.bin"));
        run(convert.arg("-o").arg(&path))?;
        Ok((admin(), path))
    }

    /// One of its programs.
    fn program(&self, class: &str) -> Command {
        let mut command = Command::new(&self.java);
        // Else it makes a folder in that of the user.
        let own = format!(
            "-Dnet.handle.configDir={}",
            self.folder.join("own").display()
        );
        command.args([HEAP, "-server", &own]);
        command.arg("-cp").arg(self.jars.join("*")).arg(class);
        command
    }

    /// Lets the set-up ask.
    fn answer(&self, mut setup: Command, said: &Path) -> Result<()> {
        let log = File::create(said)?;
        let answers = self.folder.join("answers");
        fs::write(&answers, ANSWERS.join("\n") + "\n")?;
        setup
            .arg(&self.folder)
            .stdin(Stdio::from(File::open(answers)?))
            .stdout(log.try_clone()?)
            .stderr(log);
        let ended = setup.status().context("Java cannot be started")?;
        ensure!(
            ended.success(),
            "its set-up ended with {ended}; see {}",
            said.display()
        );
        Ok(())
    }

    /// Gives it its addresses and its prefix, as the set-up leaves to the operator.
    fn adapt(&self) -> Result<()> {
        let [native, http] = [self.native, self.http].map(|address| address.port().to_string());
        let quoted = |port: &str| format!("\"{port}\"");
        replace(
            &self.folder.join("config.dct"),
            &[
                ("300:0.NA/YOUR_PREFIX", &format!("300:{}", admin())),
                ("YOUR_PREFIX", PREFIX),
                ("\"2641\"", &quoted(&native)),
                ("\"8000\"", &quoted(&http)),
                (r#""log_accesses" = "yes""#, r#""log_accesses" = "no""#),
                // Else each create would ask the network who may administer the prefix.
                (
                    r#""server_config" = {"#,
                    "\"server_config\" = {\n    \"allow_na_admins\" = \"no\"",
                ),
                // The 50 by default are fewer than the connections that ask, and what is one too
                // many waits for a second.
                (
                    r#""hdl_tcp_config" = {"#,
                    "\"hdl_tcp_config\" = {\n    \"backlog\" = \"1024\"",
                ),
            ],
        )?;
        let own = self.folder.join(OWN);
        fs::create_dir_all(&own)?;
        fs::write(own.join("config.dct"), OWN_CONFIG)?;
        replace(
            &self.folder.join("siteinfo.json"),
            &[
                (NOBODY, "127.0.0.1"),
                ("\"port\": 2641", &format!("\"port\": {native}")),
                ("\"port\": 8000", &format!("\"port\": {http}")),
            ],
        )
    }

    /// The records as its loader reads them, after that of its administrator.
    fn write_records(&self, path: &Path, records: u32) -> Result<()> {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        let mut out = BufWriter::new(file);
        let key = STANDARD.encode(fs::read(self.folder.join("admpub.bin"))?);
        writeln!(
            out,
            r#"{{"homedPrefixes":["0.NA/{PREFIX}"],"handleRecords":{{"#
        )?;
        let admin = admin();
        write!(
            out,
            r#""{admin}":{{"handle":"{admin}","values":[{{"index":300,"#
        )?;
        write!(
            out,
            r#""type":"HS_PUBKEY","data":{{"format":"base64","value":"{key}"}}}}]}}"#
        )?;
        for n in 0..records {
            write!(out, ",\n\"{}\":{}", corpus::handle(n), corpus::json_line(n))?;
        }
        writeln!(out, "}}}}")?;
        Ok(out.flush()?)
    }
}

/// The handle that holds the public key of the administrator. It is one of the prefix, since where
/// the handle of the prefix itself is, only the network knows.
fn admin() -> String {
    format!("{PREFIX}/ADMIN")
}

/// Replaces texts in a file, each of which must be there.
fn replace(path: &Path, pairs: &[(&str, &str)]) -> Result<()> {
    let shown = || path.display().to_string();
    let mut text = fs::read_to_string(path).with_context(shown)?;
    for (from, to) in pairs {
        ensure!(text.contains(from), "{} has no {from}", shown());
        text = text.replace(from, to);
    }
    Ok(fs::write(path, text)?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{replace, server_jar};

    #[test]
    fn text_that_is_not_there_is_an_error_and_leaves_the_file() {
        let folder = std::env::temp_dir().join(format!("handle-net-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("config.dct");
        fs::write(&file, "\"bind_port\" = \"2641\"\n").unwrap();
        replace(&file, &[("2641", "4711")]).unwrap();
        assert!(replace(&file, &[("4711", "1"), ("YOUR_PREFIX", "2")]).is_err());
        assert_eq!(
            fs::read_to_string(&file).unwrap(),
            "\"bind_port\" = \"4711\"\n"
        );
        assert!(server_jar(&folder).is_err(), "there is none");
        fs::write(folder.join("je-1.jar"), "").unwrap();
        fs::write(folder.join("handle-9.jar"), "").unwrap();
        assert_eq!(server_jar(&folder).unwrap(), "handle-9.jar");
        fs::write(folder.join("handle-10.jar"), "").unwrap();
        assert!(server_jar(&folder).is_err(), "there are two");
        fs::remove_dir_all(&folder).unwrap();
    }
}
