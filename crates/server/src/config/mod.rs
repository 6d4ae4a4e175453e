//! Configuration: what a node is told by its operator.
//!
//! [`Config`] is what the settings mean to the node: paths are whole, choices are made. How they
//! are spelt in a file is `v1`, read by `read` with all problems at once; `template` writes
//! files. Whether a configuration fits this machine (files, ports, store) is judged by [`check()`].

mod check;
mod read;
mod recurse;
mod template;
mod unit;
mod v1;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use guantong_core::admin::{Identity, Rules};
use guantong_proto::CaseRule;
use ipnet::IpNet;

pub use check::{Finding, Judgement, check};
pub use read::{ConfigErrors, Problem};
pub use recurse::{RecurseConfig, Root};
pub use unit::{Acknowledge, Level, LogFormat, References, Size, Span, Verify};
pub use v1::loopback_networks;

/// Name of the file that `init` makes.
pub const FILE_NAME: &str = "guantong.toml";
/// Largest configuration file read, so that a wrong path does not fill memory.
const FILE_LEN_MAX: u64 = 1024 * 1024;

//----------- Config ---------------------------------------------------------

/// All settings of a node, with whole paths.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The file it was read from, if any.
    pub file: Option<PathBuf>,
    /// The folder that relative paths start from; holds `run/` as well.
    pub folder: PathBuf,
    /// Name of the node.
    pub name: String,
    /// Folder of the record store.
    pub data: PathBuf,
    /// The control socket.
    pub control: PathBuf,
    /// Which letters of a name fold.
    pub case_rule: CaseRule,
    /// What the node says about itself.
    pub site: SiteConfig,
    /// Where it listens.
    pub listen: ListenConfig,
    /// HTTP and HTTPS.
    pub http: HttpConfig,
    /// Interfaces of existing enterprise nodes.
    pub compatible: CompatibleConfig,
    /// Enterprises that apply for a prefix.
    pub onboarding: OnboardingConfig,
    /// Files that registrations name.
    pub files: FilesConfig,
    /// Memory and indexes of the store.
    pub store: StoreConfig,
    /// Resolving for others.
    pub recurse: RecurseConfig,
    /// What is looked at of a record of another node that a registration refers to.
    pub references: References,
    /// Who may do what over the network.
    pub administration: AdministrationConfig,
    /// Logins of programs and people.
    pub login: LoginConfig,
    /// Which roots are believed, and how records are signed.
    pub trust: TrustConfig,
    /// Whom it follows, and who follows it.
    pub mirror: MirrorConfig,
    /// Bounds on what others can make this node do.
    pub limits: Limits,
    /// What is logged.
    pub log: LogConfig,
}

/// What the node says about itself.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteConfig {
    /// Address at which clients reach the node.
    pub address: IpAddr,
    /// Host name, if there is one.
    pub domain: Option<String>,
    /// Serial number of the site record.
    pub serial: u16,
    /// Whether the site takes changes.
    pub primary: bool,
    /// A description for people; may be empty.
    pub description: String,
    /// The file of a site record that several servers share, if this node is one of them.
    pub record: Option<PathBuf>,
    /// Number of this node among the servers of the site.
    pub server_id: i32,
    /// The file of the private key.
    pub key: PathBuf,
}

/// Where the node listens.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenConfig {
    /// Native protocol over UDP.
    pub udp: Vec<SocketAddr>,
    /// Native protocol over TCP.
    pub tcp: Vec<SocketAddr>,
    /// HTTP and HTTPS.
    pub http: Vec<SocketAddr>,
    /// Metrics and health.
    pub console: Option<SocketAddr>,
    /// Threads for each UDP address; at least 1.
    pub udp_threads: usize,
    /// Whether these threads run before everything else on the machine.
    pub udp_first: bool,
    /// Threads that answer over TCP and HTTP, and as many for what has to wait; at least 1.
    pub worker_threads: usize,
}

/// HTTP and HTTPS.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpConfig {
    /// Certificate chain and its key, both PEM files; none: self-signed.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Whether clients are asked for a certificate.
    pub client_certificates: bool,
    /// Networks that may read `/metrics` on the HTTP addresses.
    pub metrics_allow: Vec<IpNet>,
    /// Networks that may list the handles of a prefix.
    pub list_allow: Vec<IpNet>,
    /// Whether `/<handle>` redirects a browser.
    pub proxy: bool,
    /// Largest JSON body in octets.
    pub json_body_max: usize,
}

