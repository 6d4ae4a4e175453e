//! A running node: everything bound, published and started, and all of it stopped again.
//!
//! [`start`] needs no async runtime and may be called from one: the node brings its own, on threads
//! of its own. Order matters. Sockets are bound before anything is told, so that a port in use
//! leaves no traces; the site record is published when the real ports are known; only then is
//! answered.

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio_rustls::rustls::ServerConfig;

use crate::config::{Config, ListenConfig, load};
use crate::control::{BindError, Desk, Listener};
use crate::expiry;
use crate::files::clear;
use crate::listen::http::Http;
use crate::listen::poll::{Pollers, Service};
use crate::listen::udp::Udp;
use crate::listen::{Sharing, console, stream_socket, tls};
use crate::mirror;
use crate::node::{Node, StartError, wall_clock_ms};
use crate::publish;
use crate::reload::{self, ReloadError, Reloaded};
use crate::shutdown::{Stop, Stopper};
use crate::site::Addresses;

/// Ports that are tried for UDP and TCP alike, where the system chooses.
const TWIN_ATTEMPTS: usize = 16;
/// Open files that a node may need beside those of connections: of the store, the resolver, the
/// runtime.
const OPEN_FILES_BESIDE: u64 = 1_000;
/// File that says where a running node listens, in [`Config::run_folder`].
const ADDRESSES_FILE: &str = "addresses.json";

//----------- Running --------------------------------------------------------

/// A node that answers. Dropping it stops it as [`Running::stop`] does.
#[derive(Debug)]
pub struct Running {
    node: Arc<Node>,
    addresses: Addresses,
    control: Option<Listener>,
    udp: Option<Udp>,
    streams: Option<Streams>,
}

/// The thread that has TCP and HTTP run.
#[derive(Debug)]
struct Streams {
    tell: mpsc::Sender<()>,
    thread: JoinHandle<()>,
    runtime: tokio::runtime::Handle,
}

/// Starts a node. When it returns, every address answers.
pub fn start(config: Config) -> Result<Running, StartError> {
    let node = Node::open(config)?;
    let config = node.config();
    let sockets = Sockets::bind(&config)?;
    let addresses = sockets.addresses()?;
    if !sockets.http.is_empty() {
        let tls = tls::load_or_make(&config, node.now_ms() / 1_000)?;
        let expires = tls.expires_secs.unwrap_or(0);
        node.metrics.certificate_expires(expires);
        node.tls.get_or_init(|| Arc::new(ArcSwap::new(tls.config)));
    }
    node.listening_on(addresses.clone())?;
    if Addresses::configured(&config.listen).has_free_port() {
        publish::own_site(&node)?;
    }
    enable_indexes(&node, &config);
    write_addresses(&config, &addresses)?;
    if config.administration.rules.anonymous_admin_full_access {
        tracing::warn!(
            "ANYBODY WHO REACHES THIS NODE MAY CHANGE EVERY RECORD: \
             administration.anonymous_admin_full_access is set"
        );
    }
    let control = control(&node, &config)?;
    node.begin_recursion()?;
    let system = |what| move |source| StartError::System { what, source };
    let streams = Streams::start(
        &node,
        sockets.tcp,
        sockets.http,
        sockets.console,
        node.tls.get(),
    )
    .map_err(system("threads for TCP and HTTP"))?;
    let udp = Udp::start(&node, sockets.udp, &streams.runtime);
    let udp = udp.map_err(system("a thread for UDP"))?;
    tracing::info!(
        name = config.name,
        udp = ?addresses.udp,
        tcp = ?addresses.tcp,
        http = ?addresses.http,
        console = addresses.console.map(tracing::field::display),
        prefixes = node.site().homed().len(),
        "the node answers"
    );
    drop(config);
    Ok(Running {
        node,
        addresses,
        control: Some(control),
        udp: Some(udp),
        streams: Some(streams),
    })
}

