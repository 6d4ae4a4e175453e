//! Whether a configuration fits this machine. Nothing is started and nothing is changed.

use std::fmt;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;

use super::Config;
use crate::key::ServerKey;
use crate::site::{Addresses, published, unkept};

//----------- Finding --------------------------------------------------------

/// What was found about one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The thing, such as `site.key`.
    pub about: String,
    /// How it stands.
    pub judgement: Judgement,
    /// What was found, and what to do if it is not good.
    pub text: String,
}

/// How a thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Judgement {
    /// As it should be.
    Good,
    /// The node will start, but somebody should look at it.
    Doubtful,
    /// The node will not start, or not work.
    Bad,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.judgement {
            Judgement::Good => "ok  ",
            Judgement::Doubtful => "warn",
            Judgement::Bad => "bad ",
        };
        write!(f, "{mark} {}: {}", self.about, self.text)
    }
}

/// Looks at everything that the configuration names: key, certificate, store, addresses.
///
/// Addresses in use are good if a node that was started from the same folder uses them.
pub fn check(config: &Config) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    findings.key(config);
    findings.shared_site(config);
    findings.root(config);
    findings.trust(config);
    findings.certificate(config);
    findings.mirror(config);
    let running = match findings.store(config) {
        StoreIs::InUse => crate::running::addresses_of_running(config),
        StoreIs::Free => None,
    };
    findings.folder("node.control", &config.control);
    for (about, addresses, is_free) in [
        ("listen.udp", &config.listen.udp[..], udp_is_free as Probe),
        ("listen.tcp", &config.listen.tcp, tcp_is_free),
        ("listen.http", &config.listen.http, tcp_is_free),
        (
            "listen.console",
            config.listen.console.as_slice(),
            tcp_is_free,
        ),
    ] {
        for address in addresses {
            let ours = running.as_ref().is_some_and(|all| all.contains(address));
            findings.address(about, *address, is_free(*address), ours);
        }
    }
    findings.published(config);
    findings.0
}

/// Whether a node runs on the store.
enum StoreIs {
    InUse,
    Free,
}

type Probe = fn(SocketAddr) -> std::io::Result<()>;

fn udp_is_free(address: SocketAddr) -> std::io::Result<()> {
    UdpSocket::bind(address).map(drop)
}