/// Interfaces of existing enterprise nodes, and which of them are served.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CompatibleConfig {
    /// `/api/v1/`.
    pub doip: bool,
    /// `/identityv2/` and the others of second-level nodes.
    pub snms: bool,
    /// Whether clients of these may log in by a digest of the day.
    pub day_digest: bool,
}

/// Enterprises that apply for a prefix.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OnboardingConfig {
    /// Prefixes below which anybody may apply.
    pub open: Vec<String>,
    /// Most applications of such applicants that wait, below each of them.
    pub waiting_max: usize,
}

/// Files that registrations name.
#[derive(Clone, Debug, PartialEq)]
pub struct FilesConfig {
    /// Where they are.
    pub folder: PathBuf,
    /// Octets of the largest.
    pub file_max: u64,
    /// Octets of all together.
    pub total_max: u64,
    /// How long one is kept that no value has named.
    pub unnamed_time: Span,
}

/// Memory and indexes of the store.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreConfig {
    /// Octets for hot records, blocks and unwritten changes together.
    pub memory: Size,
    /// Value types with a reverse index.
    pub index: Vec<String>,
}

/// Who may do what over the network.
#[derive(Clone, Debug, PartialEq)]
pub struct AdministrationConfig {
    /// Rights that the configuration gives.
    pub rules: Rules,
    /// Time in which a challenge must be answered.
    pub challenge_time: Span,
}

/// Logins of programs and people.
#[derive(Clone, Debug, PartialEq)]
pub struct LoginConfig {
    /// Time after which a token that was not used is worth nothing.
    pub idle_timeout: Span,
    /// Networks from which passwords and tokens are taken over plain HTTP.
    pub plain_http_allow: Vec<IpNet>,
}

impl LoginConfig {
    fn of(spec: v1::Login) -> Self {
        Self {
            idle_timeout: spec.idle_timeout,
            plain_http_allow: spec.plain_http_allow,
        }
    }

    /// Whether passwords and tokens of `peer` are taken over plain HTTP.
    pub fn allows_plain_http(&self, peer: IpAddr) -> bool {
        let mut networks = self.plain_http_allow.iter();
        networks.any(|network| network.contains(&peer))
    }
}

/// Which roots are believed, and how records are signed.
#[derive(Clone, Debug, PartialEq)]
pub struct TrustConfig {
    /// File with the root keys.
    pub roots: Option<PathBuf>,
    /// The key that signs records, and
    pub sign_key: Option<PathBuf>,
    /// whose key that is; both or neither.
    pub sign_as: Option<Identity>,
    /// How long a signature is good.
    pub sign_span: Span,
}

impl TrustConfig {
    fn of(spec: v1::Trust, folder: &Path) -> Self {
        Self {
            roots: spec.roots.map(|path| folder.join(path)),
            sign_key: spec.sign_key.map(|path| folder.join(path)),
            sign_as: spec.sign_as,
            sign_span: spec.sign_span,
        }
    }
}

/// Whom the node follows, and who follows it.
#[derive(Clone, Debug, PartialEq)]
pub struct MirrorConfig {
    /// Host and port of the primary that it follows.
    pub of: Option<String>,
    /// File with the primary's public key.
    pub key: Option<PathBuf>,
    /// By which it proves itself to other nodes.
    pub identity: Option<Identity>,
    /// The private key of that identity.
    pub identity_key: PathBuf,
    /// How long the primary may wait for news.
    pub poll_interval: Span,
    /// The mirror that may take over.
    pub standby: Option<Identity>,
    /// How long changes are taken after the last word of the standby; 0 for no limit.
    pub lease: Span,
    /// When a change is reported as done.
    pub acknowledge: Acknowledge,
    /// How long a change may wait for a mirror.
    pub acknowledge_timeout: Span,
    /// Most mirrors that are served at a time.
    pub feeds: u32,
    /// Whether mirrors that know no TLS are served.
    pub clear_streams: bool,
}