impl Running {
    /// The node.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Where it really listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Reads the configuration file again and applies what can be applied without a restart.
    pub fn reload(&self) -> Result<Reloaded, ReloadError> {
        reload::reload(&self.node)
    }

    /// Puts `config` in force as [`Running::reload`] does with a file.
    pub fn reconfigure(&self, config: Config) -> Result<Reloaded, ReloadError> {
        reload::apply(&self.node, config)
    }

    /// Stops: no new connections, requests in progress are answered, at most `limits.stop_timeout`.
    pub fn stop(mut self) {
        self.stop_now();
    }

    fn stop_now(&mut self) {
        let Some(streams) = self.streams.take() else {
            return;
        };
        tracing::info!("the node stops");
        // An error means that the thread is gone already.
        let _ = streams.tell.send(());
        drop(self.control.take());
        if let Some(udp) = self.udp.take() {
            udp.stop();
        }
        if streams.thread.join().is_err() {
            tracing::error!("the thread of TCP and HTTP had panicked");
        }
        if let Some(courier) = self.node.courier() {
            courier.stop();
        }
        self.node.store.settle();
        let _ = std::fs::remove_file(addresses_file(&self.node.config()));
        tracing::info!(
            requests = self.node.metrics.requests(),
            "the node has stopped"
        );
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop_now();
    }
}

//----------- Sockets --------------------------------------------------------

/// All sockets, bound and not yet served.
struct Sockets {
    udp: Vec<UdpSocket>,
    /// Threads that share one UDP address.
    udp_threads: usize,
    /// For each address a listener of each thread.
    tcp: Vec<Vec<TcpListener>>,
    http: Vec<Vec<TcpListener>>,
    console: Option<TcpListener>,
}

impl Sockets {
    fn bind(config: &Config) -> Result<Self, StartError> {
        let listen = &config.listen;
        let mut udp = Vec::new();
        // Where the system chooses, TCP has the port of UDP, as people expect of one protocol.
        let mut twins: Vec<(IpAddr, Vec<TcpListener>)> = Vec::new();
        for &address in &listen.udp {
            let wants_twin = address.port() == 0 && listen.tcp.contains(&address);
            let bound = bind_udp(address, listen, wants_twin);
            let (sockets, twin) = bound.map_err(|source| StartError::Listen {
                what: "listen.udp",
                address,
                source,
            })?;
            udp.extend(sockets);
            twins.extend(twin.map(|twin| (address.ip(), twin)));
        }
        let mut streams = |what: &'static str, addresses: &[SocketAddr]| {
            let mut listeners = Vec::new();
            for &address in addresses {
                let is_twin = what == "listen.tcp" && address.port() == 0;
                let twin = twins
                    .iter()
                    .position(|(ip, _)| is_twin && *ip == address.ip());
                let bound = match twin {
                    Some(at) => Ok(twins.swap_remove(at).1),
                    None => Pollers::bind(address, listen.worker_threads),
                };
                listeners.push(bound.map_err(|source| StartError::Listen {
                    what,
                    address,
                    source,
                })?);
            }
            Ok::<_, StartError>(listeners)
        };
        Ok(Self {
            udp,
            udp_threads: listen.udp_threads,
            tcp: streams("listen.tcp", &listen.tcp)?,
            http: streams("listen.http", &listen.http)?,
            console: listen.console.map(console_socket).transpose()?,
        })
    }

    fn addresses(&self) -> Result<Addresses, StartError> {
        let known = |addresses: std::io::Result<Vec<SocketAddr>>| {
            addresses.map_err(|source| StartError::System {
                what: "the address of a socket",
                source,
            })
        };
        let streams = |listeners: &[Vec<TcpListener>]| {
            let first = listeners.iter().flat_map(|of_address| of_address.first());
            known(first.map(TcpListener::local_addr).collect())
        };
        let console = self.console.iter().map(TcpListener::local_addr);
        let udp = self.udp.iter().step_by(self.udp_threads);
        Ok(Addresses {
            udp: known(udp.map(UdpSocket::local_addr).collect())?,
            tcp: streams(&self.tcp)?,
            http: streams(&self.http)?,
            console: known(console.collect())?.pop(),
        })
    }
}

