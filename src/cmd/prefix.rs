//! `guantong prefix`: which prefixes the node answers for, and to whom others are delegated.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use guantong_api::control::{Ask, Identity, Json, Mode, Reply};
use guantong_proto::Handle;
use guantong_proto::data::Site;
use guantong_proto::data::site::{Interface, InterfaceKind, Protocol, Server};
use guantong_proto::json::{SiteForm, parse_site};
use serde_json::value::to_raw_value;

use super::{NodeArgs, ask, mirror, record};
use crate::failed::{Exit, Failed, Report};
use crate::output::Output;

/// Port of the native protocol.
const PORT: u16 = 2641;

const LIST_EXAMPLES: &str = "\
Examples:
  guantong prefix list
  guantong prefix list --json";

const HOME_EXAMPLES: &str = "\
Examples:
  guantong prefix home 88.118.5
  guantong prefix home 88.118.

The node answers for the prefix from now on, and says `not here` for all others. Homing writes no
record; the record of the prefix itself is written where the prefix is delegated. With a dot at its
end the prefix is homed for its derived prefixes only: the node then answers for 0.NA/88.118.5, and
neither for 0.NA/88.118 nor for the handles under 88.118.";

const UNHOME_EXAMPLES: &str = "\
Examples:
  guantong prefix unhome 88.118.5

Records of the prefix stay in the store, but the node answers for them no longer.";

const DELEGATE_EXAMPLES: &str = "\
Examples:
  guantong prefix delegate 88.118.5 --address 192.0.2.7
  guantong prefix delegate 88.118.5 --site site.json --admin 300:0.NA/88.118.5
  guantong prefix delegate 88.118 --site second-level.json --derived
  guantong prefix delegate 88.118.5 --service 0.SERV/88.118 --dry-run

Writes the prefix record 0.NA/88.118.5: who serves the prefix. Sites and services that it has now
are replaced, everything else stays. A site file is what `GET /api/site` of the other node shows;
prefer it to --address, which knows neither keys nor HTTP.";

//----------- Args -----------------------------------------------------------

/// Home prefixes here, or delegate them to others.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the prefixes that the node answers for
    #[command(after_help = LIST_EXAMPLES)]
    List(ListArgs),
    /// Answer for a prefix from now on
    #[command(after_help = HOME_EXAMPLES)]
    Home(HomeArgs),
    /// Answer for a prefix no longer
    #[command(after_help = UNHOME_EXAMPLES)]
    Unhome(HomeArgs),
    /// Write into a prefix record who serves the prefix
    #[command(after_help = DELEGATE_EXAMPLES)]
    Delegate(DelegateArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Print the prefixes as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, clap::Args)]
struct HomeArgs {
    /// The prefix, such as 88.118.5
    prefix: String,

    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, clap::Args)]
struct DelegateArgs {
    /// The prefix, such as 88.118.5
    prefix: String,

    /// A site in the Handle JSON form. May be repeated
    #[arg(
        long = "site",
        value_name = "FILE.json",
        required_unless_present_any = ["addresses", "services"]
    )]
    sites: Vec<PathBuf>,

    /// Address of a server of one primary site, with port unless it is 2641. May be repeated
    #[arg(long = "address", value_name = "ADDR", value_parser = parse_address)]
    addresses: Vec<SocketAddr>,

    /// A handle whose sites serve the prefix. May be repeated
    #[arg(long = "service", value_name = "HANDLE")]
    services: Vec<String>,

    /// They serve the prefixes derived from it as well, such as 88.118.5.7 for 88.118.5: whoever
    /// asks here for the record of such a prefix is referred to them
    #[arg(long)]
    derived: bool,

    /// The key that administers the prefix, as INDEX:HANDLE
    #[arg(long, value_name = "INDEX:HANDLE", value_parser = parse_identity)]
    admin: Option<Identity>,

    /// Show what would change, change nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    node: NodeArgs,
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let alone = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, PORT));
    let address = alone.or_else(|_| text.parse::<SocketAddr>());
    address.map_err(|_| "an IP address, such as 192.0.2.7 or [2001:db8::7]:2641".to_owned())
}

fn parse_identity(text: &str) -> Result<Identity, String> {
    let expected = || "an index and a handle, such as 300:0.NA/88.118.5".to_owned();
    let (index, handle) = text.split_once(':').ok_or_else(expected)?;
    let handle = Handle::parse(handle).map_err(|error| error.to_string())?;
    Ok(Identity {
        handle: handle.as_str().to_owned(),
        index: index.parse().map_err(|_| expected())?,
    })
}

pub(crate) fn run(args: &Args) -> Result<(), Failed> {
    match &args.command {
        Command::List(args) => list(args),
        Command::Home(args) => {
            let prefix = args.prefix.clone();
            home(args, Ask::Home { prefix }, "the node answers for")
        }
        Command::Unhome(args) => {
            let prefix = args.prefix.clone();
            home(
                args,
                Ask::Unhome { prefix },
                "the node does not answer any more for",
            )
        }
        Command::Delegate(args) => delegate(args),
    }
}