impl AdministrationConfig {
    fn of(spec: v1::Administration, records: &v1::Records) -> Self {
        Self {
            rules: Rules {
                server_admins: spec.server_admins,
                server_admin_full_access: spec.server_admin_full_access,
                replication_admins: spec.replication_admins,
                anonymous_admin_full_access: spec.anonymous_admin_full_access,
                on_delete: records.on_delete,
            },
            challenge_time: spec.challenge_time,
        }
    }
}

/// Bounds on what others can make this node do; all may change while it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Most connections, TCP and HTTP together.
    pub connections: u32,
    /// Most connections from one address.
    pub connections_per_address: u32,
    /// Idle time after which a connection is closed.
    pub idle_timeout: Span,
    /// Time in which a begun message must arrive and an answer must be taken.
    pub message_timeout: Span,
    /// Requests per second from one address over TCP and HTTP; 0 for no limit.
    pub requests_per_second_per_address: u32,
    /// Largest answer over UDP, in octets of the message.
    pub udp_response_max: usize,
    /// Octets per second over UDP to one network; 0 for no limit.
    pub udp_octets_per_second_per_network: u64,
    /// Answers signed per second, all clients together.
    pub signatures_per_second: u32,
    /// Networks without limits per second.
    pub trusted: Vec<IpNet>,
    /// Time that requests in progress have when the node stops.
    pub stop_timeout: Span,
}

impl Limits {
    /// Whether the limits per second do not apply to `peer`.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&peer))
    }
}

/// What is logged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogConfig {
    /// How much.
    pub level: Level,
    /// In which form.
    pub format: LogFormat,
}

impl Config {
    /// The defaults, with paths in `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self::of(v1::Spec::default(), folder.into())
    }

    /// The defaults with any free port everywhere: for tests and demonstrations.
    pub fn ephemeral(folder: impl Into<PathBuf>) -> Self {
        let mut config = Self::new(folder);
        let listen = &mut config.listen;
        let all = listen.udp.iter_mut().chain(&mut listen.tcp);
        let all = all.chain(&mut listen.http).chain(&mut listen.console);
        for address in all {
            address.set_port(0);
        }
        config
    }

    /// The folder in which the running node says where it listens.
    pub fn run_folder(&self) -> PathBuf {
        self.folder.join("run")
    }

    /// The folder of imports that are under way.
    pub fn jobs_folder(&self) -> PathBuf {
        self.folder.join("jobs")
    }

    /// The meaning of a spelling.
    fn of(spec: v1::Spec, folder: PathBuf) -> Self {
        let path = |path: PathBuf| folder.join(path);
        let (http, limits, administration) = (spec.http, spec.limits, spec.administration);
        let certificate = http.certificate.zip(http.certificate_key);
        Self {
            file: None,
            name: spec.node.name,
            data: path(spec.node.data),
            control: path(spec.node.control),
            case_rule: match spec.node.case_sensitive {
                true => CaseRule::Sensitive,
                false => CaseRule::Insensitive,
            },
            site: SiteConfig {
                address: spec.site.address,
                domain: Some(spec.site.domain).filter(|domain| !domain.is_empty()),
                serial: spec.site.serial,
                primary: spec.site.primary,
                description: spec.site.description,
                record: spec.site.record.map(path),
                server_id: i32::try_from(spec.site.server_id).unwrap_or(i32::MAX),
                key: path(spec.site.key.clone()),
            },
            listen: ListenConfig::of(spec.listen),
            http: HttpConfig {
                certificate: certificate.map(|(chain, key)| (path(chain), path(key))),
                client_certificates: http.client_certificates,
                metrics_allow: http.metrics_allow,
                list_allow: http.list_allow,
                proxy: http.proxy,
                json_body_max: http.json_body_max.as_usize(),
            },
            compatible: CompatibleConfig::of(&spec.compatible),
            onboarding: OnboardingConfig::of(spec.onboarding),
            files: FilesConfig::of(spec.files, &folder),
            store: StoreConfig {
                memory: spec.store.memory,
                index: spec.store.index,
            },
            recurse: RecurseConfig::of(spec.recurse, &folder),
            references: spec.records.references,
            administration: AdministrationConfig::of(administration, &spec.records),
            login: LoginConfig::of(spec.login),
            trust: TrustConfig::of(spec.trust, &folder),
            mirror: MirrorConfig::of(spec.mirror, &folder, spec.site.key),
            limits: Limits {
                connections: limits.connections,
                connections_per_address: limits.connections_per_address,
                idle_timeout: limits.idle_timeout,
                message_timeout: limits.message_timeout,
                requests_per_second_per_address: limits.requests_per_second_per_address,
                udp_response_max: limits.udp_response_max.as_usize(),
                udp_octets_per_second_per_network: limits.udp_octets_per_second_per_network.0,
                signatures_per_second: limits.signatures_per_second,
                trusted: limits.trusted,
                stop_timeout: limits.stop_timeout,
            },
            log: LogConfig {
                level: spec.log.level,
                format: spec.log.format,
            },
            folder,
        }
    }
}