fn console_socket(address: SocketAddr) -> Result<TcpListener, StartError> {
    stream_socket(address, Sharing::No).map_err(|source| StartError::Listen {
        what: "listen.console",
        address,
        source,
    })
}

/// Binds the sockets of an address for UDP, and where the system chooses the port and a twin is
/// wanted, those for TCP at the same one. If no port has been found that is free for both, the
/// twin is left out.
fn bind_udp(
    address: SocketAddr,
    listen: &ListenConfig,
    wants_twin: bool,
) -> std::io::Result<(Vec<UdpSocket>, Option<Vec<TcpListener>>)> {
    let mut sockets = Udp::bind(address, listen.udp_threads)?;
    for _ in 0..TWIN_ATTEMPTS {
        let chosen = sockets.first().map(UdpSocket::local_addr).transpose()?;
        let twin = chosen
            .filter(|_| wants_twin)
            .map(|chosen| Pollers::bind(chosen, listen.worker_threads));
        match twin {
            None => break,
            Some(Ok(twin)) => return Ok((sockets, Some(twin))),
            Some(Err(_)) => sockets = Udp::bind(address, listen.udp_threads)?,
        }
    }
    Ok((sockets, None))
}

//----------- Streams --------------------------------------------------------

impl Streams {
    fn start(
        node: &Arc<Node>,
        tcp: Vec<Vec<TcpListener>>,
        http: Vec<Vec<TcpListener>>,
        console: Option<TcpListener>,
        tls: Option<&Arc<ArcSwap<ServerConfig>>>,
    ) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(node.config().listen.worker_threads)
            .thread_name("stream")
            .enable_all()
            .build()?;
        let stopper = Stopper::new();
        let _inside = runtime.enter();
        runtime.spawn(mirror::run(node.clone(), stopper.stop()));
        runtime.spawn(expiry::watch(node.clone(), stopper.stop()));
        runtime.spawn(clear::watch(node.clone(), stopper.stop()));
        let server = |router, tls, stop: Stop| Http {
            node: node.clone(),
            router,
            tls,
            console: false,
            stop,
        };
        let mut services: Vec<_> = tcp.into_iter().map(|all| (Service::Native, all)).collect();
        if !http.is_empty() {
            let router = crate::http::router(node.clone());
            for listeners in http {
                let server = server(router.clone(), tls.cloned(), stopper.stop());
                services.push((Service::Http(Box::new(server)), listeners));
            }
        }
        if let Some(listener) = console {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let server = Http {
                console: true,
                ..server(console::router(node.clone()), None, stopper.stop())
            };
            runtime.spawn(server.serve(listener));
        }
        drop(_inside);
        let pollers = Pollers::start(node, services, runtime.handle(), &stopper.stop())?;
        let (tell, told) = mpsc::channel();
        let handle = runtime.handle().clone();
        let node = node.clone();
        let builder = std::thread::Builder::new().name("streams".to_owned());
        let thread = builder.spawn(move || {
            // An error means that the owner is gone, which is a reason to stop as well.
            let _ = told.recv();
            // First, so that what they hand over is among what is waited for.
            pollers.leave();
            stopper.tell();
            let bound = node.config().limits.stop_timeout.as_duration();
            if !runtime.block_on(stopper.drained(bound)) {
                tracing::warn!(
                    connections = node.connections.open(),
                    "connections were cut: their requests took longer than limits.stop_timeout"
                );
            }
            drop(pollers);
            // Waits until every task is dropped and with it its hold on the node, so that the store
            // is free for the next one when `stop` returns.
            runtime.shutdown_timeout(bound);
        })?;
        Ok(Self {
            tell,
            thread,
            runtime: handle,
        })
    }
}

