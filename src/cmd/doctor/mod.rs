//! `guantong doctor`: walks from the settings to the answer and says where it breaks.
//!
//! ```text
//!  settings ─► machine ─► clock ─► store ─► homed? ─► record
//!     ─► node runs? ─► each address answers? ─► same answer as the store?
//! ```
//!
//! Each step prints one finding. A step that fails does not end the walk if a later one can still
//! tell something; the first one that is bad decides the exit code.

mod answers;
mod record;
mod visit;

use guantong_proto::Handle;
use guantong_proto::data::Site;
use guantong_server::config::{self, Config, Judgement};
use guantong_server::key::ServerKey;
use guantong_server::running::addresses_of_running;
use guantong_server::site::{Addresses, site_record};

use super::local::control_of;
use super::{NodeArgs, block_on};
use crate::failed::{Exit, Failed, Report};
use visit::Visit;

const EXAMPLES: &str = "\
Examples:
  guantong doctor --config node
  guantong doctor 88.118.5/5g-base-stations --config node

Exit codes:
  0  everything is in order
  1  the prefix is not homed here, or the record does not exist
  2  settings, keys or store are wrong
  3  the node does not run, or does not answer as it should";

/// Find out why a node, or one handle on it, does not answer.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The handle that does not resolve as it should; without it the node is looked at
    handle: Option<String>,

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
    let file = args.node.file();
    let config = args.node.load()?;
    let mut visit = Visit::new();
    visit.good("settings", file.display())?;
    machine(&mut visit, &config)?;
    visit::clock(&mut visit)?;
    let site = own_site(&config);
    let stored = match control_of(&config) {
        Ok(mut control) => {
            let (control, handle) = (control.as_mut(), handle.as_ref());
            record::look(&mut visit, &config, control, site.as_ref(), handle)?
        }
        Err(error) => {
            visit.bad(
                Exit::Usage,
                "store",
                &error,
                "see the finding about node.data above",
            )?;
            None
        }
    };
    match addresses_of_running(&config) {
        Some(addresses) => {
            let question = answers::Question {
                addresses: &addresses,
                site: site.as_ref(),
                handle: handle.as_ref(),
                stored: stored.as_deref(),
            };
            block_on(answers::ask(&mut visit, &question))??;
        }
        None => visit.bad(
            Exit::Network,
            "node",
            "it does not run",
            format_args!("start it: guantong serve --config {}", file.display()),
        )?,
    }
    visit.finish()
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
    Some(site_record(&config.site, &key, &addresses))
}