fn tcp_is_free(address: SocketAddr) -> std::io::Result<()> {
    TcpListener::bind(address).map(drop)
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, about: &str, judgement: Judgement, text: impl Into<String>) {
        self.0.push(Finding {
            about: about.to_owned(),
            judgement,
            text: text.into(),
        });
    }

    fn mirror(&mut self, config: &Config) {
        let mirror = &config.mirror;
        let names = mirror.of.is_some() || mirror.standby.is_some();
        if !names {
            return;
        }
        match ServerKey::load(&mirror.identity_key) {
            Ok(key) => {
                let who = mirror.identity.as_ref();
                let who = who.map_or("nobody".to_owned(), ToString::to_string);
                let text = format!("{} for {who}", key.describe());
                self.add("mirror.identity_key", Judgement::Good, text);
            }
            Err(error) => self.add("mirror.identity_key", Judgement::Bad, error.to_string()),
        }
        match (&mirror.of, &mirror.key) {
            (Some(_), Some(path)) => match crate::mirror::read_key(path) {
                Ok(_) => self.add("mirror.key", Judgement::Good, path.display().to_string()),
                Err(why) => self.add("mirror.key", Judgement::Bad, why),
            },
            (Some(of), None) => {
                let text = format!("is not set, so the first key that {of} shows is believed");
                self.add("mirror.key", Judgement::Doubtful, text);
            }
            (None, _) => {}
        }
    }

    fn key(&mut self, config: &Config) {
        let path = &config.site.key;
        match ServerKey::load(path) {
            Ok(key) => {
                let text = format!("{} at {}", key.describe(), path.display());
                self.add("site.key", Judgement::Good, text);
            }
            Err(error) => self.add("site.key", Judgement::Bad, error.to_string()),
        }
        if let Some(mode) = mode_open_to_others(path) {
            let text = format!(
                "{} can be read by other users (mode {mode:o}); run `chmod 600 {}`",
                path.display(),
                path.display()
            );
            self.add("site.key", Judgement::Doubtful, text);
        }
    }

    /// Whether the record that several servers share is one that this node can be in.
    fn shared_site(&mut self, config: &Config) {
        let (site, about) = (&config.site, "site.record");
        let (Some(path), Ok(key)) = (&site.record, ServerKey::load(&site.key)) else {
            return;
        };
        let addresses = Addresses::configured(&config.listen);
        let record = match published(site, &key, &addresses) {
            Ok(record) => record,
            Err(error) => return self.add(about, Judgement::Bad, error.to_string()),
        };
        let (servers, file) = (record.servers.len(), path.display());
        let text = format!("server {} of {servers} in {file}", site.server_id);
        self.add(about, Judgement::Good, text);
        for unkept in unkept(&record, site.server_id, &addresses) {
            self.add(about, Judgement::Doubtful, unkept);
        }
    }

    /// Whether there is a root to begin at.
    fn root(&mut self, config: &Config) {
        let recurse = &config.recurse;
        let Some(root) = &recurse.root else {
            return;
        };
        match crate::recurse::load_roots(root) {
            Ok(roots) => {
                let text = format!("{} sites of the root", roots.sites().len());
                self.add("recurse.root", Judgement::Good, text);
            }
            Err(error) => self.add("recurse.root", Judgement::Bad, error.to_string()),
        }
        if let Some(wide) = recurse
            .allow
            .iter()
            .find(|network| network.prefix_len() == 0)
        {
            let text = format!(
                "{wide} is everybody: an open recursive node is a tool for attacks on others; \
                 name your own networks"
            );
            self.add("recurse.allow", Judgement::Doubtful, text);
        }
    }

    /// Whether the root keys can be read, and what they are for is done at all.
    fn trust(&mut self, config: &Config) {
        match (&config.trust.roots, crate::trust::policy(&config.trust)) {
            (None, _) => {}
            (Some(path), Ok(_)) => {
                let text = format!("root keys in {}", path.display());
                self.add("trust.roots", Judgement::Good, text);
            }
            (Some(_), Err(error)) => self.add("trust.roots", Judgement::Bad, error.to_string()),
        }
        let recurse = &config.recurse;
        if recurse.demand().is_some() && recurse.root.is_none() {
            let text = "judges nothing: the node resolves for nobody, because neither \
                        recurse.root nor recurse.root_addresses is set";
            self.add("recurse.verify", Judgement::Doubtful, text);
        }
    }

    fn certificate(&mut self, config: &Config) {
        if config.listen.http.is_empty() {
            return;
        }
        match crate::listen::tls::inspect(config) {
            Ok(text) => self.add("http.certificate", Judgement::Good, text),
            Err(error) => self.add("http.certificate", Judgement::Bad, error.to_string()),
        }
    }

    fn store(&mut self, config: &Config) -> StoreIs {
        let path = config.data.display();
        match crate::node::open_store(config) {
            Ok(store) => {
                drop(store);
                self.add(
                    "node.data",
                    Judgement::Good,
                    format!("store at {path} opens"),
                );
                StoreIs::Free
            }
            Err(error) if error.is_in_use() => {
                let text = format!("store at {path} is in use by a running node");
                self.add("node.data", Judgement::Good, text);
                StoreIs::InUse
            }
            Err(error) => {
                self.add("node.data", Judgement::Bad, error.to_string());
                StoreIs::Free
            }
        }
    }

    fn folder(&mut self, about: &str, file: &Path) {
        let parent = file.parent().unwrap_or(file);
        if parent.is_dir() {
            self.add(about, Judgement::Good, format!("{}", file.display()));
        } else {
            let text = format!("the folder {} does not exist; make it", parent.display());
            self.add(about, Judgement::Bad, text);
        }
    }

    fn address(&mut self, about: &str, address: SocketAddr, free: std::io::Result<()>, ours: bool) {
        match free {
            Ok(()) => self.add(about, Judgement::Good, format!("{address} is free")),
            Err(_) if ours => {
                let text = format!("{address} is used by this node, which is running");
                self.add(about, Judgement::Good, text);
            }
            Err(error) => {
                let advice = match error.kind() {
                    std::io::ErrorKind::AddrNotAvailable => "listen on an address of this machine",
                    std::io::ErrorKind::PermissionDenied => "choose a port above 1023",
                    _ => "stop the program that has it, or choose another port",
                };
                let text = format!("{address} cannot be used ({error}); {advice}");
                self.add(about, Judgement::Bad, text);
            }
        }
    }

    fn published(&mut self, config: &Config) {
        let address = config.site.address;
        let listen = &config.listen;
        let mut all = listen.udp.iter().chain(&listen.tcp).chain(&listen.http);
        if address.is_loopback() && all.any(|a| !a.ip().is_loopback()) {
            let text = format!(
                "{address} is published although the node listens on other addresses; others will not find it"
            );
            self.add("site.address", Judgement::Doubtful, text);
        }
    }
}

/// The permissions of a file if anybody but its owner may read it.
fn mode_open_to_others(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}