//----------- Control --------------------------------------------------------

/// Opens the socket through which the operator administers the running node.
fn control(node: &Arc<Node>, config: &Config) -> Result<Listener, BindError> {
    // The desk must not keep the node alive: it is dropped after the node's other parts.
    let homing = Arc::downgrade(node);
    let on_homing = move || {
        let Some(node) = homing.upgrade() else { return };
        if let Err(error) = node.refresh_site() {
            tracing::error!(%error, "the change of homed prefixes could not be put in force");
        }
    };
    let desk = Desk::new(node.store.clone(), wall_clock_ms, on_homing);
    let desk = desk.with_signer(node.record_signer().cloned());
    let desk = desk.with_files(node.files.shelf());
    let desk = desk.with_mirrors(mirror::OfNode(Arc::downgrade(node)));
    Listener::bind(Arc::new(desk), &config.control)
}

//----------- Addresses on disk ----------------------------------------------

fn addresses_file(config: &Config) -> PathBuf {
    config.run_folder().join(ADDRESSES_FILE)
}

fn write_addresses(config: &Config, addresses: &Addresses) -> Result<(), StartError> {
    let path = addresses_file(config);
    let written = std::fs::create_dir_all(config.run_folder()).and_then(|()| {
        let json = serde_json::to_vec_pretty(addresses)?;
        // Whoever waits for the file must not read half of it.
        let partial = path.with_extension("partial");
        std::fs::write(&partial, json)?;
        std::fs::rename(&partial, &path)
    });
    written.map_err(|source| StartError::File { path, source })
}

/// Where the node that runs from the same folder says it listens, if one says so.
pub fn addresses_of_running(config: &Config) -> Option<Addresses> {
    let text = std::fs::read(addresses_file(config)).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Asks the store for the indexes that are set. Building one may take long; it does not hold up
/// answers.
fn enable_indexes(node: &Node, config: &Config) {
    let known = node.store.indexes();
    for kind in &config.store.index {
        if known
            .iter()
            .any(|index| index.kind.eq_ignore_ascii_case(kind))
        {
            continue;
        }
        tracing::info!(kind, "an index is being built");
        let kind = kind.clone();
        node.store.index_enable(&kind).on_done(move |outcome| {
            if let Err(error) = outcome {
                tracing::error!(kind, %error, "the index could not be built");
            }
        });
    }
}

//----------- run ------------------------------------------------------------

/// Runs the node of a configuration file until SIGTERM or SIGINT. SIGHUP reads the file again.
pub fn run(path: &Path) -> Result<(), RunError> {
    let config = load(path)?;
    crate::log::init(config.log);
    raise_open_files(&config);
    let system = |source| {
        RunError::Start(StartError::System {
            what: "signals",
            source,
        })
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system)?;
    runtime.block_on(async {
        use crate::shutdown::{Asked, Signals};
        let mut signals = Signals::new().map_err(system)?;
        let running = start(config)?;
        loop {
            match signals.next().await {
                Asked::Stop => break,
                // Logs what came of it itself; a bad file must not end a good node.
                Asked::Reload => drop(running.reload()),
            }
        }
        running.stop();
        Ok(())
    })
}

/// Takes as many open files as the system allows this process, of which it is often given only a
/// part at first, and says if connections may still run short of them.
fn raise_open_files(config: &Config) {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, most)| {
        setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
        Ok(most)
    });
    let wanted = u64::from(config.limits.connections) + OPEN_FILES_BESIDE;
    match raised {
        Ok(most) if most >= wanted => {}
        Ok(most) => tracing::warn!(
            most,
            wanted,
            "fewer open files are allowed than limits.connections may take; \
             raise LimitNOFILE= of the service, or lower the setting"
        ),
        Err(error) => tracing::warn!(%error, "the limit of open files could not be raised"),
    }
}

/// Why a node could not be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigErrors),
    /// The node cannot start.
    #[error(transparent)]
    Start(#[from] StartError),
}