impl ListenConfig {
    fn of(listen: v1::Listen) -> Self {
        Self {
            udp: listen.udp,
            tcp: listen.tcp,
            http: listen.http,
            console: listen.console,
            udp_threads: threads(listen.udp_threads),
            udp_first: listen.udp_first,
            worker_threads: threads(listen.worker_threads),
        }
    }
}

impl OnboardingConfig {
    fn of(onboarding: v1::Onboarding) -> Self {
        Self {
            open: onboarding.open,
            waiting_max: usize::try_from(onboarding.waiting_max).unwrap_or(usize::MAX),
        }
    }
}

impl CompatibleConfig {
    fn of(compatible: &v1::Compatible) -> Self {
        Self {
            doip: compatible.doip,
            snms: compatible.snms,
            day_digest: compatible.day_digest,
        }
    }
}

impl FilesConfig {
    fn of(files: v1::Files, folder: &Path) -> Self {
        Self {
            folder: folder.join(files.folder),
            file_max: files.file_max.0,
            total_max: files.total_max.0,
            unnamed_time: files.unnamed_time,
        }
    }
}

impl MirrorConfig {
    fn of(mirror: v1::Mirror, folder: &Path, node_key: PathBuf) -> Self {
        Self {
            of: Some(mirror.of).filter(|of| !of.is_empty()),
            key: mirror.key.map(|key| folder.join(key)),
            identity: mirror.identity,
            identity_key: folder.join(mirror.identity_key.unwrap_or(node_key)),
            poll_interval: mirror.poll_interval,
            standby: mirror.standby,
            lease: mirror.lease,
            acknowledge: mirror.acknowledge,
            acknowledge_timeout: mirror.acknowledge_timeout,
            feeds: mirror.feeds,
            clear_streams: mirror.clear_streams,
        }
    }
}

/// A number of threads as set; 0 stands for the cores of this machine.
fn threads(set: u32) -> usize {
    match usize::try_from(set) {
        Ok(set @ 1..) => set,
        _ => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

//----------- Loading --------------------------------------------------------

/// Reads the configuration in `path`; a folder means the file [`FILE_NAME`] in it.
///
/// Every problem of the file is reported, not only the first. The machine is not looked at; see
/// [`check()`].
pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
    let file = match path.is_dir() {
        true => path.join(FILE_NAME),
        false => path.to_owned(),
    };
    let fail = |text: String| ConfigErrors {
        file: Some(file.clone()),
        problems: vec![Problem {
            line: None,
            setting: String::new(),
            text,
        }],
    };
    let text = read_file(&file).map_err(|error| {
        fail(format!(
            "cannot be read ({error}); name another file with --config, or make a node with `guantong init DIR`"
        ))
    })?;
    let parent = file
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let folder = parent.unwrap_or(Path::new("."));
    let folder = folder
        .canonicalize()
        .map_err(|error| fail(format!("its folder cannot be found ({error})")))?;
    let config = parse(&text, folder).map_err(|problems| ConfigErrors {
        file: Some(file.clone()),
        problems,
    })?;
    Ok(Config {
        file: Some(file),
        ..config
    })
}

/// The configuration in `path` as a file that sets everything, defaults included.
pub fn show(path: &Path) -> Result<String, ConfigErrors> {
    let config = load(path)?;
    // What has just been loaded has a file, and the file could be read.
    let text = config.file.and_then(|file| read_file(&file).ok());
    Ok(template::whole(&read::read(&text.unwrap_or_default()).0))
}

/// A setting as a page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) section: &'static str,
    pub(crate) key: &'static str,
    /// What it is for.
    pub(crate) doc: &'static str,
    pub(crate) default: String,
    pub(crate) value: String,
}

