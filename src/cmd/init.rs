//! `guantong init`: makes a new node.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use guantong_server::config::{PresetListen, PresetRecurse, Root, loopback_networks};
use guantong_server::recurse::{load_roots, parse_roots};
use guantong_server::{InitOptions, Role, RoleGroups};
use ipnet::IpNet;

use super::key::file::PassphraseArgs;
use crate::failed::{Exit, Failed, Report};
use crate::output::Output;
use crate::output::style::STRONG;
use crate::render::left;

const EXAMPLES: &str = "\
Examples:
  guantong init node --prefix 88.118.5
  guantong init /var/lib/guantong --prefix 88.118 --role second-level --address 203.0.113.7
  guantong init recursive --role recursive --root 203.0.113.1 --allow 10.0.0.0/8
  guantong init test --prefix 88.118.5 --port 0 --http-port 0 --console-port 0

Without --address the node can be reached from this machine only. Port 0 lets the system choose
when the node starts; run/addresses.json then says what it chose.";

/// Make a new node: folder, settings, keys, store and prefix record.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Folder of the node; must be empty or not exist
    dir: PathBuf,

    /// Prefix that the node is responsible for, such as 88.118.5
    #[arg(long, value_name = "P")]
    prefix: Option<String>,

    /// Place of the node in the network
    #[arg(long, value_name = "R", default_value = "enterprise", value_parser = roles())]
    role: Role,

    /// Name of the node in logs and on its pages
    #[arg(long)]
    name: Option<String>,

    /// Address at which others reach the node, to be published and listened on
    #[arg(long, value_name = "IP")]
    address: Option<IpAddr>,

    /// Address to listen on, if not the one that is published
    #[arg(long, value_name = "IP")]
    listen: Option<IpAddr>,

    /// Port of the native protocol, UDP and TCP
    #[arg(long, value_name = "N", default_value_t = guantong_client::NATIVE_PORT)]
    port: u16,

    /// Port of HTTP and HTTPS
    #[arg(long, value_name = "N", default_value_t = guantong_client::HTTP_PORT)]
    http_port: u16,

    /// Port of metrics and health checks, on loopback
    #[arg(long, value_name = "N", default_value_t = 8080)]
    console_port: u16,

    /// A description to publish with the address
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,

    /// Where the root is, for a node that resolves for others: a file (root_info,
    /// bootstrap_handles, siteinfo.json, siteinfo.bin), or a server as host or host:port
    #[arg(long, value_name = "FILE|ADDR")]
    root: Option<String>,

    /// Encrypt the administrator's key with a passphrase
    #[arg(long)]
    encrypt_admin_key: bool,

    #[command(flatten)]
    passphrase: PassphraseArgs,

    /// Network for which the node resolves names that live elsewhere; by default this machine. May
    /// be repeated
    #[arg(long, value_name = "NET", requires = "root")]
    allow: Vec<IpNet>,
}

fn roles() -> impl TypedValueParser<Value = Role> {
    // Only the words of existing roles get this far.
    PossibleValuesParser::new(Role::ALL.map(Role::as_str))
        .map(|word| word.parse().unwrap_or_default())
}

/// For whom the node is to resolve. A relative path is made whole: in the file it would start at
/// the folder of the node.
fn recurse(args: &Args) -> Result<Option<PresetRecurse>, Failed> {
    let Some(root) = &args.root else {
        return Ok(None);
    };
    let unusable = |error: &dyn std::error::Error| {
        Report::new(Exit::Usage, "no node was made: the root cannot be used")
            .causes_of(error)
            .fail()
    };
    let mut root = parse_roots(root).map_err(|error| unusable(&error))?;
    load_roots(&root).map_err(|error| unusable(&error))?;
    if let Root::File(path) = &mut root {
        *path = path.canonicalize().map_err(|error| unusable(&error))?;
    }
    let allow = match args.allow.is_empty() {
        true => loopback_networks(),
        false => args.allow.clone(),
    };
    Ok(Some(PresetRecurse { allow, root }))
}

/// Makes the node and says what to do next.
pub(crate) fn run(args: &Args) -> Result<(), Failed> {
    let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
    let listen = args.listen.or(args.address).unwrap_or(loopback);
    let options = InitOptions {
        prefix: args.prefix.clone(),
        role: args.role,
        name: args.name.clone(),
        address: args.address,
        description: args.description.clone(),
        listen: Some(PresetListen {
            native: vec![SocketAddr::new(listen, args.port)],
            http: vec![SocketAddr::new(listen, args.http_port)],
            console: Some(SocketAddr::new(loopback, args.console_port)),
        }),
        recurse: recurse(args)?,
        roles: match args.role {
            Role::Enterprise | Role::SecondLevel => RoleGroups::Made,
            Role::Root | Role::TopLevel | Role::Recursive => RoleGroups::Not,
        },
        admin_passphrase: match args.encrypt_admin_key {
            true => Some(args.passphrase.new_one()?),
            false => None,
        },
    };
    let made = guantong_server::init(&args.dir, &options).map_err(|error| {
        let what = format_args!("no node was made in {}", args.dir.display());
        Report::new(Exit::Usage, what).causes_of(&error).fail()
    })?;
    let mut out = Output::new();
    let mut facts = vec![("settings", made.config.display().to_string())];
    if let Some(prefix) = &made.prefix {
        facts.push(("prefix", prefix.borrow().suffix().to_owned()));
    }
    facts.push(("node's key", made.server_key.display().to_string()));
    if let Some(key) = &made.admin_key {
        facts.push(("administrator's key", key.display().to_string()));
    }
    out.line(format_args!(
        "{STRONG}A new node is in {}{STRONG:#}",
        args.dir.display()
    ))?;
    for (name, fact) in facts {
        out.line(format_args!("  {}  {fact}", left(name, 19)))?;
    }
    out.line(format_args!("\n{STRONG}Next{STRONG:#}"))?;
    for step in &made.next_steps {
        out.line(format_args!("  {step}"))?;
    }
    out.finish()
}