//----------- list, home, unhome ---------------------------------------------

fn list(args: &ListArgs) -> Result<(), Failed> {
    let mut control = ask::open(&args.node)?;
    let Reply::Prefixes(prefixes) = ask::ask(&mut *control, Ask::Prefixes)? else {
        return Err(ask::strange());
    };
    let mut output = Output::new();
    if args.json {
        let text = serde_json::to_string(&prefixes);
        output.line(text.map_err(|_| ask::strange())?)?;
    } else {
        for prefix in prefixes {
            let noun = if prefix.records == 1 {
                "record"
            } else {
                "records"
            };
            let lag = prefix.lag.as_ref().map(mirror::lag_in_words);
            let lag = lag.map_or(String::new(), |lag| format!("\tmirror, {lag}"));
            output.line(format_args!(
                "{}\t{} {noun}{lag}",
                prefix.prefix, prefix.records
            ))?;
        }
    }
    output.finish()
}

fn home(args: &HomeArgs, asked: Ask, says: &str) -> Result<(), Failed> {
    let mut control = ask::open(&args.node)?;
    ask::ask(&mut *control, asked)?;
    let mut output = Output::new();
    output.line(format_args!("{says} {}", args.prefix))?;
    output.finish()
}

//----------- delegate -------------------------------------------------------

fn delegate(args: &DelegateArgs) -> Result<(), Failed> {
    let handle = Handle::of_prefix(&args.prefix).map_err(|error| {
        Report::new(
            Exit::Usage,
            format_args!("`{}` is not a prefix", args.prefix),
        )
        .cause(error)
        .fail()
    })?;
    let mut sites = args
        .sites
        .iter()
        .map(|file| read_site(file))
        .collect::<Result<Vec<_>, _>>()?;
    sites.extend(site_of(&args.addresses));
    let sites = sites.iter().map(|site| to_raw_value(&SiteForm::new(site)));
    let sites: Vec<Json> = sites
        .collect::<Result<_, _>>()
        .map_err(|_| ask::strange())?;
    let mut control = ask::open(&args.node)?;
    let asked = Ask::Delegate {
        prefix: args.prefix.clone(),
        sites,
        services: args.services.clone(),
        derived: args.derived,
        admin: args.admin.clone(),
        mode: match args.dry_run {
            true => Mode::DryRun,
            false => Mode::Apply,
        },
    };
    let Reply::Changed(changed) = ask::ask(&mut *control, asked)? else {
        return Err(ask::strange());
    };
    let mut output = Output::new();
    for line in record::shown_diff(&changed)? {
        output.line(line)?;
    }
    output.line(record::sentence(&handle, &changed, args.dry_run))?;
    output.finish()
}

fn read_site(file: &Path) -> Result<Site, Failed> {
    let name = file.display();
    let text = std::fs::read(file).map_err(|error| {
        Report::new(Exit::Usage, format_args!("{name} cannot be read"))
            .cause(error)
            .fail()
    })?;
    parse_site(&text).map_err(|error| {
        Report::new(Exit::Usage, format_args!("{name} is not a site"))
            .cause(error)
            .hint("`GET /api/site` of the other node shows one")
            .fail()
    })
}

/// One primary site whose servers have these addresses and answer over UDP and TCP.
fn site_of(addresses: &[SocketAddr]) -> Option<Site> {
    let servers = (1..).zip(addresses).map(|(id, address)| Server {
        id,
        address: address.ip(),
        public_key: Vec::new(),
        interfaces: [Protocol::UDP, Protocol::TCP]
            .map(|protocol| Interface {
                // Datagrams are for resolution; administration needs a stream.
                kind: match protocol {
                    Protocol::UDP => InterfaceKind::QUERY,
                    _ => InterfaceKind::BOTH,
                },
                protocol,
                port: address.port().into(),
            })
            .into(),
    });
    (!addresses.is_empty()).then(|| Site {
        serial: 1,
        flags: Site::PRIMARY,
        servers: servers.collect(),
        ..Site::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_has_the_native_port_unless_it_says_otherwise() {
        for (text, expected) in [
            ("192.0.2.7", "192.0.2.7:2641"),
            ("192.0.2.7:80", "192.0.2.7:80"),
            ("2001:db8::7", "[2001:db8::7]:2641"),
            ("[2001:db8::7]:80", "[2001:db8::7]:80"),
        ] {
            assert_eq!(parse_address(text).unwrap().to_string(), expected);
        }
        assert!(parse_address("example.org").is_err());
    }

    #[test]
    fn identity_is_an_index_and_a_handle() {
        let identity = parse_identity("300:0.NA/88.118.5").unwrap();
        assert_eq!((identity.index, &*identity.handle), (300, "0.NA/88.118.5"));
        assert!(parse_identity("0.NA/88.118.5").is_err());
        assert!(parse_identity("x:0.NA/88.118.5").is_err());
    }
}