/// Every setting of a file that was loaded, defaults included, in their order.
pub(crate) fn settings(file: &Path) -> std::io::Result<Vec<Shown>> {
    let (spec, ..) = read::read(&read_file(file)?);
    let entries = spec.entries().into_iter().map(|entry| Shown {
        section: entry.section,
        key: entry.key,
        doc: entry.doc.trim(),
        default: entry.default,
        value: entry.value,
    });
    Ok(entries.collect())
}

/// Reads a configuration from `text`, with paths in `folder`.
pub fn parse(text: &str, folder: impl Into<PathBuf>) -> Result<Config, Vec<Problem>> {
    let (spec, lines, mut problems) = read::read(text);
    contradictions(&spec, |setting, text: &str| {
        problems.push(Problem {
            line: lines.of(setting),
            setting: setting.to_owned(),
            text: text.to_owned(),
        });
    });
    match problems.is_empty() {
        true => Ok(Config::of(spec, folder.into())),
        false => Err(problems),
    }
}

fn read_file(file: &Path) -> std::io::Result<String> {
    let len = std::fs::metadata(file)?.len();
    if len > FILE_LEN_MAX {
        let text = format!("it has {len} octets, a configuration has at most {FILE_LEN_MAX}");
        return Err(std::io::Error::other(text));
    }
    std::fs::read_to_string(file)
}

/// A node that anybody may change must be one that nobody else can reach.
fn open_to_others(spec: &v1::Spec, report: &mut impl FnMut(&str, &str)) {
    let listen = &spec.listen;
    let mut all = listen.udp.iter().chain(&listen.tcp).chain(&listen.http);
    let is_public = all.any(|address| !address.ip().is_loopback());
    if spec.administration.anonymous_admin_full_access && is_public {
        report(
            "administration.anonymous_admin_full_access",
            "would let everybody change every record: \
             set it to false, or listen on loopback addresses only",
        );
    }
}

/// A key that signs must be somebody's.
fn half_a_signer(spec: &v1::Spec, report: &mut impl FnMut(&str, &str)) {
    match (&spec.trust.sign_key, &spec.trust.sign_as) {
        (Some(_), None) => report(
            "trust.sign_key",
            "is nobody's key; set trust.sign_as as well, or neither",
        ),
        (None, Some(_)) => report(
            "trust.sign_as",
            "has no key; set trust.sign_key as well, or neither",
        ),
        _ => {}
    }
}

/// Settings that are well-formed each by itself but do not go together.
fn contradictions(spec: &v1::Spec, mut report: impl FnMut(&str, &str)) {
    open_to_others(spec, &mut report);
    half_a_signer(spec, &mut report);
    let http = &spec.http;
    match (&http.certificate, &http.certificate_key) {
        (Some(_), None) => report(
            "http.certificate",
            "has no key; set http.certificate_key as well, or neither",
        ),
        (None, Some(_)) => report(
            "http.certificate_key",
            "has no certificate; set http.certificate as well, or neither",
        ),
        _ => {}
    }
    if spec.limits.connections_per_address > spec.limits.connections {
        report(
            "limits.connections_per_address",
            "is above limits.connections, so it would never be reached; lower it",
        );
    }
    recurse::contradictions(&spec.recurse, &spec.trust, &mut report);
    let listen = &spec.listen;
    if listen.udp.is_empty() && listen.tcp.is_empty() && listen.http.is_empty() {
        report(
            "listen",
            "all addresses are empty, so nobody could reach the node",
        );
    }
    for (setting, addresses) in [
        ("listen.udp", &listen.udp),
        ("listen.tcp", &listen.tcp),
        ("listen.http", &listen.http),
    ] {
        let twice = |(n, address): (usize, &SocketAddr)| {
            address.port() != 0 && addresses[..n].contains(address)
        };
        if addresses.iter().enumerate().any(twice) {
            report(setting, "names an address twice; remove one");
        }
    }
    let streams = listen.tcp.iter().chain(&listen.http);
    let streams: Vec<_> = streams.chain(&listen.console).collect();
    let clash = listen.http.iter().chain(&listen.console).any(|address| {
        address.port() != 0 && streams.iter().filter(|other| **other == address).count() > 1
    });
    if clash {
        report(
            "listen",
            "tcp, http and console must have addresses of their own; change a port",
        );
    }
    mirror_contradictions(&spec.mirror, &mut report);
    let published = spec.site.address;
    if published.is_unspecified() && spec.site.domain.is_empty() {
        report(
            "site.address",
            "is not an address that a client can reach; write the public address of this node, or set site.domain",
        );
    }
    if published.is_multicast() {
        report(
            "site.address",
            "is a multicast address; write the address of this node",
        );
    }
    if spec.node.name.is_empty() || spec.node.name.len() > NAME_LEN_MAX {
        report("node.name", "must have 1 to 64 octets");
    }
}

