//! `guantong doctor`: walks from the settings to the answer and says where it breaks.
//!
//! ```text
//!  settings ─► machine ─► clock ─► store ─► homed? ─► record
//!     ─► node runs? ─► each address answers? ─► same answer as the store?
//! ```
//!
//! Without settings there is no store to look into: the node is asked from outside, and the answers
//! of its transports are compared with each other. From a root, every site on the way to the record
//! is visited. Each step prints one finding. A step that fails
//! does not end the walk if a later one can still tell something; the first one that is bad decides
//! the exit code.

mod answers;
mod level;
mod network;
mod probe;
mod record;
mod visit;

use std::net::Ipv4Addr;

use guantong_client::Server;
use guantong_proto::Handle;
use guantong_proto::data::Site;
use guantong_server::config::{self, Config, Judgement};
use guantong_server::control::Control;
use guantong_server::key::ServerKey;
use guantong_server::running::addresses_of_running;
use guantong_server::site::{Addresses, published};

use super::local::{control_of, endpoints_of};
use super::resolve::walk;
use super::{NodeArgs, block_on};
use crate::failed::{Exit, Failed, Report};
use answers::{Known, Question};
use visit::{Form, Visit};

const EXAMPLES: &str = "\
Examples:
  guantong doctor --config node
  guantong doctor 88.118.5/5g-base-stations --config node
  guantong doctor 88.118.5/5g-base-stations --at node.example
  guantong doctor 88.118.5/5g-base-stations --root root_info

With --root, and where the settings have a recurse.root, the whole network is looked at: the way of
a resolver hop by hop, then every site of every prefix record on that way, by each transport that
it publishes. Each finding says what is wrong, where, and who must mend it.

Exit codes:
  0  everything is in order, or works although something deserves a look
  1  the prefix is not homed, not delegated, or the record does not exist
  2  settings, keys or store are wrong
  3  a node does not run, cannot be reached, or does not answer as it should";

/// Find out why a node, or one handle on it, does not answer.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The handle that does not resolve as it should; without it the node is looked at
    handle: Option<String>,

    /// Look at the node at this address, from outside; by default at the node of --config if there
    /// is one, else at 127.0.0.1:2641
    #[arg(long, value_name = "ADDR", env = "GUANTONG_AT")]
    at: Option<Server>,

    /// Look at everything from the root down to the record, beginning at a file (root_info,
    /// bootstrap_handles, siteinfo.json, siteinfo.bin) or a root server as host or host:port
    #[arg(long, value_name = "FILE|ADDR", requires = "handle")]
    root: Option<String>,

    /// Print all findings at the end, as JSON in one line
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    node: NodeArgs,
}

/// Walks and prints.
pub(crate) fn run(args: &Args) -> Result<(), Failed> {
    let handle = args.handle.as_deref().map(Handle::parse).transpose();
    let handle = handle.map_err(|error| {
        Report::new(Exit::Usage, "that is not a handle")
            .cause(error)
            .fail()
    })?;
    let mut visit = Visit::new(match args.json {
        true => Form::Json,
        false => Form::Text,
    });
    if let (Some(root), Some(handle)) = (&args.root, &handle) {
        let roots = walk::roots(root)?;
        visit::clock(&mut visit)?;
        block_on(network::look(&mut visit, roots, handle))??;
        return visit.finish();
    }
    let config = match args.at {
        Some(_) => None,
        None => args.node.load_if_any()?,
    };
    match config {
        Some(config) => {
            local(&mut visit, args, &config, handle.as_ref())?;
            if let (Some(root), Some(handle)) = (&config.recurse.root, &handle) {
                let roots = walk::roots_of(root)?;
                block_on(network::look(&mut visit, roots, handle))??;
            }
        }
        None => {
            visit::clock(&mut visit)?;
            let server = args.at.clone();
            let server = server.unwrap_or_else(|| Server::native(Ipv4Addr::LOCALHOST.into()));
            let question = Question {
                endpoints: server.endpoints().to_vec(),
                site: None,
                handle: handle.as_ref(),
                known: Known::Nothing,
            };
            block_on(answers::ask(&mut visit, question))??;
        }
    }
    visit.finish()
}

/// Walks from the settings to the answers of the node of this machine.
fn local(
    visit: &mut Visit,
    args: &Args,
    config: &Config,
    handle: Option<&Handle>,
) -> Result<(), Failed> {
    let file = args.node.file();
    visit.good("settings", file.display())?;
    machine(visit, config)?;
    visit::clock(visit)?;
    let site = own_site(config);
    let (known, handle) = match control_of(config) {
        Ok(mut control) => stored(visit, config, control.as_mut(), site.as_ref(), handle)?,
        Err(error) => {
            let what_to_do = "see the finding about node.data above";
            visit.bad(Exit::Usage, "store", &error, what_to_do)?;
            (Known::Nothing, handle)
        }
    };
    let Some(addresses) = addresses_of_running(config) else {
        let what_to_do = format!("start it: guantong serve --config {}", file.display());
        return visit.bad(Exit::Network, "node", "it does not run", what_to_do);
    };
    let endpoints = endpoints_of(&addresses);
    block_on(answers::ask(
        visit,
        Question {
            endpoints,
            site,
            handle,
            known,
        },
    ))?
}

/// What the store knows of the handle, and the handle if this node is to answer for it: one that
/// resolves for others need not.
fn stored<'a>(
    visit: &mut Visit,
    config: &Config,
    control: &mut dyn Control,
    site: Option<&Site>,
    handle: Option<&'a Handle>,
) -> Result<(Known, Option<&'a Handle>), Failed> {
    let recurses = config.recurse.root.is_some();
    if handle.is_some_and(|handle| recurses && !record::homes(control, handle)) {
        visit.good("prefix", "not homed here; see below who serves it")?;
        return Ok((Known::Nothing, None));
    }
    let known = record::look(visit, config, control, site, handle)?;
    Ok((known, handle))
}

/// What `guantong check` finds.
fn machine(visit: &mut Visit, config: &Config) -> Result<(), Failed> {
    for finding in config::check(config) {
        match finding.judgement {
            Judgement::Good => visit.good(&finding.about, &finding.text)?,
            Judgement::Doubtful => visit.doubtful(&finding.about, &finding.text)?,
            Judgement::Bad => visit.bad(Exit::Usage, &finding.about, &finding.text, "")?,
        }
    }
    Ok(())
}

/// The site record that the node publishes, as far as it can be told without asking the node.
fn own_site(config: &Config) -> Option<Site> {
    let key = ServerKey::load(&config.site.key).ok()?;
    let addresses = addresses_of_running(config);
    let addresses = addresses.unwrap_or_else(|| Addresses::configured(&config.listen));
    published(&config.site, &key, &addresses).ok()
}