fn mirror_contradictions(mirror: &v1::Mirror, report: &mut impl FnMut(&str, &str)) {
    if !mirror.of.is_empty() && mirror.identity.is_none() {
        report(
            "mirror.of",
            "needs an identity that the primary knows; set mirror.identity as well",
        );
    }
    let port = mirror.of.rsplit_once(':').map(|(_, port)| port);
    if !mirror.of.is_empty() && port.is_none_or(|port| port.parse::<u16>().is_err()) {
        report(
            "mirror.of",
            "must be a host and a port, such as \"192.0.2.7:2641\"",
        );
    }
    if mirror.lease.0 > 0 && mirror.standby.is_none() {
        report(
            "mirror.lease",
            "holds as long as a standby is in touch, and none is named; set mirror.standby",
        );
    }
}

/// Longest name of a node, so that it fits into headings and log lines.
const NAME_LEN_MAX: usize = 64;

//----------- Writing --------------------------------------------------------

/// What `init` decides about a new node's file; everything else has its default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Preset {
    /// Name of the node, if not the default.
    pub name: Option<String>,
    /// Address that is published.
    pub address: Option<IpAddr>,
    /// Description that is published.
    pub description: Option<String>,
    /// Whether the node takes changes.
    pub primary: Option<bool>,
    /// Where it listens, if not at the default addresses.
    pub listen: Option<PresetListen>,
    /// Who may home and unhome prefixes.
    pub server_admins: Vec<Identity>,
    /// For whom it resolves, if for anybody.
    pub recurse: Option<PresetRecurse>,
}

/// Recursion of a new node.
#[derive(Clone, Debug, PartialEq)]
pub struct PresetRecurse {
    /// Networks for which it resolves.
    pub allow: Vec<IpNet>,
    /// Where resolution begins.
    pub root: Root,
}

/// Addresses of a new node.
#[derive(Clone, Debug, PartialEq)]
pub struct PresetListen {
    /// Native protocol, UDP and TCP alike.
    pub native: Vec<SocketAddr>,
    /// HTTP and HTTPS.
    pub http: Vec<SocketAddr>,
    /// Metrics and health.
    pub console: Option<SocketAddr>,
}

/// The text of a configuration file: the preset is set, all else is there as comments.
pub fn file_text(preset: &Preset) -> String {
    let mut spec = v1::Spec::default();
    if let Some(name) = &preset.name {
        spec.node.name.clone_from(name);
    }
    if let Some(description) = &preset.description {
        spec.site.description.clone_from(description);
    }
    spec.administration
        .server_admins
        .clone_from(&preset.server_admins);
    spec.site.address = preset.address.unwrap_or(spec.site.address);
    spec.site.primary = preset.primary.unwrap_or(spec.site.primary);
    if let Some(listen) = &preset.listen {
        spec.listen.udp.clone_from(&listen.native);
        spec.listen.tcp.clone_from(&listen.native);
        spec.listen.http.clone_from(&listen.http);
        spec.listen.console = listen.console;
    }
    if let Some(recurse) = &preset.recurse {
        spec.recurse.allow.clone_from(&recurse.allow);
        match &recurse.root {
            Root::File(path) => spec.recurse.root = Some(path.clone()),
            Root::Addresses(addresses) => spec.recurse.root_addresses.clone_from(addresses),
        }
    }
    template::file(&spec)
}

/// The reference of all settings, in Markdown.
pub fn reference() -> String {
    template::reference()
}

#[cfg(test)]
mod tests;
